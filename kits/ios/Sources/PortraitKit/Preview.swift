// The whole pipeline as one graph of a fixed size, for a slider that moves: how a photo of any size lies in the graph's
// picture, and its result out of it again ("Previews" of the bundle's README).

/// What the preview graph takes: a picture, and a map over all of it.
struct PreviewSizes {
    let image, map: Size
}

/// What a preview graph is given of a photo: the same while a slider moves.
final class PreviewImage {
    var tensor: Tensor?
}

/// How a photo lies in the graph's picture: its long side along the graph's, never enlarged, its edge repeated beyond.
struct Frame {
    private let photo: Pixels
    private let sizes: PreviewSizes
    /// Whether rows and columns are exchanged.
    private let isTurned: Bool
    /// The graph's picture and map, and what the photo fills, as the photo stands.
    private let whole, map, inner: Size

    init(_ photo: Pixels, _ sizes: PreviewSizes) {
        (self.photo, self.sizes) = (photo, sizes)
        isTurned = (photo.height - photo.width) * (sizes.image.height - sizes.image.width) < 0
        (whole, map) = isTurned ? (sizes.image.turned, sizes.map.turned) : (sizes.image, sizes.map)
        let fitting = min(Double(whole.height) / Double(photo.height), Double(whole.width) / Double(photo.width))
        func filled(_ side: Int) -> Int { max(1, Int(Double(side) * min(1, fitting) + 0.5)) }
        inner = Size(height: filled(photo.height), width: filled(photo.width))
    }

    /// The graph measures blur by its own long side, a portrait by the photo's.
    func aperture(_ aperture: Double) -> Double {
        aperture * Double(max(inner.height, inner.width)) / Double(max(whole.height, whole.width))
    }

    /// The photo as the graph's image.
    func image() -> Picture {
        let down = Pitch(above: photo.height, below: inner.height)
        let across = Pitch(above: photo.width, below: inner.width)
        return upright(resampled(photo, to: whole, down: down, across: across))
    }

    /// Disparity over the photo, of any size, as the graph's.
    func disparity(_ known: Picture) -> Picture {
        let down = Pitch(above: known.height * whole.height, below: map.height * inner.height)
        let across = Pitch(above: known.width * whole.width, below: map.width * inner.width)
        return upright(resampled(known, to: map, down: down, across: across))
    }

    /// The photo out of the graph's picture, upright.
    func result(_ values: [Float], _ layout: Layout) -> Photo {
        let (rows, columns) = (sizes.image.height, sizes.image.width)
        let result = Photo(height: inner.height, width: inner.width)
        var row = [Float](repeating: 0, count: 3 * inner.width)
        for i in 0..<inner.height {
            for k in row.indices {
                let pixel = isTurned ? k / 3 * columns + i : i * columns + k / 3
                row[k] = clamp(values[layout.index(pixel: pixel, channel: k % 3, pixels: rows * columns, channels: 3)], 0, 1)
            }
            result.put(row, row: i, left: 0, count: inner.width)
        }
        return result
    }

    /// As the graph has it.
    private func upright(_ picture: Picture) -> Picture {
        if !isTurned { return picture }
        let (height, width, channels) = (picture.width, picture.height, picture.channels)
        let values = picture.values.indices.map { (k: Int) -> Float in
            let (i, j) = (k / channels / width, k / channels % width)
            return picture.values[(j * height + i) * channels + k % channels]
        }
        return Picture(height: height, width: width, channels: channels, values: values)
    }
}

extension Size {
    fileprivate var turned: Size { Size(height: width, width: height) }
}
