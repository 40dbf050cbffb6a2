"""Stock for the shops at the desk: who is told how much, what differs and why, and telling it again (R38)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms.errors import N_, NotFound, Refusal, term
from wms.flows import selling, shops
from wms.models import Barcode, Item, Role, Shop, StockPush
from wms.scan import barcode_key
from wms.web.access import operator, requires
from wms.web.floor import Message, Screen, done, first_time, look, page
from wms.web.translate import say

bp = Blueprint("stock_push", __name__)

MOST = 100


class NoSuchItem(Refusal):
    message = N_("No item has the SKU or barcode %(read)s.")
    answer = "look"


def why(row: StockPush) -> str:
    """What the shop last said, in the operator's language; as it stands where its facts do not fit its words."""
    try:
        return say(row.reason, row.facts)
    except (KeyError, TypeError, ValueError):
        return row.reason


def _item(session: Session, read: str) -> Item:
    """By SKU or barcode."""
    said = read.strip()
    found = session.execute(select(Item).where(func.upper(Item.sku) == said.upper())).scalar_one_or_none()
    if found is None and said:
        code = session.get(Barcode, barcode_key(said.removeprefix("I-")))
        found = session.get(Item, code.item_id) if code else None
    if found is None:
        raise NoSuchItem(read=said[:64] or "—")
    return found


def show(session: Session, **_where: Any) -> Screen:
    who = operator()
    rows = [(shop, selling.settings_of(session, shop)) for shop, _lane in shops.shops(session, who.warehouse_id)]
    text = request.args.get("shop", "")
    chosen = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    asked = request.args.get("item", "").strip()[:64]
    item = None
    missing = ""
    if asked:
        try:
            item = selling.of_item(session, who.warehouse_id, _item(session, asked))
        except NoSuchItem:
            missing = asked
    differing = selling.differing(session, who.warehouse_id, chosen, MOST + 1)
    return Screen(
        "desk/stock_push.html",
        {
            "rows": rows,
            "numbers": selling.numbers(session, who.warehouse_id),
            "last_told": selling.last_told(session, who.warehouse_id),
            "differing": differing[:MOST],
            "more": len(differing) > MOST,
            "chosen": chosen,
            "item": item,
            "asked": asked,
            "missing": missing,
            "buffers": selling.buffers(session, who.warehouse_id),
            "quotas": selling.quotas(session, who.warehouse_id),
            "categories": selling.categories(session),
            "admin": who.may(Role.ADMIN),
            "why": why,
            "unknown": selling.SAID_UNKNOWN,
        },
    )


@bp.get("/desk/stock-push")
@requires(Role.SUPERVISOR)
def index() -> str:
    return page(show)


def _shop(session: Session, shop_id: int) -> Shop:
    return shops.shop_of(session, operator().warehouse_id, shop_id)


@bp.post("/desk/stock-push/<int:shop_id>/settings")
@requires(Role.ADMIN)
@first_time(show)
def save(session: Session, shop_id: int) -> Message | None:
    shop, form = _shop(session, shop_id), request.form
    told = form.get("told") == "1"
    selling.save_shop(
        session,
        shop,
        told=told,
        share=selling.number(form.get("share", ""), 0, 100),
        per_minute=selling.number(form.get("per_minute", ""), 1, 6000),
    )
    if told:
        return done(N_("%(shop)s is told of stock from now on."), shop=shop.name)
    return look(N_("%(shop)s is not told of stock. It keeps the numbers it has."), shop=shop.name)


@bp.post("/desk/stock-push/<int:shop_id>/again")
@requires(Role.SUPERVISOR)
@first_time(show)
def again(session: Session, shop_id: int) -> Message | None:
    shop = _shop(session, shop_id)
    count = selling.again(session, shop, _row_id())
    return done(N_("%(shop)s is told again: %(count)s items."), shop=shop.name, count=count)


@bp.post("/desk/stock-push/<int:shop_id>/leave-out")
@requires(Role.SUPERVISOR)
@first_time(show)
def leave_out(session: Session, shop_id: int) -> Message | None:
    shop = _shop(session, shop_id)
    count = selling.leave_out(session, shop, _row_id())
    return look(
        N_("%(shop)s is no longer told of %(count)s items. The other shops share them."), shop=shop.name, count=count
    )


def _row_id() -> int | None:
    text = request.form.get("row", "")
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise NotFound(what=term("This line"))
    return int(text)


@bp.post("/desk/stock-push/buffer")
@requires(Role.SUPERVISOR)
@first_time(show)
def buffer(session: Session) -> Message | None:
    form = request.form
    if "remove" in form:
        selling.save_buffer(session, form["remove"], None)
        return look(N_("The buffer is taken away."))
    qty = selling.number(form.get("qty", ""), 0, selling.MOST)
    item, category = form.get("item", "").strip(), form.get("category", "").strip()[:64]
    scope = str(_item(session, item).id) if item else f"={category}" if category else ""
    selling.save_buffer(session, scope, qty)
    return done(N_("%(count)s pieces are kept back."), count=qty)


@bp.post("/desk/stock-push/quota")
@requires(Role.SUPERVISOR)
@first_time(show)
def quota(session: Session) -> Message | None:
    form = request.form
    text = form.get("shop", "")
    shop = _shop(session, int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0)
    item = _item(session, form.get("item", ""))
    if "remove" in form:
        selling.save_quota(session, shop, item, None)
        return look(N_("%(item)s is shared again."), item=item.sku)
    qty = selling.number(form.get("qty", ""), 0, selling.MOST)
    selling.save_quota(session, shop, item, qty)
    return done(N_("%(shop)s has %(count)s pieces of %(item)s."), shop=shop.name, count=qty, item=item.sku)


@bp.post("/desk/stock-push/category")
@requires(Role.SUPERVISOR)
@first_time(show)
def category(session: Session) -> Message | None:
    """Which category an item is of: buffers go by it."""
    item = _item(session, request.form.get("item", ""))
    item.category = request.form.get("category", "").strip()[:64]
    selling.look_at_all(session, operator().warehouse_id)
    return done(N_("%(item)s is of category %(category)s."), item=item.sku, category=item.category or "—")
