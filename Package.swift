// swift-tools-version: 6.3
import PackageDescription

// Warnings are errors here; SwiftPM silences them where Martlet is a dependency.
let swift: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let c: [CSetting] = [.treatAllWarnings(as: .error), .define("NDEBUG")]

let package = Package(
  name: "martlet",
  platforms: [.macOS(.v26)],
  products: [
    .library(name: "Martlet", targets: ["Martlet"]),
    .executable(name: "martlet", targets: ["martlet-cli"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .target(name: "CKernels", cSettings: c, linkerSettings: [.linkedLibrary("gomp", .when(platforms: [.linux]))]),
    .target(name: "COneDNN", cSettings: c, linkerSettings: [.linkedLibrary("dnnl", .when(platforms: [.linux]))]),
    .target(name: "CLAPACK", cSettings: c, linkerSettings: [.linkedLibrary("openblas", .when(platforms: [.linux]))]),
    .target(name: "CPNG", cSettings: c, linkerSettings: [.linkedLibrary("png16")]),
    .target(name: "CZlib", cSettings: c, linkerSettings: [.linkedLibrary("z")]),
    .target(name: "MartletCore", dependencies: ["CKernels"], swiftSettings: swift),
    .target(name: "MartletOps", dependencies: ["MartletCore", "CKernels"], swiftSettings: swift),
    .target(
      name: "MartletCPU", dependencies: ["MartletCore", "MartletOps", "CKernels", "CLAPACK", "COneDNN"],
      swiftSettings: swift),
    .target(
      name: "MartletReference", dependencies: ["MartletCore", "MartletOps", "CKernels"], swiftSettings: swift),
    .testTarget(
      name: "MartletLawsTests",
      dependencies: [
        "Martlet", "MartletCore", "MartletFormats", "MartletOps", "MartletCPU", "MartletReference", "CKernels",
      ],
      swiftSettings: swift),
    .target(name: "MartletFormats", dependencies: ["CZlib", "MartletCore"], swiftSettings: swift),
    .target(
      name: "MartletData", dependencies: ["CPNG", "MartletCore", "MartletFormats"], swiftSettings: swift),
    .testTarget(name: "MartletFormatsTests", dependencies: ["MartletFormats"], swiftSettings: swift),
    .testTarget(
      name: "MartletDataTests", dependencies: ["Martlet", "MartletData", "MartletFormats"], swiftSettings: swift),
    .target(name: "MartletNN", dependencies: ["MartletCore", "MartletOps"], swiftSettings: swift),
    .target(
      name: "MartletTrain",
      dependencies: ["MartletCore", "MartletOps", "MartletNN", "MartletData"], swiftSettings: swift),
    .target(
      name: "Martlet",
      dependencies: [
        "MartletCore", "MartletOps", "MartletCPU", "MartletNN", "MartletFormats", "MartletData", "MartletTrain",
        "CKernels", "COneDNN",
      ],
      swiftSettings: swift),
    .target(name: "CAllocations", path: "Tests/CAllocations", cSettings: c),
    .testTarget(name: "MartletOverheadTests", dependencies: ["Martlet", "CAllocations"], swiftSettings: swift),
    .testTarget(
      name: "MartletTests", dependencies: ["Martlet", "MartletCore", "MartletFormats", "MartletOps", "MartletNN"],
      swiftSettings: swift),
    .testTarget(
      name: "MartletGoldenTests", dependencies: ["Martlet", "MartletFormats"], exclude: ["Fixtures"],
      swiftSettings: swift),
    .executableTarget(
      name: "martlet-docs",
      dependencies: [
        "Martlet", "MartletReference", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swift),
    // With the isolation that the README names for a user's package.
    .executableTarget(
      name: "Readme", dependencies: ["Martlet"], path: "Examples/Readme",
      swiftSettings: swift + [.defaultIsolation(MainActor.self)]),
    .executableTarget(
      name: "ThreeMoments",
      dependencies: ["Martlet", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      path: "Examples/ThreeMoments", exclude: ["check.arguments"], swiftSettings: swift),
    .executableTarget(
      name: "Lectures",
      dependencies: ["Martlet", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      path: "Examples/Lectures", swiftSettings: swift),
    .testTarget(name: "MartletTrainTests", dependencies: ["Martlet", "MartletFormats"], swiftSettings: swift),
    .executableTarget(
      name: "martlet-cli",
      dependencies: [
        "Martlet", "MartletCore", "MartletFormats", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swift),
    .executableTarget(
      name: "martlet-bench",
      dependencies: ["Martlet", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      swiftSettings: swift),
  ]
)
