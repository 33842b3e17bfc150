import Foundation
import Martlet
import Testing

private func values(_ x: Tensor) -> [Double] { x.array(as: Double.self) }
private let nan = Double.nan
private let inf = Double.infinity

@Suite struct ElementaryTests {
  @Test func pythonsSigns() {
    let (a, b) = (Tensor([7, -7, 7, -7, 6, 5]), Tensor([3, 3, -3, -3, 3, 0]))
    #expect(values(remainder(a, b)) == [1, 2, -2, -1, 0, 0])
    #expect(values(floorDivide(a, b)) == [2, -3, -3, 2, 2, 0])
    let (x, y) = (a.cast(to: .float32) + 0.5, b.cast(to: .float32))
    #expect(values(remainder(x, y))[..<4] == [1.5, 2.5, -1.5, -0.5])
    #expect(values(floorDivide(x, y))[..<4] == [2, -3, -3, 2])
    #expect(values(floorDivide(x, y))[5] == inf)
    #expect(values(remainder(Tensor([-1, 255]).cast(to: .uint8), 7)) == [3, 3])
    #expect(remainder(Tensor([5]), 2).dtype == .int64)
  }

  @Test func specialNumbers() {
    let x = Tensor([nan, inf, -inf, 0, 1] as [Double])
    #expect(values(x.isNaN) == [1, 0, 0, 0, 0])
    #expect(values(x.isInfinite) == [0, 1, 1, 0, 0])
    #expect(values(x.isFinite) == [0, 0, 0, 1, 1])
    #expect(values(Tensor([1, 2]).isFinite) == [1, 1] && values(Tensor([1, 2]).isNaN) == [0, 0])
    #expect(values(round(Tensor([0.5, 1.5, 2.5, -0.5, -1.5] as [Double]))) == [0, 2, 2, 0, -2])
    // The sign of zero.
    for dtype in [DType.float32, .float64] {
      let zero = Tensor([-0.0] as [Double]).cast(to: dtype)
      for f in [expm1, log1p, sinh, tan, asin, atan, asinh, atanh, erf, trunc, ceil, round] as [(Tensor) -> Tensor] {
        #expect((1 / f(zero)).item() == -inf)
      }
    }
  }

  /// float32 against float64, over magnitudes from 1e-6 to the ends of the domain.
  @Test func precision() {
    let magnitudes = (0..<400).map { Foundation.pow(10, -6 + 7.5 * Double($0) / 399) }
    let both = Tensor(magnitudes + magnitudes.map { -$0 }).cast(to: .float32)
    func worst(_ f: (Tensor) -> Tensor, _ x: Tensor) -> Double {
      let (single, double) = (values(f(x)), values(f(x.cast(to: .float64))))
      return zip(single, double).map { s, d in
        d.magnitude < 1e-37 || d.magnitude > 3e38 || d.isNaN ? 0 : Swift.abs(s - d) / Swift.abs(d) * 0x1p23
      }.max()!
    }
    let within = clamp(both, min: -0.999, max: 0.999)
    for f in [expm1, exp2, sinh, cosh, atan, asinh, erf] as [(Tensor) -> Tensor] { #expect(worst(f, both) < 4) }
    for f in [log1p, asin, acos, atanh, tan] as [(Tensor) -> Tensor] { #expect(worst(f, within) < 4) }
    for f in [log2, log10, log1p] as [(Tensor) -> Tensor] { #expect(worst(f, abs(both)) < 4) }
    #expect(worst(acosh, abs(both) + 1) < 4)
  }

  @Test func clamping() throws {
    let x = Tensor([-2, -1, 0.5, 1, 3, nan] as [Double])
    #expect(values(clamp(x, min: -1, max: 1))[..<5] == [-1, -1, 0.5, 1, 1])
    #expect(values(clamp(x, min: -1, max: 1))[5].isNaN)
    #expect(values(clamp(x, min: 2, max: 1))[..<5] == [1, 1, 1, 1, 1])
    #expect(values(grad { (x: Tensor) in clamp(x, min: -1, max: 1).sum() }(x))[..<5] == [0, 0, 1, 0, 0])
    let (low, high) = (Tensor([-1.0] as [Double]), Tensor([1.0] as [Double]))
    let gradients = grad { (t: [Tensor]) in clamp(t[0], min: t[1], max: t[2]).sum() }([x[..<5], low, high])
    #expect(values(gradients[1]) == [1.5] && values(gradients[2]) == [1.5])
    #expect(values(gradients[0]) == [0, 0.5, 1, 0.5, 0])
    #expect(clamp(Tensor([1, 5]), min: 2).dtype == .int64)
  }
}
