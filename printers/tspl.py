"""A label as TSPL, the language of TSC and of most printers sold in China. Pure, and no text is in it.

Only commands of the TSPL/TSPL2 Programming Manual (TSC Auto ID, 31-0000001-00, version 3.0: SIZE, GAP,
BLINE, DIRECTION, REFERENCE, CLS, BAR, BITMAP, PRINT), because some makes throw the whole job away at the first word
that they do not know. Each ends with CR LF. In BITMAP the width is in bytes, a clear bit is black, and the
bytes are raw, as many as width times height says. DIRECTION 1 has its origin at the top left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from printers.label import Bars, Fill, Frame, Label, Mark, Matrix, Picture

GAP_MM = 2
# What one BITMAP costs besides its dots.
_HEAD_BYTES = 30
_LINE = re.compile(rb"(SIZE|GAP|BLINE|DIRECTION|REFERENCE|CLS|BAR|PRINT)\b([^\r\n]*)\r\n")
_BITMAP = re.compile(rb"BITMAP (\d+),(\d+),(\d+),(\d+),([012]),")
_AT_ONCE = (b"\x1b!", b"~!")
_WHITE = bytes(255 - value for value in range(256))


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a job, and where it stands in it."""

    name: str
    start: int
    end: int


def build(labels: Label | Sequence[Label], copies: int = 1, gap_mm: float = GAP_MM, black_mark: bool = False) -> bytes:
    """The labels as the printer wants them, each `copies` times.

    `gap_mm` lies between two labels on the roll; 0 is paper without gaps. With `black_mark` it is how high the
    mark on the back is. Speed and darkness stay as they were set up.
    """
    pages = [labels] if isinstance(labels, Label) else labels
    return b"".join(_page(page, copies, gap_mm, black_mark) for page in pages)


def marked_again(job: bytes, mark: Picture) -> bytes:
    """The same labels with one more picture on each; every other byte stays as it was (R33).

    Raises ValueError for bytes that are no such job.
    """
    field = b"".join(_mark(mark))
    parts, done = [], 0
    for command in commands(job):
        if command.name == "PRINT":
            parts += [job[done : command.start], field]
            done = command.start
    if not parts:
        raise ValueError("no PRINT in the job")
    return b"".join([*parts, job[done:]])


def commands(job: bytes) -> Iterator[Command]:
    """The commands of a job that was built here. Raises ValueError where it is no such job.

    Dots may look like any command, so a job is read from its beginning and never searched.
    """
    place = 0
    while place < len(job):
        found = _LINE.match(job, place)
        if found:
            end = found.end()
            name = found[1].decode()
        else:
            found = _BITMAP.match(job, place)
            if not found:
                raise ValueError(f"not a command of ours at byte {place}")
            end, name = found.end() + int(found[3]) * int(found[4]) + 2, "BITMAP"
            if job[end - 2 : end] != b"\r\n":
                raise ValueError(f"the picture at byte {place} is cut")
        yield Command(name, place, end)
        place = end


def _page(label: Label, copies: int, gap_mm: float, black_mark: bool) -> bytes:
    width, height = label.size_mm
    head = (
        f"SIZE {width:g} mm,{height:g} mm\r\n{'BLINE' if black_mark else 'GAP'} {gap_mm:g} mm,0 mm\r\n"
        # Both are remembered by the printer, so a job before this one may have left it turned or mirrored.
        "DIRECTION 1,0\r\nREFERENCE 0,0\r\nCLS\r\n"
    )
    body = [line for mark in label.marks for line in _mark(mark)]
    return b"".join([head.encode(), *body, b"PRINT 1,%d\r\n" % copies])


def _mark(mark: Mark) -> Iterator[bytes]:
    if isinstance(mark, Picture):
        for left, top, piece in _pieces(mark.image):
            yield _bitmap(mark.x + left, mark.y + top, piece)
        return
    if isinstance(mark, Matrix):
        yield _matrix(mark)
        return
    fills = mark.fills() if isinstance(mark, Bars) else mark.sides() if isinstance(mark, Frame) else [mark]
    for fill in fills:
        yield _bar(fill)


def _matrix(mark: Matrix) -> bytes:
    """As rectangles or as a picture, whichever is shorter: large modules are cheaper to name than to paint."""
    painted = mark.picture()
    return min(b"".join(_bar(fill) for fill in mark.fills()), _bitmap(painted.x, painted.y, painted.image), key=len)


def _bar(fill: Fill) -> bytes:
    return b"BAR %d,%d,%d,%d\r\n" % (fill.x, fill.y, fill.width, fill.height)


def _bitmap(x: int, y: int, piece: Image.Image) -> bytes:
    """A picture as raw dots in which nothing can be taken for one of the commands that act at once.

    <ESC>! and ~! reset and pause the printer wherever they stand; in dots they would be chance. One more white
    column on the left moves every bit.
    """
    for shift in range(min(8, x + 1)):
        moved = piece
        if shift:
            moved = Image.new("1", (piece.width + shift, piece.height))
            moved.paste(piece, (shift, 0))
        dots = moved.tobytes().translate(_WHITE)
        if not any(command in dots for command in _AT_ONCE):
            # Mode 1 lays black over what is there, so the white that fills the last byte covers nothing.
            head = b"BITMAP %d,%d,%d,%d,1," % (x - shift, y, (moved.width + 7) // 8, moved.height)
            return head + dots + b"\r\n"
    return b"".join(_bar(fill) for fill in Matrix(x, y, 1, piece, 0).fills())


def _pieces(whole: Image.Image) -> Iterator[tuple[int, int, Image.Image]]:
    """The picture cut into pieces where white between them would cost more than another command.

    TSPL has no compression that all makes understand.
    """
    _, rows = whole.getprojection()
    for top, bottom in _runs(rows, 8 * _HEAD_BYTES // max(1, whole.width) + 1):
        band = whole.crop((0, top, whole.width, bottom))
        columns, _ = band.getprojection()
        for left, right in _runs(columns, 8 * _HEAD_BYTES // band.height + 5):
            piece = band.crop((left, 0, right, band.height))
            box = piece.getbbox()
            assert box is not None, "a run without ink"
            yield left, top + box[1], piece.crop((0, box[1], piece.width, box[3]))


def _runs(ink: Sequence[int], gap: int) -> list[tuple[int, int]]:
    """Stretches of dots with no more than `gap` white ones between."""
    return [found.span() for found in re.finditer(rb"\x01(?:\x00{0,%d}\x01)*" % gap, bytes(ink))]
