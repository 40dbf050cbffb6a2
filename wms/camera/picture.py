"""A picture file to gray pixels, upright and not larger than the decoders can use. Files may want to do harm."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass

from PIL import Image

from wms.errors import N_, Refusal

MAX_PIXELS = 50_000_000
WORK_SIDE_PX = 1600  # larger ones cost ten times as much and read no more
PICTURE_KINDS = ("JPEG", "PNG", "WEBP")


class NotAPicture(Refusal):
    message = N_("This file is not a picture, or it did not arrive whole. Take the photo again.")


class PictureTooBig(NotAPicture):
    message = N_("The picture has %(megapixels)s megapixels; at most %(most)s are taken. Take a smaller one.")


# A file of some kilobytes can unpack to gigabytes; sizes are also compared before anything is unpacked.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Picture:
    gray: Image.Image  # upright, longest side at most WORK_SIDE_PX
    width: int
    height: int


def opened(data: bytes) -> Picture:
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=PICTURE_KINDS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_big(_claimed_pixels(str(error))) from error
    except Exception as error:  # Pillow's readers raise many kinds on broken files
        raise NotAPicture from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_big(width * height)
    try:
        gray = _gray(image)
    except Exception as error:  # as above: cut off, or not what its first bytes said
        raise NotAPicture from error
    turned = _orientation(image)
    if turned is not None:
        gray = gray.transpose(turned)
        if turned in _SIDEWAYS:
            width, height = height, width
    return Picture(gray, width, height)


def _claimed_pixels(text: str) -> int:
    found = re.search(r"\((\d+) pixels\)", text)
    return int(found[1]) if found else 2 * MAX_PIXELS


def _too_big(pixels: int) -> PictureTooBig:
    return PictureTooBig(megapixels=pixels // 1_000_000, most=MAX_PIXELS // 1_000_000)


def _gray(image: Image.Image) -> Image.Image:
    image.draft("L", (WORK_SIDE_PX, WORK_SIDE_PX))  # a JPEG is unpacked at 1/2, 1/4, 1/8: less to unpack
    image.load()
    if image.mode.startswith(("I", "F")):
        low, high = image.convert("F").getextrema()
        span = (float(str(high)) - float(str(low))) or 1.0
        scaled = image.convert("F").point(lambda value: value * (255 / span) - float(str(low)) * 255 / span)
        image = scaled.convert("L")
    elif image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        seen = image.convert("RGBA")
        paper = Image.new("RGBA", seen.size, "white")
        paper.alpha_composite(seen)
        image = paper.convert("L")
    elif image.mode != "L":
        image = image.convert("L")
    if max(image.size) > WORK_SIDE_PX:
        image.thumbnail((WORK_SIDE_PX, WORK_SIDE_PX), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return image


_SIDEWAYS = frozenset(
    {
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_90,
    }
)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:  # a spoilt EXIF block is no reason to refuse the picture
        return None
