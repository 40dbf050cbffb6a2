"""R35: each job once, in order; what cannot be known is asked, never printed again by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from printers import os_queue
from tests.factories import Rows
from tests.floor import Floor
from tests.printers.fake_printer import FakePrinter, Mode
from tests.printers.test_os_queue import Says
from wms import labels, print_lease
from wms.clock import now
from wms.db import Database
from wms.flows import printing
from wms.jobs import print_queue
from wms.models import Location, Printer, PrintJob, PrintState


@pytest.fixture
def paper() -> Iterator[FakePrinter]:
    with FakePrinter(Mode.OK) as printer:
        yield printer


@pytest.fixture
def rows(floor: Floor, paper: FakePrinter) -> Floor:
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(Printer).where(Printer.code == "LB1").values(uri=paper.uri, width_mm=100, height_mm=150))
    return floor


def queue(rows: Rows, count: int = 1, first: int = 0) -> list[int]:
    ids = []
    with rows.database.transaction(rows.actor()) as session:
        place = session.execute(select(Location).where(Location.code == "A-01-01-1")).scalar_one()
        printer = session.execute(select(Printer).where(Printer.code == "LB1")).scalar_one()
        for number in range(first, first + count):
            ids.append(labels.queue_location(session, place, printer, once=f"test:{number}").id)
    return ids


def work(rows: Rows) -> None:
    for key in print_lease.printers_due(rows.database):
        print_queue.serve_printer(rows.database, *key)


def soon(rows: Rows) -> None:
    """Let the pause before the next look pass."""
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(PrintJob).values(next_at=now() - timedelta(seconds=1)))


def states(rows: Rows) -> list[tuple[str, str]]:
    with rows.database.reading() as session:
        return [(j.state.value, j.reason) for j in session.execute(select(PrintJob).order_by(PrintJob.id)).scalars()]


def test_jobs_come_out_once_and_in_order(rows: Floor, paper: FakePrinter) -> None:
    queue(rows, 5)
    work(rows)
    work(rows)
    assert states(rows) == [("printed", "")] * 5
    assert paper.wait_for_labels(5) and len(paper.labels) == 5


def test_the_same_cause_queued_twice_is_one_job(rows: Floor) -> None:
    assert queue(rows, 1) == queue(rows, 1)


def test_paper_out_waits_with_its_reason_and_comes_out_by_itself(rows: Floor, paper: FakePrinter) -> None:
    paper.mode = Mode.PAPER_OUT
    queue(rows, 2)
    work(rows)
    assert states(rows)[0] == ("waiting", "paper_out") and states(rows)[1][0] == "queued"
    paper.mode = Mode.OK
    soon(rows)
    work(rows)
    assert [state for state, _ in states(rows)] == ["printed", "printed"]
    assert len(paper.labels) == 2


def test_an_offline_printer_is_an_ordinary_state(rows: Floor, paper: FakePrinter) -> None:
    paper.mode = Mode.REFUSE
    queue(rows)
    work(rows)
    assert states(rows) == [("waiting", "offline")]
    with rows.database.reading() as session:
        assert session.execute(select(Printer.state).where(Printer.code == "LB1")).scalar_one() == "offline"
    paper.mode = Mode.OK
    soon(rows)
    work(rows)
    assert states(rows) == [("printed", "")] and len(paper.labels) == 1


def begun(rows: Rows, base: int | None) -> print_lease.Work:
    """A worker claims the oldest job, writes down that it begins, and dies."""
    work = print_lease.claim(rows.database, rows.warehouse_id, _printer_id(rows))
    assert work is not None
    print_lease.begin(rows.database, work, base)
    return work


def test_a_worker_that_died_before_the_first_byte_left_nothing_to_ask(rows: Floor, paper: FakePrinter) -> None:
    queue(rows)
    assert print_lease.claim(rows.database, rows.warehouse_id, _printer_id(rows)) is not None
    work(rows)
    assert states(rows) == [("printed", "")] and len(paper.labels) == 1


def test_a_worker_that_died_while_sending_leaves_what_the_count_can_tell(rows: Floor, paper: FakePrinter) -> None:
    queue(rows, 2)
    begun(rows, paper.odometer)
    assert paper.odometer is not None
    paper.odometer += 1  # it was out before the worker died
    work(rows)
    assert states(rows) == [("printed", ""), ("printed", "")] and len(paper.labels) == 1


def test_what_the_count_proves_lost_is_sent_again(rows: Floor, paper: FakePrinter) -> None:
    queue(rows)
    begun(rows, paper.odometer)
    work(rows)
    soon(rows)
    work(rows)
    assert states(rows) == [("printed", "")] and len(paper.labels) == 1


def test_a_worker_that_died_while_sending_to_a_printer_that_does_not_count_leaves_a_question(
    rows: Floor, paper: FakePrinter
) -> None:
    (job_id,) = queue(rows)
    begun(rows, None)
    work(rows)
    assert states(rows) == [("unknown", "interrupted")]
    work(rows)
    assert len(paper.labels) == 0, "unknown is never printed again by itself"
    with rows.database.transaction(rows.actor()) as session:
        printing.came_out(session, rows.warehouse_id, job_id, yes=False)
    work(rows)
    assert states(rows) == [("printed", "")] and len(paper.labels) == 1


def test_a_worker_that_was_overtaken_sends_nothing_and_writes_nothing(rows: Floor, paper: FakePrinter) -> None:
    queue(rows)
    slow = print_lease.claim(rows.database, rows.warehouse_id, _printer_id(rows))
    assert slow is not None
    work(rows)
    with pytest.raises(print_lease.Overtaken):
        print_queue.carry_out(rows.database, slow)
    print_lease.record(rows.database, slow, print_lease.Said(PrintState.WAITING, "offline"))
    assert states(rows) == [("printed", "")] and len(paper.labels) == 1


def test_those_behind_an_unknown_job_go_on(rows: Floor, paper: FakePrinter) -> None:
    queue(rows, 2)
    begun(rows, None)
    work(rows)
    assert [state for state, _ in states(rows)] == ["unknown", "printed"]


def test_an_old_job_expires_and_does_not_burst_out(rows: Floor, paper: FakePrinter) -> None:
    queue(rows)
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(PrintJob).values(expires_at=now() - timedelta(seconds=1)))
    work(rows)
    assert states(rows) == [("expired", "")] and len(paper.labels) == 0


def test_a_paused_printer_keeps_its_jobs(rows: Floor, paper: FakePrinter) -> None:
    queue(rows)
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(Printer).values(paused=True))
    work(rows)
    assert states(rows) == [("queued", "")] and len(paper.labels) == 0


def test_only_one_worker_has_a_printer(rows: Floor) -> None:
    printer_id = _printer_id(rows)
    assert print_lease.lease(rows.database, rows.warehouse_id, printer_id, "first")
    assert not print_lease.lease(rows.database, rows.warehouse_id, printer_id, "second")
    print_lease.give_up(rows.database, rows.warehouse_id, printer_id, "first")
    assert print_lease.lease(rows.database, rows.warehouse_id, printer_id, "second")


def test_a_job_of_very_many_copies_keeps_its_printer_as_long_as_it_may_take(
    rows: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(rows)
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(PrintJob).values(copies=200))
    left: list[float] = []

    def look(database: Database, work: print_lease.Work) -> print_lease.Said:
        with database.reading() as session:
            until = session.execute(select(Printer.leased_until).where(Printer.code == "LB1")).scalar_one()
        assert until is not None
        left.append((until - now()).total_seconds())
        return print_lease.Said(PrintState.PRINTED, "", None, None, 1)

    monkeypatch.setattr(print_queue, "carry_out", look)
    work(rows)
    assert left and left[0] > 200 * print_queue.PRINTING_EACH_S


def _printer_id(rows: Rows) -> int:
    with rows.database.reading() as session:
        return session.execute(select(Printer.id).where(Printer.code == "LB1")).scalar_one()


def test_every_try_is_a_row(rows: Floor, paper: FakePrinter) -> None:
    from wms.models import PrintAttempt

    paper.mode = Mode.HEAD_OPEN
    queue(rows)
    work(rows)
    paper.mode = Mode.OK
    soon(rows)
    work(rows)
    with rows.database.reading() as session:
        tries = session.execute(select(PrintAttempt).order_by(PrintAttempt.id)).scalars().all()
        assert [(t.result, t.reason) for t in tries] == [("waiting", "head_open"), ("printed", "")]
        assert tries[1].odometer_after == paper.odometer and tries[1].bytes_sent > 0
        job = session.execute(select(PrintJob)).scalar_one()
        assert job.state is PrintState.PRINTED and {t.sha256 for t in tries} == {job.sha256}


def test_an_address_that_cannot_be_has_printed_nothing(rows: Floor) -> None:
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(Printer).where(Printer.code == "LB1").values(uri="gopher://nowhere"))
    queue(rows)
    work(rows)
    assert states(rows) == [("failed", "bad_address")]


@pytest.mark.parametrize(("trusted", "end"), [(True, ("printed", "")), (False, ("unknown", "passed_on"))])
def test_a_queue_of_the_servers_own_system_is_trusted_or_asked_about(
    rows: Floor, monkeypatch: pytest.MonkeyPatch, trusted: bool, end: tuple[str, str]
) -> None:
    spooler = Says([os_queue.Fate.IN_QUEUE, os_queue.Fate.PASSED_ON])
    monkeypatch.setattr(os_queue, "spooler", lambda: spooler)
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(Printer).where(Printer.code == "LB1").values(uri="os://q", trusted=trusted))
    queue(rows)
    work(rows)
    work(rows)
    assert states(rows) == [end] and len(spooler.handed) == 1


def test_a_job_held_in_the_queue_is_looked_at_under_its_number(rows: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("printers.delivery.QUEUE_S", 0.0)
    spooler = Says([os_queue.Fate.IN_QUEUE])
    monkeypatch.setattr(os_queue, "spooler", lambda: spooler)
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(Printer).where(Printer.code == "LB1").values(uri="os://q", trusted=True))
    queue(rows, 2)
    work(rows)
    assert states(rows) == [("held", "in_queue"), ("queued", "")], "order is kept"
    spooler.fates = [os_queue.Fate.PASSED_ON]
    soon(rows)
    work(rows)
    assert states(rows)[0] == ("printed", "")
    assert len(spooler.handed) == 2, "the first was not handed over again"
