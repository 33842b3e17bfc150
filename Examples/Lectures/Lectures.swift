import ArgumentParser
import Martlet

/// A small program after a lecture on deep learning frameworks, which checks what it computes.
protocol Lesson: SendableMetatype {
  /// What the command line calls it.
  static var name: String { get }
  /// Runs the program; one line of result. Throws when a check fails.
  static func run() throws -> String
}

let lessons: [any Lesson.Type] = [
  HandMadeLinear.self, LogisticRegression.self, TwoLayers.self, UNetLesson.self, GradientsBeforeTheSum.self,
  PlainSwift.self, ModularNetworkLesson.self, CharacterRNN.self, EinsteinNotation.self, StepByStep.self,
  ImagesAndCharacters.self, Words.self, Spectrogram.self, DrawnGraph.self, ConvolutionAsProduct.self,
  StableSoftmax.self, LSTMByHand.self, SplitBatch.self, FunctionsOfFunctions.self,
  DefineThenRun.self, ControlFlow.self,
]

@main
struct Lectures: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs small programs after lectures on deep learning frameworks; each checks itself.",
    discussion: "Programs: " + lessons.map { $0.name }.joined(separator: ", "))

  @Argument(help: "The programs to run; all when none is named.")
  var names: [String] = []

  @Option(help: "Seeds the random numbers.")
  var seed = 1

  func validate() throws {
    for name in names where !lessons.contains(where: { $0.name == name }) {
      throw ValidationError("there is no program \(name)")
    }
  }

  func run() throws {
    var failed = false
    for lesson in lessons where names.isEmpty || names.contains(lesson.name) {
      Random.seed(seed)  // each is the same alone as among others
      do {
        print("\(lesson.name): \(try lesson.run())")
      } catch {
        print("\(lesson.name) FAILED: \(error)")
        failed = true
      }
    }
    if failed { throw ExitCode.failure }
  }
}
