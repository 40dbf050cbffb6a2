"""what each shop may sell and was told, the night's progress and statement, how a shop spells its own SKU"""

import sqlalchemy as sa
from alembic import op

revision = "0010_stock_push"
down_revision = "0009_doors"
branch_labels = None
depends_on = None

SMALL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _shop() -> sa.Column[int]:
    return sa.Column("shop_id", SMALL, sa.ForeignKey("shop.id"), nullable=False)


def _item() -> sa.Column[int]:
    return sa.Column("item_id", SMALL, sa.ForeignKey("item.id"), nullable=False)


def _in_warehouse(table: str) -> tuple[sa.Column[int], sa.Column[int], sa.PrimaryKeyConstraint]:
    return (
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f(f"pk_{table}")),
    )


def upgrade() -> None:
    op.add_column("item", sa.Column("category", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("shop_sku", sa.Column("spelling", sa.String(length=64), nullable=False, server_default=""))
    op.create_table(
        "shop_stock",
        _shop(),
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("per_minute", sa.Integer(), nullable=False),
        sa.Column("next_call_at", sa.DateTime(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.CheckConstraint("share >= 0 AND share <= 100", name=op.f("ck_shop_stock_share")),
        sa.CheckConstraint("per_minute >= 1", name=op.f("ck_shop_stock_per_minute")),
        sa.PrimaryKeyConstraint("shop_id", name=op.f("pk_shop_stock")),
    )
    op.create_table(
        "stock_quota",
        _shop(),
        _item(),
        sa.Column("qty", sa.BigInteger(), nullable=False),
        *_in_warehouse("stock_quota"),
        sa.CheckConstraint("qty >= 0", name=op.f("ck_stock_quota_qty")),
        sa.UniqueConstraint("warehouse_id", "shop_id", "item_id"),
    )
    op.create_table(
        "stock_buffer",
        sa.Column("scope", sa.String(length=66), nullable=False),
        sa.Column("qty", sa.BigInteger(), nullable=False),
        *_in_warehouse("stock_buffer"),
        sa.CheckConstraint("qty >= 0", name=op.f("ck_stock_buffer_qty")),
        sa.UniqueConstraint("warehouse_id", "scope"),
    )
    op.create_table(
        "stock_push",
        _shop(),
        _item(),
        sa.Column("wanted_qty", sa.BigInteger(), nullable=False),
        sa.Column("wanted_version", sa.BigInteger(), nullable=False),
        sa.Column("sent_qty", sa.BigInteger(), nullable=True),
        sa.Column("sent_version", sa.BigInteger(), nullable=False),
        sa.Column("asked_qty", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("next_at", sa.DateTime(), nullable=False),
        sa.Column("leased_until", sa.DateTime(), nullable=True),
        sa.Column("lease", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(), nullable=True),
        sa.Column("reason_code", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=400), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        *_in_warehouse("stock_push"),
        sa.CheckConstraint("wanted_qty >= 0", name=op.f("ck_stock_push_wanted")),
        sa.UniqueConstraint("warehouse_id", "shop_id", "item_id"),
    )
    op.create_index("ix_stock_push_state", "stock_push", ["warehouse_id", "state", "next_at"])
    op.create_index("ix_stock_push_item", "stock_push", ["warehouse_id", "item_id"])
    op.create_table(
        "stock_watch",
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("looked_turn", sa.BigInteger(), nullable=False),
        sa.Column("move_id", sa.BigInteger(), nullable=False),
        sa.Column("journal_id", sa.BigInteger(), nullable=False),
        sa.Column("swept_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("warehouse_id", name=op.f("pk_stock_watch")),
    )
    op.create_table(
        "night_run",
        sa.Column("step", sa.String(length=24), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", sa.DateTime(), nullable=True),
        sa.Column("leased_by", sa.String(length=60), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("right", sa.Boolean(), nullable=False),
        *_in_warehouse("night_run"),
    )
    op.create_index("ix_night_run_step", "night_run", ["warehouse_id", "step"])
    op.create_table(
        "night_line",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        _shop(),
        sa.Column("shop_order_no", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=400), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("our_numbers", sa.String(length=400), nullable=False),
        sa.Column("shop_numbers", sa.String(length=400), nullable=True),
        sa.Column("shop_state", sa.String(length=24), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("shop_pieces", sa.Integer(), nullable=True),
        sa.Column("money", sa.BigInteger(), nullable=False),
        sa.Column("shop_money", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=8), nullable=False),
        *_in_warehouse("night_line"),
        sa.ForeignKeyConstraint(["warehouse_id", "run_id"], ["night_run.warehouse_id", "night_run.id"]),
        sa.ForeignKeyConstraint(["warehouse_id", "order_id"], ["sales_order.warehouse_id", "sales_order.id"]),
        sa.UniqueConstraint("warehouse_id", "run_id", "order_id"),
    )


def downgrade() -> None:
    op.drop_table("night_line")
    op.drop_index("ix_night_run_step", "night_run")
    op.drop_table("night_run")
    op.drop_table("stock_watch")
    op.drop_index("ix_stock_push_item", "stock_push")
    op.drop_index("ix_stock_push_state", "stock_push")
    op.drop_table("stock_push")
    op.drop_table("stock_buffer")
    op.drop_table("stock_quota")
    op.drop_table("shop_stock")
    op.drop_column("shop_sku", "spelling")
    op.drop_column("item", "category")
