"""Is it alive: /healthz for the TLS front, phones and monitors."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify
from sqlalchemy import text

from wms.web.access import database, public

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def healthz() -> Any:
    with database().reading() as session:
        session.execute(text("SELECT 1"))
    return jsonify(status="ok")
