// The one way in which pictures and maps are resampled (section "Resampling" of the bundle's README).

/// Source pixels for each pixel of a result, as a fraction of whole numbers.
struct Pitch {
    var above, below: Int

    var value: Double { Double(above) / Double(below) }
}

private struct Tap {
    var index: Int
    var weight: Float
}

/// Area mean where it shrinks, linear where it enlarges; beyond the picture its edge is repeated.
func resampled(_ picture: Pixels, to size: Size, down: Pitch, across: Pitch) -> Picture {
    let channels = picture.channels
    let result = Picture(height: size.height, width: size.width, channels: channels)
    var row = [Float](repeating: 0, count: picture.width * channels)
    let columns = (0..<size.width).map { taps($0, across, picture.width) }
    for i in 0..<size.height {
        var sums = [Float](repeating: 0, count: row.count)
        for tap in taps(i, down, picture.height) {
            picture.row(tap.index, into: &row)
            for k in sums.indices { sums[k] += row[k] * tap.weight }
        }
        for (j, taps) in columns.enumerated() {
            let goal = (i * size.width + j) * channels
            for tap in taps {
                for channel in 0..<channels {
                    result.values[goal + channel] += sums[tap.index * channels + channel] * tap.weight
                }
            }
        }
    }
    return result
}

/// The whole picture at another size.
func stretched(_ picture: Pixels, to size: Size) -> Picture {
    let down = Pitch(above: picture.height, below: size.height)
    return resampled(picture, to: size, down: down, across: Pitch(above: picture.width, below: size.width))
}

/// The source pixels of result `i` and what each weighs.
private func taps(_ i: Int, _ pitch: Pitch, _ side: Int) -> [Tap] {
    let length = max(1, pitch.value)
    let begin = (Double(i) + 0.5) * pitch.value - length / 2
    var found: [Tap] = []
    var j = begin.rounded(.down)
    while j < begin + length {
        let overlap = min(j + 1, begin + length) - max(j, begin)
        found.append(Tap(index: clamp(Int(j), 0, side - 1), weight: Float(overlap / length)))
        j += 1
    }
    return found
}

/// The largest value whose centre lies in each pixel of a coarser grid (step 9.3).
func largest(_ map: Picture, to size: Size, down: Pitch, across: Pitch) -> Picture {
    let result = Picture(height: size.height, width: size.width, channels: 1)
    let columns = (0..<size.width).map { belonging($0, across, map.width) }
    for i in 0..<size.height {
        var most = [Float](repeating: -.infinity, count: map.width)
        for row in belonging(i, down, map.height) {
            for j in most.indices { most[j] = max(most[j], map.values[row * map.width + j]) }
        }
        for (j, belong) in columns.enumerated() { result.values[i * size.width + j] = most[belong].max()! }
    }
    return result
}

/// The source pixels whose centres lie in result `i`; in whole numbers.
private func belonging(_ i: Int, _ pitch: Pitch, _ side: Int) -> ClosedRange<Int> {
    func first(_ i: Int) -> Int {
        let (above, below) = (2 * i * pitch.above - pitch.below, 2 * pitch.below)
        return above >= 0 ? (above + below - 1) / below : -(-above / below)
    }
    return clamp(first(i), 0, side - 1)...clamp(first(i + 1) - 1, 0, side - 1)
}
