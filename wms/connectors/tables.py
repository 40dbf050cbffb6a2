"""A file to a table of text: any encoding, any separator, Excel too; a clear no to the rest. Pure."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

from python_calamine import CalamineWorkbook

from wms.connectors import ConnectorError
from wms.connectors.mappings import fit
from wms.errors import N_

MAX_BYTES = 64 * 1024 * 1024
MAX_CELLS = 4_000_000
MAX_ROWS = 500_000
# A quote that nobody closes would swallow the rest of the file; no real cell has more lines than this.
MAX_CELL_LINES = 100
HEADER_WITHIN_ROWS = 10

Effect = Literal["note", "hold", "skip", "row"]


class FileError(ConnectorError):
    """Bytes that hold no table of orders; ``message`` says why and what to do."""

    def __init__(self, reason: str, message: str, **facts: Any) -> None:
        super().__init__(permanent=True, reason=reason, message=message, facts=facts)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a seller wants to know about a row or an order.

    ``effect``: *note* nothing changes; *hold* the order waits for a person; *skip* nothing of the order
    is to be shipped; *row* this row was left out.
    """

    row_no: int | None
    order_no: str
    kind: str
    words: str
    facts: dict[str, Any] = field(default_factory=dict)
    effect: Effect = "note"

    @property
    def text(self) -> str:
        return self.words % self.facts


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the spreadsheet numbers it (the first row of the file is 1)."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    headers: tuple[str, ...]
    rows: tuple[Row, ...]
    encoding: str
    delimiter: str
    problems: tuple[Problem, ...] = ()


_PICTURES = (
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"%PDF", "PDF"),
)


def read_table(data: bytes, filename: str, encoding: str | None = None) -> Table:
    """The table in these bytes, whatever program wrote them; FileError when there is none."""
    if not data.strip(b"\x00\t\r\n \xef\xbb\xbf\xff\xfe"):
        raise FileError("empty", N_("The file %(file)s is empty."), file=filename)
    if len(data) > MAX_BYTES:
        raise FileError(
            "too_big",
            N_("The file %(file)s is larger than %(most)s MB. Export fewer days at a time."),
            file=filename,
            most=MAX_BYTES // 1024 // 1024,
        )
    if data[:4] == b"PK\x03\x04" or data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        return _read_workbook(data, filename)
    _refuse_what_is_no_table(data, filename)
    text, used, lossy = decode(data, filename, encoding)
    return _read_text(text, used, filename, lossy)


def _refuse_what_is_no_table(data: bytes, filename: str) -> None:
    kind = next((kind for magic, kind in _PICTURES if data.startswith(magic)), "")
    if data.startswith(b"BM") and b"\x00" in data[:14]:
        kind = "BMP"  # "BM" alone also opens an honest header
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "WEBP"
    if kind:
        raise FileError(
            "picture",
            N_("%(file)s is a picture or document (%(kind)s). Choose the exported CSV or Excel file."),
            file=filename,
            kind=kind,
        )
    head = data[:2000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype", b"<html", b"<table", b"<?xml", b"<meta", b"<head")):
        raise FileError(
            "web_page",
            N_("%(file)s is a web page with another name. Open it in Excel and save it as xlsx or CSV."),
            file=filename,
        )


def decode(data: bytes, filename: str, encoding: str | None = None) -> tuple[str, str, int]:
    """Text, its encoding, and how many letters could not be read; FileError for what is no text."""
    text, used, lost = _decode(data, filename, encoding)
    sample = text[:20_000]
    odd = sum(1 for letter in sample if unicodedata.category(letter) == "Cc" and letter not in "\t\r\n\x0b\x0c")
    if odd > len(sample) // 200:
        raise FileError(
            "not_text", N_("%(file)s is not a table. Choose the exported CSV or Excel file."), file=filename
        )
    return text, used, lost


def _decode(data: bytes, filename: str, encoding: str | None) -> tuple[str, str, int]:
    if encoding:
        try:
            text = data.decode(encoding, "replace")
        except LookupError:
            raise FileError("encoding", N_("%(name)s is not an encoding."), file=filename, name=encoding) from None
        return text.removeprefix("\ufeff"), encoding, text.count("\ufffd")
    if data.startswith(b"\xef\xbb\xbf"):
        text = data[3:].decode("utf-8", "replace")
        return text, "utf-8-sig", text.count("\ufffd")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
        return text, "utf-16", text.count("\ufffd")
    start = data[:400]
    for name, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[0::2])):
        # Every second byte zero: UTF-16 without its mark, at least where the header holds Latin letters.
        if zeros and zeros.count(0) > len(zeros) // 3:
            text = data.decode(name, "replace")
            return text, name, text.count("\ufffd")
    for name in ("utf-8", "gb18030"):
        try:
            return data.decode(name), name, 0
        except UnicodeDecodeError:
            continue
    # Exports cut long cells in the middle of a Chinese character: a few broken letters change nothing.
    tries = [(data.decode(name, "replace"), name) for name in ("utf-8", "gb18030")]
    text, name = min(tries, key=lambda one: one[0].count("\ufffd"))
    lost = text.count("\ufffd")
    if lost <= max(3, len(text) // 500):
        return text, name, lost
    return data.decode("cp1252", "replace"), "cp1252", 0


def _read_text(text: str, encoding: str, filename: str, lossy: int) -> Table:
    best: Table | None = None
    best_score = (-1, -1)
    for delimiter in ",\t;|":
        head = [record.cells for record in _records(text, delimiter, limit=HEADER_WITHIN_ROWS)]
        at = _header_at(head)
        score = (
            max((fit(row)[1] for row in head), default=0),
            len([cell for cell in head[at] if cell]) if at is not None else 0,
        )
        if score > best_score:
            best_score = score
            best = Table((), (), encoding, delimiter)
    assert best is not None
    problems: list[Problem] = []
    rows: list[Row] = []
    for record in _records(text, best.delimiter):
        if record.broken:
            problems.append(
                Problem(
                    record.number,
                    "",
                    "open_quote",
                    N_("Row %(row)s opens a quotation mark and never closes it. It was read as it stands."),
                    {"row": record.number},
                )
            )
        if len(rows) >= MAX_ROWS:
            raise FileError(
                "too_big",
                N_("The file %(file)s has more than %(most)s rows. Export fewer days at a time."),
                file=filename,
                most=MAX_ROWS,
            )
        rows.append(Row(record.number, record.cells))
    if lossy:
        bad = next((row.number for row in rows if any("\ufffd" in cell for cell in row.cells)), None)
        problems.append(
            Problem(
                bad,
                "",
                "unreadable_letters",
                N_("%(count)s letters could not be read, the first in row %(row)s. The file may be damaged."),
                {"count": lossy, "row": bad},
            )
        )
    return _table(rows, encoding, best.delimiter, filename, problems)


@dataclass(frozen=True, slots=True)
class _Record:
    number: int
    cells: tuple[str, ...]
    broken: bool


def _records(text: str, delimiter: str, limit: int | None = None) -> Iterator[_Record]:
    """Records of a CSV text, cleaned; a quote left open costs its own line only."""
    lines = io.StringIO(text, newline="").readlines() if limit is None else _first_lines(text, limit)
    at = 0
    number = 0
    while at < len(lines):
        if limit is not None and number >= limit:
            return
        number += 1
        chunk = lines[at : at + MAX_CELL_LINES]
        reader = csv.reader(iter(chunk), delimiter=delimiter)
        try:
            cells: Sequence[str] = next(reader)
            used = reader.line_num
            broken = used > 1 and used == len(chunk) and _left_open(chunk, delimiter)
        except (csv.Error, StopIteration):
            cells, used, broken = (), 1, True
        if broken:
            cells, used = lines[at].rstrip("\r\n").replace('"', "").split(delimiter), 1
        at += used
        yield _Record(number, tuple(_clean(cell) for cell in cells), broken)


def _first_lines(text: str, records: int) -> list[str]:
    source = io.StringIO(text[:200_000], newline="")
    return [line for line, _ in zip(source, range(records * 20), strict=False)]


def _left_open(chunk: list[str], delimiter: str) -> bool:
    try:
        list(csv.reader(iter(chunk), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


_AS_TEXT = re.compile(r'^=\s*"(.*)"$', re.S)
_INVISIBLE = dict.fromkeys([0xFEFF, 0x200B, 0x200E, 0x200F, 0x2060])


def _clean(cell: str) -> str:
    """What the cell means: exports write ="123", '123 and 123<tab> so that Excel keeps long numbers whole."""
    cell = cell.translate(_INVISIBLE).replace("\x00", "").strip()
    found = _AS_TEXT.match(cell)
    if found:
        cell = found.group(1).replace('""', '"').strip()
    if len(cell) > 1 and cell[0] in "'’‘`" and (cell[1].isdigit() or cell[1] in "=+-@"):
        cell = cell[1:].strip()
    return cell


_CELL_REF = re.compile(rb'\sr="([A-Z]{0,4})(\d{1,9})"')


def read_column(data: bytes, filename: str, names: Sequence[str]) -> list[tuple[int, str]]:
    """The filled cells of one column with their row numbers, for lists that need no header; FileError for no table.

    The column is the one under a header among ``names``; without such a header it is the first one, whole.
    """
    if not data.strip(b"\x00\t\r\n \xef\xbb\xbf\xff\xfe"):
        raise FileError("empty", N_("The file %(file)s is empty."), file=filename)
    if data[:4] == b"PK\x03\x04" or data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        rows = _filled_sheets(data, filename)[0]
    else:
        _refuse_what_is_no_table(data, filename)
        text, _used, _lost = decode(data, filename)
        head = text[:20_000]
        delimiter = max(",\t;|", key=head.count)
        rows = [Row(record.number, record.cells) for record in _records(text, delimiter)]
    wanted = {_plain(name) for name in names}
    for at, row in enumerate(rows[:HEADER_WITHIN_ROWS]):
        for column, cell in enumerate(row.cells):
            if _plain(cell) in wanted:
                return [
                    (r.number, r.cells[column]) for r in rows[at + 1 :] if len(r.cells) > column and r.cells[column]
                ]
    return [(row.number, row.cells[0]) for row in rows if row.cells and row.cells[0]]


def _plain(name: str) -> str:
    return re.sub(r"[\s_()（）/]+", "", name).lower()


def _read_workbook(data: bytes, filename: str) -> Table:
    filled = _filled_sheets(data, filename)
    best = max(filled, key=lambda rows: max(fit(row.cells)[1] for row in rows[:HEADER_WITHIN_ROWS]))
    return _table(best, "xlsx" if data[:2] == b"PK" else "xls", "", filename, [])


def _filled_sheets(data: bytes, filename: str) -> list[list[Row]]:
    """The rows of each sheet that holds anything; FileError for what is no workbook."""
    if data[:2] == b"PK":
        _check_workbook(data, filename)
    elif b"E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e" in data:
        raise FileError("locked", N_("%(file)s is protected by a password. Save it without one."), file=filename)
    sheets: list[list[Row]] = []
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        for name in book.sheet_names:
            sheet = book.get_sheet_by_name(name)
            first = (sheet.start or (0, 0))[0] + 1
            values = sheet.to_python(skip_empty_area=True)
            sheets.append([Row(first + at, tuple(map(_cell_text, row))) for at, row in enumerate(values)])
    except BaseException as error:
        # The reader is compiled code: on a damaged file it panics, and a panic is no Exception.
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError | GeneratorExit):
            raise
        raise FileError(
            "damaged", N_("%(file)s cannot be opened: it is damaged or no Excel file."), file=filename
        ) from error
    filled = [rows for rows in sheets if any(any(row.cells) for row in rows)]
    if not filled:
        raise FileError("empty", N_("The file %(file)s is empty."), file=filename)
    return filled


def _check_workbook(data: bytes, filename: str) -> None:
    """Refuse bombs before the reader makes room: it keeps every cell between the first and the last."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            names = book.namelist()
            if not any(name.lower().startswith("xl/") for name in names):
                raise FileError(
                    "not_excel",
                    N_("%(file)s is a zip archive. Unpack it and choose the CSV or Excel file inside."),
                    file=filename,
                )
            if sum(info.file_size for info in book.infolist()) > 8 * MAX_BYTES:
                raise FileError(
                    "too_big",
                    N_("The file %(file)s is larger than %(most)s MB. Export fewer days at a time."),
                    file=filename,
                    most=8 * MAX_BYTES // 1024 // 1024,
                )
            for name in names:
                if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                    with book.open(name) as sheet:
                        _check_sheet(sheet.read(8 * MAX_BYTES), filename)
    except FileError:
        raise
    except Exception as error:
        raise FileError(
            "damaged", N_("%(file)s cannot be opened: it is damaged or no Excel file."), file=filename
        ) from error


def _check_sheet(xml: bytes, filename: str) -> None:
    widest, longest = 1, 1
    for found in _CELL_REF.finditer(xml):
        letters, row = found.group(1), int(found.group(2))
        column = 0
        for letter in letters:
            column = column * 26 + letter - 64
        widest, longest = max(widest, column), max(longest, row)
    if widest * longest > MAX_CELLS:
        raise FileError(
            "too_wide",
            N_("%(file)s reaches to row %(row)s, column %(column)s. Delete what is empty and save it again."),
            file=filename,
            row=longest,
            column=widest,
        )


def _cell_text(value: object) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return ""
        if value.is_integer():
            # Above 15 digits a spreadsheet number has lost its last digits: shown so that nobody trusts it.
            return f"{value:.14E}" if abs(value) >= 1e15 else str(int(value))
        return repr(value)
    if isinstance(value, int):
        return f"{value:.14E}" if abs(value) >= 10**15 else str(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return _clean(str(value))


def _table(rows: Sequence[Row], encoding: str, delimiter: str, filename: str, problems: Iterable[Problem]) -> Table:
    head = [row.cells for row in rows[:HEADER_WITHIN_ROWS]]
    at = _header_at(head)
    if at is None:
        raise FileError(
            "no_header",
            N_("%(file)s has no row of column names. Export it again with its header."),
            file=filename,
        )
    width = len(head[at])
    while width and not head[at][width - 1]:
        width -= 1
    body = tuple(row for row in rows[at + 1 :] if any(row.cells))
    return Table(head[at][:width], body, encoding, delimiter, tuple(problems))


def _header_at(head: Sequence[Sequence[str]]) -> int | None:
    """The row of names: the one a mapping knows best, else the first that looks like names."""
    scores = [fit(row)[1] for row in head]
    if scores and max(scores) > 0:
        return scores.index(max(scores))
    for at, row in enumerate(head):
        names = [cell for cell in row if cell]
        if not names:
            continue
        if len(set(names)) >= 2 and not any(_looks_like_a_value(cell) for cell in names):
            return at
        if len(names) >= 2:
            return None
    return None


_VALUE = re.compile(r"^[-+¥￥$£€]?\d[\d.,:/\-\sT]*$")


def _looks_like_a_value(cell: str) -> bool:
    return bool(_VALUE.match(cell)) or len(cell) > 60 or "\n" in cell
