"""The worker's printers: send what is queued, strictly in order, no blind second copy (R35)."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from printers.delivery import PRINTING_EACH_S, check_later, deliver
from printers.errors import PrinterError
from printers.languages import LANGUAGES, Language
from wms.clock import now
from wms.db import Database
from wms.models import PrintState
from wms.print_lease import BAD_ADDRESS, LEASE, Overtaken, Said, Work, begin, claim, give_up, lease, record

COMES_BACK = timedelta(minutes=3)
"""How long a printer that took a label and went away is waited for: a cable, a switch, a restart."""

EACH_COPY = timedelta(seconds=PRINTING_EACH_S)

log = logging.getLogger("wms.print_queue")


def _machine() -> str:
    """This machine among those that share the database."""
    return f"{socket.gethostname()[:12]}-{uuid.getnode() & 0xFFFFFF:06x}"


def holder() -> str:
    """Who holds a lease: one thread of one process, so that two threads never share a printer."""
    return f"{_machine()}:{os.getpid()}:{threading.get_native_id()}"


def left_behind(who: str) -> bool:
    """True for the lease of a process of this machine that is no more. To be asked before the first lease is taken."""
    machine, _, rest = who.partition(":")
    pid = rest.partition(":")[0]
    if machine != _machine() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return True  # a container's first process has the number of the one before it
    if os.name == "nt":
        return False  # os.kill would end whoever has that number now; the lease runs out by itself
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def carry_out(database: Database, work: Work) -> Said:
    """Speak to the printer: send the job, or look what became of one that is inside it. Raises Overtaken."""
    assert hashlib.sha256(work.payload).hexdigest() == work.sha256, "the bytes are not those that were queued"
    try:
        if work.state is PrintState.HELD:
            outcome = check_later(work.uri, work.base_odometer, work.copies, trust=work.trusted)
        else:
            outcome = deliver(
                work.uri,
                work.payload,
                copies=work.copies,
                answers=work.answers,
                trust=work.trusted,
                expect_length_dots=work.height_dots,
                language=_drawn_in(work),
                first_byte=partial(begin, database, work),
            )
    except PrinterError as error:
        # A bad address is known to have printed nothing.
        return Said(PrintState.FAILED if error.permanent else PrintState.WAITING, BAD_ADDRESS)
    state = PrintState(outcome.state.value)
    lately = work.started_at is None or now() - work.started_at < COMES_BACK
    if state is PrintState.UNKNOWN and outcome.reason == "offline" and outcome.base is not None and lately:
        # It counts: when it is back it can tell. Only a printer that stays away is asked about.
        state = PrintState.HELD
    return Said(state, outcome.reason, outcome.base, outcome.after, outcome.bytes_sent)


def _drawn_in(work: Work) -> Language:
    for language in LANGUAGES:
        if work.language.value == language:
            return language
    raise AssertionError("a component's document was given to the worker")


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
            try:
                # A job of very many copies takes longer than the usual lease: nobody else may begin meanwhile.
                if work.copies > 1 and not lease(
                    database, warehouse_id, printer_id, who, LEASE + EACH_COPY * work.copies
                ):
                    break
                said = carry_out(database, work)
                state = record(database, work, said)
            except Overtaken:
                log.warning("job %s on %s: another worker took it over", work.job_id, work.uri)
                break
            log.info("job %s on %s: %s %s", work.job_id, work.uri, state, said.reason)
            if state is PrintState.PRINTED:
                printed += 1
            elif state in (PrintState.WAITING, PrintState.HELD):
                break  # those behind it wait: order is kept
            if not lease(database, warehouse_id, printer_id, who):
                break
    finally:
        give_up(database, warehouse_id, printer_id, who)
    return printed
