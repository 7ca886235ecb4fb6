package dofkit.portrait

import kotlin.math.min
import kotlin.math.round

/** The order of a tensor's numbers: planes, or pixels. */
enum class Layout { NCHW, NHWC }

/** What lies over a rectangle of pixels, read row by row: a photo need not be there in floats. */
interface Pixels {
    val height: Int
    val width: Int
    val channels: Int

    /** Row [i], pixel after pixel, in floats; of images from 0 to 1. [into] has room for width · channels. */
    fun row(i: Int, into: FloatArray)
}

/** Where a level's result goes. */
interface Canvas : Pixels {
    /** Write [count] pixels, each of its channels from 0 to 1, from column [left] of row [i] on. */
    fun put(i: Int, left: Int, values: FloatArray, count: Int)
}

/** An image of three channels or a map of one, in floats, `[height, width, channels]`. */
class Picture(
    override val height: Int,
    override val width: Int,
    override val channels: Int,
    val values: FloatArray = FloatArray(height * width * channels),
) : Canvas {
    override fun row(i: Int, into: FloatArray) {
        values.copyInto(into, 0, i * width * channels, (i + 1) * width * channels)
    }

    override fun put(i: Int, left: Int, values: FloatArray, count: Int) {
        values.copyInto(this.values, (i * width + left) * channels, 0, count * channels)
    }
}

/** A photo as a bitmap gives it: upright, [argb] as 0xAARRGGBB, row by row. */
class Photo(
    override val height: Int,
    override val width: Int,
    val argb: IntArray = IntArray(height * width),
) : Canvas {
    override val channels get() = 3

    override fun row(i: Int, into: FloatArray) {
        for (j in 0 until width) {
            val colour = argb[i * width + j]
            into[3 * j] = (colour shr 16 and 255) / 255f
            into[3 * j + 1] = (colour shr 8 and 255) / 255f
            into[3 * j + 2] = (colour and 255) / 255f
        }
    }

    override fun put(i: Int, left: Int, values: FloatArray, count: Int) {
        for (j in 0 until count) {
            var colour = 255
            for (channel in 0 until 3) colour = (colour shl 8) or round(values[3 * j + channel] * 255f).toInt()
            argb[i * width + left + j] = colour
        }
    }
}

/** The top left part of a picture. */
class Cropped(private val whole: Pixels, override val height: Int, override val width: Int) : Pixels {
    private val wide = FloatArray(whole.width * whole.channels)
    override val channels get() = whole.channels

    override fun row(i: Int, into: FloatArray) {
        whole.row(i, wide)
        wide.copyInto(into, 0, 0, width * channels)
    }
}

/** A square of a picture: rows [top] until [top] + [side], columns alike; it may lie partly outside. */
data class Square(val top: Int, val left: Int, val side: Int) {
    fun doubled() = Square(2 * top, 2 * left, 2 * side)
}

/** A square as a network's input; beyond the border the edge is repeated. */
fun Pixels.cut(square: Square, layout: Layout): FloatArray {
    val (top, left, side) = square
    val result = FloatArray(side * side * channels)
    val row = FloatArray(width * channels)
    for (i in 0 until side) {
        row((top + i).coerceIn(0, height - 1), row)
        for (j in 0 until side) {
            val from = (left + j).coerceIn(0, width - 1) * channels
            for (channel in 0 until channels) {
                result[layout.index(i * side + j, channel, side * side, channels)] = row[from + channel]
            }
        }
    }
    return result
}

/**
 * Write the [height] × [width] pixels at (top, left) that a network computed, clamped to 0 … 1; what lies beyond the
 * border is left out. [values] have a margin of [halo] pixels around, in a square of [side].
 */
fun Canvas.place(values: FloatArray, layout: Layout, core: Core, halo: Int, side: Int) {
    val columns = min(core.width, width - core.left)
    val row = FloatArray(core.width * channels)
    for (i in 0 until min(core.height, height - core.top)) {
        for (j in 0 until columns) {
            val pixel = (halo + i) * side + halo + j
            for (channel in 0 until channels) {
                row[j * channels + channel] =
                    values[layout.index(pixel, channel, side * side, channels)].coerceIn(0f, 1f)
            }
        }
        put(core.top + i, core.left, row, columns)
    }
}

internal fun Layout.index(pixel: Int, channel: Int, pixels: Int, channels: Int) =
    if (this == Layout.NCHW) channel * pixels + pixel else pixel * channels + channel
