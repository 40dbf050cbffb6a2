"""a receipt may be of goods that come back, and knows the parcel that brings them"""

import sqlalchemy as sa
from alembic import op

revision = "0015_goods_come_back"
down_revision = "0014_new_addresses"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("receipt", sa.Column("returned", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("receipt", sa.Column("waybill_no", sa.String(length=64), nullable=False, server_default=""))
    op.create_index("ix_receipt_waybill", "receipt", ["warehouse_id", "waybill_no"])


def downgrade() -> None:
    op.drop_index("ix_receipt_waybill", table_name="receipt")
    op.drop_column("receipt", "waybill_no")
    op.drop_column("receipt", "returned")
