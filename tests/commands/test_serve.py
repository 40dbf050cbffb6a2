"""`run.py serve` as a whole: everything answers, and all of it ends together."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from wms import tls
from wms.commands import serve
from wms.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@dataclass
class Service:
    process: subprocess.Popen[str]
    home: Path
    http_port: int
    https_port: int
    inner_port: int
    lines: list[str]

    def wait_for(self, word: str, within_s: float = 60) -> None:
        """Read what it prints until a line holds that word; its end, or a long silence, is a failure."""
        ended = threading.Event()

        def read() -> None:
            assert self.process.stdout
            for line in self.process.stdout:
                self.lines.append(line)
                if word in line:
                    break
            ended.set()

        threading.Thread(target=read, daemon=True).start()
        assert ended.wait(within_s), "".join(self.lines)
        assert word in self.lines[-1], "".join(self.lines)


def start(tmp_path: Path, **more: str) -> Service:
    http_port, https_port, inner_port = free_ports(3)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WMS_")},
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "WMS_HOME": str(tmp_path),
        "WMS_HOST": "127.0.0.1",
        "WMS_HTTP_PORT": str(http_port),
        "WMS_HTTPS_PORT": str(https_port),
        "WMS_INNER_PORT": str(inner_port),
        "WMS_SKIP_VENDOR": "1",
        **more,
    }
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), "serve"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )
    return Service(process, tmp_path, http_port, https_port, inner_port, [])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    if tls.find_caddy() is None:
        pytest.skip("NO CADDY for this machine")
    started = start(tmp_path)
    yield started
    if started.process.poll() is None:
        started.process.kill()
        started.process.wait()


def get(service: Service, path: str) -> tuple[int, str]:
    trusted = ssl.create_default_context(cafile=str(service.home / "caddy/pki/authorities/local/root.crt"))
    with contextlib.closing(
        http.client.HTTPSConnection("127.0.0.1", service.https_port, timeout=10, context=trusted)
    ) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")


@pytest.mark.slow
def test_one_command_serves_https_and_a_request_to_stop_ends_all_of_it(service: Service) -> None:
    service.wait_for("Stop with Ctrl-C")
    told = "".join(service.lines)
    assert f"http://127.0.0.1:{service.http_port}/setup" in told
    assert f"https://127.0.0.1:{service.https_port}/" in told
    assert "█" in told or "▀" in told, "no QR code"
    assert get(service, "/healthz")[0] == 200
    service.process.send_signal(signal.SIGTERM)
    service.process.communicate(timeout=30)
    assert service.process.returncode == 0
    for port in (service.http_port, service.https_port, service.inner_port):
        with pytest.raises(OSError, match=r".*"):
            socket.create_connection(("127.0.0.1", port), 2)


@pytest.mark.slow
def test_a_second_service_on_the_same_ports_says_which_and_does_not_start(service: Service, tmp_path: Path) -> None:
    service.wait_for("Stop with Ctrl-C")
    second = start(
        tmp_path,
        WMS_HTTP_PORT=str(service.http_port),
        WMS_HTTPS_PORT=str(service.https_port),
        WMS_INNER_PORT=str(service.inner_port),
    )
    told, _ = second.process.communicate(timeout=60)
    assert second.process.returncode == 1
    assert f"Port {service.http_port}" in told
    assert "WMS_HTTP_PORT" in told


def settings(**more: object) -> Settings:
    return Settings(database_url="sqlite:///x.db", **more)  # type: ignore[arg-type]


def test_behind_caddy_only_caddy_reaches_the_web_server() -> None:
    options = serve.waitress_options(settings(), behind_caddy=True)
    assert options["host"] == "127.0.0.1"
    assert options["trusted_proxy"] == "127.0.0.1"
    assert options["clear_untrusted_proxy_headers"] is True


def test_without_caddy_nobody_is_believed_about_an_address() -> None:
    options = serve.waitress_options(settings(host="0.0.0.0"), behind_caddy=False)
    assert (options["host"], options["port"]) == ("0.0.0.0", 8080)
    assert "trusted_proxy" not in options


def test_the_limits_that_idle_phones_would_fill_are_raised() -> None:
    options = serve.waitress_options(settings(threads=32), behind_caddy=True)
    assert options["threads"] == 32
    assert options["connection_limit"] == 1000
    assert options["channel_timeout"] == 30
    assert options["asyncore_use_poll"] is True


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or os.cpu_count() == 1,
    reason="ONE CORE, or no affinity on this system",
)
def test_the_web_process_is_held_on_one_core() -> None:
    before = os.sched_getaffinity(0)
    seen: list[set[int]] = []

    def hold() -> None:  # in a thread of its own: affinity belongs to threads
        assert serve.hold_on_one_core() == sorted(before)
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert len(seen[0]) == 1
    assert os.sched_getaffinity(0) == before
