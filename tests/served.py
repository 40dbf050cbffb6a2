"""The app behind a real waitress on a free port of this machine, as it is served, within the test's own process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from flask import Flask
from waitress.server import create_server

from wms.commands.serve import waitress_options
from wms.settings import Settings


@contextlib.contextmanager
def served(app: Flask, settings: Settings) -> Iterator[str]:
    """The address it answers at."""
    options = waitress_options(settings, behind_caddy=False) | {"host": "127.0.0.1", "port": 0, "threads": 4}
    server = create_server(app, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"  # type: ignore[union-attr]
    finally:
        server.close()
        thread.join(10)
