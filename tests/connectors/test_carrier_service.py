"""A carrier's service by signed JSON: one key, one number, whatever becomes of the answers (R32)."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from tests.connectors.fake_carrier_service import SECRET, FakeCarrierService
from tests.connectors.shop_server import CUT, LateAnswers, Reply
from wms.connectors import ConnectorError, Recipient
from wms.connectors.carriers import CarrierService, ParcelFacts, Sender, service_for

FACTS = ParcelFacts(
    parcel_no="3GK2X",
    order_no="SO-1",
    carrier_code="YTO",
    weight_g=640,
    pieces=2,
    contents="A1 ×2",
    label_size="100x150",
    recipient=Recipient(name="收件人001", province="测试省"),
    sender=Sender("测试仓库"),
)


@pytest.fixture
def carrier() -> Iterator[FakeCarrierService]:
    double = FakeCarrierService()
    with double.net.running():
        yield double


def test_a_number_comes_with_its_sorting_code_and_label(carrier: FakeCarrierService) -> None:
    carrier.document = base64.b64encode(b"^XA^XZ").decode()
    service = service_for(carrier.settings)
    assert isinstance(service, CarrierService)
    answer = service.take("1-3GK2X", FACTS)
    assert (answer.number, answer.sort_code, answer.hub) == ("FK0000000001", "330-A12 08", "杭州集包")
    assert answer.document == b"^XA^XZ"
    kind, key, data = carrier.asked[0]
    assert (kind, key, data["weight_g"], data["recipient"]["province"]) == ("waybill.take", "1-3GK2X", 640, "测试省")


def test_the_same_key_gives_the_same_number_after_an_answer_that_was_lost(carrier: FakeCarrierService) -> None:
    late = LateAnswers()
    late.late = lambda request: len(carrier.asked) == 1
    service = service_for(carrier.settings, transport=late)
    with pytest.raises(ConnectorError) as told:
        service.take("1-A", FACTS)
    assert (told.value.permanent, told.value.reason) == (False, "timeout")
    assert service.take("1-A", FACTS).number == carrier.numbers["1-A"] == "FK0000000001"
    carrier.net.after = lambda call: CUT
    with pytest.raises(ConnectorError) as told:
        service.take("1-B", FACTS)
    assert (told.value.permanent, told.value.reason) == (False, "offline")
    carrier.net.after = lambda call: None
    assert service.take("1-B", FACTS).number == "FK0000000002"
    assert len(carrier.numbers) == 2


def test_no_is_for_a_person_and_is_quoted(carrier: FakeCarrierService) -> None:
    carrier.refuses = f"收件地址超出派送范围 {SECRET.removeprefix('whsec_')}"
    with pytest.raises(ConnectorError) as told:
        service_for(carrier.settings).take("1-A", FACTS)
    assert told.value.permanent and told.value.reason == "refused"
    assert "收件地址超出派送范围" in str(told.value)
    assert SECRET.removeprefix("whsec_") not in str(told.value)


def test_a_wrong_key_is_told_as_such(carrier: FakeCarrierService) -> None:
    other = base64.b64encode(b"x" * 32).decode()
    with pytest.raises(ConnectorError) as told:
        service_for({**carrier.settings, "secret": f"whsec_{other}"}).take("1-A", FACTS)
    assert told.value.permanent and told.value.reason == "unauthorised"
    assert "under Carriers" in str(told.value)
    assert carrier.asked == []


def test_a_busy_service_says_for_how_long(carrier: FakeCarrierService) -> None:
    carrier.net.before = lambda call: Reply(429, b"{}", {"Retry-After": "7"})
    with pytest.raises(ConnectorError) as told:
        service_for(carrier.settings).take("1-A", FACTS)
    assert (told.value.permanent, told.value.reason, told.value.retry_after_s) == (False, "busy", 7.0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b'{"state": "taken", "number": "a b"}', "bad_number"),
        (b'{"state": "taken", "number": ""}', "bad_number"),
        (b'{"state": "taken", "number": "YT1234", "document": "@@"}', "bad_document"),
        (b'{"state": "what"}', "refused"),
        (b"[]", "refused"),
        (b"<html>", "no_json"),
    ],
)
def test_an_answer_that_cannot_be_is_no_number(carrier: FakeCarrierService, answer: bytes, reason: str) -> None:
    carrier.net.after = lambda call: Reply(200, answer)
    with pytest.raises(ConnectorError) as told:
        service_for(carrier.settings).take("1-A", FACTS)
    assert told.value.reason == reason
    assert told.value.permanent is (reason != "no_json")


def test_a_number_is_taken_back_also_when_nobody_knows_whether_it_was_given(carrier: FakeCarrierService) -> None:
    service = service_for(carrier.settings)
    number = service.take("1-A", FACTS).number
    service.cancel("1-A", number)
    service.cancel("1-A", "")
    service.cancel("1-NEVER", "")
    with pytest.raises(ConnectorError) as told:
        service.take("1-NEVER", FACTS)  # the late call that the cancellation overtook
    assert told.value.permanent
    carrier.keeps = "已揽收"
    with pytest.raises(ConnectorError) as told:
        service.cancel("1-A", number)
    assert told.value.permanent and "已揽收" in str(told.value)


@pytest.mark.parametrize("settings", [{}, {"url": "http://127.0.0.1:1"}, {"url": "ftp://x", "secret": SECRET}])
def test_what_is_missing_is_told(settings: dict[str, str]) -> None:
    with pytest.raises(ConnectorError) as told:
        service_for(settings)
    assert told.value.permanent and told.value.reason in ("missing_setting", "bad_address")
