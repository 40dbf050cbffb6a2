"""Rules on the way in: each by itself, switched at the desk, and nothing about the buyer where it does not belong."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from tests import ways
from tests.factories import Rows
from tests.floor import Floor
from tests.flows.steps import all_rows, changed, refused, state
from wms import labels, rules
from wms.clock import now
from wms.connectors import Pushed, Recipient, Shipment, ShopLine, ShopOrder
from wms.db import Actor
from wms.flows import cancel, order_rules, take_in
from wms.jobs import sync
from wms.models import (
    BlockEntry,
    GiftRule,
    Journal,
    Order,
    OrderLine,
    OrderState,
    Parcel,
    ParcelState,
    PrintJob,
    Shop,
    Waybill,
)
from wms.rules import address, block_list, gifts, ship_by

WHOLE = Recipient("张三", "13800000000", "广东省", "深圳市", "南山区", "", "测试路 1 号")
SAID = ShopOrder("SO-1", now(), "paid", (ShopLine("1", "A1", "Item A1", 3, 5000),), WHOLE)


@pytest.fixture
def stocked(any_floor: Floor) -> Floor:
    for sku, shelf in (("A1", "A-01-01-1"), ("B2", "A-01-02-1"), ("GIFT", "A-01-03-1")):
        any_floor.item(sku)
        any_floor.stock(sku, shelf, 20)
    return any_floor


def shop_of(rows: Rows) -> Shop:
    with rows.database.reading() as session:
        return session.execute(select(Shop)).scalar_one()


def takes(rows: Rows, said: ShopOrder) -> tuple[take_in.Decision, int]:
    with rows.database.transaction(rows.actor()) as session:
        shop = session.execute(select(Shop)).scalar_one()
        decision = take_in.take(session, shop, said)
        assert take_in.preview(session, rows.warehouse_id, shop, [said])[0].fate == "same"
        return decision, take_in.order_row(session, shop, said.shop_order_no).id


def sets(rows: Rows, rule: str, on: bool, /, **entered: str) -> None:
    with rows.database.transaction(ways.actor(rows, "supervisor")) as session:
        order_rules.switch(session, session.execute(select(Shop)).scalar_one(), rule, on, entered)


def lines(rows: Rows, order_id: int) -> dict[str, int]:
    with rows.database.reading() as session:
        return {
            line.sku: line.wanted
            for line in session.execute(select(OrderLine).where(OrderLine.order_id == order_id)).scalars()
        }


# ---------------------------------------------------------------- 1: address


@pytest.mark.parametrize(
    ("recipient", "lacks"),
    [
        (WHOLE, ""),
        (replace(WHOLE, province="", city="", country="GB"), ""),
        (replace(WHOLE, province=""), ""),
        (replace(WHOLE, name="  "), address.NO_NAME),
        (replace(WHOLE, phone=""), address.NO_PHONE),
        (replace(WHOLE, phone="ext"), address.NO_PHONE),
        (replace(WHOLE, phone="~AgAAAAHx0c1EBQAKZc9a8pP1u5Rr~1~"), ""),
        (replace(WHOLE, province="", city=""), address.NO_REGION),
        (replace(WHOLE, province="", city="", address="广东省深圳市测试路 1 号"), ""),
        (replace(WHOLE, address=" "), address.NO_ADDRESS),
        (replace(WHOLE, name="张*", phone="138****0000"), address.MASKED),
        (replace(WHOLE, address="测试路＊号"), address.MASKED),
        (replace(WHOLE, name="张*", phone="138****0000", address="**", oaid="1tx-code"), ""),
        (Recipient(oaid="1tx-code"), ""),
        (Recipient(), address.NO_NAME),
    ],
)
def test_a_recipient_lacks_what_a_parcel_needs(recipient: Recipient, lacks: str) -> None:
    assert address.missing(recipient) == lacks


def test_an_incomplete_address_holds_the_order_until_the_shop_says_more(stocked: Floor) -> None:
    said = replace(SAID, recipient=replace(WHOLE, phone=""))
    decision, order = takes(stocked, said)
    assert (decision.fate, decision.why) == ("held", address.NO_PHONE)
    assert takes(stocked, replace(said, recipient=WHOLE))[0].fate == "changed"
    assert state(stocked, order) is OrderState.READY


def test_a_file_without_addresses_is_not_judged_by_them_but_a_marketplace_is(stocked: Floor) -> None:
    nobody = replace(SAID, recipient=Recipient(country="United Kingdom"))
    assert takes(stocked, nobody)[0].fate == "new"
    with stocked.database.transaction(stocked.actor()) as session:
        session.execute(select(Shop)).scalar_one().connector = "taobao"
    assert takes(stocked, replace(nobody, shop_order_no="SO-2"))[0].why == address.NO_NAME


def test_a_file_with_one_column_for_the_address_is_not_asked_for_the_region(stocked: Floor) -> None:
    """JD's export has 客户地址 and nothing beside it."""
    in_one = replace(SAID, recipient=Recipient("张三", "13800000000", address="测试路 1 号"))
    assert takes(stocked, in_one)[0].fate == "new"
    with stocked.database.transaction(stocked.actor()) as session:
        session.execute(select(Shop)).scalar_one().connector = "jd"
    assert takes(stocked, replace(in_one, shop_order_no="SO-2"))[0].why == address.NO_REGION


def test_a_rule_that_is_off_holds_nothing(stocked: Floor) -> None:
    sets(stocked, "address", False)
    assert takes(stocked, replace(SAID, recipient=replace(WHOLE, phone="")))[0].fate == "new"
    sets(stocked, "address", True)
    assert takes(stocked, replace(SAID, shop_order_no="SO-2", recipient=replace(WHOLE, phone="")))[0].fate == "held"


# ---------------------------------------------------------------- 5: block list


def blocks(rows: Rows, kind: str, reason: str = "returns empty boxes", **entered: str) -> None:
    with rows.database.transaction(ways.actor(rows, "supervisor")) as session:
        order_rules.block(session, kind, entered, reason)


@pytest.mark.parametrize(
    ("kind", "entered", "said"),
    [
        ("phone", {"phone": "138-0000 0000"}, SAID),
        ("phone", {"phone": "１３８００００００００"}, SAID),
        ("phone", {"phone": "+86 13800000000"}, SAID),
        ("phone", {"phone": "13800000000"}, replace(SAID, recipient=replace(WHOLE, phone="0086-138 0000 0000"))),
        ("address", {"name": "张三", "address": "广东省深圳市南山区测试路1号"}, SAID),
        ("address", {"name": " 张 三 ", "address": "深圳市，南山区，测试路１号"}, SAID),
        ("buyer", {"buyer": "AAE-buyer-1"}, replace(SAID, raw={"buyer_open_uid": "AAE-buyer-1"})),
        ("buyer", {"buyer": "4711"}, replace(SAID, raw={"customer": {"id": 4711, "email": "x@example.com"}})),
        ("buyer", {"buyer": "pin9"}, replace(SAID, raw={"order": {"pin": "pin9"}})),
        ("buyer", {"buyer": "oaid-1"}, replace(SAID, recipient=replace(WHOLE, oaid="oaid-1"))),
    ],
)
def test_somebody_on_the_block_list_is_held_with_the_reason_and_who_entered_it(
    stocked: Floor, kind: str, entered: dict[str, str], said: ShopOrder
) -> None:
    blocks(stocked, kind, **entered)
    decision, _order = takes(stocked, said)
    assert (decision.fate, decision.why) == ("held", block_list.HELD)
    assert dict(decision.facts) == {"reason": "returns empty boxes", "who": "supervisor"}
    with stocked.database.reading() as session:
        assert session.execute(select(BlockEntry.hits)).scalar_one() == 1


@pytest.mark.parametrize(
    ("kind", "entered"),
    [
        ("phone", {"phone": "13800000001"}),
        ("address", {"name": "李四", "address": "广东省深圳市南山区测试路1号"}),
        ("address", {"name": "张三", "address": "广东省深圳市南山区测试路11号"}),
        ("buyer", {"buyer": "somebody else"}),
    ],
)
def test_somebody_else_is_not_held(stocked: Floor, kind: str, entered: dict[str, str]) -> None:
    blocks(stocked, kind, **entered)
    assert takes(stocked, replace(SAID, raw={"buyer_nick": "tb1", "customer_id": 0}))[0].fate == "new"


def test_a_lifted_entry_holds_nobody_and_entered_again_it_does(stocked: Floor) -> None:
    blocks(stocked, "phone", phone="13800000000")
    with stocked.database.transaction(stocked.actor()) as session:
        order_rules.lift(session, stocked.warehouse_id, session.execute(select(BlockEntry.id)).scalar_one())
    assert takes(stocked, SAID)[0].fate == "new"
    blocks(stocked, "phone", phone="138 0000 0000", reason="again")
    decision, _order = takes(stocked, replace(SAID, shop_order_no="SO-2"))
    assert dict(decision.facts)["reason"] == "again"
    with stocked.database.reading() as session:
        assert len(session.execute(select(BlockEntry)).scalars().all()) == 1


def test_a_person_lets_a_held_order_go(stocked: Floor) -> None:
    blocks(stocked, "phone", phone="13800000000")
    _decision, order = takes(stocked, SAID)
    with stocked.database.transaction(ways.actor(stocked, "supervisor")) as session:
        take_in.let_go(session, session.get_one(Order, (stocked.warehouse_id, order)))
    assert state(stocked, order) is OrderState.READY


def test_nothing_of_the_buyer_is_in_the_log_or_the_journal(stocked: Floor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    blocks(stocked, "phone", phone="13800000000")
    blocks(stocked, "address", name="张三", address="广东省深圳市南山区测试路1号")
    takes(stocked, SAID)
    hand = stocked.hand("supervisor")
    hand.get("/desk/rules")
    hand.sees("desk/rules", "returns empty boxes", "138******00", "张* 广东省深圳…")
    assert "13800000000" not in hand.page and "测试路1号" not in hand.page
    hand.act("/desk/rules/blocked/add", kind="phone", phone="138****0000", reason="x")
    assert hand.status == 422 and "Masked ones match nobody" in hand.said
    with stocked.database.reading() as session:
        told = " ".join(f"{each.before} {each.after}" for each in session.execute(select(Journal)).scalars())
    for secret in ("13800000000", "张三", "测试路"):
        assert secret not in caplog.text and secret not in told


# ---------------------------------------------------------------- 2: notes and memo

NASTY = "^XZ^XA^FO0,0^FDowned^FS~JR <script>alert(1)</script> <b>x</b> \u202eesrever \x1b[31m {{ 7*7 }} %s"


def on_the_bench(floor: Floor, **said: Any) -> int:
    _decision, order = takes(floor, replace(SAID, **said))
    floor.release(order)
    ways.picked(floor, order)
    ways.verified(floor)
    return order


def test_the_memo_is_confirmed_once_before_the_label(stocked: Floor) -> None:
    order = on_the_bench(stocked, seller_memo="put a card in")
    hand = stocked.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.get("/pack")
    hand.sees("pack/weigh", "put a card in", "I have read the memo")
    refused(stocked, hand, "/pack/weigh", "The seller wrote a memo for order SO-1", "look", weight_g="500")
    hand.act("/pack/memo")
    assert hand.feeling == "done" and "I have read the memo" not in hand.text()
    hand.act("/pack/weigh", weight_g="500")
    assert hand.feeling == "done", hand.said
    with stocked.database.reading() as session:
        seen = session.execute(select(Journal).where(Journal.what == "memo_seen")).scalars().all()
    assert [each.operator_id for each in seen] == [stocked.operator_id("packer")]
    desk = stocked.hand("supervisor")
    desk.get(f"/desk/orders/{order}")
    desk.sees("desk/order", "put a card in", "Memo confirmed")


@pytest.mark.parametrize("said", [{}, {"buyer_note": "hurry"}, {"seller_memo": "   "}])
def test_without_a_memo_nobody_is_asked(stocked: Floor, said: dict[str, str]) -> None:
    on_the_bench(stocked, **said)
    hand = stocked.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.act("/pack/weigh", weight_g="500")
    assert hand.feeling == "done", hand.said


def test_with_the_rule_off_the_memo_is_shown_and_not_asked_for(stocked: Floor) -> None:
    sets(stocked, "memo", False)
    on_the_bench(stocked, seller_memo="put a card in")
    hand = stocked.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.get("/pack")
    hand.sees("pack/weigh", "put a card in")
    hand.act("/pack/weigh", weight_g="500")
    assert hand.feeling == "done", hand.said


def test_notes_are_only_ever_text(stocked: Floor) -> None:
    """A note ends no label, runs no script and turns no line around."""
    order = on_the_bench(stocked, buyer_note=NASTY, seller_memo=NASTY)
    hand = stocked.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.get("/pack")
    assert "<script>alert" not in hand.page and "<b>x</b>" not in hand.page
    assert hand.page.count("<bdi>^XZ") == 2 and "{{ 7*7 }}" in hand.text() and "&lt;script&gt;" in hand.page
    hand.act("/pack/memo")
    hand.act("/pack/weigh", weight_g="500")
    assert hand.feeling == "done", hand.said
    with stocked.database.reading() as session:
        payload = session.execute(select(PrintJob.payload)).scalar_one()
    assert payload.count(b"^XZ") == 1 and payload.rstrip().endswith(b"^XZ")
    assert payload.count(b"^XA") == 1 and b"~JR" not in payload and b"\x1b" not in payload
    desk = stocked.hand("supervisor")
    desk.get(f"/desk/orders/{order}")
    assert "<script>alert" not in desk.page and desk.page.count("<bdi>^XZ") == 2


# ---------------------------------------------------------------- 6: ship by

SHANGHAI = ZoneInfo("Asia/Shanghai")
WEEK = {"hours": 48, "cut_off": "16:00", "days": "12345"}


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("since", "facts", "expected"),
    [
        ("2026-11-24T10:00", WEEK, "2026-11-26T10:00"),  # Tuesday
        ("2026-11-24T16:00", WEEK, "2026-11-27T00:00"),  # at the cut-off: counts from tomorrow's first hour
        ("2026-11-27T15:00", WEEK, "2026-12-01T15:00"),  # Friday: nine hours left of it, then Monday
        ("2026-11-27T17:00", WEEK, "2026-12-02T00:00"),  # Friday after the cut-off
        ("2026-11-28T11:00", WEEK, "2026-12-02T00:00"),  # Saturday
        ("2026-11-28T11:00", {**WEEK, "days": "1234567", "cut_off": ""}, "2026-11-30T11:00"),
        ("2026-11-24T10:00", {**WEEK, "hours": 1}, "2026-11-24T11:00"),
    ],
)
def test_hours_count_on_working_days_from_the_cut_off(since: str, facts: dict[str, Any], expected: str) -> None:
    found = ship_by.due(local(since).astimezone(UTC), facts, SHANGHAI)
    assert found == local(expected) and found.tzinfo is UTC


def test_it_is_never_later_than_the_platform_promised() -> None:
    since = local("2026-11-24T10:00")
    for promised, expected in (("2026-11-25T09:00", "2026-11-25T09:00"), ("2026-12-24T09:00", "2026-11-26T10:00")):
        assert ship_by.due(since, WEEK, SHANGHAI, local(promised)) == local(expected)


@pytest.mark.parametrize(
    ("hours", "cut_off", "days"),
    [("0", "", "1"), ("x", "", "1"), ("721", "", "1"), ("1", "24:00", "1"), ("1", "", "8"), ("1", "", "")],
)
def test_a_promise_that_cannot_be_is_refused(stocked: Floor, hours: str, cut_off: str, days: str) -> None:
    with pytest.raises(ship_by.BadPromise):
        sets(stocked, "ship_by", True, hours=hours, cut_off=cut_off, days=days)


def test_the_shops_promise_stands_on_the_order_and_the_desk_counts_the_late(stocked: Floor) -> None:
    ordered = now() - timedelta(hours=5)
    assert takes(stocked, replace(SAID, shop_order_no="SO-0"))[0].fate == "new"
    sets(stocked, "ship_by", True, hours="4", cut_off="", days="1234567")
    _decision, late = takes(stocked, replace(SAID, ordered_at=ordered))
    assert stocked.order_row(late).ship_by == ordered + timedelta(hours=4)
    takes(stocked, replace(SAID, shop_order_no="SO-2", ordered_at=ordered + timedelta(hours=3)))
    takes(stocked, replace(SAID, shop_order_no="SO-3", ordered_at=now() + timedelta(hours=30)))
    desk = stocked.hand("supervisor")
    desk.get("/desk")
    desk.sees("desk/today", "Late 1", "Due soon 1")
    desk.get("/desk/orders", only="over")
    assert "SO-1" in desk.text() and "SO-2" not in desk.text() and "SO-0" not in desk.text()
    desk.get("/desk/orders", only="soon")
    assert "SO-2" in desk.text() and "SO-1" not in desk.text() and "SO-3" not in desk.text()


def test_with_the_rule_off_the_platforms_word_stands(stocked: Floor) -> None:
    promised = now() + timedelta(hours=9)
    _decision, order = takes(stocked, replace(SAID, ship_by=promised))
    assert stocked.order_row(order).ship_by == promised


# ---------------------------------------------------------------- 3: gifts


def gives(rows: Rows, **entered: str) -> int:
    with rows.database.transaction(ways.actor(rows, "supervisor")) as session:
        return order_rules.add_gift(session, {"name": "thank you", "gift": "GIFT", **entered}).id


@pytest.mark.parametrize(
    ("entered", "gift"),
    [
        ({"amount": "150"}, 1),
        ({"amount": "150.01"}, 0),
        ({"amount": "50", "each": "1"}, 3),
        ({"amount": "50", "each": "1", "qty": "2"}, 6),
        ({"amount": "50"}, 1),
        ({"pieces": "3", "items": "a1"}, 1),
        ({"pieces": "2", "items": "a1，B2", "each": "1"}, 1),
        ({"pieces": "4", "items": "a1"}, 0),
        ({"pieces": "1", "items": "B2"}, 0),
        ({"items": "B2"}, 0),
        ({"items": "A1"}, 1),
        ({}, 1),
        ({"amount": "50", "each": "1", "most": "2"}, 2),
        ({"from": "2000-01-01", "until": "2000-01-02"}, 0),
        ({"from": "2999-01-01"}, 0),
        ({"from": "2000-01-01", "until": "2999-01-01"}, 1),
    ],
)
def test_a_gift_is_added_when_the_order_earns_it(stocked: Floor, entered: dict[str, str], gift: int) -> None:
    gives(stocked, **entered)
    _decision, order = takes(stocked, SAID)
    assert lines(stocked, order) == {"A1": 3, **({"GIFT": gift} if gift else {})}
    assert takes(stocked, SAID)[0].fate == "same"
    assert takes(stocked, replace(SAID, buyer_note="hurry"))[0].fate == "changed"
    assert lines(stocked, order).get("GIFT", 0) == gift, "changed at the shop, given once"


@pytest.mark.parametrize(
    "entered",
    [
        {"name": " "},
        {"gift": "NOBODY"},
        {"gift": ""},
        {"amount": "1.001"},
        {"amount": "-1"},
        {"amount": "x"},
        {"pieces": "-1"},
        {"items": "A1,NOBODY"},
        {"from": "soon"},
        {"amount": "1e99"},
        {"amount": "NaN"},
    ],
)
def test_a_gift_that_makes_no_sense_is_refused(stocked: Floor, entered: dict[str, str]) -> None:
    before = all_rows(stocked)
    with pytest.raises((order_rules.BadGift, order_rules.NoSuchItem)):
        gives(stocked, **entered)
    assert changed(before, all_rows(stocked)) == set()


def test_a_gift_of_another_shop_an_ended_one_and_the_rule_off_give_nothing(stocked: Floor) -> None:
    rule = gives(stocked)
    with stocked.database.transaction(stocked.actor()) as session:
        order_rules.end_gift(session, stocked.warehouse_id, rule)
    assert "GIFT" not in lines(stocked, takes(stocked, SAID)[1])
    gives(stocked)
    sets(stocked, "gifts", False)
    assert "GIFT" not in lines(stocked, takes(stocked, replace(SAID, shop_order_no="SO-2"))[1])


def test_two_orders_at_once_do_not_get_the_last_gift_twice(stocked: Floor) -> None:
    gives(stocked, most="3")
    barrier = threading.Barrier(6)

    def one(number: int) -> None:
        barrier.wait(30)
        takes_one = replace(SAID, shop_order_no=f"SO-{number}")
        with stocked.database.transaction(stocked.actor()) as session:
            take_in.take(session, session.execute(select(Shop)).scalar_one(), takes_one)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with stocked.database.reading() as session:
        assert session.execute(select(Order.id)).scalars().all().__len__() == 6
        assert gifts.spent(session, session.execute(select(GiftRule)).scalar_one()) == 3


def test_a_gift_that_has_run_out_is_left_out_and_the_order_goes(stocked: Floor) -> None:
    stocked.item("RARE")
    gives(stocked, gift="RARE")
    _decision, order = takes(stocked, SAID)
    assert stocked.release(order)[0].short == {}
    assert (state(stocked, order), lines(stocked, order)) == (OrderState.RELEASED, {"A1": 3, "RARE": 0})
    stocked.books_are_right()


def test_a_gift_is_shown_as_one_from_pick_to_pack_and_the_shop_is_told_nothing_of_it(stocked: Floor) -> None:
    gives(stocked, amount="100")
    _decision, order = takes(stocked, SAID)
    stocked.release(order)
    hand = stocked.hand("picker")
    hand.get("/pick")
    hand.press("/pick/next")
    hand.scan("T-001")
    hand.scan("L-A-01-01-1")
    hand.sees("pick/scan_item", "Item A1")
    assert "gift" not in hand.text()
    for _ in range(3):
        hand.scan("A1")
    hand.sees("pick/scan_location", "GIFT · gift")
    hand.scan("L-A-01-03-1")
    hand.sees("pick/scan_item", "gift")
    hand.scan("GIFT")
    bench = stocked.hand("packer")
    for code in ("S-PACK1", "T-001"):
        bench.act("/pack/scan", code=code)
    bench.sees("pack/scan_item", "gifts: 1")
    for code in ("A1", "A1", "A1", "GIFT"):
        bench.act("/pack/scan", code=code)
    bench.act("/pack/weigh", weight_g="500")
    with stocked.database.reading() as session:
        parcel = session.execute(select(Parcel.id).where(Parcel.state == ParcelState.LABELLED)).scalar_one()
    ways.handed_over(stocked, parcel)
    told = pushes(stocked)
    assert [shipment.lines for shipment in told] == [(("1", "A1", 3),)]
    stocked.books_are_right()


class Listening:
    grain = "package"

    def __init__(self) -> None:
        self.told: list[Shipment] = []

    def push_shipment(self, shipment: Shipment) -> Pushed:
        self.told.append(shipment)
        return Pushed("acknowledged", "ok")


def pushes(rows: Rows) -> list[Shipment]:
    shop = Listening()
    report = sync.push_outstanding(rows.database, connect=lambda _kind, _settings: shop)  # type: ignore[arg-type,return-value]
    assert report.clean
    return shop.told


def cancels(rows: Rows, order: int, sku: str, qty: int) -> None:
    with rows.database.transaction(ways.actor(rows, "supervisor")) as session:
        line = session.execute(select(OrderLine).where(OrderLine.order_id == order, OrderLine.sku == sku)).scalar_one()
        cancel.cancel_line(session, session.get_one(Order, (rows.warehouse_id, order)), line, qty)


@pytest.mark.parametrize("until", ["ready", "released", "picked", "verified"])
def test_a_part_refund_takes_the_gift_that_is_no_longer_earned(stocked: Floor, until: str) -> None:
    """R29: gift rules run again; the gift is carried back like anything else."""
    gives(stocked, amount="50", each="1")
    said = replace(SAID, lines=(*SAID.lines, ShopLine("2", "B2", "Item B2", 1, 5000)))
    _decision, order = takes(stocked, said)
    assert lines(stocked, order)["GIFT"] == 4
    done: list[tuple[str, Callable[[], Any]]] = [
        ("ready", lambda: None),
        ("released", lambda: stocked.release(order)),
        ("picked", lambda: ways.picked(stocked, order)),
        ("verified", lambda: ways.verified(stocked)),
    ]
    for name, step in done:
        step()
        if name == until:
            break
    cancels(stocked, order, "A1", 2)
    assert lines(stocked, order) == {"A1": 1, "B2": 1, "GIFT": 2}
    stocked.books_are_right()
    cancels(stocked, order, "A1", 1)
    cancels(stocked, order, "B2", 1)
    assert state(stocked, order) is OrderState.CANCELLED, "an order of gifts alone is no order"
    stocked.books_are_right()


def test_a_gift_whose_rule_ended_meanwhile_stays_promised(stocked: Floor) -> None:
    rule = gives(stocked, amount="50")
    _decision, order = takes(stocked, SAID)
    with stocked.database.transaction(stocked.actor()) as session:
        order_rules.end_gift(session, stocked.warehouse_id, rule)
    cancels(stocked, order, "A1", 2)
    assert lines(stocked, order) == {"A1": 1, "GIFT": 1}


# ---------------------------------------------------------------- 7: agent orders


def sender_on_the_label(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> Any:
    papers: list[Any] = []
    real = labels.layouts.waybill_label
    monkeypatch.setattr(
        labels.layouts, "waybill_label", lambda paper, *rest: (papers.append(paper), real(paper, *rest))[1]
    )
    order = rows.order(f"SO-{now():%f}", ("A1", 1))
    rows.label_all([order])
    monkeypatch.undo()
    return papers[-1].sender


def test_an_agents_orders_leave_in_its_own_name(stocked: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = sender_on_the_label(stocked, monkeypatch)
    assert ours.name.startswith("测")
    sets(stocked, "agent", True, name="花店", phone="021-5555 0000", region="上海市", address="")
    theirs = sender_on_the_label(stocked, monkeypatch)
    assert theirs.name.startswith("花") and theirs.region == "上海市"
    assert theirs.phone != ours.phone and theirs.phone.startswith("021")
    assert theirs.address == ours.address, "what the shop leaves empty is the warehouse's own"
    sets(stocked, "agent", False, name="花店")
    assert sender_on_the_label(stocked, monkeypatch) == ours


# ---------------------------------------------------------------- the page


def test_the_desk_switches_rules_and_pickers_may_not(stocked: Floor) -> None:
    desk = stocked.hand("supervisor")
    desk.get("/desk/rules")
    desk.sees("desk/rules", *[rule.words for rule in rules.RULES.values()])
    shop = str(shop_of(stocked).id)
    desk.act("/desk/rules/address", shop=shop)
    assert "This rule is off" in desk.said
    with stocked.database.reading() as session:
        assert not rules.is_on(session, int(shop), "address") and rules.is_on(session, int(shop), "gifts")
    desk.act("/desk/rules/ship_by", shop=shop, on="1", hours="24", cut_off="15:30", days="654321")
    assert "This rule is on" in desk.said and 'value="123456"' in desk.page
    desk.act("/desk/rules/ship_by", shop=shop, on="1", hours="0", cut_off="15:30", days="1")
    assert desk.status == 422
    desk.act("/desk/rules/nothing", shop=shop, on="1")
    assert desk.status == 404
    desk.act("/desk/rules/address", shop="999", on="1")
    assert desk.status == 404
    desk.act("/desk/rules/gifts/add", name="Card", gift="GIFT", amount="99", each="1", shop=shop)
    assert "Card" in desk.said
    desk.act("/desk/rules/gifts/add", name="Card", gift="NOBODY")
    assert desk.status == 422 and "There is no item NOBODY" in desk.said
    with stocked.database.reading() as session:
        rule = session.execute(select(GiftRule)).scalar_one()
    assert (rule.min_minor, rule.each_step, rule.most) == (9900, True, None)
    desk.act(f"/desk/rules/gifts/{rule.id}/end")
    assert "has ended" in desk.said
    desk.act("/desk/rules/blocked/add", kind="phone", phone="13800000000", reason="")
    assert desk.status == 422 and "Say why" in desk.said
    desk.act("/desk/rules/blocked/add", kind="phone", phone="13800000000", reason="x")
    with stocked.database.reading() as session:
        entry = session.execute(select(BlockEntry)).scalar_one()
    desk.act(f"/desk/rules/blocked/{entry.id}/lift")
    assert desk.feeling == "done"
    picker = stocked.hand("picker")
    picker.get("/desk/rules")
    assert picker.status == 403
    picker.act("/desk/rules/address", shop=shop, on="1")
    assert picker.status == 403


def test_actor_is_known_when_a_rule_is_set_by_the_program(stocked: Floor) -> None:
    with stocked.database.transaction(Actor(stocked.warehouse_id)) as session:
        order_rules.block(session, "phone", {"phone": "13800000000"}, "found by a job")
    with stocked.database.reading() as session:
        assert session.execute(select(BlockEntry.entered_by)).scalar_one() == "—"
        assert session.execute(select(Waybill)).first() is None
