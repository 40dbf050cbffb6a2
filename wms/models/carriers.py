"""Where waybill numbers come from 单号池, what a parcel costs 运费, and what the carriers say of it 物流轨迹."""

from __future__ import annotations

import enum
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, state_column, within
from wms.models.people import SmallId


class WaybillStock(InWarehouse, Base):
    """A single number bought from a carrier; taken once, by one parcel (R33)."""

    __tablename__ = "waybill_stock"
    __table_args__ = (
        *within("parcel", "parcel_id"),
        UniqueConstraint("carrier_id", "number"),
        Index("ix_waybill_stock_free", "warehouse_id", "carrier_id", "taken_at", "id"),
    )
    carrier_id: Mapped[int] = mapped_column(ForeignKey("carrier.id"))
    number: Mapped[str] = mapped_column(String(40))
    added_at: Mapped[datetime]
    taken_at: Mapped[datetime | None]
    parcel_id: Mapped[int | None]


class RequestState(enum.StrEnum):
    """asked, sending, retry: the carrier will be (or is being) asked. answered: its number is here; used: it is the
    parcel's waybill. refused: a person must act. cancel: to be cancelled at the carrier; cancelled; kept: it will not.
    """

    ASKED = "asked"
    SENDING = "sending"
    RETRY = "retry"
    ANSWERED = "answered"
    USED = "used"
    REFUSED = "refused"
    CANCEL = "cancel"
    CANCELLED = "cancelled"
    KEPT = "kept"


OVER = (RequestState.CANCEL, RequestState.CANCELLED, RequestState.KEPT)
"""A request in one of these gives no number any more."""


class WaybillRequest(InWarehouse, Base):
    """R32: a number asked of a carrier's service. ``key`` stays the same however often the call is made.

    A parcel has one request that counts. ``turn`` goes up only when the one before was void: never for an answer
    that is not known.
    """

    __tablename__ = "waybill_request"
    __table_args__ = (
        *within("parcel", "parcel_id"),
        UniqueConstraint("warehouse_id", "parcel_id", "turn"),
        Index(
            "uq_waybill_request_one_live",
            "warehouse_id",
            "parcel_id",
            unique=True,
            sqlite_where=text("state NOT IN ('cancel', 'cancelled', 'kept')"),
            postgresql_where=text("state NOT IN ('cancel', 'cancelled', 'kept')"),
        ),
        Index("ix_waybill_request_due", "state", "next_at"),
    )
    parcel_id: Mapped[int]
    carrier_id: Mapped[int] = mapped_column(ForeignKey("carrier.id"))
    turn: Mapped[int] = mapped_column(Integer)
    key: Mapped[str] = mapped_column(String(64))
    state: Mapped[RequestState] = state_column(RequestState, default=RequestState.ASKED)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    asked_at: Mapped[datetime]
    next_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    leased_by: Mapped[str] = mapped_column(String(80), default="")
    answered_at: Mapped[datetime | None]
    number: Mapped[str] = mapped_column(String(40), default="")
    sort_code: Mapped[str] = mapped_column(String(40), default="")
    hub: Mapped[str] = mapped_column(String(80), default="")
    provider: Mapped[str] = mapped_column(String(24), default="")
    document: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    reason: Mapped[str] = mapped_column(String(40), default="")
    message: Mapped[str] = mapped_column(Text, default="")
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class CarrierPrice(Base):
    """A line of a price table 快递价格表: grams, and money in minor units (R7).

    ``region`` is a province without its ending, or ``*`` for all that are not named. A parcel of ``min_g`` to
    ``max_g`` costs ``first_minor`` up to ``first_g``, and ``step_minor`` for each ``step_g`` begun above it.
    """

    __tablename__ = "carrier_price"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "carrier_id", "region", "valid_from", "min_g"),
        CheckConstraint("first_g > 0 AND step_g > 0", name="weights"),
        CheckConstraint("first_minor >= 0 AND step_minor >= 0", name="money"),
        CheckConstraint("min_g >= 0 AND max_g > min_g", name="bracket"),
    )
    id: Mapped[int] = mapped_column(SmallId, primary_key=True)
    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouse.id"))
    carrier_id: Mapped[int] = mapped_column(ForeignKey("carrier.id"))
    region: Mapped[str] = mapped_column(String(40))
    first_g: Mapped[int] = mapped_column(Integer)
    first_minor: Mapped[int]
    step_g: Mapped[int] = mapped_column(Integer)
    step_minor: Mapped[int]
    min_g: Mapped[int] = mapped_column(Integer, default=0)
    max_g: Mapped[int] = mapped_column(Integer)
    valid_from: Mapped[date] = mapped_column(Date)


class TrackState(enum.StrEnum):
    """How far a parcel is; the order of the words is the usual order of events."""

    WAITING = "waiting"
    COLLECTED = "collected"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    EXCEPTION = "exception"
    RETURNED = "returned"
    SIGNED = "signed"

    @property
    def rank(self) -> int:
        return list(TrackState).index(self)


class ParcelTrack(InWarehouse, Base):
    """Where a handed-over parcel is now, and when its carrier is asked again. Written with the hand-over."""

    __tablename__ = "parcel_track"
    __table_args__ = (
        *within("parcel", "parcel_id"),
        UniqueConstraint("warehouse_id", "parcel_id"),
        Index("ix_parcel_track_next", "next_at"),
        Index("ix_parcel_track_number", "number"),
        Index("ix_parcel_track_carrier", "warehouse_id", "carrier_id", "handed_over_at"),
    )
    parcel_id: Mapped[int]
    carrier_id: Mapped[int] = mapped_column(ForeignKey("carrier.id"))
    number: Mapped[str] = mapped_column(String(40))
    handed_over_at: Mapped[datetime]
    state: Mapped[TrackState] = state_column(TrackState, default=TrackState.WAITING)
    at: Mapped[datetime | None]
    place: Mapped[str] = mapped_column(String(200), default="")
    collected_at: Mapped[datetime | None]
    signed_at: Mapped[datetime | None]
    next_at: Mapped[datetime | None]
    """None: not to be asked any more."""
    leased_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    subscribed_at: Mapped[datetime | None]
    message: Mapped[str] = mapped_column(Text, default="")
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class ParcelEvent(InWarehouse, Base):
    """One thing the carrier said of a parcel; told twice it is kept once."""

    __tablename__ = "parcel_event"
    __table_args__ = (
        *within("parcel", "parcel_id"),
        UniqueConstraint("warehouse_id", "parcel_id", "at", "state", "text_sha256"),
    )
    parcel_id: Mapped[int]
    at: Mapped[datetime]
    state: Mapped[TrackState] = state_column(TrackState)
    place: Mapped[str] = mapped_column(String(200), default="")
    words: Mapped[str] = mapped_column(String(400), default="")
    text_sha256: Mapped[str] = mapped_column(String(64))
    seen_at: Mapped[datetime]


class ClaimKind(enum.StrEnum):
    DAMAGE = "damage"
    COMPLAINT = "complaint"
    LOST = "lost"


class ParcelClaim(InWarehouse, Base):
    """Damage, a complaint or a loss, entered by a person with the reason; one of a kind a parcel."""

    __tablename__ = "parcel_claim"
    __table_args__ = (*within("parcel", "parcel_id"), UniqueConstraint("warehouse_id", "parcel_id", "kind"))
    parcel_id: Mapped[int]
    carrier_id: Mapped[int] = mapped_column(ForeignKey("carrier.id"))
    kind: Mapped[ClaimKind] = state_column(ClaimKind)
    reason: Mapped[str] = mapped_column(String(200))
    operator_id: Mapped[int | None]
    at: Mapped[datetime]
