import Martlet

/// A recurrent layer is a bunch of linear maps and elementwise products: an LSTM in five lines, with PyTorch's weights.
enum LSTMByHand: Lesson {
  static let name = "lstm"

  static func step(_ x: Tensor, _ h: Tensor, _ c: Tensor, _ p: [String: Tensor]) -> (h: Tensor, c: Tensor) {
    let all =
      matmul(x, p["weight_ih"]!.transposed()) + p["bias_ih"]! + matmul(h, p["weight_hh"]!.transposed()) + p["bias_hh"]!
    let gates = all.chunked(4, axis: 1)
    let (input, forget, output) = (sigmoid(gates[0]), sigmoid(gates[1]), sigmoid(gates[3]))
    let next = forget * c + input * tanh(gates[2])
    return (output * tanh(next), next)
  }

  static func run() throws -> String {
    let cell = LSTMCell(3, 5)
    let parameters = Dictionary(uniqueKeysWithValues: ModuleTree(cell).parameters.map { ($0.name, $0.parameter.value) })
    let sequence = Tensor.normal([6, 2, 3])
    var (h, c) = (Tensor.zeros([2, 5]), Tensor.zeros([2, 5]))
    var state: LSTMState?
    for t in 0..<6 {
      (h, c) = step(sequence[t], h, c, parameters)
      state = cell(sequence[t], state)
    }
    try check(h, is: state!.hidden, "the hidden state")
    try check(c, is: state!.cell, "the state of the cell")

    h.sum().backward()
    let byHand = cell.parameters.map { $0.grad! }
    cell.zeroGrad()
    state!.hidden.sum().backward()
    for (parameter, gradient) in zip(cell.parameters, byHand) {
      try check(parameter.grad!, is: gradient, within: 1e-4, "a gradient through six steps")
    }
    return "linear maps and products are LSTMCell, gradients too"
  }
}
