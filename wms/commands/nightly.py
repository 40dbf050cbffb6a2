"""`run.py nightly`: push all that is outstanding, prove the books, print the reconciliation (R37, R46)."""

from __future__ import annotations

import argparse
import sys

from wms.commands._say import say
from wms.settings import Settings

help = "push every outstanding parcel, prove the books, print what the shops have against what was shipped"

COLUMNS = ("shipped", "acknowledged", "pending", "sending", "retry", "conflict", "dead")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-tidy", action="store_true", help="keep old scan answers and empty balances")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from wms.db import open_database
    from wms.jobs import audit, erp, hooks, sync

    database = open_database(settings)
    try:
        total = sync.outstanding(database)
        say(f"outstanding: {total}", f"待回传：{total}")

        def show(number: int) -> None:
            if number % 50 == 0:
                print(f"  {number} / {total}", file=sys.stderr, flush=True)

        report = sync.push_outstanding(database, all_now=True, limit=1_000_000, progress=show)
        erp.gather(database)
        erp.report_levels(database)
        news = erp.push_outstanding(database, all_now=True, limit=1_000_000)
        report.counts += news.counts
        for line in (*report.lines, *news.lines):
            print(f"  {line}")
        told = ", ".join(f"{state} {n}" for state, n in sorted(report.counts.items()))
        say(f"pushed: {told or 'nothing'}", f"已回传：{told or '无'}")
        print(f"{'shop':<16}" + "".join(f"{c:>14}" for c in COLUMNS))
        right = True
        for shop, counts in sync.reconcile(database):
            print(f"{shop:<16}" + "".join(f"{counts.get(c, 0):>14}" for c in COLUMNS))
            right = right and counts.get("acknowledged", 0) == counts.get("shipped", 0)
        faults = audit.verify(database)
        for fault in faults:
            print(f"{fault.rule}  {fault.text}")
        if faults:
            say(f"the books have {len(faults)} faults", f"账目有 {len(faults)} 处不符")
        else:
            say("the books are right", "账目正确")
        if not args.no_tidy:
            tidied = audit.tidy(database, settings.keep_scans_days) | {"messages": hooks.tidy(database)}
            print("tidied: " + ", ".join(f"{what} {n}" for what, n in tidied.items()))
        return 0 if right and not faults else 1
    finally:
        database.close()
