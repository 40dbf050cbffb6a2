"""Somebody else's Taobao client from npm, run by node; tests only."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "node"
INSTALL_S = 600


class NoClientHereError(Exception):
    """The client cannot run on this machine; the text says why."""


def install() -> None:
    """node_modules as the lock file says; once, whoever asks first. NoClientHereError when it cannot be."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        raise NoClientHereError("npm and node are not on this machine")
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    mark = HERE / "node_modules" / ".wms-installed"
    with (HERE / ".install.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.exists() and mark.read_text() == wanted:
            return
        done = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--no-progress"],
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
        )
        if done.returncode:
            raise NoClientHereError(f"npm ci failed: {done.stderr.strip()[-1500:]}")
        mark.write_text(wanted)


def call(
    url: str, app_key: str, secret: str, method: str, params: dict[str, str], zone: str = "Asia/Shanghai"
) -> dict[str, Any]:
    """``{"answer": …}`` or ``{"refused": …}``. The client sends its machine's clock: ``zone`` is where that stands."""
    asked = {"url": url, "appkey": app_key, "appsecret": secret, "method": method, "params": params}
    done = subprocess.run(
        ["node", "call.mjs"],
        cwd=HERE,
        input=json.dumps(asked),
        env={**os.environ, "TZ": zone, "NO_PROXY": "127.0.0.1", "NODE_NO_WARNINGS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told
