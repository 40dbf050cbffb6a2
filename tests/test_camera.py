"""Pictures to codes: real photographs, printed codes, and files that want to do harm."""

from __future__ import annotations

import io
import itertools
import math
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import barcode
import numpy as np
import pytest
import segno
from barcode.codex import Gs1_128
from barcode.writer import ImageWriter
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from wms import camera
from wms.camera import NotAPicture, PictureTooBig, cascade, engines, read
from wms.camera.engines import ENGINE_NAMES, Answer

SHARED = Path(os.environ.get("WMS_SHARED") or Path(__file__).resolve().parents[2] / "shared")
PHOTOS = SHARED / "barcodes"
SITE = ("code_128", "ean_13", "ean_8", "upc_a", "qr_code", "data_matrix")
EVERY = tuple(ENGINE_NAMES)

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
    assert engines.retail(short, "upc_e") == (long, "upc_e")


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


@pytest.mark.parametrize("degrees", [20, 25, 30, 37, 45, 52, 60, -20, -45, 150, 240])
def test_a_label_at_an_angle_that_neither_decoder_reads_by_itself_is_read(degrees: int) -> None:
    turned = on_a_shelf(linear("code128", "L-01-02-03")).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=180)
    reading = read(file(turned), SITE)
    assert [code.text for code in reading.codes] == ["L-01-02-03"]
    assert reading.certain


def test_the_corners_of_a_turned_label_lie_on_it() -> None:
    label = linear("code128", "L-01-02-03")
    turned = on_a_shelf(label).rotate(30, Image.Resampling.BICUBIC, fillcolor=180)
    [code] = read(file(turned), SITE).codes
    back = math.radians(30)
    for x, y in code.corners:
        dx, dy = x - 600, y - 450
        u, v = dx * math.cos(back) - dy * math.sin(back), dx * math.sin(back) + dy * math.cos(back)
        assert abs(u) <= label.width / 2 + 20
        assert abs(v) <= label.height / 2 + 20


def photographed(
    label: Image.Image, module_px: float, blur_px: float, noise: float, contrast: float = 1, drawn_px: float = 5
) -> Image.Image:
    """A drawn label as a phone sees it: so many pixels a module, soft, dim and grainy."""
    chance = np.random.default_rng(7)
    small = label.resize(
        (round(label.width * module_px / drawn_px), round(label.height * module_px / drawn_px)), Image.Resampling.BOX
    )
    picture = Image.new("L", (640, 480), 200)
    picture.paste(small, ((640 - small.width) // 2, (480 - small.height) // 2))
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(blur_px)), np.float64)
    seen = 128 + (soft - 128) * contrast + chance.normal(0, noise, soft.shape)
    return Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("module_px", "blur_px", "noise", "contrast"),
    [(3, 0.6, 2, 1), (1.6, 0.6, 2, 1), (1.4, 0.5, 2, 1), (3, 2.0, 2, 1), (3, 0.6, 20, 0.5)],
)
def test_a_small_soft_or_grainy_location_label_is_read(
    module_px: float, blur_px: float, noise: float, contrast: float
) -> None:
    seen = photographed(linear("code128", "L-01-02-03"), module_px, blur_px, noise, contrast, drawn_px=4.72)
    assert texts(file(seen, quality=85)) == ["L-01-02-03"]


@pytest.mark.parametrize(
    ("module_px", "blur_px", "noise", "contrast"),
    [(4, 0.6, 2, 1), (1.6, 0.6, 2, 1), (4, 2.0, 2, 1), (4, 0.6, 30, 0.6)],
)
def test_a_small_soft_or_grainy_location_square_is_read(
    module_px: float, blur_px: float, noise: float, contrast: float
) -> None:
    seen = photographed(qr("L-01-02-03"), module_px, blur_px, noise, contrast, drawn_px=6)
    assert texts(file(seen, quality=85)) == ["L-01-02-03"]


@pytest.mark.parametrize("blur_modules", [0.9, 1.2])
def test_a_retail_code_so_blurred_that_no_decoder_finds_an_edge_is_read(blur_modules: float) -> None:
    seen = photographed(linear("ean13", "4006381333931"), 3, 3 * blur_modules, 1, drawn_px=4.72)
    gray = np.asarray(seen)
    assert not [*engines.zxing(gray, ("ean_13",), harder=True), *engines.zbar(gray, ("ean_13",))]
    reading = read(file(seen, "PNG"), SITE)
    assert [(code.text, code.engine) for code in reading.codes] == [("4006381333931", "bars")]
    assert reading.certain


def test_a_photo_without_a_code_says_what_to_do() -> None:
    reading = read(file(on_a_shelf()), SITE)
    assert (reading.codes, reading.message) == ((), camera.NO_CODE)


# ---------------------------------------------------------------- two readings


HERE = ((100.0, 100.0), (400.0, 100.0), (400.0, 200.0), (100.0, 200.0))
THERE = ((100.0, 500.0), (400.0, 500.0), (400.0, 600.0), (100.0, 600.0))


def answers_of(monkeypatch: pytest.MonkeyPatch, zxing: list[Answer], zbar: list[Answer]) -> list[str]:
    """Both decoders say this whatever they look at; the list that is returned tells who was asked."""
    asked = []
    for name, said in (("zxing", zxing), ("zbar", zbar)):

        def speak(image: object, wanted: Sequence[str], harder: bool = False, name=name, said=said):  # type: ignore[no-untyped-def]
            asked.append(name)
            return [each for each in said if each.symbology in wanted or each.symbology in engines.RETAIL]

        monkeypatch.setattr(cascade, name, speak)
    return asked


def said(text: str, engine: str, symbology: str = "code_128", corners: engines.Corners = ()) -> Answer:
    return Answer(text, symbology, engine, corners)


def test_one_reading_of_a_linear_code_is_offered_and_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    once = iter([[said("L-01", "zxing")]])
    monkeypatch.setattr(cascade, "zxing", lambda *_, **__: next(once, []))
    monkeypatch.setattr(cascade, "zbar", lambda *_: [])
    reading = read(file(on_a_shelf()), SITE)
    assert [(code.text, code.confirmed) for code in reading.codes] == [("L-01", False)]
    assert reading.message == camera.CHECK_IT
    assert not reading.certain


def test_two_decoders_that_disagree_are_both_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = iter([[said("L-01", "zxing")]]), iter([[said("L-07", "zbar")]])
    monkeypatch.setattr(cascade, "zxing", lambda *_, **__: next(first, []))
    monkeypatch.setattr(cascade, "zbar", lambda *_: next(second, []))
    reading = read(file(on_a_shelf()), SITE)
    assert [(code.text, code.confirmed) for code in reading.codes] == [("L-01", False), ("L-07", False)]
    assert not reading.certain


def test_a_reading_that_nothing_repeats_is_dropped_beside_one_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    first = iter([[said("L-01", "zxing"), said("gKU-,M*", "zxing")]])
    monkeypatch.setattr(cascade, "zxing", lambda *_, **__: next(first, []))
    monkeypatch.setattr(cascade, "zbar", lambda *_: [said("L-01", "zbar")])
    reading = read(file(on_a_shelf()), SITE)
    assert [(code.text, code.confirmed) for code in reading.codes] == [("L-01", True)]


def test_two_agreed_readings_of_the_same_bars_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [said(text, "zxing", corners=HERE) for text in ("L-01", "L-07")]
    answers_of(monkeypatch, both, [replace(each, engine="zbar") for each in both])
    reading = read(file(on_a_shelf()), SITE)
    assert (reading.codes, reading.message) == ((), camera.DISAGREE)


def test_of_two_agreed_readings_of_the_same_bars_the_known_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [said(text, "zxing", corners=HERE) for text in ("L-01", "L-07")]
    answers_of(monkeypatch, both, [replace(each, engine="zbar") for each in both])
    reading = read(file(on_a_shelf()), SITE, known={"L-07", "L-09"}.__contains__)
    assert [code.text for code in reading.codes] == ["L-07"]
    assert reading.certain


def test_two_agreed_codes_in_two_places_are_both_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [said("L-01", "zxing", corners=HERE), said("L-07", "zxing", corners=THERE)]
    answers_of(monkeypatch, both, [replace(each, engine="zbar") for each in both])
    reading = read(file(on_a_shelf()), SITE)
    assert [(code.text, code.confirmed) for code in reading.codes] == [("L-01", True), ("L-07", True)]


@pytest.mark.parametrize(
    ("symbology", "text"),
    [("itf", "21673613349010"), ("upc_e", "049000006582"), ("ean_13", "4006381333931"), ("ean_8", "96385074")],
)
def test_retries_of_one_decoder_are_no_second_reading_of_a_number(
    monkeypatch: pytest.MonkeyPatch, symbology: str, text: str
) -> None:
    monkeypatch.setattr(cascade, "zbar_module", lambda: (object(), ""))
    answers_of(monkeypatch, [], [said(text, "zbar", symbology, HERE)])
    reading = read(file(on_a_shelf()), [symbology])
    assert [code.confirmed for code in reading.codes] == [False]
    answers_of(monkeypatch, [said(text, "zxing", symbology, HERE)], [said(text, "zbar", symbology, HERE)])
    assert read(file(on_a_shelf()), [symbology]).certain


def test_two_fits_of_one_place_are_one_reading_and_two_bands_of_it_are_two() -> None:
    def fitted(*views: str) -> cascade.Candidate:
        readings = {("bars", view) for view in views}
        return cascade.Candidate("4006381333931", "ean_13", "bars", HERE, 0, readings)

    assert not fitted("there, rows 0 to 9", "region 0, rows 2 to 11").agreed
    assert fitted("region 0, rows 0 to 9", "region 0, rows 9 to 18").agreed


@pytest.mark.parametrize(("symbology", "text"), [("itf", "216736"), ("code_39", "T*"), ("codabar", "A1B")])
def test_a_code_so_short_that_it_is_a_piece_of_another_is_not_even_offered(
    monkeypatch: pytest.MonkeyPatch, symbology: str, text: str
) -> None:
    piece = said(text, "zxing", symbology)
    answers_of(monkeypatch, [piece], [replace(piece, engine="zbar")])
    assert read(file(on_a_shelf()), [symbology]).codes == ()


# ---------------------------------------------------------------- what the flow knows


def test_a_retail_number_that_nobody_knows_never_acts_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharp photographs of one product are read as another number by every decoder, check digit right."""
    misread = said("9070004370752", "zxing", "ean_13", HERE)
    answers_of(monkeypatch, [misread], [replace(misread, engine="zbar")])
    picture = file(on_a_shelf())
    reading = read(picture, SITE, known={"0743000043101"}.__contains__)
    assert [(code.text, code.confirmed) for code in reading.codes] == [("9070004370752", False)]
    assert reading.message == camera.UNKNOWN
    assert not reading.certain
    assert read(picture, SITE).certain  # nobody was asked: both decoders agree


def test_a_real_label_outside_the_catalogue_is_shown_and_waits() -> None:
    label = file(on_a_shelf(linear("ean13", "4006381333931")))
    reading = read(label, SITE, known=lambda text: False)
    assert [(code.text, code.confirmed) for code in reading.codes] == [("4006381333931", False)]
    assert read(label, SITE, known=lambda text: text == "4006381333931").certain


def test_a_waybill_that_nobody_knows_yet_acts_all_the_same() -> None:
    assert read(file(on_a_shelf(linear("code128", "JDVB01234567890"))), SITE, known=lambda text: False).certain


def test_what_is_known_stands_for_the_second_reading_and_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers_of(monkeypatch, [said("L-01", "zxing")], [])
    reading = read(file(on_a_shelf()), SITE, known=lambda text: text == "L-01")
    assert reading.certain
    assert asked == ["zxing"]


@settings(max_examples=25, deadline=None)
@given(st.sets(st.sampled_from(["L-01", "L-02", "L-03", "4006381333931"])), st.booleans())
def test_the_hint_never_adds_a_code(known: set[str], rest: bool) -> None:
    heard: set[str] = set()

    def ask(text: str) -> bool:
        heard.add(text)
        return text in known or rest

    with pytest.MonkeyPatch.context() as patched:
        answers_of(patched, [said("L-01", "zxing"), said("4006381333931", "zxing", "ean_13")], [said("L-02", "zbar")])
        reading = read(file(on_a_shelf()), SITE, known=ask)
    assert {code.text for code in reading.codes} <= {"L-01", "L-02", "4006381333931"}
    assert heard <= {"L-01", "L-02", "4006381333931"}


def test_an_empty_picture_asks_nothing_of_the_catalogue() -> None:
    def ask(text: str) -> bool:
        raise AssertionError(text)

    assert read(file(on_a_shelf()), SITE, known=ask).codes == ()


# ---------------------------------------------------------------- what it may cost


def test_a_picture_without_a_code_ends_when_its_budget_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers_of(monkeypatch, [], [])
    ticks = itertools.count(step=0.1)
    monkeypatch.setattr(cascade, "cpu_s", lambda: next(ticks))
    read(file(on_a_shelf()), SITE, budget_ms=250)
    assert len(asked) == 3  # at 0.1, 0.2 and 0.3 s somebody looked at the clock
    asked.clear()
    read(file(on_a_shelf()), SITE, budget_ms=10_000)
    assert len(asked) > 3


def test_an_easy_picture_pays_for_no_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    def hard(*_: object) -> None:
        raise AssertionError("the hard tail was entered")

    monkeypatch.setattr(cascade.stripes, "find", hard)
    monkeypatch.setattr(cascade.bars, "read", hard)
    assert read(file(on_a_shelf(qr("BIN-7"))), SITE).certain
    assert read(file(on_a_shelf(linear("code128", "L-01-02-03"))), SITE).certain


def test_one_slow_picture_does_not_hold_up_another(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, go_on = threading.Event(), threading.Event()
    real = cascade.zxing

    def zxing(image: np.ndarray, wanted: tuple[str, ...], harder: bool = False):  # type: ignore[no-untyped-def,type-arg]
        if image.shape == (100, 100):
            slow.set()
            assert go_on.wait(30)
        return real(image, wanted, harder)

    monkeypatch.setattr(cascade, "zxing", zxing)
    pool = ThreadPoolExecutor(2)
    monkeypatch.setattr(camera, "_pool", lambda: pool)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(read, file(Image.new("L", (100, 100), 200)), SITE)
        assert slow.wait(30)
        assert read(file(on_a_shelf(qr("BIN-7"))), SITE).certain
        assert not waiting.done()
        go_on.set()
        assert waiting.result().codes == ()
    pool.shutdown()


def test_starting_another_verb_loads_neither_numpy_nor_opencv() -> None:
    seen = "import sys, wms.camera, wms.web.camera; print({'numpy', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.fixture
def without_libzbar(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in sys.modules if name.startswith("pyzbar")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyzbar", None)  # import raises ImportError, as without libzbar
    kept = (engines.zbar_module, camera.second_engine)
    for each in kept:
        each.cache_clear()
    yield
    for each in kept:
        each.cache_clear()


@pytest.mark.usefixtures("without_libzbar")
def test_without_the_second_decoder_the_first_goes_on_alone() -> None:
    assert camera.second_engine() is None
    assert "libzbar0" in camera.second_engine_missing()
    for label in (linear("code128", "L-01-02-03"), linear("itf", "10012345678902"), linear("ean13", "4006381333931")):
        reading = read(file(on_a_shelf(label)), [*SITE, "itf"])
        assert reading.certain
        assert "zbar" not in {code.engine for code in reading.codes}


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
        ("zxing/ean13-1", ["ean_13"], 14),  # one is so crumpled that a single decoder reads it: a person must agree
        ("zxing/ean13-5", ["ean_13"], 11),  # blurred beyond any edge
        ("zxing/upca-3", ["upc_a"], 6),  # a can: bent, and its bars shine
        ("zxing/qrcode-4", ["qr_code"], 42),  # some on crumpled shirts
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
