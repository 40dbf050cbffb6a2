"""Scanner check 扫描枪检测: codes to scan, and what came of them. Only looks, writes nothing (R12): /scanner-check."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any
from urllib.parse import quote

import segno
import zxingcpp
from flask import Blueprint, render_template

from wms.models import Role
from wms.scan import GS
from wms.web.access import requires

bp = Blueprint("scanner_check", __name__)


@dataclass(frozen=True, slots=True)
class TestCode:
    """A code whose every sign proves something; ``text`` is what a scanner must send, without AIM identifier."""

    name: str
    symbology: str
    text: str
    printed: str


def _gs1(*elements: tuple[str, str]) -> tuple[str, str]:
    """A message as it is sent, GS behind each element of variable length but the last, and as it is printed."""
    fixed = {"01", "17"}
    sent = "".join(ai + value + ("" if ai in fixed else GS) for ai, value in elements).removesuffix(GS)
    return sent, "".join(f"({ai}){value}" for ai, value in elements)


# Q W Y Z - / _ and the digits are what keyboard layouts disagree about.
PLAIN = "QWYZ-/_0123456789"
MIXED = "aBcDeF-xYz"
# The number that GS1 uses in its own examples; no product has it.
GS1_SENT, GS1_PRINTED = _gs1(("01", "09501101530003"), ("10", "AB-12"), ("21", "cd34"))
# Each pair of digits says where it stands, so a code that was cut off tells where. 48 signs are the most of GS1-128.
LONG = "".join(f"{pair:02d}" for pair in range(24))
CHINESE = "A1-仓库茶叶"

CODES = (
    TestCode("plain", "code128", PLAIN, PLAIN),
    TestCode("mixed", "code128", MIXED, MIXED),
    TestCode("gs1", "gs1", GS1_SENT, GS1_PRINTED),
    TestCode("long", "code128", LONG, LONG),
    TestCode("chinese", "qr", CHINESE, CHINESE),
)


@cache
def picture(code: TestCode) -> str:
    """The code as an SVG in a data address: one unit a module, quiet zone in it, black on white in the dark too."""
    if code.symbology == "qr":
        return str(segno.make(code.text, error="m", micro=False, encoding="utf-8").svg_data_uri(scale=4, light="#fff"))
    gs1 = code.symbology == "gs1"
    drawn: Any = zxingcpp.create_barcode(code.printed if gs1 else code.text, zxingcpp.BarcodeFormat.Code128, gs1=gs1)
    # One row of the picture is the whole code; neighbouring dark modules are one bar, so that no seam shows.
    row: Any = memoryview(drawn.to_image(scale=1)).tolist()[0]
    bars, at = "", 0
    for dark, modules in groupby(value < 128 for value in row):
        width = len(list(modules))
        bars += f"M{at} 0h{width}v1h-{width}z" if dark else ""
        at += width
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{at}" height="64" viewBox="0 0 {at} 1" '
        f'preserveAspectRatio="none" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{at}v1H0z"/>'
        f'<path d="{bars}"/></svg>'
    )
    return "data:image/svg+xml," + quote(svg)


@bp.get("/scanner-check")
@requires(Role.PICKER)
def page() -> str:
    facts: list[dict[str, Any]] = [
        {"name": code.name, "symbology": code.symbology, "text": code.text, "printed": code.printed} for code in CODES
    ]
    pictures = {code.name: picture(code) for code in CODES}
    return render_template("people/scanner_check.html", codes=facts, pictures=pictures)
