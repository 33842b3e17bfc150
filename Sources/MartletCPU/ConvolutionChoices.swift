import CKernels
import COneDNN
import MartletCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Which algorithm was found the fastest for a convolution, and how long each took.
public struct ConvolutionChoice: Sendable, CustomStringConvertible {
  /// Direction, dtype, shapes, window and thread count.
  public let convolution: String
  /// plain, blocked, winograd, columns, tiles or pairs.
  public let algorithm: String
  /// Milliseconds of each algorithm that applies; empty when the choice was remembered from an earlier process.
  public let milliseconds: [String: Double]

  public var description: String {
    let times = milliseconds.sorted { $0.value < $1.value }.map { "\($0.key) \(rounded($0.value)) ms" }
    return "\(convolution): \(algorithm)" + (times.isEmpty ? "" : " (\(times.joined(separator: ", ")))")
  }
  private func rounded(_ x: Double) -> Double { (x * 1000).rounded() / 1000 }
}

/// The algorithms that convolutions run by. Each convolution is timed with each of them when it first runs, and the choice
/// is kept: in the process, and in a file for the next one, so that equal programs give equal bits. What a busy machine
/// left in doubt is not kept in the file; the next process times it again.
///
/// The file lies in `MARTLET_CACHE`, else in `$XDG_CACHE_HOME/martlet`, else in `~/.cache/martlet`; `MARTLET_CACHE=off`
/// keeps nothing. Removing it is harmless.
public enum ConvolutionChoices {
  private struct State {
    var choices: [String: ConvolutionChoice] = [:]
    var remembered: [String: ConvolutionAlgorithm]?
  }
  /// Guards `state`; held for moments only.
  private static let lock = Lock()
  /// Held by who measures.
  package static let timing = Lock()
  /// The most choices of a process.
  private static let limit = 4096
  nonisolated(unsafe) private static var state = State()

  /// What was chosen in this process so far, sorted.
  public static var all: [ConvolutionChoice] {
    lock.holding { state.choices.values.sorted { $0.convolution < $1.convolution } }
  }

  /// What this process and earlier ones found, as lines; sorted.
  public static var remembered: [String] {
    lock.holding {
      var lines = load().mapValues { $0.name }
      for (key, choice) in state.choices { lines[key] = choice.algorithm }
      return lines.map { "\($0.key): \($0.value)" }.sorted()
    }
  }

  /// The file in which choices are kept; nil when they are not.
  public static var file: String? { ChoiceFile.path }

  /// Lets convolutions that have not run yet in this process take these algorithms, by `convolution` and `algorithm` of
  /// what `all` gave in another process: a resumed run then repeats the bits of the interrupted one.
  public static func remember(_ choices: [String: String]) {
    lock.holding {
      _ = load()
      for (key, name) in choices {
        if let algorithm = ConvolutionAlgorithm.allCases.first(where: { $0.name == name }) {
          state.remembered![key] = algorithm
        }
      }
    }
  }

  /// Under the lock.
  private static func load() -> [String: ConvolutionAlgorithm] {
    if state.remembered == nil { state.remembered = ChoiceFile.load() }
    return state.remembered!
  }

  /// The fastest routine for a convolution; it has run last, so that its result is that of the next call too.
  ///
  /// Only calls that must measure wait for each other: two measurements at once would disturb one another.
  static func choose(
    _ sizes: ConvolutionSizes, _ operands: ConvolutionOperands
  ) -> (routine: ConvolutionRoutine, status: KernelStatus)? {
    chosen(sizes, { operands }).map { ($0.routine, $0.routine.run(operands)) }
  }

  /// The fastest algorithm for a convolution, with a routine of this thread; `operands` yields what to time it with.
  static func chosen(
    _ sizes: ConvolutionSizes, _ operands: () -> ConvolutionOperands?
  ) -> (algorithm: ConvolutionAlgorithm, routine: ConvolutionRoutine)? {
    let key = sizes.key
    if let found = known(key, sizes) { return found }
    return timing.holding {
      // Another thread may have measured this one meanwhile.
      if let found = known(key, sizes) { return found }
      guard let operands = operands(), let (algorithm, routine, times, isSettled) = fastest(sizes, operands) else {
        return nil
      }
      lock.holding {
        state.choices[key] = ConvolutionChoice(convolution: key, algorithm: algorithm.name, milliseconds: times)
      }
      if isSettled { ChoiceFile.add(key, algorithm) }
      return (algorithm, routine)
    }
  }

  /// What was chosen before, here or in an earlier process.
  private static func known(
    _ key: String, _ sizes: ConvolutionSizes
  ) -> (algorithm: ConvolutionAlgorithm, routine: ConvolutionRoutine)? {
    let (algorithm, isFull) = lock.holding { () -> (ConvolutionAlgorithm?, Bool) in
      let remembered = load()[key]
      guard let choice = state.choices[key] else { return (remembered, state.choices.count >= limit) }
      return (ConvolutionAlgorithm.allCases.first { $0.name == choice.algorithm }, false)
    }
    guard let algorithm else {
      // Lengths that never come again are not worth a timing each: what is surely not slow will do.
      guard isFull else { return nil }
      return [.blocked, .plain, .columns].lazy.compactMap { algorithm in
        ConvolutionRoutine(algorithm, sizes).map { (algorithm, $0) }
      }.first
    }
    guard !(algorithm.isWinograd && sizes.window.isPrecise), let routine = ConvolutionRoutine(algorithm, sizes) else {
      return nil
    }
    lock.holding {
      if state.choices[key] == nil {
        state.choices[key] = ConvolutionChoice(convolution: key, algorithm: algorithm.name, milliseconds: [:])
      }
    }
    return (algorithm, routine)
  }

  /// A byte that makes small positive floats of every dtype.
  static let small: Int32 = 0x3c

  private static func fastest(
    _ sizes: ConvolutionSizes, _ operands: ConvolutionOperands
  ) -> (ConvolutionAlgorithm, ConvolutionRoutine, [String: Double], isSettled: Bool)? {
    var candidates: [(algorithm: ConvolutionAlgorithm, routine: ConvolutionRoutine)] = []
    // Each packs kernels in its own way; what they are does not matter.
    var packed: [Storage] = []
    func run(_ way: Int) -> KernelStatus {
      var operands = operands
      if sizes.isPacked { operands.w = packed[way].pointer }
      return candidates[way].routine.run(operands)
    }
    for algorithm in ConvolutionAlgorithm.allCases where !(algorithm.isWinograd && sizes.window.isPrecise) {
      guard let routine = ConvolutionRoutine(algorithm, sizes) else { continue }
      if sizes.isPacked {
        guard let kernels = Storage(bytes: routine.packedBytes) else {
          routine.destroy()
          continue
        }
        memset(kernels.pointer, ConvolutionChoices.small, kernels.bytes)
        packed.append(kernels)
      }
      candidates.append((algorithm, routine))
      // The first run touches fresh memory and makes what is made once.
      if run(candidates.count - 1).code != 0 {
        routine.destroy()
        candidates.removeLast()
        packed = Array(packed.prefix(candidates.count))
      }
    }
    var race = Race(ways: candidates.count)
    race.run { way in Race.time { _ = run(way) } }
    ck_here().pointee.note = nil  // it may be that of a routine that is destroyed
    guard let winner = race.winner else { return nil }
    let best = candidates[winner]
    for candidate in candidates where candidate.algorithm != best.algorithm { candidate.routine.destroy() }
    let times = Dictionary(uniqueKeysWithValues: zip(candidates, race.seconds).map { ($0.algorithm.name, $1 * 1e3) })
    return (best.algorithm, best.routine, times, race.isSettled)
  }
}

/// The choices of earlier processes: lines of a key, a tab and an algorithm. Nothing in it is trusted: lines that mean
/// nothing are skipped, and what does not apply is chosen anew.
private enum ChoiceFile {
  static let path: String? = {
    let folder: String
    switch Environment["MARTLET_CACHE"] {
    case "off": return nil
    case let given? where !given.isEmpty: folder = given
    default:
      if let cache = Environment["XDG_CACHE_HOME"], !cache.isEmpty {
        folder = cache + "/martlet"
      } else if let home = Environment["HOME"], !home.isEmpty {
        folder = home + "/.cache/martlet"
      } else {
        return nil
      }
    }
    var made = folder.hasPrefix("/") ? "/" : ""
    for part in folder.split(separator: "/") {
      made += part + "/"
      mkdir(made, 0o755)
    }
    let version = dn_version()
    return "\(folder)/convolutions-\(processor)-onednn-\(version.major).\(version.minor).\(version.patch).txt"
  }()

  /// A short mark of the processor's model, the instruction sets in use and the algorithms there are to choose from.
  private static var processor: String {
    let model =
      SystemFile.field("model name", in: "/proc/cpuinfo") ?? SystemFile.field("CPU part", in: "/proc/cpuinfo") ?? ""
    let hash = "\(model) \(ck_cpu_level()) \(ConvolutionAlgorithm.allCases)".utf8.reduce(
      0xcbf2_9ce4_8422_2325 as UInt64
    ) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01b3
    }
    return String(hash, radix: 16)
  }

  static func load() -> [String: ConvolutionAlgorithm] {
    guard let path else { return [:] }
    var known: [String: ConvolutionAlgorithm] = [:]
    for line in SystemFile.lines(of: path, limit: 4 << 20) {
      let parts = line.split(separator: "\t")
      guard parts.count == 2, let algorithm = ConvolutionAlgorithm.allCases.first(where: { $0.name == parts[1] }) else {
        continue
      }
      // The last line counts: it replaces a choice that does not apply, and two processes that chose at once agree
      // afterwards.
      known[String(parts[0])] = algorithm
    }
    return known
  }

  static func add(_ key: String, _ algorithm: ConvolutionAlgorithm) {
    guard let path else { return }
    let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else { return }
    defer { close(file) }
    let line = "\(key)\t\(algorithm.name)\n"
    // One write: lines of several processes do not mix.
    _ = line.utf8CString.withUnsafeBytes { write(file, $0.baseAddress, $0.count - 1) }
  }
}
