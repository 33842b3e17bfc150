public import MartletCore

/// The areas of boxes: `[N, 4]` → `[N]`. A box is its left, upper, right and lower border: x1, y1, x2, y2.
/// Source: torchvision `box_area`.
public func boxArea(_ boxes: Tensor) -> Tensor {
  guard let error = wrongBoxes(boxes, "boxArea") else {
    return (boxes[.all, 2] - boxes[.all, 0]) * (boxes[.all, 3] - boxes[.all, 1])
  }
  return error
}

private func wrongBoxes(_ boxes: Tensor, _ op: String) -> Tensor? {
  guard boxes.rank == 2, boxes.shape[1] == 4 else {
    return failure(
      .argumentShape(argument: 0, expected: "[N, 4]: x1, y1, x2, y2 of each box"), op: op, [boxes], names: ["boxes"])
  }
  guard boxes.dtype.isFloating else {
    return failure(.dtype(argument: 0, expected: Domain.floating.rawValue), op: op, [boxes], names: ["boxes"])
  }
  return nil
}

/// How much each box of `a` and each of `b` have in common: the area of the intersection by that of the union.
///
/// `[N, 4]`, `[M, 4]` → `[N, M]`, in 0 … 1; NaN for two boxes without an area. Source: torchvision `box_iou`.
public func boxIoU(_ a: Tensor, _ b: Tensor) -> Tensor {
  if let error = wrongBoxes(a, "boxIoU") ?? wrongBoxes(b, "boxIoU") { return error }
  let left = a.expandedDims(axis: 1)
  let low = maximum(left[.all, .all, ..<2], b[.all, ..<2])
  let high = minimum(left[.all, .all, 2...], b[.all, 2...])
  let sides = clamp(high - low, min: 0)
  let common = sides[.all, .all, 0] * sides[.all, .all, 1]
  return common / (boxArea(a).expandedDims(axis: 1) + boxArea(b) - common)
}

/// The boxes that remain when of any two that overlap by more than `threshold` the one with the lower score is dropped:
/// their indices (`int64`), the highest score first.
///
/// Values are read, so it cannot be part of `compile` or `vmap`: shapes there do not depend on values.
/// Source: torchvision `nms`.
///
/// - Parameters:
///   - boxes: `[N, 4]`: x1, y1, x2, y2 of each box.
///   - scores: `[N]`.
///   - threshold: the largest overlap (`boxIoU`) of two boxes that remain.
public func nonMaximumSuppression(_ boxes: Tensor, scores: Tensor, threshold: Double) -> Tensor {
  if let error = wrongBoxes(boxes, "nonMaximumSuppression") { return error }
  guard scores.shape == [boxes.shape[0]] else {
    return failure(
      .argumentShape(argument: 1, expected: "[\(boxes.shape[0])], a score for each box"), op: "nonMaximumSuppression",
      [boxes, scores], names: ["boxes", "scores"])
  }
  let order = scores.detached().argSort(descending: true).array(as: Int.self)
  let sides = boxes.detached().array(as: Double.self)
  if sides.count != order.count * 4 { return boxes.afterFailure }
  func box(_ index: Int) -> (Double, Double, Double, Double) {
    (sides[4 * index], sides[4 * index + 1], sides[4 * index + 2], sides[4 * index + 3])
  }
  var kept: [Int] = []
  for index in order {
    let (x1, y1, x2, y2) = box(index)
    let area = (x2 - x1) * (y2 - y1)
    let isDropped = kept.contains { other in
      let (u1, v1, u2, v2) = box(other)
      let common = max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1))
      return common / (area + (u2 - u1) * (v2 - v1) - common) > threshold
    }
    if !isDropped { kept.append(index) }
  }
  return Tensor(kept, device: boxes.device)
}

/// The largest elements of the parts of boxes in feature maps: `x: [N, C, H, W]` and `boxes: [K, 5]` →
/// `[K, C, outputSize…]`; 0 for a part without elements.
///
/// Coordinates are rounded to elements. The values of `boxes` are read, so it cannot be part of `compile` or `vmap`.
/// Source: Girshick 2015; torchvision `roi_pool`.
///
/// - Parameters:
///   - boxes: the number of the image in `x`, then x1, y1, x2, y2.
///   - outputSize: the parts along height and width.
///   - spatialScale: what coordinates are multiplied by.
public func roiPool(_ x: Tensor, boxes: Tensor, outputSize: Extent, spatialScale: Double = 1) -> Tensor {
  func wrong(_ fact: Fact) -> Tensor { failure(fact, op: "roiPool", [x, boxes], names: ["x", "boxes"]) }
  guard x.rank == 4 else { return wrong(.rank(argument: 0, expected: "4: [N, C, H, W]")) }
  guard x.dtype.isFloating else { return wrong(.dtype(argument: 0, expected: Domain.floating.rawValue)) }
  guard boxes.rank == 2, boxes.shape[1] == 5 else {
    return wrong(.argumentShape(argument: 1, expected: "[K, 5]: the number of the image, x1, y1, x2, y2"))
  }
  let (out, size) = (outputSize.over(2), [x.shape[2], x.shape[3]])
  guard out.rank == 2, out.allSatisfy({ $0 >= 1 }), size.allSatisfy({ $0 >= 1 }) else {
    return wrong(
      .misuse("outputSize is \(outputSize)", rule: "1 or more each, for feature maps of one element or more"))
  }
  let numbers = boxes.detached().array(as: Double.self)
  guard numbers.count == boxes.count, numbers.allSatisfy({ $0.magnitude < 0x1p31 }) else {
    return wrong(.misuse("a box is larger than 2³¹ elements", rule: "boxes lie in the feature maps"))
  }
  /// The elements of each part of a box along one axis.
  func parts(_ box: Int, _ axis: Int) -> [Range<Int>] {
    let start = Int((numbers[box * 5 + 2 - axis] * spatialScale).rounded())
    let end = Int((numbers[box * 5 + 4 - axis] * spatialScale).rounded())
    let part = Double(max(end - start + 1, 1)) / Double(out[axis])
    return (0..<out[axis]).map { index in
      let low = Int((Double(index) * part).rounded(.down)) + start
      let high = Int((Double(index + 1) * part).rounded(.up)) + start
      let first = min(max(low, 0), size[axis])
      return first..<max(first, min(max(high, 0), size[axis]))
    }
  }
  let count = boxes.shape[0]
  var cells: [[Int]] = []
  for box in 0..<count {
    let image = Int(numbers[box * 5])
    guard image >= 0, image < x.shape[0] else { return wrong(.index(image, size: x.shape[0], axis: 0)) }
    let columns = parts(box, 1)
    for rows in parts(box, 0) {
      for range in columns {
        cells.append(rows.flatMap { row in range.map { (image * size[0] + row) * size[1] + $0 } })
      }
    }
  }
  // All parts are made as large as the largest by naming their first element again, which leaves the maximum.
  let most = max(1, cells.map(\.count).max() ?? 1)
  let places = cells.flatMap { cell in cell + [Int](repeating: cell.first ?? 0, count: most - cell.count) }
  let isEmpty = Tensor(cells.map(\.isEmpty), shape: [cells.count, 1], device: x.device)
  let table = x.permuted(0, 2, 3, 1).reshaped([x.shape[0] * size[0] * size[1], x.shape[1]])
  let seen = table.take(axis: 0, Tensor(places, shape: [cells.count, most], device: x.device))
  return select(isEmpty, 0, seen.max(axis: 1)).reshaped([count, out[0], out[1], x.shape[1]]).permuted(0, 3, 1, 2)
}
