"""What is not ours judges the WooCommerce connector and its double: the official client, and an OAuth library."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import woocommerce.oauth
from cryptography import x509
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from oauthlib.oauth1.rfc5849 import signature as rfc5849
from oauthlib.oauth1.rfc5849.utils import escape

from tests.connectors.fake_woocommerce import FakeWooCommerce
from tests.connectors.parcels import parcel
from wms.connectors.woocommerce import WooCommerce, signed, verify_webhook


@pytest.fixture
def shop() -> Iterator[FakeWooCommerce]:
    made = FakeWooCommerce()
    with made.net.running():
        yield made


def client(shop: FakeWooCommerce, **options: Any) -> woocommerce.API:
    return woocommerce.API(url=shop.net.url, consumer_key=shop.key, consumer_secret=shop.secret, **options)


def ours(shop: FakeWooCommerce, transport: httpx.BaseTransport | None = None) -> WooCommerce:
    return WooCommerce.from_settings({"url": shop.net.url, "key": shop.key, "secret": shop.secret}, transport)


def test_the_official_client_is_answered_by_the_double(shop: FakeWooCommerce) -> None:
    number = shop.order(("A1", 2))
    wanted = {"status": "processing", "orderby": "modified", "order": "asc", "per_page": 100, "dates_are_gmt": "true"}
    answer = client(shop).get("orders", params=wanted)
    assert [one["id"] for one in answer.json()] == [number]
    assert client(shop).put(f"orders/{number}", {"status": "completed"}).json()["status"] == "completed"
    assert client(shop).get("orders/999").status_code == 404
    wrong = woocommerce.API(url=shop.net.url, consumer_key=shop.key, consumer_secret="cs_old")
    assert wrong.get(f"orders/{number}").status_code == 401


def test_the_official_client_and_we_ask_alike(shop: FakeWooCommerce) -> None:
    shop.order(("A1", 2))
    list(ours(shop).fetch_orders(None))
    us = shop.net.calls[-1]
    asked = {name: value for name, value in us.query if not name.startswith("oauth_")}
    client(shop).get("orders", params=asked)
    them = shop.net.calls[-1]
    assert (us.method, us.path) == (them.method, them.path)
    assert us.params.keys() == them.params.keys()
    assert {name: them.params[name] for name in asked} == asked
    assert them.params["oauth_signature_method"] == us.params["oauth_signature_method"]


def test_what_the_official_client_signs_we_sign_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(woocommerce.oauth.OAuth, "generate_nonce", staticmethod(lambda: "n0nce"))
    address = "http://shop.test/wp-json/wc/v3/products"
    maker = woocommerce.oauth.OAuth(
        url=f"{address}?sku=A1+%E7%BA%A2%26x%3D1&per_page=100",
        consumer_key="ck_1",
        consumer_secret="cs_1",
        version="wc/v3",
        method="GET",
        oauth_timestamp=1795262400,
    )
    theirs = dict(parse_qsl(urlsplit(maker.get_oauth_url()).query))
    mine = signed(
        "GET",
        address,
        [("sku", "A1 红&x=1"), ("per_page", "100")],
        key="ck_1",
        secret="cs_1",
        at=1795262400,
        nonce="n0nce",
    )
    assert dict(mine) == theirs


@given(
    params=st.dictionaries(st.from_regex(r"[a-z0-9_]{1,9}", fullmatch=True), st.text(), max_size=5),
    secret=st.text(min_size=1) | st.from_regex(r"cs_[0-9a-f]{40}", fullmatch=True),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
)
def test_any_values_under_any_secret_are_signed_as_rfc_5849_says(
    params: dict[str, str], secret: str, method: str
) -> None:
    address = "http://shop.test/wp-json/wc/v3/orders"
    pairs = [(name, value) for name, value in params.items() if not name.startswith("oauth_")]
    *query, (name, signature) = signed(method, address, pairs, key="ck", secret=secret, at=1795262400, nonce="n")
    assert name == "oauth_signature"
    base = rfc5849.signature_base_string(method, address, rfc5849.normalize_parameters(query))
    made = hmac.HMAC(f"{secret}&".encode(), hashes.SHA256())
    made.update(base.encode())
    assert signature == base64.b64encode(made.finalize()).decode()
    if escape(secret) == secret:
        # The library escapes the secret as the RFC has it; WooCommerce takes it as it is (its own are hexadecimal).
        assert signature == rfc5849.sign_hmac_sha256_with_client(
            base, SimpleNamespace(client_secret=secret, resource_owner_secret="")
        )


@given(secret=st.text(min_size=1), body=st.binary(), at=st.integers(0, 9999))
def test_a_webhook_is_genuine_over_its_own_bytes_only(secret: str, body: bytes, at: int) -> None:
    made = hmac.HMAC(secret.encode(), hashes.SHA256())
    made.update(body)
    good = base64.b64encode(made.finalize()).decode()
    assert verify_webhook(secret, body, good)
    assert not verify_webhook(secret + "x", body, good)
    place = at % (len(body) + 1)
    assert not verify_webhook(secret, body[:place] + b"\0" + body[place:], good)
    assert not verify_webhook(secret, body, "ünlike")


def test_over_https_both_send_the_key_as_basic(tmp_path: Path) -> None:
    certificate, context = self_signed(tmp_path)
    shop = FakeWooCommerce()
    with shop.net.running(tls=context):
        number = shop.order(("A1", 2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert client(shop, verify_ssl=str(certificate)).get(f"orders/{number}").status_code == 200
        theirs = shop.net.calls[-1]
        trusted = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=str(certificate)))
        assert ours(shop, trusted).push_shipment(parcel(str(number), "SF1", ("A1", 2))).state == "acknowledged"
        for call in shop.net.calls:
            assert call.headers["authorization"] == theirs.headers["authorization"]
            assert "oauth" not in call.raw_query
        assert shop.numbers(number) == ["SF1"]


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of this machine, for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "shop.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return certificate, context
