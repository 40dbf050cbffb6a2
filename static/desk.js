// The desk's tabs on a narrow screen: the one we are on is in sight.
"use strict";
(() => {
  function showHere() {
    const tabs = document.querySelector(".tabs");
    const here = tabs && tabs.querySelector("[aria-current]");
    if (here) tabs.scrollLeft = here.offsetLeft - (tabs.clientWidth - here.offsetWidth) / 2;
  }

  showHere();
  document.addEventListener("wms:answer", showHere);
})();
