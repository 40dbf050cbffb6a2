// One print component's WebSocket on this PC: opened, asked, heard, opened again.
"use strict";

wms.station = {};

(() => {
  const OPEN_MS = 4000;

  // `dialect` says which of its answers belongs to which question; `heard` gets what comes unasked.
  function link(addresses, dialect, heard) {
    let socket = null;
    let opening = null;
    const asked = new Map();

    function dial(address) {
      return new Promise((resolve) => {
        let made;
        try {
          made = new WebSocket(address);
        } catch {
          resolve(null); // an http page may not, or the address is not in the page's policy
          return;
        }
        const timer = setTimeout(() => made.close(), OPEN_MS);
        made.onopen = () => {
          clearTimeout(timer);
          resolve(made);
        };
        made.onclose = made.onerror = () => {
          clearTimeout(timer);
          resolve(null);
        };
      });
    }

    async function first() {
      for (const address of addresses) {
        const made = await dial(address);
        if (made) {
          made.onmessage = read;
          made.onerror = null;
          made.onclose = lost;
          socket = made;
          return true;
        }
      }
      return false;
    }

    function open() {
      if (socket?.readyState === WebSocket.OPEN) return Promise.resolve(true);
      opening ||= first().finally(() => { opening = null; });
      return opening;
    }

    function lost() {
      socket = null;
      for (const answer of asked.values()) answer(null);
      asked.clear();
    }

    function read(event) {
      let message;
      try {
        message = JSON.parse(event.data);
      } catch {
        return; // not in its protocol
      }
      const answer = asked.get(dialect.requestOf(message));
      if (answer && dialect.isAnswer(message)) answer(message);
      else heard(message);
    }

    // The answer, or null when none comes in time or the line is cut. `send` makes the text for a request id.
    function ask(send, patience) {
      if (socket?.readyState !== WebSocket.OPEN) return Promise.resolve(null);
      const id = wms.scanId();
      return new Promise((resolve) => {
        const end = (message) => {
          clearTimeout(timer);
          asked.delete(id);
          resolve(message);
        };
        const timer = setTimeout(end, patience, null);
        asked.set(id, end);
        socket.send(send(id));
      });
    }

    return { open, ask, close: () => socket?.close() };
  }

  Object.assign(wms.station, { link });
})();
