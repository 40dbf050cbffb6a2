"""A photo sent by a phone: what comes back, and what only those who are signed in are told."""

from __future__ import annotations

import io

import barcode
import pytest
import segno
from barcode.writer import ImageWriter
from PIL import Image

from tests.floor import Floor, Hand
from wms import camera, create_app, lookup
from wms.camera import Reading

SOLD = "4006381333931"
FOREIGN = "9070004370752"


def photo(kind: str, text: str) -> bytes:
    label = io.BytesIO()
    if kind == "qr":
        segno.make_qr(text).save(label, kind="png", scale=6, border=4)
    else:
        barcode.get(kind, text, writer=ImageWriter()).write(label, {"write_text": False, "module_width": 0.4})
    drawn = Image.open(label).convert("L")
    picture = Image.new("L", (drawn.width + 200, drawn.height + 200), 190)
    picture.paste(drawn, (100, 100))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def send(hand: Hand, data: bytes | None, formats: str = "") -> None:
    """As static/scan.js sends a photo."""
    fields: dict[str, object] = {"formats": formats}
    if data is not None:
        fields["photo"] = (io.BytesIO(data), "photo.jpg")
    headers = {"X-CSRFToken": hand.token, "X-Requested-With": "scan"}
    hand.answer = hand.client.post("/camera/read", data=fields, headers=headers)
    hand.status = hand.answer.status_code


def stranger(floor: Floor) -> Hand:
    """A phone on which nobody has signed in."""
    hand = Hand.__new__(Hand)
    hand.client, hand.token = floor.app.test_client(), ""
    hand.get("/sign-in")
    return hand


@pytest.fixture
def shop(floor: Floor) -> Floor:
    floor.item("PEN", SOLD)
    return floor


def test_a_known_item_is_taken_at_once(shop: Floor) -> None:
    hand = shop.hand("picker")
    send(hand, photo("ean13", SOLD), "ean_13,code_128")
    [code] = hand.answer.json["codes"]
    assert (code["text"], code["symbology"], code["confirmed"]) == (SOLD, "ean_13", True)
    assert hand.answer.json["message"] == ""


def test_a_retail_number_outside_the_catalogue_waits_for_a_tap(shop: Floor) -> None:
    hand = shop.hand("picker")
    send(hand, photo("ean13", FOREIGN), "ean_13")
    [code] = hand.answer.json["codes"]
    assert (code["text"], code["confirmed"]) == (FOREIGN, False)
    assert hand.answer.json["message"] == camera.UNKNOWN


def test_a_place_and_a_waybill_that_is_not_known_yet_are_taken_at_once(shop: Floor) -> None:
    hand = shop.hand("picker")
    for text in ("L-A-01-01-1", "JDVB01234567890"):
        send(hand, photo("code128", text), "code_128")
        assert [(code["text"], code["confirmed"]) for code in hand.answer.json["codes"]] == [(text, True)]


def test_before_sign_in_a_badge_is_read(shop: Floor) -> None:
    hand = stranger(shop)
    send(hand, photo("qr", "U-0123456789ABCDEF"), "qr_code")
    assert [(code["text"], code["confirmed"]) for code in hand.answer.json["codes"]] == [("U-0123456789ABCDEF", True)]


def test_before_sign_in_nobody_learns_what_is_in_the_catalogue(shop: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("the catalogue was asked for a stranger")

    monkeypatch.setattr(lookup, "find", asked)
    hand = stranger(shop)
    answers = []
    for text in (SOLD, FOREIGN):
        send(hand, photo("ean13", text), "ean_13")
        assert [code["text"] for code in hand.answer.json["codes"]] == [text]
        answers.append([{**code, "text": ""} for code in hand.answer.json["codes"]] + [hand.answer.json["message"]])
    assert answers[0] == answers[1]


def test_two_items_under_one_number_are_known(shop: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    def two(*_: object) -> None:
        raise lookup.AmbiguousCode(read=SOLD, meanings="PEN, PENS")

    monkeypatch.setattr(lookup, "find", two)
    hand = shop.hand("picker")
    send(hand, photo("ean13", SOLD), "ean_13")
    assert [code["confirmed"] for code in hand.answer.json["codes"]] == [True]


def test_only_what_the_step_expects_is_read(shop: Floor) -> None:
    hand = shop.hand("picker")
    send(hand, photo("code128", "L-A-01-01-1"), "qr_code,nonsense")
    assert hand.answer.json == {"codes": [], "message": camera.NO_CODE}


@pytest.mark.parametrize("data", [None, b"", b"%PDF-1.7 not a picture"])
def test_a_file_that_is_no_photo_is_refused_in_words(shop: Floor, data: bytes | None) -> None:
    hand = shop.hand("picker")
    send(hand, data)
    assert hand.status == 422
    assert hand.answer.json["codes"] == [] and hand.answer.json["message"]


def test_the_budget_of_the_settings_is_kept(shop: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def read(data: bytes, formats: object, known: object, budget_ms: float) -> Reading:
        seen.append(budget_ms)
        return Reading((), 1, 1, 0)

    monkeypatch.setattr(camera, "read", read)
    from dataclasses import replace

    app = create_app(replace(shop.settings, decode_budget_ms=123), shop.database)
    hand = Hand(app, shop.badges["picker"])
    send(hand, b"any")
    assert seen == [123]
