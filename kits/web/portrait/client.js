// What a page talks to: the methods of `Studio`, computed in a worker.

export class StudioClient {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #last = 0;

  constructor() {
    this.#worker.onmessage = ({ data }) => this.#heard(data);
    this.#worker.onerror = (event) => this.#failed(event.message || "the worker does not load");
  }

  open = (place) => this.#ask("open", place);
  load = (photo) => this.#ask("load", photo);
  focus = (point) => this.#ask("focus", point);
  preview = (request) => this.#ask("preview", request);
  render = (request, progress) => this.#ask("render", request, progress);

  #ask(call, argument, progress) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, progress });
      this.#worker.postMessage({ id, call, argument });
    });
  }

  #heard({ id, result, error, progress }) {
    const asked = this.#waiting.get(id);
    if (progress) return void asked.progress?.(...progress);
    this.#waiting.delete(id);
    if (error) asked.reject(Object.assign(new Error(error.message), { name: error.name }));
    else asked.resolve(result);
  }

  #failed(message) {
    for (const { reject } of this.#waiting.values()) reject(new Error(message));
    this.#waiting.clear();
  }
}
