"""The scanner check's codes: what is drawn is what a scanner must send."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
import zxingcpp
from PIL import Image, ImageDraw

from tests.floor import Floor
from wms.scan import GS, parse
from wms.web import scanner_check


def drawn(code: scanner_check.TestCode) -> Image.Image:
    """The SVG of a code as a picture, three pixels a module."""
    svg = unquote(scanner_check.picture(code).partition(",")[2])
    width = int(re.findall(r'viewBox="0 0 (\d+) 1"', svg)[0])
    picture = Image.new("L", (width, 1), 255)
    for start, run in re.findall(r"M(\d+) 0h(\d+)v1", svg.split("<path")[2]):
        ImageDraw.Draw(picture).line([(int(start), 0), (int(start) + int(run) - 1, 0)], fill=0)
    return picture.resize((width * 3, 90), Image.Resampling.NEAREST)


@pytest.mark.parametrize("name", ["plain", "mixed", "gs1", "long"])
def test_the_bars_say_what_the_page_waits_for(name: str) -> None:
    [code] = [code for code in scanner_check.CODES if code.name == name]
    [read] = zxingcpp.read_barcodes(drawn(code), formats=zxingcpp.BarcodeFormat.Code128)
    assert read.bytes.decode() == code.text
    assert read.symbology_identifier == ("]C1" if name == "gs1" else "]C0")


def test_each_code_proves_what_it_is_for() -> None:
    by_name = {code.name: code.text for code in scanner_check.CODES}
    assert {"Q", "W", "Y", "Z", "-", "/", "_", *"0123456789"} == set(by_name["plain"])
    assert by_name["mixed"].lower() != by_name["mixed"] != by_name["mixed"].upper()
    assert by_name["gs1"].count(GS) == 1
    read = parse(by_name["gs1"])
    assert (read.kind, read.lot, read.serial) == ("gs1", "AB-12", "cd34")
    assert len(by_name["long"]) == 48
    assert re.search(r"[\u4e00-\u9fff]", by_name["chinese"])
    assert len({len(text) for text in by_name.values()}) == len(by_name), "none is taken for another by its length"


def test_a_picker_opens_it_from_their_settings_and_a_stranger_does_not(floor: Floor) -> None:
    hand = floor.hand("picker")
    assert 'href="/scanner-check"' in hand.get("/me")
    hand.get("/scanner-check")
    hand.sees("people/scanner_check", "Plain code", "GS1 code of two parts")
    assert floor.app.test_client().get("/scanner-check").status_code == 302
