// The bench: each component printer of this station is served by itself, one label at a time, and troubles are shown.
"use strict";

(() => {
  const { dialects, link, office, pause } = wms.station;
  const IDLE_MS = 3000;
  const OTHER_MS = 2000; // another page serves the printer, or the component is away
  const STATUS_MS = 700;
  const KEEP_MS = 5000;
  // The server counts a page as gone after 20 s of silence: what is older than this is not handed over any more.
  const STALE_MS = 10000;

  const troubles = new Map();
  let running = new Map();
  let station = null;
  let gone = false;
  let wake = () => {};
  let awake = new Promise((resolve) => { wake = resolve; });

  function stir() {
    wake();
    awake = new Promise((resolve) => { wake = resolve; });
  }

  const rest = (ms) => Promise.race([pause(ms), awake]);

  // Seen with Chromium 156: from a page of another machine it reaches a local program only over https, and after a
  // question that the worker must have answered with yes (ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS otherwise).
  async function whyAbsent() {
    if (!window.isSecureContext) return "needs_https";
    try {
      const { state } = await navigator.permissions.query({ name: "local-network-access" });
      return state === "denied" ? "forbidden" : "absent";
    } catch {
      return "absent"; // a browser that does not ask
    }
  }

  function serve(printer, patience) {
    const dialect = dialects[printer.provider];
    const hearers = new Map();
    const sent = new Set(); // handed to the component, or about to be
    const line = link(printer.addresses, dialect, (message) => {
      const result = dialect.heard(message);
      if (!result || result.state === "pending") return;
      const waiting = hearers.get(result.task);
      if (waiting) waiting(result);
      else if (/^\d+-\d+$/.test(result.task)) office.tell(printer.id, result); // late, or a second time
    });
    let stopped = false;

    // What the component says of a task unasked, or null when it says nothing in that time.
    function hear(id, ms) {
      return new Promise((resolve) => {
        const end = (result) => {
          clearTimeout(timer);
          hearers.delete(id);
          resolve(result);
        };
        const timer = setTimeout(end, ms, null);
        hearers.set(id, end);
      });
    }

    // Ask about a task until it has an end. "unknown" is an end too: then the packer is asked (R35).
    async function find(id) {
      const until = Date.now() + patience;
      while (dialect.status && Date.now() < until && !stopped) {
        if (await line.open()) {
          const answer = await line.ask((request) => dialect.status(request, id), patience);
          const result = answer && dialect.statusIn(answer, id);
          if (result && result.state !== "pending") return result;
        }
        const told = await hear(id, STATUS_MS);
        if (told) return told;
      }
      return { task: id, state: "unknown", words: "" };
    }

    // A task that was given to this load and never came here was not passed on; any other is asked about.
    const findOut = ({ id, here }) => (here && !sent.has(id) ? { task: id, state: "not_sent", words: "" } : find(id));

    async function handOver(task, since) {
      if (gone || stopped || Date.now() - since > STALE_MS || !(await line.open())) {
        return { task: task.id, state: "not_sent", words: "" };
      }
      sent.add(task.id);
      const told = hear(task.id, 2 * patience); // before it is sent: a quick component is heard as well
      const answer = await Promise.race([
        line.ask((request) => dialect.print(request, task, printer.printer), patience),
        told,
      ]);
      if (answer?.state) return answer;
      const taken = answer && dialect.printed(answer, task);
      if (taken && taken.state !== "pending") return taken;
      // Taken in (or no word at all): the notice follows. A cut line is found out by asking.
      const result = answer && await Promise.race([told, pause(patience)]);
      return result || find(task.id);
    }

    async function look() {
      if (!(await line.open())) return "absent";
      const answer = await line.ask(dialect.printers, patience);
      if (!answer) return "absent";
      return dialect.printersIn(answer).includes(printer.printer) ? "up" : "no_printer";
    }

    async function once() {
      const found = await look();
      const since = Date.now();
      const { status, said } = await office.next(printer.id, found);
      if (status === 401 || status === 403) return stop();
      trouble(printer, said && (said.mine ? (found === "up" ? null : found === "absent" ? await whyAbsent() : found) : "elsewhere"));
      if (!said?.mine) return rest(OTHER_MS);
      if (!said.ask && !said.task) return rest(found === "up" ? IDLE_MS : OTHER_MS);
      const keeping = setInterval(() => office.next(printer.id, "busy"), KEEP_MS);
      try {
        await office.tell(printer.id, said.task ? await handOver(said.task, since) : await findOut(said.ask));
      } finally {
        clearInterval(keeping);
      }
      return null;
    }

    async function forever() {
      while (!stopped) await once();
    }

    function stop() {
      stopped = true;
      line.close();
      trouble(printer, null);
      stir();
    }

    forever();
    return { stop };
  }

  function trouble(printer, name) {
    const before = troubles.get(printer.id)?.name;
    if (name) troubles.set(printer.id, { printer, name });
    else troubles.delete(printer.id);
    if (before !== (name || undefined)) show();
  }

  // In the screen's own place for it; an answer to a scan puts a new screen there, so it is shown again.
  function show() {
    const place = document.getElementById("bench");
    if (!place) return;
    place.replaceChildren(...[...troubles.values()].map(({ printer, name }) => wms.message("look", wms.word(`component_${name}`, {
      component: printer.name, port: printer.port, printer: printer.printer,
    }))));
    place.hidden = troubles.size === 0;
  }

  async function begin() {
    const here = document.getElementById("bench")?.dataset.station ?? "";
    if (here === station) return;
    station = here;
    for (const each of running.values()) each.stop();
    running = new Map();
    if (!here) return;
    const { said } = await office.printers();
    if (!said) station = null; // no network: at the next answer again
    if (station !== here) return;
    for (const printer of said.printers) running.set(printer.id, serve(printer, said.patience_ms));
  }

  document.addEventListener("wms:answer", () => {
    show();
    begin();
    stir(); // a label may just have been asked for
  });
  window.addEventListener("pagehide", () => {
    gone = true;
    office.keep();
    for (const printer of running.keys()) office.leave(printer);
  });
  window.addEventListener("pageshow", (event) => {
    gone = false;
    if (event.persisted) office.back();
  });

  begin();
})();
