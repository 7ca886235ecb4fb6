// What is on the screen, and what is done there with mouse, finger and keyboard.

const $ = (id) => document.getElementById(id);
const STEP = 0.02; // of a side, for each press of an arrow key

export class View {
  #app;
  #point = { x: 0.5, y: 0.5 };
  #depth = ""; // whose it is, where there is something to say

  constructor(app) {
    this.#app = app;
    $("file").onchange = () => $("file").files[0] && app.open($("file").files[0], $("file").files[0].name);
    this.#takeDrops();
    this.#takeTaps();
    $("aperture").oninput = () => {
      $("aperture-value").value = $("aperture").value;
      app.changed();
    };
    $("compare").oninput = () => this.#compare(Number($("compare").value));
    $("auto").onclick = () => app.focusAt(null);
    $("view").onclick = () => this.#showView($("depth").hidden);
    $("download").onclick = () => app.download();
    this.#compare(0);
  }

  get aperture() {
    return Number($("aperture").value) / 100;
  }

  ready({ runtime, threads, aperture }, milliseconds, example) {
    $("aperture").value = $("aperture-value").value = Math.round(100 * aperture);
    this.#state("empty", "Ready. Open a photo.");
    $("runtime").textContent = `${runtime}, ${threads} thread${threads > 1 ? "s" : ""}, loaded in ${seconds(milliseconds)}`;
    $("example").hidden = !example;
    $("example").onclick = async () => this.#app.open(await (await fetch(example)).blob(), "example.jpg");
  }

  busy(text) {
    this.#state("busy", text);
    $("download").disabled = true;
  }

  failed(text) {
    $("progress").hidden = true;
    this.#state("failed", text);
  }

  /** Draw a photo upright and reduce it where it is too large; its pixels, in sRGB. */
  async show(blob, most) {
    const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
    const scale = Math.min(1, Math.sqrt(most / (bitmap.width * bitmap.height)));
    const [width, height] = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
    for (const id of ["before", "after"]) Object.assign($(id), { width, height });
    const context = $("before").getContext("2d", { willReadFrequently: true, alpha: false });
    context.imageSmoothingQuality = "high";
    context.fillStyle = "white"; // what is transparent lies over white
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    bitmap.close();
    $("after").getContext("2d").drawImage($("before"), 0, 0);
    this.#showView(false);
    $("empty").hidden = true;
    $("stage").hidden = false;
    return context.getImageData(0, 0, width, height);
  }

  /** Disparity from dark, far, to light, near. */
  showDepth({ width, height, data, measured, unread }) {
    this.#depth = measured ? " with the photo's own depth" : unread ? " (this browser cannot read the photo's own depth)" : "";
    const pixels = new ImageData(width, height);
    data.forEach((value, k) => pixels.data.set([...[255, 235, 190].map((most) => most * value), 255], 4 * k));
    Object.assign($("depth"), { width, height });
    $("depth").getContext("2d").putImageData(pixels, 0, 0);
    $("settings").disabled = false;
  }

  marked(point) {
    $("focus").classList.toggle("by-itself", !point);
    if (point) this.#move(point);
  }

  /** What is shown is no longer what is set. */
  changing() {
    document.body.dataset.state = "changing";
    $("download").disabled = true;
  }

  preview(picture, milliseconds) {
    this.#draw(picture);
    this.#state("changing", `Preview in ${seconds(milliseconds)}`);
  }

  progress(done, of) {
    $("progress").hidden = false;
    $("progress").value = done / of;
  }

  full(picture, milliseconds) {
    this.#draw(picture);
    $("progress").hidden = true;
    $("download").disabled = false;
    this.#state("full", `Done${this.#depth}: ${picture.width} × ${picture.height} pixels in ${seconds(milliseconds)}`);
  }

  /** The result as a JPEG. */
  result() {
    return new Promise((resolve) => $("after").toBlob(resolve, "image/jpeg", 0.95));
  }

  #draw({ width, height, data }) {
    Object.assign($("after"), { width, height });
    $("after").getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  }

  #state(state, text) {
    document.body.dataset.state = state;
    $("status").textContent = text;
  }

  #compare(share) {
    $("stage").style.setProperty("--seam", `${share}%`);
    $("stage").dataset.seam = share > 0 && share < 100 ? "shown" : "none";
    $("compare").ariaValueText = share === 0 ? "all after" : share === 100 ? "all before" : `before up to ${share} percent`;
  }

  #showView(depth) {
    $("depth").hidden = !depth;
    $("view").ariaPressed = String(depth);
    $("seam").hidden = depth;
  }

  #takeDrops() {
    const stop = (event) => event.preventDefault();
    for (const kind of ["dragover", "drop"]) addEventListener(kind, stop);
    addEventListener("dragover", () => $("drop").classList.add("over"));
    addEventListener("dragleave", (event) => event.relatedTarget ?? $("drop").classList.remove("over"));
    addEventListener("drop", ({ dataTransfer: { files } }) => {
      $("drop").classList.remove("over");
      if (files[0]) this.#app.open(files[0], files[0].name);
    });
    addEventListener("paste", ({ clipboardData: { files } }) => files[0] && this.#app.open(files[0], files[0].name));
  }

  #takeTaps() {
    $("stage").onclick = ({ clientX, clientY, detail }) => {
      if (!detail) return this.#app.focusAt(this.#point); // Enter on the marker
      const { left, top, width, height } = $("stage").getBoundingClientRect();
      this.#app.focusAt({ x: share((clientX - left) / width), y: share((clientY - top) / height) });
    };
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    $("focus").onkeydown = (event) => {
      const move = moves[event.key];
      if (!move) return;
      event.preventDefault();
      this.#move({ x: share(this.#point.x + move[0]), y: share(this.#point.y + move[1]) });
    };
  }

  #move(point) {
    this.#point = point;
    $("stage").style.setProperty("--x", point.x);
    $("stage").style.setProperty("--y", point.y);
    const [across, down] = [point.x, point.y].map((part) => Math.round(100 * part));
    $("focus").ariaLabel = `Point of focus, ${across} percent across, ${down} percent down. Arrow keys move it, Enter focuses there.`;
  }
}

const share = (value) => Math.min(1, Math.max(0, value));
const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;
