// The disparity in focus: of what a tap hits, or of the subject that nobody points at (step 6 of the bundle's README).
// Numbers that were chosen come from `rules` of its manifest.

import { Picture, clamp } from "./picture.js";
import { extremes } from "./rules.js";

/**
 * Disparity of the thing at a point.
 * @param {Picture} map
 * @param {{x: number, y: number}} point fractions of width and height
 * @param {Object} rules
 * @param {number} range what will be held sharp around the focus (step 7); 0: the median at the point itself
 */
export function focusAt(map, { x, y }, rules, range = 0) {
  const { height, width, data } = map;
  const radius = Math.max(1, roundEven(rules.tap_window * Math.max(height, width)));
  const row = Math.min(Math.floor(y * height), height - 1);
  const column = Math.min(Math.floor(x * width), width - 1);
  const middle = median(Array.from(inWindow(map, row, column, radius), (k) => data[k]));
  const reach = Math.min(rules.tap_alike, range);
  if (reach <= 0) return middle;
  const step = stepOf(map, rules);
  const thin = thinned(map, step);
  const near = Math.max(1, Math.floor(radius / step));
  const [i, j] = [Math.min(Math.floor(row / step), thin.height - 1), Math.min(Math.floor(column / step), thin.width - 1)];
  const region = connected(thin, inWindow(thin, i, j, near), middle, reach);
  return region.length ? median(region.map((k) => thin.data[k])) : middle;
}

/** Disparity around which most of what is near and central lies. */
export function autoFocus(map, rules) {
  const thin = thinned(map, stepOf(map, rules));
  const [least, most] = extremes(thin);
  if (most <= least) return least;
  const weights = subjectWeights(thin, least, most, rules.subject_spread);
  const { subject_bins: count, subject_window: length } = rules;
  const sums = new Float64Array(count);
  const bins = Uint16Array.from(thin.data, (value) => clamp(Math.floor(value * count), 0, count - 1));
  bins.forEach((bin, k) => (sums[bin] += weights[k]));
  const last = heaviestWindow(sums, length);
  const chosen = [];
  bins.forEach((bin, k) => bin > last - length && bin <= last && chosen.push(k));
  return weightedMedian(chosen, thin.data, weights);
}

function subjectWeights({ height, width, data }, least, most, spread) {
  const fall = (k, side) => Math.exp(-((((k + 0.5) / side - 0.5) / spread) ** 2) / 2);
  const down = Float64Array.from({ length: height }, (_, i) => fall(i, height));
  const across = Float64Array.from({ length: width }, (_, j) => fall(j, width));
  const near = (value) => ((value - least) / (most - least)) ** 2;
  return Float64Array.from(data, (value, k) => down[Math.floor(k / width)] * across[k % width] * near(value));
}

/** Last bin of the first window of the greatest sum; windows may stick out at both ends. */
function heaviestWindow(sums, length) {
  let [best, greatest] = [0, -1];
  for (let last = 0; last < sums.length + length - 1; last++) {
    let total = 0;
    for (let bin = Math.max(0, last - length + 1); bin <= Math.min(last, sums.length - 1); bin++) {
      total += sums[bin];
    }
    if (total > greatest) [best, greatest] = [last, total];
  }
  return best;
}

function weightedMedian(chosen, values, weights) {
  chosen.sort((a, b) => values[a] - values[b]);
  const half = chosen.reduce((sum, k) => sum + weights[k], 0) / 2;
  let total = 0;
  return values[chosen.find((k) => (total += weights[k]) >= half)];
}

/** Pixels that hang together with one of `seeds` over common sides, all within `reach` of `middle`. */
function connected({ height, width, data }, seeds, middle, reach) {
  const [goal, most] = [Math.fround(middle), Math.fround(reach)];
  const alike = (k) => Math.abs(Math.fround(data[k] - goal)) <= most;
  const seen = new Uint8Array(data.length);
  const region = [];
  const visit = (k) => {
    if (seen[k] || !alike(k)) return;
    seen[k] = 1;
    region.push(k);
  };
  for (const k of seeds) visit(k);
  for (let next = 0; next < region.length; next++) {
    const k = region[next];
    const j = k % width;
    if (j > 0) visit(k - 1);
    if (j < width - 1) visit(k + 1);
    if (k >= width) visit(k - width);
    if (k < width * (height - 1)) visit(k + width);
  }
  return region;
}

function* inWindow({ height, width }, row, column, radius) {
  for (let i = Math.max(0, row - radius); i <= Math.min(row + radius, height - 1); i++) {
    for (let j = Math.max(0, column - radius); j <= Math.min(column + radius, width - 1); j++) yield i * width + j;
  }
}

function median(values) {
  const sorted = Float32Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : Math.fround((sorted[half - 1] + sorted[half]) / 2);
}

const stepOf = ({ height, width }, rules) => Math.ceil(Math.max(height, width) / rules.focus_long_side);

function thinned({ height, width, data }, step) {
  const [rows, columns] = [Math.ceil(height / step), Math.ceil(width / step)];
  const at = (k) => data[Math.floor(k / columns) * step * width + (k % columns) * step];
  return new Picture(rows, columns, 1, Float32Array.from({ length: rows * columns }, (_, k) => at(k)));
}

/** To the nearest whole number, halves to the even one. */
function roundEven(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 ? floor + 1 : floor;
}
