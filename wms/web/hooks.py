"""Where shops knock: ``POST /hooks/<shop code>``. Verified, stored once, answered; the worker does the rest."""

from __future__ import annotations

import logging
from typing import Any, cast

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from werkzeug.exceptions import HTTPException

from wms.clock import now
from wms.connectors import ConnectorError, hooks
from wms.db import Actor
from wms.models import EventState, Shop, ShopEvent, new_id
from wms.sealing import CannotOpen
from wms.web.access import database, machine

bp = Blueprint("hooks", __name__)

_EVENTS = cast(Table, ShopEvent.__table__)
_NOBODY: dict[str, Any] = {"webhook_secret": "whsec of nobody"}
_SHOP = select(Shop)

log = logging.getLogger("wms.hooks")


@bp.post("/hooks/<code>")
@machine
def knock(code: str) -> Response | tuple[Response, int]:
    """A shop that is not there, one that does not knock and a wrong signature get one and the same answer."""
    request.max_content_length = hooks.MOST_BYTES
    try:
        body = request.get_data(cache=False)
    except HTTPException as error:
        return jsonify(state="refused", message="too long"), error.code or 413
    try:
        with database().reading() as session:
            shop = session.execute(_SHOP.where(Shop.code == code, Shop.active)).scalar_one_or_none()
    except CannotOpen as error:
        log.error("shop %s: %s", code[:40], error)
        return jsonify(state="later"), 503
    kind, settings = ("shopify", _NOBODY) if shop is None else (shop.connector, shop.settings)
    try:
        delivery = hooks.opened(kind, settings, dict(request.headers), body, now())
    except ConnectorError as error:
        if shop is not None and error.reason in ("too_old", "bad_message"):
            # Signed by the shop: its own people are told what is wrong with it.
            return jsonify(state="refused", message=str(error)), 401 if error.reason == "too_old" else 422
        return jsonify(state="refused"), 401
    if shop is None:
        return jsonify(state="refused"), 401
    known = not delivery.is_news or not _store(shop, delivery, body)
    if kind == "douyin":
        return jsonify(code=0, msg="success")
    return jsonify(state="known" if known else "taken")


def _store(shop: Shop, delivery: hooks.Delivery, body: bytes) -> bool:
    """Save the message with its bytes; False when it is here already."""
    at = now()
    insert: Any = sqlite.insert if database().sqlite else postgresql.insert
    with database().transaction(Actor(shop.warehouse_id)) as session:
        made = session.execute(
            insert(_EVENTS)
            .values(
                warehouse_id=shop.warehouse_id,
                id=new_id(),
                shop_id=shop.id,
                delivery_id=delivery.id,
                topic=delivery.topic.replace("\x00", "")[:80],
                body=body,
                received_at=at,
                state=EventState.NEW,
                attempts=0,
                next_at=at,
                reason="",
                facts={},
            )
            .on_conflict_do_nothing()
            .returning(_EVENTS.c.id)
        ).scalar_one_or_none()
    return made is not None
