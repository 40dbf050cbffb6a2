"""Chromium for tests: phones and desks as contexts, a fake camera, and a watch on all that a page must not do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from wms import assets

playwright_api = pytest.importorskip("playwright.sync_api", reason="NO PLAYWRIGHT: no page was seen by a browser")
expect = playwright_api.expect

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path(os.environ.get("WMS_CHROMIUM") or "/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}
DESK = {"viewport": {"width": 1440, "height": 900}}
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)


def needed() -> None:
    """Skip, loudly, where there is no browser or the browser's files were not fetched."""
    if not CHROMIUM.exists():
        pytest.skip(f"NO BROWSER: {CHROMIUM} is missing (apt-get install chromium); no page was looked at")
    missing = [name for name in assets.VENDOR_FILES if not (assets.VENDOR / name).is_file()]
    if missing:
        pytest.skip(f"NO BROWSER FILES: static/vendor lacks {', '.join(missing)}; install the project first")


class Browsers:
    """One Playwright with a browser for each camera clip; without a clip always the same one."""

    def __init__(self, playwright: Any) -> None:
        self._playwright = playwright
        self._open: dict[Path | None, Any] = {}

    def get(self, clip: Path | None = None) -> Any:
        if clip not in self._open:
            camera = [f"--use-file-for-fake-video-capture={clip}"] if clip else []
            self._open[clip] = self._playwright.chromium.launch(
                executable_path=str(CHROMIUM), args=[*ARGUMENTS, *camera]
            )
        return self._open[clip]

    def close(self) -> None:
        for browser in self._open.values():
            browser.close()


@contextmanager
def browsers() -> Iterator[Browsers]:
    needed()
    with playwright_api.sync_playwright() as playwright:
        opened = Browsers(playwright)
        try:
            yield opened
        finally:
            opened.close()


class Watch:
    """What pages did that they must not: errors, broken rules of the CSP, requests that leave this machine.

    An answer of 4xx to a scan is no fault: the browser notes it in its console, and the worker sees why.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.requests = 0

    def over(self, context: Any) -> Any:
        """Watch every page of a context; returns the context."""
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"script: {error.error}"))
        context.on("response", self._response)
        return context

    def _request(self, request: Any) -> None:
        self.requests += 1
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname != "127.0.0.1":
            self.faults.append(f"left this machine: {request.url}")

    def _console(self, line: Any) -> None:
        refused = re.match(r"Failed to load resource: the server responded with a status of 4\d\d", line.text)
        if line.type == "error" and not refused:
            self.faults.append(f"console: {line.text}")

    def _response(self, response: Any) -> None:
        if response.status >= 500:
            self.faults.append(f"{response.status}: {response.url}")


def moving_picture(path: Path, views: Sequence[tuple[int, Any]]) -> Path:
    """A clip for the fake camera: (frames, grey picture) pairs, each held by a hand that trembles."""
    from PIL import Image

    with path.open("wb") as out:
        for frames, picture in views:
            for number in range(frames):
                frame = picture.rotate((number % 5) - 2, fillcolor=190, resample=Image.Resampling.BILINEAR)
                frame.convert("RGB").save(out, "JPEG", quality=90, subsampling=2)
    return path


def label_picture(text: str, size: tuple[int, int] = (1280, 720), *, qr: bool = False) -> Any:
    """A label as a camera sees it: its code in the middle of a grey table, not quite sharp."""
    import io

    import barcode
    import segno
    from barcode.writer import ImageWriter
    from PIL import Image, ImageFilter

    drawn = io.BytesIO()
    if qr:
        segno.make(text, micro=False).save(drawn, kind="png", scale=8, border=4)
    else:
        barcode.get("code128", text, writer=ImageWriter()).write(drawn, {"write_text": False, "module_width": 0.4})
    label = Image.open(drawn).convert("L")
    picture = Image.new("L", size, 190)
    picture.paste(label, ((size[0] - label.width) // 2, (size[1] - label.height) // 2))
    return picture.filter(ImageFilter.GaussianBlur(0.6))


def photo_of(text: str) -> dict[str, Any]:
    """The same label as a file that a phone would upload."""
    import io

    out = io.BytesIO()
    label_picture(text, (1600, 1200)).save(out, "JPEG", quality=88)
    return {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": out.getvalue()}
