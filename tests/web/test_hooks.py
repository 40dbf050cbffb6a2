"""Shops knock by real HTTP: who they are, once each, answered at once; then the order is read from the shop itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import standardwebhooks
from sqlalchemy import func, select, update

from tests.connectors.fake_douyin import FakeDouyin
from tests.connectors.fake_shopify import FakeShopify
from tests.connectors.fake_webhook_shop import SECRET
from tests.connectors.fake_woocommerce import FakeWooCommerce
from tests.connectors.shop_server import CUT, Reply
from tests.floor import Floor
from tests.served import served
from wms.clock import now
from wms.connectors import connector_for
from wms.connectors import hooks as pure
from wms.flows import doors, warehouse
from wms.jobs import hooks
from wms.models import EventState, Order, Shop, ShopEvent, ShopLane

APP_SECRET = "shpss_of_the_app"


@pytest.fixture
def door(floor: Floor) -> Iterator[Any]:
    floor.item("A1")
    with served(floor.app, floor.settings) as url, httpx.Client(base_url=url) as client:
        yield client


def shop(floor: Floor, code: str, kind: str, **settings: Any) -> Shop:
    with floor.database.transaction(floor.actor()) as session:
        return warehouse.add_shop(session, code, code, kind, settings, floor.carrier("JD"))


def by_hmac(secret: str, body: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def knock(client: httpx.Client, code: str, body: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/hooks/{code}", content=body, headers={"Content-Type": "application/json", **named})


def from_shopify(client: httpx.Client, body: bytes, number: str, topic: str = "orders/updated") -> httpx.Response:
    return knock(
        client, "SFY", body, X_Shopify_Hmac_Sha256=by_hmac(APP_SECRET, body), X_Shopify_Webhook_Id=number,
        X_Shopify_Topic=topic,
    )  # fmt: skip


def signed_json(
    data: dict[str, Any], message_id: str = "", kind: str = "order.changed"
) -> tuple[bytes, dict[str, str]]:
    """Signed by the specification's own library, not by us."""
    body = json.dumps({"type": kind, "timestamp": now().isoformat(), "data": data}, ensure_ascii=False).encode()
    message_id = f"msg_{uuid.uuid4().hex}"
    at = now()
    signature = standardwebhooks.Webhook(SECRET).sign(message_id, at, body.decode())
    return body, {
        "webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature,
    }  # fmt: skip


def an_order(number: str, state: str = "paid", qty: int = 1) -> dict[str, Any]:
    return {
        "order_no": number, "state": state, "currency": "CNY",
        "recipient": {"name": "张*", "province": "上海市", "city": "上海市", "address": "**路 1 号", "oaid": "OA-1"},
        "lines": [{"ref": "1", "sku": "A1", "name": "杯子", "qty": qty, "price": "19.99"}],
    }  # fmt: skip


def events(floor: Floor) -> list[ShopEvent]:
    with floor.database.reading() as session:
        return list(session.execute(select(ShopEvent).order_by(ShopEvent.id)).scalars())


def orders(floor: Floor) -> dict[str, str]:
    with floor.database.reading() as session:
        return {row[0]: row[1].value for row in session.execute(select(Order.shop_order_no, Order.state))}


def due_now(floor: Floor) -> None:
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(ShopEvent).values(next_at=now()))
        session.execute(update(ShopLane).values(paused_until=None))


# Signed JSON, which carries its order


def test_a_signed_order_is_stored_once_and_becomes_ours(floor: Floor, door: httpx.Client) -> None:
    shop(floor, "OWN", "webhook", url="https://shop.example", secret=SECRET)
    body, headers = signed_json(an_order("N-1"))
    assert knock(door, "OWN", body, **headers).json() == {"state": "taken"}
    assert knock(door, "OWN", body, **headers).json() == {"state": "known"}
    [event] = events(floor)
    assert (event.body, event.state) == (body, EventState.NEW)
    assert orders(floor) == {}, "the door only stores"
    assert hooks.act(floor.database) == {"done": 1}
    assert orders(floor) == {"N-1": "ready"}
    [event] = events(floor)
    assert (event.state, event.body, event.facts) == (EventState.DONE, b"", {"N-1": "new"})
    assert hooks.act(floor.database) == {}
    body, headers = signed_json(an_order("N-1", "cancelled"))
    knock(door, "OWN", body, **headers)
    hooks.act(floor.database)
    assert orders(floor) == {"N-1": "cancelled"}


def test_one_message_that_comes_several_times_at_once_is_stored_once(any_floor: Floor) -> None:
    any_floor.item("A1")
    shop(any_floor, "OWN", "webhook", url="https://shop.example", secret=SECRET)
    said: list[str] = []
    with served(any_floor.app, any_floor.settings) as url:
        for number in range(5):
            body, headers = signed_json(an_order(f"N-{number}"))
            start = threading.Barrier(4)

            def send(body: bytes = body, headers: dict[str, str] = headers, start: Any = start) -> None:
                with httpx.Client(base_url=url) as client:
                    start.wait()
                    said.append(knock(client, "OWN", body, **headers).json()["state"])

            threads = [threading.Thread(target=send) for _each in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert sorted(said) == ["known"] * 15 + ["taken"] * 5 and len(events(any_floor)) == 5
    assert hooks.act(any_floor.database) == {"done": 5} and len(orders(any_floor)) == 5


def test_settings_sealed_with_another_key_ask_the_shop_to_come_again(floor: Floor, door: httpx.Client) -> None:
    from wms import sealing

    shop(floor, "OWN", "webhook", url="https://shop.example", secret=SECRET)
    body, headers = signed_json(an_order("N-1"))
    known = sealing._keys[:]
    try:
        sealing._keys[:] = ["another key, as long as it must be"]
        answer = knock(door, "OWN", body, **headers)
    finally:
        sealing._keys[:] = known
    assert (answer.status_code, answer.json()) == (503, {"state": "later"})
    assert knock(door, "OWN", body, **headers).json() == {"state": "taken"}


def test_a_message_for_the_shops_own_people_says_what_is_wrong(floor: Floor, door: httpx.Client) -> None:
    shop(floor, "OWN", "webhook", url="https://shop.example", secret=SECRET)
    body, headers = signed_json({**an_order("N-1"), "lines": [{"ref": "1", "sku": "A1", "qty": 0}]})
    answer = knock(door, "OWN", body, **headers)
    assert answer.status_code == 422 and "quantity" in answer.json()["message"]
    body, headers = signed_json(an_order("N-1"))
    old = now() - timedelta(minutes=6)
    signature = standardwebhooks.Webhook(SECRET).sign("m", old, body.decode())
    late = {"webhook-id": "m", "webhook-timestamp": str(int(old.timestamp())), "webhook-signature": signature}
    answer = knock(door, "OWN", body, **late)
    assert answer.status_code == 401 and "clock" in answer.json()["message"]
    assert events(floor) == []


def test_nobody_learns_which_shops_there_are(floor: Floor, door: httpx.Client) -> None:
    """An unknown shop, one switched off, one that never knocks, one without a secret, a wrong signature: all alike."""
    shop(floor, "OWN", "webhook", url="https://shop.example", secret=SECRET)
    shop(floor, "SFY", "shopify", url="https://shop.example", token="t")
    shop(floor, "TB", "taobao", webhook_secret=APP_SECRET)
    off = shop(floor, "OFF", "webhook", url="https://shop.example", secret=SECRET)
    with floor.database.transaction(floor.actor()) as session:
        session.get_one(Shop, off.id).active = False
    good, headers = signed_json(an_order("N-1"))
    answers = [
        knock(door, "NOBODY", good, **headers),
        knock(door, "OFF", good, **headers),
        knock(door, "OWN", good + b" ", **headers),
        knock(door, "OWN", good),
        knock(door, "SHOP", good, **headers),
        knock(door, "TB", good, X_Shopify_Hmac_Sha256=by_hmac(APP_SECRET, good)),
        from_shopify(door, good, "1"),
        knock(door, "NOBODY", good, X_Shopify_Hmac_Sha256=by_hmac("whsec", good)),
        knock(door, "NOBODY", good, X_Shopify_Hmac_Sha256=by_hmac("nobody", good)),
    ]
    assert {(one.status_code, one.content, one.headers["Content-Type"]) for one in answers} == {
        (401, b'{"state":"refused"}\n', "application/json")
    }
    assert events(floor) == []


def test_a_message_that_is_too_long_is_not_read(floor: Floor, door: httpx.Client) -> None:
    shop(floor, "SFY", "shopify", url="https://shop.example", token="t", webhook_secret=APP_SECRET)
    body = b"x" * (pure.MOST_BYTES + 1)
    assert from_shopify(door, body, "1").status_code == 413
    assert from_shopify(door, b"x" * pure.MOST_BYTES, "1").status_code == 200
    assert knock(door, "NOBODY", body).status_code == 413


def test_only_a_post_without_a_session_is_let_in_here_and_nowhere_else(floor: Floor, door: httpx.Client) -> None:
    assert door.get("/hooks/OWN").status_code == 405
    for path in ("/desk", "/desk/orders", "/pick"):
        assert door.get(path).status_code in (302, 303)
    assert door.post("/desk/pushes/1/again").status_code == 400, "a form still needs its token"


def test_hostile_names_and_headers_make_no_fault(floor: Floor, door: httpx.Client) -> None:
    shop(floor, "SFY", "shopify", url="https://shop.example", token="t", webhook_secret=APP_SECRET)
    for code in ("%00", "%F0%9F%98%80", "'%20OR%201=1", "a" * 3000):
        assert door.post(f"/hooks/{code}", content=b"{}").status_code in (401, 404), code
    body = b"[" * 200_000
    answer = door.post(
        "/hooks/SFY",
        content=body,
        headers=[
            ("X-Shopify-Hmac-Sha256", by_hmac(APP_SECRET, body)),
            ("X-Shopify-Webhook-Id", "9" * 4000),
            ("X-Shopify-Topic", "orders/updated" * 50),
            ("Content-Type", "multipart/form-data; boundary=x"),
        ],
    )
    assert answer.status_code == 200 and answer.json() == {"state": "known"}, "nothing to read, nothing to keep"
    answer = door.post("/hooks/SFY", content=b"{}", headers=[("X-Shopify-Hmac-Sha256", b"\xff\xfe")])
    assert answer.status_code == 401


# Shops whose orders are read anew


def test_shopify_tells_and_the_order_is_read_from_it(floor: Floor, door: httpx.Client) -> None:
    fake = FakeShopify()
    with fake.net.running():
        shop(floor, "SFY", "shopify", url=fake.net.url, token=fake.token, webhook_secret=f"old {APP_SECRET}")
        node = fake.order("1001", ("A1", 2))
        node["shippingAddress"] |= {"name": "Tester", "phone": "02100000000", "address1": "1 Test Road"}
        number = int(str(node["id"]).rsplit("/", 1)[1])
        # What the message says of state and pieces is not believed: the shop is asked.
        body = json.dumps({"id": number, "name": "#lies", "cancelled_at": "2026-11-21T00:00:00Z"}).encode()
        assert from_shopify(door, body, "d1").json() == {"state": "taken"}
        assert from_shopify(door, body, "d1").json() == {"state": "known"}
        assert from_shopify(door, json.dumps({"order_id": number}).encode(), "d2", "refunds/create").status_code == 200
        assert from_shopify(door, b'{"id": 5}', "d3", "products/update").json() == {"state": "known"}
        assert hooks.act(floor.database) == {"done": 2}
        assert orders(floor) == {str(node["name"]): "ready"}
        assert [event.facts for event in events(floor)] == [
            {f"gid://shopify/Order/{number}": "new"}, {f"gid://shopify/Order/{number}": "same"},
        ]  # fmt: skip


def test_woocommerce_pings_with_a_form_and_then_tells(floor: Floor, door: httpx.Client) -> None:
    fake = FakeWooCommerce()
    with fake.net.running():
        shop(floor, "WOO", "woocommerce", url=fake.net.url, key=fake.key, secret=fake.secret, webhook_secret="woo")
        ping = b"webhook_id=7"
        answer = door.post(
            "/hooks/WOO",
            content=ping,
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "X-WC-Webhook-Signature": by_hmac("woo", ping),
            },
        )
        assert (answer.status_code, events(floor)) == (200, [])
        number = fake.order(("A1", 1))
        body = json.dumps({"id": number, "status": "cancelled"}).encode()
        for _twice in range(2):
            knock(
                door, "WOO", body, X_WC_Webhook_Signature=by_hmac("woo", body), X_WC_Webhook_Topic="order.updated",
                X_WC_Webhook_Delivery_ID="abc",
            )  # fmt: skip
        assert hooks.act(floor.database) == {"done": 1}
        assert orders(floor) == {str(number): "ready"}


def test_douyin_tests_the_address_and_then_tells(floor: Floor, door: httpx.Client) -> None:
    """The platform gives no id of the delivery: the same bytes are the same message. Only our shop's orders count."""
    fake = FakeDouyin()
    with fake.net.running():
        shop(
            floor, "DY", "douyin", url=fake.net.url, app_key=fake.app_key, app_secret=fake.secret,
            access_token=fake.token, shop_id="77",
        )  # fmt: skip

        def tell(*messages: dict[str, Any]) -> httpx.Response:
            body = json.dumps(list(messages), ensure_ascii=False).encode()
            text = fake.app_key.encode() + body + fake.secret.encode()
            return knock(door, "DY", body, event_sign=hashlib.md5(text).hexdigest(), app_id=fake.app_key)

        assert tell({"tag": "0", "msg_id": "0", "data": "2026"}).json() == {"code": 0, "msg": "success"}
        assert events(floor) == []
        mine, other = (str(fake.order(number, ("A1", 1))["order_id"]) for number in ("4801", "4802"))
        news = {"tag": "101", "msg_id": "m1", "data": json.dumps({"p_id": int(mine), "shop_id": 77})}
        foreign = {"tag": "101", "msg_id": "m2", "data": {"p_id": int(other), "shop_id": 78}}
        for _twice in range(2):
            assert tell(news, foreign).json() == {"code": 0, "msg": "success"}
        assert knock(door, "DY", b"[]", event_sign="0" * 32).status_code == 401

        def connect(kind: str, settings: dict[str, Any], **more: Any) -> Any:
            made: Any = connector_for(kind, settings)
            made.clock = lambda: fake.now
            return made

        assert hooks.act(floor.database, connect=connect) == {"done": 1}
        assert orders(floor) == {mine: "ready"}


def test_a_shop_that_cannot_be_asked_now_is_asked_later_and_holds_nobody_up(floor: Floor, door: httpx.Client) -> None:
    fake = FakeWooCommerce()
    with fake.net.running():
        shop(floor, "WOO", "woocommerce", url=fake.net.url, key=fake.key, secret=fake.secret, webhook_secret="woo")
        shop(floor, "OWN", "webhook", url="https://shop.example", secret=SECRET)
        numbers = [fake.order(("A1", 1)) for _each in range(3)]
        for number in [*numbers, 999_999]:
            body = json.dumps({"id": number}).encode()
            knock(
                door, "WOO", body, X_WC_Webhook_Signature=by_hmac("woo", body), X_WC_Webhook_Topic="order.created",
                X_WC_Webhook_Delivery_ID=f"d{number}",
            )  # fmt: skip
        body, headers = signed_json(an_order("N-1"))
        knock(door, "OWN", body, **headers)
        fake.net.before = lambda call: CUT
        assert hooks.act(floor.database) == {"retry": 1, "done": 1}, "the first failure rests the lane, others go on"
        assert len(fake.net.calls) == 1
        with floor.database.reading() as session:
            waiting = doors.messages(session, floor.warehouse_id)
        assert list(waiting.values()) == [{EventState.NEW: 3, EventState.RETRY: 1}]
        assert "cannot be reached" in events(floor)[0].reason or "answer" in events(floor)[0].reason
        assert hooks.act(floor.database) == {}, "the lane is paused, its messages wait"
        fake.net.before = lambda call: Reply(401, b"{}")
        due_now(floor)
        assert hooks.act(floor.database) == {"paused": 1}, "a wrong key says nothing of the order: it counts as no try"
        assert events(floor)[0].attempts == 1
        fake.net.before = lambda call: None
        due_now(floor)
        assert hooks.act(floor.database) == {"done": 3, "dead": 1}
        assert set(orders(floor)) == {"N-1", *map(str, numbers)}
        dead = next(event for event in events(floor) if event.state is EventState.DEAD)
        assert "no order" in dead.reason and dead.facts["order"] == "999999"


def test_a_worker_that_died_over_a_message_is_followed(floor: Floor, door: httpx.Client) -> None:
    shop(floor, "OWN", "webhook", url="https://shop.example", secret=SECRET)
    body, headers = signed_json(an_order("N-1"))
    knock(door, "OWN", body, **headers)
    [event] = events(floor)
    assert hooks._claim(floor.database, event.warehouse_id, event.id) is not None
    assert hooks._claim(floor.database, event.warehouse_id, event.id) is None
    assert hooks.act(floor.database) == {}
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(ShopEvent).values(leased_until=now() - timedelta(seconds=1)))
    assert hooks.act(floor.database) == {"done": 1} and orders(floor) == {"N-1": "ready"}


def test_old_messages_are_dropped(floor: Floor, door: httpx.Client) -> None:
    shop(floor, "OWN", "webhook", url="https://shop.example", secret=SECRET)
    for number in ("N-1", "N-2", "N-3"):
        body, headers = signed_json(an_order(number))
        knock(door, "OWN", body, **headers)
        if number != "N-3":
            hooks.act(floor.database)
    first = events(floor)[0].id
    with floor.database.transaction(floor.actor()) as session:
        old = now() - hooks.KEEP - timedelta(days=1)
        session.execute(update(ShopEvent).where(ShopEvent.id == first).values(received_at=old))
    assert hooks.tidy(floor.database) == 1
    assert [event.state for event in events(floor)] == [EventState.DONE, EventState.NEW]


def test_two_hundred_knocks_are_answered_quickly(floor: Floor, door: httpx.Client, capsys: Any) -> None:
    """A figure to read, no judgement: clocks of a busy machine prove nothing. Every one is stored, though."""
    shop(floor, "OWN", "webhook", url="https://shop.example", secret=SECRET)
    took = []
    for number in range(200):
        body, headers = signed_json(an_order(f"N-{number}"))
        began = time.perf_counter()
        assert knock(door, "OWN", body, **headers).json() == {"state": "taken"}
        took.append((time.perf_counter() - began) * 1000)
    with floor.database.reading() as session:
        assert session.execute(select(func.count()).select_from(ShopEvent)).scalar_one() == 200
    with capsys.disabled():
        print(f"\n200 knocks: median {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms")
