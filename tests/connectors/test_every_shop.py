"""What holds for every shop on the network: how far a pull came, what could not be read, and that nothing leaks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.connectors.fake_douyin import FakeDouyin
from tests.connectors.fake_pinduoduo import LAG, FakePinduoduo
from tests.connectors.fake_shopify import FakeShopify
from tests.connectors.fake_webhook_shop import SECRET, FakeWebhookShop
from tests.connectors.fake_woocommerce import FakeWooCommerce
from tests.connectors.parcels import parcel
from tests.connectors.shop_server import CUT, Call, Reply
from wms.connectors import KINDS, ConnectorError, connector_for, table
from wms.connectors.orders import UNREADABLE, minor, same_number, share_out, spread


@dataclass
class Case:
    """A double, how an order is placed at it (its number comes back), and the settings of its connector."""

    shop: Any
    place: Callable[[str], str]
    settings: dict[str, Any]
    secrets: tuple[str, ...]


def shopify() -> Case:
    shop = FakeShopify()
    return Case(shop, lambda n: str(shop.order(n, ("A1", 2))["name"]), {"token": shop.token}, (shop.token,))


def woocommerce() -> Case:
    shop = FakeWooCommerce()
    settings = {"key": shop.key, "secret": shop.secret}
    return Case(shop, lambda n: str(shop.order(("A1", 2))), settings, (shop.secret,))


def webhook() -> Case:
    shop = FakeWebhookShop()

    def place(number: str) -> str:
        shop.order(number, ("A1", 2))
        return number

    return Case(shop, place, {"secret": SECRET, "can": "list state stock"}, (SECRET.removeprefix("whsec_"),))


def pinduoduo() -> Case:
    shop = FakePinduoduo()
    settings = {"client_id": shop.client_id, "client_secret": shop.secret, "access_token": shop.token}
    return Case(shop, lambda n: str(shop.order(n, ("A1", 2))["order_sn"]), settings, (shop.secret, shop.token))


def douyin() -> Case:
    shop = FakeDouyin()
    settings = {"app_key": shop.app_key, "app_secret": shop.secret, "access_token": shop.token}
    return Case(shop, lambda n: str(shop.order(n, ("A1", 2))["order_id"]), settings, (shop.secret, shop.token))


MAKERS = {maker.__name__: maker for maker in (douyin, pinduoduo, shopify, webhook, woocommerce)}


@pytest.fixture(params=sorted(MAKERS))
def one(request: pytest.FixtureRequest) -> Iterator[tuple[Case, Any]]:
    made = MAKERS[request.param]()
    with made.shop.net.running():
        connector: Any = connector_for(request.param, {"url": made.shop.net.url, **made.settings})
        if hasattr(made.shop, "now") and request.param != "woocommerce":
            connector.clock = lambda: made.shop.now
        yield made, connector


def test_every_kind_is_made_from_its_settings() -> None:
    assert set(MAKERS) <= set(KINDS)
    for kind in MAKERS:
        with pytest.raises(ConnectorError) as told:
            connector_for(kind, {})
        assert (told.value.permanent, told.value.reason) == (True, "missing_setting")


def test_a_pull_that_breaks_off_says_how_far_it_came_and_the_next_loses_nothing(one: tuple[Case, Any]) -> None:
    made, connector = one
    start = getattr(made.shop, "now", None)
    placed = []
    shopify = isinstance(made.shop, FakeShopify)
    for number in range(130 if shopify else 250):
        if start is not None:
            made.shop.now += timedelta(seconds=20)
        placed.append(made.place(f"{number:04}"))
    if start is not None:
        made.shop.now += LAG
    count = [0]

    def cut(call: Call) -> Reply | None:
        count[0] += 1
        return CUT if count[0] >= (60 if shopify else 3) else None

    made.shop.net.before = cut
    since = start - timedelta(minutes=1) if start is not None else None
    seen = set()
    with pytest.raises(ConnectorError):
        for order in connector.fetch_orders(since):
            seen.add(order.shop_order_no)
    made.shop.net.before = lambda call: None
    if since is not None:
        assert seen and connector.complete_until > since
    seen |= {order.shop_order_no for order in connector.fetch_orders(connector.complete_until)}
    assert seen == set(placed)
    assert connector.complete_until is not None


def test_a_first_load_that_breaks_off_begins_anew(one: tuple[Case, Any]) -> None:
    made, connector = one
    made.place("1")
    made.shop.net.before = lambda call: CUT
    with pytest.raises(ConnectorError):
        list(connector.fetch_orders(None))
    assert connector.complete_until is None


def test_no_key_is_in_a_log_or_in_what_is_shown(one: tuple[Case, Any], caplog: pytest.LogCaptureFixture) -> None:
    made, connector = one
    caplog.set_level(logging.DEBUG)
    number = made.place("1")
    list(connector.fetch_orders(None))
    connector.push_shipment(parcel(number, "SF1", ("A1", 2)))
    made.shop.net.before = lambda call: CUT
    with pytest.raises(ConnectorError) as told:
        connector.order_state(number)
    text = f"{caplog.text} {told.value!r} {told.value} {told.value.facts} {connector!r}"
    for secret in made.secrets:
        assert secret not in text


# What they share


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("SF1", "sf 1 ", True), ("SF1", "SF2", False), ("", "", False), (None, None, False), ("SF1", None, False)],
)
def test_a_number_is_the_same_whatever_its_case_and_spaces(one: str | None, other: str | None, same: bool) -> None:
    assert same_number(one, other) is same


def test_pieces_are_taken_from_their_line_or_from_any_of_their_sku() -> None:
    skus = {"1": "A", "2": "B", "3": "A"}
    left = {"1": 2, "2": 1, "3": 2}
    assert share_out([("3", "A", 1)], left, skus) == {"3": 1}
    assert share_out([("", "A", 3), ("gone", "B", 1)], left, skus) == {"1": 2, "3": 1, "2": 1}
    assert share_out([("1", "A", 3)], left, skus) is None
    assert share_out([("", "C", 1)], left, skus) is None
    assert share_out([("", "A", 1)], {"1": -1, "3": 0}, skus) is None


def test_shares_are_never_above_what_there_is() -> None:
    for qty in range(-1, 20):
        for places in range(1, 7):
            shares = spread(qty, places)
            assert sum(shares) == max(qty, 0) and len(shares) == places and max(shares) - min(shares) <= 1


def test_an_amount_is_whole_minor_units_or_none_at_all() -> None:
    assert [minor("1.005", "USD"), minor("-1.005", "USD"), minor(3, "JPY"), minor("0.0001", "CLF")] == [101, -101, 3, 1]
    for bad in ("free", "NaN", "Infinity", ""):
        with pytest.raises(UNREADABLE):
            minor(bad, "USD")


def test_carriers_are_a_table_or_a_line_of_a_file() -> None:
    carriers = partial(table, name="carriers")
    assert carriers({}) == {}
    assert carriers({"carriers": {"SF": 44}}) == {"SF": "44"}
    assert carriers({"carriers": "SF=44, ZTO = 115;"}) == {"SF": "44", "ZTO": "115"}
    for bad in ("SF", "=44", "SF="):
        with pytest.raises(ConnectorError, match="carriers"):
            carriers({"carriers": bad})
