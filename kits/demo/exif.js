// What a photo says of itself (camera, time, place) moves from a JPEG into the JPEG that was made of it.

const [SOI, EXIF, SCAN] = [0xffd8, 0xffe1, 0xffda];
const ORIENTATION = 0x0112;

/**
 * @param {ArrayBuffer} original any file; of what is no JPEG with EXIF nothing is taken
 * @param {Blob} made a JPEG whose pixels are upright
 * @returns {Promise<Blob>} `made` with the original's EXIF, its orientation set to upright, its thumbnail left out
 */
export async function withExif(original, made) {
  const segment = exifOf(original);
  if (!segment) return made;
  upright(segment);
  return new Blob([made.slice(0, 2), segment, made.slice(2)], { type: made.type });
}

/** A copy of the segment, its marker and length included; null where there is none. */
function exifOf(buffer) {
  const view = new DataView(buffer);
  if (view.byteLength < 4 || view.getUint16(0) !== SOI) return null;
  for (let at = 2; at + 10 <= view.byteLength; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint16(at);
    if (marker < 0xff00 || marker === SCAN) return null;
    const end = at + 2 + view.getUint16(at + 2);
    if (marker === EXIF && view.getUint32(at + 4) === 0x45786966 && end <= view.byteLength) return buffer.slice(at, end);
  }
  return null;
}

/** Turns the orientation upright and ends the list of pictures with the first: the thumbnail shows the original. */
function upright(segment) {
  const tiff = new DataView(segment, 10);
  try {
    const little = tiff.getUint16(0) === 0x4949;
    const first = tiff.getUint32(4, little);
    const count = tiff.getUint16(first, little);
    for (let entry = first + 2; entry < first + 2 + 12 * count; entry += 12) {
      if (tiff.getUint16(entry, little) === ORIENTATION) tiff.setUint16(entry + 8, 1, little);
    }
    tiff.setUint32(first + 2 + 12 * count, 0, little);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // a list that leads out of its segment is left as it is
  }
}
