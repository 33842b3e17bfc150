// How models and their state print.

/// The settings among the stored properties: numbers, texts, Bools, sizes; what is nil is left out.
package func plainSettings(of value: Any) -> String {
  let own = Mirror(reflecting: value)
  let mirrors = Array(sequence(first: own) { $0.superclassMirror })
  return mirrors.reversed().flatMap { $0.children }.compactMap { child in
    guard let label = child.label, let text = settingText(child.value) else { return nil }
    return "\(label): \(text)"
  }.joined(separator: ", ")
}

private func settingText(_ value: Any) -> String? {
  if let text = value as? String { return "\"\(text)\"" }
  // By its type: an empty list of anything else is one of integers too.
  if type(of: value) == [Int].self || value is Shape { return "\(value)" }
  let mirror = Mirror(reflecting: value)
  switch mirror.displayStyle {
  case .optional: return mirror.children.first.flatMap { settingText($0.value) }
  case .tuple:
    let parts = mirror.children.compactMap { settingText($0.value) }
    return parts.count == mirror.children.count ? "(\(parts.joined(separator: ", ")))" : nil
  case nil, .struct, .enum:
    return value is Tensor || !(value is any CustomStringConvertible) ? nil : "\(value)"
  default: return nil
  }
}

extension Module {
  public var settings: String { plainSettings(of: self) }

  /// The module with its settings, and its layers by name; a layer that is used twice stands at its first place.
  ///
  ///     Sequential(
  ///       (0): Linear(inFeatures: 784, outFeatures: 128)
  ///       (1): ReLU()
  ///     )
  public var description: String {
    let modules = ModuleTree(self, naming: .none).modules[...]
    var rest = modules.dropFirst()
    return Self.text(self, "", &rest)
  }

  /// One module with those of `rest` that lie inside of it; these come next in the order of the walk.
  private static func text(
    _ module: any Module, _ path: String, _ rest: inout ArraySlice<(name: String, module: any Module)>
  ) -> String {
    let head = "\(type(of: module))(\(module.settings)"
    let prefix = path.isEmpty ? "" : path + "."
    var lines: [String] = []
    while let next = rest.first, next.name.hasPrefix(prefix) {
      rest.removeFirst()
      lines.append("(\(next.name.dropFirst(prefix.count))): \(text(next.module, next.name, &rest))")
    }
    if lines.isEmpty { return head + ")" }
    let inner = lines.flatMap { $0.split(separator: "\n") }.map { "\n  " + $0 }
    return head + inner.joined() + "\n)"
  }
}

extension Cell: CustomStringConvertible {
  /// The kind of cell with the spec of its value, then the elements.
  public var description: String {
    let kind = "\(type(of: self))"
    guard let value = read() else { return "\(kind)(empty)" }
    let frozen = (self as? Parameter)?.requiresGradient == false ? ", requiresGradient: false" : ""
    guard value.hasValue else { return "\(kind)(\(value.spec)\(frozen), no value here)" }
    return "\(kind)(\(value.spec)\(frozen))\n\(value)"
  }
}

extension Mode: CustomStringConvertible {
  public var description: String { isTraining ? "training" : "evaluation" }
}
