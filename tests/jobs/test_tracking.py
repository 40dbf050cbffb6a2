"""Parcels under way: asked at a pace, told by push, never back but by a later event; late and lost are seen."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tests import ways
from tests.connectors.fake_kuaidi100 import SALT, FakeKuaidi100
from tests.connectors.shop_server import Reply
from tests.floor import Floor
from wms.clock import now
from wms.connectors.carriers.tracking import TrackEvent
from wms.flows import tracking
from wms.jobs import tracking as job
from wms.models import Carrier, ClaimKind, Parcel, ParcelClaim, ParcelEvent, ParcelTrack, TrackState

T = TrackState


@pytest.fixture
def aggregator() -> Iterator[FakeKuaidi100]:
    double = FakeKuaidi100()
    with double.net.running():
        yield double


@pytest.fixture
def house(any_floor: Floor, aggregator: FakeKuaidi100) -> Floor:
    any_floor.item("A1")
    any_floor.stock("A1", "A-01-01-1", 50)
    set_up(any_floor, aggregator.settings)
    return any_floor


def set_up(floor: Floor, settings: dict[str, str]) -> None:
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(Carrier).where(Carrier.code == "JD").values(tracking=settings))


def asks(floor: Floor, **options: Any) -> Any:
    """The worker's pass when all pauses are over."""
    with floor.database.transaction(floor.actor()) as session:
        session.execute(
            update(ParcelTrack)
            .where(ParcelTrack.next_at.is_not(None))
            .values(next_at=now() - timedelta(seconds=1), leased_until=None)
        )
    return job.ask_due(floor.database, **options)


def track(floor: Floor, number: str = "TEST000000001") -> ParcelTrack:
    with floor.database.reading() as session:
        return session.execute(select(ParcelTrack).where(ParcelTrack.number == number)).scalar_one()


def events(floor: Floor) -> int:
    with floor.database.reading() as session:
        return int(session.execute(select(func.count()).select_from(ParcelEvent)).scalar_one())


def china(at: datetime) -> str:
    return (at.astimezone(UTC) + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")


def row(hours: float, status: str, words: str = "", place: str = "杭州") -> tuple[str, str, str, str]:
    return china(now() + timedelta(hours=hours)), status, place, words or status


def test_the_hand_over_writes_down_what_is_to_be_followed(house: Floor, aggregator: FakeKuaidi100) -> None:
    ways.shipped(house, "SO-1", ("A1", 1))
    found = track(house)
    assert (found.state, found.at) == (T.WAITING, None)
    assert found.next_at is not None and found.next_at > now() + timedelta(minutes=50)
    assert job.ask_due(house.database) == {}, "nobody is asked before its time"
    assert aggregator.asked == []


def test_a_parcel_is_followed_to_its_signature_and_then_left_alone(house: Floor, aggregator: FakeKuaidi100) -> None:
    ways.shipped(house, "SO-1", ("A1", 1))
    assert asks(house) == {"same": 1}
    steps: list[tuple[str, tuple[str, str, str, str]]] = [
        ("1", row(0.1, "揽收")),
        ("0", row(0.2, "在途")),
        ("5", row(0.3, "派件")),
        ("3", row(0.4, "签收", "本人签收", "北京")),
    ]
    seen = []
    for n, (state, _row) in enumerate(steps):
        aggregator.happened("TEST000000001", state, *[one for _s, one in reversed(steps[: n + 1])])
        assert asks(house) == {"moved": 1}
        seen.append(track(house).state)
    assert seen == [T.COLLECTED, T.IN_TRANSIT, T.OUT_FOR_DELIVERY, T.SIGNED]
    found = track(house)
    assert (found.place, found.next_at, found.signed_at) == ("北京", None, found.at)
    assert events(house) == 4
    asked = len(aggregator.asked)
    assert asks(house) == {}
    assert len(aggregator.asked) == asked


def test_told_in_any_order_and_twice_it_ends_the_same(house: Floor, aggregator: FakeKuaidi100) -> None:
    """Only a later event moves a parcel; duplicates and late news are harmless."""
    ways.shipped(house, "SO-1", ("A1", 1))
    start = now()
    told = [
        TrackEvent(start + timedelta(minutes=n), state, "杭州", f"{n}")  # type: ignore[arg-type]
        for n, state in enumerate(
            ("collected", "in_transit", "out_for_delivery", "exception", "out_for_delivery", "signed")
        )
    ]
    chance = random.Random(3)
    for _ in range(5):
        chance.shuffle(told)
        for event in [*told, *told[:2]]:
            with house.database.transaction(house.actor()) as session:
                found = tracking.by_number(session, [house.carrier("JD").id], "TEST000000001", for_update=True)
                assert found is not None
                before = (found.at, found.state)
                tracking.record(session, found, [event])
                assert before[0] is None or found.at >= before[0], "it went back in time"
        assert track(house).state is T.SIGNED
        assert track(house).collected_at == start.replace(microsecond=start.microsecond)
        assert events(house) == 6


def test_a_later_event_moves_it_also_back(house: Floor, aggregator: FakeKuaidi100) -> None:
    ways.shipped(house, "SO-1", ("A1", 1))
    aggregator.happened("TEST000000001", "3", row(0.1, "签收"))
    asks(house)
    with house.database.transaction(house.actor()) as session:
        found = tracking.by_number(session, [house.carrier("JD").id], "TEST000000001", for_update=True)
        assert found is not None
        tracking.record(session, found, [TrackEvent(now() + timedelta(hours=2), "returned", "杭州", "退回")])
    assert (track(house).state, track(house).signed_at) == (T.RETURNED, None)


def test_news_of_another_time_is_another_parcels(house: Floor, aggregator: FakeKuaidi100) -> None:
    """Numbers come round again, and clocks are wrong."""
    ways.shipped(house, "SO-1", ("A1", 1))
    aggregator.happened("TEST000000001", "3", row(72, "签收"), row(-24 * 200, "签收"))
    assert asks(house) == {"same": 1}
    assert (track(house).state, events(house)) == (T.WAITING, 0)


def test_a_push_is_taken_once_and_only_from_them(house: Floor, aggregator: FakeKuaidi100) -> None:
    set_up(house, {**aggregator.settings, "callback": "https://wms.example.com/tracking/push", "salt": SALT})
    ways.shipped(house, "SO-1", ("A1", 1))
    assert asks(house) == {"told": 1}
    assert [one["number"] for one in aggregator.subscribed] == ["TEST000000001"]
    found = track(house)
    assert found.next_at is not None and found.next_at > now() + timedelta(hours=20), "they tell us: we need not ask"
    client = house.app.test_client()
    aggregator.happened("TEST000000001", "1", row(0.1, "揽收"))
    answer = client.post("/tracking/push", data=aggregator.push("TEST000000001", salt="guessed"))
    assert (answer.status_code, track(house).state) == (403, T.WAITING)
    for _ in range(2):
        answer = client.post("/tracking/push", data=aggregator.push("TEST000000001"))
        assert answer.get_json() == {"result": True, "returnCode": "200", "message": "成功"}
    assert (track(house).state, events(house)) == (T.COLLECTED, 1)
    aggregator.happened("NOBODYS", "1", row(0.1, "揽收"))
    assert client.post("/tracking/push", data=aggregator.push("NOBODYS")).status_code == 200
    assert client.post("/tracking/push").status_code == 403


def test_asked_slowly_and_not_at_all_while_the_key_is_wrong(house: Floor, aggregator: FakeKuaidi100) -> None:
    for n in range(4):
        ways.shipped(house, f"SO-{n}", ("A1", 1), tote=f"00{n + 1}")
    assert asks(house, limit=3) == {"same": 3}
    assert len(aggregator.net.calls) == 3
    aggregator.says = ("601", "KEY已过期")
    assert asks(house) == {"failed": 1}
    assert len(aggregator.net.calls) == 4, "one question is enough to know"
    assert track(house, "TEST000000001").next_at > now() + timedelta(minutes=4)  # type: ignore[operator]
    hand = house.hand("admin")
    aggregator.says = None
    hand.act(
        f"/desk/carriers/{house.carrier('JD').id}/save",
        code="JD",
        name="京东快递",
        label_size="100x150",
        numbers_from="bought",
        collect_hours="24",
        silent_days="3",
        lost_days="10",
        promised_days="5",
        tracking_company="jd",
        tracking_key="another-key",
    )
    assert hand.status == 200, hand.text()
    assert job.ask_due(house.database) == {"failed": 1}, "a new key is tried at once"


def test_a_broken_line_is_tried_later(house: Floor, aggregator: FakeKuaidi100) -> None:
    ways.shipped(house, "SO-1", ("A1", 1))
    aggregator.net.before = lambda call: Reply(429, b"{}", {"Retry-After": "900"})
    assert asks(house) == {"failed": 1}
    found = track(house)
    assert found.next_at is not None and found.next_at > now() + timedelta(minutes=14)
    assert found.message


def ages(floor: Floor, number: str, **values: Any) -> None:
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(ParcelTrack).where(ParcelTrack.number == number).values(**values))


def test_late_silent_and_lost_parcels_are_seen_at_the_desk(house: Floor, aggregator: FakeKuaidi100) -> None:
    for n in range(6):
        ways.shipped(house, f"SO-{n}", ("A1", 1), tote="001")
    at = now()
    ages(house, "TEST000000001", handed_over_at=at - timedelta(hours=25))
    ages(house, "TEST000000002", handed_over_at=at - timedelta(hours=23))
    ages(house, "TEST000000003", state=T.IN_TRANSIT, at=at - timedelta(days=4), handed_over_at=at - timedelta(days=5))
    ages(house, "TEST000000004", state=T.IN_TRANSIT, at=at - timedelta(days=11), handed_over_at=at - timedelta(days=12))
    ages(house, "TEST000000005", state=T.EXCEPTION, at=at)
    ages(house, "TEST000000006", state=T.SIGNED, at=at - timedelta(days=30), handed_over_at=at - timedelta(days=31))
    hand = house.hand("supervisor")
    hand.get("/desk")
    hand.sees("desk/today", "Parcels to ask about 4", "1 of them perhaps lost")
    hand.get("/desk/carriers/parcels")
    text = hand.text()
    order = [text.index(f"TEST00000000{n}") for n in (4, 5, 1, 3)]
    assert order == sorted(order), text
    assert "TEST000000002" not in text and "TEST000000006" not in text
    hand.sees("desk/tracking", "Perhaps lost", "Trouble", "Not collected", "No news")
    set_up(house, {})
    hand.get("/desk")
    assert "Parcels to ask about" not in hand.text(), "a carrier that is not followed raises no alarm"


def test_damage_is_written_down_once_with_its_reason_and_counts(house: Floor, aggregator: FakeKuaidi100) -> None:
    ways.shipped(house, "SO-1", ("A1", 1))
    order = house.order("SO-2", ("A1", 1))
    house.release(order)
    ways.picked(house, order, "002")
    ways.labelled(house, "002")
    hand = house.hand("supervisor")
    hand.get("/desk/carriers/parcels", code="TEST000000001")
    hand.sees("desk/tracking", "The carrier has said nothing of it yet.")
    at = "/desk/carriers/parcels/claim"
    hand.act(at, parcel="TEST000000001", kind="damage", reason="外箱压破，杯子碎了")
    assert hand.said == "It is written down and counts against the carrier."
    for fields, words in (
        ({"parcel": "TEST000000001", "kind": "damage", "reason": "again"}, "is written down for parcel"),
        ({"parcel": "TEST000000001", "kind": "lost", "reason": " "}, "Say what happened"),
        ({"parcel": "TEST000000001", "kind": "theft", "reason": "who knows"}, "Say what happened"),
        ({"parcel": "TEST000000002", "kind": "lost", "reason": "still here"}, "was not handed over yet"),
        ({"parcel": "NONE", "kind": "lost", "reason": "who knows"}, "Nobody knows the code NONE"),
    ):
        hand.act(at, **fields)
        assert (hand.status, words in hand.said) == (422, True), hand.said
    hand.act(at, parcel="TEST000000001", kind="complaint", reason="派件员态度差")
    with house.database.reading() as session:
        rows = session.execute(select(ParcelClaim.kind, ParcelClaim.operator_id).order_by(ParcelClaim.id)).all()
    boss = house.operator_id("supervisor")
    assert rows == [(ClaimKind.DAMAGE, boss), (ClaimKind.COMPLAINT, boss)]


def test_carriers_are_judged_by_what_they_promised(house: Floor, aggregator: FakeKuaidi100) -> None:
    for n in range(5):
        ways.shipped(house, f"SO-{n}", ("A1", 1), tote="001")
    at = now()
    on_time, late, overdue, fresh, back = (f"TEST00000000{n}" for n in range(1, 6))
    left = at - timedelta(days=7)
    ages(house, on_time, handed_over_at=left, state=T.SIGNED, at=left, signed_at=left + timedelta(days=5))
    ages(house, late, handed_over_at=left, state=T.SIGNED, at=left, signed_at=left + timedelta(days=5, seconds=1))
    ages(house, overdue, handed_over_at=left)
    ages(house, fresh, handed_over_at=at - timedelta(days=1))
    ages(house, back, handed_over_at=left, state=T.RETURNED, at=left)
    with house.database.transaction(house.actor()) as session:
        session.execute(update(Parcel).values(handed_over_at=left))
        tracking.claim(session, on_time, "damage", "压破了")
    with house.database.reading() as session:
        (row,) = tracking.performance(session, house.warehouse_id, 30)
    assert (row.parcels, row.due, row.on_time, row.on_time_percent, row.damage) == (5, 4, 1, 25, 1)
    assert row.per_mille(row.damage) == 200.0
    hand = house.hand("supervisor")
    hand.get("/desk/carriers/report")
    hand.sees("desk/carrier_report", "25 % 1 of 4", "200.0 (1)")
    assert 'width="40.0"' in hand.page
    hand.get("/desk/carriers/report", days="3")
    hand.sees("desk/carrier_report", "1 0.0 (0) 0.0 (0) 0.0 (0)")
