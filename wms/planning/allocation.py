"""Which stock to promise: first expired, first out (R8). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Candidate:
    """Free pieces somewhere. ``key`` is whatever the caller needs to find the place again."""

    key: object
    free: int
    expiry: date | None
    walk: int
    picking_face: bool = True


def first_expired(
    candidates: Iterable[Candidate], needed: int, today: date, least_days: int = 0
) -> tuple[list[tuple[Candidate, int]], int]:
    """Choose pieces in FEFO order; returns (choices, pieces still missing).

    Goods without a date go last. Goods expired, or with less than ``least_days`` to live, are left alone.
    Among equals the smaller remainder goes first, so that places are emptied, then the shorter way.
    """
    limit = today + timedelta(days=least_days)
    usable = [c for c in candidates if c.free > 0 and (c.expiry is None or c.expiry >= limit)]
    usable.sort(key=lambda c: (c.expiry is None, c.expiry or date.max, not c.picking_face, c.free, c.walk))
    # One place that holds all of it saves a walk, as long as it is not fresher than the oldest stock.
    for whole in usable:
        if whole.free >= needed and whole.expiry == usable[0].expiry:
            return [(whole, needed)], 0
    chosen = []
    for candidate in usable:
        if needed <= 0:
            break
        taken = min(needed, candidate.free)
        chosen.append((candidate, taken))
        needed -= taken
    return chosen, max(needed, 0)
