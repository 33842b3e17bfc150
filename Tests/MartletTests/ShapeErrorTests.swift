import Martlet
import Testing

private let a = Tensor.ones([2, 3])
private let b = Tensor.ones([4])

@Suite struct ShapeErrorTests {
  private static let elementwise: [Wrong] = [
    Wrong(
      "broadcast",
      """
      add: the shapes [2, 3] and [4] do not broadcast: 3 ≠ 4 at axis -1
        with a: float32[2, 3], b: float32[4]
        rule: aligned at the last axis, sizes are equal or one of them is 1
        try: reshaped(…) or expandedDims(axis:) to place the axes
      """
    ) { _ = a + b },
    Wrong(
      "broadcast in place",
      """
      add: the shapes [2, 3] and [4] do not broadcast: 3 ≠ 4 at axis -1
        with a: float32[2, 3], b: float32[4]
        rule: aligned at the last axis, sizes are equal or one of them is 1
        try: reshaped(…) or expandedDims(axis:) to place the axes
      """
    ) {
      var x = a
      x += b
    },
    Wrong(
      "compare",
      """
      compare: the shapes [2, 3] and [4] do not broadcast: 3 ≠ 4 at axis -1
        with a: float32[2, 3], b: float32[4]
        rule: aligned at the last axis, sizes are equal or one of them is 1
        try: reshaped(…) or expandedDims(axis:) to place the axes
      """
    ) { _ = a .< b },
    Wrong(
      "negative of bool",
      """
      negate: x is bool
        with x: bool[1]
        rule: it takes a floating, complex or signed integer dtype
        try: cast(to: .float32)
      """
    ) { _ = -Tensor([true]) },
    Wrong(
      "logic of floats",
      """
      logic: a is float32
        with a: float32[2, 3], b: float32[2, 3]
        rule: it takes bool
        try: a comparison, or cast(to: .bool)
      """
    ) { _ = a .& a },
    Wrong(
      "not of floats",
      """
      logicalNot: x is float32
        with x: float32[2, 3]
        rule: it takes bool
        try: a comparison, or cast(to: .bool)
      """
    ) { _ = .!a },
    Wrong(
      "select without a bool",
      """
      select: condition is float32
        with condition: float32[2, 3], a: float32[2, 3], b: float32[2, 3]
        rule: it takes bool
        try: a comparison, or cast(to: .bool)
      """
    ) { _ = select(a, a, a) },
    Wrong(
      "select of three shapes",
      """
      select: the shapes [2, 3] and [4] and [2, 3] do not broadcast
        with condition: bool[2, 3], a: float32[4], b: float32[2, 3]
        rule: aligned at the last axis, sizes are equal or one of them is 1
        try: reshaped(…) or expandedDims(axis:) to place the axes
      """
    ) { _ = select(a .> 0, b, a) },
  ]

  private static let shapes: [Wrong] = [
    Wrong(
      "matmul",
      """
      matmul: the inner sizes differ: 3 ≠ 2
        with a: float32[2, 3], b: float32[2, 3]
        rule: […, M, K] · […, K, N] → […, M, N]
        try: b.transposed()
      """
    ) { _ = matmul(a, a) },
    Wrong(
      "matmul, other side",
      """
      matmul: the inner sizes differ: 2 ≠ 3
        with a: float32[3, 2], b: float32[3, 4]
        rule: […, M, K] · […, K, N] → […, M, N]
        try: a.transposed()
      """
    ) { _ = matmul(Tensor.ones([3, 2]), Tensor.ones([3, 4])) },
    Wrong(
      "matmul of a scalar",
      """
      matmul: a has 0 axes
        with a: int64[], b: float32[2, 3]
        rule: its number of axes is 1 or more
        try: reshaped(…), expandedDims(axis:) or squeezed(axis:) change the number of axes
      """
    ) { _ = matmul(Tensor(1), a) },
    Wrong(
      "matmul of vectors",
      """
      matmul: the inner sizes differ: 4 ≠ 3
        with a: float32[4], b: float32[3]
        rule: […, M, K] · […, K, N] → […, M, N]
        try: vectors of one size
      """
    ) { _ = matmul(b, Tensor.ones([3])) },
    Wrong(
      "matmul of batches",
      """
      matmul: the shapes [2, 1, 3] and [5, 3, 1] do not broadcast: 2 ≠ 5 at axis -3
        with a: float32[2, 1, 3], b: float32[5, 3, 1]
        rule: aligned at the last axis, sizes are equal or one of them is 1
        try: reshaped(…) or expandedDims(axis:) to place the axes
      """
    ) { _ = matmul(Tensor.ones([2, 1, 3]), Tensor.ones([5, 3, 1])) },
    Wrong(
      "reshape",
      """
      reshape: 6 elements cannot be laid out as [4, 2]
        with x: float32[2, 3]
        rule: 6 ≠ 4 × 2
        try: one size may be -1 and is then derived
      """
    ) { _ = a.reshaped([4, 2]) },
    Wrong(
      "reshape with one unknown",
      """
      reshape: 6 elements cannot be laid out as [4, -1]
        with x: float32[2, 3]
        rule: 6 is not a multiple of 4
        try: sizes whose product divides 6
      """
    ) { _ = a.reshaped([4, -1]) },
    Wrong(
      "reshape with two unknown",
      """
      reshape: [-1, -1] has several unknown sizes
        with x: float32[2, 3]
        rule: at most one size is -1
        try: write the others as numbers
      """
    ) { _ = a.reshaped([-1, -1]) },
    Wrong(
      "reshape to a negative size",
      """
      reshape: [-2, -3] has a negative size
        with x: float32[2, 3]
        rule: sizes are 0 or more
        try: one size may be -1 and is then derived
      """
    ) { _ = a.reshaped([-2, -3]) },
    Wrong(
      "too large",
      """
      Tensor: the shape [1099511627776, 1099511627776] is negative or too large
        rule: the product of the sizes fits 63 bits
        try: smaller sizes
      """
    ) { _ = Tensor.zeros([1 << 40, 1 << 40]) },
    Wrong(
      "expand",
      """
      expand: [2, 3] cannot be expanded to [2, 4]
        with x: float32[2, 3]
        rule: aligned at the last axis, each size is equal or was 1
        try: reshaped(…) or expandedDims(axis:) to place the axes
      """
    ) { _ = a.expanded(to: [2, 4]) },
    Wrong(
      "expand to fewer axes",
      """
      expand: [2, 3] cannot be expanded to [3]
        with x: float32[2, 3]
        rule: aligned at the last axis, each size is equal or was 1
        try: reshaped(…) or expandedDims(axis:) to place the axes
      """
    ) { _ = a.expanded(to: [3]) },
    Wrong(
      "permute",
      """
      permute: [0, 0] is not an order of 2 axes
        with x: float32[2, 3]
        rule: each of 0 ..< 2 stands once
        try: transposed(_:_:) exchanges two axes, movingAxis(_:to:) moves one
      """
    ) { _ = a.permuted(0, 0) },
    Wrong(
      "permute too few",
      """
      permute: [0] is not an order of 2 axes
        with x: float32[2, 3]
        rule: each of 0 ..< 2 stands once
        try: transposed(_:_:) exchanges two axes, movingAxis(_:to:) moves one
      """
    ) { _ = a.permuted(0) },
    Wrong(
      "transpose a vector",
      """
      transposed: axis -2 is out of range for 1 axis
        with x: float32[4]
        rule: -1 ≤ axis < 1
        try: axes count from 0, or from -1 at the end
      """
    ) { _ = b.transposed() },
    Wrong(
      "expandedDims",
      """
      expandedDims: axis 4 is out of range for 3 axes
        with x: float32[2, 3]
        rule: -3 ≤ axis < 3
        try: axes count from 0, or from -1 at the end
      """
    ) { _ = a.expandedDims(axis: 4) },
    Wrong(
      "nine axes",
      """
      expandedDims: the result would have 9 axes
        with x: float32[1, 1, 1, 1, 1, 1, 1, 1]
        rule: at most 8 axes (vmap adds one)
        try: reshaped(…) to merge axes
      """
    ) { _ = Tensor.ones([1, 1, 1, 1, 1, 1, 1, 1]).expandedDims(axis: 0) },
    Wrong(
      "concat sizes",
      """
      concat: input 1 has size 4 along axis 1, the first has 3
        with x: float32[2, 3], y: float32[2, 4]
        rule: all sizes but that of the joined axis are equal
        try: another axis, or padded(_:)
      """
    ) { _ = concat([a, Tensor.ones([2, 4])]) },
    Wrong(
      "concat ranks",
      """
      concat: y has 1 axis
        with x: float32[2, 3], y: float32[4]
        rule: its number of axes is 2, as the first
        try: reshaped(…), expandedDims(axis:) or squeezed(axis:) change the number of axes
      """
    ) { _ = concat([a, b]) },
    Wrong(
      "concat nothing",
      """
      concat: there are no tensors
        rule: at least one tensor
        try: leave the call out when there is none
      """
    ) { _ = concat([]) },
    Wrong(
      "concat axis",
      """
      concat: axis 2 is out of range for 2 axes
        with x: float32[2, 3]
        rule: -2 ≤ axis < 2
        try: axes count from 0, or from -1 at the end
      """
    ) { _ = concat([a, a], axis: 2) },
    Wrong(
      "stack shapes",
      """
      stack: input 1 has shape [4]
        with input 0: float32[2, 3], input 1: float32[4]
        rule: its shape is [2, 3], as the first
        try: reshaped(…), or another tensor
      """
    ) { _ = stack([a, b]) },
    Wrong(
      "pad ranks",
      """
      pad: the number of pairs of widths is 1
        with x: float32[2, 3]
        rule: it is 2, one for each axis
      """
    ) { _ = a.padded([(1, 1)]) },
    Wrong(
      "pad by a negative width",
      """
      pad: a width is -1
        with x: float32[2, 3]
        rule: it is 0 or more
      """
    ) { _ = a.padded([(0, 0), (-1, 0)]) },
    Wrong(
      "elements and shape",
      """
      Tensor: 3 elements do not fill the shape [2, 2]
        rule: the sizes of the shape multiply to the number of elements
      """
    ) { _ = Tensor([1, 2, 3], shape: [2, 2]) },
    Wrong(
      "ragged lists",
      """
      Tensor: the nested arrays differ in length
        rule: all rows have one length
      """
    ) { _ = Tensor([[1, 2], [3]]) },
    Wrong(
      "a range without end",
      """
      range: the range from 0.0 to 1.0 by 0.0 has no end, or too many elements
        rule: a finite range and a step other than 0
      """
    ) { _ = Tensor.range(to: 1, by: 0) },
  ]

  @Test(arguments: elementwise) func elementwiseText(_ wrong: Wrong) { wrong.check() }
  @Test(arguments: shapes) func shapesText(_ wrong: Wrong) { wrong.check() }
}
