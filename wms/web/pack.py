"""Pack 打包 at the station: /pack."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import partial
from typing import Any

from flask import Blueprint, Response, after_this_request, g, make_response, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import labels, taken_back, together, waybills
from wms.errors import N_, BadQuantity, ChangedMeanwhile, term
from wms.flows import pack, printing
from wms.jobs import gate
from wms.models import Carrier, Device, Location, Order, Parcel, ParcelState, Printer, Role, Station, Warehouse
from wms.scan import clean, parse
from wms.web import at_printer, components
from wms.web.access import database, operator, requires, settings
from wms.web.floor import Message, Screen, asks_the_shop, done, first_time, look, page, render
from wms.web.translate import say_refusal

bp = Blueprint("pack", __name__)


def _station(session: Session) -> Station | None:
    who = operator()
    device = session.get_one(Device, (who.warehouse_id, who.device_id))
    return session.get(Station, (who.warehouse_id, device.station_id)) if device.station_id else None


def show(session: Session, **_where: Any) -> Screen:
    """The parcel on the bench and its step, or the last label and the question for the next tote."""
    who = operator()
    station = _station(session)
    parcel = pack.open_parcel(session, who.warehouse_id, who.id)
    if parcel is None:
        return Screen(
            "pack/scan_tote.html",
            {"station": station, "waiting": pack.waiting(session, who.warehouse_id), **_last_label(session)},
        )
    order = session.get_one(Order, (parcel.warehouse_id, parcel.order_id))
    facts = {
        "station": station,
        "parcel": parcel,
        "order": order,
        "lines": pack.lines(session, parcel),
        "carrier": session.get_one(Carrier, parcel.carrier_id),
        "last": pack.last(session, parcel),
        "carried": together.all_carried(session, order),
        "memo_waits": pack.memo_waits(session, order),
        "taken_back": taken_back.what(session, parcel.warehouse_id, parcel.order_id),
        "ParcelState": ParcelState,
    }
    return Screen("pack/weigh.html" if parcel.state is ParcelState.VERIFIED else "pack/scan_item.html", facts)


def _last_label(session: Session) -> dict[str, Any]:
    who = operator()
    parcel = pack.last_parcel(session, who.warehouse_id, who.id)
    if parcel is None:
        return {"labelled": None, "asking": [], "version": ""}
    job = labels.job_of(session, parcel)
    printer = session.get(Printer, (job.warehouse_id, job.printer_id)) if job else None
    asking = pack.asking(session, who.warehouse_id, who.id)
    told = [f"{p.id}-{r.state}-{r.attempts}-{r.message}" if r else str(p.id) for p, _order, r in asking]
    version = f"{parcel.id}-{job.id}-{job.state}-{job.reason}" if job else str(parcel.id)
    return {
        "asking": asking,
        "carriers": {c.id: c.name for c in session.execute(select(Carrier)).scalars()} if asking else {},
        "version": hashlib.sha256(" ".join([version, *told]).encode()).hexdigest()[:12],
        "labelled": parcel,
        "job": job,
        "waybill": waybills.live(session, parcel),
        "labelled_order": session.get_one(Order, (parcel.warehouse_id, parcel.order_id)),
        "printer": printer,
        "component": components.shown(printer.uri) if printer else None,
        "shelf": session.get_one(Location, (parcel.warehouse_id, parcel.location_id)),
        "list_at": at_printer.choice(session, "packing_list"),
        "carton_at": at_printer.choice(session, "carton")
        if session.get_one(Warehouse, parcel.warehouse_id).gs1_prefix
        else None,
    }


@bp.get("/pack")
@requires(Role.PACKER)
def index() -> str:
    with database().reading() as session:
        # Exactly the print components' local addresses, and on this page alone: its scripts speak to them.
        g.connect_src = components.all_addresses(session)
    return page(show)


@bp.get("/pack/label")
@requires(Role.PACKER)
def label() -> Response:
    """Polled while a label is on its way: 204 when nothing changed since the version the page has."""
    with database().reading() as session:
        facts = _last_label(session)
        if facts["labelled"] is None or request.args.get("version") == facts["version"]:
            return make_response("", 204)
        return make_response(render(Screen("pack/label.html", {**facts, "station": _station(session)})))


@bp.post("/pack/scan")
@requires(Role.PACKER)
@first_time(show)
def scan(session: Session) -> Message | None:
    code = request.form.get("code", "")
    who = operator()
    if parse(code).kind == "station":
        station = pack.bind_station(session, session.get_one(Device, (who.warehouse_id, who.device_id)), code)
        return done(N_("You pack at station %(station)s now."), station=station.name)
    idle = timedelta(minutes=settings().claim_idle_minutes)
    pack.scan(session, who.id, _station(session), code, idle)
    parcel = pack.open_parcel(session, who.warehouse_id, who.id)
    if parcel is not None and parcel.state is ParcelState.VERIFIED:
        # While the parcel goes to the scale the shop is asked for its newest word.
        after_this_request(partial(_ask_ahead, parcel.order_id))
    return done(N_("%(code)s is right."), code=clean(code)[:40])


def _ask_ahead(order_id: int, response: Response) -> Response:
    gate.ahead(database(), operator().warehouse_id, order_id)
    return response


def _open(session: Session) -> Parcel:
    parcel = pack.open_parcel(session, operator().warehouse_id, operator().id, for_update=True)
    if parcel is None:
        pack.say_cancelled(session, operator().warehouse_id, operator().id)
        raise ChangedMeanwhile(what=term("The parcel"))
    return parcel


def _row_id(field: str) -> int:
    """The row a form names; 0, which no row has, when it names none."""
    text = request.form.get(field, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


@bp.post("/pack/count")
@requires(Role.PACKER)
@first_time(show)
def count(session: Session) -> Message | None:
    entered = request.form.get("qty", "").strip()
    if not (entered.isascii() and entered.isdigit()):
        raise BadQuantity(entered=entered[:20] or "—", most=1)
    pack.count_in(session, _open(session), _row_id("item_id"), int(entered))
    return done(N_("%(qty)s counted in."), qty=int(entered))


@bp.post("/pack/full")
@requires(Role.PACKER)
@first_time(show)
def full(session: Session) -> Message | None:
    pack.parcel_full(session, _open(session))
    return look(N_("Close this parcel and weigh it. The rest goes into another one."))


@bp.post("/pack/memo")
@requires(Role.PACKER)
@first_time(show)
def memo(session: Session) -> Message | None:
    pack.memo_seen(session, _open(session))
    return done(N_("The memo is confirmed."))


@bp.post("/pack/undo")
@requires(Role.PACKER)
@first_time(show)
def undo(session: Session) -> Message | None:
    pack.undo(session, _open(session))
    return look(N_("Undone. Put the piece back into the tote."))


def _order_here(session: Session) -> int | None:
    parcel = pack.open_parcel(session, operator().warehouse_id, operator().id)
    return parcel.order_id if parcel else None


@bp.post("/pack/weigh")
@requires(Role.PACKER)
@asks_the_shop(_order_here, gate.WHILE_WEIGHING)
@first_time(show)
def weigh(session: Session) -> Message | None:
    labelled = pack.weigh(session, _open(session), _station(session), request.form.get("weight_g", ""))
    if labelled.job is None:
        return look(N_("Weighed. The carrier is being asked for the number; the label then comes by itself."))
    if labelled.no_list is not None:
        return look(
            N_("Weighed. The label comes out at your station, the packing list does not: %(why)s"),
            why=say_refusal(labelled.no_list),
        )
    return done(N_("Weighed. The label comes out at your station."))


@bp.post("/printing/<int:job_id>/came-out")
@requires(Role.PACKER)
@first_time(show)
def came_out(session: Session, job_id: int) -> Message | None:
    """R35: the packer stands beside the printer and says whether the label is there."""
    yes = request.form.get("out") == "yes"
    job = printing.came_out(session, operator().warehouse_id, job_id, yes)
    if yes:
        return done(N_("%(job)s counts as printed."), job=job.title)
    return look(N_("%(job)s is printed once more."), job=job.title)


@bp.post("/pack/more")
@requires(Role.PACKER)
@first_time(show)
def more(session: Session) -> Message | None:
    """A packing list or a carton label for the parcel that was labelled last."""
    parcel = session.get(Parcel, (operator().warehouse_id, _row_id("parcel_id")))
    if parcel is None:
        raise ChangedMeanwhile(what=term("The parcel"))
    kind = "carton" if request.form.get("kind") == "carton" else "packing_list"
    printer = at_printer.chosen(session, kind)
    pack.print_more(session, parcel, kind, printer, at_printer.press(kind, parcel.id))
    return done(N_("%(parcel)s: on its way to %(printer)s."), parcel=parcel.code, printer=printer.name)


@bp.post("/pack/reprint")
@requires(Role.PACKER)
@first_time(show)
def reprint(session: Session) -> Message | None:
    who = operator()
    parcel = session.get(Parcel, (who.warehouse_id, _row_id("parcel_id")))
    if parcel is None:
        raise ChangedMeanwhile(what=term("The parcel"))
    job = pack.reprint(session, parcel, _station(session), request.form.get("reason", ""))
    return look(N_("Printing again, marked %(number)s. Tear the old label up."), number=f"补打 {job.reprint_no}")
