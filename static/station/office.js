// The server's side of a bench: which printers it has, the next task, what became of one.
"use strict";

(() => {
  // New each time the page is loaded: only this load knows what it handed to a component and what not.
  const load = Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => (byte % 36).toString(36)).join("");
  const AGAIN_MS = 1500;

  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  async function ask(path, fields) {
    try {
      const response = await fetch(path, {
        method: fields ? "POST" : "GET",
        headers: { "X-Requested-With": "scan", "X-CSRFToken": wms.csrfToken() },
        body: fields && new URLSearchParams({ ...fields, load }),
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

    leave(printer) {
      const form = new FormData();
      form.append("csrf_token", wms.csrfToken());
      form.append("load", load);
      navigator.sendBeacon(`/components/${printer}/leave`, form);
    },
  };

  wms.station.pause = pause;
})();
