"""The chaos run in small, on both databases: the product's own server, a bad link, one kill -9 (R10)."""

from __future__ import annotations

import argparse
import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from wms.bench import accounts, chaos
from wms.bench.chaos import Outcome, Plan
from wms.bench.link import Link
from wms.bench.service import Ground, ground
from wms.db import Actor
from wms.settings import ROOT, Settings

SCANS = 240


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest) -> str | None:
    """Of the PostgreSQL to run on; None for SQLite."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgres"))


class Watched:
    """A run, and what it was judged by."""

    def __init__(self, plan: Plan, made: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plan, self.made = plan, made
        judge = chaos.judge

        def keep(plan: Plan, made: Ground, outcome: Outcome, link: Link, said: list[str]) -> dict[str, Any]:
            self.outcome, self.link, self.said = outcome, link, said
            return judge(plan, made, outcome, link, said)

        monkeypatch.setattr(chaos, "judge", keep)
        self.result = chaos.go(plan, made)

    def judged_again(self) -> list[str]:
        faults: list[str] = chaos.judge(self.plan, self.made, self.outcome, self.link, self.said)["faults"]
        return faults


@pytest.mark.slow
def test_on_a_bad_link_with_a_kill_every_scan_counts_once(
    address: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(scans=SCANS, devices=6, seed=3, kills=1, stall_s=1.0, postgres=address)
    with ExitStack() as stack:
        run = Watched(plan, ground(stack, address), monkeypatch)
        result = run.result
        assert result["faults"] == []
        assert result["right"]
        assert result["made"] == result["answered"] == SCANS
        # It was chaos indeed.
        assert len(result["killed_with"]) == 1
        assert result["retries"] > SCANS / 10
        assert result["replays"] > SCANS / 10
        assert result["answered_by_replay"] > 0
        assert result["died"] > 0
        assert result["probes"] > 0
        assert sum(n > 0 for n in result["fates"].values()) >= 8
        assert result["pieces"] > SCANS / 4
        told = capsys.readouterr()
        assert f"of {SCANS} answered" in told.err
        assert "the server was killed with" in told.err
        assert "every scan is accounted for once" in chaos._table(result)
        json.dumps(result)
        _the_books_tampered_with_are_found(run)


def _the_books_tampered_with_are_found(run: Watched) -> None:
    """The same run, judged again after a hand went into the database."""
    made = run.made
    assert run.judged_again() == []
    pick = next(each for each in run.outcome.told if each.reason == "pick")
    for statement, named in (
        ("UPDATE scan_request SET status = 409 WHERE scan_id = :s", "status on the device is '200', kept is '409'"),
        ("UPDATE scan_request SET go = '/elsewhere' WHERE scan_id = :s", "kept is '/elsewhere'"),
        ("DELETE FROM scan_request WHERE scan_id = :s", "the server kept nothing"),
    ):
        with made.database.transaction(Actor(1)) as session:
            session.execute(text(statement), {"s": pick.scan_id})
        assert any(pick.scan_id in fault and named in fault for fault in run.judged_again())
    with made.database.transaction(Actor(1)) as session:
        session.execute(text("UPDATE balance SET on_hand = on_hand + 1 WHERE on_hand > 1000"))
    assert any(fault.startswith("R2 ") for fault in run.judged_again())
    book = accounts.read_book(made.database)
    book.moves.append(next(move for move in book.moves if move.scan_id == pick.scan_id))
    faults = accounts.check(run.outcome.told, run.outcome.probes, run.link.heard, book)
    assert any(pick.scan_id in fault and "the ledger" in fault for fault in faults)


@pytest.mark.slow
def test_a_server_that_forgets_answers_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bench is run on a copy of the product in which R10 is broken; it must say so and end with 1."""
    broken = tmp_path / "product"
    for part in ("wms", "printers", "templates", "static"):
        shutil.copytree(ROOT / part, broken / part, symlinks=True)
    floor = broken / "wms/web/floor.py"
    honest = floor.read_text("utf-8")
    forgetful = honest.replace('scan_id = request.form.get("scan_id", "")[:64]', 'scan_id = ""')
    assert forgetful != honest
    floor.write_text(forgetful, "utf-8")
    monkeypatch.setattr("wms.bench.service.ROOT", broken)
    arguments = argparse.Namespace(scans=40, devices=4, seed=1, kills=0, stall_s=0.4, postgres=None, json=False)
    assert chaos.run(arguments, Settings()) == 1
    told = capsys.readouterr().out
    assert "FAULT scan" in told
    assert "the server kept nothing" in told
    assert told.rstrip().endswith("NOT RIGHT")


def test_the_patience_of_the_phones_is_that_of_the_script() -> None:
    script = "".join(path.read_text("utf-8") for path in sorted((ROOT / "static").rglob("*.js")))
    assert f"const ABORT_MS = {1000 * chaos.ABORT_S:.0f};" in script
    assert f"const RETRY_MS = [{', '.join(f'{1000 * s:.0f}' for s in chaos.RETRY_S)}];" in script
    assert Plan(1, 1).abort_s == chaos.ABORT_S


@pytest.mark.slow
def test_a_run_that_does_not_get_done_ends_by_itself_and_names_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plan, "limit_s", 1.0)
    with ExitStack() as stack:
        result = chaos.go(Plan(scans=500, devices=4, stall_s=1.0), ground(stack, None))
    assert not result["right"]
    assert result["faults"][0] == "not done within 1 s"
    assert any("no answer after" in fault for fault in result["faults"])


def test_the_time_a_run_may_take_is_bounded() -> None:
    assert Plan(10_000, 20, kills=2).limit_s < 2 * 3600
    assert Plan(SCANS, 6, kills=1, stall_s=1.0).limit_s < 600
