import Martlet

struct CheckFailed: Error, CustomStringConvertible {
  let description: String
}

func check(_ holds: Bool, _ what: @autoclosure () -> String) throws {
  if !holds { throw CheckFailed(description: what()) }
}

func check(_ found: Tensor, is expected: Tensor, within tolerance: Double = 1e-5, _ what: String) throws {
  try check(found.shape == expected.shape, "\(what): the shape is \(found.shape), not \(expected.shape)")
  try check(
    allClose(found, expected, relative: tolerance, absolute: tolerance), "\(what): \(found) is not \(expected)")
}

func check(_ found: Double, is expected: Double, within tolerance: Double = 1e-5, _ what: String) throws {
  try check(
    abs(found - expected) <= tolerance * max(1, abs(expected)), "\(what): \(found) is not \(expected)")
}

extension Double {
  /// With three digits behind the point.
  var short: String { "\((self * 1000).rounded() / 1000)" }
}
