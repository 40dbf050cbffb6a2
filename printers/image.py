"""Text as 1-bit pictures, Chinese first of all: every output takes the same dots from here."""

from __future__ import annotations

import importlib.util
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image, ImageFont

from printers.errors import CannotPrint, PrinterError

# A threshold, not dithering: a thermal head knows only burnt and not burnt.
THRESHOLD = 120
# Lines of Han characters closer than this are read as one block.
LINE_PITCH = 1.2
ELLIPSIS = "…"
_FONT_PACKAGE, _FONT_FILE = "manimgx_fonts_cjk", "NotoSansCJK-VF.otf.ttc"
_WEIGHTS = {False: 400, True: 700}
# About 20 MB of tiles; a warehouse meets some 3000 characters in four sizes.
_MOST_TILES = 20_000
# A number stays with its word: neither 6号 nor ×2 is torn apart.
_BREAKS = re.compile(r"\n|[^\S\n]|×?[!-~]+[号楼栋幢座室层弄]?|.", re.DOTALL)
_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# A line of Chinese does not begin with one of these.
_NEVER_FIRST = frozenset("，。、；：！？）】》」』”’％")

# How many dots a piece of text takes.
Measure = Callable[[str], int]

_lock = threading.RLock()
_font_path: Path | None = None


@dataclass(frozen=True, slots=True)
class _Tile:
    picture: Image.Image | None
    left: int
    top: int


class _Scale:
    """How wide each character of one weight is, in thousandths of the size.

    Sizes are tried out with this, before any face is opened and anything is drawn.
    """

    def __init__(self, bold: bool) -> None:
        self.font = _open_font(1000, bold)
        self.ascent, self.descent = self.font.getmetrics()
        self.advances: dict[str, int] = {}

    def width(self, text: str, size: int) -> int:
        """Dots of one line: each character takes whole dots."""
        known = self.advances
        total = 0
        for character in text:
            advance = known.get(character)
            if advance is None:
                with _lock:
                    advance = known[character] = round(self.font.getlength(character))
            total += (advance * size + 500) // 1000
        return total


class _Face:
    """One font at one size and weight, with each character it drew so far."""

    def __init__(self, size: int, bold: bool) -> None:
        self.font = _open_font(size, bold)
        # Nothing is assigned at U+FFFF, so this is what the font draws for "I have no such character".
        self.nothing = self._ink("\uffff")[:2]
        self.tiles: dict[str, _Tile | None] = {}

    def _ink(self, character: str) -> tuple[tuple[int, int], bytes, tuple[int, int]]:
        """Size, grey dots, and where they lie from the pen on its base line."""
        mask, offset = self.font.getmask2(character, "L", anchor="ls")
        return mask.size, bytes(mask), offset

    def tile(self, character: str) -> _Tile | None:
        """The picture of one character, or None where the font has none."""
        try:
            return self.tiles[character]
        except KeyError:
            with _lock:
                if len(self.tiles) > _MOST_TILES:
                    self.tiles.clear()
                made = self.tiles[character] = self._draw(character)
                return made

    def _draw(self, character: str) -> _Tile | None:
        if character.isspace():
            return _Tile(None, 0, 0)
        try:
            size, grey, (left, top) = self._ink(character)
        except UnicodeEncodeError:  # half a surrogate pair
            return None
        if (size, grey) == self.nothing or not any(grey):
            return None
        return _Tile(Image.frombytes("L", size, grey).point(_BURNT, "1"), left, top)


_BURNT = [255 if grey >= THRESHOLD else 0 for grey in range(256)]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn text, trimmed to its ink. Set bits of `image` are ink.

    `left` and `top` say where the picture lies from the place that the text was written at: its left edge,
    and the top of its first line of Han characters.
    """

    image: Image.Image
    left: int
    top: int
    lines: tuple[str, ...]
    cut: bool


def set_font(path: str | Path | None) -> None:
    """Draw with this font file from now on; None or "" means the one that was installed with us."""
    global _font_path
    wanted = Path(path) if path else None
    if wanted is not None and not wanted.is_file():
        raise PrinterError(f"no font file at {wanted}", permanent=True)
    with _lock:
        _font_path = wanted
        paint.cache_clear()
        _face.cache_clear()
        _scale.cache_clear()
        _font_file.cache_clear()


def clean(text: str) -> str:
    """The text without what has no picture of its own: controls, joiners, direction marks.

    Line breaks stay, any other white space becomes one blank.
    """
    text = re.sub("\r\n|[\r\u2028\u2029]", "\n", text)
    return "".join(_cleaned(unicodedata.normalize("NFC", text)))


def missing(text: str) -> list[str]:
    """Characters of the text that the font cannot draw, each once, in order."""
    face = _face(24, False)
    return list(dict.fromkeys(c for c in clean(text) if c != "\n" and face.tile(c) is None))


def printable(text: str) -> tuple[str, list[str]]:
    """The text with "?" for each character that cannot be drawn, and those characters."""
    lost = missing(text)
    return "".join("?" if c in lost else c for c in clean(text)), lost


def text_width(text: str, size: int, bold: bool = False) -> int:
    """Width in dots of one line."""
    return _scale(bold).width(text, size)


def wrap(text: str, size: int, bold: bool, width: int | None, lines: int) -> tuple[list[str], bool]:
    """The text broken into at most `lines` lines of `width` dots, and whether it had to be cut."""
    return break_lines(clean(text), lambda part: text_width(part, size, bold), width, lines)


def break_lines(
    text: str, measure: Measure, width: int | None, lines: int, ellipsis: str = ELLIPSIS
) -> tuple[list[str], bool]:
    """Break at blanks and between Han characters; a longer word is broken where the line ends.

    What does not go into `lines` lines is cut, and an ellipsis says so.
    """
    if lines == 1:
        text = text.replace("\n", " ")
    text = text.strip()
    if width is None:
        return text.split("\n")[:lines], text.count("\n") >= lines
    broken = list(_broken(text, measure, width))
    if len(broken) <= lines:
        return [row for row, _ in broken], False
    rest = text[broken[lines - 1][1] :].replace("\n", " ")
    kept, used = "", measure(ellipsis)
    for character in rest:
        used += measure(character)
        if used > width:
            break
        kept += character
    return [*(row for row, _ in broken[: lines - 1]), kept.rstrip() + ellipsis], True


def draw(
    text: str, size: int, bold: bool = False, width: int | None = None, lines: int = 1, align: str = "left"
) -> Picture:
    """Draw the text, wrapped into `width` dots and so many lines. Sizes in dots. Raises CannotPrint."""
    rows, cut = wrap(text, size, bold, width, lines)
    return paint(tuple(rows), size, bold, width, align, cut)


# Carrier, sender and the fixed words are the same on label after label.
@lru_cache(maxsize=500)
def paint(rows: tuple[str, ...], size: int, bold: bool, width: int | None, align: str, cut: bool = False) -> Picture:
    """Draw lines that are broken already; nobody may draw into what comes back. Raises CannotPrint."""
    face, scale = _face(size, bold), _scale(bold)
    drawn = [_tiles(face, row) for row in rows]
    widths = [scale.width(row, size) for row in rows]
    room = width if width is not None else max(widths, default=0)
    ascent, descent = (-(-part * size // 1000) for part in (scale.ascent, scale.descent))
    pitch = round(size * LINE_PITCH)
    # A little more on each side: some letters reach out of their own width.
    whole = Image.new("1", (room + 2 * size, ascent + descent + pitch * (len(rows) - 1)))
    for number, (row, tiles, used) in enumerate(zip(rows, drawn, widths, strict=True)):
        x = size + {"left": 0, "center": (room - used) // 2, "right": room - used}[align]
        base = ascent + pitch * number
        for character, tile in zip(row, tiles, strict=True):
            if tile.picture is not None:
                whole.paste(1, (x + tile.left, base + tile.top), tile.picture)
            x += scale.width(character, size)
    box = whole.getbbox()
    if box is None:
        return Picture(Image.new("1", (1, 1)), 0, 0, rows, cut)
    # The whole begins one ascent above the first base line, a good deal above the Han square.
    above = ascent - round(size * 0.88)
    return Picture(whole.crop(box), box[0] - size, box[1] - above, rows, cut)


def _cleaned(text: str) -> Iterator[str]:
    for character in text:
        category = unicodedata.category(character)
        if character == "\n":
            yield character
        elif character.isspace() and character != "\u3000":
            yield " "
        elif category not in ("Cc", "Cf") and not _VARIATION.match(character):
            yield character


def _tiles(face: _Face, text: str) -> list[_Tile]:
    tiles = [face.tile(character) for character in text]
    if None in tiles:
        raise CannotPrint(c for c, tile in zip(text, tiles, strict=True) if tile is None)
    return tiles  # type: ignore[return-value]


def _broken(text: str, measure: Measure, width: int) -> Iterator[tuple[str, int]]:
    """Each line, and where in the text it starts."""
    line, used, start = "", 0, 0
    for match in _BREAKS.finditer(text):
        part, place = match.group(), match.start()
        if part == "\n":
            yield line.rstrip(), start
            line, used, start = "", 0, match.end()
            continue
        if not line:
            start = place
            if part.isspace():
                continue
        needed = measure(part)
        if used + needed <= width or part.isspace():
            # A blank may hang over the edge: it is dropped where the line ends there.
            line, used = line + part, used + needed
            continue
        if part in _NEVER_FIRST and len(line) > 1:
            yield line[:-1].rstrip(), start
            line, used, start = line[-1] + part, measure(line[-1] + part), place - 1
            continue
        if line and (needed <= width or used > width // 2):
            yield line.rstrip(), start
            line, used, start = "", 0, place
        for offset, character in enumerate(part):  # a word, perhaps longer than a whole line
            step = measure(character)
            if used + step > width and line:
                yield line.rstrip(), start
                line, used, start = "", 0, place + offset
            line, used = line + character, used + step
    if line or not text:
        yield line.rstrip(), start


# A label has some ten sizes; those that texts were shrunk to go again.
@lru_cache(maxsize=64)
def _face(size: int, bold: bool) -> _Face:
    with _lock:
        return _Face(size, bold)


@cache
def _scale(bold: bool) -> _Scale:
    with _lock:
        return _Scale(bold)


def _open_font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    path, index = _font_file()
    font = ImageFont.truetype(path, size, index=index, layout_engine=ImageFont.Layout.BASIC)
    try:
        # The default instance of the variable font is Thin, which does not survive a thermal head.
        font.set_variation_by_axes([_WEIGHTS[bold]])
    except OSError:
        pass  # A font without weights: bold looks as regular.
    return font


@cache
def _font_file() -> tuple[str, int]:
    path = _font_path
    if path is None:
        found = importlib.util.find_spec(_FONT_PACKAGE)
        if found is None or found.origin is None:
            raise PrinterError("no label font: install manimgx-fonts-cjk or set a font path", permanent=True)
        path = Path(found.origin).with_name(_FONT_FILE)
    # A collection holds the same characters in Japanese, Korean and Chinese shapes.
    for index in range(16):
        try:
            family = ImageFont.truetype(str(path), 12, index=index).getname()[0] or ""
        except OSError:
            break
        if family.endswith(" SC"):
            return str(path), index
    return str(path), 0
