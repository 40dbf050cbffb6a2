"""`run.py bench camera`: what one frame of the live camera costs, in the product's own page, beside the ponyfill.

Headless Chromium films clips of generated labels (1280x720, a trembling hand) with its fake camera and opens the camera
of the sign-in page. Every look of the reader is timed inside its worker (drawing the frame, reading it), and from the
page's message to its answer. In the same browser, right after, `barcode-detector` reads the same film on the page's
own thread, as the live camera did before it had a worker. The CPU time of both threads comes from /proc, because it is
what neighbours on the machine disturb least. What was read must be what was filmed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wms.bench.load import percentile
from wms.settings import ROOT, Settings

summary = "milliseconds of one frame of the live camera in Chromium, beside barcode-detector on the page's thread"

WIDTH, HEIGHT = 1280, 720
FORMATS = "code_128,ean_13,ean_8,upc_a,qr_code,data_matrix"  # what templates/parts/scan.html asks for
HOLD_P50_MS = 40.0  # DESIGN.md
SKIPPED_LOOKS = 10  # the first ones compile the decoder
LABEL = "L-01-02-03"
PONYFILL = "barcode-detector/dist/iife/ponyfill.js"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--looks", type=int, default=200, metavar="N", help="looks of each film (200)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace, _settings: Settings) -> int:
    """0 when every film was read right; speed alone never fails."""
    try:
        with ExitStack() as stack:
            result = _measure(args.looks, stack)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(result, indent=1, ensure_ascii=False) if args.json else _table(result))
    return 0 if result["right"] else 1


class BenchError(RuntimeError):
    """The bench could not be set up; the text says why."""


@dataclass(frozen=True)
class Film:
    name: str
    shows: frozenset[str]  # the codes in it
    frames: list[bytes]  # JPEG


def _measure(looks: int, stack: ExitStack) -> dict[str, Any]:
    chromium, playwright = _browser()
    folder = Path(tempfile.mkdtemp(prefix="wms-bench-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    address = stack.enter_context(_served(folder))
    ponyfill = _ponyfill()
    before = _load()
    rows: list[dict[str, Any]] = []
    cpu: list[dict[str, Any]] = []
    faults: list[str] = []
    with playwright() as driver:
        for film in films():
            _say(f"{film.name} …")
            clip = folder / f"{len(rows)}.mjpeg"
            clip.write_bytes(b"".join(film.frames))
            browser = driver.chromium.launch(executable_path=str(chromium), args=[*ARGUMENTS, f"{CLIP}={clip}"])
            version = browser.version
            found = _film(browser, address, ponyfill, looks)
            browser.close()
            rows += _rows(film, found)
            cpu.append({"film": film.name, **found.cpu})
            faults += _faults(film, found)
    every = [row["p50"] for row in rows if row["what"] == "worker, every look"]
    return {
        "right": not faults,
        "faults": faults,
        "held": max(every) <= HOLD_P50_MS,
        "rows": rows,
        "cpu_ms_a_look": cpu,
        "chromium": version,
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "load_before": before,
        "load_after": _load(),
        "ponyfill": ponyfill is not None,
    }


# --- what is needed -------------------------------------------------------------------------------

CLIP = "--use-file-for-fake-video-capture"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


def _browser() -> tuple[Path, Callable[[], Any]]:
    from wms.commands.test import find_chromium

    get_it = "NOTHING WAS MEASURED. `python3 run.py test --setup-only` gets what is missing (set-up of the tests)."
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise BenchError(f"NO PLAYWRIGHT in this Python. {get_it}") from None
    chromium = find_chromium()
    if chromium is None or not chromium.exists():
        raise BenchError(f"NO CHROMIUM: on no path and not named by WMS_CHROMIUM. {get_it}")
    return chromium, sync_playwright


def _ponyfill() -> str | None:
    """The script of barcode-detector by the committed lock, kept in .tools; None where npm cannot fetch it."""
    place = ROOT / ".tools" / "bench-camera"
    script = place / "node_modules" / PONYFILL
    lock = (ROOT / "package-lock.json").read_bytes()
    kept = place / "package-lock.json"
    if not script.is_file() or kept.read_bytes() != lock:
        npm = shutil.which("npm", path=os.pathsep.join([os.environ.get("PATH", ""), str(ROOT / ".tools" / "bin")]))
        if npm is None:
            _say("NO NPM: barcode-detector is not measured beside it.")
            return None
        place.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(ROOT / name, place / name)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not script.is_file():
            _say(f"NPM COULD NOT FETCH barcode-detector, it is not measured beside it: {done.stderr.strip()[:300]}")
            shutil.rmtree(place, ignore_errors=True)
            return None
    return script.read_text("utf-8")


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The product's pages on a free port, over an empty warehouse."""
    from waitress.server import create_server

    from wms import assets, create_app, db

    missing = assets.missing_vendor_files()
    if missing:
        raise BenchError("NOTHING WAS MEASURED. " + " ".join(missing))
    settings = Settings(
        home=folder, database_url=f"sqlite:///{folder / 'wms.db'}", secret_key="a bench has no secrets " * 2
    )
    db.migrate(settings)
    server: Any = create_server(create_app(settings), host="127.0.0.1", port=0, threads=8)
    threading.Thread(target=server.run, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.close()


# --- films ----------------------------------------------------------------------------------------


def films() -> list[Film]:
    """A linear label, a QR label, a crowd of boxes with neither, each as a hand holds it; the same at every call."""
    from PIL import Image

    chance = random.Random(7)
    table = Image.new("L", (WIDTH, HEIGHT), 190)
    linear, matrix, shelf = table.copy(), table.copy(), table.copy()
    bars = _drawn(LABEL, "Code128", 3)
    linear.paste(bars, ((WIDTH - bars.width) // 2, (HEIGHT - bars.height) // 2))
    square = _drawn(LABEL, "QRCode", 6)
    matrix.paste(square, ((WIDTH - square.width) // 2, (HEIGHT - square.height) // 2))
    for _ in range(160):  # boxes and lines, but no code: the dearest frame is the one with nothing to read
        x, y = chance.randrange(WIDTH), chance.randrange(HEIGHT)
        box = (x, y, x + chance.randrange(4, 160), y + chance.randrange(4, 90))
        shelf.paste(chance.randrange(256), box)
    return [
        Film("Code 128 label", frozenset({LABEL}), _held(linear)),
        Film("QR label", frozenset({LABEL}), _held(matrix)),
        Film("no code", frozenset(), _held(shelf)),
    ]


def _drawn(text: str, symbology: str, scale: int) -> Any:
    import zxingcpp
    from PIL import Image

    code = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, symbology))
    return Image.fromarray(code.to_image(scale=scale, add_quiet_zones=True))


def _held(picture: Any) -> list[bytes]:
    """A second of it: the hand turns it by up to 4 degrees, the lens is not quite sharp, the sensor is noisy."""
    from PIL import Image, ImageChops, ImageFilter

    frames = []
    for number in range(25):
        turned = picture.rotate(4 - abs(number % 16 - 8), fillcolor=190, resample=Image.Resampling.BILINEAR)
        noise = Image.effect_noise(turned.size, 6)
        seen = ImageChops.add(turned.filter(ImageFilter.GaussianBlur(0.6)), noise, scale=1, offset=-128)
        out = io.BytesIO()
        seen.convert("RGB").save(out, "JPEG", quality=90, subsampling=2)
        frames.append(out.getvalue())
    return frames


# --- in the browser -------------------------------------------------------------------------------

# Every look as the page sees it: what it sent, when the answer came, what the worker says it took.
_WATCH = """
window.looks = [];
const post = Worker.prototype.postMessage;
const sent = new Map();
Worker.prototype.postMessage = function (message, moved) {
  if (message.formats) {
    if (sent.size === 0) {
      this.addEventListener("message", ({data}) => {
        const look = sent.get(data.id);
        if (!look) return;
        look.ms = data.ms;
        look.whole_ms = performance.now() - look.at;
        look.texts = data.codes.map(({text}) => text);
        looks.push(look);
      });
    }
    const {width, height} = message.bitmap || message;
    sent.set(message.id, {at: performance.now(), manner: message.manner, width, height});
  }
  return post.call(this, message, moved);
};
"""

_ENOUGH = """(number) => new Promise((done) => {
  const wait = () => (looks.length >= number ? done() : setTimeout(wait, 50));
  wait();
})"""

# As the live camera worked before it had a worker: canvas, then the ponyfill, on the page's own thread.
_ON_THE_PAGE = """async ({number, box, formats, wasm}) => {
  BarcodeDetectionAPI.prepareZXingModule({overrides: {locateFile: () => wasm}});
  const detector = new BarcodeDetectionAPI.BarcodeDetector({formats});
  const stream = await navigator.mediaDevices.getUserMedia({video: {width: {ideal: 1280}, height: {ideal: 720}}});
  const video = document.createElement("video");
  video.muted = true;
  video.srcObject = stream;
  document.body.append(video);
  await video.play();
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const seen = [];
  for (let turn = 0; turn < number; turn += 1) {
    await new Promise((next) => video.requestVideoFrameCallback(next));
    const whole = turn % 2 === 1;
    const width = whole ? video.videoWidth : box.width;
    const height = whole ? video.videoHeight : box.height;
    const began = performance.now();
    canvas.width = width;
    canvas.height = height;
    const [x, y] = [(video.videoWidth - width) / 2, (video.videoHeight - height) / 2];
    context.drawImage(video, x, y, width, height, 0, 0, width, height);
    const codes = await detector.detect(canvas);
    seen.push({width, ms: performance.now() - began, texts: codes.map(({rawValue}) => rawValue)});
  }
  for (const track of stream.getTracks()) track.stop();
  video.remove();
  return seen;
}"""


@dataclass
class Found:
    """What both readers did with one film: their looks, and the CPU milliseconds of one look by thread."""

    worker: list[dict[str, Any]]
    page: list[dict[str, Any]]
    cpu: dict[str, float]


def _film(browser: Any, address: str, ponyfill: str | None, number: int) -> Found:
    """The looks of the product's reader, then those of the ponyfill, at one film."""
    # A wide view, so that the box is as wide as it gets: 80 % of the frame.
    context = browser.new_context(viewport={"width": WIDTH, "height": 900}, permissions=["camera"])
    page = context.new_page()
    page.add_init_script(_WATCH)
    page.route("**/camera/read", lambda route: route.abort())  # the server's own work is not what is measured
    page.route("**/static/ponyfill.js", lambda route: route.fulfill(body=ponyfill, content_type="text/javascript"))
    page.goto(f"{address}/sign-in")
    page.evaluate("(formats) => { document.querySelector('form[data-scan]').dataset.formats = formats; }", FORMATS)
    page.locator("[data-scan-camera]").click()
    page.evaluate(_ENOUGH, SKIPPED_LOOKS)
    before = _threads(browser)
    page.evaluate(_ENOUGH, SKIPPED_LOOKS + number)
    after = _threads(browser)
    mine = page.evaluate("() => looks")
    counted = max(1, len(mine) - SKIPPED_LOOKS)
    cpu = {f"worker, {thread}": (after[thread] - before[thread]) / counted for thread in after}
    page.locator(".camera-close").click()
    theirs: list[dict[str, Any]] = []
    if ponyfill is not None:
        page.add_script_tag(url="/static/ponyfill.js")
        wasm = page.locator("#camera-files").get_attribute("data-wasm")
        box = next({"width": look["width"], "height": look["height"]} for look in mine if look["width"] < WIDTH)
        asked = {"box": box, "formats": FORMATS.split(","), "wasm": wasm}
        page.evaluate(_ON_THE_PAGE, {**asked, "number": SKIPPED_LOOKS})
        before = _threads(browser)
        theirs = page.evaluate(_ON_THE_PAGE, {**asked, "number": number})
        if before:
            cpu["ponyfill, page thread"] = (_threads(browser)["page thread"] - before["page thread"]) / number
    context.close()
    return Found(mine[SKIPPED_LOOKS:], theirs, cpu)


def _threads(browser: Any) -> dict[str, float]:
    """CPU milliseconds so far of the pages' own threads and of their workers; empty where there is no /proc."""
    spent = {"page thread": 0.0, "worker thread": 0.0}
    for process in browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]:
        if process["type"] != "renderer":
            continue
        for task in Path(f"/proc/{process['id']}/task").glob("*"):
            try:
                name = (task / "comm").read_text()
                nanoseconds = int((task / "schedstat").read_text().split()[0])
            except OSError:
                continue  # it ended meanwhile
            if task.name == str(process["id"]):
                spent["page thread"] += nanoseconds / 1e6
            elif name.startswith("DedicatedWorker"):
                spent["worker thread"] += nanoseconds / 1e6
    return spent if spent["page thread"] else {}


# --- what is told ---------------------------------------------------------------------------------


def _rows(film: Film, found: Found) -> list[dict[str, Any]]:
    mine, theirs = found.worker, found.page
    named = [("worker, every look", mine)]
    for part, whole in (("box", False), ("whole frame", True)):
        for manner in ("quick", "wide", "stubborn"):
            looks = [look for look in mine if (look["width"] == WIDTH) is whole and look["manner"] == manner]
            named.append((f"worker, {part}, {manner}", looks))
    for part, whole in (("box", False), ("whole frame", True)):
        named.append((f"ponyfill, {part}", [look for look in theirs if (look["width"] == WIDTH) is whole]))
    return [_row(film, what, looks) for what, looks in named if looks]


def _row(film: Film, what: str, looks: list[dict[str, Any]]) -> dict[str, Any]:
    ms = sorted(look["ms"] for look in looks)
    answered = sorted(look["whole_ms"] for look in looks if "whole_ms" in look)
    return {
        "film": film.name,
        "what": what,
        "n": len(looks),
        "p50": percentile(ms, 0.5),
        "p95": percentile(ms, 0.95),
        "answered_p50": percentile(answered, 0.5) if answered else None,
        "read": sum(film.shows <= set(look["texts"]) for look in looks) if film.shows else None,
    }


def _faults(film: Film, found: Found) -> list[str]:
    """What the product's reader did wrong; what the ponyfill did is its own affair."""
    texts = {text for look in found.worker for text in look["texts"]}
    wrong = [f"{film.name}: read {text!r}, which is not there" for text in sorted(texts - film.shows)]
    unread = [f"{film.name}: never read {text!r}" for text in sorted(film.shows - texts)]
    return wrong + unread


def _table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['machine']}; Chromium {result['chromium']}, headless, software only",
        f"load of everything on the machine: {result['load_before']:.1f} before, {result['load_after']:.1f} after",
        "",
        f"{'film':<16}{'reader':<30}{'looks':>6}{'p50 ms':>8}{'p95 ms':>8}{'answer':>8}{'read':>8}",
    ]
    for row in result["rows"]:
        answer = f"{row['answered_p50']:.1f}" if row["answered_p50"] is not None else "-"
        read = f"{100 * row['read'] / row['n']:.0f} %" if row["read"] is not None else "-"
        lines.append(
            f"{row['film']:<16}{row['what']:<30}{row['n']:>6}{row['p50']:>8.1f}{row['p95']:>8.1f}{answer:>8}{read:>8}"
        )
    lines.append("")
    for each in result["cpu_ms_a_look"]:
        said = ", ".join(f"{name} {ms:.1f}" for name, ms in each.items() if name != "film")
        if said:
            lines.append(f"CPU ms a look, {each['film']}: {said}")
    lines += [
        "",
        "ms: drawing one frame and reading it. answer: median from the page's message to the worker's answer.",
        f"Every look, p50 at most {HOLD_P50_MS:.0f} ms: {'held' if result['held'] else 'NOT HELD'}.",
    ]
    if not result["ponyfill"]:
        lines.append("THE PONYFILL WAS NOT MEASURED (see above).")
    lines += [f"WRONG: {fault}" for fault in result["faults"]]
    return "\n".join(lines)


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
