"""`run.py worker`: printing, pushes and night jobs, in a process of their own."""

from __future__ import annotations

import argparse
import signal
import threading
from types import FrameType

from wms.settings import Settings

help = "print, push and do the night's jobs; `serve` starts one by itself"


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace, settings: Settings) -> int:
    from wms.jobs import worker

    stop = threading.Event()

    def leave(_number: int, _frame: FrameType | None) -> None:
        stop.set()  # what is being sent is finished and written down first (R35)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    worker.run(settings, stop)
    return 0
