"""Programs beside the web server: they come back when they fall and never outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from wms.commands import _children
from wms.commands._children import Child, Supervisor

ROOT = Path(__file__).resolve().parents[2]
SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


class Falls:
    """What the supervisor told of children that ended, and an event for the wanted number of them."""

    def __init__(self, wanted: int) -> None:
        self.told: list[tuple[str, int, float]] = []
        self.wanted = wanted
        self.enough = threading.Event()

    def __call__(self, child: Child, code: int, pause_s: float) -> None:
        self.told.append((child.name, code, pause_s))
        if len(self.told) >= self.wanted:
            self.enough.set()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_children, "STOP_WITHIN_S", 0.5)
    yield


def running(child: Child) -> int:
    """The process of a child, waited for."""
    end = threading.Event()
    for _ in range(400):
        if child.process is not None and child.running:
            return child.process.pid
        end.wait(0.025)
    raise AssertionError(f"{child.name} did not start")


def test_a_child_that_falls_is_started_again_with_growing_pauses(fast: None) -> None:
    child = Child("worker", [sys.executable, "-c", "raise SystemExit(3)"])
    child.pause_s = 0.05
    falls = Falls(3)
    supervisor = Supervisor([child], tell=falls)
    supervisor.start()
    try:
        assert falls.enough.wait(20)
    finally:
        supervisor.stop()
    assert [code for _, code, _ in falls.told[:3]] == [3, 3, 3]
    pauses = [pause_s for _, _, pause_s in falls.told[:3]]
    assert pauses == [0.05, 0.1, 0.2]


def test_a_child_waits_until_what_it_needs_is_ready(fast: None) -> None:
    ready = threading.Event()
    asked = threading.Event()

    def is_ready() -> bool:
        asked.set()
        return ready.is_set()

    child = Child("caddy", SLEEP, ready=is_ready)
    supervisor = Supervisor([child])
    supervisor.start()
    try:
        assert asked.wait(5)
        assert child.process is None
        ready.set()
        running(child)
    finally:
        supervisor.stop()


def test_stopping_ends_every_child_even_a_deaf_one(fast: None) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    children = [Child("good", SLEEP), Child("deaf", [sys.executable, "-c", deaf])]
    supervisor = Supervisor(children)
    supervisor.start()
    for child in children:
        running(child)
    processes = [child.process for child in children]
    supervisor.stop()
    assert all(process is not None and process.poll() is not None for process in processes)


def test_a_restart_on_request_is_no_fall(fast: None) -> None:
    child = Child("caddy", SLEEP)
    falls = Falls(1)
    supervisor = Supervisor([child], tell=falls)
    supervisor.start()
    try:
        first = running(child)
        process = child.process
        assert process
        supervisor.restart("caddy")
        process.wait(10)
        end = threading.Event()
        for _ in range(400):
            if child.process is not process and child.running:
                break
            end.wait(0.025)
        assert running(child) != first
    finally:
        supervisor.stop()
    assert falls.told == []


PARENT = """
import sys, threading
sys.path.insert(0, {root!r})
from wms.commands._children import Child, Supervisor
child = Child("child", [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"])
Supervisor([child]).start()
threading.Event().wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="NOT LINUX: the kernel ends no children with their parent here")
def test_a_server_killed_outright_takes_its_children_along() -> None:
    """Two workers after a crash would print every label twice."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(root=str(ROOT))], stdout=subprocess.PIPE)
    assert parent.stdout
    assert parent.stdout.readline() == b"up\n"
    parent.send_signal(signal.SIGKILL)
    # The child holds the other end of this pipe: its end is the end of the pipe.
    ended = threading.Thread(target=parent.stdout.read, daemon=True)
    ended.start()
    ended.join(10)
    assert not ended.is_alive(), "the child lives on"
    parent.wait()
    parent.stdout.close()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="NO AFFINITY on this system")
def test_children_are_not_held_on_the_servers_core(tmp_path: Path, fast: None) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    told = tmp_path / "told"
    ask = (
        "import os, time; print(sorted(os.sched_getaffinity(0)), flush=True); "
        f"os.rename({str(told) + '.now'!r}, {str(told)!r}); time.sleep(600)"
    )
    child = Child("worker", [sys.executable, "-c", ask], output=tmp_path / "told.now")
    held = threading.Event()

    def serve_on_one_core() -> None:
        os.sched_setaffinity(0, allowed[:1])  # this thread and those it makes
        supervisor = Supervisor([child], allowed)
        supervisor.start()
        for _ in range(400):
            if told.exists():
                break
            held.wait(0.025)
        supervisor.stop()

    server = threading.Thread(target=serve_on_one_core)
    server.start()
    server.join(30)
    assert told.read_text("ascii").strip() == str(allowed)
