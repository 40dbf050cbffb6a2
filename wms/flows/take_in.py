"""Take orders in: what a shop says becomes our orders, held with a reason or ready. Twice changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import carriage, journal, recipients, rules, shop_items, together
from wms.clock import now
from wms.connectors import ShopLine, ShopOrder
from wms.db import actor_of
from wms.errors import N_, Refusal
from wms.models import Journal, LineKind, Order, OrderLine, OrderState, Shop, Warehouse, new_id
from wms.order_states import advance, locked
from wms.rules import address, block_list, gifts, ship_by
from wms.shop_items import HOLD_UNKNOWN_ITEM
from wms.shop_items import key as _item_key
from wms.shop_items import known as _known_items

Standing = Mapping[str, rules.Setting]
Fate = Literal["new", "held", "same", "changed", "followed", "part", "too_late", "skipped", "cancel", "intercept"]

HOLD_ABSURD = N_("unusual quantity: please confirm")
HOLD_REFUND = N_("a refund is asked for")
SKIP_CANCELLED = N_("cancelled at the shop: nothing to ship")
SKIP_NO_GOODS = N_("only services: nothing to ship")
SKIP_SHIPPED = N_("already shipped at the shop")
SKIP_OTHER = N_("not to be shipped in this state")
INTERCEPT = N_("cancelled at the shop: stopped where it stands")
PART = N_("%(pieces)s pieces were taken back at the shop")
FOLLOWED = N_("address or notes were changed at the shop")
TOO_LATE = N_("changed at the shop, but work on it has begun: look at it")

HOLD_REFUSED = N_("the buyer wants a refund and the shop said no: decide whether to ship")
HOLD_NOT_YET = N_("paid, but the shop does not let it be shipped yet")
HOLD_PAUSED = N_("stopped at the shop")
HOLD_UNREADABLE = N_("cannot be understood: look at it in the shop")
HOLD_SHIPPED = N_("already shipped at the shop: ship it here only if it is another parcel")
HOLD_OTHER = N_("the shop does not want it shipped now")
HOLD_UNSURE = N_("the shop wants it looked at (%(hold)s)")

HOLDS = {
    "absurd_qty": HOLD_ABSURD,
    "refund_asked": HOLD_REFUND,
    "refund_refused": HOLD_REFUSED,
    "not_yet": HOLD_NOT_YET,
    "paused": HOLD_PAUSED,
    "unreadable": HOLD_UNREADABLE,
}
"""What a person reads for each of connectors.HOLDS."""


class HasUnknownItems(Refusal):
    message = N_("Order %(order)s still has an unknown item: %(sku)s. Add the item, then release the hold.")


class NothingToShip(Refusal):
    message = N_("Order %(order)s has no lines that were understood. Put it right in the shop; it is read again.")


@dataclass(frozen=True, slots=True)
class Decision:
    """What would be, or was, done with one order, and why. Shown in the preview before anything is written."""

    order_no: str
    fate: Fate
    lines: int
    pieces: int
    why: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    parts: tuple[tuple[int, int], ...] = ()
    """Of a ``part``: (id of our line, pieces) that whoever takes it in takes out with flows.cancel.take_back (R29)."""


def preview(session: Session, warehouse_id: int, shop: Shop, orders: Iterable[ShopOrder]) -> list[Decision]:
    """Say order by order what ``take`` would do, writing nothing."""
    known, stand = _known_items(session, shop), rules.of_shop(session, shop)
    return [_decide(session, warehouse_id, shop, order, known, stand)[0] for order in orders]


def unknown_items(session: Session, shop: Shop, orders: Iterable[ShopOrder]) -> dict[str, str]:
    """SKUs that no item has, with the name the shop gives them; what is too long to be a SKU is left out."""
    known = _known_items(session, shop)
    return {
        line.sku.strip(): line.name
        for order in orders
        for line in order.lines
        if line.kind == "goods"
        and not line.cancelled
        and 0 < len(line.sku.strip()) <= 64
        and _item_key(line.sku) not in known
    }


def take(session: Session, shop: Shop, order: ShopOrder) -> Decision:
    """Save one order in this transaction. The same order again is left as it is."""
    warehouse_id = actor_of(session).warehouse_id
    known, stand = _known_items(session, shop, {line.sku for line in order.lines}), rules.of_shop(session, shop)
    decision, row = _decide(session, warehouse_id, shop, order, known, stand)
    if decision.fate in ("new", "held"):
        _save(session, warehouse_id, shop, order, decision, known, stand)
    elif decision.fate == "changed":
        assert row is not None
        together.undo_merge(session, row)  # the recipient may be another now
        _change(session, row, shop, order, known, stand)
    elif decision.fate == "cancel":
        assert row is not None
        together.undo_merge(session, row)
        advance(session, row, OrderState.CANCELLED)
        row.hold_reason = SKIP_CANCELLED
    elif decision.fate == "intercept":
        assert row is not None
        if together.merged_into(session, row):
            row.goods_sha256 = _fingerprint(order)  # it goes on as the carrier of the others, so its state cannot tell
    elif decision.fate in ("part", "followed"):
        assert row is not None
        follow(session, row, order)
        if _only_parts_differ(session, row, order):
            row.goods_sha256 = _fingerprint(order)  # whoever takes the parts out does so in this transaction
        else:
            _note_once(session, row, f"{order.state} {_fingerprint(order)[:16]}")
    elif decision.fate == "too_late":
        assert row is not None
        _note_once(session, row, f"{order.state} {_fingerprint(order)[:16]}")
    return decision


def order_row(session: Session, shop: Shop, order_no: str) -> Order:
    """The saved order; whoever takes in an ``intercept`` or a ``part`` stops it with this (R28, R29, flows.cancel)."""
    return session.execute(
        select(Order).where(
            Order.warehouse_id == actor_of(session).warehouse_id,
            Order.shop_id == shop.id,
            Order.shop_order_no == order_no,
        )
    ).scalar_one()


def is_same(row: Order, order: ShopOrder) -> bool:
    """Whether the order says what it said when it was taken in (or last followed): state, lines, recipient, notes."""
    return row.goods_sha256 == _fingerprint(order)


def _note_once(session: Session, row: Order, said: str) -> None:
    """The same file may be read every hour: what it says of an order under way is written down once."""
    noted = session.execute(
        select(Journal.id)
        .where(
            Journal.warehouse_id == row.warehouse_id,
            Journal.document == row.__tablename__,
            Journal.document_id == row.id,
            Journal.what == "changed_at_shop",
            Journal.after == said,
        )
        .limit(1)
    ).first()
    if noted is None:
        journal.note(session, row, "changed_at_shop", "", said)


def _decide(
    session: Session, warehouse_id: int, shop: Shop, order: ShopOrder, known: dict[str, int], stand: Standing
) -> tuple[Decision, Order | None]:
    wanted = [line for line in order.lines if line.kind == "goods" and not line.cancelled]
    pieces = sum(line.qty for line in wanted)

    def say(fate: Fate, why: str = "", **facts: str) -> Decision:
        return Decision(order.shop_order_no, fate, len(wanted), pieces, why, tuple(facts.items()))

    row = session.execute(
        select(Order).where(
            Order.warehouse_id == warehouse_id, Order.shop_id == shop.id, Order.shop_order_no == order.shop_order_no
        )
    ).scalar_one_or_none()
    fingerprint = _fingerprint(order)
    if row is not None and row.goods_sha256 == fingerprint:
        return say("same"), row
    untouched = row is not None and _untouched(session, row)
    if order.state == "cancelled":
        if row is not None and row.state is not OrderState.CANCELLED:
            if untouched:
                return say("cancel", SKIP_CANCELLED), row
            gone = row.state in (OrderState.SHIPPED, OrderState.ACKNOWLEDGED)
            return (say("too_late", TOO_LATE) if gone else say("intercept", INTERCEPT)), row
        return say("skipped", SKIP_CANCELLED), row
    if row is not None and not untouched:
        parts = _taken_back(session, row, order)
        if parts:
            said = say("part", PART, pieces=str(sum(qty for _line, qty in parts)))
            return replace(said, parts=parts), row
        if row.state in recipients.FOLLOWS and _only_parts_differ(session, row, order):
            return say("followed", FOLLOWED), row
        return say("too_late", TOO_LATE), row
    if row is not None:
        return (say("changed") if wanted or order.hold else say("cancel", SKIP_NO_GOODS)), row
    if order.hold == "unreadable":
        return say("held", HOLD_UNREADABLE), None
    if order.state == "shipped":
        return say("skipped", SKIP_SHIPPED), row
    if not wanted:
        return say("skipped", SKIP_NO_GOODS), row
    if order.state == "other":
        return say("skipped", SKIP_OTHER), row
    why, facts = _hold(session, shop, order, wanted, known, stand)
    return (say("held", why, **facts) if why else say("new")), None


def _taken_back(session: Session, row: Order, order: ShopOrder) -> tuple[tuple[int, int], ...]:
    """Pieces that the shop wants no more of an order under way: (id of our line, pieces).

    A line of which some have left is for people: shops call it closed because they know of the first parcel.
    """
    if row.state is OrderState.CANCELLED or order.state not in ("paid", "refunding"):
        return ()
    told = {line.line_ref[:96]: 0 if line.cancelled else line.qty for line in order.lines if line.kind == "goods"}
    ours: dict[str, list[OrderLine]] = {}
    for line in _home_lines(session, row):
        ours.setdefault(line.line_ref, []).append(line)
    parts = []
    for ref, lines in ours.items():  # several when the order was split
        less = sum(line.wanted for line in lines) - told.get(ref, 10**9)
        if any(line.shipped_qty for line in lines):
            continue
        for line in lines:
            if (taken := min(less, line.wanted)) > 0:
                parts.append((line.id, taken))
                less -= taken
    return tuple(parts)


def _untouched(session: Session, row: Order) -> bool:
    """Nothing of it was released or sent apart, so it simply follows the shop."""
    if together.parts_of(session, row):
        return False
    if row.state is OrderState.MERGED:
        lead = session.get_one(Order, (row.warehouse_id, row.merged_into_id))
        return lead.state is OrderState.READY
    return row.state in (OrderState.HELD, OrderState.READY)


def _only_parts_differ(session: Session, row: Order, order: ShopOrder) -> bool:
    """Whether its goods are those we have, or fewer: then this reading is done with once the parts are out."""
    ours: dict[str, tuple[str, int, int]] = {}
    for line in _home_lines(session, row):
        _sku, qty, shipped = ours.get(line.line_ref, ("", 0, 0))
        ours[line.line_ref] = (line.sku, qty + line.qty, shipped + line.shipped_qty)
    theirs = {line.line_ref[:96]: line for line in order.lines if line.kind == "goods"}
    return (
        ours.keys() == theirs.keys()
        and all(ours[ref][0] == line.sku[:64] and ours[ref][1] >= line.qty for ref, line in theirs.items())
        and all(not ours[ref][2] or not line.cancelled for ref, line in theirs.items())
        and order.state == "paid"
        and not order.hold
    )


def _home_lines(session: Session, row: Order) -> list[OrderLine]:
    """The goods lines that the shop knows of."""
    lines = session.execute(
        select(OrderLine).where(
            OrderLine.warehouse_id == row.warehouse_id,
            OrderLine.home_id == row.id,
            OrderLine.kind == LineKind.GOODS,
        )
    ).scalars()
    return [line for line in lines if not gifts.is_gift(line)]


def _hold(
    session: Session,
    shop: Shop,
    order: ShopOrder,
    wanted: Sequence[ShopLine],
    known: dict[str, int],
    stand: Standing,
) -> tuple[str, dict[str, str]]:
    """The first reason to hold. An unknown item comes last: letting the order go asks for it again by itself."""
    if order.state == "refunding":
        return HOLD_REFUND, {}
    if order.state in ("shipped", "other"):
        return (HOLD_SHIPPED if order.state == "shipped" else HOLD_OTHER), {}
    if order.hold in HOLDS:
        return HOLDS[order.hold], {}
    if order.hold:
        return HOLD_UNSURE, {"hold": order.hold}
    if stand["block_list"].on and (entry := block_list.find(session, shop, order)):
        return block_list.HELD, {"reason": entry.reason, "who": entry.entered_by}
    # A file without addresses is a shop's way to let us pack; what it does not know it cannot leave out.
    a_file = shop.connector == "csv"
    judged = stand["address"].on and not (a_file and address.says_nothing(order.recipient))
    if judged and (lacks := address.missing(order.recipient, one_line=a_file)):
        return lacks, {}
    for line in wanted:
        if _item_key(line.sku) not in known:
            return HOLD_UNKNOWN_ITEM, {"sku": line.sku}
    return "", {}


def _fingerprint(order: ShopOrder) -> str:
    """Two readings of an order are the same when state, lines and recipient are."""
    said = [
        order.state,
        order.hold,
        asdict(order.recipient),
        [asdict(line) for line in order.lines],
        order.buyer_note,
        order.seller_memo,
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _save(
    session: Session,
    warehouse_id: int,
    shop: Shop,
    order: ShopOrder,
    decision: Decision,
    known: dict[str, int],
    stand: Standing,
) -> None:
    row = Order(
        warehouse_id=warehouse_id,
        id=new_id(),
        shop_id=shop.id,
        shop_order_no=order.shop_order_no,
        state=OrderState.HELD if decision.fate == "held" else OrderState.READY,
        hold_reason=decision.why,
        hold_facts=dict(decision.facts),
        carrier_id=shop.carrier_id,
        ordered_at=order.ordered_at,
        ship_by=_ship_by(session, shop, order, stand),
        taken_in_at=now(),
        recipient=asdict(order.recipient),
        buyer_note=order.buyer_note,
        seller_memo=order.seller_memo,
        goods_sha256=_fingerprint(order),
        raw=_plain(order.raw),
    )
    session.add(row)
    session.flush()
    _lines(session, row, order, known)
    _rules(session, row, shop, order, stand)
    carriage.suggest(session, row, shop)
    journal.note(session, row, "taken_in", "", row.state)


def _ship_by(session: Session, shop: Shop, order: ShopOrder, stand: Standing) -> datetime | None:
    if not stand["ship_by"].on:
        return order.ship_by
    zone = ZoneInfo(session.get_one(Warehouse, shop.warehouse_id).timezone)
    return ship_by.due(order.ordered_at or now(), stand["ship_by"].facts, zone, order.ship_by)


def _rules(session: Session, row: Order, shop: Shop, order: ShopOrder, stand: Standing) -> None:
    """What the rules do to an order whose lines were just written."""
    if row.hold_reason == block_list.HELD and (entry := block_list.find(session, shop, order)):
        block_list.count(session, entry)
    if stand["gifts"].on:
        gifts.add(session, row)


def _lines(session: Session, row: Order, order: ShopOrder, known: dict[str, int]) -> None:
    session.add_all(
        OrderLine(
            warehouse_id=row.warehouse_id,
            id=new_id(),
            order_id=row.id,
            line_ref=line.line_ref[:96],
            kind=LineKind(line.kind),
            sku=line.sku[:64],
            name=line.name[:200],
            item_id=known.get(_item_key(line.sku)) if line.kind == "goods" else None,
            qty=line.qty,
            cancelled_qty=line.qty if line.cancelled else 0,
            price_minor=line.price_minor,
        )
        for line in order.lines
    )
    session.flush()


def _change(session: Session, row: Order, shop: Shop, order: ShopOrder, known: dict[str, int], stand: Standing) -> None:
    """An order not yet released follows the shop; its lines are written anew."""
    for line in session.execute(
        select(OrderLine).where(OrderLine.warehouse_id == row.warehouse_id, OrderLine.order_id == row.id)
    ).scalars():
        session.delete(line)
    session.flush()
    wanted = [line for line in order.lines if line.kind == "goods" and not line.cancelled]
    why, facts = _hold(session, shop, order, wanted, known, stand)
    _lines(session, row, order, known)
    if order.seller_memo != row.seller_memo:
        row.memo_seen_at = None
    row.recipient, row.buyer_note, row.seller_memo = asdict(order.recipient), order.buyer_note, order.seller_memo
    row.new_recipient = row.new_recipient_at = None
    row.goods_sha256, row.raw = _fingerprint(order), _plain(order.raw)
    row.hold_reason, row.hold_facts = why, facts
    row.ship_by = _ship_by(session, shop, order, stand)
    _rules(session, row, shop, order, stand)
    _suggest_again(session, row)
    advance(session, row, OrderState.HELD if why else OrderState.READY)
    journal.note(session, row, "changed_at_shop", "", row.state)


def follow(session: Session, row: Order, order: ShopOrder) -> None:
    """Address and notes of an order under way; its parts and the order that carries it hear of them too."""
    row = locked(session, row.warehouse_id, row.id)
    if row.state not in recipients.FOLLOWS:
        return
    recipients.follow(session, row, asdict(order.recipient))
    lead = session.get_one(Order, (row.warehouse_id, row.merged_into_id)) if row.merged_into_id else row
    if (row.buyer_note, row.seller_memo) == (order.buyer_note, order.seller_memo):
        return
    for each in (row, *together.parts_of(session, row)):
        if each.seller_memo != order.seller_memo:
            each.memo_seen_at = lead.memo_seen_at = None
        each.buyer_note, each.seller_memo = order.buyer_note, order.seller_memo
    journal.note(session, row, "changed_at_shop", "", row.state)


def _suggest_again(session: Session, row: Order) -> None:
    """Another address or other goods may be another carrier's; what a person chose stays."""
    session.flush()
    if row.carrier_suggested:
        carriage.suggest(session, row, session.get_one(Shop, row.shop_id))


def _plain(raw: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(json.dumps(raw, default=str, ensure_ascii=False))
    return result


def let_go(session: Session, order: Order) -> None:
    """A supervisor confirms a held order; items that are known by now are joined to its lines."""
    lines = shop_items.goods_lines(session, order)
    if not lines:
        raise NothingToShip(order=order.shop_order_no)
    unknown = shop_items.join(session, order, lines)
    if unknown is not None:
        raise HasUnknownItems(order=order.shop_order_no, sku=unknown)
    journal.note(session, order, "hold_lifted", order.hold_reason, "")
    order.hold_reason, order.hold_facts = "", {}
    _suggest_again(session, order)
    advance(session, order, OrderState.READY)
