// The least page: choose a photo, tap what is to be sharp, choose how much is to be blurred.

import { StudioClient } from "./portrait/index.js";

const [file, aperture] = document.querySelectorAll("input");
const [status, canvas] = [document.querySelector("[role=status]"), document.querySelector("canvas")];
const studio = new StudioClient();
let focus;

const address = (path) => new URL(path, document.baseURI).href;
const { runtime } = await studio.open({
  bundle: address("bundle/"),
  kind: "onnx",
  runtime: address("node_modules/onnxruntime-web/dist/"),
  accelerator: "auto",
});
file.disabled = false;
status.textContent = `Ready: ${runtime}.`;

file.onchange = async () => {
  const bitmap = await createImageBitmap(file.files[0]); // upright, whatever EXIF says
  Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white"; // what is transparent lies over white
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  await studio.load(context.getImageData(0, 0, bitmap.width, bitmap.height));
  focus = await studio.focus(null);
  await render();
};
canvas.onclick = async ({ offsetX, offsetY }) => {
  focus = await studio.focus({ x: offsetX / canvas.clientWidth, y: offsetY / canvas.clientHeight });
  await render();
};
aperture.onchange = render;

async function render() {
  if (focus === undefined) return;
  const lens = { focus, aperture: Number(aperture.value) };
  const progress = (done, of) => (status.textContent = `${done} of ${of} tiles`);
  const { width, height, data } = await studio.render({ lens }, progress).catch((error) => {
    if (error.name === "AbortError") return {}; // a newer one is on its way
    throw error;
  });
  if (!data) return;
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  status.textContent = `Done: ${runtime}.`;
}
