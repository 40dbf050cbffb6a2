"""The floor as an operator knows it: sign in, scan, press, see. Real database, real templates, real client."""

from __future__ import annotations

import html
import re
import uuid
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from tests.factories import PIN, Rows
from wms.db import Database
from wms.jobs import audit
from wms.settings import Settings


class Hand:
    """One operator with one device in their hand."""

    def __init__(self, app: Flask, badge: str) -> None:
        self.client: FlaskClient = app.test_client()
        self.page = ""
        self.status = 0
        self.answer: Any = None
        self.token = ""
        self.client.get("/sign-in")
        self._learn(self.client.get("/sign-in").get_data(as_text=True))
        self.post("/sign-in", badge=badge, pin=PIN)
        assert self.answer.status_code == 303, self.text()
        self.get("/")

    def _learn(self, page: str) -> None:
        found = re.search(r'name="csrf-token" content="([^"]+)"', page)
        if found:
            self.token = html.unescape(found.group(1))

    def get(self, path: str, **query: str) -> str:
        self.answer = self.client.get(path, query_string=query)
        self.status, self.page = self.answer.status_code, self.answer.get_data(as_text=True)
        self._learn(self.page)
        return self.page

    def post(self, path: str, **fields: object) -> str:
        """An ordinary form."""
        self.answer = self.client.post(path, data=fields, headers={"X-CSRFToken": self.token})
        self.status, self.page = self.answer.status_code, self.answer.get_data(as_text=True)
        return self.page

    def act(self, path: str, scan_id: str | None = None, **fields: object) -> str:
        """A scan or an act as the page posts it: with an id of the device, answered by a fragment."""
        data = {**fields, "scan_id": scan_id or str(uuid.uuid4())}
        self.answer = self.client.post(path, data=data, headers={"X-CSRFToken": self.token, "X-Requested-With": "scan"})
        self.status, self.page = self.answer.status_code, self.answer.get_data(as_text=True)
        return self.page

    def form(self, kind: str) -> str:
        """The address of the first form of a kind (``data-scan``, ``/undo``…) on the screen."""
        for tag in re.findall(r"<form[^>]*>", self.page):
            action = re.search(r'action="([^"]*)"', tag)
            if action and (kind in tag):
                return html.unescape(action.group(1))
        raise AssertionError(f"no form {kind} on:\n{self.text()}")

    def scan(self, code: str, scan_id: str | None = None) -> str:
        """Scan into the field that is on the screen."""
        path = self.form("data-scan")
        return self.act(path, scan_id, code=code)

    def press(self, kind: str, scan_id: str | None = None, **fields: object) -> str:
        return self.act(self.form(kind), scan_id, **fields)

    def text(self) -> str:
        bare = re.sub(r"<(script|svg)\b.*?</\1>", " ", self.page, flags=re.S)
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", bare))).strip()

    @property
    def step(self) -> str:
        found = re.search(r'data-step="([^"]*)"', self.page)
        return found.group(1) if found else ""

    @property
    def said(self) -> str:
        """The words of the message area."""
        found = re.search(r'class="message message-[^>]*>(.*?)</div>', self.page, flags=re.S)
        if not found:
            return ""
        bare = re.sub(r"<(strong|svg|button)\b.*?</\1>", " ", found.group(1), flags=re.S)
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", bare))).strip()

    @property
    def feeling(self) -> str:
        found = re.search(r'data-answer="(\w+)"', self.page)
        return found.group(1) if found else ""

    def sees(self, step: str, *words: str) -> None:
        assert self.step == step, f"{self.status} {self.step} instead of {step}: {self.text()}"
        for word in words:
            assert word in self.text(), f"{word!r} is not in: {self.text()}"


class Floor(Rows):
    """A warehouse with people; ``floor.hand("picker")`` signs one in."""

    def __init__(self, settings: Settings, database: Database, app: Flask) -> None:
        super().__init__(database, settings.secret_key)
        self.settings = settings
        self.app = app

    def hand(self, name: str) -> Hand:
        return Hand(self.app, self.badges[name])

    def books_are_right(self) -> None:
        faults = audit.verify(self.database)
        assert not faults, "\n".join(f"{f.rule} {f.text}" for f in faults)
