"""A photo from the phone: POST /camera/read gives the codes in it. Writes nothing (R12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, g, jsonify, request

from wms import camera, lookup
from wms.errors import N_, AmbiguousCode, UnknownCode
from wms.web.access import SignedIn, database, public, settings
from wms.web.translate import say, say_refusal

bp = Blueprint("camera", __name__)

FORMATS = (
    "code_128",
    "ean_13",
    "ean_8",
    "upc_a",
    "qr_code",
    "data_matrix",
    "itf",
    "code_39",
    "pdf417",
    "codabar",
    "upc_e",
)


@bp.post("/camera/read")
@public
def read() -> Any:
    """Public because a badge may be photographed before sign-in; what is known is then not asked.

    ``formats`` names the symbologies that this step expects.
    """
    photo = request.files.get("photo")
    if photo is None:
        return jsonify(codes=[], message=say(N_("No photo arrived. Take it again."))), 422
    wanted = [f for f in request.form.get("formats", "").split(",") if f in FORMATS] or list(FORMATS[:6])
    try:
        reading = camera.read(photo.read(), wanted, _known(), settings().decode_budget_ms)
    except camera.NotAPicture as refusal:
        return jsonify(codes=[], message=say_refusal(refusal)), 422
    return jsonify(
        codes=[
            {"text": c.text, "symbology": c.symbology, "engine": c.engine, "confirmed": c.confirmed}
            for c in reading.codes
        ],
        message=say(reading.message) if reading.message else "",
    )


def _known() -> Callable[[str], bool] | None:
    """Whether a text means a row of this warehouse. None before sign-in: an open door must not tell who has what."""
    who: SignedIn | None = g.operator
    if who is None:
        return None
    tables, warehouse_id = database(), who.warehouse_id

    def known(text: str) -> bool:
        # In the decoder's thread, so with a session of its own, closed before the next try begins.
        with tables.reading() as session:
            try:
                lookup.find(session, warehouse_id, text)
            except UnknownCode:
                return False
            except AmbiguousCode:
                return True  # known, and asked about when it is scanned
            return True

    return known
