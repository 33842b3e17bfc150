import Martlet
import MartletCore
import Testing

@inline(never)
private func multiplyWrongly() {
  let weights = Tensor.ones([2, 3])
  let product = exp(weights)
  print(matmul(product, weights))
}

@Suite struct OriginTests {
  @Test func textNamesTheLinesOfTheArguments() async throws {
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
