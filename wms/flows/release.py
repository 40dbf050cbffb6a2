"""Release orders in a wave 波次: allocate first expired first, make the pick tasks, show what is short (R3–R5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from wms import allocation, journal, ledger, together
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, Refusal
from wms.models import (
    LocationKind,
    Order,
    OrderLine,
    OrderState,
    PickStep,
    PickTask,
    Shortage,
    ShortageState,
    Wave,
    WaveState,
    new_id,
)
from wms.order_states import advance, goods, locked, require
from wms.rules import gifts


class NothingToRelease(Refusal):
    message = N_("No order is ready to be released.")
    answer = "look"


class StillShort(Refusal):
    message = N_("Order %(order)s is still short of %(pieces)s pieces. Receive or count first.")
    answer = "look"


class NothingThere(Refusal):
    message = N_("Order %(order)s cannot be parted: all of it is there, or nothing.")
    answer = "look"


@dataclass(slots=True)
class Released:
    """What became of one order: released, or short of so many pieces by SKU."""

    order_no: str
    short: dict[str, int] = field(default_factory=dict)


def open_wave(session: Session) -> Wave:
    warehouse_id = actor_of(session).warehouse_id
    at = now()
    today = session.execute(
        select(func.count())
        .select_from(Wave)
        .where(Wave.warehouse_id == warehouse_id, Wave.code.like(f"{at:%y%m%d}-%"))
    ).scalar_one()
    wave_id = new_id()
    wave = Wave(
        warehouse_id=warehouse_id,
        id=wave_id,
        code=f"{at:%y%m%d}-{today + 1}-{wave_id % 1000:03d}",
        state=WaveState.RELEASED,
        released_at=at,
    )
    session.add(wave)
    session.flush()
    return wave


def ready(session: Session, warehouse_id: int, limit: int = 500) -> list[int]:
    """Ids of the orders that could be released, the most urgent first."""
    return list(
        session.execute(
            select(Order.id)
            .where(Order.warehouse_id == warehouse_id, Order.state == OrderState.READY)
            .order_by(Order.ship_by.is_(None), Order.ship_by, Order.ordered_at, Order.id)
            .limit(limit)
        ).scalars()
    )


def release(session: Session, wave: Wave, order_id: int) -> Released:
    """Promise stock to all of one order and make its pick task; if anything is missing, nothing is promised.

    An order that cannot be sent whole would only keep goods from those that can. It goes on the shortage
    list with what is missing, and a supervisor decides.
    """
    order = locked(session, wave.warehouse_id, order_id)
    require(order, OrderState.READY)
    missing = _without_gifts(session, _promise_all(session, order))
    if missing:
        give_back(session, order)
        for line, pieces in missing:
            assert line.item_id is not None
            session.add(
                Shortage(
                    warehouse_id=order.warehouse_id,
                    id=new_id(),
                    order_id=order.id,
                    order_line_id=line.id,
                    item_id=line.item_id,
                    qty=pieces,
                    reason="no_stock",
                    at=now(),
                )
            )
        advance(session, order, OrderState.SHORT)
        return Released(order.shop_order_no, {line.sku: pieces for line, pieces in missing})
    advance(session, order, OrderState.RELEASED)
    order.wave_id = wave.id
    _make_task(session, order, wave)
    return Released(order.shop_order_no)


def _promise_all(session: Session, order: Order) -> list[tuple[OrderLine, int]]:
    """Allocate what the lines want beyond what they have; returns the lines still missing pieces."""
    has: dict[int, int] = {}
    for allocated in allocation.of_order(session, order.warehouse_id, order.id):
        has[allocated.order_line_id] = has.get(allocated.order_line_id, 0) + allocated.qty
    missing = []
    for line in goods(session, order):
        needed = line.wanted - has.get(line.id, 0)
        if needed > 0 and (left := allocation.promise(session, line, needed)):
            missing.append((line, left))
    return missing


def _without_gifts(session: Session, missing: list[tuple[OrderLine, int]]) -> list[tuple[OrderLine, int]]:
    """Gifts are given while there are any: one that is missing is left out, and the order goes."""
    for line, pieces in missing:
        if gifts.is_gift(line):
            line.cancelled_qty += pieces
            journal.note(session, line, "gift_left_out", "", pieces)
    session.flush()
    return [(line, pieces) for line, pieces in missing if not gifts.is_gift(line)]


def give_back(session: Session, order: Order) -> None:
    """Everything promised on shelves is everybody's again (R3)."""
    for allocated in allocation.of_order(session, order.warehouse_id, order.id, LocationKind.STORAGE):
        ledger.free(session, allocated)


def _make_task(session: Session, order: Order, wave: Wave) -> None:
    task = PickTask(
        warehouse_id=order.warehouse_id, id=new_id(), order_id=order.id, wave_id=wave.id, ship_by=order.ship_by
    )
    session.add(task)
    session.flush()


def shortages(session: Session, warehouse_id: int) -> list[Shortage]:
    return list(
        session.execute(
            select(Shortage)
            .where(Shortage.warehouse_id == warehouse_id, Shortage.state == ShortageState.OPEN)
            .order_by(Shortage.at)
        ).scalars()
    )


def try_again(session: Session, order: Order) -> None:
    """A short order looks for its pieces once more: all found, it is picked (on); else it stays short."""
    require(order, OrderState.SHORT)
    missing = _promise_all(session, order)
    if missing:
        raise StillShort(order=order.shop_order_no, pieces=sum(pieces for _line, pieces in missing))
    _resolve(session, order, "found")
    _go_on(session, order)


def ship_without(session: Session, order: Order) -> None:
    """A supervisor sends a short order without the missing pieces; they are cancelled on the line, by name."""
    require(order, OrderState.SHORT)
    for line, pieces in _promise_all(session, order):
        before = line.cancelled_qty
        line.cancelled_qty += pieces
        journal.note(session, line, "cancelled_qty", before, line.cancelled_qty)
    session.flush()
    _resolve(session, order, "without")
    if not goods(session, order):
        advance(session, order, OrderState.CANCELLED)
        return
    _go_on(session, order)


def ship_the_rest_later(session: Session, order: Order) -> Order:
    """A supervisor sends what is there now; the missing pieces become a part of their own, ready when there are any."""
    require(order, OrderState.SHORT)
    missing = _promise_all(session, order)
    if not missing or sum(line.wanted for line in goods(session, order)) == sum(pieces for _line, pieces in missing):
        raise NothingThere(order=order.shop_order_no)
    part = together.split_off(session, order, missing)
    _resolve(session, order, "later")
    _go_on(session, order)
    return part


def _resolve(session: Session, order: Order, decision: str) -> None:
    session.execute(
        update(Shortage)
        .where(
            Shortage.warehouse_id == order.warehouse_id,
            Shortage.order_id == order.id,
            Shortage.state == ShortageState.OPEN,
        )
        .values(state=ShortageState.RESOLVED, decision=decision)
    )


def _go_on(session: Session, order: Order) -> None:
    """Back to picking when something is to be fetched, else on to packing."""
    to_fetch = allocation.of_order(session, order.warehouse_id, order.id, LocationKind.STORAGE)
    task = session.execute(
        select(PickTask)
        .where(PickTask.warehouse_id == order.warehouse_id, PickTask.order_id == order.id)
        .order_by(PickTask.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    if not to_fetch:
        advance(session, order, OrderState.PICKED)
    elif task is None or order.wave_id is None:
        wave = open_wave(session)
        order.wave_id = wave.id
        advance(session, order, OrderState.RELEASED)
        _make_task(session, order, wave)
    else:
        # The tote already holds part of the order: whoever takes the task starts at the next place.
        task.step, task.operator_id, task.done_at, task.location_id = PickStep.WAITING, None, None, None
        advance(session, order, OrderState.RELEASED)


def requested(session: Session, warehouse_id: int, chosen: Sequence[int]) -> list[int]:
    """The chosen orders that are still ready, or all ready ones when none was chosen."""
    ids = ready(session, warehouse_id)
    wanted = set(chosen)
    result = [i for i in ids if i in wanted] if wanted else ids
    if not result:
        raise NothingToRelease()
    return result
