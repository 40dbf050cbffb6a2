"""Tell the shops what they may sell (R38): notice what changed, then tell each shop, at its pace, the newest number.

Nothing here is on a scan's way: what changed is read from the ledger and the journal, which are written anyway.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, func, or_, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from wms.clock import now
from wms.connectors import Connector, ConnectorError, connector_for
from wms.connectors.orders import spread
from wms.db import Actor, Database
from wms.errors import N_
from wms.flows import selling
from wms.jobs import lanes
from wms.models import (
    Item,
    Journal,
    OrderLine,
    PickTask,
    Shop,
    ShopStock,
    StockMove,
    StockPush,
    StockPushState,
    StockWatch,
    Warehouse,
    first_id,
    new_id,
)
from wms.planning.sharing import may_tell

OVERLAP = 60_000 << 22
"""In ids, which rise with time: a scan that began before our last look may have been committed after it."""
SWEEP_EVERY = timedelta(minutes=5)
"""Every item is looked at that often: lots expire and places are blocked without a move."""
SETTLE = timedelta(seconds=5)
"""Moves come in bursts; one call tells of all of them."""
SAME_ITEM = timedelta(seconds=60)
"""A shop is told of an item at most that often, unless it is sold out."""
LEASE = timedelta(minutes=5)
"""Longer than any call takes; a teller that died is followed after that."""
CAPPED_AGAIN = timedelta(seconds=10)
FIRST_RETRY_S, LONGEST_RETRY_S = 30.0, 3600.0
FIRST_REST_S, LONGEST_REST_S = 5.0, 300.0
PATIENCE_S = 5.0
TOLD_ANEW_AFTER = timedelta(hours=20)
SHOPS_AT_ONCE = 4
MOST_ITEMS = 2000
"""With more items touched than this it is cheaper to look at all."""
PORTION = 300
"""Rows written at once: on SQLite nobody else writes meanwhile."""
CONFIRM_AFTER = timedelta(minutes=2)
"""A call whose answer was lost may still be carried out late, after a newer one: then the newest is told once more."""
S = StockPushState

BROKE = N_("The connector broke: %(fault)s")
OTHERS_FIRST = N_("More can be offered here once the other shops have taken their smaller numbers. It goes by itself.")

log = logging.getLogger("wms.stock_push")


@dataclass(slots=True)
class Told:
    """What a run of telling did: calls by how they ended, and the lines for people."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Watcher:
    """Looks for changes. What it remembers only saves work: a new one looks at the last minute again."""

    database: Database
    seen: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def look(self, *, all_items: bool = False) -> int:
        """Bring the wanted numbers up to date; returns how many changed."""
        with self.database.reading() as session:
            told = select(ShopStock.warehouse_id).join(Shop, Shop.id == ShopStock.shop_id)
            warehouses = session.execute(told.where(ShopStock.told, Shop.active).distinct()).scalars().all()
        return sum(self._look(warehouse_id, all_items) for warehouse_id in warehouses)

    def _look(self, warehouse_id: int, all_items: bool) -> int:
        with self.database.reading() as session:
            watch = session.get(StockWatch, warehouse_id)
            swept_at = watch.swept_at if watch else None
            sweep = all_items or swept_at is None or swept_at <= now() - SWEEP_EVERY
            position = (watch.move_id, watch.journal_id) if watch else (0, 0)
            quiet = watch is not None and self.seen.get(warehouse_id) == _marks(session, warehouse_id, position)
        if quiet and not sweep:
            return 0
        # The turn is taken before the look, so a later turn never has an older look than an earlier one that is saved.
        turn = _take_turn(self.database, warehouse_id)
        with self.database.reading() as session:
            if not self.database.sqlite:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            watch = session.get_one(StockWatch, warehouse_id)
            began = watch.move_id, watch.journal_id
            reached = _marks(session, warehouse_id, began)[1::2]
            marks = _marks(session, warehouse_id, (reached[0], reached[1]))
            items = None if sweep else touched(session, warehouse_id, *(max(at - OVERLAP, 0) for at in began))
            if items is not None and len(items) > MOST_ITEMS:
                items = None
            wanted = selling.wanted(session, warehouse_id, items) if items is None or items else {}
            told = {shop.shop_id for shop in selling.told_shops(session, warehouse_id)}
            look = _Look(turn, watch.looked_turn, items, wanted, told, _known(session, warehouse_id, items))
        changed = _save(self.database, warehouse_id, look, (reached[0], reached[1]), now() if sweep else None)
        if changed is None:
            return 0  # a later look was saved before ours
        self.seen[warehouse_id] = marks
        return changed


@dataclass(slots=True)
class _Known:
    """What a row says: the number wanted, when the shop last took one, and whether it is told at all."""

    qty: int
    sent_at: datetime | None
    left_out: bool


@dataclass(slots=True)
class _Look:
    """One look at the stock: its turn, the last turn saved when it began, what it found and what was known."""

    turn: int
    began_after: int
    items: set[int] | None
    wanted: dict[tuple[int, int], int]
    told: set[int]
    known: dict[tuple[int, int], _Known]

    def changed(self, warehouse_id: int, known: dict[tuple[int, int], _Known], at: datetime) -> list[dict[str, Any]]:
        """Rows to write, those of one item together and in the order in which they are locked elsewhere."""
        wanted = dict(self.wanted)
        for key, row in known.items():  # an item that is no longer sold: the shop must hear of it
            if key not in wanted and key[0] in self.told and not row.left_out:
                wanted[key] = 0
        rows = []
        for (shop_id, item_id), qty in sorted(wanted.items(), key=lambda one: (one[0][1], one[0][0])):
            was = known.get((shop_id, item_id))
            if was is not None and was.qty == qty:
                continue
            soonest = at if qty == 0 else at + SETTLE
            if qty and was is not None and was.sent_at is not None:
                soonest = max(soonest, was.sent_at + SAME_ITEM)
            rows.append(_row(warehouse_id, shop_id, item_id, qty, self.turn, soonest))
        return rows


def _marks(session: Session, warehouse_id: int, position: tuple[int, int]) -> tuple[int, ...]:
    """What tells a quiet minute from a busy one: how many rows there are about a position of ledger and journal, and
    the newest.
    """
    said: list[int] = []
    tables: tuple[type[StockMove] | type[Journal], ...] = (StockMove, Journal)
    for table, at in zip(tables, position, strict=True):
        row = session.execute(
            select(func.count(), func.max(table.id)).where(
                table.warehouse_id == warehouse_id, table.id > max(at - OVERLAP, 0)
            )
        ).one()
        said += [int(row[0]), int(row[1] or at)]
    return tuple(said)


def touched(session: Session, warehouse_id: int, move_id: int, journal_id: int) -> set[int]:
    """Items whose sellable number may have changed since: those that moved, and those of orders that changed.

    A promise made or given back without a move (release, cancel, short pick) changes its order or its task, and that
    stands in the journal (R45).
    """
    moved = select(StockMove.item_id).where(StockMove.warehouse_id == warehouse_id, StockMove.id > move_id)

    def noted(table: str) -> Any:
        return select(Journal.document_id).where(
            Journal.warehouse_id == warehouse_id, Journal.id > journal_id, Journal.document == table
        )

    task_orders = select(PickTask.order_id).where(
        PickTask.warehouse_id == warehouse_id, PickTask.id.in_(noted(PickTask.__tablename__))
    )
    of_orders = select(OrderLine.item_id).where(
        OrderLine.warehouse_id == warehouse_id,
        or_(
            OrderLine.order_id.in_(noted("sales_order")),
            OrderLine.order_id.in_(task_orders),
            OrderLine.id.in_(noted(OrderLine.__tablename__)),
        ),
    )
    return {item for item in session.execute(union_all(moved, of_orders)).scalars() if item is not None}


def _take_turn(database: Database, warehouse_id: int) -> int:
    begin = first_id(now())  # the first look is at everything
    with database.transaction(Actor(warehouse_id)) as session:
        insert: Any = sqlite.insert if database.sqlite else postgresql.insert
        session.execute(
            insert(StockWatch)
            .values(warehouse_id=warehouse_id, turn=0, looked_turn=0, move_id=begin, journal_id=begin)
            .on_conflict_do_nothing()
        )
        return int(
            session.execute(
                update(StockWatch)
                .where(StockWatch.warehouse_id == warehouse_id)
                .values(turn=StockWatch.turn + 1)
                .returning(StockWatch.turn)
                .execution_options(synchronize_session=False)
            ).scalar_one()
        )


def _known(session: Session, warehouse_id: int, items: set[int] | None) -> dict[tuple[int, int], _Known]:
    query = select(
        StockPush.shop_id, StockPush.item_id, StockPush.wanted_qty, StockPush.sent_at, StockPush.state
    ).where(StockPush.warehouse_id == warehouse_id)
    if items is not None:
        query = query.where(StockPush.item_id.in_(items))
    return {(row[0], row[1]): _Known(int(row[2]), row[3], row[4] is S.LEFT_OUT) for row in session.execute(query)}


def _row(warehouse_id: int, shop_id: int, item_id: int, qty: int, turn: int, next_at: datetime) -> dict[str, Any]:
    return {
        "warehouse_id": warehouse_id,
        "id": new_id(),
        "shop_id": shop_id,
        "item_id": item_id,
        "wanted_qty": qty,
        "wanted_version": turn,
        "sent_version": 0,
        "state": S.PENDING,
        "next_at": next_at,
        "lease": 0,
        "attempts": 0,
        "reason_code": "",
        "reason": "",
        "facts": {},
    }


def _save(
    database: Database, warehouse_id: int, look: _Look, reached: tuple[int, int], swept_at: datetime | None
) -> int | None:
    """Write what a look found, some items at a time; None when a later look was saved meanwhile: then ours is older."""
    at, written, last = now(), 0, False
    known = look.known
    rows: list[dict[str, Any]] | None = None
    while not last:
        with database.transaction(Actor(warehouse_id)) as session:
            watch = session.execute(
                select(StockWatch).where(StockWatch.warehouse_id == warehouse_id).with_for_update()
            ).scalar_one()
            if watch.looked_turn > look.turn:
                return None
            if rows is None:
                if watch.looked_turn != look.began_after:
                    known = _known(session, warehouse_id, look.items)
                rows = look.changed(warehouse_id, known, at)
            end = _end_of_item(rows, written)
            if end > written:
                session.execute(_upsert(database.sqlite), rows[written:end])
            written, last = end, end == len(rows)
            watch.looked_turn = look.turn
            if last:
                watch.move_id, watch.journal_id = reached
                watch.swept_at = swept_at or watch.swept_at
    return written


def _end_of_item(rows: list[dict[str, Any]], start: int) -> int:
    """Where a portion ends that splits no item: over the shops of an item the sum must be right at every moment."""
    end = min(start + PORTION, len(rows))
    while end < len(rows) and rows[end]["item_id"] == rows[end - 1]["item_id"]:
        end += 1
    return end


def _upsert(on_sqlite: bool) -> Any:
    insert: Any = (sqlite.insert if on_sqlite else postgresql.insert)(StockPush)
    new, old = insert.excluded, StockPush
    waits = or_(old.state == S.PENDING, old.state == S.RETRY)
    return insert.on_conflict_do_update(
        index_elements=["warehouse_id", "shop_id", "item_id"],
        set_={
            "wanted_qty": new.wanted_qty,
            "wanted_version": new.wanted_version,
            "state": case((old.state == S.TOLD, S.PENDING), else_=old.state),
            # What waits keeps its turn, so that an item that never rests is told of; sold out is told at once.
            "next_at": case((new.wanted_qty == 0, new.next_at), (waits, old.next_at), else_=new.next_at),
        },
        where=old.wanted_version < new.wanted_version,
    )


# Telling


def tell(
    database: Database,
    *,
    connect: Callable[[str, dict[str, Any]], Connector] = connector_for,
    within_s: float = 10.0,
    all_now: bool = False,
    stop: threading.Event | None = None,
    progress: Callable[[int], None] = lambda _n: None,
) -> Told:
    """Tell every shop what is due, several shops at once, each at its own pace; until done or ``within_s`` is over.

    ``all_now`` does not wait for the pauses of single items (the night).
    """
    told, stop = Told(), stop or threading.Event()
    until = now() + timedelta(seconds=within_s)
    shut = lanes.paused(database)
    with database.reading() as session:
        due = session.execute(
            select(StockPush.shop_id)
            .join(ShopStock, ShopStock.shop_id == StockPush.shop_id)
            .join(Shop, Shop.id == StockPush.shop_id)
            .where(ShopStock.told, Shop.active, _is_due(all_now))
            .distinct()
        ).scalars()
        shops = [session.get_one(Shop, shop_id) for shop_id in due if shop_id not in shut]
    if not shops:
        return told

    def one(shop: Shop) -> None:
        try:
            _tell_shop(database, shop, connect, until, all_now, stop, told, progress)
        except Exception:
            log.exception("telling shop %s of stock", shop.code)

    if len(shops) == 1:
        one(shops[0])
    else:
        with ThreadPoolExecutor(min(SHOPS_AT_ONCE, len(shops)), thread_name_prefix="stock") as pool:
            list(pool.map(one, shops))
    return told


def _is_due(all_now: bool) -> Any:
    at = now()
    waiting = StockPush.state.in_([S.PENDING, S.RETRY])
    return or_(
        waiting if all_now else and_(waiting, StockPush.next_at <= at),
        and_(StockPush.state == S.SENDING, StockPush.leased_until < at),
    )


def _tell_shop(
    database: Database,
    shop: Shop,
    connect: Callable[[str, dict[str, Any]], Connector],
    until: datetime,
    all_now: bool,
    stop: threading.Event,
    told: Told,
    progress: Callable[[int], None],
) -> None:
    connector: Connector | None = None
    seen: set[int] = set()
    while not stop.is_set() and now() < until:
        with database.reading() as session:
            # Smaller numbers first: they make room for the larger ones elsewhere.
            query = (
                select(StockPush.id)
                .where(StockPush.warehouse_id == shop.warehouse_id, StockPush.shop_id == shop.id, _is_due(all_now))
                .order_by(StockPush.wanted_qty >= func.coalesce(StockPush.sent_qty, 0), StockPush.next_at, StockPush.id)
                .limit(100)
            )
            rows = [row for row in session.execute(query).scalars() if row not in seen]
        if not rows:
            return
        for row_id in rows:
            if stop.is_set() or now() >= until or not _may_call(database, shop, until, stop):
                return
            seen.add(row_id)
            claimed = _claim(database, shop, row_id, all_now)
            if claimed is None:
                continue
            call, names = claimed
            outcome: ConnectorError | None = None
            try:
                connector = connector or lanes.reach(database, shop, connect)
                for name, share in zip(names, spread(call.qty, len(names)), strict=True):
                    connector.push_stock(name, share)
                    call.part_taken = True
            except ConnectorError as error:
                outcome = error
            except Exception as error:
                log.exception("stock of %s at shop %s broke", names, shop.code)
                outcome = ConnectorError(
                    permanent=False, reason="fault", message=BROKE, facts={"fault": type(error).__name__}
                )
            state = _record(database, shop, row_id, call, outcome)
            told.counts[state] += 1
            progress(sum(told.counts.values()))
            if outcome is not None:
                told.lines.append(f"{shop.code} {', '.join(names)}: {state}: {outcome}")
                if outcome.reason in lanes.SHOP_WIDE:
                    lanes.failed(database, shop, outcome)
                    return
                if not outcome.permanent:
                    return  # the shop rests as _record said; its other items would go the same way


def _may_call(database: Database, shop: Shop, until: datetime, stop: threading.Event) -> bool:
    """Take the next place in the shop's pace, which all workers share; False when it lies too far away."""
    while True:
        at = now()
        with database.transaction(Actor(shop.warehouse_id)) as session:
            row = session.execute(select(ShopStock).where(ShopStock.shop_id == shop.id).with_for_update()).scalar_one()
            if not row.told:
                return False
            due = row.next_call_at
            if due is None or due <= at:
                row.next_call_at = at + timedelta(seconds=60 / row.per_minute)
                return True
        wait_s = (due - at).total_seconds()
        if wait_s > PATIENCE_S or due >= until or stop.wait(wait_s):
            return False


@dataclass(slots=True)
class _Call:
    """One call: its lease, what is told, as of which look; what was asked before and never answered."""

    lease: int
    qty: int
    version: int
    unanswered: int | None
    part_taken: bool = False
    """The shop took it under at least one of the item's names."""


def _claim(database: Database, shop: Shop, row_id: int, all_now: bool) -> tuple[_Call, list[str]] | None:
    """Take a row for one call, and the names to tell it under; None when there is nothing to tell now."""
    at = now()
    with database.transaction(Actor(shop.warehouse_id)) as session:
        of_item = (
            select(StockPush.item_id)
            .where(StockPush.warehouse_id == shop.warehouse_id, StockPush.id == row_id)
            .scalar_subquery()
        )
        # The rows of an item are weighed together: two shops may not take the same room.
        rows = (
            session.execute(
                select(StockPush)
                .where(StockPush.warehouse_id == shop.warehouse_id, StockPush.item_id == of_item)
                .order_by(StockPush.shop_id)
                .with_for_update()
            )
            .scalars()
            .all()
        )
        row = next(one for one in rows if one.id == row_id)
        waits = row.state in (S.PENDING, S.RETRY) and (all_now or row.next_at <= at)
        left = row.state is S.SENDING and row.leased_until is not None and row.leased_until < at
        if not (waits or left):
            return None
        told = {one.shop_id for one in selling.told_shops(session, shop.warehouse_id)}
        others = [one for one in rows if one.shop_id in told and one is not row and one.state is not S.LEFT_OUT]
        stock = row.wanted_qty + sum(one.wanted_qty for one in others)
        qty = may_tell(stock, row.wanted_qty, _sold_as(row), sum(map(_sold_as, others)))
        if qty == row.sent_qty and row.asked_qty is None and row.sent_version:
            row.leased_until, row.reason_code, row.facts = None, "", {}
            if qty == row.wanted_qty:  # it went away and came back
                row.state, row.sent_version, row.reason = S.TOLD, row.wanted_version, ""
            else:
                row.state, row.next_at, row.reason = S.PENDING, at + CAPPED_AGAIN, OTHERS_FIRST
            return None
        call = _Call(new_id(), qty, row.wanted_version, row.asked_qty)
        row.state, row.lease, row.leased_until = S.SENDING, call.lease, at + LEASE
        row.attempts += 1
        row.asked_qty = max(qty, row.asked_qty or 0)
        item = session.get_one(Item, row.item_id)
        return call, selling.names(session, shop.warehouse_id, shop.id, item)


def _sold_as(row: StockPush) -> int:
    """The most pieces a shop may be selling: what it took, or what it was asked to take and did not answer."""
    return max(row.sent_qty or 0, row.asked_qty or 0)


def _record(database: Database, shop: Shop, row_id: int, call: _Call, outcome: ConnectorError | None) -> str:
    at = now()
    with database.transaction(Actor(shop.warehouse_id)) as session:
        row = session.execute(
            select(StockPush)
            .where(StockPush.warehouse_id == shop.warehouse_id, StockPush.id == row_id)
            .with_for_update()
        ).scalar_one()
        if row.lease != call.lease:
            # Our call outlived its lease and somebody told the shop meanwhile, or does so now. Which of the numbers
            # it took last nobody can say: nobody's answer counts, and the newest is told once more.
            row.lease, row.leased_until, row.sent_version = 0, None, 0
            row.asked_qty = max(call.qty, _sold_as(row))
            if row.state in (S.SENDING, S.TOLD, S.RETRY):
                row.state, row.next_at = S.PENDING, at
            return "late"
        pace = session.execute(select(ShopStock).where(ShopStock.shop_id == shop.id).with_for_update()).scalar_one()
        row.leased_until, row.lease = None, 0
        if outcome is None:
            row.sent_qty, row.asked_qty, row.sent_version, row.sent_at = call.qty, None, call.version, at
            row.attempts, row.reason, row.reason_code, row.facts = 0, "", "", {}
            pace.failures = 0
            if call.unanswered is not None and call.unanswered != call.qty:
                row.state, row.sent_version, row.next_at = S.PENDING, 0, at + CONFIRM_AFTER
            elif row.wanted_qty == call.qty:
                row.state, row.sent_version = S.TOLD, row.wanted_version
            else:
                newer = row.wanted_version != call.version
                row.state, row.next_at = S.PENDING, at + (SAME_ITEM if newer and row.wanted_qty else CAPPED_AGAIN)
            return row.state.value
        row.sent_version = 0
        row.reason, row.reason_code = outcome.message, outcome.reason[:40]
        row.facts = {name: _plain(value) for name, value in outcome.facts.items()}
        if outcome.permanent and not call.part_taken:
            row.asked_qty = call.unanswered  # it said no: it sells what it sold before
        if outcome.reason in lanes.SHOP_WIDE:
            row.state, row.attempts, row.next_at = S.PENDING, max(row.attempts - 1, 0), at + CAPPED_AGAIN
            return "paused"
        if outcome.permanent:
            row.state, pace.failures = S.FAILED, 0
            return row.state.value
        row.state = S.RETRY
        row.next_at = at + timedelta(seconds=_pause_s(row.attempts, FIRST_RETRY_S, LONGEST_RETRY_S))
        pace.failures += 1
        rest_s = outcome.retry_after_s
        if rest_s is None:
            rest_s = _pause_s(pace.failures, FIRST_REST_S, LONGEST_REST_S)
        pace.next_call_at = at + timedelta(seconds=rest_s)
        return row.state.value


def _plain(value: object) -> Any:
    return value if isinstance(value, int | float | str | bool) else str(value)


def _pause_s(failures: int, first_s: float, longest_s: float) -> float:
    return min(first_s * 2.0 ** min(failures - 1, 10), longest_s) * random.uniform(0.8, 1.2)


# The night


def tell_anew(database: Database) -> int:
    """Have every item told once more that was not told today, and what failed for a passing reason; how many.

    Somebody may have changed a number at the shop. What the shop does not have is left to a person.
    """
    at = now()
    count = 0
    with database.reading() as session:
        warehouses = session.execute(select(Warehouse.id)).scalars().all()
    for warehouse_id in warehouses:
        with database.transaction(Actor(warehouse_id)) as session:
            count += session.execute(
                update(StockPush)
                .where(
                    StockPush.warehouse_id == warehouse_id,
                    or_(
                        and_(StockPush.state == S.TOLD, StockPush.sent_at < at - TOLD_ANEW_AFTER),
                        and_(StockPush.state == S.FAILED, StockPush.reason_code != selling.SAID_UNKNOWN),
                    ),
                )
                .values(state=S.PENDING, next_at=at, sent_version=0)
                .execution_options(synchronize_session=False)
            ).rowcount  # type: ignore[attr-defined]
    return count


def outstanding(database: Database) -> int:
    """Items a shop is still to be told of."""
    with database.reading() as session:
        return int(
            session.execute(
                select(func.count())
                .select_from(StockPush)
                .join(ShopStock, ShopStock.shop_id == StockPush.shop_id)
                .join(Shop, Shop.id == StockPush.shop_id)
                .where(ShopStock.told, Shop.active, StockPush.state.in_([S.PENDING, S.SENDING, S.RETRY]))
            ).scalar_one()
        )
