public import MartletCore

/// What the operations of LAPACK share: matrices in the last two axes, float32 or float64, one result for each matrix of the
/// leading axes, and faults that name the matrix.
public protocol MatrixOp: Op {
  /// What a kernel's fault says of a matrix.
  static var fault: (problem: String, rule: String, remedy: String?) { get }
}

extension MatrixOp {
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public static var fault: (problem: String, rule: String, remedy: String?) {
    ("could not be decomposed: the iteration did not converge", "its elements are finite", nil)
  }
  public var canFault: Bool { true }
  public func fault(_ status: KernelStatus, _ inputs: [TensorSpec]) -> Fact {
    guard status.code == MatrixFault.code else { return .message("LAPACK reported \(status.value)") }
    let batch = Shape(Array(inputs[0].shape.prefix(inputs[0].rank - 2)))
    var place = Int(status.value)
    let index = batch.reversed().map { size in
      defer { place /= Swift.max(1, size) }
      return place % Swift.max(1, size)
    }.reversed()
    let which = batch.isEmpty ? "the matrix" : "matrix \(Array(index)) of the batch"
    let fault = Self.fault
    return .misuse("\(which) \(fault.problem)", rule: fault.rule, remedy: fault.remedy)
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { apply(self, allMapped(inputs, mapped)) }

  func checkMatrix(_ inputs: [TensorSpec], count: Int = 1, square: Bool = true) throws(OpError) {
    guard inputs.count == count else { throw OpError(.numberOfInputs(inputs.count, expected: "\(count)")) }
    let a = inputs[0]
    guard a.dtype == .float32 || a.dtype == .float64 else {
      throw OpError(.dtype(argument: 0, expected: "float32 or float64"))
    }
    guard a.rank >= 2 else { throw OpError(.rank(argument: 0, expected: "2 or more: […, rows, columns]")) }
    if square, a.shape[a.rank - 1] != a.shape[a.rank - 2] {
      throw OpError(.argumentShape(argument: 0, expected: "[…, N, N], square matrices"))
    }
  }
  /// Matrices and right sides of one batch.
  func checkSides(_ inputs: [TensorSpec]) throws(OpError) {
    try checkMatrix(inputs, count: 2)
    let (a, b) = (inputs[0], inputs[1])
    guard a.dtype == b.dtype else { throw OpError(.dtypesDiffer) }
    guard b.rank == a.rank, Array(b.shape.dropLast()) == Array(a.shape.dropLast()) else {
      throw OpError(
        .argumentShape(argument: 1, expected: "[…, N, K] with the matrices and rows of a: \(Array(a.shape.dropLast()))")
      )
    }
  }
}

/// What a kernel reports of a matrix; the value is its place in the batch.
package enum MatrixFault { package static let code: Int32 = 4 }

extension TensorSpec {
  /// The shape of the leading axes with other last ones.
  func matrices(_ last: Int...) -> TensorSpec { with(shape: Shape(Array(shape.prefix(rank - 2)) + last)) }
  var rows: Int { shape[rank - 2] }
  var columns: Int { shape[rank - 1] }
}

extension Tensor {
  /// Square matrices with ones on the diagonal, as many and as large as these.
  func identities() -> Tensor {
    Tensor.identity(shape[rank - 1], dtype: dtype, device: device).expanded(to: shape)
  }
  var symmetric: Tensor { (self + transposed()) * 0.5 }
  /// The lower triangle with half of the diagonal.
  var lowerHalf: Tensor { tril() - diagonal().diagonalMatrix() * 0.5 }
  /// Columns scaled by the numbers of a vector.
  func columns(times s: Tensor) -> Tensor { self * s.expandedDims(axis: -2) }
  /// Rows scaled by the numbers of a vector.
  func rows(times s: Tensor) -> Tensor { self * s.expandedDims(axis: -1) }
}

/// `1 / (x[j] - x[i])` off the diagonal, 0 on it.
func inverseGaps(_ x: Tensor) -> Tensor {
  let gaps = x.expandedDims(axis: -2) - x.expandedDims(axis: -1)
  let isDiagonal = Tensor.identity(x.shape[x.rank - 1], dtype: x.dtype, device: x.device) .== 1
  return select(isDiagonal, 0, 1 / select(isDiagonal, 1, gaps))
}
