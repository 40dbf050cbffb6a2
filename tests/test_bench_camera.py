"""`run.py bench camera`: it films what it says, tells loudly what it lacks, and drives the real reader."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

import pytest

from tests.conftest import SECRET
from wms import camera
from wms.bench import camera as bench
from wms.commands import test as test_verb
from wms.settings import Settings


def measured(looks: int, home: Path) -> int:
    settings = Settings(home=home, database_url=f"sqlite:///{home / 'wms.db'}", secret_key=SECRET)
    return bench.run(argparse.Namespace(looks=looks, json=True), settings)


def test_the_films_show_the_codes_they_name_and_no_other() -> None:
    for film in bench.films():
        reading = camera.read(film.frames[8], bench.FORMATS.split(","))
        assert {code.text for code in reading.codes} == film.shows
        assert len({bytes(frame) for frame in film.frames}) == len(film.frames)  # no frame twice: the hand trembles


def test_without_chromium_it_says_so_and_measures_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(test_verb, "find_chromium", lambda: None)
    assert measured(5, tmp_path) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "NO CHROMIUM" in told.err or "NO PLAYWRIGHT" in told.err
    assert "NOTHING WAS MEASURED" in told.err


def test_without_playwright_it_says_so_and_measures_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    assert measured(5, tmp_path) == 1
    told = capsys.readouterr().err
    assert "NO PLAYWRIGHT" in told
    assert "run.py test --setup-only" in told


@pytest.mark.slow
@pytest.mark.browser
def test_a_short_run_reads_every_film_right(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from tests.browser.chromium import needed

    needed()
    monkeypatch.setattr(bench, "_ponyfill", lambda: None)  # it would be fetched from the network
    assert measured(10, tmp_path) == 0
    told = json.load(io.StringIO(capsys.readouterr().out))
    assert told["faults"] == []
    films = {row["film"]: row for row in told["rows"] if row["what"] == "worker, every look"}
    assert set(films) == {film.name for film in bench.films()}
    assert all(row["n"] >= 10 for row in films.values())
    assert films["QR label"]["read"] > 0
