"""Which carrier takes a parcel for least: price tables 快递价格表 by province and weight. Pure.

Grams, and money in minor units (R7).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

EVERYWHERE = "*"
ENDINGS = ("维吾尔自治区", "壮族自治区", "回族自治区", "特别行政区", "自治区", "省", "市")
TOGETHER = {
    "江浙沪": ("江苏", "浙江", "上海"),
    "京津冀": ("北京", "天津", "河北"),
    "东三省": ("辽宁", "吉林", "黑龙江"),
}
"""What price tables call several provinces at once."""


@dataclass(frozen=True, slots=True)
class Price:
    """A line of a carrier's table: what a parcel above ``min_g`` and up to ``max_g`` costs in a region."""

    carrier_id: int
    region: str
    first_g: int
    first_minor: int
    step_g: int
    step_minor: int
    min_g: int
    max_g: int
    valid_from: date


@dataclass(frozen=True, slots=True)
class Choice:
    carrier_id: int
    cost_minor: int


def province(text: str) -> str:
    """A province without what it ends with: 广东省 and 广东 are one, so are 内蒙古自治区 and 内蒙古."""
    name = re.sub(r"\s+", "", text)
    for ending in ENDINGS:
        if name.endswith(ending) and len(name) - len(ending) >= 2:
            return name.removesuffix(ending)
    return name


def regions(text: str) -> list[str]:
    """The provinces of a cell such as 江浙沪、安徽省; the star (全国, 其他) stands for all that are not named."""
    found: list[str] = []
    for part in re.split(r"[,，、;；/\s]+", text.strip()):
        if part in ("*", "全国", "其他", "其它", "其余", "others"):
            found.append(EVERYWHERE)
        elif part:
            found += TOGETHER.get(part, (province(part),))
    return list(dict.fromkeys(found))


def cost(price: Price, weight_g: int) -> int:
    """The first weight, then every step begun above it."""
    above = max(weight_g - price.first_g, 0)
    return price.first_minor + -(-above // price.step_g) * price.step_minor


def in_force(prices: Sequence[Price], carrier_id: int, region: str, weight_g: int, on: date) -> Price | None:
    """The line that counts: of the carrier's newest table for the province, or else for everywhere; None: not carried.

    A table for the province that has no line for this weight is not filled up from another.
    """
    mine = [price for price in prices if price.carrier_id == carrier_id and price.valid_from <= on]
    for where in (region, EVERYWHERE):
        table = [price for price in mine if price.region == where]
        if table:
            newest = max(price.valid_from for price in table)
            fitting = [
                price
                for price in table
                if price.valid_from == newest
                and (price.min_g < weight_g or not price.min_g)
                and weight_g <= price.max_g
            ]
            return max(fitting, key=lambda price: price.min_g, default=None)
    return None


def quotes(prices: Sequence[Price], region: str, weight_g: int, on: date) -> list[Choice]:
    """What each carrier would take, the cheapest first; equals by the carrier's number, so that the answer is one."""
    found = []
    for carrier_id in {price.carrier_id for price in prices}:
        price = in_force(prices, carrier_id, region, weight_g, on)
        if price is not None:
            found.append(Choice(carrier_id, cost(price, weight_g)))
    return sorted(found, key=lambda choice: (choice.cost_minor, choice.carrier_id))


def cheapest(
    prices: Sequence[Price],
    region: str,
    weight_g: int,
    on: date,
    allowed: Collection[int] | None = None,
    prefer: int | None = None,
) -> Choice | None:
    """The cheapest of those that are allowed (all when None). Of equals the preferred one, then the lowest number."""
    fitting = [q for q in quotes(prices, region, weight_g, on) if allowed is None or q.carrier_id in allowed]
    return min(fitting, key=lambda q: (q.cost_minor, q.carrier_id != prefer, q.carrier_id), default=None)
