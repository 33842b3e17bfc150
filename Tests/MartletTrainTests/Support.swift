import Foundation
import Martlet

/// A folder of its own for each test, removed with it.
final class Folder {
  let path = FileManager.default.temporaryDirectory.appending(path: "martlet \(UUID())").path
  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// The reason of a file error; empty when there is none.
func reason(_ body: () throws -> Void) -> String {
  do {
    try body()
    return ""
  } catch let error as FileError {
    return error.reason
  } catch {
    return "\(error)"
  }
}

/// 40 small images in 10 classes, 12 in a batch.
let digits = DrawnDigits(seed: 5).split(train: 40, test: 10)

final class Small: Module {
  let fc1: Linear
  let dropout: Dropout
  let fc2: Linear
  init(_ generator: Generator) {
    fc1 = Linear(784, 16, generator: generator)
    dropout = Dropout(0.2, generator: generator)
    fc2 = Linear(16, 10, generator: generator)
  }
  func forward(_ x: Tensor) -> Tensor { fc2(dropout(relu(fc1(x.flattened(from: 1))))) }
}

func makeTrainer(compiled: Bool, sgd: Bool = false) -> Trainer {
  let generator = Generator(seed: 9)
  let model = Small(generator)
  let optimizer: any Optimizer =
    sgd ? SGD(model.parameters, learningRate: 0.1, momentum: 0.9) : Adam(model.parameters)
  return Trainer(
    model, optimizer: optimizer, schedule: .cosine(0.01, steps: 20), generators: [("generator", generator)],
    compiled: compiled)
}
