"""The whole engine: four platforms, refunds after the pull, split orders, faults on a fifth of the calls, two kills.

Nothing lost, nothing shipped after a refund, no number told twice, every failure with its words in both languages. The
platforms are the doubles of tests/connectors, which enforce their contracts; the engine is a process of its own and is
killed outright; the floor works meanwhile. WMS_PROOF_ORDERS says how many orders each shop has (500: the whole proof).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po
from sqlalchemy import func, select, update

from tests.connectors.fake_douyin import FakeDouyin
from tests.connectors.fake_jd import FakeJd
from tests.connectors.fake_pinduoduo import FakePinduoduo
from tests.connectors.fake_taobao import FakeTaobao
from tests.connectors.loopback import Answer, serve
from tests.connectors.shop_server import CUT, Call, Reply
from tests.factories import Rows
from wms import gate_checks
from wms.db import Actor, Database
from wms.errors import Refusal
from wms.flows import pack, ship
from wms.jobs import audit, gate
from wms.models import (
    Order,
    OrderState,
    Parcel,
    ParcelState,
    Push,
    PushState,
    RawOrder,
    RawState,
    Shop,
    Station,
    Waybill,
    WaybillState,
)
from wms.settings import Settings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ORDERS = int(os.environ.get("WMS_PROOF_ORDERS", "20"))
FAULTS = 0.2
REFUNDED = 0.05
SPLIT = 0.03
PATIENCE_S = 120 + ORDERS * 4.0
AGO = timedelta(minutes=20)

ENGINE = """
import signal, sys, threading
from datetime import timedelta
from wms.jobs import gate, intake, lanes, sync, worker
from wms.settings import Settings
# A day in minutes: the pauses are short, everything else is the product's own.
lanes.FIRST_PAUSE_S, lanes.LONGEST_PAUSE_S, lanes.LEASE = 0.2, 1.0, timedelta(seconds=3)
lanes.ASK_AGAIN = timedelta(seconds=1)
intake.PULL_EVERY = timedelta(seconds=1)
worker.PULL_LOOK_EVERY = worker.PUSH_EVERY = timedelta(seconds=0.3)
sync.FIRST_RETRY, sync.LONGEST_RETRY, sync.LEASE = timedelta(seconds=0.2), timedelta(seconds=1), timedelta(seconds=5)
sync.LOOK_AGAIN, sync.GIVE_UP_AFTER = timedelta(seconds=0.5), 60
worker.run(Settings(database_url=sys.argv[1], secret_key=sys.argv[2]), threading.Event())
"""


def real_now() -> datetime:
    return datetime.now(UTC)


class PddNow(FakePinduoduo):
    """Its clock is this machine's; orders may be made a while ago."""

    ago = timedelta(0)

    @property
    def now(self) -> datetime:  # type: ignore[override]
        return real_now() - self.ago

    @now.setter
    def now(self, value: datetime) -> None:
        pass


class DouyinNow(FakeDouyin):
    ago = timedelta(0)

    @property
    def now(self) -> datetime:  # type: ignore[override]
        return real_now() - self.ago

    @now.setter
    def now(self, value: datetime) -> None:
        pass


@dataclass
class Platform:
    """One shop: how orders come to stand in it, how a buyer wants one back, and what it holds in the end."""

    kind: str
    settings: dict[str, Any]
    numbers: list[str]
    refund: Callable[[str, bool], None]
    """(order, asked only): the money is asked for, or was given back."""
    held: Callable[[str], list[str]]
    """The waybill numbers that the shop has of the order."""


class Faults:
    """A fifth of the calls breaks: before anything was done, after it was done, or with an answer of no use."""

    def __init__(self, seed: int) -> None:
        self.chance, self.lock, self.on = random.Random(seed), threading.Lock(), True
        self.calls = self.broken = 0

    def kind(self) -> str:
        with self.lock:
            self.calls += 1
            if not self.on or self.chance.random() >= FAULTS:
                return ""
            self.broken += 1
            return self.chance.choice(("before", "after", "error"))


def _jd(stack: ExitStack, faults: Faults) -> Platform:
    shop = FakeJd(now=real_now)
    late: dict[int, str] = {}

    def before(method: str, _params: dict[str, Any]) -> Any:
        late[threading.get_ident()] = kind = faults.kind()
        return {"before": "cut", "error": Answer(b"<html>busy</html>", 503)}.get(kind)

    shop.before = before
    shop.after = lambda _m, _p: "cut" if late.get(threading.get_ident()) == "after" else None
    url = stack.enter_context(serve(shop))
    numbers = []
    shop.now = lambda: real_now() - AGO
    for number in range(ORDERS):
        shop.order(310_000_000 + number, ("A1", 1 + number % 2), *([("B2", 1)] if number % 3 == 0 else []))
        numbers.append(str(310_000_000 + number))
    shop.now = real_now

    def refund(number: str, asked: bool) -> None:
        shop.refund(int(number), 0 if asked else 3, checked=None if asked else real_now())
        shop.change(number, "" if asked else "TRADE_CANCELED")

    settings = {
        "url": f"{url}/routerjson",
        "renew_url": f"{url}/oauth2/refresh_token",
        "app_key": shop.app_key,
        "app_secret": shop.secret,
        "access_token": shop.token,
        "calls_per_s": "100000",
        "first_days": "3",
    }
    return Platform(
        "jd",
        settings,
        numbers,
        refund,
        lambda n: [w for w in shop.orders[n]["waybill"].replace("|", ",").split(",") if w],
    )


def _taobao(stack: ExitStack, faults: Faults) -> Platform:
    shop = FakeTaobao(now=real_now)
    late: dict[int, str] = {}

    def before(method: str, _fields: dict[str, str]) -> Any:
        late[threading.get_ident()] = kind = faults.kind()
        return {"before": "cut", "error": Answer(b"<html>busy</html>", 503)}.get(kind)

    shop.before = before
    shop.after = lambda _m, _f: "cut" if late.get(threading.get_ident()) == "after" else None
    url = stack.enter_context(serve(shop))
    shop.now = lambda: real_now() - AGO
    numbers = []
    for number in range(ORDERS):
        shop.order(770_000_000 + number, ("A1", 1 + number % 2), *([("B2", 1)] if number % 3 == 0 else []))
        numbers.append(str(770_000_000 + number))
    shop.now = real_now

    def refund(number: str, asked: bool) -> None:
        if not asked:
            shop.close(int(number))
            return
        for one in shop.trades[number]["orders"]:
            one["refund_status"] = "WAIT_SELLER_AGREE"
        shop.touch(number)

    settings = {
        "url": f"{url}/router/rest",
        "app_key": shop.app_key,
        "app_secret": shop.secret,
        "session": shop.session,
        "calls_per_s": "100000",
    }
    return Platform("taobao", settings, numbers, refund, lambda n: shop.numbers(int(n)))


def _loopback_faults(net: Any, faults: Faults) -> None:
    late: dict[str, str] = {"kind": ""}  # the double answers one call at a time

    def before(_call: Call) -> Reply | None:
        late["kind"] = kind = faults.kind()
        return {"before": CUT, "error": Reply(503, b"<html>busy</html>")}.get(kind)

    net.before = before
    net.after = lambda _call: CUT if late["kind"] == "after" else None


def _pinduoduo(stack: ExitStack, faults: Faults) -> Platform:
    shop = PddNow()
    _loopback_faults(shop.net, faults)
    stack.enter_context(shop.net.running())
    shop.ago = AGO
    numbers = [f"PDD{number:06d}" for number in range(ORDERS)]
    for number, name in enumerate(numbers):
        shop.order(name, ("A1", 1 + number % 2), *([("B2", 1)] if number % 3 == 0 else []))
    shop.ago = timedelta(0)

    def held(name: str) -> list[str]:
        order = shop.orders[name]
        more = [one["tracking_number"] for one in order.get("extra_delivery_list", [])]
        return [number for number in (order["tracking_number"], *more) if number]

    settings = {
        "url": shop.net.url,
        "client_id": shop.client_id,
        "client_secret": shop.secret,
        "access_token": shop.token,
        "carriers": {"SF": "44"},
    }
    return Platform(
        "pinduoduo", settings, numbers, lambda n, asked: shop.touch(n, refund_status=2 if asked else 4), held
    )


def _douyin(stack: ExitStack, faults: Faults) -> Platform:
    shop = DouyinNow()
    _loopback_faults(shop.net, faults)
    stack.enter_context(shop.net.running())
    shop.ago = AGO
    numbers = [f"69{number:012d}" for number in range(ORDERS)]
    for number, name in enumerate(numbers):
        shop.order(name, ("A1", 1 + number % 2), *([("B2", 1)] if number % 3 == 0 else []))
    shop.ago = timedelta(0)

    def refund(name: str, asked: bool) -> None:
        for line in {one["code"] for one in shop.orders[name]["sku_order_list"]}:
            shop.ask_back(name, line, *(() if asked else (12, 3)))

    settings = {
        "url": shop.net.url,
        "app_key": shop.app_key,
        "app_secret": shop.secret,
        "access_token": shop.token,
        "carriers": {"SF": "shunfeng"},
    }
    return Platform("douyin", settings, numbers, refund, lambda n: [tracking for tracking, _ in shop.packs(n)])


class Engine:
    """The product's worker as a process, to be killed and started again."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.url, self.secret, self.log = settings.database_url, settings.secret_key, log
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.kills = 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", ENGINE, self.url, self.secret],
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self.process is not None and self.process.poll() is None, self.log.read_text("utf-8")[-3000:]
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


World = tuple[Rows, list[Platform], list[Faults], Engine]


@pytest.fixture
def world(
    database: Database, settings: Settings, tmp_path: Path
) -> Iterator[tuple[Rows, list[Platform], list[Faults], Engine]]:
    rows = Rows(database, settings.secret_key)
    for sku in ("A1", "B2"):
        rows.item(sku)
        rows.stock(sku, "A-01-01-1", ORDERS * 20)
    engine = Engine(settings, tmp_path / "engine.log")
    with ExitStack() as stack:
        faults = [Faults(seed) for seed in range(4)]
        made = [make(stack, fault) for make, fault in zip((_jd, _taobao, _pinduoduo, _douyin), faults, strict=True)]
        from wms.flows import warehouse

        with database.transaction(rows.actor()) as session:
            carrier = warehouse.add_carrier(session, "SF", "顺丰速运")
            warehouse.add_waybill_range(session, carrier, "SF", 1, 999_999_999, 12)
            for platform in made:
                warehouse.add_shop(
                    session, platform.kind.upper(), platform.kind, platform.kind, platform.settings, carrier
                )
            session.execute(update(Shop).values(fail_closed=True))
            session.execute(update(Shop).where(Shop.connector == "csv").values(active=False))
            for number in range(6, 6 + ORDERS * 4):
                from wms.models import LocationKind

                warehouse.add_location(session, f"{number:05d}", LocationKind.TOTE, 0, "")
        try:
            yield rows, made, faults, engine
        finally:
            engine.stop()


def until(what: Callable[[], bool], engine: Engine, words: str) -> None:
    waiting = threading.Event()
    for _ in range(int(PATIENCE_S / 0.1)):
        if what():
            return
        waiting.wait(0.1)
    raise AssertionError(f"{words} never came\n{engine.log.read_text('utf-8')[-4000:]}")


def count(rows: Rows, query: Any) -> int:
    with rows.database.reading() as session:
        return int(session.execute(query).scalar_one())


def test_four_shops_with_refunds_splits_faults_and_kills(
    world: World,
) -> None:
    rows, platforms, faults, engine = world
    chance = random.Random(11)
    everything = 4 * ORDERS
    taken = select(func.count()).select_from(RawOrder).where(RawOrder.state == RawState.TAKEN)
    engine.start()
    until(lambda: count(rows, taken) >= everything // 3, engine, "a third of the orders")
    engine.kill()
    engine.start()
    until(lambda: count(rows, taken) == everything, engine, "all orders")

    ours = {(kind, number): order_id for kind, number, order_id in _orders(rows)}
    assert len(ours) == everything, "an order was lost or doubled"
    chosen = chance.sample(sorted(ours), max(4, round(everything * REFUNDED)))
    by_kind = {platform.kind: platform for platform in platforms}
    # A third of them before the pick, a third between pick and label, a third between label and hand-over.
    early, before_label, before_dock = chosen[0::3], chosen[1::3], chosen[2::3]
    for place, (kind, number) in enumerate(early):
        by_kind[kind].refund(number, place % 2 == 0)
    gate_all(rows, [ours[key] for key in early])

    ready = [order_id for key, order_id in ours.items() if key not in early]
    rows.pick_all(ready)
    for place, (kind, number) in enumerate(before_label):
        by_kind[kind].refund(number, place % 2 == 0)
    split = set(
        chance.sample([ours[key] for key in sorted(ours) if key not in chosen], max(2, round(everything * SPLIT)))
    )
    labelled, stopped = _pack(rows, ready, split, engine)
    for place, (kind, number) in enumerate(before_dock):
        by_kind[kind].refund(number, place % 2 == 0)
    killed = {"done": False}

    def kill_once(shipped: int) -> None:
        if shipped > everything // 2 and not killed["done"]:
            until(lambda: count(rows, _pushed()) > 0, engine, "the first push")
            engine.kill()
            killed["done"] = True
            engine.start()

    gone = _hand_over(rows, labelled, engine, kill_once)
    assert engine.kills == 2

    open_pushes = (
        select(func.count())
        .select_from(Push)
        .where(Push.state.in_([PushState.PENDING, PushState.SENDING, PushState.RETRY]))
    )
    until(lambda: count(rows, open_pushes) == 0, engine, "the end of the pushes")
    engine.stop()
    _judge(rows, by_kind, ours, set(chosen), gone, stopped)
    for fault in faults:
        assert fault.broken > 0.1 * fault.calls, "the faults were not there"


def _orders(rows: Rows) -> list[tuple[str, str, int]]:
    with rows.database.reading() as session:
        return [
            (row[0], row[1], row[2])
            for row in session.execute(
                select(Shop.connector, Order.shop_order_no, Order.id).join(Shop, Shop.id == Order.shop_id)
            )
        ]


def _pushed() -> Any:
    return select(func.count()).select_from(Push).where(Push.state == PushState.ACKNOWLEDGED)


def gate_all(rows: Rows, order_ids: list[int]) -> None:
    for order_id in order_ids:
        gate.ask(rows.database, rows.warehouse_id, order_id, patience_s=30)


def _asked(rows: Rows, order_id: int) -> None:
    """As the pages do before label and hand-over; a shop that stays silent is asked again, as the screen says."""
    for _ in range(60):
        gate.ask(rows.database, rows.warehouse_id, order_id, patience_s=30)
        with rows.database.reading() as session:
            order = session.get_one(Order, (rows.warehouse_id, order_id))
            if not isinstance(gate_checks.stands(session, order), gate_checks.ShopSilent):
                return
    raise AssertionError("the shop never answered")


def _pack(rows: Rows, order_ids: list[int], split: set[int], engine: Engine) -> tuple[list[int], list[int]]:
    packer = rows.operator_id("packer")
    labelled, stopped = [], []
    for order_id in order_ids:
        number = rows.order_row(order_id).shop_order_no
        _asked(rows, order_id)
        try:
            while rows.order_row(order_id).state is not OrderState.PACKED:
                with rows.database.transaction(Actor(rows.warehouse_id, packer)) as session:
                    station = session.execute(select(Station)).scalars().first()
                    parcel = pack.open_parcel(session, rows.warehouse_id, packer) or pack.start(
                        session, packer, station, number
                    )
                    while parcel.state is ParcelState.OPEN:
                        line = next(each for each in pack.lines(session, parcel) if each.packed < each.wanted)
                        pack.put_in(session, parcel, line.item, 1)
                        if order_id in split and parcel.state is ParcelState.OPEN:
                            pack.parcel_full(session, parcel)
                            split.discard(order_id)
                    pack.memo_seen(session, parcel)
                    pack.weigh(session, parcel, station, "500")
            labelled.append(order_id)
        except Refusal:
            stopped.append(order_id)
    return labelled, stopped


def _hand_over(rows: Rows, order_ids: list[int], engine: Engine, after: Callable[[int], None]) -> list[int]:
    gone = []
    for order_id in order_ids:
        _asked(rows, order_id)
        with rows.database.reading() as session:
            numbers = (
                session.execute(
                    select(Waybill.number)
                    .join(Parcel, Parcel.id == Waybill.parcel_id)
                    .where(Parcel.order_id == order_id, Waybill.state == WaybillState.LIVE)
                )
                .scalars()
                .all()
            )
        try:
            for number in numbers:
                with rows.database.transaction(rows.actor()) as session:
                    ship.scan(session, ship.manifest_for(session, rows.carrier("SF")), number)
            if numbers:
                gone.append(order_id)
        except Refusal:
            continue
        after(len(gone))
    return gone


def _judge(
    rows: Rows,
    platforms: dict[str, Platform],
    ours: dict[tuple[str, str], int],
    refunded: set[tuple[str, str]],
    gone: list[int],
    stopped: list[int],
) -> None:
    with rows.database.reading() as session:
        live: dict[int, list[str]] = {}
        for order_id, number in session.execute(
            select(Parcel.order_id, Waybill.number)
            .join(Waybill, Waybill.parcel_id == Parcel.id)
            .where(Waybill.state == WaybillState.LIVE)
        ):
            live.setdefault(order_id, []).append(number)
        pushes = session.execute(select(Push.order_id, Push.state, Push.reason)).all()
        raw = session.execute(select(RawOrder.state, RawOrder.reason)).all()
    lost = [key for key, order_id in ours.items() if key not in refunded and order_id not in gone]
    assert not lost, f"never shipped: {lost[:5]} of {len(lost)}"
    after_refund = [key for key in refunded if ours[key] in gone]
    assert not after_refund, f"shipped after a refund: {after_refund}"
    for (kind, number), order_id in ours.items():
        held = platforms[kind].held(number)
        wanted = live.get(order_id, []) if order_id in gone else []
        assert Counter(held) == Counter(wanted), f"{kind} {number}: the shop has {held}, we sent {wanted}"
    states = Counter(state.value for _, state, _ in pushes)
    assert states == {"acknowledged": sum(len(live[order_id]) for order_id in gone)}, (
        states,
        [r for _, _, r in pushes if r][:5],
    )
    sentences = {reason for _, _, reason in pushes if reason} | {reason for _, reason in raw if reason}
    with (ROOT / "wms/translations/zh/LC_MESSAGES/messages.po").open("rb") as file:
        known = {str(message.id): message.string for message in read_po(file, locale="zh")}
    missing = [sentence for sentence in sentences if not known.get(sentence)]  # the English is the sentence itself
    assert not missing, f"without Chinese words: {missing}"
    assert audit.verify(rows.database) == []
