"""What a shop is to us: orders in, shipments and stock out. One small interface for every marketplace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, runtime_checkable

from wms.errors import N_

OrderState = Literal["paid", "cancelled", "refunding", "shipped", "other"]
LineKind = Literal["goods", "service"]
Grain = Literal["order", "sub_order", "package"]
HOLDS = ("absurd_qty", "refund_asked", "refund_refused", "not_yet", "paused", "unreadable")
"""Why a person must look: an unusual quantity; the buyer asks for the money back; the seller said no to that; paid,
but the shop does not let it be shipped yet; stopped at the shop; not understood at all (only ``raw`` is good)."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a parcel goes. May be masked by the shop; then ``oaid`` stands for the person."""

    name: str = ""
    phone: str = ""
    province: str = ""
    city: str = ""
    district: str = ""
    town: str = ""
    address: str = ""
    country: str = ""
    postcode: str = ""
    oaid: str = ""


@dataclass(frozen=True, slots=True)
class ShopLine:
    """One line of a shop's order. ``line_ref`` is the same each time the order is read."""

    line_ref: str
    sku: str
    name: str
    qty: int
    """Whole pieces, always above zero; a line that is taken back is ``cancelled``, not negative."""
    price_minor: int
    """Price of one piece in minor units (fen, pence) of the order's currency."""
    kind: LineKind = "goods"
    cancelled: bool = False
    """Not to be picked: refunded, closed, taken back, or sent already by somebody else."""
    hold: str = ""
    """Why a person must look at this line (one of HOLDS), or empty; the order's ``state`` or ``hold`` says so too."""


@dataclass(frozen=True, slots=True)
class ShopOrder:
    """An order as the shop tells it. Times are aware and in UTC."""

    shop_order_no: str
    ordered_at: datetime | None
    state: OrderState
    lines: tuple[ShopLine, ...]
    recipient: Recipient
    buyer_note: str = ""
    seller_memo: str = ""
    carrier_hint: str = ""
    raw: dict[str, Any] = field(default_factory=dict, compare=False, hash=False, repr=False)
    updated_at: datetime | None = None
    currency: str = ""
    ship_by: datetime | None = None
    hold: str = ""
    """Why a person must look before it is released (one of HOLDS), or empty."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """One parcel that left. ``key`` is the same for the same parcel for ever (R37)."""

    shop_order_no: str
    parcel_no: str
    key: str
    carrier_code: str
    carrier_name: str
    waybill_no: str
    shipped_at: datetime
    lines: tuple[tuple[str, str, int], ...]
    """(line_ref, sku, qty) of the pieces inside."""
    others: tuple[Shipment, ...] = ()
    """The order's other parcels that left, whether the shop knows of them or not. A shop whose grain is ``order``
    takes all of them in one call, the last one gone; one of part quantities must know what is still to come.
    """
    complete: bool = True
    """Whether the whole order has left with this parcel and the others."""
    told: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False, repr=False)
    """The order as its shop told it (``ShopOrder.raw``), for one that wants its own words back."""

    def __post_init__(self) -> None:
        if not self.waybill_no.strip() or not self.key:
            # Marked as sent without a number, the buyer gets a mail that leads nowhere.
            raise ConnectorError(
                permanent=True,
                reason="no_waybill",
                message=N_("Parcel %(parcel)s has no waybill yet; it is not told to the shop."),
                facts={"parcel": self.parcel_no},
            )


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a push: the shop has our waybill, or a person must look (R37)."""

    state: Literal["acknowledged", "conflict"]
    answer: str
    """A message id in plain English; its named facts are in ``evidence``."""
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.answer % self.evidence


class ConnectorError(Exception):
    """A shop that did not do it. *Permanent* means that trying again is no use before a person acts."""

    def __init__(
        self,
        *,
        permanent: bool,
        reason: str,
        message: str,
        retry_after_s: float | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.permanent = permanent
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s
        self.facts: dict[str, Any] = dict(facts or {})
        super().__init__(message % self.facts if self.facts else message)


@runtime_checkable
class Connector(Protocol):
    """A shop. Every method may raise ConnectorError and nothing else of its own."""

    grain: Grain
    """What one call of ``push_shipment`` speaks of at this shop."""

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        """Orders changed since then, an overlap of earlier ones included: store them by order number."""

    def order_state(self, shop_order_no: str) -> str:
        """The newest state, asked just before the label and the hand-over (R28)."""

    def push_shipment(self, shipment: Shipment) -> Pushed:
        """Tell the shop of one parcel. Safe to repeat: the answer comes from what the shop then holds."""

    def push_stock(self, sku: str, qty: int) -> None:
        """Set what the shop may still sell of this item, in pieces; never a difference."""


@runtime_checkable
class Windowed(Protocol):
    """A shop that is read in windows of time."""

    complete_until: datetime | None
    """Every order changed before this has been handed out by ``fetch_orders``: what the caller may save as its next
    ``since`` once it has saved those orders. It moves while the iterator runs and stays good when that breaks off.
    """
    unread: dict[str, ConnectorError]
    """Orders (or files) of the last ``fetch_orders`` that could not be understood; they never stop the others."""


@runtime_checkable
class Rereads(Protocol):
    """A shop that gives a single order: after a webhook, and before the label of a parcel that holds some lines."""

    def read_order(self, shop_order_no: str) -> ShopOrder:
        """The order as it stands now, with the refund of each line; what cannot be understood is an error here."""


@runtime_checkable
class Corrects(Protocol):
    """A shop where the number of a parcel can be changed after it was told."""

    def correct_shipment(self, shipment: Shipment, wrong: str) -> Pushed:
        """Put the shipment's waybill in the place of the ``wrong`` one. Safe to repeat."""


@runtime_checkable
class Authorised(Protocol):
    """A shop whose key ends: somebody should be told some days before."""

    authorised_until: datetime | None


OnToken = Callable[[dict[str, str]], None]
"""Given the settings that changed when a key was renewed. To be saved at once: the old ones are worth nothing."""

KINDS = ("csv", "douyin", "jd", "pinduoduo", "qimen", "shopify", "taobao", "vendure", "webhook", "woocommerce")


LIVE = ("douyin", "jd", "pinduoduo", "shopify", "taobao", "vendure", "webhook", "woocommerce")
"""Kinds that can be asked about one order right now; files say what they say when they come."""


def connector_for(kind: str, settings: Mapping[str, Any], on_token: OnToken | None = None) -> Connector:
    """The connector of that kind; the settings of each stand in its module."""
    if kind == "csv":
        from wms.connectors.csv_pair import CsvPair

        return CsvPair.from_settings(settings)
    if kind == "jd":
        from wms.connectors.jd import Jd

        return Jd.from_settings(settings, on_token=on_token)
    if kind == "taobao":
        from wms.connectors.taobao import Taobao

        return Taobao.from_settings(settings)
    if kind == "douyin":
        from wms.connectors.douyin import Douyin

        return Douyin.from_settings(settings)
    if kind == "pinduoduo":
        from wms.connectors.pinduoduo import Pinduoduo

        return Pinduoduo.from_settings(settings)
    if kind == "qimen":
        from wms.connectors.qimen_erp import Qimen

        return Qimen.from_settings(settings)
    if kind == "shopify":
        from wms.connectors.shopify import Shopify

        return Shopify.from_settings(settings)
    if kind == "vendure":
        from wms.connectors.vendure import Vendure

        return Vendure.from_settings(settings)
    if kind == "webhook":
        from wms.connectors.webhook import Webhook

        return Webhook.from_settings(settings)
    if kind == "woocommerce":
        from wms.connectors.woocommerce import WooCommerce

        return WooCommerce.from_settings(settings)
    raise ConnectorError(
        permanent=True,
        reason="unknown_kind",
        message=N_("There is no connector named %(kind)s."),
        facts={"kind": kind},
    )


def setting(settings: Mapping[str, Any], name: str) -> str:
    """A setting that must be there; ConnectorError names the one that is missing."""
    value = str(settings.get(name) or "").strip()
    if not value:
        raise ConnectorError(
            permanent=True,
            reason="missing_setting",
            message=N_("The shop needs a value for “%(name)s”."),
            facts={"name": name},
        )
    return value


def table(settings: Mapping[str, Any], name: str) -> dict[str, str]:
    """A setting that is a table, ``{"SF": "467"}`` or, from a file of shops, ``"SF=467, ZTO=1499"``."""
    value = settings.get(name) or {}
    if isinstance(value, Mapping):
        return {str(key): str(one) for key, one in value.items()}
    rows = [part.partition("=") for part in str(value).replace(";", ",").split(",") if part.strip()]
    if any(not equals or not key.strip() or not one.strip() for key, equals, one in rows):
        raise ConnectorError(
            permanent=True,
            reason="bad_setting",
            message=N_("“%(name)s” of the shop is a table such as SF=467, ZTO=1499."),
            facts={"name": name},
        )
    return {key.strip(): one.strip() for key, _equals, one in rows}


def moment(settings: Mapping[str, Any], name: str) -> datetime | None:
    """A setting that is a time: ISO with its offset, or seconds since 1970; None when it is not given."""
    text = str(settings.get(name) or "").strip()
    if not text:
        return None
    try:
        at = datetime.fromtimestamp(float(text), UTC) if text.isdigit() else datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError(text)
    except (ValueError, OverflowError, OSError) as error:
        raise ConnectorError(
            permanent=True,
            reason="bad_setting",
            message=N_("“%(name)s” of the shop is a time such as 2026-11-21T20:00:00+08:00."),
            facts={"name": name},
        ) from error
    return at.astimezone(UTC)


def number(settings: Mapping[str, Any], name: str, default: int) -> int:
    """A setting that is a whole number above zero."""
    text = str(settings.get(name) or default).strip()
    if not text.isdigit() or int(text) < 1:
        raise ConnectorError(
            permanent=True,
            reason="bad_setting",
            message=N_("“%(name)s” of the shop is a whole number above zero."),
            facts={"name": name},
        )
    return int(text)
