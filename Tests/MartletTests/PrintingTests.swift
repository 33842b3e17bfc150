import Martlet
import Testing

@Suite struct PrintingTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let tensor: Tensor
    let text: String
    init(_ tensor: Tensor, _ text: String) {
      self.tensor = tensor
      self.text = text
    }
    var testDescription: String { text }
  }

  @Test(arguments: [
    Case(Tensor(2.5), "2.5"),
    Case(Tensor(3 as Float), "3."),
    Case(Tensor(3), "3"),
    Case([1, 2, 3], "[1., 2., 3.]"),
    Case([0.5, 1, -10.25], "[  0.50,   1.00, -10.25]"),
    Case([0.1, 0.2], "[0.1, 0.2]"),
    Case(Tensor([Float(1) / 3, 2]), "[0.3333, 2.0000]"),
    Case([[1, 2], [3, 4]], "[[1., 2.],\n [3., 4.]]"),
    Case([[[1], [2]], [[3], [4]]], "[[[1.],\n  [2.]],\n\n [[3.],\n  [4.]]]"),
    Case(Tensor([Float.nan, .infinity, -.infinity, 1]), "[ nan,  inf, -inf,   1.]"),
    Case(Tensor([1e10, 1] as [Double]), "[1.0000e+10, 1.0000e+00]"),
    Case(Tensor([1e-5, -0.0000234] as [Float]), "[ 1.0000e-05, -2.3400e-05]"),
    Case(Tensor([Double.greatestFiniteMagnitude]), "[1.7977e+308]"),
    Case(Tensor([99999.99, 0.1] as [Double]), "[99999.99,     0.10]"),
    // As PyTorch prints them.
    Case(Tensor([-0.0]), "[-0.]"),
    Case(Tensor([-0.0, 1.5]), "[-0.0,  1.5]"),
    Case(Tensor([-0.00001]), "[-1.0000e-05]"),
    Case(Tensor([-0.0, 0.00001]), "[-0.0000e+00,  1.0000e-05]"),
    Case(Tensor([-0.00001, 100]), "[-1.0000e-05,  1.0000e+02]"),
    Case(Tensor([-0.0004, 0.5]), "[-4.0000e-04,  5.0000e-01]"),
    Case(Tensor([true, false]), "[ true, false]"),
    Case(Tensor([1, -20, 300]), "[  1, -20, 300]"),
    Case(Tensor([255, 0] as [UInt8]), "[255,   0]"),
    Case(Tensor([Int.min, .max]), "[-9223372036854775808,  9223372036854775807]"),
    Case(Tensor([1.5, 2] as [Double]).cast(to: .float16), "[1.5, 2.0]"),
    Case(Tensor([1.5, 2] as [Double]).cast(to: .bfloat16), "[1.5, 2.0]"),
    Case([], "[]"),
    Case(.zeros([2, 0]), "[[],\n []]"),
    Case(Tensor.range(to: 1001, dtype: .int64), "[   0,    1,    2, ...,  998,  999, 1000]"),
    Case(
      Tensor.zeros([40, 40]) + 1,
      """
      [[1., 1., 1., ..., 1., 1., 1.],
       [1., 1., 1., ..., 1., 1., 1.],
       [1., 1., 1., ..., 1., 1., 1.],
       ...,
       [1., 1., 1., ..., 1., 1., 1.],
       [1., 1., 1., ..., 1., 1., 1.],
       [1., 1., 1., ..., 1., 1., 1.]]
      """),
    Case(Tensor([[1, 2], [3, 4]] as [[Float]]).transposed(), "[[1., 3.],\n [2., 4.]]"),
  ])
  func text(_ c: Case) { #expect(c.tensor.description == c.text) }

  @Test func tensorsWithoutAValue() {
    var mapped = ""
    _ = vmap { (x: Tensor) -> Tensor in
      mapped = "\(x)"
      return x
    }(.zeros([3, 2]))
    #expect(withoutDevice(mapped) == "Tensor(float32[2], one example of a vmap)")
    var symbolic = ""
    let f = compile { (x: Tensor) -> Tensor in
      symbolic = "\(x)"
      return x
    }
    _ = f(.zeros([2]))
    #expect(
      withoutDevice(symbolic).hasPrefix(
        "Tensor(float32[2], symbolic, in the capture by compile at MartletTests/PrintingTests.swift:"))
    _ = errorText {
      #expect("\(matmul(.zeros([2, 3]), .zeros([2, 3])))".hasSuffix(", without a value after an error)"))
    }
    var traced = ""
    _ = grad { (x: Tensor) -> Tensor in
      traced = "\(x)"
      return x.sum()
    }([1, 2])
    #expect(traced == "[1., 2.]")
    #expect(lazy { "\(Tensor([1, 2] as [Float]) + 1)" } == "[2., 3.]")
    #expect(withoutDevice(Tensor([1, 2] as [Float]).debugDescription) == "Tensor(float32[2])\n[1., 2.]")
  }

  @Test(arguments: [
    (
      Tensor([1, 2, 3, Float.nan, .infinity]),
      "float32[5] min 1.0000 mean 2.0000 max 3.0000 std 0.8165 nan 1 inf 1"
    ),
    (Tensor([-1_000_000, 1_000_000]), "int64[2] min -1.000e+06 mean 0.0000 max 1.000e+06 std 1.000e+06 nan 0 inf 0"),
    (Tensor.zeros([0, 2]), "float32[0, 2] min nan mean nan max nan std nan nan 0 inf 0"),
    (Tensor([true, false]), "bool[2] min 0.0000 mean 0.5000 max 1.0000 std 0.5000 nan 0 inf 0"),
  ])
  func summary(tensor: Tensor, text: String) { #expect(withoutDevice("\(tensor.summary)") == text) }
}
