public import MartletCore
public import MartletOps

/// A layer one of whose parameters is computed from others, which take its place in the state and in training.
public class ParametrizedLayer<Layer: Module> {
  private let parts: ParametrizedParts
  /// The layer, and its own parameter, which holds what it was made with and is no longer used.
  private let hidden: Hidden<(layer: Layer, parameter: Parameter)>
  public final let mode = Mode()

  /// - Parameter make: from the parameter at the start the cells, with their names in the state.
  init(_ op: String, _ layer: Layer, _ name: String, _ make: (Tensor) -> [(name: String, cell: Cell)]) {
    let tree = ModuleTree(layer)
    let found = tree.parameters.first { $0.name == name }
    if found == nil {
      fail(
        OpError(
          .misuse(
            "\(type(of: layer)) has no parameter \(name)",
            rule: "one of \(tree.parameters.map { $0.name }.joined(separator: ", "))"), op: op))
    }
    let parameter = found?.parameter ?? Parameter(Tensor.zeros([1, 1]))
    let others = tree.cells.filter { $0.cell !== parameter }
    parts = ParametrizedParts(
      children: others.map { ($0.name, $0.cell) } + tree.modes.enumerated().map { ("mode\($0.offset)", $0.element) }
        + make(parameter.read()!).map { ($0.name, $0.cell) })
    hidden = Hidden((layer, parameter))
  }

  public final var layer: Layer { hidden.value.layer }
  /// The parameter as it is computed now.
  public final var weight: Tensor { computed(updates: false) }

  /// The value of the parameter. `updates`: whether what helps to compute it may change.
  func computed(updates: Bool) -> Tensor { hidden.value.parameter.value }

  public final var settings: String { "\(type(of: layer))(\(layer.settings))" }

  public final func forward(_ input: Layer.Input) -> Layer.Output {
    let value = computed(updates: true)
    return SubstitutionFrame([ObjectIdentifier(hidden.value.parameter): value]).run { layer(input) }
  }
}

/// The cells under the names that PyTorch gives them.
private struct ParametrizedParts: NamedChildren {
  let children: [(name: String, value: Any)]
}

/// Keeps layers and cells out of the walk over the stored properties: they are among the parts.
private struct Hidden<Value>: NamedChildren {
  let value: Value
  init(_ value: Value) { self.value = value }
  var children: [(name: String, value: Any)] { [] }
}

/// The parameter with its axis in front, as a matrix.
private func matrix(_ weight: Tensor, _ axis: Int) -> Tensor {
  let front = weight.movingAxis(axis, to: 0)
  return front.reshaped([front.shape[0], front.count / Swift.max(1, front.shape[0])])
}

/// A layer whose weight has its direction and its length apart: `weight = g · v / ‖v‖`, with a length for each index along
/// an axis.
///
///     let layer = WeightNorm(Linear(3, 5))
///
/// In the state `g` and `v` are PyTorch's `parametrizations.weight.original0` and `original1`. At the start the weight is
/// that of the layer. Source: Salimans and Kingma 2016; PyTorch `parametrizations.weight_norm`.
public final class WeightNorm<Layer: Module>: ParametrizedLayer<Layer>, Module {
  public typealias Input = Layer.Input
  public typealias Output = Layer.Output
  private let original: Hidden<(g: Parameter, v: Parameter)>
  private let axis: Int?

  /// - Parameters:
  ///   - name: the parameter's name in the layer.
  ///   - axis: for each index along this axis of the weight there is a length; nil: one for all.
  public init(_ layer: Layer, name: String = "weight", axis: Int? = 0) {
    let weight = ModuleTree(layer).parameters.first { $0.name == name }?.parameter.read() ?? Tensor.ones([1, 1])
    let g = Parameter(length(weight, axis))
    let v = Parameter(weight)
    original = Hidden((g, v))
    self.axis = axis
    super.init("WeightNorm", layer, name) { _ in
      [("parametrizations.\(name).original0", g), ("parametrizations.\(name).original1", v)]
    }
  }

  override func computed(updates: Bool) -> Tensor {
    let v = original.value.v.value
    return v * (original.value.g.value / length(v, axis))
  }
}

/// The norm over all axes but one, which stay with size 1; over all without an axis.
private func length(_ v: Tensor, _ axis: Int?) -> Tensor {
  guard let axis else { return v.norm() }
  guard let kept = v.position(of: axis, op: "WeightNorm") else { return v }
  return v.norm(axes: (0..<v.rank).filter { $0 != kept }, keepDims: true)
}

/// A layer whose weight is divided by its largest singular value, which power iteration follows while training.
///
///     let layer = SpectralNorm(Conv2d(3, 8, kernelSize: 3))
///
/// The weight counts as a matrix with one axis in front and the others as one. In the state are PyTorch's
/// `parametrizations.weight.original`, and as buffers `parametrizations.weight.0._u` and `_v`. The singular vectors take
/// part in the gradient as constants. Source: Miyato et al. 2018; PyTorch `parametrizations.spectral_norm`.
public final class SpectralNorm<Layer: Module>: ParametrizedLayer<Layer>, Module {
  public typealias Input = Layer.Input
  public typealias Output = Layer.Output
  private let cells: Hidden<(weight: Parameter, u: Buffer, v: Buffer)>
  private let iterations: Int
  private let epsilon: Double
  private let axis: Int

  /// - Parameters:
  ///   - name: the parameter's name in the layer.
  ///   - iterations: steps of power iteration at each call while training, 1 or more.
  ///   - epsilon: the least norm that vectors are divided by.
  ///   - axis: the axis of the outputs; 0, or 1 for transposed convolutions, when nil.
  public init(
    _ layer: Layer, name: String = "weight", iterations: Int = 1, epsilon: Double = 1e-12, axis: Int? = nil,
    generator: Generator = Random.generator
  ) {
    if iterations < 1 {
      fail(OpError(.count(name: "iterations", iterations, allowed: "1 or more"), op: "SpectralNorm"))
    }
    let weight = ModuleTree(layer).parameters.first { $0.name == name }?.parameter.read() ?? Tensor.ones([1, 1])
    let axis = axis ?? (layer is TransposedConvolution ? 1 : 0)
    let rows = matrix(weight, axis)
    let parameter = Parameter(weight)
    let u = Buffer(unit(.normal([rows.shape[0]], dtype: weight.dtype, generator: generator), epsilon))
    let v = Buffer(unit(.normal([rows.shape[1]], dtype: weight.dtype, generator: generator), epsilon))
    cells = Hidden((parameter, u, v))
    (self.iterations, self.epsilon, self.axis) = (iterations, epsilon, axis)
    super.init("SpectralNorm", layer, name) { _ in
      [
        ("parametrizations.\(name).original", parameter), ("parametrizations.\(name).0._u", u),
        ("parametrizations.\(name).0._v", v),
      ]
    }
    iterate(15)
  }

  /// Steps of power iteration, which gradients do not see.
  private func iterate(_ steps: Int) {
    let w = matrix(cells.value.weight.value.detached(), axis)
    var (u, v) = (cells.value.u.value, cells.value.v.value)
    for _ in 0..<steps {
      u = unit(matmul(w, v), epsilon)
      v = unit(matmul(w.transposed(), u), epsilon)
    }
    (cells.value.u.value, cells.value.v.value) = (u, v)
  }

  override func computed(updates: Bool) -> Tensor {
    if updates, mode.isTraining { iterate(iterations) }
    let weight = cells.value.weight.value
    let (u, v) = (cells.value.u.value.detached(), cells.value.v.value.detached())
    return weight / (u * matmul(matrix(weight, axis), v)).sum()
  }
}

/// A vector divided by its norm.
private func unit(_ x: Tensor, _ epsilon: Double) -> Tensor { x / clamp(x.norm(), min: epsilon) }
