// What a code says, where there is no server to ask: as wms/scan.py says it, for items, places and totes (R14, R15).
// What has more to it than that (in-store numbers, UPC-E, pallets, links, waybills) is "unsure": the server is asked.
// tests/browser/test_carried.py holds the two against each other.
"use strict";

(() => {
  const { GS } = wms;
  const LONGEST = 512;
  const OWN = { "L-": "location", "T-": "tote", "P-": "parcel", "U-": "badge", "M-": "manifest", "S-": "station", "R-": "receipt", "O-": "order", "I-": "item" };
  const SAYS_GS1 = new Set(["]C1", "]d2", "]Q3", "]e0", "]J1"]);
  // Application identifiers of known length (GS1 General Specifications, figure 7.8.5-2), by their first two digits:
  // identifier and data together. All others end at a group separator.
  const FIXED = { "00": 20, "01": 16, "02": 16, "03": 16, "04": 18, 11: 8, 12: 8, 13: 8, 14: 8, 15: 8, 16: 8, 17: 8, 18: 8, 19: 8, 20: 4, 31: 10, 32: 10, 33: 10, 34: 10, 35: 10, 36: 10, 41: 16 };
  const OPEN = { 10: 20, 21: 20, 22: 20, 37: 8, 30: 8 };

  function clean(text) {
    // Letters, marks, numbers, signs and plain blanks stay, and the group separator of GS1.
    const kept = Array.from(text).slice(0, LONGEST).filter((c) => c === GS || c === " " || !/[\p{C}\p{Z}\ufeff]/u.test(c)).join("");
    return kept.replace(new RegExp(`^[ ${GS}]+|[ ${GS}]+$`, "g"), "");
  }

  function gtin14(digits) {
    if (![8, 12, 13, 14].includes(digits.length) || !/^[0-9]+$/.test(digits)) return "";
    const padded = digits.padStart(14, "0");
    let total = 0;
    for (let at = 0; at < 13; at += 1) total += Number(padded[at]) * (at % 2 === 0 ? 3 : 1);
    return (10 - (total % 10)) % 10 === Number(padded[13]) ? padded : "";
  }

  const restricted = (code) => (code.startsWith("000000") ? "02".includes(code[6]) : code[0] === "0" && /^(02|04|2)/.test(code.slice(1)));
  const unsure = (text) => ({ kind: "unsure", value: "", keys: [], text });

  // Identifier → data; null when the phone cannot take it apart, or it says one thing twice and differently.
  function elements(body) {
    const found = {};
    const say = (name, data) => data !== "" && (found[name] ??= data) === data;
    if (/^\(\d{2,4}\)/.test(body)) {
      for (const part of body.matchAll(/\((\d{2,4})\)([^(]*)/g)) if (!say(part[1], part[2])) return null;
      return found;
    }
    let at = 0;
    while (at < body.length) {
      const start = body.slice(at, at + 2);
      const size = FIXED[start];
      const end = body.indexOf(GS, at);
      const until = size ? at + size : end < 0 ? body.length : end;
      if (until > body.length || !(size || OPEN[start])) return null; // an identifier the phone does not know: ask the server
      const name = size === 10 ? body.slice(at, at + 4) : start;
      if (!say(name, body.slice(at + name.length, until))) return null;
      at = until;
      if (body[at] === GS) at += 1;
    }
    return found;
  }

  // kind: an own class, gtin, gs1, plain, or "unsure" for what only the server can tell.
  function meaning(read) {
    const whole = clean(read);
    const aim = /^\][A-Za-z][0-9A-Za-z]/.test(whole) ? whole.slice(0, 3) : "";
    const text = clean(whole.slice(aim.length));
    const upper = text.toUpperCase();
    if (whole.length >= LONGEST) return unsure(text);
    if (!SAYS_GS1.has(aim)) {
      const own = OWN[upper.slice(0, 2)];
      if (own && upper.length > 2) return { kind: own, value: upper.slice(2), keys: [upper.slice(2)], text };
      if (/^[01][0-9]{7}$/.test(text) || (aim === "]E0" && /^[0-9]{6}$/.test(text))) return unsure(text);
      const code = gtin14(text);
      if (code) return restricted(code) ? unsure(text) : { kind: "gtin", value: code, keys: [code, upper], text };
    }
    const looks = /^0[12]/.test(text) && text.length >= 16 && gtin14(text.slice(2, 16));
    if (SAYS_GS1.has(aim) || text.includes(GS) || /^\(\d{2,4}\)/.test(text) || looks) {
      const found = elements(text);
      const number = found && (found["01"] || found["02"]);
      if (!found || found["00"] || (found["01"] && found["02"]) || (number && !gtin14(number))) return unsure(text);
      const count = Number(found["37"] || found["30"] || 0);
      const more = { lot: found["10"], pieces: count > 0 ? count : undefined, ofContent: Boolean(found["02"]), text };
      if (number) return { kind: "gs1", value: gtin14(number), keys: [gtin14(number)], ...more };
      if (found["10"] || found["21"]) return { kind: "gs1", value: "", keys: [], ...more };
      return unsure(text);
    }
    // Numbers of carriers and of the web are wrapped in more than a SKU ever is.
    if (/^https?:|^MMM=|-\d+-\d+-?$/i.test(text) || (/^00/.test(text) && text.length === 20)) return unsure(text);
    return { kind: "plain", value: upper, keys: [upper], text };
  }

  wms.meaning = meaning;
})();
