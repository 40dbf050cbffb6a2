"""R46: each proof finds the fault it is there for, and nothing else."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from tests.floor import Floor
from wms.clock import now
from wms.commands import nightly
from wms.jobs import audit, worker
from wms.models import ScanRequest

PLANTED = [
    ("R2", "UPDATE balance SET on_hand = on_hand + 1 WHERE on_hand = 7"),
    ("R2", "UPDATE balance SET allocated = allocated + 1 WHERE on_hand = 7"),
    ("R31", "UPDATE waybill SET state = 'void' WHERE number = (SELECT min(number) FROM waybill)"),
    ("R46", "UPDATE order_line SET shipped_qty = 0 WHERE shipped_qty = 1"),
    ("R36", "UPDATE manifest SET parcels = parcels + 1"),
    ("R36", "UPDATE manifest SET weight_g = weight_g - 1"),
    ("R37", "DELETE FROM push"),
    ("R46", "UPDATE push SET state = 'acknowledged'"),
    ("R25", "DELETE FROM tote_use"),
    ("R31", "UPDATE parcel_line SET qty = qty + 1 WHERE parcel_id IN (SELECT id FROM parcel WHERE state = 'labelled')"),
]


@pytest.fixture
def busy(floor: Floor) -> Floor:
    """One order shipped, one labelled, one in its tote, seven pieces on the shelf."""
    floor.item("A1", "A1CODE")
    floor.stock("A1", "A-01-01-1", 10)
    floor.ship_all([floor.order("SO1", ("A1", 1))])
    floor.label_all([floor.order("SO2", ("A1", 1))])
    floor.pick_all([floor.order("SO3", ("A1", 1))])
    floor.books_are_right()
    return floor


@pytest.mark.parametrize(("rule", "statement"), PLANTED)
def test_a_planted_fault_is_found(busy: Floor, rule: str, statement: str) -> None:
    with busy.database.transaction(busy.actor()) as session:
        assert session.execute(text(statement)).rowcount >= 1  # type: ignore[attr-defined]
    assert rule in {fault.rule for fault in audit.verify(busy.database)}


def test_tidying_drops_empty_balances_and_changes_no_book(busy: Floor) -> None:
    assert audit.tidy(busy.database, 7)["balances"] >= 1
    busy.books_are_right()
    assert audit.tidy(busy.database, 7)["balances"] == 0


def scanned(floor: Floor, ago: timedelta) -> str:
    """A scan that was answered so long ago; returns its id."""
    hand, scan_id = floor.hand("picker"), str(uuid.uuid4())
    hand.act("/pick/next", scan_id)
    with floor.database.transaction(floor.actor()) as session:
        row = session.get_one(ScanRequest, (floor.warehouse_id, scan_id))
        row.at = now() - ago
    return scan_id


def kept(floor: Floor) -> set[str]:
    with floor.database.reading() as session:
        return set(session.execute(select(ScanRequest.scan_id)).scalars())


def at_night_by_hand(floor: Floor) -> None:
    assert nightly.run(argparse.Namespace(no_tidy=False), floor.settings) in (0, 1)


def at_night_by_the_worker(floor: Floor) -> None:
    worker._at_night(floor.database, floor.settings)


@pytest.mark.parametrize("at_night", [at_night_by_hand, at_night_by_the_worker])
def test_scan_answers_are_kept_seven_days_and_go_in_the_night(busy: Floor, at_night: Callable[[Floor], None]) -> None:
    """R10: a phone that comes back within a week is told what it was told before."""
    still = scanned(busy, timedelta(days=6, hours=23))
    old = scanned(busy, timedelta(days=7, hours=1))
    assert {still, old} <= kept(busy)
    at_night(busy)
    assert still in kept(busy)
    assert old not in kept(busy)


def test_a_warehouse_may_keep_scan_answers_longer(busy: Floor) -> None:
    old = scanned(busy, timedelta(days=29))
    worker._at_night(busy.database, replace(busy.settings, keep_scans_days=30))
    assert old in kept(busy)
