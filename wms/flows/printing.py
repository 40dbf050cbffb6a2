"""Printers, stations and the print queue at the desk: retry, cancel, move, and "did it come out?" (R35)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from ipaddress import ip_address, ip_network
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, defer

from wms import components, journal, labels, print_lease
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, ChangedMeanwhile, NotFound, Refusal, term
from wms.journal import advance
from wms.models import (
    Parcel,
    ParcelState,
    Printer,
    PrinterLanguage,
    PrintJob,
    PrintState,
    Station,
    StationAgent,
    StationPrinter,
    new_id,
)

S = PrintState
STEPS = {
    S.QUEUED: {S.CANCELLED},
    S.WAITING: {S.QUEUED, S.CANCELLED},
    S.FAILED: {S.QUEUED, S.CANCELLED},
    S.EXPIRED: {S.QUEUED, S.CANCELLED},
    S.CANCELLED: {S.QUEUED},
    S.UNKNOWN: {S.PRINTED, S.QUEUED},
}
"""What a person may do with a job. One that is being sent, or lies in the printer, belongs to the queue until
it says what became of it: what lies in a printer comes out by itself."""

MAY_RETRY = (S.WAITING, S.FAILED, S.EXPIRED, S.CANCELLED)
MAY_CANCEL = (S.QUEUED, S.WAITING, S.FAILED, S.EXPIRED)
MAY_MOVE = (S.QUEUED, S.WAITING, S.FAILED, S.EXPIRED)
TO_ASK = (S.UNKNOWN,)
UNFINISHED = (S.QUEUED, S.WAITING, S.SENDING, S.HELD, S.UNKNOWN, S.FAILED)
DPIS = (203, 300, 600)
GRAPHICS = ("z64", "hex")
WIDEST_GAP_MM = 25
SCHEMES = ("tcp", "file", "memory", "os", "agent", *components.PROVIDERS)
PORT = 9100
_CODE = re.compile(r"^[A-Z0-9][A-Z0-9._-]{0,30}$")


class LabelIsVoid(Refusal):
    """R33: the number is out of use for good, so its label must not come out any more."""

    message = N_("This label is void. Pack parcel %(parcel)s again for a new one.")
    answer = "look"


class AskFirst(Refusal):
    message = N_("Nobody knows whether this label came out. Look at the printer, then answer the question.")
    answer = "look"


class OtherDpi(Refusal):
    message = N_("This label was drawn for %(needed)s dpi; %(printer)s prints %(loaded)s dpi. Choose another printer.")
    answer = "look"


class BadCode(Refusal):
    message = N_("A code is 1 to 31 letters, digits, dots or dashes. %(entered)s is not.")


class CodeTaken(Refusal):
    message = N_("The code %(code)s is already used.")


class BadAddress(Refusal):
    message = N_(
        "%(entered)s is not a printer's address. Write tcp://192.168.1.20:9100, os://queue, agent://AGENT/os/queue, "
        "agent://AGENT/tcp/192.168.1.20:9100, cainiao://STATION/printer, file:///folder or memory://name."
    )


class NoSuchAgent(Refusal):
    message = N_("There is no station agent %(code)s. Add it first.")
    answer = "look"


class HostNotFound(Refusal):
    message = N_("The network does not know the name %(host)s. Write the printer's number address instead.")
    answer = "look"


class OutsideNetworks(Refusal):
    """A printer's address must not become a way to talk to the rest of the world."""

    message = N_(
        "%(host)s (%(address)s) is outside the printer networks: %(networks)s. "
        "Whoever looks after the server widens them with WMS_PRINTER_NETWORKS."
    )


class BadLanguage(Refusal):
    message = N_("%(entered)s is no printer language. Choose ZPL or TSPL.")


class NoSuchStation(Refusal):
    message = N_("There is no station %(station)s. Add the station first, then its printer.")
    answer = "look"


class StationHasOne(Refusal):
    """Which of two should a platform's waybill take? So a station has one printer for each platform."""

    message = N_("Station %(station)s already has printer %(printer)s for waybills of this platform.")
    answer = "look"


class PlatformWaybillsOnly(Refusal):
    message = N_(
        "%(printer)s prints platform waybills only, and its address already names its station. "
        "Choose a printer for the other labels."
    )
    answer = "look"


class BadMedia(Refusal):
    message = N_("Width and height of the labels are whole millimetres from 20 to 300; dots per inch 203, 300 or 600.")


class BadGap(Refusal):
    message = N_(
        "The gap between two labels is 0 to %(most)s mm: 0 is paper without gaps. A black mark is at least 1 mm high."
    )


def _job(session: Session, warehouse_id: int, job_id: int) -> PrintJob:
    job = session.execute(
        select(PrintJob)
        .where(PrintJob.warehouse_id == warehouse_id, PrintJob.id == job_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if job is None:
        raise NotFound(what=term("The print job"))
    return job


def _require(job: PrintJob, states: Sequence[PrintState]) -> None:
    if job.state in TO_ASK and job.state not in states:
        raise AskFirst()
    if job.state not in states:
        raise ChangedMeanwhile(what=job.title or job.kind)


def _queue_again(session: Session, job: PrintJob) -> None:
    """The same bytes go out again, fresh for as long as a new job would be (R33, R35)."""
    if job.document == Parcel.__tablename__:
        parcel = session.get(Parcel, (job.warehouse_id, job.document_id))
        if parcel is not None and parcel.state is ParcelState.VOID:
            raise LabelIsVoid(parcel=parcel.code)
    advance(session, job, S.QUEUED, STEPS)
    at = now()
    job.reason, job.base_odometer, job.done_at, job.next_at = "", None, None, at
    job.expires_at = at + labels.KEEPS["waybill" if job.kind == "waybill" else "label"]


def retry(session: Session, warehouse_id: int, job_id: int) -> PrintJob:
    """Print a job that is known not to have come out."""
    job = _job(session, warehouse_id, job_id)
    _require(job, MAY_RETRY)
    _queue_again(session, job)
    return job


def cancel(session: Session, warehouse_id: int, job_id: int) -> PrintJob:
    job = _job(session, warehouse_id, job_id)
    _require(job, MAY_CANCEL)
    advance(session, job, S.CANCELLED, STEPS)
    job.done_at, job.reason = now(), "by_hand"
    return job


def move(session: Session, warehouse_id: int, job_id: int, printer_id: int) -> PrintJob:
    """Send a job to another printer of the same language, media and dots: the bytes were drawn for them."""
    job = _job(session, warehouse_id, job_id)
    _require(job, MAY_MOVE)
    printer = printer_of(session, warehouse_id, printer_id)
    before = printer_of(session, warehouse_id, job.printer_id)
    labels.check_language(job, printer)
    if printer.dpi != job.dpi and not components.is_component(printer.uri):
        raise OtherDpi(needed=job.dpi, printer=printer.name, loaded=printer.dpi)
    same = (printer.width_mm, printer.height_mm) == (job.width_mm, job.height_mm)
    if not same and (job.kind == "waybill" or printer.width_mm < job.width_mm or printer.height_mm < job.height_mm):
        raise labels.WrongMedia(
            printer=printer.name,
            loaded=f"{printer.width_mm}×{printer.height_mm}",
            needed=f"{job.width_mm}×{job.height_mm}",
        )
    journal.note(session, job, "printer", before.code, printer.code)
    job.printer_id = printer.id
    _queue_again(session, job)
    return job


def came_out(session: Session, warehouse_id: int, job_id: int, yes: bool) -> PrintJob:
    """R35: a person looked at the printer. Yes ends the job; no prints it again."""
    job = _job(session, warehouse_id, job_id)
    _require(job, TO_ASK)
    if yes:
        advance(session, job, S.PRINTED, STEPS)
        job.done_at, job.reason = now(), "seen_by_hand"
    else:
        _queue_again(session, job)
    return job


def jobs(
    session: Session, warehouse_id: int, states: Sequence[PrintState], limit: int
) -> list[tuple[PrintJob, Printer]]:
    """Jobs with their printer, those a person must look at first, without their bytes."""
    return [
        (row[0], row[1])
        for row in session.execute(
            select(PrintJob, Printer)
            .join(Printer, (Printer.warehouse_id == PrintJob.warehouse_id) & (Printer.id == PrintJob.printer_id))
            .where(PrintJob.warehouse_id == warehouse_id, PrintJob.state.in_(states))
            .options(defer(PrintJob.payload))
            .order_by(case((PrintJob.state.in_(TO_ASK), 0), else_=1), PrintJob.id.desc())
            .limit(limit)
        )
    ]


def printers(session: Session, warehouse_id: int) -> list[Printer]:
    return list(
        session.execute(select(Printer).where(Printer.warehouse_id == warehouse_id).order_by(Printer.code)).scalars()
    )


def waiting(session: Session, warehouse_id: int) -> dict[tuple[int, PrintState], int]:
    """Unfinished jobs by printer and state."""
    return {
        (printer_id, state): int(count)
        for printer_id, state, count in session.execute(
            select(PrintJob.printer_id, PrintJob.state, func.count())
            .where(PrintJob.warehouse_id == warehouse_id, PrintJob.state.in_(UNFINISHED))
            .group_by(PrintJob.printer_id, PrintJob.state)
        )
    }


def stations(session: Session, warehouse_id: int) -> list[Station]:
    return list(
        session.execute(select(Station).where(Station.warehouse_id == warehouse_id).order_by(Station.code)).scalars()
    )


def printer_of(session: Session, warehouse_id: int, printer_id: int) -> Printer:
    printer = session.get(Printer, (warehouse_id, printer_id))
    if printer is None:
        raise NotFound(what=term("The printer"))
    return printer


def how(printer: Printer, unattended: Collection[int] = ()) -> tuple[str, str]:
    """How a printer is (paused, online, unknown, offline, stopped) and the word for its trouble, or nothing.

    ``unattended``: printers whose station agent is away.
    """
    if printer.paused:
        return "paused", ""
    if printer.id in unattended:
        return "offline", "agent_away"
    # A component prints only while a packing page is open; one whose component is away says so and holds no lease.
    served = printer.leased_until is not None and printer.leased_until > now()
    if components.is_component(printer.uri) and not served and not printer.state.startswith("component_"):
        return "offline", "no_page"
    if printer.state in ("", "ready", "online", "printed"):
        return "online", ""
    if printer.state == "unknown":
        return "unknown", ""
    return ("offline" if printer.state == "offline" else "stopped"), printer.state


def pause(session: Session, warehouse_id: int, printer_id: int, paused: bool) -> Printer:
    """Nothing is sent to a paused printer; its jobs wait in order."""
    printer = printer_of(session, warehouse_id, printer_id)
    if printer.paused != paused:
        journal.note(session, printer, "paused", printer.paused, paused)
        printer.paused = paused
    return printer


def host_of(uri: str) -> str:
    """The host name a printer's address wants looked up, or nothing."""
    try:
        parts = urlsplit(uri.strip())
        return (parts.hostname or "") if parts.scheme == "tcp" else ""
    except ValueError:
        return ""


def check_address(uri: str, addresses: Sequence[str], networks: Sequence[str]) -> str:
    """The address as it is stored. ``addresses`` are what the host name stood for when it was looked up just now."""
    uri = uri.strip()
    if components.is_component(uri):
        return _of_component(uri)
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadAddress(entered=uri[:60] or "—") from error
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if len(uri) > 200 or parts.scheme not in SCHEMES or not plain:
        raise BadAddress(entered=uri[:60] or "—")
    if parts.scheme == "file":
        folder = unquote(parts.path)
        if parts.netloc not in ("", "localhost") or not folder.startswith("/") or ".." in folder.split("/"):
            raise BadAddress(entered=uri[:60])
        return uri
    if parts.scheme == "memory":
        if not parts.netloc:
            raise BadAddress(entered=uri[:60])
        return uri
    if parts.scheme == "os":
        return f"os://{_queue(uri.partition('://')[2], uri)}"
    if parts.scheme == "agent":
        return _behind_an_agent(uri)
    if not host or parts.path not in ("", "/"):
        raise BadAddress(entered=uri[:60])
    if not addresses:
        raise HostNotFound(host=host)
    allowed = [ip_network(network, strict=False) for network in networks]
    for address in addresses:
        number = ip_address(address.partition("%")[0])
        if not any(number.version == network.version and number in network for network in allowed):
            raise OutsideNetworks(host=host, address=address, networks=", ".join(networks))
    shown = f"[{host}]" if ":" in host else host
    return f"tcp://{shown}:{port or PORT}"


def _of_component(uri: str) -> str:
    whole = components.parse(uri)
    if whole is None or len(uri) > 200:
        raise BadAddress(entered=uri[:60])
    return str(whole)


def _queue(written: str, uri: str) -> str:
    """The name of a queue as it stands in an address: what is no plain letter is %-encoded."""
    name = unquote(written)
    if not name.strip() or len(name) > 120 or not name.isprintable() or name.startswith("-"):
        raise BadAddress(entered=uri[:60])
    return quote(name, safe="")


def _behind_an_agent(uri: str) -> str:
    """agent://CODE/os/queue or agent://CODE/tcp/host:port; agent://CODE/queue is short for the first.

    The host is looked up on the agent's side, which has its own WMS_PRINTER_NETWORKS.
    """
    code, _, rest = uri.partition("://")[2].partition("/")
    code = code.upper()
    kind, slash, where = rest.partition("/")
    if not slash:
        kind, where = "os", rest
    if not _CODE.match(code):
        raise BadAddress(entered=uri[:60])
    if kind == "os":
        return f"agent://{code}/os/{_queue(where, uri)}"
    try:
        parts = urlsplit(f"tcp://{where}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadAddress(entered=uri[:60]) from error
    if kind != "tcp" or not host or parts.path not in ("", "/"):
        raise BadAddress(entered=uri[:60])
    return f"agent://{code}/tcp/{f'[{host}]' if ':' in host else host}:{port or PORT}"


def save_printer(
    session: Session,
    printer_id: int | None,
    *,
    code: str,
    name: str,
    uri: str,
    dpi: int,
    width_mm: int,
    height_mm: int,
    answers: bool = True,
    trusted: bool = False,
    language: str = PrinterLanguage.ZPL,
    gap_mm: int = 2,
    black_mark: bool = False,
    graphics: str = "z64",
) -> Printer:
    """Add a printer, or change one. ``uri`` must have passed ``check_address``. Media in mm; language zpl or tspl.

    ``gap_mm`` lies between two labels, 0 on paper without gaps; with ``black_mark`` it is the height of the mark.
    """
    warehouse_id = actor_of(session).warehouse_id
    code = code.strip().upper()
    if not _CODE.match(code):
        raise BadCode(entered=code[:40] or "—")
    if dpi not in DPIS or not (20 <= width_mm <= 300 and 20 <= height_mm <= 300):
        raise BadMedia()
    if uri.startswith("agent:") and not _is_agent(session, warehouse_id, uri.split("/")[2]):
        raise NoSuchAgent(code=uri.split("/")[2])
    whole = components.parse(uri)
    if whole is not None:
        language = whole.provider
        _check_station(session, warehouse_id, printer_id, whole)
    elif language in components.PROVIDERS or language not in list(PrinterLanguage):
        raise BadLanguage(entered=language[:40] or "—")
    if not (1 if black_mark else 0) <= gap_mm <= WIDEST_GAP_MM or graphics not in GRAPHICS:
        raise BadGap(most=WIDEST_GAP_MM)
    speaks = PrinterLanguage(language)
    same_code = session.execute(
        select(Printer.id).where(Printer.warehouse_id == warehouse_id, Printer.code == code)
    ).scalar_one_or_none()
    if same_code is not None and same_code != printer_id:
        raise CodeTaken(code=code)
    told = (
        f"{uri} {speaks} {dpi} dpi {width_mm}×{height_mm} mm {'mark' if black_mark else 'gap'} {gap_mm} mm {graphics}"
        f"{' trusted' if trusted else ''}"
    )
    if printer_id is None:
        printer = Printer(
            warehouse_id=warehouse_id,
            id=new_id(),
            code=code,
            name=name.strip()[:80] or code,
            uri=uri,
            dpi=dpi,
            width_mm=width_mm,
            height_mm=height_mm,
            answers=answers,
            trusted=trusted,
            language=speaks,
            gap_mm=gap_mm,
            black_mark=black_mark,
            graphics=graphics,
        )
        session.add(printer)
        session.flush()
        journal.note(session, printer, "added", "", told)
        return printer
    printer = printer_of(session, warehouse_id, printer_id)
    before = (
        f"{printer.uri} {printer.language} {printer.dpi} dpi {printer.width_mm}×{printer.height_mm} mm "
        f"{'mark' if printer.black_mark else 'gap'} {printer.gap_mm} mm {printer.graphics}"
        f"{' trusted' if printer.trusted else ''}"
    )
    if before != told:
        printer.state = "unknown"
    printer.code, printer.name, printer.uri = code, name.strip()[:80] or code, uri
    printer.dpi, printer.width_mm, printer.height_mm, printer.answers = dpi, width_mm, height_mm, answers
    printer.language, printer.trusted = speaks, trusted
    printer.gap_mm, printer.black_mark, printer.graphics = gap_mm, black_mark, graphics
    session.flush()
    journal.note(session, printer, "changed", before, told)
    return printer


def _is_agent(session: Session, warehouse_id: int, code: str) -> bool:
    return (
        session.execute(
            select(StationAgent.id).where(StationAgent.warehouse_id == warehouse_id, StationAgent.code == code)
        ).first()
        is not None
    )


def _check_station(session: Session, warehouse_id: int, printer_id: int | None, whole: components.Address) -> None:
    """A component's printer stands at a station that exists, and is the only one there of its platform."""
    known = session.execute(
        select(Station.id).where(Station.warehouse_id == warehouse_id, Station.code == whole.station)
    ).first()
    if known is None:
        raise NoSuchStation(station=whole.station)
    for other, _where in print_lease.component_printers(session, warehouse_id, whole.station):
        if other.id != printer_id and other.language.value == whole.provider:
            raise StationHasOne(station=whole.station, printer=other.name)


def save_station(
    session: Session,
    station_id: int | None,
    *,
    code: str,
    name: str,
    waybill_printer_id: int | None,
    label_printer_id: int | None,
    by_kind: Mapping[str, int | None] | None = None,
) -> Station:
    """Add a packing station, or change one and its printers.

    ``by_kind`` names a printer for a kind of label that comes out elsewhere, None for the usual one; kinds that it
    does not name stay as they are.
    """
    warehouse_id = actor_of(session).warehouse_id
    code = code.strip().upper().removeprefix("S-")
    if not _CODE.match(code):
        raise BadCode(entered=code[:40] or "—")
    chosen = []
    for number in (waybill_printer_id, label_printer_id):
        printer = printer_of(session, warehouse_id, number) if number else None
        if printer is not None and components.is_component(printer.uri):
            raise PlatformWaybillsOnly(printer=printer.name)
        chosen.append(printer.code if printer else "—")
    same_code = session.execute(
        select(Station.id).where(Station.warehouse_id == warehouse_id, Station.code == code)
    ).scalar_one_or_none()
    if same_code is not None and same_code != station_id:
        raise CodeTaken(code=code)
    if station_id is None:
        station = Station(warehouse_id=warehouse_id, id=new_id(), code=code, name=name.strip()[:80] or code)
        session.add(station)
    else:
        found = session.get(Station, (warehouse_id, station_id))
        if found is None:
            raise NotFound(what=term("The station"))
        station = found
        for printer, whole in print_lease.component_printers(session, warehouse_id, station.code):
            printer.uri = str(components.Address(whole.provider, code, whole.printer))
        station.code, station.name = code, name.strip()[:80] or code
    station.waybill_printer_id, station.label_printer_id = waybill_printer_id, label_printer_id
    session.flush()
    chosen += [f"{kind}: {code}" for kind, code in _by_kind(session, station, by_kind or {}).items()]
    journal.note(session, station, "added" if station_id is None else "changed", "", " · ".join(chosen))
    return station


def _by_kind(session: Session, station: Station, wanted: Mapping[str, int | None]) -> dict[str, str]:
    """Keep the printers of single kinds of labels; what was named, by its printer's code."""
    named = {}
    for kind in labels.KINDS:
        if kind not in wanted:
            continue
        has, printer_id = session.get(StationPrinter, (station.warehouse_id, station.id, kind)), wanted[kind]
        if printer_id is None:
            if has is not None:
                session.delete(has)
            continue
        named[kind] = printer_of(session, station.warehouse_id, printer_id).code
        if has is None:
            session.add(
                StationPrinter(
                    warehouse_id=station.warehouse_id, station_id=station.id, kind=kind, printer_id=printer_id
                )
            )
        else:
            has.printer_id = printer_id
    session.flush()
    return named


def by_kind(session: Session, warehouse_id: int) -> dict[int, dict[str, int]]:
    """Of each station the printers that were named for single kinds of labels."""
    found: dict[int, dict[str, int]] = {}
    for row in session.execute(select(StationPrinter).where(StationPrinter.warehouse_id == warehouse_id)).scalars():
        found.setdefault(row.station_id, {})[row.kind] = row.printer_id
    return found
