public import MartletCore

extension RawTensor {
  /// The tensor, copied out of the file.
  ///
  /// Throws when the dtype has no counterpart.
  public func tensor(device: Device = .current) throws(FileError) -> Tensor {
    guard let dtype = DType(safetensors: dtype) else {
      throw FileError(name, "tensor \(name) has dtype \(self.dtype), which Martlet does not have")
    }
    guard shape.count <= Shape.maxRank else {
      throw FileError(name, "tensor \(name) has \(shape.count) axes; at most \(Shape.maxRank) are possible")
    }
    return withUnsafeBytes { bytes in
      Tensor.make(TensorSpec(Shape(shape), dtype, device: device)) { $0.copyMemory(from: bytes) }
    }
  }
}

extension DType {
  /// The dtype under its name in safetensors files.
  package init?(safetensors name: String) {
    guard let known = DType.allCases.first(where: { $0.safetensorsName == name }) else { return nil }
    self = known
  }

  /// The name in safetensors files; nil for what they cannot hold.
  package var safetensorsName: String? {
    switch self {
    case .bool: "BOOL"
    case .uint8: "U8"
    case .int8: "I8"
    case .int16: "I16"
    case .int32: "I32"
    case .int64: "I64"
    case .uint32: "U32"
    case .float16: "F16"
    case .bfloat16: "BF16"
    case .float32: "F32"
    case .float64: "F64"
    case .complex64: "C64"
    case .complex128: nil
    }
  }
}

extension State {
  /// Reads a safetensors file. Throws when it is missing, damaged, or a saved program.
  public init(safetensors path: String, device: Device = .current) throws(FileError) {
    let file = try Safetensors(contentsOf: path)
    if file.metadata["format"]?.hasPrefix(ProgramFile.formatPrefix) == true {
      throw FileError(path, "is a saved program, not the weights of a model: SavedProgram(contentsOf:) reads it")
    }
    var entries: [(name: String, tensor: Tensor)] = []
    for raw in file.tensors { entries.append((raw.name, try raw.tensor(device: device))) }
    self.init(entries)
  }

  /// Writes a safetensors file: under a temporary name first, then renamed.
  public func write(safetensors path: String, metadata: [String: String] = [:]) throws(FileError) {
    _ = try save(safetensors: path, metadata: metadata)
  }

  /// The same, and says what was to be written. One tensor after the other goes from its memory to the file.
  package func save(safetensors path: String, metadata: [String: String] = [:]) throws(FileError) -> FileMark {
    var described: [Safetensors.Entry] = []
    for (name, tensor) in entries {
      guard let dtype = tensor.dtype.safetensorsName else {
        throw FileError(
          path, "tensor \(name) is \(tensor.dtype), which safetensors files cannot hold: cast it to complex64")
      }
      described.append(Safetensors.Entry(name: name, dtype: dtype, shape: Array(tensor.shape)))
    }
    return try Safetensors.save(described, metadata: metadata, to: path) { index, write throws(FileError) in
      let written = entries[index].tensor.withUnsafeBytes { bytes in
        Result { () throws(FileError) in try write(bytes) }
      }
      guard let written else { throw FileError(path, "tensor \(entries[index].name) has no value") }
      try written.get()
    }
  }
}
