"""The night at the desk: what did not go and why, in one look, and as a file (R37)."""

from __future__ import annotations

import csv
import io
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session

from wms.errors import N_, NotFound, term
from wms.flows import night, pushes
from wms.models import NightLine, NightRun, NightStep, NightVerdict, Role
from wms.web.access import database, operator, requires
from wms.web.floor import Message, Screen, done, first_time, look, page
from wms.web.translate import _, local, say

bp = Blueprint("night", __name__)

MOST = 200
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Signs with which a cell becomes a formula in Excel."""


def words(message: str, facts: dict[str, Any]) -> str:
    """In the operator's language; as it stands where its facts do not fit its words."""
    try:
        return say(message, facts)
    except (KeyError, TypeError, ValueError):
        return message


def _run(session: Session) -> NightRun | None:
    """The night asked for, else the latest."""
    warehouse_id = operator().warehouse_id
    text = request.args.get("night", "")
    if text.isascii() and text.isdigit() and len(text) < 20:
        found = session.get(NightRun, (warehouse_id, int(text)))
        if found is None:
            raise NotFound(what=term("The night"))
        return found
    latest = night.runs(session, warehouse_id, 1)
    return latest[0] if latest else None


def _bars(totals: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each shop's orders as parts of a bar, in thousandths of its length."""
    drawn = []
    for one in totals:
        parts, at = [], 0
        for verdict in NightVerdict:
            wide = round(one[verdict.value] * 1000 / one["orders"])
            if one[verdict.value] and not wide:
                wide = 4  # one bad order among thousands is seen
            wide = min(wide, 1000 - at)
            parts.append({"verdict": verdict.value, "x": at, "wide": wide, "count": one[verdict.value]})
            at += wide
        drawn.append({"name": one["name"], "parts": parts})
    return drawn


def show(session: Session, **_where: Any) -> Screen:
    run = _run(session)
    totals = night.totals(session, run) if run else []
    rows = list(night.lines(session, run, limit=MOST + 1)) if run else []
    progress = run.progress if run else {}
    return Screen(
        "desk/night.html",
        {
            "run": run,
            "runs": night.runs(session, operator().warehouse_id),
            "steps": [step for step in NightStep if step is not NightStep.DONE],
            "at": list(NightStep).index(run.step) if run else 0,
            "totals": totals,
            "bars": _bars(totals),
            "sum": {each.value: sum(one[each.value] for one in totals) for each in NightVerdict},
            "rows": rows[:MOST],
            "more": len(rows) > MOST,
            "pulled": progress.get("pull") or {},
            "stock": progress.get("stock") or {},
            "faults": (progress.get("books") or {}).get("faults") or [],
            "told": progress.get("tell") or {},
            "once_more": (night.NO_NUMBER, night.STILL_OPEN),
            "words": words,
        },
    )


@bp.get("/desk/night")
@requires(Role.SUPERVISOR)
def index() -> str:
    return page(show)


@bp.post("/desk/night/orders/<int:order_id>/again")
@requires(Role.SUPERVISOR)
@first_time(show)
def once_more(session: Session, order_id: int) -> Message | None:
    if not pushes.send_once_more(session, operator().warehouse_id, order_id):
        return look(N_("It is being sent already."))
    return done(N_("It is sent again within a minute."))


def _cell(text: object) -> str:
    said = str(text if text is not None else "")
    return f"'{said}" if said.startswith(FORMULA) else said


def _verdict(line: NightLine) -> str:
    return {
        NightVerdict.ALIKE: _("alike"),
        NightVerdict.DIFFERENT: _("different"),
        NightVerdict.UNKNOWN: _("not asked"),
        NightVerdict.WAITING: _("not told yet"),
    }[line.verdict]


@bp.get("/desk/night.csv")
@requires(Role.SUPERVISOR)
def statement() -> Response:
    """Every order of a night, in the operator's language; money in major units, the numbers as text."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    with database().reading() as session:
        run = _run(session)
        if run is None:
            raise NotFound(what=term("The night"))
        writer.writerow(
            [
                _("Shop"), _("Order"), _("State"), _("Why"), _("Our waybills"), _("Waybills at the shop"),
                _("Sent, pieces"), _("Sold, pieces"), _("Sent, money"), _("Sold, money"), _("Currency"),
            ]
        )  # fmt: skip
        for line, shop in night.lines(session, run, all_of_them=True):
            writer.writerow(
                [
                    _cell(shop), _cell(line.shop_order_no), _verdict(line), _cell(words(line.reason, line.facts)),
                    _cell(line.our_numbers), _cell(line.shop_numbers), line.pieces,
                    "" if line.shop_pieces is None else line.shop_pieces, _money(line.money), _money(line.shop_money),
                    line.currency,
                ]
            )  # fmt: skip
        name = local(run.started_at, "yyyy-MM-dd")
    answer = Response("\ufeff" + out.getvalue(), mimetype="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f"attachment; filename=night-{name}.csv"
    return answer


def _money(minor: int | None) -> str:
    return "" if minor is None else f"{minor // 100}.{minor % 100:02d}"
