import MartletCore

/// The axes from which a joined index was made. Of several tensors of indices one index is made, so an index that is out of
/// range is given to the kernel as a negative code that names the axis and the index, and the error can name them too.
package struct IndexCode: Hashable, Sendable, Codable {
  let axes: [Int]
  let sizes: [Int]

  /// The codes of indices into the axis at `position`.
  func code(_ position: Int, _ indices: Tensor) -> Tensor {
    let bound = Tensor(1 << 40).to(indices.device)  // so that no code is beyond 63 bits
    let kept = select(indices .> bound, bound, select(indices .< -bound, -bound, indices))
    let natural = select(kept .< 0, kept * -2 - 1, kept * 2)
    return natural * -axes.count - (position + 1)
  }

  /// What a code says; nil for an index that is none.
  func fact(_ code: Int) -> Fact? {
    guard code < 0, code > -Int.max, !axes.isEmpty, sizes.count == axes.count else { return nil }
    let (natural, position) = (-1 - code).quotientAndRemainder(dividingBy: axes.count)
    let index = natural & 1 == 1 ? -(natural + 1) / 2 : natural / 2
    return .index(index, size: sizes[position], axis: axes[position])
  }
}
