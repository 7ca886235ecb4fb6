// The pipeline: depth → lens blur in tiles → guided upsampling in tiles, level by level, over any stages.

package dofkit.portrait

import kotlin.math.abs
import kotlin.math.min

/** Numbers of a tensor, in its stage's layout. */
class Tensor(val shape: IntArray, val values: FloatArray)

/** A network that is ready to compute, whatever runs it. */
interface Stage {
    /** Of its inputs and its output. */
    val layout: Layout

    fun run(inputs: Map<String, Tensor>): FloatArray
}

/** The stages of a bundle; the depth network may be there at several input sizes. */
interface Stages {
    val lensBlur: Stage
    val guidedUpsampling: Stage

    fun depth(size: Size): Stage

    /** The whole pipeline as one graph, where the bundle carries it. */
    val preview: Stage? get() = null
}

/** Thrown where nobody waits for a rendering any more. */
class RenderingCancelled : Exception()

/** A photo with its levels, which every rendering of it needs. */
class Scene(val photo: Pixels, rules: Rules) {
    val levels = Levels.of(photo.height, photo.width, rules)
    private val images = imageLevels(photo, levels)

    /** What a preview graph is given of the photo: the same while a slider moves. */
    internal var preview: Tensor? = null

    /** The images of fewer levels: those above, without the padding that only the levels below wanted. */
    fun imagesOf(fewer: Levels): List<Pixels> = images.drop(levels.count - fewer.count).mapIndexed { level, image ->
        val size = fewer.size(level)
        val (height, width) = min(size.height, image.height) to min(size.width, image.width)
        if (height == image.height && width == image.width) image else Cropped(image, height, width)
    }
}

/** How far a rendering goes, and who hears of it. */
class Rendering(
    /** Whether the map is the depth network's: then a range around the focus is held sharp. */
    val predicted: Boolean = true,
    /** Stop at the first level that is as large: a preview. */
    val longSide: Double = Double.POSITIVE_INFINITY,
    val progress: (done: Int, of: Int) -> Unit = { _, _ -> },
    val isCancelled: () -> Boolean = { false },
    /** Called with the result of every level, from 0 on. */
    val finished: (Pixels) -> Unit = {},
)

/** Renders photos with a set of stages and the manifest that belongs to them. Not safe to use from several threads. */
class Portrait(private val manifest: Manifest, private val stages: Stages) {
    private val plan get() = manifest.plan
    private val rules get() = manifest.rules

    fun scene(photo: Pixels) = Scene(photo, rules)

    /** Disparity of a scene by the depth network, over the whole photo: a map of the network's own resolution. */
    fun disparity(scene: Scene): Picture {
        val size = depthSizeFor(plan, scene.photo)
        val stage = stages.depth(size)
        return Picture(size.height, size.width, 1, stage.run(mapOf("image" to tensor(depthInput(scene.photo, size), stage))))
    }

    /** A measured map as this scene is to be rendered with it: refined along the photo's edges where it is coarse. */
    fun refined(scene: Scene, map: Picture): Picture = refined(map, scene.photo, rules)

    /** Disparity in focus at a point, or of the subject where there is none. */
    fun focus(map: Picture, point: Point?, predicted: Boolean = true): Double =
        if (point == null) autoFocus(map, rules) else focusAt(map, point, rules, rangeFor(predicted))

    /** The aperture where nobody has chosen one. */
    val usualAperture get() = rules.usualAperture

    /**
     * A photo with a shallow depth of field; [map] is its disparity, of any resolution over the whole photo: the network's,
     * or a measured one, [refined].
     */
    fun render(scene: Scene, map: Picture, lens: Lens, rendering: Rendering = Rendering()): Photo {
        val disparity = checked(map, lens, rendering.predicted)
        // A preview always starts at the lowest level: the weak blur's start a level higher is four times the work.
        val preview = rendering.longSide.isFinite()
        val levels = if (preview) scene.levels else scene.levels.startedFor(disparity, lens, rules)
        val images = scene.imagesOf(levels)
        val last = (0 until levels.count).firstOrNull { levels.longSide(it) >= rendering.longSide } ?: levels.count
        val jobs = Jobs(tilesInAll(levels, last), rendering)
        fun radii(level: Int, filled: Boolean) =
            defocused(disparityAt(disparity, levels, level, rules, filled), lens, levels.longSide(level), rules)

        var result = canvas(levels, 0, last)
        blur(images[0], radii(0, filled = true), result, jobs)
        rendering.finished(result)
        for (level in 1..last) {
            val below = result
            result = canvas(levels, level, last)
            upsample(images[level], images[level - 1], below, radii(level - 1, filled = false), result, jobs)
            rendering.finished(result)
        }
        return result as Photo
    }

    /** Whether the bundle carries a preview graph, and the stages open it. */
    val hasPreview get() = manifest.preview != null && stages.preview != null

    /** The same by the preview graph, in one call that nothing ends: no larger than the graph's picture. */
    fun preview(scene: Scene, map: Picture, lens: Lens, predicted: Boolean = true): Photo {
        val stage = checkNotNull(stages.preview) { "the bundle has no preview graph" }
        val sizes = checkNotNull(manifest.preview) { "the bundle has no preview graph" }
        val frame = Frame(scene.photo, sizes)
        fun number(value: Double) = Tensor(intArrayOf(1, 1, 1, 1), floatArrayOf(value.toFloat()))
        val image = scene.preview ?: tensor(frame.image(), stage).also { scene.preview = it }
        val disparity = tensor(frame.disparity(checked(map, lens, predicted)), stage)
        val given = mapOf("image" to image, "disparity" to disparity, "focus" to number(lens.focus))
        return frame.result(stage.run(given + ("aperture" to number(frame.aperture(lens.aperture)))), stage.layout)
    }

    private fun checked(map: Picture, lens: Lens, predicted: Boolean): Picture {
        require(map.values.all { it.isFinite() }) { "the disparity holds NaN or infinite values" }
        return held(map, lens.focus, rangeFor(predicted))
    }

    private fun rangeFor(predicted: Boolean) = if (predicted) plan.focusRange else 0.0

    private fun blur(image: Pixels, radii: Picture, result: Canvas, jobs: Jobs) {
        val (stage, tiles) = stages.lensBlur to plan.lensBlur
        for (core in tiles.over(radii)) {
            val square = tiles.around(core)
            val defocus = radii.cut(square, stage.layout)
            val picture = image.cut(square, stage.layout)
            val output = if (isSharp(defocus, plan)) picture else stage.run(
                mapOf("image" to tensor(picture, 3, stage, square), "defocus" to network(defocus, stage, square)),
            )
            result.place(output, stage.layout, core, tiles.halo, tiles.tile)
            jobs.done()
        }
    }

    private fun upsample(high: Pixels, low: Pixels, blurred: Pixels, radii: Picture, result: Canvas, jobs: Jobs) {
        val (stage, tiles) = stages.guidedUpsampling to plan.guidedUpsampling
        for (core in tiles.over(radii)) {
            val square = tiles.around(core)
            val defocus = radii.cut(square, stage.layout)
            val picture = high.cut(square.doubled(), stage.layout)
            val output = if (isSharp(defocus, plan)) picture else stage.run(
                mapOf(
                    "image_high" to tensor(picture, 3, stage, square.doubled()),
                    "image_low" to tensor(low.cut(square, stage.layout), 3, stage, square),
                    "blurred_low" to tensor(blurred.cut(square, stage.layout), 3, stage, square),
                    "defocus_low" to network(defocus, stage, square),
                ),
            )
            result.place(output, stage.layout, core.doubled(), 2 * tiles.halo, 2 * tiles.tile)
            jobs.done()
        }
    }

    private fun network(radii: FloatArray, stage: Stage, square: Square) =
        tensor(forNetwork(radii, rules), 1, stage, square)

    private fun tensor(values: FloatArray, channels: Int, stage: Stage, square: Square) =
        Tensor(stage.layout.shape(channels, Size(square.side, square.side)), values)

    private fun tensor(picture: Picture, stage: Stage): Tensor {
        val values = if (stage.layout == Layout.NHWC) picture.values else picture.planes()
        return Tensor(stage.layout.shape(picture.channels, Size(picture.height, picture.width)), values)
    }

    private fun tilesInAll(levels: Levels, last: Int): Int {
        fun count(level: Int, tiles: Tiles) = levels.size(level).let { tiles.count(it.height) * tiles.count(it.width) }
        return count(0, plan.lensBlur) + (0 until last).sumOf { count(it, plan.guidedUpsampling) }
    }

    /** Where a level's result goes: padded floats below, the last one unpadded, 8 bits a channel. */
    private fun canvas(levels: Levels, level: Int, last: Int): Canvas {
        if (level < last) return levels.size(level).let { Picture(it.height, it.width, 3) }
        val factor = levels.factor(level)
        return Photo((levels.height + factor - 1) / factor, (levels.width + factor - 1) / factor)
    }
}

/** What a tile contributes to a picture (step 11). */
data class Core(val top: Int, val left: Int, val height: Int, val width: Int) {
    fun doubled() = Core(2 * top, 2 * left, 2 * height, 2 * width)
}

/** The tiles of a stage, in pixels of its low side (step 11). */
data class Tiles(val tile: Int, val halo: Int) {
    private val core get() = tile - 2 * halo

    /** How many there are along a side. */
    fun count(side: Int) = (side + core - 1) / core

    fun over(picture: Pixels): List<Core> = (0 until picture.height step core).flatMap { top ->
        (0 until picture.width step core).map { left ->
            Core(top, left, min(core, picture.height - top), min(core, picture.width - left))
        }
    }

    /** A core with its halo. */
    fun around(core: Core) = Square(core.top - halo, core.left - halo, tile)
}

/** Whether a tile of defocus is so small that the sharp picture is copied (step 11). */
fun isSharp(radii: FloatArray, plan: Plan) = radii.all { abs(it) < plan.copyBelow }

private fun Layout.shape(channels: Int, size: Size) =
    if (this == Layout.NCHW) intArrayOf(1, channels, size.height, size.width) else intArrayOf(1, size.height, size.width, channels)

private fun Picture.planes(): FloatArray {
    val pixels = height * width
    return FloatArray(values.size) { k -> values[k % pixels * channels + k / pixels] }
}

/** Counts tiles, and ends the rendering that nobody waits for. */
private class Jobs(private val total: Int, private val rendering: Rendering) {
    private var count = 0

    fun done() {
        rendering.progress(++count, total)
        if (rendering.isCancelled()) throw RenderingCancelled()
    }
}
