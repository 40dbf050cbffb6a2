"""Qimen: what an ERP's XML means, what ours says, whose signature counts, and what XML is never taken."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.untimed import untimed
from wms.connectors import ConnectorError
from wms.connectors import qimen as q
from wms.connectors.signing import china_time

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CREATE = """<?xml version="1.0" encoding="utf-8"?>
<request>
  <deliveryOrder>
    <deliveryOrderCode>DO-1</deliveryOrderCode><orderType>JYCK</orderType><warehouseCode>WH1</warehouseCode>
    <sourcePlatformCode>TB</sourcePlatformCode><createTime>2026-11-21 18:00:00</createTime>
    <placeOrderTime>2026-11-21 17:00:00</placeOrderTime><operateTime>2026-11-21 18:30:00</operateTime>
    <shopNick>测试店铺</shopNick><logisticsCode>SF</logisticsCode><expressCode>SF100</expressCode>
    <latestDeliveryTime>2026-11-22 20:00:00</latestDeliveryTime>
    <receiverInfo>
      <name>张**</name><mobile>138****0000</mobile><province>浙江省</province><city>杭州市</city><area>余杭区</area>
      <town>五常街道</town><detailAddress>文**路 &amp; ***号</detailAddress><oaid>1001ABC+/=</oaid>
    </receiverInfo>
    <buyerMessage>请尽快</buyerMessage><remark>VIP</remark>
  </deliveryOrder>
  <orderLines>
    <orderLine><orderLineNo>1</orderLineNo><sourceOrderCode>1001</sourceOrderCode>
      <subSourceOrderCode>10010</subSourceOrderCode><ownerCode>OWN</ownerCode><itemCode>A1</itemCode>
      <itemName>商品 A1</itemName><planQty>2</planQty><actualPrice>10.05</actualPrice></orderLine>
    <orderLine><ownerCode>OWN</ownerCode><itemCode>B2</itemCode><planQty>1.0</planQty><inventoryType>CC</inventoryType>
      <batchCode>L7</batchCode><expireDate>2027-01-31</expireDate><actualPrice>3</actualPrice></orderLine>
  </orderLines>
</request>"""
RETURN = """<request><returnOrder><returnOrderCode>RO-1</returnOrderCode><warehouseCode>WH1</warehouseCode>
<preDeliveryOrderCode>DO-1</preDeliveryOrderCode><logisticsCode>ZTO</logisticsCode><expressCode>ZT9</expressCode>
<returnReason>不喜欢</returnReason><senderInfo><name>李*</name><tel>0571</tel></senderInfo></returnOrder>
<orderLines><orderLine><ownerCode>OWN</ownerCode><itemCode>A1</itemCode><planQty>1</planQty></orderLine></orderLines>
</request>"""
ENTRY = """<request><entryOrder><entryOrderCode>EO-1</entryOrderCode><ownerCode>OWN</ownerCode>
<warehouseCode>WH1</warehouseCode><orderType>CGRK</orderType><purchaseOrderCode>PO-1</purchaseOrderCode>
<expectStartTime>2026-11-22 08:00:00</expectStartTime><supplierCode>S1</supplierCode></entryOrder>
<orderLines><orderLine><ownerCode>OWN</ownerCode><itemCode>A1</itemCode><planQty>500</planQty>
<productDate>2026-10-01</productDate></orderLine></orderLines></request>"""
ITEM = """<request><actionType>add</actionType><warehouseCode>WH1</warehouseCode><ownerCode>OWN</ownerCode><item>
<itemCode>A1</itemCode><itemName>杯子</itemName><barCode>6901234567892;6901234567893；X-1</barCode><itemType>ZC</itemType>
<length>10.5</length><width>8</width><height>0.04</height><grossWeight>0.35</grossWeight><stockUnit>个</stockUnit>
<isBatchMgmt>Y</isBatchMgmt><isShelfLifeMgmt>y</isShelfLifeMgmt><shelfLife>8760</shelfLife>
<rejectLifecycle>180</rejectLifecycle><lockupLifecycle>30</lockupLifecycle></item></request>"""
CANCEL = """<request><warehouseCode>WH1</warehouseCode><orderCode>DO-1</orderCode><orderType>JYCK</orderType>
<cancelReason>买家取消</cancelReason></request>"""
CALLS = {
    "deliveryorder.create": CREATE,
    "returnorder.create": RETURN,
    "entryorder.create": ENTRY,
    "singleitem.synchronize": ITEM,
    "order.cancel": CANCEL,
}


def read(method: str, text: str) -> Any:
    return q.read(f"taobao.qimen.{method}", text.encode())


# In


def test_a_delivery_order_becomes_an_order_like_any_shops() -> None:
    document = read("deliveryorder.create", CREATE)
    order = document.order
    assert (order.shop_order_no, order.state, order.carrier_hint) == ("DO-1", "paid", "SF")
    assert order.ordered_at == datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert order.ship_by == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert [(line.line_ref, line.sku, line.qty, line.price_minor) for line in order.lines] == [
        ("1", "A1", 2, 1005),
        ("2", "B2", 1, 300),
    ]
    home = order.recipient
    assert (home.name, home.phone, home.oaid, home.address) == ("张**", "138****0000", "1001ABC+/=", "文**路 & ***号")
    assert (order.buyer_note, order.seller_memo) == ("请尽快", "VIP")
    assert order.raw["xml"] == CREATE.split("?>", 1)[1], "as it came, but for the declaration of bytes it has no more"
    assert (document.warehouse, document.order_type, document.platform, document.waybill_no) == (
        "WH1",
        "JYCK",
        "TB",
        "SF100",
    )
    first, second = document.lines
    assert (first.shop_order_no, first.sub_order_no, first.condition) == ("1001", "10010", "ZP")
    assert (second.condition, second.lot, second.expires_on) == ("CC", "L7", date(2027, 1, 31))


def test_a_return_an_entry_and_a_cancellation() -> None:
    back = read("returnorder.create", RETURN)
    assert (back.code, back.order_code, back.carrier_code, back.waybill_no) == ("RO-1", "DO-1", "ZTO", "ZT9")
    assert (back.reason, back.sender.name, back.sender.phone) == ("不喜欢", "李*", "0571")
    assert [(line.item_code, line.qty) for line in back.lines] == [("A1", 1)]
    entry = read("entryorder.create", ENTRY)
    assert (entry.code, entry.purchase_order, entry.supplier_code, entry.order_type) == ("EO-1", "PO-1", "S1", "CGRK")
    assert entry.expected_from == datetime(2026, 11, 22, tzinfo=UTC)
    assert (entry.lines[0].qty, entry.lines[0].produced_on) == (500, date(2026, 10, 1))
    cancel = read("order.cancel", CANCEL)
    assert (cancel.code, cancel.order_type, cancel.reason) == ("DO-1", "JYCK", "买家取消")


def test_an_item_with_its_codes_sizes_and_how_it_is_kept() -> None:
    item = read("singleitem.synchronize", ITEM)
    assert (item.action, item.code, item.name, item.unit) == ("add", "A1", "杯子", "个")
    assert item.barcodes == ("6901234567892", "6901234567893", "X-1")
    assert (item.length_mm, item.width_mm, item.height_mm, item.weight_g) == (105, 80, 1, 350)
    assert (item.by_lot, item.by_serial, item.by_expiry) == (True, False, True)
    assert (item.shelf_life_h, item.refuse_days, item.lock_days) == (8760, 180, 30)


@pytest.mark.parametrize(
    ("method", "gone"),
    [
        ("deliveryorder.create", "deliveryOrderCode"),
        ("deliveryorder.create", "warehouseCode"),
        ("deliveryorder.create", "detailAddress"),
        ("deliveryorder.create", "orderLines"),
        ("deliveryorder.create", "itemCode"),
        ("order.cancel", "orderCode"),
        ("returnorder.create", "preDeliveryOrderCode"),
        ("entryorder.create", "ownerCode"),
        ("singleitem.synchronize", "barCode"),
    ],
)
def test_what_is_missing_is_named(method: str, gone: str) -> None:
    text = CALLS[method].replace(f"<{gone}>", f"<x{gone}>", 1).replace(f"</{gone}>", f"</x{gone}>", 1)
    with pytest.raises(ConnectorError, match=gone) as told:
        read(method, text)
    assert (told.value.permanent, told.value.reason) == (True, "missing_field")


@pytest.mark.parametrize(
    ("method", "good", "bad"),
    [
        ("deliveryorder.create", "<planQty>2<", "<planQty>0<"),
        ("deliveryorder.create", "<planQty>2<", "<planQty>-1<"),
        ("deliveryorder.create", "<planQty>2<", "<planQty>1.5<"),
        ("deliveryorder.create", "<planQty>2<", "<planQty>NaN<"),
        ("deliveryorder.create", "<planQty>2<", "<planQty>two<"),
        ("deliveryorder.create", "<planQty>2<", "<planQty>1e999999<"),
        ("deliveryorder.create", "<actualPrice>10.05<", "<actualPrice>free<"),
        ("deliveryorder.create", "<inventoryType>CC<", "<inventoryType>??<"),
        ("deliveryorder.create", "<expireDate>2027-01-31<", "<expireDate>2027-02-31<"),
        ("singleitem.synchronize", "<actionType>add<", "<actionType>delete<"),
        ("singleitem.synchronize", "<grossWeight>0.35<", "<grossWeight>heavy<"),
    ],
)
def test_what_cannot_be_is_named_with_its_value(method: str, good: str, bad: str) -> None:
    assert good in CALLS[method]
    with pytest.raises(ConnectorError, match=bad.strip("<").split(">")[0]) as told:
        read(method, CALLS[method].replace(good, bad))
    assert told.value.reason == "bad_field"


def test_a_method_that_is_not_offered_is_named() -> None:
    with pytest.raises(ConnectorError, match="query is not offered"):
        read("stock.query", "<request/>")


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<request><orderCode>&b;</orderCode><warehouseCode>W</warehouseCode></request>"
)
STRANGER = (
    '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>'
    "<request><orderCode>&f;</orderCode><warehouseCode>W</warehouseCode></request>"
)


@pytest.mark.parametrize(
    "text",
    [BOMB, STRANGER, "<!DOCTYPE request><request/>", "", "<request>", "{}", "<a/><b/>", "<request>\x00</request>"],
)
def test_xml_that_is_none_or_wants_more_than_to_be_read_is_not_taken(text: str) -> None:
    with pytest.raises(ConnectorError) as told:
        read("order.cancel", text)
    assert told.value.reason == "bad_xml"


@untimed
@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    for method in CALLS:
        with pytest.raises(ConnectorError):
            q.read(method, body)


# The signature


def call(body: bytes, at: datetime = NOW, secret: str = "秘密") -> dict[str, str]:
    return q.query_of(secret, "app", "customer", "taobao.qimen.order.cancel", body, at)


def test_a_call_with_the_right_signature_and_time_says_its_method() -> None:
    body = CANCEL.encode()
    query = call(body)
    assert q.check("秘密", query, body, NOW) == "taobao.qimen.order.cancel"
    assert query["timestamp"] == "2026-11-21 20:00:00"
    assert q.check("秘密", {**query, "sign": query["sign"].lower()}, body, NOW)


def test_the_signature_is_over_the_sorted_query_and_the_raw_body() -> None:
    """Article 118404: secret, app_key, customerId, format, method, sign_method, timestamp, v, the body, secret."""
    body = CANCEL.encode()
    joined = (
        "秘密app_keyappcustomerIdcustomerformatxmlmethodtaobao.qimen.order.cancelsign_methodmd5"
        "timestamp2026-11-21 20:00:00v2.0"
    ).encode() + body
    expected = hashlib.md5(joined + "秘密".encode()).hexdigest().upper()
    assert call(body)["sign"] == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda query, body: (query, body + b" "),
        lambda query, body: (query, body.replace(b"DO-1", b"DO-2")),
        lambda query, body: ({**query, "method": "taobao.qimen.deliveryorder.create"}, body),
        lambda query, body: ({**query, "customerId": "other"}, body),
        lambda query, body: ({**query, "extra": "1"}, body),
        lambda query, body: ({name: one for name, one in query.items() if name != "sign"}, body),
        lambda query, body: ({**query, "sign": "签名"}, body),
    ],
)
def test_one_changed_byte_is_refused(change: Any) -> None:
    query, body = change(call(CANCEL.encode()), CANCEL.encode())
    with pytest.raises(ConnectorError) as told:
        q.check("秘密", query, body, NOW)
    assert told.value.reason == "bad_signature"
    assert "秘密" not in str(told.value)


@pytest.mark.parametrize("minutes", [-11, 11])
def test_a_call_from_another_time_is_refused(minutes: int) -> None:
    body = CANCEL.encode()
    with pytest.raises(ConnectorError) as told:
        q.check("秘密", call(body, NOW + timedelta(minutes=minutes)), body, NOW)
    assert told.value.reason == "bad_clock"


def test_a_call_without_a_time_is_refused() -> None:
    body = CANCEL.encode()
    query = {"method": "m", "v": "2.0"}
    with pytest.raises(ConnectorError) as told:
        q.check("s", {**query, "sign": q.sign("s", query, body)}, body, NOW)
    assert told.value.reason == "bad_clock"


def test_a_call_that_is_too_long_is_not_even_hashed() -> None:
    with pytest.raises(ConnectorError) as told:
        q.check("s", {}, b"x" * (q.MOST_BYTES + 1), NOW)
    assert told.value.reason == "too_big"


# Out


def confirm(**more: Any) -> q.DeliveryConfirm:
    given: dict[str, Any] = {
        "code": "DO-1",
        "warehouse": "WH1",
        "order_type": "JYCK",
        "status": "DELIVERED",
        "key": "1-P1",
        "at": NOW,
        "lines": (q.Line("1", "A1", 5, owner="OWN", lot="L7"), q.Line("2", "B2", 1)),
        "packages": (
            q.Package("SF", "SF1", (("1", "A1", 2), ("2", "B2", 1)), weight_g=1250, length_mm=105),
            q.Package("SF", "SF2", (("1", "A1", 3),)),
        ),
    }
    return q.DeliveryConfirm(**{**given, **more})


def test_a_confirmation_tells_parcels_and_what_went_of_each_line() -> None:
    root = ElementTree.fromstring(q.delivery_confirm(confirm()))
    head = {one.tag: one.text for one in root.find("deliveryOrder") or ()}
    assert head == {
        "deliveryOrderCode": "DO-1",
        "warehouseCode": "WH1",
        "orderType": "JYCK",
        "status": "DELIVERED",
        "outBizCode": "1-P1",
        "confirmType": "0",
        "orderConfirmTime": china_time(NOW),
        "operateTime": china_time(NOW),
    }
    packages = root.findall("packages/package")
    assert [one.findtext("expressCode") for one in packages] == ["SF1", "SF2"]
    assert (packages[0].findtext("weight"), packages[0].findtext("length")) == ("1.25", "10.5")
    assert packages[1].findtext("weight") is None
    lines = root.findall("orderLines/orderLine")
    told = [(one.findtext("orderLineNo"), one.findtext("planQty"), one.findtext("actualQty")) for one in lines]
    assert told == [("1", "5", "5"), ("2", "1", "1")]


def test_a_part_says_that_more_will_come_and_a_short_line_is_told() -> None:
    part = confirm(status="PARTDELIVERED", final=False, packages=(q.Package("SF", "SF1", (("1", "A1", 2),)),))
    root = ElementTree.fromstring(q.delivery_confirm(part))
    assert root.findtext("deliveryOrder/confirmType") == "1"
    assert [one.findtext("actualQty") for one in root.findall("orderLines/orderLine")] == ["2", "0"]


def test_a_parcel_with_a_line_that_the_order_has_not_is_our_mistake() -> None:
    with pytest.raises(AssertionError):
        q.delivery_confirm(confirm(packages=(q.Package("SF", "SF1", (("9", "A1", 2),)),)))
    with pytest.raises(AssertionError):
        q.delivery_confirm(confirm(status="SENT"))


def test_an_inventory_report_goes_in_pages_with_a_key_each() -> None:
    changes = [q.Change(f"I{number}", -number, 100 - number) for number in range(1, 6)]
    pages = [
        ElementTree.fromstring(one) for one in q.inventory_report("C1", "WH1", "OWN", "k", NOW, changes, page_size=2)
    ]
    assert [one.findtext("currentPage") for one in pages] == ["1", "2", "3"]
    assert {one.findtext("totalPage") for one in pages} == {"3"}
    assert [one.findtext("outBizCode") for one in pages] == ["k-1", "k-2", "k-3"]
    found = [(item.findtext("itemCode"), item.findtext("quantity")) for one in pages for item in one.iter("item")]
    assert found == [(f"I{number}", str(-number)) for number in range(1, 6)]
    assert q.inventory_report("C1", "WH1", "OWN", "k", NOW, []) == []


def test_an_answer_is_good_only_when_it_says_success() -> None:
    said = q.read_answer(q.answer(True, "0", "好", deliveryOrderId="W1"))
    assert (said.good, said.code, said.message, said.ids) == (True, "0", "好", {"deliveryOrderId": "W1"})
    assert not q.read_answer(q.answer(False, "E1", "缺货")).good
    assert not q.read_answer(b"<response><code>0</code></response>").good
    assert not q.read_answer(b"<html><flag>success</flag></html>").good
    with pytest.raises(ConnectorError):
        q.read_answer(b"busy")


@untimed
@given(st.text(), st.text(), st.lists(st.tuples(st.text(min_size=1), st.integers(1, 10**6)), min_size=1, max_size=4))
def test_whatever_is_written_is_xml_and_reads_back(code: str, name: str, lines: list[tuple[str, int]]) -> None:
    news = confirm(
        code=code,
        lines=tuple(q.Line(str(place), item, qty, name=name) for place, (item, qty) in enumerate(lines)),
        packages=(q.Package("SF", code, tuple((str(place), item, qty) for place, (item, qty) in enumerate(lines))),),
    )
    root = ElementTree.fromstring(q.delivery_confirm(news))
    assert [one.findtext("actualQty") for one in root.findall("orderLines/orderLine")] == [str(qty) for _, qty in lines]
    assert q.read_answer(q.answer(True, "0", name)).good
