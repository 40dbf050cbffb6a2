"""The night: catch up, tell the shops what is left, read back what they have, prove the books, say it (R37, R46).

One row holds how far it came. Each step may be done twice; a night that was killed goes on where it stood.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update

from wms.clock import now
from wms.connectors import Connector, ConnectorError, ReadBack, ReadsBack, connector_for
from wms.db import Actor, Database
from wms.flows import night
from wms.jobs import audit, erp, hooks, intake, lanes, notice, stock_push, sync
from wms.models import (
    NightLine,
    NightRun,
    NightStep,
    NightVerdict,
    Push,
    PushState,
    Shop,
    ShopLane,
    StockPush,
    StockPushState,
    Warehouse,
    first_id,
    new_id,
)
from wms.settings import Settings

LEASE = timedelta(minutes=10)
GOES_ON_FOR = timedelta(hours=20)
"""A night broken off longer ago than this is left as it is, and a new one begins."""
LONGEST_IN_HAND = timedelta(days=90)
"""No order is shipped later than this after it came in; so far back orders are looked through."""
PORTION = 100
STOCK_WITHIN_S = 3 * 3600.0
ASK_AGAIN_WITHIN_S = 60.0
FAULTS_KEPT = 200
ROUNDS = 3
"""Of a step that waits for what another process was sending: its lane may be stopped, so not for ever."""
STEPS = tuple(NightStep)
S = NightStep

log = logging.getLogger("wms.night")

Say = Callable[[str, str, int, int], None]
"""``(step, what, done, of)``: ``of`` is 0 where nobody knows."""


def _quiet(_step: str, _what: str, _done: int, _of: int) -> None:
    pass


@dataclass(slots=True)
class Night:
    """What a night found, for the console."""

    run: NightRun
    push_lines: list[str] = field(default_factory=list)
    pushed: dict[str, int] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)
    tidied: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


class BusyElsewhere(Exception):
    """Another process does this night; it is left to it."""

    def __init__(self, by: str) -> None:
        super().__init__(f"the night is under way in {by}")


def run(
    database: Database,
    settings: Settings,
    *,
    connect: Callable[..., Connector] = connector_for,
    tidy: bool = True,
    say: Say = _quiet,
    stop: threading.Event | None = None,
) -> list[Night]:
    """Do the night of every warehouse, or go on with it. Raises BusyElsewhere."""
    stop = stop or threading.Event()
    with database.reading() as session:
        warehouses = list(session.execute(select(Warehouse.id).order_by(Warehouse.id)).scalars())
    found = []
    for warehouse_id in warehouses:
        run_id = begin(database, warehouse_id, settings.night_days)
        done = _Steps(database, settings, warehouse_id, run_id, connect, tidy, say, stop)
        while not stop.is_set():
            step = done.one()
            if step is S.DONE:
                break
        found.append(done.result())
    return found


def broken_off(database: Database) -> bool:
    """Whether a night was begun and not ended, so that it can still be gone on with."""
    with database.reading() as session:
        return (
            session.execute(
                select(NightRun.id).where(NightRun.step != S.DONE, NightRun.started_at > now() - GOES_ON_FOR).limit(1)
            ).first()
            is not None
        )


def holder() -> str:
    return f"{socket.gethostname()[:40]}:{os.getpid()}"


def begin(database: Database, warehouse_id: int, days: int) -> int:
    """The night to do: the one that was broken off, else a new one. Raises BusyElsewhere."""
    at, who = now(), holder()
    with database.transaction(Actor(warehouse_id)) as session:
        # Two that begin at once: the warehouse's row lets one after the other through.
        session.execute(select(Warehouse).where(Warehouse.id == warehouse_id).with_for_update())
        row = session.execute(
            select(NightRun)
            .where(
                NightRun.warehouse_id == warehouse_id,
                NightRun.step != S.DONE,
                NightRun.started_at > at - GOES_ON_FOR,
            )
            .order_by(NightRun.id.desc())
            .limit(1)
            .with_for_update()
        ).scalar_one_or_none()
        if row is None:
            row = NightRun(
                warehouse_id=warehouse_id,
                id=new_id(),
                started_at=at,
                since=at - timedelta(days=days),
                cursor=first_id(at - timedelta(days=days) - LONGEST_IN_HAND),
                progress={},
            )
            session.add(row)
        elif row.leased_until and row.leased_until > at and row.leased_by != who and alive(row.leased_by):
            raise BusyElsewhere(row.leased_by)
        row.leased_by, row.leased_until = who, at + LEASE
        session.flush()
        return row.id


def alive(who: str) -> bool:
    """Whether a holder may still be at work; one of another machine may, until its lease ends."""
    host, _, rest = who.partition(":")
    pid = rest.partition(":")[0]
    if not socket.gethostname().startswith(host) or not host or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@dataclass(slots=True)
class _Steps:
    """The steps of one night, each as a method under its step's name."""

    database: Database
    settings: Settings
    warehouse_id: int
    run_id: int
    connect: Callable[..., Connector]
    tidy_up: bool
    say: Say
    stop: threading.Event
    push_lines: list[str] = field(default_factory=list)

    def row(self) -> NightRun:
        with self.database.reading() as session:
            return session.get_one(NightRun, (self.warehouse_id, self.run_id))

    def one(self) -> NightStep:
        """Do the step the night stands at; the step it stands at then."""
        step = self.row().step
        if step is S.DONE:
            return step
        self.say(step.value, "", 0, 0)
        found = getattr(self, f"_{step.value}")()
        if self.stop.is_set():
            return step
        following = STEPS[STEPS.index(step) + 1]
        self._save(step=following, **{step.value: found})
        return following

    def _save(self, step: NightStep | None = None, cursor: int | None = None, **found: Any) -> None:
        with self.database.transaction(Actor(self.warehouse_id)) as session:
            row = session.get_one(NightRun, (self.warehouse_id, self.run_id), with_for_update=True)
            row.leased_until = now() + LEASE
            if found:
                row.progress = {**row.progress, **found}
            if cursor is not None:
                row.cursor = cursor
            if step is not None:
                row.step = step
            if step is S.DONE:
                row.finished_at, row.leased_until = now(), None

    def result(self) -> Night:
        row = self.row()
        pulled = row.progress.get("pull") or {}
        return Night(
            row,
            self.push_lines or list((row.progress.get("push") or {}).get("lines") or []),
            dict((row.progress.get("push") or {}).get("counts") or {}),
            [(one[0], one[1]) for one in (row.progress.get("books") or {}).get("faults") or []],
            dict(row.progress.get("tidy") or {}),
            dict((row.progress.get("read_back") or {}).get("verdicts") or {}),
            [f"{shop}: {one['error']}" for shop, one in pulled.items() if one.get("error") and not one.get("fine")],
        )

    def _shops(self) -> list[Shop]:
        with self.database.reading() as session:
            return list(
                session.execute(
                    select(Shop).where(Shop.warehouse_id == self.warehouse_id, Shop.active).order_by(Shop.id)
                ).scalars()
            )

    # The steps

    def _pull(self) -> dict[str, Any]:
        """Every shop is read on from where it was read to; one that was read before a kill reads a little twice."""
        free_dead(self.database)
        found = dict(self.row().progress.get("pull") or {})
        shops = self._shops()
        shut = lanes.paused(self.database)
        for number, shop in enumerate(shops):
            self.say("pull", shop.code, number, len(shops))
            if shop.code in found or self.stop.is_set():
                continue
            if shop.id in shut:
                with self.database.reading() as session:
                    held = session.get(ShopLane, shop.id)
                found[shop.code] = {
                    "error": held.paused_reason if held and held.paused_reason else night.NOT_ASKED,
                    "facts": held.paused_facts if held and held.paused_reason else {},
                }
            else:
                pulled = intake.pull(self.database, shop.id, connect=self.connect)
                if pulled is None:
                    found[shop.code] = {"fates": {}}  # the worker reads it in this minute
                else:
                    found[shop.code] = {"fates": dict(pulled.fates), "unread": len(pulled.unread)}
                    if pulled.error is not None:
                        found[shop.code] |= {"error": pulled.error.message, "facts": _json(pulled.error.facts)}
            # Files are often read by hand, at the desk: then the shop has no folder of its own.
            if shop.connector == "csv" and (found[shop.code].get("facts") or {}).get("name") == "inbox":
                found[shop.code]["fine"] = True
            self._save(pull=found)
        intake.settle_left(self.database, self.connect)
        intake.go_on(self.database)
        return found

    def _push(self) -> dict[str, Any]:
        """All that is outstanding, and once more what another process was sending when it died."""
        before = dict((self.row().progress.get("push") or {}).get("counts") or {})
        total = sync.outstanding(self.database)
        for _round in range(ROUNDS):
            report = sync.push_outstanding(
                self.database,
                connect=self.connect,
                all_now=True,
                limit=1_000_000,
                progress=lambda number: self._told("push", number, total),
            )
            self.push_lines += report.lines
            erp.gather(self.database)
            erp.report_levels(self.database)
            news = erp.push_outstanding(self.database, connect=self.connect, all_now=True, limit=1_000_000)
            self.push_lines += news.lines
            report.counts.update(news.counts)
            for state, number in report.counts.items():
                before[state] = before.get(state, 0) + number
            self._save(push={"counts": before, "lines": self.push_lines[-FAULTS_KEPT:]})
            if not self._wait_for(Push.leased_until, Push.state == PushState.SENDING, Push.warehouse_id):
                break
        return {"counts": before, "lines": self.push_lines[-FAULTS_KEPT:]}

    def _stock(self) -> dict[str, Any]:
        stock_push.tell_anew(self.database)
        stock_push.Watcher(self.database).look(all_items=True)
        counts: dict[str, int] = dict((self.row().progress.get("stock") or {}).get("counts") or {})
        total = stock_push.outstanding(self.database)
        lines: list[str] = []
        for _round in range(ROUNDS):
            told = stock_push.tell(
                self.database,
                connect=self.connect,
                within_s=STOCK_WITHIN_S,
                all_now=True,
                stop=self.stop,
                progress=lambda number: self._told("stock", number, total),
            )
            for state, number in told.counts.items():
                counts[state] = counts.get(state, 0) + number
            lines += told.lines
            self._save(stock={"counts": counts, "lines": lines[-FAULTS_KEPT:]})
            if not self._wait_for(
                StockPush.leased_until, StockPush.state == StockPushState.SENDING, StockPush.warehouse_id
            ):
                break
        return {"counts": counts, "lines": lines[-FAULTS_KEPT:]}

    def _read_back(self) -> dict[str, Any]:
        """Ask the shops what they have of each order that was shipped, and write a line of the statement for it."""
        connectors: dict[int, Connector | None] = {}
        shops = {shop.id: shop for shop in self._shops()}
        shut = lanes.paused(self.database)
        while not self.stop.is_set():
            row = self.row()
            with self.database.reading() as session:
                portion = night.shipped(session, row, row.cursor, PORTION)
            if not portion:
                break
            for order_id, shop_id in portion:
                if self.stop.is_set():
                    break
                self._read_one(row, order_id, shops.get(shop_id), connectors, shut)
        with self.database.reading() as session:
            verdicts = session.execute(
                select(NightLine.verdict, func.count())
                .where(NightLine.warehouse_id == self.warehouse_id, NightLine.run_id == self.run_id)
                .group_by(NightLine.verdict)
            ).all()
        return {"verdicts": {verdict.value: int(number) for verdict, number in verdicts}}

    def _read_one(
        self,
        row: NightRun,
        order_id: int,
        shop: Shop | None,
        connectors: dict[int, Connector | None],
        shut: set[int],
    ) -> None:
        with self.database.reading() as session:
            mine = night.ours(session, self.warehouse_id, order_id)
        back: ReadBack | None = None
        fault: tuple[str, dict[str, Any]] | None = None
        if mine.push is not None and mine.push.state is PushState.ACKNOWLEDGED and shop is not None:
            if shop.id in shut:
                fault = night.NOT_ASKED, {}
            else:
                back, fault = self._ask(shop, mine.order.shop_order_no, connectors, shut)
        verdict = night.judge(mine, back, fault)
        with self.database.transaction(Actor(self.warehouse_id)) as session:
            held = session.get_one(NightRun, (self.warehouse_id, self.run_id), with_for_update=True)
            night.keep(session, held, mine, back, verdict)
            held.cursor, held.leased_until = order_id, now() + LEASE
            done = int((held.progress.get("read_back") or {}).get("done") or 0) + 1
            held.progress = {**held.progress, "read_back": {"done": done}}
        self.say("read_back", mine.order.shop_order_no, done, 0)

    def _ask(
        self, shop: Shop, order_no: str, connectors: dict[int, Connector | None], shut: set[int]
    ) -> tuple[ReadBack | None, tuple[str, dict[str, Any]] | None]:
        for last in (False, True):
            try:
                if shop.id not in connectors:
                    made = lanes.reach(self.database, shop, self.connect)
                    connectors[shop.id] = made if isinstance(made, ReadsBack) else None
                connector = connectors[shop.id]
                return (connector.read_back(order_no), None) if isinstance(connector, ReadsBack) else (None, None)
            except ConnectorError as error:
                rest_s = error.retry_after_s
                if not last and not error.permanent and rest_s is not None and rest_s <= ASK_AGAIN_WITHIN_S:
                    self.stop.wait(rest_s)
                    continue
                if error.reason in lanes.SHOP_WIDE:
                    lanes.failed(self.database, shop, error)
                    shut.add(shop.id)
                return None, (error.message, _json(error.facts))
            except Exception as error:
                log.exception("reading order %s of shop %s back", order_no, shop.code)
                return None, (sync.BROKE, {"fault": type(error).__name__})
        raise AssertionError("unreachable")

    def _books(self) -> dict[str, Any]:
        return {"faults": [[one.rule, one.text] for one in audit.verify(self.database)][:FAULTS_KEPT]}

    def _tidy(self) -> dict[str, int]:
        if not self.tidy_up:
            return {}
        return audit.tidy(self.database, self.settings.keep_scans_days) | {"messages": hooks.tidy(self.database)}

    def _tell(self) -> dict[str, Any]:
        right = well(self.database, self.row())
        with self.database.transaction(Actor(self.warehouse_id)) as session:
            session.get_one(NightRun, (self.warehouse_id, self.run_id), with_for_update=True).right = right
        return notice.send(self.database, self.settings, self.row())

    # What they share

    def _told(self, step: str, number: int, total: int) -> None:
        self.say(step, "", number, total)
        if number % 25 == 0:
            self._save()

    def _wait_for(self, leased_until: Any, sending: Any, warehouse_id: Any) -> bool:
        """Wait until nobody can be at what was being sent: the sender ended, or it died and its lease is over.

        False: there is nothing to take up.
        """
        at = now()
        told = False
        while not self.stop.is_set():
            with self.database.reading() as session:
                first, last = session.execute(
                    select(func.min(leased_until), func.max(leased_until)).where(
                        warehouse_id == self.warehouse_id, sending
                    )
                ).one()
            if first is None:
                return False
            if first <= now():
                return bool(first > at - LEASE)  # an older one was due in this round already
            if not told:
                self.say("wait", last.isoformat(timespec="seconds"), 0, 0)
                told = True
            self._save()
            self.stop.wait(min((first - now()).total_seconds() + 0.1, 1.0))
        return False


def well(database: Database, row: NightRun) -> bool:
    """Whether nothing of the night needs a person."""
    pulled = row.progress.get("pull") or {}
    verdicts = (row.progress.get("read_back") or {}).get("verdicts") or {}
    stock = (row.progress.get("stock") or {}).get("counts") or {}
    with database.reading() as session:
        failed = session.execute(
            select(func.count())
            .select_from(StockPush)
            .where(StockPush.warehouse_id == row.warehouse_id, StockPush.state == StockPushState.FAILED)
        ).scalar_one()
    told = all(counts.get("acknowledged", 0) == counts["shipped"] for _shop, counts in sync.reconcile(database))
    return (
        told
        and not any(one.get("error") and not one.get("fine") for one in pulled.values())
        and not any(verdicts.get(one.value) for one in NightVerdict if one is not NightVerdict.ALIKE)
        and not (row.progress.get("books") or {}).get("faults")
        and not stock.get("paused")
        and not failed
    )


def free_dead(database: Database) -> None:
    """Lanes whose reader on this machine is dead are nobody's: the night does not wait for their lease."""
    with database.reading() as session:
        held = session.execute(
            select(ShopLane.shop_id, ShopLane.warehouse_id, ShopLane.leased_by).where(
                ShopLane.leased_until > now(), ShopLane.leased_by != ""
            )
        ).all()
    for shop_id, warehouse_id, who in held:
        if not alive(who):
            with database.transaction(Actor(warehouse_id)) as session:
                session.execute(
                    update(ShopLane)
                    .where(ShopLane.shop_id == shop_id, ShopLane.leased_by == who)
                    .values(leased_until=None, leased_by="")
                    .execution_options(synchronize_session=False)
                )


def _json(facts: dict[str, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in json.loads(json.dumps(facts, default=str)).items()}
