import CPNG
import MartletFormats

/// A gray image, a byte per pixel, row by row; 0 is black.
public struct GrayImage: Sendable, Hashable {
  public let rows: Int
  public let columns: Int
  public let pixels: [UInt8]

  /// Makes an image of pixels, of which there must be `rows * columns`.
  public init(rows: Int, columns: Int, pixels: [UInt8]) {
    precondition(
      rows >= 0 && columns >= 0 && pixels.count == rows * columns,
      "GrayImage: \(rows) x \(columns) do not have \(pixels.count) pixels")
    self.rows = rows
    self.columns = columns
    self.pixels = pixels
  }

  /// Reads a PNG file of any kind as gray; transparent parts count as white.
  ///
  /// Throws when the file is no whole PNG image or has more than `limit` pixels.
  public init(png path: String, limit: Int = 1 << 26) throws(FileError) {
    let file = try FileBytes(path: path)
    self = try file.withBytes { bytes throws(FileError) in try GrayImage(png: bytes, limit: limit, name: path) }
  }

  /// Reads the bytes of a PNG file; `name` stands for the file in errors.
  public init(png bytes: [UInt8], limit: Int = 1 << 26, name: String = "PNG data") throws(FileError) {
    self = try bytes.withBytes { raw throws(FileError) in try GrayImage(png: raw, limit: limit, name: name) }
  }

  private init(png bytes: UnsafeRawBufferPointer, limit: Int, name: String) throws(FileError) {
    func failure(_ info: cpng_info) -> FileError {
      let message = withUnsafeBytes(of: info.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      return FileError(name, "is no PNG image that can be read: \(message)")
    }
    var info = cpng_info()
    guard let base = bytes.baseAddress, cpng_measure(base, bytes.count, &info) == 0 else {
      throw bytes.isEmpty ? FileError(name, "is empty") : failure(info)
    }
    let (columns, rows) = (Int(info.width), Int(info.height))
    guard rows > 0, columns > 0, rows <= limit / columns else {
      throw FileError(name, "has \(columns) x \(rows) pixels; at most \(limit) are read")
    }
    // The header alone may claim sizes for which there are no bytes: a byte unpacks to at most 1032, of 8 pixels each.
    guard rows * columns / (1032 * 8) <= bytes.count else {
      throw FileError(name, "has \(columns) x \(rows) pixels by its header, but only \(bytes.count) bytes")
    }
    var pixels = [UInt8](repeating: 0, count: rows * columns)
    guard cpng_read_gray(base, bytes.count, &pixels, pixels.count, &info) == 0 else { throw failure(info) }
    self.init(rows: rows, columns: columns, pixels: pixels)
  }

  /// The image as the bytes of a PNG file.
  public func png() throws(FileError) -> [UInt8] {
    var info = cpng_info()
    var size = pixels.count + pixels.count / 64 + 4096
    // The second time the size is known.
    for _ in 0..<2 {
      var bytes = [UInt8](repeating: 0, count: size)
      if cpng_write_gray(UInt32(clamping: columns), UInt32(clamping: rows), pixels, &bytes, &size, &info) == 0 {
        return Array(bytes.prefix(size))
      }
    }
    throw FileError("PNG data", "cannot be made of an image of \(columns) x \(rows)")
  }

  /// The image as MNIST's were made: the drawing bright on black, scaled to fit into 20×20 and placed with its centre of
  /// mass in the middle of 28×28. An image of 28×28 on a dark ground stays as it is.
  public var asDigit: GrayImage {
    var source = pixels
    // The ground is what surrounds the drawing.
    var border = 0
    var count = 0
    for row in 0..<rows {
      for column in 0..<columns where row == 0 || column == 0 || row == rows - 1 || column == columns - 1 {
        border += Int(source[row * columns + column])
        count += 1
      }
    }
    if border > 127 * max(1, count) {
      source = source.map { 255 - $0 }
    } else if rows == 28, columns == 28 {
      return self
    }

    let strongest = source.max() ?? 0
    let threshold = max(16, strongest / 4)
    var (top, bottom, left, right) = (rows, -1, columns, -1)
    for row in 0..<rows {
      let line = source[row * columns..<(row + 1) * columns]
      guard let first = line.firstIndex(where: { $0 >= threshold }) else { continue }
      let last = line.lastIndex { $0 >= threshold }!
      (top, bottom) = (min(top, row), row)
      (left, right) = (min(left, first - row * columns), max(right, last - row * columns))
    }
    guard bottom >= 0 else {
      return GrayImage(rows: 28, columns: 28, pixels: .init(repeating: 0, count: 784))
    }
    let (height, width) = (bottom - top + 1, right - left + 1)
    let scale = 20 / Double(max(height, width))
    let (small, narrow) = (
      max(1, Int((Double(height) * scale).rounded())), max(1, Int((Double(width) * scale).rounded()))
    )
    let box = resampled(source, top, left, height, width, small, narrow)

    var (mass, massY, massX) = (0.0, 0.0, 0.0)
    for row in 0..<small {
      for column in 0..<narrow {
        let value = box[row * narrow + column]
        mass += value
        massY += value * (Double(row) + 0.5)
        massX += value * (Double(column) + 0.5)
      }
    }
    let shiftY = min(max(0, Int((14 - massY / max(mass, 1e-9)).rounded())), 28 - small)
    let shiftX = min(max(0, Int((14 - massX / max(mass, 1e-9)).rounded())), 28 - narrow)
    let brightest = max(1, box.max() ?? 1)
    var result = [UInt8](repeating: 0, count: 784)
    for row in 0..<small {
      for column in 0..<narrow {
        result[(row + shiftY) * 28 + column + shiftX] = UInt8(min(255, box[row * narrow + column] / brightest * 255))
      }
    }
    return GrayImage(rows: 28, columns: 28, pixels: result)
  }

  /// A box of the image at another size, each new pixel the mean of what it covers.
  private func resampled(
    _ source: [UInt8], _ top: Int, _ left: Int, _ height: Int, _ width: Int, _ rows: Int, _ columns: Int
  ) -> [Double] {
    /// What each new pixel covers along one axis: places and shares.
    func cover(_ old: Int, _ new: Int) -> [[(Int, Double)]] {
      (0..<new).map { index in
        let begin = Double(index) * Double(old) / Double(new)
        let end = Double(index + 1) * Double(old) / Double(new)
        return (Int(begin)...min(old - 1, Int(end))).compactMap { place in
          let share = min(end, Double(place + 1)) - max(begin, Double(place))
          return share > 0 ? (place, share / (end - begin)) : nil
        }
      }
    }
    let (vertical, horizontal) = (cover(height, rows), cover(width, columns))
    return vertical.flatMap { rowShares in
      horizontal.map { columnShares in
        rowShares.reduce(0.0) { sum, row in
          sum
            + columnShares.reduce(0.0) { part, column in
              part + row.1 * column.1 * Double(source[(top + row.0) * self.columns + left + column.0])
            }
        }
      }
    }
  }
}
