import MartletFormats

/// The handwritten digits of LeCun, Cortes and Burges, and sets in the same files.
public struct MNIST: Sendable {
  public let train: LabeledImages
  public let test: LabeledImages

  /// Makes the set of its two parts.
  public init(train: LabeledImages, test: LabeledImages) {
    self.train = train
    self.test = test
  }

  /// Reads the four standard files from a folder, each plain or with `.gz`.
  ///
  /// Throws with the name of the file that is missing or damaged. The counts may differ from MNIST's 60,000 and 10,000,
  /// so that Fashion-MNIST, KMNIST or a part can be read too.
  public static func load(from folder: String) throws(FileError) -> MNIST {
    MNIST(train: try part("train", in: folder), test: try part("t10k", in: folder))
  }

  /// Reads the test images and their labels only.
  public static func loadTest(from folder: String) throws(FileError) -> LabeledImages {
    try part("t10k", in: folder)
  }

  private static func part(_ name: String, in folder: String) throws(FileError) -> LabeledImages {
    let imagesPath = try find("\(name)-images-idx3-ubyte", in: folder)
    let labelsPath = try find("\(name)-labels-idx1-ubyte", in: folder)
    let images = try IDX(contentsOf: imagesPath).images(name: imagesPath)
    let labels = try IDX(contentsOf: labelsPath).labels(classes: 10, name: labelsPath)
    guard images.count == labels.count else {
      throw FileError(labelsPath, "has \(labels.count) labels, but \(imagesPath) has \(images.count) images")
    }
    return LabeledImages(images: images, labels: labels)
  }

  private static func find(_ name: String, in folder: String) throws(FileError) -> String {
    for candidate in [name, name + ".gz"] {
      let path = joined(folder, candidate)
      if fileExists(path) { return path }
    }
    guard fileExists(folder) else { throw FileError(folder, "does not exist; a folder with MNIST's files is needed") }
    let parts = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"].map { $0 + "-ubyte" }
    throw FileError(
      joined(folder, name),
      "is missing, also as \(name).gz; the folder needs the four files \(parts.joined(separator: ", "))")
  }
}
