"""How often a shop may be asked, and what kind of fault its refusals are."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from wms.connectors import ConnectorError
from wms.errors import N_

PATIENCE_S = 5.0
"""Longer than this nobody is kept waiting inside a call; the caller comes back later."""
LONGEST_BAN_S = 86_400.0
"""The day's quota is spent at most once a day."""


BROKEN_LINE = ("timeout", "offline", "shop_fault", "no_json")
PAUSES_S = (0.2, 0.6, 1.5)
"""Between the tries of a question whose answer did not come."""
Found = TypeVar("Found")


def persist(ask: Callable[[], Found], sleep: Callable[[float], None] = time.sleep) -> Found:
    """Ask a question that changes nothing at the shop, again when the line broke; any other refusal stands.

    Out of step, so that a shop that is just up again is not asked by everybody in the same instant.
    """
    for pause_s in PAUSES_S:
        try:
            return ask()
        except ConnectorError as error:
            if error.permanent or error.reason not in BROKEN_LINE or (error.retry_after_s or 0) > PATIENCE_S:
                raise
            sleep((error.retry_after_s or pause_s) * random.uniform(0.8, 1.2))
    return ask()


class Fault(StrEnum):
    RETRY = "retry"
    """The platform's own trouble: the same call again, later."""
    READ_BACK = "read_back"
    """Perhaps it was done already: look at the order before saying anything."""
    OPERATOR = "operator"
    """A person must put something right first."""
    REAUTHORISE = "reauthorise"
    """The shop's owner must give the key again; until then no call of this shop is of use."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a refusal means, and the sentence that says what to do. Its facts: host, and what the caller adds."""

    fault: Fault
    reason: str
    message: str

    def error(self, *, retry_after_s: float | None = None, **facts: Any) -> ConnectorError:
        return ConnectorError(
            permanent=self.fault in (Fault.OPERATOR, Fault.REAUTHORISE),
            reason=self.reason,
            message=self.message,
            retry_after_s=retry_after_s,
            facts=facts,
        )


REAUTHORISE = Verdict(
    Fault.REAUTHORISE,
    "unauthorised",
    N_("%(host)s no longer lets us into this shop. Its owner authorises the app again and enters the new key."),
)
WRONG_KEYS = Verdict(
    Fault.OPERATOR,
    "wrong_keys",
    N_("%(host)s does not know our app key or finds our signature wrong. Check app key and secret of the shop."),
)
WRONG_CLOCK = Verdict(
    Fault.RETRY, "wrong_clock", N_("%(host)s finds our clock wrong. Set the time of this computer; it is tried again.")
)
NOT_PERMITTED = Verdict(
    Fault.OPERATOR,
    "not_permitted",
    N_("%(host)s does not let our app use %(method)s: %(shop_says)s. Ask for it on its pages for developers."),
)
AT_FAULT = Verdict(Fault.RETRY, "shop_fault", N_("%(host)s reports: %(shop_says)s. It is tried again."))
BANNED = Verdict(
    Fault.RETRY,
    "banned",
    N_("%(host)s lets us make no more calls for %(seconds)s s. It goes on by itself after that."),
)
NOT_SEEN = N_("The shop took waybill %(waybill)s of order %(order)s but does not show it yet. It is looked at again.")


class Lane(NamedTuple):
    """Whose calls are counted together. An empty part of a ban means all of them."""

    app: str
    shop: str = ""
    method: str = ""


class Rate(NamedTuple):
    """``calls`` at once, then ``per_s`` calls a second."""

    calls: float
    per_s: float


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


class Limits:
    """Buckets and bans of one process. Other processes have their own: the platform's ban is the truth, and every
    process that meets it keeps still for as long as it says.
    """

    def __init__(
        self,
        *,
        patience_s: float = PATIENCE_S,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.patience_s = patience_s
        self._monotonic = monotonic
        self.sleep = sleep
        self._lock = threading.Lock()
        self._buckets: dict[Lane, _Bucket] = {}
        self._bans: dict[Lane, float] = {}

    def take(self, lane: Lane, rate: Rate, host: str) -> None:
        """Wait for a turn; ConnectorError (to be tried again) when that would take longer than is patient."""
        with self._lock:
            now_s = self._monotonic()
            banned_s = self._banned_s(lane, now_s)
            wait_s = 0.0
            if not banned_s:
                bucket = self._buckets.setdefault(lane, _Bucket(rate.calls, now_s))
                bucket.left = min(rate.calls, bucket.left + (now_s - bucket.at_s) * rate.per_s)
                bucket.at_s = now_s
                wait_s = max(0.0, (1.0 - bucket.left) / rate.per_s)
                if wait_s <= self.patience_s:
                    # Taken before it is there: who comes next waits behind.
                    bucket.left -= 1.0
        if banned_s:
            raise banned(host, banned_s)
        if wait_s > self.patience_s:
            raise ConnectorError(
                permanent=False,
                reason="throttled",
                message=N_("%(host)s is asked as often as it may be. It goes on by itself in %(seconds)s s."),
                retry_after_s=wait_s,
                facts={"host": host, "seconds": round(wait_s)},
            )
        if wait_s:
            self.sleep(wait_s)

    def ban(self, lane: Lane, seconds: float) -> None:
        """Nothing of this lane for so long; a ban that is there already is never made shorter."""
        with self._lock:
            until_s = self._monotonic() + min(max(seconds, 0.0), LONGEST_BAN_S)
            self._bans[lane] = max(until_s, self._bans.get(lane, until_s))

    def banned_s(self, lane: Lane) -> float:
        """Seconds until this lane may be used again; 0 when it may."""
        with self._lock:
            return self._banned_s(lane, self._monotonic())

    def _banned_s(self, lane: Lane, now_s: float) -> float:
        self._bans = {one: until_s for one, until_s in self._bans.items() if until_s > now_s}
        covers = [
            until_s
            for one, until_s in self._bans.items()
            if all(part in ("", mine) for part, mine in zip(one, lane, strict=True))
        ]
        return max(covers) - now_s if covers else 0.0


def banned(host: str, seconds: float) -> ConnectorError:
    return BANNED.error(host=host, seconds=round(seconds), retry_after_s=seconds)


SHARED = Limits()
"""All connectors of this process: a connector is made anew for each run, what a shop has had of us is not."""
