import Martlet
import Testing

private let a = Tensor.ones([2, 3])
private let b = Tensor.ones([4])
private let ints = Tensor([1, 2, 3])

@Suite struct TransformErrorTests {
  private static let cases: [Wrong] = [
    Wrong(
      "item of a mapped tensor",
      """
      item: a mapped tensor has no single value: it stands for all examples of a vmap
        with x: float32[]
        try: select(condition, a, b) or cond(condition) { a } else: { b } in place of if, or return the tensor and read it \
      outside of vmap
        called at FILE:LINE
      """
    ) { _ = vmap { (x: Tensor) -> Tensor in x.sum().item() > 0 ? x : -x }(a) },
    Wrong(
      "array of a mapped tensor",
      """
      floats: a mapped tensor has no single value: it stands for all examples of a vmap
        with x: float32[3]
        try: select(condition, a, b) or cond(condition) { a } else: { b } in place of if, or return the tensor and read it \
      outside of vmap
      """
    ) { _ = vmap { (x: Tensor) -> Tensor in Tensor(x.floats) }(a) },
    Wrong(
      "item of a symbolic tensor",
      """
      item: a symbolic tensor has no value: the function is being captured by compile at FILE:LINE
        with x: float32[]
        try: select(condition, a, b) or cond(condition) { a } else: { b } in place of if, or return the tensor and read it \
      after the call
        called at FILE:LINE, inside compile at FILE:LINE
      """
    ) { _ = compile { (x: Tensor) -> Tensor in x.sum().item() > 0 ? x : -x }(a) },
    Wrong(
      "item inside checkpointed",
      """
      item: a symbolic tensor has no value: the function is being captured by checkpointed at FILE:LINE
        with x: float32[]
        try: select(condition, a, b) or cond(condition) { a } else: { b } in place of if, or return the tensor and read it \
      after the call
        called at FILE:LINE, inside checkpointed at FILE:LINE
      """
    ) { _ = checkpointed { (x: Tensor) -> Tensor in x.sum().item() > 0 ? x : -x }(a) },
    Wrong(
      "mask in a capture",
      """
      subscript: a bool mask selects as many elements as are true in it, which is not known while the function is being \
      captured by compile at FILE:LINE
        with x: float32[2, 3]
        rule: shapes do not depend on values
        try: select(mask, a, b), which keeps the shape
      """
    ) { _ = compile { (x: Tensor) -> Tensor in x[x .> 0] }(a) },
    Wrong(
      "mask in a vmap",
      """
      subscript: a bool mask selects as many elements as are true in it, which is not known for a mapped mask: the examples \
      of a vmap have one shape
        with x: float32[3]
        rule: shapes do not depend on values
        try: select(mask, a, b), which keeps the shape
      """
    ) { _ = vmap { (x: Tensor) -> Tensor in x[x .> 0] }(a) },
    Wrong(
      "escape from vmap",
      """
      add: a tensor has outlived the vmap that made it
        with a: float32[3], b: float32[]
        try: return it from the function in place of storing it outside
      """
    ) {
      var kept: Tensor?
      _ = vmap { (x: Tensor) -> Tensor in
        kept = x
        return x
      }(a)
      _ = kept! + 1
    },
    Wrong(
      "escape from a capture",
      """
      add: a symbolic tensor has outlived the capture by compile at FILE:LINE
        with a: float32[2, 3], b: float32[]
        try: return the tensor from the function in place of storing it outside
      """
    ) {
      var kept: Tensor?
      _ = compile { (x: Tensor) -> Tensor in
        kept = x
        return x
      }(a)
      _ = kept! + 1
    },
    Wrong(
      "vmap of different sizes",
      """
      vmap: the mapped axes have sizes [2, 4]
        with input 0: float32[2, 3], input 1: float32[4]
        rule: all mapped axes have one size
        try: inAxes: nil for shared tensors
      """
    ) { _ = vmap { (x: Tensor, y: Tensor) in x + y }(a, b) },
    Wrong(
      "vmap of nothing",
      """
      vmap: nothing is mapped
        with x: float32[2, 3]
        rule: at least one of inAxes is not nil
        try: call the function itself when all arguments are shared
      """
    ) { _ = vmap(inAxes: [nil]) { (x: Tensor) in x }(a) },
    Wrong(
      "vmap of too few axes",
      """
      vmap: inAxes has 1 entry for 2 tensors
        with input 0: float32[2, 3], input 1: float32[4]
        rule: one for each tensor, in their order
        try: the tree that the function takes, or gives, as its model
      """
    ) { _ = vmap(inAxes: [0]) { (x: [Tensor]) in x }([a, b]) },
    Wrong(
      "vmap axis",
      """
      vmap: axis 2 is out of range for 2 axes
        with x: float32[2, 3]
        rule: -2 ≤ axis < 2
        try: axes count from 0, or from -1 at the end
      """
    ) { _ = vmap(inAxes: [2]) { (x: Tensor) in x }(a) },
    Wrong(
      "vmap of a scalar",
      """
      vmap: axis 0 is out of range for 0 axes
        with x: float32[]
        rule: a scalar has no axes
        try: reshaped(…) or expandedDims(axis:) first
      """
    ) { _ = vmap { (x: Tensor) in x }(Tensor(1.5)) },
    Wrong(
      "vmap out axis",
      """
      vmap: axis 3 is out of range for 2 axes
        with x: float32[3]
        rule: -2 ≤ axis < 2
        try: axes count from 0, or from -1 at the end
      """
    ) { _ = vmap(outAxis: 3) { (x: Tensor) in x }(a) },
    Wrong(
      "an error inside of vmap is in shapes of one example",
      """
      matmul: the inner sizes differ: 3 ≠ 4
        with a: float32[3], b: float32[4]
        rule: […, M, K] · […, K, N] → […, M, N]
        try: vectors of one size
      """
    ) {
      _ = vmap { (x: Tensor) in matmul(x, b) }(a)
    },
    Wrong(
      "mapped into a cell",
      """
      write: a mapped tensor cannot be written into state: it holds one value, not one for each example
        with x: float32[1]
        try: return the tensor from vmap and reduce it before writing
      """
    ) {
      let cell = StateTensor([0])
      _ = vmap { (x: Tensor) -> Tensor in
        cell.value = x[0..<1]
        return x
      }(a)
    },
    Wrong(
      "backward of several elements",
      """
      backward: the gradient of a tensor with 6 elements is not defined
        with x: float32[2, 3]
        rule: the result has one element
        try: sum() or mean() first, or pass backward(gradient:), or use vjp or jacobian
      """
    ) { (a.requiringGradient() * 2).backward() },
    Wrong(
      "backward without a record",
      """
      backward: the tensor is not recorded for gradients
        with x: float32[]
        try: compute it from a Parameter or from requiringGradient(), outside of withoutGradient { }
      """
    ) { b.sum().backward() },
    Wrong(
      "backward by a tensor from outside of a capture",
      """
      backward: the tensor is not recorded for gradients
        with x: float32[]
        rule: while a function is captured, a tensor from outside is a constant, also one that requires gradients
        try: a Parameter in its place, or an argument: compile(grad { w, x in … })
      """
    ) {
      let w = a.requiringGradient()
      _ = compile { (x: Tensor) in
        let loss = (x * w).sum()
        loss.backward()
        return loss
      }(a)
    },
    Wrong(
      "floats of a symbolic tensor",
      """
      floats: a symbolic tensor has no value: the function is being captured by compile at FILE:LINE
        with x: float32[2, 3]
        try: select(condition, a, b) or cond(condition) { a } else: { b } in place of if, or return the tensor and read it \
      after the call
      """
    ) { _ = compile { (x: Tensor) -> Tensor in Tensor(x.floats) }(a) },
    Wrong(
      "array of a symbolic tensor",
      """
      array: a symbolic tensor has no value: the function is being captured by compile at FILE:LINE
        with x: float32[2, 3]
        try: select(condition, a, b) or cond(condition) { a } else: { b } in place of if, or return the tensor and read it \
      after the call
      """
    ) { _ = compile { (x: Tensor) -> Tensor in Tensor(x.array(as: Int.self)) }(a) },
    Wrong(
      "backward of integers",
      """
      backward: int64 has no gradient
        with x: int64[]
        rule: gradients are of floating and complex tensors
        try: cast(to: .float32)
      """
    ) { ints.sum().backward() },
    Wrong(
      "backward with a wrong cotangent",
      """
      backward: it was given float32[4]
        with x: float32[4]
        rule: shape and dtype are those of float32[2, 3]
        try: expanded(to:), reshaped(…) or cast(to:)
      """
    ) { (a.requiringGradient() * 2).backward(gradient: b) },
    Wrong(
      "backward twice",
      """
      backward: the graph was freed by an earlier backward pass
        try: backward(retainGraph: true) in the first pass
      """
    ) {
      let loss = (b.requiringGradient() * 2).sum()
      loss.backward()
      loss.backward()
    },
    Wrong(
      "requiringGradient of integers",
      """
      requiringGradient: int64 has no gradient
        with x: int64[3]
        rule: gradients are of floating and complex tensors
        try: cast(to: .float32)
      """
    ) { _ = ints.requiringGradient() },
    Wrong(
      "retainGrad",
      """
      retainGrad: the tensor is not recorded for gradients
        with x: float32[4]
        try: compute it from a Parameter or from requiringGradient(), outside of withoutGradient { }
      """
    ) { b.retainGrad() },
    Wrong(
      "registerHook",
      """
      registerHook: the tensor is not recorded for gradients
        with x: float32[4]
        try: compute it from a Parameter or from requiringGradient(), outside of withoutGradient { }
      """
    ) { b.registerHook { $0 } },
    Wrong(
      "grad of several elements",
      """
      grad: the gradient of a tensor with 4 elements is not defined
        with x: float32[4]
        rule: the result has one element
        try: sum() or mean() first, or pass backward(gradient:), or use vjp or jacobian
      """
    ) { _ = grad { (x: Tensor) in x * 2 }(b) },
    Wrong(
      "grad of an integer result",
      """
      grad: int64 has no gradient
        with x: int64[]
        rule: gradients are of floating and complex tensors
        try: cast(to: .float32)
      """
    ) { _ = grad { (x: Tensor) in x.argMax() }(b) },
    Wrong(
      "grad by integers",
      """
      grad: int64 has no gradient
        with x: int64[3]
        rule: gradients are of floating and complex tensors
        try: cast(to: .float32)
      """
    ) { _ = grad { (x: Tensor) in x.sum() }(ints) },
    Wrong(
      "vjp cotangent",
      """
      vjp: it was given float32[2, 3]
        with x: float32[2, 3]
        rule: shape and dtype are those of float32[4]
        try: expanded(to:), reshaped(…) or cast(to:)
      """
    ) { _ = vjp({ (x: Tensor) in x * 2 }, b).pullback(a) },
    Wrong(
      "jvp tangent",
      """
      jvp: it was given float32[2, 3]
        with x: float32[2, 3]
        rule: shape and dtype are those of float32[4]
        try: expanded(to:), reshaped(…) or cast(to:)
      """
    ) { _ = jvp({ (x: Tensor) in x * 2 }, b, a) },
    Wrong(
      "jvp structure",
      """
      jvp: 2 tangents for 1 tensor
        with x: float32[4]
        rule: one for each tensor, in their order
        try: the tree that the function takes, or gives, as its model
      """
    ) { _ = jvp({ (x: [Tensor]) in x[0] }, [b], [b, b]) },
    Wrong(
      "jacobian of integers",
      """
      jacobian: int64 has no gradient
        with x: int64[3]
        rule: gradients are of floating and complex tensors
        try: cast(to: .float32)
      """
    ) { _ = jacobian({ $0 }, ints) },
    Wrong(
      "custom gradient count",
      """
      customGradient: the gradient function gave 2 gradients
        with x: float32[4]
        rule: one for each input: 1
        try: zeros for an input without a gradient, or nil from a function that is told what is needed
      """
    ) {
      _ = grad { (x: [Tensor]) in customGradient({ $0[0].sum() }, gradient: { _, _, c in [c, c] })(x) }([b])
    },
    Wrong(
      "custom gradient count, told what is needed",
      """
      customGradient: the gradient function gave 1 gradient
        with input 0: float32[4], input 1: float32[4]
        rule: one for each input: 2
        try: zeros for an input without a gradient, or nil from a function that is told what is needed
      """
    ) {
      _ = grad { (x: Tensor) in customGradient({ $0[0] + $0[1] }, gradient: { _, _, _, _ in [nil] })([x, x]).sum() }(b)
    },
    Wrong(
      "an integer parameter",
      """
      Parameter: int64 has no gradient
        with x: int64[3]
        rule: gradients are of floating and complex tensors
        try: cast(to: .float32)
      """
    ) { _ = Parameter(ints) },
    Wrong(
      "a parameter of another shape",
      """
      set: float32[2, 3] does not fit parameter
        with x: float32[2, 3]
        rule: parameter is float32[4]
        try: reshaped(…) or cast(to:), or a new cell for another shape
      """
    ) {
      let p = Parameter(b)
      p.value = a
    },
    Wrong(
      "a gradient of another shape",
      """
      set: float32[2, 3] does not fit grad
        with x: float32[2, 3]
        rule: grad is float32[4]
        try: reshaped(…) or cast(to:), or a new cell for another shape
      """
    ) { Parameter(b).grad = a },
    Wrong(
      "an error in a layer",
      """
      Linear(4, 2): it takes 4 features in the last axis, and x has 3
        with x: float32[2, 3]
        rule: […, 4] → […, 2]
        try: Linear(3, 2) for this input, or another input
        in layer Sequential › 1 (Sequential) › 1.0 (Linear)
      """
    ) {
      let model = Sequential {
        Flatten()
        Sequential { Linear(4, 2, generator: Generator(seed: 1)) }
      }
      _ = model(a)
    },
  ]

  @Test(arguments: cases) func text(_ wrong: Wrong) { wrong.check() }
}
