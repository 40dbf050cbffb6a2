// One code or one tap becomes one post, whichever way it came in.
"use strict";

(() => {
  const { element } = wms;

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
    const id = wms.scanId();
    fields.set("scan_id", id);
    const address = actionOf(form, submitter);
    const entry = wms.outbox.add({
      id, kind, what, form: formKey(form), action: address.pathname + address.search, body: fields.toString(),
      page: location.pathname, at: Date.now(), secret: Boolean(form.querySelector('input[type="password"]')),
    });
    refreshActs();
    wms.carried.added(entry).then(wms.flush);
  }

  let lastTaken = { code: "", at: -Infinity };

  // The second trigger pull of a worn scanner. R11: only where the worker asked this device for it.
  function tooSoon(code) {
    const now = performance.now();
    const repeated = code === lastTaken.code && now - lastTaken.at < Number(wms.setting("cooldown_ms") || 0);
    if (!repeated) lastTaken = { code, at: now };
    return repeated;
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
    wms.typed();
    if (!code) return;
    if (wms.blocked()) {
      wms.feel("wrong");
      return;
    }
    if (tooSoon(code)) return;
    noteIn(form, "");
    const fields = fieldsOf(form, null);
    fields.set("code", code);
    wms.carried.sign(form, fields);
    keep(form, fields, { kind: "scan", what: code });
  }

  async function act(form, submitter) {
    await wms.outbox.ready; // after a reload: is this very act waiting already?
    const key = formKey(form);
    if (wms.outbox.list().some((entry) => entry.kind === "act" && !entry.ahead && entry.form === key)) return; // the second tap
    if (wms.blocked() && !form.closest("[data-block]")) {
      wms.feel("wrong");
      return;
    }
    const what = (submitter?.textContent || "").trim();
    keep(form, fieldsOf(form, submitter), { kind: "act", what, submitter });
  }

  // Buttons rest while their post waits, also after a reload in between, or one act would become two.
  function refreshActs() {
    const waiting = new Set(wms.outbox.list().filter((entry) => entry.kind === "act" && !entry.ahead).map((entry) => entry.form));
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

  Object.assign(wms, { editable, codeInput, isCodeInput, currentForm, actionOf, take, refreshActs, noteIn });
})();
