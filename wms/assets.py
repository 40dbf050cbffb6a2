"""Where templates and static files stand, and which of the browser's fetched files are missing."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_INSTALLED = Path(__file__).resolve().parent / "_assets"

# A checkout (the usual case) has them beside wms/; an installed wheel carries them inside.
TEMPLATES = ROOT / "templates" if not _INSTALLED.is_dir() else _INSTALLED / "templates"
STATIC = ROOT / "static" if not _INSTALLED.is_dir() else _INSTALLED / "static"
VENDOR = STATIC / "vendor"

VENDOR_FILES = {
    "htmx.min.js": "screens answer by loading whole pages",
    "zxing_reader.js": "the live camera does not read",
    "zxing_reader.wasm": "the live camera does not read",
    "icons.svg": "icons are missing, the words beside them stay",
}

SCAN_SCRIPTS = (
    "device",
    "store",
    "feel",
    "outbox",
    "answer",
    "forms",
    "wedge",
    "photo",
    "camera",
    "meaning",
    "carried",
    "begin",
)
"""static/scan/, each standing on those before it."""

STATION_SCRIPTS = ("socket", "cainiao", "wechat", "office", "bench")
"""static/station/, the packing page's way to the print components on its PC."""

WHAT_TO_DO = "python3 run.py doctor"


def missing_vendor_files(vendor: Path = VENDOR) -> list[str]:
    """One sentence for each missing file: which, what does not work without it, what to do; else empty."""
    return [
        f"static/vendor/{name} is missing: {effect}. With network, this fetches it: {WHAT_TO_DO}"
        for name, effect in VENDOR_FILES.items()
        if not (vendor / name).is_file()
    ]
