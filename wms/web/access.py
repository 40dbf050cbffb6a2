"""Who may open what: the signed-in operator of a request, roles on every view, default deny (R16)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from flask import Flask, Response, abort, current_app, g, make_response, redirect, render_template, request
from sqlalchemy import and_, bindparam, select, update

from wms.clock import now
from wms.db import Actor, Database
from wms.flows.people import token_hash
from wms.models import Device, Operator, Role, SignIn, Warehouse
from wms.settings import Settings

View = TypeVar("View", bound=Callable[..., Any])

SCANNED = frozenset({"code", "badge"})
"""Fields that scan.clean rids of what scanners add; only looked up by what is left."""

POLLED = frozenset({"/desk/now", "/pack/label"})
"""Asked by open pages by themselves: a desk nobody touches must still lock."""

POLLED_ROOM = "/components"
"""Asked by the packing page by itself, as are all below it."""


def polled(path: str) -> bool:
    return path in POLLED or path.startswith(POLLED_ROOM)


_WHO = (
    select(
        Operator.id,
        Operator.warehouse_id,
        Operator.name,
        Operator.role,
        Operator.language,
        Operator.theme,
        Operator.speech,
        Device.id,
        Device.token,
        Device.station_id,
        SignIn.seen_at,
        SignIn.started_at,
        Warehouse.timezone,
    )
    .select_from(SignIn)
    .join(Operator, and_(Operator.warehouse_id == SignIn.warehouse_id, Operator.id == SignIn.operator_id))
    .join(Device, and_(Device.warehouse_id == SignIn.warehouse_id, Device.id == SignIn.device_id))
    .join(Warehouse, Warehouse.id == SignIn.warehouse_id)
    .where(SignIn.token_hash == bindparam("hashed"), SignIn.ended_at.is_(None), Operator.active)
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The operator of this request, and the device in their hand."""

    id: int
    warehouse_id: int
    name: str
    role: Role
    language: str
    theme: str
    speech: bool
    device_id: int
    device_token: str
    station_id: int | None

    def may(self, role: Role) -> bool:
        return self.role.rank >= role.rank


def public(view: View) -> View:
    """Open to everybody, signed in or not."""
    view.wms_public = True  # type: ignore[attr-defined]
    return view


def machine(view: View) -> View:
    """Open to programs that prove themselves by a signature over the raw bytes: no cookie is read, no form parsed."""
    view.wms_machine = True  # type: ignore[attr-defined]
    return view


def requires(role: Role) -> Callable[[View], View]:
    """Open to a role and those above it. A view that says nothing is open to nobody."""

    def mark(view: View) -> View:
        view.wms_role = role  # type: ignore[attr-defined]
        return view

    return mark


def settings() -> Settings:
    result: Settings = current_app.extensions["settings"]
    return result


def database() -> Database:
    result: Database = current_app.extensions["database"]
    return result


def operator() -> SignedIn:
    signed_in: SignedIn = g.operator
    return signed_in


def actor(scan_id: str | None = None) -> Actor:
    who = operator()
    return Actor(who.warehouse_id, who.id, who.device_token, scan_id)


def session_cookie() -> str:
    """__Host- needs https; on plain http the browser would throw such a cookie away."""
    return "__Host-wms" if request.is_secure else "wms"


def guard(app: Flask) -> None:
    """Look at every request before any view does."""

    @app.before_request
    def _check() -> Any:
        g.operator = None
        g.timezone = settings().timezone
        view = app.view_functions.get(request.endpoint or "")
        if view is None:
            return None  # 404 and 405 have their own page
        if request.endpoint == "static" or getattr(view, "wms_machine", False):
            return None
        if any("\x00" in value for name, value in request.form.items() if name not in SCANNED):
            abort(400)  # nobody types it, and PostgreSQL cannot keep it
        token = request.cookies.get(session_cookie())
        if token:
            g.operator = _who(token)
        if getattr(view, "wms_public", False):
            return None
        if g.operator is None:
            return _sign_in_first()
        role = getattr(view, "wms_role", None)
        if role is None or not g.operator.may(role):
            abort(403)
        return None


def _sign_in_first() -> Response:
    if request.headers.get("X-Requested-With") == "scan" or request.headers.get("HX-Request"):
        answer = make_response(render_template("error.html", code=401), 401)
        if polled(request.path):
            answer.headers["HX-Redirect"] = "/sign-in"  # or the page would go on asking for ever
        return answer
    return make_response(redirect("/sign-in"))


def _who(token: str) -> SignedIn | None:
    """The operator of a session token, unless the shift is over or the device lay idle too long."""
    at, limits = now(), settings()
    hashed = token_hash(token)
    row = database().look(_WHO, {"hashed": hashed})
    if row is None:
        return None
    seen_at, started_at = row[10], row[11]
    if at - seen_at > timedelta(minutes=limits.idle_minutes) or at - started_at > timedelta(hours=limits.shift_hours):
        return None
    if at - seen_at > timedelta(minutes=1) and not polled(request.path):
        with database().transaction(Actor(row[1], row[0])) as session:
            session.execute(
                update(SignIn)
                .where(SignIn.token_hash == hashed)
                .values(seen_at=at)
                .execution_options(synchronize_session=False)
            )
    g.timezone = row[12]
    return SignedIn(*row[:10])
