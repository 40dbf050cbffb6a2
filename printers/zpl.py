"""A label as ZPL, the language of Zebra. Pure, and no text is in it: pictures and rectangles alone.

Commands and their bounds are those of Zebra's ZPL II Programming Guide (^FO, ^GB, ^GF, ^LL, ^PQ, ^PW).
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Sequence
from typing import Literal

from PIL import Image

from printers.label import Bars, Fill, Frame, Label, Mark, Matrix, Picture

Graphics = Literal["z64", "hex"]


def build(labels: Label | Sequence[Label], copies: int = 1, graphics: Graphics = "z64") -> bytes:
    """The labels as the printer wants them, each `copies` times. `hex` is for firmware that lacks Z64.

    Nothing in it changes the machine's own settings: speed, darkness and media stay as they were set up.
    """
    pages = [labels] if isinstance(labels, Label) else labels
    return b"".join(_page(page, copies, graphics) for page in pages)


def marked_again(job: bytes, mark: Picture) -> bytes:
    """The same labels with one more picture on each; every other byte stays as it was (R33).

    Raises ValueError for bytes that are no label.
    """
    field = _mark(mark, "z64") + b"\n"
    parts, done = [], 0
    for end in re.finditer(rb"\^XZ", job):
        quantity = job.rfind(b"^PQ", job.rfind(b"^XA", done, end.start()), end.start())
        place = quantity if quantity >= done else end.start()
        parts += [job[done:place], field, job[place : end.end()]]
        done = end.end()
    if not parts:
        raise ValueError("no ^XZ in the job")
    return b"".join([*parts, job[done:]])


def graphic_field(picture: Image.Image, graphics: Graphics = "z64") -> bytes:
    """`^GFA` … for a mode "1" picture whose set bits are ink."""
    bits = picture.tobytes()
    row_bytes = (picture.width + 7) // 8
    body = binascii.hexlify(bits).upper() if graphics == "hex" else z64(bits)
    return b"^GFA,%d,%d,%d,%s" % (len(bits), len(bits), row_bytes, body)


def z64(bits: bytes) -> bytes:
    """Zebra's compressed form. The check sum must be right: a real printer prints nothing otherwise."""
    packed = base64.b64encode(zlib.compress(bits, 6))
    return b":Z64:%s:%04X" % (packed, binascii.crc_hqx(packed, 0))


def _page(label: Label, copies: int, graphics: Graphics) -> bytes:
    head = b"^XA\n^PW%d\n^LL%d\n" % (label.width, label.height)
    fields = b"".join(_mark(mark, graphics) + b"\n" for mark in label.marks)
    return head + fields + b"^PQ%d,0,1,Y\n^XZ\n" % copies


def _mark(mark: Mark, graphics: Graphics) -> bytes:
    if isinstance(mark, Matrix):
        mark = mark.picture()
    if isinstance(mark, Picture):
        return b"^FO%d,%d%s^FS" % (mark.x, mark.y, graphic_field(mark.image, graphics))
    if isinstance(mark, Bars):
        return b"".join(_fill(bar) for bar in mark.fills())
    if isinstance(mark, Frame):
        return b"^FO%d,%d^GB%d,%d,%d^FS" % (mark.x, mark.y, mark.width, mark.height, mark.thickness)
    return _fill(mark)


def _fill(fill: Fill) -> bytes:
    # As thick as its thinner side: that is how ^GB draws a full rectangle.
    thick = min(fill.width, fill.height)
    return b"^FO%d,%d^GB%d,%d,%d^FS" % (fill.x, fill.y, fill.width, fill.height, thick)
