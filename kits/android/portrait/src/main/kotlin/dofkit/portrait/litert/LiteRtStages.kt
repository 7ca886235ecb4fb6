// Not compiled here: a thin layer over LiteRT's CompiledModel, written without an Android SDK at hand.

package dofkit.portrait.litert

import android.content.res.AssetManager
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import dofkit.portrait.Layout
import dofkit.portrait.Manifest
import dofkit.portrait.Model
import dofkit.portrait.Portrait
import dofkit.portrait.Size
import dofkit.portrait.Stage
import dofkit.portrait.Stages
import dofkit.portrait.Tensor

/** The folder of manifest and models among the app's assets. */
private const val FOLDER = "portrait"

/** The pipeline over the app's own models. Open it off the main thread, close it with the screen. */
fun openPortrait(assets: AssetManager, gpu: Boolean): Pair<Portrait, LiteRtStages> {
    val manifest = Manifest(assets.open("$FOLDER/manifest.json").bufferedReader().use { it.readText() })
    val stages = LiteRtStages(assets, manifest, gpu)
    return Portrait(manifest, stages) to stages
}

/** The stages of the manifest's first precision; on the GPU where it takes a whole network, else on the CPU. */
class LiteRtStages(
    private val assets: AssetManager,
    private val manifest: Manifest,
    private val gpu: Boolean,
) : Stages, AutoCloseable {
    private val depths = HashMap<Size, LiteRtStage>()
    override val lensBlur = opened(manifest.model("lens_blur", "tflite"))
    override val guidedUpsampling = opened(manifest.model("guided_upsampling", "tflite"))

    private val openPreview = lazy { manifest.preview?.let { opened(manifest.model("preview", "tflite")) } }
    override val preview: LiteRtStage? by openPreview

    override fun depth(size: Size): Stage =
        depths.getOrPut(size) { opened(manifest.model("depth", "tflite", depth = size)) }

    override fun close() {
        (depths.values + lensBlur + guidedUpsampling).forEach(LiteRtStage::close)
        if (openPreview.isInitialized()) preview?.close()
    }

    private fun opened(model: Model): LiteRtStage {
        fun on(accelerator: Accelerator) =
            CompiledModel.create(assets, "$FOLDER/${model.path}", CompiledModel.Options(accelerator))
        val compiled = if (gpu) runCatching { on(Accelerator.GPU) }.getOrElse { on(Accelerator.CPU) } else on(Accelerator.CPU)
        return LiteRtStage(compiled, model)
    }
}

/** One file. Tensors are bound by name: their order is the converter's. */
class LiteRtStage(private val compiled: CompiledModel, private val model: Model) : Stage, AutoCloseable {
    override val layout = Layout.NHWC
    private val inputs = model.inputs.map { it.name }.associateWith { compiled.createInputBuffer(it, model.stage) }
    private val output = compiled.createOutputBuffer(model.output, model.stage)

    override fun run(inputs: Map<String, Tensor>): FloatArray {
        for ((name, tensor) in inputs) this.inputs.getValue(name).writeFloat(tensor.values)
        compiled.run(this.inputs, mapOf(model.output to output), model.stage)
        return output.readFloat()
    }

    override fun close() {
        inputs.values.forEach { it.close() }
        output.close()
        compiled.close()
    }
}
