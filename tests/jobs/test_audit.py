"""R46: each proof finds the fault it is there for, and nothing else."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.floor import Floor
from wms.jobs import audit

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
    assert audit.tidy(busy.database)["balances"] >= 1
    busy.books_are_right()
    assert audit.tidy(busy.database)["balances"] == 0


def test_scan_answers_are_kept_seven_days(busy: Floor) -> None:
    hand = busy.hand("picker")
    hand.get("/pick")
    hand.press("/pick/next")
    assert audit.tidy(busy.database)["scans"] == 0
    with busy.database.transaction(busy.actor()) as session:
        session.execute(text("UPDATE scan_request SET at = '2020-01-01 00:00:00'"))
    assert audit.tidy(busy.database)["scans"] >= 1
