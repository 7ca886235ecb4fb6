// A measured map that is much coarser than the photo, brought nearer to its size: near an edge a value is taken from the
// side whose colours are the pixel's own ("Coarse maps" of the bundle's README).

package dofkit.portrait

import kotlin.math.exp
import kotlin.math.max
import kotlin.math.min

/** A measured map as the steps want it: itself where it is fine enough. */
fun refined(map: Picture, photo: Pixels, rules: Rules): Picture {
    val longest = max(photo.height, photo.width)
    val scale = min(1.0, rules.refineLongSide.toDouble() / longest)
    val size = Size(max(1, Math.rint(photo.height * scale).toInt()), max(1, Math.rint(photo.width * scale).toInt()))
    val isFine = longest < rules.refineFrom * max(map.height, map.width)
    if (isFine || max(size.height, size.width) <= max(map.height, map.width)) return map
    val result = stretched(map, size)
    val near = Neighbours(map, stretched(photo, Size(map.height, map.width)), stretched(photo, size), rules)
    for (i in 0 until size.height) {
        for (j in 0 until size.width) {
            near.look(i, j)
            if (near.spread > rules.refineEdge.toFloat()) result.values[i * size.width + j] = near.ownSide()
        }
    }
    return result
}

/** The 3 × 3 values of a map around the one that a pixel of the finer grid lies on. */
private class Neighbours(val map: Picture, val colours: Picture, val guide: Picture, val rules: Rules) {
    private val places = IntArray(9)
    private val values = FloatArray(9)
    private val weights = DoubleArray(9)
    private var pixel = 0
    private var y = 0.0
    private var x = 0.0

    /** The greatest value without the least. */
    val spread get() = values.max() - values.min()

    fun look(i: Int, j: Int) {
        pixel = i * guide.width + j
        // Quotients of whole numbers, which are rounded down alike everywhere.
        y = (2L * i + 1) * map.height / (2.0 * guide.height)
        x = (2L * j + 1) * map.width / (2.0 * guide.width)
        for (n in 0 until 9) {
            val row = (y.toInt() + n / 3 - 1).coerceIn(0, map.height - 1)
            val column = (x.toInt() + n % 3 - 1).coerceIn(0, map.width - 1)
            places[n] = row * map.width + column
            values[n] = map.values[places[n]]
        }
    }

    /** Their mean by distance and colour, and once more of those that say about the same. */
    fun ownSide(): Float {
        weigh()
        val first = mean()
        for (n in 0 until 9) weights[n] *= fall(values[n] - first, rules.refineAlike) + rules.refineLeast
        return mean().toFloat()
    }

    private fun weigh() {
        for (n in 0 until 9) {
            val (down, right) = n / 3 - 0.5 - y % 1 to n % 3 - 0.5 - x % 1
            var unlike = 0.0
            for (channel in 0 until 3) {
                val away = colours.values[3 * places[n] + channel] - guide.values[3 * pixel + channel].toDouble()
                unlike += away * away
            }
            weights[n] = -(down * down + right * right) / (2 * rules.refineDistance * rules.refineDistance) -
                unlike / (2 * rules.refineColour * rules.refineColour)
        }
        val greatest = weights.max() // where no colour is alike, the likest counts
        for (n in 0 until 9) weights[n] = exp(weights[n] - greatest)
    }

    private fun mean() = (0 until 9).sumOf { weights[it] * values[it] } / weights.sum()

    private fun fall(away: Double, deviation: Double) = exp(-away * away / (2 * deviation * deviation))
}
