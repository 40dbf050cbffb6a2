"""The buyer changes the address under way: until the label it is followed, afterwards a supervisor decides."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from printers import masking
from tests import ways
from tests.floor import Floor
from tests.flows.steps import refused, sent_again, state
from tests.flows.test_components import give
from wms import gate_checks, recipients, waybills
from wms.clock import now
from wms.connectors import Recipient, ShopLine, ShopOrder
from wms.errors import ChangedMeanwhile
from wms.flows import merge, order_rules, pack
from wms.jobs import intake
from wms.models import (
    Carrier,
    NumbersFrom,
    Order,
    OrderLine,
    OrderState,
    Parcel,
    ParcelState,
    PrintJob,
    PrintState,
    RequestState,
    Shop,
    Waybill,
    WaybillRequest,
    WaybillState,
)

OLD = Recipient("张三", "13800000000", "广东省", "深圳市", "南山区", "", "测试路 1 号")
NEW = replace(OLD, city="广州市", district="天河区", address="样例街 22 号")
S = OrderState


def said(number: str = "SO-1", to: Recipient = OLD, **changes: Any) -> ShopOrder:
    lines = (ShopLine("1", "A1", "Item A1", 2, 990), ShopLine("2", "B2", "Item B2", 1, 990))
    return replace(ShopOrder(number, now(), "paid", lines, to), updated_at=now(), **changes)


@pytest.fixture
def stocked(any_floor: Floor) -> Floor:
    for sku, shelf in (("A1", "A-01-01-1"), ("B2", "A-01-02-1")):
        any_floor.item(sku)
        any_floor.stock(sku, shelf, 20)
    return any_floor


def tells(floor: Floor, order: ShopOrder) -> str:
    with floor.database.reading() as session:
        shop = session.execute(select(Shop)).scalar_one()
    return intake.receive(floor.database, shop, order)


def takes(floor: Floor, order: ShopOrder) -> int:
    assert tells(floor, order) == "new"
    with floor.database.reading() as session:
        return session.execute(select(Order.id).where(Order.shop_order_no == order.shop_order_no)).scalar_one()


def reach(floor: Floor, order: int, until: str) -> int:
    """Take the order to a state; returns its parcel once there is one."""
    if until == "ready":
        return 0
    floor.release(order)
    if until == "picking":
        return ways.at_the_item(floor, order)
    if until != "released":
        ways.picked(floor, order)
    return {"verified": ways.verified, "labelled": ways.labelled}.get(until, lambda _floor: 0)(floor)


def goes_to(floor: Floor, order: int) -> str:
    return str(floor.order_row(order).recipient["address"])


def stops(floor: Floor, order: int) -> str:
    with floor.database.reading() as session:
        refusal = gate_checks.stands(session, session.get_one(Order, (floor.warehouse_id, order)))
    return type(refusal).__name__ if refusal else ""


def numbers(floor: Floor) -> list[tuple[str, WaybillState]]:
    with floor.database.reading() as session:
        return [(row[0], row[1]) for row in session.execute(select(Waybill.number, Waybill.state).order_by(Waybill.id))]


def jobs(floor: Floor) -> list[PrintState]:
    with floor.database.reading() as session:
        kinds = select(PrintJob.state).where(PrintJob.kind == "waybill").order_by(PrintJob.id)
        return list(session.execute(kinds).scalars())


# ---------------------------------------------------------------- until the label


@pytest.mark.parametrize("until", ["ready", "released", "picking", "picked", "verified"])
def test_the_order_follows_its_shop_until_the_label(stocked: Floor, until: str) -> None:
    order = takes(stocked, said())
    parcel = reach(stocked, order, until)
    told = said(to=NEW, seller_memo="ring first")
    assert tells(stocked, told) == ("changed" if until == "ready" else "followed")
    assert (goes_to(stocked, order), stops(stocked, order)) == ("样例街 22 号", "")
    assert tells(stocked, replace(told, updated_at=now())) == "same"
    assert stocked.order_row(order).seller_memo == "ring first"
    if until == "verified":
        hand = stocked.hand("packer")
        hand.act("/pack/scan", code="S-PACK1")
        hand.act("/pack/weigh", weight_g="900")
        assert "wrote a memo" in hand.said
        hand.act("/pack/memo")
        hand.act("/pack/weigh", weight_g="900")
        assert hand.feeling == "done", hand.said
        ways.handed_over(stocked, parcel)
        assert state(stocked, order) is S.SHIPPED
    stocked.books_are_right()


def test_a_carrier_that_was_asked_with_the_old_address_is_asked_anew(stocked: Floor) -> None:
    """R31: a number to the old address is given back, the parcel has one live question."""
    with stocked.database.transaction(stocked.actor()) as session:
        carrier = session.execute(select(Carrier).where(Carrier.code == "JD")).scalar_one()
        carrier.numbers_from, carrier.service = NumbersFrom.SERVICE, {"kind": "json"}
    order = takes(stocked, said())
    reach(stocked, order, "verified")
    with stocked.database.transaction(stocked.actor()) as session:
        request = session.execute(select(WaybillRequest)).scalar_one()
        assert request.state is RequestState.ASKED
        request.attempts = 1  # it was on its way
    assert tells(stocked, said(to=NEW)) == "followed"
    with stocked.database.reading() as session:
        asked = session.execute(select(WaybillRequest.turn, WaybillRequest.state).order_by(WaybillRequest.turn)).all()
    assert [tuple(row) for row in asked] == [(1, RequestState.CANCEL), (2, RequestState.ASKED)]
    assert goes_to(stocked, order) == "样例街 22 号"


def test_both_parcels_of_a_split_order_follow(stocked: Floor) -> None:
    order = takes(stocked, said())
    part = splits(stocked, order, "B2", 1)
    assert tells(stocked, said(to=NEW)) == "followed"
    assert (goes_to(stocked, order), goes_to(stocked, part)) == ("样例街 22 号", "样例街 22 号")


def splits(floor: Floor, order: int, sku: str, qty: int) -> int:
    with floor.database.transaction(ways.actor(floor, "supervisor")) as session:
        line = session.execute(select(OrderLine).where(OrderLine.order_id == order, OrderLine.sku == sku)).scalar_one()
        return merge.split(session, floor.warehouse_id, order, line.id, qty).id


def test_fewer_pieces_and_another_address_in_one_reading(stocked: Floor) -> None:
    order = takes(stocked, said())
    reach(stocked, order, "picked")
    told = said(to=NEW)
    told = replace(told, lines=(replace(told.lines[0], qty=1), told.lines[1]))
    assert tells(stocked, told) == "part"
    assert (goes_to(stocked, order), stops(stocked, order)) == ("样例街 22 号", "")
    assert tells(stocked, replace(told, updated_at=now())) == "same"
    stocked.books_are_right()


# ---------------------------------------------------------------- after the label


def test_after_the_label_fewer_pieces_and_another_address_are_both_asked_about(stocked: Floor) -> None:
    order = takes(stocked, said())
    reach(stocked, order, "labelled")
    told = said(to=NEW)
    assert tells(stocked, replace(told, lines=(told.lines[0], replace(told.lines[1], cancelled=True)))) == "failed"
    assert stops(stocked, order) == "AddressChanged"
    desk = stocked.hand("supervisor")
    desk.act(f"/desk/orders/{order}/take-out")
    assert desk.feeling == "look", desk.text()
    desk.act(f"/desk/orders/{order}/new-address")
    assert desk.feeling == "done", desk.text()
    assert (goes_to(stocked, order), stops(stocked, order), state(stocked, order)) == ("样例街 22 号", "", S.PACKING)
    stocked.books_are_right()


def test_after_the_label_the_parcel_stays_until_a_supervisor_sends_it_to_the_new_address(stocked: Floor) -> None:
    order = takes(stocked, said())
    parcel = reach(stocked, order, "labelled")
    assert tells(stocked, said(to=NEW)) == "followed"
    assert (goes_to(stocked, order), stops(stocked, order)) == ("测试路 1 号", "AddressChanged")
    code = parcel_of(stocked, parcel).code
    hand = stocked.hand("packer")
    hand.act("/ship/open", carrier=str(stocked.carrier("JD").id))
    refused(
        stocked,
        hand,
        f"{hand.answer.headers['X-Go']}/scan",
        "The buyer changed the address of order SO-1",
        block=True,
        code=f"P-{code}",
    )
    desk = stocked.hand("supervisor")
    desk.get("/desk")
    desk.sees("desk/today", "Stopped by the shop 1")
    desk.get("/desk/orders", only="stopped")
    desk.sees("desk/orders", "SO-1", "The buyer changed the address of order SO-1")
    desk.get(f"/desk/orders/{order}")
    desk.sees(
        "desk/order", "The buyer changed the address", "深圳市", "广州市", "To the new address", "To the old address"
    )
    assert "13800000000" not in desk.page and "Let it pass" not in desk.page
    refused(stocked, desk, f"/desk/orders/{order}/let-pass", "a supervisor decides", block=True, why="it is late")
    sent_again(stocked, desk, f"/desk/orders/{order}/new-address")
    assert "Cover the old label" in desk.page
    assert (goes_to(stocked, order), stops(stocked, order)) == ("样例街 22 号", "")
    (_old, was), (_new, now_) = numbers(stocked)
    assert (was, now_) == (WaybillState.VOID, WaybillState.LIVE)
    assert jobs(stocked) == [PrintState.CANCELLED, PrintState.QUEUED]
    desk.get("/desk/orders", only="stopped")
    assert "SO-1" not in desk.page
    refused(stocked, desk, f"/desk/orders/{order}/new-address", "changed by somebody else", "look", status=409)
    ways.handed_over(stocked, parcel)
    assert state(stocked, order) is S.SHIPPED
    stocked.books_are_right()


def parcel_of(floor: Floor, parcel: int) -> Parcel:
    with floor.database.reading() as session:
        return session.get_one(Parcel, (floor.warehouse_id, parcel))


def test_or_to_the_old_one_and_is_not_asked_again(stocked: Floor) -> None:
    order = takes(stocked, said())
    parcel = reach(stocked, order, "labelled")
    told = said(to=NEW)
    assert tells(stocked, told) == "followed"
    desk = stocked.hand("supervisor")
    sent_again(stocked, desk, f"/desk/orders/{order}/old-address")
    assert tells(stocked, replace(told, updated_at=now())) == "same"
    assert (goes_to(stocked, order), stops(stocked, order)) == ("测试路 1 号", "")
    [(_number, was)] = numbers(stocked)
    assert was is WaybillState.LIVE
    desk.get(f"/desk/orders/{order}")
    desk.sees("desk/order", "Old address kept")
    ways.handed_over(stocked, parcel)


def test_a_buyer_who_thinks_better_of_it_stops_nobody(stocked: Floor) -> None:
    order = takes(stocked, said())
    reach(stocked, order, "labelled")
    assert tells(stocked, said(to=NEW)) == "followed"
    assert tells(stocked, said()) == "followed"
    assert (goes_to(stocked, order), stops(stocked, order)) == ("测试路 1 号", "")
    with pytest.raises(ChangedMeanwhile), stocked.database.transaction(stocked.actor()) as session:
        pack.keep_old_address(session, stocked.warehouse_id, order)


def test_what_the_carrier_has_is_only_written_down(stocked: Floor) -> None:
    order = takes(stocked, said())
    ways.handed_over(stocked, reach(stocked, order, "labelled"))
    assert tells(stocked, said(to=NEW)) == "too_late"
    assert (goes_to(stocked, order), stops(stocked, order)) == ("测试路 1 号", "")


def test_a_parcel_shared_with_another_order_is_never_sent_elsewhere(stocked: Floor) -> None:
    with stocked.database.transaction(ways.actor(stocked, "supervisor")) as session:
        order_rules.switch(session, session.execute(select(Shop)).scalar_one(), "merge", True, {"hours": "24"})
    lead, other = takes(stocked, said("SO-1")), takes(stocked, said("SO-2"))
    with stocked.database.transaction(ways.actor(stocked, "supervisor")) as session:
        merge.merge(session, stocked.warehouse_id, [lead, other])
    parcel = reach(stocked, lead, "labelled")
    assert tells(stocked, said("SO-2", NEW)) == "followed"
    assert stops(stocked, lead) == "AddressChanged"
    desk = stocked.hand("supervisor")
    desk.get("/desk/orders", only="stopped")
    desk.sees("desk/orders", "SO-2")
    refused(stocked, desk, f"/desk/orders/{other}/new-address", "shares its parcel", "look")
    desk.act(f"/desk/orders/{other}/old-address")
    assert desk.feeling == "look", desk.text()
    ways.handed_over(stocked, parcel)
    assert (state(stocked, lead), state(stocked, other)) == (S.SHIPPED, S.SHIPPED)


def test_a_platforms_label_for_the_old_address_is_withdrawn(stocked: Floor) -> None:
    """R31: with platform waybills no number of ours is taken; another one must be asked for."""
    order = takes(stocked, said())
    give(stocked, order, "CN0000000001")
    reach(stocked, order, "verified")
    assert tells(stocked, said(to=NEW)) == "followed"
    assert stops(stocked, order) == "AddressChanged"
    give(stocked, order, "CN0000000002")
    desk = stocked.hand("supervisor")
    desk.act(f"/desk/orders/{order}/new-address")
    assert desk.feeling == "done", desk.text()
    desk.sees("desk/order", "withdrawn: made for another address", "waits for a parcel")
    with stocked.database.transaction(ways.actor(stocked, "packer")) as session:
        parcel = session.execute(select(Parcel)).scalar_one()
        assert waybills.take(session, parcel).number == "CN0000000002"


# ---------------------------------------------------------------- what is another address

people = st.text("张王李赵一二三四五abc", min_size=2, max_size=6)
phones = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)
streets = st.text("测试路样例街号室0123456789", min_size=8, max_size=30)
anybody = st.builds(
    Recipient,
    name=people,
    phone=phones,
    province=st.sampled_from(["广东省", "浙江省"]),
    city=st.sampled_from(["深圳市", "杭州市"]),
    district=st.sampled_from(["南山区", ""]),
    address=streets,
)


def masked(to: Recipient) -> Recipient:
    return replace(
        to,
        name=masking.mask_name(to.name),
        phone=masking.mask_phone(to.phone),
        address=masking.mask_address(to.address),
    )


@given(anybody)
def test_a_shop_that_masks_more_as_time_goes_by_has_not_changed_the_address(to: Recipient) -> None:
    plain, hidden, bare = asdict(to), asdict(masked(to)), asdict(Recipient())
    for ours, told in ((plain, hidden), (hidden, plain), (hidden, hidden), (plain, bare), (plain, plain)):
        assert not recipients.is_another(ours, told)


@given(anybody, anybody)
def test_whatever_can_be_read_and_differs_is_another_address(one: Recipient, other: Recipient) -> None:
    for name in ("name", "phone", "province", "city", "address"):
        mine, theirs = getattr(one, name), getattr(other, name)
        moved = replace(one, **{name: theirs})
        assert recipients.is_another(asdict(one), asdict(moved)) == (mine.casefold() != theirs.casefold())
    assert recipients.is_another(asdict(replace(one, oaid="A")), asdict(replace(one, oaid="B")))
    assert not recipients.is_another(
        asdict(replace(one, oaid="A")), asdict(replace(one, oaid="A", phone="1880001-123"))
    )


@pytest.mark.parametrize(
    ("ours", "told", "another"),
    [
        ("138****1234", "138****5678", True),
        ("138****1234", "13812341234", False),
        ("138****1234", "13900001234", True),
        ("张*", "张三", False),
        ("张*", "李*", True),
        ("张 三", "张三", False),
        ("ＡＢ１", "ab1", False),
        ("***", "anybody", False),
    ],
)
def test_masks_are_compared_where_they_can_be_read(ours: str, told: str, another: bool) -> None:
    assert recipients.is_another({"phone": ours}, {"phone": told}) is another


def test_it_waits_for_its_number_and_the_address_changes(stocked: Floor) -> None:
    """Weighed, its number not there yet: the old question is given up, and the new label comes by itself."""
    with stocked.database.transaction(stocked.actor()) as session:
        carrier = session.execute(select(Carrier).where(Carrier.code == "JD")).scalar_one()
        carrier.numbers_from, carrier.service = NumbersFrom.SERVICE, {"kind": "json"}
    order = takes(stocked, said())
    parcel = reach(stocked, order, "labelled")
    assert parcel_of(stocked, parcel).state is ParcelState.WEIGHED
    assert tells(stocked, said(to=NEW)) == "followed"
    assert stops(stocked, order) == "AddressChanged"
    with stocked.database.transaction(ways.actor(stocked, "supervisor")) as session:
        assert [each.id for each in pack.use_new_address(session, stocked.warehouse_id, order)] == [parcel]
    with stocked.database.transaction(stocked.actor()) as session:
        one = session.get_one(Parcel, (stocked.warehouse_id, parcel))
        request = waybills.request_of(session, one)
        assert request is not None and (request.turn, request.state) == (2, RequestState.ASKED)
        request.state, request.number = RequestState.ANSWERED, "JDX000000001"
    with stocked.database.transaction(stocked.actor()) as session:
        assert pack.finish(session, stocked.warehouse_id, parcel) is not None
    assert parcel_of(stocked, parcel).state is ParcelState.LABELLED
