"""The languages that printers speak, and what is done to a job in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from PIL import Image, ImageOps

from printers import image, tspl, zpl
from printers.label import Label, Picture

Language = Literal["zpl", "tspl"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@dataclass(frozen=True, slots=True)
class Media:
    """How the roll is cut, and which pictures the firmware knows.

    `gap_mm` lies between two labels, 0 on paper without gaps; with `black_mark` it is the height of the mark on
    the back. Both are told to TSPL printers with each label; ZPL printers keep what they were set up with.
    `graphics` is for ZPL alone.
    """

    gap_mm: int = tspl.GAP_MM
    black_mark: bool = False
    graphics: zpl.Graphics = "z64"


def build(language: Language, labels: Label | Sequence[Label], copies: int = 1, media: Media | None = None) -> bytes:
    """The bytes that make a printer of this language print the labels, each `copies` times."""
    has = media or Media()
    if language == "tspl":
        return tspl.build(labels, copies, has.gap_mm, has.black_mark)
    return zpl.build(labels, copies, has.graphics)


def marked_again(language: Language, job: bytes, mark: str, dots: tuple[int, int]) -> bytes:
    """The same labels, `dots` wide and high, with a reprint mark; every other byte stays as it was (R33).

    Waybills keep their top right corner free for it, labels wider than high their bottom right one.
    Raises CannotPrint, and ValueError for bytes that are no label of this language.
    """
    picture = _mark(mark, dots)
    return tspl.marked_again(job, picture) if language == "tspl" else zpl.marked_again(job, picture)


def _mark(mark: str, dots: tuple[int, int]) -> Picture:
    """White on black, so that nobody takes it for a part of the label."""
    width, height = dots
    drawn: Image.Image = image.draw(mark, max(24, width // 30), bold=True).image
    ink = ImageOps.invert(ImageOps.expand(drawn.convert("L"), border=6, fill=0)).convert("1")
    y = height - ink.height - 4 if width > height else 4
    return Picture(max(0, width - ink.width - 8), max(0, y), ink)
