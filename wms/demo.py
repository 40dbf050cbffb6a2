"""A demonstration warehouse: places, goods, orders, shops and badges, so that the first day can be tried at once.

Nothing in it is real: people are named by their role, buyers by a number, barcodes are of GS1's in-store range
(prefix 2) and waybill numbers begin with DEMO.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import NamedTuple

import segno
from sqlalchemy.orm import Session

from wms.clock import now
from wms.connectors import Recipient, ShopLine, ShopOrder
from wms.db import Actor, open_database
from wms.flows import catalogue, people, printing, receive, take_in, warehouse
from wms.models import Item, LocationKind, Lot, Role, Shop
from wms.planning.walk import walk_number
from wms.scan import gtin14
from wms.settings import Settings


@dataclass(frozen=True, slots=True)
class Badge:
    """A sign-in badge of the demonstration, with its PIN in clear."""

    name: str
    role: str
    badge_code: str
    pin: str


class _Goods(NamedTuple):
    sku: str
    name: str
    weight_g: int
    case: int = 0
    lots: bool = False
    counting: bool = False


GOODS = (
    _Goods("CUP-350-W", "陶瓷马克杯 350ml 白 Ceramic mug white", 340, 12),
    _Goods("CUP-350-B", "陶瓷马克杯 350ml 蓝 Ceramic mug blue", 340, 12),
    _Goods("TOWEL-70", "纯棉毛巾 70×140 Cotton towel", 420),
    _Goods("TOWEL-34", "纯棉毛巾 34×75 Cotton hand towel", 110, 10),
    _Goods("TEA-LJ-100", "龙井绿茶 100g Longjing tea", 130, 20, True),
    _Goods("TEA-PE-357", "普洱茶饼 357g Pu'er cake", 380, 7, True),
    _Goods("NUT-MIX-500", "混合坚果 500g Mixed nuts", 540, 12, True),
    _Goods("HONEY-450", "洋槐蜂蜜 450g Acacia honey", 690, 6, True),
    _Goods("SOCK-M-3", "短袜 三双装 M Socks 3 pairs M", 120, 20),
    _Goods("SOCK-L-3", "短袜 三双装 L Socks 3 pairs L", 130, 20),
    _Goods("LAMP-USB", "USB 小台灯 USB desk lamp", 260),
    _Goods("CABLE-C-1M", "Type-C 数据线 1m USB-C cable", 45, 50),
    _Goods("CHARGER-30", "30W 充电器 Charger 30 W", 95, 20),
    _Goods("NOTE-A5", "A5 笔记本 Notebook A5", 210, 24),
    _Goods("PEN-05-BK", "中性笔 0.5 黑 Gel pen black", 12, 144, False, True),
    _Goods("BAG-TOTE", "帆布袋 Canvas bag", 180),
    _Goods("UMBRELLA", "折叠雨伞 Folding umbrella", 330, 12),
    _Goods("CANDLE-200", "香薰蜡烛 200g Scented candle", 390, 8),
    _Goods("SOAP-100", "手工皂 100g Hand soap", 110, 36),
    _Goods("BRUSH-2", "牙刷 两支装 Toothbrush 2 pack", 50, 24),
)
PEOPLE = (
    (Role.PICKER, "拣货员 1 Picker", "zh"),
    (Role.PICKER, "拣货员 2 Picker", "en"),
    (Role.PACKER, "打包员 1 Packer", "zh"),
    (Role.SUPERVISOR, "主管 Supervisor", "zh"),
    (Role.ADMIN, "管理员 Admin", "zh"),
)


def prepare(settings: Settings) -> list[Badge]:
    """Make the warehouse when the database is empty; returns its badges, the same ones each time."""
    kept = settings.home / "demo_badges.json"
    if kept.exists():
        return [Badge(b["name"], b["role"], b["code"], b["pin"]) for b in json.loads(kept.read_text("utf-8"))]
    database = open_database(settings)
    try:
        with database.reading() as session:
            if warehouse.first_warehouse(session) is not None:
                return []  # a real warehouse lives here: leave it alone
        with database.transaction(Actor(1)) as session:
            made = warehouse.open_warehouse(session, "DEMO", "演示仓库 Demonstration", settings.timezone)
            assert made.id == 1
            made.sender_name, made.sender_phone = "演示仓库", "400-000-0000"
            made.sender_region, made.sender_address = "演示省 演示市 演示区", "演示路 1 号"
            badges = _people(session, settings)
            _places(session)
            items = _goods(session)
            _stations(session, settings)
            shops = _shops(session, settings)
            _orders(session, shops, items)
            receive.add_purchase_order(
                session,
                "PO-0001",
                "演示供应商 Demo supplier",
                [(items[0], 48), (items[4], 40), (items[11], 100)],
                over_percent=10,
            )
    finally:
        database.close()
    kept.write_text(
        json.dumps(
            [
                {
                    **{k: v for k, v in asdict(b).items() if k != "badge_code"},
                    "code": b.badge_code,
                    "qr": segno.make(b.badge_code, micro=False, error="q").svg_data_uri(scale=5),
                }
                for b in badges
            ],
            ensure_ascii=False,
            indent=1,
        ),
        "utf-8",
    )
    kept.chmod(0o600)
    return badges


def _people(session: Session, settings: Settings) -> list[Badge]:
    chance = random.SystemRandom()
    badges = []
    for role, name, language in PEOPLE:
        while True:
            pin = f"{chance.randrange(1_000_000):06d}"
            try:
                badge = people.add_operator(session, settings.secret_key, name, role, pin, language)
                break
            except people.BadPin:
                continue
        badges.append(Badge(badge.name, role.value, badge.code, pin))
    return badges


def _places(session: Session) -> None:
    for aisle in range(1, 5):
        for bay in range(1, 7):
            for level in range(1, 4):
                code = f"A-{aisle:02d}-{bay:02d}-{level}"
                warehouse.add_location(session, code, LocationKind.STORAGE, walk_number(code), "A", capacity=600)
    for number in range(1, 21):
        warehouse.add_location(session, f"{number:03d}", LocationKind.TOTE, 0, "")


def _ean13(body: str) -> str:
    return next(body + str(d) for d in range(10) if gtin14(body + str(d)))


def _goods(session: Session) -> list[Item]:
    made = []
    today = now().date()
    for number, goods in enumerate(GOODS, 1):
        codes = [(_ean13(f"2000000{number:05d}"), 1)]
        if goods.case:
            codes.append((f"CASE{goods.case}-{goods.sku}", goods.case))
        item = catalogue.add_item(
            session,
            goods.sku,
            goods.name,
            barcodes=codes,
            weight_g=goods.weight_g,
            lot_tracked=goods.lots,
            allows_counting=goods.counting,
        )
        made.append(item)
        code = f"A-{(number - 1) // 6 + 1:02d}-{(number - 1) % 6 + 1:02d}-1"
        place = warehouse.add_location(session, code, LocationKind.STORAGE, walk_number(code), "A")
        if not goods.lots:
            warehouse.opening_stock(session, item, place, 400 if goods.counting else 60)
            continue
        for offset, level in ((60, 1), (240, 2)):
            lot = Lot(item_id=item.id, code=f"D{number:02d}{offset:03d}", expiry=today + timedelta(days=offset))
            session.add(lot)
            session.flush()
            upper = code[:-1] + str(level)
            shelf = warehouse.add_location(session, upper, LocationKind.STORAGE, walk_number(upper), "A")
            warehouse.opening_stock(session, item, shelf, 30, lot)
    return made


def _stations(session: Session, settings: Settings) -> None:
    folder = settings.home / "labels"
    waybills = printing.save_printer(
        session,
        None,
        code="WB1",
        name="面单打印机 Waybills",
        uri=f"file://{folder}/waybills",
        dpi=203,
        width_mm=100,
        height_mm=150,
    )
    labels = printing.save_printer(
        session,
        None,
        code="LB1",
        name="标签打印机 Labels",
        uri=f"file://{folder}/labels",
        dpi=203,
        width_mm=70,
        height_mm=50,
    )
    printing.save_station(
        session, None, code="PACK1", name="打包台 1 Bench", waybill_printer_id=waybills.id, label_printer_id=labels.id
    )


def _shops(session: Session, settings: Settings) -> list[Shop]:
    carriers = [warehouse.add_carrier(session, "JD", "京东快递"), warehouse.add_carrier(session, "ZTO", "中通快递")]
    for carrier in carriers:
        warehouse.add_waybill_range(session, carrier, f"DEMO{carrier.code}", 1, 999_999, 9)
    return [
        warehouse.add_shop(session, "JD-DEMO", "京东演示店", "csv", _files(settings, "jd"), carriers[0]),
        warehouse.add_shop(session, "TMALL-DEMO", "天猫演示店", "csv", _files(settings, "tmall"), carriers[1]),
    ]


def _files(settings: Settings, mapping: str) -> dict[str, str]:
    """A shop that works by files: its folders are made, or the first push would find none."""
    inbox, outbox = settings.home / "inbox" / mapping, settings.home / "outbox"
    for folder in (inbox, outbox):
        folder.mkdir(parents=True, exist_ok=True)
    return {"mapping": mapping, "inbox": str(inbox), "outbox": str(outbox / f"{mapping}.csv")}


def _orders(session: Session, shops: list[Shop], items: list[Item]) -> None:
    chance = random.Random(7)
    at = now()
    for number in range(1, 17):
        chosen = chance.sample(items, 1 if number % 3 == 0 else chance.randint(1, 4))
        lines = tuple(
            ShopLine(f"D{number:04d}-{n}", item.sku, item.name, chance.randint(1, 3), chance.randint(900, 9900))
            for n, item in enumerate(chosen, 1)
        )
        order = ShopOrder(
            shop_order_no=f"DEMO{at:%y%m%d}{number:04d}",
            ordered_at=at - timedelta(hours=number),
            state="paid",
            lines=lines,
            ship_by=at + timedelta(hours=30 - number),
            recipient=Recipient(
                name=f"收件人{number:03d}",
                phone=f"1000000{number:04d}",
                province="演示省",
                city="演示市",
                district="演示区",
                address=f"样例街道 {number} 号 {number} 单元 101 室",
            ),
            buyer_note="请轻放，谢谢" if number % 5 == 0 else "",
            seller_memo="",
        )
        take_in.take(session, shops[number % 2], order)
