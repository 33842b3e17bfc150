/// Where tensors were made, for error texts: `MARTLET_ORIGINS=1`.
package enum Origins {
  package static func origin(of tensor: Tensor) -> String? { nil }
}
