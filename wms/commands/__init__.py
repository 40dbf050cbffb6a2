"""The verbs of run.py: a file here is a verb, `import_.py` is `import`, a file that begins with _ is none.

A verb offers `help: str`, `configure(parser)` and `run(args, settings) -> int`, 0 only when all went well.
Nothing but the standard library is imported up here: run.py lists the verbs before anything is installed.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from pathlib import Path
from typing import Protocol

HERE = Path(__file__).resolve().parent
DEFAULT = "serve"
INTERRUPTED = 130


class Verb(Protocol):
    """What a module in this folder offers."""

    help: str

    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace, settings: object) -> int: ...


def verbs(folder: Path = HERE) -> dict[str, str]:
    """Every verb and its line of help, read without importing the modules: that would load half the house."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("_"):
            found[path.stem.rstrip("_")] = _help_of(path)
    return found


def _help_of(path: Path) -> str:
    for node in ast.parse(path.read_text("utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        named = any(isinstance(target, ast.Name) and target.id == "help" for target in targets)
        if named and isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
    return ""


def overview(program: str = "run.py") -> str:
    """The text of --help."""
    listed = verbs()
    width = max(map(len, listed))
    lines = [f"  {name:<{width}}  {text}" for name, text in listed.items()]
    return "\n".join(
        [
            f"usage: {program} [VERB] [options]",
            "",
            "The warehouse floor: phones, scanners and label printers on one box.",
            "",
            f"verbs ({DEFAULT} when none is given; each has --help):",
            *lines,
            "",
            "Settings come from the environment (WMS_…); doctor shows what is wrong and what to do.",
        ]
    )


def module_name(verb: str) -> str:
    path = HERE / f"{verb}.py"
    return f"wms.commands.{verb}" if path.is_file() else f"wms.commands.{verb}_"


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0 all well, 1 failed, 2 wrong call or setting, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if not arguments or arguments[0].startswith("-"):
        arguments.insert(0, DEFAULT)
    verb = arguments[0]
    if verb not in verbs():
        print(f"{verb} is not a verb.\n\n{overview()}", file=sys.stderr)
        return 2
    try:
        return _run(verb, arguments[1:])
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `run.py export | head`
        sys.stderr.close()
        return 1


def _run(verb: str, arguments: list[str]) -> int:
    from wms.settings import BadSetting, Settings

    module: Verb = importlib.import_module(module_name(verb))
    parser = argparse.ArgumentParser(prog=f"run.py {verb}", description=module.help)
    module.configure(parser)
    args = parser.parse_args(arguments)
    try:
        settings = Settings.from_environment()
    except BadSetting as error:
        print(f"A setting cannot be right: {error}", file=sys.stderr)
        return 2
    return module.run(args, settings)
