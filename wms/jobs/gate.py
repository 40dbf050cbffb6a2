"""Ask the shop about one order, live, before its label and its hand-over (R28). No transaction is open meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from datetime import timedelta

from sqlalchemy import select

from wms import gate_checks, together
from wms.clock import now
from wms.connectors import LIVE, Connector, ConnectorError, Rereads, connector_for
from wms.db import Actor, Database
from wms.errors import N_
from wms.flows import take_in
from wms.jobs import intake, lanes
from wms.models import GateCheck, Order, Push, Shop, ShopLane, Verdict

PATIENCE_S = 3.0
"""Longer than this no packer is kept waiting; the answer that comes later counts at the next look."""
TRIES = 3
AT_ONCE = timedelta(0)
WHILE_WEIGHING = timedelta(seconds=20)
"""The last scan of a parcel asks ahead of its scale. The hand-over, hours later, always asks anew."""
SLOW = N_("the shop did not answer in time")
CANCELLED = N_("it is cancelled at the shop")
_STOPS = {
    "cancelled": CANCELLED,
    "refunding": take_in.HOLD_REFUND,
    "shipped": take_in.HOLD_SHIPPED,
    "other": take_in.HOLD_OTHER,
}
_HOLDS = ("refund_asked", "paused", "not_yet")

_pool = ThreadPoolExecutor(8, thread_name_prefix="gate")
log = logging.getLogger("wms.gate")


def ask(
    database: Database,
    warehouse_id: int,
    order_id: int,
    *,
    fresh: timedelta = AT_ONCE,
    patience_s: float = PATIENCE_S,
    connect: lanes.Connect = connector_for,
) -> None:
    """Have the shop's newest word on this order written down where the flows read it (wms/gate_checks).

    A word not older than ``fresh`` is not asked for again.
    """
    asked = [
        (home_id, _pool.submit(_ask, database, shop, home_id, order_no, connect))
        for shop, home_id, order_no in _to_ask(database, warehouse_id, order_id, fresh)
    ]
    until = time.monotonic() + patience_s
    for home_id, answer in asked:
        try:
            answer.result(max(until - time.monotonic(), 0))
        except TooSlow:
            _remember(database, warehouse_id, home_id, Verdict.UNKNOWN, SLOW)
        except Exception:
            log.exception("asking about order %s broke", home_id)
            _remember(database, warehouse_id, home_id, Verdict.UNKNOWN, intake.CONNECTOR_BROKE)


def ahead(database: Database, warehouse_id: int, order_id: int) -> None:
    """Ask now and let nobody wait for it."""
    _pool.submit(ask, database, warehouse_id, order_id)


def _to_ask(database: Database, warehouse_id: int, order_id: int, fresh: timedelta) -> list[tuple[Shop, int, str]]:
    """The shop's orders to ask about: of merged orders each, of a part the one it belongs to."""
    found = []
    with database.reading() as session:
        order = session.get_one(Order, (warehouse_id, order_id))
        shop = session.get_one(Shop, order.shop_id)
        if shop.connector not in LIVE:
            return []
        for home in together.homes_of(session, order):
            asked = session.execute(
                select(GateCheck.asked_at).where(
                    GateCheck.warehouse_id == warehouse_id,
                    GateCheck.order_id == home.id,
                    GateCheck.verdict != Verdict.UNKNOWN,
                )
            ).scalar_one_or_none()
            if asked is None or now() - asked >= fresh:
                found.append((shop, home.id, home.shop_order_no))
    return found


def _ask(database: Database, shop: Shop, order_id: int, order_no: str, connect: lanes.Connect) -> None:
    with database.reading() as session:
        lane = session.get(ShopLane, shop.id)
    if lane is not None and (lane.by_hand or (lane.paused_until is not None and lane.paused_until > now())):
        _remember(database, shop.warehouse_id, order_id, Verdict.UNKNOWN, lane.paused_reason, lane.paused_facts)
        return
    try:
        connector = lanes.reach(database, shop, connect)
        state, hold = _newest(database, shop, connector, order_no)
    except ConnectorError as error:
        if error.reason == "no_live_state":  # it tells of changes by itself
            _remember(database, shop.warehouse_id, order_id, Verdict.GO)
            return
        if error.reason in lanes.SHOP_WIDE:
            lanes.failed(database, shop, error)
        facts = {name: str(value) for name, value in error.facts.items()}
        _remember(database, shop.warehouse_id, order_id, Verdict.UNKNOWN, error.message, facts)
        return
    if state == "shipped" and _ours_left(database, shop, order_id):
        state = "paid"  # by a parcel of ours: this is the next one of the same order
    reason = _STOPS.get(state, "") or (take_in.HOLDS[hold] if hold in _HOLDS else "")
    _remember(database, shop.warehouse_id, order_id, Verdict.STOP if reason else Verdict.GO, reason)


def _ours_left(database: Database, shop: Shop, order_id: int) -> bool:
    with database.reading() as session:
        left = select(Push.id).where(Push.warehouse_id == shop.warehouse_id, Push.order_id == order_id).limit(1)
        return session.execute(left).first() is not None


def _newest(database: Database, shop: Shop, connector: Connector, order_no: str) -> tuple[str, str]:
    """State and hold of the order as it stands at the shop. A line that broke is tried again at once."""
    for tried in range(TRIES):
        try:
            if not isinstance(connector, Rereads):
                return connector.order_state(order_no), ""
            said = connector.read_order(order_no)
        except ConnectorError as error:
            if error.permanent or error.retry_after_s is not None or tried == TRIES - 1:
                raise
        else:
            intake.receive(database, shop, said)  # a cancelled one is stopped wherever it stands
            return said.state, said.hold
    raise AssertionError("unreachable")


def _remember(
    database: Database,
    warehouse_id: int,
    order_id: int,
    verdict: Verdict,
    reason: str = "",
    facts: Mapping[str, object] | None = None,
) -> None:
    with database.transaction(Actor(warehouse_id)) as session:
        gate_checks.remember(session, warehouse_id, order_id, verdict, reason[:400], dict(facts or {}))
