// From a bundle's manifest to a pipeline: which files, opened by which backend, on what.

import { Portrait } from "./portrait.js";
import { PreviewGraph } from "./preview.js";

const RING = 12; // pixels at a tile's border: rounding differs there, and all of it is halo
const SAME = 60; // dB from which on WebGPU computes what WebAssembly does

/** Threads that a page may use: memory is shared between them only on pages that are isolated. */
export function threadsHere() {
  return globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
}

/** Whether there is a WebGPU that is not computed on the CPU. */
export async function hasGpu() {
  const adapter = await globalThis.navigator?.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

/**
 * Open a bundle's files.
 * @param {Object} manifest `manifest.json`
 * @param {(path: string) => Promise<ArrayBuffer>} read a file of the bundle
 * @param {Object} backend `OnnxBackend` or `LiteRtBackend`
 * @param {{precision?: string, accelerator?: "wasm" | "webgpu" | "checked"}} options "checked": WebGPU for the stages
 *   that it computes right and not slower than WebAssembly, else that
 */
export async function openPortrait(manifest, read, backend, { precision, accelerator = "wasm" } = {}) {
  const entries = modelsOf(manifest, backend.target, precision);
  const open = async (entry) => opened(await read(entry.path), entry, backend, accelerator);
  const depths = new Map();
  const depth = (size) => {
    const key = size.join("×");
    if (!depths.has(key)) depths.set(key, open(depthEntry(entries, manifest.plan, size)));
    return depths.get(key);
  };
  const stages = { depth };
  for (const stage of ["lens_blur", "guided_upsampling"]) {
    stages[stage] = await open(entries.find((entry) => entry.stage === stage));
  }
  const preview = entries.find((entry) => entry.stage === "preview");
  if (preview) {
    let graph; // opened when it is asked for: not everybody has a slider
    stages.preview = () => (graph ??= open(preview).then((stage) => new PreviewGraph(stage, preview)));
  }
  return new Portrait(manifest, stages);
}

/** The models of one precision, the manifest's first where none is named. */
function modelsOf(manifest, target, precision) {
  const all = manifest.models.filter((entry) => entry.target === target && entry.tile === null);
  const wanted = precision ?? all[0]?.precision;
  const entries = all.filter((entry) => entry.precision === wanted);
  for (const stage of ["depth", "lens_blur", "guided_upsampling"]) {
    if (entries.some((entry) => entry.stage === stage)) continue;
    throw new Error(`the bundle has no ${[target, wanted].filter(Boolean).join(" ")} model for ${stage}`);
  }
  return entries;
}

function depthEntry(entries, plan, [height, width]) {
  const first = height === plan.depth_height && width === plan.depth_width;
  const fits = ({ stage, depth_size: size }) =>
    stage === "depth" && (size ? size[0] === height && size[1] === width : first);
  const entry = entries.find(fits);
  if (!entry) throw new Error(`the bundle has no depth model of ${height} × ${width}`);
  return entry;
}

async function opened(bytes, entry, backend, accelerator) {
  if (accelerator !== "checked") return backend.open(bytes, entry, accelerator);
  const certain = await backend.open(bytes, entry, "wasm");
  const fast = await backend.open(bytes, entry, "webgpu").catch(() => null);
  if (!fast) return certain;
  const [chosen, other] = (await isRightAndFast(fast, certain, entry)) ? [fast, certain] : [certain, fast];
  other.close();
  return chosen;
}

async function isRightAndFast(fast, certain, entry) {
  const inputs = madeUp(entry);
  const timed = async (stage) => {
    await stage.run(inputs()); // compiles
    const started = performance.now();
    const output = await stage.run(inputs());
    return { output, time: performance.now() - started };
  };
  try {
    const [gpu, cpu] = [await timed(fast), await timed(certain)];
    return gpu.time <= cpu.time && ratio(gpu.output, cpu.output, entry.outputs[0]) >= SAME;
  } catch {
    return false; // a device that was lost, an operation that it has not
  }
}

/** Inputs of ramps and noise over the whole of their ranges, single numbers in the middle, the same every time. */
function madeUp(entry) {
  const made = entry.inputs.map(({ name, shape, low, high }) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b));
    let seed = 1;
    for (let k = 0; k < data.length; k++) {
      seed = (seed * 48271) % 2147483647;
      const share = 0.75 * ((k % 997) / 996) + (0.25 * seed) / 2147483647;
      data[k] = low + (high - low) * (data.length === 1 ? 0.5 : share);
    }
    return [name, shape, data];
  });
  return () => Object.fromEntries(made.map(([name, shape, data]) => [name, { shape, data: data.slice() }]));
}

/** PSNR of one output against another, in dB, without a ring. */
function ratio(values, expected, { shape, layout }) {
  const [rows, columns] = layout === "NHWC" ? [shape[1], shape[2]] : [shape[2], shape[3]];
  const inner = layout === "NHWC" ? shape[3] : 1;
  const inside = (n, side) => n >= RING && n < side - RING;
  let [sum, count] = [0, 0];
  for (let k = 0; k < expected.length; k++) {
    const pixel = Math.floor(k / inner) % (rows * columns);
    if (!inside(Math.floor(pixel / columns), rows) || !inside(pixel % columns, columns)) continue;
    sum += (values[k] - expected[k]) ** 2;
    count++;
  }
  return -10 * Math.log10(sum / count + 1e-20);
}
