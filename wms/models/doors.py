"""What comes in by a door from outside and what is told back: shops' events, an ERP's documents and our news to it."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, state_column, within
from wms.models.parcels import PushState


class EventState(enum.StrEnum):
    """Of a shop's message: not looked at, to be looked at again, done, given up (a person should know why)."""

    NEW = "new"
    RETRY = "retry"
    DONE = "done"
    DEAD = "dead"


class ShopEvent(InWarehouse, Base):
    """A message a shop sent to our door, its signature found good. The same ``delivery_id`` is stored once.

    ``body`` holds the bytes as they came and is emptied when the order was read: it may hold somebody's address.
    """

    __tablename__ = "shop_event"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "shop_id", "delivery_id"),
        Index("ix_shop_event_state", "warehouse_id", "state", "next_at"),
    )
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"))
    delivery_id: Mapped[str] = mapped_column(String(200))
    topic: Mapped[str] = mapped_column(String(80), default="")
    body: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime]
    state: Mapped[EventState] = state_column(EventState, default=EventState.NEW)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(400), default="")
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    done_at: Mapped[datetime | None]


class ErpDocumentKind(enum.StrEnum):
    ENTRY = "entry"
    RETURN = "return"


class ErpDocumentState(enum.StrEnum):
    """Of an ERP's document: goods are expected, all was received and is told or about to be, called off."""

    EXPECTED = "expected"
    DONE = "done"
    CANCELLED = "cancelled"


class ErpDocument(InWarehouse, Base):
    """Goods that an ERP says will come: an entry order 入库单 (its ``receipt_id``) or a return 退货入库单.

    ``body`` is what it said, in our terms; ``sha256`` knows the same document when it is sent again.
    """

    __tablename__ = "erp_document"
    __table_args__ = (
        *within("receipt", "receipt_id"),
        *within("sales_order", "order_id"),
        UniqueConstraint("warehouse_id", "shop_id", "kind", "code"),
        Index("ix_erp_document_state", "warehouse_id", "state"),
    )
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"))
    kind: Mapped[ErpDocumentKind] = state_column(ErpDocumentKind)
    code: Mapped[str] = mapped_column(String(64))
    state: Mapped[ErpDocumentState] = state_column(ErpDocumentState, default=ErpDocumentState.EXPECTED)
    receipt_id: Mapped[int | None]
    order_id: Mapped[int | None]
    """Of a return: the order it went out with, where we have it."""
    waybill_no: Mapped[str] = mapped_column(String(64), default="")
    sha256: Mapped[str] = mapped_column(String(64))
    body: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime]


class ErpNews(InWarehouse, Base):
    """The outbox to ERPs for what is no parcel: a receipt done, what a count found. ``key`` is its outBizCode."""

    __tablename__ = "erp_news"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "shop_id", "key"),
        Index("ix_erp_news_state", "warehouse_id", "state", "next_at"),
    )
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"))
    method: Mapped[str] = mapped_column(String(40))
    key: Mapped[str] = mapped_column(String(80))
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[PushState] = state_column(PushState, default=PushState.PENDING)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text, default="")
    evidence: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
