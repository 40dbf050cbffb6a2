"""Signatures and clocks: against the platforms' published examples, the RFCs, and any zone of the machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.untimed import untimed
from wms.connectors.signing import (
    china_time,
    compact_json,
    fen,
    from_china,
    jd_time,
    md5_sandwich,
    top_sign,
)

TOP_EXAMPLE = {
    "method": "taobao.item.seller.get",
    "app_key": "12345678",
    "session": "test",
    "timestamp": "2016-01-01 12:00:00",
    "format": "json",
    "v": "2.0",
    "sign_method": "md5",
    "fields": "num_iid,title,nick,price,num",
    "num_iid": "11223344",
}
"""Taobao's article 101617, secret ``helloworld``."""


def test_taobaos_published_example() -> None:
    assert top_sign("helloworld", TOP_EXAMPLE, "md5") == "66987CB115214E59E6EC978214934FB8"


def test_jds_published_example() -> None:
    """JD's developer guide, listId 2643: the JSON comes first by its name, and the clock tells its offset."""
    asked = (
        '{"end_date":null,"optional_fields":null,"order_state":"WAIT_SELLER_STOCK_OUT","page":"1",'
        '"page_size":"200","start_date":null}'
    )
    fields = {
        "method": "jingdong.pop.order.search",
        "app_key": "yourappkey",
        "access_token": "yourtoken",
        "timestamp": "2021-05-07 09:20:39.683+0800",
        "v": "2.0",
        "360buy_param_json": asked,
    }
    assert md5_sandwich("yourappSecret", fields) == "D70825340F4084360B9362B60DFD7930"
    assert compact_json(json.loads(asked)) == asked


def test_pinduoduos_published_example() -> None:
    fields = {
        "access_token": "asd78172s8ds9a921j9qqwda12312w1w21211",
        "client_id": "1",
        "data_type": "XML",
        "order_status": "1",
        "page": "1",
        "page_size": "10",
        "timestamp": "1480411125",
        "type": "pdd.order.number.list.get",
    }
    assert md5_sandwich("testSecret", fields) == "E4DE3ED21002510DED352819E7AE6775"


def test_the_order_in_which_fields_are_given_does_not_matter() -> None:
    backwards = dict(reversed(TOP_EXAMPLE.items()))
    assert md5_sandwich("helloworld", backwards) == md5_sandwich("helloworld", TOP_EXAMPLE)


def test_the_two_hmac_ways_against_the_rfcs() -> None:
    # RFC 2202 test 2 and RFC 4231 test 2: key "Jefe", text "what do ya want for nothing?".
    words = {"what do ya want ": "for nothing?"}
    assert top_sign("Jefe", words, "hmac") == "750C783E6AB0B503EAA86E310A5DB738"
    assert top_sign("Jefe", words, "hmac-sha256") == "5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843"


def test_a_json_value_has_one_form() -> None:
    assert compact_json({"b": [1, {"d": "张 &+", "c": None}], "a": True}) == '{"a":true,"b":[1,{"c":null,"d":"张 &+"}]}'


@untimed
@given(
    st.dictionaries(
        st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True), st.text(st.characters(codec="utf-8")), max_size=8
    ),
    st.text(st.characters(codec="utf-8"), min_size=1),
)
def test_a_signature_is_over_utf8_bytes_in_the_order_of_bytes(fields: dict[str, str], secret: str) -> None:
    raw = {key.encode("utf-8"): value.encode("utf-8") for key, value in fields.items()}
    joined = secret.encode("utf-8") + b"".join(key + raw[key] for key in sorted(raw)) + secret.encode("utf-8")
    assert md5_sandwich(secret, fields) == hashlib.md5(joined).hexdigest().upper()


# Clocks


def test_a_clock_text_is_chinas_whatever_the_zone_of_the_moment() -> None:
    noon = datetime(2026, 11, 21, 12, 0, 0, 900_000, tzinfo=UTC)
    assert china_time(noon) == "2026-11-21 20:00:00"
    assert china_time(noon.astimezone(timezone(timedelta(hours=-8)))) == "2026-11-21 20:00:00"
    assert jd_time(noon) == "2026-11-21 20:00:00.000+0800"


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Shanghai", "Asia/Kathmandu"])
def test_a_process_in_any_zone_says_the_same(zone: str) -> None:
    """Two of the foreign clients send the machine's own clock, and would be refused anywhere but in China."""
    code = (
        "import datetime, time; from wms import clock; from wms.connectors.signing import china_time, from_china\n"
        "at = clock.now(); said = china_time(at)\n"
        "print(time.tzname[0], said == (at + datetime.timedelta(hours=8)).strftime('%Y-%m-%d %H:%M:%S'),"
        " from_china(said) == at.replace(microsecond=0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TZ": zone}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[1:] == ["True", "True"], done.stdout


@untimed
@given(st.datetimes(min_value=datetime(1992, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_clock_text_read_back_is_the_same_second(at: datetime) -> None:
    assert from_china(china_time(at)) == at.replace(microsecond=0)


@pytest.mark.parametrize(
    "text", [None, "", "0001-01-01 00:00:00", "1970-01-01 00:00:00", "付款后3天内", "2026-13-01", "9999-12-31 23:59:59"]
)
def test_a_time_that_is_not_yet_is_none(text: str | None) -> None:
    assert from_china(text) is None


# Money


@pytest.mark.parametrize(
    ("yuan", "expected"), [("200.07", 20007), ("9.00", 900), (960.0, 96000), ("0", 0), ("1.005", 101), ("-3.10", -310)]
)
def test_yuan_are_whole_fen(yuan: object, expected: int) -> None:
    assert fen(yuan) == expected


@pytest.mark.parametrize("yuan", ["", "free", "NaN", "Infinity", "1e999999999", None])
def test_what_is_no_amount_is_no_zero(yuan: object) -> None:
    with pytest.raises(ValueError, match="no amount"):
        fen(yuan)


@untimed
@given(st.integers(-(10**12), 10**12))
def test_every_whole_fen_survives(amount: int) -> None:
    sign = "-" if amount < 0 else ""
    assert fen(f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}") == amount
    assert json.loads(compact_json(amount)) == amount
