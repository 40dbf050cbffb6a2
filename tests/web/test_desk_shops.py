"""Shops at the desk: lanes in words, unknown items said once, keys written and never shown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from tests.connectors.fake_webhook_shop import SECRET, FakeWebhookShop
from tests.floor import Floor, Hand
from tests.flows.test_mapping import said
from wms.clock import now
from wms.connectors import ConnectorError
from wms.db import Actor
from wms.flows import shops, take_in
from wms.jobs import intake, lanes
from wms.models import Journal, Order, OrderState, RawOrder, RawState, Shop, ShopLane

JD = {
    "kind": "jd", "code": "JD-1", "shop_name": "京东店", "active": "1", "app_key": "KEY", "app_secret": "SECRET-ONE",
    "access_token": "TOKEN-ONE", "carriers": "SF=467, ZTO=1499",
}  # fmt: skip


def shop(floor: Floor, code: str = "SHOP") -> Shop:
    with floor.database.reading() as session:
        return session.execute(select(Shop).where(Shop.code == code)).scalar_one()


def lane(floor: Floor, code: str = "SHOP") -> ShopLane:
    with floor.database.reading() as session:
        return session.get_one(ShopLane, shop(floor, code).id)


@pytest.fixture
def hand(floor: Floor) -> Hand:
    floor.item("A1")
    return floor.hand("supervisor")


def test_pickers_stay_out_and_only_an_admin_changes(floor: Floor, hand: Hand) -> None:
    at, picker = f"/desk/shops/{shop(floor).id}", floor.hand("picker")
    for path in ("/desk/shops", at):
        picker.get(path)
        assert picker.status == 403
        hand.get(path)
        assert hand.status == 200
    for path in ("/desk/shops/new", f"{at}/change"):
        hand.get(path)
        assert hand.status == 403, path
    for path in ("/desk/shops/save", f"{at}/save", f"{at}/test"):
        hand.post(path, **JD)
        assert hand.status == 403, path


def test_a_paused_lane_says_why_and_goes_on_by_hand(floor: Floor, hand: Hand) -> None:
    row = shop(floor)
    lanes.failed(
        floor.database,
        row,
        ConnectorError(
            permanent=True, reason="unauthorised", message="%(host)s refuses our key. Enter a new one.",
            facts={"host": "shop.example"},
        ),
    )  # fmt: skip
    hand.get("/desk/shops")
    hand.sees("desk/shops", "Paused", "shop.example refuses our key")
    hand.act(f"/desk/shops/{row.id}/pause", act="resume")
    assert "goes on" in hand.said and row.id in lanes.to_pull(floor.database)
    hand.act(f"/desk/shops/{row.id}/pause", act="pause")
    assert "Stopped by hand" in hand.text()
    assert row.id in lanes.paused(floor.database) and row.id not in lanes.to_pull(floor.database)
    hand.act(f"/desk/shops/{row.id}/pause", act="resume")
    hand.act(f"/desk/shops/{row.id}/read")
    assert row.id in lanes.to_pull(floor.database)


def test_a_key_that_ends_soon_is_said(floor: Floor, hand: Hand) -> None:
    with floor.database.transaction(floor.actor()) as session:
        held = shops.lane(session, shop(floor))
        held.authorised_until = now() + timedelta(days=3, hours=1)
    hand.get("/desk/shops")
    assert "in 3 days" in hand.text()
    hand.get(f"/desk/shops/{shop(floor).id}")
    assert "The shop's key ends at" in hand.text()


def test_an_unknown_item_is_chosen_and_its_orders_go_on(floor: Floor, hand: Hand) -> None:
    row = shop(floor)
    with floor.database.transaction(floor.actor()) as session:
        for number in ("1", "2"):
            take_in.take(session, row, said(number, "x/1 红"))
    hand.get("/desk/shops")
    hand.sees("desk/shops", "x/1 红", "at the shop x/1 红")
    hand.get(f"/desk/shops/{row.id}/item", sku="x/1 红", q="A1")
    hand.sees("desk/shop_item", "Item A1")
    chosen = hand.page.split('name="item" value="')[1].split('"')[0]
    hand.post(f"/desk/shops/{row.id}/item", sku="x/1 红", item=chosen)
    assert "Orders that go on: 2." in hand.said
    with floor.database.reading() as session:
        assert set(session.execute(select(Order.state)).scalars()) == {OrderState.READY}
    assert "Every item of every held order is known." in hand.text()
    name = hand.page.split('name="name" value="')[1].split('"')[0]
    hand.act(f"/desk/shops/{row.id}/forget", name=name)
    assert "is no name of an item any more" in hand.said
    hand.post(f"/desk/shops/{row.id}/item", sku="x", item="999999")
    assert hand.status == 404


def test_an_order_that_was_not_taken_in_is_tried_again(floor: Floor, hand: Hand) -> None:
    row = shop(floor)
    intake.receive(floor.database, row, said("1", "A1"))
    with floor.database.transaction(floor.actor()) as session:
        session.execute(
            update(RawOrder).values(
                state=RawState.FAILED, reason=intake.BROKE, facts={"fault": "KeyError"}, order_id=None, tries=1
            )
        )
    hand.get(f"/desk/shops/{row.id}")
    hand.sees("desk/shop", "It could not be taken in (KeyError)")
    raw = hand.page.split('name="raw" value="')[2].split('"')[0]
    hand.act(f"/desk/shops/{row.id}/raw", raw=raw)
    assert "Looked at again within a few seconds: 1." in hand.said
    assert intake.settle_left(floor.database) == 1
    with floor.database.reading() as session:
        assert session.execute(select(RawOrder.state)).scalar_one() is RawState.TAKEN


def test_a_shop_is_added_and_its_keys_are_never_shown_again(floor: Floor, hand: Hand) -> None:
    admin = floor.hand("admin")
    admin.get("/desk/shops/new")
    admin.sees("desk/shop_kind", "JD", "Taobao and Tmall", "Shopify")
    admin.get("/desk/shops/new", kind="jd")
    admin.sees("desk/shop_form", "App secret")
    admin.post("/desk/shops/save", **JD)
    assert admin.status == 302, admin.text()
    row = shop(floor, "JD-1")
    assert row.settings["app_secret"] == "SECRET-ONE" and row.settings["carriers"] == "SF=467, ZTO=1499"
    for path in (f"/desk/shops/{row.id}", f"/desk/shops/{row.id}/change", "/desk/shops"):
        admin.get(path)
        assert "SECRET-ONE" not in admin.page and "TOKEN-ONE" not in admin.page
    with floor.database.reading() as session:
        stored = str(session.execute(text("SELECT settings FROM shop WHERE code = 'JD-1'")).scalar_one())
        assert "SECRET-ONE" not in stored
        noted = " ".join(session.execute(select(Journal.after)).scalars())
        assert "SECRET-ONE" not in noted and "app_secret" in noted
    admin.post(f"/desk/shops/{row.id}/save", **{**JD, "app_secret": "", "access_token": "", "app_key": "KEY-TWO"})
    assert shop(floor, "JD-1").settings["app_secret"] == "SECRET-ONE"
    assert shop(floor, "JD-1").settings["app_key"] == "KEY-TWO"


def test_keys_do_not_follow_to_another_address(floor: Floor, hand: Hand) -> None:
    """Write-only must hold against whoever may change the address."""
    admin = floor.hand("admin")
    admin.post("/desk/shops/save", **JD)
    row = shop(floor, "JD-1")
    elsewhere = {**JD, "app_secret": "", "access_token": "", "url": "https://elsewhere.example/"}
    admin.post(f"/desk/shops/{row.id}/save", **elsewhere)
    assert admin.status == 422 and "must be entered anew" in admin.text()
    assert "url" not in shop(floor, "JD-1").settings
    admin.post(f"/desk/shops/{row.id}/save", **{**elsewhere, "app_secret": "S2", "access_token": "T2"})
    assert shop(floor, "JD-1").settings["url"] == "https://elsewhere.example/"


@pytest.mark.parametrize(("change", "told"), [
    ({"code": "no blanks"}, "letters, digits and dashes"), ({"code": "SHOP"}, "already"),
    ({"shop_name": " "}, "a name"),
    ({"app_secret": ""}, "app_secret"), ({"carriers": "SF"}, "SF=467"), ({"kind": "none"}, "kind of shop"),
])  # fmt: skip
def test_what_cannot_be_right_is_said_and_nothing_is_saved(
    floor: Floor, hand: Hand, change: dict[str, str], told: str
) -> None:
    admin = floor.hand("admin")
    admin.post("/desk/shops/save", **{**JD, **change})
    assert admin.status in (404, 422) and told in admin.text()
    with floor.database.reading() as session:
        assert session.execute(select(Shop.code)).scalars().all() == ["SHOP"]


def test_a_new_key_opens_a_paused_lane(floor: Floor, hand: Hand) -> None:
    admin = floor.hand("admin")
    admin.post("/desk/shops/save", **JD)
    row = shop(floor, "JD-1")
    lanes.failed(floor.database, row, ConnectorError(permanent=True, reason="wrong_keys", message="no"))
    assert row.id in lanes.paused(floor.database)
    admin.post(f"/desk/shops/{row.id}/save", **{**JD, "app_secret": "SECRET-TWO", "access_token": ""})
    assert row.id not in lanes.paused(floor.database) and lane(floor, "JD-1").failures == 0


def test_the_connection_is_tested(floor: Floor, hand: Hand) -> None:
    admin, real = floor.hand("admin"), FakeWebhookShop()
    with real.net.running():
        admin.post(
            "/desk/shops/save", kind="webhook", code="W", shop_name="Web", active="1", url=real.net.url, secret=SECRET,
            can="list state stock",
        )  # fmt: skip
        at = f"/desk/shops/{shop(floor, 'W').id}/test"
        admin.post(at)
        assert "Web lets us in. It has no order" in admin.said, admin.text()
        real.order("N-1", ("A1", 2))
        admin.post(at)
        assert "It shows order N-1" in admin.said
    admin.post(at)
    assert "cannot be reached" in admin.said
    with floor.database.transaction(Actor(1)) as session:
        shops.shop_of(session, 1, shop(floor, "W").id).settings = {"url": real.net.url, "secret": SECRET}
    admin.post(at)
    assert "nothing can be asked of it" in admin.said
