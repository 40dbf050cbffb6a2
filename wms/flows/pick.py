"""Pick 拣货: claim a task, take a tote, fetch each line by place and item, bring the tote to packing (R21–R25)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Row, and_, bindparam, case, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from wms import allocation, count_requests, journal, ledger, lookup, taken_back
from wms.allocation import today
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, BadQuantity, ChangedMeanwhile, NotFound, NothingToUndo, OrderCancelled, Refusal, term
from wms.models import (
    Allocation,
    Balance,
    Barcode,
    Item,
    Location,
    LocationKind,
    Lot,
    MoveReason,
    Operator,
    Order,
    OrderLine,
    OrderState,
    PickStep,
    PickTask,
    Shortage,
    ShortageState,
    StockMove,
    ToteUse,
    first_id,
    new_id,
)
from wms.order_states import advance as advance_order
from wms.order_states import locked
from wms.rules import gifts

STEPS = {
    PickStep.WAITING: {PickStep.SCAN_TOTE, PickStep.SCAN_LOCATION, PickStep.STOPPED},
    PickStep.SCAN_TOTE: {PickStep.SCAN_LOCATION, PickStep.DONE, PickStep.WAITING, PickStep.STOPPED},
    PickStep.SCAN_LOCATION: {PickStep.SCAN_ITEM, PickStep.DONE, PickStep.WAITING, PickStep.STOPPED},
    PickStep.SCAN_ITEM: {PickStep.SCAN_LOCATION, PickStep.DONE, PickStep.WAITING, PickStep.STOPPED},
    PickStep.DONE: {PickStep.WAITING, PickStep.SCAN_LOCATION, PickStep.STOPPED},
    PickStep.STOPPED: {PickStep.DONE},
}
UNDER_WAY = (PickStep.SCAN_TOTE, PickStep.SCAN_LOCATION, PickStep.SCAN_ITEM, PickStep.STOPPED)
SHORT_REASONS = ("empty", "not_found", "damaged", "wrong_item")


class NoWork(Refusal):
    message = N_("Nothing is waiting to be picked.")
    answer = "look"


class NotYours(Refusal):
    message = N_("This task now belongs to %(operator)s. Ask for other work.")
    answer = "look"
    status = 409


class ToteInUse(Refusal):
    message = N_("Tote %(tote)s is in use for another order. Take an empty one.")


class ToteNotEmpty(Refusal):
    message = N_("Tote %(tote)s still holds goods. Put them away first, or take another tote.")


class WrongPlace(Refusal):
    message = N_("This is %(read)s. Go to %(expected)s.")


class WrongItem(Refusal):
    message = N_("Pick %(expected)s, not %(read)s.")
    block = True


class RightItemWrongPlace(Refusal):
    message = N_("%(read)s is picked later, at %(place)s. Here take %(expected)s.")


class AlreadyPicked(Refusal):
    message = N_("%(read)s is already complete for this order. Put this piece back.")
    answer = "look"


class OverPick(Refusal):
    """R21: over-pick is capped at the allocated quantity on every path."""

    message = N_("Only %(left)s more of %(item)s. This would be %(read)s.")


class ExpiredLot(Refusal):
    """R8: an expired lot is a hard stop at the pick scan."""

    message = N_("Lot %(lot)s of %(item)s expired on %(expiry)s. Do not pick it; tell a supervisor.")
    block = True


class WrongLot(Refusal):
    message = N_("Take lot %(expected)s of %(item)s, not %(read)s.")


class LotNeeded(Refusal):
    """R9: where several lots stand in one place the lot must be scanned."""

    message = N_("Several lots of %(item)s stand here. Scan the code that carries the lot (%(expected)s).")
    answer = "look"


class TakenAway(Refusal):
    """What was promised at this place is promised no more; the piece in the hand stays there."""

    message = N_("%(item)s at %(place)s is no longer for this order. Put this piece back there.")
    answer = "look"
    status = 409


class TakenAwayBy(TakenAway):
    """As above, and the ledger knows who was at the place last."""

    message = N_(
        "%(operator)s changed %(place)s %(minutes)s min ago: %(item)s there is no longer for this order. "
        "Put this piece back there."
    )


class NothingLeft(NotFound):
    """All is fetched, or a count took away what was left."""


class ScanFirst(Refusal):
    message = N_("Scan one piece of %(item)s first, then take the rest.")


@dataclass(frozen=True, slots=True)
class ToPick:
    """The next thing to fetch: so many pieces of one item (and lot) at one place."""

    location: Location
    item: Item
    lot: str
    expiry: date | None
    qty: int
    allocations: tuple[Allocation, ...]
    remaining: Mapping[str, int] = field(default_factory=dict)
    """Pieces still to fetch by line key: this line and those after it, as far as they were read."""
    gift: bool = False

    @property
    def key(self) -> str:
        return _key(self.location.id, self.item.id, self.lot)


@dataclass(frozen=True, slots=True)
class CarriedLine:
    """A line as a phone carries it: enough to check its scans without network.

    ``codes`` are the keys of scan.barcode_key (and the SKU in capitals) with the pieces each counts (R15).
    """

    line: ToPick
    codes: Mapping[str, int]
    lot_needed: bool
    expired: bool


class OrderSeen(NamedTuple):
    shop_order_no: str
    state: OrderState


class ToteSeen(NamedTuple):
    code: str


@dataclass(frozen=True, slots=True)
class LastScan:
    """Pieces and SKU of the last scan, and where they came from."""

    pieces: int
    sku: str
    item_id: int
    from_id: int
    lot: str


@dataclass(frozen=True, slots=True)
class Progress:
    done: int
    total: int


ENOUGH = 40
"""Allocations read to show the next line: an order of a hundred lines must not be read whole at every scan."""

# What every scan asks, made once: SQLAlchemy takes as long to make a statement as SQLite to run it.
_at_place = and_(Location.warehouse_id == Allocation.warehouse_id, Location.id == Allocation.location_id)
_of_order = and_(Allocation.warehouse_id == bindparam("w"), Allocation.order_id == bindparam("o"))
_TASK = (
    select(PickTask)
    .where(PickTask.warehouse_id == bindparam("w"), PickTask.id == bindparam("t"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
_TO_FETCH = (
    select(Allocation, Location, Item, Lot.expiry, OrderLine.line_ref)
    .join(Location, _at_place)
    .join(OrderLine, and_(OrderLine.warehouse_id == Allocation.warehouse_id, OrderLine.id == Allocation.order_line_id))
    .join(Item, Item.id == Allocation.item_id)
    .outerjoin(Lot, and_(Lot.item_id == Allocation.item_id, Lot.code == Allocation.lot))
    .where(_of_order, Location.kind == LocationKind.STORAGE)
    .order_by(
        case((Location.id == bindparam("here"), 0), else_=1),
        Location.walk,
        Location.code,
        Item.sku,
        Allocation.lot,
        Allocation.id,
    )
    .limit(ENOUGH)
    .execution_options(populate_existing=True)
)
_PLACES_TO_GO = (
    select(Allocation.location_id).join(Location, _at_place).where(_of_order, Location.kind == LocationKind.STORAGE)
)
_PROMISED_AT = (
    select(Allocation, Location)
    .join(Location, _at_place)
    .where(_of_order, Allocation.location_id == bindparam("l"))
    .order_by(Allocation.lot, Allocation.id)
    .execution_options(populate_existing=True)
)
_ORDER_AND_TOTE = (
    select(Order.shop_order_no, Order.state, Location.code)
    .outerjoin(Location, and_(Location.warehouse_id == Order.warehouse_id, Location.id == bindparam("tote")))
    .where(Order.warehouse_id == bindparam("w"), Order.id == bindparam("o"))
)
_same = aliased(StockMove)
_LAST = (
    select(
        StockMove.qty,
        select(func.sum(_same.qty))
        .where(
            _same.warehouse_id == StockMove.warehouse_id,
            _same.from_id == StockMove.from_id,
            _same.id <= StockMove.id,
            _same.id > StockMove.id - ledger.A_MINUTE,
            _same.scan_id == StockMove.scan_id,
            _same.reason == StockMove.reason,
            _same.item_id == StockMove.item_id,
        )
        .correlate(StockMove)
        .scalar_subquery(),
        Item.sku,
        StockMove.item_id,
        StockMove.from_id,
        StockMove.lot,
    )
    .join(Item, Item.id == StockMove.item_id)
    .where(StockMove.warehouse_id == bindparam("w"), StockMove.id == bindparam("m"))
)
_PROGRESS = select(
    select(func.coalesce(func.sum(Allocation.qty), 0))
    .join(Location, _at_place)
    .where(_of_order, Location.kind == LocationKind.TOTE)
    .scalar_subquery(),
    select(func.coalesce(func.sum(OrderLine.qty - OrderLine.cancelled_qty), 0))
    .where(OrderLine.warehouse_id == bindparam("w"), OrderLine.order_id == bindparam("o"), OrderLine.kind == "goods")
    .scalar_subquery(),
)


def give_work(session: Session, operator_id: int, idle: timedelta) -> PickTask:
    """The task the operator already has, else the most urgent one waiting or left idle (R23)."""
    warehouse_id = actor_of(session).warehouse_id
    while (mine := current(session, warehouse_id, operator_id)) is not None:
        if mine.step is PickStep.STOPPED or next_line(session, mine) is not None:
            return mine
        _finish(session, mine)  # a count took the rest of it away
    stale = now() - idle
    # Losing the race for one task only means trying the next.
    for _ in range(20):
        task_id = session.execute(
            select(PickTask.id)
            .where(
                PickTask.warehouse_id == warehouse_id,
                or_(
                    PickTask.step == PickStep.WAITING, and_(PickTask.step.in_(UNDER_WAY[:3]), PickTask.seen_at < stale)
                ),
            )
            .order_by(PickTask.ship_by.is_(None), PickTask.ship_by, PickTask.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).scalar_one_or_none()
        if task_id is None:
            raise NoWork()
        if task := _claim(session, warehouse_id, task_id, operator_id, stale):
            return task
    raise NoWork()


def _claim(session: Session, warehouse_id: int, task_id: int, operator_id: int, stale: datetime) -> PickTask | None:
    at = now()
    won = session.execute(
        update(PickTask)
        .where(
            PickTask.warehouse_id == warehouse_id,
            PickTask.id == task_id,
            or_(PickTask.operator_id.is_(None), PickTask.seen_at < stale),
        )
        .values(operator_id=operator_id, claimed_at=at, seen_at=at)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    if not won:
        return None
    task = load(session, warehouse_id, task_id)
    _start(session, task)
    return task


def _start(session: Session, task: PickTask) -> None:
    """Go to work on a claimed task; one whose goods were all lost by a count meanwhile ends at once."""
    order = locked(session, task.warehouse_id, task.order_id)
    if order.state is OrderState.RELEASED:
        advance_order(session, order, OrderState.PICKING)
    if task.step is PickStep.WAITING:
        _advance(session, task, PickStep.SCAN_LOCATION if task.tote_id else PickStep.SCAN_TOTE)
    if task.step is not PickStep.STOPPED and next_line(session, task) is None:
        _finish(session, task)


def take_over(session: Session, operator_id: int, task_id: int) -> PickTask:
    """R23: another worker takes a task on purpose; the page has asked first."""
    task = load(session, actor_of(session).warehouse_id, task_id)
    if task.step is PickStep.DONE:  # its order went on meanwhile and must not be set back
        raise ChangedMeanwhile(what=term("The pick task"))
    journal.note(session, task, "taken_over", task.operator_id or "", operator_id)
    task.operator_id, task.seen_at = operator_id, now()
    _start(session, task)
    return task


def current(session: Session, warehouse_id: int, operator_id: int) -> PickTask | None:
    return session.execute(
        select(PickTask)
        .where(PickTask.warehouse_id == warehouse_id, PickTask.operator_id == operator_id, PickTask.step.in_(UNDER_WAY))
        .order_by(PickTask.id)
        .limit(1)
    ).scalar_one_or_none()


def lately_done(session: Session, warehouse_id: int, operator_id: int, since: datetime) -> PickTask | None:
    """The operator's last task while its tote is still to be brought: a reload must not hide which one (R23)."""
    task = session.execute(
        select(PickTask)
        .where(
            PickTask.warehouse_id == warehouse_id,
            PickTask.operator_id == operator_id,
            PickTask.step == PickStep.DONE,
            # Ids rise in time: yesterday's and today's tasks are a short range of the primary key.
            PickTask.id >= first_id(since - timedelta(days=1)),
            PickTask.done_at > since,
        )
        .order_by(PickTask.done_at.desc())
        .limit(1)
    ).scalar_one_or_none()
    if task is None or task.tote_id is None:
        return None
    order = session.get_one(Order, (warehouse_id, task.order_id))
    return task if order.state in (OrderState.PICKED, OrderState.SHORT) else None


def waiting(session: Session, warehouse_id: int) -> int:
    """Tasks nobody has claimed."""
    return int(
        session.execute(
            select(func.count())
            .select_from(PickTask)
            .where(PickTask.warehouse_id == warehouse_id, PickTask.step == PickStep.WAITING)
        ).scalar_one()
    )


def owner(session: Session, task: PickTask) -> Operator | None:
    return session.get(Operator, (task.warehouse_id, task.operator_id)) if task.operator_id else None


def load(session: Session, warehouse_id: int, task_id: int) -> PickTask:
    task = session.execute(_TASK, {"w": warehouse_id, "t": task_id}).scalar_one_or_none()
    if task is None:
        raise NotFound(what=term("The pick task"))
    session.info["pick_task"] = task  # sessions forget rows nobody holds, and the screen shows this one next
    return task


def _key(location_id: int, item_id: int, lot: str) -> str:
    return f"{location_id}:{item_id}:{lot}"


def next_line(session: Session, task: PickTask) -> ToPick | None:
    """What the order still has promised on shelves, next on the walk. None when all is fetched."""
    return next(_lines(session, task), None)


def _lines(session: Session, task: PickTask) -> Iterator[ToPick]:
    """What is still to fetch, in the order of the walk; the first ENOUGH allocations of it."""
    here = task.location_id if task.step is PickStep.SCAN_ITEM else None
    rows = session.execute(_TO_FETCH, {"w": task.warehouse_id, "o": task.order_id, "here": here or 0}).all()
    lines: dict[str, list[Row[Allocation, Location, Item, date | None, str]]] = {}
    for row in rows:
        lines.setdefault(_key(row[1].id, row[2].id, row[0].lot), []).append(row)
    remaining = {key: sum(row[0].qty for row in same) for key, same in lines.items()}
    for key, same in lines.items():
        first, location, item, expiry, _ref = same[0]
        gift = all(row[4].startswith(gifts.PREFIX) for row in same)
        allocations = tuple(row[0] for row in same)
        yield ToPick(location, item, first.lot, expiry, remaining[key], allocations, remaining, gift)


def carried(session: Session, task: PickTask) -> list[CarriedLine]:
    """What a phone takes along, so that picking goes on where there is no network; later lines are asked for then."""
    lines = list(_lines(session, task))
    items = {line.item.id for line in lines}
    codes: dict[int, dict[str, int]] = {line.item.id: {line.item.sku.upper(): 1} for line in lines}
    for code in session.execute(select(Barcode).where(Barcode.item_id.in_(items))).scalars():
        codes[code.item_id][code.code] = code.pieces
    day = today(session, task.warehouse_id)
    return [
        CarriedLine(
            line,
            codes[line.item.id],
            line.item.lot_tracked and _lots_standing(session, line.item, line.location) > 1,
            line.expiry is not None and line.expiry < day,
        )
        for line in lines
    ]


def progress(session: Session, task: PickTask) -> Progress:
    """Pieces in totes and pieces wanted."""
    done, total = session.connection().execute(_PROGRESS, {"w": task.warehouse_id, "o": task.order_id}).one()
    return Progress(int(done), int(total))


def order_and_tote(session: Session, task: PickTask) -> tuple[OrderSeen, ToteSeen | None]:
    """What the screens name: the order, and the tote once there is one."""
    key = {"w": task.warehouse_id, "o": task.order_id, "tote": task.tote_id}
    number, state, tote = session.connection().execute(_ORDER_AND_TOTE, key).one()
    return OrderSeen(number, state), ToteSeen(tote) if tote else None


def last(session: Session, task: PickTask) -> LastScan | None:
    """What the last scan took, for the screen and its undo."""
    if task.last_move_id is None:
        return None
    key = {"w": task.warehouse_id, "m": task.last_move_id}
    qty, of_scan, sku, item_id, from_id, lot = session.connection().execute(_LAST, key).one()
    return LastScan(int(of_scan or qty), sku, item_id, from_id, lot)


def scan(session: Session, operator_id: int, task: PickTask, text: str, at: int | None = None) -> bool:
    """One scan of the picker: checked against the step, taken, and the task moved on.

    ``at`` is the id of the place whose code the phone had checked when it took an item: a scan made without
    network says where it was made, so that one that is refused does not carry those after it to another place.
    False when nothing was taken, because a count took the rest of the order away: then the task is finished (R42).
    """
    _mine(session, operator_id, task)
    try:
        if at is not None:
            _stand_at(session, task, at, text)
        if task.step is PickStep.SCAN_TOTE:
            scan_tote(session, task, text)
        elif task.step is PickStep.SCAN_LOCATION:
            scan_location(session, task, text)
        elif task.step is PickStep.SCAN_ITEM:
            scan_item(session, task, text, at)
        elif task.step is PickStep.WAITING:
            raise NotYours(operator="—")
    except NothingLeft:
        _finish(session, task)
        return False
    # A finished task takes no scans; the screen says so and offers the next one.
    if task.step is not PickStep.DONE:
        task.seen_at = now()
    return True


def _mine(session: Session, operator_id: int, task: PickTask) -> None:
    if task.operator_id != operator_id:
        other = owner(session, task)
        raise NotYours(operator=other.name if other else "—")
    if task.step is PickStep.STOPPED:
        raise OrderCancelled(order=session.get_one(Order, (task.warehouse_id, task.order_id)).shop_order_no)
    if task.tell:
        taken_back.tell(session, task, session.get_one(Order, (task.warehouse_id, task.order_id)))


def scan_tote(session: Session, task: PickTask, text: str) -> None:
    found = lookup.expect(session, task.warehouse_id, text, "tote")
    _take_tote(session, task, found.row)
    _advance(session, task, PickStep.SCAN_LOCATION)


def _take_tote(session: Session, task: PickTask, tote: Location) -> None:
    """R25: claim a tote for the order; the primary key lets only one order win."""
    use = session.get(ToteUse, (task.warehouse_id, tote.id))
    if use is not None and use.order_id != task.order_id:
        raise ToteInUse(tote=tote.code)
    if use is None:
        holds = session.execute(
            select(func.coalesce(func.sum(Balance.on_hand), 0)).where(
                Balance.warehouse_id == task.warehouse_id, Balance.location_id == tote.id
            )
        ).scalar_one()
        if holds:
            raise ToteNotEmpty(tote=tote.code)
        session.add(ToteUse(warehouse_id=task.warehouse_id, tote_id=tote.id, order_id=task.order_id))
        session.flush()
    task.tote_id = tote.id


def scan_location(session: Session, task: PickTask, text: str) -> None:
    line = _line(session, task)
    found = lookup.expect(session, task.warehouse_id, text, "location", "tote")
    if found.kind == "tote":  # the tote is full: another one for the rest
        _take_tote(session, task, found.row)
        return
    if found.row.id != line.location.id:
        raise WrongPlace(read=found.row.code, expected=line.location.code)
    task.location_id = line.location.id
    _advance(session, task, PickStep.SCAN_ITEM)


def _stand_at(session: Session, task: PickTask, at: int, text: str) -> None:
    """Take the worker for standing where the phone says, when something is promised to the order there."""
    if task.step is PickStep.SCAN_ITEM and task.location_id == at:
        return
    if task.step not in (PickStep.SCAN_LOCATION, PickStep.SCAN_ITEM):
        return
    row = session.execute(_PROMISED_AT, {"w": task.warehouse_id, "o": task.order_id, "l": at}).first()
    if row is None or row[1].kind is not LocationKind.STORAGE:
        _line(session, task)  # nothing left anywhere is another story
        raise _taken_away(session, task, at, lookup.expect(session, task.warehouse_id, text, "item").row)
    task.location_id = at
    _advance(session, task, PickStep.SCAN_ITEM)


def _taken_away(session: Session, task: PickTask, at: int, item: Item) -> Refusal:
    place = session.get(Location, (task.warehouse_id, at))
    if place is None:
        return NotFound(what=term("The location"))
    last_there = session.execute(
        select(StockMove.at, Operator.name)
        .join(Operator, and_(Operator.warehouse_id == StockMove.warehouse_id, Operator.id == StockMove.operator_id))
        .where(
            StockMove.warehouse_id == task.warehouse_id,
            StockMove.item_id == item.id,
            or_(StockMove.from_id == at, StockMove.to_id == at),
            StockMove.operator_id != task.operator_id,
        )
        .order_by(StockMove.id.desc())
        .limit(1)
    ).first()
    if last_there is None:
        return TakenAway(item=item.sku, place=place.code)
    minutes = int((now() - last_there[0]).total_seconds() // 60)
    return TakenAwayBy(item=item.sku, place=place.code, operator=last_there[1], minutes=minutes)


def scan_item(session: Session, task: PickTask, text: str, at: int | None = None) -> None:
    place, promised = _here(session, task)
    found = _lot_of_the_line(session, task, text) or lookup.expect(session, task.warehouse_id, text, "item", "tote")
    if found.kind == "tote":
        _take_tote(session, task, found.row)
        return
    item: Item = found.row
    if at is not None and place.id != at:
        raise _taken_away(session, task, at, item)
    lines = [allocated for allocated in promised if allocated.item_id == item.id]
    if not lines:
        raise _not_here(session, task, item, _line(session, task))
    chosen = _by_lot(session, lines, item, place, found.scanned.lot)
    _pick(session, task, item, chosen, found.pieces)


def _lot_of_the_line(session: Session, task: PickTask, text: str) -> lookup.Found | None:
    """A code with the lot alone proves the piece where the item is kept by lot (R9, R15)."""
    if (scanned := lookup.lot_alone(text)) and (item := _line(session, task).item).lot_tracked:
        return lookup.Found("item", item, scanned, scanned.pieces or 1)
    return None


def _here(session: Session, task: PickTask) -> tuple[Location, list[Allocation]]:
    """Where the worker takes the next piece, and all that is promised to the order there."""

    def promised(location_id: int) -> Sequence[Row[Allocation, Location]]:
        return session.execute(_PROMISED_AT, {"w": task.warehouse_id, "o": task.order_id, "l": location_id}).all()

    rows = promised(task.location_id) if task.location_id is not None else ()
    if not rows:
        rows = promised(_line(session, task).location.id)  # a count took the promises here away meanwhile
    return rows[0][1], [row[0] for row in rows]


def _not_here(session: Session, task: PickTask, item: Item, line: ToPick) -> Refusal:
    """R13: wrong item, right item in the wrong place, and already done are three different messages."""
    elsewhere = (
        session.execute(
            select(Location)
            .join(
                Allocation,
                and_(Allocation.warehouse_id == Location.warehouse_id, Allocation.location_id == Location.id),
            )
            .where(
                Allocation.warehouse_id == task.warehouse_id,
                Allocation.order_id == task.order_id,
                Allocation.item_id == item.id,
            )
            .order_by(Location.walk)
        )
        .scalars()
        .all()
    )
    on_shelf = [place for place in elsewhere if place.kind is LocationKind.STORAGE]
    if on_shelf:
        return RightItemWrongPlace(read=item.sku, place=on_shelf[0].code, expected=line.item.sku)
    if elsewhere:
        return AlreadyPicked(read=item.sku)
    return WrongItem(expected=line.item.sku, read=item.sku)


def _by_lot(
    session: Session, lines: Sequence[Allocation], item: Item, place: Location, lot: str | None
) -> list[Allocation]:
    lots = {a.lot for a in lines}
    if item.lot_tracked and lot is None and _lots_standing(session, item, place) > 1:
        raise LotNeeded(item=item.sku, expected=", ".join(sorted(lots)))
    chosen = [a for a in lines if a.lot == lot] if item.lot_tracked and lot is not None else list(lines)
    if not chosen:
        _not_expired(session, item, lot or "")
        raise WrongLot(expected=", ".join(sorted(lots)), item=item.sku, read=lot)
    chosen = [a for a in chosen if a.lot == chosen[0].lot]
    _not_expired(session, item, chosen[0].lot)
    return chosen


def _lots_standing(session: Session, item: Item, place: Location) -> int:
    return int(
        session.execute(
            select(func.count(func.distinct(Balance.lot))).where(
                Balance.warehouse_id == place.warehouse_id,
                Balance.location_id == place.id,
                Balance.item_id == item.id,
                Balance.on_hand > 0,
            )
        ).scalar_one()
    )


def _not_expired(session: Session, item: Item, lot: str) -> None:
    row = session.get(Lot, (item.id, lot)) if lot else None
    if row is not None and row.expiry is not None and row.expiry < today(session, actor_of(session).warehouse_id):
        raise ExpiredLot(lot=lot, item=item.sku, expiry=row.expiry.isoformat())


def _pick(session: Session, task: PickTask, item: Item, lines: Sequence[Allocation], pieces: int) -> None:
    left = sum(a.qty for a in lines)
    if pieces > left:
        raise OverPick(left=left, item=item.sku, read=pieces)
    assert task.tote_id is not None
    tote = session.get_one(Location, (task.warehouse_id, task.tote_id))
    for allocated in lines:
        taken = min(pieces, allocated.qty)
        task.last_move_id = ledger.carry(
            session, allocated, taken, tote, reason=MoveReason.PICK, cause=f"order_line:{allocated.order_line_id}"
        )
        pieces -= taken
        if not pieces:
            break
    _go_on(session, task)


def may_take_rest(task: PickTask, line: ToPick, last: LastScan | None) -> bool:
    """Whether one piece of this line was proved by scan already, so that the rest may be taken at once."""
    return (
        task.step is PickStep.SCAN_ITEM
        and last is not None
        and last.item_id == line.item.id
        and last.from_id == line.location.id
        and last.lot == line.lot
    )


def take_rest(session: Session, operator_id: int, task: PickTask, qty: int, key: str = "") -> None:
    """After one piece was proved by scan, take so many more of it at once. ``key`` names the line the worker saw."""
    _mine(session, operator_id, task)
    line = _line(session, task, key)
    if not may_take_rest(task, line, last(session, task)):
        raise ScanFirst(item=line.item.sku)
    if qty < 1:
        raise BadQuantity(entered=qty, most=line.qty)
    _pick(session, task, line.item, line.allocations, qty)
    task.seen_at = now()


def short(session: Session, operator_id: int, task: PickTask, reason: str, key: str = "") -> int:
    """R22: the rest of this line is not there. Look elsewhere, ask for a count, note what stays missing.

    ``key`` names the line the worker saw; when that line was taken away meanwhile, no other one is meant.
    Returns the pieces that were found at other places; the worker goes on either way.
    """
    _mine(session, operator_id, task)
    line = _line(session, task, key)
    reason = reason if reason in SHORT_REASONS else "not_found"
    count_requests.ask(session, line.location, "short")
    found = 0
    for allocated in line.allocations:
        order_line = session.get_one(OrderLine, (task.warehouse_id, allocated.order_line_id))
        qty = allocated.qty
        ledger.free(session, allocated)
        missing = allocation.promise(session, order_line, qty)
        found += qty - missing
        if missing:
            session.add(
                Shortage(
                    warehouse_id=task.warehouse_id,
                    id=new_id(),
                    order_id=task.order_id,
                    order_line_id=order_line.id,
                    item_id=line.item.id,
                    location_id=line.location.id,
                    qty=missing,
                    reason=reason,
                    at=now(),
                )
            )
    session.flush()
    journal.note(session, task, "short", line.location.code, f"{line.item.sku} {reason}")
    _go_on(session, task)
    task.seen_at = now()
    return found


def undo(session: Session, operator_id: int, task: PickTask) -> None:
    """Put what the last scan took back where it came from, by reverse moves (R1)."""
    if task.operator_id != operator_id or task.last_move_id is None:
        raise NothingToUndo()
    order = locked(session, task.warehouse_id, task.order_id)
    if order.state not in (OrderState.PICKING, OrderState.PICKED, OrderState.SHORT):
        raise NothingToUndo()
    for move in ledger.moves_of_scan(session, task.warehouse_id, task.last_move_id):
        ledger.reverse(session, move.id, cause=move.cause)
        task.location_id = move.from_id
    task.last_move_id = None
    if order.state is not OrderState.PICKING:
        advance_order(session, order, OrderState.PICKING)
    if task.step is PickStep.DONE:
        task.done_at = None
        _advance(session, task, PickStep.SCAN_LOCATION)
    _advance(session, task, PickStep.SCAN_ITEM)
    task.seen_at = now()


def put_down(session: Session, operator_id: int, task: PickTask) -> None:
    """The worker gives the task back; its tote keeps what it holds and the next worker goes on from there."""
    _mine(session, operator_id, task)
    if task.step in (PickStep.SCAN_TOTE, PickStep.SCAN_LOCATION, PickStep.SCAN_ITEM):
        _advance(session, task, PickStep.WAITING)
        task.operator_id = task.location_id = task.last_move_id = None


def stopped_seen(session: Session, operator_id: int, task: PickTask) -> None:
    """The worker has read that the order was cancelled and set the tote down for put-back."""
    if task.operator_id == operator_id and task.step is PickStep.STOPPED:
        task.done_at = now()
        _advance(session, task, PickStep.DONE)


def _line(session: Session, task: PickTask, key: str = "") -> ToPick:
    """The line that is next, or the one of that key."""
    lines = list(_lines(session, task))
    if not lines:
        raise NothingLeft(what=term("The next line"))
    if not key:
        return lines[0]
    for line in lines:
        if line.key == key:
            return line
    raise ChangedMeanwhile(what=term("This line"))


def _go_on(session: Session, task: PickTask) -> None:
    """The step after a change: the same place, the next place, or done."""
    # Only the ledger writes allocations, straight to the table: there is nothing of the session to flush first.
    places = session.connection().execute(_PLACES_TO_GO, {"w": task.warehouse_id, "o": task.order_id}).scalars().all()
    if not places:
        _finish(session, task)
    elif task.step is PickStep.SCAN_ITEM and task.location_id not in places:
        task.location_id = None
        _advance(session, task, PickStep.SCAN_LOCATION)


def _finish(session: Session, task: PickTask) -> None:
    _advance(session, task, PickStep.DONE)
    task.done_at = task.seen_at = now()
    order = locked(session, task.warehouse_id, task.order_id)
    missing = session.execute(
        select(func.count())
        .select_from(Shortage)
        .where(
            Shortage.warehouse_id == task.warehouse_id,
            Shortage.order_id == task.order_id,
            Shortage.state == ShortageState.OPEN,
        )
    ).scalar_one()
    advance_order(session, order, OrderState.SHORT if missing else OrderState.PICKED)
    in_totes = allocation.of_order(session, task.warehouse_id, task.order_id, LocationKind.TOTE)
    if not in_totes:
        for use in session.execute(
            select(ToteUse).where(ToteUse.warehouse_id == task.warehouse_id, ToteUse.order_id == task.order_id)
        ).scalars():
            session.delete(use)
        task.tote_id = None


def _advance(session: Session, task: PickTask, step: PickStep) -> None:
    """Steps of a task are not journalled one by one: the moves are; the task only remembers where it is."""
    if task.step is not step:
        assert step in STEPS[task.step], f"{task.step} does not lead to {step}"
        task.step = step
