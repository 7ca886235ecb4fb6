// The depth map in a HEIC (ISO/IEC 23008-12): an auxiliary picture, coded like the photo, which browsers do not hand out.
// The file is made one of which it is the main picture: whoever can decode the photo decodes the map then.

const DEPTH = ["urn:mpeg:hevc:2015:auxid:2", "urn:mpeg:mpegB:cicp:systems:auxiliary:depth"];
const REPRESENTATION = 177; // the message that says what depth numbers mean (ITU-T H.265, D.2.33)

/** @returns {boolean} whether the bytes are a HEIC, or another picture of that container */
export function isHeif(bytes) {
  return textAt(bytes, 4) === "ftyp";
}

/**
 * A file whose picture is the depth map of another.
 * @param {Uint8Array} bytes of a HEIC
 * @returns {{picture: Uint8Array, isDisparity: boolean} | null} `isDisparity`: its numbers are linear in disparity, as
 *   far as the file says anything; null: it has no depth map, or is damaged
 */
export function heifDepth(bytes) {
  try {
    return isHeif(bytes) ? asMainPicture(bytes) : null;
  } catch (error) {
    if (error instanceof RangeError) return null; // a box that leads out of the file
    throw error;
  }
}

function asMainPicture(bytes) {
  const meta = child(bytes, { content: 0, end: bytes.length }, "meta");
  if (!meta) return null;
  const inside = { content: meta.content + 4, end: meta.end };
  const [properties, main, items, references] = ["iprp", "pitm", "iinf", "iref"].map((kind) => child(bytes, inside, kind));
  const found = properties && main && depthItem(bytes, properties);
  if (!found) return null;
  const picture = bytes.slice();
  const view = viewOf(picture);
  const isLong = bytes[main.content] > 0;
  if (!isLong && found.item > 0xffff) return null;
  if (isLong) view.setUint32(main.content + 4, found.item);
  else view.setUint16(main.content + 4, found.item);
  for (const entry of items ? boxes(bytes, items.content + (bytes[items.content] ? 8 : 6), items.end) : []) {
    if (numberAt(bytes, entry.content + 4, bytes[entry.content] > 2) === found.item) picture[entry.content + 3] &= 0xfe; // not hidden
  }
  for (const entry of references ? boxes(bytes, references.content + 4, references.end) : []) {
    const from = numberAt(bytes, entry.content, bytes[references.content] > 0);
    if (entry.kind === "auxl" && from === found.item) picture.set(codes("skip"), entry.content - 4); // of nothing any more
  }
  return { picture, isDisparity: isDisparity(found.messages) };
}

/** The first item with the property that it is depth, and the messages of that property. */
function depthItem(bytes, properties) {
  const list = [...boxes(bytes, ...span(child(bytes, properties, "ipco")))];
  const messages = list.map(({ kind, content, end }) => {
    if (kind !== "auxC") return null;
    const stop = bytes.indexOf(0, content + 4);
    const type = new TextDecoder().decode(bytes.subarray(content + 4, stop));
    return DEPTH.includes(type) ? bytes.subarray(stop + 1, end) : null;
  });
  for (const table of boxes(bytes, ...span(properties))) {
    if (table.kind !== "ipma") continue;
    for (const { item, indices } of associations(bytes, table)) {
      const index = indices.find((one) => messages[one - 1]);
      if (index) return { item, messages: messages[index - 1] };
    }
  }
  return null;
}

/** Which properties each item has, counted from 1. */
function* associations(bytes, { content }) {
  const view = viewOf(bytes);
  const [longItems, longIndices] = [bytes[content] > 0, (bytes[content + 3] & 1) === 1];
  let at = content + 8;
  for (let count = view.getUint32(content + 4); count > 0; count--) {
    const item = numberAt(bytes, at, longItems);
    at += longItems ? 4 : 2;
    const indices = [];
    for (let left = view.getUint8(at++); left > 0; left--, at += longIndices ? 2 : 1) {
      indices.push(longIndices ? view.getUint16(at) & 0x7fff : view.getUint8(at) & 0x7f);
    }
    yield { item, indices };
  }
}

/** Of the units beside a depth map: none speaks of it, or one says inverse depth or disparity (kinds 0 and 1). */
function isDisparity(messages) {
  for (let at = 4; at + 8 < messages.length; at += 4 + viewOf(messages).getUint32(at)) { // behind the length of all
    const [unit, kind, content] = [messages[at + 4] >> 1, messages[at + 6], messages[at + 8]];
    if (![39, 40].includes(unit) || kind !== REPRESENTATION) continue;
    const bits = content & 0x0f; // behind four flags: 1… is 0, 010… is 1 (Exp-Golomb)
    return bits >> 3 === 1 || bits >> 1 === 0b010;
  }
  return true;
}

function* boxes(bytes, from, end) {
  const view = viewOf(bytes);
  for (let at = from; at + 8 <= end; ) {
    const short = view.getUint32(at);
    const length = short === 1 ? Number(view.getBigUint64(at + 8)) : short || end - at;
    if (length < 8 || at + length > end) throw new RangeError("a box leads out of its parent");
    yield { kind: textAt(bytes, at + 4), content: at + (short === 1 ? 16 : 8), end: at + length };
    at += length;
  }
}

function child(bytes, { content, end }, kind) {
  for (const box of boxes(bytes, content, end)) if (box.kind === kind) return box;
  return null;
}

const span = (box) => (box ? [box.content, box.end] : [0, 0]);
const viewOf = ({ buffer, byteOffset, byteLength }) => new DataView(buffer, byteOffset, byteLength);
const codes = (text) => Uint8Array.from(text, (sign) => sign.charCodeAt(0));
const textAt = (bytes, at) => String.fromCharCode(...bytes.subarray(at, at + 4));

function numberAt(bytes, at, isLong) {
  return isLong ? viewOf(bytes).getUint32(at) : viewOf(bytes).getUint16(at);
}
