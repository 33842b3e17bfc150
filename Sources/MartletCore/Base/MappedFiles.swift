/// Files in memory: whoever looks at all that are mapped must not meet one that is being let go.
package enum MappedFiles {
  private static let lock = Lock()

  /// Runs `body`; no file of Martlet's is unmapped meanwhile.
  package static func whileAllStay<R>(_ body: () -> R) -> R { lock.holding(body) }
  /// Runs `body`, which unmaps a file.
  package static func letGo(_ body: () -> Void) { lock.holding(body) }
}
