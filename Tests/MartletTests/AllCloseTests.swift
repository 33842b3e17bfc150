import Martlet
import Testing

/// Expected answers are PyTorch's, from its documentation of `allclose` and by its formula.
@Suite struct AllCloseTests {
  @Test func closeness() {
    #expect(!allClose(Tensor([10000.0, 1e-07]), Tensor([10000.1, 1e-08])))
    #expect(allClose(Tensor([10000.0, 1e-08]), Tensor([10000.1, 1e-09])))
    #expect(!allClose(Tensor([1.0, .nan]), Tensor([1.0, .nan])))
    #expect(allClose(Tensor([1.0, .nan]), Tensor([1.0, .nan]), equalNaN: true))
    #expect(allClose(Tensor([Double.infinity, 1]), Tensor([Double.infinity, 1])))
    #expect(!allClose(Tensor([Double.infinity, 1]), Tensor([-Double.infinity, 1])))
    #expect(!allClose(Tensor([1.0]), Tensor([Double.infinity])))
    #expect(allClose(Tensor([1, 2]), Tensor([1.0, 2.0])))
    #expect(!allClose(Tensor([1.0]), Tensor([1.1])) && allClose(Tensor([1.0]), Tensor([1.1]), relative: 0.1))
    #expect(allClose(Tensor([1.0]), Tensor([1.1]), absolute: 0.2))
  }
}
