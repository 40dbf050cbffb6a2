"""By when an order must leave: the platform's own promise, and the shop's if that is earlier. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from wms.errors import N_, Refusal

MOST_HOURS = 720


class BadPromise(Refusal):
    message = N_(
        "Enter 1 to 720 hours, a time such as 16:00 or nothing, and working days as digits from 1 (Monday) to 7."
    )


def checked(hours: str, cut_off: str, days: str) -> dict[str, Any]:
    """The rule's facts from what was typed. Raises BadPromise."""
    hours, cut_off, days = hours.strip(), cut_off.strip(), days.strip()
    good = (
        hours.isascii()
        and hours.isdigit()
        and len(hours) < 5
        and 1 <= int(hours) <= MOST_HOURS
        and re.fullmatch(r"(([01]\d|2[0-3]):[0-5]\d)?", cut_off) is not None
        and re.fullmatch(r"[1-7]{1,7}", days) is not None
    )
    if not good:
        raise BadPromise()
    return {"hours": int(hours), "cut_off": cut_off, "days": "".join(sorted(set(days)))}


def due(since: datetime, facts: Mapping[str, Any], zone: ZoneInfo, promised: datetime | None = None) -> datetime:
    """So many hours of working days after ``since``, never later than what the platform promised (both aware).

    What comes on a day off, or after the cut-off of a working day, counts from the next working day's first hour.
    """
    days = {int(day) for day in str(facts["days"])}
    at = since.astimezone(zone)
    if at.isoweekday() not in days or (facts["cut_off"] and at.time() >= time.fromisoformat(str(facts["cut_off"]))):
        at = _next_day(at, zone)
    left = timedelta(hours=int(facts["hours"]))
    while True:
        while at.isoweekday() not in days:
            at = _next_day(at, zone)
        until = _next_day(at, zone)
        today = until.astimezone(ZoneInfo("UTC")) - at.astimezone(ZoneInfo("UTC"))
        if left <= today:
            ours = (at.astimezone(ZoneInfo("UTC")) + left).astimezone(since.tzinfo)
            return min(ours, promised) if promised is not None else ours
        left -= today
        at = until


def _next_day(at: datetime, zone: ZoneInfo) -> datetime:
    return datetime.combine(at.date() + timedelta(days=1), time(), zone)
