// The whole pipeline as one graph of a fixed size, for a slider that moves: how a photo of any size lies in the graph's
// picture, and its result out of it again ("Previews" of the bundle's README).

package dofkit.portrait

import kotlin.math.max
import kotlin.math.min

/** What the preview graph takes: a picture, and a map over all of it. */
data class PreviewSizes(val image: Size, val map: Size)

/** How a photo lies in the graph's picture: its long side along the graph's, never enlarged, its edge repeated beyond. */
class Frame(private val photo: Pixels, private val sizes: PreviewSizes) {
    /** Whether rows and columns are exchanged. */
    private val isTurned = (photo.height - photo.width).toLong() * (sizes.image.height - sizes.image.width) < 0
    private val whole = asThePhoto(sizes.image)
    private val map = asThePhoto(sizes.map)

    /** What the photo fills, as it stands. */
    private val inner: Size

    init {
        val scale = min(1.0, min(whole.height.toDouble() / photo.height, whole.width.toDouble() / photo.width))
        inner = Size(max(1, (photo.height * scale + 0.5).toInt()), max(1, (photo.width * scale + 0.5).toInt()))
    }

    /** The graph measures blur by its own long side, a portrait by the photo's. */
    fun aperture(aperture: Double): Double =
        aperture * max(inner.height, inner.width) / max(sizes.image.height, sizes.image.width)

    /** The photo as the graph's image. */
    fun image(): Picture {
        val down = Pitch(photo.height.toLong(), inner.height.toLong())
        return turned(resampled(photo, whole, down, Pitch(photo.width.toLong(), inner.width.toLong())))
    }

    /** Disparity over the photo, of any size, as the graph's. */
    fun disparity(known: Picture): Picture {
        fun pitch(side: Int, whole: Int, values: Int, inner: Int) = Pitch(side.toLong() * whole, values.toLong() * inner)
        val down = pitch(known.height, whole.height, map.height, inner.height)
        return turned(resampled(known, map, down, pitch(known.width, whole.width, map.width, inner.width)))
    }

    /** The photo out of the graph's picture, upright. */
    fun result(values: FloatArray, layout: Layout): Photo {
        val (rows, columns) = sizes.image
        val result = Photo(inner.height, inner.width)
        val row = FloatArray(3 * inner.width)
        for (i in 0 until inner.height) {
            for (k in row.indices) {
                val pixel = if (isTurned) k / 3 * columns + i else i * columns + k / 3
                row[k] = values[layout.index(pixel, k % 3, rows * columns, 3)].coerceIn(0f, 1f)
            }
            result.put(i, 0, row, inner.width)
        }
        return result
    }

    private fun asThePhoto(size: Size) = if (isTurned) Size(size.width, size.height) else size

    private fun turned(picture: Picture): Picture {
        if (!isTurned) return picture
        val (height, width, channels) = Triple(picture.width, picture.height, picture.channels)
        return Picture(height, width, channels, FloatArray(picture.values.size) { k ->
            val (i, j) = k / channels / width to k / channels % width
            picture.values[(j * height + i) * channels + k % channels]
        })
    }
}
