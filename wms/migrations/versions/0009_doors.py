"""doors: messages that shops send, an ERP's documents, our news to it"""

import sqlalchemy as sa
from alembic import op

revision = "0009_doors"
down_revision = "0008_shop_lanes"
branch_labels = None
depends_on = None

SMALL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "shop_event",
        sa.Column("shop_id", SMALL, sa.ForeignKey("shop.id"), nullable=False),
        sa.Column("delivery_id", sa.String(length=200), nullable=False),
        sa.Column("topic", sa.String(length=80), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(), nullable=False),
        sa.Column("leased_until", sa.DateTime(), nullable=True),
        sa.Column("reason", sa.String(length=400), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("done_at", sa.DateTime(), nullable=True),
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_shop_event")),
        sa.UniqueConstraint("warehouse_id", "shop_id", "delivery_id"),
    )
    op.create_index("ix_shop_event_state", "shop_event", ["warehouse_id", "state", "next_at"])
    op.create_table(
        "erp_document",
        sa.Column("shop_id", SMALL, sa.ForeignKey("shop.id"), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("receipt_id", sa.BigInteger(), nullable=True),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("waybill_no", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_erp_document")),
        sa.ForeignKeyConstraint(["warehouse_id", "receipt_id"], ["receipt.warehouse_id", "receipt.id"]),
        sa.ForeignKeyConstraint(["warehouse_id", "order_id"], ["sales_order.warehouse_id", "sales_order.id"]),
        sa.UniqueConstraint("warehouse_id", "shop_id", "kind", "code"),
    )
    op.create_index("ix_erp_document_state", "erp_document", ["warehouse_id", "state"])
    op.create_table(
        "erp_news",
        sa.Column("shop_id", SMALL, sa.ForeignKey("shop.id"), nullable=False),
        sa.Column("method", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(), nullable=False),
        sa.Column("leased_until", sa.DateTime(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_erp_news")),
        sa.UniqueConstraint("warehouse_id", "shop_id", "key"),
    )
    op.create_index("ix_erp_news_state", "erp_news", ["warehouse_id", "state", "next_at"])


def downgrade() -> None:
    op.drop_index("ix_erp_news_state", "erp_news")
    op.drop_table("erp_news")
    op.drop_index("ix_erp_document_state", "erp_document")
    op.drop_table("erp_document")
    op.drop_index("ix_shop_event_state", "shop_event")
    op.drop_table("shop_event")
