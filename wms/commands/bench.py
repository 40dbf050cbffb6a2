"""`run.py bench WHAT`: measure this machine; each bench is a file in wms/bench."""

from __future__ import annotations

import argparse
import importlib
from typing import Protocol

from wms.settings import Settings

help = "measure this machine, or prove what it stands: scan, labels, hooks, camera, decode, chaos, idle"

BENCHES = ("scan", "labels", "hooks", "camera", "decode", "chaos", "idle")


class Bench(Protocol):
    """What a module in wms/bench offers to be called by its name here."""

    summary: str

    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace, settings: Settings) -> int: ...


def _bench(name: str) -> Bench:
    module: Bench = importlib.import_module(f"wms.bench.{name}")
    return module


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    for name in BENCHES:
        bench = _bench(name)
        bench.configure(what.add_parser(name, help=bench.summary, description=bench.summary))


def run(args: argparse.Namespace, settings: Settings) -> int:
    return _bench(args.what).run(args, settings)
