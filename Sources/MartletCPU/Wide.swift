import CKernels
import MartletCore

/// A floating input in row-major order; 16-bit floats as float32. It lives as `Dense` does.
struct Wide {
  let pointer: UnsafeMutableRawPointer
  /// The dtype of the elements at the pointer.
  let code: Int32
  private let dense: Dense
  private let storage: Storage?

  init?(_ arguments: borrowing KernelArguments, _ position: Int) {
    guard let dense = Dense(arguments, position) else { return nil }
    self.dense = dense
    let dtype = arguments.dtype(position)
    guard dtype.size == 2 else {
      (pointer, code, storage) = (dense.pointer, dtype.code, nil)
      return
    }
    let count = arguments.elementCount(position)
    guard let storage = Storage(bytes: count * 4) else { return nil }
    (pointer, code, self.storage) = (storage.pointer, DType.float32.code, storage)
    withExtendedLifetime(dense) { _ = ck_cast_flat(dtype.code, code, Int64(count), pointer, dense.pointer) }
  }
}

/// Where a result is written: itself, or float32 for one of 16 bits.
struct WideResult {
  let pointer: UnsafeMutableRawPointer
  private let storage: Storage?
  private let position: Int

  init?(_ arguments: borrowing KernelArguments, _ position: Int) {
    self.position = position
    guard arguments.outputSpec(position).dtype.size == 2 else {
      (pointer, storage) = (arguments.outputPointer(position), nil)
      return
    }
    guard let storage = Storage(bytes: arguments.outputElementCount(position) * 4) else { return nil }
    (pointer, self.storage) = (storage.pointer, storage)
  }

  /// Rounds what was written.
  func finish(_ arguments: borrowing KernelArguments) {
    guard let storage else { return }
    _ = ck_cast_flat(
      DType.float32.code, arguments.outputSpec(position).dtype.code, Int64(arguments.outputElementCount(position)),
      arguments.outputPointer(position), storage.pointer)
  }
}
