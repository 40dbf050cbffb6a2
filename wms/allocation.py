"""Promise stock to order lines, first expired first, races lost and tried again (R3–R5, R8)."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from wms import ledger
from wms.clock import now
from wms.ledger import Spot
from wms.models import (
    Allocation,
    Balance,
    Condition,
    Count,
    CountState,
    Location,
    LocationKind,
    Lot,
    OrderLine,
    Warehouse,
)
from wms.planning.allocation import Candidate, first_expired


def today(session: Session, warehouse_id: int) -> date:
    """The date at the warehouse: an expiry date ends there, not in UTC."""
    return now().astimezone(ZoneInfo(session.get_one(Warehouse, warehouse_id).timezone)).date()


def promise(session: Session, line: OrderLine, needed: int) -> int:
    """Allocate up to ``needed`` pieces for a line; returns the pieces that could not be found.

    A candidate that somebody else took in the same moment is left out and the rest is planned anew, so a
    lost race becomes a shortage only when there is really nothing left (R4).
    """
    assert line.item_id is not None
    lost: set[object] = set()
    day = today(session, line.warehouse_id)
    while True:
        free = (c for c in _free_stock(session, line.warehouse_id, line.item_id) if c.key not in lost)
        chosen, _missing = first_expired(free, needed, day)
        raced = False
        for candidate, pieces in chosen:
            assert isinstance(candidate.key, Spot)
            if ledger.allocate(session, line, candidate.key, pieces):
                needed -= pieces
            else:
                lost.add(candidate.key)
                raced = True
        if needed == 0 or not raced:
            return needed


def _free_stock(session: Session, warehouse_id: int, item_id: int) -> list[Candidate]:
    """R5: good stock on open shelves only; a place reported empty waits for its count (R22)."""
    doubted = select(Count.location_id).where(
        Count.warehouse_id == warehouse_id,
        Count.why == "short",
        Count.state.in_([CountState.PLANNED, CountState.COUNTING, CountState.RECOUNT, CountState.TO_DECIDE]),
    )
    rows = session.execute(
        select(
            Balance.location_id,
            Balance.item_id,
            Balance.lot,
            Balance.container,
            Balance.condition,
            Balance.on_hand - Balance.allocated,
            Lot.expiry,
            Lot.held,
            Location.walk,
        )
        .join(Location, and_(Location.warehouse_id == Balance.warehouse_id, Location.id == Balance.location_id))
        .outerjoin(Lot, and_(Lot.item_id == Balance.item_id, Lot.code == Balance.lot))
        .where(
            Balance.warehouse_id == warehouse_id,
            Balance.item_id == item_id,
            Balance.condition == Condition.GOOD,
            Location.kind == LocationKind.STORAGE,
            Location.blocked.is_(False),
            Balance.on_hand > Balance.allocated,
            Location.id.not_in(doubted),
        )
    )
    return [Candidate(Spot(*row[:5]), row[5], row[6], row[8]) for row in rows if not row[7]]


def of_order(session: Session, warehouse_id: int, order_id: int, *kinds: LocationKind) -> list[Allocation]:
    """The order's promises, of certain kinds of place only when named, in walking order."""
    query = (
        select(Allocation)
        .join(Location, and_(Location.warehouse_id == Allocation.warehouse_id, Location.id == Allocation.location_id))
        .where(Allocation.warehouse_id == warehouse_id, Allocation.order_id == order_id)
        .order_by(Location.walk, Location.code, Allocation.item_id, Allocation.id)
        .execution_options(populate_existing=True)
    )
    if kinds:
        query = query.where(Location.kind.in_(kinds))
    return list(session.execute(query).scalars())
