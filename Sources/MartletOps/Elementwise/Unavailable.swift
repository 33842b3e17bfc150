public import MartletCore

// Operators that a newcomer tries on tensors, for what the compiler then says. Each has a form with Bool, for `if`, and one
// with Tensor, for what goes on with the elements. The checker comes to them only when nothing else fits.

private func unavailable() -> Never { fatalError("an unavailable operator was called") }

extension Tensor {
  @available(
    *, unavailable,
    message:
      "a .== b compares elements and gives a bool tensor; allClose(a, b) gives one Bool; a.item() is the number in a scalar"
  )
  public static func == (a: Tensor, b: Tensor) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message:
      "a .== b compares elements and gives a bool tensor; allClose(a, b) gives one Bool; a.item() is the number in a scalar"
  )
  public static func == <N: WeakNumber>(a: Tensor, b: N) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message:
      "a .== b compares elements and gives a bool tensor; allClose(a, b) gives one Bool; a.item() is the number in a scalar"
  )
  @_disfavoredOverload
  public static func == (a: Tensor, b: Tensor) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message:
      "a .== b compares elements and gives a bool tensor; allClose(a, b) gives one Bool; a.item() is the number in a scalar"
  )
  @_disfavoredOverload
  public static func == <N: WeakNumber>(a: Tensor, b: N) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message:
      "a .!= b compares elements and gives a bool tensor; allClose(a, b) gives one Bool; a.item() is the number in a scalar"
  )
  public static func != (a: Tensor, b: Tensor) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message:
      "a .!= b compares elements and gives a bool tensor; allClose(a, b) gives one Bool; a.item() is the number in a scalar"
  )
  public static func != <N: WeakNumber>(a: Tensor, b: N) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message:
      "a .!= b compares elements and gives a bool tensor; allClose(a, b) gives one Bool; a.item() is the number in a scalar"
  )
  @_disfavoredOverload
  public static func != (a: Tensor, b: Tensor) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message:
      "a .!= b compares elements and gives a bool tensor; allClose(a, b) gives one Bool; a.item() is the number in a scalar"
  )
  @_disfavoredOverload
  public static func != <N: WeakNumber>(a: Tensor, b: N) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message: "a .< b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  public static func < (a: Tensor, b: Tensor) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message: "a .< b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  public static func < <N: WeakNumber>(a: Tensor, b: N) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message: "a .< b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  @_disfavoredOverload
  public static func < (a: Tensor, b: Tensor) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message: "a .< b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  @_disfavoredOverload
  public static func < <N: WeakNumber>(a: Tensor, b: N) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message: "a .<= b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  public static func <= (a: Tensor, b: Tensor) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message: "a .<= b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  public static func <= <N: WeakNumber>(a: Tensor, b: N) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message: "a .<= b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  @_disfavoredOverload
  public static func <= (a: Tensor, b: Tensor) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message: "a .<= b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  @_disfavoredOverload
  public static func <= <N: WeakNumber>(a: Tensor, b: N) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message: "a .> b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  public static func > (a: Tensor, b: Tensor) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message: "a .> b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  public static func > <N: WeakNumber>(a: Tensor, b: N) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message: "a .> b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  @_disfavoredOverload
  public static func > (a: Tensor, b: Tensor) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message: "a .> b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  @_disfavoredOverload
  public static func > <N: WeakNumber>(a: Tensor, b: N) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message: "a .>= b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  public static func >= (a: Tensor, b: Tensor) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message: "a .>= b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  public static func >= <N: WeakNumber>(a: Tensor, b: N) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message: "a .>= b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  @_disfavoredOverload
  public static func >= (a: Tensor, b: Tensor) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message: "a .>= b compares elements and gives a bool tensor; for if on a scalar compare its number, a.item()"
  )
  @_disfavoredOverload
  public static func >= <N: WeakNumber>(a: Tensor, b: N) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message: "a .& b works on the elements of bool tensors; for if on a scalar take its Bool, a.item(as: Bool.self)"
  )
  public static func && (a: Tensor, b: Tensor) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message: "a .& b works on the elements of bool tensors; for if on a scalar take its Bool, a.item(as: Bool.self)"
  )
  @_disfavoredOverload
  public static func && (a: Tensor, b: Tensor) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message: "a .| b works on the elements of bool tensors; for if on a scalar take its Bool, a.item(as: Bool.self)"
  )
  public static func || (a: Tensor, b: Tensor) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message: "a .| b works on the elements of bool tensors; for if on a scalar take its Bool, a.item(as: Bool.self)"
  )
  @_disfavoredOverload
  public static func || (a: Tensor, b: Tensor) -> Tensor { unavailable() }
  @available(
    *, unavailable,
    message: ".!a works on the elements of bool tensors; for if on a scalar take its Bool, a.item(as: Bool.self)"
  )
  public static prefix func ! (a: Tensor) -> Bool { unavailable() }
  @available(
    *, unavailable,
    message: ".!a works on the elements of bool tensors; for if on a scalar take its Bool, a.item(as: Bool.self)"
  )
  @_disfavoredOverload
  public static prefix func ! (a: Tensor) -> Tensor { unavailable() }
}
