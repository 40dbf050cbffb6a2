"""Hide on a label what GB/T 41833-2022 wants hidden: part of the name, six digits of the phone, the flat.

Every function may be given its own answer again, or data that a platform masked less, and never shows more.
"""

from __future__ import annotations

import re
import unicodedata

HIDDEN_DIGITS = 6
_SHOWN_LAST = 2
_NAME_STARS = 3
_NUMBER = r"[0-9A-Za-z零〇一二三四五六七八九十百两]+"
# A number that the platform made for one delivery, with the extension that reaches the buyer.
_VIRTUAL = re.compile(r"1\d{10}\s*(?:转|-|,)\s*\d{3,6}")
_DASHED = r"[0-9A-Za-z]+(?:[-－—][0-9A-Za-z]+)*"
_FLAT = (
    # 3单元, 502室, 三单元
    (re.compile(_NUMBER + r"(?=单元|室|号房|号室)"), "*"),
    (re.compile(r"[0-9]+[A-Za-z]?(?=户|房|门(?![市县峡]))"), "*"),
    # 12栋1203, 3单元502, 8号楼2-501, 15层A2
    (
        re.compile(r"(单元|[栋幢座楼层#门])\s*" + _DASHED + r"(?![0-9A-Za-z]|号楼|[栋幢座楼层号#])"),
        r"\1*",
    ),
    # 3-2-501: the building stays
    (re.compile(r"(?<![0-9A-Za-z*])([0-9]+[A-Za-z]?)(?:[-－—][0-9A-Za-z]+)+(?![0-9A-Za-z]|号)"), r"\1-*"),
    # Apt 5B, Room 1203
    (re.compile(r"(?i)\b(apt|apartment|unit|room|rm|suite|ste|flat)\b\.?\s*#?\s*" + _DASHED), r"\1 *"),
    # 幸福小区1203 at the very end
    (re.compile(r"(?<=[\u4e00-\u9fff])(?<![路街道巷弄])\s*[0-9]{3,5}$"), "*"),
)


def mask_name(name: str) -> str:
    """The first character of a name and a star for each other one, three at most."""
    name = unicodedata.normalize("NFKC", name).strip()
    if len(name) <= 1:
        return "*" if name else ""
    return name[0] + "*" * min(len(name) - 1, _NAME_STARS)


def mask_phone(phone: str) -> str:
    """A phone number with at least six digits hidden and at most five shown.

    Stars in it count as digits already hidden. A platform's virtual number is given back as it is:
    it belongs to the delivery, and without it the courier cannot call.
    """
    phone = unicodedata.normalize("NFKC", phone).strip()
    if _VIRTUAL.fullmatch(phone):
        return phone
    masked = (_mask_number(part) for part in re.split(r"[/;、,|]+", phone))
    return " / ".join(part for part in masked if part)


def mask_address(address: str) -> str:
    """An address without the numbers of its unit and flat; street and building stay."""
    for pattern, replacement in _FLAT:
        address = pattern.sub(replacement, address)
    return address


def _mask_number(phone: str) -> str:
    digits = re.sub(r"[^0-9*]", "", phone)
    home = re.fullmatch(r"(?:\+?86|0086)([0-9*]{11})", re.sub(r"[^0-9*+]", "", phone))
    if home:
        digits = home.group(1)
    shown = max(0, min(5, len(digits) - HIDDEN_DIGITS))
    last = min(shown, _SHOWN_LAST)
    first = shown - last
    hidden = "*" * max(len(digits) - shown, HIDDEN_DIGITS if digits else 0)
    return digits[:first] + hidden + digits[len(digits) - last :]
