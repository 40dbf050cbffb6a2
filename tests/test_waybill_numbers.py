"""Check digits are those of the published examples, and no single slip of a digit passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wms import waybill_numbers as numbers

# The carriers' published numbers as they are collected in jkeen/tracking_number_data (MIT), and GS1's own examples
# (General Specifications, and the page of its check digit calculator).
PUBLISHED = [
    ("S10", "RB123456785GB"),
    ("S10", "RB123456785US"),
    ("S10", "RB123456785CV"),
    ("UPS", "1Z5R89390357567127"),
    ("UPS", "1Z879E930346834440"),
    ("UPS", "1Z410E7W0392751591"),
    ("UPS", "1Z8V92A70367203024"),
    ("FedEx", "986578788855"),
    ("FedEx", "477179081230"),
    ("FedEx", "799531274483"),
    ("FedEx", "790535312317"),
    ("FedEx", "974367662710"),
    ("FedEx Ground", "041441760228964"),
    ("FedEx Ground", "568283610012000"),
    ("FedEx Ground", "568283610012734"),
    ("SSCC", "000123450000000027"),
    ("SSCC", "106141411234567897"),
    ("SSCC", "376104250021234569"),
]
WRONG = [
    ("S10", "RB123456786US"),
    ("UPS", "1Z1111111111111111"),
    ("UPS", "2Z5R89390357567127"),
    ("FedEx", "996578788855"),
    ("FedEx Ground", "568283610012732"),
    ("SSCC", "000000000000000001"),
]


@pytest.mark.parametrize(("standard", "number"), WRONG)
def test_a_number_published_as_wrong_is_not_sound(standard: str, number: str) -> None:
    assert not numbers.sound(number, standard)


@pytest.mark.parametrize(("standard", "number"), PUBLISHED)
def test_a_published_number_is_sound(standard: str, number: str) -> None:
    assert numbers.sound(number, standard)


@pytest.mark.parametrize(("standard", "number"), PUBLISHED)
def test_another_check_digit_is_not(standard: str, number: str) -> None:
    place = 10 if standard == "S10" else len(number) - 1
    for digit in set("0123456789") - {number[place]}:
        assert not numbers.sound(number[:place] + digit + number[place + 1 :], standard)


@given(st.text("0123456789", min_size=17, max_size=17), st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_in_an_sscc_is_always_noticed(body: str, place: int, more: int) -> None:
    number = body + numbers.gs1_check_digit(body)
    wrong = str((int(number[place]) + more) % 10)
    assert numbers.sound(number, "SSCC")
    assert not numbers.sound(number[:place] + wrong + number[place + 1 :], "SSCC")


@given(st.text("0123456789", min_size=8, max_size=8), st.integers(0, 7), st.integers(1, 9))
def test_one_wrong_digit_in_a_postal_number_is_almost_always_noticed(serial: str, place: int, more: int) -> None:
    """Modulo 11 with two rests folded onto digits: what is left over is 10 and 0, and 11 and 5."""
    number = f"RB{serial}{numbers.s10_check_digit(serial)}CN"
    wrong = serial[:place] + str((int(serial[place]) + more) % 10) + serial[place + 1 :]
    folded = numbers.s10_check_digit(wrong) in ("0", "5")
    assert numbers.sound(number, "S10")
    assert folded or not numbers.sound(f"RB{wrong}{number[10:]}", "S10")


@pytest.mark.parametrize("number", ["RB 12345678 5 GB", "rb123456785gb", "1z 5r8 939 03 5756 712 7", "98 6578-788855"])
def test_blanks_dashes_and_small_letters_are_how_people_write(number: str) -> None:
    assert any(numbers.sound(number, standard.name) for standard in numbers.STANDARDS)


@pytest.mark.parametrize(
    "number", ["", "JDX024407261700", "YT1234567890123", "RB12345678GB", "1Z", "12345678901234567X"]
)
def test_what_has_not_the_form_is_not_sound(number: str) -> None:
    assert not any(numbers.sound(number, standard.name) for standard in numbers.STANDARDS)


def test_container_codes_count_up_and_end_with_their_range() -> None:
    # GS1's own example: extension 1, company 0614141, serial 123456789.
    assert numbers.sscc("0614141", 123456789, extension=1) == "106141411234567897"
    assert numbers.sscc("069012345678", 9999)[-5:-1] == "9999"
    with pytest.raises(ValueError, match="used up"):
        numbers.sscc("069012345678", 10_000)
    for prefix, serial, extension in (("69", 1, 0), ("A69012345", 1, 0), ("0614141", -1, 0), ("0614141", 1, 10)):
        with pytest.raises(ValueError, match="company prefix"):
            numbers.sscc(prefix, serial, extension)


@pytest.mark.parametrize(
    ("standard", "prefix", "digits", "suffix", "number"),
    [
        ("S10", "RB", "12345678", "GB", "RB123456785GB"),
        ("UPS", "1Z5R893903", "5756712", "", "1Z5R89390357567127"),
        ("FedEx", "98657", "878885", "", "986578788855"),
        ("FedEx Ground", "0414417602", "2896", "", "041441760228964"),
        ("SSCC", "00012345", "000000002", "", "000123450000000027"),
        ("", "YT7", "0001", "", "YT70001"),
    ],
)
def test_a_range_appends_the_published_check_digit(
    standard: str, prefix: str, digits: str, suffix: str, number: str
) -> None:
    assert numbers.numbered(standard, prefix, digits, suffix) == number


@pytest.mark.parametrize(
    ("standard", "prefix", "digits", "suffix"),
    [
        ("S10", "RB", "1234567", "CN"),
        ("S10", "RB", "12345678", ""),
        ("UPS", "1X5R893903", "5756712", ""),
        ("SSCC", "", "1", ""),
    ],
)
def test_what_makes_no_number_of_the_standard_is_refused(standard: str, prefix: str, digits: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="of"):
        numbers.numbered(standard, prefix, digits, suffix)
