"""A label that shows what a printer does with it: names, rulers along two edges, a bar code and a QR code."""

from __future__ import annotations

from dataclasses import dataclass

from printers.errors import DoesNotFit
from printers.label import Label


@dataclass(frozen=True, slots=True)
class Facts:
    """What stands on it. `printed_at` is as people read it; sizes are whole millimetres."""

    code: str
    name: str
    language: str
    dpi: int
    width_mm: int
    height_mm: int
    printed_at: str


def draw(facts: Facts) -> Label:
    """The whole label: a tick each millimetre along the top and the left edge, longer ones at 5 and 10.

    Whoever lays a ruler on it sees whether the size is right, whether the print is moved, and which edge is cut.
    On labels too small for all of it the codes are left out, the QR code first.
    """
    label = Label.of_mm(facts.width_mm, facts.height_mm, facts.dpi)
    _rulers(label, facts)
    edge = label.mm(5)
    room, bottom = label.width - edge - label.mm(2), label.height - label.mm(2)
    y = edge
    rows = [
        f"{facts.name} ({facts.code})",
        f"{facts.width_mm} × {facts.height_mm} mm · {facts.dpi} dpi · {facts.language.upper()}",
        facts.printed_at,
    ]
    for number, row in enumerate(rows):
        height = label.mm(4 if number == 0 else 3)
        if y + height > bottom:
            return label
        label.text(edge, y, row, height, number == 0, room, min_height=22)
        y = label.bottom + label.mm(0.5)
    high = min(label.mm(12), bottom - y - label.mm(5))
    if high >= label.mm(4):
        try:
            label.code128(edge, y, f"TEST-{facts.code}"[:40], high, max_width=room, text_height=label.mm(3))
            y += high + label.mm(6)
        except DoesNotFit:
            pass
    side = min(label.mm(25), bottom - y, room)
    if side >= label.mm(10):
        label.qr(edge, y, f"TEST-{facts.code} {facts.dpi} dpi {facts.width_mm}x{facts.height_mm} mm", side)
    return label


def _rulers(label: Label, facts: Facts) -> None:
    thin = max(1, label.mm(0.12))
    for across, length_mm in ((True, facts.width_mm), (False, facts.height_mm)):
        most = label.width if across else label.height
        for millimetre in range(length_mm + 1):
            # The last tick stands inside the edge, where paper still is.
            place = min(label.mm(millimetre), most - thin)
            long = label.mm(4 if millimetre % 10 == 0 else 3 if millimetre % 5 == 0 else 1.5)
            if across:
                label.line(place, 0, long, thin, vertical=True)
            else:
                label.line(0, place, long, thin)
