internal import CKernels

/// Where cells are read and written: none, a capture, other values that stand in.
package class StateFrame {
  /// The frame around this one.
  package let outer: StateFrame?
  package init() { outer = StateFrame.current }

  /// The frame of the calling thread.
  @inline(__always)
  package static var current: StateFrame? {
    guard let pointer = ck_here().pointee.frame else { return nil }
    return Unmanaged<StateFrame>.fromOpaque(pointer).takeUnretainedValue()
  }

  /// Runs `body` in this frame.
  package final func run<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let pointer = Unmanaged.passUnretained(self).toOpaque()
    defer { withExtendedLifetime(self) {} }
    return try Context.with({ $0.pointee.frame = pointer }, body)
  }

  /// Runs `body` in the frame around this one.
  package final func outside<R>(_ body: () -> R) -> R {
    let pointer = outer.map { Unmanaged.passUnretained($0).toOpaque() }
    return Context.with({ $0.pointee.frame = pointer }, body)
  }

  package func read(_ cell: Cell) -> Tensor? { outside { cell.read() } }
  package func write(_ value: Tensor?, to cell: Cell) { outside { cell.write(value) } }
  /// The level up to which a value that is written to the cell keeps its traces; nil when it keeps none.
  package func keptLevel(_ cell: Cell) -> Int32? { nil }
  /// A parameter's value as its reader sees it.
  package func value(of parameter: Parameter) -> Tensor { read(parameter)! }
  package func willRead(_ mode: Mode, _ isTraining: Bool) { outer?.willRead(mode, isTraining) }
  package func willRead(_ parameter: Parameter, requiresGradient: Bool) {
    outer?.willRead(parameter, requiresGradient: requiresGradient)
  }
  /// A layer has been called.
  package func called(_ layer: AnyObject, _ output: Any) { outer?.called(layer, output) }
}

/// Keeps what is written to itself.
package final class ScratchFrame: StateFrame {
  private var values: [ObjectIdentifier: Tensor?] = [:]
  package override func read(_ cell: Cell) -> Tensor? { values[ObjectIdentifier(cell)] ?? super.read(cell) }
  package override func write(_ value: Tensor?, to cell: Cell) { values[ObjectIdentifier(cell)] = .some(value) }
}

/// Calls a function for the structure of its result alone, after an error: no cell changes.
package func withoutWrites<R>(_ body: () -> R) -> R { ScratchFrame().run { body() } }

/// Other values stand in for cells: functional calls.
package final class SubstitutionFrame: StateFrame {
  private var values: [ObjectIdentifier: Tensor]
  /// The transforms that are around the frame, and so outlive what is written in it.
  private let depth = ck_here().pointee.depth

  package init(_ values: [ObjectIdentifier: Tensor]) {
    self.values = values
    super.init()
  }
  package override func read(_ cell: Cell) -> Tensor? { values[ObjectIdentifier(cell)] ?? super.read(cell) }
  package override func write(_ value: Tensor?, to cell: Cell) {
    guard values[ObjectIdentifier(cell)] != nil else { return super.write(value, to: cell) }
    values[ObjectIdentifier(cell)] = value
  }
  package override func keptLevel(_ cell: Cell) -> Int32? {
    values[ObjectIdentifier(cell)] != nil ? depth : outer?.keptLevel(cell)
  }
  package override func value(of parameter: Parameter) -> Tensor {
    values[ObjectIdentifier(parameter)] ?? outside { parameter.value }
  }
}
