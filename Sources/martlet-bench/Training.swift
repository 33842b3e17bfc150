import Martlet

/// Steps of training on random images, in the sizes of MNIST, batch 128, with Adam.
func training(_ workload: String, _ model: () -> Sequential, modes: Set<String>, seconds: Double) {
  let batch = 128
  let generator = Generator(seed: 0)
  let x = Tensor.normal([batch, 1, 28, 28], generator: generator)
  let y = (Tensor.uniform([batch], generator: generator) * 10).cast(to: .int64)
  for mode in ["eager", "compiled"] where modes.contains(mode) {
    let model = model()
    let optimizer = Adam(model.parameters)
    func step(_ x: Tensor, _ y: Tensor) -> Tensor {
      optimizer.zeroGrad()
      let loss = crossEntropy(model(x), y)
      loss.backward()
      optimizer.step()
      return loss.detached()
    }
    let run: (Tensor, Tensor) -> Tensor
    if mode == "compiled" {
      let compiled = compile { (x: Tensor, y: Tensor) in step(x, y) }
      run = { compiled($0, $1) }
    } else {
      run = step
    }
    let time = medianTime(seconds: seconds) { _ = run(x, y).item() }
    emit(workload, mode, Double(batch) / time, "samples/s", median: Double(batch) / time)
  }
}

/// Linear 784-512-512-10 with ReLU.
func mlp() -> Sequential {
  Sequential {
    Flatten()
    Linear(784, 512)
    ReLU()
    Linear(512, 512)
    ReLU()
    Linear(512, 10)
  }
}

/// Two 5×5 convolutions with pooling, then Linear 3136-512-10.
func lenet() -> Sequential {
  Sequential {
    Conv2d(1, 32, kernelSize: 5, padding: 2)
    ReLU()
    MaxPool2d(kernelSize: 2)
    Conv2d(32, 64, kernelSize: 5, padding: 2)
    ReLU()
    MaxPool2d(kernelSize: 2)
    Flatten()
    Linear(3136, 512)
    ReLU()
    Linear(512, 10)
  }
}
