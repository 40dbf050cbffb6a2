"""Words in the worker's own language: gettext from the .po files, times in the warehouse's zone."""

from __future__ import annotations

import gettext
import io
from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import g, has_request_context, request
from markupsafe import Markup

from wms.errors import Refusal, Term

TRANSLATIONS = Path(__file__).parent.parent / "translations"
LANGUAGES = ("zh", "en")


@cache
def _catalog(language: str) -> gettext.NullTranslations:
    """The .po file is compiled in memory, so that there is no compiled file to forget."""
    path = TRANSLATIONS / language / "LC_MESSAGES" / "messages.po"
    if not path.exists():
        return gettext.NullTranslations()
    with path.open("rb") as file:
        messages = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, messages)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def language() -> str:
    """The signed-in operator's language (R16), else the one chosen before sign-in, else the browser's."""
    if not has_request_context():
        return "zh"
    operator = g.get("operator")
    if operator is not None:
        return str(operator.language)
    chosen = request.args.get("language") or request.cookies.get("language")
    if chosen in LANGUAGES:
        return str(chosen)
    return request.accept_languages.best_match(["zh", "en"]) or "zh"


def _(message: str, **facts: Any) -> str:
    text = _catalog(language()).gettext(message) if message else ""
    return text % facts if facts else text


def in_page(message: str, **facts: Any) -> Markup:
    """What ``_`` means in a template: the sentence is ours, the facts are escaped.

    Jinja's own goes through four calls for each; a screen of the floor has forty.
    """
    return _sentence(language(), message) % facts if facts else _bare(language(), message)


@lru_cache(4096)
def _sentence(language: str, message: str) -> Markup:
    return Markup(_catalog(language).gettext(message) if message else "")  # noqa: S704 - our own sentences


@lru_cache(4096)
def _bare(language: str, message: str) -> Markup:
    return _sentence(language, message) % {}


def plural(one: str, many: str, number: int) -> str:
    return _catalog(language()).ngettext(one, many, number)


def say(message: str, facts: Mapping[str, Any] | None = None) -> str:
    """A message with its facts, both in the worker's language; a fact that is a Term is translated too."""
    said = {name: _(value) if isinstance(value, Term) else value for name, value in (facts or {}).items()}
    text = _catalog(language()).gettext(message) if message else ""
    return text % said if said else text


def in_language(language: str, message: str, facts: Mapping[str, Any] | None = None) -> str:
    """The same in a language of the caller's choice, for those who are no operators: an ERP's people read Chinese."""
    catalog = _catalog(language)
    said = {name: catalog.gettext(value) if isinstance(value, Term) else value for name, value in (facts or {}).items()}
    text = catalog.gettext(message) if message else ""
    return text % said if said else text


def say_refusal(refusal: Refusal) -> str:
    return say(refusal.message, refusal.facts)


def local(moment: datetime | None, form: str = "medium") -> str:
    """A UTC moment as the warehouse's clock shows it."""
    if moment is None:
        return "—"
    zone = ZoneInfo(g.get("timezone") or "Asia/Shanghai")
    pattern = {"time": "HH:mm", "short": "MM-dd HH:mm", "medium": "yyyy-MM-dd HH:mm"}.get(form, form)
    return str(format_datetime(moment.astimezone(zone), pattern, locale="zh" if language() == "zh" else "en"))
