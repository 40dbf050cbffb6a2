"""The decoders behind one face: zxing-cpp, zbar where its library is installed, OpenCV for crumpled QR codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import zxingcpp

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

Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Answer:
    """One code that one engine read; ``corners`` are pixels of the picture it was given."""

    text: str
    symbology: str
    engine: str
    corners: Corners = ()


@cache
def _zxing_formats(wanted: tuple[str, ...]) -> Any:
    return [getattr(zxingcpp.BarcodeFormat, ENGINE_NAMES[name][0]) for name in wanted]


_ZXING_NAMES = {zxing: name for name, (zxing, _) in ENGINE_NAMES.items()}


def zxing(image: Any, wanted: tuple[str, ...], harder: bool = False) -> Iterator[Answer]:
    """``harder``: also on its side, light on dark, and in smaller copies of the picture; three times dearer."""
    if not wanted:
        return
    # Plain: the default text mode would put brackets around GS1 identifiers and lose the separators.
    found = zxingcpp.read_barcodes(
        image,
        formats=_zxing_formats(wanted),
        text_mode=zxingcpp.TextMode.Plain,
        try_rotate=harder,
        try_invert=harder,
        try_downscale=harder,
    )
    for code in found:
        name = _ZXING_NAMES.get(code.format.name)
        if name is None or not code.valid:
            continue
        yield answer(code.text, name, "zxing", _corners(code))


def damaged_qr(image: Any) -> list[Corners]:
    """Where a QR code was seen that did not decode."""
    found = zxingcpp.read_barcodes(
        image, formats=_zxing_formats(("qr_code",)), try_invert=False, try_downscale=False, return_errors=True
    )
    return [_corners(code) for code in found if not code.valid and code.format.name == "QRCode"]


def opencv_qr(image: Any) -> Iterator[Answer]:
    """OpenCV's decoder follows a crumpled QR code module by module, and does well at little else."""
    import cv2

    try:
        text, corners, _ = cv2.QRCodeDetector().detectAndDecodeCurved(image)
    except cv2.error:  # on some pictures it stumbles over its own geometry
        return
    if text and text.isascii():  # of other charsets it knows little
        yield Answer(text, "qr_code", "opencv", tuple((float(x), float(y)) for x, y in corners.reshape(-1, 2)))


def _corners(code: Any) -> Corners:
    at = code.position
    return tuple(
        (float(point.x), float(point.y)) for point in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
    )


@cache
def zbar_module() -> tuple[Any, str]:
    """pyzbar and an empty sentence, or None and why not."""
    # Only here: the import itself fails on a machine without the library, and everything else must go on.
    try:
        from pyzbar import pyzbar
    except ImportError as error:
        return None, f"libzbar is missing ({error}): zxing-cpp reads alone. apt-get install libzbar0"
    return pyzbar, ""


_ZBAR_NAMES = {zbar: name for name, (_, zbar) in ENGINE_NAMES.items() if zbar}


def zbar(image: Any, wanted: Iterable[str]) -> Iterator[Answer]:
    """Nothing where the library is missing."""
    module, _ = zbar_module()
    symbols = [getattr(module.ZBarSymbol, name) for w in wanted if (name := ENGINE_NAMES[w][1])] if module else []
    if not symbols:  # without a list zbar reads all it knows, and sees phantoms
        return
    for code in module.decode(image, symbols=symbols):
        name = _ZBAR_NAMES.get(code.type)
        if name is None:
            continue
        text = code.data.decode("utf-8", errors="replace")
        yield answer(text, name, "zbar", tuple((float(x), float(y)) for x, y in code.polygon))


def answer(text: str, name: str, engine: str, corners: Corners) -> Answer:
    """As an engine said it, retail numbers in one form."""
    if name in RETAIL:
        text, name = retail(text, name)
    return Answer(text, name, engine, corners)


def retail(text: str, name: str) -> tuple[str, str]:
    """One text for one number: UPC-A as its 12 digits, UPC-E expanded to them, EAN-13 as it is."""
    if name == "upc_e" and len(text) == 8 and text.isascii() and text.isdigit():
        return expanded(text), name
    if len(text) == 13 and text.startswith("0"):
        return text[1:], "upc_e" if name == "upc_e" else "upc_a"
    return text, name


def expanded(upc_e: str) -> str:
    """The 8 digits of a UPC-E as the 12 of the UPC-A it stands for."""
    system, body, check = upc_e[0], upc_e[1:7], upc_e[7]
    last = body[5]
    if last in "012":
        return system + body[:2] + last + "0000" + body[2:5] + check
    if last == "3":
        return system + body[:3] + "00000" + body[3:5] + check
    if last == "4":
        return system + body[:4] + "00000" + body[4] + check
    return system + body[:5] + "0000" + last + check
