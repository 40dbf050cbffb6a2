"""The cheapest carrier that is allowed, by province and weight: against plain enumeration, and by hand."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wms.planning.carriage import Choice, Price, cheapest, cost, in_force, province, regions

DAY = date(2026, 11, 21)


def price(
    carrier_id: int = 1,
    region: str = "*",
    first: tuple[int, int] = (1000, 800),
    step: tuple[int, int] = (1000, 200),
    bracket: tuple[int, int] = (0, 100_000),
    since: date = DAY,
) -> Price:
    return Price(carrier_id, region, *first, *step, *bracket, since)


@pytest.mark.parametrize(
    ("weight_g", "minor"),
    [(1, 800), (1000, 800), (1001, 1000), (2000, 1000), (2001, 1200), (9999, 2600)],
)
def test_every_step_that_is_begun_counts(weight_g: int, minor: int) -> None:
    assert cost(price(), weight_g) == minor


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("广东省", "广东"),
        ("广东", "广东"),
        ("上海市", "上海"),
        ("内蒙古自治区", "内蒙古"),
        ("广西壮族自治区", "广西"),
        ("新疆维吾尔自治区", "新疆"),
        ("香港特别行政区", "香港"),
        (" 北 京 市 ", "北京"),
        ("", ""),
    ],
)
def test_provinces_have_one_name(text: str, name: str) -> None:
    assert province(text) == name


def test_cells_may_name_several() -> None:
    assert regions("江浙沪、安徽省，广东") == ["江苏", "浙江", "上海", "安徽", "广东"]
    assert regions("全国") == regions("其他") == ["*"]
    assert regions(" ") == []


def test_a_provinces_own_table_stands_before_everywhere_and_is_not_filled_up() -> None:
    table = [price(first=(1000, 500)), price(region="西藏", first=(1000, 2500), bracket=(0, 3000))]
    assert in_force(table, 1, "西藏", 900, DAY) == table[1]
    assert in_force(table, 1, "广东", 900, DAY) == table[0]
    assert in_force(table, 1, "西藏", 3001, DAY) is None


def test_a_new_table_counts_from_its_day_and_takes_the_place_of_the_whole_old_one() -> None:
    old, heavy = price(bracket=(0, 5000)), price(bracket=(5000, 100_000), first=(5000, 3000))
    new = price(first=(1000, 900), bracket=(0, 5000), since=date(2026, 12, 1))
    assert in_force([old, heavy, new], 1, "广东", 1000, date(2026, 11, 30)) == old
    assert in_force([old, heavy, new], 1, "广东", 5001, date(2026, 11, 30)) == heavy
    assert in_force([old, heavy, new], 1, "广东", 1000, date(2026, 12, 1)) == new
    assert in_force([old, heavy, new], 1, "广东", 5001, date(2026, 12, 1)) is None
    assert in_force([old], 1, "广东", 1000, date(2026, 11, 20)) is None


def test_of_equals_the_preferred_then_the_lowest_number() -> None:
    table = [price(3), price(2), price(7)]
    assert cheapest(table, "广东", 500, DAY) == Choice(2, 800)
    assert cheapest(table, "广东", 500, DAY, prefer=7) == Choice(7, 800)
    assert cheapest(table, "广东", 500, DAY, allowed={3, 7}) == Choice(3, 800)
    assert cheapest(table, "广东", 500, DAY, allowed=set()) is None
    assert cheapest([*table, price(9, first=(1000, 799))], "广东", 500, DAY, prefer=7) == Choice(9, 799)


LINES = st.builds(
    price,
    st.integers(1, 4),
    st.sampled_from(["广东", "西藏", "*"]),
    st.tuples(st.integers(1, 3000), st.integers(0, 3000)),
    st.tuples(st.integers(1, 1500), st.integers(0, 900)),
    st.sampled_from([(0, 1000), (1000, 5000), (0, 5000), (5000, 9000)]),
    st.sampled_from([date(2026, 1, 1), DAY, date(2027, 1, 1)]),
)


@given(
    st.lists(LINES, max_size=12), st.sampled_from(["广东", "海南"]), st.integers(1, 10_000), st.sets(st.integers(1, 4))
)
def test_nobody_else_that_is_allowed_is_cheaper(table: list[Price], region: str, weight_g: int, may: set[int]) -> None:
    chosen = cheapest(table, region, weight_g, DAY, may)
    offers = []
    for carrier_id in may:
        mine = [line for line in table if line.carrier_id == carrier_id and line.valid_from <= DAY]
        own = [line for line in mine if line.region == region] or [line for line in mine if line.region == "*"]
        own = [line for line in own if line.valid_from == max(each.valid_from for each in own)]
        fits = [line for line in own if (line.min_g == 0 or line.min_g < weight_g) and weight_g <= line.max_g]
        if fits:
            line = max(fits, key=lambda each: each.min_g)
            steps = 0
            while line.first_g + steps * line.step_g < weight_g:
                steps += 1
            offers.append((line.first_minor + steps * line.step_minor, carrier_id))
    assert (chosen and (chosen.cost_minor, chosen.carrier_id)) == (min(offers) if offers else None)
