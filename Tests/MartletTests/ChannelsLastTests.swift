import Martlet
import MartletCore
import Testing

/// What keeps channels-last images as they lie, with the values of row-major ones.
@Suite struct ChannelsLastTests {
  private func isLast(_ x: Tensor) -> Bool {
    Device.current == .reference || x.node.strides.map { Order.isChannelsLast(x.shape, $0) } ?? false
  }
  private func images(_ shape: Shape, _ dtype: DType) -> Tensor {
    let numbers = Tensor.range(to: Double(shape.elementCount)).cast(to: .float32)
    return (sin(numbers * 0.7) * 2 + 0.5).reshaped(shape).cast(to: dtype)
  }
  private func near(_ a: Tensor, _ b: Tensor) -> Bool {
    let tolerance = a.dtype == .bfloat16 ? 0.02 : 1e-4
    return allClose(a, b, relative: tolerance, absolute: tolerance)
  }

  @Test(arguments: [DType.float32, .bfloat16]) func batchNorm(_ dtype: DType) {
    let x = images([3, 20, 5, 4], dtype)
    let g = images([3, 20, 5, 4], dtype) * 0.3
    let (plain, last) = (BatchNorm2d(20, dtype: dtype), BatchNorm2d(20, dtype: dtype))
    for layer in [plain, last] { layer.weight!.value = images([20], dtype) }
    for isTraining in [true, false] {
      if !isTraining {
        plain.eval()
        last.eval()
      }
      let p = x.requiringGradient()
      let q = x.channelsLast().requiringGradient()
      let (a, b) = (plain(p), last(q))
      #expect(isLast(b.detached()) && near(a.detached(), b.detached()))
      (a * g).sum().backward()
      (b * g.channelsLast()).sum().backward()
      let dx = q.grad!
      #expect(isLast(dx) && near(p.grad!, dx))
      if isTraining {
        #expect(near(plain.weight!.value.grad!, last.weight!.value.grad!))
        #expect(near(plain.bias!.value.grad!, last.bias!.value.grad!))
        #expect(near(plain.runningVar!.value, last.runningVar!.value))
      }
    }
  }

  /// Few images and many, channels in runs of many lengths, and planes that are too large to be summed beside the result.
  @Test(
    arguments: [DType.float32, .float64, .bfloat16],
    [[2, 19, 9, 8], [65, 43, 10, 8], [2, 59, 40, 42], [65, 0, 8, 8], [0, 3, 8, 8]] as [Shape])
  func maxPooling(_ dtype: DType, _ shape: Shape) {
    var x = images(shape, dtype)
    if x.count > 0 { x[1, 3, 4, 4] = Tensor(repeating: .nan, TensorSpec([], dtype, device: x.device)) }
    let pools: [(Tensor) -> Tensor] = [
      { maxPool2d($0, kernelSize: 2) }, { maxPool2d($0, kernelSize: 3, stride: 2, padding: 1) },
      { maxPool2d($0, kernelSize: 2, stride: 1, dilation: 3) }, { adaptiveMaxPool2d($0, outputSize: [4, 3]) },
      { maxPool2d($0, kernelSize: 3, stride: 2, padding: 1, ceilMode: true) },
    ]
    for pool in pools {
      let p = x.requiringGradient()
      let q = x.channelsLast().requiringGradient()
      let (a, b) = (pool(p), pool(q))
      #expect(x.count == 0 || isLast(b.detached()))
      #expect(allClose(a.detached(), b.detached(), relative: 0, absolute: 0, equalNaN: true))
      // Some gradients are zeros of either sign.
      let g = images(a.shape, dtype) * (Tensor.range(to: Double(a.count)).reshaped(a.shape) .>= 40).cast(to: dtype)
      (a * g).sum().backward()
      (b * g.channelsLast()).sum().backward()
      #expect(x.count == 0 || isLast(q.grad!))
      #expect(allClose(p.grad!, q.grad!, relative: 0, absolute: 0, equalNaN: true))
    }
  }
}
