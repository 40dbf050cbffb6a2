"""A picture to the codes in it: two decoders and a fit of printed bars, two readings for a linear code. Pure."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from wms.camera.engines import ENGINE_NAMES, MATRIX, zbar_module
from wms.camera.picture import NotAPicture, Picture, PictureTooBig, opened
from wms.errors import N_

if TYPE_CHECKING:
    from wms.camera.cascade import Candidate, Candidates

__all__ = ["Code", "NotAPicture", "PictureTooBig", "Reading", "read", "second_engine", "second_engine_missing"]

BUDGET_MS = 800  # of one thread's CPU for one picture

Point = tuple[int, int]


@dataclass(frozen=True)
class Code:
    """One code. ``corners`` are pixels of the upright full-size picture, ``ms`` runs from the start.

    ``confirmed`` is False for a linear code that only one reading gave, and for a retail number that is not known:
    a person must agree before it acts.
    """

    text: str
    symbology: str  # W3C name
    engine: str
    ms: float
    corners: tuple[Point, ...] = ()
    confirmed: bool = True


@dataclass(frozen=True)
class Reading:
    """What one picture said. ``message`` is empty when nothing needs to be said before a code is taken."""

    codes: tuple[Code, ...]
    width: int
    height: int
    ms: float
    message: str = ""

    @property
    def certain(self) -> bool:
        """Exactly one code, and it is confirmed: it may act as a scan."""
        return len(self.codes) == 1 and self.codes[0].confirmed


NO_CODE = N_("No barcode found. Go closer, hold still, and keep reflections off the label.")
CHECK_IT = N_("Compare with the label, then tap the code.")
UNKNOWN = N_("No item has this barcode yet. Compare it with the goods, then tap it.")
DISAGREE = N_("This barcode was read in two ways. Take the photo again, closer and straight on.")


def read(
    data: bytes, formats: Sequence[str], known: Callable[[str], bool] | None = None, budget_ms: float = BUDGET_MS
) -> Reading:
    """Codes of the W3C symbologies ``formats`` in a picture file. Raises NotAPicture or PictureTooBig.

    ``ean_13`` and ``upc_a`` mean each other (one is the other with a zero in front), unknown names are
    left out; without any known name a ValueError. ``known`` says whether a text means something here. It chooses
    between readings and stands for the second one, and a retail number that it does not know is not confirmed; it
    never adds a code. It is called in another thread. ``budget_ms`` of CPU are spent on one picture at most.
    Blocks its thread; one decode a core runs at a time.
    """
    wanted = _wanted(formats)
    return _pool().submit(_read, data, wanted, known, budget_ms).result()


@cache
def second_engine() -> str | None:
    """The second decoder's name; None without libzbar (see ``second_engine_missing``).

    Its version is not asked: ``zbar_version`` takes another number of pointers from release to release, and
    one too few ends the process.
    """
    zbar, _ = zbar_module()
    return None if zbar is None else "zbar"


def second_engine_missing() -> str:
    """Why there is no second decoder, in one sentence for doctor; empty when there is one."""
    return zbar_module()[1]


def _wanted(formats: Sequence[str]) -> tuple[str, ...]:
    names = dict.fromkeys(name.strip().lower() for name in formats)
    if "ean_13" in names or "upc_a" in names:
        names |= dict.fromkeys(("ean_13", "upc_a"))
    known = tuple(name for name in names if name in ENGINE_NAMES)
    if not known:
        raise ValueError(f"no known symbology in {formats!r}")
    return known


# ---------------------------------------------------------------- threads

_pools: dict[int, ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


def _pool() -> ThreadPoolExecutor:
    # By process: threads do not survive a fork. As many threads as cores: the decoders let go of the GIL,
    # so more would only slow the scans that are answered beside them.
    with _pools_lock:
        pool = _pools.get(os.getpid())
        if pool is None:
            pool = ThreadPoolExecutor(os.cpu_count() or 1, "decode", initializer=_use_all_cores)
            _pools[os.getpid()] = pool
        return pool


def _use_all_cores() -> None:
    # The web process holds itself on one core; on Linux this call frees only the calling thread again.
    if hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        except OSError:
            pass  # a container that forbids it decodes on the core it has


# ---------------------------------------------------------------- from readings to codes


def _read(data: bytes, wanted: tuple[str, ...], known: Callable[[str], bool] | None, budget_ms: float) -> Reading:
    import numpy as np

    from wms.camera.cascade import search  # here: OpenCV and numpy take a while, and other verbs need neither

    began = time.perf_counter()
    picture = opened(data)
    found = search(np.asarray(picture.gray), wanted, known, budget_ms)
    codes, message = _judged(found, picture)
    return Reading(codes, picture.width, picture.height, (time.perf_counter() - began) * 1000, message)


def _judged(found: Candidates, picture: Picture) -> tuple[tuple[Code, ...], str]:
    """What was read twice (or is known), or else what one reading gave, marked so: a wrong code is worse than none."""
    settled = [one for one in found if found.is_settled(one)]
    clear = [one for one in settled if not any(_same_bars(one, other) for other in settled)]
    for one in settled:
        # Of two readings of the same bars the one that means something here; both or neither: nobody can say.
        rivals = [other for other in settled if _same_bars(one, other)]
        if rivals and found.is_known(one) and not any(found.is_known(other) for other in rivals):
            clear.append(one)
    if settled and not clear:
        return (), DISAGREE
    scale = max(picture.width, picture.height) / max(picture.gray.size)
    codes = tuple(_code(one, scale, found.may_act(one)) for one in clear or found)
    if not codes:
        return codes, NO_CODE
    if all(code.confirmed for code in codes):
        return codes, ""
    return codes, UNKNOWN if clear and len(codes) == 1 else CHECK_IT


def _code(one: Candidate, scale: float, confirmed: bool) -> Code:
    corners = tuple((round(x * scale), round(y * scale)) for x, y in one.corners)
    return Code(one.text, one.symbology, one.engine, one.ms, corners, confirmed)


def _same_bars(one: Candidate, other: Candidate) -> bool:
    """Whether two different linear codes were read in one place."""
    if one is other or {one.symbology, other.symbology} & MATRIX or not (one.corners and other.corners):
        return False
    shared = 1.0
    for axis in (0, 1):
        (a, b), (c, d) = _extent(one, axis), _extent(other, axis)
        shared *= max(0.0, min(b, d) - max(a, c)) / max(1.0, min(b - a, d - c))
    return shared > 0.2


def _extent(one: Candidate, axis: int) -> tuple[float, float]:
    """From where to where along an axis, a twelfth of the code's length added: some readings are one line high."""
    spread = [max(corner[i] for corner in one.corners) - min(corner[i] for corner in one.corners) for i in (0, 1)]
    places = [corner[axis] for corner in one.corners]
    more = max(spread) / 12 if spread[axis] < max(spread) else 0.0
    return min(places) - more, max(places) + more
