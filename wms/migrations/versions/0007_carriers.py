"""number pools, numbers asked of a carrier's service, what a parcel costs, and where it is

The defaults stay in the tables: the release before this one writes rows without these columns. A range of before
does not say where it began; it begins where it stands, and no number is handed out twice all the same.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007_carriers"
down_revision = "0006_labels_at_the_desk"
branch_labels = None
depends_on = None

SMALL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OVER = sa.text("state NOT IN ('cancel', 'cancelled', 'kept')")


def _added() -> dict[str, tuple[sa.Column[Any], ...]]:
    return {
        "carrier": (
            sa.Column("check_standard", sa.String(length=16), nullable=False, server_default=""),
            sa.Column("numbers_from", sa.String(length=24), nullable=False, server_default="bought"),
            sa.Column("warn_below", sa.Integer(), nullable=False, server_default="0"),
            sa.Column("service", sa.JSON(), nullable=False, server_default="{}"),
            sa.Column("tracking", sa.JSON(), nullable=False, server_default="{}"),
            sa.Column("collect_hours", sa.Integer(), nullable=False, server_default="24"),
            sa.Column("silent_days", sa.Integer(), nullable=False, server_default="3"),
            sa.Column("lost_days", sa.Integer(), nullable=False, server_default="10"),
            sa.Column("promised_days", sa.Integer(), nullable=False, server_default="5"),
        ),
        "waybill_range": (
            sa.Column("first_no", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("suffix", sa.String(length=8), nullable=False, server_default=""),
            sa.Column("standard", sa.String(length=16), nullable=False, server_default=""),
        ),
        "waybill": (
            sa.Column("sort_code", sa.String(length=40), nullable=False, server_default=""),
            sa.Column("hub", sa.String(length=80), nullable=False, server_default=""),
            sa.Column("provider", sa.String(length=24), nullable=False, server_default=""),
        ),
        "parcel": (
            sa.Column("cost_minor", sa.BigInteger(), nullable=True),
            sa.Column("weighed_at", sa.DateTime(), nullable=True),
        ),
        "sales_order": (
            sa.Column("carrier_suggested", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("expected_cost_minor", sa.BigInteger(), nullable=True),
        ),
    }


def _keys(table: str, *columns: str) -> list[sa.schema.SchemaItem]:
    """The keys of a table that grows: its warehouse, its parcel and, where it has one, its carrier."""
    keys: list[sa.schema.SchemaItem] = [
        sa.Column("warehouse_id", SMALL, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f(f"fk_{table}_warehouse_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "parcel_id"],
            ["parcel.warehouse_id", "parcel.id"],
            name=op.f(f"fk_{table}_warehouse_id_parcel_id"),
        ),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f(f"pk_{table}")),
    ]
    if "carrier_id" in columns:
        keys.append(sa.Column("carrier_id", SMALL, nullable=False))
        keys.append(sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f(f"fk_{table}_carrier_id")))
    return keys


def upgrade() -> None:
    for table, columns in _added().items():
        for column in columns:
            op.add_column(table, column)
    op.execute("UPDATE waybill_range SET first_no = next_no")
    op.create_table(
        "waybill_stock",
        *_keys("waybill_stock", "carrier_id"),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("added_at", sa.DateTime(), nullable=False),
        sa.Column("taken_at", sa.DateTime(), nullable=True),
        sa.Column("parcel_id", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("carrier_id", "number", name=op.f("uq_waybill_stock_carrier_id_number")),
    )
    op.create_index("ix_waybill_stock_free", "waybill_stock", ["warehouse_id", "carrier_id", "taken_at", "id"])
    op.create_table(
        "waybill_request",
        *_keys("waybill_request", "carrier_id"),
        sa.Column("parcel_id", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("next_at", sa.DateTime(), nullable=False),
        sa.Column("leased_until", sa.DateTime(), nullable=True),
        sa.Column("leased_by", sa.String(length=80), nullable=False),
        sa.Column("answered_at", sa.DateTime(), nullable=True),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("sort_code", sa.String(length=40), nullable=False),
        sa.Column("hub", sa.String(length=80), nullable=False),
        sa.Column("provider", sa.String(length=24), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.UniqueConstraint(
            "warehouse_id", "parcel_id", "turn", name=op.f("uq_waybill_request_warehouse_id_parcel_id_turn")
        ),
    )
    op.create_index(
        "uq_waybill_request_one_live",
        "waybill_request",
        ["warehouse_id", "parcel_id"],
        unique=True,
        sqlite_where=OVER,
        postgresql_where=OVER,
    )
    op.create_index("ix_waybill_request_due", "waybill_request", ["state", "next_at"])
    op.create_table(
        "carrier_price",
        sa.Column("id", SMALL, nullable=False),
        sa.Column("warehouse_id", SMALL, nullable=False),
        sa.Column("carrier_id", SMALL, nullable=False),
        sa.Column("region", sa.String(length=40), nullable=False),
        sa.Column("first_g", sa.Integer(), nullable=False),
        sa.Column("first_minor", sa.BigInteger(), nullable=False),
        sa.Column("step_g", sa.Integer(), nullable=False),
        sa.Column("step_minor", sa.BigInteger(), nullable=False),
        sa.Column("min_g", sa.Integer(), nullable=False),
        sa.Column("max_g", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.CheckConstraint("first_g > 0 AND step_g > 0", name=op.f("ck_carrier_price_weights")),
        sa.CheckConstraint("first_minor >= 0 AND step_minor >= 0", name=op.f("ck_carrier_price_money")),
        sa.CheckConstraint("min_g >= 0 AND max_g > min_g", name=op.f("ck_carrier_price_bracket")),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_carrier_price_warehouse_id")),
        sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f("fk_carrier_price_carrier_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carrier_price")),
        sa.UniqueConstraint(
            "warehouse_id",
            "carrier_id",
            "region",
            "valid_from",
            "min_g",
            name=op.f("uq_carrier_price_warehouse_id_carrier_id_region_valid_from_min_g"),
        ),
    )
    op.create_table(
        "parcel_track",
        *_keys("parcel_track", "carrier_id"),
        sa.Column("parcel_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("handed_over_at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=True),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("collected_at", sa.DateTime(), nullable=True),
        sa.Column("signed_at", sa.DateTime(), nullable=True),
        sa.Column("next_at", sa.DateTime(), nullable=True),
        sa.Column("leased_until", sa.DateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("subscribed_at", sa.DateTime(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.UniqueConstraint("warehouse_id", "parcel_id", name=op.f("uq_parcel_track_warehouse_id_parcel_id")),
    )
    op.create_index("ix_parcel_track_next", "parcel_track", ["next_at"])
    op.create_index("ix_parcel_track_number", "parcel_track", ["number"])
    op.create_index("ix_parcel_track_carrier", "parcel_track", ["warehouse_id", "carrier_id", "handed_over_at"])
    op.create_table(
        "parcel_event",
        *_keys("parcel_event"),
        sa.Column("parcel_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("words", sa.String(length=400), nullable=False),
        sa.Column("text_sha256", sa.String(length=64), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.UniqueConstraint(
            "warehouse_id",
            "parcel_id",
            "at",
            "state",
            "text_sha256",
            name=op.f("uq_parcel_event_warehouse_id_parcel_id_at_state_text_sha256"),
        ),
    )
    op.create_table(
        "parcel_claim",
        *_keys("parcel_claim", "carrier_id"),
        sa.Column("parcel_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.UniqueConstraint(
            "warehouse_id", "parcel_id", "kind", name=op.f("uq_parcel_claim_warehouse_id_parcel_id_kind")
        ),
    )


def downgrade() -> None:
    for table in ("parcel_claim", "parcel_event", "parcel_track", "carrier_price", "waybill_request", "waybill_stock"):
        op.drop_table(table)
    # The release before knows no parcel that waits for its number: its packer weighs it again.
    op.execute("UPDATE parcel SET state = 'verified' WHERE state = 'weighed'")
    for table, columns in _added().items():
        for column in reversed(columns):
            op.drop_column(table, column.name)
