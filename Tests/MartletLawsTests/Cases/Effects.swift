import Martlet
import MartletCore
import MartletOps

extension OpTable {
  /// Lines without a message and tensors are not printed, and these conditions hold: effects have tests of their own.
  var effectCases: [OpCase] {
    var cases: [OpCase] = []
    for dtype in [.float64, .float32, .bfloat16, .int32, .bool, .complex64] as [DType] {
      for x in [
        Input([], dtype), Input([0], dtype), Input([3, 5], dtype), Input([4, 6], dtype, .between(-2, 2), .transposed),
        Input([5], dtype, .between(-2, 2), .strided), Input([2, 3], dtype, .between(-2, 2), .expanded),
      ] {
        if self == .print {
          cases.append(OpCase(Print(message: ""), [x]))
        } else {
          for condition: Shape in [[], [3], [2, 2]] {
            cases.append(OpCase(Assert(message: "so"), [x, Input(condition, .bool, .list([1]))]))
          }
        }
      }
    }
    return cases
  }
}
