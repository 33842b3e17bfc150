import MartletCore
import MartletOps

/// The places, in a row-major tensor of `shape`, of the elements of a region in row-major order.
private func places(_ region: Region, in shape: Shape) -> [Int] {
  let (strides, offset) = region.layout(shape.contiguousStrides)
  return positions(of: region.sizes, region.sizes, strides).map { $0 + offset }
}

func installShape() {
  // Called only where the result cannot share the input's memory.
  naive(Contiguous.self) { _, arguments in arguments.write(bits: arguments.bits(0)) }
  naive(Reshape.self) { _, arguments in arguments.write(bits: arguments.bits(0)) }
  naive(SliceUpdate.self) { op, arguments in
    var result = arguments.bits(0)
    for (place, value) in zip(places(op.region, in: arguments.spec(0).shape), arguments.bits(1)) {
      result[place] = value
    }
    arguments.write(bits: result)
  }
  naive(Concat.self) { op, arguments in
    let shape = arguments.outputSpec().shape
    let blocks = Blocks(shape, axis: op.axis)
    var result = [UInt128](repeating: 0, count: shape.elementCount)
    var start = 0
    for input in 0..<arguments.inputCount {
      let part = Blocks(arguments.spec(input).shape, axis: op.axis)
      let values = arguments.bits(input)
      for o in 0..<part.outer {
        for j in 0..<part.size {
          for i in 0..<part.inner { result[blocks.place(o, start + j, i)] = values[part.place(o, j, i)] }
        }
      }
      start += part.size
    }
    arguments.write(bits: result)
  }
}
