// The preview graph: how photos of any size and orientation lie in its picture, in both layouts. A made-up graph shows
// what it was given.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { Picture } from "../portrait/picture.js";
import { Portrait } from "../portrait/portrait.js";
import { PreviewGraph } from "../portrait/preview.js";
import { readTensors } from "../portrait/safetensors.js";

const [HEIGHT, WIDTH] = [20, 32];
const [ROWS, COLUMNS] = [10, 16]; // of its map
const manifest = { plan: { focus_range: 0.1 }, rules: { lowest_long_side: 320 } };

/** A portrait over a graph that gives its image back, and what the graph was given. */
function pretended(layout) {
  const given = {};
  const stage = { layout, run: async (inputs) => (Object.assign(given, inputs), inputs.image.data) };
  const shape = (channels, height, width) => (layout === "NCHW" ? [1, channels, height, width] : [1, height, width, channels]);
  const inputs = [["image", shape(3, HEIGHT, WIDTH)], ["disparity", shape(1, ROWS, COLUMNS)]];
  const entry = { inputs: inputs.map(([name, shape]) => ({ name, shape, layout })) };
  const graph = new PreviewGraph(stage, entry);
  return { portrait: new Portrait(manifest, { preview: async () => graph }), given };
}

/** Red grows to the right from 0 to 1, green downwards, blue is 0.5. */
function ramps(height, width) {
  const picture = Picture.blank(height, width, 3);
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) picture.data.set([(j + 0.5) / width, (i + 0.5) / height, 0.5], 3 * (i * width + j));
  }
  return picture;
}

/** Disparity that grows to the right. */
function rising(height, width) {
  return new Picture(height, width, 1, Float32Array.from({ length: height * width }, (_, k) => ((k % width) + 0.5) / width));
}

const near = (value, expected, allowed, what) => assert.ok(Math.abs(value - expected) <= allowed, `${what}: ${value} for ${expected}`);

for (const layout of ["NCHW", "NHWC"]) {
  for (const [height, width, rows, columns] of [[40, 64, 20, 32], [90, 60, 30, 20], [60, 60, 20, 20], [12, 16, 12, 16]]) {
    test(`${layout}: a photo of ${width} × ${height} comes back upright as ${columns} × ${rows}`, async () => {
      const { portrait } = pretended(layout);
      const scene = portrait.scene(ramps(height, width));
      const result = await portrait.preview(scene, rising(8, 8), { focus: 0.5, aperture: 1 });
      assert.deepEqual([result.height, result.width, result.stride], [rows, columns, 4]);
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          const [red, green, blue, alpha] = result.data.subarray(4 * (i * columns + j));
          near(red, (255 * (j + 0.5)) / columns, 1, `red of (${i}, ${j})`);
          near(green, (255 * (i + 0.5)) / rows, 1, `green of (${i}, ${j})`);
          assert.deepEqual([blue, alpha], [128, 255]);
        }
      }
    });
  }
}

test("the aperture is that of the photo's long side, not of the graph's", async () => {
  const { portrait, given } = pretended("NCHW");
  await portrait.preview(portrait.scene(ramps(60, 60)), rising(8, 8), { focus: 0.5, aperture: 0.8 });
  near(given.aperture.data[0], (0.8 * 20) / 32, 1e-6, "aperture");
  near(given.focus.data[0], 0.5, 0, "focus");
});

test("the map lies over the photo in the graph's picture, its edge repeated beyond", async () => {
  const { portrait, given } = pretended("NCHW");
  await portrait.preview(portrait.scene(ramps(40, 32)), rising(40, 32), { focus: 0, aperture: 1 }, { predicted: false });
  // Turned: the photo's right is the graph's bottom; 20 of 20 rows are the photo's, 25 of 32 columns.
  for (let i = 0; i < ROWS; i++) {
    for (let j = 0; j < COLUMNS; j++) near(given.disparity.data[i * COLUMNS + j], (i + 0.5) / ROWS, 2e-3, `(${i}, ${j})`);
  }
  await portrait.preview(portrait.scene(ramps(20, 16)), rising(20, 16), { focus: 0, aperture: 1 }, { predicted: false });
  // Not enlarged: 16 of 20 rows, so 8 of the map's 10, and then the last value.
  const expected = [...Array.from({ length: 8 }, (_, i) => (i + 0.5) / 8), 31 / 32, 31 / 32];
  for (let i = 0; i < ROWS; i++) near(given.disparity.data[i * COLUMNS], expected[i], 1e-6, `row ${i}`);
});

test("a network's disparity near the focus is held there, a measured one is not", async () => {
  const { portrait, given } = pretended("NHWC");
  const [scene, flat] = [portrait.scene(ramps(40, 64)), new Picture(4, 4, 1, new Float32Array(16).fill(0.55))];
  await portrait.preview(scene, flat, { focus: 0.5, aperture: 1 });
  near(given.disparity.data[0], 0.5, 1e-6, "held");
  await portrait.preview(scene, flat, { focus: 0.5, aperture: 1 }, { predicted: false });
  near(given.disparity.data[0], 0.55, 1e-6, "as measured");
});

// As `dofkit kit` recorded it of the step cases, where the bundle carries a preview.
const bundle = new URL("../bundle/", import.meta.url);
const written = JSON.parse(await readFile(new URL("manifest.json", bundle), "utf8"));
const entry = written.models.find(({ stage }) => stage === "preview");
const EVERY = 7; // rows and columns are stored

const tensorsAt = async (path) => {
  const { buffer, byteOffset, byteLength } = await readFile(new URL(path, bundle));
  return readTensors(buffer.slice(byteOffset, byteOffset + byteLength));
};

function asRecorded(picture, { shape, data }, what) {
  const white = data instanceof Uint8Array ? 255 : 65535;
  const { height, width, channels, pitch, stride } = picture;
  assert.deepEqual(shape.slice(0, 2), [height, width].map((side) => Math.ceil(side / EVERY)), `${what}: size`);
  data.forEach((value, k) => {
    const [pixel, channel] = [Math.floor(k / channels), k % channels];
    const [i, j] = [Math.floor(pixel / shape[1]), pixel % shape[1]];
    const found = (white * picture.data[EVERY * (i * pitch + j * stride) + channel]) / picture.white;
    near(found, value, white === 255 ? 1 : 4, `${what} at (${i}, ${j})`);
  });
}

for (const { name, path, focus, aperture, focus_range: range } of entry ? written.steps : []) {
  test(`${name}: the preview graph is given what dofkit gives it`, async () => {
    const [inputs, recorded] = [await tensorsAt(path), await tensorsAt(`golden/previews/${name}.safetensors`)];
    const picture = ({ shape: [height, width, channels = 1], data }) => new Picture(height, width, channels, data);
    const given = {};
    const stage = { layout: "NHWC", run: async (tensors) => Object.assign(given, tensors).image.data };
    const portrait = new Portrait(written, { preview: async () => new PreviewGraph(stage, entry) });
    const scene = portrait.scene(picture(inputs.get("photo")));
    const { height, width, data } = picture(inputs.get("map"));
    const white = data instanceof Uint16Array ? 65535 : 255;
    const known = new Picture(height, width, 1, Float32Array.from(data, (value) => value / white));
    const map = range ? known : portrait.refined(scene, known);
    const result = await portrait.preview(scene, map, { focus, aperture }, { predicted: range > 0 });
    for (const tensor of ["image", "disparity"]) {
      const { shape: [, rows, columns, channels], data: values } = given[tensor];
      asRecorded(new Picture(rows, columns, channels, values), recorded.get(tensor), tensor);
    }
    asRecorded(result, recorded.get("portrait"), "portrait");
    near(given.aperture.data[0], recorded.get("aperture").data[0], 1e-6, "aperture");
  });
}
