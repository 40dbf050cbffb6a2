"""What every floor page shares: the screen of a step, one transaction a scan, the same scan answered alike (R10)."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, wraps
from typing import Any, cast

from flask import Response, current_app, g, redirect, render_template, request
from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from wms.clock import now
from wms.errors import Answer, ChangedMeanwhile, Refusal, SameScanOtherBody, ScanOfAnother, term
from wms.jobs import gate
from wms.models import ScanRequest
from wms.web.access import actor, database, operator
from wms.web.translate import say, say_refusal

_requests = cast(Table, ScanRequest.__table__)

# Made once: on a scan's path SQLAlchemy spends as long making a statement as SQLite running it.
_ANSWERED = (
    update(_requests)
    .where(_requests.c.warehouse_id == bindparam("w"), _requests.c.scan_id == bindparam("s"))
    .values(status=bindparam("as_status"), go=bindparam("as_go"), answer=bindparam("as_answer"))
)


@cache
def _taking(dialect: str) -> Any:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(_requests).on_conflict_do_nothing().returning(_requests.c.scan_id)


TRIES = 4
"""PostgreSQL may choose a transaction as the victim of a deadlock; the scan is simply done again."""


@dataclass(frozen=True, slots=True)
class Message:
    """What stands in the message area; ``go`` sends the device to another page instead."""

    answer: Answer = "done"
    text: str = ""
    block: bool = False
    go: str = ""


@dataclass(frozen=True, slots=True)
class Screen:
    """A template and what it shows."""

    template: str
    facts: dict[str, Any]


Show = Callable[..., Screen]
"""Shows the screen a worker stands at now, as the database has it: ``(session, **where)``."""


def done(message: str = "", **facts: Any) -> Message:
    return Message("done", say(message, facts))


def look(message: str, **facts: Any) -> Message:
    return Message("look", say(message, facts))


def go(path: str) -> Message:
    return Message("done", "", go=path)


def fragment_wanted() -> bool:
    return request.headers.get("X-Requested-With") == "scan" or bool(request.headers.get("HX-Request"))


def render(screen: Screen, message: Message | None = None) -> str:
    """The page, or only the inside of its screen block when a script asked."""
    facts = {**screen.facts, "message": message if message and message.text else None}
    if not fragment_wanted():
        return render_template(screen.template, **facts)
    return inside(screen.template, facts)


def inside(template_name: str, facts: dict[str, Any], block: str = "screen") -> str:
    """The inside of a template's screen block, without the page around it; or of another of its blocks."""
    facts = dict(facts)
    current_app.update_template_context(facts)
    template = current_app.jinja_env.get_template(template_name)
    return "".join(template.blocks[block](template.new_context(facts)))


def page(show: Show, message: Message | None = None, **where: Any) -> str:
    """A page that only looks: nothing is written (R12)."""
    with database().reading() as session:
        return render(show(session, **where), message)


def first_time(show: Show) -> Callable[[Callable[..., Message | None]], Callable[..., Response]]:
    """Wrap a scan or an act: one transaction, its answer saved under the device's scan id in that transaction.

    A replay of the id gives the saved answer and writes nothing; the same id with another body, or from another
    operator or device, is refused.
    A refusal rolls everything back and is saved as the answer by itself. Afterwards ``show`` draws the step
    the worker is at now.
    """

    def wrap(rule: Callable[..., Message | None]) -> Callable[..., Response]:
        @wraps(rule)
        def answer(**where: Any) -> Response:
            scan_id = request.form.get("scan_id", "")[:64]
            body = _fingerprint()
            for attempt in range(TRIES):
                try:
                    return _once(rule, show, where, scan_id, body)
                except Refusal as refusal:
                    return _refused(refusal, show, where, scan_id, body)
                except IntegrityError:
                    # A unique key or a check refused what somebody else did a moment earlier.
                    return _refused(ChangedMeanwhile(what=term("This")), show, where, scan_id, body)
                except DBAPIError as error:
                    state = getattr(error.orig, "sqlstate", "") or ""
                    if state not in ("40P01", "40001") or attempt == TRIES - 1:
                        raise
            raise AssertionError("unreachable")

        return answer

    return wrap


def asks_the_shop(
    find: Callable[..., int | None], fresh: timedelta = gate.AT_ONCE
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Before an act: the shop's newest word on the order that ``find(session)`` names (R28), outside of every
    transaction. Stands above ``first_time``; the flow reads the answer (wms/gate_checks).
    """

    def wrap(view: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(view)
        def asked(**where: Any) -> Response:
            with database().reading() as session:
                order_id = find(session)
            if order_id is not None:
                gate.ask(database(), operator().warehouse_id, order_id, fresh=fresh)
            return view(**where)

        return asked

    return wrap


def _fingerprint() -> str:
    fields = sorted((k, v) for k, v in request.form.items(multi=True) if k not in ("scan_id", "csrf_token"))
    return hashlib.sha256(repr((request.path, fields)).encode()).hexdigest()


def _once(rule: Callable[..., Message | None], show: Show, where: dict[str, Any], scan_id: str, body: str) -> Response:
    with database().transaction(actor(scan_id or None)) as session:
        g.session = session
        if scan_id:
            first = _claim(session, scan_id, body)
            if first is not None:
                return _replay(first, body)
        message = rule(session, **where)
        session.flush()
        if message is not None and message.go:
            html = ""
        elif fragment_wanted():
            html = render(show(session, **where), message)
        else:
            html = ""
        if scan_id:
            _save(session, scan_id, 200, html, message.go if message else "")
    return _respond(html, 200, message.go if message else "")


def _refused(refusal: Refusal, show: Show, where: dict[str, Any], scan_id: str, body: str) -> Response:
    message = Message(refusal.answer, say_refusal(refusal), refusal.block)
    saved = bool(scan_id) and not isinstance(refusal, SameScanOtherBody)
    try:
        with database().transaction(actor(scan_id or None)) as session:
            if saved and (first := _claim(session, scan_id, body)) is not None:
                return _replay(first, body)
            refusal.remember(session)
            html = render(show(session, **where), message)
            if saved:
                _save(session, scan_id, refusal.status, html, "")
    except SameScanOtherBody as other:  # the id was used for something else between the two transactions
        return _refused(other, show, where, scan_id, body)
    return _respond(html, refusal.status, "")


def _claim(session: Session, scan_id: str, body: str) -> ScanRequest | None:
    """Take the scan id for this transaction; the first answer when it was taken before.

    Two posts of one id in the same instant: the second waits here for the first to commit.
    """
    who = operator()
    taken = session.execute(
        _taking(session.get_bind().dialect.name),
        {
            "warehouse_id": who.warehouse_id,
            "scan_id": scan_id,
            "operator_id": who.id,
            "device_id": who.device_id,
            "body_sha256": body,
            "at": now(),
            "status": 0,
            "go": "",
            "answer": b"",
        },
    ).first()
    if taken is not None:
        return None
    return session.execute(
        select(ScanRequest).where(ScanRequest.warehouse_id == who.warehouse_id, ScanRequest.scan_id == scan_id)
    ).scalar_one()


def _save(session: Session, scan_id: str, status: int, html: str, go_to: str) -> None:
    session.execute(
        _ANSWERED,
        {
            "w": operator().warehouse_id,
            "s": scan_id,
            "as_status": status,
            "as_go": go_to,
            "as_answer": zlib.compress(html.encode(), 1),
        },
    )


def _replay(first: ScanRequest, body: str) -> Response:
    who = operator()
    if (first.operator_id, first.device_id) != (who.id, who.device_id):
        raise ScanOfAnother()
    if first.body_sha256 != body:
        raise SameScanOtherBody()
    response = _respond(zlib.decompress(first.answer).decode() if first.answer else "", first.status, first.go)
    response.headers["Idempotent-Replay"] = "true"
    return response


def _respond(html: str, status: int, go_to: str) -> Response:
    if not fragment_wanted():
        if status < 400:
            return redirect(go_to or request.path.rsplit("/", 1)[0] or "/", 303)  # type: ignore[return-value]
        return Response(html, status)
    response = Response(html, status)
    if go_to:
        response.headers["X-Go"] = go_to
    return response
