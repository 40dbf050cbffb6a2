"""A real HTTP server on this machine for the doubles of shops, with faults on request."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import httpx


@dataclass(frozen=True)
class Call:
    """A request as it came over the wire."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes
    raw_query: str

    @property
    def params(self) -> dict[str, str]:
        """The query as PHP has it: of a repeated name the last counts."""
        return dict(self.query)


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """The line breaks: what was done is done, and no answer comes."""


CUT = Reply(cut=True)


@dataclass
class Loopback:
    """``answer`` gives a reply to each call; ``before`` and ``after`` may give another in its place."""

    answer: Callable[[Call], Reply]
    calls: list[Call] = field(default_factory=list)
    before: Callable[[Call], Reply | None] = lambda call: None
    after: Callable[[Call], Reply | None] = lambda call: None
    broke: list[BaseException] = field(default_factory=list)
    """What the double itself did wrong: a test must not take it for a fault of the shop."""
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, call: Call) -> Reply:
        with self._lock:
            self.calls.append(call)
            early = self.before(call)
            if early is not None:
                return early
            reply = self.answer(call)
            late = self.after(call)
            return reply if late is None else late

    @contextlib.contextmanager
    def running(self, tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
        shop = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece: in two, each answer waits for an acknowledgement

            def take(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                call = Call(
                    self.command,
                    parts.path,
                    tuple(parse_qsl(parts.query, keep_blank_values=True)),
                    {name.lower(): value for name, value in self.headers.items()},
                    body,
                    parts.query,
                )
                try:
                    reply = shop.take(call)
                except BaseException as error:
                    shop.broke.append(error)
                    reply = Reply(500, b"the double broke")
                if reply.cut:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_PUT = do_DELETE = take  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        shop.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield shop
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
        assert not shop.broke, shop.broke


class LateAnswers(httpx.BaseTransport):
    """The network, but an answer of which ``late`` says so comes after the caller has given up."""

    def __init__(self) -> None:
        self.late: Callable[[httpx.Request], bool] = lambda request: False
        self._network = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._network.handle_request(request)
        if self.late(request):
            response.read()
            response.close()
            raise httpx.ReadTimeout("too late", request=request)
        return response

    def close(self) -> None:
        self._network.close()
