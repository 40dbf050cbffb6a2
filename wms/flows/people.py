"""People: sign in by badge and PIN, lock after wrong PINs, hand out badges (R16)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, Refusal
from wms.models import Device, Operator, Role, SignIn, new_id
from wms.scan import parse

LOCKS = {5: timedelta(minutes=1), 8: timedelta(minutes=5), 11: timedelta(minutes=15)}
"""Wrong PINs in a row → how long the badge is locked. Kept in the database: a restart forgives nothing."""

_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
_one_by_one = threading.Semaphore(2)
"""Each check takes 20 MB and a core; at the start of a shift forty people sign in at once."""


class WrongBadgeOrPin(Refusal):
    """The same words for an unknown badge and a wrong PIN: the answer must not tell which."""

    message = N_("Badge and PIN do not belong together. Scan your badge again.")


class Locked(Refusal):
    message = N_("Too many wrong PINs. Wait %(minutes)s minutes, or ask an admin.")


class NotABadge(Refusal):
    message = N_("This is not a badge. Scan the code on your badge.")
    answer = "look"


class BadPin(Refusal):
    message = N_("A PIN is 6 digits, not all the same and not in a row.")


@dataclass(frozen=True, slots=True)
class Badge:
    """A new badge: its code is shown once and kept only as a hash."""

    name: str
    role: Role
    code: str
    pin: str


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _peppered(pepper: str, pin: str) -> str:
    return hmac.new(pepper.encode(), pin.encode(), hashlib.sha256).hexdigest()


def hash_pin(pepper: str, pin: str) -> str:
    if not (len(pin) == 6 and pin.isascii() and pin.isdigit()) or len(set(pin)) == 1 or pin in "01234567890987654321":
        raise BadPin()
    return _hasher.hash(_peppered(pepper, pin))


def pin_fits(pepper: str, pin_hash: str, pin: str) -> bool:
    """Whether a PIN belongs to a hash. Slow on purpose: never inside a writing transaction."""
    with _one_by_one:
        try:
            return _hasher.verify(pin_hash, _peppered(pepper, pin))
        except (VerificationError, InvalidHashError):
            return False


def add_operator(session: Session, pepper: str, name: str, role: Role, pin: str, language: str = "zh") -> Badge:
    """A new operator; the badge's code is returned this once."""
    code = "U-" + secrets.token_hex(16)
    operator = Operator(
        warehouse_id=actor_of(session).warehouse_id,
        id=new_id(),
        name=name.strip()[:80],
        role=role,
        badge_hash=_digest(code.upper()),
        pin_hash=hash_pin(pepper, pin),
        language=language,
    )
    session.add(operator)
    session.flush()
    journal.note(session, operator, "added", "", role)
    return Badge(operator.name, role, code, pin)


def new_badge(session: Session, operator: Operator) -> str:
    """A lost badge is replaced; the old code is worth nothing from now on, and open sign-ins end."""
    code = "U-" + secrets.token_hex(16)
    operator.badge_hash = _digest(code.upper())
    end_all(session, operator)
    journal.note(session, operator, "new_badge")
    return code


NOBODY = _hasher.hash("nobody")
"""Checked in place of an unknown badge's hash, so that both take the same time."""


def by_badge_class(text: str) -> None:
    """Raise NotABadge unless the code is of the badge class; says nothing about whose it is."""
    if parse(text).kind != "badge":
        raise NotABadge()


class NameTaken(Refusal):
    message = N_("There is already somebody named %(name)s. Add the family name or a number.")


class StillYou(Refusal):
    message = N_("You cannot do this to yourself. Another admin must.")


def check_name(session: Session, name: str) -> str:
    """Names stand on tasks and in the history: two active people of one name could not be told apart."""
    name = name.strip()[:80]
    warehouse_id = actor_of(session).warehouse_id
    if (
        not name
        or session.execute(
            select(Operator.id).where(Operator.warehouse_id == warehouse_id, Operator.name == name, Operator.active)
        ).first()
    ):
        raise NameTaken(name=name or "—")
    return name


def set_pin(session: Session, pepper: str, operator: Operator, pin: str) -> None:
    """A forgotten PIN is replaced; that also ends a lock after wrong ones."""
    operator.pin_hash, operator.failures, operator.locked_until = hash_pin(pepper, pin), 0, None
    journal.note(session, operator, "new_pin")


def set_active(session: Session, operator: Operator, active: bool) -> None:
    """Somebody leaves, or comes back. Nobody is ever deleted: the history keeps their name."""
    if operator.id == actor_of(session).operator_id:
        raise StillYou()
    if operator.active != active:
        journal.note(session, operator, "active", operator.active, active)
        operator.active = active
        end_all(session, operator)


def by_badge(session: Session, text: str) -> Operator | None:
    """The active operator of a badge, or None. Raises NotABadge for a code of another class."""
    by_badge_class(text)
    scanned = parse(text)
    return session.execute(
        select(Operator).where(Operator.badge_hash == _digest(f"U-{scanned.value}".upper()), Operator.active)
    ).scalar_one_or_none()


def check_lock(operator: Operator) -> None:
    if operator.locked_until and operator.locked_until > now():
        minutes = int((operator.locked_until - now()).total_seconds() // 60) + 1
        raise Locked(minutes=minutes)


def wrong_pin(session: Session, operator: Operator) -> None:
    operator.failures += 1
    steps = [length for count, length in LOCKS.items() if operator.failures >= count]
    if steps:
        operator.locked_until = now() + steps[-1]
        journal.note(session, operator, "locked", "", operator.failures)


def sign_in(session: Session, operator: Operator, device: Device) -> str:
    """Begin a shift on a device; returns the session token, kept only as a hash."""
    operator.failures, operator.locked_until = 0, None
    token = secrets.token_urlsafe(32)
    at = now()
    session.add(
        SignIn(
            token_hash=_digest(token),
            warehouse_id=operator.warehouse_id,
            operator_id=operator.id,
            device_id=device.id,
            started_at=at,
            seen_at=at,
        )
    )
    session.flush()
    return token


def sign_out(session: Session, token: str) -> None:
    session.execute(
        update(SignIn)
        .where(SignIn.token_hash == _digest(token), SignIn.ended_at.is_(None))
        .values(ended_at=now())
        .execution_options(synchronize_session=False)
    )


def end_all(session: Session, operator: Operator) -> None:
    """A changed role or badge ends all sign-ins at once."""
    session.execute(
        update(SignIn)
        .where(
            SignIn.warehouse_id == operator.warehouse_id, SignIn.operator_id == operator.id, SignIn.ended_at.is_(None)
        )
        .values(ended_at=now())
        .execution_options(synchronize_session=False)
    )


def token_hash(token: str) -> str:
    return _digest(token)


def device_of(session: Session, warehouse_id: int, token: str | None) -> Device:
    """The device with this cookie, or a new one."""
    device = (
        session.execute(
            select(Device).where(Device.warehouse_id == warehouse_id, Device.token == token)
        ).scalar_one_or_none()
        if token
        else None
    )
    if device is None:
        device = Device(warehouse_id=warehouse_id, id=new_id(), token=secrets.token_hex(16), seen_at=now())
        session.add(device)
    device.seen_at = now()
    session.flush()
    return device
