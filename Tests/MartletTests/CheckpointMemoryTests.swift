import Martlet
import Testing

/// How much memory `checkpointed` saves, in a process of its own.
@Suite(.enabled(if: Device.current == .cpu, "counts the memory of the CPU")) struct CheckpointMemoryTests {
  @Test func transformerBlocksSaveMostOfTheirActivations() async {
    await #expect(processExitsWith: .success) {
      let layers = (0..<6).map { _ in
        TransformerEncoderLayer(64, 4, feedForward: 256, dropout: 0, batchFirst: true)
      }
      let x = Tensor.normal([4, 128, 64], generator: Generator(seed: 1))

      /// The most bytes that a forward and backward pass held beyond what was there before, and the loss.
      func peak(_ blocks: [(Tensor) -> Tensor]) -> (bytes: Int, loss: Double) {
        let before = MemoryStatistics.current.live
        MemoryStatistics.resetPeak()
        let y = blocks.reduce(x.requiringGradient()) { $1($0) }
        let loss = (y * y).mean()
        loss.backward()
        return (MemoryStatistics.current.peak - before, loss.item())
      }
      let plain = layers.map { layer in { (x: Tensor) in layer(x) } }
      // The gradients are there from then on.
      _ = peak(plain)
      let (kept, loss) = peak(plain)
      let (saved, sameLoss) = peak(plain.map { checkpointed($0) })
      precondition(abs(loss - sameLoss) < 1e-5 * abs(loss), "\(loss) is not \(sameLoss)")
      precondition(Double(saved) < 0.6 * Double(kept), "\(saved) bytes in place of \(kept)")
    }
  }
}
