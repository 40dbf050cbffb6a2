"""Orders come in by themselves: read in windows, saved as they came, then made into orders of ours (R28).

The order as it came is saved before anything is made of it, and the cursor moves only over what is saved: a kill
at any place reads some orders twice and none too few. One order that cannot be understood never stops the others.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from wms.clock import now
from wms.connectors import ConnectorError, Rereads, ShopOrder, Windowed, connector_for
from wms.connectors.kept import as_json, fingerprint, from_json
from wms.db import Actor, Database
from wms.errors import N_, ChangedMeanwhile, Refusal
from wms.flows import cancel, mapping, merge, take_in
from wms.jobs import lanes
from wms.models import RawOrder, RawState, Shop, ShopLane, Warehouse, new_id

PULL_EVERY = timedelta(minutes=1)
TRIES = 10
FLOOR_TRIES = 4
UNREADABLE = N_("This order cannot be understood. It is kept as it came; look at it in the shop.")
BROKE = N_("It could not be taken in (%(fault)s). It is tried again with its next change, or by hand.")

CONNECTOR_BROKE = N_("The connector broke: %(fault)s")

log = logging.getLogger("wms.intake")


@dataclass(slots=True)
class Pulled:
    """What one reading of one shop brought: orders by what became of them; and why it ended early."""

    shop: str
    fates: Counter[str] = field(default_factory=Counter)
    error: ConnectorError | None = None
    unread: dict[str, str] = field(default_factory=dict)


def pull_due(database: Database, connect: lanes.Connect = connector_for) -> list[Pulled]:
    """Read every shop that is due, one after the other."""
    return [
        pulled
        for shop_id in lanes.to_pull(database)
        if (pulled := pull(database, shop_id, connect=connect)) is not None
    ]


def pull(
    database: Database,
    shop_id: int,
    *,
    connect: lanes.Connect = connector_for,
    since: datetime | None = None,
    progress: Callable[[int], None] = lambda _n: None,
) -> Pulled | None:
    """Read one shop from its cursor, or from ``since``, which leaves the cursor alone. None: somebody else reads it."""
    who = lanes.holder()
    with database.reading() as session:
        shop = session.get_one(Shop, shop_id)
    if not lanes.take(database, shop, who):
        return None
    pulled, began = Pulled(shop.code), now()
    try:
        _read(database, shop, who, connect, since, pulled, progress)
    except ConnectorError as error:
        pulled.error = error
    except Exception as error:
        log.exception("reading shop %s broke", shop.code)
        facts = {"fault": type(error).__name__}
        pulled.error = ConnectorError(permanent=False, reason="fault", message=CONNECTOR_BROKE, facts=facts)
    finally:
        _put_down(database, shop, who, pulled, began)
    return pulled


def _put_down(database: Database, shop: Shop, who: str, pulled: Pulled, began: datetime) -> None:
    """Give the lane back, and say when the shop is read again."""
    error = pulled.error
    if error is None:
        written = {"pulled_at": began, "pulled": sum(pulled.fates.values()), "next_pull_at": now() + PULL_EVERY}
    else:
        lanes.failed(database, shop, error)
        with database.reading() as session:
            failures = session.get_one(ShopLane, shop.id).failures
        again = lanes.next_pull(failures, error.retry_after_s)
        written = {"failures": failures + 1, "next_pull_at": again, "last_reason": error.message[:400]}
        written["last_facts"] = {name: str(value) for name, value in error.facts.items()}
    lanes.save(database, shop, who, leased_until=None, leased_by="", **written)


def _read(
    database: Database,
    shop: Shop,
    who: str,
    connect: lanes.Connect,
    since: datetime | None,
    pulled: Pulled,
    progress: Callable[[int], None],
) -> None:
    connector = lanes.reach(database, shop, connect)
    with database.reading() as session:
        held = session.get(ShopLane, shop.id)
        cursor = held.cursor if held else None
    began, saved = now(), cursor
    for number, order in enumerate(connector.fetch_orders(since or cursor), 1):
        pulled.fates[receive(database, shop, order)] += 1
        reached = connector.complete_until if isinstance(connector, Windowed) else None
        if since is None and reached is not None and (saved is None or reached > saved):
            # Saved orders lie behind it, so it may move though the reading is under way.
            saved = reached
            if not lanes.save(database, shop, who, cursor=saved, leased_until=now() + lanes.LEASE):
                return  # we slept too long; somebody else reads on from the cursor
        if number % 50 == 0:
            lanes.save(database, shop, who, leased_until=now() + lanes.LEASE)
            progress(number)
    end = connector.complete_until if isinstance(connector, Windowed) else began
    if since is None and end is not None and (saved is None or end > saved):
        lanes.save(database, shop, who, cursor=end)
    pulled.unread = {name: str(error) for name, error in getattr(connector, "unread", {}).items()}
    with database.transaction(Actor(shop.warehouse_id)) as session:
        lanes.went_well(session, shop, connector)


def reread(database: Database, shop: Shop, order_no: str, connect: lanes.Connect = connector_for) -> str:
    """Read one order anew (after a webhook, before a label) and take in what it says now. Raises ConnectorError."""
    connector = lanes.reach(database, shop, connect)
    if not isinstance(connector, Rereads):
        return ""
    return receive(database, shop, connector.read_order(order_no))


def receive(database: Database, shop: Shop, order: ShopOrder) -> str:
    """Save an order as it came, then make an order of ours of it; returns what became of it."""
    try:
        raw_id = keep(database, shop, order)
    except IntegrityError:  # read by a webhook and by the clock in the same instant
        raw_id = keep(database, shop, order)
    return "same" if raw_id is None else settle(database, shop.warehouse_id, raw_id)


def keep(database: Database, shop: Shop, order: ShopOrder) -> int | None:
    """Save the order as it came; its id when it says something new. An older reading never replaces a newer one."""
    body = as_json(order)
    sha256 = fingerprint(body)
    with database.transaction(Actor(shop.warehouse_id)) as session:
        raw = session.execute(
            select(RawOrder)
            .where(
                RawOrder.warehouse_id == shop.warehouse_id,
                RawOrder.shop_id == shop.id,
                RawOrder.shop_order_no == order.shop_order_no[:64],
            )
            .with_for_update()
        ).scalar_one_or_none()
        if raw is None:
            raw = RawOrder(
                warehouse_id=shop.warehouse_id, id=new_id(), shop_id=shop.id, shop_order_no=order.shop_order_no[:64]
            )
            session.add(raw)
        else:
            older = raw.told_at is not None and order.updated_at is not None and order.updated_at < raw.told_at
            settled = raw.state in (RawState.TAKEN, RawState.SKIPPED, RawState.UNREADABLE)
            if older or (raw.sha256 == sha256 and settled):
                return None
        raw.told_at, raw.received_at, raw.sha256, raw.body = order.updated_at, now(), sha256, body
        raw.state, raw.reason, raw.facts, raw.tries = RawState.NEW, "", {}, 0
        session.flush()
        return raw.id


def settle(database: Database, warehouse_id: int, raw_id: int) -> str:
    """Make of a kept order what can be made; what goes wrong is written on it and stops nobody else."""
    for attempt in range(FLOOR_TRIES):
        try:
            return _settle(database, warehouse_id, raw_id)
        except (ChangedMeanwhile, DBAPIError) as error:
            # A scan of the same order was in between; the order is simply read again.
            state = getattr(getattr(error, "orig", None), "sqlstate", "") or ""
            if (isinstance(error, DBAPIError) and state not in ("40P01", "40001")) or attempt == FLOOR_TRIES - 1:
                return _failed(database, warehouse_id, raw_id, error)
        except (Refusal, ArithmeticError, LookupError, TypeError, ValueError) as error:
            return _failed(database, warehouse_id, raw_id, error)
    raise AssertionError("unreachable")


def _settle(database: Database, warehouse_id: int, raw_id: int) -> str:
    try:
        with database.transaction(Actor(warehouse_id)) as session:
            raw = session.execute(
                select(RawOrder).where(RawOrder.warehouse_id == warehouse_id, RawOrder.id == raw_id).with_for_update()
            ).scalar_one()
            order = from_json(raw.body)
            if order.hold == "unreadable":
                raw.state, raw.reason = RawState.UNREADABLE, UNREADABLE
                return "unreadable"
            shop = session.get_one(Shop, raw.shop_id)
            decision = take(session, shop, order)
            raw.state = RawState.SKIPPED if decision.fate == "skipped" else RawState.TAKEN
            raw.reason, raw.facts = decision.why, dict(decision.facts)
            if decision.fate != "skipped":
                raw.order_id = take_in.order_row(session, shop, order.shop_order_no).id
            return decision.fate
    except cancel.Labelled:
        with database.transaction(Actor(warehouse_id)) as session:
            raw = session.get_one(RawOrder, (warehouse_id, raw_id), with_for_update=True)
            ask_supervisor(session, session.get_one(Shop, raw.shop_id), from_json(raw.body))
        raise


def take(session: Session, shop: Shop, order: ShopOrder) -> take_in.Decision:
    """Take an order in, and stop what its shop stops: all of it wherever it stands (R28), or lines of it (R29).

    Raises cancel.Labelled when the label is made; then ``ask_supervisor`` in a transaction of its own.
    """
    decision = take_in.take(session, shop, order)
    if decision.fate == "intercept":
        cancel.cancel(session, take_in.order_row(session, shop, order.shop_order_no), "shop")
    elif decision.fate == "part":
        cancel.take_back(session, take_in.order_row(session, shop, order.shop_order_no), decision.parts)
    return decision


def ask_supervisor(session: Session, shop: Shop, order: ShopOrder) -> None:
    """R29: what has its label stays here until a supervisor has decided."""
    row = take_in.order_row(session, shop, order.shop_order_no)
    parts = take_in.preview(session, shop.warehouse_id, shop, [order])[0].parts
    if order.state in ("paid", "refunding"):
        take_in.follow(session, row, order)  # the address may have been changed with it
    cancel.ask(session, row, parts or cancel.parts_of(session, row))


def _failed(database: Database, warehouse_id: int, raw_id: int, error: Exception) -> str:
    reason, facts = BROKE, {"fault": type(error).__name__}
    if isinstance(error, Refusal):
        reason, facts = error.message, {name: str(value) for name, value in error.facts.items()}
    else:
        log.error("order %s of the shop was not taken in", raw_id, exc_info=error)
    with database.transaction(Actor(warehouse_id)) as session:
        raw = session.get_one(RawOrder, (warehouse_id, raw_id), with_for_update=True)
        raw.state, raw.tries = RawState.FAILED, raw.tries + 1
        raw.reason, raw.facts = reason, facts
    return "failed"


def settle_left(database: Database, connect: lanes.Connect = connector_for) -> int:
    """Orders saved and not yet looked at when their reader died, and those a person wants tried again; how many.

    What could not be understood is read anew where the shop gives a single order: the same words would end the same.
    """
    with database.reading() as session:
        left = session.execute(
            select(RawOrder.warehouse_id, RawOrder.id).where(RawOrder.state == RawState.NEW).order_by(RawOrder.id)
        ).all()
    for warehouse_id, raw_id in left:
        if not _read_anew(database, warehouse_id, raw_id, connect):
            settle(database, warehouse_id, raw_id)
    return len(left)


def _read_anew(database: Database, warehouse_id: int, raw_id: int, connect: lanes.Connect) -> bool:
    with database.reading() as session:
        raw = session.get_one(RawOrder, (warehouse_id, raw_id))
        shop = session.get_one(Shop, raw.shop_id)
    if raw.body.get("hold") != "unreadable" or shop.id in lanes.paused(database):
        return False
    try:
        return reread(database, shop, raw.shop_order_no, connect) not in ("", "same")
    except ConnectorError as error:
        log.warning("order %s of shop %s: %s", raw.shop_order_no, shop.code, error)
    except Exception:
        log.exception("order %s of shop %s was not read anew", raw.shop_order_no, shop.code)
    return False


def merge_by_itself(database: Database) -> int:
    """Orders of one recipient go together where their shop wants it so, each group in its own transaction; how many."""
    with database.reading() as session:
        groups = [
            (warehouse_id, [order.id for order in group])
            for warehouse_id in session.execute(select(Warehouse.id)).scalars()
            for group in merge.proposals(session, warehouse_id, by_itself=True)
        ]
    merged = 0
    for warehouse_id, order_ids in groups:
        try:
            with database.transaction(Actor(warehouse_id)) as session:
                merge.merge(session, warehouse_id, order_ids)
            merged += len(order_ids)
        except Refusal:
            log.info("orders %s were changed meanwhile and are looked at again", order_ids)
        except DBAPIError:
            log.exception("merging %s", order_ids)
    return merged


def go_on(database: Database) -> int:
    """Held orders whose unknown item is known by now go on, each in its own transaction; how many."""
    with database.reading() as session:
        waiting = [
            (warehouse_id, order_id)
            for warehouse_id in session.execute(select(Warehouse.id)).scalars()
            for order_id in mapping.may_go_on(session, warehouse_id)
        ]
    gone = 0
    for warehouse_id, order_id in waiting:
        try:
            with database.transaction(Actor(warehouse_id)) as session:
                gone += mapping.go_on(session, warehouse_id, order_id)
        except (Refusal, DBAPIError):
            log.exception("held order %s", order_id)
    return gone
