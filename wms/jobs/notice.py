"""What did not go, sent in the morning: by mail and as signed JSON to an address, where the settings say so."""

from __future__ import annotations

import json
import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from wms import words
from wms.clock import now
from wms.connectors import ConnectorError
from wms.connectors.http import Door
from wms.connectors.webhook import secrets_of, signed
from wms.db import Database
from wms.errors import N_
from wms.flows import night
from wms.models import NightRun
from wms.settings import Settings

MOST = 200
TIMEOUT_S = 30.0
ALL_WELL = N_("Last night: all is well")
NEEDS_A_PERSON = N_("Last night: %(count)s lines need a person")
COUNTS = N_("%(shop)s: %(orders)s orders, %(alike)s alike, %(different)s different, %(waiting)s waiting")

log = logging.getLogger("wms.notice")


def send(database: Database, settings: Settings, run: NightRun) -> dict[str, Any]:
    """Send what the night found; what became of each way. A way that fails is said, and stops nothing.

    After a kill it may be sent twice, under the same id: a mail program and a receiver see that it is the same.
    """
    told: dict[str, Any] = {}
    for name, wanted, way in (
        ("mail", bool(settings.mail_host and settings.mail_to), _mail),
        ("webhook", bool(settings.night_url), _webhook),
    ):
        if not wanted:
            continue
        try:
            way(database, settings, run)
            told[name] = "sent"
        except (OSError, smtplib.SMTPException, ConnectorError) as error:
            log.warning("the night's %s: %s", name, error)
            told[name] = f"{type(error).__name__}: {error}"[:300]
    return told


def statement(database: Database, run: NightRun) -> dict[str, Any]:
    """The night as a program reads it: totals by shop, and every line that needs a look."""
    with database.reading() as session:
        totals = night.totals(session, run)
        lines = [
            {
                "shop": shop,
                "order": line.shop_order_no,
                "verdict": line.verdict.value,
                "reason": _filled(line.reason, line.facts),
                "our_numbers": line.our_numbers,
                "shop_numbers": line.shop_numbers,
                "pieces": line.pieces,
                "shop_pieces": line.shop_pieces,
                "money": line.money,
                "shop_money": line.shop_money,
                "currency": line.currency,
            }
            for line, shop in night.lines(session, run, limit=MOST)
        ]
    return {
        "night": str(run.id),
        "started_at": run.started_at.isoformat(timespec="seconds"),
        "right": run.right,
        "faults": [" ".join(one) for one in (run.progress.get("books") or {}).get("faults") or []],
        "shops": totals,
        "lines": lines,
    }


def _filled(message: str, facts: dict[str, Any]) -> str:
    try:
        return message % facts if facts else message
    except (KeyError, TypeError, ValueError):
        return message


def _said(language: str, message: str, facts: dict[str, Any]) -> str:
    known = words.catalog(language).get(message) if language != "en" else None
    text = str(known.string) if known is not None and known.string else message
    return _filled(text, facts)


def _webhook(database: Database, settings: Settings, run: NightRun) -> None:
    body = {
        "type": "night.done",
        "timestamp": now().isoformat(timespec="seconds"),
        "data": statement(database, run),
    }
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json"}
    if settings.night_secret:
        headers |= signed(secrets_of(settings.night_secret)[0], f"night-{run.id}", now(), content)
    with Door(settings.night_url, timeout_s=TIMEOUT_S) as door:
        door.request_json("POST", body=content, headers=headers)


def letter(database: Database, settings: Settings, run: NightRun) -> EmailMessage:
    """The mail of a night, in the language of the settings."""
    language = settings.mail_language
    told = statement(database, run)
    subject = ALL_WELL if run.right else NEEDS_A_PERSON
    lines = [_said(language, COUNTS, one) for one in _shop_facts(told)]
    with database.reading() as session:
        for line, shop in night.lines(session, run, limit=MOST):
            lines.append(f"- {shop} {line.shop_order_no}: {_said(language, line.reason, line.facts)}")
    lines += [f"- {fault}" for fault in told["faults"]]
    for code, one in (run.progress.get("pull") or {}).items():
        if one.get("error") and not one.get("fine"):
            lines.append(f"- {code}: {_said(language, one['error'], one.get('facts') or {})}")
    made = EmailMessage()
    made["Subject"] = _said(language, subject, {"count": len(told["lines"]) + len(told["faults"])})
    made["From"], made["To"] = settings.mail_from or settings.mail_user, ", ".join(settings.mail_to)
    made["Date"] = format_datetime(now())
    made["Message-ID"] = f"<night-{run.id}@{settings.mail_host}>"
    made.set_content("\n".join(lines) + "\n")
    return made


def _shop_facts(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**one, "shop": one["name"]} for one in told["shops"]]


def _mail(database: Database, settings: Settings, run: NightRun) -> None:
    made = letter(database, settings, run)
    context = ssl.create_default_context()
    if settings.mail_tls == "ssl":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.mail_host, settings.mail_port, timeout=TIMEOUT_S, context=context
        )
    else:
        server = smtplib.SMTP(settings.mail_host, settings.mail_port, timeout=TIMEOUT_S)
    with server:
        if settings.mail_tls == "starttls":
            server.starttls(context=context)
        if settings.mail_user:
            server.login(settings.mail_user, settings.mail_password)
        server.send_message(made)
