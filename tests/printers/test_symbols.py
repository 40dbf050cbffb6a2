"""Every bar and every square is what the standards say, read back by readers that are not ours."""

from __future__ import annotations

import barcode
import pytest
import segno
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from printers import symbols
from printers.errors import CannotPrint, DoesNotFit, WrongCheckDigit
from tests.printers import judge

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
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40)


def picture(widths: tuple[int, ...]) -> Image.Image:
    drawn = Image.new("1", (3 * sum(widths), 60))
    for place, wide in symbols.bars(widths):
        drawn.paste(1, (3 * place, 0, 3 * (place + wide), 60))
    return drawn


def grown(square: Image.Image) -> Image.Image:
    return square.resize((square.width * 5, square.height * 5))


@pytest.mark.parametrize(("number", "modules"), TABLE)
def test_the_width_of_a_code_is_known_before_it_is_drawn(number: str, modules: int):
    assert symbols.code128_modules(number) == modules


@given(ASCII)
@settings(max_examples=300, deadline=None)
def test_any_printable_text_in_a_code_128_reads_back_as_it_was(data: str):
    widths = symbols.code128(data)
    assert len(widths) % 6 == 1
    assert sum(widths) == 11 * (len(widths) // 6) + 2
    found = zxingcpp.read_barcode(_on_white(picture(widths)), formats=zxingcpp.BarcodeFormat.Code128)
    assert found is not None
    assert found.text == data


@given(st.from_regex(r"[A-Z]{0,3}[0-9]{0,20}(-[0-9]){0,3}", fullmatch=True).filter(bool))
@settings(max_examples=200, deadline=None)
def test_no_other_encoder_makes_a_shorter_symbol(data: str):
    theirs = zxingcpp.create_barcode(data, zxingcpp.BarcodeFormat.Code128)
    assert symbols.code128_modules(data) <= memoryview(theirs.to_image(scale=1, add_quiet_zones=False)).shape[1]


@pytest.mark.parametrize("data", ["", "收件", "a\tb", "a\x00", "é", "\x1d"])
def test_what_a_code_128_cannot_hold_is_refused(data: str):
    with pytest.raises(CannotPrint) as refused:
        symbols.code128(data)
    assert set(refused.value.characters) <= set(data)
    assert refused.value.permanent


@pytest.mark.parametrize(
    ("data", "read"),
    [
        ("(00)106141411234567897", "(00)106141411234567897"),
        ("(01)06901234567892(10)B-7", "(01)06901234567892(10)B-7"),
        ("(10)B20261101-07(17)270501", "(10)B20261101-07(17)270501"),
        ("(17)270501(10)B20261101-07(37)96", "(17)270501(10)B20261101-07(37)96"),
        ("(3102)001250", "(3102)001250"),
    ],
)
def test_a_gs1_code_is_read_as_its_elements(data: str, read: str):
    widths = symbols.gs1_128(data)
    found = zxingcpp.read_barcode(
        _on_white(picture(widths)), formats=zxingcpp.BarcodeFormat.Code128, text_mode=zxingcpp.TextMode.HRI
    )
    assert found is not None
    assert (found.content_type, found.text) == (zxingcpp.ContentType.GS1, read)
    assert found.symbology_identifier == "]C1"


@pytest.mark.parametrize(
    "data", ["106141411234567897", "(00)1061414112345678", "(00)10614141123456789X", "(01", "(17)2705"]
)
def test_data_that_is_no_gs1_is_refused(data: str):
    with pytest.raises(CannotPrint):
        symbols.gs1_128(data)


@pytest.mark.parametrize(
    "data", ["(00)106141411234567890", "(01)06901234567890", "(00)106141411234567897(01)06901234567890"]
)
def test_a_wrong_check_digit_is_told_with_the_right_one(data: str):
    with pytest.raises(WrongCheckDigit) as told:
        symbols.gs1_128(data)
    assert told.value.right in "27"


# The examples of the GS1 General Specifications and of the check digit page of GS1.
@pytest.mark.parametrize(
    ("digits", "check"),
    [("629104150021", "3"), ("37610425002123456", "9"), ("10614141123456789", "7"), ("9638507", "4")],
)
def test_the_gs1_check_digit_is_that_of_the_published_examples(digits: str, check: str):
    assert symbols.gs1_check_digit(digits) == check


@given(st.integers(0, 10**12 - 1))
@settings(max_examples=100, deadline=None)
def test_any_ean_13_has_the_bars_that_another_encoder_draws(number: int):
    digits = f"{number:012d}"
    digits += symbols.gs1_check_digit(digits)
    theirs = barcode.get("ean13", digits).build()[0].replace("G", "1")
    ours = "".join(("1" if place % 2 == 0 else "0") * wide for place, wide in enumerate(symbols.ean(digits)))
    assert ours == theirs


@pytest.mark.parametrize(("data", "read"), [("96385074", "96385074"), ("036000291452", "0036000291452")])
def test_an_ean_8_and_a_upc_a_are_read_by_each_reader(data: str, read: str):
    found = judge.read(picture(symbols.ean(data)))
    assert {code.zfill(len(read)) for code in found} == {read}


@pytest.mark.parametrize("data", ["690123456789", "A901234567892", "", "1234567"])
def test_what_is_no_ean_is_refused(data: str):
    with pytest.raises((CannotPrint, WrongCheckDigit)):
        symbols.ean(data)


@pytest.mark.parametrize("data", ["JD0012345678901", "库位：一号楼^A区~B", "a^XZ~JA", "\\&_5E>", '\\["]', "x" * 200])
@pytest.mark.parametrize("level", "LMQH")
def test_any_text_in_a_qr_code_reads_back_as_it_was(data: str, level: str):
    square = symbols.qr(data, level)
    found = judge.read_by_each(grown(square))
    assert found["zxing"] == {judge._plain(data)}
    # A boosted or lower level than asked for would make another size.
    other = segno.make(data, error=level, boost_error=False, micro=False, encoding="utf-8")
    assert square.width <= other.symbol_size(border=0)[0] + 4


@pytest.mark.parametrize("data", ["LOT-A1^2\\3", "a_~b", "0123456789", "x" * 120])
def test_a_data_matrix_is_square_and_reads_back(data: str):
    square = symbols.datamatrix(data)
    assert square.width == square.height
    found = zxingcpp.read_barcode(_on_white(grown(square)), formats=zxingcpp.BarcodeFormat.DataMatrix)
    assert found is not None
    assert found.text == data


@pytest.mark.parametrize("make", [symbols.qr, symbols.datamatrix])
def test_too_much_for_a_square_and_nothing_at_all_are_refused(make):
    with pytest.raises(DoesNotFit):
        make("x" * 5000)
    with pytest.raises(CannotPrint):
        make("")


def test_half_a_character_in_a_qr_code_is_refused():
    with pytest.raises(CannotPrint):
        symbols.qr("a\ud800")


def _on_white(drawn: Image.Image) -> Image.Image:
    seen = Image.new("L", (drawn.width + 80, drawn.height + 80), 255)
    seen.paste(0, (40, 40), drawn)
    return seen
