"""Own label templates at the desk: the list, the editor with its live picture, tests on paper, the shop's words."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

from flask import Blueprint, Response, abort, render_template, request
from sqlalchemy.orm import Session

from wms import own_templates
from wms.errors import N_, ChangedMeanwhile, NotFound, Refusal, term
from wms.flows import label_templates, printing
from wms.models import LabelTemplate, Printer, Role, Warehouse, new_id
from wms.web.access import database, operator, requires
from wms.web.floor import Message, Screen, done, first_time, go, look, page
from wms.web.translate import language

bp = Blueprint("label_templates", __name__)

DPIS = (203, 300)
LANGUAGES = ("zh", "en")


class PrinterNeeded(Refusal):
    message = N_("Choose a printer.")
    answer = "look"


def _number(name: str) -> int:
    text = request.form.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def show_list(session: Session, **_where: Any) -> Screen:
    who = operator()
    own: dict[str, list[LabelTemplate]] = {kind: [] for kind in own_templates.kinds()}
    for one in label_templates.listed(session, who.warehouse_id):
        own.setdefault(one.kind, []).append(one)
    return Screen(
        "desk/label_templates.html",
        {"own": own, "sizes": {kind: own_templates.shipped_size_mm(kind) for kind in own_templates.kinds()}},
    )


@bp.get("/desk/labels/templates")
@requires(Role.SUPERVISOR)
def index() -> str:
    return page(show_list)


@lru_cache(64)
def _shipped_png(kind: str, words: str) -> bytes:
    return own_templates.look(kind, own_templates.shipped_text(kind), 203, words).pictures[0]


@bp.get("/desk/labels/templates/shipped/<kind>.png")
@requires(Role.SUPERVISOR)
def shipped_picture(kind: str) -> Response:
    """What a shipped template looks like, in the reader's language."""
    if kind not in own_templates.kinds():
        abort(404)
    return Response(
        _shipped_png(kind, language()), mimetype="image/png", headers={"Cache-Control": "private, max-age=3600"}
    )


def show_editor(session: Session, template_id: int = 0, **_where: Any) -> Screen:
    """The editor: of an own template, or of a new one that begins as a copy of the shipped one."""
    who = operator()
    one = label_templates.template_of(session, who.warehouse_id, template_id) if template_id else None
    kind = one.kind if one else request.values.get("kind", "")
    label_templates.check_kind(kind)
    form = request.form if request.method == "POST" and request.endpoint in TYPED else None
    if form is not None:
        text, name = form.get("text", ""), form.get("name", "")
    elif one is not None:
        text, name = one.text, one.name
    else:
        text = own_templates.shipped_text(kind)
        name = label_templates.free_name(session, who.warehouse_id, kind)
    words = label_templates.label_language(session, who.warehouse_id)
    size = own_templates.shipped_size_mm(kind)
    return Screen(
        "desk/label_template.html",
        {
            "own": one,
            "kind": kind,
            "size": size,
            "name": name,
            "text": text,
            "versions": label_templates.versions(session, one) if one else [],
            "printers": printing.printers(session, who.warehouse_id),
            "longest": own_templates.LONGEST,
            "dpis": DPIS,
            "dpi": _dpi(),
            "words": _words(words),
            **_looked(kind, text, _dpi(), _words(words)),
        },
    )


TYPED = frozenset({"label_templates.save", "label_templates.save_new", "label_templates.print_test"})
"""Where what was typed stays in the fields, whatever became of it."""


def _dpi() -> int:
    return 300 if request.values.get("dpi") == "300" else 203


def _words(usual: str) -> str:
    asked = request.values.get("words", "")
    return asked if asked in LANGUAGES else usual


def _looked(kind: str, text: str, dpi: int, words: str) -> dict[str, Any]:
    seen = own_templates.look(kind, text.replace("\r\n", "\n"), dpi, words)
    pictures = [f"data:image/png;base64,{base64.b64encode(png).decode()}" for png in seen.pictures]
    return {"pictures": pictures, "slips": seen.slips, "pages": seen.pages, "drawn_mm": seen.size_mm}


@bp.get("/desk/labels/templates/new")
@requires(Role.SUPERVISOR)
def new() -> str:
    return page(show_editor)


@bp.get("/desk/labels/templates/<int:template_id>")
@requires(Role.SUPERVISOR)
def edit(template_id: int) -> str:
    return page(show_editor, template_id=template_id)


@bp.post("/desk/labels/templates/preview")
@requires(Role.SUPERVISOR)
def preview() -> str:
    """The picture and what is wrong, for the text as it stands in the editor. Writes nothing."""
    kind = request.form.get("kind", "")
    label_templates.check_kind(kind)
    with database().reading() as session:
        usual = session.get_one(Warehouse, operator().warehouse_id).label_language
    seen = _looked(kind, request.form.get("text", ""), _dpi(), _words(usual))
    return render_template("desk/label_preview.html", **seen, dpi=_dpi())


@bp.post("/desk/labels/templates/new/save")
@requires(Role.SUPERVISOR)
@first_time(show_editor)
def save_new(session: Session) -> Message | None:
    form = request.form
    one = label_templates.save(session, None, form.get("kind", ""), form.get("name", ""), form.get("text", ""))
    return go(f"/desk/labels/templates/{one.id}")


@bp.post("/desk/labels/templates/<int:template_id>/save")
@requires(Role.SUPERVISOR)
@first_time(show_editor)
def save(session: Session, template_id: int) -> Message | None:
    form = request.form
    before = label_templates.template_of(session, operator().warehouse_id, template_id).version
    if form.get("version") and form["version"] != str(before):
        raise ChangedMeanwhile(what=term("The template"))
    one = label_templates.save(session, template_id, "", form.get("name", ""), form.get("text", ""))
    return done(N_("Saved as version %(version)s."), version=one.version)


@bp.post("/desk/labels/templates/<int:template_id>/switch")
@requires(Role.SUPERVISOR)
@first_time(show_editor)
def switch(session: Session, template_id: int) -> Message | None:
    on = request.form.get("act") == "on"
    one = label_templates.switch(session, template_id, on)
    if on:
        return done(N_("%(name)s is in use from the next label on."), name=one.name)
    return look(N_("%(name)s is off. The shipped template is in use again."), name=one.name)


@bp.post("/desk/labels/templates/<int:template_id>/restore")
@requires(Role.SUPERVISOR)
@first_time(show_editor)
def restore(session: Session, template_id: int) -> Message | None:
    earlier = _number("version")
    one = label_templates.restore(session, template_id, earlier)
    return done(N_("Version %(earlier)s is back, as version %(version)s."), earlier=earlier, version=one.version)


@bp.post("/desk/labels/templates/<int:template_id>/remove")
@requires(Role.SUPERVISOR)
@first_time(show_editor)
def remove(session: Session, template_id: int) -> Message | None:
    label_templates.remove(session, template_id)
    return go("/desk/labels/templates")


@bp.post("/desk/labels/templates/new/test")
@bp.post("/desk/labels/templates/<int:template_id>/test")
@requires(Role.SUPERVISOR)
@first_time(show_editor)
def print_test(session: Session, template_id: int = 0) -> Message | None:
    """Print the text as it stands in the editor, saved or not."""
    who = operator()
    kind = request.form.get("kind", "")
    if template_id:
        kind = label_templates.template_of(session, who.warehouse_id, template_id).kind
    chosen = _number("printer")
    printer: Printer | None = session.get(Printer, (who.warehouse_id, chosen)) if chosen else None
    if printer is None:
        raise PrinterNeeded()
    once = f"test:{request.form.get('scan_id', '')[:40] or new_id()}"
    label_templates.print_test(session, kind, request.form.get("text", ""), printer, once)
    return done(N_("A test is on its way to %(printer)s."), printer=printer.name)


# ---- What is printed


def show_settings(session: Session, **_where: Any) -> Screen:
    who = operator()
    return Screen(
        "desk/label_settings.html",
        {
            "warehouse": session.get_one(Warehouse, who.warehouse_id),
            "shops": label_templates.shops(session, who.warehouse_id),
            "admin": who.may(Role.ADMIN),
            "longest": label_templates.LONGEST_WORDS,
            "form": request.form if request.method == "POST" else None,
        },
    )


@bp.get("/desk/labels/settings")
@requires(Role.SUPERVISOR)
def label_settings() -> str:
    return page(show_settings)


@bp.post("/desk/labels/settings/save")
@requires(Role.ADMIN)
@first_time(show_settings)
def save_settings(session: Session) -> Message | None:
    form = request.form
    label_templates.save_what_is_printed(session, form.get("packing_lists") == "1", form.get("gs1_prefix", ""))
    return done(N_("Saved."))


@bp.post("/desk/labels/settings/words")
@requires(Role.SUPERVISOR)
@first_time(show_settings)
def save_words(session: Session) -> Message | None:
    shop = _number("shop")
    if not shop:
        raise NotFound(what=term("The shop"))
    saved = label_templates.save_words(session, shop, request.form.get("greeting", ""))
    return done(N_("The words of %(shop)s are saved."), shop=saved.name)
