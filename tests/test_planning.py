"""Which stock and which way: first expired, first out (R8), and a walk without empty returns."""

from __future__ import annotations

import random
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from wms.planning.allocation import Candidate, first_expired
from wms.planning.walk import walk_number, zone_of

TODAY = date(2026, 11, 21)


def on(days: int | None) -> date | None:
    return None if days is None else TODAY + timedelta(days=days)


def keys(chosen: list[tuple[Candidate, int]]) -> list[tuple[object, int]]:
    return [(candidate.key, pieces) for candidate, pieces in chosen]


def test_the_lot_that_expires_first_goes_first() -> None:
    stock = [Candidate("later", 9, on(90), 1), Candidate("sooner", 2, on(9), 2), Candidate("undated", 9, None, 0)]
    chosen, missing = first_expired(stock, 5, TODAY)
    assert (keys(chosen), missing) == ([("sooner", 2), ("later", 3)], 0)


def test_goods_without_a_date_go_last() -> None:
    chosen, missing = first_expired([Candidate("undated", 9, None, 0), Candidate("dated", 1, on(900), 9)], 3, TODAY)
    assert (keys(chosen), missing) == ([("dated", 1), ("undated", 2)], 0)


def test_expired_goods_are_left_alone_and_the_last_day_is_still_good() -> None:
    stock = [Candidate("yesterday", 9, on(-1), 0), Candidate("today", 1, on(0), 0)]
    assert first_expired(stock, 2, TODAY) == ([(stock[1], 1)], 1)


def test_a_shop_may_ask_for_a_minimum_of_days_left() -> None:
    stock = [Candidate("a week", 9, on(7), 0), Candidate("a month", 9, on(30), 0)]
    chosen, _ = first_expired(stock, 2, TODAY, least_days=8)
    assert keys(chosen) == [("a month", 2)]
    assert keys(first_expired(stock, 2, TODAY, least_days=7)[0]) == [("a week", 2)]


def test_of_equal_dates_one_place_that_holds_all_saves_a_walk() -> None:
    stock = [Candidate("rest", 1, None, 0), Candidate("all", 5, None, 9)]
    assert keys(first_expired(stock, 5, TODAY)[0]) == [("all", 5)]


def test_of_equal_dates_the_smaller_remainder_is_emptied_first() -> None:
    stock = [Candidate("many", 5, None, 0), Candidate("few", 2, None, 9)]
    assert keys(first_expired(stock, 6, TODAY)[0]) == [("few", 2), ("many", 4)]


def test_one_place_is_not_taken_when_its_goods_are_fresher() -> None:
    stock = [Candidate("sooner", 1, on(5), 0), Candidate("whole but later", 5, on(50), 0)]
    assert keys(first_expired(stock, 5, TODAY)[0]) == [("sooner", 1), ("whole but later", 4)]


stocks = st.lists(
    st.tuples(st.integers(-2, 12), st.one_of(st.none(), st.integers(-5, 20)), st.integers(0, 99), st.booleans()),
    max_size=8,
).map(lambda rows: [Candidate(n, free, on(days), walk, face) for n, (free, days, walk, face) in enumerate(rows)])


@given(stocks, st.integers(1, 40), st.integers(0, 10), st.randoms())
def test_fefo_holds_on_any_stock(stock: list[Candidate], needed: int, least: int, chance: random.Random) -> None:
    """R8, as properties: never too much, never expired, never a fresher piece while an older one stays."""
    chosen, missing = first_expired(stock, needed, TODAY, least)
    limit = TODAY + timedelta(days=least)
    usable = [c for c in stock if c.free > 0 and (c.expiry is None or c.expiry >= limit)]
    taken = {candidate.key: pieces for candidate, pieces in chosen}
    assert len(taken) == len(chosen)
    assert all(0 < pieces <= candidate.free for candidate, pieces in chosen)
    assert all(candidate in usable for candidate, _pieces in chosen)
    assert sum(taken.values()) == needed - missing == min(needed, sum(c.free for c in usable))
    last = max((c.expiry or date.max for c, _pieces in chosen), default=date.min)
    for candidate in usable:
        if (candidate.expiry or date.max) < last:
            assert taken.get(candidate.key) == candidate.free, "an older piece was left for a fresher one"
    mixed = list(stock)
    chance.shuffle(mixed)
    again, still = first_expired(mixed, needed, TODAY, least)
    assert still == missing
    by_date = sorted((str(c.expiry), pieces) for c, pieces in chosen)
    assert sum(pieces for _date, pieces in by_date) == sum(pieces for _c, pieces in again)


def test_the_walk_goes_up_one_aisle_and_down_the_next() -> None:
    codes = [f"A-{aisle:02d}-{bay:02d}-1" for aisle in (1, 2, 3) for bay in (1, 2, 3)]
    random.Random(1).shuffle(codes)
    assert sorted(codes, key=walk_number) == [
        "A-01-01-1",
        "A-01-02-1",
        "A-01-03-1",
        "A-02-03-1",
        "A-02-02-1",
        "A-02-01-1",
        "A-03-01-1",
        "A-03-02-1",
        "A-03-03-1",
    ]


def test_zones_levels_and_bins_follow_their_groups() -> None:
    assert sorted(["B-01-01-1", "A-01-01-2", "A-01-01-1-2", "A-01-01-1-1"], key=walk_number) == [
        "A-01-01-1-1",
        "A-01-01-1-2",
        "A-01-01-2",
        "B-01-01-1",
    ]
    assert (zone_of("a-01-02"), zone_of("12-3"), zone_of("")) == ("A", "12", "")


@given(st.text(max_size=40))
def test_no_code_breaks_the_walk_and_its_number_fits_the_column(code: str) -> None:
    assert 0 <= walk_number(code) < 2**31
