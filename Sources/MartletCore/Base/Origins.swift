/// Where tensors were made, for error texts: `MARTLET_ORIGINS=1`.
package enum Origins {
  package static func origin(of tensor: Tensor) -> String? { nil }
}

/// The names of layers in error texts.
package enum LayerNames {
  package static func name(of layer: AnyObject) -> String { String(describing: type(of: layer)) }
}
