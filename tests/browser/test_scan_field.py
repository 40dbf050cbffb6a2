"""The scan field in a real browser: every way a code gets in, and every way a post can get lost."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.chromium import expect
from tests.browser.scan_page import (
    GS,
    Shop,
    allow_slow_keys,
    code128,
    felt,
    jpeg,
    photograph,
    seen,
    stored,
    wedge,
)

pytestmark = pytest.mark.browser


# ---------------------------------------------------------------- the wedge


def test_a_scanner_that_types_keys_fills_the_focused_field(phone: Any, shop: Shop) -> None:
    expect(phone.locator(".scan-input")).to_be_focused()
    assert phone.locator(".scan-input").get_attribute("inputmode") == "none"  # no soft keyboard
    wedge(phone, "L-01-02")
    seen(phone, "1: L-01-02")
    [post] = shop.posts
    assert (post.csrf, post.kind, post.fields["version"]) == ("token-of-now", "scan", "7")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", post.fields["scan_id"])
    expect(phone.locator(".scan-input")).to_be_focused()
    expect(phone.locator(".scan-input")).to_have_value("")


def test_a_tab_ends_a_scan_as_well(phone: Any, shop: Shop) -> None:
    allow_slow_keys(phone)
    wedge(phone, "L-01-02", "Tab")
    seen(phone, "1: L-01-02")


def test_a_scan_while_a_button_has_focus_reaches_the_field_and_presses_nothing(phone: Any, shop: Shop) -> None:
    phone.locator("#short").focus()
    wedge(phone, "6901234567892")
    seen(phone, "1: 6901234567892")
    assert [post.path for post in shop.posts] == ["/scan"]


def test_a_scan_while_focus_is_lost_reaches_the_field(phone: Any, shop: Shop) -> None:
    phone.evaluate("() => { document.activeElement.blur(); document.querySelector('#screen').focus(); }")
    wedge(phone, f"01095011015300{GS}10LOT")
    seen(phone, f"1: 01095011015300{GS}10LOT")


def test_a_scan_into_the_quantity_is_taken_out_of_it_again(phone: Any, shop: Shop) -> None:
    allow_slow_keys(phone)
    phone.locator("#qty").fill("12")
    shop.hold.clear()
    wedge(phone, "6901234567892")
    expect(phone.locator("#qty")).to_have_value("12")
    shop.hold.set()
    seen(phone, "1: 6901234567892")


def test_a_quantity_that_a_hand_types_is_no_scan(phone: Any, shop: Shop) -> None:
    quantity = phone.locator("#qty")
    quantity.press_sequentially("12000", delay=80)
    quantity.press("Enter")
    expect(quantity).to_have_value("12000")
    phone.locator(".scan-input").focus()
    wedge(phone, "A-100")
    seen(phone, "1: A-100")  # the first post that there was


def test_the_group_separator_of_gs1_arrives_by_keys(phone: Any, shop: Shop) -> None:
    wedge(phone, f"0109501101530003{GS}10LOT7{GS}21SER")
    seen(phone, f"1: 0109501101530003{GS}10LOT7{GS}21SER")
    assert shop.posts[0].fields["code"] == f"0109501101530003{GS}10LOT7{GS}21SER"


def test_a_scanner_that_is_an_input_method_needs_no_enter(phone: Any, shop: Shop) -> None:
    phone.keyboard.insert_text(f"0109501101530003{GS}10LOT7")
    seen(phone, f"1: 0109501101530003{GS}10LOT7")


def test_a_hand_types_after_asking_for_the_keyboard(phone: Any, shop: Shop) -> None:
    phone.get_by_role("button", name="Type").tap()
    field_ = phone.locator(".scan-input")
    expect(field_).to_be_focused()
    expect(field_).to_have_attribute("inputmode", "text")
    field_.press_sequentially("L-0", delay=70)
    phone.keyboard.insert_text("9")  # a soft keyboard's word, not a scan: it must wait for Enter
    field_.press("Enter")
    seen(phone, "1: L-09")


def set_device(page: Any, **settings: Any) -> None:
    """What /me keeps for this device; slow test machines get a long gap."""
    page.evaluate("(s) => localStorage.setItem('wms.device', JSON.stringify(s))", {"gap_ms": 2000, **settings})
    page.reload()


def test_keys_without_an_enter_are_ended_by_a_pause(phone: Any, shop: Shop) -> None:
    """Until this scanner has once sent an Enter: from then on only that ends a code, however long it takes."""
    set_device(phone)
    for character in "L-01-02":
        phone.keyboard.press(character)
    seen(phone, "1: L-01-02")
    wedge(phone, "A-100")
    seen(phone, "2: L-01-02 A-100")
    for character in "A-200":
        phone.keyboard.press(character)
    expect(phone.locator(".scan-input")).to_have_value("A-200")
    phone.clock.install()
    phone.clock.run_for(5000)
    expect(phone.locator(".scan-input")).to_have_value("A-200")
    phone.keyboard.press("Enter")
    seen(phone, "3: L-01-02 A-100 A-200")


def test_a_scanner_that_is_set_to_end_by_a_pause_needs_no_enter_wherever_it_types(phone: Any, shop: Shop) -> None:
    set_device(phone, ends="pause", gap_ms=300)
    phone.locator("#qty").fill("12")
    for character in "6901234567892":
        phone.keyboard.press(character)
    seen(phone, "1: 6901234567892")
    phone.locator("#short").focus()
    for character in "A-200":
        phone.keyboard.press(character)
    seen(phone, "2: 6901234567892 A-200")
    assert [post.path for post in shop.posts] == ["/scan", "/scan"]


def test_a_scanner_that_is_set_to_end_with_a_key_is_waited_for(phone: Any, shop: Shop) -> None:
    set_device(phone, ends="key")
    phone.clock.install()
    for character in "L-01-02":
        phone.keyboard.press(character)
    phone.clock.run_for(5000)
    expect(phone.locator(".scan-input")).to_have_value("L-01-02")
    phone.keyboard.press("Enter")
    seen(phone, "1: L-01-02")


def by_alt(page: Any, digits: str) -> None:
    """A sign by its number on the number pad, as scanners send what has no key."""
    page.keyboard.down("Alt")
    for digit in digits:
        page.keyboard.press(f"Numpad{digit}")
    page.keyboard.up("Alt")


@pytest.mark.parametrize("way", ["Control+]", "F8", "Alt+0029"])
def test_the_group_separator_is_restored_however_a_keyboard_sends_it(phone: Any, shop: Shop, way: str) -> None:
    set_device(phone)
    for part in ("0106901234567892", GS, "10LOT7", GS, "21SER"):
        for character in part:
            if character != GS:
                phone.keyboard.press(character)
            elif way == "Alt+0029":
                by_alt(phone, "0029")
            else:
                phone.keyboard.press(way)
    phone.keyboard.press("Enter")
    seen(phone, f"1: 0106901234567892{GS}10LOT7{GS}21SER")
    assert shop.posts[0].fields["code"] == f"0106901234567892{GS}10LOT7{GS}21SER"


def test_an_enter_by_its_number_ends_a_scan(phone: Any, shop: Shop) -> None:
    set_device(phone)
    for character in "A-100":
        phone.keyboard.press(character)
    by_alt(phone, "013")
    seen(phone, "1: A-100")


@pytest.mark.parametrize("sign", ["|", "~", "<GS>", "{GS}", "^]"])
def test_a_sign_that_stands_for_gs_is_set_for_this_device(phone: Any, shop: Shop, sign: str) -> None:
    set_device(phone, gs_sign=sign)
    wedge(phone, f"]C10106901234567892{sign}10LOT7{sign}21SER")
    phone.keyboard.insert_text(f"0106901234567892{sign}10LOT8")
    seen(phone, f"2: ]C10106901234567892{GS}10LOT7{GS}21SER 0106901234567892{GS}10LOT8")
    codes = [post.fields["code"] for post in shop.posts]
    assert codes == [f"]C10106901234567892{GS}10LOT7{GS}21SER", f"0106901234567892{GS}10LOT8"], "]C1 says GS1: it stays"


def test_full_width_letters_of_a_chinese_input_method_become_plain_ones(phone: Any, shop: Shop) -> None:
    phone.keyboard.insert_text("ＡＢＣ－１２３")
    seen(phone, "1: ABC-123")
    phone.keyboard.insert_text("茶叶（大）１")  # in a Chinese text they may be meant
    seen(phone, "2: ABC-123 茶叶（大）１")


def test_exchanged_letters_are_put_right_for_a_device_that_was_told_so(phone: Any, shop: Shop) -> None:
    set_device(phone, swap_case=True, prefix="q")
    wedge(phone, "qaB-100-x")
    seen(phone, "1: Ab-100-X")


def test_caps_lock_is_noticed_and_said(phone: Any, shop: Shop) -> None:
    """The letters stay as they came: some scanners look at the light and exchange them back themselves."""
    phone.evaluate("""() => {
      const real = KeyboardEvent.prototype.getModifierState;
      window.capsLock = true;
      KeyboardEvent.prototype.getModifierState = function (key) {
        return key === "CapsLock" ? window.capsLock : real.call(this, key);
      };
    }""")
    wedge(phone, "a-100")
    seen(phone, "1: a-100")
    expect(phone.locator("[data-scan-note]")).to_contain_text("CapsLock is on")
    phone.evaluate("() => { window.capsLock = false; }")
    wedge(phone, "A-200")
    seen(phone, "2: a-100 A-200")
    expect(phone.locator("[data-scan-note]")).to_be_hidden()


def test_a_code_that_comes_in_while_the_screen_changes_is_whole(phone: Any, shop: Shop) -> None:
    """The answer to the scan before takes the field away under the scanner: what was in it goes on in the new one."""
    set_device(phone)
    shop.hold.clear()
    wedge(phone, "FIRST")
    for character in "A-1":
        phone.keyboard.press(character)
    shop.hold.set()
    seen(phone, "1: FIRST")
    expect(phone.locator(".scan-input")).to_have_value("A-1")
    for character in "00":
        phone.keyboard.press(character)
    phone.keyboard.press("Enter")
    seen(phone, "2: FIRST A-100")


def test_text_of_an_input_method_outlives_the_screen_it_came_into(phone: Any, shop: Shop) -> None:
    shop.hold.clear()
    wedge(phone, "FIRST")
    phone.clock.install(time=0)
    phone.clock.pause_at(60_000)  # no silence ends anything before the answer is here
    phone.keyboard.insert_text("A-200")
    shop.hold.set()
    seen(phone, "1: FIRST")
    expect(phone.locator(".scan-input")).to_have_value("A-200")
    phone.clock.run_for(2000)
    seen(phone, "2: FIRST A-200")


def test_a_second_trigger_pull_counts_unless_this_device_was_told_otherwise(phone: Any, shop: Shop) -> None:
    wedge(phone, "A-100")
    seen(phone, "1: A-100")
    wedge(phone, "A-100")  # R11: two pieces
    seen(phone, "2: A-100 A-100")
    phone.evaluate("() => localStorage.setItem('wms.device', JSON.stringify({cooldown_ms: 60000, prefix: '~'}))")
    phone.reload()
    wedge(phone, "~B-200")
    seen(phone, "3: A-100 A-100 B-200")
    wedge(phone, "~B-200")
    wedge(phone, "~C-300")
    seen(phone, "4: A-100 A-100 B-200 C-300")


# ---------------------------------------------------------------- what the worker feels


def test_done_wrong_and_look_are_three_different_feelings(phone: Any, shop: Shop) -> None:
    wedge(phone, "A-100")
    seen(phone, "1: A-100")
    wedge(phone, "WRONG")
    expect(phone.locator(".message-wrong")).to_contain_text("Pick A1, not WRONG.")
    phone.locator("#short").tap()
    expect(phone.locator(".message-look")).to_be_visible()
    assert felt(phone, "flashes") == ["flash-done", "flash-wrong", "flash-look"]
    assert felt(phone, "tones") == [1800, 300, 300, 900, 1200]
    done, wrong, look = felt(phone, "buzz")
    assert done != wrong != look != done
    assert [each["answer"] for each in felt(phone, "answers")] == ["done", "wrong", "look"]


def test_a_blocking_message_refuses_scans_until_it_is_acknowledged(phone: Any, shop: Shop) -> None:
    wedge(phone, "BLOCK")
    expect(phone.locator("[data-block]")).to_be_visible()
    wedge(phone, "A-100")
    phone.keyboard.insert_text("A-200")
    phone.locator("#short").dispatch_event("click")
    expect(phone.locator(".scan-input")).to_have_value("")
    assert felt(phone, "tones") == [300] * 8  # the answer, and a wrong sound for each that was refused
    assert len(shop.posts) == 1
    phone.get_by_role("button", name="OK, understood").tap()
    wedge(phone, "A-300")
    seen(phone, "1: A-300")


def test_a_device_without_voices_says_so_and_keeps_its_sounds(phone: Any, shop: Shop) -> None:
    shop.speech = "on"
    phone.reload()
    expect(phone.locator(".speech-absent")).to_have_text("No voice on this device")


# ---------------------------------------------------------------- never lost, never twice


def test_scans_wait_through_a_dead_network_and_a_reload_and_go_once_each_in_order(phone: Any, shop: Shop) -> None:
    phone.route("**/scan", lambda route: route.abort())
    for code in ("A-100", "A-200", "A-300"):
        wedge(phone, code)
    expect(phone.locator("#waiting")).to_have_text("3 waiting")
    phone.reload()
    expect(phone.locator("#waiting")).to_have_text("3 waiting")
    assert shop.posts == []
    phone.unroute("**/scan")
    phone.evaluate("() => window.dispatchEvent(new Event('online'))")
    seen(phone, "3: A-100 A-200 A-300")
    expect(phone.locator("#waiting")).to_be_hidden()
    assert len(set(shop.ids())) == len(shop.posts) == 3


def test_it_goes_on_by_itself_when_the_network_is_back(phone: Any, shop: Shop) -> None:
    phone.context.set_offline(True)
    wedge(phone, "A-100")
    expect(phone.locator("#waiting")).to_have_text("1 waiting")
    phone.context.set_offline(False)
    seen(phone, "1: A-100")


def test_an_answer_lost_on_the_way_is_asked_for_again_with_the_same_id(phone: Any, shop: Shop) -> None:
    lost = []

    def lose_first(route: Any) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch())  # the server has it; the phone never hears
        route.abort()

    phone.route("**/scan", lose_first)
    wedge(phone, "A-100")
    seen(phone, "1: A-100")
    first, second = shop.ids()
    assert first == second
    assert shop.codes == ["A-100"]
    assert felt(phone, "answers")[-1]["replay"] is True


def test_a_server_that_is_starting_gets_the_same_scan_again(phone: Any, shop: Shop) -> None:
    shop.fail_first = 2
    wedge(phone, "A-100")
    seen(phone, "1: A-100")
    assert len(shop.posts) == 3
    assert len(set(shop.ids())) == 1


def test_two_taps_are_one_post_and_the_button_rests_meanwhile(phone: Any, shop: Shop) -> None:
    shop.hold.clear()
    button = phone.locator("#short")
    button.dblclick()
    expect(button).to_be_disabled()
    phone.evaluate("() => document.querySelector('form[data-act]').requestSubmit()")
    shop.hold.set()
    expect(phone.locator("#acts")).to_have_text("1")
    expect(button).to_be_enabled()
    [post] = shop.posts
    assert (post.fields["why"], post.fields["line"]) == ("empty", "4")


def test_an_act_that_waits_keeps_its_button_at_rest_over_a_reload(phone: Any, shop: Shop) -> None:
    phone.route("**/act", lambda route: route.abort())
    phone.locator("#short").tap()
    expect(phone.locator("#waiting")).to_have_text("1 waiting")
    phone.reload()
    expect(phone.locator("#short")).to_be_disabled()
    phone.unroute("**/act")
    phone.evaluate("() => window.dispatchEvent(new Event('online'))")
    expect(phone.locator("#acts")).to_have_text("1")


def test_an_answer_to_another_page_leaves_this_page_as_it_is(phone: Any, shop: Shop) -> None:
    phone.route("**/scan", lambda route: route.abort())
    wedge(phone, "A-100")
    wedge(phone, "WRONG")
    expect(phone.locator("#waiting")).to_have_text("2 waiting")
    phone.unroute("**/scan")
    phone.goto(f"{shop.address}/other")
    expect(phone.locator(".message-wrong")).to_contain_text("Pick A1, not WRONG.")
    expect(phone.get_by_role("heading", name="Other")).to_be_visible()
    assert shop.codes == ["A-100"]


def test_what_one_operator_scanned_waits_for_that_operator(phone: Any, shop: Shop) -> None:
    phone.route("**/scan", lambda route: route.abort())
    wedge(phone, "A-100")
    expect(phone.locator("#waiting")).to_have_text("1 waiting")
    shop.operator = "8"
    phone.reload()
    phone.unroute("**/scan")
    wedge(phone, "B-200")
    seen(phone, "1: B-200")
    shop.operator = "7"
    phone.reload()
    seen(phone, "2: B-200 A-100")


def test_a_signed_out_operator_is_sent_to_sign_in_and_the_scan_is_kept(phone: Any, shop: Shop) -> None:
    wedge(phone, "SIGNED-OUT")
    phone.wait_for_url("**/sign-in")
    assert [entry["what"] for entry in stored(phone, "outbox")] == ["SIGNED-OUT"]


def test_a_badge_scanned_before_anyone_signed_in_leaves_nothing_in_storage(phone: Any, shop: Shop) -> None:
    shop.operator = ""
    phone.reload()
    phone.route("**/scan", lambda route: route.abort())
    wedge(phone, "BADGE-TOKEN")
    expect(phone.locator("#waiting")).to_have_text("1 waiting")
    assert phone.evaluate("() => JSON.stringify({...localStorage})") == "{}"
    assert stored(phone, "outbox") == []


def test_the_server_can_send_the_phone_on(phone: Any, shop: Shop) -> None:
    wedge(phone, "LAST")
    phone.wait_for_url("**/other")


def test_scans_work_when_htmx_did_not_load(phone: Any, shop: Shop) -> None:
    phone.route("**/htmx.min.js", lambda route: route.abort())
    phone.reload()
    wedge(phone, "A-100")
    seen(phone, "1: A-100")


# ---------------------------------------------------------------- photo


def test_a_photo_with_one_code_is_a_scan(phone: Any, shop: Shop) -> None:
    big = photograph(code128("L-01-02-03").resize((1500, 700)), size=(4000, 3000))
    phone.locator("[data-scan-file]").set_input_files(jpeg(big))
    seen(phone, "1: L-01-02-03")


def test_a_photo_with_several_codes_asks_which(phone: Any, shop: Shop) -> None:
    picture = photograph(code128("L-01-02-03"), code128("A-100-200"), size=(1280, 960))
    phone.locator("[data-scan-file]").set_input_files(jpeg(picture))
    expect(phone.locator(".choice")).to_have_count(2)
    assert shop.posts == []
    phone.get_by_role("button", name="A-100-200").tap()
    seen(phone, "1: A-100-200")


def test_a_photo_without_a_code_says_what_to_do(phone: Any, shop: Shop) -> None:
    phone.locator("[data-scan-file]").set_input_files(jpeg(photograph()))
    expect(phone.locator("[data-scan-note]")).to_contain_text("No barcode found")
    expect(phone.locator(".scan-input")).to_be_enabled()


def test_a_file_that_is_no_picture_is_answered_in_words(phone: Any, shop: Shop) -> None:
    junk = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"no picture at all"}
    phone.locator("[data-scan-file]").set_input_files(junk)
    expect(phone.locator("[data-scan-note]")).to_contain_text("not a picture")


# ---------------------------------------------------------------- plain http


def test_an_id_is_a_uuid_on_plain_http_too(launch: Any, shop: Shop) -> None:
    page = launch().new_context().new_page()
    page.add_init_script("delete Crypto.prototype.randomUUID;")
    page.goto(shop.address)
    wedge(page, "A-100")
    seen(page, "1: A-100")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", shop.ids()[0])
    page.context.close()
