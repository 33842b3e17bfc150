import Martlet
import Testing

@Suite struct ConcurrencyTests {
  /// Tensors cross tasks: each reads what all share, and writes its own copy.
  @Test func tensorsCrossTasks() async {
    let shared = count([64, 64])
    let view = shared.transposed()
    let sums = await withTaskGroup(of: (Int, Double, Double).self) { group in
      for task in 0..<8 {
        group.addTask {
          var own = shared
          for round in 0..<50 {
            own[task] = Tensor(Double(round))
            own += view * 0
            _ = matmul(own, view).sum().item()
          }
          return (task, own[task].sum().item(), (own.sum() - own[task].sum()).item())
        }
      }
      var results: [(Int, Double, Double)] = []
      for await result in group { results.append(result) }
      return results
    }
    for (task, row, rest) in sums {
      #expect(row == 49 * 64)
      #expect(abs(rest - (shared.sum() - shared[task].sum()).item()) <= 1)
    }
    expectSame(shared, count([64, 64]))
  }

  /// Tasks that draw from one generator get keys of their own.
  @Test func oneGeneratorInEightTasks() async {
    nonisolated(unsafe) let generator = Generator(seed: 3)
    let keys = await withTaskGroup(of: [Int].self) { group in
      for _ in 0..<8 { group.addTask { (0..<100).map { _ in generator.next().array(as: Int.self)[2] } } }
      return await group.reduce(into: []) { $0 += $1 }
    }
    #expect(keys.sorted() == Array(0..<800))
  }

  @Test func oneCompiledFunctionInEightTasks() async {
    let w = Tensor.normal([16, 16], generator: Generator(seed: 1))
    let f = compile { (x: Tensor) -> Tensor in tanh(matmul(x, w)) + x.sum() }
    let eager = { @Sendable (x: Tensor) -> Tensor in tanh(matmul(x, w)) + x.sum() }
    await withTaskGroup(of: Void.self) { group in
      for task in 0..<8 {
        group.addTask {
          // Tasks share shapes and capture at once.
          for round in 1...20 {
            let x = Tensor.normal([1 + round % 4, 16], generator: Generator(seed: task * 100 + round))
            expectSame(f(x), eager(x), within: 1e-5)
          }
        }
      }
    }
    #expect(f.programs.count == 4)
  }

  /// A server: weights from a state, requests of several tasks with a thread each, of which some do not fit.
  @Test func requestsOfManyTasks() async throws {
    let trained = Linear(16, 4, generator: Generator(seed: 1))
    let weights = trained.state
    let served = Linear(16, 4)
    try served.load(weights)
    let answer = compile { (x: Tensor) in withoutGradient { softmax(served(x)) } }
    let requests = (0..<32).map { Tensor.normal([1 + $0 % 2, $0 % 4 == 3 ? 15 : 16], generator: Generator(seed: $0)) }
    let answers = await withTaskGroup(of: (Int, Tensor?, String).self) { group in
      for (index, request) in requests.enumerated() {
        group.addTask {
          do { return (index, try withErrors { withThreads(1) { answer(request) } }, "") } catch {
            return (index, nil, "\(error)")
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(answers.count == requests.count)
    for (index, result, error) in answers {
      if index % 4 == 3 {
        #expect(result == nil && error.hasPrefix("Linear(16, 4): it takes 16 features in the last axis, and x has 15"))
      } else {
        expectSame(try #require(result), softmax(trained(requests[index])), within: 1e-6)
      }
    }
    #expect(answer.programs.count == 2)
  }

  private struct Shared<T>: @unchecked Sendable {
    // The compiled function that writes the cell lets one call in at a time.
    let value: T
  }

  @Test func callsThatWriteStateTakeTurns() async {
    let total = Shared(value: StateTensor([0]))
    let add = compile { (x: Tensor) -> Tensor in
      total.value.value = total.value.value + x
      return total.value.value
    }
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 { group.addTask { for _ in 0..<100 { _ = add([1]) } } }
    }
    expectValues(total.value.value, [1], [800])
  }

  @Test func gradientsInEightTasks() async {
    let expected = grad { (x: Tensor) in (tanh(x) * x).sum() }(count([10]))
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          for _ in 0..<50 {
            expectSame(grad { (x: Tensor) in (tanh(x) * x).sum() }(count([10])), expected)
            let p = Parameter(count([10]))
            (tanh(p.value) * p.value).sum().backward()
            expectSame(p.grad!, expected)
          }
        }
      }
    }
  }

  /// Graphs of eight tasks meet in one leaf, and in operations that were recorded before.
  @Test func backwardOverSharedGraphs() async {
    let leaf = (count([64]) * 0.125).requiringGradient()
    let shared = tanh(leaf * leaf)
    let inside = leaf.detached()
    let slope = grad { (x: Tensor) in tanh(x * x).sum() }(inside)
    await withTaskGroup(of: Void.self) { group in
      for task in 1...8 {
        group.addTask {
          for _ in 0..<100 {
            (shared * Double(task) + leaf).sum().backward(retainGraph: true)
            // At the same time a gradient of its own, in which the leaf is a constant.
            expectSame(grad { (x: Tensor) in (x * leaf).sum() }(inside), inside)
          }
        }
      }
    }
    expectSame(leaf.grad!, slope * 3600 + 800, within: 0.05)
  }

  /// One task frees what another walks: each has the whole gradient or the error, and nothing is read that is gone.
  @Test func sharedGraphsAreFreedByTheLast() async {
    for _ in 0..<200 {
      let leaf = count([4]).requiringGradient()
      var shared = leaf * leaf
      for _ in 0..<20 { shared = shared * 1 }
      let last = shared
      let done = await withTaskGroup(of: Bool.self) { group in
        for _ in 0..<4 {
          group.addTask {
            do {
              try withErrors { (last * 2).sum().backward() }
              return true
            } catch {
              #expect((error as? OpError)?.fact == .freedGraph)
              return false
            }
          }
        }
        var done = 0
        for await succeeded in group where succeeded { done += 1 }
        return done
      }
      #expect(done >= 1)
      expectSame(leaf.grad!, count([4]) * Double(4 * done))
    }
  }

  /// A pending tensor forced by several tasks has one value.
  @Test func pendingTensorsCrossTasks() async {
    let pending = lazy { exp(count([10]) * 0.1) * 2 }
    let expected = exp(count([10]) * 0.1) * 2
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 { group.addTask { expectSame(pending + 0, expected) } }
    }
  }

  @Test func errorScopesOfTasksAreTheirOwn() async {
    await withTaskGroup(of: Void.self) { group in
      for task in 0..<8 {
        group.addTask {
          for _ in 0..<20 {
            let error = await #expect(throws: OpError.self) {
              try await withErrors {
                let x = Tensor.ones([2, task + 3])
                await Task.yield()
                _ = matmul(x, .ones([2, 2]))
                await Task.yield()
              }
            }
            #expect(error?.fact == .innerSizes(task + 3, 2))
            #expect(throws: Never.self) { try withErrors { Tensor.ones([2]) + Tensor.ones([2]) } }
          }
        }
      }
    }
  }

  /// Child tasks report to the scope around them.
  @Test func childTasksShareTheScope() async {
    await #expect(throws: OpError.self) {
      try await withErrors {
        async let sum = (Tensor.ones([2]) + Tensor.ones([3])).sum().item()
        let value = await sum
        #expect(value.isNaN)
      }
    }
  }
}
