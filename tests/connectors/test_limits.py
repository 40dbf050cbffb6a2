"""Buckets and bans: nobody waits long inside a call, and a ban holds for exactly those it is meant for."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.untimed import untimed
from wms.connectors import ConnectorError
from wms.connectors.limits import Fault, Lane, Limits, Rate, Verdict
from wms.connectors.orders import spread

HERE = Lane("app", "shop", "orders.get")


@dataclass
class Clock:
    """A clock that moves only when somebody sleeps."""

    at_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at_s += seconds


def limits(clock: Clock, patience_s: float = 5.0) -> Limits:
    return Limits(patience_s=patience_s, monotonic=clock.now, sleep=clock.sleep)


def test_a_burst_goes_at_once_and_then_one_waits_for_each_turn() -> None:
    clock = Clock()
    bucket = limits(clock)
    for _ in range(6):
        bucket.take(HERE, Rate(3, 2), "shop.test")
    assert clock.slept == [0.5, 0.5, 0.5]


def test_who_would_wait_longer_than_is_patient_comes_back_later() -> None:
    clock = Clock()
    bucket = limits(clock, patience_s=1.0)
    bucket.take(HERE, Rate(1, 0.1), "shop.test")
    with pytest.raises(ConnectorError, match="as often as it may") as told:
        bucket.take(HERE, Rate(1, 0.1), "shop.test")
    assert (told.value.permanent, told.value.reason, told.value.retry_after_s) == (False, "throttled", 10.0)
    assert clock.slept == []
    clock.at_s = 10.0
    bucket.take(HERE, Rate(1, 0.1), "shop.test")


def test_each_app_shop_and_method_has_its_own_bucket() -> None:
    clock = Clock()
    bucket = limits(clock, patience_s=0.0)
    for lane in (HERE, Lane("app", "shop", "send"), Lane("app", "shop 2", "orders.get"), Lane("b", "shop", "send")):
        bucket.take(lane, Rate(1, 1), "shop.test")
    with pytest.raises(ConnectorError):
        bucket.take(HERE, Rate(1, 1), "shop.test")


@pytest.mark.parametrize(
    ("ban", "stopped"),
    [
        (Lane("app"), {("app", "shop", "a"), ("app", "shop", "b"), ("app", "shop 2", "a")}),
        (Lane("app", "shop"), {("app", "shop", "a"), ("app", "shop", "b")}),
        (Lane("app", "", "a"), {("app", "shop", "a"), ("app", "shop 2", "a")}),
        (Lane("app", "shop", "a"), {("app", "shop", "a")}),
    ],
)
def test_a_ban_holds_for_those_it_names_and_ends_by_itself(ban: Lane, stopped: set[tuple[str, str, str]]) -> None:
    clock = Clock()
    bucket = limits(clock)
    everyone = [Lane("app", "shop", "a"), Lane("app", "shop", "b"), Lane("app", "shop 2", "a"), Lane("x", "shop", "a")]
    bucket.ban(ban, 30)
    assert {tuple(lane) for lane in everyone if bucket.banned_s(lane)} == stopped
    with pytest.raises(ConnectorError, match="30 s") as told:
        bucket.take(Lane("app", "shop", "a"), Rate(9, 9), "shop.test")
    assert (told.value.permanent, told.value.reason, told.value.retry_after_s) == (False, "banned", 30)
    clock.at_s = 31
    assert not any(bucket.banned_s(lane) for lane in everyone)
    bucket.take(Lane("app", "shop", "a"), Rate(9, 9), "shop.test")


def test_a_ban_is_never_made_shorter_nor_longer_than_a_day() -> None:
    clock = Clock()
    bucket = limits(clock)
    bucket.ban(HERE, 100)
    bucket.ban(HERE, 1)
    assert bucket.banned_s(HERE) == 100
    bucket.ban(HERE, 10**9)
    assert bucket.banned_s(HERE) == 86_400


@untimed
@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.integers(1, 5), st.floats(0.5, 5))
def test_never_more_calls_than_the_bucket_holds_in_any_stretch_of_time(
    pauses: list[float], calls: int, per_s: float
) -> None:
    clock = Clock()
    bucket = limits(clock, patience_s=1e9)
    went: list[float] = []
    for pause in pauses:
        clock.at_s += pause
        bucket.take(HERE, Rate(calls, per_s), "shop.test")
        went.append(clock.at_s)
    for first in range(len(went)):
        for last in range(first, len(went)):
            assert last - first + 1 <= calls + (went[last] - went[first]) * per_s + 1e-6


def test_threads_together_take_no_more_than_one_would() -> None:
    bucket = Limits(patience_s=0.0, monotonic=lambda: 0.0)
    taken: list[int] = []
    gate = threading.Barrier(8)

    def take_some() -> None:
        gate.wait()
        for _ in range(10):
            try:
                bucket.take(HERE, Rate(20, 1), "shop.test")
            except ConnectorError:
                return
            taken.append(1)

    threads = [threading.Thread(target=take_some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 20


def test_a_fault_says_by_its_kind_whether_to_try_again() -> None:
    permanent = {fault: Verdict(fault, "why", "%(host)s says no").error(host="h").permanent for fault in Fault}
    assert permanent == {Fault.RETRY: False, Fault.READ_BACK: False, Fault.OPERATOR: True, Fault.REAUTHORISE: True}


@untimed
@given(st.integers(-5, 10**6), st.integers(1, 50))
def test_shares_of_a_quantity_add_up_to_it_and_are_even(qty: int, places: int) -> None:
    shares = spread(qty, places)
    assert len(shares) == places
    assert sum(shares) == max(qty, 0)
    assert max(shares) - min(shares) <= 1
