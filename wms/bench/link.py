"""Bad Wi-Fi of our own: a proxy between handhelds and server that does to their scans what radio does.

What becomes of a request is chosen by chance from the seed, its scan id and how often it was tried: the same seed does
the same to the same scan, however busy the machine is. Requests without a scan id (pages, sign-in) pass untouched.
Every answer the server gave to any copy is noted, also those that no phone ever saw.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import random
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from wms.bench.service import HOST

SERVER_PATIENCE_S = 120.0
"""For an answer of the server; when it has none by then, that copy counts as lost."""

REMEMBERED = 12
"""Requests of a device that may come again, out of order."""


class Fate(enum.StrEnum):
    """What becomes of one request; the words stand in the table of a run."""

    PASSED = "passed"
    REQUEST_LOST = "lost on the way there"
    REQUEST_CUT = "cut in the middle on the way there"
    REQUEST_LATE = "stalled on the way there, then delivered"
    ANSWER_LOST = "carried out, answer lost"
    ANSWER_CUT = "carried out, answer cut in the middle"
    ANSWER_LATE = "carried out, answer stalled"
    TWICE = "sent twice, one after the other"
    TWINS = "sent twice in the same instant"
    REORDERED = "an older request of the device came again"


OFTEN = {
    Fate.PASSED: 700,
    Fate.REQUEST_LOST: 50,
    Fate.REQUEST_CUT: 20,
    Fate.REQUEST_LATE: 15,
    Fate.ANSWER_LOST: 60,
    Fate.ANSWER_CUT: 25,
    Fate.ANSWER_LATE: 15,
    Fate.TWICE: 30,
    Fate.TWINS: 45,
    Fate.REORDERED: 40,
}
"""Per thousand. Worse than any warehouse: every third scan meets something."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came, and what it says: whose, which scan, with which content."""

    raw: bytes
    device: str
    scan_id: str
    content: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What the server answered to one copy of a scan."""

    scan_id: str
    content: str
    status: int
    text: str
    go: str
    replay: bool


class Link:
    """Listens where the handhelds believe the server to be."""

    def __init__(self, server_port: int, seed: int, stall_s: float) -> None:
        self._server_port, self._seed, self._stall_s = server_port, seed, stall_s
        self._tries: Counter[str] = Counter()
        self._lately: dict[str, deque[Request]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listening: asyncio.Server | None = None
        self.fates: Counter[Fate] = Counter()
        self.heard: list[Heard] = []
        self.under_way = 0
        self.unanswered = 0
        """Copies the server had or should have had and gave no answer to: it was killed, or starting."""

    async def open(self) -> int:
        """Returns the port to use in place of the server's."""
        self._listening = await asyncio.start_server(self._serve, HOST, 0)
        return int(self._listening.sockets[0].getsockname()[1])

    async def settle(self) -> None:
        """Returns when nothing is on the way any more, not even what was stalled."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        assert self._listening
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _go(self, what: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (raw := await _message(reader)) is not None:
                if not await self._go(self._meet(_request(raw), reader, writer)):
                    break
        except (OSError, asyncio.CancelledError):
            pass  # the phone has walked away, or the run is over
        finally:
            writer.transport.abort()

    async def _meet(self, sent: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Let its fate come over a request; False when the connection is gone with it."""
        fate, chance = self._fate(sent)
        if sent.scan_id:
            self.fates[fate] += 1
            self._lately.setdefault(sent.device, deque(maxlen=REMEMBERED)).append(sent)
        if fate is Fate.REQUEST_LOST:
            return await self._silence(reader, chance)
        if fate is Fate.REQUEST_CUT:
            await self._half_a_request(sent, chance)
            return False
        if fate is Fate.REQUEST_LATE:
            await asyncio.sleep(chance.uniform(0, self._stall_s))
        answers = await self._carry(sent, copies=2 if fate is Fate.TWINS else 1)
        if fate is Fate.TWICE:
            answers += await self._carry(sent)
        if fate is Fate.REORDERED:
            older = [*self._lately[sent.device]][:-1] or [sent]
            self._go(self._again(chance.choice(older), chance.uniform(0, min(2.0, self._stall_s))))
        if fate is Fate.ANSWER_LATE:
            await asyncio.sleep(chance.uniform(0, self._stall_s))
        if fate is Fate.ANSWER_LOST:
            return await self._silence(reader, chance)
        if not answers:
            return False
        back = chance.choice(answers)
        whole = fate is not Fate.ANSWER_CUT
        writer.write(back if whole else back[: chance.randrange(1, len(back))])
        await writer.drain()
        return whole

    def _fate(self, sent: Request) -> tuple[Fate, random.Random]:
        if not sent.scan_id:
            return Fate.PASSED, random.Random(0)
        self._tries[sent.scan_id] += 1
        chance = random.Random(f"{self._seed} {sent.scan_id} {self._tries[sent.scan_id]}")
        fate = chance.choices(list(OFTEN), list(OFTEN.values()))[0]
        return fate, chance

    async def _silence(self, reader: asyncio.StreamReader, chance: random.Random) -> bool:
        """Nothing comes back: mostly the connection breaks, else the phone waits until it gives up."""
        if chance.randrange(3) == 0:
            try:
                await asyncio.wait_for(reader.read(), self._stall_s)
            except TimeoutError:
                pass
        return False

    async def _half_a_request(self, sent: Request, chance: random.Random) -> None:
        _reader, writer = await self._dial()
        if writer:
            writer.write(sent.raw[: chance.randrange(1, len(sent.raw))])
            await writer.drain()
            writer.close()

    async def _again(self, older: Request, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._carry(older)

    async def _dial(self) -> tuple[asyncio.StreamReader | None, asyncio.StreamWriter | None]:
        try:
            return await asyncio.open_connection(HOST, self._server_port)
        except OSError:  # killed, and not up again
            return None, None

    async def _carry(self, sent: Request, copies: int = 1) -> list[bytes]:
        """So many copies to the server in one instant; the answers that came back whole."""
        self.under_way += copies
        ends = [await self._dial() for _ in range(copies)]
        for _reader, writer in ends:
            if writer:
                writer.write(sent.raw)
        got = await asyncio.gather(*(_answer(reader) for reader, _writer in ends))
        for _reader, writer in ends:
            if writer:
                writer.close()
        self.under_way -= copies
        answers = [answer for answer in got if answer]
        self.unanswered += copies - len(answers)
        if sent.scan_id:
            self.heard += [_heard(sent, answer) for answer in answers]
        return answers


async def _message(reader: asyncio.StreamReader) -> bytes | None:
    """One whole request or answer; None when the other side ended before it was whole. Raises OSError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        return head + await reader.readexactly(int(_header(head, "content-length") or 0))
    except asyncio.IncompleteReadError:
        return None


async def _answer(reader: asyncio.StreamReader | None) -> bytes | None:
    if reader is None:
        return None
    try:
        return await asyncio.wait_for(_message(reader), SERVER_PATIENCE_S)
    except OSError:  # TimeoutError is one as well
        return None


def _header(head: bytes, name: str) -> str:
    start = f"{name}:".encode()
    for line in head.split(b"\r\n"):
        if line.lower().startswith(start):
            return line[len(start) :].strip().decode("latin-1")
    return ""


def content_of(path: str, fields: dict[str, str]) -> str:
    """What a scan says, without its id: copies of one scan have the same."""
    return hashlib.sha256(
        repr((path, sorted((k, v) for k, v in fields.items() if k != "scan_id"))).encode()
    ).hexdigest()


def _request(raw: bytes) -> Request:
    head, _, body = raw.partition(b"\r\n\r\n")
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    path = head.split(b" ", 2)[1].decode()
    return Request(raw, _header(head, "cookie"), fields.get("scan_id", ""), content_of(path, fields))


def _heard(sent: Request, answer: bytes) -> Heard:
    head, _, body = answer.partition(b"\r\n\r\n")
    return Heard(
        sent.scan_id,
        sent.content,
        int(head[9:12]),
        body.decode(),
        _header(head, "x-go"),
        _header(head, "idempotent-replay") == "true",
    )
