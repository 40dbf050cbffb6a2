// The live camera: frames go to a worker that reads them; a code that is sure, or that the screen waits for, is taken.
"use strict";

(() => {
  const { GS, currentForm, element, word } = wms;
  const LOOK_EVERY_MS = 100;
  // One look after the other, then from the start. The box is what the hand aims with; its quick look costs a third of
  // the whole frame's and a twentieth of a stubborn one (camera-worker.js).
  const BOX = { whole: false, manner: "quick" };
  const BOX_STUBBORN = { whole: false, manner: "stubborn" };
  const WHOLE = { whole: true, manner: "wide" };
  const WHOLE_STUBBORN = { whole: true, manner: "stubborn" };
  const LOOKS = [BOX, BOX, BOX_STUBBORN, BOX, WHOLE, BOX, BOX, BOX_STUBBORN, BOX, WHOLE_STUBBORN];
  const REGION = { width: 0.8, height: 0.35 };
  const FRAME_SIDE_PX = 1600;
  const DEAF_MS = 1500; // the same label, still in the hand; page /me sets it for a device
  const GONE_MS = 800; // not seen for so long, and by so many looks at the whole frame: it left the view,
  const GONE_LOOKS = 2; // and its next sight is another piece (R11)
  const AGAIN_MS = 1500; // a label held for so long beyond that: its holder waits for something
  const REFUSED_MS = 3000; // codes of which none was wanted are not asked about again at once
  const STUCK_MS = 4000; // nothing read for so long: the server has more ways
  const PATIENCE_MS = 1000;
  const READER_START_MS = 30000; // the decoder is a megabyte, and the Wi-Fi may be bad
  const READER_FRAME_MS = 10000;
  const THUMBNAIL = { width: 32, height: 18 };
  const ALIKE = 3; // of 255: less apart than a hand can hold a phone still, more than noise
  const STEADY = 12; // of 255, from one look to the next: a hand that aims, not one that walks
  const ZOOM_STEP = 1.5;
  const ABILITIES_AFTER_MS = [0, 300, 700, 2000];

  // ---- The reader: a worker, for as long as the page lives.

  const reader = {
    worker: null,
    started: null,
    asked: new Map(), // id → who waits for it
    last: 0,

    start() {
      this.started ||= this.launch().catch((error) => {
        this.started = null;
        throw error;
      });
      return this.started;
    },

    async launch() {
      const { worker: script, decoder, wasm } = document.getElementById("camera-files").dataset;
      const worker = new Worker(script);
      worker.addEventListener("message", ({ data }) => worker === this.worker && this.answered(data));
      for (const trouble of ["error", "messageerror"]) {
        worker.addEventListener(trouble, (event) => {
          event.preventDefault();
          if (worker === this.worker) this.broke(new Error(event.message || trouble));
        });
      }
      this.worker = worker;
      const full = (address) => new URL(address, document.baseURI).href;
      return this.ask({ decoder: full(decoder), wasm: full(wasm) }, [], READER_START_MS);
    },

    ask(message, transfer, patience_ms) {
      return new Promise((resolve, reject) => {
        const id = (this.last += 1);
        const timer = setTimeout(() => this.broke(new Error("no answer")), patience_ms);
        this.asked.set(id, { resolve, reject, timer });
        this.worker.postMessage({ ...message, id }, transfer);
      });
    },

    answered({ id, fault, ...answer }) {
      if (fault) {
        this.broke(new Error(fault));
        return;
      }
      const { resolve, timer } = this.asked.get(id);
      clearTimeout(timer);
      this.asked.delete(id);
      resolve(answer);
    },

    // A decoder that failed once has spoilt memory: the next one begins anew.
    broke(error) {
      this.worker?.terminate();
      this.worker = this.started = null;
      for (const { reject, timer } of this.asked.values()) {
        clearTimeout(timer);
        reject(error);
      }
      this.asked.clear();
    },
  };

  // ---- What a code is

  // EAN, UPC and GTIN-14 are one number with more or fewer zeros in front.
  const same = (text) => (/^(\d{8}|\d{12,14})$/.test(text) ? text.padStart(14, "0") : text);

  const printed = (text) => text.replaceAll(GS, "␝");

  // What this step waits for, if the screen knows it.
  function expected(form) {
    const codes = [...JSON.parse(form.dataset.expects || "[]"), ...wms.carried.expects(form)];
    return new Set(codes.map((code) => same(String(code))));
  }

  const formatsOf = (form) => (form.dataset.formats || "").split(",").map((name) => name.trim()).filter(Boolean);

  function deafMs() {
    const set = wms.setting("camera_deaf_ms");
    return Number.isFinite(set) ? Math.max(0, set) : DEAF_MS;
  }

  // ---- Pictures of a frame

  function draw(video, { x, y, width, height }, to) {
    const canvas = element("canvas");
    Object.assign(canvas, to);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "medium";
    context.drawImage(video, x, y, width, height, 0, 0, to.width, to.height);
    return { canvas, context };
  }

  const wholeOf = ({ videoWidth, videoHeight }) => ({ x: 0, y: 0, width: videoWidth, height: videoHeight });

  function fitted({ width, height }) {
    const scale = Math.max(1, Math.max(width, height) / FRAME_SIDE_PX);
    return { scale, size: { width: Math.round(width / scale), height: Math.round(height / scale) } };
  }

  // For the reader; what is sent is moved to it, not copied. scale: frame pixels to one of these.
  async function shoot(video, part) {
    const { scale, size } = fitted(part);
    if (window.OffscreenCanvas && window.createImageBitmap) {
      const { x, y, width, height } = part;
      const smaller = scale > 1 ? { resizeWidth: size.width, resizeHeight: size.height, resizeQuality: "medium" } : {};
      return { frame: { bitmap: await createImageBitmap(video, x, y, width, height, smaller) }, scale };
    }
    // Safari before 16.4: its workers cannot draw.
    const { context } = draw(video, part, size);
    return { frame: { pixels: context.getImageData(0, 0, size.width, size.height).data.buffer, ...size }, scale };
  }

  // For the server, as wms/camera.py wants it.
  function still(video) {
    const whole = wholeOf(video);
    const { canvas } = draw(video, whole, fitted(whole).size);
    return new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/jpeg", 0.9);
    });
  }

  // For comparing one still with the next.
  function thumbnail(video) {
    const { context } = draw(video, wholeOf(video), THUMBNAIL);
    return context.getImageData(0, 0, THUMBNAIL.width, THUMBNAIL.height).data;
  }

  function apart(one, other) {
    let sum = 0;
    for (let at = 1; at < one.length; at += 4) sum += Math.abs(one[at] - other[at]); // green is nearly brightness
    return sum / (one.length / 4);
  }

  // ---- The phone

  function isFront(device) {
    const facing = device.getCapabilities?.().facingMode;
    return facing?.length ? facing.includes("user") : /front|user|face|前/i.test(device.label);
  }

  const reachable = () =>
    navigator.onLine !== false && wms.reachable() && document.getElementById("link-state")?.dataset.link !== "off";

  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  function halt(stream) {
    for (const track of stream?.getTracks() || []) track.stop();
  }

  const camera = {
    dialog: null,
    stream: null,
    abilities: {},
    lenses: [],
    lock: null,
    turn: 0, // a new number ends the loops and the questions of the old one
    looks: 0,
    again: null, // the look that saw a code once is made again
    counts: new Map(), // code → looks in a row that saw it
    deaf: new Map(), // code → what is known of it since it was taken, or lay beside one that was
    refused: { codes: "", at: -Infinity },
    asking: false,
    marked: [], // corners of the codes asked about, in the picture that stands still
    sights: 0, // codes taken or asked about, so that a late answer knows it is late
    well: 0, // when reading last succeeded, or had no reason to
    serverLooks: false,
    shown: null, // the small picture of the frame that the server saw last
    before: null, // that of the look before, while nothing can be read
    byServer: "", // the code that the server read last, until another one is taken
    torch: false,
    zoom: null,

    async open(form) {
      if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
        wms.noteIn(form, word("camera_needs_https"), { text: word("camera_setup"), href: "/setup" });
        form.querySelector("[data-scan-photo]")?.focus();
        wms.feel("look");
        return;
      }
      this.build();
      this.deaf.clear(); // whoever opens the camera anew wants what it sees
      this.byServer = "";
      if (!this.dialog.open) this.dialog.showModal();
      await this.start();
    },

    // The page is hidden: other programs want the camera, and the battery its rest.
    rest() {
      if (this.dialog?.open) this.stop();
    },

    wake() {
      if (this.dialog?.open && !this.stream) this.start();
    },

    async start() {
      const turn = (this.turn += 1);
      const ended = () => turn !== this.turn || !this.dialog.open;
      this.unask();
      this.say(word("camera_starting"));
      const reading = reader.start().catch((error) => error); // beside the camera's own start
      try {
        const stream = await this.openLens();
        if (ended()) {
          halt(stream); // closed while the phone was asking
          return;
        }
        this.stream = stream;
        this.watch(turn);
        this.video.srcObject = stream;
        await this.video.play();
      } catch (error) {
        const reasons = { NotAllowedError: "camera_forbidden", NotFoundError: "camera_absent", NotReadableError: "camera_busy" };
        if (!ended()) this.fail(reasons[error.name] || "camera_failed");
        return;
      }
      if (ended()) return;
      this.askAbilities(turn);
      this.listLenses(turn);
      this.holdAwake();
      if ((await reading) instanceof Error) {
        if (!ended()) this.fail("camera_failed");
        return;
      }
      if (ended()) return;
      this.counts.clear();
      this.looks = 0;
      this.again = null;
      this.shown = this.before = null;
      this.well = performance.now();
      this.say(word("camera_aim"));
      this.look(turn);
    },

    // The lens that was chosen on this device, else what the phone takes for its main one.
    async openLens() {
      const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
      const ask = (which) => navigator.mediaDevices.getUserMedia({ audio: false, video: { ...which, ...size } });
      const lens = wms.setting("camera_lens");
      if (lens) {
        try {
          return await ask({ deviceId: { exact: lens } });
        } catch (error) {
          if (error.name === "NotAllowedError") throw error; // else it is unplugged, or one that nobody may open
        }
      }
      return ask({ facingMode: { ideal: "environment" } });
    },

    // A cable is pulled, the permission is taken back, a call comes in.
    watch(turn) {
      const track = this.track();
      const note = (event, act) => track.addEventListener(event, () => turn === this.turn && act());
      note("ended", () => this.fail("camera_stopped"));
      note("mute", () => this.say(word("camera_paused"), "look"));
      note("unmute", () => {
        this.well = performance.now();
        if (!this.asking) this.say(word("camera_aim"));
      });
    },

    track() {
      return this.stream.getVideoTracks()[0];
    },

    stop() {
      this.turn += 1;
      halt(this.stream);
      this.stream = null;
      if (this.video) this.video.srcObject = null;
      this.lock?.release().catch(() => {});
      this.lock = null;
      this.serverLooks = false;
      this.unask();
    },

    close() {
      if (this.dialog?.open) this.dialog.close();
      this.stop(); // at once; the dialog's own event comes a moment later, and for the Escape key
      this.torch = false;
    },

    // Closed with the reason under the field, and the photo at the thumb.
    fail(reason) {
      this.close();
      const form = currentForm();
      if (form) wms.noteIn(form, word(reason));
      this.toPhoto = true;
      wms.feel("wrong");
    },

    closed() {
      this.stop();
      this.torch = false;
      const photo = this.toPhoto && currentForm()?.querySelector("[data-scan-photo]");
      this.toPhoto = false;
      if (photo) photo.focus();
      else wms.keepFocus();
    },

    say(text, answer = "") {
      if (!this.answer || (this.answer.textContent === text && this.answer.dataset.answer === answer)) return;
      this.answer.textContent = text;
      this.answer.dataset.answer = this.dialog.dataset.answer = answer;
    },

    async holdAwake() {
      const turn = this.turn;
      try {
        const lock = await navigator.wakeLock.request("screen");
        if (turn === this.turn) this.lock = lock;
        else lock.release();
      } catch {
        // no such thing on this browser, or the battery is low: the screen goes dark as it always does
      }
    },

    // ---- The dialog

    build() {
      if (this.dialog) return;
      this.dialog = element("dialog", "camera-dialog");
      this.dialog.setAttribute("aria-label", word("camera_title"));
      this.view = element("div", "camera-view");
      this.video = element("video", "camera-video");
      this.video.muted = true;
      this.video.playsInline = true;
      this.box = element("div", "camera-box");
      this.marks = element("div", "camera-marks");
      this.marks.setAttribute("aria-hidden", "true");
      this.view.append(this.video, this.box, this.marks);
      this.answer = element("p", "camera-answer");
      this.answer.setAttribute("aria-live", "polite");
      this.options = element("div", "camera-choices");
      this.dialog.append(this.view, this.answer, this.options, this.buildZoom(), this.buildButtons());
      this.dialog.addEventListener("close", () => this.closed());
      // A phone that is turned has another frame and another view, and choices take their room from it.
      const placed = () => {
        if (!this.video.videoWidth) return;
        this.region();
        this.placeMarks();
      };
      this.video.addEventListener("resize", placed);
      new ResizeObserver(placed).observe(this.video);
      document.body.append(this.dialog);
    },

    buildButtons() {
      const button = (name, label, act) => {
        const made = element("button", `camera-${name}`, label);
        made.addEventListener("click", act);
        return made;
      };
      this.lensButton = button("lens", "", () => this.nextLens());
      this.torchButton = button("torch", word("torch"), () => this.toggleTorch());
      this.lensButton.hidden = this.torchButton.hidden = true;
      const buttons = element("div", "camera-buttons");
      buttons.append(this.lensButton, this.torchButton, button("close", word("close"), () => this.close()));
      return buttons;
    },

    buildZoom() {
      this.zoomRow = element("div", "camera-zoom");
      this.zoomRow.hidden = true;
      this.zoomRange = element("input");
      this.zoomRange.type = "range";
      this.zoomRange.setAttribute("aria-label", word("zoom"));
      this.zoomRange.addEventListener("input", () => this.zoomTo(Number(this.zoomRange.value)));
      const step = (sign, label, factor) => {
        const button = element("button", "", sign);
        button.setAttribute("aria-label", label);
        button.addEventListener("click", () => this.zoomTo(this.zoom * factor));
        return button;
      };
      this.zoomRow.append(step("−", word("zoom_out"), 1 / ZOOM_STEP), this.zoomRange, step("+", word("zoom_in"), ZOOM_STEP));
      return this.zoomRow;
    },

    // ---- Lens, light, zoom

    async listLenses(turn) {
      const all = await navigator.mediaDevices.enumerateDevices().catch(() => []);
      if (turn !== this.turn) return;
      const cameras = all.filter(({ kind, deviceId }) => kind === "videoinput" && deviceId);
      const rear = cameras.filter((device) => !isFront(device));
      this.lenses = (rear.length ? rear : cameras).map(({ deviceId }) => deviceId);
      this.lensButton.hidden = this.lenses.length < 2;
      const number = this.lenses.indexOf(this.lens()) + 1;
      this.lensButton.textContent = word("lens", { number: number || "–", count: this.lenses.length });
    },

    lens() {
      return this.track().getSettings().deviceId;
    },

    async nextLens() {
      if (!this.stream) return;
      const next = this.lenses[(this.lenses.indexOf(this.lens()) + 1) % this.lenses.length];
      wms.remember("camera_lens", next);
      this.stop(); // many phones open one camera at a time
      await this.start();
    },

    // Chromium knows of light and zoom only some time after the first frame.
    async askAbilities(turn) {
      for (const wait_ms of ABILITIES_AFTER_MS) {
        await pause(wait_ms);
        if (turn !== this.turn) return;
        this.abilities = this.track().getCapabilities?.() || {};
        this.showAbilities();
        if (this.abilities.torch || this.abilities.zoom) return;
      }
    },

    showAbilities() {
      const { focusMode, torch, zoom } = this.abilities;
      this.torchButton.hidden = !torch;
      this.torchButton.setAttribute("aria-pressed", String(this.torch));
      this.zoom = null;
      this.zoomRow.hidden = !(zoom?.max > zoom?.min);
      if (!this.zoomRow.hidden) {
        Object.assign(this.zoomRange, { min: zoom.min, max: zoom.max, step: zoom.step || 0.1 });
        // A lens that cannot come close has to look from further away.
        const first = focusMode && !focusMode.includes("continuous") ? 2 : zoom.min;
        this.showZoom(wms.setting("camera_zoom") || first);
      }
      this.wish().catch(() => {}); // it reads without as well
    },

    // All wishes at once, in one set: a browser may forget those that are not repeated, and older ones read one set only.
    wish() {
      const { focusMode, torch } = this.abilities;
      const wishes = {};
      if (focusMode?.includes("continuous")) wishes.focusMode = "continuous";
      if (this.zoom !== null) wishes.zoom = this.zoom;
      if (torch) wishes.torch = this.torch;
      return Object.keys(wishes).length ? this.track().applyConstraints({ advanced: [wishes] }) : Promise.resolve();
    },

    async toggleTorch() {
      if (!this.stream) return;
      this.torch = !this.torch;
      try {
        await this.wish();
        this.torchButton.setAttribute("aria-pressed", String(this.torch));
      } catch {
        this.torch = false;
        this.torchButton.hidden = true; // it was promised and is not there
      }
    },

    showZoom(value) {
      const { min, max } = this.abilities.zoom;
      this.zoom = Math.min(max, Math.max(min, value));
      this.zoomRange.value = this.zoom;
      this.zoomRange.setAttribute("aria-valuetext", `${this.zoom.toFixed(1)}×`);
    },

    async zoomTo(value) {
      if (!this.stream) return;
      this.showZoom(value);
      wms.remember("camera_zoom", this.zoom);
      try {
        await this.wish();
      } catch {
        this.zoom = null;
        this.zoomRow.hidden = true;
      }
    },

    // ---- Looking

    // How the frame lies in the view: scale, and where its left top corner is.
    place() {
      const { videoWidth, videoHeight, clientWidth, clientHeight, offsetLeft, offsetTop } = this.video;
      const [wide, high] = [clientWidth / videoWidth, clientHeight / videoHeight];
      let scale = getComputedStyle(this.video).objectFit === "cover" ? Math.max(wide, high) : Math.min(wide, high);
      if (!(scale > 0)) scale = 1;
      return {
        scale,
        left: offsetLeft + (clientWidth - videoWidth * scale) / 2,
        top: offsetTop + (clientHeight - videoHeight * scale) / 2,
        width: Math.min(videoWidth, (clientWidth || videoWidth) / scale),
        height: Math.min(videoHeight, (clientHeight || videoHeight) / scale),
      };
    },

    // The part of the frame under the box, in frame pixels; the box is drawn where that is.
    region() {
      const { videoWidth, videoHeight } = this.video;
      const seen = this.place();
      const width = Math.round(seen.width * REGION.width);
      const height = Math.round(seen.height * REGION.height);
      const x = Math.round((videoWidth - width) / 2);
      const y = Math.round((videoHeight - height) / 2);
      const { style } = this.box;
      style.left = `${seen.left + x * seen.scale}px`;
      style.top = `${seen.top + y * seen.scale}px`;
      style.width = `${width * seen.scale}px`;
      style.height = `${height * seen.scale}px`;
      return { x, y, width, height };
    },

    freshFrame() {
      const { video } = this;
      if (video.requestVideoFrameCallback) return new Promise((resolve) => video.requestVideoFrameCallback(resolve));
      const before = video.currentTime;
      return new Promise((resolve) => {
        const look = () => (video.currentTime === before && this.stream ? setTimeout(look, 15) : resolve());
        look();
      });
    },

    async look(turn) {
      while (turn === this.turn) {
        await this.freshFrame();
        if (turn !== this.turn) return;
        const began = performance.now();
        const form = currentForm();
        if (this.asking || wms.blocked() || !form || !this.video.videoWidth) {
          this.well = began;
          await pause(LOOK_EVERY_MS);
          continue;
        }
        const look = this.again || LOOKS[this.looks++ % LOOKS.length];
        this.again = null;
        let codes;
        try {
          codes = await this.read(look, form);
        } catch {
          if (turn === this.turn) this.fail("camera_reader_stopped");
          return;
        }
        if (turn !== this.turn) return;
        this.saw(codes, look, form);
        if (performance.now() - this.well >= STUCK_MS && !this.serverLooks) this.stuck(turn, form);
        // A code that was seen once waits for its second look, not for the next tenth of a second.
        if (!this.again) await pause(LOOK_EVERY_MS - (performance.now() - began));
      }
    },

    async read({ whole, manner }, form) {
      const part = whole ? wholeOf(this.video) : this.region();
      const shot = await shoot(this.video, part);
      const message = { ...shot.frame, formats: formatsOf(form), manner };
      await reader.start(); // it was let go if the phone slept over an answer
      const { codes } = await reader.ask(message, [shot.frame.bitmap || shot.frame.pixels], READER_FRAME_MS);
      for (const code of codes) {
        code.corners = code.corners.map(({ x, y }) => ({ x: part.x + x * shot.scale, y: part.y + y * shot.scale }));
      }
      return codes;
    },

    saw(codes, look, form) {
      const now = performance.now();
      const inView = new Map(codes.map((code) => [same(code.text), code]));
      const wanted = expected(form);
      const known = this.stillDeaf(inView, look.whole, wanted, now);
      const fresh = new Map([...inView].filter(([key]) => !this.deaf.has(key)));
      for (const key of this.counts.keys()) if (!fresh.has(key)) this.counts.delete(key);
      for (const key of fresh.keys()) this.counts.set(key, (this.counts.get(key) || 0) + 1);
      const hoped = [...fresh.keys()].filter((key) => wanted.has(key));
      if (hoped.length === 1) {
        this.took(inView.values(), fresh.get(hoped[0])); // that it is what we wait for is its second reading
        return;
      }
      if (known) this.well = now;
      // What stands beside a code just taken is most likely on the same label: not a scan of its own.
      if (known || fresh.size === 0) return;
      // Matrix codes prove themselves. A linear one is sure when two frames gave the same: a check digit lets one
      // misread in ten through, and Code 39, ITF and Codabar have none.
      if (![...fresh].every(([key, { matrix }]) => matrix || this.counts.get(key) > 1)) {
        this.again = look;
        return;
      }
      this.counts.clear();
      const found = [...fresh.values()];
      if (found.length === 1) this.took(found, found[0]);
      else this.ask(found, word("choose"));
    },

    // Forgets what has left the view; true when a code that was taken is still there.
    stillDeaf(inView, whole, wanted, now) {
      let known = false;
      for (const [key, it] of this.deaf) {
        const cooled = now - it.at >= deafMs();
        if (!inView.has(key)) {
          if (whole) it.missed += 1;
          it.left ||= it.missed >= GONE_LOOKS && now - it.seen >= GONE_MS;
          if (it.left && cooled) this.deaf.delete(key);
        } else if (cooled && (it.left || (it.beside && wanted.has(key)))) {
          this.deaf.delete(key);
        } else {
          known = true;
          if (!it.left) Object.assign(it, { seen: now, missed: 0 });
          if (!it.beside && !it.told && now - it.at >= deafMs() + AGAIN_MS) {
            it.told = true;
            this.say(word("camera_again"));
          }
        }
      }
      return known;
    },

    took(seen, code, byServer = false) {
      const now = performance.now();
      for (const { text } of seen) {
        const key = same(text);
        const beside = text !== code.text && this.deaf.get(key)?.beside !== false;
        this.deaf.set(key, { at: now, seen: now, missed: 0, left: false, told: false, beside });
      }
      this.byServer = byServer ? same(code.text) : "";
      this.sights += 1;
      this.counts.clear();
      this.well = now;
      const form = currentForm();
      if (!form) {
        this.close();
        return;
      }
      this.say(printed(code.text));
      wms.take(form, code.text);
    },

    // ---- Several codes: the picture stands still, each code has its number in it, one is tapped.

    ask(codes, text, byServer = false) {
      const now = performance.now();
      const which = codes.map((code) => same(code.text)).sort().join("\n");
      if (which === this.refused.codes && now - this.refused.at < REFUSED_MS) return;
      this.asking = true;
      this.dialog.dataset.asking = ""; // now the whole frame is shown: a code may stand where the view ended
      this.sights += 1;
      this.video.pause();
      this.say(text, "look");
      wms.feel("look");
      const answered = (act) => () => {
        this.unask();
        this.video.play().catch(() => {}); // the camera was closed by the same tap
        act();
      };
      codes.forEach((code, index) => {
        const button = element("button", "choice camera-choice");
        button.append(element("span", "camera-number", String(index + 1)), element("span", "", printed(code.text)));
        button.addEventListener("click", answered(() => this.took(codes, code, byServer)));
        this.options.append(button);
        if (code.corners) this.marked.push(code.corners);
      });
      const none = element("button", "camera-none", word("look_again"));
      none.addEventListener("click", answered(() => {
        this.refused = { codes: which, at: performance.now() };
        this.say(word("camera_aim"));
      }));
      this.options.append(none);
      this.placeMarks();
    },

    unask() {
      this.asking = false;
      delete this.dialog?.dataset.asking;
      this.marked = [];
      this.well = performance.now();
      this.options?.replaceChildren();
      this.marks?.replaceChildren();
    },

    placeMarks() {
      const { scale, left, top } = this.place();
      const edge = 6; // linear codes are found as a line of no height
      this.marks.replaceChildren(...this.marked.map((corners, index) => {
        const xs = corners.map(({ x }) => left + x * scale);
        const ys = corners.map(({ y }) => top + y * scale);
        const mark = element("div", "camera-mark");
        mark.append(element("span", "camera-number", String(index + 1)));
        mark.style.left = `${Math.min(...xs) - edge}px`;
        mark.style.top = `${Math.min(...ys) - edge}px`;
        mark.style.width = `${Math.max(...xs) - Math.min(...xs) + 2 * edge}px`;
        mark.style.height = `${Math.max(...ys) - Math.min(...ys) + 2 * edge}px`;
        return mark;
      }));
    },

    // ---- What the camera cannot read goes to the server's cascade as one still picture.

    stuck(turn, form) {
      const small = thumbnail(this.video);
      // No way reads what is blurred by motion: it would cost the server a second for nothing.
      const steady = this.before && apart(small, this.before) < STEADY;
      this.before = small;
      const unchanged = this.shown && apart(small, this.shown) < ALIKE; // it would get the answer of before
      const vain = unchanged || !reachable();
      if (vain) this.well += PATIENCE_MS; // it need not be looked into ten times a second
      if (steady && !vain) this.askServer(turn, form, small);
      else if (steady || !this.answer.dataset.answer) this.say(word("camera_hold_still")); // who walks on keeps the answer
    },

    async askServer(turn, form, small) {
      const { sights } = this;
      this.serverLooks = true;
      this.say(word("camera_asks_server"));
      let found = null;
      try {
        found = await wms.readPicture(await still(this.video), form);
      } catch {
        // the network went; the camera goes on reading in any case
      }
      if (turn !== this.turn) return;
      this.serverLooks = false;
      // Read by itself meanwhile, or the screen went on: a late code would answer another question.
      if (sights !== this.sights || form !== currentForm()) return;
      this.well = performance.now();
      if (found) this.shown = small;
      this.serverSaid(found, form);
    },

    serverSaid(found, form) {
      const wanted = expected(form);
      const texts = new Set((found?.codes || []).map(({ text }) => text));
      const codes = [...texts].filter((text) => !this.deaf.has(same(text))).map((text) => ({ text }));
      const hoped = codes.filter(({ text }) => wanted.has(same(text)));
      const sure = hoped.length === 1 ? hoped[0] : codes.length === 1 && !found.message ? codes[0] : null;
      // Unread by the camera, it cannot be seen to leave the view: the same one again may be the same piece.
      const again = sure && same(sure.text) === this.byServer;
      if (sure && !again) this.took(codes, sure, true);
      else if (codes.length) this.ask(codes, again ? word("camera_another") : found.message || word("choose"), true);
      else this.say(word(found ? "camera_not_read" : "camera_hold_still"));
    },

    // The answer came: show it here too, and get out of the way when the screen wants eyes or has no field.
    heard(answer, text) {
      if (!this.dialog?.open) return;
      if (wms.blocked() || !currentForm()) this.close();
      else if (text && !this.asking) this.say(text, answer);
    },
  };

  Object.assign(wms, { camera });
})();
