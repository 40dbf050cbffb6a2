"""Ship 发货交接 at the dock: /ship, and the sheet that the driver signs."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request
from sqlalchemy.orm import Session

from wms.errors import N_, NotFound, term
from wms.flows import ship
from wms.models import Carrier, Manifest, ManifestState, Role, Warehouse
from wms.web import at_printer
from wms.web.access import database, operator, requires
from wms.web.floor import Message, Screen, asks_the_shop, done, first_time, go, page

bp = Blueprint("ship", __name__)

LATEST = 8
"""Parcels that stay in view while scanning."""


def choose(session: Session, **_where: Any) -> Screen:
    """The carriers that have something to take, and the sheets of the last hand-overs."""
    who = operator()
    return Screen(
        "ship/choose.html",
        {
            "carriers": ship.carriers(session, who.warehouse_id),
            "closed": ship.lately_closed(session, who.warehouse_id),
        },
    )


def show(session: Session, **where: Any) -> Screen:
    """A manifest that is being filled, or the end of it."""
    manifest = _manifest(session, where["manifest_id"])
    facts: dict[str, Any] = {
        "manifest": manifest,
        "carrier": session.get_one(Carrier, manifest.carrier_id),
        "waiting": ship.waiting(session, manifest.warehouse_id).get(manifest.carrier_id, 0),
        "latest": ship.latest(session, manifest, LATEST),
    }
    closed = manifest.state is ManifestState.CLOSED
    if closed:
        facts["at"] = at_printer.choice(session, "manifest")
    return Screen("ship/closed.html" if closed else "ship/scan_parcel.html", facts)


def _manifest(session: Session, manifest_id: int) -> Manifest:
    manifest = session.get(Manifest, (operator().warehouse_id, manifest_id))
    if manifest is None:
        raise NotFound(what=term("The manifest"))
    return manifest


@bp.get("/ship")
@requires(Role.PACKER)
def index() -> str:
    return page(choose)


@bp.post("/ship/open")
@requires(Role.PACKER)
@first_time(choose)
def open_manifest(session: Session) -> Message | None:
    chosen = request.form.get("carrier", "")
    number = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 10 else 0
    carrier = session.get(Carrier, number)
    if carrier is None:
        raise NotFound(what=term("The carrier"))
    return go(f"/ship/{ship.manifest_for(session, carrier).id}")


@bp.get("/ship/<int:manifest_id>")
@requires(Role.PACKER)
def manifest(manifest_id: int) -> str:
    return page(show, manifest_id=manifest_id)


def _order_scanned(session: Session) -> int | None:
    return ship.order_of(session, operator().warehouse_id, request.form.get("code", ""))


@bp.post("/ship/<int:manifest_id>/scan")
@requires(Role.PACKER)
@asks_the_shop(_order_scanned)
@first_time(show)
def scan(session: Session, manifest_id: int) -> Message | None:
    parcel = ship.scan(session, _manifest(session, manifest_id), request.form.get("code", ""))
    return done(N_("Parcel %(parcel)s is on the manifest."), parcel=parcel.code)


@bp.post("/ship/<int:manifest_id>/close")
@requires(Role.PACKER)
@first_time(show)
def close(session: Session, manifest_id: int) -> Message | None:
    ship.close(session, _manifest(session, manifest_id))
    return done(N_("Closed. Print the sheet and let the driver sign it."))


@bp.post("/ship/<int:manifest_id>/print")
@requires(Role.PACKER)
@first_time(show)
def print_sheet(session: Session, manifest_id: int) -> Message | None:
    """The sheet as labels, for docks without an office printer."""
    manifest, printer = _manifest(session, manifest_id), at_printer.chosen(session, "manifest")
    ship.print_sheet(session, manifest, printer, at_printer.press("manifest", manifest.id))
    return done(N_("The sheet is on its way to %(printer)s."), printer=printer.name)


@bp.get("/ship/<int:manifest_id>/sheet")
@requires(Role.PACKER)
def sheet(manifest_id: int) -> str:
    with database().reading() as session:
        manifest = _manifest(session, manifest_id)
        return render_template(
            "ship/sheet.html",
            manifest=manifest,
            carrier=session.get_one(Carrier, manifest.carrier_id),
            warehouse=session.get_one(Warehouse, manifest.warehouse_id),
            rows=ship.sheet(session, manifest),
        )
