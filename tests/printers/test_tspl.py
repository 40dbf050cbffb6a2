"""TSPL holds pictures and rectangles alone too, judged by an interpreter written from its manual."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from printers import preview, tspl
from printers.errors import PrinterError
from printers.label import Label
from tests.printers import judge, tspl_interpreter
from tests.printers.test_zpl import FIELDS, NASTY, H, W, anything
from tests.printers.tspl_interpreter import NotTspl


def test_a_job_sets_the_sheet_clears_it_draws_and_prints():
    built = tspl.build(Label.of_mm(50, 30).line(10, 10, 20), copies=3)
    assert built == (
        b"SIZE 50 mm,30 mm\r\nGAP 2 mm,0 mm\r\nDIRECTION 1,0\r\nREFERENCE 0,0\r\nCLS\r\nBAR 10,10,20,2\r\nPRINT 1,3\r\n"
    )


@given(st.text(max_size=60) | st.sampled_from(NASTY), st.sampled_from(FIELDS))
@settings(max_examples=300, deadline=None)
def test_no_text_whatever_brings_a_command_onto_the_wire(text: str, field: str):
    label = Label((W, H))
    try:
        anything(label, text, field)
    except PrinterError:
        pass
    [drawn] = judge.by_tspl(tspl.build(label), label)
    assert judge.differing(drawn, preview.picture(label)) == 0


@given(st.randoms(use_true_random=False), st.integers(1, 90), st.integers(1, 60), st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_any_dots_whatever_come_out_as_they_are_and_never_as_a_command(
    chance: random.Random, width: int, height: int, x: int
):
    """Pictures out of the bytes that a printer would obey wherever they stand."""
    orders = [0xFF ^ byte for command in (b"\x1b!", b"~!", b"\r\nPRINT 1,1\r\n") for byte in command]
    row_bytes = (width + 7) // 8
    dots = bytes(chance.choice([*orders, 0, 255]) for _ in range(row_bytes * height))
    picture = Image.frombytes("1", (row_bytes * 8, height), dots).crop((0, 0, width, height))
    label = Label((400, 300)).picture(x, 5, picture)
    job = tspl.build(label)
    [drawn] = judge.by_tspl(job, label)
    assert judge.differing(drawn, preview.picture(label)) == 0
    assert [command.name for command in tspl.commands(job)].count("PRINT") == 1


def test_dots_that_spell_a_reset_are_moved_apart():
    bits = bytes(0xFF ^ byte for byte in b"\x1b!R")
    label = Label((400, 300)).picture(40, 40, Image.frombytes("1", (24, 1), bits))
    assert b"\x1b!" not in tspl.build(label)
    [drawn] = judge.by_tspl(tspl.build(label), label)
    assert judge.differing(drawn, preview.picture(label)) == 0


def test_white_between_far_pieces_is_not_sent():
    sparse = Image.new("1", (700, 900))
    for x, y in ((0, 0), (650, 0), (0, 850), (300, 400)):
        sparse.paste(1, (x, y, x + 40, y + 40))
    label = Label((W, H)).picture(10, 10, sparse)
    built = tspl.build(label)
    assert len(built) < 4 * 40 * 6 + 300
    [drawn] = judge.by_tspl(built, label)
    assert judge.differing(drawn, preview.picture(label)) == 0


def test_paper_without_gaps_is_told_to_the_printer():
    assert b"GAP 0 mm,0 mm\r\n" in tspl.build(Label.of_mm(50, 30), gap_mm=0)


@pytest.mark.parametrize(
    ("fault", "job"),
    [
        ("unknown", b"SIZE 50 mm,30 mm\r\nCLS\r\nSETC WATERMARK OFF\r\nPRINT 1,1\r\n"),
        ("quote", b'SIZE 50 mm,30 mm\r\nGAP 2 mm,0 mm\r\nCLS\r\nBAR 1,1,1,"\r\nPRINT 1,1\r\n'),
        ("before CLS", b"SIZE 50 mm,30 mm\r\nBAR 1,1,1,1\r\n"),
        ("over the edge", b"SIZE 50 mm,30 mm\r\nGAP 2 mm,0 mm\r\nCLS\r\nBAR 390,1,20,1\r\nPRINT 1,1\r\n"),
        ("none printed", b"SIZE 50 mm,30 mm\r\nGAP 2 mm,0 mm\r\nCLS\r\nPRINT 0,1\r\n"),
        ("half a job", b"SIZE 50 mm,30 mm\r\nGAP 2 mm,0 mm\r\nCLS\r\nBAR 1,1,1,1\r\n"),
        ("a short picture", b"SIZE 50 mm,30 mm\r\nGAP 2 mm,0 mm\r\nCLS\r\nBITMAP 0,0,2,2,1,\0\0\0\r\nPRINT 1,1\r\n"),
        ("mirrored", b"SIZE 50 mm,30 mm\r\nDIRECTION 1,1\r\nCLS\r\nPRINT 1,1\r\n"),
        (
            "a reset in the dots",
            b"SIZE 50 mm,30 mm\r\nGAP 2 mm,0 mm\r\nCLS\r\nBITMAP 0,0,3,1,1,\x1b!R\r\nPRINT 1,1\r\n",
        ),
    ],
)
def test_the_judge_itself_refuses_what_a_printer_would_not_print(fault: str, job: bytes):
    with pytest.raises(NotTspl):
        tspl_interpreter.render(job)


@pytest.mark.parametrize("broken", [b"hello", b"SIZE 50 mm,30 mm\r\nBITMAP 0,0,9,9,1,xx"])
def test_a_job_that_is_not_ours_is_not_walked_through(broken: bytes):
    with pytest.raises(ValueError):
        list(tspl.commands(broken))
