"""Programs that run beside the web server: started, started again when they end, stopped with it.

Run as a program (`python _children.py PARENT CPUS COMMAND…`) it ties itself to PARENT and becomes COMMAND.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# A child that ran this long was well: its next fall starts with a short pause again.
WELL_AFTER_S = 60.0
STOP_WITHIN_S = 8.0


@dataclass
class Child:
    """One program to keep running. `ready` is waited for before its first start."""

    name: str
    command: Sequence[str]
    environment: dict[str, str] | None = None
    output: Path | None = None
    ready: Callable[[], bool] = lambda: True
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started: float = field(default=0.0, init=False)
    pause_s: float = field(default=FIRST_PAUSE_S, init=False)
    next_start: float = field(default=0.0, init=False)
    falls: int = field(default=0, init=False)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """Keeps children running from one thread of its own, until stop().

    The thread lives as long as the children: Linux sends the death signal when the *thread* that forked ends.
    """

    def __init__(
        self,
        children: list[Child],
        cpus: Sequence[int] | None = None,
        tell: Callable[[Child, int, float], None] | None = None,
    ) -> None:
        self.children = children
        self._cpus = sorted(cpus or ())
        self._tell = tell or (lambda child, code, pause_s: None)
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def restart(self, name: str) -> None:
        """End one child at once; it comes back by itself, without a pause."""
        for child in self.children:
            if child.name == name and child.process and child.running:
                child.started = 0.0
                child.process.terminate()
                self._wake.set()

    def stop(self) -> None:
        """Ask every child to end, wait, end by force what does not; returns when none is left."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_WITHIN_S + 4)

    def _run(self) -> None:
        while not self._stopping:
            now = time.monotonic()
            for child in self.children:
                self._look_after(child, now)
            self._wake.wait(0.25)
            self._wake.clear()
        self._stop_children()

    def _look_after(self, child: Child, now: float) -> None:
        if child.running:
            return
        if child.process is not None:
            code = child.process.returncode
            child.process = None
            asked = child.started == 0.0
            child.pause_s = FIRST_PAUSE_S if now - child.started > WELL_AFTER_S else child.pause_s
            child.next_start = now if asked else now + child.pause_s
            if not asked:
                child.falls += 1
                self._tell(child, code, child.pause_s)
                child.pause_s = min(child.pause_s * 2, LONGEST_PAUSE_S)
        if now >= child.next_start and child.ready():
            self._start(child)

    def _start(self, child: Child) -> None:
        tie = [
            sys.executable,
            str(Path(__file__).resolve()),
            str(os.getpid()),
            ",".join(map(str, self._cpus)) or "-",
        ]
        output = child.output.open("wb") if child.output else None
        try:
            child.process = subprocess.Popen(
                [*tie, *child.command],
                env=child.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                # Ctrl-C in the terminal reaches us alone; we stop the children in our own order.
                start_new_session=True,
            )
        finally:
            if output:
                output.close()
        child.started = time.monotonic()

    def _stop_children(self) -> None:
        for child in self.children:
            if child.process and child.running:
                child.process.terminate()
        end = time.monotonic() + STOP_WITHIN_S
        for child in self.children:
            if child.process:
                try:
                    child.process.wait(max(0.1, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    child.process.kill()
                    child.process.wait()


def _become(parent: int, cpus: str, command: list[str]) -> None:
    if sys.platform == "linux":
        import ctypes

        # Should the server be killed outright, its children must not live on and print twice.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)
        if cpus != "-":  # the server may be held on one core; its children need not be
            os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
