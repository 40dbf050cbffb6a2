"""`run.py bench decode`: what counts as read, wrong and beside, on a folder of the set's layout."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import barcode
import pytest
import segno
from barcode.writer import ImageWriter
from PIL import Image

from wms.bench import decode
from wms.settings import Settings


def label(path: Path, kind: str, text: str) -> None:
    out = io.BytesIO()
    if kind == "qr":
        segno.make_qr(text).save(out, kind="png", scale=5, border=4)
    else:
        barcode.get(kind, text, writer=ImageWriter()).write(out, {"write_text": False, "module_width": 0.4})
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(out).convert("L").save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    label(root / "some/ean/a.png", "ean13", "4006381333931")
    label(root / "some/ean/b.png", "ean13", "4006381333931")
    label(root / "other/qr/c.png", "qr", "BIN-7")
    (root / "none").mkdir()
    Image.new("L", (200, 150), 180).save(root / "none/d.png")
    for folder, symbology in (("some/ean", "EAN13"), ("other/qr", "QR"), ("none", "NONE")):
        (root / folder / "_symbology.txt").write_text(symbology + "\n")
    (root / "some/ean/a.txt").write_text("4006381333931\n")
    (root / "some/ean/b.txt").write_text("5901234123457")  # a lie: what is read counts as wrong
    (root / "other/qr/c.txt").write_text("SOMETHING")
    (root / "other/qr/c.also.txt").write_text("x\nBIN-7\n")
    return root


def bench(folder: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    decode.configure(parser)
    return decode.run(parser.parse_args([str(folder), *more]), Settings())


def test_read_wrong_and_none_are_told_apart_for_the_product_and_its_peers(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(photos, "--json") == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert "4 of 4 pictures" in err  # it shows how far it is
    assert (result["pictures"], result["with_code"]) == (4, 3)
    for name in ("product", "zxing-cpp"):
        figures = result["decoders"][name]
        assert {key: figures["all"][key] for key in ("n", "read", "wrong", "beside")} == {
            "n": 3,
            "read": 2,
            "wrong": 1,
            "beside": 0,
        }
        assert figures["EAN13"]["wrong"] == 1
        assert figures["NONE"]["wrong"] == 0
        assert figures["half a"]["n"] + figures["half b"]["n"] == 3
        assert 0 < figures["all"]["cpu_ms_p50"] <= figures["all"]["cpu_ms_p95"]
    [wrong] = [each for each in result["each"] if each["decoder"] == "product" and each["wrong"]]
    assert (wrong["picture"], wrong["wrong"]) == ("some/ean/b.png", ["4006381333931"])


def test_the_table_names_what_was_read_wrong(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(photos, "--without-peers", "--unread") == 0
    table = capsys.readouterr().out
    assert "some/ean/b.png" in table
    assert "66.7 %" in table


def test_a_folder_without_pictures_is_said_loudly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        assert bench(folder) == 1
        assert "NO PICTURES" in capsys.readouterr().err


def test_a_picture_that_cannot_be_opened_fails_the_run_and_does_not_end_it(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "some/ean/a.png").write_bytes(b"no picture")
    assert bench(photos, "--without-peers") == 1
    out = capsys.readouterr().out
    assert "FAILED product some/ean/a.png" in out
    assert "QR" in out


def test_all_pictures_of_one_label_fall_in_the_same_half(photos: Path) -> None:
    (photos / "some/ean/b.txt").write_text("4006381333931")
    halves = {picture.half for picture in decode.pictures(photos) if picture.symbology == "EAN13"}
    assert len(halves) == 1


@pytest.mark.parametrize(
    ("symbology", "truth", "text", "same"),
    [
        ("EAN13", "0049000042566", "049000042566", True),
        ("UPCE", "04963406", "049000006346", True),
        ("EAN13", "419871600890101", "4198716008901", True),  # its add-on is not asked for
        ("Codabar", "A1234B", "1234", True),
        ("Code39", "2HGFG1B86BH501831", "I2HGFG1B86BH501831", True),  # the data identifier of a vehicle's number
        ("QR", "two\nlines", "two\r\nlines", True),
        ("QR", "日本", "日本".encode("shift_jis").decode("iso-8859-1"), True),  # the code does not name its charset
        ("EAN13", "4006381333931", "4006381333948", False),
        ("ITF", "2167361334", "1334", False),
        ("Code128", "L-01", "L-01x", False),
    ],
)
def test_a_text_is_true_whatever_its_reader_calls_it(symbology: str, truth: str, text: str, same: bool) -> None:
    picture = decode.Picture(Path("x.png"), "x.png", symbology, (truth,), "a")
    assert decode.is_true(picture, text) is same
