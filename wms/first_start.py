"""The first start on an empty database: a warehouse and one admin, whose badge is shown this once."""

from __future__ import annotations

import secrets

from wms.db import Actor, open_database
from wms.flows import people, warehouse
from wms.flows.people import Badge
from wms.models import Role
from wms.settings import Settings


def prepare(settings: Settings) -> Badge | None:
    """The new admin's badge, or None when there is a warehouse already."""
    database = open_database(settings)
    try:
        with database.reading() as session:
            if warehouse.first_warehouse(session) is not None:
                return None
        with database.transaction(Actor(1)) as session:
            made = warehouse.open_warehouse(session, "MAIN", "Warehouse", settings.timezone)
            session.info["actor"] = Actor(made.id)
            while True:
                try:
                    pin = f"{secrets.randbelow(1_000_000):06d}"
                    return people.add_operator(session, settings.secret_key, "Admin", Role.ADMIN, pin)
                except people.BadPin:
                    continue
    finally:
        database.close()
