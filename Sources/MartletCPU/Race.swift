#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Which of several ways to compute the same is the fastest, on a machine that may be doing other things as well.
///
/// The ways run in turns, because a machine slows down and speeds up within seconds. Of each, the least of its samples
/// counts: what disturbs a sample only makes it longer.
package struct Race {
  /// The three shortest samples of each way, in seconds, in order.
  private var samples: [[Double]]
  private static let leastRounds = 3, mostRounds = 40
  /// Beyond `leastRounds + 2`, rounds end after this many seconds.
  private static let patience = 0.25

  package init(ways: Int) { samples = Array(repeating: [.infinity, .infinity, .infinity], count: ways) }

  /// Seconds of each way.
  package var seconds: [Double] { samples.map { $0[0] } }
  /// The fastest way.
  package var winner: Int? { samples.indices.min { samples[$0][0] < samples[$1][0] } }

  /// Whether the shortest samples of each way that is not far behind agree.
  package var isSettled: Bool { samples.indices.allSatisfy(isSettled) }

  private func isSettled(_ index: Int) -> Bool {
    samples[index][2] <= samples[index][0] * 1.05 || isFarBehind(index)
  }
  private func isFarBehind(_ index: Int) -> Bool { samples[index][0] > 8 * (seconds.min() ?? .infinity) }

  /// Takes samples until they are settled or it has taken too long. `sample` gives the seconds that a way took, and
  /// whether something is known to have disturbed it.
  package mutating func run(_ sample: (Int) -> (seconds: Double, isDisturbed: Bool)) {
    var elapsed = 0.0
    for round in 1...Self.mostRounds {
      let least = seconds.min() ?? .infinity
      // Those far behind need no more samples than show that they are.
      for index in samples.indices
      where samples[index][0] == .infinity
        || !isFarBehind(index)
          && (round <= Self.leastRounds || samples[index][0] < least * 1.5 || !isSettled(index))
      {
        let (time, isDisturbed) = sample(index)
        elapsed += time
        // A disturbed sample is better than none.
        if isDisturbed, samples[index][0] < .infinity { continue }
        samples[index] = Array((samples[index] + [time]).sorted().prefix(3))
      }
      if round >= Self.leastRounds, isSettled { return }
      if round >= Self.leastRounds + 2, elapsed > Self.patience { return }
    }
  }

  /// The time of an execution; it is disturbed when the kernel took a processor away from this process meanwhile.
  static func time(_ body: () -> Void) -> (seconds: Double, isDisturbed: Bool) {
    let interruptions = interruptions()
    let start = now()
    body()
    let time = now() - start
    return (time, Self.interruptions() != interruptions)
  }

  private static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  /// How often the process has lost a processor to another one.
  private static func interruptions() -> Int {
    var usage = rusage()
    #if canImport(Glibc)
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #else
      getrusage(RUSAGE_SELF, &usage)
    #endif
    return usage.ru_nivcsw
  }
}
