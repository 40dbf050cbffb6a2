"""What can go wrong between a label and the paper."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal


def N_(message: str) -> str:
    """Mark a sentence for translation, which is done far above here."""
    return message


class PrinterError(Exception):
    """A label could not be built or sent. `permanent` means that trying again is no use."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class PrinterOffline(PrinterError):
    """The printer could not be reached, or fell silent. `reason` is one short machine word."""

    def __init__(self, uri: str, reason: str = "offline") -> None:
        super().__init__(f"{uri}: {reason}", permanent=False)
        self.uri = uri
        self.reason = reason


class CannotPrint(PrinterError):
    """Characters that the font or the bar code has no picture for, or data that no such code may hold."""

    def __init__(self, characters: Iterable[str], why: str = "") -> None:
        self.characters: tuple[str, ...] = tuple(dict.fromkeys(characters))
        named = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in self.characters)
        super().__init__(f"cannot print {why or named}", permanent=True)


class WrongCheckDigit(PrinterError):
    """A number whose last digit does not prove the others."""

    def __init__(self, number: str, read: str, right: str) -> None:
        super().__init__(f"the check digit of {number} is {read}, it should be {right}", permanent=True)
        self.number = number
        self.right = right


class TemplateError(PrinterError):
    """A label template that cannot be used; the text names the file, the element and what to do.

    `message` is a plain English sentence with named facts, translated far above here. `line` is the line of the
    text where it stands, or 0 where nobody knows.
    """

    def __init__(self, template: str, element: str, message: str, line: int = 0, **facts: object) -> None:
        where = f"{template}, {element}" if element else template
        facts = {"line": line, **facts}
        super().__init__(f"{where}: {message % facts}", permanent=True)
        self.template = template
        self.element = element
        self.message = message
        self.facts = facts
        self.line = line


class RefusedLabel(PrinterError):
    """A label made elsewhere that must not go to the printer as it is.

    `kind` is broken (no label, cut, empty), command (it speaks to the machine; `fact` is the command) or
    size (it is not the paper's; `fact` is its own size in mm).
    """

    def __init__(self, why: str, kind: Literal["broken", "command", "size"] = "broken", fact: str = "") -> None:
        super().__init__(why, permanent=True)
        self.kind = kind
        self.fact = fact


class DoesNotFit(PrinterError):
    """A field is larger than the room for it on the label. Sizes in dots."""

    def __init__(self, what: str, needed_dots: int, room_dots: int) -> None:
        super().__init__(f"{what} needs {needed_dots} dots, there is room for {room_dots}", permanent=True)
        self.what = what
        self.needed_dots = needed_dots
        self.room_dots = room_dots
