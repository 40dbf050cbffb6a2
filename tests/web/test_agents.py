"""The station agents' API: only with a token, only its own printers, each attempt lent and written down once (R35)."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.floor import Floor
from wms import labels, print_lease
from wms.clock import now
from wms.flows import agents, printing
from wms.models import Journal, Location, PrintAttempt, Printer, PrintJob, StationAgent

JOURNAL, OTHER_JOURNAL = "0123456789abcdef", "fedcba9876543210"


class Beside:
    """An agent as the server sees it: a token and a journal."""

    def __init__(self, floor: Floor, code: str = "PACK1", journal: str = JOURNAL, printer: str = "LB1") -> None:
        self.floor, self.journal = floor, journal
        with floor.database.transaction(floor.actor()) as session:
            agent, self.token = agents.add(session, code, "", None)
            self.agent_id = agent.id
            session.execute(
                update(Printer)
                .where(Printer.code == printer)
                .values(uri=f"agent://{code}/os/ZD421", width_mm=100, height_mm=150)
            )

    def call(self, method: str, path: str, token: str = "", **more: Any) -> Any:
        client = self.floor.app.test_client()
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return client.open(f"/api/v1/agent/{path}", method=method, headers=headers, **more)

    def next(self, busy: str = "", journal: str = "") -> Any:
        answer = self.call("GET", "next", query_string={"journal": journal or self.journal, "busy": busy})
        assert answer.status_code == 200, answer.text
        return answer.json["lease"]

    def report(self, lease: Any, result: str, **more: Any) -> Any:
        told = {"journal": self.journal, "job": lease["job"], "attempt": lease["attempt"], "sha256": lease["sha256"]}
        return self.call("POST", "report", json={**told, "result": result, **more})


def queue(floor: Floor, count: int = 1, first: int = 0) -> list[int]:
    with floor.database.transaction(floor.actor()) as session:
        place = session.execute(select(Location).where(Location.code == "A-01-01-1")).scalar_one()
        printer = session.execute(select(Printer).where(Printer.code == "LB1")).scalar_one()
        return [
            labels.queue_location(session, place, printer, once=f"test:{number}").id
            for number in range(first, first + count)
        ]


def states(floor: Floor) -> list[tuple[str, str]]:
    with floor.database.reading() as session:
        return [(j.state.value, j.reason) for j in session.execute(select(PrintJob).order_by(PrintJob.id)).scalars()]


def attempts(floor: Floor) -> list[tuple[int | None, str]]:
    with floor.database.reading() as session:
        rows = session.execute(select(PrintAttempt).order_by(PrintAttempt.id)).scalars()
        return [(row.attempt, row.result) for row in rows]


def lease_runs_out(floor: Floor) -> None:
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(Printer).values(leased_until=now() - timedelta(seconds=1)))


@pytest.mark.parametrize("path", ["next", "report", "printers"])
def test_without_a_token_nobody_comes_in(floor: Floor, path: str) -> None:
    beside = Beside(floor)
    method = "GET" if path == "next" else "POST"
    client = floor.app.test_client()
    for headers in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wfa_guess"},
        {"Authorization": "Basic x"},
    ):
        assert client.open(f"/api/v1/agent/{path}", method=method, headers=headers).status_code == 401
    # A signed-in admin has a cookie and no token.
    admin = floor.hand("admin")
    answer = admin.client.open(f"/api/v1/agent/{path}", method=method, headers={"X-CSRFToken": admin.token})
    assert answer.status_code == 401
    with floor.database.transaction(floor.actor()) as session:
        agents.revoke(session, beside.agent_id)
    assert beside.call(method, path).status_code == 401


def test_a_token_opens_nothing_else(floor: Floor) -> None:
    beside = Beside(floor)
    client = floor.app.test_client()
    for path in ("/desk/printing", "/", "/pick", "/desk/printing/agents/new"):
        answer = client.get(path, headers={"Authorization": f"Bearer {beside.token}"})
        assert (answer.status_code, answer.headers.get("Location")) == (302, "/sign-in"), path
    answer = client.post("/desk/labels", headers={"Authorization": f"Bearer {beside.token}"})
    assert answer.status_code == 400, "the others keep their CSRF check"


def test_an_agent_gets_its_own_jobs_and_no_others(any_floor: Floor) -> None:
    beside = Beside(any_floor)
    other = Beside(any_floor, "PACK10", OTHER_JOURNAL, printer="WB1")
    (job_id,) = queue(any_floor)
    assert other.next() is None, "PACK1 is not PACK10"
    assert print_lease.printers_due(any_floor.database) == [], "nor is it the worker's"
    lease = beside.next()
    payload = base64.b64decode(lease["bytes"])
    assert lease["job"] == str(job_id) and lease["attempt"] == 1 and lease["to"] == "os://ZD421"
    assert hashlib.sha256(payload).hexdigest() == lease["sha256"] and payload.startswith(b"^XA")
    assert other.report(lease, "printed").status_code == 404
    assert states(any_floor) == [("sending", "")]
    assert beside.report(lease, "printed").json == {"state": "printed"}
    assert beside.next() is None
    assert attempts(any_floor) == [(1, "printed")]


def test_an_answer_lost_on_the_way_is_given_again_as_the_same_attempt(any_floor: Floor) -> None:
    beside = Beside(any_floor)
    queue(any_floor)
    first, again = beside.next(), beside.next()
    assert first == again
    assert beside.next(busy=first["printer"]) is None, "what it is printing is not handed out again"


def test_a_report_told_twice_is_written_once(any_floor: Floor) -> None:
    beside = Beside(any_floor)
    queue(any_floor, 2)
    lease = beside.next()
    for _ in range(3):
        assert beside.report(lease, "printed").json == {"state": "printed"}
    assert attempts(any_floor) == [(1, "printed")]
    second = beside.next()
    assert second["job"] != lease["job"]
    assert beside.report(lease, "unknown").json == {"state": "printed"}, "the first word stands"
    lease_kept = beside.next(busy=second["printer"])
    assert lease_kept is None and states(any_floor)[1] == ("sending", "")


def test_another_journal_never_gets_what_the_first_may_have_printed(any_floor: Floor) -> None:
    """The packing PC got a new disk: what it was lent before is a question."""
    beside = Beside(any_floor)
    queue(any_floor)
    assert beside.next() is not None
    assert beside.next(journal=OTHER_JOURNAL) is None
    assert print_lease.ask_about_abandoned(any_floor.database) == 0, "its lease runs"
    lease_runs_out(any_floor)
    assert beside.next(journal=OTHER_JOURNAL) is None
    assert states(any_floor) == [("unknown", "interrupted")]


def test_a_lease_that_ran_out_becomes_a_question_and_a_late_report_answers_it(any_floor: Floor) -> None:
    beside = Beside(any_floor)
    queue(any_floor)
    lease = beside.next()
    lease_runs_out(any_floor)
    assert print_lease.ask_about_abandoned(any_floor.database) == 1
    assert states(any_floor) == [("unknown", "interrupted")]
    assert beside.next() is None, "unknown is never printed again by itself"
    assert beside.report(lease, "printed").json == {"state": "printed"}
    assert states(any_floor) == [("printed", "")]


def test_a_person_who_answered_first_is_not_overruled(any_floor: Floor) -> None:
    beside = Beside(any_floor)
    (job_id,) = queue(any_floor)
    late = beside.next()
    lease_runs_out(any_floor)
    print_lease.ask_about_abandoned(any_floor.database)
    with any_floor.database.transaction(any_floor.actor()) as session:
        printing.came_out(session, any_floor.warehouse_id, job_id, yes=False)
    second = beside.next()
    assert second["attempt"] == 2
    assert beside.report(late, "printed").json == {"state": "sending"}
    assert beside.report(second, "printed").json == {"state": "printed"}
    assert attempts(any_floor) == [(1, "printed"), (2, "printed")]


def test_a_job_that_waits_keeps_those_behind_it_waiting(floor: Floor) -> None:
    beside = Beside(floor)
    queue(floor, 2)
    lease = beside.next()
    beside.report(lease, "waiting", reason="queue_stopped")
    assert states(floor)[0] == ("waiting", "queue_stopped")
    assert beside.next() is None
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(PrintJob).values(next_at=now() - timedelta(seconds=1)))
    again = beside.next()
    assert (again["job"], again["attempt"]) == (lease["job"], 2)


def test_a_held_job_is_looked_at_and_its_bytes_are_not_sent_again(floor: Floor) -> None:
    beside = Beside(floor)
    queue(floor)
    beside.report(beside.next(), "held", reason="in_queue", base=17)
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(PrintJob).values(next_at=now() - timedelta(seconds=1)))
    lease = beside.next()
    assert (lease["do"], lease["base"], lease["bytes"], lease["attempt"]) == ("look", 17, "", 2)
    beside.report(lease, "printed")
    assert states(floor) == [("printed", "")]


def test_the_lease_of_a_long_job_is_held_on_to(floor: Floor) -> None:
    beside = Beside(floor)
    queue(floor)
    lease = beside.next()
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(Printer).where(Printer.code == "LB1").values(leased_until=now() + timedelta(seconds=5)))
    beside.next(busy=lease["printer"])
    with floor.database.reading() as session:
        until = session.execute(select(Printer.leased_until).where(Printer.code == "LB1")).scalar_one()
    assert until is not None and until > now() + timedelta(seconds=60)


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {"result": "burned"},
        {"reason": "<script>"},
        {"attempt": 0},
        {"attempt": "x"},
        {"base": -1},
        {"bytes_sent": True},
        {"journal": "short"},
        {"job": str(2**64)},
    ],
)
def test_a_report_that_makes_no_sense_changes_nothing(floor: Floor, told: Any) -> None:
    beside = Beside(floor)
    queue(floor)
    lease = beside.next()
    whole = {"journal": JOURNAL, "job": lease["job"], "attempt": 1, "sha256": lease["sha256"], "result": "printed"}
    answer = beside.call("POST", "report", json={**whole, **told} if told else told)
    assert answer.status_code == 400
    assert states(floor) == [("sending", "")]


def test_a_report_of_other_bytes_or_of_an_attempt_never_lent_is_refused(floor: Floor) -> None:
    beside = Beside(floor)
    queue(floor)
    lease = beside.next()
    assert beside.report({**lease, "sha256": "0" * 64}, "printed").status_code == 409
    assert beside.report({**lease, "attempt": 2}, "printed").status_code == 409
    assert beside.report({**lease, "job": "123"}, "printed").status_code == 404
    assert states(floor) == [("sending", "")]


def test_an_idle_agent_writes_nothing(floor: Floor) -> None:
    beside = Beside(floor)
    beside.next()

    def seen() -> Any:
        with floor.database.reading() as session:
            return session.execute(select(StationAgent.seen_at)).scalar_one()

    first = seen()
    assert first is not None
    for _ in range(3):
        beside.next()
    assert seen() == first


def test_the_desk_makes_an_agent_shows_its_token_once_and_shuts_it_out(floor: Floor) -> None:
    hand = floor.hand("admin")
    hand.get("/desk/printing/agents/new")
    hand.post("/desk/printing/agents/save", code="bad code", name="")
    assert hand.status == 422 and "letters, digits" in hand.said
    hand.post("/desk/printing/agents/save", code="pack9", name="Bench 9", station="")
    hand.sees("desk/agent_made", "agent://PACK9/", "run.py agent --server http://localhost --token wfa_")
    token = hand.page.split("--token ")[1].split()[0].split("<")[0]
    with floor.database.reading() as session:
        row = session.execute(select(StationAgent)).scalar_one()
        kept = [row.token_sha256, *(line.after for line in session.execute(select(Journal)).scalars())]
    assert hashlib.sha256(token.encode()).hexdigest() == row.token_sha256
    assert not any(token in each for each in kept)
    hand.get("/desk/printing")
    assert token not in hand.page
    hand.sees("desk/printing", "PACK9", "Bench 9")
    hand.post("/desk/printing/agents/save", code="PACK9", name="")
    assert hand.said == "The code PACK9 is already used."

    client = floor.app.test_client()
    queues = {
        "queues": [{"name": "ZD421", "address": "os/ZD421", "state": "queue_stopped"}],
        "version": "1",
        "system": "L",
    }
    headers = {"Authorization": f"Bearer {token}"}
    assert client.post("/api/v1/agent/printers", json=queues, headers=headers).json["code"] == "PACK9"
    hand.get("/desk/printing")
    hand.sees("desk/printing", "ZD421", "Its queue is stopped.", "Online")
    hand.get("/desk/printing/printers/new")
    hand.sees("desk/printer", "agent://PACK9/os/ZD421")

    hand.act(f"/desk/printing/agents/{row.id}/revoke")
    assert hand.said == "Bench 9 is shut out. Jobs for its printers wait."
    assert client.get(f"/api/v1/agent/next?journal={JOURNAL}", headers=headers).status_code == 401
    hand.post(f"/desk/printing/agents/{row.id}/token")
    again = hand.page.split("--token ")[1].split()[0].split("<")[0]
    assert again != token
    assert client.get(f"/api/v1/agent/next?journal={JOURNAL}", headers=headers).status_code == 401
    headers = {"Authorization": f"Bearer {again}"}
    assert client.get(f"/api/v1/agent/next?journal={JOURNAL}", headers=headers).status_code == 200


def test_only_an_admin_makes_agents(floor: Floor) -> None:
    Beside(floor)
    hand = floor.hand("supervisor")
    hand.get("/desk/printing/agents/new")
    assert hand.status == 403
    hand.post("/desk/printing/agents/save", code="MINE", name="")
    assert hand.status == 403
    hand.get("/desk/printing")
    assert "/token" not in hand.page


def test_a_printer_behind_an_agent_is_added_and_says_when_the_agent_is_away(floor: Floor) -> None:
    hand = floor.hand("admin")
    told = {"code": "zd9", "name": "Zebra 9", "dpi": "203", "width_mm": "100", "height_mm": "150", "trusted": "1"}
    hand.act("/desk/printing/printers/save", uri="agent://PACK9/os/ZD421", **told)
    assert hand.said == "There is no station agent PACK9. Add it first."
    beside = Beside(floor, "PACK9")
    hand.act("/desk/printing/printers/save", uri="agent://pack9/Zebra%20ZD421", **told)
    assert hand.answer.headers["X-Go"] == "/desk/printing", hand.text()
    with floor.database.reading() as session:
        row = session.execute(select(Printer).where(Printer.code == "ZD9")).scalar_one()
    assert (row.uri, row.trusted) == ("agent://PACK9/os/Zebra%20ZD421", True)
    hand.get("/desk/printing")
    hand.sees("desk/printing", "Its station agent does not answer.")
    beside.next()
    hand.get("/desk/printing")
    assert "Its station agent does not answer." not in hand.text()


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("agent://pack1/ZD421", "agent://PACK1/os/ZD421"),
        ("agent://PACK1/os/Zebra%20ZD421", "agent://PACK1/os/Zebra%20ZD421"),
        ("agent://PACK1/os/%E6%A0%87%E7%AD%BE", "agent://PACK1/os/%E6%A0%87%E7%AD%BE"),
        ("agent://PACK1/tcp/192.168.1.20", "agent://PACK1/tcp/192.168.1.20:9100"),
        ("agent://PACK1/tcp/label-2:9101", "agent://PACK1/tcp/label-2:9101"),
        ("agent://PACK1/tcp/[fd00::2]:9101", "agent://PACK1/tcp/[fd00::2]:9101"),
        ("os://ZD421", "os://ZD421"),
    ],
)
def test_addresses_behind_an_agent_and_of_queues(written: str, kept: str) -> None:
    assert printing.check_address(written, [], ["10.0.0.0/8"]) == kept


@pytest.mark.parametrize(
    "uri",
    [
        "agent://",
        "agent://PACK1",
        "agent://PACK1/",
        "agent://PACK1/os/",
        "agent://PACK1/os/-h",
        "agent://PACK1/os/a%0Ab",
        "agent://PACK1/file/etc",
        "agent://PACK1/tcp/",
        "agent://PACK1/tcp/10.0.0.1:99999",
        "agent://PACK1/tcp/10.0.0.1/x",
        "agent://PACK 1/os/x",
        "agent://a@b/os/x",
        "os://",
        "os://-h",
        "os://a?b",
    ],
)
def test_what_is_no_address_behind_an_agent_is_refused(uri: str) -> None:
    with pytest.raises(printing.BadAddress):
        printing.check_address(uri, [], ["10.0.0.0/8"])
