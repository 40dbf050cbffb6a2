// The desk's tabs on a narrow screen, and those of a room in it: the one we are on is in sight.
"use strict";
(() => {
  function showHere() {
    for (const tabs of document.querySelectorAll(".tabs")) {
      const here = tabs.querySelector("[aria-current]");
      if (here) tabs.scrollLeft = here.offsetLeft - (tabs.clientWidth - here.offsetWidth) / 2;
    }
  }

  showHere();
  document.addEventListener("wms:answer", showHere);
})();
