"""Which printer a button prints at: the one that is chosen beside it, else the station's for this kind of label."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request
from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import labels
from wms.errors import N_, Refusal
from wms.models import Device, Printer, Station, new_id
from wms.web.access import operator


class NoPrinterHolds(Refusal):
    message = N_("No printer holds labels of %(size)s mm or larger. An admin enters what is loaded under Printing.")
    answer = "look"


class ChooseOne(Refusal):
    message = N_("Choose a printer.")
    answer = "look"


@dataclass(frozen=True, slots=True)
class Choice:
    """The printers whose paper is large enough, and the one that is meant when nobody chooses."""

    printers: list[Printer]
    usual: Printer | None
    size: str


def station(session: Session) -> Station | None:
    """The station that this device stands at."""
    who = operator()
    device = session.get_one(Device, (who.warehouse_id, who.device_id))
    return session.get(Station, (who.warehouse_id, device.station_id)) if device.station_id else None


def copies(most: int) -> int:
    """The number of labels that the form asks for, 1 where it does not; 0, which is refused, for what is no number."""
    text = request.form.get("copies", "1").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= most else 0


def press(what: str, document_id: int) -> str:
    """The key of a press: pressed again it prints again, sent twice it prints once."""
    return f"{what}:{document_id}:{request.form.get('scan_id', '')[:40] or new_id()}"


def choice(session: Session, kind: str) -> Choice:
    """What to offer beside a button that prints labels of this kind."""
    width, height = labels.paper_mm(session, operator().warehouse_id, kind)
    holding = list(
        session.execute(
            select(Printer)
            .where(
                Printer.warehouse_id == operator().warehouse_id,
                Printer.width_mm >= width,
                Printer.height_mm >= height,
            )
            .order_by(Printer.width_mm * Printer.height_mm, Printer.code)
        ).scalars()
    )
    at, usual = station(session), None
    if at is not None:
        try:
            usual = labels.printer_at(session, at, kind)
        except labels.NoPrinter:
            usual = None
    if usual not in holding:
        usual = holding[0] if len(holding) == 1 else None
    return Choice(holding, usual, f"{width} × {height}")


def chosen(session: Session, kind: str) -> Printer:
    """The printer that the form names, else the usual one. Raises NoPrinterHolds, ChooseOne."""
    offered = choice(session, kind)
    if not offered.printers:
        raise NoPrinterHolds(size=offered.size)
    named = request.form.get("printer", "")
    if named:
        for printer in offered.printers:
            if str(printer.id) == named:
                return printer
        raise ChooseOne()
    if offered.usual is None:
        raise ChooseOne()
    return offered.usual
