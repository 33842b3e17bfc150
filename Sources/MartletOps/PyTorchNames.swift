public import MartletCore

// What PyTorch's users type from habit, for what the compiler then says. No member here has the name of a function of
// Martlet (`relu`, `softmax`): inside of an extension of Tensor it would hide the function.

private func unavailable() -> Never { fatalError("an unavailable function was called") }

extension Tensor {
  @available(*, unavailable, message: "write axis: x.sum(axis: 0), x.sum(axes: [0, 1])")
  public func sum(dim: Any, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write axes: x.sum(axes: [0, 1])")
  public func sum(axis: [Int], keepDims: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write keepDims: x.sum(axis: 0, keepDims: true)")
  public func sum(axis: Int, keepdim: Bool) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write axis: x.mean(axis: 0), x.mean(axes: [0, 1])")
  public func mean(dim: Any, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write axes: x.mean(axes: [0, 1])")
  public func mean(axis: [Int], keepDims: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write keepDims: x.mean(axis: 0, keepDims: true)")
  public func mean(axis: Int, keepdim: Bool) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write axis: x.max(axis: 1), and x.argMax(axis: 1) for the places")
  public func max(dim: Any, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write axes: x.max(axes: [0, 1])")
  public func max(axis: [Int], keepDims: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write keepDims: x.max(axis: 0, keepDims: true)")
  public func max(axis: Int, keepdim: Bool) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write axis: x.min(axis: 1), and x.argMin(axis: 1) for the places")
  public func min(dim: Any, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write axes: x.min(axes: [0, 1])")
  public func min(axis: [Int], keepDims: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write keepDims: x.min(axis: 0, keepDims: true)")
  public func min(axis: Int, keepdim: Bool) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.transposed() exchanges the last two axes")
  public var T: Tensor { unavailable() }
  @available(*, unavailable, message: "x.transposed() exchanges the last two axes")
  public var mT: Tensor { unavailable() }
  @available(*, unavailable, renamed: "rank")
  public var ndim: Int { unavailable() }
  @available(*, unavailable, renamed: "rank")
  public func dim() -> Int { unavailable() }
  @available(*, unavailable, message: "x.shape has the sizes of all axes, x.shape[0] that of the first")
  public func size(_ axis: Int = 0) -> Int { unavailable() }
  @available(*, unavailable, renamed: "count")
  public func numel() -> Int { unavailable() }
  @available(*, unavailable, message: "x.requiringGradient() is a tensor whose gradient backward() finds")
  public var requires_grad: Bool {
    get { unavailable() }
    set { unavailable() }
  }
  @available(*, unavailable, renamed: "requiringGradient")
  public func requires_grad_(_ value: Bool = true) -> Tensor { unavailable() }
  @available(*, unavailable, renamed: "detached")
  public func detach() -> Tensor { unavailable() }
  @available(*, unavailable, message: "a tensor is a value: var y = x, and a change of y leaves x as it is")
  public func clone() -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.floats is an array of Float, x.array(as: Int.self) one of another type")
  public func numpy() -> [Float] { unavailable() }
  @available(*, unavailable, message: "x.floats is an array of Float, x.array(as: Int.self) one of another type")
  public func tolist() -> [Float] { unavailable() }
  @available(*, unavailable, message: "x.to(.cpu) copies a tensor to the CPU; tensors are there unless you moved them")
  public func cpu() -> Tensor { unavailable() }
  @available(*, unavailable, message: "Martlet computes on the CPU")
  public func cuda() -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.cast(to: .float32) changes the dtype, x.to(device) the device")
  public func to(_ dtype: DType) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.cast(to: .float32)")
  public func float() -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.cast(to: .float16)")
  public func half() -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.cast(to: .float64)")
  public func double() -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.cast(to: .int64)")
  public func long() -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.reshaped(2, -1)")
  public func view(_ sizes: Any...) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.reshaped(2, -1)")
  public func reshape(_ sizes: Any...) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.flattened(from: 1) keeps the axis of the examples")
  public func flatten(_ start: Int = 0) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.permuted(0, 2, 1)")
  public func permute(_ order: Any...) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.transposed(0, 1)")
  public func transpose(_ a: Int, _ b: Int) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.transposed()")
  public func t() -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.expandedDims(axis: 0), or x[.newAxis]")
  public func unsqueeze(_ axis: Int) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.squeezed(), or x.squeezed(axis: 0)")
  public func squeeze(_ axis: Int = 0) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.expanded(to: [2, 3])")
  public func expand(_ sizes: Any...) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.argMax(axis: 1)")
  public func argmax(_ axis: Int = 0) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.argMax(axis: 1)")
  public func argmax(dim: Int, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.argMin(axis: 1)")
  public func argmin(_ axis: Int = 0) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.argMin(axis: 1)")
  public func argmin(dim: Int, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write axis: x.argMax(axis: 1)")
  public func argMax(dim: Int, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write axis: x.argMin(axis: 1)")
  public func argMin(dim: Int, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write axis: x.cumsum(axis: 0)")
  public func cumsum(dim: Int) -> Tensor { unavailable() }
  @available(*, unavailable, message: "write axis: x.prod(axis: 1)")
  public func prod(dim: Int, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.norm(axis: 1), x.norm(1, axis: 1)")
  public func norm(_ order: Double = 2, dim: Any, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.sorted(axis: 1)")
  public func sort(_ axis: Int = -1, dim: Int = -1, descending: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.logSumExp(axis: 1)")
  public func logsumexp(_ axis: Int = 0, dim: Any = 0, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, renamed: "variance")
  public func `var`(_ axis: Int = 0) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.variance(axis: 1)")
  public func `var`(dim: Any, keepdim: Bool = false) -> Tensor { unavailable() }
  @available(*, unavailable, renamed: "standardDeviation")
  public func std(_ axis: Int = 0) -> Tensor { unavailable() }
  @available(*, unavailable, message: "x.standardDeviation(axis: 1)")
  public func std(dim: Any, keepdim: Bool = false) -> Tensor { unavailable() }

  @available(*, unavailable, message: "Tensor.normal([2, 3])")
  public static func randn(_ sizes: Any...) -> Tensor { unavailable() }
  @available(*, unavailable, message: "Tensor.uniform([2, 3])")
  public static func rand(_ sizes: Any...) -> Tensor { unavailable() }
  @available(*, unavailable, message: "Tensor.range(to: 5), or Tensor.range(from: 1, to: 5, by: 2)")
  public static func arange(_ numbers: Double...) -> Tensor { unavailable() }
  @available(*, unavailable, message: "Tensor(repeating: 7, [2, 3])")
  public static func full(_ sizes: Any...) -> Tensor { unavailable() }
}

@available(*, unavailable, message: "Tensor.normal([2, 3])")
public func randn(_ sizes: Any...) -> Tensor { unavailable() }
@available(*, unavailable, message: "Tensor.uniform([2, 3])")
public func rand(_ size: Any, _ sizes: Any...) -> Tensor { unavailable() }
@available(*, unavailable, message: "Tensor.range(to: 5), or Tensor.range(from: 1, to: 5, by: 2)")
public func arange(_ numbers: Double...) -> Tensor { unavailable() }
@available(*, unavailable, message: "Tensor.zeros([2, 3])")
public func zeros(_ sizes: Any...) -> Tensor { unavailable() }
@available(*, unavailable, message: "Tensor.ones([2, 3])")
public func ones(_ sizes: Any...) -> Tensor { unavailable() }
@available(*, unavailable, message: "concat(tensors, axis: 0)")
public func cat(_ tensors: [Tensor], dim: Int = 0) -> Tensor { unavailable() }
@available(*, unavailable, renamed: "withoutGradient")
public func noGrad<R>(_ body: () throws -> R) rethrows -> R { unavailable() }
@available(*, unavailable, renamed: "withoutGradient")
public func no_grad<R>(_ body: () throws -> R) rethrows -> R { unavailable() }
@available(*, unavailable, message: "Random.seed(1)")
public func manual_seed(_ seed: Int) { unavailable() }

@available(*, unavailable, message: "write axis: softmax(x, axis: 1)")
public func softmax(_ x: Tensor, dim: Int) -> Tensor { unavailable() }
@available(*, unavailable, message: "write axis: logSoftmax(x, axis: 1)")
public func logSoftmax(_ x: Tensor, dim: Int) -> Tensor { unavailable() }
@available(*, unavailable, message: "write axis: stack(tensors, axis: 1)")
public func stack(_ tensors: [Tensor], dim: Int) -> Tensor { unavailable() }
@available(*, unavailable, message: "write axis: concat(tensors, axis: 1)")
public func concat(_ tensors: [Tensor], dim: Int) -> Tensor { unavailable() }
@available(*, unavailable, message: "logSoftmax(x, axis: 1)")
public func log_softmax(_ x: Tensor, dim: Int = -1) -> Tensor { unavailable() }
@available(*, unavailable, message: "oneHot(labels, classes: 10)")
public func one_hot(_ labels: Tensor, _ classes: Int = -1, num_classes: Int = -1) -> Tensor { unavailable() }
@available(*, unavailable, renamed: "crossEntropy")
public func cross_entropy(_ logits: Tensor, _ labels: Tensor) -> Tensor { unavailable() }
@available(*, unavailable, renamed: "negativeLogLikelihood")
public func nll_loss(_ logProbabilities: Tensor, _ labels: Tensor) -> Tensor { unavailable() }
@available(*, unavailable, renamed: "meanSquaredError")
public func mse_loss(_ a: Tensor, _ b: Tensor) -> Tensor { unavailable() }
