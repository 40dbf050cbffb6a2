"""The worker process: prints what is queued, pushes what has shipped, proves the books at night."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from wms import print_lease
from wms.clock import now
from wms.db import Database, migrations_pending, open_database
from wms.jobs import carriers, erp, hooks, intake, night, print_queue, stock_push, sync, tracking
from wms.settings import Settings

LOOK_EVERY_S = 0.05
"""How often the queue is looked at. One indexed SELECT; the packer's label starts within this time."""

ASK_EVERY = timedelta(seconds=0.2)
"""How often the carriers' questions are looked at: one that was asked when the parcel was opened is answered long
before it is weighed."""

TRACK_EVERY = timedelta(seconds=20)
PUSH_EVERY = timedelta(seconds=10)
PULL_LOOK_EVERY = timedelta(seconds=5)
ABANDONED_EVERY = timedelta(seconds=5)
ABANDONED = timedelta(minutes=2)
"""After this long without its page, a waybill handed to a print component is asked about."""

HOOK_LOOK_EVERY = timedelta(seconds=1)
"""How soon an order is read anew after its shop told of it."""

STOCK_LOOK_EVERY = timedelta(seconds=3)
NIGHT_HOUR = 3

log = logging.getLogger("wms.worker")


def run(settings: Settings, stop: threading.Event) -> None:
    """Work until told to stop; what is being sent is finished and written down first (R35)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    database = open_database(settings)
    try:
        while migrations_pending(database) and not stop.wait(0.5):
            pass  # the web process brings the tables to head first
        print_lease.free(database, print_queue.left_behind)
        carriers.free(database, print_queue.left_behind)
        _pace(database, settings, stop)
    finally:
        database.close()


class Errand:
    """Something done every so often, never twice at once; it runs in a thread, a slow one delays only itself."""

    def __init__(self, every: timedelta, work: Callable[[], object]) -> None:
        self.every, self.work, self.next_at = every, work, now()
        self.under_way: Future[object] | None = None

    def start(self, pool: ThreadPoolExecutor) -> None:
        if now() >= self.next_at and (self.under_way is None or self.under_way.done()):
            self.next_at = now() + self.every
            self.under_way = pool.submit(self.work)


def _pace(database: Database, settings: Settings, stop: threading.Event) -> None:
    busy: dict[tuple[int, int], Future[None]] = {}
    asked: dict[tuple[int, int], Future[None]] = {}
    watcher, last_night = stock_push.Watcher(database), _night(settings)
    errands = (
        Errand(ABANDONED_EVERY, partial(_abandoned, database)),
        Errand(PUSH_EVERY, partial(_push, database)),
        Errand(PULL_LOOK_EVERY, partial(_pull, database)),
        Errand(HOOK_LOOK_EVERY, partial(_knocked, database)),
        Errand(STOCK_LOOK_EVERY, partial(_stock, watcher, stop)),
        Errand(TRACK_EVERY, partial(_track, database, stop)),
    )
    next_ask = now()
    # A shop or a carrier that keeps us waiting must not keep the printers waiting: they have threads of their own.
    with ThreadPoolExecutor(8, thread_name_prefix="print") as pool, ThreadPoolExecutor(10, "outside") as outside:
        if night.broken_off(database):
            outside.submit(_at_night, database, settings, stop)
        while not stop.wait(LOOK_EVERY_S):
            try:
                for key in print_lease.printers_due(database):
                    if key not in busy or busy[key].done():
                        busy[key] = pool.submit(_print, database, key, stop)
                if now() >= next_ask:
                    next_ask = now() + ASK_EVERY
                    for key in carriers.due(database):
                        if key not in asked or asked[key].done():
                            asked[key] = outside.submit(_ask, database, key, stop)
                for errand in errands:
                    errand.start(outside)
                if _night(settings) != last_night:
                    last_night = _night(settings)
                    outside.submit(_at_night, database, settings, stop)
            except Exception:
                log.exception("the worker stumbled and goes on")
                stop.wait(2)


def _abandoned(database: Database) -> None:
    try:
        print_lease.ask_about_abandoned(database)
        print_lease.give_up_abandoned(database, ABANDONED)
    except Exception:
        log.exception("jobs that were fetched and left")


def _print(database: Database, key: tuple[int, int], stop: threading.Event) -> None:
    try:
        print_queue.serve_printer(database, *key, stopping=stop.is_set)
    except Exception:
        log.exception("printer %s", key)


def _ask(database: Database, key: tuple[int, int], stop: threading.Event) -> None:
    try:
        carriers.serve(database, *key, who=print_queue.holder(), stopping=stop.is_set)
    except Exception:
        log.exception("carrier %s", key)


def _track(database: Database, stop: threading.Event) -> None:
    try:
        tracking.ask_due(database, stopping=stop.is_set)
    except Exception:
        log.exception("tracking")


def _push(database: Database) -> None:
    try:
        report = sync.push_outstanding(database, limit=200)
        erp.gather(database)
        for line in (*report.lines, *erp.push_outstanding(database, limit=200).lines):
            log.warning("%s", line)
    except Exception:
        log.exception("push")


def _pull(database: Database) -> None:
    try:
        intake.settle_left(database)
        intake.go_on(database)
        intake.merge_by_itself(database)
        for pulled in intake.pull_due(database):
            if pulled.error is not None:
                log.warning("reading shop %s: %s", pulled.shop, pulled.error)
            elif pulled.fates:
                log.info("shop %s: %s", pulled.shop, dict(pulled.fates))
    except Exception:
        log.exception("pull")


def _knocked(database: Database) -> None:
    try:
        fates = hooks.act(database)
        if fates:
            log.info("messages of shops: %s", dict(fates))
    except Exception:
        log.exception("messages of shops")


def _stock(watcher: stock_push.Watcher, stop: threading.Event) -> None:
    try:
        watcher.look()
        for line in stock_push.tell(watcher.database, stop=stop).lines:
            log.warning("stock %s", line)
    except Exception:
        log.exception("stock")


def _night(settings: Settings) -> object:
    """The date of the last night hour passed, by the warehouse's clock."""
    local: datetime = now().astimezone(ZoneInfo(settings.timezone))
    return (local - timedelta(hours=NIGHT_HOUR)).date()


def _at_night(database: Database, settings: Settings, stop: threading.Event | None = None) -> None:
    try:
        for done in night.run(database, settings, stop=stop):
            for rule, fault in done.faults:
                log.error("%s %s", rule, fault)
            log.info("the night: %s, %s", "all is well" if done.run.right else "needs a person", done.verdicts)
    except night.BusyElsewhere as busy:
        log.info("%s", busy)
    except Exception:
        log.exception("night")
