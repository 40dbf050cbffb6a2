"""Waybill numbers 面单号: one live number a parcel, asked with the parcel as its key, never used twice (R31–R33).

A number comes from a pool (ranges, single numbers bought) inside the transaction that needs it, or from the carrier's
service by a row that is asked about between transactions (jobs/carriers) and answered before it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.errors import N_, Refusal
from wms.models import (
    OVER,
    Carrier,
    NumbersFrom,
    Parcel,
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
    """The parcel's number: the one it has (R32), else what its carrier's service answered, else the next of a pool.

    Raises NoNumbersLeft, NumberNotHere.
    """
    if has := live(session, parcel):
        return has
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
