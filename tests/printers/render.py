"""Draws ZPL with an interpreter that is not ours and reads the codes in the picture: the judge of labels."""

from __future__ import annotations

import atexit
import base64
import io
import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import IO

import zxingcpp
from PIL import Image

try:
    from pyzbar import pyzbar
except ImportError:  # the zbar library is not on every machine
    pyzbar = None

ROOM = Path(__file__).resolve().parent.parent / "renderer"
_lock = threading.Lock()
_process: subprocess.Popen[str] | None = None


def available() -> str:
    """Empty when labels can be drawn here, else what is missing."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    if not (ROOM / "node_modules" / "zpl-renderer-js").is_dir():
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=ROOM, capture_output=True, text=True)
        if done.returncode:
            return f"npm ci failed: {done.stderr[-300:]}"
    return ""


def render(zpl: bytes, width_mm: float, height_mm: float, dpmm: int = 8) -> list[Image.Image]:
    """One grey picture for each label in the bytes; black is ink."""
    question = {"zpl": zpl.decode("utf-8"), "widthMm": width_mm, "heightMm": height_mm, "dpmm": dpmm}
    with _lock:
        asked, answered = _pipes()
        asked.write(json.dumps(question) + "\n")
        asked.flush()
        line = answered.readline()
    if not line:
        raise RuntimeError("the renderer ended")
    answer = json.loads(line)
    if "error" in answer:
        raise ValueError(answer["error"])
    return [Image.open(io.BytesIO(base64.b64decode(picture))).convert("L") for picture in answer["pictures"]]


def read_codes(image: Image.Image) -> set[str]:
    """Every text that any of the readers finds in the picture."""
    found = {code.text for code in zxingcpp.read_barcodes(image)}
    if pyzbar is not None:
        found |= {code.data.decode("utf-8", "replace") for code in pyzbar.decode(image)}
    return found


def _pipes() -> tuple[IO[str], IO[str]]:
    global _process
    if _process is None or _process.poll() is not None:
        missing = available()
        if missing:
            raise RuntimeError(missing)
        _process = subprocess.Popen(
            ["node", "render.mjs"],
            cwd=ROOM,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        atexit.register(_process.kill)
    assert _process.stdin is not None and _process.stdout is not None
    return _process.stdin, _process.stdout
