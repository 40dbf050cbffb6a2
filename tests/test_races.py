"""Two want the same: exactly one has it, the other is told clearly, the books are right (R4, R10, R18, R23, R25)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from printers.transport import memory
from tests import contenders, ways
from tests.contenders import Processes, Threads
from tests.factories import Rows
from tests.floor import Floor, Hand
from wms import print_lease
from wms.clock import now
from wms.db import Actor, Database
from wms.flows import carriers, printing, receive, release, warehouse
from wms.jobs import audit, print_queue
from wms.models import (
    Allocation,
    Carrier,
    Order,
    OrderLine,
    OrderState,
    Parcel,
    PickTask,
    PrintAttempt,
    Printer,
    PrintJob,
    PrintState,
    Push,
    PushState,
    ReceiptLine,
    Shortage,
    Station,
    StockMove,
    ToteUse,
    Waybill,
    WaybillRange,
    WaybillStock,
    new_id,
)
from wms.settings import Settings

RACERS = 4


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    started = Processes(RACERS)
    yield started
    started.stop()


@pytest.fixture(params=["threads", "processes"])
def racers(request: pytest.FixtureRequest) -> Threads | Processes:
    if request.param == "threads":
        return Threads(RACERS)
    started: Processes = request.getfixturevalue("processes")
    return started


@pytest.fixture
def rows(any_database: Database, any_settings: Settings) -> Rows:
    return Rows(any_database, any_settings.secret_key)


def sound(rows: Rows) -> None:
    faults = audit.verify(rows.database)
    assert not faults, "\n".join(f"{fault.rule} {fault.text}" for fault in faults)


def wave(rows: Rows) -> int:
    with rows.database.transaction(rows.actor()) as session:
        return release.open_wave(session).id


@pytest.mark.parametrize("pieces", [1, 3])
def test_releases_race_for_the_last_pieces_and_each_loser_has_a_clear_shortage(
    rows: Rows, racers: Threads | Processes, pieces: int
) -> None:
    """R4: one wins for each piece; the others are on the shortage list and nothing of theirs is promised."""
    rows.item("A1")
    rows.stock("A1", "A-01-01-1", pieces)
    orders = [rows.order(f"SO-{n}", ("A1", 1)) for n in range(RACERS)]
    into = wave(rows)
    results = racers.race(
        rows.database, contenders.release_order, [(rows.warehouse_id, into, order) for order in orders]
    )
    assert sorted(map(str, results)) == sorted(["{}"] * pieces + ["{'A1': 1}"] * (RACERS - pieces))
    states = [rows.order_row(order).state for order in orders]
    assert [s is OrderState.RELEASED for s in states] == [result == {} for result in results]
    assert states.count(OrderState.SHORT) == RACERS - pieces
    assert ways.held(rows, "A1", "A-01-01-1") == (pieces, pieces)
    with rows.database.reading() as session:
        assert session.execute(select(func.count()).select_from(Shortage)).scalar_one() == RACERS - pieces
    sound(rows)


def test_releases_of_several_items_in_any_order_neither_oversell_nor_hang(
    rows: Rows, racers: Threads | Processes
) -> None:
    """Orders that want the same two items the other way round must not wait for each other for ever (R4)."""
    for sku in ("A1", "B2"):
        rows.item(sku)
        rows.stock(sku, "A-01-01-1", 2)
        rows.stock(sku, "A-01-02-1", 1)
    orders = [
        rows.order(f"SO-{n}", *((("A1", 1), ("B2", 1)) if n % 2 else (("B2", 1), ("A1", 1)))) for n in range(RACERS)
    ]
    into = wave(rows)
    results = racers.race(
        rows.database, contenders.release_order, [(rows.warehouse_id, into, order) for order in orders]
    )
    assert all(isinstance(result, dict) for result in results), results
    # An order that loses gives back what it held, so a racer may find less than all; never more than all.
    released = [rows.order_row(order).state for order in orders].count(OrderState.RELEASED)
    assert 1 <= released <= 3
    assert sum(ways.held(rows, "A1", place)[1] for place in ("A-01-01-1", "A-01-02-1")) == released
    sound(rows)


def test_one_tote_is_claimed_by_one_order(rows: Rows, racers: Threads | Processes) -> None:
    """R25: two pickers put the same tote on their carts."""
    rows.item("A1")
    rows.stock("A1", "A-01-01-1", 10)
    orders = [rows.order(f"SO-{n}", ("A1", 1)) for n in range(RACERS)]
    rows.release(*orders)
    people = [rows.operator_id(name) for name in ("picker", "second picker", "packer", "supervisor")]
    tasks = [contenders.give_work(rows.database, rows.warehouse_id, person) for person in people]
    results = racers.race(
        rows.database,
        contenders.claim_tote,
        [(rows.warehouse_id, person, task, "T-001") for person, task in zip(people, tasks, strict=True)],
    )
    assert results.count("mine") == 1
    assert all("in use" in r or "changed" in r for r in results if r != "mine"), results
    with rows.database.reading() as session:
        owner = session.execute(select(ToteUse.order_id)).scalar_one()
        winner = session.get_one(PickTask, (rows.warehouse_id, tasks[results.index("mine")]))
        assert owner == winner.order_id
        assert (
            session.execute(
                select(func.count()).select_from(PickTask).where(PickTask.tote_id.is_not(None))
            ).scalar_one()
            == 1
        )
    sound(rows)


def test_give_me_work_hands_one_task_to_one_worker(rows: Rows, racers: Threads | Processes) -> None:
    """R23: four press the button, two tasks wait."""
    rows.item("A1")
    rows.stock("A1", "A-01-01-1", 10)
    rows.release(rows.order("SO-1", ("A1", 1)), rows.order("SO-2", ("A1", 1)))
    people = [rows.operator_id(name) for name in ("picker", "second picker", "packer", "supervisor")]
    results = racers.race(rows.database, contenders.give_work, [(rows.warehouse_id, p) for p in people])
    tasks = [result for result in results if isinstance(result, int)]
    assert len(tasks) == len(set(tasks)) == 2, results
    assert [r for r in results if not isinstance(r, int)] == ["NoWork: Nothing is waiting to be picked."] * 2
    sound(rows)


def test_two_packers_never_open_one_order(rows: Rows, racers: Threads | Processes) -> None:
    rows.item("A1")
    rows.stock("A1", "A-01-01-1", 2)
    order = rows.order("SO-1", ("A1", 2))
    rows.release(order)
    ways.picked(rows, order)
    with rows.database.reading() as session:
        bench = session.execute(select(Station.id)).scalar_one()
    people = [rows.operator_id(name) for name in ("packer", "supervisor", "admin", "picker")]
    results = racers.race(
        rows.database, contenders.open_order, [(rows.warehouse_id, person, bench, "T-001") for person in people]
    )
    assert results.count("mine") == 1
    assert all("packed by somebody else" in r or "changed" in r for r in results if r != "mine"), results
    with rows.database.reading() as session:
        opened = session.execute(select(Parcel)).scalars().all()
        assert [parcel.operator_id for parcel in opened] == [people[results.index("mine")]]
    sound(rows)


def test_receivers_never_pass_the_allowance_together(rows: Rows, racers: Threads | Processes) -> None:
    """R17, R18: ten are ordered and one more allowed; four people book four each, at once."""
    item = rows.item("A1")
    people = [rows.operator_id(name) for name in ("picker", "second picker", "packer", "supervisor")]
    with rows.database.transaction(rows.actor()) as session:
        expected = receive.add_purchase_order(session, "PO-1", "S", [(item, 10)], over_percent=10)
    for person in people:
        with rows.database.transaction(Actor(rows.warehouse_id, person)) as session:
            work = receive.start(session, person, session.merge(expected))
            receive.scan(session, work, "A1")
    results = racers.race(rows.database, contenders.book, [(rows.warehouse_id, person, 4) for person in people])
    assert results.count(4) == 2, results
    assert [r for r in results if r != 4] == ["TooMany: Only 3 more of A1 may be received on PO-1."] * 2
    assert ways.held(rows, "A1", "DOCK-01") == (8, 0)
    with rows.database.reading() as session:
        assert session.execute(select(ReceiptLine.received)).scalar_one() == 8
    sound(rows)


def test_receivers_of_goods_without_an_order_make_one_line(rows: Rows, racers: Threads | Processes) -> None:
    """R18: both scan the same unannounced item first; the pieces of both are there, on one line."""
    rows.item("A1")
    people = [rows.operator_id(name) for name in ("picker", "second picker", "packer", "supervisor")]
    with rows.database.transaction(Actor(rows.warehouse_id, people[0])) as session:
        blind = receive.receipt_of(session, rows.warehouse_id, receive.start_blind(session, people[0]).receipt_id)
    for person in people:
        with rows.database.transaction(Actor(rows.warehouse_id, person)) as session:
            receive.scan(session, receive.start(session, person, session.merge(blind)), "A1")
    results = racers.race(rows.database, contenders.book, [(rows.warehouse_id, person, 5) for person in people])
    assert results == [5] * RACERS
    with rows.database.reading() as session:
        assert session.execute(select(ReceiptLine.received)).scalar_one() == 5 * RACERS
    sound(rows)


def test_a_pick_is_undone_once_however_often_undo_is_pressed(rows: Rows, racers: Threads | Processes) -> None:
    """R1: one reverse move for one move."""
    rows.item("A1")
    rows.stock("A1", "A-01-01-1", 2)
    order = rows.order("SO-1", ("A1", 2))
    rows.release(order)
    task = ways.at_the_item(rows, order)
    me = rows.operator_id("picker")
    assert contenders.claim_tote(rows.database, rows.warehouse_id, me, task, "A1") == "mine"
    results = racers.race(rows.database, contenders.undo_pick, [(rows.warehouse_id, me, task)] * RACERS)
    assert results.count("undone") == 1, results
    assert ways.held(rows, "A1", "A-01-01-1") == (2, 2)
    with rows.database.reading() as session:
        assert (
            session.execute(
                select(func.count()).select_from(StockMove).where(StockMove.reverses_id.is_not(None))
            ).scalar_one()
            == 1
        )
    sound(rows)


def test_each_label_comes_out_once_when_workers_share_a_printer(
    rows: Rows, racers: Threads | Processes, tmp_path: Path
) -> None:
    """R35: one lease a printer; the order is kept, nothing comes out twice."""
    folder = tmp_path / "paper"
    made = [f"^XA^FDlabel {n:02d}^FS^XZ".encode() for n in range(12)]
    with rows.database.transaction(rows.actor()) as session:
        printer = printing.save_printer(
            session, None, code="F1", name="Files", uri=f"file://{folder}", dpi=203, width_mm=100, height_mm=150
        )
        _queue(session, printer, made)
    results = racers.race(rows.database, contenders.serve_printer, [(rows.warehouse_id, printer.id)] * RACERS)
    assert all(isinstance(result, int) for result in results), results
    assert sum(results) == len(made)
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == made
    with rows.database.reading() as session:
        assert set(session.execute(select(PrintJob.state)).scalars()) == {PrintState.PRINTED}
        assert session.execute(select(func.count()).select_from(PrintAttempt)).scalar_one() == len(made)
        assert session.execute(select(Printer.leased_by).where(Printer.code == "F1")).scalar_one() == ""


def _queue(session: Session, printer: Printer, payloads: list[bytes]) -> None:
    for payload in payloads:
        session.add(
            PrintJob(
                warehouse_id=printer.warehouse_id,
                id=new_id(),
                printer_id=printer.id,
                kind="item",
                document="item",
                document_id=1,
                once=payload.decode(),
                payload=payload,
                sha256=hashlib.sha256(payload).hexdigest(),
                width_mm=100,
                height_mm=150,
                dpi=203,
                created_at=now(),
                expires_at=now() + timedelta(hours=2),
                next_at=now(),
            )
        )
        session.flush()


def test_a_parcel_is_pushed_once_when_two_runs_overlap(rows: Rows, racers: Threads | Processes, tmp_path: Path) -> None:
    """R37: the nightly run begins while the worker still pushes."""
    rows.item("A1")
    rows.stock("A1", "A-01-01-1", 10)
    keys = []
    for number in range(3):
        _order, parcel_id = ways.shipped(rows, f"SO-{number}", ("A1", 1))
        with rows.database.reading() as session:
            parcel = session.get_one(Parcel, (rows.warehouse_id, parcel_id))
            keys.append(f"{rows.warehouse_id}-{parcel.code}")
    seen = tmp_path / "seen.txt"
    results = racers.race(rows.database, contenders.push, [(str(seen),)] * RACERS)
    assert all(isinstance(result, int) for result in results), results
    assert sum(results) == 3
    assert sorted(seen.read_text().split()) == sorted(keys)
    with rows.database.reading() as session:
        assert session.execute(select(Push.state, Push.attempts)).all() == [(PushState.ACKNOWLEDGED, 1)] * 3
        assert set(session.execute(select(Order.state)).scalars()) == {OrderState.ACKNOWLEDGED}
    sound(rows)


@pytest.mark.parametrize("pool", ["range", "single", "crossing"])
def test_no_waybill_number_goes_to_two_parcels(rows: Rows, racers: Threads | Processes, pool: str) -> None:
    """R33: benches take numbers of one pool at once, and it runs dry under them."""
    each, held = 6, {"range": 20, "single": 20, "crossing": 14}[pool]
    with rows.database.transaction(rows.actor()) as session:
        carrier = session.execute(select(Carrier).where(Carrier.code == "ZTO")).scalar_one()
        session.execute(delete(WaybillRange).where(WaybillRange.carrier_id == carrier.id))
        if pool in ("range", "crossing"):
            for first in (1, 11) if pool == "range" else (1,):
                warehouse.add_waybill_range(session, carrier, "R", first, first + 9, 6)
        if pool == "single":
            numbers = [(n, f"S{n:06d}") for n in range(20)]
            assert len(carriers.add_numbers(session, carrier, numbers).taken) == 20
        if pool == "crossing":
            # The same number as range and single, as no import allows it: it is passed over, not given twice.
            for n in (*range(8, 11), *range(20, 24)):
                session.add(
                    WaybillStock(
                        warehouse_id=rows.warehouse_id, carrier_id=carrier.id, number=f"R{n:06d}", added_at=now()
                    )
                )
                session.flush()
    rows.item("A1")
    parcels = ways.loose_parcels(rows, rows.order("SO-1", ("A1", 1)), "ZTO", RACERS * each)
    results = racers.race(
        rows.database,
        contenders.take_numbers,
        [(rows.warehouse_id, parcels[n * each : (n + 1) * each]) for n in range(RACERS)],
    )
    assert all(isinstance(result, list) for result in results), results
    given = [number for result in results for number in result]
    numbers_given = [number for number in given if number != "dry"]
    assert len(numbers_given) == len(set(numbers_given)) == held, sorted(given)
    assert given.count("dry") == RACERS * each - held
    with rows.database.reading() as session:
        assert sorted(session.execute(select(Waybill.number)).scalars()) == sorted(numbers_given)


def test_one_range_is_added_once_by_whoever_is_first(rows: Rows, racers: Threads | Processes) -> None:
    """R33: four supervisors type the list that lies on the table; two of them cut the prefix elsewhere."""
    results = racers.race(
        rows.database,
        contenders.add_range,
        [
            (rows.warehouse_id, "YT77", 0, 99, 4),
            (rows.warehouse_id, "YT7", 70_000, 70_099, 5),
            (rows.warehouse_id, "YT77", 50, 149, 4),
            (rows.warehouse_id, "YT77", 0, 99, 4),
        ],
    )
    assert results.count("added") == 1, results
    assert all(str(r).startswith("RangeOverlaps") for r in results if r != "added"), results


def twin(hand: Hand) -> Hand:
    """The same signed-in session in a second connection, as a phone that sends twice has it."""
    other = Hand.__new__(Hand)
    other.client, other.token = hand.client.application.test_client(), hand.token
    for name in ("wms", "wms_csrf", "wms_device"):
        cookie = hand.client.get_cookie(name)
        assert cookie is not None
        other.client.set_cookie(name, cookie.value)
    return other


def post_together(
    first: Hand, second: Hand, path: str, codes: str | tuple[str, str], ids: tuple[str, str], field: str = "code"
) -> None:
    """Both hands post at the same instant, one code or each its own."""
    barrier = threading.Barrier(2)
    broke: list[BaseException] = []

    def go(hand: Hand, scan_id: str, code: str) -> None:
        try:
            barrier.wait(30)
            hand.act(path, scan_id, **{field: code})
        except BaseException as error:
            broke.append(error)

    each_one = (codes, codes) if isinstance(codes, str) else codes
    threads = [threading.Thread(target=go, args=each) for each in zip((first, second), ids, each_one, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not broke, broke


def test_one_scan_sent_twice_in_the_same_instant_has_one_effect_and_one_answer(any_floor: Floor) -> None:
    """R10: the phone lost the network, its second try overtakes the first."""
    floor = any_floor
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 10)
    order = floor.order("SO-1", ("A1", 10))
    floor.release(order)
    task = ways.at_the_item(floor, order)
    hand = floor.hand("picker")
    other = twin(hand)
    for taken in range(1, 6):
        scan_id = contenders.fresh()
        post_together(hand, other, f"/pick/{task}/scan", "A1", (scan_id, scan_id))
        assert (hand.status, other.status) == (200, 200)
        assert hand.answer.data == other.answer.data
        replays = [h.answer.headers.get("Idempotent-Replay") for h in (hand, other)]
        assert sorted(replays, key=str) == [None, "true"]
        assert ways.held(floor, "A1", "001") == (taken, taken)
    floor.books_are_right()


def test_one_refused_scan_sent_twice_in_the_same_instant_is_refused_once(any_floor: Floor) -> None:
    """R10, R12: a refusal is an answer too."""
    floor = any_floor
    floor.item("A1")
    floor.item("B2")
    floor.stock("A1", "A-01-01-1", 10)
    order = floor.order("SO-1", ("A1", 10))
    floor.release(order)
    task = ways.at_the_item(floor, order)
    hand = floor.hand("picker")
    other, scan_id, before = twin(hand), contenders.fresh(), ways.books(floor)
    post_together(hand, other, f"/pick/{task}/scan", "B2", (scan_id, scan_id))
    assert (hand.status, other.status) == (422, 422)
    assert hand.answer.data == other.answer.data
    assert "Pick A1, not B2" in hand.said
    assert ways.books(floor) == before


def test_one_id_with_two_contents_in_the_same_instant_is_taken_once(any_floor: Floor) -> None:
    """R10: whichever comes first is answered; the other is told that the id was used, on the worker's own screen."""
    floor = any_floor
    floor.item("A1")
    floor.item("B2")
    floor.stock("A1", "A-01-01-1", 10)
    order = floor.order("SO-1", ("A1", 10))
    floor.release(order)
    task = ways.at_the_item(floor, order)
    hand = floor.hand("picker")
    other, path = twin(hand), f"/pick/{task}/scan"
    taken = 0
    for _ in range(5):
        scan_id = contenders.fresh()
        post_together(hand, other, path, ("A1", "B2"), (scan_id, scan_id))
        reused = [h for h in (hand, other) if "already sent with another content" in h.said]
        assert len(reused) == 1, (hand.said, other.said)
        assert reused[0].status == 422
        reused[0].sees("pick/scan_item")
        taken += hand.status == 200
        assert ways.held(floor, "A1", "001") == (taken, taken)
    floor.books_are_right()


def test_two_scans_of_one_barcode_in_the_same_instant_are_two_pieces(any_floor: Floor) -> None:
    """R11: two ids, two pieces; the server never guesses that one was meant."""
    floor = any_floor
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 10)
    order = floor.order("SO-1", ("A1", 2))
    floor.release(order)
    task = ways.at_the_item(floor, order)
    hand = floor.hand("picker")
    other = twin(hand)
    post_together(hand, other, f"/pick/{task}/scan", "A1", (contenders.fresh(), contenders.fresh()))
    assert (hand.status, other.status) == (200, 200)
    assert ways.held(floor, "A1", "001") == (2, 2)
    assert floor.order_row(order).state is OrderState.PICKED
    floor.books_are_right()


@pytest.mark.parametrize("who", ["picker", "packer"])
def test_a_piece_is_taken_back_while_it_is_being_scanned(rows: Rows, racers: Threads | Processes, who: str) -> None:
    """R29: whoever is first, the piece is either the order's or to be put back, and the books are right."""
    for sku in ("A1", "B2"):
        rows.item(sku)
        rows.stock(sku, "A-01-01-1", 10)
    order = rows.order("SO-1", ("A1", 6), ("B2", 1))
    rows.release(order)
    if who == "picker":
        row = ways.at_the_item(rows, order)
    else:
        ways.picked(rows, order)
        row = ways.on_the_bench(rows)
    with rows.database.reading() as session:
        line = session.execute(
            select(OrderLine.id).where(OrderLine.order_id == order, OrderLine.sku == "A1")
        ).scalar_one()
    me = rows.operator_id(who)
    results = racers.race(
        rows.database,
        contenders.scan_or_take_back,
        [(rows.warehouse_id, me, who, row, "A1"), (rows.warehouse_id, me, "shop", order, str(line))] * (RACERS // 2),
    )
    taken = results.count("taken back")
    told = sum("LineTakenBack" in str(result) for result in results)
    assert taken == RACERS // 2 and "deadlock" not in results, results
    assert not any("broke" in str(result) for result in results), results
    with rows.database.reading() as session:
        wanted = session.get_one(OrderLine, (rows.warehouse_id, line)).wanted
        promised = session.execute(
            select(func.sum(Allocation.qty)).where(Allocation.order_line_id == line)
        ).scalar_one()
    assert (wanted, promised) == (6 - taken, 6 - taken)
    assert told <= RACERS // 2
    sound(rows)


def test_two_browsers_press_print_on_one_order_and_one_label_comes_out(any_floor: Floor) -> None:
    """R31, R32, R35: one parcel, one number, one job, whoever was first."""
    floor = any_floor
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 10)
    paper = memory("waybills")
    paper.clear()
    for number in range(5):
        order = floor.order(f"SO-{number}", ("A1", 1))
        floor.pick_all([order])
        packer = floor.hand("packer")
        packer.get("/pack")
        packer.scan("S-PACK1")
        packer.scan(f"SO-{number}")
        packer.scan("A1")
        packer.sees("pack/weigh")
        other = twin(packer)
        post_together(packer, other, "/pack/weigh", "500", (contenders.fresh(), contenders.fresh()), "weight_g")
        assert sorted((packer.status, other.status))[0] == 200, (packer.said, other.said)
        with floor.database.reading() as session:
            jobs = session.execute(select(PrintJob.once).where(PrintJob.kind == "waybill")).scalars().all()
            numbers = session.execute(select(Waybill.number)).scalars().all()
        assert len(jobs) == len(set(jobs)) == len(numbers) == number + 1
    for key in print_lease.printers_due(floor.database):
        print_queue.serve_printer(floor.database, *key)
    assert len(paper.jobs) == 5
    floor.books_are_right()
