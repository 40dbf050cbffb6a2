// The server's side of a bench: which printers it has, the next task, what became of one.
"use strict";

(() => {
  const KEPT = "wms.bench";
  const name = () => Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => (byte % 36).toString(36)).join("");

  // New each time the page is loaded: only this load knows what it handed to a component and what not.
  const load = name();
  // The same after a reload. Taken out while the page lives, so that a tab made as a copy of this one gets its own.
  const tab = taken() || name();

  function taken() {
    try {
      const kept = sessionStorage.getItem(KEPT);
      sessionStorage.removeItem(KEPT);
      return kept;
    } catch {
      return null; // then a page loaded anew waits for its old lease to run out
    }
  }
  const AGAIN_MS = 1500;

  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  async function ask(path, fields) {
    try {
      const response = await fetch(path, {
        method: fields ? "POST" : "GET",
        headers: { "X-Requested-With": "scan", "X-CSRFToken": wms.csrfToken() },
        body: fields && new URLSearchParams({ ...fields, tab, load }),
        credentials: "same-origin",
      });
      const json = response.headers.get("Content-Type")?.startsWith("application/json");
      return { status: response.status, said: json ? await response.json() : null };
    } catch {
      return { status: 0, said: null }; // no network: later
    }
  }

  wms.station.office = {
    printers: () => ask("/components"),
    next: (printer, found) => ask(`/components/${printer}/next`, { found }),

    // Until the server has it: a label whose fate only this page knows must not be asked about for nothing.
    async tell(printer, { task, state, words }) {
      for (;;) {
        const { status } = await ask(`/components/${printer}/result`, { task, result: state, words: words.slice(0, 200) });
        if (status && status < 500) return;
        await pause(AGAIN_MS);
      }
    },

    keep: () => wms.setSession(KEPT, tab),
    back: taken,

    // May get lost with the page; then the lease runs out by itself.
    leave(printer) {
      const form = new FormData();
      for (const [field, value] of Object.entries({ csrf_token: wms.csrfToken(), tab, load })) form.append(field, value);
      navigator.sendBeacon(`/components/${printer}/leave`, form);
    },
  };

  wms.station.pause = pause;
})();
