"""Labels made elsewhere: ZPL of a carrier passes untouched, PDF and PNG become dots of our printer."""

from __future__ import annotations

import io
import re
from functools import lru_cache
from typing import Literal

import pypdfium2
from PIL import Image, UnidentifiedImageError

from printers.errors import RefusedLabel
from printers.label import Label

Kind = Literal["zpl", "pdf", "picture"]
# More than this is no label: 300 x 300 mm at 600 dpi are 50 million dots.
_MOST_PIXELS = 60_000_000
# How far paper and page may differ and still be the same size.
_SAME_MM = 2.0
_BURNT = [255 if grey < 128 else 0 for grey in range(256)]

# A picture brought along is part of the label; anything else with a tilde speaks to the machine.
_TILDE = re.compile(rb"~([A-Za-z]{2})?")
_TILDE_ALLOWED = {b"DG"}
_CARET_REFUSED = {
    b"JU": "saves settings in the printer",
    b"JB": "erases the printer's memory",
    b"KP": "changes the printer's password",
    b"KN": "changes the printer's name",
    b"CC": "changes what a command begins with",
    b"CT": "changes what a command begins with",
    b"CD": "changes what stands between values",
    b"NC": "changes the printer's network",
    b"ND": "changes the printer's network",
    b"NI": "changes the printer's network",
    b"NS": "changes the printer's network",
    b"SE": "changes the printer's characters",
    b"SX": "changes when the printer reports",
}


def kind_of(label: bytes) -> Kind:
    """What a label is by its first bytes; what is neither a PDF nor a picture must stand as ZPL."""
    if label.lstrip()[:5] == b"%PDF-":
        return "pdf"
    pictures = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
    return "picture" if label.startswith(pictures) else "zpl"


def check_zpl(job: bytes) -> int:
    """How many labels come out of ZPL that somebody else made. Raises RefusedLabel, and says why.

    The bytes themselves are not touched: a carrier may have its own reasons for each of them.
    """
    text = job.strip(b" \t\r\n\x00\xef\xbb\xbf")
    if not text.startswith((b"^XA", b"~DG")) or b"^XA" not in text:
        raise RefusedLabel("the label does not begin with ^XA")
    if not text.endswith(b"^XZ"):
        raise RefusedLabel("the label does not end with ^XZ: it is cut, or it is not ZPL")
    for found in _TILDE.finditer(text):
        if (found[1] or b"").upper() not in _TILDE_ALLOWED:
            shown = text[found.start() : found.start() + 3].decode("ascii", "replace")
            raise RefusedLabel(f"the label holds {shown}, a command to the printer itself", "command", shown)
    for command, why in _CARET_REFUSED.items():
        if re.search(rb"\^" + command, text, re.IGNORECASE):
            shown = f"^{command.decode()}"
            raise RefusedLabel(f"the label holds {shown}, which {why}", "command", shown)
    return _labels_in(text)


def check_zpl_size(job: bytes, width_mm: float, height_mm: float, dpi: int) -> None:
    """Compare the size that the label names with the paper. Raises RefusedLabel."""
    paper = int(width_mm * dpi / 25.4), int(height_mm * dpi / 25.4)
    for dots, room in zip(zpl_dots(job), paper, strict=True):
        # 2 mm: some carriers name the sheet and not the label on it.
        if dots is not None and dots > room + _SAME_MM * dpi / 25.4:
            shown = "×".join("?" if side is None else f"{side * 25.4 / dpi:.0f}" for side in zpl_dots(job))
            raise RefusedLabel(f"the label is {shown} mm, the paper {width_mm:g}×{height_mm:g} mm", "size", shown)


def zpl_dots(job: bytes) -> tuple[int | None, int | None]:
    """How wide and how long the largest of its labels says that it is, where it says so."""
    width, length = (
        max((int(dots) for dots in re.findall(rb"\^" + name + rb"(\d{1,5})", job, re.IGNORECASE)), default=None)
        for name in (b"PW", b"LL")
    )
    return width, length


def _labels_in(text: bytes) -> int:
    total = 0
    for part in re.split(rb"\^XA", text)[1:]:
        body, closed, after = part.partition(b"^XZ")
        if not closed:
            raise RefusedLabel("a label begins before the one before it ended")
        if b"^XZ" in after:
            raise RefusedLabel("a label ends twice")
        # A format that is only stored prints nothing.
        if re.search(rb"\^DF", body):
            continue
        quantity = re.findall(rb"\^PQ(\d+)", body)
        total += max(1, int(quantity[-1])) if quantity else 1
    if not 1 <= total <= 100:
        raise RefusedLabel(f"{total} labels would come out of it")
    return total


def from_pdf(document: bytes, width_mm: float, height_mm: float, dpi: int, fit: bool = False) -> list[Label]:
    """A label for each page of a PDF, at the printer's own dots.

    A page of the paper's size is drawn one to one, turned if it lies; another size is refused, or with
    `fit` drawn as large as the paper allows. Raises RefusedLabel.
    """
    try:
        opened = pypdfium2.PdfDocument(document)
        pages = len(opened)
    except pypdfium2.PdfiumError as error:
        raise RefusedLabel("this is not a PDF that can be read") from error
    try:
        if not 1 <= pages <= 100:
            raise RefusedLabel(f"the PDF has {pages} pages")
        return [_pdf_page(opened[number], width_mm, height_mm, dpi, fit) for number in range(pages)]
    finally:
        opened.close()


def _pdf_page(page: pypdfium2.PdfPage, width_mm: float, height_mm: float, dpi: int, fit: bool) -> Label:
    size = tuple(points * 25.4 / 72 for points in page.get_size())
    turned = _turned(size, (width_mm, height_mm))
    scale = _scale(size[::-1] if turned else size, (width_mm, height_mm), fit)
    pixels = size[0] * size[1] * (scale * dpi / 25.4) ** 2
    if pixels > _MOST_PIXELS:
        raise RefusedLabel(f"a page of {size[0]:.0f}×{size[1]:.0f} mm is no label")
    only = _only_picture(page)
    if only is not None and scale == 1.0:
        upright = only.transpose(Image.Transpose.ROTATE_270) if turned else only
        if _dot_for_dot(upright, (int(width_mm * dpi / 25.4), int(height_mm * dpi / 25.4))):
            return _on_paper(upright.point(_BURNT, "1"), width_mm, height_mm, dpi)
    # Drawn in grey and cut at the middle: a bar's edge falls on the nearest dot.
    drawn = page.render(scale=scale * dpi / 72, grayscale=True, rotation=90 if turned else 0).to_pil()
    return _on_paper(drawn.convert("L").point(_BURNT, "1"), width_mm, height_mm, dpi)


def _only_picture(page: pypdfium2.PdfPage) -> Image.Image | None:
    """The one picture that the whole page is made of, as grey: drawing its dots anew would only blur them."""
    parts = list(page.get_objects(max_depth=1))
    if len(parts) != 1 or not isinstance(parts[0], pypdfium2.PdfImage) or page.get_rotation():
        return None
    across, skew, other_skew, down, x, y = parts[0].get_matrix().get()
    wide, high = page.get_size()
    if skew or other_skew or any(abs(off) > 1 for off in (x, y, across - wide, down - high)):
        return None
    return parts[0].get_bitmap().to_pil().convert("L")  # type: ignore[no-any-return]


def _dot_for_dot(drawn: Image.Image, room: tuple[int, int]) -> bool:
    """True where the dots are those of the paper, give or take what rounding and margins do."""
    return all(-2 <= inside - dots <= 0.03 * inside for dots, inside in zip(drawn.size, room, strict=True))


def from_picture(picture: bytes, width_mm: float, height_mm: float, dpi: int, fit: bool = False) -> Label:
    """A label of a PNG (or any picture), at the printer's own dots.

    A picture as many dots wide and high as the paper is taken dot for dot. Else its own resolution tells its
    size; where that is not the paper's it is refused, or with `fit` scaled. Raises RefusedLabel.
    """
    opened = open_picture(picture)
    room = int(width_mm * dpi / 25.4), int(height_mm * dpi / 25.4)
    if _turned(opened.size, room):
        opened = opened.transpose(Image.Transpose.ROTATE_270)
    if _dot_for_dot(opened, room):
        return _on_paper(opened.point(_BURNT, "1"), width_mm, height_mm, dpi)
    own_dpi = opened.info.get("dpi", (0, 0))[0]
    if not fit:
        size = tuple(dots * 25.4 / own_dpi for dots in opened.size) if own_dpi > 30 else None
        if size is None:
            dots = f"{opened.width}×{opened.height}"
            raise RefusedLabel(f"the picture has {dots} dots, the paper {room[0]}×{room[1]}", "size", dots)
        scale = _scale(size, (width_mm, height_mm), fit=False) * dpi / own_dpi
    else:
        scale = min(inside / dots for dots, inside in zip(opened.size, room, strict=True))
    wanted = tuple(max(1, min(inside, round(dots * scale))) for dots, inside in zip(opened.size, room, strict=True))
    return _on_paper(_resized(opened, wanted).point(_BURNT, "1"), width_mm, height_mm, dpi)


def open_picture(picture: bytes) -> Image.Image:
    """A picture as grey on white. Raises RefusedLabel."""
    try:
        opened: Image.Image = Image.open(io.BytesIO(picture))
        if opened.width * opened.height > _MOST_PIXELS:
            raise RefusedLabel(f"a picture of {opened.width}×{opened.height} dots is no label")
        info = opened.info
        if opened.mode in ("P", "LA", "PA", "RGBA") or "transparency" in info:
            seen = opened.convert("RGBA")
            opened = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
        grey = opened.convert("L")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise RefusedLabel("this is not a picture that can be read") from error
    grey.info = dict(info)
    return grey


@lru_cache(maxsize=200)
def fitted(picture: bytes, room: tuple[int, int]) -> Image.Image:
    """A picture as large as the room allows, set bits ink. Raises RefusedLabel."""
    opened = open_picture(picture)
    scale = min(inside / dots for dots, inside in zip(opened.size, room, strict=True))
    wanted = tuple(max(1, min(inside, round(dots * scale))) for dots, inside in zip(opened.size, room, strict=True))
    return _resized(opened, wanted).point(_BURNT, "1")


def _resized(grey: Image.Image, wanted: tuple[int, ...]) -> Image.Image:
    size = (wanted[0], wanted[1])
    # Many dots into one are averaged; one dot into many keeps its edges.
    how = Image.Resampling.BOX if size[0] <= grey.width else Image.Resampling.NEAREST
    return grey.resize(size, how)


def _turned(size: tuple[float, ...], room: tuple[float, float]) -> bool:
    return (size[0] > size[1]) != (room[0] > room[1]) and size[0] != size[1] and room[0] != room[1]


def _scale(size_mm: tuple[float, ...], paper_mm: tuple[float, float], fit: bool) -> float:
    if all(abs(side - paper) <= _SAME_MM for side, paper in zip(size_mm, paper_mm, strict=True)):
        return 1.0
    if not fit:
        shown, wanted = (f"{one:.0f}×{other:.0f}" for one, other in (size_mm, paper_mm))
        raise RefusedLabel(f"the label is {shown} mm, the paper {wanted} mm", "size", shown)
    return min(paper / side for side, paper in zip(size_mm, paper_mm, strict=True))


def _on_paper(drawn: Image.Image, width_mm: float, height_mm: float, dpi: int) -> Label:
    """In the middle of the paper, what hangs over cut off; only the inked part is sent."""
    label = Label.of_mm(width_mm, height_mm, dpi)
    # A dot too many is cut off at the right or below, so that nothing moves.
    x, y = int((label.width - drawn.width) / 2), int((label.height - drawn.height) / 2)
    whole = Image.new("1", (label.width, label.height))
    whole.paste(drawn, (x, y))
    box = whole.getbbox()
    if box is None:
        raise RefusedLabel("nothing is drawn on it")
    return label.picture(box[0], box[1], whole.crop(box))
