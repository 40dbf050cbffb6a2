"""What can go wrong between a label and the paper."""

from __future__ import annotations

from collections.abc import Iterable


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
    """Characters that the font or the bar code has no picture for."""

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters: tuple[str, ...] = tuple(dict.fromkeys(characters))
        named = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in self.characters)
        super().__init__(f"cannot print {named}", permanent=True)


class DoesNotFit(PrinterError):
    """A field is larger than the room for it on the label. Sizes in dots."""

    def __init__(self, what: str, needed_dots: int, room_dots: int) -> None:
        super().__init__(f"{what} needs {needed_dots} dots, there is room for {room_dots}", permanent=True)
        self.what = what
        self.needed_dots = needed_dots
        self.room_dots = room_dots
