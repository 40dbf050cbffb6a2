"""Carriers 快递公司 at the desk: their pools of numbers, their services, prices, parcels under way: /desk/carriers."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request
from sqlalchemy.orm import Session

from wms.connectors import ConnectorError
from wms.connectors.tables import read_table
from wms.errors import N_, NotFound, Refusal, term
from wms.flows import carriers, pack, prices, tracking, warehouse
from wms.models import ClaimKind, NumbersFrom, Role
from wms.waybill_numbers import BY_NAME
from wms.web.access import database, operator, requires
from wms.web.each import alone
from wms.web.floor import Message, Screen, done, first_time, go, page, render
from wms.web.translate import say, say_refusal

bp = Blueprint("carriers", __name__)

SHOWN = 200
SERVICE = ("url", "secret")
TRACKING = ("company", "customer", "key", "salt", "callback", "url")


class NoFile(Refusal):
    message = N_("Choose a file first.")
    answer = "look"


def number(name: str, default: int = 0) -> int:
    """A whole number of the form; what is none, or too large to be meant, is the default."""
    text = request.form.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else default


def told(error: Refusal | ConnectorError) -> Message:
    if isinstance(error, Refusal):
        return Message(error.answer, say_refusal(error))
    return Message("wrong", say(error.message, error.facts))


def uploaded() -> tuple[str, bytes]:
    file = request.files.get("file")
    if file is None or not file.filename:
        raise NoFile()
    return file.filename[:120], file.read()


# Every room's fixed name stands before the carrier's number, which only digits match.


def show_requests(session: Session, **_where: Any) -> Screen:
    warehouse_id = operator().warehouse_id
    pools = carriers.pools(session, warehouse_id)
    return Screen(
        "desk/number_requests.html",
        {"asked": carriers.asked(session, warehouse_id), "carriers": [pool.carrier for pool in pools]},
    )


@bp.get("/desk/carriers/requests")
@requires(Role.SUPERVISOR)
def requests() -> str:
    return page(show_requests)


@bp.post("/desk/carriers/requests/<int:request_id>")
@requires(Role.SUPERVISOR)
@first_time(show_requests)
def change_request(session: Session, request_id: int) -> Message | None:
    warehouse_id, act = operator().warehouse_id, request.form.get("act", "")
    if act == "again":
        row = carriers.ask_again(session, warehouse_id, request_id)
        return done(N_("The carrier is asked again for parcel %(key)s."), key=row.key)
    if act == "settled":
        row = carriers.settled(session, warehouse_id, request_id)
        return done(N_("%(number)s is settled with the carrier."), number=row.number or row.key)
    raise NotFound(what=term("This act"))


@bp.post("/desk/carriers/parcels/<int:parcel_id>/carrier")
@requires(Role.SUPERVISOR)
@first_time(show_requests)
def change_carrier(session: Session, parcel_id: int) -> Message | None:
    carrier = pack.change_carrier(session, operator().warehouse_id, parcel_id, number("carrier"))
    return done(N_("It goes with %(carrier)s now."), carrier=carrier.name)


DAYS = (7, 30, 90)


def _asked_number(name: str, most: int) -> int:
    text = request.args.get(name, "").strip()
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def show_prices(session: Session, **_where: Any) -> Screen:
    who = operator()
    chosen = _asked_number("carrier", 10**9)
    province, weight_g = request.args.get("province", "").strip()[:40], _asked_number("weight_g", prices.HEAVIEST_G)
    rows = prices.table(session, who.warehouse_id, chosen, SHOWN + 1)
    return Screen(
        "desk/carrier_prices.html",
        {
            "rows": rows[:SHOWN],
            "more": len(rows) > SHOWN,
            "carriers": [pool.carrier for pool in carriers.pools(session, who.warehouse_id)],
            "chosen": chosen,
            "province": province,
            "weight_g": weight_g,
            "quotes": prices.quotes(session, who.warehouse_id, province, weight_g) if weight_g else [],
            "shops": prices.shops(session, who.warehouse_id),
            "found": None,
            "only_looked": False,
            "shown": SHOWN,
        },
    )


@bp.get("/desk/carriers/prices")
@requires(Role.SUPERVISOR)
def price_page() -> str:
    return page(show_prices)


@bp.post("/desk/carriers/prices")
@requires(Role.SUPERVISOR)
def add_prices() -> str | tuple[str, int]:
    """A price table: looked at only, or taken in; the page says of each refused line why."""
    only_look = request.form.get("act") != "take"
    try:
        name, data = uploaded()
        table = read_table(data, name)
        found = alone(lambda session: (prices.look_at if only_look else prices.add)(session, table))
    except (Refusal, ConnectorError) as error:
        return page(show_prices, told(error)), 422
    with database().reading() as session:
        screen = show_prices(session)
        return render(Screen(screen.template, {**screen.facts, "found": found, "only_looked": only_look}))


@bp.post("/desk/carriers/prices/shops/<int:shop_id>")
@requires(Role.SUPERVISOR)
@first_time(show_prices)
def set_shop(session: Session, shop_id: int) -> Message | None:
    form = request.form
    cheapest = form.get("cheapest") == "1"
    shop = prices.set_shop(
        session, operator().warehouse_id, shop_id, cheapest, form.get("only", ""), form.get("never", "")
    )
    if cheapest:
        return done(N_("New orders of %(shop)s go with the cheapest carrier that is allowed."), shop=shop.name)
    return done(N_("New orders of %(shop)s go with the shop's own carrier."), shop=shop.name)


def show_parcels(session: Session, **_where: Any) -> Screen:
    """The parcels to ask a carrier about; with ``code`` one parcel's whole story."""
    warehouse_id = operator().warehouse_id
    code = (request.form.get("parcel") or request.args.get("code", "")).strip()[:80]
    found: Any = None
    words = ""
    if code:
        try:
            found = tracking.story(session, warehouse_id, code)
        except Refusal as refusal:
            words = say_refusal(refusal)
    return Screen(
        "desk/tracking.html",
        {
            "alarms": tracking.alarms(session, warehouse_id),
            "code": code,
            "found": found,
            "not_found": words,
            "carriers": {pool.carrier.id: pool.carrier for pool in carriers.pools(session, warehouse_id)},
            "kinds": list(ClaimKind),
        },
    )


@bp.get("/desk/carriers/parcels")
@requires(Role.SUPERVISOR)
def parcels() -> str:
    return page(show_parcels)


@bp.post("/desk/carriers/parcels/claim")
@requires(Role.SUPERVISOR)
@first_time(show_parcels)
def claim(session: Session) -> Message | None:
    form = request.form
    tracking.claim(session, form.get("parcel", ""), form.get("kind", ""), form.get("reason", ""))
    return done(N_("It is written down and counts against the carrier."))


def show_report(session: Session, **_where: Any) -> Screen:
    days = _asked_number("days", 365) or 30
    warehouse_id = operator().warehouse_id
    return Screen(
        "desk/carrier_report.html",
        {
            "days": days,
            "choices": DAYS,
            "spent": prices.spent(session, warehouse_id, days),
            "rows": tracking.performance(session, warehouse_id, days),
        },
    )


@bp.get("/desk/carriers/report")
@requires(Role.SUPERVISOR)
def report() -> str:
    return page(show_report)


def show(session: Session, **_where: Any) -> Screen:
    who = operator()
    return Screen(
        "desk/carriers.html",
        {"pools": carriers.pools(session, who.warehouse_id), "admin": who.may(Role.ADMIN)},
    )


@bp.get("/desk/carriers")
@requires(Role.SUPERVISOR)
def index() -> str:
    return page(show)


def show_carrier(session: Session, carrier_id: int = 0, **_where: Any) -> Screen:
    who = operator()
    carrier = carriers.carrier_of(session, carrier_id) if carrier_id else None
    pool = next((p for p in carriers.pools(session, who.warehouse_id) if p.carrier.id == carrier_id), None)
    return Screen(
        "desk/carrier.html",
        {
            "carrier": carrier,
            "pool": pool,
            "ranges": carriers.ranges_of(session, who.warehouse_id, carrier) if carrier else [],
            "sizes": carriers.SIZES,
            "standards": list(BY_NAME),
            "sources": list(NumbersFrom),
            "admin": who.may(Role.ADMIN),
            "form": request.form if request.method == "POST" and "code" in request.form else None,
            "entered": request.form if request.method == "POST" and "first" in request.form else None,
            "numbers": None,
            "only_looked": False,
        },
    )


@bp.get("/desk/carriers/new")
@requires(Role.ADMIN)
def new() -> str:
    return page(show_carrier)


@bp.get("/desk/carriers/<int:carrier_id>")
@requires(Role.SUPERVISOR)
def carrier(carrier_id: int) -> str:
    return page(show_carrier, carrier_id=carrier_id)


@bp.post("/desk/carriers/save")
@bp.post("/desk/carriers/<int:carrier_id>/save")
@requires(Role.ADMIN)
@first_time(show_carrier)
def save(session: Session, carrier_id: int = 0) -> Message | None:
    form = request.form
    saved = carriers.save(
        session,
        carrier_id or None,
        carriers.About(
            code=form.get("code", ""),
            name=form.get("name", ""),
            label_size=form.get("label_size", ""),
            number_hint=form.get("number_hint", ""),
            check_standard=form.get("check_standard", ""),
            numbers_from=form.get("numbers_from", ""),
            warn_below=number("warn_below"),
            collect_hours=number("collect_hours"),
            silent_days=number("silent_days"),
            lost_days=number("lost_days"),
            promised_days=number("promised_days"),
            service={name: form[f"service_{name}"] for name in SERVICE if f"service_{name}" in form},
            tracking={name: form[f"tracking_{name}"] for name in TRACKING if f"tracking_{name}" in form},
        ),
    )
    return go(f"/desk/carriers/{saved.id}")


@bp.post("/desk/carriers/<int:carrier_id>/range")
@requires(Role.SUPERVISOR)
@first_time(show_carrier)
def add_range(session: Session, carrier_id: int) -> Message | None:
    carrier = carriers.carrier_of(session, carrier_id)
    form = request.form
    first = form.get("first", "").strip()
    row = warehouse.add_waybill_range(
        session,
        carrier,
        form.get("prefix", ""),
        number("first", -1),
        number("last", -1),
        number("digits") or len(first),
        form.get("suffix", ""),
    )
    return done(
        N_("%(count)s numbers more for %(carrier)s."), count=row.last_no - row.first_no + 1, carrier=carrier.name
    )


@bp.post("/desk/carriers/<int:carrier_id>/numbers")
@requires(Role.SUPERVISOR)
def add_numbers(carrier_id: int) -> str | tuple[str, int]:
    """A list of single numbers: looked at only, or taken; the page says of each refused line why."""
    only_look = request.form.get("act") != "take"
    try:
        name, data = uploaded()
        lines = carriers.read_numbers(data, name)

        def rule(session: Session) -> carriers.Numbers:
            row = carriers.carrier_of(session, carrier_id)
            if only_look:
                return carriers.look_at_numbers(session, row, lines)
            return carriers.add_numbers(session, row, lines)

        found = alone(rule)
    except (Refusal, ConnectorError) as error:
        return page(show_carrier, told(error), carrier_id=carrier_id), 422
    with database().reading() as session:
        screen = show_carrier(session, carrier_id=carrier_id)
        facts = {**screen.facts, "numbers": found, "only_looked": only_look, "shown": SHOWN}
        return render(Screen(screen.template, facts))
