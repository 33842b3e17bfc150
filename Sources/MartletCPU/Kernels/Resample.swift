import CKernels
import MartletCore
import MartletOps

func registerResample() {
  Kernels.register(Resample.self, .cpu) { op, arguments in
    let shape = arguments.shape(0)
    // The axis itself may be long beside one of no elements.
    if shape.elementCount == 0 { return .ok }
    let out = arguments.outputSpec().shape[op.axis]
    let table = SparseRows(op.filter, isAdjoint: op.isAdjoint)
    let outer = Int64(shape[..<op.axis].reduce(1, *))
    let inner = Int64(shape[(op.axis + 1)...].reduce(1, *))
    return widened(arguments) { dtype, y, x in
      table.withWeights(dtype) { weights in
        KernelStatus(
          ck_resample(
            dtype, outer, Int64(shape[op.axis]), Int64(out), inner, table.begins, table.places, weights, y, x))
      }
    }
  }
}

/// For each element of the result the places it is made of, and their weights, one behind the other.
private struct SparseRows {
  private(set) var begins: [Int64] = [0]
  private(set) var places: [Int32] = []
  private var weights: [Double] = []

  init(_ filter: ResamplingFilter, isAdjoint: Bool) {
    let taps = filter.taps()
    if !isAdjoint {
      for index in 0..<filter.out {
        for tap in taps {
          places.append(Int32(tap.places[index]))
          weights.append(tap.weights[index])
        }
        begins.append(Int64(places.count))
      }
      return
    }
    var columns = [[(Int32, Double)]](repeating: [], count: filter.size)
    for tap in taps {
      for index in 0..<filter.out where tap.weights[index] != 0 {
        columns[tap.places[index]].append((Int32(index), tap.weights[index]))
      }
    }
    for column in columns {
      for (place, weight) in column {
        places.append(place)
        weights.append(weight)
      }
      begins.append(Int64(places.count))
    }
  }

  func withWeights<R>(_ dtype: Int32, _ body: (UnsafeRawPointer) -> R) -> R {
    if dtype == DType.float64.code { return weights.withUnsafeBytes { body($0.baseAddress!) } }
    return weights.map(Float.init).withUnsafeBytes { body($0.baseAddress!) }
  }
}
