// Shows what the server said to a scan.
"use strict";

(() => {
  const { emit, screenArea } = wms;

  function show(html, { status, replay, here, id }) {
    const answerPage = new DOMParser().parseFromString(html, "text/html");
    const part = answerPage.getElementById("screen") || answerPage.body;
    const marked = part.querySelector("[data-answer]");
    const answer = marked ? marked.dataset.answer : { 409: "look", 401: "wrong", 422: "wrong" }[status] || "done";
    const area = screenArea();
    if (here && area) {
      area.replaceChildren(...part.childNodes);
      if (window.htmx) window.htmx.process(area);
      wms.ready();
      wms.speak();
    } else if (marked && answer !== "done") {
      // Answer to a scan of another page: its screen would take this one from under the worker's hand.
      placeMessage(document.importNode(marked, true));
    }
    wms.feel(answer);
    wms.camera.heard(answer, marked ? marked.textContent.trim().replace(/\s+/g, " ") : "");
    emit("wms:answer", { answer, replay, status, scan_id: id });
  }

  function placeMessage(message) {
    const area = screenArea() || document.body;
    const room = area.querySelector("section.screen") || area;
    for (const old of room.querySelectorAll(":scope > .message")) old.remove();
    room.prepend(message);
  }

  // The same message that the server's screens have (parts/ui.html): colour, shape and word.
  function message(answer, text, block = false) {
    const pattern = document.getElementById(`message-${answer}`);
    const made = pattern.content.firstElementChild.cloneNode(true);
    made.querySelector("[data-text]").textContent = text;
    if (block) made.dataset.block = "";
    else made.querySelector("button").remove();
    return made;
  }

  function tell(answer, text, block = false) {
    placeMessage(message(answer, text, block));
    wms.feel(answer);
  }

  const blocked = () => Boolean(document.querySelector("#screen [data-block]"));

  document.addEventListener("click", (event) => {
    const message = event.target.closest?.("#screen [data-block]");
    if (!message || !event.target.closest("button")) return;
    if (event.target.closest("form[data-act]")) message.removeAttribute("data-block");
    else message.remove();
    wms.keepFocus();
    wms.flush();
  });

  Object.assign(wms, { show, message, placeMessage, tell, blocked });
})();
