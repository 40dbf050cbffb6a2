"""Take orders in: real invoices and hand-made ones; each has a fate and a reason, twice changes nothing (R14, R45)."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.factories import Rows
from tests.flows.steps import all_rows, changed, state
from wms.clock import now
from wms.connectors import Recipient, ShopLine, ShopOrder
from wms.connectors.order_files import MAPPINGS, orders, read_table
from wms.db import Database
from wms.flows import cancel, take_in
from wms.models import Item, Journal, LineKind, Order, OrderLine, OrderState, Shop
from wms.settings import Settings

AT = now()
LINE = ShopLine("1", "A1", "Item A1", 2, 990)
SAID = ShopOrder(
    shop_order_no="SO-1",
    ordered_at=AT,
    state="paid",
    ship_by=AT + timedelta(hours=8),
    lines=(LINE,),
    recipient=Recipient(name="收件人001", phone="10000000001", city="测试市", address="样例街道 1 号"),
)


@pytest.fixture
def rows(database: Database, settings: Settings) -> Rows:
    made = Rows(database, settings.secret_key)
    made.item("A1")
    return made


def shop(session: Session) -> Shop:
    return session.execute(select(Shop)).scalar_one()


def take(rows: Rows, said: ShopOrder) -> take_in.Decision:
    """As the import does it: first looked at, then taken, and the look was right."""
    with rows.database.reading() as session:
        looked = take_in.preview(session, rows.warehouse_id, shop(session), [said])
    with rows.database.transaction(rows.actor()) as session:
        done = take_in.take(session, shop(session), said)
    assert looked == [done]
    return done


def again(rows: Rows, said: ShopOrder) -> take_in.Decision:
    """Taken in once more: nothing but the answer."""
    before = all_rows(rows)
    done = take(rows, said)
    assert changed(before, all_rows(rows)) == set()
    return done


def only(rows: Rows) -> Order:
    with rows.database.reading() as session:
        return session.execute(select(Order)).scalar_one()


def test_an_order_is_ready_and_the_same_order_again_is_the_same(rows: Rows) -> None:
    assert take(rows, SAID) == take_in.Decision("SO-1", "new", 1, 2)
    assert again(rows, SAID).fate == "same"
    order = only(rows)
    assert (order.state, order.recipient["name"], order.ship_by) == (OrderState.READY, "收件人001", SAID.ship_by)


def test_skus_are_the_same_in_any_case_and_with_blanks(rows: Rows) -> None:
    assert take(rows, replace(SAID, lines=(replace(LINE, sku=" a1 "),))).fate == "new"


@pytest.mark.parametrize(
    ("said", "why", "facts"),
    [
        (replace(SAID, lines=(replace(LINE, sku="NOBODY"),)), take_in.HOLD_UNKNOWN_ITEM, (("sku", "NOBODY"),)),
        (replace(SAID, hold="absurd_qty"), take_in.HOLD_ABSURD, ()),
        (replace(SAID, hold="something new"), take_in.HOLD_UNSURE, (("hold", "something new"),)),
        (replace(SAID, hold="refund_refused"), take_in.HOLD_REFUSED, ()),
        (replace(SAID, hold="not_yet"), take_in.HOLD_NOT_YET, ()),
        (replace(SAID, hold="paused"), take_in.HOLD_PAUSED, ()),
        (replace(SAID, hold="unreadable", lines=()), take_in.HOLD_UNREADABLE, ()),
        (replace(SAID, state="refunding"), take_in.HOLD_REFUND, ()),
    ],
    ids=[
        "unknown item",
        "absurd quantity",
        "another doubt",
        "refund refused",
        "not yet",
        "paused",
        "unreadable",
        "refund asked",
    ],
)
def test_a_doubtful_order_is_held_with_its_reason(
    rows: Rows, said: ShopOrder, why: str, facts: tuple[tuple[str, str], ...]
) -> None:
    decision = take(rows, said)
    assert (decision.fate, decision.why, decision.facts) == ("held", why, facts)
    assert (only(rows).state, only(rows).hold_reason, only(rows).hold_facts) == (OrderState.HELD, why, dict(facts))
    assert again(rows, said).fate == "same"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (replace(SAID, state="cancelled"), take_in.SKIP_CANCELLED),
        (replace(SAID, state="shipped"), take_in.SKIP_SHIPPED),
        (replace(SAID, state="other"), take_in.SKIP_OTHER),
        (replace(SAID, lines=(replace(LINE, kind="service", sku="POST"),)), take_in.SKIP_NO_GOODS),
        (replace(SAID, lines=(replace(LINE, cancelled=True),)), take_in.SKIP_NO_GOODS),
        (replace(SAID, lines=()), take_in.SKIP_NO_GOODS),
    ],
    ids=["cancelled", "shipped", "unpaid", "service", "all lines cancelled", "no lines"],
)
def test_what_is_not_to_be_shipped_is_skipped_with_its_reason_and_leaves_nothing(
    rows: Rows, said: ShopOrder, why: str
) -> None:
    before = all_rows(rows)
    decision = take(rows, said)
    assert (decision.fate, decision.why) == ("skipped", why)
    assert changed(before, all_rows(rows)) == set()


def test_service_lines_stay_on_the_order_and_are_not_picked(rows: Rows) -> None:
    said = replace(SAID, lines=(LINE, ShopLine("2", "POST", "Postage", 1, 1800, kind="service")))
    decision = take(rows, said)
    assert (decision.fate, decision.lines, decision.pieces) == ("new", 1, 2)
    rows.stock("A1", "A-01-01-1", 5)
    assert rows.release(only(rows).id)[0].short == {}
    with rows.database.reading() as session:
        kinds = session.execute(select(OrderLine.kind, OrderLine.item_id.is_not(None)).order_by(OrderLine.id)).all()
    assert kinds == [(LineKind.GOODS, True), (LineKind.SERVICE, False)]


def test_an_order_nobody_touched_follows_the_shop(rows: Rows) -> None:
    """R29: not released yet, so it is simply applied."""
    take(rows, SAID)
    said = replace(SAID, lines=(replace(LINE, qty=3),), recipient=replace(SAID.recipient, address="新地址 2 号"))
    assert take(rows, said).fate == "changed"
    with rows.database.reading() as session:
        assert session.execute(select(OrderLine.qty)).scalars().all() == [3]
    assert only(rows).recipient["address"] == "新地址 2 号"
    assert again(rows, said).fate == "same"
    assert take(rows, replace(said, lines=(replace(LINE, sku="NOBODY"),))).fate == "changed"
    assert only(rows).state is OrderState.HELD
    assert take(rows, said).fate == "changed"
    assert only(rows).state is OrderState.READY


def test_an_order_cancelled_at_the_shop_before_release_is_cancelled_here(rows: Rows) -> None:
    take(rows, SAID)
    gone = replace(SAID, state="cancelled")
    assert take(rows, gone).fate == "cancel"
    assert only(rows).state is OrderState.CANCELLED
    assert again(rows, gone).fate in ("skipped", "same")


def test_what_changes_after_work_has_begun_is_said_and_not_applied(rows: Rows) -> None:
    rows.stock("A1", "A-01-01-1", 5)
    take(rows, SAID)
    rows.release(only(rows).id)
    said = replace(SAID, lines=(replace(LINE, qty=3),))
    assert take(rows, said).fate == "too_late"
    decision = again(rows, said)
    assert (decision.fate, decision.why) == ("too_late", take_in.TOO_LATE)
    # A cancellation is for flows.cancel, which stops whoever holds the order (R28).
    decision = take(rows, replace(SAID, state="cancelled"))
    assert (decision.fate, decision.why) == ("intercept", take_in.INTERCEPT)
    assert again(rows, SAID).fate == "same"


def test_what_we_cancelled_does_not_come_back_by_the_next_file(rows: Rows) -> None:
    take(rows, SAID)
    with rows.database.transaction(rows.actor()) as session:
        cancel.cancel(session, session.execute(select(Order)).scalar_one(), "desk")
    assert again(rows, SAID).fate == "same"
    assert take(rows, replace(SAID, buyer_note="hurry")).fate == "too_late"
    assert only(rows).state is OrderState.CANCELLED


def test_a_held_order_is_let_go_when_its_items_are_known(rows: Rows) -> None:
    take(rows, replace(SAID, lines=(LINE, ShopLine("2", "NEW", "New", 1, 5))))
    with (
        pytest.raises(take_in.HasUnknownItems, match="still has an unknown item: NEW"),
        rows.database.transaction(rows.actor()) as session,
    ):
        take_in.let_go(session, session.execute(select(Order)).scalar_one())
    rows.item("new")
    with rows.database.transaction(rows.actor()) as session:
        take_in.let_go(session, session.execute(select(Order)).scalar_one())
    assert (state(rows, only(rows).id), only(rows).hold_reason) == (OrderState.READY, "")
    with rows.database.reading() as session:
        assert all(session.execute(select(OrderLine.item_id)).scalars())
        said = session.execute(select(Journal.before).where(Journal.what == "hold_lifted")).scalar_one()
    assert said == take_in.HOLD_UNKNOWN_ITEM


def test_an_order_with_two_doubts_does_not_lose_the_second(rows: Rows) -> None:
    """Unknown item and an absurd quantity: the quantity is said; the item is asked for again when it is let go."""
    said = replace(SAID, hold="absurd_qty", lines=(replace(LINE, sku="NEW", qty=80_000),))
    assert take(rows, said).why == take_in.HOLD_ABSURD
    with pytest.raises(take_in.HasUnknownItems), rows.database.transaction(rows.actor()) as session:
        take_in.let_go(session, session.execute(select(Order)).scalar_one())
    rows.item("NEW")
    with rows.database.transaction(rows.actor()) as session:
        take_in.let_go(session, session.execute(select(Order)).scalar_one())
    assert only(rows).state is OrderState.READY


def test_the_real_invoices_are_taken_in_whole_and_twice_changes_nothing(rows: Rows, shared_orders: Path) -> None:
    """559 real invoices; what must become of each is worked out here from the rows of the file alone."""
    services = {"POST", "M", "C2", "D", "DOT", "BANK CHARGES", "S", "AMAZONFEE", "CRUK", "PADS", "B"}
    with shared_orders.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    by_invoice: dict[str, list[dict[str, str]]] = {}
    for line in lines:
        by_invoice.setdefault(line["InvoiceNo"], []).append(line)
    with rows.database.transaction(rows.actor()) as session:
        known = {line["StockCode"].upper() for line in lines if line["StockCode"] not in services}
        unknown = {sorted(known)[0], sorted(known)[-1]}
        session.add_all(Item(sku=sku, name=sku) for sku in sorted(known - unknown - {"A1"}))
    found = orders(read_table(shared_orders.read_bytes(), "orders.csv"), MAPPINGS["online-retail"])
    doubted = {order.shop_order_no for order in found.orders if order.hold}
    expected: dict[str, str] = {}
    for number, invoice in by_invoice.items():
        goods = [line for line in invoice if line["StockCode"] not in services and int(line["Quantity"]) > 0]
        if number.startswith("C") or not goods:
            expected[number] = "skipped"
        elif {line["StockCode"].upper() for line in goods} & unknown or number in doubted:
            expected[number] = "held"
        else:
            expected[number] = "new"
    assert len(expected) == 559 and set(expected.values()) == {"skipped", "held", "new"}
    most = max(int(line["Quantity"]) for line in lines)
    absurd = {line["InvoiceNo"] for line in lines if int(line["Quantity"]) == most}
    assert most > 1000 and absurd <= doubted, "the largest quantity of the file is doubted"

    fates = {}
    for order in found.orders:
        with rows.database.transaction(rows.actor()) as session:
            fates[order.shop_order_no] = take_in.take(session, shop(session), order).fate
    assert fates == expected
    counted = Counter(fates.values())
    with rows.database.reading() as session:
        by_state = {
            row[0].value: row[1] for row in session.execute(select(Order.state, func.count()).group_by(Order.state))
        }
        assert by_state == {"ready": counted["new"], "held": counted["held"]}
        taken = session.execute(
            select(func.sum(OrderLine.qty))
            .join(Order, Order.id == OrderLine.order_id)
            .where(OrderLine.kind == LineKind.GOODS, OrderLine.cancelled_qty == 0)
        ).scalar_one()
    assert taken == sum(
        int(line["Quantity"])
        for line in lines
        if expected[line["InvoiceNo"]] != "skipped" and line["StockCode"] not in services and int(line["Quantity"]) > 0
    )

    before = all_rows(rows)
    for order in found.orders:
        with rows.database.transaction(rows.actor()) as session:
            fates[order.shop_order_no] = take_in.take(session, shop(session), order).fate
    assert Counter(fates.values()) == {"same": counted["new"] + counted["held"], "skipped": counted["skipped"]}
    assert changed(before, all_rows(rows)) == set()


@pytest.mark.parametrize(
    ("state", "why"), [("shipped", take_in.HOLD_SHIPPED), ("other", take_in.HOLD_OTHER)], ids=["shipped", "other"]
)
def test_an_order_that_the_shop_no_longer_waits_for_is_not_released(rows: Rows, state: str, why: str) -> None:
    take(rows, SAID)
    assert only(rows).state is OrderState.READY
    assert take(rows, replace(SAID, state=state)).fate == "changed"  # type: ignore[arg-type]
    assert (only(rows).state, only(rows).hold_reason) == (OrderState.HELD, why)
    assert take(rows, SAID).fate == "changed"
    assert only(rows).state is OrderState.READY


def test_an_order_whose_lines_are_all_taken_back_is_cancelled(rows: Rows) -> None:
    take(rows, SAID)
    gone = tuple(replace(line, cancelled=True) for line in SAID.lines)
    assert take(rows, replace(SAID, lines=gone)).fate == "cancel"
    assert only(rows).state is OrderState.CANCELLED
