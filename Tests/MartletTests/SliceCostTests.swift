import Martlet
import MartletCore
import Testing

/// T slices of one tensor cost T slices, and not T tensors: the bytes of large blocks that a computation is given, which are
/// those of whole tensors, must not grow with the square of T.
@Suite(.enabled(if: Device.current == .cpu, "a device with a queue holds what it uses, so nobody is the sole owner"))
struct SliceCostTests {
  /// A slice is a small block (16 KiB); all tensors of T slices are large.
  private let width = 4096

  private func base(_ steps: Int) -> Tensor { Tensor.normal([steps, width], generator: Generator(seed: steps)) }

  private func expectLinear(
    _ name: String, at location: SourceLocation = #_sourceLocation, _ body: (_ steps: Int) -> Void
  ) {
    func bytes(_ steps: Int) -> Int {
      let before = MemoryStatistics.largeBytesOfThread
      body(steps)
      return MemoryStatistics.largeBytesOfThread - before
    }
    _ = bytes(32)
    let (short, long) = (bytes(32), bytes(128))
    // 4 when linear, 16 when each slice costs a whole tensor.
    #expect(short > 0 && long <= short * 6, "\(name): \(short) bytes, then \(long)", sourceLocation: location)
  }

  private func read(_ x: Tensor) -> Tensor {
    var total = Tensor.zeros([width])
    for step in 0..<x.shape[0] { total += x[step] * x[step] }
    return total.sum()
  }

  private func written(_ x: Tensor) -> Tensor {
    var y = x * 1
    for step in 0..<x.shape[0] { y[step] = x[step] * Double(step) }
    return (y * y).sum()
  }

  @Test func reads() {
    expectLinear("backward") { steps in
      let x = base(steps).requiringGradient()
      read(x).backward()
      expectSame(x.grad!, x.detached() * 2, within: 1e-5)
    }
    expectLinear("second order") { steps in
      let x = base(steps)
      let second = grad { (x: Tensor) in grad(read)(x).sum() }(x)
      expectSame(second, x * 0 + 2, within: 1e-5)
    }
    expectLinear("vmap of grad") { steps in
      let x = base(steps).reshaped([1, steps, width])
      expectSame(vmap(grad(read))(x), x * 2, within: 1e-5)
    }
  }

  @Test func writes() {
    func squares(_ steps: Int) -> Tensor { Tensor((0..<steps).map { Float($0 * $0) }, shape: [steps, 1]) }
    expectLinear("backward") { steps in
      let x = base(steps).requiringGradient()
      written(x).backward()
      expectSame(x.grad!, x.detached() * 2 * squares(steps), within: 0.1)
    }
    expectLinear("second order") { steps in
      let x = base(steps)
      let second = grad { (x: Tensor) in grad(written)(x).sum() }(x)
      expectSame(second, (x * 0 + 2) * squares(steps), within: 0.1)
    }
    expectLinear("vmap of grad") { steps in
      let x = base(steps).reshaped([1, steps, width])
      expectSame(vmap(grad(written))(x), x * 2 * squares(steps), within: 0.1)
    }
  }

  /// What the tape or another variable holds is not written over.
  @Test func heldValuesStay() {
    let x = Tensor([1, 2] as [Float]).requiringGradient()
    var y = x * 3
    let square = y * y  // the tape holds y
    let before = y
    y[0] = Tensor(10 as Float)
    expectValues(before.detached(), [2], [3, 6])
    expectValues(y.detached(), [2], [10, 6])
    (square.sum() + y.sum()).backward()
    expectValues(x.grad!, [2], [18, 39])
    // tanh keeps its result.
    let z = Tensor([0.5, 1] as [Double]).requiringGradient()
    var t = tanh(z)
    let value = t.detached().array(as: Double.self)
    t[0] = Tensor(0.0 as Double)
    t.sum().backward()
    expectValues(z.grad!, [2], [0, 1 - value[1] * value[1]], within: 1e-12)
  }

  /// A write that fails leaves the recorded variable as it was, with its history.
  @Test func failedWritesLeaveTheVariable() {
    let x = Tensor([1, 2] as [Float]).requiringGradient()
    var y = x * 3
    let index = Tensor([5])
    _ = errorText { y[index] = Tensor([1] as [Float]) }
    y.sum().backward()
    expectValues(x.grad!, [2], [3, 3])
  }
}
