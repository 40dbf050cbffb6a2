"""Every sentence has its Chinese with the same facts, and no screen of a Chinese operator stays English."""

from __future__ import annotations

import ast
import functools
import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.catalog import Catalog, Message
from sqlalchemy import update

import wms
from tests.floor import Floor, Hand
from wms import words
from wms.db import Actor
from wms.errors import Refusal
from wms.models import Item, Operator, Printer, Shop, Station, Warehouse

LANGUAGE = "zh"
FACT = re.compile(r"%\((\w+)\)s")
MARKS = ("N_", "_", "term", "plural")
SPOKEN = ("done", "look", "say", "Message")
"""What shows a sentence in a blueprint; one that is not marked there is never extracted, so it stays English."""
TRANSLATOR = "wms.web.translate"
"""The one module whose business is sentences it does not know."""
APART = ("wms.migrations", "wms.commands.__main__")
"""Modules that act when they are imported."""


@functools.cache
def modules() -> tuple[ModuleType, ...]:
    found = pkgutil.walk_packages(wms.__path__, "wms.")
    return tuple(importlib.import_module(each.name) for each in found if not each.name.startswith(APART))


@functools.cache
def calls() -> tuple[tuple[ModuleType, ast.Call], ...]:
    """Every call of a plain name (``f(…)``) or of a name in a module (``m.f(…)``) in the code."""
    return tuple(
        (module, node)
        for module in modules()
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    )


def where(module: ModuleType, node: ast.Call) -> str:
    return f"{module.__name__}:{node.lineno} {ast.unparse(node)[:120]}"


@functools.cache
def known() -> Catalog:
    return words.catalog(LANGUAGE)


def texts(message: Message) -> tuple[list[str], list[str]]:
    """What a message says in English and in the other language, each as a list: plurals have several."""
    ids = [message.id] if isinstance(message.id, str) else list(message.id)
    strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
    return ids, strings


def test_every_sentence_has_its_chinese() -> None:
    lacking = [message.id for message in words.untranslated(LANGUAGE)]
    assert not lacking, f"{len(lacking)} lack their Chinese; `run.py translate` adds them to the file: {lacking}"


@pytest.mark.parametrize("fault", ["missing", "empty", "fuzzy"])
def test_a_missing_an_empty_and_a_guessed_entry_are_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sick = words.catalog(LANGUAGE)
    sentence = "Scan a tote"
    if fault == "missing":
        sick.delete(sentence)
    elif fault == "empty":
        sick[sentence].string = ""
    else:
        sick[sentence].flags.add("fuzzy")
    monkeypatch.setattr(words, "catalog", lambda _language: sick)
    assert sentence in [message.id for message in words.untranslated(LANGUAGE)]


def test_the_chinese_names_the_same_facts() -> None:
    faults = []
    for message in known():
        if not message.id:
            continue
        ids, strings = texts(message)
        facts = set(FACT.findall(" ".join(ids)))
        for string in strings:
            if set(FACT.findall(string)) != facts:
                faults.append(f"{ids[0]!r} → {string!r}")
            elif facts:
                string % dict.fromkeys(facts, "1")  # a lone % would break the screen
    assert not faults, "\n".join(faults)


def test_every_sentence_in_the_code_is_written_out() -> None:
    """A sentence that is joined from pieces or comes from a variable is not found, and nobody can translate it."""
    built = [
        where(module, node)
        for module, node in calls()
        if isinstance(node.func, ast.Name)
        and node.func.id in MARKS
        and node.args
        and module.__name__ != TRANSLATOR
        and not (isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str))
    ]
    assert not built, "\n".join(built)


def test_a_blueprint_shows_only_marked_sentences() -> None:
    unmarked = [
        where(module, node)
        for module, node in calls()
        if module.__name__.startswith("wms.web.") and isinstance(node.func, ast.Name) and node.func.id in SPOKEN
        for said in [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "text")]
        if isinstance(said, ast.JoinedStr)
        or (isinstance(said, ast.Constant) and isinstance(said.value, str) and " " in said.value)
    ]
    assert not unmarked, "\n".join(unmarked)


def refusals() -> set[type[Refusal]]:
    modules()
    found: set[type[Refusal]] = set()
    new = {Refusal}
    while new:
        new = {child for each in new for child in each.__subclasses__() if child.__module__.startswith("wms.")}
        found |= new
    return found


def test_every_refusal_has_its_words() -> None:
    assert len(refusals()) > 50
    silent = [each.__qualname__ for each in refusals() if not each.message or not known().get(each.message)]
    assert not silent, silent


def raised() -> Iterator[tuple[type[Refusal], str, set[str]]]:
    """Each place that makes a refusal, with the facts it gives; one that hands facts on (``**``) is left out."""
    for module, node in calls():
        made: object = None
        if isinstance(node.func, ast.Name):
            made = vars(module).get(node.func.id)
        elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            owner = vars(module).get(node.func.value.id)
            made = vars(owner).get(node.func.attr) if type(owner) is ModuleType else None
        if isinstance(made, type) and issubclass(made, Refusal) and all(each.arg for each in node.keywords):
            yield made, where(module, node), {str(each.arg) for each in node.keywords}


def test_every_refusal_is_raised_with_the_facts_of_its_words() -> None:
    """A fact that the raise forgets would turn a plain refusal into a broken page."""
    places = list(raised())
    faults = [
        f"{place}: lacks {', '.join(sorted(lacking))}"
        for made, place, given in places
        if (lacking := set(FACT.findall(made.message)) - given)
    ]
    assert not faults, "\n".join(faults)
    assert len({made for made, _place, _given in places}) > 50


# What a Chinese operator sees.

HEARD = ("aria-label", "alt", "title", "placeholder", "data-say", "data-confirm")
"""Attributes that are read out or shown."""
ALLOWED = {
    "English",  # the way to the other language, in that language
    "GTIN",
    "HTTPS",
    "https",
    "Caddy",
    "Excel",
    "JSON",
    "iPhone",
    "iPad",
    "Android",
    "Safari",
    "Chrome",
    "Firefox",
    "Zebra",
    "Honeywell",
    "DataWedge",
    "Ctrl",
}
NAMES = re.compile("Warehouse local CA|Online Retail|TSPL|SSCC|TOML")
"""What the phone's own menu shows, and the title of a collection of orders."""
# A parcel's code is twelve letters and digits; one in twenty has no digit.
CODE = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{12,13}\b|[A-Za-z0-9_.…*?/:+-]*[0-9_.…*?/:+-][A-Za-z0-9_.…*?/:+-]*")
"""A code, an address or a size: letters with digits or signs in them, and no sentence."""


class _Shown(HTMLParser):
    """What of a page is seen or heard: text, spoken attributes, and the words that its scripts show."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "style"):
            self._inside = "words" if given.get("id") == "words" else tag
        self.texts += [value for name, value in attrs if name in HEARD and value]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "words":
            self.texts += [re.sub(r"\{\w+\}", "", each) for each in json.loads(data).values()]
        elif not self._inside and data.strip():
            self.texts.append(data.strip())


def english(page: str) -> list[str]:
    """Texts of a page that still hold an English word."""
    found = []
    for text in _Shown(page).texts:
        left = set(re.findall(r"[A-Za-z]{4,}", CODE.sub(" ", NAMES.sub(" ", text)))) - ALLOWED
        if left:
            found.append(text)
    return found


@pytest.fixture
def chinese(floor: Floor) -> Floor:
    """The warehouse, its things and its people named in Chinese, and every person reading Chinese."""
    floor.item("A1", "6901234567892")
    floor.item("B2", "B2CODE")
    floor.item("C3", "C3CODE", counting=True)
    floor.stock("A1", "A-01-01-1", 10)
    floor.stock("B2", "A-01-02-1", 20)
    floor.stock("C3", "A-01-03-1", 20)
    with floor.database.transaction(Actor(floor.warehouse_id)) as session:
        for table in (Warehouse, Shop, Station, Printer, Item):
            session.execute(update(table).values(name="名称"))
        for name in floor.badges:
            mine = (Operator.warehouse_id == floor.warehouse_id, Operator.name == name)
            session.execute(update(Operator).where(*mine).values(language="zh", name=f"作业员 {len(name)}{name[0]}"))
    return floor


class Reader(Hand):
    """A hand that reads whatever comes: no page may hold English, whichever way it came."""

    def read(self) -> str:
        assert not english(self.page), f"{self.step or self.answer.request.path}: {english(self.page)}"
        return self.page

    def get(self, path: str, **query: str) -> str:
        super().get(path, **query)
        return self.read()

    def act(self, path: str, scan_id: str | None = None, **fields: object) -> str:
        super().act(path, scan_id, **fields)
        return self.read()


def test_english_on_a_page_is_noticed() -> None:
    assert english('<p data-step="pick/scan_item">请扫 SKU-1 <b>Take it</b></p>') == ["Take it"]
    assert english('<button aria-label="Close the parcel">关闭</button>') == ["Close the parcel"]
    assert english('<script id="words">{"a": "Wait {count}"}</script>') == ["Wait "]
    assert not english("<style>body</style><p>扫 L-A-01-01-1，tcp://192.168.1.20:9100，PIN，A1</p>")


def test_signing_in_is_chinese(chinese: Floor) -> None:
    client = chinese.app.test_client()
    page = client.get("/sign-in?language=zh").get_data(as_text=True)
    assert "工牌" in page and not english(page), english(page)
    token = re.findall(r'name="csrf-token" content="([^"]+)"', page)[0]
    for fields in ({"code": chinese.badges["picker"]}, {"code": "X"}, {"badge": chinese.badges["picker"], "pin": "1"}):
        page = client.post("/sign-in", data=fields, headers={"X-CSRFToken": token}).get_data(as_text=True)
        assert not english(page), english(page)


def test_a_picker_and_a_packer_read_chinese_all_the_way(chinese: Floor) -> None:
    first, second = chinese.order("1001", ("A1", 2), ("B2", 1)), chinese.order("1002", ("A1", 1), ("C3", 3))
    chinese.release(first, second)

    picker = Reader(chinese.app, chinese.badges["picker"])
    picker.get("/pick")
    for tote in ("T-001", "T-002"):
        picker.press("/pick/next")
        picker.sees("pick/scan_tote")
        picker.scan("UNHEARD-OF")
        picker.scan("L-A-01-01-1")
        picker.scan(tote)
        picker.sees("pick/scan_location")
        picker.scan("L-A-02-01-1")
        picker.scan("L-A-01-01-1")
        picker.sees("pick/scan_item")
        picker.scan("C3CODE")
        picker.scan("6901234567892")
        picker.press("/undo")
        picker.scan("6901234567892")
        while picker.step == "pick/scan_item" and "A-01-01" in picker.text():
            picker.scan("6901234567892")
        picker.scan("L-A-01-02-1" if tote == "T-001" else "L-A-01-03-1")
        if tote == "T-002":
            picker.scan("C3CODE")
            picker.press("/rest", qty="2")
        else:
            picker.scan("B2CODE")
        picker.sees("pick/done")

    packer = Reader(chinese.app, chinese.badges["packer"])
    packer.get("/pack")
    packer.sees("pack/scan_tote")
    packer.scan("T-001")
    packer.scan("S-PACK1")
    for tote, pieces in (
        ("T-001", ("6901234567892", "6901234567892", "B2CODE")),
        ("T-002", ("6901234567892", "C3CODE", "C3CODE", "C3CODE")),
    ):
        packer.scan("T-003")
        packer.scan(tote)
        packer.sees("pack/scan_item")
        for code in pieces:
            packer.scan(code)
        packer.sees("pack/weigh")
        packer.press("/pack/weigh", weight_g="?")
        packer.press("/pack/weigh", weight_g="1250")
        packer.sees("pack/scan_tote", "1250 g")
    packer.get("/ship")
    packer.act("/ship/open", carrier=str(chinese.carrier("JD").id))
    packer.get(packer.answer.headers.get("X-Go", "/ship"))
    packer.sees("ship/scan_parcel")
    packer.scan("TEST000000001")


def test_every_page_an_admin_can_open_is_chinese(chinese: Floor) -> None:
    """All pages without an own number in their address, so that a new one is read the day it is made."""
    chinese.release(chinese.order("1001", ("A1", 2)), chinese.order("1002", ("A1", 99)))
    chinese.order("1003", ("X-9", 1))
    admin = Reader(chinese.app, chinese.badges["admin"])
    seen = []
    for rule in chinese.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.arguments or rule.rule in ("/metrics", "/healthz"):
            continue
        answer = admin.client.get(rule.rule)
        if answer.mimetype == "text/html" and answer.status_code == 200:
            admin.get(rule.rule)
            seen.append(rule.rule)
    assert {
        "/",
        "/me",
        "/pick",
        "/pack",
        "/receive",
        "/putaway",
        "/count",
        "/ship",
        "/lookup",
        "/desk",
        "/desk/orders",
        "/desk/printing",
        "/desk/people",
        "/setup",
    } <= set(seen), seen
    for missing in ("/no-such-page", "/desk/orders/999999"):
        admin.get(missing)
