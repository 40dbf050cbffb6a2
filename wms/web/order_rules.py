"""Rules 规则 at the desk: /desk/rules."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request
from sqlalchemy.orm import Session

from wms import labels, rules
from wms.errors import N_
from wms.flows import order_rules
from wms.models import Role, Shop
from wms.web.access import operator, requires
from wms.web.floor import Message, Screen, done, first_time, page

bp = Blueprint("order_rules", __name__)


def _shop(session: Session, shops: list[Shop]) -> Shop | None:
    text = request.values.get("shop", "")
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return next((each for each in shops if each.id == wanted), shops[0] if shops else None)


def show(session: Session, **_where: Any) -> Screen:
    who = operator()
    shops = order_rules.shops(session, who.warehouse_id)
    chosen = _shop(session, shops)
    return Screen(
        "desk/rules.html",
        {
            "shops": shops,
            "shop": chosen,
            "rules": rules.RULES,
            "stand": rules.of_shop(session, chosen) if chosen else {},
            "gifts": order_rules.gift_rules(session, who.warehouse_id),
            "blocked": [
                (entry, labels.masked_entry(entry)) for entry in order_rules.blocked(session, who.warehouse_id)
            ],
        },
    )


@bp.get("/desk/rules")
@requires(Role.SUPERVISOR)
def index() -> str:
    return page(show)


@bp.post("/desk/rules/<name>")
@requires(Role.SUPERVISOR)
@first_time(lambda session, **_where: show(session))
def switch(session: Session, name: str) -> Message | None:
    text = request.form.get("shop", "")
    of = order_rules.shop(session, operator().warehouse_id, int(text) if text.isascii() and text.isdigit() else 0)
    on = request.form.get("on") == "1"
    order_rules.switch(session, of, name, on, request.form)
    if on:
        return done(N_("This rule is on for %(shop)s."), shop=of.name)
    return done(N_("This rule is off for %(shop)s."), shop=of.name)


@bp.post("/desk/rules/gifts/add")
@requires(Role.SUPERVISOR)
@first_time(lambda session, **_where: show(session))
def add_gift(session: Session) -> Message | None:
    rule = order_rules.add_gift(session, request.form)
    return done(N_("Orders that come in from now on get “%(gift)s”."), gift=rule.name)


@bp.post("/desk/rules/gifts/<int:rule_id>/end")
@requires(Role.SUPERVISOR)
@first_time(lambda session, **_where: show(session))
def end_gift(session: Session, rule_id: int) -> Message | None:
    rule = order_rules.end_gift(session, operator().warehouse_id, rule_id)
    return done(N_("“%(gift)s” has ended."), gift=rule.name)


@bp.post("/desk/rules/blocked/add")
@requires(Role.SUPERVISOR)
@first_time(lambda session, **_where: show(session))
def block(session: Session) -> Message | None:
    order_rules.block(session, request.form.get("kind", ""), request.form, request.form.get("reason", ""))
    return done(N_("Orders that match are held from now on."))


@bp.post("/desk/rules/blocked/<int:entry_id>/lift")
@requires(Role.SUPERVISOR)
@first_time(lambda session, **_where: show(session))
def lift(session: Session, entry_id: int) -> Message | None:
    order_rules.lift(session, operator().warehouse_id, entry_id)
    return done(N_("This entry holds no orders any more."))
