"""Receive 收货 on the phone: /receive."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request
from sqlalchemy.orm import Session

from wms.errors import N_, ChangedMeanwhile, NotFound, term
from wms.flows import receive
from wms.models import Item, Lot, Receipt, ReceiveWork, Role, StockMove, Warehouse
from wms.web import at_printer
from wms.web.access import operator, requires
from wms.web.floor import Message, Screen, done, first_time, look, page

bp = Blueprint("receive", __name__)


def show(session: Session, **_where: Any) -> Screen:
    """The step of the worker's receipt, or the purchase orders that are expected."""
    who = operator()
    work = receive.work_of(session, who.warehouse_id, who.id)
    if work is None:
        return Screen("receive/choose.html", {"receipts": receive.open_receipts(session, who.warehouse_id)})
    receipt = session.get_one(Receipt, (work.warehouse_id, work.receipt_id))
    facts: dict[str, Any] = {
        "receipt": receipt,
        "lines": receive.lines(session, receipt),
        "last": _last(session, work),
    }
    if work.item_id is None:
        booked = receive.last_booked(session, work)
        if booked is not None:
            kind = receive.label_kind(booked[0])
            prefix = session.get_one(Warehouse, who.warehouse_id).gs1_prefix
            facts |= {
                "label": kind,
                "at": at_printer.choice(session, kind),
                "carton_at": at_printer.choice(session, "carton") if prefix else None,
                "most_labels": receive.MOST_LABELS,
            }
        return Screen("receive/scan_item.html", facts)
    lot = session.get(Lot, (work.item_id, work.lot)) if work.lot else None
    entered = _entered()
    return Screen(
        "receive/enter_qty.html",
        {
            **facts,
            "item": session.get_one(Item, work.item_id),
            "line": next((line for item, line in facts["lines"] if item.id == work.item_id), None),
            "qty": entered.get("qty") or work.qty,
            "lot": entered.get("lot") or work.lot,
            "expiry": entered.get("expiry") or (lot.expiry.isoformat() if lot and lot.expiry else ""),
            "damaged": bool(entered.get("damaged")),
        },
    )


def _entered() -> dict[str, str]:
    """What was typed stays in the fields when it is refused: nobody types a lot twice."""
    return request.form.to_dict() if request.endpoint == "receive.book" else {}


def _last(session: Session, work: ReceiveWork) -> tuple[int, str] | None:
    if work.last_move_id is None:
        return None
    move = session.get_one(StockMove, (work.warehouse_id, work.last_move_id))
    return move.qty, session.get_one(Item, move.item_id).sku


def _work(session: Session, receipt_id: int) -> ReceiveWork:
    """The worker's own work, still on the receipt that the screen showed."""
    who = operator()
    work = receive.work_of(session, who.warehouse_id, who.id)
    if work is None or work.receipt_id != receipt_id:
        receipt = session.get(Receipt, (who.warehouse_id, receipt_id))
        if receipt is None:
            raise NotFound(what=term("The purchase order"))
        raise ChangedMeanwhile(what=receipt.code)
    return work


def show_finish(session: Session, **where: Any) -> Screen:
    """What closing would mean; only a look, so a reload shows it again."""
    screen = show(session)
    receipt = screen.facts.get("receipt")
    if receipt is None or receipt.id != where["receipt_id"]:
        return screen
    return Screen("receive/finish.html", {**screen.facts, "short": receive.short(session, receipt)})


@bp.get("/receive")
@requires(Role.PICKER)
def index() -> str:
    return page(show)


@bp.get("/receive/<int:receipt_id>")
@requires(Role.PICKER)
def receipt(receipt_id: int) -> str:
    return page(show, receipt_id=receipt_id)


@bp.get("/receive/<int:receipt_id>/finish")
@requires(Role.PICKER)
def finish(receipt_id: int) -> str:
    return page(show_finish, receipt_id=receipt_id)


@bp.post("/receive/find")
@requires(Role.PICKER)
@first_time(show)
def find(session: Session) -> Message | None:
    receive.start_by_scan(session, operator().id, request.form.get("code", ""))
    return done(N_("Right."))


@bp.post("/receive/start")
@requires(Role.PICKER)
@first_time(show)
def start(session: Session) -> Message | None:
    chosen = request.form.get("receipt", "")
    receipt_id = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 20 else 0
    receive.start(session, operator().id, receive.receipt_of(session, operator().warehouse_id, receipt_id))
    return done()


@bp.post("/receive/blind")
@requires(Role.PICKER)
@first_time(show)
def blind(session: Session) -> Message | None:
    receive.start_blind(session, operator().id, request.form.get("supplier", ""))
    return done()


@bp.post("/receive/<int:receipt_id>/scan")
@requires(Role.PICKER)
@first_time(show)
def scan(session: Session, receipt_id: int) -> Message | None:
    work = _work(session, receipt_id)
    before, lot = work.item_id, work.lot
    receive.scan(session, work, request.form.get("code", ""))
    if before is not None and (work.item_id != before or lot not in ("", work.lot)):
        laid_aside = f"{session.get_one(Item, before).sku} {lot}".strip()
        return look(N_("%(item)s was laid aside. Nothing of it was booked."), item=laid_aside)
    return done(N_("Right."))


@bp.post("/receive/<int:receipt_id>/book")
@requires(Role.PICKER)
@first_time(show)
def book(session: Session, receipt_id: int) -> Message | None:
    form, work = request.form, _work(session, receipt_id)
    if work.item_id is not None and form.get("item") != str(work.item_id):
        raise ChangedMeanwhile(what=term("The item"))
    pieces = receive.book(
        session,
        work,
        form.get("qty", ""),
        form.get("lot", ""),
        form.get("expiry", ""),
        damaged=bool(form.get("damaged")),
    )
    if form.get("damaged"):
        return look(N_("%(qty)s booked as damaged. Keep them apart."), qty=pieces)
    return done(N_("%(qty)s booked."), qty=pieces)


@bp.post("/receive/<int:receipt_id>/undo")
@requires(Role.PICKER)
@first_time(show)
def undo(session: Session, receipt_id: int) -> Message | None:
    receive.undo(session, _work(session, receipt_id))
    return look(N_("Undone. Scan the item again."))


@bp.post("/receive/<int:receipt_id>/labels")
@requires(Role.PICKER)
@first_time(show)
def print_labels(session: Session, receipt_id: int) -> Message | None:
    """Labels for what was booked last: of its lot or item, or one for a carton."""
    work, kind = _work(session, receipt_id), request.form.get("kind", "")
    booked = receive.last_booked(session, work)
    if booked is None:
        raise receive.NothingBooked()
    if kind != "carton":
        kind = receive.label_kind(booked[0])
    printer, copies = at_printer.chosen(session, kind), at_printer.copies(receive.MOST_LABELS)
    job = receive.print_labels(session, work, kind, copies, printer, at_printer.press(kind, booked[0].id))
    return done(N_("%(count)s labels are on their way to %(printer)s."), count=job.copies, printer=printer.name)


@bp.post("/receive/<int:receipt_id>/close")
@requires(Role.PICKER)
@first_time(show_finish)
def close(session: Session, receipt_id: int) -> Message | None:
    work = _work(session, receipt_id)
    rest_to_come = request.form.get("rest") == "to_come"
    receive.close(session, work, rest_to_come=rest_to_come)
    if rest_to_come:
        return done(N_("Kept open. The rest is still to come."))
    return done(N_("Closed. The goods wait to be put away."))
