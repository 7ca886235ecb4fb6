// The page: what is chosen and tapped becomes requests to the studio, and its answers become pixels. How it looks is
// in `view.js`.

import { withExif } from "./exif.js";
import { Studio, StudioClient } from "./portrait/index.js";
import { View } from "./view.js";

const MOST_PIXELS = 24e6; // larger photos are reduced: 24 megapixels take some 300 MB here
const PREVIEW = 640; // long side while a slider moves, where the bundle carries no preview graph
const REST = 350; // milliseconds without a move until the full picture is made

const address = (path) => new URL(path, document.baseURI).href;

class App {
  #view = new View(this);
  #studio;
  #photo;
  #name = "photo";
  #focus;
  #preview; // the one that is computed; another waits at most
  #again = false;
  #timer;

  async start() {
    const place = await (await fetch("place.json")).json();
    this.#studio = place.kind === "onnx" ? new StudioClient() : new Studio();
    const wanted = new URLSearchParams(location.search).get("accelerator") ?? "auto";
    const started = performance.now();
    const opened = await this.#studio.open({
      ...place, bundle: address(place.bundle), runtime: address(place.runtime), accelerator: wanted,
    });
    this.#view.ready(opened, performance.now() - started, place.example);
    if (place.offline && "serviceWorker" in navigator) {
      await navigator.serviceWorker.register("sw.js").catch(() => {}); // without it the demo works, with a network
    }
  }

  /** Take a photo: any picture that the browser can read, turned upright as its EXIF says. */
  async open(blob, name = "photo") {
    clearTimeout(this.#timer);
    this.#view.busy("Reading the photo …");
    let pixels;
    try {
      pixels = await this.#view.show(blob, MOST_PIXELS);
    } catch {
      const heic = /hei[cf]$/i.test(name) ? " HEIC opens in Safari only; save it as JPEG." : "";
      return this.#view.failed(`${name} is no picture that this browser can read.${heic}`);
    }
    this.#photo = blob;
    this.#name = name.replace(/\.\w+$/, "");
    this.#focus = undefined;
    await this.#attempt(async () => {
      this.#view.busy("Finding depth …");
      this.#view.showDepth(await this.#studio.load({ pixels, file: blob }));
      await this.focusAt(null);
    });
  }

  /** Focus at a point, as fractions of width and height, or by itself. */
  async focusAt(point) {
    await this.#attempt(async () => {
      this.#focus = await this.#studio.focus(point);
      this.#view.marked(point);
      this.changed();
    });
  }

  /** A setting has changed: preview at once, the full picture when the hand rests. */
  changed() {
    if (this.#focus === undefined) return;
    clearTimeout(this.#timer);
    this.#view.changing();
    this.#timer = setTimeout(() => this.#attempt(() => this.#full()), REST);
    this.#again = true;
    this.#preview ??= this.#attempt(() => this.#previews()).finally(() => (this.#preview = undefined));
  }

  async download() {
    const blob = await withExif(await this.#photo.arrayBuffer(), await this.#view.result());
    const link = document.createElement("a");
    Object.assign(link, { href: URL.createObjectURL(blob), download: `${this.#name}-portrait.jpg` });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  async #previews() {
    while (this.#again) {
      this.#again = false;
      const started = performance.now();
      const picture = await this.#studio.preview({ lens: this.#lens(), longSide: PREVIEW });
      this.#view.preview(picture, performance.now() - started);
    }
  }

  async #full() {
    await this.#preview;
    const started = performance.now();
    const progress = (done, of) => this.#view.progress(done, of);
    const picture = await this.#studio.render({ lens: this.#lens() }, progress);
    this.#view.full(picture, performance.now() - started);
  }

  #lens() {
    return { focus: this.#focus, aperture: this.#view.aperture };
  }

  /** What a newer request ended is no failure. */
  async #attempt(work) {
    try {
      await work();
    } catch (error) {
      if (error.name !== "AbortError") this.#view.failed(error.message);
    }
  }
}

const app = new App();
await app.start().catch((error) => {
  document.body.dataset.state = "failed";
  document.querySelector("#status").textContent = `The networks cannot be loaded: ${error.message}`;
});
