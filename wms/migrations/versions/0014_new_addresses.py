"""an order keeps the address its shop named too late for its label"""

import sqlalchemy as sa
from alembic import op

revision = "0014_new_addresses"
down_revision = "0013_corrected_numbers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sales_order", sa.Column("new_recipient", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("sales_order", sa.Column("new_recipient_at", sa.DateTime(), nullable=True))
    op.add_column("platform_waybill", sa.Column("withdrawn_at", sa.DateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("platform_waybill", "withdrawn_at")
    op.drop_column("sales_order", "new_recipient_at")
    op.drop_column("sales_order", "new_recipient")
