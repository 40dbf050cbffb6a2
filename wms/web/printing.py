"""Printers, their queue, the stations, and printing shelf and item labels."""

from __future__ import annotations

import socket
from typing import Any

from flask import Blueprint, Response, g, request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms import labels, lookup, tls
from wms.errors import N_, BadQuantity, NotFound, Refusal, term
from wms.flows import agents, label_templates, printers, printing
from wms.models import Item, Location, LocationKind, Printer, PrintJob, PrintState, Role, Station, new_id
from wms.web.access import operator, requires, settings
from wms.web.each import alone
from wms.web.floor import Message, Screen, done, first_time, go, look, page, render
from wms.web.translate import say_refusal

bp = Blueprint("printing", __name__)

SHOWN = 100
LABELS_AT_ONCE = 200
COPIES = 100


class NothingFits(Refusal):
    message = N_("Nothing has a code like %(pattern)s.")
    answer = "look"


class ChoosePrinter(Refusal):
    message = N_("Choose a printer.")
    answer = "look"


def _number(name: str) -> int | None:
    text = request.form.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def show(session: Session, **_where: Any) -> Screen:
    who = operator()
    every = request.args.get("all") == "1"
    states = list(PrintState) if every else list(printing.UNFINISHED)
    rows = printing.jobs(session, who.warehouse_id, states, SHOWN + 1)
    waiting: dict[int, int] = {}
    for (printer_id, _state), number in printing.waiting(session, who.warehouse_id).items():
        waiting[printer_id] = waiting.get(printer_id, 0) + number
    return Screen(
        "desk/printing.html",
        {
            "printers": printing.printers(session, who.warehouse_id),
            "waiting": waiting,
            "stations": printing.stations(session, who.warehouse_id),
            "by_kind": printing.by_kind(session, who.warehouse_id),
            "jobs": rows[:SHOWN],
            "more": len(rows) > SHOWN,
            "every": every,
            "admin": who.may(Role.ADMIN),
            "may_retry": printing.MAY_RETRY,
            "may_cancel": printing.MAY_CANCEL,
            "may_move": printing.MAY_MOVE,
            "to_ask": printing.TO_ASK,
            "how": printing.how,
            "unattended": agents.unattended(session, who.warehouse_id),
            "agents": agents.every(session, who.warehouse_id),
            "agent_state": agents.how,
            "rolls": printers.rolls(session, printing.printers(session, who.warehouse_id)),
            "troubled": label_templates.troubled(session, who.warehouse_id),
        },
    )


@bp.get("/desk/printing")
@requires(Role.SUPERVISOR)
def index() -> str:
    return page(show)


@bp.post("/desk/printing/printers/<int:printer_id>/pause")
@requires(Role.SUPERVISOR)
@first_time(show)
def pause(session: Session, printer_id: int) -> Message | None:
    paused = request.form.get("act") == "pause"
    printer = printing.pause(session, operator().warehouse_id, printer_id, paused)
    if paused:
        return look(N_("%(printer)s is paused. Its jobs wait."), printer=printer.name)
    return done(N_("%(printer)s goes on."), printer=printer.name)


@bp.post("/desk/printing/jobs/<int:job_id>")
@requires(Role.SUPERVISOR)
@first_time(show)
def change_job(session: Session, job_id: int) -> Message | None:
    who, act = operator(), request.form.get("act", "")
    if act == "retry":
        job = printing.retry(session, who.warehouse_id, job_id)
        return done(N_("%(job)s is in the queue again."), job=job.title)
    if act == "cancel":
        job = printing.cancel(session, who.warehouse_id, job_id)
        return look(N_("%(job)s is not printed."), job=job.title)
    if act == "move":
        chosen = _number("printer")
        if chosen is None:
            raise ChoosePrinter()
        job = printing.move(session, who.warehouse_id, job_id, chosen)
        printer = printing.printer_of(session, who.warehouse_id, job.printer_id)
        return done(N_("%(job)s is printed at %(printer)s."), job=job.title, printer=printer.name)
    if act in ("yes", "no"):
        job = printing.came_out(session, who.warehouse_id, job_id, act == "yes")
        if act == "yes":
            return done(N_("%(job)s counts as printed."), job=job.title)
        return look(N_("%(job)s is printed once more."), job=job.title)
    raise NotFound(what=term("This act"))


def show_printer(session: Session, printer_id: int = 0, **_where: Any) -> Screen:
    printer = printing.printer_of(session, operator().warehouse_id, printer_id) if printer_id else None
    return Screen(
        "desk/printer.html",
        {
            "printer": printer,
            "networks": settings().printer_networks,
            "dpis": printing.DPIS,
            "seen": _seen_by_agents(session),
            "form": request.form if request.method == "POST" else None,
            "found": request.args if request.method == "GET" and not printer_id else {},
        },
    )


def _seen_by_agents(session: Session) -> list[tuple[str, str]]:
    """(address, words) of every queue an agent told of, for choosing."""
    return [
        (f"agent://{agent.code}/{queue.get('address', '')}", f"{queue['name']} · {agent.name}")
        for agent in agents.every(session, operator().warehouse_id)
        if agent.revoked_at is None
        for queue in agent.queues
    ]


@bp.get("/desk/printing/printers/new")
@requires(Role.ADMIN)
def new_printer() -> str:
    return page(show_printer)


@bp.get("/desk/printing/printers/<int:printer_id>")
@requires(Role.ADMIN)
def printer(printer_id: int) -> str:
    return page(show_printer, printer_id=printer_id)


def _addresses(host: str) -> tuple[str, ...]:
    """What a host name stands for, or nothing. Slow where the network is: never inside a transaction."""
    if not host:
        return ()
    try:
        return tuple(sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}))
    except (OSError, UnicodeError):
        return ()


@bp.post("/desk/printing/printers/save")
@bp.post("/desk/printing/printers/<int:printer_id>/save")
@requires(Role.ADMIN)
def save_printer(printer_id: int = 0) -> Response:
    g.addresses = _addresses(printing.host_of(request.form.get("uri", "")))
    return _save_printer(printer_id=printer_id)


@first_time(show_printer)
def _save_printer(session: Session, printer_id: int) -> Message | None:
    uri = printing.check_address(request.form.get("uri", ""), g.addresses, settings().printer_networks)
    printing.save_printer(
        session,
        printer_id or None,
        code=request.form.get("code", ""),
        name=request.form.get("name", ""),
        uri=uri,
        dpi=_number("dpi") or 0,
        width_mm=_number("width_mm") or 0,
        height_mm=_number("height_mm") or 0,
        answers=request.form.get("answers") == "1",
        trusted=request.form.get("trusted") == "1",
        language=request.form.get("language", "zpl"),
        gap_mm=_gap(),
        black_mark=request.form.get("black_mark") == "1",
        graphics=request.form.get("graphics", "z64"),
    )
    return go("/desk/printing")


def _gap() -> int:
    """The gap in whole millimetres, 2 where the form does not ask; -1, which is refused, for what is no number."""
    if "gap_mm" not in request.form:
        return 2
    entered = _number("gap_mm")
    return -1 if entered is None else entered


def show_station(session: Session, station_id: int = 0, **_where: Any) -> Screen:
    who = operator()
    station = session.get(Station, (who.warehouse_id, station_id)) if station_id else None
    if station_id and station is None:
        raise NotFound(what=term("The station"))
    return Screen(
        "desk/station.html",
        {
            "station": station,
            "kinds": labels.KINDS,
            "by_kind": printing.by_kind(session, who.warehouse_id).get(station_id, {}),
            "printers": printing.printers(session, who.warehouse_id),
            "form": request.form if request.method == "POST" else None,
        },
    )


@bp.get("/desk/printing/stations/new")
@requires(Role.ADMIN)
def new_station() -> str:
    return page(show_station)


@bp.get("/desk/printing/stations/<int:station_id>")
@requires(Role.ADMIN)
def station(station_id: int) -> str:
    return page(show_station, station_id=station_id)


@bp.post("/desk/printing/stations/save")
@bp.post("/desk/printing/stations/<int:station_id>/save")
@requires(Role.ADMIN)
@first_time(show_station)
def save_station(session: Session, station_id: int = 0) -> Message | None:
    printing.save_station(
        session,
        station_id or None,
        code=request.form.get("code", ""),
        name=request.form.get("name", ""),
        waybill_printer_id=_number("waybill_printer"),
        label_printer_id=_number("label_printer"),
        by_kind={kind: _number(f"kind_{kind}") for kind in labels.KINDS if f"kind_{kind}" in request.form},
    )
    return go("/desk/printing")


# ---- Station agents


def show_agent(session: Session, **_where: Any) -> Screen:
    return Screen(
        "desk/agent.html",
        {
            "stations": printing.stations(session, operator().warehouse_id),
            "form": request.form if request.method == "POST" else None,
        },
    )


@bp.get("/desk/printing/agents/new")
@requires(Role.ADMIN)
def new_agent() -> str:
    return page(show_agent)


def _token_shown(code: str, name: str, token: str) -> str:
    """The page with the token, this once. Not ``first_time``: that would keep the answer, and the token with it."""
    root = tls.root(settings()) if settings().behind_tls else None
    server = request.host_url.rstrip("/")
    parts = ["python3 run.py agent", f"--server {server}", f"--token {token}"]
    if root is not None:
        parts.append(f"--ca-sha256 {root.fingerprint}")
    return render(
        Screen(
            "desk/agent_made.html",
            {"code": code, "name": name, "line": " ".join(parts), "plain": not request.is_secure},
        )
    )


@bp.post("/desk/printing/agents/save")
@requires(Role.ADMIN)
def add_agent() -> str | tuple[str, int]:
    try:
        agent, token = alone(
            lambda session: agents.add(
                session, request.form.get("code", ""), request.form.get("name", ""), _number("station")
            )
        )
    except Refusal as refusal:
        return page(show_agent, Message(refusal.answer, say_refusal(refusal))), refusal.status
    return _token_shown(agent.code, agent.name, token)


@bp.post("/desk/printing/agents/<int:agent_id>/token")
@requires(Role.ADMIN)
def new_token(agent_id: int) -> str:
    agent, token = alone(lambda session: agents.new_token(session, agent_id))
    return _token_shown(agent.code, agent.name, token)


@bp.post("/desk/printing/agents/<int:agent_id>/revoke")
@requires(Role.ADMIN)
@first_time(show)
def revoke_agent(session: Session, agent_id: int) -> Message | None:
    agent = agents.revoke(session, agent_id)
    return look(N_("%(agent)s is shut out. Jobs for its printers wait."), agent=agent.name)


# ---- Labels of shelves, totes and items


def show_labels(session: Session, **_where: Any) -> Screen:
    who = operator()
    return Screen(
        "desk/labels.html",
        {
            "printers": printing.printers(session, who.warehouse_id),
            "most": LABELS_AT_ONCE,
            "copies": COPIES,
            "form": request.form if request.method == "POST" else None,
            "locations": session.execute(
                select(Location.kind, func.count())
                .where(Location.warehouse_id == who.warehouse_id)
                .group_by(Location.kind)
            ).all(),
        },
    )


@bp.get("/desk/labels")
@requires(Role.SUPERVISOR)
def label_form() -> str:
    return page(show_labels)


def _like(pattern: str) -> str:
    """A pattern with * and ? as SQL's LIKE, with "\\" before what LIKE would read as more."""
    plain = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return plain.replace("*", "%").replace("?", "_")


@bp.post("/desk/labels")
@requires(Role.SUPERVISOR)
@first_time(show_labels)
def print_labels(session: Session) -> Message | None:
    who = operator()
    chosen = _number("printer")
    if chosen is None:
        raise ChoosePrinter()
    at = printing.printer_of(session, who.warehouse_id, chosen)
    pattern, what = request.form.get("pattern", "").strip()[:64], request.form.get("what", "location")
    once = request.form.get("scan_id", "")[:40] or str(new_id())
    if what == "item":
        queued = _queue_items(session, at, pattern, once)
    else:
        queued = _queue_places(session, at, pattern, once, tote=what == "tote")
    if len(queued) > LABELS_AT_ONCE:
        return look(
            N_("%(count)s labels are on their way. There are more: print the next ones with a narrower code."),
            count=LABELS_AT_ONCE,
        )
    return done(
        N_("%(count)s labels are on their way to %(printer)s."),
        count=sum(job.copies for job in queued),
        printer=at.name,
    )


def _queue_places(session: Session, at: Printer, pattern: str, once: str, tote: bool) -> list[PrintJob]:
    pattern = pattern.upper()
    pattern = pattern.removeprefix("T-") if tote else pattern.removeprefix("L-")
    kinds = (
        [LocationKind.TOTE]
        if tote
        else [LocationKind.STORAGE, LocationKind.RECEIVING, LocationKind.STAGING, LocationKind.QUARANTINE]
    )
    found = (
        session.execute(
            select(Location)
            .where(
                Location.warehouse_id == at.warehouse_id,
                Location.kind.in_(kinds),
                Location.code.like(_like(pattern), escape="\\"),
            )
            .order_by(Location.walk, Location.code)
            .limit(LABELS_AT_ONCE + 1)
        )
        .scalars()
        .all()
    )
    if not found:
        raise NothingFits(pattern=pattern or "—")
    jobs = [labels.queue_location(session, place, at, f"place:{place.id}:{once}") for place in found[:LABELS_AT_ONCE]]
    return jobs + jobs[-1:] * (len(found) > LABELS_AT_ONCE)


def _queue_items(session: Session, at: Printer, pattern: str, once: str) -> list[PrintJob]:
    copies = _number("copies") or 0
    if not 1 <= copies <= COPIES:
        raise BadQuantity(entered=request.form.get("copies", "")[:20] or "—", most=COPIES)
    if "*" in pattern or "?" in pattern:
        found = list(
            session.execute(
                select(Item)
                .where(Item.active, Item.sku.like(_like(pattern), escape="\\"))
                .order_by(Item.sku)
                .limit(LABELS_AT_ONCE + 1)
            ).scalars()
        )
        if not found:
            raise NothingFits(pattern=pattern)
    else:
        found = [lookup.expect(session, at.warehouse_id, pattern, "item").row]
    jobs = [labels.queue_item(session, item, at, copies, f"item:{item.id}:{once}") for item in found[:LABELS_AT_ONCE]]
    return jobs + jobs[-1:] * (len(found) > LABELS_AT_ONCE)
