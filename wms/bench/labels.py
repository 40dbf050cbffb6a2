"""`run.py bench labels`: a hundred different Chinese waybills, built for printers of both languages and resolutions.

Beside them, in the same run, stands the peer: the same pictures as one whole-label field by zebrafy (Z64), where
that is installed. CPU, not time on the clock, is what is compared: a busy machine must not spoil it. Then orders are
packed through the real server and worker, and the time to the printer's first byte is told (wms/bench/first_byte.py).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata

from PIL import ImageOps

from printers import image, languages, layouts, preview
from printers.label import Label
from wms.bench import first_byte
from wms.bench.service import BenchError
from wms.settings import Settings

summary = "labels: 100 Chinese waybills in ZPL and TSPL at 203 and 300 dpi, CPU and bytes"
HOLD_S, HOLD_BYTES, HOLD_DPI = 1.5, 20_000, 203
WARM = 3
# Characters of streets, names and goods as they come: a tenth of them new on each label.
_COMMON = "省市区县镇街道路巷弄号楼栋单元室广场中心大厦花园小区村组东西南北新城科技产业园工业园物流"
_FIRST, _LAST = 0x4E00, 0x9FA5


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result: CPU seconds for all labels, bytes of the mean and of the largest label."""

    what: str
    dpi: int
    cpu_s: float
    mean_bytes: int
    most_bytes: int


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", type=int, default=100, help="how many waybills (default 100)")
    parser.add_argument("--size", default="100x150", choices=["100x150", "100x180", "100x113", "76x130"])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--packed", type=int, default=100, metavar="N", help="orders packed to a printer (100; 0: none)"
    )
    parser.add_argument("--postgres", metavar="URL", help="pack on PostgreSQL: its address, or auto")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace, settings: Settings) -> int:
    papers = waybills(args.labels, args.seed)
    figures = []
    for dpi in (203, 300):
        figures.append(_measured("drawn, not built", dpi, partial(_only_drawn, args.size, dpi), papers))
        for language in languages.LANGUAGES:
            build = partial(_ours, language, args.size, dpi)
            figures.append(_measured(f"ours, {language.upper()}", dpi, build, papers))
        peer = _peer(papers, args.size, dpi)
        if peer is not None:
            figures.append(peer)
    held = _held(figures, args.labels)
    try:
        timed = first_byte.measure(args.packed, args.postgres) if args.packed else None
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    if args.json:
        told = {"labels": args.labels, "held": held, "figures": [asdict(figure) for figure in figures]}
        print(json.dumps({**told, "first_byte_ms": timed.ms if timed else []}))
    else:
        _tell(figures, args.labels, args.size, held)
        if timed:
            print(
                f"Last verify scan → first byte at the printer, {len(timed.ms)} labels: p50 {timed.at(0.5):.0f} ms, "
                f"p95 {timed.at(0.95):.0f} ms, most {max(timed.ms):.0f} ms (to hold: p95 {first_byte.HOLD_MS:.0f} ms)."
            )
    return 0 if held else 1


def waybills(count: int, seed: int) -> list[layouts.Waybill]:
    """Different waybills of one warehouse: each with a number, names, goods and an address of its own, none of
    them anybody's; carrier and sender are the same."""
    chance = random.Random(seed)

    def words(length: int) -> str:
        return "".join(
            chr(chance.randint(_FIRST, _LAST)) if chance.random() < 0.1 else chance.choice(_COMMON)
            for _ in range(length)
        )

    def paper(number: int) -> layouts.Waybill:
        to = layouts.Party(words(1) + "**", "138******78", f"{words(3)} {words(3)}", words(chance.randint(14, 34)))
        return layouts.Waybill(
            number=f"TEST{number:011d}-1-1-",
            carrier_name="测试快递",
            sort_code=f"{chance.randint(100, 999)}-{chance.choice('ABC')}{chance.randint(10, 99)}-{number % 1000:03d}",
            hub=words(6),
            recipient=to,
            sender=layouts.Party("云**", "400******21", "浙江省 杭州市", "五常街道仓前路88号3号库"),
            order_no=f"TEST-{number:015d}",
            goods=f"SKU-{number:05d} {words(10)} 500ml ×{chance.randint(1, 9)}",
            note=words(chance.randint(0, 12)),
            parcel_no="1",
            weight_g=chance.randint(100, 20_000),
            printed_at_text="2026-11-21 22:10",
        )

    return [paper(number) for number in range(count)]


def _drawn(paper: layouts.Waybill, size: str, dpi: int) -> Label:
    return layouts.waybill_label(paper, size, dpi)  # type: ignore[arg-type]


def _only_drawn(size: str, dpi: int, paper: layouts.Waybill) -> bytes:
    _drawn(paper, size, dpi)
    return b""


def _ours(language: languages.Language, size: str, dpi: int, paper: layouts.Waybill) -> bytes:
    return languages.build(language, _drawn(paper, size, dpi))


def _measured(
    what: str, dpi: int, build: Callable[[layouts.Waybill], bytes], papers: Sequence[layouts.Waybill]
) -> Figure:
    # A cold cache of letters is part of it: only what a process does once in its life is not.
    image.set_font(None)
    for paper in waybills(WARM, seed=1):
        build(paper)
    began = time.process_time()
    sizes = [len(build(paper)) for paper in papers]
    return Figure(what, dpi, time.process_time() - began, sum(sizes) // max(1, len(sizes)), max(sizes, default=0))


def _peer(papers: Sequence[layouts.Waybill], size: str, dpi: int) -> Figure | None:
    """The same labels, drawn by us, sent as one picture by somebody else's encoder."""
    try:
        from zebrafy.graphic_field import GraphicField
    except ImportError:
        return None

    def build(paper: layouts.Waybill) -> bytes:
        whole = ImageOps.invert(preview.picture(_drawn(paper, size, dpi)).convert("L")).convert("1")
        return b"^XA^FO0,0" + GraphicField(whole, format="Z64").get_graphic_field().encode() + b"^FS^XZ"

    return _measured(f"zebrafy {metadata.version('zebrafy')}, one picture, Z64", dpi, build, papers)


def _held(figures: Sequence[Figure], labels: int) -> bool:
    ours = [figure for figure in figures if figure.dpi == HOLD_DPI and figure.what.startswith("ours")]
    # TSPL has no compression that all makes know: its bytes are told, and bounded by a test.
    return all(
        figure.cpu_s * 100 / labels < HOLD_S and (figure.what == "ours, TSPL" or figure.most_bytes <= HOLD_BYTES)
        for figure in ours
    )


def _tell(figures: Sequence[Figure], labels: int, size: str, held: bool) -> None:
    print(f"{labels} Chinese waybills of {size} mm")
    print(f"{'':36} {'dpi':>4} {'CPU s':>7} {'ms each':>8} {'bytes, mean':>12} {'most':>8}")
    for figure in figures:
        each = figure.cpu_s / labels * 1000
        print(
            f"{figure.what:36} {figure.dpi:4} {figure.cpu_s:7.2f} {each:8.2f} "
            f"{figure.mean_bytes or '—':>12} {figure.most_bytes or '—':>8}"
        )
    if not any(figure.what.startswith("zebrafy") for figure in figures):
        print("No peer in this run: zebrafy is not installed (pip install zebrafy).")
    bound = f"below {HOLD_S} s CPU for 100 in each language at {HOLD_DPI} dpi, and {HOLD_BYTES} bytes each in ZPL"
    print(f"{'Held' if held else 'NOT HELD'}: {bound}.")
