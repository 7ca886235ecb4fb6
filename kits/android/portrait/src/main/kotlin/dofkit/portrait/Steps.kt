// What a photo and a disparity map become before the networks see them: levels, defocus, depth input. The steps are
// those of the bundle's README, and every number that was chosen comes from `rules` of its manifest.

package dofkit.portrait

import kotlin.math.abs
import kotlin.math.ln
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sqrt

data class Size(val height: Int, val width: Int)

/** What the photographer chose: the disparity in focus (1 = nearest), and 0 (no blur) to 1 (the most). */
data class Lens(val focus: Double, val aperture: Double)

/** The levels of one photo: level 0 is the lowest, each doubles, level [count] is the photo (step 2). */
class Levels(val height: Int, val width: Int, val count: Int) {
    /** Photo pixels for each pixel of a level. */
    fun factor(level: Int): Int = 1 shl (count - level)

    /** Of a level, padded. */
    fun size(level: Int): Size = Size(padded(height, level), padded(width, level))

    /** Long side of the unpadded photo in pixels of a level. */
    fun longSide(level: Int): Double = max(height, width).toDouble() / factor(level)

    /** Values of a map for each pixel of a level, vertical and horizontal. */
    fun pitches(level: Int, map: Picture): Pair<Pitch, Pitch> {
        val factor = factor(level).toLong()
        return Pitch(factor * map.height, height.toLong()) to Pitch(factor * map.width, width.toLong())
    }

    /** The same from level 1 on where the blur is weak (step 8). */
    fun startedFor(map: Picture, lens: Lens, rules: Rules): Levels {
        if (count == 0) return this
        val away = max(map.values.max() - lens.focus, lens.focus - map.values.min())
        val weak = away * lens.aperture * longSide(1) / rules.longSidePerRadius <= rules.networkRadius
        return if (weak) Levels(height, width, count - 1) else this
    }

    private fun padded(side: Int, level: Int) = ((side + factor(0) - 1) / factor(0)) shl level

    companion object {
        /** As many as it takes for the long side of level 0 to be small enough. */
        fun of(height: Int, width: Int, rules: Rules): Levels {
            var count = 0
            while (max(height, width) > rules.lowestLongSide shl count) count++
            return Levels(height, width, count)
        }
    }
}

/** One level down: the mean in light of 2 × 2 pixels, light being the square of the encoded value (step 3). */
fun halved(picture: Pixels, size: Size): Picture {
    val channels = picture.channels
    val result = Picture(size.height, size.width, channels)
    val (upper, lower) = List(2) { FloatArray(picture.width * channels) }
    var goal = 0
    for (i in 0 until size.height) {
        picture.row(min(2 * i, picture.height - 1), upper)
        picture.row(min(2 * i + 1, picture.height - 1), lower)
        for (j in 0 until size.width) {
            val left = min(2 * j, picture.width - 1) * channels
            val right = min(2 * j + 1, picture.width - 1) * channels
            for (channel in 0 until channels) {
                val (a, b) = upper[left + channel] to upper[right + channel]
                val (c, d) = lower[left + channel] to lower[right + channel]
                result.values[goal++] = sqrt((a * a + b * b + c * c + d * d) / 4)
            }
        }
    }
    return result
}

/** The images of all levels; the last is the photo itself (step 3). */
fun imageLevels(photo: Pixels, levels: Levels): List<Pixels> {
    val images = ArrayDeque<Pixels>(listOf(photo))
    for (level in levels.count - 1 downTo 0) images.addFirst(halved(images.first(), levels.size(level)))
    return images
}

/** The input size of the depth network that suits a photo: that of the nearest aspect (step 4). */
fun depthSizeFor(plan: Plan, photo: Pixels): Size =
    plan.depthSizes.minBy { abs(ln(it.height.toDouble() * photo.width / (it.width.toDouble() * photo.height))) }

/** The whole photo stretched to the depth network's input (step 4). */
fun depthInput(photo: Pixels, size: Size): Picture = stretched(photo, size)

/** Disparity within [range] of the focus is moved to it, the rest nearer to it by as much (step 7). */
fun held(map: Picture, focus: Double, range: Double): Picture {
    if (range == 0.0) return map
    val (middle, reach) = focus.toFloat() to range.toFloat()
    return map.mapped { value ->
        val offset = value - middle
        offset - offset.coerceIn(-reach, reach) + middle
    }
}

/** Disparity at the pixels of a level; [filled] as the lens blur wants it, which takes fewer pixels (step 9). */
fun disparityAt(map: Picture, levels: Levels, level: Int, rules: Rules, filled: Boolean = false): Picture {
    val size = levels.size(level)
    val (down, across) = levels.pitches(level, map)
    val mean = resampled(map, size, down, across)
    if (listOf(down, across).any { it.above < rules.thinPitch * it.below }) return mean
    val nearest = largest(map, size, down, across)
    val (most, least) = around(mean, ::max) to around(mean, ::min)
    val thin = BooleanArray(mean.values.size) { k ->
        nearest.values[k] - most[k] > rules.thinShare.toFloat() * (nearest.values[k] - least[k])
    }
    val taken = if (filled) mostlyFilled(thin, mean, most, rules) else thin
    return Picture(size.height, size.width, 1, FloatArray(taken.size) { k ->
        if (taken[k]) nearest.values[k] else mean.values[k]
    })
}

/** Of thin pixels the full ones, and those beside which there is none (step 9.6). */
private fun mostlyFilled(thin: BooleanArray, mean: Picture, most: FloatArray, rules: Rules): BooleanArray {
    val full = BooleanArray(thin.size) { k -> thin[k] && mean.values[k] >= most[k] - rules.thinTie.toFloat() }
    val marks = Picture(mean.height, mean.width, 1, FloatArray(full.size) { k -> if (full[k]) 1f else 0f })
    val beside = around(marks, ::max)
    return BooleanArray(thin.size) { k -> thin[k] && (full[k] || beside[k] == 0f) }
}

/** Signed radius of the circle of confusion in pixels of the level that the map belongs to (step 10). */
fun defocused(map: Picture, lens: Lens, longSide: Double, rules: Rules): Picture {
    val scale = (lens.aperture * longSide / rules.longSidePerRadius).toFloat()
    return map.mapped { value -> (value - lens.focus.toFloat()) * scale }
}

/** Defocus as the networks get it (step 10). */
fun forNetwork(radii: FloatArray, rules: Rules) =
    FloatArray(radii.size) { k -> (radii[k] / rules.networkRadius.toFloat()).coerceIn(-1f, 1f) }

/** The extreme of the 3 × 3 values at every pixel, the edge repeated. */
private fun around(map: Picture, extreme: (Float, Float) -> Float): FloatArray {
    val (width, values) = map.width to map.values
    val along = FloatArray(values.size) { k ->
        val j = k % width
        extreme(extreme(values[if (j > 0) k - 1 else k], values[k]), values[if (j < width - 1) k + 1 else k])
    }
    return FloatArray(values.size) { k ->
        extreme(extreme(along[if (k < width) k else k - width], along[k]), along[if (k + width < along.size) k + width else k])
    }
}

private inline fun Picture.mapped(change: (Float) -> Float) =
    Picture(height, width, channels, FloatArray(values.size) { k -> change(values[k]) })
