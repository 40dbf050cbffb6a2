// The pick task that the phone carries.
"use strict";

(() => {
  wms.carried = { added() {}, unanswered() {}, confirmed: () => false };
})();
