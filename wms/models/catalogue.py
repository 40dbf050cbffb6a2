"""Items 商品, the barcodes they are known by, and lots 批次."""

from __future__ import annotations

import enum
from datetime import date

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, state_column
from wms.models.people import SmallId


class Item(Base):
    """One SKU. Weights are grams, quantities base units (R7)."""

    __tablename__ = "item"
    __table_args__ = (
        CheckConstraint("weight_g >= 0", name="weight"),
        CheckConstraint("sku <> ''", name="sku"),
    )
    id: Mapped[int] = mapped_column(SmallId, primary_key=True)
    sku: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    category: Mapped[str] = mapped_column(String(64), default="", server_default="")
    weight_g: Mapped[int] = mapped_column(Integer, default=0)
    lot_tracked: Mapped[bool] = mapped_column(default=False)
    allows_counting: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)


class BarcodeKind(enum.StrEnum):
    PIECE = "piece"
    CASE = "case"


class Barcode(Base):
    """A code that means an item; ``pieces`` > 1 for a case (R15). A code means one thing only (R14)."""

    __tablename__ = "barcode"
    __table_args__ = (
        CheckConstraint("pieces >= 1", name="pieces"),
        Index("ix_barcode_item_id", "item_id"),
    )
    code: Mapped[str] = mapped_column(String(80), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    kind: Mapped[BarcodeKind] = state_column(BarcodeKind, default=BarcodeKind.PIECE)
    pieces: Mapped[int] = mapped_column(Integer, default=1)


class Lot(Base):
    """A lot of an item and its expiry date; goods without a lot have no row here."""

    __tablename__ = "lot"
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)
    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    expiry: Mapped[date | None] = mapped_column(Date)
    held: Mapped[bool] = mapped_column(default=False)
