"""A picker's phone as the benches have it: it signs in, reads its screen and knows what that screen wants next."""

from __future__ import annotations

import html
import random
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from wms.bench import warehouse
from wms.bench.load import Answer, Lost, Tally, Wire
from wms.bench.service import BenchError

_TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')
_STEP = re.compile(r'data-step="([^"]*)"')
_FEELING = re.compile(r'data-answer="(\w+)"')
_TASK = re.compile(r'action="/pick/(\d+)/\w')
_GO_TO = re.compile(r'class="big-code[ "].*?</span>\s*(?:<b[^>]*>.*?</b></span>)?', re.S)
_ITEM = re.compile(r"<dt>Item</dt><dd>([^<]+)</dd>")
_DONE = re.compile(r'class="progress-text"><b>(\d+)</b>')
_REST = re.compile(r'action="/pick/\d+/rest".*?name="qty" value="(\d+)"', re.S)
_AT = re.compile(r'data-carry=.{"at": "(\d+)"')
_TAG = re.compile(r"<[^>]+>")
ONE_IN = 100
WRONG_CODE = "L-A-01-01-1"
"""The label of the first place, which holds nothing: no order goes there, so every step refuses it."""


def first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return html.unescape(found.group(1)) if found else ""


@dataclass(frozen=True, slots=True)
class Screen:
    """What a phone shows, read as a person reads it."""

    text: str

    @property
    def step(self) -> str:
        return first(_STEP, self.text)

    @property
    def feeling(self) -> str:
        """done, wrong or look; empty when the message area is."""
        return first(_FEELING, self.text)

    @property
    def task(self) -> str:
        return first(_TASK, self.text)

    @property
    def done(self) -> int:
        """Pieces in the tote, as the progress bar has it."""
        return int(first(_DONE, self.text) or 0)

    @property
    def rest(self) -> int:
        """Pieces the button "Take the other …" offers; 0 without the button."""
        return int(first(_REST, self.text) or 0)

    @property
    def undo(self) -> bool:
        return f'action="/pick/{self.task}/undo"' in self.text

    @property
    def place(self) -> str:
        """The label of the place the big code names."""
        found = _GO_TO.search(self.text)
        return "L-" + _TAG.sub("", found.group(0).partition(">")[2]).strip() if found else ""

    @property
    def at(self) -> str:
        """The id of the place the worker stands at, as the page sends it with each piece."""
        return first(_AT, self.text)

    @property
    def sku(self) -> str:
        return first(_ITEM, self.text)


@dataclass(frozen=True, slots=True)
class Ask:
    """What the screen wants next: where to post it, what is scanned, which steps may follow."""

    kind: str
    path: str
    code: str
    then: tuple[str, ...]


class Handheld:
    """Signed in with one badge, on one connection, with cookies and token as static/scan/outbox.js sends them."""

    def __init__(self, wire: Wire, badge: str, totes: Iterator[str], barcodes: dict[str, str]) -> None:
        self.wire = wire
        self.screen = Screen("")
        self.headers = ""
        self._badge, self._totes, self._barcodes = badge, totes, barcodes
        self.cookies: dict[str, str] = {}
        self._token = ""

    async def sign_in(self) -> Screen:
        """As a person does: the sign-in page, badge and PIN, then the pick page, which is returned.

        The device's own cookie stays from one sign-in to the next. Raises BenchError, and Lost.
        """
        page = await self._plain("GET", "/sign-in")
        self._token = first(_TOKEN, page.body)
        answer = await self._plain("POST", "/sign-in", {"badge": self._badge, "pin": warehouse.PIN})
        if answer.status != 303:
            raise BenchError(f"sign-in answered {answer.status}")
        page = await self._plain("GET", "/pick")
        self._token, screen = first(_TOKEN, page.body), Screen(page.body)
        if not screen.step.startswith("pick/"):
            raise BenchError(f"the pick page answered {page.status} {screen.step}")
        self.headers = (
            f"Cookie: {self._cookie()}\r\nX-CSRFToken: {self._token}\r\nX-Requested-With: scan\r\n"
            f"Origin: {self.wire.origin}\r\nReferer: {self.wire.origin}/pick\r\n"
        )
        return screen

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def _plain(self, method: str, path: str, fields: dict[str, str] | None = None) -> Answer:
        headers = f"Cookie: {self._cookie()}\r\n" if self.cookies else ""
        headers += f"X-CSRFToken: {self._token}\r\n" if self._token else ""
        answer = await self.wire.ask(method, path, headers, fields)
        for kept in answer.header("Set-Cookie"):
            name, _, value = kept.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def wanted(self) -> Ask | None:
        """What the screen asks for; None when it asks for nothing a picker can do."""
        screen, step = self.screen, self.screen.step
        path = f"/pick/{screen.task}/scan"
        if step in ("pick/waiting", "pick/done"):
            return Ask("next", "/pick/next", "", ("pick/scan_tote",))
        if step == "pick/scan_tote":
            return Ask("tote", path, next(self._totes), ("pick/scan_location",))
        if step == "pick/scan_location":
            return Ask("location", path, screen.place, ("pick/scan_item",))
        if step == "pick/scan_item":
            then = ("pick/scan_item", "pick/scan_location", "pick/done")
            return Ask("item", path, self._barcodes.get(screen.sku, "?"), then)
        return None


class Picker(Handheld):
    """Does what its screen says and checks what comes back; one scan in a hundred is wrong, one is sent twice."""

    def __init__(self, wire: Wire, badge: str, totes: Iterator[str], barcodes: dict[str, str]) -> None:
        super().__init__(wire, badge, totes, barcodes)
        self._chance = random.Random(badge)

    async def step(self, tally: Tally) -> bool:
        """Do the one thing on the screen. False when there is no more work."""
        ask = self.wanted()
        if ask is None:
            tally.wrong(f"nothing to do on {self.screen.step!r}")
            return False
        wrong = ask.kind in ("location", "item") and self._chance.randrange(ONE_IN) == 0
        fields = {"code": WRONG_CODE if wrong else ask.code} if ask.code else {}
        if ask.kind == "item" and self.screen.at:
            fields["at"] = self.screen.at
        fields["scan_id"] = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        try:
            answer = await self.wire.ask("POST", ask.path, self.headers, fields)
        except Lost as lost:
            tally.wrong(str(lost))
            return True
        if ask.kind == "next" and answer.status == 422 and Screen(answer.body).step == "pick/waiting":
            return False  # all is picked
        tally.count(ask.kind, answer.seconds)
        if wrong:
            self._refused(ask, answer, tally)
        else:
            self._taken(ask, answer, tally)
        if ask.kind == "tote":
            await self._carry(tally)
        if self._chance.randrange(ONE_IN) == 0:
            await self._again(ask, fields, answer, tally)
        return True

    def _taken(self, ask: Ask, answer: Answer, tally: Tally) -> None:
        screen = Screen(answer.body)
        wanted = "" if ask.kind == "next" else "done"
        if answer.status != 200 or screen.feeling != wanted or screen.step not in ask.then:
            said = f"{answer.status} {screen.feeling} {screen.step}"
            tally.wrong(f"{ask.kind} {ask.code}: {said}, wanted 200 {wanted} {ask.then}")
        elif ask.kind == "item":
            tally.pieces += 1
            if screen.done != self.screen.done + 1:
                tally.wrong(f"one piece scanned, the screen went from {self.screen.done} to {screen.done}")
        if screen.step:
            self.screen = screen

    async def _carry(self, tally: Tally) -> None:
        """The phone takes its task along for where there is no network; not timed, nobody waits for it."""
        try:
            answer = await self._plain("GET", f"/pick/{self.screen.task}/carried")
        except Lost as lost:
            tally.wrong(str(lost))
            return
        if answer.status != 200:
            tally.wrong(f"the task to carry got {answer.status}")

    def _refused(self, ask: Ask, answer: Answer, tally: Tally) -> None:
        screen = Screen(answer.body)
        if answer.status != 422 or screen.feeling != "wrong" or screen.step != self.screen.step:
            tally.wrong(f"a wrong {ask.kind} got {answer.status} {screen.feeling} {screen.step}")
        else:
            tally.refusals += 1

    async def _again(self, ask: Ask, fields: dict[str, str], first: Answer, tally: Tally) -> None:
        """R10: the same scan id again gives the first answer again."""
        try:
            again = await self.wire.ask("POST", ask.path, self.headers, fields)
        except Lost as lost:
            tally.wrong(str(lost))
            return
        tally.replays += 1
        if (again.status, again.body) != (first.status, first.body) or again.header("Idempotent-Replay") != ["true"]:
            tally.wrong(f"{ask.kind} sent twice: {first.status}, then {again.status} with another answer")
