"""`run.py migrate`: bring the tables to this release."""

from __future__ import annotations

import argparse

from wms.commands._say import say
from wms.settings import Settings

help = "bring the database's tables to this release"


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace, settings: Settings) -> int:
    from wms import db

    reached = db.migrate(settings)
    say(f"The tables are at {reached}.", f"数据库表已是 {reached}。")
    return 0
