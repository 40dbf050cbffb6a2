"""Bar codes and squares as modules, encoded here once, so that every printer and the preview draw the same.

Code 128 after ISO/IEC 15417, GS1-128 and check digits after the GS1 General Specifications, EAN after
ISO/IEC 15420; QR codes and Data Matrix come from ZXing-C++.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

import zxingcpp
from PIL import Image

from printers.errors import CannotPrint, DoesNotFit, WrongCheckDigit

# Clear modules beside the bars, and around the squares.
QUIET_BARS = 10
QUIET_EAN = 11
QUIET_QR = 4
QUIET_DATAMATRIX = 1

# Bars and spaces of each value of Code 128, each six wide; the last is the stop sign with its closing bar.
_TABLE = (
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 "
    "113222 123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 "
    "212123 212321 232121 111323 131123 131321 112313 132113 132311 211313 231113 231311 112133 112331 132131 "
    "113123 113321 133121 313121 211331 231131 213113 213311 213131 311123 311321 331121 312113 312311 332111 "
    "314111 221411 431111 111224 111422 121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 "
    "241211 221114 413111 241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 "
    "214121 412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 411131 211412 211214 "
    "211232 2331112"
)
_PATTERNS = tuple(_TABLE.split())
_TO_C, _TO_B, _FNC1, _START_B, _START_C, _STOP = 99, 100, 102, 104, 105, 106
# Stands for FNC1 in data; a control character, so no text may hold it.
FNC1 = "\x1d"

# Application identifiers whose values have a fixed length, so that no FNC1 follows (GS1, figure 7.8.5-2).
_FIXED = {
    "00": 18, "01": 14, "02": 14, "03": 14, "04": 16, "11": 6, "12": 6, "13": 6, "14": 6, "15": 6, "16": 6,
    "17": 6, "18": 6, "19": 6, "20": 2, "31": 8, "32": 8, "33": 8, "34": 8, "35": 8, "36": 8, "41": 13,
}  # fmt: skip
_ELEMENT = re.compile(r"\((\d{2,4})\)([^()]+)")

_LEFT = ("3211", "2221", "2122", "1411", "1132", "1231", "1114", "1312", "1213", "3112")
# Which left digits of an EAN-13 are mirrored, by its first digit.
_FIRST = ("000000", "001011", "001101", "001110", "010011", "011001", "011100", "010101", "010110", "011010")


def gs1_check_digit(digits: str) -> str:
    """The GS1 check digit that follows these digits: weights 3 and 1 from the right, modulo 10."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def code128(data: str) -> tuple[int, ...]:
    """Widths of bars and spaces of a Code 128 in modules, a bar first, without quiet zones.

    The shortest symbol is chosen from subsets B and C. Raises CannotPrint.
    """
    refuse_unprintable(data)
    return _code128(data)


def code128_modules(data: str) -> int:
    """Width of that symbol in modules. Raises CannotPrint."""
    return sum(code128(data))


def gs1_128(data: str) -> tuple[int, ...]:
    """The same of a GS1-128, its data as people write it: (00)…, (01)…(10)…

    Raises CannotPrint, and WrongCheckDigit where an identifier (00) to (03) or a location carries one.
    """
    return _code128(FNC1 + _gs1(data))


def ean(data: str) -> tuple[int, ...]:
    """Widths of an EAN-13, EAN-8 or UPC-A (as EAN-13). Raises CannotPrint, WrongCheckDigit."""
    digits = data.zfill(13) if len(data) == 12 else data
    if not re.fullmatch(r"[0-9]{8}|[0-9]{13}", digits):
        raise CannotPrint([sign for sign in data if sign not in "0123456789"], f"{data!r} is no EAN or UPC number")
    _check(digits, digits)
    return _ean(digits)


def is_ean(data: str) -> bool:
    """True for a sound EAN-13, EAN-8 or UPC-A."""
    return bool(re.fullmatch(r"[0-9]{8}|[0-9]{12,13}", data)) and gs1_check_digit(data[:-1]) == data[-1]


def qr(data: str, level: str = "M") -> Image.Image:
    """A QR code, one dot a module, set bits dark, no quiet zone. Raises CannotPrint, DoesNotFit."""
    refuse_surrogates(data)
    if not data:
        raise CannotPrint([], "a QR code without data")
    try:
        return _square(data, zxingcpp.BarcodeFormat.QRCode, (("ec_level", level),))
    except ValueError as error:
        raise DoesNotFit("QR code", len(data.encode()), 1273) from error


def datamatrix(data: str) -> Image.Image:
    """A square Data Matrix (ECC 200) of printable ASCII, in the same form. Raises CannotPrint, DoesNotFit."""
    refuse_unprintable(data)
    try:
        return _square(data, zxingcpp.BarcodeFormat.DataMatrix, (("force_square", True),))
    except ValueError as error:
        raise DoesNotFit("Data Matrix", len(data), 1556) from error


def refuse_unprintable(data: str) -> None:
    wrong = [sign for sign in data if not " " <= sign <= "~"]
    if wrong or not data:
        raise CannotPrint(wrong, "" if wrong else "a code without data")


def refuse_surrogates(data: str) -> None:
    wrong = [sign for sign in data if 0xD800 <= ord(sign) <= 0xDFFF]
    if wrong:
        raise CannotPrint(wrong)


@lru_cache(maxsize=2000)
def _square(data: str, kind: zxingcpp.BarcodeFormat, options: tuple[tuple[str, object], ...]) -> Image.Image:
    drawn = zxingcpp.create_barcode(data, kind, **dict(options)).to_image(scale=1, add_quiet_zones=False)
    seen = memoryview(drawn)  # type: ignore[arg-type]  # it has a buffer, its stub does not say so
    assert seen.shape is not None, "a picture without a size"
    return Image.frombytes("L", (seen.shape[1], seen.shape[0]), bytes(seen)).point(_DARK, "1")


_DARK = [255 if grey < 128 else 0 for grey in range(256)]


@lru_cache(maxsize=2000)
def _code128(data: str) -> tuple[int, ...]:
    values = _values(data)
    check = (values[0] + sum(place * value for place, value in enumerate(values))) % 103
    return tuple(int(wide) for value in (*values, check, _STOP) for wide in _PATTERNS[value])


def _values(data: str) -> list[int]:
    """Start value and those that follow: where B and C cost the same, B goes on."""
    b, c = _costs(data)
    in_c = c[0] < b[0]
    values = [_START_C if in_c else _START_B]
    place = 0
    while place < len(data):
        if data[place] == FNC1:
            values.append(_FNC1)
            place += 1
        elif in_c:
            # Leaving C costs one sign more than going on in B would have.
            if _pair(data, place) and c[place] == 1 + c[place + 2]:
                values.append(int(data[place : place + 2]))
                place += 2
            else:
                values.append(_TO_B)
                in_c = False
        elif b[place] == 1 + b[place + 1]:
            values.append(ord(data[place]) - 32)
            place += 1
        else:
            values.append(_TO_C)
            in_c = True
    return values


def _costs(data: str) -> tuple[list[int], list[int]]:
    """Fewest signs for the rest of the data from each place on, when there in subset B, and in C."""
    b, c = [0] * (len(data) + 2), [0] * (len(data) + 2)
    never = 3 * len(data) + 3
    for place in range(len(data) - 1, -1, -1):
        if data[place] == FNC1:
            b[place], c[place] = 1 + b[place + 1], 1 + c[place + 1]
            continue
        stay_b = 1 + b[place + 1]
        stay_c = 1 + c[place + 2] if _pair(data, place) else never
        b[place], c[place] = min(stay_b, 1 + stay_c), min(stay_c, 1 + stay_b)
    return b, c


def _pair(data: str, place: int) -> bool:
    return len(data) > place + 1 and data[place] in _DIGITS and data[place + 1] in _DIGITS


_DIGITS = frozenset("0123456789")


def _gs1(data: str) -> str:
    """The data as the bars hold it, with FNC1 after each value of open length but the last."""
    refuse_unprintable(data)
    found = _ELEMENT.findall(data)
    if "".join(f"({ai}){value}" for ai, value in found) != data:
        raise CannotPrint([], f"{data!r} is not of the form (00)… or (01)…(10)…")
    built: list[str] = []
    for number, (ai, value) in enumerate(found):
        fixed = _FIXED.get(ai[:2])
        if fixed is not None and (len(ai) - 2 + len(value) != fixed or not value.isdigit()):
            raise CannotPrint([], f"({ai}) takes {fixed + 2 - len(ai)} digits, not {value!r}")
        if ai in ("00", "01", "02", "03") or ai[:2] == "41":
            _check(value, f"({ai}){value}")
        built.append(ai + value)
        if fixed is None and number < len(found) - 1:
            built.append(FNC1)
    return "".join(built)


def _check(digits: str, shown: str) -> None:
    right = gs1_check_digit(digits[:-1])
    if digits[-1] != right:
        raise WrongCheckDigit(shown, digits[-1], right)


@cache
def _mirror(digit: str) -> str:
    return _LEFT[int(digit)][::-1]


def _ean(digits: str) -> tuple[int, ...]:
    if len(digits) == 8:
        kinds, left, right = "0000", digits[:4], digits[4:]
    else:
        kinds, left, right = _FIRST[int(digits[0])], digits[1:7], digits[7:]
    # A left digit begins with a space, and the mirrored ones hold an even number of dark modules.
    halves = "".join(_LEFT[int(d)] if kind == "0" else _mirror(d) for kind, d in zip(kinds, left, strict=True))
    widths = "111" + halves + "11111" + "".join(_LEFT[int(d)] for d in right) + "111"
    return tuple(int(wide) for wide in widths)


def bars(widths: Sequence[int]) -> list[tuple[int, int]]:
    """Where each bar begins and how wide it is, in modules."""
    found, place = [], 0
    for number, wide in enumerate(widths):
        if number % 2 == 0:
            found.append((place, wide))
        place += wide
    return found
