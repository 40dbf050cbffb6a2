"""Import orders from a file: upload, look at what would happen, take in (each order by itself)."""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from wms.connectors import ConnectorError, ShopOrder, order_files
from wms.connectors.mappings import MAPPINGS, columns_of, missing, recognise
from wms.connectors.order_files import OrderFile
from wms.errors import N_, Refusal
from wms.flows import cancel, catalogue, take_in
from wms.flows.take_in import Decision
from wms.jobs import intake
from wms.models import Role, Shop
from wms.web.access import database, operator, requires, settings
from wms.web.each import alone
from wms.web.floor import Message, Screen, render
from wms.web.translate import say, say_refusal

bp = Blueprint("import_orders", __name__)

SHOWN = 500
ITEMS_AT_ONCE = 100
KEPT_S = 24 * 3600
FATES = ("failed", "held", "too_late", "intercept", "part", "followed", "changed", "cancel", "skipped", "new", "same")
"""In the order in which a supervisor wants to read them."""

_TOKEN = re.compile(r"^[0-9a-f]{32}$")


class NoFile(Refusal):
    message = N_("Choose a file first.")
    answer = "look"


class NoShop(Refusal):
    message = N_("Choose the shop these orders are from.")
    answer = "look"


class FileGone(Refusal):
    """A file is kept only until its orders are in: it is full of names and addresses (R45)."""

    message = N_(
        "This file was taken in already, or is older than a day. Choose it once more to see how its orders stand."
    )
    answer = "look"


class NoMappingFits(Refusal):
    message = N_("These columns are not known. Nearest is “%(mapping)s”, but the file has no column named %(columns)s.")
    answer = "look"


class UnknownColumns(Refusal):
    message = N_(
        "None of these columns is known: %(columns)s. Export the orders from the shop with its own column names."
    )
    answer = "look"


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file between the preview and the taking in. ``name`` is only ever shown."""

    token: str
    name: str
    data: bytes


def _folder() -> Path:
    return settings().home / "imports"


def _keep(name: str, data: bytes) -> str:
    """Store the bytes under a name of our own; returns the token that finds them again."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in folder.iterdir():
        if time.time() - old.stat().st_mtime > KEPT_S:
            old.unlink(missing_ok=True)
    token = secrets.token_hex(16)
    (folder / f"{token}.bin").write_bytes(data)
    about = {"name": name[:120], "warehouse_id": operator().warehouse_id}
    (folder / f"{token}.json").write_text(json.dumps(about), "utf-8")
    return token


def _kept(token: str) -> Upload:
    if not _TOKEN.match(token):
        raise FileGone()
    try:
        about = json.loads((_folder() / f"{token}.json").read_text("utf-8"))
        data = (_folder() / f"{token}.bin").read_bytes()
    except OSError as error:
        raise FileGone() from error
    if about["warehouse_id"] != operator().warehouse_id:
        raise FileGone()
    return Upload(token, about["name"], data)


def _forget(token: str) -> None:
    for ending in ("bin", "json"):
        (_folder() / f"{token}.{ending}").unlink(missing_ok=True)


def _shops(session: Session) -> list[Shop]:
    return list(
        session.execute(
            select(Shop).where(Shop.warehouse_id == operator().warehouse_id, Shop.active).order_by(Shop.name)
        ).scalars()
    )


def _shop(session: Session, text: str) -> Shop:
    for shop in _shops(session):
        if str(shop.id) == text:
            return shop
    raise NoShop()


def _read(upload: Upload, wanted: str) -> tuple[str, OrderFile]:
    """The mapping's name and the orders. Raises ConnectorError or Refusal with what is wrong with the file."""
    table = order_files.read_table(upload.data, upload.name)
    name = wanted if wanted in MAPPINGS else recognise(table.headers)
    if name is None:
        nearest = max(MAPPINGS.values(), key=lambda each: len(columns_of(table.headers, each)))
        if not columns_of(table.headers, nearest):
            raise UnknownColumns(columns=", ".join(header[:20] for header in table.headers[:8]))
        raise NoMappingFits(mapping=say(nearest.title), columns=", ".join(missing(table.headers, nearest)))
    return name, order_files.orders(table, MAPPINGS[name])


def _ask(message: Message | None = None, shop: str = "", mapping: str = "") -> str:
    with database().reading() as session:
        return render(
            Screen(
                "desk/import.html",
                {
                    "shops": _shops(session),
                    "mappings": list(MAPPINGS.values()),
                    "shop": shop,
                    "mapping": mapping,
                    "most_mb": settings().upload_bytes // 1024 // 1024,
                },
            ),
            message,
        )


def _told(error: Refusal | ConnectorError) -> Message:
    if isinstance(error, Refusal):
        return Message(error.answer, say_refusal(error))
    return Message("wrong", say(error.message, error.facts))


@bp.get("/desk/import")
@requires(Role.SUPERVISOR)
def ask() -> str:
    return _ask()


@bp.post("/desk/import")
@requires(Role.SUPERVISOR)
def upload() -> Response | tuple[str, int]:
    shop, mapping = request.form.get("shop", ""), request.form.get("mapping", "")
    try:
        file = request.files.get("file")
        if file is None or not file.filename:
            raise NoFile()
        with database().reading() as session:
            _shop(session, shop)
        data = file.read()
        _read(Upload("", file.filename, data), mapping)
        token = _keep(file.filename, data)
    except (Refusal, ConnectorError) as error:
        return _ask(_told(error), shop, mapping), 422
    return redirect(f"/desk/import/{token}?shop={shop}&mapping={mapping}", 303)  # type: ignore[return-value]


def _by_fate(decisions: list[Decision]) -> dict[str, int]:
    counted = Counter(decision.fate for decision in decisions)
    return {fate: counted[fate] for fate in FATES if counted[fate]}  # type: ignore[index]


def _facts(upload: Upload, shop: Shop, mapping: str, file: OrderFile, decisions: list[Decision]) -> dict[str, Any]:
    """What preview and result show alike; tables stop at SHOWN rows and say how many more there are."""
    rows = {order.shop_order_no: order.raw.get("row_numbers") or [] for order in file.orders}
    ordered = sorted(decisions, key=lambda decision: FATES.index(decision.fate))
    weight = {"hold": 0, "row": 1, "skip": 2, "note": 3}
    problems = sorted(file.problems, key=lambda problem: (weight[problem.effect], problem.row_no or 0))
    return {
        "upload": upload,
        "shop": shop,
        "mapping": MAPPINGS[mapping],
        "rows": rows,
        "fates": _by_fate(decisions),
        "decisions": ordered[:SHOWN],
        "decisions_more": max(0, len(ordered) - SHOWN),
        "problems": problems[:SHOWN],
        "problems_more": max(0, len(problems) - SHOWN),
        "effects": Counter(problem.effect for problem in file.problems),
        "orders": len(decisions),
        "pieces": sum(decision.pieces for decision in decisions),
    }


@bp.get("/desk/import/<token>")
@requires(Role.SUPERVISOR)
def preview(token: str) -> str | tuple[str, int]:
    shop_id, wanted = request.args.get("shop", ""), request.args.get("mapping", "")
    try:
        kept = _kept(token)
        mapping, file = _read(kept, wanted)
        with database().reading() as session:
            shop = _shop(session, shop_id)
            decisions = take_in.preview(session, operator().warehouse_id, shop, file.orders)
            facts = _facts(kept, shop, mapping, file, decisions)
            unknown = len(take_in.unknown_items(session, shop, file.orders))
            return render(Screen("desk/import_preview.html", {**facts, "unknown": unknown}))
    except (Refusal, ConnectorError) as error:
        return _ask(_told(error), shop_id, wanted), 422


@bp.post("/desk/import/<token>/take")
@requires(Role.SUPERVISOR)
def take(token: str) -> str | tuple[str, int]:
    shop_id, wanted = request.form.get("shop", ""), request.form.get("mapping", "")
    try:
        kept = _kept(token)
        mapping, file = _read(kept, wanted)
        with database().reading() as session:
            shop = _shop(session, shop_id)
            unknown = take_in.unknown_items(session, shop, file.orders) if request.form.get("add_items") else {}
    except (Refusal, ConnectorError) as error:
        return _ask(_told(error), shop_id, wanted), 422
    _add_items(unknown)
    decisions = [_take_one(shop, order) for order in file.orders]
    _forget(token)
    facts = _facts(kept, shop, mapping, file, decisions)
    return render_template("desk/import_done.html", **facts, added=len(unknown), message=None)


def _add_items(unknown: dict[str, str]) -> None:
    """A few at a time: the writer must not be kept from the scans of the floor."""
    named = list(unknown.items())
    for start in range(0, len(named), ITEMS_AT_ONCE):
        alone(partial(_add_some, some=named[start : start + ITEMS_AT_ONCE]))


def _add_some(session: Session, some: list[tuple[str, str]]) -> None:
    for sku, name in some:
        catalogue.add_item(session, sku, name)


def _take_one(shop: Shop, order: ShopOrder) -> Decision:
    """One order, come what may: one that the tables refuse is reported and never stops the others."""
    pieces = sum(line.qty for line in order.lines if line.kind == "goods" and not line.cancelled)
    try:
        return alone(partial(intake.take, shop=shop, order=order))
    except Refusal as refusal:
        if isinstance(refusal, cancel.Labelled):
            alone(partial(intake.ask_supervisor, shop=shop, order=order))
        return Decision(order.shop_order_no, "failed", len(order.lines), pieces, say_refusal(refusal))  # type: ignore[arg-type]
    except DBAPIError:
        logging.getLogger("wms").exception("order %s was not taken in", order.shop_order_no)
        why = N_("the order has a value that is too long or appears twice")
        return Decision(order.shop_order_no, "failed", len(order.lines), pieces, why)  # type: ignore[arg-type]
