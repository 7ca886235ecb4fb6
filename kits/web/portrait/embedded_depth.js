// The depth map that a phone stores inside a portrait photo. In a JPEG: Apple's (a second picture), Google's GDepth (in
// the photo's XMP) and Dynamic Depth (a file after the photo). In a HEIC: an auxiliary picture, which a browser decodes
// if it decodes the photo.
//
// What is damaged or not understood means "no depth", never a guess: a wrong map ruins the photo, without one the depth
// network is asked.

import { heifDepth, isHeif } from "./heif.js";
import { jpegPictures } from "./jpeg.js";
import { Picture } from "./picture.js";
import { extremes } from "./rules.js";

const APPLE = "http://ns.apple.com/pixeldatainfo/1.0/";
const GDEPTH = "http://ns.google.com/photos/1.0/depthmap/";
const DYNAMIC = "http://ns.google.com/photos/dd/1.0/depthmap/";
// The container was a part of Dynamic Depth first, then of its own; phones write either.
const ITEMS = ["http://ns.google.com/photos/dd/1.0/item/", "http://ns.google.com/photos/1.0/container/item/"];
const NOTE = "http://ns.adobe.com/xmp/note/";
const MOST_ITEMS = 64;

/**
 * The disparity in a photo's file, over the upright photo, at its own size.
 * @param {ArrayBuffer} file
 * @param {(stored: Uint8Array) => Promise<Picture>} decode grey values of a stored map from 0 to 1; rejects what is no
 *   picture. By default the browser's decoder, which gives 8 bits.
 * @returns {Promise<Picture | null>} stretched to fill 0 … 1, 1 = nearest; null where the file has none
 */
export async function embeddedDisparity(file, decode = greyOf) {
  const bytes = new Uint8Array(file);
  const values = (stored) => (stored ? decode(stored).catch(() => null) : null);
  if (isHeif(bytes)) return heifDisparity(bytes, values);
  const [photo, ...others] = jpegPictures(bytes);
  if (!photo) return null;
  for (const find of [appleDisparity, googleDisparity, dynamicDisparity]) {
    const found = await find(bytes, photo, others, values);
    // Stored as the sensor saw it, like the photo.
    if (found) return stretched(oriented(found, photo.orientation));
  }
  return null;
}

/** Whether a file is a HEIC with a depth map: where `embeddedDisparity` gives null of it, somebody should be told. */
export function hasHeifDepth(file) {
  return heifDepth(new Uint8Array(file)) !== null;
}

/** Turned by the decoder, as the container says, like the photo. */
async function heifDisparity(bytes, values) {
  const found = heifDepth(bytes);
  const map = found?.isDisparity ? await values(found.picture) : null;
  return map && stretched(map);
}

/** The first auxiliary picture that is disparity in 1/m, or depth in m. */
async function appleDisparity(bytes, photo, others, values) {
  for (const { start, end, xmp } of others) {
    const kind = xmp && property(xmp, APPLE, "AuxiliaryImageType");
    const isMatte = xmp && property(xmp, APPLE, "AuxiliaryImageSubType") !== null; // mattes call themselves depth, too
    if (isMatte || !["disparity", "depth"].includes(kind)) continue;
    const map = await values(bytes.subarray(start, end));
    const range = ["Min", "Max"].map((limit) => property(xmp, APPLE, `Float${limit}Value`));
    const found = map && (kind === "disparity" ? map : inverseOfRange(map, ...range));
    if (found) return found;
  }
  return null;
}

/** The picture in a property of the photo's XMP, or of its extension. */
async function googleDisparity(bytes, photo, others, values) {
  if (!photo.xmp) return null;
  const extension = await photo.extendedXmp(property(photo.xmp, NOTE, "HasExtendedXMP") ?? "");
  const stated = (name) => property(photo.xmp, GDEPTH, name) || (extension && property(extension, GDEPTH, name)) || null;
  return ofRange(await values(fromBase64(stated("Data"))), stated);
}

/** The file after the photo that its XMP names as the depth map. */
async function dynamicDisparity(bytes, photo, others, values) {
  const uri = photo.xmp && property(photo.xmp, DYNAMIC, "DepthURI");
  const place = uri && appended(photo, bytes.length).find((file) => file.uri === uri);
  if (!place) return null;
  return ofRange(await values(bytes.subarray(place.start, place.end)), (name) => property(photo.xmp, DYNAMIC, name));
}

/** The files after the photo, in the order of its XMP, as far as they lie within the whole. */
function appended({ xmp, end: position }, length) {
  const files = [];
  const chunks = xmp.split("<rdf:li").slice(1, MOST_ITEMS + 1).map((chunk) => chunk.split("</rdf:Seq")[0]);
  const valueOf = (item, name) => ITEMS.map((uri) => property(item, uri, name, xmp)).find((value) => value !== null) ?? null;
  const items = chunks.filter((chunk) => valueOf(chunk, "Mime") !== null);
  for (const [number, item] of items.entries()) {
    const [bytes, padding] = ["Length", "Padding"].map((name) => whole(valueOf(item, name)));
    if (Number.isNaN(bytes + padding)) return [];
    // The first is the photo itself; its length is often 0, which means "up to where it ends".
    const end = number ? position + bytes : position;
    if (end > length) break;
    if (number) files.push({ start: position, end, uri: valueOf(item, "DataURI") });
    position = end + padding;
  }
  return files;
}

/** Google's values run from 0 at `Near` to 1 at `Far`, in the way that `Format` names. */
function ofRange(map, stated) {
  if (!map) return null;
  const format = stated("Format") ?? "RangeInverse";
  if (format === "RangeLinear") return inverseOfRange(map, stated("Near"), stated("Far"));
  return format === "RangeInverse" ? mapped(map, (value) => 1 - value) : null; // linear in disparity
}

/** 1 / depth, of values that run from the nearest depth to the farthest. */
function inverseOfRange(map, ...ends) {
  const [nearest, farthest] = ends.map((text) => (text === null ? NaN : Number(text)));
  if (!(0 < nearest && nearest < farthest && farthest < Infinity)) return null;
  return mapped(map, (value) => 1 / (nearest + value * (farthest - nearest)));
}

function stretched(map) {
  const [least, most] = extremes(map);
  if (!Number.isFinite(least + most)) return null;
  return mapped(map, (value) => (most > least ? (value - least) / (most - least) : 0));
}

function mapped({ height, width, data }, change) {
  return new Picture(height, width, 1, data.map(change));
}

/** Turned as an EXIF orientation says. */
function oriented(map, orientation) {
  const [swapped, down, across] = ["5678", "3478", "2367"].map((those) => those.includes(orientation));
  const [height, width] = swapped ? [map.width, map.height] : [map.height, map.width];
  const turned = Picture.blank(height, width, 1);
  for (let k = 0; k < turned.data.length; k++) {
    const i = down ? height - 1 - Math.floor(k / width) : Math.floor(k / width);
    const j = across ? width - 1 - (k % width) : k % width;
    turned.data[k] = map.data[swapped ? j * map.width + i : i * map.width + j];
  }
  return turned;
}

/**
 * The text of a simple property, written as an attribute or as an element; null where there is none.
 * @param {string} packet the part of an XMP packet to search
 * @param {string} namespace its URI
 * @param {string} whole the packet, where the prefix is declared
 */
function property(packet, namespace, name, whole = packet) {
  for (const [, prefix, uri] of whole.matchAll(/\sxmlns:([\w.-]+)\s*=\s*["']([^"'<>]*)["']/g)) {
    if (uri !== namespace) continue;
    const tag = `${prefix.replaceAll(".", "\\.")}:${name}`;
    const attribute = new RegExp(`\\s${tag}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`);
    const element = new RegExp(`<${tag}(?:\\s[^<>]*)?>([^<]*)</${tag}\\s*>`);
    const found = attribute.exec(packet) ?? element.exec(packet);
    if (found) return found.slice(1).find((group) => group !== undefined).trim();
  }
  return null;
}

/** A count of bytes: 0 where it is not stated, NaN where it is no number. */
function whole(text) {
  if (text === null) return 0;
  return /^\d{1,11}$/.test(text) ? Number(text) : NaN;
}

function fromBase64(text) {
  try {
    return text && Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  } catch {
    return null;
  }
}

/** A stored picture's grey values, undisturbed by colour profiles. */
async function greyOf(stored) {
  const bitmap = await createImageBitmap(new Blob([stored], { type: isHeif(stored) ? "image/heic" : "" }), { colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  // Luma in 16 bits, which leaves grey as it is (ITU-R BT.601).
  const grey = (k) => (data[k] * 19595 + data[k + 1] * 38470 + data[k + 2] * 7471 + 0x8000) >> 16;
  return new Picture(height, width, 1, Float32Array.from({ length: width * height }, (_, k) => grey(4 * k) / 255));
}
