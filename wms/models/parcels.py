"""Carriers 快递公司, waybills 面单, parcels 包裹, manifests 交接单 and the pushes 回传 that follow."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
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


class NumbersFrom(enum.StrEnum):
    """Where a carrier's waybill numbers come from: our own range, numbers bought of it, or its service by network."""

    OWN = "own"
    BOUGHT = "bought"
    SERVICE = "service"


class Carrier(Base):
    """``number_hint`` is a pattern that warns and never refuses; ``check_standard`` names the proof that every number
    must pass, and only a person sets it. ``service`` and ``tracking`` are settings of its connectors, keys included.
    """

    __tablename__ = "carrier"
    id: Mapped[int] = mapped_column(SmallId, primary_key=True)
    code: Mapped[str] = mapped_column(String(24), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    label_size: Mapped[str] = mapped_column(String(16), default="100x150")
    number_hint: Mapped[str] = mapped_column(String(80), default="")
    check_standard: Mapped[str] = mapped_column(String(16), default="")
    numbers_from: Mapped[NumbersFrom] = state_column(NumbersFrom, default=NumbersFrom.BOUGHT)
    warn_below: Mapped[int] = mapped_column(Integer, default=0)
    """The desk is told when fewer numbers than this are left."""
    service: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    tracking: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    collect_hours: Mapped[int] = mapped_column(Integer, default=24)
    """A parcel not collected so long after the hand-over is late."""
    silent_days: Mapped[int] = mapped_column(Integer, default=3)
    lost_days: Mapped[int] = mapped_column(Integer, default=10)
    promised_days: Mapped[int] = mapped_column(Integer, default=5)
    """From hand-over to signature; what is later counts as late."""


class WaybillRange(Base):
    """Numbers bought from or agreed with a carrier, handed out one by one.

    A number is prefix, digits, what ``standard`` proves it by (a check digit; nothing where it is empty), suffix.
    """

    __tablename__ = "waybill_range"
    __table_args__ = (
        CheckConstraint("next_no <= last_no + 1", name="inside"),
        CheckConstraint("digits BETWEEN 1 AND 18", name="digits"),
    )
    id: Mapped[int] = mapped_column(SmallId, primary_key=True)
    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouse.id"))
    carrier_id: Mapped[int] = mapped_column(ForeignKey("carrier.id"))
    prefix: Mapped[str] = mapped_column(String(16))
    digits: Mapped[int] = mapped_column(Integer)
    next_no: Mapped[int]
    last_no: Mapped[int]
    first_no: Mapped[int] = mapped_column(default=0)
    suffix: Mapped[str] = mapped_column(String(8), default="")
    standard: Mapped[str] = mapped_column(String(16), default="")


class ParcelState(enum.StrEnum):
    OPEN = "open"
    VERIFIED = "verified"
    WEIGHED = "weighed"
    """Waits for its number from the carrier's service; the label follows by itself."""
    LABELLED = "labelled"
    HANDED_OVER = "handed_over"
    ACKNOWLEDGED = "acknowledged"
    VOID = "void"


class Parcel(InWarehouse, Base):
    """``code`` is also the container its goods stand in on the books until hand-over (R6). Weights in grams."""

    __tablename__ = "parcel"
    __table_args__ = (
        *within("sales_order", "order_id"),
        *within("location", "location_id"),
        *within("manifest", "manifest_id"),
        *within("operator", "operator_id"),
        UniqueConstraint("warehouse_id", "code"),
        CheckConstraint("weight_g IS NULL OR weight_g > 0", name="weight"),
        Index("ix_parcel_order", "warehouse_id", "order_id"),
        Index("ix_parcel_state", "warehouse_id", "state"),
        Index("ix_parcel_operator", "warehouse_id", "operator_id", "state"),
        # One order is packed at one bench at a time.
        Index(
            "uq_parcel_one_open",
            "warehouse_id",
            "order_id",
            unique=True,
            sqlite_where=text("state IN ('open', 'verified')"),
            postgresql_where=text("state IN ('open', 'verified')"),
        ),
    )
    code: Mapped[str] = mapped_column(String(32))
    order_id: Mapped[int]
    carrier_id: Mapped[int] = mapped_column(ForeignKey("carrier.id"))
    state: Mapped[ParcelState] = state_column(ParcelState, default=ParcelState.OPEN)
    operator_id: Mapped[int]
    station_id: Mapped[int | None]
    location_id: Mapped[int]
    manifest_id: Mapped[int | None]
    weight_g: Mapped[int | None] = mapped_column(Integer)
    cost_minor: Mapped[int | None]
    """What the carrier takes for it by the price table, as of its weighing."""
    opened_at: Mapped[datetime]
    weighed_at: Mapped[datetime | None]
    labelled_at: Mapped[datetime | None]
    handed_over_at: Mapped[datetime | None]
    last_move_id: Mapped[int | None]


class ParcelLine(InWarehouse, Base):
    """R31: the pieces each parcel holds."""

    __tablename__ = "parcel_line"
    __table_args__ = (
        *within("parcel", "parcel_id"),
        *within("order_line", "order_line_id"),
        UniqueConstraint("warehouse_id", "parcel_id", "order_line_id", "lot"),
        CheckConstraint("qty >= 0", name="qty"),
    )
    parcel_id: Mapped[int]
    order_line_id: Mapped[int]
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    lot: Mapped[str] = mapped_column(String(40), default="")
    qty: Mapped[int] = mapped_column(Integer)


class WaybillState(enum.StrEnum):
    LIVE = "live"
    VOID = "void"


class Waybill(InWarehouse, Base):
    """R31–R33: one live number a parcel, and a number is never used twice."""

    __tablename__ = "waybill"
    __table_args__ = (
        *within("parcel", "parcel_id"),
        UniqueConstraint("carrier_id", "number"),
        Index(
            "uq_waybill_one_live",
            "warehouse_id",
            "parcel_id",
            unique=True,
            sqlite_where=text("state = 'live'"),
            postgresql_where=text("state = 'live'"),
        ),
        Index("ix_waybill_number", "warehouse_id", "number"),
    )
    carrier_id: Mapped[int] = mapped_column(ForeignKey("carrier.id"))
    number: Mapped[str] = mapped_column(String(40))
    parcel_id: Mapped[int]
    state: Mapped[WaybillState] = state_column(WaybillState, default=WaybillState.LIVE)
    sort_code: Mapped[str] = mapped_column(String(40), default="")
    """三段码/大头笔, as the carrier's service gave it."""
    hub: Mapped[str] = mapped_column(String(80), default="")
    """集包地"""
    provider: Mapped[str] = mapped_column(String(24), default="")
    at: Mapped[datetime]


class PlatformWaybill(InWarehouse, Base):
    """A number and its document as a platform gave them for an order, the bytes untouched (R33).

    It waits for a parcel (``waybill_id`` empty), then stays with that parcel's waybill. Only the platform's own
    print component can read the document; ``provider`` says whose (see wms/components.py). One that was made for an
    address that the buyer changed is ``withdrawn_at``.
    """

    __tablename__ = "platform_waybill"
    __table_args__ = (
        *within("sales_order", "order_id"),
        *within("waybill", "waybill_id"),
        UniqueConstraint("carrier_id", "number"),
        UniqueConstraint("warehouse_id", "waybill_id"),
        Index("ix_platform_waybill_order", "warehouse_id", "order_id"),
    )
    order_id: Mapped[int]
    carrier_id: Mapped[int] = mapped_column(ForeignKey("carrier.id"))
    provider: Mapped[str] = mapped_column(String(16))
    number: Mapped[str] = mapped_column(String(40))
    document: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    sha256: Mapped[str] = mapped_column(String(64))
    waybill_id: Mapped[int | None]
    withdrawn_at: Mapped[datetime | None]
    at: Mapped[datetime]


class ManifestState(enum.StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Manifest(InWarehouse, Base):
    __tablename__ = "manifest"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "code"),
        Index(
            "uq_manifest_one_open",
            "warehouse_id",
            "carrier_id",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
    )
    code: Mapped[str] = mapped_column(String(32))
    carrier_id: Mapped[int] = mapped_column(ForeignKey("carrier.id"))
    state: Mapped[ManifestState] = state_column(ManifestState, default=ManifestState.OPEN)
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    parcels: Mapped[int] = mapped_column(Integer, default=0)
    weight_g: Mapped[int] = mapped_column(default=0)


class PushState(enum.StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    RETRY = "retry"
    ACKNOWLEDGED = "acknowledged"
    CONFLICT = "conflict"
    DEAD = "dead"


class Push(InWarehouse, Base):
    """R37: the outbox. One row a parcel and shop's order in it, written in the transaction that shipped it."""

    __tablename__ = "push"
    __table_args__ = (
        *within("parcel", "parcel_id"),
        *within("sales_order", "order_id"),
        UniqueConstraint("warehouse_id", "parcel_id", "order_id"),
        Index("ix_push_state", "warehouse_id", "state", "next_at"),
    )
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"))
    order_id: Mapped[int]
    parcel_id: Mapped[int]
    state: Mapped[PushState] = state_column(PushState, default=PushState.PENDING)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text, default="")
    evidence: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    wrong_no: Mapped[str] = mapped_column(String(40), default="", server_default="")
    """The number that the shop was told and that was wrong: it is corrected there, not told as another parcel."""
