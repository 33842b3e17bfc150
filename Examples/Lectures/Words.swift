import Martlet

/// Words as vectors (word2vec, skip-gram): a word's vector is to tell which words stand near it, so words that are used alike
/// get vectors that are alike.
enum Words: Lesson {
  static let name = "words"

  static func run() throws -> String {
    // Every animal eats and sleeps, every fruit is sweet and ripe.
    let (animals, fruits) = (["cat", "dog", "horse"], ["apple", "pear", "plum"])
    let sentences =
      animals.flatMap { ["the \($0) eats now", "my \($0) sleeps well"] }
      + fruits.flatMap { ["a sweet \($0) today", "this ripe \($0) fell"] }
    let texts = sentences.map { $0.split(separator: " ").map(String.init) }
    let vocabulary = Set(texts.joined()).sorted()
    let number = Dictionary(uniqueKeysWithValues: vocabulary.enumerated().map { ($1, $0) })

    // Pairs of a word and one at most two places away.
    var (centres, contexts): ([Int], [Int]) = ([], [])
    for text in texts {
      for (i, word) in text.enumerated() {
        for j in max(0, i - 2)...min(text.count - 1, i + 2) where j != i {
          centres.append(number[word]!)
          contexts.append(number[text[j]]!)
        }
      }
    }
    let (inputs, targets) = (Tensor(centres), Tensor(contexts))

    let model = Sequential {
      Embedding(vocabulary.count, 8)
      Linear(8, vocabulary.count, bias: false)
    }
    let optimizer = Adam(model.parameters, learningRate: 0.05)
    let losses = (0..<150).map { _ in
      optimizer.zeroGrad()
      let loss = crossEntropy(model(inputs), targets)
      loss.backward()
      optimizer.step()
      return loss.item()
    }
    try check(losses.last! < losses[0] * 0.7, "the loss fell from \(losses[0]) to \(losses.last!) only")

    let vectors = model.parameters[0].value.detached()
    func similarity(_ a: String, _ b: String) -> Double {
      cosineSimilarity(vectors[number[a]!], vectors[number[b]!], axis: 0).item()
    }
    for (kind, other) in [(animals, fruits), (fruits, animals)] {
      for a in kind {
        let near = kind.filter { $0 != a }.map { similarity(a, $0) }.min()!
        let far = other.map { similarity(a, $0) }.max()!
        try check(near > far, "\(a) is nearer to another kind (\(far)) than to its own (\(near))")
      }
    }
    return "cat–dog \(similarity("cat", "dog").short), cat–pear \(similarity("cat", "pear").short)"
  }
}
