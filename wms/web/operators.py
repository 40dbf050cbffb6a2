"""People at the desk: who works here, new badges and PINs, who has left."""

from __future__ import annotations

from typing import Any

import segno
from flask import Blueprint, request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms.clock import now
from wms.errors import N_, NotFound, Refusal, term
from wms.flows import people
from wms.models import Operator, Role, SignIn
from wms.web.access import operator, requires, settings
from wms.web.each import alone
from wms.web.floor import Message, Screen, done, first_time, page, render
from wms.web.translate import LANGUAGES, say_refusal

bp = Blueprint("operators", __name__)


def badge_picture(code: str) -> str:
    """A badge's QR code as a picture address; black on white in every theme, or some readers see nothing."""
    return str(segno.make(code, error="m", micro=False).svg_data_uri(scale=4, border=4, dark="#000", light="#fff"))


def show(session: Session, **_where: Any) -> Screen:
    who = operator()
    seen = {
        row[0]: row[1]
        for row in session.execute(
            select(SignIn.operator_id, func.max(SignIn.seen_at))
            .where(SignIn.warehouse_id == who.warehouse_id)
            .group_by(SignIn.operator_id)
        )
    }
    rows = (
        session.execute(
            select(Operator)
            .where(Operator.warehouse_id == who.warehouse_id)
            .order_by(Operator.active.desc(), Operator.name)
        )
        .scalars()
        .all()
    )
    return Screen(
        "desk/people.html",
        {
            "rows": rows,
            "seen": seen,
            "now": now(),
            "roles": list(Role),
            "languages": LANGUAGES,
            "me": who.id,
            "badge": None,
            "picture": "",
            "form": request.form if request.method == "POST" else None,
        },
    )


@bp.get("/desk/people")
@requires(Role.ADMIN)
def index() -> str:
    return page(show)


def _operator(session: Session, operator_id: int) -> Operator:
    found = session.get(Operator, (operator().warehouse_id, operator_id), with_for_update=True)
    if found is None:
        raise NotFound(what=term("The person"))
    return found


def _refused(refusal: Refusal) -> tuple[str, int]:
    return page(show, Message(refusal.answer, say_refusal(refusal))), refusal.status


def _handed_out(name: str, role: Role, code: str) -> str:
    """The page with the badge, this once. Not ``first_time``: it would keep the answer, and the code with it."""

    def draw(session: Session) -> str:
        facts = {
            **show(session).facts,
            "badge": people.Badge(name, role, code, ""),
            "picture": badge_picture(code),
            "form": None,
        }
        return render(Screen("desk/people.html", facts))

    return alone(draw)


@bp.post("/desk/people/add")
@requires(Role.ADMIN)
def add() -> str | tuple[str, int]:
    form = request.form
    role = Role(form["role"]) if form.get("role") in list(Role) else Role.PICKER
    language = form.get("language", "zh") if form.get("language") in LANGUAGES else "zh"

    def rule(session: Session) -> people.Badge:
        name = people.check_name(session, form.get("name", ""))
        return people.add_operator(session, settings().secret_key, name, role, form.get("pin", "").strip(), language)

    try:
        badge = alone(rule)
    except Refusal as refusal:
        return _refused(refusal)
    return _handed_out(badge.name, badge.role, badge.code)


@bp.post("/desk/people/<int:operator_id>/badge")
@requires(Role.ADMIN)
def new_badge(operator_id: int) -> str | tuple[str, int]:
    def rule(session: Session) -> people.Badge:
        row = _operator(session, operator_id)
        return people.Badge(row.name, row.role, people.new_badge(session, row), "")

    try:
        badge = alone(rule)
    except Refusal as refusal:
        return _refused(refusal)
    return _handed_out(badge.name, badge.role, badge.code)


@bp.post("/desk/people/<int:operator_id>/pin")
@requires(Role.ADMIN)
def new_pin(operator_id: int) -> str | tuple[str, int]:
    """Not ``first_time`` either: a PIN has no place in the phone's outbox."""

    def rule(session: Session) -> str:
        row = _operator(session, operator_id)
        people.set_pin(session, settings().secret_key, row, request.form.get("pin", "").strip())
        return row.name

    try:
        name = alone(rule)
    except Refusal as refusal:
        return _refused(refusal)
    return page(show, done(N_("%(name)s has a new PIN."), name=name))


@bp.post("/desk/people/<int:operator_id>/active")
@requires(Role.ADMIN)
@first_time(show)
def set_active(session: Session, operator_id: int) -> Message | None:
    row = _operator(session, operator_id)
    active = request.form.get("act") == "activate"
    people.set_active(session, row, active)
    if active:
        return done(N_("%(name)s may sign in again."), name=row.name)
    return done(N_("%(name)s can no longer sign in."), name=row.name)
