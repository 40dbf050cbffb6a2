"""Which way to walk: an order of places, aisle by aisle, up one and down the next. Pure."""

from __future__ import annotations

import re

_GROUP = re.compile(r"\d+|[A-Za-z]+")


def zone_of(code: str) -> str:
    """The zone of a location code: its first group (A of A-01-02-03)."""
    found = _GROUP.match(code)
    return found.group(0).upper()[:8] if found else ""


def walk_number(code: str) -> int:
    """A number that sorts location codes ZONE-AISLE-BAY-LEVEL-BIN into an S-shaped walk, without gaps meant.

    Odd aisles are walked upwards in bays, even aisles downwards, so that nobody returns with empty hands.
    Codes of another form sort by their groups as they stand.
    """
    groups = _GROUP.findall(code.upper())[:5]
    values = [min(int(g), 999) if g.isdigit() else _letters(g) for g in groups] + [0] * (5 - len(groups))
    zone, aisle, bay, level, bin_ = values
    if aisle % 2 == 0 and len(groups) >= 3:
        bay = 999 - bay
    return ((((zone % 20) * 100 + min(aisle, 99)) * 1000 + bay) * 10 + min(level, 9)) * 100 + bin_ % 100


def _letters(group: str) -> int:
    number = 0
    for letter in group[:2]:
        number = number * 26 + ord(letter) - 64
    return number
