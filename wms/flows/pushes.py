"""Pushes 回传 at the desk: which parcels the shops know of, and sending one again by hand (R37)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms import journal, waybills
from wms.clock import now
from wms.errors import N_, ChangedMeanwhile, NotFound, Refusal, term
from wms.journal import advance
from wms.models import Order, Parcel, ParcelState, Push, PushState, Shop, Waybill, WaybillState

S = PushState
STEPS = {S.RETRY: {S.PENDING}, S.CONFLICT: {S.PENDING}, S.DEAD: {S.PENDING}}
STUCK = (S.CONFLICT, S.DEAD)
OUTSTANDING = (S.PENDING, S.SENDING, S.RETRY, S.CONFLICT, S.DEAD)


class NotGone(Refusal):
    message = N_("Parcel %(parcel)s has not left. Void it and label it again.")
    answer = "look"


def send_again(session: Session, warehouse_id: int, push_id: int) -> Push:
    """A person says: try once more, now. The key is the parcel, so the shop cannot take it for a second one."""
    push = session.execute(
        select(Push)
        .where(Push.warehouse_id == warehouse_id, Push.id == push_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if push is None:
        raise NotFound(what=term("The push"))
    if push.state not in STEPS:
        raise ChangedMeanwhile(what=session.get_one(Parcel, (warehouse_id, push.parcel_id)).code)
    advance(session, push, S.PENDING, STEPS)
    push.next_at, push.leased_until, push.attempts = now(), None, 0
    return push


def send_once_more(session: Session, warehouse_id: int, order_id: int) -> int:
    """The shop lost a number it had taken, a person saw: its parcels are told again. How many.

    The same key: a shop that has the number after all takes it for the same parcel (R37).
    """
    rows = (
        session.execute(
            select(Push)
            .where(Push.warehouse_id == warehouse_id, Push.order_id == order_id, Push.state == S.ACKNOWLEDGED)
            .with_for_update()
        )
        .scalars()
        .all()
    )
    for push in rows:
        advance(session, push, S.PENDING, {S.ACKNOWLEDGED: {S.PENDING}})
        push.next_at, push.leased_until, push.attempts = now(), None, 0
    return len(rows)


def correct(session: Session, warehouse_id: int, parcel_id: int, number: str) -> Waybill:
    """A parcel that left under a number that was wrong gets the right one; shops that know the wrong one are told.

    The wrong number stays used for good (R33). What a shop was not told yet simply goes out right.
    """
    parcel = session.execute(
        select(Parcel)
        .where(Parcel.warehouse_id == warehouse_id, Parcel.id == parcel_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if parcel is None:
        raise NotFound(what=term("The parcel"))
    if parcel.state not in (ParcelState.HANDED_OVER, ParcelState.ACKNOWLEDGED):
        raise NotGone(parcel=parcel.code)
    rows = session.execute(
        select(Push).where(Push.warehouse_id == warehouse_id, Push.parcel_id == parcel_id).with_for_update()
    ).scalars()
    pushes = list(rows)
    if any(push.state is S.SENDING for push in pushes):
        raise ChangedMeanwhile(what=parcel.code)  # what is under way is waited for
    wrong = waybills.live(session, parcel)
    assert wrong is not None, "what left has a number"
    wrong.state = WaybillState.VOID
    session.flush()
    right = waybills.enter(session, parcel, number)
    journal.note(session, parcel, "number_corrected", wrong.number, right.number)
    for push in pushes:
        push.wrong_no = push.wrong_no or (wrong.number if push.state is S.ACKNOWLEDGED else "")
        push.state, push.next_at, push.leased_until, push.attempts = S.PENDING, now(), None, 0
    return right


def outstanding(session: Session, warehouse_id: int) -> dict[PushState, int]:
    """How many pushes stand in each state before acknowledgement."""
    return {
        state: int(count)
        for state, count in session.execute(
            select(Push.state, func.count())
            .where(Push.warehouse_id == warehouse_id, Push.state.in_(OUTSTANDING))
            .group_by(Push.state)
        )
    }


def oldest(session: Session, warehouse_id: int) -> datetime | None:
    """When the parcel left that has waited longest for its shop's word."""
    return session.execute(
        select(func.min(Push.created_at)).where(Push.warehouse_id == warehouse_id, Push.state.in_(OUTSTANDING))
    ).scalar_one()


def listed(
    session: Session, warehouse_id: int, state: PushState | None, limit: int
) -> list[tuple[Push, Order, Parcel, str, str]]:
    """Pushes with order, parcel, waybill number and shop: the oldest outstanding ones, or the newest of a state."""
    query = (
        select(Push, Order, Parcel, func.coalesce(Waybill.number, ""), Shop.name)
        .join(Order, (Order.warehouse_id == Push.warehouse_id) & (Order.id == Push.order_id))
        .join(Parcel, (Parcel.warehouse_id == Push.warehouse_id) & (Parcel.id == Push.parcel_id))
        .outerjoin(
            Waybill,
            (Waybill.warehouse_id == Push.warehouse_id)
            & (Waybill.parcel_id == Push.parcel_id)
            & (Waybill.state == WaybillState.LIVE),
        )
        .join(Shop, Shop.id == Push.shop_id)
        .where(Push.warehouse_id == warehouse_id)
        .limit(limit)
    )
    if state is None:
        query = query.where(Push.state.in_(OUTSTANDING)).order_by(Push.id)
    else:
        query = query.where(Push.state == state).order_by(Push.id.desc())
    return [(row[0], row[1], row[2], row[3], row[4]) for row in session.execute(query)]
