"""What shops told at the door is acted upon: the order is read anew, or taken in where the message carries it.

A message is never the last word but of a shop of signed JSON: of the others the order is asked for by API, so a message
that is late, doubled or forged by nobody we know can only make us look.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, or_, select, update

from wms.clock import now
from wms.connectors import ConnectorError, connector_for, hooks, webhook
from wms.db import Actor, Database
from wms.errors import N_
from wms.jobs import intake, lanes
from wms.jobs.sync import plain, retry_in
from wms.models import EventState, Shop, ShopEvent

LEASE = timedelta(minutes=5)
GIVE_UP_AFTER = 20
LOOK_AGAIN = timedelta(seconds=30)
KEEP = timedelta(days=30)
"""For so long a message that comes again is known, far longer than any shop repeats itself (R45)."""
OPEN = (EventState.NEW, EventState.RETRY)

BROKE = N_("It could not be read (%(fault)s). It is tried again.")

log = logging.getLogger("wms.hooks")


@dataclass(frozen=True, slots=True)
class _Claimed:
    warehouse_id: int
    id: int
    shop: Shop
    topic: str
    body: bytes
    attempts: int


def act(database: Database, *, connect: lanes.Connect = connector_for, limit: int = 200) -> Counter[str]:
    """Act on the messages that are due, each by itself; what became of them, counted."""
    fates: Counter[str] = Counter()
    shut = lanes.paused(database)
    for warehouse_id, event_id, shop_id in _due(database, limit):
        if shop_id in shut:
            continue
        claimed = _claim(database, warehouse_id, event_id)
        if claimed is None:
            continue
        try:
            what = _act(database, claimed, connect)
        except ConnectorError as error:
            if error.reason in lanes.SHOP_WIDE or not error.permanent:
                # The shop cannot be asked now, about this order or another: its lane rests, the others go on.
                lanes.failed(database, claimed.shop, error)
                shut.add(shop_id)
            if error.reason in lanes.SHOP_WIDE:
                _put_back(database, claimed, error)  # it says nothing of this order, so it counts as no try
                fates["paused"] += 1
                continue
            fates[_failed(database, claimed, error)] += 1
        except Exception as error:
            log.exception("message %s of shop %s", event_id, claimed.shop.code)
            fault = ConnectorError(
                permanent=False, reason="fault", message=BROKE, facts={"fault": type(error).__name__}
            )
            fates[_failed(database, claimed, fault)] += 1
        else:
            _done(database, claimed, what)
            fates["done"] += 1
    return fates


def _act(database: Database, event: _Claimed, connect: lanes.Connect) -> dict[str, str]:
    """Order → what became of it."""
    shop = event.shop
    if shop.connector == "webhook":
        order = webhook.order_in(event.body)
        return {order.shop_order_no: intake.receive(database, shop, order)}
    numbers = hooks.orders_of(shop.connector, shop.settings, event.topic, event.body)
    return {number: intake.reread(database, shop, number, connect) for number in numbers}


def _due(database: Database, limit: int) -> list[tuple[int, int, int]]:
    at = now()
    with database.reading() as session:
        return [
            (row[0], row[1], row[2])
            for row in session.execute(
                select(ShopEvent.warehouse_id, ShopEvent.id, ShopEvent.shop_id)
                .join(Shop, Shop.id == ShopEvent.shop_id)
                .where(
                    ShopEvent.state.in_(OPEN),
                    ShopEvent.next_at <= at,
                    or_(ShopEvent.leased_until.is_(None), ShopEvent.leased_until < at),
                    Shop.active,
                )
                .order_by(ShopEvent.id)
                .limit(limit)
            )
        ]


def _claim(database: Database, warehouse_id: int, event_id: int) -> _Claimed | None:
    at = now()
    with database.transaction(Actor(warehouse_id)) as session:
        claimed: int = session.execute(
            update(ShopEvent)
            .where(
                ShopEvent.warehouse_id == warehouse_id,
                ShopEvent.id == event_id,
                ShopEvent.state.in_(OPEN),
                ShopEvent.next_at <= at,
                or_(ShopEvent.leased_until.is_(None), ShopEvent.leased_until < at),
            )
            .values(leased_until=at + LEASE, attempts=ShopEvent.attempts + 1)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
        if claimed != 1:
            return None
        row = session.get_one(ShopEvent, (warehouse_id, event_id))
        shop = session.get_one(Shop, row.shop_id)
        return _Claimed(warehouse_id, event_id, shop, row.topic, row.body, row.attempts)


def _done(database: Database, event: _Claimed, what: dict[str, str]) -> None:
    with database.transaction(Actor(event.warehouse_id)) as session:
        row = session.get_one(ShopEvent, (event.warehouse_id, event.id), with_for_update=True)
        row.state, row.leased_until, row.done_at = EventState.DONE, None, now()
        row.reason, row.facts, row.body = "", dict(what), b""


def _failed(database: Database, event: _Claimed, error: ConnectorError) -> str:
    dead = error.permanent or event.attempts >= GIVE_UP_AFTER
    with database.transaction(Actor(event.warehouse_id)) as session:
        row = session.get_one(ShopEvent, (event.warehouse_id, event.id), with_for_update=True)
        row.state, row.leased_until = EventState.DEAD if dead else EventState.RETRY, None
        row.reason, row.facts = error.message, plain(error.facts)
        row.next_at = now() + retry_in(event.attempts, error.retry_after_s)
        return row.state.value


def _put_back(database: Database, event: _Claimed, error: ConnectorError) -> None:
    with database.transaction(Actor(event.warehouse_id)) as session:
        row = session.get_one(ShopEvent, (event.warehouse_id, event.id), with_for_update=True)
        row.leased_until, row.attempts, row.next_at = None, max(row.attempts - 1, 0), now() + LOOK_AGAIN
        row.reason, row.facts = error.message, plain(error.facts)


def tidy(database: Database) -> int:
    """Drop messages long done with, and what a given-up one said; returns how many went."""
    with database.transaction(Actor(0)) as session:
        removed: int = session.execute(
            delete(ShopEvent)
            .where(ShopEvent.state.in_([EventState.DONE, EventState.DEAD]), ShopEvent.received_at < now() - KEEP)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
    return removed
