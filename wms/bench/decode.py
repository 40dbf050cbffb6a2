"""`run.py bench decode FOLDER`: the product's cascade on photographs with known truth, beside its two engines plain.

A folder of pictures is one with `_symbology.txt` in it (one word; NONE: pictures without any code). Beside each
picture stands its truth, `name.txt`, and in `name.also.txt` the other codes that are really in it, a line each.
Every code that a decoder would let act and that is not true counts as wrong, also beside the right one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from wms import camera
from wms.camera.engines import ENGINE_NAMES, expanded
from wms.settings import Settings

summary = "photographs read and misread, and what one costs, beside plain pyzbar and plain zxing-cpp"

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
NONE = "NONE"
WAREHOUSE = frozenset({"Code128", "EAN13", "EAN8", "UPCA", "UPCE", "ITF", "QR", "DataMatrix"})
"""Symbologies that a warehouse uses: a misread of these may never happen."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="pictures with their truth beside them")
    parser.add_argument("--only", metavar="WORD", default="", help="only pictures with this in their path")
    parser.add_argument("--half", choices=("a", "b"), help="only one half; all pictures of a label are in the same")
    parser.add_argument("--without-peers", action="store_true", help="leave the plain engines out")
    parser.add_argument("--unread", action="store_true", help="name every picture that was not read, or not right")
    parser.add_argument("--json", action="store_true", help="print JSON with every picture instead of tables")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """0 when every picture could be opened and tried; how many were read never fails."""
    found = [p for p in pictures(args.folder) if args.only in p.name and args.half in (None, p.half)]
    if not found:
        print(
            f"NO PICTURES: {args.folder} has no folder with _symbology.txt and pictures in it"
            + (f" that fit --only {args.only!r} --half {args.half}" if args.only or args.half else ""),
            file=sys.stderr,
        )
        return 1
    decoders: dict[str, Decoder] = {"product": _product(settings)}
    if not args.without_peers:
        decoders |= {"zxing-cpp": _plain_zxing}
        if camera.second_engine():
            decoders |= {"pyzbar": _plain_zbar}
        else:
            _say(f"WITHOUT PYZBAR: {camera.second_engine_missing()}")
    tried = _try_all(found, decoders)
    result = {
        "pictures": len(found),
        "with_code": sum(p.symbology != NONE for p in found),
        "machine": _machine(),
        "decoders": {name: _figures(tried[name]) for name in decoders},
        "each": [_as_json(name, each) for name in decoders for each in tried[name]],
    }
    print(json.dumps(result, indent=1, ensure_ascii=False) if args.json else _table(result, args.unread))
    return 1 if any(each.failed for name in decoders for each in tried[name]) else 0


# --- the pictures and their truth -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, what is printed in it (all of it, the meant one first), and which half its label fell in."""

    path: Path
    name: str
    symbology: str
    truth: tuple[str, ...]
    half: str


def pictures(folder: Path) -> list[Picture]:
    """Every picture of the layout above, in order of path; none when there is no such folder."""
    found = []
    for kind in sorted(folder.rglob("_symbology.txt")):
        symbology = kind.read_text("utf-8").strip()
        for path in sorted(kind.parent.iterdir()):
            if path.suffix.lower() not in SUFFIXES:
                continue
            truth: tuple[str, ...] = ()
            if symbology != NONE:
                also = path.with_suffix(".also.txt")
                more = also.read_text("utf-8").splitlines() if also.exists() else []
                # As bytes: a code may hold any control character, a bare carriage return too.
                truth = (path.with_suffix(".txt").read_bytes().decode("utf-8"), *more)
            label = truth[0].strip() if truth else path.name
            half = "ab"[zlib.crc32(label.encode()) & 1]
            found.append(Picture(path, path.relative_to(folder).as_posix(), symbology, truth, half))
    return found


def is_true(picture: Picture, text: str) -> bool:
    """Whether a text is one of those printed in the picture, whatever name and zeros its reader gave it."""
    return any(_forms(text) & _forms(true) or _another_charset(true, text) for true in picture.truth)


_VIN = re.compile(r"I[A-HJ-NPR-Z0-9]{17}")
"""A vehicle's number under its data identifier I, which is printed in the bars and left out of the truth."""


def _forms(text: str) -> set[str]:
    text = text.strip().replace("\r\n", "\n")
    forms = {text}
    if text.isascii() and text.isdigit():
        if len(text) in (15, 18):  # an EAN-13 with its add-on; nothing asks for the add-on
            forms.add(text[:13])
        forms |= {each[1:] for each in set(forms) if len(each) == 13 and each.startswith("0")}
        if len(text) == 8 and text[0] in "01":
            forms.add(expanded(text))
    if len(text) > 2 and text[0] in "ABCD" and text[-1] in "ABCD":
        forms.add(text[1:-1])  # Codabar's ends, which some readers leave out
    if _VIN.fullmatch(text):
        forms.add(text[1:])
    return forms


def _another_charset(true: str, text: str) -> bool:
    """A QR code of Japanese or Chinese bytes says nothing of its charset; readers guess."""
    if true.isascii():
        return False
    for meant in ("utf-8", "shift_jis", "gb18030", "iso-8859-1"):
        for taken in ("shift_jis", "gb18030", "big5", "iso-8859-1", "cp1252"):
            try:
                if true.strip().encode(meant).decode(taken) == text.strip():
                    return True
            except UnicodeError:
                continue
    return False


# --- decoders -------------------------------------------------------------------------------------

Decoder = Callable[[bytes], "Iterable[tuple[str, bool]]"]
"""A picture file to texts, each with whether it may act without a person."""


def _product(settings: Settings) -> Decoder:
    formats = tuple(name for name in ENGINE_NAMES if name not in ("aztec", "code_93"))

    def decode(data: bytes) -> Iterator[tuple[str, bool]]:
        for code in camera.read(data, formats, budget_ms=settings.decode_budget_ms).codes:
            yield code.text, code.confirmed

    return decode


def _plain_zxing(data: bytes) -> Iterator[tuple[str, bool]]:
    import io

    import zxingcpp
    from PIL import Image

    for code in zxingcpp.read_barcodes(Image.open(io.BytesIO(data)), text_mode=zxingcpp.TextMode.Plain):
        yield code.text, True


def _plain_zbar(data: bytes) -> Iterator[tuple[str, bool]]:
    import io

    from PIL import Image
    from pyzbar import pyzbar

    for code in pyzbar.decode(Image.open(io.BytesIO(data))):
        yield code.data.decode("utf-8", "replace"), True


@dataclass(slots=True)
class Tried:
    """What one decoder made of one picture. ``cpu_ms`` is of all threads, opening the file included."""

    picture: Picture
    cpu_ms: float = 0.0
    right: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    failed: str = ""


def _try_all(found: Sequence[Picture], decoders: dict[str, Decoder]) -> dict[str, list[Tried]]:
    tried: dict[str, list[Tried]] = {name: [] for name in decoders}
    began = time.monotonic()
    for decode in decoders.values():
        decode_once(decode, found[0])  # libraries are loaded at the first picture
    for number, picture in enumerate(found, 1):
        for name, decode in decoders.items():
            tried[name].append(decode_once(decode, picture))
        if number % 25 == 0 or number == len(found):
            read = sum(bool(each.right) for each in tried["product"])
            _say(f"{number} of {len(found)} pictures, {read} read, {time.monotonic() - began:.0f} s")
    return tried


def decode_once(decode: Decoder, picture: Picture) -> Tried:
    """One decoder on one picture, timed; what it says is sorted by the truth."""
    tried = Tried(picture)
    data = picture.path.read_bytes()
    began = time.process_time()
    try:
        said = list(decode(data))
    except Exception as error:  # one bad file or decoder must not end the measurement
        tried.failed, said = f"{type(error).__name__}: {error}", []
    tried.cpu_ms = (time.process_time() - began) * 1000
    for text, acts in said:
        if is_true(picture, text):
            (tried.right if acts else tried.doubtful).append(text)
        elif acts:
            tried.wrong.append(text)
        else:
            tried.doubtful.append(text)
    return tried


# --- figures --------------------------------------------------------------------------------------


def _figures(tried: Sequence[Tried]) -> dict[str, Any]:
    coded = [each for each in tried if each.picture.symbology != NONE]
    groups: dict[str, list[Tried]] = {}
    for each in tried:
        groups.setdefault(each.picture.symbology, []).append(each)
    return {
        "all": _group(coded),
        "half a": _group([each for each in coded if each.picture.half == "a"]),
        "half b": _group([each for each in coded if each.picture.half == "b"]),
        "warehouse": _group([each for each in coded if each.picture.symbology in WAREHOUSE]),
        **{name: _group(groups[name]) for name in sorted(groups)},
    }


def _group(tried: Sequence[Tried]) -> dict[str, Any]:
    """wrong: answered, nothing of it true. beside: right with a wrong one beside it. offered: true, unconfirmed."""
    times = sorted(each.cpu_ms for each in tried) or [0.0]
    return {
        "n": len(tried),
        "read": sum(bool(each.right) for each in tried),
        "offered": sum(not each.right and any(is_true(each.picture, text) for text in each.doubtful) for each in tried),
        "wrong": sum(bool(each.wrong) and not each.right for each in tried),
        "beside": sum(bool(each.wrong) and bool(each.right) for each in tried),
        "cpu_ms_p50": statistics.median(times),
        "cpu_ms_p95": times[min(len(times) - 1, int(len(times) * 0.95))],
        "cpu_ms_mean": statistics.fmean(times),
        "cpu_ms_max": times[-1],
    }


def _as_json(decoder: str, each: Tried) -> dict[str, Any]:
    return {
        "decoder": decoder,
        "picture": each.picture.name,
        "symbology": each.picture.symbology,
        "half": each.picture.half,
        "cpu_ms": round(each.cpu_ms, 2),
        "right": each.right,
        "doubtful": each.doubtful,
        "wrong": each.wrong,
        "failed": each.failed,
    }


def _machine() -> str:
    packages = []
    for name in ("zxing-cpp", "pyzbar", "opencv-python-headless", "numpy", "pillow"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            packages.append(f"no {name}")
    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}; " + (
        ", ".join(packages)
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _table(result: dict[str, Any], unread: bool) -> str:
    lines = [result["machine"], f"{result['pictures']} pictures, {result['with_code']} with a code", ""]
    titles = ("read", "rate", "offered", "wrong", "beside", "p50 ms", "p95 ms", "mean")
    for name, groups in result["decoders"].items():
        lines.append(f"{name:<14}{'n':>5}" + "".join(f"{title:>9}" for title in titles))
        for group, f in groups.items():
            if not f["n"]:
                continue
            rate = f"{100 * f['read'] / f['n']:.1f} %" if group != NONE else "-"
            cells = (f["read"], rate, f["offered"], f["wrong"], f["beside"])
            times = (f["cpu_ms_p50"], f["cpu_ms_p95"], f["cpu_ms_mean"])
            row = "".join(f"{cell:>9}" for cell in cells) + "".join(f"{each:>9.1f}" for each in times)
            lines.append(f"{group:<14}{f['n']:>5}{row}")
        lines.append("")
    lines.append("read: the right code, fit to act. offered: right, but a person must agree. wrong: nothing right;")
    lines.append("on NONE a phantom. beside: a wrong one beside the right. CPU ms, file opening included.")
    for each in result["each"]:
        if each["failed"]:
            lines.append(f"FAILED {each['decoder']} {each['picture']}: {each['failed']}")
        elif each["decoder"] == "product" and (each["wrong"] or (unread and not each["right"])):
            lines.append(f"{each['picture']} {each['cpu_ms']:.0f} ms wrong={each['wrong']} doubtful={each['doubtful']}")
    return "\n".join(lines)
