"""Pick: each step, each refusal, each way round a surprise (R8, R9, R12, R13, R15, R21–R25)."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from tests import ways
from tests.floor import Floor, Hand
from tests.flows.steps import counts_asked, open_shortages, refused, sent_again, state
from wms.clock import now
from wms.flows import cancel, count
from wms.models import CountState, Order, OrderState, PickStep, PickTask, StockMove

NEAR, MIDDLE, FAR = "A-01-01-1", "A-01-02-1", "A-01-03-1"
EAN = "6901234567892"


@pytest.fixture
def stocked(floor: Floor) -> Floor:
    floor.item("A1", EAN)
    floor.item("B2", "B2CODE", case=("B2CASE", 6))
    floor.stock("A1", NEAR, 10)
    floor.stock("B2", MIDDLE, 20)
    return floor


def begin(floor: Floor, *lines: tuple[str, int], number: str = "SO-1") -> tuple[int, Hand, str]:
    """An order is released and a picker has asked for work; returns order, hand and where its scans go."""
    order = floor.order(number, *lines)
    assert floor.release(order)[0].short == {}
    hand = floor.hand("picker")
    hand.get("/pick")
    hand.press("/pick/next")
    return order, hand, f"/pick/{floor.task_of(order).id}/scan"


def test_give_me_work_sent_twice_gives_one_task(stocked: Floor) -> None:
    first = stocked.order("SO-1", ("A1", 1))
    stocked.release(first, stocked.order("SO-2", ("A1", 1)))
    hand = stocked.hand("picker")
    sent_again(stocked, hand, "/pick/next")
    hand.sees("pick/scan_tote", "SO-1")
    hand.act("/pick/next")
    hand.sees("pick/scan_tote", "SO-1")  # the one already in hand, not a second one
    with stocked.database.reading() as session:
        assert len(session.execute(select(PickTask).where(PickTask.operator_id.is_not(None))).all()) == 1


def test_no_work_is_said(floor: Floor) -> None:
    hand = floor.hand("picker")
    refused(floor, hand, "/pick/next", "Nothing is waiting to be picked.", "look")
    hand.sees("pick/waiting")


def test_the_most_urgent_order_comes_first(stocked: Floor) -> None:
    late, urgent = stocked.order("LATE", ("A1", 1)), stocked.order("URGENT", ("A1", 1))
    with stocked.database.transaction(stocked.actor()) as session:
        session.get_one(Order, (stocked.warehouse_id, urgent)).ship_by = now() + timedelta(hours=1)
    stocked.release(late, urgent)
    hand = stocked.hand("picker")
    hand.act("/pick/next")
    hand.sees("pick/scan_tote", "URGENT")


def test_the_tote_is_refused_while_it_is_not_an_empty_tote(stocked: Floor) -> None:
    """R25, R13: another code, an unknown one, a tote in use, a tote with goods: four messages."""
    other = stocked.order("SO-0", ("A1", 1))
    stocked.release(other)
    ways.at_the_item(stocked, other, tote="002", by="second picker")
    _order, hand, path = begin(stocked, ("A1", 2))
    refused(stocked, hand, path, f"Scan a tote. {NEAR} is a location.", code=f"L-{NEAR}")
    refused(stocked, hand, path, "Nobody knows the code T-777.", "look", code="T-777")
    refused(stocked, hand, path, "Nobody knows the code", "look", code="")
    refused(stocked, hand, path, "Tote 002 is in use for another order.", code="T-002")
    with stocked.database.transaction(stocked.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (stocked.warehouse_id, other)), "test")
    with stocked.database.transaction(ways.actor(stocked, "admin")) as session:
        from wms import ledger
        from wms.models import Item, MoveReason

        item = session.execute(select(Item).where(Item.sku == "A1")).scalar_one()
        ledger.post(
            session,
            item_id=item.id,
            qty=1,
            from_=stocked.place(session, NEAR),
            to=stocked.place(session, "003"),
            reason=MoveReason.RELOCATE,
            cause="test:1",
        )
    refused(stocked, hand, path, "Tote 003 still holds goods.", code="T-003")
    hand.sees("pick/scan_tote")
    sent_again(stocked, hand, path, code="T-001")
    hand.sees("pick/scan_location", "2 × A1")
    stocked.books_are_right()


def test_the_place_is_refused_while_it_is_another(stocked: Floor) -> None:
    """R12: what was expected and what was read."""
    _order, hand, path = begin(stocked, ("A1", 2))
    hand.act(path, code="T-001")
    refused(stocked, hand, path, f"This is {MIDDLE}. Go to {NEAR}.", code=f"L-{MIDDLE}")
    refused(stocked, hand, path, "Scan a location. A1 is an item.", code=EAN)
    hand.sees("pick/scan_location")
    sent_again(stocked, hand, path, code=f"l-{NEAR.lower()}")
    hand.sees("pick/scan_item", "2 to take")


def test_unknown_wrong_elsewhere_and_done_already_are_four_messages(stocked: Floor) -> None:
    """R13."""
    stocked.item("C3")
    stocked.stock("B2", NEAR, 1)
    order = stocked.order("SO-1", ("A1", 1), ("B2", 2))
    assert stocked.release(order)[0].short == {}
    with stocked.database.reading() as session:
        assert session.execute(select(PickTask)).scalar_one().order_id == order
    hand = stocked.hand("picker")
    hand.act("/pick/next")
    path = f"/pick/{stocked.task_of(order).id}/scan"
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{NEAR}")
    hand.sees("pick/scan_item", "A1")
    refused(stocked, hand, path, "Nobody knows the code 4000000000006.", "look", code="4000000000006")
    refused(stocked, hand, path, "Pick A1, not C3.", block=True, code="C3")
    refused(stocked, hand, path, f"B2 is picked later, at {MIDDLE}. Here take A1.", code="B2CODE")
    hand.act(path, code=EAN)
    hand.act(path, code=f"L-{MIDDLE}")
    refused(stocked, hand, path, "A1 is already complete for this order.", "look", code=EAN)
    hand.sees("pick/scan_item", "2 to take")
    stocked.books_are_right()


def test_a_piece_scanned_twice_is_two_pieces_and_sent_twice_is_one(stocked: Floor) -> None:
    """R10, R11."""
    order, hand, path = begin(stocked, ("A1", 3))
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{NEAR}")
    sent_again(stocked, hand, path, code=EAN)
    assert hand.feeling == "done"
    assert ways.held(stocked, "A1", "001") == (1, 1)
    hand.act(path, code=EAN)
    hand.act(path, code=EAN)
    hand.sees("pick/done", "SO-1")
    assert ways.held(stocked, "A1", "001") == (3, 3)
    assert state(stocked, order) is OrderState.PICKED
    refused(stocked, hand, path.replace("/scan", "/rest"), "does not exist", status=404, qty="1")
    stocked.books_are_right()


def test_over_pick_is_capped_on_every_path(stocked: Floor) -> None:
    """R21: by a case, by typing a number."""
    _order, hand, path = begin(stocked, ("B2", 8))
    rest = path.replace("/scan", "/rest")
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{MIDDLE}")
    refused(stocked, hand, rest, "Scan one piece of B2 first", qty="8")
    hand.act(path, code="B2CASE")
    hand.sees("pick/scan_item", "2 to take")
    refused(stocked, hand, path, "Only 2 more of B2. This would be 6.", code="B2CASE")
    refused(stocked, hand, rest, "Only 2 more of B2. This would be 3.", qty="3")
    for entered in ("0", "-1", "x", "", "1.5", "٣", "²", "99999999999999999999999"):
        hand.act(rest, qty=entered)
        assert hand.status == 422 and hand.feeling == "wrong", entered
    sent_again(stocked, hand, rest, qty="2")
    hand.sees("pick/done")
    assert ways.held(stocked, "B2", "001") == (8, 8)
    stocked.books_are_right()


def test_undo_takes_the_last_piece_back_once(stocked: Floor) -> None:
    """R1: by a reverse move; also after the last piece; a second press finds nothing."""
    order, hand, path = begin(stocked, ("A1", 2))
    undo = path.replace("/scan", "/undo")
    refused(stocked, hand, undo, "There is nothing to undo here.", "look")
    for code in ("T-001", f"L-{NEAR}", EAN, EAN):
        hand.act(path, code=code)
    hand.sees("pick/done")
    sent_again(stocked, hand, undo)
    hand.sees("pick/scan_item", "1 to take")
    assert state(stocked, order) is OrderState.PICKING
    assert (ways.held(stocked, "A1", "001"), ways.held(stocked, "A1", NEAR)) == ((1, 1), (9, 1))
    refused(stocked, hand, undo, "There is nothing to undo here.", "look")
    hand.act(path, code=EAN)
    ways.on_the_bench(stocked)
    refused(stocked, hand, undo, "There is nothing to undo here.", "look")
    stocked.books_are_right()


def test_a_short_pick_finds_other_stock_asks_for_a_count_and_goes_on(stocked: Floor) -> None:
    """R22: other stock is promised at once, the doubted place is counted and not promised again."""
    stocked.stock("A1", FAR, 5)
    order, hand, path = begin(stocked, ("A1", 4))
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{FAR}" if "A-01-03-" in hand.text() else f"L-{NEAR}")
    here, there = (FAR, NEAR) if ways.held(stocked, "A1", FAR)[1] else (NEAR, FAR)
    hand.act(path, code=EAN)
    sent_again(stocked, hand, path.replace("/scan", "/short"), reason="empty")
    assert hand.feeling == "look" and "3 more were found at another location" in hand.said
    hand.sees("pick/scan_location", there[:-1])
    assert open_shortages(stocked) == []
    assert counts_asked(stocked) == [("short", CountState.PLANNED)]
    assert ways.held(stocked, "A1", here)[1] == 0
    hand.act(path, code=f"L-{there}")
    for _ in range(3):
        hand.act(path, code=EAN)
    hand.sees("pick/done")
    assert state(stocked, order) is OrderState.PICKED
    stocked.books_are_right()
    still = ways.held(stocked, "A1", there)[0]
    assert stocked.release(stocked.order("SO-2", ("A1", 10)))[0].short == {"A1": 10 - still}


def test_a_short_pick_without_other_stock_puts_the_order_on_the_shortage_list(stocked: Floor) -> None:
    """R22: the worker goes on with the rest; other people's promises are untouched."""
    order, hand, path = begin(stocked, ("A1", 4), ("B2", 1))
    stocked.release(stocked.order("SO-2", ("A1", 6)))
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{NEAR}")
    hand.act(path, code=EAN)
    sent_again(stocked, hand, path.replace("/scan", "/short"), reason="not_found")
    assert "Noted as short." in hand.said
    hand.sees("pick/scan_location", "1 × B2")
    assert open_shortages(stocked) == [(3, "not_found")]
    assert ways.held(stocked, "A1", NEAR) == (9, 6)
    hand.act(path, code=f"L-{MIDDLE}")
    hand.act(path, code="B2CODE")
    hand.sees("pick/done", "A supervisor decides")
    assert state(stocked, order) is OrderState.SHORT
    stocked.books_are_right()


def test_an_order_of_which_nothing_was_found_frees_its_tote(stocked: Floor) -> None:
    order, hand, path = begin(stocked, ("A1", 4))
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{NEAR}")
    hand.act(path.replace("/scan", "/short"), reason="nonsense")
    assert state(stocked, order) is OrderState.SHORT
    assert open_shortages(stocked) == [(4, "not_found")]
    stocked.stock("B2", MIDDLE, 1)
    _other, _hand, next_path = begin(stocked, ("B2", 1), number="SO-2")
    hand.act(next_path, code="T-001")
    hand.sees("pick/scan_location")
    stocked.books_are_right()


def test_a_full_tote_is_changed_for_another_in_the_middle(stocked: Floor) -> None:
    order, hand, path = begin(stocked, ("A1", 2), ("B2", 1))
    for code in ("T-001", f"L-{NEAR}", EAN, "T-002", EAN):
        hand.act(path, code=code)
        assert hand.status == 200
    assert (ways.held(stocked, "A1", "001"), ways.held(stocked, "A1", "002")) == ((1, 1), (1, 1))
    hand.act(path, code="T-003")
    hand.act(path, code=f"L-{MIDDLE}")
    hand.act(path, code="B2CODE")
    assert state(stocked, order) is OrderState.PICKED
    stocked.books_are_right()
    ways.verified(stocked, "002")
    stocked.books_are_right()


def test_a_task_belongs_to_one_worker_until_it_is_taken_over(stocked: Floor) -> None:
    """R23."""
    _order, hand, path = begin(stocked, ("A1", 2))
    for code in ("T-001", f"L-{NEAR}", EAN):
        hand.act(path, code=code)
    other = stocked.hand("second picker")
    refused(stocked, other, path, "This task now belongs to picker.", "look", status=409, code=EAN)
    other.sees("pick/taken", "This task belongs to picker")
    refused(stocked, other, path.replace("/scan", "/rest"), "belongs to picker", "look", status=409, qty="1")
    refused(stocked, other, path.replace("/scan", "/short"), "belongs to picker", "look", status=409, reason="empty")
    refused(stocked, other, path.replace("/scan", "/put-down"), "belongs to picker", "look", status=409)
    refused(stocked, other, path.replace("/scan", "/undo"), "nothing to undo", "look")
    sent_again(stocked, other, path.replace("/scan", "/take-over"))
    other.sees("pick/scan_item", "1 to take")
    refused(stocked, hand, path, "This task now belongs to second picker.", "look", status=409, code=EAN)
    other.act(path, code=EAN)
    other.sees("pick/done")
    stocked.books_are_right()


@pytest.mark.parametrize("later", ["picked", "packing", "packed", "shipped", "cancelled"])
def test_a_finished_task_is_not_taken_over(stocked: Floor, later: str) -> None:
    """The page asked a while ago; meanwhile the order went on. Taking over must not set it back (R23)."""
    order, hand, path = begin(stocked, ("A1", 1))
    for code in ("T-001", f"L-{NEAR}", EAN):
        hand.act(path, code=code)
    if later == "packing":
        ways.on_the_bench(stocked)
    if later in ("packed", "shipped"):
        parcel = ways.labelled(stocked)
        if later == "shipped":
            ways.handed_over(stocked, parcel)
    if later == "cancelled":
        with stocked.database.transaction(stocked.actor()) as session:
            cancel.cancel(session, session.get_one(Order, (stocked.warehouse_id, order)), "test")
    other = stocked.hand("second picker")
    refused(stocked, other, path.replace("/scan", "/take-over"), "changed by somebody else", "look", status=409)
    assert state(stocked, order) == later


def test_a_task_given_back_goes_on_from_where_it_was(stocked: Floor) -> None:
    order, hand, path = begin(stocked, ("A1", 2))
    for code in ("T-001", f"L-{NEAR}", EAN):
        hand.act(path, code=code)
    sent_again(stocked, hand, path.replace("/scan", "/put-down"))
    hand.sees("pick/waiting", "The task is free")
    other = stocked.hand("second picker")
    other.act("/pick/next")
    other.sees("pick/scan_location", "1 × A1", "001")
    other.act(path, code=f"L-{NEAR}")
    other.act(path, code=EAN)
    assert state(stocked, order) is OrderState.PICKED
    stocked.books_are_right()


def test_an_idle_claim_expires_and_its_owner_is_told(stocked: Floor) -> None:
    """R23."""
    _order, hand, path = begin(stocked, ("A1", 2))
    hand.act(path, code="T-001")
    other = stocked.hand("second picker")
    other.act("/pick/next")
    assert "Nothing is waiting" in other.said
    with stocked.database.transaction(stocked.actor()) as session:
        session.execute(select(PickTask)).scalar_one().seen_at = now() - timedelta(minutes=21)
    other.act("/pick/next")
    other.sees("pick/scan_location")
    refused(stocked, hand, path, "now belongs to second picker", "look", status=409, code=f"L-{NEAR}")


def test_the_next_scan_on_a_cancelled_order_stops_and_says_why(stocked: Floor) -> None:
    """R28."""
    order, hand, path = begin(stocked, ("A1", 2))
    for code in ("T-001", f"L-{NEAR}", EAN):
        hand.act(path, code=code)
    with stocked.database.transaction(stocked.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (stocked.warehouse_id, order)), "test")
    refused(stocked, hand, path, "Order SO-1 was cancelled. Stop here.", block=True, code=EAN)
    hand.sees("pick/stopped", "001")
    sent_again(stocked, hand, path.replace("/scan", "/stopped"))
    hand.sees("pick/waiting")
    assert ways.held(stocked, "A1", "001") == (1, 0)
    stocked.books_are_right()


def test_the_lot_that_expires_first_is_asked_for_and_another_is_refused(floor: Floor) -> None:
    """R8, R9: two lots in one place, so the lot must be scanned."""
    floor.item("T1", EAN, lots=True)
    floor.stock("T1", NEAR, 5, "L-LATE", date(2031, 1, 31))
    floor.stock("T1", NEAR, 5, "L-SOON", date(2030, 1, 31))
    _order, hand, path = begin(floor, ("T1", 2))
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{NEAR}")
    hand.sees("pick/scan_item", "L-SOON", "2030-01-31")
    refused(floor, hand, path, "Several lots of T1 stand here.", "look", code=EAN)
    refused(floor, hand, path, "Take lot L-SOON of T1, not L-LATE.", code=f"010{EAN}10L-LATE")
    sent_again(floor, hand, path, code=f"010{EAN}10L-SOON")
    hand.sees("pick/scan_item", "1 to take")
    hand.act(path, code="(10)L-SOON")
    hand.sees("pick/done")
    assert ways.held(floor, "T1", "001", "L-SOON") == (2, 2)
    floor.books_are_right()


def test_the_lots_code_alone_serves_where_the_item_is_clear(floor: Floor) -> None:
    """R15: in two codes. The picker stands before the item; the second code on the box carries the lot."""
    floor.item("T1", EAN, lots=True)
    floor.stock("T1", NEAR, 5, "L9", date(2030, 1, 31))
    _order, hand, path = begin(floor, ("T1", 1))
    hand.act(path, code="T-001")
    refused(floor, hand, path, "Nobody knows", "look", code="]C110L9")
    hand.act(path, code=f"L-{NEAR}")
    refused(floor, hand, path, "Take lot L9 of T1, not L8.", code="]C110L8")
    sent_again(floor, hand, path, code="]C110L9")
    hand.sees("pick/done")
    floor.books_are_right()


def test_an_expired_lot_is_a_hard_stop(floor: Floor) -> None:
    """R8: it expired after it was promised; nothing of it leaves."""
    floor.item("T1", EAN, lots=True)
    floor.stock("T1", NEAR, 5, "L1", date(2031, 1, 31))
    _order, hand, path = begin(floor, ("T1", 2))
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{NEAR}")
    with floor.database.transaction(floor.actor()) as session:
        from wms.models import Lot

        session.execute(select(Lot)).scalar_one().expiry = ways.LONG_AGO
    for code in (EAN, f"010{EAN}10L1"):
        refused(floor, hand, path, "Lot L1 of T1 expired on 2020-01-31.", block=True, code=code)
    hand.act(path.replace("/scan", "/short"), reason="damaged")
    assert open_shortages(floor) == [(2, "damaged")]


def test_a_count_that_takes_the_promise_away_does_not_strand_the_picker(stocked: Floor) -> None:
    """R42: the place was counted empty while the picker walked there; the task ends and the order is short."""
    order, hand, path = begin(stocked, ("A1", 2))
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{NEAR}")
    with stocked.database.transaction(ways.actor(stocked, "supervisor")) as session:
        planned = count.plan(session, stocked.place(session, NEAR))
        for name in ("second picker", "packer"):
            count.give_work(session, stocked.operator_id(name), timedelta(minutes=1))
            count.scan(session, planned, f"L-{NEAR}")
            count.finish(session, planned)
        count.accept(session, planned, "lost")
    assert open_shortages(stocked) == [(2, "count")]
    hand.get(path.removesuffix("/scan"))
    assert hand.status == 200
    hand.get("/pick")
    assert hand.status == 200
    hand.act(path, code=EAN)
    hand.sees("pick/done")
    assert state(stocked, order) is OrderState.SHORT
    stocked.books_are_right()
    hand.act("/pick/next")
    assert "Nothing is waiting" in hand.said


def test_asking_for_work_also_ends_a_task_that_lost_its_goods(stocked: Floor) -> None:
    """R42, R23: the picker does not scan again but asks for the next task."""
    order, hand, path = begin(stocked, ("A1", 2))
    hand.act(path, code="T-001")
    other = stocked.order("SO-2", ("B2", 1))
    stocked.release(other)
    with stocked.database.transaction(ways.actor(stocked, "supervisor")) as session:
        planned = count.plan(session, stocked.place(session, NEAR))
        for name in ("second picker", "packer"):
            count.give_work(session, stocked.operator_id(name), timedelta(minutes=1))
            count.scan(session, planned, f"L-{NEAR}")
            count.finish(session, planned)
        count.accept(session, planned, "lost")
    hand.act("/pick/next")
    hand.sees("pick/scan_tote", "SO-2")
    assert state(stocked, order) is OrderState.SHORT
    hand.act(f"/pick/{stocked.task_of(other).id}/scan", code="T-001")  # nothing was in it: it is free again
    hand.sees("pick/scan_location", "1 × B2")
    stocked.books_are_right()


def test_each_move_says_who_took_it_with_which_scan(stocked: Floor) -> None:
    """R16, R45: from the signed-in session, never from a field."""
    _order, hand, path = begin(stocked, ("A1", 1))
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{NEAR}")
    hand.act(path, "my-scan-id", code=EAN, operator="admin", operator_id="1")
    with stocked.database.reading() as session:
        move = session.execute(select(StockMove).where(StockMove.reason == "pick")).scalar_one()
        assert (move.operator_id, move.scan_id) == (stocked.operator_id("picker"), "my-scan-id")
        assert move.device_id
        assert session.execute(select(PickTask.step)).scalar_one() is PickStep.DONE


@pytest.mark.parametrize("by", ["case", "take the rest"])
def test_undo_takes_all_of_one_scan_back_though_it_filled_two_lines(stocked: Floor, by: str) -> None:
    """A repeated line: one case is for both. The worker puts one case back, so the book must too (R1)."""
    order, hand, path = begin(stocked, ("B2", 4), ("B2", 4))
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{MIDDLE}")
    if by == "case":
        hand.act(path, code="B2CASE")
    else:
        hand.act(path, code="B2CODE")
        hand.act(path.replace("/scan", "/rest"), qty="6")
    taken = 6 if by == "case" else 7
    assert ways.held(stocked, "B2", "001") == (taken, taken)
    assert "Last scan 6 × B2" in hand.text()
    sent_again(stocked, hand, path.replace("/scan", "/undo"))
    assert ways.held(stocked, "B2", "001") == (taken - 6, taken - 6)
    assert ways.held(stocked, "B2", MIDDLE) == (20 - taken + 6, 8 - taken + 6)
    refused(stocked, hand, path.replace("/scan", "/undo"), "nothing to undo", "look")
    stocked.books_are_right()
    for _ in range(8 - taken + 6):
        hand.act(path, code="B2CODE")
    assert state(stocked, order) is OrderState.PICKED
    stocked.books_are_right()


def lose_what_is_at(floor: Floor, place: str) -> None:
    """Two counters find the place empty, the supervisor accepts it (R40, R42)."""
    with floor.database.transaction(ways.actor(floor, "supervisor")) as session:
        planned = count.plan(session, floor.place(session, place))
        for name in ("second picker", "packer"):
            count.give_work(session, floor.operator_id(name), timedelta(minutes=1))
            count.scan(session, planned, f"L-{place}")
            count.finish(session, planned)
        count.accept(session, planned, "lost")


def test_a_scan_made_without_network_is_booked_where_it_was_made(stocked: Floor) -> None:
    """The scan of the place was lost with a message; the pieces that were taken there are no less real."""
    _order, hand, path = begin(stocked, ("A1", 2), ("B2", 2))
    hand.act(path, code="T-001")
    with stocked.database.reading() as session:
        middle = str(stocked.place(session, MIDDLE).id)
    hand.act(path, code="B2CODE", at=middle)
    hand.sees("pick/scan_item", "B2")
    assert ways.held(stocked, "B2", "001") == (1, 1)
    hand.act(path, code="B2CODE", at=middle)
    hand.sees("pick/scan_location", "2 × A1")
    for nonsense in ("", "x", "9" * 30, "-1", "²"):
        refused(stocked, hand, path, "Scan a location. A1 is an item.", code=EAN, at=nonsense)
    refused(stocked, hand, path, "The location does not exist", status=404, code=EAN, at="12345")
    stocked.books_are_right()


def test_a_piece_from_a_place_that_was_emptied_meanwhile_is_laid_back_and_says_by_whom(stocked: Floor) -> None:
    stocked.stock("A1", FAR, 5)
    _order, hand, path = begin(stocked, ("A1", 2))
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{NEAR}")
    with stocked.database.reading() as session:
        near = str(stocked.place(session, NEAR).id)
    lose_what_is_at(stocked, NEAR)
    words = f"supervisor changed {NEAR} 0 min ago: A1 there is no longer for this order. Put this piece back there."
    refused(stocked, hand, path, words, "look", status=409, code=EAN, at=near)
    assert ways.held(stocked, "A1", "001") == (0, 0)
    stocked.books_are_right()


def test_a_line_that_is_gone_is_not_taken_for_the_next_one(stocked: Floor) -> None:
    """Short and "take the rest" name the line that was on the worker's screen (R22)."""
    _order, hand, path = begin(stocked, ("A1", 3), ("B2", 2))
    hand.act(path, code="T-001")
    hand.act(path, code=f"L-{NEAR}")
    hand.act(path, code=EAN)
    [gone] = set(re.findall(r'name="line" value="([^"]+)"', hand.page))
    lose_what_is_at(stocked, NEAR)
    for act in ({"reason": "empty"}, {"qty": "2"}):
        where = path.replace("/scan", "/short" if "reason" in act else "/rest")
        refused(stocked, hand, where, "This line was changed by somebody else", "look", status=409, line=gone, **act)
    assert ways.held(stocked, "B2", MIDDLE) == (20, 2)
    stocked.books_are_right()


def test_a_phone_carries_its_own_task_with_codes_lots_and_screens(stocked: Floor) -> None:
    stocked.item("M1", "M1CODE", lots=True)
    for lot, days in (("OLD", 5), ("NEW", 60)):
        stocked.stock("M1", FAR, 3, lot, date.today() + timedelta(days=days))
    _order, hand, path = begin(stocked, ("A1", 2), ("B2", 7), ("M1", 4))
    carried = path.replace("/scan", "/carried")
    hand.get(carried)
    assert hand.answer.json == {"lines": []}  # no tote yet: nothing to check scans against
    hand.act(path, code="T-001")
    hand.get(carried)
    told = hand.answer.json
    assert (told["total"], told["done"], told["at"]) == (13, 0, "")
    assert [(line["sku"], line["place"], line["left"]) for line in told["lines"]] == [
        ("A1", NEAR, 2),
        ("B2", MIDDLE, 7),
        ("M1", FAR, 1),
        ("M1", FAR, 3),
    ]
    first, second, new, old = told["lines"]
    assert first["codes"] == {"A1": 1, f"0{EAN}": 1}
    assert second["codes"]["B2CASE"] == 6
    assert (new["lot"], old["lot"], old["lot_needed"], old["expired"]) == ("NEW", "OLD", True, "")
    plain = re.sub(r"<[^>]+>", "", second["go"])
    assert "{left}" in second["take"] and MIDDLE in plain and "{left} × B2" in plain
    for frame in (told["go"], told["take"]):
        assert "{done}" in frame and "{last_qty} × {last_sku}" in frame and "csrf_token" in frame
    assert "{place}" in told["go"] and "{label}" in told["go"] and "{key}" in told["take"]
    other = stocked.hand("second picker")
    other.get(carried)
    assert other.status == 404
