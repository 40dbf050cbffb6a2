"""Platform waybills at a real packing page: the component prints each exactly once, or the packer is asked (R35)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.browser.chromium import DESK, Browsers, Watch, browsers, expect
from tests.browser.person import Person
from tests.browser.server import Warehouse, warehouse
from tests.component import PAPER_OUT, FakeComponent
from wms import waybills
from wms.flows import printing
from wms.models import Carrier, Location, Order, PrintAttempt, Printer, PrintJob, PrintState, ToteUse

pytestmark = pytest.mark.browser

PROVIDERS = ("cainiao", "pinduoduo", "wechat")
NAMES = {
    "cainiao": "Cainiao print component",
    "pinduoduo": "Pinduoduo print component",
    "wechat": "WeChat shop print component",
}
LEASE_MS = 30_000
"""The word of a closing page may get lost: then its lease runs out."""

ASKABLE = ("cainiao", "pinduoduo")
"""Components that can be asked later what became of a task."""


def document(provider: str, number: str) -> str:
    """As the platform gives it, with a number that JavaScript cannot hold and spaces that nobody would write."""
    if provider == "wechat":
        return f"c2VhbGVk{number}=="
    template = "templateURL" if provider == "cainiao" else "templateUrl"
    return (
        f'{{"encryptedData":"AES:{number}/+收==",  "signature":"MD:x==","userid":9007199254740993,'
        f'"{template}":"http://cloudprint.example/template/1","ver":"waybill_print_secret_version_1"}}'
    )


class Bench:
    """One packing PC with its components, its packer, and the warehouse behind them."""

    def __init__(self, house: Warehouse, chromium: Browsers, parts: dict[str, FakeComponent]) -> None:
        self.house, self.chromium, self.parts = house, chromium, parts
        self.watch = Watch()
        self.orders = 0
        self.packer = self.pc()
        self.packer.opens("/pack").sees("pack/scan_tote")
        self.packer.scan("S-PACK1")
        self.packer.sees("pack/scan_tote", "Bench 1")

    def pc(self) -> Person:
        """A browser of its own, signed in: another device."""
        context = self.watch.over(self.chromium.get().new_context(**DESK))
        return Person(context, self.house.address).sign_in(self.house.rows.badges["packer"])

    def tab(self, of: Person | None = None) -> Person:
        """Another tab of a PC, on the packing page."""
        who = of or self.packer
        other = Person(who.context, who.address)
        return other.opens("/pack")

    def order(self, provider: str) -> str:
        """A picked order with its platform waybill; returns the waybill number."""
        self.orders += 1
        shop_no, number = f"SO-{self.orders:04d}", f"PT{self.orders:09d}"
        order_id = self.house.rows.order(shop_no, ("A1", 1))
        with self.house.database.transaction(self.house.rows.actor()) as session:
            order = session.get_one(Order, (self.house.rows.warehouse_id, order_id))
            carrier = session.execute(select(Carrier).where(Carrier.code == "JD")).scalar_one()
            waybills.offer(session, order, carrier, provider, number, document(provider, number).encode())
        self.house.rows.pick_all([order_id])
        return number

    def packs(self, provider: str, who: Person | None = None) -> str:
        """To the press of the last button before the label; returns the waybill number."""
        number = self.order(provider)
        packer = who or self.packer
        with self.house.database.reading() as session:
            tote = session.execute(select(Location.code).join(ToteUse, ToteUse.tote_id == Location.id)).scalar_one()
        packer.scan(f"T-{tote}")
        packer.sees("pack/scan_item")
        packer.scan("6901234567892")
        packer.sees("pack/weigh")
        packer.page.get_by_label("Weight, grams").fill("500")
        packer.press("Print the label")
        packer.sees("pack/scan_tote", number)
        return number

    def jobs(self, number: str) -> list[PrintJob]:
        with self.house.database.reading() as session:
            return list(
                session.execute(
                    select(PrintJob).where(PrintJob.title.startswith(number)).order_by(PrintJob.id)
                ).scalars()
            )

    def attempts(self, job: PrintJob) -> list[tuple[str, str]]:
        with self.house.database.reading() as session:
            return [
                (each.result, each.detail)
                for each in session.execute(
                    select(PrintAttempt).where(PrintAttempt.job_id == job.id).order_by(PrintAttempt.id)
                ).scalars()
            ]

    def on_paper(self, provider: str, number: str) -> int:
        """How many labels of this waybill came out."""
        if provider == "wechat":
            return sum(label["printInfo"] == document(provider, number) for label in self.parts[provider].labels)
        return sum(label["documentID"] == number for label in self.parts[provider].labels)

    def label_says(self, *words: str, who: Person | None = None) -> None:
        label = (who or self.packer).page.locator("#label")
        for each in words:
            expect(label).to_contain_text(each)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browsers]:
    with browsers() as opened:
        yield opened


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, FakeComponent]]:
    made = {provider: FakeComponent(provider).start() for provider in PROVIDERS}
    yield made
    for part in made.values():
        part.stop()


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, template_database: Any, parts: dict[str, FakeComponent]
) -> Iterator[Warehouse]:
    with warehouse(tmp_path_factory.mktemp("components"), template_database, serving=False) as running:
        running.environment["WMS_COMPONENT_ADDRESSES"] = " ".join(f"{p}={parts[p].address}" for p in PROVIDERS)
        running.environment["WMS_COMPONENT_PATIENCE_S"] = "2"
        running.environment["WMS_HOST"] = "0.0.0.0"
        running.rows.item("A1", "6901234567892")
        running.rows.stock("A1", "A-01-01-1", 500)
        with running.database.transaction(running.rows.actor()) as session:
            for provider in PROVIDERS:
                printing.save_printer(
                    session,
                    None,
                    code=provider,
                    name=provider.title(),
                    uri=printing.check_address(f"{provider}://PACK1/{parts[provider].printer}", (), ()),
                    dpi=203,
                    width_mm=100,
                    height_mm=150,
                )
        running.start()
        running.start_worker()
        yield running


@pytest.fixture(scope="module")
def standing(house: Warehouse, chromium: Browsers, parts: dict[str, FakeComponent]) -> Bench:
    return Bench(house, chromium, parts)


@pytest.fixture
def bench(standing: Bench) -> Iterator[Bench]:
    """The bench with one fresh packing page; afterwards nothing was sent against a component's rules."""
    standing.packer.opens("/pack").sees("pack/scan_tote")
    yield standing
    for page in list(standing.packer.context.pages):
        page.goto("about:blank")
        if page is not standing.packer.page:
            page.close()
    for part in standing.parts.values():
        part.mode = "ok"
        if part._server is None:
            part.start()
        assert part.breaches == []
    faults = [one for one in standing.watch.faults if "WebSocket connection to 'ws://127.0.0.1" not in one]
    standing.watch.faults.clear()
    assert faults == []
    with standing.house.database.transaction(standing.house.rows.actor()) as session:
        session.execute(update(Printer).values(leased_until=None, leased_by=""))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_last_scan_of_a_parcel_brings_its_platform_waybill_out_once_and_unchanged(
    bench: Bench, provider: str
) -> None:
    number = bench.packs(provider)
    bench.label_says("Printed", number, provider.title())
    [job] = bench.jobs(number)
    assert (job.state, job.attempt, job.payload) == (PrintState.PRINTED, 1, document(provider, number).encode())
    assert bench.attempts(job) == [("printed", "")]
    assert bench.on_paper(provider, number) == 1
    assert document(provider, number) in bench.parts[provider].raw[-1]  # letter by letter, large numbers too
    if provider != "wechat":
        [label] = [each for each in bench.parts[provider].labels if each["documentID"] == number]
        assert label["contents"][0]["userid"] == 9007199254740993
        assert json.loads(bench.parts[provider].raw[-1])["task"]["taskID"] == f"{job.id}-1"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mode", ["slow", "twice"])
def test_a_slow_answer_and_one_that_comes_twice_change_nothing(bench: Bench, provider: str, mode: Any) -> None:
    bench.parts[provider].mode = mode
    number = bench.packs(provider)
    bench.label_says("Printed")
    [job] = bench.jobs(number)
    assert (job.state, bench.attempts(job)) == (PrintState.PRINTED, [("printed", "")])
    assert bench.on_paper(provider, number) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_paper_out_is_told_in_the_components_words_and_a_reprint_is_the_same_document(
    bench: Bench, provider: str
) -> None:
    bench.parts[provider].mode = "paper_out"
    number = bench.packs(provider)
    bench.label_says("The label was not printed", PAPER_OUT)
    [job] = bench.jobs(number)
    assert (job.state, bench.attempts(job)) == (PrintState.FAILED, [("failed", PAPER_OUT)])
    assert bench.on_paper(provider, number) == 0

    bench.parts[provider].mode = "ok"
    bench.packer.page.get_by_text("Print this label again").click()
    bench.packer.page.locator("input[value=not_printed]").check()
    bench.packer.press("Print again")
    bench.label_says("Printed")
    first, again = bench.jobs(number)
    assert (again.reprint_no, again.reprint_reason, again.sha256) == (1, "not_printed", first.sha256)
    assert bench.on_paper(provider, number) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_task_that_the_component_refuses_failed_with_its_words(bench: Bench, provider: str) -> None:
    bench.parts[provider].mode = "refuses"
    number = bench.packs(provider)
    bench.label_says("The label was not printed", "无效的打印机")
    assert [job.state for job in bench.jobs(number)] == [PrintState.FAILED]
    assert bench.on_paper(provider, number) == 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_silent_component_ends_in_a_question_and_no_prints_it_under_a_new_task(bench: Bench, provider: str) -> None:
    bench.parts[provider].mode = "silent"
    number = bench.packs(provider)
    bench.label_says("did not say whether the label came out")
    [job] = bench.jobs(number)
    assert (job.state, job.reason, bench.on_paper(provider, number)) == (PrintState.UNKNOWN, "component_silent", 0)
    bench.parts[provider].mode = "ok"
    bench.packer.press("No, print it")
    bench.label_says("Printed")
    [job] = bench.jobs(number)
    assert (job.attempt, bench.on_paper(provider, number)) == (2, 1)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_label_whose_notice_was_lost_is_found_by_asking_or_by_the_packer(bench: Bench, provider: str) -> None:
    bench.parts[provider].mode = "prints_silently"
    number = bench.packs(provider)
    assert bench.parts[provider].wait_for(lambda: bench.on_paper(provider, number))
    if provider not in ASKABLE:
        bench.label_says("did not say whether the label came out")
        bench.packer.press("Yes, it is here")
    bench.label_says("Printed")
    assert [job.state for job in bench.jobs(number)] == [PrintState.PRINTED]
    assert bench.on_paper(provider, number) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_component_that_dies_after_printing_is_never_sent_the_same_again(bench: Bench, provider: str) -> None:
    part = bench.parts[provider]
    part.mode = "dies"
    number = bench.packs(provider)
    assert part.wait_for(lambda: bench.on_paper(provider, number))
    bench.label_says("did not say whether the label came out")
    part.mode = "ok"
    part.start()
    expect(bench.packer.page.locator("#bench")).to_be_hidden()
    [job] = bench.jobs(number)
    assert job.state is PrintState.UNKNOWN  # also after it is back
    bench.packer.press("Yes, it is here")
    bench.label_says("Printed")
    assert bench.on_paper(provider, number) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_absent_component_is_an_ordinary_wait_with_what_to_do(bench: Bench, provider: str) -> None:
    part = bench.parts[provider]
    part.stop()
    number = bench.packs(provider)
    bench.label_says("waits for the print component")
    expect(bench.packer.page.locator("#bench")).to_contain_text(
        f"The {NAMES[provider]} does not answer on this PC (port {part.port})"
    )
    [job] = bench.jobs(number)
    assert (job.state, job.reason, job.attempt) == (PrintState.WAITING, "component_absent", 0)
    part.start()
    bench.label_says("Printed")
    expect(bench.packer.page.locator("#bench")).to_be_hidden()
    assert bench.on_paper(provider, number) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_loaded_anew_in_the_middle_asks_what_became_of_the_task(bench: Bench, provider: str) -> None:
    part = bench.parts[provider]
    part.mode = "slow"
    before = part.commands.count("print")
    number = bench.packs(provider)
    assert part.wait_for(lambda: part.commands.count("print") > before)
    bench.packer.page.reload()
    if provider in ASKABLE:
        bench.label_says("Printed")
    else:
        bench.label_says("did not say whether the label came out")
        assert part.wait_for(lambda: bench.on_paper(provider, number))
        bench.packer.press("Yes, it is here")
        bench.label_says("Printed")
    [job] = bench.jobs(number)
    assert (job.state, job.attempt) == (PrintState.PRINTED, 1)
    assert bench.on_paper(provider, number) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_of_two_tabs_one_prints_and_the_other_takes_over_when_it_is_closed(bench: Bench, provider: str) -> None:
    second = bench.tab()
    expect(second.page.locator("#bench")).to_contain_text("Another packing page prints this station's waybills")
    number = bench.packs(provider, second)  # asked for in one tab, printed by the other
    bench.label_says("Printed", who=second)
    assert bench.on_paper(provider, number) == 1
    bench.packer.page.goto("about:blank")
    expect(second.page.locator("#bench")).to_be_hidden(timeout=LEASE_MS)
    following = bench.packs(provider, second)
    bench.label_says("Printed", who=second)
    assert [bench.on_paper(provider, each) for each in (number, following)] == [1, 1]
    assert [job.attempt for each in (number, following) for job in bench.jobs(each)] == [1, 1]


def test_of_two_pcs_at_one_station_one_prints(bench: Bench) -> None:
    other = bench.pc()
    other.opens("/pack").sees("pack/scan_tote")
    other.scan("S-PACK1")
    expect(other.page.locator("#bench")).to_contain_text("Another packing page")
    number = bench.packs("cainiao", other)
    bench.label_says("Printed", who=other)
    assert bench.on_paper("cainiao", number) == 1
    other.page.goto("about:blank")
    other.context.close()


def test_a_task_whose_hand_out_was_lost_on_the_way_is_handed_out_again(bench: Bench) -> None:
    """The server says "started", the page never hears it: it alone knows that nothing was sent."""
    lost: list[str] = []

    def lose(route: Any) -> None:
        answer = route.fetch()
        if answer.json().get("task") and not lost:
            lost.append(answer.json()["task"]["id"])
            route.abort()
        else:
            route.fulfill(response=answer)

    bench.packer.page.route("**/components/*/next", lose)
    number = bench.packs("cainiao")
    bench.label_says("Printed")
    [job] = bench.jobs(number)
    assert lost == [f"{job.id}-1"]
    assert (job.attempt, bench.on_paper("cainiao", number)) == (2, 1)
    assert bench.attempts(job) == [("waiting", ""), ("printed", "")]
    bench.packer.page.unroute("**/components/*/next")
    bench.watch.faults.clear()  # the browser notes the cut request


def test_only_the_packing_page_may_reach_the_components_and_only_at_their_addresses(bench: Bench) -> None:
    def reaches(path: str) -> list[str]:
        answer = bench.packer.context.request.get(bench.house.address + path)
        rules = dict(rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";"))
        return rules["connect-src"].split()

    assert reaches("/") == reaches("/ship") == reaches("/pack/label") == ["'self'"]
    assert sorted(reaches("/pack")) == sorted(["'self'", *(part.address for part in bench.parts.values())])


def test_a_page_of_another_machine_is_told_to_use_https(bench: Bench) -> None:
    """Chromium lets no page of another machine reach a program on this one over plain http, whatever is allowed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # a datagram's connect sends nothing
        own = probe.getsockname()[0]
    if own.startswith("127."):
        pytest.skip("NO SECOND ADDRESS: this machine has only itself")
    bench.packer.page.goto("about:blank")
    context = bench.chromium.get().new_context(**DESK)
    other = Person(context, bench.house.address.replace("127.0.0.1", own))
    other.sign_in(bench.house.rows.badges["packer"]).opens("/pack")
    other.scan("S-PACK1")
    expect(other.page.locator("#bench")).to_contain_text("Open this page over https", timeout=LEASE_MS)
    context.close()
