// The pick task a phone carries: where there is no network it checks scans itself, goes on to the next line, and
// the scans wait in the outbox. What only the server may decide (another tote, new stock, new work) waits and says so.
"use strict";

(() => {
  const { operator, outbox, screenArea, store, word } = wms;
  const PATIENCE_MS = 1500; // a walk between two access points is shorter; a worker should not stand longer

  let task = null; // what the server gave, with what was taken since
  let cards = []; // what the server did not take of what the phone had said yes to
  let asking = null;
  let loaded = false; // what the phone kept was read

  const key = () => `${operator}.${task.task}`;
  const pathOf = (entry) => entry.action.split("?")[0];
  const mine = (entry) => task !== null && pathOf(entry).startsWith(`/pick/${task.task}/`);
  const ahead = () => outbox.list().some((entry) => entry.ahead && mine(entry));
  const onItsPage = () => task !== null && (location.pathname === "/pick" || location.pathname === `/pick/${task.task}`);

  // ---------------------------------------------------------------- taking it along

  // Each screen of the server says where the worker stands and what is left: the phone's copy follows it.
  function follow() {
    if (!operator || !loaded || ahead()) return;
    const section = screenArea()?.querySelector("section[data-step^='pick/']");
    if (!section || "local" in section.dataset) return;
    if (!section.dataset.carry) {
      if (task && onItsPage()) drop(); // done, stopped, or not begun: nothing to take along
      return;
    }
    const { task: id, at, left } = JSON.parse(section.dataset.carry);
    const known = task && task.task === id && Object.keys(left).every((each) => task.lines.some((line) => line.key === each));
    if (!known) {
      fetchTask(id);
      return;
    }
    for (const line of task.lines) line.left = left[line.key] || 0;
    task.done = task.total - task.missing - sum(task.lines);
    task.at = at && section.dataset.step === "pick/scan_item" ? at : "";
    store.put("carried", { ...task, key: key() });
  }

  const sum = (lines) => lines.reduce((pieces, line) => pieces + line.left, 0);

  async function fetchTask(id) {
    if (asking === id) return;
    asking = id;
    try {
      const response = await fetch(`/pick/${id}/carried`, { credentials: "same-origin", cache: "no-store" });
      if (!response.ok) return;
      const found = await response.json();
      if (ahead() || !found.lines.length) return;
      // Pieces the task wants and these lines do not hold: lines after the first forty, or short ones.
      found.missing = found.total - found.done - sum(found.lines);
      found.last = null;
      found.short = false;
      if (task && task.task !== found.task) await store.remove("carried", key());
      task = found;
      follow(); // a scan may have been answered since this was asked
      await store.put("carried", { ...task, key: key() });
      document.documentElement.dataset.carried = task.task;
    } catch {
      // no network just now; the next screen asks again
    } finally {
      asking = null;
    }
  }

  function drop() {
    store.remove("carried", key());
    task = null;
    delete document.documentElement.dataset.carried;
  }

  async function load() {
    await outbox.ready;
    if (!operator) return;
    const [kept] = (await store.list("carried", `${operator}.`)).slice(-1);
    task = kept && kept.go ? kept : null; // an older build kept its screens otherwise: it is asked for again
    cards = await store.list("cards", `${operator}.`);
    loaded = true;
    if (task) document.documentElement.dataset.carried = task.task;
    const shell = document.querySelector("section[data-step='offline/shell']");
    for (const way of document.querySelectorAll("[data-carried-only]")) way.hidden = task === null;
    if (onItsPage() && (ahead() || shell)) show();
    showCards();
    follow();
  }

  // ---------------------------------------------------------------- what the phone says itself

  // Everything that is posted passes here. A scan of an item says where it was made (see flows/pick.scan).
  function sign(form, fields) {
    const path = wms.actionOf(form).pathname;
    if (task && task.at && path === `/pick/${task.task}/scan`) fields.set("at", task.at);
  }

  // What the camera may take without asking, though more codes are in view: the item that is picked here.
  function expects(form) {
    const line = task && task.at && wms.actionOf(form).pathname === `/pick/${task.task}/scan` ? next() : null;
    return line ? [...Object.keys(line.codes), `I-${line.sku}`] : [];
  }

  async function added(entry) {
    if (!loaded && operator) await wms.carried.ready;
    if (!outbox.list().includes(entry)) return;
    if (task === null || !mine(entry) || !decidable(entry)) {
      if (!wms.reachable()) waits(entry);
      return;
    }
    if (ahead() || !wms.reachable()) answer(entry);
    else setTimeout(() => unanswered(entry), PATIENCE_MS);
  }

  const decidable = (entry) => ["scan", "rest", "short", "undo"].includes(pathOf(entry).split("/").pop());

  function unanswered(entry) {
    if (!loaded || entry.ahead || entry.doubt || !outbox.list().includes(entry)) return;
    if (mine(entry) && decidable(entry)) answer(entry);
    else waits(entry);
  }

  function waits(entry) {
    if (entry.page === location.pathname && !entry.told) wms.tell("look", word("waits", { code: entry.what }));
    entry.told = true;
  }

  // In the order they were made: what waits from before a reload comes first.
  function answer(newest) {
    for (const entry of outbox.list()) {
      if (entry.key <= newest.key && mine(entry) && decidable(entry) && !entry.ahead && !entry.doubt) answerOne(entry);
    }
  }

  async function answerOne(entry) {
    const before = structuredClone(task);
    const said = decide(entry);
    if (said.answer === "done" || said.taken) {
      Object.assign(entry, { ahead: true, expects: said.expects || "done", check: Boolean(said.check), place: said.place || "" });
      const { foreign, ...kept } = entry;
      // One transaction: the phone never remembers a piece without the scan that took it, nor the other way round.
      await store.write([{ room: "outbox", value: kept }, { room: "carried", value: { ...task, key: key() } }]);
    } else {
      task = before;
      // One that may have reached the server stays until the server has said what became of it.
      if (entry.tried || entry.foreign) entry.doubt = true;
      else outbox.remove(entry);
    }
    if (onItsPage()) show(said);
    wms.feel(said.answer);
    wms.camera.heard(said.answer, said.text || "");
    wms.emit("wms:answer", { answer: said.answer, replay: false, status: 0, scan_id: entry.id });
    wms.flush();
  }

  const no = (name, facts, more = {}) => ({ answer: "wrong", text: word(name, facts), ...more });

  function decide(entry) {
    const fields = new URLSearchParams(entry.body);
    switch (pathOf(entry).split("/").pop()) {
      case "rest": return takeRest(Number(fields.get("qty")));
      case "short": return short();
      case "undo": return undo();
      default: return scan(fields.get("code") || "");
    }
  }

  const here = () => task.lines.filter((line) => line.location === task.at && line.left > 0);
  const next = () => (task.at && here()[0]) || task.lines.find((line) => line.left > 0) || null;

  function scan(code) {
    const read = wms.meaning(code);
    const line = next();
    if (!line) return no("nothing_left", {});
    if (read.kind === "tote") return { answer: "look", text: word("tote_needs_network") };
    if (read.kind === "unsure") return { answer: "look", text: word("unsure_offline", { code: read.text }) };
    return task.at ? scanItem(read, line) : scanLocation(read, line);
  }

  function scanLocation(read, line) {
    const place = read.keys.includes(line.place.toUpperCase()) && read.kind !== "item" ? line.place : "";
    if (place) {
      task.at = line.location;
      task.last = null;
      return { answer: "done", text: word("right", { code: read.text }), check: true };
    }
    const other = task.lines.find((each) => read.keys.includes(each.place.toUpperCase()));
    if (other || read.kind === "location") return no("wrong_place", { read: other ? other.place : read.value, expected: line.place });
    return no("expects_place", { read: read.text, expected: line.place });
  }

  const countOf = (line, read) => read.keys.map((each) => line.codes[each]).find((pieces) => pieces);

  function scanItem(read, line) {
    const names = ["gtin", "gs1", "plain", "item"].includes(read.kind);
    const wanted = task.lines.filter((each) => (names && countOf(each, read)) || (lotAlone(read) && each === line && line.lot_tracked));
    if (wanted.length === 0) {
      if (read.kind === "location") return no("expects_item", { read: read.value, expected: line.sku });
      return no("wrong_item_offline", { read: read.text, expected: line.sku }, { block: true });
    }
    const left = wanted.filter((each) => each.left > 0);
    const at = left.filter((each) => each.location === task.at);
    if (at.length === 0) {
      if (left.length) return no("picked_later", { read: left[0].sku, place: left[0].place, expected: line.sku });
      return { answer: "look", text: word("already_picked", { read: wanted[0].sku }) };
    }
    let chosen = at[0];
    if (chosen.lot_tracked && read.lot !== undefined) {
      chosen = at.find((each) => each.lot === read.lot);
      if (!chosen) return no("wrong_lot", { expected: at.map((each) => each.lot).join(", "), item: at[0].sku, read: read.lot });
    } else if (chosen.lot_tracked && chosen.lot_needed) {
      return { answer: "look", text: word("lot_needed", { item: chosen.sku, expected: at.map((each) => each.lot).join(", ") }) };
    }
    if (chosen.expired) return no("expired_lot", { lot: chosen.lot, item: chosen.sku, expiry: chosen.expired }, { block: true });
    const each = countOf(chosen, read) || 1;
    const said = read.pieces || 1;
    // GS1 gives no meaning to a count beside the number of a case itself (lookup.UnclearCount): the server decides.
    if (said > 1 && each > 1 && read.kind === "gs1" && !read.ofContent) return { answer: "look", text: word("unsure_offline", { code: read.text }) };
    const pieces = said * each; // R15
    if (pieces > chosen.left) return no("over_pick", { left: chosen.left, item: chosen.sku, read: pieces }); // R21
    return taken(chosen, pieces, word("right", { code: read.text }));
  }

  const lotAlone = (read) => read.kind === "gs1" && !read.value && read.lot !== undefined;

  function taken(line, pieces, text) {
    task.last = { key: line.key, pieces, sku: line.sku, at: task.at };
    line.left -= pieces;
    task.done += pieces;
    if (here().length === 0) task.at = "";
    return { answer: "done", text, place: line.place };
  }

  function takeRest(qty) {
    const line = next();
    if (!line || !task.last || task.last.key !== line.key || !(qty >= 1 && qty <= line.left)) return no("nothing_left", {});
    return taken(line, qty, word("taken_rest", { qty }));
  }

  function short() {
    const line = next();
    if (!line || !task.at) return no("nothing_left", {});
    task.missing += line.left;
    line.left = 0;
    task.short = true;
    task.last = null;
    const { place } = line;
    if (here().length === 0) task.at = "";
    return { answer: "look", taken: true, expects: "look", text: word("short_offline"), place };
  }

  function undo() {
    const { last } = task;
    const line = last && task.lines.find((each) => each.key === last.key);
    if (!line) return no("nothing_to_undo", {});
    line.left += last.pieces;
    task.done -= last.pieces;
    task.at = last.at;
    task.last = null;
    return { answer: "look", taken: true, expects: "look", text: word("undone") };
  }

  // ---------------------------------------------------------------- its screens

  const escaped = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

  // The server's own screen of this line (web/pick.carried), with the numbers of now.
  function show(said = null) {
    const line = next();
    const last = task.last;
    const kind = task.at ? "take" : "go";
    const facts = {
      left: line ? line.left : 0, done: task.done, last_qty: last ? last.pieces : "", last_sku: last ? last.sku : "",
      place: line ? line.place : "", label: line ? line.label : "", key: line ? line.key : "",
    };
    const filled = (html, names) => html.replace(names, (_whole, name) => escaped(facts[name]));
    const screen = line ? task[kind] : task.short ? task.short_end : task.end;
    const page = new DOMParser().parseFromString(
      filled(screen, /\{(left|done|last_qty|last_sku|place|label|key)\}/g), "text/html");
    // The name of an item is a buyer's or a seller's text: nothing but the number is looked for in it.
    if (line) page.querySelector(".step").innerHTML = filled(line[kind], /\{(left)\}/g);
    if (!last) page.querySelector(".last")?.remove();
    if (!line || !last || last.key !== line.key) page.querySelector("form[action$='/rest']")?.remove();
    page.querySelector("section.screen").dataset.local = ""; // the copy does not follow itself
    screenArea().replaceChildren(...page.body.childNodes);
    if (said?.text) wms.placeMessage(wms.message(said.answer, said.text, said.block));
    if (window.htmx) window.htmx.process(screenArea());
    showCards();
    wms.ready();
    wms.speak();
  }

  // ---------------------------------------------------------------- what the server says to it later

  // True when nothing of this answer is to be shown: the phone had given it already.
  function confirmed(entry, response, html) {
    if (!entry.ahead && !entry.doubt) return false;
    const page = new DOMParser().parseFromString(html, "text/html");
    const marked = page.querySelector("[data-answer]");
    const said = marked ? marked.dataset.answer : response.status === 200 ? "done" : "wrong";
    const took = response.status === 200 && said === (entry.expects || "done");
    const text = marked?.querySelector("[data-text]")?.textContent.trim() || word("not_taken", { code: entry.what, status: response.status });
    if (entry.doubt && took) addCard(entry, word("taken_after_all", { code: entry.what }));
    else if (entry.ahead && !took && !entry.check) addCard(entry, word("not_booked", { code: entry.what, place: entry.place, text }));
    wms.emit("wms:answer", { answer: took ? "done" : "look", replay: response.headers.get("Idempotent-Replay") === "true", status: response.status, scan_id: entry.id, late: true });
    if (!ahead() && onItsPage() && [200, 409, 422].includes(response.status)) {
      // The last one that waited: from here on the server's screen is the truth again.
      const part = page.getElementById("screen") || page.body;
      marked?.remove();
      screenArea().replaceChildren(...part.childNodes);
      if (window.htmx) window.htmx.process(screenArea());
      showCards();
      wms.ready();
      follow();
    } else {
      showCards();
    }
    return true;
  }

  function addCard(entry, text) {
    const card = { key: `${operator}.${task ? task.task : "0"}.${entry.key}`, task: pathOf(entry).split("/")[2], text };
    cards.push(card);
    store.put("cards", card);
    wms.feel("wrong");
  }

  // The cards stop their own task and nothing else.
  function showCards() {
    const room = screenArea()?.querySelector("section[data-step^='pick/']");
    for (const old of document.querySelectorAll("#screen .cards-offline")) old.remove();
    if (!room || cards.length === 0 || !["/pick", ...cards.map((card) => `/pick/${card.task}`)].includes(location.pathname)) return;
    const area = wms.message("look", word("cards"), true);
    area.classList.add("cards-offline");
    const list = wms.element("ul", "cards-list");
    const times = new Map(); // three pieces of one item say the same thing
    for (const { text } of cards) times.set(text, (times.get(text) || 0) + 1);
    for (const [text, pieces] of times) list.append(wms.element("li", "", pieces > 1 ? `${pieces} × ${text}` : text));
    area.querySelector(".message-text").append(list);
    area.addEventListener("click", (event) => {
      if (!event.target.closest("button")) return;
      store.write(cards.map((card) => ({ room: "cards", key: card.key })));
      cards = [];
    });
    room.prepend(area);
  }

  document.addEventListener("wms:answer", follow);
  document.addEventListener("htmx:after:swap", follow);
  wms.carried = { ready: null, added, confirmed, expects, sign, unanswered, forget, task: () => task };
  wms.carried.ready = load().catch(() => { loaded = true; }); // then the phone carries nothing, no more

  // Signed out: what was carried is nobody's any more; what waits in the outbox stays for its owner.
  async function forget() {
    const kept = await store.list("carried", "");
    await store.write(kept.map((each) => ({ room: "carried", key: each.key })));
  }

  if (!operator) forget();
})();
