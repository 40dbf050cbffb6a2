"""What goes on each label, and the queue row that is saved with its cause (R31–R35)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from printers import image, layouts, masking
from printers.errors import CannotPrint, DoesNotFit
from printers.zpl import marked_again
from wms import journal
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, Refusal
from wms.models import (
    Barcode,
    Carrier,
    Item,
    Location,
    LocationKind,
    Order,
    Parcel,
    ParcelLine,
    Printer,
    PrintJob,
    PrintState,
    Station,
    Warehouse,
    Waybill,
    new_id,
)
from wms.scan import printed

SIZES_MM = {"100x150": (100, 150), "76x130": (76, 130), "location": (60, 40), "item": (50, 30), "tote": (70, 50)}
KEEPS = {"waybill": timedelta(hours=8), "label": timedelta(hours=2)}
"""How long a job is worth printing: old jobs do not burst out after a paper change (R35)."""

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


class NothingToReprint(Refusal):
    message = N_("There is no label to print again for %(what)s.")
    answer = "look"


class ReasonNeeded(Refusal):
    message = N_("Say why the label is printed again.")


def queue_waybill(session: Session, parcel: Parcel, order: Order, waybill: Waybill, station: Station) -> PrintJob:
    """Queue the parcel's waybill at its station. The parcel is the key: a second press queues nothing."""
    carrier = session.get_one(Carrier, parcel.carrier_id)
    printer = _printer(session, station, station.waybill_printer_id)
    paper = _waybill_paper(session, parcel, order, waybill, carrier)
    return _queue(
        session,
        printer,
        kind="waybill",
        size=carrier.label_size,
        document=parcel,
        station=station,
        title=f"{waybill.number} {order.shop_order_no}"[:120],
        once=f"waybill:{waybill.id}",
        build=lambda dpi: layouts.waybill(paper, carrier.label_size, dpi),  # type: ignore[arg-type]
    )


def _waybill_paper(
    session: Session, parcel: Parcel, order: Order, waybill: Waybill, carrier: Carrier
) -> layouts.Waybill:
    """Names, phones and addresses go to the label masked as GB/T 41833 asks; the book keeps what the shop gave."""
    warehouse = session.get_one(Warehouse, parcel.warehouse_id)
    to = order.recipient
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
        carrier_name=carrier.name,
        sort_code=str(to.get("sort_code") or ""),
        hub=str(to.get("hub") or ""),
        recipient=layouts.Party(
            _drawable(masking.mask_name(str(to.get("name") or ""))),
            masking.mask_phone(str(to.get("phone") or "")),
            _drawable(region),
            _drawable(masking.mask_address(str(to.get("address") or ""))),
        ),
        sender=layouts.Party(
            _drawable(masking.mask_name(warehouse.sender_name)),
            masking.mask_phone(warehouse.sender_phone),
            _drawable(warehouse.sender_region),
            _drawable(masking.mask_address(warehouse.sender_address)),
        ),
        order_no=_drawable(order.shop_order_no),
        goods=_drawable(contents),
        note=_drawable(order.buyer_note[:200]),
        parcel_no=str(number),
        weight_g=parcel.weight_g or 0,
        printed_at_text=f"{now().astimezone(ZoneInfo(warehouse.timezone)):%Y-%m-%d %H:%M}",
        language=warehouse.label_language,
    )


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


def _drawable(text: str) -> str:
    """Buyers write emoji: a character without a picture is marked by "?" and the label still comes."""
    return image.printable(text)[0]


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
    document: Parcel | Location | Item,
    title: str,
    once: str,
    build: Callable[[int], bytes],
    copies: int = 1,
    station: Station | None = None,
) -> PrintJob:
    actor = actor_of(session)
    has = session.execute(
        select(PrintJob).where(PrintJob.warehouse_id == actor.warehouse_id, PrintJob.once == once)
    ).scalar_one_or_none()
    if has is not None:
        return has
    width_mm, height_mm = SIZES_MM[size]
    _fits(printer, width_mm, height_mm, exact=kind == "waybill")
    try:
        payload = build(printer.dpi)
    except CannotPrint as error:
        raise CannotDraw(characters=" ".join(error.characters)) from error
    except DoesNotFit as error:
        raise TooLongToPrint(text=title) from error
    at = now()
    job = PrintJob(
        warehouse_id=actor.warehouse_id,
        id=new_id(),
        printer_id=printer.id,
        kind=kind,
        document=document.__tablename__,
        document_id=document.id,
        title=title,
        once=once,
        payload=payload,
        sha256=hashlib.sha256(payload).hexdigest(),
        copies=copies,
        width_mm=width_mm,
        height_mm=height_mm,
        dpi=printer.dpi,
        operator_id=actor.operator_id,
        station_id=station.id if station else None,
        created_at=at,
        expires_at=at + KEEPS["waybill" if kind == "waybill" else "label"],
        next_at=at,
    )
    session.add(job)
    session.flush()
    return job


def _fits(printer: Printer, width_mm: int, height_mm: int, exact: bool) -> None:
    """A waybill wants its own paper; small shelf labels may come out on larger stock."""
    same = (printer.width_mm, printer.height_mm) == (width_mm, height_mm)
    if not same and (exact or printer.width_mm < width_mm or printer.height_mm < height_mm):
        raise WrongMedia(
            printer=printer.name, loaded=f"{printer.width_mm}×{printer.height_mm}", needed=f"{width_mm}×{height_mm}"
        )


def queue_location(session: Session, location: Location, printer: Printer, once: str) -> PrintJob:
    """A shelf's or tote's own label, its code with the class prefix (R14)."""
    tote = location.kind is LocationKind.TOTE

    def build(dpi: int) -> bytes:
        if tote:
            return layouts.tote_label(location.barcode, dpi, human=location.code)
        return layouts.location_label(location.barcode, dpi=dpi, human=location.code)

    size = "tote" if tote else "location"
    return _queue(
        session, printer, kind=size, size=size, document=location, title=location.barcode, once=once, build=build
    )


def queue_item(session: Session, item: Item, printer: Printer, copies: int, once: str) -> PrintJob:
    """Item labels: the item's own barcode where it has one, else our I- label of its SKU."""
    code = session.execute(
        select(Barcode.code).where(Barcode.item_id == item.id, Barcode.pieces == 1).order_by(Barcode.code).limit(1)
    ).scalar_one_or_none()
    text = f"I-{item.sku}" if code is None else printed(code)

    def build(dpi: int) -> bytes:
        label = layouts.item_label(_drawable(item.sku), _drawable(item.name), text, dpi)
        return label.replace(b"^PQ1,", f"^PQ{copies},".encode()) if copies > 1 else label

    return _queue(
        session, printer, kind="item", size="item", document=item, title=item.sku, once=once, build=build, copies=copies
    )


def job_of(session: Session, parcel: Parcel) -> PrintJob | None:
    """The newest print job of a parcel's label."""
    return session.execute(
        select(PrintJob)
        .where(
            PrintJob.warehouse_id == parcel.warehouse_id,
            PrintJob.document == "parcel",
            PrintJob.document_id == parcel.id,
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
            PrintJob.reprint_of_id.is_(None),
        )
        .order_by(PrintJob.id)
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
    payload = marked_again(first.payload, f"补打 {again}")
    actor, at = actor_of(session), now()
    job = PrintJob(
        warehouse_id=parcel.warehouse_id,
        id=new_id(),
        printer_id=printer.id,
        kind=first.kind,
        document=first.document,
        document_id=first.document_id,
        title=first.title,
        once=f"{first.once}:{again}",
        payload=payload,
        sha256=hashlib.sha256(payload).hexdigest(),
        copies=1,
        width_mm=first.width_mm,
        height_mm=first.height_mm,
        dpi=first.dpi,
        operator_id=actor.operator_id,
        station_id=station.id,
        reprint_of_id=first.id,
        reprint_no=again,
        reprint_reason=reason,
        created_at=at,
        expires_at=at + KEEPS["waybill"],
        next_at=at,
    )
    session.add(job)
    session.flush()
    journal.note(session, parcel, "reprint", again, reason)
    return job


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
