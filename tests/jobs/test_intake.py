"""Orders come in by themselves: as they came first, nothing lost over a kill, one bad one stops nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from tests.factories import Rows
from wms import sealing
from wms.clock import now
from wms.connectors import ConnectorError, Pushed, Recipient, Shipment, ShopLine, ShopOrder
from wms.connectors.kept import as_json, fingerprint, from_json
from wms.db import Database
from wms.flows import shops
from wms.jobs import intake, lanes
from wms.models import Order, OrderState, RawOrder, RawState, Shop, ShopLane
from wms.settings import Settings

BEGAN = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def said(number: int, **changes: Any) -> ShopOrder:
    order = ShopOrder(
        shop_order_no=f"N{number:04d}",
        ordered_at=BEGAN,
        state="paid",
        lines=(ShopLine("1", "A1", "Kettle", 2, 1990),),
        recipient=Recipient("张三", "13800000000", "广东省", "深圳市", "南山区", "", "测试路 1 号"),
        raw={"id": number, "留言": "快点"},
        updated_at=BEGAN + timedelta(minutes=number),
    )
    return replace(order, **changes)


@dataclass
class WindowedShop:
    """A shop read in windows of one order each; it may fail at a place."""

    orders: list[ShopOrder]
    fails_at: int = -1
    error: Exception | None = None
    grain: str = "package"
    complete_until: datetime | None = None
    unread: dict[str, ConnectorError] = field(default_factory=dict)
    asked: list[datetime | None] = field(default_factory=list)

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        self.asked.append(since)
        self.complete_until = since
        for number, order in enumerate(self.orders):
            if number == self.fails_at and self.error is not None:
                raise self.error
            assert order.updated_at is not None
            if since is not None and order.updated_at < since:
                continue
            yield order
            self.complete_until = order.updated_at

    def order_state(self, shop_order_no: str) -> str:
        return self.read_order(shop_order_no).state

    def read_order(self, shop_order_no: str) -> ShopOrder:
        return next(order for order in self.orders if order.shop_order_no == shop_order_no)

    def push_shipment(self, shipment: Shipment) -> Pushed:
        raise AssertionError

    def push_stock(self, sku: str, qty: int) -> None:
        raise AssertionError


@pytest.fixture
def rows(database: Database, settings: Settings) -> Rows:
    return Rows(database, settings.secret_key)


@pytest.fixture
def shop(rows: Rows) -> Shop:
    rows.item("A1")
    with rows.database.reading() as session:
        return session.execute(select(Shop).where(Shop.code == "SHOP")).scalar_one()


def read(rows: Rows, shop: Shop, shown: WindowedShop, since: datetime | None = None) -> intake.Pulled:
    pulled = intake.pull(rows.database, shop.id, connect=lambda _kind, _settings: shown, since=since)
    assert pulled is not None
    return pulled


def lane(rows: Rows, shop: Shop) -> ShopLane:
    with rows.database.reading() as session:
        return session.get_one(ShopLane, shop.id)


def states(rows: Rows) -> dict[str, str]:
    with rows.database.reading() as session:
        found = session.execute(select(RawOrder.shop_order_no, RawOrder.state)).all()
    return {number: state.value for number, state in found}


def test_an_order_kept_and_read_again_is_the_same_order() -> None:
    order = said(1, ship_by=BEGAN, hold="not_yet")
    again = from_json(as_json(order))
    assert again == order and again.raw == order.raw
    later = replace(order, updated_at=BEGAN + timedelta(days=1), raw={"other": 1})
    assert fingerprint(as_json(later)) == fingerprint(as_json(order))
    assert fingerprint(as_json(replace(order, buyer_note="x"))) != fingerprint(as_json(order))


def test_orders_are_kept_as_they_came_and_become_ours(rows: Rows, shop: Shop) -> None:
    shown = WindowedShop([said(number) for number in range(5)])
    assert read(rows, shop, shown).fates == {"new": 5}
    assert states(rows) == {f"N{number:04d}": "taken" for number in range(5)}
    assert lane(rows, shop).cursor == shown.orders[-1].updated_at
    with rows.database.reading() as session:
        raw = session.execute(select(RawOrder).where(RawOrder.shop_order_no == "N0003")).scalar_one()
        assert raw.body["raw"] == {"id": 3, "留言": "快点"} and raw.order_id is not None
    assert read(rows, shop, shown).fates == {"same": 1}, "the overlap changes nothing"
    assert shown.asked == [None, shown.orders[-1].updated_at]


def test_a_shop_that_breaks_off_is_read_on_from_there_and_rests_meanwhile(rows: Rows, shop: Shop) -> None:
    orders = [said(number) for number in range(6)]
    banned = ConnectorError(
        permanent=False, reason="banned", message="%(host)s", facts={"host": "h"}, retry_after_s=900
    )
    shown = WindowedShop(orders, fails_at=4, error=banned)
    assert read(rows, shop, shown).error is banned
    held = lane(rows, shop)
    assert held.cursor == orders[2].updated_at and len(states(rows)) == 4
    assert held.paused_until is not None and held.paused_until > now() + timedelta(minutes=14)
    assert shop.id not in lanes.to_pull(rows.database) and shop.id in lanes.paused(rows.database)
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(ShopLane).values(paused_until=now(), next_pull_at=now()))
    assert lanes.to_pull(rows.database) == [shop.id]
    shown.fails_at = -1
    assert read(rows, shop, shown).error is None
    assert len(states(rows)) == 6 and lane(rows, shop).paused_reason == ""
    assert shown.asked[-1] == orders[2].updated_at


def test_a_connector_that_breaks_by_itself_is_no_end_of_the_worker(rows: Rows, shop: Shop) -> None:
    pulled = read(rows, shop, WindowedShop([said(0), said(1)], fails_at=1, error=KeyError("x")))
    assert pulled.error is not None and pulled.error.reason == "fault" and states(rows) == {"N0000": "taken"}
    assert lane(rows, shop).leased_by == ""


def test_one_bad_order_stops_nobody(rows: Rows, shop: Shop) -> None:
    bad = [
        said(1, hold="unreadable", lines=()),
        said(2, lines=(ShopLine("1", "A1", "Kettle", 1, 1), ShopLine("1", "A1", "twice the same line", 1, 1))),
        said(3, lines=(ShopLine("1", "NEVER-SEEN", "Pot", 1, 1),)),
    ]
    pulled = read(rows, shop, WindowedShop([said(0), *bad, said(4)]))
    assert pulled.fates == {"new": 2, "unreadable": 1, "failed": 1, "held": 1}
    assert states(rows) == {
        "N0000": "taken", "N0001": "unreadable", "N0002": "failed", "N0003": "taken", "N0004": "taken",
    }  # fmt: skip


def test_an_older_reading_never_replaces_a_newer_one(rows: Rows, shop: Shop) -> None:
    newest = said(1, buyer_note="the newer")
    older = said(1, buyer_note="the older", updated_at=BEGAN)
    read(rows, shop, WindowedShop([newest]))
    assert intake.receive(rows.database, shop, older) == "same"
    with rows.database.reading() as session:
        assert session.execute(select(Order.buyer_note)).scalar_one() == "the newer"


def test_a_cancelled_order_is_stopped_wherever_it_stands(rows: Rows, shop: Shop) -> None:
    rows.stock("A1", "A-01-01-1", 10)
    read(rows, shop, WindowedShop([said(1)]))
    with rows.database.reading() as session:
        order_id = session.execute(select(Order.id)).scalar_one()
    rows.release(order_id)
    assert intake.receive(rows.database, shop, said(1, state="cancelled", updated_at=now())) == "intercept"
    with rows.database.reading() as session:
        assert session.execute(select(Order.state)).scalar_one() is OrderState.CANCELLED


def test_two_readers_of_one_shop_are_one(rows: Rows, shop: Shop) -> None:
    assert lanes.take(rows.database, shop, "somebody else")
    assert intake.pull(rows.database, shop.id, connect=lambda _kind, _settings: WindowedShop([said(1)])) is None
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(ShopLane).values(leased_until=now() - timedelta(seconds=1)))
    assert read(rows, shop, WindowedShop([said(1)])).fates == {"new": 1}


def test_what_was_kept_when_the_reader_died_is_made_into_orders_later(rows: Rows, shop: Shop) -> None:
    assert intake.keep(rows.database, shop, said(1)) is not None
    assert states(rows) == {"N0001": "new"}
    assert intake.settle_left(rows.database) == 1 and states(rows) == {"N0001": "taken"}


KILLED = """
import os, signal, sys
from tests.jobs.test_intake import WindowedShop, said
from wms.jobs import intake
from wms.settings import Settings
from wms.db import open_database
settings = Settings(database_url=sys.argv[1], secret_key=sys.argv[5])
shown, at = WindowedShop([said(number) for number in range(30)]), int(sys.argv[3])
true, count = getattr(intake, sys.argv[4]), 0
def die(*args, **more):
    global count
    count += 1
    if count == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return true(*args, **more)
setattr(intake, sys.argv[4], die)
intake.pull(open_database(settings), int(sys.argv[2]), connect=lambda _kind, _settings: shown)
"""


@pytest.mark.parametrize("where", ["keep", "settle"])
def test_a_reader_killed_on_the_way_loses_nothing_and_doubles_nothing(rows: Rows, shop: Shop, where: str) -> None:
    root = Path(__file__).resolve().parents[2]
    url = rows.database.url
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, url, str(shop.id), "13", where, rows.secret],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(ShopLane).values(leased_until=now()))
    intake.settle_left(rows.database)
    read(rows, shop, WindowedShop([said(number) for number in range(30)]))
    with rows.database.reading() as session:
        assert session.execute(select(func.count()).select_from(Order)).scalar_one() == 30
        assert session.execute(select(RawOrder.state).distinct()).scalars().all() == [RawState.TAKEN]


def test_a_shops_keys_are_sealed_in_the_database(rows: Rows, shop: Shop) -> None:
    with rows.database.transaction(rows.actor()) as session:
        session.get_one(Shop, shop.id).settings = {"app_secret": "plain to nobody", "商店": "一"}
    with rows.database.reading() as session:
        stored = str(session.execute(text("SELECT settings FROM shop WHERE code = 'SHOP'")).scalar_one())
        assert "plain to nobody" not in stored and sealing.SEALED in stored
        assert session.get_one(Shop, shop.id).settings == {"app_secret": "plain to nobody", "商店": "一"}
    kept = sealing._keys[:]
    sealing._keys[:] = ["another secret, long enough to be one"]
    try:
        with rows.database.reading() as session, pytest.raises(sealing.CannotOpen, match="WMS_SECRET_KEY"):
            session.execute(select(Shop.settings).where(Shop.id == shop.id)).all()
    finally:
        sealing._keys[:] = kept


def test_a_renewed_key_is_saved_at_once(rows: Rows, shop: Shop) -> None:
    with rows.database.transaction(rows.actor()) as session:
        session.get_one(Shop, shop.id).settings = {"access_token": "old", "app_key": "k"}
    lanes.keeper(rows.database, rows.warehouse_id, shop.id)({"access_token": "new"})
    with rows.database.reading() as session:
        assert session.get_one(Shop, shop.id).settings == {"access_token": "new", "app_key": "k"}


def test_what_was_not_understood_is_read_anew_when_a_person_asks(rows: Rows, shop: Shop) -> None:
    read(rows, shop, WindowedShop([said(1, hold="unreadable", lines=())]))
    assert states(rows) == {"N0001": "unreadable"}
    with rows.database.transaction(rows.actor()) as session:
        assert shops.try_again(session, shop, None) == 1
    mended = WindowedShop([said(1)])
    assert intake.settle_left(rows.database, connect=lambda _kind, _settings: mended) == 1
    assert states(rows) == {"N0001": "taken"}
    with rows.database.reading() as session:
        assert session.execute(select(Order.state)).scalar_one() is OrderState.READY
