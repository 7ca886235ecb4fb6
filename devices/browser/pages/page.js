// One page computes the stages of one backend. Python calls `dofkit.open` and `dofkit.run`; arrays travel by HTTP.

const SITE = new URL("../", import.meta.url);
const RUNTIMES = { onnx: "./onnx.js", litert: "./litert.js" };
const stages = new Map();

async function fetched(name) {
  const response = await fetch(new URL(name, SITE));
  if (!response.ok) throw new Error(`${name}: HTTP ${response.status}`);
  return response.arrayBuffer();
}

// Open a file. `options`: {accelerator: "wasm" | "webgpu", threads}. Returns what computes, for people.
async function open({ key, runtime, file, stage, options }) {
  if (options.accelerator === "webgpu") await requireAdapter();
  const module = await import(RUNTIMES[runtime]);
  const opened = await module.open(new Uint8Array(await fetched(file)), stage, options, SITE);
  stages.set(key, opened.run);
  return { said: opened.said ?? "", adapter: options.accelerator === "webgpu" ? await adapterName() : "" };
}

// Compute a stage. `inputs`: [{name, shape, address}]. Posts the output to `goal`; returns its shape and the time of
// computing alone, from arrays in the page's memory to an array there.
async function run({ key, inputs, output, goal }) {
  const given = await Promise.all(
    inputs.map(async ({ name, shape, address }) => ({ name, shape, data: new Float32Array(await fetched(address)) })),
  );
  const started = performance.now();
  const { data, shape } = await stages.get(key)(given, output);
  const milliseconds = performance.now() - started;
  await fetch(new URL(goal, SITE), { method: "POST", body: data });
  return { shape: Array.from(shape), milliseconds };
}

async function requireAdapter() {
  if (!navigator.gpu) throw new Error("UNAVAILABLE the browser has no WebGPU");
  if (!(await navigator.gpu.requestAdapter())) throw new Error("UNAVAILABLE WebGPU found no adapter");
}

async function adapterName() {
  const { vendor, architecture, description } = (await navigator.gpu.requestAdapter()).info;
  return description || [vendor, architecture].filter(Boolean).join(" ");
}

globalThis.dofkit = { open, run, isolated: () => globalThis.crossOriginIsolated };
