// A measured map that is much coarser than the photo, brought nearer to its size: near an edge a value is taken from the
// side whose colours are the pixel's own ("Coarse maps" of the bundle's README). Constants come from `rules`.

import { Picture, clamp } from "./picture.js";
import { resampled } from "./resampling.js";

const { fround } = Math;

/**
 * A measured map as the steps want it: itself where it is fine enough.
 * @param {Picture} map
 * @param {Picture} photo
 * @param {Object} rules of the manifest
 * @returns {Picture}
 */
export function refined(map, photo, rules) {
  const longest = Math.max(photo.height, photo.width);
  const scale = Math.min(1, rules.refine_long_side / longest);
  const size = [photo.height, photo.width].map((side) => Math.max(1, Math.round(side * scale)));
  const isFine = longest < rules.refine_from * Math.max(map.height, map.width);
  if (isFine || Math.max(...size) <= Math.max(map.height, map.width)) return map;
  const over = (picture, [height, width]) =>
    resampled(picture, [height, width], [[picture.height, height], [picture.width, width]]);
  const result = over(map, size);
  const near = new Neighbours(map, over(photo, [map.height, map.width]), over(photo, size), rules);
  for (let i = 0, k = 0; i < size[0]; i++) {
    for (let j = 0; j < size[1]; j++, k++) {
      near.look(i, j);
      if (near.spread > fround(rules.refine_edge)) result.data[k] = near.ownSide();
    }
  }
  return result;
}

/** The 3 × 3 values of a map around the one that a pixel of the finer grid lies on. */
class Neighbours {
  #values = new Float32Array(9);
  #weights = new Float64Array(9);
  #places = new Uint32Array(9);

  constructor(map, colours, guide, rules) {
    Object.assign(this, { map, colours, guide, rules });
  }

  look(i, j) {
    Object.assign(this, { i, j });
    const [row, column] = [this.#at(i, "height"), this.#at(j, "width")].map(Math.floor);
    let [least, most] = [Infinity, -Infinity];
    for (let n = 0; n < 9; n++) {
      const r = clamp(row + Math.floor(n / 3) - 1, 0, this.map.height - 1);
      const c = clamp(column + (n % 3) - 1, 0, this.map.width - 1);
      this.#places[n] = r * this.map.width + c;
      const value = (this.#values[n] = this.map.data[this.#places[n]]);
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
    this.spread = fround(most - least);
  }

  /** Their mean by distance and colour, and once more of those that say about the same. */
  ownSide() {
    const { refine_alike: alike, refine_least: least } = this.rules;
    this.#weigh();
    const mean = this.#mean();
    for (let n = 0; n < 9; n++) {
      this.#weights[n] *= Math.exp(-((this.#values[n] - mean) ** 2) / (2 * alike ** 2)) + least;
    }
    return this.#mean();
  }

  #weigh() {
    const { refine_distance: distance, refine_colour: colour } = this.rules;
    const [y, x] = [this.#at(this.i, "height") % 1, this.#at(this.j, "width") % 1];
    const own = 3 * (this.i * this.guide.width + this.j);
    for (let n = 0; n < 9; n++) {
      const away = (Math.floor(n / 3) - 0.5 - y) ** 2 + ((n % 3) - 0.5 - x) ** 2;
      let unlike = 0;
      for (let k = 0; k < 3; k++) unlike += (this.colours.data[3 * this.#places[n] + k] - this.guide.data[own + k]) ** 2;
      this.#weights[n] = -away / (2 * distance ** 2) - unlike / (2 * colour ** 2);
    }
    const greatest = Math.max(...this.#weights); // where no colour is alike, the likest counts
    this.#weights.forEach((exponent, n) => (this.#weights[n] = Math.exp(exponent - greatest)));
  }

  #mean() {
    let [sum, total] = [0, 0];
    for (let n = 0; n < 9; n++) {
      sum += this.#weights[n] * this.#values[n];
      total += this.#weights[n];
    }
    return sum / total;
  }

  /** Where a pixel's centre lies over the map, along a side; quotients of whole numbers, which floor alike everywhere. */
  #at(index, side) {
    return ((2 * index + 1) * this.map[side]) / (2 * this.guide[side]);
  }
}
