"""Where things stand on each kind of label. Pure: data in, label out; sizes here are millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from printers.zpl import Label, printer_font_width, qr_modules

WaybillSize = Literal["100x150", "76x130"]
# Smaller Han characters run together on paper: 20 dots of ink, and 2 mm where dots are finer.
_SMALLEST_DOTS, _SMALLEST_MM = 22, 2.3

_WORDS = {
    "zh": {
        "to": "收", "from": "寄", "hub": "集包地", "order": "订单", "goods": "商品", "note": "备注",
        "weight": "重量", "parcel": "件", "printed": "打印",
    },
    "en": {
        "to": "To", "from": "From", "hub": "Hub", "order": "Order", "goods": "Goods", "note": "Note",
        "weight": "Weight", "parcel": "Parcel", "printed": "Printed",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Party:
    """Who sends or gets a parcel, already masked (see masking)."""

    name: str
    phone: str
    region: str
    address: str


@dataclass(frozen=True, slots=True)
class Waybill:
    """All that stands on a waybill. `parcel_no` is such as "1/2"; `language` is zh or en."""

    number: str
    carrier_name: str
    sort_code: str
    hub: str
    recipient: Party
    sender: Party
    order_no: str
    goods: str
    note: str
    parcel_no: str
    weight_g: int
    printed_at_text: str
    language: str = "zh"


def location_label(code: str, check_text: str = "", dpi: int = 203, human: str = "") -> bytes:
    """60x40 mm: the place in big letters, its check text, Code 128 and QR of the code.

    `human` is what people read where that is not the code itself.
    """
    label = _label(60, 40, dpi)
    mm = label.mm
    right, side = _qr(label, mm(3), mm(3), code, 6 if dpi >= 300 else 4, "Q")
    if check_text:
        label.text(right, mm(4.5) + side, check_text, mm(5), bold=True, width=side, align="center")
    _biggest(label, mm(3), mm(2.5), human or code, right - mm(5), mm(19))
    label.code128(0, mm(23.5), code, mm(10), max_width=label.width, show=code, text_height=mm(3))
    return label.build()


def item_label(sku: str, name: str, barcode: str, dpi: int = 203) -> bytes:
    """50x30 mm: SKU, name in up to two lines, Code 128 with its number."""
    label = _label(50, 30, dpi)
    mm = label.mm
    wide = label.width - mm(4)
    label.text(mm(2), mm(1.5), sku, mm(4), bold=True, width=wide, min_height=mm(2.8))
    label.text(mm(2), mm(5.8), name, mm(3), width=wide, lines=2, min_height=_smallest(label))
    label.code128(0, mm(14), barcode, mm(9.5), max_width=label.width, text_height=mm(3))
    return label.build()


def tote_label(code: str, dpi: int = 203, human: str = "") -> bytes:
    """70x50 mm: the tote's code in big letters (`human`, else the code), Code 128 and QR."""
    label = _label(70, 50, dpi)
    mm = label.mm
    right, _ = _qr(label, mm(3), mm(3), code, 7 if dpi >= 300 else 5, "Q")
    _biggest(label, mm(3), mm(2.5), human or code, right - mm(6), mm(20))
    label.code128(0, mm(25), code, mm(17), max_width=label.width, show=code, text_height=mm(3.5))
    return label.build()


def waybill(paper: Waybill, size: WaybillSize = "100x150", dpi: int = 203) -> bytes:
    """A carrier's waybill. Raises CannotPrint for characters without a picture; see zpl.printable."""
    return waybill_label(paper, size, dpi).build()


def waybill_label(paper: Waybill, size: WaybillSize = "100x150", dpi: int = 203) -> Label:
    """The same before it is built: its `cut` says which texts did not fit even in small letters."""
    return _waybill_100x150(paper, dpi) if size == "100x150" else _waybill_76x130(paper, dpi)


def _waybill_100x150(paper: Waybill, dpi: int) -> Label:
    label = _label(100, 150, dpi)
    mm, words = label.mm, _WORDS.get(paper.language, _WORDS["en"])
    left, wide = mm(3), label.width - mm(6)
    thin, thick = max(1, mm(0.25)), mm(0.5)
    label.text(left, mm(3), paper.carrier_name, mm(7), bold=True, width=mm(58), min_height=mm(3))
    # The top right corner stays free for the reprint mark.
    label.text(mm(63), mm(8.5), paper.printed_at_text, mm(2.8), width=mm(34), align="right")
    label.line(left, mm(13), wide, thick)
    _biggest(label, left, mm(14), paper.sort_code, wide, mm(14))
    label.line(left, mm(29), wide, thin)
    _hub(label, left, mm(30.5), wide, mm(5), paper, words)
    label.line(left, mm(37.5), wide, thin)
    label.code128(0, mm(40), paper.number, mm(16), max_width=label.width, text_height=mm(4.5))
    label.line(left, mm(63.5), wide, thick)
    _party(label, left, mm(65.5), wide, mm(26.5), words["to"], paper.recipient, mm(5.2), heavy=True)
    label.line(left, mm(93), wide, thin)
    _party(label, left, mm(94.5), wide, mm(13), words["from"], paper.sender, mm(3.4))
    label.line(left, mm(108.5), wide, thick)
    qr_left, _ = _qr(label, mm(6), mm(113), paper.number, 8 if dpi >= 300 else 5)
    _small_print(label, left, mm(110.5), qr_left - mm(4) - left, mm(147), paper, words, mm(3.6))
    return label


def _waybill_76x130(paper: Waybill, dpi: int) -> Label:
    label = _label(76, 130, dpi)
    mm, words = label.mm, _WORDS.get(paper.language, _WORDS["en"])
    left, wide = mm(2.5), label.width - mm(5)
    thin, thick = max(1, mm(0.25)), mm(0.4)
    label.text(left, mm(2.5), paper.carrier_name, mm(6), bold=True, width=mm(44), min_height=mm(2.8))
    label.text(mm(45), mm(8), paper.printed_at_text, mm(2.8), width=wide + left - mm(45), align="right")
    label.line(left, mm(11.5), wide, thick)
    label.code128(0, mm(13), paper.number, mm(12), max_width=label.width, text_height=mm(3.5))
    label.line(left, mm(30.5), wide, thin)
    _biggest(label, left, mm(31.2), paper.sort_code, wide, mm(8.6))
    label.line(left, mm(40.7), wide, thin)
    _hub(label, left, mm(41.8), wide, mm(4), paper, words)
    label.line(left, mm(47.5), wide, thick)
    _party(label, left, mm(49), wide, mm(21), words["to"], paper.recipient, mm(4.2), heavy=True)
    label.line(left, mm(71), wide, thin)
    _party(label, left, mm(72), wide, mm(12), words["from"], paper.sender, mm(3))
    label.line(left, mm(85), wide, thick)
    qr_left, _ = _qr(label, mm(4), mm(89), paper.number, 6 if dpi >= 300 else 4)
    _small_print(label, left, mm(86.5), qr_left - mm(3) - left, mm(112), paper, words, mm(3))
    label.line(left, mm(113), wide, thin)
    # A second code low down, for when the first one is creased over the edge of the parcel.
    label.code128(0, mm(114.5), paper.number, mm(8), max_width=label.width, text_height=mm(2.8))
    return label


def _label(width_mm: float, height_mm: float, dpi: int) -> Label:
    # Rounded down, so that nothing hangs over an edge.
    return Label(dots=(int(width_mm * dpi / 25.4), int(height_mm * dpi / 25.4)), dpi=dpi)


def _smallest(label: Label) -> int:
    return max(_SMALLEST_DOTS, label.mm(_SMALLEST_MM))


def _qr(label: Label, from_right: int, y: int, code: str, module: int, level: str = "M") -> tuple[int, int]:
    """A QR code at the right edge; its left edge and its side."""
    side = qr_modules(code, level) * module
    left = label.width - from_right - side
    label.qr(left, y, code, module, level)
    return left, side


def _biggest(label: Label, x: int, y: int, text: str, width: int, height: int) -> None:
    """Text as tall as the box allows, in one line or, at its middle hyphen, in two."""
    if not text.isascii():
        label.text(x, y, text, height, True, width, min_height=_smallest(label), box=round(height * 1.05))
        return
    hyphens = [place for place, character in enumerate(text) if character in "- "]
    middle = min(hyphens, key=lambda place: abs(place - len(text) / 2), default=0)
    rows = [text]
    if middle:
        split = [text[:middle], text[middle + 1 :]]
        # One line reads better, unless it would be much smaller.
        if _tallest(split, width, height) > 1.3 * _tallest(rows, width, height):
            rows = split
    size = max(_smallest(label), _tallest(rows, width, height))
    # Capitals take three quarters of the printer's font.
    pitch = round(size * 0.9)
    top = y + (height - pitch * (len(rows) - 1) - round(size * 0.75)) // 2
    for number, row in enumerate(rows):
        label.text(x, max(0, top) + pitch * number, row.strip(), size, width=width)


def _tallest(rows: list[str], width: int, height: int) -> int:
    widest = max(printer_font_width(row, 1000) for row in rows)
    return min(width * 1000 // max(1, widest) - 1, int(height / (0.75 + 0.9 * (len(rows) - 1))), height)


def _hub(label: Label, x: int, y: int, width: int, height: int, paper: Waybill, words: dict[str, str]) -> None:
    """Where the parcel is bagged for, and which of how many parcels it is."""
    third = width // 3
    if paper.hub:
        hub = f"{words['hub']}  {paper.hub}"
        label.text(x, y, hub, height, True, width - third, min_height=_smallest(label))
    if paper.parcel_no:
        parcel = f"{words['parcel']} {paper.parcel_no}"
        label.text(x + width - third, y, parcel, height, True, third, align="right", min_height=_smallest(label))


def _party(
    label: Label,
    x: int,
    y: int,
    width: int,
    room: int,
    word: str,
    party: Party,
    height: int,
    heavy: bool = False,
) -> None:
    """Name and phone on one line, the address under it, beside the word that says who it is."""
    aside = height * (3 if word.isascii() else 2)
    label.text(x, y, word, round(height * 1.3), bold=True, width=aside - height // 3, min_height=_smallest(label))
    inner, wide = x + aside, width - aside
    who = f"{party.name}  {party.phone}"
    label.text(inner, y, who, height, bold=True, width=wide, min_height=_smallest(label))
    top = y + round(height * 1.35)
    address = f"{party.region} {party.address}".strip()
    below = y + room - top
    label.text(inner, top, address, height, heavy, wide, min_height=_smallest(label), box=below)


def _small_print(
    label: Label, x: int, y: int, width: int, bottom: int, paper: Waybill, words: dict[str, str], height: int
) -> None:
    """What the sender's own people want to know, each in the room that those before it left."""
    rows = [
        (words["order"], paper.order_no),
        (words["weight"], f"{paper.weight_g / 1000:.2f} kg" if paper.weight_g else ""),
        (words["goods"], paper.goods),
        (words["note"], paper.note),
    ]
    wanted = [(word, text) for word, text in rows if text]
    pitch = round(height * 1.3)
    for number, (word, text) in enumerate(wanted):
        last = number == len(wanted) - 1
        # Goods leave three lines for the note.
        box = bottom - y - (0 if last else 3 * pitch if word == words["goods"] else pitch * 2)
        one_line = word in (words["order"], words["weight"])
        room = height if one_line else max(height, box)
        label.text(x, y, f"{word}: {text}", height, width=width, min_height=_smallest(label), box=room)
        y = label.bottom + round(height * 0.15)
