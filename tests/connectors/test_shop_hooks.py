"""What a shop's message speaks of, whatever its bytes are; and that one order is read as the list of all reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.fake_douyin import FakeDouyin
from tests.connectors.fake_shopify import FakeShopify
from tests.connectors.fake_woocommerce import FakeWooCommerce
from tests.connectors.untimed import untimed
from wms.clock import now
from wms.connectors import KINDS, ConnectorError, Rereads, connector_for, hooks

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "order_id", "order_edit", "data", "p_id", "tag", "shop_id", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@untimed
@given(
    st.sampled_from(hooks.KINDS),
    st.sampled_from(["orders/updated", "order.updated", "refunds/create", "", "x"]),
    st.binary(max_size=80) | JSON.map(lambda told: json.dumps(told).encode()),
)
def test_no_bytes_break_the_reading_of_a_message(kind: str, topic: str, body: bytes) -> None:
    for number in hooks.orders_of(kind, {}, topic, body):
        assert number and len(number) < 5000


@untimed
@given(st.sampled_from([*hooks.KINDS, "csv", "nobody"]), st.binary(max_size=80), st.text(max_size=40))
def test_nobody_without_the_secret_is_let_in(kind: str, body: bytes, signature: str) -> None:
    headers = dict.fromkeys(
        ("X-Shopify-Hmac-Sha256", "X-WC-Webhook-Signature", "event-sign", "webhook-signature", "webhook-id"), signature
    )
    for settings in ({}, {"webhook_secret": "s" * 9, "app_key": "k", "app_secret": "s", "secret": "whsec_nope"}):
        with pytest.raises(ConnectorError) as told:
            hooks.opened(kind, settings, headers, body, now())
        assert told.value.reason == "bad_signature"


@pytest.mark.parametrize(
    ("kind", "topic", "told", "orders"),
    [
        ("shopify", "orders/updated", {"id": 7, "name": "#1"}, ("gid://shopify/Order/7",)),
        ("shopify", "refunds/create", {"id": 1, "order_id": 7}, ("gid://shopify/Order/7",)),
        ("shopify", "orders/edited", {"order_edit": {"id": 2, "order_id": 7}}, ("gid://shopify/Order/7",)),
        ("shopify", "products/update", {"id": 7}, ()),
        ("shopify", "orders/updated", {"id": True}, ()),
        ("woocommerce", "order.updated", {"id": 7}, ("7",)),
        ("woocommerce", "product.updated", {"id": 7}, ()),
        ("woocommerce", "order.deleted", {"id": "7"}, ()),
        ("douyin", "", [{"tag": "100", "data": {"p_id": 48, "shop_id": 5}}], ("48",)),
        ("douyin", "", [{"tag": "100", "data": '{"p_id": "48"}'}, {"tag": "1", "data": {"p_id": 48}}], ("48",)),
        ("douyin", "", [{"tag": "0", "data": {"p_id": 48}}], ()),
        ("douyin", "", [{"tag": "100", "data": {"p_id": 48, "shop_id": 6}}], ()),
        ("douyin", "", [{"tag": "100", "data": {"p_id": "４８"}}], ()),
    ],
)
def test_a_message_names_its_orders(kind: str, topic: str, told: Any, orders: tuple[str, ...]) -> None:
    assert hooks.orders_of(kind, {"shop_id": "5"}, topic, json.dumps(told).encode()) == orders


def test_a_single_order_is_read_as_in_the_list_and_an_unknown_one_is_told() -> None:
    """The doubles' clocks are theirs, so the connector goes by it."""
    shopify, woo, douyin = FakeShopify(), FakeWooCommerce(), FakeDouyin()
    first = shopify.order("1001", ("A1", 2))
    cases = [
        ("shopify", shopify, {"token": shopify.token}, first["name"], "#none"),
        ("shopify", shopify, {"token": shopify.token}, first["id"], "gid://shopify/Order/99999"),
        ("woocommerce", woo, {"key": woo.key, "secret": woo.secret}, str(woo.order(("A1", 2))), "99999"),
        (
            "douyin", douyin,
            {"app_key": douyin.app_key, "app_secret": douyin.secret, "access_token": douyin.token},
            str(douyin.order("4801", ("A1", 2))["order_id"]), "99999",
        ),
    ]  # fmt: skip
    for kind, double, settings, number, unknown in cases:
        with double.net.running():
            connector: Any = connector_for(kind, {"url": double.net.url, **settings})
            if kind == "douyin":
                connector.clock = lambda: douyin.now
            assert isinstance(connector, Rereads)
            [listed] = list(connector.fetch_orders(None))
            assert connector.read_order(number) == listed
            with pytest.raises(ConnectorError) as told:
                connector.read_order(unknown)
            assert (told.value.permanent, told.value.reason) == (True, "order_unknown")


def test_every_kind_that_knocks_is_a_kind_of_shop() -> None:
    assert set(hooks.KINDS) <= set(KINDS) and set(hooks.KINDS) == set(hooks._OPENERS)
