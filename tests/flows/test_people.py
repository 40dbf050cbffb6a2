"""People: badge and PIN, locks that a restart does not forgive, and no door open that nobody opened (R16)."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.routing import Rule

from tests import ways
from tests.factories import PIN
from tests.floor import Floor, Hand
from wms import create_app
from wms.clock import now
from wms.db import Database
from wms.flows import people
from wms.models import Count, Journal, Manifest, Operator, Order, Printer, PrintJob, Receipt, Role, SignIn, StockMove
from wms.settings import Settings
from wms.web.access import public, requires

WRONG = "111222"
SAME_WORDS = "Badge and PIN do not belong together. Scan your badge again."


class Stranger(Hand):
    """A browser at the door, not signed in yet."""

    def __init__(self, app: Flask) -> None:
        self.client, self.page, self.token = app.test_client(), "", ""
        self._learn(self.client.get("/sign-in?language=en").get_data(as_text=True))

    def try_in(self, badge: str, pin: str = PIN) -> str:
        """The words of the refusal, or nothing when the door opened."""
        self.post("/sign-in", badge=badge, pin=pin)
        if self.status == 303:
            return ""
        assert self.status == 422
        found = re.search(r'<p class="message-text">(.*?)</p>', self.page, re.S)
        assert found, self.text()
        return html.unescape(re.sub(r"<strong.*?</strong>|<[^>]+>", "", found.group(1), flags=re.S)).strip()


def person(floor: Floor, name: str) -> Operator:
    with floor.database.reading() as session:
        return session.execute(select(Operator).where(Operator.name == name)).scalar_one()


def test_badge_and_pin_open_the_door_and_each_alone_does_not(floor: Floor) -> None:
    door = Stranger(floor.app)
    door.post("/sign-in", code=floor.badges["picker"])
    assert door.status == 200 and "Enter your PIN" in door.text()
    assert door.try_in(floor.badges["picker"], "") == SAME_WORDS
    assert door.try_in(floor.badges["picker"]) == ""
    door.get("/")
    door.sees("home", "picker")


def test_an_unknown_badge_is_told_in_the_same_words_as_a_wrong_pin(floor: Floor) -> None:
    """The answer must not tell which badges there are."""
    door = Stranger(floor.app)
    assert door.try_in(floor.badges["picker"], WRONG) == door.try_in("U-" + "0" * 32, WRONG) == SAME_WORDS
    assert door.try_in("U-" + "0" * 32, PIN) == SAME_WORDS


@pytest.mark.parametrize("code", ["T-001", "6901234567892", "hello", "\x00", "L-A-01"])
def test_a_code_of_another_class_is_no_badge(floor: Floor, code: str) -> None:
    door = Stranger(floor.app)
    assert door.try_in(code) == "This is not a badge. Scan the code on your badge."
    door.post("/sign-in", code=code)
    assert door.status == 422


def test_five_wrong_pins_lock_the_badge_for_a_minute_and_a_restart_forgives_nothing(
    floor: Floor, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, badge = Stranger(floor.app), floor.badges["picker"]
    for _ in range(5):
        assert door.try_in(badge, WRONG) == SAME_WORDS
    assert "Too many wrong PINs. Wait 1 minutes" in door.try_in(badge)
    restarted = Stranger(create_app(settings, database))
    assert "Too many wrong PINs." in restarted.try_in(badge)
    assert person(floor, "picker").failures == 5, "tries while it is locked prove nothing and count nothing"
    assert door.try_in(floor.badges["second picker"]) == "", "somebody else's badge is not locked"
    later = now() + timedelta(seconds=61)
    monkeypatch.setattr(people, "now", lambda: later)
    assert Stranger(floor.app).try_in(badge) == ""
    assert (person(floor, "picker").failures, person(floor, "picker").locked_until) == (0, None)
    with floor.database.reading() as session:
        assert session.execute(select(Journal.after).where(Journal.what == "locked")).scalars().all() == ["5"]


def test_the_locks_grow_longer(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    at, badge, door = now(), floor.badges["picker"], Stranger(floor.app)
    clock = {"at": at}
    monkeypatch.setattr(people, "now", lambda: clock["at"])
    waits = []
    for tries in range(1, 12):
        door.try_in(badge, WRONG)
        until = person(floor, "picker").locked_until
        if until is not None and until > clock["at"]:
            waits.append((tries, round((until - clock["at"]).total_seconds() / 60)))
            clock["at"] = until + timedelta(seconds=1)
    assert waits == [(5, 1), (6, 1), (7, 1), (8, 5), (9, 5), (10, 5), (11, 15)]


@pytest.mark.parametrize("pin", ["", "1", "12345", "1234567", "abcdef", "000000", "123456", "654321", "٣٤٥٦٧٨"])
def test_a_pin_that_anybody_would_try_first_is_refused(pin: str) -> None:
    with pytest.raises(people.BadPin):
        people.hash_pin("pepper", pin)


def test_a_pin_is_worth_nothing_with_another_servers_secret() -> None:
    kept = people.hash_pin("pepper", PIN)
    assert people.pin_fits("pepper", kept, PIN)
    assert not people.pin_fits("other", kept, PIN)
    assert not people.pin_fits("pepper", kept, WRONG)
    assert not people.pin_fits("pepper", "no hash at all", PIN)


def test_neither_badge_nor_pin_nor_session_is_in_the_database(floor: Floor) -> None:
    hand = floor.hand("picker")
    cookie = hand.client.get_cookie("wms")
    assert cookie is not None and cookie.http_only
    with floor.database.engine.connect() as connection:
        everything = "\n".join(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]
    for secret in (floor.badges["picker"], floor.badges["picker"].removeprefix("U-"), PIN, cookie.value):
        assert secret not in everything


def test_a_lost_badge_is_replaced_and_what_is_open_with_it_ends(floor: Floor) -> None:
    hand = floor.hand("picker")
    with floor.database.transaction(floor.actor()) as session:
        fresh = people.new_badge(session, session.get_one(Operator, (floor.warehouse_id, person(floor, "picker").id)))
    hand.get("/pick")
    assert hand.status == 302
    assert Stranger(floor.app).try_in(floor.badges["picker"]) == SAME_WORDS
    assert Stranger(floor.app).try_in(fresh) == ""


def test_somebody_who_left_is_out_at_once_and_stays_in_the_history(floor: Floor) -> None:
    hand = floor.hand("picker")
    with floor.database.transaction(ways.actor(floor, "admin")) as session:
        people.set_active(session, session.get_one(Operator, (floor.warehouse_id, person(floor, "picker").id)), False)
    hand.act("/pick/next")
    assert hand.status == 401
    assert Stranger(floor.app).try_in(floor.badges["picker"]) == SAME_WORDS
    assert person(floor, "picker").active is False
    with pytest.raises(people.StillYou), floor.database.transaction(ways.actor(floor, "admin")) as session:
        people.set_active(session, session.get_one(Operator, (floor.warehouse_id, person(floor, "admin").id)), False)


def test_signing_out_ends_the_shift_on_this_device_alone(floor: Floor) -> None:
    here, there = floor.hand("picker"), floor.hand("picker")
    kept = here.client.get_cookie("wms")
    here.post("/sign-out")
    assert here.status == 303
    assert kept is not None
    here.client.set_cookie("wms", kept.value)
    here.get("/pick")
    assert here.status == 302, "the old cookie is worth nothing"
    there.get("/pick")
    assert there.status == 200


@pytest.mark.parametrize(("field", "back"), [("seen_at", timedelta(minutes=16)), ("started_at", timedelta(hours=13))])
def test_an_idle_device_and_a_finished_shift_ask_for_the_badge(floor: Floor, field: str, back: timedelta) -> None:
    hand = floor.hand("picker")
    with floor.database.transaction(floor.actor()) as session:
        row = session.execute(select(SignIn).order_by(SignIn.started_at.desc()).limit(1)).scalar_one()
        setattr(row, field, now() - back)
    hand.act("/pick/next")
    assert hand.status == 401
    hand.get("/pick")
    assert (hand.status, hand.answer.headers["Location"]) == (302, "/sign-in")


def test_a_post_without_its_token_does_nothing(floor: Floor) -> None:
    """CSRF: another site's form has the cookie but not the token."""
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 5)
    floor.release(floor.order("SO-1", ("A1", 1)))
    hand = floor.hand("picker")
    before = ways.books(floor)
    hand.token = ""
    hand.act("/pick/next")
    assert hand.status == 400
    assert ways.books(floor) == before and floor.task_of(_only_order(floor)).operator_id is None


def _only_order(floor: Floor) -> int:
    with floor.database.reading() as session:
        return session.execute(select(Order.id)).scalar_one()


def test_a_view_that_says_nothing_about_roles_is_open_to_nobody(floor: Floor) -> None:
    """Default deny: forgotten is closed, also for an admin."""
    app = create_app(floor.settings, floor.database)
    app.add_url_rule("/forgotten", "forgotten", lambda: "secret")
    app.add_url_rule("/for-packers", "for_packers", requires(Role.PACKER)(lambda: "bench"))
    app.add_url_rule("/open", "open", public(lambda: "hello"))
    for name, forgotten, packers in (("picker", 403, 403), ("packer", 403, 200), ("admin", 403, 200)):
        hand = Hand(app, floor.badges[name])
        hand.get("/forgotten")
        assert hand.status == forgotten and "secret" not in hand.page
        hand.get("/for-packers")
        assert hand.status == packers
    stranger = app.test_client()
    assert stranger.get("/open").status_code == 200
    assert stranger.get("/forgotten").status_code == 302
    assert stranger.get("/for-packers").status_code == 302


def rules(app: Flask) -> list[Rule]:
    return sorted(app.url_map.iter_rules(), key=str)


def test_every_door_names_its_role_and_only_a_few_are_open_to_all(floor: Floor) -> None:
    """Whoever adds a page without a role sees it here, not on the floor."""
    open_to_all = set()
    for rule in rules(floor.app):
        if rule.endpoint == "static":
            continue
        view = floor.app.view_functions[rule.endpoint]
        role = getattr(view, "wms_role", None)
        if getattr(view, "wms_machine", False):
            continue  # programs, each message signed: see tests/web/test_hooks.py and test_qimen_door.py
        assert role is not None or getattr(view, "wms_public", False), f"{rule} is open to nobody"
        if role is None:
            open_to_all.add(str(rule))
    allowed = {
        "/healthz",
        "/sign-in",
        "/sign-out",
        "/setup",
        "/setup/qr.svg",
        "/ca.crt",
        "/badges",
        "/camera/read",
        "/sw.js",
        "/api/v1/agent/next",  # a bearer token instead, see tests/web/test_agents.py
        "/api/v1/agent/report",
        "/api/v1/agent/printers",
        "/tracking/push",  # signed by the aggregator instead, see tests/jobs/test_tracking.py
    }  # a badge may be photographed before anybody is signed in
    assert open_to_all <= allowed | {rule for rule in open_to_all if rule.startswith("/setup")}, open_to_all - allowed


def busy(floor: Floor) -> dict[str, list[int]]:
    """A floor in the middle of a day, and the ids that its addresses may carry."""
    floor.item("A1", "6901234567892")
    floor.stock("A1", "A-01-01-1", 20)
    ways.shipped(floor, "SO-1", ("A1", 1), tote="001")
    second = floor.order("SO-2", ("A1", 1))
    floor.release(second)
    ways.picked(floor, second, "002")
    ways.labelled(floor, "002")
    third, short = floor.order("SO-3", ("A1", 1)), floor.order("SO-4", ("A1", 99))
    floor.release(third, short)
    ways.at_the_item(floor, third, "003")
    floor.order("SO-5", ("NOBODY", 1))
    with floor.database.transaction(ways.actor(floor, "picker")) as session:
        from wms.flows import count, receive

        receive.start_blind(session, floor.operator_id("picker"))
        count.plan(session, floor.place(session, "A-01-02-1"))
    with floor.database.reading() as session:
        ids = {
            table.__tablename__: list(session.execute(select(table.id)).scalars())
            for table in (Order, Manifest, Receipt, Count, Printer, PrintJob, Operator)
        }
    ids["task"] = [floor.task_of(third).id]
    return ids


@pytest.mark.parametrize("name", ["nobody", "picker", "packer", "supervisor", "admin"])
def test_every_page_answers_every_role_and_never_stumbles(floor: Floor, name: str) -> None:
    """Each address with each id there is, and with one that is not: a page, a no, or nothing there; never a fault."""
    ids = busy(floor)
    known = [0, 7, *sorted({i for values in ids.values() for i in values[:2]})]
    hand = Stranger(floor.app) if name == "nobody" else floor.hand(name)
    rank = -1 if name == "nobody" else Role(name).rank
    seen = 0
    for rule in rules(floor.app):
        if rule.endpoint == "static" or "GET" not in (rule.methods or set()):
            continue
        view = floor.app.view_functions[rule.endpoint]
        if getattr(view, "wms_machine", False) or str(rule).startswith("/api/v1/agent/"):
            continue  # no door for people: each message is signed, or has a token
        role = getattr(view, "wms_role", None)
        needed = -1 if getattr(view, "wms_public", False) else role.rank if role else 99
        for number in known if rule.arguments else [0]:
            path = re.sub(r"<(?:int:)?\w+>", str(number), re.sub(r"<(?!int:)[^>]*>", "nothing", str(rule)))
            hand.get(path)
            if rank < needed:
                assert hand.status == (302 if name == "nobody" else 403), f"{path} answers {hand.status} to {name}"
            else:
                assert hand.status in (200, 204, 303, 302, 404, 422), f"{path} answers {hand.status} to {name}"
            if hand.status >= 400:
                assert "Traceback" not in hand.page
            seen += 1
    assert seen > 20


def test_who_did_it_comes_from_the_session_and_never_from_a_field(floor: Floor) -> None:
    """R16: whatever the form claims."""
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 5)
    order = floor.order("SO-1", ("A1", 1))
    floor.release(order)
    hand = floor.hand("picker")
    claim = {
        "operator_id": str(floor.operator_id("admin")),
        "operator": "admin",
        "role": "admin",
        "device_id": "1",
        "warehouse_id": "2",
    }
    hand.act("/pick/next", **claim)
    path = f"/pick/{floor.task_of(order).id}/scan"
    for code in ("T-001", "L-A-01-01-1", "A1"):
        hand.act(path, code=code, **claim)
    with floor.database.reading() as session:
        assert session.execute(
            select(StockMove.operator_id).where(StockMove.reason == "pick")
        ).scalar_one() == floor.operator_id("picker")
