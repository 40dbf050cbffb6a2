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
from wms.jobs import audit, erp, hooks, intake, print_queue, sync
from wms.settings import Settings

LOOK_EVERY_S = 0.05
"""How often the queue is looked at. One indexed SELECT; the packer's label starts within this time."""

PUSH_EVERY = timedelta(seconds=10)
PULL_LOOK_EVERY = timedelta(seconds=5)
ABANDONED_EVERY = timedelta(seconds=5)
ABANDONED = timedelta(minutes=2)
"""After this long without its page, a waybill handed to a print component is asked about."""

HOOK_LOOK_EVERY = timedelta(seconds=1)
"""How soon an order is read anew after its shop told of it."""
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
    next_push, next_abandoned, last_night = now(), now(), _night(settings)
    with ThreadPoolExecutor(8, thread_name_prefix="print") as pool:
        pushing = pulling = knocking = None
        next_pull = next_knock = now()
        while not stop.wait(LOOK_EVERY_S):
            try:
                for key in print_lease.printers_due(database):
                    if key not in busy or busy[key].done():  # type: ignore[attr-defined]
                        busy[key] = pool.submit(_print, database, key, stop)
                if now() >= next_abandoned:
                    next_abandoned = now() + ABANDONED_EVERY
                    print_lease.ask_about_abandoned(database)
                if now() >= next_push and (pushing is None or pushing.done()):
                    next_push = now() + PUSH_EVERY
                    pushing = pool.submit(_push, database)
                    print_lease.give_up_abandoned(database, ABANDONED)
                if now() >= next_pull and (pulling is None or pulling.done()):
                    next_pull = now() + PULL_LOOK_EVERY
                    pulling = pool.submit(_pull, database)
                if now() >= next_knock and (knocking is None or knocking.done()):
                    next_knock = now() + HOOK_LOOK_EVERY
                    knocking = pool.submit(_knocked, database)
                if _night(settings) != last_night:
                    last_night = _night(settings)
                    pool.submit(_at_night, database, settings)
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
        erp.gather(database)
        for line in (*report.lines, *erp.push_outstanding(database, limit=200).lines):
            log.warning("%s", line)
    except Exception:
        log.exception("push")


def _pull(database: Database) -> None:
    try:
        intake.settle_left(database)
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


def _night(settings: Settings) -> object:
    """The date of the last night hour passed, by the warehouse's clock."""
    local: datetime = now().astimezone(ZoneInfo(settings.timezone))
    return (local - timedelta(hours=NIGHT_HOUR)).date()


def _at_night(database: Database, settings: Settings) -> None:
    try:
        sync.push_outstanding(database, all_now=True, limit=100_000)
        erp.gather(database)
        erp.report_levels(database)
        erp.push_outstanding(database, all_now=True, limit=100_000)
        for fault in audit.verify(database):
            log.error("%s %s", fault.rule, fault.text)
        log.info("tidied: %s", audit.tidy(database, settings.keep_scans_days))
        log.info("messages of shops dropped: %s", hooks.tidy(database))
    except Exception:
        log.exception("night")
