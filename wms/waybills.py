"""Waybill numbers 面单号: one live number a parcel, asked with the parcel as its key, never used twice (R31–R33)."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.errors import N_, Refusal
from wms.models import Carrier, Parcel, Waybill, WaybillRange, WaybillState, new_id


class NoNumbersLeft(Refusal):
    message = N_("No waybill numbers are left for %(carrier)s. A supervisor must add a range.")
    answer = "look"


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


def void(session: Session, parcel: Parcel) -> None:
    """Take the parcel's number out of use for good; scanning it is a loud stop from now on (R33)."""
    if waybill := live(session, parcel):
        waybill.state = WaybillState.VOID
        journal.note(session, parcel, "waybill_void", waybill.number, "")
