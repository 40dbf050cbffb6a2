"""The order of tries on one picture: cheap ones first, and no more of them than it needs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from wms.camera import bars, stripes
from wms.camera.engines import MATRIX, RETAIL, Answer, answer, damaged_qr, opencv_qr, zbar, zbar_module, zxing

Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]
Known = Callable[[str], bool]

SMALL_SIDE_PX = 1000
DOUBLED_SIDE_PX = 640
CRUMPLED_SIDES_PX = (200, 240, 320)
BARS_WIDE_PX = 480  # five pixels a module of an EAN-13 are enough for a fit
# Shorter ones are mostly pieces of something else: these symbologies do not protect their ends.
SHORTEST = {"itf": 8, "code_39": 3, "codabar": 4}
# Retries of one decoder were seen to agree on a wrong number, mod-10 check digit right, and on a piece of a longer
# code: for these it takes two decoders, or a decoder and the fit of the bars, or fits of two bands of rows.
RETAIL_ALL = RETAIL | {"ean_8"}
GTIN = RETAIL_ALL | {"itf"}
BAND = ", rows "

cpu_s = time.thread_time  # the budget is this thread's own work, not what others do beside it


@dataclass
class Candidate:
    """One code that was read somehow. ``corners`` are pixels of the gray picture, ``ms`` runs from the start."""

    text: str
    symbology: str
    engine: str
    corners: tuple[tuple[float, float], ...]
    ms: float
    readings: set[tuple[str, str]] = field(default_factory=set)  # (engine, what it looked at)
    looked_at: bool = False  # its place was looked at once more
    known: bool | None = None  # None: not asked

    @property
    def agreed(self) -> bool:
        """Read twice, by what its symbology needs; a matrix code corrects itself and was never seen wrong."""
        if self.symbology in MATRIX:
            return True
        engines = {engine for engine, _ in self.readings}
        if self.symbology in RETAIL_ALL or (self.symbology == "itf" and zbar_module()[0] is not None):
            # Bands of one piece share no rows; two pieces may be the same place, cut out twice.
            bands = Counter(view.partition(BAND)[0] for engine, view in self.readings if engine == "bars")
            return len(engines) > 1 or max(bands.values(), default=0) > 1
        return len(self.readings) > 1


class Candidates:
    """All that was read so far. ``known`` is asked once for a text, and only when its answer can change something."""

    def __init__(self, known: Known | None, began: float) -> None:
        self._known, self._began = known, began
        self._found: dict[tuple[str, str], Candidate] = {}

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._found.values())

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, view: str, answers: Iterable[Answer], place: Callable[[float, float], tuple[float, float]]) -> None:
        for one in answers:
            if len(one.text) < SHORTEST.get(one.symbology, 1):
                continue
            # EAN and UPC are one family: the decoders name the same bars differently.
            key = ("retail" if one.symbology in RETAIL else one.symbology, one.text)
            if key not in self._found:
                corners = tuple(place(x, y) for x, y in one.corners)
                ms = (time.perf_counter() - self._began) * 1000
                self._found[key] = Candidate(one.text, one.symbology, one.engine, corners, ms)
            self._found[key].readings.add((one.engine, view))

    def is_known(self, one: Candidate) -> bool:
        if self._known is None:
            return False
        if one.known is None:
            one.known = self._known(one.text)
        return one.known

    def is_settled(self, one: Candidate) -> bool:
        return one.agreed or self.is_known(one)

    @property
    def any_settled(self) -> bool:
        return any(self.is_settled(one) for one in self)

    @property
    def all_settled(self) -> bool:
        return bool(self) and all(self.is_settled(one) for one in self)

    def may_act(self, one: Candidate) -> bool:
        """A retail number that the catalogue does not know never acts by itself: sharp pictures of one product were
        read as another number by every decoder, check digit right."""
        if self._known is not None and one.symbology in GTIN:
            return self.is_known(one)
        return self.is_settled(one)


def search(gray: Gray, wanted: tuple[str, ...], known: Known | None, budget_ms: float) -> Candidates:
    """All tries until enough was read or ``budget_ms`` of CPU are spent; a try that has begun is finished."""
    found = Candidates(known, time.perf_counter())
    end = cpu_s() + budget_ms / 1000
    for enough in _tries(gray, wanted, found):
        if enough or cpu_s() > end:
            break
    return found


def _here(x: float, y: float) -> tuple[float, float]:
    return x, y


def _tries(gray: Gray, wanted: tuple[str, ...], found: Candidates) -> Iterator[bool]:
    """Yields after each try whether what was found is enough."""
    linear = tuple(name for name in wanted if name not in MATRIX)
    found.add("plain", zxing(gray, wanted), _here)
    yield found.all_settled
    yield from (found.all_settled for _ in _second_looks(gray, found))
    if not found.any_settled:
        found.add("plain", zxing(gray, wanted, harder=True), _here)
        yield found.all_settled
        yield from (found.all_settled for _ in _second_looks(gray, found))
    # From here on one agreement is enough: what retries see beside it is mostly a phantom.
    pieces = list(_pieces(gray)) if linear else []
    for name, band in ((name, piece.rows(*bands[0])) for name, piece, bands in pieces):
        yield from (found.any_settled for _ in _decoded(band, linear, found, name))
        yield from (found.any_settled for _ in _decoded(band, linear, found, f"{name} sharper", sharper=True))
    yield from (found.any_settled for _ in _whole(gray, wanted, found))
    yield from (found.any_settled for _ in _second_looks(gray, found))
    layouts = tuple(layout for name, layout in _LAYOUTS.items() if name in linear)
    if layouts:
        for name, piece, bands in pieces[:2]:
            yield from (found.any_settled for _ in _fitted(name, piece, bands, layouts, found))


_LAYOUTS = {"ean_13": bars.EAN_13, "ean_8": bars.EAN_8, "upc_e": bars.UPC_E}


def _pieces(gray: Gray) -> Iterator[tuple[str, stripes.Cut, list[tuple[int, int]]]]:
    """Striped regions, upright, and their bands of rows that show the same bars."""
    for number, region in enumerate(stripes.find(gray)):
        piece = stripes.cut(gray, region)
        bands = stripes.bands(piece.gray)
        if bands:
            yield f"region {number}", piece, bands


def _second_looks(gray: Gray, found: Candidates) -> Iterator[None]:
    """The places where a linear code was read once, upright and by themselves: by the other decoder, by averages, and
    a retail number by the fit of its bars."""
    for one in [one for one in found if not one.looked_at and not found.is_settled(one)]:
        one.looked_at = True
        # UPC-A is an EAN-13 that begins with 0, and zbar reads neither unless it may read both.
        names = ("ean_13", "upc_a") if one.symbology in ("ean_13", "upc_a") else (one.symbology,)
        layout = _LAYOUTS.get(names[0])
        for region in _places_of(gray, one):
            piece = stripes.cut(gray, region)
            top, bottom = (stripes.bands(piece.gray) or [(0, len(piece.gray))])[0]
            yield from _decoded(piece.rows(top, bottom), names, found, "there")
            if not found.is_settled(one):  # a crumpled label is not the same in all its rows
                found.add("there, unaveraged", zbar(piece.gray, names), piece.place)
                yield
            if layout and not found.is_settled(one):
                yield from _fitted("there", piece, [(top, bottom)], (layout,), found)
            if found.is_settled(one):
                break


def _places_of(gray: Gray, one: Candidate) -> Iterator[stripes.Region]:
    """Where a decoder says it read: zxing-cpp gives the code's ends, zbar the lines on which it saw some of it.

    The turn is that of the bars themselves; on a bent label they do not stand square on the line of the code.
    """
    if len(one.corners) < 3:
        return
    corners = np.array(one.corners)
    around = 4 + np.ptp(corners, axis=0).max() / (8 if one.engine == "zbar" else 50)
    left, top = np.maximum(corners.min(0) - around, 0).astype(int)
    right, bottom = (corners.max(0) + around).astype(int)
    turn = stripes.direction(gray[top:bottom, left:right])
    cos, sin = np.cos(turn), np.sin(turn)
    u, v = corners @ (cos, sin), corners @ (-sin, cos)
    wide = float(np.ptp(u))
    if wide < 8:
        return
    middle, high = float(v.min() + v.max()) / 2, max(float(np.ptp(v)), 0.12 * wide)  # a line may be all that it saw
    for part in (0.15, 0.8) if one.engine == "zbar" else (0.0,):
        first, last = float(u.min()) - part * wide, float(u.max()) + part * wide
        yield stripes.Region(turn, first, last, middle - high / 2, middle + high / 2)


def _decoded(
    piece: stripes.Cut, linear: tuple[str, ...], found: Candidates, view: str, sharper: bool = False
) -> Iterator[None]:
    """Both decoders on a few rows, each the mean of many: a sixth of the work, and noise is gone."""
    rows, each = 8, 5
    means = _array(cv2.resize(piece.gray, (piece.gray.shape[1], rows), interpolation=cv2.INTER_AREA))
    image = np.repeat(means, each, axis=0)
    if sharper:
        image = _sharpened(image, 2, 1.8)
    stretch = piece.gray.shape[0] / image.shape[0]

    def place(x: float, y: float) -> tuple[float, float]:
        return piece.place(x, y * stretch)

    for engine in (zbar, zxing):
        found.add(view, engine(image, linear), place)
        yield


def _fitted(
    name: str, piece: stripes.Cut, bands: list[tuple[int, int]], layouts: tuple[bars.Layout, ...], found: Candidates
) -> Iterator[None]:
    """Bars fitted to bands of rows that share none: each is a reading of its own."""
    shrink = min(1.0, BARS_WIDE_PX / piece.wide)
    first: bars.Found | None = None

    def line(top: int, bottom: int) -> Floats:
        rows = piece.gray[top:bottom].astype(np.float32).mean(0)
        if shrink < 1:
            rows = cv2.resize(rows.reshape(1, -1), (round(len(rows) * shrink), 1), interpolation=cv2.INTER_AREA)
        return np.asarray(rows, np.float32).ravel()

    def add(top: int, bottom: int, one: bars.Found) -> None:
        start, end = one.start / shrink, one.end / shrink
        corners = ((start, float(top)), (end, float(top)), (end, float(bottom)), (start, float(bottom)))
        code = answer(one.text, one.layout.symbology, "bars", corners)
        found.add(f"{name}{BAND}{top} to {bottom}", [code], piece.place)

    for number, (top, bottom) in enumerate(_thirds(*bands[0]) + bands[1:2]):
        brightness = line(top, bottom)
        one = bars.read_again(brightness, first) if first else None
        one = one or bars.read(brightness, layouts, piece.wide * shrink, search=number < 2)
        middle = (top + bottom) // 2
        if one and not first and bottom - top >= 6:
            # Its own halves: two readings where gloss leaves no other rows.
            halves = [bars.read_again(line(a, b), one) for a, b in ((top, middle), (middle, bottom))]
            if all(half and half.text == one.text for half in halves):
                add(top, middle, one)
                add(middle, bottom, one)
                yield
                return
        if one:
            first = first or one
            add(top, bottom, one)
        yield


def _thirds(top: int, bottom: int) -> list[tuple[int, int]]:
    """The middle of a band first: what is above and below it reaches into its edges."""
    third = (bottom - top) // 3
    if third < 3:
        return [(top, bottom)]
    return [(top + third, bottom - third), (top, top + third), (bottom - third, bottom)]


def _whole(gray: Gray, wanted: tuple[str, ...], found: Candidates) -> Iterator[None]:
    """Other pictures of the whole, for what is not striped."""
    side = max(gray.shape)
    shrink = SMALL_SIDE_PX / side if side > 1.2 * SMALL_SIDE_PX else 1.0
    if shrink < 1:
        gray = _array(cv2.resize(gray, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA))

    def place(x: float, y: float) -> tuple[float, float]:
        return x / shrink, y / shrink

    matrix = tuple(name for name in wanted if name in MATRIX)
    for name, image in _variants(gray):
        found.add(name, zxing(image, matrix), place)
        yield
    found.add("plain", zbar(gray, wanted), place)
    yield
    if "qr_code" in wanted:
        yield from _crumpled(gray, found, place)


def _crumpled(gray: Gray, found: Candidates, place: Callable[[float, float], tuple[float, float]]) -> Iterator[None]:
    """A QR code that is seen and does not decode lies on a bag or a shirt; three sizes suit what follows its folds."""
    for corners in damaged_qr(gray)[:1]:
        at = np.array(corners)
        around = 0.15 * np.ptp(at, axis=0)
        left, top = np.maximum(at.min(0) - around, 0).astype(int)
        right, bottom = (at.max(0) + around).astype(int)
        piece = gray[top:bottom, left:right]
        for side in CRUMPLED_SIDES_PX:
            scale = side / max(piece.shape)
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            image = _sharpened(_array(cv2.resize(piece, None, fx=scale, fy=scale, interpolation=how)), 2, 1.5)
            read = [
                replace(one, corners=tuple((left + x / scale, top + y / scale) for x, y in one.corners))
                for one in opencv_qr(image)
            ]
            found.add("crumpled", read, place)
            yield


def _variants(gray: Gray) -> Iterator[tuple[str, Gray]]:
    """Against grain, a soft lens, gloss and shadow, and (last, it is dearest) few pixels a module."""
    soft = _array(cv2.GaussianBlur(gray, (0, 0), 1.2))
    yield "soft", soft
    yield "sharp", _sharpened(gray, 2, 1.8)
    yield "local contrast", _array(cv2.createCLAHE(3.0, (4, 4)).apply(soft))
    mean, black_or_white = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY
    yield "threshold", _array(cv2.adaptiveThreshold(soft, 255, mean, black_or_white, 31, 2))
    if max(gray.shape) <= DOUBLED_SIDE_PX:
        yield "double", _sharpened(_array(cv2.resize(gray, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)), 4, 2.5)


def _sharpened(image: Gray, sigma: float, amount: float) -> Gray:
    return _array(cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (0, 0), sigma), -amount, 0))


def _array(image: object) -> Gray:
    return np.asarray(image, np.uint8)
