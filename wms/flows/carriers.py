"""Carriers 快递公司 at the desk: what they are, where their numbers come from 单号池, and what is left of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from wms import journal, waybills
from wms.clock import now
from wms.connectors.tables import read_column
from wms.db import actor_of
from wms.errors import N_, ChangedMeanwhile, NotFound, Refusal, term
from wms.models import (
    Carrier,
    NumbersFrom,
    Order,
    Parcel,
    ParcelTrack,
    RequestState,
    TrackState,
    Waybill,
    WaybillRange,
    WaybillRequest,
    WaybillStock,
    new_id,
)
from wms.waybill_numbers import BY_NAME, cleaned, sound

NUMBER_COLUMNS = ("运单号", "面单号", "快递单号", "单号", "number", "waybill", "waybill_no", "tracking_number")
MOST_NUMBERS = 200_000
SHOWN = 200
LOOKED_BACK = timedelta(days=60)
SIZES = ("100x150", "100x180", "100x113", "76x130")
_CODE = re.compile(r"^[A-Z0-9][A-Z0-9._-]{0,23}$")
_NUMBER = re.compile(r"^[0-9A-Z]{4,40}$")


class BadCarrierCode(Refusal):
    message = N_("A carrier's code is 1 to 24 letters, digits, dots or dashes. %(entered)s is not.")


class CarrierCodeTaken(Refusal):
    message = N_("There is a carrier with the code %(code)s already.")


class BadChoice(Refusal):
    message = N_("Choose one of the values that are offered for %(what)s.")


class BadHint(Refusal):
    message = N_("%(entered)s is no pattern. Write what a number looks like, such as YT[0-9]{13}, or leave it empty.")


class BadDays(Refusal):
    message = N_("%(what)s must be a whole number from 1 to %(most)s.")


class NumbersUnderWay(Refusal):
    message = N_("%(count)s parcels still wait for a number of %(carrier)s's service. Let them end first.")
    answer = "look"


@dataclass(frozen=True, slots=True)
class Pool:
    """A carrier and what its pool holds."""

    carrier: Carrier
    left: int
    ranges: int

    @property
    def low(self) -> bool:
        return self.carrier.numbers_from is not NumbersFrom.SERVICE and self.left < max(self.carrier.warn_below, 0)

    @property
    def dry(self) -> bool:
        return self.carrier.numbers_from is not NumbersFrom.SERVICE and self.left == 0


def carrier_of(session: Session, carrier_id: int) -> Carrier:
    carrier = session.get(Carrier, carrier_id)
    if carrier is None:
        raise NotFound(what=term("The carrier"))
    return carrier


def pools(session: Session, warehouse_id: int) -> list[Pool]:
    """Every carrier with the numbers it has left here."""
    left = waybills.left(session, warehouse_id)
    ranges: dict[int, int] = {}
    for (carrier_id,) in session.execute(
        select(WaybillRange.carrier_id).where(WaybillRange.warehouse_id == warehouse_id)
    ):
        ranges[carrier_id] = ranges.get(carrier_id, 0) + 1
    return [
        Pool(carrier, left.get(carrier.id, 0), ranges.get(carrier.id, 0))
        for carrier in session.execute(select(Carrier).order_by(Carrier.name)).scalars()
    ]


def low(session: Session, warehouse_id: int) -> list[Pool]:
    """The pools that run dry soon: to be told on the desk while packing still goes on."""
    return [pool for pool in pools(session, warehouse_id) if pool.low]


def ranges_of(session: Session, warehouse_id: int, carrier: Carrier) -> list[WaybillRange]:
    return list(
        session.execute(
            select(WaybillRange)
            .where(WaybillRange.warehouse_id == warehouse_id, WaybillRange.carrier_id == carrier.id)
            .order_by(WaybillRange.id.desc())
        ).scalars()
    )


@dataclass(frozen=True, slots=True)
class About:
    """What a person enters about a carrier. Times in hours and days."""

    code: str
    name: str
    label_size: str = "100x150"
    number_hint: str = ""
    check_standard: str = ""
    numbers_from: str = NumbersFrom.BOUGHT
    warn_below: int = 0
    collect_hours: int = 24
    silent_days: int = 3
    lost_days: int = 10
    promised_days: int = 5
    service: Mapping[str, str] = field(default_factory=dict)
    """Only what is to be changed; an empty key stays as it is, so that it need not be shown."""
    tracking: Mapping[str, str] = field(default_factory=dict)


SECRETS = ("secret", "key", "salt")
"""Settings that are never shown again and stay when nothing is entered."""


def save(session: Session, carrier_id: int | None, about: About) -> Carrier:
    """Add a carrier, or change one."""
    code, hint = about.code.strip().upper(), about.number_hint.strip()[:80]
    _check(about, code, hint)
    same = session.execute(select(Carrier.id).where(Carrier.code == code)).scalar_one_or_none()
    if same is not None and same != carrier_id:
        raise CarrierCodeTaken(code=code)
    if carrier_id is None:
        carrier = Carrier(code=code, name=about.name.strip()[:80] or code, service={}, tracking={})
        session.add(carrier)
        before = ""
    else:
        carrier = carrier_of(session, carrier_id)
        session.refresh(carrier, with_for_update=True)
        before = _told(carrier)
        leaves = carrier.numbers_from is NumbersFrom.SERVICE and about.numbers_from != NumbersFrom.SERVICE
        if leaves and (count := _under_way(session, carrier)):
            raise NumbersUnderWay(count=count, carrier=carrier.name)
    carrier.code, carrier.name = code, about.name.strip()[:80] or code
    carrier.label_size, carrier.number_hint = about.label_size, hint
    carrier.check_standard, carrier.numbers_from = about.check_standard, NumbersFrom(about.numbers_from)
    carrier.warn_below = max(about.warn_below, 0)
    carrier.collect_hours, carrier.silent_days = about.collect_hours, about.silent_days
    carrier.lost_days, carrier.promised_days = about.lost_days, about.promised_days
    service = _merged(carrier.service, about.service)
    if service != carrier.service:
        carrier.service = service
        if carrier_id is not None:
            _ask_again(session, carrier)
    tracking = _merged(carrier.tracking, about.tracking)
    if carrier_id is not None and tracking.get("company") and tracking != carrier.tracking:
        _look_at_all(session, carrier)
    carrier.tracking = tracking
    session.flush()
    journal.note(session, carrier, "added" if carrier_id is None else "changed", before, _told(carrier))
    return carrier


def _check(about: About, code: str, hint: str) -> None:
    if not _CODE.match(code):
        raise BadCarrierCode(entered=about.code[:40] or "—")
    try:
        re.compile(hint)
    except re.error as error:
        raise BadHint(entered=hint) from error
    if about.label_size not in SIZES:
        raise BadChoice(what=term("Label size"))
    if about.check_standard and about.check_standard not in BY_NAME:
        raise BadChoice(what=term("Check digit"))
    if about.numbers_from not in list(NumbersFrom):
        raise BadChoice(what=term("Numbers come from"))
    for what, value in (
        (term("Hours until collected"), about.collect_hours),
        (term("Days without news"), about.silent_days),
        (term("Days until lost"), about.lost_days),
        (term("Days promised"), about.promised_days),
    ):
        if not 1 <= value <= 720:
            raise BadDays(what=what, most=720)


def _merged(has: Mapping[str, Any], entered: Mapping[str, str]) -> dict[str, Any]:
    result = dict(has)
    for name, value in entered.items():
        text = value.strip()[:400]
        if text or name not in SECRETS:
            result[name] = text
    return {name: value for name, value in result.items() if value != ""}


def _told(carrier: Carrier) -> str:
    return (
        f"{carrier.code} {carrier.name} {carrier.label_size} {carrier.numbers_from} {carrier.check_standard or '-'} "
        f"{carrier.number_hint} <{carrier.warn_below}"
    )


def _under_way(session: Session, carrier: Carrier) -> int:
    waiting = (RequestState.ASKED, RequestState.SENDING, RequestState.RETRY, RequestState.REFUSED)
    return len(
        session.execute(
            select(WaybillRequest.id).where(WaybillRequest.carrier_id == carrier.id, WaybillRequest.state.in_(waiting))
        ).all()
    )


def _ask_again(session: Session, carrier: Carrier) -> None:
    """What was refused because of the old key or address is asked once more, under the same key (R32)."""
    session.execute(
        update(WaybillRequest)
        .where(WaybillRequest.carrier_id == carrier.id, WaybillRequest.state == RequestState.REFUSED)
        .values(state=RequestState.ASKED, next_at=now(), message="", reason="")
        .execution_options(synchronize_session=False)
    )


def _look_at_all(session: Session, carrier: Carrier) -> None:
    """Tracking was just set up, or its key: what left lately is asked about now."""
    at = now()
    session.execute(
        update(ParcelTrack)
        .where(
            ParcelTrack.carrier_id == carrier.id,
            ParcelTrack.state.not_in([TrackState.SIGNED, TrackState.RETURNED]),
            ParcelTrack.handed_over_at > at - LOOKED_BACK,
        )
        .values(next_at=at, attempts=0)
        .execution_options(synchronize_session=False)
    )


# Single numbers


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line of a file that was left out: its row number, what it holds, and why in words with facts."""

    row: int
    text: str
    message: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Numbers:
    """What a file of numbers would bring, or brought."""

    taken: list[str] = field(default_factory=list)
    refused: list[RefusedLine] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    """Taken although they do not look like this carrier's hint: a hint never refuses."""


def read_numbers(data: bytes, filename: str) -> list[tuple[int, str]]:
    """(row, text) of each line; raises ConnectorError when the file holds no list."""
    return read_column(data, filename, NUMBER_COLUMNS)


def look_at_numbers(session: Session, carrier: Carrier, lines: Sequence[tuple[int, str]]) -> Numbers:
    """Line by line: what is taken, and why not. Writes nothing."""
    found, seen = Numbers(), set[str]()
    known = _known(session, carrier, [cleaned(text) for _row, text in lines])
    ranges = session.execute(select(WaybillRange).where(WaybillRange.carrier_id == carrier.id)).scalars().all()
    hint = re.compile(carrier.number_hint) if carrier.number_hint else None
    for row, text in lines:
        number = cleaned(text)
        facts: dict[str, Any] = {"number": number[:44]}
        if len(found.taken) >= MOST_NUMBERS:
            why = N_("The file has more numbers than can be taken at once. Take the rest in another file.")
        elif not _NUMBER.match(number):
            why = N_("%(number)s is no waybill number: 4 to 40 letters and digits.")
        elif number in seen:
            why = N_("%(number)s stands in the file twice.")
        elif number in known:
            why = known[number]
        elif carrier.check_standard and not sound(number, carrier.check_standard):
            facts["standard"] = carrier.check_standard
            why = N_("%(number)s is no sound number of %(standard)s: form or check digit is wrong.")
        elif any(_in_range(number, each) for each in ranges):
            why = N_("%(number)s lies in a range of this carrier already.")
        else:
            seen.add(number)
            found.taken.append(number)
            if hint is not None and not hint.fullmatch(number):
                found.odd.append(number)
            continue
        found.refused.append(RefusedLine(row, text[:60], why, facts))
    return found


def _known(session: Session, carrier: Carrier, numbers: Sequence[str]) -> dict[str, str]:
    known: dict[str, str] = {}
    for start in range(0, len(numbers), 500):
        some = numbers[start : start + 500]
        for table, why in (
            (WaybillStock, N_("%(number)s is in the pool already.")),
            (Waybill, N_("%(number)s was used already.")),
        ):
            for (number,) in session.execute(
                select(table.number).where(table.carrier_id == carrier.id, table.number.in_(some))
            ):
                known[number] = why
    return known


def _in_range(number: str, each: WaybillRange) -> bool:
    proof = 1 if each.standard else 0
    if len(number) != len(each.prefix) + each.digits + proof + len(each.suffix):
        return False
    if not number.startswith(each.prefix) or not number.endswith(each.suffix):
        return False
    digits = number[len(each.prefix) : len(each.prefix) + each.digits]
    return digits.isascii() and digits.isdigit() and each.first_no <= int(digits) <= each.last_no


def add_numbers(session: Session, carrier: Carrier, lines: Sequence[tuple[int, str]]) -> Numbers:
    """Put the sound ones into the pool; the bad lines never stop the good ones. Each number once, ever (R33)."""
    session.refresh(carrier, with_for_update=True)
    found, at, warehouse_id = look_at_numbers(session, carrier, lines), now(), actor_of(session).warehouse_id
    session.add_all(
        WaybillStock(warehouse_id=warehouse_id, id=new_id(), carrier_id=carrier.id, number=number, added_at=at)
        for number in found.taken
    )
    session.flush()
    journal.note(session, carrier, "numbers_added", len(found.refused), len(found.taken))
    return found


# Numbers asked of a service: what a supervisor looks at

R = RequestState
LOOKED_AT = (R.REFUSED, R.KEPT, R.RETRY, R.SENDING, R.ASKED, R.CANCEL)
"""In the order in which a person wants to see them; one that was answered needs nobody, unless its label waits."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a carrier's service, with the parcel it is about."""

    request: WaybillRequest
    parcel: Parcel
    order: Order
    carrier: Carrier


def asked(session: Session, warehouse_id: int) -> list[Asked]:
    """What is being asked, was refused, or is being taken back; and numbers whose label cannot be printed."""
    rows = session.execute(
        select(WaybillRequest, Parcel, Order, Carrier)
        .join(Parcel, and_(Parcel.warehouse_id == WaybillRequest.warehouse_id, Parcel.id == WaybillRequest.parcel_id))
        .join(Order, and_(Order.warehouse_id == Parcel.warehouse_id, Order.id == Parcel.order_id))
        .join(Carrier, Carrier.id == WaybillRequest.carrier_id)
        .where(
            WaybillRequest.warehouse_id == warehouse_id,
            or_(
                WaybillRequest.state.in_(LOOKED_AT),
                and_(WaybillRequest.state == R.ANSWERED, WaybillRequest.message != ""),
            ),
        )
        .order_by(
            case({state.value: rank for rank, state in enumerate(LOOKED_AT)}, value=WaybillRequest.state, else_=1),
            WaybillRequest.id,
        )
        .limit(SHOWN)
    )
    return [Asked(*row) for row in rows]


def stuck(session: Session, warehouse_id: int) -> int:
    """Questions that only a person can bring on."""
    return int(
        session.execute(
            select(func.count())
            .select_from(WaybillRequest)
            .where(WaybillRequest.warehouse_id == warehouse_id, WaybillRequest.state.in_([R.REFUSED, R.KEPT]))
        ).scalar_one()
    )


def ask_again(session: Session, warehouse_id: int, request_id: int) -> WaybillRequest:
    """A person put right what was refused: the same question, under the same key (R32)."""
    row = _request(session, warehouse_id, request_id, R.REFUSED)
    journal.note(session, row, "state", row.state, R.ASKED)
    row.state, row.next_at, row.message, row.reason, row.facts = R.ASKED, now(), "", "", {}
    return row


def settled(session: Session, warehouse_id: int, request_id: int) -> WaybillRequest:
    """A person came to terms with the carrier about a number that it would not cancel."""
    row = _request(session, warehouse_id, request_id, R.KEPT)
    journal.note(session, row, "state", row.state, R.CANCELLED)
    row.state, row.answered_at = R.CANCELLED, now()
    return row


def _request(session: Session, warehouse_id: int, request_id: int, state: RequestState) -> WaybillRequest:
    row = session.get(WaybillRequest, (warehouse_id, request_id), with_for_update=True)
    if row is None:
        raise NotFound(what=term("The question"))
    if row.state is not state:
        raise ChangedMeanwhile(what=row.key)
    return row
