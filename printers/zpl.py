"""Build label bytes in ZPL. Pure: no printer is spoken to, and no text can become a command."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Self

from PIL import ImageOps

from printers import image
from printers.errors import CannotPrint, DoesNotFit
from printers.image import printable

__all__ = [
    "Label",
    "code128_modules",
    "grouped",
    "marked_again",
    "printable",
    "printer_font_width",
    "qr_modules",
]

QUIET_MODULES = 10
# Printers set a QR code ten dots lower than asked, so it is asked for that much higher.
_QR_DROP = 10
_MODULES = (4, 3, 2)
_PRINTER_FONT = re.compile(r"[ -~]*")
_ESCAPED = frozenset(b"^~_\\")
_ALIGN = {"left": "L", "center": "C", "right": "R"}

# Byte capacity of QR versions 1 to 20 at levels L, M, Q, H (ISO/IEC 18004).
_QR_BYTES = {
    "L": (17, 32, 53, 78, 106, 134, 154, 192, 230, 271, 321, 367, 425, 458, 520, 586, 644, 718, 792, 858),
    "M": (14, 26, 42, 62, 84, 106, 122, 152, 180, 213, 251, 287, 331, 362, 412, 450, 504, 560, 624, 666),
    "Q": (11, 20, 32, 46, 60, 74, 86, 108, 130, 151, 177, 203, 241, 258, 292, 322, 364, 394, 442, 482),
    "H": (7, 14, 24, 34, 44, 58, 64, 84, 98, 119, 137, 155, 177, 194, 220, 250, 280, 310, 338, 382),
}
# Code words of square Data Matrix symbols, and their sides in modules (ISO/IEC 16022).
_DATAMATRIX = (
    (3, 10), (5, 12), (8, 14), (12, 16), (18, 18), (22, 20), (30, 22), (36, 24), (44, 26), (62, 32), (86, 36),
    (114, 40), (144, 44), (174, 48), (204, 52), (280, 64),
)  # fmt: skip


class Label:
    """One label, drawn field by field from the top left corner. All sizes are dots.

    `cut` lists the texts that did not fit and end in an ellipsis. `bottom` is where the last text ended.
    """

    def __init__(self, dots: tuple[int, int], dpi: int = 203, graphics: str = "z64") -> None:
        self.width, self.height = dots
        self.dpi = dpi
        self.graphics = graphics
        self.cut: list[str] = []
        self.bottom = 0
        self._fields: list[bytes] = []

    def mm(self, length_mm: float) -> int:
        """Millimetres in dots of this label."""
        return round(length_mm * self.dpi / 25.4)

    def text(
        self,
        x: int,
        y: int,
        text: str,
        height: int = 24,
        bold: bool = False,
        width: int | None = None,
        lines: int = 1,
        align: str = "left",
        min_height: int | None = None,
        box: int | None = None,
    ) -> Self:
        """Write text from x, y right and down; ASCII by the printer's font, anything else as a picture.

        Text too long is written smaller, down to `min_height`, and is then cut; see `cut`. `box` gives the
        room downwards instead of `lines`: smaller letters then get more lines. `width` is the rest of the
        label where not given. The printer's own font is always bold. Raises CannotPrint, DoesNotFit.
        """
        text = image.clean(text)
        if not text.strip():
            return self
        room = self.width - x if width is None else width
        if x < 0 or y < 0 or room <= 0 or x + room > self.width:
            raise DoesNotFit("text", x + room, self.width)
        plain = _PRINTER_FONT.fullmatch(text.replace("\n", " ")) is not None
        size = height
        while True:
            if box is not None:
                lines = max(1, (box - size) // round(size * image.LINE_PITCH) + 1)
            rows, cut = self._wrap(text, size, bold, room, lines, plain)
            if not cut or min_height is None or size <= min_height:
                break
            size = max(min_height, size - max(1, size // 12))
        if cut:
            self.cut.append(text)
        self.bottom = y + round(size * image.LINE_PITCH) * len(rows)
        if plain:
            self._printer_text(x, y, rows, size, room, align)
        else:
            self._picture_text(x, y, "\n".join(rows), size, bold, room, len(rows), align)
        return self

    def code128(
        self,
        x: int,
        y: int,
        data: str,
        height: int,
        module: int | None = None,
        max_width: int | None = None,
        show: bool | str = True,
        text_height: int | None = None,
    ) -> Self:
        """Draw a Code 128 in the room from x, `max_width` wide (else to the edge), quiet zones included.

        The widest bars of 2 to 4 dots that fit are taken, unless `module` says how wide. With `max_width`
        the bars stand in the middle of it. `show` writes the number under the bars, in groups, or as given.
        Raises CannotPrint, DoesNotFit.
        """
        room = min(self.width - x, max_width or self.width)
        modules = code128_modules(data)
        wanted = _MODULES if module is None else (module,)
        fitting = [wide for wide in wanted if (modules + 2 * QUIET_MODULES) * wide <= room]
        if not fitting:
            raise DoesNotFit("bar code", (modules + 2 * QUIET_MODULES) * wanted[-1], room)
        size = text_height or round(self.dpi * 0.125)
        self._inside("bar code", y + height + (size + 8 if show else 0))
        module = fitting[0]
        bars = modules * module
        left = x + ((room - bars) // 2 if max_width else QUIET_MODULES * module)
        self._add(left, y, b"^BY%d^BCN,%d,N,N,N,A%s" % (module, height, _data(data)))
        if show:
            words = show if isinstance(show, str) else grouped(data)
            gap = max(4, size // 4)
            # Under the bars where it fits there, else over the whole room.
            start, wide = (left, bars) if printer_font_width(words, size) <= bars else (x, room)
            self.text(start, y + height + gap, words, size, width=wide, align="center")
        return self

    def qr(self, x: int, y: int, data: str, module: int = 4, level: str = "M") -> Self:
        """Draw a QR code; x, y is its first dark module, four modules around it should stay free.

        Raises DoesNotFit.
        """
        side = qr_modules(data, level) * module
        if y < _QR_DROP:
            raise DoesNotFit("QR code", _QR_DROP, y)
        self._inside("QR code", y + side, x + side)
        return self._add(x, y - _QR_DROP, b"^BQN,2,%d%s" % (module, _data(f"{level}A,{data}")))

    def datamatrix(self, x: int, y: int, data: str, module: int = 4) -> Self:
        """Draw a square Data Matrix (ECC 200) of printable ASCII. Raises CannotPrint, DoesNotFit."""
        # Both are the escape character of ^BX, which of them depends on the firmware.
        _refuse(data, "_~")
        words = sum(-(-len(run) // 2) if run.isdigit() else len(run) for run in re.findall(r"\d+|\D", data))
        side = next((side for most, side in _DATAMATRIX if words <= most), None)
        if side is None:
            raise DoesNotFit("Data Matrix", words, _DATAMATRIX[-1][0])
        self._inside("Data Matrix", y + side * module, x + side * module)
        return self._add(x, y, b"^BXN,%d,200%s" % (module, _data(data)))

    def box(self, x: int, y: int, width: int, height: int, thickness: int = 2) -> Self:
        """Draw an empty rectangle. Raises DoesNotFit."""
        self._inside("box", y + height, x + width)
        return self._add(x, y, b"^GB%d,%d,%d" % (width, height, thickness))

    def line(self, x: int, y: int, length: int, thickness: int = 2, vertical: bool = False) -> Self:
        """Draw a line to the right, or down. Raises DoesNotFit."""
        width, height = (thickness, length) if vertical else (length, thickness)
        self._inside("line", y + height, x + width)
        return self._add(x, y, b"^GB%d,%d,%d" % (width, height, thickness))

    def build(self, copies: int = 1) -> bytes:
        """The label as the printer wants it, `copies` times the same.

        Nothing in it changes the machine's own settings: speed, darkness and media stay as they were set up.
        """
        head = b"^XA^CI28\n^PW%d\n^LL%d\n" % (self.width, self.height)
        return head + b"\n".join(self._fields) + b"\n^PQ%d,0,1,Y\n^XZ\n" % copies

    def _wrap(self, text: str, size: int, bold: bool, room: int, lines: int, plain: bool) -> tuple[list[str], bool]:
        if plain:
            return image.break_lines(text, lambda part: printer_font_width(part, size), room, lines, "...")
        return image.wrap(text, size, bold, room, lines)

    def _printer_text(self, x: int, y: int, rows: list[str], size: int, room: int, align: str) -> None:
        pitch = round(size * image.LINE_PITCH)
        self._inside("text", y + pitch * (len(rows) - 1) + size)
        for number, row in enumerate(rows):
            block = b"" if align == "left" else b"^FB%d,1,0,%s,0" % (room, _ALIGN[align].encode())
            self._add(x, y + pitch * number, b"^A0N,%d,%d%s%s" % (size, size, block, _data(row)))

    def _picture_text(
        self, x: int, y: int, text: str, size: int, bold: bool, room: int, lines: int, align: str
    ) -> None:
        picture = image.draw(text, size, bold, None if align == "left" else room, lines, align)
        top = max(0, y + picture.top)
        self._inside("text", top + picture.image.height, x + picture.image.width)
        self._add(x, top, image.graphic_field(picture.image, self.graphics))

    def _inside(self, what: str, bottom: int, right: int = 0) -> None:
        if bottom > self.height:
            raise DoesNotFit(what, bottom, self.height)
        if right > self.width:
            raise DoesNotFit(what, right, self.width)

    def _add(self, x: int, y: int, field: bytes) -> Self:
        self._fields.append(b"^FO%d,%d%s^FS" % (x, y, field))
        return self


def code128_modules(data: str) -> int:
    """Width of a Code 128 in modules, without quiet zones, subsets chosen as the printer does.

    Subset A would add only control characters, which are refused. Raises CannotPrint.
    """
    # `>` starts a subset change in the data of some printers.
    _refuse(data, ">")
    if not data:
        raise CannotPrint([])
    start, check, stop = 11, 11, 13
    return start + 11 * _code128_symbols(data) + check + stop


def qr_modules(data: str, level: str = "M") -> int:
    """Side of the QR code in modules, or a little more than it will be. Raises DoesNotFit."""
    size = len(data.encode("utf-8", "replace"))
    for version, capacity in enumerate(_QR_BYTES[level], start=1):
        if size <= capacity:
            return 17 + 4 * version
    raise DoesNotFit("QR code", size, _QR_BYTES[level][-1])


def grouped(code: str) -> str:
    """A number in groups that an eye can hold: JD0012345678901 becomes JD 0012 3456 78901."""

    def spaced(match: re.Match[str]) -> str:
        digits = match.group()
        # The last group has four or five: one digit alone is easily lost.
        cuts = [0, *range(4, len(digits) - 1, 4), len(digits)]
        return " ".join(digits[start:end] for start, end in pairwise(cuts))

    return re.sub(r"\d{6,}", spaced, re.sub(r"(?<=[A-Za-z])(?=\d{6})", " ", code))


def printer_font_width(text: str, size: int) -> int:
    """Width in dots of one line in the printer's font 0, rather more than less."""
    return -(-sum(_FONT_0.get(character, 60) for character in text) * size // 100) + 1


def marked_again(label: bytes, mark: str) -> bytes:
    """The same label with a reprint mark in a corner; every other byte stays as it was (R33).

    Waybills keep their top right corner free for it, labels wider than high their bottom right one.
    Raises CannotPrint, and ValueError for bytes that are no label.
    """
    width, height = (_size(label, command) for command in (b"^PW", b"^LL"))
    picture = image.draw(mark, max(24, width // 30), bold=True).image
    ink = ImageOps.invert(ImageOps.expand(picture.convert("L"), border=6, fill=0)).convert("1")
    x = max(0, width - ink.width - 8)
    y = height - ink.height - 4 if width > height else 4
    field = b"^FO%d,%d%s^FS\n" % (x, max(0, y), image.graphic_field(ink))
    end = label.rindex(b"^XZ")
    quantity = label.rfind(b"^PQ", label.rfind(b"^XA", 0, end), end)
    place = quantity if quantity >= 0 else end
    return label[:place] + field + label[place:]


def _size(label: bytes, command: bytes) -> int:
    found = re.search(re.escape(command) + rb"(\d+)", label)
    return int(found.group(1)) if found else 0


def _data(text: str) -> bytes:
    """Field data with every byte that could be read as a command written as its number."""
    lone = [character for character in text if 0xD800 <= ord(character) <= 0xDFFF]
    if lone:
        raise CannotPrint(lone)
    escaped = b"".join(
        b"_%02X" % byte if byte < 0x20 or byte >= 0x7F or byte in _ESCAPED else bytes((byte,))
        for byte in text.encode("utf-8")
    )
    return b"^FH_^FD" + escaped


def _refuse(data: str, also: str) -> None:
    wrong = [character for character in data if not " " <= character <= "~" or character in also]
    if wrong:
        raise CannotPrint(wrong)


@cache
def _code128_symbols(data: str) -> int:
    """Fewest symbols between start and check character; subset C packs two digits in one symbol."""
    most = 10 * len(data) + 10
    in_b, in_c = 0, 0
    before_b, before_c = most, most
    for place, character in enumerate(data):
        next_b = min(in_b, in_c + 1) + 1
        pair = place > 0 and (data[place - 1] + character).isdigit()
        next_c = min(before_c, before_b + 1) + 1 if pair else most
        before_b, before_c = in_b, in_c
        in_b, in_c = next_b, next_c
    return min(in_b, in_c)


# Advances of font 0 in hundredths of its height: the wider of two renderers, one of which knows a real
# printer dot by dot, rounded up.
_FONT_0: dict[str, int] = {
    character: advance
    for advance, characters in {
        26: " ",
        29: "ijl",
        30: "'/:;Ift",
        35: "!(),.[]`r",
        40: "z",
        46: "Jcksvxy",
        50: '"\\{|}',
        51: "#$*0123456789?EFLTZ^_abdeghnopqu",
        57: "ABCKPSVXY",
        63: "DGHNOQRU",
        68: "&w",
        79: "Mm",
        85: "W",
        92: "%+-=@",
        100: "<>~",
    }.items()
    for character in characters
}
