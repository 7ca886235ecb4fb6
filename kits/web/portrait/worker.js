// A `Studio` beside the page: computing leaves the page free to move.

import { Studio } from "./studio.js";

const studio = new Studio();

self.onmessage = async ({ data: { id, call, argument } }) => {
  try {
    const progress = (done, of) => self.postMessage({ id, progress: [done, of] });
    const result = await studio[call](argument, progress);
    self.postMessage({ id, result }, result?.data ? [result.data.buffer] : []);
  } catch (error) {
    self.postMessage({ id, error: { name: error.name, message: error.message } });
  }
};
