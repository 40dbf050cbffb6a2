"""Address and contact complete: what a parcel needs to arrive. Pure."""

from __future__ import annotations

from wms.connectors import Recipient
from wms.errors import N_

NO_NAME = N_("the recipient has no name")
NO_PHONE = N_("the recipient has no phone number")
NO_REGION = N_("the address has no province, city or country")
NO_ADDRESS = N_("the address has no street")
MASKED = N_("the recipient is masked and the platform gave no code (OAID) to print the label with")

FEWEST_DIGITS = 5
REGIONS = ("省", "市", "自治区", "自治州", "县", "旗")
"""Written in the street's line they name the region as well as a column of its own does."""
CIPHERTEXT = 20
"""A platform's ciphertext is at least so long, longer than any phone number, and need hold no digits."""


def missing(recipient: Recipient, one_line: bool = False) -> str:
    """What the recipient lacks, in words, or nothing. A platform's code stands for all of it (facts §3).

    ``one_line``: the source has one column for the whole address, as JD's export has, so its region is not judged.
    """
    if recipient.oaid.strip():
        return ""
    name, phone, street = (part.strip() for part in (recipient.name, recipient.phone, recipient.address))
    if any("*" in part or "＊" in part for part in (name, phone, street)):
        return MASKED
    if not name:
        return NO_NAME
    if sum(character.isdigit() for character in phone) < FEWEST_DIGITS and len(phone) < CIPHERTEXT:
        return NO_PHONE
    if not street:
        return NO_ADDRESS
    region = any(part.strip() for part in (recipient.province, recipient.city, recipient.country))
    return "" if region or one_line or any(mark in street for mark in REGIONS) else NO_REGION


def says_nothing(recipient: Recipient) -> bool:
    """A file without columns for an address: its orders are not judged by what it cannot say."""
    parts = (recipient.phone, recipient.address, recipient.city, recipient.province, recipient.oaid)
    return not any(part.strip() for part in parts)
