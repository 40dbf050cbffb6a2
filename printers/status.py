"""What a printer says of itself. No answer is "unknown", never "fine"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from printers.transport import Transport

# TSPL's own question, answered at once by one byte (TSPL/TSPL2 Programming Manual, status polling).
TSPL_STATUS = b"\x1b!?"
_TSPL_BITS = {0x01: "head_open", 0x02: "jam", 0x04: "paper_out", 0x08: "ribbon_out", 0x10: "paused", 0x80: "fault"}
_TSPL_PRINTING = 0x20
ODOMETER = b'! U1 getvar "odometer.total_label_count"\r\n'
_FRAME = re.compile(rb"\x02([^\x02\x03]*)\x03")
_QUOTED = re.compile(rb'"([^"]*)"')
_ERRORS_LINE = re.compile(rb"(ERRORS|WARNINGS):\s+([01])\s+([0-9A-Fa-f]{8})\s+([0-9A-Fa-f]{8})")
# Bits of the last group of ~HQES.
_ERROR_BITS = {
    0x1: "paper_out",
    0x2: "ribbon_out",
    0x4: "head_open",
    0x8: "cutter_fault",
    0x10: "head_hot",
    0x20: "motor_hot",
    0x40: "head_fault",
    0x80: "head_fault",
    0x100: "firmware",
    0x200: "thermistor",
    0x1000: "jam",
    0x2000: "presenter",
    0x4000: "feed",
    0x10000: "paused",
}


@dataclass(frozen=True, slots=True)
class Status:
    """The answer to ~HS."""

    paper_out: bool
    paused: bool
    label_length_dots: int
    formats_waiting: int
    buffer_full: bool
    partial_format: bool
    ram_lost: bool
    too_cold: bool
    too_hot: bool
    head_open: bool
    ribbon_out: bool
    label_to_take: bool
    labels_remaining: int

    @property
    def fault(self) -> str:
        """Why nothing comes out, in one word; empty when nothing is wrong."""
        for word in ("head_open", "paper_out", "ribbon_out", "paused", "ram_lost", "too_hot", "too_cold"):
            if getattr(self, word):
                return word
        return ""

    @property
    def idle(self) -> bool:
        """True when no part of any job is inside."""
        return not (self.formats_waiting or self.labels_remaining or self.partial_format or self.buffer_full)


@dataclass(frozen=True, slots=True)
class TsplStatus:
    """The answer to TSPL's status question: why nothing comes out, if so, and whether it prints now."""

    fault: str
    printing: bool


def parse_tspl_status(answer: bytes) -> TsplStatus | None:
    """Read the one byte; None when it is anything else."""
    if len(answer) != 1 or answer[0] & ~(sum(_TSPL_BITS) | _TSPL_PRINTING):
        return None
    fault = next((word for bit, word in _TSPL_BITS.items() if answer[0] & bit), "")
    return TsplStatus(fault, bool(answer[0] & _TSPL_PRINTING))


def parse_host_status(answer: bytes) -> Status | None:
    """Read the three lines of ~HS; None when they are not all there and sound."""
    frames = _FRAME.findall(answer)
    if len(frames) < 3:
        return None
    first, second, _ = (frame.decode("ascii", "replace").strip().split(",") for frame in frames[-3:])
    try:
        return Status(
            paper_out=_flag(first[1]),
            paused=_flag(first[2]),
            label_length_dots=int(first[3]),
            formats_waiting=int(first[4]),
            buffer_full=_flag(first[5]),
            partial_format=_flag(first[7]),
            ram_lost=_flag(first[9]),
            too_cold=_flag(first[10]),
            too_hot=_flag(first[11]),
            head_open=_flag(second[2]),
            ribbon_out=_flag(second[3]),
            label_to_take=_flag(second[7]),
            labels_remaining=int(second[8]),
        )
    except (IndexError, ValueError):
        return None


def parse_errors(answer: bytes) -> frozenset[str] | None:
    """Read the errors of ~HQES as short words; None when it is no such answer."""
    for kind, set_, _group_2, group_1 in _ERRORS_LINE.findall(answer):
        if kind == b"ERRORS":
            bits = int(group_1, 16)
            words = frozenset(word for bit, word in _ERROR_BITS.items() if bits & bit)
            return words if set_ == b"0" or words else frozenset({"fault"})
    return None


def parse_odometer(answer: bytes) -> int | None:
    """Read a quoted count of labels; None when there is none."""
    for value in _QUOTED.findall(answer):
        digits = re.match(rb"\s*(\d+)", value)
        if digits:
            return int(digits.group(1))
    return None


def host_status(printer: Transport, timeout_s: float) -> Status | None:
    """Ask ~HS. None when nothing sound came back in time. Raises PrinterOffline when the line is cut."""
    return parse_host_status(printer.ask(b"~HS", lambda answer: len(_FRAME.findall(answer)) >= 3, timeout_s))


def tspl_status(printer: Transport, timeout_s: float) -> TsplStatus | None:
    """Ask a TSPL printer how it is. None when nothing sound came back in time. Raises PrinterOffline."""
    return parse_tspl_status(printer.ask(TSPL_STATUS, lambda answer: len(answer) >= 1, timeout_s))


def errors(printer: Transport, timeout_s: float) -> frozenset[str] | None:
    """Ask ~HQES, which some printers answer where they keep silent on ~HS. Raises PrinterOffline."""
    return parse_errors(printer.ask(b"~HQES", lambda answer: b"\x03" in answer, timeout_s))


def odometer(printer: Transport, timeout_s: float) -> int | None:
    """Labels printed in the printer's life; None when it does not say. Raises PrinterOffline."""
    return parse_odometer(printer.ask(ODOMETER, lambda answer: answer.count(b'"') >= 2, timeout_s))


def _flag(field: str) -> bool:
    return {"0": False, "1": True}.get(field.strip()) or int(field) != 0
