"""Runs `run.py agent`, and has it fall at a chosen moment: `agent_killed.py MOMENT NTH WMS_ARGUMENTS…`.

The process kills itself with signal 9, as a power cut would, or loses a message; the product has no such door.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from wms.commands import main
from wms.jobs import station_agent
from wms.jobs.station_agent import Journal, Server, Unreachable

MOMENTS: dict[str, tuple[type, str, str, str]] = {
    "before started": (Journal, "started", "before", "die"),
    "after started": (Journal, "started", "after", "die"),
    "after the bytes": (Journal, "ended", "before", "die"),
    "after ended": (Journal, "ended", "after", "die"),
    "after report": (Server, "report", "after", "die"),
    "report lost": (Server, "report", "before", "lose"),
    "answer lost": (Server, "report", "after", "lose"),
    "lease lost": (Server, "next", "after", "lose"),
}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _lose() -> None:
    raise Unreachable("lost on the way")


def spoil(moment: str, nth: int) -> None:
    kind, name, when, what = MOMENTS[moment]
    real: Callable[..., Any] = getattr(kind, name)
    act = _die if what == "die" else _lose
    calls = 0

    def spoilt(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == nth:
            act()
        result = real(*args, **more)
        if name == "next" and result[0] is None:
            calls -= 1  # only answers that lend something count
        elif when == "after" and calls == nth:
            act()
        return result

    setattr(kind, name, spoilt)


if __name__ == "__main__":
    spoil(sys.argv[1], int(sys.argv[2]))
    station_agent.FIRST_PAUSE_S = 0.1
    sys.exit(main(sys.argv[3:]))
