// The one way in which pictures and maps are resampled (section "Resampling" of the bundle's README).

package dofkit.portrait

import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min

/** Source pixels for each pixel of a result, as a fraction of whole numbers. */
data class Pitch(val above: Long, val below: Long)

private class Tap(val index: Int, val weight: Float)

/** Area mean where it shrinks, linear where it enlarges; beyond the picture its edge is repeated. */
fun resampled(picture: Pixels, size: Size, down: Pitch, across: Pitch): Picture {
    val result = Picture(size.height, size.width, picture.channels)
    val row = FloatArray(picture.width * picture.channels)
    val sums = FloatArray(row.size)
    val columns = List(size.width) { taps(it, across, picture.width) }
    for (i in 0 until size.height) {
        sums.fill(0f)
        for (tap in taps(i, down, picture.height)) {
            picture.row(tap.index, row)
            for (k in sums.indices) sums[k] += row[k] * tap.weight
        }
        acrossRow(sums, columns, picture.channels, result.values, i * size.width * picture.channels)
    }
    return result
}

/** The whole picture at another size. */
fun stretched(picture: Pixels, size: Size): Picture {
    val down = Pitch(picture.height.toLong(), size.height.toLong())
    return resampled(picture, size, down, Pitch(picture.width.toLong(), size.width.toLong()))
}

private fun acrossRow(row: FloatArray, columns: List<List<Tap>>, channels: Int, result: FloatArray, start: Int) {
    for ((j, taps) in columns.withIndex()) {
        for (tap in taps) {
            for (channel in 0 until channels) {
                result[start + j * channels + channel] += row[tap.index * channels + channel] * tap.weight
            }
        }
    }
}

/** The source pixels of result [i] and what each weighs. */
private fun taps(i: Int, pitch: Pitch, side: Int): List<Tap> {
    val step = pitch.above.toDouble() / pitch.below
    val length = max(1.0, step)
    val begin = (i + 0.5) * step - length / 2
    val found = mutableListOf<Tap>()
    var j = floor(begin)
    while (j < begin + length) {
        val overlap = min(j + 1, begin + length) - max(j, begin)
        found += Tap(j.toInt().coerceIn(0, side - 1), (overlap / length).toFloat())
        j++
    }
    return found
}

/** The largest value whose centre lies in each pixel of a coarser grid (step 9.3). */
fun largest(map: Picture, size: Size, down: Pitch, across: Pitch): Picture {
    val result = Picture(size.height, size.width, 1)
    val most = FloatArray(map.width)
    for (i in 0 until size.height) {
        most.fill(Float.NEGATIVE_INFINITY)
        for (row in belonging(i, down, map.height)) {
            for (j in most.indices) most[j] = max(most[j], map.values[row * map.width + j])
        }
        for (j in 0 until size.width) {
            result.values[i * size.width + j] = belonging(j, across, map.width).maxOf { most[it] }
        }
    }
    return result
}

/** The source pixels whose centres lie in result [i]; in whole numbers. */
private fun belonging(i: Int, pitch: Pitch, side: Int): IntRange {
    fun first(i: Int): Int {
        val above = 2 * i * pitch.above - pitch.below
        return -Math.floorDiv(-above, 2 * pitch.below).toInt()
    }
    return first(i).coerceIn(0, side - 1)..(first(i + 1) - 1).coerceIn(0, side - 1)
}
