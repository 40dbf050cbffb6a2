"""Orders from real files: 559 invoices as they are, and the same as JD and Tmall would export them."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.connectors.workbook import xlsx
from wms.connectors import ShopOrder
from wms.connectors.order_files import MAPPINGS, OrderFile, Rules, orders, read_table, recognise


def _real_file() -> Path:
    """`shared/orders` lies beside the repository; WMS_SHARED names it where it lies elsewhere."""
    home = Path(os.environ.get("WMS_SHARED") or Path(__file__).parents[3] / "shared")
    return home / "orders" / "online-retail.csv"


needs_the_real_file = pytest.mark.skipif(
    not _real_file().exists(), reason=f"the real orders are not at {_real_file()}; set WMS_SHARED"
)

SERVICES = {"POST", "M", "C2"}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with _real_file().open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read(content: bytes, name: str | None = None, rules: Rules | None = None) -> OrderFile:
    table = read_table(content, "orders")
    return orders(table, MAPPINGS[name or recognise(table.headers) or "plain"], rules)


def kinds(found: OrderFile) -> Counter[str]:
    return Counter(problem.kind for problem in found.problems)


@needs_the_real_file
def test_the_real_file_is_read_whole(rows: list[dict[str, str]]) -> None:
    content = _real_file().read_bytes()
    assert recognise(read_table(content, "f").headers) == "online-retail"
    found = read(content)

    by_invoice: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_invoice.setdefault(row["InvoiceNo"], []).append(row)
    assert len(by_invoice) == 559
    assert [one.shop_order_no for one in found.orders] == list(by_invoice)

    for order in found.orders:
        source = by_invoice[order.shop_order_no]
        assert [(line.sku, line.qty, line.price_minor) for line in order.lines] == [
            (row["StockCode"], abs(int(row["Quantity"])), int(Decimal(row["UnitPrice"]) * 100)) for row in source
        ]
        assert [line.kind == "service" for line in order.lines] == [row["StockCode"] in SERVICES for row in source]
        first = min(datetime.fromisoformat(row["InvoiceDate"]) for row in source)
        assert order.ordered_at == first.replace(tzinfo=ZoneInfo("Europe/London")).astimezone(UTC)
        assert (order.recipient.country, order.currency) == (source[0]["Country"], "GBP")

    cancelled = {no for no in by_invoice if no.startswith("C")}
    services_only = {
        no for no, source in by_invoice.items() if {row["StockCode"] for row in source} <= SERVICES
    } - cancelled
    states = {order.shop_order_no: order.state for order in found.orders}
    assert {no for no, state in states.items() if state == "cancelled"} == cancelled
    assert {no for no, state in states.items() if state == "other"} == services_only
    assert sum(state == "paid" for state in states.values()) == 559 - len(cancelled) - len(services_only)


@needs_the_real_file
def test_every_oddity_of_the_real_file_is_reported(rows: list[dict[str, str]]) -> None:
    found = read(_real_file().read_bytes())
    invoices = {row["InvoiceNo"] for row in rows}
    seen = kinds(found)
    assert seen["service_line"] == sum(row["StockCode"] in SERVICES for row in rows)
    assert seen["cancelled"] == sum(no.startswith("C") for no in invoices)
    repeated = Counter((row["InvoiceNo"], row["StockCode"]) for row in rows)
    assert seen["repeated_item"] == sum(count > 1 for count in repeated.values()) > 0
    # 74 215 storage jars: the order waits for a person; the one that takes them back is cancelled.
    assert [(one.shop_order_no, one.hold) for one in found.orders if one.hold] == [("541431", "absurd_qty")]
    assert {one.order_no for one in found.problems if one.kind == "absurd_qty"} == {"541431", "C541433"}
    assert set(seen) == {"service_line", "cancelled", "only_service", "absurd_qty", "repeated_item"}
    numbers = {number for number, row in enumerate(rows, 2) if row["StockCode"] in SERVICES}
    assert {one.row_no for one in found.problems if one.kind == "service_line"} == numbers


@needs_the_real_file
def test_reading_twice_gives_equal_orders_and_unique_line_references() -> None:
    content = _real_file().read_bytes()
    once, again = read(content), read(content)
    assert once.orders == again.orders
    assert once.problems == again.problems
    references = [line.line_ref for order in once.orders for line in order.lines]
    assert len(set(references)) == len(references) == 8854


# --- the same orders as a shop in China would export them ---

JD_HEADER = [
    *("订单号", "商品ID", "商品名称", "订购数量", "支付方式", "下单时间", "京东价", "订单金额", "结算金额"),
    *(
        "余额支付",
        "应付金额",
        "订单状态",
        "订单类型",
        "下单帐号",
        "客户姓名",
        "客户地址",
        "联系电话",
        "订单备注",
    ),
    *("发票类型", "发票抬头", "发票内容", "商家备注", "运费金额", "付款确认时间", "货号", "订单来源"),
]
TMALL_HEADER = [
    *(
        "子订单编号",
        "主订单编号",
        "商品标题",
        "商品价格(元)",
        "购买数量",
        "外部系统编号",
        "商品属性",
        "套餐信息",
    ),
    *(
        "备注",
        "订单状态",
        "商家编码",
        "退款状态",
        "退款金额",
        "收货人姓名",
        "收货地址 ",
        "联系手机",
        "买家留言",
    ),
    *("订单创建时间", "订单付款时间 "),
]
SHANGHAI = ZoneInfo("Asia/Shanghai")


def china_time(row: dict[str, str]) -> str:
    london = datetime.fromisoformat(row["InvoiceDate"]).replace(tzinfo=ZoneInfo("Europe/London"))
    return london.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def as_jd(number: int, row: dict[str, str]) -> list[str]:
    cells = dict.fromkeys(JD_HEADER, "")
    cells |= {
        "订单号": f'="{row["InvoiceNo"]}"',
        "商品ID": f"100{number}",
        "商品名称": row["Description"],
        "订购数量": row["Quantity"].removeprefix("-"),
        "下单时间": china_time(row),
        "京东价": row["UnitPrice"],
        "订单状态": "已取消" if row["InvoiceNo"].startswith("C") else "等待出库",
        "客户姓名": row["CustomerID"],
        "客户地址": "上海市浦东新区***",
        "联系电话": "'13800000000",
        "付款确认时间": "0001-01-01 00:00:00",
        "货号": f'="{row["StockCode"]}"',
    }
    return list(cells.values())


def as_tmall(number: int, row: dict[str, str]) -> list[str]:
    cells = dict.fromkeys(TMALL_HEADER, "")
    cells |= {
        "子订单编号": f"'29{number:016d}",
        "主订单编号": row["InvoiceNo"],
        "商品标题": row["Description"],
        "商品价格(元)": row["UnitPrice"],
        "购买数量": row["Quantity"].removeprefix("-"),
        "外部系统编号": row["StockCode"] + "\t",
        "订单状态": "交易关闭" if row["InvoiceNo"].startswith("C") else "买家已付款，等待卖家发货",
        "退款状态": "没有申请退款",
        "收货人姓名": row["CustomerID"],
        "收货地址 ": "浙江省 杭州市 余杭区 五常街道 文一西路***(000000)",
        "联系手机": "138****0000",
        "订单创建时间": china_time(row),
    }
    return list(cells.values())


def as_csv(encoding: str, table: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(table)
    return text.getvalue().encode(encoding)


def bare(order: ShopOrder) -> tuple[object, ...]:
    """What must be the same whichever shop wrote it."""
    lines = tuple(replace(line, line_ref="") for line in order.lines)
    return (order.shop_order_no, order.ordered_at, order.state, order.hold, lines)


@needs_the_real_file
@pytest.mark.parametrize(
    "write",
    [lambda table: as_csv("gb18030", table), lambda table: as_csv("utf-8-sig", table), xlsx],
    ids=["gb18030", "utf-8 with BOM", "xlsx"],
)
@pytest.mark.parametrize(
    ("name", "header", "cells"),
    [("jd", JD_HEADER, as_jd), ("tmall", TMALL_HEADER, as_tmall)],
    ids=["jd", "tmall"],
)
def test_the_same_orders_with_headers_from_china_read_back_equal(
    rows: list[dict[str, str]],
    name: str,
    header: list[str],
    cells: Callable[[int, dict[str, str]], list[str]],
    write: Callable[[Sequence[Sequence[str]]], bytes],
) -> None:
    content = write([header, *(cells(number, row) for number, row in enumerate(rows))])
    assert recognise(read_table(content, "f").headers) == name
    found = read(content)
    expected = read(_real_file().read_bytes())
    assert [bare(order) for order in found.orders] == [bare(order) for order in expected.orders]
    assert {order.currency for order in found.orders} == {"CNY"}
    assert kinds(found) == kinds(expected)
    recipient = found.orders[0].recipient
    if name == "tmall":
        assert (recipient.province, recipient.city, recipient.district, recipient.town) == (
            "浙江省",
            "杭州市",
            "余杭区",
            "五常街道",
        )
        assert (recipient.address, recipient.postcode) == ("文一西路***", "")
        assert re.fullmatch(r"29\d{16}", found.orders[0].lines[0].line_ref)
    else:
        assert (recipient.phone, recipient.address) == ("13800000000", "上海市浦东新区***")


# --- single oddities ---


def plain(*lines: str, header: str = "order_no,sku,qty,price,ordered_at,state,recipient_name,address") -> OrderFile:
    return read("\n".join([header, *lines]).encode())


GOOD = "1,A-1,2,9.90,2026-11-20 09:00,paid,Ann,1 Test Street"


@pytest.mark.parametrize(
    ("line", "kind", "effect", "hold"),
    [
        ("2,,1,1,2026-11-20,paid,Bob,", "no_sku", "hold", "no_sku"),
        ("2,B-1,two,1,2026-11-20,paid,Bob,", "bad_qty", "hold", "bad_qty"),
        ("2,B-1,1.5,1,2026-11-20,paid,Bob,", "bad_qty", "hold", "bad_qty"),
        ("2,B-1,,1,2026-11-20,paid,Bob,", "bad_qty", "hold", "bad_qty"),
        ("2,B-1,10001,1,2026-11-20,paid,Bob,", "absurd_qty", "hold", "absurd_qty"),
        ("2,1.2E+17,1,1,2026-11-20,paid,Bob,", "ruined_sku", "hold", "ruined_sku"),
        ("2,B-1,0,1,2026-11-20,paid,Bob,", "zero_qty", "row", ""),
        ("2,B-1,1,cheap,2026-11-20,paid,Bob,", "bad_price", "note", ""),
        ("2,B-1,1,1,2026-13-45,paid,Bob,", "bad_date", "note", ""),
        ("2,B-1,1,1,9999-12-31 23:59,paid,Bob,", "bad_date", "note", ""),
        ("2,B-1,-1,1,2026-11-20,paid,Bob,", "negative_qty", "note", ""),
        ("2,B-1,1,1,2026-11-20,bewitched,Bob,", "unknown_state", "skip", ""),
        ("2,B-1,1,1,2026-11-20,unpaid,Bob,", "not_ready", "skip", ""),
        ("2,B-1,1,1,2026-11-20,shipped,Bob,", "already_shipped", "skip", ""),
        ("2,POST,1,1,2026-11-20,paid,Bob,", "only_service", "skip", ""),
    ],
)
def test_a_bad_row_is_told_with_its_number_and_never_stops_the_good_one(
    line: str, kind: str, effect: str, hold: str
) -> None:
    found = plain(line, GOOD)
    told = next(one for one in found.problems if one.kind == kind)
    assert (told.row_no, told.order_no, told.effect) == (2, "2", effect)
    assert "%(" not in told.text
    by_number = {one.shop_order_no: one for one in found.orders}
    assert by_number["2"].hold == hold
    good = by_number["1"]
    assert (good.state, good.hold, good.lines[0].price_minor) == ("paid", "", 990)


def test_a_row_without_an_order_number_is_told_and_left_out() -> None:
    found = plain(",A-1,1,1,2026-11-20,paid,Ann,", GOOD)
    assert [(one.row_no, one.kind) for one in found.problems] == [(2, "no_order_no")]
    assert len(found.orders) == 1


def test_rows_of_one_order_need_not_stand_together() -> None:
    found = plain(GOOD, "2,B-1,1,1,2026-11-20,paid,Bob,", GOOD.replace("A-1", "C-1"), GOOD)
    first, second = found.orders
    assert [line.line_ref for line in first.lines] == ["1/A-1/1", "1/C-1/1", "1/A-1/2"]
    assert [line.sku for line in second.lines] == ["B-1"]


def test_an_order_that_names_two_recipients_waits_for_a_person() -> None:
    found = plain(GOOD, GOOD.replace("1 Test Street", "9 Other Road"), GOOD.replace("Ann", "Bob"))
    assert found.orders[0].hold == "recipient_differs"
    assert kinds(found)["recipient_differs"] == 1
    assert found.orders[0].recipient.address == "1 Test Street"


def test_the_same_recipient_written_with_other_spaces_is_one() -> None:
    assert plain(GOOD, GOOD.replace("1 Test Street", "1  test Street")).orders[0].hold == ""


def test_a_shop_may_set_its_own_limit() -> None:
    content = f"order_no,sku,qty\n{GOOD}".encode()
    assert read(content, "plain", Rules(absurd_qty=1)).orders[0].hold == "absurd_qty"


def test_a_header_repeated_in_the_middle_is_no_order() -> None:
    header = "order_no,sku,qty,price,ordered_at,state,recipient_name,address"
    found = plain(GOOD, header, "2,B-1,1,1,2026-11-20,paid,Bob,")
    assert [one.shop_order_no for one in found.orders] == ["1", "2"]
    assert found.problems == ()


def tmall(*subs: tuple[str, str, str]) -> OrderFile:
    lines = [f"90{n},9000,A-{n},1,{sku}{state},{refund}" for n, (sku, state, refund) in enumerate(subs, 1)]
    return read("\n".join(["子订单编号,主订单编号,商家编码,购买数量,订单状态,退款状态", *lines]).encode())


WAITING = "买家已付款 等待卖家发货"


def test_a_refunded_sub_order_leaves_the_others_to_ship() -> None:
    (order,) = tmall(("", WAITING, "退款成功"), ("", WAITING, "没有申请退款")).orders
    assert order.state == "paid"
    assert [line.cancelled for line in order.lines] == [True, False]
    assert [line.line_ref for line in order.lines] == ["901", "902"]


@pytest.mark.parametrize("word", ["退款中", "买家已经申请退款，等待卖家同意", "卖家拒绝退款", "售后中", "奇怪的词"])
def test_one_sub_order_whose_refund_is_open_stops_the_whole_order(word: str) -> None:
    (order,) = tmall(("", WAITING, word.replace(",", "，")), ("", WAITING, "")).orders
    assert order.state == "refunding"


@pytest.mark.parametrize("word", ["", "无", "没有申请退款", "退款关闭", "--"])
def test_a_refund_that_is_not_there_stops_nothing(word: str) -> None:
    assert tmall(("", WAITING, word)).orders[0].state == "paid"


def test_a_sub_order_sent_already_is_not_picked_again() -> None:
    found = tmall(("", "卖家已发货，等待买家确认", ""), ("", WAITING, ""))
    assert found.orders[0].state == "paid"
    assert [line.cancelled for line in found.orders[0].lines] == [True, False]
    assert "partly_shipped" in kinds(found)


@pytest.mark.parametrize(
    ("mapping", "word", "state"),
    [
        ("jd", "等待出库", "paid"),
        ("jd", "(删除)等待出库", "cancelled"),
        ("jd", "锁定", "refunding"),
        ("jd", "暂停", "other"),
        ("jd", "等待确认收货", "shipped"),
        ("jd", "完成", "shipped"),
        ("jd", "WAIT_SELLER_STOCK_OUT", "paid"),
        ("jd", "TRADE_CANCELED", "cancelled"),
        ("tmall", "买家已付款，等待卖家发货", "paid"),
        ("tmall", "卖家已发货，等待买家确认", "shipped"),
        ("tmall", "等待买家付款", "other"),
        ("tmall", "交易成功", "shipped"),
        ("tmall", "付款以后用户退款成功，交易自动关闭", "cancelled"),
        ("tmall", "WAIT_SELLER_SEND_GOODS", "paid"),
        ("tmall", "TRADE_CLOSED_BY_TAOBAO", "cancelled"),
        ("plain", "unshipped", "paid"),
        ("plain", "Partially refunded", "refunding"),
        ("plain", "refunded", "cancelled"),
        ("plain", "Completed", "shipped"),
        ("plain", "", "paid"),
    ],
)
def test_the_shops_own_words_for_a_state(mapping: str, word: str, state: str) -> None:
    assert MAPPINGS[mapping].rules.state_of(word) == state


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-07-01 12:00:00", "2026-07-01T11:00:00+00:00"),
        ("2026/7/1 12:00", "2026-07-01T11:00:00+00:00"),
        ("7/1/2026 12:00", "2026-07-01T11:00:00+00:00"),
        ("2026-07-01T12:00:00Z", "2026-07-01T12:00:00+00:00"),
        ("2026-07-01T12:00:00+08:00", "2026-07-01T04:00:00+00:00"),
        ("2026-01-01", "2026-01-01T00:00:00+00:00"),
    ],
)
def test_times_of_the_shop_become_utc(text: str, utc: str) -> None:
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
    (order,) = read(f"{header}\n1,85123A,CUP,1,{text},1,17850,Spain\n".encode()).orders
    assert order.ordered_at is not None
    assert order.ordered_at.isoformat() == utc


@pytest.mark.parametrize(
    ("text", "minor"),
    [("1.005", 101), ("￥9.90", 990), ('"1,234.50"', 123450), ('"12,5"', 1250), ("９.９", 990)],
)
def test_money_is_counted_in_minor_units(text: str, minor: int) -> None:
    assert plain(f"1,A-1,1,{text},2026-11-20,paid,Ann,").orders[0].lines[0].price_minor == minor


def test_money_without_minor_units() -> None:
    (order,) = read(b"order_no,sku,qty,price,currency\n1,A-1,1,1500,JPY\n").orders
    assert (order.lines[0].price_minor, order.currency) == (1500, "JPY")


def test_a_difference_sold_as_an_item_is_a_service() -> None:
    header = "订单号,货号,商品名称,订购数量"
    (order,) = read(f"{header}\n1,X-1,补差价专拍链接,5\n1,X-2,杯子,1\n".encode()).orders
    assert [line.kind for line in order.lines] == ["service", "goods"]
