"""What a phone keeps for when there is no network: /sw.js (its service worker) and /shell (the page without work)."""

from __future__ import annotations

from flask import Blueprint, Response, render_template

from wms import assets
from wms.models import Role
from wms.web.access import public, requires

bp = Blueprint("offline", __name__)

KEPT = (
    "app.css",
    "app.js",
    "icon.svg",
    "icon-512.png",
    "manifest.webmanifest",
    *(f"scan/{name}.js" for name in assets.SCAN_SCRIPTS),
    "scan/camera-worker.js",
    *(f"vendor/{name}" for name in assets.VENDOR_FILES),
)
"""Files of a floor page; the browser's fetched ones only where they are there."""


@bp.get("/sw.js")
@public
def service_worker() -> Response:
    """Served from the root, because a service worker rules the paths under its own."""
    files = [name for name in KEPT if (assets.STATIC / name).is_file()]
    return Response(render_template("offline/sw.js", files=files), mimetype="text/javascript")


@bp.get("/shell")
@requires(Role.PICKER)
def shell() -> str:
    """A floor page in the operator's language without any work on it; scan/carried.js puts the carried task in."""
    return render_template("offline/shell.html")
