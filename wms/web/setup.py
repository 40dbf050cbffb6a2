"""The set-up page: how a phone comes to trust this warehouse, so that its camera may be used."""

from __future__ import annotations

import io

import segno
from flask import Blueprint, Response, abort, render_template, request

from wms import tls
from wms.settings import Settings
from wms.web import access
from wms.web.access import public

bp = Blueprint("setup", __name__)


def _host(settings: Settings) -> str:
    """The name the phone reached us by, when the certificate holds for it; else the likeliest one.

    Never what a request merely claims: the address goes into a QR code that others scan.
    """
    asked = request.host.rpartition(":")[0] if ":" in request.host else request.host
    names = tls.hosts(settings)
    return asked if asked in names and asked not in ("127.0.0.1", "localhost") else names[0]


def _addresses(settings: Settings, front: tls.Front) -> tuple[str, str]:
    """(the address to work at, the address of this page), as a phone on this network opens them."""
    host = _host(settings)
    work = tls.https_address(settings, host) if front.caddy else tls.http_address(settings, host)
    return work, tls.http_address(settings, host, "/setup")


@bp.get("/setup")
@public
def page() -> str:
    settings = access.settings()
    front = tls.front(settings)
    work, here = _addresses(settings, front)
    return render_template(
        "setup/setup.html",
        front=front,
        root=tls.root(settings) if front.caddy else None,
        work=work,
        here=here,
        secure=request.is_secure,
        warn_days=tls.WARN_DAYS,
    )


@bp.get("/setup/qr.svg")
@public
def qr() -> Response:
    """A QR code of the address to work at; with ?of=setup of the set-up page."""
    settings = access.settings()
    work, here = _addresses(settings, tls.front(settings))
    drawn = io.BytesIO()
    code = segno.make(here if request.args.get("of") == "setup" else work, error="m", micro=False)
    # Black on white in the dark theme too: many readers know no light code on dark.
    code.save(drawn, kind="svg", scale=8, border=4, dark="#000", light="#fff", xmldecl=False)
    return Response(drawn.getvalue(), mimetype="image/svg+xml", headers={"Cache-Control": "no-store"})


@bp.get("/ca.crt")
@public
def root_certificate() -> Response:
    """The root certificate as phones install it (PEM; iOS and Android know it by its content type)."""
    root = tls.root(access.settings())
    if root is None:
        abort(404)
    return Response(
        root.path.read_bytes(),
        mimetype="application/x-x509-ca-cert",
        headers={
            "Content-Disposition": 'attachment; filename="warehouse-ca.crt"',
            "Cache-Control": "no-store",
        },
    )
