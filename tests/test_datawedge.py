"""The handheld's profile and the two texts about it say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
# As Zebra documents them for SET_CONFIG (DataWedge 8); the profile uses no name beyond these.
PLUGINS = {"BARCODE": "scanner_|decoder_|code_id_|charset_|aim_|picklist", "KEYSTROKE": "keystroke_", "BDF": "bdf_"}


def profile() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((DOCS / "datawedge.json").read_text("utf-8"))
    return read


def settings() -> dict[str, str]:
    return {name: value for plugin in profile()["PLUGIN_CONFIG"] for name, value in plugin["PARAM_LIST"].items()}


def test_the_profile_is_a_bundle_that_set_config_takes() -> None:
    assert set(profile()) == {"PROFILE_NAME", "PROFILE_ENABLED", "CONFIG_MODE", "APP_LIST", "PLUGIN_CONFIG"}
    for plugin in profile()["PLUGIN_CONFIG"]:
        belongs = PLUGINS.get(plugin["PLUGIN_NAME"], "intent_")
        for name, value in plugin["PARAM_LIST"].items():
            assert isinstance(value, str), f"{name}: DataWedge takes strings"
            assert re.match(belongs, name), f"{name} is no setting of {plugin['PLUGIN_NAME']}"


def test_the_profile_keeps_gs_and_ends_each_code_with_enter() -> None:
    said = settings()
    assert said["keystroke_output_enabled"] == said["bdf_send_enter"] == said["bdf_enabled"] == "true"
    assert said["keystroke_send_chars_as_events"] == said["keystroke_send_control_chars_as_events"] == "false"
    assert (said["keystroke_character_delay"], said["code_id_type"], said["charset_name"]) == ("0", "1", "UTF-8")
    assert int(said["decoder_code128_length2"]) >= 48


def test_both_languages_have_the_same_table() -> None:
    def rows(name: str) -> list[list[str]]:
        lines = [line for line in (DOCS / name).read_text("utf-8").splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    english, chinese = rows("datawedge.md"), rows("datawedge.zh-CN.md")
    assert [len(row) for row in english] == [len(row) for row in chinese] and len(english) > 10
    for one, other in zip(english, chinese, strict=True):
        assert re.findall(r"\d+|`[^`]+`|\*\*", " ".join(one)) == re.findall(r"\d+|`[^`]+`|\*\*", " ".join(other)), one
    for name in ("datawedge.md", "datawedge.zh-CN.md"):
        assert profile()["PROFILE_NAME"] in (DOCS / name).read_text("utf-8")
