"""The set-up page, as a new phone and a supervisor's screen see it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zxingcpp
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from wms import create_app, db, lan, tls
from wms.settings import Settings

LAN = "192.0.2.40"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setattr(lan, "addresses", lambda: [LAN, "192.0.2.41"])
    monkeypatch.setattr(lan, "host_names", lambda: ["depot"])
    settings = Settings(home=tmp_path, database_url=f"sqlite:///{tmp_path / 'wms.db'}", secret_key="s" * 64)
    db.migrate(settings)
    database = db.open_database(settings)
    yield create_app(settings, database)
    database.close()


@pytest.fixture
def phone(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    return client


@pytest.fixture
def with_caddy(app: Flask) -> tls.Root:
    caddy = tls.find_caddy()
    if caddy is None:
        pytest.skip("NO CADDY for this machine")
    settings = app.extensions["settings"]
    tls.write(settings, caddy, tls.front(settings).hosts)
    root = tls.root(settings)
    assert root
    return root


def read_qr(svg: str) -> str:
    """What a phone reads: the SVG's modules drawn as pixels, then a barcode reader."""
    size = int(re.search(r'width="(\d+)"', svg)[1])  # type: ignore[index]
    path = re.search(r'<path[^>]*stroke="#000"[^>]*d="([^"]+)"|<path[^>]*d="([^"]+)"[^>]*stroke="#000"', svg)
    assert path
    scale = 8
    image = Image.new("L", (size, size), 255)
    x = y = 0.0
    for letter, numbers in re.findall(r"([MmhHvV])([^MmhHvV]*)", path[1] or path[2]):
        values = [float(number) for number in re.findall(r"-?[\d.]+", numbers)]
        if letter == "M":
            x, y = values
        elif letter == "m":
            x, y = x + values[0], y + values[1]
        elif letter == "h":
            box = [
                int(x * scale),
                int((y - 0.5) * scale),
                int((x + values[0]) * scale),
                int((y + 0.5) * scale),
            ]
            image.paste(0, tuple(box))  # type: ignore[arg-type]
            x += values[0]
    found = zxingcpp.read_barcodes(image)
    assert len(found) == 1
    return str(found[0].text)


def test_a_new_phone_gets_the_root_and_the_steps_without_signing_in(phone: FlaskClient, with_caddy: tls.Root) -> None:
    page = phone.get("/setup", base_url=f"http://{LAN}:8080")
    assert page.status_code == 200
    assert with_caddy.fingerprint in page.text
    assert 'href="/ca.crt"' in page.text
    # The half of it that everyone forgets.
    assert "Certificate Trust Settings" in page.text
    assert f"https://{LAN}:8443/" in page.text


def test_the_root_comes_as_phones_take_it_and_its_key_never(phone: FlaskClient, with_caddy: tls.Root) -> None:
    answer = phone.get("/ca.crt")
    assert answer.content_type.startswith("application/x-x509-ca-cert")
    assert answer.data == with_caddy.path.read_bytes()
    assert b"PRIVATE" not in answer.data


def test_before_there_is_a_root_nothing_is_handed_out(phone: FlaskClient) -> None:
    assert phone.get("/ca.crt").status_code == 404


@pytest.mark.parametrize(("of", "address"), [("", f"https://{LAN}:8443/"), ("setup", f"http://{LAN}:8080/setup")])
def test_the_qr_code_reads_as_the_address(phone: FlaskClient, with_caddy: tls.Root, of: str, address: str) -> None:
    answer = phone.get(f"/setup/qr.svg?of={of}", base_url=f"http://{LAN}:8080")
    assert answer.mimetype == "image/svg+xml"
    assert read_qr(answer.text) == address


def test_the_phones_own_way_to_us_is_kept_when_the_certificate_holds_for_it(
    phone: FlaskClient, with_caddy: tls.Root
) -> None:
    assert "https://depot:8443/" in phone.get("/setup", base_url="http://depot:8080").text


def test_a_host_that_is_only_claimed_never_gets_into_a_qr_code(phone: FlaskClient, with_caddy: tls.Root) -> None:
    answer = phone.get("/setup/qr.svg", base_url="http://evil.example:8080")
    assert read_qr(answer.text) == f"https://{LAN}:8443/"
    assert "evil.example" not in phone.get("/setup", base_url="http://evil.example:8080").text


def test_without_caddy_the_page_says_why_and_what_still_works(app: Flask, phone: FlaskClient) -> None:
    app.extensions["settings"] = replace(app.extensions["settings"], tls="off")
    page = phone.get("/setup")
    assert page.status_code == 200
    assert "WMS_TLS=off" in page.text
    assert "Only the live camera does not" in page.text
    assert "/ca.crt" not in page.text
    assert read_qr(phone.get("/setup/qr.svg").text) == f"http://{LAN}:8080/"


def test_the_page_keeps_the_strict_content_policy(phone: FlaskClient, with_caddy: tls.Root) -> None:
    page = phone.get("/setup")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert " style=" not in page.text
    assert not re.search(r"<script(?![^>]*(src=|application/json))", page.text)


def test_every_text_of_the_camera_test_is_there(phone: FlaskClient, with_caddy: tls.Root) -> None:
    """setup.js says what these attributes hold; a missing one would say nothing."""
    script = (Path(__file__).resolve().parents[2] / "static/setup.js").read_text("utf-8")
    page = phone.get("/setup").text
    for name in set(re.findall(r'"(insecure|asking|works|refused|none|busy)"', script)):
        assert re.search(rf'data-{name}="[^"]+"', page), name
