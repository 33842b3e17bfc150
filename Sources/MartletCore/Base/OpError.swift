/// What a rule found wrong, as facts; `ErrorText.swift` turns it into a text.
public indirect enum Fact: Sendable, Equatable {
  case rank(argument: Int, expected: String)
  case dtype(argument: Int, expected: String)
  case dtypesDiffer
  case devicesDiffer
  case broadcast
  case notBroadcastable(to: Shape)
  case axis(Int, rank: Int)
  case repeatedAxis(Int)
  case permutation([Int], rank: Int)
  case reshape(to: Shape)
  case unknownSize(to: Shape)
  case negativeSize(Shape)
  case tooLarge(Shape)
  case innerSizes(Int, Int)
  case concatSizes(input: Int, axis: Int, Int, Int)
  case noInputs
  case index(Int, size: Int, axis: Int)
  case sliceStep(axis: Int)
  case sliceValue(Shape, region: Shape)
  case tooManySubscripts(Int, rank: Int)
  case emptyReduction(axis: Int)
  case count(name: String, Int, allowed: String)
  case argumentShape(argument: Int, expected: String)
  case label(Int, classes: Int)
  case ranksExceeded(Int)
  case numberOfInputs(Int, expected: String)

  case notScalar
  case valueOfMapped
  case valueOfSymbolic(capture: String)
  case escapedCapture(capture: String)
  case maskWithoutValue(Fact)
  case escapedTransform(String)
  case gradientOfNonScalar
  case gradientOfDType
  case noGradient
  case noGradientInCapture(ofGraph: Bool)
  case freedGraph
  case cotangentSpec(expected: TensorSpec)
  case structure(String)
  case mapSizes([Int])
  case mapWithoutAxis
  case mappedIntoCell(String)
  case errorIntoCell(String)
  case cellOfSymbolic(String)
  case valueOfGraph(graph: String)
  case graphIntoCell(String, graph: String)
  case cellSpec(String, expected: TensorSpec)
  case stateNames(missing: [String], unexpected: [String], misshapen: [String], near: [String])
  case escapedFrame(String)
  case customGradientCount(Int, expected: Int)

  case noKernel(Device)
  case noDevice(Device)
  case outOfMemory(bytes: Int)
  case device(String)
  /// What only one operation checks: the problem, the rule and the remedy.
  case misuse(String, rule: String, remedy: String? = nil)
  case message(String)
}

/// An operation that cannot be done: the facts, the operation, its arguments and where it was asked for.
public struct OpError: Error, Sendable, CustomStringConvertible {
  public let fact: Fact
  /// The operation, as in `OpTable`; empty until `apply` has filled it in.
  public package(set) var op: String
  /// The specs of the arguments.
  public package(set) var arguments: [TensorSpec]
  /// The names of the arguments, in their order.
  package var argumentNames: [String] = []
  /// The path of the layer that was being called, outermost first.
  public package(set) var layers: [String]
  /// The function in which the operation was called, of those that are made of several operations; empty if none.
  package var call = ""
  /// The calls that led to the operation, whose line is looked up when it is asked for.
  package var origin: Origin?
  /// The line of the call where it is known without them: `main.swift:12`.
  package var place: String?
  /// How the operation came to run there.
  package var moment = Moment.now
  /// With `MARTLET_ORIGINS=1`, where the arguments were made.
  package var argumentOrigins: [String] = []

  package enum Moment: Sendable {
    case now
    /// While a function was captured: `compile at main.swift:3`.
    case captured(by: String)
    /// In the program that was captured, when it was called.
    case program(of: String)
    /// At the reading of what `lazy` had put off.
    case forced
  }

  /// Where the operation was called, and inside of what; with `MARTLET_ORIGINS=1` also where the arguments were made.
  ///
  /// The first reading takes about a second: the lines are looked up in the program's file.
  public var origins: [String] { ErrorText.callLine(self) + argumentOrigins }

  public init(_ fact: Fact, op: String = "", arguments: [TensorSpec] = []) {
    self.fact = fact
    self.op = op
    self.arguments = arguments
    self.layers = []
  }

  /// The whole text: what is wrong, the rule as arithmetic, the remedy, the layer.
  public var description: String { ErrorText.text(self) }
}

/// A device that failed: out of memory, a fault found late.
public typealias DeviceError = OpError
