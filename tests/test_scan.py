"""What a code says, whatever a scanner puts around it; foreign text never breaks it (R14, R15)."""

from __future__ import annotations

import string
from collections.abc import Iterator
from datetime import date
from typing import get_args

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from wms import scan
from wms.scan import (
    FOREIGN,
    GS,
    OWN_PREFIXES,
    CodeClass,
    barcode_key,
    clean,
    gtin14,
    own,
    parse,
    printed,
    restricted,
    with_check_digit,
)

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
    assert (read.value, read.pieces, read.serial, read.of_content) == (GTIN, 24, "SN-7", True)
    assert parse(f"01{GTIN}3700").pieces is None
    assert not parse(f"01{GTIN}3705").of_content
    assert parse(f"]C101{GTIN}30{12}").pieces == 12


@pytest.mark.parametrize(
    ("text", "grams"),
    [
        ("3103001234", 1234),
        ("3100000012", 12_000),
        ("3102001234", 12_340),
        ("3104012345", 1235),  # 1.2345 kg
        ("3105000049", 0),
        ("3105000050", 1),  # half a gram
    ],
)
def test_a_net_weight_is_whole_grams_whatever_its_point(text: str, grams: int) -> None:
    """(310n): six digits of kilograms, n of them behind the point (R7)."""
    read = parse(f"]C101{GTIN}{text}")
    assert (read.value, read.grams) == (GTIN, grams)
    assert parse(f"]C1{text}").grams == grams, "also in the second of two codes"


SSCC = "345678901234567895"


@pytest.mark.parametrize("text", [f"00{SSCC}", f"]C100{SSCC}", f"(00){SSCC}", f"{GS}00{SSCC}\r"])
def test_the_number_of_a_logistic_unit_is_a_class_of_its_own(text: str) -> None:
    read = parse(text)
    assert (read.kind, read.value, read.sscc) == ("sscc", SSCC, SSCC)


def test_a_label_of_a_pallet_names_what_is_on_it_and_keeps_its_own_number() -> None:
    read = parse(f"(00){SSCC}(02){GTIN}(15)270331(10)L1(37)48")
    assert (read.kind, read.value, read.sscc) == ("gs1", GTIN, SSCC)
    assert (read.lot, read.pieces, read.expiry) == ("L1", 48, date(2027, 3, 31))


@pytest.mark.parametrize(
    "text",
    [
        f"]C101{GTIN[:-1]}310L1",  # a wrong check digit
        f"(01){GTIN[:-1]}3(10)L1",
        f"]C102{GTIN[:-1]}33724",
        f"]C100{SSCC[:-1]}4",
        f"]C101{GTIN}10L1{GS}10L2",  # two lots
        f"]C101{GTIN}02{GTIN}3702",  # itself and what lies inside
        f"]C101{GTIN}31030012343102001234",  # two weights
        f"]C101{GTIN}17271331",  # the thirteenth month
    ],
)
def test_what_gs1_contradicts_itself_or_is_misread_is_no_item_and_no_lot(text: str) -> None:
    """R14: a lot without its item would be taken for the item at hand."""
    read = parse(text)
    assert (read.kind, read.lot, read.expiry, read.pieces) == ("plain", None, None, None)


def test_a_link_in_a_gs1_qr_code_names_its_item() -> None:
    read = parse(f"https://example.com/shop/01/{GTIN}/10/L1?17=270331&from=label")
    assert (read.kind, read.value, read.lot, read.expiry) == ("gs1", GTIN, "L1", date(2027, 3, 31))
    assert parse("https://example.com/01/12345678").kind == "plain"
    assert parse("https://example.com/goods/7").kind == "plain"


def test_a_code_longer_than_any_label_is_never_read_in_part() -> None:
    long = f"]C101{GTIN}10L1{GS}240" + "9" * scan.LONGEST
    assert (parse(long).kind, parse(long).lot) == ("plain", None)


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


def test_a_case_knows_the_piece_inside() -> None:
    assert parse("16901234567899").inner == GTIN
    assert parse("]C10116901234567899").inner == GTIN
    for text in (GTIN, "6901234567892", "96901234567895", "16901234567890", "CASE-1"):
        assert parse(text).inner == "", "a piece, a variable measure, a misread and a plain code hold nothing"


def test_eight_digits_of_a_upc_e_are_its_upc_a() -> None:
    """Expanded by the rule of the GS1 General Specifications, 5.2.2.4.2; EAN-8 stays EAN-8."""
    for short, full in (("04252614", "042100005264"), ("06543217", "065100004327"), ("01278907", "012000007897")):
        assert gtin14(short) is None
        assert parse(short).value == barcode_key(short) == barcode_key(full) == full.zfill(14)
        assert parse(f"]E4{short}").kind == "plain", "the scanner says it is an EAN-8, and it is none"


def test_eight_digits_that_are_sound_both_ways_keep_both_meanings() -> None:
    """R14: which of the two it is, the catalogue knows, or nobody."""
    both = next(f"{n:08d}" for n in range(10_000, 99_999) if gtin14(f"{n:08d}") and scan._upc_a(f"{n:08d}"))
    read = parse(both)
    assert (read.value, read.also) == (both.zfill(14), scan._upc_a(both))
    assert {both.zfill(14), read.also} <= read.item_keys
    assert barcode_key(both) == both.zfill(14)
    assert parse(f"]E4{both}").also == "", "the scanner says which"


def test_six_digits_are_a_upc_e_only_when_the_scanner_says_so() -> None:
    assert parse("]E0425261").value == "042100005264".zfill(14)
    assert parse("425261").kind == parse("]C0425261").kind == "plain"


@pytest.mark.parametrize("text", ["2100001012344", "2999999000008", "212345678904", "20000011"])
def test_a_number_that_a_shop_gave_out_itself_is_a_class_of_its_own(text: str) -> None:
    text = with_check_digit(text[:-1])
    read = parse(text)
    assert (read.kind, read.value, read.grams, read.pieces) == ("restricted", text.zfill(14), None, None)


@pytest.fixture
def scales() -> Iterator[None]:
    scan.use(scan.Rules.of(["22IIIIIWWWWWC", "23IIIIVPPPPPC", "24IIIIIINNNNC", "2277IIIWWWWWC"]))
    yield
    scan.use(scan.Rules())


@pytest.mark.usefixtures("scales")
def test_a_weighed_pack_is_its_item_and_its_grams_by_the_sites_settings() -> None:
    stored = with_check_digit("0221234500000")
    for grams in (5, 1250, 99_999):
        read = parse(with_check_digit(f"2212345{grams:05d}"))
        assert (read.kind, read.value, read.grams, read.pieces) == ("restricted", stored, grams, None)
        assert barcode_key(read.text) == stored, "any pack will do to enter the barcode"
    assert parse(with_check_digit("230123456789")).value == with_check_digit("0230123000000")
    assert parse(with_check_digit("240123450012")).pieces == 12
    assert parse(with_check_digit("240123450000")).pieces is None
    assert parse(with_check_digit("227712301000")).value == with_check_digit("0227712300000"), "the longer one first"
    assert parse(with_check_digit("250123456789")).value == with_check_digit("250123456789").zfill(14)


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
    assert barcode_key("]C0yt1234567") == "YT1234567"


def test_a_bare_prefix_is_no_label() -> None:
    assert parse("L-").kind == "plain"
    assert parse("P- ").kind == "plain"


def test_a_serial_number_that_only_begins_like_gs1_is_a_plain_code() -> None:
    assert parse("10ABC").kind == "plain"
    assert parse("0112345").kind == "plain"
    assert parse("(abc)").kind == "plain"


# ---------------------------------------------------------------- waybills

# The shapes are published (see WAYBILLS); SF's example stands in the interface description of its order service.
JD, SF = "JDVA00000000001", "SF7444404156506"
SF_QR = "MMM={'k1':'755W','k2':'755BF','k3':'018','k4':'T4','k5':'SF7444404156506','k6':'','k7':'39bb4bd9'}"
OLD_SF_QR = (
    "43100002%MMMMMMMMMMMMMMMMMMMMMMMM={'k1':'574W','k2':'574TF','k3':'017','k4':'T4','k5':'049842774482','k6':''}"
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (f"{JD}-1-1-", JD),
        (f"{JD}-2-13-A07", JD),
        (f"{JD}-1-1", JD),
        (f"{JD}N1S2H5", JD),
        (f"{JD.lower()}-1-1-", JD),
        (f"]Q1{JD}-1-1-\r", JD),
        (SF_QR, SF),
        (f"{SF_QR}      ", SF),
        (SF_QR.replace("'", '"'), SF),
        (OLD_SF_QR, "049842774482"),
    ],
)
def test_the_number_is_taken_out_of_what_a_carrier_prints_around_it(text: str, number: str) -> None:
    read = parse(text)
    assert (read.kind, read.value) == ("plain", number)


@pytest.mark.parametrize("text", ["JDVA-1-1-", f"{JD}-1", f"{JD}-1-1-A7-9", "MMM={}", "MMM={'k4':'T4'}", "-1-1-"])
def test_what_only_resembles_it_stays_as_it_is(text: str) -> None:
    assert parse(text).value == text


@pytest.mark.parametrize(
    ("number", "carriers"),
    [
        (JD, ("JD 京东",)),
        (SF, ("SF 顺丰",)),
        (f"{JD}-1-1-", ("JD 京东",)),
        (SF_QR, ("SF 顺丰",)),
        ("YT0000000000001", ("YTO 圆通",)),
        ("73000000000001", ("ZTO 中通",)),
        ("770000000000001", ("STO 申通",)),
        ("310000000000001", ("YD 韵达",)),
        ("430000000000001", ("STO 申通", "YD 韵达")),
        ("JT0000000000001", ("J&T 极兔",)),
        ("DPK000000000001", ("DBL 德邦",)),
        ("621000000000001", ("CN 菜鸟",)),
        ("9800000000001", ("EMS 邮政",)),
        ("PA00000000001", ("EMS 邮政",)),
        ("RB123456785CN", ("EMS 邮政",)),
        ("RB123456785GB", ("UPU 国际邮件",)),  # UPS S10-12 gives this example
        ("RB123456784GB", ()),  # a wrong check digit
        ("SO-1", ()),
        ("6901234567892", ()),  # a product is never a waybill
        ("L-JDVA00000000001", ()),
    ],
)
def test_a_number_hints_at_its_carrier(number: str, carriers: tuple[str, ...]) -> None:
    assert parse(number).carriers == carriers


def test_every_pattern_names_its_source() -> None:
    assert all(pattern.source and pattern.carrier for pattern in scan.WAYBILLS)


def test_a_site_may_know_more_patterns() -> None:
    scan.use(scan.Rules.of(waybills=[("XY", r"XY[0-9]{6}")]))
    try:
        assert parse("XY000001").carriers == ("XY",)
        assert parse(JD).carriers == ("JD 京东",)
    finally:
        scan.use(scan.Rules())


# ---------------------------------------------------------------- whatever comes

any_text = st.one_of(
    st.text(max_size=80),
    st.binary(max_size=80).map(lambda data: data.decode("latin-1")),
    st.binary(max_size=80).map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.binary(max_size=80).map(lambda data: data.decode("gb18030", "replace")),
    st.text(string.printable + GS + "订单ﬀİß\x00\u200b", max_size=80),
    st.tuples(
        st.sampled_from(
            [
                *("]C1", "]d2", "]Q3", "]C0", "]E0", "]E4", GS),
                *("(01)", "01", "00", "10", "17", "21", "37", "3103", "https://example.com/01/"),
                *(JD, "MMM={'k5':'", *OWN_PREFIXES),
            ]
        ),
        st.text("0123456789" + GS + "AB()-/'}", max_size=60),
    ).map("".join),
)


@settings(max_examples=600)
@given(any_text)
@example("]C1" + "9" * 600)
@example("(01)")
@example("01" + "0" * 14 + "37" + "²")
@example("L-\ud800")
@example("https://example.com/01/\udcff")
def test_no_text_breaks_the_reader_and_none_is_of_two_classes(text: str) -> None:
    read = parse(text)
    assert read == parse(text)
    assert read.kind in get_args(CodeClass)
    assert read.pieces is None or read.pieces > 0
    assert read.grams is None or read.grams >= 0
    assert (read.kind in FOREIGN) == (own(read.text) is None or read.kind != own(read.text)[0])  # type: ignore[index]
    if read.kind not in FOREIGN:
        assert [kind for p, kind in OWN_PREFIXES.items() if read.text.upper().startswith(p)] == [read.kind]
        assert (read.carriers, read.inner, read.also, read.sscc, read.lot) == ((), "", "", None, None)
    if read.kind in ("gtin", "restricted"):
        assert gtin14(read.value) == read.value and len(read.value) == 14
        assert restricted(read.value) == (read.kind == "restricted")
    if read.kind != "plain":
        assert read.carriers == (), "a hint is no class, and a class needs no hint"
    if read.kind == "gs1" and read.value:
        assert gtin14(read.value) == read.value
    if read.kind == "sscc":
        assert len(read.value) == 18 and with_check_digit(read.value[:-1]) == read.value
    assert "" not in read.item_keys


@given(any_text)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert parse(clean(text)) == parse(text)


@given(any_text)
def test_a_barcode_that_was_entered_is_found_by_its_own_text(text: str) -> None:
    """R14, R15: what the catalogue stores is among the forms that a scan of the same code asks for."""
    read = parse(text)
    assume(read.kind in FOREIGN and (read.kind != "gs1" or read.value) and barcode_key(text))
    assert barcode_key(text) in read.item_keys
    assert barcode_key(barcode_key(text)) == barcode_key(text)


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
    assert {parse(form).kind for form in forms} == {"restricted" if restricted(full) else "gtin"}
    assert all(parse(form).value == full for form in forms)
    assert gtin14(printed(full)) == full


lots = st.text(string.ascii_letters + string.digits + "-/.", min_size=1, max_size=20)


@given(
    st.integers(0, 10**13 - 1),
    lots,
    lots,
    st.dates(date(2000, 1, 1), date(2049, 12, 31)),
    st.integers(1, 99_999_999),
    st.booleans(),
    st.permutations(["10", "21", "17", "37"]),
    st.sampled_from(["", "]C1", "]d2", "]Q3", GS, "\x02"]),
)
def test_a_gs1_message_says_the_same_however_it_is_written(
    number: int, lot: str, serial: str, expiry: date, count: int, content: bool, order: list[str], before: str
) -> None:
    """R15: with GS or brackets, with or without the scanner's AIM prefix, in any order of its elements."""
    code = with_check_digit(f"{number:013d}")
    values = {"10": lot, "21": serial, "17": f"{expiry:%y%m%d}", "37": str(count)}
    first = "02" if content else "01"
    sent = before + first + code + "".join(ai + values[ai] + ("" if ai == "17" else GS) for ai in order)
    typed = f"({first}){code}" + "".join(f"({ai}){values[ai]}" for ai in order)
    for text in (sent, sent.removesuffix(GS), typed, f"]Q1{typed}"):
        read = parse(text)
        assert (read.kind, read.value, read.of_content) == ("gs1", code, content), text
        assert (read.lot, read.serial, read.expiry, read.pieces) == (lot, serial, expiry, count), text
        assert barcode_key(text) == code
