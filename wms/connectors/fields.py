"""What each kind of shop is set up with: the fields a person fills in, and which of them are never shown again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wms.errors import N_

FieldKind = Literal["text", "secret", "address", "table", "number", "choice", "switch", "time"]

TABLE_HINT = N_("Ours=theirs, such as SF=467, ZTO=1499.")
USUAL = N_("Empty: the usual one.")


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of a shop. ``secret`` ones are written and never shown. ``default`` is what empty means."""

    name: str
    label: str
    kind: FieldKind = "text"
    required: bool = False
    hint: str = ""
    choices: tuple[str, ...] = ()
    default: bool = False
    """Of a switch."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of shop, as people choose it."""

    name: str
    label: str
    hint: str
    fields: tuple[Field, ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields if field.kind == "secret")

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields if field.kind == "address")


_CARRIERS = Field("carriers", N_("Carriers"), "table", hint=TABLE_HINT)
_GATEWAY = Field("url", N_("Address of the gateway"), "address", hint=USUAL)
_RATE = Field("calls_per_s", N_("Calls a second"), "number", hint=N_("Empty: 10."))
_FIRST_DAYS = Field(
    "first_days", N_("Days back at the first reading"), "number", hint=N_("Only orders that wait to be shipped.")
)
_APP_KEY = Field("app_key", N_("App key"), required=True)
_APP_SECRET = Field("app_secret", N_("App secret"), "secret", required=True)
_TOKEN = Field("access_token", N_("Access token of the shop"), "secret", required=True)
_NOTIFY = Field("notify", N_("The shop mails the buyer"), "switch", default=True)

KINDS: tuple[Kind, ...] = (
    Kind(
        "jd",
        N_("JD"),
        N_("By JD's open platform, for shops of merchants."),
        (
            _APP_KEY,
            _APP_SECRET,
            _TOKEN,
            Field("refresh_token", N_("Token to renew the key"), "secret", hint=N_("Empty: the key is not renewed.")),
            Field("expires_at", N_("The key ends"), "time", hint=N_("Such as 2026-11-21T20:00:00+08:00.")),
            _CARRIERS,
            Field("store_id", N_("Number of the store"), hint=N_("Only where stock is kept by store.")),
            Field("ship_within_h", N_("Hours to ship"), "number"),
            _FIRST_DAYS,
            _RATE,
            _GATEWAY,
            Field("renew_url", N_("Address to renew keys"), "address", hint=USUAL),
        ),
    ),
    Kind(
        "taobao",
        N_("Taobao and Tmall"),
        N_("By Taobao's open platform."),
        (
            _APP_KEY,
            _APP_SECRET,
            Field("session", N_("Session of the shop"), "secret", required=True),
            Field("session_expires_at", N_("The key ends"), "time", hint=N_("Such as 2026-11-21T20:00:00+08:00.")),
            Field("sign_method", N_("Way to sign"), "choice", choices=("hmac-sha256", "hmac", "md5")),
            _CARRIERS,
            Field("types", N_("Kinds of orders"), hint=USUAL),
            _FIRST_DAYS,
            _RATE,
            _GATEWAY,
        ),
    ),
    Kind(
        "pinduoduo",
        N_("Pinduoduo"),
        N_("By Pinduoduo's open platform."),
        (
            Field("client_id", N_("Client id"), required=True),
            Field("client_secret", N_("Client secret"), "secret", required=True),
            _TOKEN,
            _CARRIERS,
            Field("refund_address", N_("Number of the return address"), hint=N_("Empty: the shop's own.")),
            _GATEWAY,
        ),
    ),
    Kind(
        "douyin",
        N_("Douyin"),
        N_("By Douyin's open platform."),
        (_APP_KEY, _APP_SECRET, _TOKEN, _CARRIERS, _GATEWAY),
    ),
    Kind(
        "shopify",
        N_("Shopify"),
        N_("By its Admin API."),
        (
            Field("url", N_("Address of the shop"), "address", True, N_("Such as https://mine.myshopify.com.")),
            Field("token", N_("Admin API key"), "secret", required=True),
            Field("webhook_secret", N_("Secret of its messages"), "secret"),
            Field("location", N_("Number of this warehouse there"), hint=N_("Where the shop has several.")),
            _CARRIERS,
            _NOTIFY,
        ),
    ),
    Kind(
        "woocommerce",
        N_("WooCommerce"),
        N_("By its REST API."),
        (
            Field("url", N_("Address of the shop"), "address", True, N_("Begins with https://.")),
            Field("key", N_("Consumer key"), required=True),
            Field("secret", N_("Consumer secret"), "secret", required=True),
            Field("webhook_secret", N_("Secret of its messages"), "secret"),
            Field(
                "tracking",
                N_("Where numbers are written"),
                "choice",
                choices=("core", "plugin", "note"),
                hint=N_("Empty: what the shop has."),
            ),
            Field("paid_states", N_("States that mean paid"), hint=N_("Besides processing; blanks between them.")),
            _CARRIERS,
            _NOTIFY,
        ),
    ),
    Kind(
        "vendure",
        N_("Vendure"),
        N_("By its Admin API."),
        (
            Field("url", N_("Address of the shop"), "address", True, N_("Ends with /admin-api.")),
            Field("token", N_("API key"), "secret", hint=N_("Or a name with a password.")),
            Field("username", N_("Name")),
            Field("password", N_("Password"), "secret"),
            Field("channel", N_("Channel"), "secret", hint=N_("Where the shop has several.")),
        ),
    ),
    Kind(
        "webhook",
        N_("Any shop by signed JSON"),
        N_("For programmers: see docs/webhook.md."),
        (
            Field("url", N_("Address of the shop"), "address", True, N_("Begins with https://.")),
            Field("secret", N_("Secret"), "secret", True, N_("Begins with whsec_.")),
            Field("can", N_("What it answers"), hint=N_("Some of: list state stock.")),
        ),
    ),
    Kind(
        "csv",
        N_("Files"),
        N_("Order files in a folder of this computer; numbers go out as a file to upload."),
        (
            Field("inbox", N_("Folder or file of orders"), required=True),
            Field("outbox", N_("File of shipments"), required=True),
            Field("mapping", N_("Columns"), hint=N_("Empty: each file is recognised.")),
            Field("stock", N_("File of stock"), hint=N_("Empty: no file is written.")),
        ),
    ),
)
BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}


def shown(field: Field, settings: Mapping[str, Any]) -> str:
    """A setting as the page shows it; a secret one never is."""
    value = settings.get(field.name)
    if field.kind == "secret" or value is None:
        return ""
    if field.kind == "table" and isinstance(value, Mapping):
        return ", ".join(f"{ours}={theirs}" for ours, theirs in value.items())
    if field.kind == "switch":
        return "1" if value not in (False, "", "0") else ""
    return str(value)


def merged(kind: Kind, settings: Mapping[str, Any], said: Mapping[str, str]) -> dict[str, Any]:
    """The settings after a person filled in the form. An empty secret stays what it was; others are emptied."""
    result = dict(settings)
    for field in kind.fields:
        text = str(said.get(field.name, "")).strip()
        if field.kind == "switch":
            result[field.name] = text == "1"
        elif text:
            result[field.name] = text
        elif field.kind != "secret":
            result.pop(field.name, None)
    return result


def must_be_said_again(kind: Kind, settings: Mapping[str, Any], said: Mapping[str, str]) -> tuple[str, ...]:
    """Secrets that would go to another address than the one they were given for, and were not entered anew."""
    moved = any(str(settings.get(name) or "").strip() != str(said.get(name, "")).strip() for name in kind.addresses)
    if not moved:
        return ()
    return tuple(name for name in kind.secrets if settings.get(name) and not str(said.get(name, "")).strip())
