// The whole pipeline as one graph of a fixed size, for a slider that moves: how a photo of any size lies in the graph's
// picture, and its result out of it again.

import { Picture } from "./picture.js";
import { resampled } from "./resampling.js";

/** How a photo lies in the graph's picture: its long side along the graph's, never enlarged, its edge repeated beyond. */
export class Frame {
  /**
   * @param {{height: number, width: number}} photo
   * @param {Object} entry of the graph in the manifest
   */
  constructor(photo, entry) {
    const [height, width] = (this.size = sidesOf(entry, "image"));
    this.mapSize = sidesOf(entry, "disparity");
    this.isTurned = (photo.height - photo.width) * (height - width) < 0;
    const [rows, columns] = this.isTurned ? [photo.width, photo.height] : [photo.height, photo.width];
    const scale = Math.min(1, height / rows, width / columns);
    this.inner = [rows, columns].map((side) => Math.max(1, Math.round(side * scale)));
  }

  /** The graph measures blur by its own long side, a portrait by the photo's. */
  aperture(aperture) {
    return (aperture * Math.max(...this.inner)) / Math.max(...this.size);
  }

  /** A photo as the graph's image. @param {Picture} photo */
  image(photo) {
    const view = this.#turned(photo);
    return resampled(view, this.size, [[view.height, this.inner[0]], [view.width, this.inner[1]]]);
  }

  /** Disparity over the photo, of any size, as the graph's. @param {Picture} map */
  disparity(map) {
    const view = this.#turned(map);
    const pitch = [view.height, view.width].map((side, k) => [side * this.size[k], this.mapSize[k] * this.inner[k]]);
    return resampled(view, this.mapSize, pitch);
  }

  /** The photo out of the graph's picture, upright, in bytes with alpha. @param {Float32Array} values in `layout` */
  result(values, layout) {
    const [height, width] = this.size;
    const [rows, columns] = this.isTurned ? [...this.inner].reverse() : this.inner;
    const [down, across] = this.isTurned ? [1, width] : [width, 1];
    const [perPixel, perChannel] = layout === "NCHW" ? [1, height * width] : [3, 1];
    const data = new Uint8ClampedArray(rows * columns * 4).fill(255);
    for (let i = 0, goal = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++, goal += 4) {
        const from = (i * down + j * across) * perPixel;
        for (let channel = 0; channel < 3; channel++) data[goal + channel] = 255 * values[from + channel * perChannel];
      }
    }
    return new Picture(rows, columns, 3, data, 4);
  }

  /** Rows for columns: the same numbers, read the other way. */
  #turned(picture) {
    if (!this.isTurned) return picture;
    const { height, width, channels, data, stride, pitch } = picture;
    return new Picture(width, height, channels, data, pitch, stride);
  }
}

/** The graph, ready to compute. */
export class PreviewGraph {
  #images = new WeakMap(); // of scenes: the same while a slider moves

  /**
   * @param {import("./portrait.js").Stage} stage
   * @param {Object} entry of the graph in the manifest
   */
  constructor(stage, entry) {
    Object.assign(this, { stage, entry });
  }

  /**
   * @param {import("./portrait.js").Scene} scene
   * @param {Picture} map disparity after step 7
   * @param {import("./portrait.js").Lens} lens
   * @returns {Promise<Picture>} bytes with alpha, no larger than the graph's picture
   */
  async render(scene, map, lens) {
    const { layout } = this.stage;
    const frame = new Frame(scene.photo, this.entry);
    if (!this.#images.has(scene)) this.#images.set(scene, tensor(frame.image(scene.photo), layout));
    const { shape, data } = this.#images.get(scene);
    const values = await this.stage.run({
      image: { shape, data: data.slice() }, // runtimes may keep what they are given
      disparity: tensor(frame.disparity(map), layout),
      focus: { shape: [1, 1, 1, 1], data: Float32Array.of(lens.focus) },
      aperture: { shape: [1, 1, 1, 1], data: Float32Array.of(frame.aperture(lens.aperture)) },
    });
    return frame.result(values, layout);
  }
}

function sidesOf({ inputs }, wanted) {
  const { shape, layout } = inputs.find(({ name }) => name === wanted);
  return layout === "NHWC" ? shape.slice(1, 3) : shape.slice(2);
}

function tensor(picture, layout) {
  const { height, width, channels } = picture;
  const shape = layout === "NCHW" ? [1, channels, height, width] : [1, height, width, channels];
  return { shape, data: picture.cut(0, 0, height, width, layout) };
}
