import Dispatch
import MartletCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Batches that are made ahead on another thread while the last one is used.
///
///     let stream = BatchStream(order.batches(epoch: 0)) { try data.batch($0) }
///     while let batch = try stream.next() { train(batch) }
///
/// A stream belongs to one task. Letting go of it ends the work ahead.
public final class BatchStream<Batch: Sendable> {
  private let shared: Shared
  private let count: Int
  private var taken = 0

  /// - Parameters:
  ///   - parts: what each batch is made of, such as the numbers of its examples.
  ///   - ahead: how many finished batches may wait, 1 or more.
  ///   - make: makes a batch; called on one other thread, in order. What it throws comes out of `next()`.
  public init<Part: Sendable>(
    _ parts: [Part], ahead: Int = 2, make: @escaping @Sendable (Part) throws -> Batch
  ) {
    precondition(ahead >= 1, "BatchStream: ahead is \(ahead), but must be 1 or more")
    let shared = Shared(ahead: ahead)
    self.shared = shared
    count = parts.count
    let device = Device.current
    let started = startThread {
      for part in parts {
        shared.room.wait()
        if shared.isOver { return }
        // The cores belong to the training; this thread has but itself. A wrong use of an operation is thrown too.
        let result = withThreads(1) {
          withDevice(device) { Result { try withErrors { try make(part) } } }
        }
        shared.add(result)
        if case .failure = result { return }
      }
    }
    if !started { shared.add(.failure(OpError(.device("no thread could be started for the batches")))) }
  }

  deinit { shared.end() }

  /// The next batch; nil after the last. After an error there are no more.
  public func next() throws -> Batch? {
    guard taken < count else { return nil }
    taken += 1
    do { return try shared.take().get() } catch {
      taken = count
      throw error
    }
  }

  /// What the two threads share.
  private final class Shared: @unchecked Sendable {
    let room: DispatchSemaphore
    private let ready = DispatchSemaphore(value: 0)
    private let lock = Lock()
    private var waiting: [Result<Batch, any Error>] = []
    private var ended = false

    init(ahead: Int) {
      // Counted up from 0: a semaphore must not be freed below the value that it began with.
      room = DispatchSemaphore(value: 0)
      for _ in 0..<ahead { room.signal() }
    }

    var isOver: Bool { lock.holding { ended } }
    func add(_ result: Result<Batch, any Error>) {
      lock.holding { waiting.append(result) }
      ready.signal()
    }
    func take() -> Result<Batch, any Error> {
      ready.wait()
      let result = lock.holding { waiting.removeFirst() }
      room.signal()
      return result
    }
    func end() {
      lock.holding { ended = true }
      room.signal()
    }
  }
}

/// Runs a function on a thread of its own: one that waits must not take a place in a pool that others need.
private func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  let box = Unmanaged.passRetained(Box(body)).toOpaque()
  #if canImport(Darwin)
    var thread: pthread_t?
    let status = pthread_create(
      &thread, nil,
      { box in
        Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body()
        return nil
      }, box)
    if status == 0, let thread { pthread_detach(thread) }
  #else
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { box in
        Unmanaged<Box>.fromOpaque(box!).takeRetainedValue().body()
        return nil
      }, box)
    if status == 0 { pthread_detach(thread) }
  #endif
  if status != 0 { Unmanaged<Box>.fromOpaque(box).release() }
  return status == 0
}
