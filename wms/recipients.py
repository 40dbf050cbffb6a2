"""Whom a parcel goes to: when two recipients are the same, and what becomes of a new address while work is under way.

Until the label the order follows its shop. Afterwards the old address is printed, and a supervisor decides
(docs/decisions/0025).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import journal, together, waybills
from wms.clock import now
from wms.models import Order, OrderState, Parcel, ParcelState, PlatformWaybill
from wms.order_states import locked

S = OrderState
FOLLOWS = (S.HELD, S.READY, S.RELEASED, S.PICKING, S.PICKED, S.SHORT, S.PACKING, S.PACKED, S.MERGED)
"""States in which a shop's new address still concerns the order."""
ON_THE_BENCH = (ParcelState.OPEN, ParcelState.VERIFIED)
MASKS = ("*", "＊")
_PARTS = ("name", "phone", "country", "province", "city", "district", "town", "address")


def identity(to: Mapping[str, Any]) -> str:
    """What is the same for two orders to one recipient, within one shop; nothing when it cannot be known.

    A platform's code stands for name, phone and address together. It depends on shop and app, so it is never compared
    across shops. Plain recipients are the same only when every part of them is, and none is masked.
    """
    if oaid := str(to.get("oaid") or "").strip():
        return f"oaid {oaid}"
    needed = [str(to.get(name) or "") for name in ("name", "phone", "address")]
    if not all(part.strip() for part in needed) or any(mask in part for part in needed for mask in MASKS):
        return ""
    return "\n".join(_plain(to.get(name)) for name in _PARTS)


def is_another(ours: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether a shop now says somebody or somewhere else.

    A platform's code decides where there are two: it stands for name, phone and address together, while a virtual phone
    number beside it may be another every day. A part that is masked is only compared where it can be read, and one that
    the shop no longer tells is no news: shops mask more as time goes by.
    """
    before, after = str(ours.get("oaid") or ""), str(told.get("oaid") or "")
    if before and after:
        return before != after
    return any(not _alike(_plain(ours.get(name)), _plain(told.get(name))) for name in _PARTS)


def _plain(part: object) -> str:
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", str(part or ""))).casefold()


def _alike(ours: str, told: str) -> bool:
    if ours == told or not told:
        return True
    if "*" in ours and "*" in told:  # two masks of one word: both show the same of its beginning and of its end
        head = min(ours.index("*"), told.index("*"))
        tail = min(len(text) - text.rindex("*") - 1 for text in (ours, told))
        return ours[:head] == told[:head] and ours[len(ours) - tail :] == told[len(told) - tail :]
    if "*" not in ours + told:
        return False
    masked, plain = (ours, told) if "*" in ours else (told, ours)
    return re.fullmatch(".*".join(map(re.escape, re.split(r"\*+", masked))), plain) is not None


def follow(session: Session, order: Order, told: Mapping[str, Any]) -> None:
    """Let an order under way go where its shop says now, or have a supervisor decide. The order is held (``locked``).

    It follows as long as nothing bears the old address: no number, no label, no platform's document, and no other order
    in the same parcel.
    """
    if not is_another(order.recipient, told):
        if order.new_recipient is not None:  # the buyer thought better of it
            order.new_recipient = order.new_recipient_at = None
            journal.note(session, order, "address_back")
        return
    apart = sent_apart(session, order)
    parcels = [parcel for each in apart for parcel in parcels_of(session, each)]
    if not shares_a_parcel(session, order) and not _bears_it(session, apart, parcels):
        goes_to(session, order, told)
        for parcel in parcels:
            waybills.void(session, parcel)  # the carrier was perhaps asked for a number to the old address
            waybills.ask(session, parcel)
        return
    if order.new_recipient != dict(told):
        order.new_recipient, order.new_recipient_at = dict(told), now()
        journal.note(session, order, "address_asked")


def goes_to(session: Session, order: Order, told: Mapping[str, Any]) -> None:
    """Write the new address down. What it was stands nowhere but in the shop's own words: people's addresses are not
    copied into the journal (R45).
    """
    for each in sent_apart(session, order):
        each.recipient = dict(told)
        journal.note(session, each, "address_changed")
    order.new_recipient = order.new_recipient_at = None


def sent_apart(session: Session, order: Order) -> list[Order]:
    """The order and its parts that are sent by themselves, all held until this transaction ends."""
    return [order, *(locked(session, each.warehouse_id, each.id) for each in together.parts_of(session, order))]


def shares_a_parcel(session: Session, order: Order) -> bool:
    """Whether pieces of other orders of the shop go along."""
    return order.state is S.MERGED or bool(together.merged_into(session, order))


def parcels_of(session: Session, order: Order) -> list[Parcel]:
    """The order's parcels that are not void, held until this transaction ends."""
    return list(
        session.execute(
            select(Parcel)
            .where(
                Parcel.warehouse_id == order.warehouse_id, Parcel.order_id == order.id, Parcel.state != ParcelState.VOID
            )
            .order_by(Parcel.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).scalars()
    )


def _bears_it(session: Session, orders: list[Order], parcels: list[Parcel]) -> bool:
    if any(parcel.state not in ON_THE_BENCH or waybills.live(session, parcel) for parcel in parcels):
        return True
    given = select(PlatformWaybill.id).where(
        PlatformWaybill.warehouse_id == orders[0].warehouse_id,
        PlatformWaybill.order_id.in_([order.id for order in orders]),
        PlatformWaybill.withdrawn_at.is_(None),
    )
    return session.execute(given.limit(1)).first() is not None
