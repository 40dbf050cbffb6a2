"""The TLS front for real: Caddy of this environment before a small waitress, as a phone meets it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from waitress.server import create_server

from wms import lan, tls
from wms.commands._children import Child, Supervisor
from wms.commands.serve import waitress_options
from wms.settings import Settings

needs_caddy = pytest.mark.skipif(tls.find_caddy() is None, reason="NO CADDY for this machine")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings_for(home: Path) -> Settings:
    return Settings(
        home=home,
        host="127.0.0.1",
        http_port=free_port(),
        https_port=free_port(),
        inner_port=free_port(),
        threads=4,
    )


def tell_what_arrived(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """An application that answers with what it was told of the request."""
    told = " ".join(environ[name] for name in ("PATH_INFO", "wsgi.url_scheme", "HTTP_HOST", "REMOTE_ADDR"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [told.encode()]


@dataclass
class Running:
    settings: Settings
    trusted: ssl.SSLContext

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """One https request by a phone which trusts the root and nothing else."""
        port = self.settings.https_port
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=self.trusted)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def get_plain(self, path: str) -> tuple[int, str, str]:
        """One http request: (status, where it redirects to, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.http_port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location") or "", answer.read().decode()


def wait_for(what: Callable[[], bool], within_s: float = 20) -> None:
    """Ask until it is so; a failure says so instead of hanging."""
    end = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = settings_for(tmp_path_factory.mktemp("home"))
    caddy = tls.find_caddy()
    assert caddy
    server = create_server(tell_what_arrived, **waitress_options(settings, behind_caddy=True))
    serving = threading.Thread(target=server.run, daemon=True)
    serving.start()
    path = tls.write(settings, caddy, tls.front(settings).hosts)
    children = [Child("caddy", tls.command(caddy, path), tls.environment(settings))]
    supervisor = Supervisor(children)
    supervisor.start()
    try:
        wait_for(lambda: all(tls.answers(settings, name) for name in ("127.0.0.1", "localhost")))
        yield Running(settings, ssl.create_default_context(cafile=str(tls.root_path(settings))))
    finally:
        supervisor.stop()
        server.close()
        server.task_dispatcher.shutdown()


@needs_caddy
def test_a_phone_which_trusts_the_root_loads_a_page(front: Running) -> None:
    status, told = front.get("/pick/7")
    assert status == 200
    assert told.startswith(f"/pick/7 https 127.0.0.1:{front.settings.https_port} ")


@needs_caddy
def test_a_name_of_this_machine_is_trusted_and_a_strange_one_is_not(front: Running) -> None:
    assert tls.answers(front.settings, "localhost")
    assert not tls.answers(front.settings, "wms.example")


@needs_caddy
def test_a_phone_without_the_root_is_warned(front: Running) -> None:
    stranger = Running(front.settings, ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.get("/")


@needs_caddy
def test_a_phone_cannot_lie_about_its_address(front: Running) -> None:
    _, told = front.get("/", headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"})
    assert told.endswith(" 127.0.0.1")
    assert " https " in told


@needs_caddy
@pytest.mark.parametrize("path", ["/setup", "/setup/qr.svg", "/ca.crt", "/static/app.css", "/healthz"])
def test_without_tls_the_way_to_trust_is_open(front: Running, path: str) -> None:
    status, _, told = front.get_plain(path)
    assert status == 200
    assert told.startswith(f"{path} http ")


@needs_caddy
@pytest.mark.parametrize("path", ["/", "/sign-in", "/pick/7?a=1", "/setupx", "/api/v1/orders", "/metrics"])
def test_without_tls_everything_else_is_sent_to_https(front: Running, path: str) -> None:
    status, location, _ = front.get_plain(path)
    assert status == 307
    assert location == f"https://127.0.0.1:{front.settings.https_port}{path}"


@needs_caddy
def test_phones_that_walk_out_of_range_do_not_hold_the_others_up(front: Running) -> None:
    """30 sockets connect and say nothing; cheroot and Werkzeug then answer nobody."""
    with contextlib.ExitStack() as stack:
        for port in (front.settings.https_port, front.settings.http_port):
            for _ in range(30):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        started = time.monotonic()
        status, _ = front.get("/pick/7")
        took_s = time.monotonic() - started
    assert status == 200
    assert took_s < 5, f"{took_s:.2f} s: silent sockets hold a scan up"


@needs_caddy
def test_the_root_tells_its_fingerprint_and_holds_for_years(front: Running) -> None:
    root = tls.root(front.settings)
    assert root
    assert len(root.fingerprint.split(":")) == 32
    assert root.days_left() > 3 * 365
    assert root.days_left(root.expires - timedelta(days=10)) == 10


@needs_caddy
def test_a_new_root_is_another_one(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    caddy = tls.find_caddy()
    assert caddy
    tls.write(settings, caddy, ("127.0.0.1",))
    first = tls.root(settings)
    tls.write(settings, caddy, ("127.0.0.1", "localhost"))
    assert tls.root(settings) == first, "a start must not change the root that phones trust"
    tls.forget_root(settings)
    assert tls.root(settings) is None
    tls.write(settings, caddy, ("127.0.0.1",))
    second = tls.root(settings)
    assert first
    assert second
    assert first.fingerprint != second.fingerprint


@needs_caddy
def test_a_file_caddy_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    caddy = tls.find_caddy()
    assert caddy
    with pytest.raises(tls.TlsError, match="Caddyfile"):
        tls.write(settings_for(tmp_path), caddy, ("not a { host",))


def test_the_key_of_the_root_is_nobody_elses(tmp_path: Path) -> None:
    caddy = tls.find_caddy()
    if caddy is None:
        pytest.skip("NO CADDY for this machine: TLS is not tested")
    settings = settings_for(tmp_path)
    tls.write(settings, caddy, ("127.0.0.1",))
    assert tls.folder(settings).stat().st_mode & 0o077 == 0


def test_switched_off_is_said_and_no_caddy_is_named(tmp_path: Path) -> None:
    front = tls.front(replace(settings_for(tmp_path), tls="off"))
    assert front.caddy is None
    assert front.reason == tls.SWITCHED_OFF


def test_without_caddy_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "find_caddy", lambda: None)
    front = tls.front(settings_for(tmp_path))
    assert front.caddy is None
    assert front.reason == tls.NO_CADDY


def test_public_names_come_first_and_each_name_once(tmp_path: Path) -> None:
    settings = replace(settings_for(tmp_path), host="0.0.0.0", public_hosts=("wms.example", "127.0.0.1"))
    names = tls.hosts(settings)
    assert names[0] == "wms.example"
    assert len(names) == len(set(names))
    assert "localhost" in names
    assert lan.main_address() in names


def test_addresses_leave_the_usual_port_out(tmp_path: Path) -> None:
    settings = replace(settings_for(tmp_path), https_port=443, http_port=8080)
    assert tls.https_address(settings, "wms.example") == "https://wms.example/"
    assert tls.http_address(settings, "wms.example", "/setup") == "http://wms.example:8080/setup"
