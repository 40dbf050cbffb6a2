"""How much of an item each shop may sell, so that the sum is never above the stock (R38). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """What a shop is to have of an item: a fixed number of pieces, else percent of what the fixed ones leave."""

    shop: int
    share: int = 100
    quota: int | None = None


def share_out(stock: int, claims: Sequence[Claim]) -> dict[int, int]:
    """Pieces by shop; their sum is at most ``stock``.

    Fixed quotas come first, in the order of the claims, as far as the stock reaches. Shares above a hundred in all
    are scaled down. No piece is lost by rounding: what is left of whole pieces goes to the largest remainders.
    """
    left = max(stock, 0)
    given: dict[int, int] = {}
    for claim in claims:
        if claim.quota is not None:
            given[claim.shop] = min(max(claim.quota, 0), left)
            left -= given[claim.shop]
    shares = [(claim.shop, min(max(claim.share, 0), 100)) for claim in claims if claim.quota is None]
    total = sum(share for _shop, share in shares)
    whole = max(total, 100)
    to_give = left * total // whole
    remainders = []
    for place, (shop, share) in enumerate(shares):
        given[shop], rest = divmod(left * share, whole)
        to_give -= given[shop]
        remainders.append((-rest, place, shop))
    for _rest, _place, shop in sorted(remainders)[:to_give]:
        given[shop] += 1
    return given


def may_tell(stock: int, wanted: int, mine: int, others: int) -> int:
    """What a shop may be told now, while it may be selling ``mine`` and the other shops ``others`` pieces.

    Fewer than before is always right. More only as far as the others leave room: the sum never rises above the stock.
    """
    if wanted <= mine:
        return wanted
    return min(wanted, max(mine, stock - others))


def narrowest(item: int, category: str, buffers: Mapping[str, int]) -> int:
    """The buffer of an item: its own, else its category's, else the one for all."""
    for scope in (str(item), f"={category}" if category else "", ""):
        if scope in buffers:
            return buffers[scope]
    return 0
