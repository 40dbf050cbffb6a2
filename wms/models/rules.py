"""Rules on the way in: which are on for which shop, gifts 满赠, the block list, and what buyers took back (R29)."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, state_column, within


class ShopRule(Base):
    """A rule as somebody set it for a shop; without a row it is as ``wms.rules`` has it. ``facts`` are its numbers."""

    __tablename__ = "shop_rule"
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"), primary_key=True)
    rule: Mapped[str] = mapped_column(String(24), primary_key=True)
    active: Mapped[bool]
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class GiftRule(InWarehouse, Base):
    """A gift for orders of a shop (or of all): from an amount in minor units, or for so many of some items.

    ``each_step`` gives it again for each full amount or number; else once an order. ``most`` pieces are given in all.
    """

    __tablename__ = "gift_rule"
    __table_args__ = (
        CheckConstraint("gift_qty > 0", name="gift_qty"),
        CheckConstraint("min_minor >= 0 AND min_pieces >= 0", name="least"),
        CheckConstraint("most IS NULL OR most >= 0", name="most"),
    )
    name: Mapped[str] = mapped_column(String(80))
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shop.id"))
    active: Mapped[bool] = mapped_column(default=True)
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    min_minor: Mapped[int] = mapped_column(default=0)
    min_pieces: Mapped[int] = mapped_column(Integer, default=0)
    item_ids: Mapped[list[int]] = mapped_column(JSON, default=list)
    gift_item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    gift_qty: Mapped[int] = mapped_column(Integer, default=1)
    each_step: Mapped[bool] = mapped_column(default=False)
    most: Mapped[int | None] = mapped_column(Integer)


class BlockKind(enum.StrEnum):
    PHONE = "phone"
    ADDRESS = "address"
    BUYER = "buyer"


class BlockEntry(InWarehouse, Base):
    """Somebody whose orders a person looks at first: a phone, a name with an address, or a platform's buyer.

    ``value`` is normalised (see ``wms.rules.block_list``), ``shop_id`` for a buyer's id, which holds in one shop only.
    """

    __tablename__ = "block_entry"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "kind", "value", "shop_id"),
        Index("ix_block_entry_value", "warehouse_id", "kind", "value"),
    )
    kind: Mapped[BlockKind] = state_column(BlockKind)
    value: Mapped[str] = mapped_column(String(300))
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shop.id"))
    reason: Mapped[str] = mapped_column(String(200))
    active: Mapped[bool] = mapped_column(default=True)
    entered_by: Mapped[str] = mapped_column(String(80))
    entered_at: Mapped[datetime]
    hits: Mapped[int] = mapped_column(Integer, default=0)
    hit_at: Mapped[datetime | None]


class TakenBackState(enum.StrEnum):
    """Taken out of the order; asked for after the label, a supervisor decides; the supervisor said no."""

    DONE = "done"
    ASKED = "asked"
    REFUSED = "refused"


class TakenBack(InWarehouse, Base):
    """R29: pieces of one line that a buyer took back while the order was under way.

    ``picked`` of them stood in a tote or an unlabelled parcel and wait to be put back.
    """

    __tablename__ = "taken_back"
    __table_args__ = (
        *within("sales_order", "order_id"),
        *within("order_line", "order_line_id"),
        CheckConstraint("qty > 0", name="qty"),
        CheckConstraint("picked >= 0 AND picked <= qty", name="picked"),
        Index("ix_taken_back_order", "warehouse_id", "order_id"),
        Index("ix_taken_back_state", "warehouse_id", "state"),
    )
    order_id: Mapped[int]
    order_line_id: Mapped[int]
    qty: Mapped[int] = mapped_column(Integer)
    picked: Mapped[int] = mapped_column(Integer, default=0)
    state: Mapped[TakenBackState] = state_column(TakenBackState, default=TakenBackState.DONE)
    why: Mapped[str] = mapped_column(String(200), default="")
    at: Mapped[datetime]
