"""What a code says, whatever a scanner puts around it; foreign text never breaks it (R14, R15)."""

from __future__ import annotations

import string
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wms.scan import GS, OWN_PREFIXES, barcode_key, clean, gtin14, own, parse

GTIN = "06901234567892"


@pytest.mark.parametrize(
    "text",
    [
        f"01{GTIN}10L1{GS}17270331",
        f"]C101{GTIN}10L1{GS}17270331",
        f"]d201{GTIN}1727033110L1",
        f"]Q301{GTIN}1727033110L1",
        f"]e001{GTIN}1727033110L1",
        f"(01){GTIN}(17)270331(10)L1",
        f"{GS}01{GTIN}10L1{GS}17270331",
        f"01{GTIN}10L1{GS}17270331\r\n",
    ],
)
def test_one_gs1_code_fills_item_lot_and_expiry_whoever_sends_it(text: str) -> None:
    """R15: GS1-128, Data Matrix, QR and DataBar, with and without the scanner's AIM prefix, or typed in brackets."""
    read = parse(text)
    assert (read.kind, read.value, read.lot, read.expiry) == ("gs1", GTIN, "L1", date(2027, 3, 31))


def test_quantity_and_serial_are_read_too() -> None:
    read = parse(f"02{GTIN}37{24}{GS}21SN-7")
    assert (read.value, read.pieces, read.serial) == (GTIN, 24, "SN-7")
    assert parse(f"01{GTIN}3700").pieces is None


def test_the_second_of_two_codes_says_lot_and_expiry_alone() -> None:
    """R15: in one or two codes."""
    first, second = parse(GTIN), parse(f"]C110L1{GS}17270331")
    assert (first.kind, first.value, first.lot) == ("gtin", GTIN, None)
    assert (second.kind, second.value, second.lot, second.expiry) == ("gs1", "", "L1", date(2027, 3, 31))


def test_best_before_serves_where_no_use_by_is_given() -> None:
    assert parse(f"01{GTIN}15270228").expiry == date(2027, 2, 28)
    assert parse(f"01{GTIN}1527022817270131").expiry == date(2027, 1, 31)


def test_day_zero_is_the_last_day_of_the_month() -> None:
    assert parse(f"01{GTIN}17270200").expiry == date(2027, 2, 28)


def test_ean_upc_and_itf_of_one_product_are_one_key() -> None:
    ean, upc = "6901234567892", "036000291452"
    assert {barcode_key(ean), barcode_key(ean.zfill(14)), parse(ean).value, parse(ean.zfill(14)).value} == {GTIN}
    assert {barcode_key(upc), barcode_key(upc.zfill(13)), barcode_key(upc.zfill(14))} == {upc.zfill(14)}
    assert parse("96385074").value == barcode_key("96385074") == "00000096385074"
    assert parse(f"]E0{ean}").value == GTIN


def test_digits_with_a_wrong_check_digit_are_a_plain_code() -> None:
    read = parse("6901234567893")
    assert (read.kind, read.value) == ("plain", "6901234567893")


@pytest.mark.parametrize("prefix", list(OWN_PREFIXES))
@pytest.mark.parametrize("around", ["{}", " {} ", "]C0{}", "]Q1{}", "\ufeff{}\r\n", "\x02{}\x03"])
def test_own_labels_are_known_in_any_case_and_with_what_scanners_add(prefix: str, around: str) -> None:
    """R14: the class is in the code."""
    kind = OWN_PREFIXES[prefix]
    for code in (f"{prefix}AB-12", f"{prefix}ab-12", f"{prefix.lower()}ab-12"):
        read = parse(around.format(code))
        assert (read.kind, read.value.upper()) == (kind, "AB-12")
        if kind != "badge":
            assert read.value == "AB-12"


def test_a_code_does_not_carry_the_scanners_prefix_on() -> None:
    """The waybill and the SKU are compared as they were printed, whatever the scanner puts before them."""
    assert (parse("]C0YT1234567").value, parse("]C0YT1234567").text) == ("YT1234567", "YT1234567")
    assert parse("]C06901234567892").text == "6901234567892"


def test_a_bare_prefix_is_no_label() -> None:
    assert parse("L-").kind == "plain"
    assert parse("P- ").kind == "plain"


def test_a_serial_number_that_only_begins_like_gs1_is_a_plain_code() -> None:
    assert parse("10ABC").kind == "plain"
    assert parse("0112345").kind == "plain"
    assert parse("(abc)").kind == "plain"


any_text = st.one_of(
    st.text(max_size=80),
    st.text(string.printable + GS + "订单ﬀİß\x00\u200b", max_size=80),
    st.tuples(
        st.sampled_from(["]C1", "]d2", "]Q3", "]C0", "(01)", "01", "10", "17", "21", "37", GS, *OWN_PREFIXES]),
        st.text("0123456789" + GS + "AB()", max_size=60),
    ).map("".join),
)


@settings(max_examples=600)
@given(any_text)
@example("]C1" + "9" * 600)
@example("(01)")
@example("01" + "0" * 14 + "37" + "²")
@example("L-\ud800")
def test_no_text_breaks_the_reader_and_none_is_of_two_classes(text: str) -> None:
    read = parse(text)
    again = parse(text)
    assert read == again
    assert read.kind in {*OWN_PREFIXES.values(), "gtin", "gs1", "plain"}
    assert read.pieces is None or read.pieces > 0
    if read.kind not in ("gtin", "gs1", "plain"):
        prefix = next(p for p, kind in OWN_PREFIXES.items() if kind == read.kind)
        assert read.text.upper().startswith(prefix)
        assert [kind for p, kind in OWN_PREFIXES.items() if read.text.upper().startswith(p)] == [read.kind]
    if read.kind == "gtin":
        assert gtin14(read.value) == read.value and len(read.value) == 14


@given(any_text)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert parse(clean(text)) == parse(text)


@given(
    st.sampled_from(list(OWN_PREFIXES)), st.text(string.ascii_letters + string.digits + "-._", min_size=1, max_size=30)
)
def test_an_own_label_is_of_its_class_and_no_other(prefix: str, code: str) -> None:
    for text in (prefix + code, (prefix + code).lower(), f"]C0{prefix}{code}"):
        assert parse(text).kind == OWN_PREFIXES[prefix]
    assert own(prefix + code) is not None


@given(st.integers(0, 10**13 - 1))
def test_every_form_of_a_gtin_is_one(number: int) -> None:
    body = f"{number:013d}"
    total = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(body))
    full = body + str((10 - total % 10) % 10)
    forms = {full} | {full[-n:] for n in (8, 12, 13) if not full[:-n].strip("0")}
    assert {gtin14(form) for form in forms} == {full}
    assert {barcode_key(f" {form}\r") for form in forms} == {full}
