"""The real product for tests in a browser: `run.py serve` and its worker as processes of their own, on free ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import select, update

from tests.factories import Rows
from tests.printers.fake_printer import FakePrinter
from wms import db
from wms.db import Database
from wms.models import Printer, Shop
from wms.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a secret of the browser tests, long enough"
READY = "Stop with Ctrl-C"
START_S = 60.0
STOP_S = 20.0
VERB_S = 120.0


class Program:
    """A process whose every line is kept; it is waited for by what it says, never by the clock."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._said = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), *arguments],
            env=environment,
            cwd=environment["WMS_HOME"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._said:
                self.lines.append(line)
                self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait_for(self, words: str, within_s: float = START_S) -> None:
        """Until a line has these words; its end or a long silence is a failure that shows all it said."""
        with self._said:
            self._said.wait_for(lambda: self._ended or words in self.text, within_s)
            assert words in self.text, f"it never said {words!r}:\n{self.text}"

    def stop(self) -> None:
        """Ask it to end, as a service manager does, and wait until it has."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(STOP_S)


class Product:
    """A home folder with migrated tables, and the programs that run on it."""

    def __init__(self, home: Path, template: Path | None = None) -> None:
        with ExitStack() as stack:
            probes = [stack.enter_context(socket.socket()) for _ in range(3)]
            for probe in probes:
                probe.bind(("127.0.0.1", 0))
            http, https, inner = (str(probe.getsockname()[1]) for probe in probes)
        self.home = home
        self.address = f"http://127.0.0.1:{http}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WMS_")},
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "WMS_HOME": str(home),
            "WMS_HOST": "127.0.0.1",
            "WMS_TLS": "off",
            "WMS_SECRET_KEY": SECRET,
            "WMS_HTTP_PORT": http,
            "WMS_HTTPS_PORT": https,
            "WMS_INNER_PORT": inner,
            "WMS_SKIP_VENDOR": "1",
        }
        self.settings = Settings.from_environment(self.environment)
        if template is not None:
            (home / "wms.db").write_bytes(template.read_bytes())
        db.migrate(self.settings)
        self.database: Database = db.open_database(self.settings)
        self.web: Program | None = None
        self.worker: Program | None = None

    def start(self) -> None:
        self.web = Program(["serve", "--no-qr", "--no-worker"], self.environment)
        self.web.wait_for(READY)

    def start_worker(self) -> None:
        """Printing and pushing, in a process of its own, so that a test can end it when nothing more may go."""
        self.worker = Program(["worker"], self.environment)

    def stop_worker(self) -> None:
        assert self.worker is not None
        self.worker.stop()
        assert "Traceback" not in self.worker.text, self.worker.text
        self.worker = None

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One verb of run.py to its end, as a person or a timer calls it."""
        return subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *arguments],
            env=self.environment,
            cwd=self.home,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=VERB_S,
        )

    def stop(self) -> None:
        for program in (self.worker, self.web):
            if program is not None:
                program.stop()
        self.database.close()
        said = "".join(program.text for program in (self.worker, self.web) if program is not None)
        assert "Traceback" not in said, said


class Warehouse(Product):
    """The small warehouse of tests/factories.py, with two network printers and a shop that works by files."""

    def __init__(self, home: Path, printer: FakePrinter, labels: FakePrinter, template: Path | None) -> None:
        super().__init__(home, template)
        self.printer, self.labels = printer, labels
        self.rows = Rows(self.database, self.settings.secret_key)
        self.outbox = home / "outbox" / "shop.csv"
        self.outbox.parent.mkdir()
        (home / "inbox").mkdir()
        files = {"mapping": "jd", "inbox": str(home / "inbox"), "outbox": str(self.outbox)}
        with self.database.transaction(self.rows.actor()) as session:
            for code, machine in (("WB1", printer), ("LB1", labels)):
                session.execute(update(Printer).where(Printer.code == code).values(uri=machine.uri))
            session.execute(select(Shop).where(Shop.code == "SHOP")).scalar_one().settings = files


@contextmanager
def warehouse(home: Path, template: Path | None = None, *, serving: bool = True) -> Iterator[Warehouse]:
    """Web server, worker and two printers; without ``serving`` only what its verbs need. All ends with the block."""
    with FakePrinter() as printer, FakePrinter() as labels:
        running = Warehouse(home, printer, labels, template)
        try:
            if serving:
                running.start()
                running.start_worker()
            yield running
        finally:
            running.stop()
