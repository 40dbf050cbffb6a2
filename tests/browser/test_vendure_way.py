"""Orders of a real Vendure shop go the whole way, and the shop says Shipped with our number, once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.browser.server import Warehouse, warehouse
from tests.floor import Hand
from tests.vendure.vendure import NoShopHereError, real_vendure
from tests.vendure.vendure import Shop as Vendure
from wms import create_app
from wms.connectors import connector_for
from wms.flows import take_in
from wms.flows import warehouse as house
from wms.models import Carrier, Location, Order, OrderLine, OrderState, Shop, ToteUse, Waybill

pytestmark = pytest.mark.slow

GOODS = {"CUP": ("Cup", 50), "PLATE": ("Plate", 50)}
BARCODES = {"CUP": "6901234567892", "PLATE": "PLATECODE"}


@pytest.fixture
def vendure() -> Iterator[Vendure]:
    try:
        with real_vendure(GOODS, [[("CUP", 2), ("PLATE", 1)], [("PLATE", 3)]]) as shop:
            yield shop
    except NoShopHereError as why:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT TESTED against a real shop: {why}")


@pytest.fixture
def floor(tmp_path: Path, template_database: Path, vendure: Vendure) -> Iterator[Warehouse]:
    with warehouse(tmp_path, template_database, serving=False) as running:
        for (sku, code), place in zip(BARCODES.items(), ("A-01-01-1", "A-01-02-1"), strict=True):
            running.rows.item(sku, code)
            running.rows.stock(sku, place, 20)
        with running.database.transaction(running.rows.actor()) as session:
            carrier = session.execute(select(Carrier).where(Carrier.code == "JD")).scalar_one()
            house.add_shop(session, "VENDURE", "Vendure", "vendure", dict(vendure.settings), carrier)
        yield running


def test_two_orders_of_a_real_shop_are_shipped_and_told_once(floor: Warehouse, vendure: Vendure) -> None:
    orders = pulled(floor)
    assert set(orders) == set(vendure.codes)
    released = floor.rows.release(*orders.values())
    assert [one.short for one in released] == [{}, {}]
    app = create_app(floor.settings, floor.database)
    numbers = {code: shipped(floor, app, orders[code]) for code in vendure.codes}
    assert len(set(numbers.values())) == 2

    for outstanding in (2, 0):  # the second night finds nothing to add
        night = floor.run("nightly")
        assert night.returncode == 0, night.stdout + night.stderr
        assert f"outstanding: {outstanding}" in night.stdout
        for code, number in numbers.items():
            at_shop = vendure.order(code)
            assert at_shop["state"] == "Shipped"
            assert [(one["trackingCode"], one["state"]) for one in at_shop["fulfillments"]] == [(number, "Shipped")]
            assert sum(line["quantity"] for one in at_shop["fulfillments"] for line in one["lines"]) == 3
    assert {floor.rows.order_row(order_id).state for order_id in orders.values()} == {OrderState.ACKNOWLEDGED}
    verified = floor.run("verify")
    assert verified.returncode == 0, verified.stdout


def pulled(floor: Warehouse) -> dict[str, int]:
    """The shop's paid orders, taken in: its order code → our id. Pulling twice changes nothing."""
    with floor.database.reading() as session:
        shop = session.execute(select(Shop).where(Shop.code == "VENDURE")).scalar_one()
    for _ in range(2):
        for order in connector_for(shop.connector, shop.settings).fetch_orders(None):
            with floor.database.transaction(floor.rows.actor()) as session:
                take_in.take(session, session.get_one(Shop, shop.id), order)
    with floor.database.reading() as session:
        return {order.shop_order_no: order.id for order in session.execute(select(Order)).scalars()}


def shipped(floor: Warehouse, app: Any, order_id: int) -> str:
    """Picked, packed, labelled and handed over by two hands; returns the waybill number."""
    picker, packer = Hand(app, floor.rows.badges["picker"]), Hand(app, floor.rows.badges["packer"])
    task = floor.rows.task_of(order_id)
    picker.act(f"/pick/{task.id}/take-over")
    picker.get(f"/pick/{task.id}")
    picker.scan(f"T-00{1 if 'CUP' in _skus(floor, order_id) else 2}")
    for sku, place in (("CUP", "A-01-01-1"), ("PLATE", "A-01-02-1")):
        if pieces := _skus(floor, order_id).get(sku):
            picker.sees("pick/scan_location", place[:-1])
            picker.scan(f"L-{place}")
            for _ in range(pieces):
                picker.scan(BARCODES[sku])
    picker.sees("pick/done")

    packer.get("/pack")
    packer.scan("S-PACK1")
    packer.scan(f"T-{_tote(floor, order_id)}")
    for sku, pieces in _skus(floor, order_id).items():
        for _ in range(pieces):
            packer.scan(BARCODES[sku])
    packer.sees("pack/weigh")
    packer.press("/pack/weigh", weight_g="900")
    packer.sees("pack/scan_tote", "900 g")
    with floor.database.reading() as session:
        number = session.execute(select(Waybill.number).order_by(Waybill.id.desc()).limit(1)).scalar_one()
    packer.get("/ship")
    packer.act("/ship/open", carrier=str(floor.rows.carrier("JD").id))
    packer.get(packer.answer.headers["X-Go"])
    packer.scan(number)
    assert packer.feeling == "done", packer.text()
    return number


def _skus(floor: Warehouse, order_id: int) -> dict[str, int]:
    with floor.database.reading() as session:
        return {
            line.sku: line.qty
            for line in session.execute(
                select(OrderLine)
                .where(OrderLine.order_id == order_id, OrderLine.kind == "goods")
                .order_by(OrderLine.sku)
            ).scalars()
        }


def _tote(floor: Warehouse, order_id: int) -> str:
    with floor.database.reading() as session:
        return session.execute(
            select(Location.code).join(ToteUse, ToteUse.tote_id == Location.id).where(ToteUse.order_id == order_id)
        ).scalar_one()
