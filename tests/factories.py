"""Rows in one readable line. Each function opens its own transaction unless it is given a session."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from wms.clock import now
from wms.connectors import Recipient, ShopLine, ShopOrder
from wms.db import Actor, Database
from wms.flows import catalogue, people, printing, release, take_in, warehouse
from wms.models import Carrier, Item, Location, LocationKind, Lot, Order, PickTask, Role, Shop
from wms.planning.walk import walk_number

PIN = "284759"


class Rows:
    """A warehouse's rows, made and found by the codes people say."""

    def __init__(self, database: Database, secret: str) -> None:
        self.database = database
        self.secret = secret
        self.badges: dict[str, str] = {}
        with database.transaction(Actor(1)) as session:
            made = warehouse.open_warehouse(session, "TEST", "Test warehouse")
            made.sender_name, made.sender_phone, made.sender_address = "测试仓库", "400-000-0000", "测试路 1 号"
            self.warehouse_id = made.id
            for code in ("A-01-01-1", "A-01-02-1", "A-01-03-1", "A-02-01-1"):
                warehouse.add_location(session, code, LocationKind.STORAGE, walk_number(code), "A")
            for number in range(1, 6):
                warehouse.add_location(session, f"{number:03d}", LocationKind.TOTE, 0, "")
            carrier = warehouse.add_carrier(session, "JD", "京东快递")
            other = warehouse.add_carrier(session, "ZTO", "中通快递")
            warehouse.add_waybill_range(session, carrier, "TEST", 1, 99_999, 9)
            warehouse.add_waybill_range(session, other, "TESTZ", 1, 99_999, 9)
            warehouse.add_shop(session, "SHOP", "Test shop", "csv", {}, carrier)
            printer = printing.save_printer(
                session,
                None,
                code="WB1",
                name="Waybills",
                uri="memory://waybills",
                dpi=203,
                width_mm=100,
                height_mm=150,
            )
            labels = printing.save_printer(
                session, None, code="LB1", name="Labels", uri="memory://labels", dpi=203, width_mm=70, height_mm=50
            )
            printing.save_station(
                session, None, code="PACK1", name="Bench 1", waybill_printer_id=printer.id, label_printer_id=labels.id
            )
            for role in Role:
                badge = people.add_operator(session, secret, role.value, role, PIN, "en")
                self.badges[role.value] = badge.code
            second = people.add_operator(session, secret, "second picker", Role.PICKER, PIN, "en")
            self.badges["second picker"] = second.code

    def actor(self) -> Actor:
        return Actor(self.warehouse_id)

    def operator_id(self, name: str) -> int:
        from wms.models import Operator

        with self.database.reading() as session:
            return session.execute(select(Operator.id).where(Operator.name == name)).scalar_one()

    def item(
        self,
        sku: str,
        barcode: str = "",
        *,
        case: tuple[str, int] | None = None,
        lots: bool = False,
        counting: bool = False,
    ) -> Item:
        codes = [(barcode or sku, 1)] + ([case] if case else [])
        with self.database.transaction(self.actor()) as session:
            return catalogue.add_item(
                session, sku, f"Item {sku}", barcodes=codes, weight_g=100, lot_tracked=lots, allows_counting=counting
            )

    def place(self, session: Session, code: str) -> Location:
        return session.execute(
            select(Location).where(Location.warehouse_id == self.warehouse_id, Location.code == code)
        ).scalar_one()

    def stock(self, sku: str, code: str, qty: int, lot: str = "", expiry: date | None = None) -> None:
        with self.database.transaction(self.actor()) as session:
            item = session.execute(select(Item).where(Item.sku == sku)).scalar_one()
            row = None
            if lot:
                row = session.get(Lot, (item.id, lot)) or Lot(item_id=item.id, code=lot, expiry=expiry)
                session.add(row)
                session.flush()
            warehouse.opening_stock(session, item, self.place(session, code), qty, row)

    def order(self, number: str, *lines: tuple[str, int], shop: str = "SHOP") -> int:
        """An order taken in as a shop would send it; returns its id."""
        at = now()
        said = ShopOrder(
            shop_order_no=number,
            ordered_at=at,
            state="paid",
            ship_by=at + timedelta(hours=8),
            lines=tuple(ShopLine(f"{number}-{n}", sku, f"Item {sku}", qty, 990) for n, (sku, qty) in enumerate(lines)),
            recipient=Recipient(
                name="收件人001",
                phone="10000000001",
                province="测试省",
                city="测试市",
                address="样例街道 1 号 2 单元 301 室",
            ),
        )
        with self.database.transaction(self.actor()) as session:
            row = session.execute(select(Shop).where(Shop.code == shop)).scalar_one()
            take_in.take(session, row, said)
            return session.execute(select(Order.id).where(Order.shop_order_no == number)).scalar_one()

    def release(self, *order_ids: int) -> list[release.Released]:
        results = []
        with self.database.transaction(self.actor()) as session:
            wave = release.open_wave(session)
        for order_id in order_ids:
            with self.database.transaction(self.actor()) as session:
                results.append(release.release(session, session.merge(wave, load=False), order_id))
        return results

    def pick_all(self, order_ids: list[int]) -> None:
        """Release the orders and pick each into a free tote, as a picker would, without the pages."""
        from wms.flows import pick
        from wms.models import PickStep, ToteUse

        assert not any(result.short for result in self.release(*order_ids))
        picker = self.operator_id("picker")
        for order_id in order_ids:
            task_id = self.task_of(order_id).id
            with self.database.transaction(self.actor()) as session:
                task = pick.take_over(session, picker, task_id)
                free = (
                    session.execute(
                        select(Location.code)
                        .where(Location.kind == LocationKind.TOTE, Location.id.not_in(select(ToteUse.tote_id)))
                        .order_by(Location.code)
                    )
                    .scalars()
                    .first()
                )
                pick.scan(session, picker, task, f"T-{free}")
                while task.step is not PickStep.DONE:
                    line = pick.next_line(session, task)
                    assert line is not None
                    if task.step is PickStep.SCAN_LOCATION:
                        pick.scan(session, picker, task, line.location.barcode)
                    pick.scan(session, picker, task, line.item.sku)

    def label_all(self, order_ids: list[int]) -> None:
        """The same on to the labelled parcel."""
        self.pick_all(order_ids)
        self.pack_all(order_ids)

    def pack_all(self, order_ids: list[int]) -> None:
        """Picked orders to labelled parcels."""
        from wms.flows import pack
        from wms.models import ParcelState, Station

        packer = self.operator_id("packer")
        for order_id in order_ids:
            number = self.order_row(order_id).shop_order_no
            with self.database.transaction(self.actor()) as session:
                station = session.execute(select(Station)).scalars().first()
                parcel = pack.start(session, packer, station, number)
                while parcel.state is ParcelState.OPEN:
                    line = next(each for each in pack.lines(session, parcel) if each.packed < each.wanted)
                    pack.put_in(session, parcel, line.item, 1)
                pack.memo_seen(session, parcel)
                pack.weigh(session, parcel, station, "500")

    def ship_all(self, order_ids: list[int]) -> None:
        """The same on to the hand-over."""
        from wms.flows import ship
        from wms.models import Parcel, Waybill

        self.label_all(order_ids)
        with self.database.transaction(self.actor()) as session:
            manifest = ship.manifest_for(session, self.carrier("JD"))
            for number in (
                session.execute(
                    select(Waybill.number)
                    .join(Parcel, Parcel.id == Waybill.parcel_id)
                    .where(Parcel.order_id.in_(order_ids))
                    .order_by(Waybill.number)
                )
                .scalars()
                .all()
            ):
                ship.scan(session, manifest, number)

    def task_of(self, order_id: int) -> PickTask:
        with self.database.reading() as session:
            return session.execute(
                select(PickTask).where(PickTask.order_id == order_id).order_by(PickTask.id.desc()).limit(1)
            ).scalar_one()

    def order_row(self, order_id: int) -> Order:
        with self.database.reading() as session:
            return session.get_one(Order, (self.warehouse_id, order_id))

    def carrier(self, code: str) -> Carrier:
        with self.database.reading() as session:
            return session.execute(select(Carrier).where(Carrier.code == code)).scalar_one()
