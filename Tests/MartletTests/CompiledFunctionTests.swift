import Martlet
import Testing

/// Compiled functions where functions are wanted, and transforms inside `compile`, in the shapes in which users write them.
@Suite struct CompiledFunctionTests {
  private let w = Tensor([1, 2, 3] as [Float])
  private let b = Tensor([4, 5, 6] as [Float])

  @Test func asFunctions() {
    let square = compile { (x: Tensor) in (x * x).sum() }
    #expect([w, b].map(square.function).map { $0.item() } == [14, 77])
    expectValues(grad(square.function)(w), [3], [2, 4, 6])
    let dot = compile { (x: Tensor, y: Tensor) in (x * y).sum() }
    expectValues(vmap(dot.function)(Tensor([[1, 2], [3, 4]]), Tensor([[5, 6], [7, 8]])), [2], [17, 53])
    let f: (Tensor, Tensor) -> Tensor = dot.function
    #expect(f(w, b).item() == 32)
    #expect(square.programs.count == 1)
  }

  @Test func models() {
    let model = Sequential {
      Linear(3, 2)
      BatchNorm1d(2)
      Dropout(0.5)
    }
    #expect(model.isTraining)
    model.eval()
    #expect(!model.isTraining)
    let compiled = compile(model)
    let x = Tensor.ones([4, 3])
    expectSame(withoutGradient { compiled(x) }, withoutGradient { model(x) }, within: 1e-6)
  }

  /// State is named by the layers that are called, if nobody asked the model before; a larger model then names it by its own.
  @Test func stateIsNamed() throws {
    let part = Sequential {
      Linear(3, 2)
      BatchNorm1d(2)
    }
    let names = try compile { part($0) }.program(for: Tensor.ones([4, 3])).stateInputs.map { $0.name }
    #expect(Set(names).isSuperset(of: ["0.weight", "0.bias", "1.weight", "1.running_mean"]))
    let whole = Sequential {
      part
      Linear(2, 2)
    }
    _ = whole.parameters
    let more = try compile { part($0) }.program(for: Tensor.ones([4, 3])).stateInputs.map { $0.name }
    #expect(Set(more).isSuperset(of: ["0.0.weight", "0.1.running_mean"]))
  }

  private final class Lazy: Module {
    let inner = Linear(3, 2)
    lazy var factor = 3.0
    func forward(_ x: Tensor) -> Tensor { inner(x) * factor }
  }

  /// Names are not worth an error.
  @Test func lazyPropertiesAreNoObstacle() throws {
    let model = Lazy()
    let f = compile { (x: Tensor) in model(x).sum() }
    #expect(try withErrors { f(.ones([1, 3])).shape } == [])
  }

  /// The error says what tells a call from the program that is the most like it.
  @Test func reasonsOfCaptures() throws {
    let (dropout, linear) = (Dropout(0.5), Linear(3, 2))
    func text(_ change: @escaping () -> Void, _ call: @escaping (Compiled<Tensor, Tensor>) -> Void) -> String {
      dropout.train()
      linear.unfreeze()
      let f = compile({ (x: Tensor) in linear(dropout(x)).sum() }, limit: 2)
      _ = (f(.ones([1, 3])), f(.ones([2, 3])))
      change()
      return errorText { call(f) }
    }
    let small: (Compiled<Tensor, Tensor>) -> Void = { _ = $0(.ones([1, 3])) }
    let mode = text({ dropout.eval() }, small)
    #expect(mode.contains("a layer is in evaluation") && mode.contains("compile a function for each"), "\(mode)")
    #expect(text({ linear.freeze() }, small).contains("requires no gradient, and did"))
    #expect(text({}, { f in _ = withAutocast(.bfloat16) { f(.ones([1, 3])) } }).contains("withAutocast"))
    let shape = text({ dropout.eval() }, { _ = $0(.ones([5, 3])) })
    #expect(shape.contains("argument 0 is float32[5, 3]") && shape.contains("pad batches"), "\(shape)")
  }

  @Test func sizesThatDependOnValues() {
    let text = errorText { _ = compile { (x: Tensor) in x.nonzero()[0] }(w) }
    #expect(text.contains("nonzero: the number of elements that are not zero") && text.contains("select(mask, a, b)"))
  }

  @Test func gradientsInside() {
    expectValues(compile(grad { (x: Tensor) in (x * x).sum() })(w), [3], [2, 4, 6])
    expectValues(compile(grad { (x: Tensor, y: Tensor) in (x * y).sum() })(w, b), [3], [4, 5, 6])
    expectValues(
      compile(
        grad { (x: Tensor, y: Tensor, z: Tensor) in
          let e = x * y - z
          return (e * e).sum()
        })(w, b, b), [3], [0, 50, 144])
    let parts = compile(grad { (p: [Tensor]) in (p[0] * p[1]).sum() })([w, b])
    expectValues(parts[1], [3], [1, 2, 3])
    expectValues(
      compile(grad { (p: [String: Tensor]) in (p["a"]! * p["b"]!).sum() })(["a": w, "b": b])["a"]!, [3], [4, 5, 6])
    let implicit: Compiled<Tensor, Tensor> = compile(grad { ($0 * $0).sum() })
    expectValues(implicit(w), [3], [2, 4, 6])
    expectValues(compile(vmap(grad { (x: Tensor) in x * x * x }))(w), [3], [3, 12, 27])
    let model = Linear(3, 1)
    expectSame(compile(grad { (x: Tensor) in model(x).sum() })(w), model.weight.value[0].detached())
  }

  @Test func severalResults() throws {
    let both = compile(valueAndGrad { (x: Tensor) in (x * x).sum() })
    let (value, slope) = both(w)
    #expect(value.item() == 14)
    expectValues(slope, [3], [2, 4, 6])
    expectValues(both(b).1, [3], [8, 10, 12])
    #expect(both.programs.count == 1)
    let three = compile { (x: Tensor) in (x, [x + 1, x + 2], x * 2) }
    let (x, more, twice) = three(w)
    expectSame(x, w)
    expectValues(more[1], [3], [3, 4, 5])
    expectValues(twice, [3], [2, 4, 6])
    #expect(throws: OpError.self) {
      try withErrors {
        let (value, _) = compile(valueAndGrad { (x: Tensor) in matmul(x, x[0...1]) })(Tensor.ones([3]))
        #expect(value.item().isNaN)
      }
    }
  }
}
