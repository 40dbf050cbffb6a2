"""Price tables: taken in line by line, the suggestion on the way in, the true weight at the bench, the cost kept."""

from __future__ import annotations

import io

import pytest
from sqlalchemy import select

from tests import ways
from tests.connectors.workbook import xlsx
from tests.floor import Floor, Hand
from wms.db import Actor
from wms.flows import take_in
from wms.models import Carrier, CarrierPrice, Order, OrderLine, Parcel, Printer, Shop, Waybill

HEAD = "快递公司,省份,首重(kg),首重价格(元),续重(kg),续重价格,最小重量(kg),最大重量(kg),生效日期"
TABLE = f"""{HEAD}
京东快递,测试省,1,8.00,1,3.00,0,20,2026-01-01
ZTO,测试省,1,5.50,1,4.00,0,20,2026-01-01
"""


def sends(floor: Floor, text: str | bytes, name: str = "prices.csv", act: str = "take") -> Hand:
    hand = floor.hand("supervisor")
    data = text.encode("gb18030") if isinstance(text, str) else text
    hand.post("/desk/carriers/prices", file=(io.BytesIO(data), name), act=act)
    return hand


def lines(floor: Floor) -> list[CarrierPrice]:
    with floor.database.reading() as session:
        return list(session.execute(select(CarrierPrice).order_by(CarrierPrice.id)).scalars())


def chooses(floor: Floor, **other: str) -> None:
    with floor.database.reading() as session:
        shop = session.execute(select(Shop)).scalar_one()
    hand = floor.hand("supervisor")
    hand.act(f"/desk/carriers/prices/shops/{shop.id}", **{"cheapest": "1", "only": "", "never": "", **other})
    assert hand.status == 200, hand.text()


@pytest.fixture
def priced(any_floor: Floor) -> Floor:
    """Two carriers with prices, of which ZTO is cheaper up to 3 kg; a shop that takes the cheapest."""
    any_floor.item("A1")  # 100 g
    any_floor.stock("A1", "A-01-01-1", 60)
    assert sends(any_floor, TABLE).status == 200
    chooses(any_floor)
    return any_floor


def code(floor: Floor, carrier_id: int | None) -> str:
    with floor.database.reading() as session:
        return session.get_one(Carrier, carrier_id).code if carrier_id else ""


def test_a_table_is_taken_in_line_by_line(floor: Floor) -> None:
    text = TABLE + (
        "XX,测试省,1,8,1,3,0,20,\n"
        "ZTO,测试省,1,9,1,3,0,20,2026-01-01\n"
        "ZTO,江浙沪,1000g,¥6.5,0.5,1.2,,,2026/3/1\n"
        "ZTO,,1,8,1,3,0,20,\n"
        "ZTO,青海,无,8,1,3,0,20,\n"
        "ZTO,西藏,1,贵,1,3,0,20,\n"
        "ZTO,新疆,1,8,1,3,20,3,\n"
        "ZTO,海南,1,8,1,3,0,20,明天\n"
        "ZTO,其他,0,8,1,3,0,20,\n"
    )
    hand = sends(floor, text, act="look")
    hand.sees("desk/carrier_prices", "5 prices would be taken, 8 lines left out.", "Nobody knows the carrier XX.")
    assert lines(floor) == []
    hand = sends(floor, text)
    hand.sees(
        "desk/carrier_prices", "5 prices were taken, 8 lines left out.", "stands in the file twice", "贵 is no price."
    )
    east = [line for line in lines(floor) if line.region in ("江苏", "浙江", "上海")]
    assert [(e.first_g, e.first_minor, e.step_g, e.step_minor, e.min_g, e.max_g) for e in east] == [
        (1000, 650, 500, 120, 0, 100_000)
    ] * 3
    assert str(east[0].valid_from) == "2026-03-01"
    sends(floor, TABLE.replace("5.50", "5.80"))
    assert len(lines(floor)) == 5
    assert [line.first_minor for line in lines(floor) if line.region == "测试省".removesuffix("省")] == [800, 580]


def test_a_workbook_and_a_file_of_something_else(floor: Floor) -> None:
    rows = [line.split(",") for line in TABLE.strip().split("\n")]
    sends(floor, xlsx([["2026 报价"], *rows]), "报价.xlsx").sees("desk/carrier_prices", "2 prices were taken")
    hand = sends(floor, "订单号,商品\n1,2\n")
    assert (hand.status, "The file has no column for 快递公司, 省份" in hand.said) == (422, True), hand.said


def test_an_order_goes_with_the_cheapest_by_the_weight_of_its_items(priced: Floor) -> None:
    light, heavy = priced.order("SO-1", ("A1", 5)), priced.order("SO-2", ("A1", 45))
    one, two = priced.order_row(light), priced.order_row(heavy)
    assert (code(priced, one.carrier_id), one.expected_cost_minor, one.carrier_suggested) == ("ZTO", 550, True)
    # 4.5 kg: ZTO 5.50 + 4 × 4.00, JD 8.00 + 4 × 3.00
    assert (code(priced, two.carrier_id), two.expected_cost_minor) == ("JD", 2000)


@pytest.mark.parametrize(
    ("lists", "carrier"), [({"only": "JD"}, "JD"), ({"never": "zto"}, "JD"), ({"only": "jd, ZTO"}, "ZTO")]
)
def test_a_shop_allows_and_forbids(priced: Floor, lists: dict[str, str], carrier: str) -> None:
    chooses(priced, **lists)
    assert code(priced, priced.order_row(priced.order("SO-1", ("A1", 1))).carrier_id) == carrier


def test_a_shop_that_does_not_ask_keeps_its_own_carrier(priced: Floor) -> None:
    chooses(priced, cheapest="")
    row = priced.order_row(priced.order("SO-1", ("A1", 1)))
    assert (code(priced, row.carrier_id), row.carrier_suggested, row.expected_cost_minor) == ("JD", False, None)
    hand = priced.hand("supervisor")
    with priced.database.reading() as session:
        shop_id = session.execute(select(Shop.id)).scalar_one()
    hand.act(f"/desk/carriers/prices/shops/{shop_id}", cheapest="1", only="NOBODY")
    assert (hand.status, hand.said) == (422, "There is no carrier with the code NOBODY.")


def packs(floor: Floor, number: str, pieces: int, weight_g: int, tote: str = "001") -> Parcel:
    order_id = floor.order(number, ("A1", pieces))
    floor.release(order_id)
    ways.picked(floor, order_id, tote)
    parcel_id = ways.labelled(floor, tote, weight_g=weight_g)
    with floor.database.reading() as session:
        return session.get_one(Parcel, (floor.warehouse_id, parcel_id))


def test_the_true_weight_chooses_anew_and_its_cost_stays_with_the_parcel(priced: Floor) -> None:
    light, heavy = packs(priced, "SO-1", 1, 900), packs(priced, "SO-2", 1, 4200, "002")
    assert (code(priced, light.carrier_id), light.cost_minor) == ("ZTO", 550)
    assert (code(priced, heavy.carrier_id), heavy.cost_minor) == ("JD", 2000)
    with priced.database.reading() as session:
        assert sorted(session.execute(select(Waybill.number)).scalars()) == ["TEST000000001", "TESTZ000000001"]
    for parcel in (light, heavy):
        ways.handed_over(priced, parcel.id)
    hand = priced.hand("supervisor")
    hand.get("/desk/carriers/report")
    hand.sees("desk/carrier_report", "京东快递 1 4.2 ¥ 20.00", "中通快递 1 0.9 ¥ 5.50", "Together 2 5.1 ¥ 25.50")
    priced.books_are_right()


def test_what_a_person_chose_no_scale_changes(priced: Floor) -> None:
    order_id = priced.order("SO-1", ("A1", 1))
    hand = priced.hand("supervisor")
    hand.act(f"/desk/orders/{order_id}/carrier", carrier=str(priced.carrier("ZTO").id))
    row = priced.order_row(order_id)
    assert (row.carrier_suggested, row.expected_cost_minor) == (False, 550)
    priced.release(order_id)
    ways.picked(priced, order_id)
    ways.labelled(priced, weight_g=4200)
    with priced.database.reading() as session:
        parcel = session.execute(select(Parcel)).scalar_one()
    assert (code(priced, parcel.carrier_id), parcel.cost_minor) == ("ZTO", 550 + 4 * 400)


def test_a_carrier_of_another_label_size_does_not_come_in_at_the_bench(priced: Floor) -> None:
    with priced.database.transaction(priced.actor()) as session:
        session.execute(select(Carrier).where(Carrier.code == "JD")).scalar_one().label_size = "76x130"
    parcel = packs(priced, "SO-1", 1, 4200)
    assert code(priced, parcel.carrier_id) == "ZTO"
    with priced.database.reading() as session:
        assert session.execute(select(Printer.height_mm).where(Printer.code == "WB1")).scalar_one() == 150


def test_an_order_changed_at_the_shop_is_weighed_again(priced: Floor) -> None:
    order_id = priced.order("SO-1", ("A1", 1))
    with priced.database.transaction(Actor(priced.warehouse_id)) as session:
        order = session.get_one(Order, (priced.warehouse_id, order_id))
        session.execute(select(OrderLine)).scalar_one().qty = 45
        session.flush()
        order.state = order.state.HELD
        take_in.let_go(session, order)
    assert code(priced, priced.order_row(order_id).carrier_id) == "JD"


def test_a_province_and_a_weight_can_be_tried_out(priced: Floor) -> None:
    hand = priced.hand("supervisor")
    hand.get("/desk/carriers/prices", province="测试省", weight_g="4500")
    hand.sees("desk/carrier_prices", "京东快递 The cheapest today ¥ 20.00", "中通快递 ¥ 21.50")
    hand.get("/desk/carriers/prices", province="月球", weight_g="1")
    hand.sees("desk/carrier_prices", "No carrier has a price for that.")
