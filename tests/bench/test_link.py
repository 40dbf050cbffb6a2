"""The bad network of the chaos bench does what it says: a proof by faults that never happened is worth nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from wms.bench import link as link_module
from wms.bench.link import OFTEN, Fate, Link, content_of
from wms.bench.load import Answer, Lost, Wire
from wms.bench.service import HOST

ANSWER = b"<div>taken</div>"


class Shop:
    """A server that notes what reaches it whole; it answers when so many requests are with it at once."""

    def __init__(self, at_once: int = 1) -> None:
        self.whole: list[str] = []
        self._together = asyncio.Barrier(at_once)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (raw := await link_module._message(reader)) is not None:
                await self._together.wait()
                self.whole.append(link_module._request(raw).scan_id)
                replay = b"Idempotent-Replay: true\r\n" if self.whole.count(self.whole[-1]) > 1 else b""
                writer.write(b"HTTP/1.1 200 OK\r\n" + replay + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER)
                await writer.drain()
        finally:
            writer.close()


def over(
    monkeypatch: pytest.MonkeyPatch,
    fate: Fate,
    phone: Callable[[Wire], Awaitable[None]],
    *,
    stall_s: float = 0.05,
    at_once: int = 1,
) -> tuple[Shop, Link]:
    """Let a phone work over a link on which every scan has the same fate, until all is quiet."""
    monkeypatch.setattr(link_module, "OFTEN", {fate: 1})

    async def go() -> tuple[Shop, Link]:
        shop = Shop(at_once)
        server = await asyncio.start_server(shop.serve, HOST, 0)
        link = Link(server.sockets[0].getsockname()[1], 1, stall_s)
        wire = Wire(HOST, await link.open(), timeout_s=20)
        await phone(wire)
        await link.settle()
        wire.close()
        await link.close()
        server.close()
        return shop, link

    return asyncio.run(go())


async def scan(wire: Wire, scan_id: str) -> Answer | None:
    """One try of one scan; None when the phone had no whole answer."""
    try:
        return await wire.ask("POST", "/pick/1/scan", "Cookie: wms=me\r\n", {"code": "A1", "scan_id": scan_id})
    except Lost:
        return None


@pytest.mark.parametrize(
    ("fate", "copies", "answered"),
    [
        (Fate.PASSED, 1, True),
        (Fate.REQUEST_LOST, 0, False),
        (Fate.REQUEST_CUT, 0, False),
        (Fate.REQUEST_LATE, 1, True),
        (Fate.ANSWER_LOST, 1, False),
        (Fate.ANSWER_CUT, 1, False),
        (Fate.ANSWER_LATE, 1, True),
        (Fate.TWICE, 2, True),
        (Fate.TWINS, 2, True),
        (Fate.REORDERED, 2, True),
    ],
)
def test_each_fate_brings_so_many_copies_and_an_answer_or_none(
    monkeypatch: pytest.MonkeyPatch, fate: Fate, copies: int, answered: bool
) -> None:
    got: list[Answer | None] = []

    async def phone(wire: Wire) -> None:
        got.append(await scan(wire, "one"))

    shop, link = over(monkeypatch, fate, phone)
    assert shop.whole == ["one"] * copies
    assert (got[0] is not None) is answered
    if got[0]:
        assert got[0].body.encode() == ANSWER
    assert link.fates == Counter({fate: 1})
    assert [copy.scan_id for copy in link.heard] == ["one"] * copies
    assert sum(copy.replay for copy in link.heard) == max(0, copies - 1)


def test_every_fate_there_is_is_tried_and_may_happen() -> None:
    assert set(OFTEN) == set(Fate)
    assert all(often > 0 for often in OFTEN.values())
    assert OFTEN[Fate.PASSED] < 0.75 * sum(OFTEN.values())


def test_twins_are_with_the_server_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def phone(wire: Wire) -> None:
        assert await scan(wire, "one")

    shop, _link = over(monkeypatch, Fate.TWINS, phone, at_once=2)
    assert shop.whole == ["one", "one"]


def test_what_comes_again_out_of_order_is_an_older_scan_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    async def phone(wire: Wire) -> None:
        for scan_id in ("first", "second", "third"):
            assert await scan(wire, scan_id)

    shop, _link = over(monkeypatch, Fate.REORDERED, phone)
    assert sorted(set(shop.whole)) == ["first", "second", "third"]
    assert len(shop.whole) == 6
    assert Counter(shop.whole)["third"] == 1, "the newest is not its own past"


def test_a_stalled_request_arrives_though_the_phone_has_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def phone(wire: Wire) -> None:
        wire.timeout_s = 0.01
        assert await scan(wire, "one") is None

    shop, link = over(monkeypatch, Fate.REQUEST_LATE, phone, stall_s=1.0)
    assert shop.whole == ["one"]
    assert len(link.heard) == 1, "the answer that no phone saw is noted"


def test_the_same_seed_has_the_same_fates(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the scans of many devices fall between each other."""

    def fates(seed: int, order: list[str]) -> dict[str, list[Fate]]:
        link = Link(1, seed, 1.0)
        found: dict[str, list[Fate]] = {}
        for scan_id in order:
            sent = link_module.Request(b"", "me", scan_id, "")
            found.setdefault(scan_id, []).append(link._fate(sent)[0])
        return found

    ids = [f"scan {n % 50}" for n in range(200)]
    assert fates(1, ids) == fates(1, sorted(ids))
    assert fates(1, ids) != fates(2, ids)


def test_pages_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def phone(wire: Wire) -> None:
        assert (await wire.ask("GET", "/pick", "")).status == 200

    _shop, link = over(monkeypatch, Fate.REQUEST_LOST, phone)
    assert not link.fates
    assert not link.heard


def test_a_server_that_is_away_is_a_lost_copy_and_nothing_worse() -> None:
    async def go() -> Link:
        server = await asyncio.start_server(Shop().serve, HOST, 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        link = Link(port, 1, 0.05)
        wire = Wire(HOST, await link.open(), timeout_s=20)
        with pytest.raises(Lost):
            await wire.ask("GET", "/pick", "")
        await link.close()
        return link

    assert asyncio.run(go()).unanswered == 1


def test_the_content_of_a_scan_is_its_path_and_fields_without_the_id() -> None:
    same = content_of("/pick/1/scan", {"code": "A1", "scan_id": "x"})
    assert same == content_of("/pick/1/scan", {"code": "A1", "scan_id": "y"})
    assert same != content_of("/pick/1/scan", {"code": "B2", "scan_id": "x"})
    assert same != content_of("/pick/2/scan", {"code": "A1", "scan_id": "x"})
