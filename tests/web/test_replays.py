"""A scan sent again: whose it is, before and after a sign-out, and what others see of it (R10, R16)."""

from __future__ import annotations

import uuid
import zlib

import pytest

from tests import ways
from tests.factories import PIN
from tests.floor import Floor, Hand
from wms.models import ScanRequest


def change_hands(hand: Hand, badge: str) -> None:
    """The shift on this device ends and another begins on it; the device keeps its cookie."""
    hand.post("/sign-out")
    assert hand.answer.status_code == 303
    hand.get("/sign-in")
    hand.post("/sign-in", badge=badge, pin=PIN)
    assert hand.answer.status_code == 303, hand.text()
    hand.get("/")


def saved(floor: Floor, scan_id: str) -> tuple[int, str, int]:
    """The answer kept for an id: status, words, whose it is."""
    with floor.database.reading() as session:
        row = session.get_one(ScanRequest, (floor.warehouse_id, scan_id))
        return row.status, zlib.decompress(row.answer).decode(), row.operator_id


@pytest.fixture
def at_the_shelf(floor: Floor) -> tuple[Floor, Hand, str]:
    """A picker stands at the shelf of ten pieces; returns where the item is scanned."""
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 10)
    order = floor.order("SO-1", ("A1", 10))
    floor.release(order)
    task = ways.at_the_item(floor, order)
    return floor, floor.hand("picker"), f"/pick/{task}/scan"


def test_after_signing_in_again_on_the_same_device_a_scan_has_its_first_answer(
    at_the_shelf: tuple[Floor, Hand, str],
) -> None:
    """The answer was lost, the device lay idle, the same person signs in again: the outbox sends it once more."""
    floor, hand, path = at_the_shelf
    scan_id = str(uuid.uuid4())
    hand.act(path, scan_id, code="A1")
    first = hand.answer.data
    change_hands(hand, floor.badges["picker"])
    hand.act(path, scan_id, code="A1")
    assert (hand.status, hand.answer.data) == (200, first)
    assert hand.answer.headers["Idempotent-Replay"] == "true"
    assert ways.held(floor, "A1", "001") == (1, 1)


def test_a_scan_that_never_arrived_is_taken_after_signing_in_again(at_the_shelf: tuple[Floor, Hand, str]) -> None:
    floor, hand, path = at_the_shelf
    change_hands(hand, floor.badges["picker"])
    hand.act(path, str(uuid.uuid4()), code="A1")
    assert (hand.status, hand.feeling) == (200, "done")
    assert "Idempotent-Replay" not in hand.answer.headers
    assert ways.held(floor, "A1", "001") == (1, 1)


def test_another_operator_on_the_same_device_is_not_shown_the_first_ones_answer(
    at_the_shelf: tuple[Floor, Hand, str],
) -> None:
    floor, hand, path = at_the_shelf
    scan_id = str(uuid.uuid4())
    hand.act(path, scan_id, code="A1")
    first, before = hand.page, saved(floor, scan_id)
    change_hands(hand, floor.badges["second picker"])
    hand.act(path, scan_id, code="A1")
    assert hand.status == 422
    assert "already sent by another operator or device" in hand.said
    assert hand.feeling == "look"
    assert "Idempotent-Replay" not in hand.answer.headers
    assert hand.page != first
    hand.sees("pick/taken", "picker")
    assert ways.held(floor, "A1", "001") == (1, 1)
    assert saved(floor, scan_id) == before


def test_the_same_operator_on_another_device_is_told_that_the_scan_counts_already(
    at_the_shelf: tuple[Floor, Hand, str],
) -> None:
    """An id is made on a device: from another one it is nobody's replay, and never a second piece."""
    floor, hand, path = at_the_shelf
    scan_id = str(uuid.uuid4())
    hand.act(path, scan_id, code="A1")
    other = floor.hand("picker")
    other.act(path, scan_id, code="A1")
    assert (other.status, other.feeling) == (422, "look")
    assert "Idempotent-Replay" not in other.answer.headers
    other.sees("pick/scan_item")
    assert ways.held(floor, "A1", "001") == (1, 1)
    hand.act(path, scan_id, code="A1")
    assert hand.answer.headers["Idempotent-Replay"] == "true"


def test_a_refused_scan_is_not_shown_to_another_operator_either(at_the_shelf: tuple[Floor, Hand, str]) -> None:
    floor, hand, path = at_the_shelf
    floor.item("B2")
    scan_id = str(uuid.uuid4())
    hand.act(path, scan_id, code="B2")
    assert "Pick A1, not B2" in hand.said
    change_hands(hand, floor.badges["second picker"])
    hand.act(path, scan_id, code="B2")
    assert "Pick A1" not in hand.text()
    assert "already sent by another operator or device" in hand.said


def test_an_answer_that_cannot_be_kept_undoes_what_it_tells_of(
    at_the_shelf: tuple[Floor, Hand, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction: there is no moment in which the piece moved and its answer is lost."""
    floor, hand, path = at_the_shelf
    scan_id, before = str(uuid.uuid4()), ways.books(floor)

    def broken(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as full:
        full.setattr("wms.web.floor._save", broken)
        hand.act(path, scan_id, code="A1")
        assert hand.status == 500
    assert ways.books(floor) == before
    hand.act(path, scan_id, code="A1")
    assert (hand.status, hand.feeling) == (200, "done")
    assert "Idempotent-Replay" not in hand.answer.headers
    assert ways.held(floor, "A1", "001") == (1, 1)
