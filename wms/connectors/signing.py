"""How the Chinese platforms sign and tell the time. Pure.

Built from the platforms' own pages (TOP article 101617, JOS/宙斯 "API 调用方法") and proved against their published
examples and foreign client libraries (tests/connectors/test_signing.py).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Literal

CHINA = timezone(timedelta(hours=8))
"""GMT+8 the year round, so that no table of time zones is needed and none of the machine's is trusted."""

SignMethod = Literal["md5", "hmac", "hmac-sha256"]


def pairs(fields: Mapping[str, str]) -> str:
    """key1value1key2value2…, by key in ASCII order: what every one of these signatures is made of."""
    return "".join(f"{key}{fields[key]}" for key in sorted(fields))


def md5_sandwich(secret: str, fields: Mapping[str, str]) -> str:
    """UPPER(MD5(secret + pairs + secret)) over UTF-8: JD, Pinduoduo, and TOP's ``md5``."""
    text = f"{secret}{pairs(fields)}{secret}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()


def top_sign(secret: str, fields: Mapping[str, str], method: SignMethod) -> str:
    """TOP's sign of all parameters but ``sign`` itself. The two HMAC ways have no secret around the pairs."""
    if method == "md5":
        return md5_sandwich(secret, fields)
    algorithm = hashlib.md5 if method == "hmac" else hashlib.sha256
    return hmac.new(secret.encode(), pairs(fields).encode(), algorithm).hexdigest().upper()


def compact_json(value: Any) -> str:
    """JSON in one form: keys sorted, no spaces, letters as they are. The string that is signed is the one sent."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


# Clocks


def china_time(at: datetime) -> str:
    """``yyyy-MM-dd HH:mm:ss`` in GMT+8, whatever the zone of this process. ``at`` is aware."""
    return at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def jd_time(at: datetime) -> str:
    """JD's clock text, with its offset told: ``2026-11-21 20:00:00.000+0800``."""
    return f"{china_time(at)}.000+0800"


def from_china(text: object) -> datetime | None:
    """A platform's clock text as UTC; None for "not yet" (empty, year 1, 1970), for ever, and what is no time."""
    try:
        at = datetime.fromisoformat(str(text or "").strip())
    except ValueError:
        return None
    if not 1970 < at.year < 9999:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=CHINA)).astimezone(UTC)


def fen(yuan: object) -> int:
    """``"200.07"`` yuan → 20007 fen, half a fen rounded up; ValueError for what is no amount."""
    try:
        amount = Decimal(str(yuan).strip())
        if not amount.is_finite() or amount.adjusted() > 12:
            raise ValueError(yuan)
        return int((amount * 100).to_integral_value(ROUND_HALF_UP))
    except (InvalidOperation, ValueError) as error:
        raise ValueError(f"{yuan!r} is no amount") from error
