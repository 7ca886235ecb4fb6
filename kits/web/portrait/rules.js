// What a photo and a disparity map become before the networks see them: levels, defocus, depth input. Numbers of steps
// are those of the documentation's page "The pipeline, step by step".

import { Picture, clamp } from "./picture.js";

/** The constants of these rules. */
export const RULES = Object.freeze({
  lowestLongSide: 320, // step 2: of level 0, at most
  longSidePerRadius: 40, // step 10: the largest radius of the circle of confusion is long side / 40
  networkRadius: 8, // step 10: networks get defocus in units of it
  thin: 0.1, // step 9: what shows less than 1 − this of its disparity in any pixel around is thin
});

const { fround } = Math; // sums as in 32 bits: decisions at a threshold then fall alike everywhere

/** The levels of one photo: level 0 is the lowest, each doubles, the last is the photo (step 2). */
export class Levels {
  constructor(height, width, count) {
    Object.assign(this, { height, width, count });
  }

  /** As many as it takes for the long side of level 0 to be small enough. */
  static of(height, width) {
    let count = 0;
    while (Math.max(height, width) > RULES.lowestLongSide * 2 ** count) count++;
    return new Levels(height, width, count);
  }

  /** Photo pixels for each pixel of a level. */
  factor(level) {
    return 2 ** (this.count - level);
  }

  /** `[height, width]` of a level, padded. */
  size(level) {
    const top = this.factor(0);
    return [Math.ceil(this.height / top) * 2 ** level, Math.ceil(this.width / top) * 2 ** level];
  }

  /** Long side of the unpadded photo in pixels of a level. */
  longSide(level) {
    return Math.max(this.height, this.width) / this.factor(level);
  }

  /** The same from level 1 on where the blur is weak (step 8). */
  startedFor(map, lens) {
    if (!this.count) return this;
    const [least, most] = extremes(map);
    const radius =
      (Math.max(most - lens.focus, lens.focus - least) * lens.aperture * this.longSide(1)) / RULES.longSidePerRadius;
    return radius <= RULES.networkRadius ? new Levels(this.height, this.width, this.count - 1) : this;
  }
}

/** One level down: the mean in light of 2 × 2 pixels, light being the square of the encoded value (step 3). */
export function halved(picture, [height, width]) {
  const { channels, data, stride, pitch, white } = picture;
  const result = Picture.blank(height, width, channels);
  const quarter = fround(0.25 / white ** 2);
  const goals = result.data;
  let goal = 0;
  for (let i = 0; i < height; i++) {
    const upper = Math.min(2 * i, picture.height - 1) * pitch;
    const lower = Math.min(2 * i + 1, picture.height - 1) * pitch;
    for (let j = 0; j < width; j++) {
      const left = Math.min(2 * j, picture.width - 1) * stride;
      const right = Math.min(2 * j + 1, picture.width - 1) * stride;
      for (let channel = 0; channel < channels; channel++) {
        const a = data[upper + left + channel];
        const b = data[upper + right + channel];
        const c = data[lower + left + channel];
        const d = data[lower + right + channel];
        goals[goal++] = Math.sqrt((a * a + b * b + c * c + d * d) * quarter);
      }
    }
  }
  return result;
}

/** The images of all levels; the last is the photo itself (step 3). */
export function imageLevels(photo, levels) {
  const images = [photo];
  for (let level = levels.count - 1; level >= 0; level--) images.unshift(halved(images[0], levels.size(level)));
  return images;
}

/** The input size `[height, width]` of the depth network that suits a photo: that of the nearest aspect (step 4). */
export function depthSizeFor(plan, height, width) {
  const sizes = [[plan.depth_height, plan.depth_width], ...(plan.further_depth_sizes ?? [])];
  const away = ([h, w]) => Math.abs(Math.log((h * width) / (w * height)));
  return sizes.reduce((best, size) => (away(size) < away(best) ? size : best));
}

/** The whole photo stretched to the depth network's input (step 4). */
export function depthInput(images, levels, [height, width]) {
  const enough = images.findIndex((image) => image.height >= height && image.width >= width);
  const level = enough < 0 ? levels.count : enough;
  const factor = levels.factor(level);
  const pitch = [levels.height / (factor * height), levels.width / (factor * width)];
  return resampled(images[level], [height, width], pitch);
}

/** Disparity within `range` of the focus is moved to it, the rest nearer to it by as much (step 7). */
export function held(map, focus, range) {
  if (!range) return map;
  const [middle, reach] = [fround(focus), fround(range)];
  const moved = map.data.map((value) => {
    const offset = fround(value - middle);
    return fround(offset - clamp(offset, -reach, reach)) + middle;
  });
  return new Picture(map.height, map.width, 1, moved);
}

/**
 * Disparity at the pixels of a level (step 9).
 * @param {boolean} filled as the lens blur wants it: thin things are the nearest only where they fill most
 */
export function disparityAt(map, levels, level, filled = false) {
  const factor = levels.factor(level);
  const size = levels.size(level);
  const pitch = [(factor * map.height) / levels.height, (factor * map.width) / levels.width];
  const mean = resampled(map, size, pitch);
  if (Math.max(...pitch) < 2) return mean;
  const nearest = resampled(map, size, pitch, true);
  const [most, least] = [around(mean, Math.max), around(mean, Math.min)];
  const thin = Picture.blank(...size, 1);
  for (let k = 0; k < thin.data.length; k++) {
    const rise = fround(nearest.data[k] - most.data[k]);
    thin.data[k] = rise > fround(RULES.thin * fround(nearest.data[k] - least.data[k])) ? 1 : 0;
  }
  const taken = filled ? mostlyFilled(thin, mean, most) : thin;
  return new Picture(...size, 1, mean.data.map((value, k) => (taken.data[k] ? nearest.data[k] : value)));
}

function mostlyFilled(thin, mean, most) {
  const full = new Picture(thin.height, thin.width, 1, thin.data.map((is, k) => is && +(mean.data[k] >= most.data[k])));
  const beside = around(full, Math.max);
  return new Picture(thin.height, thin.width, 1, thin.data.map((is, k) => is && (full.data[k] || 1 - beside.data[k])));
}

/** Signed radius of the circle of confusion in pixels of the level that the map belongs to (step 10). */
export function defocused(map, lens, longSide) {
  const [focus, scale] = [fround(lens.focus), fround((lens.aperture * longSide) / RULES.longSidePerRadius)];
  return new Picture(map.height, map.width, 1, map.data.map((value) => fround(value - focus) * scale));
}

/** Defocus as the networks get it, in place (step 10). */
export function forNetwork(radii) {
  return radii.map((radius) => clamp(radius / RULES.networkRadius, -1, 1));
}

/** The least and the greatest value of a map. */
export function extremes({ data }) {
  let [least, most] = [data[0], data[0]];
  for (const value of data) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return [least, most];
}

/** A picture at another size and pitch: means of whole pixels first, then linear (section "Resampling"). */
export function resampled(picture, [height, width], pitch, largest = false) {
  const { height: rows, width: columns, channels, data } = picture.floats();
  const down = resampledAxis(data, [1, rows, columns * channels], height, pitch[0], largest);
  const across = resampledAxis(down, [height, columns, channels], width, pitch[1], largest);
  return new Picture(height, width, channels, across);
}

/** The middle axis of `[outer, length, inner]` numbers. */
function resampledAxis(values, [outer, length, inner], count, pitch, largest) {
  const factor = Math.max(1, Math.floor(pitch));
  if (factor > 1) {
    values = reduced(values, [outer, length, inner], factor, largest);
    length = Math.ceil(length / factor);
  }
  if (pitch === factor && length === count) return values;
  const result = new Float32Array(outer * count * inner);
  for (let i = 0; i < count; i++) {
    const x = clamp(((i + 0.5) * pitch) / factor - 0.5, 0, length - 1);
    const low = Math.floor(x);
    const high = Math.min(low + 1, length - 1);
    const second = fround(x - low);
    const first = fround(1 - second);
    for (let o = 0; o < outer; o++) {
      const [from, to] = [(o * length + low) * inner, (o * length + high) * inner];
      const goal = (o * count + i) * inner;
      for (let k = 0; k < inner; k++) {
        result[goal + k] = fround(values[from + k] * first) + fround(values[to + k] * second);
      }
    }
  }
  return result;
}

/** Mean or largest of blocks; the last one repeats the edge. */
function reduced(values, [outer, length, inner], factor, largest) {
  const count = Math.ceil(length / factor);
  const result = new Float32Array(outer * count * inner);
  const share = fround(1 / factor);
  for (let o = 0; o < outer; o++) {
    for (let block = 0; block < count; block++) {
      const goal = (o * count + block) * inner;
      for (let k = 0; k < inner; k++) {
        const at = (r) => values[(o * length + Math.min(block * factor + r, length - 1)) * inner + k];
        let total = at(0);
        for (let r = 1; r < factor; r++) total = largest ? Math.max(total, at(r)) : fround(total + at(r));
        result[goal + k] = largest ? total : total * share;
      }
    }
  }
  return result;
}

/** The extreme of the 3 × 3 values at every pixel, the edge repeated. */
function around({ height, width, data }, extreme) {
  const along = new Float32Array(data.length);
  const result = new Float32Array(data.length);
  for (let k = 0; k < data.length; k++) {
    const j = k % width;
    along[k] = extreme(data[j ? k - 1 : k], data[k], data[j < width - 1 ? k + 1 : k]);
  }
  for (let k = 0; k < data.length; k++) {
    result[k] = extreme(along[k < width ? k : k - width], along[k], along[k + width < data.length ? k + width : k]);
  }
  return new Picture(height, width, 1, result);
}
