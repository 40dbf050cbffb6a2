"""Orders out of a table a shop exported, and a reason for every oddity in it. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from wms.connectors import OrderState, Recipient, ShopLine, ShopOrder
from wms.connectors.mappings import MAPPINGS, Mapping, Rules, columns_of, missing, recognise
from wms.connectors.tables import Effect, FileError, Problem, Row, Table, read_table
from wms.errors import N_

__all__ = [
    "MAPPINGS",
    "FileError",
    "Mapping",
    "OrderFile",
    "Problem",
    "Rules",
    "Table",
    "missing",
    "orders",
    "read_table",
    "recognise",
]


@dataclass(frozen=True, slots=True)
class OrderFile:
    """What a file of orders holds. Nothing is left out in silence: every oddity is a problem with its row."""

    orders: tuple[ShopOrder, ...]
    problems: tuple[Problem, ...]

    def of(self, order_no: str) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.order_no == order_no)


def orders(table: Table, mapping: Mapping, rules: Rules | None = None) -> OrderFile:
    """Orders in the sequence of their first rows; the same rows give the same orders and line references.

    A row that cannot be read never stops the others: it is a problem, and its order is held where the buyer
    would otherwise get a parcel with a line missing. FileError when a needed column is not there.
    """
    absent = missing(table.headers, mapping)
    if absent:
        raise FileError("missing_columns", N_("The file has no column named %(columns)s."), columns=", ".join(absent))
    return _Reading(table, mapping, rules or mapping.rules).run()


_ORDER_FIELDS = (
    *("customer", "name", "phone", "province", "city", "district", "town", "address", "country", "postcode"),
    *("oaid", "buyer_note", "seller_memo", "carrier", "currency"),
)
_WHO_FIELDS = frozenset({"customer", "name", "phone", "address"})
_RUINED_NUMBER = re.compile(r"^\d(?:\.\d+)?[eE]\+?\d+$")
_MINOR_DIGITS = {"JPY": 0, "KRW": 0, "VND": 0, "KWD": 3, "BHD": 3}


class _BadValueError(Exception):
    pass


@dataclass(slots=True)
class _Draft:
    """An order while its rows are gathered."""

    order_no: str
    taken_back: bool = False
    lines: list[ShopLine] = field(default_factory=list)
    states: list[OrderState] = field(default_factory=list)
    refund_asked: bool = False
    rows: list[dict[str, str]] = field(default_factory=list)
    row_nos: list[int] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    times: dict[str, list[datetime]] = field(default_factory=dict)
    refs: dict[str, int] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    hold: str = ""


class _Reading:
    """One pass over the rows, then one over the orders they made."""

    def __init__(self, table: Table, mapping: Mapping, rules: Rules) -> None:
        self.table = table
        self.mapping = mapping
        self.rules = rules
        self.columns = columns_of(table.headers, mapping)
        self.zone = ZoneInfo(mapping.zone)
        self.problems: list[Problem] = list(table.problems)
        self.drafts: dict[str, _Draft] = {}

    def run(self) -> OrderFile:
        for row in self.table.rows:
            self._take(row)
        done = tuple(self._finish(draft) for draft in self.drafts.values())
        return OrderFile(done, tuple(sorted(self.problems, key=lambda one: one.row_no or 0)))

    def _value(self, row: Row, name: str) -> str:
        for position in self.columns.get(name, ()):
            if position < len(row.cells) and row.cells[position]:
                return row.cells[position]
        return ""

    def _say(self, draft: _Draft, row_no: int, kind: str, words: str, effect: Effect = "note", **facts: Any) -> None:
        facts = {"row": row_no, "order": draft.order_no, **facts}
        self.problems.append(Problem(row_no, draft.order_no, kind, words, facts, effect))
        draft.said.add(kind)
        if effect == "hold" and not draft.hold:
            draft.hold = kind

    # Rows

    def _take(self, row: Row) -> None:
        order_no = self._value(row, "order_no")
        if order_no == self.table.headers[self.columns["order_no"][0]]:
            return  # several exports pasted together repeat the header
        if not order_no:
            words = N_("Row %(row)s has no order number and was left out.")
            self._say(_Draft(order_no), row.number, "no_order_no", words, "row")
            return
        if _RUINED_NUMBER.match(order_no):
            words = N_(
                "Row %(row)s: Excel has cut the order number to %(order)s. "
                "Export again and do not save the file in Excel."
            )
            self._say(_Draft(order_no), row.number, "ruined_order_no", words, "row")
            return
        draft = self.drafts.get(order_no)
        if draft is None:
            draft = _Draft(order_no, taken_back=order_no.startswith(self.rules.cancel_prefixes))
            self.drafts[order_no] = draft
        cells = zip(self.table.headers, row.cells, strict=False)
        draft.rows.append({header: cell for header, cell in cells if header and cell})
        draft.row_nos.append(row.number)
        self._take_facts(draft, row)
        self._take_line(draft, row)

    def _take_facts(self, draft: _Draft, row: Row) -> None:
        for name in _ORDER_FIELDS:
            value = self._value(row, name)
            known = draft.facts.get(name, "")
            if not known:
                draft.facts[name] = value
            elif value and name in _WHO_FIELDS and _same(value) != _same(known):
                self._say_recipient_differs(draft, row)
        for name in ("ordered_at", "paid_at", "updated_at", "ship_by"):
            text = self._value(row, name)
            try:
                at = _time(text, self.zone, self.mapping.date_formats)
            except _BadValueError:
                words = N_("Row %(row)s, order %(order)s: “%(value)s” is no date that can be read.")
                self._say(draft, row.number, "bad_date", words, value=_short(text))
                continue
            if at:
                draft.times.setdefault(name, []).append(at)

    def _say_recipient_differs(self, draft: _Draft, row: Row) -> None:
        if "recipient_differs" not in draft.said:
            words = N_("Order %(order)s names two recipients; row %(row)s differs from the first. Check where it goes.")
            self._say(draft, row.number, "recipient_differs", words, "hold")

    def _take_line(self, draft: _Draft, row: Row) -> None:
        sku = self._sku(draft, row)
        qty = self._qty(draft, row, sku) if sku else 0
        if not sku or not qty:
            return
        name = self._value(row, "item_name")
        state, refunded = self._state(draft, row, sku)
        line = ShopLine(
            line_ref=self._line_ref(draft, row, sku),
            sku=sku,
            name=name,
            qty=abs(qty),
            price_minor=self._price(draft, row),
            kind="service" if self.rules.is_service(sku, name) else "goods",
            cancelled=draft.taken_back or qty < 0 or refunded or state == "cancelled",
        )
        draft.lines.append(line)
        draft.states.append("cancelled" if line.cancelled else state)
        if line.qty > self.rules.absurd_qty:
            words = N_("Row %(row)s, order %(order)s: can %(qty)s of %(sku)s be meant?")
            effect: Effect = "note" if line.cancelled else "hold"
            self._say(draft, row.number, "absurd_qty", words, effect, sku=sku, qty=line.qty)
        if line.kind == "service":
            words = N_("Row %(row)s, order %(order)s: %(sku)s is a service. Nothing to pick; its value is kept.")
            self._say(draft, row.number, "service_line", words, sku=sku)
        if qty < 0 and not draft.taken_back:
            words = N_("Row %(row)s, order %(order)s: %(qty)s of %(sku)s came back; the line is not shipped.")
            self._say(draft, row.number, "negative_qty", words, sku=sku, qty=-qty)

    def _sku(self, draft: _Draft, row: Row) -> str:
        sku = self._value(row, "sku")
        if sku.casefold() in ("", "-", "--", "无", "null", "none"):
            words = N_("Row %(row)s, order %(order)s: the item has no SKU. The order is held.")
            self._say(draft, row.number, "no_sku", words, "hold")
            return ""
        if _RUINED_NUMBER.match(sku) and "+" in sku:
            words = N_("Row %(row)s, order %(order)s: Excel has cut the SKU to %(sku)s. The order is held.")
            self._say(draft, row.number, "ruined_sku", words, "hold", sku=sku)
            return ""
        return sku

    def _qty(self, draft: _Draft, row: Row, sku: str) -> int:
        text = self._value(row, "qty")
        try:
            qty = _whole(text)
        except _BadValueError:
            words = N_(
                "Row %(row)s, order %(order)s: “%(value)s” of %(sku)s is no whole number of pieces. "
                "Somebody must look at this order."
            )
            self._say(draft, row.number, "bad_qty", words, "hold", sku=sku, value=_short(text))
            return 0
        if qty == 0:
            words = N_("Row %(row)s, order %(order)s: quantity 0 of %(sku)s. The line was left out.")
            self._say(draft, row.number, "zero_qty", words, "row", sku=sku)
        return qty

    def _line_ref(self, draft: _Draft, row: Row, sku: str) -> str:
        """The shop's own number of the line, else order, SKU and which of them: rows may change places."""
        base = f"{draft.order_no}/{sku}"
        count = draft.refs[base] = draft.refs.get(base, 0) + 1
        if count == 2:
            words = N_("Order %(order)s names %(sku)s more than once (row %(row)s). Every line is kept.")
            self._say(draft, row.number, "repeated_item", words, sku=sku)
        own = self._value(row, "sub_order_no")
        if own and own != draft.order_no and not _RUINED_NUMBER.match(own):
            twin = draft.refs[own] = draft.refs.get(own, 0) + 1
            return own if twin == 1 else f"{own}/{twin}"
        return f"{base}/{count}"

    def _price(self, draft: _Draft, row: Row) -> int:
        text = self._value(row, "price")
        if not text:
            return 0
        try:
            price = _decimal(text)
        except _BadValueError:
            words = N_("Row %(row)s, order %(order)s: “%(value)s” is no price; 0 was taken.")
            self._say(draft, row.number, "bad_price", words, value=_short(text))
            return 0
        digits = _MINOR_DIGITS.get(self._currency(draft), 2)
        return int((price * Decimal(10) ** digits).to_integral_value(ROUND_HALF_UP))

    def _currency(self, draft: _Draft) -> str:
        return (draft.facts.get("currency") or self.mapping.currency).upper()

    def _state(self, draft: _Draft, row: Row, sku: str) -> tuple[OrderState, bool]:
        """The line's state, and whether its money went back."""
        word = self._value(row, "status")
        state = self.rules.state_of(word)
        if state is None and "unknown_state" not in draft.said:
            words = N_("Order %(order)s: the state “%(value)s” is not known, so it is not released.")
            self._say(draft, row.number, "unknown_state", words, "skip", value=_short(word))
        word = self._value(row, "refund")
        refund = self.rules.refund_of(word)
        if refund is None and "unknown_refund" not in draft.said:
            words = N_("Order %(order)s: the refund state “%(value)s” is not known; taken as asked for.")
            self._say(draft, row.number, "unknown_refund", words, value=_short(word))
        if refund == "done":
            words = N_("Row %(row)s, order %(order)s: %(sku)s is refunded; the line is not shipped.")
            self._say(draft, row.number, "refunded_line", words, sku=sku)
        elif refund != "none" and state != "cancelled":
            draft.refund_asked = True
        return state or "other", refund == "done"

    # Orders

    def _finish(self, draft: _Draft) -> ShopOrder:
        state = self._order_state(draft)
        lines = tuple(draft.lines)
        if state != "shipped":
            # What somebody sent already is not picked again.
            pairs = zip(lines, draft.states, strict=True)
            lines = tuple(replace(line, cancelled=True) if one == "shipped" else line for line, one in pairs)
        when = draft.times.get("ordered_at") or draft.times.get("paid_at")
        changed, due = draft.times.get("updated_at"), draft.times.get("ship_by")
        return ShopOrder(
            shop_order_no=draft.order_no,
            ordered_at=min(when) if when else None,
            state=state,
            lines=lines,
            recipient=_recipient(draft.facts),
            buyer_note=draft.facts["buyer_note"],
            seller_memo=draft.facts["seller_memo"],
            carrier_hint=draft.facts["carrier"],
            raw={"rows": draft.rows, "row_numbers": draft.row_nos, "mapping": self.mapping.name},
            updated_at=max(changed) if changed else None,
            currency=self._currency(draft),
            ship_by=min(due) if due else None,
            hold=draft.hold if state not in ("cancelled", "shipped") else "",
        )

    def _order_state(self, draft: _Draft) -> OrderState:
        pairs = list(zip(draft.lines, draft.states, strict=True))
        live = [(line, one) for line, one in pairs if one not in ("cancelled", "shipped")]
        state: OrderState
        if not draft.lines:
            state, kind, words = "other", "no_lines", N_("Order %(order)s has no line that can be read.")
        elif not live and "shipped" in draft.states:
            state, kind, words = "shipped", "already_shipped", N_("Order %(order)s is shipped already.")
        elif not live:
            state, kind = "cancelled", "cancelled"
            words = N_("Order %(order)s is cancelled; nothing is shipped for it.")
        elif draft.refund_asked or any(one == "refunding" for _, one in live):
            state, kind = "refunding", "refund_asked"
            words = N_("Order %(order)s: the buyer asks for the money back. It waits.")
        elif any(one == "other" for _, one in live):
            state, kind = "other", "not_ready"
            words = N_("Order %(order)s is not paid, or is paused at the shop.")
        elif all(line.kind == "service" for line, _ in live):
            state, kind = "other", "only_service"
            words = N_("Order %(order)s holds services only; there is nothing to ship.")
        else:
            if "shipped" in draft.states:
                words = N_("Order %(order)s: some lines are shipped already; only the rest is picked.")
                self._say(draft, draft.row_nos[0], "partly_shipped", words)
            return "paid"
        if not (kind == "not_ready" and "unknown_state" in draft.said):
            self._say(draft, draft.row_nos[0], kind, words, "skip")
        return state


def _same(text: str) -> str:
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).casefold()


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


_PROVINCE = re.compile(r"^(?:\S{2,8}(?:省|自治区|特别行政区)|(?:北京|上海|天津|重庆)市?)$")
_POSTCODE_AT_END = re.compile(r"\s*\((\d{6})\)\s*$")


def _recipient(facts: dict[str, str]) -> Recipient:
    recipient = Recipient(
        name=facts["name"] or facts["customer"],
        phone=facts["phone"],
        province=facts["province"],
        city=facts["city"],
        district=facts["district"],
        town=facts["town"],
        address=facts["address"],
        country=facts["country"],
        postcode=facts["postcode"],
        oaid=facts["oaid"],
    )
    found = _POSTCODE_AT_END.search(recipient.address)
    if found:
        # Taobao writes the postcode behind the address, 000000 when it has none.
        code = "" if found.group(1) == "000000" else found.group(1)
        address = recipient.address[: found.start()]
        recipient = replace(recipient, address=address, postcode=recipient.postcode or code)
    parts = recipient.address.split()
    if not recipient.province and len(parts) >= 4 and _PROVINCE.match(parts[0]):
        province, city, district, *rest = parts
        town = rest.pop(0) if len(rest) >= 2 else ""
        recipient = replace(
            recipient, province=province, city=city, district=district, town=town, address=" ".join(rest)
        )
    return recipient


_NUMBER = re.compile(r"^[-+]?\d{1,15}(?:\.\d{1,8})?$", re.ASCII)
_THOUSANDS = re.compile(r"^[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$")
_COMMA = re.compile(r"^[-+]?\d+,\d{1,2}$")


def _decimal(text: str) -> Decimal:
    plain = unicodedata.normalize("NFKC", text).replace("−", "-").strip("¥￥$£€元 \t")
    if _THOUSANDS.match(plain):
        plain = plain.replace(",", "")
    elif _COMMA.match(plain):
        plain = plain.replace(",", ".")
    if not _NUMBER.match(plain):
        raise _BadValueError
    return Decimal(plain)


def _whole(text: str) -> int:
    number = _decimal(text.removesuffix("件").removesuffix("个"))
    if number != number.to_integral_value():
        raise _BadValueError
    return int(number)


_ISO = re.compile(
    r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})"
    r"(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?\s*(Z|[+-]\d{2}:?\d{2})?$",
    re.ASCII,
)
_DAYS = re.compile(r"^\d{5}(\.\d+)?$", re.ASCII)
# What shops write where there is no time: JD's unpaid orders say year 1.
_NEVER = ("0001-01-01", "0000-00-00", "1970-01-01")


def _time(text: str, zone: ZoneInfo, formats: tuple[str, ...]) -> datetime | None:
    """A time of that zone, in UTC; None where the shop wrote none."""
    text = unicodedata.normalize("NFKC", text).strip()
    if text in ("", "-", "--", "无", "null") or text.startswith(_NEVER):
        return None
    try:
        local = _local_time(text, zone, formats)
        if not 1990 <= local.year <= 2200:
            raise _BadValueError
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _BadValueError from None


def _local_time(text: str, zone: ZoneInfo, formats: tuple[str, ...]) -> datetime:
    found = _ISO.match(text)
    if found:
        zone_text = (found.group(7) or "").replace("Z", "+0000")
        offset = datetime.strptime(zone_text, "%z").tzinfo if zone_text else None
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        return datetime(year, month, day, hour, minute, second, tzinfo=offset or zone)
    for form in formats:
        try:
            return datetime.strptime(text, form).replace(tzinfo=zone)
        except ValueError:
            continue
    if _DAYS.match(text):
        # A spreadsheet's own count of days, in a cell that lost its date format.
        wall = datetime(1899, 12, 30, tzinfo=UTC) + timedelta(seconds=round(float(text) * 86400))
        return wall.replace(tzinfo=zone)
    raise _BadValueError
