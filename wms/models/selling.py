"""What each shop may sell of each item: its share or quota, our buffer, and what it was told last (R38)."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, state_column


class ShopStock(Base):
    """How a shop is told of stock. ``share`` in percent of what the quotas leave; ``per_minute`` calls at most.

    ``next_call_at`` paces all workers together; ``failures`` counts calls in a row that the shop did not answer.
    """

    __tablename__ = "shop_stock"
    __table_args__ = (
        CheckConstraint("share >= 0 AND share <= 100", name="share"),
        CheckConstraint("per_minute >= 1", name="per_minute"),
    )
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"), primary_key=True)
    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouse.id"))
    told: Mapped[bool] = mapped_column(default=False)
    share: Mapped[int] = mapped_column(Integer, default=100)
    per_minute: Mapped[int] = mapped_column(Integer, default=60)
    next_call_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(Integer, default=0)


class StockQuota(InWarehouse, Base):
    """A fixed number of pieces of an item that is a shop's before the shares are made."""

    __tablename__ = "stock_quota"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "shop_id", "item_id"),
        CheckConstraint("qty >= 0", name="qty"),
    )
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    qty: Mapped[int]


class StockBuffer(InWarehouse, Base):
    """Pieces that no shop may sell, for what is sold and not yet read. ``scope`` is the item's id as text, a category
    with ``=`` before it, or empty for every other item; the narrowest counts.
    """

    __tablename__ = "stock_buffer"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "scope"),
        CheckConstraint("qty >= 0", name="qty"),
    )
    scope: Mapped[str] = mapped_column(String(66), default="")
    qty: Mapped[int]


class StockPushState(enum.StrEnum):
    """Not yet told, being told, to be tried again, told; a person must look; not to be told by a person's word."""

    PENDING = "pending"
    SENDING = "sending"
    RETRY = "retry"
    TOLD = "told"
    FAILED = "failed"
    LEFT_OUT = "left_out"


class StockPush(InWarehouse, Base):
    """One row for each item a shop is told of.

    ``wanted_version`` rises with every later look at the stock, so an older look never replaces a newer one.
    ``sent_qty`` is what the shop said it took; ``asked_qty`` what it was last asked to take, whose answer may be
    lost: until it answers, it may be selling either. ``lease`` names the call that is under way.
    """

    __tablename__ = "stock_push"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "shop_id", "item_id"),
        CheckConstraint("wanted_qty >= 0", name="wanted"),
        Index("ix_stock_push_state", "warehouse_id", "state", "next_at"),
        Index("ix_stock_push_item", "warehouse_id", "item_id"),
    )
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    wanted_qty: Mapped[int]
    wanted_version: Mapped[int]
    sent_qty: Mapped[int | None]
    sent_version: Mapped[int] = mapped_column(default=0)
    asked_qty: Mapped[int | None]
    state: Mapped[StockPushState] = state_column(StockPushState, default=StockPushState.PENDING)
    next_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    lease: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    sent_at: Mapped[datetime | None]
    reason_code: Mapped[str] = mapped_column(String(40), default="")
    reason: Mapped[str] = mapped_column(String(400), default="")
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class StockWatch(Base):
    """How far the ledger and the journal were looked through for changes of what may be sold.

    ``turn`` is taken before each look and is the version of what that look finds: ids of several processes are not
    committed in their order, a turn is.
    """

    __tablename__ = "stock_watch"
    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouse.id"), primary_key=True)
    turn: Mapped[int] = mapped_column(default=0)
    looked_turn: Mapped[int] = mapped_column(default=0)
    move_id: Mapped[int] = mapped_column(default=0)
    journal_id: Mapped[int] = mapped_column(default=0)
    swept_at: Mapped[datetime | None]
