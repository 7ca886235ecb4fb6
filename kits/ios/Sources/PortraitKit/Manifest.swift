// What the app reads of `manifest.json`.

import Foundation

/// Numbers of the steps around the networks; the bundle's README says what each is.
public struct Rules: Decodable, Sendable {
    let lowestLongSide, refineLongSide, focusLongSide, subjectBins, subjectWindow, thinPitch: Int
    let refineFrom, refineEdge, refineDistance, refineColour, refineAlike, refineLeast: Double
    let tapWindow, tapAlike, subjectSpread, longSidePerRadius, networkRadius, thinShare, thinTie: Double
    /// Where nobody has chosen one.
    let usualAperture: Double
}

/// The tiles of a stage, in pixels of its low side (step 11).
public struct Tiles: Decodable, Sendable {
    let tile, halo: Int

    private var core: Int { tile - 2 * halo }

    /// How many there are along a side.
    func count(_ side: Int) -> Int { (side + core - 1) / core }

    func over(_ picture: Pixels) -> [Core] {
        stride(from: 0, to: picture.height, by: core).flatMap { top in
            stride(from: 0, to: picture.width, by: core).map { left in
                Core(
                    top: top, left: left, height: min(core, picture.height - top), width: min(core, picture.width - left))
            }
        }
    }

    /// A core with its halo.
    func around(_ core: Core) -> Square { Square(top: core.top - halo, left: core.left - halo, side: tile) }
}

/// Sizes and thresholds that belong to a bundle's networks.
public struct Plan: Decodable, Sendable {
    let depthHeight, depthWidth: Int
    let furtherDepthSizes: [[Int]]
    let lensBlur, guidedUpsampling: Tiles
    let focusRange, copyBelow: Double

    var depthSizes: [Size] {
        [Size(height: depthHeight, width: depthWidth)]
            + furtherDepthSizes.map { Size(height: $0[0], width: $0[1]) }
    }
}

/// An input or output of a model.
public struct TensorEntry: Decodable, Sendable {
    let name: String
    let shape: [Int]
    let layout: String
    let image: String?

    /// Of a picture or a map.
    var size: Size {
        layout == "NHWC" ? Size(height: shape[1], width: shape[2]) : Size(height: shape[2], width: shape[3])
    }
}

/// One exported network.
public struct Model: Decodable, Sendable {
    let stage, target, precision, path: String
    let function: String?
    let tile: Int?
    let depthSize: [Int]?
    let inputs, outputs: [TensorEntry]
}

/// A test of the steps around the networks.
public struct StepCase: Decodable, Sendable {
    struct Entry: Decodable, Sendable {
        let step, every: Int
    }

    let name, path: String
    let tap: [Double]?
    let aperture, focusRange, focus: Double
    let depthSize: [Int]
    let levels: Int
    let weak: Bool
    let tensors: [String: Entry]
}

public struct MissingModel: Error, CustomStringConvertible {
    public let description: String
}

public struct Manifest: Decodable, Sendable {
    public let plan: Plan
    public let rules: Rules
    public let models: [Model]
    public let steps: [StepCase]

    /// Of the preview graph, where the bundle carries one.
    var preview: PreviewSizes? {
        guard let inputs = models.first(where: { $0.stage == "preview" })?.inputs,
            let image = inputs.first(where: { $0.name == "image" }),
            let map = inputs.first(where: { $0.name == "disparity" })
        else { return nil }
        return PreviewSizes(image: image.size, map: map.size)
    }

    public static func read(_ folder: URL) throws -> Manifest {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase  // of fields alone: names in a dictionary stay as they are
        return try decoder.decode(Manifest.self, from: Data(contentsOf: folder.appendingPathComponent("manifest.json")))
    }

    /// The model of a stage for a target, the manifest's first precision where none is named.
    func model(_ stage: String, target: String, precision: String? = nil, depth: Size? = nil) throws -> Model {
        let wanted = precision ?? models.first { $0.target == target }?.precision
        let size = depth == plan.depthSizes[0] ? nil : depth.map { [$0.height, $0.width] }
        let found = models.first {
            $0.stage == stage && $0.target == target && $0.precision == wanted && $0.tile == nil && $0.depthSize == size
        }
        guard let found else {
            let of = size.map { " of \($0[0]) × \($0[1])" } ?? ""
            throw MissingModel(description: "the bundle has no \(target) \(wanted ?? "") model for \(stage)\(of)")
        }
        return found
    }
}
