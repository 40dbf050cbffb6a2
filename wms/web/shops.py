"""Shops at the desk: lanes, orders as they came, unknown items, a shop's settings with its keys write-only."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from flask import Blueprint, Response, redirect, request
from sqlalchemy.orm import Session

from wms.clock import now
from wms.connectors import Authorised, ConnectorError, connector_for
from wms.connectors.fields import BY_NAME, KINDS, Kind, shown
from wms.db import Actor
from wms.errors import N_, NotFound, Refusal, term
from wms.flows import mapping, orders, shops
from wms.models import Role, Shop, ShopLane
from wms.web.access import actor, database, operator, requires
from wms.web.each import alone
from wms.web.floor import Message, Screen, done, first_time, look, page
from wms.web.translate import say, say_refusal

bp = Blueprint("shops", __name__)

MOST = 100
SOON_DAYS = 7
TEST_BACK = timedelta(minutes=10)
"""Platforms that show orders some minutes late are asked for a window that is not empty."""


def words(message: str, facts: dict[str, Any]) -> str:
    """What a shop said, in the operator's language; as it stands where its facts do not fit its words."""
    try:
        return say(message, facts)
    except (KeyError, TypeError, ValueError):
        return message


def lane_state(shop: Shop, lane: ShopLane | None) -> str:
    """One word for a lane: off, by hand, paused, reading, open, or never read."""
    at = now()
    if not shop.active:
        return "off"
    if lane is None:
        return "never"
    if lane.by_hand:
        return "by_hand"
    if lane.paused_until is not None and lane.paused_until > at:
        return "paused"
    if lane.leased_until is not None and lane.leased_until > at:
        return "reading"
    return "open" if lane.pulled_at is not None else "never"


def _facts() -> dict[str, Any]:
    return {
        "admin": operator().may(Role.ADMIN),
        "lane_state": lane_state,
        "words": words,
        "kinds": BY_NAME,
        "key_ends": lambda lane: shops.key_ends(lane, now()),
        "soon_days": SOON_DAYS,
    }


def show_list(session: Session, **_where: Any) -> Screen:
    who = operator()
    rows = shops.shops(session, who.warehouse_id)
    unknown = mapping.unknown(session, who.warehouse_id)
    return Screen(
        "desk/shops.html",
        {
            **_facts(),
            "rows": rows,
            "raw": shops.raw_numbers(session, who.warehouse_id),
            "unknown": unknown[:MOST],
            "more_unknown": len(unknown) > MOST,
            "names": {shop.id: shop.name for shop, _lane in rows},
        },
    )


@bp.get("/desk/shops")
@requires(Role.SUPERVISOR)
def index() -> str:
    return page(show_list)


def show_shop(session: Session, shop_id: int, **_where: Any) -> Screen:
    who = operator()
    shop = shops.shop_of(session, who.warehouse_id, shop_id)
    troubled = shops.troubled(session, shop, MOST + 1)
    return Screen(
        "desk/shop.html",
        {
            **_facts(),
            "shop": shop,
            "lane": session.get(ShopLane, shop.id),
            "raw": shops.raw_numbers(session, who.warehouse_id).get(shop.id, {}),
            "troubled": troubled[:MOST],
            "more": len(troubled) > MOST,
            "unknown": mapping.unknown(session, who.warehouse_id, shop.id)[:MOST],
            "said": mapping.said(session, shop),
        },
    )


@bp.get("/desk/shops/<int:shop_id>")
@requires(Role.SUPERVISOR)
def one(shop_id: int) -> str:
    return page(show_shop, shop_id=shop_id)


@bp.post("/desk/shops/<int:shop_id>/pause")
@requires(Role.SUPERVISOR)
@first_time(show_shop)
def pause(session: Session, shop_id: int) -> Message | None:
    shop = shops.shop_of(session, operator().warehouse_id, shop_id)
    paused = request.form.get("act") == "pause"
    shops.pause(session, shop, paused)
    if paused:
        return look(N_("Nothing is asked of %(shop)s until you let it go on. Its orders here go on."), shop=shop.name)
    return done(N_("%(shop)s goes on. It is asked within a few seconds."), shop=shop.name)


@bp.post("/desk/shops/<int:shop_id>/read")
@requires(Role.SUPERVISOR)
@first_time(show_shop)
def read_now(session: Session, shop_id: int) -> Message | None:
    shop = shops.shop_of(session, operator().warehouse_id, shop_id)
    shops.read_now(session, shop)
    return done(N_("%(shop)s is read within a few seconds."), shop=shop.name)


@bp.post("/desk/shops/<int:shop_id>/raw")
@requires(Role.SUPERVISOR)
@first_time(show_shop)
def try_again(session: Session, shop_id: int) -> Message | None:
    shop = shops.shop_of(session, operator().warehouse_id, shop_id)
    text = request.form.get("raw", "")
    raw_id = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    if raw_id is None and text != "all":
        raise NotFound(what=term("The order"))
    number = shops.try_again(session, shop, raw_id)
    return done(N_("Looked at again within a few seconds: %(count)s."), count=number)


def show_map(session: Session, shop_id: int, **_where: Any) -> Screen:
    who = operator()
    shop = shops.shop_of(session, who.warehouse_id, shop_id)
    sku = request.values.get("sku", "").strip()[:64]
    asked = request.values.get("q", "").strip()[:80]
    waiting = [one for one in mapping.unknown(session, who.warehouse_id, shop.id) if one.sku.upper() == sku.upper()]
    return Screen(
        "desk/shop_item.html",
        {
            "shop": shop,
            "sku": sku,
            "asked": asked,
            "waiting": waiting[0] if waiting else None,
            "found": mapping.search(session, asked or sku),
        },
    )


@bp.get("/desk/shops/<int:shop_id>/item")
@requires(Role.SUPERVISOR)
def which_item(shop_id: int) -> str:
    return page(show_map, shop_id=shop_id)


@bp.post("/desk/shops/<int:shop_id>/item")
@requires(Role.SUPERVISOR)
def is_item(shop_id: int) -> str | tuple[str, int]:
    """The name in one transaction, then each order that waited for it in its own; the worker takes up what is left."""
    form = request.form
    text = form.get("item", "")
    item_id = int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0

    def name(session: Session) -> None:
        shop = shops.shop_of(session, operator().warehouse_id, shop_id, lock=True)
        mapping.say(session, shop, form.get("sku", ""), item_id)

    try:
        alone(name)
    except Refusal as refusal:
        return page(show_map, Message(refusal.answer, say_refusal(refusal)), shop_id=shop_id), refusal.status
    warehouse_id = operator().warehouse_id
    with database().reading() as session:
        waiting = mapping.may_go_on(session, warehouse_id)
    gone = 0
    for order_id in waiting:
        try:
            gone += alone(partial(mapping.go_on, warehouse_id=warehouse_id, order_id=order_id))
        except Refusal:
            continue  # somebody else has it in hand
    return page(
        show_shop,
        done(N_("%(sku)s is known from now on. Orders that go on: %(count)s."), sku=form["sku"], count=gone),
        shop_id=shop_id,
    )


@bp.post("/desk/shops/<int:shop_id>/forget")
@requires(Role.SUPERVISOR)
@first_time(show_shop)
def forget(session: Session, shop_id: int) -> Message | None:
    shop = shops.shop_of(session, operator().warehouse_id, shop_id)
    text = request.form.get("name", "")
    row_id = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    return look(N_("%(sku)s is no name of an item any more."), sku=mapping.forget(session, shop, row_id))


# Setting one up


def show_form(session: Session, shop_id: int = 0, kind: str = "", **_where: Any) -> Screen:
    shop = shops.shop_of(session, operator().warehouse_id, shop_id) if shop_id else None
    chosen: Kind | None = BY_NAME.get(shop.connector if shop else kind)
    if chosen is None:
        return Screen("desk/shop_kind.html", {"kinds": KINDS})
    settings = shop.settings if shop else {}
    was = {field.name: shown(field, settings) for field in chosen.fields}
    if shop is None:
        was.update({field.name: "1" for field in chosen.fields if field.kind == "switch" and field.default})
    elif any(field.default and field.name not in settings for field in chosen.fields):
        was.update({field.name: "1" for field in chosen.fields if field.default and field.name not in settings})
    form = request.form if request.method == "POST" else None
    if form is not None:
        was.update({field.name: form.get(field.name, "") for field in chosen.fields if field.kind != "secret"})
    return Screen(
        "desk/shop_form.html",
        {
            "shop": shop,
            "kind": chosen,
            "was": was,
            "choices": {field.name: [("", "—"), *((one, one) for one in field.choices)] for field in chosen.fields},
            "kept": [name for name in chosen.secrets if settings.get(name)],
            "carriers": orders.carriers(session),
            "form": form,
        },
    )


@bp.get("/desk/shops/new")
@requires(Role.ADMIN)
def new() -> str:
    return page(show_form, kind=request.args.get("kind", ""))


@bp.get("/desk/shops/<int:shop_id>/change")
@requires(Role.ADMIN)
def change(shop_id: int) -> str:
    return page(show_form, shop_id=shop_id)


@bp.post("/desk/shops/save")
@bp.post("/desk/shops/<int:shop_id>/save")
@requires(Role.ADMIN)
def save(shop_id: int = 0) -> Response | tuple[str, int]:
    """Not ``first_time``: keys have no place in the browser's outbox, nor in the answer that is kept."""
    form = request.form
    text = form.get("carrier", "")

    def rule(session: Session) -> int:
        shop = shops.save(
            session,
            shop_id or None,
            kind=form.get("kind", ""),
            code=form.get("code", ""),
            name=form.get("shop_name", ""),
            said=form,
            carrier_id=int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None,
            fail_closed=form.get("fail_closed") == "1",
            active=form.get("active") == "1",
        )
        return shop.id

    try:
        saved = alone(rule)
    except Refusal as refusal:
        message = Message(refusal.answer, say_refusal(refusal))
        return page(show_form, message, shop_id=shop_id, kind=form.get("kind", "")), refusal.status
    answer = redirect(f"/desk/shops/{saved}")
    assert isinstance(answer, Response)
    return answer


@bp.post("/desk/shops/<int:shop_id>/test")
@requires(Role.ADMIN)
def test(shop_id: int) -> str:
    """Ask the shop for the orders of the last minute and read the first: the least that needs its key."""
    who = operator()
    with database().reading() as session:
        shop = shops.shop_of(session, who.warehouse_id, shop_id)

    def keep(changed: dict[str, str]) -> None:
        with database().transaction(Actor(who.warehouse_id, who.id)) as session:
            shops.keep_key(session, shop_id, changed)

    try:
        connector = connector_for(shop.connector, shop.settings, keep)
        first = next(iter(connector.fetch_orders(now() - TEST_BACK)), None)
    except ConnectorError as error:
        return page(show_shop, Message("wrong", words(error.message, error.facts)), shop_id=shop_id)
    except Exception as error:
        broke = say(N_("The connector broke: %(fault)s"), {"fault": type(error).__name__})
        return page(show_shop, Message("wrong", broke), shop_id=shop_id)
    if isinstance(connector, Authorised) and connector.authorised_until is not None:
        with database().transaction(actor()) as session:
            shops.lane(session, shop).authorised_until = connector.authorised_until
    if shop.connector == "webhook" and "list" not in str(shop.settings.get("can") or ""):
        message = look(
            N_("The settings of %(shop)s are complete. It tells us by itself; nothing can be asked of it."),
            shop=shop.name,
        )
    elif first is not None:
        order = first.shop_order_no
        message = done(N_("%(shop)s lets us in. It shows order %(order)s."), shop=shop.name, order=order)
    else:
        message = done(N_("%(shop)s lets us in. It has no order of the last minutes."), shop=shop.name)
    return page(show_shop, message, shop_id=shop_id)
