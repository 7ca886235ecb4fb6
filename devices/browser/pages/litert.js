// LiteRT.js: WebAssembly (XNNPACK) or WebGPU.

let loaded; // it refuses to be loaded twice

export async function open(bytes, stage, { accelerator, threads }, site) {
  const litert = await import(new URL("packages/@litertjs/core/dist/index.js", site));
  loaded ??= litert.loadLiteRt(new URL("packages/@litertjs/core/wasm/", site).href, { threads: threads > 1 });
  await loaded;
  const model = await litert.loadAndCompile(bytes, {
    accelerator,
    cpuOptions: { numThreads: threads },
    gpuOptions: { precision: "fp32" },
  });
  if (accelerator === "webgpu" && !model.isFullyAccelerated) {
    throw new Error("LiteRT.js leaves operations of the file to the CPU");
  }

  async function run(inputs, output) {
    const given = {};
    for (const { name, shape, data } of inputs) {
      const tensor = litert.Tensor.fromTypedArray(data, shape);
      given[name] = accelerator === "webgpu" ? await tensor.moveTo("webgpu") : tensor;
    }
    const results = await model.run(stage, given);
    const result = results[output];
    const shape = result.type.layout.dimensions;
    const data = new Float32Array(await result.data()); // a copy: the result's memory is given back
    for (const tensor of [...Object.values(given), ...Object.values(results)]) if (!tensor.deleted) tensor.delete();
    return { data, shape };
  }
  return { run };
}
