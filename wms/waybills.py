"""Waybill numbers 面单号: one live number a parcel, asked with the parcel as its key, never used twice (R31–R33).

A platform gives numbers with a document that only its own print component can print (wms/components.py): ``offer``
keeps one for an order's next parcel, ``attach_document`` gives one to a parcel that has its number already.
"""

from __future__ import annotations

import hashlib
import re

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from wms import components, journal
from wms.clock import now
from wms.errors import N_, Refusal
from wms.models import Carrier, Order, Parcel, PlatformWaybill, Waybill, WaybillRange, WaybillState, new_id


class NoNumbersLeft(Refusal):
    message = N_("No waybill numbers are left for %(carrier)s. A supervisor must add a range.")
    answer = "look"


class NoPlatformWaybillLeft(Refusal):
    """R31: the platform must give another; our own number would be unknown to it."""

    message = N_(
        "Order %(order)s is sent with %(carrier)s, and no platform waybill of it is left. "
        "Ask for another one at the desk first."
    )
    answer = "look"


class NotADocument(Refusal):
    message = N_(
        "This is not what the platform gives for one label. Take its print data (print_data or print_info) unchanged."
    )
    answer = "look"


class BadNumber(Refusal):
    message = N_("A waybill number is 6 to 40 letters, digits or dashes. %(entered)s is not.")


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


class OtherDocument(Refusal):
    """R33: what was given for a number stays; a new label means a new number."""

    message = N_("Waybill %(number)s already has another document. Void the parcel to get a new number.")
    answer = "look"


class NoNumberYet(Refusal):
    message = N_("Parcel %(parcel)s has no waybill number yet.")
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
    """The parcel's number: the one it has (R32), one that a platform gave for its order, else the carrier's next."""
    if has := live(session, parcel):
        return has
    if given := _given(session, parcel):
        return given
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


def _given(session: Session, parcel: Parcel) -> Waybill | None:
    """The oldest platform waybill of the order that waits; None for an order that no platform gave any."""
    given = (
        session.execute(
            select(PlatformWaybill)
            .where(PlatformWaybill.warehouse_id == parcel.warehouse_id, PlatformWaybill.order_id == parcel.order_id)
            .order_by(PlatformWaybill.id)
        )
        .scalars()
        .all()
    )
    if not given:
        return None
    free = next((each for each in given if each.waybill_id is None and each.carrier_id == parcel.carrier_id), None)
    if free is None:
        order = session.get_one(Order, (parcel.warehouse_id, parcel.order_id))
        raise NoPlatformWaybillLeft(order=order.shop_order_no, carrier=session.get_one(Carrier, parcel.carrier_id).name)
    waybill = Waybill(
        warehouse_id=parcel.warehouse_id,
        id=new_id(),
        carrier_id=parcel.carrier_id,
        parcel_id=parcel.id,
        number=free.number,
        at=now(),
    )
    session.add(waybill)
    session.flush()
    free.waybill_id = waybill.id
    session.flush()
    journal.note(session, parcel, "waybill", free.provider, waybill.number)
    return waybill


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


def offer(
    session: Session, order: Order, carrier: Carrier, provider: str, number: str, document: bytes
) -> PlatformWaybill:
    """Keep a number and its document for the order's next parcel. The same ones again change nothing (R32)."""
    number = number.strip()
    if not re.fullmatch(r"[A-Za-z0-9-]{6,40}", number):
        raise BadNumber(entered=number[:40] or "—")
    _check(provider, document)
    has = session.execute(
        select(PlatformWaybill).where(PlatformWaybill.carrier_id == carrier.id, PlatformWaybill.number == number)
    ).scalar_one_or_none()
    digest = hashlib.sha256(document).hexdigest()
    if has is not None:
        if (has.warehouse_id, has.order_id, has.sha256) == (order.warehouse_id, order.id, digest):
            return has
        raise NumberUsed(number=number)
    used = session.execute(select(Waybill.id).where(Waybill.carrier_id == carrier.id, Waybill.number == number)).first()
    if used is not None:
        raise NumberUsed(number=number)
    given = PlatformWaybill(
        warehouse_id=order.warehouse_id,
        id=new_id(),
        order_id=order.id,
        carrier_id=carrier.id,
        provider=provider,
        number=number,
        document=document,
        sha256=digest,
        at=now(),
    )
    session.add(given)
    session.flush()
    journal.note(session, order, "platform_waybill", provider, number)
    return given


def attach_document(session: Session, parcel: Parcel, provider: str, document: bytes) -> PlatformWaybill:
    """Give the parcel's live number its document, as a carrier's or platform's API answered with both."""
    _check(provider, document)
    waybill = live(session, parcel)
    if waybill is None:
        raise NoNumberYet(parcel=parcel.code)
    has = document_of(session, waybill)
    digest = hashlib.sha256(document).hexdigest()
    if has is not None:
        if (has.provider, has.sha256) == (provider, digest):
            return has
        raise OtherDocument(number=waybill.number)
    given = PlatformWaybill(
        warehouse_id=parcel.warehouse_id,
        id=new_id(),
        order_id=parcel.order_id,
        carrier_id=waybill.carrier_id,
        provider=provider,
        number=waybill.number,
        document=document,
        sha256=digest,
        waybill_id=waybill.id,
        at=now(),
    )
    session.add(given)
    session.flush()
    journal.note(session, parcel, "platform_waybill", provider, waybill.number)
    return given


def _check(provider: str, document: bytes) -> None:
    if provider not in components.PROVIDERS or not components.is_document(provider, document):
        raise NotADocument()


def document_of(session: Session, waybill: Waybill) -> PlatformWaybill | None:
    """What the platform gave for this number, or None: then we draw the label ourselves."""
    return session.execute(
        select(PlatformWaybill).where(
            PlatformWaybill.warehouse_id == waybill.warehouse_id, PlatformWaybill.waybill_id == waybill.id
        )
    ).scalar_one_or_none()


def void(session: Session, parcel: Parcel) -> None:
    """Take the parcel's number out of use for good; scanning it is a loud stop from now on (R33)."""
    if waybill := live(session, parcel):
        waybill.state = WaybillState.VOID
        journal.note(session, parcel, "waybill_void", waybill.number, "")
