import Martlet

/// A convolution is a product of matrices, once the windows of the image are the columns of one; and its gradient is a
/// convolution again, which run alone is the transposed one.
enum ConvolutionAsProduct: Lesson {
  static let name = "convolution"

  static func run() throws -> String {
    let (x, w) = (Tensor.normal([2, 3, 9, 9]), Tensor.normal([4, 3, 3, 3]))
    for (stride, dilation) in [(1, 1), (2, 1), (1, 2)] {
      let direct = conv2d(x, w, stride: .init(stride), padding: 1, dilation: .init(dilation))
      let columns = unfold(x, kernelSize: 3, dilation: .init(dilation), padding: 1, stride: .init(stride))
      let product = matmul(w.flattened(from: 1), columns).reshaped(direct.shape)
      try check(product, is: direct, within: 1e-4, "stride \(stride), dilation \(dilation)")
    }

    // Error signals δ go back through a transposed convolution with the same kernel.
    let (output, pullback) = vjp({ conv2d(x, $0[0], stride: 2) + 0 * $0[1].sum() }, [w, x])
    let delta = Tensor.normal(output.shape)
    let toInput = vjp({ conv2d($0, w, stride: 2) }, x).pullback(delta)
    try check(convTranspose2d(delta, w, stride: 2), is: toInput, within: 1e-4, "the gradient of the input")

    // That of the kernel: for each element the image that it meets, times δ.
    let windows = unfold(x, kernelSize: 3, stride: 2)  // [2, 27, 16]
    let toKernel = einsum("nol,nkl->ok", delta.flattened(from: 2), windows).reshaped(w.shape)
    try check(pullback(delta)[0], is: toKernel, within: 1e-4, "the gradient of the kernel")
    return "convolution = product with windows; its gradients too"
  }
}
