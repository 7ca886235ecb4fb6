// Replays the bundle's golden cases: the depth input, every network, whole pictures. `npm test`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import * as ort from "onnxruntime-web";

import { openPortrait } from "../portrait/bundle.js";
import { OnnxBackend } from "../portrait/onnx.js";
import { Picture } from "../portrait/picture.js";
import { depthInput, depthSizeFor } from "../portrait/rules.js";
import { readTensors } from "../portrait/safetensors.js";

const LEAST = 70; // dB at every step

const bundle = new URL("../bundle/", import.meta.url);
const read = async (path) => {
  const file = await readFile(new URL(path, bundle));
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
};
const manifest = JSON.parse(await readFile(new URL("manifest.json", bundle), "utf8"));
const portrait = await openPortrait(manifest, read, new OnnxBackend(ort));

/** Pictures of previews are stored in 8 and 16 bits. */
function inFloats({ shape, data }) {
  const white = { Uint8Array: 255, Uint16Array: 65535 }[data.constructor.name];
  return { shape, data: white ? Float32Array.from(data, (value) => value / white) : data };
}

function closeTo(values, expected, what, factor = 1) {
  assert.equal(values.length, expected.length, `${what}: number of values`);
  let sum = 0;
  for (let k = 0; k < values.length; k++) sum += (values[k] * factor - expected[k]) ** 2;
  const ratio = -10 * Math.log10(sum / values.length + 1e-20);
  assert.ok(ratio >= LEAST, `${what}: ${ratio.toFixed(1)} dB`);
}

function stageInputs(tensors, entry) {
  return Object.fromEntries(entry.inputs.map(({ name }) => [name, inFloats(tensors.get(`${entry.stage}.${name}`))]));
}

for (const golden of manifest.golden) {
  const tensors = readTensors(await read(golden.path));
  const { shape: [height, width], data } = tensors.get("pipeline.photo");
  const scene = portrait.scene(new Picture(height, width, 3, data));

  test(`${golden.name}: the depth network's input`, () => {
    const size = depthSizeFor(manifest.plan, height, width);
    const input = depthInput(scene.photo, size).cut(0, 0, ...size, "NCHW");
    closeTo(input, tensors.get("depth.image").data, "depth.image");
  });

  test(`${golden.name}: every network`, async () => {
    const stages = { ...portrait.stages, depth: await portrait.stages.depth(depthSizeFor(manifest.plan, height, width)) };
    if (portrait.hasPreview) stages.preview = (await portrait.stages.preview()).stage;
    for (const [name, stage] of Object.entries(stages)) {
      const entry = manifest.models.find((model) => model.target === "onnx" && model.stage === name);
      const output = `${name}.${entry.outputs[0].name}`;
      closeTo(await stage.run(stageInputs(tensors, entry)), inFloats(tensors.get(output)).data, output);
    }
  });

  test(`${golden.name}: the whole picture`, async () => {
    const { shape, data: disparity } = tensors.get("depth.disparity");
    const map = new Picture(shape[2], shape[3], 1, disparity);
    const result = await portrait.render(scene, map, golden, { predicted: false, bytes: false });
    closeTo(result.data, tensors.get("pipeline.rendered").data, "pipeline.rendered");
  });
}
