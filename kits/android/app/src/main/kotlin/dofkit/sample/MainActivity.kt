// Not compiled here: the least screen over the kit, written without an Android SDK at hand.

package dofkit.sample

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.ImageDecoder
import android.net.Uri
import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.compose.setContent
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia.ImageOnly
import androidx.compose.foundation.Image
import androidx.compose.foundation.gestures.detectTapGestures
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.safeDrawingPadding
import androidx.compose.material3.Button
import androidx.compose.material3.Slider
import androidx.compose.material3.Text
import androidx.compose.runtime.*
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.asImageBitmap
import androidx.compose.ui.input.pointer.pointerInput
import androidx.compose.ui.unit.dp
import dofkit.portrait.*
import dofkit.portrait.litert.openPortrait
import java.util.concurrent.Executors
import kotlinx.coroutines.Job
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.isActive
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

private const val PREVIEW = 640.0 // long side of the lowest levels, where the bundle has no preview graph

class MainActivity : ComponentActivity() {
    // A session computes one call at a time: one thread for all of them.
    private val worker = Executors.newSingleThreadExecutor().asCoroutineDispatcher()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContent { PortraitScreen() }
    }

    override fun onDestroy() {
        worker.close()
        super.onDestroy()
    }

    @Composable
    private fun PortraitScreen() {
        val scope = rememberCoroutineScope()
        var portrait by remember { mutableStateOf<Portrait?>(null) }
        var scene by remember { mutableStateOf<Scene?>(null) }
        var map by remember { mutableStateOf<Picture?>(null) }
        var focus by remember { mutableDoubleStateOf(0.0) }
        var aperture by remember { mutableFloatStateOf(0.5f) }
        var shown by remember { mutableStateOf<Bitmap?>(null) }
        var job by remember { mutableStateOf<Job?>(null) }

        fun render(isPreview: Boolean = false) {
            val (pipeline, photo, disparity) = Triple(portrait ?: return, scene ?: return, map ?: return)
            job?.cancel()
            job = scope.launch {
                shown = withContext(worker) {
                    if (!isActive) return@withContext null
                    val lens = Lens(focus, aperture.toDouble())
                    val longSide = if (isPreview) PREVIEW else Double.POSITIVE_INFINITY
                    val rendering = Rendering(longSide = longSide, isCancelled = { !isActive })
                    runCatching {
                        if (isPreview && pipeline.hasPreview) pipeline.preview(photo, disparity, lens)
                        else pipeline.render(photo, disparity, lens, rendering)
                    }.getOrNull()?.bitmap()
                } ?: shown
            }
        }

        fun focusAt(point: Point?) {
            scope.launch {
                focus = withContext(worker) { portrait!!.focus(map!!, point) }
                render()
            }
        }

        val picker = rememberLauncherForActivityResult(PickVisualMedia()) { uri ->
            if (uri == null) return@rememberLauncherForActivityResult
            scope.launch {
                withContext(worker) {
                    val pipeline = portrait ?: openPortrait(assets, gpu = true).first.also {
                        portrait = it
                        aperture = it.usualAperture.toFloat()
                    }
                    val photo = contentResolver.photo(uri)
                    shown = photo.bitmap()
                    scene = pipeline.scene(photo).also { map = pipeline.disparity(it) }
                }
                focusAt(null)
            }
        }
        Column(Modifier.safeDrawingPadding().padding(16.dp)) {
            Button({ picker.launch(PickVisualMediaRequest(ImageOnly)) }) { Text("Open a photo") }
            shown?.let { bitmap ->
                Image(
                    bitmap.asImageBitmap(), "Tap what is to be sharp",
                    Modifier.fillMaxWidth().pointerInput(map) {
                        detectTapGestures { (x, y) -> focusAt(Point(x / size.width.toDouble(), y / size.height.toDouble())) }
                    },
                )
                Slider(
                    aperture, { aperture = it; render(isPreview = true) },
                    onValueChangeFinished = { render() },
                )
            }
        }
    }
}

/** Upright, in sRGB: the decoder applies the orientation of EXIF and converts profiles. */
private fun ContentResolver.photo(uri: Uri): Photo {
    val bitmap = ImageDecoder.decodeBitmap(ImageDecoder.createSource(this, uri)) { decoder, _, _ ->
        decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
        decoder.setTargetColorSpace(android.graphics.ColorSpace.get(android.graphics.ColorSpace.Named.SRGB))
    }
    return Photo(bitmap.height, bitmap.width).also {
        bitmap.getPixels(it.argb, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
    }
}

private fun Photo.bitmap() = Bitmap.createBitmap(argb, width, height, Bitmap.Config.ARGB_8888)
