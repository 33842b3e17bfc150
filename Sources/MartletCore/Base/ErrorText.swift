/// Turns facts into texts: what is wrong, with the arguments; the rule as arithmetic; the likely correction; the layer.
package enum ErrorText {
  /// - Parameter places: whether the lines of the program are looked up, which takes time.
  package static func text(_ error: OpError, places: Bool = true) -> String {
    let (problem, rule, remedy) = parts(error)
    let isInner = !error.call.isEmpty && error.call != error.op
    let op = isInner && !error.op.isEmpty ? "\(error.call) › \(error.op)" : isInner ? error.call : error.op
    var lines = [op.isEmpty ? problem : "\(op): \(problem)"]
    if !error.arguments.isEmpty {
      let names = error.argumentNames
      let list = error.arguments.prefix(6).enumerated().map { position, spec in
        "\(argument(position, names, error.arguments.count)): \(spec)"
      }
      let more = error.arguments.count > 6 ? ", …" : ""
      lines.append("  with " + list.joined(separator: ", ") + more)
    }
    if let rule { lines.append("  rule: \(rule)") }
    if let remedy { lines.append("  try: \(remedy)") }
    if !error.layers.isEmpty { lines.append("  in layer \(error.layers.joined(separator: " › "))") }
    if places { for origin in error.origins { lines.append("  \(origin)") } }
    return lines.joined(separator: "\n")
  }

  /// The line of the program that called the operation, and how it came to run there; empty if nothing is known.
  static func callLine(_ error: OpError) -> [String] {
    let place = error.place ?? error.origin?.line
    let text =
      switch error.moment {
      case .now: place.map { "called at \($0)" }
      case .captured(let name): place.map { "called at \($0), inside \(name)" } ?? "inside \(name)"
      case .program(let name): "in the program of \(name)" + (place.map { ", called at \($0)" } ?? "")
      case .forced: "put off by lazy" + (place.map { ", and run for a value that was read at \($0)" } ?? "")
      }
    return text.map { [$0] } ?? []
  }

  private static func argument(_ position: Int, _ names: [String], _ count: Int) -> String {
    if position < names.count { return names[position] }
    return count == 1 ? "x" : "input \(position)"
  }

  private static func name(_ position: Int, _ error: OpError) -> String {
    argument(position, error.argumentNames, error.arguments.count)
  }

  private static func spec(_ position: Int, _ error: OpError) -> TensorSpec? {
    error.arguments.indices.contains(position) ? error.arguments[position] : nil
  }

  /// Problem, rule and remedy.
  private static func parts(_ error: OpError) -> (String, String?, String?) {
    let specs = error.arguments
    switch error.fact {
    case .notBroadcastable(let shape), .reshape(let shape), .unknownSize(let shape), .negativeSize(let shape),
      .tooLarge(let shape):
      if shape.isTooLong {
        return (
          "the result would have more than \(counted(Shape.maxRank, "axis", "axes"))",
          "at most \(Shape.maxRank) axes (vmap adds one)", "reshaped(…) to merge axes"
        )
      }
    default: break
    }
    switch error.fact {
    case .rank(let position, let expected):
      return (
        "\(name(position, error)) has \(counted(spec(position, error)?.rank ?? 0, "axis", "axes"))",
        "its number of axes is \(expected)",
        "reshaped(…), expandedDims(axis:) or squeezed(axis:) change the number of axes"
      )
    case .dtype(let position, let expected):
      let dtype = spec(position, error)?.dtype
      let given = dtype.map { "\($0)" } ?? "of a wrong dtype"
      if dtype?.isComplex == true {
        return (
          "\(name(position, error)) is \(given), and the operation needs real numbers", "it takes \(expected)",
          "z.real, z.imaginary, abs(z) or viewAsReal(z)"
        )
      }
      return ("\(name(position, error)) is \(given)", "it takes \(expected)", castRemedy(expected))
    case .dtypesDiffer:
      return (
        "the dtypes differ: \(specs.map { "\($0.dtype)" }.joined(separator: " and "))",
        "the arguments have one dtype", mixRemedy(error)
      )
    case .devicesDiffer:
      return (
        "the arguments are on different devices: \(specs.map { "\($0.device)" }.joined(separator: " and "))",
        "all arguments are on one device", "to(_:) copies a tensor to another device"
      )
    case .broadcast:
      return (
        "the shapes \(specs.map { "\($0.shape)" }.joined(separator: " and ")) do not broadcast\(broadcastDetail(specs))",
        "aligned at the last axis, sizes are equal or one of them is 1",
        "reshaped(…) or expandedDims(axis:) to place the axes"
      )
    case .notBroadcastable(let shape):
      return (
        "\(specs.first.map { "\($0.shape)" } ?? "it") cannot be expanded to \(shape)",
        "aligned at the last axis, each size is equal or was 1", "reshaped(…) or expandedDims(axis:) to place the axes"
      )
    case .axis(let axis, let rank):
      return (
        "axis \(axis) is out of range for \(counted(rank, "axis", "axes"))",
        rank == 0 ? "a scalar has no axes" : "-\(rank) ≤ axis < \(rank)",
        rank == 0 ? "reshaped(…) or expandedDims(axis:) first" : "axes count from 0, or from -1 at the end"
      )
    case .repeatedAxis(let axis):
      return ("axis \(axis) is named twice", "each axis is named once", "leave one out; axis -1 is the last")
    case .permutation(let order, let rank):
      return (
        "\(order) is not an order of \(counted(rank, "axis", "axes"))", "each of 0 ..< \(rank) stands once",
        "transposed(_:_:) exchanges two axes, movingAxis(_:to:) moves one"
      )
    case .reshape(let shape):
      let count = specs.first?.count ?? 0
      if shape.contains(-1) {
        let known = shape.filter { $0 != -1 }.reduce(1, *)
        return (
          "\(counted(count, "element")) cannot be laid out as \(shape)", "\(count) is not a multiple of \(known)",
          "sizes whose product divides \(count)"
        )
      }
      return (
        "\(counted(count, "element")) cannot be laid out as \(shape)",
        "\(count) ≠ \(shape.map(String.init).joined(separator: " × "))", "one size may be -1 and is then derived"
      )
    case .unknownSize(let shape):
      return ("\(shape) has several unknown sizes", "at most one size is -1", "write the others as numbers")
    case .negativeSize(let shape):
      return ("\(shape) has a negative size", "sizes are 0 or more", "one size may be -1 and is then derived")
    case .tooLarge(let shape):
      return ("the shape \(shape) is negative or too large", "the product of the sizes fits 63 bits", "smaller sizes")
    case .innerSizes(let k, let l):
      return (
        "the inner sizes differ: \(k) ≠ \(l)", "[…, M, K] · […, K, N] → […, M, N]", innerRemedy(specs)
      )
    case .concatSizes(let input, let axis, let size, let expected):
      return (
        "input \(input) has size \(size) along axis \(axis), the first has \(expected)",
        "all sizes but that of the joined axis are equal", "another axis, or padded(_:)"
      )
    case .noInputs: return ("there are no tensors", "at least one tensor", "leave the call out when there is none")
    case .index(let index, let size, let axis):
      return (
        "index \(index) is out of range for axis \(axis) of size \(size)",
        size == 0 ? "the axis is empty" : "\(error.op == "subscript" ? -size : 0) ≤ index < \(size)",
        indexRemedy(error.op, size)
      )
    case .sliceStep(let axis):
      return (
        "the step along axis \(axis) is 0", "a step is positive or negative", "1 for each element, -1 for the reverse"
      )
    case .sliceValue(let shape, let region):
      return (
        "a value of shape \(shape) does not fit the part of shape \(region)", "the value broadcasts to the part",
        "reshaped(…) or expandedDims(axis:) on the value"
      )
    case .tooManySubscripts(let count, let rank):
      return (
        "\(counted(count, "subscript")) for \(counted(rank, "axis", "axes"))", "at most one for each axis",
        ".newAxis adds an axis"
      )
    case .emptyReduction(let axis):
      return ("axis \(axis) is empty", "the largest of no elements does not exist", "leave empty tensors out")
    case .count(let name, let value, let allowed): return ("\(name) is \(value)", "it is \(allowed)", nil)
    case .argumentShape(let position, let expected):
      return (
        "\(name(position, error)) has shape \(spec(position, error).map { "\($0.shape)" } ?? "?")",
        "its shape is \(expected)", "reshaped(…), or another tensor"
      )
    case .label(let label, let classes):
      return (
        "label \(label) is out of range for \(counted(classes, "class", "classes"))",
        "0 ≤ label < \(classes), or ignoreIndex",
        "one output of the model for each class"
      )
    case .ranksExceeded(let rank):
      return (
        "the result would have \(rank) axes", "at most \(Shape.maxRank) axes (vmap adds one)",
        "reshaped(…) to merge axes"
      )
    case .numberOfInputs(let count, let expected):
      return ("it was given \(counted(count, "tensor"))", "it takes \(expected)", nil)

    case .notScalar:
      return (
        "the tensor has \(counted(specs.first?.count ?? 0, "element"))", "item() reads the only element of a tensor",
        "array(as:) for all elements, or sum() or mean() first"
      )
    case .maskWithoutValue(let fact):
      let reason =
        if case .valueOfSymbolic(let capture) = fact { "while the function is being captured by \(capture)" } else {
          "for a mapped mask: the examples of a vmap have one shape"
        }
      return (
        "a bool mask selects as many elements as are true in it, which is not known \(reason)",
        "shapes do not depend on values", "select(mask, a, b), which keeps the shape"
      )
    case .valueOfMapped:
      return (
        "a mapped tensor has no single value: it stands for all examples of a vmap", nil,
        "select(condition, a, b) or cond(condition) { a } else: { b } in place of if, or return the tensor and read it "
          + "outside of vmap"
      )
    case .valueOfSymbolic(let capture):
      return (
        "a symbolic tensor has no value: the function is being captured by \(capture)", nil,
        "select(condition, a, b) or cond(condition) { a } else: { b } in place of if, or return the tensor and read it after "
          + "the call"
      )
    case .escapedCapture(let capture):
      return (
        "a symbolic tensor has outlived the capture by \(capture)", nil,
        "return the tensor from the function in place of storing it outside"
      )
    case .escapedTransform(let name):
      return (
        "a tensor has outlived the \(name) that made it", nil,
        "return it from the function in place of storing it outside"
      )
    case .gradientOfNonScalar:
      return (
        "the gradient of a tensor with \(specs.first?.count ?? 0) elements is not defined",
        "the result has one element",
        "sum() or mean() first, or pass backward(gradient:), or use vjp or jacobian"
      )
    case .gradientOfDType:
      if specs.first?.dtype.isComplex == true {
        return (
          "the gradient of a \(specs[0].dtype) result is not defined", "the result is a real number",
          "abs(z), .real or .imaginary first, or pass backward(gradient:)"
        )
      }
      return (
        "\(specs.first.map { "\($0.dtype)" } ?? "there") has no gradient",
        "gradients are of floating and complex tensors", "cast(to: .float32)"
      )
    case .noGradient:
      return (
        "the tensor is not recorded for gradients", nil,
        "compute it from a Parameter or from requiringGradient(), outside of withoutGradient { }"
      )
    case .noGradientInCapture(ofGraph: true):
      return (
        "the tensor is not recorded for gradients", "backward() is for parameters, inside of graph.define { … }",
        "graph.gradients(of: loss, variable)"
      )
    case .noGradientInCapture:
      return (
        "the tensor is not recorded for gradients",
        "while a function is captured, a tensor from outside is a constant, also one that requires gradients",
        "a Parameter in its place, or an argument: compile(grad { w, x in … })"
      )
    case .freedGraph:
      return (
        "the graph was freed by an earlier backward pass", nil, "backward(retainGraph: true) in the first pass"
      )
    case .cotangentSpec(let expected):
      return (
        "it was given \(specs.first.map { "\($0)" } ?? "another tensor")", "shape and dtype are those of \(expected)",
        "expanded(to:), reshaped(…) or cast(to:)"
      )
    case .structure(let text):
      return (text, "one for each tensor, in their order", "the tree that the function takes, or gives, as its model")
    case .misuse(let problem, let rule, let remedy): return (problem, rule, remedy)
    case .message(let text): return (text, nil, nil)
    case .mapSizes(let sizes):
      return ("the mapped axes have sizes \(sizes)", "all mapped axes have one size", "inAxes: nil for shared tensors")
    case .mapWithoutAxis:
      return (
        "nothing is mapped", "at least one of inAxes is not nil",
        "call the function itself when all arguments are shared"
      )
    case .mappedIntoCell(let cell):
      return (
        "a mapped tensor cannot be written into \(cell): it holds one value, not one for each example", nil,
        "return the tensor from vmap and reduce it before writing"
      )
    case .valueOfGraph(let graph):
      return (
        "a tensor of a graph has no value before it is run (\(graph))", nil,
        "try Session(graph).run(tensor, feeding: [placeholder: value])"
      )
    case .graphIntoCell(let cell, let graph):
      return (
        "a tensor of a graph cannot be written into \(cell) (\(graph))", nil,
        "graph.define { … } around what reads and writes layers and optimizers, and run graph.updates"
      )
    case .cellOfSymbolic(let cell):
      return (
        "\(cell) cannot be made of a symbolic tensor: the function is being captured by compile",
        "a cell holds a value from its making on; random numbers are symbolic while a function is captured",
        "make the cell, or its layer, outside of the compiled function"
      )
    case .errorIntoCell(let cell): return ("an error tensor cannot be written into \(cell)", nil, nil)
    case .cellSpec(let cell, let expected):
      return (
        "\(specs.first.map { "\($0)" } ?? "the value") does not fit \(cell)", "\(cell) is \(expected)",
        "reshaped(…) or cast(to:), or a new cell for another shape"
      )
    case .stateNames(let missing, let unexpected, let misshapen, let near):
      var text: [String] = []
      if !missing.isEmpty { text.append("missing: \(missing.joined(separator: ", "))") }
      if !unexpected.isEmpty { text.append("unexpected: \(unexpected.joined(separator: ", "))") }
      if !misshapen.isEmpty { text.append("misshapen: \(misshapen.joined(separator: "; "))") }
      return (
        text.joined(separator: ". "), "names, shapes and dtypes are the model's",
        near.isEmpty ? nil : "did you mean \(near.joined(separator: ", "))?"
      )
    case .escapedFrame(let name): return ("the state of \(name) is over", nil, nil)
    case .customGradientCount(let count, let expected):
      return (
        "the gradient function gave \(counted(count, "gradient"))", "one for each input: \(expected)",
        "zeros for an input without a gradient, or nil from a function that is told what is needed"
      )
    case .noKernel(let device): return ("there is neither a kernel on \(device) nor a decomposition", nil, nil)
    case .noDevice(let device): return ("device \(device) is not part of this program", nil, nil)
    case .outOfMemory(let bytes):
      return (
        "\(bytes) bytes could not be allocated", nil,
        "a smaller batch, checkpointed blocks, or MemoryStatistics.emptyCache()"
      )
    case .device(let text): return (text, nil, nil)
    }
  }

  /// A number with its noun: `1 axis`, `2 axes`.
  package static func counted(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    "\(count) \(count == 1 ? one : many ?? one + "s")"
  }

  /// `2 tangents for 1 tensor`.
  package static func counts(_ count: Int, _ one: String, _ many: String? = nil, tensors: Int) -> String {
    "\(counted(count, one, many)) for \(counted(tensors, "tensor"))"
  }

  private static func indexRemedy(_ op: String, _ size: Int) -> String {
    guard op == "subscript" else { return "check what the indices were made for" }
    if size == 0 { return "an axis with elements, or a range, which may be empty" }
    return "0 or \(-size) for the first, \(size - 1) or -1 for the last"
  }

  /// Most often a tensor was made of Swift's `Double`, or of bytes, and the others are the model's.
  private static func mixRemedy(_ error: OpError) -> String {
    let dtypes = error.arguments.map { $0.dtype }
    func mixed(_ odd: (DType) -> Bool) -> (name: String, to: DType)? {
      guard let position = dtypes.firstIndex(where: odd), let other = dtypes.first(where: { $0.isFloating && !odd($0) })
      else { return nil }
      return (name(position, error), other)
    }
    if let (name, dtype) = mixed({ $0 == .float64 }) {
      return "\(name).cast(to: .\(dtype)): arrays and variables of Double become float64"
    }
    // Beside these an operation may take indices, which are what they have to be.
    if dtypes.count == 2 || dtypes.first?.isFloating == false, let (name, dtype) = mixed({ !$0.isFloating }) {
      return "\(name).cast(to: .\(dtype))"
    }
    return "cast(to:) on one of them"
  }

  private static func castRemedy(_ expected: String) -> String? {
    if expected == "a complex dtype" { return "cast(to: .complex64), or complex(real, imaginary)" }
    if expected.hasPrefix("a floating") { return "cast(to: .float32)" }
    if expected.hasPrefix("int64") { return "cast(to: .int64)" }
    if expected == "bool" { return "a comparison, or cast(to: .bool)" }
    return nil
  }

  /// The first axis at which two shapes do not meet.
  private static func broadcastDetail(_ specs: [TensorSpec]) -> String {
    guard specs.count == 2 else { return "" }
    let (a, b) = (specs[0].shape, specs[1].shape)
    for back in 1...max(1, min(a.rank, b.rank)) where back <= a.rank && back <= b.rank {
      let (x, y) = (a[a.rank - back], b[b.rank - back])
      if x != y, x != 1, y != 1 { return ": \(x) ≠ \(y) at axis -\(back)" }
    }
    return ""
  }

  private static func innerRemedy(_ specs: [TensorSpec]) -> String? {
    guard specs.count == 2, specs[0].rank >= 2, specs[1].rank >= 2 else { return "vectors of one size" }
    let (a, b) = (specs[0].shape, specs[1].shape)
    if a[a.rank - 1] == b[b.rank - 1] { return "b.transposed()" }
    if a[a.rank - 2] == b[b.rank - 2] { return "a.transposed()" }
    return "transposed() or reshaped(…), or a layer of another size"
  }
}
