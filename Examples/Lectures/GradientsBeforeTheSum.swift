import Martlet

/// A tensor that goes two ways has a gradient from each, and gets their sum. To see the parts, a function that changes
/// nothing is put at the start of each way: its output is a tensor of its own, which keeps its gradient.
enum GradientsBeforeTheSum: Lesson {
  static let name = "gradients-before-the-sum"

  final class Network: Module {
    let layer1 = Linear(2, 2, bias: false)
    let layer2 = Linear(2, 2, bias: false)
    let layer3 = Linear(4, 1, bias: false)
    /// Slope 1 on both sides: the identity.
    let same = LeakyReLU(slope: 1)

    func forward(_ x: Tensor) -> (out: Tensor, path1: Tensor, path2: Tensor, y: Tensor) {
      let out = layer1(x)
      let (path1, path2) = (same(out), same(out))
      for tensor in [out, path1, path2] { tensor.retainGrad() }
      return (out, path1, path2, layer3(concat([path2, layer2(path1)], axis: 1)))
    }
  }

  static func run() throws -> String {
    let network = Network()
    let result = network(Tensor.ones([1, 2]))
    var seen: [String: Tensor] = [:]
    for (name, tensor) in [("out", result.out), ("path1", result.path1), ("path2", result.path2)] {
      tensor.registerHook { gradient in
        seen[name] = gradient
        return nil  // as it was
      }
    }
    result.y.backward()

    let (path1, path2) = (result.path1.grad!, result.path2.grad!)
    try check((result.out.grad! .== path1 + path2).all().item() == 1, "the gradient is not the sum of its parts")
    for (name, tensor) in [("out", result.out), ("path1", result.path1), ("path2", result.path2)] {
      try check((seen[name]! .== tensor.grad!).all().item() == 1, "the hook of \(name) saw another gradient")
    }
    // The parts, by hand: the columns of layer 3 that each way meets.
    let last = network.layer3.weight.value.detached()
    try check(path2, is: last[.all, ..<2], "the gradient of path 2")
    try check(path1, is: matmul(last[.all, 2...], network.layer2.weight.value.detached()), "the gradient of path 1")
    return "\(result.out.grad!.floats) = \(path1.floats) + \(path2.floats)"
  }
}
