// Replays the bundle's step cases: what every step around the networks makes of small photos, formulas in the place of
// the networks. A main program of the JVM: no Android, no runtime. Arguments: the folder of manifest.json, that of golden/,
// and names of cases (all, if none are given).

package dofkit.portrait

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.system.exitProcess

fun main(arguments: Array<String>) {
    val (models, golden) = arguments.take(2).map(::File)
    val failures = StepCases(models, golden).replay(arguments.drop(2))
    failures.forEach(::println)
    exitProcess(if (failures.isEmpty()) 0 else 1)
}

class StepCases(models: File, private val golden: File) {
    private val manifest = Manifest(File(models, "manifest.json").readText())

    /** A line for each case that differs, with the first step that does. */
    fun replay(names: List<String> = emptyList()): List<String> {
        val cases = manifest.json["steps"].list.filter { names.isEmpty() || it["name"].text in names }
        check(cases.isNotEmpty()) { "the bundle has no step cases" }
        return cases.mapNotNull { case ->
            val tensors = readTensors(File(golden, case["path"].text))
            val found = runCatching {
                StepCase(manifest, case, Stored(case["tensors"], tensors)).check()
                PreviewCase(manifest, case, tensors).check(File(golden, "golden/previews/${case["name"].text}.safetensors"))
            }
            println("${case["name"].text}: ${if (found.isSuccess) "ok" else "FAILED"}")
            found.exceptionOrNull()?.let { "${case["name"].text}: ${it.message}" }
        }
    }
}

private class StepCase(private val manifest: Manifest, private val case: Json, private val stored: Stored) {
    private val plan get() = manifest.plan
    private val rules get() = manifest.rules
    private val range = case["focus_range"].double
    private val photo = stored.photo()
    private val portrait = Portrait(manifest, StandIns)
    private val scene = portrait.scene(photo)
    private val map = if (range > 0) stored.map() else portrait.refined(scene, stored.map())

    fun check() {
        val size = depthSizeFor(plan, photo)
        same(case["depth_size"].list.map { it.int }, listOf(size.height, size.width), "step 4: size of the input")
        stored.isClose("depth_input", depthInput(photo, size))
        if (map.height != stored.map().height) stored.isClose("refined", map)
        val point = case["tap"].listOrNull?.let { (x, y) -> Point(x.double, y.double) }
        val focus = if (point == null) autoFocus(map, rules) else focusAt(map, point, rules, range)
        check(abs(focus - case["focus"].double) <= 1e-5) { "step 6: focus $focus for ${case["focus"].double}" }
        val lens = Lens(focus, case["aperture"].double)
        val held = held(map, focus, range)
        if (range > 0) stored.isClose("held", held)
        checkLevels(held, lens)
        stored.allCompared()
    }

    private fun checkLevels(held: Picture, lens: Lens) {
        val levels = scene.levels.startedFor(held, lens, rules)
        same(case["levels"].int to case["weak"].boolean, levels.count to (levels.count < scene.levels.count), "step 8")
        val images = scene.imagesOf(levels)
        images.dropLast(1).forEachIndexed { level, image -> stored.isClose("level_$level", image) }
        val blur = radii("blur", held, levels, 0, lens, filled = true)
        val upsampling = List(levels.count) { radii("$it", held, levels, it, lens, filled = false) }
        stored.areCopied("copied_blur", blur, plan.lensBlur, plan)
        upsampling.forEachIndexed { level, radii -> stored.areCopied("copied_${level + 1}", radii, plan.guidedUpsampling, plan) }
        val results = ArrayList<Pixels>()
        // The range was applied already: as of a measured map.
        portrait.render(scene, held, lens, Rendering(predicted = false, finished = { results += it }))
        results.dropLast(1).forEachIndexed { level, result -> stored.isClose("blurred_$level", result) }
        stored.isClose("rendered", results.last())
        checkLastTiles(images, results, blur, upsampling.firstOrNull())
    }

    private fun radii(name: String, held: Picture, levels: Levels, level: Int, lens: Lens, filled: Boolean): Picture {
        val values = disparityAt(held, levels, level, rules, filled)
        stored.isClose("disparity_$name", values)
        return defocused(values, lens, levels.longSide(level), rules).also { stored.isClose("defocus_$name", it) }
    }

    /** The inputs of the last tile of the blur and of the first upsampling. */
    private fun checkLastTiles(images: List<Pixels>, results: List<Pixels>, blur: Picture, upsampling: Picture?) {
        fun network(radii: Picture) = Picture(radii.height, radii.width, 1, forNetwork(radii.values, rules))
        val square = plan.lensBlur.around(plan.lensBlur.over(blur).last())
        stored.isTile("tile_blur.image", images[0], square)
        stored.isTile("tile_blur.defocus", network(blur), square)
        if (upsampling == null) return
        val low = plan.guidedUpsampling.around(plan.guidedUpsampling.over(upsampling).last())
        stored.isTile("tile_upsampling.image_high", images[1], low.doubled())
        stored.isTile("tile_upsampling.image_low", images[0], low)
        stored.isTile("tile_upsampling.blurred_low", results[0], low)
        stored.isTile("tile_upsampling.defocus_low", network(upsampling), low)
    }
}

/** The stored tensors of a case, of which every k-th row and column is there. */
private class Stored(private val entries: Json, private val tensors: Map<String, StoredTensor>) {
    private val compared = mutableSetOf("photo", "map")

    fun photo() = tensors.getValue("photo").photo()

    fun map() = tensors.getValue("map").map()

    fun isClose(name: String, made: Pixels) {
        compared += name
        val stored = tensors.getValue(name)
        val (step, every) = entries[name].let { it["step"].int to it["every"].int }
        val (rows, columns) = listOf(made.height, made.width).map { (it + every - 1) / every }
        same(stored.shape.take(2), listOf(rows, columns), "step $step, $name: size")
        val row = FloatArray(made.width * made.channels)
        var far = 0f
        for (k in stored.values.indices) {
            val (pixel, channel) = k / made.channels to k % made.channels
            if (k % (columns * made.channels) == 0) made.row(pixel / columns * every, row)
            val value = row[pixel % columns * every * made.channels + channel]
            val encoded = if (stored.isFloat) value else (value * stored.white).coerceIn(0f, stored.white)
            far = maxOf(far, abs(encoded - stored.values[k]))
        }
        check(far <= stored.allowed) { "step $step, $name: $far off" }
    }

    fun isTile(name: String, picture: Pixels, square: Square) =
        isClose(name, Picture(square.side, square.side, picture.channels, picture.cut(square, Layout.NHWC)))

    fun areCopied(name: String, radii: Picture, tiles: Tiles, plan: Plan) {
        compared += name
        val copied = tiles.over(radii).map { core -> if (isSharp(radii.cut(tiles.around(core), Layout.NHWC), plan)) 1f else 0f }
        same(tensors.getValue(name).values.toList(), copied, "step 11, $name")
    }

    fun allCompared() = same(tensors.keys, compared, "compared tensors")
}

private fun same(expected: Any, found: Any, what: String) = check(expected == found) { "$what is $found, not $expected" }

/** What stands for the networks; see the bundle's README. */
private object StandIns : Stages {
    override fun depth(size: Size): Stage = error("step cases bring their maps")

    override val lensBlur = object : Stage {
        override val layout = Layout.NHWC

        override fun run(inputs: Map<String, Tensor>): FloatArray {
            val (image, defocus) = inputs.getValue("image") to inputs.getValue("defocus").values
            val side = image.shape[1]
            fun at(i: Int, j: Int, channel: Int) =
                image.values[(i.coerceIn(0, side - 1) * side + j.coerceIn(0, side - 1)) * 3 + channel]
            return FloatArray(image.values.size) { k ->
                val (i, j, channel) = Triple(k / 3 / side, k / 3 % side, k % 3)
                val mean = (at(i, j, channel) + at(i, j + 3, channel) + at(i - 2, j, channel)) / 3
                mean * (1.2f - defocus[k / 3] / 2) - 0.05f
            }
        }
    }

    override val guidedUpsampling = object : Stage {
        override val layout = Layout.NHWC

        override fun run(inputs: Map<String, Tensor>): FloatArray {
            val (high, low) = inputs.getValue("image_high").values to inputs.getValue("image_low")
            val (blurred, defocus) = inputs.getValue("blurred_low").values to inputs.getValue("defocus_low").values
            val side = low.shape[1]
            return FloatArray(high.size) { k ->
                val (i, j, channel) = Triple(k / 3 / (2 * side) / 2, k / 3 % (2 * side) / 2, k % 3)
                fun at(column: Int) = (i * side + maxOf(column, 0)) * 3 + channel
                val mean = (blurred[at(j)] + blurred[at(j - 1)]) / 2
                mean + (high[k] - low.values[at(j)]) * (1.1f - abs(defocus[i * side + j]))
            }
        }
    }
}

/** A tensor of a safetensors file: its numbers as they are stored. */
class StoredTensor(val shape: List<Int>, val values: FloatArray, kind: String) {
    val isFloat = kind == "F32"

    /** The number that means 1. */
    val white = mapOf("U8" to 255f, "U16" to 65535f, "F32" to 1f).getValue(kind)

    /** How far a result may be from it. */
    val allowed = mapOf("U8" to 1f, "U16" to 4f, "F32" to 1e-3f).getValue(kind)

    fun photo() = Photo(shape[0], shape[1], IntArray(shape[0] * shape[1]) { k ->
        (0 until 3).fold(255) { colour, channel -> (colour shl 8) or values[3 * k + channel].toInt() }
    })

    fun map() = Picture(shape[0], shape[1], 1, FloatArray(values.size) { values[it] / white })
}

fun readTensors(file: File): Map<String, StoredTensor> {
    val buffer = ByteBuffer.wrap(file.readBytes()).order(ByteOrder.LITTLE_ENDIAN)
    val header = ByteArray(buffer.getLong().toInt()).also(buffer::get).decodeToString()
    val start = buffer.position()
    return (Json.parse(header).members - "__metadata__").mapValues { (_, entry) ->
        val (kind, shape) = entry["dtype"].text to entry["shape"].list.map { it.int }
        val first = start + entry["data_offsets"].list[0].int
        val values = FloatArray(shape.fold(1, Int::times)) { k ->
            when (kind) {
                "U8" -> (buffer.get(first + k).toInt() and 255).toFloat()
                "U16" -> (buffer.getShort(first + 2 * k).toInt() and 65535).toFloat()
                else -> buffer.getFloat(first + 4 * k)
            }
        }
        StoredTensor(shape, values, kind)
    }
}
