"""Label templates: small TOML files in millimetres, read strictly, filled with fields, drawn as labels.

A template says its `size`, names its `[fields]` with a sample of each, and its fixed words by language; then
come its elements in order. `docs/labels.md` lists every kind of element and every key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from printers import image, raw
from printers.errors import N_, RefusedLabel, TemplateError
from printers.label import Align, Label, grouped

Row = Mapping[str, str]
Value = str | bytes | Sequence[Row]
Fields = Mapping[str, Value]
On = Literal["every", "first", "last"]

# Smaller Han characters run together on paper: 20 dots of ink, and 2 mm where dots are finer.
SMALLEST_DOTS, SMALLEST_MM = 22, 2.3
_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_WHEN = re.compile(r"(not )?([a-z][a-z0-9_]*)(?: (=|!=) (.*))?")
_OWN = ("page", "pages", "row")


@dataclass(frozen=True, slots=True)
class Words:
    """A text with fields in it: pieces to be written as they are, and names to be looked up."""

    parts: tuple[tuple[str, str], ...]
    """(name, filter), or ("", words as they are)."""

    def fill(self, row: Mapping[str, Value]) -> str:
        return "".join(_shown(row, name, how) if name else how for name, how in self.parts)

    @property
    def names(self) -> Iterator[str]:
        return (name for name, _ in self.parts if name)


@dataclass(frozen=True, slots=True)
class Condition:
    """When an element is drawn: a field is there, is not there, equals, does not equal."""

    name: str
    wanted: str | None
    negated: bool

    def holds(self, row: Mapping[str, Value]) -> bool:
        value = row.get(self.name, "")
        there = bool(value.strip() if isinstance(value, str) else value)
        return (there if self.wanted is None else value == self.wanted) is not self.negated


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """What all elements share. Lengths are millimetres."""

    where: str
    when: Condition | None
    on: On
    x: float
    y: float

    def draw(self, label: Label, row: Mapping[str, Value], at: tuple[float, float] = (0, 0)) -> None:
        raise NotImplementedError

    def names(self) -> Iterator[str]:
        """Fields that the element reads."""
        yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Element):
    text: Words
    width: float
    height: float
    bold: bool
    align: Align
    lines: int
    room: float | None
    smallest: float
    biggest: bool

    def draw(self, label: Label, row: Mapping[str, Value], at: tuple[float, float] = (0, 0)) -> None:
        x, y, words = *_place(label, self, at), self.text.fill(row)
        width, smallest = _right(label, x, at[0] + self.x + self.width), self.smallest_dots(label)
        if self.biggest:
            label.biggest(x, y, words, width, label.mm(self.height), smallest, self.align)
            return
        box = None if self.room is None else label.mm(self.room)
        height = max(smallest, label.mm(self.height))
        label.text(x, y, words, height, self.bold, width, self.lines, self.align, smallest, box)

    def smallest_dots(self, label: Label) -> int:
        return max(SMALLEST_DOTS, label.mm(self.smallest))

    def names(self) -> Iterator[str]:
        yield from self.text.names


@dataclass(frozen=True, slots=True, kw_only=True)
class Code(Element):
    """Code 128, GS1-128 or EAN."""

    kind: Literal["code128", "gs1-128", "ean"]
    data: Words
    width: float
    height: float
    show: Words | None
    letters: float

    def draw(self, label: Label, row: Mapping[str, Value], at: tuple[float, float] = (0, 0)) -> None:
        data = self.data.fill(row)
        if not data:
            return
        x, y = _place(label, self, at)
        width, height, letters = _right(label, x, at[0] + self.x + self.width), label.mm(self.height), self.letters
        show: bool | str = letters > 0 if self.show is None else self.show.fill(row)
        size = max(SMALLEST_DOTS, label.mm(letters))
        if self.kind == "ean":
            label.ean(x, y, data, height, width, bool(show), size)
        else:
            label.code128(x, y, data, height, None, width, show, size, gs1=self.kind == "gs1-128")

    def names(self) -> Iterator[str]:
        yield from self.data.names
        yield from self.show.names if self.show else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Square(Element):
    """QR code or Data Matrix; `side` is the room for it without its clear edge."""

    kind: Literal["qr", "datamatrix"]
    data: Words
    side: float
    level: str

    def draw(self, label: Label, row: Mapping[str, Value], at: tuple[float, float] = (0, 0)) -> None:
        data = self.data.fill(row)
        if not data:
            return
        x, y = _place(label, self, at)
        room = _right(label, x, at[0] + self.x + self.side)
        if self.kind == "qr":
            label.qr(x, y, data, room, self.level)
        else:
            label.datamatrix(x, y, data, room)

    def names(self) -> Iterator[str]:
        yield from self.data.names


@dataclass(frozen=True, slots=True, kw_only=True)
class Box(Element):
    width: float
    height: float
    thick: float

    def draw(self, label: Label, row: Mapping[str, Value], at: tuple[float, float] = (0, 0)) -> None:
        x, y = _place(label, self, at)
        right, bottom = _right(label, x, at[0] + self.x + self.width), _bottom(label, y, at[1] + self.y + self.height)
        label.box(x, y, right, bottom, _thick(label, self.thick))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Element):
    length: float
    down: bool
    thick: float

    def draw(self, label: Label, row: Mapping[str, Value], at: tuple[float, float] = (0, 0)) -> None:
        x, y = _place(label, self, at)
        end = at[self.down] + (self.y if self.down else self.x) + self.length
        length = _bottom(label, y, end) if self.down else _right(label, x, end)
        label.line(x, y, length, _thick(label, self.thick), vertical=self.down)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Element):
    """A picture from a file beside the template, or from a field that holds the bytes of one."""

    width: float
    height: float
    picture: bytes
    field: str

    def draw(self, label: Label, row: Mapping[str, Value], at: tuple[float, float] = (0, 0)) -> None:
        value = row.get(self.field, b"") if self.field else self.picture
        if not isinstance(value, bytes) or not value:
            return
        x, y = _place(label, self, at)
        right, bottom = _right(label, x, at[0] + self.x + self.width), _bottom(label, y, at[1] + self.y + self.height)
        label.picture(x, y, raw.fitted(value, (right, bottom)))

    def names(self) -> Iterator[str]:
        if self.field:
            yield self.field


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack(Element):
    """Texts under one another, each where the one before it ended, those without content left out."""

    width: float
    room: float
    rows: tuple[tuple[Text, int], ...]
    """Each with the lines that are kept free for it, whatever those before it hold."""

    def draw(self, label: Label, row: Mapping[str, Value], at: tuple[float, float] = (0, 0)) -> None:
        x, y = _place(label, self, at)
        width, bottom = _right(label, x, at[0] + self.x + self.width), label.mm(at[1] + self.y + self.room)
        wanted = [
            (text, keep, words)
            for text, keep in self.rows
            if (text.when is None or text.when.holds(row)) and (words := text.text.fill(row)).strip()
        ]
        for number, (text, _keep, words) in enumerate(wanted):
            after = sum(keep * label.mm(later.height * image.LINE_PITCH) for later, keep, _ in wanted[number + 1 :])
            smallest = text.smallest_dots(label)
            height = max(smallest, label.mm(text.height))
            most = bottom - y if text.lines == 0 else round(text.lines * height * image.LINE_PITCH)
            box = max(height, min(most, bottom - y - after))
            label.text(x, y, words, height, text.bold, width, 1, text.align, smallest, box)
            y = label.bottom + height // 6

    def names(self) -> Iterator[str]:
        for text, _ in self.rows:
            yield from text.text.names
            if text.when:
                yield text.when.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat(Element):
    """Elements for each row of a field that is a list: across, then down, then on the next page."""

    over: str
    row_height: float
    rows: int
    column_width: float
    columns: int
    elements: tuple[Element, ...]

    @property
    def a_page(self) -> int:
        return self.rows * self.columns

    def draw_rows(self, label: Label, fields: Mapping[str, Value], rows: Sequence[Row], first: int) -> None:
        for number, row in enumerate(rows):
            # Across first where the cells are labels side by side, which is also how lists are read.
            down, across = divmod(number, self.columns)
            corner = self.x + across * self.column_width, self.y + down * self.row_height
            known = {**fields, **row, "row": str(first + number + 1)}
            for element in self.elements:
                if element.when is None or element.when.holds(known):
                    element.draw(label, known, corner)


@dataclass(frozen=True, slots=True)
class Template:
    """A label as data. `width` and `height` are millimetres; `samples` is what the preview shows."""

    name: str
    width: float
    height: float
    elements: tuple[Element, ...]
    words: Mapping[str, Mapping[str, str]]
    samples: Fields

    def draw(self, fields: Fields, dpi: int = 203, language: str = "zh") -> list[Label]:
        """A label for each page; more than one only where rows overflow.

        Raises TemplateError for a field that the template does not have, CannotPrint, DoesNotFit.
        """
        unknown = sorted(fields.keys() - self.samples.keys())
        if unknown:
            raise TemplateError(
                self.name,
                "",
                N_("there is no field %(field)s; its fields are %(fields)s"),
                field=repr(unknown[0]),
                fields=_known(self.samples),
            )
        known: dict[str, Value] = {**self.words.get(language, self.words.get("en", {})), **fields}
        repeat = next((element for element in self.elements if isinstance(element, Repeat)), None)
        rows = _rows(known, repeat) if repeat else []
        pages = max(1, -(-len(rows) // repeat.a_page)) if repeat else 1
        drawn = []
        for page in range(pages):
            label = Label.of_mm(self.width, self.height, dpi)
            here = {**known, "page": str(page + 1), "pages": str(pages)}
            for element in self.elements:
                if not _on_page(element, page, pages) or (element.when and not element.when.holds(here)):
                    continue
                if isinstance(element, Repeat):
                    first = page * element.a_page
                    element.draw_rows(label, here, rows[first : first + element.a_page], first)
                else:
                    element.draw(label, here)
            drawn.append(label)
        return drawn


@cache
def shipped(name: str) -> Template:
    """A template that comes with the program. Raises TemplateError."""
    folder = resources.files("printers") / "templates"
    if name not in names():
        raise TemplateError(name, "", N_("there is no such template; there are %(names)s"), names=", ".join(names()))
    with resources.as_file(folder) as here:
        return load(here / f"{name}.toml")


@cache
def text_of(name: str) -> str:
    """A template that comes with the program, as it stands in its file. Raises TemplateError."""
    shipped(name)
    return (resources.files("printers") / "templates" / f"{name}.toml").read_text("utf-8")


@cache
def names() -> tuple[str, ...]:
    """The templates that come with the program."""
    files = (resources.files("printers") / "templates").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def load(path: Path) -> Template:
    """Read a template from a file. Raises TemplateError, which names file, element and cure."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(path.name, "", N_("the file cannot be read: %(why)s"), why=str(error)) from error
    return parse(text, path.name, path.parent)


def parse(text: str, name: str, folder: Path | None = None) -> Template:
    """Read a template from text; pictures are looked for in `folder`. Raises TemplateError, with its line."""
    try:
        return _parsed(text, name, folder)
    except TemplateError as error:
        error.line = error.line or line_of(text, error.element)
        raise


def _parsed(text: str, name: str, folder: Path | None) -> Template:
    try:
        read = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Its own errors are ValueErrors, and so is a number of ten thousand digits.
        at = re.search(r"at line (\d+), column (\d+)", str(error))
        line = int(at[1]) if at else len(text.splitlines())
        rows = text.splitlines() or [""]
        raise TemplateError(
            name,
            "",
            N_("this is not TOML, in line %(line)s, which reads: %(text)s (%(why)s)"),
            line,
            text=rows[min(line, len(rows)) - 1].strip()[:60] or "—",
            why=str(error)[:120],
        ) from error
    top = _Reader(name, "", read)
    width, height = top.pair("size", 10, 400)
    words, samples = _words(top), _samples(top)
    listed = top.tables("element")
    top.end()
    if not listed:
        raise TemplateError(name, "", N_("it has no element; write at least one [[element]]"))
    elements = tuple(
        _element(_Reader(name, _where(number, table), table), (width, height), folder)
        for number, table in enumerate(listed, 1)
    )
    template = Template(name.removesuffix(".toml"), width, height, elements, words, samples)
    _check_names(template, name)
    return template


def _where(number: int, table: Mapping[str, Any], inside: str = "") -> str:
    kind = table.get("kind")
    return f"{inside}element {number} ({kind})" if isinstance(kind, str) else f"{inside}element {number}"


class _Reader:
    """One table of the file: each key is asked for once, and what nobody asked for is an error."""

    def __init__(self, template: str, where: str, table: Mapping[str, Any]) -> None:
        self.template, self.where = template, where
        self._table = table
        self._asked: list[str] = []

    def wrong(self, message: str, **facts: object) -> TemplateError:
        return TemplateError(self.template, self.where, message, **facts)  # type: ignore[arg-type]

    def _take(self, key: str, default: Any = None) -> Any:
        self._asked.append(key)
        return self._table.get(key, default)

    def has(self, key: str) -> bool:
        return key in self._table

    def pair(self, key: str, least: float, most: float) -> tuple[float, float]:
        value = self._take(key)
        if not (isinstance(value, list) and len(value) == 2 and all(_number(side) for side in value)):
            raise self.wrong(N_("%(key)s is two numbers in millimetres, such as %(key)s = [3, 12.5]"), key=key)
        if not all(least <= side <= most for side in value):
            raise self.wrong(
                N_("%(key)s lies between %(least)s and %(most)s mm, not %(value)s"),
                key=key,
                least=f"{least:g}",
                most=f"{most:g}",
                value=_short(value),
            )
        return float(value[0]), float(value[1])

    def length(self, key: str, default: float | None = None, least: float = 0.1, most: float = 400) -> float:
        value = self._take(key, default)
        if not _number(value):
            raise self.wrong(N_("%(key)s is needed: a number of millimetres"), key=key)
        if value != default and not least <= value <= most:
            raise self.wrong(
                N_("%(key)s lies between %(least)s and %(most)s mm, not %(value)s"),
                key=key,
                least=f"{least:g}",
                most=f"{most:g}",
                value=_short(value),
            )
        return float(value)

    def count(self, key: str, default: int, least: int = 1) -> int:
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 500:
            raise self.wrong(
                N_("%(key)s is a whole number from %(least)s to 500, not %(value)s"),
                key=key,
                least=least,
                value=_short(value),
            )
        return value

    def flag(self, key: str) -> bool:
        value = self._take(key, False)
        if not isinstance(value, bool):
            raise self.wrong(N_("%(key)s is true or false, not %(value)s"), key=key, value=_short(value))
        return value

    def choice(self, key: str, among: Sequence[str], default: str | None = None) -> str:
        value = self._take(key, default)
        if value not in among:
            raise self.wrong(
                N_("%(key)s is one of %(among)s, not %(value)s"), key=key, among=", ".join(among), value=_short(value)
            )
        return str(value)

    def string(self, key: str, default: str | None = None) -> str:
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self.wrong(N_("%(key)s is needed: a text in quotes"), key=key)
        return value

    def words(self, key: str) -> Words:
        text, parts, done = self.string(key), [], 0
        for found in _PART.finditer(text):
            parts.append(("", text[done : found.start()]))
            done = found.end()
            if found[0] in ("{{", "}}"):
                parts.append(("", found[0][0]))
                continue
            name, _, how = (found[1] or "").partition("|")
            if not _NAME.fullmatch(name) or how not in ("", "grouped"):
                raise self.wrong(
                    N_("%(text)s in %(key)s is no field; write {name} or {name|grouped}, and {{ for a brace"),
                    text=found[0],
                    key=key,
                )
            parts.append((name, how))
        parts.append(("", text[done:]))
        return Words(tuple(part for part in parts if part != ("", "")))

    def condition(self, key: str) -> Condition | None:
        if not self.has(key):
            return None
        text = self.string(key)
        found = _WHEN.fullmatch(text)
        if not found or (found[1] and found[3]):
            raise self.wrong(
                N_(
                    '%(key)s is "field", "not field", "field = value" or "field != value", with blanks around the '
                    "sign; not %(value)s"
                ),
                key=key,
                value=_short(text),
            )
        return Condition(found[2], found[4], negated=bool(found[1]) or found[3] == "!=")

    def table(self, key: str) -> Mapping[str, Any]:
        value = self._take(key, {})
        if not isinstance(value, dict):
            raise self.wrong(N_("[%(key)s] is a table"), key=key)
        return value

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        value = self._take(key, [])
        if not (isinstance(value, list) and all(isinstance(table, dict) for table in value)):
            raise self.wrong(N_("%(key)s is a list of tables: write [[%(key)s]] before each"), key=key)
        return value

    def end(self) -> None:
        unknown = [key for key in self._table if key not in self._asked]
        if unknown:
            raise self.wrong(
                N_("unknown key %(key)s; known here are %(known)s"),
                key=repr(unknown[0]),
                known=", ".join(sorted(self._asked)),
            )


def _short(value: object) -> str:
    """What stands in the file, as far as a message needs it."""
    shown = f"{value:g}" if isinstance(value, float) else str(value) if isinstance(value, list) else repr(value)
    return shown if len(shown) <= 60 else shown[:59] + "…"


_HEAD = re.compile(r"^[ \t]*\[\[\s*element\s*\]\]", re.MULTILINE)
_INNER = re.compile(r"^[ \t]*\[\[\s*element\s*\.\s*(?:element|rows)\s*\]\]", re.MULTILINE)


def line_of(text: str, where: str) -> int:
    """The line at which an element begins that an error or a finding names; 0 where it cannot be found."""
    place, head = 0, _HEAD
    for number in re.findall(r"(\d+)(?: \(|$)", where):
        found = list(head.finditer(text, place))[: int(number)]
        if len(found) < int(number):
            return 0
        place, head = found[-1].end(), _INNER
    return text.count("\n", 0, place) + 1 if place else 0


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _words(top: _Reader) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for language, table in top.table("words").items():
        if not isinstance(table, dict) or not all(isinstance(word, str) for word in table.values()):
            raise top.wrong(N_("[words.%(language)s] is a table of texts in quotes"), language=language)
        found[language] = table
    for language, table in found.items():
        for other in found.values():
            lacking = sorted(other.keys() - table.keys())
            if lacking:
                raise top.wrong(
                    N_("[words.%(language)s] lacks %(word)s, which another language has"),
                    language=language,
                    word=repr(lacking[0]),
                )
    return found


def _samples(top: _Reader) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in top.table("fields").items():
        rows = isinstance(value, list) and all(
            isinstance(row, dict) and all(isinstance(cell, str) for cell in row.values()) for row in value
        )
        if not (isinstance(value, str) or (rows and value)) or not _NAME.fullmatch(name) or name in _OWN:
            raise top.wrong(
                N_(
                    "field %(field)s needs a small-letter name and a sample: a text in quotes, or a list of at least "
                    "one row such as [{ sku = 'A1', qty = '2' }]"
                ),
                field=repr(name),
            )
        found[name] = value
    return found


def _check_names(template: Template, file: str) -> None:
    """Every name that an element reads must be a field or a word, so that a slip shows now and not on paper."""
    words = next(iter(template.words.values()), {})
    plain = {name for name, sample in template.samples.items() if isinstance(sample, str)}
    repeats = [element for element in template.elements if isinstance(element, Repeat)]
    for element in template.elements:
        known = {*words, *plain, "page", "pages"}
        inside: tuple[Element, ...] = (element,)
        if isinstance(element, Repeat):
            sample = template.samples.get(element.over)
            if sample is None or isinstance(sample, str | bytes) or len(repeats) > 1:
                raise TemplateError(
                    file, element.where, N_("a template repeats over one field, whose sample is a list of rows")
                )
            inside = (*element.elements, element)
            known |= {"row", *(name for row in sample for name in row)}
        for one in inside:
            conditions = [one.when.name] if one.when else []
            wrong = [name for name in (*one.names(), *conditions) if name not in known]
            if wrong:
                raise TemplateError(
                    file,
                    one.where,
                    N_("{%(field)s} is neither a field nor a word; its fields are %(fields)s"),
                    field=wrong[0],
                    fields=_known(template.samples),
                )


def _known(samples: Mapping[str, Value]) -> str:
    return ", ".join(sorted(samples)) or "—"


def _element(reader: _Reader, room: tuple[float, float], folder: Path | None, rows: bool = True) -> Element:
    kinds = ("text", "code128", "gs1-128", "ean", "qr", "datamatrix", "box", "line", "image", "stack", "repeat")
    kind = reader.choice("kind", kinds)
    x, y = reader.pair("at", 0, 400)
    if x >= room[0] or y >= room[1]:
        raise reader.wrong(
            N_("at = [%(x)s, %(y)s] lies outside the %(width)s×%(height)s mm that there are"),
            x=f"{x:g}",
            y=f"{y:g}",
            width=f"{room[0]:g}",
            height=f"{room[1]:g}",
        )
    when, on = reader.condition("when"), reader.choice("on", ("every", "first", "last"), "every")
    common: dict[str, Any] = {"where": reader.where, "when": when, "on": on, "x": x, "y": y}
    element: Element
    if kind == "text":
        element = _text(reader, common, room)
    elif kind in ("code128", "gs1-128", "ean"):
        show = reader.words("show") if reader.has("show") and kind != "ean" else None
        element = Code(
            **common,
            kind=kind,  # type: ignore[arg-type]
            data=reader.words("data"),
            width=reader.length("width", room[0] - x),
            height=reader.length("height", least=2),
            show=show,
            letters=reader.length("letters", 3, 0),
        )
    elif kind in ("qr", "datamatrix"):
        element = Square(
            **common,
            kind=kind,  # type: ignore[arg-type]
            data=reader.words("data"),
            side=reader.length("side", least=3),
            level=reader.choice("level", ("L", "M", "Q", "H"), "M") if kind == "qr" else "",
        )
    elif kind == "box":
        width, height = reader.pair("size", 0.5, 400)
        element = Box(**common, width=width, height=height, thick=reader.length("thick", 0.25))
    elif kind == "line":
        element = Line(
            **common,
            length=reader.length("length"),
            down=reader.flag("down"),
            thick=reader.length("thick", 0.25),
        )
    elif kind == "image":
        element = _image(reader, common, folder)
    elif kind == "stack":
        element = _stack(reader, common, room)
    else:
        element = _repeat(reader, common, room, folder, rows)
    reader.end()
    return element


def _text(reader: _Reader, common: Mapping[str, Any], room: tuple[float, float], placed: bool = True) -> Text:
    biggest = reader.flag("biggest") if placed else False
    lines = reader.count("lines", 1, 0 if not placed else 1)
    return Text(
        **common,
        text=reader.words("text"),
        width=reader.length("width", room[0] - common["x"]) if placed else 0,
        height=reader.length("height", least=1.5),
        bold=reader.flag("bold") or biggest,
        align=reader.choice("align", ("left", "center", "right"), "left"),  # type: ignore[arg-type]
        lines=lines,
        room=reader.length("room") if placed and reader.has("room") else None,
        smallest=reader.length("smallest", SMALLEST_MM, 1),
        biggest=biggest,
    )


def _image(reader: _Reader, common: Mapping[str, Any], folder: Path | None) -> Image:
    width, height = reader.pair("size", 1, 400)
    field, picture = reader.string("field", ""), b""
    file = reader.string("file", "")
    if bool(field) == bool(file):
        raise reader.wrong(N_('an image has either file = "logo.png", or field = the name of a field with a picture'))
    if file:
        if folder is None or Path(file).name != file:
            raise reader.wrong(
                N_("%(file)s must be a file beside the template, named without a folder"), file=_short(file)
            )
        try:
            picture = (folder / file).read_bytes()
        except OSError as error:
            raise reader.wrong(N_("the picture %(file)s cannot be read"), file=_short(file)) from error
        try:
            raw.open_picture(picture)
        except RefusedLabel as error:
            raise reader.wrong(
                N_("the picture %(file)s cannot be used: %(why)s"), file=_short(file), why=str(error)
            ) from error
    return Image(**common, width=width, height=height, picture=picture, field=field)


def _stack(reader: _Reader, common: Mapping[str, Any], room: tuple[float, float]) -> Stack:
    rows = []
    for number, table in enumerate(reader.tables("rows"), 1):
        inner = _Reader(reader.template, f"{reader.where}, row {number}", table)
        shared = {"where": inner.where, "when": inner.condition("when"), "on": "every", "x": 0.0, "y": 0.0}
        text, keep = _text(inner, shared, room, placed=False), inner.count("keep", 1)
        inner.end()
        rows.append((text, keep))
    if not rows:
        raise reader.wrong(N_("a stack needs at least one [[element.rows]]"))
    return Stack(
        **common,
        width=reader.length("width", room[0] - common["x"]),
        room=reader.length("room"),
        rows=tuple(rows),
    )


def _repeat(
    reader: _Reader, common: Mapping[str, Any], room: tuple[float, float], folder: Path | None, rows: bool
) -> Repeat:
    if not rows:
        raise reader.wrong(N_("a repeat cannot stand inside another one"))
    columns, row_height = reader.count("columns", 1), reader.length("row", least=3)
    column_width = reader.length("column", (room[0] - common["x"]) / columns)
    # A page of labels side by side may be as high as one of them.
    height = reader.length("room", row_height)
    cell = column_width, row_height
    elements = tuple(
        _element(_Reader(reader.template, _where(number, table, f"{reader.where}, "), table), cell, folder, False)
        for number, table in enumerate(reader.tables("element"), 1)
    )
    if not elements:
        raise reader.wrong(N_("a repeat needs at least one [[element.element]]"))
    if common["x"] + columns * column_width > room[0] + 0.01 or common["y"] + height > room[1] + 0.01:
        raise reader.wrong(
            N_("its rows and columns do not fit on the label; make room, row, column or columns smaller")
        )
    if height < row_height:
        raise reader.wrong(N_("room is less than one row is high"))
    return Repeat(
        **common,
        over=reader.string("over"),
        row_height=row_height,
        rows=int(height / row_height + 0.001),
        column_width=column_width,
        columns=columns,
        elements=elements,
    )


def _shown(row: Mapping[str, Value], name: str, how: str) -> str:
    value = row.get(name, "")
    text = value if isinstance(value, str) else ""
    return grouped(text) if how == "grouped" else text


def _rows(fields: Mapping[str, Value], repeat: Repeat) -> Sequence[Row]:
    rows = fields.get(repeat.over, ())
    if isinstance(rows, str | bytes):
        raise TemplateError(repeat.where, "", N_("the field %(field)s must be a list of rows"), field=repr(repeat.over))
    return rows


def _on_page(element: Element, page: int, pages: int) -> bool:
    return {"every": True, "first": page == 0, "last": page == pages - 1}[element.on]


def _place(label: Label, element: Element, at: tuple[float, float]) -> tuple[int, int]:
    return label.mm(at[0] + element.x), label.mm(at[1] + element.y)


def _right(label: Label, x: int, right_mm: float) -> int:
    """Dots from x to the right edge of the room, which is rounded as one: cells side by side do not overlap."""
    end = label.mm(right_mm)
    # The label itself is rounded down.
    return (label.width if end == label.width + 1 else end) - x


def _bottom(label: Label, y: int, bottom_mm: float) -> int:
    end = label.mm(bottom_mm)
    return (label.height if end == label.height + 1 else end) - y


def _thick(label: Label, thick_mm: float) -> int:
    return max(1, label.mm(thick_mm))
