"""A template is read strictly: a slip is told with its file, its element and its cure, and never on paper."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from printers import preview, template
from printers.errors import TemplateError
from printers.label import Matrix
from tests.printers import judge

HEAD = """
size = [60, 40]

[words.zh]
title = "标题"

[words.en]
title = "Title"

[fields]
code = "L-A-01"
name = "北京"
lines = [{ sku = "A1", qty = "2" }]
"""
TEXT = '[[element]]\nkind = "text"\nat = [3, 3]\nwidth = 50\nheight = 4\ntext = "{name}"\n'


def drawn(elements: str, fields: template.Fields | None = None, language: str = "zh", head: str = HEAD):
    one = template.parse(head + elements, "mine.toml")
    return one.draw({**one.samples, **(fields or {})}, 203, language)


def ink(label) -> int:
    return preview.picture(label).convert("L").histogram()[255]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("size = 3", "mine.toml: size is two numbers in millimetres, such as size = [3, 12.5]"),
        ("size = [60, 4000]", "size lies between 10 and 400 mm"),
        ("size = [60, 40]", "it has no element; write at least one [[element]]"),
        ("size = [60, 40", "this is not TOML"),
        (HEAD + TEXT + "heigth = 3", "mine.toml, element 1 (text): unknown key 'heigth'; known here are align, at,"),
        (HEAD + TEXT.replace("text", "txt", 1), "element 1 (txt): kind is one of text, code128,"),
        (
            HEAD + TEXT.replace("{name}", "{nmae}"),
            "element 1 (text): {nmae} is neither a field nor a word; its fields are",
        ),
        (HEAD + TEXT.replace("{name}", "{name|upper}"), "{name|upper} in text is no field"),
        (HEAD + TEXT.replace("{name}", "{name"), "{ in text is no field"),
        (HEAD + TEXT.replace("[3, 3]", "[61, 3]"), "at = [61, 3] lies outside the 60×40 mm that there are"),
        (HEAD + TEXT.replace("height = 4", ""), "height is needed: a number of millimetres"),
        (HEAD + TEXT.replace("height = 4", "height = 0.2"), "height lies between 1.5 and 400 mm"),
        (HEAD + TEXT + 'when = "name=1"', 'when is "field", "not field", "field = value"'),
        (HEAD + TEXT + 'when = "nobody"', "{nobody} is neither a field nor a word"),
        (HEAD + TEXT + "bold = 1", "bold is true or false, not 1"),
        (HEAD + TEXT + "lines = 0", "lines is a whole number from 1 to 500, not 0"),
        (HEAD + TEXT + 'align = "middle"', "align is one of left, center, right, not 'middle'"),
        (HEAD.replace('title = "Title"', "") + TEXT, "[words.en] lacks 'title', which another language has"),
        (HEAD.replace('code = "L-A-01"', "code = 7") + TEXT, "field 'code' needs a small-letter name and a sample"),
        (HEAD.replace('code = "L-A-01"', 'page = "1"') + TEXT, "field 'page' needs a small-letter name"),
        (HEAD + '[[element]]\nkind = "stack"\nat = [1, 1]\nroom = 10', "a stack needs at least one [[element.rows]]"),
        (
            HEAD + '[[element]]\nkind = "repeat"\nat = [1, 1]\nover = "code"\nrow = 9\n[[element.element]]\n'
            'kind = "line"\nat = [0, 0]\nlength = 3',
            "a template repeats over one field, whose sample is a list of rows",
        ),
        (
            HEAD + '[[element]]\nkind = "repeat"\nat = [1, 1]\nover = "lines"\nrow = 9\nroom = 90\n'
            '[[element.element]]\nkind = "line"\nat = [0, 0]\nlength = 3',
            "its rows and columns do not fit on the label",
        ),
        (
            HEAD + '[[element]]\nkind = "repeat"\nat = [1, 1]\nover = "lines"\nrow = 9\n'
            '[[element.element]]\nkind = "repeat"\nat = [0, 0]\nover = "lines"\nrow = 3',
            "element 1 (repeat), element 1 (repeat): a repeat cannot stand inside another one",
        ),
        (HEAD + '[[element]]\nkind = "image"\nat = [1, 1]\nsize = [9, 9]', 'an image has either file = "logo.png"'),
        (HEAD + '[[element]]\nkind = "image"\nat = [1, 1]\nsize = [9, 9]\nfile = "../x.png"', "must be a file beside"),
        (HEAD + '[[element]]\nkind = "image"\nat = [1, 1]\nsize = [9, 9]\nfile = "x.png"', "'x.png' cannot be read"),
        (HEAD + TEXT + "[[other]]\nx = 1", "unknown key 'other'; known here are element, fields, size, words"),
    ],
)
def test_each_slip_is_told_with_its_place_and_its_cure(text: str, told: str, tmp_path: Path):
    with pytest.raises(TemplateError) as error:
        template.parse(text, "mine.toml", tmp_path)
    assert told in str(error.value)
    assert str(error.value).startswith("mine.toml")


def test_a_field_that_the_template_does_not_have_is_refused():
    one = template.parse(HEAD + TEXT, "mine.toml")
    with pytest.raises(TemplateError, match="there is no field 'nmae'; its fields are code, lines, name"):
        one.draw({"nmae": "x"})


def test_a_template_that_is_not_there_is_told_with_those_that_are(tmp_path: Path):
    with pytest.raises(TemplateError, match="there are carton, item"):
        template.shipped("nothing")
    with pytest.raises(TemplateError, match="cannot be read"):
        template.load(tmp_path / "nothing.toml")


def test_shipped_templates_are_found_as_files_of_the_package():
    assert "waybill-100x150" in template.names()
    assert template.shipped("location").width == 60


@pytest.mark.parametrize(
    ("when", "fields", "there"),
    [
        ("name", {"name": "京"}, True),
        ("name", {"name": ""}, False),
        ("name", {"name": " "}, False),
        ("not name", {"name": ""}, True),
        ("not name", {"name": "京"}, False),
        ("code = A1", {"code": "A1"}, True),
        ("code = A1", {"code": "A2"}, False),
        ("code != A1", {"code": "A2"}, True),
        ("code = two words", {"code": "two words"}, True),
    ],
)
def test_an_element_is_drawn_when_its_condition_holds(when: str, fields: dict[str, str], there: bool):
    line = f'[[element]]\nkind = "line"\nat = [5, 5]\nlength = 20\nwhen = "{when}"\n'
    [label] = drawn(line, fields)
    assert bool(label.marks) is there


def test_braces_words_and_groups_are_filled_in():
    one = template.parse(HEAD + TEXT.replace("{name}", "{{{name}}} {title} {code|grouped}"), "mine.toml")
    [element] = one.elements
    assert isinstance(element, template.Text)
    assert (
        element.text.fill({"name": "京", "title": "标题", "code": "JD0012345678901"}) == "{京} 标题 JD 0012 3456 78901"
    )


def test_words_are_those_of_the_labels_language_and_english_where_there_is_none():
    texts = {
        language: drawn(TEXT.replace("{name}", "{title}"), language=language)[0] for language in ("zh", "en", "fr")
    }
    assert ink(texts["zh"]) != ink(texts["en"]) == ink(texts["fr"])


def test_each_kind_of_element_is_drawn(tmp_path: Path):
    Image.new("L", (20, 10), 0).save(tmp_path / "logo.png")
    elements = (
        TEXT
        + '[[element]]\nkind = "ean"\nat = [0, 8]\nheight = 6\ndata = "6901234567892"\n'
        + '[[element]]\nkind = "datamatrix"\nat = [45, 20]\nside = 10\ndata = "{code}"\n'
        + '[[element]]\nkind = "image"\nat = [2, 20]\nsize = [20, 20]\nfile = "logo.png"\n'
        + '[[element]]\nkind = "line"\nat = [30, 20]\nlength = 10\ndown = true\n'
    )
    one = template.parse(HEAD + elements, "mine.toml", tmp_path)
    [label] = one.draw(one.samples)
    assert judge.read(preview.picture(label)) == {"6901234567892", "L-A-01"}
    assert sum(isinstance(mark, Matrix) for mark in label.marks) == 1
    # 20 mm wide, and half as high as the picture is.
    assert label.marks[-2].box == (16, 160, 176, 240)


def test_rows_go_across_then_down_then_on_the_next_page():
    head = 'size = [60, 40]\n[fields]\nlines = [{ sku = "A" }]\n'
    rows = (
        '[[element]]\nkind = "repeat"\nat = [0, 0]\nover = "lines"\ncolumns = 2\ncolumn = 30\nrow = 20\nroom = 40\n'
        '[[element.element]]\nkind = "qr"\nat = [5, 3]\nside = 12\ndata = "{sku}-{row}-{page}/{pages}"\n'
    )
    pages = drawn(rows, {"lines": [{"sku": f"S{n}"} for n in range(6)]}, head=head)
    assert len(pages) == 2
    assert judge.read(preview.picture(pages[0])) == {"S0-1-1/2", "S1-2-1/2", "S2-3-1/2", "S3-4-1/2"}
    assert judge.read(preview.picture(pages[1])) == {"S4-5-2/2", "S5-6-2/2"}
    first = preview.picture(pages[0])
    assert judge.read(first.crop((0, 0, 240, 160))) == {"S0-1-1/2"}
    assert judge.read(first.crop((240, 0, 479, 160))) == {"S1-2-1/2"}


def test_an_element_may_stand_on_the_first_or_the_last_page_alone():
    rows = (
        '[[element]]\nkind = "repeat"\nat = [0, 10]\nover = "lines"\nrow = 10\nroom = 20\n'
        '[[element.element]]\nkind = "line"\nat = [1, 1]\nlength = 5\n'
        '[[element]]\nkind = "box"\non = "first"\nat = [30, 1]\nsize = [20, 5]\n'
        '[[element]]\nkind = "box"\non = "last"\nat = [30, 34]\nsize = [20, 5]\n'
    )
    pages = drawn(rows, {"lines": [{"sku": "A", "qty": "1"}] * 5})
    tops = [[mark.box[1] for mark in page.marks if mark.box[0] == 240] for page in pages]
    assert tops == [[8], [], [272]]


def test_a_stack_leaves_out_what_is_empty_and_keeps_room_for_those_below():
    stack = (
        '[[element]]\nkind = "stack"\nat = [2, 2]\nwidth = 50\nroom = 30\n'
        '[[element.rows]]\nwhen = "code"\ntext = "{code}"\nheight = 4\n'
        '[[element.rows]]\ntext = "{name}"\nheight = 4\nlines = 0\n'
        '[[element.rows]]\ntext = "end"\nheight = 4\nkeep = 2\n'
    )
    [full] = drawn(stack, {"name": "京" * 400})
    [bare] = drawn(stack, {"code": ""})
    assert len(full.marks) == 3
    assert len(bare.marks) == 2
    assert full.cut == ["京" * 400]
    # The last one still has the room of two lines above the bottom at 32 mm.
    assert full.marks[2].box[3] <= 32 * 8
    assert full.marks[2].box[1] >= full.marks[1].box[3]
    # Without the first row the second begins where it would have stood.
    assert bare.marks[0].box[1] < full.marks[1].box[1]


def test_a_picture_comes_from_a_field_or_is_left_out():
    picture = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(picture, "PNG")
    black = io.BytesIO()
    Image.new("L", (10, 10), 0).save(black, "PNG")
    element = '[[element]]\nkind = "image"\nat = [2, 2]\nsize = [10, 10]\nfield = "name"\n'
    assert drawn(element, {"name": ""})[0].marks == []
    assert ink(drawn(element, {"name": black.getvalue()})[0]) == 80 * 80
    assert ink(drawn(element, {"name": picture.getvalue()})[0]) == 0
