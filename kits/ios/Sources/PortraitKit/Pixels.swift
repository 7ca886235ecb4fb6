/// The order of a tensor's numbers: planes, or pixels.
public enum Layout: Sendable {
    case nchw, nhwc

    func index(pixel: Int, channel: Int, pixels: Int, channels: Int) -> Int {
        self == .nchw ? channel * pixels + pixel : pixel * channels + channel
    }

    func shape(channels: Int, size: Size) -> [Int] {
        self == .nchw ? [1, channels, size.height, size.width] : [1, size.height, size.width, channels]
    }
}

public struct Size: Equatable, Hashable, Sendable {
    public var height, width: Int

    public init(height: Int, width: Int) {
        (self.height, self.width) = (height, width)
    }
}

/// What lies over a rectangle of pixels, read row by row: a photo need not be there in floats.
public protocol Pixels {
    var height: Int { get }
    var width: Int { get }
    var channels: Int { get }

    /// Row `i`, pixel after pixel, in floats; of images from 0 to 1. `goal` has room for width · channels.
    func row(_ i: Int, into goal: inout [Float])
}

/// Where a level's result goes.
public protocol Canvas: AnyObject, Pixels {
    /// Write `count` pixels, each of its channels from 0 to 1, from column `left` of row `i` on.
    func put(_ values: [Float], row i: Int, left: Int, count: Int)
}

/// An image of three channels or a map of one, in floats, `[height, width, channels]`.
public final class Picture: Canvas {
    public let height, width, channels: Int
    public var values: [Float]

    public init(height: Int, width: Int, channels: Int, values: [Float]? = nil) {
        (self.height, self.width, self.channels) = (height, width, channels)
        self.values = values ?? [Float](repeating: 0, count: height * width * channels)
    }

    public func row(_ i: Int, into goal: inout [Float]) {
        let count = width * channels
        for k in 0..<count { goal[k] = values[i * count + k] }
    }

    public func put(_ values: [Float], row i: Int, left: Int, count: Int) {
        let start = (i * width + left) * channels
        for k in 0..<count * channels { self.values[start + k] = values[k] }
    }

    func mapped(_ change: (Float) -> Float) -> Picture {
        Picture(height: height, width: width, channels: channels, values: values.map(change))
    }
}

/// A photo as a bitmap gives it: upright, 8 bits a channel, red, green, blue and a fourth byte that takes no part.
public final class Photo: Canvas {
    public let height, width: Int
    public var rgba: [UInt8]
    public var channels: Int { 3 }

    public init(height: Int, width: Int, rgba: [UInt8]? = nil) {
        (self.height, self.width) = (height, width)
        self.rgba = rgba ?? [UInt8](repeating: 255, count: height * width * 4)
    }

    public func row(_ i: Int, into goal: inout [Float]) {
        for j in 0..<width {
            let from = 4 * (i * width + j)
            for channel in 0..<3 { goal[3 * j + channel] = Float(rgba[from + channel]) / 255 }
        }
    }

    public func put(_ values: [Float], row i: Int, left: Int, count: Int) {
        for j in 0..<count {
            let goal = 4 * (i * width + left + j)
            for channel in 0..<3 {
                rgba[goal + channel] = UInt8((values[3 * j + channel] * 255).rounded(.toNearestOrEven))
            }
        }
    }
}

/// The top left part of a picture.
struct Cropped: Pixels {
    let whole: Pixels
    let height, width: Int
    var channels: Int { whole.channels }

    func row(_ i: Int, into goal: inout [Float]) {
        var wide = [Float](repeating: 0, count: whole.width * channels)
        whole.row(i, into: &wide)
        for k in 0..<width * channels { goal[k] = wide[k] }
    }
}

/// A square of a picture: rows `top` ..< `top + side`, columns alike; it may lie partly outside.
public struct Square: Sendable {
    public var top, left, side: Int

    public var doubled: Square { Square(top: 2 * top, left: 2 * left, side: 2 * side) }
}

/// What a tile contributes to a picture (step 11).
public struct Core: Sendable {
    public var top, left, height, width: Int

    var doubled: Core { Core(top: 2 * top, left: 2 * left, height: 2 * height, width: 2 * width) }
}

extension Pixels {
    /// A square as a network's input; beyond the border the edge is repeated.
    public func cut(_ square: Square, _ layout: Layout) -> [Float] {
        let side = square.side
        var result = [Float](repeating: 0, count: side * side * channels)
        var row = [Float](repeating: 0, count: width * channels)
        for i in 0..<side {
            self.row(clamp(square.top + i, 0, height - 1), into: &row)
            for j in 0..<side {
                let from = clamp(square.left + j, 0, width - 1) * channels
                for channel in 0..<channels {
                    let goal = layout.index(
                        pixel: i * side + j, channel: channel, pixels: side * side, channels: channels)
                    result[goal] = row[from + channel]
                }
            }
        }
        return result
    }
}

extension Canvas {
    /// Write a core that a network computed, clamped to 0 … 1; what lies beyond the border is left out. `values` have
    /// a margin of `halo` pixels around, in a square of `side`.
    func place(_ values: [Float], _ layout: Layout, _ core: Core, halo: Int, side: Int) {
        let columns = min(core.width, width - core.left)
        var row = [Float](repeating: 0, count: core.width * channels)
        for i in 0..<min(core.height, height - core.top) {
            for j in 0..<columns {
                for channel in 0..<channels {
                    let from = layout.index(
                        pixel: (halo + i) * side + halo + j, channel: channel, pixels: side * side, channels: channels)
                    row[j * channels + channel] = clamp(values[from], 0, 1)
                }
            }
            put(row, row: core.top + i, left: core.left, count: columns)
        }
    }
}

func clamp<Value: Comparable>(_ value: Value, _ low: Value, _ high: Value) -> Value {
    min(max(value, low), high)
}
