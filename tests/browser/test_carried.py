"""Picking goes on without network: the phone checks scans itself, keeps them, and the books come out the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests import ways
from tests.browser.chromium import PHONE, Browsers, Watch, browsers, expect
from tests.browser.person import Person
from tests.browser.server import Warehouse, warehouse
from tests.floor import Hand
from wms import create_app
from wms.flows import count
from wms.jobs import audit
from wms.models import Count, OrderLine, OrderState, PickStep, ScanRequest, Shortage, StockMove
from wms.scan import barcode_key, parse

pytestmark = pytest.mark.browser

EAN = "6901234567892"
NEAR, MIDDLE, FAR = "A-01-01-1", "A-01-02-1", "A-01-03-1"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browsers]:
    with browsers() as opened:
        yield opened


@pytest.fixture
def floor(tmp_path: Path, template_database: Path) -> Iterator[Warehouse]:
    with warehouse(tmp_path, template_database) as running:
        running.rows.item("CUP", EAN)
        running.rows.item("BOOK", "BOOK-CODE", case=("BOOK-CASE", 6))
        running.rows.item("LAMP", "LAMP-CODE")
        for sku, place in (("CUP", NEAR), ("LAMP", NEAR), ("BOOK", MIDDLE)):
            running.rows.stock(sku, place, 40)
        yield running


class Phone(Person):
    """A picker's phone that may lose its network."""

    watch: Watch

    def loses_the_network(self) -> None:
        self.context.set_offline(True)
        # The browser cuts page and service worker off one after the other.
        self.until("!wms.reachable() && await fetch('/healthz', {cache: 'no-store'}).then(() => false, () => true)")
        expect(self.page.locator("#link-state")).to_have_attribute("data-link", "off")

    def has_it_again(self) -> None:
        self.context.set_offline(False)
        expect(self.page.locator("#link-state")).to_have_attribute("data-link", "on")
        expect(self.page.locator("#waiting")).to_be_hidden()

    def scans_alone(self, code: str) -> None:
        """A scan that the phone must answer by itself."""
        answers = self.page.evaluate("() => { window.heard ??= 0; return window.heard; }")
        self.page.keyboard.type(code)
        self.page.keyboard.press("Enter")
        self.page.wait_for_function("(before) => window.heard > before", arg=answers)

    def presses_alone(self, name: str) -> None:
        answers = self.page.evaluate("() => window.heard")
        self.page.locator("#screen").get_by_role("button", name=name, exact=True).click()
        self.page.wait_for_function("(before) => window.heard > before", arg=answers)

    def waits(self, scans: int) -> None:
        expect(self.page.locator("#waiting")).to_have_text(f"{scans} waiting")

    def carries_its_task(self) -> None:
        """The task and the page are on the phone."""
        self.until("document.documentElement.dataset.carried && await caches.match('/shell')")

    def until(self, condition: str) -> None:
        """Wait in the page for something only an await can tell; playwright's own wait takes a promise for a yes."""
        self.page.evaluate(
            f"async () => {{ while (!({condition})) await new Promise((again) => setTimeout(again, 30)); }}"
        )


EARS = """
document.addEventListener("wms:answer", (event) => { if (!event.detail.late) window.heard = (window.heard || 0) + 1; });
"""


@pytest.fixture
def phone(chromium: Browsers, floor: Warehouse) -> Iterator[Phone]:
    watch = Watch()
    context = chromium.get().new_context(**PHONE)
    context.add_init_script(EARS)
    watch.over(context)
    person = Phone(context, floor.address)
    yield person
    context.close()
    # Without network the browser's console says so; nothing else may stand there.
    assert [fault for fault in watch.faults if "ERR_INTERNET_DISCONNECTED" not in fault] == []


def work(floor: Warehouse, number: str = "SO-1") -> int:
    order = floor.rows.order(number, ("CUP", 2), ("LAMP", 1), ("BOOK", 8))
    assert floor.rows.release(order)[0].short == {}
    return order


def at_the_first_place(phone: Phone, floor: Warehouse) -> None:
    phone.sign_in(floor.rows.badges["picker"]).opens("/pick")
    phone.press("Give me work")
    phone.sees("pick/scan_tote")
    phone.scan("T-001")
    phone.sees("pick/scan_location", NEAR)
    expect(phone.page.locator("form[data-scan]")).to_have_attribute("data-expects", f'["L-{NEAR}"]')
    phone.carries_its_task()


def the_camera_expects(phone: Phone, codes: str) -> None:
    """Of several codes in view one of these is taken without asking; a place stands on the form itself."""
    phone.until(f"wms.carried.expects(document.querySelector('form[data-scan]')).sort().join() === '{codes}'")


def moves(floor: Warehouse, order: int) -> Counter[tuple[Any, ...]]:
    """What the ledger says was picked for an order: item, pieces, from where, each as often as it stands there."""
    with floor.database.reading() as session:
        lines = session.execute(select(OrderLine.id).where(OrderLine.order_id == order)).scalars()
        causes = {f"order_line:{line}" for line in lines}
        return Counter(
            (move.item_id, move.qty, move.from_id, move.reason, move.reverses_id is not None)
            for move in session.execute(select(StockMove)).scalars()
            if move.cause in causes
        )


def picked_online(floor: Warehouse, order: int) -> None:
    """The same scans by a phone with good network."""
    hand = Hand(create_app(floor.settings, floor.database), floor.rows.badges["second picker"])
    hand.get("/pick")
    hand.press("/pick/next")
    for code in ("T-002", f"L-{NEAR}", EAN, EAN, "LAMP-CODE", f"L-{MIDDLE}", "BOOK-CASE", "BOOK-CODE"):
        hand.scan(code)
        assert hand.feeling == "done", hand.text()
    hand.press("/rest", line=hand.page.split('name="line" value="')[1].split('"')[0], qty="1")
    hand.sees("pick/done")


def books_are_right(floor: Warehouse) -> None:
    faults = audit.verify(floor.database)
    assert not faults, "\n".join(f"{f.rule} {f.text}" for f in faults)


def test_a_task_goes_on_without_network_over_a_reload_and_the_ledger_is_as_if_online(
    phone: Phone, floor: Warehouse
) -> None:
    order, other = work(floor), work(floor, "SO-2")
    at_the_first_place(phone, floor)
    the_camera_expects(phone, "")
    phone.scan(f"L-{NEAR}")
    the_camera_expects(phone, f"0{EAN},CUP,I-CUP")
    phone.scan(EAN)
    phone.sees("pick/scan_item", "CUP")

    phone.loses_the_network()
    phone.scans_alone(EAN)
    phone.is_told("done", "6901234567892 is right.")
    phone.sees("pick/scan_item", "LAMP")
    phone.waits(1)
    phone.page.reload()  # or the battery died: the page comes from the phone itself
    phone.sees("pick/scan_item", "LAMP")
    phone.waits(1)
    phone.scans_alone("LAMP-CODE")
    phone.sees("pick/scan_location", MIDDLE)
    phone.scans_alone(f"L-{MIDDLE}")
    phone.sees("pick/scan_item", "BOOK")
    phone.scans_alone("BOOK-CASE")  # six pieces (R15)
    phone.scans_alone("BOOK-CODE")
    phone.presses_alone("Take the other 1")
    phone.sees("pick/done")
    phone.waits(6)
    assert floor.rows.task_of(order).step is PickStep.SCAN_ITEM  # the server knows nothing of it yet

    phone.has_it_again()
    phone.sees("pick/done")
    expect(phone.page.locator("#screen .message-wrong, #screen .cards-offline")).to_have_count(0)
    picked_online(floor, other)
    assert floor.rows.order_row(order).state is OrderState.PICKED
    assert moves(floor, order) == moves(floor, other)
    books_are_right(floor)


def test_the_phone_alone_refuses_what_the_server_would_refuse(phone: Phone, floor: Warehouse) -> None:
    """R12, R13, R21: nothing waits of a refused scan, and each reason has its own words."""
    work(floor)
    at_the_first_place(phone, floor)
    phone.loses_the_network()
    phone.scans_alone(f"L-{MIDDLE}")
    phone.is_told("wrong", f"This is {MIDDLE}. Go to {NEAR}.")
    phone.scans_alone(EAN)
    phone.is_told("wrong", f"Go to {NEAR} and scan its label.")
    phone.scans_alone("T-002")
    phone.is_told("look", "Another tote needs the network.")
    phone.scans_alone(f"L-{NEAR}")
    phone.scans_alone("BOOK-CODE")
    phone.is_told("wrong", f"BOOK is picked later, at {MIDDLE}. Here take CUP.")
    phone.scans_alone(EAN)
    phone.scans_alone(EAN)
    phone.scans_alone(EAN)
    phone.is_told("look", "CUP is already complete for this order.")
    phone.scans_alone("SOMETHING-ELSE")
    phone.is_told("wrong", "Pick LAMP, not SOMETHING-ELSE.")
    expect(phone.page.locator("#screen [data-block]")).to_be_visible()
    phone.page.get_by_role("button", name="OK, understood").click()
    phone.scans_alone("LAMP-CODE")
    phone.scans_alone(f"L-{MIDDLE}")
    phone.scans_alone("BOOK-CASE")
    phone.scans_alone("BOOK-CASE")
    phone.is_told("wrong", "Only 2 more of BOOK. This would be 6.")
    phone.waits(6)
    phone.has_it_again()
    phone.sees("pick/scan_item", "BOOK")
    with floor.database.reading() as session:
        answers = session.execute(select(ScanRequest.status)).scalars().all()
    assert set(answers) == {200}
    books_are_right(floor)


def test_undo_and_short_go_on_too(phone: Phone, floor: Warehouse) -> None:
    order = work(floor)
    at_the_first_place(phone, floor)
    phone.scan(f"L-{NEAR}")
    phone.loses_the_network()
    phone.scans_alone(EAN)
    expect(phone.page.locator(".last")).to_contain_text("1 × CUP")
    phone.presses_alone("Undo")
    phone.is_told("look", "Undone. Put the piece back.")
    expect(phone.page.locator(".last")).to_have_count(0)
    phone.scans_alone(EAN)
    phone.scans_alone(EAN)
    phone.page.locator("#screen summary").click()
    phone.presses_alone("Cannot find it")
    phone.is_told("look", "Noted as short.")
    phone.sees("pick/scan_location", MIDDLE)
    phone.waits(5)
    phone.has_it_again()
    phone.sees("pick/scan_location", MIDDLE)
    taken = moves(floor, order)
    assert sum(number for (*_, undone), number in taken.items() if undone) == 1
    with floor.database.reading() as session:
        [missing] = session.execute(select(Shortage)).scalars()
        assert missing.qty == 1
    books_are_right(floor)


def test_what_changed_meanwhile_comes_back_as_a_card_and_the_rest_is_booked(phone: Phone, floor: Warehouse) -> None:
    """The place was emptied by a count while the phone had no network: nobody retypes anything."""
    order = work(floor)
    at_the_first_place(phone, floor)
    phone.loses_the_network()
    for code in (f"L-{NEAR}", EAN, EAN, "LAMP-CODE", f"L-{MIDDLE}", "BOOK-CASE"):
        phone.scans_alone(code)
    phone.sees("pick/scan_item", "BOOK")
    phone.waits(6)

    emptied(floor, NEAR)
    phone.has_it_again()
    cards = phone.page.locator("#screen .cards-offline")
    expect(cards).to_contain_text("The warehouse changed while there was no network.")
    expect(cards.locator("li")).to_have_count(2)  # 2 × CUP, and LAMP
    expect(cards).to_contain_text(f"LAMP-CODE at {NEAR} was not booked: supervisor changed {NEAR}")
    assert sum(qty * number for (_, qty, *_), number in moves(floor, order).items()) == 6  # the books

    # The card stops this task only, and stays over a reload.
    phone.opens("/")
    expect(cards).to_have_count(0)
    phone.opens("/pick")
    expect(cards.locator("li")).to_have_count(2)  # 2 × CUP, and LAMP
    phone.page.get_by_role("button", name="OK, understood").click()
    expect(cards).to_have_count(0)
    phone.scan("BOOK-CODE")
    phone.sees("pick/scan_item", "BOOK")
    books_are_right(floor)


def emptied(floor: Warehouse, place: str) -> None:
    """Two counters find nothing at a place, and a supervisor accepts it (R40)."""
    rows = floor.rows
    for name in ("supervisor", "second picker", "packer", "supervisor"):
        with floor.database.transaction(ways.actor(rows, name)) as session:
            at = rows.place(session, place)
            open_counts = select(Count).where(Count.location_id == at.id)
            if (planned := session.execute(open_counts).scalar_one_or_none()) is None:
                count.plan(session, at)
            elif name == "supervisor":
                count.accept(session, planned, "lost")
            else:
                count.give_work(session, rows.operator_id(name), timedelta(minutes=1))
                count.scan(session, planned, f"L-{place}")
                count.finish(session, planned)


def test_a_slow_answer_is_given_by_the_phone_and_not_twice_by_the_server(phone: Phone, floor: Warehouse) -> None:
    order = work(floor)
    at_the_first_place(phone, floor)
    phone.page.route("**/pick/*/scan", lambda _route: None)  # a server that does not answer
    phone.scans_alone(f"L-{NEAR}")  # after a moment the phone says so itself
    phone.sees("pick/scan_item", "CUP")
    phone.scans_alone(EAN)
    phone.waits(2)
    phone.page.unroute("**/pick/*/scan")
    expect(phone.page.locator("#waiting")).to_be_hidden()
    phone.sees("pick/scan_item", "CUP")
    assert sum(moves(floor, order).values()) == 1


def test_without_a_task_the_page_without_network_says_so_and_comes_back_by_itself(
    phone: Phone, floor: Warehouse
) -> None:
    phone.sign_in(floor.rows.badges["picker"])
    phone.until("await caches.match('/shell')")
    phone.context.set_offline(True)
    phone.opens("/receive")
    phone.sees("offline/shell", "No network here")
    phone.context.set_offline(False)
    expect(phone.page.locator("section.screen")).to_have_attribute("data-step", "receive/choose")


def test_signing_out_leaves_neither_page_nor_task_on_the_phone(phone: Phone, floor: Warehouse) -> None:
    work(floor)
    at_the_first_place(phone, floor)
    phone.opens("/me")
    phone.page.get_by_role("button", name="Sign out").click()
    phone.page.wait_for_url("**/sign-in")
    phone.until("!(await caches.match('/shell'))")
    left = phone.page.evaluate("() => wms.store.list('carried', '')")
    assert left == []


CODES = (
    EAN, "036000291452", "0036000291452", "96385074", "00012345678905", "L-a-01-01-1", "t-001", "I-cup", "BOOK-CODE",
    "  BOOK-code ", "]C10106901234567892", "0106901234567892" + "10LOT7", "(01)06901234567892(10)LOT7(37)12",
    "010690123456789217271231" + "10LOT7\x1d21SER", "]C110LOT7", "12345", "", "é-码", "JD0012345678901-1-1-",
    "]E06901234567892", "0206901234567892" + "3712", "L-", "\x1d\x1d", "BOOK\u200bCODE",
)  # fmt: skip


def test_the_phone_and_the_server_mean_the_same_by_a_code(phone: Phone, floor: Warehouse) -> None:
    phone.opens("/sign-in")
    sure = 0
    for code in CODES:
        there = parse(code)
        here = phone.page.evaluate("(code) => wms.meaning(code)", code)
        if here["kind"] == "unsure":
            continue  # the phone leaves it to the server
        sure += 1
        assert here["kind"] == there.kind, code
        assert here["value"].upper() == there.value.upper(), code
        if there.kind in ("gtin", "plain", "item", "gs1") and there.value:
            assert barcode_key(there.value) in here["keys"], code
            assert set(here["keys"]) <= there.item_keys, code
        assert here.get("lot") == there.lot, code
        assert here.get("pieces") == there.pieces, code
    assert sure > len(CODES) // 2
