/// Turns facts into texts: what is wrong, with the arguments; the rule as arithmetic; the likely correction; the layer.
package enum ErrorText {
  static func text(_ error: OpError) -> String { "\(error.op): \(error.fact)" }
}
