"""What all tables share: named constraints, ids, the warehouse in every key that grows, UTC times."""

from __future__ import annotations

import enum
import secrets
import threading
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Enum, ForeignKey, ForeignKeyConstraint, MetaData
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from wms import sealing

EPOCH_MS = 1_704_067_200_000
"""2024-01-01 UTC: ids count milliseconds from here."""

_guard = threading.Lock()
_last = 0


def new_id() -> int:
    """A 63-bit id, rising in time within a process: 41 bits of milliseconds, 22 of chance.

    Made by the program, not by a sequence, so that rows of one scan can name each other before they are
    saved and many machines can write without asking one counter.
    """
    global _last
    fresh = (int(time.time() * 1000) - EPOCH_MS << 22) | secrets.randbits(22)
    with _guard:
        _last = fresh if fresh > _last else _last + 1 + secrets.randbits(8)
        return _last


def first_id(moment: datetime) -> int:
    """Ids rise with time, so what was made since a moment is a range of the primary key that begins here."""
    return (int(moment.timestamp() * 1000) - EPOCH_MS) << 22


class UtcTime(TypeDecorator[datetime]):
    """UTC in the table, aware in Python, on both databases (R7)."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        assert value.tzinfo is not None, "a time without a zone"
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Sealed(TypeDecorator[dict[str, Any]]):
    """A dictionary with secrets in it: sealed in the table, plain in Python. Assign it anew to change it."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else sealing.seal(value)

    def process_result_value(self, value: dict[str, Any] | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else sealing.unseal(value)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcTime, int: BigInteger}


class InWarehouse:
    """A table that grows: keyed (warehouse_id, id), so that a distributed PostgreSQL can shard by it."""

    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouse.id"), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=new_id)


def within(table: str, *columns: str) -> tuple[ForeignKeyConstraint, ...]:
    """Foreign keys to rows of the same warehouse, one for each column named."""
    return tuple(
        ForeignKeyConstraint(["warehouse_id", column], [f"{table}.warehouse_id", f"{table}.id"]) for column in columns
    )


def state_column(kind: type[enum.StrEnum], **options: Any) -> Mapped[Any]:
    """A state kept as its word, checked by the program, readable with any SQL client."""
    return mapped_column(
        Enum(
            kind,
            native_enum=False,
            create_constraint=False,
            length=24,
            values_callable=lambda members: [m.value for m in members],
        ),
        **options,
    )
