"""Phones that walked out of range in the middle of a handshake, and phones in pockets, stop nobody's scan."""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from wms import tls
from wms.bench import idle, warehouse
from wms.bench.handheld import Picker
from wms.bench.idle import Crowd
from wms.bench.load import Tally, Wire
from wms.bench.service import HOST, Ground
from wms.jobs import audit
from wms.settings import Settings

SCANS = 25
PATIENCE_S = 60.0
"""For one answer: a server that is stopped by a silent socket never gives it, a busy machine may take its time."""


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Ground, warehouse.Ready]]:
    """The product's own `serve` with Caddy in front, and one picker's warehouse behind it."""
    if tls.find_caddy() is None:
        pytest.skip("NO CADDY for this machine: that silent phones stop nobody was not shown")
    with ExitStack() as stack:
        made = idle.tls_ground(stack)
        ready = warehouse.prepare(made.database, made.settings.secret_key, 1, 10, 0)
        made.database.engine.dispose()
        stack.enter_context(idle.tls_server(made))
        yield made, ready


async def scans_among(crowd: Crowd, hand: Picker, port: int, trusted: ssl.SSLContext) -> Tally:
    """What a picker is answered while the crowd stands there, on the connection kept and on new ones."""
    tally = Tally()
    async with crowd:
        for _ in range(SCANS):
            assert await hand.step(tally), tally.errors
        newcomers = [Wire(HOST, port, trusted, PATIENCE_S) for _ in range(5)]
        for wire in newcomers:
            assert (await wire.ask("GET", "/healthz", "")).status == 200
            wire.close()
        hand.wire.close()  # the phone was out of range too, and comes back with a new handshake
        assert await hand.step(tally), tally.errors
        assert crowd.now["idle"] == 200
        assert crowd.now["silent"] + crowd.now["half"] + crowd.given_up >= 40
    return tally


@pytest.mark.slow
def test_silent_sockets_half_handshakes_and_idle_phones_stop_no_scan(
    served: tuple[Ground, warehouse.Ready],
) -> None:
    made, ready = served
    port, trusted = made.settings.https_port, idle.trusting(made.settings)
    crowd = Crowd(port, trusted, silent=30, half=10, idle=200)

    async def work() -> Tally:
        hand = Picker(Wire(HOST, port, trusted, PATIENCE_S), ready.badges[0], iter(ready.totes), ready.barcodes)
        hand.screen = await hand.sign_in()
        assert any(name.startswith("__Host-") for name in hand.cookies), "signed in over TLS"
        return await scans_among(crowd, hand, port, trusted)

    tally = asyncio.run(work())
    assert tally.errors == []
    assert sum(tally.kinds.values()) == SCANS + 1
    assert tally.pieces == warehouse.picked(made.database) > 0
    assert crowd.polls >= 200
    assert crowd.lost == 0
    assert audit.verify(made.database) == []


@pytest.mark.slow
def test_the_crowd_is_what_it_says(served: tuple[Ground, warehouse.Ready]) -> None:
    """A silent socket is open and has said nothing; half a handshake is the start of one, and not all of it."""
    made, _ready = served
    hello = idle._client_hello()
    assert hello[:3] == b"\x16\x03\x01"
    assert len(hello) > 200

    async def stand() -> Crowd:
        crowd = Crowd(made.settings.https_port, idle.trusting(made.settings), silent=3, half=2, idle=4)
        async with crowd:
            assert crowd.now == {"silent": 3, "half": 2, "idle": 4}
        return crowd

    crowd = asyncio.run(stand())
    assert crowd.now["silent"] == crowd.now["half"] == 0, "all of them have left"
    assert crowd.polls >= 4


def test_without_caddy_the_bench_says_that_there_is_nothing_to_measure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    idle.configure(parser)
    monkeypatch.setattr(tls, "find_caddy", lambda: None)
    assert idle.run(parser.parse_args([]), Settings()) == 1
    assert "Caddy, which speaks HTTPS, is not installed" in capsys.readouterr().err
