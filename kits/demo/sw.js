// Keeps the whole demo on the device, and gives every answer the two headers that threads of WebAssembly need: it works
// without a network, and on servers whose headers nobody can set.

const LIST = "files.json"; // {version, files}: what there is, written with the site

self.addEventListener("install", (event) => event.waitUntil(fill().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(tidy().then(() => self.clients.claim())));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(self.registration.scope)) event.respondWith(answer(request));
});

async function list() {
  const response = await fetch(LIST, { cache: "no-store" });
  if (!response.ok) throw new Error(`${LIST}: HTTP ${response.status}`);
  return response.json();
}

async function fill() {
  const { version, files } = await list();
  const cache = await caches.open(version);
  for (const file of files) if (!(await cache.match(file))) await cache.add(new Request(file, { cache: "no-store" }));
}

async function tidy() {
  const { version } = await list().catch(() => ({}));
  if (!version) return; // without a network nothing is thrown away
  for (const name of await caches.keys()) if (name !== version) await caches.delete(name);
}

async function answer(request) {
  const found = (await caches.match(request, { ignoreSearch: true })) ?? (await fetch(request));
  const headers = new Headers(found.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}
