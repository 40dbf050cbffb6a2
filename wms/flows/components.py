"""Print components 打印组件: a packing page fetches its station's platform waybills, and says what became of them.

The page leases the printer, a claimed job counts as started before the page hands it to the component, and each try
has its own task id: so whatever is lost on the way – an answer, the page, the component – ends as a question to the
packer, never as a second label.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from wms import components, journal, print_lease
from wms.clock import now
from wms.db import Actor, Database
from wms.errors import N_, NotFound, Refusal, term
from wms.models import PrintAttempt, Printer, PrintJob, PrintState, Station

S = PrintState
LEASE = timedelta(seconds=20)
"""A page asks every few seconds, also while it prints; one that says nothing for so long is gone."""

Found = Literal["up", "absent", "no_printer", "busy"]
"""What the page finds on its PC: the component answers and knows the printer; it does not answer; it does not know
the printer; or the page is busy with a label and only keeps its lease."""

Result = Literal["printed", "failed", "unknown", "not_sent"]
WORDS = {"absent": "component_absent", "no_printer": "component_no_printer"}
NO_ANSWER = "component_silent"
COMPONENT_SAYS = "component_failed"
OTHER_PC = "component_other_pc"


class NotThisStation(Refusal):
    message = N_("This printer belongs to another station. Scan the code of your station again.")
    answer = "look"
    status = 409


class NoSuchTask(Refusal):
    message = N_("There is no such print task here.")
    status = 409


@dataclass(frozen=True, slots=True)
class Page:
    """A packing page: its device is a browser of one PC, ``tab`` outlives a reload, ``load`` is new with each."""

    warehouse_id: int
    device_id: int
    station_id: int
    tab: str
    load: str

    @property
    def holder(self) -> str:
        """Who holds the lease: a page loaded anew goes on with it."""
        return f"page:{self.device_id}:{self.tab}"

    @property
    def starter(self) -> str:
        """Who was given a task: only this load knows whether it passed it on."""
        return f"{self.holder}:{self.load}"


@dataclass(frozen=True, slots=True)
class Task:
    """One document for the component. ``id`` names the try, ``number`` the waybill."""

    id: str
    number: str
    document: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A task that was started and never ended. ``here`` is true when this very load of the page started it."""

    id: str
    here: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """``mine`` is false while another page serves this printer."""

    mine: bool
    task: Task | None = None
    ask: Asked | None = None


def printers(session: Session, warehouse_id: int, station: Station | None) -> list[tuple[Printer, components.Address]]:
    """The component printers of a station."""
    return print_lease.component_printers(session, warehouse_id, station.code) if station else []


def providers(session: Session, warehouse_id: int) -> list[str]:
    """The platforms whose waybills any station of this warehouse prints."""
    return sorted({whole.provider for _printer, whole in print_lease.component_printers(session, warehouse_id)})


def _printer(session: Session, page: Page, printer_id: int) -> Printer:
    printer = session.get(Printer, (page.warehouse_id, printer_id))
    station = session.get(Station, (page.warehouse_id, page.station_id))
    if printer is None or station is None:
        raise NotFound(what=term("The printer"))
    whole = components.parse(printer.uri)
    if whole is None or whole.station != station.code:
        raise NotThisStation()
    return printer


def next_task(database: Database, page: Page, printer_id: int, found: Found) -> Answer:
    """Lease the printer for this page and hand out its oldest job, or ask about one that never ended."""
    if found in WORDS and (away := _away(database, page, printer_id, WORDS[found])) is not None:
        return away
    if _nothing_new(database, page, printer_id, found):
        return Answer(mine=True)
    if not print_lease.lease(database, page.warehouse_id, printer_id, page.holder, LEASE):
        return Answer(mine=False)
    with database.transaction(Actor(page.warehouse_id)) as session:
        printer = _printer(session, page, printer_id)
        if printer.state != WORDS.get(found, "ready"):
            printer.state = WORDS.get(found, "ready")
        if found == "up":
            printer.seen_at = now()
        paused = printer.paused
        left = session.execute(_left(page, printer_id).with_for_update()).scalar_one_or_none()
        if left is not None:
            if left.started_by.startswith(f"page:{page.device_id}:"):
                return Answer(True, ask=Asked(_task_id(left), here=left.started_by == page.starter))
            # Another PC's component had it, and this one cannot be asked about that.
            _end(session, left, S.UNKNOWN, OTHER_PC)
    if paused or found != "up":
        return Answer(mine=True)
    work = print_lease.claim(database, page.warehouse_id, printer_id, who=page.starter)
    if work is None:
        return Answer(mine=True)
    with database.reading() as session:
        title = session.get_one(PrintJob, (page.warehouse_id, work.job_id)).title
    return Answer(True, task=Task(f"{work.job_id}-{work.attempt}", title.partition(" ")[0], work.payload.decode()))


def _left(page: Page, printer_id: int) -> Select[PrintJob]:
    """The task that was started at this printer and has no end."""
    return (
        select(PrintJob)
        .where(
            PrintJob.warehouse_id == page.warehouse_id,
            PrintJob.printer_id == printer_id,
            PrintJob.state == S.SENDING,
        )
        .order_by(PrintJob.id)
        .limit(1)
    )


def _away(database: Database, page: Page, printer_id: int, reason: str) -> Answer | None:
    """A page without a working component holds no lease: the phone in the packer's hand must not keep the bench's PC
    from printing. It says why the jobs wait, unless another page is at work. None where it must end a task it began.
    """
    with database.reading() as session:
        printer = _printer(session, page, printer_id)
        held = printer.leased_until is not None and printer.leased_until > now()
        if held and printer.leased_by != page.holder:
            return Answer(mine=False)
        left = session.execute(_left(page, printer_id)).scalar_one_or_none()
        if left is not None and left.started_by.startswith(f"page:{page.device_id}:"):
            return None
        waits = session.execute(_to_wait(page, printer_id, reason).limit(1)).first() is not None
        if not (held or waits or printer.state != reason):
            return Answer(mine=True)
    print_lease.give_up(database, page.warehouse_id, printer_id, page.holder)
    with database.transaction(Actor(page.warehouse_id)) as session:
        _printer(session, page, printer_id).state = reason
        _wait(session, page, printer_id, reason)
    return Answer(mine=True)


def _nothing_new(database: Database, page: Page, printer_id: int, found: Found) -> bool:
    """Most looks find nothing to do: they only read, so that a dozen benches do not keep the disk busy."""
    with database.reading() as session:
        printer = _printer(session, page, printer_id)
        fresh = printer.leased_until is not None and printer.leased_until - now() > LEASE / 2
        if printer.leased_by != page.holder or not fresh or printer.state != WORDS.get(found, "ready"):
            return False
        waits = (
            select(PrintJob.id)
            .where(
                PrintJob.warehouse_id == page.warehouse_id,
                PrintJob.printer_id == printer_id,
                PrintJob.state.in_(print_lease.OPEN),
            )
            .limit(1)
        )
        return session.execute(waits).first() is None


def _to_wait(page: Page, printer_id: int, reason: str) -> Select[PrintJob]:
    return select(PrintJob).where(
        PrintJob.warehouse_id == page.warehouse_id,
        PrintJob.printer_id == printer_id,
        PrintJob.state.in_((S.QUEUED, S.WAITING)),
        PrintJob.reason != reason,
    )


def _wait(session: Session, page: Page, printer_id: int, reason: str) -> None:
    """Jobs wait with what to do about it; they come by themselves when the component answers."""
    for job in session.execute(_to_wait(page, printer_id, reason).with_for_update()).scalars():
        before, job.state, job.reason, job.next_at = job.state, S.WAITING, reason, now()
        if before is not S.WAITING:
            journal.note(session, job, "state", before, f"{S.WAITING} {reason}")


def _task_id(job: PrintJob) -> str:
    return f"{job.id}-{job.attempt}"


def tell(database: Database, page: Page, printer_id: int, task: str, result: Result, words: str) -> PrintState:
    """Write down what became of a task; the same word twice changes nothing.

    "printed" is believed whenever it comes, also after a question to the packer. "not_sent" is believed only of the
    load that was given the task, and only while it counts as started.
    """
    job_id, _, tries = task.partition("-")
    if not (job_id.isascii() and job_id.isdigit() and len(job_id) < 20 and tries.isascii() and tries.isdigit()):
        raise NoSuchTask()
    with database.transaction(Actor(page.warehouse_id)) as session:
        _printer(session, page, printer_id)
        job = session.execute(
            select(PrintJob)
            .where(
                PrintJob.warehouse_id == page.warehouse_id,
                PrintJob.id == int(job_id),
                PrintJob.printer_id == printer_id,
            )
            .with_for_update()
        ).scalar_one_or_none()
        if job is None or int(tries) > job.attempt:
            raise NoSuchTask()
        if int(tries) < job.attempt:
            # A try that a person has since decided about: the paper may be there twice, so the book says so.
            if result == "printed":
                journal.note(session, job, "printed_late", task, words[:120])
            return job.state
        open_to = {
            "printed": tuple(state for state in S if state is not S.PRINTED),
            "failed": (S.SENDING, S.UNKNOWN),
            "unknown": (S.SENDING,),
            "not_sent": (S.SENDING,) if job.started_by == page.starter else (),
        }[result]
        if job.state not in open_to:
            return job.state
        if result == "printed":
            _end(session, job, S.PRINTED, "", words)
        elif result == "failed":
            _end(session, job, S.FAILED, COMPONENT_SAYS, words)
        elif result == "unknown":
            _end(session, job, S.UNKNOWN, NO_ANSWER, words)
        else:
            _end(session, job, S.WAITING, WORDS["absent"])
        return job.state


def _end(session: Session, job: PrintJob, state: PrintState, reason: str, words: str = "") -> None:
    """One try is over: its attempt, and the job's state."""
    at, words = now(), words.strip()[:200]
    printer = session.get_one(Printer, (job.warehouse_id, job.printer_id))
    session.add(
        PrintAttempt(
            warehouse_id=job.warehouse_id,
            job_id=job.id,
            at=at,
            printer_uri=printer.uri,
            sha256=job.sha256,
            result=state.value,
            reason=reason,
            detail=words,
            bytes_sent=0 if state is S.WAITING else len(job.payload),
        )
    )
    before = job.state
    job.state, job.reason, job.detail = state, reason, words
    job.done_at = None if state is S.WAITING else at
    job.next_at = at
    printer.state = "ready" if state is S.PRINTED else reason
    journal.note(session, job, "state", before, f"{state} {reason}".strip())


def leave(database: Database, page: Page, printer_id: int) -> None:
    """The page is closed: another one need not wait for the lease to run out."""
    print_lease.give_up(database, page.warehouse_id, printer_id, page.holder)
