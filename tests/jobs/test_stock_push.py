"""R38: what may be sold reaches each shop as a number, the newest last, at its pace, and one bad item stops nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from tests.factories import Rows
from wms.clock import now
from wms.connectors import ConnectorError
from wms.db import Database
from wms.flows import cancel, mapping, selling, shops
from wms.jobs import lanes, stock_push
from wms.models import (
    Item,
    Order,
    Shop,
    ShopStock,
    StockPush,
    StockPushState,
    StockWatch,
)
from wms.settings import Settings

S = StockPushState


@dataclass
class Shelf:
    """A shop's own numbers; it answers as told by SKU."""

    grain: str = "package"
    has: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[str, int]] = field(default_factory=list)
    answers: dict[str, Exception] = field(default_factory=dict)
    before: Callable[[str, int], None] = lambda _sku, _qty: None

    def push_stock(self, sku: str, qty: int) -> None:
        self.calls.append((sku, qty))
        self.before(sku, qty)
        if sku in self.answers:
            raise self.answers[sku]
        self.has[sku] = qty


def unknown(sku: str) -> ConnectorError:
    return ConnectorError(permanent=True, reason="sku_unknown", message="The shop has no %(sku)s.", facts={"sku": sku})


BUSY = ConnectorError(permanent=False, reason="timeout", message="%(host)s did not answer", facts={"host": "h"})


@dataclass
class Sold:
    """A warehouse whose shops are told of stock."""

    rows: Rows
    shelves: dict[str, Shelf]
    watcher: stock_push.Watcher

    @property
    def database(self) -> Database:
        return self.rows.database

    def shop(self, code: str = "SHOP") -> Shop:
        with self.database.reading() as session:
            return session.execute(select(Shop).where(Shop.code == code)).scalar_one()

    def told(self, code: str = "SHOP", share: int = 100, per_minute: int = 100_000) -> None:
        with self.database.transaction(self.rows.actor()) as session:
            if code not in self.shelves:
                session.add(
                    Shop(
                        warehouse_id=self.rows.warehouse_id, code=code, name=code, connector="csv", settings={"x": code}
                    )
                )
                session.flush()
            shop = session.execute(select(Shop).where(Shop.code == code)).scalar_one()
            shop.settings = {"code": code}
            selling.save_shop(session, shop, told=True, share=share, per_minute=per_minute)
        self.shelves.setdefault(code, Shelf())

    def connect(self, _kind: str, settings: dict[str, Any]) -> Any:
        return self.shelves[settings["code"]]

    def look(self, **how: Any) -> int:
        return self.watcher.look(**how)

    def tell(self, all_now: bool = True, **how: Any) -> stock_push.Told:
        return stock_push.tell(self.database, connect=self.connect, all_now=all_now, **how)

    def go(self) -> stock_push.Told:
        self.look()
        return self.tell()

    def row(self, sku: str = "A1", code: str = "SHOP") -> StockPush:
        with self.database.reading() as session:
            return session.execute(
                select(StockPush)
                .join(Item, Item.id == StockPush.item_id)
                .join(Shop, Shop.id == StockPush.shop_id)
                .where(Item.sku == sku, Shop.code == code)
            ).scalar_one()

    def change(self, **values: Any) -> None:
        with self.database.transaction(self.rows.actor()) as session:
            session.execute(update(StockPush).values(**values))

    def rested(self) -> None:
        """The pauses of shops and rows are over."""
        self.change(next_at=now())
        with self.database.transaction(self.rows.actor()) as session:
            session.execute(update(ShopStock).values(next_call_at=None))


def made(database: Database, settings: Settings) -> Sold:
    rows = Rows(database, settings.secret_key)
    rows.item("A1")
    rows.item("B2")
    rows.stock("A1", "A-01-01-1", 10)
    sold = Sold(rows, {"SHOP": Shelf()}, stock_push.Watcher(database))
    sold.told()
    return sold


@pytest.fixture
def sold(database: Database, settings: Settings) -> Sold:
    return made(database, settings)


@pytest.fixture
def any_sold(any_database: Database, any_settings: Settings) -> Sold:
    return made(any_database, any_settings)


# What may be sold


def available(sold: Sold, sku: str = "A1") -> int:
    with sold.database.reading() as session:
        item = session.execute(select(Item).where(Item.sku == sku)).scalar_one()
        return selling.of_item(session, sold.rows.warehouse_id, item)["available"]


def test_an_order_counts_from_the_moment_it_is_taken_in_until_it_has_left(any_sold: Sold) -> None:
    """Its shop sold the piece: told the old number again, it would sell it twice."""
    sold, rows = any_sold, any_sold.rows
    assert available(sold) == 10
    order = rows.order("1", ("A1", 3))
    assert available(sold) == 7
    rows.release(order)
    assert available(sold) == 7
    other = rows.order("2", ("A1", 2))
    with sold.database.transaction(rows.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (rows.warehouse_id, order)), "buyer")
    assert available(sold) == 8
    rows.ship_all([other])
    assert available(sold) == 8


def test_more_sold_than_there_is_means_nothing_to_sell(sold: Sold) -> None:
    sold.rows.order("1", ("A1", 30))
    assert available(sold) == -20
    sold.go()
    assert sold.shelves["SHOP"].has["A1"] == 0


def test_only_good_open_fresh_and_undoubted_stock_may_be_sold(sold: Sold) -> None:
    rows = sold.rows
    rows.item("T1", lots=True)
    rows.stock("T1", "A-01-02-1", 5, "OLD", date(2020, 1, 1))
    rows.stock("T1", "A-01-02-1", 7, "NEW", date(2099, 1, 1))
    assert available(sold, "T1") == 7
    with sold.database.transaction(rows.actor()) as session:
        rows.place(session, "A-01-02-1").blocked = True
    assert available(sold, "T1") == 0


def test_buffers_are_kept_back_the_narrowest_first(sold: Sold) -> None:
    rows = sold.rows
    with sold.database.transaction(rows.actor()) as session:
        session.execute(update(Item).values(category="tea"))
        item = session.execute(select(Item.id).where(Item.sku == "A1")).scalar_one()
    for scope, qty, left in (("", 2, 8), ("=tea", 4, 6), (str(item), 1, 9)):
        with sold.database.transaction(rows.actor()) as session:
            selling.save_buffer(session, scope, qty)
        sold.look()
        assert sold.row().wanted_qty == left
    with sold.database.transaction(rows.actor()) as session:
        selling.save_buffer(session, str(item), None)
    sold.look()
    assert sold.row().wanted_qty == 6


# Noticing


def test_every_change_of_stock_and_of_promises_is_noticed_by_itself(any_sold: Sold) -> None:
    sold, rows = any_sold, any_sold.rows
    assert sold.look() == 2
    assert sold.look() == 0
    first = rows.order("1", ("A1", 3))
    assert sold.look() == 1 and sold.row().wanted_qty == 7, "taken in: no move, no promise"
    rows.release(first)
    assert sold.look() == 0, "promised instead of wanted: the same number"
    with sold.database.transaction(rows.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (rows.warehouse_id, first)), "buyer")
    assert sold.look() == 1 and sold.row().wanted_qty == 10, "given back without a move"
    rows.stock("A1", "A-01-02-1", 5)
    assert sold.look() == 1 and sold.row().wanted_qty == 15
    rows.ship_all([rows.order("2", ("A1", 1))])
    assert sold.look() == 1 and sold.row().wanted_qty == 14
    with sold.database.transaction(rows.actor()) as session:
        shop = session.execute(select(Shop)).scalars().first()
        assert shop is not None
        selling.save_quota(session, shop, session.execute(select(Item).where(Item.sku == "A1")).scalar_one(), 3)
    assert sold.look() == 1 and sold.row().wanted_qty == 3


def test_a_quiet_look_writes_nothing(sold: Sold) -> None:
    sold.look()
    said: list[str] = []

    def listen(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        said.append(statement)

    event.listen(sold.database.engine, "before_cursor_execute", listen)
    try:
        assert sold.look() == 0
    finally:
        event.remove(sold.database.engine, "before_cursor_execute", listen)
    assert said and not [one for one in said if not one.lstrip().upper().startswith(("SELECT", "BEGIN"))], said


def test_what_was_committed_late_under_an_older_id_is_still_noticed(sold: Sold) -> None:
    """Ids of several processes are not committed in their order."""
    sold.look()
    sold.rows.stock("A1", "A-01-02-1", 5)
    with sold.database.transaction(sold.rows.actor()) as session:
        session.execute(update(StockWatch).values(move_id=StockWatch.move_id + (30_000 << 22)))
    assert sold.look() == 1 and sold.row().wanted_qty == 15


def test_an_older_look_never_replaces_a_newer_one(any_sold: Sold) -> None:
    """Two workers look at once: the one that began first is held up until the other has saved."""
    sold = any_sold
    sold.look()
    sold.rows.stock("A1", "A-01-02-1", 5)
    stalled, go_on = threading.Event(), threading.Event()
    true = selling.wanted

    def slow(*args: Any, **more: Any) -> Any:
        found = true(*args, **more)
        if threading.current_thread().name == "first":
            stalled.set()
            assert go_on.wait(20)
        return found

    first = threading.Thread(target=stock_push.Watcher(sold.database).look, name="first")
    selling.wanted = slow  # type: ignore[assignment]
    try:
        first.start()
        assert stalled.wait(20)
        sold.rows.order("1", ("A1", 4))
        assert stock_push.Watcher(sold.database).look() == 1
        newest = sold.row()
        go_on.set()
        first.join(20)
    finally:
        selling.wanted = true
        go_on.set()
    assert sold.row().wanted_qty == newest.wanted_qty == 11 and sold.row().wanted_version == newest.wanted_version


def test_many_looks_and_many_changes_at_once_end_at_the_truth(any_sold: Sold) -> None:
    sold, done = any_sold, threading.Event()
    faults: list[BaseException] = []

    def looks() -> None:
        watcher = stock_push.Watcher(sold.database)
        try:
            while not done.is_set():
                watcher.look()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=looks) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(12):
        sold.rows.order(f"N{number}", ("A1", 1)) if number % 2 else sold.rows.stock("A1", "A-01-02-1", 2)
    done.set()
    for thread in threads:
        thread.join(30)
    assert not faults
    sold.look()
    assert sold.row().wanted_qty == available(sold) == 10 + 12 - 6


def test_a_pickers_scan_gets_no_new_statement(sold: Sold) -> None:
    """The watch reads what is written anyway: with it on, a scan says the same to the database as with it off."""
    from wms.flows import pick
    from wms.models import PickStep

    rows = sold.rows
    picker = rows.operator_id("picker")

    def statements(number: str) -> list[str]:
        order = rows.order(number, ("A1", 2))
        rows.release(order)
        said: list[str] = []

        def listen(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
            said.append(statement)

        with sold.database.transaction(rows.actor()) as session:
            task = pick.take_over(session, picker, rows.task_of(order).id)
            pick.scan(session, picker, task, f"T-00{number}")
            pick.scan(session, picker, task, "L-A-01-01-1")
        event.listen(sold.database.engine, "before_cursor_execute", listen)
        try:
            with sold.database.transaction(rows.actor()) as session:
                task = session.merge(task)
                pick.scan(session, picker, task, "A1")
                assert task.step is PickStep.SCAN_ITEM
        finally:
            event.remove(sold.database.engine, "before_cursor_execute", listen)
        return said

    with sold.database.transaction(rows.actor()) as session:
        session.execute(update(ShopStock).values(told=False))
    before = statements("1")
    with sold.database.transaction(rows.actor()) as session:
        session.execute(update(ShopStock).values(told=True))
    sold.go()
    after = statements("2")
    assert before == after
    assert not [one for one in after if "stock_push" in one or "stock_watch" in one]


# Telling


def test_the_number_is_told_and_only_when_it_changed(any_sold: Sold) -> None:
    sold = any_sold
    assert sold.go().counts == {"told": 2}
    assert sold.shelves["SHOP"].has == {"A1": 10, "B2": 0}
    assert sold.go().counts == {}
    sold.rows.order("1", ("A1", 1))
    assert sold.go().counts == {"told": 1} and sold.shelves["SHOP"].has["A1"] == 9
    assert sold.row().state is S.TOLD and sold.row().sent_version == sold.row().wanted_version


def test_fifty_moves_in_a_minute_are_one_call(sold: Sold) -> None:
    sold.go()
    shelf = sold.shelves["SHOP"]
    shelf.calls.clear()
    sold.change(sent_at=now() - timedelta(seconds=50))
    for number in range(50):
        sold.rows.stock("A1", f"A-01-0{number % 3 + 1}-1", 1)
        sold.look()
        sold.tell(all_now=False)
    assert shelf.calls == [], "told ten seconds ago at the earliest"
    assert timedelta(seconds=5) < sold.row().next_at - now() <= timedelta(seconds=10)
    sold.change(next_at=now())
    sold.tell(all_now=False)
    assert shelf.calls == [("A1", 60)]


def test_sold_out_is_told_at_once(sold: Sold) -> None:
    sold.go()
    sold.rows.order("1", ("A1", 10))
    sold.look()
    sold.tell(all_now=False)
    assert sold.shelves["SHOP"].has["A1"] == 0


def test_an_item_that_went_away_and_came_back_needs_no_call(sold: Sold) -> None:
    sold.go()
    order = sold.rows.order("1", ("A1", 1))
    sold.look()
    with sold.database.transaction(sold.rows.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (sold.rows.warehouse_id, order)), "buyer")
    shelf = sold.shelves["SHOP"]
    shelf.calls.clear()
    sold.go()
    assert shelf.calls == [] and sold.row().state is S.TOLD


def test_a_shop_is_told_under_its_own_names_and_their_sum_is_its_part(sold: Sold) -> None:
    with sold.database.transaction(sold.rows.actor()) as session:
        item = session.execute(select(Item.id).where(Item.sku == "A1")).scalar_one()
        shop = session.execute(select(Shop)).scalar_one()
        mapping.say(session, shop, "a1-Red", item)
        mapping.say(session, shop, "a1-Rot", item)
    sold.go()
    shelf = sold.shelves["SHOP"]
    assert {sku: qty for sku, qty in shelf.has.items() if sku != "B2"} == {"a1-Red": 5, "a1-Rot": 5}
    sold.rows.order("1", ("A1", 1))
    sold.go()
    assert {sku: qty for sku, qty in shelf.has.items() if sku != "B2"} == {"a1-Red": 3, "a1-Rot": 3, "A1": 3}


def test_what_the_shop_does_not_have_is_a_line_for_a_person_and_no_storm(sold: Sold) -> None:
    shelf = sold.shelves["SHOP"]
    shelf.answers["A1"] = unknown("A1")
    told = sold.go()
    assert told.counts == {"failed": 1, "told": 1} and any("The shop has no A1." in line for line in told.lines)
    calls = len(shelf.calls)
    sold.rows.order("1", ("A1", 1))
    for _ in range(3):
        sold.go()
    stock_push.tell_anew(sold.database)
    sold.tell()
    assert len(shelf.calls) == calls and sold.row().state is S.FAILED
    del shelf.answers["A1"]
    with sold.database.transaction(sold.rows.actor()) as session:
        assert selling.again(session, sold.shop(), sold.row().id) == 1
    sold.go()
    assert shelf.has["A1"] == 9


def test_an_item_left_out_gives_its_part_to_the_others(sold: Sold) -> None:
    sold.told("TWO", share=50)
    sold.told("SHOP", share=50)
    sold.shelves["SHOP"].answers["A1"] = unknown("A1")
    sold.go()
    assert sold.shelves["TWO"].has["A1"] == 5
    with sold.database.transaction(sold.rows.actor()) as session:
        assert selling.leave_out(session, sold.shop()) == 1
    sold.told("TWO", share=100)
    sold.go()
    assert sold.shelves["TWO"].has["A1"] == 10


def test_an_item_that_is_no_longer_sold_is_told_as_none(sold: Sold) -> None:
    sold.go()
    with sold.database.transaction(sold.rows.actor()) as session:
        session.execute(update(Item).where(Item.sku == "A1").values(active=False))
    sold.look(all_items=True)
    sold.tell()
    assert sold.shelves["SHOP"].has["A1"] == 0


def test_a_shop_that_does_not_answer_rests_and_its_items_wait(sold: Sold) -> None:
    shelf = sold.shelves["SHOP"]
    shelf.answers = {"A1": BUSY, "B2": BUSY}
    assert sold.go().counts == {"retry": 1}
    assert sold.tell().counts == {} or len(shelf.calls) <= 2
    calls = len(shelf.calls)
    with sold.database.transaction(sold.rows.actor()) as session:
        session.execute(update(ShopStock).values(next_call_at=now() + timedelta(minutes=5)))
    sold.tell()
    assert len(shelf.calls) == calls, "it rests"
    shelf.answers = {}
    sold.rested()
    sold.tell()
    assert shelf.has == {"A1": 10, "B2": 0}


def test_a_refused_key_pauses_the_lane_and_nothing_is_lost(sold: Sold) -> None:
    shelf = sold.shelves["SHOP"]
    refused = ConnectorError(permanent=True, reason="unauthorised", message="no")
    shelf.answers = {"A1": refused, "B2": refused}
    assert sold.go().counts == {"paused": 1}
    assert sold.shop().id in lanes.paused(sold.database)
    sold.tell()
    assert len(shelf.calls) == 1
    shelf.answers = {}
    with sold.database.transaction(sold.rows.actor()) as session:
        shops.pause(session, sold.shop(), False)
    sold.rested()
    sold.tell()
    assert shelf.has == {"A1": 10, "B2": 0}


def test_one_bad_item_never_stops_the_rest(sold: Sold) -> None:
    for number in range(5):
        sold.rows.item(f"X{number}")
    sold.shelves["SHOP"].answers = {"X0": unknown("X0"), "X2": unknown("X2")}
    assert sold.go().counts == {"failed": 2, "told": 5}


def test_a_lost_answer_is_told_again_and_once_more_later(sold: Sold) -> None:
    """What was lost may still be carried out, after the newer number."""
    shelf = sold.shelves["SHOP"]
    shelf.answers = {"A1": BUSY}
    sold.go()
    assert sold.row().asked_qty == 10
    sold.rows.order("1", ("A1", 4))
    shelf.answers = {}
    sold.look()
    sold.rested()
    sold.tell()
    assert shelf.has["A1"] == 6 and sold.row().state is S.PENDING
    shelf.has["A1"] = 10  # here the lost one arrives
    sold.rested()
    sold.tell()
    assert shelf.has["A1"] == 6 and sold.row().state is S.TOLD


def test_calls_keep_the_pace_of_the_shop_over_all_workers(any_sold: Sold) -> None:
    sold = any_sold
    for number in range(6):
        sold.rows.item(f"X{number}")
    sold.told("SHOP", per_minute=600)  # one each tenth of a second
    at: list[float] = []
    sold.shelves["SHOP"].before = lambda _sku, _qty: at.append(now().timestamp())
    sold.look()
    workers = [threading.Thread(target=sold.tell) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert len(at) == 8
    at.sort()
    assert at[-1] - at[0] >= 0.65, "eight calls, seven pauses of a tenth"


def test_two_workers_tell_each_item_once(any_sold: Sold) -> None:
    sold = any_sold
    for number in range(12):
        sold.rows.item(f"X{number}")
    sold.look()
    workers = [threading.Thread(target=sold.tell) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    calls = [sku for sku, _qty in sold.shelves["SHOP"].calls]
    assert len(calls) == len(set(calls)) == 14


def test_a_call_that_outlived_its_lease_does_not_have_the_last_word(any_sold: Sold) -> None:
    """The first worker hangs in its call; another tells a newer number; then the first call reaches the shop."""
    sold = any_sold
    shelf = sold.shelves["SHOP"]
    hangs, arrive = threading.Event(), threading.Event()

    def hang(sku: str, _qty: int) -> None:
        if sku == "A1" and not hangs.is_set():
            hangs.set()
            assert arrive.wait(20)

    shelf.before = hang
    sold.look()
    first = threading.Thread(target=sold.tell)
    first.start()
    assert hangs.wait(20)
    sold.rows.order("1", ("A1", 4))
    sold.look()
    sold.change(leased_until=now() - timedelta(seconds=1))
    sold.tell()
    assert shelf.has["A1"] == 6
    arrive.set()
    first.join(20)
    assert shelf.has["A1"] == 10, "the older number came last: this is what must not stay"
    assert sold.row().state is S.PENDING
    for _once_more in range(2):  # an answer nobody knows the time of: told, and confirmed a little later
        sold.rested()
        sold.tell()
        assert shelf.has["A1"] == 6
    assert sold.row().state is S.TOLD and sold.row().sent_qty == 6


def test_both_calls_late_still_ends_at_the_newest(any_sold: Sold) -> None:
    """The second call is under way when the first, whose lease is over, ends."""
    sold = any_sold
    shelf = sold.shelves["SHOP"]
    order = ["one", "two"]
    inside, arrive = {n: threading.Event() for n in order}, {n: threading.Event() for n in order}

    def hang(sku: str, _qty: int) -> None:
        if sku == "A1" and threading.current_thread().name in order:
            name = threading.current_thread().name
            inside[name].set()
            assert arrive[name].wait(20)

    shelf.before = hang
    threads = {name: threading.Thread(target=sold.tell, name=name) for name in order}
    sold.look()
    threads["one"].start()
    assert inside["one"].wait(20)
    sold.rows.order("1", ("A1", 4))
    sold.look()
    sold.change(leased_until=now() - timedelta(seconds=1))
    threads["two"].start()
    assert inside["two"].wait(20)
    arrive["two"].set()
    while shelf.has.get("A1") != 6:
        threads["two"].join(0.01)
    arrive["one"].set()
    for thread in threads.values():
        thread.join(20)
    for _once_more in range(2):
        sold.rested()
        sold.tell()
        assert shelf.has["A1"] == 6
    assert sold.row().state is S.TOLD


def test_the_sum_over_shops_never_rises_above_the_stock(any_sold: Sold) -> None:
    """R38 while it happens: one shop is slow to hear that it has fewer, so the other is not told more."""
    sold = any_sold
    sold.told("TWO", share=50)
    sold.told("SHOP", share=50)
    sold.go()
    one, two = sold.shelves["SHOP"], sold.shelves["TWO"]
    assert (one.has["A1"], two.has["A1"]) == (5, 5)
    one.answers = {"A1": BUSY}
    sold.told("SHOP", share=10)
    sold.told("TWO", share=90)
    sold.go()
    assert two.has["A1"] == 5 and sold.row(code="TWO").state is S.PENDING
    one.answers = {}
    sold.rested()
    sold.tell()
    sold.rested()
    sold.tell()
    sold.rested()
    sold.tell()
    assert (one.has["A1"], two.has["A1"]) == (1, 9)
    assert sold.row(code="TWO").state is S.TOLD


def test_all_is_told_again_by_hand_and_anew_at_night(sold: Sold) -> None:
    sold.go()
    shelf = sold.shelves["SHOP"]
    shelf.has["A1"] = 99  # somebody changed it at the shop
    assert stock_push.tell_anew(sold.database) == 0, "told today"
    sold.change(sent_at=now() - timedelta(days=1))
    assert stock_push.tell_anew(sold.database) == 2
    sold.tell()
    assert shelf.has["A1"] == 10 and stock_push.outstanding(sold.database) == 0
    shelf.calls.clear()
    with sold.database.transaction(sold.rows.actor()) as session:
        assert selling.again(session, sold.shop()) == 2
    assert stock_push.outstanding(sold.database) == 2
    sold.tell()
    assert sorted(shelf.calls) == [("A1", 10), ("B2", 0)]


def test_a_shop_that_is_not_to_be_told_is_not(sold: Sold) -> None:
    with sold.database.transaction(sold.rows.actor()) as session:
        selling.save_shop(session, session.execute(select(Shop)).scalar_one(), told=False, share=100, per_minute=60)
    assert sold.look() == 0
    sold.tell()
    assert sold.shelves["SHOP"].calls == []
    with sold.database.reading() as session:
        assert session.execute(select(func.count()).select_from(StockPush)).scalar_one() == 0
