"""The station agents' API: fetch the next job, report what became of it, tell which queues there are.

Own token in the Authorization header, no session, no cookie, so no CSRF either. Every view here names ``_agent_only``;
a view that forgot would be open to nobody, as everywhere. How often an agent asks: docs/decisions/0018.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from wms import print_lease
from wms.flows import agents
from wms.models import PrintJob, PrintState
from wms.web.access import database, public

bp = Blueprint("agents", __name__, url_prefix="/api/v1/agent")

AGAIN_MS = 200
"""Not sooner than this an agent asks again when there was nothing for it."""

RESULTS = {
    "printed": PrintState.PRINTED,
    "waiting": PrintState.WAITING,
    "held": PrintState.HELD,
    "unknown": PrintState.UNKNOWN,
    "failed": PrintState.FAILED,
}
_REASON = re.compile(r"[a-z_]{0,40}")
_JOURNAL = re.compile(r"[0-9a-f]{16}")


def _said(status: int, error: str, **more: object) -> Response:
    answer = jsonify(error=error, **more)
    answer.status_code = status
    return answer


def _agent_only(view: Callable[..., Response]) -> Callable[..., Response]:
    """Open to who brings the token of an agent that was not revoked."""

    @wraps(view)
    def checked(**where: Any) -> Response:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        agent = agents.of_token(database(), token.strip()) if kind.lower() == "bearer" and token.strip() else None
        if agent is None:
            answer = _said(401, "unknown_token")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        g.agent = agent
        agents.seen(database(), agent)
        return view(**where)

    return public(checked)


def _holder(journal: str) -> str:
    """Who holds the lease: the agent with this very journal. Two copies of one agent do not share a printer."""
    agent: agents.Known = g.agent
    return f"{agent.id}:{journal}"


@bp.get("/next")
@_agent_only
def next_job() -> Response:
    """The next job for a printer of this agent that is not busy, or null; never waits.

    ``journal``: the id of the agent's journal. ``busy``: printers it is working on, whose leases are held on to.
    """
    agent: agents.Known = g.agent
    journal = request.args.get("journal", "")
    busy = [int(part) for part in request.args.get("busy", "").split(",") if part.isascii() and part.isdigit()][:64]
    if not _JOURNAL.fullmatch(journal) or any(each >= 2**63 for each in busy):
        return _said(400, "bad_request")
    who = _holder(journal)
    free, running_out = print_lease.printers_to_fetch(
        database(), agent.warehouse_id, agents.address(agent), who, frozenset(busy)
    )
    for printer_id in running_out:
        print_lease.renew(database(), agent.warehouse_id, printer_id, who)
    for printer_id in free:
        work = print_lease.fetch(database(), agent.warehouse_id, printer_id, who)
        if work is not None:
            return jsonify(lease=_lease(work, agent), again_ms=0)
    return jsonify(lease=None, again_ms=AGAIN_MS)


def _lease(work: print_lease.Work, agent: agents.Known) -> dict[str, object]:
    return {
        "job": str(work.job_id),
        "attempt": work.attempt,
        "printer": str(work.printer_id),
        "to": _on_its_side(work.uri, agent),
        "do": "look" if work.state is PrintState.HELD else "print",
        "bytes": base64.b64encode(work.payload).decode() if work.state is not PrintState.HELD else "",
        "sha256": work.sha256,
        "copies": work.copies,
        "language": work.language.value,
        "answers": work.answers,
        "trusted": work.trusted,
        "height_dots": work.height_dots,
        "base": work.base_odometer,
    }


def _on_its_side(uri: str, agent: agents.Known) -> str:
    """agent://CODE/os/queue is os://queue to the agent, agent://CODE/tcp/host:port is tcp://host:port."""
    kind, _, rest = uri.removeprefix(agents.address(agent)).partition("/")
    return f"{kind}://{rest}"


@bp.post("/report")
@_agent_only
def report() -> Response:
    """What became of an attempt. The same report again changes nothing and is answered alike."""
    agent: agents.Known = g.agent
    told: Any = request.get_json(silent=True)
    try:
        job_id, attempt = int(told["job"]), int(told["attempt"])
        result, reason, journal = RESULTS[told["result"]], str(told.get("reason", "")), str(told["journal"])
        base, after = _count(told.get("base")), _count(told.get("after"))
        bytes_sent = _count(told.get("bytes_sent")) or 0
        if not (
            _REASON.fullmatch(reason) and _JOURNAL.fullmatch(journal) and 0 < job_id < 2**63 and 0 < attempt < 2**31
        ):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        return _said(400, "bad_request")
    with database().reading() as session:
        job = session.get(PrintJob, (agent.warehouse_id, job_id))
    printer = agents.printer_is_its_own(database(), agent, job.printer_id) if job else None
    if job is None or printer is None:
        return _said(404, "not_yours")
    if attempt > job.attempt or told.get("sha256") != job.sha256:
        return _said(409, "never_handed_out")
    work = print_lease.of(printer, job, attempt)
    state = print_lease.record(
        database(), work, print_lease.Said(result, reason, base=base, after=after, bytes_sent=bytes_sent)
    )
    if attempt == job.attempt and job.state in (PrintState.SENDING, PrintState.HELD):
        # Told late, the lease may already be for another job of this printer.
        print_lease.give_up(database(), agent.warehouse_id, printer.id, _holder(journal))
    return jsonify(state=state.value)


def _count(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError
    return value


@bp.post("/printers")
@_agent_only
def queues() -> Response:
    """The queues of the agent's machine, for choosing at the desk."""
    told = request.get_json(silent=True)
    if not isinstance(told, dict) or not isinstance(told.get("queues"), list):
        return _said(400, "bad_request")
    listed = [each for each in told["queues"] if isinstance(each, dict)]
    agents.told_queues(database(), g.agent, listed, str(told.get("version", "")), str(told.get("system", "")))
    return jsonify(code=g.agent.code, name=g.agent.name, kept=len(listed[: agents.QUEUES]))
