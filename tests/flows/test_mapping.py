"""Unknown items: said once, and every order that waited only for it goes on (R14, R29)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.factories import Rows
from wms.clock import now
from wms.connectors import Recipient, ShopLine, ShopOrder
from wms.db import Database
from wms.flows import mapping, take_in
from wms.jobs import intake
from wms.models import Item, Order, OrderLine, OrderState, Shop, ShopSku
from wms.settings import Settings


@pytest.fixture
def rows(database: Database, settings: Settings) -> Rows:
    made = Rows(database, settings.secret_key)
    made.item("A1", "6901234567892")
    made.item("B2")
    return made


def said(number: str, *skus: str, hold: str = "") -> ShopOrder:
    lines = tuple(ShopLine(f"{n}", sku, f"at the shop {sku}", 2, 100) for n, sku in enumerate(skus))
    to = Recipient(name="x", phone="13800000000", province="浙江省", address="y 1 号")
    return ShopOrder(number, now(), "paid", lines, to, hold=hold)


def take(rows: Rows, *orders: ShopOrder) -> Shop:
    with rows.database.transaction(rows.actor()) as session:
        shop = session.execute(select(Shop)).scalar_one()
        for order in orders:
            take_in.take(session, shop, order)
    return shop


def item(rows: Rows, sku: str) -> int:
    with rows.database.reading() as session:
        return session.execute(select(Item.id).where(Item.sku == sku)).scalar_one()


def say(rows: Rows, shop: Shop, sku: str, ours: str) -> None:
    with rows.database.transaction(rows.actor()) as session:
        mapping.say(session, shop, sku, item(rows, ours))


def states(rows: Rows) -> dict[str, OrderState]:
    with rows.database.reading() as session:
        return {row[0]: row[1] for row in session.execute(select(Order.shop_order_no, Order.state))}


def test_unknown_items_are_one_line_each_with_the_orders_that_wait(rows: Rows) -> None:
    shop = take(rows, said("1", "x-red"), said("2", "X-RED ", "A1"), said("3", "Y"), said("4", "x-red", hold="paused"))
    with rows.database.reading() as session:
        found = mapping.unknown(session, rows.warehouse_id, shop.id)
    assert [(one.sku, len(one.orders), one.waiting, one.pieces) for one in found] == [
        ("x-red", 3, 2, 6),
        ("Y", 1, 1, 2),
    ]
    assert found[0].name == "at the shop x-red"


def test_orders_that_waited_only_for_it_go_on_and_others_stay(rows: Rows) -> None:
    shop = take(
        rows, said("1", "x-red"), said("2", "x-red", "Y"), said("3", "Y"), said("4", "x-red", hold="refund_asked")
    )
    say(rows, shop, "x-Red", "A1")
    assert intake.go_on(rows.database) == 1
    held = OrderState.HELD
    assert states(rows) == {"1": OrderState.READY, "2": held, "3": held, "4": held}
    with rows.database.reading() as session:
        two = session.execute(select(Order).where(Order.shop_order_no == "2")).scalar_one()
        assert two.hold_facts == {"sku": "Y"}, "it says what it waits for now"
        one = session.execute(
            select(OrderLine).join(Order, Order.id == OrderLine.order_id).where(Order.shop_order_no == "1")
        )
        assert one.scalar_one().item_id == item(rows, "A1")
        row = session.execute(select(ShopSku)).scalar_one()
        assert (row.sku, row.spelling) == ("X-RED", "x-Red")
    assert intake.go_on(rows.database) == 0
    say(rows, shop, "Y", "B2")
    assert intake.go_on(rows.database) == 2
    assert states(rows)["2"] is OrderState.READY
    with rows.database.transaction(rows.actor()) as session:
        assert mapping.go_on(session, rows.warehouse_id, two.id) is False, "twice changes nothing"


def test_an_item_added_later_under_the_shops_own_sku_lets_orders_go_too(rows: Rows) -> None:
    take(rows, said("1", "new-1"))
    assert intake.go_on(rows.database) == 0
    rows.item("NEW-1")
    assert intake.go_on(rows.database) == 1 and states(rows) == {"1": OrderState.READY}


def test_the_next_order_with_that_name_is_ready_at_once(rows: Rows) -> None:
    shop = take(rows, said("1", "x"))
    say(rows, shop, "x", "A1")
    say(rows, shop, "x", "B2")
    take(rows, said("2", "X"))
    with rows.database.reading() as session:
        assert states(rows)["2"] is OrderState.READY
        line = session.execute(
            select(OrderLine).join(Order, Order.id == OrderLine.order_id).where(Order.shop_order_no == "2")
        )
        assert line.scalar_one().item_id == item(rows, "B2"), "the later word counts"
    with rows.database.transaction(rows.actor()) as session:
        row = session.execute(select(ShopSku)).scalar_one()
        mapping.forget(session, shop, row.id)
    take(rows, replace(said("3", "X")))
    assert states(rows)["3"] is OrderState.HELD


def test_a_line_without_a_sku_is_no_name(rows: Rows) -> None:
    shop = take(rows, said("1", " "))
    with rows.database.transaction(rows.actor()) as session, pytest.raises(mapping.NoSku):
        mapping.say(session, shop, " ", item(rows, "A1"))


@pytest.mark.parametrize(("asked", "found"), [
    ("a1", ["A1"]), ("6901234567892", ["A1"]), ("item b", ["B2"]), ("Item", ["A1", "B2"]), ("", []), ("100%", []),
])  # fmt: skip
def test_an_item_is_found_by_sku_barcode_and_name(rows: Rows, asked: str, found: list[str]) -> None:
    with rows.database.reading() as session:
        assert [one.sku for one in mapping.search(session, asked)] == found
