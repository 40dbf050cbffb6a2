"""The worker's printers: send what is queued, strictly in order, no blind second copy (R35)."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
from collections.abc import Callable

from printers.delivery import check_later, deliver
from printers.errors import PrinterError
from printers.languages import LANGUAGES, Language
from wms.db import Database
from wms.models import PrintState
from wms.print_lease import BAD_ADDRESS, Said, Work, claim, give_up, lease, record

log = logging.getLogger("wms.print_queue")


def holder() -> str:
    """Who holds a lease: one thread of one process, so that two threads never share a printer."""
    return f"{socket.gethostname()[:16]}:{os.getpid()}:{threading.get_native_id()}"


def carry_out(work: Work) -> Said:
    """Speak to the printer: send the job, or look what became of one that is inside it."""
    assert hashlib.sha256(work.payload).hexdigest() == work.sha256, "the bytes are not those that were queued"
    try:
        if work.state is PrintState.HELD:
            outcome = check_later(work.uri, work.base_odometer, work.copies)
        else:
            outcome = deliver(
                work.uri,
                work.payload,
                copies=work.copies,
                answers=work.answers,
                expect_length_dots=work.height_dots,
                language=_drawn_in(work),
            )
    except PrinterError as error:
        # A bad address is known to have printed nothing.
        return Said(PrintState.FAILED if error.permanent else PrintState.WAITING, BAD_ADDRESS)
    return Said(PrintState(outcome.state.value), outcome.reason, outcome.base, outcome.after, outcome.bytes_sent)


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
            said = carry_out(work)
            state = record(database, work, said)
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
