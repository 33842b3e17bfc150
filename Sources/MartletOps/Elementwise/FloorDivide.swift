public import MartletCore

/// `⌊a / b⌋`, as Python's `//`; the derivative is 0. An integer by 0 gives 0, a float ±inf or NaN.
public struct FloorDivide: ElementwiseBinary {
  public static var id: OpID { OpTable.floorDivide.id }
  public static var name: String { "floorDivide" }
  public static var rules: Rules { [.constant, .batched] }
  public static var domain: Domain { .numeric }
  public init() {}
}
