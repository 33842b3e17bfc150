import MartletCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The learning rate as a function of the number of steps (or epochs) done: a pure function, so that a resumed run goes on
/// where it stopped.
///
/// Rates and factors are 0 or more: a negative one, or none, is an error.
///
///     let schedule = Schedule.cosine(0.1, steps: 1000).warmedUp(over: 50)
///     optimizer.learningRate = schedule.rate(at: step)
public struct Schedule: Sendable {
  private let function: @Sendable (Int) -> Double

  /// Any function of the number of steps done.
  public init(_ function: @escaping @Sendable (Int) -> Double) { self.function = function }

  /// The rate for the step that follows `step` done ones, counted from 0.
  public func rate(at step: Int) -> Double { function(step) }

  /// A schedule whose settings are checked.
  private init(
    _ name: String, _ settings: [(name: String, value: Double, allowed: Allowed)],
    counts: [(name: String, value: Int, least: Int)] = [], _ function: @escaping @Sendable (Int) -> Double
  ) {
    isValid("Schedule.\(name)", settings)
    if let wrong = counts.first(where: { $0.value < $0.least }) {
      fail(OpError(.count(name: wrong.name, wrong.value, allowed: "\(wrong.least) or more"), op: "Schedule.\(name)"))
    }
    self.function = function
  }

  /// The same rate all the time.
  public static func constant(_ rate: Double) -> Schedule {
    Schedule("constant", [("rate", rate, .rate)]) { _ in rate }
  }

  /// Times `factor` after every `size` steps. Source: PyTorch `StepLR`.
  public static func step(_ rate: Double, size: Int, factor: Double = 0.1) -> Schedule {
    Schedule(
      "step", [("rate", rate, .rate), ("factor", factor, .rate)], counts: [("size", size, 1)]
    ) { rate * pow(factor, Double($0 / Swift.max(1, size))) }
  }

  /// Times `factor` at each milestone. Source: PyTorch `MultiStepLR`.
  public static func multiStep(_ rate: Double, milestones: [Int], factor: Double = 0.1) -> Schedule {
    Schedule("multiStep", [("rate", rate, .rate), ("factor", factor, .rate)]) { step in
      rate * pow(factor, Double(milestones.count { step >= $0 }))
    }
  }

  /// Times `factor` after every step. Source: PyTorch `ExponentialLR`.
  public static func exponential(_ rate: Double, factor: Double) -> Schedule {
    Schedule("exponential", [("rate", rate, .rate), ("factor", factor, .rate)]) { rate * pow(factor, Double($0)) }
  }

  /// Half a wave of the cosine from `rate` down to `end` within `steps` steps, and up again after them.
  /// Source: Loshchilov and Hutter 2017; PyTorch `CosineAnnealingLR`.
  public static func cosine(_ rate: Double, to end: Double = 0, steps: Int) -> Schedule {
    Schedule("cosine", [("rate", rate, .rate), ("end", end, .rate)], counts: [("steps", steps, 0)]) {
      end + (rate - end) * (1 + cos(.pi * Double($0) / Double(Swift.max(1, steps)))) / 2
    }
  }

  /// In a straight line from `rate · start` to `rate · end` within `steps` steps, then constant.
  /// Source: PyTorch `LinearLR`.
  public static func linear(_ rate: Double, from start: Double, to end: Double = 1, steps: Int) -> Schedule {
    Schedule(
      "linear", [("rate", rate, .rate), ("start", start, .rate), ("end", end, .rate)], counts: [("steps", steps, 0)]
    ) { rate * (start + (end - start) * Swift.min(1, Double($0) / Double(Swift.max(1, steps)))) }
  }

  /// `rate · (1 - step / steps)^power`, then 0. Source: PyTorch `PolynomialLR`.
  public static func polynomial(_ rate: Double, steps: Int, power: Double = 1) -> Schedule {
    Schedule("polynomial", [("rate", rate, .rate), ("power", power, .rate)], counts: [("steps", steps, 0)]) {
      rate * pow(1 - Swift.min(1, Double($0) / Double(Swift.max(1, steps))), power)
    }
  }

  /// Up to `highest` in the first `rising` part of the steps and down to almost nothing in the others, by cosines.
  ///
  /// It begins at `highest / startDivisor` and ends at that divided by `endDivisor`.
  /// Source: Smith and Topin 2018; PyTorch `OneCycleLR`.
  public static func oneCycle(
    highest: Double, steps: Int, rising: Double = 0.3, startDivisor: Double = 25, endDivisor: Double = 1e4
  ) -> Schedule {
    let first = highest / startDivisor
    let last = first / endDivisor
    let top = rising * Double(steps) - 1
    @Sendable func between(_ a: Double, _ b: Double, _ part: Double) -> Double {
      b + (a - b) * (1 + cos(.pi * part)) / 2
    }
    return Schedule(
      "oneCycle",
      [
        ("highest", highest, .rate), ("rising", rising, .share), ("startDivisor", startDivisor, .divisor),
        ("endDivisor", endDivisor, .divisor),
      ], counts: [("steps", steps, 0)]
    ) { step in
      let at = Swift.min(Double(step), Double(steps - 1))
      if at <= top { return top > 0 ? between(first, highest, at / top) : highest }
      return between(highest, last, (at - top) / Swift.max(1e-9, Double(steps - 1) - top))
    }
  }

  /// Cosines from `rate` to `end` that start again: the first takes `first` steps, each further `factor` times as many.
  /// Source: Loshchilov and Hutter 2017; PyTorch `CosineAnnealingWarmRestarts`.
  public static func warmRestarts(_ rate: Double, to end: Double = 0, first: Int, factor: Int = 1) -> Schedule {
    Schedule(
      "warmRestarts", [("rate", rate, .rate), ("end", end, .rate)],
      counts: [("first", first, 1), ("factor", factor, 1)]
    ) { step in
      var (at, length) = (step, Swift.max(1, first))
      if factor <= 1 { at %= length }
      while at >= length {
        at -= length
        let (longer, overflow) = length.multipliedReportingOverflow(by: factor)
        length = overflow ? .max : longer
      }
      return end + (rate - end) * (1 + cos(.pi * Double(at) / Double(length))) / 2
    }
  }

  /// This schedule after `steps` steps in which the rate rises in a straight line from `start` times its first value.
  public func warmedUp(over steps: Int, from start: Double = 0) -> Schedule {
    let rest = self
    return Schedule("warmedUp", [("start", start, .rate)], counts: [("steps", steps, 0)]) { step in
      guard step < steps else { return rest.rate(at: step - steps) }
      return rest.rate(at: 0) * (start + (1 - start) * Double(step) / Double(steps))
    }
  }

  /// `rate · factor` in the first `steps` steps, then `rate`. Source: PyTorch `ConstantLR`.
  public static func constant(_ rate: Double, factor: Double, steps: Int) -> Schedule {
    Schedule("constant", [("rate", rate, .rate), ("factor", factor, .rate)], counts: [("steps", steps, 0)]) {
      $0 < steps ? rate * factor : rate
    }
  }

  /// How the height of the waves of `cyclic` changes.
  public enum Waves: Sendable {
    /// All are of one height.
    case triangular
    /// Each is half as high as the one before.
    case halving
    /// The height is multiplied by a factor after every step.
    case exponential(Double)
  }

  /// Straight lines from `lowest` to `highest` within `rising` steps and back within `falling`, again and again.
  /// Source: Smith 2017; PyTorch `CyclicLR`.
  ///
  /// - Parameter falling: as `rising` if nil.
  public static func cyclic(
    from lowest: Double, to highest: Double, rising: Int = 2000, falling: Int? = nil, waves: Waves = .triangular
  ) -> Schedule {
    let up = Swift.max(1, rising)
    let length = up + Swift.max(1, falling ?? rising)
    var settings: [(name: String, value: Double, allowed: Allowed)] = [
      ("lowest", lowest, .rate), ("highest", highest, .rate),
    ]
    if case .exponential(let factor) = waves { settings.append(("factor", factor, .rate)) }
    return Schedule("cyclic", settings, counts: [("rising", rising, 1), ("falling", falling ?? rising, 1)]) { step in
      let at = step % length
      let share = at <= up ? Double(at) / Double(up) : Double(length - at) / Double(length - up)
      let height: Double =
        switch waves {
        case .triangular: 1
        case .halving: pow(0.5, Double(step / length))
        case .exponential(let factor): pow(factor, Double(step))
        }
      return lowest + (highest - lowest) * share * height
    }
  }

  /// This schedule for `steps` steps, then `next` from its beginning. Source: PyTorch `SequentialLR`.
  public func followed(by next: Schedule, after steps: Int) -> Schedule {
    let first = self
    return Schedule("followed", [], counts: [("steps", steps, 0)]) {
      $0 < steps ? first.rate(at: $0) : next.rate(at: $0 - steps)
    }
  }

  /// The product of the rates: one of the two is a schedule of factors, as `.linear(1, from: 0.1, steps: 5)`.
  /// Source: PyTorch `ChainedScheduler`.
  public static func * (a: Schedule, b: Schedule) -> Schedule { Schedule { a.rate(at: $0) * b.rate(at: $0) } }

  /// This schedule for `start` steps, then within `steps` steps to `rate`, along a cosine or in a straight line, and that
  /// rate from then on: for the phase in which weights are averaged. Source: PyTorch `SWALR`.
  public func annealed(to rate: Double, from start: Int, steps: Int = 10, linearly: Bool = false) -> Schedule {
    let before = self
    return Schedule("annealed", [("rate", rate, .rate)], counts: [("start", start, 0), ("steps", steps, 0)]) { step in
      guard step >= start else { return before.rate(at: step) }
      let part = steps == 0 ? 1 : Swift.min(1, Double(step - start) / Double(steps))
      let share = linearly ? part : (1 - cos(.pi * part)) / 2
      return before.rate(at: start) * (1 - share) + rate * share
    }
  }
}

/// A rate that falls when a number, as the loss of the test set, has not improved for some epochs. A value: its state is
/// saved by encoding it.
///
///     var plateau = PlateauSchedule(rate: 0.1)
///     for epoch in 0..<epochs {
///       train()
///       optimizer.learningRate = plateau.rate(after: validationLoss())
///     }
///
/// Source: PyTorch `ReduceLROnPlateau`, with its defaults.
public struct PlateauSchedule: Sendable, Hashable, Codable {
  public enum Goal: String, Sendable, Codable { case lower, higher }
  public enum Threshold: Sendable, Hashable, Codable {
    /// A share of the best number.
    case relative(Double)
    case absolute(Double)
  }
  /// The rate for the coming epoch.
  public private(set) var rate: Double
  public let factor: Double
  public let patience: Int
  public let cooldown: Int
  public let lowest: Double
  public let goal: Goal
  public let threshold: Threshold
  /// The best number so far; nil before the first.
  public private(set) var best: Double?
  /// Epochs since the best one.
  public private(set) var waiting = 0
  private var cooling = 0

  /// - Parameters:
  ///   - rate: the first one.
  ///   - factor: what it is multiplied by, 0 or more and below 1.
  ///   - patience: epochs without improvement that are let pass.
  ///   - threshold: what counts as an improvement.
  ///   - cooldown: epochs after a reduction that are not counted.
  ///   - lowest: the rate does not fall below it.
  public init(
    rate: Double, factor: Double = 0.1, patience: Int = 10, goal: Goal = .lower,
    threshold: Threshold = .relative(1e-4), cooldown: Int = 0, lowest: Double = 0
  ) {
    let size =
      switch threshold {
      case .relative(let size), .absolute(let size): size
      }
    isValid(
      "PlateauSchedule",
      [("rate", rate, .rate), ("factor", factor, .decay), ("lowest", lowest, .rate), ("threshold", size, .rate)])
    for (name, value) in [("patience", patience), ("cooldown", cooldown)] where value < 0 {
      fail(OpError(.count(name: name, value, allowed: "0 or more"), op: "PlateauSchedule"))
    }
    (self.rate, self.factor, self.patience, self.cooldown) = (rate, factor, patience, cooldown)
    (self.lowest, self.goal, self.threshold) = (lowest, goal, threshold)
  }

  /// The rate after an epoch that ended with `number`. One that is no number is no improvement.
  public mutating func rate(after number: Double) -> Double {
    if isBetter(number) {
      best = number
      waiting = 0
    } else {
      waiting += 1
    }
    if cooling > 0 {
      cooling -= 1
      waiting = 0
    }
    if waiting > patience {
      // As in PyTorch, a change of less than 1e-8 is not made.
      let next = Swift.max(lowest, rate * factor)
      if rate - next > 1e-8 { rate = next }
      cooling = cooldown
      waiting = 0
    }
    return rate
  }

  private func isBetter(_ number: Double) -> Bool {
    guard let best else { return !number.isNaN }
    switch (goal, threshold) {
    case (.lower, .relative(let size)): return number < best * (1 - size)
    case (.lower, .absolute(let size)): return number < best - size
    case (.higher, .relative(let size)): return number > best * (1 + size)
    case (.higher, .absolute(let size)): return number > best + size
    }
  }
}
