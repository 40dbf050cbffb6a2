"""Where things are and what happened to them: balances, moves and the journal, read only (R1, R45)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from wms.count_requests import OPEN as OPEN_COUNTS
from wms.models import (
    Balance,
    Barcode,
    Count,
    Item,
    Journal,
    Location,
    MoveReason,
    Operator,
    Order,
    OrderLine,
    Parcel,
    ParcelLine,
    PickTask,
    StockMove,
)


@dataclass(frozen=True, slots=True)
class Moved:
    """One line of the ledger in words' reach."""

    at: datetime
    who: str
    reason: MoveReason
    qty: int
    sku: str
    lot: str
    from_code: str
    to_code: str
    from_container: str = ""
    to_container: str = ""


@dataclass(frozen=True, slots=True)
class Noted:
    """One line of the journal."""

    at: datetime
    who: str
    document: str
    what: str
    before: str
    after: str


def being_counted(session: Session, warehouse_id: int) -> set[int]:
    """Places under an open count: whoever may count them must not see the book (R39)."""
    return set(
        session.execute(
            select(Count.location_id).where(Count.warehouse_id == warehouse_id, Count.state.in_(OPEN_COUNTS))
        ).scalars()
    )


def places(session: Session, warehouse_id: int, item_id: int) -> list[tuple[Balance, Location]]:
    """Where an item stands, shelves in walking order first."""
    return [
        (row[0], row[1])
        for row in session.execute(
            select(Balance, Location)
            .join(Location, and_(Location.warehouse_id == Balance.warehouse_id, Location.id == Balance.location_id))
            .where(Balance.warehouse_id == warehouse_id, Balance.item_id == item_id, Balance.on_hand > 0)
            .order_by(Location.kind != "storage", Location.walk, Location.code, Balance.lot)
            .limit(200)
        )
    ]


def contents(
    session: Session, warehouse_id: int, location_id: int, container: str | None = None
) -> list[tuple[Balance, Item]]:
    """What stands at a place, or in one parcel there."""
    query = (
        select(Balance, Item)
        .join(Item, Item.id == Balance.item_id)
        .where(Balance.warehouse_id == warehouse_id, Balance.location_id == location_id, Balance.on_hand > 0)
        .order_by(Balance.container, Item.sku, Balance.lot)
        .limit(500)
    )
    if container is not None:
        query = query.where(Balance.container == container)
    return [(row[0], row[1]) for row in session.execute(query)]


def barcodes(session: Session, item_id: int) -> list[Barcode]:
    return list(
        session.execute(
            select(Barcode).where(Barcode.item_id == item_id).order_by(Barcode.pieces, Barcode.code)
        ).scalars()
    )


def parcel_lines(session: Session, parcel: Parcel) -> list[tuple[ParcelLine, Item]]:
    return [
        (row[0], row[1])
        for row in session.execute(
            select(ParcelLine, Item)
            .join(Item, Item.id == ParcelLine.item_id)
            .where(
                ParcelLine.warehouse_id == parcel.warehouse_id, ParcelLine.parcel_id == parcel.id, ParcelLine.qty > 0
            )
            .order_by(Item.sku)
        )
    ]


def _moves(session: Session, warehouse_id: int, condition: Any, limit: int) -> list[Moved]:
    source, target = aliased(Location), aliased(Location)
    rows = session.execute(
        select(
            StockMove.at,
            func.coalesce(Operator.name, ""),
            StockMove.reason,
            StockMove.qty,
            Item.sku,
            StockMove.lot,
            source.code,
            target.code,
            StockMove.from_container,
            StockMove.to_container,
        )
        .join(Item, Item.id == StockMove.item_id)
        .join(source, and_(source.warehouse_id == StockMove.warehouse_id, source.id == StockMove.from_id))
        .join(target, and_(target.warehouse_id == StockMove.warehouse_id, target.id == StockMove.to_id))
        .outerjoin(
            Operator, and_(Operator.warehouse_id == StockMove.warehouse_id, Operator.id == StockMove.operator_id)
        )
        .where(StockMove.warehouse_id == warehouse_id, condition)
        .order_by(StockMove.id.desc())
        .limit(limit)
    )
    return [Moved(*tuple(row)) for row in rows]


def moves_of_item(
    session: Session, warehouse_id: int, item_id: int, limit: int = 20, without: Collection[int] = ()
) -> list[Moved]:
    """The item's newest moves, leaving out those at places that are being counted (R39)."""
    condition = StockMove.item_id == item_id
    if without:
        condition = and_(condition, StockMove.from_id.not_in(without), StockMove.to_id.not_in(without))
    return _moves(session, warehouse_id, condition, limit)


def moves_at(session: Session, warehouse_id: int, location_id: int, limit: int = 20) -> list[Moved]:
    """The newest moves into and out of a place."""
    return _moves(session, warehouse_id, or_(StockMove.from_id == location_id, StockMove.to_id == location_id), limit)


def moves_of_order(session: Session, order: Order, limit: int = 200) -> list[Moved]:
    """What was picked, packed and shipped for an order, by the causes its moves carry (R46)."""
    causes = [
        f"order_line:{i}"
        for i in session.execute(
            select(OrderLine.id).where(OrderLine.warehouse_id == order.warehouse_id, OrderLine.order_id == order.id)
        ).scalars()
    ]
    causes += [
        f"parcel:{i}"
        for i in session.execute(
            select(Parcel.id).where(Parcel.warehouse_id == order.warehouse_id, Parcel.order_id == order.id)
        ).scalars()
    ]
    return _moves(session, order.warehouse_id, StockMove.cause.in_(causes), limit)


def journal_of(
    session: Session, warehouse_id: int, documents: Sequence[tuple[str, int]], limit: int = 200
) -> list[Noted]:
    """The journal of some documents together, newest first."""
    if not documents:
        return []
    by_kind: dict[str, list[int]] = {}
    for kind, document_id in documents:
        by_kind.setdefault(kind, []).append(document_id)
    named = or_(*(and_(Journal.document == kind, Journal.document_id.in_(ids)) for kind, ids in by_kind.items()))
    return [
        Noted(*row)
        for row in session.execute(
            select(
                Journal.at,
                func.coalesce(Operator.name, ""),
                Journal.document,
                Journal.what,
                Journal.before,
                Journal.after,
            )
            .outerjoin(
                Operator, and_(Operator.warehouse_id == Journal.warehouse_id, Operator.id == Journal.operator_id)
            )
            .where(Journal.warehouse_id == warehouse_id, named)
            .order_by(Journal.id.desc())
            .limit(limit)
        )
    ]


def story_of_order(session: Session, order: Order) -> list[Noted | Moved]:
    """All that happened to an order: its own states, its lines', tasks' and parcels', and its moves; newest first."""
    key = order.warehouse_id
    documents = [("sales_order", order.id)]
    for table, kind in ((OrderLine, "order_line"), (PickTask, "pick_task"), (Parcel, "parcel")):
        documents += [
            (kind, i)
            for i in session.execute(
                select(table.id).where(table.warehouse_id == key, table.order_id == order.id)
            ).scalars()
        ]
    story: list[Noted | Moved] = [*journal_of(session, key, documents), *moves_of_order(session, order)]
    return sorted(story, key=lambda line: line.at, reverse=True)
