"""Send one job and find out what became of it, so that no label is lost and none comes out twice (R35)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from printers import os_queue, status
from printers.errors import PrinterOffline
from printers.languages import Language
from printers.os_queue import Fate, OsQueue
from printers.transport import Transport, open_printer, reports

CONNECT_S = 2.0
ANSWER_S = 3.0
# A label takes a second or two; a long address list on a cold head takes more.
PRINTING_S = 12.0
PRINTING_EACH_S = 4.0
# Twice the same answer with this much time between: nothing is on its way through the printer's buffers.
SETTLE_S = 1.0
# A queue passes a label on in well under a second; one that does not is waiting for its printer.
QUEUE_S = 8.0
RECONNECT_TRIES = 3
_POLL_S = 0.05
# The printer measures gap to gap; media a size apart differ by 20 mm and more.
_MEDIA_TOLERANCE = 0.05


class State(StrEnum):
    """What is known of a job after a try."""

    PRINTED = "printed"
    WAITING = "waiting"
    HELD = "held"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one try.

    printed: on paper. waiting: nothing of it is in the printer, safe to try again.
    held: inside the printer (or its queue), which will print it; do not send again. unknown: ask a person.
    `base` and `after` are odometer readings in labels; for os:// `base` is the spooler's number of the job.
    """

    state: State
    reason: str = ""
    base: int | None = None
    after: int | None = None
    bytes_sent: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Try:
    """What is known so far of one try."""

    uri: str
    copies: int
    base: int | None
    began: float
    bytes_sent: int = 0

    def ends(self, state: State, reason: str = "", after: int | None = None) -> Outcome:
        seconds = round(time.monotonic() - self.began, 3)
        return Outcome(state, reason, self.base, after, self.bytes_sent, seconds)


def _unheard(_base: int | None) -> None:
    """For a caller who keeps no book of what was begun."""


def deliver(
    uri: str,
    job: bytes,
    copies: int = 1,
    expect_length_dots: int | None = None,
    answers: bool = True,
    trust: bool = False,
    connect_s: float = CONNECT_S,
    answer_s: float = ANSWER_S,
    printing_s: float = PRINTING_S,
    settle_s: float = SETTLE_S,
    language: Language = "zpl",
    first_byte: Callable[[int | None], None] = _unheard,
) -> Outcome:
    """Print a job of `copies` labels once. Times in seconds, lengths in dots. Never raises PrinterOffline.

    `answers` is False for a network printer known to have no way back; `trust` then takes "sent" for
    "printed", and does so too where a printer answers but counts no labels. TSPL printers count none: there
    the proof is that it was seen printing and then ready, and whatever breaks in between is asked about.
    An os:// queue can only pass on: `trust` decides whether that is printed or asked about.

    `first_byte` is called with the odometer's reading when all is well and the next thing done is to send: who writes
    it down first can tell after a crash whether anything was sent, and by the count whether it came out. What it
    raises stops the try.
    """
    this = _Try(uri, copies, None, time.monotonic())
    try:
        printer = open_printer(uri, connect_s)
    except PrinterOffline as error:
        return this.ends(State.WAITING, error.reason)
    with printer:
        if isinstance(printer, OsQueue):
            return _send_queued(this, printer, job, trust, first_byte, printing_s=QUEUE_S)
        if not (reports(uri) and answers):
            return _send_blind(this, printer, job, trust, first_byte)
        if language == "tspl":
            printing_s += PRINTING_EACH_S * (copies - 1)
            return _send_tspl(this, printer, job, trust, answer_s, printing_s, first_byte)
        try:
            reason = _not_ready(printer, expect_length_dots, answer_s)
            if reason:
                return this.ends(State.WAITING, reason)
            this.base = status.odometer(printer, answer_s)
        except PrinterOffline as error:
            return this.ends(State.WAITING, error.reason)
        if this.base is None and not trust:
            # Without the count there would be no proof afterwards.
            return this.ends(State.WAITING, "no_odometer")
        first_byte(this.base)
        try:
            printer.send(job)
        except PrinterOffline as error:
            this.bytes_sent = printer.bytes_sent
            if not this.bytes_sent:
                return this.ends(State.WAITING, error.reason)
            printer.close()
            return _after_break(this, error.reason, connect_s, answer_s, settle_s)
        this.bytes_sent = printer.bytes_sent
        try:
            seen = _watch(this, printer, answer_s, printing_s + PRINTING_EACH_S * (copies - 1))
        except PrinterOffline as error:
            seen = this.ends(State.UNKNOWN, error.reason)
    if seen.state is State.UNKNOWN and seen.reason in ("reset", "no_answer"):
        return _after_break(this, seen.reason, connect_s, answer_s, settle_s)
    return seen


def check_later(
    uri: str,
    base_odometer: int | None,
    copies: int = 1,
    connect_s: float = CONNECT_S,
    answer_s: float = ANSWER_S,
    settle_s: float = SETTLE_S,
    trust: bool = False,
) -> Outcome:
    """Look again at a job that ended held or unknown, without sending anything of it.

    Ends `waiting` (with reason "lost") only where the printer is sound and empty and counted no label more.
    """
    this = _Try(uri, copies, base_odometer, time.monotonic())
    if uri.startswith("os:") and base_odometer is not None:
        try:
            fate, trouble = os_queue.look(uri, base_odometer)
        except PrinterOffline as error:
            return this.ends(State.HELD, error.reason)
        return _judge_queued(this, fate, trouble, trust)
    if not reports(uri):
        return this.ends(State.UNKNOWN, "no_answer")
    return _look(this, "lost", connect_s, answer_s, settle_s)


def _send_queued(
    this: _Try, queue: OsQueue, job: bytes, trust: bool, first_byte: Callable[[int | None], None], printing_s: float
) -> Outcome:
    first_byte(None)
    try:
        queue.send(job)
    except PrinterOffline as error:
        this.bytes_sent = queue.bytes_sent
        return this.ends(State.UNKNOWN if this.bytes_sent else State.WAITING, error.reason)
    this.bytes_sent, this.base = queue.bytes_sent, queue.number
    ends, pause = time.monotonic() + printing_s, _POLL_S
    try:
        while (fate := queue.fate()) is Fate.IN_QUEUE and time.monotonic() < ends:
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        return _judge_queued(this, fate, queue.trouble(), trust)
    except PrinterOffline as error:
        # The spooler fell silent with the job in its hands.
        return this.ends(State.HELD if this.base is not None else State.UNKNOWN, error.reason)


def _judge_queued(this: _Try, fate: Fate, trouble: str, trust: bool) -> Outcome:
    """What the spooler's word is worth: passed on is not printed, unless an admin said that here it is."""
    if fate is Fate.IN_QUEUE:
        return this.ends(State.HELD, trouble or "in_queue")
    if fate is Fate.PASSED_ON:
        return this.ends(State.PRINTED) if trust else this.ends(State.UNKNOWN, "passed_on")
    return this.ends(State.UNKNOWN, "cancelled_there" if fate is Fate.CANCELLED else "no_trace")


def _send_blind(
    this: _Try, printer: Transport, job: bytes, trust: bool, first_byte: Callable[[int | None], None]
) -> Outcome:
    first_byte(None)
    try:
        printer.send(job)
    except PrinterOffline as error:
        this.bytes_sent = printer.bytes_sent
        return this.ends(State.UNKNOWN if this.bytes_sent else State.WAITING, error.reason)
    this.bytes_sent = printer.bytes_sent
    if trust or not reports(this.uri):
        return this.ends(State.PRINTED)
    return this.ends(State.UNKNOWN, "no_answer")


def _send_tspl(
    this: _Try,
    printer: Transport,
    job: bytes,
    trust: bool,
    answer_s: float,
    printing_s: float,
    first_byte: Callable[[int | None], None],
) -> Outcome:
    try:
        now = status.tspl_status(printer, answer_s)
        reason = "no_answer" if now is None else now.fault or ("busy" if now.printing else "")
        if reason:
            return this.ends(State.WAITING, reason)
        first_byte(None)
        printer.send(job)
    except PrinterOffline as error:
        this.bytes_sent = printer.bytes_sent
        return this.ends(State.UNKNOWN if this.bytes_sent else State.WAITING, error.reason)
    this.bytes_sent = printer.bytes_sent
    ends, printed = time.monotonic() + printing_s, False
    try:
        while True:
            now = status.tspl_status(printer, answer_s)
            if now is None:
                return this.ends(State.UNKNOWN, "no_answer")
            if now.fault:
                # Whether it prints the label again once it is cured is a setting of the printer.
                return this.ends(State.UNKNOWN, now.fault)
            if not now.printing and (printed or trust):
                return this.ends(State.PRINTED)
            printed = printed or now.printing
            if time.monotonic() >= ends:
                return this.ends(State.UNKNOWN, "busy" if now.printing else "not_printed")
            time.sleep(_POLL_S)
    except PrinterOffline as error:
        return this.ends(State.UNKNOWN, error.reason)


def _not_ready(printer: Transport, expect_length_dots: int | None, answer_s: float) -> str:
    """Why not one byte should go now, in one word; empty when all is well."""
    now = status.host_status(printer, answer_s)
    if now is None:
        # With paper out or the head open many printers keep silent on ~HS, but name the fault on ~HQES.
        faults = status.errors(printer, answer_s)
        return min(faults) if faults else "no_answer"
    if now.fault:
        return now.fault
    if now.partial_format:
        return "partial_job"
    if not now.idle:
        return "busy"
    if expect_length_dots and now.label_length_dots:
        off = abs(now.label_length_dots - expect_length_dots)
        return "wrong_media" if off > expect_length_dots * _MEDIA_TOLERANCE else ""
    return ""


def _watch(this: _Try, printer: Transport, answer_s: float, printing_s: float) -> Outcome:
    """Ask on the same connection until the labels are out. Raises PrinterOffline."""
    ends = time.monotonic() + printing_s
    pause = _POLL_S
    while True:
        now = status.host_status(printer, answer_s)
        if now is None:
            return this.ends(State.UNKNOWN, "no_answer")
        count = status.odometer(printer, answer_s) if this.base is not None else None
        if this.base is not None and count is None:
            return this.ends(State.UNKNOWN, "no_answer")
        out = count is None or this.base is None or count >= this.base + this.copies
        if now.idle and out and (count is not None or not now.fault):
            return this.ends(State.PRINTED, after=count)
        if now.fault:
            return this.ends(State.HELD, now.fault, count)
        if time.monotonic() >= ends:
            if not now.idle:
                return this.ends(State.HELD, "busy", count)
            # Empty, sound, and fewer labels than asked for: nobody knows where the job went.
            return this.ends(State.UNKNOWN, "not_printed" if count == this.base else "part_printed", count)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def _after_break(this: _Try, reason: str, connect_s: float, answer_s: float, settle_s: float) -> Outcome:
    """The line was cut with bytes on the way: the odometer tells, if the printer comes back."""
    seen = this.ends(State.UNKNOWN, reason)
    for _ in range(RECONNECT_TRIES):
        seen = _look(this, reason, connect_s, answer_s, settle_s)
        if seen.state is not State.UNKNOWN or seen.reason != "offline":
            break
        time.sleep(settle_s)
    if seen.state is State.UNKNOWN and seen.reason in ("offline", "reset", "no_answer"):
        return this.ends(State.UNKNOWN, reason, seen.after)
    return seen


def _look(this: _Try, lost: str, connect_s: float, answer_s: float, settle_s: float) -> Outcome:
    """Judge a job by status and odometer on a new connection. `lost` names a job proven not printed."""
    ends = time.monotonic() + PRINTING_S
    quiet_before: int | None = None
    try:
        with open_printer(this.uri, connect_s) as printer:
            while True:
                now = status.host_status(printer, answer_s)
                if now is None:
                    faults = status.errors(printer, answer_s)
                    return this.ends(State.UNKNOWN, min(faults) if faults else "no_answer")
                count = status.odometer(printer, answer_s)
                if this.base is None or count is None:
                    return this.ends(State.UNKNOWN, "no_odometer", count)
                seen = _judge(this, now, this.base, count)
                if seen is not None:
                    return seen
                if now.idle and quiet_before == count:
                    # Twice empty with the same count: what was lost stays lost.
                    if count == this.base:
                        return this.ends(State.WAITING, lost, count)
                    return this.ends(State.UNKNOWN, "part_printed", count)
                if not now.idle and time.monotonic() >= ends:
                    return this.ends(State.HELD, "busy", count)
                quiet_before = count if now.idle else None
                time.sleep(settle_s)
    except PrinterOffline as error:
        return this.ends(State.UNKNOWN, error.reason)


def _judge(this: _Try, now: status.Status, base: int, count: int) -> Outcome | None:
    """What one look proves; None when another one is needed."""
    if count < base:
        return this.ends(State.UNKNOWN, "other_printer", count)
    if count > base + this.copies:
        return this.ends(State.UNKNOWN, "other_labels", count)
    if count == base + this.copies and now.idle:
        return this.ends(State.PRINTED, after=count)
    if now.fault:
        return this.ends(State.HELD, now.fault, count)
    if now.partial_format:
        return this.ends(State.UNKNOWN, "partial_job", count)
    return None
