public import MartletCore
import MartletOps

/// `max(x, 0)`.
public final class ReLU: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { relu(x) }
}

/// The hyperbolic tangent.
public final class Tanh: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { tanh(x) }
}

/// `1 / (1 + exp(-x))`.
public final class Sigmoid: Module {
  public init() {}
  public func forward(_ x: Tensor) -> Tensor { sigmoid(x) }
}

/// `exp(x) / sum(exp(x))` along an axis.
public final class Softmax: Module {
  public let axis: Int
  public init(axis: Int = -1) { self.axis = axis }
  public func forward(_ x: Tensor) -> Tensor { softmax(x, axis: axis) }
}

/// The axes from `start` to `end` merged into one; by default all but the first.
public final class Flatten: Module {
  public let start: Int
  public let end: Int
  public init(from start: Int = 1, to end: Int = -1) {
    self.start = start
    self.end = end
  }
  public func forward(_ x: Tensor) -> Tensor { x.flattened(from: start, to: end) }
}
