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
      while at >= length {
        at -= length
        length *= Swift.max(1, factor)
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
}
