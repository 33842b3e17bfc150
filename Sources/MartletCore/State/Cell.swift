internal import CKernels

/// A place that holds a tensor which changes: all mutable state of models, optimizers and generators lives in cells.
///
/// Cells are read and written through the current state frame: in `compile` a read becomes an input of the program and a
/// write an output; in `model.with(state)` other values stand in. A cell belongs to one task.
open class Cell {
  /// The value outside of any frame; nil for a gradient that is not there.
  @exclusivity(unchecked) package final var content: Tensor?
  /// What errors call the cell.
  package final var name: String
  /// Whether that is its place in a model.
  package final var isNamed = false
  /// Holds the state of a generator: what is written depends on the calls of `vmap` around a draw.
  package final var isGenerator = false

  /// A cell that holds a value from its making on, also when it is made inside of `compile` or `lazy`. A symbolic or mapped
  /// value is an error.
  public init(_ value: Tensor?, name: String = "cell") {
    self.name = name
    content = value
    if let value, value.node.trace != nil { content = initial(value) }
  }

  /// The plain tensor of which a cell is made.
  private func initial(_ value: Tensor) -> Tensor {
    var tensor = value.resolved()
    while let trace = tensor.node.trace {
      switch trace {
      case is Mapped:
        return fail(OpError(.mappedIntoCell(name), op: "\(type(of: self))", arguments: [tensor.spec]), [tensor])[0]
      case let symbolic as Symbolic:
        return fail(
          OpError(symbolic.isOver ? symbolic.escape : .cellOfSymbolic(name), op: "\(type(of: self))"), [tensor])[0]
      default:
        guard let inner = tensor.node.inner else { return tensor }
        tensor = inner.resolved()
      }
    }
    return tensor
  }

  /// The value in the current frame.
  public final func read() -> Tensor? {
    guard let frame = StateFrame.current else { return wholeContent }
    return frame.read(self)
  }

  /// Whether the value in the current frame has this spec.
  package final func holds(_ spec: TensorSpec) -> Bool {
    if StateFrame.current == nil, let content { return content.node.spec == spec }
    return read()?.spec == spec
  }

  /// The value outside of any frame, also where it is kept in another form.
  package var wholeContent: Tensor? { content }

  /// Replaces the value in the current frame. A mapped value or an error value is refused.
  public final func write(_ value: Tensor?) {
    var value = value
    if let tensor = value {
      guard let accepted = admitted(tensor, StateFrame.current?.keptLevel(self) ?? -1) else { return }
      value = accepted
    }
    if let frame = StateFrame.current {
      frame.write(value, to: self)
    } else {
      contentWillChange()
      content = value
    }
    if let pointer = ck_here().pointee.lazy {
      Unmanaged<LazyScope>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.wrote(self) }
    }
  }

  /// The value, given away so that it can be changed in place; followed by `write`.
  ///
  /// Inside `withErrors` the cell keeps it: if what follows fails, nothing may have changed. A caller that `restores` it then
  /// can have it alone.
  package final func take(restores: Bool = false) -> Tensor? {
    if let frame = StateFrame.current { return frame.read(self) }
    let value = wholeContent
    contentWillChange()
    content = restores || ErrorScope.slot == nil ? nil : value
    return value
  }

  /// Adds to the value; the first addition sets it.
  package final func accumulate(_ value: Tensor) {
    guard var sum = take() else { return write(value) }
    TransformOps.current.accumulate(&sum, value)
    write(sum)
  }

  /// Called before the content changes outside of a frame.
  package func contentWillChange() {}

  /// What may be stored: values without the traces of a transform that will be over. Traces up to level `kept` stay.
  private func admitted(_ tensor: Tensor, _ kept: Int32) -> Tensor? {
    var tensor = tensor
    while let trace = tensor.node.trace {
      if kept >= 0, trace.level <= kept || trace is Pending { return tensor }
      switch trace {
      case is Mapped:
        fail(OpError(.mappedIntoCell(name), op: "write", arguments: [tensor.spec]))
        return nil
      case is Failed: return nil
      case is Recorded, is Dual:
        guard let inner = tensor.node.inner else { return nil }
        tensor = inner
      case is Pending:
        // What it yields may be recorded: taken off when it runs, as for a value that is there.
        return tensor.detached()
      case let symbolic as Symbolic where symbolic.builder.isGraph && StateFrame.current == nil:
        fail(OpError(.graphIntoCell(name, graph: symbolic.builder.name), op: "write", arguments: [tensor.spec]))
        return nil
      default: return tensor
      }
    }
    return tensor
  }

  /// Writes a value of the same spec, or reports that it does not fit.
  package final func writeChecked(_ value: Tensor, op: String) {
    if let old = read(), old.shape != value.shape || old.dtype != value.dtype {
      fail(OpError(.cellSpec(name, expected: old.spec), op: op, arguments: [value.spec]))
      return
    }
    write(value)
  }
}

/// A cell of an optimizer or a layer: moments, step count, learning rate, running mean.
public final class StateTensor: Cell {
  /// The value in the current frame. Setting a tensor of another shape or dtype is an error.
  public var value: Tensor {
    get { read()! }
    set { writeChecked(newValue, op: "set") }
  }
  public convenience init(_ value: Tensor) { self.init(value, name: "state") }
}

/// A tensor of a model that is part of its state but not trained.
public final class Buffer: Cell {
  /// The value in the current frame. Setting a tensor of another shape or dtype is an error.
  public var value: Tensor {
    get { read()! }
    set { writeChecked(newValue, op: "set") }
  }
  public convenience init(_ value: Tensor) { self.init(value, name: "buffer") }
}

/// A tensor of a model that is trained.
public final class Parameter: Cell {
  /// Where `backward()` adds up the gradient.
  package let gradient: GradientCell
  /// Whether gradients are computed for it. True at first. A program that depends on it is only valid for the value that
  /// it had.
  public var requiresGradient: Bool {
    get {
      StateFrame.current?.willRead(self, requiresGradient: isTrained)
      return isTrained
    }
    set { isTrained = newValue }
  }
  @exclusivity(unchecked) private final var isTrained = true
  /// Whether `backward()` keeps the gradient as rows where it comes as rows: the parameter is a table that was only looked
  /// up (`take`). False at first; `Embedding(…, sparse: true)` sets it.
  ///
  /// The rows are `gradientRows`. A gradient is dense all the same inside `compile` and other frames of state, whose programs
  /// have tensors of known sizes, with hooks, and where the table was also used in another way.
  public final var keepsGradientRows = false
  /// A row that is left out of a gradient of rows: that of an embedding's padding.
  package final var rowWithoutGradient: Int?
  private let leaf: Recorded
  /// The value as a leaf; made at the first read after a change.
  @exclusivity(unchecked) private final var leafTensor: Tensor?

  public init(_ value: Tensor) {
    gradient = GradientCell(nil, name: "grad")
    leaf = Recorded(leaf: value.spec, level: 0, scope: nil)
    super.init(value, name: "parameter")
    if !value.dtype.isInexact { fail(OpError(.gradientOfDType, op: "Parameter", arguments: [value.spec])) }
    watch(leaf)
  }

  private func watch(_ leaf: Recorded) {
    let watch = Recorded.Watch()
    watch.leafGradient = gradient
    watch.parameter = self
    leaf.watch = watch
  }

  /// The value in the current frame, as a leaf for `backward()`. Setting another shape or dtype is an error.
  public var value: Tensor {
    get {
      let here = ck_here()
      if let frame = StateFrame.current { return frame.value(of: self) }
      guard isTrained, here.pointee.flags & UInt32(CK_NO_RECORD) == 0 else { return content! }
      if let leafTensor { return leafTensor }
      let tensor = Tensor(node: TensorNode(spec: content!.spec, trace: leaf, inner: content!))
      leafTensor = tensor
      return tensor
    }
    set { writeChecked(newValue, op: "set") }
    _modify {
      // `p.value -= …` changes the elements in place when nobody else holds them.
      let spec = read()!.spec
      var tensor = take()!
      defer {  // also when the access throws
        if tensor.shape == spec.shape, tensor.dtype == spec.dtype {
          write(tensor)
        } else {
          fail(OpError(.cellSpec(name, expected: spec), op: "set", arguments: [tensor.spec]), [tensor])
        }
      }
      yield &tensor
    }
  }

  /// The gradient that `backward()` has added up; nil before the first and after `zeroGrad()`. Setting another shape or
  /// dtype than the value's is an error. One that is kept as rows is spread over zeros at each reading: `gradientRows` has
  /// the rows alone. Inside `withErrors`, after an error, one that is not there reads as an error tensor.
  public var grad: Tensor? {
    get { gradient.read() ?? ErrorScope.gradient(read()?.spec) }
    set {
      if let newValue, let value = read(), newValue.shape != value.shape || newValue.dtype != value.dtype {
        fail(OpError(.cellSpec(gradient.name, expected: value.spec), op: "set", arguments: [newValue.spec]), [newValue])
        return
      }
      gradient.write(newValue)
    }
  }

  package override func contentWillChange() { leafTensor = nil }

  /// The hooks on the gradient, by number.
  package var hooks: [Int] { leaf.watch?.hooks.map { $0.id } ?? [] }

  /// A leaf around a frame's value, with the hooks that are on the parameter's own.
  func leafTensor(of value: Tensor, level: Int32) -> Tensor {
    let leaf = Recorded(leaf: value.spec, level: level, scope: nil)
    watch(leaf)
    leaf.watch!.hooks = self.leaf.watch?.hooks ?? []
    return Tensor(node: TensorNode(spec: value.spec, trace: leaf, inner: value))
  }
}

/// Whether a layer trains or evaluates. A program that read it is only valid for the value that it read.
public final class Mode {
  private var training = true
  public init() {}
  /// True while training.
  public var isTraining: Bool {
    get {
      StateFrame.current?.willRead(self, training)
      return training
    }
    set { training = newValue }
  }
  package var current: Bool { training }
}

extension Parameter {
  /// The sizes of the axes.
  public var shape: Shape { read()!.shape }
  /// The type of the elements.
  public var dtype: DType { read()!.dtype }
}
