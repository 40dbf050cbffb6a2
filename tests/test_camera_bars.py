"""EAN and UPC by the fit of a print: read through blur, bend, gloss and spread ink, and never another number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wms.camera import bars
from wms.camera.bars import EAN_8, EAN_13, UPC_E, Floats, Layout
from wms.camera.engines import expanded

LAYOUTS = (EAN_13, EAN_8, UPC_E)
FINE = 40  # points a module of the drawn print

# The character sets of EAN/UPC as widths of space, bar, space, bar, written out here once more, so that a wrong table
# in the code under test is found.
SET_A = ["3211", "2221", "2122", "1411", "1132", "1231", "1114", "1312", "1213", "3112"]
FIRST = ["AAAAAA", "AABABB", "AABBAB", "AABBBA", "ABAABB", "ABBAAB", "ABBBAA", "ABABAB", "ABABBA", "ABBABA"]
CHECK = [
    "BBBAAA",
    "BBABAA",
    "BBAABA",
    "BBAAAB",
    "BABBAA",
    "BAABBA",
    "BAAABB",
    "BABABA",
    "BABAAB",
    "BAABAB",
]  # number system 0


def widths(digit: str, which: str) -> list[int]:
    a = [int(width) for width in SET_A[int(digit)]]
    return a[::-1] if which == "B" else a


def check_digit(digits: str) -> str:
    return str(-sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(reversed(digits))) % 10)


def ean_13(twelve: str) -> tuple[str, list[int]]:
    """The number with its check digit, and the widths of its bars and spaces, a bar first."""
    text = twelve + check_digit(twelve)
    left = [w for d, which in zip(text[1:7], FIRST[int(text[0])], strict=True) for w in widths(d, which)]
    return text, [1, 1, 1, *left, 1, 1, 1, 1, 1, *(w for d in text[7:] for w in widths(d, "A")), 1, 1, 1]


def ean_8(seven: str) -> tuple[str, list[int]]:
    text = seven + check_digit(seven)
    left, right = ([w for d in half for w in widths(d, "A")] for half in (text[:4], text[4:]))
    return text, [1, 1, 1, *left, 1, 1, 1, 1, 1, *right, 1, 1, 1]


def upc_e(six: str) -> tuple[str, list[int]]:
    check = check_digit(expanded("0" + six + "0")[:11])
    left = [w for d, which in zip(six, CHECK[int(check)], strict=True) for w in widths(d, which)]
    return "0" + six + check, [1, 1, 1, *left, 1, 1, 1, 1, 1, 1]


def seen(
    runs: list[int],
    blur: float = 0.5,
    module_px: float = 4,
    noise: float = 0.5,
    bend: float = 0,
    spread: float = 0,
    tilt: float = 20,
    gain: float = 110,
    seed: int = 1,
) -> Floats:
    """A print as a row of pixels sees it: ``blur`` (sigma), ``spread`` (of ink, a side) in modules, noise in levels."""
    total = sum(runs)
    ink = np.zeros((total + 24) * FINE)
    edges = 12 + np.concatenate(([0], np.cumsum(runs)))
    for start, end in zip(edges[:-1:2], edges[1::2], strict=True):
        ink[int((start - spread) * FINE) : int((end + spread) * FINE)] = 1
    reach = int(4 * blur * FINE)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (blur * FINE)) ** 2)
    ink = np.convolve(ink, kernel / kernel.sum(), "same")
    at = np.arange(0, total + 24, 1 / module_px)
    t = (at - 12) / total
    at = np.clip(12 + total * (t + bend * t * (1 - t)), 0, total + 23.9)
    light = 160 + tilt * np.linspace(-1, 1, len(at)) - gain * np.interp(at * FINE, np.arange(len(ink)), ink)
    return np.round(light + np.random.default_rng(seed).normal(0, noise, len(at))).astype(np.float32)


def text_of(line: Floats, layouts: tuple[Layout, ...] = LAYOUTS, module_px: float = 4) -> str | None:
    found = bars.read(line, layouts, 100 * module_px)
    return found.text if found else None


digits = st.text("0123456789", min_size=12, max_size=12)


@settings(max_examples=25, deadline=None)
@given(digits, st.floats(0.3, 0.8), st.floats(-0.05, 0.05), st.floats(-0.15, 0.15))
def test_every_ean_13_is_read_through_blur_bend_and_spread_ink(
    twelve: str, blur: float, bend: float, spread: float
) -> None:
    text, runs = ean_13(twelve)
    assert text_of(seen(runs, blur, bend=bend, spread=spread)) == text


# The same numbers every time: what is asked is the rate over these, and one line alone may be wrong once in a thousand.
@settings(max_examples=80, deadline=None, derandomize=True)
@given(digits, st.floats(0.3, 2.2), st.floats(0.3, 8), st.floats(-0.3, 0.3), st.integers(0, 99))
def test_two_rows_never_agree_on_another_number(
    twelve: str, blur: float, noise: float, spread: float, seed: int
) -> None:
    text, runs = ean_13(twelve)
    upper, lower = (seen(runs, blur, noise=noise, spread=spread, seed=each) for each in (seed, seed + 100))
    first = bars.read(upper, LAYOUTS, 400)
    again = bars.read_again(lower, first) if first else None
    assert again is None or again.text == text


@settings(max_examples=15, deadline=None)
@given(st.text("0123456789", min_size=7, max_size=7))
def test_every_ean_8_is_read(seven: str) -> None:
    text, runs = ean_8(seven)
    assert text_of(seen(runs, 0.45), (EAN_8,)) == text


@settings(max_examples=15, deadline=None)
@given(st.text("0123456789", min_size=6, max_size=6))
def test_every_upc_e_is_read(six: str) -> None:
    text, runs = upc_e(six)
    assert text_of(seen(runs, 0.45), (UPC_E,)) == text


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(2, 30))
def test_nothing_is_read_out_of_noise_and_shadows(layout: Layout, seed: int, softness: float) -> None:
    chance = np.random.default_rng(seed)
    kernel = np.exp(-0.5 * (np.arange(-60, 61) / softness) ** 2)
    shadow = np.convolve(chance.normal(0, 400, 700), kernel / kernel.sum(), "valid")
    assert text_of((150 + shadow).astype(np.float32), (layout,)) is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=40, max_size=80), st.floats(0.3, 1.5))
def test_nothing_is_read_out_of_bars_of_another_kind(runs: list[int], blur: float) -> None:
    assert text_of(seen(runs[: len(runs) // 2 * 2 - 1], blur)) is None


def test_a_bar_so_blurred_that_none_becomes_black_is_read() -> None:
    text, runs = ean_13("400638133393")
    assert text_of(seen(runs, 1.2, noise=0.3)) == text


def test_bars_that_shine_brighter_than_the_can_are_read() -> None:
    text, runs = ean_13("004900004256")
    assert text_of(seen(runs, 0.4, gain=-60, bend=0.04)) == text


def test_a_wrong_check_digit_is_no_number() -> None:
    text, runs = ean_13("400638133393")
    wrong = [*runs[:-7], *widths(str((int(text[-1]) + 1) % 10), "A"), *runs[-3:]]
    assert text_of(seen(wrong)) is None


def test_other_rows_are_read_again_from_where_the_first_were() -> None:
    text, runs = ean_13("400638133393")
    first = bars.read(seen(runs, 0.9), LAYOUTS, 400)
    assert first
    again = bars.read_again(seen(runs, 0.9, seed=2), first)
    assert again and again.text == text
    _, other = ean_13("400638133394")
    assert bars.read_again(seen(other, 0.9), first) is None


def test_the_place_of_the_bars_is_where_they_were_drawn() -> None:
    _, runs = ean_13("400638133393")
    found = bars.read(seen(runs, 0.6), LAYOUTS, 400)
    assert found
    assert abs(found.start - 12 * 4) < 2
    assert abs(found.end - (12 + 95) * 4) < 2


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(LAYOUTS), st.lists(st.integers(0, 19), min_size=12, max_size=12))
def test_digits_are_a_number_only_when_parity_and_check_digit_are_right(layout: Layout, said: list[int]) -> None:
    patterns = [digit % count for digit, (_, _, count) in zip(said, layout.digits, strict=False)]
    text = bars.number(layout, patterns)
    if text is None:
        return
    whole = expanded(text) if layout is UPC_E else text
    assert check_digit(whole[:-1]) == whole[-1]
    made = {EAN_13: lambda: ean_13(text[:12])[1], EAN_8: lambda: ean_8(text[:7])[1]}.get(layout)
    if made:
        read = bars.read(seen(made(), 0.4), (layout,), 400)
        assert read and read.text == text
