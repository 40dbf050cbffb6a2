"""`run.py translate`: bring the .po files to what the code says, and list what lacks its Chinese."""

from __future__ import annotations

import argparse

from wms.settings import Settings

help = "update wms/translations from code and templates; exit 1 while sentences are missing"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("language", nargs="?", default="zh")


def run(args: argparse.Namespace, settings: Settings) -> int:
    from wms import words

    words.update(args.language)
    missing = list(words.untranslated(args.language))
    for message in missing:
        print(repr(message.id))
    print(f"{len(missing)} missing")
    return 1 if missing else 0
