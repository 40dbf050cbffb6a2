// Comings and goings of the page: after a swap, back in the hand, at the start.
"use strict";

(() => {
  const { camera, editable, keepFocus, setSession } = wms;

  // After any swap of the screen, by us or by htmx.
  function ready() {
    wms.refreshActs();
    wms.typed();
    const first = wms.screenArea()?.querySelector("[autofocus]");
    if (first && !editable(document.activeElement)) first.focus({ preventScroll: true });
    keepFocus();
  }

  function awake() {
    if (document.visibilityState === "hidden") {
      camera.rest();
      return;
    }
    camera.wake();
    keepFocus();
    wms.flushNow();
  }

  Object.assign(wms, { ready });

  document.addEventListener("visibilitychange", awake);
  window.addEventListener("online", wms.flushNow);
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    wms.stay();
    awake();
  });
  window.addEventListener("focus", keepFocus);
  document.addEventListener("htmx:after:swap", ready);
  document.addEventListener("htmx:afterSwap", ready);

  async function begin() {
    let went = null;
    try {
      went = sessionStorage.getItem("wms.went");
    } catch {
      // then this page says nothing aloud, no more
    }
    setSession("wms.went", null);
    ready();
    const answer = document.querySelector("#screen [data-answer]")?.dataset.answer;
    if (went && answer && answer !== "done") wms.feel(answer);
    wms.speak();
    await wms.outbox.ready;
    wms.refreshActs();
    wms.flush();
  }

  begin();
})();
