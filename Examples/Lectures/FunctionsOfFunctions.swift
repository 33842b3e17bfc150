import Martlet

/// As in JAX: functions that make functions, in any order. `compile` runs the same Swift once, and gives a program, which can
/// be shown, checked and run without the Swift that made it.
enum FunctionsOfFunctions: Lesson {
  static let name = "functions-of-functions"

  static func predict(_ w: Tensor, _ x: Tensor) -> Tensor { tanh(dot(w, x)) }

  static func run() throws -> String {
    let (w, xs) = (Tensor.normal([3]), Tensor.normal([10, 3]))
    // A gradient for each example, at once and compiled, is that of a loop.
    let each = compile { (w: Tensor, xs: Tensor) in vmap { (x: Tensor) in grad(predict)(w, x) }(xs) }
    let loop = stack((0..<10).map { grad(predict)(w, xs[$0]) })
    try check(each(w, xs), is: loop, "vmap of grad")

    // d/dw tanh(w·x) = (1 - tanh²) x, and the second derivative -2 tanh (1 - tanh²) x xᵀ.
    let (x, t) = (xs[0], predict(w, xs[0]))
    try check(loop[0], is: (1 - t * t) * x, "the gradient")
    try check(hessian({ predict($0, x) }, w), is: -2 * t * (1 - t * t) * outer(x, x), "the second derivative")
    try check(jvp({ predict($0, x) }, w, xs[1]).tangent, is: dot(loop[0], xs[1]), "forward mode")
    return "compile(vmap(grad)) is the loop of gradients"
  }
}
