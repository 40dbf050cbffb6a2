"""Whatever the printer does, a label is neither lost nor printed twice (R35)."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from printers import zpl
from printers.delivery import Outcome, State, check_later, deliver
from printers.errors import PrinterError
from printers.label import Label
from printers.layouts import location_label
from printers.transport import memory
from tests.printers.fake_printer import FakePrinter, Mode

JOB = zpl.build(Label((799, 1199)).text(20, 20, "收 张* " + "望京街道阜通东大街" * 8, 60, width=700, lines=10))
QUICK: dict[str, Any] = {"connect_s": 0.5, "answer_s": 0.4, "settle_s": 0.05}
SEND: dict[str, Any] = {**QUICK, "printing_s": 3.0}


def send(printer: FakePrinter, **more: Any) -> Outcome:
    return deliver(printer.uri, JOB, **{**SEND, **more})


def test_the_job_is_large_enough_to_be_cut_in_the_middle():
    assert len(JOB) > 3000


def test_a_sound_printer_prints_once_and_the_odometer_proves_it(printer: FakePrinter):
    end = send(printer)
    assert (end.state, end.reason, end.base, end.after) == (State.PRINTED, "", 1000, 1001)
    assert end.bytes_sent == len(JOB)
    assert printer.labels == [JOB]


def test_copies_are_counted(printer: FakePrinter):
    job = zpl.build(Label((400, 200)).text(10, 10, "tote"), copies=3)
    end = deliver(printer.uri, job, 3, **SEND)
    assert (end.state, end.after) == (State.PRINTED, 1003)
    assert len(printer.labels) == 3


def test_a_slow_printer_is_waited_for():
    with FakePrinter(Mode.SLOW) as printer:
        assert send(printer, answer_s=2.0).state is State.PRINTED
        assert len(printer.labels) == 1


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (Mode.REFUSE, "offline"),
        (Mode.BLACK_HOLE, "offline"),
        (Mode.PAPER_OUT, "paper_out"),
        (Mode.HEAD_OPEN, "head_open"),
        (Mode.RIBBON_OUT, "ribbon_out"),
        (Mode.PAUSED, "paused"),
        (Mode.SILENT_FAULT, "paper_out"),
        (Mode.SILENT, "no_answer"),
        (Mode.GARBAGE, "no_answer"),
    ],
)
def test_a_printer_that_is_not_known_to_be_sound_gets_not_one_byte_and_one_label_after_the_cure(
    mode: Mode, reason: str
):
    with FakePrinter(mode) as printer:
        first = send(printer)
        assert (first.state, first.reason, first.bytes_sent) == (State.WAITING, reason, 0)
        assert printer.received == b""
        printer.mode = Mode.OK
        assert printer.labels == []
        assert send(printer).state is State.PRINTED
        assert printer.labels == [JOB]


@pytest.mark.parametrize("loaded", [1039, 1050, 1400])
def test_a_label_for_other_paper_is_refused_before_a_byte(loaded: int):
    with FakePrinter(label_length_dots=loaded) as printer:
        end = send(printer, expect_length_dots=1199)
        assert (end.state, end.reason) == (State.WAITING, "wrong_media")
        assert printer.received == b""


@pytest.mark.parametrize("loaded", [1199, 1190, 1225, 0])
def test_paper_of_about_the_right_length_is_taken(loaded: int):
    with FakePrinter(label_length_dots=loaded) as printer:
        assert send(printer, expect_length_dots=1199).state is State.PRINTED


def test_paper_that_ends_during_the_job_leaves_it_held_and_it_comes_out_once_when_paper_is_in():
    with FakePrinter(Mode.PAPER_OUT_DURING) as printer:
        end = send(printer)
        assert (end.state, end.reason, end.bytes_sent) == (State.HELD, "paper_out", len(JOB))
        assert check_later(printer.uri, end.base, **QUICK).state is State.HELD
        printer.mode = Mode.OK
        assert printer.wait_for_labels(1)
        later = check_later(printer.uri, end.base, **QUICK)
        assert (later.state, later.after) == (State.PRINTED, 1001)
        assert printer.labels == [JOB]


def test_a_held_job_that_was_lost_with_the_power_is_found_lost_and_may_be_sent_again():
    with FakePrinter(Mode.PAPER_OUT_DURING) as printer:
        end = send(printer)
        printer.switch_off()
        assert check_later(printer.uri, end.base, **QUICK) == _like(State.UNKNOWN, "offline", end.base)
        printer.mode = Mode.OK
        assert check_later(printer.uri, end.base, **QUICK).state is State.WAITING
        assert send(printer).state is State.PRINTED
        assert len(printer.labels) == 1


def test_a_line_cut_in_the_middle_is_proven_not_printed_and_may_be_sent_again():
    with FakePrinter(Mode.RESET_AFTER) as printer:
        end = send(printer)
        assert (end.state, end.reason) == (State.WAITING, "reset")
        assert end.bytes_sent > 0
        assert printer.labels == []
        assert send(printer).state is State.PRINTED
        assert len(printer.labels) == 1


def test_a_line_cut_after_the_whole_job_is_proven_printed_and_not_sent_again():
    with FakePrinter(Mode.RESET_LATE) as printer:
        end = send(printer)
        assert (end.state, end.after) == (State.PRINTED, 1001)
        assert len(printer.labels) == 1


def test_a_printer_that_hangs_after_the_job_leaves_it_to_a_person():
    with FakePrinter(Mode.HANG) as printer:
        end = send(printer)
        assert (end.state, end.reason) == (State.UNKNOWN, "no_answer")
        assert len(printer.labels) == 1
        printer.mode = Mode.OK
        assert check_later(printer.uri, end.base, **QUICK).state is State.PRINTED


@pytest.mark.parametrize("mode", [Mode.SILENT, Mode.GARBAGE, Mode.OK])
def test_a_printer_without_a_way_back_ends_unknown_unless_it_is_trusted(mode: Mode):
    with FakePrinter(mode) as printer:
        end = send(printer, answers=False)
        assert (end.state, end.reason, end.base) == (State.UNKNOWN, "no_answer", None)
        assert printer.wait_for_labels(1)
        assert send(printer, answers=False, trust=True).state is State.PRINTED
        assert printer.wait_for_labels(2)


def test_a_printer_that_counts_no_labels_waits_for_a_decision_or_for_trust(printer: FakePrinter):
    printer.odometer = None
    assert send(printer) == _like(State.WAITING, "no_odometer", None)
    assert printer.received == b""
    assert send(printer, trust=True).state is State.PRINTED
    assert len(printer.labels) == 1


def test_a_half_job_of_someone_else_is_not_written_into(printer: FakePrinter):
    printer.partial = True
    assert send(printer) == _like(State.WAITING, "partial_job", None)
    assert printer.received == b""


def test_other_labels_since_then_are_no_proof(printer: FakePrinter):
    assert printer.odometer is not None
    base = printer.odometer
    printer.odometer += 2
    assert check_later(printer.uri, base, **QUICK).reason == "other_labels"
    printer.odometer -= 5
    assert check_later(printer.uri, base, **QUICK).reason == "other_printer"
    assert check_later(printer.uri, None, **QUICK).state is State.UNKNOWN


def test_some_of_the_copies_is_a_question_for_a_person(printer: FakePrinter):
    assert printer.odometer is not None
    base = printer.odometer
    printer.odometer += 1
    assert check_later(printer.uri, base, 3, **QUICK) == _like(State.UNKNOWN, "part_printed", base)


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode not in (Mode.SILENT, Mode.GARBAGE)])
def test_twenty_jobs_through_a_failing_printer_come_out_twenty_times_in_order(mode: Mode):
    jobs = [zpl.build(location_label(f"L-{number:02}", "")) for number in range(20)]
    with FakePrinter() as printer:
        printer.reset_bytes, printer.slow_s = 100, 0.02
        for number, job in enumerate(jobs):
            if number == 7:
                printer.mode = mode
            end = deliver(printer.uri, job, **SEND)
            for _ in range(4):
                if end.state is State.PRINTED:
                    break
                if printer.mode is not Mode.OK:
                    printer.mode = Mode.OK
                if end.state is State.WAITING:
                    end = deliver(printer.uri, job, **SEND)
                else:
                    end = check_later(printer.uri, end.base, **QUICK)
            assert end.state is State.PRINTED
        assert [label[:200] for label in printer.labels] == [job[:200] for job in jobs]


def test_a_directory_gets_one_whole_file_a_job_in_order(tmp_path: Path):
    uri = (tmp_path / "spool").as_uri()
    for number in range(3):
        assert deliver(uri, b"^XA%d^XZ" % number).state is State.PRINTED
    files = sorted((tmp_path / "spool").iterdir())
    assert [file.read_bytes() for file in files] == [b"^XA0^XZ", b"^XA1^XZ", b"^XA2^XZ"]
    assert {file.suffix for file in files} == {".zpl"}


def test_a_directory_that_cannot_be_written_is_waited_for(tmp_path: Path):
    (tmp_path / "spool").write_text("a file in its place")
    end = deliver((tmp_path / "spool").as_uri(), JOB)
    assert (end.state, end.reason) == (State.WAITING, "no_directory")


def test_a_memory_printer_keeps_its_jobs_and_may_be_offline():
    with contextlib.closing(_Clean("delivery-test")):
        assert deliver("memory://delivery-test", JOB).state is State.PRINTED
        assert memory("delivery-test").jobs == [JOB]
        memory("delivery-test").offline = True
        assert deliver("memory://delivery-test", JOB).state is State.WAITING
        assert memory("delivery-test").wait_for_jobs(1)


@pytest.mark.parametrize("uri", ["", "lpt1", "tcp://", "tcp://host:port", "tcp://h/x", "memory://", "ftp://h", "file:"])
def test_an_address_that_cannot_be_is_a_lasting_error(uri: str):
    with pytest.raises(PrinterError, match="not a printer address") as refused:
        deliver(uri, JOB)
    assert refused.value.permanent


class _Clean:
    def __init__(self, name: str) -> None:
        self.name = name

    def close(self) -> None:
        memory(self.name).clear()


class _like:  # noqa: N801
    """Equal to an outcome with this state, reason and base."""

    def __init__(self, state: State, reason: str, base: int | None) -> None:
        self.told = (state, reason, base)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Outcome) and (other.state, other.reason, other.base) == self.told

    def __repr__(self) -> str:
        return f"{self.told}"

    __hash__ = None  # type: ignore[assignment]
