"""R45: a line for every change of a document: who, when, where, by which scan, before and after."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from wms.clock import now
from wms.db import actor_of
from wms.models import Journal, new_id

_LINE = insert(cast(Table, Journal.__table__))


def note(session: Session, row: Any, what: str, before: object = "", after: object = "") -> None:
    """Write down what happened to a row, in the transaction that did it."""
    actor = actor_of(session)
    session.execute(
        _LINE,
        {
            "warehouse_id": actor.warehouse_id,
            "id": new_id(),
            "at": now(),
            "operator_id": actor.operator_id,
            "device_id": actor.device_id,
            "scan_id": actor.scan_id,
            "document": row.__tablename__,
            "document_id": row.id,
            "what": what,
            "before": str(before)[:200],
            "after": str(after)[:400],
        },
    )


def advance(session: Session, row: Any, state: Any, steps: dict[Any, set[Any]], field: str = "state") -> None:
    """Take a document to its next state, if its table of steps allows it, and write that down."""
    before = getattr(row, field)
    if before == state:
        return
    assert state in steps.get(before, set()), f"{row.__tablename__}: {before} does not lead to {state}"
    setattr(row, field, state)
    note(session, row, field, before, state)
