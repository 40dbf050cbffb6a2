"""rules on the way in: switches a shop, gifts, the block list, lines taken back; orders merged and split"""

import sqlalchemy as sa
from alembic import op

revision = "0011_order_rules"
down_revision = "0010_stock_push"
branch_labels = None
depends_on = None

SMALL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ORDER = ["sales_order.warehouse_id", "sales_order.id"]


def upgrade() -> None:
    with op.batch_alter_table("sales_order") as batch:
        batch.add_column(sa.Column("memo_seen_at", sa.DateTime(), nullable=True))
        batch.add_column(sa.Column("tell", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("merged_into_id", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("part_of_id", sa.BigInteger(), nullable=True))
        for column in ("merged_into_id", "part_of_id"):
            batch.create_foreign_key(
                op.f(f"fk_sales_order_warehouse_id_{column}"),
                "sales_order",
                ["warehouse_id", column],
                ["warehouse_id", "id"],
            )
        batch.create_index("ix_sales_order_merged", ["warehouse_id", "merged_into_id"])
        batch.create_index("ix_sales_order_part", ["warehouse_id", "part_of_id"])
    op.add_column("pick_task", sa.Column("tell", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("order_line", sa.Column("home_id", sa.BigInteger(), nullable=True))
    op.execute("UPDATE order_line SET home_id = order_id")
    with op.batch_alter_table("order_line") as batch:
        batch.alter_column("home_id", existing_type=sa.BigInteger(), nullable=False)
        batch.create_foreign_key(
            op.f("fk_order_line_warehouse_id_home_id"),
            "sales_order",
            ["warehouse_id", "home_id"],
            ["warehouse_id", "id"],
        )
        batch.drop_constraint("uq_order_line_warehouse_id_order_id_line_ref", type_="unique")
        batch.create_unique_constraint("uq_order_line_ref", ["warehouse_id", "order_id", "home_id", "line_ref"])
        batch.create_index("ix_order_line_home", ["warehouse_id", "home_id"])
    with op.batch_alter_table("push") as batch:
        batch.drop_constraint("uq_push_warehouse_id_parcel_id", type_="unique")
        batch.create_unique_constraint(
            op.f("uq_push_warehouse_id_parcel_id_order_id"), ["warehouse_id", "parcel_id", "order_id"]
        )
    op.create_table(
        "shop_rule",
        sa.Column("shop_id", SMALL, sa.ForeignKey("shop.id"), nullable=False),
        sa.Column("rule", sa.String(length=24), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("shop_id", "rule", name=op.f("pk_shop_rule")),
    )
    op.create_table(
        "gift_rule",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("shop_id", SMALL, sa.ForeignKey("shop.id"), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("valid_from", sa.DateTime(), nullable=True),
        sa.Column("valid_until", sa.DateTime(), nullable=True),
        sa.Column("min_minor", sa.BigInteger(), nullable=False),
        sa.Column("min_pieces", sa.Integer(), nullable=False),
        sa.Column("item_ids", sa.JSON(), nullable=False),
        sa.Column("gift_item_id", SMALL, sa.ForeignKey("item.id"), nullable=False),
        sa.Column("gift_qty", sa.Integer(), nullable=False),
        sa.Column("each_step", sa.Boolean(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=True),
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("gift_qty > 0", name=op.f("ck_gift_rule_gift_qty")),
        sa.CheckConstraint("min_minor >= 0 AND min_pieces >= 0", name=op.f("ck_gift_rule_least")),
        sa.CheckConstraint("most IS NULL OR most >= 0", name=op.f("ck_gift_rule_most")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_gift_rule")),
    )
    op.create_table(
        "block_entry",
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("value", sa.String(length=300), nullable=False),
        sa.Column("shop_id", SMALL, sa.ForeignKey("shop.id"), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("entered_by", sa.String(length=80), nullable=False),
        sa.Column("entered_at", sa.DateTime(), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("hit_at", sa.DateTime(), nullable=True),
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_block_entry")),
        sa.UniqueConstraint("warehouse_id", "kind", "value", "shop_id"),
    )
    op.create_index("ix_block_entry_value", "block_entry", ["warehouse_id", "kind", "value"])
    op.create_table(
        "taken_back",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("order_line_id", sa.BigInteger(), nullable=False),
        sa.Column("qty", sa.Integer(), nullable=False),
        sa.Column("picked", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("why", sa.String(length=200), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("qty > 0", name=op.f("ck_taken_back_qty")),
        sa.CheckConstraint("picked >= 0 AND picked <= qty", name=op.f("ck_taken_back_picked")),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_taken_back")),
        sa.ForeignKeyConstraint(["warehouse_id", "order_id"], ORDER),
        sa.ForeignKeyConstraint(["warehouse_id", "order_line_id"], ["order_line.warehouse_id", "order_line.id"]),
    )
    op.create_index("ix_taken_back_order", "taken_back", ["warehouse_id", "order_id"])
    op.create_index("ix_taken_back_state", "taken_back", ["warehouse_id", "state"])


def downgrade() -> None:
    """Only while no order is merged or split: the old tables have no words for them."""
    for table in ("taken_back", "block_entry", "gift_rule", "shop_rule"):
        op.drop_table(table)
    with op.batch_alter_table("push") as batch:
        batch.drop_constraint("uq_push_warehouse_id_parcel_id_order_id", type_="unique")
        batch.create_unique_constraint(op.f("uq_push_warehouse_id_parcel_id"), ["warehouse_id", "parcel_id"])
    with op.batch_alter_table("order_line") as batch:
        batch.drop_index("ix_order_line_home")
        batch.drop_constraint("uq_order_line_ref", type_="unique")
        batch.drop_constraint("fk_order_line_warehouse_id_home_id", type_="foreignkey")
        batch.create_unique_constraint(
            op.f("uq_order_line_warehouse_id_order_id_line_ref"), ["warehouse_id", "order_id", "line_ref"]
        )
        batch.drop_column("home_id")
    op.drop_column("pick_task", "tell")
    with op.batch_alter_table("sales_order") as batch:
        batch.drop_index("ix_sales_order_part")
        batch.drop_index("ix_sales_order_merged")
        for column in ("part_of_id", "merged_into_id"):
            batch.drop_constraint(f"fk_sales_order_warehouse_id_{column}", type_="foreignkey")
            batch.drop_column(column)
        batch.drop_column("tell")
        batch.drop_column("memo_seen_at")
