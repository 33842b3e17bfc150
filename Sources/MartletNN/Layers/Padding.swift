public import MartletCore
import MartletOps

/// What the layers share that put something around the spatial axes of `[N, C, …]` or `[C, …]`.
///
/// Widths stand in PyTorch's order, from the last axis to the first: left and right, then upper and lower, then front and
/// back. They are 0 or more; below the size of the axis for reflection, at most the size for circular padding.
public class PaddingLayer: Module {
  /// The widths from the last axis to the first: left, right, upper, lower, front, back.
  public final let padding: [Int]
  let mode: PadMode
  class var axes: Int { 2 }

  init(_ padding: [Int], _ mode: PadMode) {
    self.padding = padding
    self.mode = mode
  }
  public var settings: String { "\(padding)" }

  public final func forward(_ x: Tensor) -> Tensor {
    let axes = Self.axes
    let layer = "\(type(of: self))"
    guard padding.count == 2 * axes else {
      return failure(
        .misuse(
          "the widths are \(padding)",
          rule:
            "one number, or \(2 * axes): \(["left, right", "upper, lower", "front, back"][..<axes].joined(separator: ", "))"
        ), op: layer, [x])
    }
    guard x.rank == axes + 1 || x.rank == axes + 2 else {
      let spatial = ["L", "H, W", "D, H, W"][axes - 1]
      return failure(
        .rank(argument: 0, expected: "\(axes + 2): [N, C, \(spatial)], or \(axes + 1): [C, \(spatial)]"), op: layer, [x]
      )
    }
    var widths = [(Int, Int)](repeating: (0, 0), count: x.rank)
    for axis in 0..<axes { widths[x.rank - 1 - axis] = (padding[2 * axis], padding[2 * axis + 1]) }
    return x.padded(widths, mode: mode)
  }
}

/// Zeros around `[N, C, L]` or `[C, L]`. Source: PyTorch `ZeroPad1d`.
public final class ZeroPad1d: PaddingLayer {
  override class var axes: Int { 1 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 2)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .constant(0)) }
}

/// A number around `[N, C, L]` or `[C, L]`. Source: PyTorch `ConstantPad1d`.
public final class ConstantPad1d: PaddingLayer {
  override class var axes: Int { 1 }
  public let value: Double
  /// The same width at all sides.
  public convenience init(_ padding: Int, value: Double) {
    self.init([Int](repeating: padding, count: 2), value: value)
  }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int], value: Double) {
    self.value = value
    super.init(padding, .constant(value))
  }
  public override var settings: String { "\(padding), value: \(value)" }
}

/// The input mirrored at its border elements around `[N, C, L]` or `[C, L]`. Source: PyTorch `ReflectionPad1d`.
public final class ReflectionPad1d: PaddingLayer {
  override class var axes: Int { 1 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 2)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .reflect) }
}

/// The border elements around `[N, C, L]` or `[C, L]`. Source: PyTorch `ReplicationPad1d`.
public final class ReplicationPad1d: PaddingLayer {
  override class var axes: Int { 1 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 2)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .replicate) }
}

/// The input over again around `[N, C, L]` or `[C, L]`. Source: PyTorch `CircularPad1d`.
public final class CircularPad1d: PaddingLayer {
  override class var axes: Int { 1 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 2)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .circular) }
}

/// Zeros around `[N, C, H, W]` or `[C, H, W]`. Source: PyTorch `ZeroPad2d`.
public final class ZeroPad2d: PaddingLayer {
  override class var axes: Int { 2 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 4)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .constant(0)) }
}

/// A number around `[N, C, H, W]` or `[C, H, W]`. Source: PyTorch `ConstantPad2d`.
public final class ConstantPad2d: PaddingLayer {
  override class var axes: Int { 2 }
  public let value: Double
  /// The same width at all sides.
  public convenience init(_ padding: Int, value: Double) {
    self.init([Int](repeating: padding, count: 4), value: value)
  }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int], value: Double) {
    self.value = value
    super.init(padding, .constant(value))
  }
  public override var settings: String { "\(padding), value: \(value)" }
}

/// The input mirrored at its border elements around `[N, C, H, W]` or `[C, H, W]`. Source: PyTorch `ReflectionPad2d`.
public final class ReflectionPad2d: PaddingLayer {
  override class var axes: Int { 2 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 4)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .reflect) }
}

/// The border elements around `[N, C, H, W]` or `[C, H, W]`. Source: PyTorch `ReplicationPad2d`.
public final class ReplicationPad2d: PaddingLayer {
  override class var axes: Int { 2 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 4)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .replicate) }
}

/// The input over again around `[N, C, H, W]` or `[C, H, W]`. Source: PyTorch `CircularPad2d`.
public final class CircularPad2d: PaddingLayer {
  override class var axes: Int { 2 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 4)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .circular) }
}

/// Zeros around `[N, C, D, H, W]` or `[C, D, H, W]`. Source: PyTorch `ZeroPad3d`.
public final class ZeroPad3d: PaddingLayer {
  override class var axes: Int { 3 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 6)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .constant(0)) }
}

/// A number around `[N, C, D, H, W]` or `[C, D, H, W]`. Source: PyTorch `ConstantPad3d`.
public final class ConstantPad3d: PaddingLayer {
  override class var axes: Int { 3 }
  public let value: Double
  /// The same width at all sides.
  public convenience init(_ padding: Int, value: Double) {
    self.init([Int](repeating: padding, count: 6), value: value)
  }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int], value: Double) {
    self.value = value
    super.init(padding, .constant(value))
  }
  public override var settings: String { "\(padding), value: \(value)" }
}

/// The input mirrored at its border elements around `[N, C, D, H, W]` or `[C, D, H, W]`. Source: PyTorch `ReflectionPad3d`.
public final class ReflectionPad3d: PaddingLayer {
  override class var axes: Int { 3 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 6)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .reflect) }
}

/// The border elements around `[N, C, D, H, W]` or `[C, D, H, W]`. Source: PyTorch `ReplicationPad3d`.
public final class ReplicationPad3d: PaddingLayer {
  override class var axes: Int { 3 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 6)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .replicate) }
}

/// The input over again around `[N, C, D, H, W]` or `[C, D, H, W]`. Source: PyTorch `CircularPad3d`.
public final class CircularPad3d: PaddingLayer {
  override class var axes: Int { 3 }
  /// The same width at all sides.
  public convenience init(_ padding: Int) { self.init([Int](repeating: padding, count: 6)) }
  /// A width for each side, in PyTorch's order.
  public init(_ padding: [Int]) { super.init(padding, .circular) }
}
