import ArgumentParser
import Martlet

/// The networks that can be trained, for gray images of 28×28 in 10 classes.
enum Network: String, CaseIterable, Codable, ExpressibleByArgument {
  case mlp, lenet

  var summary: String {
    switch self {
    case .mlp: "Linear 784-512-512-10"
    case .lenet: "two 5x5 convolutions with pooling, Linear 3136-512-10"
    }
  }

  func make(_ generator: Generator) -> Sequential {
    switch self {
    case .mlp:
      Sequential {
        Flatten()
        Linear(784, 512, generator: generator)
        ReLU()
        Linear(512, 512, generator: generator)
        ReLU()
        Linear(512, 10, generator: generator)
      }
    case .lenet:
      Sequential {
        Conv2d(1, 32, kernelSize: 5, padding: 2, generator: generator)
        ReLU()
        MaxPool2d(kernelSize: 2)
        Conv2d(32, 64, kernelSize: 5, padding: 2, generator: generator)
        ReLU()
        MaxPool2d(kernelSize: 2)
        Flatten()
        Linear(3136, 512, generator: generator)
        ReLU()
        Linear(512, 10, generator: generator)
      }
    }
  }
}

enum OptimizerName: String, CaseIterable, Codable, ExpressibleByArgument {
  case adam, adamw, sgd

  var defaultRate: Double { self == .sgd ? 0.05 : 1e-3 }

  func make(_ parameters: [Parameter], learningRate: Double) -> any Optimizer {
    switch self {
    case .adam: Adam(parameters, learningRate: learningRate)
    case .adamw: AdamW(parameters, learningRate: learningRate)
    case .sgd: SGD(parameters, learningRate: learningRate, momentum: 0.9)
    }
  }
}

enum ScheduleName: String, CaseIterable, Codable, ExpressibleByArgument {
  case constant, cosine, step
  case oneCycle = "one-cycle"

  func make(_ rate: Double, steps: Int, stepsPerEpoch: Int) -> Schedule {
    let warmUp = min(100, max(1, steps / 20))
    return switch self {
    case .constant: .constant(rate)
    case .cosine: .cosine(rate, steps: max(1, steps - warmUp)).warmedUp(over: warmUp, from: 0.1)
    case .step: .step(rate, size: max(1, stepsPerEpoch * 2), factor: 0.5)
    case .oneCycle: .oneCycle(highest: rate, steps: steps)
    }
  }
}

enum MomentName: String, CaseIterable, Codable, ExpressibleByArgument { case now, compiled }

enum DataName: String, CaseIterable, Codable, ExpressibleByArgument {
  case mnist
  /// Drawn by the program.
  case digits
}
