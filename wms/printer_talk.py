"""Asking printers at the desk, between transactions: who is at an address, and how one is (never prints anything)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from printers import inquiry
from printers.errors import PrinterError, PrinterOffline
from printers.transport import reports
from wms.print_lease import BAD_ADDRESS

__all__ = ["Answer", "ask", "can_be_asked", "find"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking: a state as printers keep it (ready, offline, a fault, no_answer), and what was told."""

    state: str
    told: dict[str, Any] | None


def find(addresses: Sequence[str]) -> list[dict[str, Any]]:
    """Who answers at the printer's port: address, language (empty: nobody knows), model, dpi (0: nobody knows)."""
    return [asdict(one) for one in inquiry.find(addresses)]


def can_be_asked(uri: str) -> bool:
    return reports(uri)


def ask(uri: str, language: str) -> Answer:
    """Ask one printer. The caller holds its lease, so that no label is on its way meanwhile."""
    try:
        told = inquiry.ask(uri, language)
    except PrinterOffline as error:
        return Answer(error.reason, None)
    except PrinterError:
        return Answer(BAD_ADDRESS, None)
    if told.silent:
        return Answer("no_answer", None)
    said = asdict(told)
    said["faults"] = list(told.faults)
    return Answer(told.faults[0] if told.faults else "ready", said)
