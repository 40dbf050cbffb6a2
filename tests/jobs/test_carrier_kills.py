"""R32: a worker killed with -9 between the call and its answer: the same number, one label, none lost there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests import ways
from tests.browser.server import Product
from tests.connectors.fake_carrier_service import FakeCarrierService
from tests.connectors.shop_server import CUT
from tests.factories import Rows
from wms.jobs import audit
from wms.models import (
    Carrier,
    NumbersFrom,
    Parcel,
    ParcelState,
    Printer,
    PrintJob,
    RequestState,
    Waybill,
    WaybillRequest,
)

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0
LOOK_S = 0.05


@pytest.fixture
def house(tmp_path: Path, template_database: Path) -> Iterator[Product]:
    running = Product(tmp_path, template_database)
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("lost", ["never answered", "answer cut"])
def test_killed_between_the_call_and_the_answer(house: Product, lost: str) -> None:
    rows, service = Rows(house.database, house.settings.secret_key), FakeCarrierService()
    with service.net.running():
        rows.item("A1")
        rows.stock("A1", "A-01-01-1", 1)
        with rows.database.transaction(rows.actor()) as session:
            session.execute(
                update(Carrier)
                .where(Carrier.code == "JD")
                .values(numbers_from=NumbersFrom.SERVICE, service=service.settings)
            )
            paper = house.home / "paper"
            session.execute(update(Printer).where(Printer.code == "WB1").values(uri=f"file://{paper}"))
        order = rows.order("SO-1", ("A1", 1))
        rows.release(order)
        ways.picked(rows, order)
        parcel_id = ways.labelled(rows)
        with rows.database.reading() as session:
            assert session.get_one(Parcel, (rows.warehouse_id, parcel_id)).state is ParcelState.WEIGHED
        service.holds = True
        service.go_on.clear()
        if lost == "answer cut":
            service.net.after = lambda call: CUT
        house.start_worker()
        assert service.gave.wait(PATIENCE_S), "nobody was asked"
        assert house.worker is not None
        house.worker.process.kill()
        house.worker.process.wait()
        with rows.database.reading() as session:
            row = session.execute(select(WaybillRequest)).scalar_one()
            assert (row.state, row.number) == (RequestState.SENDING, "")
        service.holds = False
        service.go_on.set()
        service.net.after = lambda call: None
        house.start_worker()
        _until_printed(rows)
        house.stop_worker()
    assert len(service.takes()) >= 2 and len(set(service.takes())) == 1, service.takes()
    assert list(service.numbers.values()) == ["FK0000000001"]
    with rows.database.reading() as session:
        assert list(session.execute(select(Waybill.number)).scalars()) == ["FK0000000001"]
        assert session.execute(select(WaybillRequest.state)).scalar_one() is RequestState.USED
        assert session.execute(select(PrintJob.title)).all() == [("FK0000000001 SO-1",)]
    assert len(list((house.home / "paper").iterdir())) == 1
    assert audit.verify(rows.database) == []


def _until_printed(rows: Rows) -> None:
    waiting = threading.Event()
    for _ in range(int(PATIENCE_S / LOOK_S)):
        with rows.database.reading() as session:
            if session.execute(select(PrintJob.id).where(PrintJob.state == "printed")).first():
                return
        waiting.wait(LOOK_S)
    raise AssertionError("no label came out")
