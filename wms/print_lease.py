"""One lease a printer, its oldest job first, and what became of it (R35): shared by all who send labels.

The worker sends to network printers and folders; a station agent and a packing PC fetch theirs over http. Claim and
commit, send, record and commit: no transaction is open while a printer is spoken to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, or_, select, update
from sqlalchemy.orm import Session

from wms import components, journal
from wms.clock import now
from wms.db import Actor, Database
from wms.models import PrintAttempt, Printer, PrinterLanguage, PrintJob, PrintState
from wms.models.base import UtcTime

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
    trusted: bool
    language: PrinterLanguage
    payload: bytes
    sha256: str
    copies: int
    height_dots: int
    state: PrintState
    base_odometer: int | None
    attempt: int
    started_at: datetime | None


class Overtaken(Exception):
    """Somebody else took the job over while this one hesitated; nothing of it may be sent here."""


def of(printer: Printer, job: PrintJob, attempt: int | None = None) -> Work:
    """The job as it stands, copied out, for its newest attempt or an earlier one."""
    return Work(
        printer.warehouse_id,
        job.id,
        printer.id,
        printer.uri,
        printer.answers,
        printer.trusted,
        job.language,
        job.payload,
        job.sha256,
        job.copies,
        round(printer.height_mm * printer.dpi / 25.4),
        job.state,
        job.base_odometer,
        job.attempt if attempt is None else attempt,
        job.started_at,
    )


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


def renew(database: Database, warehouse_id: int, printer_id: int, who: str) -> bool:
    """Hold on to a lease; False when it is somebody else's, or nobody's."""
    with database.transaction(Actor(warehouse_id)) as session:
        held: int = session.execute(
            update(Printer)
            .where(Printer.warehouse_id == warehouse_id, Printer.id == printer_id, Printer.leased_by == who)
            .values(leased_until=now() + LEASE)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
    return held == 1


def printers_to_fetch(
    database: Database, warehouse_id: int, address: str, who: str, busy: Collection[int]
) -> tuple[list[int], list[int]]:
    """Printers whose address begins with ``address``: those with a job for ``who`` now, and busy ones soon to renew."""
    at = now()
    asked = {"warehouse": warehouse_id, "address": _beginning(address), "who": who, "at": at}
    with database.engine.connect() as connection:
        reading = connection.execution_options(reads=True)
        due = reading.execute(_TO_FETCH, asked).scalars().all()
        held = reading.execute(_HELD, {**asked, "soon": at + LEASE * 2 / 3}).scalars().all() if busy else ()
    return [printer_id for printer_id in due if printer_id not in busy], [i for i in held if i in busy]


def _beginning(text: str) -> str:
    """A LIKE pattern for texts that begin so."""
    for sign in ("\\", "%", "_"):
        text = text.replace(sign, "\\" + sign)
    return text + "%"


# Made once: an idle agent asks several times a second, and making a statement costs more than running it.
_MINE = (Printer.warehouse_id == bindparam("warehouse"), Printer.uri.like(bindparam("address"), escape="\\"))
_TO_FETCH = (
    select(Printer.id)
    .where(
        *_MINE,
        Printer.paused.is_(False),
        or_(
            Printer.leased_until.is_(None),
            Printer.leased_until < bindparam("at", type_=UtcTime),
            Printer.leased_by == bindparam("who"),
        ),
        select(PrintJob.id)
        .where(
            PrintJob.warehouse_id == Printer.warehouse_id,
            PrintJob.printer_id == Printer.id,
            PrintJob.state.in_(OPEN),
            PrintJob.next_at <= bindparam("at", type_=UtcTime),
        )
        .exists(),
    )
    .order_by(Printer.id)
)
_HELD = select(Printer.id).where(
    *_MINE, Printer.leased_by == bindparam("who"), Printer.leased_until < bindparam("soon", type_=UtcTime)
)


def fetch(database: Database, warehouse_id: int, printer_id: int, who: str) -> Work | None:
    """The next job of a printer for who stands beside it; the lease stays with them until they report.

    ``who`` names a journal, not a process: whoever holds the lease already gets the attempt handed out again that was
    lost on the way, and tells by the journal whether it began.
    """
    again = renew(database, warehouse_id, printer_id, who)
    if not again and not lease(database, warehouse_id, printer_id, who):
        return None
    work = claim(database, warehouse_id, printer_id, resume=again)
    if work is None:
        give_up(database, warehouse_id, printer_id, who)
    return work


def give_up(database: Database, warehouse_id: int, printer_id: int, who: str) -> None:
    with database.transaction(Actor(warehouse_id)) as session:
        session.execute(
            update(Printer)
            .where(Printer.warehouse_id == warehouse_id, Printer.id == printer_id, Printer.leased_by == who)
            .values(leased_until=None, leased_by="")
            .execution_options(synchronize_session=False)
        )


def claim(database: Database, warehouse_id: int, printer_id: int, resume: bool = False, who: str = "") -> Work | None:
    """The oldest open job of the printer, marked as being sent, by ``who``. Order within a printer is kept (R35).

    ``resume`` hands a job that is being sent out again, as the same attempt: only to who keeps a journal of the
    attempts it began, so that an answer lost on the way is no question to a person.
    """
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
            if job.state is PrintState.SENDING and resume:
                return of(printer, job)
            if job.state is PrintState.SENDING and not _resumed(job, printer):
                continue
            if job.next_at > at:
                return None
            # The printer was set to another language, or the job was moved: its bytes would come out as waste.
            if job.state is not PrintState.HELD and job.language is not printer.language:
                _set(job, PrintState.FAILED, OTHER_LANGUAGE)
                continue
            job.attempt += 1
            if job.state is not PrintState.HELD:
                job.started_by, job.next_at = who, at
            if job.state is not PrintState.HELD:
                job.state, job.started_at, job.base_odometer = PrintState.SENDING, None, None
            return of(printer, job)
        return None


def _resumed(job: PrintJob, printer: Printer) -> bool:
    """What a sender that died between claim and record left behind: False when only a person can tell.

    Not begun: it is sent. Begun at a printer that counts: the count tells, as of a job that lies inside it. Else
    the bytes may have gone, and it is never sent again by itself. Who fetches a job keeps its beginning in a journal of
    its own, which is not here to be read.
    """
    fetched = printer.uri.partition(":")[0] in FETCHED
    if job.started_at is None and not fetched:
        return True
    if fetched or job.base_odometer is None or not printer.answers:
        _set(job, PrintState.UNKNOWN, LOST_LEASE_REASON)
        return False
    job.state, job.reason = PrintState.HELD, LOST_LEASE_REASON
    return True


def begin(database: Database, work: Work, base_odometer: int | None) -> None:
    """Write down that the first byte is about to go. Raises Overtaken when the job is no longer ours to send."""
    with database.transaction(Actor(work.warehouse_id)) as session:
        begun: int = session.execute(
            update(PrintJob)
            .where(
                PrintJob.warehouse_id == work.warehouse_id,
                PrintJob.id == work.job_id,
                PrintJob.state == PrintState.SENDING,
                PrintJob.attempt == work.attempt,
                PrintJob.started_at.is_(None),
            )
            .values(started_at=now(), base_odometer=base_odometer)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
    if begun != 1:
        raise Overtaken()


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
    """Write down what became of a try, as an attempt and on the job, in one transaction.

    Told twice, it is written once. Told late it answers the question a lost lease left, unless a person has answered
    meanwhile or a new try began: then only the attempt is written.
    """
    at = now()
    with database.transaction(Actor(work.warehouse_id)) as session:
        job = session.get_one(PrintJob, (work.warehouse_id, work.job_id), with_for_update=True)
        printer = session.get_one(Printer, (work.warehouse_id, work.printer_id))
        if session.execute(
            select(PrintAttempt.id).where(
                PrintAttempt.warehouse_id == work.warehouse_id,
                PrintAttempt.job_id == work.job_id,
                PrintAttempt.attempt == work.attempt,
            )
        ).first():
            return job.state
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
                attempt=work.attempt,
            )
        )
        if job.attempt != work.attempt or job.state not in (PrintState.SENDING, PrintState.HELD, PrintState.UNKNOWN):
            return job.state
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


def free(database: Database, gone: Callable[[str], bool]) -> int:
    """Give back the leases of holders that are gone, so that nobody waits for them to run out; returns how many."""
    with database.reading() as session:
        held = session.execute(
            select(Printer.warehouse_id, Printer.id, Printer.leased_by).where(Printer.leased_by != "")
        ).all()
    dead = [row for row in held if gone(row.leased_by)]
    for warehouse_id, printer_id, who in dead:
        give_up(database, warehouse_id, printer_id, who)
    return len(dead)


def ask_about_abandoned(database: Database) -> int:
    """Jobs fetched by a station agent whose lease ran out: nobody knows, so a person is asked. Returns how many.

    Where the worker sends, ``claim`` does this; for a printer that is fetched from, nobody else would.
    """
    at = now()
    with database.reading() as session:
        found = [
            (row[0], row[1])
            for row in session.execute(
                select(PrintJob.warehouse_id, PrintJob.id)
                .join(Printer, and_(Printer.warehouse_id == PrintJob.warehouse_id, Printer.id == PrintJob.printer_id))
                .where(
                    PrintJob.state == PrintState.SENDING,
                    Printer.uri.like("agent:%"),
                    or_(Printer.leased_until.is_(None), Printer.leased_until < at),
                )
            )
        ]
    asked = 0
    for warehouse_id, job_id in found:
        with database.transaction(Actor(warehouse_id)) as session:
            job = session.get_one(PrintJob, (warehouse_id, job_id), with_for_update=True)
            printer = session.get_one(Printer, (warehouse_id, job.printer_id), with_for_update=True)
            if job.state is PrintState.SENDING and (printer.leased_until is None or printer.leased_until < at):
                _set(job, PrintState.UNKNOWN, LOST_LEASE_REASON)
                journal.note(session, job, "state", PrintState.SENDING, f"{job.state} {LOST_LEASE_REASON}")
                asked += 1
    return asked


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
