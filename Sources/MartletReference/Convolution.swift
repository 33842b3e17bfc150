import MartletCore
import MartletOps

/// One product of a convolution's planes: places in the result's plane, in the kernel and in the input's plane.
private struct Tap { let out, kernel, x: Int }

/// All taps that fall inside the input.
private func taps(_ w: ConvolutionWindow, _ size: Shape, _ kernel: Shape, _ out: Shape) -> [Tap] {
  var found = [Tap(out: 0, kernel: 0, x: 0)]
  for axis in 0..<size.rank {
    found = found.flatMap { tap in
      (0..<out[axis]).flatMap { o in
        (0..<kernel[axis]).compactMap { k in
          let x = o * w.stride[axis] + k * w.dilation[axis] - w.low[axis]
          guard x >= 0, x < size[axis] else { return nil }
          return Tap(
            out: tap.out * out[axis] + o, kernel: tap.kernel * kernel[axis] + k, x: tap.x * size[axis] + x)
        }
      }
    }
  }
  return found
}

/// The sizes of a convolution, from the shapes of its three operands.
private struct Planes {
  let examples, groups, inputs, outputs: Int
  let x, kernel, out: Int
  let taps: [Tap]

  init(_ window: ConvolutionWindow, x: Shape, w: Shape, y: Shape) {
    examples = x[0]
    groups = window.groups
    inputs = w[1]
    outputs = w[0] / groups
    taps = MartletReference.taps(window, Shape(x[2...]), Shape(w[2...]), Shape(y[2...]))
    self.x = x[2...].reduce(1, *)
    kernel = w[2...].reduce(1, *)
    out = y[2...].reduce(1, *)
  }

  /// Calls `body` with the places in x, w and y of every product.
  func each(_ body: (Int, Int, Int) -> Void) {
    for n in 0..<examples {
      for g in 0..<groups {
        for o in 0..<outputs {
          for c in 0..<inputs {
            let output = g * outputs + o
            let planeX = (n * groups * inputs + g * inputs + c) * x
            let planeW = (output * inputs + c) * kernel
            let planeY = (n * groups * outputs + output) * out
            for tap in taps { body(planeX + tap.x, planeW + tap.kernel, planeY + tap.out) }
          }
        }
      }
    }
  }
}

/// The elements of each window: their places in the plane, and by what an average divides.
private func windows(_ w: PoolingWindow, _ size: Shape, _ out: Shape, countsPadding: Bool) -> [(
  places: [Int], count: Int
)] {
  var found: [(places: [Int], count: Int)] = [([0], 1)]
  for axis in 0..<size.rank {
    let along: [(places: [Int], count: Int)] = (0..<out[axis]).map { o in
      if w.isAdaptive {
        let begin = o * size[axis] / out[axis]
        let end = ((o + 1) * size[axis] + out[axis] - 1) / out[axis]
        return (Array(begin..<end), end - begin)
      }
      let reached = (0..<w.kernel[axis]).map { o * w.stride[axis] + $0 * w.dilation[axis] - w.low[axis] }
      let inside = reached.filter { $0 >= 0 && $0 < size[axis] }
      return (inside, countsPadding ? reached.filter { $0 < size[axis] + w.high[axis] }.count : inside.count)
    }
    found = found.flatMap { outer in
      along.map { inner in
        (outer.places.flatMap { p in inner.places.map { p * size[axis] + $0 } }, outer.count * inner.count)
      }
    }
  }
  return found
}

func installConvolution() {
  naive(Convolution.self) { op, arguments in
    let shape = arguments.outputSpec().shape
    let planes = Planes(op.window, x: arguments.spec(0).shape, w: arguments.spec(1).shape, y: shape)
    let (x, w) = (arguments.doubles(0), arguments.doubles(1))
    var y = [Double](repeating: 0, count: shape.elementCount)
    if arguments.inputCount == 3 {
      let bias = arguments.doubles(2)
      for place in y.indices { y[place] = bias[place / planes.out % shape[1]] }
    }
    planes.each { y[$2] += x[$0] * w[$1] }
    arguments.write(y)
  }
  naive(ConvolutionInputGradient.self) { op, arguments in
    let shape = arguments.outputSpec().shape
    let planes = Planes(op.window, x: shape, w: arguments.spec(1).shape, y: arguments.spec(0).shape)
    let (g, w) = (arguments.doubles(0), arguments.doubles(1))
    var x = [Double](repeating: 0, count: shape.elementCount)
    planes.each { x[$0] += g[$2] * w[$1] }
    arguments.write(x)
  }
  naive(ConvolutionWeightGradient.self) { op, arguments in
    let shape = arguments.outputSpec().shape
    let planes = Planes(op.window, x: arguments.spec(0).shape, w: shape, y: arguments.spec(1).shape)
    let (x, g) = (arguments.doubles(0), arguments.doubles(1))
    var w = [Double](repeating: 0, count: shape.elementCount)
    planes.each { w[$1] += x[$0] * g[$2] }
    arguments.write(w)
  }

  naive(MaxPool.self) { op, arguments in
    let (shape, out) = (arguments.spec(0).shape, arguments.outputSpec().shape)
    let x = arguments.doubles(0)
    let plane = shape[2...].reduce(1, *)
    let windows = windows(op.window, Shape(shape[2...]), Shape(out[2...]), countsPadding: false)
    var (values, places): ([Double], [Int64]) = ([], [])
    for p in 0..<(shape[0] * shape[1]) {
      for window in windows {
        let best = window.places.reduce(window.places[0]) { best, place in
          let (a, b) = (x[p * plane + best], x[p * plane + place])
          return !a.isNaN && (b.isNaN || b > a) ? place : best
        }
        values.append(x[p * plane + best])
        places.append(Int64(best))
      }
    }
    arguments.write(values)
    arguments.write(places, to: 1)
  }
  naive(AveragePool.self) { op, arguments in
    let (shape, out) = (arguments.spec(0).shape, arguments.outputSpec().shape)
    let x = arguments.doubles(0)
    let plane = shape[2...].reduce(1, *)
    let windows = windows(op.window, Shape(shape[2...]), Shape(out[2...]), countsPadding: op.countsPadding)
    arguments.write(
      (0..<(shape[0] * shape[1])).flatMap { p in
        windows.map { window in window.places.reduce(0.0) { $0 + x[p * plane + $1] } / Double(window.count) }
      })
  }
  naive(AveragePoolGradient.self) { op, arguments in
    let (shape, out) = (arguments.outputSpec().shape, arguments.spec(0).shape)
    let g = arguments.doubles(0)
    let plane = shape[2...].reduce(1, *)
    let windows = windows(op.window, op.size, Shape(out[2...]), countsPadding: op.countsPadding)
    var x = [Double](repeating: 0, count: shape.elementCount)
    for p in 0..<(shape[0] * shape[1]) {
      for (o, window) in windows.enumerated() {
        for place in window.places { x[p * plane + place] += g[p * windows.count + o] / Double(window.count) }
      }
    }
    arguments.write(x)
  }
}
