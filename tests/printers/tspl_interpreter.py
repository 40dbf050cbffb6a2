"""A small TSPL interpreter: draws what a printer would, and refuses whatever is not exactly in its manual.

Written from the TSPL/TSPL2 Programming Manual (TSC Auto ID, version 3.0) and knowing nothing of printers/:
SIZE (p. 1), GAP, DIRECTION, REFERENCE, CLS, BAR, BOX, BITMAP, PRINT; the bounds are the manual's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from PIL import Image, ImageChops

_HEAD = re.compile(rb"[A-Z]+")
_NUMBER = re.compile(rb"0|[1-9][0-9]*")
# <ESC>! and ~! act the moment they come in, wherever they stand.
_AT_ONCE = (b"\x1b!", b"~!")


class NotTspl(Exception):
    """The job is not what the manual allows; the text says where."""


@dataclass
class Machine:
    """One printer with its settings; `printed` are mode "1" pictures whose set bits are ink."""

    dpi: int = 203
    printed: list[Image.Image] = field(default_factory=list)
    gap_mm: float | None = None
    black_mark_mm: float | None = None
    direction: int = 0
    _size_mm: tuple[float, float] | None = None
    _sheet: Image.Image | None = None
    _cleared: bool = False
    _seen: list[str] = field(default_factory=list)

    def run(self, job: bytes) -> list[Image.Image]:
        """Print a whole job. Raises NotTspl."""
        for command in _AT_ONCE:
            if command in job:
                raise NotTspl(f"{command!r} at byte {job.index(command)} acts at once, also inside of dots")
        place = 0
        while place < len(job):
            place = self._command(job, place)
        if self._seen and self._seen[-1] != "PRINT":
            raise NotTspl(f"the job ends with {self._seen[-1]}, which leaves half a label behind")
        return self.printed

    def _command(self, job: bytes, place: int) -> int:
        head = _HEAD.match(job, place)
        if not head:
            raise NotTspl(f"no command at byte {place}: {job[place : place + 20]!r}")
        name = head[0].decode()
        self._seen.append(name)
        if name == "BITMAP":
            return self._bitmap(job, head.end())
        end = job.find(b"\r\n", place)
        if end < 0:
            raise NotTspl(f"{name} has no end")
        rest = job[head.end() : end]
        if b"\r" in rest or b"\n" in rest or b'"' in rest:
            raise NotTspl(f"{name} holds a stray line end or quote: {rest!r}")
        act = getattr(self, f"_{name.lower()}", None)
        if name not in ("SIZE", "GAP", "BLINE", "DIRECTION", "REFERENCE", "CLS", "BAR", "BOX", "PRINT") or act is None:
            raise NotTspl(f"{name} is no command that this printer knows")
        act(rest)
        return end + 2

    # -- the sheet

    def _size(self, rest: bytes) -> None:
        self._size_mm = _millimetres(rest, "SIZE")
        self._cleared = False

    def _gap(self, rest: bytes) -> None:
        self.gap_mm, offset = _millimetres(rest, "GAP")
        if not 0 <= self.gap_mm <= 25.4 or offset:
            raise NotTspl(f"GAP{rest!r}")

    def _bline(self, rest: bytes) -> None:
        self.black_mark_mm, offset = _millimetres(rest, "BLINE")
        if not 0.1 <= self.black_mark_mm <= 25.4 or offset:
            raise NotTspl(f"BLINE{rest!r}")

    def _direction(self, rest: bytes) -> None:
        self.direction, mirrored = _numbers(rest, 2, "DIRECTION")
        if self.direction > 1 or mirrored:
            raise NotTspl(f"DIRECTION{rest!r} mirrors or is none")

    def _reference(self, rest: bytes) -> None:
        if _numbers(rest, 2, "REFERENCE") != [0, 0]:
            raise NotTspl("the origin is moved")

    def _cls(self, rest: bytes) -> None:
        if rest or self._size_mm is None:
            raise NotTspl("CLS comes after SIZE and takes nothing")
        # The manual's dots a millimetre are 8 and 12; 25.4 mm hold so many as the head says.
        self._sheet = Image.new("1", (*(round(side * self.dpi / 25.4) for side in self._size_mm),))  # type: ignore[arg-type]
        self._cleared = True

    # -- what is drawn

    def _bar(self, rest: bytes) -> None:
        x, y, width, height = _numbers(rest, 4, "BAR")
        self._black(x, y, width, height)

    def _box(self, rest: bytes) -> None:
        x, y, right, bottom, thick = _numbers(rest, 5, "BOX")
        for bar in (
            (x, y, right - x, thick),
            (x, bottom - thick, right - x, thick),
            (x, y, thick, bottom - y),
            (right - thick, y, thick, bottom - y),
        ):
            self._black(*bar)

    def _black(self, x: int, y: int, width: int, height: int) -> None:
        self._inside(x, y, width, height)
        assert self._sheet is not None
        self._sheet.paste(1, (x, y, x + width, y + height))

    def _bitmap(self, job: bytes, place: int) -> int:
        if job[place : place + 1] != b" ":
            raise NotTspl("BITMAP without a blank")
        values, place = [], place + 1
        for _ in range(5):
            number = _NUMBER.match(job, place)
            if not number or job[number.end() : number.end() + 1] != b",":
                raise NotTspl(f"BITMAP at byte {place}: {job[place : place + 12]!r}")
            values.append(int(number[0]))
            place = number.end() + 1
        x, y, row_bytes, height, mode = values
        end = place + row_bytes * height
        if job[end : end + 2] != b"\r\n":
            raise NotTspl(f"BITMAP of {row_bytes} x {height} bytes does not end where it says")
        if mode not in (0, 1, 2) or not row_bytes or not height:
            raise NotTspl(f"BITMAP of mode {mode}, {row_bytes} x {height}")
        # A clear bit is black.
        dots = Image.frombytes("1", (row_bytes * 8, height), bytes(255 - byte for byte in job[place:end]))
        box = dots.getbbox()
        self._inside(x, y, box[2] if box else 1, height)
        assert self._sheet is not None
        there = (x, y, min(x + dots.width, self._sheet.width), y + height)
        dots = dots.crop((0, 0, there[2] - x, height))
        under = self._sheet.crop(there)
        over = {
            0: lambda: dots,
            1: lambda: ImageChops.logical_or(under, dots),
            2: lambda: ImageChops.logical_xor(under, dots),
        }
        self._sheet.paste(over[mode](), there[:2])
        return end + 2

    def _inside(self, x: int, y: int, width: int, height: int) -> None:
        if not self._cleared or self._sheet is None:
            raise NotTspl("something is drawn before CLS")
        if width < 1 or height < 1 or x + width > self._sheet.width or y + height > self._sheet.height:
            raise NotTspl(f"{width} x {height} dots at {x},{y} hang over a sheet of {self._sheet.size}")

    def _print(self, rest: bytes) -> None:
        sets, copies = _numbers(rest, 2, "PRINT")
        if not self._cleared or self._sheet is None or sets < 1 or copies < 1:
            raise NotTspl(f"PRINT{rest!r} prints nothing")
        if self.gap_mm is None:
            raise NotTspl("nothing says what lies between two labels")
        drawn = self._sheet if self.direction == 1 else self._sheet.rotate(180)
        self.printed += [drawn.copy() for _ in range(sets * copies)]


def render(job: bytes, dpi: int = 203) -> list[Image.Image]:
    """The labels that come out, in order, set bits ink. Raises NotTspl."""
    return Machine(dpi).run(job)


def whole_commands(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Commands that are there whole, and what is left: jobs come in pieces."""
    found, place = [], 0
    while place < len(buffer):
        end = buffer.find(b"\r\n", place)
        if buffer.startswith(b"BITMAP ", place):
            head = re.match(rb"BITMAP \d+,\d+,(\d+),(\d+),\d,", buffer[place : place + 60])
            if not head:
                break
            end = place + head.end() + int(head[1]) * int(head[2])
        if end < 0 or end + 2 > len(buffer):
            break
        found.append(buffer[place : end + 2])
        place = end + 2
    return found, buffer[place:]


def _numbers(rest: bytes, count: int, name: str) -> list[int]:
    parts = rest[1:].split(b",")
    if rest[:1] != b" " or len(parts) != count or not all(_NUMBER.fullmatch(part) for part in parts):
        raise NotTspl(f"{name} takes {count} whole numbers, not {rest!r}")
    return [int(part) for part in parts]


def _millimetres(rest: bytes, name: str) -> tuple[float, float]:
    found = re.fullmatch(rb" (\d+(?:\.\d+)?) mm,(\d+(?:\.\d+)?) mm", rest)
    if not found:
        raise NotTspl(f"{name} takes two lengths in mm, not {rest!r}")
    return float(found[1]), float(found[2])
