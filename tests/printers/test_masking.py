"""What a stranger in the stairwell may not read on a parcel (GB/T 41833-2022)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from printers.masking import mask_address, mask_name, mask_phone


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张三", "张*"),
        ("张三丰", "张**"),
        ("欧阳娜娜", "欧***"),
        ("阿卜杜拉·买买提", "阿***"),
        ("张", "*"),
        ("John Smith", "J***"),
        ("张*", "张*"),
        ("＊三", "**"),
        ("  ", ""),
        ("", ""),
    ],
)
def test_a_name_shows_its_first_character_only(name: str, masked: str):
    assert mask_name(name) == masked


@pytest.mark.parametrize(
    ("phone", "masked"),
    [
        ("13812345678", "138******78"),
        ("138****5678", "138******78"),
        ("138******78", "138******78"),
        ("+86 138 1234 5678", "138******78"),
        ("0086-13812345678", "138******78"),
        ("１３８１２３４５６７８", "138******78"),
        ("010-12345678", "010******78"),
        ("12345678", "******78"),
        ("123456", "******"),
        ("110", "******"),
        ("13812345678/13912345678", "138******78 / 139******78"),
        ("", ""),
        ("none", ""),
    ],
)
def test_a_phone_hides_at_least_six_digits(phone: str, masked: str):
    assert mask_phone(phone) == masked


@pytest.mark.parametrize("phone", ["13800000000转1234", "13800000000-1234"])
def test_a_number_made_for_the_delivery_is_left_for_the_courier_to_call(phone: str):
    assert mask_phone(phone) == phone


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("阜通东大街6号方恒国际中心12号楼3单元1502室", "阜通东大街6号方恒国际中心12号楼*单元*室"),
        ("幸福小区12栋1203", "幸福小区12栋*"),
        ("幸福小区3-2-501", "幸福小区3-*"),
        ("幸福小区5号楼2单元501", "幸福小区5号楼*单元*"),
        ("幸福小区五号楼三单元五零二室", "幸福小区五号楼*单元*室"),
        ("幸福小区1203", "幸福小区*"),
        ("幸福里8号楼2-501", "幸福里8号楼*"),
        ("科技园A座15层1503A", "科技园A座15层*"),
        ("幸福小区3#1203", "幸福小区3#*"),
        ("6 Futong Street Apt 5B", "6 Futong Street Apt *"),
        ("6 Futong Street, Room 1203, Beijing", "6 Futong Street, Room *, Beijing"),
        ("6 Futong Street # 12", "6 Futong Street #*"),
        ("中山路100号", "中山路100号"),
        ("三门县海游街道朝阳路118号", "三门县海游街道朝阳路118号"),
        ("建国门外大街1号", "建国门外大街1号"),
        ("中山路1203", "中山路1203"),
        ("幸福小区12栋*单元**室", "幸福小区12栋*单元**室"),
        ("", ""),
    ],
)
def test_an_address_keeps_street_and_building_and_hides_unit_and_flat(address: str, masked: str):
    assert mask_address(address) == masked


@given(st.text(alphabet="0123456789*+- ()/", max_size=16))
def test_no_phone_shows_more_than_five_digits_or_hides_fewer_than_six(phone: str):
    if re.search(r"1\d{10}\s*-", phone):
        return
    for part in mask_phone(phone).split(" / "):
        assert sum(sign.isdigit() for sign in part) <= 5
        assert not part or part.count("*") >= 6


@given(st.text(alphabet="张三abc*·1 室单元栋-0", max_size=20))
def test_masking_what_is_masked_changes_nothing(text: str):
    assert mask_name(mask_name(text)) == mask_name(text)
    assert mask_phone(mask_phone(text)) == mask_phone(text)
    assert mask_address(mask_address(text)) == mask_address(text)
