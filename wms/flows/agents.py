"""Station agents 打印代理: small programs beside printers the server cannot reach, and what they may do (R35).

An agent has a token of its own and serves the printers whose address begins with agent://CODE/, no others.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.db import Actor, Database, actor_of
from wms.errors import N_, NotFound, Refusal, term
from wms.models import Printer, Station, StationAgent, new_id

SEEN_EVERY = timedelta(seconds=20)
"""An idle agent asks several times a second; that it did is written down this often."""

AWAY_AFTER = timedelta(seconds=60)
QUEUES = 100
WORD = 120
_CODE = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,30}")


class BadAgentCode(Refusal):
    message = N_("A code is 1 to 31 letters, digits, dots or dashes. %(entered)s is not.")


class AgentCodeTaken(Refusal):
    message = N_("The code %(code)s is already used.")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def add(session: Session, code: str, name: str, station_id: int | None) -> tuple[StationAgent, str]:
    """A new agent and its token, which is returned this once."""
    warehouse_id = actor_of(session).warehouse_id
    code = code.strip().upper()
    if not _CODE.fullmatch(code):
        raise BadAgentCode(entered=code[:40] or "—")
    if session.execute(
        select(StationAgent.id).where(StationAgent.warehouse_id == warehouse_id, StationAgent.code == code)
    ).first():
        raise AgentCodeTaken(code=code)
    if station_id is not None and session.get(Station, (warehouse_id, station_id)) is None:
        raise NotFound(what=term("The station"))
    token = _new_token()
    agent = StationAgent(
        warehouse_id=warehouse_id,
        id=new_id(),
        code=code,
        name=name.strip()[:80] or code,
        token_sha256=_digest(token),
        station_id=station_id,
        queues=[],
        created_at=now(),
    )
    session.add(agent)
    session.flush()
    journal.note(session, agent, "added", "", code)
    return agent, token


def _new_token() -> str:
    return "wfa_" + secrets.token_urlsafe(32)


def new_token(session: Session, agent_id: int) -> tuple[StationAgent, str]:
    """Another token for an agent, revoked or not; the old one is worth nothing from now on."""
    agent = agent_of(session, agent_id)
    token = _new_token()
    agent.token_sha256, agent.revoked_at = _digest(token), None
    journal.note(session, agent, "new_token")
    return agent, token


def revoke(session: Session, agent_id: int) -> StationAgent:
    """The agent is shut out at once. Jobs of its printers wait; what it is printing now ends as a question."""
    agent = agent_of(session, agent_id)
    if agent.revoked_at is None:
        agent.revoked_at = now()
        journal.note(session, agent, "revoked")
    return agent


def agent_of(session: Session, agent_id: int) -> StationAgent:
    agent = session.get(StationAgent, (actor_of(session).warehouse_id, agent_id), with_for_update=True)
    if agent is None:
        raise NotFound(what=term("The agent"))
    return agent


def every(session: Session, warehouse_id: int) -> list[StationAgent]:
    return list(
        session.execute(
            select(StationAgent).where(StationAgent.warehouse_id == warehouse_id).order_by(StationAgent.code)
        ).scalars()
    )


def how(agent: StationAgent) -> str:
    """closed (revoked), unknown (never seen), online, or offline."""
    if agent.revoked_at is not None:
        return "closed"
    if agent.seen_at is None:
        return "unknown"
    return "online" if now() - agent.seen_at < AWAY_AFTER else "offline"


def unattended(session: Session, warehouse_id: int) -> set[int]:
    """Printers behind an agent that is revoked, missing or not heard of: nothing comes out of them now."""
    there = tuple(address(agent) for agent in every(session, warehouse_id) if how(agent) == "online")
    return {
        printer_id
        for printer_id, uri in session.execute(
            select(Printer.id, Printer.uri).where(
                Printer.warehouse_id == warehouse_id, Printer.uri.startswith("agent://")
            )
        )
        if not uri.startswith(there or ("-",))
    }


def address(agent: StationAgent | Known) -> str:
    """What the addresses of its printers begin with."""
    return f"agent://{agent.code}/"


@dataclass(frozen=True, slots=True)
class Known:
    """The agent of this request, without the price of a session: an idle one asks several times a second."""

    id: int
    warehouse_id: int
    code: str
    name: str
    seen_at: datetime | None


_KNOWN = select(
    StationAgent.id, StationAgent.warehouse_id, StationAgent.code, StationAgent.name, StationAgent.seen_at
).where(StationAgent.token_sha256 == bindparam("hashed"), StationAgent.revoked_at.is_(None))


def of_token(database: Database, token: str) -> Known | None:
    """Whose token this is, unless it was revoked."""
    row = database.look(_KNOWN, {"hashed": _digest(token)})
    return None if row is None else Known(*row)


def seen(database: Database, agent: Known) -> None:
    """It is alive. Written now and then only: an idle agent must not keep the writer of SQLite busy."""
    at = now()
    if agent.seen_at is None or at - agent.seen_at >= SEEN_EVERY:
        _set(database, agent, seen_at=at)


def told_queues(
    database: Database, agent: Known, queues: Sequence[Mapping[str, Any]], version: str, system: str
) -> None:
    """What the agent sees on its machine, for choosing at the desk; nothing is printed by it."""
    kept = [{name: _clean(queue.get(name, "")) for name in ("name", "address", "state")} for queue in queues[:QUEUES]]
    kept = [queue for queue in kept if queue["name"]]
    _set(database, agent, queues=kept, version=_clean(version)[:40], system=_clean(system)[:80], seen_at=now())


def _clean(text: object) -> str:
    """Words of another machine: no control signs, no more than fits."""
    return "".join(letter for letter in str(text)[:WORD] if letter.isprintable()).strip()


def _set(database: Database, agent: Known, **values: list[dict[str, str]] | str | datetime) -> None:
    with database.transaction(Actor(agent.warehouse_id)) as session:
        session.execute(
            update(StationAgent)
            .where(StationAgent.warehouse_id == agent.warehouse_id, StationAgent.id == agent.id)
            .values(**values)
            .execution_options(synchronize_session=False)
        )


def printer_is_its_own(database: Database, agent: Known, printer_id: int) -> Printer | None:
    with database.reading() as session:
        printer = session.get(Printer, (agent.warehouse_id, printer_id))
        return printer if printer is not None and printer.uri.startswith(address(agent)) else None
