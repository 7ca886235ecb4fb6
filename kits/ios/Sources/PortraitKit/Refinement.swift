// A measured map that is much coarser than the photo, brought nearer to its size: near an edge a value is taken from the
// side whose colours are the pixel's own ("Coarse maps" of the bundle's README).

import Foundation

/// A measured map as the steps want it: itself where it is fine enough.
func refined(_ map: Picture, _ photo: Pixels, _ rules: Rules) -> Picture {
    let longest = max(photo.height, photo.width)
    let scale = min(1, Double(rules.refineLongSide) / Double(longest))
    func scaled(_ side: Int) -> Int { max(1, Int((Double(side) * scale).rounded(.toNearestOrEven))) }
    let size = Size(height: scaled(photo.height), width: scaled(photo.width))
    let isFine = Double(longest) < rules.refineFrom * Double(max(map.height, map.width))
    if isFine || max(size.height, size.width) <= max(map.height, map.width) { return map }
    let result = stretched(map, to: size)
    let small = stretched(photo, to: Size(height: map.height, width: map.width))
    var near = Neighbours(map: map, colours: small, guide: stretched(photo, to: size), rules: rules)
    for i in 0..<size.height {
        for j in 0..<size.width {
            near.look(i, j)
            if near.spread > Float(rules.refineEdge) { result.values[i * size.width + j] = near.ownSide() }
        }
    }
    return result
}

/// The 3 × 3 values of a map around the one that a pixel of the finer grid lies on.
private struct Neighbours {
    let map, colours, guide: Picture
    let rules: Rules
    private var places = [Int](repeating: 0, count: 9)
    private var values = [Float](repeating: 0, count: 9)
    private var weights = [Double](repeating: 0, count: 9)
    private var pixel = 0
    private var (y, x) = (0.0, 0.0)

    init(map: Picture, colours: Picture, guide: Picture, rules: Rules) {
        (self.map, self.colours, self.guide, self.rules) = (map, colours, guide, rules)
    }

    /// The greatest value without the least.
    var spread: Float { values.max()! - values.min()! }

    mutating func look(_ i: Int, _ j: Int) {
        pixel = i * guide.width + j
        // Quotients of whole numbers, which are rounded down alike everywhere.
        y = Double((2 * i + 1) * map.height) / Double(2 * guide.height)
        x = Double((2 * j + 1) * map.width) / Double(2 * guide.width)
        for n in 0..<9 {
            let row = clamp(Int(y) + n / 3 - 1, 0, map.height - 1)
            let column = clamp(Int(x) + n % 3 - 1, 0, map.width - 1)
            places[n] = row * map.width + column
            values[n] = map.values[places[n]]
        }
    }

    /// Their mean by distance and colour, and once more of those that say about the same.
    mutating func ownSide() -> Float {
        weigh()
        let first = mean
        for n in 0..<9 {
            let away = (Double(values[n]) - first) / rules.refineAlike
            weights[n] *= exp(-away * away / 2) + rules.refineLeast
        }
        return Float(mean)
    }

    private mutating func weigh() {
        for n in 0..<9 {
            let down = (Double(n / 3) - 0.5 - (y - y.rounded(.down))) / rules.refineDistance
            let right = (Double(n % 3) - 0.5 - (x - x.rounded(.down))) / rules.refineDistance
            var unlike = 0.0
            for channel in 0..<3 {
                let own = Double(guide.values[3 * pixel + channel])
                let away = (Double(colours.values[3 * places[n] + channel]) - own) / rules.refineColour
                unlike += away * away
            }
            weights[n] = -(down * down + right * right + unlike) / 2
        }
        let greatest = weights.max()!  // where no colour is alike, the likest counts
        for n in 0..<9 { weights[n] = exp(weights[n] - greatest) }
    }

    private var mean: Double {
        var (sum, total) = (0.0, 0.0)
        for n in 0..<9 {
            sum += weights[n] * Double(values[n])
            total += weights[n]
        }
        return sum / total
    }
}
