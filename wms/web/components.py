"""The packing page's doors for print components 打印组件: /components. See static/station/."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any, get_args

from flask import Blueprint, Response, abort, jsonify, request
from sqlalchemy.orm import Session

from wms import components
from wms.errors import Refusal
from wms.flows import components as flow
from wms.models import Role, Station
from wms.web.access import database, operator, requires, settings
from wms.web.translate import say, say_refusal

bp = Blueprint("components", __name__)


def addresses(provider: str) -> list[str]:
    """Where this platform's component listens on a packing PC."""
    chosen = [address for name, address in settings().component_addresses if name == provider]
    return chosen or list(components.PROVIDERS[provider].addresses)


def all_addresses(session: Session) -> list[str]:
    """What a packing page must be allowed to reach: components of the platforms that any station here prints for."""
    who = operator()
    return [address for provider in flow.providers(session, who.warehouse_id) for address in addresses(provider)]


def shown(uri: str) -> dict[str, str] | None:
    """A component's name and port for a screen; None for any other printer."""
    whole = components.parse(uri)
    if whole is None:
        return None
    return {
        "name": say(components.PROVIDERS[whole.provider].name, {}),
        "port": addresses(whole.provider)[0].rpartition(":")[2],
        "printer": whole.printer,
    }


def _station(session: Session) -> Station | None:
    who = operator()
    return session.get(Station, (who.warehouse_id, who.station_id)) if who.station_id else None


def _page() -> flow.Page:
    tab, load = request.form.get("tab", ""), request.form.get("load", "")
    if not re.fullmatch(r"[a-z0-9]{6}:[a-z0-9]{6}", f"{tab}:{load}"):
        abort(400)
    who = operator()
    return flow.Page(who.warehouse_id, who.device_id, who.station_id or 0, tab, load)


@bp.get("/components")
@requires(Role.PACKER)
def index() -> Response:
    """The component printers of this browser's station, and how long to wait for their answers."""
    with database().reading() as session:
        found: list[dict[str, Any]] = [
            {
                "id": str(printer.id),  # larger than what JavaScript counts exactly
                "provider": whole.provider,
                "addresses": addresses(whole.provider),
                **(shown(printer.uri) or {}),
            }
            for printer, whole in flow.printers(session, operator().warehouse_id, _station(session))
        ]
    return jsonify(printers=found, patience_ms=settings().component_patience_s * 1000)


@bp.post("/components/<int:printer_id>/next")
@requires(Role.PACKER)
def next_task(printer_id: int) -> Response:
    found = request.form.get("found", "")
    if found not in get_args(flow.Found):
        abort(400)
    return jsonify(asdict(flow.next_task(database(), _page(), printer_id, found)))  # type: ignore[arg-type]


@bp.post("/components/<int:printer_id>/result")
@requires(Role.PACKER)
def result(printer_id: int) -> Response:
    said = request.form.get("result", "")
    if said not in get_args(flow.Result):
        abort(400)
    task, words = request.form.get("task", ""), request.form.get("words", "")
    state = flow.tell(database(), _page(), printer_id, task, said, words)  # type: ignore[arg-type]
    return jsonify(state=state.value)


@bp.post("/components/<int:printer_id>/leave")
@requires(Role.PACKER)
def leave(printer_id: int) -> Response:
    flow.leave(database(), _page(), printer_id)
    return Response(status=204)


@bp.errorhandler(Refusal)
def _refused(refusal: Refusal) -> tuple[Response, int]:
    return jsonify(refused=say_refusal(refusal)), refusal.status
