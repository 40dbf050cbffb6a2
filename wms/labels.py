"""What goes on each label, and the queue row that is saved with its cause (R31–R35)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from printers import image, languages, layouts, masking, raw
from printers.errors import CannotPrint, DoesNotFit, RefusedLabel, WrongCheckDigit
from printers.label import Label
from wms import journal, rules, together
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, Refusal
from wms.models import (
    Barcode,
    BlockEntry,
    BlockKind,
    Carrier,
    Item,
    Location,
    LocationKind,
    Lot,
    Manifest,
    Order,
    OrderLine,
    Parcel,
    ParcelLine,
    Printer,
    PrinterLanguage,
    PrintJob,
    PrintState,
    Shop,
    Station,
    Warehouse,
    Waybill,
    WaybillState,
    new_id,
)
from wms.scan import printed

SIZES_MM = {
    "100x150": (100, 150),
    "100x180": (100, 180),
    "100x113": (100, 113),
    "76x130": (76, 130),
    "location": (60, 40),
    "location-3-across": (100, 30),
    "item": (50, 30),
    "lot": (70, 50),
    "tote": (70, 50),
    "carton": (100, 150),
    "list": (100, 150),
}
KEEPS = {"waybill": timedelta(hours=8), "label": timedelta(hours=2)}
"""How long a job is worth printing: old jobs do not burst out after a paper change (R35)."""

MOST_AT_ONCE = 500
"""Pieces of paper in one job; the table allows no more."""

WAITING = (PrintState.QUEUED, PrintState.WAITING)


def use_font(path: str) -> None:
    """Draw what the printer's own font cannot with this font file instead of the one that is installed."""
    image.set_font(path)


class NoPrinter(Refusal):
    message = N_("Station %(station)s has no printer for this label. An admin must choose one.")
    answer = "look"


class WrongMedia(Refusal):
    """Refused before a byte goes (facts: a 76×130 job on 100×150 paper wastes both)."""

    message = N_("%(printer)s holds %(loaded)s mm labels; this one needs %(needed)s mm. Choose another printer.")
    answer = "look"


class CannotDraw(Refusal):
    message = N_("The label font has no picture for %(characters)s. Correct the address or the note first.")
    answer = "look"


class TooLongToPrint(Refusal):
    message = N_("%(text)s is too long for this label. Use a larger label or a shorter code.")
    answer = "look"


class WrongLanguage(Refusal):
    """The bytes of one language are waste paper, or worse, on a printer of the other."""

    message = N_(
        "This label was built for a %(needed)s printer; %(printer)s speaks %(loaded)s. Choose another printer."
    )
    answer = "look"


class WrongDpi(Refusal):
    message = N_("This label was drawn for %(needed)s dpi; %(printer)s prints %(loaded)s dpi. Choose another printer.")
    answer = "look"


class WrongNumber(Refusal):
    message = N_("%(number)s is not sound: its check digit should be %(right)s. Correct it first.")
    answer = "look"


class NotALabel(Refusal):
    message = N_("This is no label that can be printed: it is cut or empty, or neither ZPL, PDF nor a picture.")
    answer = "look"


class CommandInLabel(Refusal):
    message = N_("The label holds %(command)s, which changes the printer. Ask its sender for one without it.")
    answer = "look"


class NothingToReprint(Refusal):
    message = N_("There is no label to print again for %(what)s.")
    answer = "look"


class ReasonNeeded(Refusal):
    message = N_("Say why the label is printed again.")


@dataclass
class _Said:
    """Texts on their way to a label. Buyers write emoji: what has no picture is marked by "?", and told."""

    lost: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> str:
        marked, lost = image.printable(text)
        self.lost += [character for character in lost if character not in self.lost]
        return marked


Drawn = Label | Sequence[Label]
Draw = Callable[[int], Drawn]
Document = Parcel | Location | Item | Manifest | Order


def queue_waybill(session: Session, parcel: Parcel, order: Order, waybill: Waybill, station: Station) -> PrintJob:
    """Queue the parcel's waybill at its station. The parcel is the key: a second press queues nothing."""
    carrier = session.get_one(Carrier, parcel.carrier_id)
    printer = _printer(session, station, station.waybill_printer_id)
    said = _Said()
    paper = _waybill_paper(session, parcel, order, waybill, carrier, said, now())
    return _queue(
        session,
        printer,
        kind="waybill",
        size=carrier.label_size,
        document=parcel,
        station=station,
        title=f"{waybill.number} {order.shop_order_no}"[:120],
        once=f"waybill:{waybill.id}",
        draw=_waybill(paper, carrier),
        lost=said.lost,
    )


def _waybill(paper: layouts.Waybill, carrier: Carrier) -> Draw:
    size = carrier.label_size
    return lambda dpi: layouts.waybill_label(paper, size, dpi)  # type: ignore[arg-type]


def _waybill_paper(
    session: Session, parcel: Parcel, order: Order, waybill: Waybill, carrier: Carrier, said: _Said, at: datetime
) -> layouts.Waybill:
    """Names, phones and addresses go to the label masked as GB/T 41833 asks; the book keeps what the shop gave."""
    warehouse = session.get_one(Warehouse, parcel.warehouse_id)
    to = order.recipient
    sender = _sender(session, order, warehouse)
    region = " ".join(
        part
        for part in (to.get("country"), to.get("province"), to.get("city"), to.get("district"), to.get("town"))
        if part
    )
    pieces, kinds = session.execute(
        select(func.coalesce(func.sum(ParcelLine.qty), 0), func.count(func.distinct(ParcelLine.item_id))).where(
            ParcelLine.warehouse_id == parcel.warehouse_id, ParcelLine.parcel_id == parcel.id
        )
    ).one()
    first = session.execute(
        select(Item.sku, Item.name, ParcelLine.qty)
        .join(Item, Item.id == ParcelLine.item_id)
        .where(ParcelLine.warehouse_id == parcel.warehouse_id, ParcelLine.parcel_id == parcel.id, ParcelLine.qty > 0)
        .order_by(Item.sku)
        .limit(3)
    ).all()
    contents = "; ".join(f"{sku} {name} ×{qty}" for sku, name, qty in first)
    if kinds > len(first):
        contents += f" … ({pieces})"
    number = session.execute(
        select(func.count())
        .select_from(Parcel)
        .where(
            Parcel.warehouse_id == parcel.warehouse_id,
            Parcel.order_id == order.id,
            Parcel.state != "void",
            Parcel.id <= parcel.id,
        )
    ).scalar_one()
    return layouts.Waybill(
        number=waybill.number,
        carrier_name=said(carrier.name),
        sort_code=said(str(to.get("sort_code") or "")),
        hub=said(str(to.get("hub") or "")),
        recipient=layouts.Party(
            said(masking.mask_name(str(to.get("name") or ""))),
            masking.mask_phone(str(to.get("phone") or "")),
            said(region),
            said(masking.mask_address(str(to.get("address") or ""))),
        ),
        sender=layouts.Party(
            said(masking.mask_name(sender["name"])),
            masking.mask_phone(sender["phone"]),
            said(sender["region"]),
            said(masking.mask_address(sender["address"])),
        ),
        order_no=said(order.shop_order_no),
        goods=said(contents),
        note=said("; ".join(each.buyer_note for each in together.all_carried(session, order) if each.buyer_note)[:200]),
        parcel_no=str(number),
        weight_g=parcel.weight_g or 0,
        printed_at_text=_local(warehouse, at),
        language=warehouse.label_language,
    )


def _sender(session: Session, order: Order, warehouse: Warehouse) -> dict[str, str]:
    """The warehouse, or the shop it ships for (代发): its buyers do not know us. What the shop leaves out is ours."""
    ours = {
        "name": warehouse.sender_name,
        "phone": warehouse.sender_phone,
        "region": warehouse.sender_region,
        "address": warehouse.sender_address,
    }
    agent = rules.of_shop(session, session.get_one(Shop, order.shop_id))["agent"]
    return {key: str(agent.facts.get(key) or own) if agent.on else own for key, own in ours.items()}


def masked_recipient(order: Order) -> dict[str, str]:
    """Who gets it, as the label shows it: for screens whose work does not need more (R45)."""
    to = order.recipient
    region = " ".join(
        str(part) for name in ("country", "province", "city", "district", "town") if (part := to.get(name))
    )
    return {
        "name": masking.mask_name(str(to.get("name") or "")),
        "phone": masking.mask_phone(str(to.get("phone") or "")),
        "region": region,
        "address": masking.mask_address(str(to.get("address") or "")),
    }


def masked_entry(entry: BlockEntry) -> str:
    """An entry of the block list for a screen: enough to know it again, not enough to copy it (R45)."""
    if entry.kind is BlockKind.PHONE:
        return masking.mask_phone(entry.value)
    if entry.kind is BlockKind.ADDRESS:
        name, place = entry.value.split("\n", 1)
        return f"{masking.mask_name(name)} {place[:5]}…"
    return f"{entry.value[:3]}…{entry.value[-2:]}" if len(entry.value) > 7 else entry.value


def _printer(session: Session, station: Station, printer_id: int | None) -> Printer:
    printer = session.get(Printer, (station.warehouse_id, printer_id)) if printer_id else None
    if printer is None:
        raise NoPrinter(station=station.code)
    return printer


def _queue(
    session: Session,
    printer: Printer,
    *,
    kind: str,
    size: str,
    document: Document,
    title: str,
    once: str,
    draw: Draw,
    copies: int = 1,
    station: Station | None = None,
    lost: Sequence[str] = (),
) -> PrintJob:
    has = _queued(session, once)
    if has is not None:
        return has
    width_mm, height_mm = SIZES_MM[size]
    _fits(printer, width_mm, height_mm, exact=kind == "waybill")
    drawn = _drawn(draw, printer.dpi, title)
    count = copies * (1 if isinstance(drawn, Label) else len(drawn))
    if count > MOST_AT_ONCE:
        raise TooLongToPrint(text=title)
    payload = languages.build(printer.language.value, drawn, copies)
    return _save(
        session,
        printer,
        kind=kind,
        document=document,
        title=title,
        once=once,
        payload=payload,
        copies=count,
        width_mm=width_mm,
        height_mm=height_mm,
        station_id=station.id if station else None,
        not_drawn=" ".join(lost)[:120],
    )


def _queued(session: Session, once: str) -> PrintJob | None:
    return session.execute(
        select(PrintJob).where(PrintJob.warehouse_id == actor_of(session).warehouse_id, PrintJob.once == once)
    ).scalar_one_or_none()


def _drawn(draw: Draw, dpi: int, title: str) -> Drawn:
    try:
        return draw(dpi)
    except CannotPrint as error:
        raise CannotDraw(characters=" ".join(error.characters) or title) from error
    except DoesNotFit as error:
        raise TooLongToPrint(text=title) from error
    except WrongCheckDigit as error:
        raise WrongNumber(number=error.number, right=error.right) from error


def _save(
    session: Session, printer: Printer, *, kind: str, document: Document, payload: bytes, **columns: Any
) -> PrintJob:
    actor, at = actor_of(session), now()
    job = PrintJob(
        warehouse_id=actor.warehouse_id,
        id=new_id(),
        printer_id=printer.id,
        kind=kind,
        document=document.__tablename__,
        document_id=document.id,
        language=printer.language,
        dpi=printer.dpi,
        payload=payload,
        sha256=hashlib.sha256(payload).hexdigest(),
        operator_id=actor.operator_id,
        created_at=at,
        expires_at=at + KEEPS["waybill" if kind == "waybill" else "label"],
        next_at=at,
        **columns,
    )
    session.add(job)
    session.flush()
    if job.not_drawn:
        # Nobody reads a label for question marks, so the book says that they stand there, and for what.
        journal.note(session, job, "not_drawn", "", job.not_drawn)
    return job


def _fits(printer: Printer, width_mm: int, height_mm: int, exact: bool) -> None:
    """A waybill wants its own paper; small shelf labels may come out on larger stock."""
    same = (printer.width_mm, printer.height_mm) == (width_mm, height_mm)
    if not same and (exact or printer.width_mm < width_mm or printer.height_mm < height_mm):
        raise WrongMedia(
            printer=printer.name, loaded=f"{printer.width_mm}×{printer.height_mm}", needed=f"{width_mm}×{height_mm}"
        )


def check_language(job: PrintJob, printer: Printer) -> None:
    """Whoever gives a job to another printer asks this first. Raises WrongLanguage."""
    if job.language is not printer.language:
        raise WrongLanguage(needed=job.language.upper(), printer=printer.name, loaded=printer.language.upper())


def queue_location(session: Session, location: Location, printer: Printer, once: str) -> PrintJob:
    """A shelf's or tote's own label, its code with the class prefix (R14)."""
    tote = location.kind is LocationKind.TOTE

    def draw(dpi: int) -> Label:
        if tote:
            return layouts.tote_label(location.barcode, dpi, human=location.code)
        return layouts.location_label(location.barcode, dpi=dpi, human=location.code)

    size = "tote" if tote else "location"
    return _queue(
        session, printer, kind=size, size=size, document=location, title=location.barcode, once=once, draw=draw
    )


def queue_locations_across(session: Session, places: Sequence[Location], printer: Printer, once: str) -> PrintJob:
    """Small shelf labels three side by side, for rolls that are cut so: one job, one piece of paper for three."""
    codes = [(place.barcode, place.code) for place in places]
    return _queue(
        session,
        printer,
        kind="location",
        size="location-3-across",
        document=places[0],
        title=f"{codes[0][0]} … {codes[-1][0]}"[:120],
        once=once,
        draw=lambda dpi: layouts.location_labels(codes, dpi),
    )


def queue_item(session: Session, item: Item, printer: Printer, copies: int, once: str) -> PrintJob:
    """Item labels: the item's own barcode where it has one, else our I- label of its SKU."""
    code = session.execute(
        select(Barcode.code).where(Barcode.item_id == item.id, Barcode.pieces == 1).order_by(Barcode.code).limit(1)
    ).scalar_one_or_none()
    text, said = f"I-{item.sku}" if code is None else printed(code), _Said()
    sku, name = said(item.sku), said(item.name)
    return _queue(
        session,
        printer,
        kind="item",
        size="item",
        document=item,
        title=item.sku,
        once=once,
        draw=lambda dpi: layouts.item_label(sku, name, text, dpi),
        copies=copies,
        lost=said.lost,
    )


def queue_lot(
    session: Session, item: Item, lot: Lot, printer: Printer, copies: int, once: str, qty: int | None = None
) -> PrintJob:
    """Labels for cases or pallets of a lot: its bars fill item, lot and expiry at a scan (R15)."""
    said, language = _Said(), _language(session)
    sku, name, expiry = said(item.sku), said(item.name), lot.expiry.isoformat() if lot.expiry else ""
    return _queue(
        session,
        printer,
        kind="lot",
        size="lot",
        document=item,
        title=f"{item.sku} {lot.code}"[:120],
        once=once,
        draw=lambda dpi: layouts.lot_label(
            sku, name, lot.code, expiry, str(qty) if qty else "", dpi=dpi, language=language
        ),
        copies=copies,
        lost=said.lost,
    )


def queue_carton(session: Session, order: Order, carton: layouts.Carton, printer: Printer, once: str) -> PrintJob:
    """A carton with its serial shipping container code. Raises WrongNumber for a code that is not sound."""
    said, language = _Said(), _language(session)
    drawable = layouts.Carton(**{name: said(value) for name, value in asdict(carton).items()})
    return _queue(
        session,
        printer,
        kind="carton",
        size="carton",
        document=order,
        title=f"SSCC {carton.sscc}"[:120],
        once=once,
        draw=lambda dpi: layouts.carton_label(drawable, dpi, language),
        lost=said.lost,
    )


def queue_packing_list(
    session: Session, parcel: Parcel, order: Order, printer: Printer, once: str, logo: bytes = b""
) -> PrintJob:
    """What is in the parcel, with the words that the shop wants its buyers to read (its setting `greeting`)."""
    said, warehouse = _Said(), session.get_one(Warehouse, parcel.warehouse_id)
    shop = session.get_one(Shop, order.shop_id)
    rows = session.execute(
        select(OrderLine.sku, OrderLine.name, func.sum(ParcelLine.qty))
        .join(
            ParcelLine,
            (ParcelLine.warehouse_id == OrderLine.warehouse_id) & (ParcelLine.order_line_id == OrderLine.id),
        )
        .where(ParcelLine.warehouse_id == parcel.warehouse_id, ParcelLine.parcel_id == parcel.id, ParcelLine.qty > 0)
        .group_by(OrderLine.sku, OrderLine.name)
        .order_by(OrderLine.sku)
    ).all()
    paper = layouts.PackingList(
        shop=said(shop.name),
        recipient=said(masking.mask_name(str(order.recipient.get("name") or ""))),
        order_no=said(order.shop_order_no),
        printed_at=_local(warehouse, now()),
        lines=[layouts.PackLine(said(sku), said(name or sku), str(qty)) for sku, name, qty in rows],
        pieces=sum(int(qty) for _, _, qty in rows),
        note=said(order.buyer_note[:200]),
        greeting=said(str(shop.settings.get("greeting") or "")),
        logo=logo,
    )
    return _queue(
        session,
        printer,
        kind="packing_list",
        size="list",
        document=parcel,
        title=f"{parcel.code} {order.shop_order_no}"[:120],
        once=once,
        draw=lambda dpi: layouts.packing_list(paper, dpi, warehouse.label_language),
        lost=said.lost,
    )


def queue_pick_list(
    session: Session, order: Order, lines: Sequence[layouts.PickLine], printer: Printer, once: str, wave: str = ""
) -> PrintJob:
    """The walk on paper, for whoever has no phone: `lines` in walking order."""
    said, warehouse = _Said(), session.get_one(Warehouse, order.warehouse_id)
    rows = [layouts.PickLine(**{name: said(value) for name, value in asdict(line).items()}) for line in lines]
    code, at = said(order.shop_order_no), _local(warehouse, now())
    return _queue(
        session,
        printer,
        kind="pick_list",
        size="list",
        document=order,
        title=code[:120],
        once=once,
        draw=lambda dpi: layouts.pick_list(code, rows, at, wave, dpi, warehouse.label_language),
        lost=said.lost,
    )


def queue_manifest(
    session: Session, manifest: Manifest, rows: Sequence[tuple[str, str]], printer: Printer, once: str
) -> PrintJob:
    """R36: the sheet that the driver signs. `rows` are (waybill number, order number) in the order of the scans."""
    said, warehouse = _Said(), session.get_one(Warehouse, manifest.warehouse_id)
    carrier, at = session.get_one(Carrier, manifest.carrier_id), manifest.closed_at or now()
    lines = [layouts.ManifestLine(number, said(order_no)) for number, order_no in rows]
    names = said(carrier.name), said(warehouse.name)
    return _queue(
        session,
        printer,
        kind="manifest",
        size="list",
        document=manifest,
        title=manifest.code,
        once=once,
        draw=lambda dpi: layouts.manifest(
            manifest.code, *names, _local(warehouse, at), lines, manifest.weight_g, dpi, warehouse.label_language
        ),
        lost=said.lost,
    )


def queue_raw(session: Session, parcel: Parcel, label: bytes, station: Station, title: str, once: str) -> PrintJob:
    """A label that somebody else made: ZPL goes as it is, PDF and pictures become dots of this printer.

    What was given is kept with the job. Its size is compared with the paper. Raises refusals.
    """
    has = _queued(session, once)
    if has is not None:
        return has
    printer = _printer(session, station, station.waybill_printer_id)
    kind = raw.kind_of(label)
    payload, count = _raw_payload(label, kind, printer)
    return _save(
        session,
        printer,
        kind="waybill",
        document=parcel,
        title=title[:120],
        once=once,
        payload=payload,
        copies=count,
        width_mm=printer.width_mm,
        height_mm=printer.height_mm,
        station_id=station.id,
        source=None if kind == "zpl" else label,
        source_kind=kind,
    )


def _raw_payload(label: bytes, kind: raw.Kind, printer: Printer) -> tuple[bytes, int]:
    """The bytes for this printer, and how many pieces of paper come out."""
    width_mm, height_mm, dpi = printer.width_mm, printer.height_mm, printer.dpi
    try:
        if kind == "zpl":
            if printer.language is not PrinterLanguage.ZPL:
                raise WrongLanguage(needed="ZPL", printer=printer.name, loaded=printer.language.upper())
            raw.check_zpl_size(label, width_mm, height_mm, dpi)
            return label, raw.check_zpl(label)
        if kind == "pdf":
            pages = raw.from_pdf(label, width_mm, height_mm, dpi)
        else:
            pages = [raw.from_picture(label, width_mm, height_mm, dpi)]
        return languages.build(printer.language.value, pages), len(pages)
    except RefusedLabel as error:
        if error.kind == "size":
            raise WrongMedia(printer=printer.name, loaded=f"{width_mm}×{height_mm}", needed=error.fact) from error
        if error.kind == "command":
            raise CommandInLabel(command=error.fact) from error
        raise NotALabel() from error


def _warehouse(session: Session) -> Warehouse:
    return session.get_one(Warehouse, actor_of(session).warehouse_id)


def _language(session: Session) -> str:
    return _warehouse(session).label_language


def _local(warehouse: Warehouse, at: datetime) -> str:
    return f"{at.astimezone(ZoneInfo(warehouse.timezone)):%Y-%m-%d %H:%M}"


def job_of(session: Session, parcel: Parcel) -> PrintJob | None:
    """The newest print job of a parcel's label."""
    return session.execute(
        select(PrintJob)
        .where(
            PrintJob.warehouse_id == parcel.warehouse_id,
            PrintJob.document == "parcel",
            PrintJob.document_id == parcel.id,
            PrintJob.kind == "waybill",
        )
        .order_by(PrintJob.id.desc())
        .limit(1)
    ).scalar_one_or_none()


def reprint(session: Session, parcel: Parcel, station: Station, reason: str) -> PrintJob:
    """R33: the first job's bytes with a visible mark, the same number, why, who, and the how-many-eth time."""
    reason = reason.strip()[:120]
    if not reason:
        raise ReasonNeeded()
    first = session.execute(
        select(PrintJob)
        .where(
            PrintJob.warehouse_id == parcel.warehouse_id,
            PrintJob.document == "parcel",
            PrintJob.document_id == parcel.id,
            PrintJob.kind == "waybill",
            PrintJob.reprint_of_id.is_(None),
        )
        .order_by(PrintJob.id.desc())  # after void and redo, the label of the new number
        .limit(1)
    ).scalar_one_or_none()
    if first is None:
        raise NothingToReprint(what=parcel.code)
    again = (
        1
        + session.execute(
            select(func.count())
            .select_from(PrintJob)
            .where(PrintJob.warehouse_id == parcel.warehouse_id, PrintJob.reprint_of_id == first.id)
        ).scalar_one()
    )
    printer = _printer(session, station, station.waybill_printer_id)
    _fits(printer, first.width_mm, first.height_mm, exact=True)
    mark = f"补打 {again}"
    dots = tuple(int(side * printer.dpi / 25.4) for side in (first.width_mm, first.height_mm))
    payload = languages.marked_again(
        printer.language.value, _same_for(session, first, parcel, printer), mark, (dots[0], dots[1])
    )
    job = _save(
        session,
        printer,
        kind=first.kind,
        document=parcel,
        title=first.title,
        once=f"{first.once}:{again}",
        payload=payload,
        copies=first.copies,
        width_mm=first.width_mm,
        height_mm=first.height_mm,
        station_id=station.id,
        reprint_of_id=first.id,
        reprint_no=again,
        reprint_reason=reason,
        not_drawn=first.not_drawn,
    )
    journal.note(session, parcel, "reprint", again, reason)
    return job


def _same_for(session: Session, first: PrintJob, parcel: Parcel, printer: Printer) -> bytes:
    """The first job's bytes; for a printer of another language or resolution the same label drawn for that."""
    if (first.language, first.dpi) == (printer.language, printer.dpi):
        return first.payload
    if first.source is not None:
        return _raw_payload(first.source, "pdf" if first.source_kind == "pdf" else "picture", printer)[0]
    waybill = _live_waybill(session, parcel)
    if first.source_kind or waybill is None or first.once != f"waybill:{waybill.id}":
        # A carrier's own ZPL cannot be drawn anew.
        check_language(first, printer)
        raise WrongDpi(needed=first.dpi, printer=printer.name, loaded=printer.dpi)
    order, carrier = _order(session, parcel), session.get_one(Carrier, parcel.carrier_id)
    paper = _waybill_paper(session, parcel, order, waybill, carrier, _Said(), first.created_at)
    return languages.build(printer.language.value, _drawn(_waybill(paper, carrier), printer.dpi, first.title))


def _live_waybill(session: Session, parcel: Parcel) -> Waybill | None:
    return session.execute(
        select(Waybill).where(
            Waybill.warehouse_id == parcel.warehouse_id,
            Waybill.parcel_id == parcel.id,
            Waybill.state == WaybillState.LIVE,
        )
    ).scalar_one_or_none()


def _order(session: Session, parcel: Parcel) -> Order:
    return session.get_one(Order, (parcel.warehouse_id, parcel.order_id))


def cancel(session: Session, parcel: Parcel) -> None:
    """A voided parcel's label that has not gone to a printer stays in the queue's book, cancelled."""
    session.execute(
        update(PrintJob)
        .where(
            PrintJob.warehouse_id == parcel.warehouse_id,
            PrintJob.document == "parcel",
            PrintJob.document_id == parcel.id,
            PrintJob.state.in_(WAITING),
        )
        .values(state=PrintState.CANCELLED, done_at=now(), reason="void")
        .execution_options(synchronize_session=False)
    )
