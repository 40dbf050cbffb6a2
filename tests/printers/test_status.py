"""What a printer says of itself is read whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from printers import status
from printers.errors import PrinterOffline
from printers.transport import open_printer
from tests.printers.fake_printer import FakePrinter, Mode

FINE = b"\x02030,0,0,1199,000,0,0,0,000,0,0,0\x03\r\n\x02000,0,0,0,0,2,6,0,00000000,1,000\x03\r\n\x021234,0\x03\r\n"


def test_a_sound_and_empty_printer_is_read_so():
    seen = status.parse_host_status(FINE)
    assert seen is not None
    assert (seen.fault, seen.idle, seen.label_length_dots) == ("", True, 1199)


@pytest.mark.parametrize(
    ("line", "place", "value", "name", "read"),
    [
        (0, 1, b"1", "paper_out", True),
        (0, 2, b"1", "paused", True),
        (0, 4, b"003", "formats_waiting", 3),
        (0, 5, b"1", "buffer_full", True),
        (0, 7, b"1", "partial_format", True),
        (0, 9, b"1", "ram_lost", True),
        (0, 10, b"1", "too_cold", True),
        (0, 11, b"1", "too_hot", True),
        (1, 2, b"1", "head_open", True),
        (1, 3, b"1", "ribbon_out", True),
        (1, 7, b"1", "label_to_take", True),
        (1, 8, b"00000012", "labels_remaining", 12),
    ],
)
def test_each_field_is_read_from_its_place(line: int, place: int, value: bytes, name: str, read: object):
    lines = [part.strip(b"\x02\x03") for part in FINE.split(b"\r\n")[:3]]
    fields = lines[line].split(b",")
    fields[place] = value
    lines[line] = b",".join(fields)
    seen = status.parse_host_status(b"".join(b"\x02%s\x03\r\n" % part for part in lines))
    assert seen is not None
    assert getattr(seen, name) == read
    if isinstance(read, bool) and name not in ("buffer_full", "partial_format", "label_to_take"):
        assert seen.fault == name
    else:
        assert seen.fault == ""
        assert seen.idle == (name == "label_to_take")


@given(st.binary(max_size=200))
def test_garbage_is_no_status_and_no_crash(answer: bytes):
    assert status.parse_host_status(answer) is None
    assert status.parse_host_status(b"\x02" + answer + b"\x03" * 3) is None
    status.parse_errors(answer)
    status.parse_odometer(answer)


@pytest.mark.parametrize("cut", [1, 40, 60, len(FINE) - 4])
def test_half_an_answer_is_no_answer(cut: int):
    assert status.parse_host_status(FINE[:cut]) is None


def test_the_error_words_are_read_from_their_bits():
    none = b"0 00000000 00000000"
    head = b"\x02\r\n\r\n  PRINTER STATUS\r\n   ERRORS:         %s\r\n   WARNINGS:       " + none + b"\r\n\x03"
    assert status.parse_errors(head % none) == frozenset()
    assert status.parse_errors(head % b"1 00000000 00010005") == {"paper_out", "head_open", "paused"}
    assert status.parse_errors(head % b"1 00000000 00000000") == {"fault"}
    assert status.parse_errors(b"HS") is None


@pytest.mark.parametrize(
    ("answer", "count"),
    [(b'"1234"', 1234), (b'"1234 LABELS"', 1234), (b'"?"', None), (b"", None), (b"1234", None)],
)
def test_the_count_of_labels_is_read_from_its_quotes(answer: bytes, count: int | None):
    assert status.parse_odometer(answer) == count


def test_a_real_line_carries_question_and_answer(printer: FakePrinter):
    with open_printer(printer.uri) as line:
        seen = status.host_status(line, 2.0)
        assert seen is not None
        assert seen.label_length_dots == 1199
        assert status.errors(line, 2.0) == frozenset()
        assert status.odometer(line, 2.0) == 1000


def test_no_answer_is_unknown_and_a_cut_line_is_told():
    with FakePrinter(Mode.SILENT) as printer, open_printer(printer.uri) as line:
        assert status.host_status(line, 0.2) is None
        assert status.errors(line, 0.2) is None
        printer.switch_off()
        with pytest.raises(PrinterOffline):
            status.host_status(line, 2.0)
