// Replays the bundle's step cases: what every step around the networks makes of small photos, formulas in the place of
// the networks. No runtime is needed. `npm test`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { Picture, clamp } from "../portrait/picture.js";
import { Portrait, isSharp, tiles } from "../portrait/portrait.js";
import * as rules from "../portrait/rules.js";
import { readTensors } from "../portrait/safetensors.js";

const bundle = new URL("../bundle/", import.meta.url);
const manifest = JSON.parse(await readFile(new URL("manifest.json", bundle), "utf8"));
const { plan } = manifest;

/** What stands for the networks; see the bundle's README. */
const standIns = {
  lens_blur: {
    layout: "NHWC",
    async run({ image, defocus }) {
      const [, side, , channels] = image.shape;
      const at = (i, j, channel) => image.data[(clamp(i, 0, side - 1) * side + clamp(j, 0, side - 1)) * channels + channel];
      return image.data.map((_, k) => {
        const [pixel, channel] = [Math.floor(k / channels), k % channels];
        const [i, j] = [Math.floor(pixel / side), pixel % side];
        const mean = (at(i, j, channel) + at(i, j + 3, channel) + at(i - 2, j, channel)) / 3;
        return mean * (1.2 - defocus.data[pixel] / 2) - 0.05;
      });
    },
  },
  guided_upsampling: {
    layout: "NHWC",
    async run({ image_high: high, image_low: low, blurred_low: blurred, defocus_low: defocus }) {
      const [side, channels] = [low.shape[1], 3];
      return high.data.map((value, k) => {
        const [pixel, channel] = [Math.floor(k / channels), k % channels];
        const [i, j] = [Math.floor(pixel / (2 * side)) >> 1, (pixel % (2 * side)) >> 1];
        const at = (column) => (i * side + Math.max(column, 0)) * channels + channel;
        const mean = (blurred.data[at(j)] + blurred.data[at(j - 1)]) / 2;
        return mean + (value - low.data[at(j)]) * (1.1 - Math.abs(defocus.data[i * side + j]));
      });
    },
  },
};

/** Of a stored type: the number that means 1, and how far a result may be from it. */
const SCALES = { Uint8Array: [255, 1], Uint16Array: [65535, 4], Float32Array: [1, 1e-3] };

/** Compares results with the stored tensors of a case, of which every k-th row and column is there. */
class Stored {
  constructor(entry, tensors) {
    Object.assign(this, { entry, tensors, compared: new Set(["photo", "map"]) });
  }

  isClose(name, { height, width, channels, data, stride, pitch, white }) {
    this.compared.add(name);
    const { shape: [rows, columns], data: expected } = this.tensors.get(name);
    const { every } = this.entry.tensors[name];
    assert.deepEqual([rows, columns], [Math.ceil(height / every), Math.ceil(width / every)], `${name}: size`);
    const [most, allowed] = SCALES[expected.constructor.name];
    const encoded = (value) => (most === 1 ? value : clamp((value * most) / white, 0, most));
    let far = 0;
    expected.forEach((value, k) => {
      const [pixel, channel] = [Math.floor(k / channels), k % channels];
      const from = Math.floor(pixel / columns) * every * pitch + (pixel % columns) * every * stride + channel;
      far = Math.max(far, Math.abs(encoded(data[from]) - value));
    });
    assert.ok(far <= allowed, `step ${this.entry.tensors[name].step}, ${name}: ${far} off`);
  }

  isTile(name, tile, channels, values) {
    this.isClose(name, new Picture(tile, tile, channels, values));
  }

  areCopied(name, radii, { tile, halo }) {
    this.compared.add(name);
    const copied = [...tiles(radii, tile, halo)].map(([top, left]) => {
      return +isSharp(radii.cut(top - halo, left - halo, tile, tile, "NHWC"), plan);
    });
    assert.deepEqual(copied, [...this.tensors.get(name).data], `step 11, ${name}`);
  }
}

for (const entry of manifest.steps) {
  test(`${entry.name}: ${entry.note}`, async () => {
    const file = await readFile(new URL(entry.path, bundle));
    const tensors = readTensors(file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength));
    const stored = new Stored(entry, tensors);
    const { photo, map: known } = Object.fromEntries(["photo", "map"].map((name) => [name, pictureOf(tensors.get(name))]));
    const portrait = new Portrait({ ...manifest, plan: { ...plan, focus_range: entry.focus_range } }, standIns);
    const scene = portrait.scene(photo);
    const map = entry.focus_range ? known : portrait.refined(scene, known);
    if (map !== known) stored.isClose("refined", map);

    const size = rules.depthSizeFor(plan, photo.height, photo.width);
    assert.deepEqual(size, entry.depth_size);
    stored.isClose("depth_input", rules.depthInput(photo, size));
    const point = entry.tap && { x: entry.tap[0], y: entry.tap[1] };
    const focus = portrait.focus(map, point);
    assert.ok(Math.abs(focus - entry.focus) <= 1e-5, `step 6: focus ${focus} for ${entry.focus}`);
    const lens = { focus, aperture: entry.aperture };
    const held = rules.held(map, focus, entry.focus_range);
    if (entry.focus_range) stored.isClose("held", held);

    const levels = scene.levels.startedFor(held, lens, manifest.rules);
    assert.deepEqual([levels.count, levels.count < scene.levels.count], [entry.levels, entry.weak], "step 8");
    const images = scene.imagesOf(levels);
    const radii = checkedRadii(stored, held, levels, lens);
    images.slice(0, -1).forEach((image, level) => stored.isClose(`level_${level}`, image));
    const results = [];
    const finished = (picture) => results.push(picture);
    const rendered = await portrait.render(scene, map, lens, { finished });
    results.slice(0, -1).forEach((result, level) => stored.isClose(`blurred_${level}`, result));
    stored.isClose("rendered", rendered);
    checkLastTiles(stored, images, results, radii);
    assert.deepEqual(stored.compared, new Set(tensors.keys()), "tensors that nobody compared");
  });
}

/** Disparity and defocus of every level, checked. */
function checkedRadii(stored, held, levels, lens) {
  const checked = (name, level, filled) => {
    const values = rules.disparityAt(held, levels, level, manifest.rules, filled);
    stored.isClose(`disparity_${name}`, values);
    const radii = rules.defocused(values, lens, levels.longSide(level), manifest.rules);
    stored.isClose(`defocus_${name}`, radii);
    return radii;
  };
  const blur = checked("blur", 0, true);
  const upsampling = Array.from({ length: levels.count }, (_, level) => checked(level, level, false));
  stored.areCopied("copied_blur", blur, plan.lens_blur);
  upsampling.forEach((radii, level) => stored.areCopied(`copied_${level + 1}`, radii, plan.guided_upsampling));
  return { blur, upsampling };
}

/** The inputs of the last tile of the blur and of the first upsampling. */
function checkLastTiles(stored, images, results, { blur, upsampling }) {
  const last = (radii, { tile, halo }) => {
    const [top, left] = [...tiles(radii, tile, halo)].at(-1);
    return [top - halo, left - halo, tile, tile];
  };
  const check = (name, picture, corner) => {
    stored.isTile(name, corner[2], picture.channels, picture.cut(...corner, "NHWC"));
  };
  const network = (radii) => new Picture(radii.height, radii.width, 1, rules.forNetwork(radii.data, manifest.rules));
  const corner = last(blur, plan.lens_blur);
  check("tile_blur.image", images[0], corner);
  check("tile_blur.defocus", network(blur), corner);
  if (!upsampling.length) return;
  const low = last(upsampling[0], plan.guided_upsampling);
  check("tile_upsampling.image_high", images[1], low.map((n) => 2 * n));
  check("tile_upsampling.image_low", images[0], low);
  check("tile_upsampling.blurred_low", results[0], low);
  check("tile_upsampling.defocus_low", network(upsampling[0]), low);
}

/** A stored photo as it is, a stored map in floats. */
function pictureOf({ shape: [height, width, channels = 1], data }) {
  if (channels === 3) return new Picture(height, width, 3, data);
  const white = data instanceof Uint16Array ? 65535 : 255;
  return new Picture(height, width, 1, Float32Array.from(data, (value) => value / white));
}
