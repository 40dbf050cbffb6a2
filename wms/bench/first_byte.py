"""From the packer's last verify scan to the first byte at the printer, through the product's own server and worker.

The packer is as fast as a machine can be: last piece, weight, and the clock stops when the printer hears the first
byte of the label. The printer is a socket that answers status and count at once, so that no time of its own is in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass

from sqlalchemy import select

from wms.bench import warehouse
from wms.bench.handheld import Handheld, Screen
from wms.bench.load import Wire
from wms.bench.service import HOST, SERVE, BenchError, Ground, free_port, ground, off_the_servers_core, say, web_server
from wms.db import Actor
from wms.flows import people, pick, printing
from wms.flows import warehouse as warehouse_flow
from wms.models import Carrier, Location, Operator, Order, PickStep, PickTask, Role

HOLD_MS = 250.0
WARM = 3
"""Labels before the counted ones: what a process does once in its life is not told."""
_NUMBER = re.compile(rb'! U1 getvar "odometer')
_STATUS = b"\x02030,0,0,1199,000,0,0,0,000,0,0,0\x03\r\n\x02000,0,0,0,1,2,6,0,00000000,1,000\x03\r\n\x021234,0\x03\r\n"


@dataclass(frozen=True, slots=True)
class Timed:
    """Milliseconds of each label, from the last verify scan sent to the first byte heard."""

    ms: tuple[float, ...]

    def at(self, share: float) -> float:
        ordered = sorted(self.ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Paper:
    """A sound ZPL printer: takes each label at once, counts it, and notes when its first byte came."""

    def __init__(self) -> None:
        self.labels, self.first_at = 0, 0.0
        self.came = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest = b""
        while got := await reader.read(65536):
            rest += got
            if b"^XA" in rest and not self.came.is_set():
                self.first_at = time.perf_counter()
                self.came.set()
            while b"^XZ" in rest:
                rest = rest.partition(b"^XZ")[2]
                self.labels += 1
            if rest.endswith(b"~HS"):
                writer.write(_STATUS)
                rest = b""
            elif _NUMBER.search(rest):
                writer.write(b'"%d"' % self.labels)
                rest = b""


def measure(labels: int, postgres: str | None = None) -> Timed:
    """Pack so many one-piece orders. Raises BenchError."""
    with ExitStack() as stack:
        made = ground(stack, postgres)
        port = free_port()
        ready = warehouse.prepare(made.database, made.settings.secret_key, 1, WARM + labels, 0)
        badge, totes = _furnish(made, port, ready)
        made.database.engine.dispose()
        return asyncio.run(_pack(made, badge, totes, ready.barcodes, port))


def _furnish(made: Ground, port: int, ready: warehouse.Ready) -> tuple[str, list[tuple[str, list[str]]]]:
    """Printer, bench, packer, waybill numbers; every order picked. The packer's badge, and each tote with its SKUs."""
    database = made.database
    with database.transaction(Actor(1)) as session:
        printer = printing.save_printer(
            session, None, code="BENCH", name="Bench", uri=f"tcp://{HOST}:{port}", dpi=203, width_mm=100, height_mm=150
        )
        printing.save_station(
            session, None, code="BENCH", name="Bench", waybill_printer_id=printer.id, label_printer_id=printer.id
        )
        carrier = session.execute(select(Carrier)).scalars().first()
        assert carrier is not None
        warehouse_flow.add_waybill_range(session, carrier, "BENCH", 1, 999_999, 9)
        badge = people.add_operator(session, made.settings.secret_key, "packer", Role.PACKER, warehouse.PIN, "en").code
        picker = session.execute(select(Operator.id).where(Operator.role == Role.PICKER)).scalars().first()
        assert picker is not None
        orders = list(session.execute(select(Order.id).order_by(Order.id)).scalars())
    totes = []
    for order_id, tote in zip(orders, ready.totes, strict=False):
        with database.transaction(Actor(1, picker)) as session:
            task_id = session.execute(select(PickTask.id).where(PickTask.order_id == order_id)).scalar_one()
            task = pick.take_over(session, picker, task_id)
            pick.scan(session, picker, task, tote)
            skus = []
            while task.step is not PickStep.DONE:
                line = pick.next_line(session, task)
                assert line is not None
                if task.step is PickStep.SCAN_LOCATION:
                    place = session.get_one(Location, (1, line.location.id))
                    pick.scan(session, picker, task, place.barcode)
                else:
                    pick.scan(session, picker, task, ready.barcodes[line.item.sku])
                    skus.append(line.item.sku)
            totes.append((tote, skus))
    return badge, totes


async def _pack(
    made: Ground, badge: str, totes: list[tuple[str, list[str]]], barcodes: dict[str, str], port: int
) -> Timed:
    paper = Paper()
    printer = await asyncio.start_server(paper.serve, HOST, port)
    found = []
    with web_server(made, SERVE), off_the_servers_core(made.settings.sqlite):
        packer = Handheld(Wire(HOST, made.settings.http_port), badge, iter(()), barcodes)
        await packer.sign_in()
        await _post(packer, "/pack/scan", code="S-BENCH")
        say(f"packing {len(totes)} orders …")
        for tote, skus in totes:
            await _post(packer, "/pack/scan", code=tote)
            for sku in skus[:-1]:
                await _post(packer, "/pack/scan", code=barcodes[sku])
            paper.came.clear()
            began = time.perf_counter()
            await _post(packer, "/pack/scan", code=barcodes[skus[-1]])
            await _post(packer, "/pack/weigh", weight_g="500")
            try:
                await asyncio.wait_for(paper.came.wait(), 30)
            except TimeoutError as error:
                raise BenchError("no label came to the printer within 30 s") from error
            found.append((paper.first_at - began) * 1000)
        packer.wire.close()
    printer.close()
    return Timed(tuple(found[WARM:]))


async def _post(packer: Handheld, path: str, **fields: str) -> Screen:
    answer = await packer.wire.ask("POST", path, packer.headers, {**fields, "scan_id": str(uuid.uuid4())})
    if answer.status != 200:
        raise BenchError(f"{path} {fields} got {answer.status}: {answer.body[:300]}")
    return Screen(answer.body)
