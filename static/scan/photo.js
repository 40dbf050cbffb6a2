// A photo, read by the server.
"use strict";

(() => {
  const { GS, element, noteIn, operator, word } = wms;
  const PHOTO_ABORT_MS = 20000;
  const PHOTO_SIDE_PX = 1600;

  document.addEventListener("change", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement) || !("scanFile" in input.dataset)) return;
    const [file] = input.files;
    const form = input.form;
    if (file && form) readPhoto(form, file).finally(() => { input.value = ""; });
  });

  // What the server's cascade finds in a picture: codes, and its words where it is not sure. Null: signed out, and on
  // the way to sign in. Throws an error whose message is the name of the words for it.
  async function readPicture(picture, form) {
    const upload = new FormData();
    upload.append("photo", picture, "photo.jpg");
    upload.append("formats", form.dataset.formats || "");
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), PHOTO_ABORT_MS);
    let response;
    let found = null;
    try {
      response = await fetch("/camera/read", {
        method: "POST",
        body: upload,
        credentials: "same-origin",
        signal: control.signal,
        headers: { "X-CSRFToken": wms.csrfToken(), "X-Requested-With": "scan" },
      });
      found = await response.json();
    } catch {
      // told by the status below
    } finally {
      clearTimeout(timer);
    }
    if (response?.status === 401 && operator) {
      wms.leave("/sign-in");
      return null;
    }
    if (found) return found;
    throw new Error(!response || response.ok ? "photo_no_answer" : response.status === 413 ? "photo_too_big" : "photo_failed");
  }

  async function readPhoto(form, file) {
    noteIn(form, word("photo_reading"));
    let found;
    try {
      found = await readPicture(await smaller(file), form);
    } catch (error) {
      photoSays(form, word(error.message));
      return;
    }
    if (!found) return;
    const codes = distinct((found.codes || []).map((code) => code.text));
    const still = form.isConnected ? form : null;
    if (!still) return; // the screen went on meanwhile: a late code would answer another question
    if (codes.length === 0) {
      photoSays(form, found.message || word("photo_no_code"));
      return;
    }
    noteIn(form, found.message || "");
    if (codes.length === 1 && !found.message) wms.take(form, codes[0]);
    else offer(form, codes);
  }

  function photoSays(form, text) {
    noteIn(form, text);
    wms.feel("wrong");
  }

  const distinct = (texts) => [...new Set(texts)];

  function offer(form, codes) {
    const note = form.querySelector("[data-scan-note]");
    if (!note) return;
    if (!note.textContent) note.textContent = word("choose");
    note.hidden = false;
    note.append(choices(codes, (text) => wms.take(form, text)));
    wms.feel("look");
  }

  function choices(codes, chosen) {
    const list = element("div", "choices");
    for (const text of codes) {
      const button = element("button", "choice", text.replaceAll(GS, "␝"));
      button.addEventListener("click", () => {
        list.remove();
        chosen(text);
      });
      list.append(button);
    }
    return list;
  }

  // A phone sends 12 megapixels; the decoder wants 1600 pixels and reads more from them.
  async function smaller(file) {
    if (!window.createImageBitmap) return file;
    try {
      const picture = await createImageBitmap(file);
      const scale = Math.min(1, PHOTO_SIDE_PX / Math.max(picture.width, picture.height));
      if (scale === 1) return file;
      const canvas = element("canvas");
      canvas.width = Math.round(picture.width * scale);
      canvas.height = Math.round(picture.height * scale);
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(picture, 0, 0, canvas.width, canvas.height);
      picture.close();
      return await new Promise((resolve) => canvas.toBlob((blob) => resolve(blob || file), "image/jpeg", 0.9));
    } catch {
      return file; // not a picture for this browser; the server says what it thinks of it
    }
  }

  Object.assign(wms, { readPicture });
})();
