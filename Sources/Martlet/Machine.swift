import CKernels
import COneDNN
import MartletCPU
import MartletCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the machine offers to computations.
public enum Machine {
  /// The threads that operations called here use.
  public static var threadCount: Int { Int(ck_threads()) }

  /// The most memory that the process has held so far, in MiB.
  public static var peakMemory: Double {
    var usage = rusage()
    #if canImport(Glibc)
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #else
      getrusage(RUSAGE_SELF, &usage)
    #endif
    #if canImport(Darwin)
      return Double(usage.ru_maxrss) / 1_048_576
    #else
      return Double(usage.ru_maxrss) / 1024
    #endif
  }

  /// The versions on which results depend in their last bits.
  public static var versions: [String: String] {
    [
      "martlet": martletVersion, "onednn": oneDNN ?? "none", "instructions": instructions,
      "processor": SystemFile.field("model name", in: "/proc/cpuinfo") ?? "unknown",
    ]
  }

  /// Processor, memory and libraries, in lines of a name and a value.
  public static var facts: [(name: String, value: String)] {
    let memory = SystemFile.field("MemTotal", in: "/proc/meminfo"),
      free = SystemFile.field("MemAvailable", in: "/proc/meminfo")
    return [
      ("processor", SystemFile.field("model name", in: "/proc/cpuinfo") ?? "unknown"),
      (
        "instructions", instructions + (special.isEmpty ? "" : "; the processor has \(special.joined(separator: ", "))")
      ),
      ("threads", "\(ck_max_threads()) of \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) processors"),
      ("memory", memory.map { "\(gibibytes($0)) GiB, \(free.map(gibibytes) ?? "?") GiB available" } ?? "unknown"),
      ("waiting threads", waiting),
      ("huge pages", hugePages),
      ("oneDNN", oneDNN ?? "none"),
      ("choices", ConvolutionChoices.file ?? "not kept (MARTLET_CACHE=off)"),
    ]
  }

  /// What is missing for full speed, with remedies.
  public static var missing: [String] {
    var lines: [String] = []
    if oneDNN == nil { lines.append("oneDNN: matrix products and convolutions are slow without it; run scripts/setup") }
    #if os(Linux)
      if hugePages.hasPrefix("never") {
        lines.append(
          "huge pages are switched off: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (as root)")
      }
    #endif
    return lines
  }

  /// How the threads of a parallel region wait for the next, as OpenMP was told.
  private static var waiting: String {
    #if os(Linux)
      let policy = Environment["OMP_WAIT_POLICY"]?.lowercased()
      return policy == "passive"
        ? "sleep (OMP_WAIT_POLICY=passive)"
        : "spin: beside other programs OMP_WAIT_POLICY=passive, or fewer threads by OMP_NUM_THREADS"
    #else
      return "sleep"
    #endif
  }

  private static var oneDNN: String? {
    guard dn_available() else { return nil }
    let version = dn_version()
    return "\(version.major).\(version.minor).\(version.patch)"
  }

  private static var instructions: String {
    switch Int(ck_cpu_level()) {
    case Int(CK_AVX512): "AVX-512"
    case Int(CK_AVX2): "AVX2"
    default: "baseline"
    }
  }

  /// What oneDNN uses beyond vectors of floats.
  private static var special: [String] {
    let flags = Set((SystemFile.field("flags", in: "/proc/cpuinfo") ?? "").split(separator: " "))
    return [("avx512_bf16", "bfloat16 products"), ("amx_bf16", "AMX"), ("avx512_vnni", "int8 products")]
      .filter { flags.contains(Substring($0.0)) }.map(\.1)
  }

  private static var hugePages: String {
    let text = SystemFile.lines(of: "/sys/kernel/mm/transparent_hugepage/enabled").first ?? ""
    guard let start = text.firstIndex(of: "["), let end = text.firstIndex(of: "]") else { return "unknown" }
    return String(text[text.index(after: start)..<end])
  }

  private static func gibibytes(_ field: String) -> String {
    let kibibytes = Int(field.split(separator: " ").first ?? "") ?? 0
    return "\((Double(kibibytes) / 104857.6).rounded() / 10)"
  }
}
