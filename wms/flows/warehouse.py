"""Open a warehouse: its virtual ends, dock, staging and quarantine; carriers, shops, stations and their numbers."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import journal, ledger
from wms.db import actor_of
from wms.errors import N_, Refusal
from wms.models import (
    Carrier,
    Item,
    Location,
    LocationKind,
    Lot,
    MoveReason,
    Shop,
    Warehouse,
    WaybillRange,
    new_id,
)
from wms.waybill_numbers import numbered

FIRST_PLACES = (
    (LocationKind.SUPPLIER, "SUPPLIER"),
    (LocationKind.CUSTOMER, "CUSTOMER"),
    (LocationKind.ADJUSTMENT, "ADJUST"),
    (LocationKind.SCRAP, "SCRAP"),
    (LocationKind.RECEIVING, "DOCK-01"),
    (LocationKind.STAGING, "OUT-01"),
    (LocationKind.QUARANTINE, "HOLD-01"),
)


class BadRange(Refusal):
    message = N_(
        "A range is a prefix of letters and digits, 1 to 18 digits that count, and a first number that is not above "
        "the last one."
    )


class NotOfStandard(Refusal):
    message = N_("%(number)s cannot be a number of %(standard)s. Correct prefix and digits, or the carrier's standard.")


class RangeOverlaps(Refusal):
    message = N_("Numbers %(first)s to %(last)s of this carrier are already in a range.")


def open_warehouse(session: Session, code: str, name: str, timezone: str = "Asia/Shanghai") -> Warehouse:
    """The warehouse with the places every flow needs. The actor's warehouse id must be the one returned."""
    warehouse = Warehouse(code=code, name=name, timezone=timezone)
    session.add(warehouse)
    session.flush()
    for kind, place in FIRST_PLACES:
        session.add(Location(warehouse_id=warehouse.id, id=new_id(), kind=kind, code=place))
    session.flush()
    return warehouse


def first_warehouse(session: Session) -> Warehouse | None:
    return session.execute(select(Warehouse).order_by(Warehouse.id).limit(1)).scalar_one_or_none()


def add_carrier(session: Session, code: str, name: str, label_size: str = "100x150") -> Carrier:
    has = session.execute(select(Carrier).where(Carrier.code == code)).scalar_one_or_none()
    if has is None:
        has = Carrier(code=code, name=name, label_size=label_size)
        session.add(has)
        session.flush()
    return has


def add_waybill_range(
    session: Session, carrier: Carrier, prefix: str, first: int, last: int, digits: int, suffix: str = ""
) -> WaybillRange:
    """Numbers bought from a carrier; two ranges never overlap, because a number is never used twice (R33).

    The carrier's standard puts its check digit behind the digits. Raises BadRange, RangeOverlaps.
    """
    prefix, suffix = prefix.strip().upper(), suffix.strip().upper()
    if (
        not re.fullmatch(r"[0-9A-Z]{0,16}", prefix)
        or not re.fullmatch(r"[0-9A-Z]{0,8}", suffix)
        or not 1 <= digits <= 18
        or not 0 <= first <= last < 10**digits
    ):
        raise BadRange()
    try:
        sample = numbered(carrier.check_standard, prefix, f"{first:0{digits}d}", suffix)
    except ValueError as error:
        raise NotOfStandard(number=f"{prefix}{first:0{digits}d}{suffix}", standard=carrier.check_standard) from error
    session.refresh(carrier, with_for_update=True)  # two that add the same range at once see each other
    for other in session.execute(select(WaybillRange).where(WaybillRange.carrier_id == carrier.id)).scalars():
        if _overlap((prefix, first, last, digits, suffix), other):
            raise RangeOverlaps(
                first=sample, last=numbered(carrier.check_standard, prefix, f"{last:0{digits}d}", suffix)
            )
    row = WaybillRange(
        warehouse_id=actor_of(session).warehouse_id,
        carrier_id=carrier.id,
        prefix=prefix,
        digits=digits,
        first_no=first,
        next_no=first,
        last_no=last,
        suffix=suffix,
        standard=carrier.check_standard,
    )
    session.add(row)
    session.flush()
    journal.note(session, row, "range_added", "", f"{carrier.code} {sample} +{last - first}")
    return row


def _overlap(new: tuple[str, int, int, int, str], old: WaybillRange) -> bool:
    """True when both make some number alike, also where one says in its prefix what the other counts as digits."""
    prefix, first, last, digits, suffix = new
    if suffix != old.suffix or len(prefix) + digits != len(old.prefix) + old.digits:
        return False
    if prefix.startswith(old.prefix):
        told = prefix[len(old.prefix) :]
        low, high = told + f"{first:0{digits}d}", told + f"{last:0{digits}d}"
        return low.isdigit() and int(low) <= old.last_no and old.first_no <= int(high)
    if old.prefix.startswith(prefix):
        told = old.prefix[len(prefix) :]
        low, high = told + f"{old.first_no:0{old.digits}d}", told + f"{old.last_no:0{old.digits}d}"
        return low.isdigit() and int(low) <= last and first <= int(high)
    return False


def add_shop(
    session: Session, code: str, name: str, connector: str, settings: dict[str, Any], carrier: Carrier | None
) -> Shop:
    shop = Shop(
        warehouse_id=actor_of(session).warehouse_id,
        code=code,
        name=name,
        connector=connector,
        settings=settings,
        carrier_id=carrier.id if carrier else None,
    )
    session.add(shop)
    session.flush()
    return shop


def add_location(
    session: Session, code: str, kind: LocationKind, walk: int, zone: str, capacity: int | None = None
) -> Location:
    """A new place, or the known one of that kind and code."""
    warehouse_id = actor_of(session).warehouse_id
    code = code.strip().upper()
    has = session.execute(
        select(Location).where(Location.warehouse_id == warehouse_id, Location.kind == kind, Location.code == code)
    ).scalar_one_or_none()
    if has is not None:
        return has
    place = Location(
        warehouse_id=warehouse_id, id=new_id(), code=code, kind=kind, walk=walk, zone=zone, capacity=capacity
    )
    session.add(place)
    session.flush()
    return place


def opening_stock(session: Session, item: Item, place: Location, qty: int, lot: Lot | None = None) -> int:
    """Stock that was there before the book began: a move from the adjustment place, with its cause (R1)."""
    return ledger.post(
        session,
        item_id=item.id,
        qty=qty,
        lot=lot.code if lot else "",
        from_=ledger.virtual(session, LocationKind.ADJUSTMENT),
        to=place,
        reason=MoveReason.OPENING,
        cause=f"item:{item.id}",
    )
