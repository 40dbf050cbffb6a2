"""ERPs at the desk: which goods they say will come, what they do not know yet, and telling it again."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from sqlalchemy.orm import Session

from wms.errors import N_
from wms.flows import erp
from wms.models import ErpNews, Role
from wms.web.access import operator, requires
from wms.web.floor import Message, Screen, done, first_time, page
from wms.web.translate import say

bp = Blueprint("erp", __name__)

MOST = 200


def why(news: ErpNews) -> str:
    """What the ERP last said; as it stands where its facts do not fit its words."""
    try:
        return say(news.reason, news.evidence)
    except (KeyError, TypeError, ValueError):
        return news.reason


def show(session: Session, **_where: Any) -> Screen:
    who = operator()
    return Screen(
        "desk/erp.html",
        {
            "documents": erp.listed(session, who.warehouse_id, MOST),
            "news": erp.news_outstanding(session, who.warehouse_id, MOST),
            "may_send": list(erp.NEWS_STEPS),
            "why": why,
        },
    )


@bp.get("/desk/erp")
@requires(Role.SUPERVISOR)
def index() -> str:
    return page(show)


@bp.post("/desk/erp/<int:news_id>/again")
@requires(Role.SUPERVISOR)
@first_time(show)
def again(session: Session, news_id: int) -> Message | None:
    erp.send_again(session, operator().warehouse_id, news_id)
    return done(N_("It is sent again within a minute."))
