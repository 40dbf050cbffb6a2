"""What an ERP is told beside its parcels: receipts that are done, what counts found, and at night how much there is.

News are rows with a key that is the same for the same news for ever; they are sent until the ERP has them (R37).
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.connectors import ConnectorError, connector_for
from wms.connectors import qimen as q
from wms.connectors.qimen_erp import YES, Qimen
from wms.db import Actor, Database
from wms.errors import N_
from wms.flows import erp
from wms.jobs import lanes
from wms.jobs.sync import GIVE_UP_AFTER, LEASE, LOOK_AGAIN, Report, plain, retry_in
from wms.models import (
    Count,
    CountLine,
    CountState,
    ErpDocument,
    ErpDocumentKind,
    ErpDocumentState,
    ErpNews,
    Item,
    Lot,
    PushState,
    Receipt,
    ReceiptLine,
    ReceiptState,
    Shop,
    ShopSku,
    StockMove,
    Warehouse,
    first_id,
    new_id,
)

BACK = timedelta(days=7)
"""Counts older than this are not told any more: the ERP has been told otherwise since."""
TAKEN = N_("The ERP has it.")
BROKE = N_("The connector broke: %(fault)s")
ENTRY = "entryorder.confirm"
RETURN = "returnorder.confirm"
REPORT = "inventory.report"

log = logging.getLogger("wms.erp")


# What is to be told


def gather(database: Database) -> int:
    """Write down the news that wait to be told; returns how many. Each once, whoever gathers and how often."""
    made = 0
    for shop in _erps(database):
        for write, found in ((_came_in, _done_receipts), (_counted, _counts)):
            for row_id in found(database, shop):
                try:
                    made += write(database, shop, row_id)
                except Exception:
                    log.exception("news of %s to %s", row_id, shop.code)  # one bad document never blocks the rest
    return made


def _erps(database: Database) -> list[Shop]:
    with database.reading() as session:
        return list(session.execute(select(Shop).where(Shop.connector == erp.KIND, Shop.active)).scalars())


def _done_receipts(database: Database, shop: Shop) -> list[int]:
    with database.reading() as session:
        return list(
            session.execute(
                select(ErpDocument.id)
                .join(
                    Receipt,
                    and_(Receipt.warehouse_id == ErpDocument.warehouse_id, Receipt.id == ErpDocument.receipt_id),
                )
                .where(
                    ErpDocument.warehouse_id == shop.warehouse_id,
                    ErpDocument.shop_id == shop.id,
                    ErpDocument.state == ErpDocumentState.EXPECTED,
                    Receipt.state == ReceiptState.DONE,
                )
                .order_by(ErpDocument.id)
            ).scalars()
        )


def _came_in(database: Database, shop: Shop, document_id: int) -> int:
    with database.transaction(Actor(shop.warehouse_id)) as session:
        row = session.get_one(ErpDocument, (shop.warehouse_id, document_id), with_for_update=True)
        if row.state is not ErpDocumentState.EXPECTED or row.receipt_id is None:
            return 0
        receipt = session.get_one(Receipt, (row.warehouse_id, row.receipt_id))
        journal.advance(session, row, ErpDocumentState.DONE, erp.STEPS)
        tell = _returned if row.kind is ErpDocumentKind.RETURN else _entered
        return tell(session, shop, row, receipt)


def _entered(session: Session, shop: Shop, row: ErpDocument, receipt: Receipt) -> int:
    document, key = erp.entry_of(row), f"entry-{row.warehouse_id}-{row.id}"
    news = q.EntryConfirm(
        code=row.code,
        entry_id=str(receipt.id),
        warehouse=document.warehouse,
        owner=document.owner,
        order_type=document.order_type,
        key=key,
        at=receipt.done_at or now(),
        lines=tuple(_received(session, shop, receipt, document.lines)),
    )
    return _write(session, shop, ENTRY, key, q.entry_confirm(news))


def _returned(session: Session, shop: Shop, row: ErpDocument, receipt: Receipt) -> int:
    document, key = erp.return_of(row), f"return-{row.warehouse_id}-{row.id}"
    news = q.ReturnConfirm(
        code=row.code,
        return_id=str(row.id),
        warehouse=document.warehouse,
        owner=str(shop.settings.get("owner") or ""),
        order_type=document.order_type,
        key=key,
        at=receipt.done_at or now(),
        lines=tuple(_received(session, shop, receipt, document.lines)),
        carrier_code=document.carrier_code,
        waybill_no=document.waybill_no,
    )
    return _write(session, shop, RETURN, key, q.return_confirm(news))


Pieces = dict[tuple[str, str, date | None], int]


def _received(session: Session, shop: Shop, receipt: Receipt, lines: Sequence[q.Line]) -> Iterator[q.Received]:
    """What came, laid on the ERP's lines in their order; what is over lies on the last line of its item."""
    came = _came(session, receipt)
    ids = erp.codes_of(session, shop, came.keys())
    last = {line.item_code.strip().upper(): place for place, line in enumerate(lines)}
    for place, line in enumerate(lines):
        code = line.item_code.strip().upper()
        rest = came.get(ids.get(code, 0), {})
        wanted, taken = line.qty, []
        for which in sorted(rest, key=lambda one: (one[1] != line.condition, str(one[2] or "9999"), one[0])):
            part = rest[which] if last[code] == place else min(rest[which], wanted)
            if part > 0:
                taken.append((*which, part))
                rest[which] -= part
                wanted -= min(part, wanted)
        yield q.Received(line, tuple(taken))


def _came(session: Session, receipt: Receipt) -> dict[int, Pieces]:
    """Item → pieces by (lot, condition, expiry), from the ledger; what was undone is taken off."""
    lines = session.execute(
        select(ReceiptLine.id).where(
            ReceiptLine.warehouse_id == receipt.warehouse_id, ReceiptLine.receipt_id == receipt.id
        )
    ).scalars()
    causes = [f"receipt_line:{line_id}" for line_id in lines]
    came: dict[int, Counter[tuple[str, str, date | None]]] = defaultdict(Counter)
    for first in range(0, len(causes), 400):
        for move, expiry in session.execute(
            select(StockMove, Lot.expiry)
            .outerjoin(Lot, and_(Lot.item_id == StockMove.item_id, Lot.code == StockMove.lot))
            .where(StockMove.warehouse_id == receipt.warehouse_id, StockMove.cause.in_(causes[first : first + 400]))
        ):
            condition = move.to_condition if move.reverses_id is None else move.from_condition
            pieces = move.qty if move.reverses_id is None else -move.qty
            came[move.item_id][(move.lot, erp.condition_of(condition), expiry)] += pieces
    return {item: dict(+pieces) for item, pieces in came.items()}


def _counts(database: Database, shop: Shop) -> list[int]:
    """Counts that changed the book lately and were not told yet."""
    told = select(ErpNews.key).where(ErpNews.warehouse_id == shop.warehouse_id, ErpNews.shop_id == shop.id)
    with database.reading() as session:
        found = session.execute(
            select(Count.id).where(
                Count.warehouse_id == shop.warehouse_id,
                Count.state == CountState.ADJUSTED,
                Count.done_at > now() - BACK,
            )
        ).scalars()
        keys = {_count_key(shop, count_id): count_id for count_id in found}
        if not keys:
            return []
        known = set(session.execute(told.where(ErpNews.key.in_(keys))).scalars())
        return [count_id for key, count_id in keys.items() if key not in known]


def _count_key(shop: Shop, count_id: int) -> str:
    return f"count-{shop.warehouse_id}-{count_id}"


def _counted(database: Database, shop: Shop, count_id: int) -> int:
    """``inventory.report``: only differences of the items that the ERP had given us before that count."""
    with database.transaction(Actor(shop.warehouse_id)) as session:
        count = session.get_one(Count, (shop.warehouse_id, count_id))
        assert count.done_at is not None
        rows = session.execute(
            select(ShopSku.sku, CountLine, StockMove)
            .join(CountLine, CountLine.item_id == ShopSku.item_id)
            .join(
                StockMove,
                and_(StockMove.warehouse_id == CountLine.warehouse_id, StockMove.id == CountLine.move_id),
            )
            .where(
                ShopSku.warehouse_id == shop.warehouse_id,
                ShopSku.shop_id == shop.id,
                ShopSku.id < first_id(count.done_at),
                CountLine.warehouse_id == shop.warehouse_id,
                CountLine.count_id == count.id,
            )
            .order_by(CountLine.id)
        ).all()
        levels = erp.levels_of(session, shop.warehouse_id, {line.item_id for _sku, line, _move in rows})
        changes = []
        for sku, line, move in rows:
            condition = erp.condition_of(line.condition)
            pieces = move.qty if move.to_id == count.location_id else -move.qty
            total = sum(levels.get((line.item_id, condition), (0, 0)))
            changes.append(q.Change(sku, pieces, total, condition, lot=line.lot))
        return _report(session, shop, count.code, _count_key(shop, count.id), count.done_at, changes)


def report_levels(database: Database) -> int:
    """At night, for ERPs that want it (``night_report``: yes): how much there is of each of their items.

    The differences are told as 0, the totals as they are: an ERP that adds differences up loses nothing by it, and one
    that compares totals sees where the two books part.
    """
    made = 0
    for shop in _erps(database):
        if str(shop.settings.get("night_report") or "").lower() not in YES:
            continue
        with database.transaction(Actor(shop.warehouse_id)) as session:
            zone = ZoneInfo(session.get_one(Warehouse, shop.warehouse_id).timezone)
            day = now().astimezone(zone).date().isoformat()
            owned = session.execute(
                select(ShopSku.sku, Item.id)
                .join(Item, Item.id == ShopSku.item_id)
                .where(ShopSku.warehouse_id == shop.warehouse_id, ShopSku.shop_id == shop.id)
                .order_by(ShopSku.sku)
            ).all()
            levels = erp.levels_of(session, shop.warehouse_id, {row[1] for row in owned})
            changes = []
            for sku, item_id in owned:
                good, poor = (sum(levels.get((item_id, condition), (0, 0))) for condition in ("ZP", "CC"))
                changes.append(q.Change(sku, 0, good))
                if poor:
                    changes.append(q.Change(sku, 0, poor, "CC"))
            made += _report(session, shop, f"N{day}", f"levels-{shop.warehouse_id}-{day}", now(), changes)
    return made


def _report(session: Session, shop: Shop, code: str, key: str, at: datetime, changes: list[q.Change]) -> int:
    warehouse, owner = str(shop.settings.get("warehouse") or ""), str(shop.settings.get("owner") or "")
    pages = q.inventory_report(code, warehouse, owner, key, at, changes)
    if not pages:
        # Nothing for this ERP: the key is taken all the same, so that nobody looks again.
        _write(session, shop, REPORT, key, b"", PushState.ACKNOWLEDGED)
        return 0
    made = _write(session, shop, REPORT, key, pages[0])
    return made + sum(_write(session, shop, REPORT, f"{key}-{n}", page) for n, page in enumerate(pages[1:], 2))


def _write(
    session: Session, shop: Shop, method: str, key: str, body: bytes, state: PushState = PushState.PENDING
) -> int:
    insert: Any = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    made = session.execute(
        insert(ErpNews)
        .values(
            warehouse_id=shop.warehouse_id,
            id=new_id(),
            shop_id=shop.id,
            method=method,
            key=key,
            body=body.decode(),
            state=state,
            attempts=0,
            next_at=now(),
            created_at=now(),
            reason="",
            evidence={},
        )
        .on_conflict_do_nothing()
        .returning(ErpNews.id)
    ).scalar_one_or_none()
    return int(made is not None)


# Telling it


def push_outstanding(
    database: Database, *, connect: lanes.Connect = connector_for, limit: int = 1000, all_now: bool = False
) -> Report:
    """Tell what is due, one piece of news at a time; one bad one never blocks the rest (R37)."""
    report = Report()
    shut = lanes.paused(database)
    reached: dict[int, Qimen] = {}
    for warehouse_id, news_id, shop_id in _due(database, limit, all_now):
        if shop_id in shut:
            continue
        news = _claim(database, warehouse_id, news_id)
        if news is None:
            continue
        with database.reading() as session:
            shop = session.get_one(Shop, shop_id)
        outcome: ConnectorError | None = None
        try:
            if shop_id not in reached:
                connector = lanes.reach(database, shop, connect)
                assert isinstance(connector, Qimen)
                reached[shop_id] = connector
            reached[shop_id].tell(news.method, news.body.encode())
        except ConnectorError as error:
            outcome = error
            if error.reason in lanes.SHOP_WIDE:
                lanes.failed(database, shop, error)
            if error.reason in lanes.SHOP_WIDE or not error.permanent:
                shut.add(shop_id)  # it would not hear the rest either, and others wait
        except Exception as error:
            log.exception("news %s of %s", news.key, shop.code)
            outcome = ConnectorError(
                permanent=False, reason="fault", message=BROKE, facts={"fault": type(error).__name__}
            )
        state = _record(database, news, outcome)
        report.counts[state.value] += 1
        if outcome is not None:
            report.lines.append(f"{shop.code} {news.method} {news.key}: {state.value}: {outcome}")
    return report


def _due(database: Database, limit: int, all_now: bool) -> list[tuple[int, int, int]]:
    at = now()
    open_ = ErpNews.state.in_([PushState.PENDING, PushState.RETRY])
    with database.reading() as session:
        return [
            (row[0], row[1], row[2])
            for row in session.execute(
                select(ErpNews.warehouse_id, ErpNews.id, ErpNews.shop_id)
                .where(
                    open_ if all_now else and_(open_, ErpNews.next_at <= at),
                    or_(ErpNews.leased_until.is_(None), ErpNews.leased_until < at),
                )
                .order_by(ErpNews.id)
                .limit(limit)
            )
        ]


def _claim(database: Database, warehouse_id: int, news_id: int) -> ErpNews | None:
    at = now()
    with database.transaction(Actor(warehouse_id)) as session:
        claimed: int = session.execute(
            update(ErpNews)
            .where(
                ErpNews.warehouse_id == warehouse_id,
                ErpNews.id == news_id,
                ErpNews.state.in_([PushState.PENDING, PushState.RETRY]),
                or_(ErpNews.leased_until.is_(None), ErpNews.leased_until < at),
            )
            .values(leased_until=at + LEASE, attempts=ErpNews.attempts + 1)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
        return session.get_one(ErpNews, (warehouse_id, news_id)) if claimed == 1 else None


def _record(database: Database, news: ErpNews, error: ConnectorError | None) -> PushState:
    with database.transaction(Actor(news.warehouse_id)) as session:
        row = session.get_one(ErpNews, (news.warehouse_id, news.id), with_for_update=True)
        row.leased_until = None
        if error is None:
            row.state, row.acknowledged_at, row.reason, row.evidence = PushState.ACKNOWLEDGED, now(), TAKEN, {}
        elif error.reason in lanes.SHOP_WIDE:
            row.state, row.attempts, row.next_at = PushState.PENDING, max(row.attempts - 1, 0), now() + LOOK_AGAIN
        elif error.permanent:
            row.state = PushState.CONFLICT
        elif row.attempts >= GIVE_UP_AFTER:
            row.state = PushState.DEAD
        else:
            row.state, row.next_at = PushState.RETRY, now() + retry_in(row.attempts, error.retry_after_s)
        if error is not None:
            row.reason, row.evidence = error.message, plain(error.facts)
        journal.note(session, row, "state", "sending", row.state)
        return row.state
