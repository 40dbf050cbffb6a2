"""What a code says: AIM prefix, own class prefix, GS1, GTIN, waybill. Pure: text in, meaning out (R14, R15)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from biip.gs1_element_strings import GS1ElementString
from biip.gs1_messages import GS1Message
from biip.upc import Upc

CodeClass = Literal[
    "location",
    "tote",
    "parcel",
    "badge",
    "manifest",
    "station",
    "receipt",
    "order",
    "item",
    "gtin",
    "restricted",
    "gs1",
    "sscc",
    "plain",
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

FOREIGN: frozenset[CodeClass] = frozenset({"gtin", "restricted", "gs1", "sscc", "plain"})
"""Classes that others print. What such a code means is for the step and the catalogue to say."""

GS = "\x1d"
LONGEST = 512
_AIM = re.compile(r"^\][A-Za-z][0-9A-Za-z]")
_SAYS_GS1 = ("]C1", "]d2", "]Q3", "]e0", "]J1")
_BRACKETED = re.compile(r"^\(\d{2,4}\)")
_DIGITAL_LINK = re.compile(r"^https?://[^?#]+/01/\d{8,14}(?:[/?#]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one code says. ``value`` is the part that is looked up.

    ``text`` is the code without what the scanner added. ``pieces`` counts what ``value`` names: GS1 (37) and (30), or
    the count in a restricted number; ``of_content`` says that the number names what lies inside a bigger unit, (02).
    ``grams`` is a net weight. ``sscc`` is the number of a logistic unit, 18 digits. ``also`` is the other number that
    eight digits may be.
    """

    text: str
    kind: CodeClass
    value: str
    lot: str | None = None
    expiry: date | None = None
    serial: str | None = None
    pieces: int | None = None
    of_content: bool = False
    grams: int | None = None
    sscc: str | None = None
    also: str = ""

    @property
    def plain(self) -> str:
        """The text to compare with codes that are no product's: a tote, a place, an order number."""
        return self.text if self.kind in FOREIGN else self.value

    @property
    def item_keys(self) -> set[str]:
        """Every form in which the barcode of this item may be stored."""
        keys = {self.value.upper(), gtin14(self.value) or "", self.also}
        if self.kind != "gs1":
            keys |= {self.text.upper(), gtin14(self.text) or ""}
        return keys - {""}

    @property
    def inner(self) -> str:
        """The GTIN of the piece inside, for a GTIN-14 of a case (indicator 1 to 8), else nothing."""
        number = self.value
        if len(number) != 14 or number[0] not in "12345678" or gtin14(number) is None:
            return ""
        return with_check_digit("0" + number[1:13])

    @property
    def carriers(self) -> tuple[str, ...]:
        """Whose waybill number this looks like; a hint for words, never a class (facts change every year)."""
        if self.kind != "plain":
            return ()
        number = self.value.upper()
        return tuple(dict.fromkeys(p.carrier for p in _rules.waybills if p.fits(number)))


# ---- Settings of a site ----


@dataclass(frozen=True, slots=True)
class WeightCode:
    """How a shop's scale fills a restricted number: thirteen signs, see WMS_WEIGHT_CODES in wms/settings.py.

    The digits it begins with and I name the item; the rest is zero in the barcode it is stored under.
    """

    shape: str

    @property
    def prefix(self) -> str:
        return self.shape.rstrip("CINPVW")

    def read(self, ean13: str) -> tuple[str, int | None, int | None]:
        """(the item's number with the rest zero, as GTIN-14; grams; count) of thirteen digits of this shape."""
        signs = list(zip(self.shape, ean13, strict=True))
        fixed = "".join(digit if sign.isdigit() or sign == "I" else "0" for sign, digit in signs)
        grams, count = (int("0" + "".join(d for sign, d in signs if sign == letter)) or None for letter in "WN")
        return with_check_digit("0" + fixed[:12]), grams, count


@dataclass(frozen=True, slots=True)
class WaybillPattern:
    """The shape of a carrier's numbers, and where it was read. ``check`` proves its check digit, if it has one."""

    carrier: str
    shape: re.Pattern[str]
    source: str
    check: Callable[[str], bool] | None = None

    def fits(self, number: str) -> bool:
        return self.shape.fullmatch(number) is not None and (self.check is None or self.check(number))


def _s10(number: str) -> bool:
    """The check digit of an international postal item: weights 8 6 4 2 3 5 9 7, modulo 11 (UPU S10)."""
    rest = 11 - sum(int(d) * w for d, w in zip(number[2:10], (8, 6, 4, 2, 3, 5, 9, 7), strict=True)) % 11
    return int(number[10]) == {10: 0, 11: 5}.get(rest, rest)


_VALIDATION = "github.com/BF-zh/Courier-Validation (MIT, 2024)"
_UPU = "UPU S10-12; numbers of github.com/jkeen/tracking_number_data recomputed"

WAYBILLS: tuple[WaybillPattern, ...] = tuple(
    WaybillPattern(carrier, re.compile(shape, re.ASCII), source, check)
    for carrier, shape, source, check in (
        ("JD 京东", r"JD[A-Z0-9]{2}\d{11}", _VALIDATION, None),
        ("SF 顺丰", r"SF[A-Z0-9]\d{12}", _VALIDATION, None),
        ("SF 顺丰", r"\d{12}", "SF's own numbers before they began with SF", None),
        ("YTO 圆通", r"YT\d{13}", _VALIDATION, None),
        ("ZTO 中通", r"7[3-68]\d{12}", _VALIDATION, None),
        ("STO 申通", r"(?:77|43)\d{12,15}", _VALIDATION, None),
        ("YD 韵达", r"[34]\d{14}|5\d{12}", _VALIDATION, None),
        ("J&T 极兔", r"JT\d{13}", _VALIDATION, None),
        ("DBL 德邦", r"DPK\d{12}", _VALIDATION, None),
        ("CN 菜鸟", r"621\d{12}", _VALIDATION, None),
        ("EMS 邮政", r"[981]\d{12}|P[A-Z]\d{11}", _VALIDATION, None),
        ("EMS 邮政", r"[A-Z]{2}\d{9}CN", _UPU, _s10),
        ("UPU 国际邮件", r"[A-Z]{2}\d{9}(?!CN)[A-Z]{2}", _UPU, _s10),
    )
)
"""Hints with their sources. Carriers add prefixes every year, so none of these ever refuses or decides anything."""

_WRAPPED = (
    # JD prints one code for each box: number, box, boxes, and the sorting gate (none on bulky goods). The second form
    # is of the Asia No. 1 warehouses. Read in JD's sorting code, github.com/huxiaoxiao2021/dms-etms, WaybillUtil and
    # PACKAGE_CODE_CROSSCODE_REGEX in DmsConstants.
    re.compile(r"(JD[A-Z0-9]{2}\d{11})-\d{1,6}-\d{1,6}(?:-[A-Z0-9]{0,8})?", re.ASCII | re.IGNORECASE),
    re.compile(r"(JD[A-Z0-9]{2}\d{11})N\d{1,6}S\d{1,6}(?:H[A-Z0-9]{0,8})?", re.ASCII | re.IGNORECASE),
    # SF's QR code: MMM={'k1':'755W',…,'k5':'SF7444404156506',…}; k5 is the number. twoDimensionCode in the answers of
    # SF's order interface; on old printers more M, and text before it, were seen.
    re.compile(r".{0,40}?M{3,40}=\{.*?['\"]k5['\"]\s*:\s*['\"]([A-Z0-9]{8,20})['\"].*", re.ASCII | re.IGNORECASE),
)
"""Codes on waybills that hold the number and more around it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site says about its own codes: its scales' numbers, and carriers' patterns beyond WAYBILLS."""

    weight_codes: tuple[WeightCode, ...] = ()
    waybills: tuple[WaybillPattern, ...] = WAYBILLS

    @classmethod
    def of(cls, weight_codes: Iterable[str] = (), waybills: Sequence[tuple[str, str]] = ()) -> Rules:
        """From settings, which have checked them: shapes of weight codes; (carrier, regular expression)."""
        shapes = sorted((WeightCode(shape) for shape in weight_codes), key=lambda code: -len(code.prefix))
        more = tuple(
            WaybillPattern(carrier, re.compile(shape, re.ASCII), "WMS_WAYBILL_PATTERNS") for carrier, shape in waybills
        )
        return cls(tuple(shapes), more + WAYBILLS)


_rules = Rules()


def use(rules: Rules) -> None:
    """Read codes by these rules from now on; the start of the program says it once."""
    global _rules
    _rules = rules


# ---- Numbers ----


def clean(text: str) -> str:
    """The text without what scanners add: control characters (GS is kept), blanks around, case of own codes."""
    kept = "".join(c for c in text[:LONGEST] if c == GS or (c.isprintable() and c != "\ufeff"))
    return kept.strip(f" {GS}")


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def with_check_digit(digits: str) -> str:
    """Digits and their GS1 mod-10 check digit behind them (weights 3 and 1 from the right)."""
    total = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(reversed(digits)))
    return f"{digits}{-total % 10}"


def gtin14(digits: str) -> str | None:
    """EAN-8, UPC-A, EAN-13 or ITF-14 digits as GTIN-14 when the GS1 mod-10 check holds, else None."""
    if len(digits) not in (8, 12, 13, 14) or not _digits(digits):
        return None
    return digits.zfill(14) if with_check_digit(digits[:-1]) == digits else None


def _upc_a(digits: str) -> str | None:
    """The UPC-A, as GTIN-14, that six or eight digits of a UPC-E stand for, else None."""
    if len(digits) not in (6, 8) or not _digits(digits):
        return None
    try:
        return gtin14(Upc.parse(digits).as_upc_a())
    except Exception:
        return None


def restricted(code: str) -> bool:
    """Whether a GTIN-14 is one that a shop or a region gives out itself: RCN-8, or 02, 04 and 20 to 29 of a GTIN-13."""
    if code.startswith("000000"):
        return code[6] in "02"
    return code[0] == "0" and (code[1:3] in ("02", "04") or code[1] == "2")


def _product(body: str, aim: str = "") -> Scanned | None:
    """EAN-8, EAN-13, UPC-A, UPC-E or ITF-14. Six digits are a UPC-E only when the scanner names that family."""
    may_be_upc_e = (len(body) == 8 and aim != "]E4") or (len(body) == 6 and aim == "]E0")
    also = (_upc_a(body) if may_be_upc_e else None) or ""
    code = gtin14(body)
    if code is None:
        return Scanned(body, "gtin", also) if also else None
    if not restricted(code):
        return Scanned(body, "gtin", code, also=also)
    if code[0] == "0" and not code.startswith("000000"):
        for shape in _rules.weight_codes:
            if code[1:].startswith(shape.prefix):
                number, grams, count = shape.read(code[1:])
                return Scanned(body, "restricted", number, grams=grams, pieces=count)
    return Scanned(body, "restricted", code, also=also)


def own(text: str) -> tuple[CodeClass, str] | None:
    """The class and code of an own label, whatever case the scanner gave it."""
    upper = text.upper()
    for prefix, kind in OWN_PREFIXES.items():
        if upper.startswith(prefix) and len(upper) > len(prefix):
            return kind, (text[len(prefix) :] if kind == "badge" else upper[len(prefix) :])
    return None


# ---- Reading ----


def parse(text: str) -> Scanned:
    """What a code says; never raises, whatever was scanned."""
    text = clean(text)
    aim = text[:3] if _AIM.match(text) else ""
    body = text[len(aim) :].strip(f" {GS}")
    said_gs1 = aim in _SAYS_GS1
    if len(text) >= LONGEST:
        return Scanned(body, "plain", body)  # perhaps cut off: what is left may say something else
    if not said_gs1:
        if mine := own(body):
            return Scanned(body, mine[0], mine[1])
        if product := _product(body, aim):
            return product
    if (said_gs1 or GS in body or _BRACKETED.match(body) or _looks_gs1(body)) and (message := _gs1(body)):
        return message
    for shape in _WRAPPED:
        if found := shape.fullmatch(body):
            return Scanned(body, "plain", found[1].upper())
    return Scanned(body, "plain", body)


def _looks_gs1(body: str) -> bool:
    """A sound GTIN after (01) or (02) with more behind it, an SSCC alone, or a link: too much for a coincidence."""
    if body[:2] in ("01", "02"):
        return len(body) >= 16 and gtin14(body[2:16]) is not None
    if body[:2] == "00":
        return len(body) == 20 and _digits(body) and with_check_digit(body[:-1]) == body
    return _DIGITAL_LINK.match(body) is not None


def _elements(body: str) -> Sequence[GS1ElementString]:
    if _BRACKETED.match(body):
        return GS1Message.parse_hri(body).element_strings
    if _DIGITAL_LINK.match(body):
        return GS1DigitalLinkURI.parse(body).element_strings
    return GS1Message.parse(body).element_strings


def _gs1(body: str) -> Scanned | None:
    """A GS1 message, or None when it is none, or says one thing twice and differently."""
    try:
        elements = _elements(body)
    except Exception:
        return None
    said: dict[str, str] = {}
    dates: dict[str, date] = {}
    weights: set[int] = set()
    for element in elements:
        ai = element.ai.ai
        if said.setdefault(ai, element.value) != element.value:
            return None
        if on := element.date or (element.datetime.date() if element.datetime else None):
            dates[ai] = on
        if ai.startswith("310") and element.decimal is not None:
            weights.add(int((element.decimal * 1000).quantize(Decimal(1), ROUND_HALF_UP)))
    numbers = [said[ai] for ai in ("01", "02") if ai in said]
    sscc = said.get("00")
    # A number that is misread must not leave its lot behind, to be taken for the item at hand.
    if len(numbers) > 1 or len(weights) > 1 or any(gtin14(n) is None for n in numbers):
        return None
    if sscc is not None and with_check_digit(sscc[:-1]) != sscc:
        return None
    code = gtin14(numbers[0]) if numbers else None
    if not (code or sscc or weights or said.keys() & {"10", "15", "17", "21", "30", "37", "7003"}):
        return None
    count = said.get("37") or said.get("30") or ""
    return Scanned(
        text=body,
        kind="sscc" if sscc and not code else "gs1",
        value=code or sscc or "",
        lot=said.get("10"),
        expiry=next((dates[ai] for ai in ("17", "7003", "15") if ai in dates), None),
        serial=said.get("21"),
        pieces=int(count) if _digits(count) and int(count) > 0 else None,
        of_content="02" in said,
        grams=next(iter(weights), None),
        sscc=sscc,
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
    scanned = parse(text)
    if scanned.kind in ("gtin", "restricted", "gs1") and scanned.value:
        return scanned.value
    return scanned.text.upper()
