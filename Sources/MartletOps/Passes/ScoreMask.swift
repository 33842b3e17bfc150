internal import MartletCore

/// A mask of scores in a program.
enum ScoreMask {
  /// A condition: scores are seen where it is `where`, and are -∞ elsewhere.
  case seen(Program.ValueID, where: Bool)
  /// Numbers that are added to the scores.
  case added(Program.ValueID)

  /// Which scores of a constant mask may be seen; nil where only a run tells.
  fileprivate func seen(_ constants: [Program.ValueID: Tensor]) -> Tensor? {
    switch self {
    case .seen(let id, where: let truth): constants[id].map { truth ? $0 : .!$0 }
    case .added(let id): constants[id].map { $0 .> -Double.infinity }
    }
  }

  /// Whether it does nothing but show query `i` the keys `0 ... i`.
  ///
  /// - Parameter shape: That of the scores.
  fileprivate func isCausal(_ shape: Shape, _ constants: [Program.ValueID: Tensor]) -> Bool {
    guard let seen = seen(constants), seen.rank >= 2, seen.shape.suffix(2).elementsEqual(shape.suffix(2)) else {
      return false
    }
    let causal = ScoreMask.causal(shape)
    guard !(seen .^ causal).any().item(as: Bool.self) else { return false }
    guard case .added(let id) = self else { return true }
    return !((constants[id]! .== 0) .^ causal).any().item(as: Bool.self)
  }

  /// Which of the scores `[…, T, S]` a causal attention sees.
  fileprivate static func causal(_ shape: Shape) -> Tensor {
    Tensor.ones([shape[-2], shape[-1]], device: .cpu).tril() .> 0
  }
}

/// The masks of an attention as the operation takes them.
struct ScoreMasking {
  private(set) var isCausal = false
  private(set) var mask: ScoreMask?
  /// Whether there can be a row that sees nothing.
  private(set) var mayHideRows = false

  /// - Parameter shape: That of the scores.
  init?(_ masks: [ScoreMask], _ shape: Shape, _ constants: [Program.ValueID: Tensor]) {
    for one in masks {
      if one.isCausal(shape, constants) { isCausal = true } else if mask == nil { mask = one } else { return nil }
    }
    guard let mask else { return }
    mayHideRows = true
    guard let seen = mask.seen(constants)?.expandedDims(axis: 0) else { return }
    mayHideRows = !(isCausal ? seen .& ScoreMask.causal(shape) : seen).any(axis: -1).all().item(as: Bool.self)
  }
}
