import ArgumentParser
import Martlet

/// One model, one source, trained three times: now, on demand, ahead of time. The losses must agree step by step.
@main
struct ThreeMoments: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Trains one network now, on demand and ahead of time, and compares the three.")

  @Option(help: "A folder with the four MNIST files; without it digits are drawn by the program.")
  var data: String?

  @Option(help: "Passes over the training images.")
  var epochs = 3

  @Option(help: "Seeds weights, dropout and the order of the images.")
  var seed = 1

  @Option(help: "Training images to draw when there is no --data.")
  var images = 40_000

  func validate() throws {
    guard epochs > 0 else { throw ValidationError("--epochs is 1 or more") }
    guard images >= 1000 else { throw ValidationError("--images is 1000 or more") }
  }

  func run() throws {
    let digits: MNIST
    if let data {
      digits = try MNIST.load(from: data)
      print("MNIST: \(digits.train.count) images to train, \(digits.test.count) to test")
    } else {
      digits = DrawnDigits(seed: UInt64(bitPattern: Int64(seed))).split(train: images, test: 5000)
      print("drawn digits: \(digits.train.count) images to train, \(digits.test.count) to test")
      print("(MNIST itself: --data with the folder of its four .gz files)")
    }
    let train = Digits(digits.train)
    let test = Digits(digits.test)
    var runs: [Run] = []
    for moment in Moment.allCases {
      runs.append(Run(moment, epochs: epochs, seed: seed, train: train, test: test))
    }

    print("\nmoment           seconds     loss   accuracy")
    for run in runs {
      let name = run.moment.rawValue.padded(to: 15)
      print(
        "\(name) \(run.seconds.text(1, width: 8)) \(run.losses.last!.text(4, width: 8)) \((run.accuracy * 100).text(2, width: 8)) %"
      )
    }
    try compare(runs)
  }

  /// Fails when a run differs from the first in one of the first 200 losses, or has learnt too little.
  private func compare(_ runs: [Run]) throws {
    var failed = false
    for run in runs.dropFirst() {
      for (step, (loss, expected)) in zip(run.losses, runs[0].losses).prefix(200).enumerated()
      where !(abs(loss - expected) <= 1e-4 * max(1, abs(expected))) {
        print("\(run.moment.rawValue) disagrees at step \(step): \(loss), now \(expected)")
        failed = true
        break
      }
    }
    for run in runs where epochs >= 3 && run.accuracy < 0.975 {
      print("\(run.moment.rawValue) reached only \((run.accuracy * 100).text(2)) %, less than 97.5 %")
      failed = true
    }
    if failed { throw ExitCode.failure }
    print("\nthe losses of the first \(min(200, runs[0].losses.count)) steps agree")
  }
}

/// When the operations of a step run.
enum Moment: String, CaseIterable {
  case now = "now"
  case onDemand = "on demand"
  case aheadOfTime = "ahead of time"
}

/// 784 → 512 → 256 → 10 with dropout.
final class Classifier: Module {
  let fc1: Linear
  let fc2: Linear
  let fc3: Linear
  let dropout: Dropout

  init(generator: Generator) {
    fc1 = Linear(784, 512, generator: generator)
    fc2 = Linear(512, 256, generator: generator)
    fc3 = Linear(256, 10, generator: generator)
    dropout = Dropout(0.1, generator: generator)
  }

  func forward(_ images: Tensor) -> Tensor {
    let x = dropout(relu(fc1(images)))
    return fc3(dropout(relu(fc2(x))))
  }
}

/// One training from the first step to the test.
struct Run {
  let moment: Moment
  var losses: [Double] = []
  var seconds = 0.0
  var accuracy = 0.0

  init(_ moment: Moment, epochs: Int, seed: Int, train: Digits, test: Digits) {
    self.moment = moment
    let model = Classifier(generator: Generator(seed: seed))
    let optimizer = Adam(model.parameters, learningRate: 1e-3)

    // The one source of a training step.
    func step(_ images: Tensor, _ labels: Tensor) -> Tensor {
      optimizer.zeroGrad()
      let loss = crossEntropy(model(images), labels)
      loss.backward()
      optimizer.step()
      return loss.detached()
    }
    let compiled = compile(step)

    let clock = ContinuousClock()
    let start = clock.now
    for epoch in 0..<epochs {
      for batch in train.order(seed: seed, epoch: epoch).chunks(of: 128) {
        let (images, labels) = train.batch(batch)
        let loss =
          switch moment {
          case .now: step(images, labels)
          case .onDemand: lazy { step(images, labels) }
          case .aheadOfTime: compiled(images, labels)
          }
        losses.append(loss.item())
      }
    }
    let (whole, atto) = (clock.now - start).components
    seconds = Double(whole) + Double(atto) * 1e-18

    model.eval()
    var correct = 0.0
    for batch in Array(0..<test.count).chunks(of: 1000) {
      let (images, labels) = test.batch(batch)
      let predicted = withoutGradient { model(images).argMax(axis: 1) }
      correct += (predicted .== labels).sum().item()
    }
    accuracy = correct / Double(test.count)
    print("\(moment.rawValue): \(losses.count) steps, \((accuracy * 100).text(2)) % of the test images")
  }
}

/// Images and labels as tensors, handed out in batches.
struct Digits {
  /// `[count, 784]`, uint8.
  let images: Tensor
  /// `[count]`, int64.
  let labels: Tensor
  var count: Int { labels.count }

  init(_ digits: LabeledImages) {
    images = digits.images.tensor().flattened(from: 1)
    labels = digits.labelTensor()
  }

  /// Pixels in 0 … 1 and labels of some images.
  func batch(_ indices: [Int]) -> (images: Tensor, labels: Tensor) {
    let indices = Tensor(indices)
    return (images.take(axis: 0, indices).cast(to: .float32) / 255, labels.take(axis: 0, indices))
  }

  /// The images in an order that depends on the seed and the epoch alone.
  func order(seed: Int, epoch: Int) -> [Int] {
    var random = SplitMix(state: UInt64(bitPattern: Int64(seed)) &* 1_000_003 &+ UInt64(epoch))
    return Array(0..<count).shuffled(using: &random)
  }
}

/// A small random generator for the order of the images. Source: Steele, Lea and Flood 2014.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

extension Array {
  /// Parts of `size` elements; the last may be shorter.
  func chunks(of size: Int) -> [[Element]] {
    stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
  }
}

extension Double {
  /// With a number of decimals, to the right of a width.
  func text(_ decimals: Int, width: Int = 0) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let digits = String(Int((abs(self) * scale).rounded()))
    let padded = String(repeating: "0", count: Swift.max(0, decimals + 1 - digits.count)) + digits
    let text = (self < 0 ? "-" : "") + padded.dropLast(decimals) + "." + padded.suffix(decimals)
    return String(repeating: " ", count: Swift.max(0, width - text.count)) + text
  }
}

extension String {
  func padded(to width: Int) -> String { self + String(repeating: " ", count: Swift.max(0, width - count)) }
}
