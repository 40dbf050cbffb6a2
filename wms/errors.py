"""What can be refused on a floor: one class a refusal, its words with it, the facts with the raise."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

Answer = Literal["done", "wrong", "look"]


def N_(message: str) -> str:
    """Mark a message for translation without translating it (nothing below web knows a language)."""
    return message


class Term(str):
    """A word among a message's facts that is itself translated ("a tote", "Order")."""

    __slots__ = ()


def term(word: str) -> Term:
    """Mark a fact for translation: ``UnexpectedCode(expected=term("a tote"), …)``."""
    return Term(word)


class Refusal(Exception):
    """Nothing may change and the worker is told what to do next; everything of the scan rolls back (R12).

    ``message`` is a plain English sentence with named facts; the web floor translates it.
    ``answer`` chooses colour, sound and vibration (R13). ``block`` asks for an acknowledgement first.
    """

    message: ClassVar[str] = ""
    answer: ClassVar[Answer] = "wrong"
    block: ClassVar[bool] = False
    status: ClassVar[int] = 422

    def __init__(self, **facts: Any) -> None:
        super().__init__(facts)
        self.facts = facts

    def __str__(self) -> str:
        return self.message % self.facts if self.facts else self.message

    def remember(self, session: Any) -> None:
        """What stays although all else of the scan is rolled back: such as that somebody was told."""


class UnknownCode(Refusal):
    message = N_("Nobody knows the code %(read)s. Scan again, or ask a supervisor to add it.")
    answer = "look"


class UnexpectedCode(Refusal):
    """A code we know, of a class this step does not want: say what was expected and what was read."""

    message = N_("Scan %(expected)s. %(read)s is %(what)s.")


class AmbiguousCode(Refusal):
    """R14: two meanings are asked about, never guessed."""

    message = N_("%(read)s can mean more than one thing: %(meanings)s. Scan the label of the one you mean.")
    answer = "look"


class NotEnoughStock(Refusal):
    message = N_("Not enough of %(item)s at %(place)s: %(needed)s wanted, %(free)s free.")
    answer = "look"


class ChangedMeanwhile(Refusal):
    """Somebody else was first; the screen is loaded anew and shows the truth."""

    message = N_("%(what)s was changed by somebody else a moment ago. Look at the screen and go on from there.")
    answer = "look"
    status = 409


class NotAllowed(Refusal):
    message = N_("Your role may not do this. Ask a supervisor.")
    status = 403


class NotFound(Refusal):
    message = N_("%(what)s does not exist in this warehouse.")
    status = 404


class OrderCancelled(Refusal):
    """R28: the next scan on a cancelled order stops whoever holds it."""

    message = N_("Order %(order)s was cancelled. Stop here.")
    block = True


class SameScanOtherBody(Refusal):
    """R10: a scan id is used once; the same id with another content is a fault of the device."""

    message = N_("This scan was already sent with another content. Scan again.")


class ScanOfAnother(SameScanOtherBody):
    """R10, R16: an id belongs to the operator and the device that sent it first; nobody else is shown that answer."""

    message = N_("This scan was already sent by another operator or device. Look at the screen and go on from there.")
    answer = "look"


class NothingToUndo(Refusal):
    message = N_("There is nothing to undo here.")
    answer = "look"


class BadQuantity(Refusal):
    message = N_("%(entered)s is not a quantity. Enter a whole number from 1 to %(most)s.")
