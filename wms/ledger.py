"""The only writer of stock: post · reverse · allocate · free · carry · differences (R1–R6).

Every change is one move and conditional UPDATEs whose row count must be 1. Nothing is read first and
written back, because read-then-write loses races (R4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, cast

from sqlalchemy import CursorResult, Table, and_, bindparam, delete, func, insert, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, ChangedMeanwhile, NotEnoughStock, Refusal, term
from wms.models import (
    VIRTUAL,
    Allocation,
    Balance,
    Condition,
    Item,
    Location,
    LocationKind,
    MoveReason,
    OrderLine,
    StockMove,
    new_id,
)

_balance = cast(Table, Balance.__table__)
_allocation = cast(Table, Allocation.__table__)
_move = cast(Table, StockMove.__table__)


A_MINUTE = 60_000 << 22
"""In ids, which rise with time: the moves of one scan are never further apart."""


class Spot(NamedTuple):
    """The key of a balance: where exactly pieces of an item stand, in which state."""

    location_id: int
    item_id: int
    lot: str = ""
    container: str = ""
    condition: Condition = Condition.GOOD


class AlreadyUndone(Refusal):
    message = N_("This was already undone.")
    answer = "look"


@dataclass(frozen=True, slots=True)
class Difference:
    """A balance that is not what the ledger adds up to. ``verify`` reports it and repairs nothing (R2)."""

    spot: Spot
    what: str
    ledger: int
    book: int


_at_spot = and_(
    _balance.c.warehouse_id == bindparam("w"),
    _balance.c.location_id == bindparam("l"),
    _balance.c.item_id == bindparam("i"),
    _balance.c.lot == bindparam("t"),
    _balance.c.container == bindparam("c"),
    _balance.c.condition == bindparam("k"),
)
_q: Any = bindparam("q")
_TAKE_FREE = (
    update(_balance)
    .where(_at_spot, _balance.c.on_hand - _balance.c.allocated >= _q)
    .values(on_hand=_balance.c.on_hand - _q, last_move_id=bindparam("m"))
)
_TAKE_ALLOCATED = (
    update(_balance)
    .where(_at_spot, _balance.c.allocated >= _q)
    .values(on_hand=_balance.c.on_hand - _q, allocated=_balance.c.allocated - _q, last_move_id=bindparam("m"))
)
_PROMISE = (
    update(_balance)
    .where(_at_spot, _balance.c.on_hand - _balance.c.allocated >= _q)
    .values(allocated=_balance.c.allocated + _q)
)
_UNPROMISE = update(_balance).where(_at_spot, _balance.c.allocated >= _q).values(allocated=_balance.c.allocated - _q)
_LESS_ALLOCATED = (
    update(_allocation)
    .where(_allocation.c.warehouse_id == bindparam("w"), _allocation.c.id == bindparam("a"), _allocation.c.qty > _q)
    .values(qty=_allocation.c.qty - _q)
)
_NO_LONGER_ALLOCATED = delete(_allocation).where(
    _allocation.c.warehouse_id == bindparam("w"), _allocation.c.id == bindparam("a"), _allocation.c.qty == _q
)
_POST = insert(_move)


@cache
def _put(dialect: str) -> Any:
    add = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(_balance)
    return add.on_conflict_do_update(
        index_elements=list(_balance.primary_key.columns),
        set_={
            "on_hand": _balance.c.on_hand + add.excluded.on_hand,
            "allocated": _balance.c.allocated + add.excluded.allocated,
            "last_move_id": add.excluded.last_move_id,
        },
    )


@cache
def _allocate_more(dialect: str) -> Any:
    add = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(_allocation)
    return add.on_conflict_do_update(
        index_elements=["warehouse_id", "order_line_id", "location_id", "item_id", "lot", "container"],
        set_={"qty": _allocation.c.qty + add.excluded.qty},
    )


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def _changed(session: Session, statement: Any, parameters: dict[str, Any]) -> bool:
    return cast("CursorResult[Any]", session.execute(statement, parameters)).rowcount == 1


def _key(warehouse_id: int, spot: Spot) -> dict[str, Any]:
    return {
        "w": warehouse_id,
        "l": spot.location_id,
        "i": spot.item_id,
        "t": spot.lot,
        "c": spot.container,
        "k": spot.condition,
    }


def virtual(session: Session, kind: LocationKind) -> Location:
    """The one virtual place of a kind in this warehouse: supplier, customer, adjustment, scrap (R1)."""
    assert kind in VIRTUAL
    return session.execute(
        select(Location).where(Location.warehouse_id == actor_of(session).warehouse_id, Location.kind == kind)
    ).scalar_one()


def post(
    session: Session,
    *,
    item_id: int,
    qty: int,
    from_: Location,
    to: Location,
    reason: MoveReason,
    cause: str,
    lot: str = "",
    from_container: str = "",
    to_container: str = "",
    from_condition: Condition = Condition.GOOD,
    to_condition: Condition | None = None,
    allocated: bool = False,
    still_allocated: bool = False,
    reverses_id: int | None = None,
) -> int:
    """Move ``qty`` pieces and both balances in this transaction; returns the move's id.

    ``allocated`` takes pieces that are promised, ``still_allocated`` sets them down as promised; both are for
    ``carry`` and its like, which keep the allocation rows in step. Raises NotEnoughStock when the free (or
    promised) pieces are not there: then nothing was written.
    """
    assert qty > 0, "a move has pieces"
    actor = actor_of(session)
    to_condition = from_condition if to_condition is None else to_condition
    move_id = new_id()
    if from_.kind not in VIRTUAL:
        spot = Spot(from_.id, item_id, lot, from_container, from_condition)
        taken = _changed(
            session,
            _TAKE_ALLOCATED if allocated else _TAKE_FREE,
            {**_key(actor.warehouse_id, spot), "q": qty, "m": move_id},
        )
        if not taken:
            raise _not_enough(session, spot, qty)
    if to.kind not in VIRTUAL:
        session.execute(
            _put(_dialect(session)),
            {
                "warehouse_id": actor.warehouse_id,
                "location_id": to.id,
                "item_id": item_id,
                "lot": lot,
                "container": to_container,
                "condition": to_condition,
                "on_hand": qty,
                "allocated": qty if still_allocated else 0,
                "last_move_id": move_id,
            },
        )
    session.execute(
        _POST,
        {
            "warehouse_id": actor.warehouse_id,
            "id": move_id,
            "at": now(),
            "item_id": item_id,
            "lot": lot,
            "qty": qty,
            "from_id": from_.id,
            "from_container": from_container,
            "from_condition": from_condition,
            "to_id": to.id,
            "to_container": to_container,
            "to_condition": to_condition,
            "reason": reason,
            "cause": cause,
            "reverses_id": reverses_id,
            "operator_id": actor.operator_id,
            "device_id": actor.device_id,
            "scan_id": actor.scan_id,
        },
    )
    return move_id


def _not_enough(session: Session, spot: Spot, qty: int) -> NotEnoughStock:
    warehouse_id = actor_of(session).warehouse_id
    place = session.get_one(Location, (warehouse_id, spot.location_id)).code
    item = session.get_one(Item, spot.item_id).sku
    free = session.execute(
        select(_balance.c.on_hand - _balance.c.allocated).where(_at_spot), _key(warehouse_id, spot)
    ).scalar_one_or_none()
    return NotEnoughStock(item=item, place=place, needed=qty, free=free or 0)


def allocate(session: Session, line: OrderLine, spot: Spot, qty: int) -> bool:
    """Promise pieces at a spot to an order line (R3). False, and nothing written, when they are not free any more."""
    assert spot.condition is Condition.GOOD, "R5: only good stock is promised"
    if not _changed(session, _PROMISE, {**_key(line.warehouse_id, spot), "q": qty}):
        return False
    _grow_allocation(session, line.warehouse_id, line.order_id, line.id, spot, qty)
    return True


def _grow_allocation(
    session: Session, warehouse_id: int, order_id: int, order_line_id: int, spot: Spot, qty: int
) -> None:
    session.execute(
        _allocate_more(_dialect(session)),
        {
            "warehouse_id": warehouse_id,
            "id": new_id(),
            "order_id": order_id,
            "order_line_id": order_line_id,
            "location_id": spot.location_id,
            "item_id": spot.item_id,
            "lot": spot.lot,
            "container": spot.container,
            "qty": qty,
        },
    )


def _shrink_allocation(session: Session, allocation: Allocation, qty: int) -> None:
    key = {"w": allocation.warehouse_id, "a": allocation.id, "q": qty}
    if not _changed(session, _LESS_ALLOCATED, key) and not _changed(session, _NO_LONGER_ALLOCATED, key):
        raise ChangedMeanwhile(what=term("The allocation"))


def _spot_of(allocation: Allocation) -> Spot:
    return Spot(allocation.location_id, allocation.item_id, allocation.lot, allocation.container)


def free(session: Session, allocation: Allocation, qty: int | None = None) -> None:
    """Give promised pieces back to everybody (cancel, kick-out, short pick)."""
    qty = allocation.qty if qty is None else qty
    _shrink_allocation(session, allocation, qty)
    if not _changed(session, _UNPROMISE, {**_key(allocation.warehouse_id, _spot_of(allocation)), "q": qty}):
        raise ChangedMeanwhile(what=term("The allocation"))


def carry(
    session: Session,
    allocation: Allocation,
    qty: int,
    to: Location,
    *,
    reason: MoveReason,
    cause: str,
    to_container: str = "",
    reverses_id: int | None = None,
) -> int:
    """Move promised pieces and let the promise follow them (shelf → tote → parcel). Capped by the promise (R21)."""
    from_ = session.get_one(Location, (allocation.warehouse_id, allocation.location_id))
    _shrink_allocation(session, allocation, qty)
    move_id = post(
        session,
        item_id=allocation.item_id,
        qty=qty,
        lot=allocation.lot,
        from_=from_,
        to=to,
        from_container=allocation.container,
        to_container=to_container,
        reason=reason,
        cause=cause,
        allocated=True,
        still_allocated=True,
        reverses_id=reverses_id,
    )
    spot = Spot(to.id, allocation.item_id, allocation.lot, to_container)
    _grow_allocation(session, allocation.warehouse_id, allocation.order_id, allocation.order_line_id, spot, qty)
    return move_id


def use_up(session: Session, allocation: Allocation, to: Location, *, reason: MoveReason, cause: str) -> int:
    """Promised pieces leave the books for good (hand-over, R6): the promise is kept and goes."""
    from_ = session.get_one(Location, (allocation.warehouse_id, allocation.location_id))
    qty = allocation.qty
    _shrink_allocation(session, allocation, qty)
    return post(
        session,
        item_id=allocation.item_id,
        qty=qty,
        lot=allocation.lot,
        from_=from_,
        to=to,
        from_container=allocation.container,
        reason=reason,
        cause=cause,
        allocated=True,
    )


def reverse(session: Session, move_id: int, *, cause: str) -> int:
    """Undo a move by its mirror image (R1). A second undo of the same move is refused by a constraint.

    When the move carried a promise, the promise goes back with the pieces.
    """
    warehouse_id = actor_of(session).warehouse_id
    move = session.get_one(StockMove, (warehouse_id, move_id))
    if session.execute(
        select(StockMove.id).where(StockMove.warehouse_id == warehouse_id, StockMove.reverses_id == move_id)
    ).first():
        raise AlreadyUndone()
    from_ = session.get_one(Location, (warehouse_id, move.from_id))
    to = session.get_one(Location, (warehouse_id, move.to_id))
    promised = (
        session.execute(
            select(Allocation)
            .where(
                Allocation.warehouse_id == warehouse_id,
                Allocation.location_id == move.to_id,
                Allocation.item_id == move.item_id,
                Allocation.lot == move.lot,
                Allocation.container == move.to_container,
                Allocation.qty >= move.qty,
                *(
                    [Allocation.order_line_id == int(move.cause.removeprefix("order_line:"))]
                    if move.cause.startswith("order_line:")
                    else []
                ),
            )
            .order_by(Allocation.id.desc())
            .limit(1)
        ).scalar_one_or_none()
        if move.reason in (MoveReason.PICK, MoveReason.PACK)
        else None
    )
    if promised is not None:
        return carry(
            session,
            promised,
            move.qty,
            from_,
            reason=MoveReason.UNDO,
            cause=cause,
            to_container=move.from_container,
            reverses_id=move_id,
        )
    return post(
        session,
        item_id=move.item_id,
        qty=move.qty,
        lot=move.lot,
        from_=to,
        to=from_,
        from_container=move.to_container,
        to_container=move.from_container,
        from_condition=move.to_condition,
        to_condition=move.from_condition,
        reason=MoveReason.UNDO,
        cause=cause,
        reverses_id=move_id,
    )


def moves_of_scan(session: Session, warehouse_id: int, move_id: int) -> list[StockMove]:
    """A move and the others of the same scan, the latest first: one case may fill two lines, and is undone as one."""
    move = session.get_one(StockMove, (warehouse_id, move_id))
    if not move.scan_id:
        return [move]
    return list(
        session.execute(
            select(StockMove)
            .where(
                StockMove.warehouse_id == warehouse_id,
                StockMove.id <= move.id,
                StockMove.id > move.id - A_MINUTE,
                StockMove.scan_id == move.scan_id,
                StockMove.reason == move.reason,
                StockMove.item_id == move.item_id,
            )
            .order_by(StockMove.id.desc())
        ).scalars()
    )


def on_hand(session: Session, warehouse_id: int, spot: Spot) -> tuple[int, int, int]:
    """(on hand, allocated, id of the last move) of a spot as the book has it now; zeros when it has none."""
    row = session.execute(
        select(_balance.c.on_hand, _balance.c.allocated, _balance.c.last_move_id).where(_at_spot),
        _key(warehouse_id, spot),
    ).first()
    return (row[0], row[1], row[2]) if row else (0, 0, 0)


def break_allocations(session: Session, warehouse_id: int, spot: Spot, pieces: int) -> list[tuple[int, int]]:
    """R42: take promises for ``pieces`` at a spot away, the newest first; returns (order line, pieces) broken."""
    broken: list[tuple[int, int]] = []
    held: Sequence[Allocation] = (
        session.execute(
            select(Allocation)
            .where(
                Allocation.warehouse_id == warehouse_id,
                Allocation.location_id == spot.location_id,
                Allocation.item_id == spot.item_id,
                Allocation.lot == spot.lot,
                Allocation.container == spot.container,
            )
            .order_by(Allocation.id.desc())
            .execution_options(populate_existing=True)
        )
        .scalars()
        .all()
    )
    for allocation in held:
        if pieces <= 0:
            break
        given_up = min(pieces, allocation.qty)
        free(session, allocation, given_up)
        broken.append((allocation.order_line_id, given_up))
        pieces -= given_up
    return broken


def differences(session: Session, warehouse_id: int | None = None) -> list[Difference]:
    """Recompute every balance from the ledger, every promise from the allocations (R2, R46)."""
    move = StockMove.__table__
    ends = []
    for sign, side in ((1, "to"), (-1, "from")):
        ends.append(
            select(
                move.c.warehouse_id,
                move.c[f"{side}_id"].label("location_id"),
                move.c.item_id,
                move.c.lot,
                move.c[f"{side}_container"].label("container"),
                move.c[f"{side}_condition"].label("condition"),
                (move.c.qty * sign).label("qty"),
            )
        )
    both = union_all(*ends).subquery()
    place = Location.__table__
    ledger_sum = (
        select(
            both.c.warehouse_id,
            both.c.location_id,
            both.c.item_id,
            both.c.lot,
            both.c.container,
            both.c.condition,
            func.sum(both.c.qty),
        )
        .join(place, and_(place.c.warehouse_id == both.c.warehouse_id, place.c.id == both.c.location_id))
        .where(place.c.kind.not_in([k.value for k in VIRTUAL]))
        .group_by(*list(both.c)[:6])
    )
    promised_sum = select(
        _allocation.c.warehouse_id,
        _allocation.c.location_id,
        _allocation.c.item_id,
        _allocation.c.lot,
        _allocation.c.container,
        func.sum(_allocation.c.qty),
    ).group_by(*[_allocation.c[n] for n in ("warehouse_id", "location_id", "item_id", "lot", "container")])
    book_query = select(
        _balance.c.warehouse_id,
        _balance.c.location_id,
        _balance.c.item_id,
        _balance.c.lot,
        _balance.c.container,
        _balance.c.condition,
        _balance.c.on_hand,
        _balance.c.allocated,
    )
    if warehouse_id is not None:
        ledger_sum = ledger_sum.where(both.c.warehouse_id == warehouse_id)
        promised_sum = promised_sum.where(_allocation.c.warehouse_id == warehouse_id)
        book_query = book_query.where(_balance.c.warehouse_id == warehouse_id)
    summed = {tuple(row[:6]): int(row[6]) for row in session.execute(ledger_sum)}
    promised = {(*row[:5], Condition.GOOD): int(row[5]) for row in session.execute(promised_sum)}
    book = {tuple(row[:6]): (row[6], row[7]) for row in session.execute(book_query)}
    found = []
    for key in sorted(summed.keys() | promised.keys() | book.keys(), key=str):
        spot = Spot(*key[1:])
        has, held = book.get(key, (0, 0))
        if summed.get(key, 0) != has:
            found.append(Difference(spot, "on_hand", summed.get(key, 0), has))
        if promised.get(key, 0) != held:
            found.append(Difference(spot, "allocated", promised.get(key, 0), held))
    return found
