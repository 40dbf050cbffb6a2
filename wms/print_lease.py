"""One lease a printer, its oldest job first, and what became of it (R35): shared by all who send labels.

The worker sends to network printers and folders; a station agent and a packing PC fetch theirs over http. Claim and
commit, send, record and commit: no transaction is open while a printer is spoken to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from wms import components, journal
from wms.clock import now
from wms.db import Actor, Database
from wms.models import PrintAttempt, Printer, PrinterLanguage, PrintJob, PrintState

LEASE = timedelta(seconds=90)
RETRY = {"offline": timedelta(seconds=5)}
SOON = timedelta(seconds=3)
LOST_LEASE_REASON = "interrupted"
NOBODY_SAID = "component_page_gone"
BAD_ADDRESS = "bad_address"
OTHER_LANGUAGE = "other_language"
OPEN = (PrintState.QUEUED, PrintState.WAITING, PrintState.SENDING, PrintState.HELD)
FETCHED = ("agent", "cainiao", "pinduoduo", "wechat")
"""Printers whose address begins so are served by who stands beside them: a station agent, or the packing PC's page."""


def component_printers(
    session: Session, warehouse_id: int, station_code: str = ""
) -> list[tuple[Printer, components.Address]]:
    """The printers that print components drive, of one station or of all."""
    found = []
    for printer in session.execute(
        select(Printer)
        .where(
            Printer.warehouse_id == warehouse_id,
            Printer.language.in_([PrinterLanguage(each) for each in components.PROVIDERS]),
        )
        .order_by(Printer.id)
    ).scalars():
        whole = components.parse(printer.uri)
        if whole is not None and station_code in ("", whole.station):
            found.append((printer, whole))
    return found


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
    tries: int


def printers_due(database: Database) -> list[tuple[int, int]]:
    """(warehouse, printer) with a job for the worker to look at now and no lease of somebody else."""
    at = now()
    with database.reading() as session:
        return [
            (row[0], row[1])
            for row in session.execute(
                select(Printer.warehouse_id, Printer.id).where(
                    Printer.paused.is_(False),
                    *(Printer.uri.not_like(f"{scheme}:%") for scheme in FETCHED),
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


def lease(database: Database, warehouse_id: int, printer_id: int, who: str, length: timedelta = LEASE) -> bool:
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
            .values(leased_until=at + length, leased_by=who)
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


def claim(database: Database, warehouse_id: int, printer_id: int, who: str = "") -> Work | None:
    """The oldest open job of the printer, marked as being sent, by ``who``. Order within a printer is kept (R35)."""
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
            if job.state is not PrintState.HELD:
                job.tries += 1
                job.started_by, job.next_at = who, at
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
                job.tries,
            )
            if job.state is not PrintState.HELD:
                job.state = PrintState.SENDING
            return work
        return None


def _set(job: PrintJob, state: PrintState, reason: str) -> None:
    job.state, job.reason, job.done_at = state, reason, now()


@dataclass(frozen=True, slots=True)
class Said:
    """What is known of a job after a try; ``base`` and ``after`` are odometer readings in labels.

    printed: on paper. waiting: nothing of it is in the printer, safe to try again. held: inside the printer, which
    will print it. unknown: ask a person. failed: known not to have come out, and trying again will not help.
    """

    state: PrintState
    reason: str = ""
    base: int | None = None
    after: int | None = None
    bytes_sent: int = 0


def record(database: Database, work: Work, said: Said) -> PrintState:
    """Write down what became of a try, as an attempt and on the job, in one transaction."""
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
                result=said.state.value,
                reason=said.reason,
                odometer_before=said.base,
                odometer_after=said.after,
                bytes_sent=said.bytes_sent,
            )
        )
        before = job.state
        if said.state is PrintState.PRINTED:
            _set(job, PrintState.PRINTED, "")
        elif said.state is PrintState.WAITING:
            # Nothing of it is in the printer: safe to send later, for as long as it is worth it.
            job.state, job.reason, job.base_odometer = PrintState.WAITING, said.reason, None
            job.next_at = at + RETRY.get(said.reason, SOON)
        elif said.state is PrintState.HELD:
            job.state, job.reason = PrintState.HELD, said.reason
            job.base_odometer = said.base if said.base is not None else job.base_odometer
            job.next_at = at + SOON
        else:
            _set(job, said.state, said.reason)
        printer.state = "ready" if said.state is PrintState.PRINTED else (said.reason or said.state.value)
        printer.seen_at = at if said.reason != "offline" else printer.seen_at
        if job.state is not before:
            journal.note(session, job, "state", before, f"{job.state} {said.reason}".strip())
        return job.state


def give_up_abandoned(database: Database, after: timedelta) -> int:
    """A packing page closed in the middle of a label never says what became of it: its packer is asked (R35)."""
    at, given_up = now(), 0
    with database.reading() as session:
        left = session.execute(
            select(PrintJob.warehouse_id, PrintJob.id)
            .join(Printer, and_(Printer.warehouse_id == PrintJob.warehouse_id, Printer.id == PrintJob.printer_id))
            .where(
                PrintJob.state == PrintState.SENDING,
                Printer.language.in_([PrinterLanguage(each) for each in components.PROVIDERS]),
                or_(Printer.leased_until.is_(None), Printer.leased_until < at),
                PrintJob.next_at < at - after,
            )
        ).all()
    for warehouse_id, job_id in left:
        with database.transaction(Actor(warehouse_id)) as session:
            job = session.get_one(PrintJob, (warehouse_id, job_id), with_for_update=True)
            if job.state is PrintState.SENDING:
                _set(job, PrintState.UNKNOWN, NOBODY_SAID)
                journal.note(session, job, "state", PrintState.SENDING, f"{PrintState.UNKNOWN} {NOBODY_SAID}")
                given_up += 1
    return given_up


def waiting_jobs(database: Database, warehouse_id: int) -> int:
    with database.reading() as session:
        return len(
            session.execute(
                select(PrintJob.id).where(and_(PrintJob.warehouse_id == warehouse_id, PrintJob.state.in_(OPEN)))
            ).all()
        )
