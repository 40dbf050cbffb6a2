"""The night is resumable in every step, tells each parcel once, and says in one statement what does not agree (R37)."""

from __future__ import annotations

import contextlib
import email
import os
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import policy
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
from sqlalchemy import select, update

from tests.connectors.fake_jd import FakeJd
from tests.connectors.fake_webhook_shop import SECRET
from tests.connectors.loopback import serve
from tests.connectors.shop_server import Call, Loopback, Reply
from tests.floor import Floor
from wms.clock import now
from wms.connectors import ConnectorError, Pushed, ReadBack, Recipient, Shipment, ShopLine, ShopOrder
from wms.connectors.kept import as_json
from wms.flows import night as statement
from wms.flows import selling
from wms.jobs import intake, lanes, night
from wms.models import (
    NightLine,
    NightRun,
    NightStep,
    NightVerdict,
    Order,
    OrderState,
    Push,
    PushState,
    RawOrder,
    RawState,
    Shop,
    ShopLane,
    new_id,
)

V = NightVerdict


@dataclass
class Books:
    """A shop that shows what it has; by order number it may have something else."""

    grain: str = "package"
    has: dict[str, ReadBack] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    answers: dict[str, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def fetch_orders(self, _since: Any) -> Iterator[ShopOrder]:
        yield from ()

    def push_shipment(self, shipment: Shipment) -> Pushed:
        self.told.append(shipment.key)
        if shipment.shop_order_no in self.answers:
            raise self.answers[shipment.shop_order_no]
        numbers = (*getattr(self.has.get(shipment.shop_order_no), "numbers", ()), shipment.waybill_no)
        self.has[shipment.shop_order_no] = ReadBack("shipped", numbers)
        return Pushed("acknowledged", "taken")

    def read_back(self, order_no: str) -> ReadBack:
        self.asked.append(order_no)
        if order_no in self.answers:
            raise self.answers[order_no]
        return self.has[order_no]


@pytest.fixture
def shipped(floor: Floor) -> Floor:
    """Four orders of two pieces, handed over."""
    floor.item("A1", "A1CODE")
    floor.stock("A1", "A-01-01-1", 20)
    floor.ship_all([floor.order(f"SO{number}", ("A1", 2)) for number in (1, 2, 3, 4)])
    return floor


def at_night(floor: Floor, shop: Books, **more: Any) -> night.Night:
    (done,) = night.run(floor.database, floor.settings, connect=lambda _kind, _settings: shop, **more)
    return done


def said(floor: Floor, run: NightRun) -> dict[str, tuple[str, str]]:
    with floor.database.reading() as session:
        return {
            line.shop_order_no: (line.verdict.value, line.reason % line.facts if line.facts else line.reason)
            for line, _shop in statement.lines(session, run, all_of_them=True)
        }


def as_it_came(floor: Floor, number: str, **changes: Any) -> None:
    """What the shop sold, as it would have been kept."""
    line = replace(ShopLine(f"{number}-0", "A1", "x", 2, 990), **changes)
    body = as_json(ShopOrder(number, now(), "paid", (line,), Recipient(), currency="CNY"))
    with floor.database.transaction(floor.actor()) as session:
        shop = session.execute(select(Shop)).scalar_one()
        session.add(
            RawOrder(
                warehouse_id=floor.warehouse_id, id=new_id(), shop_id=shop.id, shop_order_no=number, received_at=now(),
                sha256=number, body=body, state=RawState.TAKEN, told_at=now(),
            )
        )  # fmt: skip


def test_a_night_where_all_is_well(shipped: Floor) -> None:
    shop = Books()
    for number in (1, 2, 3, 4):
        as_it_came(shipped, f"SO{number}")
    done = at_night(shipped, shop)
    assert done.run.right and done.verdicts == {"alike": 4} and done.pushed == {"acknowledged": 4}
    assert sorted(shop.asked) == ["SO1", "SO2", "SO3", "SO4"]
    with shipped.database.reading() as session:
        (total,) = statement.totals(session, done.run)
        assert (total["orders"], total["pieces"], total["shop_pieces"]) == (4, 8, 8)
        assert (total["money"], total["shop_money"]) == (4 * 1980, 4 * 1980)
        assert session.execute(select(NightRun.step)).scalar_one() is NightStep.DONE


def test_every_way_in_which_the_shop_may_differ_is_said(shipped: Floor) -> None:
    shop = Books()
    for number in (1, 2, 3):
        as_it_came(shipped, f"SO{number}", **{1: {"qty": 3}, 2: {"price_minor": 995}, 3: {}}[number])
    shop.answers["SO4"] = ConnectorError(permanent=True, reason="refused", message="%(x)s no", facts={"x": "SO4:"})
    assert not at_night(shipped, shop).run.right
    done = at_night(shipped, shop)
    assert said(shipped, done.run) == {
        "SO1": ("different", "Sent 2 pieces and the shop sold 3. Compare the lines of the order."),
        "SO2": (
            "different",
            "What was sent is worth 19.80 and the shop's order 19.90. Compare the lines of the order.",
        ),
        "SO3": ("alike", ""),
        "SO4": ("different", "SO4: no"),
    }
    number = shop.has["SO3"].numbers[0]
    for back, verdict, words in (
        (ReadBack("shipped", ()), "different", "The shop has no waybill for it."),
        (ReadBack("shipped", ("SF9",)), "different", f"The shop has SF9 and we sent {number}."),
        (ReadBack("cancelled", (number,)), "different", "closed or paid back at the shop"),
        (ReadBack("paid", (number,)), "different", "still shows it as not sent"),
        (ReadBack("shipped", (number.lower(), "SF9")), "alike", ""),
        (ReadBack("shipped", (number, "SF9"), complete=False), "alike", ""),
    ):
        shop.has["SO3"] = back
        told = said(shipped, at_night(shipped, shop).run)["SO3"]
        assert told[0] == verdict and words in told[1], (back, told)


def test_a_shop_that_cannot_be_asked_now_is_unknown_and_not_well(shipped: Floor) -> None:
    shop = Books()
    at_night(shipped, shop)
    calls = len(shop.asked)
    shop.answers = {f"SO{n}": ConnectorError(permanent=True, reason="unauthorised", message="no key") for n in range(5)}
    done = at_night(shipped, shop)
    assert done.verdicts == {"unknown": 4} and not done.run.right
    assert len(shop.asked) == calls + 1, "its lane is stopped after the first"
    with shipped.database.reading() as session:
        assert session.execute(select(ShopLane.paused_reason)).scalar_one() == "no key"


def test_a_shop_that_asks_for_a_pause_is_given_it(shipped: Floor) -> None:
    shop = Books()
    at_night(shipped, shop)
    limits = iter([ConnectorError(permanent=False, reason="throttled", message="slow", retry_after_s=0.05)])
    true = shop.read_back

    def read_back(order_no: str) -> ReadBack:
        for error in limits:
            raise error
        return true(order_no)

    shop.read_back = read_back  # type: ignore[method-assign]
    assert at_night(shipped, shop).verdicts == {"alike": 4}


def test_only_the_last_days_are_read_back(shipped: Floor) -> None:
    shop = Books()
    with shipped.database.transaction(shipped.actor()) as session:
        session.execute(
            update(Order).where(Order.shop_order_no == "SO1").values(shipped_at=now() - timedelta(days=3, minutes=5))
        )
    assert at_night(shipped, shop).verdicts == {"alike": 3}


def test_a_paused_shop_stands_in_the_statement_and_the_others_go_on(shipped: Floor) -> None:
    shop = Books()
    with shipped.database.reading() as session:
        row = session.execute(select(Shop)).scalar_one()
    refused = ConnectorError(permanent=True, reason="wrong_keys", message="%(h)s no", facts={"h": "jd"})
    lanes.failed(shipped.database, row, refused)
    done = at_night(shipped, shop)
    assert not done.run.right and done.verdicts == {"waiting": 4} and shop.told == []
    assert done.unread == ["SHOP: %(h)s no"]


def test_two_nights_at_once_are_one(shipped: Floor) -> None:
    """The other is at work on this machine: its process lives."""
    run_id = night.begin(shipped.database, shipped.warehouse_id, 3)
    with shipped.database.transaction(shipped.actor()) as session:
        held = session.get_one(NightRun, (shipped.warehouse_id, run_id))
        held.leased_by = f"{night.holder().partition(':')[0]}:{os.getppid()}"
    with pytest.raises(night.BusyElsewhere):
        at_night(shipped, Books())
    with shipped.database.transaction(shipped.actor()) as session:
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        session.get_one(
            NightRun, (shipped.warehouse_id, run_id)
        ).leased_by = f"{night.holder().partition(':')[0]}:{dead.pid}"
    assert at_night(shipped, Books()).run.id == run_id, "its process is dead: it is gone on with at once"


# Killed


KILLED = """
import os, signal, sys, json
from datetime import timedelta
from wms.db import open_database
from wms.jobs import audit, intake, lanes, night, notice, stock_push, sync
from wms.settings import Settings
url, secret, place, at = sys.argv[1:5]
settings = Settings(database_url=url, secret_key=secret)
sync.LEASE = stock_push.LEASE = timedelta(seconds=1)
module, name = place.split(".")
rooms = {"intake": intake, "sync": sync, "stock_push": stock_push, "audit": audit, "notice": notice}
module = night.night if module == "night" else rooms[module]
true, count = getattr(module, name), 0
def die(*args, **more):
    global count
    count += 1
    if count == int(at):
        os.kill(os.getpid(), signal.SIGKILL)
    return true(*args, **more)
setattr(module, name, die)
night.run(open_database(settings), settings)
"""


@pytest.fixture
def real(floor: Floor) -> Iterator[tuple[Floor, FakeJd]]:
    """Six orders of a JD shop behind real HTTP, picked, packed and handed over; the shop is told of stock too."""
    shop = FakeJd(now=lambda: datetime.now(UTC))
    with serve(shop) as url:
        with floor.database.transaction(floor.actor()) as session:
            row = session.execute(select(Shop)).scalar_one()
            row.connector, row.settings = "jd", {
                "url": f"{url}/routerjson", "renew_url": f"{url}/oauth2/refresh_token", "app_key": shop.app_key,
                "app_secret": shop.secret, "access_token": shop.token, "calls_per_s": "1000", "carriers": "JD=2087",
            }  # fmt: skip
            selling.save_shop(session, row, told=True, share=100, per_minute=6000)
        floor.item("A1", "A1CODE")
        floor.item("B2", "B2CODE")
        floor.stock("A1", "A-01-01-1", 50)
        shop.skus = [{"skuId": 1, "outerId": "A1", "status": 1}, {"skuId": 2, "outerId": "B2", "status": 1}]
        for number in range(5):
            shop.order(3100 + number, ("A1", 2))
        intake.pull(floor.database, row.id)
        with floor.database.reading() as session:
            ids = list(session.execute(select(Order.id).order_by(Order.id)).scalars())
        assert len(ids) == 5
        floor.ship_all(ids)
        yield floor, shop


PLACES = [
    ("intake.pull", 1), ("sync._record", 1), ("sync._record", 3), ("sync._claim", 2), ("stock_push._record", 1),
    ("stock_push._claim", 2), ("night.keep", 1), ("night.keep", 4), ("audit.verify", 1), ("audit.tidy", 1),
    ("notice.send", 1),
]  # fmt: skip


@pytest.mark.parametrize(("place", "at"), PLACES)
def test_killed_in_any_step_it_goes_on_and_ends_with_the_same_statement(
    real: tuple[Floor, FakeJd], place: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor, shop = real
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, floor.database.url, floor.settings.secret_key, place, str(at)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
        capture_output=True,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with floor.database.reading() as session:
        broken = session.execute(select(NightRun)).scalar_one()
        assert broken.step is not NightStep.DONE
    (done,) = night.run(floor.database, floor.settings)
    assert done.run.id == broken.id, "gone on with, not begun anew"
    assert done.run.step is NightStep.DONE
    assert done.verdicts == {"alike": 5} and done.run.right, (said(floor, done.run), done.run.progress)
    ships = [str(params["orderId"]) for params in shop.did("jingdong.pop.order.shipment")]
    assert len(ships) == len(set(ships)) == 5, "each parcel is told once"
    with floor.database.reading() as session:
        assert set(session.execute(select(Order.state)).scalars()) == {OrderState.ACKNOWLEDGED}
        assert set(session.execute(select(Push.state)).scalars()) == {PushState.ACKNOWLEDGED}
        assert len(session.execute(select(NightLine)).all()) == 5


# Said in the morning


def test_the_statement_goes_out_as_signed_json_and_as_mail(shipped: Floor) -> None:
    got: list[dict[str, Any]] = []

    def answer(call: Call) -> Reply:
        got.append(standardwebhooks.Webhook(SECRET).verify(call.body, dict(call.headers)))
        return Reply()

    mail = Mailbox()
    with Loopback(answer).running() as net, mail.running():
        settings = replace(
            shipped.settings, night_url=net.url, night_secret=SECRET, mail_host="127.0.0.1", mail_port=mail.port,
            mail_tls="off", mail_from="wms@example.com", mail_to=("boss@example.com",),
        )  # fmt: skip
        shop = Books(answers={"SO2": ConnectorError(permanent=True, reason="closed", message="The order is closed.")})
        (done,) = night.run(shipped.database, settings, connect=lambda _kind, _settings: shop)
    assert done.run.progress["tell"] == {"mail": "sent", "webhook": "sent"}
    assert got[0]["data"]["right"] is False and got[0]["type"] == "night.done"
    assert [(line["order"], line["reason"]) for line in got[0]["data"]["lines"]] == [("SO2", "The order is closed.")]
    (letter,) = mail.letters
    assert f"Message-ID: <night-{done.run.id}@127.0.0.1>" in letter
    read = email.message_from_string(letter, policy=policy.default)
    assert "昨夜" in str(read["Subject"]) and "SO2: The order is closed." in read.get_content()


def test_a_mail_server_that_is_away_stops_nothing(shipped: Floor) -> None:
    settings = replace(
        shipped.settings, mail_host="127.0.0.1", mail_port=1, mail_tls="off", mail_to=("boss@example.com",),
        mail_from="a@example.com",
    )  # fmt: skip
    (done,) = night.run(shipped.database, settings, connect=lambda _kind, _settings: Books())
    assert done.run.step is NightStep.DONE and "ConnectionRefused" in done.run.progress["tell"]["mail"]


class Mailbox:
    """A mail server as small as the protocol allows."""

    def __init__(self) -> None:
        box = self
        self.letters: list[str] = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                def say(line: str) -> None:
                    self.wfile.write(line.encode() + b"\r\n")

                say("220 here")
                while line := self.rfile.readline().decode().strip():
                    word = line.split(" ")[0].upper()
                    if word == "DATA":
                        say("354 go on")
                        body = b""
                        while not body.endswith(b"\r\n.\r\n"):
                            body += self.rfile.readline()
                        box.letters.append(body.removesuffix(b"\r\n.\r\n").decode())
                    say("221 bye" if word == "QUIT" else "250 ok")
                    if word == "QUIT":
                        return

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def running(self) -> Any:
        @contextlib.contextmanager
        def run() -> Iterator[None]:
            thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield
            finally:
                self._server.shutdown()
                thread.join()
                self._server.server_close()

        return run()
