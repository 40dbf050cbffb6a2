"""Short ways to a state on the floor, for tests that begin where the interesting part does. Real flows, no HTTP."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.factories import Rows
from wms.clock import now
from wms.db import Actor
from wms.flows import pack, pick, ship
from wms.ledger import Spot
from wms.models import (
    Allocation,
    Balance,
    Carrier,
    Item,
    Location,
    Parcel,
    ParcelState,
    PickStep,
    Station,
    StockMove,
    new_id,
)


def actor(rows: Rows, name: str) -> Actor:
    """As this person would: the actor of their scans."""
    return Actor(rows.warehouse_id, rows.operator_id(name), "device-of-the-tests")


def station(session: Session) -> Station:
    return session.execute(select(Station).where(Station.code == "PACK1")).scalar_one()


def picked(rows: Rows, order_id: int, tote: str = "001", by: str = "picker") -> None:
    """All of a released order from the shelves into a tote."""
    me, task_id = rows.operator_id(by), rows.task_of(order_id).id
    with rows.database.transaction(actor(rows, by)) as session:
        task = pick.take_over(session, me, task_id)
        if task.step is PickStep.SCAN_TOTE:
            pick.scan(session, me, task, f"T-{tote}")
        while (line := pick.next_line(session, task)) is not None:
            if task.step is PickStep.SCAN_LOCATION:
                pick.scan(session, me, task, line.location.barcode)
                continue
            pick.scan(session, me, task, line.item.sku)


def at_the_item(rows: Rows, order_id: int, tote: str = "001", by: str = "picker") -> int:
    """A picker stands at the first place with the tote in hand; returns the task."""
    me, task_id = rows.operator_id(by), rows.task_of(order_id).id
    with rows.database.transaction(actor(rows, by)) as session:
        task = pick.take_over(session, me, task_id)
        pick.scan(session, me, task, f"T-{tote}")
        line = pick.next_line(session, task)
        assert line is not None
        pick.scan(session, me, task, line.location.barcode)
    return task_id


def on_the_bench(rows: Rows, tote: str = "001", by: str = "packer") -> int:
    """The tote's order is opened at the bench; returns the parcel."""
    with rows.database.transaction(actor(rows, by)) as session:
        return pack.start(session, rows.operator_id(by), station(session), f"T-{tote}").id


def verified(rows: Rows, tote: str = "001", by: str = "packer") -> int:
    """Every piece of the tote's order is in the parcel."""
    parcel_id = on_the_bench(rows, tote, by)
    with rows.database.transaction(actor(rows, by)) as session:
        parcel = session.get_one(Parcel, (rows.warehouse_id, parcel_id))
        for each in pack.lines(session, parcel):
            if each.wanted > each.packed:
                pack.put_in(session, parcel, each.item, each.wanted - each.packed)
    return parcel_id


def labelled(rows: Rows, tote: str = "001", by: str = "packer", weight_g: int = 500) -> int:
    """The parcel is weighed and has its number; its label is queued."""
    parcel_id = verified(rows, tote, by)
    with rows.database.transaction(actor(rows, by)) as session:
        pack.weigh(session, session.get_one(Parcel, (rows.warehouse_id, parcel_id)), station(session), str(weight_g))
    return parcel_id


def handed_over(rows: Rows, parcel_id: int, by: str = "packer") -> None:
    with rows.database.transaction(actor(rows, by)) as session:
        parcel = session.get_one(Parcel, (rows.warehouse_id, parcel_id))
        manifest = ship.manifest_for(session, session.get_one(Carrier, parcel.carrier_id))
        ship.scan(session, manifest, f"P-{parcel.code}")


def shipped(rows: Rows, number: str, *lines: tuple[str, int], tote: str = "001") -> tuple[int, int]:
    """A new order all the way to the carrier; returns (order, parcel)."""
    order_id = rows.order(number, *lines)
    assert rows.release(order_id)[0].short == {}
    picked(rows, order_id, tote)
    parcel_id = labelled(rows, tote)
    handed_over(rows, parcel_id)
    return order_id, parcel_id


def loose_parcels(rows: Rows, order_id: int, carrier: str, count: int) -> list[int]:
    """Parcels that wait for nothing but a number."""
    made = []
    with rows.database.transaction(rows.actor()) as session:
        place = rows.place(session, "OUT-01")
        for n in range(count):
            parcel = Parcel(
                warehouse_id=rows.warehouse_id,
                id=new_id(),
                code=f"LOOSE{n}",
                order_id=order_id,
                carrier_id=rows.carrier(carrier).id,
                state=ParcelState.LABELLED,
                operator_id=rows.operator_id("packer"),
                location_id=place.id,
                opened_at=now(),
            )
            session.add(parcel)
            made.append(parcel.id)
    return made


def held(rows: Rows, sku: str, code: str, lot: str = "") -> tuple[int, int]:
    """(on hand, promised) of an item at a place."""
    with rows.database.reading() as session:
        row = session.execute(
            select(func.coalesce(func.sum(Balance.on_hand), 0), func.coalesce(func.sum(Balance.allocated), 0))
            .join(Location, (Location.warehouse_id == Balance.warehouse_id) & (Location.id == Balance.location_id))
            .join(Item, Item.id == Balance.item_id)
            .where(Item.sku == sku, Location.code == code, *([Balance.lot == lot] if lot else []))
        ).one()
    return int(row[0]), int(row[1])


def books(rows: Rows) -> dict[str, Any]:
    """All that a second scan must leave alone: every balance, every promise, how many moves there are."""
    with rows.database.reading() as session:
        balances = session.execute(
            select(
                Balance.location_id,
                Balance.item_id,
                Balance.lot,
                Balance.container,
                Balance.condition,
                Balance.on_hand,
                Balance.allocated,
            )
        ).all()
        promises = session.execute(
            select(
                Allocation.order_line_id, Allocation.location_id, Allocation.lot, Allocation.container, Allocation.qty
            )
        ).all()
        moves = session.execute(select(func.count()).select_from(StockMove)).scalar_one()
    return {"balances": sorted(map(tuple, balances)), "promises": sorted(map(tuple, promises)), "moves": moves}


def spot(rows: Rows, sku: str, code: str, lot: str = "") -> Spot:
    with rows.database.reading() as session:
        place = rows.place(session, code)
        item_id = session.execute(select(Item.id).where(Item.sku == sku)).scalar_one()
    return Spot(place.id, item_id, lot)


LONG_AGO = date(2020, 1, 31)
