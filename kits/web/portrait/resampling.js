// The one way in which pictures and maps are resampled (section "Resampling" of the bundle's README). A pitch is how many
// source pixels there are for each pixel of the result, as a fraction [above, below] of whole numbers.

import { Picture, clamp } from "./picture.js";

const { fround } = Math; // sums as in 32 bits, in the order of the pixels

/**
 * Area mean where it shrinks, linear where it enlarges; beyond the picture its edge is repeated.
 * @param {Picture} picture bytes, too: no copy of a large photo in floats is made
 * @param {number[]} size `[height, width]` of the result
 * @param {number[][]} pitch vertical and horizontal
 * @returns {Picture} in floats from 0 to 1
 */
export function resampled(picture, [height, width], [down, across]) {
  const { channels, white } = picture;
  const whole = acrossRows(downColumns(picture, height, down), [height, picture.width, channels], width, across);
  return new Picture(height, width, channels, white === 1 ? whole : whole.map((value) => value / white));
}

/** The largest value whose centre lies in each pixel of a coarser grid (step 9.3). */
export function largest(map, [height, width], [down, across]) {
  const tall = largestAlong(map.data, [1, map.height, map.width], height, down);
  return new Picture(height, width, 1, largestAlong(tall, [height, map.width, 1], width, across));
}

function downColumns({ height, width, channels, data, stride, pitch }, count, [above, below]) {
  const result = new Float32Array(count * width * channels);
  for (let i = 0; i < count; i++) {
    for (const [tap, weight] of taps(i, above / below, height)) {
      let goal = i * width * channels;
      for (let from = tap * pitch; from < tap * pitch + width * stride; from += stride) {
        for (let channel = 0; channel < channels; channel++) result[goal++] += fround(data[from + channel] * weight);
      }
    }
  }
  return result;
}

function acrossRows(values, [height, width, channels], count, [above, below]) {
  if (above === below && width === count) return values;
  const result = new Float32Array(height * count * channels);
  for (let j = 0; j < count; j++) {
    for (const [tap, weight] of taps(j, above / below, width)) {
      for (let i = 0; i < height; i++) {
        const [from, goal] = [(i * width + tap) * channels, (i * count + j) * channels];
        for (let channel = 0; channel < channels; channel++) {
          result[goal + channel] += fround(values[from + channel] * weight);
        }
      }
    }
  }
  return result;
}

/** The source pixels of result i and what each weighs. */
function taps(i, pitch, side) {
  const length = Math.max(1, pitch);
  const begin = (i + 0.5) * pitch - length / 2;
  const found = [];
  for (let j = Math.floor(begin); j < begin + length; j++) {
    const overlap = Math.min(j + 1, begin + length) - Math.max(j, begin);
    found.push([clamp(j, 0, side - 1), fround(overlap / length)]);
  }
  return found;
}

function largestAlong(values, [outer, side, inner], count, [above, below]) {
  const result = new Float32Array(outer * count * inner);
  // The first source pixel whose centre lies at or after the beginning of result i; in whole numbers.
  const first = (i) => Math.ceil((2 * i * above - below) / (2 * below));
  for (let i = 0; i < count; i++) {
    const [from, to] = [first(i), first(i + 1) - 1].map((j) => clamp(j, 0, side - 1));
    for (let o = 0; o < outer; o++) {
      for (let k = 0; k < inner; k++) {
        let most = values[(o * side + from) * inner + k];
        for (let j = from + 1; j <= to; j++) most = Math.max(most, values[(o * side + j) * inner + k]);
        result[(o * count + i) * inner + k] = most;
      }
    }
  }
  return result;
}
