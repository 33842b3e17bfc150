import MartletCPU
import Testing

/// Races over samples that are given, in place of clocks.
@Suite struct RaceTests {
  /// Runs a race in which every sample of a way is its time by a factor for the sample's number.
  private func race(
    _ times: [Double], load: (Int) -> Double = { _ in 1 }, disturbed: (Int) -> Bool = { _ in false }
  ) -> (race: Race, samples: Int) {
    var race = Race(ways: times.count)
    var count = 0
    race.run { way in
      defer { count += 1 }
      return (times[way] * load(count), disturbed(count))
    }
    return (race, count)
  }

  @Test func aQuietMachineNeedsThreeRounds() {
    let (race, samples) = race([2e-3, 1e-3, 9e-3])
    #expect(race.winner == 1)
    #expect(race.isSettled)
    // What is eight times behind runs once.
    #expect(samples == 7)
    #expect(race.seconds == [2e-3, 1e-3, 9e-3])
  }

  /// Samples that are slowed are outlived by those that are not.
  @Test(arguments: 1...20) func aBusyMachineNeedsMore(seed: Int) {
    var numbers = Numbers("load \(seed)")
    let (race, samples) = race(
      [1.1e-3, 1e-3], load: { _ in numbers.unit() < 0.4 ? 1 : 1.5 + 4 * numbers.unit() })
    #expect(samples >= 6 && samples <= 80)
    #expect(race.winner == 1)
    #expect(race.isSettled)
  }

  @Test func whatNeverAgreesIsNotSettled() {
    let (race, samples) = race([1e-3, 1e-3], load: { pow2($0) })
    #expect(!race.isSettled)
    #expect(race.winner != nil)
    #expect(samples < 80)
  }

  /// Long samples end the race after a quarter of a second, though never before five rounds.
  @Test func patienceEnds() {
    let (race, samples) = race([1, 1], load: { pow2($0) })
    #expect(!race.isSettled)
    #expect(samples == 10)
  }

  /// A way that is far behind costs one sample, also where the others need many.
  @Test func theSlowRunOnce() {
    var count = 0
    var race = Race(ways: 2)
    race.run { way in
      if way == 1 { count += 1 }
      return (way == 0 ? 1e-3 : 5, false)
    }
    #expect(race.winner == 0 && race.isSettled && count == 1)
  }

  @Test func disturbedSamplesDoNotSettle() {
    let (race, _) = race([1e-3, 2e-3], disturbed: { _ in true })
    #expect(race.winner == 0)
    #expect(!race.isSettled)
  }

  private func pow2(_ exponent: Int) -> Double { Double(sign: .plus, exponent: min(exponent, 60), significand: 1) }
}
