"""Looking for printers and asking them prints nothing, and says who is there."""

from __future__ import annotations

import socket
import threading

import pytest

from printers import inquiry, layouts, tspl, zpl
from printers.delivery import State, deliver
from printers.errors import PrinterOffline
from printers.inquiry import Identity
from tests.printers.fake_printer import FakePrinter, Mode

HOST = "127.0.0.1"


@pytest.mark.parametrize("mode", [Mode.OK, Mode.PAPER_OUT, Mode.HEAD_OPEN, Mode.SLOW])
def test_a_zpl_printer_says_its_model_and_its_dots_and_prints_nothing(mode: Mode) -> None:
    with FakePrinter(mode) as printer:
        assert inquiry.identify(HOST, printer.port) == Identity(HOST, "zpl", "FAKE-203", 203)
        assert printer.labels == []
        printer.mode = Mode.OK
        job = zpl.build(layouts.location_label("L-01"))
        assert deliver(printer.uri, job, settle_s=0.05).state is State.PRINTED
        assert len(printer.labels) == 1, "nothing of the questions is left inside"


def test_a_tspl_printer_is_known_by_its_first_answer_and_never_asked_in_zpl() -> None:
    with FakePrinter(tspl=True) as printer:
        assert inquiry.identify(HOST, printer.port) == Identity(HOST, "tspl", "FAKE-TSPL")
        assert printer.received == b""
        job = tspl.build(layouts.location_label("L-01"))
        assert deliver(printer.uri, job, language="tspl").state is State.PRINTED
        assert len(printer.labels) == 1


def test_who_says_nothing_is_found_and_not_known() -> None:
    with FakePrinter(Mode.SILENT) as printer:
        assert inquiry.identify(HOST, printer.port) == Identity(HOST)
    with FakePrinter(Mode.GARBAGE) as printer:
        assert inquiry.identify(HOST, printer.port) == Identity(HOST)
    with FakePrinter(Mode.REFUSE) as printer:
        assert inquiry.identify(HOST, printer.port) is None


def test_what_another_printer_gets_is_what_the_page_warns_of() -> None:
    got, heard = b"", threading.Event()
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(1)

        def receipts() -> None:
            nonlocal got
            line, _ = listener.accept()
            with line:
                while data := line.recv(100):
                    got += data
            heard.set()

        threading.Thread(target=receipts, daemon=True).start()
        assert inquiry.identify(HOST, listener.getsockname()[1]) == Identity(HOST)
    assert heard.wait(5)
    assert got == b"\x1b!?~HI"


def test_many_addresses_are_looked_at_together() -> None:
    with FakePrinter() as printer:
        found = inquiry.find([f"127.0.0.{number}" for number in range(1, 33)], printer.port)
    assert found == [Identity(HOST, "zpl", "FAKE-203", 203)]


def test_a_printer_tells_its_odometer_its_faults_and_what_else_it_knows() -> None:
    with FakePrinter(Mode.PAPER_OUT) as printer:
        told = inquiry.ask(printer.uri, "zpl", answer_s=0.5)
        assert (told.model, told.dpi, told.odometer, told.faults) == ("FAKE-203", 203, 1000, ("paper_out",))
        assert told.values == {"battery": "87"}, "what it does not know is left out"
        assert printer.labels == []
    with FakePrinter(Mode.HEAD_OPEN, tspl=True) as printer:
        told = inquiry.ask(printer.uri, "tspl", answer_s=0.5)
        assert (told.model, told.faults, told.values) == ("FAKE-TSPL", ("head_open",), {"mileage_km": "12"})
    with FakePrinter(Mode.SILENT) as printer:
        assert inquiry.ask(printer.uri, "zpl", answer_s=0.2).silent
    with FakePrinter(Mode.REFUSE) as printer, pytest.raises(PrinterOffline):
        inquiry.ask(printer.uri, "zpl")
