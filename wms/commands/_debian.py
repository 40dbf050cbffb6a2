"""Debian packages with root and without: installed by apt-get, or downloaded by it and unpacked here.

Only the standard library: run.py loads this file before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

# Never unpacked for a private library path: another libc beside the running one breaks every program.
NEVER_UNPACKED = ("libc6_", "libc-bin_", "libgcc-s1_", "base-files_")


class DebianError(RuntimeError):
    """apt could not do it; the text is what apt said."""


def there() -> bool:
    """True where apt-get and dpkg-deb can be called."""
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def install(packages: list[str]) -> None:
    """As root: put packages into the system. Raises DebianError."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "-q", "update"], environment, fatal=False)
    _run(["apt-get", "-q", "-y", "install", "--no-install-recommends", *packages], environment)


def private_options(state: Path) -> list[str]:
    """apt-get options that keep all it writes inside one folder of our own, so that it needs no root."""
    return [
        "-o",
        f"Dir::State::lists={state}/lists",
        "-o",
        f"Dir::Cache={state}/cache",
        "-o",
        f"Dir::Log={state}/log",
        "-o",
        "Debug::NoLocking=1",
    ]


def unpack(packages: list[str], state: Path, into: Path, *, alone: bool = False) -> list[str]:
    """Without root: download packages (and what they need and the system lacks, unless `alone`), unpack them.

    Sources, keys and proxies are the system's own. Returns the files unpacked; raises DebianError.
    """
    for folder in ("lists/partial", "cache/archives/partial", "log"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    archives = state / "cache" / "archives"
    options = private_options(state)
    environment = {**os.environ, "LC_ALL": "C"}
    # One source that does not answer is no reason to stop: the download tells whether it mattered.
    _run(["apt-get", "-q", *options, "update"], environment, fatal=False)
    if alone:
        _run(["apt-get", "-q", *options, "download", *packages], environment, folder=archives)
    else:
        _run(
            [
                "apt-get",
                "-q",
                "-y",
                *options,
                "install",
                "--no-install-recommends",
                "--download-only",
                *packages,
            ],
            environment,
        )
    into.mkdir(parents=True, exist_ok=True)
    done = []
    for archive in sorted(archives.glob("*.deb")):
        if not archive.name.startswith(NEVER_UNPACKED):
            _run(["dpkg-deb", "-x", str(archive), str(into)], environment)
            done.append(archive.name)
        archive.unlink()
    return done


def library_folders(root: Path) -> list[str]:
    """Where an unpacked tree keeps shared libraries, for LD_LIBRARY_PATH; the general folders first.

    Private folders (libpulsecommon's) are found by an absolute path when installed, so here they are named.
    """
    found = {path.parent for base in ("usr/lib", "lib") for path in (root / base).glob("**/lib*.so*")}
    return [str(folder) for folder in sorted(found, key=lambda folder: (len(folder.parts), str(folder)))]


def _run(command: list[str], environment: dict[str, str], *, fatal: bool = True, folder: Path | None = None) -> None:
    ran = subprocess.run(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if ran.returncode != 0 and fatal:
        raise DebianError(f"{' '.join(command[:1] + command[-3:])}:\n" + "\n".join(ran.stdout.splitlines()[-15:]))
