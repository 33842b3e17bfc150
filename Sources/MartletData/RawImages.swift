import MartletFormats

/// Gray images of equal size, a byte per pixel, 0 for the background.
public struct RawImages: Sendable, Hashable {
  public let count: Int
  public let rows: Int
  public let columns: Int
  /// Image by image, row by row.
  public let pixels: [UInt8]

  /// Makes images of pixels, of which there must be `count * rows * columns`.
  public init(count: Int, rows: Int, columns: Int, pixels: [UInt8]) {
    precondition(
      count >= 0 && rows >= 0 && columns >= 0 && pixels.count == count * rows * columns,
      "RawImages: \(count) images of \(rows) x \(columns) do not have \(pixels.count) pixels")
    self.count = count
    self.rows = rows
    self.columns = columns
    self.pixels = pixels
  }

  /// The pixels of one image.
  public subscript(index: Int) -> ArraySlice<UInt8> {
    precondition(index >= 0 && index < count, "RawImages: index \(index) is outside of 0..<\(count)")
    return pixels[index * rows * columns..<(index + 1) * rows * columns]
  }

  /// One image as text for a terminal; see `terminalText`.
  public func terminalText(of index: Int, colors: Bool = false) -> String {
    MartletData.terminalText(self[index], columns: columns, colors: colors)
  }
}

/// Images with a class each.
public struct LabeledImages: Sendable, Hashable {
  public let images: RawImages
  public let labels: [UInt8]

  public var count: Int { labels.count }

  /// CRC-32 of the pixels and the labels: tells sets apart.
  public var checksum: UInt32 {
    let pixels = images.pixels.withUnsafeBytes { MartletFormats.checksum($0) }
    return labels.withUnsafeBytes { MartletFormats.checksum($0, after: pixels) }
  }

  /// Makes a set; there must be as many labels as images.
  public init(images: RawImages, labels: [UInt8]) {
    precondition(images.count == labels.count, "LabeledImages: \(images.count) images, but \(labels.count) labels")
    self.images = images
    self.labels = labels
  }
}

/// An image as text, two rows of pixels to a line of half blocks.
///
/// Without colours each half is drawn when its pixel is at least 96; with them the gray levels show, by the escape
/// sequences of 24-bit terminals. Lines end with a line break.
public func terminalText(_ pixels: some RandomAccessCollection<UInt8>, columns: Int, colors: Bool = false) -> String {
  precondition(columns > 0 && pixels.count % columns == 0, "terminalText: pixels are no whole number of rows")
  let rows = pixels.count / columns
  func pixel(_ row: Int, _ column: Int) -> UInt8 {
    row < rows ? pixels[pixels.index(pixels.startIndex, offsetBy: row * columns + column)] : 0
  }
  var text = ""
  for row in stride(from: 0, to: rows, by: 2) {
    var line = ""
    var last: (UInt8, UInt8)?
    for column in 0..<columns {
      let (top, bottom) = (pixel(row, column), pixel(row + 1, column))
      if colors {
        if last == nil || last! != (top, bottom) {
          line += "\u{1b}[38;2;\(top);\(top);\(top);48;2;\(bottom);\(bottom);\(bottom)m"
        }
        last = (top, bottom)
        line += "▀"
      } else {
        line += top >= 96 ? (bottom >= 96 ? "█" : "▀") : (bottom >= 96 ? "▄" : " ")
      }
    }
    if colors {
      line += "\u{1b}[0m"
    } else {
      while line.hasSuffix(" ") { line.removeLast() }
    }
    text += line + "\n"
  }
  return text
}
