"""Shops, orders 订单, the waves 波次 they are released in, pick tasks 拣货 and shortages 缺货."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, Sealed, state_column, within
from wms.models.people import SmallId


class Shop(Base):
    """A shop 店铺 whose orders we ship; ``connector`` names the file in wms/connectors that speaks to it.

    ``settings`` hold its keys and are sealed at rest. ``fail_closed``: without the shop's word no label (R28).
    """

    __tablename__ = "shop"
    id: Mapped[int] = mapped_column(SmallId, primary_key=True)
    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouse.id"))
    code: Mapped[str] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    connector: Mapped[str] = mapped_column(String(24), default="csv")
    settings: Mapped[dict[str, Any]] = mapped_column(Sealed, default=dict)
    fail_closed: Mapped[bool] = mapped_column(default=False, server_default=false())
    carrier_id: Mapped[int | None] = mapped_column(ForeignKey("carrier.id"))
    active: Mapped[bool] = mapped_column(default=True)


class OrderState(enum.StrEnum):
    HELD = "held"
    READY = "ready"
    RELEASED = "released"
    PICKING = "picking"
    PICKED = "picked"
    PACKING = "packing"
    PACKED = "packed"
    SHIPPED = "shipped"
    ACKNOWLEDGED = "acknowledged"
    SHORT = "short"
    CANCELLED = "cancelled"
    MERGED = "merged"


class Order(InWarehouse, Base):
    """One order of one shop. The recipient is kept as the shop gives it (masked or ciphertext too).

    ``merged_into_id``: the order that carries the lines of this one (合单). ``part_of_id``: the shop's order of which
    this is a part that is shipped by itself (拆单). ``tell``: whoever packs it next is told what was taken back (R29).
    ``new_recipient``: the shop named another one when the label could not follow any more (docs/decisions/0025).
    """

    __tablename__ = "sales_order"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "shop_id", "shop_order_no"),
        *within("wave", "wave_id"),
        *within("sales_order", "merged_into_id", "part_of_id"),
        Index("ix_sales_order_state", "warehouse_id", "state", "ship_by"),
        Index("ix_sales_order_merged", "warehouse_id", "merged_into_id"),
        Index("ix_sales_order_part", "warehouse_id", "part_of_id"),
        Index("ix_sales_order_no", "warehouse_id", "shop_order_no"),
    )
    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"))
    shop_order_no: Mapped[str] = mapped_column(String(64))
    state: Mapped[OrderState] = state_column(OrderState)
    hold_reason: Mapped[str] = mapped_column(String(200), default="")
    hold_facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    cancel_asked: Mapped[bool] = mapped_column(default=False)
    wave_id: Mapped[int | None]
    carrier_id: Mapped[int | None] = mapped_column(ForeignKey("carrier.id"))
    carrier_suggested: Mapped[bool] = mapped_column(default=False)
    """The price table chose the carrier, so that the true weight may choose another; never what a person chose."""
    expected_cost_minor: Mapped[int | None]
    ordered_at: Mapped[datetime | None]
    ship_by: Mapped[datetime | None]
    taken_in_at: Mapped[datetime]
    shipped_at: Mapped[datetime | None]
    recipient: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    new_recipient: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    new_recipient_at: Mapped[datetime | None]
    buyer_note: Mapped[str] = mapped_column(Text, default="")
    seller_memo: Mapped[str] = mapped_column(Text, default="")
    memo_seen_at: Mapped[datetime | None]
    tell: Mapped[bool] = mapped_column(default=False, server_default=false())
    merged_into_id: Mapped[int | None]
    part_of_id: Mapped[int | None]
    goods_sha256: Mapped[str] = mapped_column(String(64), default="")
    # What the shop sent, word for word: kept for people who ask, never read on a scan's way.
    raw: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, deferred=True)


class LineKind(enum.StrEnum):
    GOODS = "goods"
    SERVICE = "service"


def _carrier_itself(context: Any) -> int:
    order_id: int = context.get_current_parameters()["order_id"]
    return order_id


class OrderLine(InWarehouse, Base):
    """``wanted`` = qty − cancelled_qty pieces are to be shipped. Money in minor units (R7).

    ``home_id`` is the shop's order it belongs to, ``order_id`` the order that carries it through the warehouse: the
    same, unless orders were merged or split (docs/decisions/0020).
    """

    __tablename__ = "order_line"
    __table_args__ = (
        *within("sales_order", "order_id", "home_id"),
        UniqueConstraint("warehouse_id", "order_id", "home_id", "line_ref", name="uq_order_line_ref"),
        CheckConstraint("qty > 0", name="qty"),
        CheckConstraint("cancelled_qty >= 0 AND cancelled_qty <= qty", name="cancelled"),
        CheckConstraint("shipped_qty >= 0 AND shipped_qty <= qty - cancelled_qty", name="shipped"),
        Index("ix_order_line_item", "warehouse_id", "item_id"),
        Index("ix_order_line_home", "warehouse_id", "home_id"),
    )
    order_id: Mapped[int]
    home_id: Mapped[int] = mapped_column(default=_carrier_itself)
    line_ref: Mapped[str] = mapped_column(String(96))
    kind: Mapped[LineKind] = state_column(LineKind, default=LineKind.GOODS)
    sku: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200), default="")
    item_id: Mapped[int | None] = mapped_column(ForeignKey("item.id"))
    qty: Mapped[int]
    cancelled_qty: Mapped[int] = mapped_column(default=0)
    shipped_qty: Mapped[int] = mapped_column(default=0)
    price_minor: Mapped[int] = mapped_column(default=0)

    @property
    def wanted(self) -> int:
        return self.qty - self.cancelled_qty


class WaveState(enum.StrEnum):
    OPEN = "open"
    RELEASED = "released"
    DONE = "done"
    CANCELLED = "cancelled"


class Wave(InWarehouse, Base):
    __tablename__ = "wave"
    __table_args__ = (UniqueConstraint("warehouse_id", "code"),)
    code: Mapped[str] = mapped_column(String(32))
    state: Mapped[WaveState] = state_column(WaveState)
    released_at: Mapped[datetime]


class PickStep(enum.StrEnum):
    WAITING = "waiting"
    SCAN_TOTE = "scan_tote"
    SCAN_LOCATION = "scan_location"
    SCAN_ITEM = "scan_item"
    STOPPED = "stopped"
    DONE = "done"


class PickTask(InWarehouse, Base):
    """One order to be picked into totes by one worker (R23).

    What is still to pick is not stored here: it is the order's allocations on shelves (R3). ``tell``: the picker is
    told at the next scan what was taken back (R29).
    """

    __tablename__ = "pick_task"
    __table_args__ = (
        *within("sales_order", "order_id"),
        *within("wave", "wave_id"),
        *within("location", "tote_id", "location_id"),
        *within("operator", "operator_id"),
        Index("ix_pick_task_step", "warehouse_id", "step", "ship_by"),
        Index("ix_pick_task_operator", "warehouse_id", "operator_id", "step"),
        Index("ix_pick_task_order", "warehouse_id", "order_id"),
    )
    order_id: Mapped[int]
    wave_id: Mapped[int]
    ship_by: Mapped[datetime | None]
    step: Mapped[PickStep] = state_column(PickStep, default=PickStep.WAITING)
    operator_id: Mapped[int | None]
    claimed_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    tote_id: Mapped[int | None]
    location_id: Mapped[int | None]
    last_move_id: Mapped[int | None]
    tell: Mapped[bool] = mapped_column(default=False, server_default=false())
    done_at: Mapped[datetime | None]


class ShortageState(enum.StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"


class Shortage(InWarehouse, Base):
    """R22: pieces an order wants and nobody can find, until a supervisor decides."""

    __tablename__ = "shortage"
    __table_args__ = (
        *within("sales_order", "order_id"),
        *within("order_line", "order_line_id"),
        CheckConstraint("qty > 0", name="qty"),
        Index("ix_shortage_state", "warehouse_id", "state"),
    )
    order_id: Mapped[int]
    order_line_id: Mapped[int]
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    location_id: Mapped[int | None]
    qty: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(40))
    state: Mapped[ShortageState] = state_column(ShortageState, default=ShortageState.OPEN)
    at: Mapped[datetime]
    decision: Mapped[str] = mapped_column(String(40), default="")
