"""Label printers as machines: which networks are looked through, rolls put in, labels printed a day, what they told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from ipaddress import IPv4Network, ip_network
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, NotFound, Refusal, term
from wms.models import Printer, PrintJob, PrintState, Warehouse, first_id

A_LOOK = 32
"""Addresses of one request: a few seconds, so that a page can show how far it is."""

DAYS = 14
LONGEST_KEPT = timedelta(hours=8)
"""A job printed after a roll was put in was queued at most so long before."""

LOW = 0.05
"""Less than this part of a roll is about to run out, and so are FEW labels of any roll."""
FEW = 20
MOST_ON_A_ROLL = 20_000


class BadNetwork(Refusal):
    message = N_("%(entered)s is no network of at most 256 addresses. Write it like 192.168.1.0/24.")


class NetworkOutside(Refusal):
    message = N_(
        "%(network)s is outside the printer networks: %(networks)s. "
        "Whoever looks after the server widens them with WMS_PRINTER_NETWORKS."
    )


class CannotBeAsked(Refusal):
    message = N_("%(printer)s has no way to answer: it is a folder, or its answers are switched off.")
    answer = "look"


class PrintsNow(Refusal):
    message = N_("%(printer)s is printing. Ask it again in a moment.")
    answer = "look"


class BadRoll(Refusal):
    message = N_("%(entered)s is no number of labels. Enter what stands on the roll, from 1 to %(most)s.")


@dataclass(frozen=True, slots=True)
class Roll:
    """What is left on the roll by our own count; ``low`` when somebody should fetch a new one."""

    labels: int
    left: int
    low: bool
    since: datetime


def printer_of(session: Session, warehouse_id: int, printer_id: int) -> Printer:
    printer = session.get(Printer, (warehouse_id, printer_id))
    if printer is None:
        raise NotFound(what=term("The printer"))
    return printer


def network(entered: str, allowed: Sequence[str]) -> IPv4Network:
    """The network to look through: at most a /24, inside those that printers may stand in."""
    try:
        found = ip_network(entered.strip(), strict=False)
    except ValueError as error:
        raise BadNetwork(entered=entered.strip()[:40] or "—") from error
    if not isinstance(found, IPv4Network) or found.prefixlen < 24:
        raise BadNetwork(entered=entered.strip()[:40])
    inside = (ip_network(each, strict=False) for each in allowed)
    if not any(isinstance(each, IPv4Network) and found.subnet_of(each) for each in inside):
        raise NetworkOutside(network=str(found), networks=", ".join(allowed))
    return found


def addresses(of: IPv4Network, start: int) -> list[str]:
    """The next few addresses to look at."""
    every = list(of.hosts())
    return [str(each) for each in every[start : start + A_LOOK]]


def size(of: IPv4Network) -> int:
    return len(list(of.hosts()))


def new_roll(session: Session, warehouse_id: int, printer_id: int, entered: str) -> Printer:
    """Somebody put a new roll in."""
    printer = printer_of(session, warehouse_id, printer_id)
    text = entered.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MOST_ON_A_ROLL):
        raise BadRoll(entered=text[:20] or "—", most=MOST_ON_A_ROLL)
    journal.note(session, printer, "roll", printer.roll_labels or "", text)
    printer.roll_labels, printer.roll_at = int(text), now()
    return printer


def roll(session: Session, printer: Printer) -> Roll | None:
    """What is left on the printer's roll; None while nobody said how long it was."""
    if printer.roll_labels is None or printer.roll_at is None:
        return None
    used = session.execute(
        select(func.coalesce(func.sum(PrintJob.copies), 0)).where(
            PrintJob.warehouse_id == printer.warehouse_id,
            PrintJob.printer_id == printer.id,
            PrintJob.state == PrintState.PRINTED,
            PrintJob.id >= first_id(printer.roll_at - LONGEST_KEPT),
            PrintJob.done_at >= printer.roll_at,
        )
    ).scalar_one()
    left = max(0, printer.roll_labels - int(used))
    return Roll(printer.roll_labels, left, left <= max(FEW, int(printer.roll_labels * LOW)), printer.roll_at)


def rolls(session: Session, printers: Sequence[Printer]) -> dict[int, Roll]:
    return {printer.id: found for printer in printers if (found := roll(session, printer)) is not None}


def days(session: Session, printer: Printer) -> list[tuple[date, int]]:
    """Labels printed on each of the last days, by the warehouse's clock, today first."""
    zone = ZoneInfo(session.get_one(Warehouse, printer.warehouse_id).timezone)
    today = now().astimezone(zone).date()
    counted = []
    for back in range(DAYS):
        day = today - timedelta(days=back)
        begins = datetime.combine(day, time.min, zone)
        ends = datetime.combine(day + timedelta(days=1), time.min, zone)
        printed = session.execute(
            select(func.coalesce(func.sum(PrintJob.copies), 0)).where(
                PrintJob.warehouse_id == printer.warehouse_id,
                PrintJob.printer_id == printer.id,
                PrintJob.state == PrintState.PRINTED,
                PrintJob.id >= first_id(begins - LONGEST_KEPT),
                PrintJob.id < first_id(ends),
                PrintJob.done_at >= begins,
                PrintJob.done_at < ends,
            )
        ).scalar_one()
        counted.append((day, int(printed)))
    return counted


def keep_told(session: Session, printer_id: int, state: str, told: dict[str, object] | None) -> Printer:
    """What a printer said when it was asked; what it told before stays when it says nothing."""
    printer = printer_of(session, actor_of(session).warehouse_id, printer_id)
    printer.state = state
    if told is not None:
        printer.told, printer.told_at, printer.seen_at = told, now(), now()
    return printer
