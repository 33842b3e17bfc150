public import MartletCore

/// Elementwise not of a bool tensor.
public struct LogicalNot: ElementwiseUnary {
  public static var id: OpID { OpTable.logicalNot.id }
  public static var name: String { "logicalNot" }
  public static var rules: Rules { [.constant, .batched] }
  public static var domain: Domain { .bool }
  public init() {}
}
