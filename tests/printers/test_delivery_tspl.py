"""A TSPL printer counts no labels: what it was not seen to print is asked about, and never sent twice (R35)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from printers import layouts, tspl
from printers.delivery import Outcome, State, deliver
from printers.status import parse_tspl_status
from tests.printers import tspl_interpreter
from tests.printers.fake_printer import FakePrinter, Mode

JOB = tspl.build(layouts.location_label("L-A-01-02-03", "47"))
QUICK: dict[str, Any] = {"connect_s": 0.5, "answer_s": 0.4, "settle_s": 0.05, "printing_s": 1.0}


@pytest.fixture
def gprinter() -> Iterator[FakePrinter]:
    with FakePrinter(tspl=True) as one:
        yield one


def send(printer: FakePrinter, job: bytes = JOB, **more: Any) -> Outcome:
    return deliver(printer.uri, job, language="tspl", **{**QUICK, **more})


def test_a_label_that_was_seen_printing_is_printed(gprinter: FakePrinter):
    end = send(gprinter)
    assert (end.state, end.reason, end.bytes_sent) == (State.PRINTED, "", len(JOB))
    assert gprinter.labels == [JOB]
    assert len(tspl_interpreter.render(gprinter.labels[0])) == 1


def test_copies_come_out_as_many_as_asked(gprinter: FakePrinter):
    assert send(gprinter, tspl.build(layouts.tote_label("T-1"), copies=3), copies=3).state is State.PRINTED
    assert len(gprinter.labels) == 3


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (Mode.PAPER_OUT, "paper_out"),
        (Mode.HEAD_OPEN, "head_open"),
        (Mode.RIBBON_OUT, "ribbon_out"),
        (Mode.PAUSED, "paused"),
        (Mode.REFUSE, "offline"),
        (Mode.SILENT, "no_answer"),
        (Mode.GARBAGE, "no_answer"),
    ],
)
def test_nothing_goes_to_a_printer_that_is_not_ready(gprinter: FakePrinter, mode: Mode, reason: str):
    gprinter.mode = mode
    end = send(gprinter)
    assert (end.state, end.reason, end.bytes_sent) == (State.WAITING, reason, 0)
    assert gprinter.jobs == []


def test_paper_that_ends_on_the_way_is_asked_about(gprinter: FakePrinter):
    gprinter.mode = Mode.PAPER_OUT_DURING
    end = send(gprinter)
    assert (end.state, end.reason) == (State.UNKNOWN, "paper_out")
    gprinter.mode = Mode.OK
    assert gprinter.wait_for_labels(1)
    assert gprinter.labels == [JOB], "it came out by itself, and no second one"


@pytest.mark.parametrize(("mode", "reasons"), [(Mode.RESET_AFTER, {"reset"}), (Mode.HANG, {"no_answer"})])
def test_a_line_that_breaks_with_bytes_on_the_way_is_asked_about(gprinter: FakePrinter, mode: Mode, reasons: set[str]):
    gprinter.mode, gprinter.reset_bytes = mode, 1500
    end = send(gprinter)
    assert end.state is State.UNKNOWN
    assert end.reason in reasons
    assert len(gprinter.jobs) <= 1


def test_a_printer_that_took_the_job_and_was_never_seen_printing_is_asked_about(
    gprinter: FakePrinter, monkeypatch: pytest.MonkeyPatch
):
    """Some makes throw a job away at a word that they do not know, and stay ready."""
    monkeypatch.setattr(gprinter, "_print_waiting", lambda: None)
    end = send(gprinter)
    assert (end.state, end.reason) == (State.UNKNOWN, "not_printed")
    monkeypatch.undo()
    assert send(gprinter, trust=True).state is State.PRINTED


def test_a_printer_without_a_way_back_is_not_waited_for(gprinter: FakePrinter):
    assert send(gprinter, answers=False).state is State.UNKNOWN
    assert send(gprinter, answers=False, trust=True).state is State.PRINTED


@pytest.mark.parametrize(
    ("answer", "fault", "printing"),
    [
        (b"\0", "", False),
        (b"\x20", "", True),
        (b"\x04", "paper_out", False),
        (b"\x05", "head_open", False),
        (b"\x10", "paused", False),
        (b"\x80", "fault", False),
        (b"\x24", "paper_out", True),
    ],
)
def test_the_one_byte_of_the_manual_is_understood(answer: bytes, fault: str, printing: bool):
    seen = parse_tspl_status(answer)
    assert seen is not None
    assert (seen.fault, seen.printing) == (fault, printing)


@pytest.mark.parametrize("answer", [b"", b"\x02030,0,0", b"\x40", b"HS"])
def test_anything_else_is_no_answer(answer: bytes):
    assert parse_tspl_status(answer) is None
