import Martlet
import Testing

private final class Scale: Module {
  let factor = Parameter([1, 2])
  let times = 3
  let name = "wide"
  func forward(_ x: Tensor) -> Tensor { x * factor.value * times }
}

private final class Net: Module {
  let body = Sequential {
    Flatten()
    Linear(4, 2)
    Sequential { ReLU() }
  }
  let heads = [Linear(2, 1, bias: false), Linear(2, 3)]
  let drop = Dropout(0.25)
  let scale = Scale()
  func forward(_ x: Tensor) -> Tensor { heads[1](drop(body(x))) }
}

/// An optimizer that says nothing of how it prints.
private final class Shrink: Optimizer {
  let parameters: [Parameter] = []
  let rate = StateTensor(Tensor(0.5 as Double))
  let power = 2
  var cells: [(name: String, cell: Cell)] { [("rate", rate)] }
  func step() {}
}

@Suite struct DescriptionTests {
  @Test func models() {
    #expect(
      "\(Net())" == """
        Net(
          (body): Sequential(
            (0): Flatten(start: 1, end: -1)
            (1): Linear(inFeatures: 4, outFeatures: 2)
            (2): Sequential(
              (0): ReLU()
            )
          )
          (heads.0): Linear(inFeatures: 2, outFeatures: 1, bias: false)
          (heads.1): Linear(inFeatures: 2, outFeatures: 3)
          (drop): Dropout(probability: 0.25)
          (scale): Scale(times: 3, name: "wide")
        )
        """)
    #expect("\(ReLU())" == "ReLU()")
    #expect(
      "\(Conv2d(4, 6, kernelSize: [3, 5], padding: .same, groups: 2, bias: false))"
        == "Conv2d(inChannels: 4, outChannels: 6, kernelSize: [3, 5], stride: 1, padding: same, dilation: 1, groups: 2, "
        + "bias: false)")
    #expect(
      "\(MaxPool2d(kernelSize: 2, padding: [0, 1]))"
        == "MaxPool2d(kernelSize: 2, padding: [0, 1], dilation: 1, ceilMode: false)")
  }

  /// A part that is printed keeps the names that its model gave it.
  @Test func printingNamesNothing() {
    let model = Net()
    _ = model.parameters
    _ = model.body.description
    #expect(model.heads[0].weight.name == "heads.0.weight")
    #expect((model.body[1] as? Linear)?.weight.name == "body.1.weight")
  }

  @Test func cells() {
    let parameter = Parameter([1, 2])
    #expect(withoutDevice("\(parameter)") == "Parameter(float32[2])\n[1., 2.]")
    parameter.requiresGradient = false
    #expect(withoutDevice("\(parameter)") == "Parameter(float32[2], requiresGradient: false)\n[1., 2.]")
    #expect(withoutDevice("\(Buffer(Tensor([1, 2])))") == "Buffer(int64[2])\n[1, 2]")
    #expect("\(Cell(nil))" == "Cell(empty)")
    var inside = ""
    _ = compile { (x: Tensor) -> Tensor in
      inside = "\(parameter)"
      return x * parameter.value
    }([1, 2])
    #expect(withoutDevice(inside) == "Parameter(float32[2], requiresGradient: false, no value here)")
    #expect("\(Mode())" == "training")
  }

  @Test func optimizers() {
    #expect("\(Shrink())" == "Shrink(learningRate: 0.5, power: 2)")
    #expect(
      "\(Adam([], learningRate: 0.002))".hasPrefix("Adam(learningRate: 0.002, betas: (0.9, 0.999), epsilon: 1e-08"))
    #expect("\(SGD([], learningRate: 0.1, momentum: 0.9))".hasPrefix("SGD(learningRate: 0.1, momentum: 0.9"))
    // The rate is a part of a captured program, and has no value there.
    let optimizer = Adam([])
    var inside = ""
    _ = compile { (x: Tensor) -> Tensor in
      inside = "\(optimizer)"
      return x
    }([1, 2])
    #expect(withoutDevice(inside).hasPrefix("Adam(learningRate: Tensor(float64[], symbolic"))
  }
}
