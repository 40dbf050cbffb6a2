"""Rules on the way in, a file each: their words, whether they are on for a shop, and what they say of an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import journal
from wms.errors import N_
from wms.models import Shop, ShopRule


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as people read it, and how it stands where nobody said otherwise."""

    name: str
    words: str
    on: bool
    facts: Mapping[str, Any]


RULES = {
    rule.name: rule
    for rule in (
        Rule("address", N_("Hold an order whose recipient is not complete"), True, {}),
        Rule("block_list", N_("Hold an order of somebody on the block list"), True, {}),
        Rule("memo", N_("The packer confirms the seller's memo before the label"), True, {}),
        Rule("gifts", N_("Add gifts to orders"), True, {}),
        Rule(
            "ship_by",
            N_("Work out by when an order must leave"),
            False,
            {"hours": 48, "cut_off": "", "days": "1234567"},
        ),
        Rule(
            "merge", N_("Propose orders of one recipient to be sent together"), False, {"hours": 24, "by_itself": False}
        ),
        Rule(
            "agent", N_("Ship in the name of this shop"), False, {"name": "", "phone": "", "region": "", "address": ""}
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Setting:
    """How a rule stands for a shop."""

    on: bool
    facts: Mapping[str, Any]


def of_shop(session: Session, shop: Shop) -> dict[str, Setting]:
    """Every rule as it stands for a shop."""
    said = {row.rule: row for row in session.execute(select(ShopRule).where(ShopRule.shop_id == shop.id)).scalars()}
    return {
        name: Setting(said[name].active, {**rule.facts, **said[name].facts})
        if name in said
        else Setting(rule.on, rule.facts)
        for name, rule in RULES.items()
    }


def is_on(session: Session, shop_id: int, name: str) -> bool:
    row = session.get(ShopRule, (shop_id, name))
    return row.active if row is not None else RULES[name].on


def switch(session: Session, shop: Shop, name: str, on: bool, facts: Mapping[str, Any]) -> None:
    """Set a rule for a shop; facts it does not know are left out."""
    kept = {key: facts[key] for key in RULES[name].facts if key in facts}
    row = session.get(ShopRule, (shop.id, name), with_for_update=True)
    before = "" if row is None else "on" if row.active else "off"
    if row is None:
        session.add(ShopRule(shop_id=shop.id, rule=name, active=on, facts=kept))
    else:
        row.active, row.facts = on, kept
    journal.note(session, shop, f"rule_{name}", before, "on" if on else "off")
    session.flush()
