"""The block list: whose orders a person looks at first. What is compared is normalised; nothing of it is logged."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from wms.clock import now
from wms.connectors import Recipient, ShopOrder
from wms.errors import N_, Refusal
from wms.models import BlockEntry, BlockKind, Shop

HELD = N_("on the block list: %(reason)s (entered by %(who)s)")

SHORTEST_ADDRESS = 6
BUYERS = (
    "buyer_open_uid",
    "buyer_open_id",
    "buyer_nick",
    "open_id_buyer",
    "openIdBuyer",
    "pin",
    "open_id",
    "customer_id",
)
"""Where platforms say who bought, in the order as they give it."""


class NothingToBlock(Refusal):
    message = N_("Enter a whole phone number, a name with an address, or a buyer's id. Masked ones match nobody.")


class NoReason(Refusal):
    message = N_("Say why: whoever sees the held order reads it.")


def _plain(text: str) -> str:
    """Full-width to half, no blanks, no punctuation, small letters."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text)).casefold()


def phone(text: str) -> str:
    """Digits alone, without the country code of China; nothing for a masked number."""
    if "*" in unicodedata.normalize("NFKC", text):
        return ""
    digits = re.sub(r"\D", "", unicodedata.normalize("NFKC", text))
    short = re.sub(r"^(00)?86(?=1\d{10}$)", "", digits)
    return short if len(short) >= 5 else ""


def address(name: str, where: str) -> str:
    """Name and address on two lines; nothing when one is masked, missing, or too short to mean one place."""
    who, place = _plain(name), _plain(where)
    if "*" in unicodedata.normalize("NFKC", name + where) or not who or len(place) < SHORTEST_ADDRESS:
        return ""
    return f"{who}\n{place}"[:300]


def _address_of(to: Recipient) -> str:
    return address(to.name, "".join((to.province, to.city, to.district, to.town, to.address)))


def buyers(order: ShopOrder) -> set[str]:
    """What the platform calls the buyer: its ids in the order, and the code that stands for the recipient."""
    found = {str(value) for value in _ids(order.raw) if value not in (None, "", 0, "0")}
    return {value.strip()[:300] for value in found | {order.recipient.oaid} if value.strip()}


def _ids(raw: dict[str, Any]) -> Iterator[Any]:
    inner = [raw, *(value for value in raw.values() if isinstance(value, dict))]
    for level in inner:
        yield from (level[name] for name in BUYERS if name in level)
    customer = raw.get("customer")
    if isinstance(customer, dict):
        yield customer.get("id")


def find(session: Session, shop: Shop, order: ShopOrder) -> BlockEntry | None:
    """The first entry that means the buyer or recipient of this order."""
    wanted = []
    if number := phone(order.recipient.phone):
        wanted.append(and_(BlockEntry.kind == BlockKind.PHONE, BlockEntry.value == number))
    place = _address_of(order.recipient)
    if place:
        begins = place.split("\n")[0] + "\n"
        wanted.append(and_(BlockEntry.kind == BlockKind.ADDRESS, BlockEntry.value.startswith(begins, autoescape=True)))
    if ids := buyers(order):
        of_shop = or_(BlockEntry.shop_id.is_(None), BlockEntry.shop_id == shop.id)
        wanted.append(and_(BlockEntry.kind == BlockKind.BUYER, BlockEntry.value.in_(ids), of_shop))
    if not wanted:
        return None
    for entry in session.execute(
        select(BlockEntry)
        .where(BlockEntry.warehouse_id == shop.warehouse_id, BlockEntry.active, or_(*wanted))
        .order_by(BlockEntry.id)
    ).scalars():
        if entry.kind is not BlockKind.ADDRESS or _same_place(entry.value, place):
            return entry
    return None


def _same_place(one: str, other: str) -> bool:
    """People leave the province out: the shorter address is the end of the longer."""
    (who, here), (name, there) = one.split("\n", 1), other.split("\n", 1)
    return who == name and (here.endswith(there) or there.endswith(here))


def count(session: Session, entry: BlockEntry) -> None:
    """An order was held for it."""
    session.execute(
        update(BlockEntry)
        .where(BlockEntry.warehouse_id == entry.warehouse_id, BlockEntry.id == entry.id)
        .values(hits=BlockEntry.hits + 1, hit_at=now())
        .execution_options(synchronize_session=False)
    )
