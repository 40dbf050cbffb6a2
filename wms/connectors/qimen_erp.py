"""An ERP that uses this warehouse by Qimen (奇门), seen as a shop: its orders come by the door, our news go out here.

Signature and papers stand in qimen.py, with their sources. Every message has an ``outBizCode`` that is the same for the
same news for ever, so that one sent again after a lost answer is known there. Proved against a double that checks
signature, clock and papers and forgets to answer; **not certified live**: no ERP ever took one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from wms.clock import now
from wms.connectors import ConnectorError, Grain, Pushed, Shipment, ShopOrder, setting, table
from wms.connectors import orders as common
from wms.connectors import qimen as q
from wms.connectors.http import Door, quoted
from wms.errors import N_

PREFIX = "taobao.qimen."
YES = ("yes", "y", "1", "true")
WRONG_SIGN = ("sign-check-failure", "25", "isv.invalid-signature")


@dataclass(slots=True)
class Qimen:
    """Settings: ``url`` (the gateway, or the ERP's own address), ``customer_id``, ``app_key``, ``secret`` (signs both
    ways), ``warehouse`` and ``owner`` (our codes at the ERP), ``carriers`` (our code → ``logisticsCode``, where they
    differ), ``parts`` (yes: each parcel is told when it leaves; else the order once, with its last parcel), ``names``
    (short: methods without ``taobao.qimen.``, for an ERP that is called directly).
    """

    door: Door
    customer: str
    app_key: str
    secret: str = field(repr=False)
    warehouse: str = ""
    owner: str = ""
    carriers: dict[str, str] = field(default_factory=dict)
    grain: Grain = "order"
    prefix: str = PREFIX
    clock: Callable[[], datetime] = now

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], transport: httpx.BaseTransport | None = None) -> Qimen:
        return cls(
            Door(setting(settings, "url"), headers={"Accept": "text/xml"}, transport=transport),
            customer=setting(settings, "customer_id"),
            app_key=setting(settings, "app_key"),
            secret=setting(settings, "secret"),
            warehouse=str(settings.get("warehouse") or ""),
            owner=str(settings.get("owner") or ""),
            carriers=table(settings, "carriers"),
            grain="package" if str(settings.get("parts") or "").lower() in YES else "order",
            prefix="" if settings.get("names") == "short" else PREFIX,
        )

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        """None: an ERP sends its orders by itself."""
        return iter(())

    def order_state(self, shop_order_no: str) -> str:
        raise ConnectorError(
            permanent=True,
            reason="no_live_state",
            message=N_("%(host)s tells of changes by itself and cannot be asked about order %(order)s."),
            facts={"host": self.door.host, "order": shop_order_no},
        )

    def push_shipment(self, shipment: Shipment) -> Pushed:
        """``deliveryorder.confirm``: the whole order with all its parcels, or (``parts``) this parcel alone.

        The same news has the same key and the same words however often it is told: the order's is that of its first
        parcel, and what is final is decided by which parcel left last, not by what was told before.
        """
        parcels = sorted((shipment, *shipment.others), key=lambda one: (one.shipped_at, one.parcel_no))
        final = shipment.complete and parcels[-1].key == shipment.key
        if self.grain == "order":
            told, final, key = parcels, True, parcels[0].key
        else:
            told, key = [shipment], shipment.key
        document = self._document(shipment)
        news = q.DeliveryConfirm(
            code=shipment.shop_order_no,
            warehouse=document.warehouse,
            order_type=document.order_type,
            status="DELIVERED" if final else "PARTDELIVERED",
            key=key,
            at=told[-1].shipped_at,
            packages=tuple(self._package(one) for one in told),
            lines=document.lines,
            final=final,
        )
        try:
            self.tell("deliveryorder.confirm", q.delivery_confirm(news))
        except ConnectorError as error:
            if error.reason == "refused":
                return common.refused(shipment, error.facts.get("code"), str(error.facts.get("shop_says") or "–"))
            raise
        return common.taken(shipment, news.status)

    def _document(self, shipment: Shipment) -> q.DeliveryOrder:
        """The delivery order as the ERP wrote it: a confirmation gives it its own lines back."""
        document = q.read("deliveryorder.create", str(shipment.told.get("xml") or "").encode())
        assert isinstance(document, q.DeliveryOrder)
        return document

    def _package(self, parcel: Shipment) -> q.Package:
        return q.Package(
            carrier_code=self.carriers.get(parcel.carrier_code, parcel.carrier_code),
            carrier_name=parcel.carrier_name,
            waybill_no=parcel.waybill_no,
            code=parcel.parcel_no,
            items=parcel.lines,
        )

    def push_stock(self, sku: str, qty: int) -> None:
        """Nothing: an ERP keeps its own count by what we confirm and report, and may ask (``inventory.query``).

        A level told for each change would be counted there on top of the confirmations (see jobs/erp for reports).
        """

    def tell(self, method: str, body: bytes) -> q.Answer:
        """Send news, signed anew at each try. ConnectorError ``refused`` when the ERP says no in its own words."""
        query = q.query_of(self.secret, self.app_key, self.customer, self.prefix + method, body, self.clock())
        _status, _headers, content = self.door.request(
            "POST", params=list(query.items()), body=body, headers={"Content-Type": "text/xml;charset=utf-8"}
        )
        try:
            answer = q.read_answer(content)
        except ConnectorError as error:
            words = N_("%(host)s answered with something that is not XML. It is tried again.")
            raise self._error(False, "no_xml", words) from error
        if answer.good:
            return answer
        sub_code = answer.ids.get("sub_code", "")
        said = quoted(answer.message or answer.ids.get("sub_msg") or answer.ids.get("msg"), self.secret)
        if answer.code in WRONG_SIGN or sub_code in WRONG_SIGN:
            words = N_("%(host)s refuses our key. Enter a new one in the shop's settings.")
            raise self._error(True, "wrong_keys", words, shop_says=said)
        if answer.code == "7" or answer.code.startswith("isp.") or sub_code.startswith("isp."):
            words = N_("%(host)s is busy: %(shop_says)s It is tried again.")
            raise self._error(False, "busy", words, shop_says=said)
        words = N_("%(host)s does not take our news (%(code)s): %(shop_says)s")
        raise self._error(True, "refused", words, code=sub_code or answer.code or "–", shop_says=said or "–")

    def _error(self, permanent: bool, reason: str, message: str, **facts: Any) -> ConnectorError:
        facts = {"host": self.door.host, **facts}
        return ConnectorError(permanent=permanent, reason=reason, message=message, facts=facts)
