public import MartletCore

// What PyTorch's users type from habit, for what the compiler then says.

extension Module {
  @available(*, unavailable, message: "model.state has the tensors by PyTorch's names")
  public func state_dict() -> State { fatalError("unavailable") }
  @available(*, unavailable, message: "try model.load(state)")
  public func load_state_dict(_ state: State) { fatalError("unavailable") }
  @available(*, unavailable, renamed: "zeroGrad")
  public func zero_grad() { fatalError("unavailable") }
}

extension Optimizer {
  @available(*, unavailable, renamed: "zeroGrad")
  public func zero_grad() { fatalError("unavailable") }
}
