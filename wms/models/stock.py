"""The ledger of moves, the balances it adds up to, and allocations 占用 (R1–R3)."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, state_column, within


class Condition(enum.StrEnum):
    """Only good stock is ever allocated (R5)."""

    GOOD = "good"
    SECOND = "second"
    DAMAGED = "damaged"
    HELD = "held"


class MoveReason(enum.StrEnum):
    OPENING = "opening"
    RECEIVE = "receive"
    PUTAWAY = "putaway"
    PICK = "pick"
    PACK = "pack"
    SHIP = "ship"
    COUNT = "count"
    RELOCATE = "relocate"
    UNDO = "undo"


class StockMove(InWarehouse, Base):
    """R1: one line of the ledger. Triggers refuse every update and delete.

    ``cause`` names the document and row that made it (R46: no move without a cause), e.g. ``order_line:17``.
    """

    __tablename__ = "stock_move"
    __table_args__ = (
        *within("location", "from_id", "to_id"),
        *within("stock_move", "reverses_id"),
        CheckConstraint("qty > 0", name="qty"),
        CheckConstraint("cause <> ''", name="cause"),
        CheckConstraint(
            "from_id <> to_id OR from_container <> to_container OR from_condition <> to_condition",
            name="two_ends",
        ),
        UniqueConstraint("warehouse_id", "reverses_id"),
        Index("ix_stock_move_item", "warehouse_id", "item_id", "id"),
        Index("ix_stock_move_from", "warehouse_id", "from_id", "id"),
        Index("ix_stock_move_to", "warehouse_id", "to_id", "id"),
        Index("ix_stock_move_cause", "warehouse_id", "cause"),
    )
    at: Mapped[datetime]
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    lot: Mapped[str] = mapped_column(String(40), default="")
    qty: Mapped[int]
    from_id: Mapped[int]
    from_container: Mapped[str] = mapped_column(String(40), default="")
    from_condition: Mapped[Condition] = state_column(Condition, default=Condition.GOOD)
    to_id: Mapped[int]
    to_container: Mapped[str] = mapped_column(String(40), default="")
    to_condition: Mapped[Condition] = state_column(Condition, default=Condition.GOOD)
    reason: Mapped[MoveReason] = state_column(MoveReason)
    cause: Mapped[str] = mapped_column(String(64))
    reverses_id: Mapped[int | None]
    operator_id: Mapped[int | None]
    device_id: Mapped[str | None] = mapped_column(String(40))
    scan_id: Mapped[str | None] = mapped_column(String(64))


class Balance(Base):
    """R2: on hand 在库 per (place, item, lot, container, condition), a copy of the ledger's sum."""

    __tablename__ = "balance"
    __table_args__ = (
        *within("location", "location_id"),
        CheckConstraint("on_hand >= 0", name="on_hand"),
        CheckConstraint("allocated >= 0 AND allocated <= on_hand", name="allocated"),
        Index("ix_balance_item", "warehouse_id", "item_id", "condition"),
    )
    warehouse_id: Mapped[int] = mapped_column(primary_key=True)
    location_id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)
    lot: Mapped[str] = mapped_column(String(40), primary_key=True, default="")
    container: Mapped[str] = mapped_column(String(40), primary_key=True, default="")
    condition: Mapped[Condition] = state_column(Condition, primary_key=True, default=Condition.GOOD)
    on_hand: Mapped[int] = mapped_column(default=0)
    allocated: Mapped[int] = mapped_column(default=0)
    last_move_id: Mapped[int] = mapped_column(default=0)

    @property
    def available(self) -> int:
        return self.on_hand - self.allocated


class Allocation(InWarehouse, Base):
    """R3: who is promised what. It follows the goods: shelf, tote, parcel; at hand-over it is used up."""

    __tablename__ = "allocation"
    __table_args__ = (
        *within("location", "location_id"),
        *within("order_line", "order_line_id"),
        CheckConstraint("qty > 0", name="qty"),
        UniqueConstraint(
            "warehouse_id",
            "order_line_id",
            "location_id",
            "item_id",
            "lot",
            "container",
            name="uq_allocation_place",
        ),
        Index("ix_allocation_balance", "warehouse_id", "location_id", "item_id"),
        Index("ix_allocation_order", "warehouse_id", "order_id"),
    )
    order_id: Mapped[int]
    order_line_id: Mapped[int]
    location_id: Mapped[int]
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    lot: Mapped[str] = mapped_column(String(40), default="")
    container: Mapped[str] = mapped_column(String(40), default="")
    qty: Mapped[int] = mapped_column(Integer)
