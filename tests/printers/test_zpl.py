"""Labels hold what was asked, nothing of it can become a command, and the codes on them read back."""

from __future__ import annotations

import io
import re

import pytest
import segno
import zplkit
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from printers.errors import CannotPrint, DoesNotFit
from printers.zpl import (
    Label,
    code128_modules,
    grouped,
    marked_again,
    printable,
    printer_font_width,
    qr_modules,
)
from tests.printers import render as judge

W, H = 799, 1199

NASTY = [
    "a^XZ~JA",
    "^XA^FDx^FS^XZ",
    "~JR~HS",
    "\\&line\\&break",
    "_5E_7E",
    "back\\slash_under",
    "a,b;c:d",
    "100% > 50% < 60%",
    "line\nbreak\r\nand\ttab",
    "\x00\x01\x1b[2J\x7f",
    "^CC*~",
    "'\"`${}<script>",
    "x" * 200,
    "请勿^XZ~JA折叠",
    "备注：_5E \\& ~JA 㐂䶮𠮷",
]

COMMANDS_WE_SEND = {
    b"^XA", b"^XZ", b"^CI", b"^PW", b"^LL", b"^FO", b"^A0", b"^FB", b"^FH", b"^FD", b"^FS", b"^BY", b"^BC",
    b"^BQ", b"^BX", b"^GB", b"^GF", b"^PQ",
}  # fmt: skip


def test_a_label_opens_with_utf8_and_its_size_and_ends_with_one_quantity():
    built = Label(dots=(406, 203)).text(20, 20, "A1").code128(20, 60, "A1", 60).build(copies=3)
    assert built.startswith(b"^XA^CI28\n^PW406\n^LL203\n")
    assert built.endswith(b"\n^PQ3,0,1,Y\n^XZ\n")
    assert built.count(b"^XA") == built.count(b"^XZ") == built.count(b"^PQ") == 1


def test_a_label_never_changes_how_the_machine_is_set_up():
    built = _everything("Wörk ^MNM~SD30^JUS").build()
    assert not re.search(rb"\^MN|\^MM|\^PR|\^MD|~SD|\^JU", built)


@pytest.mark.parametrize(
    ("character", "written"),
    [("^", b"_5E"), ("~", b"_7E"), ("_", b"_5F"), ("\\", b"_5C")],
)
def test_each_character_that_could_be_a_command_is_written_as_its_number(character: str, written: bytes):
    built = Label((W, H)).text(10, 10, f"a{character}b").build()
    assert b"^FH_^FDa" + written + b"b^FS" in built


def test_bytes_beyond_ascii_in_a_qr_code_are_written_as_utf8_numbers():
    assert b"^BQN,2,4^FH_^FDMA,_E6_94_B6^FS" in Label((W, H)).qr(50, 50, "收").build()


@given(st.text(max_size=60), st.sampled_from(["text", "qr", "code128", "datamatrix"]))
@settings(max_examples=300, deadline=None)
def test_no_text_whatever_brings_a_command_onto_the_wire(text: str, field: str):
    label = Label((W, H))
    try:
        if field == "text":
            label.text(10, 10, text, width=700, lines=3)
        elif field == "qr":
            label.qr(50, 50, text)
        elif field == "code128":
            label.code128(0, 10, text, 80)
        else:
            label.datamatrix(10, 10, text)
    except (CannotPrint, DoesNotFit):
        return
    built = label.build()
    assert set(re.findall(rb"\^[A-Z][A-Z0-9]", built)) <= COMMANDS_WE_SEND
    assert built.count(b"^") == len(re.findall(rb"\^[A-Z][A-Z0-9]", built))
    assert b"~" not in built
    assert not re.search(rb"[^\n -~]", built)
    assert built.count(b"^FD") + built.count(b"^GF") + built.count(b"^GB") == built.count(b"^FS")


@pytest.mark.parametrize("text", NASTY)
def test_a_nasty_note_stays_on_one_label_and_the_codes_beside_it_read_back(paper, text: str):
    label = Label((W, H)).text(20, 20, text, width=760, lines=4).code128(0, 300, "JD0012345678901-1-1-", 100)
    [picture] = paper.render(label.qr(100, 600, f"N|{text}").build(), 100, 150)
    read = paper.read_codes(picture)
    assert "JD0012345678901-1-1-" in read
    assert f"N|{text}" in read or any(code.startswith("N|") for code in read)


@pytest.mark.parametrize("text", [text for text in NASTY if text.isascii() and text.isprintable()])
def test_a_nasty_text_in_a_qr_code_reads_back_as_it_was(paper, text: str):
    [picture] = paper.render(Label((W, H)).qr(100, 100, text, 4).build(), 100, 150)
    assert text in paper.read_codes(picture)


def test_chinese_in_a_qr_code_reads_back_as_it_was(paper):
    [picture] = paper.render(Label((W, H)).qr(100, 100, "库位：一号楼^A区~B", 6, "Q").build(), 100, 150)
    assert "库位：一号楼^A区~B" in paper.read_codes(picture)


@pytest.mark.parametrize("data", ["SKU>123", "收件", "a\tb", "a\x00", "é"])
def test_a_code_128_takes_printable_ascii_without_the_greater_sign_only(data: str):
    with pytest.raises(CannotPrint) as refused:
        Label((W, H)).code128(20, 20, data, 80)
    assert set(refused.value.characters) <= set(data)
    assert refused.value.permanent


@pytest.mark.parametrize("data", ["A_^~\\B", "ab cd", "!\"#$%&'()*+,-./:;<=?@[]^_`{|}~"])
def test_a_code_128_with_signs_reads_back_as_it_was(paper, data: str):
    [picture] = paper.render(Label((W, H)).code128(0, 100, data, 100, show=False).build(), 100, 150)
    assert data in paper.read_codes(picture)


# facts: width of Code 128 without quiet zones
TABLE = [
    ("JD0012345678901-1-1-", 211),
    ("SF1234567890123", 145),
    ("YT1234567890123", 145),
    ("JD0012345678901", 145),
    ("312345678901234", 134),
    ("73123456789012", 112),
    ("9123456789012", 123),
]


@pytest.mark.parametrize(("number", "modules"), TABLE)
def test_the_width_of_a_code_is_known_before_it_is_drawn(number: str, modules: int):
    assert code128_modules(number) == modules


@pytest.mark.parametrize(
    "data",
    [
        *[number for number, _ in TABLE],
        "A1",
        "12",
        "1",
        "ab12cd",
        "A123456B",
        "1234A",
        "A1234",
        "12345",
        "a12345b6789",
    ],
)
def test_the_printer_draws_the_code_as_wide_as_we_say(paper, data: str):
    label = Label((W, H)).code128(0, 100, data, 100, module=2, show=False)
    [picture] = paper.render(label.build(), 100, 150)
    left, _, right, _ = picture.point(lambda grey: 255 * (grey < 128)).getbbox()
    assert right - left == 2 * code128_modules(data)


@pytest.mark.parametrize(
    ("number", "width_mm", "dpi", "module"),
    [
        ("JD0012345678901-1-1-", 100, 203, 3),
        ("JD0012345678901-1-1-", 76, 203, 2),
        ("JD0012345678901-1-1-", 100, 300, 4),
        ("73123456789012", 100, 203, 4),
        ("A1", 100, 203, 4),
    ],
)
def test_the_widest_bars_that_fit_with_their_quiet_zones_are_taken(number: str, width_mm: int, dpi: int, module: int):
    label = Label((round(width_mm * dpi / 25.4), 600), dpi)
    built = label.code128(0, 20, number, 80, max_width=label.width).build()
    found = re.search(rb"\^FO(\d+),\d+\^BY(\d)", built)
    assert found is not None
    assert int(found.group(2)) == module
    left = int(found.group(1))
    assert left >= 10 * module
    assert left + (code128_modules(number) + 10) * module <= label.width


def test_a_code_too_wide_for_its_room_is_refused_and_never_runs_off_the_paper():
    with pytest.raises(DoesNotFit) as refused:
        Label((300, 200)).code128(0, 20, "JD0012345678901-1-1-", 80)
    assert refused.value.needed_dots > refused.value.room_dots


@pytest.mark.parametrize(
    "draw",
    [
        lambda label: label.text(10, 190, "low", 24),
        lambda label: label.text(500, 10, "right", 24),
        lambda label: label.text(10, 190, "低", 24),
        lambda label: label.code128(0, 150, "A1", 80),
        lambda label: label.qr(380, 20, "A1"),
        lambda label: label.qr(20, 180, "A1"),
        lambda label: label.datamatrix(395, 20, "A1"),
        lambda label: label.box(0, 0, 500, 10),
        lambda label: label.line(0, 0, 500),
        lambda label: label.line(0, 0, 500, vertical=True),
    ],
)
def test_nothing_is_drawn_off_the_label(draw):
    with pytest.raises(DoesNotFit):
        draw(Label((406, 203)))


@pytest.mark.parametrize("level", "LMQH")
@pytest.mark.parametrize("length", [1, 15, 40, 90, 200])
def test_a_qr_code_is_never_larger_than_reckoned(level: str, length: int):
    data = "é" * (length // 2) + "x" * (length % 2)
    true = segno.make(data, error=level, boost_error=False, micro=False, encoding="utf-8", mode="byte")
    assert true.symbol_size(border=0)[0] == qr_modules(data, level)


def test_a_data_matrix_reads_back(paper):
    label = Label((W, H)).datamatrix(100, 100, "LOT-A1^2\\3", 6)
    [picture] = paper.render(label.build(), 100, 150)
    assert "LOT-A1^2\\3" in paper.read_codes(picture)


@pytest.mark.parametrize("sign", "_~收")
def test_a_data_matrix_refuses_what_some_firmware_reads_as_a_command(sign: str):
    with pytest.raises(CannotPrint):
        Label((W, H)).datamatrix(10, 10, f"a{sign}b")


@pytest.mark.parametrize("text", ["好😀", "שלום", "\ue000", "\ud800", "مرحبا"])
def test_a_character_without_a_picture_is_refused_by_name_and_never_printed_as_a_box(text: str):
    with pytest.raises(CannotPrint) as refused:
        Label((W, H)).text(10, 10, text)
    assert refused.value.characters
    assert set(refused.value.characters) <= set(text)


def test_a_caller_may_mark_what_cannot_be_printed_and_gets_the_list():
    assert printable("送给😀和א，谢谢😀") == ("送给?和?，谢谢?", ["😀", "א"])
    marked, lost = printable("张三\u200b\u202e\x07\ufe0f")
    assert (marked, lost) == ("张三", [])
    Label((W, H)).text(10, 10, printable("😀 好")[0])


def test_text_that_is_too_long_is_written_smaller_then_cut_and_the_cut_is_told():
    fits = Label((400, 200)).text(10, 10, "北京市朝阳区望京街道", 40, width=380, min_height=22)
    assert fits.cut == []
    long = "北京市朝阳区望京街道阜通东大街" * 4
    cut = Label((400, 200)).text(10, 10, long, 40, width=380, min_height=22)
    assert cut.cut == [long]
    plain = Label((400, 200)).text(10, 10, "word " * 60, 30, width=380, lines=2)
    assert len(plain.cut) == 1
    assert b"...^FS" in plain.build()


@pytest.mark.parametrize("size", [24, 40, 60])
@pytest.mark.parametrize(
    "text",
    ["WWWWWWMMMMM@@@@%%%", "The quick brown fox jumps over", "0123456789-/:", "JD0012-1-1-", "{|}~<=>+\"'\\"],
)
def test_the_printers_own_letters_are_never_wider_than_reckoned(paper, text: str, size: int):
    built = Label((1600, 200)).text(0, 20, text, size).build()
    reckoned = printer_font_width(text, size)
    pictures = [*paper.render(built, 200, 25), _second_opinion(built, 1600, 200)]
    widths = [picture.point(lambda grey: 255 * (grey < 128)).getbbox()[2] for picture in pictures]
    assert max(widths) <= reckoned
    assert reckoned <= max(widths) * 1.1 + 6


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("JD0012345678901-1-1-", "JD 0012 3456 78901-1-1-"),
        ("YT1234567890123", "YT 1234 5678 90123"),
        ("73123456789012", "7312 3456 7890 12"),
        ("L-A-01-02", "L-A-01-02"),
        ("", ""),
    ],
)
def test_a_long_number_is_shown_in_groups_without_losing_a_sign(code: str, shown: str):
    assert grouped(code) == shown
    assert grouped(code).replace(" ", "") == code


def test_a_reprint_is_the_same_bytes_with_one_visible_mark(paper):
    first = _everything("再来一张").build(copies=2)
    again = marked_again(first, "补打 2")
    start = next(place for place, (one, other) in enumerate(zip(first, again, strict=False)) if one != other)
    added = len(again) - len(first)
    place = again.rindex(b"^PQ") - added
    assert again[:place] == first[:place]
    assert again[place + added :] == first[place:]
    assert start >= place
    [before], [after] = (paper.render(label, 100, 150) for label in (first, again))
    assert paper.read_codes(before) == paper.read_codes(after)
    corner = (600, 0, 799, 60)
    assert min(before.crop(corner).tobytes()) == 255
    assert after.crop(corner).tobytes().count(0) > 500


def test_a_carriers_label_without_a_quantity_can_be_marked_too(paper):
    theirs = b"^XA^FO50,100^A0N,40,40^FDcarrier^FS^XZ"
    again = marked_again(theirs, "补打 1")
    assert again.endswith(b"^FS\n^XZ")
    assert len(paper.render(again, 100, 150)) == 1


def test_half_a_character_in_a_qr_code_is_refused():
    with pytest.raises(CannotPrint):
        Label((W, H)).qr(50, 50, "a\ud800")


def test_bytes_that_are_no_label_cannot_be_marked():
    with pytest.raises(ValueError, match="not found"):
        marked_again(b"hello", "补打 1")


def test_a_second_interpreter_takes_our_pictures_and_codes():
    picture = _second_opinion(_everything("张三丰").build(), W, H)
    assert judge.read_codes(picture) == {"YT1234567890123", "A1B2"}


def _second_opinion(built: bytes, width: int, height: int) -> Image.Image:
    """Drawn by an interpreter that shares no code with the other one, and refuses what is not sound."""
    without_quantity = re.sub(rb"\^PQ[^\n]*\n", b"", built)
    [label] = zplkit.render(without_quantity, zplkit.Options(dpi=203, width=width, height=height)).labels
    return Image.open(io.BytesIO(label.png())).convert("L")


def _everything(text: str) -> Label:
    return (
        Label((W, H))
        .text(20, 20, text, 40, bold=True, width=500)
        .text(20, 90, "plain text", width=300, align="center")
        .code128(0, 150, "YT1234567890123", 100)
        .qr(100, 400, "YT1234567890123", 5, "Q")
        .datamatrix(500, 400, "A1B2", 5)
        .box(20, 700, 300, 100)
        .line(20, 900, 500)
    )
