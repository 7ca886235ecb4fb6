// The pictures in a JPEG file, one after another, with what they say of themselves. Nothing is decoded here.
//
// Phones append depth maps, mattes and gain maps to the photo as further JPEG pictures. They are found by walking the
// file: the index that lists them (MPF) is often stale.

const [END, SCAN, APP1] = [0xd9, 0xda, 0xe1];
const [EXIF, XMP, EXTENSION] = ["Exif\0\0", "http://ns.adobe.com/xap/1.0/\0", "http://ns.adobe.com/xmp/extension/\0"];
const EXTENSION_HEADER = 40; // bytes: GUID, length of the whole, offset of this part
const ORIENTATION = 0x0112;

/** A picture: `bytes.subarray(start, end)` of the file, and its metadata; null where it has none. */
class JpegPicture {
  exif = null;
  xmp = null;
  #parts = []; // of the packet's extension

  constructor(start, end) {
    Object.assign(this, { start, end });
  }

  take(content) {
    if (begins(content, EXIF)) this.exif ??= content.subarray(EXIF.length);
    else if (begins(content, XMP)) this.xmp ??= new TextDecoder().decode(content.subarray(XMP.length));
    else if (begins(content, EXTENSION)) this.#parts.push(content.subarray(EXTENSION.length));
  }

  /** The part of the packet that did not fit into one segment, by the GUID that the packet names; null: not whole. */
  extendedXmp(guid) {
    const parts = this.#parts.filter((part) => part.length >= EXTENSION_HEADER && begins(part, guid));
    if (guid.length !== 32 || !parts.length) return null;
    const [length, offset] = [32, 36].map((at) => (part) => viewOf(part).getUint32(at));
    const whole = [];
    let known = 0;
    for (const part of parts.sort((a, b) => offset(a) - offset(b))) {
      if (offset(part) !== known) continue;
      whole.push(part.subarray(EXTENSION_HEADER));
      known += whole.at(-1).length;
    }
    return known === length(parts.at(-1)) ? new Blob(whole).text() : null;
  }

  /** 1 to 8, as EXIF counts how the pixels are to be turned; 1 where it says nothing or is damaged. */
  get orientation() {
    try {
      const tiff = viewOf(this.exif ?? new Uint8Array());
      const little = tiff.getUint16(0) === 0x4949;
      const first = tiff.getUint32(4, little);
      for (let k = 0; k < tiff.getUint16(first, little); k++) {
        const entry = first + 2 + 12 * k;
        if (tiff.getUint16(entry, little) !== ORIENTATION) continue;
        const value = tiff.getUint16(entry + 8, little);
        return value >= 1 && value <= 8 ? value : 1;
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // a list that leads out of its segment
    }
    return 1;
  }
}

/**
 * The pictures of a file in their order, the photo first. Takes any bytes: a damaged picture ends where it stops making
 * sense, and what is no JPEG has none.
 * @param {Uint8Array} bytes
 * @returns {JpegPicture[]}
 */
export function jpegPictures(bytes) {
  const pictures = [];
  if (!isStart(bytes, 0)) return pictures;
  for (let start = 0; start >= 0; start = nextStart(bytes, pictures.at(-1).end)) pictures.push(pictureAt(bytes, start));
  return pictures;
}

function pictureAt(bytes, start) {
  const picture = new JpegPicture(start, bytes.length);
  let at = start + 2;
  while (at + 4 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1];
    if (marker === END) break;
    if (marker === 0xff) at += 1; // padding
    else if (marker === 0x01 || isRestart(marker)) at += 2;
    else at = afterSegment(bytes, at, marker, picture);
  }
  picture.end = Math.min(at + 2, bytes.length);
  return picture;
}

function afterSegment(bytes, at, marker, picture) {
  const end = at + 2 + Math.max(2, (bytes[at + 2] << 8) | bytes[at + 3]);
  if (marker === APP1) picture.take(bytes.subarray(at + 4, end));
  return marker === SCAN ? afterScan(bytes, end) : end;
}

/** In entropy-coded data 0xFF is followed by 0 or a restart marker; all else is the next segment. */
function afterScan(bytes, from) {
  for (let at = bytes.indexOf(0xff, from); at >= 0 && at + 1 < bytes.length; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1];
    if (next !== 0 && next !== 0xff && !isRestart(next)) return at;
  }
  return bytes.length;
}

function nextStart(bytes, from) {
  let at = bytes.indexOf(0xff, from);
  while (at >= 0 && !isStart(bytes, at)) at = bytes.indexOf(0xff, at + 1);
  return at;
}

const isStart = (bytes, at) => bytes[at] === 0xff && bytes[at + 1] === 0xd8 && bytes[at + 2] === 0xff;
const isRestart = (marker) => marker >= 0xd0 && marker <= 0xd7;
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function begins(bytes, text) {
  for (let k = 0; k < text.length; k++) if (bytes[k] !== text.charCodeAt(k)) return false;
  return true;
}
