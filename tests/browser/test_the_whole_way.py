"""The main job, end to end: a file of orders becomes a labelled parcel at the carrier, and the shop is told of it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from printers.image import draw
from printers.zpl import graphic_field
from tests.browser.chromium import (
    DESK,
    PHONE,
    Browsers,
    Watch,
    browsers,
    expect,
    label_picture,
    moving_picture,
)
from tests.browser.person import Person
from tests.browser.server import Warehouse, warehouse
from tests.printers import render as paper
from wms.flows import receive
from wms.models import Balance, Item, Location, Order, OrderState, Parcel, PrintJob, PrintState, Push, Waybill

pytestmark = pytest.mark.browser

EAN = "6901234567892"
ORDER, CANCELLED = "310000000001", "310000000002"
PHONE_NUMBER = "10000000001"
FIRST_PLACE, SECOND_PLACE = "A-01-01-1", "A-01-02-1"
JD_HEADER = (
    "订单号",
    "商品ID",
    "商品名称",
    "订购数量",
    "下单时间",
    "京东价",
    "订单状态",
    "下单帐号",
    "客户姓名",
    "客户地址",
    "联系电话",
    "订单备注",
    "商家备注",
    "付款确认时间",
    "货号",
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsers]:
    with browsers() as opened:
        yield opened


@pytest.fixture
def floor(tmp_path: Path, template_database: Path) -> Iterator[Warehouse]:
    missing = paper.available()
    if missing:
        pytest.skip(f"NO LABEL WAS JUDGED: {missing}")
    with warehouse(tmp_path, template_database) as running:
        running.rows.item("CUP-W", EAN)
        running.rows.item("BOOK-7", "BOOK7CODE")
        with running.database.transaction(running.rows.actor()) as session:
            cup = session.execute(select(Item).where(Item.sku == "CUP-W")).scalar_one()
            receive.add_purchase_order(session, "PO-1", "Test supplier", [(cup, 10)])
        yield running


def jd_file() -> bytes:
    """As JD's back office writes it on a Chinese Windows: GB18030, one row a line of an order."""

    def row(number: str, sku: str, name: str, qty: int, state: str) -> tuple[str, ...]:
        return (
            number,
            "100012043978",
            name,
            str(qty),
            "2026-11-20 09:30:00",
            "39.90",
            state,
            "jd_0001",
            "收件人001",
            "样例街道 1 号 2 单元 301 室",
            PHONE_NUMBER,
            "请轻放，谢谢",
            "",
            "2026-11-20 09:31:00",
            sku,
        )

    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(JD_HEADER)
    writer.writerow(row(ORDER, "CUP-W", "陶瓷马克杯 白", 2, "等待出库"))
    writer.writerow(row(ORDER, "BOOK-7", "笔记本 㐂", 1, "等待出库"))  # 㐂 is in GB18030 and not in GBK
    writer.writerow(row(CANCELLED, "CUP-W", "陶瓷马克杯 白", 1, "已取消"))
    return out.getvalue().encode("gb18030")


class Shift:
    """The people of one day, each with a device of their own, all watched."""

    def __init__(self, chromium: Browsers, floor: Warehouse, clip: Path) -> None:
        self.floor, self.chromium, self.watch = floor, chromium, Watch()
        camera = chromium.get(clip)
        self.picker = self._person(camera, "picker", {**PHONE, "permissions": ["camera"]})
        self.second = self._person(chromium.get(), "second picker", PHONE)
        self.packer = self._person(chromium.get(), "packer", DESK)
        self.supervisor = self._person(chromium.get(), "supervisor", DESK)

    def _person(self, browser: Any, name: str, device: dict[str, Any]) -> Person:
        context = self.watch.over(browser.new_context(**device))
        return Person(context, self.floor.address).sign_in(self.floor.rows.badges[name])

    def end(self) -> None:
        for person in (self.picker, self.second, self.packer, self.supervisor):
            person.context.close()

    # What the books say

    def order(self) -> Order:
        with self.floor.database.reading() as session:
            return session.execute(select(Order).where(Order.shop_order_no == ORDER)).scalar_one()

    def waybill(self) -> str:
        with self.floor.database.reading() as session:
            return session.execute(select(Waybill.number)).scalar_one()

    def stock(self, place: str) -> int:
        with self.floor.database.reading() as session:
            return sum(
                session.execute(
                    select(Balance.on_hand)
                    .join(Location, Location.id == Balance.location_id)
                    .where(Location.code == place, Location.kind == "storage")
                ).scalars()
            )


@pytest.fixture
def shift(chromium: Browsers, floor: Warehouse, tmp_path: Path) -> Iterator[Shift]:
    clip = moving_picture(tmp_path / "place.mjpeg", [(10, label_picture(f"L-{FIRST_PLACE}"))])
    working = Shift(chromium, floor, clip)
    yield working
    working.end()


def test_orders_of_a_file_leave_with_the_carrier_and_the_shop_knows(shift: Shift) -> None:
    orders_are_imported(shift)
    goods_are_received(shift)
    goods_are_put_away(shift)
    orders_are_released(shift)
    the_order_is_picked(shift)
    the_order_is_packed(shift)
    number = the_label_is_right(shift)
    shift.floor.stop_worker()  # nothing but the nightly run may push from here on
    the_parcel_is_handed_over(shift, number)
    the_shop_is_told_once(shift, number)
    a_difference_is_counted_twice_and_decided(shift)
    verified = shift.floor.run("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert shift.watch.faults == []
    assert shift.watch.requests > 100


def orders_are_imported(shift: Shift) -> None:
    boss = shift.supervisor.opens("/desk/import")
    boss.sees("desk/import")
    boss.page.locator("input[type=file]").set_input_files(
        {"name": "京东订单.csv", "mimeType": "text/csv", "buffer": jd_file()}
    )
    boss.page.get_by_role("button", name="Look at it first").click()
    boss.sees("desk/import_preview", ORDER, CANCELLED, "cancelled at the shop", "JD orders")
    with shift.floor.database.reading() as session:
        assert session.execute(select(Order.id)).first() is None  # a preview writes nothing
    boss.sees_the_same_after_a_reload()
    boss.page.get_by_role("button", name="Take them in").click()
    boss.sees("desk/import_done", ORDER)
    order = shift.order()
    assert order.state is OrderState.READY
    assert order.recipient["phone"] == PHONE_NUMBER
    with shift.floor.database.reading() as session:
        assert session.execute(select(Order.shop_order_no)).scalars().all() == [ORDER]


def goods_are_received(shift: Shift) -> None:
    receiver = shift.picker.opens("/receive")
    receiver.sees("receive/choose", "PO-1")
    receiver.scan("R-PO-1")
    receiver.sees("receive/scan_item", "0 / 10")
    receiver.scan(EAN)
    receiver.sees("receive/enter_qty", "CUP-W")
    receiver.sees_the_same_after_a_reload()
    receiver.page.get_by_label("Pieces").fill("10")
    receiver.press("Book")
    receiver.sees("receive/scan_item", "10 / 10")
    receiver.is_told("done", "10 booked")
    receiver.follow("Finish")
    receiver.sees("receive/finish", "Everything is here")
    receiver.press("Close it")
    receiver.sees("receive/choose")

    receiver.press_and_confirm("Receive without an order")
    receiver.sees("receive/scan_item", "Without an order")
    receiver.scan("BOOK7CODE")
    receiver.sees("receive/enter_qty", "BOOK-7")
    receiver.scan("BOOK7CODE")
    expect(receiver.page.get_by_label("Pieces")).to_have_value("2")  # R11: the same code twice is two pieces
    receiver.page.get_by_label("Pieces").fill("4")
    receiver.press("Book")
    receiver.sees("receive/scan_item", "BOOK-7", "4")
    receiver.follow("Finish")
    receiver.sees("receive/finish")
    receiver.press("Close it as it is")
    receiver.sees("receive/choose")


def goods_are_put_away(shift: Shift) -> None:
    worker = shift.picker.opens("/putaway")
    for code, sku, place in ((EAN, "CUP-W", FIRST_PLACE), ("BOOK7CODE", "BOOK-7", SECOND_PLACE)):
        worker.sees("putaway/scan_item", sku)
        worker.scan(code)
        worker.sees("putaway/scan_location", sku, place)
        worker.sees_the_same_after_a_reload()
        worker.scan(f"L-{place}")
        worker.is_told("done", f"Put away at {place}")
    worker.sees("putaway/scan_item", "Nothing waits to be put away")
    assert (shift.stock(FIRST_PLACE), shift.stock(SECOND_PLACE)) == (10, 4)


def orders_are_released(shift: Shift) -> None:
    boss = shift.supervisor.opens("/desk/orders?state=ready")
    boss.sees("desk/orders", ORDER)
    boss.page.get_by_role("button", name="Release all ready").click()
    boss.sees("desk/released", "Released in wave")
    assert shift.order().state is OrderState.RELEASED


def the_order_is_picked(shift: Shift) -> None:
    picker = shift.picker.opens("/pick")
    picker.sees("pick/waiting", "1")
    picker.press("Give me work")
    picker.sees("pick/scan_tote", ORDER, "0 / 3")
    picker.sees_the_same_after_a_reload()
    picker.scan("T-001")
    picker.sees("pick/scan_location", FIRST_PLACE, "2 × CUP-W")

    picker.scan(f"L-{SECOND_PLACE}")  # the wrong shelf first: nothing moves, and the words say what to do
    picker.is_told("wrong", f"This is {SECOND_PLACE}. Go to {FIRST_PLACE}.")
    picker.sees("pick/scan_location")

    picker.film()
    picker.sees("pick/scan_item", "CUP-W", "2 to take")
    picker.closes_the_camera()
    picker.scan_as_text(EAN)
    picker.sees("pick/scan_item", "1 to take", "1 / 3")
    picker.sees_the_same_after_a_reload()
    picker.scan(EAN)
    picker.sees("pick/scan_location", SECOND_PLACE, "1 × BOOK-7")
    picker.sees_the_same_after_a_reload()
    picker.photograph(f"L-{SECOND_PLACE}")
    picker.sees("pick/scan_item", "BOOK-7")
    picker.scan("BOOK7CODE")
    picker.sees("pick/done", "Bring the tote to packing", "001", "3 / 3")
    assert shift.order().state is OrderState.PICKED


def the_order_is_packed(shift: Shift) -> None:
    packer = shift.packer.opens("/pack")
    packer.sees("pack/scan_tote")
    packer.scan("S-PACK1")
    packer.sees("pack/scan_tote", "Bench 1")
    packer.scan("T-001")
    packer.sees("pack/scan_item", ORDER, "3 to verify", "请轻放")
    packer.scan(EAN)
    packer.sees("pack/scan_item", "2 to verify")
    packer.sees_the_same_after_a_reload()
    packer.scan(EAN)
    packer.sees("pack/scan_item", "1 to verify")
    packer.scan(EAN)  # one piece too many: a loud stop that must be acknowledged
    packer.is_told("wrong", "CUP-W is complete")
    packer.page.get_by_role("button", name="OK, understood").click()
    packer.scan("BOOK7CODE")
    packer.sees("pack/weigh", ORDER)
    packer.sees_the_same_after_a_reload()
    packer.page.get_by_label("Weight, grams").fill("640")
    packer.press("Print the label")
    packer.sees("pack/scan_tote", shift.waybill(), "640 g")
    assert shift.order().state is OrderState.PACKED


def the_label_is_right(shift: Shift) -> str:
    """What came out of the printer, drawn by somebody else's renderer and read from its pixels."""
    assert shift.floor.printer.wait_for_labels(1), "no label came out"
    expect(shift.packer.page.locator("#label")).to_contain_text("Printed")
    [label] = shift.floor.printer.labels
    [picture] = paper.render(label, 100, 150)
    codes = paper.read_codes(picture)
    number = shift.waybill()
    assert number in codes
    assert all(PHONE_NUMBER not in code for code in codes)
    assert PHONE_NUMBER.encode() not in label
    assert is_written(label, "收***  100******01")  # R45: who gets it, masked
    assert not is_written(label, f"收件人001  {PHONE_NUMBER}")
    shift.packer.sees_the_same_after_a_reload()
    assert len(shift.floor.printer.labels) == 1
    with shift.floor.database.reading() as session:
        assert session.execute(select(PrintJob.state)).scalars().all() == [PrintState.PRINTED]
    return number


def is_written(label: bytes, words: str) -> bool:
    """Whether these words stand on the label, letter by letter, as a picture of any size."""
    return any(
        graphic_field(draw(words, size, bold).image) in label for size in range(16, 80) for bold in (True, False)
    )


def the_parcel_is_handed_over(shift: Shift, number: str) -> None:
    packer = shift.packer.opens("/ship")
    packer.sees("ship/choose", "京东快递")
    packer.page.get_by_role("button", name="Hand over to 京东快递").click()
    packer.sees("ship/scan_parcel", "1 still wait")
    packer.scan(number)
    packer.is_told("done", "is on the manifest")
    packer.sees_the_same_after_a_reload()
    packer.scan(number)
    packer.is_told("look", "already on manifest")
    packer.press_and_confirm("Close")
    packer.sees("ship/closed", "京东快递")
    packer.follow("Sheet")
    packer.sees("ship/sheet", number, ORDER)
    assert shift.order().state is OrderState.SHIPPED


def the_shop_is_told_once(shift: Shift, number: str) -> None:
    for outstanding in ("1", "0"):  # the second night has nothing to add
        night = shift.floor.run("nightly")
        assert night.returncode == 0, night.stdout + night.stderr
        assert f"outstanding: {outstanding}" in night.stdout
        assert re.search(r"^SHOP +1 +1 +0", night.stdout, re.MULTILINE), night.stdout
        assert "the books are right" in night.stdout
        rows = list(csv.reader(shift.floor.outbox.read_text("utf-8-sig").splitlines()))
        assert rows == [["订单号", "物流公司", "运单号"], [ORDER, "京东快递", number]]
    assert shift.order().state is OrderState.ACKNOWLEDGED
    with shift.floor.database.reading() as session:
        assert session.execute(select(Push.state)).scalars().all() == ["acknowledged"]
        assert session.execute(select(Parcel.state)).scalars().all() == ["acknowledged"]


def a_difference_is_counted_twice_and_decided(shift: Shift) -> None:
    boss = shift.supervisor.opens("/desk/counts")
    boss.sees("desk/counts", "No count waits for a decision")
    boss.scan(f"L-{FIRST_PLACE}")
    boss.is_told("done", f"{FIRST_PLACE} will be counted")
    for counter in (shift.picker, shift.second):
        five_cups_are_counted(counter)
    assert shift.stock(FIRST_PLACE) == 8  # two counts are said, none is decided
    boss.opens("/desk/counts")
    boss.sees("desk/counts", FIRST_PLACE, "CUP-W", "-3")
    boss.page.get_by_label("Reason").select_option("lost")
    boss.press("Accept the count")
    boss.is_told("done", "-3")
    assert shift.stock(FIRST_PLACE) == 5


def five_cups_are_counted(counter: Person) -> None:
    counter.opens("/count")
    counter.sees("count/waiting", "1")
    counter.press("Give me work")
    counter.sees("count/scan_location", FIRST_PLACE)
    counter.scan(f"L-{FIRST_PLACE}")
    counter.sees("count/scan_item", "0 counted")
    counter.scan(EAN)
    counter.sees("count/scan_item", "1 counted")
    counter.sees_the_same_after_a_reload()
    assert "8" not in counter.page.locator("#screen").inner_text()  # R39: the book is not told
    counter.page.get_by_label("Counted of CUP-W").fill("5")
    counter.press("Set the number of CUP-W")
    counter.sees("count/scan_item", "5 counted")
    counter.press_and_confirm("All counted")
    counter.is_told("done", "counted")
    counter.sees("count/waiting")
