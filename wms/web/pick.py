"""Pick 拣货 on the phone: /pick."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from flask import Blueprint, Response, abort, current_app, jsonify, request
from sqlalchemy.orm import Session

from wms.clock import now
from wms.errors import N_, BadQuantity
from wms.flows import pick
from wms.models import OrderState, PickStep, PickTask, Role
from wms.scan import clean
from wms.web.access import database, operator, requires, settings
from wms.web.floor import Message, Screen, done, first_time, inside, look, page

bp = Blueprint("pick", __name__)


def show(session: Session, task_id: int | None = None, **_where: Any) -> Screen:
    """The step of the worker's task, else the tote that is still to be brought, else the page that offers work."""
    who = operator()
    task = (
        session.get(PickTask, (who.warehouse_id, task_id))
        if task_id
        else pick.current(session, who.warehouse_id, who.id)
    )
    if task is None and not task_id:
        since = now() - timedelta(minutes=settings().claim_idle_minutes)
        task = pick.lately_done(session, who.warehouse_id, who.id, since)
    if task is None:
        return Screen("pick/waiting.html", {"waiting": pick.waiting(session, who.warehouse_id)})
    if task.operator_id != who.id and task.step is not PickStep.DONE:
        return Screen("pick/taken.html", {"task": task, "owner": pick.owner(session, task)})
    line = pick.next_line(session, task) if task.step in (PickStep.SCAN_LOCATION, PickStep.SCAN_ITEM) else None
    order, tote = pick.order_and_tote(session, task)
    last = pick.last(session, task)
    lost = line is None and task.step in (PickStep.SCAN_LOCATION, PickStep.SCAN_ITEM)
    return Screen(
        "pick/done.html" if lost else f"pick/{task.step}.html",
        {
            "short": lost or order.state is OrderState.SHORT,
            "task": task,
            "order": order,
            "tote": tote,
            "line": line,
            "progress": pick.progress(session, task),
            "last": (last.pieces, last.sku) if last else None,
            "reasons": pick.SHORT_REASONS,
            "may_take_rest": line is not None and pick.may_take_rest(task, line, last),
        },
    )


@bp.get("/pick")
@requires(Role.PICKER)
def index() -> str:
    return page(show)


@bp.post("/pick/next")
@requires(Role.PICKER)
@first_time(show)
def next_task(session: Session) -> None:
    pick.give_work(session, operator().id, timedelta(minutes=settings().claim_idle_minutes))


@bp.get("/pick/<int:task_id>")
@requires(Role.PICKER)
def task(task_id: int) -> str:
    return page(show, task_id=task_id)


@bp.get("/pick/<int:task_id>/carried")
@requires(Role.PICKER)
def carried(task_id: int) -> Response:
    """What the phone takes along to pick this task where there is no network: lines, codes, and their screens.

    The screens are the ordinary ones, each once, and of each line only the step in their middle. What changes from
    line to line and from scan to scan stands in them as {left}, {done}, {last_qty}, {last_sku}, {place}, {label} and
    {key}, for static/scan/carried.js to fill in.
    """
    who = operator()
    with database().reading() as session:
        task = session.get(PickTask, (who.warehouse_id, task_id))
        if task is None or task.operator_id != who.id:
            abort(404)
        if task.step not in (PickStep.SCAN_LOCATION, PickStep.SCAN_ITEM):
            return jsonify(lines=[])
        order, tote = pick.order_and_tote(session, task)
        progress = pick.progress(session, task)
        facts: dict[str, Any] = {
            "task": task,
            "order": order,
            "tote": tote,
            "progress": pick.Progress("{done}", progress.total),  # type: ignore[arg-type]
            "last": ("{last_qty}", "{last_sku}"),
            "reasons": pick.SHORT_REASONS,
            "may_take_rest": True,
            "message": None,
        }
        steps: dict[str, Any] = {"tote": tote, "ui": current_app.jinja_env.get_template("parts/ui.html").module}
        lines = []
        for each in pick.carried(session, task):
            line = each.line
            steps["line"] = replace(line, qty="{left}", remaining={})  # type: ignore[arg-type]
            lines.append(
                {
                    "key": line.key,
                    "location": str(line.location.id),  # ids are longer than a number of JavaScript
                    "place": line.location.code,
                    "item": str(line.item.id),
                    "sku": line.item.sku,
                    "lot": line.lot,
                    "lot_tracked": line.item.lot_tracked,
                    "lot_needed": each.lot_needed,
                    "expired": line.expiry.isoformat() if each.expired and line.expiry else "",
                    "left": line.qty,
                    "codes": each.codes,
                    "label": line.location.barcode,
                    "go": inside("pick/scan_location.html", steps, "step"),
                    "take": inside("pick/scan_item.html", steps, "step"),
                }
            )
        place = SimpleNamespace(id="", code="{place}", barcode="{label}")
        item = SimpleNamespace(name="", sku="")
        any_line = SimpleNamespace(
            key="{key}", qty="{left}", remaining={}, location=place, item=item, lot="", expiry=None
        )
        end = SimpleNamespace(shop_order_no=order.shop_order_no, state=OrderState.PICKED)
        return jsonify(
            task=str(task.id),
            total=progress.total,
            done=progress.done,
            at=str(task.location_id) if task.step is PickStep.SCAN_ITEM else "",
            lines=lines,
            go=inside("pick/scan_location.html", {**facts, "line": any_line}),
            take=inside("pick/scan_item.html", {**facts, "line": any_line}),
            end=inside("pick/done.html", {**facts, "order": end, "short": False}),
            short_end=inside("pick/done.html", {**facts, "order": end, "short": True}),
        )


@bp.post("/pick/<int:task_id>/scan")
@requires(Role.PICKER)
@first_time(show)
def scan(session: Session, task_id: int) -> Message | None:
    current = pick.load(session, operator().warehouse_id, task_id)
    at = request.form.get("at", "")
    stood = int(at) if at.isascii() and at.isdigit() and len(at) < 19 else None
    if not pick.scan(session, operator().id, current, request.form.get("code", ""), stood):
        return look(N_("A count found that nothing more is here for this order. Lay this piece back."))
    return done(N_("%(code)s is right."), code=clean(request.form.get("code", ""))[:40])


@bp.post("/pick/<int:task_id>/rest")
@requires(Role.PICKER)
@first_time(show)
def rest(session: Session, task_id: int) -> Message | None:
    current = pick.load(session, operator().warehouse_id, task_id)
    entered = request.form.get("qty", "").strip()
    if not (entered.isascii() and entered.isdigit()):
        line = pick.next_line(session, current)
        raise BadQuantity(entered=entered[:20] or "—", most=line.qty if line else 1)
    pick.take_rest(session, operator().id, current, int(entered), request.form.get("line", ""))
    return done(N_("%(qty)s taken."), qty=int(entered))


@bp.post("/pick/<int:task_id>/short")
@requires(Role.PICKER)
@first_time(show)
def short(session: Session, task_id: int) -> Message | None:
    current = pick.load(session, operator().warehouse_id, task_id)
    found = pick.short(session, operator().id, current, request.form.get("reason", ""), request.form.get("line", ""))
    if found:
        return look(N_("Noted. %(qty)s more were found at another location."), qty=found)
    return look(N_("Noted as short. A supervisor sees it; go on."))


@bp.post("/pick/<int:task_id>/undo")
@requires(Role.PICKER)
@first_time(show)
def undo(session: Session, task_id: int) -> Message | None:
    pick.undo(session, operator().id, pick.load(session, operator().warehouse_id, task_id))
    return look(N_("Undone. Put the piece back."))


@bp.post("/pick/<int:task_id>/put-down")
@requires(Role.PICKER)
@first_time(lambda session, **_where: show(session))
def put_down(session: Session, task_id: int) -> Message | None:
    pick.put_down(session, operator().id, pick.load(session, operator().warehouse_id, task_id))
    return done(N_("The task is free for somebody else."))


@bp.post("/pick/<int:task_id>/take-over")
@requires(Role.PICKER)
@first_time(show)
def take_over(session: Session, task_id: int) -> Message | None:
    pick.take_over(session, operator().id, task_id)
    return done(N_("The task is yours now."))


@bp.post("/pick/<int:task_id>/stopped")
@requires(Role.PICKER)
@first_time(lambda session, **_where: show(session))
def stopped(session: Session, task_id: int) -> Message | None:
    pick.stopped_seen(session, operator().id, pick.load(session, operator().warehouse_id, task_id))
    return done()
