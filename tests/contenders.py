"""What races in the race tests, as threads and as separate processes that open the database themselves (R4).

Each act returns a plain word or number, so that it can come back from another process.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from wms import print_lease, waybills
from wms.connectors import Pushed, Shipment
from wms.db import Actor, Database
from wms.errors import Refusal
from wms.flows import cancel, merge, pack, pick, receive, release, warehouse
from wms.jobs import print_queue, sync
from wms.models import Carrier, Location, Order, OrderLine, Parcel, Station, Wave

HOW_LONG_S = 60


def attempt(database: Database, actor: Actor, rule: Callable[[Session], Any]) -> Any:
    """One transaction as the web floor does it: a deadlock's victim tries again, a broken key is a refusal."""
    for _ in range(10):
        try:
            with database.transaction(actor) as session:
                return rule(session)
        except Refusal as refusal:
            return f"{type(refusal).__name__}: {refusal}"
        except IntegrityError:
            return "ChangedMeanwhile: This was changed by somebody else"
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") not in ("40P01", "40001"):
                raise
    return "deadlock"


def release_order(database: Database, warehouse_id: int, wave_id: int, order_id: int) -> Any:
    def rule(session: Session) -> Any:
        wave = session.get_one(Wave, (warehouse_id, wave_id))
        return release.release(session, wave, order_id).short

    return attempt(database, Actor(warehouse_id), rule)


def claim_tote(database: Database, warehouse_id: int, operator_id: int, task_id: int, code: str) -> Any:
    def rule(session: Session) -> str:
        pick.scan(session, operator_id, pick.load(session, warehouse_id, task_id), code)
        return "mine"

    return attempt(database, Actor(warehouse_id, operator_id), rule)


def give_work(database: Database, warehouse_id: int, operator_id: int) -> Any:
    return attempt(
        database,
        Actor(warehouse_id, operator_id),
        lambda session: pick.give_work(session, operator_id, timedelta(minutes=20)).id,
    )


def open_order(database: Database, warehouse_id: int, operator_id: int, station_id: int, code: str) -> Any:
    def rule(session: Session) -> str:
        pack.start(session, operator_id, session.get_one(Station, (warehouse_id, station_id)), code)
        return "mine"

    return attempt(database, Actor(warehouse_id, operator_id), rule)


def book(database: Database, warehouse_id: int, operator_id: int, qty: int) -> Any:
    def rule(session: Session) -> int:
        work = receive.work_of(session, warehouse_id, operator_id)
        assert work is not None
        return receive.book(session, work, str(qty))

    return attempt(database, Actor(warehouse_id, operator_id), rule)


def take_numbers(database: Database, warehouse_id: int, parcel_ids: list[int]) -> Any:
    """A waybill number for each parcel, one transaction each; "dry" where none was left."""

    def number(parcel_id: int) -> Callable[[Session], str]:
        return lambda session: waybills.take(session, session.get_one(Parcel, (warehouse_id, parcel_id))).number

    said = [attempt(database, Actor(warehouse_id), number(parcel_id)) for parcel_id in parcel_ids]
    return ["dry" if str(one).startswith("NoNumbersLeft") else one for one in said]


def add_range(database: Database, warehouse_id: int, prefix: str, first: int, last: int, digits: int) -> Any:
    def rule(session: Session) -> str:
        carrier = session.execute(select(Carrier).where(Carrier.code == "ZTO")).scalar_one()
        warehouse.add_waybill_range(session, carrier, prefix, first, last, digits)
        return "added"

    return attempt(database, Actor(warehouse_id), rule)


def undo_pick(database: Database, warehouse_id: int, operator_id: int, task_id: int) -> Any:
    def rule(session: Session) -> str:
        pick.undo(session, operator_id, pick.load(session, warehouse_id, task_id))
        return "undone"

    return attempt(database, Actor(warehouse_id, operator_id), rule)


def scan_or_take_back(database: Database, warehouse_id: int, operator_id: int, who: str, row_id: int, text: str) -> Any:
    """A picker or a packer scans while the shop takes a piece back; ``text`` is the code, or the line's id."""

    def rule(session: Session) -> str:
        if who == "picker":
            return str(pick.scan(session, operator_id, pick.load(session, warehouse_id, row_id), text))
        if who == "packer":
            parcel = pack.open_parcel(session, warehouse_id, operator_id)
            assert parcel is not None
            pack.verify(session, parcel, text)
            return parcel.state.value
        line = session.get_one(OrderLine, (warehouse_id, int(text)))
        cancel.cancel_line(session, session.get_one(Order, (warehouse_id, row_id)), line, 1)
        return "taken back"

    return attempt(database, Actor(warehouse_id, operator_id), rule)


def merge_or_release(database: Database, warehouse_id: int, what: str, order_ids: list[int], wave_id: int) -> Any:
    """The desk merges orders while somebody releases or cancels them."""

    def rule(session: Session) -> str:
        if what == "merge":
            merge.merge(session, warehouse_id, order_ids)
        elif what == "release":
            release.release(session, session.get_one(Wave, (warehouse_id, wave_id)), order_ids[0])
        else:
            cancel.cancel(session, session.get_one(Order, (warehouse_id, order_ids[0])), "race")
        return what

    return attempt(database, Actor(warehouse_id), rule)


def serve_printer(database: Database, warehouse_id: int, printer_id: int) -> int:
    """Works as a worker would until nothing is left: one that finds the printer taken looks again."""
    print_queue.holder = _one_holder_a_thread
    printed = 0
    while print_lease.waiting_jobs(database, warehouse_id):
        printed += print_queue.serve_printer(database, warehouse_id, printer_id)
    return printed


def _one_holder_a_thread() -> str:
    return f"{os.getpid()}:{threading.get_ident()}"


class LoggingShop:
    """A shop that takes everything and writes down each call; a line is written whole by O_APPEND."""

    grain = "package"

    def __init__(self, path: str) -> None:
        self.path = path

    def push_shipment(self, shipment: Shipment) -> Pushed:
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, f"{shipment.key}\n".encode())
        os.close(handle)
        return Pushed("acknowledged", "ok")


def push(database: Database, path: str) -> int:
    report = sync.push_outstanding(database, connect=lambda _kind, _settings: LoggingShop(path))  # type: ignore[arg-type,return-value]
    return report.counts["acknowledged"]


def _serve(pipe: Connection, barrier: Any) -> None:
    """A contender's own process: takes (act, url, arguments), waits for the others, acts, tells what came of it."""
    while (command := pipe.recv()) is not None:
        act, url, arguments = command
        database = Database(url)
        try:
            with database.reading() as session:
                session.query(Location.id).first()  # the connection is there before the race begins
            barrier.wait(HOW_LONG_S)
            pipe.send(globals()[act](database, *arguments))
        except BaseException as error:
            pipe.send(f"broke: {error!r}")
        finally:
            database.close()


class Processes:
    """So many separate processes, kept for all races of a module: starting Python anew costs a second each."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.barrier = context.Barrier(count)  # kept: its semaphore goes when nobody here holds it
        self.pipes: list[Connection] = []
        self.processes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self.barrier), daemon=True)
            process.start()
            self.pipes.append(ours)
            self.processes.append(process)

    def race(self, database: Database, act: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        assert len(arguments) == len(self.pipes), "the barrier waits for all"
        for pipe, each in zip(self.pipes, arguments, strict=True):
            pipe.send((act.__name__, database.url, each))
        results = []
        for pipe in self.pipes:
            assert pipe.poll(HOW_LONG_S), f"{act.__name__} never ended"
            results.append(pipe.recv())
        return results

    def stop(self) -> None:
        for pipe in self.pipes:
            pipe.send(None)
        for process in self.processes:
            process.join(10)


class Threads:
    """The same acts as threads of this process, all on one Database as in the web server."""

    def __init__(self, count: int) -> None:
        self.count = count

    def race(self, database: Database, act: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        barrier = threading.Barrier(len(arguments))
        results: list[Any] = [None] * len(arguments)

        def run(number: int) -> None:
            try:
                barrier.wait(HOW_LONG_S)
                results[number] = act(database, *arguments[number])
            except BaseException as error:
                results[number] = f"broke: {error!r}"

        threads = [threading.Thread(target=run, args=(n,)) for n in range(len(arguments))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HOW_LONG_S)
            assert not thread.is_alive(), f"{act.__name__} never ended"
        return results


def fresh() -> str:
    return str(uuid.uuid4())
