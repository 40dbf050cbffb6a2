// Looking for printers: a few addresses a request, one after the other, until the network is done or somebody stops it.
"use strict";
(() => {
  let stopped = false;

  async function goOn(form) {
    form.setAttribute("aria-busy", "true");
    const fields = new URLSearchParams(new FormData(form));
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: fields,
        headers: { "X-CSRFToken": document.querySelector('meta[name="csrf-token"]').content, "X-Requested-With": "scan" },
      });
      if (stopped || !answer.ok || !form.isConnected) return;
      document.getElementById("screen").innerHTML = await answer.text();
      begin();
    } catch {
      form.removeAttribute("aria-busy"); // the button stays: who presses it goes on
    }
  }

  function begin() {
    const form = document.querySelector("form[data-go-on]");
    if (form && !stopped) goOn(form);
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-stop]")) stopped = true;
  });

  begin();
})();
