"""Many documents at once, each in a transaction of its own, so that one bad one never stops the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from wms.web.access import actor, database
from wms.web.floor import TRIES

Result = TypeVar("Result")


def alone(rule: Callable[[Session], Result]) -> Result:
    """Do a rule in a transaction of its own; a victim of a deadlock is simply done again. Refusals pass through."""
    for attempt in range(TRIES):
        try:
            with database().transaction(actor()) as session:
                return rule(session)
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", "") or ""
            if state not in ("40P01", "40001") or attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")
