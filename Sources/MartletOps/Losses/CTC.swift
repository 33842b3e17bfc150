public import MartletCore

/// What the loss and its gradient share: their inputs.
protocol AlignmentOp: Op {
  var blank: Int { get }
}

extension AlignmentOp {
  public static var argumentNames: [String] { ["logProbabilities", "labels", "times", "lengths"] }
  public var canFault: Bool { true }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact {
    let value = Int(status.value)
    switch status.code {
    case CTC.badTime:
      return .misuse("an input length is \(value)", rule: "each is in 0 … \(inputs[0].shape[0]), the number of steps")
    case CTC.badLength:
      return .misuse(
        "a label length is \(value)", rule: "each is in 0 … \(inputs[1].shape[1]), the width of the labels")
    default: return .label(value, classes: inputs[0].shape[2])
    }
  }

  func check(_ inputs: [TensorSpec]) throws(OpError) {
    guard inputs.count == 4 else { throw OpError(.numberOfInputs(inputs.count, expected: "4")) }
    let x = inputs[0]
    guard x.dtype.isFloating else { throw OpError(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
    guard x.rank == 3 else { throw OpError(.rank(argument: 0, expected: "3: [T, B, K]")) }
    guard blank >= 0, blank < x.shape[2] else {
      throw OpError(.count(name: "blank", blank, allowed: "0 ..< \(x.shape[2]), the number of classes"))
    }
    guard inputs[1].rank == 2, inputs[1].shape[0] == x.shape[1] else {
      throw OpError(.argumentShape(argument: 1, expected: "[\(x.shape[1]), S], a row of labels for each example"))
    }
    for position in 2...3 where inputs[position].shape != [x.shape[1]] {
      throw OpError(.argumentShape(argument: position, expected: "[\(x.shape[1])], a number for each example"))
    }
    for position in 1...3 where inputs[position].dtype != .int64 {
      throw OpError(.dtype(argument: position, expected: "int64"))
    }
  }

  /// The loss by one operation for each step and state.
  func losses(_ inputs: [Tensor]) -> Tensor {
    let (x, times, lengths) = (inputs[0], inputs[2], inputs[3])
    let (steps, batch, width) = (x.shape[0], x.shape[1], inputs[1].shape[1])
    guard batch > 0 else { return x.sum(axes: [0, 2]) }
    let states = 2 * width + 1
    let places = Tensor(Array(0..<width), device: x.device)
    let none = Tensor(scalar: -.infinity, x.dtype, device: x.device)
    func blanks(_ count: Int) -> Tensor {
      Tensor(repeating: Double(blank), TensorSpec([batch, count], .int64, device: x.device))
    }
    let labels = select(places .< lengths.expandedDims(axis: 1), inputs[1], inputs[1].zeroScalar + blank)
    let states2 = concat([stack([blanks(width), labels], axis: 2).reshaped([batch, 2 * width]), blanks(1)], axis: 1)
    let emissions = x.gather(axis: 2, states2.expandedDims(axis: 0).expanded(to: [steps, batch, states]))
    /// The values of the states `count` before, which do not exist for the first.
    func shifted(_ a: Tensor, _ count: Int) -> Tensor {
      let count = Swift.min(count, states)
      return concat([none.expanded(to: [batch, count]), a[0..., ..<(states - count)]], axis: 1)
    }
    let numbers = Tensor(Array(0..<states), device: x.device)
    let skips = (remainder(numbers, 2) .== 1) .& (numbers .>= 3) .& (states2 .!= concatShift(states2, batch, states))
    var alpha = select(numbers .== 0, Tensor(scalar: 0, x.dtype, device: x.device), none).expanded(to: [batch, states])
    for t in 0..<steps {
      let sums = logSum([alpha, shifted(alpha, 1), select(skips, shifted(alpha, 2), none)])
      alpha = select((times .> t).expandedDims(axis: 1), sums + emissions[t], alpha)
    }
    let last = alpha.gather(axis: 1, (lengths * 2).expandedDims(axis: 1))
    let hasLabels = (lengths .> 0).expandedDims(axis: 1)
    let beforeLast = alpha.gather(axis: 1, maximum(lengths * 2 - 1, 0).expandedDims(axis: 1))
    return -logSum([last, select(hasLabels, beforeLast, none)]).squeezed(axis: 1)
  }

  /// The labels two states before.
  private func concatShift(_ states2: Tensor, _ batch: Int, _ states: Int) -> Tensor {
    let count = Swift.min(2, states)
    return concat([states2[0..., ..<count] * 0 - 1, states2[0..., ..<(states - count)]], axis: 1)
  }

  /// `log Σ exp` of several tensors; -∞ and gradients of 0 where all are -∞.
  private func logSum(_ parts: [Tensor]) -> Tensor {
    let most = parts.dropFirst().reduce(parts[0].detached()) { maximum($0, $1.detached()) }
    let isNone = most .== -Double.infinity
    let base = select(isNone, 0, most)
    let sum = parts.dropFirst().reduce(exp(parts[0] - base)) { $0 + exp($1 - base) }
    return select(isNone, -Double.infinity, log(select(isNone, 1, sum)) + base)
  }
}

/// The losses `[B]` of connectionist temporal classification, from log-probabilities `[T, B, K]`, padded labels `[B, S]`, and
/// the numbers of steps and of labels `[B]` that count.
public struct CTC: AlignmentOp {
  public static var id: OpID { OpTable.ctc.id }
  public static var name: String { "ctc" }
  public static var rules: Rules { [.vjp, .batched, .decomposed] }
  /// What the kernel reports of a length that is none.
  package static let badTime: Int32 = 4
  package static let badLength: Int32 = 5
  public let blank: Int
  public init(blank: Int) { self.blank = blank }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try check(inputs)
    return [inputs[0].with(shape: [inputs[0].shape[1]])]
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? { [losses(inputs)] }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0, 1, 2, 3]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let slope = apply(CTCGradient(blank: blank), (0..<4).map { saved.input($0) })[0]
    return [.dense(slope * ct[0]!.expandedDims(axis: 1)), nil, nil, nil]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] {
    let inputs = allMapped(inputs, mapped)
    let x = inputs[0]
    let (examples, batch) = (x.shape[0], x.shape[2])
    let flat = x.movingAxis(0, to: 1).reshaped([x.shape[1], examples * batch, x.shape[3]])
    let rest = inputs.dropFirst().map { $0.flattened(from: 0, to: 1) }
    return [apply(self, [flat] + rest)[0].reshaped([examples, batch])]
  }
}

/// The gradient `[T, B, K]` of `CTC`'s losses by the log-probabilities: minus the probability that an alignment is there at
/// that step; 0 where there is no alignment at all.
public struct CTCGradient: AlignmentOp {
  public static var id: OpID { OpTable.ctcGradient.id }
  public static var name: String { "ctcGradient" }
  public static var rules: Rules { [.decomposed] }
  public let blank: Int
  public init(blank: Int) { self.blank = blank }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try check(inputs)
    return [inputs[0]]
  }
  public func decomposed(_ inputs: [Tensor]) -> [Tensor]? {
    let (value, pullback) = MartletCore.vjp({ (x: Tensor) in losses([x] + inputs.dropFirst()) }, inputs[0])
    return [pullback(Tensor(repeating: 1, value.spec))]
  }
}

/// The loss of connectionist temporal classification: minus the logarithm of the probability that the classes of `T` steps,
/// with repetitions joined and blanks left out, are the labels.
///
/// - Parameters:
///   - logits: `[T, B, K]`, floating: logits, or log-probabilities as PyTorch wants them (their log-softmax is taken, which
///     leaves log-probabilities as they are).
///   - labels: `[B, S]`, `int64` or `int32`, padded: in `0 ..< K`, not `blank`.
///   - inputLengths: `[B]`, how many of the `T` steps count.
///   - labelLengths: `[B]`, how many of the `S` labels count.
///   - blank: the class that stands for nothing.
///   - reduction: `mean` divides each loss by its number of labels before the mean over examples, as PyTorch does.
///   - zeroInfinity: counts 0 for labels that no alignment of the steps yields, whose loss is infinite. Their gradient is 0
///     in either case (PyTorch's is NaN without it).
///
/// Source: Graves and others 2006; PyTorch `ctc_loss`.
public func ctcLoss(
  _ logits: Tensor, _ labels: Tensor, inputLengths: Tensor, labelLengths: Tensor, blank: Int = 0,
  reduction: LossReduction = .mean, zeroInfinity: Bool = false
) -> Tensor {
  let names = ["logits", "labels", "inputLengths", "labelLengths"]
  let inputs = [logits, labels, inputLengths, labelLengths]
  guard logits.rank == 3 else {
    return failure(.rank(argument: 0, expected: "3: [T, B, K]"), op: "ctcLoss", inputs, names: names)
  }
  for position in 1...3 where inputs[position].dtype != .int64 && inputs[position].dtype != .int32 {
    return failure(.dtype(argument: position, expected: "int64 or int32"), op: "ctcLoss", inputs, names: names)
  }
  let x = logits.dtype.isFloating ? logSoftmax(logits, axis: 2) : logits
  var losses = apply(CTC(blank: blank), [x] + inputs.dropFirst().map { $0.cast(to: .int64) })[0]
  if losses.isError { return losses }
  if zeroInfinity { losses = select(losses .== Double.infinity, 0, losses) }
  if reduction == .mean { losses = losses / maximum(labelLengths, 1).cast(to: losses.dtype) }
  return losses.reduced(reduction)
}
