import Martlet
import Testing

private let a = Tensor.ones([2, 3])
private let b = Tensor.ones([4])
private let ints = Tensor([1, 2, 3])

@Suite struct IndexErrorTests {
  private static let indexing: [Wrong] = [
    Wrong(
      "index",
      """
      subscript: index 2 is out of range for axis 0 of size 2
        with x: float32[2, 3]
        rule: -2 ≤ index < 2
        try: 0 or -2 for the first, 1 or -1 for the last
      """
    ) { _ = a[2] },
    Wrong(
      "negative index",
      """
      subscript: index -4 is out of range for axis 1 of size 3
        with x: float32[2, 3]
        rule: -3 ≤ index < 3
        try: 0 or -3 for the first, 2 or -1 for the last
      """
    ) { _ = a[0, -4] },
    Wrong(
      "index into nothing",
      """
      subscript: index 0 is out of range for axis 0 of size 0
        with x: float32[0]
        rule: the axis is empty
        try: an axis with elements, or a range, which may be empty
      """
    ) { _ = Tensor.zeros([0])[0] },
    Wrong(
      "too many subscripts of a vector",
      """
      subscript: 2 subscripts for 1 axis
        with x: float32[4]
        rule: at most one for each axis
        try: .newAxis adds an axis
      """
    ) { _ = b[0, 0] },
    Wrong(
      "too many subscripts",
      """
      subscript: 3 subscripts for 2 axes
        with x: float32[2, 3]
        rule: at most one for each axis
        try: .newAxis adds an axis
      """
    ) { _ = a[0, 0, 0] },
    Wrong(
      "step 0",
      """
      subscript: the step along axis 0 is 0
        with x: float32[2, 3]
        rule: a step is positive or negative
        try: 1 for each element, -1 for the reverse
      """
    ) { _ = a[.range(by: 0)] },
    Wrong(
      "two ellipses",
      """
      subscript: there are two .ellipsis
        with x: float32[2, 3]
        rule: at most one
        try: .all for single axes
      """
    ) { _ = a[.ellipsis, .ellipsis] },
    Wrong(
      "floating indices",
      """
      subscript: a tensor of indices is float32
        with x: float32[2, 3]
        rule: integer or bool
        try: cast(to: .int64)
      """
    ) { _ = a[Tensor([0.5])] },
    Wrong(
      "indices out of range",
      """
      take: index 5 is out of range for axis 0 of size 2
        with x: float32[2, 3], indices: int64[2]
        rule: 0 ≤ index < 2
        try: check what the indices were made for
      """
    ) { _ = a[Tensor([0, 5])] },
    Wrong(
      "negative indices out of range",
      """
      take: index -3 is out of range for axis 0 of size 2
        with x: float32[2, 3], indices: int64[1]
        rule: 0 ≤ index < 2
        try: check what the indices were made for
      """
    ) { _ = a[Tensor([-3])] },
    Wrong(
      "second of two indices out of range",
      """
      take: index 7 is out of range for axis 1 of size 3
        with x: float32[6], indices: int64[1]
        rule: 0 ≤ index < 3
        try: check what the indices were made for
      """
    ) { _ = a[Tensor([0]), Tensor([7])] },
    Wrong(
      "first of two indices out of range, negative",
      """
      take: index -5 is out of range for axis 0 of size 2
        with x: float32[6], indices: int64[2]
        rule: 0 ≤ index < 2
        try: check what the indices were made for
      """
    ) { _ = a[Tensor([1, -5]), Tensor([0, 9])] },
    Wrong(
      "index far out of range, behind a new axis",
      """
      take: index -1099511627776 is out of range for axis 1 of size 3
        with x: float32[1, 6], indices: int64[1]
        rule: 0 ≤ index < 3
        try: check what the indices were made for
      """
    ) { _ = a[.newAxis, Tensor([1]), Tensor([Int.min])] },
    Wrong(
      "index out of range in a vmap over both",
      """
      take: index 2 is out of range for axis 0 of size 2
        with x: float32[6], indices: int64[3, 1]
        rule: 0 ≤ index < 2
        try: check what the indices were made for
      """
    ) { _ = vmap { (x: Tensor, i: Tensor) in x[i] }(Tensor.ones([3, 2]), Tensor([[0], [2], [1]])) },
    Wrong(
      "write at two indices out of range",
      """
      takeUpdate: index 4 is out of range for axis 1 of size 3
        with x: float32[6], indices: int64[1], values: float32[1]
        rule: 0 ≤ index < 3
        try: check what the indices were made for
      """
    ) {
      var b = a
      b[Tensor([-1]), Tensor([4])] = Tensor([1] as [Float])
    },
    Wrong(
      "indices that do not broadcast",
      """
      subscript: the shapes [2] and [3] do not broadcast: 2 ≠ 3 at axis -1
        with input 0: int64[2], input 1: int64[3]
        rule: aligned at the last axis, sizes are equal or one of them is 1
        try: reshaped(…) or expandedDims(axis:) to place the axes
      """
    ) { _ = a[Tensor([0, 1]), Tensor([0, 1, 2])] },
    Wrong(
      "mask",
      """
      subscript: the mask bool[3] does not fit the axes from 0 on
        with x: float32[2, 3]
        rule: a mask has the sizes of the axes that it selects from
      """
    ) { _ = a[Tensor([true, false, true])] },
    Wrong(
      "write",
      """
      subscript: a value of shape [4] does not fit the part of shape [3]
        with input 0: float32[2, 3], input 1: float32[4]
        rule: the value broadcasts to the part
        try: reshaped(…) or expandedDims(axis:) on the value
      """
    ) {
      var x = a
      x[0] = b
    },
    Wrong(
      "write at indices",
      """
      subscript: a value of shape [4] does not fit the part of shape [1, 3]
        with input 0: float32[2, 3], input 1: float32[4]
        rule: the value broadcasts to the part
        try: reshaped(…) or expandedDims(axis:) on the value
      """
    ) {
      var x = a
      x[Tensor([0])] = b
    },
    Wrong(
      "write out of range",
      """
      takeUpdate: index 2 is out of range for axis 0 of size 2
        with x: float32[2, 3], indices: int64[1], values: float32[1, 3]
        rule: 0 ≤ index < 2
        try: check what the indices were made for
      """
    ) {
      var x = a
      x[Tensor([2])] = Tensor(1)
    },
    Wrong(
      "take",
      """
      take: index 2 is out of range for axis 0 of size 2
        with x: float32[2, 3], indices: int64[1]
        rule: 0 ≤ index < 2
        try: check what the indices were made for
      """
    ) { _ = a.take(Tensor([2])) },
    Wrong(
      "take, negative",
      """
      take: index -1 is out of range for axis 1 of size 3
        with x: float32[2, 3], indices: int64[1]
        rule: 0 ≤ index < 3
        try: check what the indices were made for
      """
    ) { _ = a.take(axis: 1, Tensor([-1])) },
    Wrong(
      "take by floats",
      """
      take: indices is float32
        with x: float32[2, 3], indices: float32[4]
        rule: it takes int64 or int32
        try: cast(to: .int64)
      """
    ) { _ = a.take(b) },
    Wrong(
      "take axis",
      """
      take: axis 2 is out of range for 2 axes
        with x: float32[2, 3]
        rule: -2 ≤ axis < 2
        try: axes count from 0, or from -1 at the end
      """
    ) { _ = a.take(axis: 2, ints) },
    Wrong(
      "take from nothing",
      """
      take: index 0 is out of range for axis 0 of size 0
        with x: float32[0], indices: int64[1]
        rule: the axis is empty
        try: check what the indices were made for
      """
    ) { _ = Tensor.zeros([0]).take(Tensor([0])) },
    Wrong(
      "gather",
      """
      gather: index 3 is out of range for axis 1 of size 3
        with x: float32[2, 3], indices: int64[2, 1]
        rule: 0 ≤ index < 3
        try: check what the indices were made for
      """
    ) { _ = a.gather(axis: 1, Tensor([[0], [3]])) },
    Wrong(
      "gather rank",
      """
      gather: indices has 1 axis
        with x: float32[2, 3], indices: int64[3]
        rule: its number of axes is 2, as that of x
        try: reshaped(…), expandedDims(axis:) or squeezed(axis:) change the number of axes
      """
    ) { _ = a.gather(axis: 1, ints) },
    Wrong(
      "gather shape",
      """
      gather: indices has shape [1, 1]
        with x: float32[2, 3], indices: int64[1, 1]
        rule: its shape is [2, 3] except along axis 1
        try: reshaped(…), or another tensor
      """
    ) { _ = a.gather(axis: 1, Tensor([[0]])) },
    Wrong(
      "scatterAdding",
      """
      scatterAdd: index 9 is out of range for axis 1 of size 3
        with x: float32[2, 3], indices: int64[2, 1], values: float32[2, 1]
        rule: 0 ≤ index < 3
        try: check what the indices were made for
      """
    ) { _ = a.scatterAdding(axis: 1, Tensor([[0], [9]]), Tensor.ones([2, 1])) },
    Wrong(
      "scatterAdding values",
      """
      scatterAdd: values has shape [4]
        with x: float32[2, 3], indices: int64[2, 1], values: float32[4]
        rule: its shape is [2, 1], as that of indices
        try: reshaped(…), or another tensor
      """
    ) { _ = a.scatterAdding(axis: 1, Tensor([[0], [1]]), b) },
    Wrong(
      "scatterAdding dtypes",
      """
      scatterAdd: the dtypes differ: float32 and int64 and int64
        with x: float32[2, 3], indices: int64[2, 1], values: int64[2, 1]
        rule: the arguments have one dtype
        try: cast(to:) on one of them
      """
    ) {
      _ = a.scatterAdding(axis: 1, Tensor([[0], [1]]), Tensor([[1], [1]]))
    },
  ]

  @Test(arguments: indexing) func indexingText(_ wrong: Wrong) { wrong.check() }
}
