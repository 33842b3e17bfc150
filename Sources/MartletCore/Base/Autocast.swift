internal import CKernels

/// The dtype in which products and convolutions of float32 are computed.
package enum Autocast {
  @inline(__always)
  package static var isOn: Bool { ck_flags() & UInt32(CK_AUTOCAST) != 0 }

  package static var dtype: DType? {
    let flags = ck_flags()
    return flags & UInt32(CK_AUTO_BF16) != 0 ? .bfloat16 : flags & UInt32(CK_AUTO_F16) != 0 ? .float16 : nil
  }

  static func set(_ dtype: DType?, _ here: UnsafeMutablePointer<ck_context>) {
    here.pointee.flags &= ~UInt32(CK_AUTOCAST)
    switch dtype {
    case .bfloat16: here.pointee.flags |= UInt32(CK_AUTO_BF16)
    case .float16: here.pointee.flags |= UInt32(CK_AUTO_F16)
    default: break
    }
  }
}

/// Mixed precision: in `body`, matrix products, convolutions and attention of float32 tensors are computed in a dtype of 16
/// bits, with sums in float32; so are the products within recurrent layers, whose states stay float32. Losses are computed in
/// float32.
///
///     let loss = withAutocast(.bfloat16) { crossEntropy(model(x), labels) }
///     loss.backward()
///
/// Parameters stay float32, and so do their gradients: what is cast is recorded, and the backward pass computes each product
/// in the dtype of its forward one, also outside of the scope. Other operations take what they are given; where 16 and 32
/// bits meet, the result has 32. A compiled function captures a program of its own for calls inside and outside of the scope.
///
/// - Parameter dtype: `.bfloat16` or `.float16`; nil (or `.float32`) turns an outer scope off. With float16 small gradients
///   vanish: see `LossScaler`.
///
/// Source: Micikevicius et al. 2018; PyTorch `torch.autocast` and its lists for the CPU.
public func withAutocast<R>(_ dtype: DType? = .bfloat16, _ body: () throws -> R) rethrows -> R {
  if let dtype, dtype != .bfloat16, dtype != .float16, dtype != .float32 {
    fail(
      OpError(
        .misuse("dtype is \(dtype)", rule: "bfloat16 or float16; float32 turns the casts off"), op: "withAutocast"))
  }
  return try Context.with({ Autocast.set(dtype, $0) }, body)
}
