// Stages on onnxruntime-web: WebAssembly or WebGPU.

/** Which file of `onnxruntime-web/dist` has the accelerator. */
export const BUILDS = Object.freeze({ wasm: "ort.wasm.min.mjs", webgpu: "ort.webgpu.min.mjs" });

export class OnnxBackend {
  target = "onnx";
  layout = "NCHW";

  /**
   * @param {Object} ort the module, of the build that has the accelerators that will be asked for
   * @param {{threads?: number, wasm?: string}} options `wasm`: the address of the folder of its .wasm files, where a
   *   bundler has not placed them
   */
  constructor(ort, { threads = 1, wasm } = {}) {
    this.ort = ort;
    ort.env.wasm.numThreads = threads;
    ort.env.logLevel = "error";
    if (wasm) ort.env.wasm.wasmPaths = wasm;
  }

  /** @returns {Promise<import("./portrait.js").Stage>} */
  async open(bytes, entry, accelerator) {
    const session = await this.ort.InferenceSession.create(bytes, { executionProviders: [accelerator] });
    const output = entry.outputs[0].name;
    const run = async (inputs) => {
      const feeds = {};
      for (const [name, { shape, data }] of Object.entries(inputs)) {
        feeds[name] = new this.ort.Tensor("float32", data, shape);
      }
      return (await session.run(feeds, [output]))[output].data;
    };
    const runtime = `onnxruntime-web ${this.ort.env.versions?.web ?? ""}, ${accelerator}`;
    return { layout: this.layout, runtime, run, close: () => session.release() };
  }
}
