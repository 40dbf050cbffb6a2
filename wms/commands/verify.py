"""`run.py verify`: prove the books (R46); exit code 1 when anything does not hold."""

from __future__ import annotations

import argparse

from wms.commands._say import say
from wms.settings import Settings

help = "recompute every balance, promise, manifest and push from the ledger and report any difference"


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace, settings: Settings) -> int:
    from wms.db import open_database
    from wms.jobs import audit

    database = open_database(settings)
    faults = audit.verify(database)
    database.close()
    for fault in faults:
        print(f"{fault.rule}  {fault.text}")
    if faults:
        say(f"{len(faults)} faults; nothing was changed", f"发现 {len(faults)} 处不符；未作任何更改")
    else:
        say("the books are right", "账目正确")
    return 1 if faults else 0
