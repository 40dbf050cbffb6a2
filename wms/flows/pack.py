"""Pack 打包: scan the tote, verify each piece, weigh; the waybill number is taken and the label queued (R30–R33)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from wms import (
    allocation,
    carriage,
    components,
    gate_checks,
    journal,
    labels,
    ledger,
    lookup,
    recipients,
    rules,
    taken_back,
    together,
    waybills,
)
from wms.clock import now
from wms.db import actor_of
from wms.errors import (
    N_,
    BadQuantity,
    ChangedMeanwhile,
    NotFound,
    NothingToUndo,
    OrderCancelled,
    Refusal,
    UnexpectedCode,
    UnknownCode,
    term,
)
from wms.journal import advance
from wms.models import (
    OVER,
    Allocation,
    Carrier,
    Device,
    Item,
    Location,
    LocationKind,
    MoveReason,
    NumbersFrom,
    Order,
    OrderLine,
    OrderState,
    Parcel,
    ParcelLine,
    ParcelState,
    Printer,
    PrintJob,
    Shop,
    Station,
    StockMove,
    ToteUse,
    Warehouse,
    WaybillRequest,
    new_id,
)
from wms.order_states import WORDS, goods, locked
from wms.order_states import advance as advance_order
from wms.rules import gifts

P = ParcelState
STEPS = {
    P.OPEN: {P.VERIFIED, P.VOID},
    P.VERIFIED: {P.OPEN, P.WEIGHED, P.LABELLED, P.VOID},
    P.WEIGHED: {P.LABELLED, P.VOID},
    P.LABELLED: {P.HANDED_OVER, P.VERIFIED, P.WEIGHED, P.VOID},
    P.HANDED_OVER: {P.ACKNOWLEDGED},
    P.ACKNOWLEDGED: set[ParcelState](),
    P.VOID: set[ParcelState](),
}
HEAVIEST_G = 100_000
IDLE = timedelta(minutes=20)


class NotPicked(Refusal):
    message = N_("Order %(order)s is not ready to be packed: it is %(state)s.")
    answer = "look"


class ToteIsFree(Refusal):
    message = N_("Tote %(tote)s holds no order. Scan a tote that was picked.")
    answer = "look"


class NotInThisOrder(Refusal):
    message = N_("%(read)s does not belong to order %(order)s. Lay it aside.")
    block = True


class OnePieceTooMany(Refusal):
    message = N_("%(item)s is complete: %(wanted)s of %(wanted)s are packed. Lay this piece aside.")
    block = True


class CountNotAllowed(Refusal):
    """R30: every piece is verified by scan, unless the item allows counting."""

    message = N_("%(item)s must be scanned piece by piece.")


class BadWeight(Refusal):
    message = N_("%(entered)s is not a weight. Enter grams, from 1 to %(most)s.")


class EmptyParcel(Refusal):
    message = N_("This parcel is still empty. Scan at least one piece into it.")
    answer = "look"


class AnotherBench(Refusal):
    message = N_("Order %(order)s is being packed by somebody else right now.")
    answer = "look"
    status = 409


class MemoNotSeen(Refusal):
    """What the seller asks for is done before the box is shut: once, by whoever packs."""

    message = N_("The seller wrote a memo for order %(order)s. Read it and confirm it, then print the label.")
    answer = "look"


class NoCarrier(Refusal):
    message = N_("Order %(order)s has no carrier. A supervisor must choose one.")
    answer = "look"


class SharedParcel(Refusal):
    message = N_(
        "Order %(order)s shares its parcel with other orders. Let it go to the old address, or cancel it at the shop."
    )
    answer = "look"


class NoStation(Refusal):
    message = N_("Scan the code of your packing station (S-…) first, so that labels come out at your bench.")
    answer = "look"


class NotVerified(Refusal):
    """R30: the label comes only after the order is verified."""

    message = N_("Parcel %(parcel)s is not verified yet. Scan every piece into it first.")
    answer = "look"


class NotLabelled(Refusal):
    message = N_("Parcel %(parcel)s has no label yet. Pack it first.")
    answer = "look"


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a weighed parcel sent to the printers; ``no_list`` is why its packing list does not come out."""

    job: PrintJob | None
    packing_list: PrintJob | None = None
    no_list: Refusal | None = None


@dataclass(frozen=True, slots=True)
class LineToPack:
    """One item of the order at the bench: pieces packed in this and earlier parcels, pieces wanted, gifts of them."""

    item: Item
    packed: int
    wanted: int
    gifts: int = 0


def bind_station(session: Session, device: Device, text: str) -> Station:
    """This browser stands at the station whose code was scanned; its labels come out there."""
    found = lookup.expect(session, device.warehouse_id, text, "station")
    device.station_id = found.row.id
    journal.note(session, device, "station", "", found.row.code)
    station: Station = found.row
    return station


def open_parcel(session: Session, warehouse_id: int, operator_id: int, *, for_update: bool = False) -> Parcel | None:
    """The parcel this packer has on the bench; a reload comes back to it. ``for_update`` where it will be changed."""
    query = (
        select(Parcel)
        .where(
            Parcel.warehouse_id == warehouse_id,
            Parcel.operator_id == operator_id,
            Parcel.state.in_([P.OPEN, P.VERIFIED]),
        )
        .order_by(Parcel.id.desc())
        .limit(1)
    )
    return session.execute(
        (query.with_for_update() if for_update else query).execution_options(populate_existing=True)
    ).scalar_one_or_none()


def last_parcel(session: Session, warehouse_id: int, operator_id: int) -> Parcel | None:
    return session.execute(
        select(Parcel)
        .where(
            Parcel.warehouse_id == warehouse_id,
            Parcel.operator_id == operator_id,
            Parcel.state.in_([P.LABELLED, P.WEIGHED]),
        )
        .order_by(func.coalesce(Parcel.weighed_at, Parcel.labelled_at).desc())
        .limit(1)
    ).scalar_one_or_none()


def asking(session: Session, warehouse_id: int, operator_id: int) -> list[tuple[Parcel, Order, WaybillRequest | None]]:
    """The packer's weighed parcels whose number has not come yet, the oldest first."""
    return [
        (row[0], row[1], row[2])
        for row in session.execute(
            select(Parcel, Order, WaybillRequest)
            .join(Order, and_(Order.warehouse_id == Parcel.warehouse_id, Order.id == Parcel.order_id))
            .outerjoin(
                WaybillRequest,
                and_(
                    WaybillRequest.warehouse_id == Parcel.warehouse_id,
                    WaybillRequest.parcel_id == Parcel.id,
                    WaybillRequest.state.not_in(OVER),
                ),
            )
            .where(Parcel.warehouse_id == warehouse_id, Parcel.operator_id == operator_id, Parcel.state == P.WEIGHED)
            .order_by(Parcel.weighed_at, Parcel.id)
        )
    ]


def scan(
    session: Session, operator_id: int, station: Station | None, text: str, idle: timedelta = IDLE
) -> Parcel | None:
    """One scan at the bench: a tote or order opens a parcel, then every piece is verified."""
    warehouse_id = actor_of(session).warehouse_id
    parcel = open_parcel(session, warehouse_id, operator_id, for_update=True)
    if parcel is None:
        try:
            return start(session, operator_id, station, text, idle)
        except (UnexpectedCode, UnknownCode):
            say_cancelled(session, warehouse_id, operator_id)
            raise
    if parcel.state is P.VERIFIED:
        raise UnexpectedCode(expected=term("the parcel's weight in grams"), read=text[:40], what=term("a code"))
    verify(session, parcel, text)
    return parcel


def say_cancelled(session: Session, warehouse_id: int, operator_id: int) -> None:
    """R28: raise OrderCancelled when the packer's last parcel was voided on the bench, before it had its label."""
    parcel = session.execute(
        select(Parcel)
        .where(Parcel.warehouse_id == warehouse_id, Parcel.operator_id == operator_id)
        .order_by(Parcel.opened_at.desc(), Parcel.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    if parcel is not None and parcel.state is P.VOID and parcel.labelled_at is None:
        raise OrderCancelled(order=session.get_one(Order, (warehouse_id, parcel.order_id)).shop_order_no)


def start(session: Session, operator_id: int, station: Station | None, text: str, idle: timedelta = IDLE) -> Parcel:
    """Open the order's parcel at this bench; one left lying by its packer for ``idle`` is taken over (R23)."""
    warehouse_id = actor_of(session).warehouse_id
    if station is None:
        raise NoStation()
    found = lookup.expect(session, warehouse_id, text, "tote", "order")
    if found.kind == "tote":
        use = session.get(ToteUse, (warehouse_id, found.row.id))
        if use is None:
            raise ToteIsFree(tote=found.row.code)
        order = locked(session, warehouse_id, use.order_id)
    else:
        order = locked(session, warehouse_id, found.row.id)
    if order.state is OrderState.CANCELLED:
        raise OrderCancelled(order=order.shop_order_no)
    if order.state is OrderState.MERGED and order.merged_into_id is not None:
        order = locked(session, warehouse_id, order.merged_into_id)
    taken_back.tell(session, order, order)
    if order.state is OrderState.PACKING:
        return _relieve(session, order, operator_id, station, idle)
    if order.state is not OrderState.PICKED:
        raise NotPicked(order=order.shop_order_no, state=WORDS[order.state])
    advance_order(session, order, OrderState.PACKING)
    return _new_parcel(session, order, operator_id, station.id)


def _relieve(session: Session, order: Order, operator_id: int, station: Station, idle: timedelta) -> Parcel:
    parcel = session.execute(
        select(Parcel)
        .where(
            Parcel.warehouse_id == order.warehouse_id,
            Parcel.order_id == order.id,
            Parcel.state.in_([P.OPEN, P.VERIFIED]),
        )
        .with_for_update()
    ).scalar_one()
    move = session.get(StockMove, (parcel.warehouse_id, parcel.last_move_id)) if parcel.last_move_id else None
    touched = max(parcel.opened_at, move.at) if move else parcel.opened_at
    if now() - touched < idle:
        raise AnotherBench(order=order.shop_order_no)
    journal.note(session, parcel, "taken_over", parcel.operator_id, operator_id)
    parcel.operator_id, parcel.station_id = operator_id, station.id
    return parcel


def _new_parcel(session: Session, order: Order, operator_id: int, station_id: int | None) -> Parcel:
    carrier_id = order.carrier_id or session.get_one(Shop, order.shop_id).carrier_id
    if carrier_id is None:
        raise NoCarrier(order=order.shop_order_no)
    staging = session.execute(
        select(Location)
        .where(Location.warehouse_id == order.warehouse_id, Location.kind == LocationKind.STAGING)
        .order_by(Location.id)
        .limit(1)
    ).scalar_one()
    parcel_id = new_id()
    parcel = Parcel(
        warehouse_id=order.warehouse_id,
        id=parcel_id,
        code=_code(parcel_id),
        order_id=order.id,
        carrier_id=carrier_id,
        operator_id=operator_id,
        station_id=station_id,
        location_id=staging.id,
        opened_at=now(),
    )
    session.add(parcel)
    session.flush()
    journal.note(session, parcel, "opened", "", order.shop_order_no)
    waybills.ask(session, parcel)  # the carrier answers while the pieces are verified
    return parcel


def _code(parcel_id: int) -> str:
    """A short code from the id, in digits and letters nobody mistakes for one another."""
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    code = ""
    while parcel_id:
        parcel_id, rest = divmod(parcel_id, 32)
        code = letters[rest] + code
    return code


def verify(session: Session, parcel: Parcel, text: str) -> None:
    """R30: one piece (or one closed case) from the tote into the parcel, proved by its code."""
    found = lookup.expect(session, parcel.warehouse_id, text, "item")
    put_in(session, parcel, found.row, found.pieces, found.scanned.lot)


def put_in(session: Session, parcel: Parcel, item: Item, pieces: int, lot: str | None = None) -> None:
    order = locked(session, parcel.warehouse_id, parcel.order_id)
    if order.cancel_asked or order.state is OrderState.CANCELLED:
        raise OrderCancelled(order=order.shop_order_no)
    taken_back.tell(session, order, order)
    in_totes = [
        a
        for a in allocation.of_order(session, parcel.warehouse_id, parcel.order_id, LocationKind.TOTE)
        if a.item_id == item.id and (not lot or not item.lot_tracked or a.lot == lot)
    ]
    if not in_totes:
        wanted = sum(line.wanted for line in goods(session, order) if line.item_id == item.id)
        if wanted:
            raise OnePieceTooMany(item=item.sku, wanted=wanted)
        raise NotInThisOrder(read=item.sku, order=order.shop_order_no)
    if pieces > sum(a.qty for a in in_totes):
        raise BadQuantity(entered=pieces, most=sum(a.qty for a in in_totes))
    place = session.get_one(Location, (parcel.warehouse_id, parcel.location_id))
    for allocated in in_totes:
        taken = min(pieces, allocated.qty)
        parcel.last_move_id = ledger.carry(
            session,
            allocated,
            taken,
            place,
            reason=MoveReason.PACK,
            to_container=parcel.code,
            cause=f"order_line:{allocated.order_line_id}",
        )
        _count_in(session, parcel, allocated, taken)
        pieces -= taken
        if not pieces:
            break
    if not allocation.of_order(session, parcel.warehouse_id, parcel.order_id, LocationKind.TOTE):
        _free_totes(session, parcel)
        advance(session, parcel, P.VERIFIED, STEPS)


def count_in(session: Session, parcel: Parcel, item_id: int, qty: int) -> None:
    """Enter a number instead of scanning each piece, where the item allows it."""
    item = session.get(Item, item_id)
    if item is None:
        raise NotFound(what=term("The item"))
    if not item.allows_counting:
        raise CountNotAllowed(item=item.sku)
    if qty < 1:
        raise BadQuantity(entered=qty, most=1)
    put_in(session, parcel, item, qty)


def _count_in(session: Session, parcel: Parcel, allocated: Allocation, pieces: int) -> None:
    line = session.execute(
        select(ParcelLine).where(
            ParcelLine.warehouse_id == parcel.warehouse_id,
            ParcelLine.parcel_id == parcel.id,
            ParcelLine.order_line_id == allocated.order_line_id,
            ParcelLine.lot == allocated.lot,
        )
    ).scalar_one_or_none()
    if line is None:
        line = ParcelLine(
            warehouse_id=parcel.warehouse_id,
            parcel_id=parcel.id,
            qty=0,
            lot=allocated.lot,
            order_line_id=allocated.order_line_id,
            item_id=allocated.item_id,
        )
        session.add(line)
    line.qty += pieces
    session.flush()


def _free_totes(session: Session, parcel: Parcel) -> None:
    for use in session.execute(
        select(ToteUse).where(ToteUse.warehouse_id == parcel.warehouse_id, ToteUse.order_id == parcel.order_id)
    ).scalars():
        session.delete(use)
    session.flush()


def parcel_full(session: Session, parcel: Parcel) -> None:
    """R31: close this parcel with what it holds; the rest of the order goes into another."""
    if parcel.state is not P.OPEN:
        raise ChangedMeanwhile(what=parcel.code)
    held = session.execute(
        select(func.coalesce(func.sum(ParcelLine.qty), 0)).where(
            ParcelLine.warehouse_id == parcel.warehouse_id, ParcelLine.parcel_id == parcel.id
        )
    ).scalar_one()
    if not held:
        raise EmptyParcel()
    advance(session, parcel, P.VERIFIED, STEPS)


def weigh(session: Session, parcel: Parcel, station: Station | None, entered: str) -> Labelled:
    """Take the weight in grams, the waybill number and queue the label, all in this transaction.

    No job while the carrier's service has not given its number yet (R32): the bench is free, and the label follows by
    itself (``finish``). The order's newest state is read first (R28). Pieces left in totes make the next parcel of the
    order. The packing list is queued with the label where the warehouse wants one: without a printer for it the parcel
    goes on all the same.
    """
    if station is None:
        raise NoStation()
    weight = _grams(entered)
    order = _not_cancelled(session, parcel)
    if parcel.state is not P.VERIFIED:
        raise ChangedMeanwhile(what=parcel.code)
    parcel.weight_g, parcel.weighed_at, parcel.station_id = weight, now(), station.id
    _carriage(session, parcel, order)
    job: PrintJob | None = None
    try:
        job = _label(session, parcel, order, station)
    except waybills.NumberNotHere:
        advance(session, parcel, P.WEIGHED, STEPS)
    _go_on(session, parcel, order, station.id)
    return _with_list(session, parcel, order, station, job)


def _with_list(session: Session, parcel: Parcel, order: Order, station: Station, job: PrintJob | None) -> Labelled:
    """The packing list beside the label, where the warehouse wants one."""
    if job is None or not session.get_one(Warehouse, parcel.warehouse_id).packing_lists:
        return Labelled(job)
    try:
        printer = labels.printer_at(session, station, "packing_list")
        once = f"packing_list:{parcel.id}"
        return Labelled(job, labels.queue_packing_list(session, parcel, order, printer, once))
    except Refusal as refusal:
        return Labelled(job, None, refusal)


def _carriage(session: Session, parcel: Parcel, order: Order) -> None:
    """The true weight decides where the price table chose the carrier; its cost stays with the parcel.

    Only a carrier with labels of the same size comes in: the roll in the bench's printer is not changed for a cent.
    """
    assert parcel.weight_g is not None
    shop = session.get_one(Shop, order.shop_id)
    if order.carrier_suggested and carriage.chooses(shop) and waybills.live(session, parcel) is None:
        now_with = session.get_one(Carrier, parcel.carrier_id)
        same_paper = session.execute(select(Carrier.id).where(Carrier.label_size == now_with.label_size)).scalars()
        choice = carriage.cheapest(session, order, shop, parcel.weight_g, parcel.carrier_id, set(same_paper))
        if choice is not None and choice.carrier_id != parcel.carrier_id:
            chosen = session.get_one(Carrier, choice.carrier_id)
            journal.note(session, parcel, "carrier", now_with.name, f"{chosen.name} {parcel.weight_g} g")
            parcel.carrier_id = chosen.id
    parcel.cost_minor = carriage.cost_of(session, order, parcel.carrier_id, parcel.weight_g)


def _label(session: Session, parcel: Parcel, order: Order, station: Station) -> PrintJob:
    """The carrier's own label where its service sent one, else ours. Raises NumberNotHere, refusals of labels."""
    waybill = waybills.take(session, parcel)
    request = waybills.request_of(session, parcel)
    if request is not None and request.document and request.provider not in components.PROVIDERS:
        title = f"{waybill.number} {order.shop_order_no}"
        printer = labels.printer_at(session, station, "waybill")
        once = f"waybill:{waybill.id}"
        job = labels.queue_raw(session, parcel, request.document, printer, title, once, station.id)
    else:
        if request is not None and request.document:
            waybills.attach_document(session, parcel, request.provider, request.document)
        job = labels.queue_waybill(session, parcel, order, waybill, station)
    _is_labelled(session, parcel)
    return job


def finish(session: Session, warehouse_id: int, parcel_id: int) -> PrintJob | None:
    """The number has come: queue the label of a weighed parcel at its bench. None when it waits no more.

    Raises what a label raises (no printer, other paper); the number is then still there, and this is tried again.
    """
    seen = session.get_one(Parcel, (warehouse_id, parcel_id))
    order = locked(session, warehouse_id, seen.order_id)
    parcel = _held(session, warehouse_id, parcel_id)
    if parcel.state is not P.WEIGHED or order.cancel_asked or order.state is OrderState.CANCELLED:
        return None
    gate_checks.require(session, order)
    station = session.get(Station, (warehouse_id, parcel.station_id)) if parcel.station_id else None
    if station is None:
        raise NoStation()
    job = _label(session, parcel, order, station)
    _with_list(session, parcel, order, station, job)
    return job


def _held(session: Session, warehouse_id: int, parcel_id: int) -> Parcel:
    return session.execute(
        select(Parcel)
        .where(Parcel.warehouse_id == warehouse_id, Parcel.id == parcel_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one()


def change_carrier(session: Session, warehouse_id: int, parcel_id: int, carrier_id: int) -> Carrier:
    """A supervisor sends a parcel that has no label yet with another carrier; the one asked before is told."""
    seen = session.get(Parcel, (warehouse_id, parcel_id))
    carrier = session.get(Carrier, carrier_id)
    if seen is None or carrier is None:
        raise NotFound(what=term("The carrier") if seen else term("The parcel"))
    order = locked(session, warehouse_id, seen.order_id)
    parcel = _held(session, warehouse_id, parcel_id)
    if parcel.state not in (P.OPEN, P.VERIFIED, P.WEIGHED):
        raise ChangedMeanwhile(what=parcel.code)
    if parcel.carrier_id != carrier.id:
        journal.note(session, parcel, "carrier", session.get_one(Carrier, parcel.carrier_id).name, carrier.name)
        parcel.carrier_id = order.carrier_id = carrier.id
        waybills.ask(session, parcel)
        if parcel.weight_g:
            parcel.cost_minor = carriage.cost_of(session, order, carrier.id, parcel.weight_g)
    order.carrier_suggested = False  # a person chose: the scale does not choose again
    if parcel.state is P.WEIGHED and carrier.numbers_from is not NumbersFrom.SERVICE:
        finish(session, warehouse_id, parcel_id)
    return carrier


def use_new_address(session: Session, warehouse_id: int, order_id: int) -> list[Parcel]:
    """A supervisor says: to the new address. Its labelled parcels get a new number and label at their bench.

    Returns those parcels: their old labels are void and must be covered (R33). Raises what a label raises.
    """
    order = locked(session, warehouse_id, order_id)
    told, told_at = order.new_recipient, order.new_recipient_at
    if told is None or told_at is None:
        raise ChangedMeanwhile(what=order.shop_order_no)
    if recipients.shares_a_parcel(session, order):
        raise SharedParcel(order=order.shop_order_no)
    recipients.goes_to(session, order, told)
    again = []
    for each in recipients.sent_apart(session, order):
        waybills.withdraw(session, each, told_at)
        again += _label_again(session, recipients.parcels_of(session, each))
    return again


def _label_again(session: Session, parcels: Sequence[Parcel]) -> list[Parcel]:
    again = []
    for parcel in parcels:
        if parcel.state not in (P.OPEN, P.VERIFIED, P.WEIGHED, P.LABELLED):
            continue
        waybills.void(session, parcel)
        labels.cancel(session, parcel)
        if parcel.state is P.LABELLED:
            parcel.labelled_at = None
            advance(session, parcel, P.WEIGHED, STEPS)
        if waybills.ask(session, parcel) is None and parcel.state is P.WEIGHED:
            finish(session, parcel.warehouse_id, parcel.id)
        if parcel.state in (P.WEIGHED, P.LABELLED):
            again.append(parcel)
    return again


def keep_old_address(session: Session, warehouse_id: int, order_id: int) -> Order:
    """A supervisor says: to the address on the label. Their name stands in the journal."""
    order = locked(session, warehouse_id, order_id)
    if order.new_recipient is None:
        raise ChangedMeanwhile(what=order.shop_order_no)
    order.new_recipient = order.new_recipient_at = None
    journal.note(session, order, "address_kept")
    return order


def label_from_elsewhere(
    session: Session, parcel: Parcel, printer: Printer, number: str, entered: str, label: bytes
) -> PrintJob:
    """A waybill that the carrier's own page made: its number is entered, its label printed as it is (R31–R33).

    The parcel must be verified (R30) and have no number yet.
    """
    weight = _grams(entered)
    order = _not_cancelled(session, parcel)
    if parcel.state is P.OPEN:
        raise NotVerified(parcel=parcel.code)
    if parcel.state is not P.VERIFIED:
        has = waybills.live(session, parcel)
        raise waybills.HasNumber(parcel=parcel.code, number=has.number) if has else ChangedMeanwhile(what=parcel.code)
    parcel.weight_g, parcel.weighed_at = weight, now()
    parcel.cost_minor = carriage.cost_of(session, order, parcel.carrier_id, weight)
    waybill = waybills.enter(session, parcel, number)
    title = f"{waybill.number} {order.shop_order_no}"
    job = labels.queue_raw(session, parcel, label, printer, title, f"waybill:{waybill.id}", parcel.station_id)
    _is_labelled(session, parcel)
    _go_on(session, parcel, order, parcel.station_id)
    return job


def _grams(entered: str) -> int:
    text = entered.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= HEAVIEST_G):
        raise BadWeight(entered=entered[:20] or "—", most=HEAVIEST_G)
    return int(text)


def _not_cancelled(session: Session, parcel: Parcel) -> Order:
    order = locked(session, parcel.warehouse_id, parcel.order_id)
    if order.cancel_asked or order.state is OrderState.CANCELLED:
        raise OrderCancelled(order=order.shop_order_no)
    taken_back.tell(session, order, order)
    if memo_waits(session, order):
        raise MemoNotSeen(order=order.shop_order_no)
    gate_checks.require(session, order)
    return order


def _is_labelled(session: Session, parcel: Parcel) -> None:
    parcel.labelled_at = now()
    advance(session, parcel, P.LABELLED, STEPS)


def _go_on(session: Session, parcel: Parcel, order: Order, station_id: int | None) -> None:
    """The rest of the order makes its next parcel, or the order is packed."""
    session.flush()
    if allocation.of_order(session, parcel.warehouse_id, parcel.order_id, LocationKind.TOTE):
        _new_parcel(session, order, parcel.operator_id, station_id)
    else:
        advance_order(session, order, OrderState.PACKED)


def print_more(session: Session, parcel: Parcel, kind: str, printer: Printer, once: str) -> PrintJob:
    """What goes with a parcel besides its waybill: a ``packing_list``, or a ``carton`` label with its own number."""
    if parcel.state not in (P.LABELLED, P.HANDED_OVER, P.ACKNOWLEDGED):
        raise NotLabelled(parcel=parcel.code)
    order = session.get_one(Order, (parcel.warehouse_id, parcel.order_id))
    if kind == "carton":
        return labels.queue_parcel_carton(session, parcel, order, printer, once)
    return labels.queue_packing_list(session, parcel, order, printer, once)


def memo_waits(session: Session, order: Order) -> bool:
    """Whether the seller's memo is still to be confirmed before the label."""
    if order.memo_seen_at is not None or not rules.is_on(session, order.shop_id, "memo"):
        return False
    return any(each.seller_memo.strip() for each in together.all_carried(session, order))


def memo_seen(session: Session, parcel: Parcel) -> None:
    """The packer has read what the seller wrote and done it."""
    order = locked(session, parcel.warehouse_id, parcel.order_id)
    for each in together.all_carried(session, order):
        if each.memo_seen_at is None:
            each.memo_seen_at = now()
            journal.note(session, each, "memo_seen")


def undo(session: Session, parcel: Parcel) -> None:
    """Take what the last scan put in out of the parcel, back into its tote (R1)."""
    if parcel.last_move_id is None or parcel.state not in (P.OPEN, P.VERIFIED):
        raise NothingToUndo()
    for move in ledger.moves_of_scan(session, parcel.warehouse_id, parcel.last_move_id):
        use = session.get(ToteUse, (parcel.warehouse_id, move.from_id))
        if use is not None and use.order_id != parcel.order_id:
            raise NothingToUndo()  # the tote went on to another order meanwhile
        if use is None:
            session.add(ToteUse(warehouse_id=parcel.warehouse_id, tote_id=move.from_id, order_id=parcel.order_id))
        ledger.reverse(session, move.id, cause=move.cause)
        line = session.execute(
            select(ParcelLine).where(
                ParcelLine.warehouse_id == parcel.warehouse_id,
                ParcelLine.parcel_id == parcel.id,
                ParcelLine.order_line_id == int(move.cause.removeprefix("order_line:")),
                ParcelLine.lot == move.lot,
            )
        ).scalar_one()
        line.qty -= move.qty
    parcel.last_move_id = None
    if parcel.state is P.VERIFIED:
        advance(session, parcel, P.OPEN, STEPS)


def last(session: Session, parcel: Parcel) -> tuple[int, str] | None:
    """The pieces and the SKU of the last scan, for the screen and its undo."""
    if parcel.last_move_id is None:
        return None
    moves = ledger.moves_of_scan(session, parcel.warehouse_id, parcel.last_move_id)
    return sum(move.qty for move in moves), session.get_one(Item, moves[0].item_id).sku


def lines(session: Session, parcel: Parcel) -> list[LineToPack]:
    """The order at the bench, item by item: what is packed (all its parcels) and what is wanted."""
    packed: dict[int, int] = {}
    for item_id, qty in session.execute(
        select(ParcelLine.item_id, func.sum(ParcelLine.qty))
        .join(Parcel, and_(Parcel.warehouse_id == ParcelLine.warehouse_id, Parcel.id == ParcelLine.parcel_id))
        .where(Parcel.warehouse_id == parcel.warehouse_id, Parcel.order_id == parcel.order_id, Parcel.state != P.VOID)
        .group_by(ParcelLine.item_id)
    ):
        packed[item_id] = int(qty)
    result = []
    wanted_pieces = OrderLine.qty - OrderLine.cancelled_qty
    for item, wanted, given in session.execute(
        select(
            Item,
            func.sum(wanted_pieces),
            func.sum(case((OrderLine.line_ref.like(f"{gifts.PREFIX}%"), wanted_pieces), else_=0)),
        )
        .join(OrderLine, OrderLine.item_id == Item.id)
        .where(
            OrderLine.warehouse_id == parcel.warehouse_id,
            OrderLine.order_id == parcel.order_id,
            OrderLine.qty > OrderLine.cancelled_qty,
            OrderLine.kind == "goods",
        )
        .group_by(Item.id)
        .order_by(Item.sku)
    ):
        result.append(LineToPack(item, packed.get(item.id, 0), int(wanted), int(given)))
    return result


def reprint(session: Session, parcel: Parcel, station: Station | None, reason: str) -> PrintJob:
    """R33: the same bytes and number, marked, with reason and who."""
    if station is None:
        raise NoStation()
    if parcel.state is not P.LABELLED:
        raise ChangedMeanwhile(what=parcel.code)
    return labels.reprint(session, parcel, station, reason)


def waiting(session: Session, warehouse_id: int) -> int:
    """Orders picked and not yet at a bench."""
    return int(
        session.execute(
            select(func.count())
            .select_from(Order)
            .where(Order.warehouse_id == warehouse_id, Order.state == OrderState.PICKED)
        ).scalar_one()
    )
