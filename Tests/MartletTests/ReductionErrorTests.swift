import Foundation
import Martlet
import Testing

private let a = Tensor.ones([2, 3])
private let b = Tensor.ones([4])
private let ints = Tensor([1, 2, 3])

@Suite struct ReductionErrorTests {
  private static let reductions: [Wrong] = [
    Wrong(
      "sum axis",
      """
      sum: axis 2 is out of range for 2 axes
        with x: float32[2, 3]
        rule: -2 ≤ axis < 2
        try: axes count from 0, or from -1 at the end
      """
    ) { _ = a.sum(axis: 2) },
    Wrong(
      "sum axis of a scalar",
      """
      sum: axis 0 is out of range for 0 axes
        with x: float32[]
        rule: a scalar has no axes
        try: reshaped(…) or expandedDims(axis:) first
      """
    ) { _ = Tensor(1.5).sum(axis: 0) },
    Wrong(
      "sum axis twice",
      """
      sum: axis -1 is named twice
        with x: float32[2, 3]
        rule: each axis is named once
        try: leave one out; axis -1 is the last
      """
    ) { _ = a.sum(axes: [1, -1]) },
    Wrong(
      "max of nothing",
      """
      max: axis 1 is empty
        with x: float32[2, 0]
        rule: the largest of no elements does not exist
        try: leave empty tensors out
      """
    ) { _ = Tensor.zeros([2, 0]).max(axis: 1) },
    Wrong(
      "argMax of nothing",
      """
      argMax: axis 0 is empty
        with x: float32[0]
        rule: the largest of no elements does not exist
        try: leave empty tensors out
      """
    ) { _ = Tensor.zeros([0]).argMax() },
    Wrong(
      "argMax axis",
      """
      argMax: axis -3 is out of range for 2 axes
        with x: float32[2, 3]
        rule: -2 ≤ axis < 2
        try: axes count from 0, or from -1 at the end
      """
    ) { _ = a.argMax(axis: -3) },
    Wrong(
      "topK",
      """
      topK: k is 4
        with x: float32[2, 3]
        rule: it is 0 … 3, the size of the axis
      """
    ) { _ = a.topK(4) },
    Wrong(
      "topK of a scalar",
      """
      topK: axis -1 is out of range for 0 axes
        with x: float32[]
        rule: a scalar has no axes
        try: reshaped(…) or expandedDims(axis:) first
      """
    ) { _ = Tensor(1.5).topK(1) },
    Wrong(
      "softmax axis",
      """
      softmax: axis 2 is out of range for 2 axes
        with x: float32[2, 3]
        rule: -2 ≤ axis < 2
        try: axes count from 0, or from -1 at the end
      """
    ) { _ = softmax(a, axis: 2) },
    Wrong(
      "crossEntropy shape",
      """
      crossEntropy: labels has shape [3]
        with logits: float32[2, 3], labels: int64[3]
        rule: its shape is [2], the shape of logits without its axis 1
        try: reshaped(…), or another tensor
      """
    ) { _ = crossEntropy(a, ints) },
    Wrong(
      "crossEntropy dtype",
      """
      crossEntropy: labels is float32
        with logits: float32[2, 3], labels: float32[2]
        rule: labels are class numbers: int64 or int32, of shape [2]; or probabilities: floating, of that of logits
        try: cast(to: .int64) for class numbers
      """
    ) { _ = crossEntropy(a, Tensor([0, 1] as [Float])) },
    Wrong(
      "crossEntropy one-hot",
      """
      crossEntropy: labels has the shape of logits, as one-hot vectors have
        with logits: float32[2, 3], labels: int64[2, 3]
        rule: labels are class numbers: int64 or int32, of shape [2]; or probabilities: floating, of that of logits
        try: labels.argMax(axis: -1), or labels.cast(to: logits.dtype) as probabilities
      """
    ) { _ = crossEntropy(a, a.cast(to: .int64)) },
    Wrong(
      "crossEntropy one-hot integers over more axes",
      """
      crossEntropy: labels has the shape of logits, as one-hot vectors have
        with logits: float32[2, 3, 2], labels: int64[2, 3, 2]
        rule: labels are class numbers: int64 or int32, of shape [2, 2]; or probabilities: floating, of that of logits
        try: labels.argMax(axis: 1), or labels.cast(to: logits.dtype) as probabilities
      """
    ) { _ = crossEntropy(Tensor.ones([2, 3, 2]), Tensor.ones([2, 3, 2], dtype: .int64)) },
    Wrong(
      "crossEntropy rank",
      """
      crossEntropy: logits has 1 axis
        with logits: float32[4], labels: int64[1]
        rule: its number of axes is 2 or more: [B, K, …]
        try: reshaped(…), expandedDims(axis:) or squeezed(axis:) change the number of axes
      """
    ) { _ = crossEntropy(b, Tensor([0])) },
    Wrong(
      "crossEntropy weights",
      """
      crossEntropy: weights has shape [4]
        with logits: float32[2, 3], labels: int64[2]
        rule: one for each class: [3]
      """
    ) { _ = crossEntropy(a, Tensor([0, 1]), weights: b) },
    Wrong(
      "crossEntropy smoothing",
      """
      crossEntropy: labelSmoothing is 2.0
        with logits: float32[2, 3], labels: int64[2]
        rule: 0 ≤ labelSmoothing ≤ 1
      """
    ) { _ = crossEntropy(a, Tensor([0, 1]), labelSmoothing: 2) },
    Wrong(
      "meanSquaredError",
      """
      meanSquaredError: b has shape [4]
        with a: float32[2, 3], b: float32[4]
        rule: its shape is [2, 3], that of a
        try: reshaped(…), or another tensor
      """
    ) { _ = meanSquaredError(a, b) },
  ]

  private static let others: [Wrong] = [
    Wrong(
      "item",
      """
      item: the tensor has 6 elements
        with x: float32[2, 3]
        rule: item() reads the only element of a tensor
        try: array(as:) for all elements, or sum() or mean() first
      """
    ) { _ = a.item() },
    Wrong(
      "item of nothing",
      """
      item: the tensor has 0 elements
        with x: float32[0]
        rule: item() reads the only element of a tensor
        try: array(as:) for all elements, or sum() or mean() first
      """
    ) { _ = Tensor.zeros([0]).item() },
    Wrong(
      "uniform integers",
      """
      uniform: dtype is int64
        rule: random numbers are of a floating dtype
        try: cast(to:) on the result
      """
    ) { _ = Tensor.uniform([2], dtype: .int64, key: Tensor([1, 2, 3])) },
    Wrong(
      "key",
      """
      randomUniform: key has shape [2]
        with key: int64[2]
        rule: its shape is […, 3]: seed, stream, counter
        try: reshaped(…), or another tensor
      """
    ) { _ = Tensor.uniform([2], key: Tensor([1, 2])) },
    Wrong(
      "key dtype",
      """
      randomNormal: key is float32
        with key: float32[3]
        rule: it takes int64
        try: cast(to: .int64)
      """
    ) { _ = Tensor.normal([2], key: Tensor([1, 2, 3] as [Float])) },
    Wrong(
      "probability",
      """
      bernoulli: probability is 1.5
        rule: 0 ≤ probability ≤ 1
      """
    ) { _ = Tensor.bernoulli([2], probability: 1.5, key: Tensor([1, 2, 3])) },
    Wrong(
      "borrowing too little",
      """
      Tensor(borrowing:): 8 bytes are too few for float32[3]
        rule: elements × 4 bytes
      """
    ) {
      withUnsafeBytes(of: 1 as Int64) {
        _ = Tensor(borrowing: $0, shape: [3], dtype: .float32, owner: NSObject())
      }
    },
  ]

  private static let label = Wrong(
    "crossEntropy label",
    """
    crossEntropy: label 3 is out of range for 3 classes
      with logits: float32[2, 3], labels: int64[2]
      rule: 0 ≤ label < 3, or ignoreIndex
      try: one output of the model for each class
    """
  ) { _ = crossEntropy(a, Tensor([0, 3])) }

  @Test(arguments: reductions) func reductionsText(_ wrong: Wrong) { wrong.check() }
  @Test(arguments: others) func othersText(_ wrong: Wrong) { wrong.check() }
  @Test(
    .enabled(if: Device.current != .reference, "the reference runs the parts of crossEntropy, which name themselves"))
  func labelText() { ReductionErrorTests.label.check() }
}
