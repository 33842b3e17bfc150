/// An operation that a pass makes for one process: programs are saved as they were before the passes.
public protocol PassMade: Op {
  /// The number of threads that it is made for; nil where that does not matter.
  var threads: Int? { get }
}

extension PassMade {
  public var threads: Int? { nil }
  public init(from decoder: any Decoder) throws {
    throw ProgramFault("\(Self.name) is made by a pass, and is not saved")
  }
  public func encode(to encoder: any Encoder) throws {
    throw ProgramFault("\(Self.name) is made by a pass, and is not saved")
  }
}
