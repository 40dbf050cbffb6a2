"""Pushes 回传 at the desk: what the shops do not know yet, why, and sending it again."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request
from sqlalchemy.orm import Session

from wms.errors import N_
from wms.flows import pushes
from wms.models import Push, PushState, Role
from wms.web.access import operator, requires
from wms.web.floor import Message, Screen, done, first_time, page
from wms.web.translate import say

bp = Blueprint("pushes", __name__)

MOST = 200


def why(push: Push) -> str:
    """What the shop last said, in the operator's language; as it stands where its facts do not fit its words."""
    try:
        return say(push.reason, push.evidence)
    except (KeyError, TypeError, ValueError):
        return push.reason


def show(session: Session, **_where: Any) -> Screen:
    who = operator()
    wanted = request.args.get("state", "")
    state = PushState(wanted) if wanted in list(PushState) else None
    rows = pushes.listed(session, who.warehouse_id, state, MOST + 1)
    return Screen(
        "desk/pushes.html",
        {
            "rows": rows[:MOST],
            "more": len(rows) > MOST,
            "state": state,
            "states": list(PushState),
            "numbers": pushes.outstanding(session, who.warehouse_id),
            "oldest": pushes.oldest(session, who.warehouse_id),
            "may_send": list(pushes.STEPS),
            "why": why,
        },
    )


@bp.get("/desk/pushes")
@requires(Role.SUPERVISOR)
def index() -> str:
    return page(show)


@bp.post("/desk/pushes/<int:push_id>/again")
@requires(Role.SUPERVISOR)
@first_time(show)
def again(session: Session, push_id: int) -> Message | None:
    pushes.send_again(session, operator().warehouse_id, push_id)
    return done(N_("It is sent again within a minute."))
