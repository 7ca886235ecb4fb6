// WebGPU is taken where it computes what WebAssembly does and is not slower; backends that only pretend show which.

import assert from "node:assert/strict";
import test from "node:test";

import { openPortrait } from "../portrait/bundle.js";

const SIDE = 40;
const tensor = (name, channels) => ({ name, shape: [1, channels, SIDE, SIDE], layout: "NCHW", low: 0, high: 1 });
const entry = (stage) => {
  return { stage, target: "onnx", precision: "fp32", tile: null, depth_size: null, path: stage, inputs: [tensor("image", 3)], outputs: [tensor("out", 3)] };
};
const manifest = { plan: {}, rules: {}, models: ["depth", "lens_blur", "guided_upsampling"].map(entry) };
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A backend whose WebGPU differs by `off` and takes its time; what was closed is told. */
function pretended({ off = 0, gpuTime = 0, wasmTime = 0, fails = false }) {
  const closed = [];
  const open = async (bytes, { stage }, accelerator) => {
    if (accelerator === "webgpu" && fails) throw new Error("no such operation");
    const run = async ({ image }) => {
      await pause(accelerator === "webgpu" ? gpuTime : wasmTime);
      return image.data.map((value) => value + (accelerator === "webgpu" ? off : 0));
    };
    return { layout: "NCHW", runtime: accelerator, run, close: () => closed.push(`${stage} ${accelerator}`) };
  };
  return { target: "onnx", layout: "NCHW", open, closed };
}

const chosen = async (backend) => {
  const portrait = await openPortrait(manifest, async () => new ArrayBuffer(0), backend, { accelerator: "checked" });
  return portrait.stages.lens_blur.runtime;
};

test("WebGPU that is right and quick is taken, and the other is closed", async () => {
  const backend = pretended({ off: 1e-4, wasmTime: 20 });
  assert.equal(await chosen(backend), "webgpu");
  assert.deepEqual(backend.closed, ["lens_blur wasm", "guided_upsampling wasm"]);
});

test("WebGPU that is wrong by a hundredth is not", async () => {
  assert.equal(await chosen(pretended({ off: 0.01, wasmTime: 20 })), "wasm");
});

test("WebGPU that gives no numbers is not", async () => {
  assert.equal(await chosen(pretended({ off: NaN, wasmTime: 20 })), "wasm");
});

test("WebGPU that is slower is not", async () => {
  assert.equal(await chosen(pretended({ gpuTime: 40 })), "wasm");
});

test("WebGPU that lacks an operation is not", async () => {
  assert.equal(await chosen(pretended({ fails: true })), "wasm");
});
