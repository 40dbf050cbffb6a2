"""The template editor and the search for printers as somebody at the desk uses them, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.browser.chromium import PATIENCE_MS, Browsers, Watch, browsers, expect
from tests.browser.demonstration import Demonstration
from wms.models import LabelTemplate, PrintJob

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, template_database: Path) -> Iterator[Demonstration]:
    running = Demonstration(tmp_path_factory.mktemp("demonstration"), template_database)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browsers]:
    with browsers() as opened:
        yield opened


@pytest.fixture
def page(house: Demonstration, chromium: Browsers) -> Iterator[Any]:
    watch = Watch()
    context = watch.over(chromium.get().new_context(viewport={"width": 1440, "height": 900}))
    house.speaks("en")
    context.add_cookies(house.cookies("admin"))
    yield context.new_page()
    context.close()
    assert watch.faults == []


def test_the_picture_follows_the_typing_and_a_slip_leads_to_its_line(house: Demonstration, page: Any) -> None:
    page.goto(f"{house.address}/desk/labels/templates/new?kind=location")
    shown, text = page.locator("#label-preview"), page.locator("#f-text")
    expect(shown.locator("img")).to_have_count(1)
    expect(shown).to_contain_text("Nothing to object to.")
    before = shown.locator("img").get_attribute("src")
    good = text.input_value()
    text.fill(good.replace('human = "A-01-02-03"', 'human = "B-99"'))
    page.wait_for_function("(was) => document.querySelector('#label-preview img')?.src !== was", arg=before)
    text.fill(good.replace('kind = "qr"', 'kind = "qrr"'))
    expect(shown).to_contain_text("Element 2 (qrr)")
    shown.locator("[data-line]").click()
    chosen = page.evaluate(
        "() => { const t = document.activeElement; return t.value.slice(t.selectionStart, t.selectionEnd); }"
    )
    assert chosen == "[[element]]"
    at = page.evaluate(
        "() => document.activeElement.value.slice(0, document.activeElement.selectionStart).split('\\n').length"
    )
    assert good.splitlines()[at - 1 : at + 1] == ["[[element]]", 'kind = "qr"']
    text.fill(good)
    expect(shown).to_contain_text("Nothing to object to.")
    page.locator("#f-dpi").select_option("300")
    expect(shown).to_contain_text("300 dpi")


def test_a_template_is_saved_switched_on_and_tried_on_paper(house: Demonstration, page: Any) -> None:
    page.goto(f"{house.address}/desk/labels/templates/new?kind=tote")
    page.locator("#f-name").fill("Our totes")
    page.locator("#screen form[action$='/save'] button", has_text="Save").click()
    page.wait_for_url(re.compile(r"/desk/labels/templates/\d+$"), timeout=PATIENCE_MS)
    page.locator("form[action$='/switch'] button").click()
    expect(page.locator("#screen .message-done").first).to_contain_text("Our totes is in use")
    page.locator("#f-text").fill(page.locator("#f-text").input_value() + "\n# ours\n")
    page.locator("#f-printer").select_option(index=1)
    page.locator("button[formaction$='/test']").click()
    expect(page.locator("#screen .message").first).to_contain_text("A test is on its way")
    assert page.locator("#f-text").input_value().endswith("# ours\n"), "what was typed stays"
    with house.database.reading() as session:
        assert session.execute(select(LabelTemplate.active)).scalar_one()
        assert session.execute(select(PrintJob.kind)).scalars().all() == ["test"]


def test_a_network_is_looked_through_step_by_step_without_a_hand(house: Demonstration, page: Any) -> None:
    page.goto(f"{house.address}/desk/printing/discover")
    page.locator("#f-network").fill("127.0.0.0/25")
    page.locator("#screen form button[type=submit]").click()
    expect(page.locator("#screen .progress-text")).to_contain_text("126 / 126", timeout=30_000)
    expect(page.locator("#screen .message").first).to_contain_text("126 addresses")
