// Keeps the whole demo on the device, and gives every answer the two headers that threads of WebAssembly need: it works
// without a network, and on servers whose headers nobody can set.

const VERSION = "of the files"; // another one with any change of a file: browsers look whether this script has changed
const LIST = "files.json"; // what there is

self.addEventListener("install", (event) => event.waitUntil(fill().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(tidy().then(() => self.clients.claim())));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(self.registration.scope)) event.respondWith(answer(request));
});

async function fill() {
  const response = await fetch(LIST, { cache: "no-store" });
  if (!response.ok) throw new Error(`${LIST}: HTTP ${response.status}`);
  const cache = await caches.open(VERSION);
  for (const file of await response.json()) {
    if (!(await cache.match(file))) await cache.add(new Request(file, { cache: "no-store" }));
  }
}

async function tidy() {
  for (const name of await caches.keys()) if (name !== VERSION) await caches.delete(name);
}

async function answer(request) {
  const cache = await caches.open(VERSION); // not an older one's
  const found = (await cache.match(request, { ignoreSearch: true })) ?? (await fetch(request));
  const headers = new Headers(found.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}
