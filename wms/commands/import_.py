"""`run.py import`: a seller's own files: carriers, shops, items, places, opening stock, orders.

Each line says what it would do (``--check``) or did; a bad line never stops the good ones. Headers may be plain
English or the Chinese of the table below; CSV in UTF-8 or GBK, or Excel.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from wms.commands._say import say
from wms.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from wms.db import Database

help = "take in carriers, shops, items, places, opening stock or orders from a file"

HEADERS = {
    "sku": ("sku", "商品编码", "货号", "商家编码", "商品编号"),
    "name": ("name", "商品名称", "名称"),
    "barcode": ("barcode", "条码", "商品条码"),
    "case_barcode": ("case_barcode", "箱码", "箱条码"),
    "case_pieces": ("case_pieces", "箱规", "每箱数量"),
    "weight_g": ("weight_g", "重量(克)", "重量", "重量g"),
    "lot_tracked": ("lot_tracked", "批次管理"),
    "allows_counting": ("allows_counting", "允许点数"),
    "code": ("code", "编码", "代码"),
    "location": ("location", "库位", "库位编码"),
    "kind": ("kind", "类型"),
    "capacity": ("capacity", "容量"),
    "qty": ("qty", "数量", "库存数量"),
    "lot": ("lot", "批次", "批号"),
    "expiry": ("expiry", "效期", "有效期至"),
    "label_size": ("label_size", "面单尺寸"),
    "prefix": ("prefix", "单号前缀"),
    "first": ("first", "起始号"),
    "last": ("last", "结束号"),
    "digits": ("digits", "位数"),
    "connector": ("connector", "接口"),
    "carrier": ("carrier", "快递公司"),
}
YES = {"1", "yes", "true", "y", "是"}
Line = dict[str, str]


class BadLine(Exception):
    """Why a line is left out, in words."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=[*LOADERS, "orders"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--check", action="store_true", help="say what it would do, write nothing")
    parser.add_argument("--shop", help="orders: code of the shop they belong to")
    parser.add_argument("--mapping", help="orders: jd, tmall, online-retail or plain; recognised when left out")
    parser.add_argument("--add-items", action="store_true", help="orders: add unknown items to the catalogue")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from wms import scan
    from wms.connectors import ConnectorError
    from wms.db import open_database
    from wms.errors import Refusal

    scan.use(scan.Rules.of(settings.weight_codes))  # barcodes are stored as they will be read
    database = open_database(settings)
    try:
        data = args.file.read_bytes()
        if args.what == "orders":
            return _orders(database, args, data)
        return _lines(database, args, data)
    except OSError as error:
        print(f"{args.file}: {error.strerror}", file=sys.stderr)
        return 1
    except (ConnectorError, Refusal) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        database.close()


def _warehouse_id(database: Database) -> int:
    from wms.flows import warehouse

    with database.reading() as session:
        found = warehouse.first_warehouse(session)
    if found is None:
        raise SystemExit("there is no warehouse yet: start `run.py serve` or `run.py demo` once")
    return found.id


def _lines(database: Database, args: argparse.Namespace, data: bytes) -> int:
    from sqlalchemy.exc import IntegrityError

    from wms.connectors.tables import read_table
    from wms.db import Actor
    from wms.errors import Refusal

    table = read_table(data, args.file.name)
    names = _columns(table.headers)
    loader, needed = LOADERS[args.what]
    if lacking := [n for n in needed if n not in names]:
        say(
            f"columns missing: {', '.join(lacking)}",
            f"缺少列：{'、'.join(HEADERS[n][1] if len(HEADERS[n]) > 1 else n for n in lacking)}",
        )
        return 1
    actor, bad = Actor(_warehouse_id(database)), 0
    for row in table.rows:
        line = {name: row.cells[place].strip() if place < len(row.cells) else "" for name, place in names.items()}
        line.update({f"setting:{h}": c for h, c in zip(table.headers, row.cells, strict=False)})
        try:
            with database.transaction(actor) as session:
                loader(session, line)
                if args.check:
                    session.rollback()
        except (BadLine, Refusal, IntegrityError, ValueError) as error:
            bad += 1
            why = "already there" if isinstance(error, IntegrityError) else str(error)
            print(f"line {row.number}: {why}")
    good = len(table.rows) - bad
    say(
        f"{good} lines {'would be ' if args.check else ''}taken in, {bad} left out",
        f"{'可以' if args.check else '已'}导入 {good} 行，跳过 {bad} 行",
    )
    return 1 if bad else 0


def _columns(headers: tuple[str, ...]) -> dict[str, int]:
    plain = [h.strip().lower() for h in headers]
    return {name: plain.index(alias) for name, aliases in HEADERS.items() for alias in aliases if alias in plain}


def _number(line: Line, name: str, default: int | None = None) -> int:
    text = line.get(name, "")
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise BadLine(f"{name}: {text or 'empty'} is not a whole number")
    return int(text)


def _item(session: Session, line: Line) -> None:
    from wms.flows import catalogue

    if not line["sku"]:
        raise BadLine("no SKU")
    codes = [(code, 1) for code in line.get("barcode", "").replace("；", ";").split(";") if code.strip()]
    if line.get("case_barcode"):
        codes.append((line["case_barcode"], _number(line, "case_pieces")))
    catalogue.add_item(
        session,
        line["sku"],
        line.get("name", ""),
        barcodes=codes,
        weight_g=_number(line, "weight_g", 0),
        lot_tracked=line.get("lot_tracked", "").lower() in YES,
        allows_counting=line.get("allows_counting", "").lower() in YES,
    )


def _place(session: Session, line: Line) -> None:
    from wms.flows import warehouse
    from wms.models import LocationKind
    from wms.planning.walk import walk_number, zone_of

    code = line.get("location") or line.get("code", "")
    if not code:
        raise BadLine("no code")
    kind = LocationKind(line.get("kind") or "storage")
    capacity = _number(line, "capacity", 0) or None
    warehouse.add_location(
        session, code.removeprefix("L-").removeprefix("T-"), kind, walk_number(code), zone_of(code), capacity
    )


def _stock(session: Session, line: Line) -> None:
    from sqlalchemy import func, select

    from wms.db import actor_of
    from wms.flows import warehouse
    from wms.models import Item, Location, LocationKind, Lot

    item = session.execute(select(Item).where(func.upper(Item.sku) == line["sku"].upper())).scalar_one_or_none()
    place = session.execute(
        select(Location).where(
            Location.warehouse_id == actor_of(session).warehouse_id,
            Location.kind == LocationKind.STORAGE,
            Location.code == line["location"].upper().removeprefix("L-"),
        )
    ).scalar_one_or_none()
    if item is None or place is None:
        raise BadLine(f"unknown {'item ' + line['sku'] if item is None else 'location ' + line['location']}")
    qty = _number(line, "qty")
    if not qty:
        raise BadLine("quantity 0")
    lot = None
    if line.get("lot"):
        lot = session.get(Lot, (item.id, line["lot"]))
        if lot is None:
            expiry = date.fromisoformat(line["expiry"]) if line.get("expiry") else None
            lot = Lot(item_id=item.id, code=line["lot"], expiry=expiry)
            session.add(lot)
            session.flush()
    elif item.lot_tracked:
        raise BadLine(f"{item.sku} needs a lot")
    warehouse.opening_stock(session, item, place, qty, lot)


def _carrier(session: Session, line: Line) -> None:
    from wms.flows import warehouse

    size = line.get("label_size") or "100x150"
    if size not in ("100x150", "76x130"):
        raise BadLine(f"label size {size}: 100x150 or 76x130 is wanted")
    carrier = warehouse.add_carrier(session, line["code"], line.get("name") or line["code"], size)
    if line.get("last"):
        warehouse.add_waybill_range(
            session,
            carrier,
            line.get("prefix", ""),
            _number(line, "first", 1),
            _number(line, "last"),
            _number(line, "digits", 9),
        )


def _shop(session: Session, line: Line) -> None:
    from sqlalchemy import select

    from wms.connectors import KINDS
    from wms.flows import warehouse
    from wms.models import Carrier

    connector = line.get("connector") or "csv"
    if connector not in KINDS:
        raise BadLine(f"connector {connector}: one of {', '.join(KINDS)} is wanted")
    carrier = session.execute(select(Carrier).where(Carrier.code == line.get("carrier", ""))).scalar_one_or_none()
    if line.get("carrier") and carrier is None:
        raise BadLine(f"unknown carrier {line['carrier']}")
    own = {"code", "name", "connector", "carrier"}
    settings = {
        key.removeprefix("setting:"): value
        for key, value in line.items()
        if key.startswith("setting:") and value and key.removeprefix("setting:") not in own
    }
    warehouse.add_shop(session, line["code"], line.get("name") or line["code"], connector, settings, carrier)


LOADERS: dict[str, tuple[Callable[[Session, Line], None], tuple[str, ...]]] = {
    "carriers": (_carrier, ("code", "name")),
    "shops": (_shop, ("code", "name")),
    "items": (_item, ("sku", "name")),
    "places": (_place, ("location",)),
    "stock": (_stock, ("sku", "location", "qty")),
}


def _orders(database: Database, args: argparse.Namespace, data: bytes) -> int:
    from sqlalchemy import select
    from sqlalchemy.exc import DBAPIError

    from wms.connectors import order_files
    from wms.connectors.mappings import MAPPINGS, recognise
    from wms.db import Actor
    from wms.errors import Refusal
    from wms.flows import cancel, catalogue, take_in
    from wms.jobs import intake
    from wms.models import Shop

    warehouse_id = _warehouse_id(database)
    with database.reading() as session:
        shop = session.execute(select(Shop).where(Shop.code == (args.shop or ""))).scalar_one_or_none()
        codes = session.execute(select(Shop.code).order_by(Shop.code)).scalars().all()
    if shop is None:
        say(
            f"--shop is needed: one of {', '.join(codes) or 'none yet; run.py import shops'}",
            f"请用 --shop 指定店铺：{'、'.join(codes) or '还没有店铺，请先 run.py import shops'}",
        )
        return 1
    table = order_files.read_table(data, args.file.name)
    mapping = args.mapping or recognise(table.headers)
    if mapping not in MAPPINGS:
        say(
            f"columns not known; --mapping one of {', '.join(MAPPINGS)}",
            f"无法识别表头；请用 --mapping 指定：{'、'.join(MAPPINGS)}",
        )
        return 1
    file = order_files.orders(table, MAPPINGS[mapping])
    for problem in file.problems:
        print(f"{'line ' + str(problem.row_no) if problem.row_no else problem.order_no}: {problem.text}")
    actor, failed = Actor(warehouse_id), 0
    if args.add_items and not args.check:
        with database.reading() as session:
            unknown = take_in.unknown_items(session, shop, file.orders)
        for sku, name in unknown.items():
            with database.transaction(actor) as session:
                catalogue.add_item(session, sku, name)
    if args.check:
        with database.reading() as session:
            decisions = take_in.preview(session, warehouse_id, shop, file.orders)
    else:
        decisions = []
        for number, order in enumerate(file.orders, 1):
            try:
                with database.transaction(actor) as session:
                    decisions.append(intake.take(session, shop, order))
            except (Refusal, DBAPIError) as error:
                failed += 1
                if isinstance(error, cancel.Labelled):
                    with database.transaction(actor) as session:
                        intake.ask_supervisor(session, shop, order)
                print(f"{order.shop_order_no}: failed: {error if isinstance(error, Refusal) else error.orig}")
            if number % 100 == 0:
                print(f"  {number} / {len(file.orders)}", file=sys.stderr, flush=True)
    for decision in decisions:
        if decision.why:
            print(f"{decision.order_no}: {decision.fate}: {decision.why % dict(decision.facts)}")
    print(", ".join(f"{fate} {n}" for fate, n in sorted(Counter(d.fate for d in decisions).items())))
    return 1 if failed else 0
