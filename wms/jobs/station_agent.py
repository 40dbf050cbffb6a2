"""The station agent: fetches jobs over HTTPS for printers beside it, prints each once, and tells what became of it.

It needs no database. What it began and how that ended stands in a journal on its own disk, written before the first
byte and before each report: after a fall it knows what it does not know, says so, and never sends such a job again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import platform
import random
import secrets
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import httpx

from printers import os_queue
from printers.delivery import check_later, deliver
from printers.errors import PrinterError, PrinterOffline

log = logging.getLogger("wms.agent")

Key = tuple[str, int]
"""A job's id and the number of the attempt."""

Tell = Callable[[str, str], None]
"""Says a line to the person at the machine, in English and in Chinese."""

ANSWER_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
NOT_WELCOME_PAUSE_S = 30.0
# Somebody who has just printed prints again soon; a bench at night need not ask five times a second.
BUSY_FOR_S, IDLE_AGAIN_S = 600.0, 1.0
QUEUES_EVERY_S = 60.0
KEEP_ENTRIES = 5000
AT_ONCE = 8


class Unreachable(Exception):
    """The server does not answer, or answers with a fault of its own: try again later."""


class NotWelcome(Exception):
    """The server does not know this token (any more)."""


class Refused(Exception):
    """The server understood and does not want it: a report about a job that is none of ours."""


class BadServer(Exception):
    """Set up wrongly; both sentences say what to do."""

    def __init__(self, english: str, chinese: str) -> None:
        super().__init__(english)
        self.chinese = chinese


@dataclass(frozen=True, slots=True)
class Lease:
    """One job, lent by the server. `do` is print, or look: it lies in a printer or queue already."""

    job: str
    attempt: int
    printer: str
    to: str
    do: str
    payload: bytes
    sha256: str
    copies: int
    language: str
    answers: bool
    trusted: bool
    height_dots: int
    base: int | None

    @property
    def key(self) -> Key:
        return self.job, self.attempt

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Lease:
        return cls(
            str(told["job"]),
            int(told["attempt"]),
            str(told["printer"]),
            str(told["to"]),
            str(told["do"]),
            base64.b64decode(told["bytes"]),
            str(told["sha256"]),
            int(told["copies"]),
            str(told["language"]),
            bool(told["answers"]),
            bool(told["trusted"]),
            int(told["height_dots"]),
            None if told["base"] is None else int(told["base"]),
        )


@dataclass(frozen=True, slots=True)
class End:
    """What became of an attempt, in the words of printers.delivery, and `failed`: it can never come out."""

    result: str
    reason: str = ""
    sha256: str = ""
    base: int | None = None
    after: int | None = None
    bytes_sent: int = 0

    def told(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


class Journal:
    """What this agent began, how it ended, and what the server knows of it: one line each, only ever added to.

    A line that was cut by a power cut is dropped: one that says "started" is on disk before the first byte goes, so
    where it is not, nothing went. One process at a time; raises BadServer when another has it.
    """

    def __init__(self, path: Path) -> None:
        self._began: dict[Key, str] = {}
        self._ended: dict[Key, End] = {}
        self._told: set[Key] = set()
        self._guard = threading.Lock()
        self.id = ""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (path.parent / "agent.lock").open("a+b")
        _hold(self._lock)
        if path.exists():
            self._read(path)
        if not self.id or len(self._began) > 2 * KEEP_ENTRIES:
            self._write_anew(path)
        # Unbuffered: what a full disk did not take must not be written later, into the middle of another line.
        self._file = path.open("ab", buffering=0)
        self._torn = False

    def started(self, key: Key, sha256: str) -> None:
        """On disk when this returns. Raises OSError, and then nothing may be sent."""
        self._add({"what": "started", "job": key[0], "attempt": key[1], "sha256": sha256})
        self._began[key] = sha256

    def ended(self, key: Key, end: End) -> None:
        self._ended[key] = end
        self._add({"what": "ended", "job": key[0], "attempt": key[1], **end.told()})

    def told(self, key: Key) -> None:
        """The server has it. Lost in a fall, it is told once more."""
        self._told.add(key)
        self._add({"what": "told", "job": key[0], "attempt": key[1]}, sync=False)

    def has_begun(self, key: Key) -> bool:
        return key in self._began

    def end_of(self, key: Key) -> End | None:
        return self._ended.get(key)

    def untold(self) -> list[tuple[Key, End]]:
        return [(key, end) for key, end in list(self._ended.items()) if key not in self._told]

    def without_end(self) -> list[Key]:
        return [key for key in self._began if key not in self._ended]

    def sha256_of(self, key: Key) -> str:
        return self._began.get(key, "")

    def close(self) -> None:
        self._file.close()
        self._lock.close()

    def _add(self, entry: dict[str, object], sync: bool = True) -> None:
        line = _line(entry)
        with self._guard:
            if self._torn:
                line = b"\n" + line  # half a line stands there since a disk was full
            self._torn = True
            if self._file.write(line) != len(line):
                raise OSError("the disk is full")
            self._torn = False
            if sync:
                os.fsync(self._file.fileno())

    def _read(self, path: Path) -> None:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) != len(content):
            os.truncate(path, len(whole))
        for line in filter(None, whole.splitlines()):
            try:
                entry = json.loads(line)
                self._take(entry)
            except (ValueError, KeyError, TypeError):
                log.warning("a line of %s cannot be read: %r", path, line[:80])

    def _take(self, entry: Mapping[str, Any]) -> None:
        if entry["what"] == "journal":
            # A copied folder on another machine is another agent: two of one name would be lent the same job.
            self.id = str(entry["id"]) if entry["machine"] == platform.node() else ""
            return
        key = str(entry["job"]), int(entry["attempt"])
        if entry["what"] == "started":
            self._began[key] = str(entry["sha256"])
        elif entry["what"] == "ended":
            self._began.setdefault(key, str(entry["sha256"]))
            self._ended[key] = End(**{name: entry[name] for name in End.__slots__})
        elif entry["what"] == "told":
            self._told.add(key)

    def _write_anew(self, path: Path) -> None:
        """A new journal, or the newest part of a long one: what the server was told needs no proof any more."""
        self.id = self.id or secrets.token_hex(8)
        known = list(self._began)
        dropped = {key for key in known[: max(0, len(known) - KEEP_ENTRIES)] if key in self._told}
        for key in dropped:
            del self._began[key]
            self._ended.pop(key, None)
            self._told.discard(key)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(_line({"what": "journal", "id": self.id, "machine": platform.node()}))
            for key, sha256 in self._began.items():
                job = {"job": key[0], "attempt": key[1]}
                file.write(_line({"what": "started", **job, "sha256": sha256}))
                if key in self._ended:
                    file.write(_line({"what": "ended", **job, **self._ended[key].told()}))
                if key in self._told:
                    file.write(_line({"what": "told", **job}))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        if os.name == "posix":  # the name too must outlive a power cut
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)


def _line(entry: Mapping[str, object]) -> bytes:
    return json.dumps({**entry, "at": round(time.time(), 3)}, separators=(",", ":")).encode() + b"\n"


def _hold(file: IO[bytes]) -> None:
    """Lock a file for this process; let go of by the system when the process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise BadServer(
            "another agent runs with this folder already; stop it, or set another WMS_HOME",
            "已有另一个代理在使用此文件夹；请先停止它，或另设 WMS_HOME",
        ) from error


class Server:
    """The service, as an agent sees it: next, report, printers."""

    def __init__(self, address: str, token: str, trust: ssl.SSLContext | bool) -> None:
        self.address = address.rstrip("/")
        # No proxy of the environment: the server stands in the same house.
        self._http = httpx.Client(
            base_url=f"{self.address}/api/v1/agent",
            headers={"Authorization": f"Bearer {token}"},
            verify=trust,
            timeout=ANSWER_S,
            trust_env=False,
        )

    def next(self, journal: str, busy: Sequence[str]) -> tuple[Lease | None, float]:
        """A job, or None and after how many seconds to ask again."""
        told = self._call("GET", "/next", params={"journal": journal, "busy": ",".join(busy)})
        lease = told.get("lease")
        try:
            return (Lease.of(lease) if lease else None), float(told["again_ms"]) / 1000
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"not understood: {error!r}") from error

    def report(self, journal: str, key: Key, end: End) -> None:
        self._call("POST", "/report", json={"journal": journal, "job": key[0], "attempt": key[1], **end.told()})

    def queues(self, queues: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        return self._call(
            "POST", "/printers", json={"queues": list(queues), "version": version(), "system": platform.platform()}
        )

    def close(self) -> None:
        self._http.close()

    def _call(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        if answer.status_code == 401:
            raise NotWelcome
        if answer.status_code in (400, 404, 409, 413):
            raise Refused(f"{answer.status_code} {answer.text[:80]}")
        if answer.status_code != 200:
            raise Unreachable(f"HTTP {answer.status_code}")
        try:
            told: dict[str, Any] = answer.json()
        except ValueError as error:
            raise Unreachable("no JSON") from error
        return told


def version() -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as of

    try:
        return of("warehouse-floor")
    except PackageNotFoundError:
        return "source"


def trust(address: str, ca: str, ca_sha256: str, folder: Path) -> ssl.SSLContext | bool:
    """Whom to believe that it is the server: a root in a file, the root of this fingerprint, or the system's roots.

    The fingerprint stands on the desk's page and in `run.py tls`. The root itself is fetched from the server, believed
    only when its SHA-256 is the one given, and kept. No token is sent before.
    """
    parts = urlsplit(address)
    near = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadServer(
            f"{address or '—'} is no server's address; write https://192.168.1.10:8443",
            f"{address or '—'} 不是服务器地址；请写 https://192.168.1.10:8443",
        )
    if parts.scheme == "http":
        if not near:
            raise BadServer(
                "over plain http anybody on the network can read the token: use the https address",
                "http 会让令牌在网络上被看到：请用 https 地址",
            )
        return True
    if ca:
        try:
            return ssl.create_default_context(cafile=ca)
        except OSError as error:
            raise BadServer(f"{ca} is no certificate file: {error}", f"{ca} 不是证书文件：{error}") from error
    wanted = ca_sha256.replace(":", "").replace(" ", "").lower()
    if not wanted:
        return ssl.create_default_context()
    kept = folder / "ca.crt"
    if not kept.is_file() or _fingerprint(kept.read_text("ascii", "replace")) != wanted:
        try:
            pem = httpx.get(f"{address.rstrip('/')}/ca.crt", verify=False, timeout=ANSWER_S, trust_env=False).text  # noqa: S501 - judged below
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        found = _fingerprint(pem)
        if found != wanted:
            raise BadServer(
                f"the server's root has another fingerprint: {found or 'none'}",
                f"服务器根证书的指纹不符：{found or '无'}",
            )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept.write_text(pem, "ascii")
    return ssl.create_default_context(cafile=str(kept))


def _fingerprint(pem: str) -> str:
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip())).hexdigest()
    except ValueError:
        return ""


def local_queues() -> list[dict[str, str]]:
    """The queues of this machine with the address to give them at the desk; empty without a spooler."""
    try:
        found = os_queue.spooler().queues()
    except PrinterOffline:
        return []
    return [{"name": queue.name, "address": queue.uri.replace("://", "/"), "state": queue.trouble} for queue in found]


class Agent:
    """Fetches, prints, tells, for ever. One thread asks; each printer at work has one of its own."""

    def __init__(self, server: Server, journal: Journal, networks: Sequence[str], tell: Tell) -> None:
        self._server, self._journal, self._tell = server, journal, tell
        self._networks = [ip_network(network, strict=False) for network in networks]
        self._busy: dict[str, Lease] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._state = ""
        self._pause_s = FIRST_PAUSE_S
        self._last_job = time.monotonic()
        self._queues: list[dict[str, str]] | None = None
        self._queues_at = 0.0

    def stop(self) -> None:
        """End after what is being printed; safe in a signal handler."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        for key in self._journal.without_end():
            self._tell(
                f"Job {key[0]} was begun before the last stop: nobody knows whether it came out. The packer is asked.",
                f"任务 {key[0]} 在上次停止前已开始：不知道是否打出，将询问打包员。",
            )
            self._journal.ended(key, End("unknown", "agent_stopped", self._journal.sha256_of(key)))
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="printer") as pool:
            while not self._stopping.is_set():
                pause_s = self._once(pool)
                self._wake.wait(0.0 if self._stopping.is_set() else pause_s)
                self._wake.clear()
        try:
            self._tell_ends()
        except (Unreachable, NotWelcome):
            pass  # the journal keeps them

    def _once(self, pool: ThreadPoolExecutor) -> float:
        """One round with the server; returns seconds until the next."""
        try:
            self._tell_ends()
            self._tell_queues()
            lease, again_s = self._server.next(self._journal.id, list(self._busy))
        except Unreachable as error:
            self._now(
                "away",
                f"{self._server.address} does not answer ({error}). Trying again until it does.",
                f"{self._server.address} 无应答（{error}），将不断重试。",
            )
            pause, self._pause_s = self._pause_s, min(self._pause_s * 2, LONGEST_PAUSE_S)
            return pause * random.uniform(0.7, 1.3)
        except (NotWelcome, Refused) as error:
            self._now(
                "refused",
                f"The server does not accept this agent {error}. Make a new token at the desk, under printing.",
                f"服务器不接受本代理 {error}。请在管理台“打印”页重新生成令牌。",
            )
            return NOT_WELCOME_PAUSE_S
        except OSError as error:
            self._now("disk", f"The journal cannot be written: {error}", f"无法写入日志：{error}")
            return LONGEST_PAUSE_S
        self._pause_s = FIRST_PAUSE_S
        if lease is None:
            idle = time.monotonic() - self._last_job > BUSY_FOR_S
            return max(again_s, IDLE_AGAIN_S if idle else 0.0)
        self._take(lease, pool)
        return 0.0

    def _now(self, state: str, english: str, chinese: str) -> None:
        if state != self._state:
            self._state = state
            self._tell(english, chinese)

    def _tell_ends(self) -> None:
        for key, end in self._journal.untold():
            self._report(key, end)

    def _report(self, key: Key, end: End) -> None:
        try:
            self._server.report(self._journal.id, key, end)
        except Refused as error:
            self._tell(
                f"The server wants no report of job {key[0]}: {error}", f"服务器不接收任务 {key[0]} 的结果：{error}"
            )
        if self._journal.has_begun(key):
            self._journal.told(key)

    def _tell_queues(self) -> None:
        if self._queues is not None and self._state == "well" and time.monotonic() < self._queues_at:
            return
        found = local_queues()
        if found != self._queues or self._state != "well":
            mine = self._server.queues(found)
            self._queues = found
            names = ", ".join(queue["name"] for queue in found)
            self._now(
                "well",
                f"Connected to {self._server.address} as {mine.get('code')}. Queues here: {names or 'none'}.",
                f"已连接 {self._server.address}，代理 {mine.get('code')}。本机队列：{names or '无'}。",
            )
        self._queues_at = time.monotonic() + QUEUES_EVERY_S

    def _take(self, lease: Lease, pool: ThreadPoolExecutor) -> None:
        self._last_job = time.monotonic()
        if lease.printer in self._busy:
            return
        if self._journal.has_begun(lease.key):
            # Its end was lost on the way to the server, or the server was set back. Never sent again.
            end = self._journal.end_of(lease.key) or End("unknown", "agent_stopped", lease.sha256)
            self._journal.ended(lease.key, end)
            try:
                self._report(lease.key, end)
            except (Unreachable, NotWelcome):
                pass
            return
        self._busy[lease.printer] = lease
        pool.submit(self._carry_out, lease)

    def _carry_out(self, lease: Lease) -> None:
        try:
            end = self._print(lease)
            if self._journal.has_begun(lease.key):
                self._journal.ended(lease.key, end)
            self._tell(
                f"Job {lease.job} at {lease.to}: {end.result} {end.reason}".rstrip(),
                f"任务 {lease.job}，{lease.to}：{_CHINESE.get(end.result, end.result)} {end.reason}".rstrip(),
            )
            self._report(lease.key, end)
        except (Unreachable, NotWelcome):
            pass  # what was begun stands in the journal; what was not is handed out again
        except Exception:
            log.exception("job %s", lease.job)
        finally:
            del self._busy[lease.printer]
            self._wake.set()

    def _print(self, lease: Lease) -> End:
        """Speak to the printer; never raises."""
        sha256 = lease.sha256
        try:
            to = self._allowed(lease.to)
            if lease.do == "look":
                outcome = check_later(to, lease.base, lease.copies, trust=lease.trusted)
            elif hashlib.sha256(lease.payload).hexdigest() != sha256:
                return End("waiting", "damaged", sha256)
            else:
                outcome = deliver(
                    to,
                    lease.payload,
                    copies=lease.copies,
                    expect_length_dots=lease.height_dots,
                    answers=lease.answers,
                    trust=lease.trusted,
                    language="tspl" if lease.language == "tspl" else "zpl",
                    first_byte=lambda _base: self._journal.started(lease.key, sha256),
                )
        except PrinterError as error:
            return End("failed" if error.permanent else "waiting", "bad_address", sha256)
        except Exception as error:  # a full disk, or our own mistake: what had begun is a question
            log.exception("job %s", lease.job)
            begun = self._journal.has_begun(lease.key)
            return End(
                "unknown" if begun else "waiting", "no_journal" if isinstance(error, OSError) else "fault", sha256
            )
        return End(outcome.state.value, outcome.reason, sha256, outcome.base, outcome.after, outcome.bytes_sent)

    def _allowed(self, to: str) -> str:
        """The address to dial. Nobody who holds the server may reach the rest of the world from this machine.

        A host name is looked up once and dialled by that number, so that it cannot change in between.
        """
        parts = urlsplit(to)
        if parts.scheme == "os":
            return to
        if parts.scheme != "tcp" or not parts.hostname:
            raise PrinterError(f"not a printer address here: {to}", permanent=True)
        try:
            number = str(socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)[0][4][0]).partition("%")[0]
        except (OSError, UnicodeError) as error:
            raise PrinterError(f"unknown host: {to}") from error
        address = ip_address(number)
        if not any(address.version == network.version and address in network for network in self._networks):
            raise PrinterError(f"outside the printer networks: {to}", permanent=True)
        return f"tcp://{f'[{number}]' if ':' in number else number}:{parts.port or 9100}"


_CHINESE = {"printed": "已打印", "waiting": "等待", "held": "在打印机中", "unknown": "不确定", "failed": "失败"}
