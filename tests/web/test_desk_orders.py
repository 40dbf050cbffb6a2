"""Orders at the desk: the list, releasing, one order's page and what a supervisor may do with it."""

from __future__ import annotations

import pytest

from tests.floor import Floor
from wms.models import OrderState


@pytest.fixture
def stocked(floor: Floor) -> Floor:
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 10)
    return floor


def test_a_picker_does_not_come_to_the_desk(stocked: Floor) -> None:
    hand = stocked.hand("picker")
    for path in ("/desk", "/desk/now", "/desk/orders", "/desk/import", "/desk/printing", "/desk/pushes"):
        hand.get(path)
        assert hand.status == 403, path


def test_only_an_admin_sees_people_and_changes_printers(stocked: Floor) -> None:
    supervisor, admin = stocked.hand("supervisor"), stocked.hand("admin")
    for path in ("/desk/people", "/desk/printing/printers/new", "/desk/printing/stations/new"):
        supervisor.get(path)
        assert supervisor.status == 403, path
        admin.get(path)
        assert admin.status == 200, path


def test_the_board_is_silent_while_nothing_changes(stocked: Floor) -> None:
    hand = stocked.hand("supervisor")
    page = hand.get("/desk")
    version = page.split("/desk/now?v=")[1].split('"')[0]
    assert hand.client.get(f"/desk/now?v={version}").status_code == 204
    stocked.order("1001", ("A1", 1))
    assert hand.client.get(f"/desk/now?v={version}").status_code == 200


def test_what_can_go_is_released_and_what_is_short_is_named(stocked: Floor) -> None:
    first, second = stocked.order("1001", ("A1", 2)), stocked.order("1002", ("A1", 99))
    hand = stocked.hand("supervisor")
    hand.post("/desk/orders/release", which="all")
    hand.sees("desk/released", "Released in wave", "1002", "91 × A1")
    assert stocked.order_row(first).state is OrderState.RELEASED
    assert stocked.order_row(second).state is OrderState.SHORT
    hand.post("/desk/orders/release", which="all")
    assert "No order is ready to be released." in hand.text()
    stocked.books_are_right()


def test_a_wave_of_only_short_orders_is_not_kept(stocked: Floor) -> None:
    from sqlalchemy import func, select

    from wms.models import Wave

    stocked.order("1001", ("A1", 99))
    hand = stocked.hand("supervisor")
    hand.post("/desk/orders/release", which="all")
    hand.sees("desk/released", "No order could be released.")
    with stocked.database.reading() as session:
        assert session.execute(select(func.count()).select_from(Wave)).scalar_one() == 0


def test_only_the_chosen_orders_are_released(stocked: Floor) -> None:
    first, second = stocked.order("1001", ("A1", 1)), stocked.order("1002", ("A1", 1))
    hand = stocked.hand("supervisor")
    hand.post("/desk/orders/release", which="chosen")
    assert hand.said == "Choose at least one order."
    hand.post("/desk/orders/release", which="chosen", order=str(second))
    assert stocked.order_row(first).state is OrderState.READY
    assert stocked.order_row(second).state is OrderState.RELEASED


def test_a_list_is_paged_and_found_by_the_beginning_of_a_number(stocked: Floor) -> None:
    for number in range(53):
        stocked.order(f"20{number:02d}", ("A1", 1))
    hand = stocked.hand("supervisor")
    hand.get("/desk/orders", state="ready")
    assert hand.page.count('scope="row"') == 50
    assert "page=2" in hand.page
    hand.get("/desk/orders", state="ready", page="2")
    assert hand.page.count('scope="row"') == 3
    hand.get("/desk/orders", q="205")
    assert hand.page.count('scope="row"') == 3
    hand.get("/desk/orders", q="%")
    assert hand.page.count('scope="row"') == 0


def test_a_recipient_is_masked(stocked: Floor) -> None:
    order = stocked.order("1001", ("A1", 1))
    hand = stocked.hand("supervisor")
    page = hand.get(f"/desk/orders/{order}")
    hand.sees("desk/order", "Order 1001", "收***")
    assert "收件人001" not in page
    assert "10000000001" not in page


def test_a_held_order_waits_for_its_item_and_is_then_let_go(stocked: Floor) -> None:
    order = stocked.order("1001", ("NEW", 1))
    hand = stocked.hand("supervisor")
    hand.get(f"/desk/orders/{order}")
    hand.sees("desk/order", "unknown item: NEW")
    hand.act(f"/desk/orders/{order}/let-go")
    assert hand.status == 422
    stocked.item("NEW")
    hand.act(f"/desk/orders/{order}/let-go")
    assert hand.said == "Order 1001 is ready."
    assert stocked.order_row(order).state is OrderState.READY


def test_a_cancelled_order_gives_everything_back(stocked: Floor) -> None:
    order = stocked.order("1001", ("A1", 10))
    stocked.release(order)
    hand = stocked.hand("supervisor")
    hand.act(f"/desk/orders/{order}/cancel")
    assert stocked.order_row(order).state is OrderState.CANCELLED
    assert not stocked.release(stocked.order("1002", ("A1", 10)))[0].short
    stocked.books_are_right()


def test_a_short_order_is_tried_again_or_sent_without(stocked: Floor) -> None:
    order = stocked.order("1001", ("A1", 12))
    stocked.release(order)
    hand = stocked.hand("supervisor")
    hand.get("/desk/shortages")
    hand.sees("desk/shortages", "1001", "2 × A1")
    hand.act(f"/desk/shortages/{order}/again")
    assert hand.said == "Order 1001 is still short of 2 pieces. Receive or count first."
    hand.act(f"/desk/shortages/{order}/without")
    assert hand.said == "Order 1001 goes on without the missing pieces."
    assert stocked.order_row(order).state is OrderState.RELEASED
    hand.sees("desk/shortages", "Nothing is short.")


def test_another_carrier_until_a_parcel_is_opened(stocked: Floor) -> None:
    order = stocked.order("1001", ("A1", 1))
    hand = stocked.hand("supervisor")
    hand.act(f"/desk/orders/{order}/carrier", carrier=str(stocked.carrier("ZTO").id))
    assert hand.said == "It goes with 中通快递 now."
    assert stocked.order_row(order).carrier_id == stocked.carrier("ZTO").id
    hand.act(f"/desk/orders/{order}/cancel")
    hand.act(f"/desk/orders/{order}/carrier", carrier=str(stocked.carrier("JD").id))
    assert hand.status == 422
