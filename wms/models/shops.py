"""What is known of a shop between two readings: its lane, the orders as they came, its own names for our items."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, state_column, within


class ShopLane(Base):
    """One lane a shop: who reads it now, how far it was read, and until when nothing is asked of it.

    ``cursor``: every order changed before it is saved here. ``reread_from``: the night reads again from there.
    ``last_reason`` says why the last reading broke off; it is empty after a whole one.
    A lane paused for ``paused_reason`` (words with ``paused_facts``) keeps its pushes and pulls; the floor goes on.
    """

    __tablename__ = "shop_lane"
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"), primary_key=True)
    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouse.id"))
    cursor: Mapped[datetime | None]
    next_pull_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    leased_by: Mapped[str] = mapped_column(String(60), default="")
    paused_until: Mapped[datetime | None]
    paused_reason: Mapped[str] = mapped_column(String(400), default="")
    paused_facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    last_reason: Mapped[str] = mapped_column(String(400), default="")
    last_facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    by_hand: Mapped[bool] = mapped_column(default=False)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    pulled_at: Mapped[datetime | None]
    pulled: Mapped[int] = mapped_column(default=0)
    authorised_until: Mapped[datetime | None]


class RawState(enum.StrEnum):
    """What became of an order as it came: not looked at, an order of ours, not for us, not to be understood, broke."""

    NEW = "new"
    TAKEN = "taken"
    SKIPPED = "skipped"
    UNREADABLE = "unreadable"
    FAILED = "failed"


class RawOrder(InWarehouse, Base):
    """A shop's order as it was last read, saved before anything is made of it.

    ``body`` is the order in our terms with the shop's own words in it; ``told_at`` the shop's time of its last change,
    an earlier one never takes the place of a later.
    """

    __tablename__ = "raw_order"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "shop_id", "shop_order_no"),
        *within("sales_order", "order_id"),
        Index("ix_raw_order_state", "warehouse_id", "state"),
    )
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"))
    shop_order_no: Mapped[str] = mapped_column(String(64))
    told_at: Mapped[datetime | None]
    received_at: Mapped[datetime]
    sha256: Mapped[str] = mapped_column(String(64))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[RawState] = state_column(RawState, default=RawState.NEW)
    reason: Mapped[str] = mapped_column(String(400), default="")
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    order_id: Mapped[int | None]


class ShopSku(InWarehouse, Base):
    """A shop's own name for an item of ours, said by a person on the page of unknown items."""

    __tablename__ = "shop_sku"
    __table_args__ = (UniqueConstraint("warehouse_id", "shop_id", "sku"),)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"))
    sku: Mapped[str] = mapped_column(String(64))
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))


class Verdict(enum.StrEnum):
    """What the shop says of an order right before its label: go on, stop, or nothing (it could not be asked)."""

    GO = "go"
    STOP = "stop"
    UNKNOWN = "unknown"


class GateCheck(InWarehouse, Base):
    """R28: the newest word of the shop on an order, and who let the order pass all the same, and why.

    An override holds for the ``reason`` it was given for; another reason stops the order again.
    """

    __tablename__ = "gate_check"
    __table_args__ = (
        *within("sales_order", "order_id"),
        *within("operator", "override_by"),
        UniqueConstraint("warehouse_id", "order_id"),
    )
    order_id: Mapped[int]
    asked_at: Mapped[datetime]
    verdict: Mapped[Verdict] = state_column(Verdict)
    reason: Mapped[str] = mapped_column(String(400), default="")
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    override_by: Mapped[int | None]
    override_at: Mapped[datetime | None]
    override_for: Mapped[str] = mapped_column(String(400), default="")
    override_why: Mapped[str] = mapped_column(String(200), default="")
