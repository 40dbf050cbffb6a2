"""Shops 店铺 at the desk: setting one up, its lane, the orders as they came, and trying one of them again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from wms import journal
from wms.connectors import ConnectorError, connector_for
from wms.connectors.fields import BY_NAME, merged, must_be_said_again
from wms.db import actor_of
from wms.errors import N_, NotFound, Refusal, term
from wms.models import Carrier, RawOrder, RawState, Shop, ShopLane

CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{0,31}")
TO_TRY = (RawState.FAILED, RawState.UNREADABLE)


class BadShopCode(Refusal):
    message = N_("A shop's code is made of letters, digits and dashes, 32 at most.")
    answer = "look"


class ShopCodeTaken(Refusal):
    message = N_("There is a shop %(code)s already.")
    answer = "look"


class NoShopName(Refusal):
    message = N_("Give the shop a name.")
    answer = "look"


class KeysAgain(Refusal):
    """Written once and never shown: else whoever may change the address could have the keys sent to himself."""

    message = N_("The address changed, so its keys must be entered anew: %(names)s.")
    answer = "look"


class SettingsWrong(Refusal):
    """The connector's own words take the place of these: they name the setting and what it may be."""

    message = N_("The settings of this shop cannot be right.")
    answer = "look"

    def __init__(self, error: ConnectorError) -> None:
        super().__init__(**error.facts)
        self.message = error.message  # type: ignore[misc]


def lane(session: Session, shop: Shop) -> ShopLane:
    """The shop's lane, made at its first use; two makers at once make one."""
    insert: Any = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    session.execute(
        insert(ShopLane)
        .values(shop_id=shop.id, warehouse_id=shop.warehouse_id, pulled=0, failures=0, by_hand=False)
        .on_conflict_do_nothing()
    )
    return session.execute(
        select(ShopLane).where(ShopLane.shop_id == shop.id).execution_options(populate_existing=True)
    ).scalar_one()


def keep_key(session: Session, shop_id: int, changed: Mapping[str, str]) -> None:
    """Save a renewed key: the old one is worth nothing from then on."""
    shop = session.execute(select(Shop).where(Shop.id == shop_id).with_for_update()).scalar_one()
    shop.settings = {**shop.settings, **changed}
    journal.note(session, shop, "key_renewed", "", ", ".join(sorted(changed)))


def shop_of(session: Session, warehouse_id: int, shop_id: int, lock: bool = False) -> Shop:
    query = select(Shop).where(Shop.id == shop_id, Shop.warehouse_id == warehouse_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = session.execute(query).scalar_one_or_none()
    if found is None:
        raise NotFound(what=term("The shop"))
    return found


def shops(session: Session, warehouse_id: int) -> list[tuple[Shop, ShopLane | None]]:
    """Every shop of the warehouse with its lane, those we work for first."""
    return [
        (row[0], row[1])
        for row in session.execute(
            select(Shop, ShopLane)
            .outerjoin(ShopLane, ShopLane.shop_id == Shop.id)
            .where(Shop.warehouse_id == warehouse_id)
            .order_by(Shop.active.desc(), Shop.name)
        )
    ]


def raw_numbers(session: Session, warehouse_id: int) -> dict[int, dict[RawState, int]]:
    """By shop: how many orders as they came stand in each state."""
    found: dict[int, dict[RawState, int]] = {}
    for shop_id, state, number in session.execute(
        select(RawOrder.shop_id, RawOrder.state, func.count())
        .where(RawOrder.warehouse_id == warehouse_id)
        .group_by(RawOrder.shop_id, RawOrder.state)
    ):
        found.setdefault(shop_id, {})[state] = int(number)
    return found


def troubled(session: Session, shop: Shop, limit: int) -> list[RawOrder]:
    """Orders as they came of which nothing could be made, the newest first."""
    return list(
        session.execute(
            select(RawOrder)
            .where(RawOrder.warehouse_id == shop.warehouse_id, RawOrder.shop_id == shop.id, RawOrder.state.in_(TO_TRY))
            .order_by(RawOrder.received_at.desc(), RawOrder.id.desc())
            .limit(limit)
        ).scalars()
    )


def try_again(session: Session, shop: Shop, raw_id: int | None) -> int:
    """Have the worker look at one order again, or at all of them; how many."""
    query = select(RawOrder).where(
        RawOrder.warehouse_id == shop.warehouse_id, RawOrder.shop_id == shop.id, RawOrder.state.in_(TO_TRY)
    )
    if raw_id is not None:
        query = query.where(RawOrder.id == raw_id)
    rows = session.execute(query.with_for_update()).scalars().all()
    if raw_id is not None and not rows:
        raise NotFound(what=term("The order"))
    for raw in rows:
        journal.note(session, raw, "state", raw.state, RawState.NEW)
        raw.state = RawState.NEW
    return len(rows)


def pause(session: Session, shop: Shop, paused: bool) -> None:
    """Stop asking a shop anything, by hand; or go on at once, whatever stopped it."""
    held = lane(session, shop)
    if paused == held.by_hand and paused:
        return
    journal.note(session, shop, "lane", "by hand" if held.by_hand else "open", "by hand" if paused else "open")
    held.by_hand = paused
    if not paused:
        held.paused_until, held.paused_reason, held.paused_facts, held.failures = None, "", {}, 0
        held.next_pull_at = None


def read_now(session: Session, shop: Shop) -> None:
    """Read the shop as soon as the worker looks, though it is not due."""
    lane(session, shop).next_pull_at = None


def save(
    session: Session,
    shop_id: int | None,
    *,
    kind: str,
    code: str,
    name: str,
    said: Mapping[str, str],
    carrier_id: int | None,
    fail_closed: bool,
    active: bool,
) -> Shop:
    """Add a shop, or change one. Code and kind are given once. Secrets left empty stay what they are."""
    warehouse_id = actor_of(session).warehouse_id
    name = name.strip()[:120]
    if not name:
        raise NoShopName()
    if carrier_id is not None and session.get(Carrier, carrier_id) is None:
        raise NotFound(what=term("The carrier"))
    if shop_id is None:
        code = code.strip().upper()
        if not CODE.fullmatch(code):
            raise BadShopCode()
        if session.execute(select(Shop.id).where(Shop.code == code)).first():
            raise ShopCodeTaken(code=code)
        if kind not in BY_NAME:
            raise NotFound(what=term("This kind of shop"))
        shop = Shop(warehouse_id=warehouse_id, code=code, connector=kind, settings={})
    else:
        shop = shop_of(session, warehouse_id, shop_id, lock=True)
    kind_of = BY_NAME[shop.connector]
    again = must_be_said_again(kind_of, shop.settings, said)
    if again:
        raise KeysAgain(names=", ".join(again))
    settings = merged(kind_of, shop.settings, said)
    try:
        connector_for(shop.connector, settings)
    except ConnectorError as error:
        raise SettingsWrong(error) from error
    changed = sorted(
        key for key in settings.keys() | shop.settings.keys() if settings.get(key) != shop.settings.get(key)
    )
    if settings != shop.settings:
        shop.settings = settings
    before = f"{shop.name} {shop.carrier_id} {shop.fail_closed} {shop.active}"
    shop.name, shop.carrier_id, shop.fail_closed, shop.active = name, carrier_id, fail_closed, active
    if shop_id is None:
        session.add(shop)
        session.flush()
    elif changed:
        pause(session, shop, False)  # what a wrong key had stopped is tried with the new one
    after = f"{shop.name} {shop.carrier_id} {shop.fail_closed} {shop.active}"
    # Names of settings only: their values are sealed, and the journal is not.
    journal.note(session, shop, "added" if shop_id is None else "changed", before, f"{after} {', '.join(changed)}")
    return shop


def key_ends(held: ShopLane | None, at: datetime) -> int | None:
    """Whole days until the shop's key ends; None when it does not say."""
    if held is None or held.authorised_until is None:
        return None
    return (held.authorised_until - at).days
