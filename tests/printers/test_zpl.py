"""ZPL holds pictures and rectangles alone, so nothing that anybody wrote can become a command."""

from __future__ import annotations

import base64
import binascii
import re
import zlib

import pytest
import zplkit
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from zebrafy import GraphicField, ZebrafyZPL

from printers import image, preview, zpl
from printers.errors import PrinterError
from printers.label import Label
from tests.printers import judge

W, H = 799, 1199
NASTY = [
    "a^XZ~JA",
    "^XA^FDx^FS^XZ",
    "~JR~HS",
    "\\&line\\&break",
    "_5E_7E",
    "back\\slash_under",
    'say \\["] and "quote"',
    'x"\r\nPRINT 9,9\r\n',
    "\x1b!R ~!T",
    "a,b;c:d",
    "100% > 50% < 60%",
    ">;>800>:>5",
    "line\nbreak\r\nand\ttab",
    "\x00\x01\x1b[2J\x7f",
    "^CC*~",
    "'\"`${}<script>",
    "x" * 200,
    "请勿^XZ~JA折叠",
    "备注：_5E \\& ~JA 㐂䶮𠮷",
]
COMMANDS_WE_SEND = {b"^XA", b"^XZ", b"^PW", b"^LL", b"^FO", b"^FS", b"^GB", b"^GF", b"^PQ"}


def anything(label: Label, text: str, field: str) -> Label:
    """One field with this text on the label, as whoever fills in an order may cause it."""
    if field == "text":
        return label.text(10, 10, text, width=700, lines=3)
    if field == "biggest":
        return label.biggest(10, 10, text, 700, 90)
    if field == "qr":
        return label.qr(50, 50, text, 400)
    if field == "code128":
        return label.code128(0, 10, text, 80)
    if field == "gs1":
        return label.code128(0, 10, f"(10){text}", 80, gs1=True)
    return label.datamatrix(10, 10, text, 300)


FIELDS = ["text", "biggest", "qr", "code128", "gs1", "datamatrix"]


def test_a_label_says_its_size_and_ends_with_one_quantity():
    built = zpl.build(Label((406, 203)).text(20, 20, "A1").code128(20, 60, "A1", 60), copies=3)
    assert built.startswith(b"^XA\n^PW406\n^LL203\n")
    assert built.endswith(b"\n^PQ3,0,1,Y\n^XZ\n")
    assert built.count(b"^XA") == built.count(b"^XZ") == built.count(b"^PQ") == 1


@given(st.text(max_size=60) | st.sampled_from(NASTY), st.sampled_from(FIELDS))
@settings(max_examples=300, deadline=None)
def test_no_text_whatever_brings_a_command_onto_the_wire(text: str, field: str):
    label = Label((W, H))
    try:
        anything(label, text, field)
    except PrinterError:
        pass  # refused by name; what was drawn before it must be sound all the same
    built = zpl.build(label)
    assert set(re.findall(rb"\^[A-Z][A-Z0-9]", built)) <= COMMANDS_WE_SEND
    assert built.count(b"^") == len(re.findall(rb"\^[A-Z][A-Z0-9]", built))
    assert b"~" not in built
    assert not re.search(rb"[^\n -~]", built)
    assert built.count(b"^FO") == built.count(b"^FS") == built.count(b"^GF") + built.count(b"^GB")
    # The strict interpreter takes it as one label, and draws what the preview draws.
    [drawn] = judge.by_zplkit(built, label)
    assert judge.differing(drawn, preview.picture(label)) == 0


@pytest.mark.parametrize("text", NASTY)
def test_a_nasty_note_stays_on_one_label_and_the_codes_beside_it_read_back(paper, text: str):
    label = Label((W, H)).text(20, 20, text, width=760, lines=4).code128(0, 300, "JD0012345678901-1-1-", 100)
    label.qr(100, 600, f"N|{text}", 300)
    [drawn] = judge.by_zebrash(zpl.build(label), label)
    assert judge.differing(drawn, preview.picture(label)) == 0
    read = judge.read(drawn)
    assert "JD0012345678901-1-1-" in read
    assert any(code.startswith("N|") for code in read)


@pytest.mark.parametrize("text", ["张", "北京市朝阳区望京街道", "重量 1.25 kg", "一"])
@pytest.mark.parametrize("bold", [False, True])
def test_a_picture_field_is_the_same_as_another_encoder_makes(text: str, bold: bool):
    picture = image.draw(text, 28, bold).image
    ours = zpl.graphic_field(picture)
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
    picture = image.draw("收 张三丰", 32, True).image
    field = b"^XA^FO0,0" + zpl.graphic_field(picture) + b"^FS^XZ"
    [back] = ZebrafyZPL(field.decode()).to_images()
    assert ImageOps.invert(back.convert("L")).convert("1").crop((0, 0, *picture.size)).tobytes() == picture.tobytes()


def test_the_check_sum_is_of_the_text_as_sent():
    field = zpl.z64(b"\x00\xff" * 40)
    found = re.fullmatch(rb":Z64:([^:]+):([0-9A-F]{4})", field)
    assert found is not None
    assert int(found.group(2), 16) == binascii.crc_hqx(found.group(1), 0)
    # The well-known value of CRC-16/XMODEM.
    assert binascii.crc_hqx(b"123456789", 0) == 0x31C3


def test_a_wrong_check_sum_would_be_noticed_by_the_judge():
    label = Label((W, H)).text(10, 10, "张")
    broken = re.sub(rb":[0-9A-F]{4}\^FS", b":0000^FS", zpl.build(label))
    with pytest.raises(zplkit.rendering.RenderError):
        judge.by_zplkit(broken, label)


def test_old_firmware_gets_plain_hexadecimal(paper):
    picture = Image.new("1", (8, 2))
    picture.putpixel((0, 0), 1)
    assert zpl.graphic_field(picture, "hex") == b"^GFA,2,2,1,8000"
    label = Label((W, H)).text(20, 20, "张三丰").qr(100, 100, "A1", 100)
    for draw in (judge.by_zebrash, judge.by_zplkit):
        [drawn] = draw(zpl.build(label, graphics="hex"), label)
        assert judge.differing(drawn, preview.picture(label)) == 0


def test_a_carriers_label_without_a_quantity_can_be_marked_too(paper):
    from printers.languages import marked_again

    theirs = b"^XA^FO50,100^A0N,40,40^FDcarrier^FS^XZ"
    again = marked_again("zpl", theirs, "补打 1", (W, H))
    assert again.endswith(b"^FS\n^XZ")
    [before], [after] = (judge.by_zebrash(job, Label((W, H))) for job in (theirs, again))
    assert judge.differing(before.crop((0, 60, W, H)), after.crop((0, 60, W, H))) == 0
    assert after.crop((600, 0, W, 60)).convert("L").histogram()[255] > 500
