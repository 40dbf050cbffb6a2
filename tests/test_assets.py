"""The browser's files: fetched by the lock, checked against each other, named when missing."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

import hatch_build
from wms import assets

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files the hook reads, in a place of their own."""
    for name in ("package.json", "package-lock.json"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "icons.txt").write_text("check\nhome\n", "utf-8")
    return tmp_path


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A node_modules such as `npm ci` leaves, with small files in it."""
    wasm = b"\0asm pretend"
    place = tmp_path / "node_modules"
    texts = {
        "htmx.org/dist/htmx.min.js": "htmx",
        "zxing-wasm/dist/iife/reader/index.js": f'var x="{hashlib.sha256(wasm).hexdigest()}",S=1',
        "@tabler/icons/icons/outline/home.svg": (
            '<svg xmlns="http://www.w3.org/2000/svg" class="icon">\n'
            '  <path stroke="none" d="M0 0h24v24H0z" fill="none"/>\n  <path d="M5 12l-2 0l9 -9" />\n</svg>'
        ),
    }
    for package in hatch_build.PACKAGES:
        texts[f"{package}/LICENSE"] = f"licence of {package}"
        texts[f"{package}/package.json"] = json.dumps({"version": "1.2.3", "license": "MIT"})
    for name, text in texts.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, "utf-8")
    (place / "zxing-wasm/dist/reader").mkdir(parents=True)
    (place / "zxing-wasm/dist/reader/zxing_reader.wasm").write_bytes(wasm)
    return place


def test_every_served_file_comes_with_its_licence(modules: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    hatch_build.put_together(modules, made, ["home"])
    assert {path.name for path in made.iterdir()} == {*assets.VENDOR_FILES, "LICENSES"}
    licences = {path.name for path in (made / "LICENSES").iterdir()}
    names = {package.strip("@").replace("/", "-") for package in hatch_build.PACKAGES}
    assert licences == {"NOTICE.txt", *(f"{name}-LICENSE" for name in names)}


def test_a_wasm_the_decoder_was_not_built_with_stops_the_build(modules: Path, tmp_path: Path) -> None:
    (modules / "zxing-wasm/dist/reader/zxing_reader.wasm").write_bytes(b"\0asm of another version")
    (tmp_path / "made").mkdir()
    with pytest.raises(hatch_build.VendorError, match="pin zxing-wasm"):
        hatch_build.put_together(modules, tmp_path / "made", [])


def test_an_icon_that_does_not_exist_is_named(modules: Path) -> None:
    with pytest.raises(hatch_build.VendorError, match="no-such-icon, nor-this"):
        hatch_build.sprite(modules / hatch_build.ICONS, ["home", "no-such-icon", "nor-this"])


def test_the_sprite_holds_each_icon_as_a_symbol_without_its_empty_frame(modules: Path) -> None:
    drawn = hatch_build.sprite(modules / hatch_build.ICONS, ["home"])
    assert '<symbol id="home" viewBox="0 0 24 24"' in drawn
    assert '<path d="M5 12l-2 0l9 -9" />' in drawn
    assert "M0 0h24v24H0z" not in drawn


def test_a_package_without_its_licence_stops_the_build(modules: Path, tmp_path: Path) -> None:
    (modules / "htmx.org/LICENSE").unlink()
    (tmp_path / "made").mkdir()
    with pytest.raises(hatch_build.VendorError, match=r"htmx\.org comes without its licence"):
        hatch_build.put_together(modules, tmp_path / "made", [])


def test_the_list_of_icons_knows_comments_and_names_each_once(checkout: Path) -> None:
    (checkout / "static/icons.txt").write_text("# floor\nhome\n\ncheck # done\nhome\n", "utf-8")
    assert hatch_build.icon_names(checkout) == ["check", "home"]


def make_fresh(checkout: Path) -> None:
    vendor = checkout / "static" / "vendor"
    vendor.mkdir()
    for name in assets.VENDOR_FILES:
        (vendor / name).write_text("x", "utf-8")
    (vendor / ".stamp").write_text(hatch_build.wanted_stamp(checkout), "ascii")


def test_files_are_fresh_until_the_lock_or_the_icons_change(checkout: Path) -> None:
    assert not hatch_build.is_fresh(checkout)
    make_fresh(checkout)
    assert hatch_build.is_fresh(checkout)
    icons = checkout / "static/icons.txt"
    icons.write_text(icons.read_text("utf-8") + "box\n", "utf-8")
    assert not hatch_build.is_fresh(checkout)


def test_a_changed_lock_or_a_lost_file_is_no_longer_fresh(checkout: Path) -> None:
    make_fresh(checkout)
    (checkout / "static/vendor/htmx.min.js").unlink()
    assert not hatch_build.is_fresh(checkout)
    (checkout / "static/vendor/htmx.min.js").write_text("x", "utf-8")
    lock = checkout / "package-lock.json"
    lock.write_text(lock.read_text("utf-8").replace("3.1.3", "3.1.4"), "utf-8")
    assert not hatch_build.is_fresh(checkout)


def test_what_stood_there_stays_when_fetching_fails(checkout: Path) -> None:
    make_fresh(checkout)
    with pytest.raises(hatch_build.VendorError, match="WMS_SKIP_VENDOR=1"):
        hatch_build.fetch(checkout, ["/bin/sh", "-c", "echo ECONNREFUSED; exit 1"])
    assert hatch_build.is_fresh(checkout)


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    for name in assets.VENDOR_FILES:
        if name != "zxing_reader.wasm":
            (tmp_path / name).write_text("x", "utf-8")
    told = assets.missing_vendor_files(tmp_path)
    assert len(told) == 1
    assert "zxing_reader.wasm" in told[0]
    assert assets.WHAT_TO_DO in told[0]


def test_what_is_fetched_and_what_is_missed_are_one_list() -> None:
    assert set(assets.VENDOR_FILES) == {*hatch_build.FILES, "icons.svg"}


def test_the_lock_names_no_host_and_proves_every_package() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
    fetched = {name: about for name, about in packages.items() if name}
    assert all(about["integrity"].startswith("sha512-") for about in fetched.values())
    assert not [name for name, about in fetched.items() if "resolved" in about]


def test_direct_packages_are_pinned_and_the_bench_compares_with_the_same_wasm() -> None:
    named = json.loads((ROOT / "package.json").read_text("utf-8"))
    wanted, measured = named["dependencies"], named["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in (wanted | measured).values())
    packages = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
    assert packages["node_modules/barcode-detector"]["dependencies"]["zxing-wasm"] == wanted["zxing-wasm"]


@pytest.mark.slow
def test_npm_fetches_the_real_files_by_their_hashes(checkout: Path) -> None:
    if hatch_build.npm_command() is None:
        pytest.skip("NO NPM here: the browser's files were not fetched for real")
    hatch_build.fetch(checkout)
    vendor = checkout / "static" / "vendor"
    assert hatch_build.is_fresh(checkout)
    assert (vendor / "zxing_reader.wasm").read_bytes()[:4] == b"\0asm"
    assert "ZXING_WASM_SHA256" in (vendor / "zxing_reader.js").read_text("utf-8")
    assert (vendor / "icons.svg").read_text("utf-8").count("<symbol ") == 2
