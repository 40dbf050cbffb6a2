"""Pictures to codes: real photographs, printed codes, and files that want to do harm."""

from __future__ import annotations

import io
import os
import struct
import sys
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import barcode
import pytest
import segno
from barcode.codex import Gs1_128
from barcode.writer import ImageWriter
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from wms import camera
from wms.camera import NotAPicture, PictureTooBig, read

SHARED = Path(os.environ.get("WMS_SHARED") or Path(__file__).resolve().parents[2] / "shared")
PHOTOS = SHARED / "barcodes"
SITE = ("code_128", "ean_13", "ean_8", "upc_a", "qr_code", "data_matrix")
EVERY = tuple(camera.ENGINE_NAMES)

# Only for what must be read at all without a second decoder; the rest runs with whatever is installed.
needs_zbar = pytest.mark.skipif(
    camera.second_engine() is None, reason=f"NO SECOND DECODER: {camera.second_engine_missing()}"
)
needs_photos = pytest.mark.skipif(
    not PHOTOS.is_dir(),
    reason=f"NO PHOTOGRAPHS: {PHOTOS} is missing; set WMS_SHARED to the folder that has them",
)


def linear(kind: str, text: str) -> Image.Image:
    out = io.BytesIO()
    barcode.get(kind, text, writer=ImageWriter()).write(out, {"write_text": False, "module_width": 0.4})
    return Image.open(out).convert("L")


def qr(text: str) -> Image.Image:
    out = io.BytesIO()
    segno.make_qr(text, error="q").save(out, kind="png", scale=6, border=4)
    return Image.open(out).convert("L")


def on_a_shelf(*labels: Image.Image, size: tuple[int, int] = (1200, 900)) -> Image.Image:
    picture = Image.new("L", size, 180)
    step = size[1] // (len(labels) + 1)
    for place, label in enumerate(labels, 1):
        picture.paste(label, ((size[0] - label.width) // 2, place * step - label.height // 2))
    return picture.filter(ImageFilter.GaussianBlur(0.6))


def file(picture: Image.Image, kind: str = "JPEG", **more: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **more)
    return out.getvalue()


def texts(data: bytes, formats: Sequence[str] = SITE) -> list[str]:
    return [code.text for code in read(data, formats).codes]


# ---------------------------------------------------------------- what is read


def test_a_location_label_is_read_and_may_act() -> None:
    reading = read(file(on_a_shelf(linear("code128", "L-01-02-03"))), SITE)
    [code] = reading.codes
    assert (code.text, code.symbology, reading.message) == ("L-01-02-03", "code_128", "")
    assert reading.certain
    assert 0 < code.ms <= reading.ms


def test_the_corners_lie_on_the_label_of_the_full_size_picture() -> None:
    label = linear("code128", "L-01-02-03").resize((1200, 500))
    picture = Image.new("L", (4000, 3000), 180)
    picture.paste(label, (2400, 2200))
    reading = read(file(picture), SITE)
    assert (reading.width, reading.height) == (4000, 3000)
    across = [x for x, _ in reading.codes[0].corners]
    down = [y for _, y in reading.codes[0].corners]
    assert min(across) >= 2380
    assert max(across) <= 3620
    assert min(down) >= 2180
    assert max(down) <= 2720


def test_a_photo_of_12_megapixels_is_read() -> None:
    picture = on_a_shelf(linear("code128", "L-01-02-03").resize((1500, 700)), size=(4032, 3024))
    assert texts(file(picture, quality=90)) == ["L-01-02-03"]


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_photo_that_the_phone_marked_as_turned_stands_upright(turn: int) -> None:
    upright = on_a_shelf(linear("code128", "L-01-02-03"))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that undoes the EXIF orientation
    stored = upright.transpose(Image.Transpose(back[turn])) if turn > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = turn
    reading = read(file(stored, exif=exif), SITE)
    assert [code.text for code in reading.codes] == ["L-01-02-03"]
    assert (reading.width, reading.height) == (1200, 900)
    across = [x for x, _ in reading.codes[0].corners]
    down = [y for _, y in reading.codes[0].corners]
    assert max(across) - min(across) > max(down) - min(down)  # the label lies as it was printed


def test_several_codes_are_all_offered() -> None:
    reading = read(file(on_a_shelf(linear("code128", "L-01-02-03"), linear("code128", "A-100-200"))), SITE)
    assert sorted(code.text for code in reading.codes) == ["A-100-200", "L-01-02-03"]
    assert not reading.certain


def test_only_the_symbologies_that_were_asked_for_are_given() -> None:
    picture = file(on_a_shelf(linear("code128", "L-01-02-03"), qr("BIN-7")))
    assert texts(picture, ["qr_code"]) == ["BIN-7"]
    with pytest.raises(ValueError, match="no known symbology"):
        read(picture, ["punch card"])


def test_the_group_separator_of_gs1_is_kept() -> None:
    out = io.BytesIO()
    Gs1_128("0109501101530003\xf110LOT7\xf121SER", writer=ImageWriter()).write(out, {"write_text": False})
    label = Image.open(out).convert("L")
    assert texts(file(on_a_shelf(label))) == ["0109501101530003\x1d10LOT7\x1d21SER"]


def test_chinese_in_a_qr_code_is_read() -> None:
    assert texts(file(on_a_shelf(qr("货位 L-01-02")))) == ["货位 L-01-02"]


@pytest.mark.parametrize("formats", [("ean_13",), ("upc_a",), ("ean_13", "upc_a")])
def test_a_upc_is_the_same_twelve_digits_whatever_it_is_called(formats: tuple[str, ...]) -> None:
    reading = read(file(on_a_shelf(linear("upca", "036000291452"))), formats)
    assert [(code.text, code.symbology) for code in reading.codes] == [("036000291452", "upc_a")]
    assert reading.certain


@pytest.mark.parametrize(
    ("short", "long"),
    [("01234565", "012345000065"), ("01234531", "012300000451"), ("04963406", "049000006346")],
)
def test_a_short_upc_is_written_out(short: str, long: str) -> None:
    assert camera._retail(short, "upc_e") == (long, "upc_e")


def test_transparent_paper_is_white() -> None:
    label = linear("code128", "L-01-02-03")
    picture = Image.new("RGBA", (label.width + 80, label.height + 80), (0, 0, 0, 0))
    ink = Image.new("RGBA", label.size, (0, 0, 0, 255))
    picture.paste(ink, (40, 40), label.point(lambda value: 255 if value < 128 else 0))
    assert texts(file(picture, "PNG")) == ["L-01-02-03"]
    assert texts(file(picture.quantize(8), "PNG")) == ["L-01-02-03"]


def test_sixteen_bits_a_pixel_are_read() -> None:
    gray = on_a_shelf(linear("code128", "L-01-02-03"))
    deep = Image.frombytes("I;16", gray.size, b"".join(bytes((0, value)) for value in gray.tobytes()))
    assert texts(file(deep, "PNG")) == ["L-01-02-03"]


def test_a_label_at_an_angle_that_neither_decoder_reads_by_itself_is_read() -> None:
    turned = on_a_shelf(linear("code128", "L-01-02-03")).rotate(30, Image.Resampling.BICUBIC, fillcolor=180)
    assert texts(file(turned)) == ["L-01-02-03"]


def test_a_photo_without_a_code_says_what_to_do() -> None:
    reading = read(file(on_a_shelf()), SITE)
    assert (reading.codes, reading.message) == ((), camera.NO_CODE)


# ---------------------------------------------------------------- two readings


def answers_of(monkeypatch: pytest.MonkeyPatch, zxing: list[list[str]], zbar: list[list[str]]) -> None:
    """Both decoders say these texts, variant after variant, and nothing after that."""
    for name, said in (("_zxing", zxing), ("_zbar_read", zbar)):
        rest = iter(said)
        engine = name.strip("_").removesuffix("_read")

        def speak(image: Image.Image, wanted: object, rest=rest, engine=engine):  # type: ignore[no-untyped-def]
            return [camera._Answer(text, "code_128", engine, ()) for text in next(rest, [])]

        monkeypatch.setattr(camera, name, speak)


def test_one_reading_of_a_linear_code_is_offered_and_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    answers_of(monkeypatch, [["L-01"]], [])
    reading = read(file(on_a_shelf()), SITE)
    assert [(code.text, code.confirmed) for code in reading.codes] == [("L-01", False)]
    assert reading.message == camera.CHECK_IT
    assert not reading.certain


def test_two_decoders_that_disagree_are_both_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    answers_of(monkeypatch, [["L-01"]], [["L-07"]])
    reading = read(file(on_a_shelf()), SITE)
    assert [(code.text, code.confirmed) for code in reading.codes] == [("L-01", False), ("L-07", False)]
    assert not reading.certain


def test_a_reading_that_nothing_repeats_is_dropped_beside_one_that_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers_of(monkeypatch, [["L-01", "gKU-,M*"], ["L-01"]], [[]])
    reading = read(file(on_a_shelf()), SITE)
    assert [(code.text, code.confirmed) for code in reading.codes] == [("L-01", True)]


def test_without_the_second_decoder_the_first_goes_on_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("pyzbar")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyzbar", None)  # import raises ImportError, as without libzbar
    for kept in (camera._zbar, camera.second_engine):
        kept.cache_clear()
    try:
        assert camera.second_engine() is None
        assert "libzbar0" in camera.second_engine_missing()
        reading = read(file(on_a_shelf(linear("code128", "L-01-02-03"))), SITE)
        assert reading.certain
        assert {code.engine for code in reading.codes} == {"zxing"}
    finally:
        for kept in (camera._zbar, camera.second_engine):
            kept.cache_clear()


# ---------------------------------------------------------------- what is refused


def test_a_file_that_is_no_picture_is_refused() -> None:
    for junk in (b"", b"GIF89a", b"%PDF-1.7", b"\xff\xd8\xff", b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        with pytest.raises(NotAPicture) as refused:
            read(junk, SITE)
        assert str(refused.value) == camera.NotAPicture.message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_did_not_arrive_whole_is_refused(kind: str) -> None:
    whole = file(on_a_shelf(linear("code128", "L-01-02-03")).effect_spread(2), kind)
    with pytest.raises(NotAPicture):
        read(whole[: len(whole) // 3], SITE)


def png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [7_100, 12_000, 40_000])
def test_a_small_file_that_would_unpack_to_a_huge_picture_is_refused_unopened(side: int) -> None:
    packer = zlib.compressobj(9)
    row = b"\0" * (side // 8 + 1)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    bomb = png(side, side, rows)
    assert len(bomb) < 300_000
    with pytest.raises(PictureTooBig) as refused:
        read(bomb, SITE)
    assert refused.value.facts == {"megapixels": side * side // 1_000_000, "most": 50}
    assert str(side * side // 1_000_000) in str(refused.value)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"\x89PNG\r\n\x1a\n", b"RIFF"]),
)
def test_no_bytes_at_all_get_past_as_anything_but_a_refusal(tail: bytes, head: bytes) -> None:
    with pytest.raises(NotAPicture):
        read(head + tail, SITE)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_a_picture_with_spoilt_bytes_is_read_or_refused(at: int, spoilt: bytes) -> None:
    data = bytearray(file(Image.new("L", (64, 64), 200), "JPEG"))
    at %= len(data)
    data[at : at + len(spoilt)] = spoilt
    try:
        reading = read(bytes(data), ["code_128"])
    except NotAPicture:
        return
    assert reading.codes == ()


# ---------------------------------------------------------------- where it runs


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="NOT LINUX: threads cannot be held on a core here")
def test_decoding_uses_every_core_though_the_web_threads_are_held_on_one() -> None:
    seen: list[set[int]] = []

    def web_thread() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        camera._pools.pop(os.getpid(), None)  # a pool made by the pinned thread inherits its one core
        read(file(on_a_shelf()), SITE)
        pool = camera._pools[os.getpid()]
        seen.append(pool.submit(os.sched_getaffinity, 0).result())
        seen.append(os.sched_getaffinity(0))

    before = os.sched_getaffinity(0)
    thread = threading.Thread(target=web_thread)
    thread.start()
    thread.join()
    decoder, web = seen
    assert decoder >= before
    assert len(web) == 1


# ---------------------------------------------------------------- real photographs


def truth(picture: Path) -> set[str]:
    said = picture.with_suffix(".txt").read_text("utf-8").strip()
    also = picture.with_suffix(".also.txt")
    more = also.read_text("utf-8").splitlines() if also.exists() else []
    return {said, *(line.strip() for line in more)}


def photographs(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (PHOTOS / folder).iterdir() if path.suffix in (".jpg", ".png"))


@needs_photos
@needs_zbar
@pytest.mark.parametrize(
    ("folder", "formats", "least"),
    [
        ("zxing/code128-2", ["code_128"], 4),
        ("quagga/code_128", ["code_128"], 11),
        ("quagga/ean", ["ean_13"], 7),
        ("quagga/upc", ["upc_a"], 8),
        ("zxing/ean13-1", ["ean_13"], 15),
        ("zxing/qrcode-4", ["qr_code"], 40),
        ("zxing/datamatrix-1", ["data_matrix"], 12),
    ],
)
def test_real_labels_are_read_and_none_is_read_wrong(folder: str, formats: list[str], least: int) -> None:
    right = set()
    wrong = []
    for path in photographs(folder):
        known = {text.removeprefix("0") if len(text) == 13 else text for text in truth(path)}
        for code in read(path.read_bytes(), formats).codes:
            if code.confirmed and code.text.strip().replace("\r\n", "\n") in known:
                right.add(path.name)
            elif code.confirmed:
                wrong.append((path.name, code.text))
    assert wrong == []
    assert len(right) >= least


@needs_photos
def test_nothing_is_taken_from_photographs_without_a_code() -> None:
    taken = [
        (path.name, code.text)
        for path in photographs("zxing/falsepositives-2")[::3]  # an empty picture is the dearest
        for code in read(path.read_bytes(), EVERY).codes
        if code.confirmed
    ]
    assert taken == []
