"""A print queue of the operating system, os://queue: CUPS on Linux and macOS, the spooler on Windows.

The bytes go by PyPI ``zebra`` (0.2.1), which tells nothing: it throws away lpr's exit code, waits for ever, and is
content with a queue that does not exist. So every question is asked here, around it: is the queue there, does it run,
does it accept, which number did our job get, what became of that number. What a queue can know is that it passed the
bytes on; that is not paper (docs/decisions/0018).

The Windows half follows pywin32's documentation and was never run on Windows: tests/printers/test_os_queue.py drives it
with a module that insists on the same calls in the same order.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import quote, unquote

from printers.errors import PrinterOffline
from printers.transport import Closing

ASK_S = 5.0
# lpr hands over to a local socket; longer than this means a spooler that hangs.
SEND_S = 20.0
# zebra takes this name for a switch of its own tests, and prints to the terminal.
_ZEBRA_TEST_QUEUE = "zebra_python_unittest"
_HAND_OVER = "import sys; from zebra import Zebra; Zebra(sys.argv[1]).output(sys.stdin.buffer.read())"

NO_SPOOLER = "no_spooler"
NO_QUEUE = "no_queue"
QUEUE_STOPPED = "queue_stopped"
QUEUE_REFUSES = "queue_refuses"


class Fate(StrEnum):
    """What the spooler says of one job. ``passed_on`` is all it can know: the printer's side took the bytes."""

    IN_QUEUE = "in_queue"
    PASSED_ON = "passed_on"
    CANCELLED = "cancelled"
    NO_TRACE = "no_trace"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it is now. ``trouble`` is one word, empty when it runs and accepts."""

    name: str
    trouble: str = ""

    @property
    def uri(self) -> str:
        return f"os://{quote(self.name, safe='')}"


class Spooler(Protocol):
    """What is asked of an operating system. Everything raises PrinterOffline when it does not answer."""

    keeps_history: bool
    """False where a job that was passed on is forgotten, so that "gone" means "passed on"."""

    def queues(self) -> list[Queue]: ...

    def jobs(self, queue: str) -> frozenset[int]:
        """Numbers of our own jobs the spooler still knows, in the queue or done."""

    def hand_over(self, queue: str, job: bytes) -> str:
        """Give the bytes to the queue by ``zebra``; what was complained of, or nothing."""

    def fate(self, queue: str, number: int) -> Fate: ...


def name_of(uri: str) -> str:
    """The queue of os://queue."""
    return unquote(uri.partition("://")[2])


def spooler() -> Spooler:
    """This machine's."""
    return Windows() if sys.platform == "win32" else Cups()


class OsQueue(Closing):
    """One job's way through a queue. Opening it raises PrinterOffline unless the queue runs and accepts.

    ``number`` is the spooler's number of the job once it was sent, None while unknown.
    """

    def __init__(self, uri: str, system: Spooler | None = None) -> None:
        self.uri, self.bytes_sent = uri, 0
        self.number: int | None = None
        self._several = False
        self._queue = name_of(uri)
        self._system = system or spooler()
        trouble = next((q.trouble for q in self._system.queues() if q.name == self._queue), NO_QUEUE)
        if self._queue == _ZEBRA_TEST_QUEUE or self._queue.startswith("-"):
            trouble = NO_QUEUE
        if trouble:
            raise PrinterOffline(uri, trouble)

    def send(self, job: bytes) -> None:
        before = self._system.jobs(self._queue)
        try:
            complaint = self._system.hand_over(self._queue, job)
        except PrinterOffline:
            self.bytes_sent = len(job)  # it hung with the bytes in its hands: nobody knows
            raise
        fresh = self._system.jobs(self._queue) - before
        if complaint and not fresh:
            raise PrinterOffline(self.uri, QUEUE_REFUSES)
        self.bytes_sent = len(job)
        # Two new ones: another program of this user printed in the same moment, and either may be ours.
        self._several = len(fresh) > 1
        self.number = next(iter(fresh)) if len(fresh) == 1 else None

    def ask(self, question: bytes, complete: Callable[[bytes], bool], timeout_s: float) -> bytes:
        return b""

    def fate(self) -> Fate:
        """What the spooler says of the job that was sent."""
        if self.number is None:
            return Fate.NO_TRACE if self._several or self._system.keeps_history else Fate.PASSED_ON
        return self._system.fate(self._queue, self.number)

    def trouble(self) -> str:
        """Why the queue does not go on, in one word, or nothing."""
        return next((q.trouble for q in self._system.queues() if q.name == self._queue), NO_QUEUE)


def look(uri: str, number: int, system: Spooler | None = None) -> tuple[Fate, str]:
    """What became of a job sent earlier, and the queue's trouble; also of a queue that is stopped now."""
    asked, name = system or spooler(), name_of(uri)
    return asked.fate(name, number), next((q.trouble for q in asked.queues() if q.name == name), NO_QUEUE)


# -- CUPS


class Cups:
    """By lpstat, in English whatever the machine speaks; ``lpr`` (Debian: cups-bsd) is what zebra calls."""

    keeps_history = True
    _PRINTER = re.compile(r"^printer (\S+) (.*)$", re.M)
    _ACCEPTS = re.compile(r"^(\S+) (not )?accepting requests", re.M)
    _JOB = re.compile(r"^(\S+)-(\d+)\s+(\S+)\s+\d+\s", re.M)

    def queues(self) -> list[Queue]:
        if not (shutil.which("lpstat") and shutil.which("lpr") and importlib.util.find_spec("zebra")):
            raise PrinterOffline("os:", NO_SPOOLER)
        listed = self._lpstat("-p", "-a")
        refusing = {name for name, refuses in self._ACCEPTS.findall(listed) if refuses}
        return [
            Queue(
                name,
                QUEUE_STOPPED if said.startswith("disabled") else QUEUE_REFUSES if name in refusing else "",
            )
            for name, said in self._PRINTER.findall(listed)
        ]

    def jobs(self, queue: str) -> frozenset[int]:
        both = self._lpstat("-W", "not-completed", "-o", queue) + self._lpstat("-W", "completed", "-o", queue)
        who = _this_user()
        return frozenset(
            int(number) for name, number, owner in self._JOB.findall(both) if (name, owner) == (queue, who)
        )

    def hand_over(self, queue: str, job: bytes) -> str:
        # In a process of its own: zebra waits for lpr without end, and lpr complains only on its stderr.
        try:
            ran = subprocess.run(
                [sys.executable, "-P", "-c", _HAND_OVER, queue],
                input=job,
                env=_english(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=SEND_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PrinterOffline(f"os://{queue}", "buffer_full") from error
        # Anything else said there, a warning of Python's too, is no proof that the job was refused.
        found = re.search(r"^lpr: Error.*", ran.stderr.decode("utf-8", "replace"), re.M)
        return found.group() if found else ""

    def fate(self, queue: str, number: int) -> Fate:
        # lpstat lists a job that was given up (error policy abort-job) as it lists one that was passed on: CUPS 2.4.2
        # says "processing-to-stop-point" of both. So the state itself is asked for by IPP.
        state = _ipp_job_state(self._lpstat("-H").strip(), number)
        if state is None:
            return Fate.NO_TRACE
        if state < _IPP_CANCELED:
            return Fate.IN_QUEUE
        return Fate.PASSED_ON if state == _IPP_COMPLETED else Fate.CANCELLED

    def _lpstat(self, *arguments: str) -> str:
        try:
            ran = subprocess.run(
                ["lpstat", *arguments],
                env=_english(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=ASK_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PrinterOffline("os:", NO_SPOOLER) from error
        said = ran.stdout.decode("utf-8", "replace")
        complaint = ran.stderr.decode("utf-8", "replace")
        if ran.returncode and not said and not re.search(r"No destinations|Invalid destination", complaint):
            raise PrinterOffline("os:", NO_SPOOLER)  # no scheduler answers
        return said


_IPP_CANCELED, _IPP_COMPLETED = 7, 9  # RFC 8011, 5.3.7: 3 to 6 are on their way, 8 is aborted


class _CupsConnection(http.client.HTTPConnection):
    """To a server as `lpstat -H` names it: a socket's path, or host:port."""

    def __init__(self, server: str) -> None:
        self._path = server if server.startswith("/") else ""
        super().__init__("localhost" if self._path else server, timeout=ASK_S)

    def connect(self) -> None:
        if not self._path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ASK_S)
        self.sock.connect(self._path)


def _ipp_job_state(server: str, number: int) -> int | None:
    """job-state by Get-Job-Attributes; None when the server knows no such job or cannot be asked."""

    def attribute(tag: int, name: str, value: str) -> bytes:
        named, valued = name.encode(), value.encode()
        return bytes((tag,)) + struct.pack(">H", len(named)) + named + struct.pack(">H", len(valued)) + valued

    question = (
        struct.pack(">BBHIB", 2, 0, 0x0009, 1, 0x01)
        + attribute(0x47, "attributes-charset", "utf-8")
        + attribute(0x48, "attributes-natural-language", "en")
        + attribute(0x45, "job-uri", f"ipp://localhost/jobs/{number}")
        + attribute(0x42, "requesting-user-name", _this_user())
        + attribute(0x44, "requested-attributes", "job-state")
        + b"\x03"
    )
    connection = _CupsConnection(server)
    try:
        connection.request("POST", "/jobs/", question, {"Content-Type": "application/ipp", "Host": "localhost"})
        answer = connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise PrinterOffline("os:", NO_SPOOLER) from error
    finally:
        connection.close()
    found = re.search(rb"\x23\x00\x09job-state\x00\x04(....)", answer, re.S)
    return struct.unpack(">I", found.group(1))[0] if found else None


def _this_user() -> str:
    import pwd  # Windows has none

    return pwd.getpwuid(os.getuid()).pw_name


def _english() -> dict[str, str]:
    # Queue names may be Chinese, the words around them must not be.
    return {**os.environ, "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", "LANGUAGE": "C"}


# -- Windows


class Windows:
    """By pywin32's win32print, which zebra itself needs there. Never tried on Windows."""

    keeps_history = False
    # PRINTER_STATUS_… and JOB_STATUS_… of winspool.h
    _TROUBLES = (
        (0x0000_0001, QUEUE_STOPPED),  # PAUSED
        (0x0000_0010, "paper_out"),
        (0x0040_0000, "head_open"),  # DOOR_OPEN
        (0x0000_0008, "jam"),
        (0x0000_0080, "offline"),
        (0x0000_0004, QUEUE_REFUSES),  # PENDING_DELETION
        (0x0000_0002, "fault"),  # ERROR
    )
    _WORK_OFFLINE = 0x0000_0400
    _JOB_DELETED = 0x0000_0004 | 0x0000_0100
    _JOB_PRINTED = 0x0000_0080
    _MOST_JOBS = 999

    def __init__(self) -> None:
        try:
            self._win: Any = importlib.import_module("win32print")
            self._zebra: Any = importlib.import_module("zebra")
        except ImportError as error:
            raise PrinterOffline("os:", NO_SPOOLER) from error

    def queues(self) -> list[Queue]:
        # zebra lists local printers only (PRINTER_ENUM_LOCAL): a shared one must be added to this machine first.
        names = self._asked(lambda: list(self._zebra.Zebra().getqueues()))
        return [Queue(name, self._trouble(name)) for name in names]

    def _trouble(self, name: str) -> str:
        told = self._with(name, lambda handle: self._win.GetPrinter(handle, 2))
        if told.get("Attributes", 0) & self._WORK_OFFLINE:
            return "offline"
        return next((word for bit, word in self._TROUBLES if told.get("Status", 0) & bit), "")

    def _all(self, queue: str) -> Iterable[dict[str, Any]]:
        jobs: Iterable[dict[str, Any]] = self._with(
            queue, lambda handle: self._win.EnumJobs(handle, 0, self._MOST_JOBS, 1)
        )
        return jobs

    def jobs(self, queue: str) -> frozenset[int]:
        # zebra names its documents so.
        return frozenset(int(job["JobId"]) for job in self._all(queue) if job.get("pDocument") == "Label")

    def hand_over(self, queue: str, job: bytes) -> str:
        try:
            self._zebra.Zebra(queue).output(job)
        except Exception as error:
            # pywintypes.error says which call failed; past StartDocPrinter bytes may have gone.
            if getattr(error, "funcname", "") in ("OpenPrinter", "StartDocPrinter"):
                return str(error)
            raise PrinterOffline(f"os://{queue}", "reset") from error
        return ""

    def fate(self, queue: str, number: int) -> Fate:
        for job in self._all(queue):
            if int(job["JobId"]) == number:
                status = int(job.get("Status", 0))
                if status & self._JOB_DELETED:
                    return Fate.CANCELLED
                return Fate.PASSED_ON if status & self._JOB_PRINTED else Fate.IN_QUEUE
        # A job leaves the list when it was passed on. Also when somebody deleted it, which cannot be told apart.
        return Fate.PASSED_ON

    def _with(self, queue: str, question: Callable[[Any], Any]) -> Any:
        def ask() -> Any:
            handle = self._win.OpenPrinter(queue)
            try:
                return question(handle)
            finally:
                self._win.ClosePrinter(handle)

        return self._asked(ask)

    def _asked(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except Exception as error:  # pywintypes.error, which cannot be imported here
            raise PrinterOffline("os:", NO_SPOOLER) from error
