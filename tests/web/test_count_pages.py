"""Count as a counter sees it: nothing that the book knows is ever in an answer (R39)."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from tests.floor import Floor, Hand
from wms.flows import count
from wms.models import Count, CountState

PLACE = "A-01-01-1"
BOOK = 7319
"""A number that is nowhere on a page unless the book's quantity is."""


@pytest.fixture
def planned(floor: Floor) -> Floor:
    floor.item("A1", "6901234567892", case=("A1CASE", 12))
    floor.item("B2")
    floor.stock("A1", PLACE, BOOK)
    with floor.database.transaction(floor.actor()) as session:
        count.plan(session, floor.place(session, PLACE))
    return floor


def state(floor: Floor) -> CountState:
    with floor.database.reading() as session:
        return session.execute(select(Count.state)).scalar_one()


def count_it(hand: Hand, *codes: str, number: str = "") -> list[str]:
    """Count the place; returns every page the counter got."""
    seen = [hand.get("/count"), hand.press("/count/next"), hand.scan(f"L-{PLACE}")]
    seen += [hand.scan(code) for code in codes]
    if number:
        item = re.search(r'name="item" value="(\d+)"', hand.page)
        assert item
        seen.append(hand.press("/enter", item=item[1], lot="", qty=number))
    seen.append(hand.get("/count"))
    seen.append(hand.press("/finish"))
    seen.append(hand.get("/count"))
    return seen


def bare(page: str) -> str:
    """A page without what differs on every request."""
    return re.sub(r'name="csrf_token" value="[^"]*"|content="[^"]*"|\{"X-CSRFToken": "[^"]*"\}', "", page)


def test_a_count_goes_from_asking_for_work_to_thank_you(planned: Floor) -> None:
    hand = planned.hand("picker")
    hand.get("/count")
    hand.sees("count/waiting", "1 locations wait")
    hand.press("/count/next")
    hand.sees("count/scan_location", "A-01-01- 1")
    hand.scan("L-A-01-02-1")
    assert hand.status == 422 and "Count A-01-01-1" in hand.said
    hand.scan(f"L-{PLACE}")
    hand.sees("count/scan_item", "Nothing is here")
    hand.scan("6901234567892")
    hand.scan("6901234567892")
    hand.scan("A1CASE")
    assert "A1: 14 counted." in hand.said
    hand.get("/count")
    hand.sees("count/scan_item", "All counted")
    hand.press("/finish")
    hand.sees("count/waiting", "0 locations wait")
    assert "Thank you, counted." in hand.said
    assert state(planned) is CountState.RECOUNT


def test_the_book_quantity_is_in_no_answer_to_the_counter(planned: Floor) -> None:
    for page in count_it(planned.hand("picker"), "6901234567892", "A1CASE"):
        assert str(BOOK) not in page
        assert str(BOOK - 13) not in page, "the difference"
    assert state(planned) is CountState.RECOUNT


def test_the_answer_to_finishing_is_the_same_whether_it_matched_or_not(planned: Floor) -> None:
    wrong = count_it(planned.hand("picker"), "6901234567892")[-2:]
    assert state(planned) is CountState.RECOUNT
    with planned.database.transaction(planned.actor()) as session:
        session.execute(select(Count)).scalar_one().state = CountState.MATCHED
        count.plan(session, planned.place(session, PLACE))
    right = count_it(planned.hand("picker"), "6901234567892", number=str(BOOK))[-2:]
    with planned.database.reading() as session:
        assert [row.state for row in session.execute(select(Count)).scalars()] == [CountState.MATCHED] * 2
        assert session.execute(select(Count.first_operator_id).order_by(Count.id.desc())).scalars().first() is None
    assert [bare(page) for page in wrong] == [bare(page) for page in right]


def test_a_second_counter_is_not_told_that_somebody_counted_before(planned: Floor) -> None:
    first, second = planned.hand("picker"), planned.hand("second picker")
    before = count_it(first, "6901234567892")
    after = count_it(second, "6901234567892")
    assert state(planned) is CountState.TO_DECIDE
    # All but the name of the one who is signed in.
    pages = [[bare(page).replace("second picker", "picker") for page in pages] for pages in (before, after)]
    pages = [[re.sub(r'data-operator="\d+"', "", page) for page in each] for each in pages]
    assert pages[0] == pages[1]


def test_the_first_counter_is_not_given_the_recount(planned: Floor) -> None:
    hand = planned.hand("picker")
    count_it(hand, "6901234567892")
    hand.press("/count/next")
    hand.sees("count/waiting")
    assert "Nothing is waiting to be counted." in hand.said


def test_another_ones_count_is_not_touched(planned: Floor) -> None:
    first, second = planned.hand("picker"), planned.hand("second picker")
    first.get("/count")
    first.press("/count/next")
    path = first.form("data-scan")
    second.act(path, code=f"L-{PLACE}")
    assert second.status == 409
    second.sees("count/waiting")
    first.get("/count")
    first.sees("count/scan_location")
