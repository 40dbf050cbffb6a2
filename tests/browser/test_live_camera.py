"""The live camera in a real browser: fake cameras that film labels, and readers that see what a test tells them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import barcode
import pytest
import segno
import zxingcpp
from barcode.writer import ImageWriter
from PIL import Image, ImageFilter

from tests.browser.chromium import expect, moving_picture
from tests.browser.scan_page import GS, Shop, code128, felt, hold_phone, photograph, seen, wedge

pytestmark = pytest.mark.browser

LABEL = "L-01-02-03"

# Sees what goes to the reader, and which cameras were asked for and let go.
EYES = """
window.eyes = {looks: [], asked: [], stopped: 0};
const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (message, moved) {
  if (message.formats) {
    const {bitmap, formats, manner} = message;
    const {width, height} = bitmap || message;
    eyes.looks.push({width, height, manner, formats, bitmap: Boolean(bitmap)});
  }
  post.call(this, message, moved);
  if (moved[0] instanceof ArrayBuffer && moved[0].byteLength) throw new Error("copied");
};
if (navigator.mediaDevices) {
  const open = MediaDevices.prototype.getUserMedia;
  MediaDevices.prototype.getUserMedia = function (wish) {
    eyes.asked.push(wish.video);
    return open.call(this, {video: true});
  };
}
const stop = MediaStreamTrack.prototype.stop;
MediaStreamTrack.prototype.stop = function () { eyes.stopped += 1; stop.call(this); };
"""

# Answers look by look, then goes on with the last answer.
SCRIPTED = """
const looks = %s;
let number = 0;
onmessage = ({data}) => {
  const codes = data.formats && looks[Math.min(number++, looks.length - 1)];
  postMessage({id: data.id, codes: codes || [], ms: 1});
};
"""


def code(text: str, *, matrix: bool = False, at: tuple[int, int] = (40, 60)) -> dict[str, Any]:
    """One code as the reader tells it."""
    (x, y), (width, height) = at, (200, 40)
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return {"text": text, "matrix": matrix, "corners": [{"x": a, "y": b} for a, b in corners]}


def sees(page: Any, *looks: list[dict[str, Any]]) -> None:
    script = SCRIPTED % json.dumps(looks or [[]])
    page.route("**/camera-worker.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))


def looks(page: Any, number: int) -> list[dict[str, Any]]:
    """The first looks of the reader; waits until there were so many."""
    page.evaluate(
        """(number) => new Promise((done) => {
      const wait = () => (eyes.looks.length >= number ? done() : requestAnimationFrame(wait));
      wait();
    })""",
        number,
    )
    found: list[dict[str, Any]] = page.evaluate("(number) => eyes.looks.slice(0, number)", number)
    return found


def open_camera(page: Any) -> None:
    page.get_by_role("button", name="Camera").tap()


def says(page: Any, text: str | re.Pattern[str]) -> None:
    expect(page.locator(".camera-answer")).to_contain_text(text)


def closed_with(page: Any, text: str) -> None:
    """The dialog is gone, the reason stands under the field, and the photo is the next thing to press."""
    expect(page.locator("[data-scan-note]")).to_contain_text(text)
    expect(page.locator("dialog.camera-dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Photo")).to_be_focused()


def qr(text: str, scale: int = 7) -> Image.Image:
    out = io.BytesIO()
    segno.make_qr(text).save(out, kind="png", scale=scale, border=4)
    return Image.open(out).convert("L")


def view(*labels: tuple[Image.Image, tuple[int, int]]) -> Image.Image:
    picture = photograph()
    for label, place in labels:
        picture.paste(label, place)
    return picture


@pytest.fixture
def eye(launch: Callable[..., Any], shop: Shop) -> Iterator[Any]:
    """A phone whose camera films the browser's own test pattern, with nothing to read in it."""
    page = hold_phone(launch(), shop)
    page.add_init_script(EYES)
    page.reload()
    faults = watched(page)
    yield page
    page.context.close()
    assert faults == []


@pytest.fixture
def film(launch: Callable[..., Any], shop: Shop, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Phones whose camera films a clip made of views."""
    opened = []

    def start(*views: tuple[int, Image.Image], **more: Any) -> Any:
        browser = launch(moving_picture(tmp_path / f"{len(opened)}.mjpeg", views))
        page = hold_phone(browser, shop, **more)
        page.add_init_script(EYES)
        page.reload()
        opened.append((browser, watched(page)))
        return page

    yield start
    for browser, _ in opened:
        browser.close()
    assert [faults for _, faults in opened if faults] == []


def watched(page: Any) -> list[str]:
    faults: list[str] = []
    page.on("console", lambda line: faults.append(line.text) if "Content Security" in line.text else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    return faults


# ---------------------------------------------------------------- reading


def test_each_time_a_label_comes_into_view_is_one_scan(film: Callable[..., Any], shop: Shop) -> None:
    page = film((30, photograph()), (20, photograph(code128(LABEL))))
    open_camera(page)
    expect(page.locator("dialog.camera-dialog")).to_be_visible()
    seen(page, f"1: {LABEL}")
    says(page, f"{LABEL} taken")
    seen(page, f"2: {LABEL} {LABEL}")  # it left the view and came back: the next piece (R11)
    page.get_by_role("button", name="Close").tap()
    expect(page.locator("dialog.camera-dialog")).to_be_hidden()
    assert page.evaluate("() => document.querySelector('.camera-video').srcObject") is None


def test_a_label_that_stays_in_view_is_one_scan_and_its_holder_hears_why(film: Callable[..., Any], shop: Shop) -> None:
    page = film((10, photograph(code128(LABEL))))
    open_camera(page)
    seen(page, f"1: {LABEL}")
    says(page, "Already taken. To count one more, move away")
    assert shop.codes == [LABEL]


def test_every_fifth_look_is_at_the_whole_frame_and_some_looks_are_stubborn(film: Callable[..., Any]) -> None:
    page = film((10, photograph()))
    open_camera(page)
    shots = looks(page, 20)
    five = ["quick", "quick", "stubborn", "quick"]
    assert [shot["manner"] for shot in shots] == [*five, "wide", *five, "stubborn"] * 2
    for number, shot in enumerate(shots, 1):
        if number % 5 == 0:
            assert (shot["width"], shot["height"]) == (1280, 720)
        else:
            assert shot["width"] < 1280 * 0.81
            assert shot["height"] == pytest.approx(720 * 0.35, abs=1)
    assert all(shot["bitmap"] for shot in shots)
    assert shots[0]["formats"] == ["code_128", "ean_13", "ean_8", "upc_a", "qr_code", "data_matrix"]


def test_a_label_on_its_side_is_read_by_the_look_at_the_whole_frame_made_twice(
    film: Callable[..., Any], shop: Shop
) -> None:
    label = code128(LABEL).rotate(90, expand=True)
    page = film((10, view((label, (640 - label.width // 2, 360 - label.height // 2)))))
    open_camera(page)
    seen(page, f"1: {LABEL}")
    widths = [look["width"] for look in looks(page, 6)]
    assert [width == 1280 for width in widths] == [False] * 4 + [True] * 2


def test_a_code_beside_the_box_is_read_as_well(film: Callable[..., Any], shop: Shop) -> None:
    page = film((10, view((qr("BIN-1"), (20, 20)))))
    open_camera(page)
    seen(page, "1: BIN-1")


def test_gs1_keeps_its_separators(film: Callable[..., Any], shop: Shop) -> None:
    fnc1 = "\xf1"
    out = io.BytesIO()
    bars = barcode.get("gs1_128", f"010950110153000310LOT7{fnc1}21SER", writer=ImageWriter())
    bars.write(out, {"write_text": False, "module_width": 0.25})
    page = film((10, photograph(Image.open(out).convert("L"))))
    open_camera(page)
    seen(page, f"1: 010950110153000310LOT7{GS}21SER")
    assert shop.codes == [f"010950110153000310LOT7{GS}21SER"]


def test_upc_is_the_number_that_the_server_reads_from_a_photo(film: Callable[..., Any], shop: Shop) -> None:
    upc = zxingcpp.create_barcode("036000291452", zxingcpp.BarcodeFormat.UPCA)
    page = film((10, photograph(Image.fromarray(upc.to_image(scale=3, add_quiet_zones=True)))))
    open_camera(page)
    seen(page, "1: 036000291452")


def test_a_browser_whose_workers_cannot_draw_reads_as_well(film: Callable[..., Any], shop: Shop) -> None:
    page = film((10, photograph(code128(LABEL))))
    page.add_init_script("delete window.OffscreenCanvas;")
    page.reload()
    open_camera(page)
    seen(page, f"1: {LABEL}")
    assert not any(shot["bitmap"] for shot in looks(page, 2))


# ---------------------------------------------------------------- which code counts


def test_bars_count_when_two_looks_running_gave_the_same(eye: Any, shop: Shop) -> None:
    sees(eye, [code("A-100")], [code("A-700")], [], [code("A-100")], [], [code("A-200")], [code("A-200")], [])
    open_camera(eye)
    seen(eye, "1: A-200")
    looks(eye, 10)
    assert shop.codes == ["A-200"]


def test_a_matrix_code_counts_at_the_first_look(eye: Any, shop: Shop) -> None:
    sees(eye, [code("BIN-1", matrix=True)], [])
    open_camera(eye)
    seen(eye, "1: BIN-1")


def test_what_the_screen_waits_for_counts_at_the_first_look(eye: Any, shop: Shop) -> None:
    shop.expects = ["06901234567892"]
    eye.reload()
    sees(eye, [code("6901234567892")], [])  # EAN-13: the same number as the GTIN-14
    open_camera(eye)
    seen(eye, "1: 6901234567892")


def test_of_several_codes_the_expected_one_is_taken_without_asking(film: Callable[..., Any], shop: Shop) -> None:
    shop.expects = ["ITEM-22"]
    page = film((10, view((code128("ITEM-22"), (150, 250)), (qr("BIN-1"), (850, 270)))))
    open_camera(page)
    seen(page, "1: ITEM-22")
    says(page, "Already taken")  # and nobody was asked about the other one
    assert shop.codes == ["ITEM-22"]


def test_several_codes_are_a_question_in_a_picture_that_stands_still(film: Callable[..., Any], shop: Shop) -> None:
    page = film((10, view((code128("ITEM-22"), (150, 250)), (qr("BIN-1"), (850, 270)))))
    open_camera(page)
    says(page, "Several codes. Tap one.")
    assert page.evaluate("() => document.querySelector('.camera-video').paused")
    choice = page.locator("dialog .choice", has_text="BIN-1")
    number = choice.locator(".camera-number").inner_text()
    mark = page.locator(".camera-mark", has_text=re.compile(f"^{number}$")).bounding_box()
    video = page.locator(".camera-video").bounding_box()
    scale = min(video["width"] / 1280, video["height"] / 720)  # the whole frame is in view now
    left, top = (video["width"] - 1280 * scale) / 2 + video["x"], (video["height"] - 720 * scale) / 2 + video["y"]
    middle = (mark["x"] + mark["width"] / 2 - left) / scale, (mark["y"] + mark["height"] / 2 - top) / scale
    side = qr("BIN-1").width / 2
    assert middle == pytest.approx((850 + side, 270 + side), abs=20)  # the hand trembles
    assert choice.bounding_box()["height"] >= 64
    choice.tap()
    seen(page, "1: BIN-1")
    assert shop.codes == ["BIN-1"]
    expect(page.locator(".camera-mark")).to_have_count(0)


def test_none_of_several_codes_goes_on_looking_and_does_not_ask_the_same_at_once(eye: Any, shop: Shop) -> None:
    both = [code("A-1", matrix=True), code("B-2", matrix=True)]
    sees(eye, both, both, both, both, both, both, [code("C-3", matrix=True)])
    open_camera(eye)
    eye.get_by_role("button", name="None of these, look again").tap()
    seen(eye, "1: C-3")


def test_a_second_code_on_the_label_just_taken_is_no_scan(eye: Any, shop: Shop) -> None:
    both = [code("A-1", matrix=True), code("SERIAL-9", matrix=True)]
    sees(eye, [code("A-1", matrix=True)], both, both, both, both, both, both, both, both)
    open_camera(eye)
    says(eye, "Already taken")
    assert shop.codes == ["A-1"]


def test_what_lay_beside_a_taken_code_is_taken_once_the_next_step_waits_for_it(eye: Any, shop: Shop) -> None:
    shop.expects = ["A-1"]
    eye.reload()
    sees(eye, [code("A-1", matrix=True), code("B-2", matrix=True)])
    open_camera(eye)
    seen(eye, "1: A-1")
    eye.evaluate("""() => document.querySelector("form[data-scan]").setAttribute("data-expects", '["B-2"]')""")
    seen(eye, "2: A-1 B-2")


def test_a_label_is_deaf_for_as_long_as_this_device_was_told(film: Callable[..., Any], shop: Shop) -> None:
    page = film((30, photograph()), (20, photograph(code128(LABEL))))
    page.evaluate("() => localStorage.setItem('wms.device', JSON.stringify({camera_deaf_ms: 600000}))")
    page.reload()
    open_camera(page)
    seen(page, f"1: {LABEL}")
    # The clip starts again twice: gone, back, gone, back.
    page.evaluate("""() => new Promise((done) => {
      const video = document.querySelector(".camera-video");
      let frames = 0;
      const count = () => (++frames > 110 ? done() : video.requestVideoFrameCallback(count));
      count();
    })""")
    assert shop.codes == [LABEL]


# ---------------------------------------------------------------- the server's eyes

BLURRED = photograph(code128(LABEL)).filter(ImageFilter.GaussianBlur(7))


def another_picture(page: Any) -> None:
    """From now on half of what the camera shows is something else."""
    page.evaluate("""() => {
      const draw = CanvasRenderingContext2D.prototype.drawImage;
      CanvasRenderingContext2D.prototype.drawImage = function (...what) {
        draw.apply(this, what);
        this.fillRect(0, 0, this.canvas.width / 2, this.canvas.height);
      };
    }""")


def test_what_cannot_be_read_live_is_read_by_the_server_as_a_still(film: Callable[..., Any], shop: Shop) -> None:
    shop.reads = {"codes": [{"text": LABEL, "symbology": "code_128", "engine": "zxing"}], "message": ""}
    page = film((10, BLURRED))
    shop.hold.clear()
    open_camera(page)
    says(page, "Hard to read. The server is looking at it…")
    shop.hold.set()
    seen(page, f"1: {LABEL}")
    [picture] = shop.pictures
    assert Image.open(io.BytesIO(picture)).size == (1280, 720)


def test_several_codes_from_the_server_are_offered_and_an_unsure_one_too(eye: Any, shop: Shop) -> None:
    sees(eye, [])
    shop.reads = {"codes": [{"text": "A-1"}, {"text": "B-2"}], "message": ""}
    open_camera(eye)
    says(eye, "Several codes. Tap one.")
    assert shop.posts == []
    shop.reads = {"codes": [{"text": "C-3"}], "message": "Compare it with the label, then tap it."}
    eye.locator("dialog .choice", has_text="B-2").tap()
    seen(eye, "1: B-2")
    another_picture(eye)
    says(eye, "Compare it with the label, then tap it.")
    assert shop.codes == ["B-2"]
    eye.locator("dialog .choice", has_text="C-3").tap()
    seen(eye, "2: B-2 C-3")


def test_what_the_server_reads_again_may_be_the_same_piece_and_is_asked_about(eye: Any, shop: Shop) -> None:
    sees(eye, [])
    shop.reads = {"codes": [{"text": "A-1"}], "message": ""}
    open_camera(eye)
    seen(eye, "1: A-1")
    another_picture(eye)
    says(eye, "The same code again. Tap it if this is another piece.")
    assert shop.codes == ["A-1"]
    eye.locator("dialog .choice", has_text="A-1").tap()
    seen(eye, "2: A-1 A-1")


def test_an_unsure_code_from_the_server_that_the_screen_waits_for_is_taken(eye: Any, shop: Shop) -> None:
    sees(eye, [])
    shop.expects = ["C-3"]
    eye.reload()
    shop.reads = {"codes": [{"text": "C-3"}], "message": "Compare it with the label, then tap it."}
    open_camera(eye)
    seen(eye, "1: C-3")


def test_the_same_picture_is_not_sent_twice_another_one_is(film: Callable[..., Any], shop: Shop) -> None:
    shop.reads = {"codes": [], "message": "No barcode found."}
    page = film((10, photograph()))
    open_camera(page)
    says(page, "The server cannot read it either. Go closer")
    says(page, "Hard to read. Go closer, hold still")  # four seconds on
    assert len(shop.pictures) == 1
    another_picture(page)
    says(page, "The server cannot read it either. Go closer")
    assert len(shop.pictures) == 2


def test_nothing_is_sent_while_there_is_no_network(eye: Any, shop: Shop) -> None:
    sees(eye, [])
    open_camera(eye)
    says(eye, "Hold the barcode in the box")
    sent: list[str] = []
    eye.on("request", lambda request: sent.append(request.url))
    eye.context.set_offline(True)
    says(eye, "Hard to read. Go closer, hold still")
    assert [url for url in sent if "/camera/read" in url] == []


def test_a_server_that_gives_no_answer_leaves_the_camera_reading(eye: Any, shop: Shop) -> None:
    sees(eye, *([[]] * 80), [code("A-1", matrix=True)])
    eye.route("**/camera/read", lambda route: route.abort())
    open_camera(eye)
    says(eye, "Hard to read. Go closer, hold still")
    seen(eye, "1: A-1")


def test_an_answer_that_comes_after_the_camera_read_it_itself_is_dropped(eye: Any, shop: Shop) -> None:
    shop.reads = {"codes": [{"text": "OLD"}], "message": ""}
    sees(eye, *([[]] * 80), [code("A-1", matrix=True)])
    held = []
    eye.route("**/camera/read", lambda route: held.append(route))
    open_camera(eye)
    says(eye, "The server is looking")
    seen(eye, "1: A-1")
    with eye.expect_response("**/camera/read"):
        held[0].continue_()
    looks(eye, len(eye.evaluate("() => eyes.looks")) + 5)
    assert shop.codes == ["A-1"]


# ---------------------------------------------------------------- the camera's own ways


def test_the_region_box_on_the_screen_is_the_part_that_is_read_turned_or_not(eye: Any) -> None:
    open_camera(eye)
    says(eye, "Hold the barcode in the box")
    for size in ({"width": 360, "height": 640}, {"width": 800, "height": 480}):
        eye.set_viewport_size(size)
        looks(eye, len(eye.evaluate("() => eyes.looks")) + 2)
        inner, outer = eye.locator(".camera-box").bounding_box(), eye.locator(".camera-video").bounding_box()
        assert inner["width"] / outer["width"] == pytest.approx(0.8, abs=0.02)
        assert inner["height"] / outer["height"] == pytest.approx(0.35, abs=0.02)
        assert inner["x"] + inner["width"] / 2 == pytest.approx(outer["x"] + outer["width"] / 2, abs=2)
        assert inner["y"] + inner["height"] / 2 == pytest.approx(outer["y"] + outer["height"] / 2, abs=2)
    for name in ("Close",):
        assert eye.get_by_role("button", name=name).bounding_box()["height"] >= 64


def stub_track(page: Any, abilities: dict[str, Any]) -> None:
    page.evaluate(
        """(abilities) => {
      MediaStreamTrack.prototype.getCapabilities = () => abilities;
      MediaStreamTrack.prototype.applyConstraints = async ({advanced: [wishes]}) => { felt.tracks.push(wishes); };
    }""",
        abilities,
    )


def test_the_light_button_is_there_when_the_camera_has_a_light(eye: Any) -> None:
    stub_track(eye, {"torch": True})
    open_camera(eye)
    light = eye.get_by_role("button", name="Torch")
    light.tap()
    expect(light).to_have_attribute("aria-pressed", "true")
    light.tap()
    expect(light).to_have_attribute("aria-pressed", "false")
    assert felt(eye, "tracks") == [{"torch": False}, {"torch": True}, {"torch": False}]


def test_abilities_that_the_browser_learns_late_get_their_buttons(eye: Any) -> None:
    stub_track(eye, {})
    open_camera(eye)
    says(eye, "Hold the barcode in the box")
    expect(eye.get_by_role("button", name="Torch")).to_be_hidden()
    stub_track(eye, {"torch": True, "zoom": {"min": 1, "max": 4, "step": 0.1}})
    expect(eye.get_by_role("button", name="Torch")).to_be_visible()
    expect(eye.get_by_role("slider", name="Zoom")).to_be_visible()


def test_a_light_that_does_not_come_on_takes_its_button_away(eye: Any) -> None:
    stub_track(eye, {"torch": True})
    open_camera(eye)
    says(eye, "Hold the barcode in the box")
    eye.evaluate("() => { MediaStreamTrack.prototype.applyConstraints = () => Promise.reject(new Error('no')); }")
    eye.get_by_role("button", name="Torch").tap()
    expect(eye.get_by_role("button", name="Torch")).to_be_hidden()


def test_zoom_is_remembered_on_the_device_and_never_goes_out_of_reach(eye: Any) -> None:
    stub_track(eye, {"zoom": {"min": 1, "max": 4, "step": 0.1}, "focusMode": ["continuous"], "torch": True})
    open_camera(eye)
    slider = eye.get_by_role("slider", name="Zoom")
    expect(slider).to_have_value("1")
    for value in ("1.5", "2.3", "3.4", "4", "4"):
        eye.get_by_role("button", name="Zoom in").tap()
        expect(slider).to_have_value(value)
    eye.get_by_role("button", name="Zoom out").tap()
    expect(slider).to_have_value("2.7")
    assert felt(eye, "tracks")[-1]["focusMode"] == "continuous"  # wished for again, lest the browser forget it
    kept = eye.evaluate("() => JSON.parse(localStorage.getItem('wms.device')).camera_zoom")
    assert kept == pytest.approx(4 / 1.5)
    eye.get_by_role("button", name="Close").tap()
    open_camera(eye)
    expect(slider).to_have_value("2.7")
    assert felt(eye, "tracks")[-1]["zoom"] == pytest.approx(4 / 1.5)


def test_a_lens_that_cannot_focus_starts_at_twice(eye: Any) -> None:
    stub_track(eye, {"zoom": {"min": 1, "max": 8, "step": 0.1}, "focusMode": ["manual"]})
    open_camera(eye)
    expect(eye.get_by_role("slider", name="Zoom")).to_have_value("2")


def test_without_zoom_light_or_second_lens_there_are_no_buttons_for_them(eye: Any) -> None:
    stub_track(eye, {})
    open_camera(eye)
    says(eye, "Hold the barcode in the box")
    expect(eye.locator(".camera-dialog button:visible")).to_have_text(["Close"])


LENSES = """() => {
  const lens = (deviceId, label) => ({kind: "videoinput", deviceId, label});
  MediaDevices.prototype.enumerateDevices = async () => [
    lens("front", "camera2 1, facing front"), lens("wide", "camera2 2, facing back"), lens("main", "后置相机"),
    lens("selfie", "前置相机"), {kind: "audioinput", deviceId: "ear", label: ""}];
  MediaStreamTrack.prototype.getSettings = function () {
    return {deviceId: eyes.asked.at(-1).deviceId?.exact || "wide"};
  };
}"""


def test_the_chosen_rear_lens_is_remembered_on_the_device(eye: Any) -> None:
    eye.evaluate(LENSES)
    open_camera(eye)
    expect(eye.get_by_role("button", name="Lens 1 of 2")).to_be_visible()
    eye.get_by_role("button", name="Lens 1 of 2").tap()
    expect(eye.get_by_role("button", name="Lens 2 of 2")).to_be_visible()
    assert eye.evaluate("() => eyes.asked.map(({deviceId}) => deviceId?.exact)") == [None, "main"]
    assert eye.evaluate("() => eyes.stopped") == 1  # many phones open one camera at a time
    eye.reload()
    eye.evaluate(LENSES)
    open_camera(eye)
    expect(eye.get_by_role("button", name="Lens 2 of 2")).to_be_visible()
    [asked] = eye.evaluate("() => eyes.asked")
    assert asked["deviceId"] == {"exact": "main"}
    assert asked["width"] == {"ideal": 1280}


def test_a_remembered_lens_that_is_gone_gives_way_to_the_main_one(eye: Any) -> None:
    eye.evaluate("""() => {
      localStorage.setItem("wms.device", JSON.stringify({camera_lens: "of another phone"}));
      const open = MediaDevices.prototype.getUserMedia;
      MediaDevices.prototype.getUserMedia = function (wish) {
        if (!wish.video.deviceId) return open.call(this, wish);
        eyes.asked.push(wish.video);
        return Promise.reject(new DOMException("", "OverconstrainedError"));
      };
      document.dispatchEvent(new Event("wms:device"));
    }""")
    open_camera(eye)
    says(eye, "Hold the barcode in the box")
    assert eye.evaluate("() => eyes.asked.map(({facingMode}) => facingMode?.ideal)") == [None, "environment"]


def show(page: Any, state: str) -> None:
    page.evaluate(
        """(state) => {
      Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
      document.dispatchEvent(new Event("visibilitychange"));
    }""",
        state,
    )


def test_a_hidden_page_lets_the_camera_go_and_takes_it_and_the_wake_lock_again(eye: Any) -> None:
    eye.evaluate("""() => {
      window.locks = [];
      const request = async () => { locks.push("asked"); return {release: async () => { locks.push("released"); }}; };
      Object.defineProperty(navigator, "wakeLock", {value: {request}});
    }""")
    open_camera(eye)
    says(eye, "Hold the barcode in the box")
    show(eye, "hidden")
    assert eye.evaluate("() => [eyes.stopped, document.querySelector('.camera-video').srcObject]") == [1, None]
    show(eye, "visible")
    says(eye, "Hold the barcode in the box")
    assert eye.evaluate("() => locks") == ["asked", "released", "asked"]
    assert eye.evaluate("() => [eyes.asked.length, eyes.stopped]") == [2, 1]


# ---------------------------------------------------------------- when it does not go well

LATE = """() => {
  const open = MediaDevices.prototype.getUserMedia;
  MediaDevices.prototype.getUserMedia = async function (wish) {
    const stream = await open.call(this, wish);
    await new Promise((go) => { window.allow = go; });
    return stream;
  };
}"""
# The phone has been asked and has not answered yet; then it says yes.
ASKED = "() => new Promise((done) => { const wait = () => (window.allow ? done() : setTimeout(wait)); wait(); })"
ALLOW = "() => new Promise((done) => { allow(); delete window.allow; setTimeout(done); })"


def test_a_dialog_closed_while_the_phone_asks_leaves_no_camera_on_and_no_complaint(eye: Any) -> None:
    eye.evaluate(LATE)
    open_camera(eye)
    says(eye, "Starting the camera")
    eye.evaluate(ASKED)
    eye.keyboard.press("Escape")
    expect(eye.locator("dialog.camera-dialog")).to_be_hidden()
    eye.evaluate(ALLOW)
    assert eye.evaluate("() => eyes.stopped") == 1
    expect(eye.locator("[data-scan-note]")).to_be_hidden()


def test_a_page_hidden_while_the_phone_asks_starts_when_it_is_back(eye: Any) -> None:
    eye.evaluate(LATE)
    open_camera(eye)
    eye.evaluate(ASKED)
    show(eye, "hidden")
    eye.evaluate(ALLOW)
    assert eye.evaluate("() => eyes.stopped") == 1
    show(eye, "visible")
    eye.evaluate(ASKED)
    eye.evaluate(ALLOW)
    says(eye, "Hold the barcode in the box")


def test_an_unplugged_camera_says_how_to_go_on(eye: Any, shop: Shop) -> None:
    open_camera(eye)
    says(eye, "Hold the barcode in the box")
    eye.evaluate("""() => document.querySelector(".camera-video").srcObject.getVideoTracks()[0]
      .dispatchEvent(new Event("ended"))""")
    closed_with(eye, "The camera was switched off or unplugged. Tap Camera to start it again")
    open_camera(eye)
    says(eye, "Hold the barcode in the box")
    expect(eye.locator("dialog.camera-dialog")).to_be_visible()


def test_a_camera_that_the_phone_pauses_says_so_until_it_goes_on(eye: Any) -> None:
    open_camera(eye)
    says(eye, "Hold the barcode in the box")
    for event, text in (("mute", "The phone has paused the camera"), ("unmute", "Hold the barcode in the box")):
        eye.evaluate(
            """(event) => document.querySelector(".camera-video").srcObject.getVideoTracks()[0]
          .dispatchEvent(new Event(event))""",
            event,
        )
        says(eye, text)


@pytest.mark.parametrize(
    ("error", "text"),
    [("NotAllowedError", "not allowed"), ("NotFoundError", "No camera found"), ("NotReadableError", "Another program")],
)
def test_a_camera_that_is_refused_says_why_and_offers_the_photo(eye: Any, error: str, text: str) -> None:
    eye.evaluate(
        "(name) => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', name)); }", error
    )
    open_camera(eye)
    closed_with(eye, text)


def test_without_https_the_camera_button_says_why_and_offers_the_photo(launch: Callable[..., Any], shop: Shop) -> None:
    page = launch().new_context(viewport={"width": 360, "height": 640}).new_page()
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false});")
    page.goto(shop.address)
    page.get_by_role("button", name="Camera").click()
    expect(page.locator("[data-scan-note]")).to_contain_text("https")
    expect(page.locator("[data-scan-note] a")).to_have_attribute("href", "/setup")
    expect(page.get_by_role("button", name="Photo")).to_be_focused()
    page.context.close()


@pytest.mark.parametrize("name", ["scan/camera-worker.js", "vendor/zxing_reader.js", "vendor/zxing_reader.wasm"])
def test_without_a_file_of_the_reader_the_camera_button_says_so(eye: Any, shop: Shop, name: str) -> None:
    eye.route(f"**/{name}", lambda route: route.fulfill(status=404, body="gone"))
    open_camera(eye)
    closed_with(eye, "The camera reader did not start. Take a photo.")
    assert eye.evaluate("() => eyes.stopped") == 1
    wedge(eye, "A-100")
    seen(eye, "1: A-100")


@pytest.mark.parametrize(
    "crash", ["throw new Error('out of memory')", "postMessage({id: data.id, fault: 'memory access out of bounds'})"]
)
def test_a_reader_that_crashes_says_so_offers_the_photo_and_starts_anew_at_the_next_tap(
    eye: Any, shop: Shop, crash: str
) -> None:
    script = f"onmessage = ({{data}}) => {{ if (data.formats) {crash}; else postMessage({{id: data.id}}); }};"
    eye.route("**/camera-worker.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    open_camera(eye)
    closed_with(eye, "The camera reader stopped. Tap Camera to start it again, or take a photo.")
    eye.unroute("**/camera-worker.js")
    sees(eye, [code("A-1", matrix=True)])
    open_camera(eye)
    seen(eye, "1: A-1")
