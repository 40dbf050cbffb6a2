"""Stations, printers and the print queue 打印 (R35)."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from wms.models.base import Base, InWarehouse, state_column, within


class PrinterLanguage(enum.StrEnum):
    """What a printer understands; a job built for one is waste paper on a printer of the other.

    The last three are documents of a platform, which only its own print component on the packing PC can read.
    """

    ZPL = "zpl"
    TSPL = "tspl"
    CAINIAO = "cainiao"
    PINDUODUO = "pinduoduo"
    WECHAT = "wechat"


class Printer(InWarehouse, Base):
    """An address, the media loaded (mm) and its dots per inch.

    Addresses: tcp://host:9100, os://queue (a queue of the server's own system), file:///folder, memory://name; behind a
    station agent agent://CODE/os/queue and agent://CODE/tcp/host:port; at a print component cainiao://station/name
    (pinduoduo and wechat alike). ``answers``: it can be asked how it is.
    ``trusted``: where nobody can ask, "passed on" counts as "printed"; else a person is asked.

    ``gap_mm`` lies between two labels (0: paper without gaps); with ``black_mark`` it is the height of the mark.
    ``graphics`` is z64, or hex for firmware without it. ``told`` is what the printer said of itself when it was asked
    last. ``roll_labels`` were on the roll that was put in at ``roll_at``.
    """

    __tablename__ = "printer"
    __table_args__ = (UniqueConstraint("warehouse_id", "code"),)
    code: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(80))
    uri: Mapped[str] = mapped_column(String(200))
    language: Mapped[PrinterLanguage] = state_column(PrinterLanguage, default=PrinterLanguage.ZPL, server_default="zpl")
    dpi: Mapped[int] = mapped_column(Integer, default=203)
    width_mm: Mapped[int] = mapped_column(Integer, default=100)
    height_mm: Mapped[int] = mapped_column(Integer, default=150)
    answers: Mapped[bool] = mapped_column(default=True)
    trusted: Mapped[bool] = mapped_column(default=False, server_default=false())
    paused: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(String(24), default="unknown")
    seen_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    leased_by: Mapped[str] = mapped_column(String(40), default="")
    gap_mm: Mapped[int] = mapped_column(Integer, default=2, server_default="2")
    black_mark: Mapped[bool] = mapped_column(default=False, server_default=false())
    graphics: Mapped[str] = mapped_column(String(8), default="z64", server_default="z64")
    told: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    told_at: Mapped[datetime | None]
    roll_labels: Mapped[int | None] = mapped_column(Integer)
    roll_at: Mapped[datetime | None]


class Station(InWarehouse, Base):
    """A packing bench, known by its code label S-…; waybills come out at one printer, everything else at another.

    What comes out elsewhere has a row in ``station_printer``.
    """

    __tablename__ = "station"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "code"),
        *within("printer", "waybill_printer_id", "label_printer_id"),
    )
    code: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(80))
    waybill_printer_id: Mapped[int | None]
    label_printer_id: Mapped[int | None]


class StationPrinter(Base):
    """The printer of one kind of label (a print job's ``kind``) at a station, where it is not the usual one."""

    __tablename__ = "station_printer"
    __table_args__ = (*within("station", "station_id"), *within("printer", "printer_id"))
    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouse.id"), primary_key=True)
    station_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(24), primary_key=True)
    printer_id: Mapped[int]


class LabelTemplate(InWarehouse, Base):
    """The shop's own label; while ``active`` it stands in for the shipped template that ``kind`` names.

    ``trouble`` is why it could not be used the last time (message and facts), and ``failed_at`` when: the shipped
    one was printed instead.
    """

    __tablename__ = "label_template"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "name"),
        Index(
            "uq_label_template_one_active",
            "warehouse_id",
            "kind",
            unique=True,
            sqlite_where=text("active = 1"),
            postgresql_where=text("active"),
        ),
    )
    kind: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(80))
    text: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer, default=1)
    active: Mapped[bool] = mapped_column(default=False)
    changed_by_id: Mapped[int | None]
    changed_at: Mapped[datetime]
    trouble: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    failed_at: Mapped[datetime | None]


class LabelTemplateVersion(InWarehouse, Base):
    """A template as it was saved, so that every earlier one can be fetched back."""

    __tablename__ = "label_template_version"
    __table_args__ = (
        *within("label_template", "template_id"),
        UniqueConstraint("warehouse_id", "template_id", "version"),
    )
    template_id: Mapped[int]
    version: Mapped[int] = mapped_column(Integer)
    text: Mapped[str] = mapped_column(Text)
    operator_id: Mapped[int | None]
    at: Mapped[datetime]


class CartonCode(InWarehouse, Base):
    """A serial shipping container code (SSCC) that was given to a carton; GS1 wants no number used twice."""

    __tablename__ = "carton_code"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "sscc"),
        Index("ix_carton_code_document", "warehouse_id", "document", "document_id"),
    )
    sscc: Mapped[str] = mapped_column(String(18))
    document: Mapped[str] = mapped_column(String(32))
    document_id: Mapped[int]
    at: Mapped[datetime]


class PrintState(enum.StrEnum):
    QUEUED = "queued"
    WAITING = "waiting"
    SENDING = "sending"
    HELD = "held"
    PRINTED = "printed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class PrintJob(InWarehouse, Base):
    """One document, its bytes kept (R33: a reprint is the same bytes). ``once`` makes a second queueing harmless.

    ``copies`` is how many pieces of paper come out. ``source`` is the label as somebody else made it, where
    the payload was drawn from a PDF or a picture. ``not_drawn`` are the characters that stand as "?" on it.
    ``attempt`` counts the claims; ``started_at`` is written before the first byte of the newest one goes, with
    ``base_odometer`` (labels) where the printer counts: after a crash they tell what may have come out.
    ``started_by`` says to whom it was handed out the last time; ``detail`` is what the printing side said in its own
    words.
    """

    __tablename__ = "print_job"
    __table_args__ = (
        *within("printer", "printer_id"),
        *within("print_job", "reprint_of_id"),
        UniqueConstraint("warehouse_id", "once"),
        CheckConstraint("copies BETWEEN 1 AND 500", name="copies"),
        Index("ix_print_job_queue", "warehouse_id", "printer_id", "state", "id"),
        Index("ix_print_job_document", "warehouse_id", "document", "document_id"),
    )
    printer_id: Mapped[int]
    kind: Mapped[str] = mapped_column(String(24))
    document: Mapped[str] = mapped_column(String(32))
    document_id: Mapped[int]
    title: Mapped[str] = mapped_column(String(120), default="")
    once: Mapped[str] = mapped_column(String(96))
    language: Mapped[PrinterLanguage] = state_column(PrinterLanguage, default=PrinterLanguage.ZPL, server_default="zpl")
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    source: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    source_kind: Mapped[str] = mapped_column(String(8), default="", server_default="")
    not_drawn: Mapped[str] = mapped_column(String(120), default="", server_default="")
    sha256: Mapped[str] = mapped_column(String(64))
    copies: Mapped[int] = mapped_column(Integer, default=1)
    width_mm: Mapped[int] = mapped_column(Integer)
    height_mm: Mapped[int] = mapped_column(Integer)
    dpi: Mapped[int] = mapped_column(Integer)
    state: Mapped[PrintState] = state_column(PrintState, default=PrintState.QUEUED)
    reason: Mapped[str] = mapped_column(String(40), default="")
    attempt: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    started_at: Mapped[datetime | None]
    detail: Mapped[str] = mapped_column(String(200), default="", server_default="")
    started_by: Mapped[str] = mapped_column(String(40), default="", server_default="")
    base_odometer: Mapped[int | None]
    operator_id: Mapped[int | None]
    station_id: Mapped[int | None]
    reprint_of_id: Mapped[int | None]
    reprint_no: Mapped[int] = mapped_column(Integer, default=0)
    reprint_reason: Mapped[str] = mapped_column(String(120), default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    next_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class PrintAttempt(InWarehouse, Base):
    """Every try to send a job: what went, what the printer said. Append-only.

    A try is written down once, however often its end is told: (job, attempt) is unique.
    """

    __tablename__ = "print_attempt"
    __table_args__ = (
        *within("print_job", "job_id"),
        Index("ix_print_attempt_job", "warehouse_id", "job_id"),
        Index("ix_print_attempt_once", "warehouse_id", "job_id", "attempt", unique=True),
    )
    job_id: Mapped[int]
    at: Mapped[datetime]
    printer_uri: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64))
    result: Mapped[str] = mapped_column(String(24))
    reason: Mapped[str] = mapped_column(String(40), default="")
    detail: Mapped[str] = mapped_column(String(200), default="", server_default="")
    odometer_before: Mapped[int | None]
    odometer_after: Mapped[int | None]
    bytes_sent: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int | None] = mapped_column(Integer)


class StationAgent(InWarehouse, Base):
    """A small program beside printers the server cannot reach; it fetches their jobs with a token of its own.

    The token is shown once and kept only as its SHA-256. ``queues`` is what the agent saw on its machine.
    """

    __tablename__ = "station_agent"
    __table_args__ = (
        UniqueConstraint("warehouse_id", "code"),
        *within("station", "station_id"),
        Index("ix_station_agent_token", "token_sha256", unique=True),
    )
    code: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(80))
    token_sha256: Mapped[str] = mapped_column(String(64))
    station_id: Mapped[int | None]
    version: Mapped[str] = mapped_column(String(40), default="")
    system: Mapped[str] = mapped_column(String(80), default="")
    queues: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
