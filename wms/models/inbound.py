"""Purchase orders, receipts 收货, put-away tasks 上架 and counts 盘点."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, state_column, within
from wms.models.stock import Condition


class ReceiptState(enum.StrEnum):
    EXPECTED = "expected"
    RECEIVING = "receiving"
    DONE = "done"


class Receipt(InWarehouse, Base):
    """Goods expected (a purchase order, a return 退货) or found at the door (blind). Several may receive on it (R18).

    ``waybill_no``: the parcel that brings them, where somebody said so; it opens the receipt like its own code.
    """

    __tablename__ = "receipt"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "code"),
        Index("ix_receipt_waybill", "warehouse_id", "waybill_no"),
    )
    code: Mapped[str] = mapped_column(String(40))
    supplier: Mapped[str] = mapped_column(String(120), default="")
    blind: Mapped[bool] = mapped_column(default=False)
    returned: Mapped[bool] = mapped_column(default=False, server_default=false())
    waybill_no: Mapped[str] = mapped_column(String(64), default="", server_default="")
    state: Mapped[ReceiptState] = state_column(ReceiptState, default=ReceiptState.EXPECTED)
    over_percent: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class ReceiptLine(InWarehouse, Base):
    """R17: ``received`` never passes expected + allowance; a blind line expects 0 and takes what comes."""

    __tablename__ = "receipt_line"
    __table_args__ = (
        *within("receipt", "receipt_id"),
        UniqueConstraint("warehouse_id", "receipt_id", "item_id"),
        CheckConstraint("received >= 0", name="received"),
        CheckConstraint("most IS NULL OR received <= most", name="most"),
    )
    receipt_id: Mapped[int]
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    expected: Mapped[int] = mapped_column(default=0)
    most: Mapped[int | None]
    received: Mapped[int] = mapped_column(default=0)


class ReceiveWork(InWarehouse, Base):
    """Where one operator stands in one receipt, so that a reload comes back to the same step."""

    __tablename__ = "receive_work"
    __table_args__ = (
        *within("receipt", "receipt_id"),
        *within("operator", "operator_id"),
        UniqueConstraint("warehouse_id", "operator_id"),
    )
    receipt_id: Mapped[int]
    operator_id: Mapped[int]
    item_id: Mapped[int | None] = mapped_column(ForeignKey("item.id"))
    lot: Mapped[str] = mapped_column(String(40), default="")
    qty: Mapped[int] = mapped_column(default=1)
    last_move_id: Mapped[int | None]


class PutawayWork(InWarehouse, Base):
    """What an operator has in hand to put away, and where it was suggested to go (R20)."""

    __tablename__ = "putaway_work"
    __table_args__ = (
        *within("operator", "operator_id"),
        *within("location", "from_id", "suggested_id", "asked_id"),
        UniqueConstraint("warehouse_id", "operator_id"),
    )
    operator_id: Mapped[int]
    item_id: Mapped[int | None] = mapped_column(ForeignKey("item.id"))
    lot: Mapped[str] = mapped_column(String(40), default="")
    condition: Mapped[Condition] = state_column(Condition, default=Condition.GOOD)
    from_id: Mapped[int | None]
    from_container: Mapped[str] = mapped_column(String(40), default="")
    qty: Mapped[int] = mapped_column(default=0)
    suggested_id: Mapped[int | None]
    asked_id: Mapped[int | None]
    last_move_id: Mapped[int | None]


class CountState(enum.StrEnum):
    PLANNED = "planned"
    COUNTING = "counting"
    RECOUNT = "recount"
    TO_DECIDE = "to_decide"
    ADJUSTED = "adjusted"
    MATCHED = "matched"


class Count(InWarehouse, Base):
    """A count 盘点 of one place. ``round`` 1 is the first counter's, 2 the recount by someone else (R40)."""

    __tablename__ = "count"
    __table_args__ = (
        *within("location", "location_id"),
        *within("operator", "operator_id", "first_operator_id"),
        Index("ix_count_state", "warehouse_id", "state"),
        Index("ix_count_location", "warehouse_id", "location_id", "state"),
    )
    code: Mapped[str] = mapped_column(String(32))
    location_id: Mapped[int]
    state: Mapped[CountState] = state_column(CountState, default=CountState.PLANNED)
    why: Mapped[str] = mapped_column(String(24), default="planned")
    round: Mapped[int] = mapped_column(Integer, default=1)
    operator_id: Mapped[int | None]
    first_operator_id: Mapped[int | None]
    at_place: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]


class CountLine(InWarehouse, Base):
    """What was counted, and the book at that very moment with the ledger position it stood at (R41)."""

    __tablename__ = "count_line"
    __table_args__ = (
        *within("count", "count_id"),
        UniqueConstraint("warehouse_id", "count_id", "round", "item_id", "lot", "condition"),
        CheckConstraint("counted >= 0", name="counted"),
    )
    count_id: Mapped[int]
    round: Mapped[int] = mapped_column(Integer)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    lot: Mapped[str] = mapped_column(String(40), default="")
    condition: Mapped[Condition] = state_column(Condition, default=Condition.GOOD)
    counted: Mapped[int]
    book: Mapped[int]
    ledger_position: Mapped[int]
    reason: Mapped[str] = mapped_column(String(40), default="")
    move_id: Mapped[int | None]
