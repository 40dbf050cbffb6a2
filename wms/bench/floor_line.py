"""The bare floor under every figure: waitress with nothing behind it, and Flask with sqlite3 by hand.

Run as a program (`python -m wms.bench.floor_line hello|by_hand FOLDER PORT`) it serves one of them, with the
waitress settings and the core of the real server. ``by_hand`` is one POST = one transaction of four statements
with synchronous=FULL and 2 kB of HTML: about the least a scan could be.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from wms.bench.load import Lost, Tally, Wire

TASKS = 20_000
PAGE = """<section class="screen" data-step="floor"><div class="message" data-answer="done">{{ text }}</div>
{% for line in lines %}<dl class="facts"><dt>Item</dt><dd>{{ line }}</dd><dt>Location</dt><dd>{{ place }}</dd></dl>
{% endfor %}</section>"""


class FloorHand:
    """Posts to a bare floor as a handheld posts a scan."""

    _taken = iter(range(1, 1 << 40))

    def __init__(self, host: str, port: int) -> None:
        self.wire = Wire(host, port)

    async def step(self, tally: Tally) -> bool:
        task = next(self._taken) % TASKS + 1
        try:
            answer = await self.wire.ask("POST", f"/task/{task}", "", {"code": "SKU-0001", "scan_id": "x" * 36})
        except Lost as lost:
            tally.wrong(str(lost))
            return True
        tally.count("post", answer.seconds)
        if answer.status != 200 or 'data-answer="done"' not in answer.body:
            tally.wrong(f"{answer.status} from the bare floor")
        return True


def hello() -> Callable[..., Iterable[bytes]]:
    body = b'<div data-answer="done">' + b"x" * 2000 + b"</div>"

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        environ["wsgi.input"].read()
        start("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]

    return app


def by_hand(folder: Path) -> Any:
    from flask import Flask, request

    from wms.db import WriterQueue

    path = folder / "floor.db"
    _fill(path)
    app, here, writers = Flask("floor"), threading.local(), WriterQueue()
    template = app.jinja_env.from_string(PAGE)

    def connection() -> sqlite3.Connection:
        if not hasattr(here, "connection"):
            here.connection = _open(path)
        made: sqlite3.Connection = here.connection
        return made

    @app.post("/task/<int:task>")
    def scan(task: int) -> str:
        code, database = request.form["code"], connection()
        with writers.turn():
            database.execute("BEGIN IMMEDIATE")
            try:
                (quant,) = database.execute("SELECT quant FROM task WHERE id = ?", (task,)).fetchone()
                taken = database.execute("UPDATE quant SET qty = qty - 1 WHERE id = ? AND qty >= 1", (quant,))
                assert taken.rowcount == 1
                database.execute(
                    "INSERT INTO move (task, quant, qty, at) VALUES (?, ?, 1, ?)", (task, quant, time.time())
                )
                database.execute("UPDATE task SET done = done + 1 WHERE id = ?", (task,))
                database.execute("COMMIT")
            except BaseException:
                database.execute("ROLLBACK")
                raise
        return template.render(text="Right.", lines=[f"{code} {n}" for n in range(20)], place="A-01-02-1")

    return app


def _open(path: Path) -> sqlite3.Connection:
    made = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "cache_size=-65536"):
        made.execute(f"PRAGMA {pragma}")
    return made


def _fill(path: Path) -> None:
    made = _open(path)
    made.executescript(
        "BEGIN; CREATE TABLE quant (id INTEGER PRIMARY KEY, qty INTEGER NOT NULL CHECK (qty >= 0));"
        "CREATE TABLE task (id INTEGER PRIMARY KEY, quant INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0);"
        "CREATE TABLE move (id INTEGER PRIMARY KEY, task INTEGER, quant INTEGER, qty INTEGER, at REAL);"
        "CREATE INDEX move_task ON move (task); CREATE INDEX move_quant ON move (quant, at);"
    )
    made.executemany("INSERT INTO quant VALUES (?, 1000000)", ((n,) for n in range(1, TASKS + 1)))
    made.executemany("INSERT INTO task (id, quant) VALUES (?, ?)", ((n, n) for n in range(1, TASKS + 1)))
    made.execute("COMMIT")
    made.close()


def main(kind: str, folder: Path, port: int) -> None:
    """Serve until the process is ended."""
    from waitress.server import create_server

    from wms.commands.serve import hold_on_one_core, waitress_options
    from wms.settings import Settings

    settings = replace(Settings(), host="127.0.0.1", http_port=port, database_url=f"sqlite:///{folder / 'floor.db'}")
    app = hello() if kind == "hello" else by_hand(folder)
    hold_on_one_core()
    create_server(app, **waitress_options(settings, behind_caddy=False)).run()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
