"""Ship 发货交接: each parcel scanned onto its carrier's manifest leaves the books and waits for its push (R36, R37)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from wms import gate_checks, journal, labels, ledger, lookup, taken_back, together, waybills
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, ChangedMeanwhile, OrderCancelled, Refusal
from wms.journal import advance
from wms.models import (
    Allocation,
    Carrier,
    LocationKind,
    Manifest,
    ManifestState,
    MoveReason,
    Order,
    OrderLine,
    OrderState,
    Parcel,
    ParcelLine,
    ParcelState,
    ParcelTrack,
    Printer,
    PrintJob,
    Push,
    PushState,
    Waybill,
    WaybillState,
    new_id,
)
from wms.order_states import locked
from wms.scan import parse

STEPS: dict[Any, set[Any]] = {
    ParcelState.LABELLED: {ParcelState.HANDED_OVER},
    ManifestState.OPEN: {ManifestState.CLOSED},
    ManifestState.CLOSED: set[ManifestState](),
}


FIRST_LOOK = timedelta(hours=1)
"""The carrier's van is still on its way back: nothing is known of the parcel before."""


class WrongCarrier(Refusal):
    message = N_("Parcel %(parcel)s goes with %(expected)s, not with %(read)s.")
    block = True


class AlreadyOnManifest(Refusal):
    message = N_("Parcel %(parcel)s is already on manifest %(manifest)s.")
    answer = "look"


class NotLabelled(Refusal):
    message = N_("Parcel %(parcel)s has no label yet. Take it back to packing.")


class VoidLabel(Refusal):
    """R33: a voided label that is scanned is a loud stop."""

    message = N_("This label is void. Do not hand parcel %(parcel)s over; take it back to packing.")
    block = True


class NothingOnManifest(Refusal):
    message = N_("No parcel is on this manifest yet.")
    answer = "look"


def manifest_for(session: Session, carrier: Carrier) -> Manifest:
    """The carrier's open manifest, or a new one; a partial unique index allows just one."""
    warehouse_id = actor_of(session).warehouse_id
    has = session.execute(
        select(Manifest).where(
            Manifest.warehouse_id == warehouse_id,
            Manifest.carrier_id == carrier.id,
            Manifest.state == ManifestState.OPEN,
        )
    ).scalar_one_or_none()
    if has is not None:
        return has
    made = new_id()
    manifest = Manifest(
        warehouse_id=warehouse_id,
        id=made,
        code=f"{carrier.code}-{now():%m%d}-{made % 10000:04d}",
        carrier_id=carrier.id,
        opened_at=now(),
    )
    session.add(manifest)
    session.flush()
    journal.note(session, manifest, "opened", "", carrier.code)
    return manifest


def order_of(session: Session, warehouse_id: int, text: str) -> int | None:
    """The order of the parcel that this code names, to be asked about before it is handed over."""
    try:
        found = lookup.expect(session, warehouse_id, text, "parcel")
    except Refusal:
        return None
    return int(found.row.order_id)


def scan(session: Session, manifest: Manifest, text: str) -> Parcel:
    """One parcel onto the manifest: checked, taken off the books, its order shipped, its push written."""
    warehouse_id = manifest.warehouse_id
    scanned = parse(text)
    void = session.execute(
        select(Waybill).where(
            Waybill.warehouse_id == warehouse_id,
            Waybill.state == WaybillState.VOID,
            Waybill.number.in_({scanned.text.upper(), scanned.value.upper()}),
        )
    ).first()
    found = lookup.expect(session, warehouse_id, text, "parcel")
    order = locked(session, warehouse_id, found.row.order_id)
    parcel = session.execute(
        select(Parcel)
        .where(Parcel.warehouse_id == warehouse_id, Parcel.id == found.row.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one()
    if order.cancel_asked or order.state is OrderState.CANCELLED:
        raise OrderCancelled(order=order.shop_order_no)
    if taken_back.asked(session, order):
        raise taken_back.AskedAfterLabel(order=order.shop_order_no)
    gate_checks.require(session, order)
    if void is not None or parcel.state is ParcelState.VOID:
        raise VoidLabel(parcel=parcel.code)
    if parcel.manifest_id is not None:
        on = session.get_one(Manifest, (warehouse_id, parcel.manifest_id))
        raise AlreadyOnManifest(parcel=parcel.code, manifest=on.code)
    waybill = waybills.live(session, parcel)
    if parcel.state is not ParcelState.LABELLED or waybill is None:
        raise NotLabelled(parcel=parcel.code)
    if parcel.carrier_id != manifest.carrier_id:
        raise WrongCarrier(
            parcel=parcel.code,
            expected=session.get_one(Carrier, parcel.carrier_id).name,
            read=session.get_one(Carrier, manifest.carrier_id).name,
        )
    _count(session, manifest, parcel)
    _leave(session, parcel)
    parcel.manifest_id, parcel.handed_over_at = manifest.id, now()
    advance(session, parcel, ParcelState.HANDED_OVER, STEPS)
    session.add_all(
        Push(
            warehouse_id=warehouse_id,
            shop_id=home.shop_id,
            order_id=home.id,
            parcel_id=parcel.id,
            state=PushState.PENDING,
            next_at=now(),
            created_at=now(),
        )
        for home in together.homes_in(session, parcel)
    )
    carrier = session.get_one(Carrier, parcel.carrier_id)
    session.add(
        ParcelTrack(
            warehouse_id=warehouse_id,
            parcel_id=parcel.id,
            carrier_id=carrier.id,
            number=waybill.number,
            handed_over_at=parcel.handed_over_at,
            next_at=parcel.handed_over_at + FIRST_LOOK if carrier.tracking.get("company") else None,
        )
    )
    session.flush()
    waiting = session.execute(
        select(func.count())
        .select_from(Parcel)
        .where(
            Parcel.warehouse_id == warehouse_id,
            Parcel.order_id == order.id,
            Parcel.state.in_([ParcelState.OPEN, ParcelState.VERIFIED, ParcelState.WEIGHED, ParcelState.LABELLED]),
        )
    ).scalar_one()
    if not waiting and order.state is OrderState.PACKED:
        together.shipped(session, order)
    return parcel


def _count(session: Session, manifest: Manifest, parcel: Parcel) -> None:
    """R36: the totals grow by one conditional update, so that a manifest closed meanwhile takes nothing more."""
    counted = session.execute(
        update(Manifest)
        .where(
            Manifest.warehouse_id == manifest.warehouse_id,
            Manifest.id == manifest.id,
            Manifest.state == ManifestState.OPEN,
        )
        .values(parcels=Manifest.parcels + 1, weight_g=Manifest.weight_g + (parcel.weight_g or 0))
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    if counted != 1:
        raise ChangedMeanwhile(what=manifest.code)
    session.refresh(manifest)


def _leave(session: Session, parcel: Parcel) -> None:
    """R6: now, and not when the label was printed, the goods leave the books."""
    customer = ledger.virtual(session, LocationKind.CUSTOMER)
    for allocated in (
        session.execute(
            select(Allocation)
            .where(
                Allocation.warehouse_id == parcel.warehouse_id,
                Allocation.location_id == parcel.location_id,
                Allocation.container == parcel.code,
            )
            .order_by(Allocation.item_id)
            .execution_options(populate_existing=True)
        )
        .scalars()
        .all()
    ):
        ledger.use_up(session, allocated, customer, reason=MoveReason.SHIP, cause=f"parcel:{parcel.id}")
    for line in session.execute(
        select(ParcelLine).where(
            ParcelLine.warehouse_id == parcel.warehouse_id, ParcelLine.parcel_id == parcel.id, ParcelLine.qty > 0
        )
    ).scalars():
        session.execute(
            update(OrderLine)
            .where(OrderLine.warehouse_id == parcel.warehouse_id, OrderLine.id == line.order_line_id)
            .values(shipped_qty=OrderLine.shipped_qty + line.qty)
            .execution_options(synchronize_session=False)
        )


def close(session: Session, manifest: Manifest) -> None:
    """Close the manifest; the sheet is printed and signed by the carrier's driver."""
    session.refresh(manifest, with_for_update=True)
    if manifest.state is not ManifestState.OPEN:
        raise ChangedMeanwhile(what=manifest.code)
    if manifest.parcels == 0:
        raise NothingOnManifest()
    manifest.closed_at = now()
    advance(session, manifest, ManifestState.CLOSED, STEPS)


class StillOpen(Refusal):
    message = N_("Manifest %(manifest)s is still open. Close it first.")
    answer = "look"


def print_sheet(session: Session, manifest: Manifest, printer: Printer, once: str) -> PrintJob:
    """R36: the sheet for the driver on label paper; only of a closed manifest, whose parcels change no more."""
    if manifest.state is not ManifestState.CLOSED:
        raise StillOpen(manifest=manifest.code)
    rows = [(number, order_no) for number, _parcel, order_no in sheet(session, manifest)]
    return labels.queue_manifest(session, manifest, rows, printer, once)


def on_manifest(session: Session, manifest: Manifest) -> list[tuple[Parcel, str]]:
    """The parcels on it with their waybill numbers, the latest first."""
    return [
        (row[0], row[1])
        for row in session.execute(
            select(Parcel, Waybill.number)
            .join(
                Waybill,
                (Waybill.warehouse_id == Parcel.warehouse_id)
                & (Waybill.parcel_id == Parcel.id)
                & (Waybill.state == WaybillState.LIVE),
            )
            .where(Parcel.warehouse_id == manifest.warehouse_id, Parcel.manifest_id == manifest.id)
            .order_by(Parcel.handed_over_at.desc())
        )
    ]


def waiting(session: Session, warehouse_id: int) -> dict[int, int]:
    """Labelled parcels not yet handed over, by carrier."""
    return {
        carrier: int(count)
        for carrier, count in session.execute(
            select(Parcel.carrier_id, func.count())
            .where(Parcel.warehouse_id == warehouse_id, Parcel.state == ParcelState.LABELLED)
            .group_by(Parcel.carrier_id)
        )
    }


def carriers(session: Session, warehouse_id: int) -> list[tuple[Carrier, int, Manifest | None]]:
    """Carriers with labelled parcels or an open manifest: how many parcels wait, and that manifest."""
    still = waiting(session, warehouse_id)
    started = {
        manifest.carrier_id: manifest
        for manifest in session.execute(
            select(Manifest).where(Manifest.warehouse_id == warehouse_id, Manifest.state == ManifestState.OPEN)
        ).scalars()
    }
    wanted = session.execute(
        select(Carrier).where(Carrier.id.in_(still.keys() | started.keys())).order_by(Carrier.name)
    ).scalars()
    return [(carrier, still.get(carrier.id, 0), started.get(carrier.id)) for carrier in wanted]


def lately_closed(session: Session, warehouse_id: int, most: int = 6) -> list[tuple[Manifest, Carrier]]:
    """The manifests closed last, so that a lost sheet can be printed again."""
    return [
        (row[0], row[1])
        for row in session.execute(
            select(Manifest, Carrier)
            .join(Carrier, Carrier.id == Manifest.carrier_id)
            .where(Manifest.warehouse_id == warehouse_id, Manifest.state == ManifestState.CLOSED)
            .order_by(Manifest.closed_at.desc())
            .limit(most)
        )
    ]


def latest(session: Session, manifest: Manifest, most: int) -> list[tuple[Parcel, str]]:
    """The parcels scanned last with their waybill numbers: all a screen needs of a manifest of thousands."""
    return [
        (row[0], row[1])
        for row in session.execute(
            select(Parcel, Waybill.number)
            .join(
                Waybill,
                (Waybill.warehouse_id == Parcel.warehouse_id)
                & (Waybill.parcel_id == Parcel.id)
                & (Waybill.state == WaybillState.LIVE),
            )
            .where(Parcel.warehouse_id == manifest.warehouse_id, Parcel.manifest_id == manifest.id)
            .order_by(Parcel.handed_over_at.desc(), Parcel.id.desc())
            .limit(most)
        )
    ]


def sheet(session: Session, manifest: Manifest) -> list[tuple[str, Parcel, str]]:
    """The sheet's rows in the order of the scans: waybill number, parcel, the shop's order number."""
    return [
        (row[0], row[1], row[2])
        for row in session.execute(
            select(Waybill.number, Parcel, Order.shop_order_no)
            .join(
                Waybill,
                (Waybill.warehouse_id == Parcel.warehouse_id)
                & (Waybill.parcel_id == Parcel.id)
                & (Waybill.state == WaybillState.LIVE),
            )
            .join(Order, (Order.warehouse_id == Parcel.warehouse_id) & (Order.id == Parcel.order_id))
            .where(Parcel.warehouse_id == manifest.warehouse_id, Parcel.manifest_id == manifest.id)
            .order_by(Parcel.handed_over_at, Parcel.id)
        )
    ]
