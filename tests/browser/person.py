"""Somebody at work with a phone or at a desk: they scan four ways, press, look, and reload the page at a bad moment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.browser.chromium import expect, photo_of, playwright_api
from tests.factories import PIN


class Person:
    """One signed-in operator on one device. ``sees`` waits; nothing here sleeps."""

    def __init__(self, context: Any, address: str) -> None:
        self.context = context
        self.address = address
        self.page = context.new_page()

    # Coming and going

    def sign_in(self, badge: str) -> Person:
        """Badge by the scanner, PIN on the keypad."""
        self.page.goto(f"{self.address}/sign-in")
        self.scan(badge)
        expect(self.page.locator("#pin")).to_be_visible()
        for digit in PIN:
            self.page.locator(f"[data-key='{digit}']").click()
        self.page.get_by_role("button", name="Sign in").click()
        self.sees("home")
        return self

    def opens(self, path: str) -> Person:
        self.page.goto(self.address + path)
        return self

    # Four ways in

    def scan(self, code: str) -> None:
        """A scanner that is a keyboard: quick keys and Enter."""
        with self._posted():
            self.page.keyboard.type(code)
            self.page.keyboard.press("Enter")

    def scan_as_text(self, code: str) -> None:
        """A scanner that is an input method: the text at once, no Enter."""
        with self._posted():
            self.page.keyboard.insert_text(code)

    def photograph(self, code: str) -> None:
        """A photo, read by the server, taken as a scan by the page."""
        with self._posted(besides="/camera/read"):
            self.page.locator("[data-scan-file]").set_input_files(photo_of(code))

    def film(self) -> None:
        """The live camera, on whatever its clip shows."""
        with self._posted():
            self.page.get_by_role("button", name="Camera").click()

    def closes_the_camera(self) -> None:
        dialog = self.page.locator("dialog.camera-dialog")
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()

    # Hands and eyes

    def press(self, name: str) -> None:
        """A button that posts."""
        with self._posted():
            self.page.locator("#screen").get_by_role("button", name=name, exact=True).click()

    def press_and_confirm(self, name: str) -> None:
        """A grave act: the page asks first."""
        self.page.locator("#screen").get_by_role("button", name=name, exact=True).click()
        question = self.page.locator("dialog#confirm")
        expect(question).to_be_visible()
        with self._posted():
            question.get_by_role("button", name="Yes, do it").click()

    def follow(self, name: str) -> None:
        self.page.locator("#screen").get_by_role("link", name=name, exact=True).click()

    def sees(self, step: str, *words: str) -> None:
        section = self.page.locator("section.screen")
        expect(section).to_have_attribute("data-step", step)
        for each in words:
            expect(section).to_contain_text(each)

    def is_told(self, feeling: str, *words: str) -> None:
        """The message area: done, look or wrong, with these words."""
        message = self.page.locator(f"#screen .message-{feeling}")
        expect(message).to_be_visible()
        for each in words:
            expect(message).to_contain_text(each)

    def sees_the_same_after_a_reload(self) -> None:
        before = self._step()
        self.page.reload()
        expect(self.page.locator("section.screen")).to_have_attribute("data-step", before[0])
        assert self._step() == before

    @contextmanager
    def _posted(self, besides: str = "\0") -> Iterator[None]:
        """What is done inside makes the page post, and the server has answered. Else it is said where it hung."""
        try:
            with self.page.expect_response(lambda r: r.request.method == "POST" and besides not in r.url):
                yield
        except playwright_api.TimeoutError as error:
            focus = self.page.evaluate("() => document.activeElement.outerHTML.slice(0, 200)")
            field = self.page.locator(".scan-input").first
            holds = field.input_value() if field.count() else "no scan field"
            raise AssertionError(f"nothing was posted at {self._step()}; focus: {focus}; field: {holds!r}") from error

    def _step(self) -> tuple[str, str]:
        section = self.page.locator("section.screen")
        words = section.locator(".step").first.inner_text() if section.locator(".step").count() else ""
        return section.get_attribute("data-step") or "", re.sub(r"\s+", " ", words)
