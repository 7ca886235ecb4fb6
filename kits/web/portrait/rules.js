// What a photo and a disparity map become before the networks see them: levels, defocus, depth input. The steps are
// those of the bundle's README, and every number that was chosen comes from `rules` of its manifest.

import { Picture, clamp } from "./picture.js";
import { largest, resampled } from "./resampling.js";

const { fround } = Math; // sums as in 32 bits: decisions at a threshold then fall alike everywhere

/** The levels of one photo: level 0 is the lowest, each doubles, the last is the photo (step 2). */
export class Levels {
  constructor(height, width, count) {
    Object.assign(this, { height, width, count });
  }

  /** As many as it takes for the long side of level 0 to be small enough. */
  static of(height, width, rules) {
    let count = 0;
    while (Math.max(height, width) > rules.lowest_long_side * 2 ** count) count++;
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
  startedFor(map, lens, rules) {
    if (!this.count) return this;
    const [least, most] = extremes(map);
    const radius = Math.max(most - lens.focus, lens.focus - least) * lens.aperture * this.longSide(1);
    const weak = radius / rules.long_side_per_radius <= rules.network_radius;
    return weak ? new Levels(this.height, this.width, this.count - 1) : this;
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
export function depthInput(photo, [height, width]) {
  return resampled(photo, [height, width], [[photo.height, height], [photo.width, width]]);
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
export function disparityAt(map, levels, level, rules, filled = false) {
  const [factor, size] = [levels.factor(level), levels.size(level)];
  const pitch = [[factor * map.height, levels.height], [factor * map.width, levels.width]];
  const mean = resampled(map, size, pitch);
  if (pitch.some(([values, pixels]) => values < rules.thin_pitch * pixels)) return mean;
  const nearest = largest(map, size, pitch);
  const [most, least] = [around(mean, Math.max), around(mean, Math.min)];
  const thin = Picture.blank(...size, 1);
  for (let k = 0; k < thin.data.length; k++) {
    const rise = fround(nearest.data[k] - most.data[k]);
    thin.data[k] = +(rise > fround(fround(rules.thin_share) * fround(nearest.data[k] - least.data[k])));
  }
  const taken = filled ? mostlyFilled(thin, mean, most, rules) : thin;
  return new Picture(...size, 1, mean.data.map((value, k) => (taken.data[k] ? nearest.data[k] : value)));
}

/** Of thin pixels the full ones, and those beside which there is none. */
function mostlyFilled({ height, width, data: thin }, mean, most, rules) {
  const tie = fround(rules.thin_tie);
  const full = thin.map((is, k) => is && +(mean.data[k] >= fround(most.data[k] - tie)));
  const beside = around(new Picture(height, width, 1, full), Math.max);
  return new Picture(height, width, 1, thin.map((is, k) => is && (full[k] || 1 - beside.data[k])));
}

/** Signed radius of the circle of confusion in pixels of the level that the map belongs to (step 10). */
export function defocused(map, lens, longSide, rules) {
  const [focus, scale] = [fround(lens.focus), fround((lens.aperture * longSide) / rules.long_side_per_radius)];
  return new Picture(map.height, map.width, 1, map.data.map((value) => fround(value - focus) * scale));
}

/** Defocus as the networks get it (step 10). */
export function forNetwork(radii, rules) {
  return radii.map((radius) => clamp(radius / rules.network_radius, -1, 1));
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
