public import MartletCore
import MartletOps

/// Scales losses so that gradients in float16 do not vanish, and leaves out steps whose gradients overflowed.
///
///     let loss = withAutocast(.float16) { crossEntropy(model(x), labels) }
///     scaler.scaled(loss).backward()
///     scaler.step(optimizer)      // divides the gradients by the scale; no step where one is not finite
///     optimizer.zeroGrad()
///
/// After a step that was left out the scale shrinks; after `growthInterval` iterations without one it grows, but not beyond
/// `maximumScale`: without overflows (in bfloat16) it would end at infinity. Its state is in cells, so that a step can be
/// compiled, saved and resumed.
///
/// Several optimizers may share a scaler. Losses, `unscale` and steps that follow each other are one iteration, with one
/// scale for all of them, which moves once: it shrinks when the gradients of any optimizer overflowed. The next
/// iteration begins with the first loss that is scaled, or the first optimizer that steps again, after a step.
///
///     scaler.scaled(generatorLoss).backward()
///     scaler.scaled(criticLoss).backward()
///     scaler.step(generatorOptimizer)
///     scaler.step(criticOptimizer)
///
/// Source: PyTorch `GradScaler`, whose `update()` is part of `step` here; to call it too changes nothing.
public final class LossScaler: CustomStringConvertible {
  /// The factor of the loss, a scalar.
  public let scale: StateTensor
  /// The steps since the scale changed.
  public let goodSteps: StateTensor
  public let growthFactor: Double
  public let backoffFactor: Double
  public let growthInterval: Int
  /// The scale grows to at most this, 2²⁴. PyTorch's grows on.
  public static let maximumScale = 0x1p24

  /// - Parameters:
  ///   - growthFactor: above 1.
  ///   - backoffFactor: in 0 … 1, both excluded.
  ///   - growthInterval: the steps after which the scale grows, 1 or more.
  public init(
    scale: Double = 65536, growthFactor: Double = 2, backoffFactor: Double = 0.5, growthInterval: Int = 2000
  ) {
    if !(scale > 0 && scale.isFinite && growthFactor > 1 && backoffFactor > 0 && backoffFactor < 1)
      || growthInterval < 1
    {
      fail(
        OpError(
          .misuse(
            "scale \(scale), growthFactor \(growthFactor), backoffFactor \(backoffFactor), growthInterval \(growthInterval)",
            rule: "scale > 0, growthFactor > 1, 0 < backoffFactor < 1, growthInterval ≥ 1"), op: "LossScaler"))
    }
    self.scale = .scalar(scale)
    goodSteps = .scalar(0)
    (self.growthFactor, self.backoffFactor, self.growthInterval) = (growthFactor, backoffFactor, growthInterval)
    self.scale.name = "scaler.scale"
    goodSteps.name = "scaler.goodSteps"
  }

  /// What a checkpoint keeps.
  public var cells: [(name: String, cell: Cell)] { [("scale", scale), ("goodSteps", goodSteps)] }
  public var description: String { "LossScaler(scale: \(scale.value))" }

  /// The loss times the scale, in float32 or wider.
  public func scaled(_ loss: Tensor) -> Tensor {
    if iteration.start != nil { iteration = Iteration() }
    return loss.autocastWideAlways * scale.value.cast(to: loss.autocastWideAlways.dtype)
  }

  /// Divides the gradients by the scale unless `unscale` did, steps the optimizer when all of them are finite, and moves the
  /// scale. For clipping, call `unscale` before and clip between.
  ///
  /// - Returns: whether the step was made; inside of `compile` a tensor decides, and this is true.
  @discardableResult
  public func step(_ optimizer: any Optimizer) -> Bool {
    let finite = unscaled(optimizer)?.finite ?? unscale(optimizer)
    return withoutGradient {
      defer { move(stepped: optimizer) }
      if finite.hasValue {
        let isFinite = finite.item() != 0
        if isFinite { optimizer.step() }
        return isFinite
      }
      // The step is made, and undone where a gradient was not finite.
      let cells = optimizer.parameters.map { $0 as Cell } + optimizer.cells.map { $0.cell }
      let before = cells.map { $0.read() }
      optimizer.step()
      for (cell, old) in zip(cells, before) {
        guard let new = cell.read() else { continue }
        cell.write(select(finite, new, old ?? Tensor(repeating: 0, new.spec)))
      }
      return true
    }
  }

  /// Divides the gradients by the scale of their loss, once before `step`; the result says whether all of them are finite. A
  /// second time before the step is an error.
  @discardableResult
  public func unscale(_ optimizer: any Optimizer) -> Tensor {
    if unscaled(optimizer) != nil {
      fail(
        OpError(
          .misuse(
            "the gradients were divided by the scale before", rule: "once before a step",
            remedy: "scaler.update() where a step is left out"), op: "unscale"))
    }
    return withoutGradient {
      var finite = Tensor(true)
      let scale = iteration.start?.scale ?? scale.value
      for parameter in optimizer.parameters {
        guard let gradient = parameter.gradientValues else { continue }
        let own = gradient * (1 / scale).cast(to: gradient.dtype)
        finite = finite .& own.isFinite.all()
        parameter.gradientValues = own
      }
      iteration.unscaled[ObjectIdentifier(optimizer)] = Unscaled(optimizer: optimizer, finite: finite)
      return finite
    }
  }

  /// Ends the iteration, for one in which a step was left out by the caller after `unscale`: what overflowed there moves the
  /// scale too. After steps nothing is left to do.
  public func update() {
    withoutGradient { if !iteration.unscaled.isEmpty { move(stepped: nil) } }
    iteration = Iteration()
  }

  private struct Unscaled {
    let optimizer: any Optimizer
    let finite: Tensor
    var isStepped = false
  }
  private struct Iteration {
    var unscaled: [ObjectIdentifier: Unscaled] = [:]
    /// The cells before the first step moved them. Not read earlier: a tensor of another program would be a constant there.
    var start: (scale: Tensor, goodSteps: Tensor)?
  }
  private var iteration = Iteration()

  /// What is known of an optimizer that has still to step.
  private func unscaled(_ optimizer: any Optimizer) -> Unscaled? {
    let found = iteration.unscaled[ObjectIdentifier(optimizer)]
    // One that steps again does so in the next iteration.
    if found?.isStepped == true {
      iteration = Iteration()
      return nil
    }
    return found
  }

  /// Moves the scale from where it was at the start of the iteration, by all that is known of it.
  private func move(stepped optimizer: (any Optimizer)?) {
    if let optimizer { iteration.unscaled[ObjectIdentifier(optimizer)]?.isStepped = true }
    let start = iteration.start ?? (scale: scale.value, goodSteps: goodSteps.value)
    iteration.start = start
    let all = iteration.unscaled.values.map { $0.finite }
    let finite = all.dropFirst().reduce(all[0]) { $0 .& $1 }
    let count = start.goodSteps + 1
    let grows = count .>= Double(growthInterval)
    let grown = start.scale * growthFactor
    let kept = select(grows .& (grown .<= LossScaler.maximumScale), grown, start.scale)
    scale.value = select(finite, kept, start.scale * backoffFactor)
    goodSteps.value = select(finite .& (.!grows), count, Tensor(repeating: 0, count.spec))
  }
}

extension Tensor {
  /// Floats of 16 bits as float32.
  fileprivate var autocastWideAlways: Tensor { dtype.size == 2 && dtype.isFloating ? cast(to: .float32) : self }
}

extension Module {
  /// Turns the floating parameters and buffers into another dtype, in place; gradients are set to nil. Make optimizers after
  /// it: their moments have the dtype that the parameters had.
  ///
  /// - Parameter dtype: a floating dtype. In `.bfloat16` and `.float16` a model takes half the memory; for training keep
  ///   float32 and use `withAutocast`.
  @discardableResult
  public func cast(to dtype: DType) -> Self {
    guard dtype.isFloating else {
      fail(OpError(.misuse("dtype is \(dtype)", rule: "parameters are of a floating dtype"), op: "cast"))
      return self
    }
    for (_, cell) in ModuleTree(self).cells {
      guard let value = cell.read(), value.dtype.isFloating, value.dtype != dtype else { continue }
      (cell as? Parameter)?.grad = nil
      cell.write(value.cast(to: dtype).detached())
    }
    return self
  }
}
