import CAllocations
import Martlet
import Testing

/// Heap blocks and blocks of tensor memory that one call takes.
private func allocations(_ count: Int = 1000, _ body: () -> Void) -> Double {
  for _ in 0..<100 { body() }
  let before = allocations_of_thread()
  for _ in 0..<count { body() }
  return Double(allocations_of_thread() - before) / Double(count)
}

@Suite(
  .enabled(
    if: allocations_are_counted() && Device.current == .cpu, "the heap is not counted here, or not the CPU's")
) struct AllocationTests {
  let generator = Generator(seed: 0)

  @Test func countsWhatIsTaken() {
    final class Object { var field = 0 }
    var kept: [Object] = []
    kept.reserveCapacity(2000)
    #expect(allocations { kept.append(Object()) } >= 1)
  }

  @Test func operationTakesTwoObjects() {
    let a = Tensor.normal([8, 8], generator: generator)
    let b = Tensor.normal([8, 8], generator: generator)
    #expect(allocations { _ = a + b } <= 2)
    #expect(allocations { _ = exp(a) } <= 2)
    #expect(allocations { _ = matmul(a, b) } <= 2)
    #expect(allocations { _ = a.transposed() } <= 2)
  }

  @Test func recordedOperationTakesAtMostFour() {
    let a = Tensor.normal([8, 8], generator: generator).requiringGradient()
    let b = Tensor.normal([8, 8], generator: generator)
    #expect(allocations { _ = a + b } <= 4)
    #expect(allocations { _ = a * b } <= 4)
    #expect(allocations { _ = exp(a) } <= 4)
    #expect(allocations { _ = matmul(a, b) } <= 4)
  }
}
