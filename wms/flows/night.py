"""The night's statement: what was shipped here against what the shops have, order by order, and what to do (R37)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from wms.connectors import ReadBack
from wms.connectors.orders import same_number
from wms.errors import N_
from wms.models import (
    LineKind,
    NightLine,
    NightRun,
    NightVerdict,
    Order,
    OrderLine,
    OrderState,
    Parcel,
    ParcelState,
    Push,
    PushState,
    RawOrder,
    Shop,
    Waybill,
    WaybillState,
    new_id,
)

V = NightVerdict

NOT_TOLD = N_("Not told to the shop yet. It is tried by itself; if it stays, look at the shop's lane.")
CLOSED_THERE = N_("Sent here, but closed or paid back at the shop. Call the parcel back, or settle it with the buyer.")
STILL_OPEN = N_("The shop still shows it as not sent. Send the number once more.")
NO_NUMBER = N_("The shop has no waybill for it. Send the number once more.")
OTHER_NUMBER = N_("The shop has %(theirs)s and we sent %(ours)s. Correct the number at the shop.")
PIECES = N_("Sent %(ours)s pieces and the shop sold %(theirs)s. Compare the lines of the order.")
MONEY = N_("What was sent is worth %(ours)s and the shop's order %(theirs)s. Compare the lines of the order.")
NOT_ASKED = N_("The shop's lane is stopped, so it was not asked.")


@dataclass(frozen=True, slots=True)
class Ours:
    """One shipped order as it stands here."""

    order: Order
    numbers: tuple[str, ...]
    push: Push | None
    """The push that most needs a look."""
    pieces: int
    money: int
    shop_pieces: int | None
    shop_money: int | None
    currency: str


def shipped(session: Session, run: NightRun, after: int, limit: int) -> list[tuple[int, int]]:
    """(order, shop) of the next orders of the statement: shipped in its days, before it began."""
    return [
        (row[0], row[1])
        for row in session.execute(
            select(Order.id, Order.shop_id)
            .where(
                Order.warehouse_id == run.warehouse_id,
                Order.id > after,
                Order.state.in_([OrderState.SHIPPED, OrderState.ACKNOWLEDGED]),
                Order.shipped_at >= run.since,
                Order.shipped_at <= run.started_at,
            )
            .order_by(Order.id)
            .limit(limit)
        )
    ]


def ours(session: Session, warehouse_id: int, order_id: int) -> Ours:
    """What left for an order, and what its shop sold as it was kept when it came."""
    order = session.get_one(Order, (warehouse_id, order_id))
    numbers = tuple(
        session.execute(
            select(Waybill.number)
            .join(Parcel, and_(Parcel.warehouse_id == Waybill.warehouse_id, Parcel.id == Waybill.parcel_id))
            .where(
                Waybill.warehouse_id == warehouse_id,
                Parcel.order_id == order_id,
                Waybill.state == WaybillState.LIVE,
                Parcel.state.in_([ParcelState.HANDED_OVER, ParcelState.ACKNOWLEDGED]),
            )
            .order_by(Waybill.number)
        ).scalars()
    )
    worst = case(
        (Push.state == PushState.CONFLICT, 0), (Push.state == PushState.DEAD, 1), (Push.state == PushState.RETRY, 2),
        (Push.state == PushState.ACKNOWLEDGED, 4), else_=3,
    )  # fmt: skip
    push = session.execute(
        select(Push)
        .where(Push.warehouse_id == warehouse_id, Push.order_id == order_id)
        .order_by(worst, Push.id)
        .limit(1)
    ).scalar_one_or_none()
    lines = {
        line.line_ref: line
        for line in session.execute(
            select(OrderLine).where(
                OrderLine.warehouse_id == warehouse_id,
                OrderLine.order_id == order_id,
                OrderLine.kind == LineKind.GOODS,
            )
        ).scalars()
    }
    body = session.execute(
        select(RawOrder.body).where(
            RawOrder.warehouse_id == warehouse_id,
            RawOrder.shop_id == order.shop_id,
            RawOrder.shop_order_no == order.shop_order_no,
        )
    ).scalar_one_or_none()
    shop_pieces, shop_money = _sold(body, lines) if body is not None else (None, None)
    return Ours(
        order,
        numbers,
        push,
        sum(line.shipped_qty for line in lines.values()),
        sum(line.shipped_qty * line.price_minor for line in lines.values()),
        shop_pieces,
        shop_money,
        str((body or {}).get("currency") or ""),
    )


def _sold(body: Mapping[str, Any], lines: Mapping[str, OrderLine]) -> tuple[int, int]:
    """Pieces and money of the shop's lines. One that is off at the shop counts only if it was sent all the same:
    once sent, shops mark lines as done in the same way.
    """
    pieces = money = 0
    for line in body.get("lines") or ():
        mine = lines.get(str(line.get("line_ref"))[:96])
        off = line.get("cancelled") or (mine is not None and not mine.wanted)
        if line.get("kind") != "goods" or (off and not (mine and mine.shipped_qty)):
            continue
        pieces += int(line["qty"])
        money += int(line["qty"]) * int(line["price_minor"])
    return pieces, money


def judge(mine: Ours, back: ReadBack | None, fault: tuple[str, dict[str, Any]] | None) -> tuple[V, str, dict[str, Any]]:
    """The verdict on one order, why, and the facts of the words. ``back`` None: the shop cannot show it."""
    push = mine.push
    if push is not None and push.state in (PushState.CONFLICT, PushState.DEAD):
        return V.DIFFERENT, push.reason, dict(push.evidence)
    if push is None or push.state is not PushState.ACKNOWLEDGED:
        said = push.reason if push is not None and push.reason else NOT_TOLD
        return V.WAITING, said, dict(push.evidence) if push is not None and push.reason else {}
    if fault is not None:
        return V.UNKNOWN, fault[0], fault[1]
    if back is not None:
        if back.state in ("cancelled", "refunding"):
            return V.DIFFERENT, CLOSED_THERE, {}
        missing = [one for one in mine.numbers if not any(same_number(one, other) for other in back.numbers)]
        if missing and not back.numbers:
            return V.DIFFERENT, NO_NUMBER, {}
        if missing and (back.complete or len(missing) == len(mine.numbers)):
            return V.DIFFERENT, OTHER_NUMBER, {"ours": ", ".join(mine.numbers), "theirs": ", ".join(back.numbers)}
        if back.state == "paid" and mine.order.state is OrderState.ACKNOWLEDGED:
            return V.DIFFERENT, STILL_OPEN, {}
    if mine.shop_pieces is not None and mine.shop_pieces != mine.pieces:
        return V.DIFFERENT, PIECES, {"ours": mine.pieces, "theirs": mine.shop_pieces}
    if mine.shop_money is not None and mine.shop_money != mine.money:
        return V.DIFFERENT, MONEY, {"ours": _money(mine.money), "theirs": _money(mine.shop_money)}
    return V.ALIKE, "", {}


def _money(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def keep(session: Session, run: NightRun, mine: Ours, back: ReadBack | None, verdict: tuple[V, str, Any]) -> NightLine:
    """Write an order's line of the statement; asked again after a kill, the later word counts."""
    row = session.execute(
        select(NightLine).where(
            NightLine.warehouse_id == run.warehouse_id, NightLine.run_id == run.id, NightLine.order_id == mine.order.id
        )
    ).scalar_one_or_none()
    if row is None:
        row = NightLine(
            warehouse_id=run.warehouse_id,
            id=new_id(),
            run_id=run.id,
            order_id=mine.order.id,
            shop_id=mine.order.shop_id,
            shop_order_no=mine.order.shop_order_no,
        )
        session.add(row)
    row.verdict, row.reason, row.facts = verdict[0], verdict[1][:400], _plain(verdict[2])
    row.our_numbers = ", ".join(mine.numbers)[:400]
    row.shop_numbers = ", ".join(back.numbers)[:400] if back is not None else None
    row.shop_state = back.state if back is not None else ""
    row.pieces, row.shop_pieces, row.money, row.shop_money = mine.pieces, mine.shop_pieces, mine.money, mine.shop_money
    row.currency = mine.currency[:8]
    return row


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, int | float | str | bool) else str(value) for name, value in facts.items()}


# To look at


def runs(session: Session, warehouse_id: int, limit: int = 30) -> list[NightRun]:
    """The latest nights, the newest first."""
    return list(
        session.execute(
            select(NightRun).where(NightRun.warehouse_id == warehouse_id).order_by(NightRun.id.desc()).limit(limit)
        ).scalars()
    )


def totals(session: Session, run: NightRun) -> list[dict[str, Any]]:
    """By shop: orders by verdict, pieces and money of both sides."""
    found: dict[int, dict[str, Any]] = {}
    for shop_id, code, name, verdict, number, pieces, shop_pieces, money, shop_money in session.execute(
        select(
            Shop.id,
            Shop.code,
            Shop.name,
            NightLine.verdict,
            func.count(),
            func.sum(NightLine.pieces),
            func.sum(NightLine.shop_pieces),
            func.sum(NightLine.money),
            func.sum(NightLine.shop_money),
        )
        .join(Shop, Shop.id == NightLine.shop_id)
        .where(NightLine.warehouse_id == run.warehouse_id, NightLine.run_id == run.id)
        .group_by(Shop.id, Shop.code, Shop.name, NightLine.verdict)
        .order_by(Shop.name)
    ):
        one = found.setdefault(
            shop_id,
            {"code": code, "name": name, "orders": 0, "pieces": 0, "shop_pieces": 0, "money": 0, "shop_money": 0}
            | {each.value: 0 for each in V},
        )
        one[verdict.value] += int(number)
        one["orders"] += int(number)
        for key, value in (
            ("pieces", pieces), ("shop_pieces", shop_pieces), ("money", money), ("shop_money", shop_money)
        ):  # fmt: skip
            one[key] += int(value or 0)
    return list(found.values())


def lines(
    session: Session, run: NightRun, *, all_of_them: bool = False, limit: int | None = None
) -> Iterator[tuple[NightLine, str]]:
    """Lines with their shop's name, those that need a person first; only what is not alike unless all are wanted."""
    order = case(
        (NightLine.verdict == V.DIFFERENT, 0), (NightLine.verdict == V.UNKNOWN, 1), (NightLine.verdict == V.WAITING, 2),
        else_=3,
    )  # fmt: skip
    query = (
        select(NightLine, Shop.name)
        .join(Shop, Shop.id == NightLine.shop_id)
        .where(NightLine.warehouse_id == run.warehouse_id, NightLine.run_id == run.id)
        .order_by(order, Shop.name, NightLine.order_id)
    )
    if not all_of_them:
        query = query.where(NightLine.verdict != V.ALIKE)
    if limit is not None:
        query = query.limit(limit)
    for row in session.execute(query):
        yield row[0], row[1]
