"""One label as dots: what is drawn where. ZPL, TSPL and the preview are all made of this, dot for dot.

Text, QR codes and Data Matrix are pictures and bars are filled rectangles, because a printer's own fonts
and symbols differ from make to make (docs/decisions/0014).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

from PIL import Image

from printers import image, symbols
from printers.errors import DoesNotFit
from printers.image import printable

__all__ = ["Bars", "Fill", "Frame", "Label", "Mark", "Matrix", "Picture", "grouped", "printable"]

Align = Literal["left", "center", "right"]
# Bars no wider than half a millimetre: that is what GS1 wants of a carton, and scanners like.
_WIDEST_MM = 0.51
_NARROWEST_DOTS = 2
# A capital letter in parts of its size.
_CAPITAL = 0.76


@dataclass(frozen=True, slots=True)
class Picture:
    """Set bits of `image` are ink."""

    x: int
    y: int
    image: Image.Image

    @property
    def box(self) -> tuple[int, int, int, int]:
        return self.x, self.y, self.x + self.image.width, self.y + self.image.height


@dataclass(frozen=True, slots=True)
class Fill:
    """A black rectangle."""

    x: int
    y: int
    width: int
    height: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        return self.x, self.y, self.x + self.width, self.y + self.height


@dataclass(frozen=True, slots=True)
class Frame:
    """An empty rectangle, its lines inside."""

    x: int
    y: int
    width: int
    height: int
    thickness: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        return self.x, self.y, self.x + self.width, self.y + self.height

    def sides(self) -> list[Fill]:
        """The same as four black rectangles that do not overlap."""
        x, y, wide, high, thick = self.x, self.y, self.width, self.height, self.thickness
        return [
            Fill(x, y, wide, thick),
            Fill(x, y + high - thick, wide, thick),
            Fill(x, y + thick, thick, high - 2 * thick),
            Fill(x + wide - thick, y + thick, thick, high - 2 * thick),
        ]


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar code: `widths` of bars and spaces in modules of `module` dots; `quiet` is left and right of it."""

    x: int
    y: int
    height: int
    module: int
    widths: tuple[int, ...]
    quiet: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        return self.x, self.y, self.x + sum(self.widths) * self.module, self.y + self.height

    def fills(self) -> list[Fill]:
        return [
            Fill(self.x + place * self.module, self.y, wide * self.module, self.height)
            for place, wide in symbols.bars(self.widths)
        ]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A QR code or Data Matrix: `modules` has one dot for each, drawn `module` dots wide; `quiet` is around it."""

    x: int
    y: int
    module: int
    modules: Image.Image
    quiet: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        wide, high = self.modules.size
        return self.x, self.y, self.x + wide * self.module, self.y + high * self.module

    def picture(self) -> Picture:
        wide, high = self.modules.size
        return Picture(self.x, self.y, self.modules.resize((wide * self.module, high * self.module)))

    def fills(self) -> list[Fill]:
        """The same as black rectangles, as few as come of running along rows and down columns."""
        wide, high = self.modules.size
        dark = self.modules.load()
        assert dark is not None
        done: set[tuple[int, int]] = set()
        found = []
        for y in range(high):
            for x in range(wide):
                if not dark[x, y] or (x, y) in done:
                    continue
                right, bottom = x + 1, y + 1
                while right < wide and dark[right, y] and (right, y) not in done:
                    right += 1
                while bottom < high and all(dark[at, bottom] for at in range(x, right)):
                    bottom += 1
                done |= {(across, down) for across in range(x, right) for down in range(y, bottom)}
                found.append((x, y, right - x, bottom - y))
        size = self.module
        return [Fill(self.x + x * size, self.y + y * size, w * size, h * size) for x, y, w, h in found]


Mark = Picture | Fill | Frame | Bars | Matrix


class Label:
    """One label, drawn piece by piece from the top left corner. All sizes are dots.

    `cut` lists the texts that did not fit and end in an ellipsis, `letters` the size of each text that was
    written. `bottom` is where the last text ended.
    """

    def __init__(self, dots: tuple[int, int], dpi: int = 203, size_mm: tuple[float, float] | None = None) -> None:
        self.width, self.height = dots
        self.dpi = dpi
        self.size_mm = size_mm or (round(dots[0] * 25.4 / dpi, 2), round(dots[1] * 25.4 / dpi, 2))
        self.marks: list[Mark] = []
        self.cut: list[str] = []
        self.letters: list[int] = []
        self.bottom = 0

    @classmethod
    def of_mm(cls, width_mm: float, height_mm: float, dpi: int = 203) -> Self:
        """A label of this size, rounded down, so that nothing hangs over an edge."""
        return cls((int(width_mm * dpi / 25.4), int(height_mm * dpi / 25.4)), dpi, (width_mm, height_mm))

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
        align: Align = "left",
        min_height: int | None = None,
        box: int | None = None,
    ) -> Self:
        """Write text from x, y right and down.

        Text too long is written smaller, down to `min_height`, and is then cut; see `cut`. `box` gives the
        room downwards instead of `lines`: smaller letters then get more lines. `width` is the rest of the
        label where not given. Raises CannotPrint, DoesNotFit.
        """
        text = image.clean(text)
        if not text.strip():
            return self
        room = self.width - x if width is None else width
        if x < 0 or y < 0 or room <= 0 or x + room > self.width:
            raise DoesNotFit("text", x + room, self.width)
        size = height
        while True:
            if box is not None:
                lines = max(1, (box - size) // round(size * image.LINE_PITCH) + 1)
            rows, cut = image.wrap(text, size, bold, room, lines)
            if not cut or min_height is None or size <= min_height:
                break
            size = max(min_height, size - max(1, size // 12))
        if cut:
            self.cut.append(text)
        self.bottom = y + round(size * image.LINE_PITCH) * len(rows)
        drawn = image.paint(tuple(rows), size, bold, room, align)
        self.letters.append(size)
        return self._picture("text", max(0, x + drawn.left), max(0, y + drawn.top), drawn.image)

    def biggest(
        self, x: int, y: int, text: str, width: int, height: int, min_height: int = 20, align: Align = "left"
    ) -> Self:
        """Write bold text as tall as the room allows, in one line or, at its middle hyphen, in two.

        Text that is too long even at `min_height` is wrapped and then cut. Raises CannotPrint, DoesNotFit.
        """
        text = image.clean(text).replace("\n", " ").strip()
        if not text:
            return self
        rows = [text]
        hyphens = [place for place, sign in enumerate(text) if sign in "- " and 0 < place < len(text) - 1]
        if hyphens:
            middle = min(hyphens, key=lambda place: abs(place - len(text) / 2))
            split = [text[:middle], text[middle + 1 :].strip()]
            # One line reads better, unless it would be much smaller.
            if _tallest(split, width, height) > 1.3 * _tallest(rows, width, height):
                rows = split
        size = _tallest(rows, width, height)
        if size < min_height:
            return self.text(x, y, text, min_height, True, width, align=align, min_height=min_height, box=height)
        drawn = image.paint(tuple(rows), size, True, width, align)
        self.letters.append(size)
        self.bottom = y + height
        return self._picture(
            "text", max(0, x + drawn.left), max(0, y + (height - drawn.image.height) // 2), drawn.image
        )

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
        gs1: bool = False,
    ) -> Self:
        """Draw a Code 128 in the room from x, `max_width` wide (else to the edge), quiet zones included.

        The widest bars of up to half a millimetre that fit are taken, unless `module` says how wide. With
        `max_width` the bars stand in the middle of it. `show` writes the number under the bars, in groups, or
        as given. With `gs1` the data is (00)… Raises CannotPrint, DoesNotFit, WrongCheckDigit.
        """
        widths = symbols.gs1_128(data) if gs1 else symbols.code128(data)
        words = (show if isinstance(show, str) else data if gs1 else grouped(data)) if show else ""
        return self._bars(x, y, widths, symbols.QUIET_BARS, height, module, max_width, words, text_height)

    def ean(
        self,
        x: int,
        y: int,
        data: str,
        height: int,
        max_width: int | None = None,
        show: bool = True,
        text_height: int | None = None,
    ) -> Self:
        """Draw an EAN-13, EAN-8 or UPC-A in the same way. Raises CannotPrint, DoesNotFit, WrongCheckDigit."""
        widths = symbols.ean(data)
        words = re.sub(r"^(\d?)(\d{6})(\d{6})$|^(\d{4})(\d{4})$", _ean_words, data) if show else ""
        return self._bars(x, y, widths, symbols.QUIET_EAN, height, None, max_width, words, text_height)

    def qr(self, x: int, y: int, data: str, room: int, level: str = "M") -> Self:
        """Draw a QR code as large as a square of `room` dots allows, in the middle of it.

        Four modules around the square should stay free. Raises CannotPrint, DoesNotFit.
        """
        return self._square("QR code", x, y, symbols.qr(data, level), room, symbols.QUIET_QR)

    def datamatrix(self, x: int, y: int, data: str, room: int) -> Self:
        """Draw a Data Matrix (ECC 200) of printable ASCII in the same way. Raises CannotPrint, DoesNotFit."""
        return self._square("Data Matrix", x, y, symbols.datamatrix(data), room, symbols.QUIET_DATAMATRIX)

    def box(self, x: int, y: int, width: int, height: int, thickness: int = 2) -> Self:
        """Draw an empty rectangle. Raises DoesNotFit."""
        if 2 * thickness >= min(width, height):
            return self._add("box", Fill(x, y, width, height))
        return self._add("box", Frame(x, y, width, height, thickness))

    def line(self, x: int, y: int, length: int, thickness: int = 2, vertical: bool = False) -> Self:
        """Draw a line to the right, or down. Raises DoesNotFit."""
        width, height = (thickness, length) if vertical else (length, thickness)
        return self._add("line", Fill(x, y, width, height))

    def picture(self, x: int, y: int, drawn: Image.Image) -> Self:
        """Draw a mode "1" picture whose set bits are ink. Raises DoesNotFit."""
        return self._picture("picture", x, y, drawn)

    def _bars(
        self,
        x: int,
        y: int,
        widths: tuple[int, ...],
        quiet: int,
        height: int,
        module: int | None,
        max_width: int | None,
        words: str,
        text_height: int | None,
    ) -> Self:
        room = min(self.width - x, max_width or self.width)
        modules = sum(widths)
        widest = max(_NARROWEST_DOTS, int(_WIDEST_MM * self.dpi / 25.4))
        wanted = range(widest, _NARROWEST_DOTS - 1, -1) if module is None else (module,)
        fitting = [wide for wide in wanted if (modules + 2 * quiet) * wide <= room]
        if not fitting:
            raise DoesNotFit("bar code", (modules + 2 * quiet) * wanted[-1], room)
        module = fitting[0]
        bars = modules * module
        left = x + ((room - bars) // 2 if max_width else quiet * module)
        self._add("bar code", Bars(left, y, height, module, widths, quiet * module))
        if words:
            size = text_height or round(self.dpi * 0.125)
            # Under the bars where it fits there, else over the whole room.
            start, wide = (left, bars) if image.text_width(words, size, True) <= bars else (x, room)
            self.text(start, y + height + max(2, size // 8), words, size, True, wide, align="center")
        return self

    def _square(self, what: str, x: int, y: int, drawn: Image.Image, room: int, quiet: int) -> Self:
        module = room // drawn.width
        if module < _NARROWEST_DOTS:
            raise DoesNotFit(what, _NARROWEST_DOTS * drawn.width, room)
        inset = (room - drawn.width * module) // 2
        return self._add(what, Matrix(x + inset, y + inset, module, drawn, quiet * module))

    def _picture(self, what: str, x: int, y: int, drawn: Image.Image) -> Self:
        return self._add(what, Picture(x, y, drawn))

    def _add(self, what: str, mark: Mark) -> Self:
        left, top, right, bottom = mark.box
        if bottom > self.height or top < 0:
            raise DoesNotFit(what, bottom, self.height)
        if right > self.width or left < 0:
            raise DoesNotFit(what, right, self.width)
        self.marks.append(mark)
        return self


def grouped(code: str) -> str:
    """A number in groups that an eye can hold: JD0012345678901 becomes JD 0012 3456 78901."""

    def spaced(match: re.Match[str]) -> str:
        digits = match.group()
        # The last group has four or five: one digit alone is easily lost.
        cuts = [0, *range(4, len(digits) - 1, 4), len(digits)]
        return " ".join(digits[start:end] for start, end in pairwise(cuts))

    return re.sub(r"\d{6,}", spaced, re.sub(r"(?<=[A-Za-z])(?=\d{6})", " ", code))


def _ean_words(match: re.Match[str]) -> str:
    return " ".join(part for part in match.groups() if part)


def _tallest(rows: Sequence[str], width: int, height: int) -> int:
    """The largest size at which the rows fit into the room, in even steps for large letters."""
    widest = max(image.text_width(row, 1000, True) for row in rows)
    # Capitals and digits leave the feet of the line empty; anything else may use the whole of it.
    ink = _CAPITAL if all(re.fullmatch(r"[A-Z0-9 /#.:*+-]*", row) for row in rows) else 1.16
    tallest = int(height / (ink + image.LINE_PITCH * (len(rows) - 1)))
    # Each character is rounded to whole dots, so a half for each is kept back.
    room = width - max(len(row) for row in rows) // 2 - 1
    size = max(1, min(room * 1000 // max(1, widest), tallest))
    return size - size % 4 if size > 48 else size
