// The handheld's side of a scan: take it (wedge, camera, photo), keep it until answered, show and sound the answer.
"use strict";

(() => {
  const KEY_GAP_MS = 50; // a scanner types faster than a hand; slow Bluetooth ones need the device setting
  const BEFORE_SCAN_MS = 250; // a hand that types in another field pauses less than this
  const SCAN_LENGTH = 4; // shorter runs of keys are a hand
  const QUIET_MS = 90; // text from an input method has no Enter; this silence ends it
  const ABORT_MS = 4000;
  const PHOTO_ABORT_MS = 20000;
  const RETRY_MS = [500, 1000, 2000, 4000, 8000, 15000];
  const SHOW_WAITING_MS = 300; // an ordinary answer is here sooner, and a number that blinks helps nobody
  const LATE_MS = 30000;
  const SERVER_TRIES = 6; // answers 500 to one scan before it is set aside, so that it cannot stop the shift
  const PHOTO_SIDE_PX = 1600;
  const DECODE_EVERY_MS = 100;
  const DEAF_MS = 1500; // the same label, still in the hand
  const GONE_MS = 800; // not seen for so long (some whole frames): it left the view, the next sight is another piece (R11)
  const REGION = { width: 0.8, height: 0.35 };
  const MATRIX = new Set(["qr_code", "micro_qr_code", "rm_qr_code", "data_matrix", "aztec", "pdf417", "maxi_code"]);
  const GS = "\x1d";

  const vendor = new URL("vendor/", document.currentScript ? document.currentScript.src : "/static/scan.js");
  const operator = document.body.dataset.operator || "";
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
  let device = {};

  function readDevice() {
    try {
      device = JSON.parse(localStorage.getItem("wms.device")) || {};
    } catch {
      device = {};
    }
  }

  readDevice();
  document.addEventListener("wms:device", readDevice);
  window.addEventListener("storage", readDevice);

  const screenArea = () => document.getElementById("screen");
  const emit = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

  // crypto.randomUUID exists only on https; a phone on plain http needs ids as well (R10).
  function scanId() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  // ---------------------------------------------------------------- the outbox

  // One key an entry: two tabs can then add and remove without overwriting each other. What was scanned before
  // anyone signed in (a badge) and what has a password in it stays in memory and is gone with the page.
  const outbox = {
    prefix: `wms.outbox.${operator}.`,
    volatile: new Map(),
    last: 0,

    keys() {
      const found = [...this.volatile.keys()];
      if (operator) {
        try {
          for (let at = 0; at < localStorage.length; at += 1) {
            const key = localStorage.key(at);
            if (key.startsWith(this.prefix)) found.push(key);
          }
        } catch {
          // storage is off on this device: what memory holds is all there is
        }
      }
      return found.sort();
    },

    list() {
      return this.keys().map((key) => this.read(key)).filter(Boolean);
    },

    read(key) {
      if (this.volatile.has(key)) return this.volatile.get(key);
      try {
        const kept = JSON.parse(localStorage.getItem(key));
        if (kept?.id) return { ...kept, key };
        localStorage.removeItem(key); // another tab just had its answer, or somebody spoilt it
      } catch {
        localStorage.removeItem(key);
      }
      return null;
    },

    add(entry, secret) {
      const keys = this.keys();
      const newest = keys.length ? Number(keys[keys.length - 1].slice(this.prefix.length).split(".")[0]) : 0;
      this.last = Math.max(Date.now(), newest + 1, this.last + 1); // a clock set back must not change the order
      const key = `${this.prefix}${String(this.last).padStart(15, "0")}.${entry.id}`;
      const kept = { ...entry, key, secret };
      this.volatile.set(key, kept);
      this.save(kept);
      waitingChanged();
      return kept;
    },

    save(entry) {
      if (!operator || entry.secret) return;
      try {
        localStorage.setItem(entry.key, JSON.stringify(entry));
        this.volatile.delete(entry.key);
      } catch {
        // full or forbidden: it is still sent from memory, only a reload would lose it
      }
    },

    remove(entry) {
      this.volatile.delete(entry.key);
      try {
        localStorage.removeItem(entry.key);
      } catch {
        // nothing was stored
      }
      waitingChanged();
    },

    // Off the road but not thrown away: a person may want to know what it was.
    setAside(entry) {
      try {
        if (operator) localStorage.setItem(`wms.aside.${operator}.${entry.id}`, JSON.stringify(entry));
      } catch {
        // no room; the message on the screen names the code
      }
      this.remove(entry);
    },
  };

  let waitingTimer = 0;

  function waitingChanged() {
    const entries = outbox.list();
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
    const entries = outbox.list();
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

  async function flush() {
    if (sending) return;
    sending = true;
    clearTimeout(retryTimer);
    try {
      // A message that must be acknowledged holds back what waits behind it: nobody would see the next answer.
      while (!leaving && !blocked()) {
        const [entry] = outbox.list();
        if (!entry) break;
        if (!(await send(entry))) {
          later();
          break;
        }
        failures = 0;
      }
    } finally {
      sending = false;
      refreshActs();
    }
  }

  function flushNow() {
    failures = 0;
    flush();
  }

  function later() {
    const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
    failures += 1;
    if (failures === 1) feel("look");
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
      return false;
    } finally {
      clearTimeout(timer);
    }
    return answered(entry, response, html);
  }

  function csrfToken() {
    const meta = document.querySelector('meta[name="csrf-token"]');
    return meta ? meta.content : "";
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
      tell("wrong", word("set_aside", { code: entry.what }), true);
      return true;
    }
    if (status === 400 && !entry.reloaded && !outbox.volatile.has(entry.key)) {
      // Most likely the page holds an old token, from before a new sign-in: a fresh page has a fresh one.
      entry.reloaded = true;
      outbox.save(entry);
      leave(null);
      return true;
    }
    outbox.remove(entry);
    const replay = response.headers.get("Idempotent-Replay") === "true";
    const here = entry.page === location.pathname;
    const go = response.headers.get("X-Go");
    if (go || response.redirected) {
      const detail = { answer: "done", replay, status, scan_id: entry.id };
      feel("done");
      emit("wms:answer", detail);
      if (here) leave(go || response.url, 120); // the sound lasts 80 ms
      return true;
    }
    if (![200, 401, 409, 422].includes(status)) {
      tell("wrong", word("not_taken", { code: entry.what, status }));
      emit("wms:answer", { answer: "wrong", replay, status, scan_id: entry.id });
      return true;
    }
    show(html, { status, replay, here, id: entry.id });
    return true;
  }

  function leave(where, delay_ms = 0) {
    leaving = true;
    sessionStorageSet("wms.went", "1");
    setTimeout(() => {
      if (where === null) location.reload();
      else location.assign(new URL(where, location.href).origin === location.origin ? where : "/");
    }, delay_ms);
  }

  function sessionStorageSet(name, value) {
    try {
      if (value === null) sessionStorage.removeItem(name);
      else sessionStorage.setItem(name, value);
    } catch {
      // only comfort depends on it
    }
  }

  // ---------------------------------------------------------------- the answer

  function show(html, { status, replay, here, id }) {
    const answerPage = new DOMParser().parseFromString(html, "text/html");
    const part = answerPage.getElementById("screen") || answerPage.body;
    const marked = part.querySelector("[data-answer]");
    const answer = marked ? marked.dataset.answer : { 409: "look", 401: "wrong", 422: "wrong" }[status] || "done";
    const area = screenArea();
    if (here && area) {
      area.replaceChildren(...part.childNodes);
      if (window.htmx) window.htmx.process(area);
      ready();
      speak();
    } else if (marked && answer !== "done") {
      // Answer to a scan of another page: its screen would take this one from under the worker's hand.
      placeMessage(document.importNode(marked, true));
    }
    feel(answer);
    camera.heard(answer, marked ? marked.textContent.trim().replace(/\s+/g, " ") : "");
    emit("wms:answer", { answer, replay, status, scan_id: id });
  }

  function placeMessage(message) {
    const area = screenArea() || document.body;
    const room = area.querySelector("section.screen") || area;
    for (const old of room.querySelectorAll(":scope > .message")) old.remove();
    room.prepend(message);
  }

  function tell(answer, text, block = false) {
    const message = element("div", `message message-${answer}`);
    message.setAttribute("role", answer === "done" ? "status" : "alert");
    message.dataset.answer = answer;
    message.append(element("span", "", text));
    if (block) {
      message.dataset.block = "";
      message.append(element("button", "message-understood", word("understood")));
    }
    placeMessage(message);
    feel(answer);
  }

  const blocked = () => Boolean(document.querySelector("#screen [data-block]"));

  document.addEventListener("click", (event) => {
    const message = event.target.closest?.("#screen [data-block]");
    if (!message || !event.target.closest("button")) return;
    if (event.target.closest("form[data-act]")) message.removeAttribute("data-block");
    else message.remove();
    keepFocus();
    flush();
  });

  // ---------------------------------------------------------------- sound, vibration, flash, speech

  const TONES = {
    done: [{ hz: 1800, ms: 80 }],
    wrong: [{ hz: 300, ms: 200 }, { hz: 300, ms: 200, after: 90 }],
    look: [{ hz: 900, ms: 70 }, { hz: 1200, ms: 110, after: 40 }],
  };
  const BUZZ = { done: [60], wrong: [200, 90, 200], look: [80, 60, 80] };
  const FLASH_MS = 400;
  let audio = null;
  let flashTimer = 0;

  function wakeAudio() {
    const Context = window.AudioContext || window.webkitAudioContext;
    if (!audio && Context) audio = new Context();
    if (audio && audio.state === "suspended") audio.resume().catch(() => {});
  }

  // Phones give sound only after a touch or a key; the first one of the page opens it.
  for (const gesture of ["pointerdown", "keydown"]) window.addEventListener(gesture, wakeAudio, { capture: true });

  function play(answer) {
    if (device.sound === false) return;
    wakeAudio();
    if (!audio) return;
    let at = audio.currentTime + 0.005;
    for (const tone of TONES[answer]) {
      at += (tone.after || 0) / 1000;
      const until = at + tone.ms / 1000;
      const oscillator = audio.createOscillator();
      const volume = audio.createGain();
      oscillator.type = "square";
      oscillator.frequency.value = tone.hz;
      volume.gain.setValueAtTime(0.25, at);
      volume.gain.setValueAtTime(0.25, until - 0.01);
      volume.gain.linearRampToValueAtTime(0, until);
      oscillator.connect(volume).connect(audio.destination);
      oscillator.start(at);
      oscillator.stop(until);
      at = until;
    }
  }

  // R13: three answers that eyes, ears and hand can each tell apart.
  function feel(answer) {
    const kind = answer in TONES ? answer : "look";
    play(kind);
    if (navigator.vibrate && device.vibration !== false) navigator.vibrate(BUZZ[kind]);
    const body = document.body;
    body.classList.remove("flash-done", "flash-wrong", "flash-look");
    void body.offsetWidth; // lets the same flash begin again
    body.classList.add(`flash-${kind}`);
    clearTimeout(flashTimer);
    flashTimer = setTimeout(() => body.classList.remove(`flash-${kind}`), FLASH_MS);
  }

  function voiceFor(language) {
    const start = language.toLowerCase().split("-")[0];
    return speechSynthesis.getVoices().find((voice) => voice.lang.toLowerCase().startsWith(start));
  }

  async function speak() {
    const text = document.querySelector("#screen [data-say]")?.dataset.say;
    if (document.body.dataset.speech !== "on" || !text) return;
    const language = document.documentElement.lang || "en";
    if (window.speechSynthesis && !voiceFor(language)) {
      await new Promise((resolve) => { // voices come late, or never
        speechSynthesis.addEventListener("voiceschanged", resolve, { once: true });
        setTimeout(resolve, 1000);
      });
    }
    const voice = window.speechSynthesis && voiceFor(language);
    if (!voice) {
      noteNoSpeech();
      return;
    }
    const sentence = new SpeechSynthesisUtterance(text);
    sentence.voice = voice;
    sentence.lang = voice.lang;
    speechSynthesis.cancel();
    speechSynthesis.speak(sentence);
  }

  function noteNoSpeech() {
    const area = screenArea();
    if (area && !area.querySelector(".speech-absent")) area.append(element("small", "speech-absent", word("no_speech")));
  }

  // ---------------------------------------------------------------- forms

  const FOREIGN = new Set(["button", "submit", "reset", "checkbox", "radio", "file", "image", "range", "color"]);

  function editable(target) {
    if (!(target instanceof Element)) return false;
    if (target.matches("textarea, select") || target.isContentEditable) return true;
    return target.matches("input") && !FOREIGN.has(target.type);
  }

  const codeInput = (form) => form.querySelector('input[name="code"]');
  const isCodeInput = (target) => target instanceof Element && target.matches('form[data-scan] input[name="code"]');

  function currentForm() {
    const room = document.querySelector("dialog[open]:not(.camera-dialog)") || document;
    const active = document.activeElement?.closest("form[data-scan]");
    if (active && room.contains(active)) return active;
    return room.querySelector("#screen form[data-scan]") || room.querySelector("form[data-scan]");
  }

  function actionOf(form, submitter) {
    const named = submitter?.getAttribute("formaction") || form.getAttribute("action") || location.href;
    return new URL(named, document.baseURI);
  }

  // The same form after a reload: same address, same hidden fields.
  function formKey(form) {
    const fields = [...form.querySelectorAll('input[type="hidden"]')]
      .filter((field) => field.name !== "csrf_token" && field.name !== "scan_id")
      .map((field) => `${field.name}=${field.value}`);
    return [actionOf(form).pathname, ...fields].join("&");
  }

  function fieldsOf(form, submitter) {
    const fields = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      // The token goes in a header, fresh each time; an old one in a kept body would be refused.
      if (typeof value === "string" && name !== "csrf_token" && name !== "scan_id") fields.append(name, value);
    }
    if (submitter?.name) fields.append(submitter.name, submitter.value);
    return fields;
  }

  function keep(form, fields, { kind, what, submitter }) {
    const id = scanId();
    fields.set("scan_id", id);
    const address = actionOf(form, submitter);
    const secret = Boolean(form.querySelector('input[type="password"]'));
    outbox.add({
      id, kind, what, form: formKey(form), action: address.pathname + address.search, body: fields.toString(),
      page: location.pathname, at: Date.now(),
    }, secret);
    refreshActs();
    flush();
  }

  let lastTaken = { code: "", at: -Infinity };

  // The second trigger pull of a worn scanner. R11: only where the worker asked this device for it.
  function tooSoon(code) {
    const now = performance.now();
    const repeated = code === lastTaken.code && now - lastTaken.at < Number(device.cooldown_ms || 0);
    if (!repeated) lastTaken = { code, at: now };
    return repeated;
  }

  // Without the signs that this device's scanner is set to put around each code.
  function bare(text) {
    let code = text;
    if (device.prefix && code.startsWith(device.prefix)) code = code.slice(device.prefix.length);
    if (device.suffix && code.endsWith(device.suffix)) code = code.slice(0, -device.suffix.length);
    return code;
  }

  // One code for one form, whichever way it was read.
  function take(form, text) {
    // Not \s: the group separator of GS1 must stay, and a scanner may add blanks or line ends of its own.
    const code = text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
    const input = codeInput(form);
    if (input) {
      input.value = "";
      input.inputMode = "none";
    }
    typing = false;
    clearTimeout(quietTimer);
    if (!code) return;
    if (blocked()) {
      feel("wrong");
      return;
    }
    if (tooSoon(code)) return;
    noteIn(form, "");
    const fields = fieldsOf(form, null);
    fields.set("code", code);
    keep(form, fields, { kind: "scan", what: code });
  }

  function act(form, submitter) {
    const key = formKey(form);
    if (outbox.list().some((entry) => entry.kind === "act" && entry.form === key)) return; // the second tap
    if (blocked() && !form.closest("[data-block]")) {
      feel("wrong");
      return;
    }
    const what = (submitter?.textContent || "").trim();
    keep(form, fieldsOf(form, submitter), { kind: "act", what, submitter });
  }

  // Buttons rest while their post waits, also after a reload in between, or one act would become two.
  function refreshActs() {
    const waiting = new Set(outbox.list().filter((entry) => entry.kind === "act").map((entry) => entry.form));
    for (const form of document.querySelectorAll("form[data-act]")) {
      const busy = waiting.has(formKey(form));
      if (busy === (form.getAttribute("aria-busy") === "true")) continue;
      form.setAttribute("aria-busy", String(busy));
      for (const button of form.querySelectorAll("button, input[type=submit]")) {
        if (busy && !button.disabled) {
          button.disabled = true;
          button.dataset.resting = "";
        } else if (!busy && "resting" in button.dataset) {
          button.disabled = false;
          delete button.dataset.resting;
        }
      }
    }
  }

  // Not in the capture phase: app.js asks its question there and holds the event back until the answer is yes.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches("form[data-scan], form[data-act]")) return;
    if (actionOf(form, event.submitter).origin !== location.origin) return;
    event.preventDefault();
    if (form.matches("[data-act]")) act(form, event.submitter);
    else take(form, codeInput(form)?.value || "");
  });

  function noteIn(form, text, link = null) {
    const note = form.querySelector("[data-scan-note]");
    if (!note) return;
    note.hidden = !text;
    note.replaceChildren(text);
    if (link) {
      const anchor = element("a", "", link.text);
      anchor.href = link.href;
      note.append(" ", anchor);
    }
  }

  // ---------------------------------------------------------------- wedge

  let run = { text: "", last: -Infinity, quiet: true, target: null, before: "" };
  let typing = false; // a hand types: no guessing where its text ends
  let keyed = false; // the next input event was made by a key
  let quietTimer = 0;

  const keyGap = () => Number(device.gap_ms) || KEY_GAP_MS;
  const scanned = (form, text) => take(form, typing ? text : bare(text));

  function follow(character, at, target) {
    const gap = at - run.last;
    if (gap > keyGap() || run.target !== target) {
      run = { text: "", last: at, quiet: gap > BEFORE_SCAN_MS, target, before: editable(target) ? target.value : "" };
    }
    run.text += character;
    run.last = at;
  }

  function insert(input, text) {
    const from = input.selectionStart ?? input.value.length;
    input.setRangeText(text, from, input.selectionEnd ?? from, "end");
  }

  function characterOf(event) {
    if (event.code === "BracketRight" && event.ctrlKey && !event.altKey && !event.metaKey) return GS;
    const composed = event.getModifierState && event.getModifierState("AltGraph");
    if (event.key.length !== 1 || event.metaKey || ((event.ctrlKey || event.altKey) && !composed)) return "";
    return event.key;
  }

  // Enter, Tab, or a line feed: some scanners send it as Ctrl+J or Ctrl+M.
  function suffixOf(event) {
    if (event.key === "Enter") return "Enter";
    if (event.key === "Tab" && !event.shiftKey && !event.ctrlKey && !event.altKey) return "Tab";
    return event.ctrlKey && !event.altKey && (event.code === "KeyJ" || event.code === "KeyM") ? "Line" : "";
  }

  function swallow(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  function onKey(event) {
    if (event.isComposing || event.key === "Process" || event.key === "Unidentified") return;
    const { target, timeStamp: at } = event;
    const form = currentForm();
    const suffix = suffixOf(event);
    if (suffix) {
      onSuffix(event, suffix, form);
      return;
    }
    const character = characterOf(event);
    if (!character) return;
    if (isCodeInput(target)) {
      follow(character, at, target);
      if (character === GS) {
        swallow(event);
        insert(target, GS);
      } else {
        keyed = true;
      }
      return;
    }
    if (editable(target)) {
      if (character === GS && form) swallow(event);
      follow(character, at, target);
      return;
    }
    if (!form || !codeInput(form)) {
      follow(character, at, target);
      return;
    }
    if (character === " ") return; // a hand pressing the button that has focus
    // Focus is lost: from here on the scan types into its field, so that its Enter cannot press a button.
    swallow(event);
    const input = codeInput(form);
    input.focus({ preventScroll: true });
    input.setSelectionRange(input.value.length, input.value.length);
    insert(input, character);
    follow(character, at, input);
  }

  function onSuffix(event, suffix, form) {
    const { target, timeStamp: at } = event;
    const fast = run.text.length >= SCAN_LENGTH && at - run.last <= keyGap();
    if (isCodeInput(target)) {
      if (suffix === "Tab" && !fast) return;
      if (suffix === "Line" && !fast && at - run.last > BEFORE_SCAN_MS) return;
      swallow(event);
      if (!event.repeat) scanned(target.form, target.value);
    } else if (fast && editable(target) && form && run.quiet && run.target === target) {
      swallow(event);
      target.value = run.before; // the scan went into a quantity or a remark: take it out again
      target.dispatchEvent(new Event("input", { bubbles: true }));
      scanned(form, run.text);
    } else if (fast && !editable(target)) {
      swallow(event); // a scan where nothing takes one: it must not press what has focus
      if (form) scanned(form, run.text);
      else feel("wrong");
    } else if (at - run.last <= BEFORE_SCAN_MS && run.text === "" && !editable(target)) {
      swallow(event); // the second half of "Enter, line feed"
    }
    run = { text: "", last: at, quiet: false, target: null, before: "" };
  }

  window.addEventListener("keydown", onKey, true);

  document.addEventListener("input", (event) => {
    const input = event.target;
    if (!isCodeInput(input)) return;
    const byKey = keyed;
    keyed = false;
    clearTimeout(quietTimer);
    const ended = device.suffix && input.value.endsWith(device.suffix) && input.value.length > device.suffix.length;
    if (ended && !typing && (!byKey || run.text.length >= SCAN_LENGTH)) {
      scanned(input.form, input.value);
      return;
    }
    if (byKey || typing || event.isComposing || !/^insert(?!FromPaste|FromDrop)/.test(event.inputType || "insertText")) return;
    // An input method (DataWedge) puts the whole text in and sends no key.
    quietTimer = setTimeout(() => input.isConnected && scanned(input.form, input.value), QUIET_MS);
  });

  document.addEventListener("compositionend", (event) => {
    const input = event.target;
    if (!isCodeInput(input) || typing) return;
    clearTimeout(quietTimer);
    quietTimer = setTimeout(() => input.isConnected && scanned(input.form, input.value), QUIET_MS);
  });

  function openKeyboard(form) {
    const input = codeInput(form);
    if (!input) return;
    typing = true;
    input.blur(); // Android shows its keyboard only for a new focus
    input.inputMode = "text";
    input.focus();
  }

  let pressing = false; // a finger or mouse is down: someone may be marking text to copy it

  for (const name of ["pointerdown", "pointerup", "pointercancel"]) {
    window.addEventListener(name, () => { pressing = name === "pointerdown"; }, true);
  }

  // inputmode none keeps the soft keyboard down while the field has focus.
  function keepFocus() {
    const active = document.activeElement;
    if (pressing || editable(active) || document.querySelector("dialog[open]")) return;
    if (!getSelection().isCollapsed) return;
    const form = currentForm();
    const input = form && codeInput(form);
    if (input && !input.disabled) input.focus({ preventScroll: true });
  }

  document.addEventListener("focusout", (event) => {
    if (!isCodeInput(event.target) || event.relatedTarget) return; // someone went on to a button or a field
    setTimeout(() => document.activeElement === document.body && keepFocus(), 0);
  });

  document.addEventListener("click", (event) => {
    const form = event.target.closest?.("form[data-scan]");
    const button = event.target.closest?.("button");
    if (form && button && "scanType" in button.dataset) openKeyboard(form);
    else if (form && button && "scanCamera" in button.dataset) camera.open(form);
    else if (form && button && "scanPhoto" in button.dataset) form.querySelector("[data-scan-file]")?.click();
    else if (!event.target.closest?.("a, button, label, summary, dialog")) keepFocus();
  });

  // ---------------------------------------------------------------- a photo, read by the server

  document.addEventListener("change", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement) || !("scanFile" in input.dataset)) return;
    const [file] = input.files;
    const form = input.form;
    if (file && form) readPhoto(form, file).finally(() => { input.value = ""; });
  });

  async function readPhoto(form, file) {
    noteIn(form, word("photo_reading"));
    const upload = new FormData();
    upload.append("photo", await smaller(file), "photo.jpg");
    upload.append("formats", form.dataset.formats || "");
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), PHOTO_ABORT_MS);
    let response;
    let found;
    try {
      response = await fetch("/camera/read", {
        method: "POST",
        body: upload,
        credentials: "same-origin",
        signal: control.signal,
        headers: { "X-CSRFToken": csrfToken(), "X-Requested-With": "scan" },
      });
      found = await response.json();
    } catch {
      if (response && response.status === 401 && operator) leave("/sign-in");
      const reason = !response || response.ok ? "photo_no_answer" : response.status === 413 ? "photo_too_big" : "photo_failed";
      photoSays(form, word(reason));
      return;
    } finally {
      clearTimeout(timer);
    }
    if (response.status === 401 && operator) {
      leave("/sign-in");
      return;
    }
    const codes = distinct((found.codes || []).map((code) => code.text));
    const still = form.isConnected ? form : null;
    if (!still) return; // the screen went on meanwhile: a late code would answer another question
    if (codes.length === 0) {
      photoSays(form, found.message || word("photo_no_code"));
      return;
    }
    noteIn(form, found.message || "");
    if (codes.length === 1 && !found.message) take(form, codes[0]);
    else offer(form, codes);
  }

  function photoSays(form, text) {
    noteIn(form, text);
    feel("wrong");
  }

  const distinct = (texts) => [...new Set(texts)];

  function offer(form, codes) {
    const note = form.querySelector("[data-scan-note]");
    if (!note) return;
    if (!note.textContent) note.textContent = word("choose");
    note.hidden = false;
    note.append(choices(codes, (text) => take(form, text)));
    feel("look");
  }

  function choices(codes, chosen) {
    const list = element("div", "choices");
    for (const text of codes) {
      const button = element("button", "choice", text.replaceAll(GS, "␝"));
      button.addEventListener("click", () => {
        list.remove();
        chosen(text);
      });
      list.append(button);
    }
    return list;
  }

  // A phone sends 12 megapixels; the decoder wants 1600 pixels and reads more from them.
  async function smaller(file) {
    if (!window.createImageBitmap) return file;
    try {
      const picture = await createImageBitmap(file);
      const scale = Math.min(1, PHOTO_SIDE_PX / Math.max(picture.width, picture.height));
      if (scale === 1) return file;
      const canvas = element("canvas");
      canvas.width = Math.round(picture.width * scale);
      canvas.height = Math.round(picture.height * scale);
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(picture, 0, 0, canvas.width, canvas.height);
      picture.close();
      return await new Promise((resolve) => canvas.toBlob((blob) => resolve(blob || file), "image/jpeg", 0.9));
    } catch {
      return file; // not a picture for this browser; the server says what it thinks of it
    }
  }

  // ---------------------------------------------------------------- the live camera

  const camera = {
    dialog: null,
    stream: null,
    detector: null,
    lock: null,
    timer: 0,
    turn: 0, // a new number ends the loops of the old one
    tries: 0,
    wholeNext: false,
    frameTime: -1,
    counts: new Map(), // text → looks in a row that saw it
    deaf: new Map(), // text → when taken, when last seen
    asking: false,
    torch: false,

    async open(form) {
      if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
        noteIn(form, word("camera_needs_https"), { text: word("camera_setup"), href: "/setup" });
        form.querySelector("[data-scan-photo]")?.focus();
        feel("look");
        return;
      }
      this.build();
      if (!this.dialog.open) this.dialog.showModal();
      this.say(word("camera_starting"));
      try {
        await loadDetector();
        this.formats = (form.dataset.formats || "").split(",").map((name) => name.trim()).filter(Boolean);
        this.detector = new window.BarcodeDetectionAPI.BarcodeDetector(this.formats.length ? { formats: this.formats } : {});
        await this.start();
      } catch (error) {
        const reasons = { NotAllowedError: "camera_forbidden", NotFoundError: "camera_absent", NotReadableError: "camera_busy" };
        this.close();
        noteIn(currentForm() || form, word(reasons[error.name] || "camera_failed"));
        feel("wrong");
      }
    },

    build() {
      if (this.dialog) return;
      this.dialog = element("dialog", "camera-dialog");
      this.dialog.setAttribute("aria-label", word("camera_title"));
      this.view = element("div", "camera-view");
      this.video = element("video", "camera-video");
      this.video.muted = true;
      this.video.playsInline = true;
      this.box = element("div", "camera-box");
      this.view.append(this.video, this.box);
      this.answer = element("p", "camera-answer");
      this.answer.setAttribute("aria-live", "polite");
      this.options = element("div", "camera-choices");
      this.torchButton = element("button", "camera-torch", word("torch"));
      this.torchButton.hidden = true;
      this.torchButton.setAttribute("aria-pressed", "false");
      this.torchButton.addEventListener("click", () => this.toggleTorch());
      const close = element("button", "camera-close", word("close"));
      close.addEventListener("click", () => this.close());
      const buttons = element("div", "camera-buttons");
      buttons.append(this.torchButton, close);
      this.dialog.append(this.view, this.answer, this.options, buttons);
      this.dialog.addEventListener("close", () => {
        this.stop();
        keepFocus();
      });
      this.canvas = element("canvas");
      document.body.append(this.dialog);
    },

    async start() {
      const turn = (this.turn += 1);
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 720 } },
      });
      if (turn !== this.turn || !this.dialog.open) {
        for (const track of stream.getTracks()) track.stop(); // closed while the phone was asking
        return;
      }
      this.stream = stream;
      this.video.srcObject = stream;
      await this.video.play();
      const abilities = this.track().getCapabilities?.() || {};
      this.torchButton.hidden = !abilities.torch;
      if (abilities.focusMode?.includes("continuous")) {
        this.track().applyConstraints({ advanced: [{ focusMode: "continuous" }] }).catch(() => {});
      }
      navigator.wakeLock?.request("screen").then((lock) => { this.lock = lock; }, () => {});
      this.counts.clear();
      this.asking = false;
      this.options.replaceChildren();
      this.say(word("camera_aim"));
      this.look(turn);
    },

    track() {
      return this.stream.getVideoTracks()[0];
    },

    stop() {
      this.turn += 1;
      clearTimeout(this.timer);
      for (const track of this.stream?.getTracks() || []) track.stop();
      this.stream = null;
      if (this.video) this.video.srcObject = null;
      this.lock?.release().catch(() => {});
      this.lock = null;
      this.torch = false;
      this.torchButton?.setAttribute("aria-pressed", "false");
    },

    close() {
      if (this.dialog?.open) this.dialog.close();
      this.stop(); // at once; the dialog's own event comes a moment later, and for the Escape key
    },

    say(text, answer = "") {
      if (!this.answer) return;
      this.answer.textContent = text;
      this.answer.dataset.answer = answer;
    },

    async toggleTorch() {
      this.torch = !this.torch;
      try {
        await this.track().applyConstraints({ advanced: [{ torch: this.torch }] });
        this.torchButton.setAttribute("aria-pressed", String(this.torch));
      } catch {
        this.torchButton.hidden = true; // it was promised and is not there
      }
    },

    // The part of the frame that the worker sees, and the region box in it, both in frame pixels.
    region() {
      const { videoWidth, videoHeight, clientWidth, clientHeight } = this.video;
      let scale = Math.max(clientWidth / videoWidth, clientHeight / videoHeight);
      if (getComputedStyle(this.video).objectFit !== "cover") scale = Math.min(clientWidth / videoWidth, clientHeight / videoHeight);
      if (!(scale > 0)) scale = 1;
      const seenWidth = Math.min(videoWidth, (clientWidth || videoWidth) / scale);
      const seenHeight = Math.min(videoHeight, (clientHeight || videoHeight) / scale);
      const width = Math.round(seenWidth * REGION.width);
      const height = Math.round(seenHeight * REGION.height);
      const { style } = this.box;
      style.position = "absolute";
      style.width = `${width * scale}px`;
      style.height = `${height * scale}px`;
      style.left = `${this.video.offsetLeft + (clientWidth - width * scale) / 2}px`;
      style.top = `${this.video.offsetTop + (clientHeight - height * scale) / 2}px`;
      return { x: Math.round((videoWidth - width) / 2), y: Math.round((videoHeight - height) / 2), width, height };
    },

    async look(turn) {
      if (turn !== this.turn) return;
      const began = performance.now();
      const fresh = this.video.readyState >= 2 && this.video.videoWidth > 0 && this.video.currentTime !== this.frameTime;
      if (fresh && !this.asking && !blocked()) {
        this.frameTime = this.video.currentTime;
        this.tries += 1;
        const whole = this.wholeNext || this.tries % 5 === 0;
        this.wholeNext = false;
        try {
          const codes = await this.detector.detect(this.frame(whole));
          if (turn !== this.turn) return;
          this.saw(codes, whole);
        } catch {
          this.close();
          const form = currentForm();
          if (form) noteIn(form, word("camera_failed"));
          return;
        }
      }
      const spent = performance.now() - began;
      this.timer = setTimeout(() => this.look(turn), Math.max(10, DECODE_EVERY_MS - spent));
    },

    frame(whole) {
      const part = this.region();
      const from = whole ? { x: 0, y: 0, width: this.video.videoWidth, height: this.video.videoHeight } : part;
      this.canvas.width = from.width;
      this.canvas.height = from.height;
      const context = this.canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(this.video, from.x, from.y, from.width, from.height, 0, 0, from.width, from.height);
      return this.canvas;
    },

    saw(codes, whole) {
      const now = performance.now();
      const inView = new Map(codes.map((code) => [code.rawValue, code.format]));
      let known = false;
      for (const text of inView.keys()) {
        const taken = this.deaf.get(text);
        if (!taken) continue;
        if (now - taken.at >= DEAF_MS && now - taken.seen >= GONE_MS) {
          this.deaf.delete(text);
        } else {
          taken.seen = now;
          known = true;
        }
      }
      for (const text of this.counts.keys()) if (!inView.has(text)) this.counts.delete(text);
      // What stands beside a code just taken is most likely on the same label: not a scan of its own.
      if (known || inView.size === 0) return;
      let sure = true;
      for (const [text, format] of inView) {
        const looks = (this.counts.get(text) || 0) + 1;
        this.counts.set(text, looks);
        if (!MATRIX.has(format) && looks < 2) sure = false;
      }
      if (!sure) {
        this.wholeNext = whole;
        return;
      }
      this.counts.clear();
      const texts = [...inView.keys()];
      if (texts.length === 1) this.took(texts, texts[0]);
      else this.ask(texts);
    },

    ask(texts) {
      this.asking = true;
      this.say(word("choose"));
      feel("look");
      this.options.replaceChildren(choices(texts, (text) => {
        this.asking = false;
        this.took(texts, text);
      }));
    },

    took(seen, text) {
      const now = performance.now();
      for (const each of seen) this.deaf.set(each, { at: now, seen: now });
      const form = currentForm();
      if (!form) {
        this.close();
        return;
      }
      this.say(text.replaceAll(GS, "␝"));
      take(form, text);
    },

    // The answer came: show it here too, and get out of the way when the screen wants eyes or has no field.
    heard(answer, text) {
      if (!this.dialog?.open) return;
      if (blocked() || !currentForm()) this.close();
      else if (text) this.say(text, answer);
    },
  };

  let detectorLoad = null;

  function loadDetector() {
    if (window.BarcodeDetectionAPI) return Promise.resolve(prepareDetector());
    detectorLoad ||= new Promise((resolve, reject) => {
      const script = element("script");
      script.src = new URL("barcode-detector.js", vendor).href;
      script.addEventListener("load", () => resolve(prepareDetector()));
      script.addEventListener("error", () => {
        script.remove();
        detectorLoad = null;
        reject(new Error("no decoder"));
      });
      document.head.append(script);
    });
    return detectorLoad;
  }

  // Without locateFile the ponyfill would ask a server on the internet for its wasm.
  function prepareDetector() {
    window.BarcodeDetectionAPI.prepareZXingModule({
      overrides: { locateFile: (path, before) => (path.endsWith(".wasm") ? new URL(path, vendor).href : before + path) },
    });
  }

  // ---------------------------------------------------------------- comings and goings

  // After any swap of the screen, by us or by htmx.
  function ready() {
    refreshActs();
    typing = false;
    const first = screenArea()?.querySelector("[autofocus]");
    if (first && !editable(document.activeElement)) first.focus({ preventScroll: true });
    keepFocus();
  }

  function awake() {
    if (document.visibilityState === "hidden") {
      if (camera.stream) camera.stop();
      return;
    }
    if (camera.dialog?.open && !camera.stream) camera.start().catch(() => camera.close());
    keepFocus();
    flushNow();
  }

  document.addEventListener("visibilitychange", awake);
  window.addEventListener("online", flushNow);
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    leaving = false;
    awake();
  });
  window.addEventListener("focus", keepFocus);
  document.addEventListener("htmx:after:swap", ready);
  document.addEventListener("htmx:afterSwap", ready);

  function begin() {
    let went = null;
    try {
      went = sessionStorage.getItem("wms.went");
    } catch {
      // then this page says nothing aloud, no more
    }
    sessionStorageSet("wms.went", null);
    ready();
    const answer = document.querySelector("#screen [data-answer]")?.dataset.answer;
    if (went && answer && answer !== "done") feel(answer);
    speak();
    waitingChanged();
    flush();
  }

  begin();
})();
