"""The ledger: every change is one move, balances are its sum, nothing is made or lost (R1–R3, R6)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from tests import ways
from tests.factories import Rows
from wms import ledger
from wms.clock import now
from wms.db import Actor, Database
from wms.errors import ChangedMeanwhile, NotEnoughStock, Refusal
from wms.ledger import AlreadyUndone, Spot
from wms.models import (
    VIRTUAL,
    Allocation,
    Balance,
    Condition,
    Item,
    Journal,
    Location,
    LocationKind,
    Lot,
    MoveReason,
    Order,
    OrderLine,
    OrderState,
    PrintAttempt,
    Shop,
    StockMove,
    Warehouse,
    new_id,
)
from wms.settings import Settings

SHELF, OTHER = "A-01-01-1", "A-01-02-1"


@pytest.fixture
def rows(any_database: Database, any_settings: Settings) -> Rows:
    made = Rows(any_database, any_settings.secret_key)
    made.item("A1")
    made.stock("A1", SHELF, 10)
    return made


def a1(session: Session) -> int:
    return session.execute(select(Item.id).where(Item.sku == "A1")).scalar_one()


def relocate(rows: Rows, session: Session, qty: int, **more: Any) -> int:
    return ledger.post(
        session,
        item_id=a1(session),
        qty=qty,
        from_=rows.place(session, SHELF),
        to=rows.place(session, OTHER),
        reason=MoveReason.RELOCATE,
        cause="test:1",
        **more,
    )


def promised(rows: Rows, session: Session, qty: int) -> Allocation:
    line = session.execute(select(OrderLine).order_by(OrderLine.id.desc()).limit(1)).scalar_one()
    place = rows.place(session, SHELF)
    assert ledger.allocate(session, line, Spot(place.id, a1(session)), qty)
    return session.execute(select(Allocation).where(Allocation.order_line_id == line.id)).scalar_one()


def differences(rows: Rows) -> list[ledger.Difference]:
    with rows.database.reading() as session:
        return ledger.differences(session)


def test_a_move_takes_here_and_puts_there_and_says_who_and_why(rows: Rows) -> None:
    """R1, R45: who, which device, which scan, why."""
    who = Actor(rows.warehouse_id, rows.operator_id("picker"), "a device", "a scan")
    with rows.database.transaction(who) as session:
        move_id = relocate(rows, session, 3)
    assert (ways.held(rows, "A1", SHELF), ways.held(rows, "A1", OTHER)) == ((7, 0), (3, 0))
    with rows.database.reading() as session:
        move = session.get_one(StockMove, (rows.warehouse_id, move_id))
        assert (move.qty, move.reason, move.cause) == (3, MoveReason.RELOCATE, "test:1")
        assert (move.operator_id, move.device_id, move.scan_id) == (who.operator_id, "a device", "a scan")
        assert abs((now() - move.at).total_seconds()) < 60
    assert differences(rows) == []


def test_more_than_is_there_is_refused_in_plain_words_and_nothing_is_written(rows: Rows) -> None:
    before = ways.books(rows)
    with pytest.raises(NotEnoughStock) as refused, rows.database.transaction(rows.actor()) as session:
        relocate(rows, session, 11)
    assert str(refused.value) == f"Not enough of A1 at {SHELF}: 11 wanted, 10 free."
    assert refused.value.answer == "look"
    assert ways.books(rows) == before


def test_promised_pieces_are_not_free_to_move(rows: Rows) -> None:
    """R3: what one order was promised, no other move takes."""
    rows.order("SO-1", ("A1", 8))
    with rows.database.transaction(rows.actor()) as session:
        promised(rows, session, 8)
    with pytest.raises(NotEnoughStock, match="3 wanted, 2 free"), rows.database.transaction(rows.actor()) as session:
        relocate(rows, session, 3)
    with rows.database.transaction(rows.actor()) as session:
        relocate(rows, session, 2)
    assert ways.held(rows, "A1", SHELF) == (8, 8)
    assert differences(rows) == []


def test_what_is_not_free_is_not_promised_and_nothing_is_written(rows: Rows) -> None:
    rows.order("SO-1", ("A1", 11))
    with rows.database.transaction(rows.actor()) as session:
        line = session.execute(select(OrderLine)).scalar_one()
        place = rows.place(session, SHELF)
        assert not ledger.allocate(session, line, Spot(place.id, a1(session)), 11)
        assert ledger.allocate(session, line, Spot(place.id, a1(session)), 10)
        assert not ledger.allocate(session, line, Spot(place.id, a1(session)), 1)
    assert ways.held(rows, "A1", SHELF) == (10, 10)
    assert differences(rows) == []


def test_a_promise_follows_the_goods_and_gives_back_what_is_not_used(rows: Rows) -> None:
    """R3: carried to a tote, the rest given back, the carried part used up at hand-over (R6)."""
    rows.order("SO-1", ("A1", 6))
    with rows.database.transaction(rows.actor()) as session:
        allocation = promised(rows, session, 6)
        ledger.carry(session, allocation, 4, rows.place(session, "001"), reason=MoveReason.PICK, cause="order_line:1")
    assert ways.held(rows, "A1", SHELF) == (6, 2)
    assert ways.held(rows, "A1", "001") == (4, 4)
    with rows.database.transaction(rows.actor()) as session:
        shelf = rows.place(session, SHELF)
        rest = session.execute(select(Allocation).where(Allocation.location_id == shelf.id)).scalar_one()
        ledger.free(session, rest)
    assert ways.held(rows, "A1", SHELF) == (6, 0)
    with rows.database.transaction(rows.actor()) as session:
        gone = session.execute(select(Allocation)).scalar_one()
        ledger.use_up(
            session, gone, ledger.virtual(session, LocationKind.CUSTOMER), reason=MoveReason.SHIP, cause="parcel:1"
        )
    assert ways.held(rows, "A1", "001") == (0, 0)
    with rows.database.reading() as session:
        assert session.execute(select(func.count()).select_from(Allocation)).scalar_one() == 0
    assert differences(rows) == []


def test_no_more_is_carried_than_was_promised(rows: Rows) -> None:
    """R21: capped at the allocated quantity on every path."""
    rows.order("SO-1", ("A1", 2))
    before: dict[str, Any] = {}
    with rows.database.transaction(rows.actor()) as session:
        promised(rows, session, 2)
    before = ways.books(rows)
    with pytest.raises(ChangedMeanwhile), rows.database.transaction(rows.actor()) as session:
        allocation = session.execute(select(Allocation)).scalar_one()
        ledger.carry(session, allocation, 3, rows.place(session, "001"), reason=MoveReason.PICK, cause="test:1")
    assert ways.books(rows) == before


def test_no_more_is_freed_than_was_promised(rows: Rows) -> None:
    rows.order("SO-1", ("A1", 2))
    with rows.database.transaction(rows.actor()) as session:
        promised(rows, session, 2)
    before = ways.books(rows)
    with pytest.raises(ChangedMeanwhile), rows.database.transaction(rows.actor()) as session:
        ledger.free(session, session.execute(select(Allocation)).scalar_one(), 3)
    assert ways.books(rows) == before


def test_a_move_is_undone_by_its_mirror_image_and_only_once(rows: Rows) -> None:
    """R1: nothing is deleted; the second undo is refused."""
    with rows.database.transaction(rows.actor()) as session:
        move_id = relocate(rows, session, 3, to_container="BOX", to_condition=Condition.DAMAGED)
    with rows.database.transaction(rows.actor()) as session:
        back_id = ledger.reverse(session, move_id, cause="test:2")
    with rows.database.reading() as session:
        back = session.get_one(StockMove, (rows.warehouse_id, back_id))
        assert (back.reason, back.reverses_id, back.qty) == (MoveReason.UNDO, move_id, 3)
        assert (back.from_container, back.from_condition) == ("BOX", Condition.DAMAGED)
    assert ways.held(rows, "A1", SHELF) == (10, 0)
    with pytest.raises(AlreadyUndone, match="already undone"), rows.database.transaction(rows.actor()) as session:
        ledger.reverse(session, move_id, cause="test:3")
    assert differences(rows) == []


def test_the_database_itself_refuses_a_second_mirror_image(rows: Rows) -> None:
    with rows.database.transaction(rows.actor()) as session:
        move_id = relocate(rows, session, 3)
        ledger.reverse(session, move_id, cause="test:2")
    with pytest.raises(IntegrityError), rows.database.transaction(rows.actor()) as session:
        relocate(rows, session, 1, reverses_id=move_id)
    assert differences(rows) == []


def test_an_undone_pick_gives_the_promise_back_with_the_pieces(rows: Rows) -> None:
    order = rows.order("SO-1", ("A1", 2))
    rows.release(order)
    ways.picked(rows, order)
    with rows.database.transaction(rows.actor()) as session:
        move = session.execute(select(StockMove).where(StockMove.reason == MoveReason.PICK).limit(1)).scalar_one()
        ledger.reverse(session, move.id, cause=move.cause)
    assert ways.held(rows, "A1", SHELF) == (9, 1)
    assert ways.held(rows, "A1", "001") == (1, 1)
    assert differences(rows) == []


def test_goods_that_went_on_meanwhile_are_not_taken_back(rows: Rows) -> None:
    with rows.database.transaction(rows.actor()) as session:
        move_id = relocate(rows, session, 3)
        ledger.post(
            session,
            item_id=a1(session),
            qty=1,
            from_=rows.place(session, OTHER),
            to=rows.place(session, SHELF),
            reason=MoveReason.RELOCATE,
            cause="test:1",
        )
    before = ways.books(rows)
    with pytest.raises(NotEnoughStock), rows.database.transaction(rows.actor()) as session:
        ledger.reverse(session, move_id, cause="test:2")
    assert ways.books(rows) == before


@pytest.mark.parametrize("table", [StockMove, Journal, PrintAttempt])
def test_what_happened_is_neither_changed_nor_deleted_by_anybody(rows: Rows, table: Any) -> None:
    """R1, R45: the database refuses it, whoever asks, with any client."""
    _order, _parcel = ways.shipped(rows, "SO-1", ("A1", 1))
    from wms import print_lease
    from wms.jobs import print_queue

    for key in print_lease.printers_due(rows.database):
        print_queue.serve_printer(rows.database, *key)
    name = table.__tablename__
    acts: list[Callable[[Session], Any]] = [
        lambda session: session.execute(update(table).values(at=now())),
        lambda session: session.execute(delete(table)),
        lambda session: session.execute(text(f"UPDATE {name} SET at = at")),
        lambda session: session.execute(text(f"DELETE FROM {name}")),
    ]
    with rows.database.reading() as session:
        before = session.execute(select(func.count()).select_from(table)).scalar_one()
    assert before > 0
    for act in acts:
        with pytest.raises(DBAPIError, match="append-only"), rows.database.transaction(rows.actor()) as session:
            act(session)
    with rows.database.reading() as session:
        assert session.execute(select(func.count()).select_from(table)).scalar_one() == before


@pytest.mark.parametrize(
    "sentence",
    [
        "UPDATE balance SET on_hand = -1",
        "UPDATE balance SET allocated = on_hand + 1",
        "UPDATE balance SET allocated = -1",
    ],
)
def test_the_database_itself_refuses_a_balance_that_cannot_be(rows: Rows, sentence: str) -> None:
    """R2: 0 ≤ allocated ≤ on hand."""
    with pytest.raises(IntegrityError), rows.database.transaction(rows.actor()) as session:
        session.execute(text(sentence))


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("UPDATE balance SET on_hand = on_hand + 1", [("on_hand", 10, 11)]),
        ("UPDATE balance SET on_hand = on_hand - 2", [("on_hand", 10, 8)]),
        ("UPDATE balance SET allocated = 3", [("allocated", 0, 3)]),
        ("DELETE FROM balance", [("on_hand", 10, 0)]),
    ],
)
def test_a_planted_difference_is_found_and_not_repaired(
    rows: Rows, sentence: str, said: list[tuple[str, int, int]]
) -> None:
    """R2: verify reports, it never repairs silently."""
    with rows.database.transaction(rows.actor()) as session:
        session.execute(text(sentence))
    for _look in range(2):
        found = differences(rows)
        assert [(each.what, each.ledger, each.book) for each in found] == said


def test_a_promise_without_its_balance_is_found(rows: Rows) -> None:
    rows.order("SO-1", ("A1", 2))
    with rows.database.transaction(rows.actor()) as session:
        promised(rows, session, 2)
        session.execute(text("UPDATE allocation SET qty = 1"))
    assert [(each.what, each.ledger, each.book) for each in differences(rows)] == [("allocated", 1, 2)]


def test_every_move_has_two_ends_and_all_places_together_sum_to_nothing(rows: Rows) -> None:
    """R1: what came in came from somewhere."""
    ways.shipped(rows, "SO-1", ("A1", 4))
    with rows.database.reading() as session:
        moves = session.execute(select(StockMove.from_id, StockMove.to_id, StockMove.qty)).all()
        kinds = {place.id: place.kind for place in session.execute(select(Location)).scalars()}
        on_hand = session.execute(select(func.sum(Balance.on_hand))).scalar_one()
    total = dict.fromkeys(kinds, 0)
    for from_id, to_id, qty in moves:
        total[from_id] -= qty
        total[to_id] += qty
    assert sum(total.values()) == 0
    assert sum(n for place, n in total.items() if kinds[place] not in VIRTUAL) == on_hand == 6
    assert sum(n for place, n in total.items() if kinds[place] is LocationKind.CUSTOMER) == 4


PLACES = ("S1", "S2", "T1", "HOLD")
KINDS = {
    "S1": LocationKind.STORAGE,
    "S2": LocationKind.STORAGE,
    "T1": LocationKind.TOTE,
    "HOLD": LocationKind.QUARANTINE,
}
LOTS = ("", "L1")
quantities = st.integers(1, 6)
places = st.sampled_from(PLACES)
lots = st.sampled_from(LOTS)
containers = st.sampled_from(("", "BOX"))


class Warehousing(RuleBasedStateMachine):
    """Random moves, promises and undos. ``inside`` is counted apart from the book, by adding up what came and went."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="wmsledger"))
        shutil.copy(self.template, self.home / "wms.db")
        self.database = Database(f"sqlite:///{self.home / 'wms.db'}")
        self.inside = 0
        self.actor = Actor(1)
        self.line_ids: list[int] = []

    @initialize()
    def open(self) -> None:
        with self.database.transaction(self.actor) as session:
            house = Warehouse(code="W", name="W")
            session.add(house)
            session.flush()
            self.actor = Actor(house.id)
            for kind in VIRTUAL:
                session.add(Location(warehouse_id=house.id, id=new_id(), kind=kind, code=kind.value))
            for code in PLACES:
                session.add(Location(warehouse_id=house.id, id=new_id(), kind=KINDS[code], code=code))
            item = Item(sku="A1", name="A1", lot_tracked=True)
            shop = Shop(warehouse_id=house.id, code="S", name="S", settings={})
            session.add_all([item, shop])
            session.flush()
            session.add(Lot(item_id=item.id, code="L1"))
            order = Order(
                warehouse_id=house.id,
                id=new_id(),
                shop_id=shop.id,
                shop_order_no="1",
                state=OrderState.READY,
                taken_in_at=now(),
            )
            session.add(order)
            session.flush()
            for number in range(2):
                line = OrderLine(
                    warehouse_id=house.id,
                    id=new_id(),
                    order_id=order.id,
                    line_ref=str(number),
                    sku="A1",
                    item_id=item.id,
                    qty=1000,
                )
                session.add(line)
                self.line_ids.append(line.id)
            self.item_id = item.id

    def place(self, session: Session, code: str) -> Location:
        return session.execute(select(Location).where(Location.code == code)).scalar_one()

    def try_it(self, act: Callable[[Session], int]) -> None:
        """One transaction. Refused means: the book is as it was. Else ``act`` says how many pieces came in or went."""
        before = self.book()
        try:
            with self.database.transaction(self.actor) as session:
                change = act(session)
        except Refusal:
            assert self.book() == before
            return
        self.inside += change

    def book(self) -> list[tuple[Any, ...]]:
        with self.database.reading() as session:
            return sorted(
                tuple(row)
                for row in session.execute(
                    select(
                        Balance.location_id,
                        Balance.lot,
                        Balance.container,
                        Balance.condition,
                        Balance.on_hand,
                        Balance.allocated,
                    ).where(Balance.on_hand + Balance.allocated > 0)
                )
            )

    def pick_one(self, session: Session, table: Any, number: int) -> Any:
        rows = session.execute(select(table).order_by(table.id)).scalars().all()
        return rows[number % len(rows)] if rows else None

    @rule(qty=quantities, to=places, lot=lots, damaged=st.booleans())
    def receive(self, qty: int, to: str, lot: str, damaged: bool) -> None:
        def act(session: Session) -> int:
            ledger.post(
                session,
                item_id=self.item_id,
                qty=qty,
                lot=lot,
                to=self.place(session, to),
                from_=ledger.virtual(session, LocationKind.SUPPLIER),
                reason=MoveReason.RECEIVE,
                cause="test:1",
                to_condition=Condition.DAMAGED if damaged else Condition.GOOD,
            )
            return qty

        self.try_it(act)

    @rule(qty=quantities, from_=places, to=places, lot=lots, box=containers, into=containers, damaged=st.booleans())
    def move(self, qty: int, from_: str, to: str, lot: str, box: str, into: str, damaged: bool) -> None:
        if (from_, box) == (to, into):
            return

        def act(session: Session) -> int:
            ledger.post(
                session,
                item_id=self.item_id,
                qty=qty,
                lot=lot,
                from_=self.place(session, from_),
                to=self.place(session, to),
                from_container=box,
                to_container=into,
                from_condition=Condition.DAMAGED if damaged else Condition.GOOD,
                reason=MoveReason.RELOCATE,
                cause="test:1",
            )
            return 0

        self.try_it(act)

    @rule(qty=quantities, from_=places, lot=lots)
    def lose(self, qty: int, from_: str, lot: str) -> None:
        def act(session: Session) -> int:
            ledger.post(
                session,
                item_id=self.item_id,
                qty=qty,
                lot=lot,
                from_=self.place(session, from_),
                to=ledger.virtual(session, LocationKind.ADJUSTMENT),
                reason=MoveReason.COUNT,
                cause="test:1",
            )
            return -qty

        self.try_it(act)

    @rule(qty=quantities, at=places, lot=lots, line=st.integers(0, 1))
    def promise(self, qty: int, at: str, lot: str, line: int) -> None:
        def act(session: Session) -> int:
            row = session.get_one(OrderLine, (self.actor.warehouse_id, self.line_ids[line]))
            ledger.allocate(session, row, Spot(self.place(session, at).id, self.item_id, lot), qty)
            return 0

        self.try_it(act)

    @rule(number=st.integers(0, 50), qty=quantities, whole=st.booleans())
    def give_back(self, number: int, qty: int, whole: bool) -> None:
        def act(session: Session) -> int:
            if allocation := self.pick_one(session, Allocation, number):
                ledger.free(session, allocation, None if whole else qty)
            return 0

        self.try_it(act)

    @rule(number=st.integers(0, 50), qty=quantities, to=places, into=containers, packing=st.booleans())
    def carry(self, number: int, qty: int, to: str, into: str, packing: bool) -> None:
        def act(session: Session) -> int:
            allocation = self.pick_one(session, Allocation, number)
            target = self.place(session, to)
            if allocation and (allocation.location_id, allocation.container) != (target.id, into):
                ledger.carry(
                    session,
                    allocation,
                    qty,
                    target,
                    to_container=into,
                    reason=MoveReason.PACK if packing else MoveReason.PICK,
                    cause=f"order_line:{allocation.order_line_id}",
                )
            return 0

        self.try_it(act)

    @rule(number=st.integers(0, 50))
    def ship(self, number: int) -> None:
        def act(session: Session) -> int:
            allocation = self.pick_one(session, Allocation, number)
            if allocation is None:
                return 0
            qty: int = allocation.qty
            ledger.use_up(
                session,
                allocation,
                ledger.virtual(session, LocationKind.CUSTOMER),
                reason=MoveReason.SHIP,
                cause="parcel:1",
            )
            return -qty

        self.try_it(act)

    @rule(number=st.integers(0, 200))
    def undo(self, number: int) -> None:
        def act(session: Session) -> int:
            move = self.pick_one(session, StockMove, number)
            if move is None:
                return 0
            ends = [
                session.get_one(Location, (self.actor.warehouse_id, end)).virtual for end in (move.from_id, move.to_id)
            ]
            ledger.reverse(session, move.id, cause=move.cause)
            return move.qty * (ends[1] - ends[0])

        self.try_it(act)

    @rule(at=places, lot=lots, qty=quantities)
    def break_promises(self, at: str, lot: str, qty: int) -> None:
        def act(session: Session) -> int:
            place = self.place(session, at)
            ledger.break_allocations(session, self.actor.warehouse_id, Spot(place.id, self.item_id, lot), qty)
            return 0

        self.try_it(act)

    @invariant()
    def the_books_are_right(self) -> None:
        with self.database.reading() as session:
            assert ledger.differences(session) == []
            on_hand = session.execute(select(func.coalesce(func.sum(Balance.on_hand), 0))).scalar_one()
            worst = session.execute(
                select(
                    func.min(Balance.on_hand),
                    func.min(Balance.on_hand - Balance.allocated),
                    func.min(Balance.allocated),
                )
            ).one()
        assert on_hand == self.inside
        assert all(value is None or value >= 0 for value in worst)

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.home, ignore_errors=True)


def test_whatever_is_done_pieces_are_neither_made_nor_lost(template_database: Path) -> None:
    """R1–R3, on random moves, promises and undos."""
    Warehousing.template = template_database
    run_state_machine_as_test(
        Warehousing,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
