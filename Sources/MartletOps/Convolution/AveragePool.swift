public import MartletCore

/// The mean of each window of `x: [N, C, spatial…]`.
public struct AveragePool: PoolingOp {
  public static var id: OpID { OpTable.averagePool.id }
  public static var name: String { "averagePool" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let window: PoolingWindow
  /// Whether padding counts as zeros; else the mean is over the elements inside.
  public let countsPadding: Bool
  public init(_ window: PoolingWindow, countsPadding: Bool) {
    self.window = window
    self.countsPadding = countsPadding
  }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 1 else { throw OpError(.numberOfInputs(inputs.count, expected: "1")) }
    return [try pooled(inputs[0])]
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let size = Shape(saved.spec(0).shape[2...])
    return [.dense(apply(AveragePoolGradient(window, countsPadding: countsPadding, size: size), [ct[0]!])[0])]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, [$0])[0] }]
  }
  public var attributes: String { "\(window)" + (countsPadding ? ", countsPadding" : "") }
}

/// The adjoint of average pooling: each element of `g: [N, C, out…]` spread evenly over its window in `[N, C, size…]`.
public struct AveragePoolGradient: PoolingOp {
  public static var id: OpID { OpTable.averagePoolGradient.id }
  public static var name: String { "averagePoolGradient" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public static var argumentNames: [String] { ["g"] }
  public let window: PoolingWindow
  public let countsPadding: Bool
  /// The spatial sizes of the pooled tensor.
  public let size: Shape
  public init(_ window: PoolingWindow, countsPadding: Bool, size: Shape) {
    self.window = window
    self.countsPadding = countsPadding
    self.size = size
  }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    guard inputs.count == 1 else { throw OpError(.numberOfInputs(inputs.count, expected: "1")) }
    let g = inputs[0]
    guard g.rank == size.rank + 2 else {
      throw OpError(.rank(argument: 0, expected: "\(size.rank + 2): two and \(size.rank) spatial ones"))
    }
    guard g.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    let x = g.with(shape: Shape(Array(g.shape[..<2]) + Array(size)))
    guard x.shape.checkedElementCount != nil else { throw OpError(.tooLarge(x.shape)) }
    let out = try window.outputSize(size)
    guard Shape(g.shape[2...]) == out else {
      throw OpError(.argumentShape(argument: 0, expected: "[N, C] and then \(out), for an input of \(size)"))
    }
    return [x]
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(apply(AveragePool(window, countsPadding: countsPadding), [ct[0]!])[0])]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { apply(self, [$0])[0] }]
  }
  public var attributes: String { "\(window), size=\(size)" + (countsPadding ? ", countsPadding" : "") }
}
