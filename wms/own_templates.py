"""The shop's own label templates: read, judged, drawn, and used in place of those that ship (docs/decisions/0017)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from printers import fit, preview, template
from printers.errors import CannotPrint, DoesNotFit, PrinterError, TemplateError, WrongCheckDigit
from printers.label import Label
from printers.template import Code, Element, Repeat, Square, Template
from wms import journal
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, Refusal
from wms.models import LabelTemplate

log = logging.getLogger("wms.own_templates")

LONGEST = 40_000
"""Signs in one template; the longest that ships has 4 000."""

LARGEST_MM, MOST_ELEMENTS, MOST_ROWS = 300, 150, 100
"""What a template may ask for: each element is drawn by itself to be judged."""

PAGES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Slip:
    """One objection to a template: a sentence with its facts, its line in the text (0: nobody knows) and element.

    A ``grave`` one keeps the template from being switched on: it cannot be drawn, or a scanner could not read it.
    """

    message: str
    facts: dict[str, Any]
    line: int = 0
    element: str = ""
    grave: bool = True

    def kept(self) -> dict[str, Any]:
        """As it is kept in the table."""
        return {"message": self.message, "facts": self.facts, "line": self.line, "element": self.element}


@dataclass(slots=True)
class Looked:
    """What was found at a look: PNG pictures of its first pages, and what is wrong.

    ``pages`` is 0 where it cannot be drawn as it stands; the picture then lacks what fails.
    """

    pictures: list[bytes] = field(default_factory=list)
    slips: list[Slip] = field(default_factory=list)
    pages: int = 0
    size_mm: tuple[float, float] | None = None

    @property
    def grave(self) -> list[Slip]:
        return [slip for slip in self.slips if slip.grave]


def kinds() -> tuple[str, ...]:
    """The templates that ship; an own one stands in for one of them."""
    return template.names()


def shipped_text(kind: str) -> str:
    """A shipped template as it stands in its file."""
    return template.text_of(kind)


def shipped_size_mm(kind: str) -> tuple[float, float]:
    one = template.shipped(kind)
    return one.width, one.height


@lru_cache(64)
def _parsed(kind: str, text: str) -> Template:
    return template.parse(text, kind)


def why(error: Exception) -> Slip:
    """What went wrong, for whoever reads it at the desk."""
    if isinstance(error, TemplateError):
        return Slip(error.message, dict(error.facts), error.line, _short(error.element))
    if isinstance(error, CannotPrint) and error.characters:
        return Slip(N_("It holds signs that cannot be drawn: %(signs)s."), {"signs": " ".join(error.characters)})
    if isinstance(error, DoesNotFit):
        return Slip(N_("Something does not fit into its room with these data."), {})
    if isinstance(error, WrongCheckDigit):
        facts = {"number": error.number, "right": error.right}
        return Slip(N_("%(number)s is not sound: its check digit should be %(right)s. Correct it first."), facts)
    if isinstance(error, Refusal):
        return Slip(error.message, {name: str(fact) for name, fact in error.facts.items()})
    return Slip(N_("It cannot be drawn with these data."), {})


def _short(where: str) -> str:
    """Number and kind alone, which need no translation: 3 (repeat) / 1 (text)."""
    return where.replace("element ", "").replace(", row ", " / ").replace(", ", " / ")


def look(kind: str, text: str, dpi: int, language: str, shipped_samples: bool = False) -> Looked:
    """Draw a template with its samples (or with those of the shipped one) and judge it. Never raises."""
    seen = Looked()
    one = _read(kind, text, seen)
    if one is None:
        return seen
    seen.size_mm = (one.width, one.height)
    seen.slips += _unlike_shipped(kind, one)
    samples = {**one.samples, **(template.shipped(kind).samples if shipped_samples else {})}
    samples = {name: value for name, value in samples.items() if name in one.samples}
    try:
        drawn = one.draw(samples, dpi, language)
        seen.pages = len(drawn)
        seen.pictures = [preview.png(label) for label in drawn[:PAGES_SHOWN]]
        said = fit.check(one, dpi, language, samples)
    except PrinterError as error:
        # The check tells it with its element; what it cannot see, such as a second page, is told here.
        said = _checked(one, dpi, language, samples)
        if not any(finding.grave for finding in said):
            seen.slips.append(why(error))
        seen.pictures = _what_can_be_drawn(one, dpi, language, samples)
    except Exception as error:
        log.exception("a template of kind %s cannot be drawn", kind)
        seen.slips.append(why(error))
        return seen
    for finding in said:
        facts = dict(finding.facts)
        line = template.line_of(text, str(facts.get("element", "")))
        seen.slips.append(Slip(finding.message, facts, line, "", finding.grave))
    return seen


def _what_can_be_drawn(one: Template, dpi: int, language: str, samples: dict[str, Any]) -> list[bytes]:
    """The first page without the elements that fail: while somebody types, most of the label is already right."""
    sound = []
    for element in one.elements:
        try:
            replace(one, elements=(element,)).draw(samples, dpi, language)
        except PrinterError:
            continue
        sound.append(element)
    return [preview.png(replace(one, elements=tuple(sound)).draw(samples, dpi, language)[0])] if sound else []


def _checked(one: Template, dpi: int, language: str, samples: dict[str, Any]) -> list[fit.Finding]:
    try:
        return fit.check(one, dpi, language, samples)
    except PrinterError:
        return []


def _read(kind: str, text: str, seen: Looked) -> Template | None:
    if len(text) > LONGEST:
        seen.slips.append(Slip(N_("The text has more than %(most)s signs."), {"most": LONGEST}))
        return None
    try:
        one = _parsed(kind, text)
    except TemplateError as error:
        seen.slips.append(why(error))
        return None
    except Exception as error:
        log.exception("a template of kind %s cannot be read", kind)
        seen.slips.append(why(error))
        return None
    rows = max((len(value) for value in one.samples.values() if isinstance(value, list)), default=0)
    if max(one.width, one.height) > LARGEST_MM:
        seen.slips.append(Slip(N_("A label is at most %(most)s mm wide and high."), {"most": LARGEST_MM}))
    elif sum(1 for _ in _all(one)) > MOST_ELEMENTS or rows > MOST_ROWS:
        facts = {"elements": MOST_ELEMENTS, "rows": MOST_ROWS}
        seen.slips.append(Slip(N_("At most %(elements)s elements and %(rows)s sample rows are allowed."), facts))
    else:
        return one
    return None


def _all(one: Template) -> Iterator[Element]:
    for element in one.elements:
        yield element
        if isinstance(element, Repeat):
            yield from element.elements


def _scanned(one: Template) -> set[str]:
    """The fields that its bar codes and QR codes hold."""
    return {name for element in _all(one) if isinstance(element, Code | Square) for name in element.data.names}


def _unlike_shipped(kind: str, one: Template) -> Iterator[Slip]:
    """What the program counts on: all fields that it fills, the codes that scanners read, a waybill's own paper."""
    shipped = template.shipped(kind)
    for name, sample in shipped.samples.items():
        has = one.samples.get(name)
        if has is None or isinstance(has, str) != isinstance(sample, str):
            yield Slip(N_("The field %(field)s is missing under [fields]; the program fills it."), {"field": name})
    for name in sorted(_scanned(shipped) - _scanned(one)):
        yield Slip(N_("No bar code or QR code holds {%(field)s}; this label is read by it."), {"field": name})
    if kind.startswith("waybill") and (one.width, one.height) != (shipped.width, shipped.height):
        size = f"{shipped.width:g} × {shipped.height:g}"
        yield Slip(N_("This waybill's paper is %(size)s mm: leave the size as it is."), {"size": size})


def grave_slips(kind: str, text: str, language: str) -> list[Slip]:
    """Why a template must not be switched on: judged on 203 and 300 dpi, with its own samples and the shipped ones."""
    found: dict[str, Slip] = {}
    for dpi in (203, 300):
        for shipped_samples in (False, True):
            for slip in look(kind, text, dpi, language, shipped_samples).grave:
                found.setdefault(repr((slip.message, slip.facts.get("element"), slip.facts.get("field"))), slip)
    return list(found.values())


def sample_labels(kind: str, text: str, dpi: int, language: str) -> list[Label]:
    """The labels of a template filled with its own samples, plainly false numbers. Raises PrinterError."""
    one = _parsed(kind, text)
    return one.draw(one.samples, dpi, language)


class Own:
    """The templates of this warehouse: an own one where one is switched on, else the shipped one.

    ``given`` are the own ones that were handed out, so that a label that fails can be drawn again without them.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._warehouse_id = session, actor_of(session).warehouse_id
        self.given: list[LabelTemplate] = []

    def __call__(self, name: str) -> Template:
        own = active(self._session, self._warehouse_id, name)
        if own is None:
            return template.shipped(name)
        self.given.append(own)
        return _parsed(own.kind, own.text)

    def failed(self, error: Exception) -> None:
        """Write down that the shipped template had to stand in, and why: the desk shows it until it is mended."""
        slip = why(error)
        for own in self.given:
            log.warning("own template %s failed, the shipped one was printed: %s", own.name, error)
            if own.trouble != slip.kept():
                own.trouble = slip.kept()
                journal.note(self._session, own, "failed", "", str(error))
            own.failed_at = now()


def active(session: Session, warehouse_id: int, kind: str) -> LabelTemplate | None:
    """The own template that is switched on for a kind."""
    return session.execute(
        select(LabelTemplate).where(
            LabelTemplate.warehouse_id == warehouse_id,
            LabelTemplate.kind == kind,
            LabelTemplate.active,
        )
    ).scalar_one_or_none()


def size_mm(session: Session, warehouse_id: int, kind: str) -> tuple[float, float]:
    """How large a label of a kind is now: as the own template says, where one is switched on."""
    own = active(session, warehouse_id, kind)
    if own is not None:
        try:
            one = _parsed(own.kind, own.text)
        except PrinterError:
            pass
        else:
            return one.width, one.height
    return shipped_size_mm(kind)
