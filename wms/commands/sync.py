"""`run.py sync`: push what is due now, once; the worker does the same every ten seconds."""

from __future__ import annotations

import argparse

from wms.commands._say import say
from wms.settings import Settings

help = "push shipped parcels to their shops now"


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace, settings: Settings) -> int:
    from wms.db import open_database
    from wms.jobs import erp, sync

    database = open_database(settings)
    report = sync.push_outstanding(database)
    erp.gather(database)
    news = erp.push_outstanding(database)
    database.close()
    report.counts += news.counts
    for line in (*report.lines, *news.lines):
        print(line)
    told = ", ".join(f"{state} {n}" for state, n in sorted(report.counts.items()))
    say(told or "nothing is due", told or "没有待回传的包裹")
    return 0 if report.clean else 1
