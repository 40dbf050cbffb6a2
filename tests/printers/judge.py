"""What an output draws, as mode "1" pictures cut to the label; and what readers find in a picture."""

from __future__ import annotations

import io
import re

import zplkit
import zxingcpp
from PIL import Image, ImageChops
from zplkit import rendering

from printers import preview
from printers.label import Label
from tests.printers import render as zebrash
from tests.printers import tspl_interpreter

try:
    from pyzbar import pyzbar
except ImportError:  # the zbar library is not on every machine
    pyzbar = None


# Its own bound is less than a label of 300 dpi that is full of text.
_ROOM = rendering.Limits(graphic_bytes=2_000_000)


def by_zebrash(job: bytes, label: Label) -> list[Image.Image]:
    """ZPL drawn by zpl-renderer-js."""
    # It knows 8 and 12 dots a millimetre, so its sheet is given in as many millimetres as make our dots.
    dpmm = 12 if label.dpi >= 300 else 8
    pictures = zebrash.render(job, label.width / dpmm, label.height / dpmm, dpmm)
    return [_ink(picture, label) for picture in pictures]


def by_zplkit(job: bytes, label: Label) -> list[Image.Image]:
    """ZPL drawn by an interpreter that shares no code with the other one, and refuses what is not sound."""
    without_quantity = re.sub(rb"\^PQ[^\n]*\n", b"", job)
    options = zplkit.Options(dpi=label.dpi, width=label.width, height=label.height)
    return [
        _ink(Image.open(io.BytesIO(one.png())).convert("L"), label)
        for one in zplkit.render(without_quantity, options, limits=_ROOM).labels
    ]


def by_tspl(job: bytes, label: Label) -> list[Image.Image]:
    return [picture.crop((0, 0, label.width, label.height)) for picture in tspl_interpreter.render(job, label.dpi)]


def differing(one: Image.Image, other: Image.Image) -> int:
    """How many dots of two mode "1" pictures are not the same."""
    assert one.size == other.size
    return ImageChops.logical_xor(one, other).convert("L").histogram()[255]


def read_by_each(picture: Image.Image) -> dict[str, set[str]]:
    """The texts that each reader finds in a picture whose set bits are ink; GS1 brackets are left out."""
    seen = Image.new("L", (picture.width + 80, picture.height + 80), 255)
    seen.paste(0, (40, 40), picture)
    found = {"zxing": {_plain(code.text) for code in zxingcpp.read_barcodes(seen)}}
    if pyzbar is not None:
        found["zbar"] = {_plain(code.data.decode("utf-8", "replace")) for code in pyzbar.decode(seen)}
    return found


def read(picture: Image.Image) -> set[str]:
    return set().union(*read_by_each(picture).values())


def drawn(label: Label) -> Image.Image:
    return preview.picture(label)


def _plain(text: str) -> str:
    return re.sub(r"[()\x1d]", "", text)


def _ink(picture: Image.Image, label: Label) -> Image.Image:
    cut = picture.convert("L").crop((0, 0, label.width, label.height))
    return cut.point([255 if grey < 128 else 0 for grey in range(256)], "1")
