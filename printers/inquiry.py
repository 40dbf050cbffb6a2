"""Who a printer is and how it is, asked without printing anything; and which addresses of a network are printers.

A question in the wrong language is text to print: `~HS` comes out as "HS" on a printer that knows no ZPL. So the
harmless one goes first. `<ESC>!?` (TSPL/TSPL2 Programming Manual, status polling) is answered at once by one byte; ZPL
and EPL printers drop it, and receipt printers take it for a type face, without a line. Only who keeps silent is asked
`~HI` (ZPL II Programming Guide), which a printer that knows neither language may print as a line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from printers import status
from printers.errors import PrinterError, PrinterOffline
from printers.transport import PORT, Transport, open_printer

CONNECT_S, ANSWER_S = 0.7, 0.8
AT_ONCE = 32
"""Addresses tried at the same time: a small network's own switch and the printers are not flooded."""

TSPL_MODEL, TSPL_MILEAGE = b"~!T", b"~!@"
_HOST_ID = re.compile(rb"\x02?([ -~]{1,60}?),([ -~]{0,40}?),\s*(\d{1,2})\s*,[ -~]*")
_PRINTABLE = re.compile(rb"[ -~]{1,60}")
# What a set-get-do printer may know of itself. The first two are in Zebra's guide; whoever lacks one answers "?".
_VARIABLES = {
    "head_cleaned": "odometer.headclean",
    "head_new": "odometer.headnew",
    "cuts": "odometer.total_cuts",
    "battery": "power.percent_full",
}
_DPI = {6: 152, 8: 203, 12: 300, 24: 600}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers at an address. `language` is empty where nobody knows, `dpi` 0."""

    address: str
    language: Literal["zpl", "tspl", ""] = ""
    model: str = ""
    dpi: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What a printer says of itself. `odometer` counts labels; `values` are its own words, by what they are of."""

    model: str = ""
    dpi: int = 0
    odometer: int | None = None
    faults: tuple[str, ...] = ()
    silent: bool = False
    values: dict[str, str] = field(default_factory=dict)


def find(addresses: Sequence[str], port: int | None = None) -> list[Identity]:
    """Which of these numeric addresses have somebody at the printer's port, and who it is. Takes a few seconds."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="find-printers") as pool:
        found = pool.map(lambda address: identify(address, PORT if port is None else port), addresses)
        return [one for one in found if one is not None]


def identify(address: str, port: int) -> Identity | None:
    """Who answers at one address; None where nobody does."""
    host = f"[{address}]" if ":" in address else address
    try:
        with open_printer(f"tcp://{host}:{port}", CONNECT_S) as printer:
            try:
                if status.tspl_status(printer, ANSWER_S) is not None:
                    return Identity(address, "tspl", _tspl_model(printer))
                model, dpi = _host_id(printer)
            except PrinterOffline:
                # It hung up at the question, so it is no label printer that we can speak to, but somebody is there.
                return Identity(address)
            return Identity(address, "zpl" if model else "", model, dpi)
    except PrinterError:
        return None


def ask(uri: str, language: str, connect_s: float = 2.0, answer_s: float = 1.5) -> Told:
    """All that a printer tells without printing. Raises PrinterOffline, PrinterError for an impossible address."""
    with open_printer(uri, connect_s) as printer:
        if language == "tspl":
            now = status.tspl_status(printer, answer_s)
            if now is None:
                return Told(silent=True)
            values = {"mileage_km": _words(printer.ask(TSPL_MILEAGE, _line_ended, answer_s))}
            return Told(
                model=_tspl_model(printer),
                faults=(now.fault,) if now.fault else (),
                values={name: value for name, value in values.items() if value},
            )
        model, dpi = _host_id(printer, answer_s)
        faults = status.errors(printer, answer_s)
        odometer = status.odometer(printer, answer_s)
        if not model and faults is None and odometer is None:
            return Told(silent=True)
        values = {name: _variable(printer, variable, answer_s) for name, variable in _VARIABLES.items()}
        return Told(model, dpi, odometer, tuple(sorted(faults or ())), False, {k: v for k, v in values.items() if v})


def _host_id(printer: Transport, answer_s: float = ANSWER_S) -> tuple[str, int]:
    """Model and dots per inch from ~HI; empty and 0 where that is no answer to it."""
    answer = printer.ask(b"~HI", lambda said: b"\x03" in said or b"\n" in said, answer_s)
    found = _HOST_ID.match(answer)
    if not found:
        return "", 0
    dots = int(found[3])
    return found[1].decode("ascii").strip(), _DPI.get(dots, 0)


def _tspl_model(printer: Transport) -> str:
    return _words(printer.ask(TSPL_MODEL, _line_ended, ANSWER_S))


def _line_ended(said: bytes) -> bool:
    return b"\r" in said or b"\n" in said


def _words(answer: bytes) -> str:
    found = _PRINTABLE.search(answer)
    return found[0].decode("ascii").strip() if found else ""


def _variable(printer: Transport, name: str, answer_s: float) -> str:
    answer = printer.ask(f'! U1 getvar "{name}"\r\n'.encode(), lambda said: said.count(b'"') >= 2, answer_s)
    found = re.search(rb'"([^"]{0,60})"', answer)
    said = found[1].decode("ascii", "replace").strip() if found else ""
    return "" if said in ("?", "") else said
