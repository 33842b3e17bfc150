import MartletCore

/// A saved program as its file has it: Documentation/ProgramFile.md.
struct ProgramFile: Sendable {
  /// What a file says of the program beside its operations.
  struct Manifest: Codable, Sendable {
    /// The version of Martlet that wrote the file.
    var martlet: String
    /// Where the function was compiled.
    var name: String
    /// Whether the size of the batch is open.
    var openBatch: Bool
    var inputs: [String]
    var outputs: [String]
    /// The tensors that the program takes behind its inputs, in their order.
    var weights: [Weight]
  }
  struct Weight: Codable, Sendable {
    /// That of the tensor in the file.
    var name: String
    /// Whether the file holds one element, which all elements of the tensor are.
    var isRepeated: Bool
  }

  static let format = "martlet program 1"
  static let formatPrefix = "martlet program "
  private static let zeros = "00000000"
  /// What the bytes from 8 on are: so the checksum lies at one place.
  private static let start = "{\"__metadata__\":{\"checksum\":\""
  private static var seal: Int { 8 + start.utf8.count }

  var manifest: Manifest
  /// The encoding of the program, where the size of the batch may stand.
  var program: HeaderJSON
  var tensors: [Tensor]

  func write(to path: String) throws(FileError) {
    var entries: [Safetensors.Entry] = []
    for (weight, tensor) in zip(manifest.weights, tensors) {
      let (dtype, shape) = ProgramFile.stored(tensor.dtype, tensor.shape)
      entries.append(Safetensors.Entry(name: weight.name, dtype: dtype, shape: shape))
    }
    let described: HeaderJSON
    do { described = try HeaderJSON(encoding: manifest) } catch { throw FileError(path, "\(error)") }
    let metadata = [
      "checksum": ProgramFile.zeros, "format": ProgramFile.format, "manifest": described.text, "program": program.text,
    ]
    let tensors = tensors
    _ = try Safetensors.save(entries, metadata: metadata, to: path, seal: ProgramFile.seal) {
      index, write throws(FileError) in
      let written = tensors[index].withUnsafeBytes { bytes in Result { () throws(FileError) in try write(bytes) } }
      guard let written else { throw FileError(path, "tensor \(entries[index].name) has no value") }
      try written.get()
    }
  }

  /// The dtype and shape of a tensor in the file: pairs of float64 for `complex128`, which safetensors does not have.
  private static func stored(_ dtype: DType, _ shape: Shape) -> (dtype: String, shape: [Int]) {
    dtype.safetensorsName.map { ($0, Array(shape)) } ?? ("F64", [shape.elementCount &* 2])
  }

}

extension ProgramFile {
  /// Throws when the file is not whole, or not of this format.
  init(contentsOf path: String, device: Device) throws(FileError) {
    let file = try Safetensors(contentsOf: path)
    guard let format = file.metadata["format"], format.hasPrefix(ProgramFile.formatPrefix) else {
      throw FileError(
        path,
        "is no saved program: its format is not \"\(ProgramFile.format)\"; weights are read by State(safetensors:)")
    }
    guard format == ProgramFile.format else {
      throw FileError(
        path,
        "is of the format \"\(format.shortened)\", and Martlet \(martletVersion) reads \"\(ProgramFile.format)\": use the "
          + "version that wrote it or a newer one, or save the program again with this one")
    }
    try ProgramFile.checkSeal(path)
    let texts = file.metadata
    guard let manifestText = texts["manifest"], let programText = texts["program"], texts.count == 4 else {
      throw FileError(path, "is to have a checksum, a format, a manifest and a program in its metadata, and no more")
    }
    func tree(_ text: String, _ name: String) throws(FileError) -> HeaderJSON {
      do throws(HeaderJSON.Failure) {
        return try Array(text.utf8).withBytes { bytes throws(HeaderJSON.Failure) in try HeaderJSON(parsing: bytes) }
      } catch { throw FileError(path, "its \(name) is not readable: \(error.reason)") }
    }
    let described = try tree(manifestText, "manifest")
    do throws(ProgramFault) { manifest = try described.decoded() } catch {
      throw FileError(path, "its manifest is malformed: \(error)")
    }
    program = try tree(programText, "program")
    guard file.tensors.count == manifest.weights.count else {
      throw FileError(path, "has \(file.tensors.count) tensors, and its program takes \(manifest.weights.count)")
    }
    let ports = try ProgramFile.ports(program, path)
    guard ports.count == manifest.inputs.count + manifest.weights.count else {
      throw FileError(
        path,
        "names \(manifest.inputs.count) inputs and \(manifest.weights.count) weights, and its program takes \(ports.count)"
      )
    }
    tensors = []
    for (weight, port) in zip(manifest.weights, ports.dropFirst(manifest.inputs.count)) {
      let raw = try file.tensor(named: weight.name)
      let shape: Shape = weight.isRepeated ? [] : port.shape
      let (dtype, sizes) = ProgramFile.stored(port.dtype, shape)
      guard raw.dtype == dtype, raw.shape == sizes else {
        throw FileError(
          path, "tensor \(weight.name) is \(raw.dtype) \(raw.shape), and the program takes \(dtype) \(sizes)")
      }
      if port.dtype == .bool, raw.withUnsafeBytes({ bytes in bytes.contains { $0 > 1 } }) {
        throw FileError(path, "tensor \(weight.name) is bool, and has elements that are neither 0 nor 1")
      }
      tensors.append(
        raw.withUnsafeBytes { bytes in
          Tensor.make(TensorSpec(shape, port.dtype, device: device)) { $0.copyMemory(from: bytes) }
        })
    }
  }

  /// Compares the checksum with that of the file in which its digits are zeros.
  private static func checkSeal(_ path: String) throws(FileError) {
    let damaged = FileError(path, "is damaged: its checksum is not the one written")
    let isWhole = try FileBytes(path: path).withBytes { (bytes) throws(FileError) -> Bool in
      let end = seal + zeros.utf8.count
      guard bytes.count > end, bytes[8..<seal].elementsEqual(start.utf8),
        let digits = String(validating: bytes[seal..<end], as: UTF8.self), digits == digits.lowercased(),
        digits.allSatisfy({ $0.isASCII && $0.isHexDigit }), let stated = UInt32(digits, radix: 16)
      else { throw damaged }
      var found = checksum(UnsafeRawBufferPointer(rebasing: bytes[..<seal]))
      found = Array(zeros.utf8).withBytes { checksum($0, after: found) }
      found = checksum(UnsafeRawBufferPointer(rebasing: bytes[end...]), after: found)
      return found == stated
    }
    guard isWhole else { throw damaged }
  }

  /// The dtypes and shapes of the program's inputs; an open size is 0 here.
  private static func ports(_ program: HeaderJSON, _ path: String) throws(FileError) -> [(dtype: DType, shape: Shape)] {
    struct Port: Codable {
      var dtype: DType
      var shape: Shape
    }
    do throws(ProgramFault) {
      guard case .object(let members) = try BatchSize.instantiated(program, 0),
        let inputs = members.first(where: { $0.key == "inputs" })?.value
      else { throw ProgramFault("it has no inputs") }
      return try inputs.decoded([Port].self).map { ($0.dtype, $0.shape) }
    } catch { throw FileError(path, "its program is malformed: \(error)") }
  }
}
