// Compares every step with the bundle's step cases; see `Sources/StepCases`.

import Foundation

struct Difference: Error, CustomStringConvertible {
    let description: String
}

/// A line for each case that differs, with the first step that does.
public func replayed(models: URL, golden: URL) throws -> [String] {
    let manifest = try Manifest.read(models)
    guard !manifest.steps.isEmpty else { throw Difference(description: "the bundle has no step cases") }
    return manifest.steps.compactMap { entry in
        do {
            let tensors = try readTensors(golden.appendingPathComponent(entry.path))
            try StepReplay(manifest: manifest, entry: entry, stored: Stored(entry: entry, tensors: tensors)).check()
            let recorded = golden.appendingPathComponent("golden/previews/\(entry.name).safetensors")
            try PreviewReplay(manifest: manifest, entry: entry, inputs: tensors).check(recorded)
            print("\(entry.name): ok")
            return nil
        } catch {
            print("\(entry.name): FAILED")
            return "\(entry.name): \(error)"
        }
    }
}

private struct StepReplay {
    let manifest: Manifest
    let entry: StepCase
    let stored: Stored
    private var plan: Plan { manifest.plan }
    private var rules: Rules { manifest.rules }

    func check() throws {
        let (photo, known) = (stored.tensors["photo"]!.photo, stored.tensors["map"]!.map)
        let map = entry.focusRange > 0 ? known : refined(known, photo, rules)
        if map !== known { try stored.isClose("refined", map) }
        let size = depthSize(for: photo, plan)
        try same(entry.depthSize, [size.height, size.width], "step 4: size of the input")
        try stored.isClose("depth_input", depthInput(photo, size))
        let point = entry.tap.map { Point(x: $0[0], y: $0[1]) }
        let focus = point.map { PortraitKit.focus(map, at: $0, rules, range: entry.focusRange) } ?? autoFocus(map, rules)
        guard abs(focus - entry.focus) <= 1e-5 else {
            throw Difference(description: "step 6: focus \(focus) for \(entry.focus)")
        }
        let near = held(map, focus: focus, range: entry.focusRange)
        if entry.focusRange > 0 { try stored.isClose("held", near) }
        try checkLevels(photo, near, Lens(focus: focus, aperture: entry.aperture))
        try same(Set(stored.tensors.keys), stored.compared, "compared tensors")
    }

    private func checkLevels(_ photo: Photo, _ near: Picture, _ lens: Lens) throws {
        let portrait = Portrait(manifest, StandIns())
        let scene = portrait.scene(photo)
        let levels = scene.levels.started(for: near, lens, rules)
        try same(entry.levels, levels.count, "step 8: levels")
        try same(entry.weak, levels.count < scene.levels.count, "step 8: a weak blur")
        let images = scene.images(of: levels)
        for (level, image) in images.dropLast().enumerated() { try stored.isClose("level_\(level)", image) }
        let blur = try radii("blur", near, levels, 0, lens, filled: true)
        let upsampling = try (0..<levels.count).map { try radii("\($0)", near, levels, $0, lens, filled: false) }
        try stored.areCopied("copied_blur", blur, plan.lensBlur, plan)
        for (level, radii) in upsampling.enumerated() {
            try stored.areCopied("copied_\(level + 1)", radii, plan.guidedUpsampling, plan)
        }
        var results: [Pixels] = []
        var rendering = Rendering()
        rendering.predicted = false  // the range was applied already
        rendering.finished = { results.append($0) }
        _ = try portrait.render(scene, near, lens, rendering)
        for (level, result) in results.dropLast().enumerated() { try stored.isClose("blurred_\(level)", result) }
        try stored.isClose("rendered", results.last!)
        try checkLastTiles(images, results, blur, upsampling.first)
    }

    private func radii(
        _ name: String, _ near: Picture, _ levels: Levels, _ level: Int, _ lens: Lens, filled: Bool
    ) throws -> Picture {
        let values = disparity(near, at: level, of: levels, rules, filled: filled)
        try stored.isClose("disparity_\(name)", values)
        let radii = defocused(values, lens, longSide: levels.longSide(level), rules)
        try stored.isClose("defocus_\(name)", radii)
        return radii
    }

    /// The inputs of the last tile of the blur and of the first upsampling.
    private func checkLastTiles(_ images: [Pixels], _ results: [Pixels], _ blur: Picture, _ upsampling: Picture?) throws {
        func network(_ radii: Picture) -> Picture {
            Picture(height: radii.height, width: radii.width, channels: 1, values: forNetwork(radii.values, rules))
        }
        let square = plan.lensBlur.around(plan.lensBlur.over(blur).last!)
        try stored.isTile("tile_blur.image", images[0], square)
        try stored.isTile("tile_blur.defocus", network(blur), square)
        guard let upsampling else { return }
        let low = plan.guidedUpsampling.around(plan.guidedUpsampling.over(upsampling).last!)
        try stored.isTile("tile_upsampling.image_high", images[1], low.doubled)
        try stored.isTile("tile_upsampling.image_low", images[0], low)
        try stored.isTile("tile_upsampling.blurred_low", results[0], low)
        try stored.isTile("tile_upsampling.defocus_low", network(upsampling), low)
    }
}

/// The stored tensors of a case, of which every k-th row and column is there.
private final class Stored {
    let entry: StepCase
    let tensors: [String: StoredTensor]
    private(set) var compared: Set<String> = ["photo", "map"]

    init(entry: StepCase, tensors: [String: StoredTensor]) {
        (self.entry, self.tensors) = (entry, tensors)
    }

    func isClose(_ name: String, _ made: Pixels) throws {
        compared.insert(name)
        guard let stored = tensors[name], let kept = entry.tensors[name] else {
            throw Difference(description: "\(name) is not stored")
        }
        let (every, channels) = (kept.every, made.channels)
        let (rows, columns) = ((made.height + every - 1) / every, (made.width + every - 1) / every)
        try same(Array(stored.shape.prefix(2)), [rows, columns], "step \(kept.step), \(name): size")
        var row = [Float](repeating: 0, count: made.width * channels)
        var far: Float = 0
        for k in stored.values.indices {
            let (pixel, channel) = (k / channels, k % channels)
            if k % (columns * channels) == 0 { made.row(pixel / columns * every, into: &row) }
            let value = row[pixel % columns * every * channels + channel]
            let encoded = stored.isFloat ? value : clamp(value * stored.white, 0, stored.white)
            far = max(far, abs(encoded - stored.values[k]))
        }
        guard far <= stored.allowed else {
            throw Difference(description: "step \(kept.step), \(name): \(far) off")
        }
    }

    func isTile(_ name: String, _ picture: Pixels, _ square: Square) throws {
        let values = picture.cut(square, .nhwc)
        let side = square.side
        try isClose(name, Picture(height: side, width: side, channels: picture.channels, values: values))
    }

    func areCopied(_ name: String, _ radii: Picture, _ tiles: Tiles, _ plan: Plan) throws {
        compared.insert(name)
        let copied = tiles.over(radii).map { core -> Float in
            isSharp(radii.cut(tiles.around(core), .nhwc), plan) ? 1 : 0
        }
        try same(tensors[name]?.values ?? [], copied, "step 11, \(name)")
    }
}

private func same<Value: Equatable>(_ expected: Value, _ found: Value, _ what: String) throws {
    guard expected == found else { throw Difference(description: "\(what) is \(found), not \(expected)") }
}

/// What stands for the networks; see the bundle's README.
private struct StandIns: Stages {
    let lensBlur: Stage = StandInBlur()
    let guidedUpsampling: Stage = StandInUpsampling()

    func depth(_ size: Size) throws -> Stage { throw Difference(description: "step cases bring their maps") }
}

private struct StandInBlur: Stage {
    let layout = Layout.nhwc

    func run(_ inputs: [String: Tensor]) -> [Float] {
        let (image, defocus) = (inputs["image"]!.values, inputs["defocus"]!.values)
        let side = inputs["image"]!.shape[1]
        func at(_ i: Int, _ j: Int, _ channel: Int) -> Float {
            image[(clamp(i, 0, side - 1) * side + clamp(j, 0, side - 1)) * 3 + channel]
        }
        return image.indices.map { (k: Int) -> Float in
            let (i, j, channel) = (k / 3 / side, k / 3 % side, k % 3)
            let mean: Float = (at(i, j, channel) + at(i, j + 3, channel) + at(i - 2, j, channel)) / 3
            let factor: Float = 1.2 - defocus[k / 3] / 2
            return mean * factor - 0.05
        }
    }
}

private struct StandInUpsampling: Stage {
    let layout = Layout.nhwc

    func run(_ inputs: [String: Tensor]) -> [Float] {
        let (high, low) = (inputs["image_high"]!.values, inputs["image_low"]!.values)
        let (blurred, defocus) = (inputs["blurred_low"]!.values, inputs["defocus_low"]!.values)
        let side = inputs["image_low"]!.shape[1]
        return high.indices.map { (k: Int) -> Float in
            let pixel: Int = k / 3
            let (i, j, channel) = (pixel / (2 * side) / 2, pixel % (2 * side) / 2, k % 3)
            func at(_ column: Int) -> Int { (i * side + max(column, 0)) * 3 + channel }
            let mean: Float = (blurred[at(j)] + blurred[at(j - 1)]) / 2
            let factor: Float = 1.1 - abs(defocus[i * side + j])
            return mean + (high[k] - low[at(j)]) * factor
        }
    }
}

/// A tensor of a safetensors file: its numbers as they are stored.
struct StoredTensor {
    let shape: [Int]
    let values: [Float]
    let isFloat: Bool
    /// The number that means 1.
    let white: Float
    /// How far a result may be from it.
    let allowed: Float

    var photo: Photo {
        let photo = Photo(height: shape[0], width: shape[1])
        for k in values.indices { photo.rgba[k / 3 * 4 + k % 3] = UInt8(values[k]) }
        return photo
    }

    var map: Picture {
        Picture(height: shape[0], width: shape[1], channels: 1, values: values.map { $0 / white })
    }
}

func readTensors(_ file: URL) throws -> [String: StoredTensor] {
    struct Entry: Decodable {
        let dtype: String
        let shape: [Int]
        let data_offsets: [Int]
    }
    let data = [UInt8](try Data(contentsOf: file))
    let length = data[0..<8].reversed().reduce(0) { (sum: Int, byte: UInt8) -> Int in sum << 8 | Int(byte) }
    let header = try JSONDecoder().decode([String: Entry].self, from: Data(data[8..<8 + length]))
    func whole(_ at: Int, _ bytes: Int) -> UInt32 {
        (0..<bytes).reversed().reduce(0) { (sum: UInt32, k: Int) -> UInt32 in sum << 8 | UInt32(data[at + k]) }
    }
    return header.mapValues { entry in
        let (first, count) = (8 + length + entry.data_offsets[0], entry.shape.reduce(1, *))
        let bytes = ["U8": 1, "U16": 2][entry.dtype] ?? 4
        let values = (0..<count).map { k -> Float in
            let number = whole(first + bytes * k, bytes)
            return bytes == 4 ? Float(bitPattern: number) : Float(number)
        }
        return StoredTensor(
            shape: entry.shape, values: values, isFloat: bytes == 4,
            white: [1: 255, 2: 65535][bytes] ?? 1, allowed: [1: 1, 2: 4][bytes] ?? 1e-3)
    }
}
