"""The labels of this warehouse by kind: each takes what is said on it and fills its template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from printers import symbols, template
from printers.label import Label

Find = Callable[[str], template.Template]
"""The template of a name: those that ship, or a shop's own in their place."""

WaybillSize = Literal["100x150", "100x180", "100x113", "76x130"]


@dataclass(frozen=True, slots=True)
class Party:
    """Who sends or gets a parcel, already masked (see masking)."""

    name: str
    phone: str
    region: str
    address: str


@dataclass(frozen=True, slots=True)
class Waybill:
    """All that stands on a waybill. `parcel_no` is such as "1/2"; `language` is zh or en.

    `sort_code` is the three-part code 三段码 or 大头笔, `hub` where it is bagged for 集包地.
    """

    number: str
    carrier_name: str
    sort_code: str
    hub: str
    recipient: Party
    sender: Party
    order_no: str
    goods: str
    note: str
    parcel_no: str
    weight_g: int
    printed_at_text: str
    language: str = "zh"


@dataclass(frozen=True, slots=True)
class Carton:
    """A carton and its serial shipping container code: 18 digits, the last of them its check digit."""

    sscc: str
    from_name: str
    from_address: str
    to_name: str
    to_address: str
    order_no: str
    carton_no: str
    sku: str
    name: str
    quantity: str
    lot: str = ""
    weight: str = ""


@dataclass(frozen=True, slots=True)
class PickLine:
    place: str
    sku: str
    name: str
    quantity: str
    lot: str = ""


@dataclass(frozen=True, slots=True)
class PackLine:
    sku: str
    name: str
    quantity: str


@dataclass(frozen=True, slots=True)
class PackingList:
    """`greeting` is the shop's own words to the buyer, `logo` the bytes of its picture, or nothing."""

    shop: str
    recipient: str
    order_no: str
    printed_at: str
    lines: Sequence[PackLine]
    pieces: int
    note: str = ""
    greeting: str = ""
    logo: bytes = b""


@dataclass(frozen=True, slots=True)
class ManifestLine:
    number: str
    order_no: str


def location_label(
    code: str, check_text: str = "", dpi: int = 203, human: str = "", find: Find = template.shipped
) -> Label:
    """60x40 mm: the place in big letters, its check text, Code 128 and QR of the code.

    `human` is what people read where that is not the code itself.
    """
    return _one("location", {"code": code, "human": human or code, "check": check_text}, dpi, find)


def location_labels(codes: Sequence[tuple[str, str]], dpi: int = 203, find: Find = template.shipped) -> list[Label]:
    """100x30 mm, three small shelf labels side by side: (code, what people read) of each."""
    rows = [{"code": code, "human": human or code} for code, human in codes]
    return find("location-3-across").draw({"labels": rows}, dpi)


def item_label(sku: str, name: str, barcode: str, dpi: int = 203, find: Find = template.shipped) -> Label:
    """50x30 mm: SKU, name in up to two lines, the code with its number: an EAN or UPC as one, else Code 128."""
    kind = "item-ean" if symbols.is_ean(barcode) else "item"
    return _one(kind, {"sku": sku, "name": name, "barcode": barcode}, dpi, find)


def lot_label(
    sku: str,
    name: str,
    lot: str,
    expiry: str = "",
    quantity: str = "",
    dpi: int = 203,
    language: str = "zh",
    find: Find = template.shipped,
) -> Label:
    """70x50 mm: item, lot, expiry (as YYYY-MM-DD), and a GS1-128 of lot and expiry that a scan fills in (R15)."""
    due = f"(17){expiry[2:4]}{expiry[5:7]}{expiry[8:10]}" if expiry else ""
    said = {"sku": sku, "name": name, "lot": lot, "expiry": expiry, "quantity": quantity}
    return _one("lot", {**said, "code": f"{due}(10){lot}"}, dpi, find, language)


def tote_label(code: str, dpi: int = 203, human: str = "", find: Find = template.shipped) -> Label:
    """70x50 mm: the tote's or LPN's code in big letters (`human`, else the code), Code 128 and QR."""
    return _one("tote", {"code": code, "human": human or code}, dpi, find)


def carton_label(carton: Carton, dpi: int = 203, language: str = "zh", find: Find = template.shipped) -> Label:
    """100x150 mm: a GS1 logistic label. Raises WrongCheckDigit for a code that is not sound."""
    return _one("carton", asdict(carton), dpi, find, language)


def waybill_label(
    paper: Waybill, size: WaybillSize = "100x150", dpi: int = 203, find: Find = template.shipped
) -> Label:
    """A carrier's waybill. Its `cut` says which texts did not fit even in small letters.

    Raises CannotPrint for characters without a picture; see label.printable.
    """
    to, sender = paper.recipient, paper.sender
    fields = {
        "number": paper.number,
        "carrier": paper.carrier_name,
        "sort_code": paper.sort_code,
        "hub": paper.hub,
        "to_name": to.name,
        "to_phone": to.phone,
        "to_address": f"{to.region} {to.address}".strip(),
        "from_name": sender.name,
        "from_phone": sender.phone,
        "from_address": f"{sender.region} {sender.address}".strip(),
        "order_no": paper.order_no,
        "goods": paper.goods,
        "note": paper.note,
        "parcel_no": paper.parcel_no,
        "weight": f"{paper.weight_g / 1000:.2f} kg" if paper.weight_g else "",
        "printed_at": paper.printed_at_text,
    }
    return _one(f"waybill-{size}", fields, dpi, find, paper.language)


def packing_list(said: PackingList, dpi: int = 203, language: str = "zh", find: Find = template.shipped) -> list[Label]:
    """100x150 mm, as many as the lines need: what is in a parcel, with the shop's words."""
    fields: dict[str, template.Value] = {
        "shop": said.shop,
        "logo": said.logo,
        "greeting": said.greeting,
        "recipient": said.recipient,
        "order_no": said.order_no,
        "printed_at": said.printed_at,
        "pieces": str(said.pieces),
        "note": said.note,
        "lines": [asdict(line) for line in said.lines],
    }
    return find("packing-list").draw(fields, dpi, language)


def pick_list(
    code: str,
    lines: Sequence[PickLine],
    printed_at: str,
    wave: str = "",
    dpi: int = 203,
    language: str = "zh",
    find: Find = template.shipped,
) -> list[Label]:
    """100x150 mm, as many as the lines need: places to go to in walking order, with room for a tick."""
    rows = [asdict(line) for line in lines]
    fields: dict[str, template.Value] = {"code": code, "wave": wave, "printed_at": printed_at, "lines": rows}
    return find("pick-list").draw(fields, dpi, language)


def manifest(
    code: str,
    carrier: str,
    warehouse: str,
    closed_at: str,
    lines: Sequence[ManifestLine],
    weight_g: int,
    dpi: int = 203,
    language: str = "zh",
    find: Find = template.shipped,
) -> list[Label]:
    """100x150 mm, as many as the parcels need: the hand-over sheet that the driver signs."""
    fields: dict[str, template.Value] = {
        "code": code,
        "carrier": carrier,
        "warehouse": warehouse,
        "closed_at": closed_at,
        "parcels": str(len(lines)),
        "weight": f"{weight_g / 1000:.2f} kg",
        "lines": [asdict(line) for line in lines],
    }
    return find("manifest").draw(fields, dpi, language)


def _one(name: str, fields: template.Fields, dpi: int, find: Find, language: str = "zh") -> Label:
    (label,) = find(name).draw(fields, dpi, language)
    return label
