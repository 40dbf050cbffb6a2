"""Ask carriers where the parcels are, at a pace that they bear, between transactions."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, or_, select, update

from wms.clock import now
from wms.connectors import ConnectorError
from wms.connectors.carriers.tracking import Tracker, TrackEvent, tracker_for
from wms.db import Actor, Database
from wms.errors import N_
from wms.flows import tracking
from wms.models import Carrier, Order, Parcel, ParcelTrack

PER_PASS = 20
"""So many questions in one pass of the worker, one after the other."""
LEASE = timedelta(minutes=5)
FIRST_RETRY_S = 300.0
LONGEST_RETRY_S = 6 * 3600.0
ALL_WAIT = ("busy", "offline", "timeout", "wrong_keys", "unauthorised", "missing_setting", "bad_address")
"""Faults that meet every parcel of the carrier: they wait together, and nobody is asked a hundred times in vain."""

BROKE = N_("The carrier's connector broke: %(fault)s. It is tried again.")
Connect = Callable[[Mapping[str, Any]], Tracker]

log = logging.getLogger("wms.tracking")


@dataclass(frozen=True, slots=True)
class Question:
    """One claimed parcel, copied out of the database so that nothing is open while its carrier is asked."""

    warehouse_id: int
    track_id: int
    attempt: int
    number: str
    phone: str
    subscribe: bool
    settings: Mapping[str, Any]


def ask_due(
    database: Database,
    *,
    connect: Connect = tracker_for,
    limit: int = PER_PASS,
    stopping: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Ask about the parcels whose time has come; counts by outcome: moved, same, told (subscribed), failed."""
    counts: Counter[str] = Counter()
    for warehouse_id, track_id in _due(database, limit):
        if stopping():
            break
        question = _claim(database, warehouse_id, track_id)
        if question is None:
            continue
        events: tuple[TrackEvent, ...] = ()
        wrong: ConnectorError | None = None
        try:
            tracker = connect(question.settings)
            if question.subscribe:
                tracker.subscribe(question.number, question.phone)
            else:
                events = tracker.query(question.number, question.phone)
        except ConnectorError as error:
            wrong = error
        except Exception as error:
            log.exception("tracking %s broke", question.number)
            wrong = ConnectorError(
                permanent=False, reason="fault", message=BROKE, facts={"fault": type(error).__name__}
            )
        counts[_record(database, question, events, wrong)] += 1
    return counts


def _due(database: Database, limit: int) -> list[tuple[int, int]]:
    at = now()
    with database.reading() as session:
        return [
            (row[0], row[1])
            for row in session.execute(
                select(ParcelTrack.warehouse_id, ParcelTrack.id)
                .where(
                    ParcelTrack.next_at <= at, or_(ParcelTrack.leased_until.is_(None), ParcelTrack.leased_until < at)
                )
                .order_by(ParcelTrack.next_at)
                .limit(limit)
            )
        ]


def _claim(database: Database, warehouse_id: int, track_id: int) -> Question | None:
    at = now()
    with database.transaction(Actor(warehouse_id)) as session:
        claimed: int = session.execute(
            update(ParcelTrack)
            .where(
                ParcelTrack.warehouse_id == warehouse_id,
                ParcelTrack.id == track_id,
                ParcelTrack.next_at <= at,
                or_(ParcelTrack.leased_until.is_(None), ParcelTrack.leased_until < at),
            )
            .values(leased_until=at + LEASE, attempts=ParcelTrack.attempts + 1)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
        if claimed != 1:
            return None
        track = session.get_one(ParcelTrack, (warehouse_id, track_id))
        carrier = session.get_one(Carrier, track.carrier_id)
        if not carrier.tracking.get("company"):
            track.next_at, track.leased_until = None, None  # nobody is asked of this carrier any more
            return None
        parcel = session.get_one(Parcel, (warehouse_id, track.parcel_id))
        order = session.get_one(Order, (warehouse_id, parcel.order_id))
        digits = "".join(sign for sign in str(order.recipient.get("phone") or "") if sign.isdigit())
        subscribe = bool(carrier.tracking.get("callback")) and track.subscribed_at is None
        return Question(warehouse_id, track_id, track.attempts, track.number, digits, subscribe, dict(carrier.tracking))


def _record(
    database: Database, question: Question, events: tuple[TrackEvent, ...], wrong: ConnectorError | None
) -> str:
    at = now()
    with database.transaction(Actor(question.warehouse_id)) as session:
        track = session.get_one(ParcelTrack, (question.warehouse_id, question.track_id), with_for_update=True)
        if wrong is None:
            # Events are good whoever asked for them; only the pace is this question's to set.
            if question.subscribe:
                track.subscribed_at, track.attempts, track.message = at, 0, ""
                track.leased_until, track.next_at = None, tracking.next_look(track, at)
                return "told"
            moved = tracking.record(session, track, events)
            track.leased_until = None
            return "moved" if moved else "same"
        if track.attempts != question.attempt:
            return "overtaken"
        track.leased_until, track.message = None, wrong.message
        track.facts = {name: str(value) for name, value in wrong.facts.items()}
        pause = wrong.retry_after_s or min(FIRST_RETRY_S * 2.0 ** min(track.attempts - 1, 10), LONGEST_RETRY_S)
        track.next_at = at + timedelta(seconds=pause * random.uniform(1.0, 1.2))
        if wrong.reason in ALL_WAIT:
            session.execute(
                update(ParcelTrack)
                .where(
                    and_(
                        ParcelTrack.warehouse_id == track.warehouse_id,
                        ParcelTrack.carrier_id == track.carrier_id,
                        ParcelTrack.next_at < track.next_at,
                        ParcelTrack.id != track.id,
                    )
                )
                .values(next_at=track.next_at)
                .execution_options(synchronize_session=False)
            )
        return "failed"
