"""Import of a file at the desk: refused clearly, shown first, taken in once, kept no longer than needed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.floor import Floor, Hand
from wms.models import Order, OrderState

CSV = (
    "order_no,sku,item_name,qty,status,name,phone,city,address\n"
    "9001,A1,Cup,2,paid,收件人001,10000000001,测试市,样例街道 1 号\n"
    "9002,NEW,Plate,1,paid,收件人002,10000000002,测试市,样例街道 2 号\n"
)


def send(hand: Hand, data: bytes, name: str = "orders.csv", mapping: str = "") -> str:
    hand.answer = hand.client.post(
        "/desk/import",
        data={"file": (io.BytesIO(data), name), "shop": "1", "mapping": mapping},
        headers={"X-CSRFToken": hand.token},
        content_type="multipart/form-data",
    )
    hand.status, hand.page = hand.answer.status_code, hand.answer.get_data(as_text=True)
    return str(hand.answer.headers.get("Location", ""))


def take(hand: Hand, address: str, **fields: str) -> None:
    hand.post(address.partition("?")[0] + "/take", shop="1", mapping="", **fields)


def states(floor: Floor) -> dict[str, OrderState]:
    with floor.database.reading() as session:
        return dict(session.execute(select(Order.shop_order_no, Order.state)).all())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x89PNG\r\n\x1a\n123", "is a picture"),
        (b"", "is empty"),
        (b"order_no,sku\n1,2\n", "no column named qty"),
        (b"colour,shape,size\nred,round,big\n", "None of these columns is known: colour, shape, size"),
    ],
)
def test_a_file_that_holds_no_orders_is_refused_with_a_reason(floor: Floor, data: bytes, words: str) -> None:
    hand = floor.hand("supervisor")
    send(hand, data)
    assert hand.status == 422
    assert words in hand.said
    assert not list(floor.settings.home.glob("imports/*"))


def test_nothing_is_written_before_it_was_looked_at(floor: Floor) -> None:
    floor.item("A1")
    hand = floor.hand("supervisor")
    address = send(hand, CSV.encode("gb18030"))
    hand.get(address.partition("?")[0], shop="1")
    hand.sees("desk/import_preview", "9001", "9002", "unknown item: NEW", "catalogue: 1")
    assert states(floor) == {}
    take(hand, address)
    hand.sees("desk/import_done")
    assert states(floor) == {"9001": OrderState.READY, "9002": OrderState.HELD}


def test_unknown_items_are_added_on_wish(floor: Floor) -> None:
    floor.item("A1")
    hand = floor.hand("supervisor")
    take(hand, send(hand, CSV.encode()), add_items="1")
    assert states(floor) == {"9001": OrderState.READY, "9002": OrderState.READY}


def test_the_same_file_twice_changes_nothing(floor: Floor) -> None:
    floor.item("A1")
    hand = floor.hand("supervisor")
    take(hand, send(hand, CSV.encode()))
    take(hand, send(hand, CSV.encode()))
    hand.sees("desk/import_done", "Nothing was new", "Same as before 2")


def test_a_file_is_gone_once_its_orders_are_in(floor: Floor) -> None:
    floor.item("A1")
    hand = floor.hand("supervisor")
    address = send(hand, CSV.encode(), name="../../etc/orders.csv")
    kept = sorted(path.name for path in floor.settings.home.glob("imports/*"))
    assert len(kept) == 2
    assert not any("orders" in name for name in kept)
    take(hand, address)
    assert not list(floor.settings.home.glob("imports/*"))
    take(hand, address)
    assert hand.status == 422
    assert "taken in already" in hand.said


def test_one_order_that_the_tables_refuse_does_not_stop_the_others(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import IntegrityError

    from wms.flows import take_in

    floor.item("A1")
    hand = floor.hand("supervisor")
    real = take_in.take

    def refuse_one(session, shop, order):  # type: ignore[no-untyped-def]
        if order.shop_order_no == "9001":
            raise IntegrityError("INSERT", {}, Exception("twice"))
        return real(session, shop, order)

    monkeypatch.setattr(take_in, "take", refuse_one)
    take(hand, send(hand, CSV.encode()))
    assert "1 orders could not be taken in" in hand.said
    assert set(states(floor)) == {"9002"}


def test_the_real_data_is_taken_in_whole(floor: Floor, shared_orders: Path) -> None:
    hand = floor.hand("supervisor")
    take(hand, send(hand, shared_orders.read_bytes()), add_items="1")
    hand.sees("desk/import_done")
    with floor.database.reading() as session:
        assert session.execute(select(func.count()).select_from(Order)).scalar_one() > 400
    floor.books_are_right()
