// What every script of the scan field stands on: words in the operator's language, this device's settings, ids.
"use strict";

window.wms = (() => {
  const operator = document.body.dataset.operator || "";
  const here = document.currentScript ? document.currentScript.src : "/static/scan/device.js";
  const words = readWords();

  function readWords() {
    const block = document.getElementById("words");
    try {
      return block ? JSON.parse(block.textContent) : {};
    } catch {
      return {};
    }
  }

  function word(name, facts = {}) {
    const text = words[name] || name;
    return text.replace(/\{(\w+)\}/g, (whole, fact) => (fact in facts ? String(facts[fact]) : whole));
  }

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text) made.textContent = text;
    if (tag === "button") made.type = "button";
    return made;
  }

  // What the worker set for this device (page /me); app.js writes it.
  let settings = {};

  function readSettings() {
    try {
      settings = JSON.parse(localStorage.getItem("wms.device")) || {};
    } catch {
      settings = {};
    }
  }

  readSettings();
  document.addEventListener("wms:device", readSettings);
  window.addEventListener("storage", readSettings);

  // What the phone learns by being used (a lens, a zoom) is kept in the same place.
  function remember(name, value) {
    readSettings(); // another tab may have changed them
    settings[name] = value;
    try {
      localStorage.setItem("wms.device", JSON.stringify(settings));
    } catch {
      // private mode: holds for this page only
    }
  }

  function setSession(name, value) {
    try {
      if (value === null) sessionStorage.removeItem(name);
      else sessionStorage.setItem(name, value);
    } catch {
      // only comfort depends on it
    }
  }

  // crypto.randomUUID exists only on https; a phone on plain http needs ids as well (R10).
  function scanId() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  return {
    GS: "\x1d",
    operator,
    vendor: new URL("../vendor/", here),
    word,
    element,
    setSession,
    scanId,
    setting: (name) => settings[name],
    remember,
    screenArea: () => document.getElementById("screen"),
    csrfToken: () => document.querySelector('meta[name="csrf-token"]')?.content || "",
    emit: (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail })),
  };
})();
