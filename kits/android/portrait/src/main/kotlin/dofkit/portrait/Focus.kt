// The disparity in focus: of what a tap hits, or of the subject that nobody points at (step 6 of the bundle's README).
// Numbers that were chosen come from `rules` of its manifest.

package dofkit.portrait

import kotlin.math.abs
import kotlin.math.exp
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round

/** A place on the photo, as fractions of its width and height. */
data class Point(val x: Double, val y: Double)

/** Disparity of the thing at [point]; [range] will be held sharp around it (step 7), 0: the median at the point. */
fun focusAt(map: Picture, point: Point, rules: Rules, range: Double = 0.0): Double {
    val radius = max(1, round(rules.tapWindow * max(map.height, map.width)).toInt())
    val row = min(floor(point.y * map.height).toInt(), map.height - 1)
    val column = min(floor(point.x * map.width).toInt(), map.width - 1)
    val middle = median(window(map, row, column, radius).map { map.values[it] })
    val reach = min(rules.tapAlike, range)
    if (reach <= 0) return middle.toDouble()
    val step = stepOf(map, rules)
    val thin = thinned(map, step)
    val (i, j) = min(row / step, thin.height - 1) to min(column / step, thin.width - 1)
    val region = connected(thin, window(thin, i, j, max(1, radius / step)), middle, reach.toFloat())
    return (if (region.isEmpty()) middle else median(region.map { thin.values[it] })).toDouble()
}

/** Disparity around which most of what is near and central lies. */
fun autoFocus(map: Picture, rules: Rules): Double {
    val thin = thinned(map, stepOf(map, rules))
    val (least, most) = thin.values.min() to thin.values.max()
    if (most <= least) return least.toDouble()
    val weights = subjectWeights(thin, least, most, rules.subjectSpread)
    val count = rules.subjectBins
    val bins = IntArray(thin.values.size) { k -> floor(thin.values[k] * count).toInt().coerceIn(0, count - 1) }
    val sums = DoubleArray(count)
    for ((k, bin) in bins.withIndex()) sums[bin] += weights[k]
    val last = heaviestWindow(sums, rules.subjectWindow)
    val chosen = bins.indices.filter { bins[it] > last - rules.subjectWindow && bins[it] <= last }
    return weightedMedian(chosen, thin.values, weights).toDouble()
}

private fun subjectWeights(map: Picture, least: Float, most: Float, spread: Double): DoubleArray {
    fun fall(k: Int, side: Int): Double {
        val away = ((k + 0.5) / side - 0.5) / spread
        return exp(-away * away / 2)
    }
    val down = DoubleArray(map.height) { fall(it, map.height) }
    val across = DoubleArray(map.width) { fall(it, map.width) }
    return DoubleArray(map.values.size) { k ->
        val near = (map.values[k].toDouble() - least) / (most.toDouble() - least)
        down[k / map.width] * across[k % map.width] * near * near
    }
}

/** Last bin of the first window of the greatest sum; windows may stick out at both ends. */
private fun heaviestWindow(sums: DoubleArray, length: Int): Int {
    var (best, greatest) = 0 to -1.0
    for (last in 0 until sums.size + length - 1) {
        val total = (max(0, last - length + 1)..min(last, sums.size - 1)).sumOf { sums[it] }
        if (total > greatest) {
            best = last
            greatest = total
        }
    }
    return best
}

private fun weightedMedian(chosen: List<Int>, values: FloatArray, weights: DoubleArray): Float {
    val half = chosen.sumOf { weights[it] } / 2
    var total = 0.0
    return values[chosen.sortedBy { values[it] }.first { k -> weights[k].let { total += it; total >= half } }]
}

/** Pixels that hang together with one of [seeds] over common sides, all within [reach] of [middle]. */
private fun connected(map: Picture, seeds: List<Int>, middle: Float, reach: Float): List<Int> {
    val seen = BooleanArray(map.values.size)
    val region = ArrayList<Int>()
    fun visit(k: Int) {
        if (seen[k] || abs(map.values[k] - middle) > reach) return
        seen[k] = true
        region += k
    }
    seeds.forEach(::visit)
    var next = 0
    while (next < region.size) {
        val k = region[next++]
        val j = k % map.width
        if (j > 0) visit(k - 1)
        if (j < map.width - 1) visit(k + 1)
        if (k >= map.width) visit(k - map.width)
        if (k + map.width < map.values.size) visit(k + map.width)
    }
    return region
}

private fun window(map: Picture, row: Int, column: Int, radius: Int): List<Int> =
    (max(0, row - radius)..min(row + radius, map.height - 1)).flatMap { i ->
        (max(0, column - radius)..min(column + radius, map.width - 1)).map { j -> i * map.width + j }
    }

private fun median(values: List<Float>): Float {
    val sorted = values.sorted()
    val half = sorted.size / 2
    return if (sorted.size % 2 == 1) sorted[half] else (sorted[half - 1] + sorted[half]) / 2
}

private fun stepOf(map: Picture, rules: Rules) =
    (max(map.height, map.width) + rules.focusLongSide - 1) / rules.focusLongSide

/** Every [step]-th row and column, from the first on. */
private fun thinned(map: Picture, step: Int): Picture {
    val (rows, columns) = (map.height + step - 1) / step to (map.width + step - 1) / step
    val values = FloatArray(rows * columns) { k -> map.values[k / columns * step * map.width + k % columns * step] }
    return Picture(rows, columns, 1, values)
}
