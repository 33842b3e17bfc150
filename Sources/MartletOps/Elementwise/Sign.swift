public import MartletCore

/// -1, 0 or 1; NaN for NaN.
public struct Sign: ElementwiseUnary {
  public static var id: OpID { OpTable.sign.id }
  public static var name: String { "sign" }
  public static var rules: Rules { [.constant, .batched] }
  public static var domain: Domain { .signed }
  public init() {}
}
