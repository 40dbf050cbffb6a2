"""Text comes out as sharp pictures, and what the font lacks is told."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from printers import image
from printers.errors import CannotPrint, PrinterError

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高"
# Rare characters that stand in people's names.
RARE = "㐂䶮𠮷喆堃翀"


def test_the_font_has_the_characters_that_stand_on_chinese_labels():
    gb2312 = "".join(
        bytes((high, low)).decode("gb2312", "ignore") for high in range(0xB0, 0xF8) for low in range(0xA1, 0xFF)
    )
    assert len(gb2312) == 6763
    assert image.missing(gb2312) == []
    assert image.missing(RARE + "，。、；：！？（）【】《》￥×°") == []


@pytest.mark.parametrize("bold", [False, True])
def test_han_characters_are_at_least_twenty_dots_high_at_the_smallest_size_and_not_blots(bold: bool):
    for character in "国量囊鑫疆":
        picture = image.draw(character, 22, bold).image
        ink = sum(picture.convert("L").histogram()[255:])
        assert picture.height >= 20
        assert ink / (22 * picture.height) < 0.72


def test_bold_is_truly_bolder():
    regular, bold = (
        sum(image.draw(SURNAMES, 28, weight).image.convert("L").histogram()[255:]) for weight in (False, True)
    )
    assert bold > regular * 1.25


@pytest.mark.parametrize("text", ["国gjpqy", "Ågj|{}", "fjÂÇ"])
def test_no_foot_head_or_side_of_a_character_is_cut_off(text: str):
    face, scale = image._face(30, True), image._scale(True)
    drawn, x, boxes = image.draw(text, 30, True), 0, []
    for character in text:
        tile = face.tile(character)
        if tile is not None and tile.picture is not None:
            boxes.append((x + tile.left, tile.top, x + tile.left + tile.picture.width, tile.top + tile.picture.height))
        x += scale.width(character, 30)
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    # A tile may have an empty edge of a dot; its ink may not be cut.
    assert 0 <= (right - left) - drawn.image.width <= 2
    assert 0 <= (bottom - top) - drawn.image.height <= 2
    assert drawn.image.getbbox() == (0, 0, *drawn.image.size)


@pytest.mark.parametrize("bold", [False, True])
def test_a_text_of_one_size_is_as_wide_as_was_reckoned_without_drawing_it(bold: bool):
    for text in ("JD 0012 3456 78901", "北京市朝阳区6号", "WWWiiiMMM"):
        for size in (22, 37, 120):
            drawn = image.draw(text, size, bold).image.width
            assert drawn <= image.text_width(text, size, bold) <= drawn + size


@pytest.mark.parametrize("size", [22, 28, 40])
def test_wrapped_lines_stay_in_their_width_and_lose_nothing(size: int):
    text = "浙江省杭州市余杭区五常街道仓前路 No.88-12 Warehouse 三号库（北门）" * 2
    rows, cut = image.wrap(text, size, False, 300, 50)
    assert not cut
    assert all(image.text_width(row, size) <= 300 for row in rows)
    assert "".join(rows).replace(" ", "") == text.replace(" ", "")
    assert not any(row[0] in "，。）" for row in rows)


def test_what_does_not_fit_ends_in_an_ellipsis_inside_the_width():
    rows, cut = image.wrap("北京市朝阳区望京街道阜通东大街六号", 24, False, 150, 2)
    assert cut
    assert len(rows) == 2
    assert rows[1].endswith("…")
    assert image.text_width(rows[1], 24) <= 150


def test_a_word_longer_than_the_line_is_broken_and_not_lost():
    rows, cut = image.wrap("A" * 100, 24, False, 200, 20)
    assert not cut
    assert "".join(rows) == "A" * 100


@pytest.mark.parametrize("text", ["", " ", "\n", "\u200b"])
def test_a_text_without_ink_makes_an_empty_picture(text: str):
    assert image.draw(text, 24).image.getbbox() is None


def test_a_missing_character_is_refused_and_named():
    with pytest.raises(CannotPrint) as refused:
        image.draw("你好😀א", 24)
    assert refused.value.characters == ("😀", "א")


def test_a_character_drawn_before_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch):
    image.draw("仓库拣货", 26)
    monkeypatch.setattr(image._Face, "_draw", lambda *_: pytest.fail("drawn again"))
    image.draw("货拣库仓仓仓", 26)


def test_many_threads_draw_the_same_pictures():
    expected = image.draw(SURNAMES, 37, True).image.tobytes()
    image._face.cache_clear()
    drawn: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: drawn.append(image.draw(SURNAMES, 37, True).image.tobytes())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [expected] * 8


def test_another_font_file_can_be_set_and_a_wrong_path_is_told(tmp_path: Path):
    own, _ = image._font_file()
    copy = tmp_path / "label.ttc"
    copy.symlink_to(own)
    before = image.draw("字体", 24).image.tobytes()
    image.set_font(copy)
    assert image._font_file()[0] == str(copy)
    assert image.draw("字体", 24).image.tobytes() == before
    with pytest.raises(PrinterError, match="no font file"):
        image.set_font(tmp_path / "nothing.ttf")
