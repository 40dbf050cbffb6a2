"""Is every scan accounted for exactly once: what devices were told, what the link heard, what the books have (R10).

``check`` is pure: it compares three accounts that were kept apart and names each scan that differs.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from wms.bench.link import Heard
from wms.db import Database
from wms.models import Device, Journal, Order, OrderLine, PickTask, ScanRequest, StockMove


@dataclass(slots=True)
class Told:
    """One scan as the device that made it knows it."""

    scan_id: str
    device: str
    kind: str
    task: str
    content: str
    tries: int = 0
    status: int = 0
    """0 while it is unanswered."""
    text: str = ""
    go: str = ""
    replay: bool = False
    reason: str = ""
    pieces: int = 0
    """What the answer confirms: so many pieces moved for this reason."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The answer the server keeps for a scan id, and whose it is."""

    status: int
    text: str
    go: str
    device: str


@dataclass(frozen=True, slots=True)
class Moved:
    """A move of the ledger that a scan caused."""

    scan_id: str
    device: str
    task: str
    reason: str
    pieces: int


@dataclass(slots=True)
class Book:
    """What the database has at the end."""

    saved: dict[str, Saved] = field(default_factory=dict)
    moves: list[Moved] = field(default_factory=list)
    journal: set[str] = field(default_factory=set)
    """Scan ids that stand in the journal."""


def read_book(database: Database) -> Book:
    with database.reading() as session:
        return Book(
            dict(_saved(session)),
            list(_moved(session)),
            {scan_id for (scan_id,) in session.execute(select(Journal.scan_id).distinct()) if scan_id},
        )


def _saved(session: Session) -> Iterator[tuple[str, Saved]]:
    rows = session.execute(
        select(ScanRequest.scan_id, ScanRequest.status, ScanRequest.answer, ScanRequest.go, Device.token).outerjoin(
            Device, and_(Device.warehouse_id == ScanRequest.warehouse_id, Device.id == ScanRequest.device_id)
        )
    )
    for scan_id, status, answer, go, token in rows:
        yield scan_id, Saved(status, zlib.decompress(answer).decode() if answer else "", go, token)


def _moved(session: Session) -> Iterator[Moved]:
    """A pick's cause is its order line; the task is the one of that line's order."""
    tasks = {
        f"order_line:{line}": str(task)
        for line, task in session.execute(
            select(OrderLine.id, PickTask.id)
            .join(Order, and_(Order.warehouse_id == OrderLine.warehouse_id, Order.id == OrderLine.order_id))
            .join(PickTask, and_(PickTask.warehouse_id == Order.warehouse_id, PickTask.order_id == Order.id))
        )
    }
    rows = session.execute(
        select(StockMove.scan_id, StockMove.device_id, StockMove.cause, StockMove.reason, StockMove.qty).where(
            StockMove.scan_id.is_not(None)
        )
    )
    for scan_id, device, cause, reason, qty in rows:
        yield Moved(scan_id or "", device or "", tasks.get(cause, cause), str(reason), qty)


def check(told: Sequence[Told], probes: Sequence[Told], heard: Sequence[Heard], book: Book) -> list[str]:
    """Every fault in words that name its scan; an empty list when each scan counts exactly once.

    ``probes`` are scans sent a second time with another content: each must have been refused and left no trace.
    """
    made = {each.scan_id: each for each in told}
    faults = [f"scan {scan_id} was made twice by the bench" for scan_id, n in _ids(told).items() if n > 1]
    for each in told:
        faults += _answer(each, book.saved.get(each.scan_id))
    faults += [f"scan {s} is kept by the server, no device made it" for s in sorted(book.saved.keys() - made.keys())]
    faults += _copies(made, heard)
    faults += _probes(probes, heard)
    faults += _pieces(made, book)
    return faults


def _ids(told: Sequence[Told]) -> Counter[str]:
    return Counter(each.scan_id for each in told)


def _named(each: Told) -> str:
    return f"scan {each.scan_id} ({each.kind}, device {each.device[:8]}, task {each.task or '-'})"


def _answer(each: Told, saved: Saved | None) -> Iterator[str]:
    if not each.status:
        yield f"{_named(each)}: no answer after {each.tries} tries"
        return
    if saved is None:
        yield f"{_named(each)}: the device was answered {each.status}, the server kept nothing"
        return
    if saved.device != each.device:
        yield f"{_named(each)}: kept as a scan of device {saved.device[:8]}"
    for what, has, kept in (
        ("status", each.status, saved.status),
        ("X-Go", each.go, saved.go),
        ("text", each.text, saved.text),
    ):
        if has != kept:
            yield f"{_named(each)}: {what} on the device is {_short(has)}, kept is {_short(kept)}"


def _short(value: object) -> str:
    text = str(value)
    return repr(text) if len(text) <= 40 else f"{len(text)} characters ({text[:40]!r}…)"


def _copies(made: dict[str, Told], heard: Sequence[Heard]) -> Iterator[str]:
    """All answers to the copies of one scan are the same, and all but the one that did the work say so."""
    firsts: Counter[str] = Counter()
    for copy in heard:
        each = made.get(copy.scan_id)
        if each is None:
            yield f"scan {copy.scan_id} went over the link, no device made it"
        elif copy.content == each.content and each.status:
            firsts[copy.scan_id] += not copy.replay
            if (copy.status, copy.text, copy.go) != (each.status, each.text, each.go):
                yield f"{_named(each)}: one copy was answered {copy.status}, another {each.status}, or in other words"
    for scan_id, count in firsts.items():
        if count > 1:
            yield f"{_named(made[scan_id])}: {count} copies were answered without Idempotent-Replay"


def _probes(probes: Sequence[Told], heard: Sequence[Heard]) -> Iterator[str]:
    for each in probes:
        if each.status != 422 or each.replay or "already sent with another content" not in each.text:
            yield f"{_named(each)}: the same id with another content was answered {each.status or 'nothing'}, not 422"
    contents = {(each.scan_id, each.content) for each in probes}
    for copy in heard:
        if (copy.scan_id, copy.content) in contents and (copy.status != 422 or copy.replay):
            yield f"scan {copy.scan_id}: a copy with another content was answered {copy.status}, not 422"


def _pieces(made: dict[str, Told], book: Book) -> Iterator[str]:
    """Each scan moved what its answer says, and so each device for each order."""
    moved: defaultdict[str, Counter[str]] = defaultdict(Counter)
    ledger: Counter[tuple[str, str]] = Counter()
    for move in book.moves:
        if move.scan_id not in made:
            yield f"scan {move.scan_id} moved {move.pieces} pieces ({move.reason}), no device made it"
        moved[move.scan_id][move.reason] += move.pieces
        ledger[move.device, move.task] += _signed(move.reason, move.pieces)
    for scan_id in sorted(book.journal - made.keys()):
        yield f"scan {scan_id} stands in the journal, no device made it"
    confirmed: Counter[tuple[str, str]] = Counter()
    for scan_id, each in made.items():
        if each.pieces:
            confirmed[each.device, each.task] += _signed(each.reason, each.pieces)
        wanted = {each.reason: each.pieces} if each.pieces else {}
        if dict(moved[scan_id]) != wanted:
            yield f"{_named(each)}: its answer says {wanted or 'nothing'} moved, the ledger {dict(moved[scan_id])}"
    for key in sorted(confirmed.keys() | ledger.keys()):
        if confirmed[key] != ledger[key]:
            device, task = key
            yield f"device {device[:8]}, task {task}: {confirmed[key]} pieces confirmed, {ledger[key]} in the ledger"


def _signed(reason: str, pieces: int) -> int:
    return -pieces if reason == "undo" else pieces
