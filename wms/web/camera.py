"""A photo from the phone: POST /camera/read gives the codes in it. Writes nothing (R12)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify, request

from wms import camera
from wms.errors import N_
from wms.web.access import public
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
    """Public because a badge may be photographed before sign-in; it reads pictures and knows nothing else."""
    photo = request.files.get("photo")
    if photo is None:
        return jsonify(codes=[], message=say(N_("No photo arrived. Take it again."))), 422
    wanted = [f for f in request.form.get("formats", "").split(",") if f in FORMATS] or list(FORMATS[:6])
    try:
        reading = camera.read(photo.read(), wanted)
    except camera.NotAPicture as refusal:
        return jsonify(codes=[], message=say_refusal(refusal)), 422
    return jsonify(
        codes=[{"text": c.text, "symbology": c.symbology, "engine": c.engine} for c in reading.codes],
        message=say(reading.message) if reading.message else "",
    )
