"""Waybill numbers 面单号: one live number a parcel, asked with the parcel as its key, never used twice (R31–R33).

A number comes from a pool (ranges, single numbers bought) inside the transaction that needs it, or from the carrier's
service by a row that is asked about between transactions (jobs/carriers) and answered before it is needed.

A platform gives numbers with a document that only its own print component can print (wms/components.py): ``offer``
keeps one for an order's next parcel, ``attach_document`` gives one to a parcel that has its number already.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from wms import components, journal
from wms.clock import now
from wms.errors import N_, Refusal
from wms.models import (
    OVER,
    Carrier,
    NumbersFrom,
    Order,
    Parcel,
    PlatformWaybill,
    RequestState,
    Waybill,
    WaybillRange,
    WaybillRequest,
    WaybillState,
    WaybillStock,
    new_id,
)
from wms.waybill_numbers import numbered

AT_ONCE = 20
"""Free single numbers that are looked at in one go; another may take any of them first."""


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


class NumberNotHere(Refusal):
    """R32: "don't know" is "checking", never a second number."""

    message = N_("%(carrier)s has not given a number yet. It is being asked; the label then comes by itself.")
    answer = "look"


def live(session: Session, parcel: Parcel) -> Waybill | None:
    return session.execute(
        select(Waybill).where(
            Waybill.warehouse_id == parcel.warehouse_id,
            Waybill.parcel_id == parcel.id,
            Waybill.state == WaybillState.LIVE,
        )
    ).scalar_one_or_none()


def request_of(session: Session, parcel: Parcel) -> WaybillRequest | None:
    """The question to the carrier's service that counts for this parcel."""
    return session.execute(
        select(WaybillRequest)
        .where(
            WaybillRequest.warehouse_id == parcel.warehouse_id,
            WaybillRequest.parcel_id == parcel.id,
            WaybillRequest.state.not_in(OVER),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()


def ask(session: Session, parcel: Parcel) -> WaybillRequest | None:
    """See that the carrier's service is, or was, asked for this parcel; None for a carrier whose numbers we have."""
    carrier = session.get_one(Carrier, parcel.carrier_id)
    request = request_of(session, parcel)
    if request is not None and request.carrier_id != parcel.carrier_id:
        _give_up(session, parcel, request)
        request = None
    if carrier.numbers_from is not NumbersFrom.SERVICE:
        return None
    if request is not None:
        return request
    turn = 1 + int(
        session.execute(
            select(func.coalesce(func.max(WaybillRequest.turn), 0)).where(
                WaybillRequest.warehouse_id == parcel.warehouse_id, WaybillRequest.parcel_id == parcel.id
            )
        ).scalar_one()
    )
    at = now()
    request = WaybillRequest(
        warehouse_id=parcel.warehouse_id,
        id=new_id(),
        parcel_id=parcel.id,
        carrier_id=carrier.id,
        turn=turn,
        key=f"{parcel.warehouse_id}-{parcel.code}" + (f"-{turn}" if turn > 1 else ""),
        state=RequestState.ASKED,
        asked_at=at,
        next_at=at,
    )
    session.add(request)
    session.flush()
    journal.note(session, parcel, "number_asked", "", f"{carrier.code} {request.key}")
    return request


def take(session: Session, parcel: Parcel) -> Waybill:
    """The parcel's number: the one it has (R32), one that a platform gave for its order, else what its carrier's
    service answered, else the next of a pool.

    Raises NoNumbersLeft, NumberNotHere.
    """
    if has := live(session, parcel):
        return has
    if given := _given(session, parcel):
        return given
    request = ask(session, parcel)
    if request is not None:
        if request.state is not RequestState.ANSWERED:
            raise NumberNotHere(carrier=session.get_one(Carrier, parcel.carrier_id).name)
        return _keep(session, parcel, request.number, request)
    for number in _from_pool(session, parcel):
        # Pools may cross, and numbers were used before the pool was known: those are passed over.
        used = session.execute(
            select(Waybill.id).where(Waybill.carrier_id == parcel.carrier_id, Waybill.number == number)
        ).first()
        if used is None:
            return _keep(session, parcel, number, None)
    raise NoNumbersLeft(carrier=session.get_one(Carrier, parcel.carrier_id).name)


def _keep(session: Session, parcel: Parcel, number: str, request: WaybillRequest | None) -> Waybill:
    waybill = Waybill(
        warehouse_id=parcel.warehouse_id,
        id=new_id(),
        carrier_id=parcel.carrier_id,
        parcel_id=parcel.id,
        number=number,
        at=now(),
        sort_code=request.sort_code if request else "",
        hub=request.hub if request else "",
        provider=request.provider if request else "",
    )
    session.add(waybill)
    if request is not None:
        request.state, request.message, request.facts = RequestState.USED, "", {}
    session.flush()
    journal.note(session, parcel, "waybill", "", waybill.number)
    return waybill


def _from_pool(session: Session, parcel: Parcel) -> Iterator[str]:
    """The carrier's next numbers, each of them taken: its ranges one after the other, then the single ones."""
    ranges = session.execute(
        select(WaybillRange.id, WaybillRange.prefix, WaybillRange.digits, WaybillRange.suffix, WaybillRange.standard)
        .where(
            WaybillRange.warehouse_id == parcel.warehouse_id,
            WaybillRange.carrier_id == parcel.carrier_id,
            WaybillRange.next_no <= WaybillRange.last_no,
        )
        .order_by(WaybillRange.id)
    ).all()
    for range_id, prefix, digits, suffix, standard in ranges:
        while True:
            following = session.execute(
                update(WaybillRange)
                .where(WaybillRange.id == range_id, WaybillRange.next_no <= WaybillRange.last_no)
                .values(next_no=WaybillRange.next_no + 1)
                .returning(WaybillRange.next_no)
                .execution_options(synchronize_session=False)
            ).scalar_one_or_none()
            if following is None:
                break  # the last number of this range went to somebody else
            yield numbered(standard, prefix, f"{following - 1:0{digits}d}", suffix)
    while True:
        # Those that another is taking just now are looked at last: it may yet give them back.
        free = _free(session, parcel, skip=True) or _free(session, parcel, skip=False)
        if not free:
            return
        for stock_id, number in free:
            taken: int = session.execute(
                update(WaybillStock)
                .where(
                    WaybillStock.warehouse_id == parcel.warehouse_id,
                    WaybillStock.id == stock_id,
                    WaybillStock.taken_at.is_(None),
                )
                .values(taken_at=now(), parcel_id=parcel.id)
                .execution_options(synchronize_session=False)
            ).rowcount  # type: ignore[attr-defined]
            if taken == 1:
                yield number


def _free(session: Session, parcel: Parcel, skip: bool) -> list[tuple[int, str]]:
    query = (
        select(WaybillStock.id, WaybillStock.number)
        .where(
            WaybillStock.warehouse_id == parcel.warehouse_id,
            WaybillStock.carrier_id == parcel.carrier_id,
            WaybillStock.taken_at.is_(None),
        )
        .order_by(WaybillStock.id)
        .limit(AT_ONCE if not skip else 1)
    )
    if skip:
        query = query.with_for_update(skip_locked=True)
    return [(row[0], row[1]) for row in session.execute(query)]


def left(session: Session, warehouse_id: int) -> dict[int, int]:
    """How many numbers of each carrier's pool nobody has taken yet."""
    found: dict[int, int] = {}
    for carrier_id, count in [
        *session.execute(
            select(WaybillRange.carrier_id, func.sum(WaybillRange.last_no - WaybillRange.next_no + 1))
            .where(WaybillRange.warehouse_id == warehouse_id)
            .group_by(WaybillRange.carrier_id)
        ),
        *session.execute(
            select(WaybillStock.carrier_id, func.count())
            .where(WaybillStock.warehouse_id == warehouse_id, WaybillStock.taken_at.is_(None))
            .group_by(WaybillStock.carrier_id)
        ),
    ]:
        found[carrier_id] = found.get(carrier_id, 0) + int(count)
    return found


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
    free = next(
        (
            each
            for each in given
            if each.waybill_id is None and each.withdrawn_at is None and each.carrier_id == parcel.carrier_id
        ),
        None,
    )
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
    bought = select(WaybillStock.id).where(
        WaybillStock.warehouse_id == parcel.warehouse_id,
        WaybillStock.carrier_id == parcel.carrier_id,
        WaybillStock.number == number,
        WaybillStock.taken_at.is_(None),
    )
    if session.execute(bought).first() is not None:
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


def withdraw(session: Session, order: Order, before: datetime) -> None:
    """Take platform waybills out of use that wait for the order and were given before: another address is inside."""
    for given in session.execute(
        select(PlatformWaybill).where(
            PlatformWaybill.warehouse_id == order.warehouse_id,
            PlatformWaybill.order_id == order.id,
            PlatformWaybill.waybill_id.is_(None),
            PlatformWaybill.withdrawn_at.is_(None),
            PlatformWaybill.at < before,
        )
    ).scalars():
        given.withdrawn_at = now()
        journal.note(session, order, "platform_waybill_withdrawn", given.number, "")
    session.flush()


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
    """Take the parcel's number out of use for good; scanning it is a loud stop from now on (R33).

    A number of the carrier's service is cancelled there as well: a row, carried out later, that blocks nobody.
    """
    if waybill := live(session, parcel):
        waybill.state = WaybillState.VOID
        journal.note(session, parcel, "waybill_void", waybill.number, "")
    if request := request_of(session, parcel):
        _give_up(session, parcel, request)


def _give_up(session: Session, parcel: Parcel, request: WaybillRequest) -> None:
    """The carrier is told, unless it was never asked. What is under way there is waited for first."""
    at = now()
    journal.note(session, parcel, "number_given_up", request.state, request.number or request.key)
    if request.attempts == 0:
        request.state, request.answered_at = RequestState.CANCELLED, at
    else:
        under_way = request.state is RequestState.SENDING and request.leased_until is not None
        request.next_at = max(at, request.leased_until) if under_way and request.leased_until else at
        request.state, request.message, request.facts, request.reason = RequestState.CANCEL, "", {}, ""
    session.flush()
