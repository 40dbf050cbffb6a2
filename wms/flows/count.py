"""Count 盘点: blind, a difference recounted by someone else, then accepted or decided by a supervisor (R39–R43)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from wms import allocation, count_requests, journal, ledger, lookup
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, BadQuantity, ChangedMeanwhile, NotFound, Refusal, UnexpectedCode, term
from wms.journal import advance
from wms.ledger import Spot
from wms.models import (
    Balance,
    Condition,
    Count,
    CountLine,
    CountState,
    Item,
    Location,
    LocationKind,
    MoveReason,
    Order,
    OrderLine,
    Shortage,
    new_id,
)

C = CountState
STEPS = {
    C.PLANNED: {C.COUNTING},
    C.COUNTING: {C.MATCHED, C.RECOUNT, C.TO_DECIDE, C.ADJUSTED, C.PLANNED},
    C.RECOUNT: {C.COUNTING},
    C.TO_DECIDE: {C.ADJUSTED, C.MATCHED, C.RECOUNT},
    C.ADJUSTED: set[CountState](),
    C.MATCHED: set[CountState](),
}
REASONS = ("lost", "found", "damaged", "misplaced", "count_error", "unknown")
ACCEPTED_ALONE = 2
"""Two equal counts that differ from the book by at most so many pieces a line are accepted without a supervisor."""
MOST = 1_000_000


class NoCount(Refusal):
    message = N_("Nothing is waiting to be counted.")
    answer = "look"


class NotThisPlace(Refusal):
    message = N_("This is %(read)s. Count %(expected)s.")


class SameCounter(Refusal):
    """R40: a difference is counted again by someone else."""

    message = N_("You counted this place the first time. Somebody else must count it again.")


class ReasonNeeded(Refusal):
    message = N_("Choose a reason for the difference.")


class LotMissing(Refusal):
    message = N_("%(item)s is kept by lot. Scan the code that carries the lot.")
    answer = "look"


@dataclass(frozen=True, slots=True)
class Difference:
    """What a supervisor decides on: counted against the book of that moment (R41)."""

    item: Item
    line: CountLine

    @property
    def pieces(self) -> int:
        return self.line.counted - self.line.book


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an adjustment did: pieces changed, and orders that lost their promise and are short now (R42)."""

    pieces: int
    orders_short: tuple[str, ...] = ()


def plan(session: Session, location: Location) -> Count:
    return count_requests.ask(session, location, "planned")


def current(session: Session, warehouse_id: int, operator_id: int, *, for_update: bool = False) -> Count | None:
    """The count this worker is at; ``for_update`` where it will be changed."""
    query = (
        select(Count)
        .where(Count.warehouse_id == warehouse_id, Count.operator_id == operator_id, Count.state == C.COUNTING)
        .order_by(Count.id)
        .limit(1)
    )
    return session.execute(
        (query.with_for_update() if for_update else query).execution_options(populate_existing=True)
    ).scalar_one_or_none()


def give_work(session: Session, operator_id: int, idle: timedelta) -> Count:
    """The count one already has, else the next planned one, a recount only for somebody else (R40)."""
    warehouse_id = actor_of(session).warehouse_id
    if mine := current(session, warehouse_id, operator_id, for_update=True):
        return mine
    count = session.execute(
        select(Count)
        .where(
            Count.warehouse_id == warehouse_id,
            or_(
                Count.state == C.PLANNED,
                and_(Count.state == C.RECOUNT, Count.first_operator_id != operator_id),
                and_(
                    Count.state == C.COUNTING,
                    Count.seen_at < now() - idle,
                    or_(Count.first_operator_id.is_(None), Count.first_operator_id != operator_id),
                ),
            ),
        )
        .order_by(Count.why.desc(), Count.created_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).scalar_one_or_none()
    if count is None:
        raise NoCount()
    _begin(session, count, operator_id)
    return count


def _begin(session: Session, count: Count, operator_id: int) -> None:
    if count.state is C.COUNTING:
        _forget(session, count)
    if count.first_operator_id == operator_id and count.round > 1:
        raise SameCounter()
    count.operator_id, count.seen_at, count.at_place = operator_id, now(), False
    advance(session, count, C.COUNTING, STEPS)


def _forget(session: Session, count: Count) -> None:
    """A count left half done by somebody is begun anew: half a count proves nothing."""
    for line in session.execute(_lines_of(count)).scalars():
        session.delete(line)
    session.flush()


def _lines_of(count: Count) -> Select[CountLine]:
    return select(CountLine).where(
        CountLine.warehouse_id == count.warehouse_id, CountLine.count_id == count.id, CountLine.round == count.round
    )


def scan(session: Session, count: Count, text: str) -> None:
    """The place first, then each piece (or case): one scan, so many pieces more."""
    place = session.get_one(Location, (count.warehouse_id, count.location_id))
    if not count.at_place:
        found = lookup.expect(session, count.warehouse_id, text, "location")
        if found.row.id != place.id:
            raise NotThisPlace(read=found.row.code, expected=place.code)
        count.at_place = True
    else:
        found = lookup.expect(session, count.warehouse_id, text, "item", "location")
        if found.kind == "location":
            if found.row.id != place.id:
                raise NotThisPlace(read=found.row.code, expected=place.code)
            return
        _touch(session, count, found.row, found.scanned.lot, add=found.pieces)
    count.seen_at = now()


def enter(session: Session, count: Count, item_id: int, lot: str, entered: str) -> None:
    """Correct or type the number counted of an item that was scanned here."""
    if not (entered.strip().isascii() and entered.strip().isdigit() and int(entered) <= MOST):
        raise BadQuantity(entered=entered[:20] or "—", most=MOST)
    item = session.get(Item, item_id)
    if item is None or not count.at_place:
        raise NotFound(what=term("The item"))
    _touch(session, count, item, lot or None, to=int(entered))
    count.seen_at = now()


def _touch(session: Session, count: Count, item: Item, lot: str | None, add: int = 0, to: int | None = None) -> None:
    """Note what is counted, and in the same transaction what the book holds at this very moment (R41)."""
    code = _lot(session, count, item, lot)
    condition = _condition(session, count, item, code)
    line = session.execute(
        _lines_of(count).where(CountLine.item_id == item.id, CountLine.lot == code, CountLine.condition == condition)
    ).scalar_one_or_none()
    book, _allocated, position = ledger.on_hand(
        session, count.warehouse_id, Spot(count.location_id, item.id, code, "", condition)
    )
    if line is None:
        line = CountLine(
            warehouse_id=count.warehouse_id,
            id=new_id(),
            count_id=count.id,
            round=count.round,
            item_id=item.id,
            lot=code,
            condition=condition,
            counted=0,
            book=book,
            ledger_position=position,
        )
        session.add(line)
    # Pieces that a picker took between two scans of one item were here at the first scan and not at the
    # last: what was counted before is brought to the book of now by the same moves.
    line.counted = max(0, line.counted + (book - line.book)) + add if to is None else to
    line.book, line.ledger_position = book, position
    session.flush()


def _condition(session: Session, count: Count, item: Item, lot: str) -> Condition:
    """The condition these pieces stand here in by the book; a counter sees pieces, not conditions."""
    standing = (
        session.execute(
            select(Balance.condition).where(
                Balance.warehouse_id == count.warehouse_id,
                Balance.location_id == count.location_id,
                Balance.item_id == item.id,
                Balance.lot == lot,
                Balance.container == "",
                Balance.on_hand > 0,
            )
        )
        .scalars()
        .all()
    )
    return standing[0] if len(standing) == 1 else Condition.GOOD


def _lot(session: Session, count: Count, item: Item, lot: str | None) -> str:
    if not item.lot_tracked:
        return ""
    if lot:
        return lot[:40]
    standing = (
        session.execute(
            select(Balance.lot).where(
                Balance.warehouse_id == count.warehouse_id,
                Balance.item_id == item.id,
                Balance.location_id == count.location_id,
                Balance.on_hand > 0,
            )
        )
        .scalars()
        .all()
    )
    if len(standing) != 1:
        raise LotMissing(item=item.sku)
    return standing[0]


def lines(session: Session, count: Count) -> list[tuple[Item, str, int]]:
    """What was counted so far: item, lot, pieces. The book is not in it (R39)."""
    return [
        (row[0], row[1], row[2])
        for row in session.execute(
            select(Item, CountLine.lot, CountLine.counted)
            .join(CountLine, CountLine.item_id == Item.id)
            .where(
                CountLine.warehouse_id == count.warehouse_id,
                CountLine.count_id == count.id,
                CountLine.round == count.round,
            )
            .order_by(CountLine.id.desc())
        )
    ]


def finish(session: Session, count: Count) -> None:
    """All at this place is counted ("empty" is a valid count, R43). Goods never scanned count as zero."""
    if not count.at_place:
        raise UnexpectedCode(expected=term("the location"), read="—", what=term("nothing"))
    counted = {(line.item_id, line.lot, line.condition) for line in session.execute(_lines_of(count)).scalars()}
    for item_id, lot, condition, on_hand, position in session.execute(
        select(Balance.item_id, Balance.lot, Balance.condition, Balance.on_hand, Balance.last_move_id).where(
            Balance.warehouse_id == count.warehouse_id,
            Balance.location_id == count.location_id,
            Balance.on_hand > 0,
            Balance.container == "",
        )
    ).all():
        if (item_id, lot, condition) not in counted:
            session.add(
                CountLine(
                    warehouse_id=count.warehouse_id,
                    id=new_id(),
                    count_id=count.id,
                    round=count.round,
                    item_id=item_id,
                    lot=lot,
                    condition=condition,
                    counted=0,
                    book=on_hand,
                    ledger_position=position,
                )
            )
    session.flush()
    different = differences(session, count)
    journal.note(session, count, "counted", count.round, len(different))
    if not different:
        _end(session, count, C.MATCHED)
    elif count.round == 1:
        count.first_operator_id, count.operator_id, count.round = count.operator_id, None, 2
        advance(session, count, C.RECOUNT, STEPS)
    elif _same_as_first(session, count, different) and all(abs(d.pieces) <= ACCEPTED_ALONE for d in different):
        _adjust(session, count, different, "two_equal_counts")
        _end(session, count, C.ADJUSTED)
    else:
        advance(session, count, C.TO_DECIDE, STEPS)


def _end(session: Session, count: Count, state: CountState) -> None:
    advance(session, count, state, STEPS)
    count.done_at = now()


def _same_as_first(session: Session, count: Count, different: Sequence[Difference]) -> bool:
    """Equal counts means: the same difference against the book of each one's moment."""
    first = {
        (line.item_id, line.lot, line.condition): line.counted - line.book
        for line in session.execute(
            select(CountLine).where(
                CountLine.warehouse_id == count.warehouse_id,
                CountLine.count_id == count.id,
                CountLine.round == 1,
                CountLine.counted != CountLine.book,
            )
        ).scalars()
    }
    return first == {(d.line.item_id, d.line.lot, d.line.condition): d.pieces for d in different}


def differences(session: Session, count: Count) -> list[Difference]:
    return [
        Difference(row[0], row[1])
        for row in session.execute(
            select(Item, CountLine)
            .join(CountLine, CountLine.item_id == Item.id)
            .where(
                CountLine.warehouse_id == count.warehouse_id,
                CountLine.count_id == count.id,
                CountLine.round == count.round,
                CountLine.counted != CountLine.book,
            )
            .order_by(Item.sku)
        )
    ]


def to_decide(session: Session, warehouse_id: int) -> list[Count]:
    return list(
        session.execute(
            select(Count)
            .where(Count.warehouse_id == warehouse_id, Count.state == C.TO_DECIDE)
            .order_by(Count.created_at)
        ).scalars()
    )


def accept(session: Session, count: Count, reason: str) -> Outcome:
    """A supervisor accepts the difference, with a reason from the list: adjustment moves linked to the count."""
    if count.state is not C.TO_DECIDE:
        raise ChangedMeanwhile(what=count.code)
    if reason not in REASONS:
        raise ReasonNeeded()
    outcome = _adjust(session, count, differences(session, count), reason)
    _end(session, count, C.ADJUSTED)
    return outcome


def reject(session: Session, count: Count) -> None:
    """The book stays as it is; the lines stay as proof of what was said."""
    if count.state is not C.TO_DECIDE:
        raise ChangedMeanwhile(what=count.code)
    _end(session, count, C.MATCHED)


def again(session: Session, count: Count) -> None:
    """A third count, by whoever has not counted last."""
    if count.state is not C.TO_DECIDE:
        raise ChangedMeanwhile(what=count.code)
    count.first_operator_id, count.operator_id, count.round = count.operator_id, None, count.round + 1
    advance(session, count, C.RECOUNT, STEPS)


def _adjust(session: Session, count: Count, different: Sequence[Difference], reason: str) -> Outcome:
    """R42: the difference is posted as a move, never "set to", so that later moves are not overwritten."""
    place = session.get_one(Location, (count.warehouse_id, count.location_id))
    nowhere = ledger.virtual(session, LocationKind.ADJUSTMENT)
    pieces, short = 0, []
    for difference in different:
        line, item = difference.line, difference.item
        spot = Spot(place.id, item.id, line.lot, "", line.condition)
        line.reason = reason
        if difference.pieces > 0:
            line.move_id = ledger.post(
                session,
                item_id=item.id,
                qty=difference.pieces,
                lot=line.lot,
                from_=nowhere,
                to=place,
                from_condition=line.condition,
                reason=MoveReason.COUNT,
                cause=f"count_line:{line.id}",
            )
            pieces += difference.pieces
            continue
        on_hand, promised, _ = ledger.on_hand(session, count.warehouse_id, spot)
        missing = min(-difference.pieces, on_hand)
        if not missing:
            continue
        broken = ledger.break_allocations(session, count.warehouse_id, spot, missing - (on_hand - promised))
        line.move_id = ledger.post(
            session,
            item_id=item.id,
            qty=missing,
            lot=line.lot,
            from_=place,
            to=nowhere,
            from_condition=line.condition,
            reason=MoveReason.COUNT,
            cause=f"count_line:{line.id}",
        )
        pieces -= missing
        short += _promise_again(session, broken, place)
    return Outcome(pieces, tuple(dict.fromkeys(short)))


def _promise_again(session: Session, broken: list[tuple[int, int]], place: Location) -> list[str]:
    """Broken promises look for other stock at once; what is not found goes on the shortage list."""
    warehouse_id = actor_of(session).warehouse_id
    short = []
    for order_line_id, qty in broken:
        order_line = session.get_one(OrderLine, (warehouse_id, order_line_id))
        missing = allocation.promise(session, order_line, qty)
        if missing:
            assert order_line.item_id is not None
            session.add(
                Shortage(
                    warehouse_id=warehouse_id,
                    id=new_id(),
                    order_id=order_line.order_id,
                    order_line_id=order_line.id,
                    item_id=order_line.item_id,
                    location_id=place.id,
                    qty=missing,
                    reason="count",
                    at=now(),
                )
            )
            short.append(session.get_one(Order, (warehouse_id, order_line.order_id)).shop_order_no)
    return short


def open_counts(session: Session, warehouse_id: int) -> int:
    return int(
        session.execute(
            select(func.count())
            .select_from(Count)
            .where(Count.warehouse_id == warehouse_id, Count.state.in_([C.PLANNED, C.RECOUNT, C.COUNTING]))
        ).scalar_one()
    )


def waiting_for(session: Session, warehouse_id: int, operator_id: int) -> int:
    """Counts this operator may be given. A place just counted is out of it, whatever came of it (R39)."""
    return int(
        session.execute(
            select(func.count())
            .select_from(Count)
            .where(
                Count.warehouse_id == warehouse_id,
                or_(Count.state == C.PLANNED, and_(Count.state == C.RECOUNT, Count.first_operator_id != operator_id)),
            )
        ).scalar_one()
    )
