import Martlet
import Testing

@Suite struct PendingStateTests {
  /// One step that moves a running mean by a value that depends on the parameter.
  private func gradient(_ parameter: Parameter, _ buffer: Buffer) -> Tensor {
    buffer.value = buffer.value * 0.9 + parameter.value.mean() * 0.1
    (parameter.value * buffer.value).sum().backward()
    return parameter.grad!
  }

  @Test func aPendingValueInACellHasNoHistory() {
    let (p, q) = (Parameter([1, 2, 4]), Parameter([1, 2, 4]))
    let (a, b) = (Buffer([3]), Buffer([3]))
    for _ in 0..<3 {
      let eager = gradient(p, a)
      let delayed = lazy { gradient(q, b) }
      expectSame(delayed, eager)
      expectSame(b.value, a.value)
      #expect(!b.value.requiresGradient)
    }
  }
}
