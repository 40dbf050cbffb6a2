"""Locations 库位 of every kind: shelves, receiving, staging, totes 周转箱, and the virtual ends of moves (R1)."""

from __future__ import annotations

import enum

from sqlalchemy import CheckConstraint, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, state_column, within


class LocationKind(enum.StrEnum):
    STORAGE = "storage"
    RECEIVING = "receiving"
    STAGING = "staging"
    QUARANTINE = "quarantine"
    TOTE = "tote"
    SUPPLIER = "supplier"
    CUSTOMER = "customer"
    ADJUSTMENT = "adjustment"
    SCRAP = "scrap"


VIRTUAL = frozenset({LocationKind.SUPPLIER, LocationKind.CUSTOMER, LocationKind.ADJUSTMENT, LocationKind.SCRAP})
"""Where goods come from and go to. They have moves but no balance: nobody counts a supplier."""


class Location(InWarehouse, Base):
    """``code`` is what people read (A-01-02-03); its label carries the class prefix (L-A-01-02-03, T-001)."""

    __tablename__ = "location"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "kind", "code"),
        CheckConstraint("code <> ''", name="code"),
        Index("ix_location_walk", "warehouse_id", "kind", "walk"),
    )
    code: Mapped[str] = mapped_column(String(40))
    kind: Mapped[LocationKind] = state_column(LocationKind)
    zone: Mapped[str] = mapped_column(String(8), default="")
    walk: Mapped[int] = mapped_column(Integer, default=0)
    fixed_item_id: Mapped[int | None]
    capacity: Mapped[int | None] = mapped_column(Integer)
    blocked: Mapped[bool] = mapped_column(default=False)

    @property
    def barcode(self) -> str:
        return ("T-" if self.kind is LocationKind.TOTE else "L-") + self.code

    @property
    def virtual(self) -> bool:
        return self.kind in VIRTUAL


class ToteUse(Base):
    """R25: a tote in use belongs to one order; the primary key refuses a second claim."""

    __tablename__ = "tote_use"
    __table_args__ = (
        *within("location", "tote_id"),
        *within("sales_order", "order_id"),
        Index("ix_tote_use_order", "warehouse_id", "order_id"),
    )
    warehouse_id: Mapped[int] = mapped_column(primary_key=True)
    tote_id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int]
