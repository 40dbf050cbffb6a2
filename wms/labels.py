"""What goes on each label, and the queue row that is saved with its cause (R31–R35)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from printers import image, languages, layouts, masking, raw, template, test_page
from printers.errors import CannotPrint, DoesNotFit, PrinterError, RefusedLabel, WrongCheckDigit
from printers.label import Label
from wms import components, journal, own_templates, rules, together, waybill_numbers, waybills
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, Refusal
from wms.models import (
    Allocation,
    Barcode,
    BlockEntry,
    BlockKind,
    Carrier,
    CartonCode,
    Item,
    Location,
    LocationKind,
    Lot,
    Manifest,
    Order,
    OrderLine,
    Parcel,
    ParcelLine,
    PlatformWaybill,
    Printer,
    PrinterLanguage,
    PrintJob,
    PrintState,
    Receipt,
    Shop,
    Station,
    StationPrinter,
    Warehouse,
    Wave,
    Waybill,
    WaybillState,
    new_id,
)
from wms.scan import printed

KINDS = ("waybill", "item", "lot", "location", "tote", "carton", "packing_list", "pick_list", "manifest")
"""What a print job can be, and a station has a printer for. A template's name is the same with hyphens."""

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


class NoComponentPrinter(Refusal):
    message = N_(
        "Station %(station)s has no printer for waybills of this platform. An admin must add one: %(example)s."
    )
    answer = "look"


class OnlyPlatformWaybills(Refusal):
    """A component prints nothing that its platform did not make."""

    message = N_("%(printer)s prints platform waybills only. Choose another printer for this label.")
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


class WrongTemplate(Refusal):
    """``why`` is the Slip; whoever shows it says its words."""

    message = N_("This template cannot be printed. What is wrong stands beside it.")
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
Draw = Callable[[int, layouts.Find], Drawn]
"""Draws at so many dots per inch with the templates that are found so."""
Document = Parcel | Location | Item | Manifest | Order | Receipt | Printer


def queue_waybill(session: Session, parcel: Parcel, order: Order, waybill: Waybill, station: Station) -> PrintJob:
    """Queue the parcel's waybill at its station. The parcel is the key: a second press queues nothing."""
    carrier = session.get_one(Carrier, parcel.carrier_id)
    given = waybills.document_of(session, waybill)
    if given is not None:
        return _queue_document(session, parcel, order, waybill, station, carrier.label_size, given)
    printer = printer_at(session, station, "waybill")
    said = _Said()
    paper = _waybill_paper(session, parcel, order, waybill, carrier, said, now())
    return _queue(
        session,
        printer,
        kind="waybill",
        document=parcel,
        station=station,
        title=f"{waybill.number} {order.shop_order_no}"[:120],
        once=f"waybill:{waybill.id}",
        draw=_waybill(paper, carrier),
        lost=said.lost,
    )


def _queue_document(
    session: Session,
    parcel: Parcel,
    order: Order,
    waybill: Waybill,
    station: Station,
    size: str,
    given: PlatformWaybill,
) -> PrintJob:
    """The platform's document, byte by byte as it came, for the component on the station's PC."""
    once = f"waybill:{waybill.id}"
    has = _queued(session, once)
    if has is not None:
        return has
    printer = _component_printer(session, station, given.provider)
    width_mm, height_mm = (int(side) for side in size.split("x"))
    _fits(printer, width_mm, height_mm, exact=True)
    return _save(
        session,
        printer,
        kind="waybill",
        document=parcel,
        title=f"{waybill.number} {order.shop_order_no}"[:120],
        once=once,
        payload=given.document,
        copies=1,
        width_mm=width_mm,
        height_mm=height_mm,
        station_id=station.id,
    )


def _component_printer(session: Session, station: Station, provider: str) -> Printer:
    """A platform's waybills come out at the PC of the station, whatever printer its other waybills have."""
    printer = session.execute(
        select(Printer)
        .where(
            Printer.warehouse_id == station.warehouse_id,
            Printer.language == PrinterLanguage(provider),
            Printer.uri.startswith(f"{provider}://{station.code}/", autoescape=True),
        )
        .order_by(Printer.id)
        .limit(1)
    ).scalar_one_or_none()
    if printer is None:
        raise NoComponentPrinter(station=station.code, example=f"{provider}://{station.code}/…")
    return printer


def drawable(printer: Printer) -> languages.Language:
    """The language that a label for this printer is drawn in. Raises OnlyPlatformWaybills for a component's."""
    for language in languages.LANGUAGES:
        if printer.language.value == language:
            return language
    raise OnlyPlatformWaybills(printer=printer.name)


def _waybill(paper: layouts.Waybill, carrier: Carrier) -> Draw:
    size = carrier.label_size
    return lambda dpi, find: layouts.waybill_label(paper, size, dpi, find)  # type: ignore[arg-type]


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
        sort_code=said(waybill.sort_code or str(to.get("sort_code") or "")),
        hub=said(waybill.hub or str(to.get("hub") or "")),
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
    return masked(order.recipient)


def masked(to: Mapping[str, Any]) -> dict[str, str]:
    """A recipient as a label shows it."""
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


def printer_at(session: Session, station: Station, kind: str) -> Printer:
    """The printer for this kind of label at a station: the one named for the kind, else the usual one.

    Raises NoPrinter.
    """
    usual = station.waybill_printer_id if kind == "waybill" else station.label_printer_id
    named = session.get(StationPrinter, (station.warehouse_id, station.id, kind))
    printer_id = named.printer_id if named else usual
    printer = session.get(Printer, (station.warehouse_id, printer_id)) if printer_id else None
    if printer is None:
        raise NoPrinter(station=station.code)
    return printer


def paper_mm(session: Session, warehouse_id: int, kind: str) -> tuple[int, int]:
    """How large the paper for a kind of label must be at least, as the template says that is used now."""
    width, height = own_templates.size_mm(session, warehouse_id, kind.replace("_", "-"))
    return math.ceil(width), math.ceil(height)


def media_of(printer: Printer) -> languages.Media:
    graphics: Literal["z64", "hex"] = "hex" if printer.graphics == "hex" else "z64"
    return languages.Media(printer.gap_mm, printer.black_mark, graphics)


def _queue(
    session: Session,
    printer: Printer,
    *,
    kind: str,
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
    drawn = _drawn(session, draw, printer, title, exact=kind == "waybill")
    width_mm, height_mm = _size(drawn)
    count = copies * (1 if isinstance(drawn, Label) else len(drawn))
    if count > MOST_AT_ONCE:
        raise TooLongToPrint(text=title)
    payload = languages.build(drawable(printer), drawn, copies, media_of(printer))
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


def _size(drawn: Drawn) -> tuple[int, int]:
    """In whole millimetres, as printers and jobs name their paper."""
    first = drawn if isinstance(drawn, Label) else drawn[0]
    return math.ceil(first.size_mm[0]), math.ceil(first.size_mm[1])


def _drawn(session: Session, draw: Draw, printer: Printer, title: str, exact: bool) -> Drawn:
    """The label as it is drawn now and fits this printer; where an own template fails, the shipped one stands in."""
    own = own_templates.Own(session)
    try:
        drawn = _drawn_as(draw, printer.dpi, title, own)
        _fits(printer, *_size(drawn), exact)
    except Exception as error:
        # Whatever a template of the shop does, the floor goes on.
        if not own.given:
            raise
        drawn = _drawn_as(draw, printer.dpi, title, template.shipped)
        _fits(printer, *_size(drawn), exact)
        own.failed(error.__cause__ if isinstance(error.__cause__, PrinterError) else error)
    return drawn


def _drawn_as(draw: Draw, dpi: int, title: str, find: layouts.Find) -> Drawn:
    try:
        return draw(dpi, find)
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

    def draw(dpi: int, find: layouts.Find) -> Label:
        if tote:
            return layouts.tote_label(location.barcode, dpi, human=location.code, find=find)
        return layouts.location_label(location.barcode, dpi=dpi, human=location.code, find=find)

    kind = "tote" if tote else "location"
    return _queue(session, printer, kind=kind, document=location, title=location.barcode, once=once, draw=draw)


def queue_locations_across(session: Session, places: Sequence[Location], printer: Printer, once: str) -> PrintJob:
    """Small shelf labels three side by side, for rolls that are cut so: one job, one piece of paper for three."""
    codes = [(place.barcode, place.code) for place in places]
    return _queue(
        session,
        printer,
        kind="location",
        document=places[0],
        title=f"{codes[0][0]} … {codes[-1][0]}"[:120],
        once=once,
        draw=lambda dpi, find: layouts.location_labels(codes, dpi, find),
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
        document=item,
        title=item.sku,
        once=once,
        draw=lambda dpi, find: layouts.item_label(sku, name, text, dpi, find),
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
        document=item,
        title=f"{item.sku} {lot.code}"[:120],
        once=once,
        draw=lambda dpi, find: layouts.lot_label(
            sku, name, lot.code, expiry, str(qty) if qty else "", dpi=dpi, language=language, find=find
        ),
        copies=copies,
        lost=said.lost,
    )


def queue_carton(session: Session, document: Document, carton: layouts.Carton, printer: Printer, once: str) -> PrintJob:
    """A carton with its serial shipping container code. Raises WrongNumber for a code that is not sound."""
    said, language = _Said(), _language(session)
    drawable = layouts.Carton(**{name: said(value) for name, value in asdict(carton).items()})
    return _queue(
        session,
        printer,
        kind="carton",
        document=document,
        title=f"SSCC {carton.sscc}"[:120],
        once=once,
        draw=lambda dpi, find: layouts.carton_label(drawable, dpi, language, find),
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
        document=parcel,
        title=f"{parcel.code} {order.shop_order_no}"[:120],
        once=once,
        draw=lambda dpi, find: layouts.packing_list(paper, dpi, warehouse.label_language, find),
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
        document=order,
        title=code[:120],
        once=once,
        draw=lambda dpi, find: layouts.pick_list(code, rows, at, wave, dpi, warehouse.label_language, find),
        lost=said.lost,
    )


class NothingToPick(Refusal):
    message = N_("Order %(order)s has nothing left to fetch from the shelves.")
    answer = "look"


def queue_order_pick_list(session: Session, order: Order, printer: Printer, once: str) -> PrintJob:
    """The walk of one order on paper: what is promised to it on shelves, in walking order. Raises NothingToPick."""
    wave = session.get(Wave, (order.warehouse_id, order.wave_id)) if order.wave_id else None
    rows = session.execute(
        select(Location.code, Item.sku, Item.name, Allocation.lot, func.sum(Allocation.qty))
        .join(
            OrderLine,
            (OrderLine.warehouse_id == Allocation.warehouse_id) & (OrderLine.id == Allocation.order_line_id),
        )
        .join(Location, (Location.warehouse_id == Allocation.warehouse_id) & (Location.id == Allocation.location_id))
        .join(Item, Item.id == Allocation.item_id)
        .where(
            OrderLine.warehouse_id == order.warehouse_id,
            OrderLine.order_id == order.id,
            Location.kind == LocationKind.STORAGE,
        )
        .group_by(Location.walk, Location.code, Item.sku, Item.name, Allocation.lot)
        .order_by(Location.walk, Location.code, Item.sku, Allocation.lot)
    ).all()
    if not rows:
        raise NothingToPick(order=order.shop_order_no)
    lines = [layouts.PickLine(place, sku, name, str(qty), lot) for place, sku, name, lot, qty in rows]
    return queue_pick_list(session, order, lines, printer, once, wave.code if wave else "")


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
        document=manifest,
        title=manifest.code,
        once=once,
        draw=lambda dpi, find: layouts.manifest(
            manifest.code, *names, _local(warehouse, at), lines, manifest.weight_g, dpi, warehouse.label_language, find
        ),
        lost=said.lost,
    )


class NoCompanyPrefix(Refusal):
    message = N_(
        "A carton needs your GS1 company prefix for its number. An admin enters it under Labels, What is printed."
    )
    answer = "look"


class NoCartonNumbersLeft(Refusal):
    message = N_("All container numbers of the GS1 company prefix %(prefix)s are used up.")
    answer = "look"


def carton_code(session: Session, document: Document) -> CartonCode:
    """A new container number for a carton of this document; a number is given once and never again (GS1)."""
    following = session.execute(
        update(Warehouse)
        .where(Warehouse.id == actor_of(session).warehouse_id, Warehouse.gs1_prefix != "")
        .values(next_carton=Warehouse.next_carton + 1)
        .returning(Warehouse.next_carton, Warehouse.gs1_prefix)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if following is None:
        raise NoCompanyPrefix()
    try:
        sscc = waybill_numbers.sscc(following[1], following[0] - 1)
    except ValueError as error:
        raise NoCartonNumbersLeft(prefix=following[1]) from error
    code = CartonCode(
        warehouse_id=actor_of(session).warehouse_id,
        sscc=sscc,
        document=document.__tablename__,
        document_id=document.id,
        at=now(),
    )
    session.add(code)
    session.flush()
    return code


def cartons_under(session: Session, prefix: str) -> int:
    """The highest serial given out under a GS1 company prefix, or 0."""
    highest = session.execute(
        select(func.max(CartonCode.sscc)).where(
            CartonCode.warehouse_id == actor_of(session).warehouse_id, CartonCode.sscc.startswith(f"0{prefix}")
        )
    ).scalar_one_or_none()
    return int(highest[1 + len(prefix) : 17]) if highest and prefix else 0


def parcel_carton(session: Session, parcel: Parcel) -> CartonCode:
    """The parcel's container number: the one it has, else a new one."""
    has = (
        session.execute(
            select(CartonCode)
            .where(
                CartonCode.warehouse_id == parcel.warehouse_id,
                CartonCode.document == parcel.__tablename__,
                CartonCode.document_id == parcel.id,
            )
            .order_by(CartonCode.id)
        )
        .scalars()
        .first()
    )
    return has or carton_code(session, parcel)


def queue_parcel_carton(session: Session, parcel: Parcel, order: Order, printer: Printer, once: str) -> PrintJob:
    """A GS1 logistic label for a packed parcel: from this warehouse, to the recipient (masked), what it holds."""
    warehouse = session.get_one(Warehouse, parcel.warehouse_id)
    rows = session.execute(
        select(OrderLine.sku, OrderLine.name, ParcelLine.lot, func.sum(ParcelLine.qty))
        .join(
            ParcelLine,
            (ParcelLine.warehouse_id == OrderLine.warehouse_id) & (ParcelLine.order_line_id == OrderLine.id),
        )
        .where(ParcelLine.warehouse_id == parcel.warehouse_id, ParcelLine.parcel_id == parcel.id, ParcelLine.qty > 0)
        .group_by(OrderLine.sku, OrderLine.name, ParcelLine.lot)
        .order_by(OrderLine.sku)
    ).all()
    to = masked_recipient(order)
    lots = {lot for _, _, lot, _ in rows}
    carton = layouts.Carton(
        sscc=parcel_carton(session, parcel).sscc,
        from_name=warehouse.name,
        from_address=f"{warehouse.sender_region} {masking.mask_address(warehouse.sender_address)}".strip(),
        to_name=to["name"],
        to_address=f"{to['region']} {to['address']}".strip(),
        order_no=order.shop_order_no,
        carton_no="",
        sku=" · ".join(dict.fromkeys(sku for sku, _, _, _ in rows)),
        name="; ".join(f"{name or sku} ×{qty}" for sku, name, _, qty in rows),
        quantity=str(sum(int(qty) for *_, qty in rows)),
        lot=lots.pop() if len(lots) == 1 else "",
        weight=f"{parcel.weight_g / 1000:.2f} kg" if parcel.weight_g else "",
    )
    return queue_carton(session, parcel, carton, printer, once)


def queue_received_carton(
    session: Session, receipt: Receipt, item: Item, lot: str, qty: int, printer: Printer, once: str
) -> PrintJob:
    """A container number for goods that came without one: from the supplier, to this warehouse."""
    has = _queued(session, once)
    if has is not None:
        return has
    warehouse = session.get_one(Warehouse, receipt.warehouse_id)
    carton = layouts.Carton(
        sscc=carton_code(session, receipt).sscc,
        from_name=receipt.supplier or "—",
        from_address="",
        to_name=warehouse.name,
        to_address=f"{warehouse.sender_region} {masking.mask_address(warehouse.sender_address)}".strip(),
        order_no=receipt.code,
        carton_no="",
        sku=item.sku,
        name=item.name,
        quantity=str(qty),
        lot=lot,
    )
    return queue_carton(session, receipt, carton, printer, once)


def queue_test(session: Session, kind: str, text: str, printer: Printer, title: str, once: str) -> PrintJob:
    """A template with its samples, marked as a test on every label. Raises refusals, and WrongTemplate."""
    try:
        drawn = own_templates.sample_labels(kind, text, printer.dpi, _language(session))
    except PrinterError as error:
        raise WrongTemplate(why=own_templates.why(error)) from error
    return _queue_marked(session, printer, drawn, title, once)


def queue_test_page(session: Session, printer: Printer, once: str) -> PrintJob:
    """What a printer can do: its name, dots, size, rulers along two edges, a bar code and a QR code."""
    said = _Said()
    facts = test_page.Facts(
        code=printer.code,
        name=said(printer.name),
        language=printer.language.value,
        dpi=printer.dpi,
        width_mm=printer.width_mm,
        height_mm=printer.height_mm,
        printed_at=_local(_warehouse(session), now()),
    )
    return _queue_marked(session, printer, test_page.draw(facts), printer.code, once)


def _queue_marked(session: Session, printer: Printer, drawn: Drawn, title: str, once: str) -> PrintJob:
    has = _queued(session, once)
    if has is not None:
        return has
    width_mm, height_mm = _size(drawn)
    _fits(printer, width_mm, height_mm, exact=False)
    first = drawn if isinstance(drawn, Label) else drawn[0]
    language = drawable(printer)
    payload = languages.marked_again(
        language,
        languages.build(language, drawn, media=media_of(printer)),
        "测试 TEST",
        (first.width, first.height),
    )
    return _save(
        session,
        printer,
        kind="test",
        document=printer,
        title=f"TEST {title}"[:120],
        once=once,
        payload=payload,
        copies=1 if isinstance(drawn, Label) else len(drawn),
        width_mm=width_mm,
        height_mm=height_mm,
    )


def queue_raw(
    session: Session,
    parcel: Parcel,
    label: bytes,
    printer: Printer,
    title: str,
    once: str,
    station_id: int | None = None,
) -> PrintJob:
    """A label that somebody else made: ZPL goes as it is, PDF and pictures become dots of this printer.

    What was given is kept with the job. Its size is compared with the paper. Raises refusals.
    """
    has = _queued(session, once)
    if has is not None:
        return has
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
        station_id=station_id,
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
        return languages.build(drawable(printer), pages, media=media_of(printer)), len(pages)
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
    printer = _reprint_printer(session, station, first)
    _fits(printer, first.width_mm, first.height_mm, exact=True)
    if first.language in components.PROVIDERS:
        payload = first.payload  # sealed: a mark cannot be drawn on it; the book and the job carry it
    else:
        mark = f"补打 {again}"
        dots = tuple(int(side * printer.dpi / 25.4) for side in (first.width_mm, first.height_mm))
        payload = languages.marked_again(
            drawable(printer), _same_for(session, first, parcel, printer), mark, (dots[0], dots[1])
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


def _reprint_printer(session: Session, station: Station, first: PrintJob) -> Printer:
    if first.language in components.PROVIDERS:
        return _component_printer(session, station, first.language.value)
    return printer_at(session, station, "waybill")


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
    drawn = _drawn(session, _waybill(paper, carrier), printer, first.title, exact=True)
    return languages.build(drawable(printer), drawn, media=media_of(printer))


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
