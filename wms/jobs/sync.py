"""Push shipped parcels to their shops, exactly once each, and say in the morning what did not go (R37)."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.connectors import Connector, ConnectorError, Corrects, Pushed, Shipment, connector_for
from wms.db import Actor, Database
from wms.errors import N_
from wms.jobs import lanes
from wms.models import (
    Carrier,
    LineKind,
    Order,
    OrderLine,
    OrderState,
    Parcel,
    ParcelLine,
    ParcelState,
    Push,
    PushState,
    Shop,
    Waybill,
    WaybillState,
)
from wms.order_states import advance as advance_order
from wms.rules import gifts

LEASE = timedelta(minutes=5)
FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=1)
GIVE_UP_AFTER = 20

LOOK_AGAIN = timedelta(seconds=30)
CORRECT_BY_HAND = N_(
    "This shop cannot change a number that it was told. Change %(wrong)s of order %(order)s to %(waybill)s "
    "there by hand."
)
OTHERS_TO_COME = N_("The shop is told when the last parcel of this order has left.")
ONLY_GIFTS = N_("Only gifts are in this parcel; the shop is not told of it.")
BROKE = N_("The connector broke: %(fault)s")

log = logging.getLogger("wms.sync")


@dataclass(slots=True)
class Report:
    """What a run did: pushes by outcome, and the lines for people."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.counts["conflict"] or self.counts["dead"] or self.counts["retry"])


def push_outstanding(
    database: Database,
    *,
    connect: Callable[[str, dict[str, Any]], Connector] = connector_for,
    limit: int = 1000,
    all_now: bool = False,
    progress: Callable[[int], None] = lambda _n: None,
) -> Report:
    """Push what is due, one parcel at a time; one bad order never blocks the rest.

    ``all_now`` takes those that wait for a later retry as well (the nightly run). A row left in ``sending`` by
    a process that died is taken up again when its lease ends: the connector reads the order back first, so a
    number that arrived is not sent twice.
    """
    report = Report()
    connectors: dict[int, Connector] = {}
    shut = lanes.paused(database)
    for number, (warehouse_id, push_id, shop_id) in enumerate(_due(database, limit, all_now)):
        if shop_id in shut or not _claim(database, warehouse_id, push_id):
            continue
        what = f"{warehouse_id}-{push_id}"
        try:
            shop, shipment, complete, wrong = _shipment(database, warehouse_id, push_id)
            what = f"{shop.code} {shipment.shop_order_no} {shipment.waybill_no}"
            if shop.id not in connectors:
                connectors[shop.id] = lanes.reach(database, shop, connect)
            if not shipment.lines:
                report.counts[_record(database, warehouse_id, push_id, Pushed("acknowledged", ONLY_GIFTS)).value] += 1
                continue
            if connectors[shop.id].grain == "order" and not complete:
                # One call speaks of the whole order, and the shop takes it once: with its last parcel.
                _put_back(database, warehouse_id, push_id, OTHERS_TO_COME, {})
                report.counts["waits"] += 1
                continue
            outcome: Pushed | ConnectorError = _tell(connectors[shop.id], shipment, wrong)
        except ConnectorError as error:
            outcome = error
            if error.reason in lanes.SHOP_WIDE:
                # It says nothing of this parcel: the shop's lane rests, its pushes keep their turn.
                lanes.failed(database, shop, error)
                shut.add(shop_id)
                _put_back(database, warehouse_id, push_id, error.message, plain(error.facts))
                report.counts["paused"] += 1
                report.lines.append(f"{what}: paused: {error}")
                continue
        except Exception as error:
            log.exception("push %s broke", what)
            outcome = ConnectorError(
                permanent=False, reason="fault", message=BROKE, facts={"fault": type(error).__name__}
            )
        state = _record(database, warehouse_id, push_id, outcome)
        report.counts[state.value] += 1
        if state is not PushState.ACKNOWLEDGED:
            said = outcome.text if isinstance(outcome, Pushed) else str(outcome)
            report.lines.append(f"{what}: {state.value}: {said}")
        progress(number + 1)
    return report


def _tell(connector: Connector, shipment: Shipment, wrong: str) -> Pushed:
    """Tell the shop of a parcel, or put its right number in the place of a ``wrong`` one that was told before."""
    if not wrong:
        return connector.push_shipment(shipment)
    if not isinstance(connector, Corrects):
        facts = {"order": shipment.shop_order_no, "wrong": wrong, "waybill": shipment.waybill_no}
        return Pushed("conflict", CORRECT_BY_HAND, facts)
    return connector.correct_shipment(shipment, wrong)


def _due(database: Database, limit: int, all_now: bool) -> list[tuple[int, int, int]]:
    at = now()
    pending = Push.state == PushState.PENDING
    waiting = [
        pending if all_now else and_(pending, Push.next_at <= at),
        and_(Push.state == PushState.SENDING, Push.leased_until < at),
    ]
    retry = Push.state == PushState.RETRY
    waiting.append(retry if all_now else and_(retry, Push.next_at <= at))
    with database.reading() as session:
        return [
            (row[0], row[1], row[2])
            for row in session.execute(
                select(Push.warehouse_id, Push.id, Push.shop_id).where(or_(*waiting)).order_by(Push.id).limit(limit)
            )
        ]


def _claim(database: Database, warehouse_id: int, push_id: int) -> bool:
    at = now()
    with database.transaction(Actor(warehouse_id)) as session:
        claimed: int = session.execute(
            update(Push)
            .where(
                Push.warehouse_id == warehouse_id,
                Push.id == push_id,
                or_(
                    Push.state.in_([PushState.PENDING, PushState.RETRY]),
                    and_(Push.state == PushState.SENDING, Push.leased_until < at),
                ),
            )
            .values(state=PushState.SENDING, leased_until=at + LEASE, attempts=Push.attempts + 1)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
    return claimed == 1


def _put_back(database: Database, warehouse_id: int, push_id: int, reason: str, facts: dict[str, Any]) -> None:
    """The push keeps its turn: nothing was said about its parcel, so it counts as no try."""
    with database.transaction(Actor(warehouse_id)) as session:
        push = session.get_one(Push, (warehouse_id, push_id), with_for_update=True)
        push.state, push.leased_until, push.attempts = PushState.PENDING, None, max(push.attempts - 1, 0)
        push.reason, push.evidence, push.next_at = reason, facts, now() + LOOK_AGAIN


def _shipment(database: Database, warehouse_id: int, push_id: int) -> tuple[Shop, Shipment, bool, str]:
    """The shop, the parcel with the order's others that left, whether the whole order has left, a number to correct."""
    with database.reading() as session:
        push = session.get_one(Push, (warehouse_id, push_id))
        order = session.get_one(Order, (warehouse_id, push.order_id))
        holding = (
            select(ParcelLine.parcel_id)
            .join(
                OrderLine,
                and_(OrderLine.warehouse_id == ParcelLine.warehouse_id, OrderLine.id == ParcelLine.order_line_id),
            )
            .where(ParcelLine.warehouse_id == warehouse_id, ParcelLine.qty > 0, OrderLine.home_id == order.id)
        )
        left = session.execute(
            select(Parcel)
            .where(
                Parcel.warehouse_id == warehouse_id,
                or_(Parcel.id == push.parcel_id, Parcel.id.in_(holding)),
                Parcel.state.in_([ParcelState.HANDED_OVER, ParcelState.ACKNOWLEDGED]),
            )
            .order_by(Parcel.id)
        ).scalars()
        told = {parcel.id: _of_parcel(session, order, parcel) for parcel in left}
        mine = told.pop(push.parcel_id)
        others = tuple(each for each in told.values() if each.lines)
        complete = _complete(session, order)
        mine = replace(mine, others=others, complete=complete, told=order.raw)
        return session.get_one(Shop, push.shop_id), mine, complete, push.wrong_no


def _complete(session: Session, order: Order) -> bool:
    """Whether all that the shop's order still wants has left, by whichever orders and parcels."""
    waiting = session.execute(
        select(func.count())
        .select_from(OrderLine)
        .where(
            OrderLine.warehouse_id == order.warehouse_id,
            OrderLine.home_id == order.id,
            OrderLine.kind == LineKind.GOODS,
            OrderLine.line_ref.not_like(f"{gifts.PREFIX}%"),
            OrderLine.qty - OrderLine.cancelled_qty > OrderLine.shipped_qty,
        )
    ).scalar_one()
    return not waiting


def _of_parcel(session: Session, order: Order, parcel: Parcel) -> Shipment:
    warehouse_id = parcel.warehouse_id
    carrier = session.get_one(Carrier, parcel.carrier_id)
    number = session.execute(
        select(Waybill.number).where(
            Waybill.warehouse_id == warehouse_id, Waybill.parcel_id == parcel.id, Waybill.state == WaybillState.LIVE
        )
    ).scalar_one()
    lines = tuple(
        (row[0], row[1], int(row[2]))
        for row in session.execute(
            select(OrderLine.line_ref, OrderLine.sku, func.sum(ParcelLine.qty))
            .join(
                ParcelLine,
                and_(ParcelLine.warehouse_id == OrderLine.warehouse_id, ParcelLine.order_line_id == OrderLine.id),
            )
            .where(
                ParcelLine.warehouse_id == warehouse_id,
                ParcelLine.parcel_id == parcel.id,
                ParcelLine.qty > 0,
                OrderLine.home_id == order.id,
                OrderLine.line_ref.not_like(f"{gifts.PREFIX}%"),  # our gifts are no lines of the shop's order
            )
            .group_by(OrderLine.line_ref, OrderLine.sku)
            .order_by(OrderLine.line_ref)
        )
    )
    assert parcel.handed_over_at is not None
    return Shipment(
        order.shop_order_no,
        parcel.code,
        # The same parcel is a delivery of its own for each order that was merged into it.
        f"{warehouse_id}-{parcel.code}" + ("" if order.id == parcel.order_id else f"-{order.id}"),
        carrier.code,
        carrier.name,
        number,
        parcel.handed_over_at,
        lines,
    )


def _record(database: Database, warehouse_id: int, push_id: int, outcome: Pushed | ConnectorError) -> PushState:
    at = now()
    with database.transaction(Actor(warehouse_id)) as session:
        push = session.get_one(Push, (warehouse_id, push_id), with_for_update=True)
        push.leased_until = None
        if isinstance(outcome, Pushed):
            push.reason, push.evidence = outcome.answer, plain(outcome.evidence)
            push.state = PushState(outcome.state)
            if push.state is PushState.ACKNOWLEDGED:
                push.acknowledged_at, push.wrong_no = at, ""
                _acknowledge(session, push)
        else:
            push.reason, push.evidence = outcome.message, plain(outcome.facts)
            if outcome.permanent:
                push.state = PushState.CONFLICT
            elif push.attempts >= GIVE_UP_AFTER:
                push.state = PushState.DEAD
            else:
                push.state, push.next_at = PushState.RETRY, at + retry_in(push.attempts, outcome.retry_after_s)
        journal.note(session, push, "state", "sending", push.state)
        return push.state


def _acknowledge(session: Session, push: Push) -> None:
    """The parcel is acknowledged with the last of its orders, an order with the last of its parcels."""
    session.flush()
    parcel = session.get_one(Parcel, (push.warehouse_id, push.parcel_id), with_for_update=True)
    if not _unacknowledged(session, Push.warehouse_id == push.warehouse_id, Push.parcel_id == parcel.id):
        parcel.state = ParcelState.ACKNOWLEDGED
        session.flush()
    for order_id in {push.order_id, parcel.order_id}:
        order = session.get_one(Order, (push.warehouse_id, order_id))
        waiting = session.execute(
            select(func.count())
            .select_from(Parcel)
            .where(
                Parcel.warehouse_id == push.warehouse_id,
                Parcel.order_id == order_id,
                Parcel.state.not_in([ParcelState.ACKNOWLEDGED, ParcelState.VOID]),
            )
        ).scalar_one() or _unacknowledged(session, Push.warehouse_id == push.warehouse_id, Push.order_id == order_id)
        if not waiting and order.state is OrderState.SHIPPED:
            advance_order(session, order, OrderState.ACKNOWLEDGED)


def _unacknowledged(session: Session, *which: ColumnElement[bool]) -> int:
    return int(
        session.execute(
            select(func.count()).select_from(Push).where(*which, Push.state != PushState.ACKNOWLEDGED)
        ).scalar_one()
    )


def plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        str(k): v if isinstance(v, (int, float, bool, str, type(None), list, dict)) else str(v)
        for k, v in facts.items()
    }


def retry_in(attempts: int, hint_s: float | None) -> timedelta:
    """The shop's own hint, else doubling from 30 s to an hour, with jitter so that shops are not hit in step."""
    if hint_s is not None:
        return timedelta(seconds=hint_s + random.uniform(0, 3))
    base_s = min(FIRST_RETRY.total_seconds() * 2.0 ** min(attempts - 1, 10), LONGEST_RETRY.total_seconds())
    return timedelta(seconds=base_s * random.uniform(0.8, 1.2))


def reconcile(database: Database) -> list[tuple[str, dict[str, int]]]:
    """By shop: parcels shipped here against what the shops have acknowledged, and what still hangs and how.

    A parcel of merged orders counts for each of them: that is what the shop knows.
    """
    pairs = (
        select(ParcelLine.warehouse_id, ParcelLine.parcel_id, OrderLine.home_id)
        .join(
            OrderLine,
            and_(OrderLine.warehouse_id == ParcelLine.warehouse_id, OrderLine.id == ParcelLine.order_line_id),
        )
        .where(ParcelLine.qty > 0, OrderLine.line_ref.not_like(f"{gifts.PREFIX}%"))
        .distinct()
        .subquery()
    )
    with database.reading() as session:
        rows = session.execute(
            select(Shop.code, Push.state, func.count())
            .join(Shop, Shop.id == Push.shop_id)
            .group_by(Shop.code, Push.state)
            .order_by(Shop.code)
        ).all()
        shipped = {
            row[0]: row[1]
            for row in session.execute(
                select(Shop.code, func.count())
                .select_from(Parcel)
                .join(Order, and_(Order.warehouse_id == Parcel.warehouse_id, Order.id == Parcel.order_id))
                .join(Shop, Shop.id == Order.shop_id)
                .outerjoin(pairs, and_(pairs.c.warehouse_id == Parcel.warehouse_id, pairs.c.parcel_id == Parcel.id))
                .where(Parcel.state.in_([ParcelState.HANDED_OVER, ParcelState.ACKNOWLEDGED]))
                .group_by(Shop.code)
            )
        }
    table: dict[str, dict[str, int]] = {code: {"shipped": int(n)} for code, n in shipped.items()}
    for code, state, count in rows:
        table.setdefault(code, {"shipped": 0})[state.value] = int(count)
    return sorted(table.items())


def outstanding(database: Database) -> int:
    with database.reading() as session:
        return int(
            session.execute(
                select(func.count())
                .select_from(Push)
                .where(Push.state.in_([PushState.PENDING, PushState.SENDING, PushState.RETRY]))
            ).scalar_one()
        )
