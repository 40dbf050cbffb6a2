"""What shops and ERPs told at the door, as the desk sees it: how many messages wait, how many were given up."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms.models import EventState, ShopEvent


def messages(session: Session, warehouse_id: int) -> dict[int, dict[EventState, int]]:
    """Shop → its messages in each state but done: for the shop's row at the desk."""
    found: dict[int, dict[EventState, int]] = {}
    for shop_id, state, count in session.execute(
        select(ShopEvent.shop_id, ShopEvent.state, func.count())
        .where(ShopEvent.warehouse_id == warehouse_id, ShopEvent.state != EventState.DONE)
        .group_by(ShopEvent.shop_id, ShopEvent.state)
    ):
        found.setdefault(shop_id, {})[state] = int(count)
    return found
