"""The languages that printers speak, and what is done to a job in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from PIL import Image, ImageOps

from printers import image, tspl, zpl
from printers.label import Label, Picture

Language = Literal["zpl", "tspl"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


def build(language: Language, labels: Label | Sequence[Label], copies: int = 1) -> bytes:
    """The bytes that make a printer of this language print the labels, each `copies` times."""
    return tspl.build(labels, copies) if language == "tspl" else zpl.build(labels, copies)


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
