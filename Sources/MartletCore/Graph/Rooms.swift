internal import CKernels

/// The parts of the package that link themselves in at first use.
package enum Rooms {
  private static let ops = ck_install_ops()
  private static let cpu = ck_install_cpu()
  private static let reference = ck_install_reference()

  static func requireOps() {
    guard ops else {
      fatalError("Martlet: the operations are not part of this program; add `import Martlet` or link MartletOps")
    }
  }

  /// Makes sure that the operations and the kernels of `device` are registered; ends the program when they are not linked.
  package static func require(_ device: Device) {
    requireOps()
    let found = device == .cpu ? cpu : cpu && reference
    guard found else {
      let room = device == .cpu ? "`import Martlet` or link MartletCPU" : "link MartletReference"
      fatalError("Martlet: device \(device) is not part of this program; add \(room)")
    }
  }
}

/// What the transforms need of the operations, which live one room above.
package final class TransformOps: Sendable {
  /// `target += value`, in place when nobody else holds the target.
  package let accumulate: @Sendable (_ target: inout Tensor, _ value: Tensor) -> Void
  /// `target[region] += value`, in place when nobody else holds the target.
  package let accumulateRegion: @Sendable (_ target: inout Tensor, _ value: Tensor, _ region: Region) -> Void
  /// Zeros of a shape, with the value in a region.
  package let embed: @Sendable (_ value: Tensor, _ shape: Shape, _ region: Region) -> Tensor
  /// `target[region] = 0`, in place when nobody else holds the target.
  package let clearRegion: @Sendable (_ target: inout Tensor, _ region: Region) -> Void
  /// `target[.., indices[i], ..] += values[.., i, ..]`.
  package let accumulateRows:
    @Sendable (_ target: inout Tensor, _ values: Tensor, _ indices: Tensor, _ axis: Int) -> Void
  /// Sums the axes along which `shape` was broadcast.
  package let sum: @Sendable (_ value: Tensor, _ shape: Shape) -> Tensor
  /// A tensor of equal elements.
  package let fill: @Sendable (_ value: Double, _ spec: TensorSpec) -> Tensor
  /// `x` with a new axis 0 of the given size, without a copy.
  package let expand: @Sendable (_ x: Tensor, _ size: Int) -> Tensor
  /// Moves an axis.
  package let moveAxis: @Sendable (_ x: Tensor, _ from: Int, _ to: Int) -> Tensor
  /// The rows of the identity, for Jacobians: shape [n, …shape].
  package let basis: @Sendable (_ spec: TensorSpec) -> Tensor
  package let copy: @Sendable (_ x: Tensor, _ device: Device) -> Tensor
  package let reshape: @Sendable (_ x: Tensor, _ shape: Shape) -> Tensor
  /// The first `count` rows of `x`, without a copy.
  package let firstRows: @Sendable (_ x: Tensor, _ count: Int) -> Tensor
  /// The operation that orders axes anew.
  package let permute: @Sendable (_ order: [Int]) -> any Op
  /// Rewritings of programs that know particular operations, in their order.
  package let passes: [Pass]
  /// All operations by their names, as programs in files call them.
  package let operations: [String: any Op.Type]

  package init(
    accumulate: @escaping @Sendable (inout Tensor, Tensor) -> Void,
    accumulateRegion: @escaping @Sendable (inout Tensor, Tensor, Region) -> Void,
    embed: @escaping @Sendable (Tensor, Shape, Region) -> Tensor,
    clearRegion: @escaping @Sendable (inout Tensor, Region) -> Void,
    accumulateRows: @escaping @Sendable (inout Tensor, Tensor, Tensor, Int) -> Void,
    sum: @escaping @Sendable (Tensor, Shape) -> Tensor,
    fill: @escaping @Sendable (Double, TensorSpec) -> Tensor,
    expand: @escaping @Sendable (Tensor, Int) -> Tensor,
    moveAxis: @escaping @Sendable (Tensor, Int, Int) -> Tensor,
    basis: @escaping @Sendable (TensorSpec) -> Tensor,
    copy: @escaping @Sendable (Tensor, Device) -> Tensor,
    reshape: @escaping @Sendable (Tensor, Shape) -> Tensor,
    firstRows: @escaping @Sendable (Tensor, Int) -> Tensor,
    permute: @escaping @Sendable ([Int]) -> any Op, passes: [Pass], operations: [any Op.Type]
  ) {
    self.accumulate = accumulate
    self.accumulateRegion = accumulateRegion
    self.embed = embed
    self.clearRegion = clearRegion
    self.accumulateRows = accumulateRows
    self.sum = sum
    self.fill = fill
    self.expand = expand
    self.moveAxis = moveAxis
    self.basis = basis
    self.copy = copy
    self.reshape = reshape
    self.firstRows = firstRows
    self.permute = permute
    self.passes = passes
    self.operations = Dictionary(uniqueKeysWithValues: operations.map { ($0.name, $0) })
  }

  // Written once, inside of the initialisation of `Rooms.ops`, and read after it.
  nonisolated(unsafe) private static var installed: TransformOps?
  package static func install(_ ops: TransformOps) { installed = ops }
  package static let current: TransformOps = {
    Rooms.requireOps()
    return installed!
  }()
}
