"""Shares and quotas never sum above the stock, whatever is asked and in whatever order the shops are told (R38)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.untimed import untimed
from wms.planning.sharing import Claim, may_tell, narrowest, share_out

claims = st.lists(st.tuples(st.integers(-5, 130), st.none() | st.integers(-3, 60)), min_size=0, max_size=6).map(
    lambda rows: [Claim(number, share, quota) for number, (share, quota) in enumerate(rows)]
)


@untimed
@given(st.integers(-20, 500), claims)
def test_the_sum_is_never_above_the_stock(stock: int, asked: list[Claim]) -> None:
    given_out = share_out(stock, asked)
    assert set(given_out) == {claim.shop for claim in asked}
    assert all(pieces >= 0 for pieces in given_out.values())
    assert sum(given_out.values()) <= max(stock, 0)
    for claim in asked:
        if claim.quota is not None:
            assert given_out[claim.shop] <= max(claim.quota, 0)


@untimed
@given(st.integers(0, 500), st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_whole_shares_give_all_of_it_away_and_no_piece_is_lost_by_rounding(stock: int, shares: list[int]) -> None:
    given_out = share_out(stock, [Claim(number, share) for number, share in enumerate(shares)])
    assert sum(given_out.values()) == stock * min(sum(shares), 100) // 100
    for number, share in enumerate(shares):
        exact = stock * share / max(sum(shares), 100)
        assert abs(given_out[number] - exact) < 1


def test_the_last_piece_is_sold_by_one_shop() -> None:
    assert share_out(1, [Claim(7, 50), Claim(3, 50)]) == {7: 1, 3: 0}


def test_quotas_come_first_and_the_rest_is_shared() -> None:
    asked = [Claim(1, 60), Claim(2, 40), Claim(3, 0, 10)]
    assert share_out(30, asked) == {3: 10, 1: 12, 2: 8}
    assert share_out(4, asked) == {3: 4, 1: 0, 2: 0}


@untimed
@given(
    st.integers(2, 4).flatmap(
        lambda shops: st.tuples(
            st.lists(st.integers(1, 100), min_size=shops, max_size=shops),
            st.lists(
                st.one_of(
                    st.tuples(st.just("stock"), st.integers(0, 60)),
                    st.tuples(st.sampled_from(["taken", "lost", "refused"]), st.integers(0, shops - 1)),
                ),
                max_size=40,
            ),
        )
    )
)
def test_no_call_lifts_what_the_shops_sell_above_the_stock(
    story: tuple[list[int], list[tuple[str, int]]],
) -> None:
    """Answers are lost, shops refuse, numbers change in between: what a shop may be selling is what it took, or what it
    was asked and never answered. A call either lowers that, or the sum stays within the stock."""
    shares, events = story
    stock = 0
    took, asked = [0] * len(shares), [0] * len(shares)
    wanted = dict.fromkeys(range(len(shares)), 0)
    for kind, number in events:
        if kind == "stock":
            stock = number
            wanted = share_out(stock, [Claim(shop, share) for shop, share in enumerate(shares)])
            continue
        sold_as = [max(a, b) for a, b in zip(took, asked, strict=True)]
        before = sum(sold_as)
        mine = sold_as[number]
        told = may_tell(sum(wanted.values()), wanted[number], mine, before - mine)
        asked[number] = max(asked[number], told)
        assert sum(max(a, b) for a, b in zip(took, asked, strict=True)) <= max(before, stock)
        if kind == "taken":
            took[number], asked[number] = told, 0
        elif kind == "refused":
            asked[number] = 0 if mine == took[number] else mine


def test_once_every_shop_answers_each_has_its_part() -> None:
    wanted, sold = {0: 30, 1: 30}, {0: 50, 1: 50}
    for _round in range(3):
        for shop in (0, 1):
            sold[shop] = may_tell(60, wanted[shop], sold[shop], sum(sold.values()) - sold[shop])
    assert sold == wanted


def test_the_narrowest_buffer_counts() -> None:
    buffers = {"": 2, "=tea": 5, "17": 0}
    assert [narrowest(17, "tea", buffers), narrowest(18, "tea", buffers), narrowest(18, "", buffers)] == [0, 5, 2]
    assert narrowest(18, "tea", {}) == 0
