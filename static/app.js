// The page's own small manners: online mark, PIN keypad, theme at once, questions before a grave act. Scans live in scan/.
"use strict";
(() => {
  const PING_EVERY_MS = 10000;
  const PING_AGAIN_MS = 3000; // while there is no network a worker waits for each of them
  const PING_PATIENCE_MS = 4000;
  const DEVICE_KEY = "wms.device";

  // ---- Is the server there? navigator.onLine only knows the cable, so ask.
  const link = document.getElementById("link-state");

  function showLink(up) {
    const state = up ? "on" : "off";
    if (!link || link.dataset.link === state) return;
    link.dataset.link = state;
    schedule();
    document.dispatchEvent(new CustomEvent("wms:link", { detail: { up } }));
  }

  let pinging = 0;
  let pings = 0; // an answer that is older than the last news says nothing

  function schedule() {
    clearInterval(pinging);
    pinging = setInterval(ping, link.dataset.link === "on" ? PING_EVERY_MS : PING_AGAIN_MS);
  }

  async function ping() {
    if (document.visibilityState === "hidden") return;
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), PING_PATIENCE_MS);
    const asked = (pings += 1);
    try {
      const answer = await fetch("/healthz", { cache: "no-store", signal: patience.signal });
      if (asked === pings) showLink(answer.ok);
    } catch {
      if (asked === pings) showLink(false);
    } finally {
      clearTimeout(timer);
    }
  }

  if (link) {
    // Spread over the interval, so that forty handhelds switched on together do not ask together.
    setTimeout(() => { ping(); schedule(); }, Math.random() * PING_EVERY_MS);
    document.addEventListener("wms:reached", ({ detail }) => showLink(detail.up)); // a scan knows it sooner
    window.addEventListener("online", ping);
    window.addEventListener("offline", () => { pings += 1; showLink(false); });
    document.addEventListener("visibilitychange", ping);
    document.addEventListener("htmx:error", ping);
  }

  // ---- Where there is no network: a service worker keeps the page (https only), signed in or not decides which.
  async function keepForOffline() {
    if (!navigator.serviceWorker) return;
    try {
      await navigator.serviceWorker.register("/sw.js");
      const worker = (await navigator.serviceWorker.ready).active;
      worker.postMessage(document.body.dataset.operator ? "keep" : "forget");
    } catch {
      // a browser that refuses it has a page that needs the network, no more
    }
  }

  if (link) keepForOffline();

  const shell = document.querySelector("section[data-step='offline/shell']");
  if (shell) {
    document.addEventListener("wms:link", ({ detail }) => detail.up && shell.isConnected && location.reload());
    showLink(false);
  }

  // ---- PIN keypad: <div class="keypad" data-keypad="input-id">, keys carry data-key, "back" wipes one.
  document.addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]");
    const pad = key && key.closest("[data-keypad]");
    if (!pad) return;
    const input = document.getElementById(pad.dataset.keypad);
    if (!input) return;
    const limit = input.maxLength > 0 ? input.maxLength : 12;
    if (key.dataset.key === "back") input.value = input.value.slice(0, -1);
    else if (input.value.length < limit) input.value += key.dataset.key;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });

  // ---- Theme: seen at once, kept by the form's own post.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-apply='theme']")) document.documentElement.dataset.theme = event.target.value;
  });

  // A tap on a choice is enough; arrow keys (detail 0) wait for the button, or a keyboard could never pass by an option.
  document.addEventListener("click", (event) => {
    if (event.detail === 0 || !event.target.matches("[data-submit] input")) return;
    event.target.form.requestSubmit();
  });

  // ---- Copy
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.dataset.copied = "";
      setTimeout(() => delete button.dataset.copied, 1500);
    } catch {
      // Plain http has no clipboard: select the text instead, so that one more key copies it.
      const shown = document.getElementById(button.getAttribute("aria-controls") || "");
      if (shown) window.getSelection().selectAllChildren(shown);
    }
  });

  // ---- A question before a grave act: <form data-confirm="Void parcel P-12?">. Capture, so that it comes before scan/forms.js and htmx.
  const ask = document.getElementById("confirm");
  let waiting = null;

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = event.submitter;
    const question = (button && button.dataset.confirm) || form.dataset.confirm;
    if (!question || !ask || form.dataset.confirmed === "yes") {
      delete form.dataset.confirmed;
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    waiting = { form, button };
    document.getElementById("confirm-text").textContent = question;
    ask.returnValue = "no";
    ask.showModal();
  }, true);

  if (ask) ask.addEventListener("close", () => {
    const asked = waiting;
    waiting = null;
    if (!asked || ask.returnValue !== "yes") return;
    asked.form.dataset.confirmed = "yes";
    asked.form.requestSubmit(asked.button || undefined);
  });

  // ---- On a phone the tabs scroll sideways: the one we stand on must be in view, after each swap as well.
  function showTab() {
    document.querySelector(".tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  }

  document.addEventListener("wms:answer", showTab);
  showTab();

  // ---- Print a sheet
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) window.print();
  });

  // ---- Settings that belong to this device, not to the person: <input data-device="sound">.
  function readDevice() {
    try { return JSON.parse(localStorage.getItem(DEVICE_KEY)) || {}; } catch { return {}; }
  }

  function fillDevice() {
    const kept = readDevice();
    for (const input of document.querySelectorAll("[data-device]")) {
      const value = kept[input.dataset.device];
      if (value === undefined) continue;
      if (input.type === "checkbox") input.checked = Boolean(value);
      else if (input.type === "radio") input.checked = input.value === String(value);
      else input.value = value;
    }
  }

  document.addEventListener("change", (event) => {
    const input = event.target;
    if (!input.matches("[data-device]")) return;
    const kept = readDevice();
    kept[input.dataset.device] = input.type === "checkbox" ? input.checked : input.type === "number" ? Number(input.value) : input.value;
    try { localStorage.setItem(DEVICE_KEY, JSON.stringify(kept)); } catch { /* private mode: holds for this page only */ }
    document.dispatchEvent(new CustomEvent("wms:device", { detail: kept }));
  });

  fillDevice();
})();
