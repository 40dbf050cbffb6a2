"""The settings that a device keeps: what page /me offers is what the scripts ask for."""

from __future__ import annotations

import re
from pathlib import Path

from tests.floor import Floor

SCRIPTS = Path(__file__).resolve().parents[2] / "static" / "scan"


def test_every_setting_offered_for_this_device_is_asked_for_by_a_script(floor: Floor) -> None:
    page = floor.hand("picker").get("/me")
    offered = set(re.findall(r'data-device="(\w+)"', page))
    scripts = "".join(path.read_text("utf-8") for path in SCRIPTS.glob("*.js"))
    asked = set(re.findall(r'setting\("(\w+)"\)', scripts))
    assert "camera_deaf_ms" in offered
    assert offered - asked == set()
