// Computes a case of `host_steps.py` by the web kit; prints how far from it each step is. Arguments: kit, tensors, numbers.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [kit, tensorsFile, numbersText] = process.argv.slice(2);
const from = (name) => import(new URL(`portrait/${name}.js`, pathToFileURL(`${kit}/`)));
const [{ Picture }, { Scene }, { readTensors }, rules, focus] = await Promise.all(
  ["picture", "portrait", "safetensors", "rules", "focus"].map(from),
);

const file = await readFile(tensorsFile);
const tensors = readTensors(file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength));
const numbers = JSON.parse(numbersText);
const picture = (name) => {
  const { shape: [height, width, channels = 1], data } = tensors.get(name);
  return new Picture(height, width, channels, data);
};
const far = {};
const compare = (name, made) => {
  const [given, values] = [picture(name), made.floats().data];
  if (given.height !== made.height || given.width !== made.width) throw new Error(`${name}: ${made.height} × ${made.width}`);
  far[name] = given.data.reduce((most, value, k) => Math.max(most, Math.abs(value - values[k])), 0);
};

const scene = new Scene(picture("photo"));
const map = picture("map");
scene.images.slice(0, -1).forEach((image, level) => compare(`image_${level}`, image));
const size = rules.depthSizeFor(numbers.plan, scene.photo.height, scene.photo.width);
compare("depth_input", rules.depthInput(scene.images, scene.levels, size));
far.auto_focus = Math.abs(focus.autoFocus(map) - numbers.auto_focus);
far.tap_focus = Math.abs(focus.focusAt(map, numbers.tap, numbers.held) - numbers.tap_focus);
const lens = { focus: numbers.auto_focus, aperture: numbers.aperture };
const held = rules.held(map, lens.focus, numbers.held);
compare("held", held);
const levels = scene.levels.startedFor(held, lens);
const radii = (level, filled) => {
  return rules.defocused(rules.disparityAt(held, levels, level, filled), lens, levels.longSide(level));
};
compare("blurred", radii(0, true));
for (let level = 0; level < levels.count; level++) compare(`upsampled_${level}`, radii(level, false));
console.log(JSON.stringify(far));
