"""Orders at the desk: the list, releasing them in a wave, and one order with all that happened to it."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Blueprint, render_template, request
from sqlalchemy.orm import Session

from wms import components, gate_checks, labels, recipients, taken_back, together, trace
from wms.errors import N_, BadQuantity, NotFound, Refusal, term
from wms.flows import board, cancel, merge, orders, pack, printing, pushes, release, take_in
from wms.flows.release import Released
from wms.models import Carrier, Order, OrderLine, OrderState, Parcel, ParcelState, PrintJob, Role, Shop, Warehouse, Wave
from wms.order_states import locked
from wms.web import at_printer
from wms.web.access import database, operator, requires, settings
from wms.web.each import alone
from wms.web.floor import Message, Screen, done, first_time, go, look, page
from wms.web.pushes import why
from wms.web.translate import say, say_refusal

bp = Blueprint("orders", __name__)

A_PAGE = 50
TAKEN_BACK = N_("The buyer took pieces back after the label.")


def _state(text: str) -> OrderState | None:
    if not text:
        return None
    try:
        return OrderState(text)
    except ValueError as error:
        raise board.BadState(state=text[:20]) from error


def _page_no() -> int:
    text = request.args.get("page", "1")
    return min(max(1, int(text)), 100_000) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def show_list(session: Session, **_where: Any) -> Screen:
    who = operator()
    state, begins, number = _state(request.args.get("state", "")), request.args.get("q", "").strip()[:64], _page_no()
    only = request.args.get("only", "") if request.args.get("only") in ("over", "soon", "stopped") else ""
    rows = board.listed(session, who.warehouse_id, state, begins, (number - 1) * A_PAGE, A_PAGE + 1, only)
    return Screen(
        "desk/orders.html",
        {
            "rows": rows[:A_PAGE],
            "whys": {row[0].id: _why_stopped(session, row[0]) for row in rows[:A_PAGE]} if only == "stopped" else {},
            "more": len(rows) > A_PAGE,
            "page": number,
            "state": state,
            "only": only,
            "q": begins,
            "numbers": board.orders(session, who.warehouse_id),
            "states": list(OrderState),
            "open_states": board.OPEN,
        },
    )


def _why_stopped(session: Session, order: Order) -> str:
    if taken_back.asked(session, order):
        return say(TAKEN_BACK)
    stopped = gate_checks.stands(session, order)
    return say_refusal(stopped) if stopped else ""


@bp.get("/desk/orders")
@requires(Role.SUPERVISOR)
def index() -> str:
    return page(show_list)


@bp.post("/desk/orders/release")
@requires(Role.SUPERVISOR)
def release_orders() -> str:
    """Each order in a transaction of its own: many are released even when one of them cannot be."""
    chosen = [int(text) for text in request.form.getlist("order") if text.isascii() and text.isdigit()]
    if request.form.get("which") != "all" and not chosen:
        return page(show_list, Message("look", say(N_("Choose at least one order."))))
    try:
        with database().reading() as session:
            ids = release.requested(session, operator().warehouse_id, chosen)
    except Refusal as refusal:
        return page(show_list, Message(refusal.answer, say_refusal(refusal)))
    wave: Wave | None = None
    results: list[Released] = []
    refused: list[str] = []
    for order_id in ids:
        try:
            wave, result = alone(partial(_release, wave=wave, order_id=order_id))
            results.append(result)
        except Refusal as refusal:
            refused.append(say_refusal(refusal))
    with database().reading() as session:
        left = board.orders(session, operator().warehouse_id).get(OrderState.READY, 0)
        choice = at_printer.choice(session, "pick_list")
    return render_template(
        "desk/released.html",
        wave=wave,
        refused=refused,
        left=left,
        at=choice,
        released=[each for each in results if not each.short],
        short=[each for each in results if each.short],
    )


def _release(session: Session, wave: Wave | None, order_id: int) -> tuple[Wave | None, Released]:
    """Release one order into the wave; the first order that can go opens it, so that no wave stays empty."""
    into = wave or release.open_wave(session)
    result = release.release(session, into, order_id)
    if wave is None and result.short:
        session.delete(into)
        return None, result
    return into, result


GATED = (
    OrderState.READY,
    OrderState.RELEASED,
    OrderState.PICKING,
    OrderState.PICKED,
    OrderState.PACKING,
    OrderState.PACKED,
    OrderState.SHORT,
)
"""States in which the shop's word can still stop an order."""


def show_order(session: Session, order_id: int, **_where: Any) -> Screen:
    who = operator()
    order = session.get(Order, (who.warehouse_id, order_id))
    if order is None:
        raise NotFound(what=term("The order"))
    found = orders.parcels(session, order)
    return Screen(
        "desk/order.html",
        {
            "order": order,
            "shop": session.get_one(Shop, order.shop_id),
            "lines": orders.lines(session, order),
            "recipient": labels.masked_recipient(order),
            "parcels": found,
            "wave": session.get(Wave, (who.warehouse_id, order.wave_id)) if order.wave_id else None,
            "carrier": session.get(Carrier, order.carrier_id) if order.carrier_id else None,
            "carriers": orders.carriers(session),
            "may_change_carrier": order.state in orders.CARRIER_OPEN,
            "may_cancel": order.state not in (OrderState.SHIPPED, OrderState.ACKNOWLEDGED, OrderState.CANCELLED),
            "taken_back": taken_back.what(session, who.warehouse_id, order.id),
            "lead": session.get(Order, (who.warehouse_id, order.merged_into_id)) if order.merged_into_id else None,
            "home": session.get(Order, (who.warehouse_id, order.part_of_id)) if order.part_of_id else None,
            "merged": together.merged_into(session, order),
            "parts": together.parts_of(session, order),
            "may_decide": bool(taken_back.asked(session, order)),
            "given": orders.platform_waybills(session, order),
            "may_give": order.state in orders.PLATFORM_OPEN,
            "platforms": {key: say(each.name) for key, each in components.PROVIDERS.items()},
            "form": request.form if request.path.endswith("/platform-waybill") else None,
            "story": trace.story_of_order(session, order),
            "to_pick": order.state in (OrderState.RELEASED, OrderState.PICKING),
            "pick_at": at_printer.choice(session, "pick_list"),
            "list_at": at_printer.choice(session, "packing_list"),
            "carton_at": at_printer.choice(session, "carton")
            if session.get_one(Warehouse, who.warehouse_id).gs1_prefix
            else None,
            "verified": next((each for each, _, _ in found if each.state is ParcelState.VERIFIED), None),
            "waybill_printers": printing.printers(session, who.warehouse_id),
            "pasted": request.form if request.path.endswith("/label") else None,
            "most_mb": settings().upload_bytes // 1024 // 1024,
            "why": why,
            "stopped": gate_checks.stands(session, order) if order.state in GATED else None,
            "gate": gate_checks.of(session, order),
            "new_recipient": labels.masked(order.new_recipient) if order.new_recipient else None,
            "shares": recipients.shares_a_parcel(session, order),
        },
    )


@bp.get("/desk/orders/<int:order_id>")
@requires(Role.SUPERVISOR)
def order(order_id: int) -> str:
    return page(show_order, order_id=order_id)


def _locked(session: Session, order_id: int) -> Order:
    return locked(session, operator().warehouse_id, order_id)


@bp.post("/desk/orders/<int:order_id>/let-go")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def let_go(session: Session, order_id: int) -> Message | None:
    held = _locked(session, order_id)
    take_in.let_go(session, held)
    return done(N_("Order %(order)s is ready."), order=held.shop_order_no)


@bp.post("/desk/orders/<int:order_id>/cancel")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def cancel_order(session: Session, order_id: int) -> Message | None:
    stopped = _locked(session, order_id)
    cancel.cancel(session, stopped, request.form.get("why", "").strip()[:200] or "desk")
    return look(
        N_("Order %(order)s is cancelled. Goods already picked wait to be put back."), order=stopped.shop_order_no
    )


@bp.post("/desk/orders/<int:order_id>/lines/<int:line_id>/cancel")
@requires(Role.SUPERVISOR)
@first_time(lambda session, order_id, **_where: show_order(session, order_id))
def cancel_line(session: Session, order_id: int, line_id: int) -> Message | None:
    entered = request.form.get("qty", "").strip()
    line = session.get(OrderLine, (operator().warehouse_id, line_id))
    if line is None or line.order_id != order_id:
        raise NotFound(what=term("This line"))
    if not (entered.isascii() and entered.isdigit() and len(entered) < 10):
        raise BadQuantity(entered=entered[:20] or "—", most=line.wanted)
    order = session.get_one(Order, (operator().warehouse_id, order_id))
    cancel.cancel_line(session, order, line, int(entered), "desk")
    return look(N_("%(qty)s × %(item)s taken out of the order."), qty=int(entered), item=line.sku)


@bp.post("/desk/orders/<int:order_id>/take-out")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def take_out(session: Session, order_id: int) -> Message | None:
    order = session.get_one(Order, (operator().warehouse_id, order_id))
    cancel.take_out(session, order)
    return look(
        N_("The label is void. Take the pieces out of the parcel at the bench and weigh it again: order %(order)s."),
        order=order.shop_order_no,
    )


@bp.post("/desk/orders/<int:order_id>/send-it")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def send_it(session: Session, order_id: int) -> Message | None:
    order = session.get_one(Order, (operator().warehouse_id, order_id))
    cancel.send_all_the_same(session, order)
    return done(
        N_("Order %(order)s may leave as it is. Tell the shop that it was too late."), order=order.shop_order_no
    )


@bp.post("/desk/orders/<int:order_id>/new-address")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def use_new_address(session: Session, order_id: int) -> Message | None:
    again = pack.use_new_address(session, operator().warehouse_id, order_id)
    if not again:
        return done(N_("It goes to the new address."))
    return look(
        N_("It goes to the new address. Cover the old label of parcel %(parcels)s with the one that comes out now."),
        parcels=", ".join(parcel.code for parcel in again),
    )


@bp.post("/desk/orders/<int:order_id>/old-address")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def keep_old_address(session: Session, order_id: int) -> Message | None:
    order = pack.keep_old_address(session, operator().warehouse_id, order_id)
    return look(
        N_("Order %(order)s goes to the old address. Tell the buyer that it was too late."), order=order.shop_order_no
    )


@bp.post("/desk/orders/<int:order_id>/let-pass")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def let_pass(session: Session, order_id: int) -> Message | None:
    stopped = _locked(session, order_id)
    gate_checks.let_pass(session, stopped, request.form.get("why", ""))
    return look(N_("Order %(order)s may go out. Your name stands beside it."), order=stopped.shop_order_no)


@bp.post("/desk/orders/<int:order_id>/again")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def again(session: Session, order_id: int) -> Message | None:
    short = _locked(session, order_id)
    release.try_again(session, short)
    return done(N_("Order %(order)s has all its pieces now and goes on."), order=short.shop_order_no)


@bp.post("/desk/orders/<int:order_id>/without")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def without(session: Session, order_id: int) -> Message | None:
    short = _locked(session, order_id)
    release.ship_without(session, short)
    if short.state is OrderState.CANCELLED:
        return look(N_("Nothing of order %(order)s is left to send; it is cancelled."), order=short.shop_order_no)
    return done(N_("Order %(order)s goes on without the missing pieces."), order=short.shop_order_no)


@bp.post("/desk/orders/<int:order_id>/later")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def later(session: Session, order_id: int) -> Message | None:
    short = _locked(session, order_id)
    part = release.ship_the_rest_later(session, short)
    return done(
        N_("Order %(order)s goes on; %(part)s follows when the rest is there."),
        order=short.shop_order_no,
        part=part.shop_order_no,
    )


@bp.post("/desk/orders/<int:order_id>/lines/<int:line_id>/split")
@requires(Role.SUPERVISOR)
@first_time(lambda session, order_id, **_where: show_order(session, order_id))
def split(session: Session, order_id: int, line_id: int) -> Message | None:
    entered = request.form.get("qty", "").strip()
    if not (entered.isascii() and entered.isdigit() and len(entered) < 10):
        raise BadQuantity(entered=entered[:20] or "—", most=1)
    part = merge.split(session, operator().warehouse_id, order_id, line_id, int(entered))
    return done(N_("%(part)s is sent separately."), part=part.shop_order_no)


@bp.post("/desk/orders/<int:order_id>/apart")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def apart(session: Session, order_id: int) -> Message | None:
    merge.apart(session, operator().warehouse_id, order_id)
    return done(N_("These orders are sent each by itself again."))


def show_merges(session: Session, **_where: Any) -> Screen:
    groups = merge.proposals(session, operator().warehouse_id)
    return Screen(
        "desk/merges.html",
        {
            "groups": [
                (
                    session.get_one(Shop, group[0].shop_id),
                    labels.masked_recipient(group[0]),
                    [(each, orders.pieces(session, each)) for each in group],
                )
                for group in groups
            ]
        },
    )


@bp.get("/desk/merges")
@requires(Role.SUPERVISOR)
def merges() -> str:
    return page(show_merges)


@bp.post("/desk/merges/merge")
@requires(Role.SUPERVISOR)
@first_time(lambda session, **_where: show_merges(session))
def merge_orders(session: Session) -> Message | None:
    chosen = [
        int(text) for text in request.form.getlist("order") if text.isascii() and text.isdigit() and len(text) < 19
    ]
    lead = merge.merge(session, operator().warehouse_id, chosen)
    return done(N_("%(count)s orders go in one parcel: %(order)s."), count=len(set(chosen)), order=lead.shop_order_no)


@bp.post("/desk/orders/<int:order_id>/carrier")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def change_carrier(session: Session, order_id: int) -> Message | None:
    text = request.form.get("carrier", "")
    chosen = int(text) if text.isascii() and text.isdigit() else 0
    carrier = orders.change_carrier(session, operator().warehouse_id, order_id, chosen)
    return done(N_("It goes with %(carrier)s now."), carrier=carrier.name)


@bp.post("/desk/orders/<int:order_id>/platform-waybill")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def add_platform_waybill(session: Session, order_id: int) -> Message | None:
    """One waybill as a platform gave it, for as long as no connector of ours asks for them itself."""
    given = orders.add_platform_waybill(
        session,
        operator().warehouse_id,
        order_id,
        request.form.get("provider", ""),
        request.form.get("number", ""),
        request.form.get("document", "").encode(),
    )
    return done(N_("Waybill %(number)s waits for the order's next parcel."), number=given.number)


# ---- On paper


class NoFile(Refusal):
    message = N_("Choose a file first.")
    answer = "look"


@bp.post("/desk/orders/pick-lists")
@requires(Role.SUPERVISOR)
@first_time(show_list)
def print_pick_lists(session: Session) -> Message | None:
    """The walks of a wave's orders on paper, in the order of their ids; orders that are picked already are left out."""
    who, printer = operator(), at_printer.chosen(session, "pick_list")
    text = request.form.get("wave", "")
    wave_id = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    wave = session.get(Wave, (who.warehouse_id, wave_id))
    if wave is None:
        raise NotFound(what=term("The wave"))
    jobs: list[PrintJob] = []
    for order in orders.of_wave(session, wave):
        try:
            jobs.append(labels.queue_order_pick_list(session, order, printer, at_printer.press("pick_list", order.id)))
        except labels.NothingToPick:
            continue
    if not jobs:
        return look(N_("Nothing of wave %(wave)s is left to be picked."), wave=wave.code)
    return done(N_("%(count)s pick lists are on their way to %(printer)s."), count=len(jobs), printer=printer.name)


@bp.post("/desk/orders/<int:order_id>/pick-list")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def print_pick_list(session: Session, order_id: int) -> Message | None:
    order, printer = _locked(session, order_id), at_printer.chosen(session, "pick_list")
    labels.queue_order_pick_list(session, order, printer, at_printer.press("pick_list", order.id))
    return done(N_("The pick list is on its way to %(printer)s."), printer=printer.name)


def _parcel(session: Session, order_id: int) -> Parcel:
    text = request.form.get("parcel", "")
    parcel_id = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    parcel = session.get(Parcel, (operator().warehouse_id, parcel_id))
    if parcel is None or parcel.order_id != order_id:
        raise NotFound(what=term("The parcel"))
    return parcel


@bp.post("/desk/orders/<int:order_id>/print")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def print_more(session: Session, order_id: int) -> Message | None:
    """A packing list or a carton label of one of the order's parcels."""
    parcel = _parcel(session, order_id)
    kind = "carton" if request.form.get("kind") == "carton" else "packing_list"
    printer = at_printer.chosen(session, kind)
    pack.print_more(session, parcel, kind, printer, at_printer.press(kind, parcel.id))
    return done(N_("%(parcel)s: on its way to %(printer)s."), parcel=parcel.code, printer=printer.name)


@bp.post("/desk/orders/<int:order_id>/correct")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def correct_number(session: Session, order_id: int) -> Message | None:
    """The number of a parcel that left was wrong: it gets the right one, and its shops are told."""
    parcel = _parcel(session, order_id)
    right = pushes.correct(session, operator().warehouse_id, parcel.id, request.form.get("right_number", ""))
    return done(N_("The parcel has number %(number)s now. Its shop is told within a minute."), number=right.number)


@bp.post("/desk/orders/<int:order_id>/label")
@requires(Role.SUPERVISOR)
@first_time(show_order)
def label_from_elsewhere(session: Session, order_id: int) -> Message | None:
    """A label of the carrier's own page as this parcel's waybill. An ordinary form: a file does not wait in a phone."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise NoFile()
    parcel = _parcel(session, order_id)
    text = request.form.get("printer", "")
    chosen = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not chosen:
        raise at_printer.ChooseOne()
    printer = printing.printer_of(session, operator().warehouse_id, chosen)
    number, weight = request.form.get("label_number", ""), request.form.get("weight_g", "")
    pack.label_from_elsewhere(session, parcel, printer, number, weight, file.read())
    return go(f"/desk/orders/{order_id}")
