// Replays the bundle's step cases: what every step around the networks makes of small photos, formulas in the place of
// the networks. It needs no device and no runtime: `swift run StepCases`. Arguments: the folder of manifest.json and that
// of golden/, where they are not in their places.

import Foundation
import PortraitKit

let places = CommandLine.arguments.dropFirst().map { URL(fileURLWithPath: $0, isDirectory: true) }
let kit = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
let models = places.first ?? kit.appendingPathComponent("Sources/PortraitKit/Bundle")
let golden = places.last ?? kit.appendingPathComponent("Golden")

do {
    let failures = try replayed(models: models, golden: golden)
    failures.forEach { print($0) }
    exit(failures.isEmpty ? 0 : 1)
} catch {
    print("\(error)")
    exit(2)
}
