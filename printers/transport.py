"""How bytes reach a printer: tcp://host:9100, os://queue, file:///directory, or memory://name."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from printers.errors import PrinterError, PrinterOffline

PORT = 9100
_CHUNK = 16_384
# A printer with a full buffer takes bytes only as it prints.
_SEND_S = 10.0


class Transport(Protocol):
    """An open way to one printer."""

    uri: str
    bytes_sent: int

    def send(self, job: bytes) -> None:
        """Hand over all bytes. Raises PrinterOffline; `bytes_sent` then says how far it came."""

    def ask(self, question: bytes, complete: Callable[[bytes], bool], timeout_s: float) -> bytes:
        """Send a question and collect the answer until it is complete or the time is over.

        Returns what came, perhaps nothing. Raises PrinterOffline when the line is cut.
        """

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Closing:
    """What every transport does at the end of its block."""

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class TcpTransport(Closing):
    """A raw socket. That the bytes were taken means only that the network took them."""

    def __init__(self, uri: str, host: str, port: int, timeout_s: float) -> None:
        self.uri, self.bytes_sent, self._timeout_s = uri, 0, max(timeout_s, _SEND_S)
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as error:
            raise PrinterOffline(uri) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, job: bytes) -> None:
        self._socket.settimeout(self._timeout_s)
        rest = memoryview(job)
        while rest:
            try:
                taken = self._socket.send(rest[:_CHUNK])
            except TimeoutError as error:
                raise PrinterOffline(self.uri, "buffer_full") from error
            except OSError as error:
                raise PrinterOffline(self.uri, "reset") from error
            self.bytes_sent += taken
            rest = rest[taken:]

    def ask(self, question: bytes, complete: Callable[[bytes], bool], timeout_s: float) -> bytes:
        self._drop_leftovers()
        answer, ends = b"", time.monotonic() + timeout_s
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(question)
            while not complete(answer) and (left := ends - time.monotonic()) > 0:
                self._socket.settimeout(left)
                got = self._socket.recv(_CHUNK)
                if not got:
                    raise PrinterOffline(self.uri, "reset")
                answer = (answer + got)[-4 * _CHUNK :]
        except TimeoutError:
            pass
        except OSError as error:
            raise PrinterOffline(self.uri, "reset") from error
        return answer

    def close(self) -> None:
        self._socket.close()

    def _drop_leftovers(self) -> None:
        """A late answer to the question before must not be taken for the answer to this one."""
        self._socket.setblocking(False)
        try:
            while self._socket.recv(_CHUNK):
                pass
        except BlockingIOError:
            return
        except OSError as error:
            raise PrinterOffline(self.uri, "reset") from error
        raise PrinterOffline(self.uri, "reset")


class FileTransport(Closing):
    """A directory in which each job becomes one file, complete from the moment it is seen."""

    def __init__(self, uri: str, directory: Path) -> None:
        self.uri, self.bytes_sent, self._directory = uri, 0, directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PrinterOffline(uri, "no_directory") from error

    def send(self, job: bytes) -> None:
        # Named by time, so that a listing is in the order of printing.
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        part = self._directory / f".{name}.part"
        try:
            with part.open("xb") as file:
                file.write(job)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._directory / f"{name}.zpl")
        except OSError as error:
            part.unlink(missing_ok=True)
            raise PrinterOffline(self.uri, "no_directory") from error
        self.bytes_sent += len(job)

    def ask(self, question: bytes, complete: Callable[[bytes], bool], timeout_s: float) -> bytes:
        return b""


class MemoryPrinter:
    """The jobs sent to one memory:// printer of this process. Set `offline` to have it refuse."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.jobs: list[bytes] = []
        self.offline = False
        self._changed = threading.Condition()

    def take(self, job: bytes) -> None:
        with self._changed:
            self.jobs.append(job)
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self.jobs.clear()
            self.offline = False

    def wait_for_jobs(self, count: int, timeout_s: float = 10.0) -> bool:
        """True once `count` jobs have come; False when the time is over."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.jobs) >= count, timeout_s)


class MemoryTransport(Closing):
    """Jobs kept in this process, for tests and dry runs."""

    def __init__(self, uri: str, printer: MemoryPrinter) -> None:
        self.uri, self.bytes_sent, self._printer = uri, 0, printer
        if printer.offline:
            raise PrinterOffline(uri)

    def send(self, job: bytes) -> None:
        self._printer.take(job)
        self.bytes_sent += len(job)

    def ask(self, question: bytes, complete: Callable[[bytes], bool], timeout_s: float) -> bytes:
        return b""


_printers: dict[str, MemoryPrinter] = {}
_printers_lock = threading.Lock()


def memory(name: str) -> MemoryPrinter:
    """The memory printer of this name, made when first asked for."""
    with _printers_lock:
        return _printers.setdefault(name, MemoryPrinter(name))


def open_printer(uri: str, timeout_s: float = 5.0) -> Transport:
    """Open a printer by its address. Raises PrinterOffline, or PrinterError for an address that cannot be."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise PrinterError(f"not a printer address: {uri}", permanent=True) from error
    if parts.scheme == "tcp" and host and parts.path in ("", "/"):
        return TcpTransport(uri, host, port or PORT, timeout_s)
    if parts.scheme == "file" and parts.path and parts.netloc in ("", "localhost"):
        return FileTransport(uri, Path(url2pathname(parts.path)))
    if parts.scheme == "memory" and parts.netloc:
        return MemoryTransport(uri, memory(unquote(parts.netloc)))
    if parts.scheme == "os" and parts.netloc and not parts.path:
        from printers.os_queue import OsQueue  # which stands on this module

        return OsQueue(uri)
    raise PrinterError(f"not a printer address: {uri}", permanent=True)


def reports(uri: str) -> bool:
    """True for printers that can be asked how they are, which only a network printer can."""
    return urlsplit(uri).scheme == "tcp"
