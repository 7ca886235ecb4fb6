// What the preview graph is given of a step case's photo and map, and what becomes of its result: as `dofkit kit` recorded
// it, where the bundle carries a preview.

import Foundation

private let every = 7  // rows and columns are stored

struct PreviewReplay {
    let manifest: Manifest
    let entry: StepCase
    let inputs: [String: StoredTensor]

    func check(_ file: URL) throws {
        if manifest.preview == nil { return }
        let (stored, echo) = (try readTensors(file), Echo())
        let portrait = Portrait(manifest, Echoing(echo: echo))
        let scene = portrait.scene(inputs["photo"]!.photo)
        let (known, isPredicted) = (inputs["map"]!.map, entry.focusRange > 0)
        let map = isPredicted ? known : portrait.refined(scene, known)
        let lens = Lens(focus: entry.focus, aperture: entry.aperture)
        let result = try portrait.preview(scene, map, lens, predicted: isPredicted)
        for name in ["image", "disparity"] { try isClose(name, stored[name]!, echo.picture(name)) }
        try isClose("portrait", stored["portrait"]!, result)
        let aperture = echo.given["aperture"]!.values[0]
        guard abs(aperture - stored["aperture"]!.values[0]) < 1e-6, echo.given["focus"]!.values[0] == Float(lens.focus) else {
            throw Difference(description: "preview: aperture \(aperture) or the focus")
        }
    }

    private func isClose(_ name: String, _ stored: StoredTensor, _ made: Pixels) throws {
        let (rows, columns, channels) = (stored.shape[0], stored.shape[1], made.channels)
        guard rows == (made.height + every - 1) / every, columns == (made.width + every - 1) / every else {
            throw Difference(description: "preview: size of \(name)")
        }
        var row = [Float](repeating: 0, count: made.width * channels)
        for i in 0..<rows {
            made.row(i * every, into: &row)
            for k in 0..<columns * channels {
                let value = row[k / channels * every * channels + k % channels] * stored.white
                let away = abs(value - stored.values[i * columns * channels + k])
                guard away <= stored.allowed else { throw Difference(description: "preview: \(name) is \(away) off") }
            }
        }
    }
}

private struct Echoing: Stages {
    let echo: Echo
    var lensBlur: Stage { echo }
    var guidedUpsampling: Stage { echo }

    func depth(_ size: Size) throws -> Stage { throw Difference(description: "no depth is computed") }

    func preview() throws -> Stage? { echo }
}

/// A preview graph that gives its image back, and keeps what it was given.
private final class Echo: Stage {
    let layout = Layout.nchw
    private(set) var given: [String: Tensor] = [:]

    func run(_ inputs: [String: Tensor]) -> [Float] {
        given = inputs
        return inputs["image"]!.values
    }

    /// What it was given, as a picture.
    func picture(_ name: String) -> Picture {
        let (shape, values) = (given[name]!.shape, given[name]!.values)
        let pixels = shape[2] * shape[3]
        let interleaved = values.indices.map { (k: Int) -> Float in values[k % shape[1] * pixels + k / shape[1]] }
        return Picture(height: shape[2], width: shape[3], channels: shape[1], values: interleaved)
    }
}
