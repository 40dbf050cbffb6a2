"""快递100's query, subscription and push, against a double that enforces its public pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.connectors.fake_kuaidi100 import CUSTOMER, KEY, SALT, FakeKuaidi100, md5
from tests.connectors.shop_server import Reply
from wms.connectors import ConnectorError
from wms.connectors.carriers.tracking import Kuaidi100, Tracker, events_of, pushed, tracker_for


@pytest.fixture
def aggregator() -> Iterator[FakeKuaidi100]:
    double = FakeKuaidi100()
    with double.net.running():
        yield double


ROWS = (
    ("2026-11-21 18:30:00", "签收", "北京,朝阳区", "已签收，签收人：本人"),
    ("2026-11-21 08:00:00", "派件", "北京,朝阳区", "派件中"),
    ("2026-11-19 20:00:00", "揽收", "杭州", "已揽收"),
)


def test_the_sign_is_that_of_the_pages() -> None:
    """UPPER(MD5(param + key + customer)), as md5sum has it."""
    tracker = Kuaidi100.from_settings({"company": "jd", "customer": "C", "key": "K"})
    assert tracker.sign('{"com":"jd"}') == "F82DFF2E685C47F5CB8A67A1AF928692"


def test_a_number_tells_what_happened_in_utc(aggregator: FakeKuaidi100) -> None:
    aggregator.happened("JD001", "3", *ROWS)
    tracker = tracker_for(aggregator.settings)
    assert isinstance(tracker, Tracker)
    events = tracker.query("JD001", "")
    assert [(e.state, e.place) for e in events] == [
        ("signed", "北京,朝阳区"),
        ("out_for_delivery", "北京,朝阳区"),
        ("collected", "杭州"),
    ]
    assert events[0].at == datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
    assert aggregator.asked == [{"com": "jd", "num": "JD001", "resultv2": "1"}]


def test_what_nobody_knows_yet_is_no_fault(aggregator: FakeKuaidi100) -> None:
    assert tracker_for(aggregator.settings).query("JD404", "") == ()


def test_some_carriers_want_the_end_of_a_phone_and_no_more(aggregator: FakeKuaidi100) -> None:
    tracker = tracker_for({**aggregator.settings, "company": "shunfeng"})
    assert tracker.query("SF1", "10000000001") == ()
    assert aggregator.asked[0]["phone"] == "0001"
    with pytest.raises(ConnectorError) as told:
        tracker.query("SF1", "")
    assert told.value.permanent and told.value.reason == "phone"


@pytest.mark.parametrize(
    ("says", "permanent", "reason"),
    [
        (("503", "验证签名失败"), True, "wrong_keys"),
        (("601", f"KEY已过期 {KEY}"), True, "wrong_keys"),
        (("502", "服务器繁忙"), False, "busy"),
        (("501", "服务器错误"), False, "fault"),
        (("999", "?"), False, "fault"),
    ],
)
def test_its_codes_are_sorted_by_what_helps(
    aggregator: FakeKuaidi100, says: tuple[str, str], permanent: bool, reason: str
) -> None:
    aggregator.says = says
    with pytest.raises(ConnectorError) as told:
        tracker_for(aggregator.settings).query("JD001", "")
    assert (told.value.permanent, told.value.reason) == (permanent, reason)
    assert KEY not in str(told.value)


def test_a_wrong_key_is_noticed_by_its_sign(aggregator: FakeKuaidi100) -> None:
    with pytest.raises(ConnectorError) as told:
        tracker_for({**aggregator.settings, "key": "other"}).query("JD001", "")
    assert told.value.reason == "wrong_keys"


def test_to_be_told_is_asked_once_however_often(aggregator: FakeKuaidi100) -> None:
    settings = {**aggregator.settings, "callback": "https://wms.example.com/tracking/push", "salt": SALT}
    tracker = tracker_for(settings)
    tracker.subscribe("JD001", "")
    tracker.subscribe("JD001", "")
    (asked,) = aggregator.subscribed
    assert asked["company"] == "jd" and asked["number"] == "JD001"
    assert asked["parameters"]["callbackurl"] == "https://wms.example.com/tracking/push"
    assert asked["parameters"]["salt"] == SALT


def test_only_what_they_signed_is_a_push() -> None:
    double = FakeKuaidi100()
    double.happened("JD001", "3", *ROWS)
    fields = double.push("JD001")
    told = pushed(["another", SALT], fields["param"], fields["sign"])
    assert (told.company, told.number, told.aborted, len(told.events)) == ("jd", "JD001", False, 3)
    assert pushed([SALT], **double.push("JD001", "abort")).aborted
    for salts, param, sign in (
        ([SALT], fields["param"] + " ", fields["sign"]),
        (["another"], fields["param"], fields["sign"]),
        ([], fields["param"], md5(fields["param"])),
        ([""], fields["param"], md5(fields["param"])),
        ([SALT], fields["param"], "字"),
    ):
        with pytest.raises(ConnectorError) as wrong:
            pushed(salts, param, sign)
        assert wrong.value.reason == "bad_signature"
    for param in ("[]", "{", '{"lastResult": 1}'):
        with pytest.raises(ConnectorError) as wrong:
            pushed([SALT], param, md5(param + SALT))
        assert wrong.value.reason == "bad_message"


@pytest.mark.parametrize(
    ("state", "ours"),
    [
        ("0", "in_transit"),
        ("1", "collected"),
        ("2", "exception"),
        ("3", "signed"),
        ("4", "returned"),
        ("5", "out_for_delivery"),
        ("6", "returned"),
        ("13", "exception"),
        ("14", "exception"),
    ],
)
def test_without_words_the_newest_has_the_state_of_the_whole(state: str, ours: str) -> None:
    rows = [{"time": "2026-11-21 10:00:00", "context": "b"}, {"time": "2026-11-20 10:00:00", "context": "a"}]
    assert [e.state for e in events_of({"state": state, "data": rows})] == [ours, "in_transit"]


def test_what_is_no_event_is_left_out(aggregator: FakeKuaidi100) -> None:
    assert events_of({"state": "0", "data": [1, {}, {"time": "soon"}, None]}) == ()
    assert events_of({"data": "x"}) == ()
    aggregator.net.after = lambda call: Reply(200, json.dumps([1]).encode())
    with pytest.raises(ConnectorError):
        tracker_for(aggregator.settings).query("JD001", CUSTOMER)
