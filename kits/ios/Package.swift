// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "PortraitKit",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "PortraitKit", targets: ["PortraitKit"])],
    targets: [
        .target(name: "PortraitKit", resources: [.copy("Bundle")]),
        .executableTarget(name: "StepCases", dependencies: ["PortraitKit"]),
    ]
)
