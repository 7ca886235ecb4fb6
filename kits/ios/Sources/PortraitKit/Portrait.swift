// The pipeline: depth → lens blur in tiles → guided upsampling in tiles, level by level, over any stages.

/// Numbers of a tensor, in its stage's layout.
public struct Tensor: Sendable {
    public let shape: [Int]
    public let values: [Float]
}

/// A network that is ready to compute, whatever runs it.
public protocol Stage {
    /// Of its inputs and its output.
    var layout: Layout { get }

    func run(_ inputs: [String: Tensor]) throws -> [Float]
}

/// The stages of a bundle; the depth network may be there at several input sizes.
public protocol Stages {
    var lensBlur: Stage { get }
    var guidedUpsampling: Stage { get }

    func depth(_ size: Size) throws -> Stage

    /// The whole pipeline as one graph, where the bundle carries it.
    func preview() throws -> Stage?
}

extension Stages {
    public func preview() throws -> Stage? { nil }
}

/// Thrown where nobody waits for a rendering any more.
public struct RenderingCancelled: Error {}

/// A photo with its levels, which every rendering of it needs.
public struct Scene {
    public let photo: Pixels
    let levels: Levels
    let preview = PreviewImage()
    private let images: [Pixels]

    init(_ photo: Pixels, _ rules: Rules) {
        self.photo = photo
        levels = Levels.of(height: photo.height, width: photo.width, rules)
        images = imageLevels(photo, levels)
    }

    /// The images of fewer levels: those above, without the padding that only the levels below wanted.
    func images(of fewer: Levels) -> [Pixels] {
        images.dropFirst(levels.count - fewer.count).enumerated().map { level, image in
            let size = fewer.size(level)
            let (height, width) = (min(size.height, image.height), min(size.width, image.width))
            let whole = height == image.height && width == image.width
            return whole ? image : Cropped(whole: image, height: height, width: width)
        }
    }
}

/// How far a rendering goes, and who hears of it.
public struct Rendering {
    /// Whether the map is the depth network's: then a range around the focus is held sharp.
    public var predicted = true
    /// Stop at the first level that is as large: a preview.
    public var longSide = Double.infinity
    /// Called with the tiles done and those in all.
    public var progress: (Int, Int) -> Void = { _, _ in }
    public var isCancelled: () -> Bool = { false }
    /// Called with the result of every level, from 0 on.
    public var finished: (Pixels) -> Void = { _ in }

    public init() {}
}

/// Renders photos with a set of stages and the manifest that belongs to them. Not safe to use from several threads.
public struct Portrait {
    let manifest: Manifest
    let stages: Stages
    private var plan: Plan { manifest.plan }
    private var rules: Rules { manifest.rules }

    public init(_ manifest: Manifest, _ stages: Stages) {
        (self.manifest, self.stages) = (manifest, stages)
    }

    public func scene(_ photo: Pixels) -> Scene { Scene(photo, rules) }

    /// Disparity of a scene by the depth network, over the whole photo: a map of the network's own resolution.
    public func disparity(_ scene: Scene) throws -> Picture {
        let size = depthSize(for: scene.photo, plan)
        let stage = try stages.depth(size)
        let image = tensor(depthInput(scene.photo, size), stage)
        return Picture(height: size.height, width: size.width, channels: 1, values: try stage.run(["image": image]))
    }

    /// A measured map as this scene is to be rendered with it: refined along the photo's edges where it is coarse.
    public func refined(_ scene: Scene, _ map: Picture) -> Picture { PortraitKit.refined(map, scene.photo, rules) }

    /// The aperture where nobody has chosen one.
    public var usualAperture: Double { rules.usualAperture }

    /// Disparity in focus at a point, or of the subject where there is none.
    public func focus(_ map: Picture, at point: Point?, predicted: Bool = true) -> Double {
        guard let point else { return autoFocus(map, rules) }
        return PortraitKit.focus(map, at: point, rules, range: range(predicted))
    }

    /// A photo with a shallow depth of field; `map` is its disparity, of any resolution over the whole photo: the network's,
    /// or a measured one, `refined`.
    public func render(_ scene: Scene, _ map: Picture, _ lens: Lens, _ rendering: Rendering = Rendering()) throws -> Photo {
        let near = checked(map, lens, rendering.predicted)
        // A preview always starts at the lowest level: the weak blur's start a level higher is four times the work.
        let levels = rendering.longSide < .infinity ? scene.levels : scene.levels.started(for: near, lens, rules)
        let images = scene.images(of: levels)
        let last = (0..<levels.count).first { levels.longSide($0) >= rendering.longSide } ?? levels.count
        let jobs = Jobs(total: tilesInAll(levels, last), rendering: rendering)
        func radii(_ level: Int, filled: Bool) -> Picture {
            let values = PortraitKit.disparity(near, at: level, of: levels, rules, filled: filled)
            return defocused(values, lens, longSide: levels.longSide(level), rules)
        }

        var result: Canvas = canvas(levels, 0, last)
        try blur(images[0], radii(0, filled: true), result, jobs)
        rendering.finished(result)
        for level in 0..<last {
            let below = result
            result = canvas(levels, level + 1, last)
            try upsample(images[level + 1], images[level], below, radii(level, filled: false), result, jobs)
            rendering.finished(result)
        }
        return result as! Photo
    }

    /// Whether the bundle carries a preview graph.
    public var hasPreview: Bool { manifest.preview != nil }

    /// The same by the preview graph, in one call that nothing ends: no larger than the graph's picture.
    public func preview(_ scene: Scene, _ map: Picture, _ lens: Lens, predicted: Bool = true) throws -> Photo {
        guard let stage = try stages.preview(), let sizes = manifest.preview else {
            throw MissingModel(description: "the bundle has no preview graph")
        }
        let frame = Frame(scene.photo, sizes)
        func number(_ value: Double) -> Tensor { Tensor(shape: [1, 1, 1, 1], values: [Float(value)]) }
        let image = scene.preview.tensor ?? tensor(frame.image(), stage)
        scene.preview.tensor = image
        let values = try stage.run([
            "image": image, "disparity": tensor(frame.disparity(checked(map, lens, predicted)), stage),
            "focus": number(lens.focus), "aperture": number(frame.aperture(lens.aperture)),
        ])
        return frame.result(values, stage.layout)
    }

    private func checked(_ map: Picture, _ lens: Lens, _ predicted: Bool) -> Picture {
        precondition(map.values.allSatisfy(\.isFinite), "the disparity holds NaN or infinite values")
        return held(map, focus: lens.focus, range: range(predicted))
    }

    private func range(_ predicted: Bool) -> Double { predicted ? plan.focusRange : 0 }

    private func blur(_ image: Pixels, _ radii: Picture, _ result: Canvas, _ jobs: Jobs) throws {
        let (stage, tiles) = (stages.lensBlur, plan.lensBlur)
        for core in tiles.over(radii) {
            let square = tiles.around(core)
            let defocus = radii.cut(square, stage.layout)
            var output = image.cut(square, stage.layout)
            if !isSharp(defocus, plan) {
                output = try stage.run([
                    "image": tensor(output, 3, stage, square), "defocus": network(defocus, stage, square),
                ])
            }
            result.place(output, stage.layout, core, halo: tiles.halo, side: tiles.tile)
            try jobs.done()
        }
    }

    private func upsample(
        _ high: Pixels, _ low: Pixels, _ blurred: Pixels, _ radii: Picture, _ result: Canvas, _ jobs: Jobs
    ) throws {
        let (stage, tiles) = (stages.guidedUpsampling, plan.guidedUpsampling)
        for core in tiles.over(radii) {
            let square = tiles.around(core)
            let defocus = radii.cut(square, stage.layout)
            var output = high.cut(square.doubled, stage.layout)
            if !isSharp(defocus, plan) {
                output = try stage.run([
                    "image_high": tensor(output, 3, stage, square.doubled),
                    "image_low": tensor(low.cut(square, stage.layout), 3, stage, square),
                    "blurred_low": tensor(blurred.cut(square, stage.layout), 3, stage, square),
                    "defocus_low": network(defocus, stage, square),
                ])
            }
            result.place(output, stage.layout, core.doubled, halo: 2 * tiles.halo, side: 2 * tiles.tile)
            try jobs.done()
        }
    }

    private func network(_ radii: [Float], _ stage: Stage, _ square: Square) -> Tensor {
        tensor(forNetwork(radii, rules), 1, stage, square)
    }

    private func tensor(_ values: [Float], _ channels: Int, _ stage: Stage, _ square: Square) -> Tensor {
        let size = Size(height: square.side, width: square.side)
        return Tensor(shape: stage.layout.shape(channels: channels, size: size), values: values)
    }

    private func tensor(_ picture: Picture, _ stage: Stage) -> Tensor {
        let size = Size(height: picture.height, width: picture.width)
        let values = stage.layout == .nhwc ? picture.values : picture.planes
        return Tensor(shape: stage.layout.shape(channels: picture.channels, size: size), values: values)
    }

    private func tilesInAll(_ levels: Levels, _ last: Int) -> Int {
        func count(_ level: Int, _ tiles: Tiles) -> Int {
            let size = levels.size(level)
            return tiles.count(size.height) * tiles.count(size.width)
        }
        return count(0, plan.lensBlur) + (0..<last).reduce(0) { $0 + count($1, plan.guidedUpsampling) }
    }

    /// Where a level's result goes: padded floats below, the last one unpadded, 8 bits a channel.
    private func canvas(_ levels: Levels, _ level: Int, _ last: Int) -> Canvas {
        let (size, factor) = (levels.size(level), levels.factor(level))
        if level < last { return Picture(height: size.height, width: size.width, channels: 3) }
        return Photo(height: (levels.height + factor - 1) / factor, width: (levels.width + factor - 1) / factor)
    }
}

/// Whether a tile of defocus is so small that the sharp picture is copied (step 11).
func isSharp(_ radii: [Float], _ plan: Plan) -> Bool {
    radii.allSatisfy { Double(abs($0)) < plan.copyBelow }
}

extension Picture {
    fileprivate var planes: [Float] {
        let pixels = height * width
        return values.indices.map { (k: Int) -> Float in values[(k % pixels) * channels + k / pixels] }
    }
}

/// Counts tiles, and ends the rendering that nobody waits for.
private final class Jobs {
    let total: Int
    let rendering: Rendering
    var count = 0

    init(total: Int, rendering: Rendering) {
        (self.total, self.rendering) = (total, rendering)
    }

    func done() throws {
        count += 1
        rendering.progress(count, total)
        if rendering.isCancelled() { throw RenderingCancelled() }
    }
}
