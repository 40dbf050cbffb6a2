"""The night at the desk: in one look what did not go and why, and as a file (R37)."""

from __future__ import annotations

import csv
import io

from sqlalchemy import select

from tests.floor import Floor
from tests.jobs.test_night import Books, as_it_came, at_night, shipped  # noqa: F401 - a fixture
from wms.connectors import ConnectorError, ReadBack
from wms.models import Order, Push, PushState


def test_before_the_first_night_the_page_says_when_it_comes(floor: Floor) -> None:
    hand = floor.hand("supervisor")
    hand.get("/desk/night")
    hand.sees("desk/night", "No night yet.")
    hand.get("/desk/night.csv")
    assert hand.status == 404
    hand.get("/desk/night", night="7")
    assert hand.status == 404
    picker = floor.hand("picker")
    picker.get("/desk/night")
    assert picker.status == 403


def test_what_did_not_go_stands_first_with_reason_and_next_step(shipped: Floor) -> None:  # noqa: F811
    shop = Books()
    as_it_came(shipped, "SO3")
    shop.answers["SO1"] = ConnectorError(permanent=True, reason="x", message="The order is closed.")
    at_night(shipped, shop)
    shop.has["SO2"] = ReadBack("shipped", ())
    at_night(shipped, shop)
    hand = shipped.hand("supervisor")
    hand.get("/desk/night")
    hand.sees("desk/night", "Some lines need a person", "SO1", "The order is closed.", "no waybill for it.")
    assert "SO3" not in hand.text() and '<svg class="night-bar"' in hand.page
    with shipped.database.reading() as session:
        order = session.execute(select(Order.id).where(Order.shop_order_no == "SO2")).scalar_one()
    hand.act(f"/desk/night/orders/{order}/again")
    assert "It is sent again within a minute." in hand.said
    with shipped.database.reading() as session:
        assert session.execute(select(Push.state).where(Push.order_id == order)).scalar_one() is PushState.PENDING
    hand.act(f"/desk/night/orders/{order}/again")
    assert "being sent already" in hand.said
    shop.answers.clear()
    hand.post(f"/desk/pushes/{_push(shipped, 'SO1')}/again", scan_id="x")
    done = at_night(shipped, shop)
    assert done.run.right
    hand.get("/desk/night")
    assert "All is well." in hand.text()


def _push(floor: Floor, number: str) -> int:
    with floor.database.reading() as session:
        return session.execute(
            select(Push.id).join(Order, Order.id == Push.order_id).where(Order.shop_order_no == number)
        ).scalar_one()


def test_the_statement_is_a_file_that_excel_reads_and_does_not_run(shipped: Floor) -> None:  # noqa: F811
    shop = Books()
    as_it_came(shipped, "SO3")
    at_night(shipped, shop)
    shop.has["SO1"] = ReadBack("shipped", ("=HYPERLINK(1)",))
    at_night(shipped, shop)
    hand = shipped.hand("supervisor")
    hand.get("/desk/night.csv")
    assert hand.page.startswith("\ufeff") and hand.answer.mimetype == "text/csv"
    rows = list(csv.reader(io.StringIO(hand.page.removeprefix("\ufeff"))))
    assert rows[0][:4] == ["Shop", "Order", "State", "Why"] and len(rows) == 5
    assert rows[1][1:3] == ["SO1", "different"] and rows[1][5] == "'=HYPERLINK(1)"
    by_order = {row[1]: row for row in rows[1:]}
    assert by_order["SO3"][6:11] == ["2", "2", "19.80", "19.80", "CNY"]
    assert by_order["SO2"][7] == ""
