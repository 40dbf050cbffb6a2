"""Each printer at the desk: how it is, its roll, a test page; and looking for printers in the network."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session

from wms import labels, print_lease, printer_talk
from wms.errors import N_, Refusal
from wms.flows import printers, printing
from wms.models import Role, new_id
from wms.web.access import actor, database, operator, requires, settings
from wms.web.floor import Message, Screen, done, first_time, look, page, render
from wms.web.translate import say, say_refusal

bp = Blueprint("printers", __name__)

_FOUND = re.compile(r"^([0-9.]{7,15})\|(zpl|tspl|)\|(\d{1,3})\|([ -{}~]{0,60})$")


def show(session: Session, printer_id: int, **_where: Any) -> Screen:
    who = operator()
    printer = printers.printer_of(session, who.warehouse_id, printer_id)
    counted = printers.days(session, printer)
    return Screen(
        "desk/printer_status.html",
        {
            "printer": printer,
            "how": printing.how(printer),
            "roll": printers.roll(session, printer),
            "most": printers.MOST_ON_A_ROLL,
            "days": counted,
            "most_a_day": max([number for _, number in counted] + [1]),
            "asked": printer_talk.can_be_asked(printer.uri) and printer.answers,
            "admin": who.may(Role.ADMIN),
        },
    )


@bp.get("/desk/printing/printers/<int:printer_id>/status")
@requires(Role.SUPERVISOR)
def status(printer_id: int) -> str:
    return page(show, printer_id=printer_id)


@bp.post("/desk/printing/printers/<int:printer_id>/roll")
@requires(Role.SUPERVISOR)
@first_time(show)
def new_roll(session: Session, printer_id: int) -> Message | None:
    printer = printers.new_roll(session, operator().warehouse_id, printer_id, request.form.get("labels", ""))
    return done(N_("A roll of %(count)s labels is in %(printer)s."), count=printer.roll_labels, printer=printer.name)


@bp.post("/desk/printing/printers/<int:printer_id>/test-page")
@requires(Role.SUPERVISOR)
@first_time(show)
def test_page(session: Session, printer_id: int) -> Message | None:
    printer = printers.printer_of(session, operator().warehouse_id, printer_id)
    labels.queue_test_page(session, printer, f"test:{request.form.get('scan_id', '')[:40] or new_id()}")
    return done(N_("A test page is on its way to %(printer)s."), printer=printer.name)


@bp.post("/desk/printing/printers/<int:printer_id>/ask")
@requires(Role.SUPERVISOR)
def ask(printer_id: int) -> Response | tuple[str, int]:
    """Ask the printer how it is. It is leased meanwhile: two who speak to one printer spoil the count of its labels."""
    who = operator()
    try:
        with database().reading() as session:
            printer = printers.printer_of(session, who.warehouse_id, printer_id)
        if not (printer.answers and printer_talk.can_be_asked(printer.uri)):
            raise printers.CannotBeAsked(printer=printer.name)
        holder = f"desk:{new_id()}"
        if not print_lease.lease(database(), who.warehouse_id, printer_id, holder):
            raise printers.PrintsNow(printer=printer.name)
        try:
            said = printer_talk.ask(printer.uri, printer.language.value)
        finally:
            print_lease.give_up(database(), who.warehouse_id, printer_id, holder)
        with database().transaction(actor()) as session:
            printers.keep_told(session, printer_id, said.state, said.told)
    except Refusal as refusal:
        if refusal.status == 404:
            raise
        message = Message(refusal.answer, say_refusal(refusal))
        return page(show, message, printer_id=printer_id), refusal.status
    if said.told is None:
        message = look(N_("%(printer)s did not answer."), printer=printer.name)
    else:
        message = done(N_("%(printer)s has answered."), printer=printer.name)
    return Response(page(show, message, printer_id=printer_id))


# ---- Looking for printers


def _suggested(uris: list[str]) -> str:
    """The network that printers stand in already, else the one this page was reached in."""
    for host in [*(printing.host_of(uri) for uri in uris), request.host.partition(":")[0]]:
        try:
            address = ip_address(host)
        except ValueError:
            continue
        if address.version == 4 and not address.is_loopback:
            return str(ip_network(f"{address}/24", strict=False))
    return "192.168.1.0/24"


def _discovery(found: list[dict[str, Any]], start: int, total: int, entered: str, message: Message | None) -> str:
    with database().reading() as session:
        known = {printing.host_of(each.uri): each for each in printing.printers(session, operator().warehouse_id)}
    return render(
        Screen(
            "desk/printer_discovery.html",
            {
                "entered": entered or _suggested([each.uri for each in known.values()]),
                "networks": settings().printer_networks,
                "found": found,
                "known": known,
                "start": start,
                "total": total,
            },
        ),
        message,
    )


@bp.get("/desk/printing/discover")
@requires(Role.ADMIN)
def discovery() -> str:
    return _discovery([], 0, 0, "", None)


@bp.post("/desk/printing/discover")
@requires(Role.ADMIN)
def discover() -> str | tuple[str, int]:
    """Look at the next few addresses. What was found so far travels with the form: nothing of it is kept here."""
    entered, text = request.form.get("network", ""), request.form.get("start", "0")
    found = [_carried(line) for line in request.form.getlist("found")[:256] if _FOUND.match(line)]
    try:
        network = printers.network(entered, settings().printer_networks)
    except Refusal as refusal:
        return _discovery([], 0, 0, entered, Message(refusal.answer, say_refusal(refusal))), 422
    total = printers.size(network)
    start = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    here = printers.addresses(network, start)
    seen = {each["address"] for each in found}
    found += [each for each in printer_talk.find(here) if each["address"] not in seen]
    start = min(total, start + len(here)) if here else total
    message = None
    if start >= total:
        message = (
            Message(
                "done",
                say(N_("Looked at %(count)s addresses: %(found)s answer."), {"count": total, "found": len(found)}),
            )
            if found
            else Message("look", say(N_("None of %(count)s addresses answers at port 9100."), {"count": total}))
        )
    return _discovery(found, start, total, str(network), message)


def _carried(line: str) -> dict[str, Any]:
    address, language, dpi, model = line.split("|", 3)
    return {"address": address, "language": language, "dpi": int(dpi), "model": model}
