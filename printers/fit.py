"""Does a template come out well? Its samples are drawn, and what an expert would object to is said in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, ImageChops

from printers import preview
from printers.errors import N_, CannotPrint, DoesNotFit, PrinterError, WrongCheckDigit
from printers.label import Bars, Label, Mark, Matrix
from printers.template import SMALLEST_DOTS, Code, Element, Fields, Repeat, Square, Stack, Template, Text, Value

EDGE_MM = 1.0
LEAST_BAR_MM = 0.25
# What GS1 asks of the bars on a carton: GS1 General Specifications, logistic label.
LEAST_CARTON_BAR_MM = 0.49
LEAST_CARTON_HEIGHT_MM = 31.5
_SLACK = 0.005

_Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """One objection: a plain English sentence with named facts, translated far above here."""

    message: str
    facts: Mapping[str, Any]
    grave: bool = False
    """A scanner will not read it, or it cannot be drawn at all: more than a matter of looks."""

    def __str__(self) -> str:
        return self.message % self.facts


@dataclass
class _Drawn:
    """One element, drawn alone on a label of its own."""

    element: Element
    label: Label
    data: str = ""
    ink: Image.Image = field(init=False)
    box: _Box = field(init=False)

    def __post_init__(self) -> None:
        self.ink = preview.picture(self.label)
        self.box = self.ink.getbbox() or (0, 0, 0, 0)


def check(template: Template, dpi: int = 203, language: str = "zh", fields: Fields | None = None) -> list[Finding]:
    """What is wrong with the template, filled with these fields or its own samples, on a printer of this dpi.

    Each element is judged alone and beside the others; of rows the first one.
    """
    found: list[Finding] = []
    known: dict[str, Value] = {**template.words.get(language, {}), **(template.samples if fields is None else fields)}
    drawn = []
    for element, row, corner in _elements(template, {**known, "page": "1", "pages": "1"}):
        label = Label.of_mm(template.width, template.height, dpi)
        try:
            if element.when is None or element.when.holds(row):
                element.draw(label, row, corner)
        except PrinterError as error:
            found.append(_refused(element, error, dpi))
            continue
        data = element.data.fill(row) if isinstance(element, Code) else ""
        drawn.append(_Drawn(element, label, data))
    for one in drawn:
        found += _alone(one)
        found += _clear_edges(one, drawn)
    found += _overlaps(drawn)
    return found


def _elements(
    template: Template, known: Mapping[str, Value]
) -> Iterator[tuple[Element, Mapping[str, Value], tuple[float, float]]]:
    for element in template.elements:
        if not isinstance(element, Repeat):
            yield element, known, (0, 0)
            continue
        rows = known.get(element.over, ())
        if isinstance(rows, str | bytes) or not rows:
            continue
        for inner in element.elements:
            yield inner, {**known, **rows[0], "row": "1"}, (element.x, element.y)


def _refused(element: Element, error: PrinterError, dpi: int) -> Finding:
    if isinstance(error, DoesNotFit) and error.what == "bar code":
        message = N_(
            "Element %(element)s: the code needs %(needed)s mm with its clear edges, there are %(room)s mm. "
            "Give it more room or a shorter number."
        )
        needed, room = _mm(error.needed_dots, dpi), _mm(error.room_dots, dpi)
        return Finding(message, _facts(element, needed=needed, room=room), grave=True)
    if isinstance(error, DoesNotFit):
        message = N_("Element %(element)s reaches to %(needed)s mm, there are %(room)s mm.")
        needed, room = _mm(error.needed_dots, dpi), _mm(error.room_dots, dpi)
        return Finding(message, _facts(element, needed=needed, room=room), grave=True)
    if isinstance(error, WrongCheckDigit):
        message = N_("Element %(element)s: the check digit of %(number)s should be %(right)s.")
        return Finding(message, _facts(element, number=error.number, right=error.right), grave=True)
    if isinstance(error, CannotPrint) and error.characters:
        message = N_("Element %(element)s holds signs that cannot be drawn: %(signs)s.")
        return Finding(message, _facts(element, signs=" ".join(error.characters)), grave=True)
    return Finding(N_("Element %(element)s holds data that such a code cannot carry."), _facts(element), grave=True)


def _alone(one: _Drawn) -> Iterator[Finding]:
    label, element = one.label, one.element
    if label.cut:
        message = N_("Element %(element)s: the text is cut, even in the smallest letters. Give it more room.")
        yield Finding(message, _facts(element))
    for text in _texts(element):
        if label.mm(text.height) < text.smallest_dots(label) and not text.biggest:
            message = N_("Element %(element)s: letters of %(height)s mm run together; they come out at %(least)s mm.")
            least = _mm(text.smallest_dots(label), label.dpi)
            yield Finding(message, {"element": _named(text), "height": f"{text.height:g}", "least": least})
    if any(size < SMALLEST_DOTS - 2 for size in label.letters):
        yield Finding(N_("Element %(element)s: its letters are less than 20 dots high."), _facts(element))
    box = one.box
    edge = int(EDGE_MM * label.dpi / 25.4) - 1
    if box[2] and (box[0] < edge or box[1] < edge or box[2] > label.width - edge or box[3] > label.height - edge):
        message = N_("Element %(element)s stands less than 1 mm from the edge; paper moves that much in the printer.")
        yield Finding(message, _facts(element))
    for mark in label.marks:
        yield from _modules(one, mark)


def _modules(one: _Drawn, mark: Mark) -> Iterator[Finding]:
    if not isinstance(mark, Bars | Matrix):
        return
    wide = mark.module * 25.4 / one.label.dpi
    carton = one.data.startswith("(00)")
    least = LEAST_CARTON_BAR_MM if carton else LEAST_BAR_MM
    if wide < least - _SLACK:
        message = N_(
            "Element %(element)s: its bars are %(width)s mm wide; scanners want %(least)s mm. Give it more room."
        )
        yield Finding(message, _facts(one.element, width=f"{wide:.2f}", least=f"{least:g}"), grave=True)
    if carton and isinstance(mark, Bars) and mark.height * 25.4 / one.label.dpi < LEAST_CARTON_HEIGHT_MM:
        yield Finding(N_("Element %(element)s: GS1 wants the bars of a carton 32 mm high."), _facts(one.element))


def _clear_edges(one: _Drawn, others: list[_Drawn]) -> Iterator[Finding]:
    for mark in one.label.marks:
        if not isinstance(mark, Bars | Matrix):
            continue
        left, top, right, bottom = mark.box
        above = mark.quiet if isinstance(mark, Matrix) else 0
        zone = (left - mark.quiet, top - above, right + mark.quiet, bottom + above)
        if zone[0] < 0 or zone[1] < 0 or zone[2] > one.label.width or zone[3] > one.label.height:
            message = N_("Element %(element)s: the clear edge that a scanner needs reaches over the edge of the label.")
            yield Finding(message, _facts(one.element), grave=True)
        for other in others:
            # What lies on the code itself is told as lying over it.
            if other is one or not _meet(zone, other.box):
                continue
            if other.ink.crop(mark.box).getbbox() or not other.ink.crop(zone).getbbox():
                continue
            message = N_("Element %(element)s: %(other)s stands in the clear edge that a scanner needs.")
            yield Finding(message, _facts(one.element, other=_named(other.element)), grave=True)


def _overlaps(drawn: list[_Drawn]) -> Iterator[Finding]:
    for number, one in enumerate(drawn):
        for other in drawn[number + 1 :]:
            both = _meet(one.box, other.box)
            if both and ImageChops.logical_and(one.ink.crop(both), other.ink.crop(both)).getbbox():
                message = N_("Elements %(element)s and %(other)s lie over one another.")
                coded = any(isinstance(each.element, Code | Square) for each in (one, other))
                yield Finding(message, _facts(one.element, other=_named(other.element)), grave=coded)


def _meet(one: _Box, other: _Box) -> _Box | None:
    """What two rectangles share."""
    left, top, right, bottom = (
        max(one[0], other[0]),
        max(one[1], other[1]),
        min(one[2], other[2]),
        min(one[3], other[3]),
    )
    return (left, top, right, bottom) if left < right and top < bottom else None


def _texts(element: Element) -> list[Text]:
    if isinstance(element, Text):
        return [element]
    return [text for text, _ in element.rows] if isinstance(element, Stack) else []


def _facts(element: Element, **facts: str) -> dict[str, str]:
    return {"element": _named(element), **facts}


def _named(element: Element) -> str:
    """Number and kind alone, which need no translation: 3 (repeat) / 1 (text)."""
    return element.where.replace("element ", "").replace(", row ", " / ").replace(", ", " / ")


def _mm(dots: int, dpi: int) -> str:
    return f"{dots * 25.4 / dpi:.1f}"
