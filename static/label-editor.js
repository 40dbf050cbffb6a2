// The template editor: while somebody types, the server draws the label and says what is wrong with it.
"use strict";
(() => {
  const PAUSE_MS = 350; // a word is typed, not a letter
  let timer = 0;
  let running = null;

  const form = () => document.querySelector("[data-label-editor] form");

  async function draw() {
    const editor = document.querySelector("[data-label-editor]");
    const shown = document.getElementById("label-preview");
    if (!editor || !shown) return;
    running?.abort();
    running = new AbortController();
    const mine = running;
    shown.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(editor.dataset.labelEditor, {
        method: "POST",
        body: new URLSearchParams(new FormData(form())),
        headers: { "X-CSRFToken": document.querySelector('meta[name="csrf-token"]').content },
        signal: mine.signal,
      });
      if (answer.ok && mine === running) shown.innerHTML = await answer.text();
    } catch {
      // Typed on meanwhile, or no network: the picture stays as it is.
    } finally {
      if (mine === running) shown.removeAttribute("aria-busy");
    }
  }

  document.addEventListener("input", (event) => {
    if (!event.target.closest("[data-label-editor] form") || !event.target.matches("[name=text], [name=dpi], [name=words]")) return;
    clearTimeout(timer);
    timer = setTimeout(draw, event.target.matches("textarea") ? PAUSE_MS : 0);
  });

  // A click on a line number goes there.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-line]");
    const text = form()?.querySelector("textarea");
    if (!button || !text) return;
    const lines = text.value.split("\n");
    const line = Math.min(Number(button.dataset.line), lines.length);
    const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    text.focus();
    text.setSelectionRange(start, start + lines[line - 1].length);
    text.scrollTop = (text.scrollHeight / lines.length) * Math.max(0, line - 5);
  });
})();
