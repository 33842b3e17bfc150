package import MartletCore

extension Tensor {
  /// As `withAutocast` wants the argument of a product: float32 and the floats of 16 bits in its dtype.
  @inline(__always)
  package var autocast: Tensor { Autocast.isOn ? lowered() : self }

  /// As `withAutocast` wants the argument of a loss: floats of 16 bits as float32.
  @inline(__always)
  package var autocastWide: Tensor { Autocast.isOn && dtype.isFloating && dtype.size == 2 ? cast(to: .float32) : self }

  @inline(never)
  private func lowered() -> Tensor {
    guard let dtype = Autocast.dtype, self.dtype.isFloating, self.dtype != .float64 else { return self }
    return cast(to: dtype)
  }
}
