"""EAN and UPC whose bars are blurred, bent or shining: the print is found that best explains what was seen.

Decoders look for edges, and where the blur is wider than a bar there are none left. Here the brightness across the
bars is taken as printed modules seen through a blur, uneven light and a bend, none of them known. Given those three
the best digits follow from one pass of dynamic programming, because the blur of a digit reaches its neighbours only
(a maximum-likelihood decoder); given the digits, blur, light and bend follow by least squares. The two are done in
turn until nothing changes. Where to begin comes from the white beside the code, or from matching each digit's shape
along the line (deformable templates, Gallo and Manduchi, IEEE PAMI 33 (2011) 1834).

What comes out is taken only when the whole is explained well, every digit is clearly better than the next one,
and the check digit, which has no part in the search, is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from wms.camera.engines import expanded

Floats = NDArray[np.float32]

SAMPLES = 3  # a module
MARGIN = 7  # modules of white that are looked at on either side
SPREADS = 3  # knots of the kernel through which spread ink is seen
REACH = 4  # modules that the blur of one digit may reach into the next

WORST = 0.12
"""The most of the variance that may stay unexplained: one right reading in a hundred has more than 0.1, nonsense
mostly more than 0.2."""
HOPELESS = 0.6
"""A first view that leaves more than this unexplained never became a right reading."""
CLEAR = 1.12
"""By how much the unexplained part must grow when any one digit is replaced by its best rival."""
AGAIN = 0.5
"""The part of that which is asked of other rows of the same code, when they say the same."""
SHORT_CLEAR, SHORT_BLUR = 1.5, 0.6
"""The same for the short codes, which shadows can imitate, and the widest blur (sigma, modules) they may have."""

_ODD = ("0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011")
_RIGHT = tuple("".join("10"[int(bit)] for bit in odd) for odd in _ODD)
_EVEN = tuple(right[::-1] for right in _RIGHT)
_FIRST = ("OOOOOO", "OOEOEE", "OOEEOE", "OOEEEO", "OEOOEE", "OEEOOE", "OEEEOO", "OEOEOE", "OEOEEO", "OEEOEO")
_CHECK = ("EEEOOO", "EEOEOO", "EEOOEO", "EEOOOE", "EOEEOO", "EOOEEO", "EOOOEE", "EOEOEO", "EOEOOE", "EOOEOE")
"""Parities of the left half: EAN-13's first digit; UPC-E's check digit, number system 0 (1: odd and even exchanged)."""


def _modules(patterns: Sequence[str]) -> Floats:
    return np.array([[float(bit) for bit in pattern] for pattern in patterns], np.float32)


_SHAPES = {"left": _modules((*_ODD, *_EVEN)), "right": _modules(_RIGHT)}


@dataclass(frozen=True)
class Layout:
    """Where digits and guards stand, in modules. ``digits``: start, half, how many of its patterns may stand there."""

    symbology: str
    modules: int
    digits: tuple[tuple[int, str, int], ...]
    guards: tuple[tuple[int, str], ...]

    @property
    def short(self) -> bool:
        return self.modules < 95


EAN_13 = Layout(
    "ean_13",
    95,
    (*((3 + 7 * i, "left", 20) for i in range(6)), *((50 + 7 * i, "right", 10) for i in range(6))),
    ((0, "101"), (45, "01010"), (92, "101")),
)
EAN_8 = Layout(
    "ean_8",
    67,
    (*((3 + 7 * i, "left", 10) for i in range(4)), *((36 + 7 * i, "right", 10) for i in range(4))),
    ((0, "101"), (31, "01010"), (64, "101")),
)
UPC_E = Layout("upc_e", 51, tuple((3 + 7 * i, "left", 20) for i in range(6)), ((0, "101"), (45, "010101")))


@dataclass(frozen=True)
class Found:
    """A number (EAN-13 with 13 digits, EAN-8 with 8, UPC-E with 8) and where its bars begin and end on the line."""

    text: str
    layout: Layout
    start: float
    end: float
    unexplained: float
    clear: float
    seed: _Seed


# ---------------------------------------------------------------- what a print would look like


@cache
def _places(layout: Layout) -> Floats:
    """Of each sample its place in the code: 0 where the first bar begins, 1 where the last ends."""
    samples = (layout.modules + 2 * MARGIN) * SAMPLES
    return np.asarray(((np.arange(samples) + 0.5) / SAMPLES - MARGIN) / layout.modules, np.float32)


@cache
def _guard_bars(layout: Layout) -> Floats:
    bars = np.zeros((layout.modules + 2 * MARGIN) * SAMPLES, np.float32)
    for start, pattern in layout.guards:
        at = (MARGIN + start) * SAMPLES
        bars[at : at + len(pattern) * SAMPLES] = np.repeat(_modules([pattern])[0], SAMPLES)
    return bars


def _bars(layout: Layout, digits: NDArray[np.intp]) -> Floats:
    bars = _guard_bars(layout).copy()
    for (start, half, _), digit in zip(layout.digits, digits, strict=True):
        at = (MARGIN + start) * SAMPLES
        bars[at : at + 7 * SAMPLES] = np.repeat(_SHAPES[half][digit], SAMPLES)
    return bars


def _edges(bars: Floats) -> Floats:
    """Where white meets black: ink that spreads is seen as so much more black along every edge."""
    steps = np.abs(bars[..., 1:] - bars[..., :-1]) / 2
    edges = np.zeros_like(bars)
    edges[..., 1:] += steps
    edges[..., :-1] += steps
    return edges


@cache
def _drawn_digits(half: str) -> tuple[Floats, Floats]:
    """Every digit of a half with white around it, and its edges."""
    wide = np.zeros((len(_SHAPES[half]), (7 + 2 * REACH) * SAMPLES), np.float32)
    wide[:, REACH * SAMPLES : (REACH + 7) * SAMPLES] = np.repeat(_SHAPES[half], SAMPLES, axis=1)
    return wide, _edges(wide)


@cache
def _drawn_guards(layout: Layout) -> tuple[Floats, Floats]:
    bars = _guard_bars(layout).reshape(1, -1)
    return bars, _edges(bars)


class _Blurred:
    """Every digit and guard as it would be seen through one blur and with one spread of ink; black is 1, white 0."""

    def __init__(self, kernel: Floats, spread: Floats | None = None) -> None:
        self._kernel, self._spread = kernel.reshape(1, -1), None if spread is None else spread.reshape(1, -1)
        self.shapes: dict[str, Floats] = {}
        self.power: dict[str, Floats] = {}
        self.overlap: dict[str, Floats] = {}
        self._guards: dict[Layout, Floats] = {}
        for half in _SHAPES:
            seen = self._seen(*_drawn_digits(half))
            self.shapes[half] = seen
            self.power[half] = np.einsum("ij,ij->i", seen, seen)
            # What two neighbours share, counted once too little when each is compared by itself.
            self.overlap[half] = 2 * seen[:, 7 * SAMPLES :] @ seen[:, : -7 * SAMPLES].T

    def _seen(self, bars: Floats, edges: Floats) -> Floats:
        seen = cv2.filter2D(bars, -1, self._kernel, borderType=cv2.BORDER_CONSTANT)
        if self._spread is not None:
            seen = seen + cv2.filter2D(edges, -1, self._spread, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(seen, np.float32)

    def guards(self, layout: Layout) -> Floats:
        if layout not in self._guards:
            self._guards[layout] = self._seen(*_drawn_guards(layout)).ravel()
        return self._guards[layout]


@cache
def _gaussian(tenths: int) -> _Blurred:
    """The blur of a lens to begin with; ``tenths`` of a module is its sigma."""
    sigma = tenths / 10 * SAMPLES
    reach = min(REACH * SAMPLES, max(1, round(3 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return _Blurred((kernel / kernel.sum()).astype(np.float32))


# ---------------------------------------------------------------- the best digits for a given view


def _costs(rest: Floats, layout: Layout, seen: _Blurred) -> list[Floats]:
    """For each digit, (views × patterns): what it adds to the squared error when it alone is drawn."""
    costs = []
    for start, half, count in layout.digits:
        at = (MARGIN + start - REACH) * SAMPLES
        window = rest[:, at : at + (7 + 2 * REACH) * SAMPLES]
        costs.append(seen.power[half][:count] - 2 * (window @ seen.shapes[half][:count].T))
    return costs


def _joined(layout: Layout, seen: _Blurred, i: int) -> Floats | None:
    """What digit i and the one before add together; None where a guard stands between them."""
    (before, half, count), (start, _, _) = layout.digits[i - 1], layout.digits[i]
    return seen.overlap[half][:count, :count] if start - before == 7 else None


def _least_costs(costs: list[Floats], layout: Layout, seen: _Blurred) -> Floats:
    """The cost of the best digits of each view (Viterbi without the way back)."""
    total = costs[0]
    for i in range(1, len(costs)):
        joined = _joined(layout, seen, i)
        if joined is None:
            total = total.min(1)[:, None] + costs[i]
        else:
            total = (total[:, :, None] + joined[None]).min(1) + costs[i]
    return np.asarray(total.min(1), np.float32)


def _best_digits(costs: list[Floats], layout: Layout, seen: _Blurred) -> tuple[float, NDArray[np.intp]]:
    """The best digits of one view (rows of ``costs``), and what they cost."""
    total, back = costs[0], []
    for i in range(1, len(costs)):
        joined = _joined(layout, seen, i)
        paths = total[:, None] + (np.zeros((1, len(costs[i])), np.float32) if joined is None else joined)
        back.append(paths.argmin(0))
        total = paths.min(0) + costs[i]
    digits = [int(total.argmin())]
    for chosen in reversed(back):
        digits.append(int(chosen[digits[-1]]))
    return float(total.min()), np.array(digits[::-1])


def _least_rival(costs: list[Floats], layout: Layout, seen: _Blurred, digits: NDArray[np.intp]) -> float:
    """How much the cost grows at least when any one digit of a view is another (others chosen anew)."""
    ahead = [costs[0]]
    for i in range(1, len(costs)):
        joined = _joined(layout, seen, i)
        best = ahead[-1].min() if joined is None else (ahead[-1][:, None] + joined).min(0)
        ahead.append(best + costs[i])
    behind = [np.zeros_like(costs[-1])]
    for i in range(len(costs) - 1, 0, -1):
        joined, after = _joined(layout, seen, i), behind[-1] + costs[i]
        best = np.full_like(costs[i - 1], after.min()) if joined is None else (joined + after[None]).min(1)
        behind.append(best)
    least = math.inf
    for before, after, digit in zip(ahead, reversed(behind), digits, strict=True):
        through = before + after
        least = min(least, float(np.delete(through, digit).min() - through[digit]))
    return least


def _inner(layout: Layout, modules: float) -> slice:
    return slice(int((MARGIN - modules) * SAMPLES), int((MARGIN + layout.modules + modules) * SAMPLES))


# ---------------------------------------------------------------- a line, and where to begin on it


class Line:
    """The brightness across the bars: ``sign`` −1 where they shine brighter than the paper; ``evened``, for gloss and
    shadow: from where to where mean and contrast are taken out, and over what width (pixels)."""

    def __init__(self, brightness: Floats, sign: int = 1, evened: tuple[int, int, float] | None = None) -> None:
        self.sign, self.evened = sign, evened
        self.values = sign * (_evened(brightness, *evened) if evened else brightness)
        fine = cv2.resize(self.values.reshape(1, -1), (4 * len(brightness), 1), interpolation=cv2.INTER_LINEAR)
        self._fine = np.asarray(fine, np.float32).ravel()

    def at(self, places: Floats) -> Floats:
        return self._fine[self._index(places)]

    def slope_at(self, places: Floats) -> Floats:
        index = np.clip(self._index(places), 2, len(self._fine) - 3)
        return self._fine[index + 2] - self._fine[index - 2]

    def _index(self, places: Floats) -> NDArray[np.int32]:
        return np.asarray(np.clip(places * 4 + 1.5, 0, len(self._fine) - 1), np.int32)

    def blur(self, start: float, end: float) -> float:
        """Sigma in pixels if the steepest edge between two places goes from white to black."""
        part = self.values[max(0, int(start)) : max(0, int(end))]
        if len(part) < 2:
            return 1.0
        steepest = float(np.abs(np.diff(part)).max())
        return 0.9 * float(np.ptp(part)) / (math.sqrt(2 * math.pi) * max(steepest, 1e-6))


def _evened(brightness: Floats, start: int, end: int, width: float) -> Floats:
    row = brightness[start:end].reshape(1, -1)

    def soft(values: Floats) -> Floats:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), width, borderType=cv2.BORDER_REPLICATE), np.float32)

    rest = row - soft(row)
    contrast = np.sqrt(np.maximum(soft(rest * rest), 0))
    even = (rest / (contrast + 0.15 * contrast.max() + 1e-3)).ravel()
    return np.pad(even, (start, len(brightness) - end), mode="edge")


@dataclass(frozen=True, eq=False)
class _Seed:
    """A view to begin with: on which line, through which lens, which sample lies where."""

    layout: Layout
    line: Line
    places: Floats
    digits: NDArray[np.intp]
    sigma: float
    cost: float
    seen: _Blurred


def _lens(layout: Layout, views: Floats, sigma_px: float) -> float:
    """Sigma in modules, held to what can be drawn."""
    width = float(views[0, -1] - views[0, 0]) / (layout.modules + 2 * MARGIN)
    return min(1.9, max(0.4, sigma_px / max(width, 1e-3)))


def _best_view(line: Line, layout: Layout, views: Floats, sigma: float, seen: _Blurred | None = None) -> _Seed:
    """Of many views the one whose best digits explain most; black is guessed from the darkest tenth."""
    seen = seen or _gaussian(round(sigma * 10))
    light = line.at(views)
    left = light[:, int((MARGIN - 4.5) * SAMPLES) : (MARGIN - 1) * SAMPLES].max(1)[:, None]
    right = light[:, (MARGIN + layout.modules + 1) * SAMPLES : int((MARGIN + layout.modules + 4.5) * SAMPLES)].max(1)
    dark = left + (right[:, None] - left) * _places(layout) - light
    code = dark[:, MARGIN * SAMPLES : (MARGIN + layout.modules) * SAMPLES]
    tenth = int(0.93 * code.shape[1])
    black = np.partition(code, tenth, axis=1)[:, tenth][:, None] * (1 + 0.25 * max(0.0, sigma - 0.5))
    ink = (dark / np.maximum(black, 1e-3)).astype(np.float32)
    rest = ink - seen.guards(layout)
    costs = _costs(rest, layout, seen)
    part = _inner(layout, 2)
    spread = np.var(ink[:, part], axis=1) * ink[:, part].shape[1]
    share = ((rest[:, part] ** 2).sum(1) + _least_costs(costs, layout, seen)) / np.maximum(spread, 1e-6)
    best = int(share.argmin())
    _, digits = _best_digits([each[best] for each in costs], layout, seen)
    return _Seed(layout, line, views[best], digits, sigma, float(share[best]), seen)


_BENDS = np.array([-0.08, 0.0, 0.08], np.float32)
_INSETS = np.array([-1.2, -0.4, 0.4, 1.2], np.float32)


def _between(line: Line, layout: Layout, start: float, end: float) -> list[_Seed]:
    """The best view between two places where white ends: a wide blur eats into it, a narrow first bar drowns in it.

    Where no bar is wide enough to become black the blur is wider than it seems, so a wider one is tried too.
    """
    module = (end - start) / layout.modules
    first, last, bend = (
        axis.reshape(-1, 1) for axis in np.meshgrid(start + _INSETS * module, end - _INSETS * module, _BENDS)
    )
    t = _places(layout)
    views = (first + (last - first) * (t + bend * t * (1 - t))).astype(np.float32)
    sigma = _lens(layout, views, line.blur(start, end))
    if layout.short and sigma > SHORT_BLUR:
        return []
    wider = [min(1.9, 1.3 * sigma)] if sigma > 0.8 else []
    return [_best_view(line, layout, views, each) for each in (sigma, *wider)]


def _whites(values: Floats, share: float) -> list[tuple[int, int]]:
    """Stretches as bright as the brightest around them, down to ``share`` of the contrast there."""
    row, n = values.reshape(1, -1), len(values)
    around = int(n * 0.3) | 1
    element = np.ones((1, around), np.uint8)
    high = cv2.blur(cv2.dilate(row, element), (around, 1)).ravel()
    low = cv2.blur(cv2.erode(row, element), (around, 1)).ravel()
    on = np.diff(np.concatenate(([0], (values > high - share * (high - low)).astype(np.int8), [0])))
    return [
        (int(a), int(b)) for a, b in zip(np.nonzero(on == 1)[0], np.nonzero(on == -1)[0], strict=True) if b - a > n / 66
    ]


@dataclass(frozen=True)
class _Span:
    """Where a code may stand, and how many pixels of white are beside it."""

    start: int
    end: int
    left: int
    right: int

    def fits(self, layout: Layout) -> bool:
        module = (self.end - self.start) / layout.modules
        return min(self.left, self.right) > 2.5 * module and max(self.left, self.right) > 4.5 * module


def _spans(values: Floats) -> list[_Span]:
    """Between two whites wide enough to be quiet zones, none as wide inside; the longest first."""
    found: list[_Span] = []
    for share in (0.15, 0.3):
        whites = _whites(values, share)
        for i, (a, start) in enumerate(whites):
            for end, b in whites[i + 1 :]:
                span, near = _Span(start, end, start - a, b - end), (end - start) / 48
                if end - start < 0.25 * len(values) or not span.fits(EAN_13):
                    continue
                if any(start < c and d < end and d - c > 3.2 * near for c, d in whites):
                    continue
                if not any(abs(one.start - start) < near and abs(one.end - end) < near for one in found):
                    found.append(span)
    return sorted(found, key=lambda one: one.start - one.end)


# ---------------------------------------------------------------- matching shapes along the line

_STEP = 2  # samples a module here
_FLOOR = np.float32(-1000)


def _template(before: str, pattern: str, after: str) -> Floats:
    fine = np.repeat(np.array([-1.0 if bit == "1" else 1.0 for bit in before + pattern + after]), 8)
    reach = 17
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (0.7 * 8)) ** 2)
    soft = np.convolve(np.pad(fine, reach, mode="edge"), kernel / kernel.sum(), "valid")
    coarse = soft.reshape(-1, 8 // _STEP).mean(1)
    at = (len(before) - 1) * _STEP
    shape = coarse[at : at + (len(pattern) + 2) * _STEP]
    shape = shape - shape.mean()
    return np.asarray(shape / np.linalg.norm(shape), np.float32)


@cache
def _templates() -> dict[str, Floats]:
    """Shapes of one module more on either side; the outer guards carry four modules of their white."""
    return {
        "left": np.stack([_template("0011", pattern, "0011") for pattern in (*_ODD, *_EVEN)]),
        "right": np.stack([_template("1100", pattern, "1100") for pattern in _RIGHT]),
        "start": _template("0000", "0000101", "0010")[None],
        "middle": _template("0011", "01010", "1100")[None],
        "end": _template("0100", "1010000", "0000")[None],
        "end of UPC-E": _template("0011", "0101010000", "0000")[None],
    }


_WIDTH = {"left": 7, "left odd": 7, "right": 7, "start": 7, "middle": 5, "end": 7, "end of UPC-E": 10}
_ORDER = {
    EAN_13: ("start", *["left"] * 6, "middle", *["right"] * 6, "end"),
    EAN_8: ("start", *["left odd"] * 4, "middle", *["right"] * 4, "end"),
    UPC_E: ("start", *["left"] * 6, "end of UPC-E"),
}


@dataclass(frozen=True)
class _Match:
    score: float
    layout: Layout
    sign: int
    bounds: NDArray[np.float64]  # where each segment begins on the line, and the last one ends


def _matches(values: Floats, layouts: Sequence[Layout], least: float, most: float) -> list[_Match]:
    """The best chains of shapes, modules from ``least`` to ``most`` pixels wide; each may stretch by a twelfth.

    All widths are one array (width × place), padded with its last brightness, where nothing is alike.
    """
    modules = least * 1.1 ** np.arange(max(1, int(math.log(most / least) / math.log(1.1)) + 1))
    counts = [int(len(values) * _STEP / module) for module in modules]
    lines = np.empty((len(modules), counts[0]), np.float32)
    for line, count in zip(lines, counts, strict=True):
        how = cv2.INTER_AREA if count < len(values) else cv2.INTER_LINEAR
        line[:count] = cv2.resize(values.reshape(1, -1), (max(1, count), 1), interpolation=how).ravel()
        line[count:] = line[count - 1]
    scores = _scores(lines, np.array([line[:count].std() for line, count in zip(lines, counts, strict=True)]))
    raw = []
    for layout in layouts:
        if counts[0] > (layout.modules + 8) * _STEP:
            history = _chains(layout, scores)
            raw += [(*best, layout, history) for best in _peaks(history[-1], layout)]
    found: list[_Match] = []
    for score, (side, width, at), layout, history in sorted(raw, key=lambda each: -each[0]):
        bounds = _traced(layout, at, [step[side, width] for step in history]) * modules[width] / _STEP
        near = 3 * (bounds[-1] - bounds[0]) / layout.modules
        if not any(
            one.layout is layout and one.sign == 1 - 2 * side and np.abs((one.bounds - bounds)[[0, -1]]).max() < near
            for one in found
        ):
            found.append(_Match(score, layout, 1 - 2 * side, bounds))
        if len(found) == 3 or score < found[0].score - 0.04:
            break
    return found


def _scores(lines: Floats, contrast: Floats) -> dict[str, Floats]:
    """For each kind of segment, (bars dark or bright × width × place): how well its best shape fits when it begins
    there, weighted by its modules. Correlation; where the line is flat it is held near nothing."""
    sums = np.zeros((2, lines.shape[0], lines.shape[1] + 1))
    np.cumsum(np.stack([lines, lines * lines]), axis=2, dtype=np.float64, out=sums[:, :, 1:])
    scores: dict[str, Floats] = {}
    for size, names in _sizes().items():
        total, squares = sums[:, :, size:] - sums[:, :, :-size]
        spread = np.sqrt(np.maximum(squares - total * total / size, 0)) + 0.25 * contrast[:, None] * math.sqrt(size)
        scale = (1 / (spread + 1e-6)).astype(np.float32)
        windows = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(lines, size, axis=1))
        for name in names:
            alike = windows @ _templates()[name].T
            scores[name] = _weighted(alike, scale, lines.shape[1], _WIDTH[name])
            if name == "left":
                scores["left odd"] = _weighted(alike[:, :, :10], scale, lines.shape[1], 7)
    return scores


@cache
def _sizes() -> dict[int, list[str]]:
    sizes: dict[int, list[str]] = {}
    for name, shapes in _templates().items():
        sizes.setdefault(shapes.shape[1], []).append(name)
    return sizes


def _weighted(alike: Floats, scale: Floats, places: int, weight: int) -> Floats:
    widths, count, _ = alike.shape
    scores = np.full((2, widths, places), _FLOOR, np.float32)
    fit = slice(_STEP, _STEP + count)  # shapes carry one module of their neighbour in front
    np.multiply(alike.max(2), scale * np.float32(weight), out=scores[0, :, fit])
    np.multiply(alike.min(2), -scale * np.float32(weight), out=scores[1, :, fit])
    return scores


def _chains(layout: Layout, scores: dict[str, Floats]) -> list[Floats]:
    """After each segment the best sum of scores; a sample more or less than its modules costs a little."""
    order = _ORDER[layout]
    history = [scores[order[0]]]
    for before, name in pairwise(order):
        length, last = _WIDTH[before] * _STEP, history[-1]
        here = np.full_like(last, _FLOOR)
        here[..., length:] = last[..., :-length]
        odd = last - np.float32(0.25)
        np.maximum(here[..., length - 1 :], odd[..., : 1 - length], out=here[..., length - 1 :])
        np.maximum(here[..., length + 1 :], odd[..., : -length - 1], out=here[..., length + 1 :])
        here += scores[name]
        history.append(here)
    return history


def _peaks(last: Floats, layout: Layout) -> Iterator[tuple[float, tuple[int, int, int]]]:
    weight = sum(_WIDTH[name] for name in _ORDER[layout])
    left = last.copy()
    for _ in range(8):
        side, width, at = (int(i) for i in np.unravel_index(int(left.argmax()), left.shape))
        score = float(left[side, width, at]) / weight
        if score < 0.35:
            return
        yield score, (side, width, at)
        left[side, max(0, width - 1) : width + 2, max(0, at - 8) : at + 9] = _FLOOR


def _traced(layout: Layout, at: int, history: list[Floats]) -> NDArray[np.float64]:
    order = _ORDER[layout]
    bounds = [at + _WIDTH[order[-1]] * _STEP, at]
    for i in range(len(order) - 1, 0, -1):
        length, last = _WIDTH[order[i - 1]] * _STEP, history[i - 1]
        ways = [
            (float(last[at - each]) - (0.25 if each != length else 0.0), at - each)
            for each in (length, length - 1, length + 1)
            if at >= each
        ]
        at = max(ways)[1]
        bounds.append(at)
    found = np.array(bounds[::-1], np.float64)
    # The outer guards' shapes begin and end with four modules of white, which are not part of the code.
    found[0] += 4 * (found[1] - found[0]) / 7
    found[-1] -= 4 * (found[-1] - found[-2]) / _WIDTH[order[-1]]
    return found


@cache
def _smoothing(layout: Layout) -> NDArray[np.float64]:
    """(samples × bounds): the cubic that lies nearest to the bounds of the segments, straight on outside the code."""
    starts = sorted({start for start, _ in layout.guards} | {start for start, _, _ in layout.digits})
    at = np.array([*starts, layout.modules], np.float64) / layout.modules * 2 - 1
    t = _places(layout).astype(np.float64) * 2 - 1
    inside, powers = np.clip(t, -1, 1), np.arange(4)
    steep = powers * inside[:, None] ** np.maximum(powers - 1, 0)
    curve = inside[:, None] ** powers + steep * (t - inside)[:, None]
    return np.asarray(curve @ np.linalg.pinv(at[:, None] ** powers), np.float64)


def _matched(line: Line, match: _Match) -> _Seed | None:
    """The best view near a chain of shapes: its bounds smoothed, its ends moved a little."""
    layout = match.layout
    places = _smoothing(layout) @ match.bounds
    if np.any(places[1:] <= places[:-1]):
        return None
    module = float(match.bounds[-1] - match.bounds[0]) / layout.modules
    shift = np.array([-0.7, 0, 0.7]) * module
    first, last = (axis.reshape(-1, 1) for axis in np.meshgrid(shift, shift))
    t = _places(layout)
    views = (places + first * (1 - t) + last * t).astype(np.float32)
    sigma = _lens(layout, views, line.blur(match.bounds[0], match.bounds[-1]))
    return None if layout.short and sigma > SHORT_BLUR else _best_view(line, layout, views, sigma)


# ---------------------------------------------------------------- blur, light and bend for given digits


def _refined(seed: _Seed) -> Found | None:
    """Fit and read in turn; None when the fit breaks down or the number is not one."""
    layout, line = seed.layout, seed.line
    part = _inner(layout, 3)
    t = (_places(layout) * 2 - 1).astype(np.float64)
    curve = np.clip(t, -1.05, 1.05)
    bend = np.stack([np.ones_like(t), curve, 1.5 * curve**2 - 0.5, 2.5 * curve**3 - 1.5 * curve], 1)
    light = np.stack([np.ones_like(t), t], 1)
    digits, places = seed.digits, seed.places.astype(np.float64)
    module = float(places[-1] - places[0]) / (layout.modules + 2 * MARGIN)
    reach = min(REACH * SAMPLES - 1, math.ceil(2.2 * max(seed.sigma, 0.5) * SAMPLES))
    tents = _tents(reach)
    best: tuple[float, float, list[Floats], _Blurred, NDArray[np.intp], NDArray[np.float64]] | None = None
    for attempt in range(5):
        now = places.astype(np.float32)
        drawn = _bars(layout, digits)
        blurred, spread = _through(drawn, tents), _through(_edges(drawn), tents[:, :SPREADS])
        slope = line.slope_at(now).astype(np.float64)[:, None] * bend * module
        unknown = np.concatenate([-blurred, -spread, light, -slope], 1)[part]
        hold = np.full(unknown.shape[1], 1e-3)
        hold[: tents.shape[1]] = 1e-2
        hold[tents.shape[1] : tents.shape[1] + SPREADS] = 0.1
        hold[-4:] = 1e-6 * float((unknown**2).sum(0).max())
        solved = np.linalg.solve(unknown.T @ unknown + np.diag(hold), unknown.T @ line.at(now)[part].astype(np.float64))
        heights, widths, levels, bends = np.split(solved, [tents.shape[1], -6, -4])
        kernel = tents @ heights
        gain = float(kernel.sum())
        places = places + np.clip(bend @ bends, -1, 1) * module
        if gain <= 1e-3 or np.any(np.diff(places) <= 0):
            return None
        seen = _Blurred((kernel / gain).astype(np.float32), (tents[:, :SPREADS] @ widths / gain).astype(np.float32))
        white = light @ levels
        ink = ((white - line.at(places.astype(np.float32))) / gain).astype(np.float32)
        rest = ink - seen.guards(layout)
        costs = [each[0] for each in _costs(rest[None], layout, seen)]
        cost, again = _best_digits(costs, layout, seen)
        error = float((rest[part] ** 2).sum()) + cost
        share = error / max(float(np.var(ink[part])) * (part.stop - part.start), 1e-6)
        same = np.array_equal(again, digits)
        digits = again
        if best is None or share < best[0] - 1e-4:
            best = (share, error, costs, seen, digits, places)
        elif same:
            break
        if best[0] > (0.45 if attempt == 0 else 0.3):
            return None  # a code is explained by more than that at once
    assert best is not None
    share, error, costs, seen, digits, places = best
    text = number(layout, [int(digit) for digit in digits])
    if text is None:
        return None
    clear = 1 + _least_rival(costs, layout, seen, digits) / max(error, 1e-6)
    start, end = (float(np.interp(at, _places(layout), places)) for at in (0.0, 1.0))
    again_from = _Seed(layout, line, places.astype(np.float32), digits, seed.sigma, share, seen)
    return Found(text, layout, start, end, share, clear, again_from)


def _through(drawn: Floats, tents: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is drawn, seen through each tent: (samples × tents)."""
    wide = np.zeros(len(drawn) + len(tents) - 1, np.float32)
    wide[len(tents) // 2 : len(tents) // 2 + len(drawn)] = drawn
    return np.asarray(np.lib.stride_tricks.sliding_window_view(wide, len(tents)) @ tents, np.float64)


@cache
def _tents(reach: int) -> NDArray[np.float64]:
    """Shapes that a symmetric kernel is made of, (taps × tents): straight lines between seven or so knots."""
    step = max(1, reach // 6)
    centre = reach + step - 1
    taps = np.abs(np.arange(-centre, centre + 1))
    knots = np.arange(0, reach + 1, step)
    return np.maximum(0, 1 - np.abs(taps[:, None] - knots[None]) / step)


def number(layout: Layout, digits: Sequence[int]) -> str | None:
    """The digits as a number if parity and check digit are right; patterns from 10 on are even parity."""
    parity = "".join("OE"[digit >= 10] for digit in digits if layout is not EAN_8)[:6]
    said = "".join(str(digit % 10) for digit in digits)
    if layout is EAN_13:
        text = f"{_FIRST.index(parity)}{said}" if parity in _FIRST else ""
    elif layout is UPC_E:
        other = parity.translate(str.maketrans("OE", "EO"))
        if parity in _CHECK:
            text = f"0{said}{_CHECK.index(parity)}"
        else:
            text = f"1{said}{_CHECK.index(other)}" if other in _CHECK else ""
    else:
        text = said
    if not text:
        return None
    return text if _check_is_right(expanded(text) if layout is UPC_E else text) else None


def _check_is_right(text: str) -> bool:
    total = sum(int(digit) * (3 if i % 2 else 1) for i, digit in enumerate(reversed(text)))
    return total % 10 == 0


# ---------------------------------------------------------------- one line


def read(brightness: Floats, layouts: Sequence[Layout], wide: float, search: bool = True) -> Found | None:
    """The code across a line of brightness, or None. ``wide``: pixels that the striped region takes at most;
    ``search``: also where no white beside the code shows its ends (five times dearer)."""
    # The longest first, whatever its cost: blurred digits fit too well into shorter spans.
    longest: list[_Seed] = []
    others: list[_Seed] = []
    for sign, most in ((1, 3), (-1, 1)):
        line = Line(brightness, sign)
        for span in _spans(line.values)[:most]:
            for layout in layouts:
                if span.fits(layout):
                    (others if longest else longest).extend(_between(line, layout, span.start, span.end))
    found = _first_taken(longest, 1) or _first_taken(others, 3)
    if found or not search:
        return found
    others = []
    for match in _matches(brightness, layouts, 0.4 * wide / 95, 1.05 * wide / 55):
        first, last = float(match.bounds[0]), float(match.bounds[-1])
        module = (last - first) / match.layout.modules
        around = (max(0, int(first - 9 * module)), min(len(brightness), int(last + 9 * module)), 8 * module)
        for line in (Line(brightness, match.sign), Line(brightness, match.sign, around)):
            seed = _matched(line, match)
            if seed:
                others.append(seed)
    return _first_taken(others, 3)


def read_again(brightness: Floats, before: Found) -> Found | None:
    """Other rows of a code that was read: its place is known, only its bars are looked at anew."""
    seed = before.seed
    line = Line(brightness, seed.line.sign, seed.line.evened)
    shift = np.array([-1, -0.5, 0, 0.5, 1], np.float32) * (before.end - before.start) / seed.layout.modules
    first, last = (axis.reshape(-1, 1) for axis in np.meshgrid(shift, shift))
    t = _places(seed.layout)
    views = (seed.places + first * (1 - t) + last * t).astype(np.float32)
    found = _refined(_best_view(line, seed.layout, views, seed.sigma, seed.seen))
    return found if found and found.text == before.text and _is_sure(found, AGAIN) else None


def _first_taken(seeds: Sequence[_Seed], tries: int) -> Found | None:
    for seed in sorted(seeds, key=lambda each: each.cost)[:tries]:
        found = _refined(seed) if seed.cost < HOPELESS else None
        if found and _is_sure(found):
            return found
    return None


def _is_sure(found: Found, share: float = 1) -> bool:
    if found.unexplained > WORST:
        return False
    if found.layout.short:
        return found.clear - 1 >= (SHORT_CLEAR - 1) * share and found.seed.sigma <= SHORT_BLUR
    return found.clear - 1 >= (CLEAR - 1) * share
