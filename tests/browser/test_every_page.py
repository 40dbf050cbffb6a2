"""Every page at phone and desk size, in both languages: it fits, it makes no error, and everybody can use it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.browser.chromium import PATIENCE_MS, Browsers, Watch, browsers, expect
from tests.browser.demonstration import Demonstration, odd_orders
from tests.factories import PIN
from wms.models import Carrier, Item, Order, OrderState, Parcel, Printer, Station

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"phone": {"width": 360, "height": 640}, "desk": {"width": 1440, "height": 900}}
# One axe run of each page in each language, at the size that the other language was not judged at.
JUDGED = {("zh", "phone"), ("en", "desk")}
IN_THE_DARK = {
    "people/scanner_check",
    "home",
    "pick/scan_item",
    "pack/weigh",
    "desk/today",
    "desk/orders",
    "people/sign_in",
    "error",
}
NO_PAGES = {
    "/healthz": "for machines",
    "/hooks/<code>": "for shops, see tests/web/test_hooks.py",
    "/qimen": "for ERPs, see tests/web/test_qimen_door.py",
    "/ca.crt": "a file",
    "/setup/qr.svg": "a picture inside /setup",
    "/pack/label": "a part of /pack, seen there",
    "/desk/now": "a part of /desk, seen there",
    "/components": "for the packing page's own use, see test_print_components.py",
    "/desk/labels/templates/shipped/<kind>.png": "a picture inside /desk/labels/templates",
    "/static/<path:filename>": "files",
    "/sw.js": "a program of the browser",
    "/api/v1/agent/next": "for the station agent, see test_agents.py",
    "/pick/<int:task_id>/carried": "for the phone's own use, see test_carried.py",
    "/desk/night.csv": "a file",
}
TOO_WIDE = """() => {
  const wide = document.documentElement.scrollWidth, room = window.innerWidth;
  if (wide <= room) return "";
  const out = [...document.querySelectorAll("#screen *, header *")].filter((e) => {
    for (let up = e.parentElement; up; up = up.parentElement)
      if (/auto|scroll|hidden|clip/.test(getComputedStyle(up).overflowX)) return false;
    return e.getBoundingClientRect().right > room + 0.5;
  });
  const names = out.slice(0, 3).map((e) => `${e.tagName}.${e.className} "${e.textContent.trim().slice(0, 30)}"`);
  return `${wide} px in ${room}: ${names.join("; ")}`;
}"""


FLOOR = ("pick/", "putaway/", "receive/", "count/", "ship/", "pack/", "home", "people/sign_in", "offline/")
"""What is used in gloves and at arm's length: letters stand out 7 to 1 (WCAG 1.4.6), what is pressed is 64 px high."""
TOO_SMALL = """() => {
  const pressed = [...document.querySelectorAll("#screen button, #screen a.act, #screen summary, #screen .scan-input")];
  const seen = pressed.filter((e) => e.checkVisibility() && !e.closest("table"));
  const small = seen.filter((e) => e.getBoundingClientRect().height > 0 && e.getBoundingClientRect().height < 63.5);
  return small.slice(0, 4).map((e) => `${e.tagName}.${e.className} "${e.textContent.trim().slice(0, 20)}" `
    + Math.round(e.getBoundingClientRect().height)).join("; ");
}"""


class Inspector:
    """Goes through the house with everybody's eyes and notes all that is wrong, instead of stopping at the first."""

    def __init__(self, chromium: Browsers, house: Demonstration) -> None:
        from axe_playwright_python.sync_playwright import Axe

        self.house, self.watch, self.axe = house, Watch(), Axe()
        self.faults: list[str] = []
        self.steps: set[str] = set()
        self.rules: set[str] = set()
        self._browser = chromium.get()
        self._pages: dict[str, Any] = {}
        self._map = house.app.url_map.bind("127.0.0.1")

    def page(self, who: str) -> Any:
        """The page of somebody, or of nobody ("")."""
        if who not in self._pages:
            context = self.watch.over(self._browser.new_context(viewport=SIZES["phone"]))
            if who:
                context.add_cookies(self.house.cookies(who))
            self._pages[who] = context.new_page()
        return self._pages[who]

    def looks_at(self, who: str, path: str, step: str, status: int = 200) -> None:
        """One page in both languages, loaded anew for each."""
        page = self.page(who)
        for language in ("zh", "en"):
            self.house.speaks(language)
            address = self.house.address + path
            answer = page.goto(address if who else f"{address}?language={language}")
            if answer.status != status:
                self.faults.append(f"{path} for {who or 'nobody'}: {answer.status} instead of {status}")
            self.looks_here(page, step, language, path)
        if status == 200:
            self.rules.add(self._map.match(path.partition("?")[0], return_rule=True)[0].rule)

    def looks_here(self, page: Any, step: str, language: str, name: str = "") -> None:
        """What is on the screen now, at both sizes."""
        where = f"{name or step} [{language}]"
        seen = page.locator("section.screen").get_attribute("data-step", timeout=PATIENCE_MS)
        if seen != step:
            self.faults.append(f"{where}: shows {seen} instead of {step}")
            return
        self.steps.add(step)
        for size, viewport in SIZES.items():
            page.set_viewport_size(viewport)
            if wide := page.evaluate(TOO_WIDE):
                self.faults.append(f"{where} on a {size} is too wide: {wide}")
            if (language, size) in JUDGED:
                self._judge(page, f"{where} on a {size}", step if size == "phone" else "")
        if step in IN_THE_DARK and language == "en":
            page.emulate_media(color_scheme="dark")
            self._judge(page, f"{where} in the dark", step)
            page.emulate_media(color_scheme="light")
        page.set_viewport_size(SIZES["phone"])

    def _judge(self, page: Any, where: str, step: str = "") -> None:
        on_the_floor = step.startswith(FLOOR)
        rules = {"color-contrast-enhanced": {"enabled": on_the_floor}}
        if on_the_floor and (small := page.evaluate(TOO_SMALL)):
            self.faults.append(f"{where}: too small for a glove: {small}")
        for found in self.axe.run(page, options={"rules": rules}).response["violations"]:
            if found["impact"] in ("serious", "critical"):
                for node in found["nodes"][:3]:
                    self.faults.append(f"{where}: {found['id']}: {node['target']} {node['html'][:160]}")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, template_database: Path) -> Iterator[Demonstration]:
    running = Demonstration(tmp_path_factory.mktemp("demonstration"), template_database)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def inspector(house: Demonstration) -> Iterator[Inspector]:
    with browsers() as chromium:
        yield Inspector(chromium, house)


def all_right(inspector: Inspector) -> None:
    faults = list(dict.fromkeys([*inspector.faults, *inspector.watch.faults]))
    inspector.faults, inspector.watch.faults = [], []
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)


# In the order of a day: each chapter leaves the goods where the next one needs them.


def test_the_doors(inspector: Inspector) -> None:
    inspector.looks_at("", "/sign-in", "people/sign_in")
    inspector.looks_at("", "/badges", "people/badges")
    inspector.looks_at("", "/setup", "setup")
    inspector.looks_at("", "/no-such-place", "error", 404)
    page = inspector.page("")
    for language in ("zh", "en"):
        page.goto(f"{inspector.house.address}/sign-in?language={language}")
        page.keyboard.type(inspector.house.people[0].badge_code)
        page.keyboard.press("Enter")
        expect(page.locator("#pin")).to_be_visible()
        inspector.looks_here(page, "people/sign_in", language, "the PIN")
        page.locator("#pin").fill("000001" if PIN != "000001" else "000002")
        page.locator("form.sign-in button[type=submit]").click()
        expect(page.locator("#screen .message-wrong")).to_be_visible()
        inspector.looks_here(page, "people/sign_in", language, "a wrong PIN")
    inspector.looks_at("admin", "/", "home")
    inspector.looks_at("picker", "/", "home")
    inspector.looks_at("picker", "/me", "people/me")
    inspector.looks_at("picker", "/shell", "offline/shell")
    inspector.looks_at("picker", "/scanner-check", "people/scanner_check")
    page = inspector.page("picker")
    for language in ("zh", "en"):
        inspector.house.speaks(language)
        page.goto(f"{inspector.house.address}/scanner-check")
        page.keyboard.type("~qwyz-/_0123456789")  # a prefix, and no capitals
        page.keyboard.press("Enter")
        expect(page.locator("li[data-fault=prefix]")).to_be_visible()
        inspector.looks_here(page, "people/scanner_check", language, "a faulty scanner")
    inspector.looks_at("picker", "/desk", "error", 403)
    all_right(inspector)


def test_orders_at_the_desk(inspector: Inspector) -> None:
    house, page = inspector.house, inspector.page("supervisor")
    inspector.looks_at("supervisor", "/desk/import", "desk/import")
    for start, language in ((100, "zh"), (200, "en")):
        house.speaks(language)
        page.goto(f"{house.address}/desk/import")
        page.locator("input[type=file]").set_input_files(
            {"name": "orders.csv", "mimeType": "text/csv", "buffer": odd_orders(start)}
        )
        page.locator("#f-shop").select_option(str(house.shop_id()))
        page.locator("#screen form button[type=submit]").click()
        expect(page.locator("section.screen")).to_have_attribute("data-step", "desk/import_preview")
        if language == "zh":
            inspector.looks_at("supervisor", page.url.removeprefix(house.address), "desk/import_preview")
            house.speaks(language)
        page.locator("#screen form[action$='/take'] button[type=submit]").click()
        expect(page.locator("section.screen")).to_have_attribute("data-step", "desk/import_done")
        inspector.looks_here(page, "desk/import_done", language)
    for language in ("zh", "en"):
        house.speaks(language)
        page.goto(f"{house.address}/desk/orders?state=ready")
        for tick in page.locator("input[name=order]").all()[:6]:
            tick.check()
        page.locator("button[name=which][value=chosen]").click()
        expect(page.locator("section.screen")).to_have_attribute("data-step", "desk/released")
        inspector.looks_here(page, "desk/released", language)
    ready = house.order_ids(OrderState.READY)
    house.releases(*ready[-3:])  # among them one of 502 umbrellas, which nobody has
    inspector.looks_at("supervisor", "/desk/orders", "desk/orders")
    inspector.looks_at("supervisor", "/desk/orders?state=held", "desk/orders")
    inspector.looks_at("supervisor", "/desk/shortages", "desk/shortages")
    for state in (OrderState.READY, OrderState.SHORT):
        inspector.looks_at("supervisor", f"/desk/orders/{house.order_ids(state)[0]}", "desk/order")
    all_right(inspector)


def test_picking(inspector: Inspector) -> None:
    house = inspector.house
    inspector.looks_at("picker", "/pick", "pick/waiting")
    for step in ("pick/scan_tote", "pick/scan_location", "pick/scan_item"):
        house.picks_on("picker", step)
        inspector.looks_at("picker", "/pick", step)
    task = house.task("picker")
    inspector.looks_at("second picker", f"/pick/{task.id}", "pick/taken")
    house.picks_on("picker", "pick/done")
    inspector.looks_at("picker", f"/pick/{task.id}", "pick/done")
    house.picks_on("second picker", "pick/scan_item")
    stopped = house.task("second picker")
    house.hand("supervisor").act(f"/desk/orders/{stopped.order_id}/cancel", why="the buyer asked")
    inspector.looks_at("second picker", f"/pick/{stopped.id}", "pick/stopped")
    house.hand("second picker").get("/pick")
    house.hand("second picker").press("/stopped")
    all_right(inspector)


def test_packing_and_the_dock(inspector: Inspector) -> None:
    house = inspector.house
    inspector.looks_at("packer", "/pack", "pack/scan_tote")
    house.packs_on("pack/scan_item", tote="001")
    inspector.looks_at("packer", "/pack", "pack/scan_item")
    house.packs_on("pack/weigh")
    inspector.looks_at("packer", "/pack", "pack/weigh")
    house.hand("packer").press("/pack/weigh", weight_g="1250")
    inspector.looks_at("packer", "/pack", "pack/scan_tote")
    moved = house.new_address()
    inspector.looks_at("supervisor", f"/desk/orders/{moved}", "desk/order")
    inspector.looks_at("supervisor", "/desk/orders?only=stopped", "desk/orders")
    inspector.looks_at("supervisor", "/desk", "desk/today")
    house.hand("supervisor").act(f"/desk/orders/{moved}/old-address")
    inspector.looks_at("packer", "/ship", "ship/choose")
    house.hands_over()
    manifest = house.manifest()
    inspector.looks_at("packer", f"/ship/{manifest.id}", "ship/scan_parcel")
    inspector.looks_at("packer", f"/ship/{manifest.id}/sheet", "ship/sheet")
    house.hand("packer").press("/close")
    inspector.looks_at("packer", f"/ship/{manifest.id}", "ship/closed")
    inspector.looks_at("packer", f"/ship/{manifest.id}/sheet", "ship/sheet")
    all_right(inspector)


def test_goods_in_and_counts(inspector: Inspector) -> None:
    house, hand = inspector.house, inspector.house.hand("picker")
    house.comes_back()
    inspector.looks_at("picker", "/receive", "receive/choose")
    hand.get("/receive")
    hand.scan("R-PO-0001")
    receipt = house.receipt()
    inspector.looks_at("picker", f"/receive/{receipt.id}", "receive/scan_item")
    for sku, lot in (("CUP-350-W", ""), ("TEA-LJ-100", "D0524-7")):
        hand.scan(f"I-{sku}")
        inspector.looks_at("picker", "/receive", "receive/enter_qty")
        hand.press(
            "/book",
            item=str(house.one(select(Item.id).where(Item.sku == sku))),
            qty="5",
            lot=lot,
            expiry="2027-05-24" if lot else "",
        )
        assert hand.feeling == "done", hand.text()
    inspector.looks_at("picker", f"/receive/{receipt.id}/finish", "receive/finish")
    inspector.looks_at("picker", "/putaway", "putaway/scan_item")
    hand.get("/putaway")
    hand.scan("I-CUP-350-W")
    inspector.looks_at("picker", "/putaway", "putaway/scan_location")
    hand.scan(f"L-{house.suggested('picker')}")

    house.hand("supervisor").act("/desk/counts/plan", code="L-A-03-05-1")
    inspector.looks_at("picker", "/count", "count/waiting")
    for name in ("picker", "second picker"):
        house.counts(name, "A-03-05-1", 41)
    house.hand("supervisor").act("/desk/counts/plan", code="L-A-01-03-1")
    hand.get("/count")
    hand.press("/count/next")
    inspector.looks_at("picker", f"/count/{house.count_in_hand('picker')}", "count/scan_location")
    hand.scan("L-A-01-03-1")
    hand.scan("I-TOWEL-70")
    inspector.looks_at("picker", "/count", "count/scan_item")
    all_right(inspector)


def test_the_desk_at_the_end_of_the_day(inspector: Inspector) -> None:
    house = inspector.house
    for path, step in (
        ("/desk", "desk/today"),
        ("/desk/counts", "desk/counts"),
        ("/desk/pushes", "desk/pushes"),
        ("/desk/rules", "desk/rules"),
        ("/desk/merges", "desk/merges"),
        ("/desk/erp", "desk/erp"),
        ("/desk/printing", "desk/printing"),
        ("/desk/labels", "desk/labels"),
        ("/desk/labels/templates", "desk/label_templates"),
        ("/desk/labels/templates/new?kind=location", "desk/label_template"),
        ("/desk/labels/templates/new?kind=packing-list", "desk/label_template"),
        ("/desk/labels/settings", "desk/label_settings"),
        ("/desk/shops", "desk/shops"),
        (f"/desk/shops/{house.shop_id()}", "desk/shop"),
        (f"/desk/shops/{house.shop_id()}/item?sku=NO-SUCH-ITEM-WITH-A-LONG-CODE&q=cup", "desk/shop_item"),
        ("/desk/night", "desk/night"),
    ):
        inspector.looks_at("supervisor", path, step)
    inspector.looks_at("supervisor", own_template(house), "desk/label_template")
    house.is_told_of_stock()
    printer, station = house.one(select(Printer.id)), house.one(select(Station.id))
    for path, step in (
        ("/desk/people", "desk/people"),
        ("/desk/printing/printers/new", "desk/printer"),
        (f"/desk/printing/printers/{printer}", "desk/printer"),
        ("/desk/printing/stations/new", "desk/station"),
        ("/desk/printing/agents/new", "desk/agent"),
        (f"/desk/printing/stations/{station}", "desk/station"),
        ("/desk/printing", "desk/printing"),
        (f"/desk/printing/printers/{printer}/status", "desk/printer_status"),
        ("/desk/printing/discover", "desk/printer_discovery"),
        ("/desk/labels/settings", "desk/label_settings"),
        ("/desk/shops/new", "desk/shop_kind"),
        ("/desk/shops/new?kind=jd", "desk/shop_form"),
        (f"/desk/shops/{house.shop_id()}/change", "desk/shop_form"),
        ("/desk/stock-push?item=CUP-350-W", "desk/stock_push"),
    ):
        inspector.looks_at("admin", path, step)
    page = inspector.page("admin")
    for code, language in (("PACK1", "zh"), ("PACK2", "en")):
        house.speaks(language)
        page.goto(f"{house.address}/desk/printing/agents/new")
        page.locator("#f-code").fill(code)
        page.locator("#screen form[action$='/agents/save'] button[type=submit]").click()
        expect(page.locator("section.screen")).to_have_attribute("data-step", "desk/agent_made")
        inspector.looks_here(page, "desk/agent_made", language)
    told_by_an_agent(house, page.locator("#f-line").input_value().split("--token ")[1].split()[0])
    inspector.looks_at("admin", "/desk/printing", "desk/printing")
    inspector.looks_at("admin", "/desk/printing/printers/new", "desk/printer")
    for language in ("zh", "en"):
        house.speaks(language)
        page.goto(f"{house.address}/desk/printing/discover")
        page.locator("#f-network").fill("127.0.0.0/26")  # two steps, and nobody at the printer's port
        page.locator("#screen form button[type=submit]").click()
        expect(page.locator("#screen .empty")).to_be_visible()
        inspector.looks_here(page, "desk/printer_discovery", language, "nobody was found")
    all_right(inspector)


def told_by_an_agent(house: Demonstration, token: str) -> None:
    """An agent that stands beside two queues, one of them stopped."""
    queues = [
        {"name": "Zebra ZD421", "address": "os/Zebra%20ZD421", "state": ""},
        {
            "name": "label_printer_of_the_second_bench",
            "address": "os/label_printer_of_the_second_bench",
            "state": "queue_stopped",
        },
    ]
    answer = house.app.test_client().post(
        "/api/v1/agent/printers",
        headers={"Authorization": f"Bearer {token}"},
        json={"queues": queues, "version": "0.1.0", "system": "Linux-6.1-x86_64"},
    )
    assert answer.status_code == 200, answer.text


def own_template(house: Demonstration) -> str:
    """An own template that was saved twice and is broken: with earlier versions and all there is to say."""
    hand = house.hand("supervisor")
    text = (ROOT / "printers" / "templates" / "item.toml").read_text("utf-8")
    hand.act("/desk/labels/templates/new/save", kind="item", name="Ours", text=text)
    path: str = hand.answer.headers["X-Go"]
    hand.act(f"{path}/save", name="Ours", text=text.replace("height = 10", "height = 10\nwidth = 20"), version="1")
    assert hand.status == 200, hand.text()
    return path


def test_carriers_and_their_numbers(inspector: Inspector) -> None:
    house, boss, chief = inspector.house, inspector.house.hand("supervisor"), inspector.house.hand("admin")
    jd, zto = (house.one(select(Carrier.id).where(Carrier.code == code)) for code in ("JD", "ZTO"))
    house.sets_up_carriers()
    inspector.looks_at("supervisor", "/desk", "desk/today")
    inspector.looks_at("supervisor", "/desk/carriers", "desk/carriers")
    for who in ("supervisor", "admin"):
        inspector.looks_at(who, f"/desk/carriers/{jd}", "desk/carrier")
    inspector.looks_at("admin", "/desk/carriers/new", "desk/carrier")
    chief.act(f"/desk/carriers/{zto}/range", prefix="DEMOZTO", first="000000001", last="000000009")
    assert "already in a range" in chief.text() or "号段" in chief.text()
    page = inspector.page("supervisor")
    for language in ("zh", "en"):
        house.speaks(language)
        page.goto(f"{house.address}/desk/carriers/{jd}")
        numbers = "\n".join(["JDX000000000001", "JDX000000000001", "短", "DEMOJD000000003"]).encode()
        page.locator("form[action$='/numbers'] input[type=file]").set_input_files(
            {"name": "numbers.txt", "mimeType": "text/plain", "buffer": numbers}
        )
        page.locator("form[action$='/numbers'] button[value=look]").click()
        expect(page.locator("#q-refused")).to_be_visible()
        inspector.looks_here(page, "desk/carrier", language, "a list of numbers")
        page.goto(f"{house.address}/desk/carriers/prices")
        table = (
            "快递公司,省份,首重(kg),首重价格,续重(kg),续重价格\n"
            "京东快递,江浙沪,1,6.5,1,1.2\n中通快递,演示省,1,5,1,2\nXX,海南,1,2,3,4\n"
        )
        page.locator("form[enctype] input[type=file]").set_input_files(
            {"name": "prices.csv", "mimeType": "text/csv", "buffer": table.encode("gb18030")}
        )
        page.locator("form[enctype] button[value=take]").click()
        expect(page.locator("#q-refused")).to_be_visible()
        inspector.looks_here(page, "desk/carrier_prices", language, "a price table")
    inspector.looks_at("supervisor", "/desk/carriers/prices?province=演示省&weight_g=2300", "desk/carrier_prices")
    inspector.looks_at("supervisor", "/desk/carriers/requests", "desk/number_requests")
    inspector.looks_at("packer", "/pack", "pack/scan_tote")
    inspector.looks_at("supervisor", f"/desk/carriers/parcels?code={house.waybill()}", "desk/tracking")
    boss.act("/desk/carriers/parcels/claim", parcel=house.waybill(), kind="damage", reason="外箱压破")
    assert boss.status == 200, boss.text()
    inspector.looks_at("supervisor", "/desk/carriers/report", "desk/carrier_report")
    all_right(inspector)


def test_whatever_is_looked_up(inspector: Inspector) -> None:
    house = inspector.house
    parcel = house.one(select(Parcel.code))
    order = house.one(select(Parcel.order_id))
    number = house.one(select(Order.shop_order_no).where(Order.id == order))
    inspector.looks_at("picker", "/lookup", "lookup/ask")
    for code, step in (
        ("I-TEA-LJ-100", "lookup/item"),
        ("L-A-01-01-1", "lookup/place"),
        ("T-001", "lookup/place"),
        (f"P-{parcel}", "lookup/parcel"),
        (house.waybill(), "lookup/parcel"),
        (f"O-{number}", "lookup/order"),
        (f"M-{house.manifest().code}", "lookup/manifest"),
        ("R-PO-0001", "lookup/receipt"),
        ("S-PACK1", "lookup/station"),
    ):
        inspector.looks_at("supervisor", f"/lookup?code={code}", step)
    all_right(inspector)


def test_the_day_ends_with_right_books(inspector: Inspector) -> None:
    """What the demonstration shipped goes to its shop's file, and everything above left the books in order."""
    night = inspector.house.run("nightly")
    assert night.returncode == 0, night.stdout + night.stderr
    sent = "".join(path.read_text("utf-8-sig") for path in (inspector.house.home / "outbox").glob("*.csv"))
    assert inspector.house.waybill() in sent
    inspector.looks_at("supervisor", "/desk/night", "desk/night")
    inspector.looks_at("supervisor", "/desk/pushes", "desk/pushes")
    all_right(inspector)


def test_nothing_was_left_out(inspector: Inspector) -> None:
    """Every address that answers with a page, and every step that a template can show, was looked at above."""
    pages = {str(rule) for rule in inspector.house.app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    assert pages - set(NO_PAGES) - inspector.rules == set()
    drawn = {
        step
        for template in (ROOT / "templates").rglob("*.html")
        for step in re.findall(r'data-step="([\w/]+)"', template.read_text("utf-8"))
    }
    assert drawn - inspector.steps == set()
