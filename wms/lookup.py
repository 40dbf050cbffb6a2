"""Which row a scan means, in a fixed order: what this step expects, then everything else (R14)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from wms.errors import AmbiguousCode, Term, UnexpectedCode, UnknownCode, term
from wms.models import (
    Barcode,
    Item,
    Location,
    LocationKind,
    Manifest,
    Order,
    Parcel,
    Receipt,
    Station,
    Waybill,
)
from wms.scan import Scanned, barcode_key, parse

CLASSES = ("tote", "parcel", "item", "location", "receipt", "order", "manifest", "station")
"""The order in which classes that the step does not expect are tried."""

WHAT: dict[str, Term] = {
    "tote": term("a tote"),
    "parcel": term("a parcel"),
    "item": term("an item"),
    "location": term("a location"),
    "receipt": term("a purchase order"),
    "order": term("an order"),
    "manifest": term("a manifest"),
    "station": term("a packing station"),
    "badge": term("a badge"),
}


# Every scan of a picker asks one of these, so they are made once.
_PLACES = select(Location).where(Location.warehouse_id == bindparam("w"), Location.code == bindparam("code"))
_TOTE = _PLACES.where(Location.kind == LocationKind.TOTE)
_LOCATION = _PLACES.where(Location.kind != LocationKind.TOTE)
_ITEM = (
    select(Barcode, Item)
    .join(Item, Item.id == Barcode.item_id)
    .where(Barcode.code.in_(bindparam("codes", expanding=True)))
)


@dataclass(frozen=True, slots=True)
class Found:
    """A row, the class it is of, and what else the code said. ``pieces`` counts a case's content (R15)."""

    kind: str
    row: Any
    scanned: Scanned
    pieces: int = 1

    @property
    def name(self) -> str:
        for attribute in ("sku", "code", "shop_order_no"):
            if value := getattr(self.row, attribute, None):
                return str(value)
        return self.scanned.text


@dataclass(frozen=True, slots=True)
class _Desk:
    session: Session
    warehouse_id: int
    scanned: Scanned
    own: str | None = field(default=None)

    def locations(self, tote: bool) -> list[Found]:
        rows = self.session.execute(
            _TOTE if tote else _LOCATION, {"w": self.warehouse_id, "code": self.scanned.value.upper()}
        ).scalars()
        return [Found("tote" if tote else "location", row, self.scanned) for row in rows if not row.virtual]

    def items(self) -> list[Found]:
        keys = {barcode_key(self.scanned.value), self.scanned.value.upper()} - {""}
        rows = self.session.execute(_ITEM, {"codes": sorted(keys)}).all()
        counted = self.scanned.pieces
        found = {item.id: Found("item", item, self.scanned, counted or code.pieces) for code, item in rows}
        if not found and self.scanned.kind in ("plain", "item", "gtin"):
            skus = {self.scanned.value, self.scanned.text, self.scanned.value.upper()}
            # The label I-Cup-1 may be read in capitals; a SKU is one whatever its case, as at take-in.
            for same in (Item.sku.in_(skus), func.upper(Item.sku).in_({sku.upper() for sku in skus})):
                for item in self.session.execute(select(Item).where(same)).scalars():
                    found[item.id] = Found("item", item, self.scanned)
                if found:
                    break
        return list(found.values())

    def parcels(self) -> list[Found]:
        text = self.scanned.value.upper()
        rows = (
            self.session.execute(select(Parcel).where(Parcel.warehouse_id == self.warehouse_id, Parcel.code == text))
            .scalars()
            .all()
        )
        if not rows and self.own is None:
            rows = (
                self.session.execute(
                    select(Parcel)
                    .join(Waybill, (Waybill.warehouse_id == Parcel.warehouse_id) & (Waybill.parcel_id == Parcel.id))
                    .where(
                        Waybill.warehouse_id == self.warehouse_id, Waybill.number.in_({text, self.scanned.text.upper()})
                    )
                )
                .scalars()
                .all()
            )
        return [Found("parcel", row, self.scanned) for row in {r.id: r for r in rows}.values()]

    def by_code(self, table: Any, column: Any, kind: str) -> list[Found]:
        rows = self.session.execute(
            select(table).where(
                table.warehouse_id == self.warehouse_id, column.in_({self.scanned.value, self.scanned.value.upper()})
            )
        ).scalars()
        return [Found(kind, row, self.scanned) for row in rows]

    def of(self, kind: str) -> list[Found]:
        tables: dict[str, Callable[[], list[Found]]] = {
            "tote": lambda: self.locations(tote=True),
            "location": lambda: self.locations(tote=False),
            "item": self.items,
            "parcel": self.parcels,
            "receipt": lambda: self.by_code(Receipt, Receipt.code, "receipt"),
            "manifest": lambda: self.by_code(Manifest, Manifest.code, "manifest"),
            "station": lambda: self.by_code(Station, Station.code, "station"),
            "order": lambda: self.by_code(Order, Order.shop_order_no, "order"),
        }
        return tables[kind]() if kind in tables else []


def find(session: Session, warehouse_id: int, text: str, expects: Sequence[str] = ()) -> Found:
    """The row a code means. Raises UnknownCode, or AmbiguousCode when it has two meanings of equal right."""
    scanned = parse(text)
    if not scanned.value and not scanned.text:
        raise UnknownCode(read=text[:40])
    own = scanned.kind if scanned.kind not in ("gtin", "gs1", "plain") else None
    desk = _Desk(session, warehouse_id, scanned, own)
    classes = [own] if own else [*expects, *(c for c in CLASSES if c not in expects)]
    if scanned.kind == "gs1":
        # A long waybill number may look like GS1: what the step expects is still tried first.
        classes = list(dict.fromkeys([*expects, "item"]))
    for kind in classes:
        rows = desk.of(kind)
        if len(rows) > 1:
            raise AmbiguousCode(read=scanned.text[:40], meanings=", ".join(found.name for found in rows[:5]))
        if rows:
            return rows[0]
    raise UnknownCode(read=scanned.text[:40])


def lot_alone(text: str) -> Scanned | None:
    """R15: the second of two codes, which names a lot and no item. It speaks of the item that is at hand."""
    scanned = parse(text)
    return scanned if scanned.kind == "gs1" and not scanned.value and scanned.lot else None


def expect(session: Session, warehouse_id: int, text: str, *kinds: str) -> Found:
    """As ``find``, but a known code of another class is refused: what was expected, what was read (R12)."""
    found = find(session, warehouse_id, text, kinds)
    if found.kind not in kinds:
        raise UnexpectedCode(expected=WHAT[kinds[0]], read=found.name, what=WHAT[found.kind])
    return found
