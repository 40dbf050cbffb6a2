"""Any shop that gives orders and takes shipments as files: an inbox to read, an outbox to add to."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from wms.connectors import ConnectorError, Grain, Pushed, Shipment, ShopOrder, setting
from wms.connectors.mappings import MAPPINGS
from wms.connectors.order_files import OrderFile, orders, read_table, recognise
from wms.connectors.tables import decode
from wms.errors import N_

ORDER_SUFFIXES = (".csv", ".txt", ".tsv", ".xlsx", ".xls")


@dataclass(frozen=True, slots=True)
class OutboxColumns:
    """The header a shop's upload page wants, and what of a shipment stands in each column."""

    headers: tuple[str, ...]
    fields: tuple[str, ...]


OUTBOXES: dict[str, OutboxColumns] = {
    "jd": OutboxColumns(("订单号", "物流公司", "运单号"), ("shop_order_no", "carrier_name", "waybill_no")),
    "tmall": OutboxColumns(("订单编号", "物流公司", "运单号"), ("shop_order_no", "carrier_name", "waybill_no")),
    "plain": OutboxColumns(
        ("order_no", "parcel_no", "carrier_code", "carrier", "waybill_no", "shipped_at", "key"),
        ("shop_order_no", "parcel_no", "carrier_code", "carrier_name", "waybill_no", "shipped_at", "key"),
    ),
}
OUTBOXES["online-retail"] = OUTBOXES["plain"]


@dataclass(slots=True)
class CsvPair:
    """Settings: ``inbox`` (a folder or one file), ``outbox`` (a CSV file), ``mapping`` (a name, or empty to
    recognise each file), ``stock`` (a CSV file, may be empty).

    Beside the outbox stands ``<outbox>.keys``: which parcel went with which waybill (R37). It stays when a
    person takes the outbox away to upload it.
    """

    inbox: Path
    outbox: Path
    mapping: str = ""
    stock: Path | None = None
    grain: Grain = "package"
    unread: dict[str, ConnectorError] = field(default_factory=dict)
    """Files of the last ``fetch_orders`` that could not be read; they never stop the others."""
    files: dict[str, OrderFile] = field(default_factory=dict)
    """What the last ``fetch_orders`` read, with every problem."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> CsvPair:
        mapping = str(settings.get("mapping") or "")
        if mapping and mapping not in MAPPINGS:
            raise ConnectorError(
                permanent=True,
                reason="unknown_mapping",
                message=N_("There is no column mapping named %(name)s."),
                facts={"name": mapping},
            )
        stock = str(settings.get("stock") or "")
        return cls(
            inbox=Path(setting(settings, "inbox")),
            outbox=Path(setting(settings, "outbox")),
            mapping=mapping,
            stock=Path(stock) if stock else None,
        )

    # In

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        """Every order of every file, the older files first.

        ``since`` is not used: a copied file keeps its old time, and storing an order twice changes nothing.
        """
        self.unread, self.files = {}, {}
        for path in self._inbox_files():
            try:
                found = self._read(path)
            except ConnectorError as error:
                self.unread[path.name] = error
                continue
            self.files[path.name] = found
            yield from found.orders

    def order_state(self, shop_order_no: str) -> str:
        """The state in the newest file that names the order."""
        for path in reversed(self._inbox_files()):
            with contextlib.suppress(ConnectorError):
                for order in self._read(path).orders:
                    if order.shop_order_no == shop_order_no:
                        return order.state
        raise ConnectorError(
            permanent=True,
            reason="order_unknown",
            message=N_("No file in the inbox names order %(order)s."),
            facts={"order": shop_order_no},
        )

    def _inbox_files(self) -> list[Path]:
        try:
            if self.inbox.is_file():
                return [self.inbox]
            found = [
                (path.stat().st_mtime_ns, path.name, path)
                for path in self.inbox.iterdir()
                if path.suffix.lower() in ORDER_SUFFIXES and path.name[0] not in ".~" and path.is_file()
            ]
        except OSError as error:
            raise self._no_access(self.inbox) from error
        return [path for _, _, path in sorted(found)]

    def _read(self, path: Path) -> OrderFile:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise self._no_access(path) from error
        table = read_table(content, path.name)
        name = self.mapping or recognise(table.headers)
        if name is None:
            raise ConnectorError(
                permanent=True,
                reason="unknown_columns",
                message=N_("The columns of %(file)s are of no shop that is known: %(columns)s."),
                facts={"file": path.name, "columns": ", ".join(table.headers[:12])},
            )
        return orders(table, MAPPINGS[name])

    # Out

    def push_shipment(self, shipment: Shipment) -> Pushed:
        """Add the parcel's row to the outbox, once for its key however often it is asked.

        The row is written before its key. A process killed between the two finds its own row again.
        """
        evidence = {
            "order": shipment.shop_order_no,
            "parcel": shipment.parcel_no,
            "waybill": shipment.waybill_no,
            "file": self.outbox.name,
        }
        columns = OUTBOXES[self.mapping or "plain"]
        try:
            with self._locked(self.outbox):
                known = self._keys()
                if shipment.key in known:
                    before = known[shipment.key]
                    if before != shipment.waybill_no:
                        return Pushed(
                            "conflict",
                            N_("Parcel %(parcel)s was already sent with waybill %(before)s, not %(waybill)s."),
                            {**evidence, "before": before},
                        )
                    return Pushed("acknowledged", N_("%(file)s has waybill %(waybill)s already."), evidence)
                row = [_cell(_text(shipment, name)) for name in columns.fields]
                if row not in (rows := self._outbox_rows(columns)):
                    _write(self.outbox, [list(columns.headers), *rows, row])
                self._add_key(shipment)
        except OSError as error:
            raise self._no_access(self.outbox) from error
        return Pushed("acknowledged", N_("Waybill %(waybill)s was written to %(file)s."), evidence)

    def push_stock(self, sku: str, qty: int) -> None:
        """Set the item's row in the stock file; nothing where no such file is wanted."""
        if self.stock is None:
            return
        try:
            with self._locked(self.stock):
                rows = _rows(self.stock, ["sku", "qty"])
                kept = [row for row in rows if row[:1] != [_cell(sku)]]
                _write(self.stock, [["sku", "qty"], *kept, [_cell(sku), str(qty)]])
        except OSError as error:
            raise self._no_access(self.stock) from error

    def _outbox_rows(self, columns: OutboxColumns) -> list[list[str]]:
        return _rows(self.outbox, list(columns.headers))

    @property
    def _keys_path(self) -> Path:
        return self.outbox.with_name(self.outbox.name + ".keys")

    def _keys(self) -> dict[str, str]:
        """Key → waybill. A last line without its end was cut by a crash and does not count."""
        try:
            content = self._keys_path.read_bytes()
        except FileNotFoundError:
            return {}
        lines = content[: content.rfind(b"\n") + 1].splitlines()
        try:
            return {one["key"]: one["waybill"] for one in map(json.loads, lines)}
        except (ValueError, KeyError, TypeError) as error:
            # Without it a parcel could be sent twice: a person looks before the next one goes.
            raise ConnectorError(
                permanent=True,
                reason="damaged_keys",
                message=N_("%(file)s is damaged. It says what was sent; bring it back from the backup."),
                facts={"file": self._keys_path.name},
            ) from error

    def _add_key(self, shipment: Shipment) -> None:
        said = {"key": shipment.key, "waybill": shipment.waybill_no, "order": shipment.shop_order_no}
        line = json.dumps(said).encode("ascii") + b"\n"
        with self._keys_path.open("r+b" if self._keys_path.exists() else "w+b") as file:
            content = file.read()
            file.seek(content.rfind(b"\n") + 1)
            file.write(line)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(self._keys_path.parent)

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """One writer at a time, among all processes; a killed one leaves no lock behind."""
        with path.with_name(f".{path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _no_access(self, path: Path) -> ConnectorError:
        return ConnectorError(
            permanent=False,
            reason="no_access",
            message=N_("%(file)s cannot be read or written. Check the folder and the disk."),
            facts={"file": path.name},
        )


def _text(shipment: Shipment, name: str) -> str:
    value = getattr(shipment, name)
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def _cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula, on one line."""
    text = re.sub(r"[\x00-\x1f]+", " ", text).strip()
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def _rows(path: Path, headers: list[str]) -> list[list[str]]:
    """The rows below the header of a file of ours; ConnectorError when it is somebody else's."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    if not content.strip(b"\xef\xbb\xbf \t\r\n"):
        return []
    # A person may have opened it in Excel and saved it in the encoding of the country.
    text, _, _ = decode(content, path.name)
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if any(row)]
    if rows[0] != headers:
        raise ConnectorError(
            permanent=True,
            reason="other_columns",
            message=N_("%(file)s has other columns than this shop wants. Move it away; a new one is made."),
            facts={"file": path.name},
        )
    return rows[1:]


def _write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """The whole file in one step: whoever reads it sees the old one or the new one (with BOM, for Excel)."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.getvalue().encode("utf-8-sig"))
            file.flush()
            os.fsync(file.fileno())
        part.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
