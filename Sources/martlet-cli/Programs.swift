import ArgumentParser
import Martlet
import MartletFormats

struct Save: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Saves a trained network as a program: bytes of images in, probabilities out.",
    discussion: "`martlet program FILE` shows it and runs it; a program of your own reads it by SavedProgram.")

  @Argument(help: ArgumentHelp("The folder of a run.", valueName: "run"))
  var folder: String
  @Argument(help: "The file to write.")
  var file: String

  func run() throws {
    try reportingErrors {
      let saved = try SavedRun(folder)
      let model = try saved.model()
      model.eval()
      let scaling = saved.description.scaling
      let classify = compile { (input: [String: Tensor]) in
        let pixels = input["images"]!.cast(to: .float32) / 255
        let images = ((pixels - scaling.mean) / scaling.deviation).reshaped(-1, 1, 28, 28)
        return ["probabilities": withoutGradient { softmax(model(images), axis: 1) }]
      }
      try classify.save(to: file, for: ["images": .zeros([1, 28, 28], dtype: .uint8)], openBatch: true)
      printNow("\(file): \(try SavedProgram(contentsOf: file))")
    }
  }
}

struct ShowProgram: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "program", abstract: "Checks a saved program and shows it; with images, runs it on them.",
    discussion: "Images are for programs that take bytes [B, 28, 28] or [B, 784].")

  @Argument(help: "The file of a program.")
  var file: String
  @Argument(help: "PNG files, each with one digit.")
  var images: [String] = []
  @Flag(help: "Prints one JSON object for the program or each image.")
  var json = false

  func run() throws {
    try reportingErrors {
      let program = try SavedProgram(contentsOf: file)
      guard images.isEmpty else { return try classify(program) }
      let operations = try program.program().instructions.map { type(of: $0.op).name }
      let report = Report(json: json, quiet: false)
      report.event(
        "program",
        [
          ("inputs", .list(program.inputs.map { .text("\($0)") })),
          ("outputs", .list(program.outputs.map { .text("\($0)") })),
          ("operations", .list(operations.map { .text($0) })), ("bytes", .integer(program.weightBytes)),
          ("version", .text(program.version)),
        ])
      let kinds = Dictionary(operations.map { ($0, 1) }, uniquingKeysWith: +)
      let list = kinds.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }
      report.conclude("\(program)\n  " + list.joined(separator: ", "))
    }
  }

  private func classify(_ program: SavedProgram) throws {
    let report = Report(json: json, quiet: false)
    for path in images {
      let digit = try GrayImage(png: path).asDigit
      let shape: Shape = program.inputs.first?.shape(batch: 1)?.rank == 2 ? [1, 784] : [1, 28, 28]
      let results = try program(Tensor(digit.pixels, shape: shape))
      guard let probabilities = results.first?.array(as: Double.self), !probabilities.isEmpty else {
        throw FileError(file, "gives no probabilities")
      }
      let best = probabilities.indices.max { probabilities[$0] < probabilities[$1] }!
      report.event(
        "prediction",
        [
          ("image", .text(path)), ("digit", .integer(best)),
          ("probabilities", .list(probabilities.map { .number($0) })),
        ])
      report.conclude("\(path): \(best)  (\((probabilities[best] * 100).text(1)) %)")
    }
  }
}
