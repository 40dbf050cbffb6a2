"""The warehouse floor: create_app assembles it, nothing else."""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from pathlib import Path

from flask import Flask, Response, g, render_template, request
from flask_wtf import CSRFProtect
from werkzeug.exceptions import HTTPException

from wms import assets, labels, scan
from wms.db import Database, open_database
from wms.errors import Refusal
from wms.settings import Settings

CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def create_app(settings: Settings, database: Database | None = None) -> Flask:
    """The web floor as a WSGI application. The tables must be at head already (``run.py migrate``)."""
    app = Flask("wms", template_folder=str(assets.TEMPLATES), static_folder=str(assets.STATIC))
    app.config.update(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=settings.upload_bytes,
        MAX_FORM_PARTS=400,
        MAX_FORM_MEMORY_SIZE=2 * 1024 * 1024,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_NAME="wms_csrf",
        TEMPLATES_AUTO_RELOAD=settings.debug,
        SEND_FILE_MAX_AGE_DEFAULT=0,
    )
    app.extensions["settings"] = app.config["SETTINGS"] = settings
    app.extensions["database"] = database or open_database(settings)
    csrf = CSRFProtect(app)
    for sentence in assets.missing_vendor_files():
        logging.getLogger("wms").warning(sentence)
    if settings.label_font:
        labels.use_font(settings.label_font)
    scan.use(scan.Rules.of(settings.weight_codes, settings.waybill_patterns))
    _words(app)
    _doors(app, csrf)
    _headers(app)
    _errors(app)
    return app


def _words(app: Flask) -> None:
    from wms.web import translate

    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        lambda text: translate._catalog(translate.language()).gettext(text), translate.plural, newstyle=True
    )
    app.jinja_env.globals["_"] = translate.in_page
    # Every icon on a screen asks; files do not change under a running service, only while one is being written.
    app.jinja_env.globals["static"] = _versioned if app.config["SETTINGS"].debug else cache(_versioned)
    app.jinja_env.globals["scan_scripts"] = assets.SCAN_SCRIPTS
    app.jinja_env.globals["station_scripts"] = assets.STATION_SCRIPTS
    app.jinja_env.filters["static_address"] = app.jinja_env.globals["static"]
    app.jinja_env.filters["fingerprint"] = lambda text: hashlib.sha256(text.encode()).hexdigest()[:10]
    app.jinja_env.filters["local"] = translate.local
    app.jinja_env.globals["say"] = translate.say
    app.jinja_env.globals["printed"] = scan.printed

    @app.context_processor
    def _context() -> dict[str, object]:
        return {"operator": g.get("operator"), "language": translate.language()}


@cache
def _version(path: Path, _changed_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]


def _versioned(name: str) -> str:
    """The address of a static file with its content's hash, so that it may be kept for a year."""
    path = assets.STATIC / name
    try:
        return f"/static/{name}?v={_version(path, path.stat().st_mtime_ns)}"
    except OSError:
        return f"/static/{name}"


def _doors(app: Flask, csrf: CSRFProtect) -> None:
    from wms.web import (
        access,
        agents,
        camera,
        carriers,
        components,
        count,
        desk,
        erp,
        health,
        hooks,
        import_orders,
        label_templates,
        lookup,
        night,
        offline,
        operators,
        order_rules,
        orders,
        pack,
        people,
        pick,
        printers,
        printing,
        pushes,
        putaway,
        qimen,
        receive,
        scanner_check,
        setup,
        ship,
        shops,
        stock_push,
        tracking,
    )

    access.guard(app)
    floor = (health, offline, people, setup, scanner_check, camera, receive, putaway, pick, pack, ship, count, lookup)
    for signed in (hooks, qimen, agents):
        csrf.exempt(signed.bp)  # they have no session to be forged
        app.register_blueprint(signed.bp)
    desks = (desk, orders, order_rules, import_orders, printing, printers, label_templates)
    outside = (carriers, tracking, pushes, shops, stock_push, night, erp, operators)
    for room in (*floor, components, *desks, *outside):
        app.register_blueprint(room.bp)
    app.extensions["csrf"].exempt(tracking.push)  # no browser sends it; it is signed instead


def _headers(app: Flask) -> None:
    @app.after_request
    def _harden(response: Response) -> Response:
        local = " ".join(["connect-src 'self'", *g.get("connect_src", ())])
        response.headers.setdefault("Content-Security-Policy", CSP.replace("connect-src 'self'", local))
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(self), microphone=(), geolocation=()"
        if request.endpoint == "static":
            if request.args.get("v"):
                response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
            if request.path.endswith(".wasm"):
                response.headers["Content-Type"] = "application/wasm"
        else:
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def _errors(app: Flask) -> None:
    from wms.web.translate import say_refusal

    @app.errorhandler(HTTPException)
    def _told(error: HTTPException) -> tuple[str, int]:
        return render_template("error.html", code=error.code or 500), error.code or 500

    @app.errorhandler(Refusal)
    def _refused(refusal: Refusal) -> tuple[str, int]:
        return render_template("error.html", code=refusal.status, message=say_refusal(refusal)), refusal.status

    @app.errorhandler(Exception)
    def _stumbled(error: Exception) -> tuple[str, int]:
        logging.getLogger("wms").exception("unexpected fault at %s", request.path)
        return render_template("error.html", code=500), 500
