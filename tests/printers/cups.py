"""A real cupsd of the tests' own: private folders, a private socket, queues to the printers of fake_printer.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("cupsd", "lpadmin", "lpstat", "lpr", "cupsenable", "cupsreject", "cancel")
START_S = 15.0


def missing() -> list[str]:
    """Programs of CUPS this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


def _path() -> str:
    return os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


class Cupsd:
    """Reached by who has its `environment`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)  # its backends run as another user
        for name in ("root", "spool", "cache", "state", "tmp"):
            (folder / name).mkdir(mode=0o755)
        socket = folder / "sock"
        (folder / "cups-files.conf").write_text(
            f"ServerRoot {folder}/root\nRequestRoot {folder}/spool\nCacheDir {folder}/cache\nStateDir {folder}/state\n"
            f"TempDir {folder}/tmp\nErrorLog {folder}/error_log\nAccessLog {folder}/access_log\n"
            f"PageLog {folder}/page_log\nSystemGroup root\n",
            "ascii",
        )
        (folder / "cupsd.conf").write_text(
            f"LogLevel warn\nListen {socket}\nBrowsing No\nWebInterface No\nJobRetryInterval 1\n"
            "ErrorPolicy retry-job\nDefaultAuthType None\n"
            "<Location />\nOrder allow,deny\nAllow all\n</Location>\n"
            "<Policy default>\nJobPrivateAccess all\nJobPrivateValues none\n"
            "<Limit All>\nOrder allow,deny\nAllow all\n</Limit>\n</Policy>\n",
            "ascii",
        )
        self.environment = {**os.environ, "PATH": _path(), "CUPS_SERVER": str(socket), "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(
            ["cupsd", "-f", "-c", str(folder / "cupsd.conf"), "-s", str(folder / "cups-files.conf")],
            env={**os.environ, "PATH": _path()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        ends = time.monotonic() + START_S
        while subprocess.run(["lpstat", "-r"], env=self.environment, capture_output=True, check=False).stdout != (
            b"scheduler is running\n"
        ):
            if self.process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"cupsd does not run: {self.said()}")
            time.sleep(0.05)  # it tells nobody that it is ready

    def said(self) -> str:
        log = self.folder / "error_log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    def queue(self, name: str, port: int) -> None:
        """A raw queue to a network printer on this machine; a printer that is away is tried again, not given up."""
        uri = f"socket://127.0.0.1:{port}"
        self.run("lpadmin", "-p", name, "-E", "-v", uri, "-o", "printer-error-policy=retry-job")

    def run(self, *command: str) -> str:
        ran = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{command}: {ran.stderr} {self.said()}"
        return ran.stdout

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@contextmanager
def running() -> Iterator[Cupsd]:
    """A socket's path must be short, and every parent folder open to the backends' user: so not pytest's folder."""
    folder = Path(tempfile.mkdtemp(prefix="wmscups"))
    daemon = Cupsd(folder)
    try:
        yield daemon
    finally:
        daemon.stop()
        shutil.rmtree(folder, ignore_errors=True)
