"""The one door to the network: every call to a shop goes through here, with a time limit and plain errors."""

from __future__ import annotations

import ipaddress
import json
import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx

from wms.connectors import ConnectorError
from wms.errors import N_

MAX_ANSWER_BYTES = 32 * 1024 * 1024

# It writes every address it calls into the log, and some platforms want keys in theirs.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in small letters."""
    body: Any
    """The JSON it held; None where the status says that there is none (204)."""


class Door:
    """Speaks JSON with one shop. Nothing it raises or returns holds a password or a token.

    ``https_only`` is for shops whose key travels as it is; this machine is let off. ``transport`` stands in for
    the network in tests. Times are in seconds.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_s: float = 20.0,
        headers: Mapping[str, str] | None = None,
        https_only: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL:
            url = httpx.URL("")
        if url.scheme not in ("http", "https") or not url.host:
            raise ConnectorError(
                permanent=True,
                reason="bad_address",
                message=N_("%(address)s is no address of a shop. It begins with https://."),
                facts={"address": address},
            )
        if https_only and url.scheme == "http" and not _is_here(url.host):
            raise ConnectorError(
                permanent=True,
                reason="bad_address",
                message=N_("%(host)s would get our key in the clear. Its address must begin with https://."),
                facts={"host": url.host},
            )
        self.host = url.host
        self.url = url
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 10.0)),
            headers={"Accept": "application/json", **(headers or {})},
            follow_redirects=False,
            transport=transport,
            # A proxy of the office is for the world outside, never for a shop on this machine.
            trust_env=not _is_here(url.host),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def post_json(self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
        """POST the body; the shop's JSON, or ConnectorError. A time-out may have been done all the same."""
        return self.request_json("POST", body=body, headers=headers)

    def post_form(self, fields: Mapping[str, str], params: Mapping[str, str] | None = None) -> Answer:
        """POST the fields as a form in UTF-8, ``params`` in the address; the shop's JSON, or ConnectorError."""
        return self.request_json(
            "POST",
            params=list((params or {}).items()),
            body=urlencode(fields).encode("ascii"),
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"},
        )

    def request_json(
        self,
        method: str,
        path: str = "",
        *,
        params: Sequence[tuple[str, str]] = (),
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        judged: Container[int] = (),
    ) -> Answer:
        """Call ``path`` below the address; the shop's JSON, or ConnectorError.

        ``body`` is sent as JSON, or as it is when it is bytes: what was signed must be what is sent. ``auth`` is
        name and password (Basic). ``judged`` are statuses whose answer the caller reads itself.
        """
        status, told, content = self.request(
            method, path, params=params, body=body, headers=headers, auth=auth, judged=judged
        )
        try:
            answer = json.loads(content) if status != 204 else None
        except ValueError as error:
            self._check(status, told)
            raise self._wrong(
                False, "no_json", N_("%(host)s answered with something that is not JSON. It is tried again.")
            ) from error
        return Answer(status, told, answer)

    def request(
        self,
        method: str,
        path: str = "",
        *,
        params: Sequence[tuple[str, str]] = (),
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        judged: Container[int] = (),
    ) -> tuple[int, dict[str, str], bytes]:
        """The same for a shop that speaks something else: status, headers (names in small letters), bytes."""
        sent: dict[str, Any] = {"headers": dict(headers or {})}
        if body is not None:
            sent["content" if isinstance(body, bytes) else "json"] = body
        if params:
            sent["params"] = list(params)
        if auth:
            sent["auth"] = auth
        try:
            with self._client.stream(method, self.address(path), **sent) as response:
                content = self._read(response)
        except httpx.TimeoutException as error:
            raise self._wrong(False, "timeout", N_("%(host)s did not answer in time. It is tried again.")) from error
        except httpx.TransportError as error:
            raise self._wrong(False, "offline", N_("%(host)s cannot be reached. It is tried again.")) from error
        told = {name.lower(): value for name, value in response.headers.items()}
        if response.status_code not in judged:
            self._check(response.status_code, told)
        return response.status_code, told, content

    def address(self, path: str = "") -> httpx.URL:
        """The address with the path behind it, as it is called (and signed)."""
        return self.url.copy_with(path=self.url.path.rstrip("/") + path) if path else self.url

    def _read(self, response: httpx.Response) -> bytes:
        content = bytearray()
        for part in response.iter_bytes():
            content += part
            if len(content) > MAX_ANSWER_BYTES:
                raise self._wrong(True, "too_big", N_("%(host)s sent more than can be taken in."))
        return bytes(content)

    def _check(self, status: int, headers: Mapping[str, str]) -> None:
        if status < 300:
            return
        if status in (401, 403):
            raise self._wrong(
                True, "unauthorised", N_("%(host)s refuses our key. Enter a new one in the shop's settings.")
            )
        if status in (408, 425, 429) or status >= 500:
            raise self._wrong(
                False,
                "busy" if status == 429 else "shop_fault",
                N_("%(host)s is busy or at fault (%(status)s). It is tried again."),
                retry_after_s=_seconds(headers.get("retry-after")),
                status=status,
            )
        raise self._wrong(
            True,
            "refused",
            N_("%(host)s does not take our call (%(status)s). Check its address."),
            status=status,
        )

    def _wrong(
        self,
        permanent: bool,
        reason: str,
        message: str,
        *,
        retry_after_s: float | None = None,
        **facts: Any,
    ) -> ConnectorError:
        return ConnectorError(
            permanent=permanent,
            reason=reason,
            message=message,
            retry_after_s=retry_after_s,
            facts={"host": self.host, **facts},
        )


def quoted(text: object, *secrets: str) -> str:
    """What a shop says, short enough for a screen and with no key of ours in it."""
    said = str(text or "")
    for secret in secrets:
        if secret:
            said = said.replace(secret, "•••")
    return said[:200]


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds, at most an hour; its date form is left to the usual pause."""
    try:
        return min(max(float(text or ""), 0.0), 3600.0)
    except ValueError:
        return None
