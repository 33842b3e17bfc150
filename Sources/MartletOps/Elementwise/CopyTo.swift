public import MartletCore

/// The same values on another device.
public struct CopyTo: UnaryOp {
  public static var id: OpID { OpTable.copyTo.id }
  public static var name: String { "copyTo" }
  public static var rules: Rules { [.vjp, .jvp, .batched] }
  public let device: Device
  public init(device: Device) { self.device = device }
  public func output(for x: TensorSpec) throws(OpError) -> TensorSpec {
    TensorSpec(x.shape, x.dtype, device: device)
  }
  public func evaluate(_ inputs: [Tensor], reusable: Positions) throws(OpError) -> [Tensor] {
    _ = try outputs(for: inputs.map { $0.spec })
    return [try Executors.copy(inputs[0], to: device)]
  }
  public func vjp(_ ct: [Tensor?], _ saved: Saved, needs: Positions) -> [Cotangent?] {
    [.dense(ct[0]!.to(saved.spec(0).device))]
  }
  public func jvp(_ t: [Tensor?], _ inputs: [Tensor], _ outputs: [Tensor]) -> [Tensor?] {
    [t[0].map { $0.to(device) }]
  }
  public func batched(_ inputs: [Tensor], mapped: [Bool]) -> [Tensor] { [apply(self, inputs[0])] }
}
