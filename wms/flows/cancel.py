"""Cancel and intercept 拦截: an order may be cancelled in any state until it was handed over (R28)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, func, select, update
from sqlalchemy.orm import Session

from wms import allocation, journal, labels, ledger, taken_back, together, waybills
from wms.clock import now
from wms.errors import N_, BadQuantity, ChangedMeanwhile, Refusal, term
from wms.journal import advance
from wms.models import (
    Allocation,
    Balance,
    LineKind,
    Location,
    LocationKind,
    MoveReason,
    Order,
    OrderLine,
    OrderState,
    Parcel,
    ParcelLine,
    ParcelState,
    PickStep,
    PickTask,
    Shortage,
    ShortageState,
    TakenBack,
    TakenBackState,
    ToteUse,
    new_id,
)
from wms.order_states import advance as advance_order
from wms.order_states import locked
from wms.rules import gifts

S = OrderState
UNLABELLED = (ParcelState.OPEN, ParcelState.VERIFIED)
GONE = (ParcelState.HANDED_OVER, ParcelState.ACKNOWLEDGED)


class TooLate(Refusal):
    """CANCELFAIL of a Qimen delivery order: the parcel is with the carrier."""

    message = N_("Order %(order)s was already handed over. Ask the carrier to intercept parcel %(parcels)s.")
    answer = "look"


class Labelled(Refusal):
    """R29: the label names what is inside; void and redo is for a supervisor."""

    message = N_(
        "Parcel %(parcels)s of order %(order)s has its label. A supervisor must void it and take the pieces out."
    )
    answer = "look"


class StillPacking(Refusal):
    message = N_("Another parcel of order %(order)s is on a bench. Let it be finished first.")
    answer = "look"


def cancel(session: Session, order: Order, why: str) -> None:
    """Stop an order wherever it is: give back what it was promised, void its labels, stop who holds it.

    Goods already picked stay in their tote, or in the voided parcel, until they are put away again.
    """
    order = locked(session, order.warehouse_id, order.id)
    if order.state is S.CANCELLED:
        return
    lead = session.get_one(Order, (order.warehouse_id, order.merged_into_id)) if order.state is S.MERGED else order
    if lead.state in (S.READY, S.HELD):
        together.undo_merge(session, order)  # nothing was released: each is its own order again
    elif order.state is S.MERGED or together.merged_into(session, order):
        _cancel_one_of_them(session, order, why)
        return
    parts = together.parts_of(session, order)
    for part in parts:
        if part.state in (S.SHIPPED, S.ACKNOWLEDGED):
            raise TooLate(order=order.shop_order_no, parcels=_gone(session, part))
    for part in parts:
        _stop(session, locked(session, part.warehouse_id, part.id), why)
    _stop(session, order, why)


def _cancel_one_of_them(session: Session, order: Order, why: str) -> None:
    """One of merged orders under way: its lines alone; the others go on (R28)."""
    take_back(session, order, parts_of(session, order), why)
    order = locked(session, order.warehouse_id, order.id)
    order.cancel_asked = order.state is S.CANCELLED
    journal.note(session, order, "cancelled", order.state, why)


def parts_of(session: Session, home: Order) -> list[tuple[int, int]]:
    """All that a shop's order still wants: (line, pieces)."""
    return [
        (line.id, line.wanted)
        for line in session.execute(
            select(OrderLine).where(
                OrderLine.warehouse_id == home.warehouse_id,
                OrderLine.home_id == home.id,
                OrderLine.kind == LineKind.GOODS,
                OrderLine.qty > OrderLine.cancelled_qty,
            )
        ).scalars()
        if not gifts.is_gift(line)
    ]


def _gone(session: Session, order: Order) -> str:
    codes = session.execute(
        select(Parcel.code).where(
            Parcel.warehouse_id == order.warehouse_id, Parcel.order_id == order.id, Parcel.state.in_(GONE)
        )
    ).scalars()
    return ", ".join(codes) or "—"


def _stop(session: Session, order: Order, why: str) -> None:
    """Stop an order with all it carries."""
    if order.state is S.CANCELLED:
        return
    parcels = (
        session.execute(
            select(Parcel)
            .where(
                Parcel.warehouse_id == order.warehouse_id, Parcel.order_id == order.id, Parcel.state != ParcelState.VOID
            )
            .with_for_update()
        )
        .scalars()
        .all()
    )
    gone = [p.code for p in parcels if p.state in (ParcelState.HANDED_OVER, ParcelState.ACKNOWLEDGED)]
    if gone or order.state in (OrderState.SHIPPED, OrderState.ACKNOWLEDGED):
        raise TooLate(order=order.shop_order_no, parcels=", ".join(gone))
    for parcel in parcels:
        waybills.void(session, parcel)
        labels.cancel(session, parcel)
        advance(session, parcel, ParcelState.VOID, {parcel.state: {ParcelState.VOID}})
    for allocated in allocation.of_order(session, order.warehouse_id, order.id):
        ledger.free(session, allocated)
    for task in session.execute(
        select(PickTask)
        .where(
            PickTask.warehouse_id == order.warehouse_id, PickTask.order_id == order.id, PickTask.step != PickStep.DONE
        )
        .with_for_update()
    ).scalars():
        task.step = PickStep.STOPPED if task.operator_id else PickStep.DONE
    for use in session.execute(
        select(ToteUse).where(ToteUse.warehouse_id == order.warehouse_id, ToteUse.order_id == order.id)
    ).scalars():
        session.delete(use)
    session.execute(
        update(Shortage)
        .where(
            Shortage.warehouse_id == order.warehouse_id,
            Shortage.order_id == order.id,
            Shortage.state == ShortageState.OPEN,
        )
        .values(state=ShortageState.RESOLVED, decision="cancelled")
    )
    session.execute(
        update(TakenBack)
        .where(
            TakenBack.warehouse_id == order.warehouse_id,
            TakenBack.order_id == order.id,
            TakenBack.state == TakenBackState.ASKED,
        )
        .values(state=TakenBackState.DONE)
    )
    journal.note(session, order, "cancelled", order.state, why)
    order.cancel_asked = True
    advance_order(session, order, S.CANCELLED)
    for other in together.merged_into(session, order):
        if other.state is S.MERGED:
            other.cancel_asked = True
            advance_order(session, other, S.CANCELLED)


def cancel_line(session: Session, order: Order, line: OrderLine, qty: int, why: str = "shop") -> None:
    """R29: so many pieces of one line are not wanted any more; everything else of the order goes on.

    Raises Labelled and TooLate when the pieces are in a parcel that has its label, or that the carrier has.
    """
    cancel_lines(session, order, [(line.id, qty)], why)


def take_back(session: Session, home: Order, parts: Sequence[tuple[int, int]], why: str = "shop") -> None:
    """What a shop says of its order, whichever order carries the lines: (line, pieces) that are not wanted any more."""
    for carrier_id, some in _by_carrier(session, home, parts).items():
        cancel_lines(session, session.get_one(Order, (home.warehouse_id, carrier_id)), some, why)


def _by_carrier(session: Session, home: Order, parts: Sequence[tuple[int, int]]) -> dict[int, list[tuple[int, int]]]:
    by_carrier: dict[int, list[tuple[int, int]]] = {}
    for line_id, qty in sorted(parts):
        line = session.get_one(OrderLine, (home.warehouse_id, line_id))
        by_carrier.setdefault(line.order_id, []).append((line_id, qty))
    return by_carrier


def cancel_lines(session: Session, order: Order, parts: Sequence[tuple[int, int]], why: str = "shop") -> None:
    """As ``cancel_line`` for several lines, by id: all of them or none. The last line cancels the order."""
    order, tasks, parcels = _hold(session, order)
    if order.state is S.CANCELLED:
        return
    lines = _lines(session, order)
    for line_id, qty in parts:
        if line_id not in lines:
            raise ChangedMeanwhile(what=term("This line"))
        if not 1 <= qty <= lines[line_id].wanted:
            raise BadQuantity(entered=qty, most=lines[line_id].wanted)
    going = dict(parts)
    if all(line.wanted <= going.get(line.id, 0) for line in lines.values() if not gifts.is_gift(line)):
        _stop(session, order, why)
        return
    for line_id, qty in parts:
        _take_back(session, order, lines[line_id], qty, why, tasks, parcels)
    session.flush()
    for line, qty in gifts.too_many(session, order):
        # A gift that cannot be taken out any more goes along: nobody opens a box for it.
        if free := min(qty, sum(_where(session, order, line, parcels)[:-1])):
            _take_back(session, order, line, free, "gift", tasks, parcels)
    session.flush()
    _go_on(session, order, tasks, parcels)
    _none_left_of(session, order)


def _none_left_of(session: Session, order: Order) -> None:
    """Merged orders of which no piece is wanted any more are cancelled; the order that carries them goes on."""
    wanted = {line.home_id for line in _lines(session, order).values() if not gifts.is_gift(line)}
    for other in together.merged_into(session, order):
        if other.state is S.MERGED and other.id not in wanted:
            other.cancel_asked = True
            advance_order(session, other, S.CANCELLED)


def _hold(session: Session, order: Order) -> tuple[Order, list[PickTask], list[Parcel]]:
    """The order with its tasks and parcels, nobody else's for this transaction; in the order a scan takes them."""
    key = order.warehouse_id

    def parcels() -> list[Parcel]:
        return list(
            session.execute(
                select(Parcel)
                .where(Parcel.warehouse_id == key, Parcel.order_id == order.id, Parcel.state != ParcelState.VOID)
                .order_by(Parcel.id)
                .with_for_update()
                .execution_options(populate_existing=True)
            ).scalars()
        )

    tasks = list(
        session.execute(
            select(PickTask)
            .where(PickTask.warehouse_id == key, PickTask.order_id == order.id)
            .order_by(PickTask.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).scalars()
    )
    parcels()
    # One opened while we waited for the order is read with the second look.
    return locked(session, key, order.id), tasks, parcels()


def _lines(session: Session, order: Order) -> dict[int, OrderLine]:
    """The goods still wanted, by id."""
    return {
        line.id: line
        for line in session.execute(
            select(OrderLine)
            .where(
                OrderLine.warehouse_id == order.warehouse_id,
                OrderLine.order_id == order.id,
                OrderLine.kind == LineKind.GOODS,
                OrderLine.qty > OrderLine.cancelled_qty,
            )
            .order_by(OrderLine.id)
            .execution_options(populate_existing=True)
        ).scalars()
    }


def _promised(session: Session, order: Order, line: OrderLine) -> list[tuple[Allocation, LocationKind]]:
    """The line's pieces and where they stand."""
    places = select(Location.id, Location.kind).where(Location.warehouse_id == order.warehouse_id)
    all_of_it = allocation.of_order(session, order.warehouse_id, order.id)
    mine = [each for each in all_of_it if each.order_line_id == line.id]
    kinds = {row[0]: row[1] for row in session.execute(places.where(Location.id.in_([a.location_id for a in mine])))}
    return [(each, kinds[each.location_id]) for each in mine]


def _where(
    session: Session, order: Order, line: OrderLine, parcels: Sequence[Parcel]
) -> tuple[int, int, int, int, int]:
    """The line's pieces: promised nowhere, on shelves, in totes, in unlabelled parcels, in labelled ones."""
    boxes = {parcel.code: parcel.state in UNLABELLED for parcel in parcels}
    shelf = tote = boxed = sealed = 0
    for each, kind in _promised(session, order, line):
        if kind is LocationKind.STORAGE:
            shelf += each.qty
        elif each.container in boxes and not boxes[each.container]:
            sealed += each.qty
        elif each.container in boxes:
            boxed += each.qty
        else:
            tote += each.qty
    return line.wanted - line.shipped_qty - shelf - tote - boxed - sealed, shelf, tote, boxed, sealed


def _take_back(
    session: Session,
    order: Order,
    line: OrderLine,
    qty: int,
    why: str,
    tasks: Sequence[PickTask],
    parcels: Sequence[Parcel],
) -> None:
    """Pieces nobody has touched go first: what was picked already has to be carried back."""
    nowhere, shelf, tote, boxed, sealed = _where(session, order, line, parcels)
    if qty > nowhere + shelf + tote + boxed:
        if qty > nowhere + shelf + tote + boxed + sealed:
            raise TooLate(
                order=order.shop_order_no, parcels=", ".join(p.code for p in parcels if p.state in GONE) or "—"
            )
        inside = {each.container for each, _kind in _promised(session, order, line)}
        shut = [p.code for p in parcels if p.state is ParcelState.LABELLED and p.code in inside]
        raise Labelled(order=order.shop_order_no, parcels=", ".join(shut))
    left = qty - min(qty, nowhere)
    _less_short(session, line, min(qty, nowhere))
    by_code = {parcel.code: parcel for parcel in parcels if parcel.state in UNLABELLED}
    rank = {LocationKind.STORAGE: 0, LocationKind.TOTE: 1}
    picked = 0
    for each, kind in sorted(_promised(session, order, line), key=lambda pair: rank.get(pair[1], 2)):
        box = by_code.get(each.container)
        taken = min(left, each.qty)
        if not taken or (kind is LocationKind.STAGING and box is None):
            continue
        left -= taken
        lot, item_id, place_id = each.lot, each.item_id, each.location_id
        ledger.free(session, each, taken)
        if kind is not LocationKind.STORAGE:
            picked += taken
        if box is not None:
            _out_of_the_box(session, box, line, item_id, lot, place_id, taken)
    assert not left, "the pieces were counted above"
    before = line.cancelled_qty
    line.cancelled_qty += qty
    journal.note(session, line, "cancelled_qty", before, f"{line.cancelled_qty} {why}")
    session.add(
        TakenBack(
            warehouse_id=order.warehouse_id,
            id=new_id(),
            order_id=order.id,
            order_line_id=line.id,
            qty=qty,
            picked=picked,
            why=why[:200],
            at=now(),
        )
    )
    if picked:
        order.tell = True
    for task in tasks:
        if task.step is not PickStep.DONE and task.operator_id and qty > nowhere:
            task.tell = True
        if picked:
            task.last_move_id = None  # its undo would carry pieces that are nobody's now


def _out_of_the_box(
    session: Session, parcel: Parcel, line: OrderLine, item_id: int, lot: str, place_id: int, qty: int
) -> None:
    """The packer lays the pieces beside the box: at the bench, in nobody's container, until they are put away."""
    place = session.get_one(Location, (parcel.warehouse_id, place_id))
    ledger.post(
        session,
        item_id=item_id,
        qty=qty,
        lot=lot,
        from_=place,
        to=place,
        from_container=parcel.code,
        reason=MoveReason.RELOCATE,
        cause=f"order_line:{line.id}",
    )
    inside = session.execute(
        select(ParcelLine).where(
            ParcelLine.warehouse_id == parcel.warehouse_id,
            ParcelLine.parcel_id == parcel.id,
            ParcelLine.order_line_id == line.id,
            ParcelLine.lot == lot,
        )
    ).scalar_one()
    inside.qty -= qty
    parcel.last_move_id = None


def _less_short(session: Session, line: OrderLine, qty: int) -> None:
    """What is not wanted is not missing either."""
    for shortage in session.execute(
        select(Shortage)
        .where(
            Shortage.warehouse_id == line.warehouse_id,
            Shortage.order_line_id == line.id,
            Shortage.state == ShortageState.OPEN,
        )
        .order_by(Shortage.id)
        .with_for_update()
    ).scalars():
        less = min(qty, shortage.qty)
        qty -= less
        if less == shortage.qty:
            shortage.state, shortage.decision = ShortageState.RESOLVED, "taken_back"
        else:
            shortage.qty -= less


def _go_on(session: Session, order: Order, tasks: Sequence[PickTask], parcels: Sequence[Parcel]) -> None:
    """Whatever waited for the pieces that are gone now goes on by itself."""
    on_shelves = allocation.of_order(session, order.warehouse_id, order.id, LocationKind.STORAGE)
    in_totes = allocation.of_order(session, order.warehouse_id, order.id, LocationKind.TOTE)
    short = session.execute(
        select(func.count())
        .select_from(Shortage)
        .where(
            Shortage.warehouse_id == order.warehouse_id,
            Shortage.order_id == order.id,
            Shortage.state == ShortageState.OPEN,
        )
    ).scalar_one()
    if order.state is S.PICKING and not on_shelves:
        for task in tasks:
            if task.step not in (PickStep.DONE, PickStep.STOPPED):
                task.step, task.done_at = PickStep.DONE, now()
        advance_order(session, order, S.SHORT if short else S.PICKED)
    elif order.state is S.SHORT and not short:
        if not on_shelves and not in_totes:
            advance_order(session, order, S.READY)  # it had nothing yet: the next release looks for it whole
        elif not on_shelves:
            advance_order(session, order, S.PICKED)
        else:
            advance_order(session, order, S.RELEASED)
            task = tasks[-1]
            task.step, task.operator_id, task.done_at, task.location_id = PickStep.WAITING, None, None, None
    elif order.state is S.PACKING:
        _pack_on(session, order, parcels, bool(in_totes))


def _pack_on(session: Session, order: Order, parcels: Sequence[Parcel], more_in_totes: bool) -> None:
    bench = next((parcel for parcel in parcels if parcel.state in UNLABELLED), None)
    if bench is None:
        return
    steps = {
        ParcelState.OPEN: {ParcelState.VERIFIED, ParcelState.VOID},
        ParcelState.VERIFIED: {ParcelState.OPEN, ParcelState.VOID},
    }
    holds = session.execute(
        select(func.coalesce(func.sum(ParcelLine.qty), 0)).where(
            ParcelLine.warehouse_id == bench.warehouse_id, ParcelLine.parcel_id == bench.id
        )
    ).scalar_one()
    if more_in_totes:
        if not holds:
            advance(session, bench, ParcelState.OPEN, steps)
        return
    for use in session.execute(
        select(ToteUse).where(ToteUse.warehouse_id == order.warehouse_id, ToteUse.order_id == order.id)
    ).scalars():
        session.delete(use)
    if holds:
        advance(session, bench, ParcelState.VERIFIED, steps)
        return
    advance(session, bench, ParcelState.VOID, steps)
    advance_order(session, order, S.PACKED)
    if all(parcel.state in GONE for parcel in parcels if parcel is not bench):
        together.shipped(session, order)


def ask(session: Session, home: Order, parts: Sequence[tuple[int, int]], why: str = "shop") -> None:
    """The shop took back what stands in a labelled parcel: it stays here until a supervisor has decided (R29).

    What was asked before, and what a supervisor said no to, is not asked again.
    """
    for carrier_id, some in _by_carrier(session, home, parts).items():
        _ask(session, locked(session, home.warehouse_id, carrier_id), some, why)


def _ask(session: Session, order: Order, parts: Sequence[tuple[int, int]], why: str) -> None:
    known = {
        (row.order_line_id, row.qty)
        for row in session.execute(
            select(TakenBack).where(
                TakenBack.warehouse_id == order.warehouse_id,
                TakenBack.order_id == order.id,
                TakenBack.state != TakenBackState.DONE,
            )
        ).scalars()
    }
    for line_id, qty in parts:
        if (line_id, qty) in known:
            continue
        session.add(
            TakenBack(
                warehouse_id=order.warehouse_id,
                id=new_id(),
                order_id=order.id,
                order_line_id=line_id,
                qty=qty,
                state=TakenBackState.ASKED,
                why=why[:200],
                at=now(),
            )
        )
        journal.note(session, order, "taken_back_asked", "", qty)


def take_out(session: Session, order: Order) -> None:
    """A supervisor says yes: labels void, the parcel back on its bench without those pieces, to be weighed anew."""
    order, _tasks, parcels = _hold(session, order)
    rows = taken_back.asked(session, order)
    if not rows:
        raise ChangedMeanwhile(what=order.shop_order_no)
    parts = [(row.order_line_id, row.qty) for row in rows]
    wanted = {row.order_line_id for row in rows}
    for row in rows:
        session.delete(row)
    shut = [p for p in parcels if p.state is ParcelState.LABELLED and wanted & _lines_in(session, p)]
    if any(parcel.state in UNLABELLED for parcel in parcels) or len(shut) > 1:
        raise StillPacking(order=order.shop_order_no)
    for parcel in shut:
        waybills.void(session, parcel)
        labels.cancel(session, parcel)
        parcel.labelled_at = parcel.weight_g = None
        advance(session, parcel, ParcelState.VERIFIED, {ParcelState.LABELLED: {ParcelState.VERIFIED}})
    if shut and order.state is S.PACKED:
        advance_order(session, order, S.PACKING)
    session.flush()
    cancel_lines(session, order, parts, "shop")


def send_all_the_same(session: Session, order: Order) -> None:
    """A supervisor says no to what the shop asked: the parcel leaves as it is."""
    order = locked(session, order.warehouse_id, order.id)
    rows = taken_back.asked(session, order)
    if not rows:
        raise ChangedMeanwhile(what=order.shop_order_no)
    for row in rows:
        row.state = TakenBackState.REFUSED
        journal.note(session, order, "taken_back_refused", "", row.qty)


def _lines_in(session: Session, parcel: Parcel) -> set[int]:
    return set(
        session.execute(
            select(ParcelLine.order_line_id).where(
                ParcelLine.warehouse_id == parcel.warehouse_id, ParcelLine.parcel_id == parcel.id, ParcelLine.qty > 0
            )
        ).scalars()
    )


def to_put_back(session: Session, warehouse_id: int) -> list[tuple[str, int]]:
    """Totes, voided parcels and benches that still hold goods nobody wants: (code to scan or place, pieces)."""
    rows = session.execute(
        select(Location.kind, Location.code, Balance.container, func.sum(Balance.on_hand))
        .join(Location, and_(Location.warehouse_id == Balance.warehouse_id, Location.id == Balance.location_id))
        .outerjoin(ToteUse, and_(ToteUse.warehouse_id == Balance.warehouse_id, ToteUse.tote_id == Balance.location_id))
        .where(
            Balance.warehouse_id == warehouse_id,
            Balance.on_hand > Balance.allocated,
            Location.kind.in_([LocationKind.TOTE, LocationKind.STAGING]),
            ToteUse.tote_id.is_(None),
        )
        .group_by(Location.kind, Location.code, Balance.container)
    )
    return [
        (f"T-{code}" if kind is LocationKind.TOTE else f"P-{container}" if container else code, int(pieces))
        for kind, code, container, pieces in rows
    ]
