"""Every setting, read once from the environment (WMS_…); a value that cannot be right stops the start."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ROOT = Path(__file__).resolve().parent.parent
"""Where run.py, templates/ and static/ stand."""


YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class BadSetting(ValueError):
    """A setting that cannot be right: its name, its value and what it may be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one service. Times in seconds, sizes in bytes unless the name says otherwise."""

    home: Path = field(default_factory=lambda: Path.cwd() / "var")
    database_url: str = ""
    host: str = "0.0.0.0"  # noqa: S104 - phones on the same network must reach it
    http_port: int = 8080
    https_port: int = 8443
    inner_port: int = 8089
    tls: str = "auto"
    threads: int = 32
    label_font: str = ""
    debug: bool = False
    public_hosts: tuple[str, ...] = ()
    secret_key: str = ""
    behind_tls: bool = False
    timezone: str = "Asia/Shanghai"
    printer_networks: tuple[str, ...] = (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "127.0.0.0/8",
    )
    idle_minutes: int = 15
    shift_hours: int = 12
    claim_idle_minutes: int = 20
    keep_scans_days: int = 7
    upload_bytes: int = 12 * 1024 * 1024
    weight_codes: tuple[str, ...] = ()
    """How this site's scales fill EAN-13 numbers that begin with 02 or 20 to 29, thirteen signs each: the first digits,
    then I item, W weight in grams, N count, P price, V inner check digit, C check digit. Such as 22IIIIIWWWWWC."""
    waybill_patterns: tuple[tuple[str, str], ...] = ()
    """Carriers' numbers that wms/scan.py does not know yet: (carrier, regular expression of the whole number)."""
    component_addresses: tuple[tuple[str, str], ...] = ()
    """Where a platform's print component listens on the packing PCs, if not where wms/components.py says."""
    component_patience_s: int = 15
    """How long a packing page waits for a component's answer before it asks, and then before it asks the packer."""
    decode_budget_ms: int = 800
    """CPU that one photo may cost when its barcode is hard to read."""
    agent_server: str = ""
    """For `run.py agent`: the service's https address."""
    agent_token: str = field(default="", repr=False)
    agent_ca: str = ""
    """For `run.py agent`: a file with the server's root certificate; or, next, that root's SHA-256."""
    agent_ca_sha256: str = ""

    @property
    def sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read WMS_… variables; raises BadSetting with the name of the first one that cannot be right."""
        env = os.environ if environment is None else environment

        def text(name: str, default: str) -> str:
            return env.get(f"WMS_{name}", "").strip() or default

        def number(name: str, default: int, low: int, high: int) -> int:
            raw = text(name, str(default))
            if not (raw.isascii() and raw.isdigit()) or not low <= int(raw) <= high:
                raise BadSetting(f"WMS_{name}={raw}: a whole number from {low} to {high} is wanted")
            return int(raw)

        def yes(name: str) -> bool:
            raw = text(name, "0").lower()
            if raw not in YES + NO:
                raise BadSetting(f"WMS_{name}={raw}: 1 or 0 is wanted")
            return raw in YES

        home = Path(text("HOME", str(Path.cwd() / "var"))).expanduser().resolve()
        tls = text("TLS", "auto").lower()
        if tls not in ("auto", "off"):
            raise BadSetting(f"WMS_TLS={tls}: auto or off is wanted")
        zone = text("TIMEZONE", "Asia/Shanghai")
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise BadSetting(f"WMS_TIMEZONE={zone}: a name like Asia/Shanghai is wanted") from error
        url = text("DATABASE_URL", f"sqlite:///{home / 'wms.db'}")
        if url.startswith("postgresql://"):
            url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise BadSetting("WMS_DATABASE_URL: sqlite:///path or postgresql://… is wanted")
        return cls(
            home=home,
            database_url=url,
            host=text("HOST", "0.0.0.0"),  # noqa: S104
            http_port=number("HTTP_PORT", 8080, 1, 65535),
            https_port=number("HTTPS_PORT", 8443, 1, 65535),
            inner_port=number("INNER_PORT", 8089, 1, 65535),
            tls=tls,
            threads=number("THREADS", 32, 1, 512),
            label_font=text("LABEL_FONT", ""),
            debug=yes("DEBUG"),
            public_hosts=tuple(h for h in text("PUBLIC_HOSTS", "").replace(" ", "").split(",") if h),
            secret_key=text("SECRET_KEY", "") or _kept_secret(home),
            behind_tls=yes("BEHIND_TLS"),
            timezone=zone,
            printer_networks=_networks(text("PRINTER_NETWORKS", ""))
            or cls.__dataclass_fields__["printer_networks"].default,  # type: ignore[arg-type]
            idle_minutes=number("IDLE_MINUTES", 15, 1, 24 * 60),
            shift_hours=number("SHIFT_HOURS", 12, 1, 48),
            claim_idle_minutes=number("CLAIM_IDLE_MINUTES", 20, 1, 24 * 60),
            # A phone that was dead for a week-end sends on Monday: less than a week would count a scan twice.
            keep_scans_days=number("KEEP_SCANS_DAYS", 7, 7, 3650),
            weight_codes=_weight_codes(text("WEIGHT_CODES", "")),
            waybill_patterns=_waybill_patterns(text("WAYBILL_PATTERNS", "")),
            component_addresses=_component_addresses(text("COMPONENT_ADDRESSES", "")),
            component_patience_s=number("COMPONENT_PATIENCE_S", 15, 1, 20),
            decode_budget_ms=number("DECODE_BUDGET_MS", 800, 50, 10_000),
            agent_server=text("AGENT_SERVER", ""),
            agent_token=text("AGENT_TOKEN", ""),
            agent_ca=text("AGENT_CA", ""),
            agent_ca_sha256=text("AGENT_CA_SHA256", ""),
        )


def _networks(said: str) -> tuple[str, ...]:
    networks = tuple(n for n in said.replace(" ", "").split(",") if n)
    for each in networks:
        try:
            ip_network(each, strict=False)
        except ValueError as error:
            raise BadSetting(f"WMS_PRINTER_NETWORKS={each}: networks like 192.168.0.0/16 are wanted") from error
    return networks


def _weight_codes(said: str) -> tuple[str, ...]:
    shapes = tuple(shape for shape in said.replace(" ", "").upper().split(",") if shape)
    for each in shapes:
        lettered = re.fullmatch(r"(?:02|2[0-9])[0-9]*[INPVW]+C", each)
        whole = all(letter * each.count(letter) in each for letter in "WN")
        if not lettered or not whole or "I" not in each or len(each) != 13:
            raise BadSetting(f"WMS_WEIGHT_CODES={each}: thirteen signs such as 22IIIIIWWWWWC are wanted")
    return shapes


def _waybill_patterns(said: str) -> tuple[tuple[str, str], ...]:
    """``JD=JDK[0-9]{12} XY=XY[0-9]{10}``: a carrier and the shape of its whole number, blanks between them."""
    patterns = []
    for each in said.split():
        carrier, _, shape = each.partition("=")
        try:
            re.compile(shape)
        except re.error as error:
            raise BadSetting(f"WMS_WAYBILL_PATTERNS={each}: {error}") from error
        if not carrier or not shape:
            raise BadSetting(f"WMS_WAYBILL_PATTERNS={each}: a carrier and a pattern like JD=JDK[0-9]{{12}} are wanted")
        patterns.append((carrier, shape))
    return tuple(patterns)


def _component_addresses(said: str) -> tuple[tuple[str, str], ...]:
    """``cainiao=ws://localhost:13528``: a platform and where its component listens, on the packing PC itself only."""
    found = []
    for each in said.replace(",", " ").split():
        whole = re.fullmatch(r"(cainiao|pinduoduo|wechat)=(wss?://(?:localhost|127\.0\.0\.1):[0-9]{1,5})", each)
        if whole is None:
            raise BadSetting(f"WMS_COMPONENT_ADDRESSES={each}: cainiao=ws://localhost:13528 or its like is wanted")
        found.append((whole[1], whole[2]))
    return tuple(found)


def _kept_secret(home: Path) -> str:
    """The signing secret: made at the first start, kept in a file only this user may read."""
    path = home / "secret_key"
    home.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text("ascii").strip()
    with os.fdopen(handle, "w") as file:
        made = secrets.token_hex(32)
        file.write(made)
    return made
