public import MartletCore

/// The solutions `x` of `a x = b`.
public struct Solve: MatrixOp {
  public static var id: OpID { OpTable.solve.id }
  public static var name: String { "solve" }
  public static var argumentNames: [String] { ["a", "b"] }
  public static var fault: (problem: String, rule: String, remedy: String?) {
    ("is singular", "its rows are linearly independent", "leastSquares(a, b), or pseudoInverse(a)")
  }
  public init() {}
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try checkSides(inputs)
    return [inputs[1]]
  }
  public func takeover(output: Int) -> Int? { 1 }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0], outputs: needs[0] ? [0] : []) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let back = apply(self, [saved.input(0).transposed(), ct[0]!])[0]
    return [
      needs[0] ? .dense(-matmul(back, saved.output(0).transposed())) : nil, needs[1] ? .dense(back) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    let side = plus(t[1], t[0].map { -matmul($0, outputs[0]) })
    return [side.map { apply(self, [inputs[0], $0])[0] }]
  }
}

/// The solutions `x` of `a x = b`, where `a` is one triangle of the matrix; the other one is not read.
public struct TriangularSolve: MatrixOp {
  public static var id: OpID { OpTable.triangularSolve.id }
  public static var name: String { "triangularSolve" }
  public static var argumentNames: [String] { ["a", "b"] }
  public static var fault: (problem: String, rule: String, remedy: String?) {
    ("is singular", "no element of its diagonal is 0", nil)
  }
  public let upper: Bool
  public let unit: Bool
  public init(upper: Bool, unit: Bool = false) {
    self.upper = upper
    self.unit = unit
  }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try checkSides(inputs)
    return [inputs[1]]
  }
  public func takeover(output: Int) -> Int? { 1 }
  /// What is read of a matrix.
  private func triangle(_ a: Tensor) -> Tensor { upper ? a.triu(unit ? 1 : 0) : a.tril(unit ? -1 : 0) }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0], outputs: needs[0] ? [0] : []) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    let back = apply(TriangularSolve(upper: !upper, unit: unit), [saved.input(0).transposed(), ct[0]!])[0]
    return [
      needs[0] ? .dense(-triangle(matmul(back, saved.output(0).transposed()))) : nil, needs[1] ? .dense(back) : nil,
    ]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    let side = plus(t[1], t[0].map { -matmul(triangle($0), outputs[0]) })
    return [side.map { apply(self, [inputs[0], $0])[0] }]
  }
}

/// The sign of the determinant, the logarithm of its absolute value, and the determinant itself, which loses no digits to the
/// logarithm: 0, -∞ and 0 for a singular matrix.
public struct SignedLogDeterminant: MatrixOp {
  public static var id: OpID { OpTable.signedLogDeterminant.id }
  public static var name: String { "signedLogDeterminant" }
  public static var argumentNames: [String] { ["a"] }
  public init() {}
  public var canFault: Bool { false }
  public var outputCount: Int { 3 }
  public func outputs(for inputs: [TensorSpec]) throws(OpError) -> [TensorSpec] {
    try checkMatrix(inputs)
    return [inputs[0].matrices(), inputs[0].matrices(), inputs[0].matrices()]
  }
  public func saves(needs: Positions) -> Saves { Saves(inputs: [0], outputs: [2]) }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    // d det = det · d log|det|.
    guard let ct = plus(ct[1], ct[2].map { $0 * saved.output(2) }) else { return [nil] }
    let a = saved.input(0).transposed()
    return [.dense(apply(Solve(), [a, a.identities()])[0] * ct.expandedDims(axis: -1).expandedDims(axis: -1))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    let slope = t[0].map { apply(Solve(), [inputs[0], $0])[0].trace() }
    return [nil, slope, slope.map { $0 * outputs[2] }]
  }
}
