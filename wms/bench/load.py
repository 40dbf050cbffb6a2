"""The load generator: many handhelds in one process, each on its own keep-alive connection, raw HTTP/1.1 by asyncio.

Paced, a handheld thinks between the answer and the next scan, evenly from half to one and a half times the mean;
as a flood it sends the next scan with the answer in hand. A request is timed from its first byte written to the
last byte of its answer read, so the wait in the server's queue is in it; rendering on a phone is not. The first
20 requests of a run are not counted (they fill caches), nor are replays, which are checked and counted apart.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

NOT_COUNTED = 20
TIMEOUT_S = 60.0
LIKE_A_BROWSER = (
    "User-Agent: Mozilla/5.0 (Linux; Android 13; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile\r\n"
    "Accept: */*\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
)
PACKED = "Accept-Encoding: gzip, deflate\r\n"


class Lost(Exception):
    """The connection ended, or no whole answer came in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    head: str
    body: str
    seconds: float

    def header(self, name: str) -> list[str]:
        start = f"{name.lower()}:"
        return [line[len(start) :].strip() for line in self.head.split("\r\n") if line.lower().startswith(start)]


class Wire(asyncio.Protocol):
    """One connection, plain or over TLS. One request is under way at a time, as from a phone.

    Compression is asked for only in plain http, where the server has none: behind Caddy the answers come as they are.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.host, self.port, self.tls, self.timeout_s = host, port, tls, timeout_s
        self.origin = f"{'https' if tls else 'http'}://{host}:{port}"
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[bytes, bytes, float]] | None = None
        self._read = bytearray()
        self._whole = -1

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer and not self._answer.done():
            self._answer.set_exception(Lost("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._read += data
        if self._whole < 0:
            end = self._read.find(b"\r\n\r\n")
            if end < 0:
                return
            self._whole = end + 4 + _length(bytes(self._read[:end]))
        if len(self._read) >= self._whole and self._answer and not self._answer.done():
            head, _, body = bytes(self._read).partition(b"\r\n\r\n")
            self._answer.set_result((head, body, time.perf_counter()))

    async def ask(
        self, method: str, path: str, headers: str, fields: dict[str, str] | None = None, raw: bytes | None = None
    ) -> Answer:
        """Send one request, with form fields or a JSON body as it is, and wait for its whole answer. Raises Lost."""
        loop = asyncio.get_running_loop()
        transport = self._transport
        if transport is None or transport.is_closing():
            dialled = loop.create_connection(lambda: self, self.host, self.port, ssl=self.tls)
            try:
                made, _ = await asyncio.wait_for(dialled, self.timeout_s)
            except OSError as error:  # TimeoutError is one as well
                raise Lost(str(error) or "no connection in time") from error
            transport = self._transport = made
        body, kind = urlencode(fields or {}).encode(), "application/x-www-form-urlencoded"
        if raw is not None:
            body, kind = raw, "application/json"
        form = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n{LIKE_A_BROWSER}"
            f"{'' if self.tls else PACKED}{headers}{form if method == 'POST' else ''}\r\n"
        )
        self._read.clear()
        self._whole = -1
        self._answer = loop.create_future()
        sent = time.perf_counter()
        transport.write(head.encode() + body)
        try:
            raw_head, raw_body, at = await asyncio.wait_for(self._answer, self.timeout_s)
        except TimeoutError as error:
            self.close()
            raise Lost(f"no answer within {self.timeout_s:g} s") from error
        text = raw_head.decode("latin-1")
        return Answer(int(text[9:12]), text, raw_body.decode(), at - sent)

    def close(self) -> None:
        if self._transport:
            self._transport.abort()
            self._transport = None


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line[15:])
    return 0


@dataclass
class Tally:
    """What came back in one run."""

    seconds: list[float] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    refusals: int = 0
    replays: int = 0
    pieces: int = 0
    ran_out: bool = False

    def count(self, kind: str, seconds: float) -> None:
        self.seconds.append(seconds)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def wrong(self, what: str) -> None:
        self.errors.append(what)


class Driven(Protocol):
    """A handheld: each step is one scan (or tap) and its answer. False when there is nothing left to do."""

    async def step(self, tally: Tally) -> bool: ...


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of one run. Times in ms; CPU in ms a scan, and in cores for what others used meanwhile."""

    name: str
    n: int
    seconds: float
    per_s: float
    p50: float
    p95: float
    p99: float
    max: float
    errors: int
    refusals: int
    replays: int
    pieces: int
    cpu_ms: float
    generator_cores: float
    other_cores: float
    kinds: dict[str, int]
    first_errors: tuple[str, ...]
    ran_out: bool


async def drive(
    name: str, hands: Sequence[Driven], seconds: float, pause_s: float, watched: Callable[[], list[int]]
) -> Run:
    """Let all hands work for so many seconds; ``pause_s`` is the mean pause of people, 0 a flood.

    ``watched`` names the processes whose CPU counts as the server's; it is asked before and after.
    """
    tally = Tally()
    before, began = Cpu.now(watched()), time.perf_counter()
    stop = began + seconds

    async def work(hand: Driven) -> None:
        if pause_s:
            await asyncio.sleep(random.uniform(0, pause_s))
        while time.perf_counter() < stop:
            if not await hand.step(tally):
                tally.ran_out = True
                return
            if pause_s:
                await asyncio.sleep(random.uniform(0.5, 1.5) * pause_s)

    await asyncio.gather(*(work(hand) for hand in hands))
    took, after = time.perf_counter() - began, Cpu.now(watched())
    done = len(tally.seconds)
    counted = sorted(1000 * s for s in tally.seconds[NOT_COUNTED:])
    used = after.server_s - before.server_s
    own = after.own_s - before.own_s
    return Run(
        name,
        len(counted),
        took,
        done / took,
        p50=percentile(counted, 0.5),
        p95=percentile(counted, 0.95),
        p99=percentile(counted, 0.99),
        max=percentile(counted, 1.0),
        errors=len(tally.errors),
        refusals=tally.refusals,
        replays=tally.replays,
        pieces=tally.pieces,
        cpu_ms=1000 * used / max(1, done + tally.replays),
        generator_cores=own / took,
        other_cores=max(0.0, after.machine_s - before.machine_s - used - own) / took,
        kinds=tally.kinds,
        first_errors=tuple(tally.errors[:5]),
        ran_out=tally.ran_out,
    )


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that at least this part of the values do not exceed; 0 when there are none."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds used so far: by the server, by this process, by the whole machine (zeros where /proc is not)."""

    server_s: float
    own_s: float
    machine_s: float

    @classmethod
    def now(cls, watched: Sequence[int]) -> Cpu:
        own = os.times()
        return cls(sum(_process_s(pid) for pid in watched), own.user + own.system, _machine_s())


def _ticks() -> int:
    return os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def _process_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    # With the children that have ended, as PostgreSQL's do.
    return sum(map(int, fields[11:15])) / _ticks()


def _machine_s() -> float:
    try:
        first = Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, first[:8])
    return (user + nice + system + irq + softirq + steal) / _ticks()


def family(pid: int) -> list[int]:
    """A process and all that descend from it now."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text("ascii", "replace")
        except OSError:
            continue
        parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def as_json(run: Run) -> dict[str, Any]:
    return {name: getattr(run, name) for name in Run.__dataclass_fields__}
