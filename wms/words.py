"""Every sentence a person may see, as the code has it, and which of them lack their Chinese."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from wms import assets
from wms.settings import ROOT

TRANSLATIONS = Path(__file__).parent / "translations"
KEYWORDS = {"_": None, "N_": None, "term": None, "gettext": None, "ngettext": (1, 2), "plural": (1, 2)}
PLACES = (
    (ROOT / "wms", [("**.py", "python")]),
    (ROOT / "printers", [("**.py", "python")]),
    (assets.TEMPLATES, [("**.html", "jinja2")]),
)


def extract() -> Catalog:
    """All messages of code and templates, with the files they stand in."""
    found = Catalog(project="warehouse-floor", charset="utf-8", fuzzy=False)
    for folder, methods in PLACES:
        for name, _line, message, comments, context in extract_from_dir(
            folder,
            method_map=methods,
            keywords=KEYWORDS,
            options_map={"**.html": {"newstyle_gettext": "true"}},
        ):
            found.add(message, None, [(f"{folder.name}/{name}", 0)], auto_comments=comments, context=context)
    return found


def path_of(language: str) -> Path:
    return TRANSLATIONS / language / "LC_MESSAGES" / "messages.po"


def catalog(language: str) -> Catalog:
    path = path_of(language)
    if not path.exists():
        return Catalog(locale=language, project="warehouse-floor", charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def update(language: str) -> Catalog:
    """Bring a language's file to what the code says now: new sentences come in empty, dropped ones go."""
    known = catalog(language)
    known.update(extract(), no_fuzzy_matching=True, update_header_comment=False)
    known.obsolete.clear()
    path = path_of(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    write_po(buffer, known, width=110, sort_output=True, no_location=False, ignore_obsolete=True, include_lineno=False)
    # The time of the last extraction changes in every run and says nothing.
    lines = [
        line
        for line in buffer.getvalue().decode().splitlines()
        if not line.startswith(('"POT-Creation-Date', '"PO-Revision-Date', '"Generated-By'))
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return known


def untranslated(language: str) -> Iterator[Message]:
    """Sentences of the code that the language lacks, or has only as a guess."""
    known = catalog(language)
    for message in extract():
        if not message.id:
            continue
        has = known.get(message.id if isinstance(message.id, str) else message.id[0], message.context)
        if has is None or has.fuzzy or not has.string or (isinstance(has.string, tuple) and not all(has.string)):
            yield message
