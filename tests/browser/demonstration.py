"""The demonstration warehouse, driven to any step: hands do the work over HTTP, a browser looks over their shoulder."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from tests.browser.server import Product
from tests.factories import PIN
from tests.floor import Hand
from wms import create_app, demo, recipients
from wms.clock import now
from wms.db import Actor
from wms.flows import count, pack, people, pick, putaway, receive, selling
from wms.jobs import stock_push
from wms.models import (
    Balance,
    Carrier,
    Item,
    Location,
    Manifest,
    Operator,
    Order,
    OrderLine,
    OrderState,
    Parcel,
    ParcelState,
    ParcelTrack,
    PickTask,
    Receipt,
    RequestState,
    Shop,
    ToteUse,
    Waybill,
    WaybillRequest,
    new_id,
)

WAREHOUSE = 1
PEOPLE = {"picker": 0, "second picker": 1, "packer": 2, "supervisor": 3, "admin": 4}


class Demonstration(Product):
    """`wms.demo`'s warehouse behind a real server; ``hand`` works in it, ``cookies`` lets a browser watch that hand."""

    def __init__(self, home: Path, template: Path | None) -> None:
        super().__init__(home, template)
        self.people = demo.prepare(self.settings)
        with self.database.transaction(Actor(WAREHOUSE)) as session:
            for operator in session.execute(select(Operator)).scalars():
                people.set_pin(session, self.settings.secret_key, operator, PIN)
        self.app = create_app(self.settings, self.database)
        self._hands: dict[str, Hand] = {}

    def hand(self, name: str) -> Hand:
        if name not in self._hands:
            self._hands[name] = Hand(self.app, self.people[PEOPLE[name]].badge_code)
        return self._hands[name]

    def cookies(self, name: str) -> list[dict[str, str]]:
        """The session and the device of a hand, for a browser at the server's address."""
        jar = self.hand(name).client
        return [
            {"name": cookie, "value": held.value, "url": self.address}
            for cookie in ("wms", "wms_device")
            if (held := jar.get_cookie(cookie))
        ]

    def speaks(self, language: str, theme: str = "auto") -> None:
        """Everybody wants this language from now on."""
        with self.database.transaction(Actor(WAREHOUSE)) as session:
            session.execute(update(Operator).values(language=language, theme=theme))

    # What is where

    def one(self, query: Any) -> Any:
        with self.database.reading() as session:
            return session.execute(query.limit(1)).scalar_one()

    def order_ids(self, state: OrderState) -> list[int]:
        with self.database.reading() as session:
            return list(session.execute(select(Order.id).where(Order.state == state).order_by(Order.id)).scalars())

    def operator_id(self, name: str) -> int:
        return int(self.one(select(Operator.id).where(Operator.name == self.people[PEOPLE[name]].name)))

    def largest_order(self) -> int:
        """The ready order with most lines."""
        return int(
            self.one(
                select(Order.id)
                .join(OrderLine, OrderLine.order_id == Order.id)
                .where(Order.state == OrderState.READY)
                .group_by(Order.id)
                .order_by(func.count().desc(), func.sum(OrderLine.qty).desc(), Order.id)
            )
        )

    def task(self, name: str) -> PickTask:
        with self.database.reading() as session:
            found = pick.current(session, WAREHOUSE, self.operator_id(name))
        assert found is not None
        return found

    def manifest(self) -> Manifest:
        manifest: Manifest = self.one(select(Manifest).order_by(Manifest.id.desc()))
        return manifest

    def tote(self) -> str:
        """A tote that was picked and waits for a packer."""
        return str(
            self.one(
                select(Location.code)
                .join(ToteUse, ToteUse.tote_id == Location.id)
                .join(Order, Order.id == ToteUse.order_id)
                .where(Order.state == OrderState.PICKED)
            )
        )

    def waybill(self) -> str:
        return str(self.one(select(Waybill.number).order_by(Waybill.id.desc())))

    # Work

    def releases(self, *order_ids: int) -> None:
        self.hand("supervisor").post("/desk/orders/release", which="chosen", order=[str(i) for i in order_ids])
        assert self.hand("supervisor").status == 200, self.hand("supervisor").text()

    def next_scan(self, name: str) -> str:
        """What this picker would scan now."""
        with self.database.reading() as session:
            task = pick.current(session, WAREHOUSE, self.operator_id(name))
            assert task is not None
            if task.step == "scan_tote":
                free = session.execute(
                    select(Location.code)
                    .where(
                        Location.kind == "tote",
                        ~Location.id.in_(select(PickTask.tote_id).where(PickTask.tote_id.is_not(None))),
                    )
                    .order_by(Location.code)
                    .limit(1)
                ).scalar_one()
                return f"T-{free}"
            line = pick.next_line(session, task)
            assert line is not None
            return f"L-{line.location.code}" if task.step == "scan_location" else f"I-{line.item.sku}"

    def picks_on(self, name: str, until: str) -> Hand:
        """Scan after scan, until the screen stands at that step."""
        hand = self.hand(name)
        hand.get("/pick")
        if hand.step == "pick/waiting":
            hand.press("/pick/next")
        while hand.step != until:
            hand.scan(self.next_scan(name))
            assert hand.feeling != "wrong", hand.text()
        return hand

    def packs_on(self, until: str, tote: str = "") -> Hand:
        hand = self.hand("packer")
        hand.get("/pack")
        if "S-" in hand.text() and "/pack/scan" in hand.page and hand.step == "pack/scan_tote":
            hand.scan("S-PACK1")
        if tote:
            hand.scan(f"T-{tote}")
            hand.sees("pack/scan_item")
        while hand.step != until:
            self.packs_pieces(1)
        return hand

    def packs_pieces(self, pieces: int) -> None:
        hand = self.hand("packer")
        for _ in range(pieces):
            hand.scan(f"I-{self._in_totes()}")
            assert hand.feeling != "wrong", hand.text()

    def _in_totes(self) -> str:
        with self.database.reading() as session:
            parcel = pack.open_parcel(session, WAREHOUSE, self.operator_id("packer"))
            assert parcel is not None
            return next(line.item.sku for line in pack.lines(session, parcel) if line.packed < line.wanted)

    def hands_over(self) -> Hand:
        """The last labelled parcel onto a manifest of its carrier; the manifest stays open."""
        hand = self.hand("packer")
        carrier = self.one(
            select(Carrier).join(Waybill, Waybill.carrier_id == Carrier.id).where(Waybill.number == self.waybill())
        )
        hand.get("/ship")
        hand.act("/ship/open", carrier=str(carrier.id))
        hand.get(hand.answer.headers["X-Go"])
        hand.scan(self.waybill())
        assert hand.feeling == "done", hand.text()
        return hand

    def new_address(self) -> int:
        """The buyer of a labelled order has moved; returns the order."""
        with self.database.transaction(Actor(WAREHOUSE)) as session:
            order_id = session.execute(
                select(Parcel.order_id).where(Parcel.state == ParcelState.LABELLED).order_by(Parcel.id).limit(1)
            ).scalar_one()
            order = session.get_one(Order, (WAREHOUSE, order_id), with_for_update=True)
            recipients.follow(
                session, order, {**order.recipient, "city": "样例二市", "address": "样例大道 99 号 8 栋 1602 室"}
            )
            assert order.new_recipient is not None
            return order.id

    def comes_back(self) -> None:
        """A return is announced, with the parcel that brings it."""
        with self.database.transaction(Actor(WAREHOUSE)) as session:
            item = session.execute(select(Item).where(Item.sku == "CUP-350-W")).scalar_one()
            receive.add_purchase_order(
                session, "RO-2026-0007", "TM3012997", [(item, 1)], returned=True, waybill_no="SF1300000000007"
            )

    def sets_up_carriers(self) -> None:
        """A pool that runs dry, a parcel of the packer's whose carrier said no, one that waits, one that is late."""
        at = now()
        with self.database.transaction(Actor(WAREHOUSE)) as session:
            session.execute(update(Carrier).where(Carrier.code == "ZTO").values(warn_below=10_000_000))
            session.execute(update(Carrier).where(Carrier.code == "JD").values(tracking={"company": "jd"}))
            session.execute(update(ParcelTrack).values(handed_over_at=at - timedelta(days=2)))
            model = session.execute(select(Parcel).order_by(Parcel.id)).scalars().first()
            assert model is not None
            for n, (state, words) in enumerate(
                [
                    (RequestState.REFUSED, "The carrier says no: %(carrier_says)s"),
                    (RequestState.RETRY, "%(host)s did not answer in time. It is tried again."),
                ]
            ):
                parcel = Parcel(
                    warehouse_id=WAREHOUSE,
                    id=new_id(),
                    code=f"WAITS{n}",
                    order_id=self.order_ids(OrderState.READY)[n],
                    carrier_id=model.carrier_id,
                    state=ParcelState.WEIGHED,
                    operator_id=self.operator_id("packer"),
                    station_id=model.station_id,
                    location_id=model.location_id,
                    weight_g=640,
                    opened_at=at,
                    weighed_at=at,
                )
                session.add(parcel)
                session.flush()
                session.add(
                    WaybillRequest(
                        warehouse_id=WAREHOUSE,
                        parcel_id=parcel.id,
                        carrier_id=parcel.carrier_id,
                        turn=1,
                        key=f"1-WAITS{n}",
                        state=state,
                        attempts=3,
                        asked_at=at,
                        next_at=at + timedelta(days=1),
                        message=words,
                        facts={"carrier_says": "收件地址超出派送范围", "host": "numbers.example.com"},
                    )
                )

    def counts(self, name: str, place: str, pieces: int) -> None:
        """A whole blind count of one item's place."""
        hand = self.hand(name)
        hand.get("/count")
        hand.press("/count/next")
        hand.scan(f"L-{place}")
        sku = self.one(select(Item.sku).where(Item.id == self.item_at(place)))
        hand.scan(f"I-{sku}")
        hand.press("/enter", item=str(self.item_at(place)), lot="", qty=str(pieces))
        hand.press("/finish")
        hand.sees("count/waiting")

    def item_at(self, place: str) -> int:
        return int(
            self.one(
                select(Balance.item_id).join(Location, Location.id == Balance.location_id).where(Location.code == place)
            )
        )

    def receipt(self) -> Receipt:
        receipt: Receipt = self.one(select(Receipt).where(Receipt.code == "PO-0001"))
        return receipt

    def shop_id(self) -> int:
        return int(self.one(select(Shop.id).where(Shop.code == "JD-DEMO")))

    def is_told_of_stock(self) -> None:
        """The shop is told what it may sell; one item waits, one has its quota."""
        with self.database.transaction(Actor(WAREHOUSE)) as session:
            shop = session.execute(select(Shop).where(Shop.code == "JD-DEMO")).scalar_one()
            selling.save_shop(session, shop, told=True, share=80, per_minute=300)
            item = session.execute(select(Item).order_by(Item.id).limit(1)).scalar_one()
            selling.save_quota(session, shop, item, 5)
            selling.save_buffer(session, "", 2)
        stock_push.Watcher(self.database).look()

    def suggested(self, name: str) -> str:
        with self.database.reading() as session:
            work = putaway.standing(session, WAREHOUSE, self.operator_id(name))
            assert work is not None and work.suggested_id
            return session.get_one(Location, (WAREHOUSE, work.suggested_id)).code

    def count_in_hand(self, name: str) -> int:
        with self.database.reading() as session:
            found = count.current(session, WAREHOUSE, self.operator_id(name))
            assert found is not None
            return found.id


def odd_orders(start: int) -> bytes:
    """A JD export with everything a preview must say: new, held, cancelled, absurd, and a row that is no row."""
    head = (
        "订单号",
        "商品名称",
        "订购数量",
        "下单时间",
        "京东价",
        "订单状态",
        "客户姓名",
        "客户地址",
        "联系电话",
        "货号",
    )

    def row(number: int, sku: str, qty: str, state: str = "等待出库") -> tuple[str, ...]:
        return (
            f"3100{number:08d}",
            f"商品 {sku}",
            qty,
            "2026-11-20 09:30:00",
            "39.90",
            state,
            f"收件人{number:03d}",
            "样例街道 1 号 2 单元 301 室",
            f"1000000{number % 10000:04d}",
            sku,
        )

    out = io.StringIO(newline="")
    csv.writer(out).writerows(
        [
            head,
            row(start, "CUP-350-W", "2"),
            row(start, "TEA-LJ-100", "1"),
            row(start + 1, "NO-SUCH-ITEM-WITH-A-LONG-CODE", "1"),
            row(start + 2, "TOWEL-70", "99999"),
            row(start + 3, "SOAP-100", "3", "已取消"),
            row(start + 4, "HONEY-450", "viele"),
            row(start + 5, "UMBRELLA", "500"),
            row(start + 5, "UMBRELLA", "2"),
            row(start + 6, "补差价", "1"),
        ]
    )
    return out.getvalue().encode("gb18030")
