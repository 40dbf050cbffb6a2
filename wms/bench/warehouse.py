"""A fresh warehouse to measure in: places, goods, stock, pickers, released orders, and an old ledger when asked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from wms.clock import now
from wms.connectors import Recipient, ShopLine, ShopOrder
from wms.db import Actor, Database
from wms.flows import catalogue, people, release, take_in, warehouse
from wms.models import Item, Location, LocationKind, Lot, MoveReason, Order, Role, Shop, StockMove
from wms.models.base import EPOCH_MS
from wms.planning.walk import walk_number
from wms.scan import gtin14

PIN = "284759"
ITEMS = 400
AISLES, BAYS, LEVELS = 10, 20, 3
STOCK = 1_000_000
AT_ONCE = 100
MOVES_AT_ONCE = 20_000
LEDGER_DAYS = 365
MEAN_SCANS_AN_ORDER = 9.5
"""Give me work, the tote, and 2.5 lines of a place and two pieces; used to make orders enough."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What the handhelds need to know: whose badge, which totes are empty, the barcode of each item."""

    badges: tuple[str, ...]
    totes: tuple[str, ...]
    barcodes: dict[str, str]
    orders: int


def prepare(database: Database, secret_key: str, pickers: int, orders: int, moves: int) -> Ready:
    """Fill an empty, migrated database through the product's own flows; the old ledger alone is written straight.

    ``moves`` is rounded down to pairs: each old piece came in and went out, so the books hold without them.
    """
    chance = random.Random(7)
    with database.transaction(Actor(1)) as session:
        assert warehouse.open_warehouse(session, "BENCH", "Bench").id == 1
        carrier = warehouse.add_carrier(session, "JD", "京东快递")
        shop = warehouse.add_shop(session, "BENCH", "Bench", "csv", {}, carrier)
        places = _places(session)
        barcodes = _goods(session, places)
        totes = [
            warehouse.add_location(session, f"{number:05d}", LocationKind.TOTE, 0, "").barcode
            for number in range(1, orders + pickers + 1)
        ]
    badges = []
    for number in range(1, pickers + 1):
        with database.transaction(Actor(1)) as session:  # the slow PIN hash: one short transaction each
            badge = people.add_operator(session, secret_key, f"picker {number:03d}", Role.PICKER, PIN, "en")
            badges.append(badge.code)
    if moves:
        _old_moves(database, moves, chance)
    _orders(database, shop, sorted(barcodes), orders, chance)
    return Ready(tuple(badges), tuple(totes), barcodes, orders)


def _places(session: Session) -> list[Location]:
    codes = [
        f"{chr(64 + aisle)}-{bay:02d}-{level:02d}-1"
        for aisle in range(1, AISLES + 1)
        for bay in range(1, BAYS + 1)
        for level in range(1, LEVELS + 1)
    ]
    return [warehouse.add_location(session, code, LocationKind.STORAGE, walk_number(code), code[0]) for code in codes]


def _goods(session: Session, places: list[Location]) -> dict[str, str]:
    """SKU → barcode. Every fifth item has lots; each place holds one lot, so the lot need not be scanned (R9)."""
    barcodes = {}
    for number in range(1, ITEMS + 1):
        sku, code, lots = f"SKU-{number:04d}", _ean13(f"2000000{number:05d}"), number % 5 == 0
        item = catalogue.add_item(
            session, sku, f"商品 {number} Item", barcodes=[(code, 1)], weight_g=200, lot_tracked=lots
        )
        lot = None
        if lots:
            lot = Lot(item_id=item.id, code=f"B{number:04d}", expiry=now().date() + timedelta(days=300))
            session.add(lot)
            session.flush()
        warehouse.opening_stock(session, item, places[number], STOCK, lot)
        barcodes[sku] = code
    return barcodes


def _ean13(body: str) -> str:
    return next(body + str(digit) for digit in range(10) if gtin14(body + str(digit)))


def _orders(database: Database, shop: Shop, skus: list[str], orders: int, chance: random.Random) -> None:
    at = now()
    for first in range(1, orders + 1, AT_ONCE):
        numbers = [f"B{number:07d}" for number in range(first, min(first + AT_ONCE, orders + 1))]
        with database.transaction(Actor(1)) as session:
            for number in numbers:
                take_in.take(session, shop, _order(number, skus, at, chance))
        with database.transaction(Actor(1)) as session:
            wave = release.open_wave(session)
            for order_id in session.execute(select(Order.id).where(Order.shop_order_no.in_(numbers))).scalars().all():
                assert not release.release(session, wave, order_id).short, "the bench has stock enough"


def _order(number: str, skus: list[str], at: datetime, chance: random.Random) -> ShopOrder:
    chosen = chance.sample(skus, chance.randint(1, 4))
    return ShopOrder(
        shop_order_no=number,
        ordered_at=at,
        state="paid",
        ship_by=at + timedelta(minutes=chance.randint(60, 1440)),
        lines=tuple(ShopLine(f"{number}-{n}", sku, sku, chance.randint(1, 3), 990) for n, sku in enumerate(chosen)),
        recipient=Recipient(
            name="收件人001",
            phone="10000000001",
            province="样例省",
            city="样例市",
            address="样例街道 1 号 2 单元 301 室",
        ),
    )


def _old_moves(database: Database, moves: int, chance: random.Random) -> None:
    """A year of moves that add up to nothing: every piece that came to a shelf has left it again."""
    with database.reading() as session:
        ends = {
            kind: session.execute(select(Location.id).where(Location.kind == kind)).scalar_one()
            for kind in (LocationKind.SUPPLIER, LocationKind.CUSTOMER)
        }
        shelves = list(session.execute(select(Location.id).where(Location.kind == LocationKind.STORAGE)).scalars())
        items = list(session.execute(select(Item.id)).scalars())
    rows = _pairs(moves // 2, ends[LocationKind.SUPPLIER], ends[LocationKind.CUSTOMER], shelves, items, chance)
    while batch := list(islice(rows, MOVES_AT_ONCE)):
        with database.transaction(Actor(1)) as session:
            session.connection().execute(insert(StockMove.__table__), batch)  # type: ignore[arg-type]


def _pairs(
    pairs: int, supplier: int, customer: int, shelves: list[int], items: list[int], chance: random.Random
) -> Iterator[dict[str, Any]]:
    end_ms = int(now().timestamp() * 1000) - 3_600_000
    step_ms = LEDGER_DAYS * 86_400_000 / (2 * pairs)
    for number in range(2 * pairs):
        came_in = number % 2 == 0
        if came_in:
            shelf, item, qty = chance.choice(shelves), chance.choice(items), chance.randint(1, 9)
        at_ms = int(end_ms - (2 * pairs - number) * step_ms)
        yield {
            "warehouse_id": 1,
            "id": (at_ms - EPOCH_MS << 22) + number % (1 << 22),
            "at": datetime.fromtimestamp(at_ms / 1000, UTC),
            "item_id": item,
            "lot": "",
            "qty": qty,
            "from_id": supplier if came_in else shelf,
            "to_id": shelf if came_in else customer,
            "reason": MoveReason.RECEIVE if came_in else MoveReason.SHIP,
            "cause": f"old:{number // 2}",
            "from_container": "",
            "to_container": "",
            "from_condition": "good",
            "to_condition": "good",
            "operator_id": None,
            "device_id": None,
            "scan_id": None,
            "reverses_id": None,
        }


def picked(database: Database) -> int:
    """Pieces the ledger says were picked: it must be what the handhelds were told."""
    with database.reading() as session:
        return int(
            session.execute(
                select(func.coalesce(func.sum(StockMove.qty), 0)).where(StockMove.reason == MoveReason.PICK)
            ).scalar_one()
        )
