"""Labels from elsewhere pass as they are, or are drawn dot for dot, or are refused with a reason."""

from __future__ import annotations

import io

import pypdfium2
import pytest
from PIL import Image, ImageOps

from printers import languages, layouts, preview, raw, zpl
from printers.errors import RefusedLabel
from printers.label import Label
from tests.printers import judge

CARRIER = b"^XA^PW799^LL1198^FO50,100^A0N,40,40^FDcarrier ^FS^FO50,200^BCN,80,N,N,N^FDABC^FS^XZ"


def png(label: Label, dpi: tuple[float, float] | None = None) -> bytes:
    out = io.BytesIO()
    seen = ImageOps.invert(preview.picture(label).convert("L"))
    seen.save(out, "PNG", **({"dpi": dpi} if dpi else {}))
    return out.getvalue()


def pdf(label: Label, width_mm: float, height_mm: float, pages: int = 1, turned: bool = False) -> bytes:
    """The label as a carrier's PDF: one picture as large as the page."""
    seen = ImageOps.invert(preview.picture(label).convert("L"))
    if turned:
        seen, width_mm, height_mm = seen.transpose(Image.Transpose.ROTATE_90), height_mm, width_mm
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        page = document.new_page(width_mm * 72 / 25.4, height_mm * 72 / 25.4)
        drawn = pypdfium2.PdfImage.new(document)
        drawn.set_bitmap(pypdfium2.PdfBitmap.from_pil(seen))
        drawn.set_matrix(pypdfium2.PdfMatrix().scale(*page.get_size()))
        page.insert_obj(drawn)
        page.gen_content()
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def waybill() -> Label:
    return template_label(203)


def template_label(dpi: int) -> Label:
    party = layouts.Party("张*", "138******78", "北京市", "阜通东大街6号*室")
    bill = layouts.Waybill("JD0012345678901", "京东快递", "330-A1", "", party, party, "T-1", "", "", "1", 100, "")
    return layouts.waybill_label(bill, "100x150", dpi)


@pytest.mark.parametrize(
    ("job", "count"),
    [
        (CARRIER, 1),
        (b"\xef\xbb\xbf \r\n" + CARRIER + b"\r\n\x00", 1),
        (CARRIER * 3, 3),
        (CARRIER.replace(b"^XZ", b"^PQ4,0,1,Y^XZ"), 4),
        (b"~DGR:LOGO.GRF,8,1,FF00FF00FF00FF00\n" + CARRIER, 1),
        (b"^XA^DFR:FORM.ZPL^FO1,1^FN1^FS^XZ" + CARRIER, 1),
    ],
)
def test_a_carriers_zpl_is_counted_and_not_touched(job: bytes, count: int):
    assert raw.kind_of(job) == "zpl"
    assert raw.check_zpl(job) == count


@pytest.mark.parametrize(
    ("job", "told", "kind"),
    [
        (b"", "does not begin with ^XA", "broken"),
        (b"<html>500</html>", "does not begin with ^XA", "broken"),
        (CARRIER[:-20], "does not end with ^XZ", "broken"),
        (b"^XA" + CARRIER, "a label begins before the one before it ended", "broken"),
        (CARRIER + b"^XZ", "a label ends twice", "broken"),
        (CARRIER.replace(b"carrier", b"~JA"), "holds ~JA, a command to the printer itself", "command"),
        (b"~JR" + CARRIER, "does not begin with ^XA", "broken"),
        (CARRIER.replace(b"^FO50,100", b"^JUS"), "holds ^JU, which saves settings", "command"),
        (CARRIER.replace(b"^FO50,100", b"^CC*"), "holds ^CC, which changes what a command begins with", "command"),
        (CARRIER.replace(b"^FO50,100", b"^cd;"), "holds ^CD", "command"),
        (CARRIER.replace(b"carrier", b"a ~ b"), "holds ~ b", "command"),
        (CARRIER.replace(b"^XZ", b"^PQ9999^XZ"), "9999 labels would come out", "broken"),
        (b"^XA^DFR:FORM.ZPL^FO1,1^FN1^FS^XZ", "0 labels would come out", "broken"),
    ],
)
def test_zpl_that_is_cut_or_speaks_to_the_machine_is_refused_with_the_reason(job: bytes, told: str, kind: str):
    with pytest.raises(RefusedLabel) as refused:
        raw.check_zpl(job)
    assert told in str(refused.value)
    assert refused.value.kind == kind


def test_a_carriers_zpl_is_compared_with_the_paper():
    raw.check_zpl_size(CARRIER, 100, 150, 203)
    raw.check_zpl_size(b"^XA^FO1,1^FS^XZ", 76, 130, 203)
    with pytest.raises(RefusedLabel, match="the label is 100×150 mm, the paper 76×130 mm") as refused:
        raw.check_zpl_size(CARRIER, 76, 130, 203)
    assert (refused.value.kind, refused.value.fact) == ("size", "100×150")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dpi", [203, 300])
def test_a_pdf_that_is_one_picture_of_the_printers_dots_is_taken_dot_for_dot(dpi: int, turned: bool):
    [label] = raw.from_pdf(pdf(template_label(dpi), 100, 150, turned=turned), 100, 150, dpi)
    assert judge.differing(preview.picture(label), preview.picture(template_label(dpi))) == 0


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dpi", [203, 300])
def test_a_pdf_of_the_papers_size_is_drawn_one_to_one_and_its_codes_read(dpi: int, turned: bool):
    """Drawn from a picture of 600 dpi, as good as lines and letters."""
    [label] = raw.from_pdf(pdf(template_label(600), 100, 150, turned=turned), 100, 150, dpi)
    assert (label.width, label.height) == (int(100 * dpi / 25.4), int(150 * dpi / 25.4))
    picture = preview.picture(label)
    for reader, found in judge.read_by_each(picture).items():
        assert found == {"JD0012345678901"}, reader
    box, wanted = picture.getbbox(), preview.picture(template_label(600)).getbbox()
    assert box is not None
    assert wanted is not None
    assert all(abs(one - two * dpi / 600) <= 2 for one, two in zip(box, wanted, strict=True))


def test_a_pdf_of_three_pages_is_three_labels(waybill: Label):
    labels = raw.from_pdf(pdf(waybill, 100, 150, pages=3), 100, 150, 203)
    assert len(labels) == 3
    assert len(judge.by_zplkit(zpl.build(labels), labels[0])) == 3


def test_a_pdf_of_another_size_is_refused_or_fitted(waybill: Label):
    document = pdf(waybill, 100, 150)
    with pytest.raises(RefusedLabel, match="the label is 100×150 mm, the paper 76×130 mm") as refused:
        raw.from_pdf(document, 76, 130, 203)
    assert (refused.value.kind, refused.value.fact) == ("size", "100×150")
    [label] = raw.from_pdf(document, 76, 130, 203, fit=True)
    box = preview.picture(label).getbbox()
    assert box is not None
    assert box[2] - box[0] <= 76 * 8
    assert judge.read(preview.picture(label)) == {"JD0012345678901"}


def test_a_png_of_the_papers_dots_is_taken_dot_for_dot(waybill: Label):
    label = raw.from_picture(png(waybill), 100, 150, 203)
    assert judge.differing(preview.picture(label), preview.picture(waybill)) == 0


def test_a_png_that_is_a_little_smaller_stands_in_the_middle(waybill: Label):
    cut = preview.picture(waybill).crop((0, 0, 795, 1192))
    small = Label((795, 1192)).picture(0, 0, cut)
    box = preview.picture(raw.from_picture(png(small), 100, 150, 203)).getbbox()
    before = cut.getbbox()
    assert box is not None
    assert before is not None
    assert (box[0] - before[0], box[1] - before[1]) == (2, 3)


@pytest.mark.parametrize("paper_dpi", [203, 300])
def test_a_png_of_another_resolution_is_scaled_by_what_it_says_of_itself(paper_dpi: int):
    other = 300 if paper_dpi == 203 else 203
    label = raw.from_picture(png(template_label(other), (other, other)), 100, 150, paper_dpi)
    box = preview.picture(label).getbbox()
    wanted = preview.picture(template_label(paper_dpi)).getbbox()
    assert box is not None
    assert wanted is not None
    assert all(abs(one - two) <= 0.02 * label.height for one, two in zip(box, wanted, strict=True))


def test_a_png_that_does_not_say_its_size_is_refused_or_fitted():
    square = png(Label((500, 500)).box(10, 10, 480, 480, 5))
    with pytest.raises(RefusedLabel, match="the picture has 500×500 dots, the paper 799×1198"):
        raw.from_picture(square, 100, 150, 203)
    box = preview.picture(raw.from_picture(square, 100, 150, 203, fit=True)).getbbox()
    assert box is not None
    assert (box[2] - box[0], box[3] - box[1]) == pytest.approx((767, 767), abs=2)


def test_a_lying_png_is_turned_to_stand(waybill: Label):
    lying = preview.picture(waybill).transpose(Image.Transpose.ROTATE_90)
    label = raw.from_picture(png(Label(lying.size).picture(0, 0, lying)), 100, 150, 203)
    assert judge.differing(preview.picture(label), preview.picture(waybill)) == 0


def test_a_transparent_png_is_black_on_white():
    out = io.BytesIO()
    seen = Image.new("RGBA", (799, 1198), (0, 0, 0, 0))
    seen.paste((0, 0, 0, 255), (100, 100, 200, 200))
    seen.save(out, "PNG")
    label = raw.from_picture(out.getvalue(), 100, 150, 203)
    assert preview.picture(label).getbbox() == (100, 100, 200, 200)


@pytest.mark.parametrize("broken", [b"%PDF-1.4 and then nothing", b"%PDF-"])
def test_a_broken_pdf_is_refused(broken: bytes):
    assert raw.kind_of(broken) == "pdf"
    with pytest.raises(RefusedLabel, match="not a PDF"):
        raw.from_pdf(broken, 100, 150, 203)


def test_a_broken_and_an_empty_picture_are_refused(waybill: Label):
    whole = png(waybill)
    assert raw.kind_of(whole) == "picture"
    with pytest.raises(RefusedLabel, match="not a picture"):
        raw.from_picture(whole[:200], 100, 150, 203)
    with pytest.raises(RefusedLabel, match="nothing is drawn"):
        raw.from_picture(png(Label((799, 1198))), 100, 150, 203)


@pytest.mark.parametrize("language", languages.LANGUAGES)
def test_a_rasterised_label_comes_out_of_both_languages_alike(waybill: Label, language: languages.Language):
    [label] = raw.from_pdf(pdf(waybill, 100, 150), 100, 150, 203)
    draw = judge.by_tspl if language == "tspl" else judge.by_zplkit
    [drawn] = draw(languages.build(language, label), label)
    assert judge.differing(drawn, preview.picture(label)) == 0
