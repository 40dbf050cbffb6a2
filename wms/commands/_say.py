"""What the command line says: Chinese where the terminal's LANG is Chinese, else English."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def chinese(environment: Mapping[str, str] = os.environ) -> bool:
    """The first of LC_ALL, LC_MESSAGES, LANG that is set decides, as for every program."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            return environment[name].lower().startswith("zh")
    return False


def words(english: str, chinese_text: str) -> str:
    return chinese_text if chinese() else english


def say(english: str, chinese_text: str) -> None:
    """A line for the person at the terminal; a log that was closed is no reason to fail."""
    try:
        print(words(english, chinese_text), flush=True)
    except BrokenPipeError:
        sys.stdout = sys.stderr


def qr(text: str) -> str:
    """A QR code drawn with letters, two modules a row."""
    import io

    import segno

    drawn = io.StringIO()
    segno.make(text, error="m", micro=False).terminal(drawn, compact=True, border=2)
    return drawn.getvalue()
