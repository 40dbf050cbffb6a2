"""Count 盘点 on the phone: /count. Nothing the book knows may be in an answer from here (R39)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, request
from sqlalchemy.orm import Session

from wms.errors import N_, ChangedMeanwhile, term
from wms.flows import count
from wms.models import Count, Location, Role
from wms.web.access import operator, requires, settings
from wms.web.floor import Message, Screen, done, first_time, page

bp = Blueprint("count", __name__)


def show(session: Session, **_where: Any) -> Screen:
    """The step of the worker's count, or the page that offers work."""
    who = operator()
    current = count.current(session, who.warehouse_id, who.id)
    if current is None:
        return Screen("count/waiting.html", {"waiting": count.waiting_for(session, who.warehouse_id, who.id)})
    place = session.get_one(Location, (current.warehouse_id, current.location_id))
    # Only these fields: the row itself says whether somebody counted here before.
    if not current.at_place:
        return Screen("count/scan_location.html", {"count_id": current.id, "place": place.code})
    lines = count.lines(session, current)
    return Screen(
        "count/scan_item.html",
        {
            "count_id": current.id,
            "place": place.code,
            "lines": lines,
            "pieces": sum(qty for _, _, qty in lines),
        },
    )


def _mine(session: Session, count_id: int) -> Count:
    current = count.current(session, operator().warehouse_id, operator().id, for_update=True)
    if current is None or current.id != count_id:
        raise ChangedMeanwhile(what=term("The count"))
    return current


@bp.get("/count")
@requires(Role.PICKER)
def index() -> str:
    return page(show)


@bp.get("/count/<int:count_id>")
@requires(Role.PICKER)
def one(count_id: int) -> str:
    return page(show, count_id=count_id)


@bp.post("/count/next")
@requires(Role.PICKER)
@first_time(show)
def next_count(session: Session) -> None:
    count.give_work(session, operator().id, timedelta(minutes=settings().claim_idle_minutes))


@bp.post("/count/<int:count_id>/scan")
@requires(Role.PICKER)
@first_time(show)
def scan(session: Session, count_id: int) -> Message | None:
    current = _mine(session, count_id)
    before = set(_counted(session, current))
    count.scan(session, current, request.form.get("code", ""))
    for sku, lot, pieces in _counted(session, current):
        if (sku, lot, pieces) not in before:
            return done(N_("%(item)s: %(qty)s counted."), item=sku, qty=pieces)
    return done(N_("Right."))


def _counted(session: Session, current: Count) -> list[tuple[str, str, int]]:
    return [(item.sku, lot, pieces) for item, lot, pieces in count.lines(session, current)]


@bp.post("/count/<int:count_id>/enter")
@requires(Role.PICKER)
@first_time(show)
def enter(session: Session, count_id: int) -> Message | None:
    current, form = _mine(session, count_id), request.form
    item = form.get("item", "")
    count.enter(
        session,
        current,
        int(item) if item.isascii() and item.isdigit() and len(item) < 19 else 0,
        form.get("lot", ""),
        form.get("qty", ""),
    )
    return done(N_("The number is changed."))


@bp.post("/count/<int:count_id>/finish")
@requires(Role.PICKER)
@first_time(show)
def finish(session: Session, count_id: int) -> Message | None:
    count.finish(session, _mine(session, count_id))
    return done(N_("Thank you, counted."))
