import Martlet
import MartletCore
import MartletOps
import Testing

/// Compiled steps, whose updates are joined, train as steps by single operations do.
@Suite(.enabled(if: Device.current == .cpu)) struct JoinedUpdateTests {
  /// The parameters after three steps on five rows that are drawn.
  private func trained(
    _ model: Sequential, _ optimizer: ([Parameter]) -> any Optimizer, features: Int, scale: Double, compiled: Bool,
    loss: @escaping (Tensor) -> Tensor
  ) -> [[Float]] {
    for (number, parameter) in model.parameters.enumerated() {
      parameter.value = Tensor.normal(parameter.value.shape, generator: Generator(seed: number)) * scale
    }
    let optimizer = optimizer(model.parameters)
    let plain = { (x: Tensor) -> Tensor in
      optimizer.zeroGrad()
      let loss = loss(x)
      loss.backward()
      optimizer.step()
      return loss
    }
    let step = compile(plain)
    let x = Tensor.normal([5, features], generator: Generator(seed: 9))
    for _ in 0..<3 { _ = compiled ? step(x) : plain(x) }
    return model.parameters.map { $0.value.array(as: Float.self) }
  }

  /// Parameters of one shape side by side, more than go into one operation, and the first step, which has no momentum yet.
  @Test(arguments: ["SGD", "momentum", "Adam", "AMSGrad"]) func updatesAgree(name: String) throws {
    func trained(compiled: Bool) -> [[Float]] {
      let model = Sequential {
        Linear(6, 6)
        BatchNorm1d(6)
        Linear(6, 6)
        BatchNorm1d(6)
        Linear(6, 6)
      }
      return self.trained(
        model,
        { parameters in
          switch name {
          case "SGD": SGD(parameters, learningRate: 0.01)
          case "momentum": SGD(parameters, learningRate: 0.01, momentum: 0.9)
          case "Adam": Adam(parameters, learningRate: 0.01)
          default: Adam(parameters, learningRate: 0.01, amsgrad: true)
          }
        }, features: 6, scale: 1, compiled: compiled
      ) { x in (model(x) * model(x)).mean() }
    }
    for (a, b) in zip(trained(compiled: true), trained(compiled: false)) {
      #expect(allClose(Tensor(a), Tensor(b), relative: 1e-4, absolute: 1e-5))
    }
  }

  /// Under autocast joined updates read bfloat16: parameters that many threads share beside small ones.
  @Test(arguments: [false, true]) func narrowUpdatesAgree(isAdam: Bool) throws {
    func trained(compiled: Bool) -> [[Float]] {
      let model = Sequential {
        Linear(100, 200)
        Linear(200, 3)
      }
      return self.trained(
        model,
        { isAdam ? Adam($0, learningRate: 1e-3) : SGD($0, learningRate: 0.01, momentum: 0.9) },
        features: 100, scale: 0.1, compiled: compiled
      ) { x in withAutocast { (model(x).cast(to: .float32) * 2).sum() } }
    }
    for (a, b) in zip(trained(compiled: true), trained(compiled: false)) {
      #expect(allClose(Tensor(a), Tensor(b), relative: 2e-2, absolute: 5e-3))
    }
  }
}
