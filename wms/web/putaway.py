"""Put away 上架 on the phone: /putaway."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request
from sqlalchemy.orm import Session

from wms.errors import N_
from wms.flows import putaway
from wms.models import Item, Location, PutawayWork, Role, StockMove
from wms.web.access import operator, requires
from wms.web.floor import Message, Screen, done, first_time, look, page
from wms.web.translate import say_refusal

bp = Blueprint("putaway", __name__)

LONGEST_LIST = 40
"""Rows that a phone shows of what waits; the rest is a number."""


def show(session: Session, **_where: Any) -> Screen:
    """What waits to be put away, or where to put what is in hand."""
    who = operator()
    work = putaway.standing(session, who.warehouse_id, who.id)
    source = session.get_one(Location, (who.warehouse_id, work.from_id)) if work and work.from_id else None
    facts: dict[str, Any] = {"work": work, "source": source, "last": _last(session, work) if work else None}
    if work is None or work.item_id is None:
        waiting = putaway.waiting(session, who.warehouse_id)
        if work and source:
            waiting = [w for w in waiting if w.place.id == source.id and w.container == work.from_container]
        return Screen(
            "putaway/scan_item.html",
            {
                **facts,
                "waiting": waiting[:LONGEST_LIST],
                "more": max(0, len(waiting) - LONGEST_LIST),
                "pieces": sum(w.qty for w in waiting),
            },
        )
    asked = putaway.asked(session, work)
    suggested = work.suggested_id and session.get_one(Location, (work.warehouse_id, work.suggested_id))
    return Screen(
        "putaway/scan_location.html",
        {
            **facts,
            "item": session.get_one(Item, work.item_id),
            "suggested": suggested,
            "asked": say_refusal(asked) if asked else "",
        },
    )


def _last(session: Session, work: PutawayWork) -> tuple[int, str, str] | None:
    if work.last_move_id is None:
        return None
    move = session.get_one(StockMove, (work.warehouse_id, work.last_move_id))
    place = session.get_one(Location, (work.warehouse_id, move.to_id))
    return move.qty, session.get_one(Item, move.item_id).sku, place.code


@bp.get("/putaway")
@requires(Role.PICKER)
def index() -> str:
    return page(show)


@bp.post("/putaway/scan")
@requires(Role.PICKER)
@first_time(show)
def scan(session: Session) -> Message | None:
    work = putaway.work_of(session, operator().warehouse_id, operator().id)
    moved = putaway.scan(session, work, request.form.get("code", ""))
    question = putaway.asked(session, work) if moved == 0 else None
    if question is not None:
        return Message("look", say_refusal(question))
    if moved is None:
        return done(N_("Right."))
    move = session.get_one(StockMove, (work.warehouse_id, moved))
    place = session.get_one(Location, (work.warehouse_id, move.to_id))
    return done(N_("Put away at %(place)s."), place=place.code)


@bp.post("/putaway/qty")
@requires(Role.PICKER)
@first_time(show)
def qty(session: Session) -> Message | None:
    work = putaway.work_of(session, operator().warehouse_id, operator().id)
    putaway.set_qty(session, work, request.form.get("qty", ""))
    return done(N_("%(qty)s for this location."), qty=work.qty)


@bp.post("/putaway/let-go")
@requires(Role.PICKER)
@first_time(show)
def let_go(session: Session) -> Message | None:
    putaway.let_go(putaway.work_of(session, operator().warehouse_id, operator().id))
    return look(N_("Laid back. Nothing was moved."))


@bp.post("/putaway/undo")
@requires(Role.PICKER)
@first_time(show)
def undo(session: Session) -> Message | None:
    putaway.undo(session, putaway.work_of(session, operator().warehouse_id, operator().id))
    return look(N_("Undone. Take the pieces back to where they stood."))
