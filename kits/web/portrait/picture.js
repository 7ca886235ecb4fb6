// Pictures and maps: rows of pixels in one array. Nothing here knows what the numbers mean.

/** What lies over a rectangle of pixels: the numbers of pixel (i, j) begin at data[i · pitch + j · stride]. */
export class Picture {
  /**
   * @param {number} height in pixels
   * @param {number} width in pixels
   * @param {number} channels that count: 3 of an image, 1 of a map
   * @param {Float32Array | Uint8Array | Uint8ClampedArray} data
   * @param {number} stride from one pixel to the next: 4 where alpha lies between
   * @param {number} pitch from one row to the next
   */
  constructor(height, width, channels, data, stride = channels, pitch = width * stride) {
    Object.assign(this, { height, width, channels, data, stride, pitch });
    this.white = data instanceof Float32Array ? 1 : 255;
  }

  /** A map or an image of zeros, in floats. */
  static blank(height, width, channels) {
    return new Picture(height, width, channels, new Float32Array(height * width * channels));
  }

  /** The RGB of an `ImageData`, upright and in sRGB, as a canvas gives it; the bytes are shared. */
  static ofImageData({ width, height, data }) {
    return new Picture(height, width, 3, data, 4);
  }

  /** The top left part of that size, over the same numbers. */
  cropped(height, width) {
    return new Picture(height, width, this.channels, this.data, this.stride, this.pitch);
  }

  /** The same in floats from 0 to 1, without gaps. */
  floats() {
    if (this.data instanceof Float32Array && this.stride === this.channels && this.pitch === this.width * this.stride) {
      return this;
    }
    return new Picture(this.height, this.width, this.channels, this.cut(0, 0, this.height, this.width, "NHWC"));
  }

  /**
   * A rectangle as a network's input, in floats from 0 to 1; beyond the border the edge is repeated.
   * @param {number} top row of its first pixel, which may lie outside
   * @param {number} left column
   * @param {"NCHW" | "NHWC"} layout
   * @returns {Float32Array}
   */
  cut(top, left, height, width, layout) {
    const { channels, data, stride, pitch, white } = this;
    const result = new Float32Array(height * width * channels);
    const [perPixel, perChannel] = layout === "NCHW" ? [1, height * width] : [channels, 1];
    let goal = 0;
    for (let i = top; i < top + height; i++) {
      const row = clamp(i, 0, this.height - 1) * pitch;
      for (let j = left; j < left + width; j++, goal += perPixel) {
        const from = row + clamp(j, 0, this.width - 1) * stride;
        for (let channel = 0; channel < channels; channel++) {
          result[goal + channel * perChannel] = data[from + channel] / white;
        }
      }
    }
    return result;
  }

  /**
   * Write a rectangle that a network computed, clamped to 0 … 1; what lies beyond the border is left out.
   * @param {Float32Array} values `[height, width]` pixels with a margin of `halo` on every side, in `layout`
   */
  place(values, layout, halo, top, left, height, width, tile) {
    const { channels, data, stride, pitch, white } = this;
    const [perPixel, perChannel] = layout === "NCHW" ? [1, tile * tile] : [channels, 1];
    const rows = Math.min(height, this.height - top);
    const columns = Math.min(width, this.width - left);
    for (let i = 0; i < rows; i++) {
      let from = ((halo + i) * tile + halo) * perPixel;
      let goal = (top + i) * pitch + left * stride;
      for (let j = 0; j < columns; j++, from += perPixel, goal += stride) {
        for (let channel = 0; channel < channels; channel++) {
          // Bytes round by themselves, halves to the even one.
          data[goal + channel] = clamp(values[from + channel * perChannel], 0, 1) * white;
        }
      }
    }
  }
}

export function clamp(value, low, high) {
  return value < low ? low : value > high ? high : value;
}
