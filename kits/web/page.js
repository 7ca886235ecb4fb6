// The least page: choose a photo, tap what is to be sharp, choose how much is to be blurred.

import { StudioClient } from "./portrait/index.js";

const [file, aperture] = document.querySelectorAll("input");
const [status, canvas] = [document.querySelector("[role=status]"), document.querySelector("canvas")];
const studio = new StudioClient();
let focus, depth;

const address = (path) => new URL(path, document.baseURI).href;
const { runtime, aperture: usual } = await studio.open({
  bundle: address("bundle/"),
  kind: "onnx",
  runtime: address("node_modules/onnxruntime-web/dist/"),
  accelerator: "auto",
});
file.disabled = false;
aperture.value = usual;
status.textContent = `Ready: ${runtime}.`;

file.onchange = async () => {
  const bitmap = await createImageBitmap(file.files[0]); // upright, whatever EXIF says
  Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white"; // what is transparent lies over white
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  const { unread } = await studio.load({ pixels: context.getImageData(0, 0, bitmap.width, bitmap.height), file: file.files[0] });
  depth = unread ? " This browser cannot read the photo's own depth." : "";
  focus = await studio.focus(null);
  await render();
};
canvas.onclick = async ({ offsetX, offsetY }) => {
  focus = await studio.focus({ x: offsetX / canvas.clientWidth, y: offsetY / canvas.clientHeight });
  await render();
};
aperture.oninput = () => render("preview");
aperture.onchange = () => render();

/** In full, or what a slider shows while it moves. */
async function render(how = "render") {
  if (focus === undefined) return;
  const lens = { focus, aperture: Number(aperture.value) };
  const progress = (done, of) => (status.textContent = `${done} of ${of} tiles`);
  const { width, height, data } = await studio[how]({ lens }, progress).catch((error) => {
    if (error.name === "AbortError") return {}; // a newer one is on its way
    throw error;
  });
  if (!data) return;
  const picture = await createImageBitmap(new ImageData(data, width, height)); // of a slider: smaller than the photo
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  status.textContent = `Done: ${runtime}.${depth}`;
}
