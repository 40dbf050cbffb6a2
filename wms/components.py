"""The platforms' print components 打印组件: which there are, where they listen, what their documents look like. Pure.

A component is a program of the platform on the packing PC. It listens on a local WebSocket, decrypts the platform's
waybill document and prints it through the PC's printer driver; nothing else can read that document. Sources of ports
and shapes: docs/platform-waybills.md.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from wms.errors import N_

LARGEST_DOCUMENT = 256 * 1024
"""Bytes. Documents seen in published examples have 1 to 4 kB."""

_ADDRESS = re.compile(r"(cainiao|pinduoduo|wechat)://([A-Za-z0-9][A-Za-z0-9._-]{0,30})/(\S(?:.*\S)?)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Provider:
    """A platform's component: its name on a screen, and the addresses it listens at, the first one tried first."""

    name: str
    addresses: tuple[str, ...]

    @property
    def port(self) -> str:
        return self.addresses[0].rpartition(":")[2]


# Each address is written as its platform writes it: a page's Content-Security-Policy compares them letter by letter.
PROVIDERS = {
    "cainiao": Provider(N_("Cainiao print component"), ("ws://localhost:13528", "wss://localhost:13529")),
    "pinduoduo": Provider(N_("Pinduoduo print component"), ("ws://127.0.0.1:5000", "wss://127.0.0.1:18653")),
    "wechat": Provider(N_("WeChat shop print component"), ("ws://127.0.0.1:12705",)),
}


@dataclass(frozen=True, slots=True)
class Address:
    """``cainiao://PACK1/KM-202``: the printer that this station's component calls KM-202, letter by letter."""

    provider: str
    station: str
    printer: str

    def __str__(self) -> str:
        return f"{self.provider}://{self.station}/{self.printer}"


def is_component(uri: str) -> bool:
    return uri.partition(":")[0] in PROVIDERS


def parse(uri: str) -> Address | None:
    """The parts of a component printer's address, or None. The name is not percent-coded: it may hold anything."""
    found = _ADDRESS.fullmatch(uri.strip())
    if found is None or _CONTROL.search(uri):
        return None
    return Address(found[1], found[2].upper(), found[3])


def is_document(provider: str, document: bytes) -> bool:
    """Whether these bytes can be what the platform gives for one label.

    Cainiao and Pinduoduo: the ``print_data`` of their waybill call, a JSON object with a template's address and the
    encrypted or plain data, or a list of such objects (the waybill and the shop's own area). WeChat: ``print_info``,
    a text that means nothing to anybody else.
    """
    if not 0 < len(document) <= LARGEST_DOCUMENT:
        return False
    try:
        text = document.decode()
        if provider == "wechat":
            return bool(text.strip()) and not _CONTROL.search(text.strip())
        said = json.loads(text)
    except ValueError:
        return False
    contents = said if isinstance(said, list) else [said]
    return 0 < len(contents) <= 4 and all(
        isinstance(each, dict)
        and bool(each.get("templateURL") or each.get("templateUrl"))
        and bool(each.get("encryptedData") or each.get("data"))
        for each in contents
    )
