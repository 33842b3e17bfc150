import Martlet
import Testing

/// What somebody who comes from elsewhere tries first.
@Suite struct NewcomerTests {
  @Test func negativeAxesOfShapes() async throws {
    var shape = Tensor.zeros([2, 3, 4]).shape
    #expect(shape[-1] == 4 && shape[-3] == 2)
    shape[-1] = 7
    #expect(shape == [2, 3, 7])
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      print(Tensor.zeros([2, 3]).shape[2])
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("shape: axis 2 "), "\(text)")
  }

  /// The distance from the mean counts, which is real. Source: PyTorch 2.15.
  @Test func varianceOfComplexNumbers() {
    let z = complex(Tensor([1, 2, 4] as [Float]), Tensor([0, -1, 2] as [Float]))
    #expect(z.variance().dtype == .float32)
    expectSame(z.variance(), Tensor(4.6666665 as Float), within: 1e-5)
    expectSame(z.norm(), Tensor(5.0990195 as Float), within: 1e-5)
  }

  @Test func realNumbersAreNeeded() {
    let z = complex(Tensor.ones([2, 2]), Tensor.ones([2, 2]))
    for f in [
      { meanSquaredError(z, z) }, { huberLoss(z, z) }, { inverse(z) }, { determinant(z) }, { cholesky(z) },
      { z.logSumExp() },
    ] as [() -> Tensor] {
      do {
        _ = try withErrors(f)
        Issue.record("nothing was thrown")
      } catch {
        #expect("\(error)".contains("needs real numbers") && !"\(error)".contains("cast:"), "\(error)")
      }
    }
  }

  /// A sparse tensor of what does not fit carries its error on, and nothing in it ends the process.
  @Test(arguments: 0..<6) func wrongSparseTensors(_ use: Int) {
    let uses: [(SparseTensor) -> Tensor] = [
      { $0.dense }, { $0.coalesced().dense }, { $0.transposed().dense }, { $0.csr.dense }, { $0.sum(axis: 0) },
      { matmul($0, Tensor.ones([3, 2])) },
    ]
    do {
      _ = try withErrors {
        uses[use](SparseTensor(indices: Tensor([[0, 1], [1, 2], [0, 0]]), values: Tensor.ones([2]), shape: [2, 3]))
      }
      Issue.record("nothing was thrown")
    } catch {
      #expect("\(error)".contains("SparseTensor: "), "\(error)")
    }
  }
}
