"""What judges our Shopify connector, fetched from the registries on demand: Shopify's library and its schema."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
# Shopify publishes its schema inside this package (ISC), whose own dependencies nobody needs here.
SCHEMA_PACKAGE = "@shopify/dev-mcp@1.16.0"
SCHEMA_INTEGRITY = "tqgRnK7sQhjew+htxtleTH23nXB5fZcsrhWgEkomsorGXvLOB2mh2upwZm8uzuTDNTZnqtLMe64yIwh6s2awtw=="
SCHEMA_FILE = "package/dist/data/admin_2026-10.json.gz"
INSTALL_S = 600


class NoRefereeError(Exception):
    """The referee cannot be had on this machine; the text says why."""


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with (HERE / ".install.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _npm(*words: str) -> None:
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        raise NoRefereeError("node and npm are not on this machine")
    try:
        done = subprocess.run([npm, *words], cwd=HERE, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired as late:
        raise NoRefereeError(f"npm {words[0]} took more than {INSTALL_S} s") from late
    if done.returncode:
        raise NoRefereeError(f"npm {words[0]} failed: {done.stderr.strip()[-500:]}")


def _install() -> None:
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    mark = MODULES / ".installed"
    with _alone():
        if not mark.exists() or mark.read_text() != wanted:
            _npm("ci", "--no-audit", "--no-fund", "--ignore-scripts")
            mark.write_text(wanted)


def published_schema() -> dict[str, Any]:
    """Type name → the type, as introspection gives it."""
    _install()
    kept = MODULES / ".schema.json.gz"
    with _alone():
        if not kept.exists():
            with tempfile.TemporaryDirectory() as folder:
                _npm("pack", SCHEMA_PACKAGE, "--pack-destination", folder)
                (packed,) = Path(folder).iterdir()
                content = packed.read_bytes()
            if base64.b64encode(hashlib.sha512(content).digest()).decode() != SCHEMA_INTEGRITY:
                raise NoRefereeError(f"{SCHEMA_PACKAGE} is not the package that was read and tried")
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                member = archive.extractfile(SCHEMA_FILE)
                assert member is not None
                kept.write_bytes(member.read())
    whole = json.loads(gzip.decompress(kept.read_bytes()))["data"]["__schema"]
    return {one["name"]: one for one in whole["types"]} | {"directives": whole["directives"]}


class Library:
    """Shopify's library in a process of its own: a question, an answer."""

    def __init__(self) -> None:
        _install()
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            ["node", "referee.mjs"],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, what: str, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps({"what": what, **question}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        assert line, "the referee ended"
        answer: dict[str, Any] = json.loads(line)
        assert "broke" not in answer, answer
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
