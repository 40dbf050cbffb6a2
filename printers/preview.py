"""A label as a picture for the screen: the same dots as on paper."""

from __future__ import annotations

import io

from PIL import Image

from printers.label import Bars, Frame, Label, Matrix, Picture


def picture(label: Label) -> Image.Image:
    """The label as a mode "1" picture, one dot each; set bits are ink."""
    whole = Image.new("1", (label.width, label.height))
    for mark in label.marks:
        if isinstance(mark, Picture | Matrix):
            drawn = mark.picture() if isinstance(mark, Matrix) else mark
            whole.paste(1, (drawn.x, drawn.y), drawn.image)
            continue
        fills = mark.fills() if isinstance(mark, Bars) else mark.sides() if isinstance(mark, Frame) else [mark]
        for fill in fills:
            whole.paste(1, fill.box)
    return whole


def png(label: Label) -> bytes:
    """The label as PNG, black on white, its resolution written into it."""
    out = io.BytesIO()
    black_on_white = picture(label).point([255, *[0] * 255], "1")
    black_on_white.save(out, "PNG", dpi=(label.dpi, label.dpi), optimize=True)
    return out.getvalue()
