"""Striped regions of a picture, cut out so that their bars stand upright. Neither decoder scans at an angle itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]

CELLS = 96  # along the longest side: the grid on which directions are compared
LOOK_SIDE_PX = 1000  # finer stripes than a picture of this size shows are not looked for
ALIKE = math.radians(15)
_CLOSE = np.ones((3, 3), np.uint8)

# The machine's cores are shared by the pictures, one each.
cv2.setNumThreads(1)


@dataclass(frozen=True)
class Region:
    """A turned rectangle: ``turn`` (radians) is the direction across the bars, u runs along it, v along the bars."""

    turn: float
    u0: float
    u1: float
    v0: float
    v1: float
    weight: float = 0

    @property
    def wide(self) -> float:
        return self.u1 - self.u0

    @property
    def high(self) -> float:
        return self.v1 - self.v0


@dataclass(frozen=True)
class Cut:
    """A piece of the picture; ``back`` (2 × 3) takes its pixels to those of the whole."""

    gray: Gray
    back: NDArray[np.float64]
    wide: float  # of the region in pixels of the cut, its margins left out

    def place(self, x: float, y: float) -> tuple[float, float]:
        across, down = self.back @ (x, y, 1.0)
        return float(across), float(down)

    def rows(self, top: int, bottom: int) -> Cut:
        back = self.back.copy()
        back[:, 2] += back[:, 1] * top
        return Cut(self.gray[top:bottom], back, self.wide)


def find(gray: Gray, most: int = 3) -> list[Region]:
    """The regions in which lines run one way, the weightiest first.

    By the structure tensor: where gradients agree on a direction there are stripes, whatever that direction is.
    Contrast is evened out before, so that gloss and shadow do not hide them.
    """
    shrink = max(1.0, max(gray.shape) / LOOK_SIDE_PX)
    look = gray
    if shrink > 1:
        look = np.asarray(cv2.resize(gray, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA), np.uint8)
    height, width = look.shape
    cell = max(2, round(max(height, width) / CELLS))
    xx, yy, xy = _tensor(look, cell)
    rows, columns = xx.shape
    both, difference = xx + yy, np.hypot(xx - yy, 2 * xy)
    agreed = difference / (both + 1e-3)
    cos, sin = (xx - yy) / (difference + 1e-6), 2 * xy / (difference + 1e-6)  # of twice the direction
    strength = np.sqrt(np.maximum(both, 0))
    floor = max(0.5, 0.15 * float(np.percentile(strength, 95)))
    striped = np.where((agreed > 0.5) & (strength > floor), agreed**2 * np.minimum(1, strength / 4), 0)
    striped = striped.astype(np.float32)
    around = cv2.blur(striped, (9, 9), borderType=cv2.BORDER_CONSTANT)
    free = np.ones(striped.shape, bool)
    found: list[Region] = []
    scale = np.array([width / columns, height / rows]) * shrink
    for _ in range(2 * most):
        y, x = divmod(int(np.where(free, around, 0).argmax()), columns)
        if not free[y, x] or around[y, x] < 0.05:
            break
        alike = (cos * cos[y, x] + sin * sin[y, x] > math.cos(2 * ALIKE)) & (agreed > 0.45)
        alike &= (strength > max(floor, 0.25 * strength[y, x])) & free
        joined = cv2.morphologyEx(alike.astype(np.uint8), cv2.MORPH_CLOSE, _CLOSE)
        _, labels = cv2.connectedComponents(joined, connectivity=8)
        part = (labels == labels[y, x]) & (labels[y, x] > 0)
        free[part] = False
        free[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = False
        if part.sum() >= 12:
            region = _region(part, striped, cos, sin, scale)
            if region.wide >= 30:
                found.append(region)
    return sorted(_merged(found), key=lambda each: -each.weight)[:most]


def direction(patch: Gray) -> float:
    """The direction across the lines of a patch that shows little else, in radians."""
    light = patch.astype(np.float32)
    across, down = cv2.Sobel(light, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(light, cv2.CV_32F, 0, 1, ksize=3)
    return 0.5 * math.atan2(2 * float((across * down).sum()), float((across * across - down * down).sum()))


def _tensor(look: Gray, cell: int) -> tuple[Floats, Floats, Floats]:
    """Products of the gradients, averaged over five cells."""
    height, width = look.shape
    around = int(max(height, width) / 14) | 1
    light = look.astype(np.float32)
    light -= cv2.blur(light, (around, around))
    light /= np.sqrt(np.maximum(cv2.blur(light * light, (around, around)), 0)) + 8  # 8: noise is not blown up
    across, down = cv2.Sobel(light, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(light, cv2.CV_32F, 0, 1, ksize=3)
    size = (max(1, width // cell), max(1, height // cell))

    def averaged(product: Floats) -> Floats:
        cells = cv2.resize(product, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.blur(cells, (5, 5), borderType=cv2.BORDER_REPLICATE), np.float32)

    return averaged(across * across), averaged(down * down), averaged(across * down)


def _region(part: NDArray[np.bool_], striped: Floats, cos: Floats, sin: Floats, scale: NDArray[np.float64]) -> Region:
    weights = striped[part]
    turn = 0.5 * math.atan2(float((sin[part] * weights).sum()), float((cos[part] * weights).sum()))
    ys, xs = np.nonzero(part)
    x, y = (xs + 0.5) * scale[0], (ys + 0.5) * scale[1]
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    half = float(scale.mean()) / 2
    (u0, u1), (v0, v1) = np.percentile(u, (1, 99)), np.percentile(v, (4, 96))
    weight = float(weights.sum() * scale[0] * scale[1])
    return Region(turn, float(u0) - half, float(u1) + half, float(v0), float(v1), weight)


def _merged(regions: Sequence[Region]) -> list[Region]:
    """Pieces of one code (a wide white or a shine parts them) become one region again."""
    waiting = sorted(regions, key=lambda each: -each.weight)
    done = []
    while waiting:
        one = waiting.pop(0)
        again = True
        while again:
            again = False
            for other in waiting:
                both = _joined(one, other)
                if both:
                    one, again = both, True
                    waiting.remove(other)
                    break
        done.append(one)
    return done


def _joined(one: Region, other: Region) -> Region | None:
    turned = (other.turn - one.turn + math.pi / 2) % math.pi - math.pi / 2
    if abs(turned) > math.radians(10):
        return None
    cos, sin = math.cos(other.turn), math.sin(other.turn)
    corners = [(u * cos - v * sin, u * sin + v * cos) for u in (other.u0, other.u1) for v in (other.v0, other.v1)]
    cos, sin = math.cos(one.turn), math.sin(one.turn)
    us, vs = [x * cos + y * sin for x, y in corners], [y * cos - x * sin for x, y in corners]
    u0, u1, v0, v1 = min(us), max(us), min(vs), max(vs)
    shared = min(v1, one.v1) - max(v0, one.v0)
    low, high = sorted((other.high, one.high))
    gap = max(u0 - one.u1, one.u0 - u1)
    if shared < 0.6 * low or high > 2.2 * low or gap > 0.12 * max(one.wide, u1 - u0):
        return None
    weightier = other.wide * other.high > one.wide * one.high
    top, bottom = (v0, v1) if weightier else (one.v0, one.v1)
    weight = one.weight + other.weight
    return Region(one.turn, min(one.u0, u0), max(one.u1, u1), top, bottom, weight)


def cut(gray: Gray, region: Region, wide_px: int = 480) -> Cut:
    """The region upright, with an eighth of white on either side, enlarged (never reduced) towards ``wide_px``."""
    margin = 0.12 * region.wide + 6
    scale = min(4.0, max(1.0, wide_px / region.wide))
    size = (int((region.wide + 2 * margin) * scale), max(8, int(region.high * scale)))
    cos, sin = math.cos(region.turn), math.sin(region.turn)
    u, v = region.u0 - margin, region.v0
    back = np.array(
        [[cos / scale, -sin / scale, u * cos - v * sin], [sin / scale, cos / scale, u * sin + v * cos]], np.float64
    )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    piece = cv2.warpAffine(gray, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return Cut(np.asarray(piece, np.uint8), back, region.wide * scale)


def bands(piece: Gray, most: int = 12) -> list[tuple[int, int]]:
    """Rows of a cut that show the same bars, the largest band first: digits and edges above and below are not code."""
    height, width = piece.shape
    n = min(most, max(1, height // 3))
    rows = cv2.resize(piece, (width, n), interpolation=cv2.INTER_AREA).astype(np.float32)
    rows = np.asarray(cv2.GaussianBlur(rows, (0, 0), sigmaX=1.2, sigmaY=1e-3), np.float32)
    around = (int(width / 8) | 1, 1)
    rest = rows - cv2.blur(rows, around)
    rest /= np.sqrt(np.maximum(cv2.blur(rest * rest, around), 0)) + 3
    rest = rest[:, int(0.2 * width) : int(0.8 * width)]
    rest -= rest.mean(1, keepdims=True)
    size = np.linalg.norm(rest, axis=1) + 1e-6
    alike = (rest[1:] * rest[:-1]).sum(1) / (size[1:] * size[:-1])
    breaks = [0, *(i + 1 for i in range(n - 1) if alike[i] < 0.75), n]
    found = sorted(pairwise(breaks), key=lambda band: band[0] - band[1])
    return [(a * height // n, b * height // n) for a, b in found if (b - a) * height // n >= 3]
