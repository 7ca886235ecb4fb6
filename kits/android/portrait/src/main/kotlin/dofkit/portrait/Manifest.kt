// What the app reads of `manifest.json`.

package dofkit.portrait

/** Numbers of the steps around the networks; the bundle's README says what each is. */
class Rules(json: Json) {
    val lowestLongSide = json["lowest_long_side"].int
    val refineFrom = json["refine_from"].double
    val refineLongSide = json["refine_long_side"].int
    val refineEdge = json["refine_edge"].double
    val refineDistance = json["refine_distance"].double
    val refineColour = json["refine_colour"].double
    val refineAlike = json["refine_alike"].double
    val refineLeast = json["refine_least"].double
    val tapWindow = json["tap_window"].double
    val tapAlike = json["tap_alike"].double
    val focusLongSide = json["focus_long_side"].int
    val subjectSpread = json["subject_spread"].double
    val subjectBins = json["subject_bins"].int
    val subjectWindow = json["subject_window"].int
    val longSidePerRadius = json["long_side_per_radius"].double
    val networkRadius = json["network_radius"].double
    val thinPitch = json["thin_pitch"].int
    val thinShare = json["thin_share"].double
    val thinTie = json["thin_tie"].double

    /** Where nobody has chosen one. */
    val usualAperture = json["usual_aperture"].double
}

/** Sizes and thresholds that belong to a bundle's networks. */
class Plan(json: Json) {
    val depthSizes = listOf(Size(json["depth_height"].int, json["depth_width"].int)) +
        json["further_depth_sizes"].list.map { it.list }.map { (height, width) -> Size(height.int, width.int) }
    val lensBlur = json["lens_blur"].let { Tiles(it["tile"].int, it["halo"].int) }
    val guidedUpsampling = json["guided_upsampling"].let { Tiles(it["tile"].int, it["halo"].int) }
    val focusRange = json["focus_range"].double
    val copyBelow = json["copy_below"].double
}

/** An input of a network. */
class Input(json: Json) {
    val name = json["name"].text

    private val shape = json["shape"].list.map { it.int }
    private val isInterleaved = json["layout"].text == "NHWC"

    /** Of a picture or a map. */
    val size get() = if (isInterleaved) Size(shape[1], shape[2]) else Size(shape[2], shape[3])
}

/** One exported network. */
class Model(json: Json) {
    val stage = json["stage"].text
    val target = json["target"].text
    val precision = json["precision"].text
    val path = json["path"].text
    val depthSize = json["depth_size"].listOrNull?.let { (height, width) -> Size(height.int, width.int) }
    val inputs = json["inputs"].list.map(::Input)
    val output = json["outputs"].list[0]["name"].text
}

class Manifest(val json: Json) {
    val plan = Plan(json["plan"])
    val rules = Rules(json["rules"])
    val models = json["models"].list.map(::Model)

    /** Of the preview graph, where the bundle carries one. */
    val preview: PreviewSizes? = models.firstOrNull { it.stage == "preview" }?.let { model ->
        fun sizeOf(name: String) = model.inputs.first { it.name == name }.size
        PreviewSizes(sizeOf("image"), sizeOf("disparity"))
    }

    constructor(text: String) : this(Json.parse(text))

    /** The model of a stage for a target, the manifest's first precision where none is named. */
    fun model(stage: String, target: String, precision: String? = null, depth: Size? = null): Model {
        val wanted = precision ?: models.firstOrNull { it.target == target }?.precision
        val size = depth.takeIf { it != plan.depthSizes[0] }
        return models.firstOrNull {
            it.stage == stage && it.target == target && it.precision == wanted && it.depthSize == size
        } ?: error("the bundle has no $target $wanted model for $stage${size?.let { " of ${it.height} × ${it.width}" } ?: ""}")
    }
}
