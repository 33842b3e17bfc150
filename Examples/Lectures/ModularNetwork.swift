import Martlet

/// What is asked of a scene, as a tree: each question is another network, put together from the same parts.
indirect enum Question {
  case find(String)
  case both(Question, Question)
  case either(Question, Question)
}

/// Neural modules: one detector a word, which looks at every cell of a scene, and rules to combine what they saw.
final class ModularNetwork: Module {
  let find: [String: Linear]

  init(words: [String], features: Int) {
    find = Dictionary(uniqueKeysWithValues: words.map { ($0, Linear(features, 1)) })
  }

  /// How much each cell is what is asked for: `[cells]`, 0 … 1.
  func attention(_ question: Question, _ scene: Tensor) -> Tensor {
    switch question {
    case .find(let word): sigmoid(find[word]!(scene)).squeezed(axis: 1)
    case .both(let a, let b): attention(a, scene) * attention(b, scene)
    case .either(let a, let b): 1 - (1 - attention(a, scene)) * (1 - attention(b, scene))
    }
  }

  /// The probability that there is such a cell: that not every cell is something else.
  func forward(_ input: (Question, Tensor)) -> Tensor { 1 - (1 - attention(input.0, input.1)).prod() }
}

enum ModularNetworkLesson: Lesson {
  static let name = "modular-network"
  static let words = ["red", "blue", "round", "square"]

  /// A scene of four things, each with a colour and a form, and noise.
  static func scene(_ number: Int) -> (things: [[Int]], features: Tensor) {
    let things = (0..<4).map { cell in [number >> cell & 1, 2 + (number / 3 + cell * number) % 2] }
    let features = things.map { thing in words.indices.map { thing.contains($0) ? Float(1) : 0 } }
    return (things, Tensor(features) + Tensor.normal([4, 4], deviation: 0.05))
  }

  static func holds(_ question: Question, _ thing: [Int]) -> Bool {
    switch question {
    case .find(let word): thing.contains(words.firstIndex(of: word)!)
    case .both(let a, let b): holds(a, thing) && holds(b, thing)
    case .either(let a, let b): holds(a, thing) || holds(b, thing)
    }
  }

  static func run() throws -> String {
    let questions: [Question] = [
      .find("red"), .both(.find("blue"), .find("round")), .both(.find("red"), .find("square")),
      .both(.find("blue"), .either(.find("square"), .find("red"))), .both(.find("red"), .find("round")),
    ]
    let examples = (0..<48).map { n in
      let (question, scene) = (questions[n % questions.count], scene(n % 16))
      let isThere = scene.things.contains { holds(question, $0) }
      return (question: question, scene: scene.features, label: isThere ? Float(1) : 0)
    }
    let labels = Tensor(examples.map { $0.label })
    let model = ModularNetwork(words: words, features: 4)
    let optimizer = Adam(model.parameters, learningRate: 0.1)

    // One by one, or collected first and run when the loss is read: the same numbers.
    func answers() -> Tensor { stack(examples.map { model($0.question, $0.scene) }) }
    func loss() -> Tensor { binaryCrossEntropy(answers(), labels) }
    let (now, later) = (loss(), lazy { loss() })
    try check(later, is: now, "on demand")
    let first = now.item()

    for _ in 0..<60 {
      optimizer.zeroGrad()
      lazy { loss() }.backward()
      optimizer.step()
    }
    let right = ((answers() .> 0.5) .== (labels .> 0.5)).cast(to: .float32).mean().item()
    let last = loss().item()
    try check(last < 0.3 && right > 0.9, "the loss is \(last), and \(right) of the answers are right")
    return "loss \(first.short) → \(last.short), \(right.short) of the answers right"
  }
}
