public import MartletCore

/// Layers one after the other; named `0`, `1`, … as in PyTorch.
///
///     let model = Sequential {
///       Flatten()
///       Linear(784, 128)
///       ReLU()
///       Linear(128, 10)
///     }
public final class Sequential: Module {
  public typealias Layer = any Module<Tensor, Tensor>
  private let layers: LayerList

  public init(@LayerBuilder _ layers: () -> [Layer]) { self.layers = LayerList(layers()) }
  public init(_ layers: [Layer]) { self.layers = LayerList(layers) }

  public var count: Int { layers.all.count }
  /// A layer by its number. One that is not there is an error.
  public subscript(index: Int) -> Layer {
    guard layers.all.indices.contains(index) else {
      fail(
        OpError(
          .misuse(
            "there is no layer \(index)", rule: "0 ≤ index < \(count)",
            remedy: count > 0 ? "model[model.count - 1] is the last" : "a Sequential with layers"), op: "Sequential"))
      return Identity()
    }
    return layers.all[index]
  }
  public func forward(_ x: Tensor) -> Tensor { layers.all.reduce(x) { $1.callAsFunction($0) } }
}

/// Layers that are named by their position alone.
struct LayerList: NamedChildren {
  let all: [Sequential.Layer]
  init(_ all: [Sequential.Layer]) { self.all = all }
  package var children: [(name: String, value: Any)] { all.enumerated().map { ("\($0.offset)", $0.element) } }
}

/// Collects layers, also under `if` and `for`.
@resultBuilder
public enum LayerBuilder {
  public static func buildExpression(_ layer: Sequential.Layer) -> [Sequential.Layer] { [layer] }
  public static func buildExpression(_ layers: [Sequential.Layer]) -> [Sequential.Layer] { layers }
  public static func buildBlock(_ parts: [Sequential.Layer]...) -> [Sequential.Layer] { parts.flatMap { $0 } }
  public static func buildOptional(_ part: [Sequential.Layer]?) -> [Sequential.Layer] { part ?? [] }
  public static func buildEither(first: [Sequential.Layer]) -> [Sequential.Layer] { first }
  public static func buildEither(second: [Sequential.Layer]) -> [Sequential.Layer] { second }
  public static func buildArray(_ parts: [[Sequential.Layer]]) -> [Sequential.Layer] { parts.flatMap { $0 } }
}
