"""The refund gate: what the shop last said of an order, asked right before its label and its hand-over (R28).

The question goes over the network and is asked outside of every transaction (jobs/gate); the flows only read the
answer here, so that no way to a label leads around it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import journal, together
from wms.clock import now
from wms.connectors import LIVE
from wms.db import actor_of
from wms.errors import N_, Refusal, Term
from wms.models import GateCheck, Order, Shop, Verdict, new_id


class Stopped(Refusal):
    message = N_("The shop stops order %(order)s: %(why)s. Put it aside; a supervisor decides.")
    block = True


class AddressChanged(Refusal):
    """The label, or the parcel shared with others, bears the address that the buyer changed."""

    message = N_("The buyer changed the address of order %(order)s. Put it aside; a supervisor decides.")
    block = True


class ShopSilent(Refusal):
    """The shop wants its word before each label (``fail_closed``) and could not be asked."""

    message = N_("%(shop)s could not be asked about order %(order)s. Try again in a minute, or ask a supervisor.")
    answer = "look"


class NoReason(Refusal):
    message = N_("Say why order %(order)s goes out all the same.")


class NothingStops(Refusal):
    message = N_("Nothing stops order %(order)s.")
    answer = "look"


def of(session: Session, order: Order) -> GateCheck | None:
    return session.execute(
        select(GateCheck)
        .where(GateCheck.warehouse_id == order.warehouse_id, GateCheck.order_id == order.id)
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()


def overridden(check: GateCheck) -> bool:
    """Whether somebody let the order pass for the reason that stands now."""
    return check.override_at is not None and check.override_for == check.reason


def stands(session: Session, order: Order) -> Refusal | None:
    """What stops the order from going on, if anything does: the word on any shop's order that it carries."""
    return next((said for home in together.homes_of(session, order) if (said := _stands(session, home))), None)


def _stands(session: Session, order: Order) -> Refusal | None:
    if order.new_recipient is not None:
        return AddressChanged(order=order.shop_order_no)
    check, shop = of(session, order), session.get_one(Shop, order.shop_id)
    if check is not None and check.verdict is Verdict.STOP and not overridden(check):
        return Stopped(order=order.shop_order_no, why=Term(check.reason))
    if shop.fail_closed and shop.connector in LIVE and (check is None or check.verdict is Verdict.UNKNOWN):
        if check is not None and overridden(check):
            return None
        return ShopSilent(shop=shop.name, order=order.shop_order_no)
    return None


def require(session: Session, order: Order) -> None:
    """Raise when the shop's newest word, or its silence, stops the order."""
    if refusal := stands(session, order):
        raise refusal


def remember(
    session: Session, warehouse_id: int, order_id: int, verdict: Verdict, reason: str = "", facts: Any = None
) -> None:
    """Write down what the shop said; an override given for the same reason goes on holding."""
    check = session.execute(
        select(GateCheck)
        .where(GateCheck.warehouse_id == warehouse_id, GateCheck.order_id == order_id)
        .with_for_update()
    ).scalar_one_or_none()
    if check is None:
        check = GateCheck(warehouse_id=warehouse_id, id=new_id(), order_id=order_id, verdict=verdict, asked_at=now())
        session.add(check)
        session.flush()
        journal.note(session, check, "gate", "", f"{verdict} {reason}".strip())
    elif (check.verdict, check.reason) != (verdict, reason):
        journal.note(session, check, "gate", f"{check.verdict} {check.reason}".strip(), f"{verdict} {reason}".strip())
    check.verdict, check.reason, check.facts, check.asked_at = verdict, reason, facts or {}, now()


def let_pass(session: Session, order: Order, why: str) -> None:
    """A supervisor takes it upon their name: the order goes out though the shop stops it, or says nothing."""
    why = why.strip()[:200]
    stopped = stands(session, order)
    if stopped is None:
        raise NothingStops(order=order.shop_order_no)
    if isinstance(stopped, AddressChanged):
        raise stopped  # which address it is has to be said
    if not why:
        raise NoReason(order=order.shop_order_no)
    for home in together.homes_of(session, order):
        if _stands(session, home) is not None:
            _let_pass(session, home, why)


def _let_pass(session: Session, order: Order, why: str) -> None:
    check = of(session, order)
    if check is None:
        remember(session, order.warehouse_id, order.id, Verdict.UNKNOWN)
        check = of(session, order)
    assert check is not None
    check.override_by, check.override_at = actor_of(session).operator_id, now()
    check.override_for, check.override_why = check.reason, why
    journal.note(session, order, "let_pass", check.reason, why)
