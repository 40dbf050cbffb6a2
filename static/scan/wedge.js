// A scanner that types: key events, or text of an input method.
"use strict";

(() => {
  const { GS, codeInput, currentForm, editable, isCodeInput } = wms;
  const KEY_GAP_MS = 50; // a scanner types faster than a hand; slow Bluetooth ones need the device setting
  const BEFORE_SCAN_MS = 250; // a hand that types in another field pauses less than this
  const SCAN_LENGTH = 4; // shorter runs of keys are a hand
  const QUIET_MS = 90; // text from an input method has no Enter; this silence ends it
  const QUIET_KEYS_MS = 500; // keys that stop without Enter: long, for a busy phone stammers
  const LATE_MS = 40; // a timer later than this says that the page was busy, and keys may be waiting
  const AIM = /^\][A-Za-z][0-9A-Za-z]/;
  const SUFFIX_SEEN = "wms.suffix"; // this scanner ends its codes with a key: a pause is no end then
  // What a scanner types as a number on the pad while it holds Alt, because the sign has no key.
  const ALT_SIGNS = { 9: "Tab", 10: "Line", 13: "Enter", 29: GS };

  const NOTHING = { text: "", last: -Infinity, quiet: true, target: null, before: "" };
  let run = { ...NOTHING };
  let typing = false; // a hand types: no guessing where its text ends
  let keyed = false; // the next input event was made by a key
  let alt = ""; // digits of the number pad while Alt is held
  let capsKeys = false; // the letters since the last code came under CapsLock
  let capsLock = false; // those of the last code did
  let resting = false; // a page that listens by itself (the scanner check)
  let quietTimer = 0;
  let field = null; // the code field that something was put into last

  // What stood in the field was taken, or a new screen came: the next code may be a scanner's again.
  function typed() {
    typing = false;
    const waiting = quietTimer;
    clearTimeout(quietTimer);
    quietTimer = 0;
    if (carryOver() && waiting) afterQuiet(QUIET_MS, onSilence);
  }

  // The answer to the scan before took the screen away while this code was coming in: it comes in to the new one.
  function carryOver() {
    if (!field || field.isConnected || !field.value) return false;
    const form = currentForm();
    const next = form && codeInput(form);
    if (!next || next.value) return false;
    next.value = field.value;
    if (run.target === field) run.target = next;
    field = next;
    return true;
  }

  const keyGap = () => Number(wms.setting("gap_ms")) || KEY_GAP_MS;

  // A Chinese input method may make full-width letters of a scan. In a text with Chinese they may be meant.
  function folded(text) {
    if (/\p{Script=Han}/u.test(text)) return text;
    const narrow = (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0);
    return text.replace(/[\uff01-\uff5e]/g, narrow).replaceAll("\u3000", " ");
  }

  function swapped(text) {
    return text.replace(/[a-z]+|[A-Z]+/g, (letters) => (letters < "a" ? letters.toLowerCase() : letters.toUpperCase()));
  }

  // What the scanner read, from what it sent: this device's settings say what it puts around the code, which sign it
  // sends for GS, and whether its small and capital letters come exchanged.
  function heard(sent, setting = wms.setting) {
    const [prefix, suffix, sign] = [setting("prefix"), setting("suffix"), setting("gs_sign")];
    let text = folded(sent);
    const aim = AIM.exec(text)?.[0] || ""; // it may stand before the prefix; the server reads it
    if (prefix && text.startsWith(prefix)) text = text.slice(prefix.length);
    else if (prefix && text.startsWith(prefix, aim.length)) text = aim + text.slice(aim.length + prefix.length);
    if (suffix && text.endsWith(suffix)) text = text.slice(0, -suffix.length);
    if (sign) text = text.replaceAll(sign, GS);
    return setting("swap_case") ? swapped(text) : text;
  }

  function scanned(form, text) {
    capsLock = capsKeys && !typing;
    capsKeys = false;
    wms.take(form, typing ? text : heard(text));
    tellCapsLock();
  }

  // Only told, not mended: some scanners look at the light of CapsLock and mend it themselves.
  function tellCapsLock() {
    const form = capsLock && currentForm();
    if (form) wms.noteIn(form, wms.word("caps_lock"));
  }

  document.addEventListener("wms:answer", tellCapsLock);

  function suffixSeen() {
    try {
      return sessionStorage.getItem(SUFFIX_SEEN) === "yes";
    } catch {
      return false;
    }
  }

  // How long a silence ends a code of keys; 0: only a key does.
  function quietKeys(target) {
    const ends = wms.setting("ends");
    if (ends === "pause") return Math.max(QUIET_MS, 2 * keyGap());
    return ends === "key" || !isCodeInput(target) || suffixSeen() ? 0 : QUIET_KEYS_MS;
  }

  function afterQuiet(quietMs, end) {
    clearTimeout(quietTimer);
    const due = performance.now() + quietMs;
    quietTimer = setTimeout(() => {
      quietTimer = 0;
      if (performance.now() - due > LATE_MS) afterQuiet(QUIET_MS, end); // keys that came meanwhile go first
      else end();
    }, quietMs);
  }

  function onSilence() {
    if (field?.isConnected) scanned(field.form, field.value);
  }

  function follow(character, at, target) {
    const gap = at - run.last;
    if (gap > keyGap() || run.target !== target) {
      const before = editable(target) ? target.value : "";
      run = { text: "", last: at, quiet: gap > BEFORE_SCAN_MS, target, before };
    }
    run.text += character;
    run.last = at;
    const quietMs = quietKeys(target);
    if (quietMs && !typing && run.text.length >= SCAN_LENGTH) afterQuiet(quietMs, onPause);
  }

  // Keys that came fast and stopped: a scanner that sends no Enter.
  function onPause() {
    const { target, text, before, quiet } = run;
    const form = currentForm();
    if (isCodeInput(target)) {
      // In a field where a hand had begun, only a hand knows the end.
      if (target.isConnected && (target.value === text || wms.setting("ends") === "pause")) scanned(target.form, target.value);
    } else if (form && quiet && editable(target)) {
      takeOut(target, before);
      scanned(form, text);
    }
    run = { ...NOTHING };
  }

  // The scan went into a quantity or a remark: take it out again.
  function takeOut(target, before) {
    target.value = before;
    target.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function insert(input, text) {
    field = input;
    const from = input.selectionStart ?? input.value.length;
    input.setRangeText(text, from, input.selectionEnd ?? from, "end");
  }

  function characterOf(event) {
    const control = event.ctrlKey && !event.altKey && !event.metaKey;
    if (control && (event.code === "BracketRight" || event.key === "]")) return GS;
    if (event.key === "F8" && (isCodeInput(event.target) || (run.text && event.timeStamp - run.last <= keyGap()))) return GS;
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
    if (resting || event.isComposing || event.key === "Process" || event.key === "Unidentified") return;
    const suffix = suffixOf(event);
    if (suffix) {
      onSuffix(event, suffix);
      return;
    }
    if (event.altKey && !event.ctrlKey && /^Numpad\d$/.test(event.code)) {
      alt += event.code.slice(-1);
      run.last = event.timeStamp; // six keys for one sign are no pause
      clearTimeout(quietTimer);
      return;
    }
    const character = characterOf(event);
    if (character) onCharacter(event, character);
  }

  function onKeyUp(event) {
    if (resting || event.key !== "Alt" || !alt) return;
    const number = Number(alt);
    alt = "";
    const sign = ALT_SIGNS[number];
    if (!sign) {
      // The system puts the sign in; it came by keys and is no text of an input method.
      keyed = true;
      setTimeout(() => { keyed = false; }, QUIET_MS);
      follow(String.fromCharCode(number), event.timeStamp, event.target);
    } else if (sign === GS) {
      onCharacter(event, GS);
    } else {
      onSuffix(event, sign);
    }
  }

  function onCharacter(event, character) {
    const { target, timeStamp: at } = event;
    const form = currentForm();
    if (/[a-z]/i.test(character)) capsKeys = Boolean(event.getModifierState?.("CapsLock"));
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
    if (editable(target) || !form || !codeInput(form)) {
      if (character === GS && form && editable(target)) swallow(event);
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

  function onSuffix(event, suffix) {
    const { target, timeStamp: at } = event;
    const form = currentForm();
    const fast = run.text.length >= SCAN_LENGTH && at - run.last <= keyGap();
    if (fast) wms.setSession(SUFFIX_SEEN, "yes");
    if (isCodeInput(target)) {
      if (suffix === "Tab" && !fast) return;
      if (suffix === "Line" && !fast && at - run.last > BEFORE_SCAN_MS) return;
      swallow(event);
      if (!event.repeat) scanned(target.form, target.value);
    } else if (fast && editable(target) && form && run.quiet && run.target === target) {
      swallow(event);
      takeOut(target, run.before);
      scanned(form, run.text);
    } else if (fast && !editable(target)) {
      swallow(event); // a scan where nothing takes one: it must not press what has focus
      if (form) scanned(form, run.text);
      else wms.feel("wrong");
    } else if (at - run.last <= BEFORE_SCAN_MS && run.text === "" && !editable(target)) {
      swallow(event); // the second half of "Enter, line feed"
    }
    run = { ...NOTHING, last: at, quiet: false };
  }

  window.addEventListener("keydown", onKey, true);
  window.addEventListener("keyup", onKeyUp, true);

  document.addEventListener("input", (event) => {
    const input = event.target;
    if (!isCodeInput(input)) return;
    field = input;
    const byKey = keyed;
    keyed = false;
    if (!byKey) clearTimeout(quietTimer);
    const suffix = wms.setting("suffix");
    const ended = suffix && folded(input.value).endsWith(suffix) && input.value.length > suffix.length;
    if (ended && !typing && (!byKey || run.text.length >= SCAN_LENGTH)) {
      scanned(input.form, input.value);
      return;
    }
    if (byKey || typing || event.isComposing || !/^insert(?!FromPaste|FromDrop)/.test(event.inputType || "insertText")) return;
    // An input method (DataWedge) puts the whole text in and sends no key.
    afterQuiet(QUIET_MS, onSilence);
  });

  document.addEventListener("compositionend", (event) => {
    const input = event.target;
    if (!isCodeInput(input) || typing) return;
    field = input;
    afterQuiet(QUIET_MS, onSilence);
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
    else if (form && button && "scanCamera" in button.dataset) wms.camera.open(form);
    else if (form && button && "scanPhoto" in button.dataset) form.querySelector("[data-scan-file]")?.click();
    else if (!event.target.closest?.("a, button, label, summary, dialog")) keepFocus();
  });

  const wedge = { AIM, ALT_SIGNS, KEY_GAP_MS, characterOf, folded, heard, suffixOf, swapped, rest: () => { resting = true; } };
  Object.assign(wms, { keepFocus, typed, wedge });
})();
