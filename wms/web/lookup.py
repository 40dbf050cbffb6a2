"""Look up 查询: scan anything, see what it is, where it is and what happened to it. Writes nothing (R12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import lookup, trace
from wms.errors import Refusal
from wms.flows import orders, ship
from wms.lookup import Found
from wms.models import (
    Carrier,
    Item,
    Location,
    Manifest,
    Operator,
    Order,
    Parcel,
    PickTask,
    Printer,
    Receipt,
    ReceiptLine,
    Role,
    Shop,
    Station,
    ToteUse,
    Waybill,
)
from wms.web.access import database, operator, requires
from wms.web.floor import Message, Screen, render
from wms.web.translate import say_refusal

bp = Blueprint("lookup", __name__)

LAST_MOVES = 20
ON_PAGE = 200


def _hidden(session: Session) -> set[int]:
    """R39: whoever may be sent to count a place does not see its book while the count is open."""
    who = operator()
    return set() if who.may(Role.SUPERVISOR) else trace.being_counted(session, who.warehouse_id)


def _item(session: Session, found: Found) -> dict[str, Any]:
    warehouse_id, item = operator().warehouse_id, found.row
    hidden = _hidden(session)
    places = trace.places(session, warehouse_id, item.id)
    return {
        "item": item,
        "pieces": found.pieces,
        "barcodes": trace.barcodes(session, item.id),
        "places": places,
        "hidden": hidden,
        "some_hidden": any(place.id in hidden for _balance, place in places),
        "moves": trace.moves_of_item(session, warehouse_id, item.id, LAST_MOVES, hidden),
        "on_hand": sum(balance.on_hand for balance, _place in places),
        "available": sum(balance.available for balance, place in places if place.kind == "storage"),
    }


def _place(session: Session, found: Found) -> dict[str, Any]:
    place: Location = found.row
    hidden = place.id in _hidden(session)
    use = session.get(ToteUse, (place.warehouse_id, place.id))
    return {
        "place": place,
        "hidden": hidden,
        "contents": [] if hidden else trace.contents(session, place.warehouse_id, place.id),
        "moves": [] if hidden else trace.moves_at(session, place.warehouse_id, place.id, LAST_MOVES),
        "order": session.get_one(Order, (place.warehouse_id, use.order_id)) if use else None,
    }


def _parcel(session: Session, found: Found) -> dict[str, Any]:
    parcel: Parcel = found.row
    return {
        "parcel": parcel,
        "order": session.get_one(Order, (parcel.warehouse_id, parcel.order_id)),
        "carrier": session.get_one(Carrier, parcel.carrier_id),
        "waybills": session.execute(
            select(Waybill)
            .where(Waybill.warehouse_id == parcel.warehouse_id, Waybill.parcel_id == parcel.id)
            .order_by(Waybill.id.desc())
        )
        .scalars()
        .all(),
        "manifest": session.get(Manifest, (parcel.warehouse_id, parcel.manifest_id)) if parcel.manifest_id else None,
        "lines": trace.parcel_lines(session, parcel),
        "notes": trace.journal_of(session, parcel.warehouse_id, [("parcel", parcel.id)], LAST_MOVES),
    }


def _order(session: Session, found: Found) -> dict[str, Any]:
    order: Order = found.row
    task = session.execute(
        select(PickTask)
        .where(PickTask.warehouse_id == order.warehouse_id, PickTask.order_id == order.id)
        .order_by(PickTask.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    totes = (
        session.execute(
            select(Location)
            .join(ToteUse, (ToteUse.warehouse_id == Location.warehouse_id) & (ToteUse.tote_id == Location.id))
            .where(ToteUse.warehouse_id == order.warehouse_id, ToteUse.order_id == order.id)
            .order_by(Location.code)
        )
        .scalars()
        .all()
    )
    return {
        "order": order,
        "shop": session.get_one(Shop, order.shop_id),
        "lines": orders.lines(session, order),
        "parcels": orders.parcels(session, order),
        "totes": totes,
        "picker": session.get(Operator, (order.warehouse_id, task.operator_id)) if task and task.operator_id else None,
    }


def _manifest(session: Session, found: Found) -> dict[str, Any]:
    manifest: Manifest = found.row
    return {
        "manifest": manifest,
        "carrier": session.get_one(Carrier, manifest.carrier_id),
        "parcels": ship.on_manifest(session, manifest)[:ON_PAGE],
    }


def _receipt(session: Session, found: Found) -> dict[str, Any]:
    receipt: Receipt = found.row
    return {
        "receipt": receipt,
        "lines": session.execute(
            select(ReceiptLine, Item)
            .join(Item, Item.id == ReceiptLine.item_id)
            .where(ReceiptLine.warehouse_id == receipt.warehouse_id, ReceiptLine.receipt_id == receipt.id)
            .order_by(Item.sku)
            .limit(ON_PAGE)
        ).all(),
    }


def _station(session: Session, found: Found) -> dict[str, Any]:
    station: Station = found.row

    def printer(printer_id: int | None) -> Printer | None:
        return session.get(Printer, (station.warehouse_id, printer_id)) if printer_id else None

    return {
        "station": station,
        "waybills": printer(station.waybill_printer_id),
        "labels": printer(station.label_printer_id),
    }


FACTS: dict[str, tuple[str, Callable[[Session, Found], dict[str, Any]]]] = {
    "item": ("lookup/item.html", _item),
    "location": ("lookup/place.html", _place),
    "tote": ("lookup/place.html", _place),
    "parcel": ("lookup/parcel.html", _parcel),
    "order": ("lookup/order.html", _order),
    "manifest": ("lookup/manifest.html", _manifest),
    "receipt": ("lookup/receipt.html", _receipt),
    "station": ("lookup/station.html", _station),
}


def _answer(code: str) -> tuple[str, int]:
    with database().reading() as session:
        if not code.strip():
            return render(Screen("lookup/ask.html", {})), 200
        try:
            found = lookup.find(session, operator().warehouse_id, code)
        except Refusal as refusal:
            return render(Screen("lookup/ask.html", {}), Message(refusal.answer, say_refusal(refusal))), refusal.status
        template, facts = FACTS[found.kind]
        return render(
            Screen(template, {"code": code, "scanned": found.scanned, **facts(session, found)}), Message("done", "")
        ), 200


@bp.get("/lookup")
@requires(Role.PICKER)
def index() -> tuple[str, int]:
    return _answer(request.args.get("code", "")[:512])


@bp.post("/lookup")
@requires(Role.PICKER)
def scan() -> tuple[str, int]:
    """A look, not a work scan: it needs no scan id, and doing it twice is the same as once."""
    return _answer(request.form.get("code", "")[:512])
