import Foundation
import Martlet
import MartletCore
import Testing

/// Whether a sanitizer watches this process: its own code between the calls hides their lines.
let isSanitized = dlsym(nil, "__tsan_init") != nil || dlsym(nil, "__asan_init") != nil

/// Checks shape and values; NaN agrees with NaN.
func expectValues(
  _ tensor: Tensor, _ shape: Shape, _ values: [Double], within tolerance: Double = 0, _ name: String = "",
  at location: SourceLocation = #_sourceLocation
) {
  let found: [Double] = tensor.array()
  let close =
    found.count == values.count
    && zip(found, values).allSatisfy { a, b in a == b || a.isNaN && b.isNaN || abs(a - b) <= tolerance }
  #expect(
    tensor.shape == shape && close, "\(name) is \(tensor.shape) \(found), not \(shape) \(values)",
    sourceLocation: location)
}

/// Checks that two tensors have one spec and values that differ by at most the tolerance.
func expectSame(
  _ a: Tensor, _ b: Tensor, within tolerance: Double = 0, _ name: String = "",
  at location: SourceLocation = #_sourceLocation
) {
  #expect(a.dtype == b.dtype, "\(name)", sourceLocation: location)
  expectValues(a, b.shape, b.array(), within: tolerance, name, at: location)
}

/// The text of an error without the line that called the operation, which takes a second to find.
func plainText(_ error: any Error) -> String {
  (error as? OpError).map { ErrorText.text($0, places: false) } ?? "\(error)"
}

/// The text of the first error in `body`; fails when there is none.
///
/// - Parameter places: with the line that called the operation.
func errorText(
  places: Bool = false, at location: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) -> String {
  do {
    try withErrors(body)
  } catch {
    return withoutDevice(places ? "\(error)" : plainText(error))
  }
  Issue.record("no error", sourceLocation: location)
  return ""
}

/// A text without the device behind specs, which is there when the tests run on another device than the CPU.
func withoutDevice(_ text: String) -> String { text.replacing("@\(Device.current)", with: "") }

/// What is said of a wrong label: the reference has no kernel for `crossEntropy`, and its parts name themselves.
func labelError(_ label: Int, classes: Int) -> String {
  Device.current == .reference
    ? "gather: index \(label) is out of range for axis 1 of size \(classes)"
    : "crossEntropy: label \(label) is out of range for \(classes) classes"
}

/// 0, 1, 2, … as a tensor of a shape.
func count(_ shape: Shape, dtype: DType = .float32) -> Tensor {
  Tensor.range(to: Double(shape.elementCount), dtype: dtype).reshaped(shape)
}

extension Tensor {
  /// Where the elements start: two tensors with equal addresses share memory.
  var address: UnsafeMutableRawPointer { node.pointer }
}
