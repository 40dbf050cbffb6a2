"""A label printer on 127.0.0.1 that answers as Zebra's guide (or TSC's manual) says, and fails as real ones do."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from tests.printers.tspl_interpreter import whole_commands

_FORMAT = re.compile(rb"\^XA.*?\^XZ\s*", re.DOTALL)
_COPIES = re.compile(rb"\^PQ(\d+)")
_QUESTION = re.compile(rb"~HS|~HQES|~HI|~JA|! U1 getvar \"([^\"]*)\"\r?\n")
_TSPL_QUESTION = re.compile(rb"(?:\x1b!\?|~!T|~!@)()")


class Mode(StrEnum):
    """How the printer behaves; may be changed while it runs."""

    OK = "ok"
    REFUSE = "refuse"  # nobody listens
    BLACK_HOLE = "black_hole"  # the connection is never taken up
    PAPER_OUT = "paper_out"
    PAPER_OUT_DURING = "paper_out_during"  # paper ends when the next job comes; it stays inside
    HEAD_OPEN = "head_open"
    RIBBON_OUT = "ribbon_out"
    PAUSED = "paused"
    RESET_AFTER = "reset_after"  # the line is cut after `reset_bytes` of a job
    RESET_LATE = "reset_late"  # the whole job is taken and printed, then the line is cut
    SILENT = "silent"  # prints, never answers
    SILENT_FAULT = "silent_fault"  # paper out, and no answer to ~HS because of it
    GARBAGE = "garbage"  # prints, answers nonsense
    SLOW = "slow"  # answers and prints after a while
    HANG = "hang"  # answers until a job came, prints it, and never speaks again


_FAULTS = {Mode.PAPER_OUT, Mode.HEAD_OPEN, Mode.RIBBON_OUT, Mode.PAUSED, Mode.SILENT_FAULT}
# Faults that pass by themselves with the connection they broke.
_ONCE = {Mode.RESET_AFTER, Mode.RESET_LATE}


@dataclass
class _Waiting:
    label: bytes
    copies: int


class FakePrinter:
    """Use it with `with`. `labels` is what came out, one entry for each piece of paper."""

    def __init__(self, mode: Mode | str = Mode.OK, label_length_dots: int = 1199, tspl: bool = False) -> None:
        self.tspl = tspl
        self._printing = 0  # how many times more it says that it is printing
        self.received = b""
        self.jobs: list[bytes] = []
        self.labels: list[bytes] = []
        self.connections = 0
        self.odometer: int | None = 1000
        self.label_length_dots = label_length_dots
        self.reset_bytes = 3000
        self.slow_s = 0.15
        self.partial = False
        self._mode = Mode(mode)
        self._waiting: list[_Waiting] = []
        self._changed = threading.Condition(threading.RLock())
        self._stopping = False
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def uri(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode | str) -> None:
        """Change what is wrong; a cure lets what waits inside come out."""
        with self._changed:
            before, self._mode = self._mode, Mode(mode)
        if {before, self._mode} & {Mode.REFUSE, Mode.BLACK_HOLE} and before is not self._mode:
            self._unlisten()
            self._listen()
        self._print_waiting()

    def wait_for_labels(self, count: int, timeout_s: float = 10.0) -> bool:
        """True once `count` labels came out; False when the time is over."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.labels) >= count, timeout_s)

    def wait_for_bytes(self, count: int, timeout_s: float = 10.0) -> bool:
        """True once `count` bytes of jobs came in; False when the time is over."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.received) >= count, timeout_s)

    def switch_off(self) -> None:
        """As if unplugged: what was inside is gone, connections are cut, nobody listens."""
        with self._changed:
            self._waiting.clear()
            self.partial = False
        self.mode = Mode.REFUSE
        self._cut_all()

    def start(self) -> Self:
        self._listen()
        return self

    def stop(self) -> None:
        self._stopping = True
        self._unlisten()
        self._cut_all()
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- the wire

    def _listen(self) -> None:
        if self._mode is Mode.REFUSE:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self._listener = listener
        if self._mode is Mode.BLACK_HOLE:
            # A full queue that nobody empties: the next SYN gets no answer.
            listener.listen(0)
            for _ in range(3):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", self.port))
                self._fillers.append(filler)
            return
        listener.listen(16)
        self._spawn(self._accept, listener)

    def _unlisten(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _spawn(self, target: object, argument: socket.socket) -> None:
        thread = threading.Thread(target=target, args=(argument,), daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                self.connections += 1
                self._sockets.add(line)
            self._spawn(self._serve, line)

    def _serve(self, line: socket.socket) -> None:
        buffer, came, job = b"", 0, b""
        try:
            while got := line.recv(4096):
                buffer += got
                while True:
                    question, place = _next_question(buffer, self.tspl)
                    text = buffer[:place]
                    if text:
                        job += text
                        with self._changed:
                            self.received += text
                            self._changed.notify_all()
                        came += len(text)
                        if self._mode is Mode.RESET_AFTER and came >= self.reset_bytes:
                            self._reset(line)
                            return
                        job = self._take_formats(job)
                        if self._mode is Mode.RESET_LATE and not job.strip():
                            self._reset(line)
                            return
                    if question is None:
                        buffer = buffer[place:]
                        break
                    buffer = buffer[question.end() :]
                    self._answer(line, question)
        except OSError:
            return
        finally:
            with self._changed:
                self._sockets.discard(line)
            line.close()

    def _reset(self, line: socket.socket) -> None:
        # Time to go back to work by itself, as after a reset of the network card.
        if self._mode in _ONCE:
            self.mode = Mode.OK
        self.partial = False
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _cut_all(self) -> None:
        with self._changed:
            sockets = list(self._sockets)
        for line in sockets:
            try:
                line.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # -- the machine

    def _take_formats(self, text: bytes) -> bytes:
        """Take whole formats out of what came so far, and give back the rest."""
        if self.tspl:
            return self._take_tspl(text)
        taken = False
        while match := _FORMAT.search(text):
            label = match.group()
            text = text[match.end() :]
            copies = _COPIES.search(label)
            with self._changed:
                self.jobs.append(label)
                self._waiting.append(_Waiting(label, int(copies.group(1)) if copies else 1))
                self._changed.notify_all()
            taken = True
        with self._changed:
            self.partial = b"^XA" in text
        if taken:
            if self._mode is Mode.PAPER_OUT_DURING:
                self.mode = Mode.PAPER_OUT
            if self._mode is Mode.SLOW:
                time.sleep(self.slow_s)
            self._print_waiting()
        return text

    def _take_tspl(self, text: bytes) -> bytes:
        """Take everything up to the last PRINT that is there whole."""
        whole, rest = whole_commands(text)
        kept: list[bytes] = []
        for command in whole:
            kept.append(command)
            if not command.startswith(b"PRINT "):
                continue
            with self._changed:
                self.jobs.append(b"".join(kept))
                self._waiting.append(_Waiting(b"".join(kept), int(command.rsplit(b",", 1)[1])))
                self._changed.notify_all()
            kept = []
            if self._mode is Mode.PAPER_OUT_DURING:
                self.mode = Mode.PAPER_OUT
            self._print_waiting()
        return b"".join(kept) + rest

    def _print_waiting(self) -> None:
        with self._changed:
            if self._mode in _FAULTS:
                return
            if self._waiting:
                self._printing = 2
            while self._waiting:
                waiting = self._waiting.pop(0)
                self.labels.extend([waiting.label] * waiting.copies)
                if self.odometer is not None:
                    self.odometer += waiting.copies
            self._changed.notify_all()

    def _answer(self, line: socket.socket, question: re.Match[bytes]) -> None:
        asked = question.group()
        mode = self._mode
        if asked == b"~JA":
            with self._changed:
                self._waiting.clear()
            return
        if mode is Mode.SILENT or (mode is Mode.HANG and self.jobs):
            return
        if mode is Mode.SILENT_FAULT and asked != b"~HQES":
            return
        if mode is Mode.GARBAGE:
            line.sendall(b"\x02???\x00\xff,,\x03\r\nE42\r\n")
            return
        if mode is Mode.SLOW:
            time.sleep(self.slow_s)
        if self.tspl:
            words = {b"~!T": b"FAKE-TSPL\r\n", b"~!@": b"12\r\n"}
            line.sendall(words.get(asked) or bytes((self._tspl_status(),)))
            return
        with self._changed:
            answer = {
                b"~HS": self._host_status,
                b"~HQES": self._errors,
                b"~HI": lambda: b"\x02FAKE-203,V1.0,8,8176KB\x03\r\n",
            }.get(asked, lambda: self._variable(question.group(1).decode()))()
        # In two pieces: nobody may count on one packet.
        line.sendall(answer[:7])
        line.sendall(answer[7:])

    def _tspl_status(self) -> int:
        with self._changed:
            fault = {Mode.PAPER_OUT: 4, Mode.HEAD_OPEN: 1, Mode.RIBBON_OUT: 8, Mode.PAUSED: 0x10}.get(self._mode, 0)
            printing = 0x20 if self._printing and not fault else 0
            self._printing = max(0, self._printing - 1)
            return fault | printing

    def _host_status(self) -> bytes:
        mode, waiting = self._mode, len(self._waiting)
        left = sum(one.copies for one in self._waiting)
        paper, paused = mode in (Mode.PAPER_OUT, Mode.SILENT_FAULT), mode is Mode.PAUSED
        return (
            b"\x02030,%d,%d,%04d,%03d,0,0,%d,000,0,0,0\x03\r\n"
            b"\x02000,0,%d,%d,1,2,6,0,%08d,1,000\x03\r\n"
            b"\x021234,0\x03\r\n"
        ) % (
            paper, paused, self.label_length_dots, waiting, self.partial,
            mode is Mode.HEAD_OPEN, mode is Mode.RIBBON_OUT, left,
        )  # fmt: skip

    def _errors(self) -> bytes:
        bits = {
            Mode.PAPER_OUT: 1,
            Mode.SILENT_FAULT: 1,
            Mode.RIBBON_OUT: 2,
            Mode.HEAD_OPEN: 4,
            Mode.PAUSED: 0x10000,
        }.get(self._mode, 0)
        return (
            b"\x02\r\n\r\n  PRINTER STATUS\r\n   ERRORS:         %d 00000000 %08X\r\n"
            b"   WARNINGS:       0 00000000 00000000\r\n\x03"
        ) % (bool(bits), bits)

    def _variable(self, name: str) -> bytes:
        if name == "power.percent_full":
            return b'"87"'
        if name == "odometer.total_label_count" and self.odometer is not None:
            return b'"%d"' % self.odometer
        return b'"?"'


def _next_question(buffer: bytes, tspl: bool) -> tuple[re.Match[bytes] | None, int]:
    """The next question in the buffer, and how many bytes before it belong to jobs."""
    question = (_TSPL_QUESTION if tspl else _QUESTION).search(buffer)
    if question is not None:
        return question, question.start()
    if tspl:
        # Dots may end like the beginning of a question; the rest of it comes with the next packet.
        cut = next((part for part in (b"\x1b!", b"\x1b", b"~!", b"~") if buffer.endswith(part)), b"")
        return None, len(buffer) - len(cut)
    # A question may be cut in two by the network.
    for start in (buffer.rfind(b"! U1"), buffer.rfind(b"~"), buffer.rfind(b"!")):
        if start >= 0 and len(buffer) - start < 60 and b"\n" not in buffer[start:]:
            return None, start
    return None, len(buffer)
