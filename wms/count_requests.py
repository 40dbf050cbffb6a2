"""Ask for a count of a place: what a short pick and a supervisor both do (R22, R39)."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.db import actor_of
from wms.models import Count, CountState, Location, new_id

OPEN = (CountState.PLANNED, CountState.COUNTING, CountState.RECOUNT, CountState.TO_DECIDE)


def ask(session: Session, location: Location, why: str) -> Count:
    """The open count of a place, or a new one. ``why`` is ``planned`` or ``short``."""
    warehouse_id = actor_of(session).warehouse_id
    count = session.execute(
        select(Count)
        .where(Count.warehouse_id == warehouse_id, Count.location_id == location.id, Count.state.in_(OPEN))
        .limit(1)
    ).scalar_one_or_none()
    if count is not None:
        if why == "short" and count.why != "short":
            count.why = "short"
        return count
    count = Count(
        warehouse_id=warehouse_id,
        id=new_id(),
        code=f"{now():%m%d}-{location.code}"[:32],
        location_id=location.id,
        why=why,
        created_at=now(),
    )
    session.add(count)
    session.flush()
    journal.note(session, count, "planned", "", why)
    return count
