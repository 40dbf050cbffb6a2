"""What a carrier is to us: numbers out of its service, and taken back. One small interface for every service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import httpx

from wms.connectors import Recipient

TIMEOUT_S = 15.0
"""For one call. A worker's lease of a request is longer, so that nobody asks beside a call that still runs."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends it: the warehouse, as it stands on the label."""

    name: str = ""
    phone: str = ""
    region: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class ParcelFacts:
    """What a carrier wants to know of a parcel before it gives a number. Weight in grams, 0 when nobody knows."""

    parcel_no: str
    order_no: str
    carrier_code: str
    weight_g: int
    pieces: int
    contents: str
    label_size: str
    recipient: Recipient
    sender: Sender


@dataclass(frozen=True, slots=True)
class Numbered:
    """A carrier's answer. ``document`` is the label as the carrier drew it (ZPL, PDF, picture), empty where ours is
    used; ``provider`` names whose document it is.
    """

    number: str
    sort_code: str = ""
    """三段码/大头笔"""
    hub: str = ""
    """集包地"""
    document: bytes = field(default=b"", repr=False)
    provider: str = ""


@runtime_checkable
class CarrierService(Protocol):
    """A carrier's service, or an aggregator's. Every method may raise ConnectorError and nothing else of its own:
    permanent (refused for a person; ``unauthorised``: the key) or not (asked again, with the same key).
    """

    def take(self, key: str, facts: ParcelFacts) -> Numbered:
        """The number of this key: the same one however often it is asked, also after an answer that was lost (R32)."""

    def cancel(self, key: str, number: str) -> None:
        """Take it back. ``number`` may be empty when no answer ever came; a key that is unknown there, or was
        cancelled before, is done. Permanent error: the carrier will not.
        """


def service_for(settings: Mapping[str, Any], transport: httpx.BaseTransport | None = None) -> CarrierService:
    """The service of a carrier's settings. To add one, copy json_service.py and its test."""
    from wms.connectors.carriers.json_service import JsonService

    return JsonService.from_settings(settings, transport=transport)
