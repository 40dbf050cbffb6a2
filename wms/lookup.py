"""Which row a scan means, in a fixed order: what this step expects, then everything else (R14)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from wms.errors import N_, AmbiguousCode, Refusal, Term, UnexpectedCode, UnknownCode, term
from wms.models import (
    Barcode,
    Item,
    Location,
    LocationKind,
    Manifest,
    Order,
    Parcel,
    Receipt,
    ReceiptState,
    Station,
    Waybill,
)
from wms.scan import FOREIGN, Scanned, parse

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


class UnknownCase(UnknownCode):
    """R15: a case counts its pieces, and nobody guesses how many."""

    message = N_(
        "%(read)s is a case of %(item)s, and nobody has said how many pieces it holds. "
        "Scan a single piece, or ask a supervisor to add the case."
    )


class UnknownWaybill(UnknownCode):
    message = N_("%(read)s looks like a waybill of %(carrier)s, but no parcel here has that number.")


class UnclearCount(Refusal):
    """GS1 gives no meaning to (37) beside the (01) of a case: so many cases, or so many pieces in this one?"""

    message = N_(
        "The label says %(said)s, and a case of %(item)s holds %(pieces)s. "
        "Scan the case's own barcode, once for each case."
    )
    answer = "look"


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
    cases: list[Item] = field(default_factory=list)
    """Items whose piece lies in the case that was scanned, and whose case nobody entered."""

    def locations(self, tote: bool) -> list[Found]:
        rows = self.session.execute(
            _TOTE if tote else _LOCATION, {"w": self.warehouse_id, "code": self.scanned.plain.upper()}
        ).scalars()
        return [Found("tote" if tote else "location", row, self.scanned) for row in rows if not row.virtual]

    def items(self) -> list[Found]:
        keys, inner = self.scanned.item_keys, self.scanned.inner
        rows = self.session.execute(_ITEM, {"codes": sorted({*keys, inner} - {""})}).all()
        found = {item.id: self._counted(code, item) for code, item in rows if code.code in keys}
        if not found:
            self.cases.extend(item for _code, item in rows)
        if not found and self.scanned.kind in ("plain", "item", "gtin", "restricted"):
            # The label I-Cup-1 may be read in capitals; a SKU is one whatever its case, as at take-in.
            as_printed = self.scanned.text[len("I-") :] if self.own else self.scanned.text
            skus = {self.scanned.value, self.scanned.text, as_printed}
            for same in (Item.sku.in_(skus), func.upper(Item.sku).in_({sku.upper() for sku in skus})):
                for item in self.session.execute(select(Item).where(same)).scalars():
                    found[item.id] = Found("item", item, self.scanned)
                if found:
                    break
        return list(found.values())

    def _counted(self, code: Barcode, item: Item) -> Found:
        """R15: a case barcode counts its pieces, and a label that names a number of cases counts them all."""
        said = self.scanned.pieces or 1
        if said > 1 and code.pieces > 1 and self.scanned.kind == "gs1" and not self.scanned.of_content:
            if said != code.pieces:
                raise UnclearCount(said=said, item=item.sku, pieces=code.pieces)
            said = 1  # the label and the catalogue say the same of this one case
        return Found("item", item, self.scanned, said * code.pieces)

    def parcels(self) -> list[Found]:
        text = self.scanned.plain.upper()
        rows = (
            self.session.execute(select(Parcel).where(Parcel.warehouse_id == self.warehouse_id, Parcel.code == text))
            .scalars()
            .all()
        )
        if not rows and self.own is None:
            numbers = {text, self.scanned.value.upper(), self.scanned.sscc or text}
            rows = (
                self.session.execute(
                    select(Parcel)
                    .join(Waybill, (Waybill.warehouse_id == Parcel.warehouse_id) & (Waybill.parcel_id == Parcel.id))
                    .where(Waybill.warehouse_id == self.warehouse_id, Waybill.number.in_(numbers))
                )
                .scalars()
                .all()
            )
        return [Found("parcel", row, self.scanned) for row in {r.id: r for r in rows}.values()]

    def by_code(self, table: Any, column: Any, kind: str) -> list[Found]:
        code = self.scanned.plain
        rows = self.session.execute(
            select(table).where(table.warehouse_id == self.warehouse_id, column.in_({code, code.upper()}))
        ).scalars()
        return [Found(kind, row, self.scanned) for row in rows]

    def receipts(self) -> list[Found]:
        """By its own code, else what the parcel with this waybill number brings (R44)."""
        found = self.by_code(Receipt, Receipt.code, "receipt")
        if found or self.own is not None:
            return found
        numbers = {self.scanned.plain.upper(), self.scanned.value.upper()} - {""}
        brought = select(Receipt).where(
            Receipt.warehouse_id == self.warehouse_id,
            Receipt.waybill_no.in_(numbers),
            Receipt.state != ReceiptState.DONE,
        )
        return [Found("receipt", row, self.scanned) for row in self.session.execute(brought).scalars()]

    def of(self, kind: str) -> list[Found]:
        tables: dict[str, Callable[[], list[Found]]] = {
            "tote": lambda: self.locations(tote=True),
            "location": lambda: self.locations(tote=False),
            "item": self.items,
            "parcel": self.parcels,
            "receipt": self.receipts,
            "manifest": lambda: self.by_code(Manifest, Manifest.code, "manifest"),
            "station": lambda: self.by_code(Station, Station.code, "station"),
            "order": lambda: self.by_code(Order, Order.shop_order_no, "order"),
        }
        return tables[kind]() if kind in tables else []


def find(session: Session, warehouse_id: int, text: str, expects: Sequence[str] = ()) -> Found:
    """The row a code means. Raises UnknownCode, or AmbiguousCode when it has two meanings of equal right.

    A known code of the class that the step expects first costs one statement: this is on every scan's way.
    """
    scanned = parse(text)
    if not scanned.value and not scanned.text:
        raise UnknownCode(read=text[:40])
    own = None if scanned.kind in FOREIGN else scanned.kind
    desk = _Desk(session, warehouse_id, scanned, own)
    classes = [own] if own else [*expects, *(c for c in CLASSES if c not in expects)]
    if scanned.kind in ("gs1", "sscc"):
        # A long waybill number may look like GS1: what the step expects is still tried first.
        classes = list(dict.fromkeys([*expects, "parcel" if scanned.kind == "sscc" else "item"]))
    for kind in classes:
        rows = desk.of(kind)
        if len(rows) > 1:
            raise AmbiguousCode(read=scanned.text[:40], meanings=", ".join(sorted(r.name for r in rows[:5])))
        if rows:
            return rows[0]
    read = scanned.text[:40]
    if desk.cases:
        raise UnknownCase(read=read, item=desk.cases[0].sku)
    # Thirteen digits may be anybody's: without letters only a step that wants a parcel takes them for a waybill.
    if scanned.carriers and ("parcel" in expects or not scanned.value.isdigit()):
        raise UnknownWaybill(read=scanned.value[:40], carrier=" / ".join(scanned.carriers))
    raise UnknownCode(read=read)


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
