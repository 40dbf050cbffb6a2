"""The fit check says in sentences what an expert would object to, and nothing of the templates that ship."""

from __future__ import annotations

import pytest

from printers import fit, template

HEAD = 'size = [60, 40]\n[fields]\ncode = "L-A-01"\nlong = "北京市朝阳区望京街道阜通东大街六号方恒国际中心"\n'


def said(elements: str, dpi: int = 203) -> list[str]:
    return [str(finding) for finding in fit.check(template.parse(HEAD + elements, "test.toml"), dpi)]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("dpi", [203, 300, 600])
@pytest.mark.parametrize("name", template.names())
def test_a_shipped_template_gives_no_cause_for_complaint(name: str, dpi: int, language: str):
    assert [str(finding) for finding in fit.check(template.shipped(name), dpi, language)] == []


def test_a_code_that_is_too_wide_says_how_much_room_it_needs():
    [finding] = said('[[element]]\nkind = "code128"\nat = [2, 5]\nwidth = 20\nheight = 10\ndata = "{code}"\n')
    assert "Element 1 (code128): the code needs 30.3 mm with its clear edges, there are 20.0 mm." in finding


def test_bars_that_are_too_fine_are_told_where_dots_are_finer():
    elements = '[[element]]\nkind = "code128"\nat = [2, 5]\nwidth = 22\nheight = 10\ndata = "{code}"\nletters = 0\n'
    [finding] = said(elements, dpi=300)
    assert finding.endswith("its bars are 0.17 mm wide; scanners want 0.25 mm. Give it more room.")


def test_a_text_in_the_clear_edge_of_a_code_is_told():
    elements = (
        '[[element]]\nkind = "code128"\nat = [0, 5]\nheight = 10\ndata = "{code}"\n'
        '[[element]]\nkind = "text"\nat = [8, 8]\nwidth = 6\nheight = 3\ntext = "A"\n'
    )
    assert "Element 1 (code128): 2 (text) stands in the clear edge that a scanner needs." in said(elements)


def test_a_square_at_the_edge_and_ink_at_the_edge_are_told():
    both = said('[[element]]\nkind = "qr"\nat = [0, 0]\nside = 11\ndata = "{code}"\n')
    assert both == [
        "Element 1 (qr) stands less than 1 mm from the edge; paper moves that much in the printer.",
        "Element 1 (qr): the clear edge that a scanner needs reaches over the edge of the label.",
    ]


def test_elements_that_lie_over_one_another_are_told_but_a_frame_around_a_text_is_not():
    text = '[[element]]\nkind = "text"\nat = [10, 10]\nwidth = 30\nheight = 4\ntext = "北京"\n'
    line = '[[element]]\nkind = "line"\nat = [5, 12]\nlength = 30\n'
    box = '[[element]]\nkind = "box"\nat = [5, 5]\nsize = [45, 20]\n'
    assert said(text + line) == ["Elements 1 (text) and 2 (line) lie over one another."]
    assert said(text + box) == []


def test_text_that_is_cut_or_too_small_is_told():
    cut = said('[[element]]\nkind = "text"\nat = [5, 5]\nwidth = 20\nheight = 4\ntext = "{long}"\n')
    assert cut == ["Element 1 (text): the text is cut, even in the smallest letters. Give it more room."]
    small = said('[[element]]\nkind = "text"\nat = [5, 5]\nwidth = 50\nheight = 1.5\ntext = "北京"\n')
    assert small == ["Element 1 (text): letters of 1.5 mm run together; they come out at 2.8 mm."]


def test_an_element_off_the_label_is_told_with_how_far():
    [finding] = said('[[element]]\nkind = "box"\nat = [5, 5]\nsize = [70, 10]\n')
    assert finding == "Element 1 (box) reaches to 74.9 mm, there are 59.9 mm."


def test_signs_without_a_picture_and_wrong_numbers_are_told():
    assert said('[[element]]\nkind = "text"\nat = [5, 5]\nwidth = 50\nheight = 4\ntext = "好😀"\n') == [
        "Element 1 (text) holds signs that cannot be drawn: 😀."
    ]
    assert said('[[element]]\nkind = "ean"\nat = [2, 5]\nheight = 10\ndata = "6901234567890"\n') == [
        "Element 1 (ean): the check digit of 6901234567890 should be 2."
    ]
    assert said('[[element]]\nkind = "gs1-128"\nat = [2, 5]\nheight = 10\ndata = "{code}"\n') == [
        "Element 1 (gs1-128) holds data that such a code cannot carry."
    ]


def test_a_carton_wants_wide_and_high_bars():
    head = 'size = [100, 60]\n[fields]\nsscc = "106141411234567897"\n'
    element = '[[element]]\nkind = "gs1-128"\nat = [5, 5]\nwidth = 80\nheight = 15\ndata = "(00){sscc}"\n'
    found = [str(one) for one in fit.check(template.parse(head + element, "t.toml"))]
    assert found == [
        "Element 1 (gs1-128): its bars are 0.38 mm wide; scanners want 0.49 mm. Give it more room.",
        "Element 1 (gs1-128): GS1 wants the bars of a carton 32 mm high.",
    ]


def test_what_stands_in_a_row_is_named_by_its_row():
    rows = (
        'size = [60, 40]\n[fields]\nlines = [{ sku = "A" }]\n'
        '[[element]]\nkind = "repeat"\nat = [2, 2]\nover = "lines"\nrow = 10\nroom = 30\n'
        '[[element.element]]\nkind = "box"\nat = [0, 0]\nsize = [90, 5]\n'
    )
    [finding] = fit.check(template.parse(rows, "t.toml"))
    assert str(finding).startswith("Element 1 (repeat) / 1 (box) reaches to 92.0 mm")
