"""Price tables of carriers 快递价格表: taken in from a file line by line, tried out, and what parcels did cost."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms import carriage, journal
from wms.clock import now
from wms.connectors.signing import fen
from wms.connectors.tables import Row, Table
from wms.db import actor_of
from wms.errors import N_, NotFound, Refusal, term
from wms.models import Carrier, CarrierPrice, Parcel, ParcelState, Shop, Warehouse
from wms.planning import carriage as plan

COLUMNS = {
    "carrier": ("快递公司", "快递", "承运商", "物流公司", "carrier"),
    "region": ("省份", "省", "地区", "目的地", "区域", "region", "province"),
    "first": ("首重", "首重重量", "first", "first_weight"),
    "first_price": ("首重价格", "首重费", "首重金额", "首重价", "首费", "first_price"),
    "step": ("续重", "续重重量", "续重单位", "step", "step_weight"),
    "step_price": ("续重价格", "续重费", "续重金额", "续重价", "续费", "step_price"),
    "min": ("最小重量", "重量下限", "起始重量", "min", "min_weight"),
    "max": ("最大重量", "重量上限", "结束重量", "max", "max_weight"),
    "valid_from": ("生效日期", "生效时间", "执行日期", "valid_from"),
}
NEEDED = ("carrier", "region", "first", "first_price", "step_price")
HEAVIEST_G = 100_000
MOST_MINOR = 10_000_000
GONE = (ParcelState.HANDED_OVER, ParcelState.ACKNOWLEDGED)


class NoPriceColumns(Refusal):
    message = N_("The file has no column for %(columns)s. A price table has 快递公司, 省份, 首重, 首重价格, 续重价格.")
    answer = "look"


class BadShopCarriers(Refusal):
    message = N_("There is no carrier with the code %(code)s.")


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line of a file that was left out: its row number, what it holds, and why in words with facts."""

    row: int
    text: str
    message: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Prices:
    """What a price table would bring, or brought: lines by (carrier, region, date, lower weight)."""

    taken: list[plan.Price] = field(default_factory=list)
    refused: list[RefusedLine] = field(default_factory=list)


class _Bad(Exception):
    def __init__(self, message: str, **facts: Any) -> None:
        self.message, self.facts = message, facts


def look_at(session: Session, table: Table) -> Prices:
    """Line by line what the table says. Writes nothing; raises NoPriceColumns."""
    columns = _columns(table.headers)
    lacking = [COLUMNS[name][0] for name in NEEDED if name not in columns]
    if lacking:
        raise NoPriceColumns(columns=", ".join(lacking))
    carriers: dict[str, int] = {}
    for carrier_id, code, name in session.execute(select(Carrier.id, Carrier.code, Carrier.name)):
        carriers[code.upper()] = carriers[name.upper()] = carrier_id
    on = carriage.today(session, actor_of(session).warehouse_id)
    found, seen = Prices(), set[tuple[int, str, date, int]]()
    for row in table.rows:
        try:
            lines = _line(row, columns, carriers, on)
            keys = {(price.carrier_id, price.region, price.valid_from, price.min_g) for price in lines}
            for _carrier, region, _from, _least in sorted(keys & seen):
                raise _Bad(N_("%(region)s with this weight and date stands in the file twice."), region=region)
            seen |= keys
            found.taken += lines
        except _Bad as bad:
            found.refused.append(RefusedLine(row.number, " · ".join(row.cells)[:80], bad.message, bad.facts))
    return found


def add(session: Session, table: Table) -> Prices:
    """Take the good lines in; one of the same carrier, region, date and lower weight is put in the place of the old."""
    warehouse_id, found = actor_of(session).warehouse_id, look_at(session, table)
    session.get_one(Warehouse, warehouse_id, with_for_update=True)  # two files at once: one after the other
    has = {
        (row.carrier_id, row.region, row.valid_from, row.min_g): row
        for row in session.execute(select(CarrierPrice).where(CarrierPrice.warehouse_id == warehouse_id)).scalars()
    }
    for price in found.taken:
        row = has.get((price.carrier_id, price.region, price.valid_from, price.min_g))
        if row is None:
            row = CarrierPrice(
                warehouse_id=warehouse_id,
                carrier_id=price.carrier_id,
                region=price.region,
                valid_from=price.valid_from,
                min_g=price.min_g,
            )
            session.add(row)
        row.first_g, row.first_minor = price.first_g, price.first_minor
        row.step_g, row.step_minor, row.max_g = price.step_g, price.step_minor, price.max_g
    session.flush()
    for carrier_id in sorted({price.carrier_id for price in found.taken}):
        count = sum(price.carrier_id == carrier_id for price in found.taken)
        journal.note(session, session.get_one(Carrier, carrier_id), "prices", "", count)
    return found


def _columns(headers: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    """Field → (column, unit): 首重(kg), first_g. Weights without a unit are kilograms, as carriers write them."""
    found: dict[str, tuple[int, str]] = {}
    for at, header in enumerate(headers):
        name, unit = header.strip().lower(), ""
        if bracket := re.fullmatch(r"(.+?)\s*[(（](.*?)[)）]", name):
            name, unit = bracket.group(1), bracket.group(2).strip()
        elif ending := re.fullmatch(r"(.+)_(k?g)", name):
            name, unit = ending.group(1), ending.group(2)
        for column, names in COLUMNS.items():
            if name in names and column not in found:
                found[column] = (at, "g" if unit in ("g", "克") else "kg")
    return found


@dataclass(frozen=True, slots=True)
class _Cells:
    """A row's cells by what they mean; raises _Bad for what cannot be."""

    row: Row
    columns: dict[str, tuple[int, str]]

    def text(self, name: str) -> str:
        at = self.columns.get(name)
        return self.row.cells[at[0]] if at is not None and at[0] < len(self.row.cells) else ""

    def grams(self, name: str, default: int | None = None) -> int:
        text = self.text(name).lower()
        unit = self.columns[name][1] if name in self.columns else "g"
        for ending, says in (("kg", "kg"), ("公斤", "kg"), ("千克", "kg"), ("g", "g"), ("克", "g")):
            if text.endswith(ending):
                text, unit = text.removesuffix(ending).strip(), says
                break
        if not text and default is not None:
            return default
        try:
            weight = Decimal(text) * (1000 if unit == "kg" else 1)
            if not weight.is_finite() or weight != weight.to_integral_value() or not 0 <= weight <= 10 * HEAVIEST_G:
                raise ValueError(text)
        except (InvalidOperation, ValueError) as error:
            raise _Bad(N_("%(cell)s is no weight."), cell=self.text(name)[:20] or "—") from error
        return int(weight)

    def money(self, name: str) -> int:
        try:
            amount = fen(re.sub(r"[¥￥元,\s]", "", self.text(name)))
            if not 0 <= amount <= MOST_MINOR:
                raise ValueError(amount)
        except ValueError as error:
            raise _Bad(N_("%(cell)s is no price."), cell=self.text(name)[:20] or "—") from error
        return amount


def _line(row: Row, columns: dict[str, tuple[int, str]], carriers: dict[str, int], on: date) -> list[plan.Price]:
    """The prices of one row, one for each province it names."""
    cells = _Cells(row, columns)
    carrier_id = carriers.get(cells.text("carrier").upper())
    if carrier_id is None:
        raise _Bad(N_("Nobody knows the carrier %(cell)s."), cell=cells.text("carrier")[:20] or "—")
    where = plan.regions(cells.text("region"))
    if not where or any(len(name) > 40 for name in where):
        raise _Bad(N_("%(cell)s is no province."), cell=cells.text("region")[:20] or "—")
    first, step = cells.grams("first"), cells.grams("step", 1000)
    least, most = cells.grams("min", 0), cells.grams("max", HEAVIEST_G)
    if not first or not step:
        raise _Bad(N_("First weight and step must be above zero."))
    if most <= least:
        raise _Bad(N_("The largest weight must be above the smallest."))
    valid_from = _date(cells.text("valid_from"), on)
    first_price, step_price = cells.money("first_price"), cells.money("step_price")
    return [
        plan.Price(carrier_id, name, first, first_price, step, step_price, least, most, valid_from) for name in where
    ]


def _date(text: str, default: date) -> date:
    if not text:
        return default
    plain = re.sub(r"[./年月]", "-", text.split(" ", maxsplit=1)[0].split("T", maxsplit=1)[0]).rstrip("日-")
    try:
        return datetime.strptime(plain, "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError as error:
        raise _Bad(N_("%(cell)s is no date such as 2026-11-21."), cell=text[:20]) from error


# At the desk


def table(
    session: Session, warehouse_id: int, carrier_id: int | None, limit: int
) -> list[tuple[CarrierPrice, Carrier]]:
    """The lines of all carriers, or of one; the newest first."""
    query = (
        select(CarrierPrice, Carrier)
        .join(Carrier, Carrier.id == CarrierPrice.carrier_id)
        .where(CarrierPrice.warehouse_id == warehouse_id)
        .order_by(Carrier.name, CarrierPrice.valid_from.desc(), CarrierPrice.region, CarrierPrice.min_g)
        .limit(limit)
    )
    if carrier_id:
        query = query.where(CarrierPrice.carrier_id == carrier_id)
    return [(row[0], row[1]) for row in session.execute(query)]


def quotes(session: Session, warehouse_id: int, province: str, weight_g: int) -> list[tuple[Carrier, int]]:
    """What each carrier takes today, the cheapest first."""
    region = plan.province(province)
    found = plan.quotes(
        carriage.prices(session, warehouse_id, region), region, weight_g, carriage.today(session, warehouse_id)
    )
    return [(session.get_one(Carrier, choice.carrier_id), choice.cost_minor) for choice in found]


def shops(session: Session, warehouse_id: int) -> list[Shop]:
    return list(
        session.execute(
            select(Shop).where(Shop.warehouse_id == warehouse_id, Shop.active).order_by(Shop.name)
        ).scalars()
    )


def set_shop(session: Session, warehouse_id: int, shop_id: int, cheapest: bool, only: str, never: str) -> Shop:
    """How a shop's orders find their carrier: its own, or the cheapest of those allowed."""
    shop = session.get(Shop, shop_id, with_for_update=True)
    if shop is None or shop.warehouse_id != warehouse_id:
        raise NotFound(what=term("The shop"))
    known = {code.upper() for code in session.execute(select(Carrier.code)).scalars()}
    for code in sorted(carriage.codes(only) | carriage.codes(never)):
        if code not in known:
            raise BadShopCarriers(code=code[:24])
    before = {name: shop.settings.get(name, "") for name in ("carrier_choice", "carriers_allowed", "carriers_denied")}
    after = {
        "carrier_choice": carriage.CHEAPEST if cheapest else "",
        "carriers_allowed": ", ".join(sorted(carriage.codes(only))),
        "carriers_denied": ", ".join(sorted(carriage.codes(never))),
    }
    shop.settings = {**shop.settings, **after}
    journal.note(session, shop, "carrier_choice", before, after)
    return shop


@dataclass(frozen=True, slots=True)
class Spent:
    """What left with a carrier in some days: parcels, grams, money, and parcels for which no price was known."""

    carrier: Carrier
    parcels: int
    weight_g: int
    cost_minor: int
    unpriced: int

    @property
    def each_minor(self) -> int | None:
        priced = self.parcels - self.unpriced
        return self.cost_minor // priced if priced else None


def spent(session: Session, warehouse_id: int, days: int) -> list[Spent]:
    """A line for each carrier of the parcels handed over in the last days."""
    return [
        Spent(row[0], int(row[1]), int(row[2] or 0), int(row[3] or 0), int(row[1]) - int(row[4]))
        for row in session.execute(
            select(
                Carrier,
                func.count(Parcel.id),
                func.coalesce(func.sum(Parcel.weight_g), 0),
                func.coalesce(func.sum(Parcel.cost_minor), 0),
                func.count(Parcel.cost_minor),
            )
            .join(Parcel, Parcel.carrier_id == Carrier.id)
            .where(
                Parcel.warehouse_id == warehouse_id,
                Parcel.state.in_(GONE),
                Parcel.handed_over_at >= now() - timedelta(days=days),
            )
            .group_by(Carrier.id)
            .order_by(Carrier.name)
        )
    ]
