"""Own label templates at the desk: nothing broken is switched on, none stops the floor, no text makes us stumble."""

from __future__ import annotations

import logging
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from printers import preview, template
from printers.transport import memory
from tests.floor import Floor, Hand
from tests.printers import judge
from wms import own_templates
from wms.flows import label_templates
from wms.models import LabelTemplate, Printer, PrintJob, Warehouse

LIST = "/desk/labels/templates"


def make(floor: Floor, kind: str = "location", text: str | None = None, name: str = "Ours") -> tuple[Hand, str]:
    """A hand at the editor of an own template, and its address."""
    hand = floor.hand("supervisor")
    text = own_templates.shipped_text(kind) if text is None else text
    hand.act(f"{LIST}/new/save", kind=kind, name=name, text=text)
    assert hand.status == 200, hand.text()
    path = hand.answer.headers["X-Go"]
    hand.get(path)
    return hand, path


def row(floor: Floor) -> LabelTemplate:
    with floor.database.reading() as session:
        return session.execute(select(LabelTemplate)).scalar_one()


def put(floor: Floor, text: str) -> None:
    """Change the text in the table, past all checks: as an older release, or a changed font, may leave it."""
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(LabelTemplate).values(text=text))


def printer(floor: Floor, code: str) -> int:
    with floor.database.reading() as session:
        return session.execute(select(Printer.id).where(Printer.code == code)).scalar_one()


def location_job(floor: Floor) -> PrintJob:
    hand = floor.hand("supervisor")
    hand.act("/desk/labels", what="location", pattern="A-01-01-1", printer=str(printer(floor, "LB1")))
    assert hand.status == 200, hand.text()
    with floor.database.reading() as session:
        return session.execute(select(PrintJob).order_by(PrintJob.id.desc()).limit(1)).scalar_one()


def test_the_list_shows_each_shipped_template_with_its_picture(floor: Floor) -> None:
    hand = floor.hand("supervisor")
    hand.get(LIST)
    hand.sees("desk/label_templates", "Location label", "Packing list", "Waybill 76 × 130")
    pictures = re.findall(r'src="(/desk/labels/templates/shipped/[\w-]+\.png)"', hand.page)
    assert len(pictures) == len(template.names()) == 14
    assert hand.client.get(pictures[0]).data.startswith(b"\x89PNG")
    assert hand.client.get(f"{LIST}/shipped/nothing.png").status_code == 404
    hand.get(f"{LIST}/new", kind="nothing")
    assert hand.status == 422
    picker = floor.hand("picker")
    picker.get(LIST)
    assert picker.status == 403


def test_an_own_template_stands_in_for_the_shipped_one_while_it_is_on(floor: Floor) -> None:
    before = location_job(floor)
    text = own_templates.shipped_text("location").replace("size = [60, 40]", "size = [64, 40]")
    hand, path = make(floor, text=text)
    hand.sees("desk/label_template", "Location label", "Off", "Nothing to object to.")
    assert location_job(floor).width_mm == before.width_mm == 60, "a draft is not printed"
    hand.act(f"{path}/switch", act="on")
    assert hand.said == "Ours is in use from the next label on."
    assert location_job(floor).width_mm == 64
    hand.act(f"{path}/switch", act="off")
    assert location_job(floor).width_mm == 60


def test_only_one_template_of_a_kind_is_in_use(floor: Floor) -> None:
    hand, first = make(floor)
    hand.act(f"{first}/switch", act="on")
    hand, second = make(floor, name="Other")
    hand.act(f"{second}/switch", act="on")
    with floor.database.reading() as session:
        found = session.execute(select(LabelTemplate.name, LabelTemplate.active)).all()
    assert dict(map(tuple, found)) == {"Ours": False, "Other": True}
    hand.act(f"{first}/remove")
    assert hand.answer.headers["X-Go"] == LIST
    hand.act(f"{second}/remove")
    assert hand.said == "Switch the template off first."


def test_every_save_is_kept_and_comes_back(floor: Floor) -> None:
    hand, path = make(floor)
    shipped = row(floor).text
    hand.act(f"{path}/save", name="Ours", text=shipped + "\n# second\n", version="1")
    assert hand.said == "Saved as version 2."
    hand.act(f"{path}/save", name="Ours", text="# a third by somebody else", version="1")
    assert hand.status == 409
    hand.act(f"{path}/restore", version="1")
    assert hand.said == "Version 1 is back, as version 3."
    assert row(floor).text == shipped
    hand.act(f"{path}/restore", version="99")
    assert hand.status == 404
    hand.act(f"{path}/save", name="", text=shipped)
    assert hand.said == "Give the template a name."
    hand.act(f"{LIST}/new/save", kind="item", name="Ours", text=shipped)
    assert "already a template with the name Ours" in hand.said


NO_LIST = (
    '\n[[element]]\nkind = "repeat"\nat = [1, 1]\nover = "code"\nrow = 9\n'
    '[[element.element]]\nkind = "line"\nat = [0, 0]\nlength = 3\n'
)
BROKEN = [
    ("not TOML", lambda text: text.replace("size = [60, 40]", "size = [60, 40"), "this is not TOML", 0),
    ("a slip in a key", lambda text: text.replace("\nheight =", "\nheigth = 3\nheight =", 1), "unknown key", 1),
    ("a field that is none", lambda text: text.replace("{human}", "{humam}", 1), "neither a field nor a word", 1),
    ("a kind that is none", lambda text: text.replace('kind = "text"', 'kind = "txt"', 1), "is one of text", 1),
    ("off the label", lambda text: text.replace("at = [", "at = [6", 1), "lies outside", 1),
    ("no size", lambda text: text.replace("size = [60, 40]", ""), "two numbers in millimetres", 0),
    ("a size of a house", lambda text: text.replace("[60, 40]", "[400, 400]"), "at most 300 mm", 0),
    ("no elements", lambda text: text.split("[[element]]")[0], "it has no element", 0),
    (
        "no code",
        lambda text: re.sub(r'(?s)\[\[element\]\]\nkind = "(code128|qr)".*?(?=\[\[|\Z)', "", text),
        "is read by it",
        0,
    ),
    (
        "a field taken away",
        lambda text: text.replace("check =", "chock =").replace("{check}", "{chock}").replace('"check"', '"chock"'),
        "is missing under [fields]",
        0,
    ),
    ("a sign without a picture", lambda text: text.replace("{human}", "{human}😀", 1), "cannot be drawn", 1),
    (
        "a code too wide",
        lambda text: re.sub(r'(kind = "code128"\nat = \[)[^]]*\]', r"\g<1>40, 20]\nwidth = 15", text),
        "clear edges",
        1,
    ),
    (
        "a list that is none",
        lambda text: text + NO_LIST,
        "repeats over one field",
        1,
    ),
    ("nested beyond reason", lambda text: "x = " + "[" * 5000, "this is not TOML", 0),
    ("a number beyond reason", lambda text: text.replace("[60, 40]", "[60, " + "9" * 6000 + "]"), "", 0),
    ("too long", lambda text: text + "#" * own_templates.LONGEST, "more than", 0),
    ("nothing", lambda text: "", "two numbers", 0),
]


@pytest.mark.parametrize("broken", BROKEN, ids=[name for name, *_ in BROKEN])
def test_a_broken_template_says_what_is_wrong_and_is_never_switched_on(floor: Floor, broken) -> None:
    _, breaks, told, lines = broken
    shipped = own_templates.shipped_text("location")
    text = breaks(shipped)
    assert text != shipped
    hand, path = make(floor)
    hand.post(f"{LIST}/preview", kind="location", text=text)
    assert hand.status == 200
    assert told in hand.text(), hand.text()
    assert "data-line=" in hand.page if lines else True
    hand.act(f"{path}/switch", act="on")
    hand.act(f"{path}/save", name="Ours", text=text)
    assert hand.status == 422, "what is in use must be sound"
    assert row(floor).text == shipped
    hand.act(f"{path}/switch", act="off")
    hand.act(f"{path}/save", name="Ours", text=text)
    if len(text) <= own_templates.LONGEST:
        assert hand.status == 200, "a draft may be unfinished"
        hand.act(f"{path}/switch", act="on")
        assert hand.status == 422
        assert not row(floor).active


def test_what_is_wrong_is_said_in_the_readers_language_with_its_line(floor: Floor) -> None:
    hand, _ = make(floor)
    text = own_templates.shipped_text("location")
    line = text[: text.index("[[element]]")].count("\n") + 1
    with floor.database.transaction(floor.actor()) as session:
        from wms.models import Operator

        session.execute(update(Operator).values(language="zh"))
    hand.post(f"{LIST}/preview", kind="location", text=text.replace('kind = "text"', 'kind = "txt"', 1))
    assert f'data-line="{line}"' in hand.page
    assert "元素 1 (txt)" in hand.text()
    assert "is one of" not in hand.text()


@pytest.mark.parametrize("kind", template.names())
def test_every_shipped_template_may_be_switched_on_as_it_is(floor: Floor, kind: str) -> None:
    with floor.database.transaction(floor.actor()) as session:
        one = label_templates.save(session, None, kind, "copy", own_templates.shipped_text(kind))
        assert label_templates.switch(session, one.id, on=True).active


def test_a_template_that_fails_on_the_floor_gives_way_to_the_shipped_one_and_the_desk_says_so(floor: Floor) -> None:
    hand, path = make(floor)
    hand.act(f"{path}/switch", act="on")
    for text, told in (
        (own_templates.shipped_text("location").replace('kind = "text"', 'kind = "txt"', 1), "is one of text"),
        (own_templates.shipped_text("location").replace("[60, 40]", "[90, 90]"), "holds 70×50 mm labels"),
        ("", "two numbers in millimetres"),
    ):
        put(floor, text)
        job = location_job(floor)
        assert (job.width_mm, job.height_mm) == (60, 40)
        hand.get(path)
        assert "the shipped template was printed instead" in hand.text()
        assert told in hand.text()
        hand.get(LIST)
        hand.sees("desk/label_templates", "Failed")
    hand.get("/desk/printing")
    hand.sees("desk/printing", "Ours")


def test_a_test_comes_out_marked_as_one_and_no_draft_need_be_saved(floor: Floor) -> None:
    memory("labels").clear()
    hand = floor.hand("supervisor")
    text = own_templates.shipped_text("location")
    hand.act(f"{LIST}/new/test", kind="location", text=text, name="x", printer="")
    assert hand.said == "Choose a printer."
    hand.act(f"{LIST}/new/test", kind="location", text="size = 1", name="x", printer=str(printer(floor, "LB1")))
    assert hand.status == 422
    assert "cannot be printed" in hand.said
    for _ in range(2):
        hand.act(
            f"{LIST}/new/test", scan_id="one", kind="location", text=text, name="x", printer=str(printer(floor, "LB1"))
        )
        assert hand.said == "A test is on its way to Labels."
    with floor.database.reading() as session:
        job = session.execute(select(PrintJob)).scalar_one()
    assert (job.kind, job.document, job.width_mm) == ("test", "printer", 60)
    [plain] = own_templates.sample_labels("location", text, 203, "zh")
    [drawn] = judge.by_zplkit(job.payload, plain)
    assert judge.differing(drawn, preview.picture(plain)) > 300, "the mark"


@pytest.mark.parametrize("kind", template.names())
def test_no_edit_makes_the_editor_stumble(floor: Floor, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Any cut, doubled line, changed number or stray sign in any shipped template: told, and never a fault of ours."""
    shipped = own_templates.shipped_text(kind)
    lines = shipped.splitlines()
    signs = st.sampled_from(
        ["{", "}", '"', "[", "]", "=", "-", "\\", "\x00", "😀", "\n[[element]]\n", "nan", "1e9", "-1"]
    )
    edits = st.lists(
        st.tuples(st.sampled_from(["cut", "double", "swap", "stray", "number"]), st.integers(0, len(lines) - 1), signs),
        min_size=1,
        max_size=4,
    )

    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(edits=edits)
    def edited(edits: list[tuple[str, int, str]]) -> None:
        text = list(lines)
        for what, place, sign in edits:
            at = place % len(text)
            if what == "cut" and len(text) > 1:
                del text[at]
            elif what == "double":
                text.insert(at, text[at])
            elif what == "swap":
                text[at], text[-1] = text[-1], text[at]
            elif what == "stray":
                middle = len(text[at]) // 2
                text[at] = text[at][:middle] + sign + text[at][middle:]
            else:
                text[at] = re.sub(r"\d+(\.\d+)?", sign if sign in ("nan", "1e9", "-1") else "0", text[at], count=1)
        seen = own_templates.look(kind, "\n".join(text), 203, "zh")
        assert seen.pictures or seen.grave

    with caplog.at_level(logging.ERROR, "wms.own_templates"):
        edited()
    assert not caplog.records, caplog.text


def test_the_shops_words_come_out_on_its_packing_lists(floor: Floor) -> None:
    hand = floor.hand("admin")
    hand.get("/desk/labels/settings")
    hand.sees("desk/label_settings", "Test shop")
    shop = re.findall(r'name="shop" value="(\d+)"', hand.page)[0]
    hand.act("/desk/labels/settings/words", shop=shop, greeting="谢谢惠顾")
    assert hand.said == "The words of Test shop are saved."
    hand.get("/desk/labels/settings")
    assert "谢谢惠顾" in hand.page
    hand.act("/desk/labels/settings/save", packing_lists="1", gs1_prefix="12ab")
    assert "12ab is no GS1 company prefix" in hand.said
    hand.act("/desk/labels/settings/save", packing_lists="1", gs1_prefix="0614141")
    with floor.database.reading() as session:
        warehouse = session.get_one(Warehouse, floor.warehouse_id)
        assert (warehouse.packing_lists, warehouse.gs1_prefix) == (True, "0614141")
    supervisor = floor.hand("supervisor")
    supervisor.act("/desk/labels/settings/save", packing_lists="", gs1_prefix="")
    assert supervisor.status == 403
