"""The shop's own label templates at the desk: written, judged, tried on paper, switched on and off, fetched back."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import journal, labels, own_templates
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, NotFound, Refusal, term
from wms.models import LabelTemplate, LabelTemplateVersion, Operator, Printer, PrintJob, Shop, Warehouse, new_id

VERSIONS_SHOWN = 20
LONGEST_NAME = 80
LONGEST_WORDS = 300


class NoSuchKind(Refusal):
    message = N_("There is no label of the kind %(kind)s.")


class NameNeeded(Refusal):
    message = N_("Give the template a name.")


class NameTaken(Refusal):
    message = N_("There is already a template with the name %(name)s.")


class TooLong(Refusal):
    message = N_("The text has more than %(most)s signs.")


class NotSound(Refusal):
    """Nothing broken is ever switched on: a label that cannot be drawn or read stops the floor."""

    message = N_("The template is not in use: %(count)s things are wrong with it, listed beside the picture.")
    answer = "look"


class InUse(Refusal):
    message = N_("Switch the template off first.")
    answer = "look"


class BadPrefix(Refusal):
    message = N_("%(entered)s is no GS1 company prefix: it has 4 to 12 digits. Leave it empty when you have none.")


def listed(session: Session, warehouse_id: int) -> list[LabelTemplate]:
    """Own templates, by kind, those in use first."""
    return list(
        session.execute(
            select(LabelTemplate)
            .where(LabelTemplate.warehouse_id == warehouse_id)
            .order_by(LabelTemplate.kind, LabelTemplate.active.desc(), LabelTemplate.name)
        ).scalars()
    )


def troubled(session: Session, warehouse_id: int) -> Sequence[LabelTemplate]:
    """Those in use that failed, so that the shipped one was printed: the desk says so until they are mended."""
    return [one for one in listed(session, warehouse_id) if one.active and one.trouble]


def template_of(session: Session, warehouse_id: int, template_id: int) -> LabelTemplate:
    found = session.get(LabelTemplate, (warehouse_id, template_id))
    if found is None:
        raise NotFound(what=term("The template"))
    return found


def versions(session: Session, one: LabelTemplate) -> list[tuple[LabelTemplateVersion, str]]:
    """What was saved, the newest first, and by whom."""
    return [
        (row[0], row[1] or "")
        for row in session.execute(
            select(LabelTemplateVersion, Operator.name)
            .outerjoin(
                Operator,
                (Operator.warehouse_id == LabelTemplateVersion.warehouse_id)
                & (Operator.id == LabelTemplateVersion.operator_id),
            )
            .where(LabelTemplateVersion.warehouse_id == one.warehouse_id, LabelTemplateVersion.template_id == one.id)
            .order_by(LabelTemplateVersion.version.desc())
            .limit(VERSIONS_SHOWN)
        )
    ]


def save(session: Session, template_id: int | None, kind: str, name: str, text: str) -> LabelTemplate:
    """Keep a template as a new version. A draft may be broken; one that is in use must be sound, or nothing is kept."""
    actor = actor_of(session)
    name, text = name.strip()[:LONGEST_NAME], _plain(text)
    if not name:
        raise NameNeeded()
    if len(text) > own_templates.LONGEST:
        raise TooLong(most=own_templates.LONGEST)
    taken = session.execute(
        select(LabelTemplate.id).where(LabelTemplate.warehouse_id == actor.warehouse_id, LabelTemplate.name == name)
    ).scalar_one_or_none()
    if taken is not None and taken != template_id:
        raise NameTaken(name=name)
    if template_id is None:
        check_kind(kind)
        one = LabelTemplate(
            warehouse_id=actor.warehouse_id, id=new_id(), kind=kind, name=name, text=text, version=0, changed_at=now()
        )
        session.add(one)
    else:
        one = _locked(session, actor.warehouse_id, template_id)
        if (one.name, one.text) == (name, text):
            return one
    if one.active and one.text != text:
        _check(session, one.kind, text)
    before = f"{one.version} {one.name}"
    if template_id is None or one.text != text:
        one.version += 1
        session.add(
            LabelTemplateVersion(
                warehouse_id=actor.warehouse_id,
                id=new_id(),
                template_id=one.id,
                version=one.version,
                text=text,
                operator_id=actor.operator_id,
                at=now(),
            )
        )
    one.name, one.text, one.trouble, one.failed_at = name, text, None, None
    one.changed_by_id, one.changed_at = actor.operator_id, now()
    session.flush()
    journal.note(session, one, "saved", before if template_id else "", f"{one.version} {one.name}")
    return one


def restore(session: Session, template_id: int, version: int) -> LabelTemplate:
    """An earlier text becomes the newest version; nothing in between is lost."""
    one = template_of(session, actor_of(session).warehouse_id, template_id)
    earlier = session.execute(
        select(LabelTemplateVersion).where(
            LabelTemplateVersion.warehouse_id == one.warehouse_id,
            LabelTemplateVersion.template_id == one.id,
            LabelTemplateVersion.version == version,
        )
    ).scalar_one_or_none()
    if earlier is None:
        raise NotFound(what=term("The version"))
    return save(session, one.id, one.kind, one.name, earlier.text)


def switch(session: Session, template_id: int, on: bool) -> LabelTemplate:
    """Use it instead of the shipped template of its kind, or the shipped one again. At most one of a kind is in use."""
    one = _locked(session, actor_of(session).warehouse_id, template_id)
    if one.active == on:
        return one
    if on:
        _check(session, one.kind, one.text)
        for other in listed(session, one.warehouse_id):
            if other.kind == one.kind and other.active:
                other.active = False
                journal.note(session, other, "active", True, False)
        session.flush()
    one.active, one.trouble, one.failed_at = on, None, None
    session.flush()
    journal.note(session, one, "active", not on, on)
    return one


def remove(session: Session, template_id: int) -> str:
    """Throw a template away with its versions; the journal keeps that it was there. Returns its name."""
    one = _locked(session, actor_of(session).warehouse_id, template_id)
    if one.active:
        raise InUse()
    name = one.name
    for kept in session.execute(
        select(LabelTemplateVersion).where(
            LabelTemplateVersion.warehouse_id == one.warehouse_id, LabelTemplateVersion.template_id == one.id
        )
    ).scalars():
        session.delete(kept)
    session.flush()
    journal.note(session, one, "removed", name, "")
    session.delete(one)
    session.flush()
    return name


def print_test(session: Session, kind: str, text: str, printer: Printer, once: str) -> PrintJob:
    """The template as it stands in the editor, with its samples, marked as a test: one job in the ordinary queue."""
    check_kind(kind)
    text = _plain(text)
    if own_templates.look(kind, text, printer.dpi, label_language(session, printer.warehouse_id)).pages:
        return labels.queue_test(session, kind, text, printer, kind, once)
    raise labels.WrongTemplate()


def check_kind(kind: str) -> None:
    if kind not in own_templates.kinds():
        raise NoSuchKind(kind=kind[:40] or "—")


def label_language(session: Session, warehouse_id: int) -> str:
    return session.get_one(Warehouse, warehouse_id).label_language


def free_name(session: Session, warehouse_id: int, wanted: str) -> str:
    """A name that no template has yet: the wanted one, else with a number."""
    taken = set(session.execute(select(LabelTemplate.name).where(LabelTemplate.warehouse_id == warehouse_id)).scalars())
    return next(
        name for number in range(1, 10_000) if (name := f"{wanted} {number}" if number > 1 else wanted) not in taken
    )


def _plain(text: str) -> str:
    """As an editor keeps it: a browser sends each line end as two signs."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _locked(session: Session, warehouse_id: int, template_id: int) -> LabelTemplate:
    found = session.get(LabelTemplate, (warehouse_id, template_id), with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound(what=term("The template"))
    return found


def _check(session: Session, kind: str, text: str) -> None:
    found = own_templates.grave_slips(kind, text, label_language(session, actor_of(session).warehouse_id))
    if found:
        raise NotSound(count=len(found))


# ---- What is printed, and the shop's words on packing lists


def shops(session: Session, warehouse_id: int) -> list[Shop]:
    return list(session.execute(select(Shop).where(Shop.warehouse_id == warehouse_id).order_by(Shop.name)).scalars())


def save_words(session: Session, shop_id: int, greeting: str) -> Shop:
    """The shop's own words to its buyers, printed at the end of its packing lists."""
    shop = session.get(Shop, shop_id)
    if shop is None or shop.warehouse_id != actor_of(session).warehouse_id:
        raise NotFound(what=term("The shop"))
    greeting = _plain(greeting).strip()[:LONGEST_WORDS]
    before = str(shop.settings.get("greeting") or "")
    if before != greeting:
        # A new dictionary: one that is changed inside is not seen to have changed.
        shop.settings = {**shop.settings, "greeting": greeting}
        session.flush()
        journal.note(session, shop, "greeting", before, greeting)
    return shop


def save_what_is_printed(session: Session, packing_lists: bool, gs1_prefix: str) -> Warehouse:
    """Whether a packing list comes out with each waybill; the company prefix of container numbers."""
    warehouse = session.get_one(Warehouse, actor_of(session).warehouse_id, with_for_update=True)
    prefix = gs1_prefix.strip()
    if prefix and not (prefix.isascii() and prefix.isdigit() and 4 <= len(prefix) <= 12):
        raise BadPrefix(entered=prefix[:20])
    before = f"{warehouse.packing_lists} {warehouse.gs1_prefix}"
    if warehouse.gs1_prefix != prefix:
        # Numbers under another prefix begin anew, those under a former one go on behind what was given out.
        warehouse.gs1_prefix, warehouse.next_carton = prefix, 1 + labels.cartons_under(session, prefix)
    warehouse.packing_lists = packing_lists
    session.flush()
    after = f"{warehouse.packing_lists} {warehouse.gs1_prefix}"
    if before != after:
        journal.note(session, warehouse, "what_is_printed", before, after)
    return warehouse
