"""The README's pictures, taken from the running product. They are kept only when WMS_SCREENSHOTS=1."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.chromium import Browsers, Watch, browsers, expect
from tests.browser.demonstration import Demonstration, odd_orders
from wms.models import OrderState

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "screenshots"
LARGEST_BYTES = 120_000
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 640}, "device_scale_factor": 2, "has_touch": True}
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}


class Camera:
    """Takes pictures of somebody's screen into a folder."""

    def __init__(self, chromium: Browsers, house: Demonstration, folder: Path) -> None:
        self.chromium, self.house, self.folder, self.watch = chromium, house, folder, Watch()

    def page(self, who: str, device: dict[str, Any], path: str, language: str = "zh") -> Any:
        context = self.watch.over(self.chromium.get().new_context(**device))
        if who:
            self.house.speaks(language)
            context.add_cookies(self.house.cookies(who))
        page = context.new_page()
        page.goto(f"{self.house.address}{path}" if who else f"{self.house.address}{path}?language={language}")
        return page

    def shoots(self, page: Any, name: str, step: str) -> None:
        """The screen as it stands, its colours reduced so that the repository stays small."""
        expect(page.locator("section.screen")).to_have_attribute("data-step", step)
        expect(page.locator("body")).not_to_have_class(re.compile("flash-"))
        page.evaluate("() => document.fonts.ready")
        taken = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
        path = self.folder / f"{name}.png"
        taken.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
        assert path.stat().st_size <= LARGEST_BYTES, f"{path.name}: {path.stat().st_size} bytes"

    def shoots_at(self, who: str, device: dict[str, Any], path: str, name: str, step: str) -> None:
        page = self.page(who, device, path)
        self.shoots(page, name, step)
        page.context.close()


@pytest.fixture
def camera(tmp_path: Path, template_database: Path) -> Iterator[Camera]:
    folder = KEPT if os.environ.get("WMS_SCREENSHOTS") == "1" else tmp_path / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    home = tmp_path / "home"
    home.mkdir()
    house = Demonstration(home, template_database)
    try:
        house.start()
        house.start_worker()
        with browsers() as chromium:
            yield Camera(chromium, house, folder)
    finally:
        house.stop()


def test_the_pictures_of_the_readme_can_be_taken(camera: Camera) -> None:
    house = camera.house
    camera.shoots_at("", PHONE, "/sign-in", "sign-in", "people/sign_in")
    house.releases(house.largest_order())  # first on the walk: a picture of one line tells little
    house.hand("picker").get("/pick")
    house.hand("picker").press("/pick/next")
    house.releases(*house.order_ids(OrderState.READY)[:9])
    camera.shoots_at("supervisor", PHONE, "/", "home", "home")
    _picking(camera)
    _packing(camera)
    _desk(camera)
    assert camera.watch.faults == []
    wanted = {
        name
        for readme in ROOT.glob("README*.md")
        for name in re.findall(r"docs/screenshots/([\w-]+\.png)", readme.read_text("utf-8"))
    }
    assert wanted <= {path.name for path in camera.folder.glob("*.png")}


def _picking(camera: Camera) -> None:
    camera.house.picks_on("picker", "pick/scan_location")
    page = camera.page("picker", PHONE, "/pick")
    camera.shoots(page, "pick-location", "pick/scan_location")
    page.keyboard.type(camera.house.next_scan("picker"))
    page.keyboard.press("Enter")
    expect(page.locator("#screen .message-done")).to_be_visible()
    camera.shoots(page, "pick-item", "pick/scan_item")
    page.keyboard.type("I-UMBRELLA" if camera.house.next_scan("picker") != "I-UMBRELLA" else "I-CUP-350-B")
    page.keyboard.press("Enter")
    expect(page.locator("#screen .message-wrong")).to_be_visible()
    camera.shoots(page, "pick-wrong", "pick/scan_item")
    page.context.close()
    camera.house.picks_on("picker", "pick/done")


def _packing(camera: Camera) -> None:
    camera.house.packs_on("pack/scan_item", tote=camera.house.tote())
    camera.house.packs_pieces(4)
    camera.shoots_at("packer", DESK, "/pack", "pack", "pack/scan_item")
    camera.house.packs_on("pack/weigh")
    page = camera.page("packer", DESK, "/pack")
    page.locator("#f-weight_g").fill("1250")
    camera.shoots(page, "weigh", "pack/weigh")
    page.locator("#screen form[action='/pack/weigh'] button[type=submit]").click()
    expect(page.locator("#label .tone-done")).to_be_visible()  # the worker has printed it
    camera.shoots(page, "label", "pack/scan_tote")
    page.context.close()


def _desk(camera: Camera) -> None:
    page = camera.page("supervisor", DESK, "/desk/import", "en")
    page.locator("input[type=file]").set_input_files(
        {"name": "jd-2026-11-20.csv", "mimeType": "text/csv", "buffer": odd_orders(300)}
    )
    page.locator("#f-shop").select_option(str(camera.house.shop_id()))
    page.locator("#screen form button[type=submit]").click()
    camera.shoots(page, "import", "desk/import_preview")
    page.locator("#screen form[action$='/take'] button[type=submit]").click()
    expect(page.locator("section.screen")).to_have_attribute("data-step", "desk/import_done")
    page.context.close()
    camera.house.releases(*camera.house.order_ids(OrderState.READY)[-1:])  # more umbrellas than there are
    camera.shoots_at("supervisor", DESK, "/desk", "desk", "desk/today")
