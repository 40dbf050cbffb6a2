"""What a code says: AIM prefix, own class prefix, GS1, GTIN. Pure: text in, meaning out (R14, R15)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from biip.gs1_messages import GS1Message

CodeClass = Literal[
    "location", "tote", "parcel", "badge", "manifest", "station", "receipt", "order", "item", "gtin", "gs1", "plain"
]

OWN_PREFIXES: dict[str, CodeClass] = {
    "L-": "location",
    "T-": "tote",
    "P-": "parcel",
    "U-": "badge",
    "M-": "manifest",
    "S-": "station",
    "R-": "receipt",
    "O-": "order",
    "I-": "item",
}
"""R14: own labels carry their class, so classes cannot collide; a foreign barcode that looks like one is refused."""

GS = "\x1d"
LONGEST = 512
_AIM = re.compile(r"^\][A-Za-z][0-9A-Za-z]")
_BRACKETED = re.compile(r"^\(\d{2,4}\)")


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one code says. ``value`` is the part that is looked up; lot, expiry, serial, pieces only from GS1."""

    text: str
    kind: CodeClass
    value: str
    lot: str | None = None
    expiry: date | None = None
    serial: str | None = None
    pieces: int | None = None


def clean(text: str) -> str:
    """The text without what scanners add: control characters (GS is kept), blanks around, case of own codes."""
    kept = "".join(c for c in text[:LONGEST] if c == GS or (c.isprintable() and c != "\ufeff"))
    return kept.strip(f" {GS}")


def gtin14(digits: str) -> str | None:
    """EAN-8, UPC-A, EAN-13 or ITF-14 digits as GTIN-14 when the GS1 mod-10 check holds, else None."""
    if len(digits) not in (8, 12, 13, 14) or not digits.isascii() or not digits.isdigit():
        return None
    padded = digits.zfill(14)
    total = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(padded[:13]))
    return padded if (10 - total % 10) % 10 == int(padded[13]) else None


def own(text: str) -> tuple[CodeClass, str] | None:
    """The class and code of an own label, whatever case the scanner gave it."""
    upper = text.upper()
    for prefix, kind in OWN_PREFIXES.items():
        if upper.startswith(prefix) and len(upper) > len(prefix):
            return kind, (text[len(prefix) :] if kind == "badge" else upper[len(prefix) :])
    return None


def parse(text: str) -> Scanned:
    """What a code says; never raises, whatever was scanned."""
    text = clean(text)
    aim = text[:3] if _AIM.match(text) else ""
    body = text[len(aim) :] if aim else text
    said_gs1 = aim in ("]C1", "]d2", "]Q3", "]e0", "]J1")
    if not said_gs1:
        if mine := own(body):
            return Scanned(body, mine[0], mine[1])
        if code := gtin14(body):
            return Scanned(body, "gtin", code)
    may_be_gs1 = said_gs1 or GS in body or _BRACKETED.match(body) or _looks_gs1(body)
    if may_be_gs1 and (message := _gs1(body)):
        return message
    return Scanned(body, "plain", body.strip(GS))


def _looks_gs1(body: str) -> bool:
    """(01) or (02) with a sound GTIN and something after it: too much of a coincidence for a plain code."""
    return body[:2] in ("01", "02") and len(body) >= 16 and gtin14(body[2:16]) is not None


def _gs1(body: str) -> Scanned | None:
    try:
        message = GS1Message.parse_hri(body) if _BRACKETED.match(body) else GS1Message.parse(body)
    except Exception:
        return None
    found: dict[str, str] = {}
    expiry: date | None = None
    for element in message.element_strings:
        found.setdefault(element.ai.ai, element.value)
        if element.ai.ai in ("17", "15") and element.date and (expiry is None or element.ai.ai == "17"):
            expiry = element.date
    code = gtin14(found.get("01") or found.get("02") or "")
    if code is None and not ({"10", "17", "21", "37"} & found.keys()):
        return None
    count = found.get("37") or found.get("30") or ""
    return Scanned(
        text=body,
        kind="gs1",
        value=code or "",
        lot=found.get("10"),
        expiry=expiry,
        serial=found.get("21"),
        pieces=int(count) if count.isdigit() and int(count) > 0 else None,
    )


def printed(code: str) -> str:
    """A stored barcode as it stands on the goods: EAN-8, UPC-A or EAN-13 without the zeros of GTIN-14."""
    if len(code) != 14 or gtin14(code) is None:
        return code
    for length in (8, 12, 13):
        if code[: 14 - length] == "0" * (14 - length):
            return code[14 - length :]
    return code


def barcode_key(text: str) -> str:
    """The form in which an item's barcode is stored and compared: GTIN-14, or the cleaned text in upper case."""
    cleaned = clean(text)
    return gtin14(cleaned) or cleaned.upper()
