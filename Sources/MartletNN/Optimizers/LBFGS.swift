public import MartletCore
import MartletOps

/// The method of Broyden, Fletcher, Goldfarb and Shanno with limited memory, for smooth losses over all data: few parameters,
/// no noise. Each step evaluates the loss several times.
///
///     let optimizer = LBFGS(model.parameters)
///     for _ in 0..<20 { optimizer.step { meanSquaredError(model(x), y) } }
///
/// It reads losses to choose its way, so that a step cannot be captured by `compile`; the loss can.
/// Source: Nocedal and Wright, algorithms 7.4, 3.5 and 3.6; PyTorch `LBFGS`, with its numbers.
public final class LBFGS: CustomStringConvertible {
  public let parameters: [Parameter]
  public let rate: StateTensor
  public let maxIterations: Int
  public let maxEvaluations: Int
  public let gradientTolerance: Double
  public let changeTolerance: Double
  public let historySize: Int
  /// How the length of a move is found.
  public enum LineSearch: String, Sendable {
    /// Always the learning rate.
    case none
    /// By cubic interpolation, until the loss and its slope have fallen enough.
    case strongWolfe
  }
  public let lineSearch: LineSearch

  private let iterations = StateTensor.scalar(0)
  private let stepLength = StateTensor.scalar(0)
  private let scale = StateTensor.scalar(1)
  private let direction = Cell(nil, name: "lbfgs.direction")
  private let lastGradient = Cell(nil, name: "lbfgs.gradient")
  private let moves: [Cell]
  private let turns: [Cell]

  /// - Parameters:
  ///   - parameters: of one dtype.
  ///   - learningRate: the first length that a line search tries, or that of all moves; 0 or more.
  ///   - maxIterations: moves of one step.
  ///   - maxEvaluations: of the loss in one step; 1.25 times the moves if nil.
  ///   - gradientTolerance: the step ends when no element of the gradient is larger.
  ///   - changeTolerance: the step ends when neither parameters nor loss change more.
  ///   - historySize: how many moves are remembered, at two tensors as large as all parameters each.
  public init(
    _ parameters: [Parameter], learningRate: Double = 1, maxIterations: Int = 20, maxEvaluations: Int? = nil,
    gradientTolerance: Double = 1e-7, changeTolerance: Double = 1e-9, historySize: Int = 100,
    lineSearch: LineSearch = .strongWolfe
  ) {
    isValid(
      "LBFGS",
      [
        ("learningRate", learningRate, .rate), ("gradientTolerance", gradientTolerance, .rate),
        ("changeTolerance", changeTolerance, .rate),
      ])
    let evaluations = maxEvaluations ?? maxIterations * 5 / 4
    for (name, value) in [
      ("maxIterations", maxIterations), ("maxEvaluations", evaluations), ("historySize", historySize),
    ] where value < 1 {
      fail(OpError(.count(name: name, value, allowed: "1 or more"), op: "LBFGS"))
    }
    checkDistinct("LBFGS", parameters)
    if let first = parameters.first, let other = parameters.first(where: { $0.dtype != first.dtype }) {
      fail(
        OpError(
          .misuse("there are parameters of \(first.dtype) and of \(other.dtype)", rule: "all have one dtype"),
          op: "LBFGS"))
    }
    self.parameters = parameters
    rate = .scalar(learningRate)
    self.maxIterations = Swift.max(1, maxIterations)
    self.maxEvaluations = Swift.max(1, evaluations)
    self.gradientTolerance = gradientTolerance
    self.changeTolerance = changeTolerance
    self.historySize = Swift.max(1, historySize)
    self.lineSearch = lineSearch
    moves = (0..<self.historySize).map { Cell(nil, name: "lbfgs.move.\($0)") }
    turns = (0..<self.historySize).map { Cell(nil, name: "lbfgs.turn.\($0)") }
  }

  /// All that a resumed run needs, as `Optimizer.cells`; those not used yet are empty.
  public var cells: [(name: String, cell: Cell)] {
    [
      ("rate", rate), ("iterations", iterations), ("stepLength", stepLength), ("scale", scale),
      ("direction", direction),
      ("gradient", lastGradient),
    ] + moves.enumerated().map { ("move.\($0.offset)", $0.element) }
      + turns.enumerated().map { ("turn.\($0.offset)", $0.element) }
  }

  public var learningRate: Double {
    get { rate.value.item() }
    set {
      guard isValid("LBFGS", [("learningRate", newValue, .rate)]) else { return }
      rate.value = Tensor(scalar: newValue, .float64, device: rate.value.device)
    }
  }

  public var description: String {
    "LBFGS(learningRate: \(learningRate), maxIterations: \(maxIterations), historySize: \(historySize), "
      + "lineSearch: \(lineSearch.rawValue))"
  }

  /// Sets the gradients of the parameters to nil.
  public func zeroGrad() { for parameter in parameters { parameter.grad = nil } }

  /// A place on a line: its distance, the loss there, the gradient, and the slope along the line.
  private struct Point {
    var t: Double
    var loss: Double
    var gradient: Tensor
    var slope: Double
  }

  /// Up to `maxIterations` moves, and the loss before them.
  ///
  /// - Parameter loss: computes the scalar loss from the parameters' current values, the same function each time; the
  ///   optimizer clears the gradients and calls `backward()`.
  @discardableResult
  public func step(_ loss: () throws -> Tensor) rethrows -> Tensor {
    func evaluate() throws -> (loss: Double, gradient: Tensor) {
      zeroGrad()
      let value = try loss()
      value.backward()
      return (value.item(), withoutGradient { gradient() })
    }
    var (current, g) = try evaluate()
    let first = Tensor(scalar: current, .float64, device: rate.value.device)
    guard !parameters.isEmpty, largest(g) > gradientTolerance else { return first }

    var count = Int(iterations.value.item())
    var t = stepLength.value.item()
    var hessian = scale.value.item()
    var d = direction.read()
    var before = lastGradient.read()
    var s = moves.compactMap { $0.read() }
    var y = turns.compactMap { $0.read() }
    var curvatures = zip(s, y).map { dot($0, $1) }
    defer {
      write(iterations, Double(count))
      write(stepLength, t)
      write(scale, hessian)
      direction.write(d)
      lastGradient.write(before)
      for (index, cell) in moves.enumerated() { cell.write(index < s.count ? s[index] : nil) }
      for (index, cell) in turns.enumerated() { cell.write(index < y.count ? y[index] : nil) }
    }

    var evaluations = 1
    for iteration in 1...maxIterations {
      count += 1
      if let last = d, let lastGradient = before {
        let (turn, move) = (g - lastGradient, last * t)
        let curvature = dot(turn, move)
        if curvature > 1e-10 {
          if s.count == historySize {
            s.removeFirst()
            y.removeFirst()
            curvatures.removeFirst()
          }
          s.append(move)
          y.append(turn)
          curvatures.append(curvature)
          hessian = curvature / dot(turn, turn)
        }
        // The inverse of the curvature, applied to the gradient.
        var q = -g
        var shares = [Double](repeating: 0, count: s.count)
        for i in s.indices.reversed() {
          shares[i] = dot(s[i], q) / curvatures[i]
          q -= y[i] * shares[i]
        }
        q *= hessian
        for i in s.indices { q += s[i] * (shares[i] - dot(y[i], q) / curvatures[i]) }
        d = q
      } else {
        d = -g
        hessian = 1
      }
      let way = d!
      before = g
      let lastLoss = current
      t = learningRate * (count == 1 ? Swift.min(1, 1 / abs(g).sum().item()) : 1)
      let slope = dot(g, way)
      if slope > -changeTolerance { break }

      let start = parameters.map { $0.read()! }
      var used = 0
      switch lineSearch {
      case .none:
        move(from: start, along: way, by: t)
        if iteration < maxIterations {
          (current, g) = try evaluate()
          used = 1
        }
      case .strongWolfe:
        let found = try search(
          Point(t: 0, loss: current, gradient: g, slope: slope), t, size: largest(way),
          atMost: maxEvaluations - evaluations
        ) { t in
          move(from: start, along: way, by: t)
          used += 1
          let (loss, gradient) = try evaluate()
          return Point(t: t, loss: loss, gradient: gradient, slope: dot(gradient, way))
        }
        (current, g, t) = (found.loss, found.gradient, found.t)
        move(from: start, along: way, by: t)
      }
      evaluations += used
      if evaluations >= maxEvaluations || largest(g) <= gradientTolerance { break }
      if largest(way) * t <= changeTolerance || Swift.abs(current - lastLoss) < changeTolerance { break }
    }
    return first
  }

  /// A place where the loss has fallen by the slope's share and the slope has become flat: first outward until such a place
  /// lies in between, then inward; the best of what was tried when there were too many.
  private func search(
    _ origin: Point, _ first: Double, size: Double, atMost most: Int, _ at: (Double) throws -> Point
  ) rethrows -> Point {
    let (fall, flat) = (1e-4, 0.9)
    func isHigh(_ p: Point) -> Bool { p.loss > origin.loss + fall * p.t * origin.slope }
    func isFlat(_ p: Point) -> Bool { Swift.abs(p.slope) <= -flat * origin.slope }
    var (last, new) = (origin, try at(first))
    var count = 0
    var bracket: [Point] = []
    while count < most {
      if isHigh(new) || count > 1 && new.loss >= last.loss {
        bracket = [last, new]
        break
      }
      if isFlat(new) { return new }
      if new.slope >= 0 {
        bracket = [last, new]
        break
      }
      let next = cubicMinimum(last, new, new.t + 0.01 * (new.t - last.t), new.t * 10)
      last = new
      new = try at(next)
      count += 1
    }
    if bracket.isEmpty { bracket = [origin, new] }
    var low = bracket[0].loss <= bracket[1].loss ? 0 : 1
    var wasNearAnEnd = false
    while count < most {
      let (least, greatest) = (Swift.min(bracket[0].t, bracket[1].t), Swift.max(bracket[0].t, bracket[1].t))
      if (greatest - least) * size < changeTolerance { break }
      var t = cubicMinimum(bracket[0], bracket[1], least, greatest)
      let margin = 0.1 * (greatest - least)
      if Swift.min(greatest - t, t - least) < margin {
        if wasNearAnEnd || t >= greatest || t <= least {
          t = Swift.abs(t - greatest) < Swift.abs(t - least) ? greatest - margin : least + margin
          wasNearAnEnd = false
        } else {
          wasNearAnEnd = true
        }
      } else {
        wasNearAnEnd = false
      }
      new = try at(t)
      count += 1
      if isHigh(new) || new.loss >= bracket[low].loss {
        bracket[1 - low] = new
        low = bracket[0].loss <= bracket[1].loss ? 0 : 1
      } else {
        if isFlat(new) { return new }
        if new.slope * (bracket[1 - low].t - bracket[low].t) >= 0 { bracket[1 - low] = bracket[low] }
        bracket[low] = new
      }
    }
    return bracket[low]
  }

  /// Where the cubic through two points with their slopes is lowest, within bounds.
  private func cubicMinimum(_ a: Point, _ b: Point, _ least: Double, _ greatest: Double) -> Double {
    let (p, q) = a.t <= b.t ? (a, b) : (b, a)
    let bend = p.slope + q.slope - 3 * (p.loss - q.loss) / (p.t - q.t)
    let square = bend * bend - p.slope * q.slope
    guard square >= 0 else { return (least + greatest) / 2 }
    let root = square.squareRoot()
    let place = q.t - (q.t - p.t) * ((q.slope + root - bend) / (q.slope - p.slope + 2 * root))
    return Swift.min(Swift.max(place, least), greatest)
  }

  /// The gradients of all parameters as one vector; zeros where there is none.
  private func gradient() -> Tensor {
    concat(
      parameters.map { parameter in
        let spec = parameter.read()!.spec
        return (parameter.grad ?? Tensor(repeating: 0, spec)).reshaped([spec.count])
      }, axis: 0)
  }

  private func move(from start: [Tensor], along direction: Tensor, by t: Double) {
    withoutGradient {
      let parts = direction.split(start.map { $0.count })
      for (parameter, (x, part)) in zip(parameters, zip(start, parts)) {
        parameter.write(x + (part * t).reshaped(x.shape))
      }
    }
  }

  private func write(_ cell: StateTensor, _ value: Double) {
    cell.write(Tensor(scalar: value, .float64, device: cell.value.device))
  }
  private func dot(_ a: Tensor, _ b: Tensor) -> Double { (a * b).sum().item() }
  private func largest(_ x: Tensor) -> Double { x.count == 0 ? 0 : abs(x).max().item() }
}
