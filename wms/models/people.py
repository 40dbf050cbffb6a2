"""Warehouses, operators 作业员, their sign-ins and the devices they hold."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, state_column, within

SmallId = BigInteger().with_variant(Integer, "sqlite")


class Role(enum.StrEnum):
    """Each role may do what the ones before it may."""

    PICKER = "picker"
    PACKER = "packer"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class Warehouse(Base):
    __tablename__ = "warehouse"
    id: Mapped[int] = mapped_column(SmallId, primary_key=True)
    code: Mapped[str] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    timezone: Mapped[str] = mapped_column(String(64), default="Asia/Shanghai")
    label_language: Mapped[str] = mapped_column(String(8), default="zh")
    sender_name: Mapped[str] = mapped_column(String(80), default="")
    sender_phone: Mapped[str] = mapped_column(String(40), default="")
    sender_region: Mapped[str] = mapped_column(String(120), default="")
    sender_address: Mapped[str] = mapped_column(String(240), default="")
    packing_lists: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A packing list comes out with each waybill."""
    gs1_prefix: Mapped[str] = mapped_column(String(12), default="", server_default="")
    """The GS1 company prefix, digits alone; without one no carton gets a serial shipping container code."""
    next_carton: Mapped[int] = mapped_column(default=1, server_default="1")


class Operator(InWarehouse, Base):
    """A person on the floor. Badge and PIN are kept only as hashes."""

    __tablename__ = "operator"
    __table_args__ = (UniqueConstraint("badge_hash"),)
    name: Mapped[str] = mapped_column(String(80))
    role: Mapped[Role] = state_column(Role)
    badge_hash: Mapped[str] = mapped_column(String(64))
    pin_hash: Mapped[str] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(8), default="zh")
    theme: Mapped[str] = mapped_column(String(8), default="auto")
    speech: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    locked_until: Mapped[datetime | None]


class Device(InWarehouse, Base):
    """A phone or station browser, known by a cookie of its own."""

    __tablename__ = "device"
    __table_args__ = (*within("station", "station_id"), Index("ix_device_token", "token", unique=True))
    token: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(80), default="")
    station_id: Mapped[int | None]
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    seen_at: Mapped[datetime]


class SignIn(Base):
    """One shift of one operator on one device; ended rows stay as proof of who was where."""

    __tablename__ = "sign_in"
    __table_args__ = (*within("operator", "operator_id"), *within("device", "device_id"))
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouse.id"))
    operator_id: Mapped[int]
    device_id: Mapped[int]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class ScanRequest(Base):
    """R10: the answer given to one scan id, saved in the scan's own transaction."""

    __tablename__ = "scan_request"
    __table_args__ = (Index("ix_scan_request_at", "at"),)
    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouse.id"), primary_key=True)
    scan_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    operator_id: Mapped[int]
    device_id: Mapped[int]
    body_sha256: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    status: Mapped[int] = mapped_column(Integer)
    go: Mapped[str] = mapped_column(String(200), default="")
    answer: Mapped[bytes]


class Journal(InWarehouse, Base):
    """R45: what changed on which document, by whom, where, by which scan, before and after. Append-only."""

    __tablename__ = "journal"
    __table_args__ = (
        CheckConstraint("document <> ''", name="document_named"),
        Index("ix_journal_document", "warehouse_id", "document", "document_id"),
    )
    at: Mapped[datetime]
    operator_id: Mapped[int | None]
    device_id: Mapped[str | None] = mapped_column(String(40))
    scan_id: Mapped[str | None] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(String(32))
    document_id: Mapped[int]
    what: Mapped[str] = mapped_column(String(48))
    before: Mapped[str] = mapped_column(String(200), default="")
    after: Mapped[str] = mapped_column(String(400), default="")
