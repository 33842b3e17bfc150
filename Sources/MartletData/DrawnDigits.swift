/// Digits that the program draws itself, 28 × 28 bytes like MNIST, for runs without a data set.
///
/// Each image is a function of the seed and its index only: strokes of a digit with shaken points, bent into smooth
/// curves, rotated, scaled, slanted and shifted, drawn with a pen of random width, with noise. Only additions,
/// multiplications, divisions and square roots are used, so that every machine draws the same bytes.
public struct DrawnDigits: Sendable, Hashable {
  public static let rows = 28
  public static let columns = 28
  public let seed: UInt64

  public init(seed: UInt64 = 0) { self.seed = seed }

  /// The digit at an index, 0 to 9, all equally likely.
  public func label(at index: Int) -> UInt8 {
    var random = CounterRandom(seed: seed, index: index)
    return UInt8(random.below(10))
  }

  /// The images and labels of a range of indices.
  ///
  /// Take ranges that do not overlap for training and for testing.
  public func images(_ range: Range<Int>) -> LabeledImages {
    // An array of no capacity is one for the whole process, which must not be written.
    guard !range.isEmpty else {
      return LabeledImages(images: RawImages(count: 0, rows: Self.rows, columns: Self.columns, pixels: []), labels: [])
    }
    var labels: [UInt8] = []
    labels.reserveCapacity(range.count)
    let size = Self.rows * Self.columns
    let pixels = [UInt8](unsafeUninitializedCapacity: range.count * size) { buffer, count in
      var pen = Pen()
      for (i, index) in range.enumerated() {
        labels.append(
          pen.draw(seed: seed, index: index, into: UnsafeMutableBufferPointer(rebasing: buffer[(i * size)...])))
      }
      count = range.count * size
    }
    return LabeledImages(
      images: RawImages(count: range.count, rows: Self.rows, columns: Self.columns, pixels: pixels), labels: labels)
  }

  /// A set with the faces of MNIST: the test images follow the training images.
  public func split(train: Int, test: Int) -> MNIST {
    MNIST(train: images(0..<train), test: images(train..<train + test))
  }
}

/// Draws one image after the other into the same scratch memory.
private struct Pen {
  typealias Point = SIMD2<Float>

  /// The square of the distance to the nearest stroke, per pixel.
  private var distances = [Float](repeating: 0, count: DrawnDigits.rows * DrawnDigits.columns)
  private var points: [Point] = []

  mutating func draw(seed: UInt64, index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) -> UInt8 {
    var random = CounterRandom(seed: seed, index: index)
    let digit = random.below(10)
    let shapes = DigitShapes.all[digit]
    let strokes = shapes[random.below(shapes.count)]

    // From the unit square, y downwards, to pixels around the middle: slant and rotation, then scale.
    let angle = 0.19 * random.normal()
    let square = angle * angle
    let sine = angle * (1 - square / 6 * (1 - square / 20))
    let cosine = 1 - square / 2 * (1 - square / 12)
    let slant = 0.2 * random.normal() - 0.1
    let width = 20 * (1 + 0.14 * random.normal())
    let height = 20 * (1 + 0.08 * random.normal())
    let middle = Point(13.5 + 1.1 * random.normal(), 13.5 + 1.1 * random.normal())
    let columnX = Point(cosine, sine) * width
    let columnY = Point(-sine - slant * cosine, cosine - slant * sine) * height
    let radius = 1.15 + 0.3 * random.normal()
    let shake = Float(0.034)

    let reach = radius + 1
    let far = reach * reach
    for i in distances.indices { distances[i] = far }
    for stroke in strokes {
      points.removeAll(keepingCapacity: true)
      for point in stroke.points {
        let shaken = point + shake * Point(random.normal(), random.normal()) - 0.5
        points.append(middle + columnX * shaken.x + columnY * shaken.y)
      }
      drawCurve(closed: stroke.closed, reach: reach)
    }
    fill(pixels, radius: radius, random: &random)
    return UInt8(digit)
  }

  /// Draws a curve through the points (Catmull-Rom), or straight lines where there are two.
  private mutating func drawCurve(closed: Bool, reach: Float) {
    let n = points.count
    if n == 2 { return drawSegment(points[0], points[1], reach: reach) }
    for i in 0..<(closed ? n : n - 1) {
      let b = points[i]
      let c = points[(i + 1) % n]
      let a = closed || i > 0 ? points[(i + n - 1) % n] : b + b - c
      let d = closed || i + 2 < n ? points[(i + 2) % n] : c + c - b
      let linear = (c - a) * 0.5
      let quadratic = a - b * 2.5 + c * 2 - d * 0.5
      let cubic = (d - a) * 0.5 + (b - c) * 1.5
      var last = b
      for step in 1...4 {
        let t = Float(step) * 0.25
        let next = b + (linear + (quadratic + cubic * t) * t) * t
        drawSegment(last, next, reach: reach)
        last = next
      }
    }
  }

  /// Lowers the distances of the pixels near a straight segment.
  private mutating func drawSegment(_ from: Point, _ to: Point, reach: Float) {
    let low = pointwiseMin(from, to) - reach
    let high = pointwiseMax(from, to) + reach
    let (x0, x1) = (max(0, Int(low.x)), min(DrawnDigits.columns - 1, Int(high.x)))
    let (y0, y1) = (max(0, Int(low.y)), min(DrawnDigits.rows - 1, Int(high.y)))
    // Wholly outside of the image.
    guard x0 <= x1, y0 <= y1 else { return }
    let along = to - from
    let length2 = (along * along).sum()
    let scale = length2 > 0 ? along / length2 : .zero
    distances.withUnsafeMutableBufferPointer { distances in
      for y in y0...y1 {
        let dy = Float(y) - from.y
        for x in x0...x1 {
          let dx = Float(x) - from.x
          let t = max(0, min(1, dx * scale.x + dy * scale.y))
          let (ex, ey) = (dx - t * along.x, dy - t * along.y)
          let d2 = ex * ex + ey * ey
          let i = y * DrawnDigits.columns + x
          distances[i] = min(distances[i], d2)
        }
      }
    }
  }

  /// Turns distances into gray: full within the pen, fading over one pixel at its edge, then noise.
  private func fill(_ pixels: UnsafeMutableBufferPointer<UInt8>, radius: Float, random: inout CounterRandom) {
    let ink = 225 + 30 * random.signed()
    let grain = 9 + 8 * random.signed()
    // One random number serves four pixels.
    for start in stride(from: 0, to: DrawnDigits.rows * DrawnDigits.columns, by: 4) {
      var bits = random.next()
      for i in start..<start + 4 {
        let cover = max(0, min(1, radius + 0.5 - distances[i].squareRoot()))
        let (low, high) = (Int32(truncatingIfNeeded: bits & 0xffff), Int32(truncatingIfNeeded: bits >> 16 & 0xffff))
        let noise = Float(low + high - 0xffff) / 32_768
        // The noise of two neighbours shares half of its bits, as grain does.
        bits = bits >> 16 | bits << 48
        pixels[i] = UInt8(max(0, min(255, ink * cover + grain * noise)))
      }
    }
  }
}

/// The strokes of each digit in the unit square, y downwards; several ways of writing some of them.
private enum DigitShapes {
  struct Stroke: Sendable {
    let points: [SIMD2<Float>]
    var closed = false
  }

  static let all: [[[Stroke]]] = [zero, one, two, three, four, five, six, seven, eight, nine]

  private static func open(_ points: [SIMD2<Float>]) -> Stroke { Stroke(points: points) }
  private static func closed(_ points: [SIMD2<Float>]) -> Stroke { Stroke(points: points, closed: true) }

  private static let zero = [
    [
      closed([
        [0.5, 0], [0.82, 0.2], [0.86, 0.55], [0.7, 0.92], [0.45, 1], [0.2, 0.85], [0.14, 0.5], [0.25, 0.13],
      ])
    ],
    [
      open([
        [0.6, 0.02], [0.3, 0.1], [0.16, 0.5], [0.3, 0.93], [0.6, 0.97], [0.85, 0.6], [0.78, 0.18], [0.5, 0],
      ])
    ],
  ]

  private static let one = [
    [open([[0.5, 0], [0.5, 1]])],
    [open([[0.52, 0], [0.5, 0.35], [0.5, 0.7], [0.48, 1]])],
    [open([[0.32, 0.2], [0.52, 0]]), open([[0.52, 0], [0.52, 1]])],
    [open([[0.32, 0.2], [0.5, 0]]), open([[0.5, 0], [0.5, 1]]), open([[0.28, 1], [0.74, 1]])],
  ]

  private static let two = [
    [
      open([[0.18, 0.24], [0.34, 0.03], [0.66, 0.03], [0.8, 0.26], [0.64, 0.54], [0.38, 0.78], [0.16, 1]]),
      open([[0.16, 1], [0.5, 0.97], [0.86, 0.98]]),
    ],
    [
      open([
        [0.2, 0.18], [0.5, 0], [0.76, 0.18], [0.68, 0.5], [0.4, 0.85], [0.2, 0.97], [0.17, 0.82], [0.36, 0.8],
        [0.6, 0.96],
        [0.88, 0.9],
      ])
    ],
  ]

  private static let three = [
    [
      open([
        [0.2, 0.1], [0.48, 0], [0.74, 0.14], [0.7, 0.36], [0.44, 0.48], [0.72, 0.58], [0.8, 0.8], [0.5, 1],
        [0.18, 0.9],
      ])
    ],
    [
      open([[0.2, 0.02], [0.74, 0.02]]), open([[0.74, 0.02], [0.46, 0.4]]),
      open([[0.46, 0.4], [0.74, 0.5], [0.8, 0.75], [0.54, 0.98], [0.18, 0.92]]),
    ],
  ]

  private static let four = [
    [
      open([[0.3, 0.02], [0.24, 0.3], [0.2, 0.56], [0.5, 0.6], [0.84, 0.54]]),
      open([[0.72, 0.1], [0.68, 0.5], [0.64, 1]]),
    ],
    [open([[0.64, 0], [0.14, 0.66]]), open([[0.14, 0.66], [0.9, 0.66]]), open([[0.64, 0], [0.64, 1]])],
  ]

  private static let five = [
    [
      open([[0.8, 0.02], [0.28, 0.04]]), open([[0.28, 0.04], [0.24, 0.44]]),
      open([[0.24, 0.44], [0.5, 0.38], [0.78, 0.52], [0.78, 0.8], [0.52, 1], [0.18, 0.92]]),
    ],
    [
      open([
        [0.86, 0.04], [0.4, 0.04], [0.3, 0.3], [0.5, 0.44], [0.72, 0.64], [0.62, 0.92], [0.34, 1], [0.14, 0.9],
      ])
    ],
  ]

  private static let six = [
    [
      open([
        [0.7, 0.02], [0.42, 0.2], [0.24, 0.5], [0.2, 0.8], [0.42, 1], [0.72, 0.9], [0.76, 0.66], [0.54, 0.52],
        [0.26, 0.7],
      ])
    ],
    [
      open([
        [0.44, 0], [0.24, 0.4], [0.22, 0.82], [0.48, 1], [0.76, 0.84], [0.66, 0.6], [0.4, 0.6], [0.23, 0.78],
      ])
    ],
  ]

  private static let seven = [
    [open([[0.16, 0.05], [0.5, 0.04], [0.82, 0.04]]), open([[0.82, 0.04], [0.6, 0.42], [0.44, 1]])],
    [
      open([[0.16, 0.12], [0.2, 0.02]]), open([[0.2, 0.02], [0.82, 0.02]]),
      open([[0.82, 0.02], [0.58, 0.5], [0.48, 1]]),
    ],
    [
      open([[0.18, 0.04], [0.84, 0.04]]), open([[0.84, 0.04], [0.62, 0.46], [0.42, 1]]),
      open([[0.36, 0.5], [0.84, 0.48]]),
    ],
  ]

  private static let eight = [
    [
      closed([
        [0.5, 0.46], [0.24, 0.26], [0.48, 0], [0.76, 0.22], [0.5, 0.48], [0.2, 0.76], [0.5, 1], [0.8, 0.76],
      ])
    ],
    [
      closed([[0.5, 0], [0.74, 0.22], [0.5, 0.45], [0.27, 0.22]]),
      closed([[0.5, 0.45], [0.8, 0.72], [0.5, 1], [0.2, 0.72]]),
    ],
  ]

  private static let nine = [
    [
      open([
        [0.76, 0.26], [0.62, 0.03], [0.34, 0.06], [0.22, 0.3], [0.42, 0.48], [0.7, 0.4], [0.76, 0.22], [0.74, 0.6],
        [0.64, 1],
      ])
    ],
    [
      closed([[0.5, 0], [0.76, 0.2], [0.56, 0.46], [0.24, 0.3]]),
      open([[0.76, 0.2], [0.74, 0.5], [0.6, 0.86], [0.3, 1]]),
    ],
  ]
}
