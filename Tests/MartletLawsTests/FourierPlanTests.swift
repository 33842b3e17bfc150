import MartletCPU
import Testing

@Suite struct FourierPlanTests {
  @Test func theNewestIsKept() throws {
    func key(_ n: Int) -> FourierPlan.Key { FourierPlan.Key(n: n, isDouble: false, kind: .complex) }
    // Room for the tables of 64 and 128, but not of 4096 too, nor alone.
    let sizes = try [64, 128].map { try #require(FourierPlans(most: 0).plan(key($0))).bytes }
    let plans = FourierPlans(most: sizes[0] + sizes[1])
    let (small, middle) = (plans.plan(key(64)), plans.plan(key(128)))
    #expect(plans.plan(key(64)) === small && plans.plan(key(128)) === middle)
    let large = try #require(plans.plan(key(4096)))
    #expect(large.bytes > sizes[0] + sizes[1] && plans.plan(key(4096)) === large)
    // The large one has taken all the room; the next new one takes it back.
    #expect(plans.plan(key(64)) !== small && plans.plan(key(4096)) !== large)
  }
}
