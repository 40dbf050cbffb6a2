"""Queues of the operating system: what they can know, what they cannot, and never a blind second copy (R35)."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from printers import os_queue
from printers.delivery import State, check_later, deliver
from printers.errors import PrinterOffline
from printers.transport import open_printer
from tests.printers import cups
from tests.printers.fake_printer import FakePrinter, Mode

LABEL = b"^XA^FO20,20^FD\xe6\xa0\x87\xe7\xad\xbe^FS^XZ"

# -- CUPS itself


@pytest.fixture(scope="module")
def daemon() -> Iterator[cups.Cupsd]:
    if lacking := cups.missing():
        pytest.skip(f"NO CUPS ({', '.join(lacking)}): apt-get install cups cups-client cups-bsd; queues were not tried")
    with cups.running() as running:
        yield running


_numbers = itertools.count(1)


class Bench:
    """A queue of the real CUPS in front of a printer's double."""

    def __init__(self, daemon: cups.Cupsd, printer: FakePrinter) -> None:
        self.daemon, self.printer = daemon, printer
        self.queue = f"zq{next(_numbers)}"
        self.uri = f"os://{self.queue}"
        daemon.queue(self.queue, printer.port)


@pytest.fixture
def bench(daemon: cups.Cupsd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in ("PATH", "CUPS_SERVER"):
        monkeypatch.setenv(name, daemon.environment[name])
    with FakePrinter() as printer:
        yield Bench(daemon, printer)


def test_a_label_goes_through_the_queue_once_and_byte_for_byte(bench: Bench) -> None:
    outcome = deliver(bench.uri, LABEL, trust=True)
    assert (outcome.state, outcome.reason, outcome.bytes_sent) == (State.PRINTED, "", len(LABEL))
    assert outcome.base is not None, "the spooler's number"
    assert bench.printer.wait_for_labels(1) and bench.printer.labels == [LABEL]


def test_passed_on_is_a_question_where_nobody_vouches_for_the_printer(bench: Bench) -> None:
    """Paper is out: CUPS says completed, and no label came (facts 0.7)."""
    bench.printer.mode = Mode.PAPER_OUT
    outcome = deliver(bench.uri, LABEL)
    assert (outcome.state, outcome.reason) == (State.UNKNOWN, "passed_on")
    assert bench.printer.labels == []


def test_a_stopped_queue_waits_before_a_byte(bench: Bench) -> None:
    bench.daemon.run("cupsdisable", bench.queue)
    began: list[int] = []
    outcome = deliver(bench.uri, LABEL, trust=True, first_byte=lambda _base: began.append(1))
    assert (outcome.state, outcome.reason, outcome.bytes_sent, began) == (State.WAITING, "queue_stopped", 0, [])
    bench.daemon.run("cupsenable", bench.queue)
    assert deliver(bench.uri, LABEL, trust=True, first_byte=lambda _base: began.append(1)).state is State.PRINTED
    assert began == [1]
    assert bench.printer.wait_for_labels(1) and len(bench.printer.labels) == 1


def test_a_queue_that_accepts_nothing_waits_before_a_byte(bench: Bench) -> None:
    bench.daemon.run("cupsreject", bench.queue)
    outcome = deliver(bench.uri, LABEL, trust=True)
    assert (outcome.state, outcome.reason) == (State.WAITING, "queue_refuses")


def test_a_queue_that_is_not_there_is_said_so(bench: Bench) -> None:
    """zebra's output() returns None to a queue that does not exist, as on success (facts 0.6)."""
    assert deliver("os://nowhere", LABEL, trust=True).reason == "no_queue"
    assert deliver("os://zebra_python_unittest", LABEL, trust=True).reason == "no_queue"
    assert "does not exist" in os_queue.Cups().hand_over("nowhere", LABEL)


def test_a_printer_that_is_off_holds_the_job_in_the_queue_and_it_comes_out_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("printers.delivery.QUEUE_S", 1.0)
    bench.printer.switch_off()
    outcome = deliver(bench.uri, LABEL, trust=True)
    assert outcome.state is State.HELD and outcome.base is not None
    assert check_later(bench.uri, outcome.base, trust=True).state is State.HELD
    bench.printer.mode = Mode.OK
    assert bench.printer.wait_for_labels(1, 40)
    assert looked(bench, outcome.base) is State.PRINTED
    assert len(bench.printer.labels) == 1


def looked(bench: Bench, number: int) -> State:
    """CUPS tells the end of a job a moment after the printer has it."""
    for _ in range(200):
        seen = check_later(bench.uri, number, trust=True)
        if seen.state is not State.HELD:
            return seen.state
    return State.HELD


def test_a_job_cancelled_in_the_queue_is_asked_about(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("printers.delivery.QUEUE_S", 1.0)
    bench.printer.switch_off()
    outcome = deliver(bench.uri, LABEL, trust=True)
    bench.daemon.run("cancel", f"{bench.queue}-{outcome.base}")
    assert outcome.base is not None
    seen = check_later(bench.uri, outcome.base, trust=True)
    assert (seen.state, seen.reason) == (State.UNKNOWN, "cancelled_there")


def test_a_job_that_cups_gives_up_is_not_taken_for_printed(bench: Bench) -> None:
    """lpstat lists it as one that was passed on; its state by IPP is aborted."""
    bench.printer.switch_off()
    uri = f"socket://127.0.0.1:{bench.printer.port}/?contimeout=1"
    bench.daemon.run("lpadmin", "-p", bench.queue, "-v", uri, "-o", "printer-error-policy=abort-job")
    outcome = deliver(bench.uri, LABEL, trust=True)
    assert (outcome.state, outcome.reason) == (State.UNKNOWN, "cancelled_there")


def test_no_scheduler_is_a_reason_to_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPS_SERVER", str(bench.daemon.folder / "nobody"))
    outcome = deliver(bench.uri, LABEL, trust=True)
    assert (outcome.state, outcome.reason) == (State.WAITING, "no_spooler")


def test_a_machine_without_cups_is_a_reason_to_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrinterOffline) as caught:
        open_printer("os://any")
    assert caught.value.reason == "no_spooler"


# -- any spooler: what is concluded from what it says


class Says:
    """A spooler that says what it is told to."""

    keeps_history = True

    def __init__(self, fates: list[os_queue.Fate], complaint: str = "", fresh: int = 1, hangs: bool = False) -> None:
        self.fates, self.complaint, self.fresh, self.hangs = fates, complaint, fresh, hangs
        self.handed: list[bytes] = []

    def queues(self) -> list[os_queue.Queue]:
        return [os_queue.Queue("q")]

    def jobs(self, queue: str) -> frozenset[int]:
        return frozenset(range(5, 5 + self.fresh)) if self.handed and not self.complaint else frozenset()

    def hand_over(self, queue: str, job: bytes) -> str:
        self.handed.append(job)
        if self.hangs:
            raise PrinterOffline("os://q", "buffer_full")
        return self.complaint

    def fate(self, queue: str, number: int) -> os_queue.Fate:
        assert number == 5
        return self.fates.pop(0) if len(self.fates) > 1 else self.fates[0]


F = os_queue.Fate


@pytest.mark.parametrize(
    ("says", "state", "reason"),
    [
        (Says([F.IN_QUEUE, F.IN_QUEUE, F.PASSED_ON]), State.PRINTED, ""),
        (Says([F.NO_TRACE]), State.UNKNOWN, "no_trace"),
        (Says([F.PASSED_ON], fresh=2), State.UNKNOWN, "no_trace"),
        (Says([F.PASSED_ON], fresh=0), State.UNKNOWN, "no_trace"),
        (Says([F.PASSED_ON], complaint="lpr: it is full"), State.WAITING, "queue_refuses"),
        (Says([F.PASSED_ON], hangs=True), State.UNKNOWN, "buffer_full"),
    ],
)
def test_what_is_concluded(says: Says, state: State, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os_queue, "spooler", lambda: says)
    outcome = deliver("os://q", LABEL, trust=True)
    assert (outcome.state, outcome.reason) == (state, reason)
    assert says.handed == [LABEL]


# -- Windows, by a module that insists on pywin32's calls in their order


class PyWinError(Exception):
    """pywintypes.error: winerror, funcname, strerror."""

    def __init__(self, funcname: str) -> None:
        super().__init__(1801, funcname, "no such printer")
        self.funcname = funcname


class FakeWin32Print(ModuleType):
    PRINTER_ENUM_LOCAL = 2

    def __init__(self) -> None:
        super().__init__("win32print")
        self.printers: dict[str, dict[str, Any]] = {"Zebra ZD421": {"Status": 0, "Attributes": 0}}
        self.open: dict[int, str] = {}
        self.documents: dict[int, list[str]] = {}
        self.printed: list[bytes] = []
        self.kept: list[dict[str, Any]] = []
        self.keep = False
        self.break_at = ""
        self._handles = itertools.count(100)

    def EnumPrinters(self, flags: int) -> list[tuple[int, str, str, str]]:  # noqa: N802
        assert flags == self.PRINTER_ENUM_LOCAL
        return [(0, "", name, "") for name in self.printers]

    def OpenPrinter(self, name: str) -> int:  # noqa: N802
        if name not in self.printers or self.break_at == "OpenPrinter":
            raise PyWinError("OpenPrinter")
        handle = next(self._handles)
        self.open[handle] = name
        return handle

    def ClosePrinter(self, handle: int) -> None:  # noqa: N802
        assert not self.documents.get(handle), "closed in the middle of a document"
        del self.open[handle]

    def GetPrinter(self, handle: int, level: int) -> dict[str, Any]:  # noqa: N802
        assert level == 2
        return self.printers[self.open[handle]]

    def EnumJobs(self, handle: int, first: int, count: int, level: int) -> list[dict[str, Any]]:  # noqa: N802
        assert (first, level) == (0, 1) and count > 0 and handle in self.open
        return list(self.kept)

    def StartDocPrinter(self, handle: int, level: int, told: tuple[str, None, str]) -> int:  # noqa: N802
        assert handle in self.open and level == 1 and told == ("Label", None, "RAW")
        if self.break_at == "StartDocPrinter":
            raise PyWinError("StartDocPrinter")
        self.documents[handle] = ["doc"]
        return 7

    def StartPagePrinter(self, handle: int) -> None:  # noqa: N802
        assert self.documents[handle] == ["doc"]
        self.documents[handle].append("page")

    def WritePrinter(self, handle: int, data: bytes) -> int:  # noqa: N802
        assert self.documents[handle] == ["doc", "page"] and isinstance(data, bytes)
        if self.break_at == "WritePrinter":
            raise PyWinError("WritePrinter")
        self.printed.append(data)
        if self.keep:
            self.kept.append({"JobId": 7, "pDocument": "Label", "Status": 0})
        return len(data)

    def EndPagePrinter(self, handle: int) -> None:  # noqa: N802
        self.documents[handle].remove("page")

    def EndDocPrinter(self, handle: int) -> None:  # noqa: N802
        self.documents[handle].clear()


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> FakeWin32Print:
    """zebra's own code, loaded as it is on Windows."""
    win32print = FakeWin32Print()
    monkeypatch.setitem(sys.modules, "win32print", win32print)
    spec = importlib.util.find_spec("zebra")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "platform", "win32")
        spec.loader.exec_module(module)
    assert module.IS_WINDOWS
    monkeypatch.setitem(sys.modules, "zebra", module)
    monkeypatch.setattr(os_queue, "spooler", os_queue.Windows)
    return win32print


URI = "os://Zebra%20ZD421"


def test_windows_takes_the_bytes_as_they_are(windows: FakeWin32Print) -> None:
    outcome = deliver(URI, LABEL, trust=True)
    assert (outcome.state, windows.printed, windows.open) == (State.PRINTED, [LABEL], {})
    assert deliver(URI, LABEL).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"Status": 0x1}, "queue_stopped"),
        ({"Status": 0x10}, "paper_out"),
        ({"Status": 0x400000}, "head_open"),
        ({"Status": 0x80}, "offline"),
        ({"Attributes": 0x400}, "offline"),
        ({"Status": 0x2}, "fault"),
    ],
)
def test_windows_waits_before_a_byte_when_the_queue_says_why(
    windows: FakeWin32Print, told: dict[str, int], reason: str
) -> None:
    windows.printers["Zebra ZD421"] |= told
    outcome = deliver(URI, LABEL, trust=True)
    assert (outcome.state, outcome.reason, windows.printed) == (State.WAITING, reason, [])


def test_windows_says_which_queues_there_are(windows: FakeWin32Print) -> None:
    assert deliver("os://Other", LABEL).reason == "no_queue"
    assert [queue.uri for queue in os_queue.spooler().queues()] == [URI]


@pytest.mark.parametrize(
    ("call", "state", "reason"),
    [("StartDocPrinter", State.WAITING, "queue_refuses"), ("WritePrinter", State.UNKNOWN, "reset")],
)
def test_windows_breaks_before_or_after_the_bytes(
    windows: FakeWin32Print, call: str, state: State, reason: str
) -> None:
    windows.break_at = call
    outcome = deliver(URI, LABEL, trust=True)
    assert (outcome.state, outcome.reason) == (state, reason)


def test_windows_holds_what_stays_in_the_queue(windows: FakeWin32Print, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("printers.delivery.QUEUE_S", 0.1)
    windows.keep = True
    outcome = deliver(URI, LABEL, trust=True)
    assert (outcome.state, outcome.base) == (State.HELD, 7)
    windows.kept[0]["Status"] = 0x4
    assert check_later(URI, 7, trust=True).reason == "cancelled_there"
    windows.kept.clear()
    assert check_later(URI, 7, trust=True).state is State.PRINTED
    assert windows.printed == [LABEL]


def test_windows_without_pywin32_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "win32print", None)
    monkeypatch.setattr(os_queue, "spooler", os_queue.Windows)
    assert deliver(URI, LABEL).reason == "no_spooler"
