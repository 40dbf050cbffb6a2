"""Chinese comes out as sharp pictures that a printer takes, and what the font lacks is told."""

from __future__ import annotations

import base64
import binascii
import re
import threading
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from zebrafy import GraphicField, ZebrafyZPL

from printers import image
from printers.errors import CannotPrint, PrinterError

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高"
# Rare characters that stand in people's names.
RARE = "㐂䶮𠮷喆堃翀"


@pytest.mark.parametrize("text", ["张", "北京市朝阳区望京街道", "重量 1.25 kg", "一"])
@pytest.mark.parametrize("bold", [False, True])
def test_a_picture_field_is_the_same_as_another_encoder_makes(text: str, bold: bool):
    picture = image.render(text, 28, bold)
    ours = image.graphic_field(picture)
    theirs = GraphicField(ImageOps.invert(picture.convert("L")).convert("1"), format="Z64").get_graphic_field()
    head = re.compile(rb"\^GFA,(\d+),(\d+),(\d+),:Z64:([^:]+):([0-9A-Fa-f]{4})")
    mine, other = head.match(ours), head.match(theirs.encode())
    assert mine is not None
    assert other is not None
    # The first count is ours to choose in form A; the whole picture and its rows are not.
    assert mine.groups()[1:3] == other.groups()[1:3]
    assert mine.group(1) == mine.group(2)
    assert zlib.decompress(base64.b64decode(mine.group(4))) == zlib.decompress(base64.b64decode(other.group(4)))


def test_another_decoder_gets_the_picture_back_dot_by_dot():
    picture = image.render("收 张三丰", 32, True)
    field = b"^XA^FO0,0" + image.graphic_field(picture) + b"^FS^XZ"
    [back] = ZebrafyZPL(field.decode()).to_images()
    assert ImageOps.invert(back.convert("L")).convert("1").crop((0, 0, *picture.size)).tobytes() == picture.tobytes()


def test_the_check_sum_is_of_the_text_as_sent():
    field = image.z64(b"\x00\xff" * 40)
    found = re.fullmatch(rb":Z64:([^:]+):([0-9A-F]{4})", field)
    assert found is not None
    assert int(found.group(2), 16) == binascii.crc_hqx(found.group(1), 0)
    # The well-known value of CRC-16/XMODEM.
    assert binascii.crc_hqx(b"123456789", 0) == 0x31C3


def test_old_firmware_gets_plain_hexadecimal():
    picture = Image.new("1", (8, 2))
    picture.putpixel((0, 0), 1)
    assert image.graphic_field(picture, "hex") == b"^GFA,2,2,1,8000"


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
        assert ink / (picture.width * picture.height) < 0.72


def test_bold_is_truly_bolder():
    regular, bold = (sum(image.render(SURNAMES, 28, weight).convert("L").histogram()[255:]) for weight in (False, True))
    assert bold > regular * 1.25


def test_no_foot_of_a_character_is_cut_off():
    tall = image.render("国gjpqy", 30, lines=2, width=400)
    box = tall.getbbox()
    assert box is not None
    assert box[1] > 0
    assert box[3] < tall.height


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
        image.render("你好😀א", 24)
    assert refused.value.characters == ("😀", "א")


def test_a_character_drawn_before_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch):
    image.render("仓库拣货", 26)
    monkeypatch.setattr(image._Face, "_draw", lambda *_: pytest.fail("drawn again"))
    image.render("货拣库仓仓仓", 26)


def test_many_threads_draw_the_same_pictures():
    expected = image.render(SURNAMES, 37, True).tobytes()
    image._face.cache_clear()
    drawn: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: drawn.append(image.render(SURNAMES, 37, True).tobytes())) for _ in range(8)
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
    before = image.render("字体", 24).tobytes()
    image.set_font(copy)
    assert image._font_file()[0] == str(copy)
    assert image.render("字体", 24).tobytes() == before
    with pytest.raises(PrinterError, match="no font file"):
        image.set_font(tmp_path / "nothing.ttf")
