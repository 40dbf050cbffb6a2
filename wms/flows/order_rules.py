"""Rules 规则 at the desk: switching them for a shop, gifts 满赠, and the block list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms import journal, rules
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, NotFound, Refusal, term
from wms.models import BlockEntry, BlockKind, GiftRule, Item, Operator, Shop, Warehouse, new_id
from wms.rules import block_list, gifts, ship_by


class BadGift(Refusal):
    message = N_("%(entered)s does not do for “%(field)s”.")


class NoSuchItem(Refusal):
    message = N_("There is no item %(sku)s.")


class BadHours(Refusal):
    message = N_("Enter a whole number of hours from 1 to %(most)s.")


def shops(session: Session, warehouse_id: int) -> list[Shop]:
    return list(
        session.execute(
            select(Shop).where(Shop.warehouse_id == warehouse_id, Shop.active).order_by(Shop.name)
        ).scalars()
    )


def shop(session: Session, warehouse_id: int, shop_id: int) -> Shop:
    found = session.get(Shop, shop_id)
    if found is None or found.warehouse_id != warehouse_id:
        raise NotFound(what=term("The shop"))
    return found


def switch(session: Session, of: Shop, name: str, on: bool, entered: Mapping[str, str]) -> None:
    """Set one rule of a shop from what was typed. Raises the refusals of that rule."""
    if name not in rules.RULES:
        raise NotFound(what=term("The rule"))
    facts: dict[str, Any] = {}
    if name == "ship_by":
        facts = ship_by.checked(*(entered.get(key, "") for key in ("hours", "cut_off", "days")))
    elif name == "merge":
        hours = entered.get("hours", "").strip()
        if not (hours.isascii() and hours.isdigit() and len(hours) < 4 and 1 <= int(hours) <= 168):
            raise BadHours(most=168)
        facts = {"hours": int(hours), "by_itself": bool(entered.get("by_itself"))}
    elif name == "agent":
        facts = {key: entered.get(key, "").strip()[:120] for key in ("name", "phone", "region", "address")}
    rules.switch(session, of, name, on, facts)


def gift_rules(session: Session, warehouse_id: int) -> list[tuple[GiftRule, Item, str, int]]:
    """Every gift with its item, its shop ("" for all) and the pieces given so far; running ones first."""
    rows = session.execute(
        select(GiftRule, Item, func.coalesce(Shop.name, ""))
        .join(Item, Item.id == GiftRule.gift_item_id)
        .outerjoin(Shop, Shop.id == GiftRule.shop_id)
        .where(GiftRule.warehouse_id == warehouse_id)
        .order_by(GiftRule.active.desc(), GiftRule.id.desc())
        .limit(200)
    ).all()
    return [(row[0], row[1], row[2], gifts.spent(session, row[0])) for row in rows]


def add_gift(session: Session, entered: Mapping[str, str]) -> GiftRule:
    """A new gift from what was typed; it holds for orders that come in from now on."""
    warehouse_id = actor_of(session).warehouse_id
    name = entered.get("name", "").strip()[:80]
    if not name:
        raise BadGift(entered="—", field=term("Name"))
    of = shop(session, warehouse_id, _number(entered, "shop", term("Shop"))) if entered.get("shop") else None
    zone = ZoneInfo(session.get_one(Warehouse, warehouse_id).timezone)
    skus = [sku for sku in re.split(r"[\s,，;；、]+", entered.get("items", "").strip()) if sku]
    rule = GiftRule(
        warehouse_id=warehouse_id,
        id=new_id(),
        name=name,
        shop_id=of.id if of else None,
        valid_from=_day(entered, "from", zone, term("Valid from")),
        valid_until=_day(entered, "until", zone, term("Valid until"), ends=True),
        min_minor=_money(entered, "amount"),
        min_pieces=_number(entered, "pieces", term("Pieces"), 0),
        item_ids=[item.id for item in _items(session, skus)],
        gift_item_id=_items(session, [entered.get("gift", "").strip()])[0].id,
        gift_qty=_number(entered, "qty", term("Quantity"), 1) or 1,
        each_step=bool(entered.get("each")),
        most=_number(entered, "most", term("At most"), 0) or None,
    )
    session.add(rule)
    session.flush()
    journal.note(session, rule, "opened", "", name)
    return rule


def end_gift(session: Session, warehouse_id: int, rule_id: int) -> GiftRule:
    """No order gets it from now on; what was given stays given."""
    rule = session.get(GiftRule, (warehouse_id, rule_id), with_for_update=True)
    if rule is None:
        raise NotFound(what=term("The gift"))
    rule.active = False
    journal.note(session, rule, "ended", "", rule.name)
    return rule


def _items(session: Session, skus: Sequence[str]) -> list[Item]:
    found = []
    for sku in skus:
        item = session.execute(select(Item).where(func.upper(Item.sku) == sku.upper())).scalars().first()
        if item is None:
            raise NoSuchItem(sku=sku[:40] or "—")
        found.append(item)
    return found


def _number(entered: Mapping[str, str], name: str, field: str, default: int | None = None) -> int:
    text = entered.get(name, "").strip()
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadGift(entered=text[:20] or "—", field=field)
    return int(text)


def _money(entered: Mapping[str, str], name: str) -> int:
    """An amount as people write it, in minor units (R7)."""
    text = entered.get(name, "").strip() or "0"
    try:
        minor = Decimal(text) * 100
        whole = int(minor)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise BadGift(entered=text[:20], field=term("From an amount of")) from error
    if whole != minor or not 0 <= whole < 10**12:
        raise BadGift(entered=text[:20], field=term("From an amount of"))
    return whole


def _day(entered: Mapping[str, str], name: str, zone: ZoneInfo, field: str, ends: bool = False) -> datetime | None:
    """The first moment of a day at the warehouse; of the day after, for a day that is still inside."""
    text = entered.get(name, "").strip()
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise BadGift(entered=text[:20], field=field) from error
    return datetime.combine(day + timedelta(days=1 if ends else 0), time(), zone)


def blocked(session: Session, warehouse_id: int) -> list[BlockEntry]:
    """The block list, the newest first; entries that were lifted last."""
    return list(
        session.execute(
            select(BlockEntry)
            .where(BlockEntry.warehouse_id == warehouse_id)
            .order_by(BlockEntry.active.desc(), BlockEntry.id.desc())
            .limit(500)
        ).scalars()
    )


def block(session: Session, kind: str, entered: Mapping[str, str], reason: str) -> BlockEntry:
    """Enter somebody; entered again, the entry is in force again with the new reason."""
    actor = actor_of(session)
    of = None
    if kind == BlockKind.PHONE:
        value = block_list.phone(entered.get("phone", ""))
    elif kind == BlockKind.ADDRESS:
        value = block_list.address(entered.get("name", ""), entered.get("address", ""))
    else:
        kind, value = BlockKind.BUYER, entered.get("buyer", "").strip()[:300]
        of = shop(session, actor.warehouse_id, _number(entered, "shop", term("Shop"))) if entered.get("shop") else None
    if not value:
        raise block_list.NothingToBlock()
    reason = reason.strip()[:120]
    if not reason:
        raise block_list.NoReason()
    who = session.get(Operator, (actor.warehouse_id, actor.operator_id)) if actor.operator_id else None
    entry = session.execute(
        select(BlockEntry)
        .where(
            BlockEntry.warehouse_id == actor.warehouse_id,
            BlockEntry.kind == BlockKind(kind),
            BlockEntry.value == value,
            BlockEntry.shop_id == of.id if of else BlockEntry.shop_id.is_(None),
        )
        .with_for_update()
    ).scalar_one_or_none()
    if entry is None:
        entry = BlockEntry(
            warehouse_id=actor.warehouse_id,
            id=new_id(),
            kind=BlockKind(kind),
            value=value,
            shop_id=of.id if of else None,
        )
        session.add(entry)
    entry.reason, entry.active, entry.entered_by, entry.entered_at = reason, True, who.name if who else "—", now()
    session.flush()
    journal.note(session, entry, "blocked", "", entry.kind.value)  # never who it is (R45)
    return entry


def lift(session: Session, warehouse_id: int, entry_id: int) -> None:
    entry = session.get(BlockEntry, (warehouse_id, entry_id), with_for_update=True)
    if entry is None:
        raise NotFound(what=term("The entry"))
    entry.active = False
    journal.note(session, entry, "lifted", "", entry.kind.value)
