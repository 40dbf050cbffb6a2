"""The scanner check in a real browser: every fault of a scanner is named, and set right where this device can."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.serving import make_server

from tests.browser.chromium import PHONE, Watch, browsers, expect
from tests.floor import Floor
from wms.web.scanner_check import CODES

pytestmark = pytest.mark.browser

GS = "\x1d"
SENT = {code.name: code for code in CODES}
PLAIN, MIXED, GS1, LONG, CHINESE = (SENT[name].text for name in ("plain", "mixed", "gs1", "long", "chinese"))
HEAD, TAIL = GS1.split(GS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers() as chromium:
        yield chromium.get()


@pytest.fixture
def address(floor: Floor) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, floor.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def page(browser: Any, floor: Floor, address: str) -> Iterator[Any]:
    """The page in a picker's hand; its keys may be slow, for a busy test machine is a slow scanner."""
    watch = Watch()
    context = watch.over(browser.new_context(**PHONE))
    hand = floor.hand("picker")
    context.add_cookies(
        [
            {"name": name, "value": held.value, "url": address}
            for name in ("wms", "wms_device")
            if (held := hand.client.get_cookie(name))
        ]
    )
    opened = context.new_page()
    opened.goto(f"{address}/scanner-check")
    device(opened)
    yield opened
    context.close()
    assert watch.faults == []


def device(page: Any, **settings: Any) -> None:
    page.evaluate("(s) => localStorage.setItem('wms.device', JSON.stringify(s))", {"gap_ms": 2000, **settings})
    page.reload()


def kept(page: Any) -> dict[str, Any]:
    said: dict[str, Any] = page.evaluate("() => JSON.parse(localStorage.getItem('wms.device'))")
    return said


def diagnose(
    page: Any, name: str, came: dict[str, Any], settings: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """What the page's judge says; ``came`` as an ordinary scanner would send it, but for what is given."""
    usual = {"text": "", "ended": "Enter", "how": "keys", "gaps": [8] * 20, "caps": False, "ime": False}
    code = {"text": SENT[name].text, "symbology": SENT[name].symbology}
    found: list[dict[str, Any]] = page.evaluate(
        "([sent, came, s]) => wms.check.diagnose(sent, came, (name) => s[name])",
        [code, {**usual, "alts": 0, "times": 1, **came}, settings or {}],
    )
    return found


DE, FR = str.maketrans("YZyz-/_", "ZYzyß-?"), str.maketrans("QWZ-/_0123456789", "AZW)!°à&é\"'(-è_ç")
FROM_DE = str.maketrans("YZ-/_", "ZY/&?")

CYRILLIC = str.maketrans("QWYZ", "ЙЦНЯ")
AS_GBK = CHINESE.encode().decode("gbk", "replace")
AS_LATIN = CHINESE.encode().decode("cp1252", "replace").replace("\ufffd", "")
ALL_SET = {"prefix": "~", "suffix": "#", "gs_sign": "|"}

# The code, what came, the settings of this device; the first finding, its facts, and what one tap would set.
FAULTS: list[tuple[str, dict[str, Any], dict[str, Any], str, dict[str, Any], dict[str, Any] | None]] = [
    ("plain", {"text": PLAIN}, {}, "good", {}, None),
    ("plain", {"text": f"]C0{PLAIN}"}, {}, "good", {}, None),
    ("gs1", {"text": GS1}, {}, "good", {}, None),
    ("gs1", {"text": f"]C1{GS1}"}, {}, "good", {}, None),
    ("chinese", {"text": CHINESE, "how": "text", "gaps": []}, {}, "good", {}, None),
    ("plain", {"text": PLAIN, "how": "text", "gaps": [], "ended": ""}, {}, "good", {}, None),
    ("plain", {"text": PLAIN, "ended": "Tab"}, {}, "good", {}, None),
    ("plain", {"text": ""}, {}, "nothing", {}, None),
    ("plain", {"text": "", "alts": 17}, {}, "alt_codes", {}, None),
    ("plain", {"text": "", "ime": True}, {}, "ime", {}, None),
    ("plain", {"text": PLAIN, "ended": ""}, {}, "no_suffix", {}, {"ends": "pause"}),
    ("plain", {"text": f"{PLAIN}#", "ended": ""}, {}, "suffix", {"s": "#"}, {"suffix": "#"}),
    ("plain", {"text": f"~{PLAIN}"}, {}, "prefix", {"s": "~"}, {"prefix": "~"}),
    ("plain", {"text": f"]C0~{PLAIN}"}, {}, "prefix", {"s": "~"}, {"prefix": "~"}),
    ("plain", {"text": f"j{PLAIN}"}, {}, "code_id", {"s": "j"}, None),
    ("gs1", {"text": f"K{GS1}"}, {}, "code_id", {"s": "K"}, None),
    ("plain", {"text": PLAIN.translate(DE)}, {}, "layout", {"a": "us", "b": "de"}, None),
    ("plain", {"text": PLAIN.translate(FR)}, {}, "layout", {"a": "us", "b": "fr"}, None),
    ("plain", {"text": PLAIN.translate(FROM_DE)}, {}, "layout", {"a": "de", "b": "us"}, None),
    ("plain", {"text": PLAIN.translate(str.maketrans("-/_", "'-?"))}, {}, "layout", {"a": "us", "b": "es it"}, None),
    ("plain", {"text": PLAIN.replace("_", "=")}, {}, "layout", {"a": "us", "b": "jp"}, None),
    ("plain", {"text": PLAIN.translate(CYRILLIC)}, {}, "exchanged", {"s": "Q → Й, W → Ц, Y → Н, Z → Я"}, None),
    ("plain", {"text": PLAIN.lower(), "caps": True}, {}, "caps_lock", {}, None),
    ("plain", {"text": PLAIN.lower()}, {}, "case_lost", {"s": "a–z"}, None),
    ("mixed", {"text": MIXED.swapcase(), "caps": True}, {}, "caps_lock", {}, None),
    ("mixed", {"text": MIXED.swapcase()}, {}, "swapped", {}, {"swap_case": True}),
    ("mixed", {"text": MIXED.upper()}, {}, "case_lost", {"s": "A–Z"}, None),
    ("mixed", {"text": MIXED.lower()}, {}, "case_lost", {"s": "a–z"}, None),
    ("gs1", {"text": HEAD + TAIL}, {}, "gs_lost", {}, None),
    ("gs1", {"text": f"]C1{HEAD}{TAIL}"}, {}, "gs_lost", {}, None),
    *(
        ("gs1", {"text": HEAD + sign + TAIL}, {}, "gs_sign", {"s": sign}, {"gs_sign": sign})
        for sign in ("|", "~", "<GS>", "{GS}", "!")
    ),
    *(("gs1", {"text": HEAD + sign + TAIL}, {}, "gs_lost", {}, None) for sign in (" ", "-", "A", "/", "29")),
    ("long", {"text": LONG[:40]}, {}, "truncated", {"n": 40, "of": 48}, None),
    ("long", {"text": f"]C0{LONG[:30]}"}, {}, "truncated", {"n": 30, "of": 48}, None),
    ("long", {"text": LONG[5:]}, {}, "start_lost", {"n": 5}, None),
    ("plain", {"text": PLAIN[:6] + PLAIN[8:]}, {}, "signs_lost", {"n": 2}, None),
    ("chinese", {"text": AS_GBK}, {}, "chinese", {"s": "GBK"}, None),
    ("chinese", {"text": AS_LATIN}, {}, "chinese", {"s": "Latin-1"}, None),
    ("chinese", {"text": "A1-"}, {}, "chinese_lost", {}, None),
    ("chinese", {"text": "A1-????"}, {}, "chinese_lost", {}, None),
    ("plain", {"text": PLAIN * 2}, {}, "doubled", {}, {"cooldown_ms": 1000}),
    ("plain", {"text": PLAIN, "times": 2}, {}, "doubled", {}, {"cooldown_ms": 1000}),
    ("plain", {"text": PLAIN, "gaps": [90] * 16}, {}, "slow", {"ms": 90, "n": 140}, {"gap_ms": 140}),
    ("plain", {"text": PLAIN, "gaps": [8] * 18 + [250, 250]}, {}, "slow", {"ms": 250, "n": 300}, {"gap_ms": 300}),
    ("plain", {"text": PLAIN, "gaps": [400] * 16}, {}, "too_slow", {"ms": 400, "n": 300}, None),
    ("plain", {"text": "ＱＷＹＺ－／＿０１２３４５６７８９"}, {}, "full_width", {}, None),
    ("plain", {"text": PLAIN, "ime": True}, {}, "ime", {}, None),
    ("plain", {"text": "6901234567892"}, {}, "unknown", {"s": "6901234567892"}, None),
    # What this device was told already.
    ("gs1", {"text": f"~{HEAD}|{TAIL}#", "ended": ""}, ALL_SET, "good", {}, None),
    ("plain", {"text": f"]C0~{PLAIN}"}, {"prefix": "~"}, "good", {}, None),
    ("mixed", {"text": MIXED.swapcase()}, {"swap_case": True}, "good", {}, None),
    ("plain", {"text": PLAIN, "ended": ""}, {"ends": "pause"}, "good", {}, None),
    ("plain", {"text": PLAIN, "gaps": [90] * 16}, {"gap_ms": 140}, "good", {}, None),
    ("plain", {"text": PLAIN, "gaps": [400] * 16}, {"gap_ms": 500}, "good", {}, None),
    ("mixed", {"text": MIXED}, {"swap_case": True}, "setting_spoils", {}, {"swap_case": False}),
    ("plain", {"text": PLAIN}, {"gs_sign": "-"}, "setting_spoils", {}, {"gs_sign": ""}),
]  # fmt: skip


def test_each_fault_of_a_scanner_is_named_with_its_remedy(page: Any) -> None:
    wrong = []
    for name, came, settings, fault, facts, remedy in FAULTS:
        first = diagnose(page, name, came, settings)[0]
        said = {key: first["facts"].get(key) for key in facts}
        if (first["fault"], said, first["set"]) != (fault, facts, remedy):
            wrong.append(f"{name} {came} {settings}: {first}")
    assert not wrong, "\n".join(wrong)


def test_every_fault_that_can_be_said_has_its_words_and_every_remedy_its_button(page: Any) -> None:
    words = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("template[data-fault]")].map((part) =>
             [part.dataset.fault, Boolean(part.content.querySelector("[data-check-set]"))]))"""
    )
    named = {fault for _n, _c, _s, fault, _f, _r in FAULTS}
    remedies = {fault for _n, _c, _s, fault, _f, remedy in FAULTS if remedy}
    notes = {"aim", "pause", "other_key", "by_setting"}
    assert set(words) == named | notes, "each word is tried above, and each fault has words"
    assert {fault for fault, button in words.items() if button} == remedies


def test_two_faults_at_once_are_both_said(page: Any) -> None:
    def faults(name: str, **came: Any) -> list[str]:
        return [each["fault"] for each in diagnose(page, name, came)]

    assert faults("gs1", text=f"~{HEAD}|{TAIL}", ended="") == ["gs_sign", "prefix", "no_suffix"]
    assert faults("gs1", text=(HEAD + TAIL).upper(), gaps=[90] * 20) == ["case_lost", "gs_lost", "slow"]
    assert faults("mixed", text=MIXED.translate(DE).swapcase().replace("SS", "ß"), caps=True) == ["layout", "caps_lock"]
    assert faults("plain", text=f"]C0{PLAIN}", ended="Line") == ["good", "other_key", "aim"]


def test_a_judge_never_stumbles_over_what_comes(page: Any) -> None:
    odd = [
        "\x00",
        GS,
        GS * 9,
        "]C1",
        "]C1" + GS,
        "$1",
        "\\",
        "(" * 50,
        "仓" * 60,
        "a" * 3000,
        "\U0001f4e6",
        "\ufffd" * 20,
    ]
    for name in SENT:
        for text in odd:
            assert diagnose(page, name, {"text": text})[0]["grade"] in ("wrong", "look"), (name, text)


# ---------------------------------------------------------------- through the page


def wedge(page: Any, text: str, suffix: str = "Enter", gs: str = "Control+]") -> None:
    for character in text:
        page.keyboard.press(gs if character == GS else character)
    if suffix:
        page.keyboard.press(suffix)


def fault(page: Any, name: str) -> Any:
    return page.locator(f"li[data-fault={name}]")


def test_a_good_scanner_is_ready_after_five_scans_in_any_order(page: Any) -> None:
    expect(page.locator("[data-check-text]")).to_be_empty()
    wedge(page, LONG)
    expect(page.locator("figure:visible")).to_have_attribute("data-check-code", "long")
    expect(fault(page, "good")).to_be_visible()
    wedge(page, f"]C1{GS1}", gs="F8")
    expect(page.locator("figure:visible")).to_have_attribute("data-check-code", "gs1")
    expect(page.locator("[data-check-text]")).to_have_text("]C1010950110153000310AB-12␝21cd34")
    expect(fault(page, "aim")).to_contain_text("]C1")
    wedge(page, PLAIN, "Tab")
    expect(fault(page, "other_key")).to_contain_text("Tab ends the code")
    expect(page.locator("[data-check-ready]")).to_be_hidden()
    page.keyboard.insert_text(CHINESE)  # a handheld sends it as text
    expect(page.locator("figure:visible")).to_have_attribute("data-check-code", "chinese")
    wedge(page, MIXED)
    expect(page.locator("[data-check-ready]")).to_be_visible()
    expect(page.locator(".check-tab[data-grade=done]")).to_have_count(5)


def test_a_sign_for_gs_is_set_with_one_tap_and_the_next_scan_is_right(page: Any) -> None:
    wedge(page, f"{HEAD}|{TAIL}")
    expect(fault(page, "gs_sign")).to_contain_text("“|” came in place of GS.")
    fault(page, "gs_sign").get_by_role("button", name="“|” stands for GS").tap()
    assert kept(page) == {"gap_ms": 2000, "gs_sign": "|"}
    expect(fault(page, "good")).to_be_visible()  # judged anew by what is set now
    expect(page.locator("[data-check-kept]")).to_be_visible()
    wedge(page, f"{HEAD}|{TAIL}")
    expect(fault(page, "by_setting")).to_be_visible()
    expect(page.locator("[data-check-kept]")).to_be_hidden()


def test_keys_without_an_enter_are_heard_and_their_pause_is_set(page: Any) -> None:
    wedge(page, PLAIN, suffix="")
    fault(page, "no_suffix").get_by_role("button").tap()
    assert kept(page)["ends"] == "pause"
    expect(fault(page, "pause")).to_be_visible()


def test_slow_keys_are_measured_and_their_pause_is_allowed(page: Any) -> None:
    device(page, gap_ms=50)
    page.evaluate(
        """(text) => [...text, "Enter"].forEach((key, place) => {
             const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
             Object.defineProperty(event, "timeStamp", { value: 1000 + 90 * place });
             document.querySelector("[data-check-input]").dispatchEvent(event);
           })""",
        PLAIN,
    )
    expect(fault(page, "slow")).to_contain_text("90 ms apart")
    fault(page, "slow").get_by_role("button", name="Allow 140 ms").tap()
    assert kept(page)["gap_ms"] == 140
    expect(fault(page, "good")).to_be_visible()


def test_a_scanner_that_fires_twice_is_caught(page: Any) -> None:
    page.clock.install(time=0)
    page.clock.pause_at(60_000)  # time goes on only as told
    wedge(page, PLAIN)
    page.clock.run_for(200)
    wedge(page, PLAIN)
    page.clock.run_for(200)
    expect(fault(page, "doubled")).to_be_visible()
    page.clock.run_for(1000)
    wedge(page, PLAIN)
    page.clock.run_for(200)
    expect(fault(page, "doubled")).to_have_count(0)


def test_alt_numbers_are_a_gs_or_a_scanner_in_the_wrong_mode(page: Any) -> None:
    def by_alt(digits: str) -> None:
        page.keyboard.down("Alt")
        for digit in digits:
            page.keyboard.press(f"Numpad{digit}")
        page.keyboard.up("Alt")

    wedge(page, HEAD, suffix="")
    by_alt("0029")
    wedge(page, TAIL)
    expect(fault(page, "good")).to_be_visible()
    page.locator("[data-check-tab=plain]").tap()
    for character in PLAIN[:4]:
        by_alt(f"0{ord(character):03d}")  # here nothing makes letters of them
    expect(fault(page, "alt_codes")).to_be_visible()


def test_the_same_settings_stand_under_ones_own_name(page: Any, address: str) -> None:
    page.goto(f"{address}/me")
    page.locator("summary", has_text="Scanner settings").tap()
    page.get_by_label("A code ends with").select_option("pause")
    page.get_by_label("Sign that stands for GS").fill("|")
    page.get_by_label("Small and capital letters come exchanged").check(force=True)
    page.get_by_label("Longest pause between two keys").fill("300")
    page.get_by_label("Longest pause between two keys").blur()
    assert kept(page) == {"gap_ms": 300, "ends": "pause", "gs_sign": "|", "swap_case": True}
    page.reload()
    expect(page.locator("#f-ends")).to_have_value("pause")
    page.get_by_role("link", name="Check this scanner").tap()
    expect(page.locator("section.screen")).to_have_attribute("data-step", "people/scanner_check")


def test_nothing_came_is_said_by_a_hand_and_a_scan_presses_no_button(page: Any) -> None:
    page.get_by_role("button", name="Nothing came").tap()
    expect(fault(page, "nothing")).to_contain_text("keyboard")
    page.locator("[data-check-next]").focus()
    wedge(page, PLAIN)
    expect(fault(page, "good")).to_be_visible()
    expect(page.locator("figure:visible")).to_have_attribute("data-check-code", "plain")


def test_a_keyboard_walks_the_page_between_scans(page: Any) -> None:
    page.locator("[data-check-tab=gs1]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("figure:visible")).to_have_attribute("data-check-code", "gs1")
    page.locator("[data-check-tab=long]").focus()
    page.keyboard.press("Tab")
    expect(page.locator("[data-check-tab=chinese]")).to_be_focused()


@pytest.mark.parametrize("name", list(SENT))
def test_the_code_on_the_screen_can_be_read(page: Any, name: str) -> None:
    import zxingcpp
    from PIL import Image

    page.locator(f"[data-check-tab={name}]").tap()
    taken = page.locator("figure:visible .check-paper").screenshot()
    read = zxingcpp.read_barcodes(Image.open(io.BytesIO(taken)).convert("L"))
    assert [each.bytes.decode() for each in read] == [SENT[name].text]


def test_the_sheet_of_paper_has_all_five_codes_and_nothing_else(page: Any) -> None:
    page.emulate_media(media="print")
    expect(page.locator("img:visible")).to_have_count(5)
    expect(page.locator("button:visible, .check-field:visible")).to_have_count(0)
