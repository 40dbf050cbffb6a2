"""R35: fifteen printers, each with its own fault, twenty jobs each, the worker killed with -9 three times on the way.

Labels out = jobs, order kept, a question only where it cannot be known, never a silent loss, never a silent double.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from tests.browser.server import Product
from tests.factories import Rows
from tests.printers.fake_printer import FakePrinter, Mode
from wms import labels
from wms.flows import printing
from wms.models import Location, PrintAttempt, Printer, PrintJob, PrintState

pytestmark = pytest.mark.slow

JOBS = 20
KILLS = 3
PATIENCE_S = 150.0
LOOK_S = 0.1
# Only these leave something that no count can tell: what the printer took while it would not answer.
MUTE = {Mode.SILENT, Mode.SILENT_FAULT, Mode.GARBAGE, Mode.HANG}
LASTING = set(Mode) - {Mode.OK, Mode.RESET_AFTER, Mode.RESET_LATE, Mode.SLOW}


@dataclass
class Bench:
    """One printer with its queue, and the person who stands beside it."""

    mode: Mode
    paper: FakePrinter
    fails_after: int
    printer_id: int = 0
    jobs: dict[int, bytes] = field(default_factory=dict)
    asked: list[tuple[int, str]] = field(default_factory=list)
    failed: threading.Event = field(default_factory=threading.Event)
    cured: bool = False

    def fail(self) -> None:
        """The fault comes when some labels are out."""
        assert self.paper.wait_for_labels(self.fails_after, PATIENCE_S), f"{self.mode}: nothing came out"
        self.paper.mode = self.mode
        self.failed.set()

    def out(self) -> list[int]:
        """The jobs whose labels came out, in that order."""
        known = {payload: job for job, payload in self.jobs.items()}
        with self.paper._changed:  # the list grows while it is read
            labels = list(self.paper.labels)
        return [known[label.strip()] for label in labels]


@pytest.fixture
def house(tmp_path: Path, template_database: Path) -> Iterator[Product]:
    running = Product(tmp_path, template_database)
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("seed", [1, 2])
def test_each_label_once_or_a_question_though_the_worker_is_killed(house: Product, seed: int) -> None:
    chance = random.Random(seed)
    with ExitStack() as stack:
        rows = Rows(house.database, house.settings.secret_key)
        benches = [
            Bench(mode, stack.enter_context(FakePrinter(label_length_dots=400)), chance.randint(3, 8)) for mode in Mode
        ]
        for number, bench in enumerate(benches):
            bench.paper.reset_bytes, bench.paper.slow_s = chance.randint(30, 200), 0.05
            _queue(rows, bench, number)
        threads = [threading.Thread(target=bench.fail, daemon=True) for bench in benches]
        for thread in threads:
            thread.start()
        house.start_worker()
        for kill in range(KILLS):
            _until_more_came_out(benches, chance.randint(5, 25))
            assert house.worker is not None
            house.worker.process.kill()
            house.worker.process.wait()
            if kill == 0:
                assert all(len(bench.paper.labels) < JOBS for bench in benches), "the first kill came too late"
            house.start_worker()
        _to_the_end(rows, benches)
        house.stop_worker()

    for bench in benches:
        came = Counter(bench.out())
        assert came == Counter(dict.fromkeys(bench.jobs, 1)), f"{bench.mode}: {_named(bench, came)}"
        questions = [job for job, _ in bench.asked]
        unasked = [job for job in bench.out() if job not in questions]
        assert unasked == sorted(unasked), f"{bench.mode}: out of order"
        if bench.mode not in MUTE:
            assert bench.asked == [], f"{bench.mode}: asked though the count could tell"
    with house.database.reading() as session:
        assert session.execute(select(PrintJob.id).where(PrintJob.state != PrintState.PRINTED)).all() == []
        tries = session.execute(select(func.count()).select_from(PrintAttempt)).scalar_one()
    assert tries >= len(benches) * JOBS - KILLS * len(benches), "a try was not written down"


def _queue(rows: Rows, bench: Bench, number: int) -> None:
    with rows.database.transaction(rows.actor()) as session:
        printer = printing.save_printer(
            session,
            None,
            code=f"KILL{number}",
            name=bench.mode.value,
            uri=bench.paper.uri,
            dpi=203,
            width_mm=70,
            height_mm=50,
        )
        bench.printer_id = printer.id
        place = session.execute(select(Location).where(Location.code == "A-01-01-1")).scalar_one()
        for piece in range(JOBS):
            place.code = f"K{number:02d}-{piece:02d}"
            job = labels.queue_location(session, place, printer, once=f"kill:{number}:{piece}")
            bench.jobs[job.id] = job.payload.strip()
        place.code = "A-01-01-1"


def _until_more_came_out(benches: list[Bench], more: int) -> None:
    wanted = sum(len(bench.paper.labels) for bench in benches) + more
    within = threading.Event()
    for _ in range(int(PATIENCE_S / LOOK_S)):
        if sum(len(bench.paper.labels) for bench in benches) >= min(wanted, len(benches) * 3):
            return
        within.wait(LOOK_S / 10)
    raise AssertionError("nothing comes out any more")


def _to_the_end(rows: Rows, benches: list[Bench]) -> None:
    """People cure what is broken once it is seen, and answer what is asked by looking at the paper."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE_S / LOOK_S)):
        with rows.database.reading() as session:
            open_jobs = session.execute(
                select(PrintJob.id, PrintJob.printer_id, PrintJob.state, PrintJob.reason).where(
                    PrintJob.state != PrintState.PRINTED
                )
            ).all()
        if not open_jobs:
            return
        for bench in benches:
            mine = [row for row in open_jobs if row.printer_id == bench.printer_id]
            stuck = [row for row in mine if row.state in (PrintState.WAITING, PrintState.HELD, PrintState.UNKNOWN)]
            if bench.failed.is_set() and not bench.cured and stuck and bench.mode in LASTING:
                bench.cured = True
                bench.paper.mode = Mode.OK
            if bench.paper.partial and stuck and stuck[0].reason == "partial_job":
                bench.paper.partial = False  # switched off and on, as the screen says
            for row in mine:
                if row.state is PrintState.UNKNOWN and (bench.cured or bench.mode not in LASTING):
                    bench.asked.append((row.id, row.reason))
                    yes = row.id in bench.out()
                    with rows.database.transaction(rows.actor()) as session:
                        printing.came_out(session, rows.warehouse_id, row.id, yes=yes)
        waiting.wait(LOOK_S)
    with rows.database.reading() as session:
        left = Counter(
            (row.name, row.state.value, row.reason)
            for row in session.execute(
                select(Printer.name, PrintJob.state, PrintJob.reason)
                .join(Printer, Printer.id == PrintJob.printer_id)
                .where(PrintJob.state != PrintState.PRINTED)
            )
        )
    raise AssertionError(f"not at an end: {left}")


def _named(bench: Bench, came: Counter[int]) -> str:
    wrong = {number: came.get(job, 0) for number, job in enumerate(bench.jobs) if came.get(job, 0) != 1}
    return f"{wrong}, asked {bench.asked}"


def test_a_lease_of_a_process_that_is_no_more_is_given_back(house: Product) -> None:
    from wms import print_lease
    from wms.jobs import print_queue

    rows = Rows(house.database, house.settings.secret_key)
    with rows.database.reading() as session:
        ids = list(session.execute(select(Printer.id).order_by(Printer.id)).scalars())
    machine = print_queue._machine()
    gone, alive = f"{machine}:999999999:1", f"{machine}:1:1"
    assert print_lease.lease(rows.database, rows.warehouse_id, ids[0], gone)
    assert print_lease.lease(rows.database, rows.warehouse_id, ids[1], alive)
    assert print_lease.free(rows.database, print_queue.left_behind) == 1
    assert print_lease.lease(rows.database, rows.warehouse_id, ids[0], "new")
    assert not print_lease.lease(rows.database, rows.warehouse_id, ids[1], "new")
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(Printer).values(leased_by="elsewhere-123:77:1"))
    assert print_lease.free(rows.database, print_queue.left_behind) == 0
