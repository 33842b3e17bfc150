extension Tensor: CustomStringConvertible, CustomDebugStringConvertible {
  /// The elements as NumPy prints them: long axes are shortened, floats of one tensor share a format.
  public var description: String {
    guard hasValue else { return "Tensor(\(spec), \(traceName))" }
    return TensorFormatter(self).text
  }

  public var debugDescription: String { "Tensor(\(spec))\n\(description)" }

  /// False for tensors without a value to print: mapped, symbolic, error.
  package var hasValue: Bool {
    var tensor = self
    while let trace = tensor.node.trace {
      if trace is Mapped || trace is Symbolic || trace is Failed { return false }
      if trace is Pending { return true }
      guard let inner = tensor.node.inner else { return false }
      tensor = inner
    }
    return true
  }

  private var traceName: String {
    switch resolvedTrace {
    case is Mapped: "one example of a vmap"
    case let symbolic as Symbolic where symbolic.builder.isGraph:
      "\(symbolic.builder.title(symbolic.id)), of \(symbolic.builder.name)"
    case let symbolic as Symbolic: "symbolic, in the capture by \(symbolic.builder.name)"
    default: "without a value after an error"
    }
  }

  private var resolvedTrace: Trace? {
    var tensor = self
    while let trace = tensor.node.trace, trace is Recorded || trace is Dual, let inner = tensor.node.inner {
      tensor = inner
    }
    return tensor.node.trace
  }

  /// One element as text, for dumps.
  package var shortValue: String {
    guard hasValue, count == 1 else { return "\(spec)" }
    return shortValue(at: 0)
  }

  /// One element as text, by its position in row-major order.
  package func shortValue(at position: Int) -> String { TensorFormatter(self).format(at: position) }
}

/// Formats like NumPy: at most `edge` items at each end of an axis of more than `2 * edge + 1` once the tensor has more than
/// 1000 elements.
struct TensorFormatter {
  let shape: Shape
  let dtype: DType
  /// The elements; of complex ones the real and imaginary parts in turn.
  private let values: [Double]
  private let integers: [Int64]
  private let shortens: Bool
  private let edge = 3
  private var decimals = 0
  private var scientific = false
  private var width = 0

  init(_ tensor: Tensor) {
    shape = tensor.shape
    dtype = tensor.dtype
    shortens = tensor.count > 1000
    integers = tensor.dtype == .int64 ? tensor.array(as: Int64.self) : []
    values =
      tensor.dtype == .int64
      ? integers.map(Double.init)
      : tensor.dtype.isComplex
        ? tensor.array(as: Complex<Double>.self).flatMap { [$0.real, $0.imaginary] } : tensor.doubles
    let shown = Self.shown(shape, shortens, edge)
    if dtype.isInexact {
      let parts = dtype.isComplex ? shown.flatMap { [2 * $0, 2 * $0 + 1] } : shown
      let finite = parts.map { values[$0] }.filter { $0.isFinite && $0 != 0 }.map(abs)
      if let largest = finite.max(), let smallest = finite.min() {
        scientific = largest >= 1e8 || smallest < 1e-4 || largest / smallest > 1e3 && smallest < 1e-3
      }
      decimals =
        scientific
        ? 4 : (0...4).first { places in finite.allSatisfy { isExact($0, places) } } ?? 4
    }
    width = shown.map { format(at: $0).count }.max() ?? 0
  }

  /// Whether the dtype has no number between the value and its decimal with so many places.
  private func isExact(_ value: Double, _ places: Int) -> Bool {
    let scaled = value * [1.0, 10, 100, 1000, 10000][places]
    let precision =
      switch dtype.realPart {
      case .bfloat16: 0x1p-8
      case .float16: 0x1p-11
      case .float32: 0x1p-24
      default: 0x1p-51
      }
    return abs(scaled.rounded() - scaled) <= precision * scaled
  }

  /// Positions of the elements that are printed.
  private static func shown(_ shape: Shape, _ shortens: Bool, _ edge: Int) -> [Int] {
    var positions = [0]
    for size in shape {
      let indices = shortens && size > 2 * edge + 1 ? Array(0..<edge) + Array((size - edge)..<size) : Array(0..<size)
      positions = positions.flatMap { base in indices.map { base * size + $0 } }
    }
    return positions
  }

  func format(at position: Int) -> String {
    if dtype.isComplex {
      let imaginary = values[2 * position + 1]
      let isNegative = imaginary.sign == .minus && !imaginary.isNaN
      return format(values[2 * position]) + (isNegative ? "-" : "+") + format(imaginary.magnitude) + "i"
    }
    return dtype == .int64 ? String(integers[position]) : format(values[position])
  }

  func format(_ value: Double) -> String {
    if dtype == .bool { return value != 0 ? "true" : "false" }
    if !dtype.isInexact { return String(Int64(value)) }
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    if scientific { return Self.exponential(value, decimals) }
    let text = Self.fixed(value, decimals)
    return decimals == 0 ? text + "." : text
  }

  /// `value` with `places` digits after the point.
  static func fixed(_ value: Double, _ places: Int) -> String {
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 9e18 else { return "\(value)" }
    let digits = UInt64(scaled)
    let sign = value.sign == .minus ? "-" : ""
    if places == 0 { return sign + String(digits) }
    let fraction = String(digits % UInt64(scale))
    return sign + String(digits / UInt64(scale)) + "." + String(repeating: "0", count: places - fraction.count)
      + fraction
  }

  static func exponential(_ value: Double, _ places: Int) -> String {
    guard value != 0 else { return fixed(value, places) + "e+00" }
    var exponent = 0
    var mantissa = abs(value)
    while mantissa >= 10 {
      mantissa /= 10
      exponent += 1
    }
    while mantissa < 1 {
      mantissa *= 10
      exponent -= 1
    }
    var text = fixed(mantissa, places)
    if text.hasPrefix("10") {
      text = fixed(1, places)
      exponent += 1
    }
    let digits = abs(exponent) < 10 ? "0\(abs(exponent))" : "\(abs(exponent))"
    return (value < 0 ? "-" : "") + text + "e" + (exponent < 0 ? "-" : "+") + digits
  }

  var text: String { block(axis: 0, base: 0, indent: 1) }

  private func block(axis: Int, base: Int, indent: Int) -> String {
    guard axis < shape.rank else {
      let item = format(at: base)
      return String(repeating: " ", count: max(0, shape.rank == 0 ? 0 : width - item.count)) + item
    }
    let size = shape[axis]
    if size == 0 { return "[]" }
    let cut = shortens && size > 2 * edge + 1
    let indices = cut ? Array(0..<edge) + Array((size - edge)..<size) : Array(0..<size)
    var items = indices.map { block(axis: axis + 1, base: base * size + $0, indent: indent + 1) }
    if cut { items.insert("...", at: edge) }
    if axis == shape.rank - 1 { return "[" + items.joined(separator: ", ") + "]" }
    let gap = String(repeating: "\n", count: shape.rank - axis - 1) + String(repeating: " ", count: indent)
    return "[" + items.joined(separator: "," + gap) + "]"
  }
}

/// What a tensor holds, at a glance.
public struct TensorSummary: Sendable, CustomStringConvertible {
  public let spec: TensorSpec
  /// Of the finite elements; NaN when there are none.
  public let minimum, mean, maximum, deviation: Double
  public let nanCount, infiniteCount: Int

  public var description: String {
    func text(_ value: Double) -> String {
      value.isNaN
        ? "nan"
        : (abs(value) >= 1e5 || value != 0 && abs(value) < 1e-3)
          ? TensorFormatter.exponential(value, 3) : TensorFormatter.fixed(value, 4)
    }
    return
      "\(spec) min \(text(minimum)) mean \(text(mean)) max \(text(maximum)) std \(text(deviation)) nan \(nanCount) inf \(infiniteCount)"
  }
}

extension Tensor {
  /// Shape, dtype, minimum, mean, maximum, standard deviation (of the population) and the counts of NaN and infinities.
  ///
  /// Of a complex tensor they are those of the absolute values.
  public var summary: TensorSummary {
    let all = !hasValue ? [] : dtype.isComplex ? array(as: Complex<Double>.self).map(\.magnitude) : doubles
    let finite = all.filter(\.isFinite)
    let mean = finite.isEmpty ? Double.nan : finite.reduce(0, +) / Double(finite.count)
    let square = finite.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return TensorSummary(
      spec: spec, minimum: finite.min() ?? .nan, mean: mean, maximum: finite.max() ?? .nan,
      deviation: finite.isEmpty ? .nan : (square / Double(finite.count)).squareRoot(),
      nanCount: all.count(where: \.isNaN), infiniteCount: all.count(where: \.isInfinite))
  }
}
