"""a lane for each shop, orders as they came, a shop's own names for items, the refund gate"""

import sqlalchemy as sa
from alembic import op

revision = "0008_shop_lanes"
down_revision = "0006_labels_at_the_desk"
branch_labels = None
depends_on = None

SMALL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("shop", sa.Column("fail_closed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "shop_lane",
        sa.Column("shop_id", SMALL, sa.ForeignKey("shop.id"), nullable=False),
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("cursor", sa.DateTime(), nullable=True),
        sa.Column("next_pull_at", sa.DateTime(), nullable=True),
        sa.Column("leased_until", sa.DateTime(), nullable=True),
        sa.Column("leased_by", sa.String(length=60), nullable=False),
        sa.Column("paused_until", sa.DateTime(), nullable=True),
        sa.Column("paused_reason", sa.String(length=400), nullable=False),
        sa.Column("paused_facts", sa.JSON(), nullable=False),
        sa.Column("last_reason", sa.String(length=400), nullable=False),
        sa.Column("last_facts", sa.JSON(), nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("pulled_at", sa.DateTime(), nullable=True),
        sa.Column("pulled", sa.BigInteger(), nullable=False),
        sa.Column("authorised_until", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("shop_id", name=op.f("pk_shop_lane")),
    )
    op.create_table(
        "raw_order",
        sa.Column("shop_id", SMALL, sa.ForeignKey("shop.id"), nullable=False),
        sa.Column("shop_order_no", sa.String(length=64), nullable=False),
        sa.Column("told_at", sa.DateTime(), nullable=True),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=400), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_raw_order")),
        sa.ForeignKeyConstraint(["warehouse_id", "order_id"], ["sales_order.warehouse_id", "sales_order.id"]),
        sa.UniqueConstraint("warehouse_id", "shop_id", "shop_order_no"),
    )
    op.create_index("ix_raw_order_state", "raw_order", ["warehouse_id", "state"])
    op.create_table(
        "shop_sku",
        sa.Column("shop_id", SMALL, sa.ForeignKey("shop.id"), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("item_id", SMALL, sa.ForeignKey("item.id"), nullable=False),
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_shop_sku")),
        sa.UniqueConstraint("warehouse_id", "shop_id", "sku"),
    )


def downgrade() -> None:
    op.drop_table("shop_sku")
    op.drop_index("ix_raw_order_state", "raw_order")
    op.drop_table("raw_order")
    op.drop_table("shop_lane")
    op.drop_column("shop", "fail_closed")
