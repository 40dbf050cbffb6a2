"""A picture to the codes in it: two decoders, some retries, two readings for a linear code. Pure."""

from __future__ import annotations

import io
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import zxingcpp
from PIL import Image, ImageFilter, ImageOps

from wms.errors import N_, Refusal

MAX_PIXELS = 50_000_000
WORK_SIDE_PX = 1600  # larger ones cost ten times as much and read no more
SMALL_SIDE_PX = 1000
BUDGET_MS = 800  # of this thread's CPU for the retries of one picture
PICTURE_KINDS = ("JPEG", "PNG", "WEBP")

# W3C name → zxing-cpp format, zbar symbol. zbar has no Data Matrix, PDF417 (only a stub) or Aztec.
ENGINE_NAMES: dict[str, tuple[str, str | None]] = {
    "aztec": ("Aztec", None),
    "codabar": ("Codabar", "CODABAR"),
    "code_39": ("Code39", "CODE39"),
    "code_93": ("Code93", "CODE93"),
    "code_128": ("Code128", "CODE128"),
    "data_matrix": ("DataMatrix", None),
    "ean_8": ("EAN8", "EAN8"),
    "ean_13": ("EAN13", "EAN13"),
    "itf": ("ITF", "I25"),
    "pdf417": ("PDF417", None),
    "qr_code": ("QRCode", "QRCODE"),
    "upc_a": ("UPCA", "UPCA"),
    "upc_e": ("UPCE", "UPCE"),
}
MATRIX = frozenset({"aztec", "data_matrix", "pdf417", "qr_code"})
RETAIL = frozenset({"ean_13", "upc_a", "upc_e"})
# Shorter ones are mostly pieces of something else: these symbologies do not protect their ends.
SHORTEST = {"itf": 8, "code_39": 3, "codabar": 4}
# Retries were seen to agree on a piece of a longer code; these two guard themselves least, so both decoders
# must have read them.
WEAK = frozenset({"itf", "upc_e"})

Point = tuple[int, int]


class NotAPicture(Refusal):
    message = N_("This file is not a picture, or it did not arrive whole. Take the photo again.")


class PictureTooBig(NotAPicture):
    message = N_("The picture has %(megapixels)s megapixels; at most %(most)s are taken. Take a smaller one.")


@dataclass(frozen=True)
class Code:
    """One code. ``corners`` are pixels of the upright full-size picture, ``ms`` runs from the start.

    ``confirmed`` is False for a linear code that only one reading gave: a person must agree before it acts.
    """

    text: str
    symbology: str  # W3C name
    engine: str
    ms: float
    corners: tuple[Point, ...] = ()
    confirmed: bool = True


@dataclass(frozen=True)
class Reading:
    """What one picture said. ``message`` is empty when exactly one code can be taken without asking."""

    codes: tuple[Code, ...]
    width: int
    height: int
    ms: float
    message: str = ""

    @property
    def certain(self) -> bool:
        """Exactly one code, and it is confirmed: it may act as a scan."""
        return len(self.codes) == 1 and self.codes[0].confirmed


NO_CODE = N_("No barcode found. Go closer, hold still, and keep reflections off the label.")
CHECK_IT = N_("Compare with the label, then tap the code.")


def read(data: bytes, formats: Sequence[str]) -> Reading:
    """Codes of the W3C symbologies ``formats`` in a picture file. Raises NotAPicture or PictureTooBig.

    ``ean_13`` and ``upc_a`` mean each other (one is the other with a zero in front), unknown names are
    left out; without any known name a ValueError. Blocks its thread; one decode a core runs at a time.
    """
    wanted = _wanted(formats)
    return _pool().submit(_read, data, wanted).result()


@cache
def second_engine() -> str | None:
    """The second decoder's name; None without libzbar (see ``second_engine_missing``).

    Its version is not asked: ``zbar_version`` takes another number of pointers from release to release, and
    one too few ends the process.
    """
    zbar, _ = _zbar()
    return None if zbar is None else "zbar"


def second_engine_missing() -> str:
    """Why there is no second decoder, in one sentence for doctor; empty when there is one."""
    return _zbar()[1]


def _wanted(formats: Sequence[str]) -> tuple[str, ...]:
    names = dict.fromkeys(name.strip().lower() for name in formats)
    if "ean_13" in names or "upc_a" in names:
        names |= dict.fromkeys(("ean_13", "upc_a"))
    known = tuple(name for name in names if name in ENGINE_NAMES)
    if not known:
        raise ValueError(f"no known symbology in {formats!r}")
    return known


# ---------------------------------------------------------------- threads

_pools: dict[int, ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


def _pool() -> ThreadPoolExecutor:
    # By process: threads do not survive a fork. As many threads as cores: the decoders let go of the GIL,
    # so more would only slow the scans that are answered beside them.
    with _pools_lock:
        pool = _pools.get(os.getpid())
        if pool is None:
            pool = ThreadPoolExecutor(os.cpu_count() or 1, "decode", initializer=_use_all_cores)
            _pools[os.getpid()] = pool
        return pool


def _use_all_cores() -> None:
    # The web process holds itself on one core; on Linux this call frees only the calling thread again.
    if hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        except OSError:
            pass  # a container that forbids it decodes on the core it has


# ---------------------------------------------------------------- picture

# A file of some kilobytes can unpack to gigabytes; sizes are also compared before anything is unpacked.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class _Picture:
    gray: Image.Image  # upright, longest side at most WORK_SIDE_PX
    width: int
    height: int


def _open(data: bytes) -> _Picture:
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=PICTURE_KINDS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_big(_claimed_pixels(str(error))) from error
    except Exception as error:  # Pillow's readers raise many kinds on broken files
        raise NotAPicture from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_big(width * height)
    try:
        gray = _gray(image)
    except Exception as error:  # as above: cut off, or not what its first bytes said
        raise NotAPicture from error
    turned = _orientation(image)
    if turned is not None:
        gray = gray.transpose(turned)
        if turned in _SIDEWAYS:
            width, height = height, width
    return _Picture(gray, width, height)


def _claimed_pixels(text: str) -> int:
    found = re.search(r"\((\d+) pixels\)", text)
    return int(found[1]) if found else 2 * MAX_PIXELS


def _too_big(pixels: int) -> PictureTooBig:
    return PictureTooBig(megapixels=pixels // 1_000_000, most=MAX_PIXELS // 1_000_000)


def _gray(image: Image.Image) -> Image.Image:
    image.draft("L", (WORK_SIDE_PX, WORK_SIDE_PX))  # a JPEG is unpacked at 1/2, 1/4, 1/8: less to unpack
    image.load()
    if image.mode.startswith(("I", "F")):
        low, high = image.convert("F").getextrema()
        span = (float(str(high)) - float(str(low))) or 1.0
        scaled = image.convert("F").point(lambda value: value * (255 / span) - float(str(low)) * 255 / span)
        image = scaled.convert("L")
    elif image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        seen = image.convert("RGBA")
        paper = Image.new("RGBA", seen.size, "white")
        paper.alpha_composite(seen)
        image = paper.convert("L")
    elif image.mode != "L":
        image = image.convert("L")
    if max(image.size) > WORK_SIDE_PX:
        image.thumbnail((WORK_SIDE_PX, WORK_SIDE_PX), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return image


_SIDEWAYS = frozenset(
    {
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_90,
    }
)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:  # a spoilt EXIF block is no reason to refuse the picture
        return None


# ---------------------------------------------------------------- variants of the picture


@dataclass(frozen=True)
class _Variant:
    name: str
    image: Image.Image
    place: Callable[[float, float], tuple[float, float]]  # from its pixels to those of the gray picture


def _variants(gray: Image.Image) -> Iterator[_Variant]:
    """The picture, then what helps when it was not enough; each is made only when it is asked for."""
    side = max(gray.size)
    yield _Variant("plain", gray, lambda x, y: (x, y))
    if side < 400:  # codes that fill the picture lack their quiet zone
        framed = ImageOps.expand(gray, 24, 255)
        large = framed.resize((framed.width * 2, framed.height * 2), Image.Resampling.BICUBIC)
        yield _Variant("framed", large, lambda x, y: (x / 2 - 24, y / 2 - 24))
    yield _Variant("sharp", gray.filter(ImageFilter.UnsharpMask(2, 180, 0)), lambda x, y: (x, y))
    if side > SMALL_SIDE_PX:
        small = gray.copy()
        small.thumbnail((SMALL_SIDE_PX, SMALL_SIDE_PX), Image.Resampling.BICUBIC)
        back = gray.width / small.width
        yield _Variant("small", small, lambda x, y: (x * back, y * back))
    else:
        doubled = gray.resize((gray.width * 2, gray.height * 2), Image.Resampling.BICUBIC)
        yield _Variant("double", doubled, lambda x, y: (x / 2, y / 2))
    yield _Variant("even", ImageOps.autocontrast(gray, cutoff=2), lambda x, y: (x, y))
    for degrees in (30, -30, 15, -15, 45):  # neither decoder scans linear codes at an angle of its own
        yield _turned(gray, degrees)


def _turned(gray: Image.Image, degrees: int) -> _Variant:
    import math

    turned = gray.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=128)
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)

    def place(x: float, y: float) -> tuple[float, float]:
        dx, dy = x - turned.width / 2, y - turned.height / 2
        return gray.width / 2 + dx * cos - dy * sin, gray.height / 2 + dx * sin + dy * cos

    return _Variant(f"turned {degrees}", turned, place)


# ---------------------------------------------------------------- decoders


@dataclass(frozen=True)
class _Answer:
    text: str
    symbology: str
    engine: str
    corners: tuple[tuple[float, float], ...]


@cache
def _zxing_formats(wanted: tuple[str, ...]) -> Any:
    return [getattr(zxingcpp.BarcodeFormat, ENGINE_NAMES[name][0]) for name in wanted]


_ZXING_NAMES = {zxing: name for name, (zxing, _) in ENGINE_NAMES.items()}


def _zxing(image: Image.Image, wanted: tuple[str, ...]) -> Iterator[_Answer]:
    # Plain: the default text mode would put brackets around GS1 identifiers and lose the separators.
    found = zxingcpp.read_barcodes(image, formats=_zxing_formats(wanted), text_mode=zxingcpp.TextMode.Plain)
    for code in found:
        name = _ZXING_NAMES.get(code.format.name)
        if name is None or not code.valid:
            continue
        at = code.position
        corners = tuple(
            (float(point.x), float(point.y)) for point in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
        )
        yield _answer(code.text, name, "zxing", corners)


@cache
def _zbar() -> tuple[Any, str]:
    # Only here: the import itself fails on a machine without the library, and everything else must go on.
    try:
        from pyzbar import pyzbar
    except ImportError as error:
        return None, f"libzbar is missing ({error}): zxing-cpp reads alone. apt-get install libzbar0"
    return pyzbar, ""


_ZBAR_NAMES = {zbar: name for name, (_, zbar) in ENGINE_NAMES.items() if zbar}


def _zbar_read(image: Image.Image, wanted: Iterable[str]) -> Iterator[_Answer]:
    zbar, _ = _zbar()
    symbols = [getattr(zbar.ZBarSymbol, name) for w in wanted if (name := ENGINE_NAMES[w][1])] if zbar else []
    if not symbols:  # without a list zbar reads all it knows, and sees phantoms
        return
    for code in zbar.decode(image, symbols=symbols):
        name = _ZBAR_NAMES.get(code.type)
        if name is None:
            continue
        text = code.data.decode("utf-8", errors="replace")
        yield _answer(text, name, "zbar", tuple((float(x), float(y)) for x, y in code.polygon))


def _answer(text: str, name: str, engine: str, corners: tuple[tuple[float, float], ...]) -> _Answer:
    if name in RETAIL:
        text, name = _retail(text, name)
    return _Answer(text, name, engine, corners)


def _retail(text: str, name: str) -> tuple[str, str]:
    """One text for one number: UPC-A as its 12 digits, UPC-E expanded to them, EAN-13 as it is."""
    if name == "upc_e" and len(text) == 8 and text.isascii() and text.isdigit():
        return _expanded(text), name
    if len(text) == 13 and text.startswith("0"):
        return text[1:], "upc_e" if name == "upc_e" else "upc_a"
    return text, name


def _expanded(upc_e: str) -> str:
    system, body, check = upc_e[0], upc_e[1:7], upc_e[7]
    last = body[5]
    if last in "012":
        return system + body[:2] + last + "0000" + body[2:5] + check
    if last == "3":
        return system + body[:3] + "00000" + body[3:5] + check
    if last == "4":
        return system + body[:4] + "00000" + body[4] + check
    return system + body[:5] + "0000" + last + check


# ---------------------------------------------------------------- agreement


@dataclass
class _Candidate:
    first: Code
    readings: set[tuple[str, str]] = field(default_factory=set)  # (engine, variant)

    @property
    def confirmed(self) -> bool:
        if self.first.symbology in WEAK and _zbar()[0] is not None:
            return len({engine for engine, _ in self.readings}) > 1
        return self.first.symbology in MATRIX or len(self.readings) > 1


def _read(data: bytes, wanted: tuple[str, ...]) -> Reading:
    began = time.perf_counter()
    picture = _open(data)
    candidates: dict[tuple[str, str], _Candidate] = {}
    cpu_end = time.thread_time() + BUDGET_MS / 1000
    scale = max(picture.width, picture.height) / max(picture.gray.size)

    def count(variant: _Variant, answers: Iterable[_Answer]) -> None:
        for answer in answers:
            if len(answer.text) < SHORTEST.get(answer.symbology, 1):
                continue
            # EAN and UPC are one family: the two decoders name the same bars differently.
            family = "retail" if answer.symbology in RETAIL else answer.symbology
            key = (family, answer.text)
            if key not in candidates:
                spots = (variant.place(x, y) for x, y in answer.corners)
                corners = tuple((round(x * scale), round(y * scale)) for x, y in spots)
                passed_ms = (time.perf_counter() - began) * 1000
                candidates[key] = _Candidate(Code(answer.text, answer.symbology, answer.engine, passed_ms, corners))
            candidates[key].readings.add((answer.engine, variant.name))

    linear = tuple(name for name in wanted if name not in MATRIX)
    for variant in _variants(picture.gray):
        count(variant, _zxing(variant.image, wanted))
        # A matrix code needs no second opinion, and zbar guesses some charsets wrong.
        matrix_read = any(key[0] in MATRIX for key in candidates)
        count(variant, _zbar_read(variant.image, linear if matrix_read else wanted))
        agreed = [candidate.confirmed for candidate in candidates.values()]
        # The untouched picture must leave nothing open; after a retry one agreement is enough.
        done = any(agreed) and (all(agreed) or variant.name != "plain")
        if done or time.thread_time() > cpu_end:
            break
    return _reading(candidates.values(), picture, (time.perf_counter() - began) * 1000)


def _reading(candidates: Iterable[_Candidate], picture: _Picture, ms: float) -> Reading:
    """Confirmed codes, or else what one reading gave, marked so: a wrong code is worse than none."""
    all_of_them = list(candidates)
    confirmed = tuple(candidate.first for candidate in all_of_them if candidate.confirmed)
    doubtful = tuple(replace(candidate.first, confirmed=False) for candidate in all_of_them)
    codes = confirmed or doubtful
    message = ""
    if not codes:
        message = NO_CODE
    elif not confirmed:
        message = CHECK_IT
    return Reading(codes, picture.width, picture.height, ms, message)
