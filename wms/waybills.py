"""Waybill numbers 面单号: one live number a parcel, asked with the parcel as its key, never used twice (R31–R33)."""

from __future__ import annotations

import re

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.errors import N_, Refusal
from wms.models import Carrier, Parcel, Waybill, WaybillRange, WaybillState, new_id


class NoNumbersLeft(Refusal):
    message = N_("No waybill numbers are left for %(carrier)s. A supervisor must add a range.")
    answer = "look"


class BadNumber(Refusal):
    message = N_("%(entered)s is no waybill number. It has 6 to 40 letters, digits or dashes.")


class NumberUsed(Refusal):
    """R33: a number is never used twice, by whichever carrier's parcel."""

    message = N_("The number %(number)s was used before. Ask the carrier for another one.")
    answer = "look"


class NumberIsOurs(Refusal):
    message = N_(
        "The number %(number)s lies in a range that is handed out here. Weigh the parcel at the bench instead."
    )
    answer = "look"


class HasNumber(Refusal):
    """R33: a new number comes only by void and redo."""

    message = N_("Parcel %(parcel)s already has the number %(number)s. Void it first.")
    answer = "look"


_NUMBER = re.compile(r"[A-Z0-9][A-Z0-9-]{4,38}[A-Z0-9]")


def live(session: Session, parcel: Parcel) -> Waybill | None:
    return session.execute(
        select(Waybill).where(
            Waybill.warehouse_id == parcel.warehouse_id,
            Waybill.parcel_id == parcel.id,
            Waybill.state == WaybillState.LIVE,
        )
    ).scalar_one_or_none()


def take(session: Session, parcel: Parcel) -> Waybill:
    """The parcel's number: the one it has (R32), else the next of the carrier's range."""
    if has := live(session, parcel):
        return has
    ranges = session.execute(
        select(WaybillRange.id, WaybillRange.prefix, WaybillRange.digits)
        .where(
            WaybillRange.warehouse_id == parcel.warehouse_id,
            WaybillRange.carrier_id == parcel.carrier_id,
            WaybillRange.next_no <= WaybillRange.last_no,
        )
        .order_by(WaybillRange.id)
    ).all()
    for range_id, prefix, digits in ranges:
        following = session.execute(
            update(WaybillRange)
            .where(WaybillRange.id == range_id, WaybillRange.next_no <= WaybillRange.last_no)
            .values(next_no=WaybillRange.next_no + 1)
            .returning(WaybillRange.next_no)
            .execution_options(synchronize_session=False)
        ).scalar_one_or_none()
        if following is None:
            continue  # the last number of this range went to somebody else
        waybill = Waybill(
            warehouse_id=parcel.warehouse_id,
            id=new_id(),
            carrier_id=parcel.carrier_id,
            parcel_id=parcel.id,
            number=f"{prefix}{following - 1:0{digits}d}",
            at=now(),
        )
        session.add(waybill)
        session.flush()
        journal.note(session, parcel, "waybill", "", waybill.number)
        return waybill
    raise NoNumbersLeft(carrier=session.get_one(Carrier, parcel.carrier_id).name)


def enter(session: Session, parcel: Parcel, entered: str) -> Waybill:
    """A number that the carrier gave elsewhere, such as on its own web page, for a parcel that has none yet."""
    number = entered.strip().upper()
    if not _NUMBER.fullmatch(number):
        raise BadNumber(entered=entered.strip()[:40] or "—")
    if has := live(session, parcel):
        raise HasNumber(parcel=parcel.code, number=has.number)
    used = session.execute(
        select(Waybill.id).where(Waybill.warehouse_id == parcel.warehouse_id, Waybill.number == number).limit(1)
    ).first()
    if used is not None:
        raise NumberUsed(number=number)
    for prefix, digits, first, last in session.execute(
        select(WaybillRange.prefix, WaybillRange.digits, WaybillRange.next_no, WaybillRange.last_no).where(
            WaybillRange.carrier_id == parcel.carrier_id
        )
    ):
        rest = number.removeprefix(prefix.upper())
        ours = number.startswith(prefix.upper()) and rest.isdigit() and len(rest) == digits
        if ours and first <= int(rest) <= last:
            raise NumberIsOurs(number=number)
    waybill = Waybill(
        warehouse_id=parcel.warehouse_id,
        id=new_id(),
        carrier_id=parcel.carrier_id,
        parcel_id=parcel.id,
        number=number,
        at=now(),
    )
    session.add(waybill)
    session.flush()
    journal.note(session, parcel, "waybill", "", f"{number} by hand")
    return waybill


def void(session: Session, parcel: Parcel) -> None:
    """Take the parcel's number out of use for good; scanning it is a loud stop from now on (R33)."""
    if waybill := live(session, parcel):
        waybill.state = WaybillState.VOID
        journal.note(session, parcel, "waybill_void", waybill.number, "")
