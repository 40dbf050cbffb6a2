"""What the tests of the flows say about one act: refused without a trace, sent again without an effect, reloaded."""

from __future__ import annotations

import re
import uuid
from typing import Any

from sqlalchemy import select

from tests.factories import Rows
from tests.floor import Floor, Hand
from wms.models import Base, Count, CountState, OrderState, Shortage, ShortageState

ASIDE = {"scan_request", "sign_in", "device"}
"""What an answer may leave behind: the saved answer itself, and when a device was seen."""


def all_rows(rows: Rows) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, so that "nothing was written" is not only about stock."""
    with rows.database.reading() as session:
        return {
            name: sorted((tuple(row) for row in session.execute(select(table))), key=repr)
            for name, table in Base.metadata.tables.items()
            if name not in ASIDE
        }


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def sent_again(rows: Rows, hand: Hand, path: str, **fields: object) -> None:
    """R10: the same id again gives the same bytes and writes nothing; with another body it is refused."""
    scan_id = str(uuid.uuid4())
    hand.act(path, scan_id, **fields)
    first = (hand.status, hand.answer.data, hand.answer.headers.get("X-Go"))
    assert "Idempotent-Replay" not in hand.answer.headers
    before = all_rows(rows)
    hand.act(path, scan_id, **fields)
    assert (hand.status, hand.answer.data, hand.answer.headers.get("X-Go")) == first
    assert hand.answer.headers["Idempotent-Replay"] == "true"
    page = hand.page
    hand.act(path, scan_id, **{**fields, "more": "x"})
    assert hand.status == 422 and "already sent with another content" in hand.said
    assert changed(before, all_rows(rows)) == set()
    hand.page, hand.status = page, first[0]


def refused(
    rows: Rows,
    hand: Hand,
    path: str,
    words: str,
    feeling: str = "wrong",
    *,
    status: int = 422,
    block: bool = False,
    **fields: object,
) -> None:
    """R12: nothing is written, the worker stays on the same step and is told; sent again, told the same (R10)."""
    before, scan_id = all_rows(rows), str(uuid.uuid4())
    hand.act(path, scan_id, **fields)
    assert words in hand.said, f"{hand.status} {hand.said!r} instead of {words!r} on: {hand.text()}"
    assert (hand.status, hand.feeling) == (status, feeling)
    assert ("data-block" in hand.page) is block
    first = hand.answer.data
    hand.act(path, scan_id, **fields)
    assert (hand.answer.data, hand.answer.headers["Idempotent-Replay"]) == (first, "true")
    assert changed(before, all_rows(rows)) == set()


def screen(page: str) -> str:
    """What stands on the screen, without the message and what differs on every request."""
    found = re.search(r'<section class="screen".*</section>', page, re.S)
    assert found, page[:400]
    bare = re.sub(r'<div class="message message-.*?</div>', "", found.group(0), flags=re.S)
    bare = re.sub(r"<input[^>]*csrf_token[^>]*>", "", bare)
    # What was typed and refused stays in its field; a reload empties it.
    bare = re.sub(r'(<input(?![^>]*type="hidden")[^>]*?) value="[^"]*"', r"\1", bare)
    return re.sub(r"\s+", " ", bare)


class Reloading(Hand):
    """A hand whose browser is reloaded after every act: the same step must stand there (R23)."""

    reloads = 0

    def act(self, path: str, scan_id: str | None = None, **fields: object) -> str:
        super().act(path, scan_id, **fields)
        if went := self.answer.headers.get("X-Go"):
            return self.get(went)
        shown, answer = self.page, self.answer
        self.get(home_of(path))
        assert screen(self.page) == screen(shown), f"reloading {home_of(path)} after {path} shows another step"
        self.page, self.answer, self.status = shown, answer, answer.status_code
        Reloading.reloads += 1
        return shown


def home_of(path: str) -> str:
    """The address that stands in the browser while this form is posted by the script."""
    room = path.split("/")[1]
    if room == "ship" and path.split("/")[2].isdigit():
        return "/".join(path.split("/")[:3])
    return f"/{room}"


def reloading(floor: Floor, name: str) -> Reloading:
    return Reloading(floor.app, floor.badges[name])


def open_shortages(rows: Rows) -> list[tuple[int, str]]:
    with rows.database.reading() as session:
        return [
            (row[0], row[1])
            for row in session.execute(
                select(Shortage.qty, Shortage.reason).where(Shortage.state == ShortageState.OPEN).order_by(Shortage.id)
            )
        ]


def counts_asked(rows: Rows) -> list[tuple[str, CountState]]:
    with rows.database.reading() as session:
        return [(row[0], row[1]) for row in session.execute(select(Count.why, Count.state).order_by(Count.id))]


def state(rows: Rows, order_id: int) -> OrderState:
    return rows.order_row(order_id).state
