import MartletCore
import MartletOps

extension OpTable {
  var gridCases: [OpCase] {
    // Coordinates that stay away from where the slope changes, for all sizes below.
    let places: [Double] = [-0.92, 0.07, 0.55, -0.57, 0.91, -0.08, 1.07, -1.07, 0.43, -0.43, 0.57]
    var cases: [OpCase] = []
    func add(_ reading: GridReading, _ x: Shape, _ grid: Shape, _ dtype: DType, _ layout: Layout, _ values: Values) {
      let inputs = [Input(x, dtype, .between(-1, 1), layout), Input(grid, dtype, values, layout)]
      let y = Input(Shape(Array(x[..<2]) + Array(grid[1..<(x.rank - 1)])), dtype, .between(-1, 1), layout)
      let smoothness: Smoothness = reading.mode == .nearest ? .kinked : .smooth
      if self == .gridSample {
        cases.append(OpCase(GridSample(reading), inputs, smoothness, loose: 16))
        return
      }
      for (ofX, ofGrid) in [(true, true), (true, false), (false, true)] {
        // The grid of the nearest elements has no gradient at all.
        if reading.mode == .nearest, ofGrid { continue }
        cases.append(
          OpCase(GridSampleGradient(reading, ofX: ofX, ofGrid: ofGrid), [y] + inputs, smoothness, loose: 64))
      }
    }
    for dtype in floatingTypes {
      for mode in [GridMode.bilinear, .nearest, .bicubic] {
        for padding in [GridPadding.zeros, .border, .reflection] {
          for (number, alignCorners) in [false, true].enumerated() {
            let reading = GridReading(mode: mode, padding: padding, alignCorners: alignCorners)
            let layout = [Layout.dense, .transposed, .strided, .expanded][(number + (mode == .nearest ? 2 : 0)) % 4]
            add(reading, [2, 3, 4, 5], [2, 3, 4, 2], dtype, layout, .list(places))
            add(reading, [1, 2, 3, 2], [1, 1, 5, 2], dtype, .dense, .list(places.reversed()))
            add(reading, [1, 1, 1, 3], [1, 2, 2, 2], dtype, .dense, .list(places))
            if mode != .bicubic { add(reading, [1, 2, 3, 2, 4], [1, 2, 1, 3, 3], dtype, .dense, .list(places)) }
          }
        }
      }
    }
    let reading = GridReading(mode: .bilinear, padding: .reflection, alignCorners: false)
    add(reading, [0, 2, 3, 3], [0, 2, 2, 2], .float64, .dense, .list(places))
    add(reading, [1, 0, 3, 3], [1, 2, 2, 2], .float64, .dense, .list(places))
    add(reading, [1, 2, 3, 3], [1, 0, 2, 2], .float64, .dense, .list(places))
    // More places than a block, several blocks for each thread, and far outside.
    let many = GridReading(mode: .bicubic, padding: .reflection, alignCorners: true)
    for values in [Values.between(-1.2, 1.2), .between(-9, 9)] {
      for (x, grid) in [([2, 40, 4, 5], [2, 13, 30, 2]), ([1, 3, 16, 16], [1, 65, 65, 2])] as [(Shape, Shape)] {
        let sum = Input(Shape([x[0], x[1], grid[1], grid[2]]), .float32, .between(-1, 1))
        let inputs = [Input(x, .float32), Input(grid, .float32, values)]
        cases.append(
          self == .gridSample
            ? OpCase(GridSample(many), inputs, .none, loose: 64)
            : OpCase(GridSampleGradient(many, ofX: true, ofGrid: false), [sum] + inputs, .none, loose: 256))
      }
    }
    return cases
  }

  var gridWrongCases: [WrongCase] {
    func f(_ shape: Shape, _ dtype: DType = .float32) -> Input { Input(shape, dtype) }
    let plain = GridReading(mode: .bilinear, padding: .zeros, alignCorners: false)
    let cubic = GridReading(mode: .bicubic, padding: .zeros, alignCorners: false)
    let wrong: [(GridReading, Input, Input)] = [
      (plain, f([2, 3, 4]), f([2, 3, 2])), (plain, f([1, 1, 3, 3]), f([2, 2, 2, 2])),
      (plain, f([1, 1, 3, 3]), f([1, 2, 2, 3])), (plain, f([1, 1, 3, 3]), f([1, 2, 2, 2], .float64)),
      (plain, f([1, 1, 3, 3], .int32), f([1, 2, 2, 2], .int32)), (plain, f([1, 1, 0, 3]), f([1, 2, 2, 2])),
      (cubic, f([1, 1, 2, 2, 2]), f([1, 1, 1, 1, 3])),
    ]
    if self == .gridSample { return wrong.map { WrongCase(GridSample($0), [$1, $2]) } }
    return wrong.map { WrongCase(GridSampleGradient($0), [f([1, 1, 2, 2]), $1, $2]) } + [
      WrongCase(GridSampleGradient(plain), [f([1, 1, 2, 3]), f([1, 1, 3, 3]), f([1, 2, 2, 2])]),
      WrongCase(GridSampleGradient(plain), [f([1, 1, 3, 3]), f([1, 2, 2, 2])]),
    ]
  }

  var boxCases: [OpCase] {
    var cases: [OpCase] = []
    func add(
      _ parts: RoiParts, _ maps: Shape, _ boxes: [[Double]], _ dtype: DType, _ layout: Layout = .dense,
      _ smoothness: Smoothness = .kinked
    ) {
      let list = Input([boxes.count, 5], dtype, .list(boxes.isEmpty ? [0] : boxes.flatMap { $0 }))
      let shape = self == .roiAlign ? maps : [boxes.count, maps[1], parts.size[0], parts.size[1]]
      let op: any Op =
        self == .roiAlign
        ? RoiAlign(parts) : RoiAlignGradient(parts, images: maps[0], height: maps[2], width: maps[3])
      cases.append(OpCase(op, [Input(shape, dtype, .between(-1, 1), layout), list], smoothness, loose: 16))
    }
    // Inside, over the border, beyond it, of no size, turned around, and far larger than the maps.
    let boxes: [[Double]] = [
      [0, 0.5, 1.25, 4.75, 3.5], [1, -2.5, -1.25, 3.25, 9.5], [0, 20, 20, 30, 30], [1, 2.25, 2.25, 2.25, 2.25],
      [1, 4, 3, 1, 1], [0, -40.25, -30.5, 50.75, 60.25],
    ]
    for dtype in floatingTypes {
      for (number, ratio) in [nil, 1, 2, 3].enumerated() {
        for isAligned in [false, true] {
          let layout = [Layout.dense, .transposed, .strided, .expanded][number]
          for size in [[2, 3], [1, 1], [7, 5]] as [Shape] {
            add(
              RoiParts(size: size, scale: number == 1 ? 0.5 : 1, samplingRatio: ratio, isAligned: isAligned),
              [2, 3, 6, 5], boxes, dtype, layout)
          }
        }
      }
      let parts = RoiParts(size: [2, 2], scale: 1, samplingRatio: nil, isAligned: false)
      add(parts, [1, 2, 3, 3], [], dtype)
      add(parts, [1, 0, 3, 3], [[0, 0, 0, 2, 2]], dtype)
      // In one element the mean does not depend on the box, which has no gradient; images are rounded down.
      add(
        parts, [2, 3, 1, 1], [[0.25, -0.75, -0.5, 0.125, 0.125], [1.25, -0.875, -0.75, -0.25, 0]], dtype, .dense,
        .smooth)
    }
    // For several threads.
    let large = RoiParts(size: [7, 7], scale: 0.25, samplingRatio: nil, isAligned: true)
    let many = (0..<40).map { number -> [Double] in
      let (left, top) = (Double(number) * 0.75, Double(number % 7) * 3.125)
      return [Double(number % 2), left, top, 2 * left + 21, top + Double(number % 5) * 8.75 + 30]
    }
    add(large, [2, 32, 24, 20], many, .float32, .dense, .none)
    return cases
  }

  var boxWrongCases: [WrongCase] {
    func f(_ shape: Shape, _ list: [Double] = [0], _ dtype: DType = .float32) -> Input {
      Input(shape, dtype, .list(list))
    }
    func parts(_ size: Shape, _ ratio: Int? = nil) -> RoiParts {
      RoiParts(size: size, scale: 1, samplingRatio: ratio, isAligned: false)
    }
    func op(_ parts: RoiParts, images: Int = 1, height: Int = 3) -> any Op {
      self == .roiAlign ? RoiAlign(parts) : RoiAlignGradient(parts, images: images, height: height, width: 3)
    }
    let x = self == .roiAlign ? f([1, 2, 3, 3]) : f([1, 2, 2, 2])
    var cases = [
      WrongCase(op(parts([2, 2])), [x, f([1, 4])]), WrongCase(op(parts([2, 2])), [x]),
      WrongCase(op(parts([2, 2])), [f([2, 3, 3]), f([1, 5])]), WrongCase(op(parts([0, 2])), [x, f([1, 5])]),
      WrongCase(op(parts([2])), [x, f([1, 5])]), WrongCase(op(parts([2, 2], 0)), [x, f([1, 5])]),
      WrongCase(op(parts([2, 2])), [x, f([1, 5], [0], .float64)]),
      WrongCase(op(parts([2, 2], 1)), [x, f([1, 5], [1, 0, 0, 2, 2])]),
      WrongCase(op(parts([2, 2], 1)), [x, f([1, 5], [-1, 0, 0, 2, 2])]),
    ]
    if self == .roiAlign {
      cases.append(WrongCase(op(parts([2, 2])), [f([1, 2, 0, 3]), f([1, 5])]))
    } else {
      cases.append(WrongCase(op(parts([2, 2]), height: 0), [x, f([1, 5])]))
      cases.append(WrongCase(op(parts([2, 2]), images: -1), [x, f([1, 5])]))
      cases.append(WrongCase(op(parts([2, 3])), [x, f([1, 5])]))
      cases.append(WrongCase(op(parts([2, 2])), [x, f([2, 5])]))
    }
    return cases
  }

  var searchCases: [OpCase] {
    var cases: [OpCase] = []
    let numbers = realTypes.filter { $0 != .bool }
    if self == .sortRows {
      for dtype in realTypes {
        for (shape, layout) in [
          ([9, 2], .dense), ([1, 3], .dense), ([0, 2], .dense), ([4, 0], .dense), ([33, 3], .transposed),
          ([17, 2], .strided), ([8, 4], .expanded),
        ] as [(Shape, Layout)] {
          cases.append(OpCase(SortRows(), [Input(shape, dtype, .below(3), layout)]))
        }
      }
      for dtype in floatingTypes {
        cases.append(
          OpCase(SortRows(), [Input([6, 2], dtype, .list([1, .nan, .nan, 0, -.infinity, .infinity, -0.0]))]))
      }
      // For several threads.
      cases.append(OpCase(SortRows(), [Input([9000, 3], .float32, .below(20))]))
      return cases
    }
    for right in [false, true] {
      let op = SearchSorted(right: right)
      for dtype in numbers {
        let sorted: [Double] =
          dtype.isFloating ? [-1.5, 0, 0, 0.5, 2, 2, 2, 7, .infinity] : [0, 1, 1, 4, 4, 4, 9, 9, 100]
        for n in [0, 1, 2, 3, 8, 9] {
          cases.append(OpCase(op, [Input([n], dtype, .list(sorted)), Input([2, 3], dtype, .below(6), .transposed)]))
          let row = Array(sorted[..<n])
          cases.append(
            OpCase(op, [Input([2, n], dtype, .list(n == 0 ? [0] : row)), Input([2, 4], dtype, .below(10), .strided)]))
        }
        cases.append(OpCase(op, [Input([9], dtype, .list(sorted)), Input([], dtype, .below(9))]))
        cases.append(OpCase(op, [Input([2, 0, 9], dtype, .list(sorted)), Input([2, 0, 3], dtype)]))
        cases.append(OpCase(op, [Input([2, 9], dtype, .list(sorted)), Input([2, 0], dtype)]))
      }
      for dtype in floatingTypes {
        let special = Input([8], dtype, .list([.nan, -.infinity, .infinity, -0.0, 0, 2, 3, -4]))
        cases.append(OpCase(op, [Input([9], dtype, .list([-.infinity, -4, 0, 0, 2, 2, 5, .nan, .nan])), special]))
      }
      // For several threads.
      let steps = (0..<500).map { Double($0 / 3) }
      cases.append(OpCase(op, [Input([500], .float32, .list(steps)), Input([60, 50], .float32, .below(180))]))
      cases.append(OpCase(op, [Input([40, 500], .int64, .list(steps)), Input([40, 90], .int64, .below(180))]))
    }
    return cases
  }

  var searchWrongCases: [WrongCase] {
    func f(_ shape: Shape, _ dtype: DType = .float32) -> Input { Input(shape, dtype) }
    if self == .sortRows {
      return [
        WrongCase(SortRows(), [f([3])]), WrongCase(SortRows(), [f([3, 2], .complex64)]), WrongCase(SortRows(), []),
      ]
    }
    let op = SearchSorted(right: false)
    return [
      WrongCase(op, [f([]), f([2])]), WrongCase(op, [f([3]), f([2], .float64)]),
      WrongCase(op, [f([3], .bool), f([2], .bool)]), WrongCase(op, [f([3], .complex64), f([2], .complex64)]),
      WrongCase(op, [f([2, 3]), f([3])]), WrongCase(op, [f([2, 3]), f([3, 2])]), WrongCase(op, [f([3])]),
    ]
  }
}
