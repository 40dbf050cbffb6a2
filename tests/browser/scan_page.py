"""The scan field on a page of its own, behind a server that remembers every post: for tests in a real browser."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import barcode
from barcode.writer import ImageWriter
from flask import Flask, Response, jsonify, render_template_string, request
from jinja2 import ChoiceLoader, FileSystemLoader
from markupsafe import escape
from PIL import Image, ImageFilter
from werkzeug.serving import make_server

from tests.browser.chromium import PHONE, ROOT, expect
from wms import CSP, assets, camera
from wms.errors import Refusal

GS = "\x1d"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Field</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="csrf-token" content="token-of-now">
<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/app.css">
<script src="/static/vendor/htmx.min.js" defer></script>
{% include "parts/scripts.html" %}</head>
<body data-operator="{{ operator }}" data-speech="{{ speech }}">
<span id="waiting"></span>
<main id="screen" tabindex="-1">{{ inside|safe }}</main>
{% include "parts/words.html" %}</body></html>"""

SCREEN = """{% import "parts/scan.html" as scan with context %}{% import "parts/ui.html" as ui with context %}
<section class="screen" data-step="pick/scan_item" data-say="Take 3">
{% if answer %}{{ ui.message(answer, text, block) }}{% endif %}
<p id="seen">{{ codes|length }}: {{ codes|join(" ") }}</p>
{{ scan.field("/scan", "Scan the item", hidden={"version": "7"}) }}
<label>Quantity <input id="qty" name="qty" type="text"></label>
<form data-act method="post" action="/act"><input type="hidden" name="line" value="4">
<button id="short" name="why" value="empty">Short</button></form>
<p id="acts">{{ acts }}</p>
</section>"""


@dataclass
class Post:
    """What reached the server, as it came."""

    path: str
    fields: dict[str, str]
    csrf: str
    kind: str


@dataclass
class Shop:
    """A server that remembers every post, and answers a repeated scan id with the first answer (R10)."""

    app: Flask
    posts: list[Post] = field(default_factory=list)
    answers: dict[str, tuple[str, int, dict[str, str]]] = field(default_factory=dict)
    codes: list[str] = field(default_factory=list)
    acts: int = 0
    fail_first: int = 0
    expects: list[str] = field(default_factory=list)  # the codes the screen says it waits for
    pictures: list[bytes] = field(default_factory=list)  # what was sent to be read
    reads: dict[str, Any] | None = None  # what is found in every picture, if not what is in it
    operator: str = "7"
    speech: str = "off"
    hold: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def ids(self) -> list[str]:
        return [post.fields["scan_id"] for post in self.posts]


def screen(shop: Shop, answer: str = "", text: str = "", *, block: bool = False) -> str:
    facts = {"codes": shop.codes, "acts": shop.acts}
    page = render_template_string(SCREEN, answer=answer, text=text, block=block, **facts)
    expects = escape(json.dumps(shop.expects))
    return page.replace("<form ", f'<form data-expects="{expects}" ', 1) if shop.expects else page


def build() -> Shop:
    app = Flask("scan-field", static_folder=str(ROOT / "static"))
    app.jinja_loader = ChoiceLoader([FileSystemLoader(ROOT / "templates")])
    app.jinja_env.globals.update(
        {
            "_": lambda message, **facts: message % facts if facts else message,
            "static": lambda path: f"/static/{path}",
            "csrf_token": lambda: "token-of-now",
            "scan_scripts": assets.SCAN_SCRIPTS,
        }
    )
    shop = Shop(app)
    shop.hold.set()

    @app.after_request
    def strict(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = CSP
        return response

    @app.get("/")
    @app.get("/other")
    def page() -> str:
        inside = screen(shop) if request.path == "/" else '<section class="screen"><h1>Other</h1></section>'
        return render_template_string(PAGE, inside=inside, operator=shop.operator, speech=shop.speech)

    @app.get("/sign-in")
    def sign_in() -> str:
        return render_template_string(PAGE, inside="<h1>Sign in</h1>", operator="", speech="off")

    @app.post("/scan")
    @app.post("/act")
    def post() -> tuple[str, int, dict[str, str]]:
        fields = request.form.to_dict()
        shop.posts.append(
            Post(request.path, fields, request.headers["X-CSRFToken"], request.headers["X-Requested-With"])
        )
        shop.hold.wait(10)
        if shop.fail_first > 0:
            shop.fail_first -= 1
            return "no", 503, {}
        scan_id = fields["scan_id"]
        if scan_id in shop.answers:
            body, status, headers = shop.answers[scan_id]
            return body, status, {**headers, "Idempotent-Replay": "true"}
        shop.answers[scan_id] = answer(shop, request.path, fields.get("code", ""))
        return shop.answers[scan_id]

    @app.post("/camera/read")
    def read_photo() -> tuple[Response, int]:
        assert request.headers["X-CSRFToken"] == "token-of-now"
        picture = request.files["photo"].read()
        shop.pictures.append(picture)
        shop.hold.wait(10)
        if shop.reads is not None:
            return jsonify(shop.reads), 200
        try:
            reading = camera.read(picture, request.form["formats"].split(","))
        except Refusal as refusal:
            return jsonify(codes=[], message=str(refusal)), 422
        found = [{"text": c.text, "symbology": c.symbology, "engine": c.engine} for c in reading.codes]
        return jsonify(codes=found, message=reading.message), 200

    return shop


def answer(shop: Shop, path: str, code: str) -> tuple[str, int, dict[str, str]]:
    if path == "/act":
        shop.acts += 1
        return screen(shop, "look", "Short noted"), 200, {}
    if code == "WRONG":
        return screen(shop, "wrong", "Pick A1, not WRONG."), 422, {}
    if code == "BLOCK":
        return screen(shop, "wrong", "Order 9 was cancelled.", block=True), 422, {}
    if code == "SIGNED-OUT":
        return "", 401, {}
    shop.codes.append(code)
    if code == "LAST":
        return "", 200, {"X-Go": "/other"}
    return screen(shop, "done", f"{code} taken"), 200, {}


# Sees what a worker feels: sounds are counted, vibrations and flashes noted.
SENSES = """
window.felt = {flashes: [], buzz: [], tones: [], answers: [], tracks: []};
navigator.vibrate = (pattern) => { felt.buzz.push(pattern); return true; };
const make = AudioContext.prototype.createOscillator;
AudioContext.prototype.createOscillator = function () {
  const oscillator = make.call(this);
  const start = oscillator.start.bind(oscillator);
  oscillator.start = (at) => { felt.tones.push(oscillator.frequency.value); start(at); };
  return oscillator;
};
document.addEventListener("wms:answer", (event) => felt.answers.push(event.detail));
document.addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  const now = [...document.body.classList].find((name) => name.startsWith("flash-"));
  if (now && felt.flashes.at(-1) !== now) felt.flashes.push(now);
}).observe(document.body, {attributes: true, attributeFilter: ["class"]}));
"""


@contextmanager
def served() -> Iterator[Shop]:
    shop = build()
    server = make_server("127.0.0.1", 0, shop.app, threaded=True)
    shop.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield shop
    shop.hold.set()
    server.shutdown()
    thread.join()


def hold_phone(browser: Any, shop: Shop, **more: Any) -> Any:
    context = browser.new_context(**PHONE, permissions=["camera"], **more)
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.add_init_script(SENSES)
    page.goto(shop.address)
    return page


def wedge(page: Any, text: str, suffix: str = "Enter") -> None:
    for character in text:
        page.keyboard.press("Control+]" if character == GS else character)
    page.keyboard.press(suffix)


def allow_slow_keys(page: Any) -> None:
    """A busy test machine is a slow scanner: its keys come more than 50 ms apart."""
    page.evaluate("() => localStorage.setItem('wms.device', JSON.stringify({gap_ms: 2000}))")
    page.reload()


def seen(page: Any, text: str) -> None:
    expect(page.locator("#seen")).to_have_text(text)


def stored(page: Any, room: str) -> Any:
    """What the phone has put on its disk."""
    return page.evaluate(
        """(room) => new Promise((resolve, reject) => {
      const opening = indexedDB.open("wms");
      opening.onerror = () => reject(opening.error);
      opening.onsuccess = () => {
        const request = opening.result.transaction(room).objectStore(room).getAll();
        request.onsuccess = () => { opening.result.close(); resolve(request.result); };
      };
    })""",
        room,
    )


def felt(page: Any, what: str) -> Any:
    return page.evaluate("(what) => window.felt[what]", what)


def code128(text: str) -> Image.Image:
    out = io.BytesIO()
    writer = ImageWriter()
    barcode.get("code128", text, writer=writer).write(out, {"write_text": False, "module_width": 0.4})
    return Image.open(out).convert("L")


def photograph(*labels: Image.Image, size: tuple[int, int] = (1280, 720)) -> Image.Image:
    picture = Image.new("L", size, 190)
    step = size[1] // (len(labels) + 1)
    for place, label in enumerate(labels, 1):
        left, top = (size[0] - label.width) // 2, place * step - label.height // 2
        picture.paste(label, (left, top))
    return picture.filter(ImageFilter.GaussianBlur(0.6))


def jpeg(picture: Image.Image) -> dict[str, Any]:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": out.getvalue()}
