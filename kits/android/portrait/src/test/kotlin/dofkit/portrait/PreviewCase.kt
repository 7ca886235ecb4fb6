// What the preview graph is given of a step case's photo and map, and what becomes of its result: as `dofkit kit` recorded
// it, where the bundle carries a preview.

package dofkit.portrait

import java.io.File
import kotlin.math.abs

private const val EVERY = 7 // rows and columns are stored

class PreviewCase(private val manifest: Manifest, private val case: Json, private val inputs: Map<String, StoredTensor>) {
    fun check(file: File) {
        if (manifest.preview == null) return
        val (stored, echo) = readTensors(file) to Echo()
        val portrait = Portrait(manifest, echo)
        val scene = portrait.scene(inputs.getValue("photo").photo())
        val (known, isPredicted) = inputs.getValue("map").map() to (case["focus_range"].double > 0)
        val map = if (isPredicted) known else portrait.refined(scene, known)
        val lens = Lens(case["focus"].double, case["aperture"].double)
        val result = portrait.preview(scene, map, lens, isPredicted)
        for (name in listOf("image", "disparity")) isClose(name, stored.getValue(name), echo.picture(name))
        isClose("portrait", stored.getValue("portrait"), result)
        val aperture = echo.given.getValue("aperture").values[0]
        check(abs(aperture - stored.getValue("aperture").values[0]) < 1e-6) { "preview: aperture $aperture" }
        check(echo.given.getValue("focus").values[0] == lens.focus.toFloat()) { "preview: focus" }
    }

    private fun isClose(name: String, stored: StoredTensor, made: Pixels) {
        val (rows, columns) = stored.shape
        check(rows == (made.height + EVERY - 1) / EVERY && columns == (made.width + EVERY - 1) / EVERY) { "preview: size of $name" }
        val row = FloatArray(made.width * made.channels)
        for (i in 0 until rows) {
            made.row(i * EVERY, row)
            for (k in 0 until columns * made.channels) {
                val value = row[k / made.channels * EVERY * made.channels + k % made.channels] * stored.white
                val away = abs(value - stored.values[i * columns * made.channels + k])
                check(away <= stored.allowed) { "preview: $name is $away off" }
            }
        }
    }
}

/** A preview graph that gives its image back, and keeps what it was given. */
private class Echo : Stages {
    var given: Map<String, Tensor> = emptyMap()
    override val lensBlur get() = error("no tile is computed")
    override val guidedUpsampling get() = error("no tile is computed")

    override fun depth(size: Size) = error("no depth is computed")

    override val preview = object : Stage {
        override val layout = Layout.NCHW

        override fun run(inputs: Map<String, Tensor>): FloatArray {
            given = inputs
            return inputs.getValue("image").values
        }
    }

    /** What it was given, as a picture. */
    fun picture(name: String): Picture {
        val (_, channels, height, width) = given.getValue(name).shape.toList()
        val values = given.getValue(name).values
        return Picture(height, width, channels, FloatArray(values.size) { values[it % channels * height * width + it / channels] })
    }
}
