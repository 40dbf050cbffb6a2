"""A carrier's service by signed JSON: an aggregator or a program in the house may stand behind it.

Built from the Standard Webhooks specification (symmetric ``v1``) for the signature; the messages are ours, see
docs/carrier-service.md. Proved against a double that enforces them (tests/connectors/fake_carrier_service.py); there is
no carrier to be certified with.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from wms.clock import now
from wms.connectors import ConnectorError, setting
from wms.connectors.carriers import TIMEOUT_S, Numbered, ParcelFacts
from wms.connectors.http import Door, quoted
from wms.connectors.webhook import secrets_of, signed
from wms.errors import N_

ANSWERED = (400, 404, 409, 410, 422)
MOST_DOCUMENT = 4 * 1024 * 1024
_NUMBER = re.compile(r"[0-9A-Z][0-9A-Z-]{3,39}")


@dataclass(slots=True)
class JsonService:
    """Settings: ``url`` (where our messages go), ``secret`` (``whsec_…``; the first of several signs)."""

    door: Door
    secrets: tuple[bytes, ...] = field(repr=False)
    clock: Callable[[], datetime] = now

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], transport: httpx.BaseTransport | None = None) -> JsonService:
        return cls(
            Door(setting(settings, "url"), timeout_s=TIMEOUT_S, transport=transport),
            secrets_of(setting(settings, "secret")),
        )

    def take(self, key: str, facts: ParcelFacts) -> Numbered:
        answer = self._ask("waybill.take", key, {"key": key, **asdict(facts)})
        if answer.get("state") not in ("taken", "known"):
            raise self._refused(answer)
        number = str(answer.get("number") or "").strip().upper()
        if not _NUMBER.fullmatch(number):
            raise self._error(
                True,
                "bad_number",
                N_("%(host)s answered with %(number)s, which is no waybill number. Ask whoever runs it."),
                number=quoted(answer.get("number")) or "–",
            )
        return Numbered(
            number,
            str(answer.get("sort_code") or "").strip()[:40],
            str(answer.get("hub") or "").strip()[:80],
            self._document(answer.get("document")),
            str(answer.get("provider") or "").strip()[:24],
        )

    def cancel(self, key: str, number: str) -> None:
        answer = self._ask("waybill.cancel", key, {"key": key, "number": number})
        if answer.get("state") not in ("cancelled", "unknown"):
            raise self._refused(answer)

    def _document(self, given: Any) -> bytes:
        if not given:
            return b""
        try:
            document = base64.b64decode(str(given), validate=True)
        except (binascii.Error, ValueError):
            document = b""
        if not 0 < len(document) <= MOST_DOCUMENT:
            raise self._error(
                True, "bad_document", N_("%(host)s sent a label that cannot be read. Ask whoever runs it.")
            )
        return document

    # The wire

    def _ask(self, kind: str, key: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message. One key and kind is one message id, so that a service that only knows ids knows it too."""
        at = self.clock()
        message = {"type": kind, "timestamp": at.astimezone(UTC).isoformat(timespec="seconds"), "data": data}
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        identity = "msg_" + hashlib.sha256(f"{kind}\n{key}".encode()).hexdigest()[:40]
        headers = {"Content-Type": "application/json", **signed(self.secrets[0], identity, at, body)}
        try:
            answer = self.door.request_json("POST", body=body, headers=headers, judged=ANSWERED)
        except ConnectorError as error:
            if error.reason == "unauthorised":
                words = N_("%(host)s refuses our key. An admin enters a new one under Carriers.")
                raise self._error(True, "unauthorised", words) from error
            if error.permanent and error.reason == "refused":
                words = N_("%(host)s does not take our call (%(status)s). An admin checks its address under Carriers.")
                raise self._error(True, "refused", words, status=error.facts.get("status", "–")) from error
            raise
        if isinstance(answer.body, dict) and answer.body.get("state"):
            return answer.body
        raise self._refused(answer.body if isinstance(answer.body, dict) else {"message": f"HTTP {answer.status}"})

    def _refused(self, answer: Mapping[str, Any]) -> ConnectorError:
        said = quoted(answer.get("message"), *(base64.b64encode(one).decode() for one in self.secrets))
        return self._error(
            True,
            "refused",
            N_("The carrier says no: %(carrier_says)s"),
            carrier_says=said or quoted(answer.get("state")),
        )

    def _error(self, permanent: bool, reason: str, message: str, **facts: Any) -> ConnectorError:
        return ConnectorError(
            permanent=permanent, reason=reason, message=message, facts={"host": self.door.host, **facts}
        )
