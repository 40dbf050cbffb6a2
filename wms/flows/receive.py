"""Receive 收货: against an order or a return 退货, or blind, item by item to the receiving place (R17, R18, R44)."""

from __future__ import annotations

from datetime import date

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from wms import journal, labels, ledger, lookup
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, BadQuantity, ChangedMeanwhile, NotFound, NothingToUndo, Refusal, UnexpectedCode, term
from wms.journal import advance
from wms.models import (
    Condition,
    Item,
    Location,
    LocationKind,
    Lot,
    MoveReason,
    Printer,
    PrintJob,
    Receipt,
    ReceiptLine,
    ReceiptState,
    ReceiveWork,
    StockMove,
    new_id,
)

STEPS = {
    ReceiptState.EXPECTED: {ReceiptState.RECEIVING},
    ReceiptState.RECEIVING: {ReceiptState.DONE},
    ReceiptState.DONE: set[ReceiptState](),
}
MOST_AT_ONCE = 100_000
MOST_LABELS = 200


class NotOrdered(Refusal):
    message = N_("%(item)s is not on purchase order %(receipt)s. Lay it aside, or receive it blind.")
    answer = "look"


class NotInReturn(Refusal):
    message = N_("%(item)s is not in return %(receipt)s. Lay it aside and tell a supervisor.")
    answer = "look"


class TooMany(Refusal):
    """R17: over-receipt only inside the allowance."""

    message = N_("Only %(left)s more of %(item)s may be received on %(receipt)s.")


class LotMissing(Refusal):
    message = N_("%(item)s needs a lot. Scan the code that carries it, or type the lot.")
    answer = "look"


class BadDate(Refusal):
    message = N_("%(entered)s is not a date. Write it like 2027-03-31.")


class LotDiffers(Refusal):
    message = N_("Lot %(lot)s of %(item)s is known with expiry %(known)s, not %(entered)s. Look at the box again.")
    answer = "look"


def open_receipts(session: Session, warehouse_id: int) -> list[Receipt]:
    return list(
        session.execute(
            select(Receipt)
            .where(Receipt.warehouse_id == warehouse_id, Receipt.state != ReceiptState.DONE)
            .order_by(Receipt.created_at)
        ).scalars()
    )


def work_of(session: Session, warehouse_id: int, operator_id: int) -> ReceiveWork | None:
    return session.execute(
        select(ReceiveWork).where(ReceiveWork.warehouse_id == warehouse_id, ReceiveWork.operator_id == operator_id)
    ).scalar_one_or_none()


def start(session: Session, operator_id: int, receipt: Receipt) -> ReceiveWork:
    """Go to work on a receipt; several people may (R18)."""
    if receipt.state is ReceiptState.DONE:
        raise ChangedMeanwhile(what=receipt.code)
    if receipt.state is ReceiptState.EXPECTED:
        advance(session, receipt, ReceiptState.RECEIVING, STEPS)
    work = work_of(session, receipt.warehouse_id, operator_id)
    if work is None:
        work = ReceiveWork(
            warehouse_id=receipt.warehouse_id, id=new_id(), operator_id=operator_id, receipt_id=receipt.id, qty=1
        )
        session.add(work)
    work.receipt_id, work.item_id, work.lot, work.qty, work.last_move_id = receipt.id, None, "", 1, None
    session.flush()
    return work


def start_by_scan(session: Session, operator_id: int, text: str) -> ReceiveWork:
    found = lookup.expect(session, actor_of(session).warehouse_id, text, "receipt")
    return start(session, operator_id, found.row)


def start_blind(session: Session, operator_id: int, supplier: str = "") -> ReceiveWork:
    warehouse_id = actor_of(session).warehouse_id
    made = new_id()
    receipt = Receipt(
        warehouse_id=warehouse_id,
        id=made,
        code=f"B{now():%y%m%d}-{made % 100000:05d}",
        supplier=supplier.strip()[:120],
        blind=True,
        created_at=now(),
    )
    session.add(receipt)
    session.flush()
    journal.note(session, receipt, "opened", "", "blind")
    return start(session, operator_id, receipt)


def add_purchase_order(
    session: Session,
    code: str,
    supplier: str,
    lines: list[tuple[Item, int]],
    over_percent: int = 0,
    *,
    returned: bool = False,
    waybill_no: str = "",
) -> Receipt:
    """Expect goods: each item once, with the most that may be taken (R17).

    ``returned``: they come back from a buyer, and ``supplier`` is the order they went out with (R44).
    """
    warehouse_id = actor_of(session).warehouse_id
    code = code.strip().upper().removeprefix("R-")  # the prefix belongs to the label, not to the code
    receipt = Receipt(
        warehouse_id=warehouse_id,
        id=new_id(),
        code=code,
        supplier=supplier,
        over_percent=over_percent,
        returned=returned,
        waybill_no=waybill_no.strip().upper()[:64],
        created_at=now(),
    )
    session.add(receipt)
    session.flush()
    for item, qty in lines:
        session.add(
            ReceiptLine(
                warehouse_id=warehouse_id,
                receipt_id=receipt.id,
                item_id=item.id,
                expected=qty,
                most=qty + qty * over_percent // 100,
            )
        )
    session.flush()
    journal.note(session, receipt, "expected", "", supplier)
    return receipt


def scan(session: Session, work: ReceiveWork, text: str) -> None:
    """Scan an item; GS1, in one code or two, may carry lot, expiry and quantity (R15). Nothing is booked yet (R12)."""
    if work.item_id is not None and (second := lookup.lot_alone(text)) and second.lot:
        at_hand = session.get_one(Item, work.item_id)
        if at_hand.lot_tracked and work.lot in ("", second.lot[:40]):
            work.lot, work.qty = second.lot[:40], second.pieces or work.qty
            if second.expiry:
                _know_lot(session, at_hand, work.lot, second.expiry)
            return
    found = lookup.expect(session, work.warehouse_id, text, "item", "receipt")
    if found.kind == "receipt":
        start(session, work.operator_id, found.row)
        return
    item: Item = found.row
    receipt = session.get_one(Receipt, (work.warehouse_id, work.receipt_id))
    if receipt.state is ReceiptState.DONE:
        raise ChangedMeanwhile(what=receipt.code)
    if not receipt.blind and _line(session, receipt, item) is None:
        raise _not_announced(receipt, item)
    lot = (found.scanned.lot or "")[:40] if item.lot_tracked else ""
    again = work.item_id == item.id and (not work.lot or lot in ("", work.lot))
    # R11: the same barcode twice is two pieces, also before they are booked.
    work.item_id, work.qty = item.id, found.pieces + (work.qty if again else 0)
    work.lot = (work.lot or lot) if again else lot
    if work.lot and found.scanned.expiry:
        _know_lot(session, item, work.lot, found.scanned.expiry)


def _not_announced(receipt: Receipt, item: Item) -> Refusal:
    refusal = NotInReturn if receipt.returned else NotOrdered
    return refusal(item=item.sku, receipt=receipt.code)


def _line(session: Session, receipt: Receipt, item: Item) -> ReceiptLine | None:
    return session.execute(
        select(ReceiptLine).where(
            ReceiptLine.warehouse_id == receipt.warehouse_id,
            ReceiptLine.receipt_id == receipt.id,
            ReceiptLine.item_id == item.id,
        )
    ).scalar_one_or_none()


def _know_lot(session: Session, item: Item, code: str, expiry: date | None) -> None:
    lot = session.get(Lot, (item.id, code))
    if lot is None:
        session.add(Lot(item_id=item.id, code=code, expiry=expiry))
        session.flush()
    elif expiry is not None and lot.expiry is None:
        lot.expiry = expiry
    elif expiry is not None and lot.expiry != expiry:
        raise LotDiffers(lot=code, item=item.sku, known=str(lot.expiry), entered=expiry.isoformat())


class NothingBooked(Refusal):
    message = N_("Book goods in first; their labels can then be printed.")
    answer = "look"


def last_booked(session: Session, work: ReceiveWork) -> tuple[StockMove, Item, Receipt] | None:
    """What this worker booked last in the receipt, for its labels."""
    if work.last_move_id is None:
        return None
    move = session.get_one(StockMove, (work.warehouse_id, work.last_move_id))
    return move, session.get_one(Item, move.item_id), session.get_one(Receipt, (work.warehouse_id, work.receipt_id))


def label_kind(move: StockMove) -> str:
    """Goods of a lot get its label, others their item's."""
    return "lot" if move.lot else "item"


def print_labels(session: Session, work: ReceiveWork, kind: str, copies: int, printer: Printer, once: str) -> PrintJob:
    """Labels for what was booked last: ``lot`` or ``item`` ones, or one ``carton`` label with its own number."""
    booked = last_booked(session, work)
    if booked is None:
        raise NothingBooked()
    move, item, receipt = booked
    if kind == "carton":
        return labels.queue_received_carton(session, receipt, item, move.lot, move.qty, printer, once)
    if not 1 <= copies <= MOST_LABELS:
        raise BadQuantity(entered=copies, most=MOST_LABELS)
    lot = session.get(Lot, (item.id, move.lot)) if move.lot else None
    if lot is None:
        return labels.queue_item(session, item, printer, copies, once)
    return labels.queue_lot(session, item, lot, printer, copies, once, move.qty if copies == 1 else None)


def book(session: Session, work: ReceiveWork, qty: str, lot: str = "", expiry: str = "", damaged: bool = False) -> int:
    """Take the pieces in: supplier, or buyer, → receiving place. Returns the pieces booked.

    What comes back is graded with this very booking, so nothing ungraded is ever on the books (R5, R44).
    """
    if work.item_id is None:
        raise UnexpectedCode(expected=term("an item"), read=qty[:20], what=term("a number"))
    if not (qty.strip().isascii() and qty.strip().isdigit() and 1 <= int(qty) <= MOST_AT_ONCE):
        raise BadQuantity(entered=qty[:20] or "—", most=MOST_AT_ONCE)
    pieces = int(qty)
    item = session.get_one(Item, work.item_id)
    receipt = session.get_one(Receipt, (work.warehouse_id, work.receipt_id), with_for_update=True)
    if receipt.state is ReceiptState.DONE:
        raise ChangedMeanwhile(what=receipt.code)
    code = (lot.strip() or work.lot)[:40] if item.lot_tracked else ""
    if item.lot_tracked:
        if not code:
            raise LotMissing(item=item.sku)
        _know_lot(session, item, code, _date(expiry))
    line = _count_line(session, receipt, item, pieces)
    dock = session.execute(
        select(Location)
        .where(Location.warehouse_id == work.warehouse_id, Location.kind == LocationKind.RECEIVING)
        .order_by(Location.id)
        .limit(1)
    ).scalar_one()
    work.last_move_id = ledger.post(
        session,
        item_id=item.id,
        qty=pieces,
        lot=code,
        from_=ledger.virtual(session, LocationKind.CUSTOMER if receipt.returned else LocationKind.SUPPLIER),
        to=dock,
        reason=MoveReason.RECEIVE,
        cause=f"receipt_line:{line.id}",
        to_condition=Condition.DAMAGED if damaged else Condition.GOOD,
    )
    work.item_id, work.lot, work.qty = None, "", 1
    return pieces


def _date(entered: str) -> date | None:
    if not entered.strip():
        return None
    try:
        return date.fromisoformat(entered.strip())
    except ValueError as error:
        raise BadDate(entered=entered[:20]) from error


def _count_line(session: Session, receipt: Receipt, item: Item, pieces: int) -> ReceiptLine:
    """Count the pieces on the line by one conditional update, so that two receivers never pass the allowance."""
    line = _line(session, receipt, item)
    if line is None:
        if not receipt.blind:
            raise _not_announced(receipt, item)
        line = ReceiptLine(warehouse_id=receipt.warehouse_id, id=new_id(), receipt_id=receipt.id, item_id=item.id)
        session.add(line)
        session.flush()
    taken = session.execute(
        update(ReceiptLine)
        .where(
            ReceiptLine.warehouse_id == line.warehouse_id,
            ReceiptLine.id == line.id,
            (ReceiptLine.most.is_(None)) | (ReceiptLine.received + pieces <= ReceiptLine.most),
        )
        .values(received=ReceiptLine.received + pieces)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    session.refresh(line)
    if taken != 1:
        raise TooMany(left=(line.most or 0) - line.received, item=item.sku, receipt=receipt.code)
    return line


def undo(session: Session, work: ReceiveWork) -> None:
    """Take the last booking back by a reverse move (R1)."""
    if work.last_move_id is None:
        raise NothingToUndo()
    move = session.get_one(StockMove, (work.warehouse_id, work.last_move_id))
    ledger.reverse(session, move.id, cause=move.cause)
    session.execute(
        update(ReceiptLine)
        .where(
            ReceiptLine.warehouse_id == work.warehouse_id,
            ReceiptLine.id == int(move.cause.removeprefix("receipt_line:")),
        )
        .values(received=ReceiptLine.received - move.qty)
        .execution_options(synchronize_session=False)
    )
    work.last_move_id = None


def lines(session: Session, receipt: Receipt) -> list[tuple[Item, ReceiptLine]]:
    return [
        (row[0], row[1])
        for row in session.execute(
            select(Item, ReceiptLine)
            .join(ReceiptLine, ReceiptLine.item_id == Item.id)
            .where(ReceiptLine.warehouse_id == receipt.warehouse_id, ReceiptLine.receipt_id == receipt.id)
            .order_by(Item.sku)
        )
    ]


def short(session: Session, receipt: Receipt) -> int:
    """Pieces still expected; closing asks about them (R17)."""
    return int(
        session.execute(
            select(func.coalesce(func.sum(ReceiptLine.expected - ReceiptLine.received), 0)).where(
                ReceiptLine.warehouse_id == receipt.warehouse_id,
                ReceiptLine.receipt_id == receipt.id,
                ReceiptLine.received < ReceiptLine.expected,
            )
        ).scalar_one()
    )


def close(session: Session, work: ReceiveWork, rest_to_come: bool = False) -> None:
    """Finish: either the rest is still to come and the receipt stays open, or it is done as it is."""
    receipt = session.get_one(Receipt, (work.warehouse_id, work.receipt_id), with_for_update=True)
    if not rest_to_come:
        if receipt.state is not ReceiptState.RECEIVING:
            raise ChangedMeanwhile(what=receipt.code)
        advance(session, receipt, ReceiptState.DONE, STEPS)
        receipt.done_at = now()
        session.execute(
            ReceiveWork.__table__.delete().where(  # type: ignore[attr-defined]
                ReceiveWork.warehouse_id == work.warehouse_id, ReceiveWork.receipt_id == receipt.id
            )
        )
        session.expire_all()
    else:
        session.delete(work)


def receipt_of(session: Session, warehouse_id: int, receipt_id: int) -> Receipt:
    receipt = session.get(Receipt, (warehouse_id, receipt_id))
    if receipt is None:
        raise NotFound(what=term("The purchase order"))
    return receipt
