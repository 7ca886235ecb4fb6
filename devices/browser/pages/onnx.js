// onnxruntime-web: WebAssembly or WebGPU.

const DIST = "packages/onnxruntime-web/dist/";
const BUILDS = { wasm: "ort.wasm.min.mjs", webgpu: "ort.webgpu.min.mjs" };

export async function open(bytes, stage, { accelerator, threads }, site) {
  const ort = await import(new URL(DIST + BUILDS[accelerator], site));
  ort.env.wasm.wasmPaths = new URL(DIST, site).href;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(bytes, { executionProviders: [accelerator] });

  async function run(inputs, output) {
    const feeds = {};
    for (const { name, shape, data } of inputs) feeds[name] = new ort.Tensor("float32", data, shape);
    const result = (await session.run(feeds, [output]))[output];
    return { data: result.data, shape: result.dims };
  }
  return { run };
}
