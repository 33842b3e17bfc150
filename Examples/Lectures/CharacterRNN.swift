import Martlet

/// A recurrent network over characters, unrolled by a loop. Through many steps gradients may explode, so they are clipped.
enum CharacterRNN: Lesson {
  static let name = "character-rnn"
  static let text = Array("the quick brown fox jumps over the lazy dog. ")

  final class Network: Module {
    let cell: RNNCell
    let head: Linear
    init(characters: Int, hidden: Int) {
      cell = RNNCell(characters, hidden)
      head = Linear(hidden, characters)
    }
    /// The scores of the next character after each, and the last state: `[T, V]` → `[T, V]`.
    func forward(_ input: (characters: Tensor, state: Tensor?)) -> (scores: Tensor, state: Tensor?) {
      var state = input.state
      var scores: [Tensor] = []
      for t in 0..<input.characters.shape[0] {
        state = cell(input.characters[t], state)
        scores.append(head(state!))
      }
      return (stack(scores), state)
    }
  }

  static func run() throws -> String {
    let alphabet = Set(text).sorted()
    let codes = text.map { alphabet.firstIndex(of: $0)! }
    func encoded(_ codes: [Int]) -> Tensor { oneHot(Tensor(codes), classes: alphabet.count) }
    let (inputs, targets) = (encoded(codes.dropLast()), Tensor(Array(codes.dropFirst())))

    let model = Network(characters: alphabet.count, hidden: 48)
    let optimizer = Adam(model.parameters, learningRate: 0.02)
    var (losses, norms): ([Double], [Double]) = ([], [])
    for _ in 0..<120 {
      optimizer.zeroGrad()
      let loss = crossEntropy(model((inputs, nil)).scores, targets)
      loss.backward()
      norms.append(clipGradients(model.parameters, toNorm: 0.5).item())
      let clipped = clipGradients(model.parameters, toNorm: .infinity).item()
      try check(clipped <= 0.5 + 1e-4, "a norm of \(clipped) after clipping to 0.5")
      optimizer.step()
      losses.append(loss.item())
    }
    try check(norms.max()! > 0.5, "no gradient was ever clipped")
    try check(losses.last! < 0.05, "the loss fell from \(losses[0]) to \(losses.last!) only")

    // What it goes on to write after the first letter, always the likeliest.
    var (written, state): ([Int], Tensor?) = ([codes[0]], nil)
    while written.count < codes.count {
      let (scores, next) = withoutGradient { model((encoded([written.last!]), state)) }
      written.append(scores.argMax(axis: 1).item(as: Int.self))
      state = next
    }
    let result = String(written.map { alphabet[$0] })
    try check(result == String(text), "it writes “\(result)”")
    return "loss \(losses[0].short) → \(losses.last!.short); it writes “\(result.dropLast())”"
  }
}
