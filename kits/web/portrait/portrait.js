// The pipeline: depth → lens blur in tiles → guided upsampling in tiles, level by level, over any stages.

import { autoFocus, focusAt } from "./focus.js";
import { Picture } from "./picture.js";
import { refined } from "./refinement.js";
import {
  Levels, defocused, depthInput, depthSizeFor, disparityAt, extremes, forNetwork, held, imageLevels,
} from "./rules.js";

/**
 * A network that is ready to compute, whatever runs it.
 * @typedef {Object} Stage
 * @property {"NCHW" | "NHWC"} layout of its inputs and its output
 * @property {string} runtime what computes, for people
 * @property {(inputs: Object<string, {shape: number[], data: Float32Array}>) => Promise<Float32Array>} run
 */

/** @typedef {import("./preview.js").PreviewGraph} PreviewGraph */

/**
 * What the photographer chose.
 * @typedef {Object} Lens
 * @property {number} focus disparity in focus, 0 … 1, 1 = nearest
 * @property {number} aperture 0 blurs nothing, 1 the most
 */

/** A photo with its levels, which every rendering of it needs. */
export class Scene {
  /**
   * @param {Picture} photo RGB, upright, as the file encodes it
   * @param {Object} rules of the manifest
   */
  constructor(photo, rules) {
    this.photo = photo;
    this.levels = Levels.of(photo.height, photo.width, rules);
    this.images = imageLevels(photo, this.levels);
  }

  /** The images of fewer levels: those above, without the padding that only the levels below wanted. */
  imagesOf(levels) {
    const images = this.images.slice(this.levels.count - levels.count);
    return images.map((image, level) => {
      const [height, width] = levels.size(level);
      return image.cropped(Math.min(height, image.height), Math.min(width, image.width));
    });
  }
}

/** Renders photos with a set of stages and the manifest that belongs to them. */
export class Portrait {
  /**
   * @param {{plan: Object, rules: Object}} manifest
   * @param {{depth: (size: number[]) => Promise<Stage>, lens_blur: Stage, guided_upsampling: Stage,
   *   preview?: () => Promise<PreviewGraph>}} stages `preview` where the bundle carries one
   */
  constructor({ plan, rules }, stages) {
    Object.assign(this, { plan, rules, stages });
  }

  /** A photo, ready to be rendered. @param {Picture} photo RGB, upright, as the file encodes it */
  scene(photo) {
    return new Scene(photo, this.rules);
  }

  /** Disparity of a scene by the depth network, over the whole photo: a map of the network's own resolution. */
  async disparity(scene) {
    const { height, width } = scene.photo;
    const size = depthSizeFor(this.plan, height, width);
    const stage = await this.stages.depth(size);
    const image = depthInput(scene.photo, size);
    const values = await stage.run({ image: tensor(image, 0, 0, ...size, stage.layout) });
    return new Picture(...size, 1, values);
  }

  /** A measured map as this scene is to be rendered with it: refined along the photo's edges where it is coarse. */
  refined(scene, map) {
    return refined(map, scene.photo, this.rules);
  }

  /** The range around the focus that is held sharp: a network's disparity wavers inside one subject, others do not. */
  rangeFor(predicted) {
    return predicted ? this.plan.focus_range : 0;
  }

  /** Disparity in focus at a point (fractions of width and height), or of the subject where there is none. */
  focus(map, point = null, predicted = true) {
    return point ? focusAt(map, point, this.rules, this.rangeFor(predicted)) : autoFocus(map, this.rules);
  }

  /**
   * A photo with a shallow depth of field.
   * @param {Scene} scene
   * @param {Picture} map disparity of any resolution over the whole photo, 0 … 1, 1 = nearest; a measured one `refined`
   * @param {Lens} lens
   * @param {Object} options
   * @param {boolean} options.predicted whether the map is the depth network's
   * @param {number} options.longSide stop at the first level that is as large: a preview; absent: the photo's size
   * @param {boolean} options.bytes false: floats from 0 to 1 instead of bytes
   * @param {(done: number, of: number) => void} options.progress
   * @param {(picture: Picture) => void} options.finished called with the result of every level, from 0 on
   * @param {AbortSignal} options.signal
   * @returns {Promise<Picture>} by default bytes with alpha, as an `ImageData` holds them
   */
  async render(scene, map, lens, options = {}) {
    const { predicted = true, longSide = Infinity, bytes = true, finished = () => {} } = options;
    const disparity = this.#held(map, lens, predicted);
    // A preview always starts at the lowest level: the weak blur's start a level higher is four times the work.
    const levels = longSide < Infinity ? scene.levels : scene.levels.startedFor(disparity, lens, this.rules);
    const images = scene.imagesOf(levels);
    const last = lastLevel(levels, longSide);
    const at = (level, filled) => {
      const values = disparityAt(disparity, levels, level, this.rules, filled);
      return defocused(values, lens, levels.longSide(level), this.rules);
    };

    const jobs = new Jobs(tilesInAll(this.plan, levels, last), options);
    let result = canvas(levels, 0, last, bytes);
    await this.#blur(images[0], at(0, true), result, jobs);
    finished(result);
    for (let level = 1; level <= last; level++) {
      const below = result;
      result = canvas(levels, level, last, bytes);
      await this.#upsample(images[level], images[level - 1], below, at(level - 1, false), result, jobs);
      finished(result);
    }
    return result;
  }

  /** Whether the bundle carries a preview graph. */
  get hasPreview() {
    return Boolean(this.stages.preview);
  }

  /**
   * The same by the preview graph, in one call that nothing ends: no larger than the graph's picture.
   * @returns {Promise<Picture>} bytes with alpha
   */
  async preview(scene, map, lens, { predicted = true } = {}) {
    const graph = await this.stages.preview();
    return graph.render(scene, this.#held(map, lens, predicted), lens);
  }

  #held(map, lens, predicted) {
    const [least, most] = extremes(map);
    if (!Number.isFinite(least + most)) throw new RangeError("the disparity holds NaN or infinite values");
    return held(map, lens.focus, this.rangeFor(predicted));
  }

  async #blur(image, radii, result, jobs) {
    const [stage, { tile, halo }] = [this.stages.lens_blur, this.plan.lens_blur];
    for (const [top, left, height, width] of tiles(radii, tile, halo)) {
      const corner = [top - halo, left - halo, tile, tile];
      const defocus = radii.cut(...corner, stage.layout);
      const inputs = () => ({
        image: tensor(image, ...corner, stage.layout),
        defocus: { shape: shapeOf(1, tile, stage.layout), data: forNetwork(defocus, this.rules) },
      });
      const output = isSharp(defocus, this.plan) ? image.cut(...corner, stage.layout) : await stage.run(inputs());
      result.place(output, stage.layout, halo, top, left, height, width, tile);
      await jobs.done();
    }
  }

  async #upsample(high, low, blurred, radii, result, jobs) {
    const [stage, { tile, halo }] = [this.stages.guided_upsampling, this.plan.guided_upsampling];
    for (const core of tiles(radii, tile, halo)) {
      const corner = [core[0] - halo, core[1] - halo, tile, tile];
      const above = corner.map((n) => 2 * n);
      const defocus = radii.cut(...corner, stage.layout);
      const inputs = () => ({
        image_high: tensor(high, ...above, stage.layout),
        image_low: tensor(low, ...corner, stage.layout),
        blurred_low: tensor(blurred, ...corner, stage.layout),
        defocus_low: { shape: shapeOf(1, tile, stage.layout), data: forNetwork(defocus, this.rules) },
      });
      const output = isSharp(defocus, this.plan) ? high.cut(...above, stage.layout) : await stage.run(inputs());
      result.place(output, stage.layout, 2 * halo, ...core.map((n) => 2 * n), 2 * tile);
      await jobs.done();
    }
  }
}

/** Whether a tile of defocus is so small that the sharp picture is copied (step 11). */
export function isSharp(radii, plan) {
  return radii.every((radius) => Math.abs(radius) < plan.copy_below);
}

/** `[top, left, height, width]` of the cores that cover a picture (step 11). */
export function* tiles({ height, width }, tile, halo) {
  const core = tile - 2 * halo;
  for (let top = 0; top < height; top += core) {
    for (let left = 0; left < width; left += core) {
      yield [top, left, Math.min(core, height - top), Math.min(core, width - left)];
    }
  }
}

function tilesInAll(plan, levels, last) {
  const count = (level, { tile, halo }) => {
    const [height, width] = levels.size(level);
    return Math.ceil(height / (tile - 2 * halo)) * Math.ceil(width / (tile - 2 * halo));
  };
  let total = count(0, plan.lens_blur);
  for (let level = 0; level < last; level++) total += count(level, plan.guided_upsampling);
  return total;
}

/** The first level whose long side is large enough. */
function lastLevel(levels, longSide) {
  let level = 0;
  while (level < levels.count && levels.longSide(level) < longSide) level++;
  return level;
}

/** Where a level's result goes: padded floats below; the last one unpadded, in bytes with alpha or in floats. */
function canvas(levels, level, last, bytes) {
  if (level < last) return Picture.blank(...levels.size(level), 3);
  const factor = levels.factor(level);
  const [height, width] = [Math.ceil(levels.height / factor), Math.ceil(levels.width / factor)];
  if (!bytes) return Picture.blank(height, width, 3);
  return new Picture(height, width, 3, new Uint8ClampedArray(height * width * 4).fill(255), 4);
}

function tensor(picture, top, left, height, width, layout) {
  const data = picture.cut(top, left, height, width, layout);
  return { shape: shapeOf(picture.channels, height, layout, width), data };
}

function shapeOf(channels, height, layout, width = height) {
  return layout === "NCHW" ? [1, channels, height, width] : [1, height, width, channels];
}

/** Counts tiles, and lets messages in between two: one may say that nobody waits any more. */
class Jobs {
  constructor(total, { progress = () => {}, signal }) {
    Object.assign(this, { total, progress, signal, count: 0 });
  }

  async done() {
    this.progress(++this.count, this.total);
    await breath();
    this.signal?.throwIfAborted();
  }
}

function breath() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (port1.close(), resolve());
    port2.postMessage(null);
  });
}
