"""The door through which an aggregator tells us where parcels are: /tracking/push. Signed, not signed in."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import select

from wms.connectors import ConnectorError
from wms.connectors.carriers.tracking import pushed
from wms.db import Actor
from wms.flows import tracking
from wms.models import Carrier
from wms.web.access import database, public

bp = Blueprint("tracking", __name__)

MOST_BYTES = 256 * 1024

log = logging.getLogger("wms.tracking")


@bp.post("/tracking/push")
@public
def push() -> tuple[Response, int]:
    """News of one number in the aggregator's own form; told twice changes nothing. 403 for whoever cannot sign it."""
    param, sign = request.form.get("param", ""), request.form.get("sign", "")
    with database().reading() as session:
        carriers = [c for c in session.execute(select(Carrier)).scalars() if c.tracking.get("salt")]
        salts = {str(c.tracking["salt"]) for c in carriers}
        companies = {c.id: str(c.tracking.get("company") or "") for c in carriers}
    try:
        if len(param) > MOST_BYTES:
            raise ConnectorError(permanent=True, reason="bad_message", message="")
        told = pushed(sorted(salts), param, sign)
    except ConnectorError as error:
        status = 403 if error.reason == "bad_signature" else 400
        return jsonify(result=False, returnCode=str(status), message=error.reason), status
    mine = [carrier_id for carrier_id, company in companies.items() if company == told.company]
    with database().reading() as session:
        found = tracking.by_number(session, mine, told.number)
    if found is not None:
        with database().transaction(Actor(found.warehouse_id)) as session:
            track = tracking.by_number(session, mine, told.number, for_update=True)
            assert track is not None
            tracking.record(session, track, told.events)
    else:
        log.info("news of %s, which nobody here handed over", told.number[:40])
    return jsonify(result=True, returnCode="200", message="成功"), 200
