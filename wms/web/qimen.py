"""The door for ERPs: ``POST /qimen`` speaks Qimen (奇门). Signed; a transaction a call; answered in XML, in Chinese."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from wms.clock import now
from wms.connectors import ConnectorError
from wms.connectors import qimen as q
from wms.connectors.signing import china_time
from wms.db import Actor
from wms.errors import N_, Refusal
from wms.flows import cancel, catalogue, erp, receive, take_in
from wms.models import ErpDocumentKind, Shop
from wms.web.access import database, machine
from wms.web.translate import in_language

bp = Blueprint("qimen", __name__)

TRIES = 4
"""PostgreSQL may choose a transaction as a deadlock's victim, and of two equal calls one finds the other's rows."""
WRONG_SIGN = "sign-check-failure"
TOLD = N_("Done.")
STRANGER = N_("The signature of the Qimen call is wrong. Compare the secret on both sides.")
STUMBLED = N_("Something went wrong here. Send it again in a while.")
TOO_LONG = N_("The Qimen call is too long.")

log = logging.getLogger("wms.qimen")


@bp.post("/qimen")
@machine
def call() -> Response:
    """Whatever comes, the answer is Qimen's: flag, code, message. The same call again gives the same numbers."""
    request.max_content_length = q.MOST_BYTES
    try:
        body = request.get_data(cache=False)
    except HTTPException as error:
        return _failed("too-big", TOO_LONG, status=error.code or 413)
    query = _query()
    try:
        shop, method = _caller(query, body)
        return _do(shop, q.read(method, body))
    except ConnectorError as error:
        code = WRONG_SIGN if error.reason == "bad_signature" else error.reason.replace("_", "-")
        return _failed(code, error.message, error.facts)
    except Exception:
        log.exception("Qimen call %s", query.get("method", "")[:60])
        return _failed("system-error", STUMBLED)


def _query() -> dict[str, str]:
    """The parameters as they are signed; none at all when a name comes twice or the bytes are no UTF-8."""
    try:
        pairs = parse_qsl(
            request.query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100
        )
    except ValueError:
        return {}
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}


def _caller(query: dict[str, str], body: bytes) -> tuple[Shop, str]:
    """Whose secret signed this call. An ERP we do not know is told the same as a wrong signature."""
    customer = next((value for name, value in query.items() if name.lower() == "customerid"), "")
    with database().reading() as session:
        found = erp.customers(session, customer)
    for shop in found:
        secret = str(shop.settings.get("secret") or "")
        if not secret:
            continue
        try:
            return shop, q.check(secret, query, body, now())
        except ConnectorError as error:
            if error.reason != "bad_signature":
                raise
    if not found:
        q.sign("nobody", query, body)  # it takes as long
    raise ConnectorError(permanent=True, reason="bad_signature", message=STRANGER)


def _do(shop: Shop, document: q.Document) -> Response:
    act = ACTS[type(document)]
    for tried in range(TRIES):
        try:
            with database().transaction(Actor(shop.warehouse_id)) as session:
                ids = act(session, session.get_one(Shop, shop.id), document)
            return _answered(q.answer(True, "0", in_language("zh", TOLD), **ids))
        except Refusal as refusal:
            if isinstance(refusal, cancel.Labelled) and isinstance(document, q.OrderCancel):
                _ask_supervisor(shop, document)
            return _failed(_code(refusal), refusal.message, refusal.facts)
        except DBAPIError:
            if tried == TRIES - 1:
                raise
    raise AssertionError


def _code(refusal: Refusal) -> str:
    if isinstance(refusal, cancel.TooLate):
        return "CANCELEDFAIL"
    return refusal.code if isinstance(refusal, erp.ErpRefusal) else "refused"


# What each call does: one rule of the flows each


def _deliver(session: Session, shop: Shop, document: q.DeliveryOrder) -> dict[str, Any]:
    row = erp.delivery(session, shop, document.order.shop_order_no)
    if row is not None:
        erp.sent_again(row, take_in.is_same(row, document.order))
    else:
        carrier = erp.check_delivery(session, shop, document)
        take_in.take(session, shop, document.order)
        row = take_in.order_row(session, shop, document.order.shop_order_no)
        row.carrier_id = carrier.id if carrier else row.carrier_id
    return {
        "createTime": china_time(row.taken_in_at),
        "deliveryOrderId": str(row.id),
        "warehouseCode": document.warehouse,
        "logisticsCode": document.order.carrier_hint,
    }


def _cancel(session: Session, shop: Shop, document: q.OrderCancel) -> dict[str, Any]:
    """R28: CANCELED in any state until the hand-over, then CANCELEDFAIL."""
    goods_in, goods_out = document.order_type.endswith("RK"), document.order_type.endswith("CK")
    row = None if goods_in else erp.delivery(session, shop, document.code)
    if row is not None:
        cancel.cancel(session, row, document.reason or "erp")
    elif goods_out:
        raise erp.NotHere(document=document.code[:64])  # never the entry order that has the same number
    else:
        kind = ErpDocumentKind.RETURN if document.order_type == "THRK" else ErpDocumentKind.ENTRY
        erp.cancel_document(session, shop, document.code, document.reason or "erp", kind if goods_in else None)
    return {}


def _ask_supervisor(shop: Shop, document: q.OrderCancel) -> None:
    """R29: pieces of a merged order whose label is made. The parcel stays here until a supervisor has decided."""
    with database().transaction(Actor(shop.warehouse_id)) as session:
        row = erp.delivery(session, session.get_one(Shop, shop.id), document.code)
        if row is not None:
            cancel.ask(session, row, cancel.parts_of(session, row), document.reason or "erp")


def _expect(session: Session, shop: Shop, document: q.EntryOrder) -> dict[str, Any]:
    row = erp.known(session, shop, ErpDocumentKind.ENTRY, document)
    if row is None:
        lines = erp.check_entry(session, shop, document)
        supplier = (document.supplier_name or document.supplier_code or shop.name)[:120]
        code = erp.receipt_code(session, shop, document.code)
        receipt = receive.add_purchase_order(session, code, supplier, lines, waybill_no=document.waybill_no)
        row = erp.keep(session, shop, ErpDocumentKind.ENTRY, document, receipt=receipt)
    return {"entryOrderId": str(row.receipt_id)}


def _come_back(session: Session, shop: Shop, document: q.ReturnOrder) -> dict[str, Any]:
    row = erp.known(session, shop, ErpDocumentKind.RETURN, document)
    if row is None:
        went = erp.delivery(session, shop, document.order_code)
        lines = erp.check_return(session, shop, document, went)
        code = erp.receipt_code(session, shop, document.code)
        receipt = receive.add_purchase_order(
            session, code, document.order_code[:120], lines, returned=True, waybill_no=document.waybill_no
        )
        row = erp.keep(session, shop, ErpDocumentKind.RETURN, document, receipt=receipt, order=went)
    return {"returnOrderId": str(row.id)}


def _know(session: Session, shop: Shop, document: q.ItemSync) -> dict[str, Any]:
    erp.check_item(session, shop, document)
    item = catalogue.add_item(
        session,
        document.code,
        document.name,
        barcodes=[(code, 1) for code in document.barcodes],
        weight_g=document.weight_g,
        lot_tracked=document.by_lot or document.by_expiry,
    )
    erp.owns(session, shop, item, document.code)
    return {"itemId": str(item.id)}


def _count(session: Session, shop: Shop, document: q.StockQuery) -> dict[str, Any]:
    return {"items": erp.stock(session, shop, document.wanted)}


ACTS: dict[type, Callable[[Session, Shop, Any], dict[str, Any]]] = {
    q.DeliveryOrder: _deliver,
    q.OrderCancel: _cancel,
    q.EntryOrder: _expect,
    q.ReturnOrder: _come_back,
    q.ItemSync: _know,
    q.StockQuery: _count,
}


def _failed(code: str, message: str, facts: Any = None, status: int = 200) -> Response:
    return _answered(q.answer(False, code, in_language("zh", message, facts)), status)


def _answered(body: bytes, status: int = 200) -> Response:
    return Response(body, status, content_type="text/xml;charset=utf-8")
