"""Release: first expired first out, whole orders or a clear shortage, and what becomes of it (R3–R5, R8, R22)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import select

from tests import ways
from tests.factories import Rows
from tests.flows.steps import all_rows, changed, open_shortages, state
from wms import ledger
from wms.clock import now
from wms.db import Database
from wms.errors import ChangedMeanwhile
from wms.flows import cancel, count, release
from wms.jobs import audit
from wms.models import (
    Allocation,
    Condition,
    Item,
    Journal,
    Location,
    Lot,
    MoveReason,
    Order,
    OrderLine,
    OrderState,
    PickStep,
    PickTask,
    Shortage,
    Wave,
)
from wms.settings import Settings

NEAR, MIDDLE, FAR = "A-01-01-1", "A-01-02-1", "A-01-03-1"


@pytest.fixture
def rows(database: Database, settings: Settings) -> Rows:
    made = Rows(database, settings.secret_key)
    made.item("A1")
    return made


def sound(rows: Rows) -> None:
    assert audit.verify(rows.database) == []


def promises(rows: Rows, order: int) -> list[tuple[str, str, int]]:
    with rows.database.reading() as session:
        return sorted(
            (row[0], row[1], row[2])
            for row in session.execute(
                select(Location.code, Allocation.lot, Allocation.qty)
                .join(Allocation, Allocation.location_id == Location.id)
                .where(Allocation.order_id == order)
            )
        )


def test_a_released_order_is_promised_its_pieces_and_waits_for_a_picker(rows: Rows) -> None:
    rows.stock("A1", NEAR, 10)
    order = rows.order("SO-1", ("A1", 4))
    assert rows.release(order)[0] == release.Released("SO-1")
    assert promises(rows, order) == [(NEAR, "", 4)]
    task = rows.task_of(order)
    assert (task.step, task.operator_id, task.wave_id) == (PickStep.WAITING, None, rows.order_row(order).wave_id)
    assert state(rows, order) is OrderState.RELEASED
    with rows.database.reading() as session:
        said = session.execute(
            select(Journal.before, Journal.after).where(Journal.document == "sales_order", Journal.what == "state")
        ).all()
    assert said == [("ready", "released")]
    sound(rows)


def test_an_order_is_released_once(rows: Rows) -> None:
    rows.stock("A1", NEAR, 10)
    order = rows.order("SO-1", ("A1", 4))
    rows.release(order)
    before = all_rows(rows)
    with pytest.raises(ChangedMeanwhile), rows.database.transaction(rows.actor()) as session:
        release.release(session, session.execute(select(Wave).limit(1)).scalar_one(), order)
    assert changed(before, all_rows(rows)) == set()


def test_first_expired_first_out_and_undated_last(rows: Rows) -> None:
    """R8."""
    rows.item("T1", lots=True)
    rows.stock("T1", NEAR, 5, "LATE", date(2035, 1, 1))
    rows.stock("T1", FAR, 2, "SOON", date(2034, 1, 1))
    rows.stock("T1", MIDDLE, 5, "NEVER")
    order = rows.order("SO-1", ("T1", 8))
    rows.release(order)
    assert promises(rows, order) == [(NEAR, "LATE", 5), (MIDDLE, "NEVER", 1), (FAR, "SOON", 2)]
    sound(rows)


@pytest.mark.parametrize(
    "why",
    [
        "damaged",
        "held",
        "second",
        "expired",
        "held lot",
        "in quarantine",
        "on the dock",
        "in a tote",
        "blocked",
        "being counted",
        "promised",
    ],
)
def test_what_is_not_good_and_open_is_never_promised(rows: Rows, why: str) -> None:
    """R5: held, damaged, expired, not on a shelf, doubted: none of it goes to an order."""
    rows.item("T1", lots=True)
    place = {"in quarantine": "HOLD-01", "on the dock": "DOCK-01", "in a tote": "005"}.get(why, NEAR)
    rows.stock("T1", place, 5, "L1", ways.LONG_AGO if why == "expired" else date(2035, 1, 1))
    with rows.database.transaction(rows.actor()) as session:
        shelf = rows.place(session, place)
        item = session.execute(select(Item).where(Item.sku == "T1")).scalar_one()
        if why in ("damaged", "held", "second"):
            ledger.post(
                session,
                item_id=item.id,
                lot="L1",
                qty=5,
                from_=shelf,
                to=shelf,
                reason=MoveReason.RELOCATE,
                cause="test:1",
                to_condition=Condition(why),
            )
        if why == "held lot":
            session.execute(select(Lot)).scalar_one().held = True
        if why == "blocked":
            shelf.blocked = True
        if why == "being counted":
            count.count_requests.ask(session, shelf, "short")
    if why == "promised":
        rows.release(rows.order("SO-0", ("T1", 5)))
    order = rows.order("SO-1", ("T1", 1))
    assert rows.release(order)[0].short == {"T1": 1}
    assert promises(rows, order) == []
    sound(rows)


def test_the_last_day_of_a_lot_ends_at_the_warehouse_not_in_utc(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """R7, R8: at half past midnight in Shanghai it is still yesterday in UTC."""
    from datetime import UTC, datetime

    from wms import allocation

    rows.item("T1", lots=True)
    rows.stock("T1", NEAR, 5, "L1", date(2030, 6, 30))
    monkeypatch.setattr(allocation, "now", lambda: datetime(2030, 6, 30, 16, 30, tzinfo=UTC))
    order = rows.order("SO-1", ("T1", 1))
    assert rows.release(order)[0].short == {"T1": 1}
    monkeypatch.setattr(allocation, "now", lambda: datetime(2030, 6, 30, 15, 30, tzinfo=UTC))
    with rows.database.transaction(rows.actor()) as session:
        release.try_again(session, session.get_one(Order, (rows.warehouse_id, order)))
    assert promises(rows, order) == [(NEAR, "L1", 1)]


def test_an_order_that_cannot_go_whole_keeps_nothing_from_the_others(rows: Rows) -> None:
    rows.item("B2")
    rows.stock("A1", NEAR, 10)
    rows.stock("B2", MIDDLE, 1)
    short, whole = rows.order("SO-1", ("A1", 10), ("B2", 3)), rows.order("SO-2", ("A1", 10))
    results = rows.release(short, whole)
    assert [result.short for result in results] == [{"B2": 2}, {}]
    assert promises(rows, short) == []
    assert (state(rows, short), open_shortages(rows)) == (OrderState.SHORT, [(2, "no_stock")])
    with rows.database.reading() as session:
        assert session.execute(select(PickTask.order_id)).scalars().all() == [whole]
    sound(rows)


def test_lines_of_one_item_are_promised_together(rows: Rows) -> None:
    """The same SKU on two lines: what the first line takes the second has not."""
    rows.stock("A1", NEAR, 5)
    order = rows.order("SO-1", ("A1", 3), ("A1", 3))
    assert rows.release(order)[0].short == {"A1": 1}
    rows.stock("A1", FAR, 1)
    with rows.database.transaction(rows.actor()) as session:
        release.try_again(session, session.get_one(Order, (rows.warehouse_id, order)))
    assert sum(qty for _p, _l, qty in promises(rows, order)) == 6
    ways.picked(rows, order)
    assert state(rows, order) is OrderState.PICKED
    sound(rows)


def short_in_the_tote(rows: Rows) -> int:
    """Two of four pieces were picked, then the place was empty."""
    from wms.flows import pick

    rows.stock("A1", NEAR, 4)
    order = rows.order("SO-1", ("A1", 4))
    rows.release(order)
    task_id, me = ways.at_the_item(rows, order), rows.operator_id("picker")
    with rows.database.transaction(ways.actor(rows, "picker")) as session:
        task = pick.load(session, rows.warehouse_id, task_id)
        pick.scan(session, me, task, "A1")
        pick.scan(session, me, task, "A1")
        pick.short(session, me, task, "empty")
    assert state(rows, order) is OrderState.SHORT
    return order


def test_a_short_order_tries_again_and_is_picked_on_into_its_tote(rows: Rows) -> None:
    """R22: what was picked stays in the tote; only the rest is fetched."""
    order = short_in_the_tote(rows)
    with (
        pytest.raises(release.StillShort, match="still short of 2 pieces"),
        rows.database.transaction(rows.actor()) as session,
    ):
        release.try_again(session, session.get_one(Order, (rows.warehouse_id, order)))
    assert open_shortages(rows) == [(2, "empty")]
    rows.stock("A1", FAR, 9)
    with rows.database.transaction(rows.actor()) as session:
        release.try_again(session, session.get_one(Order, (rows.warehouse_id, order)))
    assert open_shortages(rows) == []
    assert (state(rows, order), rows.task_of(order).step) == (OrderState.RELEASED, PickStep.WAITING)
    assert promises(rows, order) == [("001", "", 2), (FAR, "", 2)]
    ways.picked(rows, order, by="second picker")
    assert ways.held(rows, "A1", "001") == (4, 4)
    assert state(rows, order) is OrderState.PICKED
    sound(rows)


def test_a_short_order_goes_without_the_missing_pieces_by_name(rows: Rows) -> None:
    order = short_in_the_tote(rows)
    with rows.database.transaction(ways.actor(rows, "supervisor")) as session:
        release.ship_without(session, session.get_one(Order, (rows.warehouse_id, order)))
    assert (state(rows, order), open_shortages(rows)) == (OrderState.PICKED, [])
    with rows.database.reading() as session:
        assert session.execute(select(OrderLine.qty, OrderLine.cancelled_qty)).one() == (4, 2)
        assert session.execute(select(Shortage.decision)).scalars().all() == ["without"]
        who = session.execute(select(Journal.operator_id).where(Journal.what == "cancelled_qty")).scalar_one()
    assert who == rows.operator_id("supervisor")
    parcel = ways.labelled(rows)
    ways.handed_over(rows, parcel)
    assert state(rows, order) is OrderState.SHIPPED
    sound(rows)


def test_an_order_of_which_nothing_is_left_is_cancelled(rows: Rows) -> None:
    order = rows.order("SO-1", ("A1", 4))
    assert rows.release(order)[0].short == {"A1": 4}
    with rows.database.transaction(rows.actor()) as session:
        release.ship_without(session, session.get_one(Order, (rows.warehouse_id, order)))
    assert state(rows, order) is OrderState.CANCELLED
    sound(rows)


def test_a_short_order_that_takes_what_there_is_now_is_released_for_that(rows: Rows) -> None:
    """Short at release; by the decision some pieces have come."""
    order = rows.order("SO-1", ("A1", 4))
    rows.release(order)
    rows.stock("A1", NEAR, 3)
    with rows.database.transaction(rows.actor()) as session:
        release.ship_without(session, session.get_one(Order, (rows.warehouse_id, order)))
    assert (state(rows, order), promises(rows, order)) == (OrderState.RELEASED, [(NEAR, "", 3)])
    ways.picked(rows, order)
    assert state(rows, order) is OrderState.PICKED
    sound(rows)


@pytest.mark.parametrize("act", [release.try_again, release.ship_without])
def test_only_a_short_order_is_decided_about(rows: Rows, act) -> None:  # type: ignore[no-untyped-def]
    rows.stock("A1", NEAR, 4)
    order = rows.order("SO-1", ("A1", 4))
    rows.release(order)
    before = all_rows(rows)
    with pytest.raises(ChangedMeanwhile), rows.database.transaction(rows.actor()) as session:
        act(session, session.get_one(Order, (rows.warehouse_id, order)))
    assert changed(before, all_rows(rows)) == set()


def test_the_most_urgent_is_released_first_and_held_ones_not_at_all(rows: Rows) -> None:
    rows.stock("A1", NEAR, 1)
    late, urgent, held = (rows.order(number, ("A1", 1)) for number in ("LATE", "URGENT", "HELD"))
    with rows.database.transaction(rows.actor()) as session:
        session.get_one(Order, (rows.warehouse_id, urgent)).ship_by = now() + timedelta(hours=1)
        session.get_one(Order, (rows.warehouse_id, late)).ship_by = None
        session.get_one(Order, (rows.warehouse_id, held)).state = OrderState.HELD
    with rows.database.reading() as session:
        assert release.ready(session, rows.warehouse_id) == [urgent, late]
        assert release.requested(session, rows.warehouse_id, []) == [urgent, late]
        assert release.requested(session, rows.warehouse_id, [late, held, 77]) == [late]
        with pytest.raises(release.NothingToRelease):
            release.requested(session, rows.warehouse_id, [held])


def test_what_a_released_order_was_promised_is_free_again_when_it_is_cancelled(rows: Rows) -> None:
    """R3."""
    rows.stock("A1", NEAR, 4)
    first, second = rows.order("SO-1", ("A1", 4)), rows.order("SO-2", ("A1", 4))
    rows.release(first)
    with rows.database.transaction(rows.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (rows.warehouse_id, first)), "test")
    assert rows.release(second)[0].short == {}
    sound(rows)
