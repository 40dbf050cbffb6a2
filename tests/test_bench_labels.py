"""The bench of labels measures what it says: every language and resolution, and the peer or its absence."""

from __future__ import annotations

import argparse
import json
import sys

import pytest

from tests.printers import judge
from wms.bench import labels
from wms.settings import Settings


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    labels.configure(parser)
    return parser.parse_args(given)


def test_each_language_and_resolution_has_its_figure(capsys: pytest.CaptureFixture[str]) -> None:
    labels.run(arguments("--labels", "2", "--packed", "0", "--json"), Settings())
    told = json.loads(capsys.readouterr().out)
    seen = {(figure["what"].split()[-1], figure["dpi"]) for figure in told["figures"]}
    assert {("ZPL", 203), ("TSPL", 203), ("ZPL", 300), ("TSPL", 300), ("Z64", 203)} <= seen
    assert all(figure["mean_bytes"] > 5000 for figure in told["figures"] if figure["what"].startswith("ours"))


def test_an_absent_peer_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zebrafy.graphic_field", None)
    labels.run(arguments("--labels", "1", "--packed", "3"), Settings())
    assert "No peer in this run: zebrafy is not installed" in capsys.readouterr().out


def test_its_waybills_are_all_different_and_can_be_read() -> None:
    papers = labels.waybills(5, seed=7)
    assert len({paper.number for paper in papers}) == len({paper.recipient.address for paper in papers}) == 5
    for paper in papers:
        label = labels._drawn(paper, "100x150", 203)
        assert label.cut == []
        assert judge.read(judge.drawn(label)) == {paper.number}
