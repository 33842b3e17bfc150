/// Prints one figure.
func emit(_ workload: String, _ mode: String, _ value: Double, _ unit: String, median: Double) {
  func text(_ value: Double) -> String { "\((value * 10000).rounded() / 10000)" }
  print(
    "{\"workload\": \"\(workload)\", \"system\": \"martlet\", \"mode\": \"\(mode)\", \"value\": \(text(value)), "
      + "\"median\": \(text(median)), \"unit\": \"\(unit)\"}")
}

/// One thing to time.
struct Variant {
  let workload: String
  let mode: String
  /// "ns" or "us" for one call of `body`.
  let unit: String
  let body: () -> Void
}

/// Times variants by many short samples (about 50 µs each) that take turns, and prints the minimum and the median.
///
/// A shared machine slows down and speeds up within seconds; short samples catch its quiet moments, and turns give every
/// variant the same chance of them.
func measure(_ variants: [Variant], seconds: Double) {
  let clock = ContinuousClock()
  func time(_ count: Int, _ body: () -> Void) -> Double {
    let duration = clock.measure { for _ in 0..<count { body() } }
    let (whole, atto) = duration.components
    return (Double(whole) + Double(atto) * 1e-18) / Double(count)
  }
  let counts = variants.map { variant -> Int in
    for _ in 0..<20 { variant.body() }
    return max(1, Int(50e-6 / max(1e-9, time(20, variant.body))))
  }
  var samples = [[Double]](repeating: [], count: variants.count)
  let end = clock.now + .seconds(seconds)
  while clock.now < end {
    for (index, variant) in variants.enumerated() { samples[index].append(time(counts[index], variant.body)) }
  }
  for (variant, times) in zip(variants, samples) {
    let scale = variant.unit == "ns" ? 1e9 : 1e6
    let sorted = times.sorted()
    emit(variant.workload, variant.mode, sorted[0] * scale, variant.unit, median: sorted[sorted.count / 2] * scale)
  }
}

/// The median time of a call, in seconds, after two calls that warm up; at least five samples.
func medianTime(seconds: Double, _ body: () -> Void) -> Double {
  let clock = ContinuousClock()
  for _ in 0..<2 { body() }
  var samples: [Double] = []
  let end = clock.now + .seconds(seconds)
  while clock.now < end || samples.count < 5 {
    let (whole, atto) = clock.measure(body).components
    samples.append(Double(whole) + Double(atto) * 1e-18)
  }
  return samples.sorted()[samples.count / 2]
}
