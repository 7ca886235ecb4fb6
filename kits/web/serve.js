// A server for trying the page on this machine: `npm start`. Its two headers let WebAssembly use several threads; give
// your own server the same.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL(".", import.meta.url));
const PORT = Number(process.env.PORT ?? 8000);
const TYPES = {
  ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".json": "application/json",
  ".wasm": "application/wasm",
};

createServer(async ({ url }, response) => {
  // An address has no way above its root: normalizing takes all of ".." away.
  const path = normalize(decodeURIComponent(new URL(url, "http://localhost").pathname));
  try {
    const body = await readFile(join(ROOT, path.endsWith("/") ? `${path}index.html` : path));
    response.writeHead(200, {
      "Content-Type": TYPES[path.endsWith("/") ? ".html" : extname(path)] ?? "application/octet-stream",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}).listen(PORT, "127.0.0.1", () => console.log(`http://127.0.0.1:${PORT}/`));
