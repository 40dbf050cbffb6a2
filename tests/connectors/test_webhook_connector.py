"""A shop by signed JSON: what comes in is checked and read, what goes out is known again, and nothing leaks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.fake_webhook_shop import SECRET, FakeWebhookShop
from tests.connectors.parcels import parcel
from tests.connectors.shop_server import CUT, Call, LateAnswers, Reply
from wms.connectors import Connector, ConnectorError, connector_for
from wms.connectors.webhook import MOST_LINES, TOLERANCE, Webhook, receive, secrets_of, signed, verify

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OLD_SECRET = "whsec_" + base64.b64encode(b"an older secret of the tests").decode()
SETTINGS = {"secret": SECRET}


@pytest.fixture
def shop() -> Iterator[FakeWebhookShop]:
    made = FakeWebhookShop()
    with made.net.running():
        yield made


@pytest.fixture
def late() -> LateAnswers:
    return LateAnswers()


@pytest.fixture
def hook(shop: FakeWebhookShop, late: LateAnswers) -> Webhook:
    return Webhook.from_settings({"url": shop.net.url, "secret": SECRET, "can": "list state stock"}, late)


def order(**changes: Any) -> dict[str, Any]:
    return {
        "order_no": "2026-17",
        "state": "paid",
        "currency": "CNY",
        "ordered_at": "2026-11-21T20:00:00+08:00",
        "buyer_note": "请放门卫 😀",
        "recipient": {"name": "张*", "address": "**路 1 号", "oaid": "oaid-1"},
        "lines": [{"ref": "1", "sku": "A1", "name": "杯子", "qty": 2, "price": "19.99"}],
        **changes,
    }


def message(data: Any, kind: str = "order.changed") -> bytes:
    return json.dumps({"type": kind, "data": data}, ensure_ascii=False).encode()


def told(body: bytes, at: datetime = NOW, secret: str = SECRET, message_id: str = "msg_1") -> dict[str, str]:
    """Headers as the specification's own library signs them."""
    signature = standardwebhooks.Webhook(secret).sign(message_id, at, body.decode())
    return {"Webhook-Id": message_id, "Webhook-Timestamp": str(int(at.timestamp())), "Webhook-Signature": signature}


# What comes in


def test_it_is_a_connector_of_its_kind() -> None:
    made = connector_for("webhook", {"url": "https://shop.test/hook", "secret": SECRET})
    assert isinstance(made, Webhook) and isinstance(made, Connector)


def test_an_order_that_the_specifications_library_signed_is_read() -> None:
    body = message(order())
    got = receive(SETTINGS, told(body), body, NOW)
    assert got.id == "msg_1"
    assert (got.order.shop_order_no, got.order.state, got.order.currency) == ("2026-17", "paid", "CNY")
    assert got.order.ordered_at == NOW
    assert [(line.line_ref, line.sku, line.qty, line.price_minor) for line in got.order.lines] == [("1", "A1", 2, 1999)]
    assert (got.order.recipient.name, got.order.recipient.oaid) == ("张*", "oaid-1")
    assert got.order.buyer_note == "请放门卫 😀"
    assert got.order.raw["lines"][0]["price"] == "19.99"


@pytest.mark.parametrize(
    ("price", "currency", "minor"),
    [("19.99", "CNY", 1999), (0.07, "EUR", 7), (19, "USD", 1900), ("1200", "JPY", 1200), ("1.2345", "KWD", 1235)],
)
def test_money_is_exact_in_the_minor_units_of_its_currency(price: Any, currency: str, minor: int) -> None:
    lines = [{"ref": "1", "sku": "A1", "qty": 1, "price": price}]
    body = message(order(currency=currency, lines=lines))
    assert receive(SETTINGS, told(body), body, NOW).order.lines[0].price_minor == minor


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Webhook-Signature": ""},
        {"Webhook-Signature": "v1,"},
        {"Webhook-Signature": "v2,AAAA"},
        {"Webhook-Signature": "v1,ünlike"},
        {"Webhook-Id": "msg_2"},
        {"Webhook-Timestamp": str(int(NOW.timestamp()) + 1)},
        {"Webhook-Timestamp": "now"},
        {"Webhook-Timestamp": "²"},
        {"Webhook-Timestamp": "9" * 400},
        {"Webhook-Id": "m" * 300},
    ],
)
def test_a_message_nobody_we_know_signed_is_refused(headers: dict[str, str]) -> None:
    body = message(order())
    with pytest.raises(ConnectorError) as refused:
        receive(SETTINGS, {**told(body), **headers} if headers else {}, body, NOW)
    assert refused.value.reason == "bad_signature"


def test_one_changed_byte_or_another_secret_is_refused() -> None:
    body = message(order())
    for given_body, secret in ((body.replace(b'"qty": 2', b'"qty": 3'), SECRET), (body, OLD_SECRET)):
        with pytest.raises(ConnectorError) as refused:
            receive({"secret": secret}, told(body), given_body, NOW)
        assert refused.value.reason == "bad_signature"


@pytest.mark.parametrize("off", [TOLERANCE + timedelta(seconds=1), -TOLERANCE - timedelta(seconds=1)])
def test_a_message_that_is_repeated_later_or_of_a_wrong_clock_is_refused(off: timedelta) -> None:
    body = message(order())
    headers = told(body)
    assert receive(SETTINGS, headers, body, NOW + TOLERANCE).id == "msg_1"
    with pytest.raises(ConnectorError) as refused:
        receive(SETTINGS, headers, body, NOW + off)
    assert refused.value.reason == "too_old"
    assert "5 minutes" in str(refused.value)


def test_while_the_secret_is_changed_both_are_taken() -> None:
    body = message(order())
    both = {"secret": f"{SECRET} {OLD_SECRET}"}
    for secret in (SECRET, OLD_SECRET):
        assert receive(both, told(body, secret=secret), body, NOW).id == "msg_1"
    headers = told(body, secret=OLD_SECRET)
    headers["Webhook-Signature"] += " " + told(body)["Webhook-Signature"]
    assert receive(SETTINGS, headers, body, NOW).id == "msg_1"


BAD_ORDERS: list[tuple[dict[str, Any], str]] = [
    ({"order_no": ""}, "order_no"),
    ({"order_no": 17}, "order_no"),
    ({"order_no": "9" * 65}, "order_no"),
    ({"lines": None}, "lines"),
    ({"lines": ["A1"]}, "lines"),
    ({"lines": [{"sku": "A1", "qty": 1}]}, "lines.ref"),
    ({"lines": [{"ref": "1", "qty": 1}]}, "lines.sku"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": 0}]}, "lines.qty"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": -2}]}, "lines.qty"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": 1.5}]}, "lines.qty"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": True}]}, "lines.qty"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": "2"}]}, "lines.qty"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": 1, "price": "free"}]}, "lines.price"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": 1, "price": "NaN"}]}, "lines.price"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": 1, "price": "1e99999999"}]}, "lines.price"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": 1, "price": -1}]}, "lines.price"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": 1, "kind": "gift"}]}, "lines.kind"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": 1}] * 2}, "lines.ref"),
    ({"lines": [{"ref": "1", "sku": "A1", "qty": 1}] * (MOST_LINES + 1)}, "lines"),
    ({"recipient": "张"}, "recipient"),
    ({"recipient": {"name": 1}}, "name"),
    ({"ordered_at": "2026-11-21T12:00:00"}, "ordered_at"),
    ({"ship_by": "tomorrow"}, "ship_by"),
    ({"buyer_note": "a\0b"}, "body"),
    ({"buyer_note": "\ud800"}, "body"),
]


@pytest.mark.parametrize(("changes", "where"), BAD_ORDERS)
def test_an_order_that_cannot_be_meant_names_the_field(changes: dict[str, Any], where: str) -> None:
    body = json.dumps({"type": "order.changed", "data": order(**changes)}).encode()
    with pytest.raises(ConnectorError) as refused:
        receive(SETTINGS, told(body), body, NOW)
    assert (refused.value.permanent, refused.value.reason) == (True, "bad_message")
    assert refused.value.facts["where"] == where


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"NaN", b'{"type": "order.gone"}', b'{"type": "order.changed"}'])
def test_a_body_that_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ConnectorError) as refused:
        receive(SETTINGS, told(body), body, NOW)
    assert refused.value.reason == "bad_message"


def test_a_note_that_only_looks_like_a_forbidden_character_is_kept() -> None:
    body = message(order(buyer_note="a backslash: \\u0000"))
    assert receive(SETTINGS, told(body), body, NOW).order.buyer_note == "a backslash: \\u0000"


def test_a_state_nobody_knows_is_shipped_by_nobody() -> None:
    for state in ("PAID", "on fire", "", 7):
        body = message(order(state=state))
        assert receive(SETTINGS, told(body), body, NOW).order.state == "other"


@pytest.mark.parametrize("secret", ["", "hush", "whsec_", "whsec_AAAA", "whsec_not base64!", SECRET[6:]])
def test_a_secret_that_is_none_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ConnectorError) as refused:
        Webhook.from_settings({"url": "https://shop.test/", "secret": secret})
    assert refused.value.permanent
    assert not secret or secret not in str(refused.value).replace("whsec_ and", "")


@given(
    secret=st.binary(min_size=24, max_size=64),
    message_id=st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64),
    text=st.text(),
)
def test_any_text_is_signed_and_verified_as_the_specifications_library_does(
    secret: bytes, message_id: str, text: str
) -> None:
    written = "whsec_" + base64.b64encode(secret).decode()
    at, body = datetime.now(UTC), text.encode()
    headers = signed(secret, message_id, at, body)
    standardwebhooks.Webhook(written).verify(body, headers, json_parse=False)
    assert verify(secrets_of(written), told(body, at, written, message_id), body, at) == message_id
    with pytest.raises(ConnectorError):
        verify(secrets_of(written), headers, body + b" ", at)


# What goes out


def test_orders_are_listed_page_by_page_and_a_bad_one_does_not_stop_the_others(
    shop: FakeWebhookShop, hook: Webhook
) -> None:
    for number in range(5):
        shop.order(str(number), ("A1", 1))
    shop.orders["2"]["lines"][0]["qty"] = "many"
    found = {one.shop_order_no: one for one in hook.fetch_orders(NOW)}
    assert list(found) == ["0", "1", "2", "3", "4"]
    assert (found["2"].lines, found["2"].hold) == ((), "unreadable")
    assert hook.unread["2"].facts["where"] == "lines.qty"
    assert found["4"].state == "paid"
    assert json.loads(shop.net.calls[0].body)["data"]["changed_after"] == "2026-11-21T11:58:00+00:00"


def test_a_shop_that_only_tells_is_not_asked(shop: FakeWebhookShop) -> None:
    quiet = Webhook.from_settings({"url": shop.net.url, "secret": SECRET})
    assert list(quiet.fetch_orders(None)) == []
    quiet.push_stock("A1", 1)
    with pytest.raises(ConnectorError) as refused:
        quiet.order_state("1")
    assert refused.value.reason == "no_live_state"
    assert shop.net.calls == []
    with pytest.raises(ConnectorError, match="fly"):
        Webhook.from_settings({"url": shop.net.url, "secret": SECRET, "can": "state fly"})


def test_a_shipment_arrives_with_its_number_and_repeating_it_changes_nothing(
    shop: FakeWebhookShop, hook: Webhook
) -> None:
    shop.order("1", ("A1", 2))
    assert hook.order_state("1") == "paid"
    for _ in range(3):
        assert hook.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.waybills == {"1": ["SF1"]}
    sent = json.loads(shop.net.calls[-1].body)
    assert (sent["type"], sent["data"]["lines"]) == ("shipment.created", [{"ref": "", "sku": "A1", "qty": 2}])
    assert "recipient" not in sent["data"]


def test_two_parcels_of_one_order_are_two_messages(shop: FakeWebhookShop, hook: Webhook) -> None:
    shop.order("1", ("A1", 5))
    assert hook.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"
    assert hook.push_shipment(parcel("1", "SF2", ("A1", 3), no="P2")).state == "acknowledged"
    assert shop.waybills == {"1": ["SF1", "SF2"]}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_message_cut_off_is_sent_again_under_the_same_id(shop: FakeWebhookShop, hook: Webhook, when: str) -> None:
    shop.order("1", ("A1", 2))
    left = [1]
    setattr(shop.net, when, lambda call: CUT if left and left.pop() else None)
    with pytest.raises(ConnectorError) as refused:
        hook.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert not refused.value.permanent
    assert hook.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.waybills == {"1": ["SF1"]}
    assert len({call.headers["webhook-id"] for call in shop.net.calls}) == 1


def test_an_answer_that_comes_too_late_is_tried_again(shop: FakeWebhookShop, hook: Webhook, late: LateAnswers) -> None:
    shop.order("1", ("A1", 2))
    late.late = lambda request: True
    with pytest.raises(ConnectorError) as refused:
        hook.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert (refused.value.permanent, refused.value.reason) == (False, "timeout")
    late.late = lambda request: False
    assert hook.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.waybills == {"1": ["SF1"]}


@pytest.mark.parametrize("state", ["cancelled", "refunding"])
def test_money_given_back_between_pull_and_push_is_a_conflict(shop: FakeWebhookShop, hook: Webhook, state: str) -> None:
    shop.order("1", ("A1", 2), state=state)
    pushed = hook.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict" and "Stop parcel P1" in pushed.text
    assert shop.waybills == {"1": []}


def test_already_shipped_is_success_only_with_our_own_number(shop: FakeWebhookShop, hook: Webhook) -> None:
    shop.order("1", ("A1", 2), state="shipped")
    shop.waybills["1"] = ["OTHER-9"]
    pushed = hook.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict" and "OTHER-9" in pushed.text
    shop.waybills["1"].append("sf1")
    assert hook.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"


def test_a_yes_that_lists_other_numbers_is_no_yes(shop: FakeWebhookShop, hook: Webhook) -> None:
    shop.net.before = lambda call: Reply(200, b'{"state": "taken", "waybills": ["OTHER-9"]}')
    assert hook.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "conflict"


def test_the_words_of_the_shop_are_passed_on(shop: FakeWebhookShop, hook: Webhook) -> None:
    pushed = hook.push_shipment(parcel("9", "SF1", ("A1", 2)))
    assert pushed.state == "conflict" and "no such order" in pushed.text
    with pytest.raises(ConnectorError) as refused:
        hook.order_state("9")
    assert refused.value.reason == "order_unknown"


def test_a_wrong_number_is_corrected_only_where_the_shop_has_it(shop: FakeWebhookShop, hook: Webhook) -> None:
    shop.order("1", ("A1", 2))
    hook.push_shipment(parcel("1", "WRONG", ("A1", 2)))
    for _ in range(2):
        assert hook.correct_shipment(parcel("1", "SF1", ("A1", 2)), "WRONG").state == "acknowledged"
    assert shop.waybills == {"1": ["SF1"]}
    assert hook.correct_shipment(parcel("1", "SF9", ("A1", 2)), "WRONG").state == "conflict"


def test_stock_is_set_absolutely(shop: FakeWebhookShop, hook: Webhook) -> None:
    shop.stock["A1"] = 50
    hook.push_stock("A1", 7)
    assert shop.stock == {"A1": 7}
    for sku, qty, reason in (("NONE", 1, "sku_unknown"), ("A1", -1, "stock_refused")):
        with pytest.raises(ConnectorError) as refused:
            hook.push_stock(sku, qty)
        assert (refused.value.permanent, refused.value.reason) == (True, reason)


@pytest.mark.parametrize(
    ("reply", "permanent", "reason"),
    [
        (Reply(401, b"{}"), True, "unauthorised"),
        (Reply(404, b"<html>"), True, "refused"),
        (Reply(400, b'{"message": "what?"}'), True, "refused"),
        (Reply(200, b"[]"), True, "refused"),
        (Reply(200, b""), False, "no_json"),
        (Reply(429, b"{}", {"Retry-After": "7"}), False, "busy"),
        (Reply(503, b"{}"), False, "shop_fault"),
        (CUT, False, "offline"),
    ],
)
def test_each_fault_says_whether_to_try_again(
    shop: FakeWebhookShop, hook: Webhook, reply: Reply, permanent: bool, reason: str
) -> None:
    shop.net.before = lambda call: reply
    with pytest.raises(ConnectorError) as refused:
        hook.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert (refused.value.permanent, refused.value.reason) == (permanent, reason)


def test_no_secret_is_in_any_text_or_on_the_wire(shop: FakeWebhookShop, hook: Webhook) -> None:
    plain = SECRET.removeprefix("whsec_")
    shop.net.before = lambda call: Reply(400, json.dumps({"message": f"{SECRET} is no good"}).encode())
    with pytest.raises(ConnectorError) as refused:
        hook.push_stock("A1", 1)
    assert plain not in f"{refused.value} {refused.value.facts} {hook!r}"

    def on_the_wire(call: Call) -> str:
        return f"{call.path} {call.raw_query} {dict(call.headers)} {call.body!r}"

    assert all(plain not in on_the_wire(call) for call in shop.net.calls)
