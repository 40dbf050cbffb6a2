"""The print queue: one lease a printer, its jobs strictly in order, every try a row, no blind second copy (R35).

Claim and commit, send, record and commit: no transaction is open while a printer is spoken to.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import and_, or_, select, update

from printers.delivery import Outcome, State, check_later, deliver
from printers.errors import PrinterError
from wms import journal
from wms.clock import now
from wms.db import Actor, Database
from wms.models import PrintAttempt, Printer, PrinterLanguage, PrintJob, PrintState

LEASE = timedelta(seconds=90)
RETRY = {"offline": timedelta(seconds=5)}
SOON = timedelta(seconds=3)
LOST_LEASE_REASON = "interrupted"
BAD_ADDRESS = "bad_address"
OTHER_LANGUAGE = "other_language"
OPEN = (PrintState.QUEUED, PrintState.WAITING, PrintState.SENDING, PrintState.HELD)

log = logging.getLogger("wms.print_queue")


@dataclass(frozen=True, slots=True)
class Work:
    """One claimed job, copied out of the database so that nothing is open while it prints."""

    warehouse_id: int
    job_id: int
    printer_id: int
    uri: str
    answers: bool
    language: PrinterLanguage
    payload: bytes
    sha256: str
    copies: int
    height_dots: int
    state: PrintState
    base_odometer: int | None


def holder() -> str:
    """Who holds a lease: one thread of one process, so that two threads never share a printer."""
    return f"{socket.gethostname()[:16]}:{os.getpid()}:{threading.get_native_id()}"


def printers_due(database: Database) -> list[tuple[int, int]]:
    """(warehouse, printer) with a job to look at now and no lease of somebody else."""
    at = now()
    with database.reading() as session:
        return [
            (row[0], row[1])
            for row in session.execute(
                select(Printer.warehouse_id, Printer.id).where(
                    Printer.paused.is_(False),
                    or_(Printer.leased_until.is_(None), Printer.leased_until < at),
                    select(PrintJob.id)
                    .where(
                        PrintJob.warehouse_id == Printer.warehouse_id,
                        PrintJob.printer_id == Printer.id,
                        PrintJob.state.in_(OPEN),
                        PrintJob.next_at <= at,
                    )
                    .exists(),
                )
            )
        ]


def lease(database: Database, warehouse_id: int, printer_id: int, who: str) -> bool:
    """Take the printer for this worker alone: two senders on one printer spoil the odometer's proof."""
    at = now()
    with database.transaction(Actor(warehouse_id)) as session:
        taken: int = session.execute(
            update(Printer)
            .where(
                Printer.warehouse_id == warehouse_id,
                Printer.id == printer_id,
                or_(Printer.leased_until.is_(None), Printer.leased_until < at, Printer.leased_by == who),
            )
            .values(leased_until=at + LEASE, leased_by=who)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
    return taken == 1


def give_up(database: Database, warehouse_id: int, printer_id: int, who: str) -> None:
    with database.transaction(Actor(warehouse_id)) as session:
        session.execute(
            update(Printer)
            .where(Printer.warehouse_id == warehouse_id, Printer.id == printer_id, Printer.leased_by == who)
            .values(leased_until=None, leased_by="")
            .execution_options(synchronize_session=False)
        )


def claim(database: Database, warehouse_id: int, printer_id: int) -> Work | None:
    """The oldest open job of the printer, marked as being sent. Order within a printer is kept (R35)."""
    at = now()
    with database.transaction(Actor(warehouse_id)) as session:
        printer = session.get_one(Printer, (warehouse_id, printer_id))
        for job in session.execute(
            select(PrintJob)
            .where(PrintJob.warehouse_id == warehouse_id, PrintJob.printer_id == printer_id, PrintJob.state.in_(OPEN))
            .order_by(PrintJob.id)
            .limit(50)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).scalars():
            if job.state in (PrintState.QUEUED, PrintState.WAITING) and job.expires_at < at:
                # Nothing of it ever went to the printer: it is simply not worth printing any more.
                _set(job, PrintState.EXPIRED, job.reason)
                continue
            # A worker died between claim and record: the bytes may have gone. Never sent again by itself.
            if job.state is PrintState.SENDING:
                _set(job, PrintState.UNKNOWN, LOST_LEASE_REASON)
                continue
            if job.next_at > at:
                return None
            # The printer was set to another language, or the job was moved: its bytes would come out as waste.
            if job.state is not PrintState.HELD and job.language is not printer.language:
                _set(job, PrintState.FAILED, OTHER_LANGUAGE)
                continue
            work = Work(
                warehouse_id,
                job.id,
                printer_id,
                printer.uri,
                printer.answers,
                job.language,
                job.payload,
                job.sha256,
                job.copies,
                round(printer.height_mm * printer.dpi / 25.4),
                job.state,
                job.base_odometer,
            )
            if job.state is not PrintState.HELD:
                job.state = PrintState.SENDING
            return work
        return None


def _set(job: PrintJob, state: PrintState, reason: str) -> None:
    job.state, job.reason, job.done_at = state, reason, now()


def carry_out(work: Work) -> Outcome:
    """Speak to the printer: send the job, or look what became of one that is inside it."""
    assert hashlib.sha256(work.payload).hexdigest() == work.sha256, "the bytes are not those that were queued"
    try:
        if work.state is PrintState.HELD:
            return check_later(work.uri, work.base_odometer, work.copies)
        return deliver(
            work.uri,
            work.payload,
            copies=work.copies,
            answers=work.answers,
            expect_length_dots=work.height_dots,
            language=work.language.value,
        )
    except PrinterError as error:
        return Outcome(State.WAITING if not error.permanent else State.UNKNOWN, BAD_ADDRESS)


def record(database: Database, work: Work, outcome: Outcome) -> PrintState:
    """Write down what the printer said, as an attempt and on the job, in one transaction."""
    at = now()
    with database.transaction(Actor(work.warehouse_id)) as session:
        job = session.get_one(PrintJob, (work.warehouse_id, work.job_id), with_for_update=True)
        printer = session.get_one(Printer, (work.warehouse_id, work.printer_id))
        session.add(
            PrintAttempt(
                warehouse_id=work.warehouse_id,
                job_id=job.id,
                at=at,
                printer_uri=work.uri,
                sha256=work.sha256,
                result=outcome.state.value,
                reason=outcome.reason,
                odometer_before=outcome.base,
                odometer_after=outcome.after,
                bytes_sent=outcome.bytes_sent,
            )
        )
        before = job.state
        if outcome.state is State.PRINTED:
            _set(job, PrintState.PRINTED, "")
        elif outcome.state is State.WAITING:
            # Nothing of it is in the printer: safe to send later, for as long as it is worth it.
            job.state, job.reason, job.base_odometer = PrintState.WAITING, outcome.reason, None
            job.next_at = at + RETRY.get(outcome.reason, SOON)
        elif outcome.state is State.HELD:
            job.state, job.reason = PrintState.HELD, outcome.reason
            job.base_odometer = outcome.base if outcome.base is not None else job.base_odometer
            job.next_at = at + SOON
        else:
            # A bad address is known to have printed nothing; of anything else only a person can tell.
            _set(job, PrintState.FAILED if outcome.reason == BAD_ADDRESS else PrintState.UNKNOWN, outcome.reason)
        printer.state = "ready" if outcome.state is State.PRINTED else (outcome.reason or outcome.state.value)
        printer.seen_at = at if outcome.reason != "offline" else printer.seen_at
        if job.state is not before:
            journal.note(session, job, "state", before, f"{job.state} {outcome.reason}".strip())
        return job.state


def serve_printer(
    database: Database, warehouse_id: int, printer_id: int, stopping: Callable[[], bool] = lambda: False
) -> int:
    """Print what this printer has waiting, until it is empty or not ready; returns the jobs printed."""
    who, printed = holder(), 0
    if not lease(database, warehouse_id, printer_id, who):
        return 0
    try:
        while not stopping():
            work = claim(database, warehouse_id, printer_id)
            if work is None:
                break
            outcome = carry_out(work)
            state = record(database, work, outcome)
            log.info("job %s on %s: %s %s", work.job_id, work.uri, state, outcome.reason)
            if state is PrintState.PRINTED:
                printed += 1
            elif state in (PrintState.WAITING, PrintState.HELD):
                break  # those behind it wait: order is kept
            if not lease(database, warehouse_id, printer_id, who):
                break
    finally:
        give_up(database, warehouse_id, printer_id, who)
    return printed


def waiting_jobs(database: Database, warehouse_id: int) -> int:
    with database.reading() as session:
        return len(
            session.execute(
                select(PrintJob.id).where(and_(PrintJob.warehouse_id == warehouse_id, PrintJob.state.in_(OPEN)))
            ).all()
        )
