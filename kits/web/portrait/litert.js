// Stages on LiteRT.js: WebAssembly (XNNPACK) or WebGPU.

export class LiteRtBackend {
  target = "tflite";
  layout = "NHWC";

  /**
   * @param {Object} litert the module `@litertjs/core`, after `loadLiteRt`, which may be called once a page only
   * @param {{threads?: number}} options
   */
  constructor(litert, { threads = 1 } = {}) {
    Object.assign(this, { litert, threads });
  }

  /** @returns {Promise<import("./portrait.js").Stage>} */
  async open(bytes, entry, accelerator) {
    const model = await this.litert.loadAndCompile(new Uint8Array(bytes), {
      accelerator,
      cpuOptions: { numThreads: this.threads },
      gpuOptions: { precision: "fp32" },
    });
    if (accelerator === "webgpu" && !model.isFullyAccelerated) throw new Error("a part of it would run on the CPU");
    const output = entry.outputs[0].name;
    const run = async (inputs) => {
      const given = {};
      for (const [name, { shape, data }] of Object.entries(inputs)) {
        const tensor = this.litert.Tensor.fromTypedArray(data, shape);
        given[name] = accelerator === "webgpu" ? await tensor.moveTo("webgpu") : tensor;
      }
      const results = await model.run(entry.stage, given);
      const values = new Float32Array(await results[output].data()); // a copy: the result's memory is given back
      for (const tensor of [...Object.values(given), ...Object.values(results)]) {
        if (!tensor.deleted) tensor.delete();
      }
      return values;
    };
    return { layout: this.layout, runtime: `LiteRT.js, ${accelerator}`, run, close: () => model.delete() };
  }
}
