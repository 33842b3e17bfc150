import Martlet
import MartletCore
import Testing

@inline(never)
private func multiplyWrongly() {
  let weights = Tensor.ones([2, 3])
  let product = exp(weights)
  print(matmul(product, weights))
}

extension Tensor {
  @inline(never)
  fileprivate func addedWrongly() -> Tensor {
    let sum = self + Tensor.ones([7])
    return sum * 2  // the call above is not the last, which would have left no trace of this function
  }
}

@inline(never)
private func useAfterError() {
  var kept = Tensor.ones([2])
  _ = try? withErrors { kept = kept + Tensor.ones([3]) }
  print(kept + 1)
}

@Suite struct OriginTests {
  /// Without any switch a program that ends says which of its lines asked for the operation.
  @Test(.disabled(if: isSanitized)) func textNamesTheCaller() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      multiplyWrongly()
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(
      text.contains("inner sizes differ") && text.contains("\n  called at MartletTests/OriginTests.swift:9"), "\(text)")
    #expect(!text.contains("was made by"))
  }

  @Test(.disabled(if: isSanitized)) func textNamesTheCallerInAnExtensionAndAClosure() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = vmap { (x: Tensor) in x.addedWrongly() }(Tensor.ones([2, 3]))
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("\n  called at MartletTests/OriginTests.swift:15"), "\(text)")
  }

  @Test(.disabled(if: isSanitized)) func errorTensorsThatEscapeNameTheCaller() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      useAfterError()
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(
      text.contains("outside of its withErrors") && text.contains("\n  called at MartletTests/OriginTests.swift:24"),
      "\(text)")
  }

  @Test(arguments: [
    ("Sources/App/main.swift", true), ("/home/a/Sources/MartletApp/main.swift", true),
    ("/home/a/Martlet/Tests/Net.swift", true), ("main.swift", true), ("/a/Sources/martlet-cli/Train.swift", true),
    ("/b/.build/checkouts/martlet/Sources/MartletCore/Graph/Apply.swift", false),
    ("Sources/MartletOps/Linear/Matmul.swift", false), ("/a/Sources/Martlet/Names.swift", false),
    ("//<compiler-generated>", false), ("/swift/stdlib/public/core/Collection.swift", false),
  ])
  func callers(path: String, isCaller: Bool) { #expect(Origins.isCaller(path) == isCaller, "\(path)") }

  @Test(.disabled(if: isSanitized)) func textNamesTheLinesOfTheArguments() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      Origins.turnOn()
      multiplyWrongly()
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("b was made by Tensor at MartletTests/OriginTests.swift:7"))
    #expect(text.contains("a was made by exp at MartletTests/OriginTests.swift:8"))
    #expect(text.contains("called at MartletTests/OriginTests.swift:9"))
  }
}
