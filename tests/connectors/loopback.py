"""A real HTTP server on loopback for doubles of platforms, and what a foreign client's bytes say."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote_to_bytes, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: bytes
    body: bytes
    content_type: str

    def fields(self) -> dict[bytes, bytes]:
        """Query and form together, as bytes: nothing here knows an encoding. A name given twice is a fault."""
        found: dict[bytes, bytes] = {}
        for raw in (self.query, self.body):
            for part in filter(None, raw.split(b"&")):
                name, _, value = part.partition(b"=")
                key = unquote_to_bytes(name.replace(b"+", b" "))
                assert key not in found, f"{key!r} twice"
                found[key] = unquote_to_bytes(value.replace(b"+", b" "))
        return found


@dataclass(frozen=True)
class Answer:
    body: bytes
    status: int = 200


CUT = None
"""Instead of an answer: the line is cut, and the caller cannot know what was done."""


@contextlib.contextmanager
def serve(answer: Callable[[Request], Answer | None]) -> Iterator[str]:
    """The address of a server that answers so. What breaks inside it breaks the test."""
    faults: list[BaseException] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        wbufsize = -1  # head and body in one piece: in two, each answer waits for an acknowledgement

        def _any(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = self.headers.get("Content-Type") or ""
            try:
                told = answer(Request(self.command, url.path, url.query.encode("ascii"), body, kind))
            except BaseException as fault:
                faults.append(fault)
                told = CUT
            if told is CUT:
                self.close_connection = True
                return
            self.send_response(told.status)
            self.send_header("Content-Type", "application/json;charset=utf-8")
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        do_GET = do_POST = _any  # noqa: N815

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
    if faults:
        raise faults[0]
