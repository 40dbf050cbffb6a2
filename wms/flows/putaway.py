"""Put away 上架: take goods from receiving (or a put-back tote or parcel) to a shelf, done by scanning it (R20)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from wms import ledger, lookup
from wms.errors import N_, BadQuantity, NothingToUndo, Refusal, UnexpectedCode, term
from wms.ledger import Spot
from wms.models import (
    Balance,
    Condition,
    Item,
    Location,
    LocationKind,
    MoveReason,
    Parcel,
    ParcelState,
    PutawayWork,
    ToteUse,
    new_id,
)

FROM_KINDS = (LocationKind.RECEIVING, LocationKind.TOTE, LocationKind.STAGING)


class NothingToPutAway(Refusal):
    message = N_("No %(item)s is waiting to be put away.")
    answer = "look"


class ToteHasOrder(Refusal):
    message = N_("Tote %(tote)s holds an order. It goes to packing, not back to the shelf.")


class ParcelIsLive(Refusal):
    message = N_("Parcel %(parcel)s is not cancelled. It goes to hand-over.")


class NotAShelf(Refusal):
    message = N_("%(read)s is not a shelf. Scan the location where you put it.")


class PlaceBlocked(Refusal):
    message = N_("%(place)s is blocked. Choose another location.")


class OtherPlace(Refusal):
    """R20: another place than suggested is asked once more, then taken. Nothing has moved yet."""

    message = N_("Suggested was %(suggested)s. Scan %(read)s once more to put it there.")
    answer = "look"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pieces that wait to be put away: what, how many, where they stand now."""

    item: Item
    lot: str
    condition: Condition
    qty: int
    place: Location
    container: str


def work_of(session: Session, warehouse_id: int, operator_id: int) -> PutawayWork:
    """Where this operator stands; made when first asked for."""
    work = session.execute(
        select(PutawayWork).where(PutawayWork.warehouse_id == warehouse_id, PutawayWork.operator_id == operator_id)
    ).scalar_one_or_none()
    if work is None:
        work = PutawayWork(
            warehouse_id=warehouse_id,
            id=new_id(),
            operator_id=operator_id,
            lot="",
            from_container="",
            qty=0,
            condition=Condition.GOOD,
        )
        session.add(work)
        session.flush()
    return work


def waiting(session: Session, warehouse_id: int) -> list[Waiting]:
    """All that stands in receiving, and in totes and voided parcels without an order (R28's put-back)."""
    rows = session.execute(
        select(Item, Balance.lot, Balance.condition, Balance.on_hand - Balance.allocated, Location, Balance.container)
        .join(Item, Item.id == Balance.item_id)
        .join(Location, and_(Location.warehouse_id == Balance.warehouse_id, Location.id == Balance.location_id))
        .outerjoin(ToteUse, and_(ToteUse.warehouse_id == Balance.warehouse_id, ToteUse.tote_id == Location.id))
        .where(
            Balance.warehouse_id == warehouse_id,
            Balance.on_hand > Balance.allocated,
            Location.kind.in_(FROM_KINDS),
            ToteUse.tote_id.is_(None),
        )
        .order_by(Location.kind, Location.code, Item.sku)
    )
    return [Waiting(*row) for row in rows]


def scan(session: Session, work: PutawayWork, text: str) -> int | None:
    """One scan: a tote or voided parcel to empty, an item to take, or the shelf it is put on.

    Returns the move's id when goods were put down.
    """
    if work.item_id is None:
        _take(session, work, text)
        return None
    return _put(session, work, text)


def _take(session: Session, work: PutawayWork, text: str) -> None:
    found = lookup.expect(session, work.warehouse_id, text, "item", "tote", "parcel")
    if found.kind == "tote":
        if session.get(ToteUse, (work.warehouse_id, found.row.id)):
            raise ToteHasOrder(tote=found.row.code)
        work.from_id, work.from_container = found.row.id, ""
        return
    if found.kind == "parcel":
        parcel: Parcel = found.row
        if parcel.state is not ParcelState.VOID:
            raise ParcelIsLive(parcel=parcel.code)
        work.from_id, work.from_container = parcel.location_id, parcel.code
        return
    item: Item = found.row
    stand = [
        w
        for w in waiting(session, work.warehouse_id)
        if w.item.id == item.id and (not found.scanned.lot or not item.lot_tracked or w.lot == found.scanned.lot)
    ]
    here = [w for w in stand if work.from_id in (None, w.place.id) and w.container == work.from_container] or stand
    if not here:
        raise NothingToPutAway(item=item.sku)
    chosen = here[0]
    work.item_id, work.lot, work.condition, work.qty = item.id, chosen.lot, chosen.condition, chosen.qty
    work.from_id, work.from_container = chosen.place.id, chosen.container
    place = suggest(session, work.warehouse_id, item, chosen.lot, chosen.condition, chosen.qty)
    work.suggested_id, work.asked_id = (place.id if place else None), None


def suggest(
    session: Session, warehouse_id: int, item: Item, lot: str, condition: Condition, qty: int
) -> Location | None:
    """R20: the item's fixed place, then where the same item (and lot) stands, then an empty place, by walk."""
    if condition is not Condition.GOOD:
        return session.execute(
            select(Location)
            .where(Location.warehouse_id == warehouse_id, Location.kind == LocationKind.QUARANTINE)
            .order_by(Location.walk, Location.id)
            .limit(1)
        ).scalar_one_or_none()
    held = (
        select(
            Balance.location_id.label("place"),
            func.sum(Balance.on_hand).label("pieces"),
            func.sum(case((and_(Balance.item_id == item.id, Balance.lot == lot), Balance.on_hand), else_=0)).label(
                "same"
            ),
            func.sum(case((Balance.item_id == item.id, Balance.on_hand), else_=0)).label("kind"),
        )
        .where(Balance.warehouse_id == warehouse_id, Balance.on_hand > 0)
        .group_by(Balance.location_id)
        .subquery()
    )
    pieces = func.coalesce(held.c.pieces, 0)
    return session.execute(
        select(Location)
        .outerjoin(held, held.c.place == Location.id)
        .where(
            Location.warehouse_id == warehouse_id,
            Location.kind == LocationKind.STORAGE,
            Location.blocked.is_(False),
            (Location.fixed_item_id.is_(None)) | (Location.fixed_item_id == item.id),
            (Location.capacity.is_(None)) | (Location.capacity >= pieces + qty),
            # Two lots of one item in one place make every later pick slower (R9).
            (pieces == 0) | (func.coalesce(held.c.same, 0) > 0) | (Location.fixed_item_id == item.id),
        )
        .order_by(
            case((Location.fixed_item_id == item.id, 0), (func.coalesce(held.c.same, 0) > 0, 1), else_=2),
            Location.walk,
            Location.code,
        )
        .limit(1)
    ).scalar_one_or_none()


def set_qty(session: Session, work: PutawayWork, entered: str) -> None:
    """Put only some of the pieces on this shelf."""
    _current_item(work)
    assert work.item_id is not None and work.from_id is not None
    has, allocated, _ = ledger.on_hand(
        session, work.warehouse_id, Spot(work.from_id, work.item_id, work.lot, work.from_container, work.condition)
    )
    if not (entered.strip().isascii() and entered.strip().isdigit() and 1 <= int(entered) <= has - allocated):
        raise BadQuantity(entered=entered[:20] or "—", most=has - allocated)
    work.qty = int(entered)


def _current_item(work: PutawayWork) -> None:
    if work.item_id is None:
        raise UnexpectedCode(expected=term("an item"), read="—", what=term("a number"))


def _put(session: Session, work: PutawayWork, text: str) -> int:
    found = lookup.expect(session, work.warehouse_id, text, "location")
    place: Location = found.row
    if place.kind not in (LocationKind.STORAGE, LocationKind.QUARANTINE):
        raise NotAShelf(read=place.code)
    if place.blocked:
        raise PlaceBlocked(place=place.code)
    if work.suggested_id not in (None, place.id) and work.asked_id != place.id:
        # Remembering that we asked is a change, so this answer is given by the caller after commit.
        work.asked_id = place.id
        return 0
    assert work.item_id is not None and work.from_id is not None
    move_id = ledger.post(
        session,
        item_id=work.item_id,
        qty=work.qty,
        lot=work.lot,
        from_=session.get_one(Location, (work.warehouse_id, work.from_id)),
        to=place,
        from_container=work.from_container,
        from_condition=work.condition,
        reason=MoveReason.PUTAWAY,
        cause=f"putaway_work:{work.id}",
    )
    from_id, container = work.from_id, work.from_container
    let_go(work)
    work.last_move_id = move_id
    if any(
        w.place.id == from_id and w.container == container and (container or w.place.kind is LocationKind.TOTE)
        for w in waiting(session, work.warehouse_id)
    ):
        # The next piece comes out of the same tote or parcel, not from the same item on the dock.
        work.from_id, work.from_container = from_id, container
    return move_id


def asked(session: Session, work: PutawayWork) -> OtherPlace | None:
    """The question that is open: the scanned place is not the suggested one."""
    if work.asked_id is None or work.suggested_id is None:
        return None
    return OtherPlace(
        suggested=session.get_one(Location, (work.warehouse_id, work.suggested_id)).code,
        read=session.get_one(Location, (work.warehouse_id, work.asked_id)).code,
    )


def let_go(work: PutawayWork) -> None:
    """Lay the goods back; nothing moved."""
    work.item_id = work.suggested_id = work.asked_id = work.from_id = None
    work.lot, work.from_container, work.qty, work.condition = "", "", 0, Condition.GOOD


def undo(session: Session, work: PutawayWork) -> None:
    if work.last_move_id is None:
        raise NothingToUndo()
    ledger.reverse(session, work.last_move_id, cause=f"putaway_work:{work.id}")
    work.last_move_id = None


def standing(session: Session, warehouse_id: int, operator_id: int) -> PutawayWork | None:
    """As ``work_of``, but only looks: None when this operator has put nothing away yet."""
    return session.execute(
        select(PutawayWork).where(PutawayWork.warehouse_id == warehouse_id, PutawayWork.operator_id == operator_id)
    ).scalar_one_or_none()
