"""a push knows the wrong number that its shop was told"""

import sqlalchemy as sa
from alembic import op

revision = "0013_corrected_numbers"
down_revision = "0012_gate_checks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("push", sa.Column("wrong_no", sa.String(length=40), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("push", "wrong_no")
