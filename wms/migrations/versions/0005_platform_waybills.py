"""waybills that a platform's own print component prints; a print job keeps what was said

The defaults stay in the tables: the release before this one writes rows without these columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005_platform_waybills"
down_revision = "0004_station_agents"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("print_job", sa.Column("detail", sa.String(length=200), nullable=False, server_default=""))
    op.add_column("print_job", sa.Column("started_by", sa.String(length=40), nullable=False, server_default=""))
    op.add_column("print_attempt", sa.Column("detail", sa.String(length=200), nullable=False, server_default=""))
    small = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "platform_waybill",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("carrier_id", small, nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("waybill_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("warehouse_id", small, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f("fk_platform_waybill_carrier_id")),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "order_id"],
            ["sales_order.warehouse_id", "sales_order.id"],
            name=op.f("fk_platform_waybill_warehouse_id_order_id"),
        ),
        sa.ForeignKeyConstraint(
            ["warehouse_id", "waybill_id"],
            ["waybill.warehouse_id", "waybill.id"],
            name=op.f("fk_platform_waybill_warehouse_id_waybill_id"),
        ),
        sa.ForeignKeyConstraint(["warehouse_id"], ["warehouse.id"], name=op.f("fk_platform_waybill_warehouse_id")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_platform_waybill")),
        sa.UniqueConstraint("carrier_id", "number", name=op.f("uq_platform_waybill_carrier_id_number")),
        sa.UniqueConstraint("warehouse_id", "waybill_id", name=op.f("uq_platform_waybill_warehouse_id_waybill_id")),
    )
    op.create_index("ix_platform_waybill_order", "platform_waybill", ["warehouse_id", "order_id"])


def downgrade() -> None:
    """Documents that still wait for a parcel are lost: the release before this one cannot print them."""
    op.drop_index("ix_platform_waybill_order", table_name="platform_waybill")
    op.drop_table("platform_waybill")
    op.drop_column("print_attempt", "detail")
    for column in ("started_by", "detail"):
        op.drop_column("print_job", column)
