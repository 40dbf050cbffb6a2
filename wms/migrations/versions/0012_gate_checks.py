"""what the shop said of an order right before its label, and who let it pass all the same"""

import sqlalchemy as sa
from alembic import op

revision = "0012_gate_checks"
down_revision = "0011_order_rules"
branch_labels = None
depends_on = None

SMALL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "gate_check",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("verdict", sa.String(length=24), nullable=False),
        sa.Column("reason", sa.String(length=400), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("override_by", sa.BigInteger(), nullable=True),
        sa.Column("override_at", sa.DateTime(), nullable=True),
        sa.Column("override_for", sa.String(length=400), nullable=False),
        sa.Column("override_why", sa.String(length=200), nullable=False),
        sa.Column("warehouse_id", SMALL, sa.ForeignKey("warehouse.id"), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("warehouse_id", "id", name=op.f("pk_gate_check")),
        sa.ForeignKeyConstraint(["warehouse_id", "order_id"], ["sales_order.warehouse_id", "sales_order.id"]),
        sa.ForeignKeyConstraint(["warehouse_id", "override_by"], ["operator.warehouse_id", "operator.id"]),
        sa.UniqueConstraint("warehouse_id", "order_id"),
    )


def downgrade() -> None:
    op.drop_table("gate_check")
