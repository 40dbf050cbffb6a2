"""A lane for each shop: one reader at a time, and a pause of its own when the shop does not let us in.

What keeps a shop from answering at all (its key, its quota, its network) pauses that shop and nobody else; orders
that are here already go on over the floor.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.connectors import Authorised, Connector, ConnectorError, OnToken, connector_for
from wms.db import Actor, Database
from wms.flows.shops import keep_key, lane
from wms.models import Shop, ShopLane

LEASE = timedelta(minutes=10)
"""A reading renews it at every order; a reader that died is followed after this time."""
SHOP_WIDE = frozenset(
    {
        "unauthorised",
        "wrong_keys",
        "not_permitted",
        "missing_setting",
        "bad_setting",
        "bad_secret",
        "damaged_keys",
        "unknown_kind",
        "no_access",
        "banned",
    }
)
"""Reasons that concern the shop, not one order: nothing else would go through either."""
ASK_AGAIN = timedelta(minutes=15)
"""After what only a person can put right: a new key is noticed by itself, and a wrong one is not tried every second."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 900.0

Connect = Callable[..., Connector]

log = logging.getLogger("wms.lanes")


def holder() -> str:
    return f"{socket.gethostname()[:20]}:{os.getpid()}:{threading.get_native_id()}"


def keeper(database: Database, warehouse_id: int, shop_id: int) -> OnToken:
    """Saves a renewed key at once: the old one is worth nothing from then on."""

    def keep(changed: dict[str, str]) -> None:
        with database.transaction(Actor(warehouse_id)) as session:
            keep_key(session, shop_id, changed)

    return keep


def reach(database: Database, shop: Shop, connect: Connect = connector_for) -> Connector:
    """The shop's connector, with its renewed keys saved. Raises ConnectorError."""
    if connect is connector_for:
        connect = partial(connector_for, on_token=keeper(database, shop.warehouse_id, shop.id))
    return connect(shop.connector, shop.settings)


def to_pull(database: Database) -> list[int]:
    """Shops to be read now: due, not paused, read by nobody."""
    at = now()
    with database.reading() as session:
        return list(
            session.execute(
                select(Shop.id)
                .outerjoin(ShopLane, ShopLane.shop_id == Shop.id)
                .where(
                    Shop.active,
                    or_(
                        ShopLane.shop_id.is_(None),
                        or_(ShopLane.next_pull_at.is_(None), ShopLane.next_pull_at <= at)
                        & or_(ShopLane.paused_until.is_(None), ShopLane.paused_until <= at)
                        & or_(ShopLane.leased_until.is_(None), ShopLane.leased_until <= at)
                        & ShopLane.by_hand.is_(False),
                    ),
                )
                .order_by(ShopLane.next_pull_at)
            ).scalars()
        )


def paused(database: Database) -> set[int]:
    """Shops of which nothing is asked now."""
    with database.reading() as session:
        return set(
            session.execute(
                select(ShopLane.shop_id).where(or_(ShopLane.by_hand, ShopLane.paused_until > now()))
            ).scalars()
        )


def take(database: Database, shop: Shop, who: str) -> bool:
    """Become the shop's only reader."""
    at = now()
    with database.transaction(Actor(shop.warehouse_id)) as session:
        lane(session, shop)
        taken: int = session.execute(
            update(ShopLane)
            .where(
                ShopLane.shop_id == shop.id,
                or_(ShopLane.leased_until.is_(None), ShopLane.leased_until <= at, ShopLane.leased_by == who),
            )
            .values(leased_until=at + LEASE, leased_by=who)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
    return taken == 1


def save(database: Database, shop: Shop, who: str, **values: Any) -> bool:
    """Write on a lane that is ours; False when it is somebody else's by now."""
    with database.transaction(Actor(shop.warehouse_id)) as session:
        written: int = session.execute(
            update(ShopLane)
            .where(ShopLane.shop_id == shop.id, ShopLane.leased_by == who)
            .values(**values)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
    return written == 1


def went_well(session: Session, shop: Shop, connector: Connector) -> None:
    """The shop answered: its pause and its count of failures are over."""
    held = lane(session, shop)
    if held.paused_reason:
        journal.note(session, shop, "lane", "paused", "open")
    held.failures, held.paused_until, held.paused_reason, held.paused_facts = 0, None, "", {}
    held.last_reason, held.last_facts = "", {}
    if isinstance(connector, Authorised):
        held.authorised_until = connector.authorised_until


def failed(database: Database, shop: Shop, error: ConnectorError) -> None:
    """Rest the shop's lane where the error concerns the whole shop (SHOP_WIDE); any other is its caller's.

    Not when its settings are others by now: two processes may renew one key at once, and the later one is refused
    with the key that the earlier one has already replaced.
    """
    if error.reason not in SHOP_WIDE:
        return
    with database.transaction(Actor(shop.warehouse_id)) as session:
        if session.get_one(Shop, shop.id).settings != shop.settings:
            log.info("shop %s: %s, with settings that were replaced meanwhile", shop.code, error.reason)
            return
        held = lane(session, shop)
        held.failures += 1
        hint_s = error.retry_after_s
        pause = ASK_AGAIN if hint_s is None else timedelta(seconds=hint_s + random.uniform(0, 3))
        if not held.paused_reason:
            journal.note(session, shop, "lane", "open", f"paused {error.reason}")
        held.paused_until = now() + pause
        held.paused_reason, held.paused_facts = error.message, _plain(error.facts)
    log.warning("shop %s rests: %s", shop.code, error.reason)


def rest(database: Database, shop: Shop, error: ConnectorError) -> None:
    """Rest the lane of a shop that cannot be reached just now: soon again, then ever later, or as long as it says."""
    with database.transaction(Actor(shop.warehouse_id)) as session:
        held = lane(session, shop)
        held.failures += 1
        held.paused_until = next_pull(held.failures - 1, error.retry_after_s)
        held.paused_reason, held.paused_facts = error.message, _plain(error.facts)


def next_pull(failures: int, hint_s: float | None) -> datetime:
    """When a shop that did not answer is read again: its own hint, else soon and then ever later, out of step."""
    if hint_s is None:
        hint_s = min(FIRST_PAUSE_S * 2.0 ** min(failures, 10), LONGEST_PAUSE_S) * random.uniform(0.8, 1.2)
    return now() + timedelta(seconds=hint_s)


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, int | float | str | bool) else str(value) for name, value in facts.items()}
