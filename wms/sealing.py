"""Secrets at rest: what a shop gave us to sign with is sealed with a key made from WMS_SECRET_KEY.

Fernet (AES-128-CBC with HMAC-SHA256, cryptography's recipe) under a key drawn by HKDF-SHA256 (RFC 5869). Whoever has
the database alone has no shop's keys; whoever loses WMS_SECRET_KEY enters them again.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SEALED = "sealed"
_keys: list[str] = []


class CannotOpen(Exception):
    """Sealed with another WMS_SECRET_KEY than this one."""

    def __init__(self) -> None:
        super().__init__(
            "what is sealed in the database was sealed with another WMS_SECRET_KEY; "
            "bring that one back, or enter the shop's keys again"
        )


def use_key(secret: str) -> None:
    """Seal with this secret from now on; what was sealed with an earlier one of this process still opens."""
    if secret in _keys:
        _keys.remove(secret)
    _keys.insert(0, secret)


@cache
def _box(secret: str) -> Fernet:
    key = HKDF(SHA256(), 32, salt=None, info=b"wms: settings of shops").derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))


def seal(plain: dict[str, Any]) -> dict[str, Any]:
    """The settings as they are stored; nothing is sealed where there is nothing."""
    if not plain:
        return {}
    if not _keys:
        raise CannotOpen()
    return {SEALED: _box(_keys[0]).encrypt(json.dumps(plain, ensure_ascii=False).encode()).decode()}


def unseal(stored: dict[str, Any]) -> dict[str, Any]:
    """The settings again; what an older release stored in the open is given as it is. Raises CannotOpen."""
    if set(stored) != {SEALED}:
        return stored
    for secret in _keys:
        try:
            opened: dict[str, Any] = json.loads(_box(secret).decrypt(str(stored[SEALED]).encode()))
            return opened
        except InvalidToken:
            continue
    raise CannotOpen()
