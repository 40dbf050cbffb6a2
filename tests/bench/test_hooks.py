"""`run.py bench hooks` measures what it says: right answers end with 0, a stranger's messages never do."""

from __future__ import annotations

import argparse
import json

import pytest

from wms.bench import hooks
from wms.settings import Settings

pytestmark = pytest.mark.slow


def bench(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    parser = argparse.ArgumentParser()
    hooks.configure(parser)
    asked = parser.parse_args(["--at-once", "4", "--paced", "1.2", "--flood", "0.5", "--floor", "0", "--json"])
    code = hooks.run(asked, Settings.from_environment({}))
    return code, json.loads(capsys.readouterr().out)


def test_each_message_is_stored_once(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = bench(capsys)
    assert (code, told["faults"]) == (0, [])
    assert [run["name"] for run in told["runs"]] == ["message, paced", "message, flood"]  # type: ignore[attr-defined]


def test_messages_that_are_not_taken_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stranger(hooks.Knocker):
        def __init__(self, port: int, secret: str) -> None:
            super().__init__(port, "another secret")

    monkeypatch.setattr(hooks, "Knocker", Stranger)
    code, told = bench(capsys)
    assert code == 1 and "401 instead of taken" in str(told["faults"])
