// Files of named tensors, as golden cases and step cases are stored.

const KINDS = { F32: Float32Array, U16: Uint16Array, U8: Uint8Array };

/**
 * @param {ArrayBuffer} buffer a safetensors file
 * @returns {Map<string, {shape: number[], data: Float32Array | Uint16Array | Uint8Array}>}
 */
export function readTensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const tensors = new Map();
  for (const [name, { dtype, shape, data_offsets: [first, end] }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    // A copy: numbers need not lie where an array of 32 bits may begin.
    const numbers = buffer.slice(8 + length + first, 8 + length + end);
    tensors.set(name, { shape, data: new KINDS[dtype](numbers) });
  }
  return tensors;
}
