"""The night: how far it came, and its statement of what was shipped here against what the shops have (R37)."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, state_column, within


class NightStep(enum.StrEnum):
    """What is done, in this order; a night that was killed goes on with the step it stood at."""

    PULL = "pull"
    PUSH = "push"
    STOCK = "stock"
    READ_BACK = "read_back"
    BOOKS = "books"
    TIDY = "tidy"
    TELL = "tell"
    DONE = "done"


class NightRun(InWarehouse, Base):
    """One night. ``progress`` holds what each step found; ``cursor`` the last order whose shop was asked."""

    __tablename__ = "night_run"
    __table_args__ = (Index("ix_night_run_step", "warehouse_id", "step"),)
    step: Mapped[NightStep] = state_column(NightStep, default=NightStep.PULL)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    since: Mapped[datetime]
    cursor: Mapped[int] = mapped_column(default=0)
    leased_until: Mapped[datetime | None]
    leased_by: Mapped[str] = mapped_column(String(60), default="")
    progress: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    right: Mapped[bool] = mapped_column(default=False)


class NightVerdict(enum.StrEnum):
    """Of one shipped order: all alike; a person must look; nothing could be asked; not yet told."""

    ALIKE = "alike"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    WAITING = "waiting"


class NightLine(InWarehouse, Base):
    """One shipped order in a night's statement. Money in minor units of ``currency`` (R7)."""

    __tablename__ = "night_line"
    __table_args__ = (
        *within("night_run", "run_id"),
        *within("sales_order", "order_id"),
        UniqueConstraint("warehouse_id", "run_id", "order_id"),
    )
    run_id: Mapped[int]
    order_id: Mapped[int]
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"))
    shop_order_no: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[NightVerdict] = state_column(NightVerdict)
    reason: Mapped[str] = mapped_column(String(400), default="")
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    our_numbers: Mapped[str] = mapped_column(String(400), default="")
    shop_numbers: Mapped[str | None] = mapped_column(String(400))
    shop_state: Mapped[str] = mapped_column(String(24), default="")
    pieces: Mapped[int] = mapped_column(Integer, default=0)
    shop_pieces: Mapped[int | None] = mapped_column(Integer)
    money: Mapped[int] = mapped_column(default=0)
    shop_money: Mapped[int | None]
    currency: Mapped[str] = mapped_column(String(8), default="")
