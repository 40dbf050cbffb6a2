"""The supervisor's desk: the board of today, shortages and counts to decide."""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Blueprint, Response, render_template, request
from sqlalchemy.orm import Session

from wms import lookup
from wms.clock import now
from wms.errors import N_, NotFound, term
from wms.flows import agents, board, carriers, count, printers, printing, pushes, release, tracking
from wms.models import Count, Location, Order, Role
from wms.order_states import locked
from wms.web.access import database, operator, requires
from wms.web.floor import Message, Screen, done, first_time, look, page
from wms.web.translate import language

bp = Blueprint("desk", __name__)


def _numbers(session: Session) -> dict[str, Any]:
    """All that the board shows, in plain values, so that two looks can be compared."""
    who = operator()
    at = now()
    waiting = printing.waiting(session, who.warehouse_id)
    unattended = agents.unattended(session, who.warehouse_id)
    rows = []
    for printer in printing.printers(session, who.warehouse_id):
        jobs = {state: number for (printer_id, state), number in waiting.items() if printer_id == printer.id}
        ask = sum(jobs.get(state, 0) for state in printing.TO_ASK)
        state, trouble = printing.how(printer, unattended)
        roll = printers.roll(session, printer)
        rows.append(
            {
                "name": printer.name,
                "state": state,
                "trouble": trouble,
                "jobs": sum(jobs.values()),
                "ask": ask,
                "left": roll.left if roll and roll.low else None,
            }
        )
    oldest = pushes.oldest(session, who.warehouse_id)
    return {
        "orders": {state.value: number for state, number in board.orders(session, who.warehouse_id).items()},
        "today": board.today(session, who.warehouse_id),
        "due": board.due(session, who.warehouse_id),
        "short": board.shortages(session, who.warehouse_id),
        "stopped": board.stopped(session, who.warehouse_id),
        "to_decide": board.to_decide(session, who.warehouse_id),
        "counts_open": count.open_counts(session, who.warehouse_id),
        "printers": rows,
        "alarms": sorted(tracking.alarm_counts(session, who.warehouse_id).items()),
        "stuck": carriers.stuck(session, who.warehouse_id),
        "pools": [(p.carrier.id, p.carrier.name, p.left) for p in carriers.low(session, who.warehouse_id)],
        "pushes": {state.value: number for state, number in pushes.outstanding(session, who.warehouse_id).items()},
        "oldest_minutes": int((at - oldest).total_seconds() // 60) if oldest else None,
    }


def _version(numbers: dict[str, Any]) -> str:
    return hashlib.sha256(repr((language(), numbers)).encode()).hexdigest()[:16]


def show_today(session: Session, **_where: Any) -> Screen:
    numbers = _numbers(session)
    return Screen("desk/today.html", {**numbers, "version": _version(numbers)})


@bp.get("/desk")
@requires(Role.SUPERVISOR)
def today() -> str:
    return page(show_today)


@bp.get("/desk/now")
@requires(Role.SUPERVISOR)
def board_now() -> Response:
    """The board again, or nothing when no number changed since ``v``."""
    with database().reading() as session:
        numbers = _numbers(session)
    version = _version(numbers)
    if request.args.get("v") == version:
        return Response(status=204)
    return Response(render_template("desk/now.html", **numbers, version=version))


def show_shortages(session: Session, **_where: Any) -> Screen:
    return Screen("desk/shortages.html", {"short": board.short_orders(session, operator().warehouse_id)})


@bp.get("/desk/shortages")
@requires(Role.SUPERVISOR)
def shortages() -> str:
    return page(show_shortages)


def _short_order(session: Session, order_id: int) -> Order:
    return locked(session, operator().warehouse_id, order_id)


@bp.post("/desk/shortages/<int:order_id>/again")
@requires(Role.SUPERVISOR)
@first_time(show_shortages)
def shortage_again(session: Session, order_id: int) -> Message | None:
    order = _short_order(session, order_id)
    release.try_again(session, order)
    return done(N_("Order %(order)s has all its pieces now and goes on."), order=order.shop_order_no)


@bp.post("/desk/shortages/<int:order_id>/without")
@requires(Role.SUPERVISOR)
@first_time(show_shortages)
def shortage_without(session: Session, order_id: int) -> Message | None:
    order = _short_order(session, order_id)
    release.ship_without(session, order)
    if order.state == "cancelled":
        return look(N_("Nothing of order %(order)s is left to send; it is cancelled."), order=order.shop_order_no)
    return done(N_("Order %(order)s goes on without the missing pieces."), order=order.shop_order_no)


def show_counts(session: Session, **_where: Any) -> Screen:
    who = operator()
    waiting = [
        (each, session.get_one(Location, (who.warehouse_id, each.location_id)), count.differences(session, each))
        for each in count.to_decide(session, who.warehouse_id)
    ]
    return Screen(
        "desk/counts.html",
        {
            "waiting": waiting,
            "reasons": count.REASONS,
            "open": count.open_counts(session, who.warehouse_id),
        },
    )


@bp.get("/desk/counts")
@requires(Role.SUPERVISOR)
def counts() -> str:
    return page(show_counts)


@bp.post("/desk/counts/plan")
@requires(Role.SUPERVISOR)
@first_time(show_counts)
def plan_count(session: Session) -> Message | None:
    found = lookup.expect(session, operator().warehouse_id, request.form.get("code", ""), "location")
    planned = count.plan(session, found.row)
    if planned.state != "planned":
        return look(N_("%(place)s is being counted already."), place=found.row.code)
    return done(N_("%(place)s will be counted."), place=found.row.code)


def _count(session: Session, count_id: int) -> Count:
    found = session.get(Count, (operator().warehouse_id, count_id), with_for_update=True)
    if found is None:
        raise NotFound(what=term("The count"))
    return found


@bp.post("/desk/counts/<int:count_id>/decide")
@requires(Role.SUPERVISOR)
@first_time(show_counts)
def decide(session: Session, count_id: int) -> Message | None:
    counted = _count(session, count_id)
    act = request.form.get("act", "")
    if act == "again":
        count.again(session, counted)
        return look(N_("%(count)s will be counted again by somebody else."), count=counted.code)
    if act == "keep":
        count.reject(session, counted)
        return look(N_("%(count)s is closed. The book stays as it was."), count=counted.code)
    outcome = count.accept(session, counted, request.form.get("reason", ""))
    if outcome.orders_short:
        return look(
            N_("The book is corrected by %(pieces)s pieces. Short of them now: %(orders)s."),
            pieces=f"{outcome.pieces:+d}",
            orders=", ".join(outcome.orders_short),
        )
    return done(N_("The book is corrected by %(pieces)s pieces."), pieces=f"{outcome.pieces:+d}")
