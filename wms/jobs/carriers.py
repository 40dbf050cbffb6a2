"""Ask the carriers' services for numbers, and take back what was voided, between transactions (R32).

Claim and commit, call, record and commit. A call that ends without an answer is made again with the same key; a
process that dies between the call and the answer leaves a row whose lease ends, and the same key gives the same number.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.connectors import ConnectorError, Recipient
from wms.connectors.carriers import CarrierService, Numbered, ParcelFacts, Sender, service_for
from wms.db import Actor, Database
from wms.errors import N_, Refusal
from wms.flows import pack
from wms.models import (
    Carrier,
    Item,
    Order,
    OrderLine,
    Parcel,
    ParcelState,
    RequestState,
    Warehouse,
    Waybill,
    WaybillRequest,
)
from wms.waybill_numbers import sound

LEASE = timedelta(seconds=60)
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 300.0
LOOK_AGAIN = timedelta(seconds=10)
"""A number whose label could not be queued (no paper, no printer) is tried again so often."""
ALL_WAIT = ("busy", "offline", "timeout")
"""Faults of the service as a whole: its other questions wait as long."""

BROKE = N_("The carrier's connector broke: %(fault)s. It is tried again.")
NOT_SOUND = N_("The carrier gave %(number)s, which is no sound number of %(standard)s. Ask the carrier.")
USED_TWICE = N_("The carrier gave %(number)s, which another parcel has already. Ask the carrier.")

R = RequestState
Connect = Callable[[Mapping[str, Any]], CarrierService]

log = logging.getLogger("wms.carriers")


@dataclass(frozen=True, slots=True)
class Question:
    """One claimed request, copied out of the database so that nothing is open while the carrier is asked."""

    warehouse_id: int
    request_id: int
    attempt: int
    key: str
    cancel: bool
    number: str
    settings: Mapping[str, Any]
    facts: ParcelFacts


def due(database: Database) -> list[tuple[int, int]]:
    """(warehouse, carrier) with something to ask, to cancel, or to print now."""
    with database.reading() as session:
        return [
            (row[0], row[1])
            for row in session.execute(
                select(WaybillRequest.warehouse_id, WaybillRequest.carrier_id)
                .outerjoin(
                    Parcel,
                    and_(Parcel.warehouse_id == WaybillRequest.warehouse_id, Parcel.id == WaybillRequest.parcel_id),
                )
                .where(or_(_claimable(), _to_print()))
                .distinct()
            )
        ]


def _claimable() -> Any:
    at = now()
    unheld = or_(WaybillRequest.leased_until.is_(None), WaybillRequest.leased_until < at)
    return and_(
        or_(
            and_(WaybillRequest.state.in_([R.ASKED, R.RETRY]), WaybillRequest.next_at <= at),
            and_(WaybillRequest.state == R.SENDING, unheld),
            and_(WaybillRequest.state == R.CANCEL, WaybillRequest.next_at <= at, unheld),
        )
    )


def _to_print() -> Any:
    return and_(
        WaybillRequest.state == R.ANSWERED, WaybillRequest.next_at <= now(), Parcel.state == ParcelState.WEIGHED
    )


def serve(
    database: Database,
    warehouse_id: int,
    carrier_id: int,
    *,
    connect: Connect = service_for,
    who: str = "",
    limit: int = 200,
    stopping: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """All that is due at one carrier, one call at a time; one bad parcel never blocks the rest. Counts by outcome."""
    counts: Counter[str] = Counter()
    finish_waiting(database, warehouse_id, carrier_id)
    for request_id in _due_of(database, warehouse_id, carrier_id, limit):
        if stopping():
            break
        question = _claim(database, warehouse_id, request_id, who)
        if question is None:
            continue
        try:
            service = connect(question.settings)
            outcome: Numbered | ConnectorError | None
            if question.cancel:
                service.cancel(question.key, question.number)
                outcome = None
            else:
                outcome = service.take(question.key, question.facts)
        except ConnectorError as error:
            outcome = error
        except Exception as error:
            log.exception("carrier %s broke", question.key)
            outcome = ConnectorError(
                permanent=False, reason="fault", message=BROKE, facts={"fault": type(error).__name__}
            )
        state = _record(database, question, outcome)
        counts[state] += 1
        log.info("%s %s: %s", "cancel" if question.cancel else "number", question.key, state)
        if state == R.ANSWERED:
            finish_waiting(database, warehouse_id, carrier_id)
        if isinstance(outcome, ConnectorError) and outcome.reason in ALL_WAIT:
            break
    return counts


def _due_of(database: Database, warehouse_id: int, carrier_id: int, limit: int) -> list[int]:
    with database.reading() as session:
        return list(
            session.execute(
                select(WaybillRequest.id)
                .where(
                    WaybillRequest.warehouse_id == warehouse_id, WaybillRequest.carrier_id == carrier_id, _claimable()
                )
                # Numbers first: somebody stands at a bench and waits.
                .order_by(WaybillRequest.state == R.CANCEL, WaybillRequest.id)
                .limit(limit)
            ).scalars()
        )


def _claim(database: Database, warehouse_id: int, request_id: int, who: str) -> Question | None:
    at = now()
    with database.transaction(Actor(warehouse_id)) as session:
        claimed = session.execute(
            update(WaybillRequest)
            .where(WaybillRequest.warehouse_id == warehouse_id, WaybillRequest.id == request_id, _claimable())
            .values(
                leased_until=at + LEASE,
                leased_by=who,
                attempts=WaybillRequest.attempts + 1,
            )
            .returning(WaybillRequest.id)
            .execution_options(synchronize_session=False)
        ).scalar_one_or_none()
        if claimed is None:
            return None
        row = session.get_one(WaybillRequest, (warehouse_id, request_id))
        cancel = row.state is R.CANCEL
        if not cancel:
            row.state = R.SENDING
        carrier = session.get_one(Carrier, row.carrier_id)
        return Question(
            warehouse_id,
            row.id,
            row.attempts,
            row.key,
            cancel,
            row.number,
            dict(carrier.service),
            _facts(session, row, carrier),
        )


def _facts(session: Session, row: WaybillRequest, carrier: Carrier) -> ParcelFacts:
    parcel = session.get_one(Parcel, (row.warehouse_id, row.parcel_id))
    order = session.get_one(Order, (row.warehouse_id, parcel.order_id))
    warehouse = session.get_one(Warehouse, row.warehouse_id)
    lines = session.execute(
        select(OrderLine.sku, func.sum(OrderLine.qty - OrderLine.cancelled_qty), func.max(Item.weight_g))
        .outerjoin(Item, Item.id == OrderLine.item_id)
        .where(
            OrderLine.warehouse_id == row.warehouse_id,
            OrderLine.order_id == order.id,
            OrderLine.kind == "goods",
            OrderLine.qty > OrderLine.cancelled_qty,
        )
        .group_by(OrderLine.sku)
        .order_by(OrderLine.sku)
    ).all()
    known = {each.name for each in fields(Recipient)}
    to = {name: str(value or "") for name, value in order.recipient.items() if name in known}
    return ParcelFacts(
        parcel_no=parcel.code,
        order_no=order.shop_order_no,
        carrier_code=carrier.code,
        weight_g=parcel.weight_g or sum(int(qty) * (weight or 0) for _sku, qty, weight in lines),
        pieces=sum(int(qty) for _sku, qty, _weight in lines),
        contents="; ".join(f"{sku} ×{qty}" for sku, qty, _weight in lines)[:200],
        label_size=carrier.label_size,
        recipient=Recipient(**to),
        sender=Sender(warehouse.sender_name, warehouse.sender_phone, warehouse.sender_region, warehouse.sender_address),
    )


def _record(database: Database, question: Question, outcome: Numbered | ConnectorError | None) -> str:
    """Write down what became of a call, unless somebody took the request over meanwhile."""
    at = now()
    with database.transaction(Actor(question.warehouse_id)) as session:
        row = session.get_one(WaybillRequest, (question.warehouse_id, question.request_id), with_for_update=True)
        if row.attempts != question.attempt or row.state not in (R.SENDING, R.CANCEL):
            return "overtaken"
        before, row.leased_until, row.leased_by = row.state, None, ""
        if isinstance(outcome, Numbered):
            _numbered(session, row, outcome)
        elif outcome is None:
            row.state, row.answered_at, row.message, row.reason = R.CANCELLED, at, "", ""
        else:
            _went_wrong(session, row, outcome, question.cancel)
        journal.note(session, row, "state", before, f"{row.state} {row.number or row.reason}".strip())
        return row.state.value


def _numbered(session: Session, row: WaybillRequest, answer: Numbered) -> None:
    at = now()
    row.number, row.sort_code, row.hub = answer.number, answer.sort_code, answer.hub
    row.provider, row.document, row.answered_at, row.next_at = answer.provider, answer.document or None, at, at
    row.message, row.reason, row.facts = "", "", {}
    if row.state is R.CANCEL:
        return  # voided while the carrier was asked: what it gave is taken back
    carrier = session.get_one(Carrier, row.carrier_id)
    other = session.execute(
        select(Waybill.id).where(Waybill.carrier_id == row.carrier_id, Waybill.number == row.number)
    ).first()
    if carrier.check_standard and not sound(row.number, carrier.check_standard):
        row.state, row.reason, row.message = R.REFUSED, "not_sound", NOT_SOUND
        row.facts = {"number": row.number, "standard": carrier.check_standard}
    elif other is not None:
        row.state, row.reason, row.message, row.facts = R.REFUSED, "used_twice", USED_TWICE, {"number": row.number}
    else:
        row.state = R.ANSWERED


def _went_wrong(session: Session, row: WaybillRequest, error: ConnectorError, cancel: bool) -> None:
    at = now()
    row.reason, row.message = error.reason[:40], error.message
    row.facts = {name: value if isinstance(value, int | float) else str(value) for name, value in error.facts.items()}
    if row.state is R.CANCEL and not cancel:
        row.next_at = at  # voided while it was asked, and nobody knows what came of it: it is cancelled by its key
        return
    if error.permanent and not (cancel and error.reason in ("unauthorised", "missing_setting")):
        row.state = R.KEPT if cancel else R.REFUSED
        return
    row.state = R.CANCEL if cancel else R.RETRY
    row.next_at = at + _pause(row.attempts, error.retry_after_s)
    if error.reason in ALL_WAIT:
        session.execute(
            update(WaybillRequest)
            .where(
                WaybillRequest.warehouse_id == row.warehouse_id,
                WaybillRequest.carrier_id == row.carrier_id,
                WaybillRequest.state.in_([R.ASKED, R.RETRY, R.CANCEL]),
                WaybillRequest.next_at < row.next_at,
                WaybillRequest.id != row.id,
            )
            .values(next_at=row.next_at)
            .execution_options(synchronize_session=False)
        )


def _pause(attempts: int, hint_s: float | None) -> timedelta:
    """The service's own hint, else doubling from two seconds to five minutes: a parcel lies on the bench."""
    if hint_s is not None:
        return timedelta(seconds=hint_s + random.uniform(0, 0.5))
    return timedelta(
        seconds=min(FIRST_RETRY_S * 2.0 ** min(attempts - 1, 10), LONGEST_RETRY_S) * random.uniform(0.8, 1.2)
    )


def finish_waiting(database: Database, warehouse_id: int, carrier_id: int) -> int:
    """Queue the labels of weighed parcels whose number is there; returns how many. Also what a dead worker left."""
    with database.reading() as session:
        waiting = session.execute(
            select(WaybillRequest.id, WaybillRequest.parcel_id)
            .join(
                Parcel,
                and_(Parcel.warehouse_id == WaybillRequest.warehouse_id, Parcel.id == WaybillRequest.parcel_id),
            )
            .where(WaybillRequest.warehouse_id == warehouse_id, WaybillRequest.carrier_id == carrier_id, _to_print())
            .order_by(Parcel.weighed_at)
        ).all()
    printed = 0
    for request_id, parcel_id in waiting:
        try:
            with database.transaction(Actor(warehouse_id)) as session:
                printed += pack.finish(session, warehouse_id, parcel_id) is not None
        except Refusal as refusal:
            with database.transaction(Actor(warehouse_id)) as session:
                row = session.get_one(WaybillRequest, (warehouse_id, request_id), with_for_update=True)
                row.message, row.facts = refusal.message, {name: str(value) for name, value in refusal.facts.items()}
                row.reason, row.next_at = "label", now() + LOOK_AGAIN
    return printed


def free(database: Database, gone: Callable[[str], bool]) -> int:
    """Give back what workers that are no more were asking, so that nobody waits for their leases; returns how many."""
    with database.reading() as session:
        held = session.execute(
            select(WaybillRequest.warehouse_id, WaybillRequest.id, WaybillRequest.leased_by).where(
                WaybillRequest.state.in_([R.SENDING, R.CANCEL]), WaybillRequest.leased_by != ""
            )
        ).all()
    dead = [row for row in held if gone(row.leased_by)]
    for warehouse_id, request_id, who in dead:
        with database.transaction(Actor(warehouse_id)) as session:
            session.execute(
                update(WaybillRequest)
                .where(
                    WaybillRequest.warehouse_id == warehouse_id,
                    WaybillRequest.id == request_id,
                    WaybillRequest.leased_by == who,
                )
                .values(leased_until=None, leased_by="")
                .execution_options(synchronize_session=False)
            )
    return len(dead)
