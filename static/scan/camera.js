// The live camera.
"use strict";

(() => {
  const { GS, currentForm, element, vendor, word } = wms;
  const DECODE_EVERY_MS = 100;
  const DEAF_MS = 1500; // the same label, still in the hand
  const GONE_MS = 800; // not seen for so long (some whole frames): it left the view, the next sight is another piece (R11)
  const REGION = { width: 0.8, height: 0.35 };
  const MATRIX = new Set(["qr_code", "micro_qr_code", "rm_qr_code", "data_matrix", "aztec", "pdf417", "maxi_code"]);

  const camera = {
    dialog: null,
    stream: null,
    detector: null,
    lock: null,
    timer: 0,
    turn: 0, // a new number ends the loops of the old one
    tries: 0,
    wholeNext: false,
    frameTime: -1,
    counts: new Map(), // text → looks in a row that saw it
    deaf: new Map(), // text → when taken, when last seen
    asking: false,
    torch: false,

    async open(form) {
      if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
        wms.noteIn(form, word("camera_needs_https"), { text: word("camera_setup"), href: "/setup" });
        form.querySelector("[data-scan-photo]")?.focus();
        wms.feel("look");
        return;
      }
      this.build();
      if (!this.dialog.open) this.dialog.showModal();
      this.say(word("camera_starting"));
      try {
        await loadDetector();
        this.formats = (form.dataset.formats || "").split(",").map((name) => name.trim()).filter(Boolean);
        this.detector = new window.BarcodeDetectionAPI.BarcodeDetector(this.formats.length ? { formats: this.formats } : {});
        await this.start();
      } catch (error) {
        const reasons = { NotAllowedError: "camera_forbidden", NotFoundError: "camera_absent", NotReadableError: "camera_busy" };
        this.close();
        wms.noteIn(currentForm() || form, word(reasons[error.name] || "camera_failed"));
        wms.feel("wrong");
      }
    },

    build() {
      if (this.dialog) return;
      this.dialog = element("dialog", "camera-dialog");
      this.dialog.setAttribute("aria-label", word("camera_title"));
      this.view = element("div", "camera-view");
      this.video = element("video", "camera-video");
      this.video.muted = true;
      this.video.playsInline = true;
      this.box = element("div", "camera-box");
      this.view.append(this.video, this.box);
      this.answer = element("p", "camera-answer");
      this.answer.setAttribute("aria-live", "polite");
      this.options = element("div", "camera-choices");
      this.torchButton = element("button", "camera-torch", word("torch"));
      this.torchButton.hidden = true;
      this.torchButton.setAttribute("aria-pressed", "false");
      this.torchButton.addEventListener("click", () => this.toggleTorch());
      const close = element("button", "camera-close", word("close"));
      close.addEventListener("click", () => this.close());
      const buttons = element("div", "camera-buttons");
      buttons.append(this.torchButton, close);
      this.dialog.append(this.view, this.answer, this.options, buttons);
      this.dialog.addEventListener("close", () => {
        this.stop();
        wms.keepFocus();
      });
      this.canvas = element("canvas");
      document.body.append(this.dialog);
    },

    async start() {
      const turn = (this.turn += 1);
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 720 } },
      });
      if (turn !== this.turn || !this.dialog.open) {
        for (const track of stream.getTracks()) track.stop(); // closed while the phone was asking
        return;
      }
      this.stream = stream;
      this.video.srcObject = stream;
      await this.video.play();
      const abilities = this.track().getCapabilities?.() || {};
      this.torchButton.hidden = !abilities.torch;
      if (abilities.focusMode?.includes("continuous")) {
        this.track().applyConstraints({ advanced: [{ focusMode: "continuous" }] }).catch(() => {});
      }
      navigator.wakeLock?.request("screen").then((lock) => { this.lock = lock; }, () => {});
      this.counts.clear();
      this.asking = false;
      this.options.replaceChildren();
      this.say(word("camera_aim"));
      this.look(turn);
    },

    track() {
      return this.stream.getVideoTracks()[0];
    },

    stop() {
      this.turn += 1;
      clearTimeout(this.timer);
      for (const track of this.stream?.getTracks() || []) track.stop();
      this.stream = null;
      if (this.video) this.video.srcObject = null;
      this.lock?.release().catch(() => {});
      this.lock = null;
      this.torch = false;
      this.torchButton?.setAttribute("aria-pressed", "false");
    },

    close() {
      if (this.dialog?.open) this.dialog.close();
      this.stop(); // at once; the dialog's own event comes a moment later, and for the Escape key
    },

    say(text, answer = "") {
      if (!this.answer) return;
      this.answer.textContent = text;
      this.answer.dataset.answer = answer;
    },

    async toggleTorch() {
      this.torch = !this.torch;
      try {
        await this.track().applyConstraints({ advanced: [{ torch: this.torch }] });
        this.torchButton.setAttribute("aria-pressed", String(this.torch));
      } catch {
        this.torchButton.hidden = true; // it was promised and is not there
      }
    },

    // The part of the frame that the worker sees, and the region box in it, both in frame pixels.
    region() {
      const { videoWidth, videoHeight, clientWidth, clientHeight } = this.video;
      let scale = Math.max(clientWidth / videoWidth, clientHeight / videoHeight);
      if (getComputedStyle(this.video).objectFit !== "cover") scale = Math.min(clientWidth / videoWidth, clientHeight / videoHeight);
      if (!(scale > 0)) scale = 1;
      const seenWidth = Math.min(videoWidth, (clientWidth || videoWidth) / scale);
      const seenHeight = Math.min(videoHeight, (clientHeight || videoHeight) / scale);
      const width = Math.round(seenWidth * REGION.width);
      const height = Math.round(seenHeight * REGION.height);
      const { style } = this.box;
      style.position = "absolute";
      style.width = `${width * scale}px`;
      style.height = `${height * scale}px`;
      style.left = `${this.video.offsetLeft + (clientWidth - width * scale) / 2}px`;
      style.top = `${this.video.offsetTop + (clientHeight - height * scale) / 2}px`;
      return { x: Math.round((videoWidth - width) / 2), y: Math.round((videoHeight - height) / 2), width, height };
    },

    async look(turn) {
      if (turn !== this.turn) return;
      const began = performance.now();
      const fresh = this.video.readyState >= 2 && this.video.videoWidth > 0 && this.video.currentTime !== this.frameTime;
      if (fresh && !this.asking && !wms.blocked()) {
        this.frameTime = this.video.currentTime;
        this.tries += 1;
        const whole = this.wholeNext || this.tries % 5 === 0;
        this.wholeNext = false;
        try {
          const codes = await this.detector.detect(this.frame(whole));
          if (turn !== this.turn) return;
          this.saw(codes, whole);
        } catch {
          this.close();
          const form = currentForm();
          if (form) wms.noteIn(form, word("camera_failed"));
          return;
        }
      }
      const spent = performance.now() - began;
      this.timer = setTimeout(() => this.look(turn), Math.max(10, DECODE_EVERY_MS - spent));
    },

    frame(whole) {
      const part = this.region();
      const from = whole ? { x: 0, y: 0, width: this.video.videoWidth, height: this.video.videoHeight } : part;
      this.canvas.width = from.width;
      this.canvas.height = from.height;
      const context = this.canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(this.video, from.x, from.y, from.width, from.height, 0, 0, from.width, from.height);
      return this.canvas;
    },

    saw(codes, whole) {
      const now = performance.now();
      const inView = new Map(codes.map((code) => [code.rawValue, code.format]));
      let known = false;
      for (const text of inView.keys()) {
        const taken = this.deaf.get(text);
        if (!taken) continue;
        if (now - taken.at >= DEAF_MS && now - taken.seen >= GONE_MS) {
          this.deaf.delete(text);
        } else {
          taken.seen = now;
          known = true;
        }
      }
      for (const text of this.counts.keys()) if (!inView.has(text)) this.counts.delete(text);
      // What stands beside a code just taken is most likely on the same label: not a scan of its own.
      if (known || inView.size === 0) return;
      let sure = true;
      for (const [text, format] of inView) {
        const looks = (this.counts.get(text) || 0) + 1;
        this.counts.set(text, looks);
        if (!MATRIX.has(format) && looks < 2) sure = false;
      }
      if (!sure) {
        this.wholeNext = whole;
        return;
      }
      this.counts.clear();
      const texts = [...inView.keys()];
      if (texts.length === 1) this.took(texts, texts[0]);
      else this.ask(texts);
    },

    ask(texts) {
      this.asking = true;
      this.say(word("choose"));
      wms.feel("look");
      this.options.replaceChildren(wms.choices(texts, (text) => {
        this.asking = false;
        this.took(texts, text);
      }));
    },

    took(seen, text) {
      const now = performance.now();
      for (const each of seen) this.deaf.set(each, { at: now, seen: now });
      const form = currentForm();
      if (!form) {
        this.close();
        return;
      }
      this.say(text.replaceAll(GS, "␝"));
      wms.take(form, text);
    },

    // The answer came: show it here too, and get out of the way when the screen wants eyes or has no field.
    heard(answer, text) {
      if (!this.dialog?.open) return;
      if (wms.blocked() || !currentForm()) this.close();
      else if (text) this.say(text, answer);
    },
  };

  let detectorLoad = null;

  function loadDetector() {
    if (window.BarcodeDetectionAPI) return Promise.resolve(prepareDetector());
    detectorLoad ||= new Promise((resolve, reject) => {
      const script = element("script");
      script.src = new URL("barcode-detector.js", vendor).href;
      script.addEventListener("load", () => resolve(prepareDetector()));
      script.addEventListener("error", () => {
        script.remove();
        detectorLoad = null;
        reject(new Error("no decoder"));
      });
      document.head.append(script);
    });
    return detectorLoad;
  }

  // Without locateFile the ponyfill would ask a server on the internet for its wasm.
  function prepareDetector() {
    window.BarcodeDetectionAPI.prepareZXingModule({
      overrides: { locateFile: (path, before) => (path.endsWith(".wasm") ? new URL(path, vendor).href : before + path) },
    });
  }

  Object.assign(wms, { camera });
})();
