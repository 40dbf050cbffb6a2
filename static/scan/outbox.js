// Scans and acts wait here until they are answered; they go in order, the same id each time (R10).
"use strict";

(() => {
  const { csrfToken, emit, operator, setSession, store, word } = wms;
  const ABORT_MS = 4000;
  const RETRY_MS = [500, 1000, 2000, 4000, 8000, 15000];
  const SHOW_WAITING_MS = 300; // an ordinary answer is here sooner, and a number that blinks helps nobody
  const LATE_MS = 30000;
  const SERVER_TRIES = 6; // answers 500 to one scan before it is set aside, so that it cannot stop the shift

  const prefix = `${operator}.`;
  // What this page knows to be waiting, oldest first. The store has the same, but for what was scanned before
  // anyone signed in (a badge) and what has a password in it: that is gone with the page.
  let entries = [];
  let last = 0;
  const gone = new Set(); // answered, though the store may still have them for a moment
  const volatile = (entry) => !operator || entry.secret;

  const outbox = {
    ready: null,

    list: () => entries,

    add(entry) {
      const newest = entries.length ? Number(entries[entries.length - 1].key.slice(prefix.length).split(".")[0]) : 0;
      last = Math.max(Date.now(), newest + 1, last + 1); // a clock set back must not change the order
      const kept = { ...entry, key: `${prefix}${String(last).padStart(15, "0")}.${entry.id}` };
      entries.push(kept);
      outbox.save(kept);
      waitingChanged();
      return kept;
    },

    async save(entry) {
      if (volatile(entry)) return;
      const { foreign, ...kept } = entry;
      if (await store.put("outbox", kept)) channel?.postMessage("changed");
      if (gone.has(entry.key)) store.remove("outbox", entry.key); // answered meanwhile
    },

    remove(entry) {
      entries = entries.filter((each) => each.key !== entry.key);
      gone.add(entry.key);
      if (!volatile(entry)) store.remove("outbox", entry.key).then(() => channel?.postMessage("changed"));
      waitingChanged();
    },

    // Off the road but not thrown away: a person may want to know what it was.
    setAside(entry) {
      if (!volatile(entry)) store.put("aside", { ...entry, key: `${prefix}${entry.id}` });
      outbox.remove(entry);
    },
  };

  async function load() {
    if (!operator) return;
    const stored = (await store.list("outbox", prefix)).filter(({ key }) => !gone.has(key));
    const there = new Set(stored.map(({ key }) => key));
    // What was made on this page stays until this page has its answer.
    const own = entries.filter((entry) => !entry.foreign || there.has(entry.key));
    const known = new Set(own.map(({ key }) => key));
    for (const entry of stored) if (!known.has(entry.key)) own.push({ ...entry, foreign: true });
    entries = own.sort((one, other) => (one.key < other.key ? -1 : 1));
    waitingChanged();
  }

  // Another tab of the same phone keeps and sends too; ids make it harmless that both may send one scan.
  const channel = window.BroadcastChannel ? new BroadcastChannel("wms.outbox") : null;
  channel?.addEventListener("message", load);
  outbox.ready = load();

  let waitingTimer = 0;

  function waitingChanged() {
    emit("wms:waiting", { count: entries.length });
    if (entries.length === 0) {
      clearTimeout(waitingTimer);
      waitingTimer = 0;
      showWaiting();
    } else if (!waitingTimer) {
      waitingTimer = setTimeout(showWaiting, SHOW_WAITING_MS);
    } else if (!document.getElementById("waiting")?.hidden) {
      showWaiting();
    }
  }

  function showWaiting() {
    const mark = document.getElementById("waiting");
    if (!mark) return;
    mark.classList.add("waiting");
    mark.hidden = entries.length === 0;
    mark.textContent = entries.length ? word("waiting", { count: entries.length }) : "";
    mark.classList.toggle("waiting-late", entries.some((entry) => Date.now() - entry.at > LATE_MS));
    if (entries.length) {
      clearTimeout(waitingTimer);
      waitingTimer = setTimeout(showWaiting, 5000);
    }
  }

  let sending = false;
  let leaving = false;
  let retryTimer = 0;
  let failures = 0;
  let up = true;

  function reached(now) {
    if (up === now) return;
    up = now;
    emit("wms:reached", { up });
  }

  // The page asks the server now and then too (app.js).
  document.addEventListener("wms:link", ({ detail }) => {
    up = detail.up;
    if (up) flushNow();
  });

  async function flush() {
    if (sending) return;
    sending = true;
    clearTimeout(retryTimer);
    try {
      await outbox.ready;
      while (!leaving && entries.length) {
        const [entry] = entries;
        // A message that must be acknowledged holds back what waits behind it: nobody would see the next answer.
        // What the phone has answered itself asks for no eyes, and the server should hear of it soon.
        if (wms.blocked() && !entry.ahead) break;
        if (!(await send(entry))) {
          later();
          break;
        }
        failures = 0;
      }
    } finally {
      sending = false;
      wms.refreshActs();
    }
  }

  function flushNow() {
    failures = 0;
    flush();
  }

  function later() {
    const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
    failures += 1;
    clearTimeout(waitingTimer);
    showWaiting();
    retryTimer = setTimeout(flush, wait * (0.75 + Math.random() / 2)); // not all handhelds at once
  }

  // True when the entry needs no further sending.
  async function send(entry) {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), ABORT_MS);
    let response;
    let html;
    entry.tried = true;
    try {
      response = await fetch(entry.action, {
        method: "POST",
        body: entry.body,
        credentials: "same-origin",
        cache: "no-store",
        signal: control.signal,
        headers: {
          "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8",
          "X-CSRFToken": csrfToken(),
          "X-Requested-With": "scan",
        },
      });
      html = await response.text();
    } catch {
      reached(false);
      wms.carried.unanswered(entry);
      return false;
    } finally {
      clearTimeout(timer);
    }
    reached(true);
    if (entry.foreign && !entries.includes(entry)) return true; // another tab had its answer
    return answered(entry, response, html);
  }

  function answered(entry, response, html) {
    const { status } = response;
    if (status === 401 && operator) {
      leave("/sign-in"); // it stays kept, and goes out when the same person is back
      return true;
    }
    if (status === 408 || status === 429 || status >= 500) {
      entry.refusals = (entry.refusals || 0) + (status === 500 ? 1 : 0);
      if (entry.refusals < SERVER_TRIES) {
        outbox.save(entry);
        return false;
      }
      outbox.setAside(entry);
      wms.tell("wrong", word("set_aside", { code: entry.what }), true);
      return true;
    }
    if (status === 400 && !entry.reloaded && !volatile(entry)) {
      // Most likely the page holds an old token, from before a new sign-in: a fresh page has a fresh one.
      entry.reloaded = true;
      outbox.save(entry).then(() => leave(null));
      leaving = true;
      return true;
    }
    outbox.remove(entry);
    if (wms.carried.confirmed(entry, response, html)) return true;
    const replay = response.headers.get("Idempotent-Replay") === "true";
    const here = entry.page === location.pathname;
    const go = response.headers.get("X-Go");
    if (go || response.redirected) {
      const detail = { answer: "done", replay, status, scan_id: entry.id };
      wms.feel("done");
      emit("wms:answer", detail);
      if (here) leave(go || response.url, 120); // the sound lasts 80 ms
      return true;
    }
    if (![200, 401, 409, 422].includes(status)) {
      wms.tell("wrong", word("not_taken", { code: entry.what, status }));
      emit("wms:answer", { answer: "wrong", replay, status, scan_id: entry.id });
      return true;
    }
    wms.show(html, { status, replay, here, id: entry.id });
    return true;
  }

  function leave(where, delay_ms = 0) {
    leaving = true;
    setSession("wms.went", "1");
    setTimeout(() => {
      if (where === null) location.reload();
      else location.assign(new URL(where, location.href).origin === location.origin ? where : "/");
    }, delay_ms);
  }

  function stay() {
    leaving = false;
  }

  Object.assign(wms, { outbox, flush, flushNow, leave, stay, reachable: () => up });
})();
