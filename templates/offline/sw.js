{# Rendered by wms/web/offline.py: the addresses carry the hash of each file, so a new version is a new cache. #}
// Keeps the files of a floor page and an empty page for where there is no network. No answer with anybody's data is kept.
"use strict";

const FILES = {{ files | map("static_address") | list | tojson }};
const STATIC = "wms-static-{{ files | map("static_address") | join | fingerprint }}";
const SHELL = "wms-shell";
const PATIENCE_MS = 4000;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(STATIC).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("wms-static-") && name !== STATIC) await caches.delete(name);
    await self.clients.claim();
  })());
});

// A signed-in page asks for the empty page to be kept, the sign-in page for it to be forgotten.
self.addEventListener("message", (event) => {
  if (event.data === "keep") event.waitUntil(keepShell());
  if (event.data === "forget") event.waitUntil(caches.delete(SHELL));
});

async function keepShell() {
  const answer = await fetch("/shell", { credentials: "same-origin" });
  if (answer.ok && !answer.redirected) await (await caches.open(SHELL)).put("/shell", answer);
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (pathname.startsWith("/static/")) event.respondWith(kept(request));
  else if (request.mode === "navigate") event.respondWith(page(request));
});

async function kept(request) {
  return (await caches.match(request)) || fetch(request);
}

async function page(request) {
  const shell = await caches.match("/shell");
  if (!shell) return fetch(request);
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE_MS);
  try {
    return await fetch(request, { signal: patience.signal });
  } catch {
    return shell;
  } finally {
    clearTimeout(timer);
  }
}
