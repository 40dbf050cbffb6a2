"""Parcels under way 物流跟踪: what carriers say, which are late or lost, damage and complaints, and how carriers do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session

from wms import journal, lookup
from wms.clock import now
from wms.connectors.carriers.tracking import TrackEvent
from wms.db import actor_of
from wms.errors import N_, Refusal
from wms.models import (
    Carrier,
    ClaimKind,
    Order,
    Parcel,
    ParcelClaim,
    ParcelEvent,
    ParcelState,
    ParcelTrack,
    TrackState,
    new_id,
)

T = TrackState
FINAL = (T.SIGNED, T.RETURNED)
PAUSES = {
    T.WAITING: timedelta(hours=2),
    T.COLLECTED: timedelta(hours=4),
    T.IN_TRANSIT: timedelta(hours=4),
    T.OUT_FOR_DELIVERY: timedelta(hours=1),
    T.EXCEPTION: timedelta(hours=4),
}
"""How soon a carrier is asked again; the aggregator locks out who asks for one number more than each half hour."""
TOLD_PAUSE = timedelta(hours=24)
"""The same where we are told by ourselves: only in case that a push was lost."""
LOOKED_BACK = timedelta(days=60)
BEFORE = timedelta(days=2)
"""Numbers come round again: what happened so long before our hand-over happened to another parcel."""
AHEAD = timedelta(days=1)
"""A carrier's clock may be wrong, but news of the day after tomorrow would stop all that comes later."""
SHOWN = 200
GONE = (ParcelState.HANDED_OVER, ParcelState.ACKNOWLEDGED)


class NotHandedOver(Refusal):
    message = N_("Parcel %(parcel)s was not handed over yet. What happens to it here is no claim on the carrier.")
    answer = "look"


class ClaimReason(Refusal):
    message = N_("Say what happened: a few words that the carrier can answer.")


class ClaimThere(Refusal):
    message = N_("That is written down for parcel %(parcel)s already.")
    answer = "look"


def record(session: Session, track: ParcelTrack, events: Sequence[TrackEvent]) -> bool:
    """Keep what is new and move the parcel on; True when its state changed.

    Told twice changes nothing, and told late changes only the history: only a later event moves a parcel, also back.
    ``track`` must be locked.
    """
    at, before = now(), track.state
    fitting = [e for e in events if track.handed_over_at - BEFORE <= e.at <= at + AHEAD]
    known = {
        (row[0], row[1], row[2])
        for row in session.execute(
            select(ParcelEvent.at, ParcelEvent.state, ParcelEvent.text_sha256).where(
                ParcelEvent.warehouse_id == track.warehouse_id, ParcelEvent.parcel_id == track.parcel_id
            )
        )
    }
    for event in fitting:
        state = TrackState(event.state)
        key = (event.at, state, hashlib.sha256(event.words.encode()).hexdigest())
        if key not in known:
            known.add(key)
            session.add(
                ParcelEvent(
                    warehouse_id=track.warehouse_id,
                    id=new_id(),
                    parcel_id=track.parcel_id,
                    at=event.at,
                    state=state,
                    place=event.place,
                    words=event.words,
                    text_sha256=key[2],
                    seen_at=at,
                )
            )
        if track.collected_at is None or event.at < track.collected_at:
            track.collected_at = event.at
        if track.at is None or (event.at, state.rank) > (track.at, track.state.rank):
            track.at, track.state, track.place = event.at, state, event.place or event.words[:200]
    track.signed_at = track.at if track.state is T.SIGNED else None
    track.message, track.facts, track.attempts = "", {}, 0
    track.next_at = next_look(track, at)
    if track.state is not before:
        parcel = session.get_one(Parcel, (track.warehouse_id, track.parcel_id))
        journal.note(session, parcel, "track", before, f"{track.state} {track.place}".strip())
    session.flush()
    return track.state is not before


def next_look(track: ParcelTrack, at: datetime) -> datetime | None:
    """When the carrier is asked again; never when the parcel has arrived, or after two months."""
    if track.state in FINAL or track.handed_over_at < at - LOOKED_BACK:
        return None
    return at + (TOLD_PAUSE if track.subscribed_at else PAUSES[track.state])


def by_number(
    session: Session, carrier_ids: Sequence[int], number: str, for_update: bool = False
) -> ParcelTrack | None:
    """The parcel of a number that one of these carriers has; the newest where a number came round."""
    query = (
        select(ParcelTrack)
        .where(ParcelTrack.number == number, ParcelTrack.carrier_id.in_(carrier_ids))
        .order_by(ParcelTrack.handed_over_at.desc())
        .limit(1)
    )
    return session.execute(
        (query.with_for_update() if for_update else query).execution_options(populate_existing=True)
    ).scalar_one_or_none()


# Late and lost


@dataclass(frozen=True, slots=True)
class Alarm:
    """A parcel somebody should ask its carrier about. kind: lost, exception, late (not collected), silent."""

    kind: str
    track: ParcelTrack
    parcel: Parcel
    order: Order
    carrier: Carrier


def _watched(session: Session) -> list[Carrier]:
    return [carrier for carrier in session.execute(select(Carrier)).scalars() if carrier.tracking.get("company")]


def _kind(carrier: Carrier, at: datetime) -> ColumnElement[str]:
    """The alarm of a parcel of this carrier as SQL, or NULL."""
    last = func.coalesce(ParcelTrack.at, ParcelTrack.handed_over_at)
    return case(
        (last < at - timedelta(days=carrier.lost_days), "lost"),
        (ParcelTrack.state == T.EXCEPTION, "exception"),
        (
            and_(
                ParcelTrack.state == T.WAITING,
                ParcelTrack.handed_over_at < at - timedelta(hours=carrier.collect_hours),
            ),
            "late",
        ),
        (last < at - timedelta(days=carrier.silent_days), "silent"),
        else_=None,
    )


def _under_way(warehouse_id: int, carrier: Carrier, at: datetime) -> ColumnElement[bool]:
    return and_(
        ParcelTrack.warehouse_id == warehouse_id,
        ParcelTrack.carrier_id == carrier.id,
        ParcelTrack.handed_over_at > at - LOOKED_BACK,
        ParcelTrack.state.not_in(FINAL),
    )


def alarm_counts(session: Session, warehouse_id: int) -> dict[str, int]:
    """How many parcels of each kind of alarm."""
    at, found = now(), dict[str, int]()
    for carrier in _watched(session):
        kind = _kind(carrier, at)
        for name, count in session.execute(
            select(kind, func.count()).where(_under_way(warehouse_id, carrier, at), kind.is_not(None)).group_by(kind)
        ):
            found[name] = found.get(name, 0) + int(count)
    return found


def alarms(session: Session, warehouse_id: int) -> list[Alarm]:
    """The parcels to ask about, the worst first and of those the oldest."""
    at, found = now(), list[Alarm]()
    for carrier in _watched(session):
        kind = _kind(carrier, at)
        for name, track, parcel, order in session.execute(
            select(kind, ParcelTrack, Parcel, Order)
            .join(Parcel, and_(Parcel.warehouse_id == ParcelTrack.warehouse_id, Parcel.id == ParcelTrack.parcel_id))
            .join(Order, and_(Order.warehouse_id == Parcel.warehouse_id, Order.id == Parcel.order_id))
            .where(_under_way(warehouse_id, carrier, at), kind.is_not(None))
            .order_by(ParcelTrack.handed_over_at)
            .limit(SHOWN)
        ):
            found.append(Alarm(name, track, parcel, order, carrier))
    worst = ("lost", "exception", "late", "silent")
    return sorted(found, key=lambda alarm: (worst.index(alarm.kind), alarm.track.handed_over_at))[:SHOWN]


def story(session: Session, warehouse_id: int, text: str) -> tuple[Parcel, ParcelTrack | None, list[ParcelEvent]]:
    """A parcel by its waybill or own code, where it is, and what was said of it, the newest first."""
    parcel = lookup.expect(session, warehouse_id, text, "parcel").row
    track = session.execute(
        select(ParcelTrack).where(ParcelTrack.warehouse_id == warehouse_id, ParcelTrack.parcel_id == parcel.id)
    ).scalar_one_or_none()
    events = session.execute(
        select(ParcelEvent)
        .where(ParcelEvent.warehouse_id == warehouse_id, ParcelEvent.parcel_id == parcel.id)
        .order_by(ParcelEvent.at.desc(), ParcelEvent.id.desc())
        .limit(SHOWN)
    ).scalars()
    return parcel, track, list(events)


# Damage and complaints


def claim(session: Session, text: str, kind: str, reason: str) -> ParcelClaim:
    """A person says what was wrong with a parcel that had left."""
    actor = actor_of(session)
    words = re.sub(r"\s+", " ", reason).strip()[:200]
    if kind not in list(ClaimKind) or len(words) < 3:
        raise ClaimReason()
    parcel = lookup.expect(session, actor.warehouse_id, text, "parcel").row
    if parcel.state not in GONE:
        raise NotHandedOver(parcel=parcel.code)
    has = session.execute(
        select(ParcelClaim.id).where(
            ParcelClaim.warehouse_id == actor.warehouse_id,
            ParcelClaim.parcel_id == parcel.id,
            ParcelClaim.kind == ClaimKind(kind),
        )
    ).first()
    if has is not None:
        raise ClaimThere(parcel=parcel.code)
    row = ParcelClaim(
        warehouse_id=actor.warehouse_id,
        id=new_id(),
        parcel_id=parcel.id,
        carrier_id=parcel.carrier_id,
        kind=ClaimKind(kind),
        reason=words,
        operator_id=actor.operator_id,
        at=now(),
    )
    session.add(row)
    session.flush()
    journal.note(session, parcel, "claim", kind, words)
    return row


# How carriers do 物流考核


@dataclass(frozen=True, slots=True)
class Performance:
    """A carrier in some days. ``due``: signed, or longer under way than was promised; ``on_time`` of those."""

    carrier: Carrier
    parcels: int
    due: int
    on_time: int
    damage: int
    complaint: int
    lost: int

    @property
    def on_time_percent(self) -> int | None:
        return round(100 * self.on_time / self.due) if self.due else None

    def per_mille(self, count: int) -> float:
        return round(1000 * count / self.parcels, 1) if self.parcels else 0.0


def performance(session: Session, warehouse_id: int, days: int) -> list[Performance]:
    """A line for each carrier of the parcels handed over in the last days."""
    at, found = now(), list[Performance]()
    since = at - timedelta(days=days)
    claims: dict[tuple[int, str], int] = {
        (carrier_id, kind): int(count)
        for carrier_id, kind, count in session.execute(
            select(ParcelClaim.carrier_id, ParcelClaim.kind, func.count())
            .join(Parcel, and_(Parcel.warehouse_id == ParcelClaim.warehouse_id, Parcel.id == ParcelClaim.parcel_id))
            .where(ParcelClaim.warehouse_id == warehouse_id, Parcel.handed_over_at >= since)
            .group_by(ParcelClaim.carrier_id, ParcelClaim.kind)
        )
    }
    for carrier in session.execute(select(Carrier).order_by(Carrier.name)).scalars():
        parcels, due, on_time = 0, 0, 0
        promise = timedelta(days=carrier.promised_days)
        for state, handed_over_at, signed_at in session.execute(
            select(ParcelTrack.state, ParcelTrack.handed_over_at, ParcelTrack.signed_at).where(
                ParcelTrack.warehouse_id == warehouse_id,
                ParcelTrack.carrier_id == carrier.id,
                ParcelTrack.handed_over_at >= since,
            )
        ):
            parcels += 1
            if state is T.SIGNED and signed_at is not None:
                due += 1
                on_time += signed_at - handed_over_at <= promise
            elif carrier.tracking.get("company"):
                due += at - handed_over_at > promise
        if parcels:
            found.append(
                Performance(
                    carrier,
                    parcels,
                    due,
                    on_time,
                    *(
                        claims.get((carrier.id, kind), 0)
                        for kind in (ClaimKind.DAMAGE, ClaimKind.COMPLAINT, ClaimKind.LOST)
                    ),
                )
            )
    return found
