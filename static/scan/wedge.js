// A scanner that types: key events, or text of an input method.
"use strict";

(() => {
  const { GS, codeInput, currentForm, editable, isCodeInput } = wms;
  const KEY_GAP_MS = 50; // a scanner types faster than a hand; slow Bluetooth ones need the device setting
  const BEFORE_SCAN_MS = 250; // a hand that types in another field pauses less than this
  const SCAN_LENGTH = 4; // shorter runs of keys are a hand
  const QUIET_MS = 90; // text from an input method has no Enter; this silence ends it

  let run = { text: "", last: -Infinity, quiet: true, target: null, before: "" };
  let typing = false; // a hand types: no guessing where its text ends
  let keyed = false; // the next input event was made by a key
  let quietTimer = 0;

  // What stood in the field was taken: the next code may be a scanner's again.
  function typed() {
    typing = false;
    clearTimeout(quietTimer);
  }

  const keyGap = () => Number(wms.setting("gap_ms")) || KEY_GAP_MS;
  const scanned = (form, text) => wms.take(form, typing ? text : wms.bare(text));

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
      else wms.feel("wrong");
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
    const suffix = wms.setting("suffix");
    const ended = suffix && input.value.endsWith(suffix) && input.value.length > suffix.length;
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
    else if (form && button && "scanCamera" in button.dataset) wms.camera.open(form);
    else if (form && button && "scanPhoto" in button.dataset) form.querySelector("[data-scan-file]")?.click();
    else if (!event.target.closest?.("a, button, label, summary, dialog")) keepFocus();
  });

  Object.assign(wms, { keepFocus, typed });
})();
