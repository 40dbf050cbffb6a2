"""Check digits of the numbers that stand on parcels. Pure, and each from its standard.

Where a standard has no check digit (most Chinese carriers publish none) a number is never refused for its look:
patterns are hints with settings (see models.Carrier.number_hint).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_S10_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)
_FEDEX_WEIGHTS = (3, 1, 7)


def s10_check_digit(serial: str) -> str:
    """Of the eight digits of a postal number such as RB 12345678 5 GB (UPU S10: weights, modulo 11)."""
    rest = 11 - sum(int(digit) * weight for digit, weight in zip(serial, _S10_WEIGHTS, strict=True)) % 11
    return {10: "0", 11: "5"}.get(rest, str(rest))


def ups_check_digit(body: str) -> str:
    """Of the fifteen signs between 1Z and the check digit: letters count (ASCII - 63) modulo 10, and every second
    sign counts twice, modulo 10 (UPS, Tracking Number Check Digit Calculation)."""
    values = [int(sign) if sign.isdigit() else (ord(sign) - 63) % 10 for sign in body]
    return str(-(sum(values[0::2]) + 2 * sum(values[1::2])) % 10)


def fedex_check_digit(digits: str) -> str:
    """Of the eleven digits of a FedEx Express number: weights 1, 7, 3 from the right, modulo 11, and 10 is 0."""
    weighted = sum(
        int(digit) * weight for digit, weight in zip(digits, _FEDEX_WEIGHTS * (len(digits) // 3 + 1), strict=False)
    )
    return str(weighted % 11 % 10)


def gs1_check_digit(digits: str) -> str:
    """Of an SSCC, a GTIN and of FedEx Ground's and the USPS's long numbers: weights 3 and 1 from the right, modulo
    10 (GS1 General Specifications, 7.9)."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def sscc(company_prefix: str, serial: int, extension: int = 0) -> str:
    """The next serial shipping container code: extension digit, GS1 company prefix, serial, check digit.

    Raises ValueError when they do not make eighteen digits.
    """
    if not re.fullmatch(r"[0-9]{4,12}", company_prefix) or not 0 <= extension <= 9 or serial < 0:
        raise ValueError("a GS1 company prefix has 4 to 12 digits, an extension one, a serial is not negative")
    room = 16 - len(company_prefix)
    if len(str(serial)) > room:
        raise ValueError(f"the serial {serial} has more than {room} digits: the range is used up")
    body = f"{extension}{company_prefix}{serial:0{room}d}"
    return body + gs1_check_digit(body)


@dataclass(frozen=True, slots=True)
class Standard:
    """A kind of number that carries its own proof."""

    name: str
    pattern: re.Pattern[str]
    check: Callable[[str], tuple[str, str]]
    """Of a number that fits the pattern: the check digit read, and the one that is right."""

    def right(self, number: str) -> bool:
        read, wanted = self.check(number)
        return read == wanted


STANDARDS = (
    Standard("S10", re.compile(r"[A-Z]{2}[0-9]{9}[A-Z]{2}"), lambda n: (n[10], s10_check_digit(n[2:10]))),
    Standard("UPS", re.compile(r"1Z[0-9A-Z]{15}[0-9]"), lambda n: (n[-1], ups_check_digit(n[2:-1]))),
    Standard("FedEx", re.compile(r"[0-9]{12}"), lambda n: (n[-1], fedex_check_digit(n[:-1]))),
    Standard("FedEx Ground", re.compile(r"[0-9]{15}"), lambda n: (n[-1], gs1_check_digit(n[:-1]))),
    Standard("SSCC", re.compile(r"[0-9]{18}"), lambda n: (n[-1], gs1_check_digit(n[:-1]))),
)
BY_NAME = {standard.name: standard for standard in STANDARDS}


_BODIES = {
    "S10": re.compile(r"[A-Z]{2}[0-9]{8}"),
    "UPS": re.compile(r"1Z[0-9A-Z]{15}"),
    "FedEx": re.compile(r"[0-9]{11}"),
    "FedEx Ground": re.compile(r"[0-9]{14}"),
    "SSCC": re.compile(r"[0-9]{17}"),
}
"""What a standard has before its check digit."""


def numbered(standard: str, prefix: str, digits: str, suffix: str = "") -> str:
    """A number of a range: prefix, digits, the check digit where ``standard`` names one, suffix (S10: the country).

    Raises ValueError when these do not make a number of the standard.
    """
    body = prefix + digits
    if not standard:
        return body + suffix
    if not _BODIES[standard].fullmatch(body):
        raise ValueError(f"{body} is not what a number of {standard} begins with")
    if standard == "S10":
        proof = s10_check_digit(body[2:])
    elif standard == "UPS":
        proof = ups_check_digit(body[2:])
    elif standard == "FedEx":
        proof = fedex_check_digit(body)
    else:
        proof = gs1_check_digit(body)
    number = body + proof + suffix
    if not sound(number, standard):
        raise ValueError(f"{number} is no number of {standard}")
    return number


def cleaned(number: str) -> str:
    """As it stands in the book: capitals, without blanks and dashes that only help the eye."""
    return re.sub(r"[\s-]", "", number).upper()


def sound(number: str, standard: str) -> bool:
    """True when the number has the form of this standard and its check digit proves it.

    Ask only for the standard that the carrier is known to use: twelve digits may be anybody's.
    """
    plain, kind = cleaned(number), BY_NAME[standard]
    return bool(kind.pattern.fullmatch(plain)) and kind.right(plain)
