"""Any file a person may choose by mistake or on purpose: a table, or a clear no; never a crash."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.connectors.workbook import xlsx
from wms.connectors.order_files import MAPPINGS, FileError, orders, read_table, recognise

HEADER = "订单号,货号,订购数量,下单时间,客户姓名"
TEXT = f"{HEADER}\r\n1001,A-1,2,2026-11-20 09:00:00,张三\r\n1002,B-2,1,2026-11-20 09:05:00,李四\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_encoding_and_separator_gives_the_same_rows(encoding: str, delimiter: str) -> None:
    table = read_table(TEXT.replace(",", delimiter).encode(encoding), "orders.csv")
    assert recognise(table.headers) == "jd"
    assert [row.cells for row in table.rows] == [
        ("1001", "A-1", "2", "2026-11-20 09:00:00", "张三"),
        ("1002", "B-2", "1", "2026-11-20 09:05:00", "李四"),
    ]
    assert table.delimiter == delimiter
    assert table.problems == ()


def test_the_tricks_that_keep_long_numbers_whole_are_undone() -> None:
    text = f'{HEADER}\n="298765432109876543",\'0012,"2",2026-11-20 09:00:00\t, 张三 \n'
    (row,) = read_table(text.encode("gb18030"), "orders.csv").rows
    assert row.cells == ("298765432109876543", "0012", "2", "2026-11-20 09:00:00", "张三")


def test_a_title_above_the_header_and_blank_rows_keep_their_row_numbers() -> None:
    table = read_table(f"订单导出 2026-11-20\n\n{HEADER}\n\n1001,A-1,2,2026-11-20,张三\n".encode(), "orders.csv")
    assert recognise(table.headers) == "jd"
    assert [row.number for row in table.rows] == [5]


def test_a_cell_of_several_lines_is_one_cell() -> None:
    table = read_table(f'{HEADER}\n1001,A-1,2,2026-11-20,"张三\n(门卫)"\n1002,B-2,1,,李四\n'.encode(), "o.csv")
    assert [row.cells[-1] for row in table.rows] == ["张三\n(门卫)", "李四"]


def test_a_quotation_mark_nobody_closes_costs_its_own_row_only() -> None:
    rows = "".join(f"{n},A-1,1,2026-11-20,张三\n" for n in range(1002, 1400))
    table = read_table(f'{HEADER}\n1001,"A-1,1,2026-11-20,张三\n{rows}'.encode(), "orders.csv")
    assert len(table.rows) == 399
    assert [(one.row_no, one.kind) for one in table.problems] == [(2, "open_quote")]


def test_a_chinese_letter_cut_in_half_is_reported_with_its_row() -> None:
    broken = TEXT.encode("gb18030").replace("李四".encode("gb18030"), "李四".encode("gb18030")[:3])
    table = read_table(broken, "orders.csv")
    assert recognise(table.headers) == "jd"
    assert [(one.row_no, one.kind) for one in table.problems] == [(3, "unreadable_letters")]


def test_a_workbook_reads_like_its_csv() -> None:
    rows = [line.split(",") for line in TEXT.splitlines()]
    table = read_table(xlsx(rows, first_row=3), "orders.xlsx")
    assert recognise(table.headers) == "jd"
    assert [(row.number, row.cells[0]) for row in table.rows] == [(4, "1001"), (5, "1002")]


def test_numbers_in_a_workbook_lose_their_point_and_a_ruined_order_number_is_left_out() -> None:
    header: list[str | int | float] = [*HEADER.split(",")]
    rows: list[list[str | int | float]] = [
        header,
        [1001, 84029, 2, 45981.5, "张三"],
        [298765432109876543, "A-1", 1, "", "李四"],
    ]
    table = read_table(xlsx(rows), "orders.xlsx")
    found = orders(table, MAPPINGS["jd"])
    (order,) = found.orders
    assert (order.shop_order_no, order.lines[0].sku, order.lines[0].qty) == ("1001", "84029", 2)
    assert order.ordered_at is not None
    assert order.ordered_at.isoformat() == "2025-11-20T04:00:00+00:00"
    assert [(one.row_no, one.kind) for one in found.problems] == [(3, "ruined_order_no")]


PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
BMP = b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00" + bytes(40)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\r\n", "empty"),
        (b"\x00" * 50, "empty"),
        (PNG, "picture"),
        (BMP, "picture"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "picture"),
        (b"%PDF-1.7 ...", "picture"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "picture"),
        (b"<html><table><tr><td>1</td></tr></table>", "web_page"),
        (bytes(range(256)) * 20, "not_text"),
        (b"1001,A-1,2\n1002,B-2,1\n", "no_header"),
        (b"hello\nworld\n", "no_header"),
        (b"PK\x03\x04" + bytes(200), "damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "damaged"),
        (xlsx([]), "empty"),
    ],
)
def test_what_is_no_table_is_refused_with_its_name_and_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(FileError) as told:
        read_table(content, "chosen.file")
    assert told.value.reason == reason
    assert told.value.permanent
    assert "chosen.file" in str(told.value)


def test_a_workbook_that_would_fill_the_memory_is_refused_before_it_is_opened() -> None:
    far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    with pytest.raises(FileError) as told:
        read_table(xlsx([["a", "b"]], extra=far), "bomb.xlsx")
    assert told.value.reason == "too_wide"
    assert "1048576" in str(told.value)


def test_a_file_that_names_no_sku_says_which_column_it_wants() -> None:
    table = read_table("订单编号,宝贝标题,宝贝总数量\n1,杯子,2\n".encode(), "ExportOrderList.csv")
    assert recognise(table.headers) is None
    with pytest.raises(FileError, match="外部系统编号"):
        orders(table, MAPPINGS["tmall"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.binary(max_size=400),
        st.binary(max_size=300).map(lambda tail: TEXT.encode("gb18030") + tail),
        st.binary(max_size=300).map(lambda tail: b"PK\x03\x04" + tail),
        st.text(max_size=300).map(lambda tail: (TEXT + tail).encode("utf-8", "replace")),
    )
)
def test_no_bytes_crash_it(content: bytes) -> None:
    _read_all(content)


BOOK = xlsx([line.split(",") for line in TEXT.splitlines()])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(BOOK) - 1), st.integers(0, 255), st.integers(1, len(BOOK)))
def test_no_damaged_workbook_crashes_it(at: int, value: int, length: int) -> None:
    _read_all(BOOK[:at] + bytes([value]) + BOOK[at + 1 :])
    _read_all(BOOK[:length])


def _read_all(content: bytes) -> None:
    try:
        table = read_table(content, "x")
        name = recognise(table.headers)
        if name:
            for problem in orders(table, MAPPINGS[name]).problems:
                assert problem.text
    except FileError as error:
        assert str(error)
