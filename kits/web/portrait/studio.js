// One photo at work: what a page asks of the pipeline, in the page itself or, better, in a worker (`client.js`).

import { embeddedDisparity, hasHeifDepth } from "./embedded_depth.js";
import { openPortrait, hasGpu, threadsHere } from "./bundle.js";
import { Picture } from "./picture.js";

/**
 * Where things lie.
 * @typedef {Object} Place
 * @property {string} bundle address of the folder that holds `manifest.json`
 * @property {"onnx" | "litert"} kind of the runtime
 * @property {string} runtime address of the folder `onnxruntime-web/dist`, or of `@litertjs/core`
 * @property {string} [precision]
 * @property {"auto" | "wasm"} [accelerator]
 */

export class Studio {
  #portrait;
  #scene;
  #map;
  #predicted;
  #rendering = new AbortController();
  #queue = Promise.resolve();

  /**
   * Load the networks.
   * @param {Place} place
   * @returns {Promise<{runtime: string, threads: number, aperture: number}>} what computes, for people; the aperture to
   *   begin with
   */
  async open(place) {
    const read = async (path) => {
      const response = await fetch(new URL(path, place.bundle));
      if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
      return response;
    };
    const manifest = await (await read("manifest.json")).json();
    const gpu = place.accelerator !== "wasm" && (await hasGpu());
    const backend = await BACKENDS[place.kind](place.runtime, gpu);
    const options = { precision: place.precision, accelerator: gpu ? "checked" : "wasm" };
    this.#portrait = await openPortrait(manifest, async (path) => (await read(path)).arrayBuffer(), backend, options);
    const { lens_blur: blur, guided_upsampling: upsampling } = this.#portrait.stages;
    const runtime = [...new Set([blur.runtime, upsampling.runtime])].join("; ");
    return { runtime, threads: threadsHere(), aperture: manifest.rules.usual_aperture };
  }

  /**
   * Take a photo; its disparity, as a small map: that which its file holds, else the depth network's.
   * @param {{pixels: ImageData, file?: Blob}} photo `pixels` upright; `file` that they are from
   * @returns {Promise<{height: number, width: number, data: Float32Array, measured: boolean, unread: boolean}>} `unread`:
   *   the file is a HEIC whose own depth this browser does not decode
   */
  load({ pixels, file }) {
    this.#rendering.abort();
    return this.#inTurn(async () => {
      this.#scene = this.#portrait.scene(Picture.ofImageData(pixels));
      const bytes = await file?.arrayBuffer();
      const measured = bytes && (await embeddedDisparity(bytes));
      this.#predicted = !measured;
      this.#map = measured
        ? this.#portrait.refined(this.#scene, measured)
        : await this.#portrait.disparity(this.#scene);
      const { height, width, data } = this.#map;
      return { height, width, data: data.slice(), measured: Boolean(measured), unread: !measured && Boolean(bytes) && hasHeifDepth(bytes) };
    });
  }

  /** Disparity in focus, at a point or of the subject. @param {{x: number, y: number} | null} point */
  focus(point) {
    return this.#inTurn(async () => this.#portrait.focus(this.#map, point, this.#predicted));
  }

  /**
   * Render; a rendering that is under way ends with an `AbortError`.
   * @returns {Promise<{width: number, height: number, data: Uint8ClampedArray}>} as `ImageData` holds it
   */
  render({ lens, longSide = Infinity }, progress) {
    return this.#newest((signal) => {
      const options = { predicted: this.#predicted, longSide, progress, signal };
      return this.#portrait.render(this.#scene, this.#map, lens, options);
    });
  }

  /**
   * What a slider shows while it moves: by the preview graph where the bundle carries one, else the lowest levels.
   * @param {{lens: Object, longSide?: number}} request `longSide`: from which on the lowest levels are enough
   */
  preview({ lens, longSide = 640 }) {
    if (!this.#portrait.hasPreview) return this.render({ lens, longSide });
    return this.#newest(() => this.#portrait.preview(this.#scene, this.#map, lens, { predicted: this.#predicted }));
  }

  /** A picture, in place of the one that is under way. */
  #newest(task) {
    this.#rendering.abort();
    const { signal } = (this.#rendering = new AbortController());
    return this.#inTurn(async () => {
      signal.throwIfAborted();
      const { width, height, data } = await task(signal);
      return { width, height, data };
    });
  }

  /** One thing after the other: a session computes one call at a time. */
  #inTurn(task) {
    const done = this.#queue.then(task);
    this.#queue = done.catch(() => {});
    return done;
  }
}

const BACKENDS = {
  async onnx(folder, gpu) {
    const { BUILDS, OnnxBackend } = await import("./onnx.js");
    const ort = await import(new URL(gpu ? BUILDS.webgpu : BUILDS.wasm, folder));
    return new OnnxBackend(ort, { threads: threadsHere(), wasm: String(folder) });
  },
  async litert(folder) {
    const { LiteRtBackend } = await import("./litert.js");
    const litert = await import(new URL("dist/index.js", folder));
    const threads = threadsHere();
    await litert.loadLiteRt(String(new URL("wasm/", folder)), { threads: threads > 1 });
    return new LiteRtBackend(litert, { threads });
  },
};
