// Reads the codes in one frame of the live camera, beside the page, so that the screen never waits for it.
"use strict";

// Quick: what a held label shows, with the fewest misreads. Wide: turned, inverted and very large codes too, at few
// lines. Stubborn: at every line, for ten times the time.
const MANNERS = {
  quick: { tryHarder: false, tryRotate: false, tryInvert: false, tryDownscale: false },
  wide: { tryHarder: false, tryRotate: true, tryInvert: true, tryDownscale: true },
  stubborn: { tryHarder: true, tryRotate: true, tryInvert: true, tryDownscale: true },
};
// Plain, as on the server: other text modes put brackets around GS1 identifiers. Three equal lines instead of two
// took the pieces of ITF and UPC-E out of the real photographs, and cost 1 reading in 40.
const ALWAYS = { textMode: "Plain", minLineCount: 3, maxNumberOfSymbols: 8 };
const MATRIX = new Set(["Aztec", "DataMatrix", "MaxiCode", "PDF417", "QRCode"]);
// As in wms/camera.py: shorter ones are mostly pieces of something else.
const SHORTEST = { ITF: 8, Code39: 3, Codabar: 4 };

let canvas = null;

// Without locateFile the decoder would ask a server on the internet for its wasm.
async function start({ decoder, wasm }) {
  importScripts(decoder);
  await ZXingWASM.prepareZXingModule({
    overrides: { locateFile: (path, before) => (path.endsWith(".wasm") ? wasm : before + path) },
    fireImmediately: true,
  });
}

function pixelsOf({ bitmap, pixels, width, height }) {
  if (!bitmap) return new ImageData(new Uint8ClampedArray(pixels), width, height);
  canvas ||= new OffscreenCanvas(bitmap.width, bitmap.height);
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// One number has one text, however it is printed: UPC is EAN-13 with a zero in front.
const textOf = ({ symbology, text }) => (symbology === "EANUPC" && /^0\d{12}$/.test(text) ? text.slice(1) : text);

async function read(frame) {
  const began = performance.now();
  const found = await ZXingWASM.readBarcodes(pixelsOf(frame), {
    ...MANNERS[frame.manner],
    ...ALWAYS,
    formats: frame.formats,
  });
  const codes = [];
  for (const { isValid, symbology, text, position, format } of found) {
    if (!isValid || text.length < (SHORTEST[symbology] || 1)) continue;
    const { topLeft, topRight, bottomRight, bottomLeft } = position;
    codes.push({
      text: textOf({ symbology, text }),
      format,
      matrix: MATRIX.has(symbology),
      corners: [topLeft, topRight, bottomRight, bottomLeft],
    });
  }
  return { codes, ms: performance.now() - began };
}

self.onmessage = async ({ data }) => {
  try {
    const answer = data.decoder ? await start(data) : await read(data);
    postMessage({ id: data.id, ...answer });
  } catch (error) {
    postMessage({ id: data.id, fault: String(error) });
  }
};
