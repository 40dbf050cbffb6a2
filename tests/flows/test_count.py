"""Count: blind, recounted by somebody else, compared with the book of its moment, then decided (R39–R43)."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from sqlalchemy import func, select

from tests import ways
from tests.floor import Floor, Hand
from tests.flows.steps import all_rows, changed, open_shortages, refused, sent_again, state
from wms import ledger
from wms.clock import now
from wms.errors import ChangedMeanwhile
from wms.flows import count, pick, release
from wms.models import (
    Count,
    CountLine,
    CountState,
    Item,
    LocationKind,
    MoveReason,
    Order,
    OrderState,
    StockMove,
)

PLACE, OTHER = "A-01-01-1", "A-01-02-1"


@pytest.fixture
def planned(floor: Floor) -> Floor:
    """Ten A1 stand there in the book; the place is to be counted."""
    floor.item("A1", case=("A1CASE", 6))
    floor.item("B2")
    floor.stock("A1", PLACE, 10)
    with floor.database.transaction(floor.actor()) as session:
        count.plan(session, floor.place(session, PLACE))
    return floor


def row(floor: Floor) -> Count:
    with floor.database.reading() as session:
        return session.execute(select(Count).order_by(Count.id.desc()).limit(1)).scalar_one()


def lines(floor: Floor) -> list[tuple[int, str, int, int]]:
    with floor.database.reading() as session:
        return [
            tuple(line)
            for line in session.execute(
                select(CountLine.round, Item.sku, CountLine.counted, CountLine.book)
                .join(Item, Item.id == CountLine.item_id)
                .order_by(CountLine.id)
            ).all()
        ]


def begin(floor: Floor, name: str) -> tuple[Hand, str]:
    hand = floor.hand(name)
    hand.act("/count/next")
    hand.sees("count/scan_location")
    return hand, f"/count/{row(floor).id}"


def counts(floor: Floor, name: str, *codes: str) -> Hand:
    hand, path = begin(floor, name)
    hand.act(f"{path}/scan", code=f"L-{PLACE}")
    for code in codes:
        hand.act(f"{path}/scan", code=code)
        assert hand.status == 200, hand.said
    hand.act(f"{path}/finish")
    assert "Thank you, counted." in hand.said
    return hand


def decide(floor: Floor, **fields: str) -> Hand:
    hand = floor.hand("supervisor")
    hand.act(f"/desk/counts/{row(floor).id}/decide", **fields)
    return hand


def test_a_count_that_matches_is_kept_as_proof(planned: Floor) -> None:
    """R40: the lines stay; nothing moved."""
    moves = ways.books(planned)["moves"]
    counts(planned, "picker", "A1CASE", "A1", "A1", "A1", "A1")
    assert (row(planned).state, lines(planned)) == (CountState.MATCHED, [(1, "A1", 10, 10)])
    assert ways.books(planned)["moves"] == moves


def test_each_step_refuses_what_it_does_not_want(planned: Floor) -> None:
    hand, path = begin(planned, "picker")
    refused(planned, hand, f"{path}/scan", f"This is {OTHER}. Count {PLACE}.", code=f"L-{OTHER}")
    refused(planned, hand, f"{path}/scan", "Scan a location. A1 is an item.", code="A1")
    refused(planned, hand, f"{path}/finish", "Scan the location.")
    sent_again(planned, hand, f"{path}/scan", code=f"L-{PLACE}")
    refused(planned, hand, f"{path}/scan", "Nobody knows the code", "look", code="NOBODY")
    refused(planned, hand, f"{path}/scan", f"This is {OTHER}. Count {PLACE}.", code=f"L-{OTHER}")
    refused(planned, hand, f"{path}/scan", "Scan an item. 001 is a tote.", code="T-001")
    sent_again(planned, hand, f"{path}/scan", code="A1")
    hand.act(f"{path}/scan", code="A1")
    assert lines(planned) == [(1, "A1", 2, 10)], "R11: twice is two"
    with planned.database.reading() as session:
        item = str(session.execute(select(Item.id).where(Item.sku == "A1")).scalar_one())
    for entered in ("-1", "x", "", "1.5", "1000001", "٣"):
        refused(planned, hand, f"{path}/enter", "is not a quantity", item=item, lot="", qty=entered)
    refused(planned, hand, f"{path}/enter", "does not exist", status=404, item="0", lot="", qty="1")
    sent_again(planned, hand, f"{path}/enter", item=item, lot="", qty="10")
    sent_again(planned, hand, f"{path}/finish")
    assert row(planned).state is CountState.MATCHED


def test_nobody_counts_where_nothing_is_planned(floor: Floor) -> None:
    hand = floor.hand("picker")
    refused(floor, hand, "/count/next", "Nothing is waiting to be counted.", "look")


def test_the_book_is_in_no_answer_of_the_whole_count(planned: Floor) -> None:
    """R39: neither the number, nor that there is a difference, nor the item that was expected."""
    with planned.database.transaction(planned.actor()) as session:
        item = session.execute(select(Item).where(Item.sku == "A1")).scalar_one()
        ledger.post(
            session,
            item_id=item.id,
            qty=7309,
            from_=ledger.virtual(session, LocationKind.ADJUSTMENT),
            to=planned.place(session, PLACE),
            reason=MoveReason.OPENING,
            cause="test:1",
        )
    hand, path = begin(planned, "picker")
    pages = [hand.page]
    for act, fields in (
        ("scan", {"code": "L-A-01-02-1"}),
        ("scan", {"code": f"L-{PLACE}"}),
        ("scan", {"code": "B2"}),
        ("scan", {"code": "NOBODY"}),
        ("finish", {}),
    ):
        pages.append(hand.act(f"{path}/{act}", **fields))
        pages.append(hand.get("/count"))
    for page in pages:
        page = re.sub(r"[\w.-]{60,}", "", page)  # tokens: any letters may stand in them
        assert "7319" not in page and "7,319" not in page and "A1" not in page.replace("A-01", "")
    assert row(planned).state is CountState.RECOUNT


def test_a_difference_is_counted_again_by_somebody_else(planned: Floor) -> None:
    """R40: two equal counts inside the limit are accepted, as moves linked to the count (R42)."""
    first = counts(planned, "picker", "A1CASE", "A1", "A1")
    assert row(planned).state is CountState.RECOUNT
    refused(planned, first, "/count/next", "Nothing is waiting to be counted.", "look")
    counts(planned, "second picker", "A1CASE", "A1", "A1")
    assert row(planned).state is CountState.ADJUSTED
    assert ways.held(planned, "A1", PLACE) == (8, 0)
    with planned.database.reading() as session:
        line = session.execute(select(CountLine).where(CountLine.round == 2)).scalar_one()
        move = session.get_one(StockMove, (planned.warehouse_id, line.move_id))
        assert (move.qty, move.reason, move.cause) == (2, MoveReason.COUNT, f"count_line:{line.id}")
        assert line.reason == "two_equal_counts"
    planned.books_are_right()


def test_the_second_count_may_find_that_the_book_was_right(planned: Floor) -> None:
    counts(planned, "picker", "A1CASE")
    counts(planned, "second picker", "A1CASE", "A1", "A1", "A1", "A1")
    assert row(planned).state is CountState.MATCHED
    assert lines(planned) == [(1, "A1", 6, 10), (2, "A1", 10, 10)]
    assert ways.held(planned, "A1", PLACE) == (10, 0)


@pytest.mark.parametrize("second", [("A1CASE",), ("A1CASE", "A1")], ids=["equal but large", "different"])
def test_a_large_or_disputed_difference_waits_for_the_supervisor(planned: Floor, second: tuple[str, ...]) -> None:
    counts(planned, "picker", "A1CASE")
    counts(planned, "second picker", *second)
    assert row(planned).state is CountState.TO_DECIDE
    assert ways.held(planned, "A1", PLACE) == (10, 0)
    hand = planned.hand("supervisor")
    path = f"/desk/counts/{row(planned).id}/decide"
    refused(planned, hand, path, "Choose a reason for the difference.", act="accept", reason="")
    refused(planned, hand, path, "Choose a reason for the difference.", act="accept", reason="because")
    sent_again(planned, hand, path, act="accept", reason="lost")
    assert ways.held(planned, "A1", PLACE) == (6 if second == ("A1CASE",) else 7, 0)
    assert row(planned).state is CountState.ADJUSTED
    refused(planned, hand, path, "changed by somebody else", "look", status=409, act="accept", reason="lost")
    refused(planned, hand, path, "changed by somebody else", "look", status=409, act="keep")
    refused(planned, hand, path, "changed by somebody else", "look", status=409, act="again")
    planned.books_are_right()


def test_a_supervisor_may_leave_the_book_as_it_is(planned: Floor) -> None:
    counts(planned, "picker")
    counts(planned, "second picker")
    assert "The book stays as it was" in decide(planned, act="keep").said
    assert (row(planned).state, ways.held(planned, "A1", PLACE)) == (CountState.MATCHED, (10, 0))
    assert lines(planned) == [(1, "A1", 0, 10), (2, "A1", 0, 10)], "what was said stays as proof"


def test_a_third_count_is_by_neither_of_the_two(planned: Floor) -> None:
    """R40: by somebody who has not counted this place yet, nor the one who counted last."""
    counts(planned, "picker", "A1CASE")
    second = counts(planned, "second picker")
    decide(planned, act="again")
    assert (row(planned).state, row(planned).round) == (CountState.RECOUNT, 3)
    refused(planned, second, "/count/next", "Nothing is waiting to be counted.", "look")
    counts(planned, "packer", "A1CASE", "A1", "A1", "A1", "A1")
    assert row(planned).state is CountState.MATCHED


def test_empty_is_a_valid_count(planned: Floor) -> None:
    """R43: goods never scanned count as none."""
    counts(planned, "picker")
    counts(planned, "second picker")
    decide(planned, act="accept", reason="lost")
    assert ways.held(planned, "A1", PLACE) == (0, 0)
    planned.books_are_right()


def test_goods_that_were_not_in_the_book_are_added(planned: Floor) -> None:
    """R43."""
    for name in ("picker", "second picker"):
        counts(planned, name, "A1CASE", "A1", "A1", "A1", "A1", "B2", "B2")
    assert row(planned).state is CountState.ADJUSTED
    assert (ways.held(planned, "A1", PLACE), ways.held(planned, "B2", PLACE)) == ((10, 0), (2, 0))
    planned.books_are_right()


def test_places_may_move_while_they_are_counted(planned: Floor) -> None:
    """R41: a picker takes three after they were counted; the count is compared with the book of its moment."""
    order = planned.order("SO-1", ("A1", 3))
    planned.release(order)
    hand, path = begin(planned, "picker")
    hand.act(f"{path}/scan", code=f"L-{PLACE}")
    for code in ("A1CASE", "A1", "A1", "A1", "A1"):
        hand.act(f"{path}/scan", code=code)
    ways.picked(planned, order, by="second picker")
    hand.act(f"{path}/finish")
    assert row(planned).state is CountState.MATCHED
    assert ways.held(planned, "A1", PLACE) == (7, 0)
    planned.books_are_right()


def test_a_piece_taken_between_two_scans_of_one_item_is_not_missed(planned: Floor) -> None:
    """R41: four of ten were counted when three were taken away, from either heap."""
    order = planned.order("SO-1", ("A1", 3))
    planned.release(order)
    hand, path = begin(planned, "picker")
    hand.act(f"{path}/scan", code=f"L-{PLACE}")
    for _ in range(4):
        hand.act(f"{path}/scan", code="A1")
    ways.picked(planned, order, by="second picker")
    for _ in range(6):
        hand.act(f"{path}/scan", code="A1")
    hand.act(f"{path}/finish")
    assert row(planned).state is CountState.MATCHED
    assert lines(planned) == [(1, "A1", 7, 7)]


def test_a_move_after_the_count_is_not_overwritten_by_the_decision(planned: Floor) -> None:
    """R41, R42: six of ten are there, then four of them leave: the difference is posted, not the number."""
    for name in ("picker", "second picker"):
        counts(planned, name, "A1CASE")
    order = planned.order("SO-1", ("A1", 4))
    planned.release(order)
    ways.picked(planned, order)
    decide(planned, act="accept", reason="lost")
    assert ways.held(planned, "A1", PLACE) == (2, 0)
    planned.books_are_right()


def test_an_adjustment_breaks_the_newest_promises_first_and_tells_the_supervisor(planned: Floor) -> None:
    """R42: older promises are kept, a broken one looks for other stock first."""
    planned.stock("A1", OTHER, 2)
    with planned.database.transaction(planned.actor()) as session:
        planned.place(session, OTHER).blocked = True
    orders = [planned.order(f"SO-{n}", ("A1", 3)) for n in range(3)]
    planned.release(*orders)
    with planned.database.transaction(planned.actor()) as session:
        planned.place(session, OTHER).blocked = False
    for name in ("picker", "second picker"):
        counts(planned, name, "A1", "A1", "A1", "A1")
    said = decide(planned, act="accept", reason="lost")
    assert "The book is corrected by -6 pieces. Short of them now: " in said.said
    assert ways.held(planned, "A1", PLACE) == (4, 4)
    assert ways.held(planned, "A1", OTHER) == (2, 2)
    assert sum(qty for qty, _why in open_shortages(planned)) == 3
    planned.books_are_right()
    ways.picked(planned, orders[0], "001")
    assert state(planned, orders[0]) is OrderState.PICKED, "the oldest promise was kept"


def test_damaged_goods_of_the_book_are_not_taken_for_missing_good_ones(planned: Floor) -> None:
    """A place holds good and damaged pieces of one item; the book knows them apart."""
    with planned.database.transaction(planned.actor()) as session:
        from wms.models import Condition

        item = session.execute(select(Item).where(Item.sku == "A1")).scalar_one()
        here = planned.place(session, PLACE)
        ledger.post(
            session,
            item_id=item.id,
            qty=2,
            from_=here,
            to=here,
            to_condition=Condition.DAMAGED,
            reason=MoveReason.RELOCATE,
            cause="test:1",
        )
    counts(planned, "picker", "A1CASE", "A1", "A1")
    assert [line[2:] for line in lines(planned)] == [(8, 8), (0, 2)]
    assert row(planned).state is CountState.RECOUNT, "damaged pieces that nobody counted are a question"


def test_lots_are_counted_apart(floor: Floor) -> None:
    floor.item("T1", "6901234567892", lots=True)
    floor.stock("T1", PLACE, 2, "L1", date(2035, 1, 1))
    with floor.database.transaction(floor.actor()) as session:
        count.plan(session, floor.place(session, PLACE))
    hand, path = begin(floor, "picker")
    hand.act(f"{path}/scan", code=f"L-{PLACE}")
    hand.act(f"{path}/scan", code="6901234567892")
    assert hand.status == 200, "one lot stands here, so it is clear which"
    floor.stock("T1", PLACE, 1, "L2", date(2036, 1, 1))
    refused(floor, hand, f"{path}/scan", "T1 is kept by lot.", "look", code="6901234567892")
    hand.act(f"{path}/scan", code="010690123456789210L1")
    hand.act(f"{path}/scan", code="010690123456789210L2")
    hand.act(f"{path}/finish")
    assert row(floor).state is CountState.MATCHED


def test_a_count_left_half_done_is_begun_anew_by_another(planned: Floor) -> None:
    hand, path = begin(planned, "picker")
    hand.act(f"{path}/scan", code=f"L-{PLACE}")
    hand.act(f"{path}/scan", code="A1")
    with planned.database.transaction(planned.actor()) as session:
        session.execute(select(Count)).scalar_one().seen_at = now() - timedelta(minutes=30)
    other, same = begin(planned, "second picker")
    assert same == path and lines(planned) == []
    refused(planned, hand, f"{path}/scan", "changed by somebody else", "look", status=409, code="A1")
    other.act(f"{path}/scan", code=f"L-{PLACE}")
    other.act(f"{path}/scan", code="A1")
    assert lines(planned) == [(1, "A1", 1, 10)]


def test_one_place_has_one_open_count_and_doubt_makes_it_urgent(planned: Floor) -> None:
    """R22: a short pick asks for a count that is planned already."""
    before = row(planned).id
    order = planned.order("SO-1", ("A1", 2))
    planned.release(order)
    task_id = ways.at_the_item(planned, order)
    with planned.database.transaction(ways.actor(planned, "picker")) as session:
        pick.short(session, planned.operator_id("picker"), pick.load(session, planned.warehouse_id, task_id), "empty")
    assert (row(planned).id, row(planned).why) == (before, "short")
    with planned.database.reading() as session:
        assert session.execute(select(func.count()).select_from(Count)).scalar_one() == 1


def test_after_its_count_a_doubted_place_is_promised_again(planned: Floor) -> None:
    order = planned.order("SO-1", ("A1", 2))
    planned.release(order)
    task_id = ways.at_the_item(planned, order)
    with planned.database.transaction(ways.actor(planned, "picker")) as session:
        pick.short(session, planned.operator_id("picker"), pick.load(session, planned.warehouse_id, task_id), "empty")
    assert state(planned, order) is OrderState.SHORT
    counts(planned, "second picker", "A1CASE", "A1", "A1", "A1", "A1")
    with planned.database.transaction(planned.actor()) as session:
        release.try_again(session, session.get_one(Order, (planned.warehouse_id, order)))
    assert state(planned, order) is OrderState.RELEASED
    planned.books_are_right()


def test_only_a_count_that_waits_is_decided(planned: Floor) -> None:
    before = all_rows(planned)
    for act in (lambda s, c: count.accept(s, c, "lost"), count.reject, count.again):
        with pytest.raises(ChangedMeanwhile), planned.database.transaction(planned.actor()) as session:
            act(session, session.execute(select(Count)).scalar_one())
    assert changed(before, all_rows(planned)) == set()
