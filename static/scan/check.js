// The scanner check: listens to all a scanner may send, says what is wrong with it, and sets this device right.
"use strict";

(() => {
  const { wedge } = wms;
  const { GS } = wms;

  // ---- Judging. Pure: what the code says and what came go in, findings come out, the gravest first.

  const { AIM } = wedge;
  const LONGEST_SIGN = 8; // as long as /me lets a prefix or suffix be
  const LONGEST_GAP_MS = 300; // the most that /me takes
  const DEAF_MS = 1000; // for a scanner that fires twice
  const GRADES = ["wrong", "look", "done"];

  // Letters that scanners put before a code to name its symbology, when nobody asked for AIM identifiers.
  const CODE_IDS = { code128: ["j", "D"], gs1: ["I", "K"], qr: ["s", "P01", "Q"] };

  // Each row: what the keys of a US keyboard give in another country, without and with Shift.
  const US = ["`1234567890-=qwertyuiop[]\\asdfghjkl;'zxcvbnm,./", "~!@#$%^&*()_+QWERTYUIOP{}|ASDFGHJKL:\"ZXCVBNM<>?"];
  const LAYOUTS = {
    de: ["^1234567890ß´qwertzuiopü+#asdfghjklöäyxcvbnm,.-", "°!\"§$%&/()=?`QWERTZUIOPÜ*'ASDFGHJKLÖÄYXCVBNM;:_"],
    fr: ["²&é\"'(-è_çà)=azertyuiop^$*qsdfghjklmùwxcvbn,;:!", "~1234567890°+AZERTYUIOP¨£µQSDFGHJKLM%WXCVBN?./§"],
    es: ["º1234567890'¡qwertyuiop`+çasdfghjklñ´zxcvbnm,.-", "ª!\"·$%&/()=?¿QWERTYUIOP^*ÇASDFGHJKLÑ¨ZXCVBNM;:_"],
    it: ["\\1234567890'ìqwertyuiopè+ùasdfghjklòàzxcvbnm,.-", "|!\"£$%&/()=?^QWERTYUIOPé*§ASDFGHJKLç°ZXCVBNM;:_"],
    gb: ["`1234567890-=qwertyuiop[]#asdfghjkl;'zxcvbnm,./", "¬!\"£$%^&*()_+QWERTYUIOP{}~ASDFGHJKL:@ZXCVBNM<>?"],
    jp: ["`1234567890-^qwertyuiop@[]asdfghjkl;:zxcvbnm,./", "~!\"#$%&'()~=~QWERTYUIOP`{}ASDFGHJKL+*ZXCVBNM<>?"],
  };

  function typedBetween(from, to) {
    const table = new Map();
    from.forEach((row, shift) => [...row].forEach((key, place) => table.set(key, [...to[shift]][place])));
    return (text) => [...text].map((sign) => table.get(sign) ?? sign).join("");
  }

  // What may happen to all signs of a code on its way: the plainest first.
  const LETTERS = [
    { letters: "", change: (text) => text },
    { letters: "swapped", change: wedge.swapped },
    { letters: "small", change: (text) => text.toLowerCase() },
    { letters: "capital", change: (text) => text.toUpperCase() },
  ];
  const KEYBOARDS = Object.entries(LAYOUTS).flatMap(([land, rows]) => [
    { land, scanner: "us", change: typedBetween(US, rows) },
    { land, scanner: land, change: typedBetween(rows, US) },
  ]);
  const WAYS = [
    ...LETTERS,
    ...LETTERS.slice(0, 2).flatMap((letters) => KEYBOARDS.map((keyboard) => (
      { ...letters, ...keyboard, change: (text) => letters.change(keyboard.change(text)) }))),
  ];

  const finding = (fault, grade, facts = {}, set = null) => ({ fault, grade, facts, set });

  // The parts of a code, which GS holds apart, in what came: what stands before, between and after them.
  function place(parts, text) {
    const before = text.indexOf(parts[0]);
    if (before < 0 || before > LONGEST_SIGN) return null;
    const signs = [];
    let at = before + parts[0].length;
    for (const part of parts.slice(1)) {
      const next = text.indexOf(part, at);
      if (next < 0) return null;
      signs.push(text.slice(at, next));
      at = next + part.length;
    }
    if (text.length - at > LONGEST_SIGN || new Set(signs).size > 1 || (signs[0] || "").length > LONGEST_SIGN) return null;
    return { prefix: text.slice(0, before), sign: signs[0] ?? GS, suffix: text.slice(at) };
  }

  // A sign that stands in ordinary codes cannot stand for GS as well.
  const telling = (sign) => (sign.length > 1 ? /[^A-Za-z0-9\s]/.test(sign) : /[^A-Za-z0-9\s\-._/:+]/.test(sign));

  function placed(sent, found, text, came) {
    const { way, prefix, sign, suffix } = found;
    const findings = [];
    if (way.land) findings.push(finding("layout", "wrong", layoutFacts(sent, text, way)));
    if (way.letters) findings.push(lettersFinding(sent, way.letters, came));
    if (sign !== GS && !telling(sign)) findings.push(finding("gs_lost", "wrong"));
    else if (sign !== GS) findings.push(finding("gs_sign", "look", { s: sign }, { gs_sign: sign }));
    const bare = prefix.replace(AIM, "");
    if (bare && CODE_IDS[sent.symbology]?.includes(bare)) findings.push(finding("code_id", "wrong", { s: bare }));
    else if (bare) findings.push(finding("prefix", "look", { s: bare }, { prefix: bare }));
    if (suffix) findings.push(finding("suffix", "look", { s: suffix }, { suffix }));
    return findings;
  }

  // All in small letters: was it CapsLock, or does the scanner do it? A code of capitals alone does not tell.
  function lettersFinding(sent, letters, came) {
    const mixed = /[a-z]/.test(sent.text) && /[A-Z]/.test(sent.text);
    if (came.caps && letters === "swapped") return finding("caps_lock", "wrong");
    if (letters === "swapped" && mixed) return finding("swapped", "look", {}, { swap_case: true });
    return finding("case_lost", "wrong", { s: /[a-z]/.test(came.text) ? "a–z" : "A–Z" });
  }

  // Two countries may agree about all signs of a code: then it is one of them.
  function layoutFacts(sent, text, first) {
    const abroad = (way) => way.scanner !== "us";
    const fits = WAYS.filter((way) => way.land && way.letters === first.letters && abroad(way) === abroad(first)
      && place(sent.text.split(GS).map(way.change), text));
    const lands = fits.map((way) => way.land).join(" ");
    return abroad(first) ? { a: lands, b: "us" } : { a: "us", b: lands };
  }

  function partOf(sent, text) {
    if (text.length < 3 || text.length >= sent.length) return null;
    if (sent.startsWith(text)) return finding("truncated", "wrong", { n: text.length, of: sent.length });
    if (sent.endsWith(text)) return finding("start_lost", "wrong", { n: sent.length - text.length });
    let at = 0;
    for (const sign of sent) if (sign === text[at]) at += 1;
    return at === text.length && text.length * 2 > sent.length
      ? finding("signs_lost", "wrong", { n: sent.length - text.length }) : null;
  }

  const HAN = /\p{Script=Han}/gu;

  function chinese(sent, text) {
    if (!sent.match(HAN)) return null;
    const bytes = new TextEncoder().encode(sent);
    const readAs = (charset) => new TextDecoder(charset).decode(bytes).replace(/[\x80-\x9f]/g, "");
    if (text === readAs("gbk")) return finding("chinese", "look", { s: "GBK" });
    if (text.replace(/[\x80-\x9f]/g, "") === readAs("windows-1252")) return finding("chinese", "look", { s: "Latin-1" });
    const plain = (all) => all.replace(/[^\x21-\x7e]|\?/g, "");
    return plain(text) === plain(sent) ? finding("chinese_lost", "look") : null;
  }

  // Another layout than those above: each sign always comes as the same other sign.
  function exchanged(sent, text) {
    const [from, to] = [[...sent], [...text]];
    if (from.length !== to.length || sent.match(HAN)) return null;
    const table = new Map();
    for (const [at, sign] of from.entries()) {
      if ((table.get(sign) ?? to[at]) !== to[at]) return null;
      table.set(sign, to[at]);
    }
    const pairs = [...table].filter(([sign, other]) => sign !== other);
    if (!pairs.length || new Set(table.values()).size < table.size) return null;
    if (pairs.length > table.size / 2 && !pairs.every(([, other]) => other > "\x7f")) return null;
    return finding("exchanged", "wrong", { s: pairs.slice(0, 4).map(([sign, other]) => `${sign} → ${other}`).join(", ") });
  }

  function textFindings(sent, came, setting) {
    const text = wedge.folded(came.text);
    const taken = wedge.heard(came.text, setting).replace(AIM, "");
    if (taken === sent.text) {
      return text.replace(AIM, "") === sent.text ? [] : [finding("by_setting", "done")];
    }
    if (text.replace(AIM, "") === sent.text) return [finding("setting_spoils", "wrong", {}, spoiling(setting))];
    if (text === sent.text.repeat(2)) return [finding("doubled", "wrong", {}, { cooldown_ms: DEAF_MS })];
    for (const way of WAYS) {
      const found = place(sent.text.split(GS).map(way.change), text);
      if (found) return placed(sent, { way, ...found }, text, came);
    }
    const bare = text.replace(AIM, "");
    const known = chinese(sent.text, bare) || partOf(sent.text, bare) || exchanged(sent.text, bare);
    return [known || finding("unknown", "wrong", { s: came.text })];
  }

  // The settings without which the code would have been taken as it is.
  function spoiling(setting) {
    const set = {};
    for (const [name, none] of [["prefix", ""], ["suffix", ""], ["gs_sign", ""], ["swap_case", false]]) {
      if (setting(name)) set[name] = none;
    }
    return set;
  }

  function p95(gaps) {
    const sorted = [...gaps].sort((a, b) => a - b);
    return sorted.length ? sorted[Math.ceil(sorted.length * 0.95) - 1] : 0;
  }

  function mannerFindings(came, setting, spoken) {
    const findings = [];
    const gap = Math.round(p95(came.gaps));
    const set = Number(setting("gap_ms")) || wedge.KEY_GAP_MS;
    const endsBySign = setting("suffix") && came.text.endsWith(setting("suffix"));
    if (came.how === "keys" && !came.ended && !endsBySign && !spoken.some((each) => each.fault === "suffix")) {
      findings.push(setting("ends") === "pause" ? finding("pause", "done") : finding("no_suffix", "look", {}, { ends: "pause" }));
    }
    if (came.ended && came.ended !== "Enter") findings.push(finding("other_key", "done", { s: came.ended === "Tab" ? "Tab" : "LF" }));
    if (gap > set && gap > LONGEST_GAP_MS) findings.push(finding("too_slow", "wrong", { ms: gap, n: LONGEST_GAP_MS }));
    else if (gap > set) {
      const wanted = Math.min(LONGEST_GAP_MS, Math.ceil((gap * 1.5) / 10) * 10);
      findings.push(finding("slow", "look", { ms: gap, n: wanted }, { gap_ms: wanted }));
    }
    if (came.times > 1) findings.push(finding("doubled", "wrong", {}, { cooldown_ms: DEAF_MS }));
    if (came.ime) findings.push(finding("ime", "look"));
    else if (wedge.folded(came.text) !== came.text) findings.push(finding("full_width", "look"));
    if (AIM.test(came.text)) findings.push(finding("aim", "done", { s: came.text.slice(0, 3) }));
    return findings;
  }

  // sent: { text, symbology } of the test code. came: { text, ended, how, gaps, caps, ime, alts, times }.
  function diagnose(sent, came, setting = wms.setting) {
    if (!came.text) return [finding(came.alts ? "alt_codes" : came.ime ? "ime" : "nothing", "wrong")];
    const spoken = textFindings(sent, came, setting);
    const findings = [...spoken, ...mannerFindings(came, setting, spoken)];
    if (findings.every(({ grade }) => grade === "done")) findings.unshift(finding("good", "done"));
    return findings.sort((a, b) => GRADES.indexOf(a.grade) - GRADES.indexOf(b.grade));
  }

  // Whoever scans from the printed sheet takes any code: the one that what came resembles.
  function closest(codes, current, came, setting = wms.setting) {
    const knows = (code) => diagnose(code, came, setting).every(({ fault }) => fault !== "unknown" && fault !== "nothing");
    return knows(current) ? current : codes.find(knows) || current;
  }

  wms.check = { diagnose, closest };

  const screen = document.querySelector("[data-check]");
  if (!screen) return;

  // ---- Listening. Everything that comes is taken before the page can do anything with it.

  const PAUSE_MS = 700; // keys: longer than the slowest scanner's pause
  const PAUSE_TEXT_MS = 300; // the Enter of a handheld comes behind its text
  const AFTER_MS = 150; // for the second half of "Enter, line feed"
  const TWICE_MS = 700; // nobody pulls the trigger twice as fast
  const input = screen.querySelector("[data-check-input]");
  const fresh = () => ({ text: "", ended: "", how: "", gaps: [], caps: false, ime: false, alts: 0, times: 1 });
  let came = fresh();
  let lastKey = 0;
  let alt = "";
  let timer = 0;
  let lastScan = { text: "", at: -Infinity };

  wedge.rest();

  function take(text, how, at) {
    if (came.how === "keys" && how === "keys") came.gaps.push(at - lastKey);
    came.text += text;
    came.how = came.how || how;
    if (how === "keys") lastKey = at;
    wait(how === "keys" ? PAUSE_MS : PAUSE_TEXT_MS);
  }

  function wait(ms) {
    clearTimeout(timer);
    timer = setTimeout(finish, ms);
  }

  function end(name) {
    if (!came.text && !came.alts) return;
    came.ended = came.ended || name;
    wait(AFTER_MS);
  }

  function swallow(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  // A hand walks the page with these; a scanner sends them only behind a code.
  const walking = (event) => ["Tab", "Enter", " "].includes(event.key) && !came.text && event.target !== input;

  window.addEventListener("keydown", (event) => {
    if (event.key === "Process" || event.isComposing) {
      came.ime = true;
      wait(PAUSE_MS);
      return;
    }
    if (walking(event) || (event.key === "Tab" && !came.text)) return;
    if (event.altKey && !event.ctrlKey && /^Numpad\d$/.test(event.code)) {
      alt += event.code.slice(-1);
      lastKey = event.timeStamp;
      wait(PAUSE_MS);
      return;
    }
    const suffix = wedge.suffixOf(event);
    if (suffix) {
      swallow(event);
      end(suffix);
      return;
    }
    const sign = event.key === "F8" ? GS : wedge.characterOf(event);
    if (!sign) return;
    swallow(event);
    if (/[a-z]/i.test(sign) && event.getModifierState?.("CapsLock")) came.caps = true;
    take(sign, "keys", event.timeStamp);
  }, true);

  window.addEventListener("keyup", (event) => {
    if (event.key !== "Alt" || !alt) return;
    const sign = wedge.ALT_SIGNS[Number(alt)];
    alt = "";
    came.alts += 1;
    if (sign === GS) take(GS, "keys", event.timeStamp);
    else if (sign) end(sign);
    else wait(PAUSE_MS); // the system puts the sign in, or it does not
  }, true);

  input.addEventListener("beforeinput", (event) => {
    if (event.inputType === "insertLineBreak") end("Enter");
  });

  input.addEventListener("input", (event) => {
    if (event.isComposing || !input.value) return;
    take(input.value, came.alts ? "keys" : "text", event.timeStamp);
    input.value = "";
  });

  input.addEventListener("compositionend", () => {
    if (input.value) take(input.value, "text", performance.now());
    input.value = "";
  });

  function keepFocus() {
    if (document.visibilityState === "visible" && !screen.contains(document.activeElement?.closest("button, a, summary"))) {
      input.focus({ preventScroll: true });
    }
  }

  for (const name of ["visibilitychange", "click"]) document.addEventListener(name, () => setTimeout(keepFocus, 0));
  window.addEventListener("focus", keepFocus);

  // ---- Showing

  const codes = JSON.parse(document.getElementById("check-codes").textContent);
  const results = new Map();
  let current = codes[0];

  const icon = (grade) => screen.querySelector(`template[data-check-icon="${grade}"]`).content.cloneNode(true);
  const wordOf = (land) => screen.querySelector(`template[data-land="${land}"]`)?.content.textContent.trim() || land;
  const visible = (text) => text.replace(/[\x00-\x1f]/g, (sign) => String.fromCharCode(0x2400 + sign.charCodeAt(0))).replaceAll(" ", "␣");

  function finish() {
    const now = performance.now();
    const record = came;
    came = fresh();
    const again = record.text && record.text === lastScan.text && now - lastScan.at < TWICE_MS;
    if (again) record.times = 2;
    lastScan = { text: record.text, at: now };
    if (record.text || record.ime || record.alts) judge(record);
  }

  function judge(record) {
    const code = closest(codes, current, record);
    results.set(code.name, { record, findings: diagnose(code, record) });
    show(code);
    wms.feel(results.get(code.name).findings[0].grade);
  }

  function fill(node, facts) {
    const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode;
      text.textContent = text.textContent.replace(/\{(\w+)\}/g, (whole, name) => (name in facts ? String(facts[name]) : whole));
    }
    return node;
  }

  function spelled({ fault, facts }) {
    const said = fault === "layout" ? (lands) => lands.split(" ").map(wordOf).join(" / ") : (fact) => visible(String(fact));
    return Object.fromEntries(Object.entries(facts).map(([name, fact]) => [name, said(fact)]));
  }

  function drawn(found) {
    const part = screen.querySelector(`template[data-fault="${found.fault}"]`).content.cloneNode(true);
    const item = wms.element("li", `check-finding check-${found.grade}`);
    item.dataset.fault = found.fault;
    item.append(icon(found.grade), fill(part, spelled(found)));
    const button = item.querySelector("[data-check-set]");
    if (button && found.set) button.addEventListener("click", () => apply(found.set));
    else button?.remove();
    return item;
  }

  function apply(set) {
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem("wms.device")) || {};
      localStorage.setItem("wms.device", JSON.stringify({ ...kept, ...set }));
    } catch {
      // private mode: nothing is kept, and the next scan shows it
    }
    wms.emit("wms:device", { ...kept, ...set });
    for (const [name, { record }] of results) {
      results.set(name, { record, findings: diagnose(codes.find((code) => code.name === name), record) });
    }
    show(current);
    screen.querySelector("[data-check-kept]").hidden = false;
    input.focus({ preventScroll: true });
  }

  function show(code) {
    current = code;
    for (const figure of screen.querySelectorAll("[data-check-code]")) figure.hidden = figure.dataset.checkCode !== code.name;
    for (const tab of screen.querySelectorAll("[data-check-tab]")) {
      const grade = results.get(tab.dataset.checkTab)?.findings[0].grade || "open";
      tab.setAttribute("aria-current", String(tab.dataset.checkTab === code.name));
      tab.dataset.grade = grade;
      tab.querySelector(".check-shape").replaceChildren(icon(grade));
    }
    const result = results.get(code.name);
    const area = screen.querySelector("[data-check-result]");
    area.replaceChildren();
    screen.querySelector("[data-check-kept]").hidden = true;
    screen.querySelector("[data-check-text]").textContent = visible(result?.record.text || "");
    if (result) area.append(...result.findings.map(drawn));
    showEnd();
  }

  // What one tap would put right is not right yet.
  const ready = ({ findings }) => findings.every(({ grade, set }) => grade === "done" || (grade === "look" && !set));

  function showEnd() {
    const all = results.size === codes.length;
    const right = [...results.values()].every(ready);
    screen.querySelector("[data-check-ready]").hidden = !all || !right;
    screen.querySelector("[data-check-not-ready]").hidden = !all || right;
    const last = codes.indexOf(current) === codes.length - 1;
    screen.querySelector("[data-check-next]").hidden = last;
    screen.querySelector("[data-check-last]").hidden = !last;
  }

  screen.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.checkTab) show(codes.find((code) => code.name === button.dataset.checkTab));
    else if ("checkNext" in button.dataset) show(codes[codes.indexOf(current) + 1] || current);
    else if ("checkNothing" in button.dataset) judge(fresh());
    if (!("print" in button.dataset)) input.focus({ preventScroll: true });
  });

  show(current);
  input.focus({ preventScroll: true });
})();
