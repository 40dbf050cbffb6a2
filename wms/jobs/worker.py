"""The worker process: prints what is queued, pushes what has shipped, proves the books at night."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from wms import print_lease
from wms.clock import now
from wms.db import Database, migrations_pending, open_database
from wms.jobs import intake, night, print_queue, stock_push, sync
from wms.settings import Settings

LOOK_EVERY_S = 0.05
"""How often the queue is looked at. One indexed SELECT; the packer's label starts within this time."""

PUSH_EVERY = timedelta(seconds=10)
PULL_LOOK_EVERY = timedelta(seconds=5)
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
        _pace(database, settings, stop)
    finally:
        database.close()


def _pace(database: Database, settings: Settings, stop: threading.Event) -> None:
    busy: dict[tuple[int, int], object] = {}
    next_push, last_night = now(), _night(settings)
    watcher = stock_push.Watcher(database)
    with ThreadPoolExecutor(9, thread_name_prefix="print") as pool:
        if night.broken_off(database):
            pool.submit(_at_night, database, settings, stop)
        pushing = pulling = telling = None
        next_pull = next_stock = now()
        while not stop.wait(LOOK_EVERY_S):
            try:
                for key in print_lease.printers_due(database):
                    if key not in busy or busy[key].done():  # type: ignore[attr-defined]
                        busy[key] = pool.submit(_print, database, key, stop)
                if now() >= next_push and (pushing is None or pushing.done()):
                    next_push = now() + PUSH_EVERY
                    pushing = pool.submit(_push, database)
                if now() >= next_pull and (pulling is None or pulling.done()):
                    next_pull = now() + PULL_LOOK_EVERY
                    pulling = pool.submit(_pull, database)
                if now() >= next_stock and (telling is None or telling.done()):
                    next_stock = now() + STOCK_LOOK_EVERY
                    telling = pool.submit(_stock, watcher, stop)
                if _night(settings) != last_night:
                    last_night = _night(settings)
                    pool.submit(_at_night, database, settings, stop)
            except Exception:
                log.exception("the worker stumbled and goes on")
                stop.wait(2)


def _print(database: Database, key: tuple[int, int], stop: threading.Event) -> None:
    try:
        print_queue.serve_printer(database, *key, stopping=stop.is_set)
    except Exception:
        log.exception("printer %s", key)


def _push(database: Database) -> None:
    try:
        report = sync.push_outstanding(database, limit=200)
        for line in report.lines:
            log.warning("%s", line)
    except Exception:
        log.exception("push")


def _pull(database: Database) -> None:
    try:
        intake.settle_left(database)
        intake.go_on(database)
        for pulled in intake.pull_due(database):
            if pulled.error is not None:
                log.warning("reading shop %s: %s", pulled.shop, pulled.error)
            elif pulled.fates:
                log.info("shop %s: %s", pulled.shop, dict(pulled.fates))
    except Exception:
        log.exception("pull")


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
