// What a photo and a disparity map become before the networks see them: levels, defocus, depth input. The steps are
// those of the bundle's README, and every number that was chosen comes from `rules` of its manifest.

import Foundation

/// What the photographer chose: the disparity in focus (1 = nearest), and 0 (no blur) to 1 (the most).
public struct Lens: Sendable {
    public var focus, aperture: Double

    public init(focus: Double, aperture: Double) {
        (self.focus, self.aperture) = (focus, aperture)
    }
}

/// The levels of one photo: level 0 is the lowest, each doubles, level `count` is the photo (step 2).
public struct Levels: Sendable {
    public let height, width, count: Int

    /// As many as it takes for the long side of level 0 to be small enough.
    static func of(height: Int, width: Int, _ rules: Rules) -> Levels {
        var count = 0
        while max(height, width) > rules.lowestLongSide << count { count += 1 }
        return Levels(height: height, width: width, count: count)
    }

    /// Photo pixels for each pixel of a level.
    func factor(_ level: Int) -> Int { 1 << (count - level) }

    /// Of a level, padded.
    func size(_ level: Int) -> Size {
        func padded(_ side: Int) -> Int { ((side + factor(0) - 1) / factor(0)) << level }
        return Size(height: padded(height), width: padded(width))
    }

    /// Long side of the unpadded photo in pixels of a level.
    func longSide(_ level: Int) -> Double { Double(max(height, width)) / Double(factor(level)) }

    /// Values of a map for each pixel of a level.
    func pitches(_ level: Int, _ map: Picture) -> (down: Pitch, across: Pitch) {
        (Pitch(above: factor(level) * map.height, below: height), Pitch(above: factor(level) * map.width, below: width))
    }

    /// The same from level 1 on where the blur is weak (step 8).
    func started(for map: Picture, _ lens: Lens, _ rules: Rules) -> Levels {
        guard count > 0, let most = map.values.max(), let least = map.values.min() else { return self }
        let away = max(Double(most) - lens.focus, lens.focus - Double(least))
        let weak = away * lens.aperture * longSide(1) / rules.longSidePerRadius <= rules.networkRadius
        return weak ? Levels(height: height, width: width, count: count - 1) : self
    }
}

/// One level down: the mean in light of 2 × 2 pixels, light being the square of the encoded value (step 3).
func halved(_ picture: Pixels, to size: Size) -> Picture {
    let channels = picture.channels
    let result = Picture(height: size.height, width: size.width, channels: channels)
    var upper = [Float](repeating: 0, count: picture.width * channels)
    var lower = upper
    var goal = 0
    for i in 0..<size.height {
        picture.row(min(2 * i, picture.height - 1), into: &upper)
        picture.row(min(2 * i + 1, picture.height - 1), into: &lower)
        for j in 0..<size.width {
            let left = min(2 * j, picture.width - 1) * channels
            let right = min(2 * j + 1, picture.width - 1) * channels
            for channel in 0..<channels {
                let (a, b) = (upper[left + channel], upper[right + channel])
                let (c, d) = (lower[left + channel], lower[right + channel])
                result.values[goal] = ((a * a + b * b + c * c + d * d) / 4).squareRoot()
                goal += 1
            }
        }
    }
    return result
}

/// The images of all levels; the last is the photo itself (step 3).
func imageLevels(_ photo: Pixels, _ levels: Levels) -> [Pixels] {
    var images: [Pixels] = [photo]
    for level in (0..<levels.count).reversed() { images.insert(halved(images[0], to: levels.size(level)), at: 0) }
    return images
}

/// The input size of the depth network that suits a photo: that of the nearest aspect (step 4).
func depthSize(for photo: Pixels, _ plan: Plan) -> Size {
    func away(_ size: Size) -> Double {
        abs(log(Double(size.height * photo.width) / Double(size.width * photo.height)))
    }
    return plan.depthSizes.min { away($0) < away($1) }!
}

/// The whole photo stretched to the depth network's input (step 4).
func depthInput(_ photo: Pixels, _ size: Size) -> Picture {
    stretched(photo, to: size)
}

/// Disparity within `range` of the focus is moved to it, the rest nearer to it by as much (step 7).
func held(_ map: Picture, focus: Double, range: Double) -> Picture {
    if range == 0 { return map }
    let (middle, reach) = (Float(focus), Float(range))
    return map.mapped { value in
        let offset = value - middle
        return offset - clamp(offset, -reach, reach) + middle
    }
}

/// Disparity at the pixels of a level; `filled` as the lens blur wants it, which takes fewer pixels (step 9).
func disparity(_ map: Picture, at level: Int, of levels: Levels, _ rules: Rules, filled: Bool = false) -> Picture {
    let size = levels.size(level)
    let (down, across) = levels.pitches(level, map)
    let mean = resampled(map, to: size, down: down, across: across)
    if [down, across].contains(where: { $0.above < rules.thinPitch * $0.below }) { return mean }
    let nearest = largest(map, to: size, down: down, across: across).values
    let (most, least) = (around(mean, max), around(mean, min))
    let thin = nearest.indices.map { (k: Int) -> Bool in
        nearest[k] - most[k] > Float(rules.thinShare) * (nearest[k] - least[k])
    }
    let taken = filled ? mostlyFilled(thin, mean, most, rules) : thin
    let values = taken.indices.map { (k: Int) -> Float in taken[k] ? nearest[k] : mean.values[k] }
    return Picture(height: size.height, width: size.width, channels: 1, values: values)
}

/// Of thin pixels the full ones, and those beside which there is none (step 9.6).
private func mostlyFilled(_ thin: [Bool], _ mean: Picture, _ most: [Float], _ rules: Rules) -> [Bool] {
    let full = thin.indices.map { (k: Int) -> Bool in thin[k] && mean.values[k] >= most[k] - Float(rules.thinTie) }
    let marks = Picture(height: mean.height, width: mean.width, channels: 1, values: full.map { (isFull: Bool) -> Float in isFull ? 1 : 0 })
    let beside = around(marks, max)
    return thin.indices.map { (k: Int) -> Bool in thin[k] && (full[k] || beside[k] == 0) }
}

/// Signed radius of the circle of confusion in pixels of the level that the map belongs to (step 10).
func defocused(_ map: Picture, _ lens: Lens, longSide: Double, _ rules: Rules) -> Picture {
    let (focus, scale) = (Float(lens.focus), Float(lens.aperture * longSide / rules.longSidePerRadius))
    return map.mapped { ($0 - focus) * scale }
}

/// Defocus as the networks get it (step 10).
func forNetwork(_ radii: [Float], _ rules: Rules) -> [Float] {
    radii.map { clamp($0 / Float(rules.networkRadius), -1, 1) }
}

/// The extreme of the 3 × 3 values at every pixel, the edge repeated.
private func around(_ map: Picture, _ extreme: (Float, Float) -> Float) -> [Float] {
    let (width, values) = (map.width, map.values)
    let along = values.indices.map { (k: Int) -> Float in
        let j = k % width
        return extreme(extreme(values[j > 0 ? k - 1 : k], values[k]), values[j < width - 1 ? k + 1 : k])
    }
    return along.indices.map { (k: Int) -> Float in
        let (above, below) = (k < width ? k : k - width, k + width < along.count ? k + width : k)
        return extreme(extreme(along[above], along[k]), along[below])
    }
}
