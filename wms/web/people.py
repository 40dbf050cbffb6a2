"""Sign in by badge and PIN, the home page, one's own settings: /sign-in · / · /me."""

from __future__ import annotations

import json

from flask import Blueprint, Response, abort, g, make_response, redirect, render_template, request
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from wms.db import Actor
from wms.errors import Refusal
from wms.flows import count, pack, people, pick, putaway, receive, release, ship
from wms.models import Operator, Order, OrderState, Role
from wms.web.access import actor, database, operator, public, requires, session_cookie, settings
from wms.web.floor import Screen, render
from wms.web.translate import LANGUAGES, say_refusal

bp = Blueprint("people", __name__)

DEVICE_COOKIE = "wms_device"


@bp.get("/sign-in")
@public
def sign_in_page() -> Response:
    response = make_response(render_template("people/sign_in.html", badge="", refused=""))
    if request.args.get("language") in LANGUAGES:
        response.set_cookie(
            "language", request.args["language"], max_age=365 * 86400, samesite="Lax", secure=request.is_secure
        )
    return response


@bp.post("/sign-in")
@public
def sign_in() -> Response:
    """First the badge alone (the PIN is asked then), then badge and PIN together."""
    badge, pin = request.form.get("badge", ""), request.form.get("pin", "")
    try:
        if not badge:
            people.by_badge_class(request.form.get("code", ""))
            return _ask(badge=request.form.get("code", "").strip()[:80])
        return _begin_shift(badge, pin)
    except Refusal as refusal:
        return _ask(message=say_refusal(refusal), status=422)


def _ask(badge: str = "", message: str = "", status: int = 200) -> Response:
    """The sign-in screen; its message is plain words, because it can only be a refusal."""
    return make_response(render(Screen("people/sign_in.html", {"badge": badge, "refused": message})), status)


def _begin_shift(badge: str, pin: str) -> Response:
    with database().reading() as session:
        found = people.by_badge(session, badge)
        if found is not None:
            people.check_lock(found)
    # The slow hash runs outside any transaction, also for an unknown badge: the time must not tell which.
    fits = people.pin_fits(settings().secret_key, found.pin_hash if found else people.NOBODY, pin)
    if found is None:
        raise people.WrongBadgeOrPin()
    with database().transaction(Actor(found.warehouse_id, found.id)) as session:
        who = session.get_one(Operator, (found.warehouse_id, found.id), with_for_update=True)
        if not fits:
            people.wrong_pin(session, who)
            token, device_token = "", ""
        else:
            people.check_lock(who)
            device = people.device_of(session, who.warehouse_id, request.cookies.get(DEVICE_COOKIE))
            token, device_token = people.sign_in(session, who, device), device.token
    if not fits:
        raise people.WrongBadgeOrPin()
    response = make_response(redirect("/", 303))
    secure = request.is_secure
    response.set_cookie(
        session_cookie(),
        token,
        max_age=settings().shift_hours * 3600,
        httponly=True,
        secure=secure,
        samesite="Lax",
        path="/",
    )
    response.set_cookie(
        DEVICE_COOKIE, device_token, max_age=5 * 365 * 86400, httponly=True, secure=secure, samesite="Lax"
    )
    return response


@bp.post("/sign-out")
@public
def sign_out() -> Response:
    token = request.cookies.get(session_cookie())
    if token and g.operator is not None:
        with database().transaction(actor()) as session:
            people.sign_out(session, token)
    response = make_response(redirect("/sign-in", 303))
    response.delete_cookie(session_cookie(), path="/", secure=request.is_secure, httponly=True, samesite="Lax")
    return response


@bp.get("/")
@requires(Role.PICKER)
def home() -> str:
    who = operator()
    with database().reading() as session:
        return render(Screen("home.html", {"work": _work(session), "ongoing": None, "operator": who}))


def _work(session: Session) -> dict[str, int | None]:
    """What waits on each tile that this role may open."""
    who = operator()
    work: dict[str, int | None] = {
        "receive": len(receive.open_receipts(session, who.warehouse_id)),
        "putaway": len(putaway.waiting(session, who.warehouse_id)),
        "pick": pick.waiting(session, who.warehouse_id),
        "count": count.waiting_for(session, who.warehouse_id, who.id),
        "lookup": None,
    }
    if who.may(Role.PACKER):
        work["pack"] = pack.waiting(session, who.warehouse_id)
        work["ship"] = sum(ship.waiting(session, who.warehouse_id).values())
    if who.may(Role.SUPERVISOR):
        work["desk"] = len(release.shortages(session, who.warehouse_id)) + int(
            session.execute(
                select(func.count())
                .select_from(Order)
                .where(Order.warehouse_id == who.warehouse_id, Order.state == OrderState.HELD)
            ).scalar_one()
        )
    return work


@bp.get("/me")
@requires(Role.PICKER)
def me() -> str:
    return render_template("people/me.html")


@bp.post("/me")
@requires(Role.PICKER)
def save_me() -> Response:
    form, who = request.form, operator()
    values = {
        "language": form.get("language") if form.get("language") in LANGUAGES else who.language,
        "theme": form.get("theme") if form.get("theme") in ("light", "dark", "auto") else who.theme,
        "speech": form.get("speech") == "1",
    }
    with database().transaction(actor()) as session:
        session.execute(
            update(Operator)
            .where(Operator.warehouse_id == who.warehouse_id, Operator.id == who.id)
            .values(**values)
            .execution_options(synchronize_session=False)
        )
    return make_response(redirect("/me", 303))


@bp.get("/badges")
@public
def badges() -> str:
    """The badges of the demonstration warehouse, to print; a real warehouse has no such page."""
    path = settings().home / "demo_badges.json"
    if not path.exists():
        abort(404)
    return render_template("people/badges.html", badges=json.loads(path.read_text("utf-8")))
