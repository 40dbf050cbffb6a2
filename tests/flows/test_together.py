"""Merge 合单 and split 拆单: one parcel for several orders, several for one; each order is told (R28, R31, R37)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tests import contenders, ways
from tests.contenders import Threads
from tests.floor import Floor
from tests.flows.steps import all_rows, changed, open_shortages, state
from wms import gate_checks
from wms.clock import now
from wms.connectors import ConnectorError, Pushed, Recipient, Shipment, ShopLine, ShopOrder
from wms.errors import BadQuantity, ChangedMeanwhile
from wms.flows import cancel, merge, order_rules, release, take_in
from wms.jobs import gate, intake, sync
from wms.models import (
    Order,
    OrderLine,
    OrderState,
    Parcel,
    ParcelState,
    PickTask,
    Push,
    PushState,
    Shop,
    TakenBack,
    Waybill,
    WaybillState,
)

TO = Recipient("张三", "13800000000", "广东省", "深圳市", "南山区", "", "测试路 1 号")
S = OrderState


def said(number: str, *lines: tuple[str, int], **changes: Any) -> ShopOrder:
    """As a shop says it; its line numbers are only its own ("1", "2"), as with most shops."""
    wanted = tuple(ShopLine(str(n), sku, f"Item {sku}", qty, 990) for n, (sku, qty) in enumerate(lines, 1))
    return replace(ShopOrder(number, now(), "paid", wanted, TO), **changes)


@pytest.fixture
def stocked(any_floor: Floor) -> Floor:
    for sku, shelf in (("A1", "A-01-01-1"), ("B2", "A-01-02-1")):
        any_floor.item(sku)
        any_floor.stock(sku, shelf, 20)
    switch(any_floor, True)
    return any_floor


def switch(floor: Floor, on: bool, code: str = "SHOP", hours: str = "24", by_itself: str = "") -> None:
    with floor.database.transaction(ways.actor(floor, "supervisor")) as session:
        shop = session.execute(select(Shop).where(Shop.code == code)).scalar_one()
        order_rules.switch(session, shop, "merge", on, {"hours": hours, "by_itself": by_itself})


def takes(floor: Floor, order: ShopOrder, code: str = "SHOP") -> int:
    with floor.database.transaction(floor.actor()) as session:
        shop = session.execute(select(Shop).where(Shop.code == code)).scalar_one()
        take_in.take(session, shop, order)
        return take_in.order_row(session, shop, order.shop_order_no).id


def proposed(floor: Floor) -> list[list[str]]:
    with floor.database.reading() as session:
        return [[each.shop_order_no for each in group] for group in merge.proposals(session, floor.warehouse_id)]


def merges(floor: Floor, *orders: int) -> int:
    with floor.database.transaction(ways.actor(floor, "supervisor")) as session:
        return merge.merge(session, floor.warehouse_id, orders).id


def two(floor: Floor) -> tuple[int, int]:
    """A lead and one merged into it."""
    lead = takes(floor, said("SO-1", ("A1", 2), ship_by=now() + timedelta(hours=9)))
    other = takes(floor, said("SO-2", ("A1", 1), ("B2", 1), ship_by=now() + timedelta(hours=3)))
    assert merges(floor, other, lead) == lead
    return lead, other


def stops(floor: Floor, order: int) -> None:
    with floor.database.transaction(ways.actor(floor, "supervisor")) as session:
        cancel.cancel(session, session.get_one(Order, (floor.warehouse_id, order)), "buyer asked")


class Shops:
    """Takes every push and may say no to one order."""

    def __init__(self, grain: str = "package", refuses: str = "") -> None:
        self.grain, self.refuses = grain, refuses
        self.told: list[Shipment] = []

    def push_shipment(self, shipment: Shipment) -> Pushed:
        if shipment.shop_order_no == self.refuses:
            raise ConnectorError(permanent=False, reason="busy", message="busy")
        self.told.append(shipment)
        return Pushed("acknowledged", "ok")


def pushes(floor: Floor, shop: Shops) -> sync.Report:
    return sync.push_outstanding(floor.database, connect=lambda _kind, _settings: shop, all_now=True)  # type: ignore[arg-type,return-value]


def parcels(floor: Floor) -> list[Parcel]:
    with floor.database.reading() as session:
        return list(session.execute(select(Parcel).order_by(Parcel.id)).scalars())


# ---------------------------------------------------------------- who goes together


def test_ready_orders_of_one_recipient_are_proposed(stocked: Floor) -> None:
    takes(stocked, said("SO-1", ("A1", 1)))
    takes(stocked, said("SO-2", ("A1", 1), recipient=replace(TO, name=" 张三", address="测试路１号")))
    takes(stocked, said("SO-3", ("A1", 1), recipient=replace(TO, phone="13800000001")))
    takes(stocked, said("SO-4", ("A1", 1), recipient=replace(TO, address="测试路 11 号")))
    takes(stocked, said("SO-5", ("NOBODY-KNOWS", 1)))
    released = takes(stocked, said("SO-6", ("A1", 1)))
    stocked.release(released)
    assert proposed(stocked) == [["SO-1", "SO-2"]]
    switch(stocked, False)
    assert proposed(stocked) == []


def test_a_platforms_code_stands_for_the_recipient_within_its_shop_only(stocked: Floor) -> None:
    masked = replace(TO, name="张*", phone="138****0000", address="测试路*号")
    with stocked.database.transaction(stocked.actor()) as session:
        from wms.flows import warehouse

        carrier = session.get_one(Shop, 1).carrier_id
        warehouse.add_shop(session, "OTHER", "Other", "csv", {}, None).carrier_id = carrier
    switch(stocked, True, "OTHER")
    for number, oaid in (("SO-1", "X"), ("SO-2", "X"), ("SO-3", "Y")):
        takes(stocked, said(number, ("A1", 1), recipient=replace(masked, oaid=oaid)))
    takes(stocked, said("SO-4", ("A1", 1), recipient=replace(masked, oaid="X")), "OTHER")
    assert proposed(stocked) == [["SO-1", "SO-2"]]


def test_masked_recipients_without_a_code_are_nobodys(stocked: Floor) -> None:
    with stocked.database.transaction(stocked.actor()) as session:
        order_rules.switch(session, session.execute(select(Shop)).scalar_one(), "address", False, {})
    masked = replace(TO, name="张*")
    for number in ("SO-1", "SO-2"):
        takes(stocked, said(number, ("A1", 1), recipient=masked))
    assert proposed(stocked) == []


def test_orders_taken_in_long_ago_are_not_waited_for(stocked: Floor) -> None:
    old = takes(stocked, said("SO-1", ("A1", 1)))
    takes(stocked, said("SO-2", ("A1", 1)))
    with stocked.database.transaction(stocked.actor()) as session:
        session.get_one(Order, (stocked.warehouse_id, old)).taken_in_at = now() - timedelta(hours=25)
    assert proposed(stocked) == []


@pytest.mark.parametrize("change", ["another recipient", "rule off", "one only", "released"])
def test_what_does_not_belong_together_is_refused(stocked: Floor, change: str) -> None:
    one = takes(stocked, said("SO-1", ("A1", 1)))
    other = takes(
        stocked,
        said("SO-2", ("A1", 1), recipient=replace(TO, phone="13800000001") if change == "another recipient" else TO),
    )
    if change == "rule off":
        switch(stocked, False)
    if change == "released":
        stocked.release(other)
    before = all_rows(stocked)
    with pytest.raises((merge.NotTogether, merge.OneIsTooFew, ChangedMeanwhile)):
        merges(stocked, one, *([one] if change == "one only" else [other]))
    assert changed(before, all_rows(stocked)) == set()


# ---------------------------------------------------------------- together


def test_merged_orders_are_picked_and_packed_as_one_and_each_is_told(stocked: Floor) -> None:
    lead, other = two(stocked)
    assert (state(stocked, lead), state(stocked, other)) == (S.READY, S.MERGED)
    due = stocked.order_row(lead).ship_by
    assert due is not None and due < now() + timedelta(hours=4), "the earlier promise holds"
    assert stocked.release(lead)[0].short == {}
    with stocked.database.reading() as session:
        assert session.execute(select(func.count()).select_from(PickTask)).scalar_one() == 1
    ways.picked(stocked, lead)
    hand = stocked.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.act("/pack/scan", code="O-SO-2")  # the paper of either order opens the parcel
    hand.sees("pack/scan_item", "Orders in this parcel: 2", "SO-1", "SO-2")
    for code in ("A1", "A1", "A1", "B2"):
        hand.act("/pack/scan", code=code)
    hand.act("/pack/weigh", weight_g="900")
    [parcel] = parcels(stocked)
    stocked.books_are_right()
    ways.handed_over(stocked, parcel.id)
    assert (state(stocked, lead), state(stocked, other)) == (S.SHIPPED, S.SHIPPED)
    with stocked.database.reading() as session:
        [number] = session.execute(select(Waybill.number)).scalars()
        assert session.execute(select(func.count()).select_from(Push)).scalar_one() == 2
    stocked.books_are_right()

    busy = Shops(refuses="SO-2")
    pushes(stocked, busy)
    assert [each.lines for each in busy.told] == [(("1", "A1", 2),)]
    assert parcels(stocked)[0].state is ParcelState.HANDED_OVER, "one of its orders is not told yet"
    assert (state(stocked, lead), state(stocked, other)) == (S.SHIPPED, S.SHIPPED)
    stocked.books_are_right()
    shop = Shops()
    assert pushes(stocked, shop).clean
    [second] = shop.told
    assert (second.shop_order_no, second.waybill_no, second.lines) == ("SO-2", number, (("1", "A1", 1), ("2", "B2", 1)))
    assert second.key != busy.told[0].key and second.key.startswith(busy.told[0].key)
    assert parcels(stocked)[0].state is ParcelState.ACKNOWLEDGED
    assert (state(stocked, lead), state(stocked, other)) == (S.ACKNOWLEDGED, S.ACKNOWLEDGED)
    assert sync.reconcile(stocked.database) == [("SHOP", {"shipped": 2, "acknowledged": 2})]
    stocked.books_are_right()


def test_the_memos_of_all_of_them_are_confirmed(stocked: Floor) -> None:
    one = takes(stocked, said("SO-1", ("A1", 1)))
    other = takes(stocked, said("SO-2", ("B2", 1), seller_memo="red ribbon"))
    lead = merges(stocked, one, other)
    stocked.release(lead)
    ways.picked(stocked, lead)
    ways.verified(stocked)
    hand = stocked.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.act("/pack/weigh", weight_g="900")
    assert hand.status == 422 and "wrote a memo" in hand.said and "red ribbon" in hand.text(), hand.text()
    hand.act("/pack/memo")
    hand.act("/pack/weigh", weight_g="900")
    assert hand.feeling == "done", hand.said


def reach(floor: Floor, order: int, until: str) -> int:
    """Take the merged parcel to a state; returns the parcel once there is one."""
    steps: list[tuple[str, Callable[[], Any]]] = [
        ("ready", lambda: 0),
        ("released", lambda: floor.release(order) and 0),
        ("picking", lambda: ways.at_the_item(floor, order) and 0),
        ("picked", lambda: ways.picked(floor, order) or 0),
        ("verified", lambda: ways.verified(floor)),
        ("labelled", lambda: ways.labelled(floor)),
    ]
    for name, step in steps:
        if name in ("picking", "verified") and name != until:
            continue
        found = step()
        if name == until:
            return int(found)
    raise AssertionError(until)


@pytest.mark.parametrize("who", ["lead", "other"])
@pytest.mark.parametrize("until", ["ready", "released", "picking", "picked", "verified"])
def test_one_of_them_is_cancelled_and_the_other_goes_on(stocked: Floor, who: str, until: str) -> None:
    """R28 in each state before the label: the pieces of that order alone are freed or put back."""
    lead, other = two(stocked)
    reach(stocked, lead, until)
    gone, stays = (lead, other) if who == "lead" else (other, lead)
    stops(stocked, gone)
    stocked.books_are_right()
    carrier = lead if until != "ready" else stays
    if until == "ready":
        assert (state(stocked, gone), state(stocked, stays)) == (S.CANCELLED, S.READY)
    elif who == "other":
        assert state(stocked, gone) is S.CANCELLED
    else:
        assert state(stocked, stays) is S.MERGED
    stops(stocked, gone)
    stocked.books_are_right()
    if until == "ready":
        stocked.release(carrier)
    if until in ("ready", "released", "picking"):
        tell_the_picker(stocked, carrier)
        ways.picked(stocked, carrier)
    tell_the_packer(stocked, carrier)
    [parcel] = [each for each in parcels(stocked) if each.state is not ParcelState.VOID] or [None]  # type: ignore[list-item]
    if parcel is None or parcel.state is ParcelState.OPEN:
        ways.labelled(stocked)
    else:
        with stocked.database.transaction(ways.actor(stocked, "packer")) as session:
            from wms.flows import pack

            pack.weigh(session, session.get_one(Parcel, (stocked.warehouse_id, parcel.id)), ways.station(session), "9")
    [parcel] = [each for each in parcels(stocked) if each.state is ParcelState.LABELLED]
    ways.handed_over(stocked, parcel.id)
    shop = Shops()
    assert pushes(stocked, shop).clean
    [told] = shop.told
    expected = {"lead": ("SO-2", (("1", "A1", 1), ("2", "B2", 1))), "other": ("SO-1", (("1", "A1", 2),))}[who]
    assert (told.shop_order_no, told.lines) == expected
    assert state(stocked, stays) is S.ACKNOWLEDGED
    stocked.books_are_right()


def tell_the_picker(floor: Floor, order: int) -> None:
    """Told once by a scan, which is not what these tests are about."""
    with floor.database.transaction(floor.actor()) as session:
        for task in session.execute(select(PickTask).where(PickTask.order_id == order)).scalars():
            task.tell = False


def tell_the_packer(floor: Floor, order: int) -> None:
    with floor.database.transaction(floor.actor()) as session:
        session.get_one(Order, (floor.warehouse_id, order)).tell = False


def test_all_of_them_cancelled_one_after_the_other_leave_nothing(stocked: Floor) -> None:
    lead, other = two(stocked)
    stocked.release(lead)
    stops(stocked, lead)
    stops(stocked, other)
    assert (state(stocked, lead), state(stocked, other)) == (S.CANCELLED, S.CANCELLED)
    assert ways.held(stocked, "A1", "A-01-01-1") == (20, 0)
    stocked.books_are_right()


@pytest.mark.parametrize("who", ["lead", "other"])
def test_after_the_label_a_supervisor_takes_the_pieces_out(stocked: Floor, who: str) -> None:
    lead, other = two(stocked)
    reach(stocked, lead, "labelled")
    number, order = ("SO-1", said("SO-1", ("A1", 2))) if who == "lead" else ("SO-2", said("SO-2", ("A1", 1), ("B2", 1)))
    with stocked.database.reading() as session:
        shop = session.execute(select(Shop)).scalar_one()
    assert intake.receive(stocked.database, shop, replace(order, state="cancelled")) == "failed"
    with stocked.database.reading() as session:
        assert session.execute(select(func.sum(TakenBack.qty))).scalar_one() == 2, number
    desk = stocked.hand("supervisor")
    desk.act(f"/desk/orders/{lead}/take-out")
    assert desk.feeling == "look", desk.text()
    stocked.books_are_right()
    gone, stays = (lead, other) if who == "lead" else (other, lead)
    assert (state(stocked, lead), state(stocked, gone) is S.CANCELLED) == (S.PACKING, who == "other")
    tell_the_packer(stocked, lead)
    hand = stocked.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.act("/pack/weigh", weight_g="300")
    assert hand.feeling == "done", hand.said
    ways.handed_over(stocked, parcels(stocked)[0].id)
    told = Shops()
    assert pushes(stocked, told).clean
    assert [each.shop_order_no for each in told.told] == [stocked.order_row(stays).shop_order_no]
    with stocked.database.reading() as session:
        lives = session.execute(select(Waybill.state).order_by(Waybill.id)).scalars().all()
    assert lives == [WaybillState.VOID, WaybillState.LIVE]
    assert told.told[0].waybill_no != ""
    stocked.books_are_right()


def test_what_the_carrier_has_is_refused_for_each_of_them(stocked: Floor) -> None:
    lead, other = two(stocked)
    ways.handed_over(stocked, reach(stocked, lead, "labelled"))
    before = all_rows(stocked)
    for order in (lead, other):
        with pytest.raises(cancel.TooLate):
            stops(stocked, order)
    assert changed(before, all_rows(stocked)) == set()


def test_the_shop_changes_one_of_them_before_release_and_they_part(stocked: Floor) -> None:
    lead, other = two(stocked)
    takes(stocked, said("SO-2", ("A1", 1), ("B2", 1), recipient=replace(TO, address="另一条路 9 号")))
    assert (state(stocked, lead), state(stocked, other)) == (S.READY, S.READY)
    with stocked.database.reading() as session:
        counted = session.execute(
            select(OrderLine.order_id, func.sum(OrderLine.qty))
            .group_by(OrderLine.order_id)
            .order_by(OrderLine.order_id)
        ).all()
    assert [tuple(row) for row in counted] == [(lead, 2), (other, 2)]
    assert proposed(stocked) == []


def test_the_shop_takes_a_line_of_a_merged_order_back_under_way(stocked: Floor) -> None:
    lead, other = two(stocked)
    stocked.release(lead)
    order = said("SO-2", ("A1", 1), ("B2", 1))
    with stocked.database.reading() as session:
        shop = session.execute(select(Shop)).scalar_one()
        row = session.get_one(Order, (stocked.warehouse_id, other))
        order = replace(order, ordered_at=row.ordered_at, ship_by=row.ship_by)
    less = replace(order, lines=(order.lines[0], replace(order.lines[1], cancelled=True)))
    assert intake.receive(stocked.database, shop, less) == "part"
    assert ways.held(stocked, "B2", "A-01-02-1") == (20, 0)
    assert ways.held(stocked, "A1", "A-01-01-1") == (20, 3)
    assert state(stocked, other) is S.MERGED
    stocked.books_are_right()


def test_a_merge_is_undone_before_release_and_not_after(stocked: Floor) -> None:
    lead, other = two(stocked)
    desk = stocked.hand("supervisor")
    desk.act(f"/desk/orders/{other}/apart")
    assert desk.feeling == "done", desk.text()
    assert (state(stocked, lead), state(stocked, other)) == (S.READY, S.READY)
    assert proposed(stocked) == [["SO-1", "SO-2"]]
    merges(stocked, lead, other)
    stocked.release(lead)
    desk.act(f"/desk/orders/{other}/apart")
    assert desk.status == 409
    stocked.books_are_right()


def test_a_shop_may_want_them_together_without_anybody_asking(stocked: Floor) -> None:
    """As they come in: the third joins the first two; released ones, and another recipient's, stay as they are."""
    one, two_ = takes(stocked, said("SO-1", ("A1", 1))), takes(stocked, said("SO-2", ("B2", 1)))
    assert intake.merge_by_itself(stocked.database) == 0, "the rule only proposes"
    switch(stocked, True, by_itself="1")
    stranger = takes(stocked, said("SO-9", ("A1", 1), recipient=replace(TO, name="李四")))
    assert intake.merge_by_itself(stocked.database) == 2
    third = takes(stocked, said("SO-3", ("A1", 1)))
    assert intake.merge_by_itself(stocked.database) == 2
    assert [state(stocked, each) for each in (one, two_, third, stranger)] == [S.READY, S.MERGED, S.MERGED, S.READY]
    assert intake.merge_by_itself(stocked.database) == 0
    stocked.release(one)
    late = takes(stocked, said("SO-4", ("A1", 1)))
    assert intake.merge_by_itself(stocked.database) == 0
    assert (state(stocked, one), state(stocked, late)) == (S.RELEASED, S.READY)
    stocked.books_are_right()


def test_what_a_person_took_apart_stays_apart(stocked: Floor) -> None:
    switch(stocked, True, by_itself="1")
    one, other = takes(stocked, said("SO-1", ("A1", 1))), takes(stocked, said("SO-2", ("B2", 1)))
    assert intake.merge_by_itself(stocked.database) == 2
    desk = stocked.hand("supervisor")
    desk.act(f"/desk/orders/{one}/apart")
    assert intake.merge_by_itself(stocked.database) == 0
    assert (state(stocked, one), state(stocked, other)) == (S.READY, S.READY)
    assert proposed(stocked) == [["SO-1", "SO-2"]], "a person may change their mind"
    # When the shop changed one of them the merge was only looked at anew, so it comes together again by itself.
    three, four = (takes(stocked, said(n, ("A1", 1), recipient=replace(TO, name="王五"))) for n in ("SO-3", "SO-4"))
    assert intake.merge_by_itself(stocked.database) == 2
    takes(stocked, said("SO-4", ("A1", 2), recipient=replace(TO, name="王五")))
    assert (state(stocked, three), state(stocked, four)) == (S.READY, S.READY)
    assert intake.merge_by_itself(stocked.database) == 2


def test_the_desk_shows_who_goes_together(stocked: Floor) -> None:
    lead = takes(stocked, said("SO-1", ("A1", 2)))
    other = takes(stocked, said("SO-2", ("A1", 1)))
    desk = stocked.hand("supervisor")
    desk.get("/desk/merges")
    desk.sees("desk/merges", "SO-1", "SO-2", "Send in one parcel")
    assert "13800000000" not in desk.page
    desk.act("/desk/merges/merge", order=[str(lead), str(other)])
    assert "2 orders go in one parcel: SO-1" in desk.said
    desk.sees("desk/merges", "No orders could be sent together")
    desk.get(f"/desk/orders/{lead}")
    desk.sees("desk/order", "Goes along in the same parcel", "SO-2")
    desk.get(f"/desk/orders/{other}")
    desk.sees("desk/order", "Its pieces go with order", "SO-1")
    picker = stocked.hand("picker")
    picker.get("/desk/merges")
    assert picker.status == 403


def test_races_of_merging_releasing_and_cancelling_lose_nothing(stocked: Floor) -> None:
    """Whoever is first, every line has one carrier, and what is promised is wanted."""
    for turn in range(3):
        orders = [takes(stocked, said(f"SO-{turn}{n}", ("A1", 1))) for n in range(3)]
        with stocked.database.transaction(stocked.actor()) as session:
            wave = release.open_wave(session).id
        acts = [
            ("merge", orders[:2], wave),
            ("merge", orders[1:], wave),
            ("release", orders[:1], wave),
            ("cancel", orders[1:2], wave),
        ]
        results = Threads(4).race(
            stocked.database, contenders.merge_or_release, [(stocked.warehouse_id, *act) for act in acts]
        )
        assert not any("broke" in str(result) or result == "deadlock" for result in results), results
        with stocked.database.reading() as session:
            for line in session.execute(select(OrderLine).where(OrderLine.home_id.in_(orders))).scalars():
                carrier = session.get_one(Order, (stocked.warehouse_id, line.order_id))
                home = session.get_one(Order, (stocked.warehouse_id, line.home_id))
                if home.state is S.MERGED:
                    assert home.merged_into_id == carrier.id and carrier.state not in (S.MERGED, S.CANCELLED)
                elif line.wanted and home.state is not S.CANCELLED:
                    assert carrier.id == home.id
        stocked.books_are_right()
        for order in orders:
            stops(stocked, order)
        stocked.books_are_right()


# ---------------------------------------------------------------- apart


def splits(floor: Floor, order: int, sku: str, qty: int) -> int:
    with floor.database.transaction(ways.actor(floor, "supervisor")) as session:
        line = session.execute(
            select(OrderLine.id).where(OrderLine.order_id == order, OrderLine.sku == sku)
        ).scalar_one()
        return merge.split(session, floor.warehouse_id, order, line, qty).id


def sends(floor: Floor, order: int, tote: str = "001") -> None:
    assert floor.release(order)[0].short == {}
    ways.picked(floor, order, tote)
    ways.handed_over(floor, ways.labelled(floor, tote))


@pytest.mark.parametrize("grain", ["package", "order"])
def test_an_order_is_split_by_quantity_and_the_shop_hears_of_both_parcels(stocked: Floor, grain: str) -> None:
    order = takes(stocked, said("SO-1", ("A1", 3), ("B2", 1)))
    part = splits(stocked, order, "A1", 2)
    assert stocked.order_row(part).shop_order_no == "SO-1#2"
    sends(stocked, order)
    stocked.books_are_right()
    shop = Shops(grain)
    pushes(stocked, shop)
    first = [("SO-1", (("1", "A1", 1), ("2", "B2", 1)))]
    assert [(each.shop_order_no, each.lines) for each in shop.told] == ([] if grain == "order" else first)
    assert state(stocked, order) is (S.SHIPPED if grain == "order" else S.ACKNOWLEDGED)
    sends(stocked, part)
    assert pushes(stocked, shop).clean
    assert sorted(each.lines for each in shop.told) == [(("1", "A1", 1), ("2", "B2", 1)), (("1", "A1", 2),)]
    assert {each.shop_order_no for each in shop.told} == {"SO-1"}
    assert len({each.key for each in shop.told}) == 2
    assert [len(each.others) for each in shop.told] == ([1, 1] if grain == "order" else [0, 1])
    assert (state(stocked, order), state(stocked, part)) == (S.ACKNOWLEDGED, S.ACKNOWLEDGED)
    stocked.books_are_right()


@pytest.mark.parametrize(("sku", "qty", "refusal"), [("A1", 0, BadQuantity), ("A1", 4, BadQuantity)])
def test_a_split_that_cannot_be_is_refused(stocked: Floor, sku: str, qty: int, refusal: type[Exception]) -> None:
    order = takes(stocked, said("SO-1", ("A1", 3), ("B2", 1)))
    before = all_rows(stocked)
    with pytest.raises(refusal):
        splits(stocked, order, sku, qty)
    assert changed(before, all_rows(stocked)) == set()


def test_the_last_pieces_are_not_split_off(stocked: Floor) -> None:
    order = takes(stocked, said("SO-1", ("A1", 3)))
    with pytest.raises(merge.NothingLeft):
        splits(stocked, order, "A1", 3)
    stocked.release(order)
    with pytest.raises(ChangedMeanwhile):
        splits(stocked, order, "A1", 1)


def test_a_short_order_sends_what_is_there_and_the_rest_follows(stocked: Floor) -> None:
    order = takes(stocked, said("SO-1", ("A1", 25), ("B2", 1)))
    stocked.release(order)
    assert open_shortages(stocked) == [(5, "no_stock")]
    desk = stocked.hand("supervisor")
    desk.act(f"/desk/orders/{order}/later")
    assert "SO-1#2 follows when the rest is there" in desk.said
    assert (state(stocked, order), open_shortages(stocked)) == (S.RELEASED, [])
    ways.picked(stocked, order)
    ways.handed_over(stocked, ways.labelled(stocked))
    with stocked.database.reading() as session:
        part = session.execute(select(Order.id).where(Order.part_of_id == order)).scalar_one()
    assert state(stocked, part) is S.READY
    stocked.stock("A1", "A-01-03-1", 5)
    sends(stocked, part)
    shop = Shops()
    assert pushes(stocked, shop).clean
    assert sorted(each.lines for each in shop.told) == [(("1", "A1", 5),), (("1", "A1", 20), ("2", "B2", 1))]
    stocked.books_are_right()


def test_an_order_that_lacks_everything_is_not_parted(stocked: Floor) -> None:
    stocked.item("NONE")
    order = takes(stocked, said("SO-1", ("NONE", 2)))
    stocked.release(order)
    desk = stocked.hand("supervisor")
    desk.act(f"/desk/orders/{order}/later")
    assert desk.status == 422 and "cannot be parted" in desk.said


def test_a_split_order_is_cancelled_with_all_its_parts_until_one_is_gone(stocked: Floor) -> None:
    order = takes(stocked, said("SO-1", ("A1", 3)))
    part = splits(stocked, order, "A1", 1)
    stocked.release(part)
    stops(stocked, order)
    assert (state(stocked, order), state(stocked, part)) == (S.CANCELLED, S.CANCELLED)
    stocked.books_are_right()
    order = takes(stocked, said("SO-2", ("A1", 3)))
    part = splits(stocked, order, "A1", 1)
    sends(stocked, part)
    with pytest.raises(cancel.TooLate):
        stops(stocked, order)
    assert state(stocked, order) is S.READY
    stocked.books_are_right()


def test_the_shop_takes_pieces_of_a_split_line_back(stocked: Floor) -> None:
    order = takes(stocked, said("SO-1", ("A1", 3), ("B2", 1)))
    part = splits(stocked, order, "A1", 2)
    with stocked.database.reading() as session:
        shop = session.execute(select(Shop)).scalar_one()
        row = session.get_one(Order, (stocked.warehouse_id, order))
    less = replace(said("SO-1", ("A1", 1), ("B2", 1)), ordered_at=row.ordered_at)
    assert intake.receive(stocked.database, shop, less) == "part"
    with stocked.database.reading() as session:
        wanted = session.execute(
            select(func.sum(OrderLine.qty - OrderLine.cancelled_qty)).where(OrderLine.home_id == order)
        ).scalar_one()
    assert wanted == 2 and S.CANCELLED not in (state(stocked, order),)
    assert state(stocked, part) in (S.READY, S.CANCELLED)
    assert intake.receive(stocked.database, shop, less) == "same"
    stocked.books_are_right()


def test_pushes_are_one_for_each_parcel_and_order(stocked: Floor) -> None:
    from sqlalchemy.exc import IntegrityError

    lead, other = two(stocked)
    parcel = reach(stocked, lead, "labelled")
    ways.handed_over(stocked, parcel)
    with pytest.raises(IntegrityError), stocked.database.transaction(stocked.actor()) as session:
        session.add(
            Push(
                warehouse_id=stocked.warehouse_id,
                shop_id=1,
                order_id=other,
                parcel_id=parcel,
                state=PushState.PENDING,
                next_at=now(),
                created_at=now(),
            )
        )


class Live:
    """A shop that is asked about each order by its own number, before the label (R28)."""

    grain = "package"

    def __init__(self, *orders: ShopOrder) -> None:
        self.orders = {order.shop_order_no: order for order in orders}
        self.asked: list[str] = []

    def fetch_orders(self, since: object) -> Iterator[ShopOrder]:
        yield from self.orders.values()

    def order_state(self, shop_order_no: str) -> str:
        return self.read_order(shop_order_no).state

    def read_order(self, shop_order_no: str) -> ShopOrder:
        self.asked.append(shop_order_no)
        return self.orders[shop_order_no]

    def push_shipment(self, shipment: Shipment) -> Pushed:
        raise AssertionError

    def push_stock(self, sku: str, qty: int) -> None:
        raise AssertionError


def asks(floor: Floor, order: int, shop: Live) -> str:
    gate.ask(floor.database, floor.warehouse_id, order, patience_s=20, connect=lambda _kind, _settings: shop)
    with floor.database.reading() as session:
        refusal = gate_checks.stands(session, session.get_one(Order, (floor.warehouse_id, order)))
    return type(refusal).__name__ if refusal else ""


def test_the_shop_is_asked_about_each_order_in_the_parcel(stocked: Floor) -> None:
    """A refund asked for one of them stops the parcel; one that was cancelled is asked about no more."""
    with stocked.database.transaction(stocked.actor()) as session:
        session.execute(select(Shop)).scalar_one().connector = "jd"
    first, second = said("SO-1", ("A1", 2)), said("SO-2", ("B2", 1))
    lead, other = takes(stocked, first), takes(stocked, second)
    assert merges(stocked, lead, other) == lead
    stocked.release(lead)
    ways.picked(stocked, lead)
    shop = Live(first, second)
    assert asks(stocked, lead, shop) == "" and sorted(shop.asked) == ["SO-1", "SO-2"]
    shop.orders["SO-2"] = replace(second, state="refunding")
    assert asks(stocked, lead, shop) == "Stopped"
    shop.orders["SO-2"] = second
    shop.orders["SO-1"] = replace(first, state="cancelled", updated_at=now())
    shop.asked.clear()
    assert asks(stocked, lead, shop) == "", "the lead is gone, and what it carries for the other goes on"
    assert ways.held(stocked, "A1", "001") == (2, 0) and state(stocked, other) is S.MERGED
    shop.asked.clear()
    assert asks(stocked, lead, shop) == "" and shop.asked == ["SO-2"]
    stocked.books_are_right()


def test_a_part_is_asked_about_under_the_number_the_shop_knows(stocked: Floor) -> None:
    with stocked.database.transaction(stocked.actor()) as session:
        session.execute(select(Shop)).scalar_one().connector = "jd"
    whole = said("SO-1", ("A1", 3))
    part = splits(stocked, takes(stocked, whole), "A1", 1)
    shop = Live(whole)
    assert asks(stocked, part, shop) == "" and shop.asked == ["SO-1"]
