"""The nightly proof (R46): everything that must hold is recomputed and reported, nothing is repaired in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, delete, exists, func, select
from sqlalchemy.orm import Session, aliased

from wms import ledger
from wms.clock import now
from wms.db import Actor, Database
from wms.models import (
    Allocation,
    Balance,
    Item,
    Location,
    Manifest,
    Order,
    OrderLine,
    Parcel,
    ParcelLine,
    ParcelState,
    Push,
    PushState,
    ScanRequest,
    StockMove,
    ToteUse,
    Waybill,
    WaybillState,
)
from wms.rules import gifts

GONE = (ParcelState.HANDED_OVER, ParcelState.ACKNOWLEDGED)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that does not hold, in words a supervisor can act on."""

    rule: str
    text: str


def verify(database: Database) -> list[Fault]:
    """Every proof of R46 in one consistent reading; an empty list means the books are right."""
    proofs: tuple[Callable[[Session], Iterator[Fault]], ...] = (
        _books,
        _waybills,
        _shipped,
        _causes,
        _manifests,
        _pushes,
        _totes,
        _parcels,
    )
    with database.reading() as session:
        return [fault for proof in proofs for fault in proof(session)]


def _books(session: Session) -> Iterator[Fault]:
    for found in ledger.differences(session):
        place = session.execute(select(Location.code).where(Location.id == found.spot.location_id)).scalar()
        item = session.execute(select(Item.sku).where(Item.id == found.spot.item_id)).scalar()
        yield Fault(
            "R2",
            f"{item} at {place}{' ' + found.spot.container if found.spot.container else ''}: "
            f"{found.what} is {found.book}, the ledger says {found.ledger}",
        )


def _waybills(session: Session) -> Iterator[Fault]:
    for warehouse_id, parcel_id, count in session.execute(
        select(Waybill.warehouse_id, Waybill.parcel_id, func.count())
        .where(Waybill.state == WaybillState.LIVE)
        .group_by(Waybill.warehouse_id, Waybill.parcel_id)
        .having(func.count() > 1)
    ):
        yield Fault("R31", f"parcel {parcel_id} of warehouse {warehouse_id} has {count} live waybills")
    for (code,) in session.execute(
        select(Parcel.code)
        .outerjoin(
            Waybill,
            and_(
                Waybill.warehouse_id == Parcel.warehouse_id,
                Waybill.parcel_id == Parcel.id,
                Waybill.state == WaybillState.LIVE,
            ),
        )
        .where(Parcel.state.in_([ParcelState.LABELLED, *GONE]), Waybill.id.is_(None))
    ):
        yield Fault("R31", f"parcel {code} has no live waybill")


def _shipped(session: Session) -> Iterator[Fault]:
    in_parcels = (
        select(ParcelLine.warehouse_id, ParcelLine.order_line_id, func.sum(ParcelLine.qty).label("qty"))
        .join(Parcel, and_(Parcel.warehouse_id == ParcelLine.warehouse_id, Parcel.id == ParcelLine.parcel_id))
        .where(Parcel.state.in_(GONE))
        .group_by(ParcelLine.warehouse_id, ParcelLine.order_line_id)
        .subquery()
    )
    for order_no, sku, ordered, shipped, packed in session.execute(
        select(
            Order.shop_order_no,
            OrderLine.sku,
            OrderLine.qty - OrderLine.cancelled_qty,
            OrderLine.shipped_qty,
            func.coalesce(in_parcels.c.qty, 0),
        )
        .join(Order, and_(Order.warehouse_id == OrderLine.warehouse_id, Order.id == OrderLine.order_id))
        .outerjoin(
            in_parcels,
            and_(in_parcels.c.warehouse_id == OrderLine.warehouse_id, in_parcels.c.order_line_id == OrderLine.id),
        )
        .where(
            (OrderLine.shipped_qty > OrderLine.qty - OrderLine.cancelled_qty)
            | (OrderLine.shipped_qty != func.coalesce(in_parcels.c.qty, 0))
        )
    ):
        yield Fault("R46", f"order {order_no}, {sku}: ordered {ordered}, shipped {shipped}, in parcels {packed}")


def _causes(session: Session) -> Iterator[Fault]:
    for (move_id,) in session.execute(select(StockMove.id).where(StockMove.cause == "").limit(100)):
        yield Fault("R46", f"move {move_id} has no cause")


def _manifests(session: Session) -> Iterator[Fault]:
    for code, said, weight, count, weighed in session.execute(
        select(
            Manifest.code,
            Manifest.parcels,
            Manifest.weight_g,
            func.count(Parcel.id),
            func.coalesce(func.sum(Parcel.weight_g), 0),
        )
        .outerjoin(
            Parcel,
            and_(
                Parcel.warehouse_id == Manifest.warehouse_id, Parcel.manifest_id == Manifest.id, Parcel.state.in_(GONE)
            ),
        )
        .group_by(Manifest.warehouse_id, Manifest.id, Manifest.code, Manifest.parcels, Manifest.weight_g)
    ):
        if said != count or weight != weighed:
            yield Fault("R36", f"manifest {code} says {said} parcels of {weight} g, it holds {count} of {weighed} g")


def _pushes(session: Session) -> Iterator[Fault]:
    for (code,) in session.execute(
        select(Parcel.code)
        .outerjoin(Push, and_(Push.warehouse_id == Parcel.warehouse_id, Push.parcel_id == Parcel.id))
        .where(Parcel.state.in_(GONE), Push.id.is_(None))
    ):
        yield Fault("R37", f"parcel {code} left without a push to its shop")
    waits = aliased(Push)
    for push_id, state, waiting in session.execute(
        select(
            Push.id,
            Parcel.state,
            exists().where(
                waits.warehouse_id == Push.warehouse_id,
                waits.parcel_id == Push.parcel_id,
                waits.state != PushState.ACKNOWLEDGED,
            ),
        )
        .outerjoin(Parcel, and_(Parcel.warehouse_id == Push.warehouse_id, Parcel.id == Push.parcel_id))
        .where(Push.state == PushState.ACKNOWLEDGED)
    ):
        # Of merged orders each has its push: the parcel is acknowledged with the last of them.
        if state is not (ParcelState.HANDED_OVER if waiting else ParcelState.ACKNOWLEDGED):
            yield Fault("R46", f"push {push_id} is acknowledged without its parcel")
    for code, order_no in session.execute(
        select(Parcel.code, Order.shop_order_no)
        .join(ParcelLine, and_(ParcelLine.warehouse_id == Parcel.warehouse_id, ParcelLine.parcel_id == Parcel.id))
        .join(
            OrderLine,
            and_(OrderLine.warehouse_id == ParcelLine.warehouse_id, OrderLine.id == ParcelLine.order_line_id),
        )
        .join(Order, and_(Order.warehouse_id == OrderLine.warehouse_id, Order.id == OrderLine.home_id))
        .outerjoin(
            Push,
            and_(
                Push.warehouse_id == Parcel.warehouse_id,
                Push.parcel_id == Parcel.id,
                Push.order_id == OrderLine.home_id,
            ),
        )
        .where(
            Parcel.state.in_(GONE),
            ParcelLine.qty > 0,
            OrderLine.line_ref.not_like(f"{gifts.PREFIX}%"),
            Push.id.is_(None),
        )
        .distinct()
    ):
        yield Fault("R37", f"parcel {code} left with pieces of order {order_no}, whose shop is not told")


def _totes(session: Session) -> Iterator[Fault]:
    """R25: goods promised in a tote belong to the order that has the tote."""

    for tote, order_no in session.execute(
        select(Location.code, Order.shop_order_no)
        .join(Allocation, and_(Allocation.warehouse_id == Location.warehouse_id, Allocation.location_id == Location.id))
        .join(Order, and_(Order.warehouse_id == Allocation.warehouse_id, Order.id == Allocation.order_id))
        .outerjoin(ToteUse, and_(ToteUse.warehouse_id == Location.warehouse_id, ToteUse.tote_id == Location.id))
        .where(Location.kind == "tote", (ToteUse.order_id.is_(None)) | (ToteUse.order_id != Allocation.order_id))
    ):
        yield Fault("R25", f"tote {tote} holds goods of order {order_no} but is not its tote")


def _parcels(session: Session) -> Iterator[Fault]:
    """R31: what a parcel lists is what stands in it on the books, until it is handed over."""
    inside: Any = (
        select(Balance.warehouse_id, Balance.container, func.sum(Balance.on_hand).label("qty"))
        .where(Balance.container != "")
        .group_by(Balance.warehouse_id, Balance.container)
        .subquery()
    )
    listed: Any = (
        select(ParcelLine.warehouse_id, ParcelLine.parcel_id, func.sum(ParcelLine.qty).label("qty"))
        .group_by(ParcelLine.warehouse_id, ParcelLine.parcel_id)
        .subquery()
    )
    for code, lines, books in session.execute(
        select(Parcel.code, func.coalesce(listed.c.qty, 0), func.coalesce(inside.c.qty, 0))
        .outerjoin(inside, and_(inside.c.warehouse_id == Parcel.warehouse_id, inside.c.container == Parcel.code))
        .outerjoin(listed, and_(listed.c.warehouse_id == Parcel.warehouse_id, listed.c.parcel_id == Parcel.id))
        .where(
            Parcel.state.in_([ParcelState.OPEN, ParcelState.VERIFIED, ParcelState.WEIGHED, ParcelState.LABELLED]),
            func.coalesce(listed.c.qty, 0) != func.coalesce(inside.c.qty, 0),
        )
    ):
        yield Fault("R31", f"parcel {code} lists {lines} pieces, the books have {books}")


def tidy(database: Database, keep_scans_days: int) -> dict[str, int]:
    """Drop what has served: balances at zero, scan answers older than so many days (R10)."""
    removed = {"balances": 0, "scans": 0}
    with database.transaction(Actor(0)) as session:
        removed["balances"] = session.execute(
            delete(Balance)
            .where(Balance.on_hand == 0, Balance.allocated == 0)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
        removed["scans"] = session.execute(
            delete(ScanRequest)
            .where(ScanRequest.at < now() - timedelta(days=keep_scans_days))
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
    return removed
