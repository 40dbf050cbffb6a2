"""An ERP uses this warehouse by Qimen, over real HTTP: every call twice, strangers refused, news told exactly once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as within
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from tests import ways
from tests.connectors import fake_erp as erp_papers
from tests.connectors.fake_erp import CHINA, FakeErp
from tests.connectors.shop_server import CUT, Reply
from tests.floor import Floor
from tests.served import served
from wms import taken_back
from wms.clock import now
from wms.connectors import qimen as q
from wms.flows import count, merge, order_rules, pack, pick, receive, ship, warehouse
from wms.jobs import erp, sync, worker
from wms.models import (
    Barcode,
    Count,
    ErpDocument,
    ErpNews,
    Item,
    Order,
    OrderState,
    Parcel,
    ParcelState,
    Push,
    Receipt,
    ReceiptState,
    Shop,
    ShopLane,
    Station,
    TakenBack,
    TakenBackState,
    Waybill,
)
from wms.scan import barcode_key

SHELF = "A-01-01-1"


class Erp(FakeErp):
    """The double with a line to our door; ``twice`` sends the same call two times and wants the same answer."""

    client: httpx.Client

    def ask(self, method: str, body: str | bytes, **more: Any) -> dict[str, str]:
        return self.call(self.client, method, body, **more)

    def twice(self, method: str, body: str, **more: Any) -> dict[str, str]:
        wrong = self.ask(method, body, secret="another secret")
        assert (wrong["flag"], wrong["code"]) == ("failure", "sign-check-failure")
        late = self.ask(method, body, at=datetime.now(CHINA) - timedelta(minutes=11))
        assert (late["flag"], late["code"]) == ("failure", "bad-clock")
        first = self.ask(method, body, **more)
        assert self.ask(method, body, **more) == first
        return first


@pytest.fixture
def erp_side(floor: Floor) -> Iterator[Erp]:
    double = Erp()
    with double.net.running(), served(floor.app, floor.settings) as url, httpx.Client(base_url=url) as client:
        double.client = client
        with floor.database.transaction(floor.actor()) as session:
            warehouse.add_shop(session, "ERP", "ERP 客户", "qimen", double.settings, floor.carrier("JD"))
        yield double


def good(answer: dict[str, str]) -> dict[str, str]:
    assert (answer["flag"], answer["code"], answer["message"]) == ("success", "0", "成功。"), answer
    return answer


def refused(answer: dict[str, str], code: str, words: str = "") -> None:
    assert (answer["flag"], answer["code"]) == ("failure", code), answer
    assert words in answer["message"]
    assert any("\u4e00" <= letter <= "\u9fff" for letter in answer["message"]), answer


def stocked(floor: Floor, double: Erp, qty: int = 200, code: str = "A1") -> None:
    good(double.ask("singleitem.synchronize", erp_papers.item(code)))
    floor.stock(code, SHELF, qty)


def order_of(floor: Floor, number: str) -> Order:
    with floor.database.reading() as session:
        return session.execute(select(Order).where(Order.shop_order_no == number)).scalar_one()


def count_of(floor: Floor, table: Any) -> int:
    with floor.database.reading() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


def hand_over(floor: Floor, *order_ids: int) -> None:
    """The orders' labelled parcels leave."""
    with floor.database.transaction(floor.actor()) as session:
        manifest = ship.manifest_for(session, floor.carrier("JD"))
        for number in session.execute(
            select(Waybill.number)
            .join(Parcel, Parcel.id == Waybill.parcel_id)
            .where(Parcel.order_id.in_(order_ids), Parcel.state == ParcelState.LABELLED)
            .order_by(Waybill.number)
        ).scalars():
            ship.scan(session, manifest, number)


# The whole


def test_fifty_orders_some_cancelled_in_every_state_and_each_told_exactly_once(floor: Floor, erp_side: Erp) -> None:
    """The ERP sends all twice, strangers knock between, and its own server forgets to answer after it took the news."""
    stocked(floor, erp_side)
    ids: dict[str, int] = {}
    for number in range(50):
        code = f"DO-{number:02}"
        body = erp_papers.delivery(code, ("A1", 1 + number % 3), more="<logisticsCode>JD</logisticsCode>")
        ids[code] = int(good(erp_side.twice("deliveryorder.create", body))["deliveryOrderId"])
    assert len(set(ids.values())) == count_of(floor, Order) == 50
    numbers = list(ids)
    stages = {
        "ready": numbers[0:3], "released": numbers[3:6], "picking": [numbers[8], numbers[11]],
        "picked": numbers[12:15], "labelled": numbers[15:18], "shipped": numbers[18:20],
    }  # fmt: skip
    gone = [code for stage in stages.values() for code in stage][:-2]
    left = [code for code in numbers if code not in gone]

    floor.release(*(ids[code] for code in stages["released"] + stages["picking"]))
    for code in stages["labelled"]:
        floor.label_all([ids[code]])
    for code in left:
        floor.ship_all([ids[code]])
    for code, tote in zip(stages["picking"], ("T-004", "T-005"), strict=True):
        with floor.database.transaction(floor.actor()) as session:
            picker = floor.operator_id("picker")
            task = pick.take_over(session, picker, floor.task_of(ids[code]).id)
            for read in (tote, f"L-{SHELF}", "A1"):
                pick.scan(session, picker, task, read)
    floor.pick_all([ids[code] for code in stages["picked"]])
    for stage, codes in stages.items():
        for code in codes:
            assert order_of(floor, code).state is OrderState("packed" if stage == "labelled" else stage)
            answer = erp_side.twice("order.cancel", erp_papers.cancel(code))
            if stage == "shipped":
                refused(answer, "CANCELEDFAIL", code)
            else:
                good(answer)
    assert {order_of(floor, code).state for code in gone} == {OrderState.CANCELLED}
    again = erp_papers.delivery(gone[0], ("A1", 1), more="<logisticsCode>JD</logisticsCode>")
    refused(erp_side.twice("deliveryorder.create", again), "document-cancelled", gone[0])

    forgetful = iter([True, False, True, True] * 40)
    erp_side.net.after = lambda call: CUT if next(forgetful, False) else None
    for _round in range(6):
        sync.push_outstanding(floor.database, all_now=True)
    erp_side.net.after = lambda call: None
    sync.push_outstanding(floor.database, all_now=True)
    told = [root.findtext("deliveryOrder/deliveryOrderCode") for root in erp_side.news("deliveryOrder")]
    assert sorted(str(code) for code in told) == left, "each order that left once, and no other"
    assert erp_side.again, "some were sent again after a lost answer, and known there"
    with floor.database.reading() as session:
        assert {row.state.value for row in session.execute(select(Push)).scalars()} == {"acknowledged"}
        keys = {f"{floor.warehouse_id}-{row.code}" for row in session.execute(select(Parcel)).scalars()
                if row.state is ParcelState.ACKNOWLEDGED}  # fmt: skip
    assert set(erp_side.taken) == keys
    assert {order_of(floor, code).state for code in left} == {OrderState.ACKNOWLEDGED}
    floor.books_are_right()


# Delivery orders


def test_a_create_is_kept_word_for_word_with_its_carrier(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side)
    with floor.database.transaction(floor.actor()) as session:
        shop = session.execute(select(Shop).where(Shop.code == "ERP")).scalar_one()
        shop.settings = {**shop.settings, "carriers": "ZTO=ZTO_EXPRESS"}
    body = erp_papers.delivery("DO-1", ("A1", 2), more="<logisticsCode>ZTO_EXPRESS</logisticsCode>")
    answer = good(erp_side.ask("taobao.qimen.deliveryorder.create", body))
    order = order_of(floor, "DO-1")
    assert answer["deliveryOrderId"] == str(order.id) and answer["warehouseCode"] == "WH1"
    assert (order.state, order.carrier_id) == (OrderState.READY, floor.carrier("ZTO").id)
    assert order.recipient["name"] == "张**"
    with floor.database.reading() as session:
        raw = session.execute(select(Order).where(Order.id == order.id)).scalar_one().raw
    assert raw == {"xml": body}


def test_the_same_number_with_other_words_is_another_document_and_refused(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side)
    good(erp_side.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 2))))
    refused(erp_side.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 3))), "document-differs", "DO-1")
    refused(
        erp_side.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 2), name="李**")), "document-differs"
    )
    assert count_of(floor, Order) == 1


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (erp_papers.delivery("DO-1", ("NEVER", 1)), "item-unknown", "NEVER"),
        (erp_papers.delivery("DO-1", ("A1", 1), condition="CC"), "condition-not-taken", "CC"),
        (erp_papers.delivery("DO-1", ("A1", 1), more="<expressCode>SF1</expressCode>"), "waybill-not-taken", ""),
        (erp_papers.delivery("DO-1", ("A1", 1), more="<logisticsCode>MARS</logisticsCode>"), "carrier-unknown", "MARS"),
        (erp_papers.delivery("D" * 65, ("A1", 1)), "field-too-long", "64"),
        (erp_papers.delivery("DO-1", ("A1", 1)).replace("WH1", "WH2"), "warehouse-unknown", "WH2"),
        (erp_papers.delivery("DO-1", ("A1", 1), ("A1", 2)).replace("Line>2", "Line>1").replace("No>2", "No>1"),
         "line-twice", "1"),
        (erp_papers.delivery("DO-1", ("A1", 0)), "bad-field", "planQty"),
        (erp_papers.delivery("DO-1"), "missing-field", "orderLines"),
        ("<request/>", "missing-field", "orderLines"),
        ('<!DOCTYPE r [<!ENTITY a "b">]><request>&a;</request>', "bad-xml", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_shipped_as_asked_is_refused_and_leaves_nothing(
    floor: Floor, erp_side: Erp, body: str, code: str, words: str
) -> None:
    stocked(floor, erp_side)
    refused(erp_side.ask("deliveryorder.create", body), code, words)
    assert count_of(floor, Order) == 0


def test_two_equal_creates_at_once_make_one_order(any_floor: Floor) -> None:
    double = Erp()
    with (
        double.net.running(),
        served(any_floor.app, any_floor.settings) as url,
        httpx.Client(base_url=url) as client,
    ):
        double.client = client
        with any_floor.database.transaction(any_floor.actor()) as session:
            warehouse.add_shop(session, "ERP", "ERP", "qimen", double.settings, any_floor.carrier("JD"))
        good(double.ask("singleitem.synchronize", erp_papers.item("A1")))
        start, answers = threading.Barrier(4), []

        def send(number: int) -> None:
            start.wait()
            answers.append(double.ask("deliveryorder.create", erp_papers.delivery(f"DO-{number}", ("A1", 1))))

        for number in range(5):
            answers.clear()
            threads = [threading.Thread(target=send, args=(number,)) for _each in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len({good(answer)["deliveryOrderId"] for answer in answers}) == 1
        assert count_of(any_floor, Order) == 5
        good(double.twice("entryorder.create", erp_papers.entry("EO-1", ("A1", 2))))
        good(double.twice("returnorder.create", erp_papers.back("RO-1", "shipped elsewhere", ("A1", 1))))
        receive_all(any_floor, "EO-1", ("A1", 1, False))
        assert (erp.gather(any_floor.database), erp.gather(any_floor.database)) == (1, 0)
        assert erp.push_outstanding(any_floor.database).counts == {"acknowledged": 1}
        assert good(double.ask("inventory.query", erp_papers.stock("A1")))["A1/ZP"] == "1/0"
        good(double.twice("order.cancel", erp_papers.cancel("DO-1")))


def test_gbk_is_read_as_gbk(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side)
    body = '<?xml version="1.0" encoding="GBK"?>\n' + erp_papers.delivery("DO-1", ("A1", 1), name="镕某")
    good(erp_side.ask("deliveryorder.create", body.encode("gbk")))
    assert order_of(floor, "DO-1").recipient["name"] == "镕某"
    floor.ship_all([order_of(floor, "DO-1").id])
    assert sync.push_outstanding(floor.database).counts == {"acknowledged": 1}, "its kept words are read again"
    refused(erp_side.ask("deliveryorder.create", body.replace("GBK", "UTF-16").encode("gbk")), "bad-xml")


# Strangers


def test_an_unknown_customer_is_answered_like_a_wrong_signature(floor: Floor, erp_side: Erp) -> None:
    body = erp_papers.cancel("DO-1")
    wrong = erp_side.ask("order.cancel", body, secret="guess")
    assert erp_side.ask("order.cancel", body, customerId="nobody") == wrong
    assert erp_side.read(erp_side.client.post("/qimen", content=body)) == wrong
    refused(wrong, "sign-check-failure", "签名")
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(Shop).where(Shop.code == "ERP").values(active=False))
    assert erp_side.ask("order.cancel", body) == wrong


def test_a_parameter_that_comes_twice_is_nobodys_call(floor: Floor, erp_side: Erp) -> None:
    body = erp_papers.cancel("DO-1").encode()
    query = {"method": "order.cancel", "customerId": erp_side.customer, "v": "2.0"}
    query["timestamp"] = datetime.now(CHINA).strftime("%Y-%m-%d %H:%M:%S")
    query["sign"] = erp_side.sign(query, body)
    once = erp_side.read(erp_side.client.post("/qimen", params=query, content=body))
    refused(once, "document-unknown", "DO-1")
    twice = erp_side.client.post("/qimen", params=[*query.items(), ("method", "order.cancel")], content=body)
    refused(erp_side.read(twice), "sign-check-failure")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert erp_side.read(erp_side.client.post("/qimen", params=query, content=body, headers=form)) == once


def test_a_parameter_without_a_value_is_not_signed(floor: Floor, erp_side: Erp) -> None:
    refused(erp_side.ask("order.cancel", erp_papers.cancel("DO-1"), target_app_key=""), "document-unknown")


def test_a_call_that_is_too_long_is_not_read(floor: Floor, erp_side: Erp) -> None:
    answer = erp_side.client.post("/qimen", content=b"x" * (q.MOST_BYTES + 1))
    assert answer.status_code == 413 and b"<flag>failure</flag>" in answer.content


def test_an_unknown_method_is_told_so_to_those_who_signed_it(floor: Floor, erp_side: Erp) -> None:
    refused(erp_side.ask("stockout.create", "<request/>"), "unknown-method", "stockout.create")


BODIES = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(["request", "response", "deliveryOrder"]).flatmap(
        lambda tag: st.text(max_size=60).map(lambda text: f"<{tag}>{text}</{tag}>".encode("utf-8", "replace"))
    ),
    st.tuples(st.sampled_from(["planQty>1<", "DO-1", "WH1", "A1", "张**", "ZP"]), st.text(max_size=80)).map(
        lambda pair: (
            erp_papers.delivery("DO-1", ("A1", 1))
            .replace(pair[0], pair[1].replace("<", ""), 1)
            .encode("utf-8", "replace")
        )
    ),
    st.tuples(st.sampled_from(["gbk", "utf-8", "utf-16", "x"]), st.binary(max_size=80)).map(
        lambda pair: f'<?xml version="1.0" encoding="{pair[0]}"?><request>'.encode() + pair[1] + b"</request>"
    ),
)
METHODS = st.sampled_from([*q.READERS, "", "taobao.qimen.order.cancel", "不知"])


def test_no_bytes_as_body_make_a_fault(floor: Floor) -> None:
    """Signed rightly, so that all of the door is behind them; the answer is always Qimen's and never our own fault."""
    double = Erp()
    double.net.url = "http://127.0.0.1:9"
    with floor.database.transaction(floor.actor()) as session:
        warehouse.add_shop(session, "ERP", "ERP", "qimen", double.settings, floor.carrier("JD"))
    floor.item("A1")
    client: Any = floor.app.test_client()

    @within(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(METHODS, BODIES)
    def _any(method: str, body: bytes) -> None:
        query = {"method": method, "customerId": double.customer, "v": "2.0"}
        query["timestamp"] = datetime.now(CHINA).strftime("%Y-%m-%d %H:%M:%S")
        query["sign"] = double.sign(query, body)
        answer = client.post("/qimen", query_string=query, data=body, content_type="text/xml")
        told = q.read_answer(answer.data)
        assert answer.status_code == 200 and told.code not in ("", "system-error", "sign-check-failure"), told

    _any()


@within(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.binary(max_size=200), st.binary(max_size=120))
def test_no_query_makes_a_fault(empty_app: Any, query: bytes, body: bytes) -> None:
    answer = empty_app.post("/qimen", query_string=query.decode("latin-1"), data=body)
    assert answer.status_code == 200 and q.read_answer(answer.data).code == "sign-check-failure"


@pytest.fixture(scope="module")
def empty_app(template_database: Path) -> Iterator[Any]:
    from tests.conftest import SECRET
    from wms import create_app, db
    from wms.settings import Settings

    settings = Settings(home=template_database.parent, database_url=f"sqlite:///{template_database}", secret_key=SECRET)
    database = db.open_database(settings)
    yield create_app(settings, database).test_client()
    database.close()


# Items


def test_items_come_with_their_barcodes_and_are_changed_later(floor: Floor, erp_side: Erp) -> None:
    first = good(erp_side.twice("singleitem.synchronize", erp_papers.item("A1", "6901234567892", "X-1")))
    again = good(erp_side.ask("singleitem.synchronize", erp_papers.item("a1", "6901234567892", "X-2", name="大杯子")))
    assert first["itemId"] == again["itemId"]
    with floor.database.reading() as session:
        item = session.execute(select(Item)).scalar_one()
        assert (item.sku, item.name, item.weight_g) == ("A1", "大杯子", 100)
        codes = set(session.execute(select(Barcode.code)).scalars())
    assert codes == {barcode_key("6901234567892"), "X-1", "X-2"}


def test_a_barcode_that_means_another_item_and_what_is_not_kept_here_are_refused(floor: Floor, erp_side: Erp) -> None:
    good(erp_side.ask("singleitem.synchronize", erp_papers.item("A1", "X-1")))
    refused(erp_side.ask("singleitem.synchronize", erp_papers.item("B2", "X-1")), "refused", "X-1")
    refused(
        erp_side.ask("singleitem.synchronize", erp_papers.item("C3", more="<isSNMgmt>Y</isSNMgmt>")), "serials-not-kept"
    )
    floor.stock("A1", SHELF, 3)
    lots = erp_papers.item("A1", more="<isBatchMgmt>Y</isBatchMgmt>")
    refused(erp_side.ask("singleitem.synchronize", lots), "stock-without-lots")
    assert count_of(floor, Item) == 1


def test_what_one_erp_owns_another_can_neither_change_nor_order(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side)
    other = Erp(customer="other", secret="other secret")
    other.net.url, other.client = erp_side.net.url, erp_side.client
    with floor.database.transaction(floor.actor()) as session:
        warehouse.add_shop(session, "ERP2", "ERP2", "qimen", other.settings, floor.carrier("JD"))
    refused(other.ask("singleitem.synchronize", erp_papers.item("A1", name="stolen")), "item-of-another-owner")
    refused(other.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 1))), "item-unknown")
    refused(other.ask("order.cancel", erp_papers.cancel("DO-1")), "document-unknown")
    assert other.ask("inventory.query", erp_papers.stock("A1")).keys() == {"flag", "code", "message"}
    good(erp_side.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 1))))
    refused(other.ask("order.cancel", erp_papers.cancel("DO-1")), "document-unknown")
    assert order_of(floor, "DO-1").state is OrderState.READY


def test_stock_is_told_free_and_promised_apart(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side, 10)
    good(erp_side.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 3))))
    floor.release(order_of(floor, "DO-1").id)
    answer = good(erp_side.twice("inventory.query", erp_papers.stock("A1", "NEVER")))
    assert {name: value for name, value in answer.items() if "/" in name} == {"A1/ZP": "7/3", "A1/CC": "0/0"}


# Goods that will come


def receive_all(floor: Floor, code: str, *parts: tuple[str, int, bool]) -> None:
    operator = floor.operator_id("picker")
    with floor.database.transaction(floor.actor()) as session:
        receipt = session.execute(select(Receipt).where(Receipt.code == code)).scalar_one()
        work = receive.start(session, operator, receipt)
        for sku, qty, damaged in parts:
            receive.scan(session, work, sku)
            receive.book(session, work, str(qty), damaged=damaged)
        receive.scan(session, work, parts[0][0])
        receive.book(session, work, "1")
        receive.undo(session, work)  # what was taken back is not told
        receive.close(session, work)


def test_an_entry_order_is_expected_received_and_told_once(floor: Floor, erp_side: Erp) -> None:
    for code in ("A1", "B2"):
        good(erp_side.ask("singleitem.synchronize", erp_papers.item(code)))
    body = erp_papers.entry("eo-1", ("A1", 5), ("B2", 4), ("A1", 3))
    receipt_id = good(erp_side.twice("entryorder.create", body))["entryOrderId"]
    refused(erp_side.ask("entryorder.create", erp_papers.entry("eo-1", ("A1", 6))), "document-differs")
    with floor.database.reading() as session:
        receipt = session.execute(select(Receipt)).scalar_one()
        assert (str(receipt.id), receipt.code, receipt.supplier) == (receipt_id, "EO-1", "供货商")
    assert erp.gather(floor.database) == 0, "nothing is done yet"
    receive_all(floor, "EO-1", ("A1", 6, False), ("A1", 1, True), ("B2", 4, False))
    refused(erp_side.twice("order.cancel", erp_papers.cancel("eo-1", "CGRK")), "CANCELEDFAIL", "eo-1")
    assert (erp.gather(floor.database), erp.gather(floor.database)) == (1, 0)
    erp_side.net.after = lambda call: CUT
    assert erp.push_outstanding(floor.database).counts == {"retry": 1}
    erp_side.net.after = lambda call: None
    assert erp.push_outstanding(floor.database).counts == {}, "it waits for its time"
    assert erp.push_outstanding(floor.database, all_now=True).counts == {"acknowledged": 1}
    assert len(erp_side.taken) == 1 and len(erp_side.again) == 1
    [news] = erp_side.news("entryOrder")
    assert news.findtext("entryOrder/entryOrderCode") == "eo-1"
    assert news.findtext("entryOrder/entryOrderId") == receipt_id
    assert news.findtext("entryOrder/status") == "FULFILLED"
    told = [
        (
            line.findtext("itemCode"), line.findtext("planQty"), line.findtext("actualQty"),
            [(b.findtext("inventoryType"), b.findtext("actualQty")) for b in line.findall("batchs/batch")],
        )
        for line in news.findall("orderLines/orderLine")
    ]  # fmt: skip
    assert told == [
        ("A1", "5", "5", [("ZP", "5")]),
        ("B2", "4", "4", [("ZP", "4")]),
        ("A1", "3", "2", [("ZP", "1"), ("CC", "1")]),
    ]
    floor.books_are_right()


def test_lots_and_dates_are_told_with_what_came(floor: Floor, erp_side: Erp) -> None:
    good(erp_side.ask("singleitem.synchronize", erp_papers.item("A1", more="<isBatchMgmt>Y</isBatchMgmt>")))
    good(erp_side.ask("entryorder.create", erp_papers.entry("EO-1", ("A1", 5))))
    with floor.database.transaction(floor.actor()) as session:
        receipt = session.execute(select(Receipt)).scalar_one()
        work = receive.start(session, floor.operator_id("picker"), receipt)
        for lot, expiry, qty in (("L2", "2027-06-30", "2"), ("L1", "2027-01-31", "1")):
            receive.scan(session, work, "A1")
            receive.book(session, work, qty, lot=lot, expiry=expiry)
        receive.close(session, work)
    erp.gather(floor.database)
    assert erp.push_outstanding(floor.database).counts == {"acknowledged": 1}
    batches = erp_side.news("entryOrder")[0].findall("orderLines/orderLine/batchs/batch")
    told = [(b.findtext("batchCode"), b.findtext("expireDate"), b.findtext("actualQty")) for b in batches]
    assert told == [("L1", "2027-01-31", "1"), ("L2", "2027-06-30", "2")]


def test_an_entry_order_is_called_off_before_anybody_began(floor: Floor, erp_side: Erp) -> None:
    good(erp_side.ask("singleitem.synchronize", erp_papers.item("A1")))
    good(erp_side.ask("entryorder.create", erp_papers.entry("EO-1", ("A1", 5))))
    good(erp_side.twice("order.cancel", erp_papers.cancel("EO-1", "CGRK")))
    with floor.database.reading() as session:
        assert session.execute(select(Receipt.state)).scalar_one() is ReceiptState.DONE
    refused(erp_side.ask("entryorder.create", erp_papers.entry("EO-1", ("A1", 5))), "document-cancelled")
    assert erp.gather(floor.database) == 0, "nobody is told of goods that were called off"


def test_a_cancelled_delivery_order_is_never_the_entry_order_of_that_number(floor: Floor, erp_side: Erp) -> None:
    good(erp_side.ask("singleitem.synchronize", erp_papers.item("A1")))
    good(erp_side.ask("entryorder.create", erp_papers.entry("X-1", ("A1", 5))))
    good(erp_side.ask("returnorder.create", erp_papers.back("X-1", "DO-1", ("A1", 1))))
    refused(erp_side.twice("order.cancel", erp_papers.cancel("X-1", "JYCK")), "document-unknown", "X-1")
    good(erp_side.twice("order.cancel", erp_papers.cancel("X-1", "THRK")))
    with floor.database.reading() as session:
        states = {row[0]: row[1] for row in session.execute(select(ErpDocument.kind, ErpDocument.state))}
    assert states == {"entry": "expected", "return": "cancelled"}


def test_two_erps_may_use_the_same_number(floor: Floor, erp_side: Erp) -> None:
    other = Erp(customer="other", secret="other secret")
    other.net.url, other.client = erp_side.net.url, erp_side.client
    with floor.database.transaction(floor.actor()) as session:
        warehouse.add_shop(session, "ERP2", "ERP2", "qimen", other.settings, floor.carrier("JD"))
    good(erp_side.ask("singleitem.synchronize", erp_papers.item("A1")))
    good(other.ask("singleitem.synchronize", erp_papers.item("B1")))
    one = good(erp_side.twice("entryorder.create", erp_papers.entry("EO-1", ("A1", 5))))["entryOrderId"]
    two = good(other.twice("entryorder.create", erp_papers.entry("EO-1", ("B1", 5))))["entryOrderId"]
    assert one != two and count_of(floor, Receipt) == 2


def test_a_return_is_kept_with_the_order_it_went_out_with(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side)
    good(erp_side.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 1))))
    floor.ship_all([order_of(floor, "DO-1").id])
    answer = good(erp_side.twice("returnorder.create", erp_papers.back("RO-1", "DO-1", ("A1", 1))))
    with floor.database.reading() as session:
        row = session.execute(select(ErpDocument)).scalar_one()
        assert (str(row.id), row.code, row.state, row.waybill_no) == (
            answer["returnOrderId"],
            "RO-1",
            "expected",
            "SF9",
        )
        assert row.order_id == order_of(floor, "DO-1").id and row.body["lines"][0]["qty"] == 1
        assert session.get_one(Receipt, (row.warehouse_id, row.receipt_id)).returned
    good(erp_side.twice("order.cancel", erp_papers.cancel("RO-1", "THRK")))


def test_what_comes_back_is_found_by_its_parcel_graded_and_told_once(floor: Floor, erp_side: Erp) -> None:
    """R44: scanned at the door, good or damaged with the booking, never more than was announced."""
    stocked(floor, erp_side, 10)
    good(erp_side.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 4))))
    floor.ship_all([order_of(floor, "DO-1").id])
    good(erp_side.twice("returnorder.create", erp_papers.back("RO-1", "DO-1", ("A1", 3))))
    hand = floor.hand("picker")
    hand.get("/receive")
    hand.sees("receive/choose", "RO-1", "Comes back: order DO-1", "SF9")
    hand.act("/receive/find", code="sf9")
    hand.sees("receive/scan_item", "Return", "RO-1", "DO-1")
    floor.item("B2")
    at = f"/receive/{receipt_id(floor)}"
    hand.act(f"{at}/scan", code="B2")
    assert "not in return RO-1" in hand.said
    for qty, damaged in (("2", ""), ("1", "1")):
        hand.act(f"{at}/scan", code="A1")
        hand.act(f"{at}/book", item=item_id(floor, "A1"), qty=qty, **({"damaged": damaged} if damaged else {}))
        assert hand.status == 200, hand.text()
    hand.act(f"{at}/scan", code="A1")
    hand.act(f"{at}/book", item=item_id(floor, "A1"), qty="1")
    assert "Only 0 more of A1" in hand.said
    hand.act(f"{at}/close")
    assert ways.held(floor, "A1", "DOCK-01") == (3, 0)
    erp_side.net.after = lambda call: CUT  # it took it and forgot to answer
    assert erp.gather(floor.database) == 1 and erp.gather(floor.database) == 0
    assert erp.push_outstanding(floor.database, all_now=True).counts == {"retry": 1}
    erp_side.net.after = lambda call: None
    assert erp.push_outstanding(floor.database, all_now=True).counts == {"acknowledged": 1}
    [news] = erp_side.news("returnOrder")
    head, [line] = news.find("returnOrder"), list(news.iter("orderLine"))
    assert head is not None
    told = [head.findtext(name) for name in ("returnOrderCode", "warehouseCode", "logisticsCode", "expressCode")]
    assert told == ["RO-1", "WH1", "OTHER", "SF9"]
    assert (line.findtext("planQty"), line.findtext("actualQty"), line.findtext("ownerCode")) == ("3", "3", "OWN")
    graded = sorted((b.findtext("inventoryType"), b.findtext("actualQty")) for b in line.iter("batch"))
    assert graded == [("CC", "1"), ("ZP", "2")]
    floor.books_are_right()


def test_never_more_comes_back_than_went_out(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side, 10)
    good(erp_side.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 4))))
    refused(erp_side.twice("returnorder.create", erp_papers.back("RO-1", "DO-1", ("A1", 1))), "more-than-shipped")
    floor.ship_all([order_of(floor, "DO-1").id])
    refused(erp_side.twice("returnorder.create", erp_papers.back("RO-1", "DO-1", ("A1", 5))), "more-than-shipped", "4")
    good(erp_side.twice("returnorder.create", erp_papers.back("RO-1", "DO-1", ("A1", 3))))
    refused(erp_side.twice("returnorder.create", erp_papers.back("RO-2", "DO-1", ("A1", 2))), "more-than-shipped", "1")
    good(erp_side.twice("order.cancel", erp_papers.cancel("RO-1", "THRK")))
    good(erp_side.twice("returnorder.create", erp_papers.back("RO-2", "DO-1", ("A1", 4))))
    refused(erp_side.twice("returnorder.create", erp_papers.back("RO-3", "DO-1", ("ZZ", 1))), "item-unknown", "ZZ")


def receipt_id(floor: Floor) -> int:
    with floor.database.reading() as session:
        return session.execute(select(Receipt.id)).scalar_one()


def item_id(floor: Floor, sku: str) -> int:
    with floor.database.reading() as session:
        return session.execute(select(Item.id).where(Item.sku == sku)).scalar_one()


# What is told


def test_two_parcels_are_one_confirmation_and_sent_by_either_it_is_the_same(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side)
    good(erp_side.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 3))))
    order_id = order_of(floor, "DO-1").id
    two_parcels(floor, order_id)
    assert sync.push_outstanding(floor.database).counts == {"acknowledged": 2}
    [news] = erp_side.news("deliveryOrder")
    assert len(news.findall("packages/package")) == 2
    assert [line.findtext("actualQty") for line in news.findall("orderLines/orderLine")] == ["3"]
    assert news.findtext("deliveryOrder/status") == "DELIVERED" and news.findtext("deliveryOrder/confirmType") == "0"
    assert erp_side.again == list(erp_side.taken), "the second parcel said the same with the same key"


def test_an_erp_that_wants_parts_is_told_each_parcel_and_the_last_one_is_final(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side)
    with floor.database.transaction(floor.actor()) as session:
        shop = session.execute(select(Shop).where(Shop.code == "ERP")).scalar_one()
        shop.settings = {**shop.settings, "parts": "yes"}
    good(erp_side.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 3))))
    two_parcels(floor, order_of(floor, "DO-1").id)
    assert sync.push_outstanding(floor.database).counts == {"acknowledged": 2}
    told = [
        (n.findtext("deliveryOrder/status"), n.findtext("deliveryOrder/confirmType"),
         [line.findtext("actualQty") for line in n.findall("orderLines/orderLine")])
        for n in erp_side.news("deliveryOrder")
    ]  # fmt: skip
    assert told == [("PARTDELIVERED", "1", ["1"]), ("DELIVERED", "0", ["2"])] and erp_side.again == []


def two_parcels(floor: Floor, order_id: int) -> None:
    """One piece in the first parcel, the rest in the second; both leave one after the other."""
    floor.pick_all([order_id])
    number = floor.order_row(order_id).shop_order_no
    for pieces in (1, 2):
        with floor.database.transaction(floor.actor()) as session:
            station = session.execute(select(Station)).scalars().first()
            packer = floor.operator_id("packer")
            parcel = pack.open_parcel(session, floor.warehouse_id, packer) or pack.start(
                session, packer, station, number
            )
            line = pack.lines(session, parcel)[0]
            for _piece in range(pieces):
                pack.put_in(session, parcel, line.item, 1)
            if parcel.state is ParcelState.OPEN:
                pack.parcel_full(session, parcel)
            pack.weigh(session, parcel, station, "300")
    hand_over(floor, order_id)


def test_what_the_erp_refuses_waits_for_a_person_and_a_wrong_key_rests_the_lane(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side)
    for number in (1, 2):
        good(erp_side.ask("deliveryorder.create", erp_papers.delivery(f"DO-{number}", ("A1", 1))))
    floor.ship_all([order_of(floor, f"DO-{number}").id for number in (1, 2)])

    def saying(code: str, message: str, more: str = "") -> Any:
        body = f"<response><flag>failure</flag><code>{code}</code><message>{message}</message>{more}</response>"
        return lambda call: Reply(200, body.encode())

    erp_side.net.before = saying("sign-check-failure", "Illegal request")
    assert sync.push_outstanding(floor.database).counts == {"paused": 1}
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(ShopLane).values(paused_until=None))
    erp_side.net.before = saying("7", "App Call Limited")
    assert sync.push_outstanding(floor.database, all_now=True).counts == {"retry": 2}
    erp_side.net.before = lambda call: Reply(200, b"<html>busy")
    assert sync.push_outstanding(floor.database, all_now=True).counts == {"retry": 2}
    erp_side.net.before = saying("E1", "单据不存在")
    report = sync.push_outstanding(floor.database, all_now=True)
    assert report.counts == {"conflict": 2} and "单据不存在" in report.lines[0]
    assert "秘密" not in "".join(report.lines)


def test_what_a_count_found_is_reported_once_with_its_difference(floor: Floor, erp_side: Erp) -> None:
    floor.item("OWN1")
    floor.stock("OWN1", "A-01-02-1", 5)
    stocked(floor, erp_side, 10)
    counter, second = floor.operator_id("picker"), floor.operator_id("second picker")
    with floor.database.transaction(floor.actor()) as session:
        planned = count.plan(session, floor.place(session, SHELF))
    for operator in (counter, second):
        with floor.database.transaction(floor.actor()) as session:
            row = session.get_one(Count, (floor.warehouse_id, planned.id))
            row.operator_id, row.state = operator, "counting" if operator == counter else "recount"
            count._begin(session, row, operator)
            count.scan(session, row, f"L-{SHELF}")
            item = session.execute(select(Item).where(Item.sku == "A1")).scalar_one()
            count.scan(session, row, "A1")
            count.enter(session, row, item.id, "", "8")
            count.finish(session, row)
    with floor.database.transaction(floor.actor()) as session:
        row = session.get_one(Count, (floor.warehouse_id, planned.id))
        if row.state != "adjusted":
            count.accept(session, row, next(iter(count.REASONS)))
    assert (erp.gather(floor.database), erp.gather(floor.database)) == (1, 0)
    assert erp.push_outstanding(floor.database).counts == {"acknowledged": 1}
    [news] = erp_side.news("items")
    assert [(i.findtext("itemCode"), i.findtext("quantity"), i.findtext("totalQty")) for i in news.iter("item")] == [
        ("A1", "-2", "8")
    ]
    assert news.findtext("adjustType") == "CHECK" and news.findtext("ownerCode") == "OWN"


def test_at_night_an_erp_that_wants_it_hears_how_much_there_is(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side, 10)
    assert erp.report_levels(floor.database) == 0, "only where it is wanted"
    with floor.database.transaction(floor.actor()) as session:
        shop = session.execute(select(Shop).where(Shop.code == "ERP")).scalar_one()
        shop.settings = {**shop.settings, "night_report": "yes"}
    assert (erp.report_levels(floor.database), erp.report_levels(floor.database)) == (1, 0), "once a night"
    assert erp.push_outstanding(floor.database).counts == {"acknowledged": 1}
    [news] = erp_side.news("items")
    assert [(i.findtext("quantity"), i.findtext("totalQty")) for i in news.iter("item")] == [("0", "10")]


def test_news_left_by_a_worker_that_died_are_told_when_its_lease_ends(floor: Floor, erp_side: Erp) -> None:
    good(erp_side.ask("singleitem.synchronize", erp_papers.item("A1")))
    good(erp_side.ask("entryorder.create", erp_papers.entry("EO-1", ("A1", 1))))
    close_empty(floor)
    erp.gather(floor.database)
    with floor.database.reading() as session:
        news = session.execute(select(ErpNews)).scalar_one()
    assert erp._claim(floor.database, news.warehouse_id, news.id) is not None
    assert erp.push_outstanding(floor.database, all_now=True).counts == {}
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(ErpNews).values(leased_until=now() - timedelta(seconds=1)))
    assert erp.push_outstanding(floor.database, all_now=True).counts == {"acknowledged": 1}


def test_the_worker_tells_by_itself(floor: Floor, erp_side: Erp) -> None:
    stocked(floor, erp_side)
    good(erp_side.ask("deliveryorder.create", erp_papers.delivery("DO-1", ("A1", 1))))
    good(erp_side.ask("entryorder.create", erp_papers.entry("EO-1", ("A1", 1))))
    floor.ship_all([order_of(floor, "DO-1").id])
    close_empty(floor)
    worker._push(floor.database)
    assert len(erp_side.news("deliveryOrder")) == len(erp_side.news("entryOrder")) == 1


def close_empty(floor: Floor) -> None:
    with floor.database.transaction(floor.actor()) as session:
        announced = session.execute(select(Receipt).where(~Receipt.returned)).scalar_one()
        work = receive.start(session, floor.operator_id("picker"), announced)
        receive.close(session, work)


def test_the_desk_shows_what_erps_announced_and_tells_again_what_was_refused(floor: Floor, erp_side: Erp) -> None:
    good(erp_side.ask("singleitem.synchronize", erp_papers.item("A1")))
    good(erp_side.ask("entryorder.create", erp_papers.entry("EO-1", ("A1", 7))))
    good(erp_side.ask("returnorder.create", erp_papers.back("RO-1", "DO-1", ("A1", 1))))
    close_empty(floor)
    erp.gather(floor.database)
    no = "<response><flag>failure</flag><code>E1</code><message>入库单不存在</message></response>".encode()
    erp_side.net.before = lambda call: Reply(200, no)
    assert erp.push_outstanding(floor.database).counts == {"conflict": 1}
    desk = floor.hand("supervisor")
    desk.get("/desk/erp")
    desk.sees("desk/erp", "EO-1", "RO-1", "SF9", "入库单不存在", "E1")
    desk.press("/again")
    assert desk.said == "It is sent again within a minute."
    erp_side.net.before = lambda call: None
    assert erp.push_outstanding(floor.database).counts == {"acknowledged": 1}
    desk.get("/desk/erp")
    assert "入库单不存在" not in desk.text()
    assert floor.hand("picker").get("/desk/erp") and floor.hand("picker").client.get("/desk/erp").status_code == 403


def test_a_merged_order_cancelled_after_the_label_waits_for_a_supervisor(floor: Floor, erp_side: Erp) -> None:
    """R29: the ERP is told that it is too late for its program; the parcel stays here until a person has decided."""
    stocked(floor, erp_side)
    for number in ("DO-1", "DO-2"):
        good(erp_side.ask("deliveryorder.create", erp_papers.delivery(number, ("A1", 1))))
    with floor.database.transaction(floor.actor()) as session:
        shop = session.execute(select(Shop).where(Shop.connector == "qimen")).scalar_one()
        order_rules.switch(session, shop, "merge", True, {"hours": "24"})
        lead = merge.merge(session, floor.warehouse_id, [order_of(floor, n).id for n in ("DO-1", "DO-2")]).id
    floor.release(lead)
    ways.picked(floor, lead)
    parcel = ways.labelled(floor)
    refused(erp_side.twice("order.cancel", erp_papers.cancel("DO-2", "JYCK")), "refused", "已出面单")
    with floor.database.reading() as session:
        asked = session.execute(select(TakenBack.qty, TakenBack.state)).all()
    assert [tuple(row) for row in asked] == [(1, TakenBackState.ASKED)]
    with pytest.raises(taken_back.AskedAfterLabel):
        ways.handed_over(floor, parcel)
    floor.books_are_right()
