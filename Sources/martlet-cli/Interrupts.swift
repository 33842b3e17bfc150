@preconcurrency import Dispatch
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Ctrl-C and SIGTERM ask the run to stop after the batch; a second Ctrl-C ends it at once.
final class Interrupts: @unchecked Sendable {  // the sources do not change
  private let asked = Atomic<Int32>(0)
  private let sources: [any DispatchSourceSignal]

  init() {
    sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      return DispatchSource.makeSignalSource(signal: number, queue: .global())
    }
    for (source, number) in zip(sources, [SIGINT, SIGTERM]) {
      source.setEventHandler { [weak self] in
        guard let self else { return }
        if self.asked.exchange(number, ordering: .relaxed) != 0 {
          signal(number, SIG_DFL)
          raise(number)
        }
      }
      source.resume()
    }
  }

  /// The signal that asked the run to stop; nil while none did.
  var signalNumber: Int32? {
    let number = asked.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }
}
