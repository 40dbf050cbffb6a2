"""The CSV pair: orders from an inbox, shipments to an outbox, each parcel once whatever happens (R37)."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wms.connectors import Connector, ConnectorError, Shipment, connector_for
from wms.connectors.csv_pair import CsvPair

ROOT = Path(__file__).parents[2]
SHIPPED_AT = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)


def parcel(order: str, waybill: str, no: str = "P1", carrier: str = "顺丰速运") -> Shipment:
    lines = (("r1", "A-1", 1),)
    return Shipment(order, no, f"{order}/{no}", "SF", carrier, waybill, SHIPPED_AT, lines)


@pytest.fixture
def pair(tmp_path: Path) -> CsvPair:
    (tmp_path / "inbox").mkdir()
    return shop(tmp_path, "jd")


def shop(home: Path, mapping: str) -> CsvPair:
    made = connector_for(
        "csv",
        {
            "inbox": str(home / "inbox"),
            "outbox": str(home / "shipments.csv"),
            "mapping": mapping,
            "stock": str(home / "stock.csv"),
        },
    )
    assert isinstance(made, CsvPair)
    assert isinstance(made, Connector)
    return made


def rows(path: Path) -> list[list[str]]:
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf"), "Excel needs the mark"
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def put(pair: CsvPair, name: str, text: str, age_s: int = 0) -> None:
    path = pair.inbox / name
    path.write_text(text, encoding="gb18030")
    os.utime(path, (time.time() - age_s,) * 2)


JD = "订单号,货号,订购数量,订单状态\n"


def test_orders_come_from_every_file_and_a_bad_file_stops_none(pair: CsvPair) -> None:
    put(pair, "a.csv", f"{JD}1001,A-1,1,等待出库\n", age_s=60)
    put(pair, "b.csv", "")
    put(pair, "c.csv", f"{JD}1002,A-1,1,等待出库\n")
    put(pair, "~$c.csv", "Excel's own note")
    (pair.inbox / "photo.csv").write_bytes(b"\x89PNG\r\n\x1a\n0000")
    assert [order.shop_order_no for order in pair.fetch_orders(None)] == ["1001", "1002"]
    assert {name: error.reason for name, error in pair.unread.items()} == {
        "b.csv": "empty",
        "photo.csv": "picture",
    }
    assert set(pair.files) == {"a.csv", "c.csv"}


def test_the_newest_file_tells_the_state(pair: CsvPair) -> None:
    put(pair, "old.csv", f"{JD}1001,A-1,1,等待出库\n", age_s=60)
    assert pair.order_state("1001") == "paid"
    put(pair, "new.csv", f"{JD}1001,A-1,1,已取消\n")
    assert pair.order_state("1001") == "cancelled"
    with pytest.raises(ConnectorError, match="1009"):
        pair.order_state("1009")


def test_an_inbox_that_is_not_there_is_tried_again_later(tmp_path: Path) -> None:
    with pytest.raises(ConnectorError) as told:
        list(shop(tmp_path, "jd").fetch_orders(None))
    assert not told.value.permanent


@pytest.mark.parametrize(
    ("mapping", "header", "row"),
    [
        ("jd", ["订单号", "物流公司", "运单号"], ["1001", "顺丰速运", "SF1"]),
        ("tmall", ["订单编号", "物流公司", "运单号"], ["1001", "顺丰速运", "SF1"]),
        (
            "",
            ["order_no", "parcel_no", "carrier_code", "carrier", "waybill_no", "shipped_at", "key"],
            ["1001", "P1", "SF", "顺丰速运", "SF1", "2026-11-21T13:00:00+00:00", "1001/P1"],
        ),
    ],
)
def test_a_shipment_is_a_row_under_the_headers_of_the_shop(
    tmp_path: Path, mapping: str, header: list[str], row: list[str]
) -> None:
    pair = shop(tmp_path, mapping)
    assert pair.push_shipment(parcel("1001", "SF1")).state == "acknowledged"
    assert rows(pair.outbox) == [header, row]


def test_the_same_parcel_again_adds_no_row(pair: CsvPair) -> None:
    for _ in range(3):
        assert pair.push_shipment(parcel("1001", "SF1")).state == "acknowledged"
    assert pair.push_shipment(parcel("1001", "SF2", no="P2")).state == "acknowledged"
    assert [row[2] for row in rows(pair.outbox)[1:]] == ["SF1", "SF2"]


def test_another_waybill_for_the_same_parcel_is_for_a_person(pair: CsvPair) -> None:
    pair.push_shipment(parcel("1001", "SF1"))
    pushed = pair.push_shipment(parcel("1001", "SF9"))
    assert pushed.state == "conflict"
    assert "SF1" in pushed.text
    assert "SF9" in pushed.text
    assert len(rows(pair.outbox)) == 2


def test_an_outbox_taken_away_for_upload_does_not_come_back(pair: CsvPair) -> None:
    pair.push_shipment(parcel("1001", "SF1"))
    pair.outbox.rename(pair.outbox.with_name("uploaded.csv"))
    assert pair.push_shipment(parcel("1001", "SF1")).state == "acknowledged"
    assert not pair.outbox.exists()
    pair.push_shipment(parcel("1002", "SF2"))
    assert [row[2] for row in rows(pair.outbox)[1:]] == ["SF2"]


@pytest.mark.parametrize("evil", ["=cmd|'/C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1"])
def test_no_cell_becomes_a_formula(pair: CsvPair, evil: str) -> None:
    assert pair.push_shipment(parcel(evil, "SF1", carrier=evil)).state == "acknowledged"
    (row,) = rows(pair.outbox)[1:]
    pair.outbox.unlink()
    assert pair.push_shipment(parcel(evil, "SF1", carrier=evil)).state == "acknowledged"
    assert not pair.outbox.exists(), "the key was known"
    assert all(cell[:1] not in "=+-@\t\r\n" for cell in row)


def test_an_outbox_saved_again_by_excel_is_added_to(pair: CsvPair) -> None:
    pair.push_shipment(parcel("1001", "SF1"))
    pair.outbox.write_bytes("订单号,物流公司,运单号\r\n1001,顺丰速运,SF1\r\n".encode("gbk"))
    pair.push_shipment(parcel("1002", "SF2"))
    assert [row[2] for row in rows(pair.outbox)[1:]] == ["SF1", "SF2"]


def test_somebody_elses_file_is_not_written_over(pair: CsvPair) -> None:
    pair.outbox.write_text("name,price\ncup,1\n")
    with pytest.raises(ConnectorError) as told:
        pair.push_shipment(parcel("1001", "SF1"))
    assert told.value.permanent
    assert pair.outbox.read_text() == "name,price\ncup,1\n"


def test_a_key_line_cut_in_half_by_a_crash_is_written_again(pair: CsvPair) -> None:
    pair.push_shipment(parcel("1001", "SF1"))
    keys = pair.outbox.with_name("shipments.csv.keys")
    whole = keys.read_bytes()
    keys.write_bytes(whole + b'{"key": "1002/P1", "way')
    assert pair.push_shipment(parcel("1002", "SF2")).state == "acknowledged"
    assert pair.push_shipment(parcel("1002", "SF2")).state == "acknowledged"
    assert keys.read_bytes().startswith(whole + b'{"key": "1002/P1", "waybill": "SF2"')
    assert [row[2] for row in rows(pair.outbox)[1:]] == ["SF1", "SF2"]


def test_a_damaged_list_of_what_was_sent_stops_the_pushing(pair: CsvPair) -> None:
    pair.push_shipment(parcel("1001", "SF1"))
    pair.outbox.with_name("shipments.csv.keys").write_bytes(b"rubbish\n")
    with pytest.raises(ConnectorError) as told:
        pair.push_shipment(parcel("1002", "SF2"))
    assert told.value.permanent
    assert len(rows(pair.outbox)) == 2


def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    pair = shop(tmp_path / "gone", "jd")
    with pytest.raises(ConnectorError) as told:
        pair.push_shipment(parcel("1001", "SF1"))
    assert not told.value.permanent


PUSH = """
import os, signal, sys
from datetime import UTC, datetime
from wms.connectors import Shipment, connector_for, csv_pair

at = sys.argv[1]
pair = connector_for("csv", {"inbox": ".", "outbox": sys.argv[2], "mapping": "jd"})

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if at == "before the rename":
    csv_pair.Path.replace = die
elif at == "before the key":
    csv_pair.CsvPair._add_key = die
elif at == "before the answer":
    add = csv_pair.CsvPair._add_key
    csv_pair.CsvPair._add_key = lambda self, shipment: (add(self, shipment), die())
pair.push_shipment(
    Shipment("1001", "P1", "1001/P1", "SF", "SF", "SF1", datetime(2026, 11, 21, tzinfo=UTC), ())
)
print("answered")
"""


@pytest.mark.parametrize("at", ["before the rename", "before the key", "before the answer"])
def test_a_process_killed_between_the_row_and_the_answer_does_not_double_it(tmp_path: Path, at: str) -> None:
    outbox = tmp_path / "shipments.csv"

    def run(where: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", PUSH, where, str(outbox)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    killed = run(at)
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "")
    again = run("never")
    assert (again.returncode, again.stdout) == (0, "answered\n"), again.stderr
    assert [row[2] for row in rows(outbox)[1:]] == ["SF1"]


def test_many_writers_at_once_lose_and_double_nothing(pair: CsvPair) -> None:
    def write(start: int) -> Callable[[], None]:
        def run() -> None:
            for number in range(start, start + 12):
                shop(pair.outbox.parent, "jd").push_shipment(parcel(f"{number}", f"SF{number}"))

        return run

    # Ranges overlap: every parcel but the first and last six is pushed by two.
    threads = [threading.Thread(target=write(start)) for start in (0, 6, 12, 18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row[2] for row in rows(pair.outbox)[1:]) == sorted(f"SF{number}" for number in range(30))


def test_stock_is_set_not_added(pair: CsvPair) -> None:
    pair.push_stock("A-1", 5)
    pair.push_stock("B-2", 1)
    pair.push_stock("A-1", 3)
    assert pair.stock is not None
    assert rows(pair.stock) == [["sku", "qty"], ["B-2", "1"], ["A-1", "3"]]


def test_settings_that_cannot_be_right_are_named() -> None:
    with pytest.raises(ConnectorError, match="outbox"):
        connector_for("csv", {"inbox": "x"})
    with pytest.raises(ConnectorError, match="amazon"):
        connector_for("csv", {"inbox": "x", "outbox": "y", "mapping": "amazon"})
    with pytest.raises(ConnectorError, match="fax"):
        connector_for("fax", {})
