"""A label holds what was asked, where it was asked, and nothing hangs over its edge."""

from __future__ import annotations

import pytest

from printers import preview
from printers.errors import CannotPrint, DoesNotFit
from printers.label import Bars, Fill, Frame, Label, Matrix, Picture, grouped, printable
from printers.symbols import code128_modules
from tests.printers import judge

W, H = 799, 1199


@pytest.mark.parametrize(
    ("number", "width_mm", "dpi", "module"),
    [
        ("JD0012345678901-1-1-", 100, 203, 3),
        ("JD0012345678901-1-1-", 76, 203, 2),
        ("JD0012345678901-1-1-", 100, 300, 5),
        ("73123456789012", 100, 203, 4),
        ("A1", 100, 203, 4),
        ("A1", 100, 300, 6),
    ],
)
def test_the_widest_bars_that_fit_with_their_quiet_zones_are_taken(number: str, width_mm: int, dpi: int, module: int):
    label = Label((round(width_mm * dpi / 25.4), 600), dpi)
    [bars, _] = label.code128(0, 20, number, 80, max_width=label.width).marks
    assert isinstance(bars, Bars)
    assert bars.module == module
    assert bars.x >= 10 * module
    assert bars.x + (code128_modules(number) + 10) * module <= label.width


def test_bars_are_never_wider_than_half_a_millimetre():
    for dpi in (203, 300, 600):
        [bars] = Label.of_mm(100, 50, dpi).code128(0, 0, "A", 80, max_width=800, show=False).marks
        assert isinstance(bars, Bars)
        assert 0.44 <= bars.module * 25.4 / dpi <= 0.52


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
        lambda label: label.biggest(10, 190, "A1", 380, 40),
        lambda label: label.code128(0, 150, "A1", 80),
        lambda label: label.ean(0, 150, "96385074", 80),
        lambda label: label.qr(380, 20, "A1", 80),
        lambda label: label.qr(20, 180, "A1", 80),
        lambda label: label.qr(20, 20, "A1", 41),
        lambda label: label.datamatrix(395, 20, "A1", 40),
        lambda label: label.box(0, 0, 500, 10),
        lambda label: label.line(0, 0, 500),
        lambda label: label.line(0, 0, 500, vertical=True),
    ],
)
def test_nothing_is_drawn_off_the_label(draw):
    label = Label((406, 203))
    with pytest.raises(DoesNotFit):
        draw(label)
    assert all(mark.box[2] <= 406 and mark.box[3] <= 203 for mark in label.marks)


@pytest.mark.parametrize("text", ["好😀", "שלום", "\ue000", "\ud800", "مرحبا"])
def test_a_character_without_a_picture_is_refused_by_name_and_never_printed_as_a_box(text: str):
    for write in (lambda label: label.text(10, 10, text), lambda label: label.biggest(10, 10, text, 500, 100)):
        with pytest.raises(CannotPrint) as refused:
            write(Label((W, H)))
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
    assert 22 <= fits.letters[0] < 40
    long = "北京市朝阳区望京街道阜通东大街" * 4
    cut = Label((400, 200)).text(10, 10, long, 40, width=380, min_height=22)
    assert cut.cut == [long]
    assert cut.letters == [22]


@pytest.mark.parametrize("text", ["330-A12-005", "010 内蒙古 A12", "A-01-02-03", "T", "京东" * 30, "x" * 200])
@pytest.mark.parametrize(("width", "height"), [(700, 100), (200, 120), (90, 40)])
def test_the_biggest_letters_stay_in_their_room(text: str, width: int, height: int):
    label = Label((W, H)).biggest(20, 50, text, width, height, min_height=20)
    box = preview.picture(label).getbbox()
    assert box is not None
    assert box[0] >= 20 - 2
    assert box[1] >= 50 - 4
    assert box[2] <= 20 + width + 2
    assert box[3] <= 50 + height + 6


def test_a_long_place_is_broken_at_its_middle_hyphen_where_that_makes_it_bigger():
    narrow = Label((W, H)).biggest(0, 0, "A-01-02-03", 200, 150)
    wide = Label((W, H)).biggest(0, 0, "A-01-02-03", 790, 60)
    assert narrow.letters[0] > 200 * 1000 // 6000 * 1.3
    assert preview.picture(wide).getbbox()[3] <= 62


def test_a_box_and_lines_have_just_their_dots():
    label = Label((100, 60)).box(10, 10, 40, 30, 3).line(60, 10, 20, 2).line(60, 20, 30, 2, vertical=True)
    picture = preview.picture(label)
    assert picture.convert("L").histogram()[255] == 40 * 30 - 34 * 24 + 2 * 20 + 2 * 30
    assert [type(mark) for mark in label.marks] == [Frame, Fill, Fill]
    assert isinstance(Label((100, 60)).box(10, 10, 40, 5, 3).marks[0], Fill)


@pytest.mark.parametrize("data", ["A1", "JD0012345678901-1-1-", "x" * 60])
def test_a_square_as_rectangles_is_the_square_as_a_picture(data: str):
    [matrix] = Label((W, H)).qr(30, 40, data, 200).marks
    assert isinstance(matrix, Matrix)
    fills, painted = Label((W, H)), Label((W, H))
    fills.marks += matrix.fills()
    painted.marks.append(matrix.picture())
    assert judge.differing(preview.picture(fills), preview.picture(painted)) == 0
    area = sum(fill.width * fill.height for fill in matrix.fills())
    assert area == preview.picture(painted).convert("L").histogram()[255], "rectangles overlap"


def test_a_square_is_as_large_as_its_room_allows_and_in_the_middle_of_it():
    [matrix] = Label((W, H)).qr(100, 100, "A1", 100).marks
    assert isinstance(matrix, Matrix)
    assert matrix.module == 4
    assert matrix.box == (108, 108, 192, 192)


def test_a_text_without_ink_draws_nothing():
    label = Label((W, H)).text(10, 10, " \n\u200b").biggest(10, 10, "", 100, 100)
    assert label.marks == []


def test_a_picture_is_taken_dot_for_dot():
    drawn = preview.picture(Label((40, 30)).box(0, 0, 40, 30))
    [mark] = Label((W, H)).picture(5, 6, drawn).marks
    assert isinstance(mark, Picture)
    assert mark.box == (5, 6, 45, 36)


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
